/*
 * SEV-SNP guest: what it may do with its pages, and what becomes of its exits
 *
 * The guest does one thing at a time for the test (g_serve in amd-es-host.S).  Its
 * pages are in the TLB most of the time, and those that change hands have to go.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-es-guest.h"

extern const uint8_t h_store[], h_psmash[], h_vmrun_state[];
extern const uint8_t g_serve[], g_pvalidate[];

enum { G_LOAD, G_STORE, G_CALL, G_PVALIDATE, G_RMPADJUST, G_RMPQUERY, G_CPUID,
       G_IN, G_CR0, G_CLTS, G_EFER, G_SET_XMM, G_GET_XMM };

#define NPF             0x400
#define VMGEXIT         0x403
#define NOT_VALIDATED   0x404
#define SNP_INIT        0x81
#define MFDM            (1ULL << 19)

/* EXITINFO1: present, user, RMP, final address, encrypted */
#define NPF_LOAD        (5 | 1ULL << 31 | 1ULL << 32 | 1ULL << 34)
#define NPF_STORE       (NPF_LOAD | 2)
#define NPF_FETCH       (NPF_LOAD | 0x10)
#define NPF_TABLE       (5 | 1ULL << 31 | 1ULL << 33 | 1ULL << 34)
#define NPF_VMPL        (1ULL << 36)

#define R               1
#define W               2
#define X_USER          4
#define X_SUPER         8

/* Flags of an answer, and what is above them */
#define CF              1
#define ZF              0x40
#define EDX(answer)     ((answer) >> 41)
#define ECX(answer)     ((answer) >> 40 & 1)
#define FLAGS(answer)   ((answer) >> 32 & 0xff)

static const uint64_t mine = E_GUEST(ASID, GDATA);

static void ask(unsigned op, uint32_t eax, uint64_t ecx, uint64_t edx)
{
    vmcb_field(0xa0, eax | (uint64_t)op << 32 | ecx << 36 | edx << 40);
}

/* What comes of it without further ado */
static uint64_t answer(unsigned op, uint32_t eax, uint64_t ecx, uint64_t edx)
{
    ask(op, eax, ecx, edx);
    g_assert_cmphex(exit_code(h_vmrun), ==, VMGEXIT);
    return peek(VMCB + 0xa0);
}

/* The same, after which the guest is lost in its handler */
static void assert_vc(unsigned op, uint32_t eax, uint64_t edx, uint64_t code)
{
    g_assert_cmphex(answer(op, eax, 0, edx), ==, code);
    g_assert_cmphex(peek(VMCB + 0x80), ==, 0);          /* EXITINFO2 */
}

static void assert_npf(uint64_t info, uint64_t gpa)
{
    g_assert_cmphex(exit_code(h_vmrun), ==, NPF);
    g_assert_cmphex(peek(VMCB + 0x78), ==, info);
    g_assert_cmphex(peek(VMCB + 0x80), ==, gpa);
}

static void serve(void (*prepare)(void))
{
    start_snp_guest(g_serve, prepare);
    assert_says(0);
}

/* ---- permissions and validation */

static void data_returns(void)
{
    qtest_writeb(psp.qts, GUEST + GDATA, 0xc3);         /* ret */
}

static void test_permissions(void)
{
    serve(data_returns);
    set_entry(GUEST + GDATA, mine | E_VALID, R);
    g_assert_cmphex((uint8_t)answer(G_LOAD, GDATA, 0, 0), ==, 0xc3);
    ask(G_STORE, GDATA, 0, 0xc3);
    assert_npf(NPF_STORE | NPF_VMPL, GDATA);
    set_entry(GUEST + GDATA, mine | E_VALID, R | W);
    g_assert_cmphex(exit_code(h_vmrun), ==, VMGEXIT);
    g_assert_cmphex(EDX(peek(VMCB + 0xa0)), ==, 0xc3);
    ask(G_CALL, GDATA, 0, 0);
    assert_npf(NPF_FETCH | NPF_VMPL, GDATA);
    set_entry(GUEST + GDATA, mine | E_VALID, R | W | X_USER);
    assert_npf(NPF_FETCH | NPF_VMPL, GDATA);
    set_entry(GUEST + GDATA, mine | E_VALID, X_SUPER);
    g_assert_cmphex(exit_code(h_vmrun), ==, VMGEXIT);
    ask(G_LOAD, GDATA, 0, 0);
    assert_npf(NPF_LOAD | NPF_VMPL, GDATA);
    psp_stop();
}

