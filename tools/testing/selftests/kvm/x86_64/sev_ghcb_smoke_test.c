// SPDX-License-Identifier: GPL-2.0-only
/*
 * Every basic event of the GHCB protocol, from a SEV-ES guest: the answer to a
 * proper request, and the refusal of a request that lacks a required field.
 *
 * All subtests of a VM run in one guest, one after the other.  If one fails, a
 * new VM continues with the next.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <linux/bitfield.h>
#include <linux/kernel.h>
#include <linux/kvm_para.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "test_util.h"
#include "ucall_common.h"

#define NR_VCPUS		2
#define TIMEOUT_SECONDS		60

/*
 * The host's test device.  Ports: 0x2SNN accepts only accesses of S bytes, NN
 * times in one exit, with 0 for any number.  MMIO: offset 0xL00 accepts only
 * accesses of L bytes.  A read gives the complement of what was written, so
 * that no stale copy of the data can pass for an answer.
 */
#define DEV_PORT(size, count)	(0x2000 | (size) << 8 | (count))
#define DEV_GPA			0xd0000000ull
#define DEV_MMIO(len)		((len) << 8)

#define MSR_MTRR_FIX64K		0x250
#define MSR_BAD			0xdeadbeef

#define TEST_VECTOR		0x40

#define XSAVE_LEAF		0xd

/* What the guest wants from the host, the first argument of a UCALL_SYNC. */
enum {
	SYNC_RESULT,		/* index of a subtest, 0 or SKIPPED */
	SYNC_SUM,		/* four numbers and their sum */
};

#define SKIPPED			1

struct subtest {
	const char *name;
	void (*guest)(const struct subtest *t);

	/* For those that only see a request refused. */
	struct sev_ghcb_call (*make)(void);
	uint64_t without;

	/* Versions of the protocol to which it applies, 0 for any. */
	uint16_t version;
};

/* Written by the host before the launch. */
static struct {
	uint32_t first;
	uint16_t version;
	uint8_t c_bit;
	uint64_t mmio;
	uint64_t shared;
	uint64_t shared_gpa;
	struct kvm_cpuid_entry2 cpuid[4];
	bool has_xsave;
} config;

static uint64_t nr_irqs;
static uint64_t ap_started;
static uint64_t ap_waiting;
static uint64_t ap_released;

/*
 * Guest: helpers.
 */
static void expect_ok(struct sev_ghcb_call *call)
{
	sev_ghcb_vmgexit(call);
	__GUEST_ASSERT(call->info1 == SEV_GHCB_OK,
		       "info1 0x%lx info2 0x%lx", call->info1, call->info2);
}

static void expect_error(struct sev_ghcb_call call, uint64_t error)
{
	sev_ghcb_vmgexit(&call);
	__GUEST_ASSERT(call.info1 == SEV_GHCB_MALFORMED && call.info2 == error,
		       "wanted '%s', got info1 0x%lx info2 0x%lx (%s)",
		       sev_ghcb_error_str(error), call.info1, call.info2,
		       sev_ghcb_error_str(call.info2));
}

static void expect_gp(struct sev_ghcb_call call)
{
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_RAISE);
	GUEST_ASSERT(sev_ghcb_event_is_exception(call.info2));
	GUEST_ASSERT_EQ(call.info2 & SVM_EVTINJ_VEC_MASK, GP_VECTOR);
	GUEST_ASSERT_EQ(sev_ghcb_event_error_code(call.info2), 0);
}

static void expect_valid(const struct sev_ghcb_call *call, uint64_t fields)
{
	__GUEST_ASSERT((call->valid & fields) == fields,
		       "wanted fields 0x%lx valid, got 0x%lx",
		       fields, call->valid);
}

/* Runs @code, which must take at least one #VC of that kind. */
#define EXPECT_VC(exit_code, code)					\
do {									\
	struct sev_ghcb_cpu *cpu = sev_ghcb_this_cpu();			\
	uint64_t nr_vc = READ_ONCE(cpu->nr_vc);				\
									\
	code;								\
	GUEST_ASSERT_NE(READ_ONCE(cpu->nr_vc), nr_vc);			\
	GUEST_ASSERT_EQ(READ_ONCE(cpu->last_vc), exit_code);		\
} while (0)

static void delay_ms(int ms)
{
	const int us_per_ms = 1000;

	while (ms--)
		udelay(us_per_ms);
}

static uint32_t size_mask(int size)
{
	return GENMASK(size * 8 - 1, 0);
}

static uint64_t pattern(int size)
{
	return 0x8877665544332211ull & GENMASK_ULL(size * 8 - 1, 0);
}

/*
 * Guest: MSR protocol.
 */
static void guest_msr_info(const struct subtest *t)
{
	uint64_t info = sev_ghcb_msr_call(SEV_GHCB_MSR_INFO_REQ);

	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_CODE, info), SEV_GHCB_MSR_INFO_RESP);
	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_INFO_MIN, info), 1);
	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_INFO_MAX, info), config.version);
	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_INFO_CBIT, info), config.c_bit);

	GUEST_ASSERT_EQ(sev_ghcb_this_cpu()->version, config.version);
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

