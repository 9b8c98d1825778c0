// SPDX-License-Identifier: GPL-2.0-only
/*
 * The vCPUs of a VM whose encryption context moves: each takes its own place in
 * the destination, with all that KVM knows of it, even an AP reset hold.  The
 * destination's may have run before, but not be busy.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>

#include <linux/sev-vcpu-record.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "sev_subtests.h"
#include "sev_twin.h"
#include "svm_util.h"
#include "test_util.h"
#include "ucall_common.h"

#define BSP			0
#define AP			1
#define NR_VCPUS		2

#define SIPI_VECTOR		8

#define TEST_XCR0		(XFEATURE_MASK_FP | XFEATURE_MASK_SSE)
#define TEST_CR8		5
#define TEST_DR7		0x455

#define NR_WORDS		1024

/* Code of an ordinary VM's, beyond all memory of the guest that is to come. */
#define PLAIN_SLOT		100
#define PLAIN_GPA		0xb0000000ull
#define PLAIN_PORT		0x2401

#define TICK_MS			100

static uint64_t words[NR_WORDS];

/*
 * Guests.
 */
static bool hold_nae(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_AP_HLT_LOOP, 0, 0);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	return call.info2;
}

static bool hold_msr(void)
{
	uint64_t response = sev_ghcb_msr_call(SEV_GHCB_MSR_AP_HOLD_REQ);

	GUEST_ASSERT_EQ(response & SEV_GHCB_MSR_CODE, SEV_GHCB_MSR_AP_HOLD_RESP);
	return response & SEV_GHCB_MSR_DATA;
}

/* Each vCPU says who it is, before and after. */
static void guest_hold(bool (*hold)(void))
{
	uint32_t id = sev_ghcb_this_cpu()->vcpu_id;

	GUEST_SYNC(id);
	if (id == AP)
		GUEST_ASSERT(hold());
	GUEST_SYNC(id);
	GUEST_DONE();
}

static void guest_hold_nae(void)
{
	guest_hold(hold_nae);
}

static void guest_hold_msr(void)
{
	guest_hold(hold_msr);
}

static void guest_record(void)
{
	struct sev_ghcb_call call;

	set_cr4(get_cr4() | X86_CR4_OSXSAVE);
	xsetbv(0, TEST_XCR0);
	asm volatile("mov %0, %%cr8" : : "r" ((uint64_t)TEST_CR8));

	/* What KVM learns of XCR0 and DR7 it learns from these. */
	call = sev_ghcb_cpuid(0xd, 0);
	sev_ghcb_vmgexit(&call);
	call = sev_ghcb_event(SVM_EXIT_WRITE_DR7, 0, 0);
	call.rax = TEST_DR7;
	call.valid |= SEV_GHCB_RAX;
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_SYNC(0);

	/* All VMGEXITs are done with interrupts disabled. */
	asm volatile("sti");
	for (;;)
		cpu_relax();
}

static void guest_words(void)
{
	int i;

	for (i = 0; i < NR_WORDS; i++)
		words[i] = ~(uint64_t)i;
	GUEST_SYNC(0);
	for (i = 0; i < NR_WORDS; i++)
		GUEST_ASSERT_EQ(READ_ONCE(words[i]), ~(uint64_t)i);
	GUEST_DONE();
}

static void guest_l2(void)
{
	GUEST_SYNC(0);
	vmmcall();
}

static void guest_l1(struct svm_test_data *svm)
{
	static unsigned long stack[64];

	generic_svm_setup(svm, guest_l2, &stack[ARRAY_SIZE(stack)]);
	run_guest(svm->vmcb, svm->vmcb_gpa);
	GUEST_ASSERT_EQ(svm->vmcb->control.exit_code, SVM_EXIT_VMMCALL);
	GUEST_DONE();
}

/*
 * Host: a VM, and the one that its context is to move to.
 */
struct move {
	const struct sev_vm_kind *kind;
	int nr_vcpus;
	struct kvm_vm *src, *dst;
	struct kvm_vcpu *vcpus[NR_VCPUS], *heirs[NR_VCPUS];
};

