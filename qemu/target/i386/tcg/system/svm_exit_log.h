/*
 * A log of world switches: what each #VMEXIT costs the host
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef I386_TCG_SVM_EXIT_LOG_H
#define I386_TCG_SVM_EXIT_LOG_H

#include "cpu.h"

#if defined(CONFIG_TCG) && !defined(CONFIG_USER_ONLY)
bool svm_exit_log_realize(X86CPU *cpu, Error **errp);
void svm_exit_log_begin(CPUX86State *env, uint64_t exit_code);
void svm_exit_log_end(CPUX86State *env);
#else
static inline bool svm_exit_log_realize(X86CPU *cpu, Error **errp)
{
    return true;
}
#endif

#endif
