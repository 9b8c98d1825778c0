/*
 * AMD SEV host emulation: the instructions that change the reverse map table
 *
 * APM vol 3: PSMASH, PVALIDATE, RMPADJUST, RMPQUERY, RMPREAD, RMPUPDATE.  Which
 * of #UD and #GP comes of what is assumed where the manual's pages are not at hand:
 * not there, not on, in the wrong place: #UD; not allowed there: #GP(0).
 *
 * All give a result in EAX and set the arithmetic flags from it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/helper-proto.h"
#include "exec/cpu_ldst.h"
#include "tcg/helper-tcg.h"
#include "sev_host.h"

FIELD(RMPADJUST_RDX, VMPL, 0, 8)
FIELD(RMPADJUST_RDX, PERMS, 8, 8)
FIELD(RMPADJUST_RDX, VMSA, 16, 1)

typedef struct RmpInsn {
    uint32_t op;
    bool guest;                 /* of SNP guests; others are the host's */
    bool (*exists)(X86CPU *cpu);
    void (*run)(CPUX86State *env, uintptr_t ra);
} RmpInsn;

/*
 * Nothing but arithmetic flags may get into CC_SRC: the rest of RFLAGS is kept
 * elsewhere, and a stray IF in there ends in the guest's.
 */
static void set_result(CPUX86State *env, uint32_t status, bool carry)
{
    uint32_t flags = 0;

    env->regs[R_EAX] = status;
    flags |= carry ? CC_C : 0;
    flags |= status == 0 ? CC_Z : 0;
    flags |= (int32_t)status < 0 ? CC_S : 0;
    flags |= ctpop8(status) % 2 ? 0 : CC_P;
    CC_SRC = flags;
    CC_OP = CC_OP_EFLAGS;
}

static target_ulong address(CPUX86State *env, target_ulong reg)
{
    return env->hflags & HF_CS64_MASK ? reg : (uint32_t)reg;
}

/* ---- the host's */

static void run_rmpupdate(CPUX86State *env, uintptr_t ra)
{
    uint64_t raw[2] = {
        cpu_to_le64(cpu_ldq_data_ra(env, env->regs[R_ECX], ra)),
        cpu_to_le64(cpu_ldq_data_ra(env, env->regs[R_ECX] + 8, ra)),
    };
    AmdRmpState state;

    QEMU_BUILD_BUG_ON(sizeof(state) != sizeof(raw));
    memcpy(&state, raw, sizeof(state));
    state.gpa = le64_to_cpu(state.gpa);
    state.asid = le32_to_cpu(state.asid);
    set_result(env, amd_rmpupdate(env->regs[R_EAX], &state), false);
}

static void run_psmash(CPUX86State *env, uintptr_t ra)
{
    set_result(env, amd_psmash(env->regs[R_EAX]), false);
}

/* The result is written even if it is all zeroes, for want of an entry. */
static void run_rmpread(CPUX86State *env, uintptr_t ra)
{
    AmdRmpState state = { 0 };
    AmdRmpStatus status = amd_rmpread(env->regs[R_EAX], &state);
    uint64_t raw[2];

    state.gpa = cpu_to_le64(state.gpa);
    state.asid = cpu_to_le32(state.asid);
    memcpy(raw, &state, sizeof(raw));
    cpu_stq_data_ra(env, env->regs[R_ECX], le64_to_cpu(raw[0]), ra);
    cpu_stq_data_ra(env, env->regs[R_ECX] + 8, le64_to_cpu(raw[1]), ra);
    set_result(env, status, false);
}

/* ---- the guest's */

/* The page at RAX, translated as for a load, and what is asked about it */
typedef struct GuestPage {
    target_ulong gva;
    SevRmpPage page;
    AmdRmpAccess access;
} GuestPage;

static GuestPage guest_page(CPUX86State *env, AmdRmpKind kind, uintptr_t ra)
{
    GuestPage g = { .gva = address(env, env->regs[R_EAX]) };

    sev_translate(env, g.gva, &g.page, ra);
    g.access = (AmdRmpAccess) {
        .kind = kind,
        .spa = g.page.spa & TARGET_PAGE_MASK,
        .gpa = g.page.gpa & TARGET_PAGE_MASK,
        .asid = env->sev.asid,
        .vmpl = env->sev.vmpl,
    };
    return g;
}

