// SPDX-License-Identifier: GPL-2.0-only
/*
 * Three vCPUs of a SEV-SNP guest create and destroy the fourth at the same time,
 * and userspace and other vCPUs do to it all that makes vCPUs run, or stop.
 *
 *	sev_snp_ap_race_test [stress [ROUNDS]]
 *
 * ROUNDS is how often, at least, the fourth vCPU is created, and how often it is
 * destroyed: the three take turns until both have been accepted so many times.  A
 * turn is one of CREATE, CREATE_ON_INIT, DESTROY, or an event sent to the vCPU, at
 * random.  Not each CREATE leads to a life: the next request may come before.
 *
 * Each of the three has VMSA pages of its own.  Whichever is neither the last one
 * that it asked for, nor waits for INIT, has to be its own again as soon as the
 * request is answered.  In the end the guest starts the fourth vCPU once more, the
 * host reuses the memory, and the kernel must not have set any of it aside.
 */
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <linux/kernel.h>
#include <linux/sizes.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "sev_snp_remote.h"
#include "sev_subtests.h"
#include "svm_util.h"
#include "test_util.h"
#include "ucall_common.h"

#define NR_CREATORS	3
#define VICTIM		3
#define NR_VCPUS	4

/* Per creator: what is live, what is to follow, and what may be filled in. */
#define NR_PAGES	3

#define MEM_SLOT	10
#define MEM_GPA		SZ_4G

#define SHORT_ROUNDS	150
#define MAX_RESPITE	200		/* exits */

/* More often, and nothing else would happen. */
#define DISTURB_US	1000

/* What takes longer than this, besides two rounds a second, hangs. */
#define TIMEOUT_SECONDS	60

#define SYNC_FIRST_LIFE		1
#define SYNC_CREATORS_DONE	2

/*
 * Written by the host.
 */
static struct sev_snp_mem mem;
static struct sev_snp_ap contexts[NR_CREATORS][NR_PAGES];
static struct guest_random_state rngs[NR_VCPUS];
static uint64_t nr_rounds;
static bool strict;

/*
 * Private to the guest.
 */
static uint64_t nr_done;
static uint64_t nr_launch_runs;
static uint64_t nr_lives;
static uint64_t nr_nmis;
static uint64_t nr_created;
static uint64_t nr_on_init;
static uint64_t nr_destroyed;
static uint64_t nr_events;
static uint64_t nr_refused;

static void count(uint64_t *counter)
{
	__atomic_fetch_add(counter, 1, __ATOMIC_RELAXED);
}

/* NMIs stay masked from here on: they do not nest, whatever they interrupt. */
static void nmi_handler(struct ex_regs *regs)
{
	count(&nr_nmis);
}

/* One life of the victim.  It ends anywhere. */
static void victim(uint64_t seed)
{
	struct guest_random_state rng = new_guest_random_state(seed);
	uint32_t eax, ebx, ecx, edx;

	count(&nr_lives);
	for (;;) {
		switch (guest_random_u32(&rng) % 8) {
		case 0:
			asm volatile("sti; hlt; cli" : : : "memory");
			break;
		case 1:
			sev_snp_guest_park();
			break;
		case 2:
		case 3:
			cpuid(0x80000000, &eax, &ebx, &ecx, &edx);
			GUEST_ASSERT(eax > 0x80000000);
			break;
		default:
			cpu_relax();
		}
	}
}

static void victim_done(uint64_t arg)
{
	uint32_t eax, ebx, ecx, edx;

	cpuid(0x80000000, &eax, &ebx, &ecx, &edx);
	GUEST_ASSERT(eax > 0x80000000);
	GUEST_DONE();
}

/* What a creator knows of its pages. */
struct creator {
	uint32_t id;
	uint32_t used;		/* by the victim, perhaps */
	uint32_t vmsas;		/* marked as such */
	struct guest_random_state *rng;
};

static uint32_t random_below(struct creator *c, uint32_t n)
{
	return guest_random_u32(c->rng) % n;
}