/* PVALIDATE of what is so already: CF, else ZF and PF, for EAX is 0 */
static void test_pvalidate(void)
{
    uint64_t a;

    serve(NULL);
    answer(G_LOAD, GDATA, 0, 0);
    a = answer(G_PVALIDATE, GDATA, 0, 1);
    g_assert_cmphex((uint32_t)a, ==, 0);
    g_assert_cmphex(FLAGS(a) & (CF | ZF), ==, CF | ZF);
    a = answer(G_PVALIDATE, GDATA, 2, 1);
    g_assert_cmphex((uint32_t)a, ==, 1);                /* FAIL_INPUT */
    a = answer(G_PVALIDATE, GDATA, 0, 0);
    g_assert_cmphex((uint32_t)a, ==, 0);
    g_assert_cmphex(FLAGS(a) & (CF | ZF), ==, ZF);
    g_assert_cmphex(peek(entry_at(GUEST + GDATA)), ==, mine);
    assert_vc(G_LOAD, GDATA, 0, NOT_VALIDATED);
    psp_stop();
}

static void in_user_mode(void)
{
    poke(VMSA + 0x10, 0xb | 0xcfb << 16 | 0xffffffffULL << 32);
    poke(VMSA + 0x20, 0xb | 0xcf3 << 16 | 0xffffffffULL << 32);
    qtest_writeb(psp.qts, VMSA + 0xcb, 3);
}

static void in_vmpl_1(void)
{
    qtest_writeb(psp.qts, VMSA + 0xca, 1);
}

/* Without a stack to handle #GP on, the guest shuts down. */
static void test_privilege(void)
{
    start_snp_guest(g_pvalidate, NULL);
    g_assert_cmphex(exit_code(h_vmrun), ==, VMGEXIT);
    psp_stop();
    start_snp_guest(g_pvalidate, in_user_mode);
    g_assert_cmphex(exit_code(h_vmrun), ==, 0x7f);
    psp_stop();
}

/* What VMPL 0 has given: nothing for the one below, but a page of its own */
static void test_vmpl(void)
{
    const uint64_t all = E_GUEST(ASID, 0) | E_VALID;

    start_snp_guest(g_serve, in_vmpl_1);
    for (uint64_t gpa = CODE; gpa <= GDATA; gpa += 0x1000) {
        set_entry(GUEST + gpa, all | gpa, ALL_PERMS | ALL_PERMS << 8);
    }
    assert_says(0);
    g_assert_cmphex(answer(G_RMPADJUST, GDATA, 0, 0x0101), ==,
                    2 | (uint64_t)(0x101 << 9 | 2) << 32);  /* itself */
    g_assert_cmphex((uint32_t)answer(G_RMPADJUST, GDATA, 0, 0x10102), ==, 2);
    g_assert_cmphex((uint32_t)answer(G_RMPADJUST, GDATA, 0, 0x20102), ==, 1);
    g_assert_cmphex((uint32_t)answer(G_RMPADJUST, GDATA, 0, 0x0302), ==, 0);
    g_assert_cmphex(peek(entry_at(GUEST + GDATA) + 8), ==, 0x30f0f);
    g_assert_cmphex((uint32_t)answer(G_RMPQUERY, GDATA, 0, 0), ==, 2);
    g_assert_cmphex(EDX(answer(G_RMPQUERY, GDATA, 1, 2)), ==, 0x0302);
    g_assert_cmphex(ECX(answer(G_RMPQUERY, GDATA, 1, 2)), ==, 0);
    answer(G_LOAD, GDATA, 0, 0);
    set_entry(GUEST + GDATA, mine | E_VALID, ALL_PERMS);
    qtest_writeb(psp.qts, VMCB + 0x5c, 3);              /* flush the ASID */
    ask(G_LOAD, GDATA, 0, 0);
    assert_npf(NPF_LOAD | NPF_VMPL, GDATA);
    set_entry(GUEST + GDATA, mine | E_VALID, ALL_PERMS | ALL_PERMS << 8);
    g_assert_cmphex(exit_code(h_vmrun), ==, VMGEXIT);
    g_assert_cmphex(answer(G_PVALIDATE, GDATA, 0, 0), ==, 0x6d);    /* #GP */
    psp_stop();
}

