/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The parts of sev_migrate_vmm, a small reference VMM that sends a running
 * SEV-ES guest to another host, or receives it.
 *
 *   guest.c        the guest: it watches its memory, and counts
 *   run.c          vCPU threads, and what the guest asks of the host
 *   source.c       sends
 *   line.c         its end of the line
 *   destination.c  receives
 *   damage.c       what to flip bits of, on demand
 */
#ifndef SELFTEST_KVM_SEV_MIGRATE_MIGRATE_H
#define SELFTEST_KVM_SEV_MIGRATE_MIGRATE_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "kvm_util.h"
#include "sev_transport.h"
#include "sev_wire.h"

#define SEV_MIGRATE_VCPUS	2

/* What the guest says at these ports, 4 bytes at a time */
#define SEV_MIGRATE_PORT_COUNT	0x60	/* out: pages rewritten, each STEP */
#define SEV_MIGRATE_PORT_ORDER	0x61	/* in: one of the below */
#define SEV_MIGRATE_PORT_RESULT	0x62	/* out: of a check, one of the below */

#define SEV_MIGRATE_STEP	16

#define SEV_MIGRATE_GO_ON	0
#define SEV_MIGRATE_CHECK	1

#define SEV_MIGRATE_GOOD	1
#define SEV_MIGRATE_STALE	2	/* a page of an earlier time */
#define SEV_MIGRATE_TORN	3	/* a page of no time at all */
#define SEV_MIGRATE_SUM		4	/* sums over all pages differ */
#define SEV_MIGRATE_CLOCK	5	/* the TSC went back */

/* What the user wants to have happen */
enum sev_migrate_expect {
	SEV_MIGRATE_EXPECT_DONE,
	SEV_MIGRATE_EXPECT_REFUSED,	/* the guest stays where it was */
	SEV_MIGRATE_EXPECT_LOSS,	/* the guest misses a page */
	SEV_MIGRATE_EXPECT_SWAP,	/* it finds one where another should be */
};

struct sev_migrate_options {
	const char *host;
	const char *port;
	const char *root;		/* file of AMD's certificates, or NULL */
	const char *damage;		/* kind of message, "all" or NULL */
	enum sev_migrate_expect expect;
	uint32_t megabytes;
	uint32_t policy;
	uint32_t quit_after;		/* pages; 0: never */
	int wait;			/* seconds, for the other host */
};

/* A message for the user, and the end. */
void __noreturn __printf(1, 2) sev_migrate_die(const char *fmt, ...);
/* A line, unless there was one a moment ago */
void __printf(1, 2) sev_migrate_progress(const char *fmt, ...);
void __printf(1, 2) sev_migrate_say(const char *fmt, ...);
/* In @text, which is returned */
#define SEV_MIGRATE_ERROR_LEN	80
const char *sev_migrate_error(char text[SEV_MIGRATE_ERROR_LEN], int error, uint32_t fw);

/*
 * guest.c
 */
uint32_t sev_migrate_nr_pages(const struct sev_migrate_options *o);
struct kvm_vm *sev_migrate_create_guest(const struct sev_migrate_options *o,
					struct kvm_vcpu *vcpus[]);
/* Where the pages begin that vCPU 0 and 1 rewrite in turn */
uint64_t sev_migrate_work_gpa(void);

/*
 * run.c
 */
struct sev_migrate_cpu {
	struct kvm_vcpu *vcpu;
	pthread_t thread;
	bool stop;
	/* Written by the thread; done comes after result. */
	bool done;
	uint32_t result;
	uint64_t count;			/* as the vCPU has said last */
	/* Read by the thread */
	uint32_t order;
	uint32_t pause;			/* microseconds, each STEP */
};

struct sev_migrate_run {
	uint32_t nr;
	struct sev_migrate_cpu cpus[SEV_WIRE_VCPUS];
};

void sev_migrate_start(struct sev_migrate_run *run);
/* All vCPUs out of KVM_RUN, and what they asked for answered */
void sev_migrate_stop(struct sev_migrate_run *run);
bool sev_migrate_done(const struct sev_migrate_cpu *cpu);
/* What all have rewritten so far */
uint64_t sev_migrate_count(const struct sev_migrate_run *run);
void sev_migrate_pause(struct sev_migrate_run *run, uint32_t microseconds);
/* Until each vCPU has rewritten @pages more */
void sev_migrate_await(struct sev_migrate_run *run, uint64_t pages);
/* Have the guest, which runs, look at all of its memory; then stop it. */
uint32_t sev_migrate_check(struct sev_migrate_run *run);
const char *sev_migrate_result(uint32_t result);

/*
 * source.c, destination.c: exit statuses
 */
int sev_migrate_send(const struct sev_migrate_options *o);
int sev_migrate_receive(const struct sev_migrate_options *o);

/*
 * damage.c
 */

/* Bits of a body that somebody behind the checksums has to refuse */
struct sev_migrate_region {
	uint32_t kind;
	const char *name;
	uint32_t first;			/* bits */
	uint32_t last;
	uint32_t step;
	int error;
	uint32_t fw;
	uint32_t other_fw;
};

extern const struct sev_migrate_region sev_migrate_regions[];

bool sev_migrate_damages(const struct sev_migrate_options *o, uint32_t kind);
/* Each bit of a head and of short bodies, some bits of long ones */
uint32_t sev_migrate_next_bit(const struct sev_wire_message *m, uint32_t bit);
uint32_t sev_migrate_nr_bits(const struct sev_wire_message *m);
void sev_migrate_flip(void *data, uint32_t bit);

#endif /* SELFTEST_KVM_SEV_MIGRATE_MIGRATE_H */
