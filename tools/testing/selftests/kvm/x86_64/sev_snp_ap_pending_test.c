// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs of a SEV-SNP guest that are in the middle of something when another one
 * gives them a new VMSA, or takes theirs away: a VMGEXIT that userspace is to
 * complete, or that KVM cannot answer yet for want of the page; a page fault.
 *
 * What was to come of it must not reach the vCPU's next life.  Nor may it reach the
 * GHCB, which is the guest's to use for something else once its request has been
 * answered.  The argument is a subtest, all of them without.
 */
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <linux/bitfield.h>
#include <linux/kernel.h>
#include <linux/kvm_para.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "late_pages.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "sev_snp_remote.h"
#include "sev_subtests.h"
#include "svm_util.h"
#include "test_util.h"

#define NR_VCPUS	2

/* Pages; 0 is the one that is 2M-aligned.  Some are not validated. */
#define PAGE_A		1
#define PAGE_B		2
#define PAGE_LATE	(SEV_SNP_REMOTE_VMSAS + 1)
#define PAGE_PSC	(SEV_SNP_REMOTE_VMSAS + 2)

#define FIRST		0xa1
#define SECOND		0xb2

#define PORT		0x510
#define MMIO_GPA	0xd0000000ull
#define UNKNOWN_MSR	0x1234567

/* What userspace says: too late, and in time. */
#define LATE		0x11111111u
#define IN_TIME		0x22222222u

#define PATTERN		0xa5

#define EXPECT		SEV_SNP_REMOTE_EXPECT

/*
 * Guest: VMGEXITs that userspace completes.
 */
static uint64_t guest_in(void)
{
	struct sev_ghcb_call call = sev_ghcb_in(PORT, 4);

	sev_ghcb_vmgexit(&call);
	return call.rax;
}

static uint64_t guest_ins(void)
{
	uint32_t data[4] = { };
	struct sev_ghcb_call call = sev_ghcb_ins(PORT, 4, data, ARRAY_SIZE(data));

	sev_ghcb_vmgexit(&call);
	return data[0];
}

static uint64_t guest_outs(void)
{
	const uint32_t data[4] = { IN_TIME };
	struct sev_ghcb_call call = sev_ghcb_outs(PORT, 4, data, ARRAY_SIZE(data));

	sev_ghcb_vmgexit(&call);
	return call.info1 ? 0 : IN_TIME;
}

static uint64_t guest_mmio_read(void)
{
	uint64_t data = 0;
	struct sev_ghcb_call call = sev_ghcb_mmio_read(MMIO_GPA, &data, 4);

	sev_ghcb_vmgexit(&call);
	return data;
}

static uint64_t guest_mmio_write(void)
{
	const uint64_t data = IN_TIME;
	struct sev_ghcb_call call = sev_ghcb_mmio_write(MMIO_GPA, &data, 8);

	sev_ghcb_vmgexit(&call);
	return call.info1 ? 0 : IN_TIME;
}

static uint64_t guest_rdmsr(void)
{
	struct sev_ghcb_call call = sev_ghcb_rdmsr(UNKNOWN_MSR);

	sev_ghcb_vmgexit(&call);
	return call.rax;
}

static uint64_t guest_wrmsr(void)
{
	struct sev_ghcb_call call = sev_ghcb_wrmsr(UNKNOWN_MSR, IN_TIME);

	sev_ghcb_vmgexit(&call);
	return call.info1 ? 0 : IN_TIME;
}

static uint64_t psc_gpa(int n)
{
	return sev_snp_remote_mem.gpa + (PAGE_PSC + n) * PAGE_SIZE;
}

static uint64_t guest_vmmcall(void)
{
	struct sev_ghcb_call call = sev_ghcb_vmmcall(KVM_HC_MAP_GPA_RANGE, psc_gpa(0), 1,
						     KVM_MAP_GPA_RANGE_ENCRYPTED, 0);

	sev_ghcb_vmgexit(&call);
	return call.rax ? 0 : IN_TIME;
}

/* Two pages that are no neighbours: userspace sees two requests. */
static uint64_t guest_psc(void)
{
	struct sev_snp_psc psc = { .end_entry = 1 };
	int i;

	for (i = 0; i < 2; i++)
		psc.entries[i] = FIELD_PREP(SEV_SNP_PSC_OP, SEV_SNP_PSC_PRIVATE) |
				 FIELD_PREP(SEV_SNP_PSC_GFN, psc_gpa(2 * i) / PAGE_SIZE);
	return sev_snp_psc_once(&psc) || psc.cur_entry != 2 ? 0 : IN_TIME;
}

