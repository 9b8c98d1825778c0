// SPDX-License-Identifier: GPL-2.0
/*
 * SNP AP creation: the guest's requests, the vCPUs' part, and the pages.
 *
 * A request is made by one vCPU, and is about another, which may be in the
 * guest, in userspace, or busy with a request about the first.  So neither waits
 * for the other's thread.  The one that asks changes the target's struct snp_ap,
 * which is all that the guest can tell by the answer; what belongs to the
 * target's thread, the VMCB and mp_state among it, follows when that thread takes
 * the change over, be it KVM_RUN or an ioctl that looks at mp_state.  In between
 * the target cannot be in the guest: KVM_REQ_UPDATE_PROTECTED_GUEST_STATE makes
 * it leave, and whoever makes that request waits for it; to get in again it has
 * to take the change over first, for which it needs the lock.
 *
 * A page is the guest's, and guest_memfd's to take away.  It is looked up with
 * guest_memfd's invalidations held off.  Once it is a VMSA, they come here before
 * the page goes, and the vCPU leaves the guest as for a request.
 *
 * The target may also be in the middle of a VMGEXIT.  Its reply goes to a page that
 * is the guest's again as soon as the request is answered: so there is none any
 * more.  What the event was to do may still happen: in userspace, or by the
 * firmware, where nobody knows what has become of the vCPU.
 *
 * Locks, outermost first:
 *
 *   vcpu->mutex		of the vCPU that asks, or of that in whose
 *   kvm->srcu			name this is called, never both
 *     sev->snp_ap_lock		struct snp_ap of all of the VM's vCPUs
 *       invalidate_lock	of a guest_memfd, shared
 *         kvm->mmu_lock	for write: struct snp_ap is written with
 *				both held, and read with either.  Only a page
 *				that goes away turns LIVE into LOST with this
 *				one alone.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/fs.h>
#include <linux/kvm_host.h>

#include <asm/sev.h>

#include "ghcb.h"
#include "lapic.h"
#include "mirror.h"
#include "mmu.h"
#include "snp_ap.h"
#include "svm.h"
#include "x86.h"

static struct mutex *ap_lock(struct kvm *kvm)
{
	return &to_kvm_sev_info(kvm)->snp_ap_lock;
}

static struct snp_ap *vcpu_ap(struct kvm_vcpu *vcpu)
{
	return &to_svm(vcpu)->sev_es.snp_ap;
}

static void lock_aps(struct kvm *kvm)
	__acquires(&kvm->mmu_lock)
{
	lockdep_assert_held(ap_lock(kvm));

	write_lock(&kvm->mmu_lock);
}

static void unlock_aps(struct kvm *kvm)
	__releases(&kvm->mmu_lock)
{
	write_unlock(&kvm->mmu_lock);
}

void sev_snp_ap_vm_init(struct kvm *kvm)
{
	mutex_init(ap_lock(kvm));
}

/* Nobody else knows of the vCPU yet. */
void sev_snp_ap_vcpu_init(struct vcpu_svm *svm)
{
	snp_ap_reset(&svm->sev_es.snp_ap);
}

/*
 * Pages.
 */
struct held_page {
	hpa_t hpa;
	struct file *file;
};

static int check_rmp(kvm_pfn_t pfn)
{
	bool assigned;
	int level;

	if (snp_lookup_rmpentry(pfn, &assigned, &level) || !assigned)
		return -ENOENT;

	return 0;
}

/*
 * Find a page that is private memory of the guest's, and there.  It stays until
 * put_page_back(), as does everything else in that guest_memfd.
 */
static int hold_page(struct kvm *kvm, gfn_t gfn, struct held_page *page)
{
	struct kvm_memory_slot *slot = gfn_to_memslot(kvm, gfn);
	kvm_pfn_t pfn;
	int ret;

	lockdep_assert_held(ap_lock(kvm));

	if (!kvm_slot_can_be_private(slot) || slot->flags & KVM_MEMSLOT_INVALID ||
	    !kvm_mem_is_private(kvm, gfn))
		return -ENOENT;

	ret = kvm_gmem_lock_pfn(slot, gfn, &pfn, &page->file);
	if (ret)
		return ret;

	ret = check_rmp(pfn);
	if (ret) {
		kvm_gmem_unlock_pfn(page->file);
		return ret;
	}

	page->hpa = pfn_to_hpa(pfn);
	return 0;
}

