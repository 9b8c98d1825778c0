// SPDX-License-Identifier: GPL-2.0-only
/*
 * The GHCB protocol, seen from a SEV-ES guest: setup, transport, requests.
 *
 * The guest part runs inside of the #VC handler too: it must not execute
 * anything that takes a #VC itself, and so must not make ucalls.
 */
#include <linux/bitfield.h>
#include <linux/kernel.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "ucall_common.h"

/* Valid in the guest's copy of the binary only. */
struct sev_ghcb_mmio sev_ghcb_mmio[SEV_GHCB_MAX_MMIO];

/*
 * Host side.
 */
void vm_init_sev_ghcb(struct kvm_vm *vm)
{
	vm_install_exception_handler(vm, SEV_VC_VECTOR, sev_ghcb_vc_entry);
}

void vcpu_init_sev_ghcb(struct kvm_vcpu *vcpu)
{
	struct kvm_vm *vm = vcpu->vm;
	struct sev_ghcb_cpu *cpu;
	struct kvm_sregs sregs;
	vm_vaddr_t cpu_gva, page_gva;

	page_gva = vm_vaddr_alloc_shared(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR,
					 MEM_REGION_DATA);
	memset(addr_gva2hva(vm, page_gva), 0, PAGE_SIZE);

	cpu_gva = __vm_vaddr_alloc(vm, sizeof(*cpu), KVM_UTIL_MIN_VADDR,
				   MEM_REGION_DATA);
	cpu = addr_gva2hva(vm, cpu_gva);
	memset(cpu, 0, sizeof(*cpu));
	cpu->self = (void *)cpu_gva;
	cpu->page = (void *)page_gva;
	cpu->gpa = addr_gva2gpa(vm, page_gva);
	cpu->vcpu_id = vcpu->id;
	cpu->dr7 = BIT(10);

	vcpu_sregs_get(vcpu, &sregs);
	sregs.gs.base = cpu_gva;
	vcpu_sregs_set(vcpu, &sregs);
}

struct kvm_vm *vm_sev_ghcb_create(const struct sev_ghcb_config *config,
				  uint32_t nr_vcpus, void *guest_code,
				  struct kvm_vcpu *vcpus[])
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = config->legacy_init ? KVM_X86_DEFAULT_VM : KVM_X86_SEV_ES_VM,
	};
	struct kvm_vm *vm = ____vm_create(shape);
	int i;

	if (config->legacy_init) {
		/* To KVM the type is that of a VM without encryption. */
		vm->arch.c_bit = BIT_ULL(this_cpu_property(X86_PROPERTY_SEV_C_BIT));
		vm->gpa_tag_mask = vm->arch.c_bit;
	} else {
		vm->arch.sev_init = config->init;
	}

	/* Two pages of state, a GHCB, and their page tables, per vCPU. */
	vm_populate(vm, nr_vcpus, nr_vcpus * 4);

	if (config->legacy_init)
		sev_es_vm_init(vm);

	vm_init_sev_ghcb(vm);

	for (i = 0; i < nr_vcpus; i++) {
		vcpus[i] = vm_vcpu_add(vm, i, guest_code);
		vcpu_init_sev_ghcb(vcpus[i]);
	}

	return vm;
}

vm_vaddr_t vm_sev_ghcb_map_mmio(struct kvm_vm *vm, uint64_t gpa, uint64_t size)
{
	struct sev_ghcb_mmio *mmio;
	vm_vaddr_t gva;
	int i;

	gva = vm_vaddr_unused_gap(vm, size, KVM_UTIL_MIN_VADDR);
	virt_map(vm, gva, gpa, size / vm->page_size);

	for (i = 0; i < SEV_GHCB_MAX_MMIO; i++) {
		mmio = addr_gva2hva(vm, (vm_vaddr_t)&sev_ghcb_mmio[i]);
		if (!mmio->size) {
			mmio->gva = gva;
			mmio->gpa = gpa;
			mmio->size = size;
			return gva;
		}
	}

	TEST_FAIL("More than %d MMIO ranges", SEV_GHCB_MAX_MMIO);
	return 0;
}

/*
 * Guest side: transport.
 */
