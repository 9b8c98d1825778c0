// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rules of VMGEXIT, event by event: what each event needs, what exactly it
 * gives back, and what becomes of a request that is wrong.
 *
 *   sev_ghcb_test [group...]		all groups if none is named
 */
#include <errno.h>
#include <string.h>

#include <linux/bitfield.h>
#include <linux/bitmap.h>
#include <linux/kvm_para.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "test_util.h"
#include "ucall_common.h"

#define DEV_GPA			0xd0000000ull
#define DEV_PORT		0x2000
#define DEV_BYTE		0x5a

/* A read from here is answered without entering the guest. */
#define LOG_PORT		0x2100

#define NO_MEMORY_GPA		0xc0000000ull

#define PIC_DATA		0x21
#define MSR_BAD			0xdeadbeef
#define CPUID_FAULTING		BIT(0)

/* What the guest puts into registers that are none of the event's inputs. */
#define STALE			0x57a1e57a1e000000ull

#define ANSWER			((uint64_t)(SEV_GHCB_INFO1 | SEV_GHCB_INFO2))
#define RAX_TO_RDX		(SEV_GHCB_RAX | SEV_GHCB_RBX |	\
				 SEV_GHCB_RCX | SEV_GHCB_RDX)

/* Written by the host before the launch. */
static struct {
	uint64_t shared;
	uint64_t shared_gpa;
	bool has_rdtscp;
} config;

/* Exceptions, as the answer has them: #GP with error code 0, and #UD. */
#define EVENT_UD		((uint32_t)SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_EXEPT | UD_VECTOR)
#define EVENT_GP		((uint32_t)SVM_EVTINJ_VALID | SVM_EVTINJ_TYPE_EXEPT | \
				 SVM_EVTINJ_VALID_ERR | GP_VECTOR)

/* The row that the guest is at, for messages. */
#define check(row, cond, fmt, args...)					\
	__GUEST_ASSERT(cond, "%s: " fmt, row, ##args)

static void expect(const char *row, struct sev_ghcb_call *call, uint64_t info1)
{
	sev_ghcb_vmgexit(call);
	check(row, call->info1 == info1, "info1 0x%lx instead of 0x%lx (info2 0x%lx: %s)",
	      call->info1, info1, call->info2, sev_ghcb_error_str(call->info2));
}

static void expect_error(const char *row, struct sev_ghcb_call call, uint64_t error)
{
	expect(row, &call, SEV_GHCB_MALFORMED);
	check(row, call.info2 == error, "'%s' instead of '%s'",
	      sev_ghcb_error_str(call.info2), sev_ghcb_error_str(error));
	check(row, call.valid == ANSWER, "valid 0x%lx with an error", call.valid);
}

static void expect_exception(const char *row, struct sev_ghcb_call call, uint64_t info2)
{
	expect(row, &call, SEV_GHCB_RAISE);
	check(row, call.info2 == info2, "event 0x%lx instead of 0x%lx",
	      call.info2, info2);
	check(row, call.valid == ANSWER, "valid 0x%lx with an exception", call.valid);
}

/*
 * The events: a proper request, what of it is needed, what comes back.
 */
static uint8_t data[16];

static struct sev_ghcb_call make_cpuid(void) { return sev_ghcb_cpuid(0, 0); }
static struct sev_ghcb_call make_cpuid_xsave(void) { return sev_ghcb_cpuid(0xd, 0); }
static struct sev_ghcb_call make_rdmsr(void) { return sev_ghcb_rdmsr(MSR_IA32_APICBASE); }
static struct sev_ghcb_call make_wrmsr(void) { return sev_ghcb_wrmsr(MSR_K7_HWCR, 0); }
static struct sev_ghcb_call make_in(void) { return sev_ghcb_in(PIC_DATA, 1); }
static struct sev_ghcb_call make_in_user(void) { return sev_ghcb_in(DEV_PORT, 4); }
static struct sev_ghcb_call make_out(void) { return sev_ghcb_out(PIC_DATA, 1, 0xff); }
static struct sev_ghcb_call make_out_user(void) { return sev_ghcb_out(DEV_PORT, 2, 0); }
static struct sev_ghcb_call make_ins(void) { return sev_ghcb_ins(DEV_PORT, 2, data, 4); }
static struct sev_ghcb_call make_outs(void) { return sev_ghcb_outs(DEV_PORT, 2, data, 4); }
static struct sev_ghcb_call make_mmio_read(void) { return sev_ghcb_mmio_read(DEV_GPA, data, 8); }
static struct sev_ghcb_call make_mmio_write(void) { return sev_ghcb_mmio_write(DEV_GPA, data, 4); }
static struct sev_ghcb_call make_rdtsc(void) { return sev_ghcb_event(SVM_EXIT_RDTSC, 0, 0); }
static struct sev_ghcb_call make_rdtscp(void) { return sev_ghcb_event(SVM_EXIT_RDTSCP, 0, 0); }
static struct sev_ghcb_call make_invd(void) { return sev_ghcb_event(SVM_EXIT_INVD, 0, 0); }
static struct sev_ghcb_call make_wbinvd(void) { return sev_ghcb_event(SVM_EXIT_WBINVD, 0, 0); }
static struct sev_ghcb_call make_monitor(void) { return sev_ghcb_monitor(0, 0, 0); }
static struct sev_ghcb_call make_mwait(void) { return sev_ghcb_mwait(0, 0); }

static struct sev_ghcb_call make_read_dr7(void)
{
	return sev_ghcb_event(SVM_EXIT_READ_DR7, 0, 0);
}

static struct sev_ghcb_call make_write_dr7(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_WRITE_DR7, 0, 0);

	call.rax = BIT(10);
	call.valid |= SEV_GHCB_RAX;
	return call;
}

