/* SPDX-License-Identifier: GPL-2.0 */
/*
 * As much of the kernel as arch/x86/kvm/svm/ghcb_events.c and ghcb_psc.c want,
 * for a program in userland.  The numbers are the architecture's and the GHCB
 * specification's; what emulation would do is nothing, with success.
 */
#ifndef GHCB_STUBS_H
#define GHCB_STUBS_H

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
typedef u64 gpa_t;

#define __packed		__attribute__((packed))
#define __aligned(n)		__attribute__((aligned(n)))
#undef static_assert
#define static_assert(e, ...)	_Static_assert(e, #e)
#define BIT(n)			(1ul << (n))
#define BIT_ULL(n)		(1ull << (n))
#define GENMASK_ULL(h, l)	(~0ull >> (63 - (h)) & ~0ull << (l))
#define FIELD_GET(mask, value)	(((value) & (mask)) / ((mask) & -(mask)))
#define ARRAY_SIZE(a)		(sizeof(a) / sizeof((a)[0]))
#define IS_ALIGNED(x, a)	(((x) & ((a) - 1)) == 0)
#define PAGE_SIZE		4096ul
#define PAGE_MASK		(~(PAGE_SIZE - 1))
#define READ_ONCE(x)		(x)
#define WRITE_ONCE(x, v)	((x) = (v))
#define min_t(t, a, b)		((t)(a) < (t)(b) ? (t)(a) : (t)(b))
#define lower_32_bits(x)	((u32)(x))
#define upper_32_bits(x)	((u32)((x) >> 32))
#define check_mul_overflow	__builtin_mul_overflow
#define check_add_overflow	__builtin_add_overflow
#define array_index_nospec(i, size)	((i) < (size) ? (i) : 0)
#define pr_info(...)		((void)0)
#define pr_err(...)		fprintf(stderr, __VA_ARGS__)
#define vcpu_debug_ratelimited(...)	((void)0)

/* asm/svm.h, asm/sev-common.h */
struct ghcb_save_area {
	u8 reserved_0[0xcb];
	u8 cpl;
	u8 reserved_cc[0x140 - 0xcc];
	u64 xss;
	u8 reserved_148[0x1f8 - 0x148];
	u64 rax;
	u8 reserved_200[0x308 - 0x200];
	u64 rcx, rdx, rbx;
	u8 reserved_320[0x330 - 0x320];
	u64 rsi;
	u8 reserved_338[0x390 - 0x338];
	u64 sw_exit_code, sw_exit_info_1, sw_exit_info_2, sw_scratch;
	u8 reserved_3b0[0x3e8 - 0x3b0];
	u64 xcr0;
	u8 valid_bitmap[16];
} __packed;

#define GHCB_SHARED_BUF_SIZE	2032
struct ghcb {
	struct ghcb_save_area save;
	u8 reserved_400[0x800 - 0x400];
	u8 shared_buffer[GHCB_SHARED_BUF_SIZE];
} __packed;

#define GHCB_BITMAP_IDX(field)	(offsetof(struct ghcb_save_area, field) / sizeof(u64))

