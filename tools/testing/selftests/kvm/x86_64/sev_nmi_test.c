// SPDX-License-Identifier: GPL-2.0-only
/*
 * NMIs in a SEV-ES guest: the guest says when it can take the next one, with
 * NMI_COMPLETE, and KVM can neither single-step it nor intercept its IRET.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include <linux/bitfield.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "test_util.h"
#include "ucall_common.h"

#define NMI_VECTOR	2

/*
 * To wait for an NMI without one exit, in TSC ticks: well beyond the time that
 * a busy host may keep the other vCPU from running.
 */
#define PATIENCE	60000000000ull

#define MAX_VCPUS	3

/*
 * A place in the guest's code, for who reads the emulator's log of exits: a
 * request for a CPUID leaf that nobody else asks for.  The exit between them is
 * that of NMI_COMPLETE.
 */
#define MARK_BEFORE	0x4fff0001ull
#define MARK_AFTER	0x4fff0002ull
#define NR_ROUNDS	101		/* the first one is not marked */

#define NR_STORM	100000ull
#define NR_EXACT	5000ull

#define PORT		0x80
#define PORT_DATA	0x5a

static uint64_t nr_nmis;		/* handlers entered */
static uint64_t nr_done;		/* ... and left */
static uint64_t stage;
static uint64_t trap_page;		/* written by the host */
static uint64_t sent[MAX_VCPUS];	/* by each vCPU of a storm */
static uint64_t seen[MAX_VCPUS];	/* ... by the one that takes them */

static void nmi_complete(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_NMI_COMPLETE, 0, 0);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
}

/*
 * Until the counter stands still for too long.  No exit in here: no ucall, no
 * instruction that takes a #VC.
 */
static bool wait_for(uint64_t *counter, uint64_t value)
{
	uint64_t end = rdtsc() + PATIENCE;
	uint64_t now, last = 0;

	while ((now = READ_ONCE(*counter)) < value) {
		if (now != last)
			end = rdtsc() + PATIENCE;
		else if (rdtsc() > end)
			return false;
		last = now;
	}
	return true;
}

static void wait_a_moment(void)
{
	uint64_t end = rdtsc() + PATIENCE / 1000;

	while (rdtsc() < end)
		;
}

static void send_ipi(uint32_t apic_id, uint32_t what)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_wrmsr(APIC_BASE_MSR + (APIC_ICR >> 4),
			      (uint64_t)apic_id << 32 | what);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
}

static void send_nmi(uint32_t apic_id)
{
	send_ipi(apic_id, APIC_DM_NMI | APIC_INT_ASSERT);
}

static void enable_x2apic(void)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_rdmsr(MSR_IA32_APICBASE);
	sev_ghcb_vmgexit(&call);
	call = sev_ghcb_wrmsr(MSR_IA32_APICBASE, (uint32_t)call.rax |
			      MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
}

/*
 * A second NMI comes while the first is being handled.  It is to be delivered
 * upon NMI_COMPLETE, although the guest does nothing but spin afterwards.
 */
static void nested_handler(struct ex_regs *regs)
{
	if (nr_nmis++) {
		nr_done++;
		return;
	}

	WRITE_ONCE(stage, 1);
	GUEST_ASSERT(wait_for(&stage, 2));
	GUEST_ASSERT_EQ(nr_nmis, 1);
	nmi_complete();
	GUEST_ASSERT(wait_for(&nr_nmis, 2));
	nr_done++;
}

static void guest_nested(uint32_t id)
{
	enable_x2apic();
	if (id) {
		GUEST_ASSERT(wait_for(&stage, 1));
		send_nmi(0);
		WRITE_ONCE(stage, 2);
	} else {
		send_nmi(0);
		GUEST_ASSERT(wait_for(&nr_done, 2));
	}
	GUEST_DONE();
}

static void counting_handler(struct ex_regs *regs)
{
	nr_nmis++;
	nmi_complete();
	nr_done++;
}

/* Not the first time, when pages are missing that the rest of it will touch. */
static void mark(uint64_t leaf, uint64_t round)
{
	if (round == 1)
		leaf = 0;
	sev_ghcb_msr_call(SEV_GHCB_MSR_CPUID_REQ |
			  FIELD_PREP(SEV_GHCB_MSR_CPUID_FUNC, leaf));
}

