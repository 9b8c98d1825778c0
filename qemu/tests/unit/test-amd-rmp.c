/*
 * Unit test of the AMD reverse map table: instructions
 *
 * Every operation is tried in every state of a page.  Whatever it comes to, the
 * whole table is compared with the expected one afterwards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "qemu/thread.h"
#include "amd-rmp-states.h"

typedef enum Op {
    SHARE, ASSIGN, GIVE_FIRMWARE, ASSIGN_IMMUTABLE, SHARE_2M, ASSIGN_2M, SMASH,
    VALIDATE, RESCIND, VALIDATE_2M, RESCIND_2M, ADJUST, MAKE_VMSA, OPS
} Op;

static char update(unsigned page, AmdRmpState s, bool large)
{
    s.pagesize = large;
    return outcome(AMD_RMP_OK, rmp_table_update(&t, spa_of(page), &s), false);
}

static char pvalidate(unsigned page, bool large, bool validate)
{
    AmdRmpAccess a = guest_access(AMD_RMP_GUEST_PVALIDATE, page);
    AmdRmpResult r = rmp_table_pvalidate(&t, &a, large, validate);

    return outcome(r.fault, r.status, r.unchanged);
}

static char adjust(unsigned page, AmdRmpAdjust how)
{
    AmdRmpAccess a = guest_access(AMD_RMP_GUEST_RMPADJUST, page);
    AmdRmpResult r = rmp_table_adjust(&t, &a, false, &how);

    return outcome(r.fault, r.status, false);
}

static char run(Op op, unsigned page)
{
    switch (op) {
    case SHARE:
        return update(page, (AmdRmpState) { 0 }, false);
    case ASSIGN:
        return update(page, (AmdRmpState) {
            .assigned = 1, .asid = ASID, .gpa = 0x5000 }, false);
    case GIVE_FIRMWARE:
        return update(page, (AmdRmpState) {
            .assigned = 1, .immutable = 1 }, false);
    case ASSIGN_IMMUTABLE:
        return update(page, (AmdRmpState) {
            .assigned = 1, .asid = ASID, .gpa = 0x5000, .immutable = 1 }, false);
    case SHARE_2M:
        return update(HEAD, (AmdRmpState) { 0 }, true);
    case ASSIGN_2M:
        return update(HEAD, (AmdRmpState) {
            .assigned = 1, .asid = ASID, .gpa = 0x600000 }, true);
    case SMASH:
        return outcome(AMD_RMP_OK, rmp_table_psmash(&t, spa_of(HEAD)), false);
    case VALIDATE:
        return pvalidate(page, false, true);
    case RESCIND:
        return pvalidate(page, false, false);
    case VALIDATE_2M:
        return pvalidate(HEAD, true, true);
    case RESCIND_2M:
        return pvalidate(HEAD, true, false);
    case ADJUST:
        return adjust(page, (AmdRmpAdjust) { .vmpl = 1, .perms = RW });
    case MAKE_VMSA:
        return adjust(page, (AmdRmpAdjust) { .vmpl = 1, .vmsa = true });
    default:
        g_assert_not_reached();
    }
}

/* What a page is to be after an operation that succeeded */
static AmdRmpEntry after(Op op, AmdRmpEntry e, unsigned i)
{
    const AmdRmpEntry hypervisor = { .in_use = e.in_use };
    AmdRmpEntry guest = {
        .assigned = true, .asid = ASID, .gpa = 0x5000, .perms = { 15 },
    };

    switch (op) {
    case SHARE:
    case SHARE_2M:
        return hypervisor;
    case ASSIGN:
        return guest;
    case GIVE_FIRMWARE:
        return (AmdRmpEntry) {
            .assigned = true, .immutable = true, .perms = { 15 } };
    case ASSIGN_IMMUTABLE:
        guest.immutable = true;
        return guest;
    case ASSIGN_2M:
        guest.gpa = 0x600000 + i * PAGE;
        guest.size_2m = true;
        return guest;
    case SMASH:
        e.size_2m = false;
        return e;
    case VALIDATE:
    case VALIDATE_2M:
        e.validated = true;
        return e;
    case RESCIND:
    case RESCIND_2M:
        e.validated = false;
        return e;
    case ADJUST:
        e.perms[1] = RW;
        e.vmsa = false;
        return e;
    case MAKE_VMSA:
        e.perms[1] = 0;
        e.vmsa = true;
        return e;
    default:
        g_assert_not_reached();
    }
}