static uint64_t guest_psc_msr(void)
{
	return sev_snp_psc_msr(psc_gpa(0), SEV_SNP_PSC_PRIVATE) ? 0 : IN_TIME;
}

/*
 * Guest: what the next life finds, before it makes use of its GHCB.
 */
static uint64_t nr_spoilt;
static uint64_t ghcb_msr;

static void next_life(uint64_t tag)
{
	struct sev_ghcb_cpu *cpu;
	const uint8_t *page;
	int i;

	asm volatile("mov %%gs:0, %0" : "=r" (cpu));
	page = (void *)cpu->page;
	for (i = 0; i < PAGE_SIZE; i++)
		nr_spoilt += READ_ONCE(page[i]) != PATTERN;
	ghcb_msr = rdmsr(MSR_AMD64_SEV_ES_GHCB);
	sev_snp_serve_anew(tag);
}

static uint64_t guest_fill(void *vmsa)
{
	sev_snp_fill_vmsa(vmsa, 1, next_life, SECOND);
	return sev_snp_set_vmsa(vmsa, true);
}

static uint64_t guest_ghcb_gpa(uint32_t id)
{
	return ((struct sev_ghcb_cpu *)sev_snp_boot.aps[id].cpu)->gpa;
}

/* A VMGEXIT leaves the MSR as it was, here by an OS that has one GHCB a vCPU. */
static uint64_t guest_set_ghcb_msr(uint32_t id)
{
	wrmsr(MSR_AMD64_SEV_ES_GHCB, guest_ghcb_gpa(id));
	return 0;
}

static uint64_t guest_nr_spoilt(void)
{
	return nr_spoilt;
}

static uint64_t guest_ghcb_msr(void)
{
	return ghcb_msr;
}

static uint64_t guest_read_late(uint64_t gva)
{
	uint64_t value;

	/* KVM lets a vCPU wait for a page if it can take interrupts. */
	asm volatile("sti" : : : "memory");
	value = READ_ONCE(*(uint64_t *)gva);
	asm volatile("cli" : : : "memory");
	return value;
}

/*
 * Host: what userspace does about each of them.
 */
static void answer_io(struct kvm_run *run, uint32_t value)
{
	if (run->io.direction == KVM_EXIT_IO_IN)
		memcpy((void *)run + run->io.data_offset, &value, sizeof(value));
}

static void answer_mmio(struct kvm_run *run, uint32_t value)
{
	memcpy(run->mmio.data, &value, sizeof(value));
}

static void answer_msr(struct kvm_run *run, uint32_t value)
{
	run->msr.data = value;
	run->msr.error = 0;
}

static void answer_hypercall(struct kvm_run *run, uint32_t value)
{
	run->hypercall.ret = 0;
}

struct event {
	uint64_t (*guest)(void);
	uint32_t exit_reason;
	int nr_exits;
	void (*answer)(struct kvm_run *run, uint32_t value);
};

static struct kvm_run *vcpu1_run(struct sev_snp_remote *r)
{
	return r->vcpus[1].runner.vcpu->run;
}

/* Up to the last exit to userspace, which is not answered. */
static bool run_to_exit(struct sev_snp_remote *r, const struct event *e)
{
	struct kvm_run *run = vcpu1_run(r);
	int n, ret;

	sev_snp_remote_post(r, 1, e->guest, 0);
	for (n = 0; n < e->nr_exits; n++) {
		if (n)
			e->answer(run, IN_TIME);
		ret = __vcpu_run(r->vcpus[1].runner.vcpu);
		if (!EXPECT(r, !ret && run->exit_reason == e->exit_reason, "%s, %d",
			    exit_reason_str(run->exit_reason), errno))
			return false;
	}
	return true;
}

static void create(struct sev_snp_remote *r)
{
	sev_snp_remote_create(r, NR_VCPUS, NR_VCPUS, 0);
	vm_enable_cap(r->snp.vm, KVM_CAP_X86_USER_SPACE_MSR, KVM_MSR_EXIT_REASON_UNKNOWN);
	sev_snp_remote_start(r, 1, PAGE_A, FIRST);
	sev_snp_remote_call(r, 1, guest_set_ghcb_msr, 1);
}

static void *ghcb_page(struct sev_snp_remote *r)
{
	return addr_gpa2hva(r->snp.vm, sev_snp_remote_call(r, 0, guest_ghcb_gpa, 1));
}

static void request(struct sev_snp_remote *r, uint64_t request)
{
	uint64_t answer = sev_snp_remote_request(r, 0, 1ull << 32 | request, PAGE_B);

	EXPECT(r, answer == SEV_SNP_ACCEPTED, "0x%lx", answer);
}

