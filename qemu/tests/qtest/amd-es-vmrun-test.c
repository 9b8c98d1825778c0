/*
 * World switches: what VMRUN refuses of encrypted guests, and what their host
 * gets to see
 *
 * A VMRUN that is refused leaves the guest as it was, which runs afterwards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-es-guest.h"

extern const uint8_t h_load[], h_vmrun_smi[], h_flush_smap[], h_init_lost[];
extern const uint8_t g_nmi[], g_busy[], g_status[], g_vmsave[];

#define SMIS            0x39000         /* counted by the handler */
#define NO_KEY          100             /* ASID of a plain SEV guest */
#define ASIDS           509
#define HWERROR_PLATFORM 0x13

#define MSR_PAT         0x277
#define MSR_EFER        0xc0000080
#define MSR_HWCR        0xc0010015
#define MSR_PAGE_FLUSH  0xc001011e
#define SMM_LOCK        1
#define MEM_ENCRYPT     (1ULL << 23)

static void snapshot(uint64_t spa, uint8_t page[0x1000])
{
    qtest_memread(psp.qts, spa, page, 0x1000);
}

static void restore(uint64_t spa, const uint8_t page[0x1000])
{
    qtest_memwrite(psp.qts, spa, page, 0x1000);
}

/* ... without a trace but in the VMCB */
static void assert_refused(const char *why)
{
    uint64_t vmsa = peek(VMCB + 0x108);
    uint8_t before[0x1000], after[0x1000];
    uint64_t code;

    g_test_message("%s", why);
    snapshot(VMSA, before);
    vmcb_field(0x78, 0xdead);
    vmcb_field(0x80, 0xdead);
    code = exit_code(h_vmrun);
    g_assert_cmphex(code, ==, INVALID);
    g_assert_cmphex(peek(VMCB + 0x78), ==, 0);
    g_assert_cmphex(peek(VMCB + 0x80), ==, 0);
    g_assert_cmphex(peek(VMCB + 0x108), ==, vmsa);
    snapshot(VMSA, after);
    g_assert_cmpmem(before, 0x1000, after, 0x1000);
}

/* ---- VMCB and VMSA */

typedef struct Change {
    const char *what;
    struct {
        unsigned off, size;
        uint64_t val;
    } field[4];
} Change;

static void apply(uint64_t base, const Change *c)
{
    for (int i = 0; i < ARRAY_SIZE(c->field) && c->field[i].size; i++) {
        uint64_t val = cpu_to_le64(c->field[i].val);

        qtest_memwrite(psp.qts, base + c->field[i].off, &val,
                       c->field[i].size);
    }
}

#define AT(off, size, val) { off, size, val }

static const Change bad_vmcbs[] = {
    { "ES without SEV", { AT(0x90, 8, 5) } },
    { "ES without nested paging", { AT(0x90, 8, 6) } },
    { "no LBR virtualization", { AT(0xb8, 8, 0) } },
    { "ASID without a key", { AT(0x58, 4, ASID + 1) } },
    { "ASID beyond the last", { AT(0x58, 4, ASIDS + 1) } },
    { "VMSA not at a page", { AT(0x108, 8, VMSA + 0x10) } },
    { "VMSA nowhere", { AT(0x108, 8, ABSENT) } },
    { "VMSA that is none", { AT(0x108, 8, VMSA + 0x100000) } },
    { "INT n injected", { AT(0xa8, 4, 0x80000480) } },
    { "#BP injected", { AT(0xa8, 4, 0x80000303) } },
    { "#OF injected", { AT(0xa8, 4, 0x80000304) } },
    { "NMI as an exception", { AT(0xa8, 4, 0x80000302) } },
    { "an event that does not exist", { AT(0xa8, 4, 0x80000120) } },
};

static void test_vmcb(void)
{
    uint8_t good[0x1000];

    es = true;
    start_guest("-vnmi", g_nmi);
    snapshot(VMCB, good);
    for (int i = 0; i < ARRAY_SIZE(bad_vmcbs); i++) {
        apply(VMCB, &bad_vmcbs[i]);
        assert_refused(bad_vmcbs[i].what);
        restore(VMCB, good);
    }
    assert_says(0x11);
    psp_stop();
}

