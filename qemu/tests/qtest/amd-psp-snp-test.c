/*
 * AMD Platform Security Processor: commands of SEV-SNP
 *
 * The CPU of the test machine gives pages to firmware and to guests by RMPUPDATE,
 * as a host's kernel does, and takes them back.  What a command did to a page is
 * read off the RMP; what it did to a guest, off the digest in an ID block that
 * firmware accepts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/misc/amd-psp-snp-crypto.h"
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

static const uint64_t state_reclaim = E_ASSIGNED;
static const uint64_t state_firmware = E_ASSIGNED | E_IMMUTABLE;
static const uint64_t state_context = E_ASSIGNED | E_IMMUTABLE | E_VMSA;

/* The entry without what firmware counts in it */
static uint64_t entry(uint64_t spa)
{
    return peek(entry_at(spa)) & ~0xff8ULL;
}

static void rmp(uint64_t spa, uint64_t gpa, uint32_t asid, bool large,
                bool immutable)
{
    g_assert_cmphex(rmpupdate(spa, gpa, asid, true, large, immutable).rax, ==,
                    0);
}

static void give_firmware(uint64_t spa)
{
    rmp(spa, 0, 0, false, true);
}

static void give_back(uint64_t spa)
{
    g_assert_cmphex(rmpupdate(spa, 0, 0, false, false, false).rax, ==, 0);
}

static void reclaim(uint64_t spa)
{
    g_assert_cmphex(PSP_CMD(SNP_PAGE_RECLAIM, { 0, 8, spa }), ==, OK);
    give_back(spa);
}

static uint64_t msr(uint32_t index)
{
    return run(RDMSR, index, 0, 0).rax;
}

/* A host on which SNP_INIT will succeed */
static void host_ready(void)
{
    start("");
    assert_runs(WRMSR, MSR_SYSCFG, msr(MSR_SYSCFG) | MFDM);
    enable_snp();
    assert_runs(WRMSR, MSR_HSAVE_PA, 0);
}

static void snp_up(void)
{
    host_ready();
    g_assert_cmphex(PSP_CMD(SNP_INIT_EX, { 0, 4, 1 }), ==, OK);
    psp_wbinvd();
    g_assert_cmphex(PSP_CMD(SNP_DF_FLUSH), ==, OK);
    give_firmware(FW);
}

static unsigned activate(uint64_t ctx, uint32_t asid)
{
    return PSP_CMD(SNP_ACTIVATE, { 0, 8, ctx }, { 8, 4, asid });
}

static void guest_started(uint64_t policy)
{
    snp_up();
    give_firmware(CTX);
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, CTX }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_LAUNCH_START, { 0, 8, CTX }, { 8, 8, policy }),
                    ==, OK);
    g_assert_cmphex(activate(CTX, ASID), ==, OK);
}

static unsigned update(unsigned type, uint64_t spa, bool large, uint32_t perms)
{
    return PSP_CMD(SNP_LAUNCH_UPDATE, { 0, 8, CTX },
                   { 8, 4, type << 1 | large }, { 0x10, 8, spa },
                   { 0x18, 4, perms });
}

static unsigned finish(uint64_t flags)
{
    return PSP_CMD(SNP_LAUNCH_FINISH, { 0, 8, CTX }, { 8, 8, IN },
                   { 0x10, 8, IN + 0x1000 }, { 0x18, 8, flags });
}

/* ---- platform */

/* The platform has to be the way that 8.9 demands, on every CPU. */
static void test_init_checks(void)
{
    start("");
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, INVALID_CONFIG);     /* no SNP_EN */
    psp_stop();

    start_snp("");
    assert_runs(WRMSR, MSR_HSAVE_PA, 0);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, INVALID_CONFIG);     /* no MFDM */
    psp_stop();

    host_ready();
    assert_runs(WRMSR, MSR_HSAVE_PA, HSAVE);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, INVALID_CONFIG);
    assert_runs(WRMSR, MSR_HSAVE_PA, 0);
    g_assert_cmphex(PSP_CMD(SNP_INIT_EX, { 0, 4, 0 }), ==, RMP_INIT_REQUIRED);
    g_assert_cmphex(PSP_CMD(SNP_INIT_EX, { 0, 4, 5 }), ==, INVALID_PARAM);
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, CTX }), ==,
                    INVALID_PLATFORM_STATE);
    g_assert_cmphex(PSP_CMD(SNP_DF_FLUSH), ==, INVALID_PLATFORM_STATE);
    g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 0 }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, INVALID_PLATFORM_STATE);
    g_assert_cmphex(PSP_CMD(CMD_SHUTDOWN), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, INVALID_PLATFORM_STATE);
    psp_stop();
}