static struct sev_ghcb_call make_rdpmc(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_RDPMC, 0, 0);

	call.rcx = MSR_BAD;
	call.valid |= SEV_GHCB_RCX;
	return call;
}

/* Needs no argument; sev_ghcb_vmmcall() gives them all the same. */
static struct sev_ghcb_call make_vmmcall(void)
{
	return sev_ghcb_vmmcall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0);
}

static struct sev_ghcb_call make_vmmcall_ipi(void)
{
	return sev_ghcb_vmmcall(KVM_HC_SEND_IPI, 0, 0, 0, 0);
}

static struct sev_ghcb_call make_nmi_complete(void)
{
	return sev_ghcb_event(SVM_VMGEXIT_NMI_COMPLETE, 0, 0);
}

static struct sev_ghcb_call make_get_jump_table(void)
{
	return sev_ghcb_event(SVM_VMGEXIT_AP_JUMP_TABLE, 1, 0);
}

static struct sev_ghcb_call make_set_jump_table(void)
{
	return sev_ghcb_event(SVM_VMGEXIT_AP_JUMP_TABLE, 0, PAGE_SIZE);
}

static struct sev_ghcb_call make_hv_features(void)
{
	return sev_ghcb_event(SVM_VMGEXIT_HV_FEATURES, 0, 0);
}

