// SPDX-License-Identifier: GPL-2.0-only
/*
 * VMs that share an encryption context, and how they end: in any order, in two
 * processes, killed.  What the context holds comes back, and only once: its
 * ASID, the charge to a misc cgroup, pinned pages.
 *
 * The guests are of a few instructions in real mode, where all memory is
 * private.  SEV-ES VMs have vCPUs here, but do not run them.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_charge.h"
#include "sev_twin.h"
#include "test_util.h"

#define MEM_SIZE		(16 * PAGE_SIZE)
#define CODE			0x1000
#define SECRET			0x2000
#define FIRST_SECRET		0x5a
#define GUEST_PORT		0x10

#define NR_KILLS		20
#define NR_ORDERS		12
#define NR_THREADS		4
#define NR_ROUNDS		400	/* "stress 10000" does as many as that */
#define NR_SLOTS		8

/* What may be left in caches: some, and a little of each of many rounds. */
#define SLAB_NOISE		(32 * 1024)
#define SLAB_NOISE_PER_ROUND	8

/* Sends the secret byte and increments it, forever. */
static const uint8_t guest_code[] = {
	0xa0, SECRET & 0xff, SECRET >> 8,	/* mov (SECRET), %al */
	0xe6, GUEST_PORT,			/* out %al, $GUEST_PORT */
	0xfe, 0x06, SECRET & 0xff, SECRET >> 8,	/* incb (SECRET) */
	0xeb, 0xf5,				/* jmp to the first */
};

static const struct sev_vm_kind *sev, *sev_es;
static long nr_pinned_before;

/*
 * Bare descriptors, where there are many VMs.
 */
static int kvm_fd, sev_fd;

static int create_fd(const struct sev_vm_kind *kind)
{
	int fd = ioctl(kvm_fd, KVM_CREATE_VM, kind->type);

	TEST_ASSERT(fd >= 0, "KVM_CREATE_VM: %s", strerror(errno));
	return fd;
}

static int sev_ioctl(int fd, int cmd, void *data)
{
	struct kvm_sev_cmd c = { .id = cmd, .data = (uint64_t)data, .sev_fd = sev_fd };

	return ioctl(fd, KVM_MEMORY_ENCRYPT_OP, &c);
}

static long nr_free_asids(const struct sev_vm_kind *kind)
{
	struct kvm_sev_init init = { };
	int i, nr = 0, fds[900];

	/* All there is: that takes a while, and so is not done before as well. */
	do {
		TEST_ASSERT(nr < ARRAY_SIZE(fds), "More ASIDs than this test can count");
		fds[nr] = create_fd(kind);
	} while (!sev_ioctl(fds[nr++], KVM_SEV_INIT2, &init));
	TEST_ASSERT_EQ(errno, EBUSY);

	for (i = 0; i < nr; i++)
		close(fds[i]);
	return nr - 1;
}

static long expect_all_asids_free(const struct sev_vm_kind *kind, const char *resource)
{
	long nr = sev_cgroup_value(-1, "misc.capacity", resource);

	TEST_ASSERT_EQ(nr_free_asids(kind), nr - sev_cgroup_value(-1, "misc.current", resource));
	return nr;
}

/* What a subtest has to leave as it was.  All ASIDs take minutes to count. */
static void expect_nothing_held(void)
{
	int i;

	for (i = 0; i < SEV_NR_CGROUPS; i++)
		sev_expect_charge(i, 0, 0);
	TEST_ASSERT_EQ(sev_nr_pinned(), nr_pinned_before);
	sev_device_expect_closed();
}

/*
 * VMs.
 */
