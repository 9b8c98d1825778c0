/*
 * AMD Platform Security Processor: what the files of SEV-SNP share
 *
 *   amd-psp-snp.c         command table, dispatch, platform
 *   amd-psp-snp-page.c    page states: which pages firmware writes or gives back
 *   amd-psp-snp-guest.c   contexts, ASIDs, debugging, guest requests
 *   amd-psp-snp-launch.c  LAUNCH_*, the launch digest, the ID block
 *
 * and of what they call in amd-psp-snp-msg.h, the messages of running guests.
 *
 * A guest is named by the address of its context page.  What silicon keeps
 * encrypted in that page is kept here, out of the host's reach; the page itself
 * is what the host has to give, and to get back, in the right state.
 *
 * Section numbers are those of the SEV-SNP Firmware ABI Specification, 1.55.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_AMD_PSP_SNP_H
#define HW_MISC_AMD_PSP_SNP_H

#include "hw/i386/amd-rmp.h"
#include "amd-psp-internal.h"
#include "amd-psp-snp-crypto.h"

#define PSP_SNP_PAGE 4096
#define PSP_SNP_LARGE_PAGE (2 * MiB)
#define PSP_SNP_VMPCKS 4

FIELD(SNP_POLICY, ABI_MINOR, 0, 8)
FIELD(SNP_POLICY, ABI_MAJOR, 8, 8)
FIELD(SNP_POLICY, SMT, 16, 1)
FIELD(SNP_POLICY, MUST_BE_ONE, 17, 1)
FIELD(SNP_POLICY, MIGRATE_MA, 18, 1)
FIELD(SNP_POLICY, DEBUG, 19, 1)
FIELD(SNP_POLICY, SINGLE_SOCKET, 20, 1)
FIELD(SNP_POLICY, CXL_ALLOW, 21, 1)
FIELD(SNP_POLICY, PAGE_SWAP_DISABLE, 25, 1)

typedef enum AmdPspSnpGuestState {
    PSP_SNP_G_INIT,
    PSP_SNP_G_LAUNCH,
    PSP_SNP_G_RUNNING,
} AmdPspSnpGuestState;

typedef struct AmdPspSnpGuest {
    hwaddr gctx;
    uint32_t asid;                      /* 0: not active */
    AmdPspSnpGuestState state;
    uint64_t policy;
    uint64_t launch_tcb;
    uint8_t gosvw[16];
    uint8_t vek[AMD_MEE_KEY_SIZE];
    uint8_t ld[PSP_SHA384_LEN];         /* launch digest so far */
    uint8_t host_data[32];
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t guest_svn;
    uint8_t id_key_digest[PSP_SHA384_LEN];
    uint8_t author_key_digest[PSP_SHA384_LEN];
    bool author_key_en;
    bool vcek_dis;
    uint8_t report_id[32];
    uint8_t report_id_ma[32];           /* all ones: no migration agent */
    uint8_t vmpck[PSP_SNP_VMPCKS][32];
    uint64_t msg_seqno[PSP_SNP_VMPCKS]; /* last one sent or accepted */
} AmdPspSnpGuest;

/* One handler per command; @g is NULL for rows without guest states. */
typedef AmdPspStatus AmdPspSnpHandler(AmdPspState *s, AmdPspSnpGuest *g,
                                      void *buf);

/* amd-psp-snp.c */
void amd_psp_snp_reset(AmdPspState *s);
/* False if it is no command of SEV-SNP */
bool amd_psp_snp_execute(AmdPspState *s, unsigned id, hwaddr cmdbuf,
                         const char **name, AmdPspStatus *status);

/* amd-psp-snp-page.c */

/* 5.3 "Page States"; what no RMP entry says is PSP_PAGE_DEFAULT */
typedef enum AmdPspPageState {
    PSP_PAGE_DEFAULT,
    PSP_PAGE_HYPERVISOR,
    PSP_PAGE_HV_FIXED,
    PSP_PAGE_FIRMWARE,
    PSP_PAGE_FIRMWARE_IOMMU,
    PSP_PAGE_RECLAIM,
    PSP_PAGE_CONTEXT,
    PSP_PAGE_METADATA,
    PSP_PAGE_PRE_GUEST,
    PSP_PAGE_PRE_SWAP,
    PSP_PAGE_GUEST_INVALID,
    PSP_PAGE_GUEST_VALID,
} AmdPspPageState;