static const Change bad_vmsas[] = {
    { "EFER.SVME clear", { AT(0xd0, 8, 0) } },
    { "EFER reserved", { AT(0xd0, 8, 0x11000) } },
    { "CR0 reserved", { AT(0x158, 8, 0x100000011) } },
    { "CR0.NW without CD", { AT(0x158, 8, 0x20000011) } },
    { "CR4 reserved", { AT(0x148, 8, 1ULL << 31) } },
    { "DR6 reserved", { AT(0x168, 8, 1ULL << 32) } },
    { "DR7 reserved", { AT(0x160, 8, 1ULL << 32) } },
    { "PAT", { AT(0x268, 8, 2) } },
    { "long mode without PAE",
      { AT(0xd0, 8, 0x1100), AT(0x158, 8, 0x80000011) } },
    { "long mode without protection",
      { AT(0xd0, 8, 0x1100), AT(0x158, 8, 0x80000010), AT(0x148, 8, 0x20) } },
    { "64-bit and 32-bit code at once",
      { AT(0xd0, 8, 0x1100), AT(0x158, 8, 0x80000011), AT(0x148, 8, 0x20),
        AT(0x10, 4, 8 | 0xe9bu << 16) } },
    { "CR3 reserved", { AT(0xd0, 8, 0x1500), AT(0x158, 8, 0x80000011),
                        AT(0x148, 8, 0x20), AT(0x150, 8, 1ULL << 50) } },
    { "SNPActive without SNP", { AT(0x3b0, 8, 1) } },
    { "vTOM", { AT(0x3b0, 8, 1 << 1) } },
    { "restricted injection", { AT(0x3b0, 8, 1 << 3) } },
    { "Secure TSC", { AT(0x3b0, 8, 1 << 9) } },
};

/* Each one is launched: its checksum is right. */
static void test_vmsa(void)
{
    uint8_t good[0x1000];

    es = true;
    boot("-vnmi");
    place_guest(g_nmi);
    snapshot(VMSA, good);
    launch_guest();
    for (int i = 0; i < ARRAY_SIZE(bad_vmsas); i++) {
        uint64_t vmsa = VMSA + 0x1000 * (i + 1);

        restore(vmsa, good);
        apply(vmsa, &bad_vmsas[i]);
        launch_vmsa(vmsa);
        vmcb_field(0x108, vmsa);
        assert_refused(bad_vmsas[i].what);
    }
    vmcb_field(0x108, VMSA);
    assert_says(0x11);
    psp_stop();
}

static void flip(uint64_t spa)
{
    poke(spa, peek(spa) ^ 1);
}

/*
 * The host may write to the page, but not unnoticed: neither new content, nor
 * old content of the same page, nor that of another.
 */
static void test_checksum(void)
{
    static const uint64_t covered[] = { 0, 0x178, 0x3b0, 0x800, 0xfb8 };
    uint8_t first[0x1000], second[0x1000];

    es = true;
    start_guest("-vnmi", g_nmi);
    for (int i = 0; i < ARRAY_SIZE(covered); i++) {
        flip(VMSA + covered[i]);
        assert_refused("changed");
        flip(VMSA + covered[i]);
    }
    flip(VMSA + 0xff0);                 /* what is not covered may change */
    snapshot(VMSA, first);
    assert_says(0x11);
    snapshot(VMSA, second);
    restore(VMSA, first);
    assert_refused("replayed");
    restore(VMSA, second);
    restore(VMSA + 0x1000, second);
    vmcb_field(0x108, VMSA + 0x1000);
    assert_refused("moved");
    vmcb_field(0x108, VMSA);
    assert_says(0x12);
    psp_stop();
}

/* ---- guests without SEV-ES */

