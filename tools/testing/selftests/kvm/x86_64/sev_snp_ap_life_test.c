// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs that a SEV-SNP guest creates, destroys and creates again while they run.
 * All of them run at the same time, each in a thread of its own.
 *
 * A request is done when it is answered: in between nothing waits.  The page of
 * a vCPU that was destroyed, or got another one, is the guest's again at once.
 */
#include <string.h>

#include <linux/kernel.h>
#include <linux/sizes.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "sev_snp_remote.h"
#include "sev_subtests.h"
#include "svm_util.h"
#include "test_util.h"
#include "ucall_common.h"

#define NR_VCPUS	4
#define TIMEOUT_SECONDS	100

#define MEM_SLOT	10
#define MEM_GPA		SZ_4G

#define ROUNDS		12

static struct sev_snp_mem mem;		/* written by the host */

/* Private to the guest: who is there, and that it still runs. */
static uint64_t arrived[NR_VCPUS];
static uint64_t counter[NR_VCPUS];

static void wait_for(uint64_t *p, uint64_t value)
{
	while (READ_ONCE(*p) != value)
		cpu_relax();
}

/* Twice: the first may have been on its way. */
static void wait_for_progress(uint64_t *p)
{
	uint64_t from = READ_ONCE(*p);

	while (READ_ONCE(*p) < from + 2)
		cpu_relax();
}

/* Which KVM cannot read from the VMSA, and which the first vCPU has set. */
static void check_osxsave(void)
{
	uint32_t eax, ebx, ecx, edx;

	GUEST_ASSERT(get_cr4() & X86_CR4_OSXSAVE);
	cpuid(1, &eax, &ebx, &ecx, &edx);
	__GUEST_ASSERT(ecx & BIT(27), "OSXSAVE is set, but CPUID does not say so");
}

static void ap_arrives(uint64_t arg)
{
	uint32_t id = arg & 0xff;

	GUEST_ASSERT_EQ(sev_ghcb_this_cpu()->vcpu_id, id);
	check_osxsave();
	GUEST_SYNC(arg);
	WRITE_ONCE(arrived[id], arg);
}

/* Without an exit of its own making. */
static void ap_counts(uint64_t arg)
{
	uint32_t id = arg & 0xff;

	ap_arrives(arg);
	for (;;)
		WRITE_ONCE(counter[id], counter[id] + 1);
}

static void ap_done(uint64_t arg)
{
	ap_arrives(arg);
	GUEST_DONE();
}

static void use_page(uint32_t id, int nr)
{
	struct sev_snp_ap *ap = &sev_snp_boot.aps[id];
	uint64_t offset = (1 + nr * NR_VCPUS + id) * PAGE_SIZE;

	ap->vmsa = (void *)mem.private + offset;
	ap->vmsa_gpa = mem.gpa + offset;
}

static void expect(struct sev_ghcb_call call, uint64_t answer, const char *what)
{
	sev_ghcb_vmgexit(&call);
	__GUEST_ASSERT(SEV_SNP_ANSWER(call.info1, call.info2) == answer, "%s: 0x%lx, %s", what,
		       call.info1, sev_ghcb_error_str(call.info2));
}

static void take_back(struct sev_snp_vmsa *vmsa)
{
	int rc = sev_snp_set_vmsa(vmsa, false);

	__GUEST_ASSERT(!rc, "RMPADJUST of a page that is not in use: %d", rc);
	memset(vmsa, 0xff, sizeof(*vmsa));
}

static void expect_stopped(uint32_t id)
{
	uint64_t before = READ_ONCE(counter[id]);
	int i;

	for (i = 0; i < 10; i++)
		sev_ghcb_msr_call(SEV_GHCB_MSR_HV_FT_REQ);
	GUEST_ASSERT_EQ(READ_ONCE(counter[id]), before);
}

