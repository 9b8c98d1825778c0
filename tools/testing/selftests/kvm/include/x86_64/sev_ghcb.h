/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The GHCB protocol, seen from a SEV-ES guest.
 *
 * Host side: create a VM whose vCPUs have a GHCB and a #VC handler.  Guest side:
 * the GHCB MSR protocol, VMGEXIT with any choice of fields, one helper per
 * event.  The #VC handler uses the same helpers, so that ordinary guest code
 * (CPUID, MSRs, ports, MMIO, ucalls) runs unchanged.
 *
 * Nothing here asserts what the hypervisor answers, that is for the tests.
 */
#ifndef SELFTEST_KVM_SEV_GHCB_H
#define SELFTEST_KVM_SEV_GHCB_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/bits.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "svm_util.h"

#define SEV_GHCB_VERSION_MIN		1
#define SEV_GHCB_VERSION_MAX		2

#define SEV_VC_VECTOR			29

/* A #VC that no exit is behind: SNP, the page was not validated.  CR2 has it. */
#define SEV_VC_NOT_VALIDATED		0x404

/* The GHCB MSR protocol: a code, and data above it. */
#define SEV_GHCB_MSR_CODE		GENMASK_ULL(11, 0)
#define SEV_GHCB_MSR_DATA		GENMASK_ULL(63, 12)

#define SEV_GHCB_MSR_INFO_RESP		0x001
#define SEV_GHCB_MSR_INFO_REQ		0x002
#define   SEV_GHCB_MSR_INFO_MAX		GENMASK_ULL(63, 48)
#define   SEV_GHCB_MSR_INFO_MIN		GENMASK_ULL(47, 32)
#define   SEV_GHCB_MSR_INFO_CBIT	GENMASK_ULL(31, 24)
#define SEV_GHCB_MSR_CPUID_REQ		0x004
#define SEV_GHCB_MSR_CPUID_RESP		0x005
#define   SEV_GHCB_MSR_CPUID_FUNC	GENMASK_ULL(63, 32)
#define   SEV_GHCB_MSR_CPUID_VALUE	GENMASK_ULL(63, 32)
#define   SEV_GHCB_MSR_CPUID_REG	GENMASK_ULL(31, 30)
#define SEV_GHCB_MSR_AP_HOLD_REQ	0x006
#define SEV_GHCB_MSR_AP_HOLD_RESP	0x007
#define SEV_GHCB_MSR_PREF_GPA_REQ	0x010	/* SNP guests, up to PSC */
#define SEV_GHCB_MSR_PREF_GPA_RESP	0x011
#define SEV_GHCB_MSR_REG_GPA_REQ	0x012
#define SEV_GHCB_MSR_REG_GPA_RESP	0x013
#define SEV_GHCB_MSR_PSC_REQ		0x014
#define SEV_GHCB_MSR_PSC_RESP		0x015
#define   SEV_GHCB_MSR_PSC_OP		GENMASK_ULL(55, 52)
#define   SEV_GHCB_MSR_PSC_GFN		GENMASK_ULL(51, 12)
#define   SEV_GHCB_MSR_PSC_ERROR	GENMASK_ULL(63, 32)
#define SEV_GHCB_MSR_HV_FT_REQ		0x080
#define SEV_GHCB_MSR_HV_FT_RESP		0x081
#define SEV_GHCB_MSR_TERM_REQ		0x100
#define   SEV_GHCB_MSR_TERM_SET		GENMASK_ULL(15, 12)
#define   SEV_GHCB_MSR_TERM_CODE	GENMASK_ULL(23, 16)

/* Termination reasons: set 0 is the specification's, set 15 this library's. */
#define SEV_GHCB_TERM_SET_GEN		0
#define   SEV_GHCB_TERM_GENERAL		0
#define   SEV_GHCB_TERM_PROTOCOL	1
#define SEV_GHCB_TERM_SET_TEST		15
#define   SEV_GHCB_TERM_NESTED		1	/* nested deeper than one NMI */
#define   SEV_GHCB_TERM_BAD_ANSWER	2	/* a #VC's VMGEXIT was refused */
#define   SEV_GHCB_TERM_BAD_EVENT	3	/* asked to raise a strange event */
#define   SEV_GHCB_TERM_NOT_REGISTERED	4	/* the GHCB was not accepted */

/* SW_EXITINFO1 of the answer, and what SW_EXITINFO2 says in each case. */
#define SEV_GHCB_OK			0
#define SEV_GHCB_RAISE			1	/* event to raise, as EVENTINJ */
#define SEV_GHCB_MALFORMED		2	/* one of the errors below */

