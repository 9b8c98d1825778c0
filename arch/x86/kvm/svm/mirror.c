// SPDX-License-Identifier: GPL-2.0-only
/*
 * Encryption contexts that VMs share or hand on: KVM_CAP_VM_COPY_ENC_CONTEXT_FROM
 * makes a mirror, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM an heir.  See mirror.h for
 * what a mirror is, and for the locks.
 *
 * Both calls lock, check, and then do what cannot fail.  Nothing is undone but
 * locks.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/file.h>
#include <linux/kvm_host.h>
#include <linux/lockdep.h>
#include <linux/slab.h>

#include "cpuid.h"
#include "ghcb.h"
#include "mirror.h"
#include "mmu.h"
#include "svm.h"
#include "x86.h"

/*
 * The context.
 */
struct sev_context *sev_context_alloc(void)
{
	struct sev_context *ctx = kzalloc(sizeof(*ctx), GFP_KERNEL_ACCOUNT);

	if (!ctx)
		return NULL;

	refcount_set(&ctx->users, 1);
	INIT_LIST_HEAD(&ctx->regions_list);
	return ctx;
}

void sev_context_put(struct sev_context *ctx)
{
	if (!refcount_dec_and_test(&ctx->users))
		return;

	sev_context_release(ctx);
	kfree(ctx);
}

/*
 * This is what makes a VM one with SEV, in whatever way it gets its context.
 * The VM takes over the caller's reference.
 */
void sev_context_attach(struct kvm *kvm, struct sev_context *ctx)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(kvm);

	lockdep_assert_held(&kvm->lock);

	sev->ctx = ctx;
	sev->active = true;
	sev->es_active = ctx->es;
	sev->snp_active = ctx->vmsa_features & SVM_SEV_FEAT_SNP_ACTIVE;
	sev->need_init = false;

	kvm_set_apicv_inhibit(kvm, APICV_INHIBIT_REASON_SEV);
}

/* The reference is the caller's.  SNP VMs keep their context. */
static struct sev_context *sev_context_detach(struct kvm *kvm)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(kvm);
	struct sev_context *ctx = sev->ctx;

	lockdep_assert_held(&kvm->lock);

	sev->es_active = false;
	sev->active = false;
	sev->mirror = false;
	sev->ctx = NULL;
	return ctx;
}

/*
 * The locks of two VMs.
 */
static bool sev_mirror_claim(struct kvm *kvm)
{
	return !atomic_cmpxchg_acquire(&to_kvm_sev_info(kvm)->migration_in_progress, 0, 1);
}

static void sev_mirror_unclaim(struct kvm *kvm)
{
	atomic_set_release(&to_kvm_sev_info(kvm)->migration_in_progress, 0);
}

/*
 * There is no order between VMs in which to lock them.  Who finds one of them
 * claimed by another call gives up before it waits for anything.
 */
static int sev_mirror_lock_vms(struct kvm *dst, struct kvm *src)
{
	int ret = -EBUSY;

	if (dst == src)
		return -EINVAL;

	if (!sev_mirror_claim(dst))
		return ret;
	if (!sev_mirror_claim(src))
		goto unclaim_dst;

	ret = -EINTR;
	if (mutex_lock_killable(&dst->lock))
		goto unclaim_src;
	if (mutex_lock_killable_nested(&src->lock, SINGLE_DEPTH_NESTING))
		goto unlock_dst;
	return 0;

unlock_dst:
	mutex_unlock(&dst->lock);
unclaim_src:
	sev_mirror_unclaim(src);
unclaim_dst:
	sev_mirror_unclaim(dst);
	return ret;
}

static void sev_mirror_unlock_vms(struct kvm *dst, struct kvm *src)
{
	mutex_unlock(&src->lock);
	mutex_unlock(&dst->lock);
	sev_mirror_unclaim(src);
	sev_mirror_unclaim(dst);
}

