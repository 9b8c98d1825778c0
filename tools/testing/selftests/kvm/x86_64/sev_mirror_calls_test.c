// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copying and moving an encryption context, the wrong way: the documented errno,
 * and nothing has changed.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_twin.h"
#include "test_util.h"

#define COPY	KVM_CAP_VM_COPY_ENC_CONTEXT_FROM
#define MOVE	KVM_CAP_VM_MOVE_ENC_CONTEXT_FROM

/*
 * VMs without memory, whose vCPUs never run.
 */
static struct kvm_vm *plain_vm(const struct sev_vm_kind *kind, int nr_vcpus)
{
	struct kvm_vm *vm = vm_create_barebones_type(kind->type);
	int i;

	for (i = 0; i < nr_vcpus; i++)
		__vm_vcpu_add(vm, i);
	return vm;
}

static struct kvm_vm *initialized_vm(const struct sev_vm_kind *kind, int nr_vcpus)
{
	struct kvm_vm *vm = vm_create_barebones_type(kind->type);
	int i;

	if (kind->es)
		sev_es_vm_init(vm);
	else
		sev_vm_init(vm);

	for (i = 0; i < nr_vcpus; i++)
		__vm_vcpu_add(vm, i);
	return vm;
}

static struct kvm_vm *launched_vm(const struct sev_vm_kind *kind, int nr_vcpus)
{
	struct kvm_vm *vm = initialized_vm(kind, nr_vcpus);

	sev_vm_launch(vm, kind->policy);
	return vm;
}

/* The one that has the same vCPUs and so could take a context that moves. */
static struct kvm_vm *good_vm(int cap, const struct sev_vm_kind *kind)
{
	return plain_vm(kind, cap == MOVE ? 1 : 0);
}

/* To be told from a VM without SEV, where this is ENOTTY; EIO if it is dead. */
static bool is_sev(struct kvm_vm *vm)
{
	struct kvm_enc_region none = { };
	int error = __vm_ioctl(vm, KVM_MEMORY_ENCRYPT_REG_REGION, &none) ? errno : 0;

	TEST_ASSERT(error == EINVAL || error == ENOTTY || error == EIO, "%s", strerror(error));
	return error == EINVAL;
}

static int try_fd(struct kvm_vm *dst, int cap, int fd)
{
	return __vm_enable_cap(dst, cap, fd) ? errno : 0;
}

/* Neither VM is another after it than it was before. */
static int try(struct kvm_vm *dst, int cap, struct kvm_vm *src)
{
	bool dst_was_sev = is_sev(dst), src_was_sev = is_sev(src);
	int error = try_fd(dst, cap, src->fd);

	if (error) {
		TEST_ASSERT_EQ(is_sev(dst), dst_was_sev);
		TEST_ASSERT_EQ(is_sev(src), src_was_sev);
	}
	return error;
}

static int try_and_free(struct kvm_vm *dst, int cap, struct kvm_vm *src)
{
	int error = try(dst, cap, src);

	kvm_vm_free(dst);
	kvm_vm_free(src);
	return error;
}

/*
 * The calls: each returns its errno.
 */
static int call_good(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *src = launched_vm(kind, 1), *dst = good_vm(cap, kind);
	int error = try(dst, cap, src);

	TEST_ASSERT_EQ(is_sev(dst), !error);
	TEST_ASSERT(error || cap == COPY || !is_sev(src), "It was not moved");
	kvm_vm_free(dst);
	kvm_vm_free(src);
	return error;
}

static int call_no_fd(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *dst = good_vm(cap, kind);
	int error = try_fd(dst, cap, -1);

	TEST_ASSERT(!is_sev(dst), "It has changed");
	kvm_vm_free(dst);
	return error;
}

static int call_other_file(int cap, const struct sev_vm_kind *kind)
{
	int error, fd = open("/dev/null", O_RDWR);
	struct kvm_vm *dst = good_vm(cap, kind);

	error = try_fd(dst, cap, fd);
	TEST_ASSERT(!is_sev(dst), "It has changed");
	kvm_vm_free(dst);
	close(fd);
	return error;
}

