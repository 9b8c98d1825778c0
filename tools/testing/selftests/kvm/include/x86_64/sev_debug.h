/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Debug registers of guests whose state is protected, and the host's while such
 * a guest runs: what is the same for all kinds of them.
 */
#ifndef SELFTEST_KVM_SEV_DEBUG_H
#define SELFTEST_KVM_SEV_DEBUG_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/bits.h>

#include "kvm_util.h"
#include "sev_subtests.h"

#define SEV_DEBUG_SWAP		BIT_ULL(5)	/* of the VMSA features */
#define SEV_DEBUG_VCPUS		2

struct sev_debug_vm {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[SEV_DEBUG_VCPUS];
};

/*
 * Creates a VM of @nr vCPUs, each of which starts at @guest with its number, and
 * launches it after sev_debug_prepare().
 */
typedef void (*sev_debug_create)(struct sev_debug_vm *d, void *guest,
				 uint64_t features, int nr);

void sev_debug_prepare(struct kvm_vm *vm);

/*
 * Guest side: all four breakpoints, in rounds with a GUEST_SYNC each, and then
 * GUEST_DONE.  They are hit, or it is not for the guest to use them.
 */
void sev_debug_guest(uint32_t id, bool hit);

/*
 * Host side: true if all is well, what is not is printed.  The thread of each
 * vCPU has a breakpoint of its own, which has to count what the thread does
 * between the rounds of the guest.
 */
bool sev_debug_run(struct sev_debug_vm *d);

/*
 * Subtests for each kind of VM: a guest that uses all breakpoints, with DebugSwap
 * and without; the host sets or clears a breakpoint while a vCPU is loaded.
 */
bool sev_debug_swap(const struct sev_subtest *t);
bool sev_debug_no_swap(const struct sev_subtest *t);
bool sev_debug_set_while_loaded(const struct sev_subtest *t);
bool sev_debug_cleared_while_loaded(const struct sev_subtest *t);

#define SEV_DEBUG_SUBTEST(name, create)						\
	{ #name, sev_debug_##name, &(const sev_debug_create) { create } }

#endif /* SELFTEST_KVM_SEV_DEBUG_H */
