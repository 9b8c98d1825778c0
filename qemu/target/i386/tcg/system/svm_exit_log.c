/*
 * A log of world switches: what each #VMEXIT costs the host
 *
 * With "x-svm-exit-log=FILE" among a CPU's properties, every instruction that
 * is translated outside guest mode counts itself, apart for CPL 0 and the
 * rest.  #VMEXIT starts the count; the VMRUN that follows on the same CPU
 * writes a line to FILE.<index of the CPU>:
 *
 *     <exit code> <tag> <instructions at CPL 0> <at CPL 1 to 3>
 *
 * all hexadecimal but the counts.  The tag is what the host reads first: the
 * GHCB MSR of an SEV-ES guest, RAX of any other.  Instructions count, not
 * time, so that a run can be repeated; one that starts again after a fault or
 * an access to a device counts twice, and a string instruction once for each
 * element.
 *
 * Without the property no code is generated for it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "cpu.h"
#include "sev_host.h"
#include "svm_exit_log.h"

bool svm_exit_log_realize(X86CPU *cpu, Error **errp)
{
    g_autofree char *name = NULL;

    if (!cpu->svm_exit_log_name) {
        return true;
    }
    name = g_strdup_printf("%s.%d", cpu->svm_exit_log_name,
                           CPU(cpu)->cpu_index);
    cpu->svm_exit_log = fopen(name, "w");
    if (!cpu->svm_exit_log) {
        error_setg_errno(errp, errno, "x-svm-exit-log: cannot write %s", name);
        return false;
    }
    return true;
}

/* #VMEXIT: the state of the guest is still there */
void svm_exit_log_begin(CPUX86State *env, uint64_t exit_code)
{
    if (likely(!env_archcpu(env)->svm_exit_log)) {
        return;
    }
    env->svm_exit.code = exit_code;
    env->svm_exit.tag = sev_es_guest(env) ? env->sev.ghcb : env->regs[R_EAX];
    env->svm_exit.open = true;
    memset(env->svm_exit.insns, 0, sizeof(env->svm_exit.insns));
}

/* VMRUN, which has counted itself already */
void svm_exit_log_end(CPUX86State *env)
{
    FILE *log = env_archcpu(env)->svm_exit_log;

    if (likely(!log) || !env->svm_exit.open) {
        return;
    }
    env->svm_exit.open = false;
    fprintf(log, "%" PRIx64 " %" PRIx64 " %" PRIu64 " %" PRIu64 "\n",
            env->svm_exit.code, env->svm_exit.tag,
            env->svm_exit.insns[0], env->svm_exit.insns[1]);
}
