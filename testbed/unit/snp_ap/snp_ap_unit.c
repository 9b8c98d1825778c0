// SPDX-License-Identifier: GPL-2.0
/*
 * snp_ap.c and snp_ap_state.c of the kernel, in userland: each request in each
 * state, and all that there is to see afterwards.
 *
 *   snp_ap_unit malformed       what no state can make legal
 *   snp_ap_unit matrix          each state, each event: against the table below
 *   snp_ap_unit walk STEPS      random ones, three vCPUs: against the same table,
 *                               and against what must hold of all of them
 */
#include "stubs.h"
#include "snp_ap.h"

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #cond, doing);	\
		abort();						\
	}								\
} while (0)

static char doing[256];

/*
 * Pages.  A page of the guest's has one gfn; where it is, is gfn + PFN_OFFSET.
 */
#define FIRST_GFN	0x1fcull
#define NR_PAGES	4
#define ALL_PAGES	5	/* the last is 2M-aligned */
#define PFN_OFFSET	0x10000
#define NO_PAGE		-1
#define PAGE_GPA	(FIRST_GFN << 12)	/* page 0 */

static struct {
	bool slot, private, present, assigned;
} pages[ALL_PAGES];
static struct kvm_memory_slot slot = { .flags = KVM_MEM_GUEST_MEMFD };
static struct file file;

static gfn_t page_gfn(int page) { return page == NO_PAGE ? SNP_AP_NO_GFN : FIRST_GFN + page; }
static hpa_t page_hpa(int page) { return (FIRST_GFN + page + PFN_OFFSET) << 12; }

static int gfn_page(gfn_t gfn)
{
	return gfn - FIRST_GFN < ALL_PAGES ? (int)(gfn - FIRST_GFN) : NO_PAGE;
}

static bool page_is_there(int page)
{
	return slot.flags == KVM_MEM_GUEST_MEMFD && pages[page].slot &&
	       pages[page].private && pages[page].present && pages[page].assigned;
}

struct kvm_memory_slot *gfn_to_memslot(struct kvm *kvm, gfn_t gfn)
{
	int page = gfn_page(gfn);

	return page != NO_PAGE && pages[page].slot ? &slot : NULL;
}

bool kvm_slot_can_be_private(struct kvm_memory_slot *s)
{
	return s && s->flags & KVM_MEM_GUEST_MEMFD;
}

bool kvm_mem_is_private(struct kvm *kvm, gfn_t gfn)
{
	return pages[gfn_page(gfn)].private;
}

int kvm_gmem_lock_pfn(struct kvm_memory_slot *s, gfn_t gfn, kvm_pfn_t *pfn, struct file **f)
{
	if (!pages[gfn_page(gfn)].present)
		return -ENOENT;

	CHECK(!file.held++);
	*f = &file;
	*pfn = gfn + PFN_OFFSET;
	return 0;
}

void kvm_gmem_unlock_pfn(struct file *f)
{
	CHECK(!--f->held);
}

int snp_lookup_rmpentry(u64 pfn, bool *assigned, int *level)
{
	*assigned = pages[gfn_page(pfn - PFN_OFFSET)].assigned;
	return 0;
}

/*
 * The VM.
 */
#define NR_VCPUS	3
#define FEATURES	(SVM_SEV_FEAT_SNP_ACTIVE | BIT(5))

static struct kvm kvm;
static struct vcpu_svm vcpus[NR_VCPUS];

static struct kvm_vcpu *vcpu(int i) { return &vcpus[i].vcpu; }
static struct snp_ap *ap(int i) { return &vcpus[i].sev_es.snp_ap; }
static hpa_t own_page(int i) { return 0x7000000 + ((hpa_t)i << 12); }

struct kvm_vcpu *kvm_get_vcpu_by_id(struct kvm *k, u32 id)
{
	return id < NR_VCPUS ? vcpu(id) : NULL;
}

/* The target leaves the guest, before anything has changed. */
void kvm_make_vcpus_request_mask(struct kvm *k, unsigned int req, unsigned long *mask)
{
	int i;

	for (i = 0; i < NR_VCPUS; i++) {
		if (!(mask[0] & BIT(i)))
			continue;
		vcpu(i)->request = true;
		vcpu(i)->in_guest = false;
		k->nr_kicks++;
	}
}

void kvm_vcpu_reset(struct kvm_vcpu *v, bool init_event)
{
	CHECK(init_event && v->mutex.held);
	sev_snp_init_protected_guest_state(v);
}

