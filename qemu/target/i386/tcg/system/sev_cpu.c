/*
 * AMD SEV host emulation: property, CPUID and MSRs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "exec/cputlb.h"
#include "system/tcg.h"
#include "tcg/helper-tcg.h"
#include "sev_host.h"
#include "hw/i386/amd-mee.h"
#include "hw/misc/amd-psp.h"

/*
 * C-bit, raw width and reduction have to fit each other: an unmodified Linux
 * derives the mask of its MMIO SPTEs from them, and silently turns SEV-ES off
 * if no reserved bit is left.  48 - 5 = 43 usable bits, the C-bit above all.
 */
bool sev_host_realize(X86CPU *cpu, Error **errp)
{
    CPUX86State *env = &cpu->env;

    if (!cpu->sev_host) {
        if (cpu->sev_snp_host) {
            error_setg(errp, "sev-snp-host=on needs sev-host=on");
        }
        return !cpu->sev_snp_host;
    }
    if (!tcg_enabled()) {
        error_setg(errp, "sev-host=on needs the TCG accelerator");
        return false;
    }
    if (!(env->features[FEAT_8000_0001_EDX] & CPUID_EXT2_LM) ||
        !(env->features[FEAT_8000_0001_ECX] & CPUID_EXT3_SVM) ||
        !(env->features[FEAT_SVM] & CPUID_SVM_NPT)) {
        error_setg(errp, "sev-host=on needs a 64-bit CPU with svm and npt");
        return false;
    }
    if (cpu->phys_bits == 0) {
        cpu->phys_bits = SEV_PHYS_BITS;
    }
    if (cpu->phys_bits != SEV_PHYS_BITS) {
        error_setg(errp, "sev-host=on needs phys-bits=%d", SEV_PHYS_BITS);
        return false;
    }
    env->cpuid_xlevel = MAX(env->cpuid_xlevel, 0x80000021);
    if (!cpu->sev_vmsa) {
        cpu->sev_vmsa = g_malloc0(TARGET_PAGE_SIZE);
    }
    amd_mee_create(SEV_MAX_ASID);
    return !cpu->sev_snp_host || amd_rmp_create(errp);
}

/* Restricted and alternate injection, vTOM and Secure TSC are not offered. */
static uint32_t cpuid_8000001f_eax_snp(X86CPU *cpu)
{
    return R_CPUID_8000001F_EAX_SEV_SNP_MASK |
           R_CPUID_8000001F_EAX_VMPL_MASK |
           R_CPUID_8000001F_EAX_RMPQUERY_MASK |
           R_CPUID_8000001F_EAX_HV_INUSE_WR_ALLOWED_MASK |
           (cpu->sev_rmpread ? R_CPUID_8000001F_EAX_RMPREAD_MASK : 0);
}

static uint32_t cpuid_8000001f_eax(void)
{
    return R_CPUID_8000001F_EAX_SME_MASK |
           R_CPUID_8000001F_EAX_SEV_MASK |
           R_CPUID_8000001F_EAX_VM_PAGE_FLUSH_MASK |
           R_CPUID_8000001F_EAX_SEV_ES_MASK |
           R_CPUID_8000001F_EAX_SME_COHERENT_MASK |
           R_CPUID_8000001F_EAX_DEBUG_SWAP_MASK;
}

void sev_host_cpuid(X86CPU *cpu, uint32_t index, uint32_t *eax, uint32_t *ebx,
                    uint32_t *ecx, uint32_t *edx)
{
    if (!cpu->sev_host) {
        return;
    }
    switch (index) {
    case 0x80000001:
        *ecx |= R_CPUID_80000001_ECX_BPEXT_MASK;
        break;
    case 0x8000000a:
        /* More than there are encrypted guests: the others need ASIDs, too */
        *ebx = 0x8000;
        break;
    case 0x8000001f:
        *eax = cpuid_8000001f_eax();
        *ebx = FIELD_DP32(0, CPUID_8000001F_EBX, CBIT, SEV_CBIT_POS);
        *ebx = FIELD_DP32(*ebx, CPUID_8000001F_EBX, REDUCTION,
                          SEV_PHYS_REDUCTION);
        if (cpu->sev_snp_host) {
            *eax |= cpuid_8000001f_eax_snp(cpu);
            *ebx = FIELD_DP32(*ebx, CPUID_8000001F_EBX, NUM_VMPL,
                              AMD_RMP_VMPLS);
        }
        *ecx = SEV_MAX_ASID;
        *edx = SEV_MIN_NON_ES_ASID;
        break;
    case 0x80000021:
        *eax |= R_CPUID_80000021_EAX_NO_NESTED_DATA_BP_MASK;
        break;
    }
}

