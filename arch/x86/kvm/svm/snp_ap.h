/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SNP AP creation: a guest gives its vCPUs VMSAs, and takes them away.
 *
 *   snp_ap_state.c  which VMSA a vCPU has, and what may become of it
 *   snp_ap.c        the guest's requests, the vCPUs' part, and the pages
 *
 * The request itself, sev_snp_ap_creation(), is in ghcb.h with all others.
 */
#ifndef __KVM_X86_SVM_SNP_AP_H
#define __KVM_X86_SVM_SNP_AP_H

#include <linux/kvm_types.h>

struct vcpu_svm;

void sev_snp_ap_vm_init(struct kvm *kvm);
void sev_snp_ap_vcpu_init(struct vcpu_svm *svm);

/*
 * The vCPU's part, by whoever holds vcpu->mutex: the launch has encrypted KVM's
 * page; a request has to be taken over.
 */
void sev_snp_ap_launched(struct vcpu_svm *svm);
void sev_snp_update_protected_guest_state(struct kvm_vcpu *vcpu);

/* Private memory goes away, with mmu_lock held for write. */
void sev_snp_private_range_gone(struct kvm *kvm, gfn_t start, gfn_t end);

/* ... and what the rest of SVM calls for any vCPU, likewise. */
#ifdef CONFIG_KVM_AMD_SEV
void sev_snp_init_protected_guest_state(struct kvm_vcpu *vcpu);
bool sev_snp_init_signal_blocked(struct kvm_vcpu *vcpu);
void sev_snp_ap_pre_run(struct kvm_vcpu *vcpu);
void sev_snp_ap_learn_mode(struct vcpu_svm *svm);
#else
static inline void sev_snp_init_protected_guest_state(struct kvm_vcpu *vcpu) {}
static inline bool sev_snp_init_signal_blocked(struct kvm_vcpu *vcpu) { return false; }
static inline void sev_snp_ap_pre_run(struct kvm_vcpu *vcpu) {}
static inline void sev_snp_ap_learn_mode(struct vcpu_svm *svm) {}
#endif

#endif /* __KVM_X86_SVM_SNP_AP_H */
