// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every ioctl by which userspace sets the state of a vCPU, with vCPUs whose
 * state is encrypted: those of legacy and of typed SEV-ES guests, and of SEV-SNP
 * guests.  What is in the VMSA is refused, what is KVM's own can be set, and
 * neither changes what KVM knows of the registers nor what the guest has.
 *
 * An ordinary VM takes them all: the arguments are good.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/sev-vcpu-record.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "test_util.h"
#include "ucall_common.h"

#define MSR_MTRR_DEF_TYPE	0x2ff

/*
 * Guest: what it has set is what it finds when the host has done its worst.
 */
static const uint32_t guest_msrs[] = {
	MSR_EFER, MSR_STAR, MSR_LSTAR, MSR_SYSCALL_MASK, MSR_FS_BASE, MSR_KERNEL_GS_BASE,
	MSR_IA32_CR_PAT, MSR_IA32_SYSENTER_CS,
};

static void guest_code(void)
{
	uint64_t msrs[ARRAY_SIZE(guest_msrs)], cr0 = get_cr0(), cr4 = get_cr4();
	uint64_t xmm = 0x123456789abcdef0ull;
	int i;

	for (i = 0; i < ARRAY_SIZE(guest_msrs); i++)
		msrs[i] = rdmsr(guest_msrs[i]);

	asm volatile("movq %0, %%xmm7" : : "r" (xmm));
	GUEST_SYNC(0);
	asm volatile("movq %%xmm7, %0" : "=r" (xmm));

	GUEST_ASSERT_EQ(xmm, 0x123456789abcdef0ull);
	GUEST_ASSERT_EQ(get_cr0(), cr0);
	GUEST_ASSERT_EQ(get_cr4(), cr4);
	for (i = 0; i < ARRAY_SIZE(guest_msrs); i++)
		GUEST_ASSERT_EQ(rdmsr(guest_msrs[i]), msrs[i]);
	GUEST_DONE();
}

/*
 * Arguments: what the vCPU had before the launch, and a bit of it different.
 */
struct args {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_sregs2 sregs2;
	struct kvm_fpu fpu;
	struct kvm_xsave *xsave;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_guest_debug debug;
	struct kvm_nested_state nested;
	struct kvm_vcpu_events events;
	struct kvm_lapic_state lapic;
	struct kvm_mp_state mp_state;
	uint64_t tsc_offset;
	uint64_t mcg_cap;
	int tsc_khz;
};

static void get_args(struct kvm_vcpu *vcpu, struct args *a)
{
	struct kvm_device_attr tsc = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&a->tsc_offset,
	};

	memset(a, 0, sizeof(*a));
	vcpu_regs_get(vcpu, &a->regs);
	a->regs.rbx ^= 0x5e5;
	vcpu_sregs_get(vcpu, &a->sregs);
	a->sregs.cr8 = 3;
	vcpu_ioctl(vcpu, KVM_GET_SREGS2, &a->sregs2);
	a->sregs2.cr8 = 3;
	vcpu_fpu_get(vcpu, &a->fpu);
	a->fpu.fcw ^= 0x300;
	a->xsave = calloc(1, vm_check_cap(vcpu->vm, KVM_CAP_XSAVE2) ?: sizeof(*a->xsave));
	vcpu_xsave_get(vcpu, a->xsave);
	vcpu_xcrs_get(vcpu, &a->xcrs);
	vcpu_debugregs_get(vcpu, &a->debugregs);
	a->debugregs.db[0] = 0x1000;
	a->debug.control = KVM_GUESTDBG_ENABLE;
	a->nested.format = KVM_STATE_NESTED_FORMAT_SVM;
	a->nested.flags = KVM_STATE_NESTED_GIF_SET;
	a->nested.size = sizeof(a->nested);
	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &a->lapic);
	vcpu_mp_state_get(vcpu, &a->mp_state);
	vcpu_ioctl(vcpu, KVM_GET_DEVICE_ATTR, &tsc);
	a->mcg_cap = 1;
	a->tsc_khz = __vcpu_ioctl(vcpu, KVM_GET_TSC_KHZ, NULL);
}

static int result(int r)
{
	return r < 0 ? -errno : r;
}

#define SET(name, cmd, arg)						\
static int set_##name(struct kvm_vcpu *vcpu, struct args *a)		\
{									\
	return result(__vcpu_ioctl(vcpu, cmd, arg));			\
}