static int call_vcpu_fd(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *src = launched_vm(kind, 1), *dst = good_vm(cap, kind);
	struct kvm_vcpu *vcpu = list_first_entry(&src->vcpus, struct kvm_vcpu, list);
	int error = try_fd(dst, cap, vcpu->fd);

	TEST_ASSERT(!is_sev(dst), "It has changed");
	kvm_vm_free(dst);
	kvm_vm_free(src);
	return error;
}

static int call_self(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *vm = launched_vm(kind, 0);
	int error = try(vm, cap, vm);

	kvm_vm_free(vm);
	return error;
}

static int call_plain_source(int cap, const struct sev_vm_kind *kind)
{
	return try_and_free(good_vm(cap, kind), cap, plain_vm(kind, 1));
}

static int call_not_started(int cap, const struct sev_vm_kind *kind)
{
	return try_and_free(good_vm(cap, kind), cap, initialized_vm(kind, 1));
}

static int call_sev_destination(int cap, const struct sev_vm_kind *kind)
{
	/* For want of vCPUs there is nothing else to refuse it for. */
	struct kvm_vm *dst = launched_vm(kind, cap == MOVE ? 1 : 0);

	return try_and_free(dst, cap, launched_vm(kind, 1));
}

static int call_other_type(int cap, const struct sev_vm_kind *kind)
{
	int i, error = EINVAL;

	for (i = 0; i < SEV_NR_VM_KINDS && error == EINVAL; i++) {
		const struct sev_vm_kind *other = &sev_vm_kinds[i];

		if (other->type != kind->type)
			error = try_and_free(good_vm(cap, other), cap, launched_vm(kind, 1));
	}
	return error;
}

static int call_with_vcpus(int cap, const struct sev_vm_kind *kind)
{
	return try_and_free(plain_vm(kind, 1), cap, launched_vm(kind, 1));
}

static int call_other_vcpus(int cap, const struct sev_vm_kind *kind)
{
	return try_and_free(plain_vm(kind, 2), cap, launched_vm(kind, 1));
}

static int call_no_vmsa(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *src = launched_vm(kind, 0);

	__vm_vcpu_add(src, 0);
	return try_and_free(good_vm(cap, kind), cap, src);
}

/* What has been encrypted cannot be debugged; without SEV-ES the registers are not. */
static int call_debugged(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE };
	struct kvm_vm *dst = good_vm(cap, kind);

	vcpu_ioctl(list_first_entry(&dst->vcpus, struct kvm_vcpu, list),
		   KVM_SET_GUEST_DEBUG, &debug);
	return try_and_free(dst, cap, launched_vm(kind, 1));
}

static int call_mirror_source(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *src = launched_vm(kind, 1), *mirror = plain_vm(kind, 0);
	int error;

	TEST_ASSERT(!try(mirror, COPY, src), "The mirror could not be made");
	error = try_and_free(plain_vm(kind, 0), cap, mirror);
	kvm_vm_free(src);
	return error;
}

/* A mirror that moves stays one. */
static int call_moved_mirror_source(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *src = launched_vm(kind, 1), *mirror = plain_vm(kind, 0);
	struct kvm_vm *heir = plain_vm(kind, 0);
	int error;

	TEST_ASSERT(!try(mirror, COPY, src), "The mirror could not be made");
	TEST_ASSERT(!try(heir, MOVE, mirror), "It could not be moved");
	kvm_vm_free(mirror);
	error = try_and_free(plain_vm(kind, 0), cap, heir);
	kvm_vm_free(src);
	return error;
}

static int call_moved_source(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *src = launched_vm(kind, 1), *heir = good_vm(MOVE, kind);
	struct kvm_vm *dst = good_vm(cap, kind);
	int error;

	TEST_ASSERT(!try(heir, MOVE, src), "It could not be moved");
	error = try_fd(dst, cap, src->fd);
	TEST_ASSERT(!is_sev(dst) && is_sev(heir), "It has changed");
	kvm_vm_free(dst);
	kvm_vm_free(heir);
	kvm_vm_free(src);
	return error;
}

