// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs of a SEV-SNP guest between two VMSAs: what makes other vCPUs run must
 * not make these run, and only what the guest asks for gives them a new one.
 *
 * All of it from one thread, see sev_snp_remote.h, for the order to be certain.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <asm/kvm_para.h>
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

#define NR_VCPUS	3

/* Pages; 0 is the one that is 2M-aligned. */
#define PAGE_A		1
#define PAGE_B		2

/* What the vCPUs report. */
#define FIRST		0xa1
#define SECOND		0xb2

#define EXPECT		SEV_SNP_REMOTE_EXPECT

static void expect_answer(struct sev_snp_remote *r, const char *what, uint64_t answer,
			  uint64_t want)
{
	EXPECT(r, answer == want, "%s: 0x%lx, not 0x%lx", what, answer, want);
}

static void expect_mp_state(struct sev_snp_remote *r, uint32_t id, uint32_t want)
{
	uint32_t state = sev_snp_remote_mp_state(r, id);

	EXPECT(r, state == want, "vCPU %u has mp_state %u, not %u", id, state, want);
}

static void ipi(struct sev_snp_remote *r, uint32_t id, uint32_t mode)
{
	sev_snp_remote_call(r, 0, sev_snp_guest_ipi, id,
			    mode | APIC_INT_ASSERT | (mode == APIC_DM_STARTUP));
}

/*
 * A destroyed vCPU.
 */
static void create_destroyed(struct sev_snp_remote *r, uint64_t ap_flags)
{
	sev_snp_remote_create(r, NR_VCPUS, NR_VCPUS, ap_flags);
	sev_snp_remote_start(r, 1, PAGE_A, FIRST);
	sev_snp_remote_destroy(r, 1);
}

/* The guest gets it back all the same. */
static bool revive(struct sev_snp_remote *r)
{
	sev_snp_remote_start(r, 1, PAGE_A, SECOND);
	return sev_snp_remote_free(r);
}

static bool test_destroyed_nmi(const struct sev_subtest *t)
{
	struct sev_snp_remote r;

	create_destroyed(&r, 0);
	__vcpu_ioctl(r.vcpus[1].runner.vcpu, KVM_NMI, NULL);
	sev_snp_remote_expect_destroyed(&r, 1, "KVM_NMI");
	ipi(&r, 1, APIC_DM_NMI);
	sev_snp_remote_expect_destroyed(&r, 1, "NMI by IPI");
	return revive(&r);
}

static bool test_destroyed_init_sipi(const struct sev_subtest *t)
{
	struct sev_snp_remote r;

	create_destroyed(&r, 0);
	ipi(&r, 1, APIC_DM_STARTUP);
	sev_snp_remote_expect_destroyed(&r, 1, "SIPI alone");
	ipi(&r, 1, APIC_DM_INIT);
	sev_snp_remote_expect_destroyed(&r, 1, "INIT");
	ipi(&r, 1, APIC_DM_STARTUP);
	sev_snp_remote_expect_destroyed(&r, 1, "INIT and SIPI");
	ipi(&r, 1, APIC_DM_INIT);
	ipi(&r, 1, APIC_DM_STARTUP);
	sev_snp_remote_expect_destroyed(&r, 1, "INIT and SIPI at once");
	return revive(&r);
}

static bool test_destroyed_kick(const struct sev_subtest *t)
{
	struct sev_snp_remote r;

	create_destroyed(&r, 0);
	sev_snp_remote_call(&r, 0, sev_snp_guest_kick, 1);
	sev_snp_remote_expect_destroyed(&r, 1, "KVM_HC_KICK_CPU");
	return revive(&r);
}

static bool test_destroyed_irq(const struct sev_subtest *t)
{
	struct sev_snp_remote r;

	create_destroyed(&r, 0);
	sev_snp_remote_call(&r, 0, sev_snp_guest_ipi, 1, APIC_INT_ASSERT | 0x40);
	sev_snp_remote_expect_destroyed(&r, 1, "an interrupt");
	return revive(&r);
}

/*
 * The end of asynchronous page faults.  A vCPU without VMSA has none, but userspace
 * can set the guest's MSR, and KVM then tells the guest to look at all it waits for.
 */