SET(regs, KVM_SET_REGS, &a->regs)
SET(sregs, KVM_SET_SREGS, &a->sregs)
SET(sregs2, KVM_SET_SREGS2, &a->sregs2)
SET(fpu, KVM_SET_FPU, &a->fpu)
SET(xsave, KVM_SET_XSAVE, a->xsave)
SET(xcrs, KVM_SET_XCRS, &a->xcrs)
SET(debugregs, KVM_SET_DEBUGREGS, &a->debugregs)
SET(guest_debug, KVM_SET_GUEST_DEBUG, &a->debug)
SET(nested_state, KVM_SET_NESTED_STATE, &a->nested)
SET(lapic, KVM_SET_LAPIC, &a->lapic)
SET(mp_state, KVM_SET_MP_STATE, &a->mp_state)
SET(cpuid2, KVM_SET_CPUID2, vcpu->cpuid)
SET(nmi, KVM_NMI, NULL)
SET(smi, KVM_SMI, NULL)
SET(setup_mce, KVM_X86_SETUP_MCE, &a->mcg_cap)
SET(tsc_khz, KVM_SET_TSC_KHZ, (void *)(unsigned long)a->tsc_khz)
SET(vcpu_events, KVM_SET_VCPU_EVENTS, &a->events)

/* As recorded once the guest runs: what an NMI of this test's has changed ends. */
static int set_events(struct kvm_vcpu *vcpu, const struct kvm_vcpu_events *events)
{
	struct kvm_vcpu_events now, copy = *events;

	vcpu_events_get(vcpu, &now);
	return result(__vcpu_ioctl(vcpu, KVM_SET_VCPU_EVENTS, &copy));
}

#define SET_EVENT(name, member)						\
static int set_##name(struct kvm_vcpu *vcpu, struct args *a)		\
{									\
	struct kvm_vcpu_events events = a->events;			\
									\
	events.flags |= KVM_VCPUEVENT_VALID_SMM;			\
	events.smi.member = 1;						\
	return set_events(vcpu, &events);				\
}

SET_EVENT(smm, smm)
SET_EVENT(smi_pending, pending)
SET_EVENT(smm_inside_nmi, smm_inside_nmi)

/* 1 if it could be set, 0 if not */
static int set_msr(struct kvm_vcpu *vcpu, uint32_t index, uint64_t value)
{
	struct {
		struct kvm_msrs header;
		struct kvm_msr_entry entry;
	} msrs = { .header.nmsrs = 1, .entry = { .index = index, .data = value } };

	return result(__vcpu_ioctl(vcpu, KVM_SET_MSRS, &msrs.header));
}

#define SET_MSR(name, index, value)					\
static int set_##name(struct kvm_vcpu *vcpu, struct args *a)		\
{									\
	return set_msr(vcpu, index, value);				\
}

SET_MSR(efer, MSR_EFER, a->sregs.efer ^ EFER_NX)
SET_MSR(star, MSR_STAR, 0x5e5)
SET_MSR(lstar, MSR_LSTAR, 0x5e5)
SET_MSR(cstar, MSR_CSTAR, 0x5e5)
SET_MSR(sfmask, MSR_SYSCALL_MASK, 0x5e5)
SET_MSR(fs_base, MSR_FS_BASE, 0x5e5)
SET_MSR(gs_base, MSR_GS_BASE, 0x5e5)
SET_MSR(kernel_gs_base, MSR_KERNEL_GS_BASE, 0x5e5)
SET_MSR(sysenter_cs, MSR_IA32_SYSENTER_CS, 8)
SET_MSR(sysenter_esp, MSR_IA32_SYSENTER_ESP, 0x5e5)
SET_MSR(sysenter_eip, MSR_IA32_SYSENTER_EIP, 0x5e5)
SET_MSR(pat, MSR_IA32_CR_PAT, 0)
SET_MSR(xss, MSR_IA32_XSS, 0)
SET_MSR(ghcb, MSR_AMD64_SEV_ES_GHCB, 0x100)
SET_MSR(apic_base, MSR_IA32_APICBASE, a->sregs.apic_base)
SET_MSR(mtrr, MSR_MTRR_DEF_TYPE, 0xc06)
SET_MSR(misc_enable, MSR_IA32_MISC_ENABLE, 1)
SET_MSR(tsc_deadline, MSR_IA32_TSC_DEADLINE, 0)

