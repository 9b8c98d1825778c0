/*
 * AMD Platform Security Processor: which CPUID results a guest may rely on
 *
 * A host makes CPUID results up as it likes. Those that it puts into a guest's
 * CPUID page, or that a guest has doubts about, are compared with what the
 * processor has: a guest must not use what is not there (or not count on a
 * protection that is not there), nor lay out its XSAVE area wrongly.
 *
 * SEV-SNP firmware ABI, CPUID Page and MSG_CPUID_REQ, leave the policy to the
 * processor's manual. Its choice of fields here is from memory and from what
 * QEMU knows to be refused: features must be among the processor's, leaves no
 * more than it has, vendor, C-bit and XSAVE's layout the same. What describes
 * topology, caches or the model, and leaves that are the hypervisor's own, are
 * the host's to choose.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitops.h"
#include "qemu/bswap.h"
#include "amd-psp-snp-msg.h"

enum { EAX, EBX, ECX, EDX };

#define ANY_SUBLEAF UINT32_MAX
#define ALL UINT32_MAX

/*
 * Bits of leaf 1, 7 and 8000_0001 that are no property of the processor: they
 * come from the guest's own CR4, the number of its CPUs and how that is told,
 * or how its hypervisor emulates the APIC.
 */
#define X2APIC (1u << 21)
#define OSXSAVE (1u << 27)
#define HYPERVISOR (1u << 31)
#define HTT (1u << 28)
#define OSPKE (1u << 4)
#define CMP_LEGACY (1u << 1)
#define TOPOEXT (1u << 22)
#define C_BIT_POSITION 0x3f

typedef struct PspCpuidRule {
    uint32_t leaf;
    uint32_t subleaf;
    uint32_t features[4];               /* bits: at most the processor's */
    uint32_t same[4];                   /* bits: the processor's */
    bool number[4];                     /* registers: at most the processor's */
} PspCpuidRule;

static const PspCpuidRule cpuid_rules[] = {
    { 0x0, ANY_SUBLEAF, .number[EAX] = true, .same = { 0, ALL, ALL, ALL } },
    { 0x1, ANY_SUBLEAF,
      .features = { [ECX] = ~(X2APIC | OSXSAVE | HYPERVISOR), [EDX] = ~HTT } },
    { 0x7, 0, .number[EAX] = true,
      .features = { [EBX] = ALL, [ECX] = ~OSPKE, [EDX] = ALL } },
    { 0x7, 1, .features = { ALL, ALL, ALL, ALL } },
    { 0xd, 0, .number[ECX] = true, .features = { [EAX] = ALL, [EDX] = ALL } },
    { 0xd, 1, .features = { [EAX] = ALL, [ECX] = ALL, [EDX] = ALL } },
    { 0x80000000, ANY_SUBLEAF, .number[EAX] = true,
      .same = { 0, ALL, ALL, ALL } },
    { 0x80000001, ANY_SUBLEAF,
      .features = { [ECX] = ~(CMP_LEGACY | TOPOEXT), [EDX] = ALL } },
    { 0x80000007, ANY_SUBLEAF, .features = { [EDX] = ALL } },
    { 0x80000008, ANY_SUBLEAF, .features = { [EBX] = ALL } },
    { 0x8000000a, ANY_SUBLEAF, .features = { [EDX] = ALL } },
    { 0x8000001f, ANY_SUBLEAF, .features = { [EAX] = ALL },
      .same = { [EBX] = C_BIT_POSITION } },
    { 0x80000021, ANY_SUBLEAF, .features = { [EAX] = ALL } },
};

static const PspCpuidRule *psp_cpuid_rule(uint32_t leaf, uint32_t subleaf)
{
    for (int i = 0; i < ARRAY_SIZE(cpuid_rules); i++) {
        const PspCpuidRule *rule = &cpuid_rules[i];

        if (rule->leaf == leaf && (rule->subleaf == ANY_SUBLEAF ||
                                   rule->subleaf == subleaf)) {
            return rule;
        }
    }
    return NULL;
}

static uint32_t psp_cpuid_allowed(const PspCpuidRule *rule, int reg,
                                  uint32_t said, uint32_t has)
{
    said &= ~rule->features[reg] | has;
    said = (said & ~rule->same[reg]) | (has & rule->same[reg]);
    return rule->number[reg] ? MIN(said, has) : said;
}

/* APM vol 2, 11.5.2 XSAVE: x87 and SSE state and the header come first. */
#define XSAVE_FIXED 0x240
#define XSAVE_ALIGNED BIT(1)            /* ECX of a component's sub-leaf */

/* Standard form: components at their places; compacted: one after the other */
static uint32_t psp_xsave_size(uint64_t components, bool compacted)
{
    uint32_t end = XSAVE_FIXED, r[4];

    for (int i = 2; i < 63; i++) {
        if (!(components & BIT_ULL(i))) {
            continue;
        }
        amd_psp_snp_host_cpuid(0xd, i, r);
        if (!compacted) {
            end = MAX(end, r[EAX] + r[EBX]);
            continue;
        }
        if (r[ECX] & XSAVE_ALIGNED) {
            end = ROUND_UP(end, 64);
        }
        end += r[EAX];
    }
    return end;
}

/* EBX depends on what is enabled in XCR0 and XSS, which the row says. */
static uint32_t psp_xsave_enabled_size(const AmdPspSnpCpuid *row)
{
    uint64_t xcr0 = le64_to_cpu(row->xcr0_in);
    uint64_t xss = le64_to_cpu(row->xss_in);

    return le32_to_cpu(row->ecx_in) ? psp_xsave_size(xcr0 | xss, true)
                                    : psp_xsave_size(xcr0, false);
}

/* A component that the guest is not to have may also have no size. */
static void psp_cpuid_component(const uint32_t *has, uint32_t *r)
{
    if (r[EAX] | r[EBX] | r[ECX]) {
        memcpy(r, has, 3 * sizeof(r[0]));
    }
}

static bool psp_cpuid_vet_row(AmdPspSnpCpuid *row)
{
    uint32_t leaf = le32_to_cpu(row->eax_in), sub = le32_to_cpu(row->ecx_in);
    const PspCpuidRule *rule = psp_cpuid_rule(leaf, sub);
    AmdPspSnpCpuid right = *row;
    uint32_t has[4], r[4] = {
        le32_to_cpu(row->eax), le32_to_cpu(row->ebx),
        le32_to_cpu(row->ecx), le32_to_cpu(row->edx),
    };

    amd_psp_snp_host_cpuid(leaf, sub, has);
    for (int reg = EAX; rule && reg <= EDX; reg++) {
        r[reg] = psp_cpuid_allowed(rule, reg, r[reg], has[reg]);
    }
    if (leaf == 0xd && sub < 2) {
        r[EBX] = psp_xsave_enabled_size(row);
    } else if (leaf == 0xd) {
        psp_cpuid_component(has, r);
    }
    right.eax = cpu_to_le32(r[EAX]);
    right.ebx = cpu_to_le32(r[EBX]);
    right.ecx = cpu_to_le32(r[ECX]);
    right.edx = cpu_to_le32(r[EDX]);
    right.reserved = 0;
    if (!memcmp(row, &right, sizeof(right))) {
        return true;
    }
    *row = right;
    return false;
}

bool amd_psp_snp_cpuid_vet(AmdPspSnpCpuid *rows, unsigned count)
{
    bool ok = true;

    for (unsigned i = 0; i < count; i++) {
        ok &= psp_cpuid_vet_row(&rows[i]);
    }
    return ok;
}