static void *alloc_memory(void)
{
	/* Shared: a child's mirror is one of the same pages. */
	uint8_t *mem = mmap(NULL, MEM_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	TEST_ASSERT(mem != MAP_FAILED, "mmap: %s", strerror(errno));
	memcpy(mem + CODE, guest_code, sizeof(guest_code));
	mem[SECRET] = FIRST_SECRET;
	return mem;
}

static struct kvm_vm *plain_vm(const struct sev_vm_kind *kind, void *mem)
{
	struct kvm_vm *vm = vm_create_barebones_type(kind->type);

	vm_set_user_memory_region(vm, 0, 0, 0, MEM_SIZE, mem);
	return vm;
}

/* The library leaves the descriptor of the SEV device open. */
static void free_vm(struct kvm_vm *vm)
{
	close(vm->arch.sev_fd);
	kvm_vm_free(vm);
}

static struct kvm_vm *source_vm(const struct sev_vm_kind *kind, void *mem)
{
	struct kvm_sev_launch_start start = { .policy = kind->policy };
	struct kvm_enc_region region = { .addr = (uint64_t)mem, .size = MEM_SIZE };
	struct kvm_sev_launch_update_data update = {
		.uaddr = (uint64_t)mem, .len = MEM_SIZE,
	};
	struct kvm_vm *vm = plain_vm(kind, mem);
	struct kvm_sev_init init = { };

	vm_sev_ioctl(vm, KVM_SEV_INIT2, &init);
	__vm_vcpu_add(vm, 0);
	vm_sev_ioctl(vm, KVM_SEV_LAUNCH_START, &start);
	vm_ioctl(vm, KVM_MEMORY_ENCRYPT_REG_REGION, &region);
	vm_sev_ioctl(vm, KVM_SEV_LAUNCH_UPDATE_DATA, &update);
	if (kind->es)
		vm_sev_ioctl(vm, KVM_SEV_LAUNCH_UPDATE_VMSA, NULL);
	vm_sev_kind_finish(vm);
	return vm;
}

static struct kvm_vm *mirror_vm(const struct sev_vm_kind *kind, struct kvm_vm *src, void *mem)
{
	struct kvm_vm *vm = plain_vm(kind, mem);
	int error = vm_sev_copy_errno(vm, src);

	TEST_ASSERT(!error, "Copying: %s", strerror(error));
	if (!kind->es)
		__vm_vcpu_add(vm, 0);
	return vm;
}

/* Leaves the source to be closed. */
static struct kvm_vm *heir_vm(const struct sev_vm_kind *kind, struct kvm_vm *src, void *mem)
{
	struct kvm_vm *vm = plain_vm(kind, mem);
	int error;

	if (!list_empty(&src->vcpus))
		__vm_vcpu_add(vm, 0);
	error = vm_sev_move_errno(vm, src);
	TEST_ASSERT(!error, "Moving: %s", strerror(error));
	return vm;
}

/* Has the guest send its byte, and leaves the next one for whoever is next. */
static uint8_t ask_guest(struct kvm_vm *vm)
{
	struct kvm_vcpu *vcpu = list_first_entry(&vm->vcpus, struct kvm_vcpu, list);
	struct kvm_regs regs = { .rip = CODE, .rflags = 2 };
	struct kvm_run *run = vcpu->run;
	struct kvm_sregs sregs;

	vcpu_sregs_get(vcpu, &sregs);
	sregs.cs.base = 0;
	sregs.cs.selector = 0;
	vcpu_sregs_set(vcpu, &sregs);
	vcpu_regs_set(vcpu, &regs);

	vcpu_run(vcpu);
	TEST_ASSERT_EQ(run->exit_reason, KVM_EXIT_IO);
	TEST_ASSERT_EQ(run->io.port, GUEST_PORT);
	return *((uint8_t *)run + run->io.data_offset);
}

static void next_secret(struct kvm_vm *vm)
{
	struct kvm_vcpu *vcpu = list_first_entry(&vm->vcpus, struct kvm_vcpu, list);

	vcpu_run(vcpu);
}

/*
 * Orders of closing.
 */
static void test_source_first(const struct sev_vm_kind *kind)
{
	uint8_t *mem = alloc_memory();
	struct kvm_vm *src = source_vm(kind, mem), *mirror = mirror_vm(kind, src, mem);

	TEST_ASSERT(mem[SECRET] != FIRST_SECRET, "The secret is none");
	sev_expect_charge(0, !kind->es, kind->es);
	free_vm(src);

	/* The memory is still pinned, the ASID still taken. */
	sev_expect_charge(0, !kind->es, kind->es);
	if (!kind->es) {
		TEST_ASSERT_EQ(ask_guest(mirror), FIRST_SECRET);
		next_secret(mirror);
		TEST_ASSERT_EQ(ask_guest(mirror), FIRST_SECRET + 1);
	}
	free_vm(mirror);
	sev_expect_charge(0, 0, 0);
	munmap(mem, MEM_SIZE);
}

static void test_mirror_first(const struct sev_vm_kind *kind)
{
	uint8_t *mem = alloc_memory();
	struct kvm_vm *src = source_vm(kind, mem), *mirror = mirror_vm(kind, src, mem);

	free_vm(mirror);
	sev_expect_charge(0, !kind->es, kind->es);
	if (!kind->es)
		TEST_ASSERT_EQ(ask_guest(src), FIRST_SECRET);
	free_vm(src);
	sev_expect_charge(0, 0, 0);
	munmap(mem, MEM_SIZE);
}

static void shuffle(struct kvm_vm **vms, int nr)
{
	struct kvm_vm *vm;
	int i, j;

	for (i = nr - 1; i > 0; i--) {
		j = random() % (i + 1);
		vm = vms[i];
		vms[i] = vms[j];
		vms[j] = vm;
	}
}

/* Owner and mirrors move, dead VMs and living ones close in any order. */
static void test_chain(const struct sev_vm_kind *kind)
{
	struct kvm_vm *vms[6], *owner, *mirror, *other;
	uint8_t *mem = alloc_memory();
	int i;

	vms[0] = source_vm(kind, mem);
	vms[1] = mirror_vm(kind, vms[0], mem);
	vms[2] = heir_vm(kind, vms[0], mem);
	vms[3] = heir_vm(kind, vms[1], mem);
	vms[4] = mirror_vm(kind, vms[2], mem);
	vms[5] = heir_vm(kind, vms[2], mem);
	mirror = vms[3];
	other = vms[4];
	owner = vms[5];
	sev_expect_charge(0, !kind->es, kind->es);

	if (!kind->es) {
		TEST_ASSERT_EQ(ask_guest(owner), FIRST_SECRET);
		next_secret(owner);
		TEST_ASSERT_EQ(ask_guest(mirror), FIRST_SECRET + 1);
		next_secret(mirror);
		TEST_ASSERT_EQ(ask_guest(other), FIRST_SECRET + 2);
	}

	shuffle(vms, ARRAY_SIZE(vms));
	for (i = 0; i < ARRAY_SIZE(vms); i++)
		free_vm(vms[i]);
	sev_expect_charge(0, 0, 0);
	munmap(mem, MEM_SIZE);
}

static void test_orders(void)
{
	static const struct sev_vm_kind *kinds[2];
	int i, j;

	kinds[0] = sev;
	kinds[1] = sev_es;
	for (i = 0; i < ARRAY_SIZE(kinds); i++) {
		test_source_first(kinds[i]);
		test_mirror_first(kinds[i]);
		for (j = 0; j < NR_ORDERS; j++)
			test_chain(kinds[i]);
	}
}

/*
 * Two processes.
 */
static void wait_for_child(pid_t pid)
{
	int status;

	waitpid(pid, &status, 0);
	TEST_ASSERT(WIFEXITED(status) && !WEXITSTATUS(status), "The child has failed");
}

/* The number that LAUNCH_START was given is another file's in this process. */
static void reuse_descriptor(struct kvm_vm *src)
{
	int fd = open("/dev/null", O_RDWR);

	TEST_ASSERT(dup2(fd, src->arch.sev_fd) >= 0, "dup2: %s", strerror(errno));
	close(fd);
}

static void check_firmware_commands(struct kvm_vm *vm)
{
	struct kvm_sev_guest_status status;

	vm_sev_ioctl(vm, KVM_SEV_GUEST_STATUS, &status);
	TEST_ASSERT_EQ(status.state, SEV_GUEST_STATE_RUNNING);
}

static void child_mirror(struct kvm_vm *src, void *mem, int gate)
{
	struct kvm_vm *mirror;
	char c;

	reuse_descriptor(src);
	mirror = mirror_vm(sev, src, mem);
	check_firmware_commands(mirror);
	TEST_ASSERT_EQ(ask_guest(mirror), FIRST_SECRET);
	kvm_vm_release(src);

	/* Both go at once, or at least nobody waits for the other. */
	(void)!read(gate, &c, 1);
	free_vm(mirror);
}

static void test_two_processes(void)
{
	int i, gate[2];

	for (i = 0; i < NR_KILLS; i++) {
		uint8_t *mem = alloc_memory();
		struct kvm_vm *src = source_vm(sev, mem);
		pid_t pid;

		TEST_ASSERT(!pipe(gate), "pipe: %s", strerror(errno));
		pid = fork();
		if (!pid) {
			close(gate[1]);
			child_mirror(src, mem, gate[0]);
			_exit(0);
		}

		close(gate[0]);
		usleep(random() % 30000);
		close(gate[1]);
		free_vm(src);
		wait_for_child(pid);
		munmap(mem, MEM_SIZE);
	}
}

static void test_move_to_process(void)
{
	uint8_t *mem = alloc_memory();
	struct kvm_vm *src = source_vm(sev, mem), *heir;
	pid_t pid;

	pid = fork();
	if (!pid) {
		reuse_descriptor(src);
		heir = heir_vm(sev, src, mem);
		check_firmware_commands(heir);
		TEST_ASSERT_EQ(ask_guest(heir), FIRST_SECRET);
		_exit(0);
	}
	wait_for_child(pid);

	/* The heir is gone with its process, and nothing is left to the source. */
	sev_expect_charge(0, 0, 0);
	free_vm(src);
	munmap(mem, MEM_SIZE);
}

static void *run_until_killed(void *vm)
{
	ask_guest(vm);
	for (;;)
		next_secret(vm);

	return NULL;
}

static void child_to_kill(void *mem)
{
	struct kvm_vm *src = source_vm(sev, mem);
	struct kvm_vm *mirror = mirror_vm(sev, src, mem);
	pthread_t thread;

	pthread_create(&thread, NULL, run_until_killed, mirror);
	for (;;) {
		struct kvm_vm *heir = heir_vm(sev, src, mem);

		free_vm(src);
		src = heir;
	}
}

static void test_killed(void)
{
	int i, status;
	pid_t pid;

	for (i = 0; i < NR_KILLS; i++) {
		uint8_t *mem = alloc_memory();

		pid = fork();
		if (!pid) {
			child_to_kill(mem);
			_exit(1);
		}
		usleep(random() % 200000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		TEST_ASSERT(WIFSIGNALED(status), "The child has failed");
		munmap(mem, MEM_SIZE);
		sev_expect_charge(0, 0, 0);
	}
}

/*
 * Many at once.  Each slot holds a VM, and every call may fail as another thread
 * is about to do something with the same VMs.
 */
struct slot {
	pthread_mutex_t lock;
	int fd;
};

static struct slot slots[NR_SLOTS];
static long nr_done[3];
static int nr_rounds = NR_ROUNDS;

static int slot_dup(struct slot *slot)
{
	int fd;

	pthread_mutex_lock(&slot->lock);
	fd = dup(slot->fd);
	pthread_mutex_unlock(&slot->lock);
	return fd;
}

static void slot_replace(struct slot *slot, int fd)
{
	int old;

	pthread_mutex_lock(&slot->lock);
	old = slot->fd;
	slot->fd = fd;
	pthread_mutex_unlock(&slot->lock);
	close(old);
}

static void stress_start(int fd)
{
	struct kvm_sev_launch_start start = { };
	struct kvm_sev_init init = { };

	if (!sev_ioctl(fd, KVM_SEV_INIT2, &init) &&
	    !sev_ioctl(fd, KVM_SEV_LAUNCH_START, &start))
		__sync_fetch_and_add(&nr_done[0], 1);
}

static void stress_call(int fd, int cap, int nr)
{
	struct kvm_enable_cap enable = { .cap = cap };
	int src = slot_dup(&slots[random() % NR_SLOTS]);

	enable.args[0] = src;
	if (!ioctl(fd, KVM_ENABLE_CAP, &enable))
		__sync_fetch_and_add(&nr_done[nr], 1);
	close(src);
}

/* A VM is born, gets a context in one way or another, and another VM dies. */
static void stress_round(void)
{
	int fd = create_fd(sev);

	switch (random() % 4) {
	case 0:
		stress_start(fd);
		break;
	case 1:
		stress_call(fd, KVM_CAP_VM_COPY_ENC_CONTEXT_FROM, 1);
		break;
	default:
		stress_call(fd, KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM, 2);
		break;
	}
	slot_replace(&slots[random() % NR_SLOTS], fd);
}

static void *stress_thread(void *arg)
{
	long i, nr = (long)arg;

	for (i = 0; i < nr; i++)
		stress_round();
	return NULL;
}

static void stress(long nr)
{
	pthread_t threads[NR_THREADS];
	int i;

	for (i = 0; i < NR_SLOTS; i++) {
		pthread_mutex_init(&slots[i].lock, NULL);
		slots[i].fd = open("/dev/null", O_RDONLY);
	}
	for (i = 0; i < NR_THREADS; i++)
		pthread_create(&threads[i], NULL, stress_thread, (void *)(nr / NR_THREADS));
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
	for (i = 0; i < NR_SLOTS; i++)
		close(slots[i].fd);
}

static long slab_bytes(void)
{
	return sev_cgroup_value(0, "memory.stat", "slab_unreclaimable");
}

/*
 * The first rounds fill caches.  Later ones leave less than a context each, if
 * there are thousands of them.
 */
static void test_stress(void)
{
	long before;

	stress(nr_rounds / 10);
	before = slab_bytes();
	stress(nr_rounds);
	ksft_print_msg("%ld started, %ld copied, %ld moved; slab %ld, then %ld bytes\n",
		       nr_done[0], nr_done[1], nr_done[2], before, slab_bytes());
	TEST_ASSERT(nr_done[0] && nr_done[1] && nr_done[2], "Nothing has been tried");
	TEST_ASSERT(slab_bytes() < before + SLAB_NOISE + nr_rounds * SLAB_NOISE_PER_ROUND,
		    "Slab objects are left");
}

/*
 * Charges.
 */
static void test_charge_moves(void)
{
	uint8_t *mem = alloc_memory();
	struct kvm_vm *src = source_vm(sev_es, mem), *near, *far, *dst;

	near = heir_vm(sev_es, src, mem);
	sev_expect_charge(0, 0, 1);

	sev_cgroup_enter(1);
	far = heir_vm(sev_es, near, mem);
	sev_expect_charge(0, 0, 0);
	sev_expect_charge(1, 0, 1);

	/* A limit is a limit, of its own kind. */
	sev_cgroup_enter(0);
	sev_cgroup_write(0, "misc.max", "sev_es 0");
	dst = plain_vm(sev_es, mem);
	__vm_vcpu_add(dst, 0);
	TEST_ASSERT_EQ(vm_sev_move_errno(dst, far), EBUSY);
	sev_cgroup_write(0, "misc.max", "sev_es max");
	sev_cgroup_write(0, "misc.max", "sev 0");
	TEST_ASSERT_EQ(vm_sev_move_errno(dst, far), 0);
	sev_cgroup_write(0, "misc.max", "sev max");
	sev_expect_charge(0, 0, 1);
	sev_expect_charge(1, 0, 0);

	free_vm(src);
	free_vm(near);
	free_vm(far);
	free_vm(dst);
	sev_expect_charge(0, 0, 0);
	munmap(mem, MEM_SIZE);
}

static void test_charge_mirror(void)
{
	uint8_t *mem = alloc_memory();
	struct kvm_vm *src = source_vm(sev, mem), *mirror = mirror_vm(sev, src, mem);
	struct kvm_vm *near, *far;

	sev_expect_charge(0, 1, 0);
	near = heir_vm(sev, mirror, mem);
	sev_expect_charge(0, 1, 0);

	sev_cgroup_enter(1);
	far = heir_vm(sev, near, mem);
	sev_expect_charge(0, 1, 0);
	sev_expect_charge(1, 0, 0);
	sev_cgroup_enter(0);

	free_vm(far);
	free_vm(near);
	free_vm(mirror);
	free_vm(src);
	sev_expect_charge(0, 0, 0);
	sev_expect_charge(1, 0, 0);
	munmap(mem, MEM_SIZE);
}

static const struct subtest {
	const char *name;
	void (*run)(void);
} subtests[] = {
	{ "orders", test_orders },
	{ "two_processes", test_two_processes },
	{ "move_to_process", test_move_to_process },
	{ "killed", test_killed },
	{ "charge_moves", test_charge_moves },
	{ "charge_mirror", test_charge_mirror },
	{ "stress", test_stress },
};

int main(int argc, char *argv[])
{
	int i, nr = 0;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_COPY_ENC_CONTEXT_FROM));
	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM));
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));
	__TEST_REQUIRE(sev_cgroup_setup(), "cgroup v2 with the misc controller");

	kvm_fd = open_kvm_dev_path_or_exit();
	sev_fd = open_sev_dev_path_or_exit();
	sev = sev_vm_kind("sev");
	sev_es = sev_vm_kind("sev_es");
	for (i = 0; i < ARRAY_SIZE(subtests); i++)
		nr += argc == 1 || !strcmp(argv[1], subtests[i].name);
	TEST_ASSERT(nr, "There is no subtest %s", argv[1]);

	if (argc > 2)
		nr_rounds = atoi_positive("Number of rounds", argv[2]);

	ksft_print_header();
	ksft_set_plan(nr + (argc == 1));
	nr_pinned_before = sev_nr_pinned();
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		if (argc > 1 && strcmp(argv[1], subtests[i].name))
			continue;
		sev_device_watch();
		subtests[i].run();
		expect_nothing_held();
		ksft_test_result_pass("%s\n", subtests[i].name);
	}
	if (argc == 1)
		ksft_test_result_pass("all of %ld and %ld ASIDs\n",
				      expect_all_asids_free(sev, "sev"),
				      expect_all_asids_free(sev_es, "sev_es"));
	sev_cgroup_teardown();
	ksft_finished();
}