static const uint16_t sev_ghcb_qword[SEV_GHCB_NR_FIELDS] = {
	[SEV_GHCB_IDX_EXIT_CODE]	= 0x390 / 8,
	[SEV_GHCB_IDX_INFO1]		= 0x398 / 8,
	[SEV_GHCB_IDX_INFO2]		= 0x3a0 / 8,
	[SEV_GHCB_IDX_SCRATCH]		= 0x3a8 / 8,
	[SEV_GHCB_IDX_RAX]		= 0x1f8 / 8,
	[SEV_GHCB_IDX_RBX]		= 0x318 / 8,
	[SEV_GHCB_IDX_RCX]		= 0x308 / 8,
	[SEV_GHCB_IDX_RDX]		= 0x310 / 8,
	[SEV_GHCB_IDX_RSI]		= 0x330 / 8,
	[SEV_GHCB_IDX_CPL]		= 0x0c8 / 8,
	[SEV_GHCB_IDX_XCR0]		= 0x3e8 / 8,
	[SEV_GHCB_IDX_XSS]		= 0x140 / 8,
	[SEV_GHCB_IDX_DR7]		= 0x160 / 8,
};

/* The CPL is a byte, the last but four of its quadword. */
#define SEV_GHCB_CPL_SHIFT	24

static uint64_t irqs_save(void)
{
	uint64_t flags;

	asm volatile("pushfq\n\t"
		     "pop %0\n\t"
		     "cli" : "=r" (flags) : : "memory");
	return flags;
}

static void irqs_restore(uint64_t flags)
{
	asm volatile("push %0\n\t"
		     "popfq" : : "r" (flags) : "memory", "cc");
}

static void vmgexit(void)
{
	asm volatile("rep; vmmcall" : : : "memory");
}

uint64_t sev_ghcb_msr_call(uint64_t request)
{
	uint64_t flags = irqs_save();
	uint64_t saved, response;

	saved = rdmsr(MSR_AMD64_SEV_ES_GHCB);
	wrmsr(MSR_AMD64_SEV_ES_GHCB, request);
	vmgexit();
	response = rdmsr(MSR_AMD64_SEV_ES_GHCB);
	wrmsr(MSR_AMD64_SEV_ES_GHCB, saved);

	irqs_restore(flags);
	return response;
}

void sev_ghcb_terminate(uint8_t set, uint8_t code)
{
	wrmsr(MSR_AMD64_SEV_ES_GHCB,
	      SEV_GHCB_MSR_TERM_REQ |
	      FIELD_PREP(SEV_GHCB_MSR_TERM_SET, set) |
	      FIELD_PREP(SEV_GHCB_MSR_TERM_CODE, code));

	for (;;)
		vmgexit();
}

/* In a SNP guest a GHCB is good for nothing before. */
static void sev_ghcb_register(struct sev_ghcb_cpu *cpu)
{
	uint64_t response = sev_ghcb_msr_call(cpu->gpa | SEV_GHCB_MSR_REG_GPA_REQ);

	if (response != (cpu->gpa | SEV_GHCB_MSR_REG_GPA_RESP))
		sev_ghcb_terminate(SEV_GHCB_TERM_SET_TEST,
				   SEV_GHCB_TERM_NOT_REGISTERED);
}

static void sev_ghcb_negotiate(struct sev_ghcb_cpu *cpu)
{
	uint64_t info = sev_ghcb_msr_call(SEV_GHCB_MSR_INFO_REQ);
	uint16_t min, max;

	if (FIELD_GET(SEV_GHCB_MSR_CODE, info) != SEV_GHCB_MSR_INFO_RESP)
		sev_ghcb_terminate(SEV_GHCB_TERM_SET_GEN, SEV_GHCB_TERM_GENERAL);

	min = FIELD_GET(SEV_GHCB_MSR_INFO_MIN, info);
	max = FIELD_GET(SEV_GHCB_MSR_INFO_MAX, info);
	if (min > SEV_GHCB_VERSION_MAX || max < SEV_GHCB_VERSION_MIN)
		sev_ghcb_terminate(SEV_GHCB_TERM_SET_GEN, SEV_GHCB_TERM_PROTOCOL);

	if (rdmsr(MSR_AMD64_SEV) & MSR_AMD64_SEV_SNP_ENABLED)
		sev_ghcb_register(cpu);

	cpu->version = min_t(uint16_t, max, SEV_GHCB_VERSION_MAX);
}

struct sev_ghcb_cpu *sev_ghcb_this_cpu(void)
{
	struct sev_ghcb_cpu *cpu;

	asm volatile("mov %%gs:0, %0" : "=r" (cpu));

	if (!cpu->version)
		sev_ghcb_negotiate(cpu);

	return cpu;
}

uint64_t sev_ghcb_buf_gpa(void)
{
	return sev_ghcb_this_cpu()->gpa + offsetof(struct sev_ghcb_page, buf);
}