/* SNP_INIT forgets what the RMP said, and makes the RMP itself firmware's. */
static void test_init_rmp(void)
{
    host_ready();
    rmp(PAGE, GPA, ASID, false, false);
    rmp(LARGE, 0x200000, ASID, true, false);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, OK);
    g_assert_cmphex(peek(entry_at(PAGE)), ==, 0);
    g_assert_cmphex(peek(entry_at(LARGE)), ==, 0);
    g_assert_cmphex(peek(entry_at(LARGE + 0x1000)), ==, 0);
    g_assert_cmphex(entry(rmp_base), ==, state_firmware);
    g_assert_cmphex(PSP_CMD(SNP_PAGE_RECLAIM, { 0, 8, rmp_base }), ==,
                    INVALID_PAGE_STATE);
    g_assert_cmphex(rmpupdate(rmp_base, 0, 0, false, false, false).rax, ==, 2);
    psp_stop();
}

static void make_list(uint64_t base, uint64_t pages, uint32_t count)
{
    qtest_memset(psp.qts, IN, 0, 0x1000);
    poke(IN, count);
    poke(IN + 8, base);
    poke(IN + 16, pages);
}

static unsigned init_list(uint64_t list)
{
    return PSP_CMD(SNP_INIT_EX, { 0, 4, 3 }, { 8, 8, list });
}

static void test_init_list(void)
{
    host_ready();
    make_list(FIXED, 3, 256);
    g_assert_cmphex(init_list(IN), ==, INVALID_PARAM);
    make_list(FIXED + 8, 3, 1);
    g_assert_cmphex(init_list(IN), ==, INVALID_PARAM);
    make_list(FIXED, 3, 1);
    g_assert_cmphex(init_list(IN + 8), ==, INVALID_ADDRESS);
    g_assert_cmphex(init_list(ABSENT), ==, INVALID_ADDRESS);
    g_assert_cmphex(init_list(IN), ==, OK);
    g_assert_cmphex(peek(entry_at(FIXED)), ==, E_IMMUTABLE);
    g_assert_cmphex(peek(entry_at(FIXED + 0x2000)), ==, E_IMMUTABLE);
    g_assert_cmphex(peek(entry_at(FIXED + 0x3000)), ==, 0);
    g_assert_cmphex(rmpupdate(FIXED, 0, 0, true, false, true).rax, ==, 2);
    g_assert_cmphex(PSP_CMD(SNP_PAGE_RECLAIM, { 0, 8, FIXED }), ==,
                    INVALID_PAGE_STATE);
    psp_stop();
}

static unsigned status(uint64_t spa)
{
    return PSP_CMD(SNP_PLATFORM_STATUS, { 0, 8, spa });
}

static void test_platform_status(void)
{
    host_ready();
    g_assert_cmphex(status(FW), ==, OK);                /* no RMP yet */
    g_assert_cmphex(peek(FW) & 0xffffff, ==, 0x003701);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, OK);
    g_assert_cmphex(status(HOST), ==, INVALID_PAGE_STATE);
    give_firmware(FW);
    g_assert_cmphex(status(FW), ==, OK);
    g_assert_cmphex(peek(FW) & 0xffffffff, ==, 0x01013701);
    g_assert_cmphex(peek(FW + 8) >> 32, ==, 0);         /* guests */
    g_assert_cmphex(peek(FW + 16), !=, 0);              /* TCB */
    g_assert_cmphex(peek(FW + 24), ==, peek(FW + 16));
    g_assert_cmphex(status(ABSENT), ==, INVALID_ADDRESS);
    psp_stop();
}

static void test_config(void)
{
    uint64_t tcb;

    snp_up();
    status(FW);
    tcb = peek(FW + 16);
    g_assert_cmphex(PSP_CMD(SNP_CONFIG, { 0, 8, tcb + 1 }), ==, INVALID_PARAM);
    g_assert_cmphex(PSP_CMD(SNP_CONFIG, { 0, 8, tcb }, { 8, 4, 4 }), ==,
                    INVALID_PARAM);
    g_assert_cmphex(PSP_CMD(SNP_CONFIG, { 0, 8, tcb }, { 0x38, 8, 1 }), ==,
                    INVALID_PARAM);
    g_assert_cmphex(PSP_CMD(SNP_CONFIG, { 0, 8, tcb - 1 }, { 8, 4, 3 }), ==,
                    OK);
    status(FW);
    g_assert_cmphex(peek(FW + 24), ==, tcb - 1);
    g_assert_cmphex(peek(FW + 8) & 0xffffffff, ==, 3);
    g_assert_cmphex(PSP_CMD(SNP_CONFIG, { 0, 8, 0 }), ==, OK);
    status(FW);
    g_assert_cmphex(peek(FW + 24), ==, tcb);
    g_assert_cmphex(PSP_CMD(SNP_COMMIT, { 0, 4, 8 }), ==, INVALID_LEN);
    g_assert_cmphex(PSP_CMD(SNP_COMMIT, { 0, 4, 4 }), ==, OK);
    psp_stop();
}