static void guest_msr_cpuid(const struct subtest *t)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(config.cpuid); i++) {
		struct kvm_cpuid_entry2 *want = &config.cpuid[i];

		GUEST_ASSERT_EQ(msr_cpuid(want->function, 0), want->eax);
		GUEST_ASSERT_EQ(msr_cpuid(want->function, 1), want->ebx);
		GUEST_ASSERT_EQ(msr_cpuid(want->function, 2), want->ecx);
		GUEST_ASSERT_EQ(msr_cpuid(want->function, 3), want->edx);
	}
}

static void guest_msr_hv_features(const struct subtest *t)
{
	uint64_t response = sev_ghcb_msr_call(SEV_GHCB_MSR_HV_FT_REQ);

	GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_CODE, response),
			SEV_GHCB_MSR_HV_FT_RESP);
}

/* The guest sees that its request is still there, and no response. */
static void guest_msr_unknown(const struct subtest *t)
{
	GUEST_ASSERT_EQ(sev_ghcb_msr_call(0xabc123fff), 0xabc123fff);
}

/*
 * Guest: requests that the GHCB carries.
 */
static void guest_cpuid(const struct subtest *t)
{
	struct sev_ghcb_call call;
	int i;

	for (i = 0; i < ARRAY_SIZE(config.cpuid); i++) {
		struct kvm_cpuid_entry2 *want = &config.cpuid[i];

		call = sev_ghcb_cpuid(want->function, 0);
		expect_ok(&call);
		expect_valid(&call, SEV_GHCB_RAX | SEV_GHCB_RBX |
				    SEV_GHCB_RCX | SEV_GHCB_RDX);
		GUEST_ASSERT_EQ((uint32_t)call.rax, want->eax);
		GUEST_ASSERT_EQ((uint32_t)call.rbx, want->ebx);
		GUEST_ASSERT_EQ((uint32_t)call.rcx, want->ecx);
		GUEST_ASSERT_EQ((uint32_t)call.rdx, want->edx);
	}
}

/* EBX is the size of the XSAVE area for the XCR0 that the guest tells. */
static void guest_cpuid_xsave(const struct subtest *t)
{
	struct sev_ghcb_call call;
	uint32_t fp_only;

	call = sev_ghcb_cpuid(XSAVE_LEAF, 0);
	call.xcr0 = XFEATURE_MASK_FP;
	expect_ok(&call);
	if (!config.has_xsave)
		return;

	/* The legacy area and the header. */
	fp_only = call.rbx;
	GUEST_ASSERT_EQ(fp_only, 512 + 64);

	if (!((uint32_t)call.rax & XFEATURE_MASK_YMM))
		return;

	call = sev_ghcb_cpuid(XSAVE_LEAF, 0);
	call.xcr0 = XFEATURE_MASK_FP | XFEATURE_MASK_SSE | XFEATURE_MASK_YMM;
	expect_ok(&call);
	GUEST_ASSERT((uint32_t)call.rbx > fp_only);
}

static void guest_msr(const struct subtest *t)
{
	const uint64_t value = 0x0606060606060606;
	struct sev_ghcb_call call;
	uint64_t saved;

	call = sev_ghcb_rdmsr(MSR_MTRR_FIX64K);
	expect_ok(&call);
	expect_valid(&call, SEV_GHCB_RAX | SEV_GHCB_RDX);
	saved = (uint32_t)call.rax | call.rdx << 32;

	call = sev_ghcb_wrmsr(MSR_MTRR_FIX64K, value);
	expect_ok(&call);

	call = sev_ghcb_rdmsr(MSR_MTRR_FIX64K);
	expect_ok(&call);
	GUEST_ASSERT_EQ((uint32_t)call.rax | call.rdx << 32, value);

	call = sev_ghcb_wrmsr(MSR_MTRR_FIX64K, saved);
	expect_ok(&call);
}

static void guest_rdmsr_gp(const struct subtest *t)
{
	expect_gp(sev_ghcb_rdmsr(MSR_BAD));
}

static void guest_wrmsr_gp(const struct subtest *t)
{
	expect_gp(sev_ghcb_wrmsr(MSR_BAD, 0));
	/* No memory type has number 9. */
	expect_gp(sev_ghcb_wrmsr(MSR_MTRR_FIX64K, 9));
}

static void guest_ioio(const struct subtest *t)
{
	struct sev_ghcb_call call;
	int size;

	for (size = 1; size <= 4; size *= 2) {
		call = sev_ghcb_out(DEV_PORT(size, 1), size, pattern(size));
		expect_ok(&call);

		call = sev_ghcb_in(DEV_PORT(size, 1), size);
		expect_ok(&call);
		expect_valid(&call, SEV_GHCB_RAX);
		GUEST_ASSERT_EQ(call.rax & size_mask(size),
				~pattern(size) & size_mask(size));
	}
}

static void expect_complement(const uint8_t *in, const uint8_t *out, int len)
{
	int i;

	for (i = 0; i < len; i++)
		__GUEST_ASSERT(in[i] == (uint8_t)~out[i], "byte %d: %x, %x",
			       i, in[i], out[i]);
}

