/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as arch/x86/kvm/svm/snp_ap.c and snp_ap_state.c want,
 * for a program in userland.  Locks are counted, so that what must be held is,
 * and nothing is left locked; guest_memfd is an array of pages.
 */
#ifndef SNP_AP_STUBS_H
#define SNP_AP_STUBS_H

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef uint8_t u8;
typedef uint32_t u32;
typedef uint64_t u64;
typedef u64 gpa_t, gfn_t, hpa_t, kvm_pfn_t;

#define BIT(n)			(1ul << (n))
#define BIT_ULL(n)		(1ull << (n))
#define GENMASK_ULL(h, l)	(~0ull >> (63 - (h)) & ~0ull << (l))
#define FIELD_GET(mask, value)	(((value) & (mask)) / ((mask) & -(mask)))
#define IS_ALIGNED(x, a)	(((x) & ((a) - 1)) == 0)
#define PAGE_SIZE		4096ul
#define PMD_SIZE		(2ul << 20)
#define PAGE_ALIGNED(x)		IS_ALIGNED(x, PAGE_SIZE)
#define unlikely(x)		(x)
#define WARN_ON_ONCE(x)		assert(!(x))
#define vcpu_debug_ratelimited(...)	((void)0)
#define gpa_to_gfn(gpa)		((gpa) >> 12)
#define pfn_to_hpa(pfn)		((pfn) << 12)
#define INVALID_PAGE		(~(hpa_t)0)
#define VALID_PAGE(x)		((x) != INVALID_PAGE)
#define __pa(p)			((hpa_t)(p))
#define __acquires(lock)	/* sparse's */
#define __releases(lock)

/* asm/svm.h and friends */
#define SVM_VMGEXIT_AP_CREATE_ON_INIT	0
#define SVM_VMGEXIT_AP_CREATE		1
#define SVM_VMGEXIT_AP_DESTROY		2
#define SVM_SEV_FEAT_SNP_ACTIVE		BIT(0)
#define SVM_EXIT_EFER_WRITE_TRAP	0x08f
#define SVM_EXIT_CR0_WRITE_TRAP		0x090
#define SVM_EXIT_CR4_WRITE_TRAP		0x094
#define SVM_EXIT_NPF			0x400
#define SVM_EXIT_VMGEXIT		0x403
#define SVM_EXITINTINFO_VALID		BIT(31)
#define SVM_EXITINTINFO_VALID_ERR	BIT(11)
#define PFERR_GUEST_FINAL_MASK		BIT_ULL(32)
#define PFERR_GUEST_PAGE_MASK		BIT_ULL(33)
#define GHCB_MSR_INFO_MASK		0xfffull
#define X86_CR0_PE			BIT(0)
#define X86_CR0_ET			BIT(4)
#define X86_CR0_PG			BIT(31)
#define X86_CR4_PAE			BIT(5)
#define X86_CR4_OSXSAVE			BIT(18)
#define EFER_LME			BIT(8)
#define EFER_LMA			BIT(10)
#define KVM_X86_SNP_AP_STRICT		BIT(0)
#define AP_RESET_HOLD_NONE		0
#define KVM_APIC_INIT			0
#define KVM_APIC_SIPI			1
#define KVM_MAX_VCPUS			64
#define KVM_MEM_GUEST_MEMFD		BIT(2)
#define KVM_MEMSLOT_INVALID		BIT(16)
#define KVM_REQ_UPDATE_PROTECTED_GUEST_STATE	1
enum {
	KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED,
	KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_HALTED, KVM_MP_STATE_STOPPED = 5,
};

/* Locks */
struct mutex { int held; };
typedef struct { int write, read; } rwlock_t;

static inline void mutex_init(struct mutex *m) { m->held = 0; }
static inline struct mutex *__lock_mutex(struct mutex *m) { assert(!m->held++); return m; }
static inline void __unlock_mutex(struct mutex **m) { assert(!--(*m)->held); }
static inline void write_lock(rwlock_t *l) { assert(!l->read && !l->write++); }
static inline void write_unlock(rwlock_t *l) { assert(!--l->write); }
static inline void read_lock(rwlock_t *l) { assert(!l->write); l->read++; }
static inline void read_unlock(rwlock_t *l) { assert(l->read-- == 1); }
static inline rwlock_t *__lock_read(rwlock_t *l) { read_lock(l); return l; }
static inline void __unlock_read(rwlock_t **l) { read_unlock(*l); }

#define guard(kind)		guard_##kind
#define guard_mutex(m)		\
	struct mutex *__guard __attribute__((cleanup(__unlock_mutex), unused)) = __lock_mutex(m)
#define guard_read_lock(l)	\
	rwlock_t *__guard __attribute__((cleanup(__unlock_read), unused)) = __lock_read(l)
#define lockdep_assert_held(m)		assert((m)->held)
#define lockdep_assert_not_held(m)	assert(!(m)->held)
#define lockdep_assert_held_write(l)	assert((l)->write)

