// SPDX-License-Identifier: GPL-2.0
/*
 * Transport of encrypted vCPU state between hosts.
 *
 * KVM_SEV_SEND_UPDATE_VMSA and KVM_SEV_RECEIVE_UPDATE_VMSA move one vCPU: its
 * VMSA as a packet that only the two hosts' firmware can make and read, and the
 * record of what KVM knows.  A vCPU that does not arrive is left as it was.
 *
 * kvm->lock is held by the caller, vcpu->mutex is taken inside.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/cacheflush.h>
#include <linux/cleanup.h>
#include <linux/kvm_host.h>
#include <linux/psp.h>
#include <linux/psp-sev.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "ghcb.h"
#include "mirror.h"
#include "svm.h"
#include "vmsa.h"

/* Packets have a header of 52 bytes, but it is for the firmware to say so. */
#define HDR_LEN_MAX	SZ_4K

typedef int (*vcpu_fn_t)(struct kvm_vcpu *vcpu, struct kvm_sev_vmsa_packet *params,
			 int *error);

/* To an ES guest's vCPU that is in nobody's hands. */
static int with_vcpu(struct kvm *kvm, struct kvm_sev_cmd *argp,
		     struct kvm_sev_vmsa_packet *params, vcpu_fn_t fn)
{
	struct kvm_vcpu *vcpu;
	int ret;

	lockdep_assert_held(&kvm->lock);

	vcpu = kvm_get_vcpu_by_id(kvm, params->vcpu_id);
	if (!vcpu)
		return -EINVAL;

	ret = mutex_lock_killable(&vcpu->mutex);
	if (ret)
		return ret;

	vcpu_load(vcpu);
	ret = fn(vcpu, params, &argp->error);
	vcpu_put(vcpu);
	mutex_unlock(&vcpu->mutex);
	return ret;
}

static int read_params(struct kvm *kvm, struct kvm_sev_cmd *argp,
		       struct kvm_sev_vmsa_packet *params)
{
	if (!sev_es_guest(kvm))
		return -ENOTTY;

	if (kvm_is_vcpu_creation_in_progress(kvm))
		return -EBUSY;

	if (copy_from_user(params, u64_to_user_ptr(argp->data), sizeof(*params)))
		return -EFAULT;

	return params->pad || params->hdr_len > HDR_LEN_MAX ||
	       params->trans_len > SEV_FW_BLOB_MAX_SIZE ? -EINVAL : 0;
}

static int write_params(struct kvm_sev_cmd *argp,
			const struct kvm_sev_vmsa_packet *params)
{
	return copy_to_user(u64_to_user_ptr(argp->data), params,
			    sizeof(*params)) ? -EFAULT : 0;
}

/*
 * Sending.
 */

/* The firmware tells the length of a header by failing for want of room. */
static int query_lengths(struct kvm *kvm, struct kvm_sev_cmd *argp,
			 struct kvm_sev_vmsa_packet *params)
{
	struct sev_data_send_update_vmsa data = {
		.handle = to_kvm_sev_info(kvm)->ctx->handle,
	};
	int ret;

	ret = sev_issue_cmd(kvm, SEV_CMD_SEND_UPDATE_VMSA, &data, &argp->error);
	if (ret && argp->error != SEV_RET_INVALID_LEN)
		return ret;

	argp->error = 0;
	params->hdr_len = data.hdr_len;
	params->trans_len = PAGE_SIZE;
	params->record_len = sizeof(struct sev_vcpu_record);
	return write_params(argp, params);
}

static bool has_unfinished_exit(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.complete_userspace_io;
}

static int send_packet(struct kvm_vcpu *vcpu, struct kvm_sev_vmsa_packet *params,
		       void *hdr, void *trans, int *error)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct sev_data_send_update_vmsa data = {
		.handle = to_kvm_sev_info(vcpu->kvm)->ctx->handle,
		.hdr_address = __psp_pa(hdr),
		.hdr_len = params->hdr_len,
		.guest_address = __sme_pa(svm->sev_es.vmsa),
		.guest_len = PAGE_SIZE,
		.trans_address = __psp_pa(trans),
		.trans_len = PAGE_SIZE,
	};
	int ret;

	/* The CPU may still have in its caches what it has saved at #VMEXIT. */
	sev_flush_encrypted_page(vcpu->kvm, svm->sev_es.vmsa);

	ret = sev_issue_cmd(vcpu->kvm, SEV_CMD_SEND_UPDATE_VMSA, &data, error);
	params->hdr_len = data.hdr_len;
	params->trans_len = PAGE_SIZE;
	return ret;
}