static bool is_2m_op(Op op)
{
    return op == SHARE_2M || op == ASSIGN_2M || op == SMASH ||
           op == VALIDATE_2M || op == RESCIND_2M;
}

static void expect_success(Op op, unsigned page)
{
    unsigned first = is_2m_op(op) ? HEAD : page;
    unsigned n = is_2m_op(op) ? 512 : 1;

    for (unsigned i = 0; i < n; i++) {
        expected[first + i] = after(op, expected[first + i], i);
    }
}

/*
 * K: done, N: was so already (carry flag)
 * I, P, U, O, Z: FAIL_INPUT, _PERMISSION, _INUSE, _OVERLAP, _SIZEMISMATCH
 * o, m, z, v: refused as an access: owner, immutable, size, not validated
 *
 * Columns in the order of Op.
 */
static const char *const at_head[STATES] = {
    /*                  SAFI SA S  VRVR AV */
    [HYPERVISOR]     = "KKKK" "KK" "P" "oooo" "oo",
    [HV_FIXED]       = "PPPP" "PP" "P" "oooo" "oo",
    [FIRMWARE]       = "PPPP" "PP" "P" "oooo" "oo",
    [FIRMWARE_IOMMU] = "PPPP" "PP" "P" "oooo" "oo",
    [RECLAIM]        = "KKKK" "OO" "P" "oooo" "oo",
    [CONTEXT]        = "PPPP" "PP" "P" "oooo" "oo",
    [METADATA]       = "PPPP" "PP" "P" "oooo" "oo",
    [PRE_GUEST]      = "PPPP" "PP" "P" "mmmm" "mm",
    [GUEST_INVALID]  = "KKKK" "OO" "P" "KNZZ" "vv",
    [GUEST_VALID]    = "KKKK" "OO" "P" "NKZZ" "KK",
    [VMSA]           = "KKKK" "OO" "P" "NKZZ" "KK",
    [VMCB_IN_USE]    = "UUUU" "UU" "U" "oooo" "oo",
    [VMSA_IN_USE]    = "UUUU" "UU" "U" "NKZZ" "UU",
    [LOCKED]         = "UUUU" "UU" "U" "oooo" "oo",
    [OTHER_GUEST]    = "KKKK" "OO" "P" "oooo" "oo",
    [INVALID_2M]     = "OOOO" "KK" "K" "zzKN" "zz",
    [VALID_2M]       = "OOOO" "KK" "K" "zzNK" "zz",
    [PRE_GUEST_2M]   = "PPPP" "PP" "P" "mmmm" "mm",
};

/* A page inside the 2M page; the head is the hypervisor's in 4K states. */
static const char *const inside[STATES] = {
    [HYPERVISOR]     = "KKKK" "KK" "P" "oooo" "oo",
    [HV_FIXED]       = "PPPP" "PP" "P" "oooo" "oo",
    [FIRMWARE]       = "PPPP" "PP" "P" "oooo" "oo",
    [FIRMWARE_IOMMU] = "PPPP" "PP" "P" "oooo" "oo",
    [RECLAIM]        = "KKKK" "OO" "P" "oooo" "oo",
    [CONTEXT]        = "PPPP" "PP" "P" "oooo" "oo",
    [METADATA]       = "PPPP" "PP" "P" "oooo" "oo",
    [PRE_GUEST]      = "PPPP" "PP" "P" "mmoo" "mm",
    [GUEST_INVALID]  = "KKKK" "OO" "P" "KNoo" "vv",
    [GUEST_VALID]    = "KKKK" "OO" "P" "NKoo" "KK",
    [VMSA]           = "KKKK" "OO" "P" "NKoo" "KK",
    [VMCB_IN_USE]    = "UUUU" "UU" "U" "oooo" "oo",
    [VMSA_IN_USE]    = "UUUU" "UU" "U" "NKoo" "UU",
    [LOCKED]         = "UUUU" "UU" "U" "oooo" "oo",
    [OTHER_GUEST]    = "KKKK" "OO" "P" "oooo" "oo",
    [INVALID_2M]     = "OOOO" "KK" "K" "zzKN" "zz",
    [VALID_2M]       = "OOOO" "KK" "K" "zzNK" "zz",
    [PRE_GUEST_2M]   = "PPPP" "PP" "P" "mmmm" "mm",
};