static int set_cpuid(struct kvm_vcpu *vcpu, struct args *a)
{
	struct kvm_cpuid cpuid = { };

	return result(__vcpu_ioctl(vcpu, KVM_SET_CPUID, &cpuid));
}

static int set_interrupt(struct kvm_vcpu *vcpu, struct args *a)
{
	struct kvm_interrupt irq = { .irq = 0x30 };

	return result(__vcpu_ioctl(vcpu, KVM_INTERRUPT, &irq));
}

/* A corrected error: valid, and nothing more */
static int set_mce(struct kvm_vcpu *vcpu, struct args *a)
{
	struct kvm_x86_mce mce = { .status = BIT_ULL(63) };

	return result(__vcpu_ioctl(vcpu, KVM_X86_SET_MCE, &mce));
}

static int set_tsc_offset(struct kvm_vcpu *vcpu, struct args *a)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)&a->tsc_offset,
	};

	return result(__vcpu_ioctl(vcpu, KVM_SET_DEVICE_ATTR, &attr));
}

static int record_attr(struct kvm_vcpu *vcpu, unsigned long cmd,
		       struct sev_vcpu_record *rec)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_SEV_CTRL,
		.attr = KVM_VCPU_SEV_RECORD,
		.addr = (uintptr_t)rec,
	};

	rec->size = sizeof(*rec);
	return result(ioctl(vcpu->fd, cmd, &attr));
}

static int set_record(struct kvm_vcpu *vcpu, struct args *a)
{
	struct sev_vcpu_record rec = { };

	return record_attr(vcpu, KVM_SET_DEVICE_ATTR, &rec);
}

/* Registers in struct kvm_run.  KVM_RUN ends there, or before it gets to it. */
static int run_dirty(struct kvm_vcpu *vcpu, uint64_t dirty)
{
	int r;

	vcpu->run->kvm_dirty_regs = dirty;
	vcpu->run->immediate_exit = 1;
	r = result(__vcpu_run(vcpu));
	vcpu->run->immediate_exit = 0;
	vcpu->run->kvm_dirty_regs = 0;
	return r;
}

static int sync_regs(struct kvm_vcpu *vcpu, struct args *a)
{
	vcpu->run->s.regs.regs = a->regs;
	return run_dirty(vcpu, KVM_SYNC_X86_REGS);
}

static int sync_sregs(struct kvm_vcpu *vcpu, struct args *a)
{
	vcpu->run->s.regs.sregs = a->sregs;
	return run_dirty(vcpu, KVM_SYNC_X86_SREGS);
}

static int set_tpr_access(struct kvm_vcpu *vcpu, struct args *a)
{
	struct kvm_tpr_access_ctl ctl = { };

	return result(__vcpu_ioctl(vcpu, KVM_TPR_ACCESS_REPORTING, &ctl));
}

static int set_vapic_addr(struct kvm_vcpu *vcpu, struct args *a)
{
	struct kvm_vapic_addr addr = { };

	return result(__vcpu_ioctl(vcpu, KVM_SET_VAPIC_ADDR, &addr));
}

static int set_kvmclock_ctrl(struct kvm_vcpu *vcpu, struct args *a)
{
	return result(__vcpu_ioctl(vcpu, KVM_KVMCLOCK_CTRL, NULL));
}

static int set_signal_mask(struct kvm_vcpu *vcpu, struct args *a)
{
	struct kvm_signal_mask *none = NULL;

	return result(__vcpu_ioctl(vcpu, KVM_SET_SIGNAL_MASK, none));
}

static int enable_cap(struct kvm_vcpu *vcpu, struct args *a)
{
	struct kvm_enable_cap cap = { .cap = KVM_CAP_ENFORCE_PV_FEATURE_CPUID };

	return result(__vcpu_ioctl(vcpu, KVM_ENABLE_CAP, &cap));
}

static int set_one_reg(struct kvm_vcpu *vcpu, struct args *a)
{
	struct kvm_one_reg reg = { };

	return result(__vcpu_ioctl(vcpu, KVM_SET_ONE_REG, &reg));
}

/*
 * What is to come of each: with a VM without encryption, and with a vCPU whose
 * state is protected, whatever its type.  SET_MSRS returns how many it has set.
 */
