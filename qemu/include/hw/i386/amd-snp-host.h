/*
 * AMD SEV and SEV-SNP: how the secure processor's firmware finds the CPUs set up
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_AMD_SNP_HOST_H
#define HW_I386_AMD_SNP_HOST_H

/* Is memory encryption on, on all CPUs that have it? */
bool amd_sev_cpus_ready(void);

/*
 * Are all CPUs set up for SEV-SNP, in the same way?  With @init_rmp there must
 * be no host save area either, since the RMP forgets whose page that is.
 */
bool amd_snp_cpus_ready(bool init_rmp);

#endif
