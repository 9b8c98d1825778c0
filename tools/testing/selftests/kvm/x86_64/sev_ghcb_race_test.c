// SPDX-License-Identifier: GPL-2.0-only
/*
 * The GHCB is shared memory: others may write it while KVM handles a request.
 * What counts is what was in there at VMGEXIT.  Nor does it matter what userspace
 * looks at while it has an exit.
 */
#include <errno.h>
#include <pthread.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "test_util.h"
#include "ucall_common.h"

#define DEV_GPA		0xd0000000ull
#define DEV_LEN		16
#define ROUNDS		20000
#define ASK_PORT	0x51

#define PATTERN_A	0x5a5a5a5a5a5a5a5aull
#define PATTERN_B	0xc3c3c3c3c3c3c3c3ull

static struct sev_ghcb_page *page;	/* of vCPU 0, for the writer */
static uint64_t stop;

/*
 * Data that goes to userspace in two parts, and changes in between.
 */
static void guest_two_parts(void)
{
	const uint64_t data[] = { PATTERN_A, PATTERN_B };
	struct sev_ghcb_call call;

	call = sev_ghcb_mmio_write(DEV_GPA, data, sizeof(data));
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_DONE();
}

/* Version 1: version 2 allows no more than 8 bytes. */
static struct kvm_vm *create_vm(uint16_t version, int nr_vcpus, void *guest_code,
				struct kvm_vcpu *vcpus[])
{
	const struct sev_ghcb_config config = {
		.init = { .ghcb_version = version },
	};

	return vm_sev_ghcb_create(&config, nr_vcpus, guest_code, vcpus);
}

/* The host's address of a vCPU's page; the guest finds its own through GS. */
static struct sev_ghcb_page *host_page(struct kvm_vcpu *vcpu, vm_vaddr_t *gva)
{
	struct sev_ghcb_cpu *cpu;
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	cpu = addr_gva2hva(vcpu->vm, sregs.gs.base);
	*gva = (vm_vaddr_t)cpu->page;
	return addr_gva2hva(vcpu->vm, *gva);
}

static uint64_t mmio_part(struct kvm_vcpu *vcpu, uint64_t gpa)
{
	struct kvm_run *run = vcpu->run;

	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_MMIO);
	TEST_ASSERT_EQ(run->mmio.phys_addr, gpa);
	TEST_ASSERT_EQ(run->mmio.len, 8);
	TEST_ASSERT_EQ(run->mmio.is_write, 1);
	return *(uint64_t *)run->mmio.data;
}

static void test_two_parts(void)
{
	struct sev_ghcb_page *hva;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(1, 1, guest_two_parts, &vcpu);
	struct ucall uc;
	vm_vaddr_t gva;

	hva = host_page(vcpu, &gva);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(mmio_part(vcpu, DEV_GPA), PATTERN_A);

	memset(hva->buf, 0, DEV_LEN);
	vcpu_run(vcpu);
	TEST_ASSERT(mmio_part(vcpu, DEV_GPA + 8) == PATTERN_B,
		    "The second part was read from the page after the first");

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(get_ucall(vcpu, &uc), UCALL_DONE);
	kvm_vm_free(vm);
	ksft_test_result_pass("data that changes while userspace has a part of it\n");
}

/*
 * A vCPU that writes another one's page all the time.
 */
static void guest_victim(void)
{
	const uint64_t data = PATTERN_A;
	struct sev_ghcb_call call;
	int i;

	/* Answers cannot be checked: they are overwritten as well. */
	for (i = 0; i < ROUNDS; i++) {
		call = i % 2 ? sev_ghcb_mmio_write(DEV_GPA, &data, sizeof(data)) :
			       sev_ghcb_cpuid(0, 0);
		sev_ghcb_vmgexit(&call);
	}

	WRITE_ONCE(stop, 1);
	while (READ_ONCE(stop) != 2)
		cpu_relax();

	/* Nobody disturbs any more: the VM is as good as new. */
	call = sev_ghcb_mmio_write(DEV_GPA, &data, sizeof(data));
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_DONE();
}

static void guest_writer(void)
{
	static const uint64_t exit_codes[] = {
		SVM_VMGEXIT_MMIO_WRITE, SVM_EXIT_CPUID, SVM_EXIT_IOIO,
		SVM_VMGEXIT_HV_FEATURES, SVM_EXIT_MSR, 0xdead,
	};
	static const uint64_t lengths[] = { 8, 4, 1, 0, 9, 4096, -1ull };
	uint64_t buf_gpa = sev_ghcb_buf_gpa(), n = 0;

	while (!READ_ONCE(stop)) {
		n++;
		WRITE_ONCE(*(uint64_t *)page->buf, n & 1 ? PATTERN_A : PATTERN_B);
		WRITE_ONCE(page->save[0x3a0 / 8], lengths[n % ARRAY_SIZE(lengths)]);
		if (n % 3 == 0)
			WRITE_ONCE(page->save[0x390 / 8],
				   exit_codes[n / 3 % ARRAY_SIZE(exit_codes)]);
		if (n % 5 == 0)
			WRITE_ONCE(page->save[0x3a8 / 8], buf_gpa + n % 0x900);
		if (n % 7 == 0)
			WRITE_ONCE(page->usage, n % 2);
		if (n % 11 == 0)
			WRITE_ONCE(page->valid_bitmap[1], n * 0x9e3779b97f4a7c15ull);
	}
	WRITE_ONCE(stop, 2);
	GUEST_DONE();
}