/*
 * As nested, many times, and marked: the second NMI comes by the very entry that
 * follows NMI_COMPLETE.
 */
static void no_exit_handler(struct ex_regs *regs)
{
	uint64_t round = nr_nmis++ / 2 + 1;

	if (nr_nmis == 2 * round) {
		mark(MARK_AFTER, round);
		return;
	}

	WRITE_ONCE(stage, round);
	GUEST_ASSERT(wait_for(&sent[1], round));
	mark(MARK_BEFORE, round);
	nmi_complete();
	GUEST_ASSERT(wait_for(&nr_nmis, 2 * round));
	/* The nested one did not say it for itself. */
	nmi_complete();
	WRITE_ONCE(nr_done, round);
}

static void guest_no_exit(uint32_t id)
{
	uint64_t round;

	enable_x2apic();
	for (round = 1; round <= NR_ROUNDS; round++) {
		if (id) {
			GUEST_ASSERT(wait_for(&stage, round));
			send_nmi(0);
			WRITE_ONCE(sent[1], round);
		} else {
			send_nmi(0);
			GUEST_ASSERT(wait_for(&nr_done, round));
		}
	}
	GUEST_DONE();
}

/*
 * A storm.  NMI_COMPLETE lets the next NMI into the handler that says it, and
 * nothing bounds how often: a handler that has interrupted another one leaves
 * NMI_COMPLETE to that, as else the stack and the copies of the GHCB would have
 * to be as deep as the storm is long.
 *
 * What was sent before the handler began is seen by it.  An NMI can go with one
 * that is pending already, which arrives later, or be one of its own; so all
 * that was sent is seen in the end, or an NMI was lost.
 */
static void storm_handler(struct ex_regs *regs)
{
	static bool busy, again;
	int i;

	nr_nmis++;
	for (i = 1; i < MAX_VCPUS; i++)
		WRITE_ONCE(seen[i], READ_ONCE(sent[i]));

	if (busy) {
		again = true;
		return;
	}

	do {
		WRITE_ONCE(busy, true);
		do {
			WRITE_ONCE(again, false);
			nmi_complete();
		} while (READ_ONCE(again));
		WRITE_ONCE(busy, false);
	} while (READ_ONCE(again));
}

/* One sender that waits each time: what arrives is no less and no more. */
static void exact_handler(struct ex_regs *regs)
{
	storm_handler(regs);
	GUEST_ASSERT(nr_nmis <= READ_ONCE(sent[1]));
}

static void guest_exact(uint32_t id)
{
	uint64_t n;

	enable_x2apic();
	for (n = 1; id && n <= NR_EXACT; n++) {
		WRITE_ONCE(sent[1], n);
		send_nmi(0);
		GUEST_ASSERT(wait_for(&seen[1], n));
		GUEST_ASSERT_EQ(READ_ONCE(nr_nmis), n);
	}
	GUEST_ASSERT(wait_for(&seen[1], NR_EXACT));
	GUEST_DONE();
}

/* Each sender has up to two of its own on the way. */
static void guest_storm(uint32_t id)
{
	uint64_t n, each = NR_STORM / (MAX_VCPUS - 1);

	enable_x2apic();
	for (n = 1; id && n <= each; n++) {
		WRITE_ONCE(sent[id], n);
		send_nmi(0);
		if (!(n % 2))
			GUEST_ASSERT(wait_for(&seen[id], n));
	}
	for (id = 1; id < MAX_VCPUS; id++)
		GUEST_ASSERT(wait_for(&seen[id], each));

	GUEST_ASSERT(nr_nmis <= NR_STORM);
	GUEST_ASSERT(nr_nmis >= each / 2);
	GUEST_DONE();
}

/* An NMI comes while userspace has the vCPU, and the GHCB, for a port. */
static void guest_userspace_exit(uint32_t id)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_in(PORT, 1);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_ASSERT_EQ((uint8_t)call.rax, PORT_DATA);
	GUEST_ASSERT_EQ(nr_done, 1);
	GUEST_DONE();
}

/* Again and again, as the AP may not be where it is to be yet. */
static void send_until(uint64_t value, bool nmi)
{
	uint64_t end = rdtsc() + PATIENCE;

	while (READ_ONCE(stage) < value) {
		GUEST_ASSERT(rdtsc() < end);
		if (nmi) {
			send_nmi(1);
		} else {
			send_ipi(1, APIC_DM_INIT | APIC_INT_ASSERT);
			send_ipi(1, APIC_DM_STARTUP | APIC_INT_ASSERT | 8);
		}
		wait_a_moment();
	}
}

