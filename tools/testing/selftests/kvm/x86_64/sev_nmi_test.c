// SPDX-License-Identifier: GPL-2.0-only
/*
 * NMIs in a SEV-ES guest: the guest says when it can take the next one, with
 * NMI_COMPLETE, and KVM can neither single-step it nor intercept its IRET.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>

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

static uint64_t nr_nmis;		/* handlers entered */
static uint64_t nr_done;		/* ... and left */
static uint64_t stage;
static uint64_t trap_page;		/* written by the host */

static void nmi_complete(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_NMI_COMPLETE, 0, 0);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
}

/* No exit in here: no ucall, no instruction that takes a #VC. */
static bool wait_for(uint64_t *counter, uint64_t value)
{
	uint64_t end = rdtsc() + PATIENCE;

	while (READ_ONCE(*counter) < value) {
		if (rdtsc() > end)
			return false;
	}
	return true;
}

static void send_nmi(uint32_t apic_id)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_wrmsr(APIC_BASE_MSR + (APIC_ICR >> 4),
			      (uint64_t)apic_id << 32 | APIC_DM_NMI | APIC_INT_ASSERT);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
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
} subtests[] = {
	{ "nested", guest_nested, nested_handler, 2 },
	{ "no_nmi", guest_no_nmi, counting_handler, 1 },
	{ "sti_shadow", guest_sti_shadow, counting_handler, 1 },
	{ "mov_ss_shadow", guest_mov_ss_shadow, counting_handler, 1 },
	{ "shadow_without_if", guest_shadow_without_if, counting_handler, 1 },
};

/*
 * Host.
 */
struct runner {
	struct kvm_vcpu *vcpu;
	void *trap_hva;
	char error[256];
};

static void *run_vcpu(void *arg)
{
	struct runner *r = arg;
	struct ucall uc;

	for (;;) {
		if (__vcpu_run(r->vcpu)) {
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
	struct runner runners[2] = { };
	struct kvm_vcpu *vcpus[2];
	pthread_t threads[2];
	struct kvm_vm *vm;
	int i;

	vm = vm_sev_ghcb_create(&config, t->nr_vcpus, t->guest, vcpus);
	vm_install_exception_handler(vm, NMI_VECTOR, t->handler);
	trap_page = vm_vaddr_alloc_page(vm);
	sync_global_to_guest(vm, trap_page);
	for (i = 0; i < t->nr_vcpus; i++)
		vcpu_args_set(vcpus[i], 1, i);
	if (strstr(t->name, "shadow"))
		runners[0].trap_hva = addr_gva2hva(vm, trap_page);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);

	if (runners[0].trap_hva)
		mprotect(runners[0].trap_hva, PAGE_SIZE, PROT_NONE);
	for (i = 0; i < t->nr_vcpus; i++) {
		runners[i].vcpu = vcpus[i];
		pthread_create(&threads[i], NULL, run_vcpu, &runners[i]);
	}
	for (i = 0; i < t->nr_vcpus; i++)
		pthread_join(threads[i], NULL);
	kvm_vm_free(vm);

	for (i = 0; i < t->nr_vcpus; i++) {
		if (runners[i].error[0])
			ksft_print_msg("vCPU %d: %s\n", i, runners[i].error);
	}
	ksft_test_result(!runners[0].error[0] && !runners[1].error[0], "%s\n", t->name);
}

int main(int argc, char *argv[])
{
	int i, nr = 0;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	for (i = 0; i < ARRAY_SIZE(subtests); i++)
		nr += argc == 1 || !strcmp(argv[1], subtests[i].name);
	TEST_ASSERT(nr, "There is no subtest %s", argv[1]);

	ksft_print_header();
	ksft_set_plan(nr);
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		if (argc == 1 || !strcmp(argv[1], subtests[i].name))
			run(&subtests[i]);
	}
	ksft_finished();
}
