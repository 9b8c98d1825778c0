// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV-SNP guests, the guest's side: the state of pages.
 *
 * A page is private for the hypervisor, which is what a page state change
 * asks for, and for the guest, which is PVALIDATE.  The guest is never without
 * protection if it validates last and rescinds first.
 */
#include <linux/bitfield.h>
#include <linux/kernel.h>
#include <linux/sizes.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "svm_util.h"
#include "ucall_common.h"

/* Valid in the guest's copy of the binary only. */
struct sev_snp_boot sev_snp_boot;

/*
 * Instructions; not every assembler has them.
 */
int sev_snp_pvalidate(uint64_t gva, uint32_t size, bool validate)
{
	bool no_change;
	uint32_t rc;

	asm volatile(".byte 0xf2, 0x0f, 0x01, 0xff"
		     : "=a" (rc), "=@ccc" (no_change)
		     : "a" (gva), "c" (size), "d" (validate)
		     : "memory");

	return !rc && no_change ? SEV_SNP_NO_CHANGE : rc;
}

int sev_snp_rmpadjust(uint64_t gva, uint32_t size, uint64_t attributes)
{
	uint32_t rc;

	asm volatile(".byte 0xf3, 0x0f, 0x01, 0xfe"
		     : "=a" (rc)
		     : "a" (gva), "c" (size), "d" (attributes)
		     : "memory", "cc");
	return rc;
}

/*
 * Page state changes.
 */
uint64_t sev_snp_psc_once(struct sev_snp_psc *psc)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_PSC, 0, 0);

	call.scratch = sev_ghcb_buf_gpa();
	call.valid |= SEV_GHCB_SCRATCH;
	call.buf_in = psc;
	call.buf_out = psc;
	call.buf_len = sizeof(*psc);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);

	return call.info2;
}

uint32_t sev_snp_psc_msr(uint64_t gpa, uint32_t op)
{
	uint64_t response;

	response = sev_ghcb_msr_call((gpa & SEV_GHCB_MSR_PSC_GFN) |
				     FIELD_PREP(SEV_GHCB_MSR_PSC_OP, op) |
				     SEV_GHCB_MSR_PSC_REQ);
	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_CODE, response),
			SEV_GHCB_MSR_PSC_RESP);

	return FIELD_GET(SEV_GHCB_MSR_PSC_ERROR, response);
}

/* The hypervisor may do as much of it at a time as it likes. */
void sev_snp_psc_all(struct sev_snp_psc *psc)
{
	uint16_t before;
	uint64_t status;

	while (psc->cur_entry <= psc->end_entry) {
		before = psc->cur_entry;
		status = sev_snp_psc_once(psc);
		__GUEST_ASSERT(!status, "page state change: 0x%lx", status);
		GUEST_ASSERT(psc->cur_entry > before);
	}
}

/* Not on the stack: with those of tests they would come to half of it. */
static struct sev_snp_psc psc_lists[SEV_SNP_MAX_VCPUS];

static void psc_range(uint64_t gpa, uint64_t size, uint32_t op)
{
	struct sev_snp_psc *psc = &psc_lists[sev_ghcb_this_cpu()->vcpu_id];
	uint64_t end = gpa + size, step;
	int n;

	while (gpa < end) {
		for (n = 0; n < SEV_SNP_PSC_MAX && gpa < end; n++, gpa += step) {
			step = gpa % SZ_2M || end - gpa < SZ_2M ? PAGE_SIZE : SZ_2M;
			psc->entries[n] = gpa | FIELD_PREP(SEV_SNP_PSC_OP, op) |
					  (step == SZ_2M ? SEV_SNP_PSC_2M : 0);
		}
		psc->cur_entry = 0;
		psc->end_entry = n - 1;
		psc->reserved = 0;
		sev_snp_psc_all(psc);
	}
}

static void validate_4k(uint64_t gva, uint64_t size, bool validate)
{
	uint64_t end = gva + size;
	int rc;

	for (; gva < end; gva += PAGE_SIZE) {
		rc = sev_snp_pvalidate(gva, SEV_SNP_4K, validate);
		__GUEST_ASSERT(!rc, "PVALIDATE of 0x%lx: %d", gva, rc);
	}
}

void sev_snp_validate(const struct sev_snp_mem *mem, uint64_t offset,
		      uint64_t size, bool validate)
{
	uint64_t gva = mem->private + offset, end = gva + size, step;
	int rc;

	for (; gva < end; gva += step) {
		step = gva % SZ_2M || end - gva < SZ_2M ? PAGE_SIZE : SZ_2M;
		rc = SEV_SNP_FAIL_SIZEMISMATCH;
		if (step == SZ_2M)
			rc = sev_snp_pvalidate(gva, SEV_SNP_2M, validate);
		if (rc == SEV_SNP_FAIL_SIZEMISMATCH)
			validate_4k(gva, step, validate);
		else
			__GUEST_ASSERT(!rc, "PVALIDATE of 2M at 0x%lx: %d", gva, rc);
	}
}

void sev_snp_make_private(const struct sev_snp_mem *mem, uint64_t offset,
			  uint64_t size)
{
	psc_range(mem->gpa + offset, size, SEV_SNP_PSC_PRIVATE);
	sev_snp_validate(mem, offset, size, true);
}

void sev_snp_make_shared(const struct sev_snp_mem *mem, uint64_t offset,
			 uint64_t size)
{
	sev_snp_validate(mem, offset, size, false);
	psc_range(mem->gpa + offset, size, SEV_SNP_PSC_SHARED);
}
