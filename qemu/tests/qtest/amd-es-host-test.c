/*
 * World switches: NMIs, INIT, shutdown, PAT and debug registers
 *
 * The CPU calls routines for the test (amd-es-host.S), some of which run a guest:
 * an ordinary one, or an SEV-ES guest that is launched with the secure
 * processor's commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-es-guest.h"

extern const uint8_t h_cpuid[], h_vmrun_nmi[], h_nmi[], h_init[],
                     h_init_guest[], h_read_drs[], h_write_drs[],
                     h_watch_store[], h_watch_remask[], h_watch_nmi[];
extern const uint8_t g_nmi[], g_shadow[], g_iret[], g_debug[], g_no_swap[],
                     g_pat[], g_shutdown[];

/* Physical memory */
#define NMIS            (MAILBOX + 0x50)
#define DEBUGS          (MAILBOX + 0x58)
#define DR6             (MAILBOX + 0x60)
#define NMIS_INSIDE     (MAILBOX + 0x70)
#define INIT_STAGE      (MAILBOX + 0x78)
#define REGS            (MAILBOX + 0x100)
#define DR7_WANTED      (MAILBOX + 0x138)
#define STACK           0x30000
#define AREA            0x60000

#define MSR_PAT         0x277
#define MSR_DR0_MASK    0xc0011027
#define MSR_DR1_MASK    0xc0011019

/* INT_CTL of the VMCB */
#define V_GIF           (1u << 9)
#define V_NMI           (1u << 11)
#define V_NMI_MASK      (1u << 12)
#define V_GIF_ENABLE    (1u << 25)
#define V_NMI_ENABLE    (1u << 26)

#define EVENTINJ_NMI    0x80000202

static void int_ctl(uint32_t val)
{
    qtest_writel(psp.qts, VMCB + 0x60, val);
}

static uint32_t read_int_ctl(void)
{
    return qtest_readl(psp.qts, VMCB + 0x60);
}

/* ---- NMIs */

static void assert_nmi_bits(uint32_t val)
{
    g_assert_cmphex(read_int_ctl() & (V_NMI | V_NMI_MASK), ==, val);
}

static void test_vnmi(const void *kind)
{
    es = kind;
    start_guest("+vnmi", g_nmi);
    int_ctl(V_NMI_ENABLE | V_NMI);
    assert_says(0x201);                 /* in the handler, before anything */
    assert_nmi_bits(V_NMI_MASK);
    int_ctl(read_int_ctl() | V_NMI);    /* the next one waits */
    assert_says(0x202);                 /* ... for IRET, and no longer */
    assert_nmi_bits(V_NMI_MASK);
    assert_says(0x11);
    assert_nmi_bits(0);
    int_ctl(V_NMI_ENABLE | V_NMI_MASK | V_NMI);
    assert_says(0x203);                 /* after the guest's own IRET */
    assert_says(0x12);
    psp_stop();
}

/* The mask that software sets or clears is the CPU's mask. */
static void test_vnmi_mask(const void *kind)
{
    es = kind;
    start_guest("+vnmi", g_nmi);
    int_ctl(V_NMI_ENABLE | V_NMI_MASK | V_NMI);
    assert_says(0x11);
    assert_nmi_bits(V_NMI_MASK | V_NMI);
    int_ctl(V_NMI_ENABLE | V_NMI);
    assert_says(0x201);
    psp_stop();
}

static void test_vnmi_shadow(const void *kind)
{
    es = kind;
    start_guest("+vnmi", g_shadow);
    int_ctl(V_NMI_ENABLE | V_NMI);
    qtest_writel(psp.qts, VMCB + 0x68, 1);
    assert_says(0x10201);               /* one instruction later */
    psp_stop();
    start_guest("+vnmi", g_shadow);
    int_ctl(V_NMI_ENABLE | V_NMI);
    assert_says(0x201);
    psp_stop();
}

/* An injected NMI blocks, but is not blocked. */
static void test_vnmi_injected(const void *kind)
{
    es = kind;
    start_guest("+vnmi", g_nmi);
    int_ctl(V_NMI_ENABLE | V_NMI);
    qtest_writel(psp.qts, VMCB + 0xa8, EVENTINJ_NMI);
    assert_says(0x201);
    assert_nmi_bits(V_NMI_MASK | V_NMI);
    qtest_writel(psp.qts, VMCB + 0xa8, EVENTINJ_NMI);
    assert_says(0x202);
    assert_says(0x203);                 /* its IRET lets the virtual one in */
    assert_nmi_bits(V_NMI_MASK);
    psp_stop();
}

