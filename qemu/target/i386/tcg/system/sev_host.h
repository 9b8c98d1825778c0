/*
 * AMD SEV host emulation
 *
 * What the CPU side of an SEV and SEV-ES capable host consists of:
 *   sev_cpu.c    property, CPUID and MSRs
 *   sev_mmu.c    C-bit, reserved address bits, encryption key of an access
 *   sev_rmp.c    the reverse map table's checks, and the faults they raise
 *   sev_rmp_insn.c  RMPUPDATE, PSMASH, PVALIDATE, RMPADJUST and the like
 *   sev_vmsa.c   the register image of an SEV-ES guest
 *   sev_svm.c    VMRUN, #VMEXIT and #VC
 * The rest of the i386 target calls what is declared here, one hook per
 * site, and every hook is a no-op unless the CPU has sev-host=on.
 * Section names in comments are those of the AMD64 APM, volume 2.
 *
 * QEMU interface:
 *  + bool property "sev-host" of an x86 CPU, TCG system emulation only
 *  + bool property "sev-snp-host": SEV-SNP, too; needs sev-host=on
 *  + bool property "sev-rmpread": the RMPREAD instruction, off by default
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef I386_TCG_SEV_HOST_H
#define I386_TCG_SEV_HOST_H

#include "qapi/error.h"
#include "cpu.h"
#include "hw/registerfields.h"
#include "hw/i386/amd-rmp.h"

#define SEV_CBIT_POS            51
#define SEV_CBIT                (1ULL << SEV_CBIT_POS)
#define SEV_PHYS_BITS           48      /* raw width, CPUID 8000_0008.EAX */
#define SEV_PHYS_REDUCTION      5
#define SEV_MAX_ASID            509     /* CPUID 8000_001F.ECX */
#define SEV_MIN_NON_ES_ASID     100     /* CPUID 8000_001F.EDX */

FIELD(CPUID_80000001_ECX, BPEXT, 26, 1)
FIELD(CPUID_8000001F_EAX, SME, 0, 1)
FIELD(CPUID_8000001F_EAX, SEV, 1, 1)
FIELD(CPUID_8000001F_EAX, VM_PAGE_FLUSH, 2, 1)
FIELD(CPUID_8000001F_EAX, SEV_ES, 3, 1)
FIELD(CPUID_8000001F_EAX, SEV_SNP, 4, 1)
FIELD(CPUID_8000001F_EAX, VMPL, 5, 1)
FIELD(CPUID_8000001F_EAX, RMPQUERY, 6, 1)
FIELD(CPUID_8000001F_EAX, SME_COHERENT, 10, 1)
FIELD(CPUID_8000001F_EAX, DEBUG_SWAP, 14, 1)
FIELD(CPUID_8000001F_EAX, RMPREAD, 21, 1)
FIELD(CPUID_8000001F_EAX, HV_INUSE_WR_ALLOWED, 30, 1)
FIELD(CPUID_8000001F_EBX, CBIT, 0, 6)
FIELD(CPUID_8000001F_EBX, REDUCTION, 6, 6)
FIELD(CPUID_8000001F_EBX, NUM_VMPL, 12, 4)
FIELD(CPUID_80000021_EAX, NO_NESTED_DATA_BP, 0, 1)

#define MSR_AMD_SYSCFG          0xc0010010
#define MSR_AMD_HWCR            0xc0010015
#define MSR_AMD_IORR_BASE0      0xc0010016
#define MSR_AMD_IORR_MASK1      0xc0010019
#define MSR_AMD_TOP_MEM         0xc001001a
#define MSR_AMD_TOP_MEM2        0xc001001d
#define MSR_AMD_TSEG_BASE       0xc0010112
#define MSR_AMD_TSEG_MASK       0xc0010113
#define MSR_AMD_SMM_KEY         0xc0010119
#define MSR_AMD_VM_PAGE_FLUSH   0xc001011e
#define MSR_AMD_GHCB            0xc0010130
#define MSR_AMD_SEV_STATUS      0xc0010131
#define MSR_AMD_RMP_BASE        0xc0010132
#define MSR_AMD_RMP_END         0xc0010133
#define MSR_AMD_RMP_CFG         0xc0010136
#define MSR_AMD_DR1_MASK        0xc0011019
#define MSR_AMD_DR2_MASK        0xc001101a
#define MSR_AMD_DR3_MASK        0xc001101b
#define MSR_AMD_DR0_MASK        0xc0011027

