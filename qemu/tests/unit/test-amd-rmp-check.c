/*
 * Unit test of the AMD reverse map table: checks of accesses
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "amd-rmp-states.h"

/*
 * Of an entry that is wrong in everything, one thing after the other is mended:
 * each kind of access reports what it checks in this order, and nothing else.
 */
typedef struct Mending {
    char was;                   /* what is reported as long as it is wrong */
    void (*mend)(AmdRmpEntry *e);
} Mending;

static void mend_owner(AmdRmpEntry *e)
{
    e->asid = ASID;
}

static void mend_gpa(AmdRmpEntry *e)
{
    e->gpa = gpa_of(HEAD);
}

static void mend_immutable(AmdRmpEntry *e)
{
    e->immutable = false;
}

static void mend_vmsa(AmdRmpEntry *e)
{
    e->vmsa = true;
    e->validated = true;
}

static void mend_size(AmdRmpEntry *e)
{
    e->size_2m = false;
}

static void mend_validated(AmdRmpEntry *e)
{
    e->validated = true;
}

static void mend_perms(AmdRmpEntry *e)
{
    e->perms[2] = AMD_RMP_PERM_ALL;
}

static const Mending data_order[] = {
    { 'o', mend_owner }, { 'r', mend_gpa }, { 'm', mend_immutable },
    { 'z', mend_size }, { 'v', mend_validated }, { 'p', mend_perms },
    { 'K' },
};
static const Mending vmsa_order[] = {
    { 'o', mend_owner }, { 'm', mend_gpa }, { 'm', mend_immutable },
    { 's', mend_vmsa }, { 'K', mend_size }, { 'K' },
};
static const Mending insn_order[] = {
    { 'o', mend_owner }, { 'r', mend_gpa }, { 'm', mend_immutable },
    { 'K', mend_size }, { 'K' },
};

static void check_order(AmdRmpKind kind, const Mending *m, int n)
{
    AmdRmpEntry e = {
        .assigned = true, .asid = OTHER_ASID, .gpa = SIZE_2M, .size_2m = true,
        .immutable = true,
    };
    AmdRmpAccess a = guest_access(kind, HEAD);

    a.vmpl = 2;
    for (int i = 0; i < n; i++) {
        memset(raw, 0, sizeof(raw));
        g_assert_true(rmp_table_put(&t, spa_of(HEAD), &e));
        g_assert_cmpint(outcome(rmp_table_check(&t, &a), 0, false), ==,
                        m[i].was);
        if (m[i].mend) {
            m[i].mend(&e);
        }
    }
}

static void test_priority(void)
{
    static const AmdRmpKind data[] = {
        AMD_RMP_GUEST_LOAD, AMD_RMP_GUEST_STORE, AMD_RMP_GUEST_FETCH_USER,
        AMD_RMP_GUEST_FETCH_SUPER, AMD_RMP_GUEST_WALK,
        AMD_RMP_GUEST_WALK_STORE,
    };

    for (int i = 0; i < ARRAY_SIZE(data); i++) {
        check_order(data[i], data_order, ARRAY_SIZE(data_order));
    }
    check_order(AMD_RMP_SNP_VMSA, vmsa_order, ARRAY_SIZE(vmsa_order));
    check_order(AMD_RMP_GUEST_PVALIDATE, insn_order, ARRAY_SIZE(insn_order));
    check_order(AMD_RMP_GUEST_RMPADJUST, insn_order, ARRAY_SIZE(insn_order));
}

/* Each permission by itself: who may do what with it */
static void test_permissions(void)
{
    static const struct {
        AmdRmpKind kind;
        uint16_t allowed;       /* a bit for each value of the permissions */
    } rows[] = {
        { AMD_RMP_GUEST_LOAD, 0xaaaa },         /* R */
        { AMD_RMP_GUEST_WALK, 0xaaaa },
        { AMD_RMP_GUEST_STORE, 0x8888 },        /* R and W */
        { AMD_RMP_GUEST_WALK_STORE, 0x8888 },
        { AMD_RMP_GUEST_FETCH_USER, 0xf0f0 },   /* Xu */
        { AMD_RMP_GUEST_FETCH_SUPER, 0xff00 },  /* Xs */
    };

    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        for (int perms = 0; perms < 16; perms++) {
            AmdRmpEntry e = state_entry(GUEST_VALID, HEAD);
            AmdRmpAccess a = guest_access(rows[i].kind, HEAD);

            e.perms[3] = perms;
            a.vmpl = 3;
            g_assert_true(rmp_table_put(&t, spa_of(HEAD), &e));
            g_assert_cmpint(rmp_table_check(&t, &a), ==,
                            rows[i].allowed & (1 << perms) ?
                            AMD_RMP_OK : AMD_RMP_FAULT_VMPL);
        }
    }
}

