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

#define SEV_NMI_MAX_VCPUS	3

/*
 * Guests: each of @nr_vcpus starts at @code with its number, and ends with
 * GUEST_DONE.
 */
struct sev_nmi_guest {
	void (*code)(uint32_t id);
	void (*handler)(struct ex_regs *regs);
	int nr_vcpus;
	bool ap_waits_for_sipi;
	bool needs_trap;	/* sev_nmi_trap_page */
};

/* A second NMI comes while the first is handled; without an exit in between. */
extern const struct sev_nmi_guest sev_nmi_nested, sev_nmi_no_exit;

/* The handler uses what the code that it interrupts has in its registers. */
extern const struct sev_nmi_guest sev_nmi_registers;

/* The NMI's vector, by an INT that does not get to the handler at once. */
extern const struct sev_nmi_guest sev_nmi_software_int;

/* NMI_COMPLETE with no NMI in service. */
extern const struct sev_nmi_guest sev_nmi_no_nmi;

/* NMIs from one vCPU that waits for each; from two that hardly wait at all. */
extern const struct sev_nmi_guest sev_nmi_exact, sev_nmi_storm;

/* To an AP that waits for a SIPI. */
extern const struct sev_nmi_guest sev_nmi_parked;

/*
 * The write to the trap page, in an interrupt shadow, has to end KVM_RUN once:
 * then the host sends an NMI, lets the guest have the page, and enters the guest
 * in the shadow with the NMI pending.
 */
extern const struct sev_nmi_guest sev_nmi_sti_shadow, sev_nmi_mov_ss_shadow;
extern const struct sev_nmi_guest sev_nmi_shadow_without_if;

/* All of them but the storm as subtests; @run finds the guest by the data. */
#define SEV_NMI_SUBTEST(name, run)	{ #name, run, &sev_nmi_##name }

#define SEV_NMI_SUBTESTS(run)							\
	SEV_NMI_SUBTEST(nested, run),						\
	SEV_NMI_SUBTEST(registers, run),					\
	SEV_NMI_SUBTEST(software_int, run),					\
	SEV_NMI_SUBTEST(no_nmi, run),						\
	SEV_NMI_SUBTEST(sti_shadow, run),					\
	SEV_NMI_SUBTEST(mov_ss_shadow, run),					\
	SEV_NMI_SUBTEST(shadow_without_if, run),				\
	SEV_NMI_SUBTEST(no_exit, run),						\
	SEV_NMI_SUBTEST(exact, run),						\
	SEV_NMI_SUBTEST(parked, run)

/* Before the launch. */
void vm_sev_nmi_prepare(struct kvm_vm *vm, struct kvm_vcpu *vcpus[],
			const struct sev_nmi_guest *guest);
void vm_sev_nmi_set_trap_page(struct kvm_vm *vm, uint64_t gva);
void vm_sev_nmi_set_storm(struct kvm_vm *vm, uint64_t nr);

/* Guest side, for guests of a test's own: handlers that were left. */
extern uint64_t sev_nmi_done;

void sev_nmi_counting_handler(struct ex_regs *regs);

#endif /* SELFTEST_KVM_SEV_NMI_H */
