// SPDX-License-Identifier: GPL-2.0-only
/*
 * Send a SEV guest, the registers of which are not encrypted, from one VM to
 * another on the same host, with the firmware's commands for memory alone.
 *
 * The argument is the file with AMD's root certificates, ASK and ARK; on the
 * emulated host there is one.
 */
#include <errno.h>
#include <string.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_machine.h"
#include "sev_transport.h"
#include "test_util.h"

#define NR_PAGES	16

#define PORT_STAGE	0x50
#define STAGE_READY	1
#define STAGE_FAILED	2
#define STAGE_DONE	3

/* Private */
static uint64_t pattern[NR_PAGES * 512] __aligned(4096);

static uint64_t word(uint64_t i)
{
	return i * 0x9e3779b97f4a7c15ull;
}

/* Not a ucall, which would lead to the other VM's memory. */
static void tell(uint32_t stage)
{
	asm volatile("out %0, %1" : : "a" (stage), "Nd" ((uint8_t)PORT_STAGE));
}

static bool pattern_is_right(void)
{
	uint64_t i;

	for (i = 0; i < ARRAY_SIZE(pattern); i++) {
		if (pattern[i] != word(i))
			return false;
	}
	return true;
}

static void guest_code(void)
{
	uint64_t i;

	for (i = 0; i < ARRAY_SIZE(pattern); i++)
		pattern[i] = word(i);
	tell(STAGE_READY);
	tell(pattern_is_right() ? STAGE_DONE : STAGE_FAILED);
}

static void connect(struct kvm_vm *from, struct kvm_vm *to)
{
	struct sev_session session;

	sev_export_certs(to, &sev_machine_certs);
	SEV_EXPECT_CMD(vm_sev_send_start(from, &sev_machine_certs, &session, &fw), 0, 0);
	SEV_EXPECT_CMD(vm_sev_receive_start(to, &session, &fw), 0, 0);
}

/* The first page alone, which is what fails if anything does. */
static bool send_one(struct kvm_vm *from, struct kvm_vm *to, uint64_t gpa)
{
	struct userspace_mem_region *region;
	struct sev_page_packet packet;

	region = memslot2region(to, 0);
	sev_register_encrypted_memory(to, region);
	SEV_EXPECT_CMD(vm_sev_send_page(from, gpa, &packet, &fw), 0, 0);
	SEV_EXPECT_CMD(vm_sev_receive_page(to, &packet, &fw), 0, 0);
	return !sev_machine_failures;
}

int main(int argc, char *argv[])
{
	struct kvm_x86_state *state;
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vms[2];
	uint64_t gpa;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV));
	__TEST_REQUIRE(sev_read_root(argc > 1 ? argv[1] : NULL, &sev_machine_certs),
		       "No certificates of AMD's root");

	ksft_print_header();
	ksft_set_plan(2);

	vms[0] = vm_sev_create_with_one_vcpu(KVM_X86_SEV_VM, guest_code, &vcpus[0]);
	vms[1] = vm_sev_create_with_one_vcpu(KVM_X86_SEV_VM, guest_code, &vcpus[1]);
	gpa = addr_gva2gpa(vms[0], (vm_vaddr_t)pattern);
	vm_sev_launch(vms[0], 0, NULL);
	TEST_ASSERT_EQ(vcpu_run_to_exit(vcpus[0]), STAGE_READY);
	vcpu_finish_exit(vcpus[0]);

	connect(vms[0], vms[1]);
	ksft_test_result(send_one(vms[0], vms[1], gpa), "page\n");
	if (sev_machine_failures) {
		ksft_test_result_fail("guest\n");
		ksft_finished();
	}

	vm_sev_transport_memory(vms[0], vms[1]);
	state = vcpu_save_state(vcpus[0]);
	SEV_EXPECT_CMD(sev_cmd(vms[0], KVM_SEV_SEND_FINISH, NULL, &fw), 0, 0);
	SEV_EXPECT_CMD(sev_cmd(vms[1], KVM_SEV_RECEIVE_FINISH, NULL, &fw), 0, 0);
	kvm_vm_free(vms[0]);

	vcpu_load_state(vcpus[1], state);
	kvm_x86_state_cleanup(state);
	SEV_EXPECT(vcpu_run_to_exit(vcpus[1]) == STAGE_DONE, "");
	ksft_test_result(!sev_machine_failures, "guest\n");
	kvm_vm_free(vms[1]);
	ksft_finished();
}
