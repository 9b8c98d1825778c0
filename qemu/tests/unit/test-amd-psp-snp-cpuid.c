/*
 * Unit test of the AMD secure processor's policy for guests' CPUID results
 *
 * A processor is made up; rows that say of it what is so are accepted, and then
 * each of their bits is changed.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/misc/amd-psp-snp-msg.h"

/* Every second feature; x87, SSE, AVX and, compacted and aligned, PKRU state */
#define SOME 0x55555555
#define VENDOR_B 0x68747541
#define VENDOR_D 0x69746e65
#define VENDOR_C 0x444d4163

typedef struct Leaf {
    uint32_t leaf, subleaf, r[4];
} Leaf;

static const Leaf processor[] = {
    { 0x0, 0, { 0x10, VENDOR_B, VENDOR_C, VENDOR_D } },
    { 0x1, 0, { 0xa00f11, 0x12345678, SOME, SOME } },
    { 0x2, 0, { SOME, SOME, SOME, SOME } },
    { 0x7, 0, { 1, SOME, SOME, SOME } },
    { 0x7, 1, { SOME, SOME, SOME, SOME } },
    { 0xd, 0, { 0x207, 0x240, 0x988, 0 } },
    { 0xd, 1, { 0xf, 0x240, 0x800, 0 } },
    { 0xd, 2, { 0x100, 0x240, 0, 0 } },
    { 0xd, 9, { 8, 0x980, 0, 0 } },
    { 0xd, 11, { 16, 0, 3, 0 } },
    { 0x80000000, 0, { 0x80000021, VENDOR_B, VENDOR_C, VENDOR_D } },
    { 0x80000001, 0, { SOME, SOME, SOME, SOME } },
    { 0x80000007, 0, { 0, 0, 0, SOME } },
    { 0x80000008, 0, { 0x3030, SOME, 0, 0 } },
    { 0x8000000a, 0, { 1, 0x8000, 0, SOME } },
    { 0x8000001f, 0, { SOME, 0x4173, 509, 100 } },
    { 0x80000021, 0, { SOME, 0, 0, 0 } },
    { 0x40000000, 0, { 0, 0, 0, 0 } },
};

static const Leaf *find(uint32_t leaf, uint32_t subleaf)
{
    for (int i = 0; i < ARRAY_SIZE(processor); i++) {
        if (processor[i].leaf == leaf && processor[i].subleaf == subleaf) {
            return &processor[i];
        }
    }
    return NULL;
}

void amd_psp_snp_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    const Leaf *l = find(leaf, subleaf);

    memset(r, 0, 4 * sizeof(r[0]));
    if (l) {
        memcpy(r, l->r, sizeof(l->r));
    }
}

static AmdPspSnpCpuid row_of(const Leaf *l)
{
    return (AmdPspSnpCpuid) {
        .eax_in = cpu_to_le32(l->leaf), .ecx_in = cpu_to_le32(l->subleaf),
        .xcr0_in = cpu_to_le64(l->leaf == 0xd), .eax = cpu_to_le32(l->r[0]),
        .ebx = cpu_to_le32(l->r[1]), .ecx = cpu_to_le32(l->r[2]),
        .edx = cpu_to_le32(l->r[3]),
    };
}

static uint32_t *reg_of(AmdPspSnpCpuid *row, int reg)
{
    return (uint32_t *)((char *)row + offsetof(AmdPspSnpCpuid, eax)) + reg;
}

/* What may be said of a bit: anything, less or nothing but the processor's */
typedef enum Rule { FREE, FEATURE, SAME, NUMBER } Rule;

static const struct {
    uint32_t leaf, subleaf;
    Rule rule[4];
    uint32_t free[4];                   /* bits that are free all the same */
} rules[] = {
    { 0x0, 0, { NUMBER, SAME, SAME, SAME } },
    { 0x1, 0, { FREE, FREE, FEATURE, FEATURE },
      { 0, 0, 1u << 31 | 1 << 27 | 1 << 21, 1 << 28 } },
    { 0x7, 0, { NUMBER, FEATURE, FEATURE, FEATURE }, { 0, 0, 1 << 4 } },
    { 0x7, 1, { FEATURE, FEATURE, FEATURE, FEATURE } },
    { 0xd, 0, { FEATURE, SAME, NUMBER, FEATURE } },
    { 0xd, 1, { FEATURE, SAME, FEATURE, FEATURE } },
    { 0xd, 2, { SAME, SAME, SAME, FREE } },
    { 0xd, 9, { SAME, SAME, SAME, FREE } },
    { 0xd, 11, { SAME, SAME, SAME, FREE } },
    { 0x80000000, 0, { NUMBER, SAME, SAME, SAME } },
    { 0x80000001, 0, { FREE, FREE, FEATURE, FEATURE },
      { 0, 0, 1 << 1 | 1 << 22 } },
    { 0x80000007, 0, { FREE, FREE, FREE, FEATURE } },
    { 0x80000008, 0, { FREE, FEATURE, FREE, FREE } },
    { 0x8000000a, 0, { FREE, FREE, FREE, FEATURE } },
    { 0x8000001f, 0, { FEATURE, SAME, FREE, FREE }, { 0, ~0x3fu } },
    { 0x80000021, 0, { FEATURE, FREE, FREE, FREE } },
};

