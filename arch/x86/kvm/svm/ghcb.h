/* SPDX-License-Identifier: GPL-2.0 */
/*
 * VMGEXIT: how a request travels from the GHCB to its handler and back.
 *
 *   ghcb.c            reads the page once, calls, writes the page once
 *   ghcb_events.c     one row per event: what it needs, gives, and does
 *   ghcb_msr.c        the MSR protocol, which uses no page
 *   ghcb_psc.c        SNP page state changes
 *   ghcb_guest_req.c  SNP guest requests
 *
 * Only ghcb.c touches the guest's page.  Handlers see the private copy of the
 * request and fill a reply; a guest that scribbles over its page meanwhile
 * changes nothing.
 */
#ifndef __KVM_X86_SVM_GHCB_H
#define __KVM_X86_SVM_GHCB_H

#include <linux/kvm_types.h>

#include <asm/sev-ghcb.h>

struct kvm_vcpu;
struct vcpu_svm;
struct vmgexit_req;
struct vmgexit_reply;

#define GHCB_VERSION_MAX	2ULL
#define GHCB_VERSION_DEFAULT	2ULL
#define GHCB_VERSION_MIN	1ULL

#define GHCB_HV_FT_SUPPORTED	(GHCB_HV_FT_SNP | GHCB_HV_FT_SNP_AP_CREATION)

/* How a vCPU asked to be held until a SIPI: sev_es.ap_reset_hold_type. */
enum {
	AP_RESET_HOLD_NONE,
	AP_RESET_HOLD_NAE_EVENT,
	AP_RESET_HOLD_MSR_PROTO,
};

/* Where a scratch area may be under version 1, it may also be large. */
#define GHCB_SCRATCH_LIMIT	(16 * PAGE_SIZE)

/* Flags of an event. */
#define VMGEXIT_SNP		BIT(0)	/* for SNP guests only */
#define VMGEXIT_DATA		BIT(1)	/* uses the scratch area; prep() says how */

/**
 * struct vmgexit_event - what an event needs, what it gives, what it does
 * @name:	as in the specification, for messages and tracepoints
 * @in:		GHCB_* fields that have to be valid; GHCB_EXIT always is
 * @out:	GHCB_* registers that a success may give back
 * @flags:	VMGEXIT_*
 * @prep:	what depends on the values: more inputs, fewer outputs, the size
 *		of the data.  Looks at the request and at nothing else; returns
 *		0 or GHCB_ERR_*.
 * @handle:	does it.  Returns 1 when the reply is complete, 0 to go to
 *		userspace first, or an errno if the host is to blame.  What it
 *		has to tell the guest goes into the reply, never into an errno.
 */
struct vmgexit_event {
	const char *name;
	u64 in;
	u64 out;
	unsigned int flags;
	u64 (*prep)(struct vmgexit_req *req);
	int (*handle)(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		      struct vmgexit_reply *reply);
};

/**
 * struct vmgexit_req - the private copy of a request
 * @event:	its row
 * @gpa:	of the GHCB
 * @valid:	GHCB_* fields that the guest marked valid
 * @out:	GHCB_* registers that a success of this request may give back
 * @version:	of the protocol, the VM's and not what the page claims
 * @usage:	of the page
 * @data:	what the scratch area held, and what shall go there
 * @data_len:	its length in bytes, 0 if the event has none
 * @data_in:	if the event looks at what is there
 * @data_out:	if it goes back after a success
 *
 * The general purpose registers are not here but in vcpu->arch.regs.
 */
struct vmgexit_req {
	const struct vmgexit_event *event;
	gpa_t gpa;
	u64 exit_code;
	u64 info1;
	u64 info2;
	u64 scratch;
	u64 rax;
	u64 xcr0;
	u64 xss;
	u64 valid;
	u64 out;
	u32 usage;
	u16 version;
	u8 cpl;
	void *data;
	u64 data_len;
	bool data_in;
	bool data_out;
};

struct vmgexit_reply {
	u64 info1;		/* GHCB_RESULT_* */
	u64 info2;
};

/**
 * struct vmgexit - the VMGEXIT of a vCPU
 * @gpc:	the page; locked by @gpc.lock whenever it is looked at
 * @complete:	what shall finish the event after an exit to userspace
 * @in_flight:	the reply has not been written yet
 * @missing:	the event has read a register that the guest did not give
 * @psc:	page state change: entries that userspace is busy with
 * @large:	takes data that does not fit @buf, else NULL
 *
 * Belongs to the vCPU's thread, or to who holds vcpu->mutex.  Of @req and
 * @reply nothing outlives the VMGEXIT, but for the GPA: the specification lets
 * a SIPI be reported to a vCPU in AP reset hold long after.
 */
struct vmgexit {
	struct gfn_to_pfn_cache gpc;
	struct vmgexit_req req;
	struct vmgexit_reply reply;
	int (*complete)(struct kvm_vcpu *vcpu);
	bool snp;		/* sev_snp_guest(), looked up once */
	bool in_flight;
	bool missing;
	struct {
		u16 index;
		u16 count;
	} psc;
	void *large;
	u8 buf[GHCB_SHARED_BUF_SIZE] __aligned(8);
};

static inline void vmgexit_malformed(struct vmgexit_reply *reply, u64 error)
{
	reply->info1 = GHCB_RESULT_MALFORMED;
	reply->info2 = error;
}

/* ghcb.c, and the rest of KVM that has to know of VMGEXIT */
#ifdef CONFIG_KVM_AMD_SEV
int vmgexit_check_events(void);
void sev_vmgexit_init(struct vcpu_svm *svm);
void sev_vmgexit_missing_reg(struct kvm_vcpu *vcpu);
#else
static inline int vmgexit_check_events(void) { return 0; }
static inline void sev_vmgexit_init(struct vcpu_svm *svm) { }
static inline void sev_vmgexit_missing_reg(struct kvm_vcpu *vcpu) { }
#endif

void vmgexit_raise(struct vmgexit_reply *reply, u8 vector, bool has_error_code,
		   u32 error_code);
void sev_vmgexit_sipi(struct vcpu_svm *svm);
void sev_vmgexit_disown(struct vcpu_svm *svm);
void sev_vmgexit_cancel(struct vcpu_svm *svm);
void sev_vmgexit_free(struct vcpu_svm *svm);

/* ghcb_events.c */
u64 vmgexit_prepare(struct vmgexit_req *req, bool snp);

/* ghcb_msr.c */
int sev_handle_vmgexit_msr(struct kvm_vcpu *vcpu);
void sev_ghcb_msr_reset(struct vcpu_svm *svm);
void sev_ghcb_msr_sipi(struct vcpu_svm *svm);
int sev_exit_termination(struct kvm_vcpu *vcpu);

/* ghcb_psc.c */
u64 vmgexit_prep_psc(struct vmgexit_req *req);
int vmgexit_psc(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		struct vmgexit_reply *reply);
int snp_psc_msr(struct kvm_vcpu *vcpu, u64 request);

/* ghcb_guest_req.c */
u64 vmgexit_prep_guest_req(struct vmgexit_req *req);
int vmgexit_guest_req(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		      struct vmgexit_reply *reply);
int vmgexit_ext_guest_req(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
			  struct vmgexit_reply *reply);

/* sev.c */
int sev_issue_cmd(struct kvm *kvm, int id, void *data, int *error);

/* snp_ap.c: 0, or an errno that says what is wrong with the request */
int sev_snp_ap_creation(struct kvm_vcpu *vcpu, u64 info1, gpa_t vmsa_gpa,
			u64 sev_features);

#endif /* __KVM_X86_SVM_GHCB_H */
