// SPDX-License-Identifier: GPL-2.0-only
/*
 * Random VMGEXITs from a SEV-ES guest: KVM answers each, KVM_RUN never fails,
 * and in the end the VM is as good as new.
 *
 * What the guest must not ask for, because KVM would rightly do it, is to be
 * terminated or to be held until a SIPI that nobody sends.
 */
#include <errno.h>
#include <getopt.h>

#include <linux/kvm_para.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "test_util.h"
#include "ucall_common.h"

#define DEV_GPA		0xd0000000ull

/* More than enough for all of the library's own VMGEXITs. */
#define EXITS_PER_SYNC	1000

enum {
	SYNC_PROGRESS,		/* requests so far, refused, to raise something */
};

/* Written by the host before the launch. */
static struct {
	uint64_t seed;
	uint64_t rounds;
	uint64_t shared_gpa;
	uint32_t signature;
} config;

static uint64_t state;

/* xorshift64*: no state but one word, the same on every machine. */
static uint64_t rnd(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 0x2545f4914f6cdd1dull;
}

static bool one_in(int n)
{
	return rnd() % n == 0;
}

static uint64_t any_of(const uint64_t *values, int nr)
{
	return values[rnd() % nr];
}

#define ANY_OF(...)	any_of((const uint64_t []){ __VA_ARGS__ },	\
			       ARRAY_SIZE(((const uint64_t []){ __VA_ARGS__ })))

static const uint64_t codes[] = {
	SVM_EXIT_READ_DR7, SVM_EXIT_WRITE_DR7, SVM_EXIT_RDPMC, SVM_EXIT_CPUID,
	SVM_EXIT_INVD, SVM_EXIT_IOIO, SVM_EXIT_MSR, SVM_EXIT_VMMCALL,
	SVM_EXIT_WBINVD, SVM_EXIT_MONITOR, SVM_EXIT_MWAIT, SVM_EXIT_RDTSC,
	SVM_EXIT_RDTSCP, SVM_VMGEXIT_MMIO_READ, SVM_VMGEXIT_MMIO_WRITE,
	SVM_VMGEXIT_NMI_COMPLETE, SVM_VMGEXIT_AP_JUMP_TABLE,
	SVM_VMGEXIT_HV_FEATURES, SVM_VMGEXIT_UNSUPPORTED_EVENT,
	0x80000010 /* page state change */, 0x80000011 /* guest request */,
	0x80000012 /* extended */, 0x80000013 /* AP creation */,
};

/* An interesting number of any kind: small, a bit, all ones, anything. */
static uint64_t number(void)
{
	switch (rnd() % 6) {
	case 0:
		return rnd() % 16;
	case 1:
		return 1ull << rnd() % 64;
	case 2:
		return -1ull << rnd() % 64;
	case 3:
		return (uint32_t)rnd();
	case 4:
		return 0;
	default:
		return rnd();
	}
}

static uint64_t address(void)
{
	uint64_t buf = sev_ghcb_buf_gpa();

	switch (rnd() % 6) {
	case 0:
		return buf + rnd() % SEV_GHCB_BUF_SIZE;
	case 1:
		return (buf & PAGE_MASK) + rnd() % PAGE_SIZE;
	case 2:
		return config.shared_gpa + rnd() % PAGE_SIZE;
	case 3:
		return DEV_GPA + rnd() % PAGE_SIZE;
	case 4:
		return number();
	default:
		return buf;
	}
}

static uint64_t msr(void)
{
	return ANY_OF(MSR_IA32_APICBASE, MSR_IA32_TSC, MSR_K7_HWCR, MSR_EFER,
		      MSR_IA32_MISC_ENABLE, MSR_MTRRcap, 0x250, 0xdeadbeef,
		      MSR_IA32_XSS, (uint32_t)rnd());
}

