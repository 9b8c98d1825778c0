// SPDX-License-Identifier: GPL-2.0-only
/*
 * A VM's encryption context moves to another VM, and its guest runs on there
 * as if nothing had happened.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include <linux/bitfield.h>
#include <linux/kvm_para.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "sev_twin.h"
#include "test_util.h"
#include "ucall_common.h"

#define NMI_VECTOR		2
#define NR_WORDS		2048
#define NR_MOVES		2

#define TEST_PORT		0x2400
#define TEST_GPA		0xd0000000ull
#define TEST_DATA		0x76543210ull

#define JUMP_TABLE		0x1234000ull

#define TEST_XCR0		(XFEATURE_MASK_FP | XFEATURE_MASK_SSE)
#define TEST_CR8		5

/* A breakpoint of userspace's, from when the vCPU was not protected */
#define DR0_BEFORE		0x5eed000

/* Long enough for a vCPU to take an NMI that is not masked. */
#define NMI_SPINS		1000000

/* Memory that guest and host share. */
struct shared {
	uint64_t count;
	uint64_t stop;
};

/* All else of the guest's is private. */
static struct shared *shared;
static uint64_t words[NR_WORDS];
static uint64_t nr_nmis;

/*
 * Guest.
 */
static uint64_t word(uint64_t i)
{
	return (i + 1) * 0x9e3779b97f4a7c15ull;
}

static void guest_count(void)
{
	uint64_t count = 0;
	int i;

	for (i = 0; i < NR_WORDS; i++)
		words[i] = word(i);

	while (!READ_ONCE(shared->stop)) {
		i = count++ % NR_WORDS;
		GUEST_ASSERT_EQ(READ_ONCE(words[i]), word(i));
		words[i] = word(i);
		WRITE_ONCE(shared->count, count);
	}

	for (i = 0; i < NR_WORDS; i++)
		GUEST_ASSERT_EQ(words[i], word(i));
	GUEST_DONE();
}

static void guest_pio_in(void)
{
	struct sev_ghcb_call call = sev_ghcb_in(TEST_PORT, 4);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_ASSERT_EQ(call.rax, TEST_DATA);
	GUEST_DONE();
}

static void guest_mmio_read(void)
{
	uint64_t data = 0;
	struct sev_ghcb_call call = sev_ghcb_mmio_read(TEST_GPA, &data, sizeof(data));

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_ASSERT_EQ(data, TEST_DATA);
	GUEST_DONE();
}

static void guest_hypercall(void)
{
	struct sev_ghcb_call call = sev_ghcb_vmmcall(KVM_HC_MAP_GPA_RANGE, 0, 1, 0, 0);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_ASSERT_EQ(call.rax, (uint64_t)-EINVAL);
	GUEST_DONE();
}

static void nmi_complete(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_NMI_COMPLETE, 0, 0);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
}

/* The VM is moved and gets another NMI while it handles the first. */
static void nmi_handler(struct ex_regs *regs)
{
	int i;

	if (nr_nmis++)
		return;

	GUEST_SYNC(0);
	for (i = 0; i < NMI_SPINS; i++)
		GUEST_ASSERT_EQ(READ_ONCE(nr_nmis), 1);
	nmi_complete();
	for (i = 0; i < NMI_SPINS && READ_ONCE(nr_nmis) < 2; i++)
		cpu_relax();
	GUEST_ASSERT_EQ(READ_ONCE(nr_nmis), 2);
	GUEST_DONE();
}

static void guest_nmi_mask(void)
{
	for (;;)
		cpu_relax();
}

/* CR4.OSXSAVE as the guest reads it, and as KVM sees it. */
static bool cpuid_osxsave(void)
{
	struct sev_ghcb_call call = sev_ghcb_cpuid(1, 0);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	return call.rcx & BIT(27);
}

static uint64_t get_cr8(void)
{
	uint64_t cr8;

	asm volatile("mov %%cr8, %0" : "=r" (cr8));
	return cr8;
}