static bool hold(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_AP_HLT_LOOP, 0, 0);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	return call.info2;
}

/*
 * An AP that waits for a SIPI takes an NMI, is told that there was no SIPI, and
 * waits again, until there is one.
 */
static void guest_parked(uint32_t id)
{
	if (id) {
		WRITE_ONCE(stage, 1);
		while (hold())
			;		/* a SIPI that was sent once more */
		GUEST_ASSERT(nr_nmis);
		WRITE_ONCE(stage, 2);
		while (!hold())
			;
		WRITE_ONCE(stage, 3);
		GUEST_DONE();
	}

	enable_x2apic();
	send_until(1, false);
	send_until(2, true);
	GUEST_ASSERT_EQ(READ_ONCE(stage), 2);
	send_until(3, false);
	GUEST_DONE();
}

/*
 * The access in the shadow makes KVM_RUN return, as the host has taken the page
 * away.  The host sends an NMI and gives the page back: so the vCPU is entered
 * in the shadow, with the NMI pending.
 */
static void guest_sti_shadow(uint32_t id)
{
	asm volatile("cli\n\t"
		     "sti\n\t"
		     "movb $1, (%0)" : : "r" (trap_page) : "memory");
	GUEST_ASSERT(wait_for(&nr_done, 1));
	GUEST_DONE();
}

static void guest_mov_ss_shadow(uint32_t id)
{
	asm volatile("sti\n\t"
		     "nop\n\t"
		     "mov %%ss, %%eax\n\t"
		     "mov %%eax, %%ss\n\t"
		     "movb $1, (%0)" : : "r" (trap_page) : "rax", "memory");
	GUEST_ASSERT(wait_for(&nr_done, 1));
	GUEST_DONE();
}

/* Interrupts are off: the next exit has to do, of whatever kind it is. */
static void guest_shadow_without_if(uint32_t id)
{
	asm volatile("cli\n\t"
		     "mov %%ss, %%eax\n\t"
		     "mov %%eax, %%ss\n\t"
		     "movb $1, (%0)" : : "r" (trap_page) : "rax", "memory");
	sev_ghcb_msr_call(SEV_GHCB_MSR_HV_FT_REQ);
	GUEST_ASSERT(wait_for(&nr_done, 1));
	GUEST_DONE();
}

/* NMI_COMPLETE out of the blue changes nothing. */
static void guest_no_nmi(uint32_t id)
{
	nmi_complete();
	enable_x2apic();
	send_nmi(0);
	GUEST_ASSERT(wait_for(&nr_done, 1));
	nmi_complete();
	send_nmi(0);
	GUEST_ASSERT(wait_for(&nr_done, 2));
	GUEST_DONE();
}

static const struct subtest {
	const char *name;
	void (*guest)(uint32_t id);
	void (*handler)(struct ex_regs *regs);
	int nr_vcpus;
	bool ap_waits_for_sipi;
	bool takes_long;	/* only if it is asked for */
} subtests[] = {
	{ "nested", guest_nested, nested_handler, 2 },
	{ "no_nmi", guest_no_nmi, counting_handler, 1 },
	{ "sti_shadow", guest_sti_shadow, counting_handler, 1 },
	{ "mov_ss_shadow", guest_mov_ss_shadow, counting_handler, 1 },
	{ "shadow_without_if", guest_shadow_without_if, counting_handler, 1 },
	{ "no_exit", guest_no_exit, no_exit_handler, 2 },
	{ "exact", guest_exact, exact_handler, 2 },
	{ "storm", guest_storm, storm_handler, 3, .takes_long = true },
	{ "userspace_exit", guest_userspace_exit, counting_handler, 1 },
	{ "parked", guest_parked, storm_handler, 2, .ap_waits_for_sipi = true },
};

/*
 * Host.
 */
struct runner {
	struct kvm_vcpu *vcpu;
	int pcpu;
	void *trap_hva;
	char error[256];
};

