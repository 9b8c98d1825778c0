// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV-SNP guests, the guest's side: the state of pages, and other vCPUs.
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
static void psc_all(struct sev_snp_psc *psc)
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
		psc_all(psc);
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

/*
 * Other vCPUs.
 */
#define SEG_CODE64	0xa9b
#define SEG_DATA	0xc93
#define SEG_TSS64	0x08b
#define SEG_CODE16	0x09a
#define SEG_DATA16	0x092
#define SEG_LDT		0x082
#define SEG_TSS16	0x083

#define PAT_RESET	0x0007040600070406ull
#define DR6_RESET	0xffff0ff0ull
#define DR7_RESET	0x400ull
#define CR0_RESET	0x60000010ull
#define CR4_MCE		BIT_ULL(6)
#define MXCSR_RESET	0x1f80

uint64_t sev_snp_features(void)
{
	/* Below them are bits for SEV and SEV-ES. */
	return rdmsr(MSR_AMD64_SEV) >> 2;
}

static struct sev_snp_seg segment(uint16_t selector, uint16_t attrib,
				  uint32_t limit, uint64_t base)
{
	return (struct sev_snp_seg) {
		.selector = selector,
		.attrib = attrib,
		.limit = limit,
		.base = base,
	};
}

static void fill_common(struct sev_snp_vmsa *vmsa)
{
	memset(vmsa, 0, sizeof(*vmsa));
	vmsa->dr6 = DR6_RESET;
	vmsa->dr7 = DR7_RESET;
	vmsa->rflags = BIT(1);
	vmsa->g_pat = PAT_RESET;
	vmsa->xcr0 = XFEATURE_MASK_FP;
	vmsa->mxcsr = MXCSR_RESET;
	vmsa->sev_features = sev_snp_features();
}

void sev_snp_fill_vmsa(struct sev_snp_vmsa *vmsa, uint32_t id, void *entry,
		       uint64_t arg)
{
	struct sev_ghcb_cpu *cpu = (void *)sev_snp_boot.aps[id].cpu;
	struct desc_ptr gdt = get_gdt(), idt = get_idt();
	uint16_t tr = get_tr();

	/* Whoever had this vCPU before may have left in the middle of a call. */
	cpu->version = 0;
	cpu->depth = 0;

	fill_common(vmsa);
	vmsa->cs = segment(get_cs(), SEG_CODE64, ~0u, 0);
	vmsa->ss = segment(get_ds(), SEG_DATA, ~0u, 0);
	vmsa->ds = vmsa->ss;
	vmsa->es = vmsa->ss;
	vmsa->fs = vmsa->ss;
	vmsa->gs = segment(get_ds(), SEG_DATA, ~0u, (uint64_t)cpu);
	vmsa->gdtr = segment(0, 0, gdt.size, gdt.address);
	vmsa->idtr = segment(0, 0, idt.size, idt.address);
	vmsa->ldtr = segment(0, SEG_LDT, 0xffff, 0);
	vmsa->tr = segment(tr, SEG_TSS64, 0x67,
			   get_desc64_base((void *)(gdt.address + tr)));
	vmsa->efer = rdmsr(MSR_EFER) | EFER_SVME;
	vmsa->cr0 = get_cr0();
	vmsa->cr3 = get_cr3();
	vmsa->cr4 = get_cr4();
	vmsa->rip = (uint64_t)entry;
	vmsa->rsp = sev_snp_boot.aps[id].stack;
	vmsa->rdi = arg;
	vmsa->x87_fcw = 0x37f;
}

void sev_snp_fill_vmsa_sipi(struct sev_snp_vmsa *vmsa, uint8_t vector)
{
	fill_common(vmsa);
	vmsa->cs = segment(vector << 8, SEG_CODE16, 0xffff, (uint64_t)vector << 12);
	vmsa->ds = segment(0, SEG_DATA16, 0xffff, 0);
	vmsa->es = vmsa->ds;
	vmsa->fs = vmsa->ds;
	vmsa->gs = vmsa->ds;
	vmsa->ss = vmsa->ds;
	vmsa->gdtr = segment(0, 0, 0xffff, 0);
	vmsa->idtr = segment(0, 0, 0xffff, 0);
	vmsa->ldtr = segment(0, SEG_LDT, 0xffff, 0);
	vmsa->tr = segment(0, SEG_TSS16, 0xffff, 0);
	vmsa->efer = EFER_SVME;
	vmsa->cr0 = CR0_RESET;
	vmsa->cr4 = get_cr4() & CR4_MCE;
	vmsa->x87_ftw = 0x5555;
	vmsa->x87_fcw = 0x40;
}

/* Whichever VMPL it is about: any but the caller's own. */
int sev_snp_set_vmsa(struct sev_snp_vmsa *vmsa, bool set)
{
	return sev_snp_rmpadjust((uint64_t)vmsa, SEV_SNP_4K,
				 FIELD_PREP(SEV_SNP_RMPADJUST_VMPL, 1) |
				 (set ? SEV_SNP_RMPADJUST_VMSA : 0));
}

static struct sev_ghcb_call ap_creation(uint32_t request, uint32_t apic_id,
					uint64_t vmsa_gpa)
{
	return sev_ghcb_event(SVM_VMGEXIT_AP_CREATION,
			      (uint64_t)apic_id << 32 | request, vmsa_gpa);
}

struct sev_ghcb_call sev_snp_ap_create(uint32_t apic_id, uint64_t vmsa_gpa)
{
	struct sev_ghcb_call call = ap_creation(SVM_VMGEXIT_AP_CREATE, apic_id,
						vmsa_gpa);

	call.rax = sev_snp_features();
	call.valid |= SEV_GHCB_RAX;
	return call;
}

struct sev_ghcb_call sev_snp_ap_create_on_init(uint32_t apic_id,
					       uint64_t vmsa_gpa)
{
	struct sev_ghcb_call call = sev_snp_ap_create(apic_id, vmsa_gpa);

	call.info1 = (uint64_t)apic_id << 32 | SVM_VMGEXIT_AP_CREATE_ON_INIT;
	return call;
}

struct sev_ghcb_call sev_snp_ap_destroy(uint32_t apic_id)
{
	return ap_creation(SVM_VMGEXIT_AP_DESTROY, apic_id, 0);
}

void sev_snp_start_ap(uint32_t id, void *entry, uint64_t arg)
{
	struct sev_snp_ap *ap = &sev_snp_boot.aps[id];
	struct sev_ghcb_call call;
	int rc;

	sev_snp_fill_vmsa(ap->vmsa, id, entry, arg);
	rc = sev_snp_set_vmsa(ap->vmsa, true);
	__GUEST_ASSERT(!rc, "RMPADJUST of a VMSA: %d", rc);

	call = sev_snp_ap_create(id, ap->vmsa_gpa);
	sev_ghcb_vmgexit(&call);
	__GUEST_ASSERT(call.info1 == SEV_GHCB_OK, "AP creation: 0x%lx (%s)",
		       call.info1, sev_ghcb_error_str(call.info2));
}
