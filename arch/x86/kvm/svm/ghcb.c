// SPDX-License-Identifier: GPL-2.0
/*
 * VMGEXIT: the one place that reads and writes the GHCB of a guest.
 *
 * The page is shared, and any vCPU may write it at any time.  So it is read
 * once, into a private request, and written once, when the reply is complete.
 * In between nothing refers to it, neither while the vCPU is in userspace nor
 * while the guest runs.
 *
 * The page is mapped through a gfn_to_pfn_cache: looked up again if it or the
 * memslots have changed, which can sleep, and only valid under gpc->lock.
 *
 * Registers go through vcpu->arch.regs.  Those that the guest marked valid are
 * available while the event is handled, no other; those that the event wrote
 * are dirty.  Neither set outlives the event.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitfield.h>
#include <linux/kvm_host.h>
#include <linux/string.h>

#include "kvm_cache_regs.h"
#include "svm.h"
#include "ghcb.h"
#include "trace.h"
#include "x86.h"

#define POISON		0x6b766d5f706f6973ull

static_assert(VCPU_REGS_RAX == 0);
static_assert(VCPU_REGS_RCX == 1);
static_assert(VCPU_REGS_RDX == 2);
static_assert(VCPU_REGS_RBX == 3);
static_assert(VCPU_REGS_RSI == 6);

/* RIP is no business of the protocol, and KVM's tracepoints read it. */
#define ALL_GPRS	(BIT(VCPU_REGS_RIP) - 1)

static u32 fields_to_regs(u64 fields)
{
	return ((fields & GHCB_GPRS_HI) >> GHCB_GPR_SHIFT) |
	       (fields & GHCB_RAX ? BIT(VCPU_REGS_RAX) : 0);
}

static u64 regs_to_fields(u32 regs)
{
	return (((u64)regs << GHCB_GPR_SHIFT) & GHCB_GPRS_HI) |
	       (regs & BIT(VCPU_REGS_RAX) ? GHCB_RAX : 0);
}

/*
 * The page.
 */

/*
 * If it returns true then gpc->lock is held for read.  What is said to be
 * released is taken again by ghcb_lock(), for sparse.
 */
static __always_inline bool __ghcb_lock(struct gfn_to_pfn_cache *gpc, gpa_t gpa)
{
	for (;;) {
		read_lock_irq(&gpc->lock);
		if (likely(gpc->gpa == gpa && kvm_gpc_check(gpc, PAGE_SIZE))) {
			__release(&gpc->lock);
			return true;
		}
		read_unlock_irq(&gpc->lock);

		/* Also what gives an active cache another page. */
		if (kvm_gpc_activate(gpc, gpa, PAGE_SIZE))
			return false;
	}
}

#define ghcb_lock(v, gpa)	\
	__cond_lock(&(v)->gpc.lock, __ghcb_lock(&(v)->gpc, gpa))

static void ghcb_unlock(struct vmgexit *v)
	__releases(&v->gpc.lock)
{
	read_unlock_irq(&v->gpc.lock);
}

/* Valid only as long as it is locked. */
static struct ghcb *ghcb_page(struct vmgexit *v)
{
	lockdep_assert_held(&v->gpc.lock);

	return v->gpc.khva;
}

static u64 ghcb_read_valid(const struct ghcb *ghcb)
{
	const u64 *bitmap = (const u64 *)ghcb->save.valid_bitmap;

	return (READ_ONCE(bitmap[0]) & GHCB_FIELDS_LO) |
	       (READ_ONCE(bitmap[1]) & GHCB_FIELDS_HI);
}

static void ghcb_write_valid(struct ghcb *ghcb, u64 fields)
{
	u64 *bitmap = (u64 *)ghcb->save.valid_bitmap;

	WRITE_ONCE(bitmap[0], fields & GHCB_FIELDS_LO);
	WRITE_ONCE(bitmap[1], fields & GHCB_FIELDS_HI);
}

/* A field that is not marked valid is as good as absent, whatever it holds. */
#define ghcb_read_if(req, ghcb, field, bit)				\
	((req)->valid & (bit) ? READ_ONCE((ghcb)->save.field) : 0)

