/*
 * AMD Platform Security Processor: launch, attestation and debugging of guests
 *
 * A launch owns the guest's transport keys (TEK, TIK), its running digest and
 * its measurement. Guest memory is reached through the memory encryption
 * engine: key 0 is what the host sees, the guest's ASID what the guest sees.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/guest-random.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "amd-psp-internal.h"
#include "trace.h"

/* First byte of every MAC: what the MAC is about */
#define CONTEXT_SECRET 0x01
#define CONTEXT_MEASURE 0x04

#define PACKET_COMPRESSED BIT(0)
#define CHUNK (64 * KiB)
#define VMSA_SIZE 4096
#define VMSA_CRC_LEN 0xFC0
#define VMSA_CRC_ZERO 0x380
#define VMSA_CRC_SLOT 0x388

/* SEV API, Launch Session */
typedef struct QEMU_PACKED PspSession {
    uint8_t nonce[16];
    uint8_t wrap_tk[2 * PSP_AES_LEN];   /* TEK, TIK */
    uint8_t wrap_iv[PSP_AES_LEN];
    uint8_t wrap_mac[PSP_SHA256_LEN];
    uint8_t policy_mac[PSP_SHA256_LEN];
} PspSession;

/* SEV API, Packet Header */
typedef struct QEMU_PACKED PspPacketHeader {
    uint32_t flags;
    uint8_t iv[PSP_AES_LEN];
    uint8_t mac[PSP_SHA256_LEN];
} PspPacketHeader;

typedef struct QEMU_PACKED PspMeasurement {
    uint8_t hmac[PSP_SHA256_LEN];
    uint8_t mnonce[16];
} PspMeasurement;

typedef struct QEMU_PACKED PspReport {
    uint8_t mnonce[16];
    uint8_t digest[PSP_SHA256_LEN];
    uint32_t policy;
    uint32_t sig_usage;
    uint32_t sig_algo;
    uint32_t reserved;
    uint8_t sig_r[72];
    uint8_t sig_s[72];
} PspReport;

QEMU_BUILD_BUG_ON(sizeof(PspSession) != 128);
QEMU_BUILD_BUG_ON(sizeof(PspPacketHeader) != 52);
QEMU_BUILD_BUG_ON(sizeof(PspMeasurement) != 0x30);
QEMU_BUILD_BUG_ON(sizeof(PspReport) != 0xD0);

static bool psp_policy_api_ok(uint32_t policy)
{
    unsigned major = FIELD_EX32(policy, POLICY, API_MAJOR);
    unsigned minor = FIELD_EX32(policy, POLICY, API_MINOR);

    return major < PSP_API_MAJOR ||
           (major == PSP_API_MAJOR && minor <= PSP_API_MINOR);
}

/*
 * The transport keys travel under keys that only this platform's PDH key and
 * the guest owner's key agree on. Both MACs must hold: the first proves who
 * wrapped the keys, the second that the host asked for the owner's policy.
 */
static AmdPspStatus psp_session_unwrap(AmdPspState *s, const PspSession *se,
                                       const AmdPspEcPoint *owner,
                                       uint32_t policy,
                                       uint8_t tk[2 * PSP_AES_LEN])
{
    uint8_t z[PSP_P384_LEN];
    uint8_t master[PSP_AES_LEN], kek[PSP_AES_LEN], kik[PSP_AES_LEN];
    uint8_t mac[PSP_SHA256_LEN];
    uint32_t le_policy = cpu_to_le32(policy);
    struct iovec wrap = { (void *)se->wrap_tk, sizeof(se->wrap_tk) };
    struct iovec pol = { &le_policy, sizeof(le_policy) };

    if (!amd_psp_ecdh(z, &s->id.pdh, owner)) {
        return PSP_INVALID_CERTIFICATE;
    }
    amd_psp_kdf(master, sizeof(master), z, sizeof(z), "sev-master-secret",
                se->nonce, sizeof(se->nonce));
    amd_psp_kdf(kek, sizeof(kek), master, sizeof(master), "sev-kek", NULL, 0);
    amd_psp_kdf(kik, sizeof(kik), master, sizeof(master), "sev-kik", NULL, 0);

    amd_psp_hmac(mac, kik, sizeof(kik), &wrap, 1);
    if (!amd_psp_mac_equal(mac, se->wrap_mac)) {
        return PSP_BAD_MEASUREMENT;
    }
    amd_psp_aes_ctr(kek, se->wrap_iv, se->wrap_tk, tk, 2 * PSP_AES_LEN);
    amd_psp_hmac(mac, tk + PSP_AES_LEN, PSP_AES_LEN, &pol, 1);
    if (!amd_psp_mac_equal(mac, se->policy_mac)) {
        return PSP_BAD_MEASUREMENT;
    }
    return PSP_SUCCESS;
}

