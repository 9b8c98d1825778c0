/*
 * AMD reverse map table: entries and checks
 *
 * The raw layout is that of Zen 3 and 4, which is not architectural but read by
 * hosts that know no RMPREAD.  A 2M page is described by the entry of its first
 * 4K page, the head; the other 511 repeat owner and address for those who look at
 * them, and become valid by themselves when PSMASH takes PAGESIZE from the head.
 * SUBPAGES of the head counts those of the other 511 that are assigned [assumed:
 * what exactly silicon counts is not documented].  So a lookup reads the head
 * first and at most one entry more, and finds the whole of a 2M page free or not
 * without looking at 512 entries.
 *
 * Lookups take no lock.  A change writes the high half, then the low half; a
 * lookup that meets both halves of different changes is made again, since the
 * change has incremented the generation that the TLB fill compares.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/atomic.h"
#include "qemu/bswap.h"
#include "hw/registerfields.h"
#include "hw/i386/amd-rmp-table.h"

FIELD(RMP_LO, ASSIGNED, 0, 1)
FIELD(RMP_LO, PAGESIZE, 1, 1)
FIELD(RMP_LO, IMMUTABLE, 2, 1)
FIELD(RMP_LO, SUBPAGES, 3, 9)
FIELD(RMP_LO, GPA, 12, 39)
FIELD(RMP_LO, ASID, 51, 10)
FIELD(RMP_LO, VMSA, 61, 1)
FIELD(RMP_LO, VALIDATED, 62, 1)
FIELD(RMP_LO, LOCK, 63, 1)
FIELD(RMP_HI, PERMS, 0, 32)
/* Where silicon keeps in-use marks is not known; these bits are our choice. */
FIELD(RMP_HI, IN_USE, 56, 8)

#define GPA_MASK        MAKE_64BIT_MASK(RMP_PAGE_BITS, 39)
#define HEAD(pfn)       ((pfn) & ~(uint64_t)(RMP_PAGES_PER_2M - 1))
#define SIZE_2M         ((hwaddr)RMP_PAGES_PER_2M << RMP_PAGE_BITS)

/* ---- raw entries */

static uint64_t raw_lo(const RmpTable *t, uint64_t pfn)
{
    return le64_to_cpu(qatomic_read(&t->raw[pfn].lo));
}

static uint64_t raw_hi(const RmpTable *t, uint64_t pfn)
{
    return le64_to_cpu(qatomic_read(&t->raw[pfn].hi));
}

static void raw_write(RmpTable *t, uint64_t pfn, uint64_t lo, uint64_t hi)
{
    qatomic_set(&t->raw[pfn].hi, cpu_to_le64(hi));
    qatomic_store_release(&t->raw[pfn].lo, cpu_to_le64(lo));
}

static bool covered(const RmpTable *t, hwaddr spa)
{
    return (spa >> RMP_PAGE_BITS) < t->pages;
}

static bool covered_2m(const RmpTable *t, hwaddr spa)
{
    return HEAD(spa >> RMP_PAGE_BITS) + RMP_PAGES_PER_2M <= t->pages;
}

static bool raw_is_2m(uint64_t lo)
{
    return FIELD_EX64(lo, RMP_LO, ASSIGNED) && FIELD_EX64(lo, RMP_LO, PAGESIZE);
}

/* The page whose entry says everything about page @pfn */
static uint64_t authority(const RmpTable *t, uint64_t pfn)
{
    return raw_is_2m(raw_lo(t, HEAD(pfn))) ? HEAD(pfn) : pfn;
}

static AmdRmpEntry decode(uint64_t lo, uint64_t hi)
{
    AmdRmpEntry e = {
        .gpa = lo & GPA_MASK,
        .asid = FIELD_EX64(lo, RMP_LO, ASID),
        .assigned = FIELD_EX64(lo, RMP_LO, ASSIGNED),
        .validated = FIELD_EX64(lo, RMP_LO, VALIDATED),
        .immutable = FIELD_EX64(lo, RMP_LO, IMMUTABLE),
        .vmsa = FIELD_EX64(lo, RMP_LO, VMSA),
        .size_2m = raw_is_2m(lo),
        .lock = FIELD_EX64(lo, RMP_LO, LOCK),
        .in_use = FIELD_EX64(hi, RMP_HI, IN_USE),
    };

    stl_le_p(e.perms, FIELD_EX64(hi, RMP_HI, PERMS));
    return e;
}