static void take_back(struct creator *c, uint32_t still_used)
{
	int i, rc;

	c->used &= still_used;
	for (i = 0; i < NR_PAGES; i++) {
		if (!(c->vmsas & ~c->used & BIT(i)))
			continue;
		rc = sev_snp_set_vmsa(contexts[c->id][i].vmsa, false);
		__GUEST_ASSERT(!rc, "RMPADJUST of a page that is not in use: %d", rc);
		memset(contexts[c->id][i].vmsa, 0xff, PAGE_SIZE);
		c->vmsas &= ~BIT(i);
	}
}

/* No life that this context had goes on. */
static struct sev_snp_ap *fill(struct creator *c, int page, void *entry)
{
	struct sev_snp_ap *context = &contexts[c->id][page];
	struct sev_ghcb_cpu *cpu = (void *)context->cpu;

	cpu->version = 0;
	cpu->depth = 0;
	sev_snp_fill_vmsa(context->vmsa, VICTIM, entry, guest_random_u32(c->rng));
	context->vmsa->gs.base = context->cpu;
	context->vmsa->rsp = context->stack;
	GUEST_ASSERT_EQ(sev_snp_set_vmsa(context->vmsa, true), 0);
	c->vmsas |= BIT(page);
	return context;
}

static bool accepted(struct sev_ghcb_call call)
{
	uint64_t answer;

	sev_ghcb_vmgexit(&call);
	answer = SEV_SNP_ANSWER(call.info1, call.info2);
	if (strict && answer == SEV_SNP_REFUSED) {
		count(&nr_refused);
		return false;
	}
	__GUEST_ASSERT(answer == SEV_SNP_ACCEPTED, "0x%lx 0x%lx: 0x%lx", call.info1,
		       call.info2, answer);
	return true;
}

static void destroy(struct creator *c)
{
	__GUEST_ASSERT(accepted(sev_snp_ap_destroy(VICTIM)), "DESTROY was refused");
	count(&nr_destroyed);
	take_back(c, 0);
}

static void create(struct creator *c, int page, void *entry)
{
	struct sev_snp_ap *context = fill(c, page, entry);

	if (accepted(sev_snp_ap_create(VICTIM, context->vmsa_gpa))) {
		count(&nr_created);
		c->used |= BIT(page);
		take_back(c, BIT(page));
	} else {
		take_back(c, c->used);
	}
}

static void create_on_init(struct creator *c, int page)
{
	struct sev_snp_ap *context = fill(c, page, victim);

	if (accepted(sev_snp_ap_create_on_init(VICTIM, context->vmsa_gpa))) {
		count(&nr_on_init);
		c->used |= BIT(page);
	}
	take_back(c, c->used);
}

static void disturb(struct creator *c)
{
	static const uint32_t modes[] = { APIC_DM_NMI, APIC_DM_INIT, APIC_DM_STARTUP };
	uint32_t n = random_below(c, ARRAY_SIZE(modes) + 1);

	count(&nr_events);
	if (n < ARRAY_SIZE(modes))
		sev_snp_guest_ipi(VICTIM, modes[n] | APIC_INT_ASSERT);
	else
		sev_snp_guest_kick(VICTIM);
}

/*
 * Without a respite now and then no vCPU would come to live, for it takes longer to
 * start one than to destroy it.
 */
static void wait_a_while(struct creator *c)
{
	uint64_t before = READ_ONCE(nr_lives);
	uint32_t n = random_below(c, MAX_RESPITE);

	while (n-- && READ_ONCE(nr_lives) == before)
		sev_ghcb_msr_call(SEV_GHCB_MSR_HV_FT_REQ);
}

/* All pages may be in use, as far as this one knows: then it takes no turn. */
static void one_turn(struct creator *c)
{
	int page = ffs(~c->used & (BIT(NR_PAGES) - 1)) - 1;

	wait_a_while(c);

	switch (random_below(c, 4)) {
	case 0:
		destroy(c);
		return;
	case 1:
		disturb(c);
		return;
	case 2:
		if (page >= 0)
			create_on_init(c, page);
		return;
	default:
		if (page >= 0)
			create(c, page, victim);
	}
}