static void sev_ghcb_fill(struct sev_ghcb_page *page,
			  const struct sev_ghcb_call *call, uint16_t version)
{
	uint64_t value;
	int i, qword;

	page->valid_bitmap[0] = 0;
	page->valid_bitmap[1] = 0;

	for (i = 0; i < SEV_GHCB_NR_FIELDS; i++) {
		qword = sev_ghcb_qword[i];
		value = call->field[i];
		if (i == SEV_GHCB_IDX_CPL)
			value <<= SEV_GHCB_CPL_SHIFT;

		page->save[qword] = value;
		if (call->valid & BIT_ULL(i))
			page->valid_bitmap[qword / 64] |= BIT_ULL(qword % 64);
	}

	page->version = version;
	page->usage = call->usage;

	if (call->buf_in)
		memcpy(page->buf, call->buf_in, call->buf_len);
}

static void sev_ghcb_fetch(const struct sev_ghcb_page *page,
			   struct sev_ghcb_call *call)
{
	int i, qword;

	call->valid = 0;

	for (i = 0; i < SEV_GHCB_NR_FIELDS; i++) {
		qword = sev_ghcb_qword[i];
		call->field[i] = page->save[qword];
		if (i == SEV_GHCB_IDX_CPL)
			call->field[i] = (uint8_t)(call->field[i] >> SEV_GHCB_CPL_SHIFT);

		if (page->valid_bitmap[qword / 64] & BIT_ULL(qword % 64))
			call->valid |= BIT_ULL(i);
	}

	if (call->buf_out)
		memcpy(call->buf_out, page->buf, call->buf_len);
}

/*
 * Interrupts stay off while the page is in use, as their handlers use it too.
 * An NMI does not care, and its handler may hit at any instruction in here; it
 * leaves the page and the MSR as it found them.
 */
void sev_ghcb_vmgexit(struct sev_ghcb_call *call)
{
	uint64_t flags = irqs_save();
	struct sev_ghcb_cpu *cpu = sev_ghcb_this_cpu();
	struct sev_ghcb_page *page = cpu->page;
	uint64_t saved;

	if (cpu->depth > 1)
		sev_ghcb_terminate(SEV_GHCB_TERM_SET_TEST, SEV_GHCB_TERM_NESTED);

	if (cpu->depth++)
		memcpy(cpu->backup, page, sizeof(*page));

	sev_ghcb_fill(page, call, cpu->version);

	saved = rdmsr(MSR_AMD64_SEV_ES_GHCB);
	wrmsr(MSR_AMD64_SEV_ES_GHCB, cpu->gpa);
	vmgexit();
	wrmsr(MSR_AMD64_SEV_ES_GHCB, saved);

	sev_ghcb_fetch(page, call);

	if (--cpu->depth)
		memcpy(page, cpu->backup, sizeof(*page));

	irqs_restore(flags);
}

bool sev_ghcb_event_is_exception(uint64_t event)
{
	return (event & SVM_EVTINJ_VALID) &&
	       (event & SVM_EVTINJ_TYPE_MASK) == SVM_EVTINJ_TYPE_EXEPT;
}

uint32_t sev_ghcb_event_error_code(uint64_t event)
{
	return event & SVM_EVTINJ_VALID_ERR ? event >> 32 : 0;
}

const char *sev_ghcb_error_str(uint64_t info2)
{
	switch (info2) {
	case SEV_GHCB_ERR_NOT_REGISTERED:
		return "not registered";
	case SEV_GHCB_ERR_INVALID_USAGE:
		return "invalid usage";
	case SEV_GHCB_ERR_INVALID_SCRATCH:
		return "invalid scratch area";
	case SEV_GHCB_ERR_MISSING_INPUT:
		return "missing input";
	case SEV_GHCB_ERR_INVALID_INPUT:
		return "invalid input";
	case SEV_GHCB_ERR_INVALID_EVENT:
		return "invalid event";
	default:
		return "unknown error";
	}
}

/*
 * Guest side: events.
 */
struct sev_ghcb_call sev_ghcb_cpuid(uint32_t function, uint32_t index)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_CPUID, 0, 0);

	call.rax = function;
	call.rcx = index;
	call.valid |= SEV_GHCB_RAX | SEV_GHCB_RCX;

	/* The size of the XSAVE area depends on XCR0, which is out of reach. */
	if (function == 0xd) {
		call.xcr0 = get_cr4() & X86_CR4_OSXSAVE ? xgetbv(0) : XFEATURE_MASK_FP;
		call.valid |= SEV_GHCB_XCR0;
	}

	return call;
}