static void test_shutdown(void)
{
    guest_started(POLICY);
    g_assert_cmphex(PSP_CMD(SNP_SHUTDOWN_EX, { 0, 4, 4 }), ==, INVALID_LEN);
    g_assert_cmphex(PSP_CMD(SNP_SHUTDOWN_EX, { 0, 4, 8 }, { 4, 4, 2 }), ==,
                    INVALID_PARAM);
    g_assert_cmphex(PSP_CMD(SNP_SHUTDOWN_EX, { 0, 4, 8 }), ==,
                    DFFLUSH_REQUIRED);                  /* an ASID is taken */
    g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 0 }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_SHUTDOWN), ==, INVALID_PLATFORM_STATE);
    g_assert_cmphex(PSP_CMD(CMD_SHUTDOWN), ==, OK);
    /* which has not taken the SNP guest's ASID away */
    g_assert_cmphex(PSP_CMD(SNP_SHUTDOWN), ==, DFFLUSH_REQUIRED);
    g_assert_cmphex(PSP_CMD(SNP_DECOMMISSION, { 0, 8, CTX }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_SHUTDOWN_EX, { 0, 4, 8 }, { 4, 4, 1 }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_PAGE_RECLAIM, { 0, 8, CTX }), ==,
                    INVALID_PLATFORM_STATE);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, OK);         /* and once more */
    psp_stop();
}

/* ---- pages */

static unsigned page_reclaim(uint64_t spa)
{
    return PSP_CMD(SNP_PAGE_RECLAIM, { 0, 8, spa });
}

static void test_reclaim(void)
{
    snp_up();
    g_assert_cmphex(entry(FW), ==, state_firmware);
    g_assert_cmphex(page_reclaim(FW + 8), ==, INVALID_ADDRESS);
    g_assert_cmphex(page_reclaim(FW | 1), ==, INVALID_PAGE_SIZE);
    g_assert_cmphex(page_reclaim((FW + 0x1000) | 1), ==, INVALID_ADDRESS);
    g_assert_cmphex(page_reclaim(FW), ==, OK);
    g_assert_cmphex(entry(FW), ==, state_reclaim);
    g_assert_cmphex(page_reclaim(FW), ==, OK);          /* so already */
    give_back(FW);
    g_assert_cmphex(page_reclaim(FW), ==, OK);
    g_assert_cmphex(peek(entry_at(FW)), ==, 0);

    rmp(PAGE, GPA, ASID, false, true);                  /* PRE_GUEST */
    g_assert_cmphex(page_reclaim(PAGE), ==, OK);
    g_assert_cmphex(entry(PAGE), ==, E_GUEST(ASID, GPA));
    give_back(PAGE);

    rmp(LARGE, 0x200000, ASID, true, true);
    g_assert_cmphex(page_reclaim(LARGE), ==, INVALID_PAGE_SIZE);
    g_assert_cmphex(page_reclaim(LARGE | 1), ==, OK);
    g_assert_cmphex(entry(LARGE), ==, E_GUEST(ASID, 0x200000) | E_2M);
    g_assert_cmphex(page_reclaim(ABSENT), ==, INVALID_PAGE_STATE);
    psp_stop();
}

static void test_unsmash(void)
{
    uint64_t lo;

    snp_up();
    rmp(LARGE, 0x200000, ASID, true, true);
    lo = peek(entry_at(LARGE));
    g_assert_cmphex(PSP_CMD(SNP_PAGE_UNSMASH, { 0, 8, LARGE }), ==,
                    INVALID_PAGE_SIZE);
    g_assert_cmphex(PSP_CMD(SNP_PAGE_UNSMASH, { 0, 8, LARGE + 0x1000 }), ==,
                    INVALID_ADDRESS);
    g_assert_cmphex(PSP_CMD(SNP_PAGE_UNSMASH, { 0, 8, HOST }), ==,
                    INVALID_PAGE_STATE);
    /* 512 small pages, the last one not yet as the others */
    for (uint64_t i = 0; i < 511; i++) {
        rmp(LARGE2 + i * 0x1000, 0x400000 + i * 0x1000, ASID, false, true);
    }
    rmp(LARGE2 + 0x1ff000, 0x400000, ASID, false, true);
    g_assert_cmphex(PSP_CMD(SNP_PAGE_UNSMASH, { 0, 8, LARGE2 }), ==,
                    INVALID_PAGE_STATE);
    g_assert_cmphex(page_reclaim(LARGE2 + 0x1ff000), ==, OK);
    rmp(LARGE2 + 0x1ff000, 0x5ff000, ASID, false, true);
    g_assert_cmphex(PSP_CMD(SNP_PAGE_UNSMASH, { 0, 8, LARGE2 }), ==, OK);
    g_assert_cmphex(peek(entry_at(LARGE2)), ==, lo + 0x200000);
    psp_stop();
}