static void test_transitions(gconstpointer data)
{
    bool at_the_head = data == at_head;
    const char *const *matrix = data;
    unsigned page = at_the_head ? HEAD : HEAD + 5;

    for (int s = 0; s < STATES; s++) {
        g_assert_cmpuint(strlen(matrix[s]), ==, OPS);
        for (int op = 0; op < OPS; op++) {
            char got;

            set_up(s, page);
            got = run(op, page);
            g_test_message("%s, operation %d: %c", states[s].name, op, got);
            g_assert_cmpint(got, ==, matrix[s][op]);
            if (got == 'K') {
                expect_success(op, page);
            }
            assert_table();
        }
    }
}

/* A page assigned somewhere else in the 2M page, or marked, stops 2M updates. */
static void test_2m_over_4k(void)
{
    AmdRmpState s = { .assigned = 1, .asid = ASID, .pagesize = 1 };

    set_up(GUEST_VALID, HEAD + 511);
    g_assert_cmpint(rmp_table_update(&t, spa_of(HEAD), &s), ==,
                    AMD_RMP_FAIL_OVERLAP);
    assert_table();
    set_up(VMCB_IN_USE, HEAD + 511);
    g_assert_cmpint(rmp_table_update(&t, spa_of(HEAD), &s), ==,
                    AMD_RMP_FAIL_INUSE);
    assert_table();
    set_up(HV_FIXED, HEAD + 511);
    g_assert_cmpint(rmp_table_update(&t, spa_of(HEAD), &s), ==,
                    AMD_RMP_FAIL_PERMISSION);
    assert_table();
}

static void test_update_input(void)
{
    static const struct {
        hwaddr spa;
        AmdRmpState s;
    } bad[] = {
        { 0x1008, { .assigned = 1, .asid = 1 } },
        { 0x1000, { .assigned = 1, .asid = 1, .pagesize = 1 } },
        { PAGES * PAGE, { .assigned = 1, .asid = 1 } },
        { ~0ULL << 12, { .assigned = 1, .asid = 1 } },
        { 3 * SIZE_2M, { .assigned = 1, .asid = 1, .pagesize = 1 } },
        { 0x1000, { .assigned = 2, .asid = 1 } },
        { 0x1000, { .assigned = 1, .asid = 1, .immutable = 2 } },
        { 0, { .assigned = 1, .asid = 1, .pagesize = 2 } },
        { 0x1000, { .assigned = 1, .asid = 1, .reserved = 1 } },
        { 0x1000, { .assigned = 1, .asid = 1024 } },
        { 0x1000, { .assigned = 1, .asid = 1, .gpa = 0x800 } },
        { 0x1000, { .assigned = 1, .asid = 1, .gpa = 1ULL << 51 } },
        { 0, { .assigned = 1, .asid = 1, .pagesize = 1, .gpa = 0x1000 } },
        { 0x1000, { .asid = 1 } },
        { 0x1000, { .immutable = 1 } },
        { 0x1000, { .assigned = 1, .immutable = 1, .gpa = AMD_RMP_GPA_IOMMU } },
    };

    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        set_up(GUEST_VALID, HEAD);
        g_assert_cmpint(rmp_table_update(&t, bad[i].spa, &bad[i].s), ==,
                        AMD_RMP_FAIL_INPUT);
        assert_table();
    }
}