/* Returns if the result is the instruction's, and not the access's. */
static void finish(CPUX86State *env, const GuestPage *g, const AmdRmpResult *r,
                   uintptr_t ra)
{
    if (r->fault != AMD_RMP_OK) {
        sev_rmp_raise(env, g->gva, &g->page, r->fault,
                      r->fault == AMD_RMP_FAULT_SIZE ? SEV_NPF_SIZEM : 0, ra);
    }
    set_result(env, r->status, r->unchanged);
}

static bool bad_size(CPUX86State *env)
{
    return (uint32_t)env->regs[R_ECX] > 1;
}

static void run_pvalidate(CPUX86State *env, uintptr_t ra)
{
    bool large = env->regs[R_ECX] & 1;
    AmdRmpResult r;
    GuestPage g;

    if (env->sev.vmpl) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    if (bad_size(env)) {
        set_result(env, AMD_RMP_FAIL_INPUT, false);
        return;
    }
    g = guest_page(env, AMD_RMP_GUEST_PVALIDATE, ra);
    r = amd_pvalidate(&g.access, large, env->regs[R_EDX] & 1);
    finish(env, &g, &r, ra);
}

static void run_rmpadjust(CPUX86State *env, uintptr_t ra)
{
    uint64_t rdx = env->regs[R_EDX];
    AmdRmpAdjust adjust = {
        .vmpl = FIELD_EX64(rdx, RMPADJUST_RDX, VMPL),
        .perms = FIELD_EX64(rdx, RMPADJUST_RDX, PERMS),
        .vmsa = FIELD_EX64(rdx, RMPADJUST_RDX, VMSA),
    };
    AmdRmpResult r;
    GuestPage g;

    if (bad_size(env) || rdx >> (R_RMPADJUST_RDX_VMSA_SHIFT + 1)) {
        set_result(env, AMD_RMP_FAIL_INPUT, false);
        return;
    }
    g = guest_page(env, AMD_RMP_GUEST_RMPADJUST, ra);
    r = amd_rmpadjust(&g.access, env->regs[R_ECX] & 1, &adjust);
    r.unchanged = false;
    finish(env, &g, &r, ra);
}

/* The result has the layout of RMPADJUST's operands [assumed]. */
static void run_rmpquery(CPUX86State *env, uintptr_t ra)
{
    uint8_t vmpl = FIELD_EX64(env->regs[R_EDX], RMPADJUST_RDX, VMPL);
    GuestPage g = guest_page(env, AMD_RMP_GUEST_RMPADJUST, ra);
    AmdRmpResult r = amd_rmpquery(&g.access, vmpl);

    finish(env, &g, &r, ra);
    if (r.status == AMD_RMP_SUCCESS) {
        env->regs[R_EDX] = FIELD_DP64(vmpl, RMPADJUST_RDX, PERMS, r.perms);
        env->regs[R_EDX] = FIELD_DP64(env->regs[R_EDX], RMPADJUST_RDX, VMSA,
                                      r.vmsa);
        env->regs[R_ECX] = r.size_2m;
    }
}

/* ---- decoding */

static bool has_rmpread(X86CPU *cpu)
{
    return cpu->sev_rmpread;
}

static const RmpInsn insns[] = {
    { SEV_INSN_RMPUPDATE, .run = run_rmpupdate },
    { SEV_INSN_PSMASH, .run = run_psmash },
    { SEV_INSN_RMPREAD, .run = run_rmpread, .exists = has_rmpread },
    { SEV_INSN_PVALIDATE, .guest = true, .run = run_pvalidate },
    { SEV_INSN_RMPADJUST, .guest = true, .run = run_rmpadjust },
    { SEV_INSN_RMPQUERY, .guest = true, .run = run_rmpquery },
};

static const RmpInsn *find_insn(uint32_t op)
{
    for (int i = 0; i < ARRAY_SIZE(insns); i++) {
        if (insns[i].op == op) {
            return &insns[i];
        }
    }
    return NULL;
}

static bool insn_available(CPUX86State *env, const RmpInsn *insn)
{
    if (insn->exists && !insn->exists(env_archcpu(env))) {
        return false;
    }
    if (insn->guest) {
        return sev_snp_guest(env);
    }
    return sev_snp_on(env) && !(env->hflags & HF_GUEST_MASK) &&
           (env->hflags & HF_CS64_MASK);
}

void helper_rmp_insn(CPUX86State *env, uint32_t op)
{
    const RmpInsn *insn = find_insn(op);

    if (!insn || !insn_available(env, insn)) {
        raise_exception_ra(env, EXCP06_ILLOP, GETPC());
    }
    if (env->hflags & HF_CPL_MASK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, GETPC());
    }
    insn->run(env, GETPC());
}