static void put_page_back(struct held_page *page)
{
	kvm_gmem_unlock_pfn(page->file);
}

/* The vCPU's VMSA may be there again, or for the first time. */
static void find_lost(struct kvm_vcpu *vcpu)
{
	struct snp_ap *ap = vcpu_ap(vcpu);
	struct kvm *kvm = vcpu->kvm;
	struct held_page page;

	lockdep_assert_held(ap_lock(kvm));

	if (ap->state != SNP_AP_LOST || hold_page(kvm, ap->gfn, &page))
		return;

	lock_aps(kvm);
	snp_ap_find(ap, page.hpa);
	unlock_aps(kvm);
	put_page_back(&page);
}

/*
 * The vCPU's own pages are not those of another: pages that are in use by
 * hardware cannot be shared.
 */
static bool is_taken(struct kvm_vcpu *target, gfn_t gfn)
{
	struct kvm_vcpu *vcpu;
	unsigned long i;

	lockdep_assert_held(ap_lock(target->kvm));

	kvm_for_each_vcpu(i, vcpu, target->kvm) {
		if (vcpu != target && snp_ap_has(vcpu_ap(vcpu), gfn))
			return true;
	}
	return false;
}

/*
 * The guest's requests.
 */

/*
 * Upon return the target is not in the guest, and its VMSA not in use.  It does
 * not enter again before it has taken over what follows, by ap_lock().
 *
 * To wait for the target's CPU is safe: a vCPU in the guest holds no lock, and
 * one that waits for a lock is not in the guest.
 */
static void leave_guest(struct kvm_vcpu *target)
{
	DECLARE_BITMAP(mask, KVM_MAX_VCPUS) = {};

	lockdep_assert_held(ap_lock(target->kvm));

	__set_bit(target->vcpu_idx, mask);
	kvm_make_vcpus_request_mask(target->kvm,
				    KVM_REQ_UPDATE_PROTECTED_GUEST_STATE, mask);
}

/* What the target's LAPIC has got before the request, the request overrides. */
static void forget_init_sipi(struct kvm_vcpu *target)
{
	struct kvm_lapic *apic = target->arch.apic;

	if (!lapic_in_kernel(target))
		return;

	clear_bit(KVM_APIC_INIT, &apic->pending_events);
	clear_bit(KVM_APIC_SIPI, &apic->pending_events);
}

/* Upon return the target, wherever its thread is, does nothing that the guest sees. */
static void stop(struct kvm_vcpu *target)
{
	leave_guest(target);
	sev_vmgexit_disown(to_svm(target));
	forget_init_sipi(target);
}

static int do_create(struct kvm_vcpu *target, const struct snp_ap_req *req)
{
	struct kvm *kvm = target->kvm;
	struct held_page page;
	int ret;

	ret = hold_page(kvm, req->gfn, &page);
	if (ret)
		return ret;

	stop(target);

	lock_aps(kvm);
	snp_ap_create(vcpu_ap(target), req, page.hpa);
	unlock_aps(kvm);
	put_page_back(&page);
	return 0;
}

static int do_create_on_init(struct kvm_vcpu *target, const struct snp_ap_req *req)
{
	struct kvm *kvm = target->kvm;
	struct held_page page;
	int ret;

	ret = hold_page(kvm, req->gfn, &page);
	if (ret)
		return ret;

	/* An INIT that has been in vain so far is not the one to wait for. */
	if (!snp_ap_can_init(vcpu_ap(target)))
		forget_init_sipi(target);

	lock_aps(kvm);
	snp_ap_create_on_init(vcpu_ap(target), req);
	unlock_aps(kvm);
	put_page_back(&page);
	return 0;
}

static int do_destroy(struct kvm_vcpu *target, const struct snp_ap_req *req)
{
	struct snp_ap *ap = vcpu_ap(target);
	struct kvm *kvm = target->kvm;

	if (!snp_ap_can_destroy(ap))
		return 0;

	stop(target);

	lock_aps(kvm);
	snp_ap_destroy(ap);
	unlock_aps(kvm);
	return 0;
}