static void prepare_next_life(struct sev_snp_remote *r)
{
	uint64_t rc = sev_snp_remote_call(r, 0, guest_fill, sev_snp_remote_gva(r, PAGE_B));

	EXPECT(r, !rc, "RMPADJUST: %lu", rc);
}

static void expect_pattern(struct sev_snp_remote *r, const uint8_t *page)
{
	int i, n = 0;

	for (i = 0; i < PAGE_SIZE; i++)
		n += page[i] != PATTERN;
	EXPECT(r, !n, "%d bytes of the GHCB have changed", n);
}

/* Of the last life, if there is not another one already. */
static void expect_end(struct sev_snp_remote *r, uint64_t req, const uint8_t *ghcb)
{
	if (req != SVM_VMGEXIT_AP_DESTROY)
		return;

	sev_snp_remote_expect_destroyed(r, 1, "DESTROY");
	expect_pattern(r, ghcb);
	request(r, SVM_VMGEXIT_AP_CREATE);
}

/* OVMF finds its vCPUs' GHCBs by what the MSR says from the life before. */
static void expect_ghcb_msr(struct sev_snp_remote *r, const struct event *e)
{
	uint64_t value = sev_snp_remote_call(r, 1, guest_ghcb_msr);
	uint64_t gpa = sev_snp_remote_call(r, 0, guest_ghcb_gpa, 1);

	if (e->guest == guest_psc_msr)
		EXPECT(r, (value & SEV_GHCB_MSR_CODE) == SEV_GHCB_MSR_PSC_REQ,
		       "0x%lx", value);
	else
		EXPECT(r, value == gpa, "0x%lx, not 0x%lx", value, gpa);
}

/* It has got no reply to the one before, and userspace can complete its events. */
static void expect_next_life(struct sev_snp_remote *r, const struct event *e)
{
	uint64_t value;

	sev_snp_remote_expect_runs(r, 1, SECOND);
	value = sev_snp_remote_call(r, 1, guest_nr_spoilt);
	EXPECT(r, !value, "%lu bytes of the GHCB have changed", value);
	expect_ghcb_msr(r, e);

	if (!run_to_exit(r, e))
		return;
	e->answer(vcpu1_run(r), IN_TIME);
	if (EXPECT(r, sev_snp_remote_run(r, 1), "%s", r->vcpus[1].runner.error)) {
		value = r->vcpus[1].errand->ret;
		EXPECT(r, value == IN_TIME, "0x%lx", value);
	}
}

/*
 * The request comes while userspace is at it.
 */
static void change_life(struct sev_snp_remote *r, const struct event *e, uint64_t req)
{
	uint8_t *page = ghcb_page(r);

	prepare_next_life(r);
	request(r, req);
	memset(page, PATTERN, PAGE_SIZE);

	e->answer(vcpu1_run(r), LATE);
	expect_end(r, req, page);
	expect_next_life(r, e);
}

static bool try_pending(const struct event *e, uint64_t req)
{
	struct sev_snp_remote r;

	create(&r);
	if (run_to_exit(&r, e))
		change_life(&r, e, req);
	return sev_snp_remote_free(&r);
}

/* An AP reset hold has got its answer already; the SIPI that changes it comes late. */
static bool test_reset_hold(const struct sev_subtest *subtest)
{
	struct sev_snp_remote r;
	uint8_t *page;

	create(&r);
	sev_snp_remote_post(&r, 1, sev_snp_guest_park, 0);
	sev_snp_remote_run_to(&r, 1, KVM_MP_STATE_AP_RESET_HOLD);
	page = ghcb_page(&r);
	prepare_next_life(&r);
	request(&r, SVM_VMGEXIT_AP_CREATE);
	memset(page, PATTERN, PAGE_SIZE);
	sev_snp_remote_call(&r, 0, sev_snp_guest_ipi, 1, APIC_INT_ASSERT | APIC_DM_INIT);
	sev_snp_remote_call(&r, 0, sev_snp_guest_ipi, 1, APIC_INT_ASSERT | APIC_DM_STARTUP | 1);
	sev_snp_remote_expect_runs(&r, 1, SECOND);
	EXPECT(&r, !sev_snp_remote_call(&r, 1, guest_nr_spoilt), "the GHCB has changed");
	return sev_snp_remote_free(&r);
}

/*
 * The request comes while KVM waits for a page, which the host has not got.
 */
static void give_page(int fd, void *page)
{
	static uint8_t content[PAGE_SIZE] __aligned(PAGE_SIZE);

	memset(content, PATTERN, sizeof(content));
	late_page_give(fd, page, content);
}

struct run_once {
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	int ended;		/* an eventfd */
};