static int call_dead_destination(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *dead = launched_vm(kind, 1), *heir = good_vm(MOVE, kind);
	int error;

	TEST_ASSERT(!try(heir, MOVE, dead), "It could not be moved");
	error = try_fd(dead, cap, heir->fd);
	TEST_ASSERT(is_sev(heir), "It has changed");
	kvm_vm_free(heir);
	kvm_vm_free(dead);
	return error;
}

/* The destination belongs to the parent, wherever the source comes from. */
static int call_other_process(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *dst = good_vm(cap, kind), *src = launched_vm(kind, 1);
	int status;
	pid_t pid;

	pid = fork();
	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		_exit(try_fd(dst, cap, src->fd));

	waitpid(pid, &status, 0);
	TEST_ASSERT(WIFEXITED(status), "The child has died");
	TEST_ASSERT(!is_sev(dst) && is_sev(src), "It has changed");
	kvm_vm_free(dst);
	kvm_vm_free(src);
	return WEXITSTATUS(status);
}

/* Only a host that runs SNP guests has sources of that kind. */
static int call_snp_source(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *src = vm_create_barebones_type(KVM_X86_SNP_VM);
	struct kvm_sev_init init = { };

	src->arch.sev_fd = open_sev_dev_path_or_exit();
	vm_sev_ioctl(src, KVM_SEV_INIT2, &init);
	return try_and_free(vm_create_barebones_type(KVM_X86_SNP_VM), cap, src);
}

/*
 * What is left of SEV's ioctls for a VM that has vCPUs, or is a mirror.
 */
static int call_late_init(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *vm = plain_vm(kind, 1);
	struct kvm_sev_init init = { };
	int ret;

	vm->arch.sev_fd = open_sev_dev_path_or_exit();
	if (kind->type != KVM_X86_DEFAULT_VM)
		ret = __vm_sev_ioctl(vm, KVM_SEV_INIT2, &init);
	else
		ret = __vm_sev_ioctl(vm, kind->es ? KVM_SEV_ES_INIT : KVM_SEV_INIT, NULL);

	ret = ret ? errno : 0;
	TEST_ASSERT(!is_sev(vm), "It has changed");
	kvm_vm_free(vm);
	return ret;
}

static int call_mirror_command(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *src = launched_vm(kind, 1), *mirror = plain_vm(kind, 0);
	struct kvm_enc_region region = { .addr = (uint64_t)src, .size = PAGE_SIZE };
	struct kvm_sev_guest_status status;
	int id, error = 0;

	vm_ioctl(src, KVM_MEMORY_ENCRYPT_REG_REGION, &region);
	TEST_ASSERT(!try(mirror, COPY, src), "The mirror could not be made");
	mirror->arch.sev_fd = src->arch.sev_fd;

	for (id = KVM_SEV_INIT; id < KVM_SEV_NR_MAX; id++) {
		switch (id) {
		case KVM_SEV_LAUNCH_UPDATE_VMSA:
		case KVM_SEV_GUEST_STATUS:
		case KVM_SEV_DBG_DECRYPT:
		case KVM_SEV_DBG_ENCRYPT:
			continue;
		}
		error = __vm_sev_ioctl(mirror, id, NULL) ? errno : 0;
		TEST_ASSERT(error == EINVAL, "Command %d: %s", id, strerror(error));
	}

	TEST_ASSERT(__vm_ioctl(mirror, KVM_MEMORY_ENCRYPT_REG_REGION, &region) &&
		    errno == EINVAL, "A mirror pins memory");
	TEST_ASSERT(__vm_ioctl(mirror, KVM_MEMORY_ENCRYPT_UNREG_REGION, &region) &&
		    errno == EINVAL, "A mirror unpins memory");
	vm_ioctl(src, KVM_MEMORY_ENCRYPT_UNREG_REGION, &region);
	vm_sev_ioctl(mirror, KVM_SEV_GUEST_STATUS, &status);

	kvm_vm_free(mirror);
	kvm_vm_free(src);
	return error;
}

