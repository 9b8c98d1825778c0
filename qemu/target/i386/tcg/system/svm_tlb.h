/*
 * SVM: translations tagged with ASIDs
 *
 * APM vol 2, 15.16 "TLB Control".  The host's translations, ASID 0, and those
 * of one guest are cached at the same time, in MMU indexes of their own.  VMRUN
 * and #VMEXIT flush neither.  Nested translations (guest physical to system
 * physical) count as the guest's.  Flushing more than was asked for is always
 * allowed, which is why the translations of one ASID only are kept, and why
 * global pages are not told from others.
 *
 * What a CPU looks at on each access, and QEMU only when it fills the TLB, is
 * no cause of a flush to software.  If it is not as it was, what was filled with
 * it goes: see SvmTlbContext.  CR3 and nCR3 of a guest are no such cause: what
 * has been cached under others stays valid until the hypervisor flushes it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef I386_TCG_SVM_TLB_H
#define I386_TCG_SVM_TLB_H

#include "cpu.h"

/* VMRUN: before the host's state is replaced, and when the guest's is there */
void svm_tlb_leave_host(CPUX86State *env);
void svm_tlb_enter_guest(CPUX86State *env, uint32_t asid);

/* #VMEXIT, likewise */
void svm_tlb_leave_guest(CPUX86State *env);
void svm_tlb_enter_host(CPUX86State *env);

#endif
