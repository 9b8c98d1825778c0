/*
 * AMD SEV-SNP: what the secure processor's firmware wants to know of the CPUs
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

uint32_t amd_snp_cpu_signature(void)
{
    uint32_t reg[4];

    amd_snp_cpuid(1, 0, 0, 0, reg);
    return reg[0];
}

void amd_snp_cpuid(uint32_t leaf, uint32_t subleaf, uint64_t xcr0, uint64_t xss,
                   uint32_t reg[4])
{
    cpu_x86_cpuid(cpu_env(first_cpu), leaf, subleaf, &reg[0], &reg[1], &reg[2],
                  &reg[3]);
    if (leaf == 0xD && subleaf == 0) {
        reg[1] = xsave_area_size(xcr0, false);
    } else if (leaf == 0xD && subleaf == 1) {
        reg[1] = xsave_area_size(xcr0 | xss, true);
    }
}
