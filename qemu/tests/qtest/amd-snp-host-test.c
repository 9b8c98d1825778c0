/*
 * SEV-SNP host: denials, provoked on a CPU that runs
 *
 * The CPU executes single instructions for the test (amd-snp-host.S).  Guests are
 * launched with the keys of the legacy commands; their RMP entries are stored
 * into the table by hand, as software can until the firmware has taken it over.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/units.h"
#include "amd-snp-host-util.h"

/* In the guest, which runs without paging: all of it is private. */
#define CODE            0x1000
#define GIDT            0x2000
#define GGDT            0x2800
#define GDATA           0x4000

#define MSR_TSEG_BASE   0xc0010112
#define MSR_SMM_KEY     0xc0010119

/* #PF by the RMP: present, @write, bit 31 */
static void assert_denied(uint64_t op, uint64_t addr)
{
    Outcome o = run(op, addr, 0x5a, 0);

    g_assert_cmphex(o.vector, ==, PF);
    g_assert_cmphex(o.error, ==, 0x80000001 | (op == STORE) << 1);
    g_assert_cmphex(o.cr2, ==, addr);
}

static void set_entry(uint64_t spa, uint64_t lo, uint64_t perms)
{
    poke(entry_at(spa) + 8, perms);
    poke(entry_at(spa), lo);
}

static void assign(uint64_t spa)
{
    g_assert_cmphex(rmpupdate(spa, 0x7000, ASID, true, false, false).rax, ==, 0);
}

/* ---- the host */

static void test_instructions_absent(void)
{
    start("");
    assert_fault(UD, RMPUPDATE, AREA_4K, STATE);
    assert_fault(UD, PSMASH, AREA_2M, 0);
    assert_runs(WRMSR, MSR_SYSCFG, run(RDMSR, MSR_SYSCFG, 0, 0).rax | SNP_EN);
    assert_fault(UD, RMPREAD, AREA_4K, STATE);          /* not offered */
    assert_fault(UD, PVALIDATE, AREA_4K, 0);            /* the guest's */
    assert_runs(PSMASH, AREA_2M, 0);
    psp_stop();
    start_snp(",sev-rmpread=on");
    assign(AREA_4K);
    g_assert_cmphex(run(RMPREAD, AREA_4K, STATE, 0).rax, ==, 0);
    g_assert_cmphex(peek(STATE), ==, 0x7000);
    g_assert_cmphex(peek(STATE + 8), ==, 0x201 | (uint64_t)ASID << 32);
    psp_stop();
}

static void test_msrs(void)
{
    uint64_t syscfg;

    start("");
    assert_runs(WRMSR, MSR_SMM_KEY, 0);
    assert_runs(WRMSR, MSR_TSEG_BASE, 0x7f000000);      /* locked */
    g_assert_cmphex(run(RDMSR, MSR_TSEG_BASE, 0, 0).rax, ==, 0);
    enable_snp();
    syscfg = run(RDMSR, MSR_SYSCFG, 0, 0).rax;
    g_assert_cmphex(syscfg & SNP_EN, ==, SNP_EN);
    assert_runs(WRMSR, MSR_SYSCFG, 0);
    g_assert_cmphex(run(RDMSR, MSR_SYSCFG, 0, 0).rax, ==, syscfg);
    assert_fault(GP, WRMSR, MSR_TOP_MEM, 0x80000000);
    assert_fault(GP, WRMSR, MSR_SMM_KEY, 0);
    assert_fault(GP, WRMSR, MSR_RMP_BASE, 0x80000000);
    assert_fault(GP, WRMSR, 0x250, 0);
    g_assert_cmphex(run(RDMSR, MSR_RMP_BASE, 0, 0).rax, ==, rmp_base);
    psp_stop();
}

