/*
 * AMD Platform Security Processor: the CPUID page of an SEV-SNP guest
 *
 * An SNP guest trusts its CPUID page where it would not trust its host, because
 * firmware has compared the page with the platform.  The specification leaves the
 * policy to the PPR of each processor.  This one refuses what could hurt a guest
 * that believes it: features that are not there, save areas of the wrong size, a
 * C-bit in the wrong place; it is from memory, not from a PPR.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/i386/amd-snp-host.h"
#include "amd-psp-snp.h"

#define CPUID_MAX_ENTRIES 64

enum { EAX, EBX, ECX, EDX, REGS };

/* 8.19.2 "CPUID Page" */
typedef struct QEMU_PACKED SnpCpuidEntry {
    uint32_t eax_in;
    uint32_t ecx_in;
    uint64_t xcr0_in;
    uint64_t xss_in;
    uint32_t reg[REGS];
    uint64_t reserved;
} SnpCpuidEntry;

typedef struct QEMU_PACKED SnpCpuidPage {
    uint32_t count;
    uint32_t reserved1;
    uint64_t reserved2;
    SnpCpuidEntry entry[CPUID_MAX_ENTRIES];
} SnpCpuidPage;

QEMU_BUILD_BUG_ON(sizeof(SnpCpuidEntry) != 48);

typedef enum SnpCpuidKind {
    FEATURES,                   /* bits of @mask must be the platform's, too */
    SAME,                       /* bits of @mask must be equal */
    AT_MOST,                    /* the number may not be greater */
} SnpCpuidKind;

typedef struct SnpCpuidRule {
    uint32_t leaf;
    uint32_t first, last;       /* subleaves */
    uint8_t reg;
    SnpCpuidKind kind;
    uint32_t mask;
} SnpCpuidRule;

#define ALL UINT32_MAX
/*
 * What is no property of the processor: OSXSAVE and the hypervisor bit; x2APIC,
 * which the host provides; how the topology is told, CmpLegacy and TOPOEXT.
 */
#define LEAF1_ECX (ALL & ~(BIT(31) | BIT(27) | BIT(21)))
#define LEAF8000_0001_ECX (ALL & ~(BIT(22) | BIT(1)))
#define HTT BIT(28)
#define CBIT_POSITION 0x3f

static const SnpCpuidRule cpuid_rules[] = {
    { 0x00000000, 0, 0, EAX, AT_MOST, ALL },
    { 0x00000001, 0, 0, ECX, FEATURES, LEAF1_ECX },
    { 0x00000001, 0, 0, EDX, FEATURES, ALL & ~HTT },
    { 0x00000007, 0, 0, EBX, FEATURES, ALL },
    { 0x00000007, 0, 0, ECX, FEATURES, ALL },
    { 0x00000007, 0, 0, EDX, FEATURES, ALL },
    { 0x00000007, 1, 1, EAX, FEATURES, ALL },
    { 0x0000000D, 0, 0, EAX, FEATURES, ALL },
    { 0x0000000D, 0, 0, EBX, SAME, ALL },
    { 0x0000000D, 0, 0, ECX, AT_MOST, ALL },
    { 0x0000000D, 0, 0, EDX, FEATURES, ALL },
    { 0x0000000D, 1, 1, EAX, FEATURES, ALL },
    { 0x0000000D, 1, 1, EBX, SAME, ALL },
    { 0x0000000D, 1, 1, ECX, FEATURES, ALL },
    { 0x0000000D, 1, 1, EDX, FEATURES, ALL },
    { 0x0000000D, 2, 63, EAX, SAME, ALL },
    { 0x0000000D, 2, 63, EBX, SAME, ALL },
    { 0x80000000, 0, 0, EAX, AT_MOST, ALL },
    { 0x80000001, 0, 0, ECX, FEATURES, LEAF8000_0001_ECX },
    { 0x80000001, 0, 0, EDX, FEATURES, ALL },
    { 0x80000008, 0, 0, EBX, FEATURES, ALL },
    { 0x8000001F, 0, 0, EAX, FEATURES, ALL },
    { 0x8000001F, 0, 0, EBX, SAME, CBIT_POSITION },
};

static uint32_t cpuid_allowed(const SnpCpuidRule *rule, uint32_t guest,
                              uint32_t platform)
{
    switch (rule->kind) {
    case FEATURES:
        return guest & (platform | ~rule->mask);
    case SAME:
        return (guest & ~rule->mask) | (platform & rule->mask);
    case AT_MOST:
        return MIN(guest, platform);
    }
    g_assert_not_reached();
}

/* A save area that the guest has not got may be left out, by a size of 0. */
static bool cpuid_absent(const SnpCpuidEntry *e)
{
    return le32_to_cpu(e->eax_in) == 0xD && le32_to_cpu(e->ecx_in) > 1 &&
           !e->reg[EAX];
}

static bool cpuid_entry_check(SnpCpuidEntry *e)
{
    uint32_t leaf = le32_to_cpu(e->eax_in);
    uint32_t subleaf = le32_to_cpu(e->ecx_in);
    uint32_t platform[REGS];
    bool ok = !e->reserved;

    e->reserved = 0;
    amd_snp_cpuid(leaf, subleaf, le64_to_cpu(e->xcr0_in),
                  le64_to_cpu(e->xss_in), platform);
    for (unsigned i = 0; i < ARRAY_SIZE(cpuid_rules); i++) {
        const SnpCpuidRule *rule = &cpuid_rules[i];
        uint32_t guest, allowed;

        if (rule->leaf != leaf || subleaf < rule->first ||
            subleaf > rule->last || cpuid_absent(e)) {
            continue;
        }
        guest = le32_to_cpu(e->reg[rule->reg]);
        allowed = cpuid_allowed(rule, guest, platform[rule->reg]);
        e->reg[rule->reg] = cpu_to_le32(allowed);
        ok &= guest == allowed;
    }
    return ok;
}

bool amd_psp_snp_cpuid_check(uint8_t page[PSP_SNP_PAGE])
{
    SnpCpuidPage *p = (SnpCpuidPage *)page;
    uint32_t count = le32_to_cpu(p->count);
    bool ok = !p->reserved1 && !p->reserved2;

    if (count > CPUID_MAX_ENTRIES) {
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        ok &= cpuid_entry_check(&p->entry[i]);
    }
    return ok;
}
