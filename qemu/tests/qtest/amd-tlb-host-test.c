/*
 * Translations of SVM guests and of their host: which of them are flushed
 *
 * The CPU calls routines for the test (amd-tlb-host.S), some of which run a guest.
 * Host and guest have a page of their own at the virtual address X.  The page
 * tables are changed behind the CPU's back, so that a translation that is still
 * cached shows by the page that X leads to.  No CPU has to cache anything, but
 * this one is known to, without which nothing could be seen to be flushed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "amd-snp-host-util.h"

extern const uint8_t tlb_loop[], tlb_loop_end[], tlb_stubs[];
extern const uint8_t tlb_guest[], tlb_guest_end[];
extern const uint8_t t_wrmsr[], t_rdmsr[], t_vmrun[], t_load[], t_invlpg[],
                     t_invlpga[], t_load_cr3[], t_patch_call[];
extern const uint8_t g_invlpg[], g_load_cr3[], g_load[], g_store[],
                     g_patch_call[], g_snp[], g_snp_load[];

/* Physical memory */
#define PT_OF_X         0x58000
#define HOST_A          0x60000
#define HOST_B          0x61000
#define OTHER           0x62000         /* instead of the guest's page A */

/* Guest physical memory; all of it is at the same virtual address as well. */
#define CODE            0x1000
#define GPD             0x5000
#define GPT             0x6000
#define GPT_OF_X        0x7000
#define GUEST_A         0x10000
#define GUEST_B         0x11000

#define X               0x40000000      /* virtual */
#define PTE             0x67            /* present, writable, user, A, D */
#define READ_ONLY       0x65

enum { FLUSH_NOTHING, FLUSH_ALL, FLUSH_ASID = 3, FLUSH_ASID_LOCAL = 7 };

/* Exit codes */
#define PAGE_FAULT      0x4e
#define VMMCALL         0x81
#define NPF             0x400
#define VMGEXIT         0x403

#define CR0             (VMCB + 0x558)
#define CR0_WP          0x10000

static void poke32(uint64_t addr, uint32_t val)
{
    qtest_writel(psp.qts, addr, val);
}

static uint64_t call(const uint8_t *routine, uint64_t a, uint64_t b, uint64_t c)
{
    Outcome o = run(LOOP + (routine - tlb_loop), a, b, c);

    g_assert_cmphex(o.vector, ==, NO_FAULT);
    return o.rax;
}

/* ---- bringing the machine up */

static void guest_tables(void)
{
    poke32(GUEST + GPD, GPT | PTE);
    for (uint32_t i = 0; i < 512; i++) {
        poke32(GUEST + GPT + 4 * i, i << 12 | PTE);
    }
    poke32(GUEST + GPD + 4 * (X >> 22), GPT_OF_X | PTE);
    poke32(GUEST + GPT_OF_X, GUEST_A | PTE);
}

static void start_machine(const char *memory, const char *cpu)
{
    g_autofree char *machine = g_strdup_printf(
        "-m %s -cpu EPYC-Milan,check=off,+svm,+npt,+lbrv,+nrip-save,"
        "+flushbyasid,sev-host=on%s", memory, cpu);

    start_with(machine, tlb_loop, tlb_loop_end - tlb_loop, tlb_stubs - tlb_loop);
    poke(PT_OF_X, HOST_A | PTE);
    poke(PD + 8 * (X >> 21), PT_OF_X | 7);
    call(t_wrmsr, MSR_HSAVE_PA, HSAVE, 0);
}

/* ---- the guest */

/* With paging */
static void guest_state(uint64_t save, const uint8_t *entry)
{
    flat_32bit_state(save, CODE + (entry - tlb_guest));
    poke(save + 0x150, GPD);                            /* CR3 */
    poke(save + 0x158, 0x80000011);                     /* CR0 */
}

static void fill_vmcb(void)
{
    qtest_memset(psp.qts, VMCB, 0, 0x1000);
    vmcb_field(0x08, 1 << 14);                          /* #PF */
    vmcb_field(0x10, 3);                                /* VMRUN, VMMCALL */
    vmcb_field(0x40, IOPM);
    vmcb_field(0x48, MSRPM);
    vmcb_field(0x90, 1);
    vmcb_field(0xb0, NPML4);
    guest_state(VMCB + 0x400, tlb_guest);
}

/* What the next VMRUN says of the TLB */
static void vmrun_tlb(uint32_t asid, uint8_t tlb_control)
{
    vmcb_field(0x58, asid | (uint64_t)tlb_control << 32);
}

static uint64_t guest_exit(const uint8_t *entry, uint32_t edx, uint32_t ecx)
{
    poke(VMCB + 0x578, CODE + (entry - tlb_guest));     /* RIP */
    call(t_vmrun, VMCB, ecx, edx);
    return peek(VMCB + 0x70);
}

