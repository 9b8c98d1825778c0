/*
 * XSAVEC, XSAVES and XRSTORS, executed on a TCG CPU
 *
 * The CPU sits in real mode at its reset vector's code and executes one
 * instruction at a time on the area at AREA, by the mailbox at MAILBOX.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "x86-rom.h"

#define MAILBOX         0x8000
#define AREA            0x9000
#define XSTATE_BV       (AREA + 512)
#define XCOMP_BV        (AREA + 520)
#define COMPACTED       (1ull << 63)
#define ALL             7ull            /* XCR0: x87, SSE, AVX */
#define XMM5            (AREA + 160 + 5 * 16)
#define MXCSR           (AREA + 24)
#define GP              13
#define NO_FAULT        0xff

enum { XSAVE = 1, XRSTOR, XSAVEC, XSAVES, XRSTORS, XSS };

extern const uint8_t xsave_rom[], xsave_rom_end[], xsave_fault[];

/* In the mailbox: operation, EAX, EDX, address; then the vector. */
asm(".section .rodata\n"
    ".code16\n"
    "xsave_rom:\n"
    "   cli\n"
    "   movl %cr4, %eax\n"
    "   orl $0x40600, %eax\n"           /* OSXSAVE, OSXMMEXCPT, OSFXSR */
    "   movl %eax, %cr4\n"
    "   xorl %ecx, %ecx\n"
    "   xorl %edx, %edx\n"
    "   movl $7, %eax\n"
    "   xsetbv\n"
    "next:\n"
    "   movw $0x7000, %sp\n"
    "   pause\n"
    "   movl 0x8000, %ebx\n"
    "   testl %ebx, %ebx\n"
    "   jz next\n"
    "   movb $0xff, 0x8010\n"
    "   movl 0x8004, %eax\n"
    "   movl 0x8008, %edx\n"
    "   movl 0x800c, %esi\n"
    "   decw %bx\n   jz 1f\n"
    "   decw %bx\n   jz 2f\n"
    "   decw %bx\n   jz 3f\n"
    "   decw %bx\n   jz 4f\n"
    "   decw %bx\n   jz 5f\n"
    "   movl $0xda0, %ecx\n   wrmsr\n   jmp done\n"
    "1: xsave (%si)\n   jmp done\n"
    "2: xrstor (%si)\n   jmp done\n"
    "3: xsavec (%si)\n   jmp done\n"
    "4: xsaves (%si)\n   jmp done\n"
    "5: xrstors (%si)\n   jmp done\n"
    "xsave_fault:\n"
    "   movb $13, 0x8010\n"
    "done:\n"
    "   movl $0, 0x8000\n"
    "   jmp next\n"
    "xsave_rom_end:\n"
    ".code64\n"
    ".text\n");

static QTestState *qts;

