/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SEV-SNP guests: their launch, their pages, their vCPUs.
 *
 * Host side: VMs with private memory from guest_memfd, launched by way of the
 * firmware, and a VMM that does what such a guest asks for.  Guest side:
 * PVALIDATE, RMPADJUST, page state changes, VMSAs, AP creation.
 *
 * For VMGEXIT and #VC there is sev_ghcb.h, of which all vCPUs here make use.
 */
#ifndef SELFTEST_KVM_SEV_SNP_H
#define SELFTEST_KVM_SEV_SNP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <linux/bits.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "ucall_common.h"

#define SEV_SNP_MAX_VCPUS	8

/* Reserved bits that must be one, and what KVM demands: SMT allowed. */
#define SEV_SNP_POLICY_SMT	BIT_ULL(16)
#define SEV_SNP_POLICY_RSVD_MBO	BIT_ULL(17)
#define SEV_SNP_POLICY_DEBUG	BIT_ULL(19)
#define SEV_SNP_POLICY		(SEV_SNP_POLICY_SMT | SEV_SNP_POLICY_RSVD_MBO)

/* What the firmware has to tell: page type SECRETS. */
struct sev_snp_secrets {
	uint32_t version;
	uint32_t flags;
	uint32_t fms;
	uint32_t reserved_0xc;
	uint8_t gosvw[16];
	uint8_t vmpck[4][32];
	uint8_t os_area[96];
	uint8_t vmsa_tweak_bitmap[64];
	uint8_t rest[0xec0];
};

kvm_static_assert(sizeof(struct sev_snp_secrets) == 4096);

/* What the firmware has approved of: page type CPUID. */
#define SEV_SNP_CPUID_MAX	64

struct sev_snp_cpuid_entry {
	uint32_t function;
	uint32_t index;
	uint64_t xcr0;
	uint64_t xss;
	uint32_t eax;
	uint32_t ebx;
	uint32_t ecx;
	uint32_t edx;
	uint64_t reserved;
} __packed;

struct sev_snp_cpuid {
	uint32_t count;
	uint32_t reserved_0x4;
	uint64_t reserved_0x8;
	struct sev_snp_cpuid_entry entries[SEV_SNP_CPUID_MAX];
	uint8_t rest[0x3f0];
} __packed;

kvm_static_assert(sizeof(struct sev_snp_cpuid) == 4096);

/*
 * The state of a vCPU that is not running, in a page that RMPADJUST has made
 * its own kind.  Of the fields only those that a guest has to care about.
 */
struct sev_snp_seg {
	uint16_t selector;
	uint16_t attrib;	/* type, S, DPL, P; AVL, L, D/B, G */
	uint32_t limit;
	uint64_t base;
} __packed;

struct sev_snp_vmsa {
	struct sev_snp_seg es, cs, ss, ds, fs, gs, gdtr, ldtr, idtr, tr;
	uint8_t rest_0xa0[0x2a];
	uint8_t vmpl;
	uint8_t cpl;
	uint8_t rest_0xcc[4];
	uint64_t efer;
	uint8_t rest_0xd8[0x68];
	uint64_t xss, cr4, cr3, cr0, dr7, dr6, rflags, rip;
	uint8_t rest_0x180[0x58];
	uint64_t rsp;
	uint8_t rest_0x1e0[0x88];
	uint64_t g_pat;
	uint8_t rest_0x270[0xc8];
	uint64_t rdi;
	uint8_t rest_0x340[0x70];
	uint64_t sev_features;
	uint8_t rest_0x3b8[0x30];
	uint64_t xcr0;
	uint8_t rest_0x3f0[0x18];
	uint32_t mxcsr;
	uint16_t x87_ftw, x87_fsw, x87_fcw;
	uint8_t rest_0x412[0xbee];
} __packed;

kvm_static_assert(sizeof(struct sev_snp_vmsa) == 4096);
kvm_static_assert(offsetof(struct sev_snp_vmsa, vmpl) == 0xca);
kvm_static_assert(offsetof(struct sev_snp_vmsa, efer) == 0xd0);
kvm_static_assert(offsetof(struct sev_snp_vmsa, xss) == 0x140);
kvm_static_assert(offsetof(struct sev_snp_vmsa, rip) == 0x178);
kvm_static_assert(offsetof(struct sev_snp_vmsa, rsp) == 0x1d8);
kvm_static_assert(offsetof(struct sev_snp_vmsa, g_pat) == 0x268);
kvm_static_assert(offsetof(struct sev_snp_vmsa, rdi) == 0x338);
kvm_static_assert(offsetof(struct sev_snp_vmsa, sev_features) == 0x3b0);
kvm_static_assert(offsetof(struct sev_snp_vmsa, xcr0) == 0x3e8);
kvm_static_assert(offsetof(struct sev_snp_vmsa, mxcsr) == 0x408);