static void guest_tracked(void)
{
	int i;

	set_cr4(get_cr4() | X86_CR4_OSXSAVE);
	xsetbv(0, TEST_XCR0);
	asm volatile("mov %0, %%cr8" : : "r" ((uint64_t)TEST_CR8));
	GUEST_ASSERT(cpuid_osxsave());

	for (i = 0; i < NR_MOVES; i++) {
		GUEST_SYNC(0);
		GUEST_ASSERT(cpuid_osxsave());
		GUEST_ASSERT(get_cr4() & X86_CR4_OSXSAVE);
		GUEST_ASSERT_EQ(xgetbv(0), TEST_XCR0);
		GUEST_ASSERT_EQ(get_cr8(), TEST_CR8);
	}
	GUEST_DONE();
}

static void guest_state(void)
{
	uint64_t info = sev_ghcb_msr_call(SEV_GHCB_MSR_INFO_REQ);
	struct sev_ghcb_call call;
	int i;

	for (i = 0; i < NR_WORDS; i++)
		words[i] = word(i);
	call = sev_ghcb_event(SVM_VMGEXIT_AP_JUMP_TABLE, SVM_VMGEXIT_SET_AP_JUMP_TABLE, JUMP_TABLE);
	sev_ghcb_vmgexit(&call);

	for (i = 0; i < NR_MOVES; i++) {
		GUEST_SYNC(0);
		GUEST_ASSERT_EQ(sev_ghcb_msr_call(SEV_GHCB_MSR_INFO_REQ), info);
		call = sev_ghcb_event(SVM_VMGEXIT_AP_JUMP_TABLE, SVM_VMGEXIT_GET_AP_JUMP_TABLE, 0);
		sev_ghcb_vmgexit(&call);
		GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
		GUEST_ASSERT_EQ(call.info2, JUMP_TABLE);
	}
	GUEST_DONE();
}

/* Without DebugSwap there is no telling what is in DR0, but for one thing. */
static void guest_debug_regs(void)
{
	uint64_t dr0;

	GUEST_SYNC(0);
	asm volatile("mov %%db0, %0" : "=r" (dr0));
	GUEST_ASSERT(dr0 != DR0_BEFORE);
	GUEST_DONE();
}

/*
 * Host: a VM, and the one that has its encryption context by now.
 */
struct guest {
	const struct sev_vm_kind *kind;
	struct kvm_vm *first;		/* it has the memory */
	struct kvm_vm *vm;
	struct kvm_vm *old[NR_MOVES];
	struct kvm_vcpu *vcpu;
	struct shared *shared;
	uint64_t *words;
	int nr_moves;
	bool running;
	int error;
};

static void create_guest(struct guest *g, const struct sev_vm_kind *kind, void *code)
{
	vm_vaddr_t gva;

	memset(g, 0, sizeof(*g));
	g->kind = kind;
	g->vm = vm_sev_kind_create(kind, 0, 1, code, &g->vcpu);
	g->first = g->vm;

	gva = vm_vaddr_alloc_shared(g->vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR, MEM_REGION_DATA);
	g->shared = addr_gva2hva(g->vm, gva);
	memset(g->shared, 0, PAGE_SIZE);
	shared = (struct shared *)gva;
	sync_global_to_guest(g->vm, shared);

	/* Once it is launched nobody can walk its page tables. */
	g->words = addr_gva2hva(g->vm, (vm_vaddr_t)words);
}

static void launch_guest(struct guest *g)
{
	sev_vm_launch(g->vm, g->kind->policy);
	vm_sev_kind_finish(g->vm);
}

/* The memory stays: it is no use to delete slots of a VM that is dead. */
static void free_guest(struct guest *g)
{
	while (g->nr_moves)
		kvm_vm_release(g->old[--g->nr_moves]);
	kvm_vm_release(g->vm);
}