/*
 * Lockdep has neither subclasses nor room for the mutexes of all vCPUs.  It gets
 * to see that of the first vCPU of each VM; of the others it sees that they are
 * taken, and given back, while that of the first is held.
 */
enum sev_mirror_subclass {
	SEV_MIRROR_DST,
	SEV_MIRROR_SRC,
	SEV_MIRROR_OTHERS,
};

static void sev_mirror_unlock_vcpus(struct kvm *kvm, unsigned long nr)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (i == nr)
			return;
		if (i)
			mutex_acquire(&vcpu->mutex.dep_map, SEV_MIRROR_OTHERS, 0, _THIS_IP_);
		mutex_unlock(&vcpu->mutex);
	}
}

static int sev_mirror_lock_vcpus(struct kvm *kvm, enum sev_mirror_subclass first)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	lockdep_assert_held(&kvm->lock);

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (mutex_lock_killable_nested(&vcpu->mutex, i ? SEV_MIRROR_OTHERS : first)) {
			sev_mirror_unlock_vcpus(kvm, i);
			return -EINTR;
		}
		if (i)
			mutex_release(&vcpu->mutex.dep_map, _THIS_IP_);
	}
	return 0;
}

/* For what lockdep does not know of. */
static void sev_mirror_assert_vcpu_locked(struct kvm_vcpu *vcpu)
{
	WARN_ON_ONCE(IS_ENABLED(CONFIG_PROVE_LOCKING) && !mutex_is_locked(&vcpu->mutex));
}

/*
 * Copy: one more user of the context.
 */
static int sev_mirror_check_copy(struct kvm *dst, struct kvm *src)
{
	lockdep_assert_held(&dst->lock);
	lockdep_assert_held(&src->lock);

	/* vCPUs are set up for SEV when they are created. */
	if (sev_guest(dst) || dst->created_vcpus)
		return -EINVAL;

	/*
	 * A mirror of a mirror would be one more of the same context, at which
	 * there is no point.  SNP binds memory to one VM's guest addresses.
	 */
	if (!sev_guest(src) || sev_snp_guest(src) || sev_is_mirror(src))
		return -EINVAL;

	if (dst->arch.vm_type != src->arch.vm_type)
		return -EINVAL;

	/*
	 * Before LAUNCH_START or RECEIVE_START the firmware has no context that
	 * could be used, and a mirror must not be asked to make one.
	 */
	return to_kvm_sev_info(src)->ctx->handle ? 0 : -EINVAL;
}

/* The jump table stays behind: it is an address in the source's memory. */
static void sev_mirror_share(struct kvm *dst, struct kvm *src)
{
	struct sev_context *ctx = to_kvm_sev_info(src)->ctx;

	refcount_inc(&ctx->users);
	to_kvm_sev_info(dst)->mirror = true;
	sev_context_attach(dst, ctx);
}

static int sev_mirror_copy(struct kvm *dst, struct kvm *src)
{
	int ret = sev_mirror_lock_vms(dst, src);

	if (ret)
		return ret;

	ret = sev_mirror_check_copy(dst, src);
	if (!ret)
		sev_mirror_share(dst, src);

	sev_mirror_unlock_vms(dst, src);
	return ret;
}

/*
 * Move: another user in place of the source.
 */
static int sev_mirror_check_move(struct kvm *dst, struct kvm *src)
{
	lockdep_assert_held(&dst->lock);
	lockdep_assert_held(&src->lock);

	if (dst->arch.vm_type != src->arch.vm_type || sev_guest(dst) ||
	    !sev_guest(src) || sev_snp_guest(src))
		return -EINVAL;

	/* No vCPU is created while kvm->lock is held, but may be half way. */
	if (kvm_is_vcpu_creation_in_progress(dst) ||
	    kvm_is_vcpu_creation_in_progress(src))
		return -EBUSY;

	if (sev_es_guest(src) &&
	    atomic_read(&dst->online_vcpus) != atomic_read(&src->online_vcpus))
		return -EINVAL;

	return 0;
}

