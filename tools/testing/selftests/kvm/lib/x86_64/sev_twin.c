// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV VMs of each kind, and second VMs over the memory of a first.
 */
#include <errno.h>
#include <string.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "sev_twin.h"

const struct sev_vm_kind sev_vm_kinds[SEV_NR_VM_KINDS] = {
	{ "sev", KVM_X86_SEV_VM, false, 0 },
	{ "sev_legacy", KVM_X86_DEFAULT_VM, false, 0 },
	{ "sev_es", KVM_X86_SEV_ES_VM, true, SEV_POLICY_ES },
	{ "sev_es_legacy", KVM_X86_DEFAULT_VM, true, SEV_POLICY_ES },
};

const struct sev_vm_kind *sev_vm_kind(const char *name)
{
	int i;

	for (i = 0; i < SEV_NR_VM_KINDS; i++) {
		if (!strcmp(sev_vm_kinds[i].name, name))
			return &sev_vm_kinds[i];
	}

	TEST_FAIL("There are no %s VMs", name);
	return NULL;
}

static struct kvm_vm *vm_sev_create(const struct sev_vm_kind *kind, uint32_t nr_vcpus,
				    void *guest_code, struct kvm_vcpu *vcpus[])
{
	struct kvm_vm *vm = vm_create_barebones_type(kind->type);
	bool legacy = kind->type == KVM_X86_DEFAULT_VM;
	uint32_t i;

	if (legacy) {
		/* To KVM the type is that of a VM without encryption. */
		vm->arch.c_bit = BIT_ULL(this_cpu_property(X86_PROPERTY_SEV_C_BIT));
		vm->gpa_tag_mask = vm->arch.c_bit;
	}

	vm_populate(vm, nr_vcpus, nr_vcpus * 4);
	if (legacy)
		sev_vm_init(vm);

	for (i = 0; i < nr_vcpus; i++)
		vcpus[i] = vm_vcpu_add(vm, i, guest_code);

	return vm;
}

struct kvm_vm *vm_sev_kind_create(const struct sev_vm_kind *kind, uint64_t vmsa_features,
				  uint32_t nr_vcpus, void *guest_code,
				  struct kvm_vcpu *vcpus[])
{
	const struct sev_ghcb_config config = {
		.legacy_init = kind->type == KVM_X86_DEFAULT_VM,
		.init = { .vmsa_features = vmsa_features },
	};

	if (kind->es)
		return vm_sev_ghcb_create(&config, nr_vcpus, guest_code, vcpus);

	return vm_sev_create(kind, nr_vcpus, guest_code, vcpus);
}

void vm_sev_kind_finish(struct kvm_vm *vm)
{
	uint8_t measurement[256];

	sev_vm_launch_measure(vm, measurement);
	sev_vm_launch_finish(vm);
}

void vcpu_sev_twin_save(struct kvm_vcpu *vcpu, bool encrypted,
			struct sev_twin_state *state)
{
	memset(state, 0, sizeof(*state));
	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &state->lapic);
	if (encrypted)
		return;

	vcpu_regs_get(vcpu, &state->regs);
	vcpu_sregs_get(vcpu, &state->sregs);
	vcpu_fpu_get(vcpu, &state->fpu);
}

void vcpu_sev_twin_load(struct kvm_vcpu *vcpu, bool encrypted,
			const struct sev_twin_state *state)
{
	if (!encrypted) {
		vcpu_sregs_set(vcpu, (struct kvm_sregs *)&state->sregs);
		vcpu_regs_set(vcpu, (struct kvm_regs *)&state->regs);
		vcpu_fpu_set(vcpu, (struct kvm_fpu *)&state->fpu);
	}

	vcpu_ioctl(vcpu, KVM_SET_LAPIC, &state->lapic);
}

struct kvm_vm *vm_sev_twin_create(struct kvm_vm *vm, unsigned long type)
{
	struct kvm_vm *twin = vm_create_barebones_type(type);
	struct userspace_mem_region *region;
	int ctr;

	vm_create_irqchip(twin);

	/* Firmware commands go through any descriptor of the device. */
	if (twin->arch.sev_fd < 0)
		twin->arch.sev_fd = vm->arch.sev_fd;

	hash_for_each(vm->regions.slot_hash, ctr, region, slot_node)
		vm_set_user_memory_region(twin, region->region.slot, region->region.flags,
					  region->region.guest_phys_addr,
					  region->region.memory_size,
					  (void *)region->region.userspace_addr);

	return twin;
}

struct kvm_vcpu *vm_sev_twin_vcpu_add(struct kvm_vm *twin, uint32_t id)
{
	struct kvm_mp_state mp_state = { .mp_state = KVM_MP_STATE_RUNNABLE };
	struct kvm_vcpu *vcpu = __vm_vcpu_add(twin, id);

	vcpu_init_cpuid(vcpu, kvm_get_supported_cpuid());
	vcpu_mp_state_set(vcpu, &mp_state);
	return vcpu;
}

int vm_sev_copy_errno(struct kvm_vm *dst, struct kvm_vm *src)
{
	return __vm_enable_cap(dst, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, src->fd) ? errno : 0;
}

int vm_sev_move_errno(struct kvm_vm *dst, struct kvm_vm *src)
{
	return __vm_enable_cap(dst, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, src->fd) ? errno : 0;
}