/*
 * The writer may win within the data, which are no single read, but not between
 * the check of the length and its use, nor can it get anything else out.
 */
static void check_mmio(const struct kvm_run *run)
{
	int i;

	TEST_ASSERT(run->mmio.len <= 8, "MMIO of %u bytes", run->mmio.len);
	if (!run->mmio.is_write)
		return;

	for (i = 0; i < run->mmio.len; i++)
		TEST_ASSERT(!run->mmio.data[i] ||
			    run->mmio.data[i] == (uint8_t)PATTERN_A ||
			    run->mmio.data[i] == (uint8_t)PATTERN_B,
			    "MMIO of 0x%lx", *(const uint64_t *)run->mmio.data);
}

static void *run_vcpu(void *arg)
{
	struct kvm_vcpu *vcpu = arg;
	struct ucall uc;
	int r;

	for (;;) {
		r = __vcpu_run(vcpu);
		TEST_ASSERT(!r, "KVM_RUN of vCPU %u: %s", vcpu->id, strerror(errno));

		switch (vcpu->run->exit_reason) {
		case KVM_EXIT_MMIO:
			check_mmio(vcpu->run);
			continue;
		case KVM_EXIT_IO:
			if (vcpu->run->io.port != UCALL_PIO_PORT)
				continue;
			if (get_ucall(vcpu, &uc) == UCALL_ABORT)
				REPORT_GUEST_ASSERT(uc);
			TEST_ASSERT_EQ(uc.cmd, UCALL_DONE);
			return NULL;
		default:
			TEST_FAIL("vCPU %u: exit %s", vcpu->id,
				  exit_reason_str(vcpu->run->exit_reason));
		}
	}
}

static void test_writer(void)
{
	struct kvm_vcpu *vcpus[2];
	struct kvm_vm *vm = create_vm(2, 2, guest_victim, vcpus);
	struct kvm_regs regs;
	pthread_t threads[2];
	vm_vaddr_t gva;
	int i;

	host_page(vcpus[0], &gva);
	page = (void *)gva;
	sync_global_to_guest(vm, page);

	vcpu_regs_get(vcpus[1], &regs);
	regs.rip = (unsigned long)guest_writer;
	vcpu_regs_set(vcpus[1], &regs);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);

	for (i = 0; i < 2; i++)
		pthread_create(&threads[i], NULL, run_vcpu, vcpus[i]);
	for (i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);

	kvm_vm_free(vm);
	ksft_test_result_pass("a page that another vCPU writes all the time\n");
}

/*
 * Registers that userspace reads while it has an exit: those that the guest did
 * not give are not missing, it is not the request that asks for them.
 */
static void guest_asks(void)
{
	struct sev_ghcb_call call = sev_ghcb_in(ASK_PORT, 4);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	GUEST_ASSERT_EQ((uint32_t)call.rax, (uint32_t)PATTERN_A);
	GUEST_DONE();
}

/* Only VMs of the older type let userspace read registers of protected vCPUs. */
static void test_registers_read(void)
{
	const struct sev_ghcb_config config = { .legacy_init = true };
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = vm_sev_ghcb_create(&config, 1, guest_asks, &vcpu);
	struct kvm_run *run = vcpu->run;
	struct kvm_regs regs;
	struct ucall uc;

	vm_sev_launch(vm, SEV_POLICY_ES, NULL);
	run->kvm_valid_regs = KVM_SYNC_X86_REGS;
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	TEST_ASSERT_EQ(run->io.port, ASK_PORT);
	*(uint32_t *)((void *)run + run->io.data_offset) = PATTERN_A;
	run->kvm_valid_regs = 0;
	vcpu_regs_get(vcpu, &regs);

	vcpu_run(vcpu);
	get_ucall(vcpu, &uc);
	if (uc.cmd == UCALL_ABORT)
		ksft_print_msg("line %ld: %s\n", uc.args[GUEST_LINE], uc.buffer);
	ksft_test_result(uc.cmd == UCALL_DONE, "registers that userspace reads meanwhile\n");
	kvm_vm_free(vm);
}

int main(void)
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	ksft_print_header();
	ksft_set_plan(3);
	test_writer();
	test_two_parts();
	test_registers_read();
	ksft_finished();
}
