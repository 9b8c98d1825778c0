// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debug registers of SEV-SNP guests, and the host's while such a guest runs.
 * These guests can have DebugSwap on vCPUs of which KVM does not know it.
 */
#include <string.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_debug.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "sev_subtests.h"
#include "test_util.h"
#include "ucall_common.h"

static void create(struct sev_debug_vm *d, void *guest, uint64_t features, int nr)
{
	struct sev_snp_config config = SEV_SNP_DEFAULT_CONFIG;
	struct sev_snp_vm snp;
	int i;

	config.init.vmsa_features = features;
	sev_snp_create(&snp, &config, nr, guest);
	sev_debug_prepare(snp.vm);
	for (i = 0; i < nr; i++)
		vcpu_args_set(snp.vcpus[i], 1, i);
	sev_snp_launch(&snp);

	d->vm = snp.vm;
	memcpy(d->vcpus, snp.vcpus, sizeof(d->vcpus));
}

/*
 * The VM has no DebugSwap, and the guest's request does not ask for it: it is in
 * the VMSA alone.  The guest gains nothing, for DR7 and #DB are intercepted, but
 * the CPU switches DR0-3 and their masks.
 */
static void ap_with_swap(uint64_t id)
{
	sev_debug_guest(id, false);
}

static void guest_hidden_swap(uint32_t id)
{
	struct sev_snp_ap *ap = &sev_snp_boot.aps[1];
	struct sev_ghcb_call call;

	if (id) {
		/* By the MSR, which leaves nothing behind for the next VMSA. */
		sev_ghcb_msr_call(SEV_GHCB_MSR_AP_HOLD_REQ);
		GUEST_FAIL("The AP reset hold ended");
	}

	sev_snp_fill_vmsa(ap->vmsa, 1, ap_with_swap, 1);
	ap->vmsa->sev_features |= SEV_DEBUG_SWAP;
	GUEST_ASSERT_EQ(sev_snp_set_vmsa(ap->vmsa, true), SEV_SNP_SUCCESS);

	call = sev_snp_ap_create(1, ap->vmsa_gpa);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	sev_debug_guest(0, false);
}

static bool test_hidden_swap(const struct sev_subtest *t)
{
	struct sev_debug_vm d;
	bool good;

	create(&d, guest_hidden_swap, 0, SEV_DEBUG_VCPUS);
	good = sev_debug_run(&d);
	kvm_vm_free(d.vm);
	return good;
}

static const struct sev_subtest subtests[] = {
	SEV_DEBUG_SUBTEST(swap, create),
	SEV_DEBUG_SUBTEST(no_swap, create),
	SEV_DEBUG_SUBTEST(set_while_loaded, create),
	SEV_DEBUG_SUBTEST(cleared_while_loaded, create),
	{ "hidden_swap", test_hidden_swap },
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE_SEV_SNP();

	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