static bool test_destroyed_async_pf(const struct sev_subtest *t)
{
	const uint64_t enable = BIT_ULL(0), by_interrupt = BIT_ULL(3);
	struct sev_snp_remote r;
	struct kvm_vcpu *vcpu;
	uint64_t gpa;

	create_destroyed(&r, 0);
	vcpu = r.vcpus[1].runner.vcpu;
	gpa = sev_snp_remote_gpa(&r, SEV_SNP_REMOTE_VMSAS + 1);
	vcpu_set_msr(vcpu, MSR_KVM_ASYNC_PF_EN, gpa | enable | by_interrupt);
	sev_snp_remote_expect_destroyed(&r, 1, "the end of page faults");
	return revive(&r);
}

static bool test_destroyed_set_mp_state(const struct sev_subtest *t)
{
	const uint64_t *ap_flags = t->data;
	const uint32_t refused[] = {
		KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED,
		KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_SIPI_RECEIVED,
		KVM_MP_STATE_AP_RESET_HOLD,
	};
	struct kvm_mp_state state;
	struct sev_snp_remote r;
	int i, ret;

	create_destroyed(&r, *ap_flags);
	for (i = 0; i < ARRAY_SIZE(refused); i++) {
		state.mp_state = refused[i];
		ret = __vcpu_ioctl(r.vcpus[1].runner.vcpu, KVM_SET_MP_STATE, &state);
		EXPECT(&r, ret == -1 && errno == EINVAL, "mp_state %u: %d (%d)",
		       refused[i], ret, errno);
		sev_snp_remote_expect_destroyed(&r, 1, "KVM_SET_MP_STATE");
	}
	state.mp_state = sev_snp_remote_destroyed(&r);
	ret = __vcpu_ioctl(r.vcpus[1].runner.vcpu, KVM_SET_MP_STATE, &state);
	EXPECT(&r, !ret, "its own mp_state: %d", errno);
	sev_snp_remote_expect_destroyed(&r, 1, "its own mp_state");
	return revive(&r);
}

/* The vCPU was launched with a VMSA, and is told apart from one that halts. */
static bool test_launched_destroyed(const struct sev_subtest *t)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct sev_snp_remote r;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	sev_snp_remote_destroy(&r, 1);
	ipi(&r, 1, APIC_DM_INIT);
	ipi(&r, 1, APIC_DM_STARTUP);
	sev_snp_remote_expect_destroyed(&r, 1, "INIT and SIPI");
	ipi(&r, 1, APIC_DM_NMI);
	sev_snp_remote_expect_destroyed(&r, 1, "NMI");
	__vcpu_ioctl(r.vcpus[1].runner.vcpu, KVM_SET_MP_STATE, &runnable);
	sev_snp_remote_expect_destroyed(&r, 1, "KVM_SET_MP_STATE");
	return revive(&r);
}

/* The answer comes when it is done, whether the vCPU is in KVM_RUN or not. */
static bool test_destroy_is_done(const struct sev_subtest *t)
{
	struct sev_snp_remote r;
	uint64_t rc, answer;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	sev_snp_remote_start(&r, 1, PAGE_A, FIRST);
	answer = sev_snp_remote_request(&r, 0, SEV_SNP_REQUEST(DESTROY, 1), 0);
	expect_answer(&r, "DESTROY", answer, SEV_SNP_ACCEPTED);
	expect_mp_state(&r, 1, sev_snp_remote_destroyed(&r));
	rc = sev_snp_remote_call(&r, 0, sev_snp_guest_set_vmsa,
				 sev_snp_remote_gva(&r, PAGE_A), false);
	EXPECT(&r, !rc, "RMPADJUST: %lu", rc);
	sev_snp_remote_expect_destroyed(&r, 1, "DESTROY");
	return revive(&r);
}

static bool test_destroy_oneself(const struct sev_subtest *t)
{
	struct sev_snp_remote r;
	uint64_t rc;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	sev_snp_remote_start(&r, 1, PAGE_A, FIRST);
	sev_snp_remote_post(&r, 1, sev_snp_guest_request, SEV_SNP_REQUEST(DESTROY, 1));
	sev_snp_remote_run_to(&r, 1, sev_snp_remote_destroyed(&r));
	rc = sev_snp_remote_call(&r, 0, sev_snp_guest_set_vmsa,
				 sev_snp_remote_gva(&r, PAGE_A), false);
	EXPECT(&r, !rc, "RMPADJUST: %lu", rc);
	sev_snp_remote_expect_destroyed(&r, 1, "DESTROY");
	return revive(&r);
}

