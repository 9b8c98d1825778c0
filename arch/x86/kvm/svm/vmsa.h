/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Encrypted vCPU state: what KVM knows of it, and its way to another host.
 *
 *   vmsa.c           the record of what KVM knows
 *   sev_transport.c  the commands that move VMSA and record
 */
#ifndef __KVM_X86_SVM_VMSA_H
#define __KVM_X86_SVM_VMSA_H

#include <linux/kvm_types.h>

#include <uapi/linux/sev-vcpu-record.h>

struct kvm_sev_cmd;

/*
 * vmsa.c.  All of them are called with vcpu->mutex held.  A record that passed
 * the check can be set; setting it does not fail.
 */
void sev_vcpu_record_get(struct kvm_vcpu *vcpu, struct sev_vcpu_record *rec);
int sev_vcpu_record_check(struct kvm_vcpu *vcpu, const struct sev_vcpu_record *rec);
void sev_vcpu_record_set(struct kvm_vcpu *vcpu, const struct sev_vcpu_record *rec);

/* sev_transport.c, called with kvm->lock held */
int sev_send_update_vmsa(struct kvm *kvm, struct kvm_sev_cmd *argp);
int sev_receive_update_vmsa(struct kvm *kvm, struct kvm_sev_cmd *argp);

#endif /* __KVM_X86_SVM_VMSA_H */