static void guest_string_io(const struct subtest *t)
{
	static uint8_t bufs[NR_VCPUS][2][SEV_GHCB_BUF_SIZE];
	uint32_t id = sev_ghcb_this_cpu()->vcpu_id;
	uint8_t *out = bufs[id][0], *in = bufs[id][1];
	struct sev_ghcb_call call;
	int size, count, i;

	for (i = 0; i < SEV_GHCB_BUF_SIZE; i++)
		out[i] = i * 7 + 1 + id;

	for (size = 1; size <= 4; size *= 2) {
		count = 5;
		call = sev_ghcb_outs(DEV_PORT(size, count), size, out, count);
		expect_ok(&call);
		call = sev_ghcb_ins(DEV_PORT(size, count), size, in, count);
		expect_ok(&call);
		expect_complement(in, out, count * size);

		/* The whole buffer. */
		count = SEV_GHCB_BUF_SIZE / size;
		call = sev_ghcb_outs(DEV_PORT(size, 0), size, out, count);
		expect_ok(&call);
		call = sev_ghcb_ins(DEV_PORT(size, 0), size, in, count);
		expect_ok(&call);
		expect_complement(in, out, count * size);
	}
}

/*
 * Version 1 lets the scratch area be in any shared memory.  Output only: KVM
 * writes input back with preemption disabled, which a kernel with
 * DEBUG_ATOMIC_SLEEP reports as a bug, and rightly so.
 */
static void guest_scratch_elsewhere(const struct subtest *t)
{
	uint8_t *shared = (uint8_t *)config.shared, out[8], in[8];
	struct sev_ghcb_call call;
	int i;

	for (i = 0; i < sizeof(out); i++)
		out[i] = 0x30 + i;
	memcpy(shared, out, sizeof(out));

	call = sev_ghcb_outs(DEV_PORT(2, 4), 2, out, 4);
	call.buf_in = NULL;
	call.scratch = config.shared_gpa;
	expect_ok(&call);

	call = sev_ghcb_ins(DEV_PORT(2, 4), 2, in, 4);
	expect_ok(&call);
	expect_complement(in, out, sizeof(out));
}

static void guest_scratch_not_in_ghcb(const struct subtest *t)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_outs(DEV_PORT(1, 1), 1, NULL, 1);
	call.scratch = config.shared_gpa;
	expect_error(call, SEV_GHCB_ERR_INVALID_SCRATCH);
}

static void guest_scratch_overrun(const struct subtest *t)
{
	struct sev_ghcb_call call;

	/* One byte too long, one byte too early. */
	call = sev_ghcb_outs(DEV_PORT(1, 0), 1, NULL, SEV_GHCB_BUF_SIZE);
	call.scratch += 1;
	expect_error(call, SEV_GHCB_ERR_INVALID_SCRATCH);

	call = sev_ghcb_outs(DEV_PORT(1, 1), 1, NULL, 1);
	call.scratch -= 1;
	expect_error(call, SEV_GHCB_ERR_INVALID_SCRATCH);
}

static void guest_mmio(const struct subtest *t)
{
	struct sev_ghcb_call call;
	uint64_t gpa, in, out;
	int len;

	for (len = 1; len <= 8; len *= 2) {
		gpa = DEV_GPA + DEV_MMIO(len);
		out = pattern(len);
		in = 0;

		call = sev_ghcb_mmio_write(gpa, &out, len);
		expect_ok(&call);
		call = sev_ghcb_mmio_read(gpa, &in, len);
		expect_ok(&call);
		GUEST_ASSERT_EQ(in, ~out & GENMASK_ULL(len * 8 - 1, 0));
	}
}

static void guest_mmio_too_long(const struct subtest *t)
{
	uint8_t data[16] = {};

	expect_error(sev_ghcb_mmio_read(DEV_GPA, data, sizeof(data)),
		     SEV_GHCB_ERR_INVALID_INPUT);
	expect_error(sev_ghcb_mmio_write(DEV_GPA, data, sizeof(data)),
		     SEV_GHCB_ERR_INVALID_INPUT);
}

static void guest_cache(const struct subtest *t)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_event(SVM_EXIT_WBINVD, 0, 0);
	expect_ok(&call);
	call = sev_ghcb_event(SVM_EXIT_INVD, 0, 0);
	expect_ok(&call);
}

static void guest_monitor(const struct subtest *t)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_monitor(0, 0, 0);
	expect_ok(&call);
	call = sev_ghcb_mwait(0, 0);
	expect_ok(&call);
}

static void guest_vmmcall(const struct subtest *t)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_vmmcall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0);
	expect_ok(&call);
	expect_valid(&call, SEV_GHCB_RAX);
	GUEST_ASSERT_EQ(call.rax, 0);

	call = sev_ghcb_vmmcall(0x7fff, 0, 0, 0, 0);
	expect_ok(&call);
	GUEST_ASSERT_EQ(call.rax, (uint64_t)-KVM_ENOSYS);

	call = sev_ghcb_vmmcall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0);
	call.cpl = 3;
	expect_ok(&call);
	GUEST_ASSERT_EQ(call.rax, (uint64_t)-KVM_EPERM);
}

static void guest_hv_features(const struct subtest *t)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_HV_FEATURES, 0, 0);
	uint64_t msr = sev_ghcb_msr_call(SEV_GHCB_MSR_HV_FT_REQ);

	expect_ok(&call);
	GUEST_ASSERT_EQ(call.info2, FIELD_GET(SEV_GHCB_MSR_DATA, msr));
}