static void init_vm(void)
{
	int i;

	memset(&kvm, 0, sizeof(kvm));
	memset(vcpus, 0, sizeof(vcpus));
	kvm.sev.context.vmsa_features = FEATURES;
	kvm.sev.ctx = (void *)&kvm.sev.context;
	kvm.arch.pre_fault_allowed = true;
	kvm.nr_vcpus = NR_VCPUS;
	sev_snp_ap_vm_init(&kvm);

	for (i = 0; i < NR_VCPUS; i++) {
		kvm.vcpus[i] = vcpu(i);
		vcpu(i)->kvm = &kvm;
		vcpu(i)->vcpu_id = vcpu(i)->vcpu_idx = i;
		vcpu(i)->arch.apic = &vcpu(i)->lapic;
		vcpu(i)->arch.mp_state = KVM_MP_STATE_UNINITIALIZED;
		vcpus[i].vmcb = &vcpus[i].vmcb01;
		vcpus[i].vmcb->control.vmsa_pa = INVALID_PAGE;
		vcpus[i].sev_es.vmsa = (void *)own_page(i);
		sev_snp_ap_vcpu_init(&vcpus[i]);
	}
	for (i = 0; i < ALL_PAGES; i++)
		pages[i] = (typeof(pages[i])){ true, true, true, true };
}

static void check_no_locks(void)
{
	CHECK(!kvm.sev.snp_ap_lock.held && !kvm.mmu_lock.read && !kvm.mmu_lock.write &&
	      !file.held);
}

/*
 * Events, and what becomes of the vCPU that they are about.
 */
enum event { CREATE, CREATE_ON_INIT, DESTROY, INIT, UPDATE, GONE, PRE_RUN, NR_EVENTS };
static const char *const event_names[] = {
	"CREATE", "CREATE_ON_INIT", "DESTROY", "INIT", "update", "page gone", "KVM_RUN",
};
static const char *const state_names[] = {
	"NONE", "MEASURED", "LIVE", "LOST", "DESTROYED",
};

#define ALL_STATES	(BIT(SNP_AP_NONE) | BIT(SNP_AP_MEASURED) | BIT(SNP_AP_LIVE) | \
			 BIT(SNP_AP_LOST) | BIT(SNP_AP_DESTROYED))
#define IF(state)	BIT(SNP_AP_##state)

enum pending { ANY, NO, YES };
enum what { KEEP, NONE, NEW, NEXT };	/* becomes of a page: none, the request's, the pending one */

static const struct rule {
	enum event event;
	unsigned long states;
	enum pending pending;		/* a page waits for INIT */
	bool strict_refuses;
	int state;			/* -1: as it is */
	enum what page, next;
	int change;			/* -1: as it is */
	bool kick;
} rules[] = {
	{ CREATE, ALL_STATES & ~IF(LIVE), NO, false, SNP_AP_LIVE, NEW, NONE, SNP_AP_START, true },
	{ CREATE, ALL_STATES & ~IF(LIVE), YES, true, SNP_AP_LIVE, NEW, NONE, SNP_AP_START, true },
	{ CREATE, IF(LIVE), ANY, true, SNP_AP_LIVE, NEW, NONE, SNP_AP_START, true },
	{ CREATE_ON_INIT, ALL_STATES & ~IF(LIVE), NO, false, -1, KEEP, NEW, -1, false },
	{ CREATE_ON_INIT, ALL_STATES & ~IF(LIVE), YES, true, -1, KEEP, NEW, -1, false },
	{ CREATE_ON_INIT, IF(LIVE), ANY, true, -1, KEEP, NEW, -1, false },
	{ DESTROY, ALL_STATES & ~IF(DESTROYED), ANY, false, SNP_AP_DESTROYED, NONE, NONE,
	  SNP_AP_STOP, true },
	{ DESTROY, IF(DESTROYED), YES, false, -1, NONE, NONE, SNP_AP_STOP, true },
	{ DESTROY, IF(DESTROYED), NO, false, -1, NONE, NONE, -1, false },
	{ INIT, ALL_STATES, NO, false, -1, KEEP, NONE, -1, false },
	{ INIT, ALL_STATES, YES, false, SNP_AP_LIVE, NEXT, NONE, SNP_AP_UNCHANGED, false },
	{ UPDATE, ALL_STATES, ANY, false, -1, KEEP, KEEP, SNP_AP_UNCHANGED, false },
	{ GONE, ALL_STATES & ~IF(LIVE), ANY, false, -1, KEEP, KEEP, -1, false },
	{ GONE, IF(LIVE), ANY, false, SNP_AP_LOST, KEEP, KEEP, -1, true },
	{ PRE_RUN, ALL_STATES & ~IF(LOST), ANY, false, -1, KEEP, KEEP, -1, false },
	{ PRE_RUN, IF(LOST), ANY, false, SNP_AP_LIVE, KEEP, KEEP, -1, false },
};

