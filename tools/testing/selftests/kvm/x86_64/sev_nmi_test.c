// SPDX-License-Identifier: GPL-2.0-only
/*
 * NMIs in SEV-ES guests.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sysinfo.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "sev_nmi.h"
#include "sev_subtests.h"
#include "test_util.h"
#include "ucall_common.h"

#define PORT		0x80
#define PORT_DATA	0x5a

/* An NMI comes while userspace has the vCPU, and the GHCB, for a port. */
static void guest_userspace_exit(uint32_t id)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_in(PORT, 1);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_ASSERT_EQ((uint8_t)call.rax, PORT_DATA);
	GUEST_ASSERT_EQ(sev_nmi_done, 1);
	GUEST_DONE();
}

static const struct sev_nmi_guest userspace_exit = {
	guest_userspace_exit, sev_nmi_counting_handler, 1,
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

static bool run(const struct sev_subtest *t)
{
	const struct sev_ghcb_config config = { .init = { .ghcb_version = 2 } };
	struct runner runners[SEV_NMI_MAX_VCPUS] = { };
	struct kvm_vcpu *vcpus[SEV_NMI_MAX_VCPUS];
	pthread_t threads[SEV_NMI_MAX_VCPUS];
	const struct sev_nmi_guest *guest = t->data;
	bool good = true;
	struct kvm_vm *vm;
	vm_vaddr_t trap;
	int i;

	vm = vm_sev_ghcb_create(&config, guest->nr_vcpus, guest->code, vcpus);
	vm_sev_nmi_prepare(vm, vcpus, guest);
	trap = vm_vaddr_alloc_page(vm);
	vm_sev_nmi_set_trap_page(vm, trap);
	if (guest->needs_trap)
		runners[0].trap_hva = addr_gva2hva(vm, trap);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);

	if (runners[0].trap_hva)
		mprotect(runners[0].trap_hva, PAGE_SIZE, PROT_NONE);
	for (i = 0; i < guest->nr_vcpus; i++) {
		runners[i].vcpu = vcpus[i];
		runners[i].pcpu = (i + 1) % get_nprocs();
		pthread_create(&threads[i], NULL, run_vcpu, &runners[i]);
	}
	for (i = 0; i < guest->nr_vcpus; i++) {
		pthread_join(threads[i], NULL);
		if (runners[i].error[0]) {
			ksft_print_msg("vCPU %d: %s\n", i, runners[i].error);
			good = false;
		}
	}
	kvm_vm_free(vm);
	return good;
}

static const struct sev_subtest subtests[] = {
	{ "storm", run, &sev_nmi_storm, .takes_long = true },
	{ "userspace_exit", run, &userspace_exit },
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	return sev_nmi_main(argc, argv, run, subtests, ARRAY_SIZE(subtests));
}
