/*
 * AMD Platform Security Processor: guests between two platforms
 *
 * SEND_START agrees on keys with the other platform's PDH certificate, having
 * verified it, and gives the host a session for the other side's
 * RECEIVE_START; guest memory and VMSAs follow as packets. Each SEND_START
 * makes new transport keys, so that no packet outlives its session.
 *
 * The order of the checks is that of the firmware. What is from memory: a
 * VMSA's packet has a context of its own, as the specification says (there is
 * firmware which takes that of data); policy failures come after the lengths.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/guest-random.h"
#include "amd-psp-internal.h"

/* The certificates of the platform that is to receive */
static AmdPspStatus psp_peer_load(AmdPspState *s, const PspCmdSendStart *cmd,
                                  AmdPspPeer *p)
{
    p->amd_len = le32_to_cpu(cmd->amd_len);
    if (le32_to_cpu(cmd->pdh_len) != sizeof(p->pdh) ||
        le32_to_cpu(cmd->plat_len) != PSP_CHAIN_LEN ||
        p->amd_len > sizeof(p->amd)) {
        return PSP_INVALID_LEN;
    }
    if (!amd_mee_read(amd_psp_addr(s, cmd->pdh_addr), 0, &p->pdh,
                      sizeof(p->pdh)) ||
        !amd_mee_read(amd_psp_addr(s, cmd->plat_addr), 0, &p->pek,
                      PSP_CHAIN_LEN) ||
        (p->amd_len && !amd_mee_read(amd_psp_addr(s, cmd->amd_addr), 0, p->amd,
                                     p->amd_len))) {
        return PSP_INVALID_ADDRESS;
    }
    return PSP_SUCCESS;
}

static AmdPspStatus psp_send_check(AmdPspState *s, const AmdPspGuest *g,
                                   const PspCmdSendStart *cmd,
                                   AmdPspEcPoint *pdh)
{
    g_autofree AmdPspPeer *peer = g_new0(AmdPspPeer, 1);
    AmdPspStatus ret = psp_peer_load(s, cmd, peer);

    if (ret != PSP_SUCCESS) {
        return ret;
    }
    ret = amd_psp_output(amd_psp_addr(s, cmd->session_addr),
                         sizeof(PspSession));
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    if (FIELD_EX32(g->policy, POLICY, NOSEND)) {
        return PSP_POLICY_FAILURE;
    }
    return amd_psp_peer_check(s, peer, g->policy, pdh);
}