static const struct row {
	const char *name;
	struct sev_ghcb_call (*make)(void);
	uint64_t in;		/* beside SEV_GHCB_EXIT */
	uint64_t out;		/* beside ANSWER */
	uint64_t raises;	/* an exception that may come instead of success */
} rows[] = {
	{ "cpuid", make_cpuid, SEV_GHCB_RAX | SEV_GHCB_RCX, RAX_TO_RDX },
	{ "cpuid 0xd", make_cpuid_xsave, SEV_GHCB_RAX | SEV_GHCB_RCX | SEV_GHCB_XCR0,
	  RAX_TO_RDX },
	{ "rdmsr", make_rdmsr, SEV_GHCB_RCX, SEV_GHCB_RAX | SEV_GHCB_RDX },
	{ "wrmsr", make_wrmsr, SEV_GHCB_RCX | SEV_GHCB_RAX | SEV_GHCB_RDX },
	{ "in", make_in, 0, SEV_GHCB_RAX },
	{ "in to userspace", make_in_user, 0, SEV_GHCB_RAX },
	{ "out", make_out, SEV_GHCB_RAX },
	{ "out to userspace", make_out_user, SEV_GHCB_RAX },
	{ "ins", make_ins, SEV_GHCB_SCRATCH },
	{ "outs", make_outs, SEV_GHCB_SCRATCH },
	{ "mmio read", make_mmio_read, SEV_GHCB_SCRATCH },
	{ "mmio write", make_mmio_write, SEV_GHCB_SCRATCH },
	{ "vmmcall", make_vmmcall, SEV_GHCB_RAX | SEV_GHCB_CPL, SEV_GHCB_RAX },
	{ "vmmcall send ipi", make_vmmcall_ipi,
	  SEV_GHCB_RAX | SEV_GHCB_CPL | SEV_GHCB_RBX | SEV_GHCB_RCX | SEV_GHCB_RDX |
	  SEV_GHCB_RSI, SEV_GHCB_RAX },
	{ "rdtsc", make_rdtsc, 0, SEV_GHCB_RAX | SEV_GHCB_RDX },
	{ "rdtscp", make_rdtscp, 0, SEV_GHCB_RAX | SEV_GHCB_RCX | SEV_GHCB_RDX,
	  EVENT_UD },
	{ "rdpmc", make_rdpmc, SEV_GHCB_RCX, SEV_GHCB_RAX | SEV_GHCB_RDX, EVENT_GP },
	{ "read dr7", make_read_dr7, 0, SEV_GHCB_RAX },
	{ "write dr7", make_write_dr7, SEV_GHCB_RAX },
	{ "invd", make_invd },
	{ "wbinvd", make_wbinvd },
	{ "monitor", make_monitor, SEV_GHCB_RAX | SEV_GHCB_RCX | SEV_GHCB_RDX, 0,
	  EVENT_UD },
	{ "mwait", make_mwait, SEV_GHCB_RAX | SEV_GHCB_RCX, 0, EVENT_UD },
	{ "nmi complete", make_nmi_complete },
	{ "get jump table", make_get_jump_table },
	{ "set jump table", make_set_jump_table },
	{ "hypervisor features", make_hv_features },
};

#define for_each_row(r)	for (r = rows; r < rows + ARRAY_SIZE(rows); r++)

/* Success, or what else the row allows. */
static bool do_row(const struct row *r, struct sev_ghcb_call *call)
{
	sev_ghcb_vmgexit(call);
	if (r->raises && call->info1 == SEV_GHCB_RAISE) {
		check(r->name, call->info2 == r->raises, "event 0x%lx instead of 0x%lx",
		      call->info2, r->raises);
		return false;
	}

	check(r->name, call->info1 == SEV_GHCB_OK, "info1 0x%lx, info2 0x%lx",
	      call->info1, call->info2);
	return true;
}

static void guest_valid(void)
{
	struct sev_ghcb_call call;
	const struct row *r;
	uint64_t out;

	for_each_row(r) {
		call = r->make();
		out = do_row(r, &call) ? r->out : 0;
		check(r->name, call.valid == (ANSWER | out),
		      "valid 0x%lx instead of 0x%lx", call.valid, ANSWER | out);
	}
}

static void guest_missing(void)
{
	struct sev_ghcb_call call;
	const struct row *r;
	int i;

	for_each_row(r) {
		for (i = 0; i < SEV_GHCB_NR_FIELDS; i++) {
			if (!((r->in | SEV_GHCB_EXIT) & BIT_ULL(i)))
				continue;
			call = r->make();
			call.valid &= ~BIT_ULL(i);
			expect_error(r->name, call, SEV_GHCB_ERR_MISSING_INPUT);
		}
	}
}