static uint64_t encode_lo(const AmdRmpEntry *e)
{
    uint64_t lo = e->gpa & GPA_MASK;

    lo = FIELD_DP64(lo, RMP_LO, ASSIGNED, e->assigned);
    lo = FIELD_DP64(lo, RMP_LO, PAGESIZE, e->size_2m);
    lo = FIELD_DP64(lo, RMP_LO, IMMUTABLE, e->immutable);
    lo = FIELD_DP64(lo, RMP_LO, ASID, e->asid);
    lo = FIELD_DP64(lo, RMP_LO, VMSA, e->vmsa);
    lo = FIELD_DP64(lo, RMP_LO, VALIDATED, e->validated);
    return FIELD_DP64(lo, RMP_LO, LOCK, e->lock);
}

/* Write one slot; what does not belong to the entry stays as it is. */
static void put_slot(RmpTable *t, uint64_t pfn, const AmdRmpEntry *e)
{
    uint64_t old = raw_lo(t, pfn);
    uint64_t lo = encode_lo(e);
    uint64_t hi = FIELD_DP64(raw_hi(t, pfn), RMP_HI, PERMS, ldl_le_p(e->perms));

    if (pfn == HEAD(pfn)) {
        lo = FIELD_DP64(lo, RMP_LO, SUBPAGES, FIELD_EX64(old, RMP_LO, SUBPAGES));
    }
    raw_write(t, pfn, lo, hi);
}

static void set_subpages(RmpTable *t, uint64_t head, unsigned n)
{
    raw_write(t, head, FIELD_DP64(raw_lo(t, head), RMP_LO, SUBPAGES, n),
              raw_hi(t, head));
}

static void put_4k(RmpTable *t, uint64_t pfn, const AmdRmpEntry *e)
{
    uint64_t head = HEAD(pfn);
    bool was = FIELD_EX64(raw_lo(t, pfn), RMP_LO, ASSIGNED);
    unsigned n = FIELD_EX64(raw_lo(t, head), RMP_LO, SUBPAGES);

    put_slot(t, pfn, e);
    if (pfn != head && was != e->assigned) {
        set_subpages(t, head, e->assigned ? n + 1 : n - 1);
    }
}

/* The 511 entries behind the head, as 4K pages with its properties */
static void put_tail(RmpTable *t, uint64_t head, const AmdRmpEntry *e)
{
    AmdRmpEntry sub = *e;

    sub.size_2m = false;
    for (unsigned i = 1; i < RMP_PAGES_PER_2M; i++) {
        sub.gpa = e->assigned ? e->gpa + ((uint64_t)i << RMP_PAGE_BITS) : 0;
        put_slot(t, head + i, &sub);
    }
}

/* A lookup must not find a 2M page whose tail is not there: order matters. */
static void put_2m(RmpTable *t, uint64_t head, const AmdRmpEntry *e)
{
    AmdRmpEntry first = *e;

    first.size_2m = e->assigned;
    if (e->assigned) {
        put_tail(t, head, e);
        put_slot(t, head, &first);
    } else {
        put_slot(t, head, &first);
        put_tail(t, head, e);
    }
    set_subpages(t, head, e->assigned ? RMP_PAGES_PER_2M - 1 : 0);
}

bool rmp_table_get(const RmpTable *t, hwaddr spa, AmdRmpEntry *e)
{
    uint64_t pfn = spa >> RMP_PAGE_BITS;
    uint64_t from;

    if (!covered(t, spa)) {
        return false;
    }
    from = authority(t, pfn);
    *e = decode(raw_lo(t, from), raw_hi(t, from));
    e->gpa += (pfn - from) << RMP_PAGE_BITS;
    e->in_use = FIELD_EX64(raw_hi(t, pfn), RMP_HI, IN_USE);
    return true;
}