/* Results, flags, and what is in the table afterwards */
static void test_rmpupdate(void)
{
    Outcome o;

    start_snp("");
    o = rmpupdate(AREA_4K, 0x7000, ASID, true, false, false);
    g_assert_cmphex(o.rax, ==, 0);
    g_assert_cmphex(o.flags & 0xfd7, ==, 0x46);         /* ZF, PF */
    g_assert_cmphex(peek(entry_at(AREA_4K)), ==, E_GUEST(ASID, 0x7000));
    g_assert_cmphex(peek(entry_at(AREA_4K) + 8), ==, ALL_PERMS);
    o = rmpupdate(AREA_4K + 8, 0, 0, false, false, false);
    g_assert_cmphex(o.rax, ==, 1);
    g_assert_cmphex(o.flags & 0xfd7, ==, 2);
    o = rmpupdate(AREA_4K, 0, ASID, true, true, false);
    g_assert_cmphex(o.rax, ==, 4);
    g_assert_cmphex(rmpupdate(AREA_4K, 0, 0, true, false, true).rax, ==, 0);
    g_assert_cmphex(rmpupdate(AREA_4K, 0, 0, false, false, false).rax, ==, 2);
    g_assert_cmphex(run(PSMASH, AREA_4K, 0, 0).rax, ==, 2);
    g_assert_cmphex(rmpupdate(AREA_2M, 0, ASID, true, true, false).rax, ==, 0);
    g_assert_cmphex(rmpupdate(AREA_2M, 0, 0, false, false, false).rax, ==, 4);
    set_entry(AREA_2M + 0x5000, peek(entry_at(AREA_2M + 0x5000)), 1ULL << 56);
    g_assert_cmphex(run(PSMASH, AREA_2M, 0, 0).rax, ==, 3);     /* in use */
    g_assert_cmphex(rmpupdate(AREA_2M, 0, 0, false, true, false).rax, ==, 3);
    set_entry(AREA_2M + 0x5000, peek(entry_at(AREA_2M + 0x5000)), 0);
    g_assert_cmphex(run(PSMASH, AREA_2M, 0, 0).rax, ==, 0);
    g_assert_cmphex(rmpupdate(AREA_2M, 0, 0, false, false, false).rax, ==, 0);
    psp_stop();
}

/* An assigned page: nobody but its owner writes to it; reading is free. */
static void test_host_store(void)
{
    start_snp("");
    assert_runs(STORE, AREA_4K, 0x11);                  /* in the TLB */
    assign(AREA_4K);
    assert_denied(STORE, AREA_4K);
    assert_runs(LOAD, AREA_4K, 0);
    assert_denied(STORE, AREA_4K);
    assert_runs(STORE, AREA_4K + 0x1000, 0x22);
    poke(AREA_4K, 0x33);                                /* as a device does */
    g_assert_cmphex(peek(AREA_4K), ==, 0x11);
    g_assert_cmphex(rmpupdate(AREA_4K, 0, 0, false, false, false).rax, ==, 0);
    assert_runs(STORE, AREA_4K, 0x44);
    poke(AREA_4K + 8, 0x55);
    g_assert_cmphex(peek(AREA_4K), ==, 0x44);
    g_assert_cmphex(peek(AREA_4K + 8), ==, 0x55);
    psp_stop();
}

/* One assigned 4K page spoils the 2M mapping that it is in. */
static void test_host_store_2m(void)
{
    start_snp("");
    assign(AREA_2M + 0x1000);
    assert_denied(STORE, AREA_2M + 0x3000);
    assert_runs(LOAD, AREA_2M + 0x3000, 0);
    assert_runs(STORE, AREA_2M + 0x200000, 0);
    psp_stop();
}

/*
 * The translation is in use again when another one has taken its place before, of
 * a page whose number has other low bits.
 */
static void test_host_store_back(void)
{
    const uint64_t other = AREA_4K + MiB, large = AREA_4K + 128 * MiB;
    Outcome o;

    start_snp("");
    rmp_state(STATE2, 0x200000, ASID, true, true, false);
    rmp_state(STATE, 0x7000, ASID, true, false, false);
    poke(PT + 8 * 256, peek(PT + 8 * 257));
    o = run(STORE_BACK, AREA_4K, other, large);
    g_assert_cmphex(peek(entry_at(large)) & (E_ASSIGNED | E_2M), ==,
                    E_ASSIGNED | E_2M);
    g_assert_cmphex(peek(entry_at(AREA_4K)) & E_ASSIGNED, ==, E_ASSIGNED);
    g_assert_cmphex(o.vector, ==, PF);
    g_assert_cmphex(o.error, ==, 0x80000003);
    g_assert_cmphex(o.cr2, ==, AREA_4K);
    psp_stop();
}