static int try_move(struct guest *g, struct kvm_vm *twin, struct kvm_vcpu *vcpu)
{
	struct sev_twin_state state;
	int error;

	vcpu_sev_twin_save(g->vcpu, g->kind->es, &state);
	error = vm_sev_move_errno(twin, g->vm);
	if (error)
		return error;

	vcpu_sev_twin_load(vcpu, g->kind->es, &state);
	g->old[g->nr_moves++] = g->vm;
	g->vm = twin;
	g->vcpu = vcpu;
	return 0;
}

static void move_guest(struct guest *g)
{
	struct kvm_vm *twin = vm_sev_twin_create(g->first, g->kind->type);
	struct kvm_vcpu *vcpu = vm_sev_twin_vcpu_add(twin, 0);
	int error = try_move(g, twin, vcpu);

	TEST_ASSERT(!error, "Moving a %s VM: %s", g->kind->name, strerror(error));
}

static void expect_ucall(struct guest *g, uint64_t want)
{
	struct ucall uc;
	uint64_t got;

	vcpu_run(g->vcpu);
	got = get_ucall(g->vcpu, &uc);
	if (got == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(got == want, "Wanted ucall %lu, got %lu, exit %s", want, got,
		    exit_reason_str(g->vcpu->run->exit_reason));
}

/*
 * Host: the guest counts meanwhile.
 */
static void *run_vcpu(void *arg)
{
	struct guest *g = arg;

	g->error = __vcpu_run(g->vcpu) ? errno : 0;
	WRITE_ONCE(g->running, false);
	return NULL;
}

static void run_until_count(struct guest *g, uint64_t count)
{
	pthread_t thread;

	g->running = true;
	pthread_create(&thread, NULL, run_vcpu, g);
	while (READ_ONCE(g->running) && READ_ONCE(g->shared->count) < count)
		usleep(1000);

	g->vcpu->run->immediate_exit = 1;
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	g->vcpu->run->immediate_exit = 0;
	TEST_ASSERT(g->error == EINTR, "KVM_RUN: %s, exit %s", strerror(g->error),
		    exit_reason_str(g->vcpu->run->exit_reason));
}

static void test_count(const struct sev_vm_kind *kind)
{
	uint64_t count = 0;
	struct guest g;
	int i;

	create_guest(&g, kind, guest_count);
	launch_guest(&g);

	for (i = 0; i <= NR_MOVES; i++) {
		run_until_count(&g, count + NR_WORDS * 2);
		TEST_ASSERT(READ_ONCE(g.shared->count) > count, "The guest has begun anew");
		count = READ_ONCE(g.shared->count);
		if (i < NR_MOVES)
			move_guest(&g);
		TEST_ASSERT(READ_ONCE(g.shared->count) == count, "The guest runs in a dead VM");
	}

	WRITE_ONCE(g.shared->stop, 1);
	expect_ucall(&g, UCALL_DONE);
	free_guest(&g);
}

/*
 * Host: a VMGEXIT that is half done.
 */
static void answer_pio_in(struct kvm_run *run)
{
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_IO);
	TEST_ASSERT_EQ(run->io.direction, KVM_EXIT_IO_IN);
	*(uint32_t *)((void *)run + run->io.data_offset) = TEST_DATA;
}

static void answer_mmio_read(struct kvm_run *run)
{
	const uint64_t data = TEST_DATA;

	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_MMIO);
	TEST_ASSERT(!run->mmio.is_write, "A read was asked for");
	memcpy(run->mmio.data, &data, sizeof(data));
}

static void answer_hypercall(struct kvm_run *run)
{
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_HYPERCALL);
	run->hypercall.ret = -EINVAL;
}

