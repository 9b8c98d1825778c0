// SPDX-License-Identifier: GPL-2.0-only
/*
 * AP creation of SEV-SNP guests: every request in every state of a vCPU.
 *
 * A model of the vCPU says what has to come of a request.  After each one, be it
 * legal or not, all is compared that the guest and userspace can see: the answer,
 * the mp_state before and after KVM has looked at the vCPU, which pages are in use
 * (another vCPU must not get them), what RMPADJUST says of them, which VMSA runs.
 */
#include <linux/kernel.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "sev_snp_remote.h"
#include "sev_subtests.h"
#include "svm_util.h"
#include "test_util.h"

/* One vCPU a request, and one to see whether a page is in use. */
#define NR_VCPUS	8
#define FIRST_TARGET	1
#define PROBER		7

/* Pages; 0 is the one that is 2M-aligned. */
#define PAGE_NONE	0
#define PAGE_LAUNCH	-1		/* KVM's, not the guest's */
#define PAGE_A(id)	(1 + 2 * (id))
#define PAGE_B(id)	(2 + 2 * (id))
#define PAGE_PROBER	PAGE_A(PROBER)
#define PAGE_SHARED	(SEV_SNP_REMOTE_VMSAS + 1)
#define PAGE_ABSENT	(SEV_SNP_REMOTE_MEM_SIZE / PAGE_SIZE + 1)

/* What runs on a page reports its number. */
#define TAG_LAUNCH	0

#define EXPECT		SEV_SNP_REMOTE_EXPECT

/*
 * The model.
 */
struct model {
	struct sev_snp_remote *r;
	uint32_t id;
	int live;		/* the page of the VMSA, or one of PAGE_* */
	int pending;		/* the page that is to follow at INIT */
	uint32_t mp_state;
	const char *step;	/* for messages */
};

static bool strict(const struct model *m)
{
	return m->r->ap_flags & KVM_X86_SNP_AP_STRICT;
}

static bool in_use(const struct model *m, int page)
{
	return m->live == page || m->pending == page;
}

static bool model_create(struct model *m, int page)
{
	if (strict(m) && (m->live > PAGE_NONE || m->pending))
		return false;

	m->live = page;
	m->pending = PAGE_NONE;
	m->mp_state = KVM_MP_STATE_RUNNABLE;
	return true;
}

static bool model_create_on_init(struct model *m, int page)
{
	if (strict(m) && (m->live > PAGE_NONE || m->pending))
		return false;

	m->pending = page;
	return true;
}

static bool model_destroy(struct model *m, int page)
{
	m->live = PAGE_NONE;
	m->pending = PAGE_NONE;
	m->mp_state = sev_snp_remote_destroyed(m->r);
	return true;
}

static void model_init(struct model *m)
{
	if (m->pending) {
		m->live = m->pending;
		m->pending = PAGE_NONE;
	}
	m->mp_state = KVM_MP_STATE_INIT_RECEIVED;
}

/*
 * What there is to see.
 */
static void compare_mp_state(const struct model *m)
{
	uint32_t before = sev_snp_remote_mp_state(m->r, m->id);
	uint32_t after = sev_snp_remote_peek(m->r, m->id);

	EXPECT(m->r, before == m->mp_state && after == m->mp_state,
	       "%s: mp_state %u, then %u, not %u", m->step, before, after, m->mp_state);
}

static uint64_t request(struct sev_snp_remote *r, uint64_t info1, int page)
{
	return sev_snp_remote_request(r, 0, info1, page);
}

/* Another vCPU gets it, and gives it back, unless it is in use. */
static void compare_page(const struct model *m, int page)
{
	uint64_t want = in_use(m, page) ? SEV_SNP_REFUSED : SEV_SNP_ACCEPTED;
	uint64_t gva = sev_snp_remote_gva(m->r, page), answer, rc;

	answer = request(m->r, SEV_SNP_REQUEST(CREATE, PROBER), page);
	EXPECT(m->r, answer == want, "%s: page %d: 0x%lx, not 0x%lx", m->step, page,
	       answer, want);
	if (answer == SEV_SNP_ACCEPTED)
		request(m->r, SEV_SNP_REQUEST(DESTROY, PROBER), PAGE_NONE);

	if (!in_use(m, page)) {
		rc = sev_snp_remote_call(m->r, 0, sev_snp_guest_set_vmsa, gva, false);
		EXPECT(m->r, !rc, "%s: page %d: RMPADJUST says %lu", m->step, page, rc);
	}
	rc = sev_snp_remote_call(m->r, 0, sev_snp_guest_set_vmsa, gva, true);
	EXPECT(m->r, !rc, "%s: page %d: RMPADJUST says %lu", m->step, page, rc);
}