static void ghcb_read_fields(const struct ghcb *ghcb, struct vmgexit_req *req)
{
	req->valid = ghcb_read_valid(ghcb);
	req->usage = READ_ONCE(ghcb->ghcb_usage);
	req->exit_code = READ_ONCE(ghcb->save.sw_exit_code);
	req->info1 = READ_ONCE(ghcb->save.sw_exit_info_1);
	req->info2 = READ_ONCE(ghcb->save.sw_exit_info_2);
	req->rax = ghcb_read_if(req, ghcb, rax, GHCB_RAX);
	req->scratch = ghcb_read_if(req, ghcb, sw_scratch, GHCB_SCRATCH);
	req->cpl = ghcb_read_if(req, ghcb, cpl, GHCB_CPL);
	req->xcr0 = ghcb_read_if(req, ghcb, xcr0, GHCB_XCR0);
	req->xss = ghcb_read_if(req, ghcb, xss, GHCB_XSS);
}

static void ghcb_read_regs(const struct ghcb *ghcb, struct vmgexit_req *req,
			   unsigned long *regs)
{
	u64 valid = req->valid;

	if (IS_ENABLED(CONFIG_KVM_AMD_SEV_POISON))
		memset64((u64 *)regs, POISON, VCPU_REGS_RIP);

	if (valid & GHCB_RAX)
		regs[VCPU_REGS_RAX] = req->rax;
	if (valid & GHCB_RBX)
		regs[VCPU_REGS_RBX] = READ_ONCE(ghcb->save.rbx);
	if (valid & GHCB_RCX)
		regs[VCPU_REGS_RCX] = READ_ONCE(ghcb->save.rcx);
	if (valid & GHCB_RDX)
		regs[VCPU_REGS_RDX] = READ_ONCE(ghcb->save.rdx);
	if (valid & GHCB_RSI)
		regs[VCPU_REGS_RSI] = READ_ONCE(ghcb->save.rsi);
}

static void ghcb_write_regs(struct ghcb *ghcb, u64 fields,
			    const unsigned long *regs)
{
	if (fields & GHCB_RAX)
		WRITE_ONCE(ghcb->save.rax, regs[VCPU_REGS_RAX]);
	if (fields & GHCB_RBX)
		WRITE_ONCE(ghcb->save.rbx, regs[VCPU_REGS_RBX]);
	if (fields & GHCB_RCX)
		WRITE_ONCE(ghcb->save.rcx, regs[VCPU_REGS_RCX]);
	if (fields & GHCB_RDX)
		WRITE_ONCE(ghcb->save.rdx, regs[VCPU_REGS_RDX]);
}

static bool data_in_page(const struct vmgexit_req *req)
{
	return (req->scratch & PAGE_MASK) == req->gpa;
}

/* vmgexit_prepare() has seen to it that this stays in the shared buffer. */
static void *ghcb_data(struct ghcb *ghcb, const struct vmgexit_req *req)
{
	return (void *)ghcb + offset_in_page(req->scratch);
}

/*
 * From the page to the request.
 */

/* Data outside of the page, which version 1 of the protocol allows. */
static int read_data_outside(struct kvm *kvm, struct vmgexit *v)
{
	struct vmgexit_req *req = &v->req;

	if (req->data_len > sizeof(v->buf)) {
		v->large = kvzalloc(req->data_len, GFP_KERNEL_ACCOUNT);
		if (!v->large)
			return -ENOMEM;
		req->data = v->large;
	}

	/* For output, too: better to find out before the event has happened. */
	if (kvm_read_guest(kvm, req->scratch, req->data, req->data_len))
		vmgexit_malformed(&v->reply, GHCB_ERR_INVALID_SCRATCH_AREA);

	return 0;
}

/*
 * Returns 1 if there is a request, or a reply to what is none; 0 if there is
 * no page; an errno if the host is short of memory.
 */