static const struct row {
	const char *name;
	int (*set)(struct kvm_vcpu *vcpu, struct args *a);
	int plain;
	int protected;
} rows[] = {
	/* In the VMSA, or KVM's copy of it */
	{ "SET_REGS", set_regs, 0, -EINVAL },
	{ "SET_SREGS", set_sregs, 0, -EINVAL },
	{ "SET_SREGS2", set_sregs2, 0, -EINVAL },
	{ "SET_FPU", set_fpu, 0, -EINVAL },
	{ "SET_XSAVE", set_xsave, 0, -EINVAL },
	{ "SET_XCRS", set_xcrs, 0, -EINVAL },
	{ "SET_DEBUGREGS", set_debugregs, 0, -EINVAL },
	{ "SET_GUEST_DEBUG", set_guest_debug, 0, -EINVAL },
	{ "SET_NESTED_STATE", set_nested_state, 0, -EINVAL },
	{ "RUN_dirty_regs", sync_regs, -EINTR, -EINVAL },
	{ "RUN_dirty_sregs", sync_sregs, -EINTR, -EINVAL },
	{ "SET_MSRS_EFER", set_efer, 1, 0 },
	{ "SET_MSRS_STAR", set_star, 1, 0 },
	{ "SET_MSRS_LSTAR", set_lstar, 1, 0 },
	{ "SET_MSRS_CSTAR", set_cstar, 1, 0 },
	{ "SET_MSRS_SFMASK", set_sfmask, 1, 0 },
	{ "SET_MSRS_FS_BASE", set_fs_base, 1, 0 },
	{ "SET_MSRS_GS_BASE", set_gs_base, 1, 0 },
	{ "SET_MSRS_KERNEL_GS_BASE", set_kernel_gs_base, 1, 0 },
	{ "SET_MSRS_SYSENTER_CS", set_sysenter_cs, 1, 0 },
	{ "SET_MSRS_SYSENTER_ESP", set_sysenter_esp, 1, 0 },
	{ "SET_MSRS_SYSENTER_EIP", set_sysenter_eip, 1, 0 },
	{ "SET_MSRS_PAT", set_pat, 1, 0 },
	{ "SET_MSRS_XSS", set_xss, 1, 0 },
	{ "SET_MSRS_GHCB", set_ghcb, 0, 0 },
	{ "SET_DEVICE_ATTR_SEV_RECORD", set_record, -ENXIO, -EPERM },

	/* SMM, which no vCPU has of which KVM cannot save the registers */
	{ "SMI", set_smi, 0, -ENOTTY },
	{ "SET_VCPU_EVENTS_smm", set_smm, 0, -EINVAL },
	{ "SET_VCPU_EVENTS_smi_pending", set_smi_pending, 0, -EINVAL },
	{ "SET_VCPU_EVENTS_smm_inside_nmi", set_smm_inside_nmi, 0, -EINVAL },

	/* KVM's own */
	{ "SET_VCPU_EVENTS", set_vcpu_events, 0, 0 },
	{ "NMI", set_nmi, 0, 0 },
	{ "SET_LAPIC", set_lapic, 0, 0 },
	{ "SET_MP_STATE", set_mp_state, 0, 0 },
	{ "SET_CPUID2", set_cpuid2, 0, 0 },
	{ "SET_MSRS_APICBASE", set_apic_base, 1, 1 },
	{ "SET_MSRS_MTRR", set_mtrr, 1, 1 },
	{ "SET_MSRS_MISC_ENABLE", set_misc_enable, 1, 1 },
	{ "SET_MSRS_TSC_DEADLINE", set_tsc_deadline, 1, 1 },
	{ "X86_SETUP_MCE", set_setup_mce, 0, 0 },
	{ "X86_SET_MCE", set_mce, 0, 0 },
	{ "SET_TSC_KHZ", set_tsc_khz, 0, 0 },
	{ "SET_DEVICE_ATTR_TSC_OFFSET", set_tsc_offset, 0, 0 },
	{ "TPR_ACCESS_REPORTING", set_tpr_access, 0, 0 },
	{ "SET_VAPIC_ADDR", set_vapic_addr, 0, 0 },
	{ "SET_SIGNAL_MASK", set_signal_mask, 0, 0 },
	{ "ENABLE_CAP", enable_cap, 0, 0 },

	/* Nobody's: no other CPUID once a vCPU has run, interrupts of no PIC, ... */
	{ "SET_CPUID", set_cpuid, 0, -EINVAL },
	{ "INTERRUPT", set_interrupt, -ENXIO, -ENXIO },
	{ "KVMCLOCK_CTRL", set_kvmclock_ctrl, -EINVAL, -EINVAL },
	{ "SET_ONE_REG", set_one_reg, -EINVAL, -EINVAL },
};

