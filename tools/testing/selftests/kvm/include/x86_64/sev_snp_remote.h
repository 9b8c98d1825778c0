/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SEV-SNP guests that the host drives from one thread: a vCPU calls what
 * function it is told to, reports, and waits for the next.  Whatever happens
 * between two vCPUs happens in the order in which the host says so.
 */
#ifndef SELFTEST_KVM_SEV_SNP_REMOTE_H
#define SELFTEST_KVM_SEV_SNP_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "sev_ghcb.h"
#include "sev_snp.h"

/* A call that the host wants of a vCPU, in memory that they share. */
struct sev_snp_errand {
	uint64_t fn;
	uint64_t args[4];
	uint64_t ret;
};

struct sev_snp_remote_vcpu {
	struct sev_snp_runner runner;
	struct sev_snp_errand *errand;
	uint64_t tag;		/* of its last report */
	bool reported;
};

struct sev_snp_remote {
	struct sev_snp_vm snp;
	struct sev_snp_mem mem;		/* what the guest knows as sev_snp_remote_mem */
	struct sev_snp_remote_vcpu vcpus[SEV_SNP_MAX_VCPUS];
	uint64_t ap_flags;
	int failures;
};

/* Count what is wrong, and go on. */
#define SEV_SNP_REMOTE_EXPECT(r, cond, fmt, args...)			\
({									\
	bool good = (cond);						\
									\
	if (!good) {							\
		ksft_print_msg("%s:%d: %s: " fmt "\n", __func__,	\
			       __LINE__, #cond, ##args);		\
		(r)->failures++;					\
	}								\
	good;								\
})

/*
 * Of the memory the guest validates the first pages, to make VMSAs of them, all
 * but the first of all: that is at the start of 2M.
 */
#define SEV_SNP_REMOTE_MEM_SIZE	(2UL << 20)
#define SEV_SNP_REMOTE_VMSAS	32

/*
 * Host side.
 */
static inline uint64_t sev_snp_remote_gpa(struct sev_snp_remote *r, int page)
{
	return r->mem.gpa + page * PAGE_SIZE;
}

static inline uint64_t sev_snp_remote_gva(struct sev_snp_remote *r, int page)
{
	return r->mem.private + page * PAGE_SIZE;
}

/*
 * All vCPUs are launched at sev_snp_serve(), with a tag of 0.  Those
 * beyond @nr_vcpus up to @nr_known have all that a guest needs but do not exist.
 * @ap_flags: of KVM_CAP_X86_SNP_AP.
 */
void sev_snp_remote_create(struct sev_snp_remote *r, uint32_t nr_vcpus,
			   uint32_t nr_known, uint64_t ap_flags);

/* True if nothing was wrong. */
bool sev_snp_remote_free(struct sev_snp_remote *r);

/* One of those, after the launch: as KVM makes it, plus CPUID. */
void sev_snp_remote_hotplug(struct sev_snp_remote *r, uint32_t id);

/*
 * What code in a guest needs to run on a vCPU with @id, but for the VMSA: it may
 * have several of these.  Before the launch.
 */
void sev_snp_alloc_context(struct kvm_vm *vm, uint32_t id, struct sev_snp_ap *ap);

/* KVM_RUN until the next report; false if there is none, see runner.error. */
bool sev_snp_remote_run(struct sev_snp_remote *r, uint32_t id);

/* Let @id, which has reported, call @fn: what it returns. */
uint64_t __sev_snp_remote_call(struct sev_snp_remote *r, uint32_t id, void *fn,
			       uint64_t a0, uint64_t a1, uint64_t a2, uint64_t a3);

#define sev_snp_remote_call(r, id, fn, args...)				\
	__SEV_SNP_REMOTE_CALL(r, id, fn, ##args, 0, 0, 0, 0)
#define __SEV_SNP_REMOTE_CALL(r, id, fn, a0, a1, a2, a3, ...)		\
	__sev_snp_remote_call(r, id, fn, (uint64_t)(a0), (uint64_t)(a1),	\
			      (uint64_t)(a2), (uint64_t)(a3))

/* As above, of a call after which the vCPU does not come back by itself. */
void sev_snp_remote_post(struct sev_snp_remote *r, uint32_t id, void *fn,
			 uint64_t a0);

/*
 * Let KVM do all that it does before it enters the guest, or puts the vCPU to
 * sleep, and neither of the two.  Then the mp_state says what it would have done.
 */
uint32_t sev_snp_remote_peek(struct sev_snp_remote *r, uint32_t id);
uint32_t sev_snp_remote_mp_state(struct sev_snp_remote *r, uint32_t id);

/* The KVM_RUN alone: errno, or 0. */
int sev_snp_remote_poke(struct sev_snp_remote *r, uint32_t id);

/* Run a vCPU that is about to stop until KVM says that it is in @mp_state. */
bool sev_snp_remote_run_to(struct sev_snp_remote *r, uint32_t id, uint32_t mp_state);

/*
 * AP creation, by a vCPU that has reported.  Its answer is SEV_SNP_ACCEPTED,
 * SEV_SNP_REFUSED, or something else.
 */
#define SEV_SNP_REQUEST(request, apic_id)				\
	((uint64_t)(apic_id) << 32 | SVM_VMGEXIT_AP_##request)

uint64_t sev_snp_remote_request(struct sev_snp_remote *r, uint32_t by,
				uint64_t info1, int page);

/* Make @page a VMSA with which @id would report @tag. */
void sev_snp_remote_fill(struct sev_snp_remote *r, uint32_t id, int page, uint64_t tag);

/* That and CREATE, by vCPU 0, with expectations. */
void sev_snp_remote_start(struct sev_snp_remote *r, uint32_t id, int page, uint64_t tag);
void sev_snp_remote_destroy(struct sev_snp_remote *r, uint32_t id);

/* What KVM_GET_MP_STATE says of a destroyed vCPU. */
uint32_t sev_snp_remote_destroyed(struct sev_snp_remote *r);

/* Expect that the vCPU reports @tag; it is not run if KVM does not want to. */
void sev_snp_remote_expect_runs(struct sev_snp_remote *r, uint32_t id, uint64_t tag);
void sev_snp_remote_expect_destroyed(struct sev_snp_remote *r, uint32_t id,
				     const char *when);

/*
 * When a VM is gone its memory must be of use to the host again, and the kernel's
 * log must not say that any of it had to be set aside.  Open the log before.
 */
int sev_snp_open_log(void);
bool sev_snp_nothing_leaked(int log);

/*
 * Guest side.
 */
extern struct sev_snp_mem sev_snp_remote_mem;

/* NMIs that the guest has taken. */
uint64_t sev_snp_guest_nmis(void);

/* At its start, to say that it is there; after that for each call. */
void __noreturn sev_snp_serve(uint64_t tag);

/* ... of a vCPU whose previous life ended wherever it was. */
void __noreturn sev_snp_serve_anew(uint64_t tag);

/* For AP creation.  All of them return what can be returned in 64 bits. */
uint64_t sev_snp_guest_setup(void);
uint64_t sev_snp_guest_fill(uint32_t id, void *vmsa, uint64_t tag);
uint64_t sev_snp_guest_validate(int page);
uint64_t sev_snp_guest_set_vmsa(void *vmsa, bool set);
uint64_t sev_snp_guest_ipi(uint32_t apic_id, uint32_t icr);
uint64_t sev_snp_guest_kick(uint32_t apic_id);
uint64_t sev_snp_guest_halt(void);
uint64_t sev_snp_guest_park(void);

/* INFO1 in the upper half, INFO2 in the lower. */
#define SEV_SNP_ANSWER(info1, info2)	((uint64_t)(info1) << 32 | (info2))
#define SEV_SNP_ACCEPTED		SEV_SNP_ANSWER(SEV_GHCB_OK, 0)
#define SEV_SNP_REFUSED							\
	SEV_SNP_ANSWER(SEV_GHCB_MALFORMED, SEV_GHCB_ERR_INVALID_INPUT)

uint64_t sev_snp_guest_request(uint64_t info1, uint64_t vmsa_gpa,
			       uint64_t change_features);

#endif /* SELFTEST_KVM_SEV_SNP_REMOTE_H */