/* A legacy command whose results go to its buffer: firmware's page meanwhile */
static unsigned legacy_cmd(unsigned cmd)
{
    unsigned ret;

    give_firmware(CMDBUF);
    ret = psp_cmd_at(cmd, CMDBUF, false);
    poke(HOST, CMDBUF);
    g_assert_cmphex(psp_cmd_at(SNP_PAGE_RECLAIM, HOST, false), ==, OK);
    give_back(CMDBUF);
    return ret;
}

/* What legacy commands write to belongs to firmware as well. */
static void test_legacy_output(void)
{
    snp_up();
    g_assert_cmphex(PSP_CMD(CMD_PLATFORM_STATUS), ==, INVALID_PAGE_STATE);
    g_assert_cmphex(legacy_cmd(CMD_PLATFORM_STATUS), ==, OK);
    g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 1 }, { 8, 8, TMR },
                            { 16, 4, TMR_LEN }), ==, INVALID_LEN);
    g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 1 }, { 8, 8, TMR2M },
                            { 16, 4, 0x200000 }), ==, INVALID_PAGE_STATE);
    rmp(TMR2M, 0, 0, true, true);
    g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 1 }, { 8, 8, TMR2M },
                            { 16, 4, 0x200000 }), ==, OK);
    g_assert_cmphex(page_reclaim(TMR2M | 1), ==, INVALID_PAGE_STATE);
    poke(CMDBUF, OUT);
    poke(CMDBUF + 8, 0x1000);                           /* GET_ID */
    g_assert_cmphex(legacy_cmd(CMD_GET_ID), ==, INVALID_PAGE_STATE);
    give_firmware(OUT);
    g_assert_cmphex(legacy_cmd(CMD_GET_ID), ==, OK);
    g_assert_cmphex(PSP_CMD(CMD_SHUTDOWN), ==, OK);
    g_assert_cmphex(page_reclaim(TMR2M | 1), ==, OK);
    psp_stop();
}

/* ---- guests */

static void test_context(void)
{
    snp_up();
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, CTX }), ==,
                    INVALID_PAGE_STATE);
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, CTX + 8 }), ==,
                    INVALID_ADDRESS);
    rmp(LARGE, 0, 0, true, true);
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, LARGE }), ==,
                    INVALID_PAGE_SIZE);
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, rmp_base }), ==,
                    INVALID_PAGE_STATE);
    give_firmware(CTX);
    g_assert_cmphex(PSP_CMD(SNP_LAUNCH_START, { 0, 8, CTX }, { 8, 8, POLICY }),
                    ==, INVALID_GUEST);
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, CTX }), ==, OK);
    g_assert_cmphex(entry(CTX), ==, state_context);
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, CTX }), ==,
                    INVALID_PAGE_STATE);
    g_assert_cmphex(page_reclaim(CTX), ==, INVALID_PAGE_STATE);
    g_assert_cmphex(activate(CTX, ASID), ==, INVALID_GUEST_STATE);
    g_assert_cmphex(PSP_CMD(SNP_GUEST_STATUS, { 0, 8, CTX }, { 8, 8, HOST }),
                    ==, INVALID_PAGE_STATE);
    g_assert_cmphex(PSP_CMD(SNP_GUEST_STATUS, { 0, 8, CTX }, { 8, 8, FW }), ==,
                    OK);
    g_assert_cmphex(peek(FW + 8), ==, 0);
    g_assert_cmphex(PSP_CMD(SNP_DECOMMISSION, { 0, 8, CTX }), ==, OK);
    g_assert_cmphex(entry(CTX), ==, state_firmware);
    g_assert_cmphex(PSP_CMD(SNP_DECOMMISSION, { 0, 8, CTX }), ==,
                    INVALID_GUEST);
    reclaim(CTX);
    psp_stop();
}