static void guest_jump_table(const struct subtest *t)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_event(SVM_VMGEXIT_AP_JUMP_TABLE,
			      SVM_VMGEXIT_SET_AP_JUMP_TABLE, 0x1234000);
	expect_ok(&call);

	call = sev_ghcb_event(SVM_VMGEXIT_AP_JUMP_TABLE,
			      SVM_VMGEXIT_GET_AP_JUMP_TABLE, 0);
	expect_ok(&call);
	GUEST_ASSERT_EQ(call.info2, 0x1234000);
}

static void guest_jump_table_bad(const struct subtest *t)
{
	expect_error(sev_ghcb_event(SVM_VMGEXIT_AP_JUMP_TABLE, 2, 0),
		     SEV_GHCB_ERR_INVALID_INPUT);
}

static void guest_nmi_complete(const struct subtest *t)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_NMI_COMPLETE, 0, 0);

	expect_ok(&call);
}

/*
 * Guest: requests that are to be refused.
 */
static void guest_invalid_event(const struct subtest *t)
{
	static const uint64_t codes[] = {
		SVM_EXIT_HLT, SVM_EXIT_EXCP_BASE + GP_VECTOR, SVM_EXIT_NPF,
		0x80000000, 0x8000abcd, 0x100000000 | SVM_EXIT_WBINVD, ~0ull,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(codes); i++)
		expect_error(sev_ghcb_event(codes[i], 0, 0),
			     SEV_GHCB_ERR_INVALID_EVENT);
}

static void guest_invalid_usage(const struct subtest *t)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_EXIT_WBINVD, 0, 0);

	call.usage = 1;
	expect_error(call, SEV_GHCB_ERR_INVALID_USAGE);
}

/* The field is there, with its right value: it just is not marked valid. */
static void guest_missing(const struct subtest *t)
{
	struct sev_ghcb_call call = t->make();

	GUEST_ASSERT_EQ(call.valid & t->without, t->without);
	call.valid &= ~t->without;
	expect_error(call, SEV_GHCB_ERR_MISSING_INPUT);
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

/*
 * Guest: the instructions themselves, by way of the #VC handler.
 */
static void guest_vc_cpuid(const struct subtest *t)
{
	struct kvm_cpuid_entry2 *want = &config.cpuid[0];
	uint32_t eax, ebx, ecx, edx;

	EXPECT_VC(SVM_EXIT_CPUID,
		  __cpuid(want->function, 0, &eax, &ebx, &ecx, &edx));
	GUEST_ASSERT_EQ(eax, want->eax);
	GUEST_ASSERT_EQ(ebx, want->ebx);
	GUEST_ASSERT_EQ(ecx, want->ecx);
	GUEST_ASSERT_EQ(edx, want->edx);

	EXPECT_VC(SVM_EXIT_CPUID,
		  __cpuid(XSAVE_LEAF, 0, &eax, &ebx, &ecx, &edx));
}

static void guest_vc_msr(const struct subtest *t)
{
	const uint64_t value = 0x0404040404040404;
	uint64_t saved, got;

	EXPECT_VC(SVM_EXIT_MSR, saved = rdmsr(MSR_MTRR_FIX64K));
	EXPECT_VC(SVM_EXIT_MSR, wrmsr(MSR_MTRR_FIX64K, value));
	EXPECT_VC(SVM_EXIT_MSR, got = rdmsr(MSR_MTRR_FIX64K));
	GUEST_ASSERT_EQ(got, value);
	wrmsr(MSR_MTRR_FIX64K, saved);
}

static void guest_vc_msr_gp(const struct subtest *t)
{
	uint64_t value;
	uint8_t vector;

	EXPECT_VC(SVM_EXIT_MSR, vector = rdmsr_safe(MSR_BAD, &value));
	GUEST_ASSERT_EQ(vector, GP_VECTOR);
	EXPECT_VC(SVM_EXIT_MSR, vector = wrmsr_safe(MSR_BAD, 0));
	GUEST_ASSERT_EQ(vector, GP_VECTOR);
}

static void guest_vc_ioio(const struct subtest *t)
{
	uint64_t rax;

	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("outb %b0, %w1" : : "a" (0x5a), "d" (DEV_PORT(1, 1))));
	rax = -1ull;
	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("inb %w1, %b0" : "+a" (rax) : "d" (DEV_PORT(1, 1))));
	GUEST_ASSERT_EQ(rax, ~0x5aull);

	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("outw %w0, %w1" : : "a" (0x1234), "d" (DEV_PORT(2, 1))));
	rax = -1ull;
	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("inw %w1, %w0" : "+a" (rax) : "d" (DEV_PORT(2, 1))));
	GUEST_ASSERT_EQ(rax, ~0x1234ull);

	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("outl %k0, %w1" : : "a" (0x12345678), "d" (DEV_PORT(4, 1))));
	rax = -1ull;
	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("inl %w1, %k0" : "+a" (rax) : "d" (DEV_PORT(4, 1))));
	GUEST_ASSERT_EQ(rax, (uint32_t)~0x12345678);
}