#define SEV_GHCB_ERR_NOT_REGISTERED	1
#define SEV_GHCB_ERR_INVALID_USAGE	2
#define SEV_GHCB_ERR_INVALID_SCRATCH	3
#define SEV_GHCB_ERR_MISSING_INPUT	4
#define SEV_GHCB_ERR_INVALID_INPUT	5
#define SEV_GHCB_ERR_INVALID_EVENT	6

#define SEV_GHCB_BUF_SIZE		0x7f0

/* The page.  Bit n of the bitmap says whether the n-th quadword is valid. */
struct sev_ghcb_page {
	uint64_t save[0x3f0 / 8];
	uint64_t valid_bitmap[2];
	uint64_t x87_state_gpa;
	uint8_t reserved_0x408[0x3f8];
	uint8_t buf[SEV_GHCB_BUF_SIZE];
	uint8_t reserved_0xff0[10];
	uint16_t version;
	uint32_t usage;
};

kvm_static_assert(sizeof(struct sev_ghcb_page) == 4096);
kvm_static_assert(offsetof(struct sev_ghcb_page, buf) == 0x800);
kvm_static_assert(offsetof(struct sev_ghcb_page, version) == 0xffa);

/* The fields of the page that struct sev_ghcb_call can carry. */
enum sev_ghcb_field {
	SEV_GHCB_IDX_EXIT_CODE,
	SEV_GHCB_IDX_INFO1,
	SEV_GHCB_IDX_INFO2,
	SEV_GHCB_IDX_SCRATCH,
	SEV_GHCB_IDX_RAX,
	SEV_GHCB_IDX_RBX,
	SEV_GHCB_IDX_RCX,
	SEV_GHCB_IDX_RDX,
	SEV_GHCB_IDX_RSI,
	SEV_GHCB_IDX_CPL,
	SEV_GHCB_IDX_XCR0,
	SEV_GHCB_IDX_XSS,
	SEV_GHCB_IDX_DR7,
	SEV_GHCB_NR_FIELDS,
};

#define SEV_GHCB_EXIT_CODE		BIT_ULL(SEV_GHCB_IDX_EXIT_CODE)
#define SEV_GHCB_INFO1			BIT_ULL(SEV_GHCB_IDX_INFO1)
#define SEV_GHCB_INFO2			BIT_ULL(SEV_GHCB_IDX_INFO2)
#define SEV_GHCB_SCRATCH		BIT_ULL(SEV_GHCB_IDX_SCRATCH)
#define SEV_GHCB_RAX			BIT_ULL(SEV_GHCB_IDX_RAX)
#define SEV_GHCB_RBX			BIT_ULL(SEV_GHCB_IDX_RBX)
#define SEV_GHCB_RCX			BIT_ULL(SEV_GHCB_IDX_RCX)
#define SEV_GHCB_RDX			BIT_ULL(SEV_GHCB_IDX_RDX)
#define SEV_GHCB_RSI			BIT_ULL(SEV_GHCB_IDX_RSI)
#define SEV_GHCB_CPL			BIT_ULL(SEV_GHCB_IDX_CPL)
#define SEV_GHCB_XCR0			BIT_ULL(SEV_GHCB_IDX_XCR0)
#define SEV_GHCB_XSS			BIT_ULL(SEV_GHCB_IDX_XSS)
#define SEV_GHCB_DR7			BIT_ULL(SEV_GHCB_IDX_DR7)

/* Every event needs these three. */
#define SEV_GHCB_EXIT	(SEV_GHCB_EXIT_CODE | SEV_GHCB_INFO1 | SEV_GHCB_INFO2)

/*
 * One VMGEXIT.  All fields go into the page and come back from it, whether
 * marked valid or not: a test can leave a required field out, and also see
 * that the hypervisor does not look at a field that is not marked.
 */
struct sev_ghcb_call {
	union {
		struct {
			uint64_t exit_code;
			uint64_t info1;
			uint64_t info2;
			uint64_t scratch;
			uint64_t rax;
			uint64_t rbx;
			uint64_t rcx;
			uint64_t rdx;
			uint64_t rsi;
			uint64_t cpl;
			uint64_t xcr0;
			uint64_t xss;
			uint64_t dr7;
		};
		uint64_t field[SEV_GHCB_NR_FIELDS];
	};

	/* In: fields to mark valid.  Out: fields the hypervisor marked valid. */
	uint64_t valid;

	uint32_t usage;

	/* Copied to and from the page's shared buffer around the VMGEXIT. */
	const void *buf_in;
	void *buf_out;
	uint32_t buf_len;
};

/* What a vCPU knows about itself, found through GS.  Private memory. */
struct sev_ghcb_cpu {
	struct sev_ghcb_cpu *self;
	struct sev_ghcb_page *page;
	uint64_t gpa;
	uint32_t vcpu_id;
	uint16_t version;	/* 0 until negotiated */
	uint16_t depth;
	uint64_t dr7;
	uint64_t nr_vc;
	uint64_t last_vc;
	uint8_t backup[4096] __aligned(16);
};

