/*
 * AMD SEV host emulation: VMRUN, #VMEXIT and #VC
 *
 * svm_helper.c calls in here.  At VMRUN: sev_vmrun_check(), then for SEV-ES
 * sev_vmrun_load() in place of the VMCB save area.  At an exit:
 * sev_vmexit_filter() while the guest's state is still complete, which turns
 * what an SEV-ES guest has to hear of first into #VC; then
 * sev_vmexit_capture() in place of the VMCB save area, and
 * sev_vmexit_finish() when classic SVM has restored its share of the host.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/log.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "tcg/helper-tcg.h"
#include "sev_host.h"
#include "hw/i386/amd-mee.h"

/* Also what svm_helper.c would find out when the guest's state is loaded */
static bool event_injectable(CPUX86State *env)
{
    uint32_t event = x86_ldl_phys(env_cpu(env), env->vm_vmcb +
                                  offsetof(struct vmcb, control.event_inj));
    uint32_t vector = event & SVM_EVTINJ_VEC_MASK;

    if (!(event & SVM_EVTINJ_VALID)) {
        return true;
    }
    switch (event & SVM_EVTINJ_TYPE_MASK) {
    case SVM_EVTINJ_TYPE_INTR:
    case SVM_EVTINJ_TYPE_NMI:
        return true;
    case SVM_EVTINJ_TYPE_EXEPT:
        return vector != EXCP02_NMI && vector != EXCP03_INT3 &&
               vector != EXCP04_INTO && vector < 31;
    default:
        return false;
    }
}

/* Those that the guest can ask for; restricted injection is not offered. */
static bool features_valid(CPUX86State *env, uint64_t features)
{
    uint64_t valid = R_SEV_FEATURES_DEBUG_SWAP_MASK;

    if (sev_snp_on(env)) {
        valid |= R_SEV_FEATURES_SNP_ACTIVE_MASK;
    }
    return !(features & ~valid);
}

/*
 * The copy just read is the guest's own: by its checksum, or by the RMP, which
 * has said that the page is one that the guest made a VMSA (@owned).  That a
 * VMPL which does not exist is VMEXIT_INVALID is from memory.
 */
static bool vmsa_trusted(CPUX86State *env, bool owned)
{
    uint64_t features = sev_vmsa_features(env);
    bool snp = FIELD_EX64(features, SEV_FEATURES, SNP_ACTIVE);

    if (!features_valid(env, features) || snp != owned ||
        (!snp && !sev_vmsa_intact(env)) ||
        (snp && sev_vmsa_vmpl(env) >= AMD_RMP_VMPLS)) {
        return false;
    }
    env->sev.features = features;
    env->sev.vmpl = snp ? sev_vmsa_vmpl(env) : 0;
    return true;
}

/*
 * SEV-ES, "VMRUN": in the order in which the manual has them.  The manual
 * demands LBR virtualization and the SEV bit; that the answer to their
 * absence is VMEXIT_INVALID is an assumption.
 */
static bool es_vmrun_check(CPUX86State *env, uint32_t asid)
{
    CPUState *cs = env_cpu(env);
    uint64_t virt_ext = x86_ldq_phys(cs, env->vm_vmcb + VMCB_VIRT_EXT);
    hwaddr vmsa_pa = x86_ldq_phys(cs, env->vm_vmcb + VMCB_VMSA_PA);
    bool owned;

    if (!FIELD_EX64(virt_ext, VIRT_EXT, LBR) || !event_injectable(env)) {
        return false;
    }
    /* Claimed first: what is read is what its last user has left there. */
    if (!sev_rmp_claim_vmsa(env, vmsa_pa, asid, &owned) ||
        !sev_vmsa_fetch(env, vmsa_pa, asid) || !vmsa_trusted(env, owned)) {
        qemu_log_mask(LOG_GUEST_ERROR, "sev: VMSA at 0x%" HWADDR_PRIx
                      " is not intact for ASID %u\n", vmsa_pa, asid);
        return false;
    }
    return sev_vmsa_valid(env);
}

/*
 * SEV, "Enabling SEV": SYSCFG.MEM_ENCRYPT off makes the SEV bits of the VMCB
 * reserved ones that are ignored.  A guest without SEV-ES and an ASID below
 * the minimum for those "must not" be run; VMEXIT_INVALID is assumed.
 */
