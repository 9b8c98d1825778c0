// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV-ES guests of two vCPUs, for tests that send them from VM to VM.
 */
#include <errno.h>
#include <pthread.h>
#include <string.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_machine.h"

struct sev_certs sev_machine_certs;
int sev_machine_failures;

void sev_machine_require(const char *root)
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));
	__TEST_REQUIRE(sev_read_root(root, &sev_machine_certs),
		       "No certificates of AMD's root");
}

bool sev_machine_passes(const struct sev_machine_test *test)
{
	sev_machine_failures = 0;
	test->run();
	return !sev_machine_failures;
}

void sev_machine_run_tests(const struct sev_machine_test *tests, int nr)
{
	int i;

	ksft_print_header();
	ksft_set_plan(nr);
	for (i = 0; i < nr; i++)
		ksft_test_result(sev_machine_passes(&tests[i]), "%s\n", tests[i].name);
}

void sev_machine_create(struct sev_machine *m, void *guest,
			void (*setup)(struct kvm_vm *vm))
{
	const struct sev_ghcb_config config = { .init = { .ghcb_version = 2 } };
	int i;

	*m = (struct sev_machine){ .guest = guest, .setup = setup };
	m->vm = vm_sev_ghcb_create(&config, SEV_MACHINE_VCPUS, guest, m->vcpus);
	if (setup)
		setup(m->vm);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		vcpu_args_set(m->vcpus[i], 1, i);
}

uint32_t vcpu_run_to_exit(struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	return *(uint32_t *)((void *)vcpu->run + vcpu->run->io.data_offset);
}

void vcpu_finish_exit(struct kvm_vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	TEST_ASSERT(__vcpu_run(vcpu) == -1 && errno == EINTR, "KVM_RUN: %s",
		    strerror(errno));
	vcpu->run->immediate_exit = 0;
}

static void *run_thread(void *arg)
{
	return (void *)(uintptr_t)vcpu_run_to_exit(arg);
}

void sev_machine_run(struct sev_machine *m)
{
	pthread_t threads[SEV_MACHINE_VCPUS];
	void *stage;
	int i;

	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		pthread_create(&threads[i], NULL, run_thread, m->vcpus[i]);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++) {
		pthread_join(threads[i], &stage);
		m->stage[i] = (uintptr_t)stage;
	}
}

void sev_machine_expect(const struct sev_machine *m, uint32_t stage)
{
	int i;

	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		SEV_EXPECT(m->stage[i] == stage, "vCPU %d says %#x", i, m->stage[i]);
}

/* What the guest has set must come with it, not from how the VM was made. */
static void vcpu_to_real_mode(struct kvm_vcpu *vcpu)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr0 = X86_CR0_ET;
	sregs.cr4 = 0;
	sregs.efer = 0;
	sregs.cs.l = 0;
	vcpu_sregs_set(vcpu, &sregs);
}

void sev_machine_connect(struct sev_machine *from, struct sev_machine *to)
{
	struct sev_session session;
	int i;

	sev_machine_create(to, from->guest, from->setup);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		vcpu_to_real_mode(to->vcpus[i]);
	sev_export_certs(to->vm, &sev_machine_certs);
	SEV_EXPECT_CMD(vm_sev_send_start(from->vm, &sev_machine_certs, &session, &fw), 0, 0);
	SEV_EXPECT(vm_sev_state(from->vm) == SEV_GUEST_STATE_SEND_UPDATE, "");
	SEV_EXPECT_CMD(vm_sev_receive_start(to->vm, &session, &fw), 0, 0);
	SEV_EXPECT(vm_sev_state(to->vm) == SEV_GUEST_STATE_RECEIVE_UPDATE, "");
}

void sev_machine_move(struct sev_machine *from, struct sev_machine *to)
{
	struct sev_vcpu_packet packet;
	int i;

	for (i = 0; i < SEV_MACHINE_VCPUS; i++) {
		vcpu_sev_send(from->vcpus[i], &packet);
		vcpu_sev_receive(to->vcpus[i], &packet);
	}
	vm_sev_transport_memory(from->vm, to->vm);
	SEV_EXPECT_CMD(sev_cmd(from->vm, KVM_SEV_SEND_FINISH, NULL, &fw), 0, 0);
	SEV_EXPECT(vm_sev_state(from->vm) == SEV_GUEST_STATE_SENT, "");
	SEV_EXPECT_CMD(sev_cmd(to->vm, KVM_SEV_RECEIVE_FINISH, NULL, &fw), 0, 0);
	SEV_EXPECT(vm_sev_state(to->vm) == SEV_GUEST_STATE_RUNNING, "");
	kvm_vm_free(from->vm);
}

void sev_machine_send(struct sev_machine *from, struct sev_machine *to)
{
	int i;

	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		vcpu_finish_exit(from->vcpus[i]);
	sev_machine_connect(from, to);
	sev_machine_move(from, to);
}

void sev_machine_launch(struct sev_machine *m, void *guest,
			void (*setup)(struct kvm_vm *vm))
{
	sev_machine_create(m, guest, setup);
	vm_sev_launch(m->vm, SEV_POLICY_ES, NULL);
}
