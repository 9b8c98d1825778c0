// SPDX-License-Identifier: GPL-2.0-only
/*
 * In which mode a vCPU is that a SEV-SNP guest has started from a VMSA of its own.
 *
 * KVM cannot read that, and has to find out before it matters: an exception that
 * goes through KVM has an error code in all modes but real mode, be it KVM's own or
 * one whose delivery was interrupted; and a write of EFER is right or wrong
 * depending on CR0.
 *
 * In each of these the vCPU does nothing before that makes it leave the guest, but
 * for what it is about.  Its end in the others is a request of the GHCB MSR's, which
 * says nothing of the mode.  The argument is a subtest, all of them without.
 */
#include <errno.h>
#include <string.h>

#include <linux/kernel.h>
#include <linux/sev-vcpu-record.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "sev_subtests.h"
#include "svm_util.h"
#include "test_util.h"
#include "ucall_common.h"

#define NO_SELECTOR		0xfff8	/* beyond the GDT */
#define REAL_MODE_SIZE		128

#define TERM_REASON		0xa5
#define TERM_REQUEST		(SEV_GHCB_MSR_TERM_REQ | TERM_REASON << 16)

kvm_static_assert(TERM_REQUEST == 0xa50100);
kvm_static_assert(MSR_EFER == 0xc0000080 && MSR_AMD64_SEV_ES_GHCB == 0xc0010130);

#define NAKED	__attribute__((naked))

/* Alike in 16 and 64 bits. */
#define TERMINATE				\
	"1:\n\t"				\
	"mov $0xc0010130, %ecx\n\t"		\
	"mov $0xa50100, %eax\n\t"		\
	"xor %edx, %edx\n\t"			\
	"wrmsr\n\t"				\
	"rep; vmmcall\n\t"			\
	"jmp 1b\n\t"

#define WRITE_EFER(what)			\
	"mov $0xc0000080, %ecx\n\t"		\
	"rdmsr\n\t"				\
	what ", %eax\n\t"			\
	"wrmsr\n\t"

/*
 * Where the vCPU starts in long mode.  Its stack has not been touched by anybody.
 */
static NAKED void ap_gp(void)
{
	asm volatile("mov $0xfff8, %eax\n\t"
		     "mov %eax, %ds\n\t"
		     "jmp ap_ends");
}

static NAKED void ap_efer_refused(void)
{
	asm volatile(WRITE_EFER("xor $1")		/* SCE */
		     "jmp ap_ends");
}

static NAKED void ap_cr0_and_efer(void)
{
	asm volatile("mov %cr0, %rax\n\t"
		     "xor $2, %rax\n\t"			/* MP */
		     "mov %rax, %cr0\n\t"
		     WRITE_EFER("xor $1")
		     "jmp ap_ends");
}

static NAKED void ap_cr0(void)
{
	asm volatile("mov %cr0, %rax\n\t"
		     "xor $2, %rax\n\t"
		     "mov %rax, %cr0\n\t"
		     TERMINATE);
}

static NAKED void ap_efer(void)
{
	asm volatile(WRITE_EFER("xor $1") TERMINATE);
}

static NAKED void ap_nothing(void)
{
	asm volatile(TERMINATE);
}

static NAKED void gp_handler(void)
{
	asm volatile("mov %rsp, %rdi\n\t"
		     "and $-16, %rsp\n\t"
		     "call ap_excepted");
}

static NAKED void gp_terminates(void)
{
	asm volatile(TERMINATE);
}

/*
 * Where it starts in real mode: a copy of this below 1M.  DI says how many steps it
 * takes towards long mode before it comes to its end.
 */