static int sev_mirror_check_dst_vcpu(struct kvm_vcpu *dst, bool es)
{
	sev_mirror_assert_vcpu_locked(dst);

	/* The VMCB that is in use would be that of the nested guest. */
	if (is_guest_mode(dst))
		return -EINVAL;

	/* KVM cannot debug a guest whose registers are encrypted. */
	return es && dst->guest_debug ? -EINVAL : 0;
}

static int sev_mirror_check_src_vcpu(struct kvm_vcpu *src)
{
	struct vmgexit *v = to_svm(src)->vmgexit;

	sev_mirror_assert_vcpu_locked(src);

	if (!src->arch.guest_state_protected)
		return -EINVAL;

	/*
	 * What completes a VMGEXIT after an exit to userspace stays with the
	 * source.  The guest would take what is in its GHCB for the answer.
	 */
	return v && v->in_flight ? -EBUSY : 0;
}

static int sev_mirror_check_vcpus(struct kvm *dst, struct kvm *src)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;
	int ret = 0;

	kvm_for_each_vcpu(i, vcpu, dst) {
		ret = sev_mirror_check_dst_vcpu(vcpu, sev_es_guest(src));
		if (ret)
			return ret;
	}

	if (!sev_es_guest(src))
		return 0;

	kvm_for_each_vcpu(i, vcpu, src) {
		ret = sev_mirror_check_src_vcpu(vcpu);
		if (ret)
			return ret;
	}
	return 0;
}

/*
 * The encrypted registers, and where the vCPU is in the GHCB protocol.  What is
 * SNP's has never been anything but what vCPU creation made it.
 */
static void sev_mirror_move_vmsa(struct vcpu_svm *dst, struct vcpu_svm *src)
{
	dst->sev_es.vmsa = src->sev_es.vmsa;
	dst->sev_es.received_first_sipi = src->sev_es.received_first_sipi;
	dst->sev_es.ap_reset_hold_type = src->sev_es.ap_reset_hold_type;
	dst->sev_es.ghcb_registered_gpa = src->sev_es.ghcb_registered_gpa;
	dst->vmcb->control.ghcb_gpa = src->vmcb->control.ghcb_gpa;
	dst->vmcb->control.vmsa_pa = src->vmcb->control.vmsa_pa;
	sev_es_protect_vcpu(&dst->vcpu);

	src->sev_es.vmsa = NULL;
	src->vmcb->control.ghcb_gpa = INVALID_PAGE;
	src->vmcb->control.vmsa_pa = INVALID_PAGE;
	src->vcpu.arch.guest_state_protected = false;
}

/*
 * What KVM knows of the encrypted registers.  It cannot read them: it learns of
 * changes as they happen, so that nothing would ever mend a stale copy.  NMIs
 * are masked until the guest says otherwise, which it will do only once.
 *
 * The MMU and the APIC may rely on that the vCPU is loaded.
 */
static void sev_mirror_move_tracked(struct kvm_vcpu *dst, struct kvm_vcpu *src)
{
	vcpu_load(dst);

	dst->arch.cr0 = src->arch.cr0;
	dst->arch.cr4 = src->arch.cr4;
	dst->arch.efer = src->arch.efer;
	dst->arch.dr7 = src->arch.dr7;
	/* DR0-3 are in the VMSA, too, or nobody's; what the vCPU had is gone. */
	dst->arch.switch_db_regs = 0;
	dst->arch.xcr0 = src->arch.xcr0;
	dst->arch.ia32_xss = src->arch.ia32_xss;
	kvm_set_cr8(dst, kvm_get_cr8(src));
	kvm_mmu_reset_context(dst);
	kvm_update_cpuid_runtime(dst);

	to_svm(dst)->vmcb->control.int_state = to_svm(src)->vmcb->control.int_state;
	svm_set_nmi_mask(dst, svm_get_nmi_mask(src));
	kvm_make_request(KVM_REQ_EVENT, dst);

	vcpu_put(dst);
}

