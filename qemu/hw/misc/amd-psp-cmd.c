/*
 * AMD Platform Security Processor: command table, platform, guest and ASID
 *
 * The table states what the firmware checks before a command's own work, in
 * the firmware's order: command buffer, platform state, guest handle, guest
 * state, ES guest, active guest. Handlers check the fields, act, and fill in
 * the buffer; the dispatcher writes it back.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/guest-random.h"
#include "qemu/log.h"
#include "qemu/units.h"
#include "hw/i386/amd-snp-host.h"
#include "amd-psp-snp.h"
#include "trace.h"

#define INIT_FLAG_ES BIT(0)
#define TMR_SIZE (1 * MiB)
#define TMR_SIZE_SNP (2 * MiB)            /* one page of the RMP */
#define NV_SIZE (32 * KiB)
#define NV_ALIGN (4 * KiB)
#define FIRMWARE_ALIGN 32
#define CONFIG_ES BIT(0)

static void psp_guest_free(AmdPspGuest *g)
{
    for (unsigned i = 0; i < g->crc_slots->len; i++) {
        amd_mee_crc_free(g_array_index(g->crc_slots, uint64_t, i));
    }
    g_array_free(g->crc_slots, true);
    qcrypto_hash_free(g->hash);
    /* Keys: do not leave them behind in the heap. */
    memset(g, 0, sizeof(*g));
    g_free(g);
}

AmdPspGuest *amd_psp_guest_find(AmdPspState *s, uint32_t handle)
{
    return g_hash_table_lookup(s->guests, GUINT_TO_POINTER(handle));
}

/* A guest with fresh keys, in no state yet. NULL if there are too many. */
AmdPspGuest *amd_psp_guest_new(AmdPspState *s)
{
    AmdPspGuest *g;

    if (g_hash_table_size(s->guests) >= PSP_MAX_GUESTS) {
        return NULL;
    }
    g = g_new0(AmdPspGuest, 1);
    do {
        g->handle = ++s->last_handle;
    } while (!g->handle || amd_psp_guest_find(s, g->handle));
    qemu_guest_getrandom_nofail(g->vek, sizeof(g->vek));
    qemu_guest_getrandom_nofail(&g->tk, sizeof(g->tk));
    g->crc_slots = g_array_new(false, false, sizeof(uint64_t));
    g_hash_table_insert(s->guests, GUINT_TO_POINTER(g->handle), g);
    s->state = PSP_P_WORKING;
    return g;
}

static void psp_guest_deactivate(AmdPspState *s, AmdPspGuest *g)
{
    uint8_t *asid = &s->asid_state[g->asid];

    amd_mee_remove_key(g->asid);
    *asid = *asid == PSP_A_IN_USE ? PSP_A_DIRTY : PSP_A_CLEAN;
    g->asid = 0;
}

/* SEV-SNP has guests of its own, whose ASIDs are no business of SHUTDOWN's. */
static void psp_asids_shutdown(AmdPspState *s)
{
    if (!s->snp.init) {
        memset(s->asid_state, PSP_A_CLEAN, sizeof(s->asid_state));
    }
}

void amd_psp_shutdown(AmdPspState *s)
{
    GHashTableIter it;
    gpointer g;

    g_hash_table_iter_init(&it, s->guests);
    while (g_hash_table_iter_next(&it, NULL, &g)) {
        g_hash_table_iter_remove(&it);
        if (((AmdPspGuest *)g)->asid) {
            psp_guest_deactivate(s, g);
        }
        psp_guest_free(g);
    }
    psp_asids_shutdown(s);
    s->state = PSP_P_UNINIT;
    s->es = false;
    s->nv_addr = 0;
    s->tmr_len = 0;
}

/*
 * INIT and INIT_EX: memory encryption has to be on, and SEV-ES needs a trusted
 * memory region of the right shape.  That the former comes first is assumed.
 */