static void compare(struct model *m, const char *step)
{
	m->step = step;
	compare_mp_state(m);
	compare_page(m, PAGE_A(m->id));
	compare_page(m, PAGE_B(m->id));
	compare_mp_state(m);
}

/* Only those that are about to: there is no waiting for what does not happen. */
static void compare_code(struct model *m)
{
	if (m->mp_state == KVM_MP_STATE_RUNNABLE)
		sev_snp_remote_expect_runs(m->r, m->id, m->live == PAGE_LAUNCH ?
					   TAG_LAUNCH : m->live);
}

static void ipi(struct model *m, uint32_t mode)
{
	sev_snp_remote_call(m->r, 0, sev_snp_guest_ipi, m->id, mode | APIC_INT_ASSERT);
}

static void compare_init(struct model *m)
{
	ipi(m, APIC_DM_INIT);
	/* KVM may not have seen it before somebody looks. */
	sev_snp_remote_peek(m->r, m->id);
	model_init(m);
	compare(m, "INIT");

	ipi(m, APIC_DM_STARTUP);
	sev_snp_remote_peek(m->r, m->id);
	m->mp_state = KVM_MP_STATE_RUNNABLE;
	compare(m, "SIPI");
	compare_code(m);
}

/*
 * States.  Each function takes a vCPU there that is as the launch left it.
 */
static void enter_never_run(struct model *m)
{
}

static void enter_uninitialized(struct model *m)
{
	struct kvm_mp_state state = { KVM_MP_STATE_UNINITIALIZED };

	vcpu_mp_state_set(m->r->vcpus[m->id].runner.vcpu, &state);
	m->mp_state = state.mp_state;
}

static void enter_init_received(struct model *m)
{
	ipi(m, APIC_DM_INIT);
	sev_snp_remote_peek(m->r, m->id);
	m->mp_state = KVM_MP_STATE_INIT_RECEIVED;
}

static void stop_in(struct model *m, void *fn, uint32_t mp_state)
{
	sev_snp_remote_post(m->r, m->id, fn, 0);
	sev_snp_remote_run_to(m->r, m->id, mp_state);
	m->mp_state = mp_state;
}

/* As firmware leaves the vCPUs to the guest. */
static void enter_launched(struct model *m)
{
	compare_code(m);
	stop_in(m, sev_snp_guest_park, KVM_MP_STATE_AP_RESET_HOLD);
}

static void legal(struct model *m, const char *what, uint64_t info1, int page)
{
	uint64_t answer = request(m->r, info1, page);

	EXPECT(m->r, answer == SEV_SNP_ACCEPTED, "%s: 0x%lx", what, answer);
}

static void enter_live(struct model *m)
{
	legal(m, "live", SEV_SNP_REQUEST(CREATE, m->id), PAGE_A(m->id));
	model_create(m, PAGE_A(m->id));
	compare_code(m);
}

static void enter_halted(struct model *m)
{
	enter_live(m);
	stop_in(m, sev_snp_guest_halt, KVM_MP_STATE_HALTED);
}

static void enter_held(struct model *m)
{
	enter_live(m);
	stop_in(m, sev_snp_guest_park, KVM_MP_STATE_AP_RESET_HOLD);
}

static void enter_destroyed(struct model *m)
{
	enter_live(m);
	legal(m, "destroyed", SEV_SNP_REQUEST(DESTROY, m->id), PAGE_NONE);
	model_destroy(m, PAGE_NONE);
}

static void enter_launched_destroyed(struct model *m)
{
	legal(m, "destroyed", SEV_SNP_REQUEST(DESTROY, m->id), PAGE_NONE);
	model_destroy(m, PAGE_NONE);
}

static void await_init(struct model *m, int page)
{
	legal(m, "on INIT", SEV_SNP_REQUEST(CREATE_ON_INIT, m->id), page);
	model_create_on_init(m, page);
}