/*
 * Host side.
 */
struct sev_ghcb_config {
	bool legacy_init;	/* KVM_SEV_ES_INIT; else KVM_SEV_INIT2 with: */
	struct kvm_sev_init init;
};

/*
 * Create a SEV-ES VM with @nr_vcpus vCPUs that all start at @guest_code.
 * Set up what the test needs beyond that, then call vm_sev_launch().
 */
struct kvm_vm *vm_sev_ghcb_create(const struct sev_ghcb_config *config,
				  uint32_t nr_vcpus, void *guest_code,
				  struct kvm_vcpu *vcpus[]);

/* The two parts of the above for VMs made by other means, before the launch. */
void vm_init_sev_ghcb(struct kvm_vm *vm);
void vcpu_init_sev_ghcb(struct kvm_vcpu *vcpu);

/*
 * Map @size bytes at @gpa, where there is no memory, and tell the #VC handler
 * that this is MMIO.  Before the launch.
 */
vm_vaddr_t vm_sev_ghcb_map_mmio(struct kvm_vm *vm, uint64_t gpa, uint64_t size);

/*
 * Guest side.
 */
struct sev_ghcb_cpu *sev_ghcb_this_cpu(void);

/* The #VC handler, and the MMIO ranges that it knows. */
void sev_ghcb_vc_entry(struct ex_regs *regs);

/*
 * What to do about an access to a page that is not validated, if there is
 * anything: true to try it again.
 */
extern bool (*sev_ghcb_not_validated)(struct ex_regs *regs, uint64_t gva);

#define SEV_GHCB_MAX_MMIO	8

struct sev_ghcb_mmio {
	uint64_t gva;
	uint64_t gpa;
	uint64_t size;
};

extern struct sev_ghcb_mmio sev_ghcb_mmio[SEV_GHCB_MAX_MMIO];

/* One request of the MSR protocol: returns the MSR's value after VMGEXIT. */
uint64_t sev_ghcb_msr_call(uint64_t request);

void sev_ghcb_vmgexit(struct sev_ghcb_call *call);
void __noreturn sev_ghcb_terminate(uint8_t set, uint8_t code);

/* Part of an event to raise, the answer to SEV_GHCB_RAISE. */
bool sev_ghcb_event_is_exception(uint64_t event);
uint32_t sev_ghcb_event_error_code(uint64_t event);
const char *sev_ghcb_error_str(uint64_t info2);

/* GPA of the shared buffer of this vCPU's GHCB. */
uint64_t sev_ghcb_buf_gpa(void);

/*
 * One helper per event.  Each makes a well-formed request, and returns it for
 * tests to modify before they pass it to sev_ghcb_vmgexit().
 */
static inline struct sev_ghcb_call sev_ghcb_event(uint64_t exit_code,
						  uint64_t info1,
						  uint64_t info2)
{
	return (struct sev_ghcb_call) {
		.exit_code = exit_code,
		.info1 = info1,
		.info2 = info2,
		.valid = SEV_GHCB_EXIT,
	};
}

struct sev_ghcb_call sev_ghcb_cpuid(uint32_t function, uint32_t index);
struct sev_ghcb_call sev_ghcb_rdmsr(uint32_t msr);
struct sev_ghcb_call sev_ghcb_wrmsr(uint32_t msr, uint64_t value);
struct sev_ghcb_call sev_ghcb_in(uint16_t port, uint8_t size);
struct sev_ghcb_call sev_ghcb_out(uint16_t port, uint8_t size, uint32_t value);
struct sev_ghcb_call sev_ghcb_ins(uint16_t port, uint8_t size, void *data,
				  uint32_t count);
struct sev_ghcb_call sev_ghcb_outs(uint16_t port, uint8_t size, const void *data,
				   uint32_t count);
struct sev_ghcb_call sev_ghcb_mmio_read(uint64_t gpa, void *data, uint32_t len);
struct sev_ghcb_call sev_ghcb_mmio_write(uint64_t gpa, const void *data,
					 uint32_t len);
struct sev_ghcb_call sev_ghcb_vmmcall(uint64_t nr, uint64_t a0, uint64_t a1,
				      uint64_t a2, uint64_t a3);
struct sev_ghcb_call sev_ghcb_monitor(uint64_t rax, uint64_t rcx, uint64_t rdx);
struct sev_ghcb_call sev_ghcb_mwait(uint64_t rax, uint64_t rcx);

#endif /* SELFTEST_KVM_SEV_GHCB_H */