/*
 * Memory of a test's own, in a memslot of its own.  It starts out private, but
 * not validated.  The guest has it mapped twice, and is to use the one that
 * goes with the pages' state.
 */
struct sev_snp_mem {
	uint64_t gpa;
	uint64_t size;
	uint64_t private;	/* GVA of the mapping with the C-bit set */
	uint64_t shared;	/* ... and of the one with it clear */
};

/* GVAs, for any GPA. */
#define SEV_SNP_PRIVATE_BASE	BIT_ULL(44)
#define SEV_SNP_SHARED_BASE	BIT_ULL(45)

/*
 * Host side.
 */
struct sev_snp_config {
	struct kvm_sev_init init;
	uint64_t policy;
	uint8_t host_data[KVM_SEV_SNP_FINISH_DATA_SIZE];

	/* Size of all struct sev_snp_mem to come, in pages. */
	uint64_t mem_pages;

	/* To be enabled while there are no vCPUs; if there is an argument. */
	uint32_t cap;
	uint64_t cap_arg;
};

#define SEV_SNP_DEFAULT_CONFIG	\
	((struct sev_snp_config){ .policy = SEV_SNP_POLICY })

#define SEV_SNP_MAX_TYPED	8

struct sev_snp_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[SEV_SNP_MAX_VCPUS];
	uint32_t nr_vcpus;
	struct sev_snp_config config;

	/* Pages that are not launched as KVM_SEV_SNP_PAGE_TYPE_NORMAL. */
	struct {
		uint64_t gpa;
		uint8_t type;
	} typed[SEV_SNP_MAX_TYPED];
	int nr_typed;
};

#define TEST_REQUIRE_SEV_SNP()						\
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SNP_VM))

/*
 * Create a VM of which all vCPUs start at @guest_code.  Set up what the test
 * needs beyond that, then launch it.
 */
void sev_snp_create(struct sev_snp_vm *snp, const struct sev_snp_config *config,
		    uint32_t nr_vcpus, void *guest_code);
void sev_snp_launch(struct sev_snp_vm *snp);
void sev_snp_free(struct sev_snp_vm *snp);

/* Before the launch. */
void sev_snp_add_mem(struct sev_snp_vm *snp, uint32_t slot, uint64_t gpa,
		     uint64_t size, struct sev_snp_mem *mem);
vm_vaddr_t sev_snp_alloc_typed(struct sev_snp_vm *snp, uint8_t type);

/* For sev_snp_start_ap_sipi(). */
void sev_snp_add_trampoline(struct sev_snp_vm *snp);

/* The steps of a launch, for tests of the launch itself: KVM's return value. */
int __sev_snp_launch_start(struct sev_snp_vm *snp, uint64_t policy);
int __sev_snp_launch_update(struct sev_snp_vm *snp, uint64_t gpa, uint64_t size,
			    uint8_t type, uint32_t *fw_error);
int __sev_snp_launch_finish(struct sev_snp_vm *snp);

/* What becomes of the copy of a page that goes out of use. */
enum sev_snp_discard {
	SEV_SNP_DISCARD,	/* as VMMs do: freed, a hole punched */
	SEV_SNP_KEEP,
};

/* A vCPU in a thread of its own, and the VMM that runs it. */
struct sev_snp_runner {
	struct kvm_vcpu *vcpu;
	enum sev_snp_discard discard;

	/* Told of each GUEST_SYNC; it may put something in @error. */
	void (*sync)(struct sev_snp_runner *runner, struct ucall *uc);

	/* What has come of it. */
	bool done;		/* GUEST_DONE */
	bool terminated;
	uint64_t term_data;
	uint64_t nr_conversions;	/* the guest asked for */
	uint64_t nr_converted;		/* ... so many pages */
	uint64_t nr_faults;		/* conversions the guest did not ask for */
	char error[2048];

	pthread_t thread;
};

