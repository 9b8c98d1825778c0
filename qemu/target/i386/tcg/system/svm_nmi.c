/*
 * SVM: NMIs of a guest
 *
 * svm_nmi.h says who blocks whose.  Called by svm_helper.c at VMRUN and #VMEXIT,
 * and by seg_helper.c when an NMI is delivered.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "svm_nmi.h"

#define INT_CTL_NMI     (R_INT_CTL_NMI_PENDING_MASK | R_INT_CTL_NMI_MASK_MASK | \
                         R_INT_CTL_NMI_ENABLE_MASK)

static uint32_t vmcb_int_ctl(CPUX86State *env)
{
    return x86_ldl_phys(env_cpu(env), env->vm_vmcb +
                        offsetof(struct vmcb, control.int_ctl));
}

/* 15.21.10: "VMRUN with V_NMI_ENABLE set and no intercept of NMIs" fails. */
bool svm_nmi_vmrun_valid(CPUX86State *env)
{
    return !(env->features[FEAT_SVM] & CPUID_SVM_VNMI) ||
           !FIELD_EX32(vmcb_int_ctl(env), INT_CTL, NMI_ENABLE) ||
           svm_nmi_intercepted(env);
}

/* What the VMCB says of pending and blocked counts for virtual NMIs only. */
void svm_nmi_load_int_ctl(CPUX86State *env)
{
    env->int_ctl = vmcb_int_ctl(env);
    if (!svm_vnmi_enabled(env)) {
        env->int_ctl &= ~INT_CTL_NMI;
    }
}

/* ... and otherwise stays there as it was. */
uint32_t svm_nmi_saved_int_ctl(CPUX86State *env)
{
    if (svm_vnmi_enabled(env)) {
        return env->int_ctl;
    }
    return (env->int_ctl & ~INT_CTL_NMI) | (vmcb_int_ctl(env) & INT_CTL_NMI);
}

/* The guest is about to run. */
void svm_nmi_vmrun(CPUX86State *env)
{
    if (svm_vnmi_enabled(env) &&
        FIELD_EX32(env->int_ctl, INT_CTL, NMI_PENDING)) {
        bql_lock();
        env_cpu(env)->interrupt_request |= CPU_INTERRUPT_VNMI;
        bql_unlock();
    }
}

/*
 * By EVENTINJ.  15.21.10: it sets V_NMI_MASK; a guest without a mask of its
 * own has to be watched by its host until IRET.
 */
void svm_nmi_injected(CPUX86State *env)
{
    if (svm_nmi_own_mask(env)) {
        env->int_ctl = FIELD_DP32(env->int_ctl, INT_CTL, NMI_MASK, 1);
    }
}

/* A physical one, to the host or to a guest whose host does not intercept it */
void svm_nmi_delivered(CPUX86State *env)
{
    if (svm_nmi_own_mask(env)) {
        env->int_ctl = FIELD_DP32(env->int_ctl, INT_CTL, NMI_MASK, 1);
    } else {
        env->hflags2 |= HF2_NMI_MASK;
    }
}

/* A virtual one: taken, so that an exit meanwhile has it in EXITINTINFO only */
void svm_vnmi_delivered(CPUX86State *env)
{
    env_cpu(env)->interrupt_request &= ~CPU_INTERRUPT_VNMI;
    env->int_ctl = FIELD_DP32(env->int_ctl, INT_CTL, NMI_PENDING, 0);
    env->int_ctl = FIELD_DP32(env->int_ctl, INT_CTL, NMI_MASK, 1);
}
