// SPDX-License-Identifier: GPL-2.0-only
/*
 * vCPU threads of sev_migrate_vmm, and what the guest asks of the host.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "kvm_util.h"
#include "sev_machine.h"
#include "migrate.h"

const char *sev_migrate_result(uint32_t result)
{
	switch (result) {
	case SEV_MIGRATE_GOOD:
		return "all of its memory is as it left it";
	case SEV_MIGRATE_STALE:
		return "a page is older than the rest";
	case SEV_MIGRATE_TORN:
		return "a page is garbage, or of two halves";
	case SEV_MIGRATE_SUM:
		return "the sums over its memory are wrong";
	case SEV_MIGRATE_CLOCK:
		return "its TSC went back";
	default:
		return "it says nonsense";
	}
}

/* Each STEP once, in order, on whichever host */
static void take_count(struct sev_migrate_cpu *cpu, uint32_t count)
{
	uint64_t next = cpu->count + SEV_MIGRATE_STEP;
	uint32_t pause;

	if ((uint32_t)next != count)
		sev_migrate_die("vCPU %u counts to %u, not to %u: some of its state is lost",
				cpu->vcpu->id, count, (uint32_t)next);

	__atomic_store_n(&cpu->count, next, __ATOMIC_RELEASE);
	pause = __atomic_load_n(&cpu->pause, __ATOMIC_RELAXED);
	if (pause)
		usleep(pause);
}

static void handle_exit(struct sev_migrate_cpu *cpu)
{
	struct kvm_run *run = cpu->vcpu->run;
	uint32_t *data = (void *)run + run->io.data_offset;

	if (run->exit_reason != KVM_EXIT_IO)
		sev_migrate_die("vCPU %u: KVM_RUN ended with %s", cpu->vcpu->id,
				exit_reason_str(run->exit_reason));

	switch (run->io.port) {
	case SEV_MIGRATE_PORT_COUNT:
		take_count(cpu, *data);
		break;
	case SEV_MIGRATE_PORT_ORDER:
		*data = __atomic_exchange_n(&cpu->order, SEV_MIGRATE_GO_ON, __ATOMIC_ACQ_REL);
		break;
	case SEV_MIGRATE_PORT_RESULT:
		cpu->result = *data;
		__atomic_store_n(&cpu->done, true, __ATOMIC_RELEASE);
		break;
	default:
		sev_migrate_die("vCPU %u: port %#x: the guest has died of an exception",
				cpu->vcpu->id, run->io.port);
	}
}

static void *run_vcpu(void *arg)
{
	struct sev_migrate_cpu *cpu = arg;

	while (!__atomic_load_n(&cpu->stop, __ATOMIC_ACQUIRE)) {
		if (!__vcpu_run(cpu->vcpu))
			handle_exit(cpu);
		else if (errno != EINTR)
			sev_migrate_die("vCPU %u: KVM_RUN: %s", cpu->vcpu->id,
					strerror(errno));
	}
	return NULL;
}

static void no_handler(int sig)
{
}

void sev_migrate_start(struct sev_migrate_run *run)
{
	struct sigaction action = { .sa_handler = no_handler };
	uint32_t i;

	sigaction(SIGUSR1, &action, NULL);
	for (i = 0; i < run->nr; i++) {
		run->cpus[i].stop = false;
		pthread_create(&run->cpus[i].thread, NULL, run_vcpu, &run->cpus[i]);
	}
}

void sev_migrate_stop(struct sev_migrate_run *run)
{
	struct sev_migrate_cpu *cpu;

	for (cpu = run->cpus; cpu < &run->cpus[run->nr]; cpu++) {
		__atomic_store_n(&cpu->stop, true, __ATOMIC_RELEASE);
		cpu->vcpu->run->immediate_exit = 1;
		pthread_kill(cpu->thread, SIGUSR1);
		pthread_join(cpu->thread, NULL);
		vcpu_finish_exit(cpu->vcpu);
	}
}

bool sev_migrate_done(const struct sev_migrate_cpu *cpu)
{
	return __atomic_load_n(&cpu->done, __ATOMIC_ACQUIRE);
}

uint64_t sev_migrate_count(const struct sev_migrate_run *run)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < run->nr; i++)
		sum += __atomic_load_n(&run->cpus[i].count, __ATOMIC_ACQUIRE);
	return sum;
}

void sev_migrate_pause(struct sev_migrate_run *run, uint32_t microseconds)
{
	uint32_t i;

	for (i = 0; i < run->nr; i++)
		__atomic_store_n(&run->cpus[i].pause, microseconds, __ATOMIC_RELAXED);
}

void sev_migrate_await(struct sev_migrate_run *run, uint64_t pages)
{
	uint64_t until[SEV_WIRE_VCPUS];
	struct sev_migrate_cpu *cpu;
	uint32_t i;

	for (i = 0; i < run->nr; i++)
		until[i] = __atomic_load_n(&run->cpus[i].count, __ATOMIC_ACQUIRE) + pages;
	for (i = 0; i < run->nr; i++) {
		cpu = &run->cpus[i];
		while (__atomic_load_n(&cpu->count, __ATOMIC_ACQUIRE) < until[i] &&
		       !sev_migrate_done(cpu))
			usleep(1000);
	}
}

uint32_t sev_migrate_check(struct sev_migrate_run *run)
{
	uint32_t i, result = SEV_MIGRATE_GOOD;

	/* One that has found something is done already. */
	for (i = 0; i < run->nr; i++)
		__atomic_store_n(&run->cpus[i].order, SEV_MIGRATE_CHECK, __ATOMIC_RELEASE);
	for (i = 0; i < run->nr; i++) {
		while (!sev_migrate_done(&run->cpus[i]))
			usleep(1000);
		if (run->cpus[i].result != SEV_MIGRATE_GOOD)
			result = run->cpus[i].result;
	}
	sev_migrate_stop(run);
	for (i = 0; i < run->nr; i++)
		run->cpus[i].done = false;
	return result;
}
