/*
 * World switch tests: a guest of the test's CPU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-es-guest.h"

bool es;

/* ---- the host */

uint64_t routine(const uint8_t *label)
{
    return LOOP + (label - es_loop);
}

uint64_t call(const uint8_t *label, uint64_t a, uint64_t b, uint64_t c)
{
    Outcome o = run(routine(label), a, b, c);

    g_assert_cmphex(o.vector, ==, NO_FAULT);
    return o.rax;
}

uint64_t rdmsr(uint32_t msr)
{
    return call(h_rdmsr, msr, 0, 0);
}

void wrmsr(uint32_t msr, uint64_t val)
{
    call(h_wrmsr, msr, val, 0);
}

static void boot_with(const char *mem, const char *cpu)
{
    g_autofree char *machine = g_strdup_printf(
        "-m %s -cpu EPYC-Milan,check=off,+svm,+npt,+lbrv,+vgif,"
        "+nrip-save,sev-host=on,%s", mem, cpu);

    start_with(machine, es_loop, es_loop_end - es_loop, es_stubs - es_loop);
    wrmsr(MSR_HSAVE_PA, HSAVE);
}

void boot(const char *cpu)
{
    boot_with("128", cpu);
}

void boot_snp(void)
{
    boot_with("3G", "sev-snp-host=on");
    rmp_base = rdmsr(MSR_RMP_BASE);
}

/* ---- the guest */

static void gate(unsigned vector, const uint8_t *handler)
{
    poke(GUEST + GIDT + 8 * vector,
         (CODE + (handler - es_guest)) | 8 << 16 | 0x8eULL << 40);
}

void intercepts(uint32_t word_3)
{
    vmcb_field(0x0c, word_3 | 3ULL << 32);              /* VMRUN, VMMCALL */
}

void place_guest(const uint8_t *entry)
{
    uint64_t save = es ? VMSA : VMCB + 0x400;

    qtest_memset(psp.qts, GUEST, 0, 0x5000);
    qtest_memwrite(psp.qts, GUEST + CODE, es_guest, es_guest_end - es_guest);
    gate(1, g_debug_handler);
    gate(2, g_nmi_handler);
    gate(13, g_gp_handler);
    gate(29, g_vc_handler);
    poke(GUEST + GGDT + 8, 0x00cf9b000000ffff);
    qtest_memset(psp.qts, VMCB, 0, 0x1000);
    intercepts(NMIS_TO_HOST | SHUTDOWN);
    vmcb_field(0x40, IOPM);
    vmcb_field(0x48, MSRPM);
    vmcb_field(0x58, ASID);
    vmcb_field(0x90, es ? 7 : 1);
    vmcb_field(0xb0, NPML4);
    vmcb_field(0xb8, 1);                                /* LBR */
    vmcb_field(0x108, VMSA);
    qtest_memset(psp.qts, VMSA, 0, 0x1000);
    flat_32bit_state(save, CODE + (entry - es_guest));
    descriptor_tables(save, GGDT, GIDT);
    poke(VMSA + 0x338, 1);                              /* RDI */
    poke(VMSA + 0x3e8, 1);                              /* XCR0 */
    poke(VMSA + 0x408, 0x1f80);
}

void launch_vmsa(uint64_t spa)
{
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_UPDATE_VMSA, { 0, 4, HANDLE },
                            { 8, 8, spa }, { 16, 4, 0x1000 }), ==, OK);
}

void launch_guest(void)
{
    if (!es) {
        return;
    }
    psp_reach(S_ACTIVE, POLICY_ES);
    for (uint64_t gpa = CODE; gpa <= GDATA; gpa += 0x1000) {
        encrypt(GUEST + gpa);
    }
    launch_vmsa(VMSA);
}

void start_guest(const char *cpu, const uint8_t *entry)
{
    boot(cpu);
    place_guest(entry);
    launch_guest();
}

void set_entry(uint64_t spa, uint64_t lo, uint64_t perms)
{
    poke(entry_at(spa) + 8, perms);
    poke(entry_at(spa), lo);
}

static void own(uint64_t spa, uint64_t gpa, uint64_t bits)
{
    encrypt(spa);
    set_entry(spa, E_GUEST(ASID, gpa) | E_VALID | bits, ALL_PERMS);
}

void start_snp_guest(const uint8_t *entry, void (*prepare)(void))
{
    es = true;
    boot_snp();
    wrmsr(MSR_SYSCFG, rdmsr(MSR_SYSCFG) | SNP_EN);
    place_guest(entry);
    poke(VMSA + 0x3b0, 1);                              /* SNPActive */
    if (prepare) {
        prepare();
    }
    psp_reach(S_ACTIVE, 0);
    for (uint64_t gpa = CODE; gpa <= GDATA; gpa += 0x1000) {
        own(GUEST + gpa, gpa, 0);
    }
    own(VMSA, 0xffff000, E_VMSA);
}

uint64_t exit_code(const uint8_t *how)
{
    call(how, VMCB, 0, 0);
    return peek(VMCB + 0x70);
}

void assert_says_when(const uint8_t *how, uint64_t val)
{
    g_assert_cmphex(exit_code(how), ==, es ? 0x403 : 0x81);
    g_assert_cmphex(es ? peek(VMCB + 0xa0) : peek(VMCB + 0x5f8), ==, val);
    if (!es) {
        vmcb_field(0x578, peek(VMCB + 0x578) + 4);      /* RIP */
    }
}

void assert_says(uint64_t val)
{
    assert_says_when(h_vmrun, val);
}