static void test_vnmi_gif(const void *kind)
{
    es = kind;
    start_guest("+vnmi", g_nmi);
    int_ctl(V_NMI_ENABLE | V_NMI | V_GIF_ENABLE);
    assert_says(0x11);
    assert_nmi_bits(V_NMI);
    int_ctl(read_int_ctl() | V_GIF);
    assert_says(0x201);
    psp_stop();
}

static void test_vnmi_refused(const void *kind)
{
    es = kind;
    start_guest("+vnmi", g_nmi);
    int_ctl(V_NMI_ENABLE);
    intercepts(0);
    g_assert_cmphex(exit_code(h_vmrun), ==, INVALID);
    intercepts(NMIS_TO_HOST);
    assert_says(0x11);
    psp_stop();
}

/* The bits mean nothing without V_NMI_ENABLE, or a CPU that has it. */
static void test_vnmi_off(const void *kind)
{
    static const struct {
        const char *cpu;
        uint32_t enable, edx;
    } rows[] = {
        { "+vnmi", 0, 1u << 25 }, { "-vnmi", V_NMI_ENABLE, 0 },
    };

    es = kind;
    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        start_guest(rows[i].cpu, g_nmi);
        call(h_cpuid, 0x8000000a, 0, 0);
        g_assert_cmphex(peek(REGS + 24) & (1u << 25), ==, rows[i].edx);
        int_ctl(rows[i].enable | V_NMI);
        assert_says(0x11);
        g_assert_cmphex(read_int_ctl(), ==, rows[i].enable | V_NMI);
        assert_says(0x12);
        psp_stop();
    }
}

/* An NMI that the host does not intercept is the guest's. */
static void test_nmi_of_guest(const void *kind)
{
    es = kind;
    start_guest("-vnmi", g_nmi);
    intercepts(0);
    assert_says_when(h_vmrun_nmi, 0x201);
    g_assert_cmphex(peek(NMIS), ==, 0);
    if (es) {
        assert_says_when(h_vmrun_nmi, 0x202);   /* only after IRET */
        assert_says_when(h_vmrun, 0x11);
        g_assert_cmphex(peek(NMIS), ==, 0);
        intercepts(NMIS_TO_HOST);
        g_assert_cmphex(exit_code(h_vmrun_nmi), ==, 0x61);
        g_assert_cmphex(peek(NMIS), ==, 1);
    }
    psp_stop();
}

/* ... and while an SEV-ES guest handles one, the host takes its own. */
static void test_nmi_masks_apart(const void *kind)
{
    es = kind;
    start_guest("-vnmi", g_nmi);
    intercepts(0);
    assert_says_when(h_vmrun_nmi, 0x201);
    call(h_nmi, 0, 0, 0);
    g_assert_cmphex(peek(NMIS), ==, es ? 1 : 0);
    psp_stop();
}

/* A guest's IRET does not end the host's NMI handler. */
static void test_nmi_of_host(const void *kind)
{
    es = kind;
    start_guest("-vnmi", g_iret);
    call(h_nmi, VMCB, 0, 0);
    g_assert_cmphex(peek(NMIS_INSIDE), ==, es ? 1 : 2);
    g_assert_cmphex(peek(NMIS), ==, 2);
    psp_stop();
}

/* ---- INIT and shutdown */

static void test_init(void)
{
    es = false;
    boot("-vnmi");
    call(h_init, 0, 0, 0);
    g_assert_cmphex(rdmsr(MSR_PAT), !=, 0);             /* started again */
    g_assert_cmphex(peek(INIT_STAGE), ==, 1);
    psp_stop();
}

static void test_init_intercept(void)
{
    es = false;
    start_guest("-vnmi", g_nmi);
    intercepts(INIT_TO_HOST);
    g_assert_cmphex(exit_code(h_init_guest), ==, 0x63);
    g_assert_cmphex(rdmsr(MSR_PAT), !=, 0);
    g_assert_cmphex(peek(INIT_STAGE), ==, 1);
    psp_stop();
}

static void test_shutdown(const void *kind)
{
    es = kind;
    start_guest("-vnmi", g_shutdown);
    g_assert_cmphex(exit_code(h_vmrun), ==, 0x7f);
    psp_stop();

    start_guest("-vnmi", g_shutdown);
    intercepts(NMIS_TO_HOST);
    begin(routine(h_vmrun), VMCB, 0, 0);
    qtest_qmp_eventwait(psp.qts, "RESET");
    psp_stop();
}

