/*
 * AMD's additions to debug registers
 *
 * Address masks (APM vol 2, 13.1.1.5 "Breakpoint Address Mask Registers", from
 * memory): a set bit takes the bit of the address out of the comparison.  Those
 * of data breakpoints are implemented, for instruction breakpoints they are
 * ignored.
 *
 * Data breakpoints that the delivery of an event hits: #DB follows it.  If the
 * event is itself #DB, the hit is ignored, which CPUID 8000_0021.EAX bit 0,
 * NoNestedDataBp, promises: or a guest could keep a CPU busy for ever.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef I386_TCG_BPT_AMD_H
#define I386_TCG_BPT_AMD_H

#include "cpu.h"

/* bpt_amd.c */
void bpt_data_range(CPUX86State *env, int index, int bp_len, vaddr *addr,
                    vaddr *len);
bool x86_debug_check_watchpoint(CPUState *cs, CPUWatchpoint *wp);
void bpt_raise_delayed(CPUX86State *env);
void bpt_msr_written(CPUX86State *env, uint32_t msr);
void bpt_vmexit(CPUX86State *env);

/* bpt_helper.c: the breakpoint as its registers are now */
void cpu_x86_rearm_breakpoint(CPUX86State *env, int index);

#endif