static int (*const requests[])(struct kvm_vcpu *target,
			       const struct snp_ap_req *req) = {
	[SVM_VMGEXIT_AP_CREATE_ON_INIT] = do_create_on_init,
	[SVM_VMGEXIT_AP_CREATE] = do_create,
	[SVM_VMGEXIT_AP_DESTROY] = do_destroy,
};

static bool is_strict(struct kvm *kvm)
{
	return kvm->arch.snp_ap_flags & KVM_X86_SNP_AP_STRICT;
}

static int do_request(struct kvm_vcpu *vcpu, struct snp_ap_req *req)
{
	struct kvm_vcpu *target = kvm_get_vcpu_by_id(vcpu->kvm, req->apic_id);
	int ret;

	lockdep_assert_held(ap_lock(vcpu->kvm));

	if (!target)
		return -ENOENT;

	/*
	 * While this one waited for the lock, another has replaced or destroyed
	 * it.  It is told that it is done with, so nothing must come from here.
	 */
	if (vcpu_ap(vcpu)->change != SNP_AP_UNCHANGED)
		return -EPERM;

	req->self = target == vcpu;
	req->taken = is_taken(target, req->gfn);
	req->cr4 = kvm_read_cr4(vcpu);

	ret = snp_ap_check(vcpu_ap(target), req, is_strict(vcpu->kvm));
	return ret ?: requests[req->request](target, req);
}

int sev_snp_ap_creation(struct kvm_vcpu *vcpu, u64 info1, gpa_t vmsa_gpa,
			u64 sev_features)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(vcpu->kvm);
	struct snp_ap_req req;
	int ret;

	lockdep_assert_held(&vcpu->mutex);

	ret = snp_ap_parse(&req, info1, vmsa_gpa, sev_features,
			   sev->ctx->vmsa_features);
	if (!ret) {
		guard(mutex)(ap_lock(vcpu->kvm));
		ret = do_request(vcpu, &req);
	}

	if (ret)
		vcpu_debug_ratelimited(vcpu, "AP creation %#llx, VMSA %#llx, features %#llx: error %d\n",
				       info1, vmsa_gpa, sev_features, ret);
	return ret;
}

/*
 * The vCPU's part.
 */

/*
 * Anything that changes @ap from here on makes another request, which the vCPU
 * takes over before it runs.
 */
static void load_vmsa(struct vcpu_svm *svm)
{
	struct snp_ap *ap = &svm->sev_es.snp_ap;
	struct kvm *kvm = svm->vcpu.kvm;

	lockdep_assert_held(&svm->vcpu.mutex);
	lockdep_assert_held(ap_lock(kvm));

	read_lock(&kvm->mmu_lock);
	svm->vmcb->control.vmsa_pa = ap->hpa;
	svm->sev_es.snp_guess_cr4 = ap->cr4;
	read_unlock(&kvm->mmu_lock);

	/* The CPU must not have kept anything of another one. */
	vmcb_mark_all_dirty(svm->vmcb);
}

void sev_snp_ap_launched(struct vcpu_svm *svm)
{
	struct kvm *kvm = svm->vcpu.kvm;

	guard(mutex)(ap_lock(kvm));

	lock_aps(kvm);
	snp_ap_launch(&svm->sev_es.snp_ap, __pa(svm->sev_es.vmsa));
	unlock_aps(kvm);
	load_vmsa(svm);
}

/* What was to be completed after an exit to userspace was for another VMSA. */
static void cancel_vmgexit(struct kvm_vcpu *vcpu)
{
	vcpu->arch.complete_userspace_io = NULL;
	vcpu->arch.pio.count = 0;
	vcpu->arch.sev_pio_count = 0;
	vcpu->mmio_needed = 0;
	sev_vmgexit_cancel(to_svm(vcpu));
}

/* The registers are a secret.  What INIT makes of them, until it shows. */
static void forget_regs(struct vcpu_svm *svm)
{
	struct kvm_vcpu *vcpu = &svm->vcpu;

	svm_set_efer(vcpu, 0);
	svm_set_cr0(vcpu, X86_CR0_ET);
	svm_set_cr4(vcpu, 0);
	kvm_mmu_reset_context(vcpu);
}

