// SPDX-License-Identifier: GPL-2.0
/*
 * What KVM knows of a vCPU whose registers are encrypted, as a record.
 *
 * KVM learns it from write traps and from VMGEXIT, and decides by it.  A record
 * of another host may be anything, so it is checked as a whole before any of it
 * is believed: for itself, and against the vCPU's CPUID and the VM's features.
 * A lie in it that passes harms the guest that it is about, and nobody else.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/string.h>

#include <asm/fpu/xcr.h>

#include "cpuid.h"
#include "ghcb.h"
#include "mmu.h"
#include "svm.h"
#include "vmsa.h"
#include "x86.h"

/* The layout is an ABI between hosts. */
static_assert(sizeof(struct sev_vcpu_record) == 128);
static_assert(SEV_VCPU_HOLD_NONE == AP_RESET_HOLD_NONE);
static_assert(SEV_VCPU_HOLD_NAE_EVENT == AP_RESET_HOLD_NAE_EVENT);
static_assert(SEV_VCPU_HOLD_MSR_PROTOCOL == AP_RESET_HOLD_MSR_PROTO);

#define SEV_VCPU_FLAGS	SEV_VCPU_FIRST_SIPI

void sev_vcpu_record_get(struct kvm_vcpu *vcpu, struct sev_vcpu_record *rec)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(vcpu->kvm);
	struct vcpu_svm *svm = to_svm(vcpu);

	lockdep_assert_held(&vcpu->mutex);

	*rec = (struct sev_vcpu_record) {
		.version = SEV_VCPU_RECORD_VERSION,
		.size = sizeof(*rec),
		.flags = svm->sev_es.received_first_sipi ? SEV_VCPU_FIRST_SIPI : 0,
		.ap_reset_hold = svm->sev_es.ap_reset_hold_type,
		.sev_features = sev->ctx->vmsa_features,
		.efer = vcpu->arch.efer & ~EFER_SVME,
		.cr0 = kvm_read_cr0(vcpu),
		.cr4 = kvm_read_cr4(vcpu),
		.cr8 = kvm_get_cr8(vcpu),
		.dr7 = vcpu->arch.dr7,
		.xcr0 = vcpu->arch.xcr0,
		.xss = vcpu->arch.ia32_xss,
		.ghcb_msr = svm->vmcb->control.ghcb_gpa,
		.ap_jump_table = READ_ONCE(sev->ap_jump_table),
	};
}

/* What can be said without knowing the vCPU. */
static bool is_well_formed(const struct sev_vcpu_record *rec)
{
	return rec->version == SEV_VCPU_RECORD_VERSION &&
	       rec->size >= sizeof(*rec) &&
	       !(rec->flags & ~SEV_VCPU_FLAGS) &&
	       rec->ap_reset_hold <= SEV_VCPU_HOLD_MSR_PROTOCOL &&
	       !memchr_inv(rec->reserved, 0, sizeof(rec->reserved));
}

static bool control_regs_ok(struct kvm_vcpu *vcpu,
			    const struct sev_vcpu_record *rec)
{
	struct kvm_sregs sregs = {
		.cr0 = rec->cr0,
		.cr4 = rec->cr4,
		.efer = rec->efer,
	};

	return !(rec->efer & EFER_SVME) && !(rec->cr8 & CR8_RESERVED_BITS) &&
	       kvm_is_valid_sregs(vcpu, &sregs);
}

static bool debug_regs_ok(const struct sev_vcpu_record *rec)
{
	return kvm_dr7_valid(rec->dr7) &&
	       rec->dr7 == ((rec->dr7 & DR7_VOLATILE) | DR7_FIXED_1);
}

static bool xfeatures_ok(struct kvm_vcpu *vcpu, const struct sev_vcpu_record *rec)
{
	return !kvm_check_xcr(vcpu, XCR_XFEATURE_ENABLED_MASK, rec->xcr0) &&
	       !(rec->xss & ~kvm_caps.supported_xss);
}

/*
 * A GHCB that is not in guest memory has its answer when it is used, as has a
 * request that the guest has made up; but an address has to be one, and who was
 * asked for a hold through the GHCB has one.
 */
static bool ghcb_msr_ok(struct kvm_vcpu *vcpu, const struct sev_vcpu_record *rec)
{
	bool has_page = rec->ghcb_msr && !(rec->ghcb_msr & GHCB_MSR_INFO_MASK);

	if (rec->ap_reset_hold == SEV_VCPU_HOLD_NAE_EVENT && !has_page)
		return false;

	return !has_page || kvm_vcpu_is_legal_gpa(vcpu, rec->ghcb_msr);
}

/* The jump table is the VM's: vCPUs that come one by one have to agree. */
static bool vm_ok(struct kvm *kvm, const struct sev_vcpu_record *rec)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(kvm);

	return rec->sev_features == sev->ctx->vmsa_features &&
	       (!sev->ap_jump_table || rec->ap_jump_table == sev->ap_jump_table);
}

int sev_vcpu_record_check(struct kvm_vcpu *vcpu, const struct sev_vcpu_record *rec)
{
	lockdep_assert_held(&vcpu->mutex);

	if (!is_well_formed(rec) || !vm_ok(vcpu->kvm, rec) ||
	    !control_regs_ok(vcpu, rec) || !debug_regs_ok(rec) ||
	    !xfeatures_ok(vcpu, rec) || !ghcb_msr_ok(vcpu, rec))
		return -EINVAL;

	return 0;
}

/* As if the guest had written each of the registers, but without the traps. */
static void set_control_regs(struct kvm_vcpu *vcpu,
			     const struct sev_vcpu_record *rec)
{
	/* This fails for want of memory for nested VMs, which SVME would need. */
	svm_set_efer(vcpu, rec->efer);
	svm_set_cr0(vcpu, rec->cr0);
	svm_set_cr4(vcpu, rec->cr4);
	kvm_set_cr8(vcpu, rec->cr8);
	kvm_mmu_reset_context(vcpu);
}

void sev_vcpu_record_set(struct kvm_vcpu *vcpu, const struct sev_vcpu_record *rec)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(vcpu->kvm);
	struct vcpu_svm *svm = to_svm(vcpu);

	lockdep_assert_held(&vcpu->mutex);

	set_control_regs(vcpu, rec);
	vcpu->arch.dr7 = rec->dr7;
	/* DR0-3 are in the VMSA, too, or nobody's; userspace's are gone. */
	vcpu->arch.switch_db_regs = 0;
	vcpu->arch.xcr0 = rec->xcr0;
	vcpu->arch.ia32_xss = rec->xss;
	kvm_update_cpuid_runtime(vcpu);

	svm->vmcb->control.ghcb_gpa = rec->ghcb_msr;
	svm->sev_es.ap_reset_hold_type = rec->ap_reset_hold;
	svm->sev_es.received_first_sipi = rec->flags & SEV_VCPU_FIRST_SIPI;
	WRITE_ONCE(sev->ap_jump_table, rec->ap_jump_table);
}