#define SVM_IOIO_TYPE_MASK	1
#define SVM_IOIO_STR_MASK	4
#define SVM_IOIO_SIZE_MASK	0x70
enum {
	SVM_EXIT_READ_DR7 = 0x27, SVM_EXIT_WRITE_DR7 = 0x37, SVM_EXIT_RDTSC = 0x6e,
	SVM_EXIT_RDPMC, SVM_EXIT_CPUID = 0x72, SVM_EXIT_INVD = 0x76,
	SVM_EXIT_IOIO = 0x7b, SVM_EXIT_MSR, SVM_EXIT_VMMCALL = 0x81,
	SVM_EXIT_RDTSCP = 0x87, SVM_EXIT_WBINVD = 0x89, SVM_EXIT_MONITOR, SVM_EXIT_MWAIT,
};
#define SVM_VMGEXIT_MMIO_READ		0x80000001ull
#define SVM_VMGEXIT_MMIO_WRITE		0x80000002ull
#define SVM_VMGEXIT_NMI_COMPLETE	0x80000003ull
#define SVM_VMGEXIT_AP_HLT_LOOP		0x80000004ull
#define SVM_VMGEXIT_AP_JUMP_TABLE	0x80000005ull
#define SVM_VMGEXIT_PSC			0x80000010ull
#define SVM_VMGEXIT_GUEST_REQUEST	0x80000011ull
#define SVM_VMGEXIT_EXT_GUEST_REQUEST	0x80000012ull
#define SVM_VMGEXIT_AP_CREATION		0x80000013ull
#define SVM_VMGEXIT_AP_DESTROY		2
#define SVM_VMGEXIT_HV_FEATURES		0x8000fffdull
#define SVM_VMGEXIT_TERM_REQUEST	0x8000fffeull
#define SVM_VMGEXIT_UNSUPPORTED_EVENT	0x8000ffffull

enum {
	GHCB_ERR_NOT_REGISTERED = 1, GHCB_ERR_INVALID_USAGE,
	GHCB_ERR_INVALID_SCRATCH_AREA, GHCB_ERR_MISSING_INPUT,
	GHCB_ERR_INVALID_INPUT, GHCB_ERR_INVALID_EVENT,
};
#define GHCB_MSR_REG_GPA_RESP		0x013
#define GHCB_MSR_PSC_RESP		0x015
#define GHCB_MSR_PSC_RESP_ERROR		(BIT_ULL(63) | GHCB_MSR_PSC_RESP)
#define GHCB_MSR_PSC_REQ_TO_GFN(msr)	(((msr) & GENMASK_ULL(51, 12)) >> 12)
#define GHCB_MSR_PSC_REQ_TO_OP(msr)	(((msr) & GENMASK_ULL(55, 52)) >> 52)
#define GHCB_HV_FT_SNP			BIT_ULL(0)
#define GHCB_HV_FT_SNP_AP_CREATION	BIT_ULL(1)

struct psc_hdr {
	u16 cur_entry, end_entry;
	u32 reserved;
} __packed;
struct psc_entry {
	u64 cur_page : 12, gfn : 40, operation : 4, pagesize : 1, reserved : 7;
} __packed;
#define VMGEXIT_PSC_OP_PRIVATE		1
#define VMGEXIT_PSC_OP_SHARED		2
#define VMGEXIT_PSC_MAX_COUNT		253
#define VMGEXIT_PSC_ERROR_GENERIC	(0x100ull << 32)
#define VMGEXIT_PSC_ERROR_INVALID_HDR	(1ull << 32 | 1)
#define VMGEXIT_PSC_ERROR_INVALID_ENTRY	(1ull << 32 | 2)

/* KVM */
#define KVM_EXIT_HYPERCALL		3
#define KVM_HC_VAPIC_POLL_IRQ		1
#define KVM_HC_KICK_CPU			5
#define KVM_HC_CLOCK_PAIRING		9
#define KVM_HC_SEND_IPI			10
#define KVM_HC_SCHED_YIELD		11
#define KVM_HC_MAP_GPA_RANGE		12
#define KVM_MAP_GPA_RANGE_PAGE_SZ_4K	0
#define KVM_MAP_GPA_RANGE_PAGE_SZ_2M	1
#define KVM_MAP_GPA_RANGE_ENCRYPTED	BIT(4)
#define KVM_EXIT_HYPERCALL_LONG_MODE	1
#define KVM_MAP_GPA_RANGE_DECRYPTED	0
#define PG_LEVEL_2M			2
#define KVM_PAGES_PER_HPAGE(level)	512ul
#define gfn_to_gpa(gfn)			((u64)(gfn) << 12)
#define XCR_XFEATURE_ENABLED_MASK	0
#define DR7_VOLATILE			0xffff2bff
#define DR7_FIXED_1			0x400
#define UD_VECTOR			6
#define GP_VECTOR			13
enum { X86_FEATURE_RDTSCP, X86_FEATURE_V_TSC_AUX };
enum { VCPU_REGS_RAX, VCPU_REGS_RCX, VCPU_REGS_RDX, VCPU_REGS_RBX, VCPU_REGS_RSI = 6 };

