// SPDX-License-Identifier: GPL-2.0-only
/*
 * Asynchronous page faults of SEV-ES guests, as launched and in another VM that
 * they were sent to.  KVM cannot tell such a guest that a page is missing, as
 * the token is in CR2: the vCPU waits, takes interrupts meanwhile if it has
 * them enabled, and finds the page as it should be.
 *
 * The argument is a subtest, all of them without.
 */
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "late_pages.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_machine.h"
#include "sev_subtests.h"
#include "sev_transport.h"
#include "test_util.h"

#define PORT_STAGE	0x50
#define STAGE_READY	1
#define STAGE_DONE	0x1000
#define STAGE_FAILED	0x2000		/* and the line below that */

#define MSR_APF_EN	0x4b564d02
#define MSR_APF_INT	0x4b564d06
#define MSR_APF_ACK	0x4b564d07
#define APF_ENABLED	BIT(0)
#define APF_SEND_ALWAYS	BIT(1)		/* in the kernel, too */
#define APF_BY_INT	BIT(3)
#define APF_BROADCAST	0xffffffff	/* sent when it is enabled */

#define VECTOR_READY	0xf1
#define VECTOR_OTHER	0xf2

/* Memory that comes late: two pages, each read once. */
#define SLOT		1
#define SLOT_GPA	BIT_ULL(32)
#define NR_PAGES	2
#define PATTERN(page)	(0x5e5e5e5e00000000ull + (page))

/* What KVM writes, and what the guest tells.  Shared. */
struct shared {
	uint32_t flags;
	uint32_t token;
	uint8_t pad[56];
	uint64_t nr_irqs;
};

/* Set by the host, before the launch */
static struct shared *shared;
static uint64_t shared_gpa;
static uint64_t *late;

/* Private */
static uint64_t nr_page_faults, nr_ready;

/*
 * Guest.
 */
static void tell(uint32_t stage)
{
	struct sev_ghcb_call call = sev_ghcb_out(PORT_STAGE, 4, stage);

	sev_ghcb_vmgexit(&call);
}

static void check(bool ok, int line)
{
	while (!ok)
		tell(STAGE_FAILED + line);
}

#define CHECK(cond)	check(cond, __LINE__)

static void write_msr(uint32_t msr, uint64_t value)
{
	struct sev_ghcb_call call = sev_ghcb_wrmsr(msr, value);

	sev_ghcb_vmgexit(&call);
	CHECK(call.info1 == SEV_GHCB_OK);
}

static void enable_apic(void)
{
	struct sev_ghcb_call call = sev_ghcb_rdmsr(MSR_IA32_APICBASE);

	sev_ghcb_vmgexit(&call);
	write_msr(MSR_IA32_APICBASE, call.rdx << 32 | (uint32_t)call.rax |
		  MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE);
	write_msr(APIC_BASE_MSR + (APIC_SPIV >> 4), APIC_SPIV_APIC_ENABLED | 0xff);
}

static void page_fault_handler(struct ex_regs *regs)
{
	nr_page_faults++;
	WRITE_ONCE(shared->flags, 0);
}

static void ready_handler(struct ex_regs *regs)
{
	if (shared->token != APF_BROADCAST)
		nr_ready++;
	WRITE_ONCE(shared->token, 0);
	write_msr(MSR_APF_ACK, 1);
	write_msr(APIC_BASE_MSR + (APIC_EOI >> 4), 0);
}

static void other_handler(struct ex_regs *regs)
{
	WRITE_ONCE(shared->nr_irqs, shared->nr_irqs + 1);
	write_msr(APIC_BASE_MSR + (APIC_EOI >> 4), 0);
}

static uint64_t read_late(int page)
{
	return READ_ONCE(late[page * 512]);
}

static void guest_code(uint32_t id)
{
	uint64_t value;

	if (id) {
		tell(STAGE_READY);
		tell(STAGE_DONE);
		return;
	}

	enable_apic();
	write_msr(MSR_APF_INT, VECTOR_READY);
	write_msr(MSR_APF_EN, shared_gpa | APF_ENABLED | APF_SEND_ALWAYS | APF_BY_INT);
	tell(STAGE_READY);

	asm volatile("sti" : : : "memory");
	value = read_late(0);
	asm volatile("cli" : : : "memory");
	CHECK(value == PATTERN(0));
	CHECK(shared->nr_irqs == 1);
	CHECK(!nr_page_faults && !shared->flags);

	/* With interrupts off there is nothing to do but to wait. */
	value = read_late(1);
	CHECK(value == PATTERN(1));
	CHECK(!nr_page_faults && !shared->flags);
	CHECK(!nr_ready);
	tell(STAGE_DONE);
}

/*
 * Host.
 */