static NAKED __aligned(REAL_MODE_SIZE) void real_mode(void)
{
	asm volatile(".code16\n\t"
		     "sub $1, %di\n\t"
		     "jc 1f\n\t"
		     "mov %cr4, %eax\n\t"
		     "or $0x20, %eax\n\t"		/* PAE */
		     "mov %eax, %cr4\n\t"
		     "sub $1, %di\n\t"
		     "jc 1f\n\t"
		     WRITE_EFER("or $0x100")		/* LME */
		     "sub $1, %di\n\t"
		     "jc 1f\n\t"
		     "mov %cr0, %eax\n\t"
		     "or $0x80000001, %eax\n\t"		/* PG, PE */
		     "mov %eax, %cr0\n\t"
		     TERMINATE
		     ".code64");
}

/* What is to become of the vCPU; the guest has a copy. */
struct life {
	void (*entry)(void);
	int steps;		/* if there is no @entry */
	void (*handler)(void);	/* of #GP */
	bool raises;		/* a #GP */
	uint64_t error_code;
	bool no_nx;		/* if KVM is to refuse EFER as it is */

	/* If it terminates: what KVM knows then, of these bits. */
	uint64_t cr0, cr4, efer;
	bool at_least;
};

static struct life life;

/* Private to the guest. */
static struct idt_entry ap_idt[256] __aligned(PAGE_SIZE);

/*
 * Guest.
 */
void ap_ends(void)
{
	__GUEST_ASSERT(!life.raises, "There was no #GP");
	GUEST_DONE();
}

/* None of them is longer. */
static bool is_rip(uint64_t value)
{
	return value - (uint64_t)life.entry < 64;
}

void ap_excepted(const uint64_t *frame)
{
	__GUEST_ASSERT(life.raises, "#GP: 0x%lx, 0x%lx", frame[0], frame[1]);
	__GUEST_ASSERT(!is_rip(frame[0]) || frame[1] != get_cs(),
		       "#GP without an error code");
	GUEST_ASSERT_EQ(frame[0], life.error_code);
	GUEST_ASSERT(is_rip(frame[1]));
	GUEST_ASSERT_EQ(frame[2], get_cs());
	GUEST_DONE();
}

static void touch(void (*code)(void))
{
	READ_ONCE(*(const uint8_t *)code);
}

/* What is executed or read before the vCPU's first exit is to be there. */
static void fill_long_mode(struct sev_snp_vmsa *vmsa)
{
	struct desc_ptr idt = get_idt();
	uint64_t handler = (uint64_t)life.handler;

	memcpy(ap_idt, (void *)idt.address, sizeof(ap_idt));
	ap_idt[GP_VECTOR].offset0 = handler;
	ap_idt[GP_VECTOR].offset1 = handler >> 16;
	ap_idt[GP_VECTOR].offset2 = handler >> 32;

	touch(life.entry);
	touch(life.handler);
	sev_snp_fill_vmsa(vmsa, 1, life.entry, 0);
	vmsa->idtr.base = (uint64_t)ap_idt;
}

static void fill_real_mode(struct sev_snp_vmsa *vmsa)
{
	sev_snp_fill_vmsa_sipi(vmsa, SEV_SNP_TRAMPOLINE >> 12);
	vmsa->cr3 = get_cr3();
	vmsa->rdi = life.steps;
}

static void guest_code(void)
{
	struct sev_snp_ap *ap = &sev_snp_boot.aps[1];
	struct sev_ghcb_call call;

	if (life.entry)
		fill_long_mode(ap->vmsa);
	else
		fill_real_mode(ap->vmsa);

	GUEST_ASSERT_EQ(sev_snp_set_vmsa(ap->vmsa, true), 0);
	call = sev_snp_ap_create(1, ap->vmsa_gpa);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_DONE();
}

/*
 * Host.
 */
static void create(struct sev_snp_vm *snp)
{
	struct sev_snp_config config = SEV_SNP_DEFAULT_CONFIG;

	sev_snp_create(snp, &config, 2, guest_code);
	sev_snp_add_trampoline(snp);
	memcpy(addr_gpa2hva(snp->vm, SEV_SNP_TRAMPOLINE), real_mode, REAL_MODE_SIZE);

	/* The CPU lets the guest have EFER.NX set, and KVM does not. */
	if (life.no_nx)
		vcpu_clear_cpuid_feature(snp->vcpus[1], X86_FEATURE_NX);
	sync_global_to_guest(snp->vm, life);
	sev_snp_launch(snp);
}

