/*
 * AMD Platform Security Processor: page states of SEV-SNP
 *
 * Firmware writes only to pages that the host has given to it, or that no RMP
 * entry covers, so that no command can be made to write into a guest's memory.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/units.h"
#include "amd-psp-snp.h"

#define RECLAIM_LARGE 1ULL              /* bit 0 of the address */

static AmdPspPageState psp_firmware_state(const AmdRmpEntry *e)
{
    if (!e->immutable) {
        return PSP_PAGE_RECLAIM;
    }
    if (e->vmsa) {
        return PSP_PAGE_CONTEXT;
    }
    if (e->gpa == AMD_RMP_GPA_IOMMU) {
        return PSP_PAGE_FIRMWARE_IOMMU;
    }
    return e->gpa ? PSP_PAGE_METADATA : PSP_PAGE_FIRMWARE;
}

static AmdPspPageState psp_guest_page_state(const AmdRmpEntry *e)
{
    if (e->immutable) {
        return e->validated ? PSP_PAGE_PRE_SWAP : PSP_PAGE_PRE_GUEST;
    }
    return e->validated ? PSP_PAGE_GUEST_VALID : PSP_PAGE_GUEST_INVALID;
}

AmdPspPageState amd_psp_page_state(hwaddr pa, AmdRmpEntry *e)
{
    *e = (AmdRmpEntry) {};
    if (!amd_rmp_active() || !amd_rmp_read(pa, e)) {
        return PSP_PAGE_DEFAULT;
    }
    /* Tags are the entry's, not of an address that grows within a 2M page. */
    if (e->size_2m && !e->asid) {
        e->gpa -= pa & (PSP_SNP_LARGE_PAGE - 1);
    }
    if (!e->assigned) {
        return e->immutable ? PSP_PAGE_HV_FIXED : PSP_PAGE_HYPERVISOR;
    }
    return e->asid ? psp_guest_page_state(e) : psp_firmware_state(e);
}

AmdPspStatus amd_psp_page_writable(hwaddr pa)
{
    AmdRmpEntry e;

    switch (amd_psp_page_state(pa, &e)) {
    case PSP_PAGE_DEFAULT:
        return PSP_SUCCESS;
    case PSP_PAGE_FIRMWARE:
        return amd_psp_page_reserved(pa) ? PSP_INVALID_PAGE_STATE : PSP_SUCCESS;
    default:
        return PSP_INVALID_PAGE_STATE;
    }
}

void amd_psp_pages_set(hwaddr pa, uint64_t bytes, const AmdRmpEntry *e)
{
    amd_rmp_fill(QEMU_ALIGN_DOWN(pa, PSP_SNP_PAGE),
                 DIV_ROUND_UP((pa & (PSP_SNP_PAGE - 1)) + bytes, PSP_SNP_PAGE),
                 e);
}

/* FIRMWARE becomes RECLAIM: the host may have the pages back. */
void amd_psp_pages_give_back(hwaddr pa, uint64_t bytes)
{
    hwaddr end = pa + bytes;
    AmdRmpEntry old, e;

    for (pa = QEMU_ALIGN_DOWN(pa, PSP_SNP_PAGE); pa < end; pa += PSP_SNP_PAGE) {
        if (amd_psp_page_state(pa, &old) == PSP_PAGE_FIRMWARE) {
            e = old;
            e.immutable = false;
            amd_rmp_replace(old.size_2m ? QEMU_ALIGN_DOWN(pa, PSP_SNP_LARGE_PAGE)
                                        : pa, &old, &e);
        }
    }
}

/*
 * 8.26 "SNP_PAGE_RECLAIM": the page becomes one that RMPUPDATE may change.  A
 * page that is so already is no error, as the host cannot always know.  What
 * firmware still works with is not given back: the RMP, contexts, the IOMMU's
 * pages before shutdown, and the memory that INIT was given.
 */
AmdPspStatus amd_psp_snp_page_reclaim(AmdPspState *s, AmdPspSnpGuest *g,
                                      void *buf)
{
    SnpCmdAddr *cmd = buf;
    hwaddr pa = amd_psp_addr(s, cmd->addr);
    bool large = pa & RECLAIM_LARGE;
    AmdRmpEntry old, e;

    pa &= ~RECLAIM_LARGE;
    if (!QEMU_IS_ALIGNED(pa, large ? PSP_SNP_LARGE_PAGE : PSP_SNP_PAGE)) {
        return PSP_INVALID_ADDRESS;
    }
    switch (amd_psp_page_state(pa, &old)) {
    case PSP_PAGE_RECLAIM:
    case PSP_PAGE_GUEST_INVALID:
    case PSP_PAGE_GUEST_VALID:
    case PSP_PAGE_HYPERVISOR:
        return old.assigned && old.size_2m != large ? PSP_INVALID_PAGE_SIZE :
                                                      PSP_SUCCESS;
    case PSP_PAGE_FIRMWARE:
    case PSP_PAGE_METADATA:
        if (amd_psp_page_reserved(pa)) {
            return PSP_INVALID_PAGE_STATE;
        }
        break;
    case PSP_PAGE_PRE_GUEST:
    case PSP_PAGE_PRE_SWAP:
        break;
    default:
        return PSP_INVALID_PAGE_STATE;
    }
    if (old.size_2m != large) {
        return PSP_INVALID_PAGE_SIZE;
    }
    e = old;
    e.immutable = false;
    if (!e.asid) {
        e.gpa = 0;
    }
    return amd_rmp_replace(pa, &old, &e) ? PSP_SUCCESS : PSP_INVALID_PAGE_STATE;
}

/* 8.28 "SNP_PAGE_UNSMASH": PSMASH undone, for pages that no guest can use yet */
AmdPspStatus amd_psp_snp_page_unsmash(AmdPspState *s, AmdPspSnpGuest *g,
                                      void *buf)
{
    SnpCmdAddr *cmd = buf;
    hwaddr pa = amd_psp_addr(s, cmd->addr);
    AmdRmpEntry e;

    if (!QEMU_IS_ALIGNED(pa, PSP_SNP_LARGE_PAGE)) {
        return PSP_INVALID_ADDRESS;
    }
    switch (amd_psp_page_state(pa, &e)) {
    case PSP_PAGE_PRE_GUEST:
    case PSP_PAGE_PRE_SWAP:
        break;
    default:
        return PSP_INVALID_PAGE_STATE;
    }
    if (e.size_2m) {
        return PSP_INVALID_PAGE_SIZE;
    }
    return amd_rmp_unsmash(pa) ? PSP_SUCCESS : PSP_INVALID_PAGE_STATE;
}