static void test_policy(void)
{
    static const uint64_t refused[] = {
        0x10000,                        /* bit 17 */
        POLICY | 0x200,                 /* ABI 2.0 */
        POLICY | 0x138,                 /* ABI 1.56 */
        POLICY | 1 << 22, POLICY | 1 << 23, POLICY | 1 << 24, POLICY | 1 << 26,
        POLICY | 1ULL << 63,
    };

    snp_up();
    give_firmware(CTX);
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, CTX }), ==, OK);
    for (int i = 0; i < ARRAY_SIZE(refused); i++) {
        g_assert_cmphex(PSP_CMD(SNP_LAUNCH_START, { 0, 8, CTX },
                                { 8, 8, refused[i] }), ==, POLICY_FAILURE);
    }
    g_assert_cmphex(PSP_CMD(SNP_LAUNCH_START, { 0, 8, CTX }, { 8, 8, POLICY },
                            { 0x18, 4, 4 }), ==, INVALID_PARAM);
    g_assert_cmphex(PSP_CMD(SNP_LAUNCH_START, { 0, 8, CTX }, { 8, 8, POLICY },
                            { 0x18, 4, 1 }), ==, POLICY_FAILURE);   /* no MA */
    g_assert_cmphex(PSP_CMD(SNP_LAUNCH_START, { 0, 8, CTX },
                            { 8, 8, POLICY | 1 << 18 }, { 0x10, 8, CTX },
                            { 0x18, 4, 1 }), ==, INVALID_GUEST);
    g_assert_cmphex(PSP_CMD(SNP_LAUNCH_START, { 0, 8, CTX },
                            { 8, 8, POLICY | 0x137 }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_LAUNCH_START, { 0, 8, CTX }, { 8, 8, POLICY }),
                    ==, INVALID_GUEST_STATE);
    psp_stop();
}

static void test_activate(void)
{
    guest_started(POLICY);
    g_assert_cmphex(activate(CTX, ASID + 1), ==, ACTIVE);
    give_firmware(CTX2);
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, CTX2 }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_LAUNCH_START, { 0, 8, CTX2 }, { 8, 8, POLICY }),
                    ==, OK);
    g_assert_cmphex(activate(CTX2, 0), ==, INVALID_ASID);
    g_assert_cmphex(activate(CTX2, 510), ==, INVALID_ASID);
    g_assert_cmphex(activate(CTX2, ASID), ==, ASID_OWNED);
    rmp(PAGE, GPA, ASID + 1, false, false);
    g_assert_cmphex(activate(CTX2, ASID + 1), ==, INVALID_CONFIG);
    give_back(PAGE);
    g_assert_cmphex(activate(CTX2, ASID + 1), ==, OK);

    /* Only a guest that may have run leaves something in the caches. */
    g_assert_cmphex(PSP_CMD(SNP_DECOMMISSION, { 0, 8, CTX2 }), ==, OK);
    g_assert_cmphex(finish(0), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_DECOMMISSION, { 0, 8, CTX }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, CTX }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_LAUNCH_START, { 0, 8, CTX }, { 8, 8, POLICY }),
                    ==, OK);
    g_assert_cmphex(activate(CTX, ASID), ==, DFFLUSH_REQUIRED);
    g_assert_cmphex(PSP_CMD(SNP_DF_FLUSH), ==, WBINVD_REQUIRED);
    psp_wbinvd();
    g_assert_cmphex(PSP_CMD(SNP_DF_FLUSH), ==, OK);
    g_assert_cmphex(activate(CTX, ASID), ==, OK);
    psp_stop();
}

static void test_update_checks(void)
{
    guest_started(POLICY);
    rmp(PAGE, GPA, ASID, false, true);
    g_assert_cmphex(update(0, PAGE, false, 0), ==, INVALID_PARAM);
    g_assert_cmphex(update(7, PAGE, false, 0), ==, INVALID_PARAM);
    g_assert_cmphex(update(NORMAL | 8, PAGE, false, 0), ==, INVALID_PARAM);
    g_assert_cmphex(update(NORMAL, PAGE, false, 1), ==, INVALID_PARAM);
    g_assert_cmphex(update(NORMAL, PAGE + 16, false, 0), ==, INVALID_ADDRESS);
    g_assert_cmphex(update(NORMAL, PAGE, true, 0), ==, INVALID_PAGE_SIZE);
    g_assert_cmphex(update(NORMAL, HOST, false, 0), ==, INVALID_PAGE_STATE);
    rmp(GUEST_PAGE(1), GPA + 0x1000, ASID, false, false);
    g_assert_cmphex(update(NORMAL, GUEST_PAGE(1), false, 0), ==,
                    INVALID_PAGE_STATE);
    rmp(GUEST_PAGE(2), GPA + 0x2000, ASID + 1, false, true);
    g_assert_cmphex(update(NORMAL, GUEST_PAGE(2), false, 0), ==,
                    INVALID_PAGE_OWNER);
    rmp(LARGE, 0x200000, ASID, true, true);
    g_assert_cmphex(update(NORMAL, LARGE, false, 0), ==, INVALID_PAGE_SIZE);
    g_assert_cmphex(update(REGISTERS, LARGE, true, 0), ==, INVALID_PAGE_SIZE);
    g_assert_cmphex(update(SECRETS, LARGE, true, 0), ==, INVALID_PAGE_SIZE);
    g_assert_cmphex(update(ZERO, LARGE, true, 0), ==, OK);
    g_assert_cmphex(entry(LARGE), ==,
                    E_GUEST(ASID, 0x200000) | E_VALID | E_2M);
    /* Nothing that was refused has changed the page. */
    g_assert_cmphex(entry(PAGE), ==, E_GUEST(ASID, GPA) | E_IMMUTABLE);
    g_assert_cmphex(update(NORMAL, PAGE, false, 0x01030700), ==, OK);
    g_assert_cmphex(entry(PAGE), ==, E_GUEST(ASID, GPA) | E_VALID);
    g_assert_cmphex(peek(entry_at(PAGE) + 8), ==, 0x0103070f);
    g_assert_cmphex(update(NORMAL, PAGE, false, 0), ==, INVALID_PAGE_STATE);
    g_assert_cmphex(finish(0), ==, OK);
    g_assert_cmphex(update(NORMAL, PAGE, false, 0), ==, INVALID_GUEST_STATE);
    psp_stop();
}