/* What is the hypervisor's, for those who need a page that is */
static void test_hypervisor_owned(void)
{
    static const char *const owned[STATES] = {
        [HYPERVISOR] = "K", [HV_FIXED] = "K", [VMCB_IN_USE] = "K",
    };

    for (int kind = AMD_RMP_HOST_STORE; kind <= AMD_RMP_ES_VMSA; kind++) {
        for (int s = 0; s < STATES; s++) {
            AmdRmpAccess a = { .kind = kind, .spa = spa_of(HEAD + 9) };
            bool iommu = kind == AMD_RMP_IOMMU_STORE && s == FIRMWARE_IOMMU;

            set_up(s, HEAD + 9);
            g_assert_cmpint(rmp_table_check(&t, &a), ==,
                            owned[s] || iommu ? AMD_RMP_OK
                                              : AMD_RMP_FAULT_OWNER);
            a.spa = spa_of(HEAD + 10);
            g_assert_cmpint(rmp_table_check(&t, &a), ==,
                            states[s].e.size_2m ? AMD_RMP_FAULT_OWNER
                                                : AMD_RMP_OK);
            a.spa = spa_of(PAGES);
            g_assert_cmpint(rmp_table_check(&t, &a), ==, AMD_RMP_OK);
        }
    }
}

/* A mapping of 2M needs all of it, wherever the access is. */
static void test_sizes(void)
{
    AmdRmpAccess host = {
        .kind = AMD_RMP_HOST_STORE, .spa = spa_of(HEAD + 10), .large = true,
    };
    AmdRmpAccess guest = guest_access(AMD_RMP_GUEST_LOAD, HEAD + 10);
    static const unsigned places[] = { HEAD, HEAD + 1, HEAD + 511 };

    for (int i = 0; i < ARRAY_SIZE(places); i++) {
        set_up(GUEST_VALID, places[i]);
        g_assert_cmpint(rmp_table_check(&t, &host), ==, AMD_RMP_FAULT_SIZE);
    }
    set_up(GUEST_VALID, HEAD - 1);
    g_assert_cmpint(rmp_table_check(&t, &host), ==, AMD_RMP_OK);
    set_up(GUEST_VALID, HEAD + 512);
    g_assert_cmpint(rmp_table_check(&t, &host), ==, AMD_RMP_OK);

    set_up(GUEST_VALID, HEAD + 10);
    g_assert_cmpint(rmp_table_check(&t, &guest), ==, AMD_RMP_OK);
    guest.large = true;
    g_assert_cmpint(rmp_table_check(&t, &guest), ==, AMD_RMP_FAULT_SIZE);
    set_up(VALID_2M, HEAD);
    g_assert_cmpint(rmp_table_check(&t, &guest), ==, AMD_RMP_OK);
    guest.large = false;
    g_assert_cmpint(rmp_table_check(&t, &guest), ==, AMD_RMP_FAULT_SIZE);
}

static void test_not_covered(void)
{
    for (int kind = AMD_RMP_SNP_VMSA; kind < AMD_RMP_KINDS; kind++) {
        AmdRmpAccess a = guest_access(kind, PAGES);

        g_assert_cmpint(rmp_table_check(&t, &a), ==, AMD_RMP_FAULT_COVERED);
    }
}

/* ASID 0 is the firmware's, and never a guest that runs. */
static void test_asid_0(void)
{
    AmdRmpAccess a = guest_access(AMD_RMP_GUEST_LOAD, HEAD);

    set_up(RECLAIM, HEAD);
    a.asid = 0;
    a.gpa = 0;
    g_assert_cmpint(rmp_table_check(&t, &a), ==, AMD_RMP_FAULT_OWNER);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/amd-rmp/check/priority", test_priority);
    g_test_add_func("/amd-rmp/check/permissions", test_permissions);
    g_test_add_func("/amd-rmp/check/hypervisor-owned", test_hypervisor_owned);
    g_test_add_func("/amd-rmp/check/sizes", test_sizes);
    g_test_add_func("/amd-rmp/check/not-covered", test_not_covered);
    g_test_add_func("/amd-rmp/check/asid-0", test_asid_0);
    return g_test_run();
}