static void guest_vc_string_io(const struct subtest *t)
{
	static uint16_t out[100], in[100];
	const void *src = out;
	void *dst = in;
	uint64_t count;
	int i;

	for (i = 0; i < ARRAY_SIZE(out); i++)
		out[i] = 0x1000 + i;

	count = ARRAY_SIZE(out);
	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("rep outsw" : "+S" (src), "+c" (count)
			       : "d" (DEV_PORT(2, 100)) : "memory"));
	GUEST_ASSERT_EQ(count, 0);
	GUEST_ASSERT_EQ(src, (void *)out + sizeof(out));

	count = ARRAY_SIZE(in);
	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("rep insw" : "+D" (dst), "+c" (count)
			       : "d" (DEV_PORT(2, 100)) : "memory"));
	GUEST_ASSERT_EQ(count, 0);
	GUEST_ASSERT_EQ(dst, (void *)in + sizeof(in));

	expect_complement((void *)in, (void *)out, sizeof(in));
}

#define GUEST_VC_MMIO(type)						\
do {									\
	type *reg = (void *)config.mmio + DEV_MMIO(sizeof(type));	\
	type value;							\
									\
	EXPECT_VC(SVM_EXIT_NPF, WRITE_ONCE(*reg, pattern(sizeof(type))));\
	EXPECT_VC(SVM_EXIT_NPF, value = READ_ONCE(*reg));		\
	GUEST_ASSERT_EQ(value, (type)~pattern(sizeof(type)));		\
} while (0)

static void guest_vc_mmio(const struct subtest *t)
{
	GUEST_VC_MMIO(uint8_t);
	GUEST_VC_MMIO(uint16_t);
	GUEST_VC_MMIO(uint32_t);
	GUEST_VC_MMIO(uint64_t);
}

static void guest_vc_wbinvd(const struct subtest *t)
{
	EXPECT_VC(SVM_EXIT_WBINVD, asm volatile("wbinvd" : : : "memory"));
}

static void guest_vc_vmmcall(const struct subtest *t)
{
	uint64_t ret;

	EXPECT_VC(SVM_EXIT_VMMCALL,
		  ret = kvm_hypercall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0));
	GUEST_ASSERT_EQ(ret, 0);
}

static void guest_ucall(const struct subtest *t)
{
	GUEST_PRINTF("%s %d", "guest", 42);
	GUEST_SYNC6(SYNC_SUM, 1, 20, 300, 4000, 4321);
}

static void guest_irq_handler(struct ex_regs *regs)
{
	__atomic_fetch_add(&nr_irqs, 1, __ATOMIC_SEQ_CST);
	x2apic_write_reg(APIC_EOI, 0);
}

static void halt_until_irq(uint64_t nr)
{
	while (READ_ONCE(nr_irqs) == nr)
		asm volatile("sti; hlt; cli" : : : "memory");
}

/* HLT exits by itself, without #VC: here the APIC timer ends it. */
static void guest_hlt(const struct subtest *t)
{
	uint64_t nr = READ_ONCE(nr_irqs);

	x2apic_enable();
	x2apic_write_reg(APIC_TDCR, 0xb);
	x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_ONESHOT | TEST_VECTOR);
	x2apic_write_reg(APIC_TMICT, 1000000);

	halt_until_irq(nr);
	GUEST_ASSERT_EQ(READ_ONCE(nr_irqs), nr + 1);
}

#define MISSING(_name, _make, _field) {		\
	.name = _name " missing " #_field,	\
	.guest = guest_missing,			\
	.make = _make,				\
	.without = SEV_GHCB_##_field,		\
}

static const struct subtest subtests[] = {
	{ "ucall", guest_ucall },
	{ "msr protocol: sev info", guest_msr_info },
	{ "msr protocol: cpuid", guest_msr_cpuid },
	{ "msr protocol: hv features", guest_msr_hv_features, .version = 2 },
	{ "msr protocol: unknown request", guest_msr_unknown },
	{ "cpuid", guest_cpuid },
	{ "cpuid of xsave with xcr0", guest_cpuid_xsave },
	{ "rdmsr and wrmsr", guest_msr },
	{ "rdmsr raises #GP", guest_rdmsr_gp },
	{ "wrmsr raises #GP", guest_wrmsr_gp },
	{ "in and out", guest_ioio },
	{ "ins and outs", guest_string_io },
	{ "scratch area elsewhere", guest_scratch_elsewhere, .version = 1 },
	{ "scratch area not in ghcb", guest_scratch_not_in_ghcb, .version = 2 },
	{ "scratch area overruns buffer", guest_scratch_overrun },
	{ "mmio read and write", guest_mmio },
	{ "mmio too long", guest_mmio_too_long, .version = 2 },
	{ "wbinvd and invd", guest_cache },
	{ "monitor and mwait", guest_monitor },
	{ "vmmcall", guest_vmmcall },
	{ "hv features", guest_hv_features, .version = 2 },
	{ "ap jump table", guest_jump_table },
	{ "ap jump table bad request", guest_jump_table_bad },
	{ "nmi complete", guest_nmi_complete },
	{ "invalid event", guest_invalid_event },
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
	{ "#VC: cpuid", guest_vc_cpuid },
	{ "#VC: rdmsr and wrmsr", guest_vc_msr },
	{ "#VC: rdmsr and wrmsr raise #GP", guest_vc_msr_gp },
	{ "#VC: in and out", guest_vc_ioio },
	{ "#VC: ins and outs", guest_vc_string_io },
	{ "#VC: mmio", guest_vc_mmio },
	{ "#VC: wbinvd", guest_vc_wbinvd },
	{ "#VC: vmmcall", guest_vc_vmmcall },
	{ "hlt until timer interrupt", guest_hlt },
};

