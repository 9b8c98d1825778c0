// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPUs that a SEV-SNP guest starts by itself, with AP creation, from VMSAs
 * that it has filled in; and requests that KVM must refuse.
 */
#include <errno.h>
#include <string.h>

#include <linux/bitfield.h>
#include <linux/kernel.h>
#include <linux/sizes.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "svm_util.h"
#include "test_util.h"
#include "ucall_common.h"

#define NR_VCPUS	4
#define TIMEOUT_SECONDS	60

#define MEM_SLOT	10
#define MEM_GPA		SZ_4G

#define GENERATIONS	5
#define ROUNDS		10	/* of CPUs going offline and coming back */
#define IDLE_EXITS	1000	/* to see that a vCPU does not start */

#define SEV_FEAT_RESTRICTED_INJ	BIT_ULL(3)
#define SEV_FEAT_ALTERNATE_INJ	BIT_ULL(4)

static struct sev_snp_mem mem;		/* written by the host */

/* What an AP has to say of itself, private to the guest. */
static uint64_t arrived[NR_VCPUS];
static uint64_t may_leave;

static void wait_for(uint64_t *p, uint64_t value)
{
	while (READ_ONCE(*p) != value)
		cpu_relax();
}

/* Whatever an AP needs: its own state, #VC, the host. */
static void ap_arrives(uint64_t arg)
{
	uint32_t id = arg & 0xff, eax, ebx, ecx, edx;
	struct sev_ghcb_cpu *cpu = sev_ghcb_this_cpu();

	GUEST_ASSERT_EQ(cpu->vcpu_id, id);
	GUEST_ASSERT_EQ(rdmsr(MSR_AMD64_SEV) >> 2, sev_snp_features());
	cpuid(0x80000000, &eax, &ebx, &ecx, &edx);
	GUEST_ASSERT(eax > 0x80000000);
	GUEST_ASSERT_EQ(cpu->last_vc, SVM_EXIT_CPUID);
	GUEST_SYNC(arg);
	WRITE_ONCE(arrived[id], arg);
}

/* Until it gets another VMSA. */
static void park(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_AP_HLT_LOOP, 0, 0);

	sev_ghcb_vmgexit(&call);
	GUEST_FAIL("The AP reset hold ended: 0x%lx", call.info2);
}

static void ap_done(uint64_t arg)
{
	ap_arrives(arg);
	GUEST_DONE();
}

static void guest_start(void (*start)(uint32_t id, void *entry, uint64_t arg))
{
	uint32_t id;

	for (id = 1; id < NR_VCPUS; id++)
		start(id, ap_done, 0x100 | id);
	for (id = 1; id < NR_VCPUS; id++)
		wait_for(&arrived[id], 0x100 | id);
}

static void guest_long_mode(void)
{
	guest_start(sev_snp_start_ap);
}

static void guest_real_mode(void)
{
	guest_start(sev_snp_start_ap_sipi);
}

/*
 * As Linux takes CPUs offline, and online again: each parks, and gets a new VMSA
 * without its old one having been destroyed.
 */
static void ap_parks_or_leaves(uint64_t arg)
{
	if (READ_ONCE(may_leave))
		ap_done(arg);
	ap_arrives(arg);
	park();
}

/* Its VMSA's page of odd rounds; that of even ones is what it was launched with. */
static void swap_page(uint32_t id, struct sev_snp_ap *other)
{
	struct sev_snp_ap *ap = &sev_snp_boot.aps[id], old = *ap;

	ap->vmsa = other->vmsa;
	ap->vmsa_gpa = other->vmsa_gpa;
	other->vmsa = old.vmsa;
	other->vmsa_gpa = old.vmsa_gpa;
}

static void guest_new_vmsa(void)
{
	struct sev_snp_ap others[NR_VCPUS];
	uint32_t round, id;

	sev_snp_validate(&mem, PAGE_SIZE, NR_VCPUS * PAGE_SIZE, true);
	for (id = 1; id < NR_VCPUS; id++) {
		others[id].vmsa = (void *)mem.private + id * PAGE_SIZE;
		others[id].vmsa_gpa = mem.gpa + id * PAGE_SIZE;
	}

	for (round = 0; round <= ROUNDS; round++) {
		if (round == ROUNDS)
			WRITE_ONCE(may_leave, 1);
		for (id = 1; id < NR_VCPUS; id++) {
			sev_snp_start_ap(id, ap_parks_or_leaves, round << 8 | id);
			wait_for(&arrived[id], round << 8 | id);
			swap_page(id, &others[id]);
			if (round)
				GUEST_ASSERT_EQ(sev_snp_set_vmsa(sev_snp_boot.aps[id].vmsa,
								 false), 0);
		}
	}
}

static void ap_counts(uint64_t arg)
{
	ap_arrives(arg);
	for (;;)
		WRITE_ONCE(may_leave, may_leave + 1);
}

