/* SPDX-License-Identifier: GPL-2.0 */
/*
 * SNP AP creation: which VMSA a vCPU has, and what becomes of it.
 *
 * A vCPU's registers are in its VMSA, a page that the RMP marks as one and that
 * VMRUN takes by its host address.  The first one is KVM's: the launch encrypts
 * and measures it.  All others are the guest's: it fills a private page of its
 * own, has the CPU mark it (RMPADJUST), and gives it to KVM along with the vCPU
 * (GHCB spec, SNP AP Creation).
 *
 *   NONE       The vCPU has never had a VMSA: the VM is not launched yet, or
 *              was when the vCPU was created.  KVM's page is blank, writable
 *              for KVM, and not in the RMP.  mp_state is whatever userspace and
 *              LAPIC say.
 *   MEASURED   KVM's page is the VMSA, encrypted by the launch.  In the RMP it
 *              is the guest's and marked; only VMRUN writes it.  KVM holds it
 *              until the vCPU is freed, run or not.  Any mp_state but STOPPED.
 *   LIVE       A page of the guest's is the VMSA, and VMRUN may write it at any
 *              time.  The guest has marked it in the RMP; KVM cannot see that,
 *              and VMRUN fails if it is not so.  guest_memfd holds the page:
 *              KVM has no reference, and is told before the page goes away.
 *              Any mp_state but STOPPED; RUNNABLE to begin with.
 *   LOST       As LIVE, but the page is out of KVM's reach: a hole punched into
 *              guest_memfd, the memslot deleted, the range made shared.  There
 *              is no host address, and no VMRUN.  The gfn stays taken.
 *   DESTROYED  The vCPU has no VMSA any more; the page that was, is the guest's
 *              to reuse.  mp_state is STOPPED.
 *
 * Nothing leads back to MEASURED: registers that were measured once are not run
 * a second time.
 *
 * In any of them a page may wait for INIT (CREATE_ON_INIT).  It is taken, so
 * that no other vCPU can have it, but it is not in use: the guest may write and
 * even free it, and it is looked at anew when INIT comes.
 *
 * Nothing here sleeps, or touches a page or a vCPU: snp_ap.c does, under locks
 * that are described there.  Checks change nothing; what changes something has
 * been checked, and cannot fail.
 */
#ifndef __KVM_X86_SVM_SNP_AP_STATE_H
#define __KVM_X86_SVM_SNP_AP_STATE_H

#include <linux/kvm_types.h>

enum snp_ap_state {
	SNP_AP_NONE,
	SNP_AP_MEASURED,
	SNP_AP_LIVE,
	SNP_AP_LOST,
	SNP_AP_DESTROYED,
};

#define SNP_AP_NO_GFN	(~(gfn_t)0)

/* What the vCPU has to do before it may run again. */
enum snp_ap_change {
	SNP_AP_UNCHANGED,
	SNP_AP_START,
	SNP_AP_STOP,
};

/**
 * struct snp_ap - the VMSA of a vCPU
 * @state:	see above
 * @change:	a request that the vCPU's thread has not taken over yet
 * @gfn:	of the VMSA if it is the guest's, else SNP_AP_NO_GFN
 * @hpa:	of the VMSA, INVALID_PAGE if there is none to run
 * @next_gfn:	of the page that waits for INIT, else SNP_AP_NO_GFN
 * @cr4:	of the vCPU that made the request for @gfn
 * @next_cr4:	of the vCPU that made the request for @next_gfn
 */
struct snp_ap {
	enum snp_ap_state state;
	enum snp_ap_change change;
	gfn_t gfn;
	hpa_t hpa;
	gfn_t next_gfn;
	unsigned long cr4;
	unsigned long next_cr4;
};

/**
 * struct snp_ap_req - a request of the guest
 * @request:	SVM_VMGEXIT_AP_*
 * @apic_id:	of the target
 * @gfn:	of the new VMSA, SNP_AP_NO_GFN for DESTROY
 * @cr4:	of the vCPU that asks, as far as KVM knows
 * @self:	the vCPU that asks is the target
 * @taken:	another vCPU has the page
 */
struct snp_ap_req {
	unsigned int request;
	u32 apic_id;
	gfn_t gfn;
	unsigned long cr4;
	bool self;
	bool taken;
};

void snp_ap_reset(struct snp_ap *ap);

/* Checks: 0; -EINVAL if malformed, -EPERM if the state forbids it, -EBUSY. */
int snp_ap_parse(struct snp_ap_req *req, u64 info1, u64 info2, u64 features,
		 u64 vm_features);
int snp_ap_check(const struct snp_ap *ap, const struct snp_ap_req *req,
		 bool strict);
bool snp_ap_has(const struct snp_ap *ap, gfn_t gfn);
bool snp_ap_can_init(const struct snp_ap *ap);
bool snp_ap_can_destroy(const struct snp_ap *ap);

/* NONE -> MEASURED */
void snp_ap_launch(struct snp_ap *ap, hpa_t hpa);

/* Any -> LIVE, or DESTROYED; CREATE_ON_INIT leaves the state as it is. */
void snp_ap_create(struct snp_ap *ap, const struct snp_ap_req *req, hpa_t hpa);
void snp_ap_create_on_init(struct snp_ap *ap, const struct snp_ap_req *req);
void snp_ap_destroy(struct snp_ap *ap);

/* Any -> LOST, and from there LIVE if the page is still the guest's. */
bool snp_ap_init(struct snp_ap *ap);
void snp_ap_find(struct snp_ap *ap, hpa_t hpa);

/* LIVE -> LOST */
bool snp_ap_lose(struct snp_ap *ap, gfn_t start, gfn_t end);

enum snp_ap_change snp_ap_take_change(struct snp_ap *ap);

#endif /* __KVM_X86_SVM_SNP_AP_STATE_H */