#define sev_snp_fail(runner, fmt, args...)				\
	snprintf((runner)->error, sizeof((runner)->error), fmt, ##args)

/*
 * Run vCPUs until each of them is done.  True if they all are, and none has
 * anything in @error; what is wrong is printed.
 */
bool sev_snp_run(struct sev_snp_runner *runners, int nr, unsigned int seconds);

/* One KVM_RUN and what it leads to; false if the vCPU has come to an end. */
bool sev_snp_run_once(struct sev_snp_runner *runner);

/*
 * Guest side: pages.
 */

/* Results of PVALIDATE and RMPADJUST. */
#define SEV_SNP_SUCCESS			0
#define SEV_SNP_FAIL_INPUT		1
#define SEV_SNP_FAIL_PERMISSION		2
#define SEV_SNP_FAIL_SIZEMISMATCH	6
#define SEV_SNP_NO_CHANGE		255	/* ours, for PVALIDATE's carry flag */

#define SEV_SNP_4K			0
#define SEV_SNP_2M			1

/* @size: SEV_SNP_4K or SEV_SNP_2M, or something that the CPU refuses. */
int sev_snp_pvalidate(uint64_t gva, uint32_t size, bool validate);

#define SEV_SNP_RMPADJUST_VMPL		GENMASK_ULL(7, 0)
#define SEV_SNP_RMPADJUST_PERMS		GENMASK_ULL(15, 8)
#define SEV_SNP_RMPADJUST_VMSA		BIT_ULL(16)

int sev_snp_rmpadjust(uint64_t gva, uint32_t size, uint64_t attributes);

/* Page state change, by way of the GHCB and the MSR. */
#define SEV_SNP_PSC_PRIVATE		1
#define SEV_SNP_PSC_SHARED		2

#define SEV_SNP_PSC_MAX			253

#define SEV_SNP_PSC_CUR_PAGE		GENMASK_ULL(11, 0)
#define SEV_SNP_PSC_GFN			GENMASK_ULL(51, 12)
#define SEV_SNP_PSC_OP			GENMASK_ULL(55, 52)
#define SEV_SNP_PSC_2M			BIT_ULL(56)

#define SEV_SNP_PSC_INVALID_HDR		0x100000001ull
#define SEV_SNP_PSC_INVALID_ENTRY	0x100000002ull
#define SEV_SNP_PSC_GENERIC		0x10000000000ull

struct sev_snp_psc {
	uint16_t cur_entry;
	uint16_t end_entry;
	uint32_t reserved;
	uint64_t entries[SEV_SNP_PSC_MAX];
};

kvm_static_assert(sizeof(struct sev_snp_psc) == SEV_GHCB_BUF_SIZE);

/* One VMGEXIT: INFO2 of the answer; it is for the caller to see what is done. */
uint64_t sev_snp_psc_once(struct sev_snp_psc *psc);

/* As many as it takes, with assertions. */
void sev_snp_psc_all(struct sev_snp_psc *psc);

/* One page: the error of the answer. */
uint32_t sev_snp_psc_msr(uint64_t gpa, uint32_t op);

/*
 * All that it takes, with assertions, for @size bytes at @offset.  In 2M
 * entries where they fit; if the RMP has 4K pages, PVALIDATE does them singly.
 */
void sev_snp_make_private(const struct sev_snp_mem *mem, uint64_t offset,
			  uint64_t size);
void sev_snp_make_shared(const struct sev_snp_mem *mem, uint64_t offset,
			 uint64_t size);
void sev_snp_validate(const struct sev_snp_mem *mem, uint64_t offset,
		      uint64_t size, bool validate);

/*
 * Guest side: what the launch has brought.
 */
struct sev_snp_ap {
	uint64_t cpu;		/* its struct sev_ghcb_cpu */
	uint64_t stack;
	struct sev_snp_vmsa *vmsa;
	uint64_t vmsa_gpa;
};

struct sev_snp_boot {
	struct sev_snp_secrets *secrets;
	struct sev_snp_cpuid *cpuid;
	struct sev_snp_ap aps[SEV_SNP_MAX_VCPUS];
};

extern struct sev_snp_boot sev_snp_boot;

/*
 * Guest side: other vCPUs.  A VMSA is filled in, then given to the CPU, and
 * then to the hypervisor along with the vCPU to run it.
 */

/* Long mode, as this vCPU: calls @entry(@arg) with the stack and the GHCB of @id. */
void sev_snp_fill_vmsa(struct sev_snp_vmsa *vmsa, uint32_t id, void *entry,
		       uint64_t arg);

/* Real mode: as INIT and a SIPI with this vector leave a CPU. */
void sev_snp_fill_vmsa_sipi(struct sev_snp_vmsa *vmsa, uint8_t vector);

/* SEV_FEATURES that a VMSA must have, those of this one. */
uint64_t sev_snp_features(void);

int sev_snp_set_vmsa(struct sev_snp_vmsa *vmsa, bool set);

struct sev_ghcb_call sev_snp_ap_create(uint32_t apic_id, uint64_t vmsa_gpa);
struct sev_ghcb_call sev_snp_ap_create_on_init(uint32_t apic_id,
					       uint64_t vmsa_gpa);
struct sev_ghcb_call sev_snp_ap_destroy(uint32_t apic_id);

/*
 * All three, on the VMSA page that vCPU @id has.  The other one goes through
 * real mode; it returns when the vCPU has left that behind.
 */
void sev_snp_start_ap(uint32_t id, void *entry, uint64_t arg);
void sev_snp_start_ap_sipi(uint32_t id, void *entry, uint64_t arg);

/* The page of the vector with which vCPUs start in real mode, and its content. */
#define SEV_SNP_TRAMPOLINE	0x1000

extern const uint8_t sev_snp_trampoline[], sev_snp_trampoline_64[];
extern const uint8_t sev_snp_trampoline_data[], sev_snp_trampoline_end[];

#endif /* SELFTEST_KVM_SEV_SNP_H */