/* ---- the launch digest and the ID block */

#define LEN384 PSP_SHA384_LEN

static const uint64_t idb_policy_off = 0x58;

static void digest_page(uint8_t ld[LEN384], unsigned type, uint64_t gpa,
                        const uint8_t *page, uint32_t perms)
{
    uint8_t info[0x70] = {};

    memcpy(info, ld, LEN384);
    if (page) {
        amd_psp_sha384(info + 0x30, page, 0x1000);
    }
    stw_le_p(info + 0x60, sizeof(info));
    info[0x62] = type;
    info[0x64] = perms >> 24;
    info[0x65] = perms >> 16;
    info[0x66] = perms >> 8;
    stq_le_p(info + 0x68, gpa);
    amd_psp_sha384(ld, info, sizeof(info));
}

static void put_number(uint64_t addr, const uint8_t be[PSP_P384_LEN])
{
    uint8_t le[PSP_P384_LEN];

    for (int i = 0; i < PSP_P384_LEN; i++) {
        le[i] = be[PSP_P384_LEN - 1 - i];
    }
    qtest_memwrite(psp.qts, addr, le, sizeof(le));
}

static void put_key(uint64_t addr, const AmdPspEcKey *key)
{
    qtest_writel(psp.qts, addr, 2);
    put_number(addr + 4, key->pub.x);
    put_number(addr + 4 + 72, key->pub.y);
}

static void put_signature(uint64_t addr, const AmdPspEcKey *key, uint64_t data,
                          size_t len)
{
    g_autofree uint8_t *buf = g_malloc(len);
    uint8_t digest[LEN384];
    AmdPspEcSig sig;

    qtest_memread(psp.qts, data, buf, len);
    amd_psp_sha384(digest, buf, len);
    g_assert_true(amd_psp_ecdsa_sign(&sig, key, digest, sizeof(digest)));
    put_number(addr, sig.r);
    put_number(addr + 72, sig.s);
}

/* ID block at IN, its authentication at IN + 0x1000 */
static void make_id_block(const uint8_t ld[LEN384], uint64_t policy)
{
    const uint64_t auth = IN + 0x1000;
    AmdPspEcKey id, author;

    amd_psp_ec_generate(&id);
    amd_psp_ec_generate(&author);
    qtest_memset(psp.qts, IN, 0, 0x2000);
    qtest_memwrite(psp.qts, IN, ld, LEN384);
    qtest_memset(psp.qts, IN + 0x30, 0xfa, 16);
    qtest_writel(psp.qts, IN + 0x50, 1);
    poke(IN + idb_policy_off, policy);
    qtest_writel(psp.qts, auth, 1);
    qtest_writel(psp.qts, auth + 4, 1);
    put_signature(auth + 0x40, &id, IN, 0x60);
    put_key(auth + 0x240, &id);
    put_signature(auth + 0x680, &author, auth + 0x240, 0x404);
    put_key(auth + 0x880, &author);
}

#define ID_BLOCK 1
#define AUTHOR 2