static int vmgexit_read(struct kvm_vcpu *vcpu, struct vmgexit *v, gpa_t gpa)
{
	struct vmgexit_req *req = &v->req;
	struct ghcb *ghcb;
	u64 error;
	int r = 1;

	req->gpa = gpa;
	req->version = sev_ghcb_version(vcpu->kvm);
	req->data = v->buf;
	v->reply = (struct vmgexit_reply){};

	if (!ghcb_lock(v, gpa))
		return 0;

	ghcb = ghcb_page(v);
	ghcb_read_fields(ghcb, req);
	if (v->snp && !ghcb_gpa_is_registered(to_svm(vcpu), gpa)) {
		req->event = NULL;
		error = GHCB_ERR_NOT_REGISTERED;
	} else {
		error = vmgexit_prepare(req, v->snp);
	}

	if (!error) {
		ghcb_read_regs(ghcb, req, vcpu->arch.regs);
		if (req->data_len && req->data_in && data_in_page(req))
			memcpy(v->buf, ghcb_data(ghcb, req), req->data_len);
	}
	ghcb_unlock(v);

	if (error)
		vmgexit_malformed(&v->reply, error);
	else if (req->data_len && !data_in_page(req))
		r = read_data_outside(vcpu->kvm, v) ?: 1;

	return r;
}

static void vmgexit_open_regs(struct kvm_vcpu *vcpu, const struct vmgexit_req *req)
{
	vcpu->arch.regs_avail = (vcpu->arch.regs_avail & ~ALL_GPRS) |
				fields_to_regs(req->valid);
	vcpu->arch.regs_dirty &= ~ALL_GPRS;
}

static void vmgexit_close_regs(struct kvm_vcpu *vcpu)
{
	vcpu->arch.regs_avail &= ~ALL_GPRS;
	vcpu->arch.regs_dirty &= ~ALL_GPRS;
}

static int vmgexit_resume(struct kvm_vcpu *vcpu);

/*
 * A register that the guest did not give has been read.  Called for whoever
 * uses kvm_register_read(); the accessors of single registers do not look, and
 * what they read is what the event's row demands.  While the event waits for
 * userspace it is not the event that reads, but KVM_GET_REGS.
 */
void sev_vmgexit_missing_reg(struct kvm_vcpu *vcpu)
{
	struct vmgexit *v = to_svm(vcpu)->vmgexit;

	if (v && v->in_flight && vcpu->arch.complete_userspace_io != vmgexit_resume)
		v->missing = true;
}

/*
 * From the reply to the page.
 */
static bool write_data(struct kvm *kvm, const struct vmgexit_req *req)
{
	return data_in_page(req) ||
	       !kvm_write_guest(kvm, req->scratch, req->data, req->data_len);
}

/*
 * A SNP guest can take a vCPU's registers away in the middle of a VMGEXIT, and
 * then use the page for something else.  If this returns true, nothing of it
 * happens until reply_end().
 */
static __always_inline bool reply_begin(struct vcpu_svm *svm)
{
	lockdep_assert_held(&svm->vmgexit->gpc.lock);

	if (!svm->vmgexit->snp)
		return true;

	spin_lock(&svm->vmgexit_lock);
	__release(&svm->vmgexit_lock);
	if (likely(!svm->vmgexit_disowned))
		return true;

	__acquire(&svm->vmgexit_lock);
	spin_unlock(&svm->vmgexit_lock);
	return false;
}

static void reply_end(struct vcpu_svm *svm)
{
	if (!svm->vmgexit->snp)
		return;

	__acquire(&svm->vmgexit_lock);
	spin_unlock(&svm->vmgexit_lock);
}

static __always_inline void ghcb_write_reply(struct kvm_vcpu *vcpu,
					     struct vmgexit *v, u64 fields,
					     bool data_out)
{
	struct vmgexit_req *req = &v->req;
	struct ghcb *ghcb = ghcb_page(v);

	ghcb_write_regs(ghcb, fields, vcpu->arch.regs);
	WRITE_ONCE(ghcb->save.sw_exit_info_1, v->reply.info1);
	WRITE_ONCE(ghcb->save.sw_exit_info_2, v->reply.info2);
	ghcb_write_valid(ghcb, fields | GHCB_EXIT_INFO_1 | GHCB_EXIT_INFO_2);
	if (data_out && data_in_page(req))
		memcpy(ghcb_data(ghcb, req), req->data, req->data_len);

	/* Seldom does anybody log writes, and each VMGEXIT would ask with a call. */
	if (unlikely(kvm_slot_dirty_track_enabled(v->gpc.memslot)))
		kvm_gpc_mark_dirty_in_slot(&v->gpc);
}