/* On one page over and over: it is the guest's again once the vCPU has stopped. */
static void guest_destroy(void)
{
	struct sev_snp_ap *ap = &sev_snp_boot.aps[1];
	struct sev_ghcb_call call;
	int i;

	for (i = 0; i < GENERATIONS; i++) {
		sev_snp_start_ap(1, ap_counts, i << 8 | 1);
		wait_for(&arrived[1], i << 8 | 1);

		call = sev_snp_ap_destroy(1);
		sev_ghcb_vmgexit(&call);
		GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
		while (sev_snp_set_vmsa(ap->vmsa, false))
			cpu_relax();
	}

	sev_snp_start_ap(1, ap_done, i << 8 | 1);
	wait_for(&arrived[1], i << 8 | 1);
}

static void send_ipi(uint32_t apic_id, uint32_t icr)
{
	wrmsr(APIC_BASE_MSR + (APIC_ICR >> 4), (uint64_t)apic_id << 32 | icr);
}

/* INIT alone does not make a vCPU run that waits for a SIPI afterwards. */
static void guest_on_init(void)
{
	struct sev_snp_ap *ap = &sev_snp_boot.aps[1];
	struct sev_ghcb_call call;
	int i;

	wrmsr(MSR_IA32_APICBASE, rdmsr(MSR_IA32_APICBASE) |
	      MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE);
	sev_snp_fill_vmsa(ap->vmsa, 1, ap_done, 1);
	GUEST_ASSERT_EQ(sev_snp_set_vmsa(ap->vmsa, true), 0);

	call = sev_snp_ap_create_on_init(1, ap->vmsa_gpa);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);

	for (i = 0; i < IDLE_EXITS; i++)
		sev_ghcb_msr_call(SEV_GHCB_MSR_HV_FT_REQ);
	GUEST_ASSERT_EQ(READ_ONCE(arrived[1]), 0);

	send_ipi(1, APIC_DM_INIT | APIC_INT_ASSERT);
	send_ipi(1, APIC_DM_STARTUP | APIC_INT_ASSERT | SEV_SNP_TRAMPOLINE >> 12);
	wait_for(&arrived[1], 1);
}

/*
 * Refused, and nothing has come of it.
 */
static void refused(const char *what, struct sev_ghcb_call call, uint64_t error)
{
	sev_ghcb_vmgexit(&call);
	__GUEST_ASSERT(call.info1 == SEV_GHCB_MALFORMED && call.info2 == error,
		       "%s: wanted '%s', got 0x%lx (%s)", what,
		       sev_ghcb_error_str(error), call.info1,
		       sev_ghcb_error_str(call.info2));
}

static struct sev_ghcb_call create_with(uint64_t features)
{
	struct sev_ghcb_call call = sev_snp_ap_create(1, sev_snp_boot.aps[1].vmsa_gpa);

	call.rax ^= features;
	return call;
}

static struct sev_ghcb_call no_such_request(void)
{
	struct sev_ghcb_call call = create_with(0);

	call.info1 |= 3;
	return call;
}

static struct sev_ghcb_call without_rax(void)
{
	struct sev_ghcb_call call = create_with(0);

	call.valid &= ~SEV_GHCB_RAX;
	return call;
}

static void guest_refused(void)
{
	uint64_t gpa = sev_snp_boot.aps[1].vmsa_gpa;

	sev_snp_fill_vmsa(sev_snp_boot.aps[1].vmsa, 1, ap_done, 0xbad);
	GUEST_ASSERT_EQ(sev_snp_set_vmsa(sev_snp_boot.aps[1].vmsa, true), 0);

	refused("no such vCPU", sev_snp_ap_create(NR_VCPUS, gpa),
		SEV_GHCB_ERR_INVALID_INPUT);
	refused("no such vCPU to destroy", sev_snp_ap_destroy(NR_VCPUS),
		SEV_GHCB_ERR_INVALID_INPUT);
	refused("2M-aligned VMSA", sev_snp_ap_create(1, mem.gpa),
		SEV_GHCB_ERR_INVALID_INPUT);
	refused("unaligned VMSA", sev_snp_ap_create(1, gpa + 8),
		SEV_GHCB_ERR_INVALID_INPUT);
	refused("VMSA beyond all memory", sev_snp_ap_create(1, BIT_ULL(52) + PAGE_SIZE),
		SEV_GHCB_ERR_INVALID_INPUT);
	refused("restricted injection", create_with(SEV_FEAT_RESTRICTED_INJ),
		SEV_GHCB_ERR_INVALID_INPUT);
	refused("alternate injection", create_with(SEV_FEAT_ALTERNATE_INJ),
		SEV_GHCB_ERR_INVALID_INPUT);
	refused("no such request", no_such_request(), SEV_GHCB_ERR_INVALID_INPUT);
	refused("no features", without_rax(), SEV_GHCB_ERR_MISSING_INPUT);
	GUEST_ASSERT_EQ(READ_ONCE(arrived[1]), 0);

	sev_snp_start_ap(1, ap_done, 1);
	wait_for(&arrived[1], 1);
}