static void test_digest(void)
{
    uint8_t ld[LEN384] = {};
    uint8_t page[0x1000], back[0x1000];
    static const unsigned types[] = { NORMAL, ZERO, UNMEASURED, SECRETS };

    guest_started(POLICY | POLICY_DEBUG);
    for (int i = 0; i < ARRAY_SIZE(types); i++) {
        memset(page, 0x11 * (i + 1), sizeof(page));
        qtest_memwrite(psp.qts, GUEST_PAGE(i), page, sizeof(page));
        rmp(GUEST_PAGE(i), GPA + i * 0x1000, ASID, false, true);
        g_assert_cmphex(update(types[i], GUEST_PAGE(i), false, 0x0f0d0500), ==,
                        OK);
        digest_page(ld, types[i], GPA + i * 0x1000,
                    types[i] == NORMAL ? page : NULL, 0x0f0d0500);
    }
    memset(page, 0, sizeof(page));
    stq_le_p(page + 0x3b0, 1);
    qtest_memwrite(psp.qts, GUEST_PAGE(4), page, sizeof(page));
    rmp(GUEST_PAGE(4), 0xfffffffff000, ASID, false, true);
    g_assert_cmphex(update(REGISTERS, GUEST_PAGE(4), false, 0), ==, OK);
    g_assert_cmphex(entry(GUEST_PAGE(4)), ==,
                    E_GUEST(ASID, 0xfffffffff000) | E_VALID | E_VMSA);
    digest_page(ld, REGISTERS, 0xfffffffff000, page, 0);

    /* The host sees ciphertext, and with the guest's leave the text. */
    qtest_memread(psp.qts, PAGE, back, sizeof(back));
    memset(page, 0x11, sizeof(page));
    g_assert_cmpint(memcmp(back, page, 16), !=, 0);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, PAGE },
                            { 16, 8, FW }), ==, OK);
    qtest_memread(psp.qts, FW, back, sizeof(back));
    g_assert_cmpmem(back, sizeof(back), page, sizeof(page));

    make_id_block(ld, POLICY | POLICY_DEBUG);
    qtest_writeb(psp.qts, IN, qtest_readb(psp.qts, IN) ^ 1);
    g_assert_cmphex(finish(ID_BLOCK), ==, BAD_SIGNATURE);
    ld[0] ^= 1;
    make_id_block(ld, POLICY | POLICY_DEBUG);
    g_assert_cmphex(finish(ID_BLOCK), ==, BAD_MEASUREMENT);
    ld[0] ^= 1;
    make_id_block(ld, POLICY);
    g_assert_cmphex(finish(ID_BLOCK), ==, POLICY_FAILURE);
    make_id_block(ld, POLICY | POLICY_DEBUG);
    qtest_writeb(psp.qts, IN + 0x1000 + 0x680,
                 qtest_readb(psp.qts, IN + 0x1000 + 0x680) ^ 1);
    g_assert_cmphex(finish(ID_BLOCK | AUTHOR), ==, BAD_SIGNATURE);
    qtest_writel(psp.qts, IN + 0x1000, 2);
    g_assert_cmphex(finish(ID_BLOCK), ==, INVALID_PARAM);
    make_id_block(ld, POLICY | POLICY_DEBUG);
    g_assert_cmphex(finish(AUTHOR), ==, INVALID_PARAM);
    g_assert_cmphex(finish(8), ==, INVALID_PARAM);
    g_assert_cmphex(finish(ID_BLOCK | AUTHOR), ==, OK);
    g_assert_cmphex(finish(0), ==, INVALID_GUEST_STATE);
    psp_stop();
}

static void test_secrets(void)
{
    guest_started(POLICY | POLICY_DEBUG);
    rmp(PAGE, GPA, ASID, false, true);
    g_assert_cmphex(update(SECRETS, PAGE, false, 0), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, PAGE },
                            { 16, 8, FW }), ==, OK);
    g_assert_cmphex(peek(FW), ==, 3);
    g_assert_cmphex(peek(FW + 8), ==, MILAN);           /* and no flags */
    for (int i = 0; i < 4; i++) {
        g_assert_cmphex(peek(FW + 0x20 + i * 32), !=, 0);
    }
    g_assert_cmphex(peek(FW + 0xa0), ==, 0);
    psp_stop();
}

static void put_cpuid(unsigned n, uint32_t leaf, uint32_t subleaf,
                      const uint32_t reg[4])
{
    uint64_t at = PAGE + 16 + n * 48;

    qtest_memset(psp.qts, at, 0, 48);
    qtest_writel(psp.qts, at, leaf);
    qtest_writel(psp.qts, at + 4, subleaf);
    poke(at + 8, leaf == 0xd ? 1 : 0);
    for (int i = 0; i < 4; i++) {
        qtest_writel(psp.qts, at + 24 + 4 * i, reg[i]);
    }
    qtest_writel(psp.qts, PAGE, n + 1);
}