/*
 * What KVM knows, by the record; or, if there is none, by what SREGS of a legacy
 * VM show of it.
 */
struct view {
	struct sev_vcpu_record record;
	uint64_t cr0, cr4, cr8, efer, apic_base;
};

static void get_view(struct kvm_vcpu *vcpu, struct view *view)
{
	struct kvm_sregs sregs = { };

	memset(view, 0, sizeof(*view));
	if (!record_attr(vcpu, KVM_HAS_DEVICE_ATTR, &view->record))
		TEST_ASSERT(!record_attr(vcpu, KVM_GET_DEVICE_ATTR, &view->record),
			    "KVM_VCPU_SEV_RECORD: %s", strerror(errno));
	if (__vcpu_ioctl(vcpu, KVM_GET_SREGS, &sregs))
		return;

	view->cr0 = sregs.cr0;
	view->cr4 = sregs.cr4;
	view->cr8 = sregs.cr8;
	view->efer = sregs.efer;
	view->apic_base = sregs.apic_base;
}

static bool one_protected(const struct row *row, struct kvm_vcpu *vcpu, struct args *a)
{
	struct view before, after;
	bool good;
	int r;

	get_view(vcpu, &before);
	r = row->set(vcpu, a);
	get_view(vcpu, &after);
	good = r == row->protected;
	if (!good)
		ksft_print_msg("%s: %d, not %d\n", row->name, r, row->protected);
	if (memcmp(&before, &after, sizeof(before))) {
		ksft_print_msg("%s: KVM believes otherwise now\n", row->name);
		good = false;
	}

	/* An NMI or, if it was not refused, an SMI is not to hit the next one. */
	TEST_ASSERT(!set_events(vcpu, &a->events), "KVM_SET_VCPU_EVENTS: %s",
		    strerror(errno));
	return good;
}

static void all_protected(const char *type, struct kvm_vcpu *vcpu, struct args *a)
{
	int i;

	vcpu_events_get(vcpu, &a->events);
	for (i = 0; i < ARRAY_SIZE(rows); i++)
		ksft_test_result(one_protected(&rows[i], vcpu, a), "%s_%s\n", type,
				 rows[i].name);
}

/* The record and its errors */
static bool record_is_good(struct kvm_vcpu *vcpu, uint64_t features)
{
	const uint64_t long_mode = EFER_LMA | EFER_LME;
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_SEV_CTRL,
		.attr = KVM_VCPU_SEV_RECORD,
	};
	struct sev_vcpu_record rec = { };
	int r[5];

	r[0] = record_attr(vcpu, KVM_HAS_DEVICE_ATTR, &rec);
	r[1] = record_attr(vcpu, KVM_GET_DEVICE_ATTR, &rec);
	attr.addr = 8;
	r[2] = result(__vcpu_ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attr));
	attr.attr++;
	r[3] = result(__vcpu_ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attr));
	attr.attr--;
	attr.addr = (uintptr_t)&rec;
	rec.size--;
	r[4] = result(__vcpu_ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attr));

	if (r[0] || r[1] || r[2] != -EFAULT || r[3] != -ENXIO || r[4] != -E2BIG) {
		ksft_print_msg("%d %d %d %d %d\n", r[0], r[1], r[2], r[3], r[4]);
		return false;
	}
	/* Who has too little room is told how much it takes. */
	return rec.version == SEV_VCPU_RECORD_VERSION && rec.size == sizeof(rec) &&
	       (rec.efer & long_mode) == long_mode && rec.cr0 & X86_CR0_PG &&
	       rec.cr4 & X86_CR4_PAE && rec.ghcb_msr && !(rec.ghcb_msr & 0xfff) &&
	       rec.sev_features == features;
}

/* The guest has run, and waits for an answer: the best time to disturb it. */
static void disturb(const char *type, struct kvm_vcpu *vcpu, struct args *a,
		    uint64_t features)
{
	all_protected(type, vcpu, a);
	ksft_test_result(record_is_good(vcpu, features), "%s_record\n", type);
}

