/*
 * AMD's additions to debug registers
 *
 * See bpt_amd.h.  Called by bpt_helper.c, which has the breakpoints themselves.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "cpu.h"
#include "tcg/helper-tcg.h"
#include "bpt_amd.h"
#include "sev_host.h"

static uint64_t address_mask(CPUX86State *env, int index)
{
    return (uint32_t)env->sev_msrs.dr_mask[index];
}

/* From the first to the last address that can match */
void bpt_data_range(CPUX86State *env, int index, int bp_len, vaddr *addr,
                    vaddr *len)
{
    uint64_t mask = address_mask(env, index);

    *addr = env->dr[index] & ~mask;
    *len = (env->dr[index] | mask) - *addr + bp_len;
}

/* A mask that changes, changes what an enabled breakpoint covers. */
void bpt_msr_written(CPUX86State *env, uint32_t msr)
{
    switch (msr) {
    case MSR_AMD_DR0_MASK:
        cpu_x86_rearm_breakpoint(env, 0);
        break;
    case MSR_AMD_DR1_MASK ... MSR_AMD_DR3_MASK:
        cpu_x86_rearm_breakpoint(env, 1 + msr - MSR_AMD_DR1_MASK);
        break;
    }
}

static int breakpoint_index(CPUX86State *env, const CPUWatchpoint *wp)
{
    for (int i = 0; i < DR7_MAX_BP; i++) {
        if (env->cpu_watchpoint[i] == wp) {
            return i;
        }
    }
    g_assert_not_reached();
}

/* Masks with gaps: the range has addresses that do not match. */
static bool masked_match(CPUX86State *env, int index, vaddr addr)
{
    uint64_t mask = address_mask(env, index);

    return !mask || !((addr ^ env->dr[index]) & ~(mask | 7));
}

/*
 * While an event is delivered, no instruction can be started again to have the
 * breakpoint hit after it: the event would be lost.
 */
bool x86_debug_check_watchpoint(CPUState *cs, CPUWatchpoint *wp)
{
    CPUX86State *env = cpu_env(cs);
    int index = breakpoint_index(env, wp);

    if (!masked_match(env, index, wp->hitaddr)) {
        return false;
    }
    if (cs->exception_index < 0) {
        return true;
    }
    if (cs->exception_index != EXCP01_DB) {
        env->delayed_bp |= 1 << index;
        cpu_interrupt(cs, CPU_INTERRUPT_DEBUG);
    }
    return false;
}

/* Returns if there is nothing to raise. */
void bpt_raise_delayed(CPUX86State *env)
{
    if (!env->delayed_bp) {
        return;
    }
    env->dr[6] = (env->dr[6] & ~0xf) | env->delayed_bp;
    env->delayed_bp = 0;
    raise_exception(env, EXCP01_DB);
}

/* The instruction, or the delivery, that hit them is not complete. */
void bpt_vmexit(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);

    if (cs->watchpoint_hit && !(cs->watchpoint_hit->flags & BP_CPU)) {
        return;
    }
    if (cs->watchpoint_hit || env->delayed_bp) {
        cs->watchpoint_hit = NULL;
        env->delayed_bp = 0;
        cs->interrupt_request &= ~CPU_INTERRUPT_DEBUG;
    }
}
