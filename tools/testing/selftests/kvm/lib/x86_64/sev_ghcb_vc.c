// SPDX-License-Identifier: GPL-2.0-only
/*
 * The #VC handler of SEV-ES guests: does what the instruction asks for by way
 * of the GHCB.
 *
 * Nothing here may take a #VC itself, which rules out ucalls, except to report
 * an instruction that cannot be emulated: that ends the test anyway.
 */
#include <linux/kernel.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "ucall_common.h"

void sev_ghcb_handle_vc(struct ex_regs *regs);

/* Valid in the guest's copy of the binary only. */
bool (*sev_ghcb_not_validated)(struct ex_regs *regs, uint64_t gva);

/* As much of an instruction as the handlers below want to know. */
struct vc_insn {
	const uint8_t *next;	/* the first byte that is not decoded yet */
	uint16_t opcode;	/* 0x0fXX for two-byte opcodes */
	uint8_t rex;
	bool opsize16;
	bool rep;
	uint8_t reg;		/* ModRM.reg with REX.R */
	uint64_t addr;		/* effective address of a memory operand */
	uint8_t *rm;		/* register operand, if it is one */
};

#define REX_B	BIT(0)
#define REX_X	BIT(1)
#define REX_R	BIT(2)
#define REX_W	BIT(3)

static void vc_unhandled(struct ex_regs *regs, const char *what)
{
	const uint8_t *code = (const uint8_t *)regs->rip;

	GUEST_FAIL("#VC 0x%lx at RIP 0x%lx: %s (%02x %02x %02x %02x %02x)",
		   regs->error_code, regs->rip, what,
		   code[0], code[1], code[2], code[3], code[4]);
}

/* The CPU pushed RSP and SS right above what struct ex_regs covers. */
static uint64_t *vc_rsp(struct ex_regs *regs)
{
	return (uint64_t *)(regs + 1);
}

static uint64_t *vc_reg(struct ex_regs *regs, uint8_t nr)
{
	/* In the order in which the CPU numbers them. */
	switch (nr) {
	case 0 ... 3:
		return &regs->rax + nr;
	case 4:
		return vc_rsp(regs);
	case 5 ... 15:
		return &regs->rbp + (nr - 5);
	default:
		return NULL;
	}
}

/* Without a REX prefix, numbers 4 to 7 of byte registers are AH to BH. */
static uint8_t *vc_reg8(struct ex_regs *regs, const struct vc_insn *insn,
			uint8_t nr)
{
	if (!insn->rex && nr >= 4)
		return (uint8_t *)vc_reg(regs, nr - 4) + 1;

	return (uint8_t *)vc_reg(regs, nr);
}

static void vc_decode_opcode(struct ex_regs *regs, struct vc_insn *insn)
{
	const uint8_t *p = (const uint8_t *)regs->rip;

	memset(insn, 0, sizeof(*insn));

	for (;; p++) {
		if (*p == 0x66)
			insn->opsize16 = true;
		else if (*p == 0xf3 || *p == 0xf2)
			insn->rep = true;
		else
			break;
	}

	if ((*p & 0xf0) == 0x40)
		insn->rex = *p++;

	insn->opcode = *p++;
	if (insn->opcode == 0x0f)
		insn->opcode = 0x0f00 | *p++;

	insn->next = p;
}

static int32_t vc_decode_s32(struct vc_insn *insn)
{
	int32_t value;

	memcpy(&value, insn->next, sizeof(value));
	insn->next += sizeof(value);
	return value;
}

/* @imm_size: of an immediate operand that follows, for RIP-relative addresses. */
static void vc_decode_modrm(struct ex_regs *regs, struct vc_insn *insn,
			    uint8_t imm_size)
{
	uint8_t modrm = *insn->next++;
	uint8_t mod = modrm >> 6, rm = modrm & 7, sib;

	insn->reg = (modrm >> 3 & 7) | (insn->rex & REX_R ? 8 : 0);

	if (mod == 3) {
		insn->rm = (void *)vc_reg(regs, rm | (insn->rex & REX_B ? 8 : 0));
		return;
	}

	if (mod == 0 && rm == 5) {
		insn->addr = vc_decode_s32(insn);
		insn->addr += (uint64_t)insn->next + imm_size;
		return;
	}

	if (rm == 4) {
		uint8_t base, index;

		sib = *insn->next++;
		base = (sib & 7) | (insn->rex & REX_B ? 8 : 0);
		index = (sib >> 3 & 7) | (insn->rex & REX_X ? 8 : 0);

		if (index != 4)
			insn->addr = *vc_reg(regs, index) << (sib >> 6);

		if (mod == 0 && (base & 7) == 5)
			insn->addr += vc_decode_s32(insn);
		else
			insn->addr += *vc_reg(regs, base);
	} else {
		insn->addr = *vc_reg(regs, rm | (insn->rex & REX_B ? 8 : 0));
	}

	if (mod == 1)
		insn->addr += (int8_t)*insn->next++;
	else if (mod == 2)
		insn->addr += vc_decode_s32(insn);
}

