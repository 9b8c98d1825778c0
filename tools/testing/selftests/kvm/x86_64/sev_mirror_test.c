// SPDX-License-Identifier: GPL-2.0-only
/*
 * A mirror: a VM with the encryption context of another one.  Its vCPUs read
 * what the other's guest has encrypted.
 *
 * The mirror has the memory of its source, and executes other code in it.  Its
 * vCPU takes the registers, with them stack and GHCB, from a vCPU of the source
 * that never runs.  The state of a SEV-ES vCPU is measured, so that mirrors are
 * made in the middle of the launch.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <linux/bitfield.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "sev_twin.h"
#include "test_util.h"
#include "ucall_common.h"

#define MAIN_VCPU		0
#define DONOR_VCPU		1
#define NR_VCPUS		2

#define NR_PAGES		32
#define WORDS_PER_PAGE		(PAGE_SIZE / sizeof(uint64_t))

#define MSR_SEV_STATUS		0xc0010131
#define SEV_STATUS_DEBUG_SWAP	BIT_ULL(7)
#define SEV_FEAT_DEBUG_SWAP	BIT_ULL(5)

/* Memory that the host shares with both guests. */
struct shared {
	uint64_t nonce;			/* what makes the secret */
	uint64_t beat;			/* the source runs */
	uint64_t stop;
	uint64_t answer;
	uint64_t page[WORDS_PER_PAGE];	/* read out by the mirror */
};

/* Private, and at the same place for both. */
static struct shared *shared;
static uint64_t secret;
static uint64_t heap[NR_PAGES][WORDS_PER_PAGE];
static uint64_t ghcb_info;

static uint64_t mix(uint64_t x)
{
	x ^= x >> 31;
	x *= 0x9e3779b97f4a7c15ull;
	return x ^ x >> 29;
}

static uint64_t heap_word(uint64_t nonce, int page, int i)
{
	return mix(nonce + page * WORDS_PER_PAGE + i);
}

/*
 * Guests.
 */
static void guest_source(void)
{
	uint64_t nonce = READ_ONCE(shared->nonce);
	int page, i;

	secret = mix(nonce);
	for (page = 0; page < NR_PAGES; page++) {
		for (i = 0; i < WORDS_PER_PAGE; i++)
			heap[page][i] = heap_word(nonce, page, i);
	}
	GUEST_SYNC(0);

	while (!READ_ONCE(shared->stop))
		WRITE_ONCE(shared->beat, shared->beat + 1);
	GUEST_DONE();
}

static void guest_mirror_secret(void)
{
	WRITE_ONCE(shared->answer, secret);
	GUEST_SYNC(0);

	/* What the mirror writes the source's host can read, and so can DBG. */
	secret = ~secret;
	GUEST_DONE();
}

/* Each page on demand, while the source runs. */
static void guest_mirror_helper(void)
{
	int page;

	for (page = 0; page < NR_PAGES; page++) {
		memcpy(shared->page, heap[page], sizeof(shared->page));
		GUEST_SYNC(page);
	}
	GUEST_DONE();
}

/* The source leaves behind what it was told, the mirror compares. */
static void guest_source_ghcb(void)
{
	ghcb_info = sev_ghcb_msr_call(SEV_GHCB_MSR_INFO_REQ);
	GUEST_SYNC(0);
	GUEST_DONE();
}

static void guest_mirror_ghcb(void)
{
	uint64_t info = sev_ghcb_msr_call(SEV_GHCB_MSR_INFO_REQ);
	struct sev_ghcb_call call;
	uint64_t data = 0;

	GUEST_ASSERT_EQ(info, ghcb_info);

	call = sev_ghcb_cpuid(0, 0);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);

	/* Version 2 wants the data in the GHCB, version 1 does not care. */
	if (sev_ghcb_this_cpu()->version >= 2) {
		call = sev_ghcb_mmio_read(0xd0000000, &data, sizeof(data));
		call.scratch = sev_ghcb_this_cpu()->gpa + PAGE_SIZE;
		sev_ghcb_vmgexit(&call);
		GUEST_ASSERT_EQ(call.info1, SEV_GHCB_MALFORMED);
		GUEST_ASSERT_EQ(call.info2, SEV_GHCB_ERR_INVALID_SCRATCH);
	}
	GUEST_DONE();
}

static void guest_debug_swap(void)
{
	WRITE_ONCE(shared->answer, rdmsr(MSR_SEV_STATUS));
	GUEST_DONE();
}

/*
 * Host.
 */
struct pair {
	const struct sev_vm_kind *kind;
	struct kvm_vm *vm, *mirror;
	struct kvm_vcpu *vcpu, *mirror_vcpu;
	struct shared *shared;
	uint64_t *secret;		/* as the host sees it: encrypted */
};