struct model {
	int state, change;
	int page, next;
};

static struct model model_of(int i)
{
	return (struct model){
		.state = ap(i)->state, .change = ap(i)->change,
		.page = gfn_page(ap(i)->gfn), .next = gfn_page(ap(i)->next_gfn),
	};
}

static const struct rule *find_rule(const struct model *m, enum event event)
{
	const struct rule *rule, *found = NULL;

	for (rule = rules; rule < rules + sizeof(rules) / sizeof(*rules); rule++) {
		if (rule->event != event || !(rule->states & BIT(m->state)) ||
		    (rule->pending != ANY && (rule->pending == YES) != (m->next != NO_PAGE)))
			continue;
		CHECK(!found);
		found = rule;
	}
	CHECK(found);
	return found;
}

static bool is_request(enum event event)
{
	return event <= DESTROY;
}

/* Who has the page, other than the target. */
static bool is_taken(int target, int page)
{
	int i;

	for (i = 0; i < NR_VCPUS; i++) {
		if (i != target && page != NO_PAGE &&
		    (ap(i)->gfn == page_gfn(page) || ap(i)->next_gfn == page_gfn(page)))
			return true;
	}
	return false;
}

static bool is_refused(int from, int target, enum event event, int page)
{
	struct model m = model_of(target);

	if (!is_request(event))
		return false;
	if (ap(from)->change != SNP_AP_UNCHANGED)
		return true;
	if (event == DESTROY)
		return false;
	return from == target || !page_is_there(page) || is_taken(target, page) ||
	       (kvm.arch.snp_ap_flags & KVM_X86_SNP_AP_STRICT &&
		find_rule(&m, event)->strict_refuses);
}

static struct model expected(struct model m, enum event event, int page)
{
	const struct rule *rule = find_rule(&m, event);
	int next = m.next, was = m.state;

	if (event == GONE && m.page != page)
		return m;
	if (rule->state >= 0)
		m.state = rule->state;
	if (rule->change >= 0)
		m.change = rule->change;
	if (rule->next != KEEP)
		m.next = rule->next == NEW ? page : NO_PAGE;
	if (rule->page != KEEP)
		m.page = rule->page == NEW ? page : rule->page == NEXT ? next : NO_PAGE;
	if (event == INIT && next != NO_PAGE && !page_is_there(next))
		m.state = SNP_AP_LOST;
	if (event == PRE_RUN && was == SNP_AP_LOST && !page_is_there(m.page))
		m.state = SNP_AP_LOST;
	return m;
}

/* The host address follows from the rest. */
static hpa_t model_hpa(int i, const struct model *m)
{
	return m->state == SNP_AP_MEASURED ? own_page(i) :
	       m->state == SNP_AP_LIVE ? page_hpa(m->page) : INVALID_PAGE;
}

static void check_model(int i, const struct model *m)
{
	CHECK((int)ap(i)->state == m->state);
	CHECK((int)ap(i)->change == m->change);
	CHECK(ap(i)->gfn == page_gfn(m->page));
	CHECK(ap(i)->next_gfn == page_gfn(m->next));
	CHECK(ap(i)->hpa == model_hpa(i, m));
}

/* A vCPU that has found its INIT allowed, but has not reset itself yet. */
static int taking_init = -1;

static int do_event(int from, int target, enum event event, int page)
{
	struct kvm_vcpu *who = vcpu(is_request(event) ? from : target);
	int ret = 0;

	who->mutex.held = 1;
	switch (event) {
	case CREATE:
	case CREATE_ON_INIT:
	case DESTROY:
		CHECK(!who->in_guest);
		ret = sev_snp_ap_creation(who, (u64)target << 32 |
					  (event == CREATE ? SVM_VMGEXIT_AP_CREATE :
					   event == DESTROY ? SVM_VMGEXIT_AP_DESTROY :
							      SVM_VMGEXIT_AP_CREATE_ON_INIT),
					  event == DESTROY ? 0 : page_gfn(page) << 12, FEATURES);
		break;
	case INIT:
		if (target != taking_init && sev_snp_init_signal_blocked(who))
			break;
		kvm_vcpu_reset(who, true);
		who->arch.mp_state = KVM_MP_STATE_INIT_RECEIVED;
		break;
	case UPDATE:
		who->request = false;
		sev_snp_update_protected_guest_state(who);
		break;
	case GONE:
		write_lock(&kvm.mmu_lock);
		sev_snp_private_range_gone(&kvm, page_gfn(page), page_gfn(page) + 1);
		write_unlock(&kvm.mmu_lock);
		break;
	default:
		sev_snp_ap_pre_run(who);
		break;
	}
	who->mutex.held = 0;
	check_no_locks();
	return ret;
}

