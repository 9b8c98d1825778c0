/*
 * SEV-SNP host tests: a CPU that executes single instructions for the test
 *
 * What runs on the CPU is in amd-snp-host.S.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "crypto/init.h"
#include "qapi/error.h"
#include "libqos/pci-pc.h"
#include "amd-snp-host-util.h"
#include "x86-rom.h"

extern const uint8_t snp_rom[], snp_rom_end[], snp_loop[], snp_loop_end[],
                     snp_stubs[];

uint64_t rmp_base;

uint64_t peek(uint64_t addr)
{
    return qtest_readq(psp.qts, addr);
}

void poke(uint64_t addr, uint64_t val)
{
    qtest_writeq(psp.qts, addr, val);
}

void begin(uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
    poke(MAILBOX + 0x08, a);
    poke(MAILBOX + 0x10, b);
    poke(MAILBOX + 0x18, c);
    poke(MAILBOX + 0x20, 0);
    poke(MAILBOX, op);
}

Outcome run(uint64_t op, uint64_t a, uint64_t b, uint64_t c)
{
    gint64 end = g_get_monotonic_time() + 20 * G_TIME_SPAN_SECOND;

    begin(op, a, b, c);
    while (!peek(MAILBOX + 0x20)) {
        g_assert_cmpint(g_get_monotonic_time(), <, end);
    }
    return (Outcome) {
        .rax = peek(MAILBOX + 0x28), .flags = peek(MAILBOX + 0x30),
        .vector = peek(MAILBOX + 0x38), .error = peek(MAILBOX + 0x40),
        .cr2 = peek(MAILBOX + 0x48),
    };
}

void assert_runs(uint64_t op, uint64_t a, uint64_t b)
{
    g_assert_cmphex(run(op, a, b, 0).vector, ==, NO_FAULT);
}

void assert_fault(uint64_t vector, uint64_t op, uint64_t a, uint64_t b)
{
    g_assert_cmphex(run(op, a, b, 0).vector, ==, vector);
}

/* ---- bringing the machine up */

static void page_tables(void)
{
    poke(PML4, PDPT | 7);
    for (int i = 0; i < 4; i++) {
        poke(PDPT + 8 * i, (PD + 0x1000 * i) | 7);
    }
    for (uint64_t i = 0; i < 2048; i++) {
        poke(PD + 8 * i, i << 21 | 0x87);
    }
    for (uint64_t i = 0; i < 512; i++) {
        poke(PT + 8 * i, AREA_4K | i << 12 | 7);
    }
    poke(PD + 8 * (AREA_4K >> 21), PT | 7);
}

static void nested_tables(void)
{
    poke(NPML4, NPDPT | 7);
    poke(NPDPT, NPD | 7);
    poke(NPD, NPT | 7);
    poke(NPD + 8, GUEST_2M | 0x87);
    for (uint64_t i = 0; i < 512; i++) {
        poke(NPT + 8 * i, GUEST | i << 12 | 7);
    }
}

/* @stubs: where in the loop they are */
static void exception_handlers(uint64_t stubs)
{
    for (uint64_t i = 0; i < 32; i++) {
        uint64_t at = LOOP + stubs + 16 * i;

        poke(IDT + 16 * i, (at & 0xffff) | 24 << 16 | 0x8eULL << 40 |
                           (at >> 16) << 48);
        poke(IDT + 16 * i + 8, 0);
    }
    qtest_writew(psp.qts, IDTR, 0x1ff);
    poke(IDTR + 2, IDT);
}

static void psp_found(QPCIDevice *dev, int devfn, void *data)
{
    psp.dev = dev;
}

void start_with(const char *machine, const uint8_t *loop, size_t len,
                uint64_t stubs)
{
    g_autofree char *rom = x86_rom_create(snp_rom, snp_rom_end - snp_rom);

    qcrypto_init(&error_abort);
    psp.qts = qtest_initf("-accel tcg -machine q35 -nodefaults -S -bios %s "
                          "-global apic-common.vapic=off %s "
                          "-device amd-psp,id=psp", rom, machine);
    unlink(rom);
    psp.bus = qpci_new_pc(psp.qts, NULL);
    qpci_device_foreach(psp.bus, 0x1022, 0x1486, psp_found, NULL);
    qpci_device_enable(psp.dev);
    psp.bar = qpci_iomap(psp.dev, 2, NULL);
    page_tables();
    nested_tables();
    exception_handlers(stubs);
    qtest_memwrite(psp.qts, LOOP, loop, len);
    poke(MAILBOX, 0);
    qtest_qmp_assert_success(psp.qts, "{ 'execute': 'cont' }");
}

void start(const char *cpu)
{
    g_autofree char *machine = g_strdup_printf(
        "-m 3G -cpu EPYC-Milan,check=off,+svm,+npt,+lbrv,"
        "sev-host=on,sev-snp-host=on%s", cpu);

    start_with(machine, snp_loop, snp_loop_end - snp_loop,
               snp_stubs - snp_loop);
}

void enable_snp(void)
{
    rmp_base = run(RDMSR, MSR_RMP_BASE, 0, 0).rax;
    assert_runs(WRMSR, MSR_SYSCFG, run(RDMSR, MSR_SYSCFG, 0, 0).rax | SNP_EN);
    assert_runs(WRMSR, MSR_HSAVE_PA, HSAVE);
}

void start_snp(const char *cpu)
{
    start(cpu);
    enable_snp();
}

/* ---- RMP entries */

uint64_t entry_at(uint64_t spa)
{
    return rmp_base + 0x4000 + (spa >> 12) * 16;
}

void rmp_state(uint64_t addr, uint64_t gpa, uint32_t asid, bool assigned,
               bool large, bool immutable)
{
    poke(addr, gpa);
    poke(addr + 8, assigned | large << 8 | immutable << 16 |
                   (uint64_t)asid << 32);
}

Outcome rmpupdate(uint64_t spa, uint64_t gpa, uint32_t asid, bool assigned,
                  bool large, bool immutable)
{
    rmp_state(STATE, gpa, asid, assigned, large, immutable);
    return run(RMPUPDATE, spa, STATE, 0);
}

/* ---- guests */

void vmcb_field(unsigned off, uint64_t val)
{
    poke(VMCB + off, val);
}

static void segment(uint64_t at, uint16_t attrib)
{
    poke(at, 8 | attrib << 16 | 0xffffffffULL << 32);
    poke(at + 8, 0);
}

void flat_32bit_state(uint64_t save, uint64_t rip)
{
    for (unsigned off = 0; off <= 0x50; off += 0x10) {
        segment(save + off, off == 0x10 ? 0xc9b : 0xc93);
    }
    poke(save + 0xd0, 0x1000);                          /* EFER.SVME */
    poke(save + 0x158, 0x11);                           /* CR0 */
    poke(save + 0x160, 0x400);                          /* DR7 */
    poke(save + 0x168, 0xffff0ff0);                     /* DR6 */
    poke(save + 0x170, 2);
    poke(save + 0x178, rip);
    poke(save + 0x1d8, 0x3ff0);                         /* RSP */
}

void descriptor_tables(uint64_t save, uint64_t gdt, uint64_t idt)
{
    poke(save + 0x60, 0xfULL << 32);
    poke(save + 0x68, gdt);
    poke(save + 0x80, 0xffULL << 32);
    poke(save + 0x88, idt);
}

void encrypt(uint64_t spa)
{
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_UPDATE_DATA, { 0, 4, HANDLE },
                            { 8, 8, spa }, { 16, 4, 0x1000 }), ==, OK);
}