/* What is not an output stays as the guest left it in the page. */
static void guest_stale(void)
{
	static const int regs[] = {
		SEV_GHCB_IDX_RAX, SEV_GHCB_IDX_RBX, SEV_GHCB_IDX_RCX, SEV_GHCB_IDX_RDX,
	};
	struct sev_ghcb_call call;
	uint64_t before[SEV_GHCB_NR_FIELDS];
	const struct row *r;
	uint64_t out;
	int i;

	for_each_row(r) {
		call = r->make();
		for (i = 0; i < ARRAY_SIZE(regs); i++) {
			if (!(call.valid & BIT_ULL(regs[i])))
				call.field[regs[i]] = STALE + i;
		}
		memcpy(before, call.field, sizeof(before));
		out = do_row(r, &call) ? r->out : 0;
		for (i = 0; i < ARRAY_SIZE(regs); i++)
			check(r->name, out & BIT_ULL(regs[i]) ||
			      call.field[regs[i]] == before[regs[i]],
			      "field %d became 0x%lx", regs[i], call.field[regs[i]]);
	}
}

/*
 * Requests that are wrong in other ways than by a lack.
 */
static void guest_malformed(void)
{
	const uint64_t end = SEV_GHCB_BUF_SIZE;
	struct sev_ghcb_call call;

	call = make_cpuid();
	call.usage = 1;
	expect_error("usage", call, SEV_GHCB_ERR_INVALID_USAGE);
	expect_error("no event", sev_ghcb_event(SVM_EXIT_EXCP_BASE, 0, 0),
		     SEV_GHCB_ERR_INVALID_EVENT);
	expect_error("no event, 64 bits", sev_ghcb_event(BIT_ULL(40) | SVM_EXIT_CPUID, 0, 0),
		     SEV_GHCB_ERR_INVALID_EVENT);
	call = make_mmio_read();
	call.exit_code = 0x80000010;
	expect_error("event of SNP guests", call, SEV_GHCB_ERR_INVALID_EVENT);
	call = make_rdmsr();
	call.info1 = 2;
	expect_error("neither rdmsr nor wrmsr", call, SEV_GHCB_ERR_INVALID_INPUT);
	call = make_in();
	call.info1 &= ~GENMASK_ULL(6, 4);
	expect_error("io of no size", call, SEV_GHCB_ERR_INVALID_INPUT);
	call.info1 |= GENMASK_ULL(6, 4);
	expect_error("io of all sizes", call, SEV_GHCB_ERR_INVALID_INPUT);
	call = make_mmio_write();
	call.info2 = 9;
	expect_error("mmio of 9 bytes", call, SEV_GHCB_ERR_INVALID_INPUT);
	call = make_vmmcall();
	call.cpl = 4;
	expect_error("cpl", call, SEV_GHCB_ERR_INVALID_INPUT);
	expect_error("jump table", sev_ghcb_event(SVM_VMGEXIT_AP_JUMP_TABLE, 2, 0),
		     SEV_GHCB_ERR_INVALID_INPUT);

	call = make_outs();
	call.scratch = 0;
	expect_error("scratch of 0", call, SEV_GHCB_ERR_INVALID_SCRATCH);
	call.scratch = sev_ghcb_buf_gpa() - 1;
	expect_error("scratch before buffer", call, SEV_GHCB_ERR_INVALID_SCRATCH);
	call.scratch = sev_ghcb_buf_gpa() + end - 7;
	expect_error("scratch past buffer", call, SEV_GHCB_ERR_INVALID_SCRATCH);
	call.scratch = config.shared_gpa;
	expect_error("scratch elsewhere", call, SEV_GHCB_ERR_INVALID_SCRATCH);
	call.scratch = -4ull;
	expect_error("scratch that wraps", call, SEV_GHCB_ERR_INVALID_SCRATCH);
	call.scratch = sev_ghcb_buf_gpa() + end - 8;
	expect("scratch at the end", &call, SEV_GHCB_OK);
}

