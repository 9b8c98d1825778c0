/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * NMIs in guests whose state is protected: what is the same for all kinds of
 * them.  The guest says when it can take the next one, with NMI_COMPLETE, and
 * KVM can neither single-step it nor intercept its IRET.
 */
#ifndef SELFTEST_KVM_SEV_NMI_H
#define SELFTEST_KVM_SEV_NMI_H

#include <stdbool.h>
#include <stdint.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev_subtests.h"

#define SEV_NMI_MAX_VCPUS	3

/*
 * Guests: each of @nr_vcpus starts at @code with its number, and ends with
 * GUEST_DONE.
 */
struct sev_nmi_guest {
	void (*code)(uint32_t id);
	void (*handler)(struct ex_regs *regs);
	int nr_vcpus;
	int vector;		/* the handler's; 0: that of NMIs */
	bool ap_waits_for_sipi;

	/*
	 * The write to the trap page, in an interrupt shadow, has to end KVM_RUN
	 * once: then the host sends an NMI, lets the guest have the page, and enters
	 * the guest in the shadow with the NMI pending.
	 */
	bool needs_trap;
};

/* NMIs from two vCPUs that hardly wait at all. */
extern const struct sev_nmi_guest sev_nmi_storm;

/*
 * main() of a test: the subtests that are the same for all kinds of guests, and
 * @own.  @run finds a struct sev_nmi_guest by the subtest's data.
 */
int sev_nmi_main(int argc, char *argv[],
		 bool (*run)(const struct sev_subtest *t),
		 const struct sev_subtest *own, int nr_own);

/* Before the launch. */
void vm_sev_nmi_prepare(struct kvm_vm *vm, struct kvm_vcpu *vcpus[],
			const struct sev_nmi_guest *guest);
void vm_sev_nmi_set_trap_page(struct kvm_vm *vm, uint64_t gva);
void vm_sev_nmi_set_storm(struct kvm_vm *vm, uint64_t nr);

/* Guest side, for guests of a test's own: handlers that were left. */
extern uint64_t sev_nmi_done;

void sev_nmi_counting_handler(struct ex_regs *regs);

#endif /* SELFTEST_KVM_SEV_NMI_H */