static void wait_for(uint64_t *p, uint64_t value)
{
	while (READ_ONCE(*p) < value)
		cpu_relax();
}

static void enable_x2apic(void)
{
	wrmsr(MSR_IA32_APICBASE, rdmsr(MSR_IA32_APICBASE) |
	      MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE);
}

static void validate(uint32_t id)
{
	sev_snp_validate(&mem, (1 + id * NR_PAGES) * PAGE_SIZE, NR_PAGES * PAGE_SIZE, true);
}

static bool all_rounds_done(void)
{
	return READ_ONCE(nr_created) >= nr_rounds && READ_ONCE(nr_destroyed) >= nr_rounds;
}

static void guest_rounds(struct creator *c)
{
	while (!all_rounds_done())
		one_turn(c);
	/* Pages that another one's request has released are the guest's as well. */
	destroy(c);
	count(&nr_done);
}

static void guest_other(uint32_t id)
{
	struct creator c = { .id = id, .rng = &rngs[id] };

	wait_for(&nr_done, 1);
	enable_x2apic();
	validate(id);
	guest_rounds(&c);
}

/* The first one is there before the others, and stays longer. */
static void guest_first(void)
{
	struct creator c = { .id = 0, .rng = &rngs[0] };
	uint64_t launch_runs;

	enable_x2apic();
	validate(0);
	destroy(&c);
	launch_runs = READ_ONCE(nr_launch_runs);
	create(&c, 0, victim);
	wait_for(&nr_lives, 1);
	destroy(&c);

	GUEST_SYNC(SYNC_FIRST_LIFE);
	WRITE_ONCE(nr_done, 1);
	guest_rounds(&c);
	wait_for(&nr_done, NR_CREATORS + 1);
	GUEST_SYNC(SYNC_CREATORS_DONE);

	GUEST_ASSERT_EQ(READ_ONCE(nr_launch_runs), launch_runs);
	GUEST_PRINTF("rounds: %lu wanted, created %lu times, destroyed %lu times",
		     nr_rounds, nr_created, nr_destroyed);
	GUEST_PRINTF("besides: %lu CREATE_ON_INIT, %lu events, %lu requests refused",
		     nr_on_init, nr_events, nr_refused);
	GUEST_PRINTF("%lu lives, %lu NMIs", nr_lives, nr_nmis);
	create(&c, 0, victim_done);
	GUEST_DONE();
}

static void guest_code(uint32_t id)
{
	if (id == VICTIM) {
		for (;;) {
			sev_snp_guest_park();
			WRITE_ONCE(nr_launch_runs, nr_launch_runs + 1);
		}
	}
	if (!id)
		guest_first();
	guest_other(id);
	GUEST_DONE();
}

/*
 * Host: those that disturb.
 */
struct race {
	struct sev_snp_vm snp;
	struct sev_snp_runner runners[NR_VCPUS];
	pthread_t threads[NR_VCPUS], states, msis;
	sem_t ended;
	bool disturbed;
	bool stop_disturbing;
	bool give_up;
	uint64_t nr_states, nr_refused, nr_msis;
};

/* container_of() for the callback that gets a runner. */
static struct race race;

/* An ioctl() of a vCPU waits until it is out of KVM_RUN. */
static void pause_victim(bool pause)
{
	race.runners[VICTIM].vcpu->run->immediate_exit = pause || READ_ONCE(race.give_up);
	if (pause)
		pthread_kill(race.threads[VICTIM], SIGUSR1);
}

static void set_state(struct guest_random_state *rng)
{
	const uint32_t states[] = {
		KVM_MP_STATE_RUNNABLE, KVM_MP_STATE_UNINITIALIZED,
		KVM_MP_STATE_INIT_RECEIVED, KVM_MP_STATE_SIPI_RECEIVED,
		KVM_MP_STATE_HALTED, KVM_MP_STATE_AP_RESET_HOLD,
	};
	struct kvm_mp_state state = {
		states[guest_random_u32(rng) % ARRAY_SIZE(states)],
	};
	struct sev_snp_runner *r = &race.runners[VICTIM];

	/* What it does not take is up to which vCPU was first. */
	if (!__vcpu_ioctl(r->vcpu, KVM_SET_MP_STATE, &state))
		race.nr_states++;
	else if (errno == EINVAL)
		race.nr_refused++;
	else
		sev_snp_fail(r, "KVM_SET_MP_STATE: %s", strerror(errno));
}

