// SPDX-License-Identifier: GPL-2.0
/*
 * What a debugger in the guest watches: a variable that changes three times on
 * each CPU.  testbed/guest-init counts the hits.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <unistd.h>

#define CHANGES	3

volatile long watched;

int main(void)
{
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	for (long cpu = 0; cpu < cpus; cpu++) {
		cpu_set_t one;

		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (sched_setaffinity(0, sizeof(one), &one))
			return 1;
		for (int i = 0; i < CHANGES; i++)
			watched++;
	}
	return 0;
}
