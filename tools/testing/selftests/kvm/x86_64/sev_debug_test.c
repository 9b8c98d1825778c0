// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debug registers of SEV-ES guests, and the host's while such a guest runs:
 * with DebugSwap the CPU swaps the guest's, without they are not the guest's to
 * use.  What the host has set up has to survive either.
 */
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/sysinfo.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <linux/hw_breakpoint.h>
#include <linux/perf_event.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "test_util.h"
#include "ucall_common.h"

#define FEATURE_DEBUG_SWAP	BIT_ULL(5)

#define NR_VCPUS	2
#define NR_BREAKPOINTS	4
#define NR_ROUNDS	50
#define NR_WRITES	20

#define DR6_INIT	0xffff0ff0ull
#define DR7_INIT	0x400ull
#define DR7_GLOBAL(n)	(2ull << (2 * (n)))
#define DR7_WRITE_8(n)	(9ull << (16 + 4 * (n)))

/* Somewhere that no other program on the host uses */
#define WATCHED		0x123456780000ull
#define RANGE		256

/* Nothing takes that long, however busy the host is. */
#define TIMEOUT_SECONDS	60
#define MAX_ATTEMPTS	100

/* Memory that guest and host share */
struct meeting {
	uint64_t rounds;	/* exits that the guest has been through */
	uint64_t leave;
};

static struct meeting *meeting;
static uint64_t watched[NR_VCPUS][NR_BREAKPOINTS] __aligned(64);
static uint64_t hits[NR_VCPUS][NR_BREAKPOINTS];

/*
 * Guest.
 */
#define DR_ACCESSORS(n)						\
static uint64_t read_dr##n(void)				\
{								\
	uint64_t value;						\
								\
	asm volatile("mov %%db" #n ", %0" : "=r" (value));	\
	return value;						\
}								\
								\
static void write_dr##n(uint64_t value)				\
{								\
	asm volatile("mov %0, %%db" #n : : "r" (value));	\
}

DR_ACCESSORS(0)
DR_ACCESSORS(1)
DR_ACCESSORS(2)
DR_ACCESSORS(3)
DR_ACCESSORS(6)
DR_ACCESSORS(7)

static void debug_handler(struct ex_regs *regs)
{
	uint64_t dr6 = read_dr6();
	uint32_t id = sev_ghcb_this_cpu()->vcpu_id;
	int i;

	for (i = 0; i < NR_BREAKPOINTS; i++)
		hits[id][i] += !!(dr6 & BIT(i));
	write_dr6(DR6_INIT);
}

static uint64_t arm_all(uint32_t id)
{
	uint64_t dr7 = DR7_INIT;
	int i;

	write_dr0((uint64_t)&watched[id][0]);
	write_dr1((uint64_t)&watched[id][1]);
	write_dr2((uint64_t)&watched[id][2]);
	write_dr3((uint64_t)&watched[id][3]);
	for (i = 0; i < NR_BREAKPOINTS; i++)
		dr7 |= DR7_GLOBAL(i) | DR7_WRITE_8(i);
	write_dr7(dr7);
	return dr7;
}

/* The n-th breakpoint is hit n + 1 times a round, between exits to userspace. */
static void guest_breakpoints(uint32_t id, uint64_t expected)
{
	uint64_t dr7 = arm_all(id);
	int round, i, j;

	for (round = 1; round <= NR_ROUNDS; round++) {
		GUEST_SYNC(round);
		for (i = 0; i < NR_BREAKPOINTS; i++) {
			for (j = 0; j <= i; j++)
				WRITE_ONCE(watched[id][i], round);
			GUEST_ASSERT_EQ(hits[id][i], expected * round * (i + 1));
		}
		GUEST_ASSERT_EQ(read_dr7(), dr7);
	}

	/* Without DebugSwap they are anybody's. */
	if (expected) {
		GUEST_ASSERT_EQ(read_dr0(), (uint64_t)&watched[id][0]);
		GUEST_ASSERT_EQ(read_dr1(), (uint64_t)&watched[id][1]);
		GUEST_ASSERT_EQ(read_dr2(), (uint64_t)&watched[id][2]);
		GUEST_ASSERT_EQ(read_dr3(), (uint64_t)&watched[id][3]);
	}
	GUEST_DONE();
}

static void guest_swap(uint32_t id)
{
	guest_breakpoints(id, 1);
}

static void guest_no_swap(uint32_t id)
{
	guest_breakpoints(id, 0);
}

/* Exits of which userspace does not hear, until it says so */
static void guest_stay(uint32_t id)
{
	arm_all(id);
	while (!READ_ONCE(meeting->leave)) {
		sev_ghcb_msr_call(SEV_GHCB_MSR_HV_FT_REQ);
		WRITE_ONCE(meeting->rounds, meeting->rounds + 1);
	}
	GUEST_DONE();
}

static void guest_nothing(uint32_t id)
{
	GUEST_DONE();
}

/*
 * Host.
 */
static int breakpoint(pid_t pid, int cpu, void *addr, uint64_t len)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_BREAKPOINT,
		.size = sizeof(attr),
		.bp_type = HW_BREAKPOINT_W,
		.bp_addr = (uint64_t)addr,
		.bp_len = len,
		.exclude_kernel = 1,
		.exclude_hv = 1,
	};
	int fd = syscall(SYS_perf_event_open, &attr, pid, cpu, -1, 0);

	TEST_ASSERT(fd >= 0, "perf_event_open(%d, %d): %s", pid, cpu, strerror(errno));
	return fd;
}