bool rmp_table_put(RmpTable *t, hwaddr spa, const AmdRmpEntry *e)
{
    uint64_t pfn = spa >> RMP_PAGE_BITS;

    if (!covered(t, spa)) {
        return false;
    }
    if (e->size_2m) {
        if (pfn != HEAD(pfn) || !covered_2m(t, spa) ||
            !QEMU_IS_ALIGNED(e->gpa, SIZE_2M)) {
            return false;
        }
        put_2m(t, pfn, e);
        return true;
    }
    if (raw_is_2m(raw_lo(t, HEAD(pfn)))) {
        return false;
    }
    put_4k(t, pfn, e);
    return true;
}

/* A 2M page that loses a part of itself is not one any more. */
void rmp_table_fill(RmpTable *t, hwaddr spa, uint64_t pages,
                    const AmdRmpEntry *e)
{
    uint64_t pfn = spa >> RMP_PAGE_BITS;
    uint64_t end = pages > t->pages - MIN(pfn, t->pages) ? t->pages :
                                                           pfn + pages;

    for (; pfn < end; pfn++) {
        if (raw_is_2m(raw_lo(t, HEAD(pfn)))) {
            AmdRmpEntry large = decode(raw_lo(t, HEAD(pfn)),
                                       raw_hi(t, HEAD(pfn)));

            large.size_2m = false;
            put_slot(t, HEAD(pfn), &large);
        }
        put_4k(t, pfn, e);
    }
}

bool rmp_table_unsmash(RmpTable *t, hwaddr spa)
{
    AmdRmpEntry head, e;

    if (!QEMU_IS_ALIGNED(spa, SIZE_2M) || !covered_2m(t, spa) ||
        !rmp_table_get(t, spa, &head) || head.size_2m || head.vmsa ||
        !head.assigned || head.in_use || !QEMU_IS_ALIGNED(head.gpa, SIZE_2M)) {
        return false;
    }
    for (unsigned i = 1; i < RMP_PAGES_PER_2M; i++) {
        uint64_t off = (uint64_t)i << RMP_PAGE_BITS;

        rmp_table_get(t, spa + off, &e);
        e.gpa -= off;
        if (e.in_use || encode_lo(&e) != encode_lo(&head) ||
            memcmp(e.perms, head.perms, sizeof(e.perms))) {
            return false;
        }
    }
    head.size_2m = true;
    return rmp_table_put(t, spa, &head);
}

bool rmp_table_asid_has_pages(const RmpTable *t, uint32_t asid)
{
    for (uint64_t pfn = 0; pfn < t->pages; pfn++) {
        uint64_t lo = raw_lo(t, pfn);

        if (FIELD_EX64(lo, RMP_LO, ASSIGNED) &&
            FIELD_EX64(lo, RMP_LO, ASID) == asid) {
            return true;
        }
    }
    return false;
}

/* ---- in-use marks; they belong to a 4K page, whatever the entry's size */

void rmp_table_mark(RmpTable *t, hwaddr spa, int delta)
{
    uint64_t pfn = spa >> RMP_PAGE_BITS;
    uint64_t hi;

    if (!covered(t, spa)) {
        return;
    }
    hi = raw_hi(t, pfn);
    hi = FIELD_DP64(hi, RMP_HI, IN_USE, FIELD_EX64(hi, RMP_HI, IN_USE) + delta);
    raw_write(t, pfn, raw_lo(t, pfn), hi);
}

static bool in_use(const RmpTable *t, uint64_t pfn, uint64_t n)
{
    for (uint64_t i = pfn; i < pfn + n; i++) {
        if (FIELD_EX64(raw_hi(t, i), RMP_HI, IN_USE) ||
            FIELD_EX64(raw_lo(t, i), RMP_LO, LOCK)) {
            return true;
        }
    }
    return false;
}

/* ---- the check */

typedef struct RmpRule {
    bool iommu;                 /* the firmware may have lent it to the IOMMU */
    bool guest;                 /* the page has to be the guest's */
    bool any_gpa;               /* there is no address to compare with */
    bool vmsa;
    bool sized;                 /* mapping and entry have to agree in size */
    bool validated;
    uint8_t perms;
} RmpRule;