static void create_source(struct move *m, const char *kind, int nr_vcpus, void *code)
{
	memset(m, 0, sizeof(*m));
	m->kind = sev_vm_kind(kind);
	m->nr_vcpus = nr_vcpus;
	m->src = vm_sev_kind_create(m->kind, 0, nr_vcpus, code, m->vcpus);
	sev_vm_launch(m->src, m->kind->policy);
	vm_sev_kind_finish(m->src);
}

static void create_destination(struct move *m)
{
	int i;

	m->dst = vm_sev_twin_create(m->src, m->kind->type);
	for (i = 0; i < m->nr_vcpus; i++)
		m->heirs[i] = vm_sev_twin_vcpu_add(m->dst, i);
}

static void create(struct move *m, const char *kind, int nr_vcpus, void *code)
{
	create_source(m, kind, nr_vcpus, code);
	create_destination(m);
}

/* The memory stays: it is no use to delete slots of a VM that is dead. */
static void release(struct move *m)
{
	kvm_vm_release(m->src);
	kvm_vm_release(m->dst);
}

static int move_errno(struct move *m)
{
	return vm_sev_move_errno(m->dst, m->src);
}

/* What is userspace's to move, MP states included. */
static void move(struct move *m)
{
	struct sev_twin_state states[NR_VCPUS];
	struct kvm_mp_state mp_states[NR_VCPUS];
	int i, error;

	for (i = 0; i < m->nr_vcpus; i++) {
		vcpu_sev_twin_save(m->vcpus[i], m->kind->es, &states[i]);
		vcpu_mp_state_get(m->vcpus[i], &mp_states[i]);
	}

	error = move_errno(m);
	TEST_ASSERT(!error, "Moving a %s VM: %s", m->kind->name, strerror(error));

	for (i = 0; i < m->nr_vcpus; i++) {
		vcpu_sev_twin_load(m->heirs[i], m->kind->es, &states[i]);
		vcpu_mp_state_set(m->heirs[i], &mp_states[i]);
	}
}

/* Its VMGEXIT is complete after this. */
static void expect_ucall(struct kvm_vcpu *vcpu, uint64_t want, uint64_t stage)
{
	struct ucall uc;
	uint64_t got;

	vcpu_run(vcpu);
	got = get_ucall(vcpu, &uc);
	if (got == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(got == want && (got != UCALL_SYNC || uc.args[1] == stage),
		    "vCPU %u: wanted ucall %lu (%lu), got %lu (%lu), exit %s", vcpu->id,
		    want, stage, got, uc.args[1], exit_reason_str(vcpu->run->exit_reason));
}

/*
 * An AP in its reset hold, which a SIPI ends in the destination.
 */
static void send_init_sipi(struct kvm_vcpu *vcpu)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000 | vcpu->id << 12 };

	msi.data = APIC_DM_INIT | APIC_INT_ASSERT;
	TEST_ASSERT(__vm_ioctl(vcpu->vm, KVM_SIGNAL_MSI, &msi) == 1, "INIT was not sent");
	msi.data = APIC_DM_STARTUP | APIC_INT_ASSERT | SIPI_VECTOR;
	TEST_ASSERT(__vm_ioctl(vcpu->vm, KVM_SIGNAL_MSI, &msi) == 1, "SIPI was not sent");
}

/* The first SIPI is the one that starts an AP with its initial registers. */
static void start_vcpus(struct move *m)
{
	struct kvm_lapic_state lapic;

	/* Nobody finds the APIC of the vCPU that was created last before this. */
	vcpu_ioctl(m->vcpus[AP], KVM_GET_LAPIC, &lapic);
	vcpu_ioctl(m->vcpus[AP], KVM_SET_LAPIC, &lapic);

	expect_ucall(m->vcpus[BSP], UCALL_SYNC, BSP);
	send_init_sipi(m->vcpus[AP]);
}

/* Nothing but a signal ends this KVM_RUN. */
static void run_until_signal(struct kvm_vcpu *vcpu)
{
	TEST_ASSERT(__vcpu_run(vcpu) == -1 && errno == EINTR, "vCPU %u: %s, exit %s",
		    vcpu->id, strerror(errno), exit_reason_str(vcpu->run->exit_reason));
}

