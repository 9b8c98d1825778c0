/*
 * SVM: translations tagged with ASIDs
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/helper-proto.h"
#include "tcg/helper-tcg.h"
#include "sev_host.h"
#include "svm_tlb.h"

#define SVM_GUEST_IDXMAP (MMU_GUEST_IDXMAP | 1 << MMU_NESTED_IDX)

static SvmTlbContext host_context(CPUX86State *env)
{
    uint32_t pg_mode = get_pg_mode(env);

    return (SvmTlbContext) {
        .pg_mode = pg_mode,
        .pkru = pg_mode & PG_MODE_PKE ? env->pkru : 0,
        .pkrs = pg_mode & PG_MODE_PKS ? env->pkrs : 0,
        .smm = !!(env->hflags & HF_SMM_MASK),
        .cr3 = env->cr[3],
    };
}

/*
 * The RMP's permissions are those of a VMPL, and encryption decides where the
 * address ends.  The last VMSA that ran is part of it for SNP guests only, see
 * svm_tlb_enter_guest().
 */
static SvmTlbContext guest_context(CPUX86State *env)
{
    SvmTlbContext c = host_context(env);

    c.cr3 = 0;
    c.nested = !!(env->hflags2 & HF2_NPT_MASK);
    c.nested_pg_mode = c.nested ? env->nested_pg_mode : 0;
    c.sev_mode = env->sev.mode;
    c.vmpl = env->sev.vmpl;
    c.vmsa_pa = sev_snp_guest(env) ? env->sev.vmsa_pa : 0;
    return c;
}

static bool same_context(const SvmTlbContext *a, const SvmTlbContext *b)
{
    return a->pg_mode == b->pg_mode && a->pkru == b->pkru &&
           a->pkrs == b->pkrs && a->smm == b->smm && a->cr3 == b->cr3 &&
           a->nested == b->nested && a->nested_pg_mode == b->nested_pg_mode &&
           a->sev_mode == b->sev_mode && a->vmpl == b->vmpl &&
           a->vmsa_pa == b->vmsa_pa;
}

/* From here on the control registers are loaded without any flush. */
void svm_tlb_leave_host(CPUX86State *env)
{
    env->svm_tlb.host = host_context(env);
    env->svm_tlb.switching = true;
}

/* 15.16.2 "TLB Flush": what VMRUN was asked to flush */
static uint16_t idxmap_to_flush(CPUX86State *env)
{
    switch (x86_ldub_phys(env_cpu(env), env->vm_vmcb +
                          offsetof(struct vmcb, control.tlb_ctl))) {
    case TLB_CONTROL_FLUSH_ALL_ASID:
        return MMU_HOST_IDXMAP | SVM_GUEST_IDXMAP;
    case TLB_CONTROL_FLUSH_ASID:
    case TLB_CONTROL_FLUSH_ASID_LOCAL:
        return SVM_GUEST_IDXMAP;
    default:
        return 0;
    }
}

/*
 * An SNP guest does not depend on its hypervisor here: what another of its
 * VMSAs has left behind, or this one before it ran elsewhere, is flushed
 * whatever the VMCB says, and if the guest has cleared PCPU_ID.
 */
void svm_tlb_enter_guest(CPUX86State *env, uint32_t asid)
{
    SvmTlbContext now = guest_context(env);
    uint16_t idxmap = idxmap_to_flush(env);

    if (env->svm_tlb.asid != asid || !sev_vmsa_ran_here(env) ||
        !same_context(&env->svm_tlb.guest, &now)) {
        idxmap |= SVM_GUEST_IDXMAP;
    }
    if (idxmap) {
        tlb_flush_by_mmuidx(env_cpu(env), idxmap);
    }
    env->svm_tlb.asid = asid;
    env->svm_tlb.guest = now;
    env->svm_tlb.switching = false;
}

/*
 * What the guest has changed since, it has flushed, too.  A VMRUN that failed
 * has not run the guest: the registers are nobody's.
 */
void svm_tlb_leave_guest(CPUX86State *env)
{
    if (!env->svm_invalid) {
        env->svm_tlb.guest = guest_context(env);
    }
    env->svm_tlb.switching = true;
}

void svm_tlb_enter_host(CPUX86State *env)
{
    SvmTlbContext now = host_context(env);

    if (!same_context(&env->svm_tlb.host, &now)) {
        tlb_flush_by_mmuidx(env_cpu(env), MMU_HOST_IDXMAP);
    }
    env->svm_tlb.switching = false;
}

/* Of no effect on the translations of an ASID that are not cached */
void helper_invlpga(CPUX86State *env, target_ulong addr)
{
    uint32_t asid = env->regs[R_ECX];
    uint16_t idxmap = 0;

    if (asid == 0) {
        idxmap = MMU_HOST_IDXMAP;
    } else if (asid == env->svm_tlb.asid || !env->svm_tlb.asid) {
        /* Which one it is, is not known after an incoming migration. */
        idxmap = MMU_GUEST_IDXMAP;
    }
    tlb_flush_page_by_mmuidx(env_cpu(env), addr, idxmap);
}