struct sev_ghcb_call sev_ghcb_rdmsr(uint32_t msr)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_MSR, 0, 0);

	call.rcx = msr;
	call.valid |= SEV_GHCB_RCX;
	return call;
}

struct sev_ghcb_call sev_ghcb_wrmsr(uint32_t msr, uint64_t value)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_MSR, 1, 0);

	call.rcx = msr;
	call.rax = (uint32_t)value;
	call.rdx = value >> 32;
	call.valid |= SEV_GHCB_RCX | SEV_GHCB_RAX | SEV_GHCB_RDX;
	return call;
}

static uint64_t ioio_info(uint16_t port, uint8_t size, uint64_t flags)
{
	/* Size and address size are bit fields, "64-bit addresses" is bit 9. */
	return ((uint64_t)port << 16) | BIT_ULL(9) |
	       ((uint64_t)size << SVM_IOIO_SIZE_SHIFT) | flags;
}

struct sev_ghcb_call sev_ghcb_in(uint16_t port, uint8_t size)
{
	return sev_ghcb_event(SVM_EXIT_IOIO,
			      ioio_info(port, size, SVM_IOIO_TYPE_MASK), 0);
}

struct sev_ghcb_call sev_ghcb_out(uint16_t port, uint8_t size, uint32_t value)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_event(SVM_EXIT_IOIO, ioio_info(port, size, 0), 0);
	call.rax = value;
	call.valid |= SEV_GHCB_RAX;
	return call;
}

static void use_buffer(struct sev_ghcb_call *call, const void *in, void *out,
		       uint32_t len)
{
	call->scratch = sev_ghcb_buf_gpa();
	call->valid |= SEV_GHCB_SCRATCH;
	call->buf_in = in;
	call->buf_out = out;
	call->buf_len = len;
}

struct sev_ghcb_call sev_ghcb_ins(uint16_t port, uint8_t size, void *data,
				  uint32_t count)
{
	uint64_t flags = SVM_IOIO_STR_MASK | SVM_IOIO_REP_MASK | SVM_IOIO_TYPE_MASK;
	struct sev_ghcb_call call;

	call = sev_ghcb_event(SVM_EXIT_IOIO, ioio_info(port, size, flags), count);
	use_buffer(&call, NULL, data, size * count);
	return call;
}

struct sev_ghcb_call sev_ghcb_outs(uint16_t port, uint8_t size, const void *data,
				   uint32_t count)
{
	uint64_t flags = SVM_IOIO_STR_MASK | SVM_IOIO_REP_MASK;
	struct sev_ghcb_call call;

	call = sev_ghcb_event(SVM_EXIT_IOIO, ioio_info(port, size, flags), count);
	use_buffer(&call, data, NULL, size * count);
	return call;
}

struct sev_ghcb_call sev_ghcb_mmio_read(uint64_t gpa, void *data, uint32_t len)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_event(SVM_VMGEXIT_MMIO_READ, gpa, len);
	use_buffer(&call, NULL, data, len);
	return call;
}

struct sev_ghcb_call sev_ghcb_mmio_write(uint64_t gpa, const void *data,
					 uint32_t len)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_event(SVM_VMGEXIT_MMIO_WRITE, gpa, len);
	use_buffer(&call, data, NULL, len);
	return call;
}

struct sev_ghcb_call sev_ghcb_vmmcall(uint64_t nr, uint64_t a0, uint64_t a1,
				      uint64_t a2, uint64_t a3)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_VMMCALL, 0, 0);

	call.rax = nr;
	call.rbx = a0;
	call.rcx = a1;
	call.rdx = a2;
	call.rsi = a3;
	call.cpl = 0;
	call.valid |= SEV_GHCB_RAX | SEV_GHCB_RBX | SEV_GHCB_RCX |
		      SEV_GHCB_RDX | SEV_GHCB_RSI | SEV_GHCB_CPL;
	return call;
}

struct sev_ghcb_call sev_ghcb_monitor(uint64_t rax, uint64_t rcx, uint64_t rdx)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_MONITOR, 0, 0);

	call.rax = rax;
	call.rcx = rcx;
	call.rdx = rdx;
	call.valid |= SEV_GHCB_RAX | SEV_GHCB_RCX | SEV_GHCB_RDX;
	return call;
}

struct sev_ghcb_call sev_ghcb_mwait(uint64_t rax, uint64_t rcx)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_MWAIT, 0, 0);

	call.rax = rax;
	call.rcx = rcx;
	call.valid |= SEV_GHCB_RAX | SEV_GHCB_RCX;
	return call;
}
