// SPDX-License-Identifier: GPL-2.0
/*
 * VMGEXIT: SNP page state changes, which userspace carries out.
 *
 * A request is a list of entries, a page or 2M each.  Neighbours that ask for
 * the same go to userspace as one range; what userspace has done is marked
 * done in the list.  All of it happens on the private copy, which goes back to
 * the guest as a whole with the reply.
 *
 * That an entry is done shows in cur_page, which counts 4K pages, and in the
 * header's cur_entry, the first one that is not.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/kvm_para.h>

#include "svm.h"
#include "ghcb.h"
#include "x86.h"

struct psc_list {
	struct psc_hdr hdr;
	struct psc_entry entries[];
} __packed;

/* A range for userspace. */
struct psc_range {
	u64 gfn;
	u64 npages;
	unsigned int operation;
	bool huge;
};

static bool userspace_wants_psc(struct kvm *kvm)
{
	return kvm->arch.hypercall_exit_enabled & BIT(KVM_HC_MAP_GPA_RANGE);
}

static bool is_known(unsigned int operation)
{
	return operation == VMGEXIT_PSC_OP_PRIVATE ||
	       operation == VMGEXIT_PSC_OP_SHARED;
}

static int exit_map_gpa_range(struct kvm_vcpu *vcpu, const struct psc_range *range,
			      int (*complete)(struct kvm_vcpu *vcpu))
{
	struct kvm_run *run = vcpu->run;

	run->exit_reason = KVM_EXIT_HYPERCALL;
	run->hypercall.nr = KVM_HC_MAP_GPA_RANGE;
	run->hypercall.args[0] = gfn_to_gpa(range->gfn);
	run->hypercall.args[1] = range->npages;
	run->hypercall.args[2] = range->operation == VMGEXIT_PSC_OP_PRIVATE ?
				 KVM_MAP_GPA_RANGE_ENCRYPTED :
				 KVM_MAP_GPA_RANGE_DECRYPTED;
	run->hypercall.args[2] |= range->huge ? KVM_MAP_GPA_RANGE_PAGE_SZ_2M :
						KVM_MAP_GPA_RANGE_PAGE_SZ_4K;
	/* As of any hypercall of a guest whose mode KVM does not know */
	run->hypercall.flags = KVM_EXIT_HYPERCALL_LONG_MODE;
	vcpu->arch.complete_userspace_io = complete;
	return 0;
}

/*
 * The list.
 */
static unsigned int entry_pages(const struct psc_entry *entry)
{
	return entry->pagesize ? KVM_PAGES_PER_HPAGE(PG_LEVEL_2M) : 1;
}

static bool entry_is_valid(const struct psc_entry *entry)
{
	unsigned int pages = entry_pages(entry);

	return entry->cur_page <= pages && IS_ALIGNED((u64)entry->gfn, pages);
}

static bool continues(const struct psc_range *range, const struct psc_entry *entry)
{
	return entry->operation == range->operation &&
	       entry->gfn == range->gfn + range->npages &&
	       !entry->cur_page && (bool)entry->pagesize == range->huge;
}

/* Takes entries from v->psc.index on; sets how many. */
static struct psc_range take_range(struct vmgexit *v, const struct psc_list *list)
{
	const struct psc_entry *entry = &list->entries[v->psc.index];
	struct psc_range range = {
		.gfn = entry->gfn + entry->cur_page,
		.npages = entry_pages(entry) - entry->cur_page,
		.operation = entry->operation,
		/* The rest of 2M of which a part is done is split already. */
		.huge = entry->pagesize && !entry->cur_page,
	};
	bool split = entry->pagesize && entry->cur_page;

	v->psc.count = 1;
	while (!split && v->psc.index + v->psc.count <= list->hdr.end_entry &&
	       continues(&range, ++entry)) {
		range.npages += entry_pages(entry);
		v->psc.count++;
	}
	return range;
}