static uint8_t run_at(uint32_t op, uint64_t mask, uint32_t address)
{
    gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    qtest_writel(qts, MAILBOX + 4, mask);
    qtest_writel(qts, MAILBOX + 8, mask >> 32);
    qtest_writel(qts, MAILBOX + 12, address);
    qtest_writel(qts, MAILBOX, op);
    while (qtest_readl(qts, MAILBOX)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    return qtest_readb(qts, MAILBOX + 16);
}

static void assert_runs(uint32_t op, uint64_t mask)
{
    g_assert_cmpint(run_at(op, mask, AREA), ==, NO_FAULT);
}

static void assert_gp(uint32_t op, uint64_t mask)
{
    g_assert_cmpint(run_at(op, mask, AREA), ==, GP);
}

/* An area with all components, compacted, each with bytes of its own. */
static void fresh_area(void)
{
    qtest_memset(qts, AREA, 0, 1024);
    assert_runs(XRSTOR, ALL);           /* standard format: all initial */
    assert_runs(XSAVEC, ALL);
    qtest_memset(qts, XMM5, 0x5a, 16);
    qtest_memset(qts, AREA + 576 + 5 * 16, 0xa5, 16);
    qtest_writel(qts, MXCSR, 0x9fc0);
}

static void test_save(const void *data)
{
    uint32_t op = *(const uint32_t *)data;

    fresh_area();
    assert_runs(XRSTOR, ALL);
    qtest_memset(qts, AREA, 0xcc, 1024);
    assert_runs(op, ALL);
    g_assert_cmphex(qtest_readq(qts, XCOMP_BV), ==, ALL | COMPACTED);
    g_assert_cmphex(qtest_readq(qts, XSTATE_BV), ==, ALL);
    /* The rest of the header is not written, nor is what follows. */
    g_assert_cmphex(qtest_readq(qts, XCOMP_BV + 8), ==, 0xccccccccccccccccull);
    g_assert_cmphex(qtest_readq(qts, AREA + 832), ==, 0xccccccccccccccccull);
    g_assert_cmphex(qtest_readq(qts, XMM5), ==, 0x5a5a5a5a5a5a5a5aull);
    g_assert_cmphex(qtest_readq(qts, AREA + 576 + 5 * 16), ==,
                    0xa5a5a5a5a5a5a5a5ull);
    g_assert_cmphex(qtest_readl(qts, MXCSR), ==, 0x9fc0);
    /* What is not asked for is not written, and not part of the layout. */
    qtest_memset(qts, AREA, 0xcc, 1024);
    assert_runs(op, 2);
    g_assert_cmphex(qtest_readq(qts, XCOMP_BV), ==, 2 | COMPACTED);
    g_assert_cmphex(qtest_readq(qts, AREA + 576 + 5 * 16), ==,
                    0xccccccccccccccccull);
    g_assert_cmpint(run_at(op, ALL, AREA + 16), ==, GP);
}

static void test_restore(const void *data)
{
    uint32_t op = *(const uint32_t *)data;

    /* Components that XSTATE_BV lacks become initial, MXCSR with SSE. */
    fresh_area();
    assert_runs(op, ALL);
    qtest_writeq(qts, XSTATE_BV, ALL & ~2ull);
    assert_runs(op, ALL);
    assert_runs(XSAVE, ALL);
    g_assert_cmphex(qtest_readq(qts, XMM5), ==, 0);
    g_assert_cmphex(qtest_readl(qts, MXCSR), ==, 0x1f80);
    g_assert_cmphex(qtest_readq(qts, AREA + 576 + 5 * 16), ==,
                    0xa5a5a5a5a5a5a5a5ull);
    g_assert_cmpint(run_at(op, ALL, AREA + 16), ==, GP);
}

static void test_header(const void *data)
{
    uint32_t op = *(const uint32_t *)data;

    fresh_area();
    assert_runs(op, ALL);
    for (int i = 16; i < 64; i += 8) {
        qtest_writeq(qts, XSTATE_BV + i, 1);
        assert_gp(op, ALL);
        qtest_writeq(qts, XSTATE_BV + i, 0);
    }
    qtest_writeq(qts, XCOMP_BV, ALL | 1 << 9 | COMPACTED);
    assert_gp(op, ALL);                 /* not enabled */
    qtest_writeq(qts, XCOMP_BV, 3 | COMPACTED);
    assert_gp(op, ALL);                 /* XSTATE_BV has more */
    qtest_writeq(qts, XCOMP_BV, ALL);
    assert_gp(op, ALL);                 /* neither format */
    qtest_writeq(qts, XCOMP_BV, ALL | COMPACTED);
    assert_runs(op, ALL);
    qtest_writeq(qts, XCOMP_BV, 0);     /* the standard format */
    g_assert_cmpint(run_at(op, ALL, AREA), ==, op == XRSTOR ? NO_FAULT : GP);
}

static void test_xss(void)
{
    assert_runs(XSS, 0);
    for (int bit = 0; bit < 64; bit++) {
        assert_gp(XSS, 1ull << bit);
    }
}

int main(int argc, char **argv)
{
    static const uint32_t ops[] = { XRSTOR, XRSTORS, XSAVEC, XSAVES };
    g_autofree char *rom = x86_rom_create(xsave_rom, xsave_rom_end - xsave_rom);
    int ret;

    g_test_init(&argc, &argv, NULL);
    qts = qtest_initf("-accel tcg -machine q35 -m 64M -nodefaults -S "
                      "-global apic-common.vapic=off -bios %s "
                      "-cpu max,+avx,+xsavec,+xsaves", rom);
    /* #GP, in the ROM's copy below 1M */
    qtest_writew(qts, GP * 4, X86_ROM_IP + (xsave_fault - xsave_rom));
    qtest_writew(qts, GP * 4 + 2, 0xf000);
    qtest_writel(qts, MAILBOX, 0);
    qtest_qmp_assert_success(qts, "{ 'execute': 'cont' }");

    qtest_add_data_func("/x86/xsave/xsavec", &ops[2], test_save);
    qtest_add_data_func("/x86/xsave/xsaves", &ops[3], test_save);
    qtest_add_data_func("/x86/xsave/xrstor", &ops[0], test_restore);
    qtest_add_data_func("/x86/xsave/xrstors", &ops[1], test_restore);
    qtest_add_data_func("/x86/xsave/xrstor/header", &ops[0], test_header);
    qtest_add_data_func("/x86/xsave/xrstors/header", &ops[1], test_header);
    qtest_add_func("/x86/xsave/xss", test_xss);
    ret = g_test_run();
    qtest_quit(qts);
    unlink(rom);
    return ret;
}