/* What must hold whatever has happened. */
static void check_all(void)
{
	int i, j;

	for (i = 0; i < NR_VCPUS; i++) {
		hpa_t pa = vcpus[i].vmcb->control.vmsa_pa;

		/* No VMRUN but with the VMSA that the vCPU has. */
		CHECK(vcpu(i)->request || pa == ap(i)->hpa);
		CHECK(!vcpu(i)->in_guest || (!vcpu(i)->request && VALID_PAGE(pa)));
		CHECK(ap(i)->change == SNP_AP_UNCHANGED || vcpu(i)->request);
		/* No reply, from a request to when the vCPU takes it over. */
		CHECK(vcpus[i].vmgexit_disowned == (ap(i)->change != SNP_AP_UNCHANGED));
		CHECK(ap(i)->state != SNP_AP_MEASURED || ap(i)->hpa == own_page(i));
		CHECK(ap(i)->state != SNP_AP_LIVE || ap(i)->hpa != own_page(i));
		if (!vcpu(i)->request && ap(i)->state == SNP_AP_DESTROYED)
			CHECK(vcpu(i)->arch.mp_state == KVM_MP_STATE_STOPPED);
		if (!vcpu(i)->request && ap(i)->state == SNP_AP_LIVE)
			CHECK(vcpu(i)->arch.mp_state != KVM_MP_STATE_STOPPED);

		for (j = 0; j < NR_VCPUS; j++) {
			CHECK(i == j || !snp_ap_has(ap(i), ap(j)->gfn));
			CHECK(i == j || !snp_ap_has(ap(i), ap(j)->next_gfn));
			CHECK(i == j || pa == INVALID_PAGE || vcpu(i)->request ||
			      vcpus[j].vmcb->control.vmsa_pa != pa || vcpu(j)->request);
		}
	}
}

/* Do it, and look at everything. */
static void step(int from, int target, enum event event, int page)
{
	struct vcpu_svm before[NR_VCPUS];
	struct model m[NR_VCPUS];
	unsigned long kicks = kvm.nr_kicks;
	bool refused = is_refused(from, target, event, page);
	int i, ret, kick = 0;

	snprintf(doing, sizeof(doing), "%s%s by %d on %d, which is %s, change %d, page %d of %d and %d",
		 kvm.arch.snp_ap_flags & KVM_X86_SNP_AP_STRICT ? "strict " : "", event_names[event],
		 from, target, state_names[ap(target)->state], ap(target)->change, page,
		 gfn_page(ap(target)->gfn), gfn_page(ap(target)->next_gfn));

	memcpy(before, vcpus, sizeof(before));
	for (i = 0; i < NR_VCPUS; i++) {
		m[i] = model_of(i);
		if (!refused && (i == target || event == GONE)) {
			kick += find_rule(&m[i], event)->kick &&
				(event != GONE || m[i].page == page);
			m[i] = expected(m[i], event, page);
		}
	}

	ret = do_event(from, target, event, page);

	CHECK(!ret == !refused);
	for (i = 0; i < NR_VCPUS; i++)
		check_model(i, &m[i]);
	if (refused)
		CHECK(!memcmp(before, vcpus, sizeof(before)));
	CHECK(kvm.nr_kicks - kicks == (unsigned long)kick);
	check_all();
}

/*
 * Each state a vCPU can be in, made out of nothing.
 */