static AmdPspStatus psp_init_check(AmdPspState *s, uint32_t flags, hwaddr tmr,
                                   uint32_t len)
{
    if (!amd_sev_cpus_ready()) {
        return PSP_HWERROR_PLATFORM;
    }
    if (!(flags & INIT_FLAG_ES)) {
        return PSP_SUCCESS;
    }
    if (len != (s->snp.init ? TMR_SIZE_SNP : TMR_SIZE)) {
        return PSP_INVALID_LEN;
    }
    if (!QEMU_IS_ALIGNED(tmr, len)) {
        return PSP_INVALID_ADDRESS;
    }
    return amd_psp_output(tmr, len);
}

static void psp_init_done(AmdPspState *s, uint32_t flags, hwaddr tmr,
                          uint32_t len)
{
    amd_psp_identity_ensure(s);
    s->es = flags & INIT_FLAG_ES;
    if (s->es) {
        amd_mee_crc_pool(tmr, len);
        s->tmr_addr = tmr;
        s->tmr_len = len;
    }
    s->state = PSP_P_INIT;
}

static AmdPspStatus psp_init(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    PspCmdInit *cmd = buf;
    uint32_t flags = le32_to_cpu(cmd->flags);
    hwaddr tmr = amd_psp_addr(s, cmd->tmr_addr);
    AmdPspStatus ret;

    ret = psp_init_check(s, flags, tmr, le32_to_cpu(cmd->tmr_len));
    if (ret == PSP_SUCCESS) {
        psp_init_done(s, flags, tmr, le32_to_cpu(cmd->tmr_len));
    }
    return ret;
}

static AmdPspStatus psp_init_ex(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    PspCmdInitEx *cmd = buf;
    uint32_t flags = le32_to_cpu(cmd->flags);
    hwaddr tmr = amd_psp_addr(s, cmd->tmr_addr);
    hwaddr nv = amd_psp_addr(s, cmd->nv_addr);
    AmdPspStatus ret;

    if (le32_to_cpu(cmd->length) != sizeof(*cmd) ||
        le32_to_cpu(cmd->nv_len) != NV_SIZE) {
        return PSP_INVALID_LEN;
    }
    if (!QEMU_IS_ALIGNED(nv, NV_ALIGN)) {
        return PSP_INVALID_ADDRESS;
    }
    if ((flags & INIT_FLAG_ES) && nv + NV_SIZE > tmr &&
        nv < tmr + le32_to_cpu(cmd->tmr_len)) {
        return PSP_INVALID_ADDRESS;
    }
    ret = amd_psp_output(nv, NV_SIZE);
    if (ret == PSP_SUCCESS) {
        ret = psp_init_check(s, flags, tmr, le32_to_cpu(cmd->tmr_len));
    }
    if (ret == PSP_SUCCESS) {
        ret = amd_psp_nv_load(s, nv);
    }
    if (ret == PSP_SUCCESS) {
        psp_init_done(s, flags, tmr, le32_to_cpu(cmd->tmr_len));
    }
    return ret;
}

static AmdPspStatus psp_shutdown(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    amd_psp_shutdown(s);
    return PSP_SUCCESS;
}