/*
 * CREATE, whatever the vCPU was waiting for.
 */
static bool test_create_in(const struct sev_subtest *t)
{
	struct kvm_mp_state state = { *(const uint32_t *)t->data };
	struct sev_snp_remote r;
	uint64_t answer;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	vcpu_mp_state_set(r.vcpus[1].runner.vcpu, &state);
	sev_snp_remote_fill(&r, 1, PAGE_A, FIRST);
	answer = sev_snp_remote_request(&r, 0, SEV_SNP_REQUEST(CREATE, 1), PAGE_A);
	expect_answer(&r, "CREATE", answer, SEV_SNP_ACCEPTED);
	sev_snp_remote_expect_runs(&r, 1, FIRST);
	return sev_snp_remote_free(&r);
}

/* INIT came before CREATE, and is not to undo it. */
static bool test_create_after_init(const struct sev_subtest *t)
{
	struct sev_snp_remote r;
	uint64_t answer;

	create_destroyed(&r, 0);
	sev_snp_remote_fill(&r, 1, PAGE_B, SECOND);
	ipi(&r, 1, APIC_DM_INIT);
	answer = sev_snp_remote_request(&r, 0, SEV_SNP_REQUEST(CREATE, 1), PAGE_B);
	expect_answer(&r, "CREATE", answer, SEV_SNP_ACCEPTED);
	sev_snp_remote_expect_runs(&r, 1, SECOND);
	return sev_snp_remote_free(&r);
}

static void create_on_init(struct sev_snp_remote *r, int page, uint64_t tag)
{
	uint64_t answer;

	sev_snp_remote_fill(r, 1, page, tag);
	answer = sev_snp_remote_request(r, 0, SEV_SNP_REQUEST(CREATE_ON_INIT, 1), page);
	expect_answer(r, "CREATE_ON_INIT", answer, SEV_SNP_ACCEPTED);
}

/* ... for which the vCPU waits, and nothing else will do. */
static bool test_on_init(const struct sev_subtest *t)
{
	struct sev_snp_remote r;

	create_destroyed(&r, 0);
	create_on_init(&r, PAGE_B, SECOND);
	sev_snp_remote_expect_destroyed(&r, 1, "CREATE_ON_INIT");
	ipi(&r, 1, APIC_DM_STARTUP);
	sev_snp_remote_expect_destroyed(&r, 1, "SIPI alone");
	sev_snp_remote_call(&r, 0, sev_snp_guest_kick, 1);
	sev_snp_remote_expect_destroyed(&r, 1, "KVM_HC_KICK_CPU");
	ipi(&r, 1, APIC_DM_INIT);
	ipi(&r, 1, APIC_DM_STARTUP);
	sev_snp_remote_expect_runs(&r, 1, SECOND);
	sev_snp_remote_destroy(&r, 1);
	return revive(&r);
}

/* INIT and SIPI are on their way when the request is made. */
static bool test_on_init_race(const struct sev_subtest *t)
{
	struct sev_snp_remote r;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	sev_snp_remote_start(&r, 1, PAGE_A, FIRST);
	ipi(&r, 1, APIC_DM_INIT);
	create_on_init(&r, PAGE_B, SECOND);
	ipi(&r, 1, APIC_DM_INIT);
	ipi(&r, 1, APIC_DM_STARTUP);
	sev_snp_remote_expect_runs(&r, 1, SECOND);
	sev_snp_remote_destroy(&r, 1);
	return revive(&r);
}

/* A running vCPU goes on until INIT comes. */
static bool test_on_init_live(const struct sev_subtest *t)
{
	struct sev_snp_remote r;
	uint64_t rc;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	sev_snp_remote_start(&r, 1, PAGE_A, FIRST);
	create_on_init(&r, PAGE_B, SECOND);
	sev_snp_remote_expect_runs(&r, 1, FIRST);
	ipi(&r, 1, APIC_DM_INIT);
	EXPECT(&r, sev_snp_remote_peek(&r, 1) == KVM_MP_STATE_INIT_RECEIVED, "mp_state %u",
	       sev_snp_remote_mp_state(&r, 1));
	rc = sev_snp_remote_call(&r, 0, sev_snp_guest_set_vmsa,
				 sev_snp_remote_gva(&r, PAGE_A), false);
	EXPECT(&r, !rc, "RMPADJUST: %lu", rc);
	ipi(&r, 1, APIC_DM_STARTUP);
	sev_snp_remote_expect_runs(&r, 1, SECOND);
	return sev_snp_remote_free(&r);
}