static void test_es(const char *type, bool legacy)
{
	const struct sev_ghcb_config config = {
		.legacy_init = legacy,
		.init = { .ghcb_version = 2 },
	};
	struct sev_vcpu_record rec = { };
	struct kvm_vcpu *vcpu;
	struct ucall uc = { };
	struct kvm_vm *vm;
	struct args a;

	vm = vm_sev_ghcb_create(&config, 1, guest_code, &vcpu);
	get_args(vcpu, &a);
	ksft_test_result(record_attr(vcpu, KVM_GET_DEVICE_ATTR, &rec) == -EPERM,
			 "%s_record_before_launch\n", type);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_SYNC);
	disturb(type, vcpu, &a, 0);
	vcpu_run(vcpu);
	if (get_ucall(vcpu, &uc) == UCALL_ABORT)
		ksft_print_msg("line %ld: %s\n", uc.args[GUEST_LINE], uc.buffer);
	ksft_test_result(uc.cmd == UCALL_DONE, "%s_guest\n", type);
	kvm_vm_free(vm);
	free(a.xsave);
}

static void test_es_legacy(const char *type)
{
	test_es(type, true);
}

static void test_es_typed(const char *type)
{
	test_es(type, false);
}

static struct args *snp_args;

static void snp_sync(struct sev_snp_runner *runner, struct ucall *uc)
{
	disturb("snp", runner->vcpu, snp_args, 1);
}

static void test_snp(const char *type)
{
	struct sev_snp_runner runner = { .sync = snp_sync };
	struct sev_vcpu_record rec = { };
	struct sev_snp_vm snp;
	struct args a;

	sev_snp_create(&snp, &SEV_SNP_DEFAULT_CONFIG, 1, guest_code);
	get_args(snp.vcpus[0], &a);
	ksft_test_result(record_attr(snp.vcpus[0], KVM_GET_DEVICE_ATTR, &rec) == -EPERM,
			 "%s_record_before_launch\n", type);
	sev_snp_launch(&snp);

	snp_args = &a;
	runner.vcpu = snp.vcpus[0];
	while (sev_snp_run_once(&runner))
		;
	if (runner.error[0])
		ksft_print_msg("%s\n", runner.error);
	ksft_test_result(runner.done && !runner.error[0], "%s_guest\n", type);
	sev_snp_free(&snp);
	free(a.xsave);
}

static void test_plain(const char *type)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	struct args a;
	int i, r;

	vm = vm_create_with_one_vcpu(&vcpu, guest_code);
	get_args(vcpu, &a);
	vcpu_events_get(vcpu, &a.events);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		r = rows[i].set(vcpu, &a);
		if (r != rows[i].plain)
			ksft_print_msg("%s: %d, not %d\n", rows[i].name, r, rows[i].plain);
		ksft_test_result(r == rows[i].plain, "%s_%s\n", type, rows[i].name);
		TEST_ASSERT(!set_events(vcpu, &a.events), "KVM_SET_VCPU_EVENTS: %s",
			    strerror(errno));
	}
	kvm_vm_free(vm);
	free(a.xsave);
}

/* Besides the rows: two of the record, and one of how the guest fares. */
#define NR_MORE		3

static const struct subtest {
	const char *name;
	void (*run)(const char *type);
	int nr;
} subtests[] = {
	{ "plain", test_plain, ARRAY_SIZE(rows) },
	{ "sev_es_legacy", test_es_legacy, ARRAY_SIZE(rows) + NR_MORE },
	{ "sev_es", test_es_typed, ARRAY_SIZE(rows) + NR_MORE },
	{ "snp", test_snp, ARRAY_SIZE(rows) + NR_MORE },
};

int main(int argc, char *argv[])
{
	int i, nr = 0;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_NESTED_STATE));

	for (i = 0; i < ARRAY_SIZE(subtests); i++)
		nr += argc > 1 && !strcmp(argv[1], subtests[i].name) ? subtests[i].nr : 0;
	__TEST_REQUIRE(nr, "The argument has to be plain, sev_es_legacy, sev_es or snp");
	if (!strcmp(argv[1], "snp"))
		TEST_REQUIRE_SEV_SNP();

	ksft_print_header();
	ksft_set_plan(nr);
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		if (!strcmp(argv[1], subtests[i].name))
			subtests[i].run(subtests[i].name);
	}
	ksft_finished();
}
