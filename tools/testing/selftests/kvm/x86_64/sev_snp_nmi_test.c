// SPDX-License-Identifier: GPL-2.0-only
/*
 * NMIs in SEV-SNP guests.
 */
#include <pthread.h>
#include <sys/sysinfo.h>

#include <linux/sizes.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_nmi.h"
#include "sev_snp.h"
#include "sev_subtests.h"
#include "test_util.h"
#include "ucall_common.h"

#define NR_STORM	4000

#define MEM_SLOT	10
#define MEM_GPA		SZ_4G

static struct sev_snp_mem mem;		/* written by the host */

/* An NMI comes while userspace has the vCPU for a page state change. */
static void guest_psc(uint32_t id)
{
	GUEST_ASSERT_EQ(sev_snp_psc_msr(mem.gpa, SEV_SNP_PSC_SHARED), 0);
	GUEST_ASSERT_EQ(sev_nmi_done, 1);
	GUEST_DONE();
}

static const struct sev_nmi_guest psc = {
	guest_psc, sev_nmi_counting_handler, 1,
};

struct thread {
	struct sev_snp_runner r;
	pthread_t thread;
	int pcpu;
};

static void *run_thread(void *arg)
{
	struct thread *t = arg;
	uint64_t nr = 0;
	bool going;

	/* The log of exits is one per CPU. */
	kvm_pin_this_task_to_pcpu(t->pcpu);

	do {
		going = sev_snp_run_once(&t->r);
		if (t->r.nr_faults + t->r.nr_conversions != nr) {
			__vcpu_ioctl(t->r.vcpu, KVM_NMI, NULL);
			nr++;
		}
	} while (going);
	return NULL;
}

static void create(struct sev_snp_vm *snp, const struct sev_nmi_guest *guest)
{
	struct sev_snp_config config = SEV_SNP_DEFAULT_CONFIG;

	config.mem_pages = SZ_2M / PAGE_SIZE;
	sev_snp_create(snp, &config, guest->nr_vcpus, guest->code);
	vm_sev_nmi_prepare(snp->vm, snp->vcpus, guest);
	vm_sev_nmi_set_storm(snp->vm, NR_STORM);

	/* It is private, so that an access by the other mapping ends KVM_RUN. */
	sev_snp_add_mem(snp, MEM_SLOT, MEM_GPA, SZ_2M, &mem);
	sync_global_to_guest(snp->vm, mem);
	vm_sev_nmi_set_trap_page(snp->vm, mem.shared);
	sev_snp_launch(snp);
}

static bool run(const struct sev_subtest *t)
{
	struct thread threads[SEV_NMI_MAX_VCPUS] = { };
	const struct sev_nmi_guest *guest = t->data;
	struct sev_snp_vm snp;
	bool good = true;
	int i;

	create(&snp, guest);
	for (i = 0; i < guest->nr_vcpus; i++) {
		threads[i].r.vcpu = snp.vcpus[i];
		threads[i].pcpu = (i + 1) % get_nprocs();
		pthread_create(&threads[i].thread, NULL, run_thread, &threads[i]);
	}
	for (i = 0; i < guest->nr_vcpus; i++) {
		pthread_join(threads[i].thread, NULL);
		if (!threads[i].r.done) {
			ksft_print_msg("vCPU %d: %s\n", i, threads[i].r.error);
			good = false;
		}
	}
	if (threads[0].r.nr_faults != guest->needs_trap) {
		ksft_print_msg("%lu faults\n", threads[0].r.nr_faults);
		good = false;
	}
	sev_snp_free(&snp);
	return good;
}

static const struct sev_subtest subtests[] = {
	{ "storm", run, &sev_nmi_storm },
	{ "psc", run, &psc },
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE_SEV_SNP();

	return sev_nmi_main(argc, argv, run, subtests, ARRAY_SIZE(subtests));
}