/* Writes to these would change what the guest itself runs on. */
static bool is_harmful_write(const struct sev_ghcb_call *call)
{
	return call->exit_code == SVM_EXIT_MSR && call->info1 &&
	       (uint32_t)call->rcx != MSR_K7_HWCR && (uint32_t)call->rcx != 0x250;
}

static struct sev_ghcb_call make_request(void)
{
	struct sev_ghcb_call call = { };
	int i;

	for (i = 0; i < SEV_GHCB_NR_FIELDS; i++)
		call.field[i] = number();

	call.exit_code = one_in(20) ? number() : any_of(codes, ARRAY_SIZE(codes));
	call.scratch = address();
	if (one_in(2))
		call.rcx = msr();
	if (one_in(2))
		call.info1 = one_in(2) ? address() : rnd() % 3;
	if (one_in(2))
		call.info2 = rnd() % 32;
	if (call.exit_code == SVM_EXIT_IOIO && !one_in(4))
		call.info1 = (uint64_t)(uint16_t)rnd() << 16 | (rnd() & 0x3ff);
	if (one_in(2))
		call.rax = ANY_OF(0xd, 0, 1, KVM_HC_KICK_CPU, KVM_HC_SEND_IPI,
				  KVM_HC_SCHED_YIELD, KVM_HC_MAP_GPA_RANGE);
	if (one_in(20))
		call.usage = number();

	call.valid = one_in(8) ? rnd() : GENMASK_ULL(SEV_GHCB_NR_FIELDS - 1, 0);
	if (one_in(3))
		call.valid &= ~BIT_ULL(rnd() % SEV_GHCB_NR_FIELDS);
	if (is_harmful_write(&call))
		call.info1 = 0;
	/* That port is how this test talks to its host. */
	if (call.exit_code == SVM_EXIT_IOIO && (uint16_t)(call.info1 >> 16) == UCALL_PIO_PORT)
		call.info1 ^= BIT(31);
	return call;
}

static bool ends_the_vm(uint64_t exit_code)
{
	return exit_code == SVM_VMGEXIT_AP_HLT_LOOP ||
	       exit_code == SVM_VMGEXIT_TERM_REQUEST;
}

/* Codes that KVM does not know come back as they are. */
static void random_msr_request(void)
{
	uint64_t code = ANY_OF(SEV_GHCB_MSR_INFO_REQ, SEV_GHCB_MSR_CPUID_REQ,
			       SEV_GHCB_MSR_HV_FT_REQ, 0x003, 0x016, 0x7ff);
	uint64_t request = (rnd() & SEV_GHCB_MSR_DATA) | code;
	uint64_t response = sev_ghcb_msr_call(request);

	if (code == 0x003 || code == 0x016 || code == 0x7ff)
		GUEST_ASSERT_EQ(response, request);
	else
		GUEST_ASSERT_EQ(response & SEV_GHCB_MSR_CODE, code == SEV_GHCB_MSR_INFO_REQ ?
				SEV_GHCB_MSR_INFO_RESP : code + 1);
}

static void check_vm(void)
{
	struct sev_ghcb_call call = sev_ghcb_cpuid(0, 0);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_ASSERT_EQ((uint32_t)call.rbx, config.signature);
}

static void guest_code(void)
{
	uint64_t i, refused = 0, raised = 0;
	struct sev_ghcb_call call;

	state = config.seed;
	for (i = 0; i < config.rounds; i++) {
		if (i % EXITS_PER_SYNC == 0) {
			check_vm();
			GUEST_SYNC_ARGS(SYNC_PROGRESS, i, refused, raised, 0);
		}

		if (one_in(10)) {
			random_msr_request();
			continue;
		}

		call = make_request();
		if (ends_the_vm(call.exit_code))
			continue;

		sev_ghcb_vmgexit(&call);
		GUEST_ASSERT(call.info1 <= SEV_GHCB_MALFORMED);
		GUEST_ASSERT(call.valid & SEV_GHCB_INFO1);
		GUEST_ASSERT(call.valid & SEV_GHCB_INFO2);
		refused += call.info1 == SEV_GHCB_MALFORMED;
		raised += call.info1 == SEV_GHCB_RAISE;
		if (call.info1 == SEV_GHCB_MALFORMED)
			GUEST_ASSERT(call.info2 >= SEV_GHCB_ERR_NOT_REGISTERED &&
				     call.info2 <= SEV_GHCB_ERR_INVALID_EVENT);
	}

	check_vm();
	GUEST_SYNC_ARGS(SYNC_PROGRESS, i, refused, raised, 0);
	GUEST_DONE();
}