static void *run_thread(void *arg)
{
	struct run_once *once = arg;

	__vcpu_run(once->vcpu);
	eventfd_write(once->ended, 1);
	return NULL;
}

static void start(struct run_once *once, struct kvm_vcpu *vcpu)
{
	*once = (struct run_once) { .vcpu = vcpu, .ended = eventfd(0, EFD_CLOEXEC) };
	pthread_create(&once->thread, NULL, run_thread, once);
}

/* KVM_RUN does not end by itself if there is nothing to run. */
static void end(struct run_once *once)
{
	struct pollfd pfd = { .fd = once->ended, .events = POLLIN };

	once->vcpu->run->immediate_exit = 1;
	while (!poll(&pfd, 1, 10))
		pthread_kill(once->thread, SIGALRM);
	once->vcpu->run->immediate_exit = 0;
	pthread_join(once->thread, NULL);
	close(once->ended);
}

/*
 * KVM_RUN with a page missing, until somebody waits for it; then the request, and
 * then the page.  If that is not the GHCB then the GHCB is filled in between.
 */
static void request_meanwhile(struct sev_snp_remote *r, uint64_t req, void *page,
			      void *ghcb)
{
	struct run_once once;
	int fd;

	fd = late_pages_take_away(page, PAGE_SIZE);
	start(&once, r->vcpus[1].runner.vcpu);
	if (EXPECT(r, late_page_wait_until_missed(fd, page, once.ended),
		   "nobody misses the page")) {
		request(r, req);
		if (page != ghcb)
			memset(ghcb, PATTERN, PAGE_SIZE);
		give_page(fd, page);
	}
	end(&once);
	close(fd);
}

static bool try_no_ghcb(const struct event *e, uint64_t req)
{
	struct sev_snp_remote r;
	void *page;

	create(&r);
	page = ghcb_page(&r);
	prepare_next_life(&r);
	if (run_to_exit(&r, e)) {
		e->answer(vcpu1_run(&r), LATE);
		request_meanwhile(&r, req, page, page);
	}
	expect_end(&r, req, page);
	expect_next_life(&r, e);
	return sev_snp_remote_free(&r);
}

/* The end of a page fault is none of the next life's business, nor does it start one. */
static bool try_page_fault(const struct event *e, uint64_t req)
{
	struct sev_snp_remote r;
	uint64_t gpa;
	void *ghcb;

	create(&r);
	ghcb = ghcb_page(&r);
	prepare_next_life(&r);
	gpa = sev_snp_remote_gpa(&r, PAGE_LATE);
	vm_mem_set_shared(r.snp.vm, gpa, PAGE_SIZE);
	sev_snp_remote_post(&r, 1, guest_read_late, r.mem.shared + PAGE_LATE * PAGE_SIZE);
	request_meanwhile(&r, req, addr_gpa2hva(r.snp.vm, gpa), ghcb);
	expect_end(&r, req, ghcb);
	expect_next_life(&r, e);
	return sev_snp_remote_free(&r);
}

/*
 * Each of them with both requests.
 */
struct test {
	bool (*try)(const struct event *e, uint64_t req);
	struct event event;
};

static bool run(const struct sev_subtest *subtest)
{
	const struct test *t = subtest->data;
	bool ok = t->try(&t->event, SVM_VMGEXIT_AP_CREATE);

	return t->try(&t->event, SVM_VMGEXIT_AP_DESTROY) && ok;
}

#define IN	{ guest_in, KVM_EXIT_IO, 1, answer_io }

#define TEST(name, ...)	{ name, run, &(const struct test){ __VA_ARGS__ } }

#define PENDING(name, reason, nr, answer)					\
	TEST(#name, try_pending, { guest_##name, KVM_EXIT_##reason, nr, answer_##answer })

static const struct sev_subtest subtests[] = {
	PENDING(in, IO, 1, io),
	PENDING(ins, IO, 1, io),
	PENDING(outs, IO, 1, io),
	PENDING(mmio_read, MMIO, 1, mmio),
	PENDING(mmio_write, MMIO, 1, mmio),
	PENDING(rdmsr, X86_RDMSR, 1, msr),
	PENDING(wrmsr, X86_WRMSR, 1, msr),
	PENDING(vmmcall, HYPERCALL, 1, hypercall),
	PENDING(psc, HYPERCALL, 2, hypercall),
	PENDING(psc_msr, HYPERCALL, 1, hypercall),
	{ "reset_hold", test_reset_hold },
	TEST("no_ghcb", try_no_ghcb, IN),
	TEST("page_fault", try_page_fault, IN),
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE_SEV_SNP();

	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