/* A page that the guest has not made a VMSA, for the CPU to refuse. */
static void guest_not_a_vmsa(void)
{
	struct sev_ghcb_call call;

	sev_snp_fill_vmsa(sev_snp_boot.aps[1].vmsa, 1, ap_done, 1);
	call = sev_snp_ap_create(1, sev_snp_boot.aps[1].vmsa_gpa);
	sev_ghcb_vmgexit(&call);
}

/*
 * Host.
 */
static uint64_t nr_syncs;

static void sync_ap(struct sev_snp_runner *r, struct ucall *uc)
{
	if ((uc->args[1] & 0xff) != r->vcpu->id)
		sev_snp_fail(r, "vCPU %u says 0x%lx", r->vcpu->id, uc->args[1]);
	__atomic_fetch_add(&nr_syncs, 1, __ATOMIC_RELAXED);
}

static const struct subtest {
	const char *name;
	void (*guest)(void);
	uint32_t nr_vcpus;
	uint64_t syncs;		/* how often an AP arrives */
	bool fails;		/* to run the AP */
} subtests[] = {
	{ "long_mode", guest_long_mode, NR_VCPUS, NR_VCPUS - 1 },
	{ "real_mode", guest_real_mode, NR_VCPUS, NR_VCPUS - 1 },
	{ "new_vmsa", guest_new_vmsa, NR_VCPUS, (NR_VCPUS - 1) * (ROUNDS + 1) },
	{ "destroy", guest_destroy, 2, GENERATIONS + 1 },
	{ "on_init", guest_on_init, 2, 1 },
	{ "refused", guest_refused, 2, 1 },
	{ "not_a_vmsa", guest_not_a_vmsa, 2, 0, true },
};

/* All vCPUs are launched; an AP waits as firmware has left it. */
static void guest_code(void (*guest)(void))
{
	if (!guest)
		park();
	guest();
	GUEST_DONE();
}

static void create(struct sev_snp_vm *snp, const struct subtest *t)
{
	struct sev_snp_config config = SEV_SNP_DEFAULT_CONFIG;
	int i;

	config.mem_pages = SZ_2M / PAGE_SIZE;
	sev_snp_create(snp, &config, t->nr_vcpus, guest_code);
	sev_snp_add_mem(snp, MEM_SLOT, MEM_GPA, SZ_2M, &mem);
	sync_global_to_guest(snp->vm, mem);
	sev_snp_add_trampoline(snp);
	vcpu_args_set(snp->vcpus[0], 1, t->guest);
	for (i = 1; i < t->nr_vcpus; i++)
		vcpu_args_set(snp->vcpus[i], 1, NULL);
	sev_snp_launch(snp);
}

static bool run_to_failure(struct sev_snp_runner *r)
{
	while (sev_snp_run_once(&r[0]))
		;
	while (sev_snp_run_once(&r[1]))
		;
	if (r[0].done && r[1].vcpu->run->exit_reason == KVM_EXIT_FAIL_ENTRY)
		return true;

	ksft_print_msg("vCPU 0: %s, vCPU 1: %s\n", r[0].error, r[1].error);
	return false;
}

static void run(const struct subtest *t)
{
	struct sev_snp_runner runners[NR_VCPUS] = { };
	struct sev_snp_vm snp;
	bool ok;
	int i;

	create(&snp, t);
	nr_syncs = 0;
	for (i = 0; i < t->nr_vcpus; i++) {
		runners[i].vcpu = snp.vcpus[i];
		runners[i].sync = sync_ap;
	}

	if (t->fails)
		ok = run_to_failure(runners);
	else
		ok = sev_snp_run(runners, t->nr_vcpus, TIMEOUT_SECONDS);

	if (nr_syncs != t->syncs) {
		ksft_print_msg("APs arrived %lu times\n", nr_syncs);
		ok = false;
	}
	sev_snp_free(&snp);
	ksft_test_result(ok, "%s\n", t->name);
}

int main(int argc, char *argv[])
{
	int i, nr = 0;

	TEST_REQUIRE_SEV_SNP();

	for (i = 0; i < ARRAY_SIZE(subtests); i++)
		nr += argc == 1 || !strcmp(argv[1], subtests[i].name);
	TEST_ASSERT(nr, "There is no subtest %s", argv[1]);

	setbuf(stdout, NULL);
	ksft_print_header();
	ksft_set_plan(nr);
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		if (argc == 1 || !strcmp(argv[1], subtests[i].name))
			run(&subtests[i]);
	}
	ksft_finished();
}
