// SPDX-License-Identifier: GPL-2.0-only
/*
 * INIT does not change the registers of a vCPU whose state is encrypted, and so
 * not what KVM knows of them.
 */
#include <errno.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/sev-vcpu-record.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "test_util.h"
#include "ucall_common.h"

#define NR_VCPUS	2

static uint64_t nr_faults;

/* Zero is what KVM pushes; garbage is there if it pushes no error code. */
static void gp_handler(struct ex_regs *regs)
{
	if (!regs->error_code)
		nr_faults++;
	regs->rip += 2;
}

static void guest_code(void)
{
	GUEST_SYNC(1);
	asm volatile("wrmsr" : : "c" (0x12345678), "a" (0), "d" (0));
	GUEST_ASSERT_EQ(nr_faults, 1);
	GUEST_DONE();
}

/* By the APIC, as a guest or a device would; it is taken in when KVM next looks. */
static void init_vcpu(struct kvm_vcpu *vcpu)
{
	struct kvm_msi msi = {
		.address_lo = 0xfee00000 | vcpu->id << 12,
		.data = APIC_DM_INIT | APIC_INT_ASSERT,
	};
	struct kvm_mp_state state;

	TEST_ASSERT(__vm_ioctl(vcpu->vm, KVM_SIGNAL_MSI, &msi) == 1, "INIT was not sent");
	vcpu_mp_state_get(vcpu, &state);
	TEST_ASSERT_EQ(state.mp_state, vcpu->id ? KVM_MP_STATE_INIT_RECEIVED :
						 KVM_MP_STATE_RUNNABLE);
}

static uint64_t run_to_ucall(struct kvm_vcpu *vcpu)
{
	struct ucall uc = { };

	vcpu_run(vcpu);
	get_ucall(vcpu, &uc);
	if (uc.cmd == UCALL_ABORT)
		ksft_print_msg("line %ld: %s\n", uc.args[GUEST_LINE], uc.buffer);
	return uc.cmd;
}

static struct kvm_vm *create(bool legacy, struct kvm_vcpu *vcpus[])
{
	const struct sev_ghcb_config config = {
		.legacy_init = legacy,
		.init = { .ghcb_version = 2 },
	};
	struct kvm_vm *vm;

	vm = vm_sev_ghcb_create(&config, NR_VCPUS, guest_code, vcpus);
	vm_install_exception_handler(vm, GP_VECTOR, gp_handler);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);
	return vm;
}

/* SREGS of a legacy VM show some of what KVM knows. */
static bool sregs_kept(struct kvm_vcpu *vcpu)
{
	struct kvm_sregs before, after;

	vcpu_sregs_get(vcpu, &before);
	init_vcpu(vcpu);
	vcpu_sregs_get(vcpu, &after);
	if (before.cr0 == after.cr0 && before.cr4 == after.cr4 &&
	    before.efer == after.efer && before.cr0 & X86_CR0_PG)
		return true;

	ksft_print_msg("vCPU %u: CR0 %llx, CR4 %llx, EFER %llx; after INIT %llx, %llx, %llx\n",
		       vcpu->id, before.cr0, before.cr4, before.efer, after.cr0,
		       after.cr4, after.efer);
	return false;
}

static void get_record(struct kvm_vcpu *vcpu, struct sev_vcpu_record *rec)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_SEV_CTRL,
		.attr = KVM_VCPU_SEV_RECORD,
		.addr = (uintptr_t)rec,
	};

	rec->size = sizeof(*rec);
	vcpu_ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attr);
}

static bool record_kept(struct kvm_vcpu *vcpu)
{
	struct sev_vcpu_record before = { }, after = { };

	get_record(vcpu, &before);
	init_vcpu(vcpu);
	get_record(vcpu, &after);
	return before.cr0 & X86_CR0_PG && !memcmp(&before, &after, sizeof(before));
}

/* vCPU 0 goes on as if nothing had happened; the other waits for a SIPI. */
static bool test(bool legacy, bool (*kept)(struct kvm_vcpu *vcpu))
{
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct kvm_vm *vm;
	bool good;

	vm = create(legacy, vcpus);
	TEST_ASSERT_EQ(run_to_ucall(vcpus[0]), UCALL_SYNC);
	good = kept(vcpus[0]) && kept(vcpus[1]);
	if (good)
		good = run_to_ucall(vcpus[0]) == UCALL_DONE;
	kvm_vm_free(vm);
	return good;
}

int main(int argc, char *argv[])
{
	bool sregs = argc > 1 && !strcmp(argv[1], "sregs");

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	ksft_print_header();
	ksft_set_plan(sregs ? 1 : 3);
	ksft_test_result(test(true, sregs_kept), "legacy_sregs\n");
	if (!sregs) {
		ksft_test_result(test(true, record_kept), "legacy_record\n");
		ksft_test_result(test(false, record_kept), "typed_record\n");
	}
	ksft_finished();
}