/*
 * 15.36.10 "RMP and VMPL Access Checks".  Rows without .guest demand that the
 * hypervisor owns the page.
 *
 * VMRUN knows only the system physical address of a VMSA, so there is nothing
 * that its entry's GPA could be compared with [assumed].  The size of the entry
 * is not checked against a mapping, since VMRUN uses none.
 */
static const RmpRule rules[AMD_RMP_KINDS] = {
    [AMD_RMP_IOMMU_STORE] = { .iommu = true },
    [AMD_RMP_SNP_VMSA] = { .guest = true, .any_gpa = true, .vmsa = true },
    [AMD_RMP_GUEST_LOAD] = {
        .guest = true, .sized = true, .validated = true,
        .perms = AMD_RMP_PERM_READ,
    },
    /* Write permission without read permission is none. */
    [AMD_RMP_GUEST_STORE] = {
        .guest = true, .sized = true, .validated = true,
        .perms = AMD_RMP_PERM_READ | AMD_RMP_PERM_WRITE,
    },
    [AMD_RMP_GUEST_FETCH_USER] = {
        .guest = true, .sized = true, .validated = true,
        .perms = AMD_RMP_PERM_EXEC_USER,
    },
    [AMD_RMP_GUEST_FETCH_SUPER] = {
        .guest = true, .sized = true, .validated = true,
        .perms = AMD_RMP_PERM_EXEC_SUPER,
    },
    [AMD_RMP_GUEST_WALK] = {
        .guest = true, .sized = true, .validated = true,
        .perms = AMD_RMP_PERM_READ,
    },
    [AMD_RMP_GUEST_WALK_STORE] = {
        .guest = true, .sized = true, .validated = true,
        .perms = AMD_RMP_PERM_READ | AMD_RMP_PERM_WRITE,
    },
    [AMD_RMP_GUEST_PVALIDATE] = { .guest = true },
    [AMD_RMP_GUEST_RMPADJUST] = { .guest = true },
};

/*
 * A mapping of 2M or more must not reach any page of somebody else's, even if
 * this access does not.
 */
static AmdRmpFault check_hypervisor(const RmpTable *t,
                                    const AmdRmpAccess *access)
{
    uint64_t pfn = access->spa >> RMP_PAGE_BITS;
    uint64_t head;

    head = raw_lo(t, HEAD(pfn));
    if (raw_is_2m(head) || FIELD_EX64(raw_lo(t, pfn), RMP_LO, ASSIGNED)) {
        return AMD_RMP_FAULT_OWNER;
    }
    if (access->large && (FIELD_EX64(head, RMP_LO, ASSIGNED) ||
                          FIELD_EX64(head, RMP_LO, SUBPAGES))) {
        return AMD_RMP_FAULT_SIZE;
    }
    return AMD_RMP_OK;
}

static bool is_iommu_page(const RmpTable *t, hwaddr spa)
{
    AmdRmpEntry e;

    return rmp_table_get(t, spa, &e) && e.assigned && !e.asid && e.immutable &&
           e.gpa == AMD_RMP_GPA_IOMMU;
}

/*
 * @lo, @hi: the entry, at @offset in its page.  Every TLB fill of a guest comes
 * here several times, thus no AmdRmpEntry.
 */