static void set_state(int i, const struct model *m)
{
	struct vcpu_svm *svm = &vcpus[i];

	*ap(i) = (struct snp_ap){
		.state = m->state, .change = m->change, .gfn = page_gfn(m->page),
		.hpa = model_hpa(i, m), .next_gfn = page_gfn(m->next),
	};
	vcpu(i)->request = m->change != SNP_AP_UNCHANGED;
	svm->vmgexit_disowned = vcpu(i)->request;
	svm->vmcb->control.vmsa_pa = vcpu(i)->request ? INVALID_PAGE : ap(i)->hpa;
	vcpu(i)->in_guest = VALID_PAGE(svm->vmcb->control.vmsa_pa) && i != 0;
	vcpu(i)->arch.mp_state = m->state == SNP_AP_DESTROYED ? KVM_MP_STATE_STOPPED :
								KVM_MP_STATE_RUNNABLE;
	vcpu(i)->lapic.pending_events = BIT(KVM_APIC_INIT) | BIT(KVM_APIC_SIPI);
}

static bool can_be(const struct model *m)
{
	bool guests = m->state == SNP_AP_LIVE || m->state == SNP_AP_LOST;

	/* A page is for those that have one, and no two are the same. */
	if ((m->page != NO_PAGE) != guests)
		return false;

	switch (m->change) {
	case SNP_AP_START:
		return guests;
	case SNP_AP_STOP:
		return m->state == SNP_AP_DESTROYED;
	default:
		return true;
	}
}

/* vCPU 0 is measured and asks, 1 is the target, 2 has page 3; page 2 is not there. */
static void try_event(const struct model *m, enum event event, int page, bool strict,
		      bool self)
{
	const struct model asks = { SNP_AP_MEASURED, SNP_AP_UNCHANGED, NO_PAGE, NO_PAGE };
	const struct model other = { SNP_AP_LIVE, SNP_AP_UNCHANGED, 3, NO_PAGE };

	init_vm();
	kvm.arch.snp_ap_flags = strict ? KVM_X86_SNP_AP_STRICT : 0;
	pages[2].present = false;
	set_state(0, &asks);
	set_state(1, m);
	set_state(2, &other);
	if (self || !(is_request(event) || event == GONE))
		vcpu(1)->in_guest = false;
	step(self, 1, event, page);

	/* What the vCPU makes of it. */
	if (vcpu(1)->request)
		step(0, 1, UPDATE, NO_PAGE);
}

static void matrix(void)
{
	unsigned long n = 0;
	struct model m;
	int event, page, variant;

	for (m.state = 0; m.state <= SNP_AP_DESTROYED; m.state++)
	for (m.change = 0; m.change <= SNP_AP_STOP; m.change++)
	for (m.page = NO_PAGE; m.page < 2; m.page++)
	for (m.next = NO_PAGE; m.next < 3; m.next++) {
		if (!can_be(&m))
			continue;
		for (event = 0; event < NR_EVENTS; event++)
		for (page = 0; page < NR_PAGES; page++)
		for (variant = 0; variant < 4; variant++) {
			try_event(&m, event, page, variant & 1, variant & 2);
			n++;
		}
	}
	printf("%lu transitions\n", n);
}