/*
 * Requests that KVM refuses, of which nothing must come.
 */
static bool test_on_self(const struct sev_subtest *t)
{
	struct sev_snp_remote r;
	uint64_t answer;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	sev_snp_remote_fill(&r, 0, PAGE_A, FIRST);
	answer = sev_snp_remote_request(&r, 0, SEV_SNP_REQUEST(CREATE, 0), PAGE_A);
	expect_answer(&r, "CREATE", answer, SEV_SNP_REFUSED);
	EXPECT(&r, r.vcpus[0].tag == 0, "the vCPU has started anew");
	return sev_snp_remote_free(&r);
}

static bool test_shared_page(const struct sev_subtest *t)
{
	const int page = SEV_SNP_REMOTE_VMSAS + 1;
	struct sev_snp_remote r;
	uint64_t answer;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	sev_snp_remote_start(&r, 1, PAGE_A, FIRST);
	vm_mem_set_shared(r.snp.vm, sev_snp_remote_gpa(&r, page), PAGE_SIZE);
	answer = sev_snp_remote_request(&r, 0, SEV_SNP_REQUEST(CREATE, 1), page);
	expect_answer(&r, "CREATE", answer, SEV_SNP_REFUSED);
	sev_snp_remote_expect_runs(&r, 1, FIRST);
	return sev_snp_remote_free(&r);
}

static bool test_features(const struct sev_subtest *t)
{
	struct sev_snp_remote r;
	uint64_t answer;
	int bit;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	sev_snp_remote_start(&r, 1, PAGE_A, FIRST);
	sev_snp_remote_fill(&r, 1, PAGE_B, SECOND);
	for (bit = 0; bit < 64; bit++) {
		answer = sev_snp_remote_call(&r, 0, sev_snp_guest_request,
					     SEV_SNP_REQUEST(CREATE, 1),
					     sev_snp_remote_gpa(&r, PAGE_B), BIT_ULL(bit));
		EXPECT(&r, answer == SEV_SNP_REFUSED, "bit %d changed: 0x%lx", bit, answer);
	}
	sev_snp_remote_expect_runs(&r, 1, FIRST);
	return sev_snp_remote_free(&r);
}

static bool test_page_in_use(const struct sev_subtest *t)
{
	struct sev_snp_remote r;
	uint64_t answer;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	sev_snp_remote_start(&r, 1, PAGE_A, FIRST);
	answer = sev_snp_remote_request(&r, 0, SEV_SNP_REQUEST(CREATE, 2), PAGE_A);
	expect_answer(&r, "CREATE", answer, SEV_SNP_REFUSED);
	answer = sev_snp_remote_request(&r, 0, SEV_SNP_REQUEST(CREATE_ON_INIT, 2), PAGE_A);
	expect_answer(&r, "CREATE_ON_INIT", answer, SEV_SNP_REFUSED);
	sev_snp_remote_expect_runs(&r, 1, FIRST);
	sev_snp_remote_destroy(&r, 1);
	sev_snp_remote_start(&r, 2, PAGE_A, SECOND);
	return sev_snp_remote_free(&r);
}

/*
 * vCPUs that come late.
 */
static bool test_hotplug(const struct sev_subtest *t)
{
	struct sev_snp_remote r;

	sev_snp_remote_create(&r, NR_VCPUS - 1, NR_VCPUS, 0);
	sev_snp_remote_hotplug(&r, 2);
	sev_snp_remote_start(&r, 2, PAGE_A, FIRST);
	sev_snp_remote_expect_runs(&r, 2, FIRST);
	sev_snp_remote_destroy(&r, 2);
	sev_snp_remote_start(&r, 2, PAGE_B, SECOND);
	return sev_snp_remote_free(&r);
}

/* ... and which userspace takes for running already. */
static bool test_hotplug_runnable(const struct sev_subtest *t)
{
	struct kvm_mp_state runnable = { KVM_MP_STATE_RUNNABLE };
	struct sev_snp_remote r;

	sev_snp_remote_create(&r, NR_VCPUS - 1, NR_VCPUS, 0);
	sev_snp_remote_hotplug(&r, 2);
	vcpu_mp_state_set(r.vcpus[2].runner.vcpu, &runnable);
	sev_snp_remote_start(&r, 2, PAGE_A, FIRST);
	sev_snp_remote_expect_runs(&r, 2, FIRST);
	return sev_snp_remote_free(&r);
}