static void ghcb_refuse(struct kvm_vcpu *vcpu, gpa_t gpa)
{
	struct vcpu_svm *svm = to_svm(vcpu);

	vcpu_debug_ratelimited(vcpu, "vmgexit: no memory for a GHCB at %#llx\n", gpa);

	/*
	 * Nowhere to put an answer, but in the MSR.  It is the one that a GHCB
	 * gets that cannot be registered.  Nor is there a place any more to tell
	 * of a SIPI.
	 */
	svm->vmcb->control.ghcb_gpa = GHCB_MSR_REG_GPA_REFUSED;
	svm->sev_es.ap_reset_hold_type = AP_RESET_HOLD_NONE;
}

static __always_inline void vmgexit_write(struct kvm_vcpu *vcpu, struct vmgexit *v)
{
	struct vmgexit_req *req = &v->req;
	bool data_out = false;
	u64 fields = 0;

	if (v->reply.info1 == GHCB_RESULT_OK && req->event) {
		data_out = req->data_len && req->data_out;
		if (data_out && !write_data(vcpu->kvm, req)) {
			vmgexit_malformed(&v->reply, GHCB_ERR_INVALID_SCRATCH_AREA);
			data_out = false;
		} else {
			fields = regs_to_fields(vcpu->arch.regs_dirty) & req->out;
		}
	}

	if (!ghcb_lock(v, req->gpa)) {
		ghcb_refuse(vcpu, req->gpa);
		return;
	}

	if (likely(reply_begin(to_svm(vcpu)))) {
		ghcb_write_reply(vcpu, v, fields, data_out);
		reply_end(to_svm(vcpu));
	}
	ghcb_unlock(v);
}

void vmgexit_raise(struct vmgexit_reply *reply, u8 vector, bool has_error_code,
		   u32 error_code)
{
	/* The valid bit is the sign of an int, and would become an error code. */
	u32 event = (u32)SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_EXEPT | vector;

	if (has_error_code)
		event |= SVM_EVTINJ_VALID_ERR;

	reply->info1 = GHCB_RESULT_RAISE;
	reply->info2 = (u64)error_code << 32 | event;
}

/*
 * What emulation queued for the guest is an exception of the instruction that
 * the guest is emulating in its #VC handler, and must not hit the handler.
 */
static void vmgexit_take_exception(struct kvm_vcpu *vcpu, struct vmgexit *v)
{
	struct kvm_queued_exception *e = &vcpu->arch.exception;

	if (likely(!e->pending))
		return;

	vmgexit_raise(&v->reply, e->vector, e->has_error_code, e->error_code);
	kvm_clear_exception_queue(vcpu);
}

/*
 * What the handler's return value means for the reply.  The page is written as
 * soon as the reply is complete: here sleeping is allowed, which right before
 * VMRUN it is not.
 */
static __always_inline int vmgexit_finish(struct kvm_vcpu *vcpu,
					  struct vmgexit *v, int r)
{
	if (unlikely(r <= 0)) {
		v->complete = r ? NULL : vcpu->arch.complete_userspace_io;
		vcpu->arch.complete_userspace_io = vmgexit_resume;

		/* If userspace goes on regardless, the guest gets to know. */
		if (r)
			vmgexit_malformed(&v->reply, GHCB_ERR_INVALID_INPUT);
		return r;
	}

	vmgexit_take_exception(vcpu, v);
	if (unlikely(v->missing))
		vmgexit_malformed(&v->reply, GHCB_ERR_MISSING_INPUT);

	vmgexit_write(vcpu, v);
	vmgexit_close_regs(vcpu);
	v->in_flight = false;

	if (unlikely(v->large)) {
		kvfree(v->large);
		v->large = NULL;
	}

	trace_kvm_vmgexit_exit(vcpu->vcpu_id, v->req.exit_code, v->reply.info1,
			       v->reply.info2);
	return r;
}

/* Back from userspace. */
static int vmgexit_resume(struct kvm_vcpu *vcpu)
{
	struct vmgexit *v = to_svm(vcpu)->vmgexit;
	int (*complete)(struct kvm_vcpu *vcpu) = v->complete;

	v->complete = NULL;
	return vmgexit_finish(vcpu, v, complete ? complete(vcpu) : 1);
}

