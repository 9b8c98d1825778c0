/*
 * AMD Platform Security Processor: what it reads from the processor's cores
 *
 * Apart from the other files, because only this one depends on the target.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "amd-psp-snp-msg.h"

/* All cores are the same; fields that differ per core are not asked for. */
void amd_psp_snp_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    cpu_x86_cpuid(&X86_CPU(first_cpu)->env, leaf, subleaf, &r[0], &r[1], &r[2],
                  &r[3]);
}
