/*
 * AMD Platform Security Processor: sessions and packets
 *
 * A session brings a guest's transport keys (TEK, TIK) from the guest owner's
 * or another platform's hands to a platform, wrapped under what two Diffie-
 * Hellman keys agree on; a packet brings data under the transport keys.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/guest-random.h"
#include "amd-psp-internal.h"

#define PACKET_COMPRESSED BIT(0)

/* Keys that wrap the transport keys */
typedef struct PspWrapKeys {
    uint8_t kek[PSP_AES_LEN];
    uint8_t kik[PSP_AES_LEN];
} PspWrapKeys;

static bool psp_wrap_keys(AmdPspState *s, PspWrapKeys *k,
                          const AmdPspEcPoint *peer, const uint8_t nonce[16])
{
    uint8_t z[PSP_P384_LEN], master[PSP_AES_LEN];

    if (!amd_psp_ecdh(z, &s->id.pdh, peer)) {
        return false;
    }
    amd_psp_kdf(master, sizeof(master), z, sizeof(z), "sev-master-secret",
                nonce, 16);
    amd_psp_kdf(k->kek, sizeof(k->kek), master, sizeof(master), "sev-kek",
                NULL, 0);
    amd_psp_kdf(k->kik, sizeof(k->kik), master, sizeof(master), "sev-kik",
                NULL, 0);
    return true;
}

static void psp_wrap_mac(const PspWrapKeys *k, const PspSession *se,
                         uint8_t mac[PSP_SHA256_LEN])
{
    struct iovec iov = { (void *)se->wrap_tk, sizeof(se->wrap_tk) };

    amd_psp_hmac(mac, k->kik, sizeof(k->kik), &iov, 1);
}

static void psp_policy_mac(const AmdPspTransportKeys *tk, uint32_t policy,
                           uint8_t mac[PSP_SHA256_LEN])
{
    uint32_t le_policy = cpu_to_le32(policy);
    struct iovec iov = { &le_policy, sizeof(le_policy) };

    amd_psp_hmac(mac, tk->tik, sizeof(tk->tik), &iov, 1);
}

/*
 * Both MACs must hold: the first proves who wrapped the keys, the second that
 * the host asks for the policy that they were wrapped with.
 */
static AmdPspStatus psp_session_unwrap(AmdPspState *s, const PspSession *se,
                                       const AmdPspEcPoint *peer,
                                       uint32_t policy,
                                       AmdPspTransportKeys *tk)
{
    uint8_t mac[PSP_SHA256_LEN];
    PspWrapKeys k;

    if (!psp_wrap_keys(s, &k, peer, se->nonce)) {
        return PSP_INVALID_CERTIFICATE;
    }
    psp_wrap_mac(&k, se, mac);
    if (!amd_psp_mac_equal(mac, se->wrap_mac)) {
        return PSP_BAD_MEASUREMENT;
    }
    amd_psp_aes_ctr(k.kek, se->wrap_iv, se->wrap_tk, tk, sizeof(*tk));
    psp_policy_mac(tk, policy, mac);
    if (!amd_psp_mac_equal(mac, se->policy_mac)) {
        return PSP_BAD_MEASUREMENT;
    }
    return PSP_SUCCESS;
}

bool amd_psp_session_wrap(AmdPspState *s, PspSession *se,
                          const AmdPspEcPoint *peer, const AmdPspGuest *g)
{
    PspWrapKeys k;

    qemu_guest_getrandom_nofail(se->nonce, sizeof(se->nonce));
    qemu_guest_getrandom_nofail(se->wrap_iv, sizeof(se->wrap_iv));
    if (!psp_wrap_keys(s, &k, peer, se->nonce)) {
        return false;
    }
    amd_psp_aes_ctr(k.kek, se->wrap_iv, &g->tk, se->wrap_tk,
                    sizeof(se->wrap_tk));
    psp_wrap_mac(&k, se, se->wrap_mac);
    psp_policy_mac(&g->tk, g->policy, se->policy_mac);
    return true;
}

static AmdPspStatus psp_session_load(AmdPspState *s,
                                     const PspCmdLaunchStart *cmd,
                                     AmdPspTransportKeys *tk)
{
    AmdPspCert cert;
    AmdPspEcPoint peer;
    PspSession se;

    if (le32_to_cpu(cmd->session_len) != sizeof(se) ||
        le32_to_cpu(cmd->dh_len) != sizeof(cert)) {
        return PSP_INVALID_LEN;
    }
    if (!amd_mee_read(amd_psp_addr(s, cmd->dh_addr), 0, &cert, sizeof(cert)) ||
        !amd_mee_read(amd_psp_addr(s, cmd->session_addr), 0, &se,
                      sizeof(se))) {
        return PSP_INVALID_ADDRESS;
    }
    if (!amd_psp_cert_dh_key(&cert, &peer)) {
        return PSP_INVALID_CERTIFICATE;
    }
    return psp_session_unwrap(s, &se, &peer, le32_to_cpu(cmd->policy), tk);
}