static void guest_xfeatures(void)
{
	struct sev_ghcb_call call = make_cpuid_xsave();

	call.xcr0 = 0;
	expect_error("xcr0 of 0", call, SEV_GHCB_ERR_INVALID_INPUT);
	call.xcr0 = -1ull;
	expect_error("all of xcr0", call, SEV_GHCB_ERR_INVALID_INPUT);
	call.xcr0 = XFEATURE_MASK_FP | XFEATURE_MASK_YMM;
	expect_error("ymm without sse", call, SEV_GHCB_ERR_INVALID_INPUT);

	call = make_cpuid_xsave();
	call.rcx = 1;
	call.xss = -1ull;
	call.valid |= SEV_GHCB_XSS;
	expect_error("all of xss", call, SEV_GHCB_ERR_INVALID_INPUT);
	call.xss = 0;
	expect("no xss", &call, SEV_GHCB_OK);
}

/*
 * The fixes.
 */
static void guest_msr_fault(void)
{
	expect_exception("rdmsr", sev_ghcb_rdmsr(MSR_BAD), EVENT_GP);
	expect_exception("wrmsr", sev_ghcb_wrmsr(MSR_BAD, 0), EVENT_GP);
}

static void guest_exceptions(void)
{
	struct sev_ghcb_call call;

	expect_exception("rdpmc", make_rdpmc(), EVENT_GP);

	call = sev_ghcb_wrmsr(MSR_MISC_FEATURES_ENABLES, CPUID_FAULTING);
	expect("cpuid faulting", &call, SEV_GHCB_OK);
	call = make_cpuid();
	call.cpl = 3;
	call.valid |= SEV_GHCB_CPL;
	expect_exception("cpuid", call, EVENT_GP);
	call.cpl = 0;
	expect("cpuid of the kernel", &call, SEV_GHCB_OK);
}

static uint64_t tsc_of(const struct sev_ghcb_call *call)
{
	return (uint32_t)call->rax | call->rdx << 32;
}

static void guest_tsc(void)
{
	struct sev_ghcb_call first = make_rdtsc(), second = make_rdtsc(), call;

	expect("rdtsc", &first, SEV_GHCB_OK);
	expect("rdtsc again", &second, SEV_GHCB_OK);
	check("rdtsc", tsc_of(&first) && tsc_of(&first) < tsc_of(&second),
	      "%lx, then %lx", tsc_of(&first), tsc_of(&second));
	check("rdtsc", tsc_of(&second) < rdtsc(), "ahead of the guest's own");

	if (!config.has_rdtscp) {
		expect_exception("rdtscp", make_rdtscp(), EVENT_UD);
		return;
	}
	call = sev_ghcb_wrmsr(MSR_TSC_AUX, 7);
	expect("tsc_aux", &call, SEV_GHCB_OK);
	call = make_rdtscp();
	expect("rdtscp", &call, SEV_GHCB_OK);
	check("rdtscp", call.rcx == 7 && tsc_of(&call) > tsc_of(&second),
	      "rcx %lx, tsc %lx", call.rcx, tsc_of(&call));
}

static void guest_dr7(void)
{
	struct sev_ghcb_call call = make_read_dr7();

	expect("dr7 at reset", &call, SEV_GHCB_OK);
	check("dr7 at reset", call.rax == BIT(10), "0x%lx", call.rax);

	call = make_write_dr7();
	call.rax = 0x455;
	expect("write dr7", &call, SEV_GHCB_OK);
	call = make_read_dr7();
	expect("read dr7", &call, SEV_GHCB_OK);
	check("read dr7", call.rax == 0x455, "0x%lx", call.rax);

	call = make_write_dr7();
	call.rax = BIT_ULL(32);
	expect_exception("dr7 with reserved bits", call, EVENT_GP);
}

static void guest_no_memory(void)
{
	const uint64_t refused = SEV_GHCB_MSR_DATA | 0x013;

	GUEST_ASSERT_EQ(sev_ghcb_msr_call(NO_MEMORY_GPA), refused);
	GUEST_ASSERT_EQ(sev_ghcb_msr_call(0), refused);
}

static void guest_unsupported(void)
{
	expect_error("unsupported event",
		     sev_ghcb_event(SVM_VMGEXIT_UNSUPPORTED_EVENT, SVM_EXIT_CPUID, 0),
		     SEV_GHCB_ERR_INVALID_EVENT);
}

