/*
 * Tests of the AMD reverse map table: states of a page, and the whole table
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-rmp-states.h"

RmpRaw raw[PAGES];
RmpTable t = { .raw = raw, .pages = PAGES };
AmdRmpEntry expected[PAGES];

hwaddr spa_of(unsigned page)
{
    return page * PAGE;
}

const StateRow states[STATES] = {
    [HYPERVISOR] = { "HYPERVISOR", { 0 } },
    [HV_FIXED] = { "HV_FIXED", { .immutable = true } },
    [FIRMWARE] = { "FIRMWARE", { .assigned = true, .immutable = true } },
    [FIRMWARE_IOMMU] = { "FIRMWARE_IOMMU", {
        .assigned = true, .immutable = true, .gpa = AMD_RMP_GPA_IOMMU } },
    [RECLAIM] = { "RECLAIM", { .assigned = true } },
    [CONTEXT] = { "CONTEXT", {
        .assigned = true, .immutable = true, .vmsa = true } },
    [METADATA] = { "METADATA", {
        .assigned = true, .immutable = true,
        .gpa = AMD_RMP_TAG_METADATA | 0x1234000 } },
    [PRE_GUEST] = { "PRE_GUEST", {
        .assigned = true, .immutable = true, .asid = ASID, .gpa = 1,
        .perms = { 15 } } },
    [GUEST_INVALID] = { "GUEST_INVALID", {
        .assigned = true, .asid = ASID, .gpa = 1, .perms = { 15 } } },
    [GUEST_VALID] = { "GUEST_VALID", {
        .assigned = true, .asid = ASID, .gpa = 1, .validated = true,
        .perms = { 15, 1 } } },
    [VMSA] = { "VMSA", {
        .assigned = true, .asid = ASID, .gpa = 1, .validated = true,
        .vmsa = true, .perms = { 15 } } },
    [VMCB_IN_USE] = { "VMCB in use", { .in_use = 1 } },
    [VMSA_IN_USE] = { "VMSA in use", {
        .assigned = true, .asid = ASID, .gpa = 1, .validated = true,
        .vmsa = true, .in_use = 1, .perms = { 15 } } },
    [LOCKED] = { "RECLAIM, locked", { .assigned = true, .lock = true } },
    [OTHER_GUEST] = { "another guest's", {
        .assigned = true, .asid = OTHER_ASID, .gpa = 1, .validated = true,
        .perms = { 15 } } },
    [INVALID_2M] = { "GUEST_INVALID, 2M", {
        .assigned = true, .asid = ASID, .gpa = 1, .size_2m = true,
        .perms = { 15 } } },
    [VALID_2M] = { "GUEST_VALID, 2M", {
        .assigned = true, .asid = ASID, .gpa = 1, .size_2m = true,
        .validated = true, .perms = { 15, 1 } } },
    [PRE_GUEST_2M] = { "PRE_GUEST, 2M", {
        .assigned = true, .asid = ASID, .gpa = 1, .size_2m = true,
        .immutable = true, .perms = { 15 } } },
};

uint64_t gpa_of(unsigned page)
{
    return GPA_2M + (page - HEAD) * PAGE;
}

AmdRmpEntry state_entry(State s, unsigned page)
{
    AmdRmpEntry e = states[s].e;

    if (e.gpa == 1) {
        e.gpa = gpa_of(page);
    }
    return e;
}

void set_up(State s, unsigned page)
{
    AmdRmpEntry e = state_entry(s, states[s].e.size_2m ? HEAD : page);

    memset(raw, 0, sizeof(raw));
    g_assert_true(rmp_table_put(&t, spa_of(e.size_2m ? HEAD : page), &e));
    if (e.in_use) {
        rmp_table_mark(&t, spa_of(page), 1);
    }
    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_true(rmp_table_get(&t, spa_of(i), &expected[i]));
    }
}

static void assert_entry(const AmdRmpEntry *a, const AmdRmpEntry *b)
{
    g_assert_cmphex(a->gpa, ==, b->gpa);
    g_assert_cmpuint(a->asid, ==, b->asid);
    g_assert_cmpint(a->assigned, ==, b->assigned);
    g_assert_cmpint(a->validated, ==, b->validated);
    g_assert_cmpint(a->immutable, ==, b->immutable);
    g_assert_cmpint(a->vmsa, ==, b->vmsa);
    g_assert_cmpint(a->size_2m, ==, b->size_2m);
    g_assert_cmpint(a->lock, ==, b->lock);
    g_assert_cmpint(a->in_use, ==, b->in_use);
    g_assert_cmpmem(a->perms, sizeof(a->perms), b->perms, sizeof(b->perms));
}

/* The count in the head of each 2M page, which no lookup returns */
static void assert_subpages(void)
{
    for (unsigned head = 0; head < PAGES; head += 512) {
        unsigned n = 0;

        for (unsigned i = head + 1; i < MIN(head + 512, PAGES); i++) {
            n += le64_to_cpu(raw[i].lo) & 1;
            g_assert_cmphex(le64_to_cpu(raw[i].lo) & 2, ==, 0);
        }
        g_assert_cmpuint((le64_to_cpu(raw[head].lo) >> 3) & 0x1ff, ==, n);
    }
}

void assert_table(void)
{
    AmdRmpEntry e;

    for (unsigned i = 0; i < PAGES; i++) {
        g_assert_true(rmp_table_get(&t, spa_of(i), &e));
        assert_entry(&e, &expected[i]);
    }
    assert_subpages();
}

char outcome(AmdRmpFault fault, AmdRmpStatus status, bool unchanged)
{
    static const char faults[] = {
        [AMD_RMP_FAULT_COVERED] = 'c', [AMD_RMP_FAULT_OWNER] = 'o',
        [AMD_RMP_FAULT_REVERSE_MAP] = 'r', [AMD_RMP_FAULT_IMMUTABLE] = 'm',
        [AMD_RMP_FAULT_VMSA] = 's', [AMD_RMP_FAULT_SIZE] = 'z',
        [AMD_RMP_FAULT_VALIDATED] = 'v', [AMD_RMP_FAULT_VMPL] = 'p',
    };

    if (fault != AMD_RMP_OK) {
        return faults[fault];
    }
    switch (status) {
    case AMD_RMP_SUCCESS:
        return unchanged ? 'N' : 'K';
    case AMD_RMP_FAIL_INPUT:
        return 'I';
    case AMD_RMP_FAIL_PERMISSION:
        return 'P';
    case AMD_RMP_FAIL_INUSE:
        return 'U';
    case AMD_RMP_FAIL_OVERLAP:
        return 'O';
    case AMD_RMP_FAIL_SIZEMISMATCH:
        return 'Z';
    }
    g_assert_not_reached();
}

AmdRmpAccess guest_access(AmdRmpKind kind, unsigned page)
{
    return (AmdRmpAccess) {
        .kind = kind,
        .spa = spa_of(page),
        .gpa = gpa_of(page),
        .asid = ASID,
    };
}