static void test_plain(void)
{
    static const Change bad[] = {
        { "SEV without nested paging", { AT(0x90, 8, 2) } },
        { "ASID of SEV-ES guests", { AT(0x58, 4, NO_KEY - 1) } },
        { "ASID beyond the last", { AT(0x58, 4, ASIDS + 1) } },
    };
    uint8_t good[0x1000];

    es = false;
    boot("-vnmi");
    wrmsr(MSR_HWCR, 0);
    g_assert_cmphex(rdmsr(MSR_HWCR) & SMM_LOCK, ==, SMM_LOCK);
    place_guest(g_nmi);
    vmcb_field(0x90, 3);
    vmcb_field(0x58, NO_KEY);
    snapshot(VMCB, good);
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        apply(VMCB, &bad[i]);
        assert_refused(bad[i].what);
        restore(VMCB, good);
    }
    assert_says(0x11);
    vmcb_field(0x58, ASIDS);
    assert_says(0x12);
    psp_stop();
}

/* Without encryption there are no SEV bits, nor anything for the firmware. */
static void test_no_encryption(void)
{
    uint64_t syscfg;

    es = false;
    boot("-vnmi");
    syscfg = rdmsr(MSR_SYSCFG);
    g_assert_cmphex(syscfg & MEM_ENCRYPT, ==, MEM_ENCRYPT);
    wrmsr(MSR_SYSCFG, syscfg & ~MEM_ENCRYPT);
    place_guest(g_nmi);
    vmcb_field(0x90, 7);
    vmcb_field(0x108, 8);
    assert_says(0x11);
    g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 0 }), ==, HWERROR_PLATFORM);
    g_assert_cmphex(PSP_CMD(CMD_INIT_EX, { 0, 4, 0x24 }, { 24, 8, NV },
                            { 32, 4, NV_LEN }), ==, HWERROR_PLATFORM);
    wrmsr(MSR_SYSCFG, syscfg);
    g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 0 }), ==, OK);
    psp_stop();
}

static void test_status(void)
{
    static const struct {
        bool es;
        uint64_t nested_ctl, features, status;
    } rows[] = {
        { false, 1, 0, 0 }, { false, 3, 0, 1 }, { true, 7, 0, 3 },
        { true, 7, 1 << 5, 3 | 1 << 7 },
    };

    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        es = rows[i].es;
        boot("-vnmi");
        place_guest(g_status);
        vmcb_field(0x90, rows[i].nested_ctl);
        vmcb_field(0x58, es ? ASID : NO_KEY);
        poke(VMSA + 0x3b0, rows[i].features);
        launch_guest();
        assert_says(rows[i].status);
        if (es) {
            g_assert_cmphex(peek(VMCB + 0x140), ==, rows[i].features);
        }
        psp_stop();
    }
}

/* ---- what the host sees */