AmdPspStatus amd_psp_send_start(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    PspCmdSendStart *cmd = buf;
    bool fits = le32_to_cpu(cmd->session_len) >= sizeof(PspSession);
    AmdPspEcPoint pdh;
    PspSession se;
    AmdPspStatus ret;

    cmd->session_len = cpu_to_le32(sizeof(se));
    if (!fits) {
        return PSP_INVALID_LEN;
    }
    ret = psp_send_check(s, g, cmd, &pdh);
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    qemu_guest_getrandom_nofail(&g->tk, sizeof(g->tk));
    if (!amd_psp_session_wrap(s, &se, &pdh, g)) {
        return PSP_INVALID_CERTIFICATE;
    }
    amd_mee_write(amd_psp_addr(s, cmd->session_addr), 0, &se, sizeof(se));
    cmd->policy = cpu_to_le32(g->policy);
    g->state = PSP_G_SUPDATE;
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_receive_start(AmdPspState *s, AmdPspGuest *unused,
                                   void *buf)
{
    AmdPspGuest *g;
    AmdPspStatus ret = amd_psp_guest_start(s, buf, true, &g);

    if (ret == PSP_SUCCESS) {
        g->state = PSP_G_RUPDATE;
    }
    return ret;
}

AmdPspStatus amd_psp_packet_query(void *buf)
{
    PspCmdPacket *cmd = buf;

    if (le32_to_cpu(cmd->hdr_len) < sizeof(PspPacketHeader)) {
        cmd->hdr_len = cpu_to_le32(sizeof(PspPacketHeader));
        return PSP_INVALID_LEN;
    }
    return PSP_SUCCESS;
}

static bool psp_packet_len_ok(uint32_t len)
{
    return len && QEMU_IS_ALIGNED(len, PSP_BLOCK) && len <= PSP_MAX_TRANSPORT;
}

static AmdPspStatus psp_send_packet_check(AmdPspState *s,
                                          const PspCmdPacket *cmd)
{
    uint32_t len = le32_to_cpu(cmd->guest_len);
    hwaddr guest = amd_psp_addr(s, cmd->guest_addr);
    AmdPspStatus ret;

    if (!psp_packet_len_ok(len) || le32_to_cpu(cmd->trans_len) < len) {
        return PSP_INVALID_LEN;
    }
    if (!QEMU_IS_ALIGNED(guest, PSP_BLOCK) || !amd_psp_range_ok(guest, len)) {
        return PSP_INVALID_ADDRESS;
    }
    ret = amd_psp_output(amd_psp_addr(s, cmd->trans_addr), len);
    if (ret == PSP_SUCCESS) {
        ret = amd_psp_output(amd_psp_addr(s, cmd->hdr_addr),
                             sizeof(PspPacketHeader));
    }
    return ret;
}

static AmdPspStatus psp_send_packet(AmdPspState *s, AmdPspGuest *g,
                                    PspCmdPacket *cmd, uint8_t context)
{
    uint32_t len = le32_to_cpu(cmd->guest_len);
    AmdPspStatus ret = psp_send_packet_check(s, cmd);
    g_autofree uint8_t *data = NULL;
    PspPacketHeader hdr;

    if (ret != PSP_SUCCESS) {
        return ret;
    }
    data = g_malloc(len);
    if (!amd_mee_read(amd_psp_addr(s, cmd->guest_addr), g->asid, data, len)) {
        return PSP_INVALID_ADDRESS;
    }
    if (context == PSP_PACKET_VMSA && !amd_psp_vmsa_sealed(data, len)) {
        return PSP_INVALID_PARAM;
    }
    amd_psp_packet_seal(g, context, &hdr, data, len);
    amd_mee_write(amd_psp_addr(s, cmd->trans_addr), 0, data, len);
    amd_mee_write(amd_psp_addr(s, cmd->hdr_addr), 0, &hdr, sizeof(hdr));
    cmd->hdr_len = cpu_to_le32(sizeof(hdr));
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_send_update_data(AmdPspState *s, AmdPspGuest *g,
                                      void *buf)
{
    return psp_send_packet(s, g, buf, PSP_PACKET_DATA);
}

AmdPspStatus amd_psp_send_update_vmsa(AmdPspState *s, AmdPspGuest *g,
                                      void *buf)
{
    return psp_send_packet(s, g, buf, PSP_PACKET_VMSA);
}

/* The host gets its packet's bytes, the guest its own, or nobody anything. */
AmdPspStatus amd_psp_packet_load(AmdPspState *s, const AmdPspGuest *g,
                                 const PspCmdPacket *cmd, uint8_t context,
                                 uint8_t **data)
{
    uint32_t len = le32_to_cpu(cmd->guest_len);
    PspPacketHeader hdr;
    AmdPspStatus ret;

    if (le32_to_cpu(cmd->hdr_len) < sizeof(hdr) || !psp_packet_len_ok(len) ||
        le32_to_cpu(cmd->trans_len) != len) {
        return PSP_INVALID_LEN;
    }
    ret = amd_psp_guest_output(amd_psp_addr(s, cmd->guest_addr), len);
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    *data = g_malloc(len);
    if (!amd_mee_read(amd_psp_addr(s, cmd->hdr_addr), 0, &hdr, sizeof(hdr)) ||
        !amd_mee_read(amd_psp_addr(s, cmd->trans_addr), 0, *data, len)) {
        return PSP_INVALID_ADDRESS;
    }
    return amd_psp_packet_open(g, context, &hdr, *data, len);
}

AmdPspStatus amd_psp_receive_update_data(AmdPspState *s, AmdPspGuest *g,
                                         void *buf)
{
    PspCmdPacket *cmd = buf;
    g_autofree uint8_t *data = NULL;
    AmdPspStatus ret = amd_psp_packet_load(s, g, cmd, PSP_PACKET_DATA, &data);

    if (ret == PSP_SUCCESS) {
        amd_mee_write(amd_psp_addr(s, cmd->guest_addr), g->asid, data,
                      le32_to_cpu(cmd->guest_len));
    }
    return ret;
}

AmdPspStatus amd_psp_receive_update_vmsa(AmdPspState *s, AmdPspGuest *g,
                                         void *buf)
{
    PspCmdPacket *cmd = buf;
    uint32_t len = le32_to_cpu(cmd->guest_len);
    g_autofree uint8_t *data = NULL;
    AmdPspStatus ret = amd_psp_packet_load(s, g, cmd, PSP_PACKET_VMSA, &data);

    if (ret != PSP_SUCCESS) {
        return ret;
    }
    if (len < PSP_VMSA_LEN) {
        return PSP_INVALID_LEN;
    }
    if (!amd_psp_vmsa_seal(g, data)) {
        return PSP_RESOURCE_LIMIT;
    }
    amd_mee_write(amd_psp_addr(s, cmd->guest_addr), g->asid, data, len);
    return PSP_SUCCESS;
}

/* The keys are of no use any more, but to a thief. */
AmdPspStatus amd_psp_receive_finish(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    memset(&g->tk, 0, sizeof(g->tk));
    return amd_psp_launch_finish(s, g, buf);
}

AmdPspStatus amd_psp_send_finish(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    memset(&g->tk, 0, sizeof(g->tk));
    g->state = PSP_G_SENT;
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_send_cancel(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    memset(&g->tk, 0, sizeof(g->tk));
    g->state = PSP_G_RUNNING;
    return PSP_SUCCESS;
}