/* A VM that has no context, or none any more, has nothing that a command is about. */
static void expect_no_command(struct kvm_vm *vm, int want)
{
	int id, error;

	for (id = KVM_SEV_INIT; id < KVM_SEV_NR_MAX; id++) {
		switch (id) {
		case KVM_SEV_INIT:
		case KVM_SEV_ES_INIT:
		case KVM_SEV_INIT2:
			continue;
		}
		error = __vm_sev_ioctl(vm, id, NULL) ? errno : 0;
		TEST_ASSERT(error == want || (want == ENOTTY && error == EINVAL),
			    "Command %d: %s", id, strerror(error));
	}
}

static int call_no_context(int cap, const struct sev_vm_kind *kind)
{
	struct kvm_vm *src = launched_vm(kind, 1), *heir = good_vm(MOVE, kind);
	struct kvm_enc_region none = { };
	int error;

	expect_no_command(heir, ENOTTY);
	error = __vm_ioctl(heir, KVM_MEMORY_ENCRYPT_UNREG_REGION, &none) ? errno : 0;
	TEST_ASSERT_EQ(error, ENOTTY);

	TEST_ASSERT(!try(heir, MOVE, src), "It could not be moved");
	expect_no_command(src, EIO);
	kvm_vm_free(heir);
	kvm_vm_free(src);
	return error;
}

/*
 * The limit of pinned pages goes by what the context has pinned, by whichever VM.
 */
#define NR_PINNED	8

static void limit_pinned_pages(int nr)
{
	const struct rlimit limit = { nr * PAGE_SIZE, nr * PAGE_SIZE };
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3];

	TEST_ASSERT(!setrlimit(RLIMIT_MEMLOCK, &limit), "setrlimit: %s", strerror(errno));
	TEST_ASSERT(!syscall(SYS_capget, &header, caps), "capget: %s", strerror(errno));
	caps[0].effective &= ~BIT(CAP_IPC_LOCK);
	TEST_ASSERT(!syscall(SYS_capset, &header, caps), "capset: %s", strerror(errno));
}

static int pin_errno(struct kvm_vm *vm, void *mem, int nr)
{
	struct kvm_enc_region region = { .addr = (uint64_t)mem, .size = nr * PAGE_SIZE };

	return __vm_ioctl(vm, KVM_MEMORY_ENCRYPT_REG_REGION, &region) ? errno : 0;
}

static void unpin(struct kvm_vm *vm, void *mem, int nr)
{
	struct kvm_enc_region region = { .addr = (uint64_t)mem, .size = nr * PAGE_SIZE };

	vm_ioctl(vm, KVM_MEMORY_ENCRYPT_UNREG_REGION, &region);
}

