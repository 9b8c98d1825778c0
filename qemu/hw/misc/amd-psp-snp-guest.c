/*
 * AMD Platform Security Processor: contexts and ASIDs of SEV-SNP guests
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/boards.h"
#include "amd-psp-snp.h"

/*
 * 8.16 "SNP_GUEST_STATUS".  The fields behind the state and the size are from
 * memory; Linux has no reader of this structure.
 */
typedef struct QEMU_PACKED SnpGuestStatus {
    uint64_t policy;
    uint32_t asid;
    uint8_t state;
    uint8_t reserved[0x13];
} SnpGuestStatus;

AmdPspSnpGuest *amd_psp_snp_find(AmdPspState *s, hwaddr gctx)
{
    return g_hash_table_lookup(s->snp.guests, &gctx);
}

static void psp_snp_guest_free(gpointer p)
{
    AmdPspSnpGuest *g = p;

    if (g->asid) {
        amd_mee_remove_key(g->asid);
    }
    /* Keys: do not leave them behind in the heap. */
    memset(g, 0, sizeof(*g));
    g_free(g);
}

void amd_psp_snp_guests_drop(AmdPspState *s)
{
    if (s->snp.guests) {
        g_hash_table_destroy(s->snp.guests);
    }
    s->snp.guests = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
                                          psp_snp_guest_free);
}

/*
 * 8.17 "SNP_GCTX_CREATE".  Nobody but firmware can read or write a context
 * page, so what it holds need not be in it.
 */
AmdPspStatus amd_psp_snp_gctx_create(AmdPspState *s, AmdPspSnpGuest *none,
                                     void *buf)
{
    SnpCmdAddr *cmd = buf;
    hwaddr pa = amd_psp_addr(s, cmd->addr);
    AmdPspSnpGuest *g;
    AmdRmpEntry old, e;

    if (!QEMU_IS_ALIGNED(pa, PSP_SNP_PAGE)) {
        return PSP_INVALID_ADDRESS;
    }
    if (amd_psp_page_state(pa, &old) != PSP_PAGE_FIRMWARE ||
        amd_psp_page_reserved(pa)) {
        return PSP_INVALID_PAGE_STATE;
    }
    if (old.size_2m) {
        return PSP_INVALID_PAGE_SIZE;
    }
    e = old;
    e.vmsa = true;
    if (!amd_rmp_replace(pa, &old, &e)) {
        return PSP_INVALID_PAGE_STATE;
    }
    g = g_new0(AmdPspSnpGuest, 1);
    g->gctx = pa;
    g_hash_table_insert(s->snp.guests, &g->gctx, g);
    return PSP_SUCCESS;
}

/*
 * 8.15 "SNP_DECOMMISSION": no command of its own gives the ASID back.  It stays
 * dirty if the guest may have run.
 */
AmdPspStatus amd_psp_snp_decommission(AmdPspState *s, AmdPspSnpGuest *g,
                                      void *buf)
{
    const AmdRmpEntry firmware = { .assigned = true, .immutable = true };
    hwaddr pa = g->gctx;

    if (g->asid) {
        s->asid_state[g->asid] = s->asid_state[g->asid] == PSP_A_IN_USE ?
                                 PSP_A_DIRTY : PSP_A_CLEAN;
    }
    g_hash_table_remove(s->snp.guests, &pa);
    amd_psp_pages_set(pa, PSP_SNP_PAGE, &firmware);
    return PSP_SUCCESS;
}