static AmdPspStatus psp_session_load(AmdPspState *s,
                                     const PspCmdLaunchStart *cmd,
                                     uint8_t tk[2 * PSP_AES_LEN])
{
    AmdPspCert cert;
    AmdPspEcPoint owner;
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
    if (!amd_psp_cert_dh_key(&cert, &owner)) {
        return PSP_INVALID_CERTIFICATE;
    }
    return psp_session_unwrap(s, &se, &owner, le32_to_cpu(cmd->policy), tk);
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

AmdPspStatus amd_psp_launch_start(AmdPspState *s, AmdPspGuest *unused,
                                  void *buf)
{
    PspCmdLaunchStart *cmd = buf;
    uint32_t policy = le32_to_cpu(cmd->policy);
    uint8_t tk[2 * PSP_AES_LEN];
    AmdPspGuest *source, *g;
    AmdPspStatus ret;

    ret = psp_policy_check(s, policy, le32_to_cpu(cmd->handle), &source);
    if (ret == PSP_SUCCESS && cmd->dh_addr) {
        ret = psp_session_load(s, cmd, tk);
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
    if (cmd->dh_addr) {
        memcpy(g->tek, tk, sizeof(g->tek));
        memcpy(g->tik, tk + sizeof(g->tek), sizeof(g->tik));
    }
    g->hash = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, &error_abort);
    g->state = PSP_G_LUPDATE;
    cmd->handle = cpu_to_le32(g->handle);
    return PSP_SUCCESS;
}

/* Plaintext is what the host sees in place; the guest's view replaces it. */
/* Guest memory, in blocks of the cipher */
static AmdPspStatus psp_guest_output(hwaddr pa, uint32_t len)
{
    return QEMU_IS_ALIGNED(pa, PSP_BLOCK) ? amd_psp_output(pa, len) :
                                            PSP_INVALID_ADDRESS;
}

AmdPspStatus amd_psp_launch_update_data(AmdPspState *s, AmdPspGuest *g,
                                        void *buf)
{
    PspCmdLaunchData *cmd = buf;
    hwaddr pa = amd_psp_addr(s, cmd->addr);
    uint32_t len = le32_to_cpu(cmd->len);
    g_autofree uint8_t *chunk = NULL;
    AmdPspStatus ret;

    if (!len || !QEMU_IS_ALIGNED(len, PSP_BLOCK)) {
        return PSP_INVALID_LEN;
    }
    ret = psp_guest_output(pa, len);
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    chunk = g_malloc(MIN(len, CHUNK));
    while (len) {
        uint32_t n = MIN(len, CHUNK);

        if (!amd_mee_read(pa, 0, chunk, n) ||
            !amd_mee_write(pa, g->asid, chunk, n)) {
            return PSP_INVALID_ADDRESS;
        }
        qcrypto_hash_update(g->hash, (char *)chunk, n, &error_abort);
        pa += n;
        len -= n;
    }
    return PSP_SUCCESS;
}

/*
 * The digest covers the page as the VMM built it. What the CPU will check at
 * VMRUN is the page with its integrity slot filled in.
 */
AmdPspStatus amd_psp_launch_update_vmsa(AmdPspState *s, AmdPspGuest *g,
                                        void *buf)
{
    PspCmdLaunchData *cmd = buf;
    hwaddr pa = amd_psp_addr(s, cmd->addr);
    uint8_t vmsa[VMSA_SIZE];
    uint64_t slot;
    AmdPspStatus ret;

    if (le32_to_cpu(cmd->len) != VMSA_SIZE) {
        return PSP_INVALID_LEN;
    }
    ret = psp_guest_output(pa, VMSA_SIZE);
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    amd_mee_read(pa, 0, vmsa, VMSA_SIZE);
    if (!amd_mee_crc_alloc(&slot)) {
        return PSP_RESOURCE_LIMIT;
    }
    g_array_append_val(g->crc_slots, slot);
    qcrypto_hash_update(g->hash, (char *)vmsa, VMSA_SIZE, &error_abort);

    stq_le_p(vmsa + VMSA_CRC_ZERO, 0);
    stq_le_p(vmsa + VMSA_CRC_SLOT, slot);
    amd_mee_crc_store(slot, amd_mee_vmsa_crc(vmsa));
    if (!amd_mee_write(pa, g->asid, vmsa, VMSA_SIZE)) {
        return PSP_INVALID_ADDRESS;
    }
    return PSP_SUCCESS;
}

/* HMAC(0x04 || API || build || policy || digest || mnonce; TIK) */
static void psp_measure(AmdPspGuest *g, const uint8_t mnonce[16])
{
    uint8_t head[] = {
        CONTEXT_MEASURE, PSP_API_MAJOR, PSP_API_MINOR, PSP_API_BUILD
    };
    uint32_t policy = cpu_to_le32(g->policy);
    struct iovec iov[] = {
        { head, sizeof(head) },
        { &policy, sizeof(policy) },
        { g->digest, sizeof(g->digest) },
        { (void *)mnonce, 16 },
    };

    amd_psp_hmac(g->measure, g->tik, sizeof(g->tik), iov, ARRAY_SIZE(iov));
}

AmdPspStatus amd_psp_launch_measure(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    PspCmdLaunchData *cmd = buf;
    hwaddr pa = amd_psp_addr(s, cmd->addr);
    bool fits = le32_to_cpu(cmd->len) >= sizeof(PspMeasurement);
    uint8_t *digest = g->digest;
    size_t digest_len = sizeof(g->digest);
    PspMeasurement m;
    AmdPspStatus ret;

    cmd->len = cpu_to_le32(sizeof(m));
    if (!fits) {
        return PSP_INVALID_LEN;
    }
    ret = amd_psp_output(pa, sizeof(m));
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    qcrypto_hash_finalize_bytes(g->hash, &digest, &digest_len, &error_abort);
    g_clear_pointer(&g->hash, qcrypto_hash_free);

    qemu_guest_getrandom_nofail(m.mnonce, sizeof(m.mnonce));
    psp_measure(g, m.mnonce);
    memcpy(m.hmac, g->measure, sizeof(m.hmac));
    g->state = PSP_G_LSECRET;
    return amd_mee_write(pa, 0, &m, sizeof(m)) ? PSP_SUCCESS :
                                                 PSP_INVALID_ADDRESS;
}

static AmdPspStatus psp_secret_check(AmdPspState *s,
                                     const PspCmdLaunchSecret *cmd)
{
    uint32_t len = le32_to_cpu(cmd->guest_len);
    hwaddr guest = amd_psp_addr(s, cmd->guest_addr);

    if (le32_to_cpu(cmd->hdr_len) < sizeof(PspPacketHeader) ||
        le32_to_cpu(cmd->trans_len) != len || !len ||
        !QEMU_IS_ALIGNED(len, PSP_BLOCK) || len > PSP_MAX_TRANSPORT) {
        return PSP_INVALID_LEN;
    }
    return psp_guest_output(guest, len);
}

/*
 * HMAC(0x01 || flags || IV || guest length || transport length || data ||
 * measurement; TIK): the measurement ties a secret to this very launch.
 */
static bool psp_secret_mac_ok(const AmdPspGuest *g,
                              const PspPacketHeader *hdr,
                              const uint8_t *data, uint32_t len)
{
    uint8_t context = CONTEXT_SECRET;
    uint8_t mac[PSP_SHA256_LEN];
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

    amd_psp_hmac(mac, g->tik, sizeof(g->tik), iov, ARRAY_SIZE(iov));
    return amd_psp_mac_equal(mac, hdr->mac);
}

AmdPspStatus amd_psp_launch_secret(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    PspCmdLaunchSecret *cmd = buf;
    uint32_t len = le32_to_cpu(cmd->guest_len);
    AmdPspStatus ret = psp_secret_check(s, cmd);
    g_autofree uint8_t *data = NULL;
    PspPacketHeader hdr;

    if (ret != PSP_SUCCESS) {
        return ret;
    }
    data = g_malloc(len);
    if (!amd_mee_read(amd_psp_addr(s, cmd->hdr_addr), 0, &hdr, sizeof(hdr)) ||
        !amd_mee_read(amd_psp_addr(s, cmd->trans_addr), 0, data, len)) {
        return PSP_INVALID_ADDRESS;
    }
    if (le32_to_cpu(hdr.flags) & PACKET_COMPRESSED) {
        return PSP_UNSUPPORTED;
    }
    if (!psp_secret_mac_ok(g, &hdr, data, len)) {
        return PSP_BAD_MEASUREMENT;
    }
    amd_psp_aes_ctr(g->tek, hdr.iv, data, data, len);
    return amd_mee_write(amd_psp_addr(s, cmd->guest_addr), g->asid, data, len) ?
           PSP_SUCCESS : PSP_INVALID_ADDRESS;
}

AmdPspStatus amd_psp_launch_finish(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    g->state = PSP_G_RUNNING;
    if (g->asid) {
        s->asid_state[g->asid] = PSP_A_IN_USE;
    }
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_attestation_report(AmdPspState *s, AmdPspGuest *g,
                                        void *buf)
{
    PspCmdAttestation *cmd = buf;
    hwaddr pa = amd_psp_addr(s, cmd->addr);
    bool fits = le32_to_cpu(cmd->len) >= sizeof(PspReport);
    PspReport r = {};
    AmdPspStatus ret;

    cmd->len = cpu_to_le32(sizeof(r));
    if (!fits) {
        return PSP_INVALID_LEN;
    }
    ret = amd_psp_output(pa, sizeof(r));
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    memcpy(r.mnonce, cmd->nonce, sizeof(r.mnonce));
    memcpy(r.digest, g->digest, sizeof(r.digest));
    r.policy = cpu_to_le32(g->policy);
    r.sig_usage = cpu_to_le32(amd_psp_pek_usage());
    r.sig_algo = cpu_to_le32(amd_psp_pek_algo());
    amd_psp_sign_report(s, r.sig_r, r.sig_s, &r,
                        offsetof(PspReport, sig_usage));
    return amd_mee_write(pa, 0, &r, sizeof(r)) ? PSP_SUCCESS :
                                                 PSP_INVALID_ADDRESS;
}

/* Copy between the host's and the guest's view, or back. */
static AmdPspStatus psp_dbg(AmdPspState *s, AmdPspGuest *g,
                            const PspCmdDbg *cmd, bool encrypt)
{
    hwaddr src = amd_psp_addr(s, cmd->src);
    hwaddr dst = amd_psp_addr(s, cmd->dst);
    uint32_t len = le32_to_cpu(cmd->len);
    g_autofree uint8_t *chunk = NULL;
    AmdPspStatus ret;

    if (FIELD_EX32(g->policy, POLICY, NODBG)) {
        return PSP_POLICY_FAILURE;
    }
    if (!len || !QEMU_IS_ALIGNED(len, PSP_BLOCK)) {
        return PSP_INVALID_LEN;
    }
    if (!QEMU_IS_ALIGNED(src, PSP_BLOCK) || !amd_psp_range_ok(src, len)) {
        return PSP_INVALID_ADDRESS;
    }
    ret = psp_guest_output(dst, len);
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    chunk = g_malloc(MIN(len, CHUNK));
    while (len) {
        uint32_t n = MIN(len, CHUNK);

        if (!amd_mee_read(src, encrypt ? 0 : g->asid, chunk, n) ||
            !amd_mee_write(dst, encrypt ? g->asid : 0, chunk, n)) {
            return PSP_INVALID_ADDRESS;
        }
        src += n;
        dst += n;
        len -= n;
    }
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_dbg_decrypt(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    return psp_dbg(s, g, buf, false);
}

AmdPspStatus amd_psp_dbg_encrypt(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    return psp_dbg(s, g, buf, true);
}
