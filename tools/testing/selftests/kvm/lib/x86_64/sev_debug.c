// SPDX-License-Identifier: GPL-2.0-only
/*
 * Data breakpoints of protected guests and, meanwhile, of the host.
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
#include "sev_debug.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "test_util.h"
#include "ucall_common.h"

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
static uint64_t watched[SEV_DEBUG_VCPUS][NR_BREAKPOINTS] __aligned(64);
static uint64_t hits[SEV_DEBUG_VCPUS][NR_BREAKPOINTS];

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

static uint64_t dr7_of_all(void)
{
	uint64_t dr7 = DR7_INIT;
	int i;

	for (i = 0; i < NR_BREAKPOINTS; i++)
		dr7 |= DR7_GLOBAL(i) | DR7_WRITE_8(i);
	return dr7;
}

static void arm_all(uint32_t id)
{
	write_dr0((uint64_t)&watched[id][0]);
	write_dr1((uint64_t)&watched[id][1]);
	write_dr2((uint64_t)&watched[id][2]);
	write_dr3((uint64_t)&watched[id][3]);
	write_dr7(dr7_of_all());
}

/* The n-th breakpoint is hit n + 1 times a round, between exits to userspace. */
static void one_round(uint32_t id, uint64_t round, bool hit)
{
	int i, j;

	for (i = 0; i < NR_BREAKPOINTS; i++) {
		for (j = 0; j <= i; j++)
			WRITE_ONCE(watched[id][i], round);
		GUEST_ASSERT_EQ(hits[id][i], hit ? round * (i + 1) : 0);
	}
}

void sev_debug_guest(uint32_t id, bool hit)
{
	uint64_t round;

	arm_all(id);
	for (round = 1; round <= NR_ROUNDS; round++) {
		GUEST_SYNC(round);
		one_round(id, round, hit);
		GUEST_ASSERT_EQ(read_dr7(), dr7_of_all());
	}

	/* Without DebugSwap they are anybody's. */
	if (hit) {
		GUEST_ASSERT_EQ(read_dr0(), (uint64_t)&watched[id][0]);
		GUEST_ASSERT_EQ(read_dr1(), (uint64_t)&watched[id][1]);
		GUEST_ASSERT_EQ(read_dr2(), (uint64_t)&watched[id][2]);
		GUEST_ASSERT_EQ(read_dr3(), (uint64_t)&watched[id][3]);
	}
	GUEST_DONE();
}

static void guest_swap(uint32_t id)
{
	sev_debug_guest(id, true);
}

static void guest_no_swap(uint32_t id)
{
	sev_debug_guest(id, false);
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

void sev_debug_prepare(struct kvm_vm *vm)
{
	vm_install_exception_handler(vm, DB_VECTOR, debug_handler);
	meeting = (void *)vm_vaddr_alloc_shared(vm, PAGE_SIZE, KVM_UTIL_MIN_VADDR,
						MEM_REGION_DATA);
	sync_global_to_guest(vm, meeting);
	meeting = addr_gva2hva(vm, (vm_vaddr_t)meeting);
	memset(meeting, 0, sizeof(*meeting));
}

/* The host's own breakpoint, and a neighbour that has none */
static struct {
	uint64_t mine[2];
	int fd;
} threads[SEV_DEBUG_VCPUS];

static void write_mine(struct sev_snp_runner *r, struct ucall *uc)
{
	typeof(threads[0]) *t = &threads[r->vcpu->id];

	if (uc->args[1] == 1)
		t->fd = breakpoint(0, -1, &t->mine[0], HW_BREAKPOINT_LEN_8);
	write_often((uint8_t *)&t->mine[0]);
	write_often((uint8_t *)&t->mine[1]);
}

/* The VMM of SNP guests is good enough for the others, which ask it for less. */
bool sev_debug_run(struct sev_debug_vm *d)
{
	struct sev_snp_runner runners[SEV_DEBUG_VCPUS] = { };
	uint64_t n;
	bool good;
	int i;

	for (i = 0; i < SEV_DEBUG_VCPUS; i++) {
		threads[i].fd = -1;
		runners[i].vcpu = d->vcpus[i];
		runners[i].sync = write_mine;
	}
	good = sev_snp_run(runners, SEV_DEBUG_VCPUS, TIMEOUT_SECONDS);
	for (i = 0; i < SEV_DEBUG_VCPUS; i++) {
		n = threads[i].fd < 0 ? 0 : count(threads[i].fd);
		close(threads[i].fd);
		if (n != NR_ROUNDS * NR_WRITES) {
			ksft_print_msg("vCPU %d: %lu hits in the host, not %d\n", i, n,
				       NR_ROUNDS * NR_WRITES);
			good = false;
		}
	}
	return good;
}

static sev_debug_create creates(const struct sev_subtest *t)
{
	return *(const sev_debug_create *)t->data;
}

static bool breakpoints(const struct sev_subtest *t, void *guest, uint64_t features)
{
	struct sev_debug_vm d;
	bool good;

	creates(t)(&d, guest, features, SEV_DEBUG_VCPUS);
	good = sev_debug_run(&d);
	kvm_vm_free(d.vm);
	return good;
}

bool sev_debug_swap(const struct sev_subtest *t)
{
	return breakpoints(t, guest_swap, SEV_DEBUG_SWAP);
}

bool sev_debug_no_swap(const struct sev_subtest *t)
{
	return breakpoints(t, guest_no_swap, 0);
}

/* Two threads: one is in the guest, the other sets and clears breakpoints. */
struct stay {
	sev_debug_create create;
	struct sev_snp_runner r;
	struct sev_debug_vm d;
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
	while (sev_snp_run_once(&s->r))
		;
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
	s->create(&s->d, guest_stay, SEV_DEBUG_SWAP, 1);
	s->r = (struct sev_snp_runner) { .vcpu = s->d.vcpus[0] };
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
	TEST_ASSERT(s->r.done, "The vCPU stopped: %s", s->r.error);
	kvm_pin_this_task_to_pcpu(s->pcpu);
	kvm_vm_free(s->d.vm);
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
static bool until_loaded(sev_debug_create create,
			 bool (*try)(struct stay *s, bool *loaded))
{
	struct stay s = { .create = create, .pcpu = get_nprocs() - 1 };
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

bool sev_debug_set_while_loaded(const struct sev_subtest *t)
{
	return until_loaded(creates(t), try_set);
}

bool sev_debug_cleared_while_loaded(const struct sev_subtest *t)
{
	return until_loaded(creates(t), try_clear);
}