static void enter_never_run_pending(struct model *m)
{
	await_init(m, PAGE_A(m->id));
}

static void enter_live_pending(struct model *m)
{
	enter_live(m);
	await_init(m, PAGE_B(m->id));
}

static void enter_destroyed_pending(struct model *m)
{
	enter_destroyed(m);
	await_init(m, PAGE_A(m->id));
}

/*
 * Requests that are legal, or not, as the state says.
 */
static const struct transition {
	const char *name;
	uint64_t request;
	bool (*model)(struct model *m, int page);
	bool page_b;
} transitions[] = {
	{ "CREATE A", SEV_SNP_REQUEST(CREATE, 0), model_create },
	{ "CREATE B", SEV_SNP_REQUEST(CREATE, 0), model_create, true },
	{ "CREATE_ON_INIT A", SEV_SNP_REQUEST(CREATE_ON_INIT, 0), model_create_on_init },
	{ "CREATE_ON_INIT B", SEV_SNP_REQUEST(CREATE_ON_INIT, 0), model_create_on_init, true },
	{ "DESTROY", SEV_SNP_REQUEST(DESTROY, 0), model_destroy },
};

static void try_transition(struct model *m, const struct transition *t)
{
	int page = t->page_b ? PAGE_B(m->id) : PAGE_A(m->id);
	uint64_t info1 = t->request | (uint64_t)m->id << 32;
	uint64_t answer = request(m->r, info1, page);
	uint64_t want = t->model(m, page) ? SEV_SNP_ACCEPTED : SEV_SNP_REFUSED;

	EXPECT(m->r, answer == want, "%s: 0x%lx, not 0x%lx", t->name, answer, want);
	compare(m, t->name);
	compare_code(m);
	if (m->pending)
		compare_init(m);
}

/*
 * Requests that never are.
 */
static const struct refusal {
	const char *name;
	uint64_t request;
	int page;
	uint64_t offset;		/* in the page */
	uint64_t change_features;
	uint64_t change_info1;
} refusals[] = {
	{ "unaligned", SVM_VMGEXIT_AP_CREATE, PAGE_B(6), .offset = 8 },
	{ "2M-aligned", SVM_VMGEXIT_AP_CREATE },
	{ "2M-aligned, on INIT", SVM_VMGEXIT_AP_CREATE_ON_INIT },
	{ "beyond all memory", SVM_VMGEXIT_AP_CREATE, PAGE_B(6), .offset = BIT_ULL(52) },
	{ "no memory", SVM_VMGEXIT_AP_CREATE, PAGE_ABSENT },
	{ "no memory, on INIT", SVM_VMGEXIT_AP_CREATE_ON_INIT, PAGE_ABSENT },
	{ "shared", SVM_VMGEXIT_AP_CREATE, PAGE_SHARED },
	{ "shared, on INIT", SVM_VMGEXIT_AP_CREATE_ON_INIT, PAGE_SHARED },
	{ "another's", SVM_VMGEXIT_AP_CREATE, PAGE_PROBER },
	{ "another's, on INIT", SVM_VMGEXIT_AP_CREATE_ON_INIT, PAGE_PROBER },
	{ "no SNP", SVM_VMGEXIT_AP_CREATE, PAGE_B(6), .change_features = BIT_ULL(0) },
	{ "no SNP, on INIT", SVM_VMGEXIT_AP_CREATE_ON_INIT, PAGE_B(6),
	  .change_features = BIT_ULL(0) },
	{ "restricted injection", SVM_VMGEXIT_AP_CREATE, PAGE_B(6),
	  .change_features = BIT_ULL(3) },
	{ "other features", SVM_VMGEXIT_AP_CREATE, PAGE_B(6),
	  .change_features = BIT_ULL(5) },
	{ "unknown features", SVM_VMGEXIT_AP_CREATE, PAGE_B(6),
	  .change_features = BIT_ULL(63) },
	{ "no such request", 3, PAGE_B(6) },
	{ "another VMPL", SVM_VMGEXIT_AP_CREATE, PAGE_B(6), .change_info1 = BIT_ULL(16) },
	{ "another VMPL to destroy", SVM_VMGEXIT_AP_DESTROY, .change_info1 = BIT_ULL(16) },
	{ "no such vCPU", SVM_VMGEXIT_AP_CREATE, PAGE_B(6), .change_info1 = BIT_ULL(40) },
	{ "no such vCPU to destroy", SVM_VMGEXIT_AP_DESTROY, .change_info1 = BIT_ULL(40) },
};