/* ---- PAT */

#define HOST_PAT        0x0007040600070406ULL
#define GUEST_PAT       0x0101010101010504ULL

static void test_pat(const void *kind)
{
    es = kind;
    boot("-vnmi");
    wrmsr(MSR_PAT, HOST_PAT);
    place_guest(g_pat);
    poke(es ? VMSA + 0x268 : VMCB + 0x668, GUEST_PAT);
    launch_guest();
    assert_says((uint32_t)GUEST_PAT);
    g_assert_cmphex(rdmsr(MSR_PAT), ==, HOST_PAT);
    assert_says(0x16);
    g_assert_cmphex(rdmsr(MSR_PAT), ==, HOST_PAT);
    if (!es) {
        g_assert_cmphex(peek(VMCB + 0x668), ==, 0x0606060606060606);
        poke(VMCB + 0x668, 0x02);                       /* no such type */
        g_assert_cmphex(exit_code(h_vmrun), ==, INVALID);
        g_assert_cmphex(rdmsr(MSR_PAT), ==, HOST_PAT);
    }
    psp_stop();
}

/* ---- debug registers */

static void set_drs(uint64_t dr0, uint64_t dr1, uint64_t dr7)
{
    poke(REGS, dr0);
    poke(REGS + 8, dr1);
    poke(REGS + 16, 0x2222);
    poke(REGS + 24, 0x3333);
    poke(DR7_WANTED, dr7);
}

static void clear_hits(void)
{
    poke(DEBUGS, 0);
    poke(DR6, 0);
    poke(NMIS, 0);
}

static void assert_hits(uint64_t count, uint64_t bits)
{
    g_assert_cmphex(peek(DEBUGS), ==, count);
    g_assert_cmphex(peek(DR6) & 0xf, ==, bits);
    clear_hits();
}

#define DR7_WRITE_0     0x00010402ULL   /* G0: 1 byte, write */
#define DR7_WRITE_0_1   0x0011040aULL   /* ... and G1 */

static void test_debug_cpuid(void)
{
    boot("-vnmi");
    call(h_cpuid, 0x8000001f, 0, 0);
    g_assert_cmphex(peek(REGS) & (1u << 14), ==, 1u << 14);
    call(h_cpuid, 0x80000021, 0, 0);
    g_assert_cmphex(peek(REGS) & 1, ==, 1);
    call(h_cpuid, 0x80000001, 0, 0);
    g_assert_cmphex(peek(REGS + 16) & (1u << 26), ==, 1u << 26);
    psp_stop();
}

/*
 * DebugSwap.  Type B: what #VMEXIT loads is what software had put into the host
 * save area, not what VMRUN found in the registers.
 */
static void test_debug_swap(void)
{
    es = true;
    boot("-vnmi");
    for (int i = 0; i < 4; i++) {
        poke(HSAVE + 0x400 + 0x180 + 8 * i, 0xa000 + i);
        poke(HSAVE + 0x400 + 0x1a0 + 8 * i, 0xb0 + i);
    }
    set_drs(AREA, 0x1111, DR7_WRITE_0);
    call(h_write_drs, 0, 0, 0);
    place_guest(g_debug);
    poke(VMSA + 0x160, 0x000d0402);                     /* G0: 4 bytes, write */
    poke(VMSA + 0x180, GDATA + 0x10);
    poke(VMSA + 0x198, 0xd3);
    poke(VMSA + 0x1a8, 0xe1);
    poke(VMSA + 0x3b0, 1 << 5);                         /* DebugSwap */
    launch_guest();
    assert_says(0x401);
    g_assert_cmphex(call(h_read_drs, 0, 0, 0), ==, 0x10400);
    for (int i = 0; i < 4; i++) {
        g_assert_cmphex(peek(REGS + 8 * i), ==, 0xa000 + i);
        g_assert_cmphex(rdmsr(i ? MSR_DR1_MASK + i - 1 : MSR_DR0_MASK), ==,
                        0xb0 + i);
    }
    assert_says(0xd3);
    assert_says(0xe1);
    assert_says(0x4444);
    assert_hits(0, 0);
    psp_stop();
}