static void test_in_flight(const struct sev_vm_kind *kind, void *code,
			   void (*answer)(struct kvm_run *run))
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *twin;
	struct guest g;
	int error;

	create_guest(&g, kind, code);
	vm_enable_cap(g.vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
	launch_guest(&g);
	vcpu_run(g.vcpu);
	answer(g.vcpu->run);

	twin = vm_sev_twin_create(g.first, kind->type);
	vcpu = vm_sev_twin_vcpu_add(twin, 0);
	error = try_move(&g, twin, vcpu);
	TEST_ASSERT(error == EBUSY, "In the middle of a VMGEXIT: %s", strerror(error));

	vcpu_run_complete_io(g.vcpu);
	error = try_move(&g, twin, vcpu);
	TEST_ASSERT(!error, "After the VMGEXIT: %s", strerror(error));
	expect_ucall(&g, UCALL_DONE);
	free_guest(&g);
}

static void test_pio_in(const struct sev_vm_kind *kind)
{
	test_in_flight(kind, guest_pio_in, answer_pio_in);
}

static void test_mmio_read(const struct sev_vm_kind *kind)
{
	test_in_flight(kind, guest_mmio_read, answer_mmio_read);
}

static void test_hypercall(const struct sev_vm_kind *kind)
{
	test_in_flight(kind, guest_hypercall, answer_hypercall);
}

/*
 * Host: what KVM knows of a vCPU.
 */
static void test_nmi_mask(const struct sev_vm_kind *kind)
{
	struct kvm_vcpu_events events;
	struct guest g;

	create_guest(&g, kind, guest_nmi_mask);
	vm_install_exception_handler(g.vm, NMI_VECTOR, nmi_handler);
	launch_guest(&g);

	vcpu_ioctl(g.vcpu, KVM_NMI, NULL);
	expect_ucall(&g, UCALL_SYNC);
	vcpu_run_complete_io(g.vcpu);
	move_guest(&g);
	vcpu_events_get(g.vcpu, &events);
	TEST_ASSERT(events.nmi.masked, "NMIs are not masked any more");
	vcpu_ioctl(g.vcpu, KVM_NMI, NULL);
	expect_ucall(&g, UCALL_DONE);
	free_guest(&g);
}

/* Of a typed VM userspace cannot see them, but its guest notices. */
static void get_tracked(struct guest *g, struct kvm_sregs *sregs, struct kvm_xcrs *xcrs)
{
	memset(sregs, 0, sizeof(*sregs));
	memset(xcrs, 0, sizeof(*xcrs));
	if (g->kind->type != KVM_X86_DEFAULT_VM)
		return;

	vcpu_sregs_get(g->vcpu, sregs);
	vcpu_xcrs_get(g->vcpu, xcrs);
}

static void test_tracked(const struct sev_vm_kind *kind)
{
	struct kvm_sregs before, after;
	struct kvm_xcrs xcrs_before, xcrs_after;
	struct guest g;
	int i;

	create_guest(&g, kind, guest_tracked);
	launch_guest(&g);

	for (i = 0; i < NR_MOVES; i++) {
		expect_ucall(&g, UCALL_SYNC);
		vcpu_run_complete_io(g.vcpu);
		get_tracked(&g, &before, &xcrs_before);
		move_guest(&g);
		get_tracked(&g, &after, &xcrs_after);
		TEST_ASSERT_EQ(after.cr0, before.cr0);
		TEST_ASSERT_EQ(after.cr4, before.cr4);
		TEST_ASSERT_EQ(after.cr8, before.cr8);
		TEST_ASSERT_EQ(after.efer, before.efer);
		TEST_ASSERT_EQ(xcrs_after.xcrs[0].value, xcrs_before.xcrs[0].value);
	}
	expect_ucall(&g, UCALL_DONE);
	free_guest(&g);
}