/*
 * What KVM knows of a VMSA that it cannot read.
 */
static uint64_t guest_set_osxsave(void)
{
	set_cr4(get_cr4() | X86_CR4_OSXSAVE);
	return 0;
}

static uint64_t guest_cpuid_osxsave(void)
{
	struct sev_ghcb_call call = sev_ghcb_cpuid(1, 0);

	sev_ghcb_vmgexit(&call);
	return call.rcx & BIT(27);
}

static bool test_control_registers(const struct sev_subtest *t)
{
	struct sev_snp_remote r;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	EXPECT(&r, !sev_snp_remote_call(&r, 0, guest_cpuid_osxsave), "OSXSAVE at first");
	sev_snp_remote_call(&r, 0, guest_set_osxsave);
	EXPECT(&r, sev_snp_remote_call(&r, 0, guest_cpuid_osxsave), "no OSXSAVE");
	sev_snp_remote_start(&r, 1, PAGE_A, FIRST);
	EXPECT(&r, sev_snp_remote_call(&r, 1, guest_cpuid_osxsave), "no OSXSAVE");
	return sev_snp_remote_free(&r);
}

/*
 * Userspace takes the page of a VMSA away.
 */
static void expect_lost(struct sev_snp_remote *r, uint32_t id)
{
	struct sev_snp_remote_vcpu *v = &r->vcpus[id];
	struct kvm_run *run = v->runner.vcpu->run;
	bool runs = sev_snp_remote_run(r, id);

	EXPECT(r, !runs && run->exit_reason == KVM_EXIT_FAIL_ENTRY,
	       "vCPU %u: 0x%lx, %s", id, v->tag, v->runner.error);
}

static void regain(struct sev_snp_remote *r)
{
	uint64_t answer;

	answer = sev_snp_remote_request(r, 0, SEV_SNP_REQUEST(CREATE, 2), PAGE_A);
	expect_answer(r, "CREATE on the lost page", answer, SEV_SNP_REFUSED);
	sev_snp_remote_destroy(r, 1);
	sev_snp_remote_start(r, 1, PAGE_B, SECOND);
	sev_snp_remote_call(r, 0, sev_snp_guest_validate, PAGE_A);
	sev_snp_remote_start(r, 2, PAGE_A, FIRST);
	sev_snp_remote_start(r, 1, PAGE_B + 1, FIRST);
}

static bool test_hole(const struct sev_subtest *t)
{
	int log = sev_snp_open_log();
	struct sev_snp_remote r;
	bool ok;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	sev_snp_remote_start(&r, 1, PAGE_A, FIRST);
	vm_guest_mem_punch_hole(r.snp.vm, sev_snp_remote_gpa(&r, PAGE_A), PAGE_SIZE);
	expect_lost(&r, 1);
	expect_lost(&r, 1);
	regain(&r);
	ok = sev_snp_remote_free(&r);
	return sev_snp_nothing_leaked(log) && ok;
}

static uint64_t counter;

static void guest_count(void)
{
	for (;;)
		WRITE_ONCE(counter, counter + 1);
}

static uint64_t guest_wait_for_progress(void)
{
	uint64_t from = READ_ONCE(counter);

	while (READ_ONCE(counter) < from + 2)
		cpu_relax();
	return 0;
}

static void *run_until_lost(void *arg)
{
	sev_snp_remote_run(arg, 1);
	return NULL;
}

/* ... while a CPU has it in use. */
static bool test_hole_running(const struct sev_subtest *t)
{
	int log = sev_snp_open_log();
	struct sev_snp_remote r;
	pthread_t thread;
	bool ok;

	sev_snp_remote_create(&r, NR_VCPUS, NR_VCPUS, 0);
	sev_snp_remote_start(&r, 1, PAGE_A, FIRST);
	sev_snp_remote_post(&r, 1, guest_count, 0);
	pthread_create(&thread, NULL, run_until_lost, &r);
	sev_snp_remote_call(&r, 0, guest_wait_for_progress);
	vm_guest_mem_punch_hole(r.snp.vm, sev_snp_remote_gpa(&r, PAGE_A), PAGE_SIZE);
	/* If KVM has not made it leave the guest, this does. */
	while (pthread_tryjoin_np(thread, NULL)) {
		pthread_kill(thread, SIGALRM);
		usleep(1000);
	}
	expect_lost(&r, 1);
	regain(&r);
	ok = sev_snp_remote_free(&r);
	return sev_snp_nothing_leaked(log) && ok;
}