FIELD(SYSCFG, MTRR_FIX_DRAM_EN, 18, 1)
FIELD(SYSCFG, MTRR_FIX_DRAM_MOD_EN, 19, 1)
FIELD(SYSCFG, MTRR_VAR_DRAM_EN, 20, 1)
FIELD(SYSCFG, MTRR_TOM2_EN, 21, 1)
FIELD(SYSCFG, TOM2_FORCE_WB, 22, 1)
FIELD(SYSCFG, MEM_ENCRYPT, 23, 1)
FIELD(SYSCFG, SNP_EN, 24, 1)
FIELD(SYSCFG, VMPL_EN, 25, 1)
FIELD(HWCR, SMM_LOCK, 0, 1)
FIELD(HWCR, TSC_FREQ_SEL, 24, 1)
FIELD(SEV_STATUS, SEV, 0, 1)
FIELD(SEV_STATUS, SEV_ES, 1, 1)
FIELD(SEV_STATUS, FEATURES, 2, 62)

/* Offsets in the control area of a VMCB, and their bits */
#define VMCB_NESTED_CTL         0x090
#define VMCB_GHCB               0x0a0
#define VMCB_VIRT_EXT           0x0b8
#define VMCB_AVIC_BACKING_PAGE  0x0e0
#define VMCB_VMSA_PA            0x108
#define VMCB_GUEST_FEATURES     0x140
FIELD(NESTED_CTL, NPT, 0, 1)
FIELD(NESTED_CTL, SEV, 1, 1)
FIELD(NESTED_CTL, SEV_ES, 2, 1)
FIELD(VIRT_EXT, LBR, 0, 1)
FIELD(INT_STATE, GUEST_IF, 1, 1)
FIELD(INT_CTL, NMI_PENDING, 11, 1)
FIELD(INT_CTL, NMI_MASK, 12, 1)
FIELD(INT_CTL, NMI_ENABLE, 26, 1)
FIELD(INT_CTL, AVIC, 31, 1)
/* VINTR_CTRL of the VMSA has its NMI bits in the same places. */

FIELD(SEV_FEATURES, SNP_ACTIVE, 0, 1)
FIELD(SEV_FEATURES, DEBUG_SWAP, 5, 1)

#define SEV_EXIT_EFER_TRAP      0x08f
#define SEV_EXIT_CR_TRAP        0x090   /* + number of the register */
#define SEV_EXIT_VMGEXIT        0x403
#define SEV_VC_NOT_VALIDATED    0x404   /* never an exit */
#define SEV_NPF_RMP             (1ULL << 31)
#define SEV_NPF_ENC             (1ULL << 34)
#define SEV_NPF_SIZEM           (1ULL << 35)
#define SEV_NPF_VMPL            (1ULL << 36)

/* 0F 01 with F2 or F3, by the last byte */
#define SEV_INSN_REPNZ          0x100
#define SEV_INSN_RMPUPDATE      (SEV_INSN_REPNZ | 0xfe)
#define SEV_INSN_PSMASH         0xff
#define SEV_INSN_RMPREAD        (SEV_INSN_REPNZ | 0xfd)
#define SEV_INSN_RMPADJUST      0xfe
#define SEV_INSN_PVALIDATE      (SEV_INSN_REPNZ | 0xff)
#define SEV_INSN_RMPQUERY       0xfd

/* sev_cpu.c; what generic code calls exists without TCG, too */
#if defined(CONFIG_TCG) && !defined(CONFIG_USER_ONLY)
bool sev_host_realize(X86CPU *cpu, Error **errp);
void sev_host_cpuid(X86CPU *cpu, uint32_t index, uint32_t *eax, uint32_t *ebx,
                    uint32_t *ecx, uint32_t *edx);
void sev_host_leave(X86CPU *cpu);
void sev_host_reset(X86CPU *cpu);
#else
static inline bool sev_host_realize(X86CPU *cpu, Error **errp)
{
    if (cpu->sev_host) {
        error_setg(errp, "sev-host=on needs TCG system emulation");
    }
    return !cpu->sev_host;
}
static inline void sev_host_cpuid(X86CPU *cpu, uint32_t index, uint32_t *eax,
                                  uint32_t *ebx, uint32_t *ecx, uint32_t *edx)
{
}
static inline void sev_host_leave(X86CPU *cpu)
{
}
static inline void sev_host_reset(X86CPU *cpu)
{
}
#endif
bool sev_msr_frozen(CPUX86State *env);
bool sev_rdmsr(CPUX86State *env, uint32_t index, uint64_t *val, uintptr_t ra);
bool sev_wrmsr(CPUX86State *env, uint32_t index, uint64_t val, uintptr_t ra);

/* sev_mmu.c */
uint64_t sev_ptw_cbit(CPUX86State *env, bool host_tables);
uint64_t sev_ptw_reserved(CPUX86State *env, bool host_tables);
void sev_ptw_key(CPUX86State *env, bool host_tables, hwaddr pa, uintptr_t ra);
void sev_tlb_key(CPUX86State *env, MMUAccessType access_type, hwaddr pa,
                 bool cbit, int *prot, uintptr_t ra);