static bool run_to_end(struct sev_snp_runner *r, bool terminates)
{
	while (sev_snp_run_once(r))
		;
	if (terminates ? r->terminated && r->term_data == TERM_REQUEST : r->done)
		return true;

	ksft_print_msg("vCPU %u: %s; exit %s, 0x%lx\n", r->vcpu->id, r->error,
		       exit_reason_str(r->vcpu->run->exit_reason), r->term_data);
	return false;
}

static bool matches(uint64_t value, uint64_t want, uint64_t bits)
{
	return (value & (life.at_least ? want : bits)) == want;
}

static bool knows(struct kvm_vcpu *vcpu)
{
	struct sev_vcpu_record rec = { .size = sizeof(rec) };
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_SEV_CTRL,
		.attr = KVM_VCPU_SEV_RECORD,
		.addr = (uintptr_t)&rec,
	};

	if (__vcpu_ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attr)) {
		ksft_print_msg("KVM_VCPU_SEV_RECORD: %s\n", strerror(errno));
		return false;
	}
	if (matches(rec.cr0, life.cr0, X86_CR0_PE | X86_CR0_PG) &&
	    matches(rec.cr4, life.cr4, X86_CR4_PAE) &&
	    matches(rec.efer, life.efer, EFER_LME | EFER_LMA))
		return true;

	ksft_print_msg("cr0 %llx cr4 %llx efer %llx\n", rec.cr0, rec.cr4, rec.efer);
	return false;
}

static bool run(const struct sev_subtest *t)
{
	struct sev_snp_runner runners[2] = { };
	struct sev_snp_vm snp;
	bool terminates, ok;
	int i;

	life = *(const struct life *)t->data;
	terminates = !life.raises && life.entry != ap_cr0_and_efer;
	create(&snp);
	for (i = 0; i < ARRAY_SIZE(runners); i++)
		runners[i].vcpu = snp.vcpus[i];

	ok = run_to_end(&runners[0], false) && run_to_end(&runners[1], terminates);
	if (ok && terminates)
		ok = knows(snp.vcpus[1]);
	sev_snp_free(&snp);
	return ok;
}

#define NO_PAGING	.cr0 = 0, .cr4 = 0, .efer = 0
#define PROTECTED	.cr0 = X86_CR0_PE, .at_least = true
#define LONG_MODE	.cr0 = X86_CR0_PE | X86_CR0_PG, .cr4 = X86_CR4_PAE,	\
			.efer = EFER_LME | EFER_LMA

#define LIFE(name, ...)	{ name, run, &(const struct life){ __VA_ARGS__ } }

#define EXCEPTION(name, ...)	\
	LIFE(#name, ap_##name, 0, gp_handler, true, __VA_ARGS__)

static const struct sev_subtest subtests[] = {
	EXCEPTION(gp, NO_SELECTOR),
	EXCEPTION(efer_refused, 0, .no_nx = true),
	LIFE("cr0_and_efer", ap_cr0_and_efer, 0, gp_handler),

	LIFE("knows_from_gp", ap_gp, 0, gp_terminates, PROTECTED),
	LIFE("knows_from_cr0", ap_cr0, 0, gp_terminates, LONG_MODE),
	LIFE("knows_from_efer", ap_efer, 0, gp_terminates, LONG_MODE),
	LIFE("knows_nothing", ap_nothing, 0, gp_terminates, NO_PAGING),

	LIFE("real_mode", NULL, 0, NULL, NO_PAGING),
	LIFE("real_mode_cr4", NULL, 1, NULL, .cr4 = X86_CR4_PAE),
	LIFE("real_mode_efer", NULL, 2, NULL, .cr4 = X86_CR4_PAE, .efer = EFER_LME),
	LIFE("real_mode_cr0", NULL, 3, NULL, LONG_MODE),
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE_SEV_SNP();

	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