static void setup(struct kvm_vm *vm)
{
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, SLOT_GPA, SLOT, NR_PAGES, 0);
	late = (void *)vm_vaddr_unused_gap(vm, NR_PAGES * 4096, KVM_UTIL_MIN_VADDR);
	virt_map(vm, (uint64_t)late, SLOT_GPA, NR_PAGES);
	sync_global_to_guest(vm, late);

	shared = (void *)vm_vaddr_alloc_shared(vm, 4096, KVM_UTIL_MIN_VADDR,
					       MEM_REGION_DATA);
	shared_gpa = addr_gva2gpa(vm, (vm_vaddr_t)shared);
	sync_global_to_guest(vm, shared);
	sync_global_to_guest(vm, shared_gpa);
	memset(addr_gpa2hva(vm, shared_gpa), 0, sizeof(*shared));

	vm_install_exception_handler(vm, PF_VECTOR, page_fault_handler);
	vm_install_exception_handler(vm, VECTOR_READY, ready_handler);
	vm_install_exception_handler(vm, VECTOR_OTHER, other_handler);
}

/* vCPU 0, until it exits */
struct runner {
	struct kvm_vcpu *vcpu;
	uint32_t stage;
	int ended;		/* an eventfd */
	pthread_t thread;
};

static void *run_thread(void *arg)
{
	struct runner *r = arg;

	r->stage = vcpu_run_to_exit(r->vcpu);
	eventfd_write(r->ended, 1);
	return NULL;
}

static void start(struct runner *r, struct kvm_vcpu *vcpu)
{
	*r = (struct runner) { .vcpu = vcpu, .ended = eventfd(0, EFD_CLOEXEC) };
	pthread_create(&r->thread, NULL, run_thread, r);
}

static void join(struct runner *r)
{
	pthread_join(r->thread, NULL);
	close(r->ended);
}

static bool has_ended(const struct runner *r)
{
	struct pollfd pfd = { .fd = r->ended, .events = POLLIN };

	return poll(&pfd, 1, 0);
}

static void *late_hva(struct kvm_vm *vm, int page)
{
	return addr_gpa2hva(vm, SLOT_GPA + page * 4096);
}

/* False if the guest, for being wrong, comes to its end without. */
static bool wait_until_missed(int fd, const struct runner *r, int page)
{
	return late_page_wait_until_missed(fd, late_hva(r->vcpu->vm, page), r->ended);
}

static void give_page(int fd, struct kvm_vm *vm, int page)
{
	static uint64_t content[512] __aligned(4096);

	content[0] = PATTERN(page);
	late_page_give(fd, late_hva(vm, page), content);
}

static void interrupt(struct kvm_vm *vm)
{
	struct kvm_msi msi = { .address_lo = 0xfee00000, .data = VECTOR_OTHER };

	TEST_ASSERT(__vm_ioctl(vm, KVM_SIGNAL_MSI, &msi) == 1, "KVM_SIGNAL_MSI");
}

static void run_with_late_pages(struct sev_machine *m)
{
	struct shared *host = addr_gpa2hva(m->vm, shared_gpa);
	int fd = late_pages_take_away(late_hva(m->vm, 0), NR_PAGES * 4096);
	struct runner r;

	start(&r, m->vcpus[0]);

	/* The vCPU cannot go on, but takes the interrupt. */
	if (wait_until_missed(fd, &r, 0)) {
		interrupt(m->vm);
		while (!READ_ONCE(host->nr_irqs) && !has_ended(&r))
			usleep(1000);
		give_page(fd, m->vm, 0);
	}

	if (wait_until_missed(fd, &r, 1))
		give_page(fd, m->vm, 1);

	join(&r);
	SEV_EXPECT(r.stage == STAGE_DONE, "stage %#x", r.stage);
	SEV_EXPECT(host->nr_irqs == 1, "%lu", host->nr_irqs);
	close(fd);
}

static void test_launched(void)
{
	struct sev_machine m;

	sev_machine_launch(&m, guest_code, setup);
	SEV_EXPECT(vcpu_run_to_exit(m.vcpus[0]) == STAGE_READY, "");
	run_with_late_pages(&m);
	kvm_vm_free(m.vm);
}

/* What the guest has set up comes with the MSRs. */
static void test_transported(void)
{
	static const uint32_t msrs[] = { MSR_APF_INT, MSR_APF_EN };
	uint64_t values[ARRAY_SIZE(msrs)];
	struct sev_machine a, b;
	int i;

	sev_machine_require(NULL);
	sev_machine_launch(&a, guest_code, setup);
	sev_machine_run(&a);
	sev_machine_expect(&a, STAGE_READY);
	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		values[i] = vcpu_get_msr(a.vcpus[0], msrs[i]);
	sev_machine_send(&a, &b);
	for (i = 0; i < ARRAY_SIZE(msrs); i++)
		vcpu_set_msr(b.vcpus[0], msrs[i], values[i]);

	run_with_late_pages(&b);
	SEV_EXPECT(vcpu_run_to_exit(b.vcpus[1]) == STAGE_DONE, "");
	kvm_vm_free(b.vm);
}

static bool run(const struct sev_subtest *t)
{
	return sev_machine_passes(t->data);
}

#define TEST(name)	{ #name, run, &(const struct sev_machine_test){ #name, test_##name } }

static const struct sev_subtest subtests[] = {
	TEST(launched),
	TEST(transported),
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
