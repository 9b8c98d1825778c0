/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as arch/x86/kvm/svm/vmsa.c wants, for a program in
 * userland.  What KVM checks elsewhere is here again, from the architecture's
 * rules; what it sets elsewhere is set, and that it was is counted.
 */
#ifndef VMSA_STUBS_H
#define VMSA_STUBS_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;

#undef static_assert
#define static_assert(e, ...)	_Static_assert(e, #e)
#define BIT_ULL(n)		(1ull << (n))
#define READ_ONCE(x)		(x)
#define WRITE_ONCE(x, v)	((x) = (v))
#define lockdep_assert_held(l)	((void)(l))

/* ghcb.h of the kernel, of which this is all that matters here */
#define __KVM_X86_SVM_GHCB_H
enum { AP_RESET_HOLD_NONE, AP_RESET_HOLD_NAE_EVENT, AP_RESET_HOLD_MSR_PROTO };
#define GHCB_MSR_INFO_MASK	0xfffull

#define EFER_SCE		BIT_ULL(0)
#define EFER_LME		BIT_ULL(8)
#define EFER_LMA		BIT_ULL(10)
#define EFER_NX			BIT_ULL(11)
#define EFER_SVME		BIT_ULL(12)
#define X86_CR0_PE		BIT_ULL(0)
#define X86_CR0_NW		BIT_ULL(29)
#define X86_CR0_CD		BIT_ULL(30)
#define X86_CR0_PG		BIT_ULL(31)
#define X86_CR4_PAE		BIT_ULL(5)
#define X86_CR4_PCIDE		BIT_ULL(17)
#define CR8_RESERVED_BITS	(~0xfull)
#define DR7_VOLATILE		0xffff2bffull
#define DR7_FIXED_1		0x400ull
#define XCR_XFEATURE_ENABLED_MASK	0

/* What the vCPU of this program has, by its CPUID */
#define EFER_VALID		(EFER_SCE | EFER_LME | EFER_LMA | EFER_NX | EFER_SVME)
#define CR0_VALID		0xe005003full
#define CR4_VALID		0x003726ffull	/* SMAP, SMEP, FSGSBASE, no LA57, no PKE */
#define XCR0_VALID		7ull
#define XSS_VALID		0ull
#define MAX_GPA			BIT_ULL(48)

struct mutex { int unused; };
struct kvm_sev_ctx { u64 vmsa_features; };
struct kvm_sev_info { struct kvm_sev_ctx *ctx; u64 ap_jump_table; };
struct kvm { struct kvm_sev_info sev; };
struct kvm_vcpu {
	struct kvm *kvm;
	struct mutex mutex;
	struct { u64 efer, cr0, cr4, cr8, dr7, xcr0, ia32_xss; u32 switch_db_regs; } arch;
	unsigned int nr_set, nr_mmu_resets, nr_cpuid_updates;
};
struct vmcb { struct { u64 ghcb_gpa; } control; };
struct vcpu_svm {
	struct kvm_vcpu vcpu;
	struct vmcb *vmcb;
	struct { unsigned int ap_reset_hold_type; bool received_first_sipi; } sev_es;
};
struct kvm_sregs { u64 cr0, cr4, efer; };

static inline struct vcpu_svm *to_svm(struct kvm_vcpu *vcpu) { return (void *)vcpu; }
static inline struct kvm_sev_info *to_kvm_sev_info(struct kvm *kvm) { return &kvm->sev; }

static const struct { u64 supported_xss; } kvm_caps = { XSS_VALID };

static inline u64 kvm_read_cr0(struct kvm_vcpu *v) { return v->arch.cr0; }
static inline u64 kvm_read_cr4(struct kvm_vcpu *v) { return v->arch.cr4; }
static inline u64 kvm_get_cr8(struct kvm_vcpu *v) { return v->arch.cr8; }

static inline bool kvm_is_valid_sregs(struct kvm_vcpu *v, struct kvm_sregs *s)
{
	bool long_mode = s->efer & EFER_LME && s->cr0 & X86_CR0_PG;

	return !(s->cr0 & ~CR0_VALID) && !(s->cr4 & ~CR4_VALID) && !(s->efer & ~EFER_VALID) &&
	       !(s->cr0 & X86_CR0_PG && !(s->cr0 & X86_CR0_PE)) &&
	       !(s->cr0 & X86_CR0_NW && !(s->cr0 & X86_CR0_CD)) &&
	       long_mode == !!(s->efer & EFER_LMA) && (!long_mode || s->cr4 & X86_CR4_PAE);
}

static inline bool kvm_dr7_valid(u64 dr7) { return !(dr7 >> 32); }
static inline bool kvm_vcpu_is_legal_gpa(struct kvm_vcpu *v, u64 gpa) { return gpa < MAX_GPA; }

static inline int kvm_check_xcr(struct kvm_vcpu *v, u32 index, u64 xcr)
{
	return index || !(xcr & 1) || xcr & ~XCR0_VALID || (xcr & 6) == 4;
}

/* LMA follows paging, as it does in KVM. */
static inline int svm_set_efer(struct kvm_vcpu *v, u64 efer)
{
	v->nr_set++;
	v->arch.efer = efer | EFER_SVME;	/* which is KVM's own */
	return 0;
}

static inline void svm_set_cr0(struct kvm_vcpu *v, u64 cr0)
{
	v->nr_set++;
	if (v->arch.efer & EFER_LME && (cr0 ^ v->arch.cr0) & X86_CR0_PG)
		v->arch.efer ^= (v->arch.efer ^ (cr0 & X86_CR0_PG ? EFER_LMA : 0)) & EFER_LMA;
	v->arch.cr0 = cr0;
}

static inline void svm_set_cr4(struct kvm_vcpu *v, u64 cr4) { v->nr_set++; v->arch.cr4 = cr4; }
static inline int kvm_set_cr8(struct kvm_vcpu *v, u64 cr8)
{
	v->nr_set++;
	if (cr8 & CR8_RESERVED_BITS)
		return 1;
	v->arch.cr8 = cr8;
	return 0;
}
static inline void kvm_mmu_reset_context(struct kvm_vcpu *v) { v->nr_mmu_resets++; }
static inline void kvm_update_cpuid_runtime(struct kvm_vcpu *v) { v->nr_cpuid_updates++; }

static inline const void *memchr_inv(const void *p, int c, size_t size)
{
	const u8 *b = p;

	for (; size; size--, b++) {
		if (*b != (u8)c)
			return b;
	}
	return NULL;
}

#endif