static void guest_one_vcpu(void)
{
	const struct subtest *t;
	int i;

	for (i = config.first; i < ARRAY_SIZE(subtests); i++) {
		t = &subtests[i];

		if (t->version && t->version != config.version) {
			GUEST_SYNC3(SYNC_RESULT, i, SKIPPED);
			continue;
		}

		t->guest(t);
		GUEST_SYNC3(SYNC_RESULT, i, 0);
	}

	GUEST_DONE();
}

/*
 * Guest: two vCPUs.
 */
static void guest_both_busy(void)
{
	struct subtest none = {};
	int i;

	for (i = 0; i < 20; i++) {
		guest_cpuid(&none);
		guest_ioio(&none);
		guest_string_io(&none);
		guest_mmio(&none);
		guest_vc_cpuid(&none);
		guest_vc_mmio(&none);
		guest_ucall(&none);
		/* One vCPU's mistake must not be seen as the other's. */
		guest_invalid_event(&none);
	}

	GUEST_DONE();
}

static void send_ipi(uint32_t command)
{
	x2apic_write_reg(APIC_ICR, 1ull << 32 | command);
}

static void guest_ipi(void)
{
	uint64_t nr = 0;

	x2apic_enable();

	if (sev_ghcb_this_cpu()->vcpu_id == 1) {
		WRITE_ONCE(ap_waiting, 1);
		halt_until_irq(nr);
		WRITE_ONCE(ap_released, 1);
		GUEST_DONE();
	}

	while (!READ_ONCE(ap_waiting))
		cpu_relax();

	/* Pending before the HLT or not: it must end. */
	delay_ms(1);
	send_ipi(APIC_INT_ASSERT | APIC_DM_FIXED | TEST_VECTOR);

	while (!READ_ONCE(ap_released))
		cpu_relax();

	GUEST_ASSERT_EQ(READ_ONCE(nr_irqs), 1);
	GUEST_DONE();
}

static void start_ap_until(const uint64_t *done)
{
	int i;

	/* Once is not enough if the AP does not hold yet. */
	while (!READ_ONCE(*done)) {
		send_ipi(APIC_INT_ASSERT | APIC_DM_INIT);
		send_ipi(APIC_INT_ASSERT | APIC_DM_STARTUP | 8);

		for (i = 0; i < 1000 && !READ_ONCE(*done); i++)
			delay_ms(1);
	}
}

static void hold_ap_nae(void)
{
	struct sev_ghcb_call call;

	do {
		call = sev_ghcb_event(SVM_VMGEXIT_AP_HLT_LOOP, 0, 0);
		expect_ok(&call);
	} while (!call.info2);
}

static void hold_ap_msr(void)
{
	uint64_t response;

	do {
		response = sev_ghcb_msr_call(SEV_GHCB_MSR_AP_HOLD_REQ);
		GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_CODE, response),
				SEV_GHCB_MSR_AP_HOLD_RESP);
	} while (!FIELD_GET(SEV_GHCB_MSR_DATA, response));
}

/* The first SIPI starts the AP with its VMSA, the second ends the hold. */
static void guest_ap_hold(void (*hold)(void))
{
	if (sev_ghcb_this_cpu()->vcpu_id == 1) {
		WRITE_ONCE(ap_started, 1);
		hold();
		WRITE_ONCE(ap_released, 1);
		GUEST_DONE();
	}

	x2apic_enable();
	start_ap_until(&ap_started);
	delay_ms(10);
	GUEST_ASSERT(!READ_ONCE(ap_released));
	start_ap_until(&ap_released);
	GUEST_DONE();
}

static void guest_ap_hold_nae(void)
{
	guest_ap_hold(hold_ap_nae);
}

static void guest_ap_hold_msr(void)
{
	guest_ap_hold(hold_ap_msr);
}

static const struct {
	const char *name;
	void (*guest)(void);
	bool ap_waits_for_sipi;
} smp_subtests[] = {
	{ "2 vcpus: both use their ghcb", guest_both_busy },
	{ "2 vcpus: hlt until ipi", guest_ipi },
	{ "2 vcpus: ap reset hold", guest_ap_hold_nae, true },
	{ "2 vcpus: msr protocol: ap reset hold", guest_ap_hold_msr, true },
};

/*
 * Guest: the end.
 */
#define TERM_SET	5
#define TERM_CODE	0x77

static void guest_term_msr(void)
{
	sev_ghcb_terminate(TERM_SET, TERM_CODE);
}

static void guest_term_nae(void)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_event(SVM_VMGEXIT_TERM_REQUEST,
			      SVM_VMGEXIT_TERM_REASON(TERM_SET, TERM_CODE), 0);
	sev_ghcb_vmgexit(&call);
	GUEST_FAIL("Still alive");
}

static const struct {
	const char *name;
	void (*guest)(void);
	uint64_t data;
} term_subtests[] = {
	{ "msr protocol: termination", guest_term_msr,
	  SEV_GHCB_MSR_TERM_REQ | TERM_SET << 12 | TERM_CODE << 16 },
	{ "termination", guest_term_nae },
};

/*
 * Host.
 */
struct variant {
	const char *name;
	uint16_t version;
	struct sev_ghcb_config config;
};