static int send_vcpu(struct kvm_vcpu *vcpu, struct kvm_sev_vmsa_packet *params,
		     int *error)
{
	void *hdr __free(kfree) = NULL;
	void *trans __free(kfree) = NULL;
	struct sev_vcpu_record rec;
	int ret;

	if (!vcpu->arch.guest_state_protected)
		return -EPERM;

	/* What an exit has still to give the guest is nowhere but here. */
	if (has_unfinished_exit(vcpu))
		return -EBUSY;

	hdr = kzalloc(params->hdr_len, GFP_KERNEL_ACCOUNT);
	trans = kzalloc(PAGE_SIZE, GFP_KERNEL_ACCOUNT);
	if (!hdr || !trans)
		return -ENOMEM;

	ret = send_packet(vcpu, params, hdr, trans, error);
	if (ret)
		return ret;

	sev_vcpu_record_get(vcpu, &rec);
	params->record_len = sizeof(rec);
	if (copy_to_user(u64_to_user_ptr(params->hdr_uaddr), hdr, params->hdr_len) ||
	    copy_to_user(u64_to_user_ptr(params->trans_uaddr), trans, PAGE_SIZE) ||
	    copy_to_user(u64_to_user_ptr(params->record_uaddr), &rec, sizeof(rec)))
		return -EFAULT;

	return 0;
}

int sev_send_update_vmsa(struct kvm *kvm, struct kvm_sev_cmd *argp)
{
	struct kvm_sev_vmsa_packet params;
	int ret;

	ret = read_params(kvm, argp, &params);
	if (ret)
		return ret;

	if (!params.hdr_len || !params.trans_len || !params.record_len)
		return query_lengths(kvm, argp, &params);

	if (params.trans_len < PAGE_SIZE ||
	    params.record_len < sizeof(struct sev_vcpu_record))
		return -EINVAL;

	return with_vcpu(kvm, argp, &params, send_vcpu) ?: write_params(argp, &params);
}

/*
 * Receiving.
 */

/* A longer record is of a later KVM; what that has to say must be nothing. */
static int read_record(const struct kvm_sev_vmsa_packet *params,
		       struct sev_vcpu_record *rec)
{
	int ret;

	if (params->record_len < sizeof(*rec) || params->record_len > PAGE_SIZE)
		return -EINVAL;

	ret = copy_struct_from_user(rec, sizeof(*rec),
				    u64_to_user_ptr(params->record_uaddr),
				    params->record_len);
	if (ret)
		return ret;

	return rec->size == params->record_len ? 0 : -EINVAL;
}

static int receive_packet(struct kvm_vcpu *vcpu,
			  const struct kvm_sev_vmsa_packet *params,
			  void *hdr, void *trans, int *error)
{
	struct vcpu_svm *svm = to_svm(vcpu);
	struct sev_data_receive_update_vmsa data = {
		.handle = to_kvm_sev_info(vcpu->kvm)->ctx->handle,
		.hdr_address = __psp_pa(hdr),
		.hdr_len = params->hdr_len,
		.guest_address = __sme_pa(svm->sev_es.vmsa),
		.guest_len = PAGE_SIZE,
		.trans_address = __psp_pa(trans),
		.trans_len = params->trans_len,
	};

	/* No line that the host has written may hit the page later. */
	clflush_cache_range(svm->sev_es.vmsa, PAGE_SIZE);

	return sev_issue_cmd(vcpu->kvm, SEV_CMD_RECEIVE_UPDATE_VMSA, &data, error);
}

static int receive_vcpu(struct kvm_vcpu *vcpu, struct kvm_sev_vmsa_packet *params,
			int *error)
{
	void *hdr __free(kfree) = NULL;
	void *trans __free(kfree) = NULL;
	struct sev_vcpu_record rec;
	int ret;

	if (vcpu->arch.guest_state_protected)
		return -EPERM;

	/* KVM could not debug the guest, and would not know that it tries. */
	if (vcpu->guest_debug)
		return -EINVAL;

	ret = read_record(params, &rec) ?: sev_vcpu_record_check(vcpu, &rec);
	if (ret)
		return ret;

	hdr = psp_copy_user_blob(params->hdr_uaddr, params->hdr_len);
	if (IS_ERR(hdr))
		return PTR_ERR(hdr);

	trans = psp_copy_user_blob(params->trans_uaddr, params->trans_len);
	if (IS_ERR(trans))
		return PTR_ERR(trans);

	ret = receive_packet(vcpu, params, hdr, trans, error);
	if (ret)
		return ret;

	sev_vcpu_record_set(vcpu, &rec);
	sev_es_protect_vcpu(vcpu);
	return 0;
}

int sev_receive_update_vmsa(struct kvm *kvm, struct kvm_sev_cmd *argp)
{
	struct kvm_sev_vmsa_packet params;
	int ret;

	ret = read_params(kvm, argp, &params);
	if (ret)
		return ret;

	if (!params.hdr_len || params.trans_len != PAGE_SIZE)
		return -EINVAL;

	return with_vcpu(kvm, argp, &params, receive_vcpu);
}