/*
 * Another VMSA, or none, beyond what INIT resets.  A VMSA that has just been
 * made needs no SIPI to start it for the first time, is not in AP reset hold,
 * and has NMIs enabled.  The GHCB MSR stays: firmware that starts a vCPU for the
 * second time finds the GHCB by it that the vCPU had before.
 */
static void forget_context(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	cancel_vmgexit(vcpu);
	forget_regs(svm);

	vcpu->arch.pv.pv_unhalted = false;
	svm->nmi_masked = false;
	svm->awaiting_iret_completion = false;
	svm->sev_es.received_first_sipi = true;
	svm->sev_es.ap_reset_hold_type = AP_RESET_HOLD_NONE;
	svm->sev_es.snp_mode_unknown = true;

	/* A vCPU that was created after the launch has not been protected by it. */
	if (!vcpu->arch.guest_state_protected)
		sev_es_protect_vcpu(vcpu);
}

static bool take_init(struct kvm_vcpu *vcpu)
{
	struct kvm *kvm = vcpu->kvm;
	bool taken;

	lockdep_assert_held(ap_lock(kvm));

	lock_aps(kvm);
	taken = snp_ap_init(vcpu_ap(vcpu));
	unlock_aps(kvm);

	if (taken)
		find_lost(vcpu);
	return taken;
}

/*
 * Part of kvm_vcpu_reset(), when it is an INIT.  If a request resets the vCPU
 * then a page that waits for INIT goes on waiting.
 */
void sev_snp_init_protected_guest_state(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (!sev_snp_guest(vcpu->kvm))
		return;

	guard(mutex)(ap_lock(vcpu->kvm));

	if (!svm->sev_es.snp_ap_in_update && !take_init(vcpu))
		return;

	forget_context(vcpu);
	load_vmsa(svm);
}

static void reset_vcpu(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	lockdep_assert_not_held(ap_lock(vcpu->kvm));

	svm->sev_es.snp_ap_in_update = true;
	kvm_vcpu_reset(vcpu, true);
	svm->sev_es.snp_ap_in_update = false;
}

static enum snp_ap_change take_change(struct kvm_vcpu *vcpu)
{
	enum snp_ap_change change;
	struct kvm *kvm = vcpu->kvm;

	guard(mutex)(ap_lock(kvm));

	lock_aps(kvm);
	change = snp_ap_take_change(vcpu_ap(vcpu));
	unlock_aps(kvm);

	/* The page has gone, or what changed has been overtaken by an INIT. */
	if (change == SNP_AP_UNCHANGED)
		load_vmsa(to_svm(vcpu));
	return change;
}

/* KVM_REQ_UPDATE_PROTECTED_GUEST_STATE */
void sev_snp_update_protected_guest_state(struct kvm_vcpu *vcpu)
{
	enum snp_ap_change change = take_change(vcpu);

	if (change == SNP_AP_UNCHANGED)
		return;

	reset_vcpu(vcpu);
	vcpu->arch.mp_state = change == SNP_AP_START ? KVM_MP_STATE_RUNNABLE :
						       KVM_MP_STATE_STOPPED;
}

/*
 * Without a VMSA there is nothing that INIT and SIPI could start; they would
 * only make a vCPU runnable that cannot run.  Before the launch nobody is there
 * to send them, and userspace may set mp_state as it likes.
 */
bool sev_snp_init_signal_blocked(struct kvm_vcpu *vcpu)
{
	bool blocked;

	if (!sev_snp_guest(vcpu->kvm) || !vcpu->kvm->arch.pre_fault_allowed)
		return false;

	/* It has had an INIT that has not been in vain. */
	if (vcpu->arch.mp_state == KVM_MP_STATE_INIT_RECEIVED)
		return false;

	/* Not ap_lock(): this is asked on the brink of sleep. */
	read_lock(&vcpu->kvm->mmu_lock);
	blocked = !snp_ap_can_init(vcpu_ap(vcpu));
	read_unlock(&vcpu->kvm->mmu_lock);
	return blocked;
}

/* A vCPU whose VMSA has been lost fails to run until it is there again. */
void sev_snp_ap_pre_run(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	if (!sev_snp_guest(vcpu->kvm) || VALID_PAGE(svm->vmcb->control.vmsa_pa))
		return;

	guard(mutex)(ap_lock(vcpu->kvm));

	find_lost(vcpu);
	load_vmsa(svm);
}