/* Does the VMGEXIT and sorts out its answer: false if there is one to raise. */
static bool vc_vmgexit(struct sev_ghcb_call *call)
{
	sev_ghcb_vmgexit(call);

	switch (call->info1 & GENMASK_ULL(31, 0)) {
	case SEV_GHCB_OK:
		return true;
	case SEV_GHCB_RAISE:
		return false;
	default:
		sev_ghcb_terminate(SEV_GHCB_TERM_SET_TEST,
				   SEV_GHCB_TERM_BAD_ANSWER);
	}
}

static void vc_raise(struct ex_regs *regs, const struct sev_ghcb_call *call)
{
	if (!sev_ghcb_event_is_exception(call->info2))
		sev_ghcb_terminate(SEV_GHCB_TERM_SET_TEST,
				   SEV_GHCB_TERM_BAD_EVENT);

	/* As if the instruction had caused that instead of the #VC. */
	regs->vector = call->info2 & SVM_EVTINJ_VEC_MASK;
	regs->error_code = sev_ghcb_event_error_code(call->info2);
	route_exception(regs);
}

/* Each returns false if @call asks for an exception. */
static bool vc_cpuid(struct ex_regs *regs, struct vc_insn *insn,
		     struct sev_ghcb_call *call)
{
	*call = sev_ghcb_cpuid(regs->rax, regs->rcx);
	if (!vc_vmgexit(call))
		return false;

	regs->rax = (uint32_t)call->rax;
	regs->rbx = (uint32_t)call->rbx;
	regs->rcx = (uint32_t)call->rcx;
	regs->rdx = (uint32_t)call->rdx;
	return true;
}

static bool vc_msr(struct ex_regs *regs, struct vc_insn *insn,
		   struct sev_ghcb_call *call)
{
	bool write = insn->opcode == 0x0f30;

	if (write)
		*call = sev_ghcb_wrmsr(regs->rcx, (regs->rdx << 32) | (uint32_t)regs->rax);
	else
		*call = sev_ghcb_rdmsr(regs->rcx);

	if (!vc_vmgexit(call))
		return false;

	if (!write) {
		regs->rax = (uint32_t)call->rax;
		regs->rdx = (uint32_t)call->rdx;
	}
	return true;
}

/* RDTSC, RDTSCP and RDPMC, if the hypervisor intercepts them. */
static bool vc_counter(struct ex_regs *regs, struct vc_insn *insn,
		       struct sev_ghcb_call *call)
{
	bool rdtscp = regs->error_code == SVM_EXIT_RDTSCP;

	*call = sev_ghcb_event(regs->error_code, 0, 0);
	if (regs->error_code == SVM_EXIT_RDPMC) {
		call->rcx = regs->rcx;
		call->valid |= SEV_GHCB_RCX;
	}

	if (!vc_vmgexit(call))
		return false;

	regs->rax = (uint32_t)call->rax;
	regs->rdx = (uint32_t)call->rdx;
	if (rdtscp) {
		regs->rcx = (uint32_t)call->rcx;
		insn->next++;
	}
	return true;
}

/* WBINVD and INVD. */
static bool vc_no_operands(struct ex_regs *regs, struct vc_insn *insn,
			   struct sev_ghcb_call *call)
{
	*call = sev_ghcb_event(regs->error_code, 0, 0);
	return vc_vmgexit(call);
}

static bool vc_vmmcall(struct ex_regs *regs, struct vc_insn *insn,
		       struct sev_ghcb_call *call)
{
	*call = sev_ghcb_vmmcall(regs->rax, regs->rbx, regs->rcx, regs->rdx,
				 regs->rsi);
	call->cpl = regs->cs & 3;
	if (!vc_vmgexit(call))
		return false;

	regs->rax = call->rax;
	insn->next++;
	return true;
}

static bool vc_monitor(struct ex_regs *regs, struct vc_insn *insn,
		       struct sev_ghcb_call *call)
{
	*call = sev_ghcb_monitor(regs->rax, regs->rcx, regs->rdx);
	insn->next++;
	return vc_vmgexit(call);
}

static bool vc_mwait(struct ex_regs *regs, struct vc_insn *insn,
		     struct sev_ghcb_call *call)
{
	*call = sev_ghcb_mwait(regs->rax, regs->rcx);
	insn->next++;
	return vc_vmgexit(call);
}

/* The hypervisor cannot read DR7, and need not know it: keep a copy. */
static bool vc_dr7(struct ex_regs *regs, struct vc_insn *insn,
		   struct sev_ghcb_call *call)
{
	struct sev_ghcb_cpu *cpu = sev_ghcb_this_cpu();
	uint64_t *reg;

