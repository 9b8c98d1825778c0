/*
 * AMD SEV-SNP: what the secure processor's firmware wants to know of the CPUs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_AMD_SNP_HOST_H
#define HW_I386_AMD_SNP_HOST_H

/*
 * Are all CPUs set up for SEV-SNP, in the same way?  With @init_rmp there must
 * be no host save area either, since the RMP forgets whose page that is.
 */
bool amd_snp_cpus_ready(bool init_rmp);

/* CPUID Fn0000_0001_EAX: family, model, stepping */
uint32_t amd_snp_cpu_signature(void);

/* EAX to EDX of a leaf, as on a CPU with these values of XCR0 and XSS */
void amd_snp_cpuid(uint32_t leaf, uint32_t subleaf, uint64_t xcr0, uint64_t xss,
                   uint32_t reg[4]);

#endif