struct kvm_run {
	u32 exit_reason;
	struct {
		u64 nr, args[6], ret, flags;
	} hypercall;
};
struct gfn_to_pfn_cache { int unused; };
struct kvm_sev_info { u64 ap_jump_table; };
struct kvm { struct { u64 hypercall_exit_enabled; } arch; struct kvm_sev_info sev; };
struct kvm_vcpu {
	struct kvm *kvm;
	struct kvm_run *run;
	struct {
		unsigned long regs[16];
		u32 regs_avail, regs_dirty;
		u64 xcr0, ia32_xss, dr7;
		int (*complete_userspace_io)(struct kvm_vcpu *vcpu);
	} arch;
	struct { u64 io_exits; } stat;
};
struct vmcb { struct { u64 ghcb_gpa; } control; };
struct vcpu_svm {
	struct kvm_vcpu vcpu;
	struct vmcb *vmcb;
	struct vmgexit *vmgexit;
	u64 tsc_aux;
	struct { unsigned int ap_reset_hold_type; } sev_es;
};
static inline struct vcpu_svm *to_svm(struct kvm_vcpu *vcpu) { return (void *)vcpu; }
static inline struct kvm_sev_info *to_kvm_sev_info(struct kvm *kvm) { return &kvm->sev; }

static const struct { u64 supported_xss; } kvm_caps;
static inline int kvm_check_xcr(struct kvm_vcpu *v, u32 i, u64 xcr) { return !(xcr & 1); }
static inline void kvm_update_cpuid_runtime(struct kvm_vcpu *vcpu) { }
#define EMULATION(name)	static inline int name(struct kvm_vcpu *vcpu) { return 1; }
EMULATION(kvm_emulate_cpuid)
EMULATION(kvm_emulate_rdmsr)
EMULATION(kvm_emulate_wrmsr)
EMULATION(kvm_emulate_hypercall)
EMULATION(kvm_emulate_rdpmc)
EMULATION(kvm_emulate_invd)
EMULATION(kvm_emulate_wbinvd)
EMULATION(kvm_emulate_monitor)
EMULATION(kvm_emulate_mwait)
EMULATION(kvm_emulate_ap_reset_hold)
EMULATION(sev_exit_termination)
static inline void svm_complete_nmi(struct kvm_vcpu *vcpu) { }
static inline int kvm_fast_pio(struct kvm_vcpu *v, int size, u16 port, int in) { return 1; }
static inline int kvm_sev_es_string_io(struct kvm_vcpu *v, unsigned int size, unsigned int port,
				       void *data, unsigned int count, int in) { return 1; }
static inline int kvm_sev_es_mmio_read(struct kvm_vcpu *v, u64 gpa, u64 n, void *d) { return 1; }
static inline int kvm_sev_es_mmio_write(struct kvm_vcpu *v, u64 gpa, u64 n, void *d) { return 1; }
static inline u64 rdtsc(void) { return 1; }
static inline u64 kvm_read_l1_tsc(struct kvm_vcpu *vcpu, u64 tsc) { return tsc; }
static inline bool guest_cpuid_has(struct kvm_vcpu *vcpu, int feature) { return true; }
static inline bool boot_cpu_has(int feature) { return false; }
static inline bool kvm_dr7_valid(u64 dr7) { return !(dr7 >> 32); }
#define kvm_rax_write(vcpu, v)	((vcpu)->arch.regs[VCPU_REGS_RAX] = (v))
#define kvm_rcx_write(vcpu, v)	((vcpu)->arch.regs[VCPU_REGS_RCX] = (v))
#define kvm_rdx_write(vcpu, v)	((vcpu)->arch.regs[VCPU_REGS_RDX] = (v))

#endif