	vc_decode_modrm(regs, insn, 0);
	reg = (uint64_t *)insn->rm;

	if (regs->error_code == SVM_EXIT_READ_DR7) {
		*reg = cpu->dr7;
		return true;
	}

	*call = sev_ghcb_event(SVM_EXIT_WRITE_DR7, 0, 0);
	call->rax = *reg;
	call->valid |= SEV_GHCB_RAX;
	if (!vc_vmgexit(call))
		return false;

	cpu->dr7 = *reg | BIT(10);
	return true;
}

/*
 * A ucall has the address of its struct in RDI, which is not part of what a
 * port access can tell the host.
 */
static bool vc_ucall(struct ex_regs *regs, struct sev_ghcb_call *call)
{
	uint64_t uc = regs->rdi;

	*call = sev_ghcb_outs(UCALL_PIO_PORT, 4, &uc, 2);
	return vc_vmgexit(call);
}

/*
 * One VMGEXIT for as much as fits in the buffer.  If that is not all, the
 * instruction stays where it is and causes the next #VC, as a REP would.
 */
static bool vc_string_io(struct ex_regs *regs, struct vc_insn *insn,
			 struct sev_ghcb_call *call, bool in, uint8_t size)
{
	uint64_t left = insn->rep ? regs->rcx : 1;
	uint64_t count = min_t(uint64_t, left, SEV_GHCB_BUF_SIZE / size);

	if (regs->rflags & BIT(10))
		vc_unhandled(regs, "string I/O downwards");

	if (!count)
		return true;

	if (in)
		*call = sev_ghcb_ins(regs->rdx, size, (void *)regs->rdi, count);
	else
		*call = sev_ghcb_outs(regs->rdx, size, (void *)regs->rsi, count);

	if (!vc_vmgexit(call))
		return false;

	if (in)
		regs->rdi += count * size;
	else
		regs->rsi += count * size;

	if (insn->rep)
		regs->rcx = left - count;

	if (count < left)
		insn->next = (const uint8_t *)regs->rip;

	return true;
}

static bool vc_ioio(struct ex_regs *regs, struct vc_insn *insn,
		    struct sev_ghcb_call *call)
{
	uint8_t size = !(insn->opcode & 1) ? 1 : insn->opsize16 ? 2 : 4;
	uint16_t port = regs->rdx;
	bool in;

	switch (insn->opcode) {
	case 0x6c ... 0x6d:
		return vc_string_io(regs, insn, call, true, size);
	case 0x6e ... 0x6f:
		return vc_string_io(regs, insn, call, false, size);
	case 0xe4 ... 0xe7:
		port = *insn->next++;
		break;
	case 0xec ... 0xef:
		break;
	default:
		vc_unhandled(regs, "not an I/O instruction");
	}

	in = !(insn->opcode & 2);
	if (in && port == UCALL_PIO_PORT)
		return vc_ucall(regs, call);

	if (in)
		*call = sev_ghcb_in(port, size);
	else
		*call = sev_ghcb_out(port, size,
				     regs->rax & GENMASK_ULL(size * 8 - 1, 0));

	if (!vc_vmgexit(call))
		return false;

	if (in) {
		/* As usual a 32-bit result clears the upper half, others do not. */
		if (size == 4)
			regs->rax = 0;
		memcpy(&regs->rax, &call->rax, size);
	}
	return true;
}

static uint64_t vc_mmio_gpa(struct ex_regs *regs, uint64_t gva, uint8_t len)
{
	struct sev_ghcb_mmio *mmio;
	int i;

	for (i = 0; i < SEV_GHCB_MAX_MMIO; i++) {
		mmio = &sev_ghcb_mmio[i];

		if (gva >= mmio->gva && gva + len <= mmio->gva + mmio->size)
			return mmio->gpa + (gva - mmio->gva);
	}

	vc_unhandled(regs, "not in an MMIO range");
	return 0;
}

/* MOV in all its forms: compilers use little else for volatile accesses. */
static bool vc_mmio(struct ex_regs *regs, struct vc_insn *insn,
		    struct sev_ghcb_call *call)
{
	uint8_t opsize = insn->rex & REX_W ? 8 : insn->opsize16 ? 2 : 4;
	uint8_t size, imm_size = 0;
	bool write = false;
	uint64_t value = 0;

	switch (insn->opcode) {
	case 0x88:
	case 0xc6:
		write = true;
		fallthrough;
	case 0x8a:
	case 0x0fb6:
	case 0x0fbe:
		size = 1;
		break;
	case 0x89:
	case 0xc7:
		write = true;
		fallthrough;
	case 0x8b:
		size = opsize;
		break;
	case 0x0fb7:
	case 0x0fbf:
		size = 2;
		break;
	case 0x63:
		size = 4;
		break;
	default:
		vc_unhandled(regs, "cannot emulate on MMIO");
		return true;
	}