/* 8.13 "SNP_ACTIVATE" */
AmdPspStatus amd_psp_snp_activate(AmdPspState *s, AmdPspSnpGuest *g, void *buf)
{
    SnpCmdActivate *cmd = buf;
    uint32_t asid = le32_to_cpu(cmd->asid);
    AmdPspStatus ret;

    if (g->asid) {
        return PSP_ACTIVE;
    }
    if (FIELD_EX64(g->policy, SNP_POLICY, SINGLE_SOCKET) &&
        current_machine->smp.sockets > 1) {
        return PSP_POLICY_FAILURE;
    }
    ret = amd_psp_asid_free(s, asid);
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    /* Pages of the ASID's last guest would be this one's. */
    if (amd_rmp_asid_has_pages(asid)) {
        return PSP_INVALID_CONFIG;
    }
    g->asid = asid;
    s->asid_state[asid] = g->state == PSP_SNP_G_RUNNING ? PSP_A_IN_USE :
                                                          PSP_A_ALLOCATED;
    amd_mee_install_key(asid, g->vek);
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_snp_guest_status(AmdPspState *s, AmdPspSnpGuest *g,
                                      void *buf)
{
    SnpCmdGuestStatus *cmd = buf;
    hwaddr pa = amd_psp_addr(s, cmd->addr);
    SnpGuestStatus st = {
        .policy = cpu_to_le64(g->policy),
        .asid = cpu_to_le32(g->asid),
        .state = g->state,
    };
    AmdPspStatus ret = amd_psp_output(pa, sizeof(st));

    if (ret == PSP_SUCCESS) {
        amd_mee_write(pa, 0, &st, sizeof(st));
    }
    return ret;
}

/* The page's owner, if it is one that belongs to a guest */
static AmdPspStatus psp_snp_dbg_page(const AmdPspSnpGuest *g, hwaddr pa,
                                     uint32_t states)
{
    AmdRmpEntry e;

    if (!QEMU_IS_ALIGNED(pa, PSP_SNP_PAGE) ||
        !amd_psp_range_ok(pa, PSP_SNP_PAGE)) {
        return PSP_INVALID_ADDRESS;
    }
    if (!(states & BIT(amd_psp_page_state(pa, &e)))) {
        return PSP_INVALID_PAGE_STATE;
    }
    return e.asid == g->asid ? PSP_SUCCESS : PSP_INVALID_PAGE_OWNER;
}

static AmdPspStatus psp_snp_dbg_check(const AmdPspSnpGuest *g)
{
    if (!FIELD_EX64(g->policy, SNP_POLICY, DEBUG)) {
        return PSP_POLICY_FAILURE;
    }
    return g->asid ? PSP_SUCCESS : PSP_INACTIVE;
}

static AmdPspStatus psp_snp_copy(hwaddr from, uint32_t from_asid, hwaddr to,
                                 uint32_t to_asid)
{
    uint8_t page[PSP_SNP_PAGE];

    return amd_mee_read(from, from_asid, page, sizeof(page)) &&
           amd_mee_write(to, to_asid, page, sizeof(page)) ?
           PSP_SUCCESS : PSP_INVALID_ADDRESS;
}

/* 8.30 "SNP_DBG_DECRYPT" */
AmdPspStatus amd_psp_snp_dbg_decrypt(AmdPspState *s, AmdPspSnpGuest *g,
                                     void *buf)
{
    SnpCmdTwoPages *cmd = buf;
    hwaddr src = amd_psp_addr(s, cmd->first);
    hwaddr dst = amd_psp_addr(s, cmd->second);
    AmdPspStatus ret = psp_snp_dbg_check(g);

    if (ret == PSP_SUCCESS) {
        ret = psp_snp_dbg_page(g, src, BIT(PSP_PAGE_PRE_GUEST) |
                                       BIT(PSP_PAGE_PRE_SWAP) |
                                       BIT(PSP_PAGE_GUEST_INVALID) |
                                       BIT(PSP_PAGE_GUEST_VALID));
    }
    if (ret == PSP_SUCCESS && !QEMU_IS_ALIGNED(dst, PSP_SNP_PAGE)) {
        ret = PSP_INVALID_ADDRESS;
    }
    if (ret == PSP_SUCCESS) {
        ret = amd_psp_output(dst, PSP_SNP_PAGE);
    }
    return ret == PSP_SUCCESS ? psp_snp_copy(src, g->asid, dst, 0) : ret;
}

/* 8.31 "SNP_DBG_ENCRYPT": only into pages that the guest cannot use meanwhile */
AmdPspStatus amd_psp_snp_dbg_encrypt(AmdPspState *s, AmdPspSnpGuest *g,
                                     void *buf)
{
    SnpCmdTwoPages *cmd = buf;
    hwaddr src = amd_psp_addr(s, cmd->first);
    hwaddr dst = amd_psp_addr(s, cmd->second);
    AmdPspStatus ret = psp_snp_dbg_check(g);

    if (ret == PSP_SUCCESS) {
        ret = psp_snp_dbg_page(g, dst, BIT(PSP_PAGE_PRE_GUEST) |
                                       BIT(PSP_PAGE_PRE_SWAP));
    }
    if (ret == PSP_SUCCESS && !QEMU_IS_ALIGNED(src, PSP_SNP_PAGE)) {
        ret = PSP_INVALID_ADDRESS;
    }
    return ret == PSP_SUCCESS ? psp_snp_copy(src, 0, dst, g->asid) : ret;
}