static void set_ticks(int ms)
{
	const struct itimerval ticks = {
		.it_interval.tv_usec = ms * 1000, .it_value.tv_usec = ms * 1000,
	};

	setitimer(ITIMER_REAL, &ticks, NULL);
}

/* The signal may come too early. */
static void run_into_hold(struct kvm_vcpu *vcpu)
{
	struct kvm_mp_state state;

	set_ticks(TICK_MS);
	do {
		run_until_signal(vcpu);
		vcpu_mp_state_get(vcpu, &state);
	} while (state.mp_state != KVM_MP_STATE_AP_RESET_HOLD);
	set_ticks(0);
}

struct hold {
	const char *kind;
	void *code;
};

static bool test_hold(const struct sev_subtest *t)
{
	const struct hold *hold = t->data;
	struct move m;

	create(&m, hold->kind, NR_VCPUS, hold->code);
	start_vcpus(&m);
	expect_ucall(m.vcpus[AP], UCALL_SYNC, AP);
	run_into_hold(m.vcpus[AP]);
	move(&m);

	expect_ucall(m.heirs[BSP], UCALL_SYNC, BSP);
	send_init_sipi(m.heirs[AP]);
	expect_ucall(m.heirs[AP], UCALL_SYNC, AP);
	expect_ucall(m.heirs[BSP], UCALL_DONE, 0);
	expect_ucall(m.heirs[AP], UCALL_DONE, 0);
	release(&m);
	return true;
}

/*
 * What KVM knows of a vCPU, before anything else is set in the destination.
 */
static void get_record(struct kvm_vcpu *vcpu, struct sev_vcpu_record *rec)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_SEV_CTRL,
		.attr = KVM_VCPU_SEV_RECORD,
		.addr = (uintptr_t)rec,
	};

	*rec = (struct sev_vcpu_record){ .size = sizeof(*rec) };
	vcpu_ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attr);
}

static void run_until_irqs_enabled(struct kvm_vcpu *vcpu)
{
	set_ticks(TICK_MS);
	do {
		run_until_signal(vcpu);
	} while (!vcpu->run->if_flag);
	set_ticks(0);
}

static bool test_record(const struct sev_subtest *t)
{
	struct sev_vcpu_record before, after;
	struct move m;

	create(&m, t->data, 1, guest_record);
	expect_ucall(m.vcpus[0], UCALL_SYNC, 0);
	run_until_irqs_enabled(m.vcpus[0]);

	get_record(m.vcpus[0], &before);
	TEST_ASSERT_EQ(before.xcr0, TEST_XCR0);
	TEST_ASSERT_EQ(before.cr8, TEST_CR8);
	TEST_ASSERT_EQ(before.dr7, TEST_DR7);
	TEST_ASSERT(before.cr4 & X86_CR4_OSXSAVE && before.cr0 & X86_CR0_PG &&
		    before.efer & EFER_LMA, "KVM does not know of the guest's mode");

	TEST_ASSERT_EQ(move_errno(&m), 0);
	get_record(m.heirs[0], &after);
	TEST_ASSERT(!memcmp(&before, &after, sizeof(before)), "The record has changed");
	vcpu_run_complete_io(m.heirs[0]);
	TEST_ASSERT(m.heirs[0]->run->if_flag, "RFLAGS.IF has not moved");
	run_until_irqs_enabled(m.heirs[0]);
	release(&m);
	return true;
}

/*
 * Each vCPU is looked at, not only the first.
 */
static void set_guest_debug(struct kvm_vcpu *vcpu, uint32_t control)
{
	struct kvm_guest_debug debug = { .control = control };

	vcpu_ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug);
}

static bool test_busy(const struct sev_subtest *t)
{
	struct move m;

	create(&m, t->data, NR_VCPUS, guest_hold_nae);
	start_vcpus(&m);
	/* The library's vcpu_run() would see a ucall and complete it. */
	TEST_ASSERT(!__vcpu_run(m.vcpus[AP]), "KVM_RUN: %s", strerror(errno));
	TEST_ASSERT_KVM_EXIT_REASON(m.vcpus[AP], KVM_EXIT_IO);
	TEST_ASSERT_EQ(move_errno(&m), EBUSY);
	vcpu_run_complete_io(m.vcpus[AP]);

	set_guest_debug(m.heirs[AP], KVM_GUESTDBG_ENABLE);
	TEST_ASSERT_EQ(move_errno(&m), EINVAL);
	set_guest_debug(m.heirs[AP], 0);

	run_into_hold(m.vcpus[AP]);
	move(&m);
	expect_ucall(m.heirs[BSP], UCALL_SYNC, BSP);
	release(&m);
	return true;
}