/*
 * Mode.  A guest that starts a vCPU in real mode tells KVM of each step to long
 * mode, by write traps.  A VMSA in long mode needs none of them, and what KVM
 * takes for granted has to be right before it matters: an error code is lost on
 * the way to a vCPU that KVM believes to be in real mode, and a write of EFER is
 * refused if its LME is not as CR0 and CR4 seem to have it.  So for as long as
 * the mode is unknown, KVM looks at what each #VMEXIT says of it.
 */

/*
 * Memory that the guest shares with the host is out of reach without page tables
 * that clear the C-bit, which takes PAE, and no guest is known to stop short of
 * long mode.  So it is for any sign of page tables.
 */
static bool exit_is_long_mode(struct vcpu_svm *svm)
{
	struct vmcb_control_area *control = &svm->vmcb->control;

	switch (control->exit_code) {
	case SVM_EXIT_VMGEXIT:
		return !(control->ghcb_gpa & GHCB_MSR_INFO_MASK);
	case SVM_EXIT_NPF:
		return control->exit_info_1 & PFERR_GUEST_PAGE_MASK;
	case SVM_EXIT_CR0_WRITE_TRAP:
		return control->exit_info_1 & X86_CR0_PG;
	case SVM_EXIT_EFER_WRITE_TRAP:
		return control->exit_info_1 & EFER_LMA;
	default:
		return false;
	}
}

/* Exceptions have no error code in real mode. */
static bool exit_is_protected_mode(struct vcpu_svm *svm)
{
	u32 event = svm->vmcb->control.exit_int_info;

	return event & SVM_EXITINTINFO_VALID && event & SVM_EXITINTINFO_VALID_ERR;
}

/*
 * Other bits of CR4 are a guess: what the guest has given to this vCPU is likely
 * what the one had that made it.
 */
static void take_for_long_mode(struct vcpu_svm *svm)
{
	struct kvm_vcpu *vcpu = &svm->vcpu;
	unsigned long cr4 = kvm_read_cr4(vcpu) ?: svm->sev_es.snp_guess_cr4;

	if (is_long_mode(vcpu))
		return;

	svm_set_efer(vcpu, vcpu->arch.efer | EFER_LME | EFER_LMA);
	svm_set_cr0(vcpu, kvm_read_cr0(vcpu) | X86_CR0_PE | X86_CR0_PG);
	svm_set_cr4(vcpu, cr4 | X86_CR4_PAE);
	kvm_mmu_reset_context(vcpu);
}

/* Before the #VMEXIT is handled, and what it says becomes of the registers. */
void sev_snp_ap_learn_mode(struct vcpu_svm *svm)
{
	struct kvm_vcpu *vcpu = &svm->vcpu;

	if (exit_is_long_mode(svm)) {
		svm->sev_es.snp_mode_unknown = false;
		take_for_long_mode(svm);
	} else if (exit_is_protected_mode(svm)) {
		svm_set_cr0(vcpu, kvm_read_cr0(vcpu) | X86_CR0_PE);
	}
}

/*
 * Private memory.
 */

/*
 * Pages are about to go.  Upon return no vCPU uses any of them for its VMSA, nor
 * will before it has found the page again, which it cannot until this is over.
 */
void sev_snp_private_range_gone(struct kvm *kvm, gfn_t start, gfn_t end)
{
	DECLARE_BITMAP(mask, KVM_MAX_VCPUS) = {};
	struct kvm_vcpu *vcpu;
	unsigned long i;

	lockdep_assert_held_write(&kvm->mmu_lock);

	if (!sev_snp_guest(kvm))
		return;

	kvm_for_each_vcpu(i, vcpu, kvm) {
		if (snp_ap_lose(vcpu_ap(vcpu), start, end))
			__set_bit(vcpu->vcpu_idx, mask);
	}

	if (!bitmap_empty(mask, KVM_MAX_VCPUS))
		kvm_make_vcpus_request_mask(kvm, KVM_REQ_UPDATE_PROTECTED_GUEST_STATE,
					    mask);
}
