// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every basic event of the GHCB protocol, from a SEV-ES guest: the answer to a
 * proper request, and the refusal of a request that lacks a required field.
 */
#include <linux/bitfield.h>
#include <linux/kernel.h>
#include <linux/kvm_para.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_ghcb_smoke.h"
#include "test_util.h"
#include "ucall_common.h"

#define MSR_MTRR_FIX64K		0x250
#define MSR_BAD			0xdeadbeef

#define XSAVE_LEAF		0xd

static void expect_gp(struct sev_ghcb_call call)
{
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_RAISE);
	GUEST_ASSERT(sev_ghcb_event_is_exception(call.info2));
	GUEST_ASSERT_EQ(call.info2 & SVM_EVTINJ_VEC_MASK, GP_VECTOR);
	GUEST_ASSERT_EQ(sev_ghcb_event_error_code(call.info2), 0);
}

/*
 * Guest: MSR protocol.
 */
static void guest_msr_info(const struct sev_smoke *t)
{
	uint64_t info = sev_ghcb_msr_call(SEV_GHCB_MSR_INFO_REQ);

	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_CODE, info), SEV_GHCB_MSR_INFO_RESP);
	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_INFO_MIN, info), 1);
	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_INFO_MAX, info), sev_smoke_config.version);
	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_INFO_CBIT, info), sev_smoke_config.c_bit);

	GUEST_ASSERT_EQ(sev_ghcb_this_cpu()->version, sev_smoke_config.version);
}

static uint32_t msr_cpuid(uint32_t function, uint8_t reg)
{
	uint64_t response;

	response = sev_ghcb_msr_call(SEV_GHCB_MSR_CPUID_REQ |
				     FIELD_PREP(SEV_GHCB_MSR_CPUID_FUNC, function) |
				     FIELD_PREP(SEV_GHCB_MSR_CPUID_REG, reg));

	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_CODE, response),
			SEV_GHCB_MSR_CPUID_RESP);
	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_CPUID_REG, response), reg);
	return FIELD_GET(SEV_GHCB_MSR_CPUID_VALUE, response);
}

static void guest_msr_cpuid(const struct sev_smoke *t)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(sev_smoke_config.cpuid); i++) {
		struct kvm_cpuid_entry2 *want = &sev_smoke_config.cpuid[i];

		GUEST_ASSERT_EQ(msr_cpuid(want->function, 0), want->eax);
		GUEST_ASSERT_EQ(msr_cpuid(want->function, 1), want->ebx);
		GUEST_ASSERT_EQ(msr_cpuid(want->function, 2), want->ecx);
		GUEST_ASSERT_EQ(msr_cpuid(want->function, 3), want->edx);
	}
}

static void guest_msr_hv_features(const struct sev_smoke *t)
{
	uint64_t response = sev_ghcb_msr_call(SEV_GHCB_MSR_HV_FT_REQ);

	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_CODE, response),
			SEV_GHCB_MSR_HV_FT_RESP);
}

/* The guest sees that its request is still there, and no response. */
static void guest_msr_unknown(const struct sev_smoke *t)
{
	GUEST_ASSERT_EQ(sev_ghcb_msr_call(0xabc123fff), 0xabc123fff);
}

/*
 * Guest: requests that the GHCB carries.
 */
/* EBX is the size of the XSAVE area for the XCR0 that the guest tells. */
static void guest_cpuid_xsave(const struct sev_smoke *t)
{
	struct sev_ghcb_call call;
	uint32_t fp_only;

	call = sev_ghcb_cpuid(XSAVE_LEAF, 0);
	call.xcr0 = XFEATURE_MASK_FP;
	sev_smoke_ok(&call);
	if (!sev_smoke_config.has_xsave)
		return;

	/* The legacy area and the header. */
	fp_only = call.rbx;
	GUEST_ASSERT_EQ(fp_only, 512 + 64);

	if (!((uint32_t)call.rax & XFEATURE_MASK_YMM))
		return;

	call = sev_ghcb_cpuid(XSAVE_LEAF, 0);
	call.xcr0 = XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM;
	sev_smoke_ok(&call);
	GUEST_ASSERT((uint32_t)call.rbx > fp_only);
}

