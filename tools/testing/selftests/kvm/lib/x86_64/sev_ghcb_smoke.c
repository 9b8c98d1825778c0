// SPDX-License-Identifier: GPL-2.0-only
/*
 * Smoke tests of the GHCB protocol: what several programs have in common.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include <linux/bitfield.h>
#include <linux/kernel.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "sev_ghcb_smoke.h"
#include "test_util.h"
#include "ucall_common.h"

#define TIMEOUT_SECONDS		60

#define XSAVE_LEAF		0xd

struct sev_smoke_config sev_smoke_config;

/*
 * Guest: helpers.
 */
void sev_smoke_ok(struct sev_ghcb_call *call)
{
	sev_ghcb_vmgexit(call);
	__GUEST_ASSERT(call->info1 == SEV_GHCB_OK,
		       "info1 0x%lx info2 0x%lx", call->info1, call->info2);
}

void sev_smoke_refused(struct sev_ghcb_call call, uint64_t error)
{
	sev_ghcb_vmgexit(&call);
	__GUEST_ASSERT(call.info1 == SEV_GHCB_MALFORMED && call.info2 == error,
		       "wanted '%s', got info1 0x%lx info2 0x%lx (%s)",
		       sev_ghcb_error_str(error), call.info1, call.info2,
		       sev_ghcb_error_str(call.info2));
}

void sev_smoke_valid(const struct sev_ghcb_call *call, uint64_t fields)
{
	__GUEST_ASSERT((call->valid & fields) == fields,
		       "wanted fields 0x%lx valid, got 0x%lx",
		       fields, call->valid);
}

void sev_smoke_complement(const uint8_t *in, const uint8_t *out, int len)
{
	int i;

	for (i = 0; i < len; i++)
		__GUEST_ASSERT(in[i] == (uint8_t)~out[i], "byte %d: %x, %x",
			       i, in[i], out[i]);
}

static uint32_t size_mask(int size)
{
	return GENMASK(size * 8 - 1, 0);
}

/*
 * Guest: the simplest requests.
 */
void sev_smoke_cpuid(const struct sev_smoke *t)
{
	struct sev_ghcb_call call;
	int i;

	for (i = 0; i < ARRAY_SIZE(sev_smoke_config.cpuid); i++) {
		struct kvm_cpuid_entry2 *want = &sev_smoke_config.cpuid[i];

		call = sev_ghcb_cpuid(want->function, 0);
		sev_smoke_ok(&call);
		sev_smoke_valid(&call, SEV_GHCB_RAX | SEV_GHCB_RBX |
				    SEV_GHCB_RCX | SEV_GHCB_RDX);
		GUEST_ASSERT_EQ((uint32_t)call.rax, want->eax);
		GUEST_ASSERT_EQ((uint32_t)call.rbx, want->ebx);
		GUEST_ASSERT_EQ((uint32_t)call.rcx, want->ecx);
		GUEST_ASSERT_EQ((uint32_t)call.rdx, want->edx);
	}
}

void sev_smoke_ioio(const struct sev_smoke *t)
{
	struct sev_ghcb_call call;
	int size;

	for (size = 1; size <= 4; size *= 2) {
		call = sev_ghcb_out(DEV_PORT(size, 1), size, sev_smoke_pattern(size));
		sev_smoke_ok(&call);

		call = sev_ghcb_in(DEV_PORT(size, 1), size);
		sev_smoke_ok(&call);
		sev_smoke_valid(&call, SEV_GHCB_RAX);
		GUEST_ASSERT_EQ(call.rax & size_mask(size),
				~sev_smoke_pattern(size) & size_mask(size));
	}
}

void sev_smoke_string_io(const struct sev_smoke *t)
{
	static uint8_t bufs[SEV_SMOKE_VCPUS][2][SEV_GHCB_BUF_SIZE];
	uint32_t id = sev_ghcb_this_cpu()->vcpu_id;
	uint8_t *out = bufs[id][0], *in = bufs[id][1];
	struct sev_ghcb_call call;
	int size, count, i;

	for (i = 0; i < SEV_GHCB_BUF_SIZE; i++)
		out[i] = i * 7 + 1 + id;

	for (size = 1; size <= 4; size *= 2) {
		count = 5;
		call = sev_ghcb_outs(DEV_PORT(size, count), size, out, count);
		sev_smoke_ok(&call);
		call = sev_ghcb_ins(DEV_PORT(size, count), size, in, count);
		sev_smoke_ok(&call);
		sev_smoke_complement(in, out, count * size);

		/* The whole buffer. */
		count = SEV_GHCB_BUF_SIZE / size;
		call = sev_ghcb_outs(DEV_PORT(size, 0), size, out, count);
		sev_smoke_ok(&call);
		call = sev_ghcb_ins(DEV_PORT(size, 0), size, in, count);
		sev_smoke_ok(&call);
		sev_smoke_complement(in, out, count * size);
	}
}