static void test_psmash_input(void)
{
    set_up(VALID_2M, HEAD);
    g_assert_cmpint(rmp_table_psmash(&t, spa_of(HEAD + 1)), ==,
                    AMD_RMP_FAIL_INPUT);
    g_assert_cmpint(rmp_table_psmash(&t, 3 * SIZE_2M), ==, AMD_RMP_FAIL_INPUT);
    g_assert_cmpint(rmp_table_psmash(&t, 16 * SIZE_2M), ==, AMD_RMP_FAIL_INPUT);
    assert_table();
}

/* PVALIDATE and RMPADJUST of 2M need an aligned address. */
static void test_pvalidate_input(void)
{
    AmdRmpAccess a = guest_access(AMD_RMP_GUEST_PVALIDATE, HEAD + 1);
    AmdRmpResult r;

    set_up(INVALID_2M, HEAD);
    r = rmp_table_pvalidate(&t, &a, true, true);
    g_assert_cmpint(outcome(r.fault, r.status, false), ==, 'I');
    assert_table();
}

static void test_rmpadjust_rights(void)
{
    static const struct {
        uint8_t vmpl;
        AmdRmpAdjust how;
        char outcome;
    } rows[] = {
        { 0, { .vmpl = 0, .perms = R }, 'P' },          /* itself */
        { 0, { .vmpl = 4, .perms = R }, 'I' },
        { 0, { .vmpl = 1, .perms = 0x10 }, 'I' },
        { 1, { .vmpl = 0, .perms = R }, 'P' },          /* above it */
        { 1, { .vmpl = 1, .perms = R }, 'P' },
        { 1, { .vmpl = 2, .perms = R }, 'K' },
        { 1, { .vmpl = 2, .perms = RW }, 'P' },         /* has no W itself */
        { 1, { .vmpl = 2, .vmsa = true }, 'P' },        /* only VMPL0 may */
        { 0, { .vmpl = 3, .perms = 15 }, 'K' },
    };

    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        AmdRmpAccess a = guest_access(AMD_RMP_GUEST_RMPADJUST, HEAD);
        AmdRmpResult r;

        set_up(GUEST_VALID, HEAD);
        a.vmpl = rows[i].vmpl;
        r = rmp_table_adjust(&t, &a, false, &rows[i].how);
        g_assert_cmpint(outcome(r.fault, r.status, false), ==, rows[i].outcome);
        if (rows[i].outcome == 'K') {
            expected[HEAD].perms[rows[i].how.vmpl] = rows[i].how.perms;
        }
        assert_table();
    }
}

static void test_rmpquery(void)
{
    AmdRmpAccess a = guest_access(AMD_RMP_GUEST_RMPADJUST, HEAD);
    AmdRmpResult r;

    set_up(GUEST_VALID, HEAD);
    a.vmpl = 1;
    r = rmp_table_query(&t, &a, 1);
    g_assert_cmpint(outcome(r.fault, r.status, false), ==, 'K');
    g_assert_cmphex(r.perms, ==, R);
    g_assert_false(r.vmsa || r.size_2m);
    r = rmp_table_query(&t, &a, 0);
    g_assert_cmpint(outcome(r.fault, r.status, false), ==, 'P');
    r = rmp_table_query(&t, &a, 4);
    g_assert_cmpint(outcome(r.fault, r.status, false), ==, 'I');
    set_up(GUEST_INVALID, HEAD);
    r = rmp_table_query(&t, &a, 1);
    g_assert_cmpint(outcome(r.fault, r.status, false), ==, 'v');
    assert_table();
}

static void test_rmpread(void)
{
    AmdRmpState s;

    set_up(VALID_2M, HEAD);
    g_assert_cmpint(rmp_table_rmpread(&t, spa_of(HEAD + 3), &s), ==, 0);
    g_assert_cmphex(s.gpa, ==, gpa_of(HEAD + 3));
    g_assert_cmpint(s.assigned, ==, 1);
    g_assert_cmphex(s.pagesize, ==, 3);
    g_assert_cmpuint(s.asid, ==, ASID);
    set_up(PRE_GUEST, HEAD + 3);
    g_assert_cmpint(rmp_table_rmpread(&t, spa_of(HEAD + 4), &s), ==, 0);
    g_assert_cmpint(s.assigned, ==, 0);
    g_assert_cmphex(s.pagesize, ==, 2);
    g_assert_cmpint(rmp_table_rmpread(&t, spa_of(HEAD + 3), &s), ==, 0);
    g_assert_cmpint(s.immutable, ==, 1);
    g_assert_cmpint(rmp_table_rmpread(&t, spa_of(PAGES), &s), ==,
                    AMD_RMP_FAIL_INPUT);
    g_assert_cmpint(rmp_table_rmpread(&t, 8, &s), ==, AMD_RMP_FAIL_INPUT);
    assert_table();
}