/* The entry of @pa is stored at @e, of zeroes if there is none. */
AmdPspPageState amd_psp_page_state(hwaddr pa, AmdRmpEntry *e);
/* The page at @pa is one that firmware may write, in one piece of 4K */
AmdPspStatus amd_psp_page_writable(hwaddr pa);
/* Put pages of @bytes from @pa into the state that @e says, the covered ones */
void amd_psp_pages_set(hwaddr pa, uint64_t bytes, const AmdRmpEntry *e);
/* It is the RMP's, or otherwise memory that firmware works with all the time */
bool amd_psp_page_reserved(hwaddr pa);
AmdPspSnpHandler amd_psp_snp_page_reclaim, amd_psp_snp_page_unsmash;

/* amd-psp-snp-guest.c */
AmdPspSnpGuest *amd_psp_snp_find(AmdPspState *s, hwaddr gctx);
void amd_psp_snp_guests_drop(AmdPspState *s);
AmdPspSnpHandler amd_psp_snp_gctx_create, amd_psp_snp_activate,
                 amd_psp_snp_decommission, amd_psp_snp_guest_status,
                 amd_psp_snp_dbg_decrypt, amd_psp_snp_dbg_encrypt;

/* amd-psp-snp-launch.c */
AmdPspSnpHandler amd_psp_snp_launch_start, amd_psp_snp_launch_update,
                 amd_psp_snp_launch_finish;

/* Command buffers; all fields little endian, the guest's context first */
typedef struct QEMU_PACKED SnpCmdInitEx {
    uint32_t flags;
    uint32_t reserved1;
    uint64_t list_addr;
    uint8_t reserved2[48];
} SnpCmdInitEx;

typedef struct QEMU_PACKED SnpCmdShutdownEx {
    uint32_t length;
    uint32_t flags;
} SnpCmdShutdownEx;

typedef struct QEMU_PACKED SnpCmdAddr {
    uint64_t addr;
} SnpCmdAddr;

typedef struct QEMU_PACKED SnpCmdCommit {
    uint32_t length;
} SnpCmdCommit;

typedef struct QEMU_PACKED SnpCmdConfig {
    uint64_t reported_tcb;
    uint32_t flags;
    uint8_t reserved[52];
} SnpCmdConfig;

typedef struct QEMU_PACKED SnpCmdActivate {
    uint64_t gctx;
    uint32_t asid;
} SnpCmdActivate;

typedef struct QEMU_PACKED SnpCmdGuestStatus {
    uint64_t gctx;
    uint64_t addr;
} SnpCmdGuestStatus;

typedef struct QEMU_PACKED SnpCmdLaunchStart {
    uint64_t gctx;
    uint64_t policy;
    uint64_t ma_gctx;
    uint32_t flags;
    uint32_t desired_tsc_khz;
    uint8_t gosvw[16];
} SnpCmdLaunchStart;

typedef struct QEMU_PACKED SnpCmdLaunchUpdate {
    uint64_t gctx;
    uint32_t info;
    uint32_t reserved1;
    uint64_t addr;
    uint8_t reserved2;
    uint8_t vmpl_perms[AMD_RMP_VMPLS - 1];      /* of VMPL 1 to 3 */
    uint32_t reserved3;
} SnpCmdLaunchUpdate;

typedef struct QEMU_PACKED SnpCmdLaunchFinish {
    uint64_t gctx;
    uint64_t id_block_addr;
    uint64_t id_auth_addr;
    uint32_t flags;
    uint32_t reserved;
    uint8_t host_data[32];
} SnpCmdLaunchFinish;

/* SNP_GUEST_REQUEST (request, response), SNP_DBG_* (source, destination) */
typedef struct QEMU_PACKED SnpCmdTwoPages {
    uint64_t gctx;
    uint64_t first;
    uint64_t second;
} SnpCmdTwoPages;

QEMU_BUILD_BUG_ON(sizeof(SnpCmdInitEx) != 0x40);
QEMU_BUILD_BUG_ON(sizeof(SnpCmdConfig) != 0x40);
QEMU_BUILD_BUG_ON(sizeof(SnpCmdActivate) != 0xC);
QEMU_BUILD_BUG_ON(sizeof(SnpCmdLaunchStart) != 0x30);
QEMU_BUILD_BUG_ON(sizeof(SnpCmdLaunchUpdate) != 0x20);
QEMU_BUILD_BUG_ON(sizeof(SnpCmdLaunchFinish) != 0x40);

#endif