static AmdPspStatus psp_platform_status(AmdPspState *s, AmdPspGuest *g,
                                        void *buf)
{
    PspCmdPlatformStatus *st = buf;

    *st = (PspCmdPlatformStatus) {
        .api_major = PSP_API_MAJOR,
        .api_minor = PSP_API_MINOR,
        .build = PSP_API_BUILD,
        .state = s->state,
        .owner = s->id.owned,
        .config = s->es ? CONFIG_ES : 0,
        .guest_count = cpu_to_le32(g_hash_table_size(s->guests)),
    };
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_df_flush(AmdPspState *s)
{
    if (!amd_psp_wbinvd_done()) {
        return PSP_WBINVD_REQUIRED;
    }
    amd_psp_wbinvd_restart();
    for (unsigned i = 0; i <= PSP_MAX_ASID; i++) {
        if (s->asid_state[i] == PSP_A_DIRTY) {
            s->asid_state[i] = PSP_A_CLEAN;
        }
    }
    return PSP_SUCCESS;
}

static AmdPspStatus psp_df_flush(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    return amd_psp_df_flush(s);
}

/* No image can carry a signature that this chip would accept. */
static AmdPspStatus psp_download_firmware(AmdPspState *s, AmdPspGuest *g,
                                          void *buf)
{
    PspCmdBlob *cmd = buf;
    hwaddr addr = amd_psp_addr(s, cmd->addr);
    uint32_t len = le32_to_cpu(cmd->len);

    if (!len) {
        return PSP_INVALID_LEN;
    }
    if (!QEMU_IS_ALIGNED(addr, FIRMWARE_ALIGN) ||
        !amd_psp_range_ok(addr, len)) {
        return PSP_INVALID_ADDRESS;
    }
    return PSP_BAD_SIGNATURE;
}

static bool psp_guest_has_run(const AmdPspGuest *g)
{
    return g->state == PSP_G_RUNNING || g->state == PSP_G_SUPDATE ||
           g->state == PSP_G_SENT;
}

AmdPspStatus amd_psp_asid_free(const AmdPspState *s, uint32_t asid)
{
    if (!asid || asid > MIN(s->max_asid, amd_mee_max_asid())) {
        return PSP_INVALID_ASID;
    }
    switch (s->asid_state[asid]) {
    case PSP_A_CLEAN:
        return PSP_SUCCESS;
    case PSP_A_DIRTY:
        return PSP_DFFLUSH_REQUIRED;
    default:
        return PSP_ASID_OWNED;
    }
}

static AmdPspStatus psp_activate(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    PspCmdActivate *cmd = buf;
    uint32_t asid = le32_to_cpu(cmd->asid);
    AmdPspStatus ret;

    if (g->asid) {
        return PSP_ACTIVE;
    }
    ret = amd_psp_asid_free(s, asid);
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    g->asid = asid;
    s->asid_state[asid] = psp_guest_has_run(g) ? PSP_A_IN_USE :
                                                 PSP_A_ALLOCATED;
    amd_mee_install_key(asid, g->vek);
    return PSP_SUCCESS;
}

static AmdPspStatus psp_deactivate(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    psp_guest_deactivate(s, g);
    return PSP_SUCCESS;
}

static AmdPspStatus psp_decommission(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    if (g->asid) {
        return PSP_ACTIVE;
    }
    g_hash_table_remove(s->guests, GUINT_TO_POINTER(g->handle));
    psp_guest_free(g);
    if (!g_hash_table_size(s->guests)) {
        s->state = PSP_P_INIT;
    }
    return PSP_SUCCESS;
}

static AmdPspStatus psp_guest_status(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    PspCmdGuestStatus *st = buf;

    st->policy = cpu_to_le32(g->policy);
    st->asid = cpu_to_le32(g->asid);
    st->state = g->state;
    return PSP_SUCCESS;
}

/* Platform states: P(...); guest states: G(...), 0 if it names no guest */
#define U BIT(PSP_P_UNINIT)
#define I BIT(PSP_P_INIT)
#define W BIT(PSP_P_WORKING)
#define G_LUPDATE BIT(PSP_G_LUPDATE)
#define G_LSECRET BIT(PSP_G_LSECRET)
#define G_RUNNING BIT(PSP_G_RUNNING)
#define G_SUPDATE BIT(PSP_G_SUPDATE)
#define G_RUPDATE BIT(PSP_G_RUPDATE)
#define G_SENT BIT(PSP_G_SENT)
#define G_ANY (G_LUPDATE | G_LSECRET | G_RUNNING | G_SUPDATE | G_RUPDATE | \
               G_SENT)

enum {
    WB = BIT(0),                        /* writes the buffer back */
    ACT = BIT(1),                       /* guest must be active */
    ES = BIT(2),                        /* guest must be an ES guest */
    HDR = BIT(3),                       /* room for a packet header, first */
};

typedef struct AmdPspCmd {
    uint16_t id;
    uint16_t len;
    const char *name;
    uint8_t flags;
    uint8_t platform;
    uint8_t guest;
    AmdPspHandler *handler;
} AmdPspCmd;

#define LEN(type) sizeof(PspCmd##type)