static uint64_t guest(const uint8_t *entry, uint32_t edx, uint32_t ecx)
{
    g_assert_cmphex(guest_exit(entry, edx, ecx), ==, VMMCALL);
    return peek(VMCB + 0x5f8);
}

#define assert_guest_sees(val) g_assert_cmphex(guest(g_load, X, 0), ==, val)
#define assert_host_sees(val) g_assert_cmphex(call(t_load, X, 0, 0), ==, val)

static void remap_guest(uint32_t gpa)
{
    poke32(GUEST + GPT_OF_X, gpa | PTE);
}

static void remap_host(uint64_t pa)
{
    poke(PT_OF_X, pa | PTE);
}

/* Host and guest have X cached, as A, and it is B by now. */
static void make_stale(void)
{
    remap_guest(GUEST_A);
    remap_host(HOST_A);
    vmrun_tlb(ASID, FLUSH_ALL);
    assert_guest_sees(0xa);
    assert_host_sees(0x1a);
    remap_guest(GUEST_B);
    remap_host(HOST_B);
    vmrun_tlb(ASID, FLUSH_NOTHING);
    assert_guest_sees(0xa);
    assert_host_sees(0x1a);
}

static void start_guest(void)
{
    start_machine("128", "");
    qtest_memset(psp.qts, GUEST, 0, 0x20000);
    qtest_memwrite(psp.qts, GUEST + CODE, tlb_guest, tlb_guest_end - tlb_guest);
    guest_tables();
    fill_vmcb();
    poke(GUEST + GUEST_A, 0xa);
    poke(GUEST + GUEST_B, 0xb);
    poke(HOST_A, 0x1a);
    poke(HOST_B, 0x1b);
    poke(OTHER, 0xc);
    make_stale();
}

/* ---- VMRUN */

static void test_tlb_control(void)
{
    static const uint8_t all_that_flush[] = {
        FLUSH_ALL, FLUSH_ASID, FLUSH_ASID_LOCAL,
    };

    start_guest();
    for (int i = 0; i < ARRAY_SIZE(all_that_flush); i++) {
        make_stale();
        vmrun_tlb(ASID, all_that_flush[i]);
        assert_guest_sees(0xb);
        assert_host_sees(all_that_flush[i] == FLUSH_ALL ? 0x1b : 0x1a);
    }
    psp_stop();
}

/* Nor do they come back. */
static void test_other_asid(void)
{
    start_guest();
    vmrun_tlb(ASID + 1, FLUSH_NOTHING);
    assert_guest_sees(0xb);
    assert_host_sees(0x1a);
    remap_guest(GUEST_A);
    vmrun_tlb(ASID, FLUSH_ASID);
    assert_guest_sees(0xa);
    psp_stop();
}

/* A failed VMRUN has not run the other ASID. */
static void test_failed_vmrun(void)
{
    start_guest();
    vmrun_tlb(0, FLUSH_NOTHING);
    g_assert_cmphex(guest_exit(g_load, X, 0), ==, UINT64_MAX);
    assert_host_sees(0x1a);
    vmrun_tlb(ASID, FLUSH_NOTHING);
    assert_guest_sees(0xa);
    vmrun_tlb(ASID, FLUSH_ASID);
    assert_guest_sees(0xb);
    psp_stop();
}

/* Looked at on each access, not cached with the translation */
static void test_write_protect(void)
{
    uint64_t cr0 = 0x80000011;

    start_guest();
    poke32(GUEST + GPT_OF_X, GUEST_A | READ_ONLY);
    vmrun_tlb(ASID, FLUSH_ASID);
    guest(g_store, X, 0xaa);
    vmrun_tlb(ASID, FLUSH_NOTHING);
    poke(CR0, cr0 | CR0_WP);
    g_assert_cmphex(guest_exit(g_store, X, 0xab), ==, PAGE_FAULT);
    assert_guest_sees(0xaa);
    poke(CR0, cr0);
    guest(g_store, X, 0xac);
    g_assert_cmphex(peek(GUEST + GUEST_A), ==, 0xac);
    psp_stop();
}

/* ---- INVLPGA, and the flushes that are made in one mode */

static void test_invlpga(void)
{
    start_guest();
    call(t_invlpga, X, ASID, 0);
    assert_host_sees(0x1a);
    assert_guest_sees(0xb);

    make_stale();
    call(t_invlpga, X, ASID + 1, 0);
    call(t_invlpga, X + 0x1000, ASID, 0);
    assert_guest_sees(0xa);
    assert_host_sees(0x1a);

    call(t_invlpga, X, 0, 0);
    assert_guest_sees(0xa);
    assert_host_sees(0x1b);
    psp_stop();
}

