// SPDX-License-Identifier: GPL-2.0
/*
 * VMGEXIT: the protocol that needs no page, only the GHCB MSR.
 *
 * The guest writes a request code and data, and finds the answer in the same
 * place.  What KVM does not know it leaves as it is, for the guest to see that
 * there is no answer.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitfield.h>
#include <linux/kvm_host.h>

#include "cpuid.h"
#include "svm.h"
#include "ghcb.h"
#include "trace.h"
#include "x86.h"

static void answer(struct kvm_vcpu *vcpu, u64 msr)
{
	to_svm(vcpu)->vmcb->control.ghcb_gpa = msr;
}

static u64 sev_info(struct kvm *kvm)
{
	return GHCB_MSR_SEV_INFO((u64)sev_ghcb_version(kvm),
				 GHCB_VERSION_MIN, sev_enc_bit);
}

/* Leaf 0xD, which depends on XCR0, cannot be had in full this way. */
static u64 msr_cpuid(struct kvm_vcpu *vcpu, u64 request)
{
	u32 regs[4] = { FIELD_GET(GHCB_MSR_CPUID_FUNCTION, request) };
	u64 which = request & GHCB_MSR_CPUID_REGISTER;

	kvm_cpuid(vcpu, &regs[0], &regs[1], &regs[2], &regs[3], false);

	return FIELD_PREP(GHCB_MSR_CPUID_RESULT,
			  regs[FIELD_GET(GHCB_MSR_CPUID_REGISTER, which)]) |
	       which | GHCB_MSR_CPUID_RESP;
}

static int msr_ap_reset_hold(struct kvm_vcpu *vcpu)
{
	to_svm(vcpu)->sev_es.ap_reset_hold_type = AP_RESET_HOLD_MSR_PROTO;

	/* The answer of a hold that ends without a SIPI. */
	answer(vcpu, GHCB_MSR_AP_RESET_HOLD_RESP);
	return kvm_emulate_ap_reset_hold(vcpu);
}

static int msr_register_gpa(struct kvm_vcpu *vcpu, u64 request)
{
	to_svm(vcpu)->sev_es.ghcb_registered_gpa = request & GHCB_MSR_DATA;

	answer(vcpu, (request & GHCB_MSR_DATA) | GHCB_MSR_REG_GPA_RESP);
	return 1;
}

/* To userspace, never to come back. */
int sev_exit_termination(struct kvm_vcpu *vcpu)
{
	vcpu->run->exit_reason = KVM_EXIT_SYSTEM_EVENT;
	vcpu->run->system_event.type = KVM_SYSTEM_EVENT_SEV_TERM;
	vcpu->run->system_event.ndata = 1;
	vcpu->run->system_event.data[0] = to_svm(vcpu)->vmcb->control.ghcb_gpa;
	return 0;
}

static int msr_terminate(struct kvm_vcpu *vcpu, u64 request)
{
	pr_info("SEV-ES guest requested termination: %#llx:%#llx\n",
		(request >> GHCB_MSR_TERM_REASON_SET_POS) &
		GHCB_MSR_TERM_REASON_SET_MASK,
		(request >> GHCB_MSR_TERM_REASON_POS) &
		GHCB_MSR_TERM_REASON_MASK);
	return sev_exit_termination(vcpu);
}

static int handle_snp_request(struct kvm_vcpu *vcpu, u64 request)
{
	/* Whoever asks for these believes to be something else. */
	if (!sev_snp_guest(vcpu->kvm))
		return sev_exit_termination(vcpu);

	switch (request & GHCB_MSR_INFO_MASK) {
	case GHCB_MSR_PREF_GPA_REQ:
		answer(vcpu, GHCB_MSR_DATA | GHCB_MSR_PREF_GPA_RESP);
		return 1;
	case GHCB_MSR_REG_GPA_REQ:
		return msr_register_gpa(vcpu, request);
	default:
		return snp_psc_msr(vcpu, request);
	}
}

static int handle_request(struct kvm_vcpu *vcpu, u64 request)
{
	switch (request & GHCB_MSR_INFO_MASK) {
	case GHCB_MSR_SEV_INFO_REQ:
		answer(vcpu, sev_info(vcpu->kvm));
		return 1;
	case GHCB_MSR_CPUID_REQ:
		answer(vcpu, msr_cpuid(vcpu, request));
		return 1;
	case GHCB_MSR_AP_RESET_HOLD_REQ:
		return msr_ap_reset_hold(vcpu);
	case GHCB_MSR_HV_FT_REQ:
		answer(vcpu, GHCB_HV_FT_SUPPORTED << GHCB_MSR_HV_FT_POS |
			     GHCB_MSR_HV_FT_RESP);
		return 1;
	case GHCB_MSR_PREF_GPA_REQ:
	case GHCB_MSR_REG_GPA_REQ:
	case GHCB_MSR_PSC_REQ:
		return handle_snp_request(vcpu, request);
	case GHCB_MSR_TERM_REQ:
		return msr_terminate(vcpu, request);
	default:
		return 1;
	}
}

int sev_handle_vmgexit_msr(struct kvm_vcpu *vcpu)
{
	struct vmcb_control_area *control = &to_svm(vcpu)->vmcb->control;
	int r;

	trace_kvm_vmgexit_msr_protocol_enter(vcpu->vcpu_id, control->ghcb_gpa);
	r = handle_request(vcpu, control->ghcb_gpa);
	trace_kvm_vmgexit_msr_protocol_exit(vcpu->vcpu_id, control->ghcb_gpa, r);

	return r;
}

/* The value that the specification gives the MSR at RESET. */
void sev_ghcb_msr_reset(struct vcpu_svm *svm)
{
	answer(&svm->vcpu, sev_info(svm->vcpu.kvm));
}

/* A SIPI ends a hold: any data but 0 says so. */
void sev_ghcb_msr_sipi(struct vcpu_svm *svm)
{
	answer(&svm->vcpu, BIT_ULL(GHCB_MSR_AP_RESET_HOLD_RESULT_POS) |
			   GHCB_MSR_AP_RESET_HOLD_RESP);
}