static void guest_msr(const struct sev_smoke *t)
{
	const uint64_t value = 0x0606060606060606;
	struct sev_ghcb_call call;
	uint64_t saved;

	call = sev_ghcb_rdmsr(MSR_MTRR_FIX64K);
	sev_smoke_ok(&call);
	sev_smoke_valid(&call, SEV_GHCB_RAX | SEV_GHCB_RDX);
	saved = (uint32_t)call.rax | call.rdx << 32;

	call = sev_ghcb_wrmsr(MSR_MTRR_FIX64K, value);
	sev_smoke_ok(&call);

	call = sev_ghcb_rdmsr(MSR_MTRR_FIX64K);
	sev_smoke_ok(&call);
	GUEST_ASSERT_EQ((uint32_t)call.rax | call.rdx << 32, value);

	call = sev_ghcb_wrmsr(MSR_MTRR_FIX64K, saved);
	sev_smoke_ok(&call);
}

static void guest_rdmsr_gp(const struct sev_smoke *t)
{
	expect_gp(sev_ghcb_rdmsr(MSR_BAD));
}

static void guest_wrmsr_gp(const struct sev_smoke *t)
{
	expect_gp(sev_ghcb_wrmsr(MSR_BAD, 0));
	/* No memory type has number 9. */
	expect_gp(sev_ghcb_wrmsr(MSR_MTRR_FIX64K, 9));
}

/*
 * Version 1 lets the scratch area be in any shared memory.  Output only: KVM
 * writes input back with preemption disabled, which a kernel with
 * DEBUG_ATOMIC_SLEEP reports as a bug, and rightly so.
 */
static void guest_scratch_elsewhere(const struct sev_smoke *t)
{
	uint8_t *shared = (uint8_t *)sev_smoke_config.shared, out[8], in[8];
	struct sev_ghcb_call call;
	int i;

	for (i = 0; i < sizeof(out); i++)
		out[i] = 0x30 + i;
	memcpy(shared, out, sizeof(out));

	call = sev_ghcb_outs(DEV_PORT(2, 4), 2, out, 4);
	call.buf_in = NULL;
	call.scratch = sev_smoke_config.shared_gpa;
	sev_smoke_ok(&call);

	call = sev_ghcb_ins(DEV_PORT(2, 4), 2, in, 4);
	sev_smoke_ok(&call);
	sev_smoke_complement(in, out, sizeof(out));
}

static void guest_scratch_not_in_ghcb(const struct sev_smoke *t)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_outs(DEV_PORT(1, 1), 1, NULL, 1);
	call.scratch = sev_smoke_config.shared_gpa;
	sev_smoke_refused(call, SEV_GHCB_ERR_INVALID_SCRATCH);
}

static void guest_scratch_overrun(const struct sev_smoke *t)
{
	struct sev_ghcb_call call;

	/* One byte too long, one byte too early. */
	call = sev_ghcb_outs(DEV_PORT(1, 0), 1, NULL, SEV_GHCB_BUF_SIZE);
	call.scratch += 1;
	sev_smoke_refused(call, SEV_GHCB_ERR_INVALID_SCRATCH);

	call = sev_ghcb_outs(DEV_PORT(1, 1), 1, NULL, 1);
	call.scratch -= 1;
	sev_smoke_refused(call, SEV_GHCB_ERR_INVALID_SCRATCH);
}

static void guest_mmio_too_long(const struct sev_smoke *t)
{
	uint8_t data[16] = {};

	sev_smoke_refused(sev_ghcb_mmio_read(DEV_GPA, data, sizeof(data)),
			  SEV_GHCB_ERR_INVALID_INPUT);
	sev_smoke_refused(sev_ghcb_mmio_write(DEV_GPA, data, sizeof(data)),
			  SEV_GHCB_ERR_INVALID_INPUT);
}

static void guest_cache(const struct sev_smoke *t)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_event(SVM_EXIT_WBINVD, 0, 0);
	sev_smoke_ok(&call);
	call = sev_ghcb_event(SVM_EXIT_INVD, 0, 0);
	sev_smoke_ok(&call);
}

static void guest_monitor(const struct sev_smoke *t)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_monitor(0, 0, 0);
	sev_smoke_ok(&call);
	call = sev_ghcb_mwait(0, 0);
	sev_smoke_ok(&call);
}