/* Nothing that is wrong in itself gets as far as a vCPU. */
static void malformed(void)
{
	static const struct {
		const char *what;
		u64 info1, info2, features;
		bool ok;
	} requests[] = {
		{ "create", 1ull << 32 | 1, PAGE_GPA, FEATURES, true },
		{ "destroy", 1ull << 32 | 2, 0, 0, true },
		{ "destroy needs no page", 1ull << 32 | 2, 0x123, 0, true },
		{ "no such request", 1ull << 32 | 3, PAGE_GPA, FEATURES },
		{ "a request beyond 8 bits", 1ull << 32 | 0x100, PAGE_GPA, FEATURES },
		{ "VMPL1", 1ull << 32 | BIT(16) | 1, PAGE_GPA, FEATURES },
		{ "VMPL1, destroy", 1ull << 32 | BIT(16) | 2, 0, 0 },
		{ "reserved, low", 1ull << 32 | BIT(20) | 1, PAGE_GPA, FEATURES },
		{ "reserved, high", 1ull << 32 | BIT(31) | 1, PAGE_GPA, FEATURES },
		{ "no such vCPU", 3ull << 32 | 1, PAGE_GPA, FEATURES },
		{ "no such vCPU, destroy", 3ull << 32 | 2, 0, 0 },
		{ "no such vCPU, high bit", 1ull << 63 | 1ull << 32 | 1, PAGE_GPA, FEATURES },
		{ "unaligned", 1ull << 32 | 1, PAGE_GPA + 8, FEATURES },
		{ "2M-aligned", 1ull << 32 | 1, 0x200000, FEATURES },
		{ "zero", 1ull << 32 | 1, 0, FEATURES },
		{ "beyond memory", 1ull << 32 | 1, BIT(52) + 0x1000, FEATURES },
		{ "no features", 1ull << 32 | 1, PAGE_GPA, 0 },
		{ "no SNP", 1ull << 32 | 1, PAGE_GPA, FEATURES & ~1ull },
		{ "a feature too few", 1ull << 32 | 1, PAGE_GPA, SVM_SEV_FEAT_SNP_ACTIVE },
		{ "restricted injection", 1ull << 32 | 1, PAGE_GPA, FEATURES | BIT(3) },
		{ "all features", 1ull << 32 | 1, PAGE_GPA, ~0ull },
	};
	struct vcpu_svm before[NR_VCPUS];
	unsigned int i;
	int ret;

	for (i = 0; i < sizeof(requests) / sizeof(*requests); i++) {
		snprintf(doing, sizeof(doing), "%s", requests[i].what);
		init_vm();
		memcpy(before, vcpus, sizeof(before));
		before[0].vcpu.mutex.held = vcpu(0)->mutex.held = 1;
		ret = sev_snp_ap_creation(vcpu(0), requests[i].info1, requests[i].info2,
					  requests[i].features);
		CHECK(!ret == requests[i].ok);
		CHECK(requests[i].ok || (!kvm.nr_kicks && !memcmp(before, vcpus, sizeof(before))));
		check_no_locks();
	}
	printf("%u requests\n", i);

	/* Even if the VM's features are as odd as the request's. */
	snprintf(doing, sizeof(doing), "not an SNP VM's features");
	init_vm();
	kvm.sev.context.vmsa_features = BIT(5);
	vcpu(0)->mutex.held = 1;
	CHECK(sev_snp_ap_creation(vcpu(0), 1ull << 32 | 1, PAGE_GPA, BIT(5)));
}

/* Where the page of a request may not be. */
static void no_pages(void)
{
	static const struct model live = { SNP_AP_LIVE, SNP_AP_UNCHANGED, 1, NO_PAGE };
	int event, lack;

	for (event = CREATE; event <= CREATE_ON_INIT; event++)
	for (lack = 0; lack < 6; lack++) {
		init_vm();
		pages[0].slot = lack != 0;
		pages[0].private = lack != 1;
		pages[0].present = lack != 2;
		pages[0].assigned = lack != 3;
		set_state(0, &(struct model){ SNP_AP_MEASURED, 0, NO_PAGE, NO_PAGE });
		set_state(1, &live);
		slot.flags = lack == 4 ? KVM_MEM_GUEST_MEMFD | KVM_MEMSLOT_INVALID :
			     lack == 5 ? 0 : KVM_MEM_GUEST_MEMFD;
		step(0, 1, event, 0);
		slot.flags = KVM_MEM_GUEST_MEMFD;
	}
}

/*
 * Whoever asks after it has been replaced has no say; its change is not lost.
 */
static void overtaken(void)
{
	int event;

	for (event = CREATE; event <= DESTROY; event++) {
		init_vm();
		set_state(0, &(struct model){ SNP_AP_LIVE, SNP_AP_START, 2, NO_PAGE });
		set_state(1, &(struct model){ SNP_AP_LIVE, SNP_AP_UNCHANGED, 1, NO_PAGE });
		step(0, 1, event, 0);
	}
}

/* INIT and SIPI from before a request go, but not by CREATE_ON_INIT of a vCPU that ran. */
static void pending_init(void)
{
	static const struct {
		enum event event;
		enum snp_ap_state state;
		bool stays;
	} cases[] = {
		{ CREATE, SNP_AP_NONE }, { CREATE, SNP_AP_MEASURED }, { CREATE, SNP_AP_DESTROYED },
		{ DESTROY, SNP_AP_NONE }, { DESTROY, SNP_AP_MEASURED },
		{ CREATE_ON_INIT, SNP_AP_NONE }, { CREATE_ON_INIT, SNP_AP_DESTROYED },
		{ CREATE_ON_INIT, SNP_AP_MEASURED, true },
	};
	unsigned int i;

	for (i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		init_vm();
		set_state(0, &(struct model){ SNP_AP_MEASURED, 0, NO_PAGE, NO_PAGE });
		set_state(1, &(struct model){ cases[i].state, 0, NO_PAGE, NO_PAGE });
		step(0, 1, cases[i].event, 0);
		CHECK(!!vcpu(1)->lapic.pending_events == cases[i].stays);
	}
}