static AmdRmpFault check_guest(uint64_t lo, uint64_t hi, uint64_t offset,
                               const AmdRmpAccess *access, const RmpRule *rule)
{
    uint64_t gpa = (lo & GPA_MASK) + offset;
    unsigned vmpl = access->vmpl % AMD_RMP_VMPLS;

    if (!(lo & R_RMP_LO_ASSIGNED_MASK) || !access->asid ||
        FIELD_EX64(lo, RMP_LO, ASID) != access->asid) {
        return AMD_RMP_FAULT_OWNER;
    }
    if (!rule->any_gpa && (gpa ^ access->gpa) >> RMP_PAGE_BITS) {
        return AMD_RMP_FAULT_REVERSE_MAP;
    }
    if (lo & R_RMP_LO_IMMUTABLE_MASK) {
        return AMD_RMP_FAULT_IMMUTABLE;
    }
    if (rule->vmsa && (!(lo & R_RMP_LO_VMSA_MASK) ||
                       !(lo & R_RMP_LO_VALIDATED_MASK))) {
        return AMD_RMP_FAULT_VMSA;
    }
    if (rule->sized && raw_is_2m(lo) != access->large) {
        return AMD_RMP_FAULT_SIZE;
    }
    if (rule->validated && !(lo & R_RMP_LO_VALIDATED_MASK)) {
        return AMD_RMP_FAULT_VALIDATED;
    }
    if (rule->perms & ~(FIELD_EX64(hi, RMP_HI, PERMS) >> (8 * vmpl))) {
        return AMD_RMP_FAULT_VMPL;
    }
    return AMD_RMP_OK;
}

AmdRmpFault rmp_table_check(const RmpTable *t, const AmdRmpAccess *access)
{
    const RmpRule *rule = &rules[access->kind];
    uint64_t pfn = access->spa >> RMP_PAGE_BITS;
    uint64_t from;

    if (!covered(t, access->spa)) {
        return rule->guest ? AMD_RMP_FAULT_COVERED : AMD_RMP_OK;
    }
    if (rule->iommu && is_iommu_page(t, access->spa)) {
        return AMD_RMP_OK;
    }
    if (!rule->guest) {
        return check_hypervisor(t, access);
    }
    from = authority(t, pfn);
    return check_guest(raw_lo(t, from), raw_hi(t, from),
                       (pfn - from) << RMP_PAGE_BITS, access, rule);
}

/* ---- RMPUPDATE, PSMASH, RMPREAD */

/*
 * What FAIL_INPUT covers is an assumption.  An address in a page without an
 * owner is refused because firmware keeps its tags there.
 */
static bool state_valid(const RmpTable *t, hwaddr spa, const AmdRmpState *s)
{
    uint64_t size = s->pagesize ? SIZE_2M : 1 << RMP_PAGE_BITS;

    if (s->assigned > 1 || s->pagesize > 1 || s->immutable > 1 || s->reserved) {
        return false;
    }
    if (!covered(t, spa) || (s->pagesize && !covered_2m(t, spa)) ||
        !QEMU_IS_ALIGNED(spa, size)) {
        return false;
    }
    if (!s->assigned) {
        return !s->asid && !s->immutable;
    }
    if (!s->asid && s->gpa) {
        return false;
    }
    return s->asid < 1 << R_RMP_LO_ASID_LENGTH &&
           !(s->gpa & ~GPA_MASK) && QEMU_IS_ALIGNED(s->gpa, size);
}

static bool any_slot(const RmpTable *t, uint64_t pfn, uint64_t n, uint64_t bits)
{
    for (uint64_t i = pfn; i < pfn + n; i++) {
        if (raw_lo(t, i) & bits) {
            return true;
        }
    }
    return false;
}

/* May software change the @n pages from @pfn on?  In order of priority. */
static AmdRmpStatus changeable(const RmpTable *t, uint64_t pfn, uint64_t n)
{
    uint64_t from = authority(t, pfn);

    if (in_use(t, pfn, n)) {
        return AMD_RMP_FAIL_INUSE;
    }
    if ((raw_lo(t, from) & R_RMP_LO_IMMUTABLE_MASK) ||
        any_slot(t, pfn, n, R_RMP_LO_IMMUTABLE_MASK)) {
        return AMD_RMP_FAIL_PERMISSION;
    }
    return AMD_RMP_SUCCESS;
}

/*
 * Two sizes at once: part of a 2M page, or a 2M page over assigned 4K ones.
 * That just this is FAIL_OVERLAP is from memory.
 */
static bool overlaps(const RmpTable *t, uint64_t pfn, bool large)
{
    bool is_2m = raw_is_2m(raw_lo(t, HEAD(pfn)));

    if (!large || is_2m) {
        return is_2m != large;
    }
    return any_slot(t, pfn, RMP_PAGES_PER_2M, R_RMP_LO_ASSIGNED_MASK);
}

