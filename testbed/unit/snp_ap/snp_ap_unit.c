// SPDX-License-Identifier: GPL-2.0
/*
 * snp_ap.c and snp_ap_state.c of the kernel, in userland: each request in each
 * state, and all that there is to see afterwards.
 *
 *   snp_ap_unit malformed       what no state can make legal
 *   snp_ap_unit matrix          each state, each event: against the table of model.c
 *   snp_ap_unit walk STEPS      random ones, three vCPUs: against the same table,
 *                               and against what must hold of all of them
 */
#include "model.h"

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
		CHECK(vcpus[1].vmcb->control.ghcb_gpa == 0x5015 && vcpus[1].sev_es.snp_mode_unknown);
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