/* Reads of a device's, while the guest runs; then a CPU's */
static void test_ciphertext(void)
{
    gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;
    uint64_t before, after, other;

    es = true;
    start_guest("-vnmi", g_busy);
    before = peek(GUEST + GDATA);
    other = peek(GUEST + GDATA + 0x10);
    begin(routine(h_vmrun), VMCB, 0, 0);
    while ((after = peek(GUEST + GDATA)) == before) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    g_assert_cmphex((uint32_t)after, !=, 0x600df00d);
    g_assert_cmphex(peek(GUEST + GDATA + 0x10), ==, other);
    g_assert_cmphex(peek(MAILBOX + 0x20), ==, 0);       /* it still runs */
    poke(GUEST + GDATA + 0x10, ~other);                 /* garbage to it */
    while (!peek(MAILBOX + 0x20)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    g_assert_cmphex(peek(VMCB + 0xa0), ==, 0x17);
    g_assert_cmphex(call(h_load, GUEST + GDATA, 0, 0), ==, after);
    g_assert_cmphex(call(h_load, GUEST + GDATA + 0x10, 0, 0), ==, ~other);
    assert_says(0x600df00d);
    psp_stop();
}

/* A key that goes leaves nothing in the TLB, and comes back as good as before. */
static void test_key_gone(void)
{
    es = true;
    start_guest("-vnmi", g_nmi);
    assert_says(0x11);
    g_assert_cmphex(PSP_CMD(CMD_DEACTIVATE, { 0, 4, HANDLE }), ==, OK);
    assert_refused("no key");
    psp_wbinvd();
    g_assert_cmphex(PSP_CMD(CMD_DF_FLUSH), ==, OK);
    g_assert_cmphex(PSP_CMD(CMD_ACTIVATE, { 0, 4, HANDLE }, { 4, 4, ASID }), ==,
                    OK);
    assert_says(0x12);
    psp_stop();
}

/* The firmware has no more keys to give than the CPUs have ASIDs. */
static void test_max_asid(void)
{
    boot("-vnmi -global amd-psp.max-asid=1006");
    psp_reach(S_LUPDATE, 0);
    g_assert_cmphex(PSP_CMD(CMD_ACTIVATE, { 0, 4, HANDLE },
                            { 4, 4, ASIDS + 1 }), ==, INVALID_ASID);
    g_assert_cmphex(PSP_CMD(CMD_ACTIVATE, { 0, 4, HANDLE }, { 4, 4, ASIDS }),
                    ==, OK);
    psp_stop();
}

/* ---- events and instructions */

/* SMIs are the host's, intercepted or not, when it is ready for them. */
static void test_smi(void)
{
    static const uint8_t handler[] = {
        0x2e, 0xff, 0x06, 0x00, 0x90,   /* incw %cs:0x9000 */
        0x0f, 0xaa,                     /* rsm */
    };

    es = true;
    start_guest("-vnmi", g_nmi);
    qtest_memwrite(psp.qts, 0x38000, handler, sizeof(handler));
    g_assert_cmphex(exit_code(h_vmrun_smi), ==, 0x62);
    g_assert_cmphex(peek(SMIS), ==, 1);
    assert_says(0x11);
    psp_stop();
}

#define CBIT_PAGE       (CBIT | 0x83)

/* In 64-bit mode: without it, nobody may virtualize VMSAVE. */
static void long_mode(void)
{
    poke(GUEST + GDATA, 0x3000 | 3);                    /* PML4 */
    poke(GUEST + 0x3000, CBIT_PAGE);                    /* 1 GB */
    poke(GUEST + GGDT + 8, 0x00af9b000000ffff);
    poke(GUEST + GIDT + 16 * 29, (CODE + (g_vc_handler - es_guest)) |
                                 8 << 16 | 0x8eULL << 40);
    poke(VMSA + 0x80, 0xfffULL << 32);                  /* IDTR */
    poke(VMSA + 0x10, 8 | 0xa9b << 16 | 0xffffffffULL << 32);
    poke(VMSA + 0xd0, 0x1500);
    poke(VMSA + 0x148, 0x20);
    poke(VMSA + 0x150, GDATA);
    poke(VMSA + 0x158, 0x80000011);
}

static void test_vmsave(void)
{
    es = true;
    boot_snp();
    place_guest(g_vmsave);
    long_mode();
    launch_guest();
    assert_says(0x83);
    psp_stop();
}

/* The guest is gone, and what it ran from is not in use any more. */
static void test_init_in_guest(void)
{
    start_snp_guest(g_nmi, NULL);
    call(h_init_lost, VMCB, 0, 0);
    g_assert_cmphex(peek(entry_at(VMSA) + 8), ==, ALL_PERMS);
    g_assert_cmphex(peek(entry_at(VMCB) + 8), ==, 0);
    wrmsr(MSR_HSAVE_PA, HSAVE);
    assert_says(0x11);
    g_assert_cmphex(peek(entry_at(VMCB) + 8), ==, 0);
    psp_stop();
}

#define MSR_TO_HOST     (1u << 28)
#define EFER_TRAP       (1u << 15)              /* word 4 */
#define PAGE_END        0x3000

/*
 * The WRMSR of a guest at @at, which then says 0x19.  Where the instruction ends
 * in the next page, or right before it, RIP is still in the first.
 */
static void place_wrmsr(uint64_t at, uint32_t msr)
{
    uint8_t code[] = {
        0xb9, msr, msr >> 8, msr >> 16, msr >> 24,      /* movl $msr, %ecx */
        0x0f, 0x32,                                     /* rdmsr */
        0x0f, 0x30,                                     /* wrmsr */
        0xb8, 0x19, 0, 0, 0,                            /* movl $0x19, %eax */
        0xe8, 0, 0, 0, 0,                               /* call send */
    };

    stl_le_p(code + 15, CODE - (at - 7 + sizeof(code)));
    place_guest(es_guest);
    qtest_memwrite(psp.qts, GUEST + at - 7, code, sizeof(code));
    poke((es ? VMSA : VMCB + 0x400) + 0x178, at - 7);
    intercepts(NMIS_TO_HOST | SHUTDOWN | (es ? 0 : MSR_TO_HOST));
    if (es) {
        qtest_writel(psp.qts, VMCB + 0x10, 3 | EFER_TRAP);
    }
}

/* Before the instruction, for who intercepts it */
static void test_page_end(void)
{
    es = false;
    for (uint64_t at = PAGE_END - 3; at <= PAGE_END; at++) {
        boot("-vnmi");
        place_wrmsr(at, MSR_PAT);
        qtest_writeb(psp.qts, MSRPM + 2 * MSR_PAT / 8, 0x80);
        g_assert_cmphex(exit_code(h_vmrun), ==, 0x7c);
        g_assert_cmphex(peek(VMCB + 0x78), ==, 1);
        g_assert_cmphex(peek(VMCB + 0x578), ==, at);
        g_assert_cmphex(peek(VMCB + 0xc8), ==, at + 2);
        poke(VMCB + 0x578, at + 2);
        assert_says(0x19);
        psp_stop();
    }
}

/* ... and after it, if what it writes is trapped */
static void test_page_end_trap(void)
{
    es = true;
    for (uint64_t at = PAGE_END - 3; at <= PAGE_END; at++) {
        boot("-vnmi");
        place_wrmsr(at, MSR_EFER);
        launch_guest();
        g_assert_cmphex(exit_code(h_vmrun), ==, 0x8f);
        assert_says(0x19);
        psp_stop();
    }
}

static void assert_flush(const uint8_t *how, uint64_t a, uint64_t b,
                         uint64_t vector)
{
    g_assert_cmphex(run(routine(how), a, b, 0).vector, ==, vector);
}

static void test_page_flush(void)
{
    es = false;
    boot("-vnmi");
    assert_flush(h_wrmsr, MSR_PAGE_FLUSH, AREA_4K | ASID, NO_FAULT);
    assert_flush(h_wrmsr, MSR_PAGE_FLUSH, AREA_4K, GP);
    assert_flush(h_wrmsr, MSR_PAGE_FLUSH, 0x100000000 | ASID, GP);
    assert_flush(h_wrmsr, MSR_PAGE_FLUSH, (1ULL << 63) | ASID, GP);
    assert_flush(h_rdmsr, MSR_PAGE_FLUSH, 0, GP);
    /* What the CPU itself uses has to be the supervisor's for SMAP. */
    poke(PD, 0x83);
    poke(PT, AREA_4K | 3);
    assert_flush(h_flush_smap, AREA_4K | ASID, 0, NO_FAULT);
    assert_flush(h_flush_smap, (AREA_4K + 0x1000) | ASID, 0, GP);
    psp_stop();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/amd-es-vmrun/vmcb", test_vmcb);
    qtest_add_func("/amd-es-vmrun/vmsa", test_vmsa);
    qtest_add_func("/amd-es-vmrun/checksum", test_checksum);
    qtest_add_func("/amd-es-vmrun/plain", test_plain);
    qtest_add_func("/amd-es-vmrun/no-encryption", test_no_encryption);
    qtest_add_func("/amd-es-vmrun/status", test_status);
    qtest_add_func("/amd-es-vmrun/ciphertext", test_ciphertext);
    qtest_add_func("/amd-es-vmrun/key-gone", test_key_gone);
    qtest_add_func("/amd-es-vmrun/max-asid", test_max_asid);
    qtest_add_func("/amd-es-vmrun/smi", test_smi);
    qtest_add_func("/amd-es-vmrun/vmsave", test_vmsave);
    qtest_add_func("/amd-es-vmrun/init-in-guest", test_init_in_guest);
    qtest_add_func("/amd-es-vmrun/page-end", test_page_end);
    qtest_add_func("/amd-es-vmrun/page-end-trap", test_page_end_trap);
    qtest_add_func("/amd-es-vmrun/page-flush", test_page_flush);
    return g_test_run();
}
