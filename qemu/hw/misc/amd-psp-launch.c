/*
 * AMD Platform Security Processor: launch, attestation and debugging of guests
 *
 * A launch owns the guest's running digest and its measurement. Guest memory
 * is reached through the memory encryption engine: key 0 is what the host
 * sees, the guest's ASID what the guest sees.
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

/* First byte of the measurement's MAC: what the MAC is about */
#define CONTEXT_MEASURE 0x04

#define CHUNK (64 * KiB)
#define VMSA_CRC_ZERO 0x380
#define VMSA_CRC_SLOT 0x388

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

QEMU_BUILD_BUG_ON(sizeof(PspMeasurement) != 0x30);
QEMU_BUILD_BUG_ON(sizeof(PspReport) != 0xD0);

AmdPspStatus amd_psp_launch_start(AmdPspState *s, AmdPspGuest *unused,
                                  void *buf)
{
    PspCmdLaunchStart *cmd = buf;
    AmdPspGuest *g;
    AmdPspStatus ret = amd_psp_guest_start(s, cmd, cmd->dh_addr, &g);

    if (ret == PSP_SUCCESS) {
        g->hash = qcrypto_hash_new(QCRYPTO_HASH_ALGO_SHA256, &error_abort);
        g->state = PSP_G_LUPDATE;
    }
    return ret;
}

/* Plaintext is what the host sees in place; the guest's view replaces it. */
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
    ret = amd_psp_guest_output(pa, len);
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

/* Where the integrity of the VMSA is kept is for the CPU to know. */
bool amd_psp_vmsa_seal(AmdPspGuest *g, uint8_t *vmsa)
{
    hwaddr slot;

    if (!amd_mee_crc_alloc(&slot)) {
        return false;
    }
    g_array_append_val(g->crc_slots, slot);
    stq_le_p(vmsa + VMSA_CRC_ZERO, 0);
    stq_le_p(vmsa + VMSA_CRC_SLOT, slot);
    amd_mee_crc_store(slot, amd_mee_vmsa_crc(vmsa));
    return true;
}

bool amd_psp_vmsa_sealed(const uint8_t *vmsa, size_t len)
{
    return len >= PSP_VMSA_LEN &&
           amd_mee_crc_check(ldq_le_p(vmsa + VMSA_CRC_SLOT),
                             amd_mee_vmsa_crc(vmsa));
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
    uint8_t vmsa[PSP_VMSA_LEN], sealed[PSP_VMSA_LEN];
    AmdPspStatus ret;

    if (le32_to_cpu(cmd->len) != PSP_VMSA_LEN) {
        return PSP_INVALID_LEN;
    }
    ret = amd_psp_guest_output(pa, PSP_VMSA_LEN);
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    amd_mee_read(pa, 0, vmsa, PSP_VMSA_LEN);
    memcpy(sealed, vmsa, sizeof(sealed));
    if (!amd_psp_vmsa_seal(g, sealed)) {
        return PSP_RESOURCE_LIMIT;
    }
    qcrypto_hash_update(g->hash, (char *)vmsa, PSP_VMSA_LEN, &error_abort);
    if (!amd_mee_write(pa, g->asid, sealed, PSP_VMSA_LEN)) {
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

    amd_psp_hmac(g->measure, g->tk.tik, sizeof(g->tk.tik), iov,
                 ARRAY_SIZE(iov));
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

AmdPspStatus amd_psp_launch_secret(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    PspCmdPacket *cmd = buf;
    g_autofree uint8_t *data = NULL;
    AmdPspStatus ret = amd_psp_packet_load(s, g, cmd, PSP_PACKET_SECRET,
                                           &data);

    if (ret == PSP_SUCCESS &&
        !amd_mee_write(amd_psp_addr(s, cmd->guest_addr), g->asid, data,
                       le32_to_cpu(cmd->guest_len))) {
        ret = PSP_INVALID_ADDRESS;
    }
    return ret;
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
    ret = amd_psp_guest_output(dst, len);
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