#define BITS_TO_LONGS(n)	(((n) + 63) / 64)
#define DECLARE_BITMAP(name, n)	unsigned long name[BITS_TO_LONGS(n)]
#define __set_bit(n, map)	((map)[(n) / 64] |= BIT((n) % 64))
#define clear_bit(n, map)	(*(map) &= ~BIT(n))
#define bitmap_empty(map, n)	(!(map)[0])

/* KVM */
struct kvm_lapic { unsigned long pending_events; };
struct kvm_memory_slot { unsigned int flags; };
struct file { int held; };
struct kvm_vcpu;
struct kvm {
	rwlock_t mmu_lock;
	struct { u32 snp_ap_flags; bool pre_fault_allowed; } arch;
	struct kvm_vcpu *vcpus[8];
	unsigned int nr_vcpus;
	struct kvm_sev_info {
		struct { u64 vmsa_features; } *ctx, context;
		struct mutex snp_ap_lock;
	} sev;
	unsigned long nr_kicks;		/* the test's */
};
struct kvm_vcpu {
	struct kvm *kvm;
	u32 vcpu_id;
	int vcpu_idx;
	struct mutex mutex;
	int mmio_needed;
	struct {
		int mp_state;
		bool guest_state_protected;
		struct kvm_lapic *apic;
		struct { int count; } pio;
		unsigned int sev_pio_count;
		struct { bool pv_unhalted; } pv;
		int (*complete_userspace_io)(struct kvm_vcpu *vcpu);
		unsigned long cr0, cr4;
		u64 efer;
	} arch;
	bool request, in_guest;		/* the test's */
	struct kvm_lapic lapic;
};

#include "snp_ap_state.h"

struct vmcb_control_area {
	u64 exit_code, exit_info_1, ghcb_gpa, vmsa_pa;
	u32 exit_int_info;
};
struct vmcb { struct vmcb_control_area control; };
struct vcpu_svm {
	struct kvm_vcpu vcpu;
	struct vmcb *vmcb, vmcb01;
	bool nmi_masked, awaiting_iret_completion, vmgexit_disowned;
	struct {
		void *vmsa;
		bool received_first_sipi;
		unsigned int ap_reset_hold_type;
		struct snp_ap snp_ap;
		bool snp_ap_in_update, snp_mode_unknown;
		unsigned long snp_guess_cr4;
	} sev_es;
};

static inline struct vcpu_svm *to_svm(struct kvm_vcpu *vcpu) { return (void *)vcpu; }
static inline struct kvm_sev_info *to_kvm_sev_info(struct kvm *kvm) { return &kvm->sev; }
static inline bool sev_snp_guest(struct kvm *kvm) { return true; }
static inline bool lapic_in_kernel(struct kvm_vcpu *vcpu) { return vcpu->arch.apic; }
static inline unsigned long kvm_read_cr0(struct kvm_vcpu *v) { return v->arch.cr0; }
static inline unsigned long kvm_read_cr4(struct kvm_vcpu *v) { return v->arch.cr4; }
static inline bool is_long_mode(struct kvm_vcpu *v) { return v->arch.efer & EFER_LMA; }
static inline void svm_set_cr0(struct kvm_vcpu *v, unsigned long cr0) { v->arch.cr0 = cr0; }
static inline void svm_set_cr4(struct kvm_vcpu *v, unsigned long cr4) { v->arch.cr4 = cr4; }
static inline void svm_set_efer(struct kvm_vcpu *v, u64 efer) { v->arch.efer = efer; }
static inline void kvm_mmu_reset_context(struct kvm_vcpu *vcpu) { }
static inline void vmcb_mark_all_dirty(struct vmcb *vmcb) { }
static inline void sev_vmgexit_disown(struct vcpu_svm *svm) { svm->vmgexit_disowned = true; }
static inline void sev_vmgexit_cancel(struct vcpu_svm *svm) { svm->vmgexit_disowned = false; }
static inline void sev_es_protect_vcpu(struct kvm_vcpu *v) { v->arch.guest_state_protected = true; }

#define kvm_for_each_vcpu(i, v, kvm)	\
	for (i = 0; i < (kvm)->nr_vcpus && ((v) = (kvm)->vcpus[i]); i++)

/* ghcb.h */
int sev_snp_ap_creation(struct kvm_vcpu *vcpu, u64 info1, gpa_t vmsa_gpa, u64 features);

/* What the test plays: the rest of KVM, guest_memfd, the RMP. */
void kvm_vcpu_reset(struct kvm_vcpu *vcpu, bool init_event);
struct kvm_vcpu *kvm_get_vcpu_by_id(struct kvm *kvm, u32 id);
void kvm_make_vcpus_request_mask(struct kvm *kvm, unsigned int req, unsigned long *mask);
struct kvm_memory_slot *gfn_to_memslot(struct kvm *kvm, gfn_t gfn);
bool kvm_slot_can_be_private(struct kvm_memory_slot *slot);
bool kvm_mem_is_private(struct kvm *kvm, gfn_t gfn);
int kvm_gmem_lock_pfn(struct kvm_memory_slot *slot, gfn_t gfn, kvm_pfn_t *pfn, struct file **file);
void kvm_gmem_unlock_pfn(struct file *file);
int snp_lookup_rmpentry(u64 pfn, bool *assigned, int *level);

#endif