static void test_host_flushes(void)
{
    start_guest();
    call(t_invlpg, X, 0, 0);
    assert_guest_sees(0xa);
    assert_host_sees(0x1b);

    make_stale();
    call(t_load_cr3, 0, 0, 0);
    assert_guest_sees(0xa);
    assert_host_sees(0x1b);
    psp_stop();
}

static void test_guest_flushes(void)
{
    start_guest();
    guest(g_invlpg, X, 0);
    assert_host_sees(0x1a);
    assert_guest_sees(0xb);

    make_stale();
    guest(g_load_cr3, 0, 0);
    assert_host_sees(0x1a);
    assert_guest_sees(0xb);
    psp_stop();
}

/* ---- nested tables */

static void test_nested(void)
{
    start_guest();
    remap_guest(GUEST_A);
    poke(NPT + 8 * (GUEST_A >> 12), OTHER | PTE);
    assert_guest_sees(0xa);
    vmrun_tlb(ASID, FLUSH_ASID);
    assert_guest_sees(0xc);

    poke(NPT + 8 * (GUEST_A >> 12), GUEST | GUEST_A | PTE);
    vmrun_tlb(ASID + 1, FLUSH_NOTHING);
    assert_guest_sees(0xa);
    psp_stop();
}

/* More rights need no flush: neither absence nor refusals are cached. */
static void test_more_rights(void)
{
    const uint64_t npte = NPT + 8 * (GUEST_A >> 12);

    start_guest();
    remap_guest(0);
    poke32(GUEST + GPT_OF_X, 0);
    poke(npte, 0);
    vmrun_tlb(ASID, FLUSH_ASID);
    g_assert_cmphex(guest_exit(g_load, X, 0), ==, PAGE_FAULT);
    vmrun_tlb(ASID, FLUSH_NOTHING);
    remap_guest(GUEST_A);
    g_assert_cmphex(guest_exit(g_load, X, 0), ==, NPF);
    poke(npte, GUEST | GUEST_A | READ_ONLY);
    assert_guest_sees(0xa);
    g_assert_cmphex(guest_exit(g_store, X, 0xaa), ==, NPF);
    poke(npte, GUEST | GUEST_A | PTE);
    guest(g_store, X, 0xaa);
    g_assert_cmphex(peek(GUEST + GUEST_A), ==, 0xaa);
    psp_stop();
}

/* ---- code */

/*
 * Translated code of one mode: neither executed by the other, nor kept when it
 * is overwritten after the other has written to its page at the same address.
 */
static void test_code(void)
{
    static const uint8_t code[] = { 0xb8, 0, 0, 0, 0, 0xc3 };

    start_guest();
    remap_guest(GUEST_A);
    remap_host(HOST_A);
    qtest_memwrite(psp.qts, GUEST + GUEST_A, code, sizeof(code));
    qtest_memwrite(psp.qts, HOST_A, code, sizeof(code));
    vmrun_tlb(ASID, FLUSH_ALL);
    for (uint32_t i = 1; i < 8; i++) {
        g_assert_cmphex(guest(g_patch_call, X, 0x100 + i), ==, 0x100 + i);
        vmrun_tlb(ASID, FLUSH_NOTHING);
        g_assert_cmphex(call(t_patch_call, X, 0x200 + i, 0), ==, 0x200 + i);
        g_assert_cmphex(call(t_patch_call, X, 0x300 + i, 0), ==, 0x300 + i);
    }
    psp_stop();
}

/* ---- SEV-SNP */

/* VMPL 0 may do anything. */
static void set_owner(uint64_t spa, uint64_t lo, uint8_t perms_of_vmpl_1)
{
    poke(entry_at(spa), lo);
    poke(entry_at(spa) + 8, 0x0f | perms_of_vmpl_1 << 8);
}

static void make_vmsa(const uint8_t *entry, uint8_t vmpl, uint64_t pcpu_id)
{
    set_owner(VMSA, 0, 0);
    qtest_memset(psp.qts, VMSA, 0, 0x1000);
    guest_state(VMSA, entry);
    qtest_writeb(psp.qts, VMSA + 0xca, vmpl);
    poke(VMSA + 0x3b0, 1);                              /* SNPActive */
    poke(VMSA + 0x3d8, pcpu_id);
    poke(VMSA + 0x3e8, 1);                              /* XCR0 */
    poke(VMSA + 0x408, 0x1f80);
    encrypt(VMSA);
    set_owner(VMSA, E_GUEST(ASID, 0xffff000) | E_VALID | E_VMSA, 0x0f);
}