void sev_smoke_mmio(const struct sev_smoke *t)
{
	struct sev_ghcb_call call;
	uint64_t gpa, in, out;
	int len;

	for (len = 1; len <= 8; len *= 2) {
		gpa = DEV_GPA + DEV_MMIO(len);
		out = sev_smoke_pattern(len);
		in = 0;

		call = sev_ghcb_mmio_write(gpa, &out, len);
		sev_smoke_ok(&call);
		call = sev_ghcb_mmio_read(gpa, &in, len);
		sev_smoke_ok(&call);
		GUEST_ASSERT_EQ(in, ~out & GENMASK_ULL(len * 8 - 1, 0));
	}
}

void sev_smoke_invalid_event(const struct sev_smoke *t)
{
	static const uint64_t codes[] = {
		SVM_EXIT_HLT, SVM_EXIT_EXCP_BASE + GP_VECTOR, SVM_EXIT_NPF,
		0x80000000, 0x8000abcd, 0x100000000 | SVM_EXIT_WBINVD, ~0ull,
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(codes); i++)
		sev_smoke_refused(sev_ghcb_event(codes[i], 0, 0),
				  SEV_GHCB_ERR_INVALID_EVENT);
}

/*
 * Guest: the instructions themselves, by way of the #VC handler.
 */
void sev_smoke_vc_cpuid(const struct sev_smoke *t)
{
	struct kvm_cpuid_entry2 *want = &sev_smoke_config.cpuid[0];
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

#define GUEST_VC_MMIO(type)						\
do {									\
	type *reg = (void *)sev_smoke_config.mmio + DEV_MMIO(sizeof(type));	\
	type value;							\
									\
	EXPECT_VC(SVM_EXIT_NPF, WRITE_ONCE(*reg, sev_smoke_pattern(sizeof(type))));\
	EXPECT_VC(SVM_EXIT_NPF, value = READ_ONCE(*reg));		\
	GUEST_ASSERT_EQ(value, (type)~sev_smoke_pattern(sizeof(type)));		\
} while (0)

void sev_smoke_vc_mmio(const struct sev_smoke *t)
{
	GUEST_VC_MMIO(uint8_t);
	GUEST_VC_MMIO(uint16_t);
	GUEST_VC_MMIO(uint32_t);
	GUEST_VC_MMIO(uint64_t);
}

void sev_smoke_ucall(const struct sev_smoke *t)
{
	GUEST_PRINTF("%s %d", "guest", 42);
	GUEST_SYNC6(SEV_SMOKE_SUM, 1, 20, 300, 4000, 4321);
}

static void guest_all(void)
{
	const struct sev_smoke *t;
	int i;

	for (i = sev_smoke_config.first; i < sev_smoke_config.nr_tests; i++) {
		t = &sev_smoke_config.tests[i];

		if (t->version && t->version != sev_smoke_config.version) {
			GUEST_SYNC3(SEV_SMOKE_RESULT, i, SEV_SMOKE_SKIPPED);
			continue;
		}

		t->guest(t);
		GUEST_SYNC3(SEV_SMOKE_RESULT, i, 0);
	}

	GUEST_DONE();
}

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

static const struct sev_smoke_program *program;

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
	case SEV_SMOKE_RESULT:
		if (uc->args[1] != r->next) {
			fail(r, "subtest %ld instead of %d", uc->args[1], r->next);
			return;
		}
		report(r, program->tests[r->next].name, uc->args[2] == SEV_SMOKE_SKIPPED);
		r->next++;
		return;
	case SEV_SMOKE_SUM:
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
		r->printed = !strcmp(uc.buffer, SEV_SMOKE_TEXT);
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

static void fill_config(struct kvm_vm *vm, struct kvm_vcpu *vcpu, uint16_t version,
			uint32_t first)
{
	static const uint32_t functions[] = { 0, 0x80000000, 0x80000002, 0x80000008 };
	struct sev_smoke_config *c = &sev_smoke_config;
	int i;

	memset(c, 0, sizeof(*c));
	c->tests = program->tests;
	c->nr_tests = program->nr_tests;
	c->first = first;
	c->version = version;
	c->c_bit = this_cpu_property(X86_PROPERTY_SEV_C_BIT);
	c->mmio = vm_sev_ghcb_map_mmio(vm, DEV_GPA, PAGE_SIZE);
	c->shared = vm_vaddr_alloc_shared(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR,
					  MEM_REGION_TEST_DATA);
	c->shared_gpa = addr_gva2gpa(vm, c->shared);
	c->has_xsave = vcpu_cpuid_has(vcpu, X86_FEATURE_XSAVE);
	for (i = 0; i < ARRAY_SIZE(functions); i++)
		c->cpuid[i] = *get_cpuid_entry(vcpu->cpuid, functions[i], 0);
	sync_global_to_guest(vm, sev_smoke_config);
}

static struct kvm_vm *create_vm(const struct variant *variant, int nr_vcpus,
				void *guest_code, struct runner *runners,
				uint32_t first)
{
	struct kvm_vcpu *vcpus[SEV_SMOKE_VCPUS];
	struct kvm_vm *vm;
	int i;

	vm = vm_sev_ghcb_create(&variant->config, nr_vcpus, guest_code, vcpus);
	fill_config(vm, vcpus[0], variant->version, first);
	if (program->prepare)
		program->prepare(vm);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);

	memset(runners, 0, nr_vcpus * sizeof(*runners));
	for (i = 0; i < nr_vcpus; i++) {
		runners[i].variant = variant;
		runners[i].vcpu = vcpus[i];
		runners[i].next = first;
	}

	return vm;
}

