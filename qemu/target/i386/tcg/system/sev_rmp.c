/*
 * AMD SEV host emulation: who asks the reverse map table, and when
 *
 * The page walker asks for each table page that it touches, the TLB fill for the
 * page that it is about to enter, and VMRUN for the pages that it runs from.  An
 * entry in the TLB is one that was allowed: permissions that the RMP denies are
 * left out of it, so that the access that needs them comes back here.
 *
 * 15.36.10 "RMP and VMPL Access Checks": ordinary paging comes first.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "cpu.h"
#include "exec/exec-all.h"
#include "exec/page-protection.h"
#include "tcg/helper-tcg.h"
#include "sev_host.h"

static AmdRmpAccess page_access(CPUX86State *env, AmdRmpKind kind,
                                const SevRmpPage *page)
{
    return (AmdRmpAccess) {
        .kind = kind,
        .spa = page->spa,
        .large = page->large,
        .gpa = page->gpa,
        .asid = env->sev.asid,
        .vmpl = env->sev.vmpl,
    };
}

static AmdRmpFault check_page(CPUX86State *env, AmdRmpKind kind,
                              const SevRmpPage *page)
{
    AmdRmpAccess access = page_access(env, kind, page);

    return amd_rmp_check(&access);
}

/* ---- pages that software accesses */

/* AMD_RMP_KINDS: an access that the RMP has nothing to say about */
static AmdRmpKind data_kind(CPUX86State *env, MMUAccessType access_type,
                            bool user, const SevRmpPage *page)
{
    bool fetch = access_type == MMU_INST_FETCH;

    if (sev_snp_guest(env) && (page->cbit || fetch)) {
        switch (access_type) {
        case MMU_DATA_LOAD:
            return AMD_RMP_GUEST_LOAD;
        case MMU_DATA_STORE:
            return AMD_RMP_GUEST_STORE;
        default:
            return user ? AMD_RMP_GUEST_FETCH_USER : AMD_RMP_GUEST_FETCH_SUPER;
        }
    }
    if (access_type != MMU_DATA_STORE) {
        return AMD_RMP_KINDS;
    }
    return env->hflags & HF_GUEST_MASK ? AMD_RMP_SHARED_STORE
                                       : AMD_RMP_HOST_STORE;
}

static AmdRmpFault check_data(CPUX86State *env, MMUAccessType access_type,
                              bool user, const SevRmpPage *page)
{
    AmdRmpKind kind = data_kind(env, access_type, user, page);

    return kind == AMD_RMP_KINDS ? AMD_RMP_OK : check_page(env, kind, page);
}

/* The access that fills the TLB, and what else the entry may be used for */
AmdRmpFault sev_rmp_fill(CPUX86State *env, MMUAccessType access_type,
                         bool user, const SevRmpPage *page, int *prot)
{
    AmdRmpFault fault = check_data(env, access_type, user, page);

    if (fault != AMD_RMP_OK) {
        return fault;
    }
    for (int other = MMU_DATA_LOAD; other <= MMU_INST_FETCH; other++) {
        if (other != access_type && (*prot & (1 << other)) &&
            check_data(env, other, user, page) != AMD_RMP_OK) {
            *prot &= ~(1 << other);
        }
    }
    return AMD_RMP_OK;
}

/* ---- page tables */

/*
 * @store: what a store of accessed and dirty bits would come to.  That counts
 * as a 4K data write.
 */
AmdRmpFault sev_rmp_walk(CPUX86State *env, bool host_tables,
                         const SevRmpPage *page, AmdRmpFault *store)
{
    AmdRmpFault fault;

    if (host_tables || !sev_snp_guest(env)) {
        *store = AMD_RMP_OK;
        return check_page(env, host_tables ? AMD_RMP_HOST_WALK
                                           : AMD_RMP_SHARED_WALK, page);
    }
    fault = check_page(env, AMD_RMP_GUEST_WALK, page);
    *store = fault != AMD_RMP_OK ? fault :
             check_page(env, AMD_RMP_GUEST_WALK_STORE, page);
    return fault;
}