/* ---- what software sees in memory */

static void test_layout(void)
{
    AmdRmpEntry e = {
        .assigned = true, .immutable = true, .asid = 0x155, .vmsa = true,
        .validated = true, .lock = true, .gpa = 0x5a5a5a5a5a000,
        .perms = { 1, 2, 4, 8 },
    };

    memset(raw, 0, sizeof(raw));
    g_assert_true(rmp_table_put(&t, spa_of(1), &e));
    g_assert_cmphex(le64_to_cpu(raw[1].lo), ==,
                    1ULL | 1ULL << 2 | 0x5a5a5a5a5a000ULL | 0x155ULL << 51 |
                    1ULL << 61 | 1ULL << 62 | 1ULL << 63);
    g_assert_cmphex(le64_to_cpu(raw[1].hi), ==, 0x08040201);
    e = (AmdRmpEntry) { .assigned = true, .asid = 3, .size_2m = true };
    g_assert_true(rmp_table_put(&t, spa_of(HEAD), &e));
    g_assert_cmphex(le64_to_cpu(raw[HEAD].lo), ==,
                    3ULL | 511 << 3 | 3ULL << 51);
    g_assert_cmphex(le64_to_cpu(raw[HEAD + 1].lo), ==,
                    1ULL | PAGE | 3ULL << 51);
}

/* ---- what firmware does to many pages at once */

static void expect(unsigned page, unsigned n, AmdRmpEntry e)
{
    for (unsigned i = page; i < page + n; i++) {
        expected[i] = e;
    }
}

/* From any state; up to the table's end; and a 2M page loses but the part */
static void test_fill(void)
{
    const AmdRmpEntry firmware = { .assigned = true, .immutable = true };

    for (State s = 0; s < STATES; s++) {
        uint8_t in_use = state_entry(s, HEAD).in_use;

        set_up(s, HEAD);
        rmp_table_fill(&t, spa_of(HEAD), 1, &firmware);
        expected[HEAD] = firmware;
        expected[HEAD].in_use = in_use;
        if (states[s].e.size_2m) {
            for (unsigned i = 1; i < 512; i++) {
                expected[HEAD + i].size_2m = false;
            }
        }
        assert_table();
    }
    set_up(HYPERVISOR, 0);
    rmp_table_fill(&t, spa_of(PAGES - 3), UINT64_MAX, &firmware);
    expect(PAGES - 3, 3, firmware);
    rmp_table_fill(&t, spa_of(PAGES), 1, &firmware);
    rmp_table_fill(&t, spa_of(PAGES + 7), UINT64_MAX, &firmware);
    assert_table();
}

