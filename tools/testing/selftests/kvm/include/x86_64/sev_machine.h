/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SEV-ES guests of two vCPUs, for tests that send them from VM to VM.
 */
#ifndef SELFTEST_KVM_SEV_MACHINE_H
#define SELFTEST_KVM_SEV_MACHINE_H

#include <stdint.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "sev_transport.h"

#define SEV_MACHINE_VCPUS	2

/* Of this host; the root's have to be read before anything is sent. */
extern struct sev_certs sev_machine_certs;

/* Count what is wrong, and go on. */
extern int sev_machine_failures;

#define SEV_EXPECT(cond, fmt, ...)						\
	do {								\
		if (!(cond)) {						\
			ksft_print_msg("line %d: %s: " fmt "\n",	\
				       __LINE__, #cond, ##__VA_ARGS__);	\
			sev_machine_failures++;					\
		}							\
	} while (0)

#define SEV_EXPECT_CMD(call, want, want_fw)					\
	do {								\
		uint32_t fw = 0;					\
		int r = (call);						\
									\
		SEV_EXPECT(r == (want) && fw == (want_fw), "%d, firmware %u", r, fw); \
	} while (0)

/* Tests that consist of several, each of which counts what is wrong. */
struct sev_machine_test {
	const char *name;
	void (*run)(void);
};

/* What they need: SEV-ES, and the root's certificates: at @root, if not NULL. */
void sev_machine_require(const char *root);

/* Run one; or all, and report as KTAP but for its end. */
bool sev_machine_passes(const struct sev_machine_test *test);
void sev_machine_run_tests(const struct sev_machine_test *tests, int nr);

struct sev_machine {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[SEV_MACHINE_VCPUS];
	uint32_t stage[SEV_MACHINE_VCPUS];
	void *guest;
	void (*setup)(struct kvm_vm *vm);
};

/* Each vCPU starts at @guest with its number; @setup sees the VM before that. */
void sev_machine_create(struct sev_machine *m, void *guest,
			void (*setup)(struct kvm_vm *vm));
void sev_machine_launch(struct sev_machine *m, void *guest,
			void (*setup)(struct kvm_vm *vm));

/* Until the vCPU writes to a port, what it writes; for all in m->stage. */
uint32_t vcpu_run_to_exit(struct kvm_vcpu *vcpu);
void sev_machine_run(struct sev_machine *m);
void sev_machine_expect(const struct sev_machine *m, uint32_t stage);

/* What KVM has still to do for an exit, and no more. */
void vcpu_finish_exit(struct kvm_vcpu *vcpu);

/* Make @to like @from, and start; then move all; or both, and exits before. */
void sev_machine_connect(struct sev_machine *from, struct sev_machine *to);
void sev_machine_move(struct sev_machine *from, struct sev_machine *to);
void sev_machine_send(struct sev_machine *from, struct sev_machine *to);

#endif /* SELFTEST_KVM_SEV_MACHINE_H */