/* Each other round on the same page. */
static void create_and_destroy(void (*start)(uint32_t id, void *entry, uint64_t arg))
{
	uint32_t round, id;

	for (round = 0; round < ROUNDS; round++) {
		for (id = 1; id < NR_VCPUS; id++) {
			use_page(id, round / 2 % 2);
			start(id, ap_counts, round << 8 | id);
		}
		for (id = 1; id < NR_VCPUS; id++) {
			wait_for(&arrived[id], round << 8 | id);
			wait_for_progress(&counter[id]);
		}
		for (id = 1; id < NR_VCPUS; id++) {
			expect(sev_snp_ap_destroy(id), SEV_SNP_ACCEPTED, "DESTROY");
			take_back(sev_snp_boot.aps[id].vmsa);
			expect_stopped(id);
		}
	}
	for (id = 1; id < NR_VCPUS; id++)
		start(id, ap_done, ROUNDS << 8 | id);
}

static void guest_long_mode(void)
{
	create_and_destroy(sev_snp_start_ap);
}

static void guest_real_mode(void)
{
	create_and_destroy(sev_snp_start_ap_sipi);
}

/* The others go on counting, to see that they are not disturbed. */
static void start_all(void)
{
	uint32_t id;

	for (id = 1; id < NR_VCPUS; id++) {
		use_page(id, 0);
		sev_snp_start_ap(id, ap_counts, id);
	}
	for (id = 1; id < NR_VCPUS; id++)
		wait_for(&arrived[id], id);
}

static void end_all(void)
{
	uint32_t id;

	for (id = 1; id < NR_VCPUS; id++) {
		wait_for_progress(&counter[id]);
		expect(sev_snp_ap_destroy(id), SEV_SNP_ACCEPTED, "DESTROY");
		sev_snp_start_ap(id, ap_done, ROUNDS << 8 | id);
	}
}

/* CREATE on a vCPU that runs. */
static void guest_replace(void)
{
	struct sev_snp_vmsa *old;
	int round;

	start_all();
	for (round = 1; round < ROUNDS; round++) {
		old = sev_snp_boot.aps[1].vmsa;
		wait_for_progress(&counter[1]);
		use_page(1, round % 2);
		sev_snp_start_ap(1, ap_counts, round << 8 | 1);
		take_back(old);
		wait_for(&arrived[1], round << 8 | 1);
	}
	end_all();
}

/* ... which strict mode refuses, and the vCPU does not notice. */
static void guest_replace_strict(void)
{
	struct sev_snp_ap *ap = &sev_snp_boot.aps[1], old;
	int round;

	start_all();
	for (round = 1; round < ROUNDS; round++) {
		old = *ap;
		wait_for_progress(&counter[1]);
		use_page(1, 1);
		sev_snp_fill_vmsa(ap->vmsa, 1, ap_counts, round << 8 | 1);
		GUEST_ASSERT_EQ(sev_snp_set_vmsa(ap->vmsa, true), 0);
		expect(sev_snp_ap_create(1, ap->vmsa_gpa), SEV_SNP_REFUSED, "CREATE");
		take_back(ap->vmsa);
		wait_for_progress(&counter[1]);
		GUEST_ASSERT_EQ(READ_ONCE(arrived[1]), 1);
		*ap = old;
	}
	end_all();
}

/* What KVM must refuse of a vCPU that runs, and without a page changing hands. */
static void guest_refused(void)
{
	struct sev_snp_ap *aps = sev_snp_boot.aps;
	int round;

	start_all();
	for (round = 1; round < ROUNDS; round++) {
		expect(sev_snp_ap_create(0, aps[0].vmsa_gpa), SEV_SNP_REFUSED, "CREATE of oneself");
		expect(sev_snp_ap_create(1, aps[2].vmsa_gpa), SEV_SNP_REFUSED, "another's page");
		expect(sev_snp_ap_create(1, mem.gpa), SEV_SNP_REFUSED, "2M-aligned page");
		expect(sev_snp_ap_create(NR_VCPUS, aps[0].vmsa_gpa), SEV_SNP_REFUSED, "no vCPU");
		wait_for_progress(&counter[1]);
		wait_for_progress(&counter[2]);
	}
	end_all();
}