static void create_mirror(struct pair *p, struct sev_twin_state *state)
{
	int error;

	p->mirror = vm_sev_twin_create(p->vm, p->kind->type);
	error = vm_sev_copy_errno(p->mirror, p->vm);
	TEST_ASSERT(!error, "Copying from a %s VM: %s", p->kind->name, strerror(error));

	p->mirror_vcpu = vm_sev_twin_vcpu_add(p->mirror, 0);
	vcpu_sev_twin_load(p->mirror_vcpu, false, state);
	if (p->kind->es)
		vm_sev_ioctl(p->mirror, KVM_SEV_LAUNCH_UPDATE_VMSA, NULL);
}

static void create_pair(struct pair *p, const struct sev_vm_kind *kind, uint64_t features,
			void *source_code, void *mirror_code)
{
	struct kvm_vcpu *vcpus[NR_VCPUS];
	struct sev_twin_state state;
	vm_vaddr_t gva;

	memset(p, 0, sizeof(*p));
	p->kind = kind;
	p->vm = vm_sev_kind_create(kind, features, NR_VCPUS, source_code, vcpus);
	p->vcpu = vcpus[MAIN_VCPU];
	vcpu_arch_set_entry_point(vcpus[DONOR_VCPU], mirror_code);
	vcpu_sev_twin_save(vcpus[DONOR_VCPU], false, &state);

	gva = vm_vaddr_alloc_shared(p->vm, sizeof(*shared), KVM_UTIL_MIN_VADDR,
				    MEM_REGION_DATA);
	p->shared = addr_gva2hva(p->vm, gva);
	memset(p->shared, 0, sizeof(*shared));
	p->shared->nonce = (uint64_t)random() << 32 | random();
	shared = (struct shared *)gva;
	sync_global_to_guest(p->vm, shared);
	p->secret = addr_gva2hva(p->vm, (vm_vaddr_t)&secret);

	sev_vm_launch(p->vm, kind->policy);
	create_mirror(p, &state);
	vm_sev_kind_finish(p->vm);
}

static void free_pair(struct pair *p)
{
	kvm_vm_release(p->mirror);
	kvm_vm_free(p->vm);
}

static void expect_ucall(struct kvm_vcpu *vcpu, uint64_t want)
{
	struct ucall uc;
	uint64_t got;

	vcpu_run(vcpu);
	got = get_ucall(vcpu, &uc);
	if (got == UCALL_ABORT)
		REPORT_GUEST_ASSERT(uc);
	TEST_ASSERT(got == want, "Wanted ucall %lu, got %lu, exit %s", want, got,
		    exit_reason_str(vcpu->run->exit_reason));
}

static uint64_t decrypt(struct kvm_vm *vm, void *hva)
{
	uint64_t plain[2] = { };
	struct kvm_sev_dbg dbg = {
		.src_uaddr = (uint64_t)hva,
		.dst_uaddr = (uint64_t)plain,
		.len = sizeof(plain[0]),
	};

	vm_sev_ioctl(vm, KVM_SEV_DBG_DECRYPT, &dbg);
	return plain[0];
}

static void test_secret(const struct sev_vm_kind *kind)
{
	struct kvm_sev_guest_status source, mirror;
	uint64_t want;
	struct pair p;

	create_pair(&p, kind, 0, guest_source, guest_mirror_secret);
	want = mix(p.shared->nonce);
	expect_ucall(p.vcpu, UCALL_SYNC);
	TEST_ASSERT(READ_ONCE(*p.secret) != want, "The secret is none");

	expect_ucall(p.mirror_vcpu, UCALL_SYNC);
	TEST_ASSERT_EQ(p.shared->answer, want);
	TEST_ASSERT_EQ(decrypt(p.mirror, p.secret), want);
	expect_ucall(p.mirror_vcpu, UCALL_DONE);
	TEST_ASSERT_EQ(decrypt(p.vm, p.secret), ~want);

	vm_sev_ioctl(p.vm, KVM_SEV_GUEST_STATUS, &source);
	vm_sev_ioctl(p.mirror, KVM_SEV_GUEST_STATUS, &mirror);
	TEST_ASSERT(!memcmp(&source, &mirror, sizeof(source)), "They are not the same guest");
	free_pair(&p);
}

static void *run_vcpu(void *vcpu)
{
	expect_ucall(vcpu, UCALL_DONE);
	return NULL;
}

static void check_page(struct pair *p, int page)
{
	uint64_t *cipher = p->secret;
	int i;

	for (i = 0; i < WORDS_PER_PAGE; i++)
		TEST_ASSERT_EQ(p->shared->page[i], heap_word(p->shared->nonce, page, i));
	TEST_ASSERT(*cipher != mix(p->shared->nonce), "The secret is none");
}