static const struct variant variants[] = {
	{ "legacy", 1, { .legacy_init = true } },
	{ "init2 v1", 1, { .init.ghcb_version = 1 } },
	{ "init2 v2", 2, { .init.ghcb_version = 2 } },
};

struct runner {
	const struct variant *variant;
	struct kvm_vcpu *vcpu;
	pthread_t thread;

	/* The device: one per vCPU, so that they cannot take each other's data. */
	uint8_t fifo[4096];
	uint32_t head, tail;
	uint8_t mmio[4096];

	uint32_t next;		/* subtest */
	bool printed;
	bool done;
	bool terminated;
	uint64_t term_data;
	char error[2048];
};

#define fail(r, fmt, args...) \
	snprintf((r)->error, sizeof((r)->error), fmt, ##args)

static void device_port(struct runner *r)
{
	struct kvm_run *run = r->vcpu->run;
	uint8_t *data = (uint8_t *)run + run->io.data_offset;
	int size = (run->io.port >> 8) & 0xf;
	int count = run->io.port & 0xff;
	int i, len = run->io.size * run->io.count;

	if ((run->io.port & 0xf000) != 0x2000 || run->io.size != size ||
	    (count && run->io.count != count)) {
		fail(r, "port 0x%x: size %d count %d",
		     run->io.port, run->io.size, run->io.count);
		return;
	}

	for (i = 0; i < len; i++) {
		if (run->io.direction == KVM_EXIT_IO_OUT)
			r->fifo[r->head++ % sizeof(r->fifo)] = data[i];
		else
			data[i] = ~r->fifo[r->tail++ % sizeof(r->fifo)];
	}
}

static void device_mmio(struct runner *r)
{
	struct kvm_run *run = r->vcpu->run;
	uint64_t offset = run->mmio.phys_addr - DEV_GPA;
	int i, len = run->mmio.len;

	if (offset != DEV_MMIO(len)) {
		fail(r, "mmio at 0x%llx: len %d", run->mmio.phys_addr, len);
		return;
	}

	for (i = 0; i < len; i++) {
		if (run->mmio.is_write)
			r->mmio[offset + i] = run->mmio.data[i];
		else
			run->mmio.data[i] = ~r->mmio[offset + i];
	}
}

static void report(struct runner *r, const char *name, bool skipped)
{
	if (r->error[0]) {
		ksft_print_msg("%s\n", r->error);
		ksft_test_result_fail("%s: %s\n", r->variant->name, name);
	} else if (skipped) {
		ksft_test_result_skip("%s: %s: other version of the protocol\n",
				      r->variant->name, name);
	} else {
		ksft_test_result_pass("%s: %s\n", r->variant->name, name);
	}
}

static void handle_sync(struct runner *r, struct ucall *uc)
{
	switch (uc->args[0]) {
	case SYNC_RESULT:
		if (uc->args[1] != r->next) {
			fail(r, "subtest %ld instead of %d", uc->args[1], r->next);
			return;
		}
		report(r, subtests[r->next].name, uc->args[2] == SKIPPED);
		r->next++;
		return;
	case SYNC_SUM:
		if (!r->printed)
			fail(r, "ucall: the text before is missing");
		else if (uc->args[1] + uc->args[2] + uc->args[3] +
			 uc->args[4] != uc->args[5])
			fail(r, "ucall: wrong arguments");
		r->printed = false;
		return;
	default:
		fail(r, "unexpected sync %ld", uc->args[0]);
	}
}

static void handle_ucall(struct runner *r)
{
	struct ucall uc;

	switch (get_ucall(r->vcpu, &uc)) {
	case UCALL_SYNC:
		handle_sync(r, &uc);
		return;
	case UCALL_PRINTF:
		r->printed = !strcmp(uc.buffer, "guest 42");
		return;
	case UCALL_DONE:
		r->done = true;
		return;
	case UCALL_ABORT:
		fail(r, "%s:%ld: %s: %s",
		     (const char *)uc.args[GUEST_FILE], uc.args[GUEST_LINE],
		     (const char *)uc.args[GUEST_ERROR_STRING], uc.buffer);
		return;
	default:
		fail(r, "unexpected ucall %ld", uc.cmd);
	}
}

static void handle_exit(struct runner *r)
{
	struct kvm_run *run = r->vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_IO:
		if (run->io.port == UCALL_PIO_PORT)
			handle_ucall(r);
		else
			device_port(r);
		return;
	case KVM_EXIT_MMIO:
		device_mmio(r);
		return;
	case KVM_EXIT_SYSTEM_EVENT:
		if (run->system_event.type == KVM_SYSTEM_EVENT_SEV_TERM &&
		    run->system_event.ndata == 1) {
			r->terminated = true;
			r->term_data = run->system_event.data[0];
			return;
		}
		fallthrough;
	default:
		fail(r, "unexpected exit %s", exit_reason_str(run->exit_reason));
	}
}

static void *run_vcpu(void *arg)
{
	struct runner *r = arg;

	while (!r->done && !r->terminated && !r->error[0]) {
		if (!__vcpu_run(r->vcpu))
			handle_exit(r);
		else if (errno != EAGAIN && errno != EINTR)
			fail(r, "KVM_RUN: %s", strerror(errno));
	}

	return NULL;
}