bool sev_vmrun_check(CPUX86State *env, uint64_t nested_ctl, uint32_t asid)
{
    bool sev = FIELD_EX64(nested_ctl, NESTED_CTL, SEV);
    bool es = FIELD_EX64(nested_ctl, NESTED_CTL, SEV_ES);

    if (!sev_rmp_avic_allowed(env)) {
        return false;
    }
    if (!sev_host(env) || !(sev || es) ||
        !FIELD_EX64(env->sev_msrs.syscfg, SYSCFG, MEM_ENCRYPT)) {
        return true;
    }
    if (es) {
        env->sev.mode = SEV_GUEST_ES_ENTRY;
    }
    if (!sev || !FIELD_EX64(nested_ctl, NESTED_CTL, NPT) ||
        !FIELD_EX64(env->sev_msrs.hwcr, HWCR, SMM_LOCK) ||
        asid > SEV_MAX_ASID ||
        (!es && asid < SEV_MIN_NON_ES_ASID)) {
        return false;
    }
    if (es && !es_vmrun_check(env, asid)) {
        return false;
    }
    env->sev.asid = asid;
    env->sev.status = FIELD_DP64(0, SEV_STATUS, SEV, 1);
    env->sev.status = FIELD_DP64(env->sev.status, SEV_STATUS, SEV_ES, es);
    env->sev.status = FIELD_DP64(env->sev.status, SEV_STATUS, FEATURES,
                                 env->sev.features);
    if (!es) {
        env->sev.mode = SEV_GUEST_PLAIN;
    }
    return true;
}

static uint64_t intercept_bit(uint32_t exit_code)
{
    return 1ULL << (exit_code - SVM_EXIT_INTR);
}

/*
 * Whatever the VMCB says.  Of CPUs with SEV-SNP the manual says that VMSAVE
 * exits; that this becomes #VC, as for other instructions, is an assumption.
 * SNP guests: all ports are, too, see the I/O check.
 */
static uint64_t always_intercepted(CPUX86State *env)
{
    uint64_t bits = intercept_bit(SVM_EXIT_SMI);

    if (env_archcpu(env)->sev_snp_host) {
        bits |= intercept_bit(SVM_EXIT_VMSAVE);
    }
    if (sev_snp_guest(env)) {
        bits |= intercept_bit(SVM_EXIT_CPUID) | intercept_bit(SVM_EXIT_IOIO);
    }
    return bits;
}

/*
 * All checks have passed: from here on the guest runs from its VMSA, and not
 * before, or a refused VMRUN would overwrite it with host registers.
 *
 * #VC cannot be intercepted: the exception that replaces an exit would be
 * replaced by itself (exit 0x5d exists for ReflectVC only).
 */
bool sev_vmrun_load(CPUX86State *env)
{
    if (env->sev.mode != SEV_GUEST_ES_ENTRY) {
        return false;
    }
    env->sev.mode = SEV_GUEST_ES;
    env->sev.ghcb = x86_ldq_phys(env_cpu(env), env->vm_vmcb + VMCB_GHCB);
    env->intercept_exceptions &= ~(1u << EXCP1D_VC);
    env->intercept |= always_intercepted(env);
    x86_stq_phys(env_cpu(env), env->vm_vmcb +
                 offsetof(struct vmcb, control.exit_info_2), 0);
    sev_vmsa_load(env);
    return true;
}

/* "Automatic Exits": the host hears of these without the guest's help */
static bool exit_is_automatic(uint64_t code, uint64_t info_1)
{
    switch (code) {
    case SVM_EXIT_EXCP_BASE + EXCP12_MCHK:
    case SVM_EXIT_INTR ... SVM_EXIT_VINTR:
    case SVM_EXIT_PAUSE:
    case SVM_EXIT_HLT:
    case SVM_EXIT_SHUTDOWN:
    case SEV_EXIT_EFER_TRAP:
    case SEV_EXIT_CR_TRAP ... SEV_EXIT_CR_TRAP + 15:
    case SEV_EXIT_VMGEXIT:
    case (uint64_t)SVM_EXIT_ERR:
        return true;
    case SVM_EXIT_NPF:
        return !(info_1 & PG_ERROR_RSVD_MASK);
    default:
        return false;
    }
}