static uint64_t count(int fd)
{
	uint64_t value;

	TEST_ASSERT_EQ(read(fd, &value, sizeof(value)), sizeof(value));
	return value;
}

static void write_often(uint8_t *addr)
{
	int i;

	for (i = 0; i < NR_WRITES; i++)
		WRITE_ONCE(*addr, i);
}

static struct kvm_vm *create(void *guest, bool legacy, uint64_t features, int nr,
			     struct kvm_vcpu *vcpus[])
{
	const struct sev_ghcb_config config = {
		.legacy_init = legacy,
		.init = { .ghcb_version = 2, .vmsa_features = features },
	};
	struct kvm_vm *vm;
	int i;

	vm = vm_sev_ghcb_create(&config, nr, guest, vcpus);
	vm_install_exception_handler(vm, DB_VECTOR, debug_handler);
	meeting = (void *)vm_vaddr_alloc_shared(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR,
						MEM_REGION_DATA);
	sync_global_to_guest(vm, meeting);
	meeting = addr_gva2hva(vm, (vm_vaddr_t)meeting);
	memset(meeting, 0, sizeof(*meeting));
	for (i = 0; i < nr; i++)
		vcpu_args_set(vcpus[i], 1, i);
	vm_sev_launch(vm, SEV_POLICY_ES, NULL);
	return vm;
}

struct runner {
	struct kvm_vcpu *vcpu;
	uint64_t host_hits;
	char error[256];
};

/* To the next ucall: UCALL_SYNC, UCALL_DONE or, with a message, UCALL_ABORT */
static uint64_t run_vcpu(struct runner *r)
{
	struct ucall uc;
	uint64_t cmd;

	if (__vcpu_run(r->vcpu)) {
		snprintf(r->error, sizeof(r->error), "KVM_RUN: %s", strerror(errno));
		return UCALL_ABORT;
	}
	cmd = get_ucall(r->vcpu, &uc);
	if (cmd == UCALL_ABORT)
		snprintf(r->error, sizeof(r->error), "%s:%ld: %s %s",
			 (const char *)uc.args[GUEST_FILE], uc.args[GUEST_LINE],
			 (const char *)uc.args[GUEST_ERROR_STRING], uc.buffer);
	return cmd;
}

/* The host's own breakpoint, in the thread of the vCPU */
static void *run_and_write(void *arg)
{
	struct runner *r = arg;
	uint64_t mine[2], cmd;
	int fd;

	fd = breakpoint(0, -1, &mine[0], HW_BREAKPOINT_LEN_8);
	while ((cmd = run_vcpu(r)) == UCALL_SYNC) {
		write_often((uint8_t *)&mine[0]);
		write_often((uint8_t *)&mine[1]);
	}
	if (cmd != UCALL_DONE && !r->error[0])
		snprintf(r->error, sizeof(r->error), "ucall %lu", cmd);
	r->host_hits = count(fd);
	close(fd);
	return NULL;
}