/* The first vCPU is like any other to another one. */
static void ap_replaces_bsp(uint64_t arg)
{
	ap_arrives(arg);
	sev_snp_start_ap(0, ap_done, arg & ~0xff);
	wait_for(&arrived[0], arg & ~0xff);
	GUEST_DONE();
}

static void guest_on_bsp(void)
{
	sev_snp_start_ap(1, ap_replaces_bsp, 0x101);
	for (;;)
		cpu_relax();
}

/*
 * Host.
 */
struct life {
	void (*guest)(void);
	uint32_t nr_vcpus;
	uint64_t syncs;			/* how often a vCPU arrives */
	uint64_t ap_flags;
};

static uint64_t nr_syncs;

static void sync_ap(struct sev_snp_runner *r, struct ucall *uc)
{
	if ((uc->args[1] & 0xff) != r->vcpu->id)
		sev_snp_fail(r, "vCPU %u says 0x%lx", r->vcpu->id, uc->args[1]);
	__atomic_fetch_add(&nr_syncs, 1, __ATOMIC_RELAXED);
}

/* All vCPUs are launched; an AP waits as firmware has left it. */
static void guest_code(void (*guest)(void))
{
	if (!guest) {
		sev_snp_guest_park();
		GUEST_FAIL("The AP reset hold ended");
	}
	set_cr4(get_cr4() | X86_CR4_OSXSAVE);
	sev_snp_validate(&mem, 0, SEV_SNP_REMOTE_VMSAS * PAGE_SIZE, true);
	guest();
	GUEST_DONE();
}

static void create(struct sev_snp_vm *snp, const struct life *life)
{
	struct sev_snp_config config = SEV_SNP_DEFAULT_CONFIG;
	int i;

	config.mem_pages = SZ_2M / PAGE_SIZE;
	config.cap = KVM_CAP_X86_SNP_AP;
	config.cap_arg = life->ap_flags;
	sev_snp_create(snp, &config, life->nr_vcpus, guest_code);
	sev_snp_add_mem(snp, MEM_SLOT, MEM_GPA, SZ_2M, &mem);
	sync_global_to_guest(snp->vm, mem);
	sev_snp_add_trampoline(snp);
	vcpu_args_set(snp->vcpus[0], 1, life->guest);
	for (i = 1; i < life->nr_vcpus; i++)
		vcpu_args_set(snp->vcpus[i], 1, NULL);
	sev_snp_launch(snp);
}

static bool run(const struct sev_subtest *t)
{
	const struct life *life = t->data;
	struct sev_snp_runner runners[NR_VCPUS] = { };
	struct sev_snp_vm snp;
	bool ok;
	int i;

	create(&snp, life);
	nr_syncs = 0;
	for (i = 0; i < life->nr_vcpus; i++) {
		runners[i].vcpu = snp.vcpus[i];
		runners[i].sync = sync_ap;
	}
	ok = sev_snp_run(runners, life->nr_vcpus, TIMEOUT_SECONDS);
	sev_snp_free(&snp);

	if (nr_syncs != life->syncs)
		ksft_print_msg("vCPUs arrived %lu times, not %lu\n", nr_syncs, life->syncs);
	return ok && nr_syncs == life->syncs;
}

#define APS	(NR_VCPUS - 1)

#define LIFE(name, ...)	\
	{ #name, run, &(const struct life){ guest_##name, __VA_ARGS__ } }

static const struct sev_subtest subtests[] = {
	LIFE(long_mode, NR_VCPUS, APS * (ROUNDS + 1)),
	LIFE(real_mode, NR_VCPUS, APS * (ROUNDS + 1)),
	LIFE(replace, NR_VCPUS, 2 * APS + ROUNDS - 1),
	LIFE(replace_strict, NR_VCPUS, 2 * APS, KVM_X86_SNP_AP_STRICT),
	LIFE(refused, NR_VCPUS, 2 * APS),
	LIFE(on_bsp, 2, 2),
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE_SEV_SNP();

	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
