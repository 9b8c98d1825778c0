/*
 * AMD Platform Security Processor: what the tests of SEV-SNP commands share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "amd-psp-snp-util.h"

uint64_t entry(uint64_t spa)
{
    return peek(entry_at(spa)) & ~0xff8ULL;
}

void rmp(uint64_t spa, uint64_t gpa, uint32_t asid, bool large,
         bool immutable)
{
    g_assert_cmphex(rmpupdate(spa, gpa, asid, true, large, immutable).rax, ==,
                    0);
}

void give_firmware(uint64_t spa)
{
    rmp(spa, 0, 0, false, true);
}

void give_back(uint64_t spa)
{
    g_assert_cmphex(rmpupdate(spa, 0, 0, false, false, false).rax, ==, 0);
}

unsigned page_reclaim(uint64_t spa)
{
    return PSP_CMD(SNP_PAGE_RECLAIM, { 0, 8, spa });
}

uint64_t msr(uint32_t index)
{
    return run(RDMSR, index, 0, 0).rax;
}

void host_ready_with(const char *more)
{
    start(more);
    assert_runs(WRMSR, MSR_SYSCFG, msr(MSR_SYSCFG) | MFDM);
    enable_snp();
    assert_runs(WRMSR, MSR_HSAVE_PA, 0);
}

void host_ready(void)
{
    host_ready_with("");
}

void snp_up(void)
{
    host_ready();
    g_assert_cmphex(PSP_CMD(SNP_INIT_EX, { 0, 4, 1 }), ==, OK);
    psp_wbinvd();
    g_assert_cmphex(PSP_CMD(SNP_DF_FLUSH), ==, OK);
    give_firmware(FW);
}

unsigned activate(uint64_t ctx, uint32_t asid)
{
    return PSP_CMD(SNP_ACTIVATE, { 0, 8, ctx }, { 8, 4, asid });
}

void guest_started(uint64_t policy)
{
    snp_up();
    give_firmware(CTX);
    g_assert_cmphex(PSP_CMD(SNP_GCTX_CREATE, { 0, 8, CTX }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_LAUNCH_START, { 0, 8, CTX }, { 8, 8, policy }),
                    ==, OK);
    g_assert_cmphex(activate(CTX, ASID), ==, OK);
}

unsigned update(unsigned type, uint64_t spa, bool large, uint32_t perms)
{
    return PSP_CMD(SNP_LAUNCH_UPDATE, { 0, 8, CTX },
                   { 8, 4, type << 1 | large }, { 0x10, 8, spa },
                   { 0x18, 4, perms });
}

unsigned finish(uint64_t flags)
{
    return PSP_CMD(SNP_LAUNCH_FINISH, { 0, 8, CTX }, { 8, 8, IN },
                   { 0x10, 8, IN + 0x1000 }, { 0x18, 8, flags });
}