static void start_snp_guest(void)
{
    static const uint64_t pages[] = {
        CODE, 0x3000, GPD, GPT, GPT_OF_X, GUEST_A, GUEST_B,
    };

    start_machine("3G", ",sev-snp-host=on");
    rmp_base = call(t_rdmsr, MSR_RMP_BASE, 0, 0);
    call(t_wrmsr, MSR_SYSCFG, call(t_rdmsr, MSR_SYSCFG, 0, 0) | SNP_EN, 0);
    g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 0 }), ==, OK);
    psp_wbinvd();
    g_assert_cmphex(PSP_CMD(CMD_DF_FLUSH), ==, OK);
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_START, { 0, 4, 0 }), ==, OK);
    psp.handle = psp_out32(0);
    g_assert_cmphex(PSP_CMD(CMD_ACTIVATE, { 0, 4, HANDLE }, { 4, 4, ASID }), ==,
                    OK);
    qtest_memset(psp.qts, GUEST, 0, 0x20000);
    qtest_memwrite(psp.qts, GUEST + CODE, tlb_guest, tlb_guest_end - tlb_guest);
    guest_tables();
    poke(GUEST + GUEST_A, 0xa);
    poke(GUEST + GUEST_B, 0xb);
    for (int i = 0; i < ARRAY_SIZE(pages); i++) {
        encrypt(GUEST + pages[i]);
        set_owner(GUEST + pages[i],
                  E_GUEST(ASID, pages[i]) | E_VALID,
                  pages[i] == GUEST_B ? 0 : 0x0f);
    }
    fill_vmcb();
    vmcb_field(0x90, 7);
    vmcb_field(0xb8, 1);                                /* LBR */
    vmcb_field(0x108, VMSA);
    vmrun_tlb(ASID, FLUSH_NOTHING);
}

static uint64_t snp_exit(void)
{
    call(t_vmrun, VMCB, 0, 0);
    return peek(VMCB + 0x70);
}

static void assert_snp_sees(uint64_t val)
{
    g_assert_cmphex(snp_exit(), ==, VMGEXIT);
    g_assert_cmphex(peek(VMCB + 0xa0), ==, val);
}

#define THIS_CPU        1               /* PCPU_ID, as the CPU writes it */

/*
 * The guest does not rely on the VMCB: a VMSA that says it has been elsewhere,
 * or nowhere, has nothing cached.
 */
static void test_snp_pcpu_id(void)
{
    static const struct {
        uint64_t pcpu_id, sees;
    } vmsas[] = {
        { THIS_CPU, 0xa }, { 0, 0xb }, { THIS_CPU + 1, 0xb },
    };

    for (int i = 0; i < ARRAY_SIZE(vmsas); i++) {
        start_snp_guest();
        make_vmsa(g_snp, 0, 0);
        assert_snp_sees(0xa);
        assert_snp_sees(0xa);
        make_vmsa(g_snp_load, 0, vmsas[i].pcpu_id);
        assert_snp_sees(vmsas[i].sees);
        psp_stop();
    }
}

/* Permissions are those of the VMPL: VMPL 1 has none of page B. */
static void test_snp_vmpl(void)
{
    start_snp_guest();
    make_vmsa(g_snp, 0, 0);
    assert_snp_sees(0xa);
    vmrun_tlb(ASID, FLUSH_ASID);
    assert_snp_sees(0xb);
    vmrun_tlb(ASID, FLUSH_NOTHING);
    make_vmsa(g_snp_load, 1, THIS_CPU);
    g_assert_cmphex(snp_exit(), ==, NPF);
    g_assert_cmphex(peek(VMCB + 0x80), ==, GUEST_B);
    make_vmsa(g_snp_load, 0, THIS_CPU);
    assert_snp_sees(0xb);
    psp_stop();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/amd-tlb-host/tlb-control", test_tlb_control);
    qtest_add_func("/amd-tlb-host/other-asid", test_other_asid);
    qtest_add_func("/amd-tlb-host/failed-vmrun", test_failed_vmrun);
    qtest_add_func("/amd-tlb-host/write-protect", test_write_protect);
    qtest_add_func("/amd-tlb-host/invlpga", test_invlpga);
    qtest_add_func("/amd-tlb-host/host-flushes", test_host_flushes);
    qtest_add_func("/amd-tlb-host/guest-flushes", test_guest_flushes);
    qtest_add_func("/amd-tlb-host/nested", test_nested);
    qtest_add_func("/amd-tlb-host/more-rights", test_more_rights);
    qtest_add_func("/amd-tlb-host/code", test_code);
    qtest_add_func("/amd-tlb-host/snp-pcpu-id", test_snp_pcpu_id);
    qtest_add_func("/amd-tlb-host/snp-vmpl", test_snp_vmpl);
    return g_test_run();
}
