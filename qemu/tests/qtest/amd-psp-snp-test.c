/*
 * AMD Platform Security Processor: commands of SEV-SNP
 *
 * The CPU of the test machine gives pages to firmware and to guests by RMPUPDATE,
 * as a host's kernel does, and takes them back.  What a command did to a page is
 * read off the RMP.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "amd-psp-snp-util.h"

static const uint64_t state_reclaim = E_ASSIGNED;
static const uint64_t state_firmware = E_ASSIGNED | E_IMMUTABLE;
static const uint64_t state_context = E_ASSIGNED | E_IMMUTABLE | E_VMSA;

static void reclaim(uint64_t spa)
{
    g_assert_cmphex(PSP_CMD(SNP_PAGE_RECLAIM, { 0, 8, spa }), ==, OK);
    give_back(spa);
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
    g_assert_cmphex(entry(CMDBUF), ==, ret == OK ? state_reclaim
                                                 : state_firmware);
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

/* A failed INIT_EX has not taken the TMR. */
static void test_init_ex(void)
{
    snp_up();
    rmp(TMR2M, 0, 0, true, true);
    for (uint64_t i = 0; i < NV_LEN; i += 0x1000) {
        qtest_memset(psp.qts, NV + i, 0x5a, 0x1000);
        give_firmware(NV + i);
    }
    g_assert_cmphex(PSP_CMD(CMD_INIT_EX, { 0, 4, 0x24 }, { 4, 4, 1 },
                            { 8, 8, TMR2M }, { 16, 4, 0x200000 },
                            { 24, 8, NV }, { 32, 4, NV_LEN }), ==,
                    SECURE_DATA_INVALID);
    g_assert_cmphex(page_reclaim(TMR2M | 1), ==, OK);
    psp_stop();
}

/* Of the buffer that INIT_EX was given, firmware writes to what it still has. */
static void test_nv_taken_back(void)
{
    uint64_t before;

    snp_up();
    for (uint64_t i = 0; i < NV_LEN; i += 0x1000) {
        qtest_memset(psp.qts, NV + i, 0xff, 0x1000);
        give_firmware(NV + i);
    }
    g_assert_cmphex(PSP_CMD(CMD_INIT_EX, { 0, 4, 0x24 }, { 24, 8, NV },
                            { 32, 4, NV_LEN }), ==, OK);
    before = peek(NV + 16);
    g_assert_cmphex(PSP_CMD(CMD_PDH_GEN), ==, OK);
    g_assert_cmphex(peek(NV + 16), !=, before);          /* new, encrypted */
    before = peek(NV + 16);
    reclaim(NV);
    rmp(NV, GPA, ASID, false, false);
    g_assert_cmphex(PSP_CMD(CMD_PDH_GEN), ==, OK);
    g_assert_cmphex(peek(NV + 16), ==, before);
    psp_stop();
}

/* ---- the IOMMU */

#define WITH_IOMMU      " -device amd-iommu"
#define IOMMU(reg)      (0xfed80000 + (reg))
#define IOMMU_EVENT_LOG IOMMU(0x10)
#define IOMMU_CONTROL   IOMMU(0x18)
#define IOMMU_EXCL_BASE IOMMU(0x20)     /* with SNP: completion wait stores */
#define IOMMU_EXCL_END  IOMMU(0x28)
#define IOMMU_EFR       IOMMU(0x30)
#define IOMMU_PPR_LOG   IOMMU(0x38)
#define LOG_LEN(order)  ((uint64_t)(order) << 56)   /* in 16 bytes */
#define EVENT_LOG       0x6000000
#define PPR_LOG         0x6200000
#define WAIT_STORES     0x6400000

static const uint64_t state_iommu =
    E_ASSIGNED | E_IMMUTABLE | 2ULL << 48 | 1ULL << 12;

static void test_init_iommu(void)
{
    host_ready_with(WITH_IOMMU);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, INVALID_CONFIG);
    poke(IOMMU_CONTROL, 1);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, OK);
    psp_stop();
}

/*
 * 8.9.2 "RMP initialization": what the IOMMU writes to is the firmware's, until
 * SNP_SHUTDOWN_EX.
 */