/* All that it has to do is to end KVM_RUN. */
static void ignore_signal(int signal)
{
}

/* Runs all vCPUs to their end, and gives up on those that do not find one. */
static void run_vcpus(struct runner *runners, int nr)
{
	struct timespec deadline;
	int i;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += TIMEOUT_SECONDS;

	for (i = 0; i < nr; i++)
		pthread_create(&runners[i].thread, NULL, run_vcpu, &runners[i]);

	for (i = 0; i < nr; i++) {
		if (!pthread_timedjoin_np(runners[i].thread, NULL, &deadline))
			continue;

		fail(&runners[i], "vCPU %d still runs after %d s", i, TIMEOUT_SECONDS);
		runners[i].vcpu->run->immediate_exit = 1;
		pthread_kill(runners[i].thread, SIGUSR1);
		pthread_join(runners[i].thread, NULL);
	}
}

static struct kvm_vm *create_vm(const struct variant *variant, int nr_vcpus,
				void *guest_code, struct runner *runners,
				uint32_t first)
{
	static const uint32_t functions[] = { 0, 0x80000000, 0x80000002, 0x80000008 };
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct kvm_vm *vm;
	int i;

	vm = vm_sev_ghcb_create(&variant->config, nr_vcpus, guest_code, vcpus);

	memset(&config, 0, sizeof(config));
	config.first = first;
	config.version = variant->version;
	config.c_bit = this_cpu_property(X86_PROPERTY_SEV_C_BIT);
	config.mmio = vm_sev_ghcb_map_mmio(vm, DEV_GPA, PAGE_SIZE);
	config.shared = vm_vaddr_alloc_shared(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR,
					      MEM_REGION_TEST_DATA);
	config.shared_gpa = addr_gva2gpa(vm, config.shared);
	config.has_xsave = vcpu_cpuid_has(vcpus[0], X86_FEATURE_XSAVE);
	for (i = 0; i < ARRAY_SIZE(functions); i++)
		config.cpuid[i] = *get_cpuid_entry(vcpus[0]->cpuid, functions[i], 0);
	sync_global_to_guest(vm, config);

	vm_install_exception_handler(vm, TEST_VECTOR, guest_irq_handler);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);

	memset(runners, 0, nr_vcpus * sizeof(*runners));
	for (i = 0; i < nr_vcpus; i++) {
		runners[i].variant = variant;
		runners[i].vcpu = vcpus[i];
		runners[i].next = first;
	}

	return vm;
}

static void test_one_vcpu(const struct variant *variant)
{
	struct runner r = {};
	struct kvm_vm *vm;

	while (r.next < ARRAY_SIZE(subtests)) {
		vm = create_vm(variant, 1, guest_one_vcpu, &r, r.next);
		run_vcpus(&r, 1);
		kvm_vm_free(vm);

		if (r.next == ARRAY_SIZE(subtests))
			return;

		if (r.terminated)
			fail(&r, "guest terminated with 0x%lx", r.term_data);
		else if (!r.error[0])
			fail(&r, "guest ended early");
		report(&r, subtests[r.next++].name, false);
	}
}

static void test_two_vcpus(const struct variant *variant)
{
	struct runner r[NR_VCPUS];
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_UNINITIALIZED };
	struct kvm_vm *vm;
	int i;

	for (i = 0; i < ARRAY_SIZE(smp_subtests); i++) {
		vm = create_vm(variant, NR_VCPUS, smp_subtests[i].guest, r, 0);
		if (smp_subtests[i].ap_waits_for_sipi)
			vcpu_mp_state_set(r[1].vcpu, &state);

		run_vcpus(r, NR_VCPUS);
		kvm_vm_free(vm);

		if (r[0].terminated || r[1].terminated)
			fail(&r[0], "guest terminated with 0x%lx, 0x%lx",
			     r[0].term_data, r[1].term_data);

		/* If one has failed, then the other hardly has more to say. */
		report(r[0].error[0] ? &r[0] : &r[1], smp_subtests[i].name, false);
	}
}

static void test_termination(const struct variant *variant)
{
	struct runner r;
	struct kvm_vm *vm;
	int i;

	for (i = 0; i < ARRAY_SIZE(term_subtests); i++) {
		vm = create_vm(variant, 1, term_subtests[i].guest, &r, 0);
		run_vcpus(&r, 1);
		kvm_vm_free(vm);

		if (!r.error[0] && !r.terminated)
			fail(&r, "guest did not terminate");
		else if (term_subtests[i].data &&
			 r.term_data != term_subtests[i].data)
			fail(&r, "terminated with 0x%lx instead of 0x%lx",
			     r.term_data, term_subtests[i].data);
		report(&r, term_subtests[i].name, false);
	}
}

int main(int argc, char *argv[])
{
	const int nr_subtests = ARRAY_SIZE(subtests) + ARRAY_SIZE(smp_subtests) +
				ARRAY_SIZE(term_subtests);
	int i;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SEV_ES_VM));

	setbuf(stdout, NULL);
	signal(SIGUSR1, ignore_signal);
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(variants) * nr_subtests);

	for (i = 0; i < ARRAY_SIZE(variants); i++) {
		test_one_vcpu(&variants[i]);
		test_two_vcpus(&variants[i]);
		test_termination(&variants[i]);
	}

	ksft_finished();
}