/* Without it, the guest has the host's DR0 to DR3. */
static void test_debug_no_swap(void)
{
    es = true;
    start_guest("-vnmi", g_no_swap);
    set_drs(0x5550, 0x1111, 0x400);
    call(h_write_drs, 0, 0, 0);
    poke(HSAVE + 0x400 + 0x180, 0xa000);
    assert_says(0x5550);
    assert_says(0x15);
    call(h_read_drs, 0, 0, 0);
    g_assert_cmphex(peek(REGS), ==, 0x7777);
    g_assert_cmphex(peek(REGS + 8), ==, 0x1111);
    psp_stop();
}

static void test_debug_mask(void)
{
    boot("-vnmi");
    set_drs(AREA + 0x10, 0, DR7_WRITE_0);
    call(h_watch_store, AREA + 0x10, 0, 0);
    assert_hits(1, 1);
    call(h_watch_store, AREA + 0x18, 0, 0);
    assert_hits(0, 0);
    wrmsr(MSR_DR0_MASK, 0xff);
    call(h_watch_store, AREA + 0xff, 0, 0);
    assert_hits(1, 1);
    call(h_watch_store, AREA, 0, 0);
    assert_hits(1, 1);
    call(h_watch_store, AREA + 0x100, 0, 0);
    assert_hits(0, 0);
    wrmsr(MSR_DR0_MASK, 0x40);                          /* with a gap */
    call(h_watch_store, AREA + 0x50, 0, 0);
    assert_hits(1, 1);
    call(h_watch_store, AREA + 0x30, 0, 0);
    assert_hits(0, 0);
    psp_stop();
}

static void test_debug_remask(void)
{
    boot("-vnmi");
    set_drs(AREA + 0x10, 0, DR7_WRITE_0);
    call(h_watch_remask, AREA + 0x80, MSR_DR0_MASK, 0xff);
    assert_hits(1, 1);
    call(h_watch_remask, AREA + 0x80, MSR_DR0_MASK, 0);
    assert_hits(0, 0);
    psp_stop();
}

/* Breakpoint 1 is on the stack, where events are pushed. */
static void test_debug_nested(void)
{
    boot("-vnmi");
    wrmsr(MSR_DR1_MASK, 0xff);
    set_drs(AREA, STACK - 0x80, DR7_WRITE_0);
    call(h_watch_nmi, 0, 0, 0);
    g_assert_cmphex(peek(NMIS), ==, 1);
    assert_hits(0, 0);
    set_drs(AREA, STACK - 0x80, DR7_WRITE_0_1);
    call(h_watch_nmi, 0, 0, 0);
    g_assert_cmphex(peek(NMIS), ==, 1);
    g_assert_cmphex(peek(DR6) & 0xf, ==, 2);
    clear_hits();
    /* The delivery of #DB itself hits nothing. */
    call(h_watch_store, AREA, 0, 0);
    assert_hits(1, 1);
    psp_stop();
}

static void add(const char *name, void (*test)(const void *))
{
    g_autofree char *plain = g_strdup_printf("/amd-es-host/%s/plain", name);
    g_autofree char *guarded = g_strdup_printf("/amd-es-host/%s/es", name);

    qtest_add_data_func(plain, NULL, test);
    qtest_add_data_func(guarded, "", test);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    add("vnmi", test_vnmi);
    add("vnmi-mask", test_vnmi_mask);
    add("vnmi-shadow", test_vnmi_shadow);
    add("vnmi-injected", test_vnmi_injected);
    add("vnmi-gif", test_vnmi_gif);
    add("vnmi-refused", test_vnmi_refused);
    add("vnmi-off", test_vnmi_off);
    add("nmi-of-guest", test_nmi_of_guest);
    add("nmi-masks-apart", test_nmi_masks_apart);
    add("nmi-of-host", test_nmi_of_host);
    add("shutdown", test_shutdown);
    add("pat", test_pat);
    qtest_add_func("/amd-es-host/init", test_init);
    qtest_add_func("/amd-es-host/init-intercept", test_init_intercept);
    qtest_add_func("/amd-es-host/debug-cpuid", test_debug_cpuid);
    qtest_add_func("/amd-es-host/debug-swap", test_debug_swap);
    qtest_add_func("/amd-es-host/debug-no-swap", test_debug_no_swap);
    qtest_add_func("/amd-es-host/debug-mask", test_debug_mask);
    qtest_add_func("/amd-es-host/debug-remask", test_debug_remask);
    qtest_add_func("/amd-es-host/debug-nested", test_debug_nested);
    return g_test_run();
}