static const AmdPspCmd psp_cmds[] = {
    { 0x01, LEN(Init), "INIT", 0, U, 0, psp_init },
    { 0x02, 0, "SHUTDOWN", 0, U | I | W, 0, psp_shutdown },
    { 0x03, 0, "FACTORY_RESET", 0, U, 0, amd_psp_factory_reset },
    { 0x04, LEN(PlatformStatus), "PLATFORM_STATUS", WB, U | I | W, 0,
      psp_platform_status },
    { 0x05, 0, "PEK_GEN", 0, I, 0, amd_psp_pek_gen },
    { 0x06, LEN(Blob), "PEK_CSR", WB, I | W, 0, amd_psp_pek_csr },
    { 0x07, LEN(TwoCerts), "PEK_CERT_IMPORT", 0, I, 0,
      amd_psp_pek_cert_import },
    { 0x08, LEN(TwoCerts), "PDH_CERT_EXPORT", WB, I | W, 0,
      amd_psp_pdh_cert_export },
    { 0x09, 0, "PDH_GEN", 0, I | W, 0, amd_psp_pdh_gen },
    { 0x0A, 0, "DF_FLUSH", 0, U | I | W, 0, psp_df_flush },
    { 0x0B, LEN(Blob), "DOWNLOAD_FIRMWARE", 0, U, 0, psp_download_firmware },
    { 0x0C, LEN(Blob), "GET_ID", WB, U | I | W, 0, amd_psp_get_id },
    { 0x0D, LEN(InitEx), "INIT_EX", 0, U, 0, psp_init_ex },
    { 0x20, LEN(Handle), "DECOMMISSION", 0, W, G_ANY, psp_decommission },
    { 0x21, LEN(Activate), "ACTIVATE", 0, W, G_ANY, psp_activate },
    { 0x22, LEN(Handle), "DEACTIVATE", ACT, W, G_ANY, psp_deactivate },
    { 0x23, LEN(GuestStatus), "GUEST_STATUS", WB, I | W, G_ANY,
      psp_guest_status },
    { 0x30, LEN(LaunchStart), "LAUNCH_START", WB, I | W, 0,
      amd_psp_launch_start },
    { 0x31, LEN(LaunchData), "LAUNCH_UPDATE_DATA", ACT, W, G_LUPDATE,
      amd_psp_launch_update_data },
    { 0x32, LEN(LaunchData), "LAUNCH_UPDATE_VMSA", ACT | ES, W, G_LUPDATE,
      amd_psp_launch_update_vmsa },
    { 0x33, LEN(LaunchData), "LAUNCH_MEASURE", WB, W, G_LUPDATE,
      amd_psp_launch_measure },
    { 0x34, LEN(Packet), "LAUNCH_SECRET", ACT, W, G_LSECRET,
      amd_psp_launch_secret },
    { 0x35, LEN(Handle), "LAUNCH_FINISH", 0, W, G_LSECRET,
      amd_psp_launch_finish },
    { 0x36, LEN(Attestation), "ATTESTATION_REPORT", WB, W,
      G_LSECRET | G_RUNNING | G_SUPDATE | G_SENT, amd_psp_attestation_report },
    { 0x40, LEN(SendStart), "SEND_START", WB, W, G_RUNNING,
      amd_psp_send_start },
    { 0x41, LEN(Packet), "SEND_UPDATE_DATA", WB | HDR | ACT, W, G_SUPDATE,
      amd_psp_send_update_data },
    { 0x42, LEN(Packet), "SEND_UPDATE_VMSA", WB | HDR | ES | ACT, W, G_SUPDATE,
      amd_psp_send_update_vmsa },
    { 0x43, LEN(Handle), "SEND_FINISH", 0, W, G_SUPDATE, amd_psp_send_finish },
    { 0x44, LEN(Handle), "SEND_CANCEL", 0, W, G_SUPDATE, amd_psp_send_cancel },
    { 0x50, LEN(LaunchStart), "RECEIVE_START", WB, I | W, 0,
      amd_psp_receive_start },
    { 0x51, LEN(Packet), "RECEIVE_UPDATE_DATA", ACT, W, G_RUPDATE,
      amd_psp_receive_update_data },
    { 0x52, LEN(Packet), "RECEIVE_UPDATE_VMSA", ACT | ES, W, G_RUPDATE,
      amd_psp_receive_update_vmsa },
    { 0x53, LEN(Handle), "RECEIVE_FINISH", 0, W, G_RUPDATE,
      amd_psp_receive_finish },
    { 0x60, LEN(Dbg), "DBG_DECRYPT", ACT, W, G_ANY, amd_psp_dbg_decrypt },
    { 0x61, LEN(Dbg), "DBG_ENCRYPT", ACT, W, G_ANY, amd_psp_dbg_encrypt },
};