static void *disturb_states(void *arg)
{
	struct guest_random_state rng = new_guest_random_state(guest_random_seed + 100);
	struct kvm_vcpu *vcpu = race.runners[VICTIM].vcpu;
	struct kvm_mp_state state;

	while (!READ_ONCE(race.stop_disturbing)) {
		pause_victim(true);
		if (guest_random_u32(&rng) % 4)
			set_state(&rng);
		else
			__vcpu_ioctl(vcpu, KVM_NMI, NULL);
		__vcpu_ioctl(vcpu, KVM_GET_MP_STATE, &state);
		pause_victim(false);
		usleep(DISTURB_US);
	}
	return NULL;
}

/* These do not wait for anything. */
static void *disturb_msis(void *arg)
{
	static const uint32_t modes[] = { APIC_DM_NMI, APIC_DM_INIT, APIC_DM_STARTUP };
	struct guest_random_state rng = new_guest_random_state(guest_random_seed + 101);
	struct kvm_msi msi = { .address_lo = APIC_DEFAULT_GPA | VICTIM << 12 };

	while (!READ_ONCE(race.stop_disturbing)) {
		msi.data = modes[guest_random_u32(&rng) % ARRAY_SIZE(modes)];
		__vm_ioctl(race.snp.vm, KVM_SIGNAL_MSI, &msi);
		race.nr_msis++;
		usleep(DISTURB_US);
	}
	return NULL;
}

static void start_disturbing(void)
{
	race.disturbed = true;
	pthread_create(&race.states, NULL, disturb_states, NULL);
	pthread_create(&race.msis, NULL, disturb_msis, NULL);
}

static void stop_disturbing(void)
{
	if (!race.disturbed)
		return;

	race.disturbed = false;
	WRITE_ONCE(race.stop_disturbing, true);
	pthread_join(race.states, NULL);
	pthread_join(race.msis, NULL);
}

static void on_sync(struct sev_snp_runner *r, struct ucall *uc)
{
	if (uc->args[1] == SYNC_FIRST_LIFE)
		start_disturbing();
	else
		stop_disturbing();
}

/*
 * Host: vCPUs.
 */
static void *run_vcpu(void *arg)
{
	struct sev_snp_runner *r = arg;

	while (!READ_ONCE(race.give_up) && sev_snp_run_once(r))
		;
	sem_post(&race.ended);
	return NULL;
}

/* Until all are done, or one of them never will be. */
static bool wait_for_vcpus(unsigned int seconds)
{
	struct timespec deadline;
	int i, j;

	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += seconds;
	for (i = 0; i < NR_VCPUS; i++) {
		while (sem_timedwait(&race.ended, &deadline)) {
			if (errno == EINTR)
				continue;
			ksft_print_msg("not done after %u s\n", seconds);
			return false;
		}
		for (j = 0; j < NR_VCPUS; j++) {
			if (race.runners[j].error[0] || race.runners[j].terminated)
				return false;
		}
	}
	return true;
}

static void give_up(void)
{
	int i;

	WRITE_ONCE(race.give_up, true);
	for (i = 0; i < NR_VCPUS; i++) {
		race.runners[i].vcpu->run->immediate_exit = 1;
		pthread_kill(race.threads[i], SIGUSR1);
	}
}

static void ignore_signal(int signal)
{
}

