// SPDX-License-Identifier: GPL-2.0
/*
 * SNP AP creation: the states of a vCPU's VMSA.  snp_ap_state.h describes them;
 * snp_ap.c has the locks, and does to pages and vCPUs what follows from here.
 *
 * This file is compiled for tests in userland, too.
 */
#include <linux/bitfield.h>
#include <linux/bug.h>
#include <linux/kvm_host.h>

#include <asm/svm.h>

#include "snp_ap_state.h"

/* GHCB spec, SNP AP Creation: what is in SW_EXITINFO1. */
#define AP_REQUEST	GENMASK_ULL(15, 0)
#define AP_VMPL		GENMASK_ULL(19, 16)
#define AP_RESERVED	GENMASK_ULL(31, 20)
#define AP_APIC_ID	GENMASK_ULL(63, 32)

void snp_ap_reset(struct snp_ap *ap)
{
	*ap = (struct snp_ap) {
		.state = SNP_AP_NONE,
		.gfn = SNP_AP_NO_GFN,
		.hpa = INVALID_PAGE,
		.next_gfn = SNP_AP_NO_GFN,
	};
}

/*
 * Checks.
 */

/*
 * A page at the start of 2M is refused for the sake of the CPU erratum that
 * makes snp_safe_alloc_page() skip such pages: a guest that has RMPADJUSTed all
 * of the 2M could make the host fault on the neighbours.
 */
static bool is_page_ok(gpa_t gpa)
{
	return PAGE_ALIGNED(gpa) && !IS_ALIGNED(gpa, PMD_SIZE);
}

/*
 * What the new VMSA holds is a secret, so KVM has to trust RAX in this.  All
 * bits have to be the VM's: KVM sets vCPUs up by them, interrupt injection for
 * one, and the CPU would make nonsense of what does not match.
 */
static bool are_features_ok(u64 features, u64 vm_features)
{
	return features == vm_features && (features & SVM_SEV_FEAT_SNP_ACTIVE);
}

int snp_ap_parse(struct snp_ap_req *req, u64 info1, u64 info2, u64 features,
		 u64 vm_features)
{
	*req = (struct snp_ap_req) {
		.request = FIELD_GET(AP_REQUEST, info1),
		.apic_id = FIELD_GET(AP_APIC_ID, info1),
		.gfn = SNP_AP_NO_GFN,
	};

	/* KVM runs all of a guest at VMPL0. */
	if (info1 & (AP_VMPL | AP_RESERVED) ||
	    req->request > SVM_VMGEXIT_AP_DESTROY)
		return -EINVAL;

	if (req->request == SVM_VMGEXIT_AP_DESTROY)
		return 0;

	if (!is_page_ok(info2) || !are_features_ok(features, vm_features))
		return -EINVAL;

	req->gfn = gpa_to_gfn(info2);
	return 0;
}

static bool is_pending(const struct snp_ap *ap)
{
	return ap->next_gfn != SNP_AP_NO_GFN;
}

/* If that page is the vCPU's VMSA, or waits to become it. */
bool snp_ap_has(const struct snp_ap *ap, gfn_t gfn)
{
	return gfn != SNP_AP_NO_GFN && (ap->gfn == gfn || ap->next_gfn == gfn);
}

/*
 * May the target get this page for its VMSA?  What it has now does not matter
 * by default: guests replace VMSAs without destroying vCPUs first.  A vCPU that
 * replaces its own is out of its mind, though; what it runs on is in use.
 */
static int check_create(const struct snp_ap *ap, const struct snp_ap_req *req,
			bool strict)
{
	if (req->self)
		return -EPERM;
	if (strict && (ap->state == SNP_AP_LIVE || is_pending(ap)))
		return -EPERM;
	return req->taken ? -EBUSY : 0;
}

int snp_ap_check(const struct snp_ap *ap, const struct snp_ap_req *req,
		 bool strict)
{
	return req->request == SVM_VMGEXIT_AP_DESTROY ? 0 :
	       check_create(ap, req, strict);
}

/* INIT is of use to a vCPU that has a VMSA, or gets one from it. */
bool snp_ap_can_init(const struct snp_ap *ap)
{
	return is_pending(ap) ||
	       (ap->state != SNP_AP_NONE && ap->state != SNP_AP_DESTROYED);
}

/*
 * If there is anything left to destroy.  A page that waits for INIT is: the vCPU
 * may be about to take it, and has to be told that it must not.
 */
bool snp_ap_can_destroy(const struct snp_ap *ap)
{
	return is_pending(ap) || ap->state != SNP_AP_DESTROYED;
}

/*
 * Transitions.
 */
static void drop_pending(struct snp_ap *ap)
{
	ap->next_gfn = SNP_AP_NO_GFN;
	ap->next_cr4 = 0;
}

void snp_ap_launch(struct snp_ap *ap, hpa_t hpa)
{
	WARN_ON_ONCE(ap->state != SNP_AP_NONE);

	ap->state = SNP_AP_MEASURED;
	ap->hpa = hpa;
}

void snp_ap_create(struct snp_ap *ap, const struct snp_ap_req *req, hpa_t hpa)
{
	drop_pending(ap);
	ap->state = SNP_AP_LIVE;
	ap->gfn = req->gfn;
	ap->hpa = hpa;
	ap->cr4 = req->cr4;
	ap->change = SNP_AP_START;
}

void snp_ap_create_on_init(struct snp_ap *ap, const struct snp_ap_req *req)
{
	ap->next_gfn = req->gfn;
	ap->next_cr4 = req->cr4;
}

void snp_ap_destroy(struct snp_ap *ap)
{
	drop_pending(ap);
	ap->state = SNP_AP_DESTROYED;
	ap->gfn = SNP_AP_NO_GFN;
	ap->hpa = INVALID_PAGE;
	ap->change = SNP_AP_STOP;
}

/*
 * The vCPU takes an INIT.  True if it gets another VMSA by that, which it does
 * not have yet: where the page is, the caller has to find out.
 */
bool snp_ap_init(struct snp_ap *ap)
{
	if (!is_pending(ap))
		return false;

	ap->state = SNP_AP_LOST;
	ap->gfn = ap->next_gfn;
	ap->hpa = INVALID_PAGE;
	ap->cr4 = ap->next_cr4;
	ap->change = SNP_AP_UNCHANGED;
	drop_pending(ap);
	return true;
}

void snp_ap_find(struct snp_ap *ap, hpa_t hpa)
{
	WARN_ON_ONCE(ap->state != SNP_AP_LOST);

	ap->state = SNP_AP_LIVE;
	ap->hpa = hpa;
}

/* True if it was the VMSA that went away. */
bool snp_ap_lose(struct snp_ap *ap, gfn_t start, gfn_t end)
{
	if (ap->state != SNP_AP_LIVE || ap->gfn < start || ap->gfn >= end)
		return false;

	ap->state = SNP_AP_LOST;
	ap->hpa = INVALID_PAGE;
	return true;
}

enum snp_ap_change snp_ap_take_change(struct snp_ap *ap)
{
	enum snp_ap_change change = ap->change;

	ap->change = SNP_AP_UNCHANGED;
	return change;
}