static void test_host_page_table(void)
{
    start_snp("");
    assert_runs(LOAD, AREA_4K, 0);
    assign(PT);
    assert_denied(LOAD, AREA_4K);
    assert_denied(STORE, AREA_4K);
    psp_stop();
}

static void test_vmrun_pages(void)
{
    start_snp("");
    assign(VMCB);
    assert_fault(GP, VMRUN, VMCB, 0);
    assert_fault(GP, WRMSR, MSR_HSAVE_PA, VMCB);
    g_assert_cmphex(rmpupdate(VMCB, 0, 0, false, false, false).rax, ==, 0);
    assert_runs(WRMSR, MSR_HSAVE_PA, 0);
    assert_fault(GP, VMRUN, VMCB, 0);
    psp_stop();
}

/* ---- guests */

static void guest_state(uint64_t save)
{
    flat_32bit_state(save, CODE);
    descriptor_tables(save, GGDT, GIDT);
}

static void fill_vmcb(bool snp)
{
    qtest_memset(psp.qts, VMCB, 0, 0x1000);
    vmcb_field(0x0c, 1ULL << 24 | 1ULL << 31 << 1);     /* HLT, VMRUN */
    vmcb_field(0x10, 1);
    vmcb_field(0x40, IOPM);
    vmcb_field(0x48, MSRPM);
    vmcb_field(0x58, ASID);
    vmcb_field(0x90, snp ? 7 : 1);
    vmcb_field(0xb0, NPML4);
    vmcb_field(0xb8, 1);                                /* LBR */
    vmcb_field(0x108, VMSA);
    if (!snp) {
        guest_state(VMCB + 0x400);
    }
}

/* The guest's #VC handler: the error code becomes the GHCB MSR, and exits. */
#define REPORT  "\x31\xd2\xb9\x30\x01\x01\xc0\x0f\x30\xf3\x0f\x01\xd9"
#define HANDLER "\x58" REPORT

/* A guest that runs @code; what it touches is assigned, and validated. */
static void make_guest(const char *code, size_t len)
{
    static const uint64_t pages[] = { CODE, GIDT, 0x3000, GDATA };

    start_snp("");
    g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 0 }), ==, OK);
    psp_wbinvd();
    g_assert_cmphex(PSP_CMD(CMD_DF_FLUSH), ==, OK);
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_START, { 0, 4, 0 }), ==, OK);
    psp.handle = psp_out32(0);
    g_assert_cmphex(PSP_CMD(CMD_ACTIVATE, { 0, 4, HANDLE }, { 4, 4, ASID }), ==,
                    OK);
    qtest_memset(psp.qts, VMSA, 0, 0x1000);
    guest_state(VMSA);
    poke(VMSA + 0x3b0, 1);                              /* SNPActive */
    poke(VMSA + 0x3e8, 1);                              /* XCR0 */
    poke(VMSA + 0x408, 0x1f80);
    qtest_memset(psp.qts, GUEST, 0, 0x8000);
    qtest_memwrite(psp.qts, GUEST + CODE, code, len);
    qtest_memwrite(psp.qts, GUEST + CODE + 0x800, HANDLER, sizeof(HANDLER));
    poke(GUEST + GIDT + 29 * 8, (CODE + 0x800) | 8 << 16 | 0x8eULL << 40);
    poke(GUEST + GGDT + 8, 0x00cf9b000000ffff);
    encrypt(VMSA);
    set_entry(VMSA, E_GUEST(ASID, 0xffff000) | E_VMSA | E_VALID, ALL_PERMS);
    for (int i = 0; i < ARRAY_SIZE(pages); i++) {
        encrypt(GUEST + pages[i]);
        set_entry(GUEST + pages[i], E_GUEST(ASID, pages[i]) | E_VALID,
                  ALL_PERMS);
    }
    fill_vmcb(true);
}

#define MAKE_GUEST(code) make_guest(code REPORT, sizeof(code REPORT) - 1)