/*
 * RESET, or an INIT that nobody intercepts, takes the CPU out of its guest: the
 * guest's pages are not in use any more.  To be called while it is known which.
 */
void sev_host_leave(X86CPU *cpu)
{
    if (cpu->sev_host) {
        sev_rmp_release(&cpu->env);
    }
}

/* What firmware leaves behind */
void sev_host_reset(X86CPU *cpu)
{
    SevHostMsrs *msrs = &cpu->env.sev_msrs;

    if (!cpu->sev_host) {
        return;
    }
    msrs->syscfg = R_SYSCFG_MEM_ENCRYPT_MASK;
    if (cpu->sev_snp_host) {
        amd_rmp_reserved(&msrs->rmp_base, &msrs->rmp_end);
    }
    msrs->hwcr = R_HWCR_SMM_LOCK_MASK | R_HWCR_TSC_FREQ_SEL_MASK;
}

/* MSRs that hold what was written, apart from bits that do not exist */
typedef struct SevPlainMsr {
    uint32_t index;
    uint64_t writable;
    size_t offset;
} SevPlainMsr;

#define PLAIN_MSR(name, field, mask) { \
    .index = MSR_AMD_##name, \
    .writable = mask, \
    .offset = offsetof(CPUX86State, sev_msrs.field), \
}

/*
 * SNP_EN and VMPL_EN of SYSCFG, and the RMP's registers, do not exist without
 * SEV-SNP.  SMM_LOCK of HWCR is set for good: until reset nothing can clear it.
 * From memory: what it locks, TSEG among it, takes no new values, without a
 * fault.  So the firmware always finds TSEG where it has left it.
 */
static const SevPlainMsr plain_msrs[] = {
    PLAIN_MSR(SYSCFG, syscfg, MAKE_64BIT_MASK(18, 8)),
    PLAIN_MSR(HWCR, hwcr, MAKE_64BIT_MASK(1, 31)),
    PLAIN_MSR(TOP_MEM, top_mem, MAKE_64BIT_MASK(23, 29)),
    PLAIN_MSR(TOP_MEM2, top_mem2, MAKE_64BIT_MASK(23, 29)),
    PLAIN_MSR(TSEG_BASE, tseg_base, 0),
    PLAIN_MSR(TSEG_MASK, tseg_mask, 0),
    PLAIN_MSR(RMP_BASE, rmp_base, MAKE_64BIT_MASK(13, 39)),
    PLAIN_MSR(RMP_END, rmp_end, MAKE_64BIT_MASK(0, 52)),
    PLAIN_MSR(DR0_MASK, dr_mask[0], UINT32_MAX),
    PLAIN_MSR(DR1_MASK, dr_mask[1], UINT32_MAX),
    PLAIN_MSR(DR2_MASK, dr_mask[2], UINT32_MAX),
    PLAIN_MSR(DR3_MASK, dr_mask[3], UINT32_MAX),
};

static const SevPlainMsr *find_plain_msr(uint32_t index)
{
    for (int i = 0; i < ARRAY_SIZE(plain_msrs); i++) {
        if (plain_msrs[i].index == index) {
            return &plain_msrs[i];
        }
    }
    return NULL;
}

static uint64_t *plain_msr_value(CPUX86State *env, const SevPlainMsr *msr)
{
    return (uint64_t *)((char *)env + msr->offset);
}

/* The bits that this CPU has of it */
static uint64_t plain_msr_writable(X86CPU *cpu, const SevPlainMsr *msr)
{
    const uint64_t snp = R_SYSCFG_SNP_EN_MASK | R_SYSCFG_VMPL_EN_MASK;

    if (cpu->sev_snp_host) {
        return msr->writable;
    }
    switch (msr->index) {
    case MSR_AMD_SYSCFG:
        return msr->writable & ~snp;
    case MSR_AMD_RMP_BASE:
    case MSR_AMD_RMP_END:
        return 0;
    default:
        return msr->writable;
    }
}

/*
 * 15.36.2 "Enabling SEV-SNP": it is there to stay.  #GP for RMP_BASE and
 * RMP_END that cannot be used is an assumption.
 */