static bool run_both(void *guest, uint64_t features)
{
	struct runner runners[NR_VCPUS] = { };
	struct kvm_vcpu *vcpus[NR_VCPUS];
	pthread_t threads[NR_VCPUS];
	struct kvm_vm *vm;
	bool good = true;
	int i;

	vm = create(guest, false, features, NR_VCPUS, vcpus);
	for (i = 0; i < NR_VCPUS; i++) {
		runners[i].vcpu = vcpus[i];
		pthread_create(&threads[i], NULL, run_and_write, &runners[i]);
	}
	for (i = 0; i < NR_VCPUS; i++) {
		pthread_join(threads[i], NULL);
		if (runners[i].error[0] ||
		    runners[i].host_hits != NR_ROUNDS * NR_WRITES) {
			ksft_print_msg("vCPU %d: %s, %lu hits in the host, not %d\n", i,
				       runners[i].error, runners[i].host_hits,
				       NR_ROUNDS * NR_WRITES);
			good = false;
		}
	}
	kvm_vm_free(vm);
	return good;
}

static bool test_swap(void)
{
	return run_both(guest_swap, FEATURE_DEBUG_SWAP);
}

static bool test_no_swap(void)
{
	return run_both(guest_no_swap, 0);
}

/* Two threads: one is in the guest, the other sets and clears breakpoints. */
struct stay {
	struct runner r;
	struct kvm_vm *vm;
	pthread_t thread;
	pid_t tid;
	long nr_switches;	/* of the thread, up to the change and to the end */
	long nr_switches_end;
	int pcpu;
	int fd;			/* of the breakpoint */
};

static void *stay_in_guest(void *arg)
{
	struct sched_param param = { .sched_priority = 1 };
	struct stay *s = arg;
	struct rusage usage;

	/* Seldom preempted: whenever it is, the vCPU is loaded anew. */
	pthread_setschedparam(pthread_self(), SCHED_FIFO, &param);
	kvm_pin_this_task_to_pcpu(s->pcpu);
	s->tid = syscall(SYS_gettid);
	if (run_vcpu(&s->r) != UCALL_DONE && !s->r.error[0])
		snprintf(s->r.error, sizeof(s->r.error), "it left before it was told to");
	getrusage(RUSAGE_THREAD, &usage);
	s->nr_switches_end = usage.ru_nvcsw + usage.ru_nivcsw;
	return NULL;
}

static void wait_for_rounds(uint64_t nr)
{
	uint64_t end = READ_ONCE(meeting->rounds) + nr;
	time_t deadline = time(NULL) + TIMEOUT_SECONDS;

	while (READ_ONCE(meeting->rounds) < end) {
		TEST_ASSERT(time(NULL) < deadline, "The guest does not run");
		usleep(100);
	}
}

static void start_stay(struct stay *s)
{
	struct kvm_vcpu *vcpu;

	s->vm = create(guest_stay, false, FEATURE_DEBUG_SWAP, 1, &vcpu);
	s->r = (struct runner) { .vcpu = vcpu };
	kvm_pin_this_task_to_pcpu(0);
	pthread_create(&s->thread, NULL, stay_in_guest, s);
	wait_for_rounds(1);
}

/* How often the thread of the vCPU was switched out */
static long nr_switches(const struct stay *s)
{
	char path[64], line[128];
	long n, sum = 0;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/self/task/%d/status", s->tid);
	f = fopen(path, "r");
	TEST_ASSERT(f, "%s: %s", path, strerror(errno));
	while (fgets(line, sizeof(line), f)) {
		if (sscanf(line, "voluntary_ctxt_switches: %ld", &n) == 1 ||
		    sscanf(line, "nonvoluntary_ctxt_switches: %ld", &n) == 1)
			sum += n;
	}
	fclose(f);
	return sum;
}

static void set(struct stay *s)
{
	s->fd = breakpoint(-1, s->pcpu, (void *)WATCHED, RANGE);
}

static void clear(struct stay *s)
{
	close(s->fd);
}

/* Make a change, with exits before and after it. */
static void while_in_guest(struct stay *s, void (*change)(struct stay *s))
{
	s->nr_switches = nr_switches(s);
	wait_for_rounds(1);
	change(s);
	wait_for_rounds(2);
}

/*
 * Leaves the caller where the vCPU was.  False if that was not loaded all the
 * time since before the change.
 */
static bool end_stay(struct stay *s)
{
	WRITE_ONCE(meeting->leave, 1);
	pthread_join(s->thread, NULL);
	TEST_ASSERT(!s->r.error[0], "%s", s->r.error);
	kvm_pin_this_task_to_pcpu(s->pcpu);
	kvm_vm_free(s->vm);
	return s->nr_switches_end == s->nr_switches;
}