static uint64_t exit_code(void)
{
    assert_runs(VMRUN, VMCB, 0);
    return peek(VMCB + 0x70);
}

static void assert_npf(uint64_t info_1, uint64_t gpa)
{
    g_assert_cmphex(exit_code(), ==, 0x400);
    g_assert_cmphex(peek(VMCB + 0x78), ==, info_1);
    g_assert_cmphex(peek(VMCB + 0x80), ==, gpa);
}

/* RMP, ENC, final translation, user, present; with W for stores */
#define NPF_LOAD        0x580000005ULL
#define NPF_STORE       0x580000007ULL
#define NPF_VMPL        (1ULL << 36)
#define NPF_SIZEM       (1ULL << 35)

#define LOAD_DATA       "\xa1\x00\x40\x00\x00"          /* mov 0x4000, %eax */
#define STORE_DATA      "\xa3\x00\x40\x00\x00"

static void assert_reported(uint64_t val)
{
    g_assert_cmphex(exit_code(), ==, 0x403);
    g_assert_cmphex(peek(VMCB + 0xa0), ==, val);
}

/* A guest without SNP that writes to somebody else's page */
static void test_plain_guest_store(void)
{
    start_snp("");
    qtest_memset(psp.qts, GUEST, 0, 0x8000);
    qtest_memwrite(psp.qts, GUEST + CODE, STORE_DATA "\xf4", 6);
    fill_vmcb(false);
    g_assert_cmphex(exit_code(), ==, 0x78);
    fill_vmcb(false);
    assign(GUEST + GDATA);
    assert_npf(0x180000007ULL, GDATA);
    psp_stop();
}

static void test_guest_access(void)
{
    const uint64_t data = GUEST + GDATA;

    MAKE_GUEST(LOAD_DATA STORE_DATA);
    set_entry(data, E_GUEST(ASID, GDATA), ALL_PERMS);
    assert_reported(0x404);                             /* not validated */
    psp_stop();

    MAKE_GUEST(LOAD_DATA STORE_DATA);
    set_entry(data, 0, 0);
    assert_npf(NPF_LOAD, GDATA);                        /* not assigned */
    set_entry(data, E_GUEST(ASID + 1, GDATA) | E_VALID, ALL_PERMS);
    assert_npf(NPF_LOAD, GDATA);                        /* wrong ASID */
    set_entry(data, E_GUEST(ASID, GDATA + 0x1000) | E_VALID, ALL_PERMS);
    assert_npf(NPF_LOAD, GDATA);                        /* wrong GPA */
    set_entry(data, E_GUEST(ASID, GDATA) | E_VALID | E_IMMUTABLE, ALL_PERMS);
    assert_npf(NPF_LOAD, GDATA);
    set_entry(data, E_GUEST(ASID, GDATA) | E_VALID, 0);
    assert_npf(NPF_LOAD | NPF_VMPL, GDATA);
    set_entry(data, E_GUEST(ASID, GDATA) | E_VALID, 1);
    assert_npf(NPF_STORE | NPF_VMPL, GDATA);
    set_entry(data, E_GUEST(ASID, GDATA) | E_VALID, 3);
    assert_reported(0);
    psp_stop();
}

/* Nested 4K page and 2M entry, and the other way round */
static void test_guest_sizes(void)
{
    MAKE_GUEST("\xa1\x00\x00\x20\x00\x31\xc0");   /* mov 0x200000, %eax; xor */
    set_entry(GUEST_2M, E_GUEST(ASID, 0x200000) | E_VALID, ALL_PERMS);
    assert_npf(NPF_LOAD, 0x200000);
    set_entry(GUEST_2M, E_GUEST(ASID, 0x200000) | E_VALID | E_2M, ALL_PERMS);
    assert_reported(0);
    psp_stop();

    MAKE_GUEST("\xa1\x00\x00\x20\x00");
    poke(NPD + 8, (NPT + 0x1000) | 7);
    poke(NPT + 0x1000, GUEST_2M | 7);
    set_entry(GUEST_2M, E_GUEST(ASID, 0x200000) | E_VALID | E_2M, ALL_PERMS);
    assert_npf(NPF_LOAD, 0x200000);
    psp_stop();
}