#define PSP_CMDBUF_MAX 80

static const AmdPspCmd *psp_cmd_find(unsigned id)
{
    for (unsigned i = 0; i < ARRAY_SIZE(psp_cmds); i++) {
        if (psp_cmds[i].id == id) {
            return &psp_cmds[i];
        }
    }
    return NULL;
}

static AmdPspStatus psp_cmd_check_guest(const AmdPspCmd *cmd,
                                        const AmdPspGuest *g)
{
    if (!g) {
        return PSP_INVALID_GUEST;
    }
    if (!(cmd->guest & BIT(g->state))) {
        return PSP_INVALID_GUEST_STATE;
    }
    if ((cmd->flags & ES) && !FIELD_EX32(g->policy, POLICY, ES)) {
        return PSP_UNSUPPORTED;
    }
    if ((cmd->flags & ACT) && !g->asid) {
        return PSP_INACTIVE;
    }
    return PSP_SUCCESS;
}

static AmdPspStatus psp_cmd_check(AmdPspState *s, const AmdPspCmd *cmd,
                                  hwaddr cmdbuf, void *buf, AmdPspGuest **g)
{
    AmdPspStatus ret = PSP_SUCCESS;

    if (!(cmd->platform & BIT(s->state))) {
        return PSP_INVALID_PLATFORM_STATE;
    }
    if (cmd->flags & WB) {
        ret = amd_psp_output(cmdbuf, cmd->len);
    }
    if (ret == PSP_SUCCESS && (cmd->flags & HDR)) {
        ret = amd_psp_packet_query(buf);
    }
    if (ret == PSP_SUCCESS && cmd->guest) {
        *g = amd_psp_guest_find(s, ldl_le_p(buf));
        ret = psp_cmd_check_guest(cmd, *g);
    }
    return ret;
}

static AmdPspStatus psp_cmd_run(AmdPspState *s, const AmdPspCmd *cmd,
                                hwaddr cmdbuf)
{
    uint8_t buf[PSP_CMDBUF_MAX] = {};
    AmdPspGuest *g = NULL;
    AmdPspStatus ret;

    if (cmd->len && (!amd_psp_range_ok(cmdbuf, cmd->len) ||
                     !amd_mee_read(cmdbuf, 0, buf, cmd->len))) {
        return PSP_INVALID_ADDRESS;
    }
    ret = psp_cmd_check(s, cmd, cmdbuf, buf, &g);
    if (ret == PSP_SUCCESS) {
        ret = cmd->handler(s, g, buf);
    }
    /* INVALID_LEN reports the required length in the buffer. */
    if ((cmd->flags & WB) && (ret == PSP_SUCCESS || ret == PSP_INVALID_LEN)) {
        amd_mee_write(cmdbuf, 0, buf, cmd->len);
        amd_psp_pages_give_back(cmdbuf, cmd->len);
    }
    return ret;
}

AmdPspStatus amd_psp_execute(AmdPspState *s, unsigned id, hwaddr cmdbuf)
{
    const AmdPspCmd *cmd = psp_cmd_find(id);
    const char *name = cmd ? cmd->name : "unknown";
    AmdPspStatus ret;

    QEMU_BUILD_BUG_ON(sizeof(PspCmdSendStart) > PSP_CMDBUF_MAX);
    if (cmd) {
        ret = psp_cmd_run(s, cmd, cmdbuf);
    } else if (!amd_psp_snp_execute(s, id, cmdbuf, &name, &ret)) {
        ret = PSP_INVALID_COMMAND;
    }
    trace_amd_psp_command(id, name, cmdbuf, ret);
    if (ret != PSP_SUCCESS) {
        qemu_log_mask(LOG_GUEST_ERROR,
                      "amd-psp: command 0x%x (%s) fails with 0x%x\n",
                      id, name, ret);
    }
    return ret;
}