/* A page of 2M that is split is one of another size for its mapping. */
static void test_psmash(void)
{
    serve(NULL);
    set_entry(GUEST_2M, E_GUEST(ASID, 0x200000) | E_VALID | E_2M, ALL_PERMS);
    answer(G_LOAD, 0x200000, 0, 0);
    g_assert_cmphex(call(h_psmash, GUEST_2M, 0, 0), ==, 0);
    ask(G_LOAD, 0x200000, 0, 0);
    assert_npf(NPF_LOAD, 0x200000);
    psp_stop();
}

/* ---- page tables */

/* One entry, for 4 MB at 0; accessed and dirty already, or not */
static void with_table(uint32_t entry)
{
    qtest_writel(psp.qts, GUEST + GDATA, entry);
    poke(VMSA + 0x148, 0x10);                           /* CR4.PSE */
    poke(VMSA + 0x150, GDATA);
    poke(VMSA + 0x158, 0x80000011);
}

static void with_used_table(void)
{
    with_table(0xe3);
}

static void with_new_table(void)
{
    with_table(0x83);
}

/* Without PAE, everything is private.  A table is a page like others. */
static void test_tables(void)
{
    start_snp_guest(g_serve, with_used_table);
    set_entry(GUEST + GDATA, E_GUEST(ASID + 1, GDATA) | E_VALID, ALL_PERMS);
    assert_npf(NPF_TABLE | 0x10, GDATA);
    set_entry(GUEST + GDATA, E_GUEST(ASID, GDATA + 0x1000) | E_VALID,
              ALL_PERMS);
    assert_npf(NPF_TABLE | 0x10, GDATA);
    set_entry(GUEST + GDATA, mine | E_VALID, W | X_SUPER);
    assert_npf(NPF_TABLE | 0x10 | NPF_VMPL, GDATA);
    set_entry(GUEST + GDATA, mine | E_VALID, R);
    assert_says(0);
    psp_stop();

    start_snp_guest(g_serve, with_new_table);
    set_entry(GUEST + GDATA, mine | E_VALID, R);
    assert_npf(NPF_TABLE | 0x10 | NPF_VMPL, GDATA);
    set_entry(GUEST + GDATA, mine | E_VALID, R | W);
    assert_says(0);
    psp_stop();
}

/* ---- exits */

/* MMIO: the host has marked the page, and hears of it from the guest. */
static void test_mmio(void)
{
    serve(NULL);
    poke(NPT + 8 * 5, (GUEST + 0x5000) | 7 | 1ULL << 47);
    assert_vc(G_LOAD, 0x5000, 0, NPF);
    psp_stop();
}

/* Whatever the host wants to intercept, #VC itself included */
static void test_always_vc(void)
{
    serve(NULL);
    qtest_writel(psp.qts, VMCB + 8, 1u << 29);
    assert_vc(G_CPUID, 0, 0, 0x72);
    psp_stop();
    serve(NULL);
    assert_vc(G_IN, 0, 0x71, 0x7b);
    psp_stop();
}

static void assert_trap(unsigned op, uint32_t eax, uint64_t code, uint64_t info)
{
    ask(op, eax, 0, 0);
    g_assert_cmphex(exit_code(h_vmrun), ==, code);
    g_assert_cmphex(peek(VMCB + 0x78), ==, info);
}

/* After the write: the guest goes on with the next instruction. */
static void test_traps(void)
{
    serve(NULL);
    vmcb_field(0x10, 3 | 1 << 15 | 1 << 16);            /* EFER, CR0 */
    assert_trap(G_CR0, 0x19, 0x90, 0x19);
    g_assert_cmphex((uint32_t)exit_code(h_vmrun), ==, VMGEXIT);
    assert_trap(G_CLTS, 0, 0x90, 0x11);
    g_assert_cmphex(exit_code(h_vmrun), ==, VMGEXIT);
    g_assert_cmphex((uint32_t)peek(VMCB + 0xa0), ==, 0x11);
    assert_trap(G_EFER, 1, 0x8f, 0x1001);               /* SVME stays */
    g_assert_cmphex(exit_code(h_vmrun), ==, VMGEXIT);
    g_assert_cmphex((uint32_t)peek(VMCB + 0xa0), ==, 0x1001);
    vmcb_field(0x10, 3);
    g_assert_cmphex((uint32_t)answer(G_CR0, 0x11, 0, 0), ==, 0x11);
    psp_stop();
}

static void with_sse(void)
{
    poke(VMSA + 0x148, 0x200);
}

static void with_interrupts(void)
{
    poke(VMSA + 0x170, 0x202);
}

