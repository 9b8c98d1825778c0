/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Encryption contexts that VMs share or hand on.
 *
 * A mirror is a VM that runs in the encryption context of another VM, to read
 * or write what that VM's guest has encrypted.  It has nothing to do with the
 * mirrored page tables of the MMU.
 *
 * A VM holds a reference to its context and knows of no other VM.  Who goes
 * last, takes the context along: sev_context_put().
 *
 *   kvm_sev_info       written under kvm->lock; ->ctx, too, under the mutexes
 *                      of all vCPUs, so that either is enough to read it
 *   ->active etc.      what the context says, for those who have no lock; they
 *                      may read it any time, e.g. in MMU notifiers
 *   sev_context        asid, es, features and version never change once a VM
 *                      has the context
 *     handle, file     set by the owner's launch, under its kvm->lock, before
 *                      there can be a mirror
 *     regions_list,    the owner's: under its kvm->lock.  The owner is the VM
 *     misc_cg          that is no mirror; there is one, or none any more
 *     pages_locked     atomic, as mirrors pin memory for DBG commands
 *
 * Lock order: kvm->lock of the destination, kvm->lock of the source, mutexes of
 * the destination's vCPUs, of the source's vCPUs.  Two calls cannot meet head
 * on, see sev_mirror_lock_vms().
 */
#ifndef __KVM_X86_SVM_MIRROR_H
#define __KVM_X86_SVM_MIRROR_H

#include "svm.h"

static inline bool sev_is_mirror(struct kvm *kvm)
{
	return to_kvm_sev_info(kvm)->mirror;
}

/* mirror.c */
struct sev_context *sev_context_alloc(void);
void sev_context_attach(struct kvm *kvm, struct sev_context *ctx);
void sev_context_put(struct sev_context *ctx);

/* sev.c */
void sev_context_release(struct sev_context *ctx);
int sev_context_recharge(struct sev_context *ctx);
void sev_es_protect_vcpu(struct kvm_vcpu *vcpu);

#endif /* __KVM_X86_SVM_MIRROR_H */