/* What a new VMSA makes of the vCPU, and what KVM believes of its registers. */
static void new_context(void)
{
	int event;

	for (event = CREATE; event <= CREATE_ON_INIT; event++) {
		snprintf(doing, sizeof(doing), "new context, %s", event_names[event]);
		init_vm();
		vcpu(0)->arch.cr4 = X86_CR4_PAE | X86_CR4_OSXSAVE;
		vcpu(1)->arch.efer = EFER_LME | EFER_LMA;
		vcpu(1)->arch.cr0 = X86_CR0_PE | X86_CR0_PG;
		vcpu(1)->arch.cr4 = BIT(7);
		vcpu(1)->arch.pv.pv_unhalted = true;
		vcpu(1)->arch.pio.count = 1;
		vcpus[1].nmi_masked = true;
		vcpus[1].sev_es.ap_reset_hold_type = 1;
		vcpus[1].vmcb->control.ghcb_gpa = 0x5015;
		step(0, 1, event, 0);
		step(0, 1, event == CREATE ? UPDATE : INIT, NO_PAGE);

		CHECK(!vcpu(1)->arch.efer && vcpu(1)->arch.cr0 == X86_CR0_ET && !vcpu(1)->arch.cr4);
		CHECK(vcpus[1].vmcb->control.ghcb_gpa == 1 && vcpus[1].sev_es.snp_mode_unknown);
		CHECK(!vcpu(1)->arch.pv.pv_unhalted && !vcpu(1)->arch.pio.count);
		CHECK(!vcpus[1].nmi_masked && vcpus[1].sev_es.received_first_sipi);
		CHECK(!vcpus[1].sev_es.ap_reset_hold_type && vcpu(1)->arch.guest_state_protected);
		CHECK(vcpu(1)->arch.mp_state == (event == CREATE ? KVM_MP_STATE_RUNNABLE :
								   KVM_MP_STATE_INIT_RECEIVED));
	}
}

/*
 * What an exit says of the mode of a vCPU that KVM knows nothing of.
 */
enum mode { UNKNOWN, PROTECTED, LONG };

static const struct {
	u64 exit_code, info_1, ghcb_msr;
	u32 event;
	enum mode mode;
} exits[] = {
	/* The MSR protocol does without page tables, the GHCB does not. */
	{ SVM_EXIT_VMGEXIT, 0, 4, 0, UNKNOWN },
	{ SVM_EXIT_VMGEXIT, 0, 0x1000, 0, LONG },
	{ SVM_EXIT_NPF, PFERR_GUEST_PAGE_MASK | BIT(2), 0x1000, 0, LONG },
	{ SVM_EXIT_NPF, PFERR_GUEST_FINAL_MASK | BIT(2), 0x1000, 0, UNKNOWN },
	{ SVM_EXIT_CR0_WRITE_TRAP, X86_CR0_PG | X86_CR0_PE, 1, 0, LONG },
	{ SVM_EXIT_CR0_WRITE_TRAP, X86_CR0_PE, 1, 0, UNKNOWN },
	{ SVM_EXIT_EFER_WRITE_TRAP, EFER_LME | EFER_LMA, 1, 0, LONG },
	{ SVM_EXIT_EFER_WRITE_TRAP, EFER_LME, 1, 0, UNKNOWN },
	/* On the way from real mode, too. */
	{ SVM_EXIT_CR4_WRITE_TRAP, X86_CR4_PAE, 0x1000, 0, UNKNOWN },
	/* An interrupt; an exception with an error code, or with none. */
	{ SVM_EXIT_NPF, 0, 1, SVM_EXITINTINFO_VALID | 0x40, UNKNOWN },
	{ SVM_EXIT_NPF, 0, 1, SVM_EXITINTINFO_VALID_ERR, UNKNOWN },
	{ SVM_EXIT_NPF, 0, 1, SVM_EXITINTINFO_VALID | SVM_EXITINTINFO_VALID_ERR | 0x30d,
	  PROTECTED },
	{ SVM_EXIT_NPF, PFERR_GUEST_PAGE_MASK, 1,
	  SVM_EXITINTINFO_VALID | SVM_EXITINTINFO_VALID_ERR | 0x30e, LONG },
};