static bool psp_policy_api_ok(uint32_t policy)
{
    unsigned major = FIELD_EX32(policy, POLICY, API_MAJOR);
    unsigned minor = FIELD_EX32(policy, POLICY, API_MINOR);

    return major < PSP_API_MAJOR ||
           (major == PSP_API_MAJOR && minor <= PSP_API_MINOR);
}

static AmdPspStatus psp_policy_check(AmdPspState *s, uint32_t policy,
                                     uint32_t share, AmdPspGuest **source)
{
    *source = NULL;
    if (!psp_policy_api_ok(policy)) {
        return PSP_POLICY_FAILURE;
    }
    if (FIELD_EX32(policy, POLICY, ES) && !s->es) {
        return PSP_UNSUPPORTED;
    }
    if (!share) {
        return PSP_SUCCESS;
    }
    *source = amd_psp_guest_find(s, share);
    if (!*source) {
        return PSP_INVALID_GUEST;
    }
    if (FIELD_EX32(policy, POLICY, NOKS) || (*source)->policy != policy) {
        return PSP_POLICY_FAILURE;
    }
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_guest_start(AmdPspState *s, PspCmdLaunchStart *cmd,
                                 bool session, AmdPspGuest **guest)
{
    uint32_t policy = le32_to_cpu(cmd->policy);
    AmdPspTransportKeys tk;
    AmdPspGuest *source, *g;
    AmdPspStatus ret;

    ret = psp_policy_check(s, policy, le32_to_cpu(cmd->handle), &source);
    if (ret == PSP_SUCCESS && session) {
        ret = psp_session_load(s, cmd, &tk);
    }
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    g = amd_psp_guest_new(s);
    if (!g) {
        return PSP_RESOURCE_LIMIT;
    }
    g->policy = policy;
    if (source) {
        memcpy(g->vek, source->vek, sizeof(g->vek));
    }
    if (session) {
        g->tk = tk;
    }
    cmd->handle = cpu_to_le32(g->handle);
    *guest = g;
    return PSP_SUCCESS;
}

/*
 * HMAC(context || flags || IV || guest length || transport length || data ||
 * measurement; TIK). Only a secret has a measurement, which ties it to one
 * launch. Neither addresses nor numbers of packets are covered: it is the
 * host's business where and in which order it puts what belongs to a guest.
 */
static void psp_packet_mac(const AmdPspGuest *g, uint8_t context,
                           const PspPacketHeader *hdr, const void *data,
                           uint32_t len, uint8_t mac[PSP_SHA256_LEN])
{
    uint32_t le_len = cpu_to_le32(len);
    struct iovec iov[] = {
        { &context, sizeof(context) },
        { (void *)&hdr->flags, sizeof(hdr->flags) },
        { (void *)hdr->iv, sizeof(hdr->iv) },
        { &le_len, sizeof(le_len) },
        { &le_len, sizeof(le_len) },
        { (void *)data, len },
        { (void *)g->measure, sizeof(g->measure) },
    };
    size_t n = ARRAY_SIZE(iov);

    amd_psp_hmac(mac, g->tk.tik, sizeof(g->tk.tik), iov,
                 context == PSP_PACKET_SECRET ? n : n - 1);
}

void amd_psp_packet_seal(const AmdPspGuest *g, uint8_t context,
                         PspPacketHeader *hdr, void *data, uint32_t len)
{
    hdr->flags = 0;
    qemu_guest_getrandom_nofail(hdr->iv, sizeof(hdr->iv));
    amd_psp_aes_ctr(g->tk.tek, hdr->iv, data, data, len);
    psp_packet_mac(g, context, hdr, data, len, hdr->mac);
}

AmdPspStatus amd_psp_packet_open(const AmdPspGuest *g, uint8_t context,
                                 const PspPacketHeader *hdr, void *data,
                                 uint32_t len)
{
    uint8_t mac[PSP_SHA256_LEN];

    if (le32_to_cpu(hdr->flags) & PACKET_COMPRESSED) {
        return PSP_UNSUPPORTED;
    }
    psp_packet_mac(g, context, hdr, data, len, mac);
    if (!amd_psp_mac_equal(mac, hdr->mac)) {
        return PSP_BAD_MEASUREMENT;
    }
    amd_psp_aes_ctr(g->tk.tek, hdr->iv, data, data, len);
    return PSP_SUCCESS;
}
