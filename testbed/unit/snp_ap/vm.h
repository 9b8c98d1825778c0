/* SPDX-License-Identifier: GPL-2.0 */
/* The VM of the test: its pages, its vCPUs, and a check that says what was being done. */
#ifndef SNP_AP_VM_H
#define SNP_AP_VM_H

#include "stubs.h"
#include "snp_ap.h"

#define CHECK(cond) do {						\
	if (!(cond)) {							\
		fprintf(stderr, "%s:%d: %s (%s)\n", __FILE__, __LINE__, #cond, doing);	\
		abort();						\
	}								\
} while (0)

extern char doing[256];

/* A page of the guest's has one gfn; where it is, is gfn + PFN_OFFSET. */
#define FIRST_GFN	0x1fcull
#define NR_PAGES	4
#define ALL_PAGES	5	/* the last is 2M-aligned */
#define PFN_OFFSET	0x10000
#define NO_PAGE		-1
#define PAGE_GPA	(FIRST_GFN << 12)	/* page 0 */

struct page {
	bool slot, private, present, assigned;
};

extern struct page pages[ALL_PAGES];
extern struct kvm_memory_slot slot;

static inline gfn_t page_gfn(int page) { return page == NO_PAGE ? SNP_AP_NO_GFN : FIRST_GFN + page; }
static inline hpa_t page_hpa(int page) { return (FIRST_GFN + page + PFN_OFFSET) << 12; }

static inline int gfn_page(gfn_t gfn)
{
	return gfn - FIRST_GFN < ALL_PAGES ? (int)(gfn - FIRST_GFN) : NO_PAGE;
}

bool page_is_there(int page);

#define NR_VCPUS	3
#define FEATURES	(SVM_SEV_FEAT_SNP_ACTIVE | BIT(5))

extern struct kvm kvm;
extern struct vcpu_svm vcpus[NR_VCPUS];

static inline struct kvm_vcpu *vcpu(int i) { return &vcpus[i].vcpu; }
static inline struct snp_ap *ap(int i) { return &vcpus[i].sev_es.snp_ap; }
static inline hpa_t own_page(int i) { return 0x7000000 + ((hpa_t)i << 12); }

void init_vm(void);
void check_no_locks(void);

#endif
