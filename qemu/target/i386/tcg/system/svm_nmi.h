/*
 * SVM: NMIs of a guest
 *
 * Who blocks whose NMIs.  The host's are blocked by HF2_NMI_MASK, from their
 * delivery to IRET.  A guest has a mask of its own if its NMIs are virtualized
 * (APM vol 2, 15.21.10 "NMI Virtualization"), or if it is an SEV-ES guest: its
 * host can neither see nor set a mask in the CPU.  Here it is V_NMI_MASK of the
 * CPU's copy of the VMCB's interrupt control, set by the delivery of an NMI of
 * any origin, and cleared by the guest's IRET, which leaves the host's alone.
 * Other guests share the host's, as "SVM does not virtualize" it.
 *
 * Injected NMIs are delivered whatever is blocked: the host is to know.
 *
 * Without NMI virtualization the mask of an SEV-ES guest stays in its VMSA,
 * VINTR_CTRL.NMI_MASK, while the guest does not run.  From memory: the manual
 * gives that field a meaning for alternate injection only.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef I386_TCG_SVM_NMI_H
#define I386_TCG_SVM_NMI_H

#include "cpu.h"

#ifndef CONFIG_USER_ONLY
#include "svm.h"
#include "tcg/system/sev_host.h"

/* A virtual NMI is pending; it may be blocked. */
#define CPU_INTERRUPT_VNMI      CPU_INTERRUPT_TGT_EXT_0

static inline bool svm_vnmi_enabled(CPUX86State *env)
{
    return (env->features[FEAT_SVM] & CPUID_SVM_VNMI) &&
           FIELD_EX32(env->int_ctl, INT_CTL, NMI_ENABLE);
}

static inline bool svm_nmi_own_mask(CPUX86State *env)
{
    return (env->hflags & HF_GUEST_MASK) &&
           (svm_vnmi_enabled(env) || sev_es_guest(env));
}

static inline bool svm_vnmi_deliverable(CPUX86State *env)
{
    return !FIELD_EX32(env->int_ctl, INT_CTL, NMI_MASK) &&
           !(env->hflags & HF_INHIBIT_IRQ_MASK);
}

static inline bool svm_nmi_intercepted(CPUX86State *env)
{
    return env->intercept & (1ULL << (SVM_EXIT_NMI - SVM_EXIT_INTR));
}

/* A physical NMI: one that the host wants does not ask the guest. */
static inline bool svm_nmi_blocked(CPUX86State *env)
{
    if (env->hflags2 & HF2_NMI_MASK) {
        return true;
    }
    return svm_nmi_own_mask(env) && !svm_nmi_intercepted(env) &&
           FIELD_EX32(env->int_ctl, INT_CTL, NMI_MASK);
}

bool svm_nmi_vmrun_valid(CPUX86State *env);
void svm_nmi_load_int_ctl(CPUX86State *env);
uint32_t svm_nmi_saved_int_ctl(CPUX86State *env);
void svm_nmi_vmrun(CPUX86State *env);
void svm_nmi_injected(CPUX86State *env);
void svm_nmi_delivered(CPUX86State *env);
void svm_vnmi_delivered(CPUX86State *env);
#endif

/* IRET: whoever executes it can take NMIs again. */
static inline void x86_nmi_unblock(CPUX86State *env)
{
#ifndef CONFIG_USER_ONLY
    if (svm_nmi_own_mask(env)) {
        env->int_ctl = FIELD_DP32(env->int_ctl, INT_CTL, NMI_MASK, 0);
        return;
    }
#endif
    env->hflags2 &= ~HF2_NMI_MASK;
}

#endif