/* mov $0x4000, %eax; mov $size, %ecx; mov $validate, %edx; pvalidate */
#define GUEST_PVALIDATE(gpa, size, validate) \
    "\xb8\x00" gpa "\x00\xb9" size "\x00\x00\x00\xba" validate \
    "\x00\x00\x00\xf2\x0f\x01\xff"

static void test_pvalidate(void)
{
    MAKE_GUEST(GUEST_PVALIDATE("\x40\x00", "\x00", "\x01") LOAD_DATA);
    set_entry(GUEST + GDATA, E_GUEST(ASID, GDATA), ALL_PERMS);
    assert_reported(0);
    g_assert_cmphex(peek(entry_at(GUEST + GDATA)), ==,
                    E_GUEST(ASID, GDATA) | E_VALID);
    psp_stop();

    MAKE_GUEST(GUEST_PVALIDATE("\x40\x00", "\x00", "\x00") LOAD_DATA);
    assert_reported(0x404);                             /* rescinded */
    psp_stop();

    MAKE_GUEST(GUEST_PVALIDATE("\x00\x20", "\x00", "\x01"));
    set_entry(GUEST_2M, E_GUEST(ASID, 0x200000) | E_2M, ALL_PERMS);
    assert_npf(NPF_LOAD | NPF_SIZEM, 0x200000);
    psp_stop();

    MAKE_GUEST(GUEST_PVALIDATE("\x00\x20", "\x01", "\x01"));
    set_entry(GUEST_2M, E_GUEST(ASID, 0x200000), ALL_PERMS);
    assert_reported(6);                                 /* FAIL_SIZEMISMATCH */
    psp_stop();
}

static void test_vmsa(void)
{
    const uint64_t good = E_GUEST(ASID, 0xffff000) | E_VMSA | E_VALID;
    static const uint64_t bad[] = {
        0,
        E_GUEST(ASID, 0xffff000) | E_VALID,             /* not a VMSA */
        E_GUEST(ASID, 0xffff000) | E_VMSA,
        E_GUEST(ASID + 1, 0xffff000) | E_VMSA | E_VALID,
        E_GUEST(ASID, 0xffff000) | E_VMSA | E_VALID | E_IMMUTABLE,
    };

    MAKE_GUEST("\x31\xc0");                             /* xor %eax, %eax */
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        set_entry(VMSA, bad[i], ALL_PERMS);
        g_assert_cmphex(exit_code(), ==, UINT64_MAX);
        /* and no mark is left behind */
        g_assert_cmphex(peek(entry_at(VMSA) + 8), ==, ALL_PERMS);
        g_assert_cmphex(peek(entry_at(VMCB) + 8), ==, 0);
    }
    set_entry(VMSA, good, 1ULL << 56 | ALL_PERMS);      /* in use elsewhere */
    g_assert_cmphex(exit_code(), ==, UINT64_MAX);
    set_entry(VMSA, good, ALL_PERMS);
    assert_reported(0);
    g_assert_cmphex(peek(entry_at(VMSA) + 8), ==, ALL_PERMS);
    psp_stop();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/amd-snp-host/absent", test_instructions_absent);
    qtest_add_func("/amd-snp-host/msrs", test_msrs);
    qtest_add_func("/amd-snp-host/rmpupdate", test_rmpupdate);
    qtest_add_func("/amd-snp-host/store", test_host_store);
    qtest_add_func("/amd-snp-host/store-2m", test_host_store_2m);
    qtest_add_func("/amd-snp-host/store-back", test_host_store_back);
    qtest_add_func("/amd-snp-host/page-table", test_host_page_table);
    qtest_add_func("/amd-snp-host/vmrun-pages", test_vmrun_pages);
    qtest_add_func("/amd-snp-host/plain-guest", test_plain_guest_store);
    qtest_add_func("/amd-snp-host/guest-access", test_guest_access);
    qtest_add_func("/amd-snp-host/guest-sizes", test_guest_sizes);
    qtest_add_func("/amd-snp-host/pvalidate", test_pvalidate);
    qtest_add_func("/amd-snp-host/vmsa", test_vmsa);
    return g_test_run();
}