static void guest_string_overflow(void)
{
	struct sev_ghcb_call call = make_outs();

	call.info2 = BIT_ULL(63);
	expect_error("count * size overflows", call, SEV_GHCB_ERR_INVALID_INPUT);
	call.info2 = BIT_ULL(31);
	expect_error("2G of data", call, SEV_GHCB_ERR_INVALID_INPUT);
}

/* Version 1: the scratch area can be anywhere, and at worst nowhere. */
static void guest_scratch_outside(void)
{
	uint8_t *shared = (void *)config.shared;
	struct sev_ghcb_call call = make_ins();

	call.scratch = config.shared_gpa;
	expect("ins", &call, SEV_GHCB_OK);
	check("ins", shared[0] == DEV_BYTE && shared[7] == DEV_BYTE && !shared[8],
	      "%x %x %x", shared[0], shared[7], shared[8]);

	call = make_mmio_read();
	call.scratch = config.shared_gpa + 0x100;
	expect("mmio read", &call, SEV_GHCB_OK);
	check("mmio read", shared[0x100] == DEV_BYTE && !shared[0x108],
	      "%x %x", shared[0x100], shared[0x108]);
}

static void guest_scratch_nowhere(void)
{
	struct sev_ghcb_call call = make_ins();

	call.scratch = NO_MEMORY_GPA;
	expect_error("ins", call, SEV_GHCB_ERR_INVALID_SCRATCH);
	call = make_outs();
	call.scratch = NO_MEMORY_GPA;
	expect_error("outs", call, SEV_GHCB_ERR_INVALID_SCRATCH);
}

/* The host answers without entering the guest: only the answer is written meanwhile. */
static void guest_dirty_log(void)
{
	struct sev_ghcb_call call = sev_ghcb_in(LOG_PORT, 1);

	*(uint64_t *)config.shared = sev_ghcb_buf_gpa() & ~(PAGE_SIZE - 1);
	expect("in", &call, SEV_GHCB_OK);
	check("in", (uint8_t)call.rax == DEV_BYTE, "the answer is lost: 0x%lx", call.rax);
}

static const struct group {
	const char *name;
	void (*guest)(void);
	uint16_t version;
} groups[] = {
	{ "valid", guest_valid, 2 },
	{ "missing", guest_missing, 2 },
	{ "stale", guest_stale, 2 },
	{ "malformed", guest_malformed, 2 },
	{ "xfeatures", guest_xfeatures, 2 },
	{ "msr_fault", guest_msr_fault, 2 },
	{ "exceptions", guest_exceptions, 2 },
	{ "tsc", guest_tsc, 2 },
	{ "dr7", guest_dr7, 2 },
	{ "no_memory", guest_no_memory, 2 },
	{ "unsupported", guest_unsupported, 2 },
	{ "string_overflow", guest_string_overflow, 2 },
	{ "dirty_log", guest_dirty_log, 2 },
	{ "scratch_outside", guest_scratch_outside, 1 },
	{ "scratch_nowhere", guest_scratch_nowhere, 1 },
};

static void guest_code(void (*guest)(void))
{
	guest();
	GUEST_DONE();
}

/*
 * Host.
 */
static struct kvm_vm *create_vm(const struct group *g, struct kvm_vcpu **vcpu)
{
	const struct sev_ghcb_config ghcb_config = {
		.init = { .ghcb_version = g->version },
	};
	struct kvm_vm *vm = vm_sev_ghcb_create(&ghcb_config, 1, guest_code, vcpu);

	config.shared = vm_vaddr_alloc_shared(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR,
					      MEM_REGION_TEST_DATA);
	memset(addr_gva2hva(vm, config.shared), 0, PAGE_SIZE);
	config.shared_gpa = addr_gva2gpa(vm, config.shared);
	config.has_rdtscp = vcpu_cpuid_has(*vcpu, X86_FEATURE_RDTSCP);
	sync_global_to_guest(vm, config);
	vcpu_args_set(*vcpu, 1, g->guest);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);
	return vm;
}

