// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV-SNP guests: vCPUs that a guest starts, from VMSAs that it has made.
 *
 * They start in long mode right away, or in real mode as INIT and a SIPI would
 * leave them.  From there a trampoline brings them to long mode.  Its page is
 * below 1M, and mapped at its own address, for there they go on.
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

/*
 * VMSAs.
 */
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
	uint64_t cpu = sev_snp_boot.aps[id].cpu;
	struct desc_ptr gdt = get_gdt(), idt = get_idt();
	uint16_t tr = get_tr();

	fill_common(vmsa);
	vmsa->cs = segment(get_cs(), SEG_CODE64, ~0u, 0);
	vmsa->ds = segment(get_ds(), SEG_DATA, ~0u, 0);
	vmsa->es = vmsa->ds;
	vmsa->fs = vmsa->ds;
	vmsa->ss = vmsa->ds;
	vmsa->gs = segment(get_ds(), SEG_DATA, ~0u, cpu);
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

/*
 * AP creation.
 */
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
	struct sev_ghcb_call call = ap_creation(SVM_VMGEXIT_AP_CREATE_ON_INIT,
						apic_id, vmsa_gpa);

	call.rax = sev_snp_features();
	call.valid |= SEV_GHCB_RAX;
	return call;
}

struct sev_ghcb_call sev_snp_ap_destroy(uint32_t apic_id)
{
	return ap_creation(SVM_VMGEXIT_AP_DESTROY, apic_id, 0);
}

static void launch_ap(uint32_t id)
{
	struct sev_snp_ap *ap = &sev_snp_boot.aps[id];
	struct sev_ghcb_cpu *cpu = (void *)ap->cpu;
	struct sev_ghcb_call call;
	int rc;

	/* Whoever had this vCPU before may have left in the middle of a call. */
	cpu->version = 0;
	cpu->depth = 0;

	rc = sev_snp_set_vmsa(ap->vmsa, true);
	__GUEST_ASSERT(!rc, "RMPADJUST of a VMSA: %d", rc);

	call = sev_snp_ap_create(id, ap->vmsa_gpa);
	sev_ghcb_vmgexit(&call);
	__GUEST_ASSERT(call.info1 == SEV_GHCB_OK, "AP creation: 0x%lx (%s)",
		       call.info1, sev_ghcb_error_str(call.info2));
}

void sev_snp_start_ap(uint32_t id, void *entry, uint64_t arg)
{
	sev_snp_fill_vmsa(sev_snp_boot.aps[id].vmsa, id, entry, arg);
	launch_ap(id);
}

/*
 * The trampoline; the rest of it is in sev_snp_trampoline.S.
 */
struct trampoline {
	struct desc_ptr gdt;
	struct desc_ptr idt;
	uint32_t cr0;
	uint32_t cr3;
	uint32_t cr4;
	uint32_t efer;
	uint32_t far_rip;
	uint16_t far_cs;
	uint16_t ds;
	uint64_t cpu;
	uint64_t stack;
	uint64_t entry;
	uint64_t arg;
	uint64_t taken;		/* by the one that started here */
} __packed;

static uint64_t moved(const uint8_t *label)
{
	return SEV_SNP_TRAMPOLINE + (label - sev_snp_trampoline);
}

void sev_snp_add_trampoline(struct sev_snp_vm *snp)
{
	struct kvm_vm *vm = snp->vm;
	vm_paddr_t gpa;

	TEST_ASSERT_EQ(sev_snp_trampoline_end - sev_snp_trampoline_data,
		       sizeof(struct trampoline));

	/* Below what the library allocates for itself. */
	gpa = vm_phy_page_alloc(vm, SEV_SNP_TRAMPOLINE, 0);
	TEST_ASSERT_EQ(gpa, SEV_SNP_TRAMPOLINE);
	virt_map(vm, gpa, gpa, 1);
	memcpy(addr_gpa2hva(vm, gpa), sev_snp_trampoline,
	       sev_snp_trampoline_end - sev_snp_trampoline);
}

void sev_snp_start_ap_sipi(uint32_t id, void *entry, uint64_t arg)
{
	struct trampoline *t = (void *)moved(sev_snp_trampoline_data);
	struct sev_snp_ap *ap = &sev_snp_boot.aps[id];

	*t = (struct trampoline) {
		.gdt = get_gdt(),
		.idt = get_idt(),
		.cr0 = get_cr0(),
		.cr3 = get_cr3(),
		.cr4 = get_cr4(),
		.efer = rdmsr(MSR_EFER) & ~EFER_LMA,
		.far_rip = moved(sev_snp_trampoline_64),
		.far_cs = get_cs(),
		.ds = get_ds(),
		.cpu = ap->cpu,
		.stack = ap->stack,
		.entry = (uint64_t)entry,
		.arg = arg,
	};

	sev_snp_fill_vmsa_sipi(ap->vmsa, SEV_SNP_TRAMPOLINE >> 12);
	launch_ap(id);

	/* There is only one, for the next to use. */
	while (!READ_ONCE(t->taken))
		cpu_relax();
}