/*
 * Called with the state of the interrupted instruction restored.  Does not
 * return if the exit is to become #VC.  Second exit information that was put
 * into the VMCB meanwhile would tell the host what it is not to know.
 */
void sev_vmexit_filter(CPUX86State *env, uint64_t exit_code,
                       uint64_t *exit_info_1)
{
    CPUState *cs = env_cpu(env);

    if (!sev_es_guest(env) || exit_is_automatic(exit_code, *exit_info_1)) {
        return;
    }
    x86_stq_phys(cs, env->vm_vmcb + offsetof(struct vmcb,
                                             control.exit_info_2), 0);
    qemu_log_mask(CPU_LOG_INT, "sev: #VC 0x%" PRIx64 " rip=" TARGET_FMT_lx
                  "\n", exit_code, env->eip);
    raise_exception_err_ra(env, EXCP1D_VC, exit_code, 0);
}

/*
 * An exit after the instruction: RIP is already that of the next one, and an
 * interrupt shadow and RF have ended.  A VMCB has no place for the single step
 * trap that RFLAGS.TF would have made of it; that it is lost is an assumption.
 */
static G_NORETURN void trap_exit(CPUX86State *env, uint32_t exit_code,
                                 uint64_t info)
{
    do_end_instruction(env);
    cpu_vmexit(env, exit_code, info, 0);
}

static bool is_trapped(CPUX86State *env, uint32_t exit_code)
{
    return sev_es_guest(env) && cpu_svm_has_intercept(env, exit_code);
}

/*
 * A register has been written, by an instruction whose helper was called from
 * @ra.  RIP is that of the next one only from here on: whoever restores the state
 * of the CPU on the way takes the page from what RIP is.
 */
void sev_trap_exit(CPUX86State *env, uint32_t exit_code, uint64_t info,
                   uintptr_t ra)
{
    if (!is_trapped(env, exit_code)) {
        return;
    }
    cpu_restore_state(env_cpu(env), ra);
    env->eip += env->insn_len;
    if (!(env->hflags & HF_CS64_MASK)) {
        env->eip = (uint32_t)env->eip;
    }
    trap_exit(env, exit_code, info);
}

void helper_sev_check_trap(CPUX86State *env, uint32_t exit_code)
{
    if (is_trapped(env, exit_code)) {
        trap_exit(env, exit_code, 0);
    }
}

/* Intercepts that are checked after the instruction instead of before it */
bool sev_intercept_deferred(CPUX86State *env, uint32_t exit_code)
{
    return sev_es_guest(env) &&
           (exit_code == SVM_EXIT_HLT || exit_code == SVM_EXIT_PAUSE);
}

/* VMGEXIT is VMMCALL to anybody but an SEV-ES guest */
void helper_vmgexit(CPUX86State *env, int next_eip_addend)
{
    if (!sev_es_guest(env)) {
        helper_vmmcall(env);
        return;
    }
    env->eip += next_eip_addend;
    trap_exit(env, SEV_EXIT_VMGEXIT, 0);
}

/* Returns true if the VMCB save area is not to be written */
bool sev_vmexit_capture(CPUX86State *env)
{
    if (sev_es_guest(env)) {
        sev_vmsa_capture(env);
    }
    return env->sev.mode >= SEV_GUEST_ES_ENTRY;
}

static void es_vmexit_finish(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    bool guest_if = sev_vmsa_rflags(env) & IF_MASK;
    hwaddr int_state = env->vm_vmcb + offsetof(struct vmcb,
                                               control.int_state);

    x86_stl_phys(cs, int_state,
                 FIELD_DP32(x86_ldl_phys(cs, int_state), INT_STATE, GUEST_IF,
                            guest_if));
    x86_stq_phys(cs, env->vm_vmcb + VMCB_GHCB, env->sev.ghcb);
    x86_stq_phys(cs, env->vm_vmcb + VMCB_GUEST_FEATURES, env->sev.features);
    sev_vmsa_store(env);
    sev_hsave_load(env);
}

void sev_vmexit_finish(CPUX86State *env)
{
    if (sev_es_guest(env)) {
        es_vmexit_finish(env);
    }
    sev_rmp_release(env);
    env->sev = (SevGuest){ .mode = SEV_GUEST_NONE };
}
