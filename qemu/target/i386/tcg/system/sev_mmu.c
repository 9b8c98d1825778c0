/*
 * AMD SEV host emulation: C-bit, reserved bits and the key of an access
 *
 * The page table walker asks here for the encryption bit of the tables it
 * walks, and for the bits that a shrunken physical address space reserves.
 * Which key a page is accessed with is settled when the TLB is filled: the
 * memory encryption engine turns the page into what that key shows, and
 * flushes it from every TLB before it does so.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "exec/exec-all.h"
#include "exec/page-protection.h"
#include "tcg/helper-tcg.h"
#include "sev_host.h"
#include "hw/i386/amd-mee.h"

static bool mem_encrypt_enabled(CPUX86State *env)
{
    return FIELD_EX64(env->sev_msrs.syscfg, SYSCFG, MEM_ENCRYPT);
}

/*
 * The bit that is not part of the address in an entry.  Host tables, nested
 * ones among them, have it while SYSCFG.MEM_ENCRYPT is set (Secure Memory
 * Encryption, "Page Table Support"); the tables of a guest if it is an SEV
 * guest.  It is an address bit for any other guest, and a reserved one.
 */
uint64_t sev_ptw_cbit(CPUX86State *env, bool host_tables)
{
    if (!sev_host(env)) {
        return 0;
    }
    if (host_tables) {
        return mem_encrypt_enabled(env) ? SEV_CBIT : 0;
    }
    return sev_guest(env) ? SEV_CBIT : 0;
}

/*
 * Memory encryption takes the topmost physical address bits away from the
 * host; nested tables are host tables.  The guest physical address space
 * keeps its width.
 */
uint64_t sev_ptw_reserved(CPUX86State *env, bool host_tables)
{
    if (!sev_host(env) || !host_tables || !mem_encrypt_enabled(env)) {
        return 0;
    }
    return MAKE_64BIT_MASK(SEV_PHYS_BITS - SEV_PHYS_REDUCTION,
                           SEV_PHYS_REDUCTION);
}

uint64_t sev_cr3_reserved(CPUX86State *env)
{
    bool host_tables = !(env->hflags & HF_GUEST_MASK);

    return (~0ULL << env_archcpu(env)->phys_bits) &
           ~sev_ptw_cbit(env, host_tables);
}

static void require_key(CPUX86State *env, hwaddr pa, uint32_t key,
                        uintptr_t ra)
{
    CPUState *cs = env_cpu(env);

    if (!amd_mee_tlb_fill(cs, pa, key)) {
        x86_cpu_loop_exit_retry(cs, ra);
    }
}

/*
 * Guest page tables are always encrypted with the guest's key, whatever the
 * C-bit says; host tables are what DRAM holds.
 */
void sev_ptw_key(CPUX86State *env, bool host_tables, hwaddr pa, uintptr_t ra)
{
    if (likely(!amd_mee_active())) {
        return;
    }
    require_key(env, pa & TARGET_PAGE_MASK,
                !host_tables && sev_guest(env) ? env->sev.asid : 0, ra);
}

/*
 * Instruction fetch is always private.  A page that data accesses see as
 * shared therefore cannot be executed through the same TLB entry.
 *
 * The host's own key (SME: C-bit set by a host table) is not modelled, such
 * a page is the same as one without: Linux does not set the bit by default.
 */
void sev_tlb_key(CPUX86State *env, MMUAccessType access_type, hwaddr pa,
                 bool cbit, int *prot, uintptr_t ra)
{
    uint32_t key = 0;

    if (likely(!amd_mee_active())) {
        return;
    }
    if (sev_guest(env)) {
        if (cbit) {
            key = env->sev.asid;
        } else if (access_type == MMU_INST_FETCH) {
            key = env->sev.asid;
            *prot &= PAGE_EXEC;
        } else {
            *prot &= ~PAGE_EXEC;
        }
    }
    require_key(env, pa & TARGET_PAGE_MASK, key, ra);
}