static void test_all(const struct variant *variant)
{
	struct runner r = {};
	struct kvm_vm *vm;

	while (r.next < program->nr_tests) {
		vm = create_vm(variant, 1, guest_all, &r, r.next);
		run_vcpus(&r, 1);
		kvm_vm_free(vm);

		if (r.next == program->nr_tests)
			return;

		if (r.terminated)
			fail(&r, "guest terminated with 0x%lx", r.term_data);
		else if (!r.error[0])
			fail(&r, "guest ended early");
		report(&r, program->tests[r.next++].name, false);
	}
}

static void check_end(const struct sev_smoke_vm *t, struct runner *r)
{
	if (r->error[0])
		return;

	if (t->terminates && !r->terminated)
		fail(r, "guest did not terminate");
	else if (!t->terminates && r->terminated)
		fail(r, "guest terminated with 0x%lx", r->term_data);
	else if (t->term_data && r->term_data != t->term_data)
		fail(r, "terminated with 0x%lx instead of 0x%lx", r->term_data,
		     t->term_data);
}

static void test_vm(const struct variant *variant, const struct sev_smoke_vm *t)
{
	struct kvm_mp_state state = { .mp_state = KVM_MP_STATE_UNINITIALIZED };
	struct runner r[SEV_SMOKE_VCPUS];
	struct kvm_vm *vm;
	int i, bad = 0;

	vm = create_vm(variant, t->nr_vcpus, t->guest, r, 0);
	if (t->ap_waits_for_sipi)
		vcpu_mp_state_set(r[1].vcpu, &state);

	run_vcpus(r, t->nr_vcpus);
	kvm_vm_free(vm);

	/* If one has failed, then the others hardly have more to say. */
	for (i = t->nr_vcpus - 1; i >= 0; i--) {
		check_end(t, &r[i]);
		if (r[i].error[0])
			bad = i;
	}
	report(&r[bad], t->name, false);
}

int sev_smoke_main(const struct sev_smoke_program *p)
{
	int i, j;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));
	TEST_REQUIRE(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SEV_ES_VM));

	program = p;
	setbuf(stdout, NULL);
	signal(SIGUSR1, ignore_signal);
	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(variants) * (p->nr_tests + p->nr_vms));

	for (i = 0; i < ARRAY_SIZE(variants); i++) {
		test_all(&variants[i]);
		for (j = 0; j < p->nr_vms; j++)
			test_vm(&variants[i], &p->vms[j]);
	}

	ksft_finished();
}