	if (insn->opcode == 0xc6 || insn->opcode == 0xc7)
		imm_size = min_t(uint8_t, size, 4);

	vc_decode_modrm(regs, insn, imm_size);

	if (write) {
		if (imm_size == 4)
			value = (int64_t)vc_decode_s32(insn);
		else if (imm_size)
			memcpy(&value, insn->next, imm_size);
		else if (size == 1)
			value = *vc_reg8(regs, insn, insn->reg);
		else
			value = *vc_reg(regs, insn->reg);

		if (imm_size && imm_size < 4)
			insn->next += imm_size;

		*call = sev_ghcb_mmio_write(vc_mmio_gpa(regs, insn->addr, size),
					    &value, size);
		return vc_vmgexit(call);
	}

	*call = sev_ghcb_mmio_read(vc_mmio_gpa(regs, insn->addr, size), &value,
				   size);
	if (!vc_vmgexit(call))
		return false;

	switch (insn->opcode) {
	case 0x8a:
		*vc_reg8(regs, insn, insn->reg) = value;
		return true;
	case 0x0fbe:
		value = (int8_t)value;
		break;
	case 0x0fbf:
		value = (int16_t)value;
		break;
	case 0x63:
		value = (int32_t)value;
		break;
	}

	if (opsize == 4)
		value = (uint32_t)value;

	memcpy(vc_reg(regs, insn->reg), &value, opsize == 2 ? 2 : 8);
	return true;
}

/* No instruction to emulate: fetching it may be what failed. */
static void vc_not_validated(struct ex_regs *regs)
{
	uint64_t gva;

	asm volatile("mov %%cr2, %0" : "=r" (gva));

	if (!sev_ghcb_not_validated || !sev_ghcb_not_validated(regs, gva))
		GUEST_FAIL("RIP 0x%lx: page at 0x%lx is not validated",
			   regs->rip, gva);
}

static const struct {
	uint64_t exit_code;
	bool (*handle)(struct ex_regs *regs, struct vc_insn *insn,
		       struct sev_ghcb_call *call);
} vc_handlers[] = {
	{ SVM_EXIT_CPUID,	vc_cpuid },
	{ SVM_EXIT_MSR,		vc_msr },
	{ SVM_EXIT_IOIO,	vc_ioio },
	{ SVM_EXIT_NPF,		vc_mmio },
	{ SVM_EXIT_VMMCALL,	vc_vmmcall },
	{ SVM_EXIT_WBINVD,	vc_no_operands },
	{ SVM_EXIT_INVD,	vc_no_operands },
	{ SVM_EXIT_RDTSC,	vc_counter },
	{ SVM_EXIT_RDTSCP,	vc_counter },
	{ SVM_EXIT_RDPMC,	vc_counter },
	{ SVM_EXIT_MONITOR,	vc_monitor },
	{ SVM_EXIT_MWAIT,	vc_mwait },
	{ SVM_EXIT_READ_DR7,	vc_dr7 },
	{ SVM_EXIT_WRITE_DR7,	vc_dr7 },
};

void sev_ghcb_handle_vc(struct ex_regs *regs)
{
	struct sev_ghcb_cpu *cpu = sev_ghcb_this_cpu();
	struct sev_ghcb_call call;
	struct vc_insn insn;
	int i;

	cpu->nr_vc++;
	cpu->last_vc = regs->error_code;

	if (regs->error_code == SEV_VC_NOT_VALIDATED) {
		vc_not_validated(regs);
		return;
	}

	vc_decode_opcode(regs, &insn);

	for (i = 0; i < ARRAY_SIZE(vc_handlers); i++) {
		if (vc_handlers[i].exit_code != regs->error_code)
			continue;

		if (vc_handlers[i].handle(regs, &insn, &call))
			regs->rip = (uint64_t)insn.next;
		else
			vc_raise(regs, &call);
		return;
	}

	vc_unhandled(regs, "unexpected");
}

/*
 * To the compiler a CPUID or an MMIO access leaves the vector registers alone,
 * while the compiler is free to use them in the handler.
 */
asm(".pushsection .text\n\t"
	".globl sev_ghcb_vc_entry\n"
	"sev_ghcb_vc_entry:\n\t"
	"push %rbp\n\t"
	"mov %rsp, %rbp\n\t"
	"sub $512, %rsp\n\t"
	"and $-16, %rsp\n\t"
	"fxsave64 (%rsp)\n\t"
	"call sev_ghcb_handle_vc\n\t"
	"fxrstor64 (%rsp)\n\t"
	"leave\n\t"
	"ret\n\t"
	".popsection\n\t");