/* Userspace's answer to the guest's IN, and an NMI */
static bool answer_in(struct kvm_vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->exit_reason != KVM_EXIT_IO || run->io.port != PORT ||
	    run->io.direction != KVM_EXIT_IO_IN)
		return false;

	__vcpu_ioctl(vcpu, KVM_NMI, NULL);
	*((uint8_t *)run + run->io.data_offset) = PORT_DATA;
	return true;
}

static void *run_vcpu(void *arg)
{
	struct runner *r = arg;
	struct ucall uc;

	/* The log of exits is one per CPU. */
	kvm_pin_this_task_to_pcpu(r->pcpu);

	for (;;) {
		if (__vcpu_run(r->vcpu)) {
			if (errno == EAGAIN)
				continue;	/* was not started yet */
			if (errno != EFAULT || !r->trap_hva) {
				snprintf(r->error, sizeof(r->error), "KVM_RUN: %s",
					 strerror(errno));
				return NULL;
			}
			mprotect(r->trap_hva, PAGE_SIZE, PROT_READ | PROT_WRITE);
			r->trap_hva = NULL;
			__vcpu_ioctl(r->vcpu, KVM_NMI, NULL);
			continue;
		}

		if (answer_in(r->vcpu))
			continue;

		switch (get_ucall(r->vcpu, &uc)) {
		case UCALL_DONE:
			if (r->trap_hva)
				snprintf(r->error, sizeof(r->error), "the page was not missed");
			return NULL;
		case UCALL_ABORT:
			snprintf(r->error, sizeof(r->error), "%s:%ld: %s %s",
				 (const char *)uc.args[GUEST_FILE], uc.args[GUEST_LINE],
				 (const char *)uc.args[GUEST_ERROR_STRING], uc.buffer);
			return NULL;
		default:
			snprintf(r->error, sizeof(r->error), "exit %s",
				 exit_reason_str(r->vcpu->run->exit_reason));
			return NULL;
		}
	}
}

static void run(const struct subtest *t)
{
	const struct sev_ghcb_config config = { .init = { .ghcb_version = 2 } };
	struct kvm_mp_state uninitialized = { KVM_MP_STATE_UNINITIALIZED };
	struct runner runners[MAX_VCPUS] = { };
	struct kvm_vcpu *vcpus[MAX_VCPUS];
	pthread_t threads[MAX_VCPUS];
	bool good = true;
	struct kvm_vm *vm;
	int i;

	vm = vm_sev_ghcb_create(&config, t->nr_vcpus, t->guest, vcpus);
	vm_install_exception_handler(vm, NMI_VECTOR, t->handler);
	trap_page = vm_vaddr_alloc_page(vm);
	sync_global_to_guest(vm, trap_page);
	for (i = 0; i < t->nr_vcpus; i++)
		vcpu_args_set(vcpus[i], 1, i);
	if (t->ap_waits_for_sipi)
		vcpu_mp_state_set(vcpus[1], &uninitialized);
	if (strstr(t->name, "shadow"))
		runners[0].trap_hva = addr_gva2hva(vm, trap_page);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);

	if (runners[0].trap_hva)
		mprotect(runners[0].trap_hva, PAGE_SIZE, PROT_NONE);
	for (i = 0; i < t->nr_vcpus; i++) {
		runners[i].vcpu = vcpus[i];
		runners[i].pcpu = (i + 1) % get_nprocs();
		pthread_create(&threads[i], NULL, run_vcpu, &runners[i]);
	}
	for (i = 0; i < t->nr_vcpus; i++)
		pthread_join(threads[i], NULL);
	kvm_vm_free(vm);

	for (i = 0; i < t->nr_vcpus; i++) {
		if (runners[i].error[0]) {
			ksft_print_msg("vCPU %d: %s\n", i, runners[i].error);
			good = false;
		}
	}
	ksft_test_result(good, "%s\n", t->name);
}

static bool chosen(const struct subtest *t, const char *name)
{
	return name ? !strcmp(name, t->name) : !t->takes_long;
}

int main(int argc, char *argv[])
{
	int i, nr = 0;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	for (i = 0; i < ARRAY_SIZE(subtests); i++)
		nr += chosen(&subtests[i], argv[1]);
	TEST_ASSERT(nr, "There is no subtest %s", argv[1]);

	ksft_print_header();
	ksft_set_plan(nr);
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		if (chosen(&subtests[i], argv[1]))
			run(&subtests[i]);
	}
	ksft_finished();
}
