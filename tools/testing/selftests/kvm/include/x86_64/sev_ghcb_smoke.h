/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Smoke tests of the GHCB protocol: SEV-ES guests with each version of it, a
 * device for them to talk to, and the simplest requests.
 *
 * All subtests of a program run in one guest, one after the other.  If one
 * fails, a new VM continues with the next.  Others have a VM of their own.
 */
#ifndef SELFTEST_KVM_SEV_GHCB_SMOKE_H
#define SELFTEST_KVM_SEV_GHCB_SMOKE_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/bits.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "ucall_common.h"

#define SEV_SMOKE_VCPUS		2

/*
 * The host's test device.  Ports: 0x2SNN accepts only accesses of S bytes, NN
 * times in one exit, with 0 for any number.  MMIO: offset 0xL00 accepts only
 * accesses of L bytes.  A read gives the complement of what was written, so
 * that no stale copy of the data can pass for an answer.
 */
#define DEV_PORT(size, count)	(0x2000 | (size) << 8 | (count))
#define DEV_GPA			0xd0000000ull
#define DEV_MMIO(len)		((len) << 8)

/* What the guest wants from the host, the first argument of a UCALL_SYNC. */
enum {
	SEV_SMOKE_RESULT,	/* index of a subtest, 0 or SEV_SMOKE_SKIPPED */
	SEV_SMOKE_SUM,		/* four numbers and their sum */
};

#define SEV_SMOKE_SKIPPED	1
#define SEV_SMOKE_TEXT		"guest 42"	/* to be printed before a sum */

struct sev_smoke {
	const char *name;
	void (*guest)(const struct sev_smoke *t);

	/* For those that only see a request refused. */
	struct sev_ghcb_call (*make)(void);
	uint64_t without;

	/* Versions of the protocol to which it applies, 0 for any. */
	uint16_t version;
};

/* In a VM of its own. */
struct sev_smoke_vm {
	const char *name;
	void (*guest)(void);
	int nr_vcpus;
	bool ap_waits_for_sipi;

	bool terminates;	/* with this, or with whatever */
	uint64_t term_data;
};

/* A program of tests; those in VMs of their own come last. */
struct sev_smoke_program {
	const struct sev_smoke *tests;
	int nr_tests;
	const struct sev_smoke_vm *vms;
	int nr_vms;

	/* Before the launch, if there is more to set up. */
	void (*prepare)(struct kvm_vm *vm);
};

int sev_smoke_main(const struct sev_smoke_program *program);

/* Guest side: written by the host before the launch. */
struct sev_smoke_config {
	const struct sev_smoke *tests;
	uint32_t nr_tests;
	uint32_t first;
	uint16_t version;
	uint8_t c_bit;
	uint64_t mmio;
	uint64_t shared;
	uint64_t shared_gpa;
	struct kvm_cpuid_entry2 cpuid[4];
	bool has_xsave;
};

extern struct sev_smoke_config sev_smoke_config;

void sev_smoke_ok(struct sev_ghcb_call *call);
void sev_smoke_refused(struct sev_ghcb_call call, uint64_t error);
void sev_smoke_valid(const struct sev_ghcb_call *call, uint64_t fields);
void sev_smoke_complement(const uint8_t *in, const uint8_t *out, int len);

/* Runs @code, which must take at least one #VC of that kind. */
#define EXPECT_VC(exit_code, code)					\
do {									\
	struct sev_ghcb_cpu *cpu = sev_ghcb_this_cpu();			\
	uint64_t nr_vc = READ_ONCE(cpu->nr_vc);				\
									\
	code;								\
	GUEST_ASSERT_NE(READ_ONCE(cpu->nr_vc), nr_vc);			\
	GUEST_ASSERT_EQ(READ_ONCE(cpu->last_vc), exit_code);		\
} while (0)

static inline uint64_t sev_smoke_pattern(int size)
{
	return 0x8877665544332211ull & GENMASK_ULL(size * 8 - 1, 0);
}

/* Guest side: requests, and instructions by way of the #VC handler. */
void sev_smoke_cpuid(const struct sev_smoke *t);
void sev_smoke_ioio(const struct sev_smoke *t);
void sev_smoke_string_io(const struct sev_smoke *t);
void sev_smoke_mmio(const struct sev_smoke *t);
void sev_smoke_invalid_event(const struct sev_smoke *t);
void sev_smoke_vc_cpuid(const struct sev_smoke *t);
void sev_smoke_vc_mmio(const struct sev_smoke *t);
void sev_smoke_ucall(const struct sev_smoke *t);

#endif /* SELFTEST_KVM_SEV_GHCB_SMOKE_H */
