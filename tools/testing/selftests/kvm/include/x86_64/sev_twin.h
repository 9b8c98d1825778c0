/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SEV VMs of each kind, and second VMs over the memory of a first: its mirrors,
 * and the destinations of its encryption context.
 */
#ifndef SELFTEST_KVM_SEV_TWIN_H
#define SELFTEST_KVM_SEV_TWIN_H

#include <stdbool.h>
#include <stdint.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev.h"

struct sev_vm_kind {
	const char *name;
	unsigned long type;
	bool es;
	uint32_t policy;
};

/* SEV and SEV-ES, each with and without a VM type of its own. */
#define SEV_NR_VM_KINDS		4

extern const struct sev_vm_kind sev_vm_kinds[SEV_NR_VM_KINDS];

const struct sev_vm_kind *sev_vm_kind(const char *name);

/*
 * A VM that is not launched yet.  If it is one with SEV-ES, its vCPUs have a
 * GHCB, and @vmsa_features unless it is a legacy VM.
 */
struct kvm_vm *vm_sev_kind_create(const struct sev_vm_kind *kind, uint64_t vmsa_features,
				  uint32_t nr_vcpus, void *guest_code,
				  struct kvm_vcpu *vcpus[]);

/* The rest of the launch, after sev_vm_launch(). */
void vm_sev_kind_finish(struct kvm_vm *vm);

/*
 * Registers that userspace can read and write, unless they are encrypted, and
 * the local APIC.  To be saved before the launch for a mirror's vCPU.
 */
struct sev_twin_state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	struct kvm_lapic_state lapic;
};

void vcpu_sev_twin_save(struct kvm_vcpu *vcpu, bool encrypted,
			struct sev_twin_state *state);
void vcpu_sev_twin_load(struct kvm_vcpu *vcpu, bool encrypted,
			const struct sev_twin_state *state);

/*
 * A VM of @type with the memory of @vm but without vCPUs or encryption.  The
 * memory belongs to @vm, and only @vm can tell its addresses.
 */
struct kvm_vm *vm_sev_twin_create(struct kvm_vm *vm, unsigned long type);
struct kvm_vcpu *vm_sev_twin_vcpu_add(struct kvm_vm *twin, uint32_t id);

/* Copy or move the encryption context of @src to @dst: 0, or the errno. */
int vm_sev_copy_errno(struct kvm_vm *dst, struct kvm_vm *src);
int vm_sev_move_errno(struct kvm_vm *dst, struct kvm_vm *src);

#endif /* SELFTEST_KVM_SEV_TWIN_H */
