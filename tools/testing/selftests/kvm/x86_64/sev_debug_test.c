// SPDX-License-Identifier: GPL-2.0-only
/*
 * Debug registers of SEV-ES guests, and the host's while such a guest runs:
 * with DebugSwap the CPU swaps the guest's, without they are not the guest's to
 * use.  What the host has set up has to survive either.
 */
#include <errno.h>
#include <string.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_debug.h"
#include "sev_ghcb.h"
#include "sev_subtests.h"
#include "test_util.h"
#include "ucall_common.h"

static void guest_nothing(uint32_t id)
{
	GUEST_DONE();
}

static void create_kind(struct sev_debug_vm *d, void *guest, bool legacy,
			uint64_t features, int nr)
{
	const struct sev_ghcb_config config = {
		.legacy_init = legacy,
		.init = { .ghcb_version = 2, .vmsa_features = features },
	};
	int i;

	d->vm = vm_sev_ghcb_create(&config, nr, guest, d->vcpus);
	sev_debug_prepare(d->vm);
	for (i = 0; i < nr; i++)
		vcpu_args_set(d->vcpus[i], 1, i);
	vm_sev_launch(d->vm, SEV_POLICY_ES, NULL);
}

static void create(struct sev_debug_vm *d, void *guest, uint64_t features, int nr)
{
	create_kind(d, guest, false, features, nr);
}

/* A vCPU whose state is protected has no debug registers for userspace to set. */
static bool refused(bool legacy)
{
	struct kvm_debugregs regs = { .dr6 = 0xffff0ff0, .dr7 = 0x400 };
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE };
	struct sev_debug_vm d;
	bool good = true;

	create_kind(&d, guest_nothing, legacy, 0, 1);
	if (!__vcpu_ioctl(d.vcpus[0], KVM_SET_DEBUGREGS, &regs) || errno != EINVAL) {
		ksft_print_msg("KVM_SET_DEBUGREGS: %s\n", strerror(errno));
		good = false;
	}
	if (!__vcpu_ioctl(d.vcpus[0], KVM_SET_GUEST_DEBUG, &debug) || errno != EINVAL) {
		ksft_print_msg("KVM_SET_GUEST_DEBUG: %s\n", strerror(errno));
		good = false;
	}
	kvm_vm_free(d.vm);
	return good;
}

static bool test_refused(const struct sev_subtest *t)
{
	return refused(false);
}

static bool test_refused_legacy(const struct sev_subtest *t)
{
	return refused(true);
}

static const struct sev_subtest subtests[] = {
	SEV_DEBUG_SUBTEST(swap, create),
	SEV_DEBUG_SUBTEST(no_swap, create),
	SEV_DEBUG_SUBTEST(set_while_loaded, create),
	SEV_DEBUG_SUBTEST(cleared_while_loaded, create),
	{ "refused", test_refused },
	{ "refused_legacy", test_refused_legacy },
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