static void test_helper(const struct sev_vm_kind *kind)
{
	uint64_t beat = 0;
	pthread_t thread;
	struct pair p;
	int page;

	create_pair(&p, kind, 0, guest_source, guest_mirror_helper);
	expect_ucall(p.vcpu, UCALL_SYNC);
	pthread_create(&thread, NULL, run_vcpu, p.vcpu);

	for (page = 0; page < NR_PAGES; page++) {
		expect_ucall(p.mirror_vcpu, UCALL_SYNC);
		check_page(&p, page);
		while (READ_ONCE(p.shared->beat) == beat)
			usleep(1000);
		beat = READ_ONCE(p.shared->beat);
	}
	expect_ucall(p.mirror_vcpu, UCALL_DONE);

	WRITE_ONCE(p.shared->stop, 1);
	pthread_join(thread, NULL);
	free_pair(&p);
}

static void test_ghcb(const struct sev_vm_kind *kind)
{
	struct pair p;

	create_pair(&p, kind, 0, guest_source_ghcb, guest_mirror_ghcb);
	expect_ucall(p.vcpu, UCALL_SYNC);
	expect_ucall(p.mirror_vcpu, UCALL_DONE);
	expect_ucall(p.vcpu, UCALL_DONE);
	free_pair(&p);
}

static bool has_debug_swap(void)
{
	int fd = open_kvm_dev_path_or_exit();
	uint64_t features = 0;
	struct kvm_device_attr attr = {
		.group = KVM_X86_GRP_SEV,
		.attr = KVM_X86_SEV_VMSA_FEATURES,
		.addr = (uint64_t)&features,
	};
	int ret = ioctl(fd, KVM_GET_DEVICE_ATTR, &attr);

	close(fd);
	return !ret && (features & SEV_FEAT_DEBUG_SWAP);
}

static void test_features(const struct sev_vm_kind *kind)
{
	struct pair p;

	create_pair(&p, kind, SEV_FEAT_DEBUG_SWAP, guest_debug_swap, guest_debug_swap);
	expect_ucall(p.vcpu, UCALL_DONE);
	TEST_ASSERT(p.shared->answer & SEV_STATUS_DEBUG_SWAP, "The source has no DebugSwap");

	p.shared->answer = 0;
	vcpu_run(p.mirror_vcpu);
	TEST_ASSERT(p.shared->answer & SEV_STATUS_DEBUG_SWAP, "The mirror has no DebugSwap");
	free_pair(&p);
}

static const struct subtest {
	const char *name;
	void (*run)(const struct sev_vm_kind *kind);
	bool es_only;
	bool typed_only;
	bool (*possible)(void);
} subtests[] = {
	{ "secret", test_secret },
	{ "helper", test_helper },
	{ "ghcb", test_ghcb, .es_only = true },
	{ "features", test_features, .es_only = true, .typed_only = true,
	  .possible = has_debug_swap },
};

static bool chosen(int argc, char *argv[], const struct subtest *t,
		   const struct sev_vm_kind *kind)
{
	if (t->es_only && !kind->es)
		return false;
	if (t->typed_only && kind->type == KVM_X86_DEFAULT_VM)
		return false;
	if (argc > 1 && strcmp(argv[1], t->name))
		return false;
	return argc <= 2 || !strcmp(argv[2], kind->name);
}

static void run(const struct subtest *t, const struct sev_vm_kind *kind)
{
	if (t->possible && !t->possible()) {
		ksft_test_result_skip("%s %s: KVM does not offer it\n", t->name, kind->name);
		return;
	}

	t->run(kind);
	ksft_test_result_pass("%s %s\n", t->name, kind->name);
}

int main(int argc, char *argv[])
{
	int i, j, nr = 0;

	TEST_REQUIRE(kvm_has_cap(KVM_CAP_VM_COPY_ENC_CONTEXT_FROM));
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	for (i = 0; i < ARRAY_SIZE(subtests); i++)
		for (j = 0; j < SEV_NR_VM_KINDS; j++)
			nr += chosen(argc, argv, &subtests[i], &sev_vm_kinds[j]);
	TEST_ASSERT(nr, "There is no such subtest");

	ksft_print_header();
	ksft_set_plan(nr);
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		for (j = 0; j < SEV_NR_VM_KINDS; j++) {
			if (chosen(argc, argv, &subtests[i], &sev_vm_kinds[j]))
				run(&subtests[i], &sev_vm_kinds[j]);
		}
	}
	ksft_finished();
}