static void snp_enable(CPUX86State *env, uintptr_t ra)
{
    if (!amd_rmp_enable(env->sev_msrs.rmp_base, env->sev_msrs.rmp_end)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
}

static void write_plain_msr(CPUX86State *env, const SevPlainMsr *msr,
                            uint64_t val, uintptr_t ra)
{
    uint64_t *reg = plain_msr_value(env, msr);
    uint64_t changed = (*reg ^ val) &
                       plain_msr_writable(env_archcpu(env), msr);

    if (msr->index == MSR_AMD_SYSCFG) {
        if (sev_snp_on(env)) {
            return;
        }
        if (changed & R_SYSCFG_SNP_EN_MASK) {
            snp_enable(env, ra);
        }
        if (changed & (R_SYSCFG_MEM_ENCRYPT_MASK | R_SYSCFG_SNP_EN_MASK)) {
            tlb_flush(env_cpu(env));
        }
    }
    *reg ^= changed;
}

/*
 * What SNP_EN freezes: the memory map.  Of the RMP's own registers that is an
 * assumption.
 */
bool sev_msr_frozen(CPUX86State *env)
{
    if (likely(!sev_snp_on(env))) {
        return false;
    }
    switch ((uint32_t)env->regs[R_ECX]) {
    case MSR_MTRRfix64K_00000:
    case MSR_MTRRfix16K_80000:
    case MSR_MTRRfix16K_A0000:
    case MSR_MTRRfix4K_C0000 ... MSR_MTRRfix4K_F8000:
    case MSR_AMD_IORR_BASE0 ... MSR_AMD_IORR_MASK1:
    case MSR_AMD_TOP_MEM:
    case MSR_AMD_TOP_MEM2:
    case MSR_AMD_SMM_KEY:
    case MSR_AMD_RMP_BASE:
    case MSR_AMD_RMP_END:
    case MSR_AMD_RMP_CFG:
        return true;
    default:
        return false;
    }
}

/*
 * Can the page at @addr be read, and is it one of the supervisor's if SMAP
 * tells such pages apart?  RFLAGS.AC makes no difference.
 */
static bool flushable(CPUX86State *env, vaddr addr, uintptr_t ra)
{
    int mmu_idx = cpu_mmu_index(env_cpu(env), false);
    void *host;

    if (env->cr[4] & CR4_SMAP_MASK) {
        mmu_idx = (mmu_idx & ~MMU_KNOSMAP64_IDX) | MMU_KSMAP64_IDX;
    }
    return !(probe_access_flags(env, addr, 0, MMU_DATA_LOAD, mmu_idx, true,
                                &host, ra) & TLB_INVALID_MASK);
}

/*
 * VM_PAGE_FLUSH writes back and invalidates the lines of a page that were
 * cached under a guest's key.  There is no such cache here; what remains is
 * the faults.  [11:0] is the ASID, above it the linear address.
 */
static void write_vm_page_flush(CPUX86State *env, uint64_t val, uintptr_t ra)
{
    if (!(val & 0xfff) || !flushable(env, val & TARGET_PAGE_MASK, ra)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
}

/* No cache either, but the secure processor wants to know that it was done */
void helper_wbinvd(CPUX86State *env)
{
    if (sev_host(env)) {
        amd_psp_wbinvd(env_cpu(env)->cpu_index);
    }
}

static void require_es_guest(CPUX86State *env, uintptr_t ra)
{
    if (!sev_es_guest(env)) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
}

bool sev_rdmsr(CPUX86State *env, uint32_t index, uint64_t *val, uintptr_t ra)
{
    const SevPlainMsr *msr;

    if (!sev_host(env)) {
        return false;
    }
    if (index == MSR_AMD_GHCB) {
        require_es_guest(env, ra);
        *val = env->sev.ghcb;
        return true;
    }
    if (index == MSR_AMD_SEV_STATUS) {
        *val = env->sev.status;
        return true;
    }
    if (index == MSR_AMD_VM_PAGE_FLUSH) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    msr = find_plain_msr(index);
    if (msr) {
        *val = *plain_msr_value(env, msr);
    }
    return msr;
}

bool sev_wrmsr(CPUX86State *env, uint32_t index, uint64_t val, uintptr_t ra)
{
    const SevPlainMsr *msr;

    if (!sev_host(env)) {
        return false;
    }
    if (index == MSR_AMD_GHCB) {
        require_es_guest(env, ra);
        env->sev.ghcb = val;
        return true;
    }
    if (index == MSR_AMD_SEV_STATUS) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    if (index == MSR_AMD_VM_PAGE_FLUSH) {
        write_vm_page_flush(env, val, ra);
        return true;
    }
    msr = find_plain_msr(index);
    if (msr) {
        write_plain_msr(env, msr, val, ra);
    }
    return msr;
}
