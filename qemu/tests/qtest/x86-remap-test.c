/*
 * A TCG CPU that writes to a device, while the memory map changes
 *
 * The CPU writes one value after another to its local APIC's task priority and
 * reads each back, or swaps it for the next one.  The test maps and unmaps a
 * PCI device below the APIC, which moves the APIC within the list of what is
 * mapped.  No access may be lost.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "libqtest.h"
#include "x86-rom.h"

#define ROUNDS          0x8000          /* done by the CPU */
#define LOST            0x8004          /* those with the wrong value */
#define WRITTEN         0x8008          /* in the last of them */
#define READ            0x800c
#define WITH_XCHG       0x8010          /* write and read at once */

#define AHCI            0x8000fa00      /* 00:1f.2, of any Q35 machine */
#define AHCI_BAR5       (AHCI + 0x24)
#define PCI_COMMAND     4
#define COMMAND_MEMORY  2
#define AHCI_BASE       0xfe000000
#define AHCI_VERSION    (AHCI_BASE + 0x10)

#define REMAPS          500
#define TIME_LIMIT      (60 * G_TIME_SPAN_SECOND)

extern const uint8_t remap_rom[], remap_rom_end[];

/*
 * An access needs the lock that is held while the map changes: a CPU that does
 * nothing else would wait for it all the time.  It has a while without, a
 * different one each time, so that accesses begin at any time of a change.
 */
asm(".section .rodata\n"
    ".code16\n"
    "remap_rom:\n"
    "   cli\n"
    "   lgdtl %cs:(" stringify(X86_ROM_IP) " + remap_gdtr - remap_rom)\n"
    "   movl $0x11, %eax\n"             /* ET, PE */
    "   movl %eax, %cr0\n"
    "   ljmpl $8, $(" stringify(X86_ROM_BASE)
    "                + remap_protected - remap_rom)\n"
    ".code32\n"
    "remap_protected:\n"
    "   movl $16, %eax\n"
    "   movl %eax, %ds\n"
    "   xorl %ebx, %ebx\n"
    "remap_next:\n"
    "   movl %ebx, %edx\n"
    "   incb %bl\n"
    "   movl %ebx, %ecx\n"
    "   shll $8, %ecx\n"
    "   incl %ecx\n"
    "1: decl %ecx\n"
    "   jnz 1b\n"
    "   movl %ebx, %eax\n"
    "   cmpl $0, 0x8010\n"
    "   jne 2f\n"
    "   movl %eax, 0xfee00080\n"
    "   movl 0xfee00080, %eax\n"
    "   incl 0x8000\n"
    "   cmpl %eax, %ebx\n"
    "   je remap_next\n"
    "   jmp remap_lost\n"
    "2: xchgl %eax, 0xfee00080\n"
    "   incl 0x8000\n"
    "   cmpl %eax, %edx\n"
    "   je remap_next\n"
    "remap_lost:\n"
    "   incl 0x8004\n"
    "   movl %ebx, 0x8008\n"
    "   movl %eax, 0x800c\n"
    "   jmp remap_next\n"
    "   .balign 8\n"
    "remap_gdt:\n"
    "   .quad 0\n"
    "   .quad 0x00cf9b000000ffff\n"
    "   .quad 0x00cf93000000ffff\n"
    "remap_gdtr:\n"
    "   .word 23\n"
    "   .long " stringify(X86_ROM_BASE) " + remap_gdt - remap_rom\n"
    "remap_rom_end:\n"
    ".code64\n"
    ".text\n");

static QTestState *qts;

static void write_config(uint32_t address, uint32_t value)
{
    qtest_outl(qts, 0xcf8, address);
    qtest_outl(qts, 0xcfc, value);
}

static void wait_for_round(gint64 end)
{
    uint32_t start = qtest_readl(qts, ROUNDS);

    while (qtest_readl(qts, ROUNDS) == start) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
}

static void remap(bool with_xchg)
{
    gint64 end = g_get_monotonic_time() + TIME_LIMIT;
    uint32_t version;

    qtest_writel(qts, WITH_XCHG, with_xchg);
    write_config(AHCI_BAR5, AHCI_BASE);
    for (int i = 0; i < REMAPS; i++) {
        wait_for_round(end);
        write_config(AHCI + PCI_COMMAND, COMMAND_MEMORY);
        version = qtest_readl(qts, AHCI_VERSION);
        wait_for_round(end);
        write_config(AHCI + PCI_COMMAND, 0);
        /* The map has indeed changed. */
        g_assert_cmphex(version, !=, 0);
        g_assert_cmphex(qtest_readl(qts, AHCI_VERSION), ==, 0);
        if (qtest_readl(qts, LOST)) {
            g_test_message("remap %d: 0x%x written, 0x%x read", i,
                           qtest_readl(qts, WRITTEN), qtest_readl(qts, READ));
            break;
        }
    }
    g_assert_cmpint(qtest_readl(qts, LOST), ==, 0);
}

static void test_mov(void)
{
    remap(false);
}

static void test_xchg(void)
{
    remap(true);
}

int main(int argc, char **argv)
{
    g_autofree char *rom = x86_rom_create(remap_rom, remap_rom_end - remap_rom);
    int ret;

    g_test_init(&argc, &argv, NULL);
    qts = qtest_initf("-accel tcg -machine q35 -smp 2 -m 64M -nodefaults "
                      "-global apic-common.vapic=off -bios %s", rom);
    qtest_add_func("/x86/remap/mov", test_mov);
    qtest_add_func("/x86/remap/xchg", test_xchg);
    ret = g_test_run();
    qtest_quit(qts);
    unlink(rom);
    return ret;
}