static void try_refusal(struct model *m, const struct refusal *t)
{
	uint64_t info1 = t->request | (uint64_t)m->id << 32, answer;

	answer = sev_snp_remote_call(m->r, 0, sev_snp_guest_request,
				     info1 ^ t->change_info1,
				     sev_snp_remote_gpa(m->r, t->page) + t->offset,
				     t->change_features);
	EXPECT(m->r, answer == SEV_SNP_REFUSED, "%s: 0x%lx", t->name, answer);
	if (t->page != PAGE_PROBER)
		compare(m, t->name);
}

static void try_refusals(struct model *m)
{
	int i;

	vm_mem_set_shared(m->r->snp.vm, sev_snp_remote_gpa(m->r, PAGE_SHARED), PAGE_SIZE);
	for (i = 0; i < ARRAY_SIZE(refusals); i++) {
		/* For those to be another's: until compare() uses the vCPU. */
		if (refusals[i].page == PAGE_PROBER)
			legal(m, "prober", SEV_SNP_REQUEST(CREATE, PROBER), PAGE_PROBER);
		try_refusal(m, &refusals[i]);
		if (refusals[i].page == PAGE_PROBER) {
			legal(m, "prober", SEV_SNP_REQUEST(DESTROY, PROBER), PAGE_NONE);
			compare(m, refusals[i].name);
		}
	}
	compare_code(m);
}

/*
 * The matrix: a state a subtest.
 */
struct row {
	void (*enter)(struct model *m);
	uint64_t ap_flags;
};

static void begin(struct model *m, struct sev_snp_remote *r, uint32_t id,
		  const struct row *row)
{
	*m = (struct model) {
		.r = r,
		.id = id,
		.live = PAGE_LAUNCH,
		.mp_state = KVM_MP_STATE_RUNNABLE,
	};
	sev_snp_remote_fill(r, id, PAGE_A(id), PAGE_A(id));
	sev_snp_remote_fill(r, id, PAGE_B(id), PAGE_B(id));
	row->enter(m);
	compare(m, "at first");
}

static bool run(const struct sev_subtest *t)
{
	struct sev_snp_remote r;
	struct model m;
	int i, before;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS,
			      ((const struct row *)t->data)->ap_flags);
	sev_snp_remote_fill(&r, PROBER, PAGE_PROBER, PAGE_PROBER);

	for (i = 0; i < ARRAY_SIZE(transitions); i++) {
		before = r.failures;
		begin(&m, &r, FIRST_TARGET + i, t->data);
		try_transition(&m, &transitions[i]);
		if (r.failures != before)
			ksft_print_msg("that was %s\n", transitions[i].name);
	}

	kvm_static_assert(FIRST_TARGET + ARRAY_SIZE(transitions) == PROBER - 1);
	begin(&m, &r, PROBER - 1, t->data);
	try_refusals(&m);
	return sev_snp_remote_free(&r);
}

#define STRICT	(KVM_X86_SNP_AP_STRICT | KVM_X86_SNP_AP_STOPPED)

#define ROW(state)							\
	{ #state, run, &(const struct row){ enter_##state } }
#define STRICT_ROW(state)						\
	{ #state "_strict", run, &(const struct row){ enter_##state, STRICT } }

static const struct sev_subtest subtests[] = {
	ROW(never_run),
	ROW(uninitialized),
	ROW(init_received),
	ROW(launched),
	ROW(live),
	ROW(halted),
	ROW(held),
	ROW(destroyed),
	ROW(launched_destroyed),
	ROW(never_run_pending),
	ROW(live_pending),
	ROW(destroyed_pending),

	/* Where there is no live_pending. */
	STRICT_ROW(never_run),
	STRICT_ROW(uninitialized),
	STRICT_ROW(init_received),
	STRICT_ROW(launched),
	STRICT_ROW(live),
	STRICT_ROW(halted),
	STRICT_ROW(held),
	STRICT_ROW(destroyed),
	STRICT_ROW(launched_destroyed),
	STRICT_ROW(never_run_pending),
	STRICT_ROW(destroyed_pending),
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE_SEV_SNP();

	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