/* In a process of its own, whose limit it is. */
static int try_memlock(int cap, const struct sev_vm_kind *kind)
{
	uint8_t *mem = mmap(NULL, (NR_PINNED + 1) * PAGE_SIZE, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct kvm_vm *src = launched_vm(kind, 1), *dst = good_vm(cap, kind);
	struct kvm_sev_dbg dbg = {
		.src_uaddr = (uint64_t)mem, .dst_uaddr = (uint64_t)mem + PAGE_SIZE, .len = 16,
	};
	struct kvm_vm *owner = cap == MOVE ? dst : src;
	void *more = mem + NR_PINNED * PAGE_SIZE;

	limit_pinned_pages(NR_PINNED);
	TEST_ASSERT_EQ(pin_errno(src, mem, NR_PINNED), 0);
	TEST_ASSERT_EQ(try(dst, cap, src), 0);

	/* To look at a page is to pin it for that long, too. */
	TEST_ASSERT(__vm_sev_ioctl(dst, KVM_SEV_DBG_DECRYPT, &dbg) && errno == ENOMEM,
		    "DBG_DECRYPT: %s", strerror(errno));
	TEST_ASSERT_EQ(pin_errno(owner, more, 1), ENOMEM);
	unpin(owner, mem, NR_PINNED);
	vm_sev_ioctl(dst, KVM_SEV_DBG_DECRYPT, &dbg);
	return pin_errno(owner, mem, NR_PINNED);
}

static int call_memlock(int cap, const struct sev_vm_kind *kind)
{
	pid_t pid = fork();
	int status;

	TEST_ASSERT(pid >= 0, "fork: %s", strerror(errno));
	if (!pid)
		_exit(try_memlock(cap, kind));

	waitpid(pid, &status, 0);
	TEST_ASSERT(WIFEXITED(status), "The child has died");
	return WEXITSTATUS(status);
}

/* If the number of a capability is 0, then for either. */
static const struct call {
	const char *name;
	int (*try)(int cap, const struct sev_vm_kind *kind);
	int want;
	int cap;
	bool es_only;
	bool sev_only;
	bool snp;
} calls[] = {
	{ "good", call_good, 0 },
	{ "no_fd", call_no_fd, EBADF },
	{ "other_file", call_other_file, EBADF },
	{ "vcpu_fd", call_vcpu_fd, EBADF },
	{ "self", call_self, EINVAL },
	{ "plain_source", call_plain_source, EINVAL },
	{ "not_started", call_not_started, EINVAL, COPY },
	{ "sev_destination", call_sev_destination, EINVAL },
	{ "other_type", call_other_type, EINVAL },
	{ "with_vcpus", call_with_vcpus, EINVAL, COPY },
	{ "other_vcpus", call_other_vcpus, EINVAL, MOVE, .es_only = true },
	{ "no_vmsa", call_no_vmsa, EINVAL, MOVE, .es_only = true },
	{ "debugged", call_debugged, EINVAL, MOVE, .es_only = true },
	{ "debugged_sev", call_debugged, 0, MOVE, .sev_only = true },
	{ "mirror_source", call_mirror_source, EINVAL, COPY },
	{ "moved_mirror_source", call_moved_mirror_source, EINVAL, COPY },
	{ "moved_source", call_moved_source, EINVAL },
	{ "dead_destination", call_dead_destination, EIO },
	{ "other_process", call_other_process, EIO },
	{ "snp_source", call_snp_source, EINVAL, .snp = true },
	{ "late_init", call_late_init, EINVAL, COPY },
	{ "mirror_command", call_mirror_command, EINVAL, COPY },
	{ "no_context", call_no_context, ENOTTY, MOVE },
	{ "memlock", call_memlock, 0 },
};

static void run(const struct call *c, int cap, const struct sev_vm_kind *kind)
{
	const char *cap_name = cap == COPY ? "copy" : "move";
	int got;

	if (c->snp && !(kvm_check_cap(KVM_CAP_VM_TYPES) & BIT(KVM_X86_SNP_VM))) {
		ksft_test_result_skip("%s %s: KVM has no SNP VMs\n", c->name, cap_name);
		return;
	}

	got = c->try(cap, kind);
	if (got != c->want)
		ksft_print_msg("wanted '%s', got '%s'\n", strerror(c->want), strerror(got));
	ksft_test_result(got == c->want, "%s %s %s\n", c->name, cap_name, kind->name);
}

static bool chosen(int argc, char *argv[], const struct call *c, int cap,
		   const struct sev_vm_kind *kind)
{
	if (argc > 1 && strcmp(argv[1], c->name))
		return false;
	if (c->snp && kind != &sev_vm_kinds[0])
		return false;
	return (!c->cap || c->cap == cap) && (!c->es_only || kind->es) &&
	       (!c->sev_only || !kind->es);
}

static int for_all(int argc, char *argv[], bool really)
{
	static const int caps[] = { COPY, MOVE };
	int i, j, k, nr = 0;

	for (i = 0; i < ARRAY_SIZE(calls); i++) {
		for (j = 0; j < ARRAY_SIZE(caps); j++) {
			for (k = 0; k < SEV_NR_VM_KINDS; k++) {
				if (!chosen(argc, argv, &calls[i], caps[j], &sev_vm_kinds[k]))
					continue;
				nr++;
				if (really)
					run(&calls[i], caps[j], &sev_vm_kinds[k]);
			}
		}
	}
	return nr;
}

int main(int argc, char *argv[])
{
	int nr;

	TEST_REQUIRE(kvm_has_cap(COPY));
	TEST_REQUIRE(kvm_has_cap(MOVE));
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	nr = for_all(argc, argv, false);
	TEST_ASSERT(nr, "There is no call %s", argv[1]);
	ksft_print_header();
	ksft_set_plan(nr);
	for_all(argc, argv, true);
	ksft_finished();
}