uint64_t sev_cr3_reserved(CPUX86State *env);

/* A page as the page tables lead to it */
typedef struct SevRmpPage {
    hwaddr spa;
    hwaddr gpa;                 /* in a guest */
    bool large;                 /* mapped as 2M or more, by nested tables if any */
    bool cbit;
} SevRmpPage;

/* sev_rmp.c */
AmdRmpFault sev_rmp_fill(CPUX86State *env, MMUAccessType access_type,
                         bool user, const SevRmpPage *page, int *prot);
AmdRmpFault sev_rmp_walk(CPUX86State *env, bool host_tables,
                         const SevRmpPage *page, AmdRmpFault *store);
bool sev_rmp_hsave_allowed(CPUX86State *env, hwaddr spa);
void sev_rmp_require_vmcb(CPUX86State *env, hwaddr vmcb, uintptr_t ra);
void sev_vmrun_begin(CPUX86State *env, hwaddr vmcb, uintptr_t ra);
bool sev_rmp_avic_allowed(CPUX86State *env);
bool sev_rmp_claim_vmsa(CPUX86State *env, hwaddr spa, uint32_t asid,
                        bool *owned);
void sev_rmp_release(CPUX86State *env);

/*
 * excp_helper.c: where a load from @addr would go to, without asking the RMP
 * about the page itself; raises what the page walk comes to.  And what a refusal
 * by the RMP comes to, with @npf_bits in the error code of #NPF.
 */
void sev_translate(CPUX86State *env, vaddr addr, SevRmpPage *page,
                   uintptr_t ra);
G_NORETURN void sev_rmp_raise(CPUX86State *env, vaddr addr,
                              const SevRmpPage *page, AmdRmpFault fault,
                              uint64_t npf_bits, uintptr_t ra);

/* sev_vmsa.c */
bool sev_vmsa_fetch(CPUX86State *env, hwaddr pa, uint32_t asid);
bool sev_vmsa_intact(CPUX86State *env);
bool sev_vmsa_valid(CPUX86State *env);
uint8_t sev_vmsa_vmpl(CPUX86State *env);
bool sev_vmsa_ran_here(CPUX86State *env);
uint64_t sev_vmsa_features(CPUX86State *env);
uint64_t sev_vmsa_rflags(CPUX86State *env);
void sev_vmsa_load(CPUX86State *env);
void sev_vmsa_capture(CPUX86State *env);
void sev_vmsa_store(CPUX86State *env);
void sev_hsave_load(CPUX86State *env);

/* sev_svm.c */
bool sev_vmrun_check(CPUX86State *env, uint64_t nested_ctl, uint32_t asid);
bool sev_vmrun_load(CPUX86State *env);
void sev_vmexit_filter(CPUX86State *env, uint64_t exit_code,
                       uint64_t *exit_info_1);
bool sev_vmexit_capture(CPUX86State *env);
void sev_vmexit_finish(CPUX86State *env);
void sev_trap_exit(CPUX86State *env, uint32_t exit_code, uint64_t info,
                   uintptr_t ra);
bool sev_intercept_deferred(CPUX86State *env, uint32_t exit_code);

static inline bool sev_host(CPUX86State *env)
{
    return env_archcpu(env)->sev_host;
}

/* In an SEV guest of any kind */
static inline bool sev_guest(CPUX86State *env)
{
    return env->sev.mode != SEV_GUEST_NONE;
}

static inline bool sev_es_guest(CPUX86State *env)
{
    return env->sev.mode == SEV_GUEST_ES;
}

static inline bool sev_snp_guest(CPUX86State *env)
{
    return sev_es_guest(env) &&
           FIELD_EX64(env->sev.features, SEV_FEATURES, SNP_ACTIVE);
}

/* SNP is on: this CPU obeys the RMP */
static inline bool sev_snp_on(CPUX86State *env)
{
    return FIELD_EX64(env->sev_msrs.syscfg, SYSCFG, SNP_EN);
}

/* Changes of the RMP so far, on a CPU that has to care */
static inline unsigned sev_rmp_generation(CPUX86State *env)
{
    return unlikely(sev_snp_on(env)) ? amd_rmp_generation() : 0;
}

/* MSRs that no permission bitmap can intercept (SEV_STATUS MSR) */
static inline bool sev_msr_unintercepted(CPUX86State *env)
{
    return sev_host(env) &&
           (uint32_t)env->regs[R_ECX] == MSR_AMD_SEV_STATUS;
}

#endif