/*
 * What userspace asks for.
 */
static int try_cap(struct kvm_vm *vm, uint64_t flags, uint64_t more)
{
	struct kvm_enable_cap cap = {
		.cap = KVM_CAP_X86_SNP_AP,
		.args = { flags, more },
	};

	return __vm_ioctl(vm, KVM_ENABLE_CAP, &cap) ? errno : 0;
}

#define ALL_FLAGS	(KVM_X86_SNP_AP_STRICT | KVM_X86_SNP_AP_STOPPED)

static bool test_capability(const struct sev_subtest *t)
{
	const struct vm_shape snp = { .mode = VM_MODE_DEFAULT, .type = KVM_X86_SNP_VM };
	struct kvm_vm *vm = ____vm_create(snp), *other = vm_create_barebones();
	bool ok;

	ok = kvm_check_cap(KVM_CAP_X86_SNP_AP) == ALL_FLAGS &&
	     vm_check_cap(vm, KVM_CAP_X86_SNP_AP) == ALL_FLAGS &&
	     vm_check_cap(other, KVM_CAP_X86_SNP_AP) == 0 &&
	     try_cap(other, KVM_X86_SNP_AP_STRICT, 0) == EINVAL &&
	     try_cap(vm, ALL_FLAGS + 1, 0) == EINVAL &&
	     try_cap(vm, BIT_ULL(63), 0) == EINVAL &&
	     try_cap(vm, KVM_X86_SNP_AP_STRICT, 1) == EINVAL &&
	     try_cap(vm, ALL_FLAGS, 0) == 0 &&
	     try_cap(vm, 0, 0) == 0;
	__vm_vcpu_add(vm, 0);
	ok = ok && try_cap(vm, ALL_FLAGS, 0) == EBUSY;
	kvm_vm_free(vm);
	kvm_vm_free(other);
	return ok;
}

static const uint64_t flags_none, flags_stopped = KVM_X86_SNP_AP_STOPPED;

static const uint32_t mp_states[] = {
	KVM_MP_STATE_UNINITIALIZED, KVM_MP_STATE_INIT_RECEIVED,
	KVM_MP_STATE_HALTED, KVM_MP_STATE_AP_RESET_HOLD, KVM_MP_STATE_RUNNABLE,
};

static const struct sev_subtest subtests[] = {
	{ "destroyed_nmi", test_destroyed_nmi },
	{ "destroyed_init_sipi", test_destroyed_init_sipi },
	{ "destroyed_kick", test_destroyed_kick },
	{ "destroyed_irq", test_destroyed_irq },
	{ "destroyed_async_pf", test_destroyed_async_pf },
	{ "destroyed_set_mp_state", test_destroyed_set_mp_state, &flags_none },
	{ "stopped_set_mp_state", test_destroyed_set_mp_state, &flags_stopped },
	{ "launched_destroyed", test_launched_destroyed },
	{ "destroy_is_done", test_destroy_is_done },
	{ "destroy_oneself", test_destroy_oneself },
	{ "create_uninitialized", test_create_in, &mp_states[0] },
	{ "create_init_received", test_create_in, &mp_states[1] },
	{ "create_halted", test_create_in, &mp_states[2] },
	{ "create_reset_hold", test_create_in, &mp_states[3] },
	{ "create_runnable", test_create_in, &mp_states[4] },
	{ "create_after_init", test_create_after_init },
	{ "on_init", test_on_init },
	{ "on_init_race", test_on_init_race },
	{ "on_init_live", test_on_init_live },
	{ "on_self", test_on_self },
	{ "shared_page", test_shared_page },
	{ "features", test_features },
	{ "page_in_use", test_page_in_use },
	{ "hotplug", test_hotplug },
	{ "hotplug_runnable", test_hotplug_runnable },
	{ "control_registers", test_control_registers },
	{ "hole", test_hole },
	{ "hole_running", test_hole_running },
	{ "capability", test_capability },
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE_SEV_SNP();

	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