AmdRmpStatus rmp_table_update(RmpTable *t, hwaddr spa, const AmdRmpState *s)
{
    uint64_t pfn = spa >> RMP_PAGE_BITS;
    AmdRmpEntry e = { 0 };
    AmdRmpStatus status;

    if (!state_valid(t, spa, s)) {
        return AMD_RMP_FAIL_INPUT;
    }
    status = changeable(t, pfn, s->pagesize ? RMP_PAGES_PER_2M : 1);
    if (status != AMD_RMP_SUCCESS) {
        return status;
    }
    if (overlaps(t, pfn, s->pagesize)) {
        return AMD_RMP_FAIL_OVERLAP;
    }
    if (s->assigned) {
        e.assigned = true;
        e.gpa = s->gpa;
        e.asid = s->asid;
        e.immutable = s->immutable;
        e.perms[0] = AMD_RMP_PERM_ALL;
    }
    if (s->pagesize) {
        put_2m(t, pfn, &e);
    } else {
        put_4k(t, pfn, &e);
    }
    return AMD_RMP_SUCCESS;
}

/*
 * The head comes last: until then lookups see the 2M page.  That FAIL_PERMISSION
 * is the answer for a page that is none of 2M is from memory.
 */
AmdRmpStatus rmp_table_psmash(RmpTable *t, hwaddr spa)
{
    uint64_t head = spa >> RMP_PAGE_BITS;
    AmdRmpStatus status;
    AmdRmpEntry e;

    if (!QEMU_IS_ALIGNED(spa, SIZE_2M) || !covered_2m(t, spa)) {
        return AMD_RMP_FAIL_INPUT;
    }
    if (in_use(t, head, RMP_PAGES_PER_2M)) {
        return AMD_RMP_FAIL_INUSE;
    }
    status = changeable(t, head, 1);
    if (status != AMD_RMP_SUCCESS || !raw_is_2m(raw_lo(t, head))) {
        return AMD_RMP_FAIL_PERMISSION;
    }
    e = decode(raw_lo(t, head), raw_hi(t, head));
    put_tail(t, head, &e);
    e.size_2m = false;
    put_slot(t, head, &e);
    return AMD_RMP_SUCCESS;
}

/* Byte 9 bit 1 says whether any 4K page of the 2M region is assigned. */
AmdRmpStatus rmp_table_rmpread(const RmpTable *t, hwaddr spa, AmdRmpState *s)
{
    AmdRmpEntry e;
    uint64_t head;

    if (!QEMU_IS_ALIGNED(spa, 1 << RMP_PAGE_BITS) ||
        !rmp_table_get(t, spa, &e)) {
        return AMD_RMP_FAIL_INPUT;
    }
    head = raw_lo(t, HEAD(spa >> RMP_PAGE_BITS));
    *s = (AmdRmpState) {
        .gpa = e.gpa,
        .assigned = e.assigned,
        .pagesize = e.size_2m |
                    (FIELD_EX64(head, RMP_LO, ASSIGNED) ||
                     FIELD_EX64(head, RMP_LO, SUBPAGES)) << 1,
        .immutable = e.immutable,
        .asid = e.asid,
    };
    return AMD_RMP_SUCCESS;
}

/* ---- PVALIDATE, RMPADJUST, RMPQUERY */

/* Change the entry of the page, or of the 2M page that it is the head of. */
static void put_validated(RmpTable *t, hwaddr spa, const AmdRmpEntry *e)
{
    put_slot(t, spa >> RMP_PAGE_BITS, e);
}

/*
 * The size that the guest asks for against that of the entry: the hypervisor
 * can mend a page that is too large (PSMASH), and only the guest one that is
 * too small.
 */