static void test_debug_regs(const struct sev_vm_kind *kind)
{
	struct kvm_debugregs regs = {
		.db[0] = DR0_BEFORE,
		.dr6 = 0xffff0ff0,
		.dr7 = 0x402,
	};
	struct kvm_vcpu *vcpu;
	struct kvm_vm *twin;
	struct guest g;

	create_guest(&g, kind, guest_debug_regs);
	launch_guest(&g);
	expect_ucall(&g, UCALL_SYNC);
	vcpu_run_complete_io(g.vcpu);

	twin = vm_sev_twin_create(g.first, kind->type);
	vcpu = vm_sev_twin_vcpu_add(twin, 0);
	vcpu_debugregs_set(vcpu, &regs);
	TEST_ASSERT_EQ(try_move(&g, twin, vcpu), 0);
	expect_ucall(&g, UCALL_DONE);
	free_guest(&g);
}

/*
 * Host: what KVM knows of a VM.
 */
static void check_dbg_decrypt(struct guest *g)
{
	uint64_t plain[4] = { };
	struct kvm_sev_dbg dbg = {
		.src_uaddr = (uint64_t)g->words,
		.dst_uaddr = (uint64_t)plain,
		.len = sizeof(plain),
	};
	int i;

	vm_sev_ioctl(g->vm, KVM_SEV_DBG_DECRYPT, &dbg);
	for (i = 0; i < ARRAY_SIZE(plain); i++) {
		TEST_ASSERT_EQ(plain[i], word(i));
		TEST_ASSERT(g->words[i] != word(i), "The memory is not encrypted");
	}
}

static void test_state(const struct sev_vm_kind *kind)
{
	struct kvm_sev_guest_status status;
	struct guest g;
	int i;

	create_guest(&g, kind, guest_state);
	launch_guest(&g);

	for (i = 0; i < NR_MOVES; i++) {
		expect_ucall(&g, UCALL_SYNC);
		vcpu_run_complete_io(g.vcpu);
		move_guest(&g);

		vm_sev_ioctl(g.vm, KVM_SEV_GUEST_STATUS, &status);
		TEST_ASSERT_EQ(status.policy, kind->policy);
		TEST_ASSERT_EQ(status.state, SEV_GUEST_STATE_RUNNING);
		check_dbg_decrypt(&g);
	}
	expect_ucall(&g, UCALL_DONE);
	free_guest(&g);
}

static const struct subtest {
	const char *name;
	void (*run)(const struct sev_vm_kind *kind);
	bool es_only;
} subtests[] = {
	{ "count", test_count },
	{ "pio_in", test_pio_in, true },
	{ "mmio_read", test_mmio_read, true },
	{ "hypercall", test_hypercall, true },
	{ "nmi_mask", test_nmi_mask, true },
	{ "tracked", test_tracked, true },
	{ "debug_regs", test_debug_regs, true },
	{ "state", test_state, true },
};

static bool chosen(int argc, char *argv[], const struct subtest *t,
		   const struct sev_vm_kind *kind)
{
	if (t->es_only && !kind->es)
		return false;
	if (argc > 1 && strcmp(argv[1], t->name))
		return false;
	return argc <= 2 || !strcmp(argv[2], kind->name);
}

static void nop(int sig)
{
}

int main(int argc, char *argv[])
{
	int i, j, nr = 0;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM));
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	for (i = 0; i < ARRAY_SIZE(subtests); i++)
		for (j = 0; j < SEV_NR_VM_KINDS; j++)
			nr += chosen(argc, argv, &subtests[i], &sev_vm_kinds[j]);
	TEST_ASSERT(nr, "There is no such subtest");

	signal(SIGUSR1, nop);
	ksft_print_header();
	ksft_set_plan(nr);
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		for (j = 0; j < SEV_NR_VM_KINDS; j++) {
			if (!chosen(argc, argv, &subtests[i], &sev_vm_kinds[j]))
				continue;
			subtests[i].run(&sev_vm_kinds[j]);
			ksft_test_result_pass("%s %s\n", subtests[i].name,
					      sev_vm_kinds[j].name);
		}
	}
	ksft_finished();
}