static void test_iommu_pages(void)
{
    static const struct {
        uint64_t base;
        unsigned pages;
    } ranges[] = { { EVENT_LOG, 1 }, { PPR_LOG, 2 }, { WAIT_STORES, 1 } };

    host_ready_with(WITH_IOMMU);
    poke(IOMMU_EVENT_LOG, EVENT_LOG | LOG_LEN(8));
    poke(IOMMU_PPR_LOG, PPR_LOG | LOG_LEN(9));
    poke(IOMMU_EXCL_BASE, WAIT_STORES);
    poke(IOMMU_EXCL_END, WAIT_STORES);
    poke(IOMMU_CONTROL, 1);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, OK);
    for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
        uint64_t end = ranges[i].base + ranges[i].pages * 0x1000;

        for (uint64_t spa = ranges[i].base; spa < end; spa += 0x1000) {
            g_assert_cmphex(entry(spa), ==, state_iommu);
            g_assert_cmphex(page_reclaim(spa), ==, INVALID_PAGE_STATE);
        }
        g_assert_cmphex(entry(end), ==, 0);
    }
    g_assert_cmphex(PSP_CMD(SNP_SHUTDOWN_EX, { 0, 4, 8 }, { 4, 4, 1 }), ==, OK);
    for (unsigned i = 0; i < ARRAY_SIZE(ranges); i++) {
        for (unsigned page = 0; page < ranges[i].pages; page++) {
            g_assert_cmphex(entry(ranges[i].base + page * 0x1000), ==,
                            state_reclaim);
            give_back(ranges[i].base + page * 0x1000);
        }
    }
    psp_stop();
}

/*
 * Linux allocates a PPR log for an IOMMU with PPRSup, programs it only where GTSup
 * and EPHSup are reported as well, and wants it back from the firmware in any
 * case: one without the other would leave it with a log that is nobody's.
 */
static void test_iommu_features(void)
{
    const uint64_t ppr = 1ULL << 1, gt = 1ULL << 4, eph = 1ULL << 50;

    host_ready_with(WITH_IOMMU);
    g_assert_cmphex(peek(IOMMU_EFR) >> 63, ==, 1);
    g_assert_cmphex(peek(IOMMU_EFR) & (ppr | gt | eph), ==, ppr | gt | eph);
    psp_stop();
}

/* ---- guests */

/* A response goes to one page of firmware's that is not part of a larger one. */
static void test_response_page(void)
{
    guest_started(POLICY);
    g_assert_cmphex(finish(0), ==, OK);
    rmp(LARGE, 0, 0, true, true);
    g_assert_cmphex(PSP_CMD(SNP_GUEST_REQUEST, { 0, 8, CTX }, { 8, 8, IN },
                            { 0x10, 8, HOST }), ==, INVALID_PAGE_STATE);
    g_assert_cmphex(PSP_CMD(SNP_GUEST_REQUEST, { 0, 8, CTX }, { 8, 8, IN },
                            { 0x10, 8, LARGE }), ==, INVALID_PAGE_SIZE);
    g_assert_cmphex(PSP_CMD(SNP_GUEST_REQUEST, { 0, 8, CTX }, { 8, 8, IN },
                            { 0x10, 8, FW }), ==, INVALID_PARAM);
    psp_stop();
}

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
    qtest_add_func("/amd-psp-snp/init-ex", test_init_ex);
    qtest_add_func("/amd-psp-snp/nv-taken-back", test_nv_taken_back);
    qtest_add_func("/amd-psp-snp/init-iommu", test_init_iommu);
    qtest_add_func("/amd-psp-snp/iommu-pages", test_iommu_pages);
    qtest_add_func("/amd-psp-snp/iommu-features", test_iommu_features);
    qtest_add_func("/amd-psp-snp/response-page", test_response_page);
    qtest_add_func("/amd-psp-snp/context", test_context);
    qtest_add_func("/amd-psp-snp/policy", test_policy);
    qtest_add_func("/amd-psp-snp/activate", test_activate);
    return g_test_run();
}