static void guest_vmmcall(const struct sev_smoke *t)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_vmmcall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0);
	sev_smoke_ok(&call);
	sev_smoke_valid(&call, SEV_GHCB_RAX);
	GUEST_ASSERT_EQ(call.rax, 0);

	call = sev_ghcb_vmmcall(0x7fff, 0, 0, 0, 0);
	sev_smoke_ok(&call);
	GUEST_ASSERT_EQ(call.rax, (uint64_t)-KVM_ENOSYS);

	call = sev_ghcb_vmmcall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0);
	call.cpl = 3;
	sev_smoke_ok(&call);
	GUEST_ASSERT_EQ(call.rax, (uint64_t)-KVM_EPERM);
}

static void guest_hv_features(const struct sev_smoke *t)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_HV_FEATURES, 0, 0);
	uint64_t msr = sev_ghcb_msr_call(SEV_GHCB_MSR_HV_FT_REQ);

	sev_smoke_ok(&call);
	GUEST_ASSERT_EQ(call.info2, FIELD_GET(SEV_GHCB_MSR_DATA, msr));
}

static void guest_jump_table(const struct sev_smoke *t)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_event(SVM_VMGEXIT_AP_JUMP_TABLE,
			      SVM_VMGEXIT_SET_AP_JUMP_TABLE, 0x1234000);
	sev_smoke_ok(&call);

	call = sev_ghcb_event(SVM_VMGEXIT_AP_JUMP_TABLE,
			      SVM_VMGEXIT_GET_AP_JUMP_TABLE, 0);
	sev_smoke_ok(&call);
	GUEST_ASSERT_EQ(call.info2, 0x1234000);
}

static void guest_jump_table_bad(const struct sev_smoke *t)
{
	sev_smoke_refused(sev_ghcb_event(SVM_VMGEXIT_AP_JUMP_TABLE, 2, 0),
			  SEV_GHCB_ERR_INVALID_INPUT);
}

static void guest_nmi_complete(const struct sev_smoke *t)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_NMI_COMPLETE, 0, 0);

	sev_smoke_ok(&call);
}

/*
 * Guest: requests that are to be refused.
 */
static void guest_invalid_usage(const struct sev_smoke *t)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_WBINVD, 0, 0);

	call.usage = 1;
	sev_smoke_refused(call, SEV_GHCB_ERR_INVALID_USAGE);
}

/* The field is there, with its right value: it just is not marked valid. */
static void guest_missing(const struct sev_smoke *t)
{
	struct sev_ghcb_call call = t->make();

	GUEST_ASSERT_EQ(call.valid & t->without, t->without);
	call.valid &= ~t->without;
	sev_smoke_refused(call, SEV_GHCB_ERR_MISSING_INPUT);
}

static struct sev_ghcb_call make_cpuid(void)
{
	return sev_ghcb_cpuid(0, 0);
}

static struct sev_ghcb_call make_cpuid_xsave(void)
{
	return sev_ghcb_cpuid(XSAVE_LEAF, 0);
}

static struct sev_ghcb_call make_rdmsr(void)
{
	return sev_ghcb_rdmsr(MSR_MTRR_FIX64K);
}

static struct sev_ghcb_call make_wrmsr(void)
{
	return sev_ghcb_wrmsr(MSR_MTRR_FIX64K, 0);
}

static struct sev_ghcb_call make_out(void)
{
	return sev_ghcb_out(DEV_PORT(1, 1), 1, 0);
}

static struct sev_ghcb_call make_outs(void)
{
	return sev_ghcb_outs(DEV_PORT(1, 1), 1, NULL, 1);
}

static struct sev_ghcb_call make_ins(void)
{
	return sev_ghcb_ins(DEV_PORT(1, 1), 1, NULL, 1);
}

static struct sev_ghcb_call make_mmio_read(void)
{
	return sev_ghcb_mmio_read(DEV_GPA + DEV_MMIO(1), NULL, 1);
}

static struct sev_ghcb_call make_mmio_write(void)
{
	return sev_ghcb_mmio_write(DEV_GPA + DEV_MMIO(1), NULL, 1);
}

