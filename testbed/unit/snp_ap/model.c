// SPDX-License-Identifier: GPL-2.0
/*
 * What each event is to make of a vCPU, as a table; and a step, which has the
 * kernel do it and compares.
 */
#include "model.h"

const char *const event_names[] = {
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
int taking_init = -1;

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
void step(int from, int target, enum event event, int page)
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

void set_state(int i, const struct model *m)
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