static void mark_done(struct vmgexit *v, struct psc_list *list)
{
	struct psc_entry *entry = &list->entries[v->psc.index];
	unsigned int n;

	for (n = 0; n < v->psc.count; n++, entry++)
		entry->cur_page = entry_pages(entry);

	v->psc.index += v->psc.count;
	v->psc.count = 0;
	list->hdr.cur_entry = v->psc.index;
}

static int psc_done(struct vmgexit *v, u64 status)
{
	v->reply.info2 = status;
	return 1;
}

static int psc_next(struct kvm_vcpu *vcpu, struct vmgexit *v);

static int psc_complete(struct kvm_vcpu *vcpu)
{
	struct vmgexit *v = to_svm(vcpu)->vmgexit;

	if (vcpu->run->hypercall.ret)
		return psc_done(v, VMGEXIT_PSC_ERROR_GENERIC);

	mark_done(v, v->req.data);
	return psc_next(vcpu, v);
}

static int psc_next(struct kvm_vcpu *vcpu, struct vmgexit *v)
{
	struct psc_list *list = v->req.data;
	struct psc_entry *entry;
	struct psc_range range;

	for (; v->psc.index <= list->hdr.end_entry; mark_done(v, list)) {
		entry = &list->entries[v->psc.index];
		if (!entry_is_valid(entry))
			return psc_done(v, VMGEXIT_PSC_ERROR_INVALID_ENTRY);

		range = take_range(v, list);

		/* There is nothing to be done for SMASH and UNSMASH. */
		if (range.npages && is_known(range.operation))
			return exit_map_gpa_range(vcpu, &range, psc_complete);
	}

	return psc_done(v, 0);
}

/* However short the list is, its length is that of the buffer. */
u64 vmgexit_prep_psc(struct vmgexit_req *req)
{
	u64 offset = req->scratch - req->gpa;

	req->data_len = sizeof(struct psc_hdr);
	if (offset < GHCB_SHARED_BUF_OFFSET + GHCB_SHARED_BUF_SIZE - req->data_len)
		req->data_len = GHCB_SHARED_BUF_OFFSET + GHCB_SHARED_BUF_SIZE - offset;
	req->data_in = true;
	req->data_out = true;
	return 0;
}

int vmgexit_psc(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		struct vmgexit_reply *reply)
{
	struct vmgexit *v = to_svm(vcpu)->vmgexit;
	struct psc_list *list = req->data;
	u64 room = (req->data_len - sizeof(list->hdr)) / sizeof(list->entries[0]);

	if (!userspace_wants_psc(vcpu->kvm))
		return psc_done(v, VMGEXIT_PSC_ERROR_GENERIC);

	if (list->hdr.end_entry >= min_t(u64, room, VMGEXIT_PSC_MAX_COUNT))
		return psc_done(v, VMGEXIT_PSC_ERROR_INVALID_HDR);

	v->psc.index = list->hdr.cur_entry;
	v->psc.count = 0;
	return psc_next(vcpu, v);
}

/*
 * One page, by way of the MSR.
 */
static int psc_msr_complete(struct kvm_vcpu *vcpu)
{
	to_svm(vcpu)->vmcb->control.ghcb_gpa =
		vcpu->run->hypercall.ret ? GHCB_MSR_PSC_RESP_ERROR : GHCB_MSR_PSC_RESP;
	return 1;
}

int snp_psc_msr(struct kvm_vcpu *vcpu, u64 request)
{
	struct psc_range range = {
		.gfn = GHCB_MSR_PSC_REQ_TO_GFN(request),
		.npages = 1,
		.operation = GHCB_MSR_PSC_REQ_TO_OP(request),
	};

	if (!is_known(range.operation) || !userspace_wants_psc(vcpu->kvm)) {
		to_svm(vcpu)->vmcb->control.ghcb_gpa = GHCB_MSR_PSC_RESP_ERROR;
		return 1;
	}

	return exit_map_gpa_range(vcpu, &range, psc_msr_complete);
}