static const char *event_name(const struct vmgexit_req *req)
{
	return req->event ? req->event->name : "unknown";
}

static int vmgexit_dispatch(struct kvm_vcpu *vcpu, struct vmgexit *v)
{
	struct vmgexit_req *req = &v->req;

	if (unlikely(v->reply.info1)) {
		vcpu_debug_ratelimited(vcpu, "vmgexit: %s (%#llx, %#llx, %#llx; valid %#llx): error %llu\n",
				       event_name(req), req->exit_code,
				       req->info1, req->info2, req->valid,
				       v->reply.info2);
		return 1;
	}

	return req->event->handle(vcpu, req, &v->reply);
}

void sev_vmgexit_init(struct vcpu_svm *svm)
{
	spin_lock_init(&svm->vmgexit_lock);
}

/*
 * Not with the vCPU: by then it is not known that the VM will have SEV-ES, if
 * the encryption context comes from another VM.
 */
static struct vmgexit *vmgexit_alloc(struct vcpu_svm *svm)
{
	struct vmgexit *v = kzalloc(sizeof(*v), GFP_KERNEL_ACCOUNT);

	if (v) {
		kvm_gpc_init(&v->gpc, svm->vcpu.kvm);
		v->snp = sev_snp_guest(svm->vcpu.kvm);
		svm->vmgexit = v;
	}
	return v;
}

void sev_vmgexit_free(struct vcpu_svm *svm)
{
	struct vmgexit *v = svm->vmgexit;

	if (!v)
		return;

	kvm_gpc_deactivate(&v->gpc);
	kvfree(v->large);
	kfree(v);
	svm->vmgexit = NULL;
}

/*
 * By whoever gives the vCPU other registers, or none, from any thread: upon return
 * no reply is written, nor will be until the vCPU's thread cancels the VMGEXIT.
 */
void sev_vmgexit_disown(struct vcpu_svm *svm)
{
	spin_lock_irq(&svm->vmgexit_lock);
	svm->vmgexit_disowned = true;
	spin_unlock_irq(&svm->vmgexit_lock);
}

void sev_vmgexit_cancel(struct vcpu_svm *svm)
{
	lockdep_assert_held(&svm->vcpu.mutex);

	vmgexit_close_regs(&svm->vcpu);
	sev_vmgexit_free(svm);

	spin_lock_irq(&svm->vmgexit_lock);
	svm->vmgexit_disowned = false;
	spin_unlock_irq(&svm->vmgexit_lock);
}

/*
 * A SIPI ends an AP reset hold.  The VMGEXIT has got its reply long ago, that
 * of a hold that ended without one: replace it, the guest has not run since.
 */
void sev_vmgexit_sipi(struct vcpu_svm *svm)
{
	struct vmgexit *v = svm->vmgexit ?: vmgexit_alloc(svm);

	if (!v)
		return;

	v->req = (struct vmgexit_req){ .gpa = svm->vmcb->control.ghcb_gpa };
	v->reply = (struct vmgexit_reply){ .info2 = 1 };
	vmgexit_write(&svm->vcpu, v);
}

int sev_handle_vmgexit(struct kvm_vcpu *vcpu)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	gpa_t gpa = svm->vmcb->control.ghcb_gpa;
	struct vmgexit *v = svm->vmgexit;
	int r;

	if (gpa & GHCB_MSR_INFO_MASK)
		return sev_handle_vmgexit_msr(vcpu);

	if (unlikely(!v)) {
		v = vmgexit_alloc(svm);
		if (!v)
			return -ENOMEM;
	}

	/* Address 0 is what the MSR holds as long as nobody has set it. */
	r = gpa ? vmgexit_read(vcpu, v, gpa) : 0;
	if (unlikely(!r)) {
		ghcb_refuse(vcpu, gpa);
		return 1;
	}

	trace_kvm_vmgexit_enter(vcpu->vcpu_id, event_name(&v->req),
				v->req.exit_code, v->req.info1, v->req.info2);

	v->in_flight = true;
	v->missing = false;
	vmgexit_open_regs(vcpu, &v->req);
	svm->vmcb->save.cpl = v->req.cpl;

	if (likely(r > 0))
		r = vmgexit_dispatch(vcpu, v);
	return vmgexit_finish(vcpu, v, r);
}