static void expect_mode(enum mode mode, unsigned long cr4)
{
	struct vcpu_svm *svm = &vcpus[1];

	CHECK(svm->sev_es.snp_mode_unknown == (mode != LONG));
	CHECK(svm->vcpu.arch.cr0 == (X86_CR0_ET | (mode != UNKNOWN ? X86_CR0_PE : 0) |
				     (mode == LONG ? X86_CR0_PG : 0)));
	CHECK(svm->vcpu.arch.efer == (mode == LONG ? EFER_LME | EFER_LMA : 0));
	CHECK(svm->vcpu.arch.cr4 == (mode == LONG ? X86_CR4_PAE | cr4 : 0));
}

static void modes(void)
{
	struct vmcb_control_area *control;
	unsigned int i;

	for (i = 0; i < sizeof(exits) / sizeof(*exits); i++) {
		init_vm();
		vcpu(0)->arch.cr4 = X86_CR4_PAE | X86_CR4_OSXSAVE;
		step(0, 1, CREATE, 0);
		step(0, 1, UPDATE, NO_PAGE);
		snprintf(doing, sizeof(doing), "exit %u", i);
		expect_mode(UNKNOWN, 0);

		control = &vcpus[1].vmcb->control;
		control->exit_code = exits[i].exit_code;
		control->exit_info_1 = exits[i].info_1;
		control->ghcb_gpa = exits[i].ghcb_msr;
		control->exit_int_info = exits[i].event;
		sev_snp_ap_learn_mode(&vcpus[1]);
		expect_mode(exits[i].mode, X86_CR4_OSXSAVE);
	}

	/* What KVM has been told of CR4 is no guess. */
	vcpus[1].sev_es.snp_mode_unknown = true;
	vcpu(1)->arch.efer = 0;
	vcpu(1)->arch.cr4 = BIT(7);
	sev_snp_ap_learn_mode(&vcpus[1]);
	expect_mode(LONG, BIT(7));
}

/*
 * Any order of things.
 */
static unsigned int rnd(unsigned int n)
{
	static u64 x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x % n;
}

static void random_step(void)
{
	int from = rnd(NR_VCPUS), target = rnd(NR_VCPUS), page = rnd(NR_PAGES), i;
	enum event event = rnd(NR_EVENTS);

	/* A page that goes away may come back: only then it is the same one. */
	if (!rnd(4))
		pages[page].present = true;
	if (!rnd(64))
		pages[page].private ^= true;

	/* vCPUs run as soon as they may, and leave when they like. */
	for (i = 0; i < NR_VCPUS; i++)
		vcpu(i)->in_guest = rnd(2) && !vcpu(i)->request &&
				    VALID_PAGE(vcpus[i].vmcb->control.vmsa_pa);

	if (taking_init >= 0) {
		vcpu(taking_init)->in_guest = false;
		if (is_request(event) ? from == taking_init :
					event != GONE && target == taking_init) {
			target = taking_init;
			event = INIT;
		}
	} else if (event == INIT && !vcpu(target)->request &&
		   !sev_snp_init_signal_blocked(vcpu(target)) && rnd(2)) {
		vcpu(target)->in_guest = false;
		taking_init = target;
		return;
	}

	if (is_request(event))
		vcpu(from)->in_guest = false;
	if (event == UPDATE && !vcpu(target)->request)
		return;
	if (!is_request(event) && event != GONE)
		vcpu(target)->in_guest = false;
	if (event == GONE)
		pages[page].present = false;

	/* KVM_RUN begins with it. */
	if (event == PRE_RUN && vcpu(target)->request)
		step(from, target, UPDATE, NO_PAGE);
	step(from, target, event, page);
	if (event == INIT && target == taking_init)
		taking_init = -1;
}

static void walk(long steps)
{
	long n;

	for (n = 0; n < steps; n++) {
		if (n % 1000 == 0) {
			init_vm();
			taking_init = -1;
			kvm.arch.snp_ap_flags = rnd(2) ? KVM_X86_SNP_AP_STRICT : 0;
			if (rnd(4)) {
				vcpu(0)->mutex.held = 1;
				sev_snp_ap_launched(&vcpus[0]);
				vcpu(0)->mutex.held = 0;
			}
		}
		random_step();
	}
	printf("%ld steps\n", steps);
}

int main(int argc, char *argv[])
{
	if (argc == 2 && !strcmp(argv[1], "matrix")) {
		matrix();
		no_pages();
		overtaken();
		pending_init();
		new_context();
		modes();
	} else if (argc == 2 && !strcmp(argv[1], "malformed")) {
		malformed();
	} else if (argc == 3 && !strcmp(argv[1], "walk")) {
		walk(atol(argv[2]));
	} else {
		return 2;
	}
	return 0;
}
