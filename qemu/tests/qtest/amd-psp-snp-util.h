/*
 * AMD Platform Security Processor: what the tests of SEV-SNP commands share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_QTEST_AMD_PSP_SNP_UTIL_H
#define TESTS_QTEST_AMD_PSP_SNP_UTIL_H

#include "amd-snp-host-util.h"

enum {
    SNP_INIT = 0x81, SNP_SHUTDOWN, SNP_PLATFORM_STATUS, SNP_DF_FLUSH,
    SNP_INIT_EX, SNP_SHUTDOWN_EX,
    SNP_DECOMMISSION = 0x90, SNP_ACTIVATE, SNP_GUEST_STATUS, SNP_GCTX_CREATE,
    SNP_GUEST_REQUEST,
    SNP_LAUNCH_START = 0xa0, SNP_LAUNCH_UPDATE, SNP_LAUNCH_FINISH,
    SNP_DBG_DECRYPT = 0xb0, SNP_DBG_ENCRYPT,
    SNP_PAGE_RECLAIM = 0xc7, SNP_PAGE_UNSMASH, SNP_CONFIG, SNP_COMMIT = 0xcb,
};

enum {
    INVALID_PAGE_SIZE = 0x19, INVALID_PAGE_STATE,
    INVALID_PAGE_OWNER = 0x1c, RMP_INIT_REQUIRED = 0x20,
};

enum { NORMAL = 1, REGISTERS, ZERO, UNMEASURED, SECRETS, CPUID };

#define MFDM            (1ULL << 19)

/* Pages of the test, each group in a 2M page of its own */
#define FW              0x5000000       /* firmware's, for results */
#define CTX             0x5200000
#define CTX2            0x5201000
#define PAGE            0x5400000       /* the guest's, one by one */
#define LARGE           0x5600000
#define LARGE2          0x5800000
#define FIXED           0x5a00000
#define TMR2M           0x5c00000
#define HOST            0x5e00000       /* the host's own */
#define GPA             0x100000
#define GUEST_PAGE(n)   (PAGE + (n) * 0x1000)

#define MILAN           0xa00f11        /* CPUID Fn0000_0001_EAX */
#define POLICY          0x30000ULL
#define POLICY_DEBUG    (1ULL << 19)

/* The entry without what firmware counts in it */
uint64_t entry(uint64_t spa);

/* Pages from the host to a guest or to firmware, and back */
void rmp(uint64_t spa, uint64_t gpa, uint32_t asid, bool large,
         bool immutable);
void give_firmware(uint64_t spa);
void give_back(uint64_t spa);
unsigned page_reclaim(uint64_t spa);

/*
 * A host on which SNP_INIT will succeed, and one with @more on its command line;
 * one on which it has; and a guest that is launched
 */
void host_ready(void);
void host_ready_with(const char *more);
void snp_up(void);
void guest_started(uint64_t policy);

unsigned activate(uint64_t ctx, uint32_t asid);
unsigned update(unsigned type, uint64_t spa, bool large, uint32_t perms);
unsigned finish(uint64_t flags);

uint64_t msr(uint32_t index);

#endif