/*
 * A destination that has run as an ordinary VM.
 */
static void run_plain(struct kvm_vcpu *vcpu)
{
	static const uint8_t code[] = {
		0x66, 0xba, PLAIN_PORT & 0xff, PLAIN_PORT >> 8, 0, 0,	/* mov $PLAIN_PORT, %edx */
		0xee,							/* out %al, %dx */
	};
	struct kvm_regs regs = { .rflags = 2 };
	struct kvm_sregs sregs;
	void *mem = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	memcpy(mem, code, sizeof(code));
	vm_set_user_memory_region(vcpu->vm, PLAIN_SLOT, 0, PLAIN_GPA, PAGE_SIZE, mem);

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cs.base = PLAIN_GPA;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);

	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(vcpu->run->io.port, PLAIN_PORT);
	vcpu_run_complete_io(vcpu);
}

/* The page tables of a SEV guest are encrypted, and CR3 has to say so. */
static void expect_c_bit_allowed(struct kvm_vcpu *vcpu, uint64_t c_bit)
{
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cr3 |= c_bit;
	vcpu_sregs_set(vcpu, &sregs);
	sregs.cr3 &= ~c_bit;
	vcpu_sregs_set(vcpu, &sregs);
}

static bool test_used(const struct sev_subtest *t)
{
	struct move m;

	create(&m, t->data, 1, guest_words);
	expect_ucall(m.vcpus[0], UCALL_SYNC, 0);

	run_plain(m.heirs[0]);
	move(&m);
	if (!m.kind->es)
		expect_c_bit_allowed(m.heirs[0], m.src->arch.c_bit);
	expect_ucall(m.heirs[0], UCALL_DONE, 0);
	release(&m);
	return true;
}

/* In the middle of running a guest of its own, it is not one to move to. */
static bool test_nested(const struct sev_subtest *t)
{
	vm_vaddr_t svm;
	struct move m;
	int error;

	create_source(&m, t->data, 1, guest_words);
	expect_ucall(m.vcpus[0], UCALL_SYNC, 0);

	m.dst = vm_create_with_one_vcpu(&m.heirs[0], guest_l1);
	vcpu_alloc_svm(m.dst, &svm);
	vcpu_args_set(m.heirs[0], 1, svm);
	expect_ucall(m.heirs[0], UCALL_SYNC, 0);

	error = move_errno(&m);
	TEST_ASSERT(error == EINVAL, "To a nested guest: %s", strerror(error));

	/* Both go on. */
	expect_ucall(m.heirs[0], UCALL_DONE, 0);
	expect_ucall(m.vcpus[0], UCALL_DONE, 0);
	release(&m);
	return true;
}

static const struct sev_subtest subtests[] = {
	{ "hold_nae", test_hold, &(const struct hold){ "sev_es", guest_hold_nae } },
	{ "hold_msr", test_hold, &(const struct hold){ "sev_es", guest_hold_msr } },
	{ "hold_legacy", test_hold, &(const struct hold){ "sev_es_legacy", guest_hold_nae } },
	{ "record", test_record, "sev_es" },
	{ "record_legacy", test_record, "sev_es_legacy" },
	{ "busy", test_busy, "sev_es" },
	{ "used_sev", test_used, "sev_legacy" },
	{ "used_es", test_used, "sev_es_legacy" },
	{ "nested_sev", test_nested, "sev_legacy" },
	{ "nested_es", test_nested, "sev_es_legacy" },
};

static void nop(int sig)
{
}

int main(int argc, char *argv[])
{
	/* A system call that a signal meets is not to be restarted. */
	const struct sigaction action = { .sa_handler = nop };

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM));
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SVM));

	sigaction(SIGALRM, &action, NULL);
	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