static bool size_matches(const AmdRmpAccess *access, const AmdRmpEntry *e,
                         bool large, AmdRmpResult *r)
{
    if (large && !QEMU_IS_ALIGNED(access->gpa, SIZE_2M)) {
        r->status = AMD_RMP_FAIL_INPUT;
        return false;
    }
    if (!large && e->size_2m) {
        r->fault = AMD_RMP_FAULT_SIZE;
        return false;
    }
    if (large && !e->size_2m) {
        r->status = AMD_RMP_FAIL_SIZEMISMATCH;
        return false;
    }
    return true;
}

AmdRmpResult rmp_table_pvalidate(RmpTable *t, const AmdRmpAccess *access,
                                 bool large, bool validate)
{
    AmdRmpResult r = { .fault = rmp_table_check(t, access) };
    AmdRmpEntry e = { 0 };

    if (r.fault != AMD_RMP_OK) {
        return r;
    }
    rmp_table_get(t, access->spa, &e);
    if (!size_matches(access, &e, large, &r)) {
        return r;
    }
    r.unchanged = e.validated == validate;
    if (!r.unchanged) {
        e.validated = validate;
        put_validated(t, access->spa, &e);
    }
    return r;
}

/*
 * A VMPL gives to those below it, and no more than it has.  Assumed: what cannot
 * be given, to nobody, is FAIL_INPUT, and a page in use is FAIL_INUSE.
 */
static AmdRmpStatus adjust_allowed(const AmdRmpAccess *access,
                                   const AmdRmpEntry *e,
                                   const AmdRmpAdjust *adjust)
{
    if (adjust->vmpl >= AMD_RMP_VMPLS ||
        (adjust->perms & ~AMD_RMP_PERM_ALL)) {
        return AMD_RMP_FAIL_INPUT;
    }
    if (adjust->vmpl <= access->vmpl ||
        (adjust->perms & ~e->perms[access->vmpl]) ||
        (adjust->vmsa != e->vmsa && access->vmpl)) {
        return AMD_RMP_FAIL_PERMISSION;
    }
    return e->in_use ? AMD_RMP_FAIL_INUSE : AMD_RMP_SUCCESS;
}

/* Sizes come before validation, and the instruction judges them itself. */
static bool adjustable(const AmdRmpAccess *access, const AmdRmpEntry *e,
                       bool large, AmdRmpResult *r)
{
    if (!size_matches(access, e, large, r)) {
        return false;
    }
    if (!e->validated) {
        r->fault = AMD_RMP_FAULT_VALIDATED;
        return false;
    }
    return true;
}

AmdRmpResult rmp_table_adjust(RmpTable *t, const AmdRmpAccess *access,
                              bool large, const AmdRmpAdjust *adjust)
{
    AmdRmpResult r = { .fault = rmp_table_check(t, access) };
    AmdRmpEntry e = { 0 };

    if (r.fault != AMD_RMP_OK) {
        return r;
    }
    rmp_table_get(t, access->spa, &e);
    if (!adjustable(access, &e, large, &r)) {
        return r;
    }
    r.status = adjust_allowed(access, &e, adjust);
    if (r.status == AMD_RMP_SUCCESS) {
        r.unchanged = e.perms[adjust->vmpl] == adjust->perms &&
                      e.vmsa == adjust->vmsa;
        e.perms[adjust->vmpl] = adjust->perms;
        e.vmsa = adjust->vmsa;
        put_validated(t, access->spa, &e);
    }
    return r;
}

AmdRmpResult rmp_table_query(const RmpTable *t, const AmdRmpAccess *access,
                             uint8_t vmpl)
{
    AmdRmpResult r = { .fault = rmp_table_check(t, access) };
    AmdRmpEntry e = { 0 };

    if (r.fault != AMD_RMP_OK) {
        return r;
    }
    rmp_table_get(t, access->spa, &e);
    if (!e.validated) {
        r.fault = AMD_RMP_FAULT_VALIDATED;
    } else if (vmpl >= AMD_RMP_VMPLS) {
        r.status = AMD_RMP_FAIL_INPUT;
    } else if (vmpl < access->vmpl) {
        r.status = AMD_RMP_FAIL_PERMISSION;
    } else {
        r.perms = e.perms[vmpl];
        r.vmsa = e.vmsa;
        r.size_2m = e.size_2m;
    }
    return r;
}