/* Only what PSMASH makes is put together again, and only if all of it is alike */
static void test_unsmash(void)
{
    AmdRmpEntry e = state_entry(PRE_GUEST_2M, HEAD), odd;

    g_assert_false(rmp_table_unsmash(&t, spa_of(HEAD + 1)));
    g_assert_false(rmp_table_unsmash(&t, spa_of(PAGES - 100)));
    set_up(PRE_GUEST_2M, HEAD);
    g_assert_false(rmp_table_unsmash(&t, spa_of(HEAD)));
    assert_table();
    for (unsigned i = 0; i < 512; i++) {
        expected[HEAD + i].size_2m = false;
    }
    e.size_2m = false;
    for (unsigned i = 0; i < 512; i++) {
        e.gpa = gpa_of(HEAD + i);
        rmp_table_fill(&t, spa_of(HEAD + i), 1, &e);
    }
    assert_table();
    rmp_table_get(&t, spa_of(HEAD + 300), &odd);
    for (int i = 0; i < 4; i++) {
        e = odd;
        e.gpa += i == 0 ? PAGE : 0;
        e.asid += i == 1;
        e.validated ^= i == 2;
        e.perms[1] ^= i == 3;
        rmp_table_fill(&t, spa_of(HEAD + 300), 1, &e);
        expected[HEAD + 300] = e;
        g_assert_false(rmp_table_unsmash(&t, spa_of(HEAD)));
        assert_table();
    }
    rmp_table_fill(&t, spa_of(HEAD + 300), 1, &odd);
    expected[HEAD + 300] = odd;
    rmp_table_mark(&t, spa_of(HEAD + 9), 1);
    g_assert_false(rmp_table_unsmash(&t, spa_of(HEAD)));
    rmp_table_mark(&t, spa_of(HEAD + 9), -1);
    g_assert_true(rmp_table_unsmash(&t, spa_of(HEAD)));
    for (unsigned i = 0; i < 512; i++) {
        expected[HEAD + i].size_2m = true;
    }
    assert_table();
}

static void test_asid_has_pages(void)
{
    for (State s = 0; s < STATES; s++) {
        uint32_t asid = state_entry(s, HEAD).asid;

        set_up(s, HEAD);
        for (uint32_t i = 1; i <= OTHER_ASID; i++) {
            g_assert_cmpint(rmp_table_asid_has_pages(&t, i), ==, i == asid);
        }
    }
}

/* ---- lookups while a 2M page is smashed and put together again */

static bool stop;

static void *look_up(void *opaque)
{
    unsigned long n = 0;

    while (!qatomic_read(&stop)) {
        unsigned page = HEAD + n++ % 512;
        AmdRmpEntry e;

        g_assert_true(rmp_table_get(&t, spa_of(page), &e));
        g_assert_true(e.assigned && e.validated);
        g_assert_cmpuint(e.asid, ==, ASID);
        g_assert_cmphex(e.gpa, ==, gpa_of(page));
    }
    return NULL;
}

static void test_concurrent_psmash(void)
{
    AmdRmpEntry e = state_entry(VALID_2M, HEAD);
    QemuThread reader[2];

    set_up(VALID_2M, HEAD);
    qatomic_set(&stop, false);
    for (int i = 0; i < ARRAY_SIZE(reader); i++) {
        qemu_thread_create(&reader[i], "reader", look_up, NULL,
                           QEMU_THREAD_JOINABLE);
    }
    for (int i = 0; i < 2000; i++) {
        g_assert_cmpint(rmp_table_psmash(&t, spa_of(HEAD)), ==, 0);
        g_assert_true(rmp_table_put(&t, spa_of(HEAD), &e));
    }
    qatomic_set(&stop, true);
    for (int i = 0; i < ARRAY_SIZE(reader); i++) {
        qemu_thread_join(&reader[i]);
    }
    assert_table();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_data_func("/amd-rmp/transitions/head", at_head,
                         test_transitions);
    g_test_add_data_func("/amd-rmp/transitions/inside", inside,
                         test_transitions);
    g_test_add_func("/amd-rmp/rmpupdate/2m-over-4k", test_2m_over_4k);
    g_test_add_func("/amd-rmp/rmpupdate/input", test_update_input);
    g_test_add_func("/amd-rmp/psmash/input", test_psmash_input);
    g_test_add_func("/amd-rmp/pvalidate/input", test_pvalidate_input);
    g_test_add_func("/amd-rmp/rmpadjust/rights", test_rmpadjust_rights);
    g_test_add_func("/amd-rmp/rmpquery", test_rmpquery);
    g_test_add_func("/amd-rmp/rmpread", test_rmpread);
    g_test_add_func("/amd-rmp/layout", test_layout);
    g_test_add_func("/amd-rmp/fill", test_fill);
    g_test_add_func("/amd-rmp/unsmash", test_unsmash);
    g_test_add_func("/amd-rmp/asid-has-pages", test_asid_has_pages);
    g_test_add_func("/amd-rmp/concurrent-psmash", test_concurrent_psmash);
    return g_test_run();
}