/* Nothing of the guest's is left in the registers. */
static void test_host_state(void)
{
    static const uint8_t saved[] = { 1, 2, 3, 5, 6, 7, 8, 15 };

    serve(with_sse);
    answer(G_SET_XMM, 0x12345678, 0, 0);
    for (int i = 0; i < ARRAY_SIZE(saved); i++) {
        poke(HSAVE + 0x400 + 0x300 + 8 * saved[i], 0xab00 + saved[i]);
    }
    ask(G_GET_XMM, 0, 0, 0);
    g_assert_cmphex(exit_code(h_vmrun_state), ==, VMGEXIT);
    g_assert_cmphex((uint32_t)peek(VMCB + 0xa0), ==, 0x12345678);
    for (int i = 0; i < ARRAY_SIZE(saved); i++) {
        g_assert_cmphex(peek(MAILBOX + 0x140 + 8 * saved[i]), ==,
                        0xab00 + saved[i]);
    }
    g_assert_cmphex(peek(MAILBOX + 0x1c0), ==, 0);      /* XMM0 */
    g_assert_cmphex((uint32_t)peek(MAILBOX + 0x1d0), ==, 0x1f80);
    g_assert_cmphex(peek(MAILBOX + 0x1d8), ==, 0);      /* CR2 */
    psp_stop();
}

static uint64_t vmsa_field(unsigned off)
{
    g_assert_cmphex(PSP_CMD(CMD_DBG_DECRYPT, { 0, 4, HANDLE }, { 8, 8, VMSA },
                            { 16, 8, OUT }, { 24, 4, 0x1000 }), ==, OK);
    return peek(OUT + off);
}

/* What the host may know of the guest, and the guest of its exit */
static void test_exit_state(void)
{
    serve(NULL);
    g_assert_cmphex(qtest_readl(psp.qts, VMCB + 0x68), ==, 0);
    g_assert_cmphex(peek(VMCB + 0x140), ==, 1);         /* SEV_FEATURES */
    ask(G_LOAD, 0x5000, 0, 0);
    assert_npf(NPF_LOAD, 0x5000);
    g_assert_cmphex(vmsa_field(0x3c0), ==, NPF);
    g_assert_cmphex(vmsa_field(0x390), ==, NPF_LOAD);
    g_assert_cmphex(vmsa_field(0x398), ==, 0x5000);
    g_assert_cmphex(vmsa_field(0x3a8), ==, vmsa_field(0x178));
    psp_stop();
    serve(with_interrupts);
    g_assert_cmphex(qtest_readl(psp.qts, VMCB + 0x68), ==, 2);
    psp_stop();
}

/* ---- the host: what firmware takes has to leave its TLB */

#define RMP             0x10000000      /* where the host's tables reach */
#define RMP_LEN         0x1000000

static void test_firmware_takes(void)
{
    es = false;
    boot_snp();
    wrmsr(MSR_RMP_BASE, RMP);
    wrmsr(MSR_RMP_BASE + 1, RMP + RMP_LEN - 1);
    wrmsr(MSR_SYSCFG, rdmsr(MSR_SYSCFG) | MFDM);
    wrmsr(MSR_SYSCFG, rdmsr(MSR_SYSCFG) | SNP_EN);
    wrmsr(MSR_HSAVE_PA, 0);
    call(h_store, RMP, 0, 0);
    g_assert_cmphex(PSP_CMD(SNP_INIT), ==, OK);
    g_assert_cmphex(run(routine(h_store), RMP, 0, 0).vector, ==, PF);
    psp_stop();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/amd-snp-guest/permissions", test_permissions);
    qtest_add_func("/amd-snp-guest/pvalidate", test_pvalidate);
    qtest_add_func("/amd-snp-guest/privilege", test_privilege);
    qtest_add_func("/amd-snp-guest/vmpl", test_vmpl);
    qtest_add_func("/amd-snp-guest/psmash", test_psmash);
    qtest_add_func("/amd-snp-guest/tables", test_tables);
    qtest_add_func("/amd-snp-guest/mmio", test_mmio);
    qtest_add_func("/amd-snp-guest/always-vc", test_always_vc);
    qtest_add_func("/amd-snp-guest/traps", test_traps);
    qtest_add_func("/amd-snp-guest/host-state", test_host_state);
    qtest_add_func("/amd-snp-guest/exit-state", test_exit_state);
    qtest_add_func("/amd-snp-guest/firmware-takes", test_firmware_takes);
    return g_test_run();
}