/*
 * Host.
 */
static struct kvm_vm *create_vm(uint16_t version, struct kvm_vcpu **vcpu)
{
	const struct sev_ghcb_config ghcb_config = {
		.init = { .ghcb_version = version },
	};
	struct kvm_vm *vm = vm_sev_ghcb_create(&ghcb_config, 1, guest_code, vcpu);
	vm_vaddr_t shared = vm_vaddr_alloc_shared(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR,
						  MEM_REGION_TEST_DATA);

	config.shared_gpa = addr_gva2gpa(vm, shared);
	config.signature = get_cpuid_entry((*vcpu)->cpuid, 0, 0)->ebx;
	sync_global_to_guest(vm, config);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);
	return vm;
}

/* Returns true when the guest is through. */
static bool handle_ucall(struct kvm_vcpu *vcpu, struct ucall *last)
{
	struct ucall uc;

	switch (get_ucall(vcpu, &uc)) {
	case UCALL_SYNC:
		*last = uc;
		return false;
	case UCALL_DONE:
		return true;
	case UCALL_ABORT:
		REPORT_GUEST_ASSERT(uc);
	default:
		TEST_FAIL("Unexpected ucall %lu", uc.cmd);
		return false;
	}
}

static void run(struct kvm_vcpu *vcpu, struct ucall *last)
{
	struct kvm_run *run = vcpu->run;
	int r;

	for (;;) {
		r = __vcpu_run(vcpu);
		TEST_ASSERT(!r, "KVM_RUN: %s, after %lu requests", strerror(errno),
			    last->args[1]);

		switch (run->exit_reason) {
		case KVM_EXIT_IO:
			if (run->io.port == UCALL_PIO_PORT && handle_ucall(vcpu, last))
				return;
			continue;
		case KVM_EXIT_MMIO:
			continue;
		case KVM_EXIT_HYPERCALL:
			run->hypercall.ret = -EINVAL;
			continue;
		default:
			TEST_FAIL("Unexpected exit %s", exit_reason_str(run->exit_reason));
		}
	}
}

static void help(const char *name)
{
	printf("usage: %s [-n rounds] [-s seed]\n", name);
	exit(KSFT_FAIL);
}

int main(int argc, char *argv[])
{
	struct ucall last;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	uint16_t version;
	int opt;

	config.rounds = 50000;
	config.seed = 0x5e5;
	while ((opt = getopt(argc, argv, "n:s:")) != -1) {
		switch (opt) {
		case 'n':
			config.rounds = atoi_positive("rounds", optarg);
			break;
		case 's':
			config.seed = strtoull(optarg, NULL, 0) | 1;
			break;
		default:
			help(argv[0]);
		}
	}

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	ksft_print_header();
	ksft_set_plan(SEV_GHCB_VERSION_MAX);
	for (version = SEV_GHCB_VERSION_MIN; version <= SEV_GHCB_VERSION_MAX; version++) {
		memset(&last, 0, sizeof(last));
		vm = create_vm(version, &vcpu);
		run(vcpu, &last);
		kvm_vm_free(vm);
		ksft_print_msg("version %u, seed %#lx: %lu done, %lu refused, %lu raised\n",
			       version, config.seed, last.args[1], last.args[2],
			       last.args[3]);
		ksft_test_result_pass("version %u\n", version);
	}
	ksft_finished();
}
