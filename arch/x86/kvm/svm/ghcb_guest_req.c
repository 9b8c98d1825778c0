// SPDX-License-Identifier: GPL-2.0
/*
 * VMGEXIT: messages between an SNP guest and the firmware.
 *
 * They are encrypted, and KVM is only the messenger: from the guest's request
 * page to a private one, by the firmware to another, and from there to the
 * guest.  guest_req_mutex owns the two pages in between.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/psp.h>
#include <linux/psp-sev.h>

#include <asm/sev.h>
#include <uapi/linux/sev-guest.h>

#include "svm.h"
#include "ghcb.h"

/* A certificate table ends with an entry of zeroes; an empty one is no more. */
#define EMPTY_CERT_TABLE	24

/* The page addresses of the request and of the response. */
u64 vmgexit_prep_guest_req(struct vmgexit_req *req)
{
	return PAGE_ALIGNED(req->info1) && PAGE_ALIGNED(req->info2) &&
	       req->info1 != req->info2 ? 0 : GHCB_ERR_INVALID_INPUT;
}

static int refuse(struct vmgexit_reply *reply, u64 error)
{
	vmgexit_malformed(reply, error);
	return 1;
}

/* What the firmware says is the guest's business, unless it says nothing. */
static int send_message(struct kvm *kvm, gpa_t response, struct vmgexit_reply *reply)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(kvm);
	struct sev_data_snp_guest_request cmd = {
		.gctx_paddr = __psp_pa(sev->snp_context),
		.req_paddr = __psp_pa(sev->guest_req_buf),
		.res_paddr = __psp_pa(sev->guest_resp_buf),
	};
	sev_ret_code fw_error = 0;
	int r;

	lockdep_assert_held(&sev->guest_req_mutex);

	r = sev_issue_cmd(kvm, SEV_CMD_SNP_GUEST_REQUEST, &cmd, &fw_error);
	if (r && !fw_error)
		return r;

	if (kvm_write_guest(kvm, response, sev->guest_resp_buf, PAGE_SIZE))
		return refuse(reply, GHCB_ERR_INVALID_INPUT);

	reply->info2 = SNP_GUEST_ERR(0, fw_error);
	return 1;
}

int vmgexit_guest_req(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		      struct vmgexit_reply *reply)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(vcpu->kvm);

	guard(mutex)(&sev->guest_req_mutex);

	if (kvm_read_guest(vcpu->kvm, req->info1, sev->guest_req_buf, PAGE_SIZE))
		return refuse(reply, GHCB_ERR_INVALID_INPUT);

	return send_message(vcpu->kvm, req->info2, reply);
}

/*
 * A report may come with certificates, RBX pages of them at RAX.  KVM has
 * none, and says so in the way of the specification.
 */
static u64 no_certificates(struct kvm *kvm, const struct vmgexit_req *req, u64 npages)
{
	if ((req->valid & (GHCB_RAX | GHCB_RBX)) != (GHCB_RAX | GHCB_RBX))
		return GHCB_ERR_MISSING_INPUT;

	if (!PAGE_ALIGNED(req->rax) ||
	    (npages && kvm_clear_guest(kvm, req->rax, EMPTY_CERT_TABLE)))
		return GHCB_ERR_INVALID_INPUT;

	return 0;
}

int vmgexit_ext_guest_req(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
			  struct vmgexit_reply *reply)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(vcpu->kvm);
	const struct snp_guest_msg_hdr *hdr;
	u64 error = 0;

	guard(mutex)(&sev->guest_req_mutex);

	if (kvm_read_guest(vcpu->kvm, req->info1, sev->guest_req_buf, PAGE_SIZE))
		return refuse(reply, GHCB_ERR_INVALID_INPUT);

	hdr = sev->guest_req_buf;
	if (hdr->msg_type == SNP_MSG_REPORT_REQ)
		error = no_certificates(vcpu->kvm, req,
					vcpu->arch.regs[VCPU_REGS_RBX]);
	if (error)
		return refuse(reply, error);

	return send_message(vcpu->kvm, req->info2, reply);
}