static struct sev_ghcb_call make_vmmcall(void)
{
	return sev_ghcb_vmmcall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0);
}

static struct sev_ghcb_call make_monitor(void)
{
	return sev_ghcb_monitor(0, 0, 0);
}

static struct sev_ghcb_call make_mwait(void)
{
	return sev_ghcb_mwait(0, 0);
}

static struct sev_ghcb_call make_write_dr7(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_WRITE_DR7, 0, 0);

	call.rax = 0x400;
	call.valid |= SEV_GHCB_RAX;
	return call;
}

static struct sev_ghcb_call make_rdpmc(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_RDPMC, 0, 0);

	call.valid |= SEV_GHCB_RCX;
	return call;
}

#define MISSING(_name, _make, _field) {		\
	.name = _name " missing " #_field,	\
	.guest = guest_missing,			\
	.make = _make,				\
	.without = SEV_GHCB_##_field,		\
}

static const struct sev_smoke subtests[] = {
	{ "msr protocol: sev info", guest_msr_info },
	{ "msr protocol: cpuid", guest_msr_cpuid },
	{ "msr protocol: hv features", guest_msr_hv_features, .version = 2 },
	{ "msr protocol: unknown request", guest_msr_unknown },
	{ "cpuid", sev_smoke_cpuid },
	{ "cpuid of xsave with xcr0", guest_cpuid_xsave },
	{ "rdmsr and wrmsr", guest_msr },
	{ "rdmsr raises #GP", guest_rdmsr_gp },
	{ "wrmsr raises #GP", guest_wrmsr_gp },
	{ "in and out", sev_smoke_ioio },
	{ "ins and outs", sev_smoke_string_io },
	{ "scratch area elsewhere", guest_scratch_elsewhere, .version = 1 },
	{ "scratch area not in ghcb", guest_scratch_not_in_ghcb, .version = 2 },
	{ "scratch area overruns buffer", guest_scratch_overrun },
	{ "mmio read and write", sev_smoke_mmio },
	{ "mmio too long", guest_mmio_too_long, .version = 2 },
	{ "wbinvd and invd", guest_cache },
	{ "monitor and mwait", guest_monitor },
	{ "vmmcall", guest_vmmcall },
	{ "hv features", guest_hv_features, .version = 2 },
	{ "ap jump table", guest_jump_table },
	{ "ap jump table bad request", guest_jump_table_bad },
	{ "nmi complete", guest_nmi_complete },
	{ "invalid event", sev_smoke_invalid_event },
	{ "invalid usage", guest_invalid_usage },
	MISSING("cpuid", make_cpuid, EXIT_CODE),
	MISSING("cpuid", make_cpuid, INFO1),
	MISSING("cpuid", make_cpuid, INFO2),
	MISSING("cpuid", make_cpuid, RAX),
	MISSING("cpuid", make_cpuid, RCX),
	MISSING("cpuid of xsave", make_cpuid_xsave, XCR0),
	MISSING("rdmsr", make_rdmsr, RCX),
	MISSING("wrmsr", make_wrmsr, RCX),
	MISSING("wrmsr", make_wrmsr, RAX),
	MISSING("wrmsr", make_wrmsr, RDX),
	MISSING("out", make_out, RAX),
	MISSING("outs", make_outs, SCRATCH),
	MISSING("ins", make_ins, SCRATCH),
	MISSING("mmio read", make_mmio_read, SCRATCH),
	MISSING("mmio write", make_mmio_write, SCRATCH),
	MISSING("vmmcall", make_vmmcall, RAX),
	MISSING("vmmcall", make_vmmcall, CPL),
	MISSING("monitor", make_monitor, RAX),
	MISSING("monitor", make_monitor, RCX),
	MISSING("monitor", make_monitor, RDX),
	MISSING("mwait", make_mwait, RAX),
	MISSING("mwait", make_mwait, RCX),
	MISSING("write dr7", make_write_dr7, RAX),
	MISSING("rdpmc", make_rdpmc, RCX),
};

int main(void)
{
	static const struct sev_smoke_program program = {
		.tests = subtests,
		.nr_tests = ARRAY_SIZE(subtests),
	};

	return sev_smoke_main(&program);
}