/* ---- pages of VMRUN, always taken as 4K pages */

static AmdRmpFault check_4k(CPUX86State *env, AmdRmpKind kind, hwaddr spa)
{
    SevRmpPage page = { .spa = spa };

    return check_page(env, kind, &page);
}

bool sev_rmp_hsave_allowed(CPUX86State *env, hwaddr spa)
{
    return !sev_snp_on(env) ||
           check_4k(env, AMD_RMP_HSAVE, spa) == AMD_RMP_OK;
}

/*
 * 15.36.12 "Running SNP-Active Virtual Machines".  That VMSAVE, which writes to
 * the page, asks like VMRUN is an assumption.
 */
void sev_rmp_require_vmcb(CPUX86State *env, hwaddr vmcb, uintptr_t ra)
{
    if (unlikely(sev_snp_on(env)) &&
        check_4k(env, AMD_RMP_VMCB, vmcb) != AMD_RMP_OK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
}

/*
 * Before anything is saved.  The VMCB is in use from here on, until
 * sev_rmp_release(): between the check and the mark it could become somebody
 * else's.  Unlike a VMSA, it may be in use by several CPUs.
 */
void sev_vmrun_begin(CPUX86State *env, hwaddr vmcb, uintptr_t ra)
{
    AmdRmpAccess access = { .kind = AMD_RMP_VMCB, .spa = vmcb };

    env->sev = (SevGuest){ .mode = SEV_GUEST_NONE };
    if (likely(!sev_snp_on(env))) {
        return;
    }
    if (!env->vm_hsave || amd_rmp_share(&access) != AMD_RMP_OK) {
        raise_exception_err_ra(env, EXCP0D_GPF, 0, ra);
    }
    env->sev.vmcb_pa = vmcb;
}

/* A backing page that nobody uses, since AVIC is not offered */
bool sev_rmp_avic_allowed(CPUX86State *env)
{
    CPUState *cs = env_cpu(env);
    uint32_t int_ctl = x86_ldl_phys(cs, env->vm_vmcb +
                                    offsetof(struct vmcb, control.int_ctl));
    hwaddr page = x86_ldq_phys(cs, env->vm_vmcb + VMCB_AVIC_BACKING_PAGE);

    return !sev_snp_on(env) || !FIELD_EX32(int_ctl, INT_CTL, AVIC) ||
           check_4k(env, AMD_RMP_AVIC, page & TARGET_PAGE_MASK) == AMD_RMP_OK;
}

/*
 * That a VMSA cannot be run by two CPUs at once is certain, that VMRUN says
 * VMEXIT_INVALID to the second is assumed.  @owned: it is a VMSA of that ASID,
 * and not a page of the hypervisor's.
 */
bool sev_rmp_claim_vmsa(CPUX86State *env, hwaddr spa, uint32_t asid,
                        bool *owned)
{
    AmdRmpAccess access = {
        .kind = AMD_RMP_SNP_VMSA, .spa = spa, .asid = asid,
    };

    *owned = false;
    env->sev.vmsa_pa = spa;
    if (!sev_snp_on(env)) {
        return true;
    }
    *owned = amd_rmp_claim(&access) == AMD_RMP_OK;
    if (!*owned) {
        access.kind = AMD_RMP_ES_VMSA;
        if (amd_rmp_claim(&access) != AMD_RMP_OK) {
            return false;
        }
    }
    env->sev.vmsa_in_use = true;
    return true;
}

void sev_rmp_release(CPUX86State *env)
{
    if (env->sev.vmcb_pa) {
        amd_rmp_clear_in_use(env->sev.vmcb_pa);
    }
    if (env->sev.vmsa_in_use) {
        amd_rmp_clear_in_use(env->sev.vmsa_pa);
    }
}