static bool report(const struct group *g, struct kvm_vcpu *vcpu)
{
	struct ucall uc;

	switch (get_ucall(vcpu, &uc)) {
	case UCALL_DONE:
		ksft_test_result_pass("%s\n", g->name);
		return true;
	case UCALL_ABORT:
		ksft_print_msg("%s:%ld: %s\n", (const char *)uc.args[GUEST_FILE],
			       uc.args[GUEST_LINE], uc.buffer);
		break;
	default:
		ksft_print_msg("unexpected ucall %lu\n", uc.cmd);
	}
	ksft_test_result_fail("%s\n", g->name);
	return true;
}

/* The GHCB as the log has it, after @vcpu has had another chance to write it. */
static bool ghcb_is_logged(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	uint64_t gpa = *(uint64_t *)addr_gpa2hva(vm, config.shared_gpa);
	uint64_t size = memslot2region(vm, 0)->region.memory_size;
	unsigned long *log = bitmap_zalloc(size / PAGE_SIZE);
	bool logged;

	TEST_ASSERT(gpa < size, "the GHCB is not in slot 0");
	vcpu->run->immediate_exit = 1;
	TEST_ASSERT(__vcpu_run(vcpu) == -1 && errno == EINTR, "the guest ran");
	vcpu->run->immediate_exit = 0;
	kvm_vm_get_dirty_log(vm, 0, log);
	logged = test_bit(gpa / PAGE_SIZE, log);
	free(log);
	return logged;
}

/* The first time the answer is written, the second time it has been. */
static void answer_and_look(struct kvm_vm *vm, struct kvm_vcpu *vcpu)
{
	uint8_t *data = (uint8_t *)vcpu->run + vcpu->run->io.data_offset;

	vm_mem_region_set_flags(vm, 0, KVM_MEM_LOG_DIRTY_PAGES);
	*data = DEV_BYTE;
	TEST_ASSERT(ghcb_is_logged(vm, vcpu), "The answer is not in the dirty log");
	TEST_ASSERT(!ghcb_is_logged(vm, vcpu), "The GHCB is in the dirty log again");
}

static void run(const struct group *g)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(g, &vcpu);
	struct kvm_run *run = vcpu->run;
	bool done = false;

	while (!done) {
		if (__vcpu_run(vcpu)) {
			ksft_test_result_fail("%s: KVM_RUN: %s\n", g->name, strerror(errno));
			break;
		}
		if (run->exit_reason == KVM_EXIT_IO && run->io.port == UCALL_PIO_PORT) {
			done = report(g, vcpu);
		} else if (run->exit_reason == KVM_EXIT_IO && run->io.port == LOG_PORT) {
			answer_and_look(vm, vcpu);
		} else if (run->exit_reason == KVM_EXIT_IO) {
			if (run->io.direction == KVM_EXIT_IO_IN)
				memset((void *)run + run->io.data_offset, DEV_BYTE,
				       run->io.size * run->io.count);
		} else if (run->exit_reason == KVM_EXIT_MMIO) {
			if (!run->mmio.is_write)
				memset(run->mmio.data, DEV_BYTE, run->mmio.len);
		} else {
			ksft_test_result_fail("%s: exit %s\n", g->name,
					      exit_reason_str(run->exit_reason));
			break;
		}
	}
	kvm_vm_free(vm);
}

static bool is_chosen(const struct group *g, int argc, char *argv[])
{
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], g->name))
			return true;
	}
	return argc == 1;
}

int main(int argc, char *argv[])
{
	int i, nr = 0;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	for (i = 0; i < ARRAY_SIZE(groups); i++)
		nr += is_chosen(&groups[i], argc, argv);
	TEST_ASSERT(argc == 1 || nr == argc - 1, "No group has one of these names");

	ksft_print_header();
	ksft_set_plan(nr);
	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		if (is_chosen(&groups[i], argc, argv))
			run(&groups[i]);
	}
	ksft_finished();
}