/* A vCPU that was set up without SEV, and may have run, gets to be one with it. */
static void sev_mirror_convert_vcpu(struct kvm_vcpu *vcpu)
{
	sev_mirror_assert_vcpu_locked(vcpu);

	sev_init_vmcb(to_svm(vcpu));
	sev_vcpu_after_set_cpuid(to_svm(vcpu));
	vmcb_mark_all_dirty(to_svm(vcpu)->vmcb);

	/*
	 * The ASID is new to this vCPU, but what KVM remembers of the VMCB that
	 * ran with it last is no more than an address.  That may be this one's, if
	 * the other has been freed since.
	 */
	kvm_make_request(KVM_REQ_TLB_FLUSH, vcpu);
}

/* Without SEV-ES there may be any number of either; userspace moves the state. */
static void sev_mirror_move_vcpus(struct kvm *dst, struct kvm *src)
{
	struct kvm_vcpu *vcpu, *src_vcpu;
	unsigned long i;

	kvm_for_each_vcpu(i, vcpu, dst) {
		sev_mirror_convert_vcpu(vcpu);
		if (!sev_es_guest(dst))
			continue;

		src_vcpu = kvm_get_vcpu(src, i);
		sev_mirror_move_vmsa(to_svm(vcpu), to_svm(src_vcpu));
		sev_mirror_move_tracked(vcpu, src_vcpu);
	}
}

/* The source is dead, and its guest lives on in the destination. */
static void sev_mirror_inherit(struct kvm *dst, struct kvm *src)
{
	to_kvm_sev_info(dst)->mirror = sev_is_mirror(src);
	to_kvm_sev_info(dst)->ap_jump_table = to_kvm_sev_info(src)->ap_jump_table;
	sev_context_attach(dst, sev_context_detach(src));
	sev_mirror_move_vcpus(dst, src);
	kvm_vm_dead(src);
}

/*
 * The ASID is charged to where its owner is; a mirror that moves is not.  Last
 * of all that can fail, as it would have to be undone.
 */
static int sev_mirror_move_locked(struct kvm *dst, struct kvm *src)
{
	int ret = sev_mirror_check_vcpus(dst, src);

	if (!ret && !sev_is_mirror(src))
		ret = sev_context_recharge(to_kvm_sev_info(src)->ctx);
	if (!ret)
		sev_mirror_inherit(dst, src);
	return ret;
}

static int sev_mirror_move(struct kvm *dst, struct kvm *src)
{
	int ret = sev_mirror_lock_vms(dst, src);

	if (ret)
		return ret;

	ret = sev_mirror_check_move(dst, src);
	if (ret)
		goto unlock_vms;

	ret = sev_mirror_lock_vcpus(dst, SEV_MIRROR_DST);
	if (ret)
		goto unlock_vms;

	ret = sev_mirror_lock_vcpus(src, SEV_MIRROR_SRC);
	if (!ret) {
		ret = sev_mirror_move_locked(dst, src);
		sev_mirror_unlock_vcpus(src, ULONG_MAX);
	}
	sev_mirror_unlock_vcpus(dst, ULONG_MAX);
unlock_vms:
	sev_mirror_unlock_vms(dst, src);
	return ret;
}

/*
 * The capabilities.
 */
static int sev_mirror_with_fd(struct kvm *kvm, unsigned int fd,
			      int (*call)(struct kvm *dst, struct kvm *src))
{
	CLASS(fd, f)(fd);

	if (fd_empty(f) || !file_is_kvm(fd_file(f)))
		return -EBADF;

	return call(kvm, fd_file(f)->private_data);
}

int sev_vm_copy_enc_context_from(struct kvm *kvm, unsigned int source_fd)
{
	return sev_mirror_with_fd(kvm, source_fd, sev_mirror_copy);
}

int sev_vm_move_enc_context_from(struct kvm *kvm, unsigned int source_fd)
{
	return sev_mirror_with_fd(kvm, source_fd, sev_mirror_move);
}