/* What a page must not claim is corrected, and the page handed back. */
static void test_cpuid(void)
{
    static const uint32_t none[4] = {};
    static const struct {
        uint32_t leaf, subleaf, reg[4];
        unsigned bad, allowed;
    } rows[] = {
        { 0, 0, { 0xff }, 0, 0xd },
        { 1, 0, { 0, 0, 1 << 24 | 1 << 31 }, 2, 1U << 31 },
        { 7, 0, { 0, 1U << 30 }, 1, 0 },
        { 0xd, 0, { 3, 0x241 }, 1, 0x240 },
        { 0xd, 1, { 0, 0x100 }, 1, 0x240 },
        { 0x8000001f, 0, { 1U << 31, 51 }, 0, 0 },
        { 0x8000001f, 0, { 0, 47 }, 1, 51 },
    };

    guest_started(POLICY);
    qtest_memset(psp.qts, PAGE, 0, 0x1000);
    rmp(GUEST_PAGE(1), GPA, ASID, false, true);
    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        put_cpuid(0, rows[i].leaf, rows[i].subleaf, rows[i].reg);
        rmp(PAGE, GPA, ASID, false, true);
        g_assert_cmphex(update(CPUID, PAGE, false, 0), ==, INVALID_PARAM);
        g_assert_cmphex(entry(PAGE), ==, E_GUEST(ASID, GPA) | E_IMMUTABLE);
        g_assert_cmphex(qtest_readl(psp.qts, PAGE + 16 + 24 + 4 * rows[i].bad),
                        ==, rows[i].allowed);
        g_assert_cmphex(page_reclaim(PAGE), ==, OK);
        give_back(PAGE);
    }
    put_cpuid(0, 0x40000000, 0, none);          /* the hypervisor's own */
    qtest_writel(psp.qts, PAGE, 65);
    rmp(PAGE, GPA, ASID, false, true);
    g_assert_cmphex(update(CPUID, PAGE, false, 0), ==, INVALID_PARAM);
    g_assert_cmphex(page_reclaim(PAGE), ==, OK);
    give_back(PAGE);
    qtest_writel(psp.qts, PAGE, 1);
    rmp(PAGE, GPA, ASID, false, true);
    g_assert_cmphex(update(CPUID, PAGE, false, 0), ==, OK);
    g_assert_cmphex(entry(PAGE), ==, E_GUEST(ASID, GPA) | E_VALID);
    psp_stop();
}

static void test_debug(void)
{
    uint8_t page[0x1000], back[0x1000];

    guest_started(POLICY);
    rmp(PAGE, GPA, ASID, false, true);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, PAGE },
                            { 16, 8, FW }), ==, POLICY_FAILURE);
    psp_stop();

    guest_started(POLICY | POLICY_DEBUG);
    memset(page, 0x77, sizeof(page));
    qtest_memwrite(psp.qts, HOST, page, sizeof(page));
    rmp(PAGE, GPA, ASID, false, true);
    rmp(GUEST_PAGE(1), GPA + 0x1000, ASID + 1, false, true);
    rmp(GUEST_PAGE(2), GPA + 0x2000, ASID, false, false);
    g_assert_cmphex(PSP_CMD(SNP_DBG_ENCRYPT, { 0, 8, CTX }, { 8, 8, HOST },
                            { 16, 8, GUEST_PAGE(1) }), ==, INVALID_PAGE_OWNER);
    g_assert_cmphex(PSP_CMD(SNP_DBG_ENCRYPT, { 0, 8, CTX }, { 8, 8, HOST },
                            { 16, 8, GUEST_PAGE(2) }), ==, INVALID_PAGE_STATE);
    g_assert_cmphex(PSP_CMD(SNP_DBG_ENCRYPT, { 0, 8, CTX }, { 8, 8, HOST },
                            { 16, 8, PAGE }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, PAGE },
                            { 16, 8, HOST }), ==, INVALID_PAGE_STATE);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, HOST },
                            { 16, 8, FW }), ==, INVALID_PAGE_STATE);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX },
                            { 8, 8, GUEST_PAGE(1) }, { 16, 8, FW }), ==,
                    INVALID_PAGE_OWNER);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, PAGE },
                            { 16, 8, FW }), ==, OK);
    qtest_memread(psp.qts, FW, back, sizeof(back));
    g_assert_cmpmem(back, sizeof(back), page, sizeof(page));
    psp_stop();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/amd-psp-snp/init-checks", test_init_checks);
    qtest_add_func("/amd-psp-snp/init-rmp", test_init_rmp);
    qtest_add_func("/amd-psp-snp/init-list", test_init_list);
    qtest_add_func("/amd-psp-snp/platform-status", test_platform_status);
    qtest_add_func("/amd-psp-snp/config", test_config);
    qtest_add_func("/amd-psp-snp/shutdown", test_shutdown);
    qtest_add_func("/amd-psp-snp/reclaim", test_reclaim);
    qtest_add_func("/amd-psp-snp/unsmash", test_unsmash);
    qtest_add_func("/amd-psp-snp/legacy-output", test_legacy_output);
    qtest_add_func("/amd-psp-snp/context", test_context);
    qtest_add_func("/amd-psp-snp/policy", test_policy);
    qtest_add_func("/amd-psp-snp/activate", test_activate);
    qtest_add_func("/amd-psp-snp/update-checks", test_update_checks);
    qtest_add_func("/amd-psp-snp/digest", test_digest);
    qtest_add_func("/amd-psp-snp/secrets", test_secrets);
    qtest_add_func("/amd-psp-snp/cpuid", test_cpuid);
    qtest_add_func("/amd-psp-snp/debug", test_debug);
    return g_test_run();
}