static bool allowed(const Leaf *l, int reg, uint32_t said)
{
    uint32_t has = l->r[reg];

    for (int i = 0; i < ARRAY_SIZE(rules); i++) {
        if (rules[i].leaf != l->leaf || rules[i].subleaf != l->subleaf) {
            continue;
        }
        switch (rules[i].rule[reg]) {
        case FREE:
            return true;
        case FEATURE:
            return !(said & ~has & ~rules[i].free[reg]);
        case SAME:
            return !((said ^ has) & ~rules[i].free[reg]);
        case NUMBER:
            return said <= has;
        }
    }
    return l->leaf != 0xd;
}

/* Each bit of each register; a refused row comes back as the processor's. */
static void test_bits(void)
{
    for (int i = 0; i < ARRAY_SIZE(processor); i++) {
        const Leaf *l = &processor[i];
        const AmdPspSnpCpuid good = row_of(l);

        for (int bit = 0; bit < 128; bit++) {
            uint32_t said = l->r[bit / 32] ^ 1u << bit % 32;
            AmdPspSnpCpuid row = good;
            bool ok = allowed(l, bit / 32, said);

            *reg_of(&row, bit / 32) = cpu_to_le32(said);
            g_assert_cmpint(amd_psp_snp_cpuid_vet(&row, 1), ==, ok);
            g_assert_cmphex(le32_to_cpu(*reg_of(&row, bit / 32)), ==,
                            ok ? said : l->r[bit / 32]);
            g_assert_true(amd_psp_snp_cpuid_vet(&row, 1));
        }
    }
}

static void test_all_good(void)
{
    AmdPspSnpCpuid rows[ARRAY_SIZE(processor)];

    for (int i = 0; i < ARRAY_SIZE(processor); i++) {
        rows[i] = row_of(&processor[i]);
    }
    g_assert_true(amd_psp_snp_cpuid_vet(rows, ARRAY_SIZE(rows)));
    /* One bad row, first or last, is enough. */
    rows[0].reserved = 1;
    g_assert_false(amd_psp_snp_cpuid_vet(rows, ARRAY_SIZE(rows)));
    g_assert_cmphex(rows[0].reserved, ==, 0);
    rows[ARRAY_SIZE(rows) - 1].reserved = 1;
    g_assert_false(amd_psp_snp_cpuid_vet(rows, ARRAY_SIZE(rows)));
    g_assert_true(amd_psp_snp_cpuid_vet(rows, ARRAY_SIZE(rows)));
}

/* The size of what a guest has enabled */
static void test_xsave_size(void)
{
    static const struct {
        uint32_t subleaf;
        uint64_t xcr0, xss;
        uint32_t size;
    } rows[] = {
        { 0, 1, 0, 0x240 }, { 0, 3, 0, 0x240 }, { 0, 7, 0, 0x340 },
        { 0, 0x207, 0, 0x988 }, { 0, 0x201, 0, 0x988 }, { 0, 7, 0x800, 0x340 },
        { 1, 1, 0, 0x240 }, { 1, 7, 0, 0x340 }, { 1, 0x207, 0, 0x348 },
        { 1, 0x201, 0, 0x248 }, { 1, 7, 0x800, 0x350 },
        { 1, 0x207, 0x800, 0x390 },     /* from 0x348 up to 0x380 */
    };

    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        AmdPspSnpCpuid row = row_of(find(0xd, rows[i].subleaf));

        row.xcr0_in = cpu_to_le64(rows[i].xcr0);
        row.xss_in = cpu_to_le64(rows[i].xss);
        row.ebx = cpu_to_le32(rows[i].size);
        g_assert_true(amd_psp_snp_cpuid_vet(&row, 1));
        row.ebx = cpu_to_le32(rows[i].size + 1);
        g_assert_false(amd_psp_snp_cpuid_vet(&row, 1));
        g_assert_cmphex(le32_to_cpu(row.ebx), ==, rows[i].size);
    }
}

/* A guest may be denied a component, but not be given another's size. */
static void test_component(void)
{
    AmdPspSnpCpuid row = { .eax_in = cpu_to_le32(0xd),
                           .ecx_in = cpu_to_le32(2) };

    g_assert_true(amd_psp_snp_cpuid_vet(&row, 1));
    row.eax = cpu_to_le32(8);
    g_assert_false(amd_psp_snp_cpuid_vet(&row, 1));
    g_assert_cmphex(le32_to_cpu(row.eax), ==, 0x100);
    g_assert_cmphex(le32_to_cpu(row.ebx), ==, 0x240);
    /* Of one that does not exist, nothing may be said. */
    row.ecx_in = cpu_to_le32(5);
    g_assert_false(amd_psp_snp_cpuid_vet(&row, 1));
    g_assert_cmphex(row.eax | row.ebx | row.ecx, ==, 0);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/amd-psp-snp/cpuid/good", test_all_good);
    g_test_add_func("/amd-psp-snp/cpuid/bits", test_bits);
    g_test_add_func("/amd-psp-snp/cpuid/xsave-size", test_xsave_size);
    g_test_add_func("/amd-psp-snp/cpuid/component", test_component);
    return g_test_run();
}