/* Breakpoints are the CPU's, so that switching tasks does not set them anew. */
static bool expect_hits(struct stay *s, uint64_t len, uint64_t offset, uint64_t hits)
{
	int fd = breakpoint(-1, s->pcpu, (void *)WATCHED, len);
	uint64_t n;

	write_often((uint8_t *)WATCHED + offset);
	n = count(fd);
	close(fd);
	if (n != hits)
		ksft_print_msg("at %lu, with a length of %lu: %lu hits, not %lu\n",
			       offset, len, n, hits);
	return n == hits;
}

/* The breakpoint is there, as wide as it was set. */
static bool try_set(struct stay *s, bool *loaded)
{
	uint64_t n;

	start_stay(s);
	while_in_guest(s, set);
	*loaded = end_stay(s);
	write_often((uint8_t *)WATCHED);
	write_often((uint8_t *)WATCHED + RANGE / 2);
	write_often((uint8_t *)WATCHED + RANGE);
	n = count(s->fd);
	clear(s);
	if (n != 2 * NR_WRITES)
		ksft_print_msg("%lu hits, not %d\n", n, 2 * NR_WRITES);
	return n == 2 * NR_WRITES;
}

/* The next breakpoint is not as wide. */
static bool try_clear(struct stay *s, bool *loaded)
{
	bool good;

	set(s);
	start_stay(s);
	while_in_guest(s, clear);
	*loaded = end_stay(s);
	good = expect_hits(s, HW_BREAKPOINT_LEN_1, RANGE / 2, 0);
	good &= expect_hits(s, HW_BREAKPOINT_LEN_1, 0, NR_WRITES);
	return good;
}

/*
 * Whenever a vCPU is loaded KVM sees what there is, so that only one that is not
 * loaded anew shows that a change is kept: this goes on until there was one.
 */
static bool until_loaded(bool (*try)(struct stay *s, bool *loaded))
{
	struct stay s = { .pcpu = get_nprocs() - 1 };
	bool loaded = false, good = true;
	void *page;
	int i;

	TEST_ASSERT(s.pcpu > 0, "The vCPU needs a CPU of its own");
	page = mmap((void *)WATCHED, getpagesize(), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_POPULATE, -1, 0);
	TEST_ASSERT_EQ((uint64_t)page, WATCHED);

	for (i = 0; good && !loaded; i++) {
		TEST_ASSERT(i < MAX_ATTEMPTS, "The vCPU was preempted each time");
		good = try(&s, &loaded);
	}
	return good;
}

static bool test_set_while_loaded(void)
{
	return until_loaded(try_set);
}

static bool test_cleared_while_loaded(void)
{
	return until_loaded(try_clear);
}

/* A vCPU whose state is protected has no debug registers for userspace to set. */
static bool refused(bool legacy)
{
	struct kvm_debugregs regs = { .dr6 = DR6_INIT, .dr7 = DR7_INIT };
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE };
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	bool good = true;

	vm = create(guest_nothing, legacy, 0, 1, &vcpu);
	if (!__vcpu_ioctl(vcpu, KVM_SET_DEBUGREGS, &regs) || errno != EINVAL) {
		ksft_print_msg("KVM_SET_DEBUGREGS: %s\n", strerror(errno));
		good = false;
	}
	if (!__vcpu_ioctl(vcpu, KVM_SET_GUEST_DEBUG, &debug) || errno != EINVAL) {
		ksft_print_msg("KVM_SET_GUEST_DEBUG: %s\n", strerror(errno));
		good = false;
	}
	kvm_vm_free(vm);
	return good;
}

static bool test_refused(void)
{
	return refused(false);
}

static bool test_refused_legacy(void)
{
	return refused(true);
}

static const struct subtest {
	const char *name;
	bool (*run)(void);
} subtests[] = {
	{ "swap", test_swap },
	{ "no_swap", test_no_swap },
	{ "set_while_loaded", test_set_while_loaded },
	{ "cleared_while_loaded", test_cleared_while_loaded },
	{ "refused", test_refused },
	{ "refused_legacy", test_refused_legacy },
};

int main(int argc, char *argv[])
{
	int i, nr = 0;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	for (i = 0; i < ARRAY_SIZE(subtests); i++)
		nr += argc == 1 || !strcmp(argv[1], subtests[i].name);
	TEST_ASSERT(nr, "There is no subtest %s", argv[1]);

	ksft_print_header();
	ksft_set_plan(nr);
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		if (argc == 1 || !strcmp(argv[1], subtests[i].name))
			ksft_test_result(subtests[i].run(), "%s\n", subtests[i].name);
	}
	ksft_finished();
}
