/*
 * AMD SEV and SEV-SNP: how the secure processor's firmware finds the CPUs set up
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "cpu.h"
#include "hw/i386/amd-snp-host.h"
#include "target/i386/tcg/system/sev_host.h"

#define SYSCFG_SNP (R_SYSCFG_MTRR_FIX_DRAM_MOD_EN_MASK | \
                    R_SYSCFG_MEM_ENCRYPT_MASK | R_SYSCFG_SNP_EN_MASK | \
                    R_SYSCFG_VMPL_EN_MASK)

static bool snp_cpu_ready(const CPUX86State *env, bool init_rmp)
{
    const SevHostMsrs *msrs = &env->sev_msrs;

    return (msrs->syscfg & SYSCFG_SNP) == SYSCFG_SNP &&
           FIELD_EX64(msrs->hwcr, HWCR, SMM_LOCK) &&
           msrs->rmp_base == cpu_env(first_cpu)->sev_msrs.rmp_base &&
           msrs->rmp_end == cpu_env(first_cpu)->sev_msrs.rmp_end &&
           !(init_rmp && env->vm_hsave);
}

bool amd_snp_cpus_ready(bool init_rmp)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (!snp_cpu_ready(cpu_env(cs), init_rmp)) {
            return false;
        }
    }
    return true;
}

bool amd_sev_cpus_ready(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        CPUX86State *env = cpu_env(cs);

        if (sev_host(env) &&
            !FIELD_EX64(env->sev_msrs.syscfg, SYSCFG, MEM_ENCRYPT)) {
            return false;
        }
    }
    return true;
}