static bool run_race(unsigned int seconds)
{
	bool ok;
	int i;

	signal(SIGUSR1, ignore_signal);
	sem_init(&race.ended, 0, 0);
	for (i = 0; i < NR_VCPUS; i++) {
		race.runners[i].vcpu = race.snp.vcpus[i];
		race.runners[i].sync = on_sync;
		pthread_create(&race.threads[i], NULL, run_vcpu, &race.runners[i]);
	}
	ok = wait_for_vcpus(seconds);
	if (!ok)
		give_up();

	for (i = 0; i < VICTIM; i++)
		pthread_join(race.threads[i], NULL);
	stop_disturbing();
	pthread_join(race.threads[VICTIM], NULL);

	for (i = 0; i < NR_VCPUS; i++) {
		if (race.runners[i].terminated)
			sev_snp_fail(&race.runners[i], "terminated with 0x%lx",
				     race.runners[i].term_data);
		if (race.runners[i].error[0])
			ksft_print_msg("vCPU %d: %s\n", i, race.runners[i].error);
		ok &= race.runners[i].done && !race.runners[i].error[0];
	}
	return ok;
}

/*
 * Host: the VM.
 */
struct how {
	uint64_t ap_flags;
	uint64_t rounds;
};

static uint64_t stress_rounds = 10000;

static void alloc_contexts(struct kvm_vm *vm)
{
	struct sev_snp_ap *context;
	int i, nr;

	for (i = 0; i < NR_CREATORS * NR_PAGES; i++) {
		context = &contexts[i / NR_PAGES][i % NR_PAGES];
		nr = 1 + i;		/* the first is 2M-aligned */
		sev_snp_alloc_context(vm, VICTIM, context);
		context->vmsa = (void *)mem.private + nr * PAGE_SIZE;
		context->vmsa_gpa = mem.gpa + nr * PAGE_SIZE;
	}
	sync_global_to_guest(vm, contexts);
}

static void create_vm(struct sev_snp_vm *snp, const struct how *how)
{
	struct sev_snp_config config = SEV_SNP_DEFAULT_CONFIG;
	int i;

	config.mem_pages = SZ_2M / PAGE_SIZE;
	config.cap = KVM_CAP_X86_SNP_AP;
	config.cap_arg = how->ap_flags;
	sev_snp_create(snp, &config, NR_VCPUS, guest_code);
	sev_snp_add_mem(snp, MEM_SLOT, MEM_GPA, SZ_2M, &mem);
	sync_global_to_guest(snp->vm, mem);
	alloc_contexts(snp->vm);
	vm_install_exception_handler(snp->vm, NMI_VECTOR, nmi_handler);

	nr_rounds = how->rounds ?: stress_rounds;
	sync_global_to_guest(snp->vm, nr_rounds);
	strict = how->ap_flags & KVM_X86_SNP_AP_STRICT;
	sync_global_to_guest(snp->vm, strict);
	for (i = 0; i < NR_VCPUS; i++) {
		rngs[i] = new_guest_random_state(guest_random_seed + i);
		vcpu_args_set(snp->vcpus[i], 1, i);
	}
	sync_global_to_guest(snp->vm, rngs);
	sev_snp_launch(snp);
}

static bool run(const struct sev_subtest *t)
{
	int log = sev_snp_open_log();
	bool ok;

	memset(&race, 0, sizeof(race));
	create_vm(&race.snp, t->data);
	ok = run_race(TIMEOUT_SECONDS + nr_rounds / 2);
	ksft_print_msg("%lu states set, %lu refused, %lu MSIs\n", race.nr_states,
		       race.nr_refused, race.nr_msis);
	sev_snp_free(&race.snp);
	return ok & sev_snp_nothing_leaked(log);
}

#define STRICT	(KVM_X86_SNP_AP_STRICT | KVM_X86_SNP_AP_STOPPED)

static const struct sev_subtest subtests[] = {
	{ "normal", run, &(const struct how){ 0, SHORT_ROUNDS } },
	{ "strict", run, &(const struct how){ STRICT, SHORT_ROUNDS } },
	{ "stress", run, &(const struct how){ }, .takes_long = true },
	{ "stress_strict", run, &(const struct how){ STRICT }, .takes_long = true },
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE_SEV_SNP();

	if (argc > 2)
		stress_rounds = atoi_positive("Rounds", argv[2]);
	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
