/*
 * AMD Platform Security Processor: the platform's keys and certificates
 *
 * OCA signs PEK, PEK signs PDH; the chip's own CEK signs PEK, too, and has
 * AMD's signature (amd-psp-root.c). The CEK and the NV encryption key derive
 * from the chip's secret and never change; the rest is the platform's
 * identity, which FACTORY_RESET wipes.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/guest-random.h"
#include "amd-psp-internal.h"


/* What INIT_EX keeps for the host: ours alone to read, so ours to define */
#define NV_MAGIC "SEVNV001"

typedef struct QEMU_PACKED PspNv {
    uint8_t magic[8];
    uint32_t owned;
    uint32_t reserved;
    uint8_t iv[PSP_AES_LEN];
    uint8_t keys[3][PSP_P384_LEN];      /* OCA, PEK, PDH; encrypted */
    uint8_t certs[3][PSP_CERT_LEN];
    uint8_t mac[PSP_SHA256_LEN];
} PspNv;

uint32_t amd_psp_pek_usage(void)
{
    return USAGE_PEK;
}

uint32_t amd_psp_pek_algo(void)
{
    return ALGO_ECDSA_SHA256;
}

void amd_psp_sign_report(AmdPspState *s, uint8_t *sig_r, uint8_t *sig_s,
                         const void *data, size_t len)
{
    uint8_t digest[PSP_SHA256_LEN];
    AmdPspEcSig sig;

    amd_psp_sha256(digest, data, len);
    amd_psp_ecdsa_sign(&sig, &s->id.pek, digest, sizeof(digest));
    amd_psp_coord_store(sig_r, sig.r);
    amd_psp_coord_store(sig_s, sig.s);
}

static void psp_chip_derive(AmdPspState *s, const char *label, uint32_t n,
                            uint8_t *out, size_t len)
{
    amd_psp_kdf(out, len, s->chip_secret, sizeof(s->chip_secret), label,
                &n, sizeof(n));
}

void amd_psp_chip_init(AmdPspState *s)
{
    const char *seed = s->chip_seed ?: "";
    uint32_t n = 0;

    amd_psp_sha256(s->chip_secret, seed, strlen(seed));
    /* All but one in 2^190 of the candidates are in range. */
    do {
        psp_chip_derive(s, "chip-endorsement-key", cpu_to_le32(n++), s->cek.d,
                        sizeof(s->cek.d));
    } while (!amd_psp_ec_derive_public(&s->cek));
    amd_psp_cert_fill(&s->cek_cert, USAGE_CEK, ALGO_ECDSA_SHA256, &s->cek.pub);
}

static void psp_nv_crypt(AmdPspState *s, PspNv *nv)
{
    uint8_t key[PSP_AES_LEN];

    psp_chip_derive(s, "nv-encryption", 0, key, sizeof(key));
    amd_psp_aes_ctr(key, nv->iv, nv->keys, nv->keys, sizeof(nv->keys));
}

static void psp_nv_mac(AmdPspState *s, PspNv *nv, uint8_t mac[PSP_SHA256_LEN])
{
    uint8_t key[PSP_SHA256_LEN];
    struct iovec iov = { nv, offsetof(PspNv, mac) };

    psp_chip_derive(s, "nv-integrity", 0, key, sizeof(key));
    amd_psp_hmac(mac, key, sizeof(key), &iov, 1);
}

/*
 * The host saves the buffer after every command that may have changed it.  If
 * it has taken the pages back meanwhile, they are somebody else's.
 */
static void psp_nv_store(AmdPspState *s)
{
    AmdPspIdentity *id = &s->id;
    g_autofree PspNv *nv = NULL;

    if (!s->nv_addr || amd_psp_output(s->nv_addr, sizeof(*nv)) != PSP_SUCCESS) {
        return;
    }
    nv = g_new0(PspNv, 1);
    memcpy(nv->magic, NV_MAGIC, sizeof(nv->magic));
    nv->owned = cpu_to_le32(id->owned);
    qemu_guest_getrandom_nofail(nv->iv, sizeof(nv->iv));
    memcpy(nv->keys[0], id->oca.d, PSP_P384_LEN);
    memcpy(nv->keys[1], id->pek.d, PSP_P384_LEN);
    memcpy(nv->keys[2], id->pdh.d, PSP_P384_LEN);
    memcpy(nv->certs[0], &id->oca_cert, PSP_CERT_LEN);
    memcpy(nv->certs[1], &id->pek_cert, PSP_CERT_LEN);
    memcpy(nv->certs[2], &id->pdh_cert, PSP_CERT_LEN);
    psp_nv_crypt(s, nv);
    psp_nv_mac(s, nv, nv->mac);
    amd_mee_write(s->nv_addr, 0, nv, sizeof(*nv));
}

static bool psp_nv_import(AmdPspState *s, PspNv *nv)
{
    AmdPspIdentity *id = &s->id;

    psp_nv_crypt(s, nv);
    memcpy(id->oca.d, nv->keys[0], PSP_P384_LEN);
    memcpy(id->pek.d, nv->keys[1], PSP_P384_LEN);
    memcpy(id->pdh.d, nv->keys[2], PSP_P384_LEN);
    memcpy(&id->oca_cert, nv->certs[0], PSP_CERT_LEN);
    memcpy(&id->pek_cert, nv->certs[1], PSP_CERT_LEN);
    memcpy(&id->pdh_cert, nv->certs[2], PSP_CERT_LEN);
    id->owned = nv->owned;
    id->valid = amd_psp_ec_derive_public(&id->pek) &&
                amd_psp_ec_derive_public(&id->pdh) &&
                (id->owned || amd_psp_ec_derive_public(&id->oca));
    return id->valid;
}

static bool psp_nv_is_blank(const void *nv)
{
    static const uint8_t blank[64] = { [0 ... 63] = 0xff };

    return !memcmp(nv, blank, sizeof(blank)) || buffer_is_zero(nv, 64);
}

/*
 * A blank buffer asks for a new identity. A damaged one is reported once, and
 * blanked: the host retries after SECURE_DATA_INVALID.
 */
AmdPspStatus amd_psp_nv_load(AmdPspState *s, hwaddr nv_addr)
{
    g_autofree PspNv *nv = g_new0(PspNv, 1);
    uint8_t mac[PSP_SHA256_LEN];

    if (!amd_mee_read(nv_addr, 0, nv, sizeof(*nv))) {
        return PSP_INVALID_ADDRESS;
    }
    memset(&s->id, 0, sizeof(s->id));
    if (!psp_nv_is_blank(nv)) {
        psp_nv_mac(s, nv, mac);
        if (memcmp(nv->magic, NV_MAGIC, sizeof(nv->magic)) ||
            !amd_psp_mac_equal(mac, nv->mac) || !psp_nv_import(s, nv)) {
            memset(&s->id, 0, sizeof(s->id));
            memset(nv, 0xff, sizeof(*nv));
            amd_mee_write(nv_addr, 0, nv, sizeof(*nv));
            return PSP_SECURE_DATA_INVALID;
        }
    }
    s->nv_addr = nv_addr;
    return PSP_SUCCESS;
}

static void psp_new_pdh(AmdPspState *s)
{
    AmdPspIdentity *id = &s->id;

    amd_psp_ec_generate(&id->pdh);
    amd_psp_cert_fill(&id->pdh_cert, USAGE_PDH, ALGO_ECDH_SHA256,
                      &id->pdh.pub);
    amd_psp_cert_sign(&id->pdh_cert, 0, USAGE_PEK, &id->pek);
}

static void psp_new_identity(AmdPspState *s)
{
    AmdPspIdentity *id = &s->id;

    amd_psp_ec_generate(&id->oca);
    amd_psp_cert_fill(&id->oca_cert, USAGE_OCA, ALGO_ECDSA_SHA256,
                      &id->oca.pub);
    amd_psp_cert_sign(&id->oca_cert, 0, USAGE_OCA, &id->oca);

    amd_psp_ec_generate(&id->pek);
    amd_psp_cert_fill(&id->pek_cert, USAGE_PEK, ALGO_ECDSA_SHA256,
                      &id->pek.pub);
    amd_psp_cert_sign(&id->pek_cert, 0, USAGE_OCA, &id->oca);
    amd_psp_cert_sign(&id->pek_cert, 1, USAGE_CEK, &s->cek);

    psp_new_pdh(s);
    id->owned = false;
    id->valid = true;
}

void amd_psp_identity_ensure(AmdPspState *s)
{
    if (!s->id.valid) {
        psp_new_identity(s);
    }
    psp_nv_store(s);
}

AmdPspStatus amd_psp_factory_reset(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    memset(&s->id, 0, sizeof(s->id));
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_pek_gen(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    psp_new_identity(s);
    psp_nv_store(s);
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_pdh_gen(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    psp_new_pdh(s);
    psp_nv_store(s);
    return PSP_SUCCESS;
}

static AmdPspStatus psp_blob_out(AmdPspState *s, PspCmdBlob *cmd,
                                 const void *data, uint32_t len)
{
    bool fits = le32_to_cpu(cmd->len) >= len;
    hwaddr pa = amd_psp_addr(s, cmd->addr);
    AmdPspStatus ret;

    cmd->len = cpu_to_le32(len);
    if (!fits) {
        return PSP_INVALID_LEN;
    }
    ret = amd_psp_output(pa, len);
    if (ret == PSP_SUCCESS) {
        amd_mee_write(pa, 0, data, len);
    }
    return ret;
}

AmdPspStatus amd_psp_get_id(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    return psp_blob_out(s, buf, s->snp.chip_id, sizeof(s->snp.chip_id));
}

/* The request is the PEK's certificate without its signatures. */
AmdPspStatus amd_psp_pek_csr(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    AmdPspCert csr;

    amd_psp_cert_fill(&csr, USAGE_PEK, ALGO_ECDSA_SHA256, &s->id.pek.pub);
    return psp_blob_out(s, buf, &csr, sizeof(csr));
}

AmdPspStatus amd_psp_pdh_cert_export(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    PspCmdTwoCerts *cmd = buf;
    hwaddr pdh = amd_psp_addr(s, cmd->first_addr);
    hwaddr chain = amd_psp_addr(s, cmd->second_addr);
    bool fits = le32_to_cpu(cmd->first_len) >= PSP_CERT_LEN &&
                le32_to_cpu(cmd->second_len) >= PSP_CHAIN_LEN;
    AmdPspStatus ret;

    cmd->first_len = cpu_to_le32(PSP_CERT_LEN);
    cmd->second_len = cpu_to_le32(PSP_CHAIN_LEN);
    if (!fits) {
        return PSP_INVALID_LEN;
    }
    ret = amd_psp_output(pdh, PSP_CERT_LEN);
    if (ret == PSP_SUCCESS) {
        ret = amd_psp_output(chain, PSP_CHAIN_LEN);
    }
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    amd_psp_root_ensure(s);
    amd_mee_write(pdh, 0, &s->id.pdh_cert, PSP_CERT_LEN);
    amd_mee_write(chain, 0, &s->id.pek_cert, PSP_CERT_LEN);
    amd_mee_write(chain + PSP_CERT_LEN, 0, &s->id.oca_cert, PSP_CERT_LEN);
    amd_mee_write(chain + 2 * PSP_CERT_LEN, 0, &s->cek_cert, PSP_CERT_LEN);
    return PSP_SUCCESS;
}

/* An external owner's OCA takes the place of the self-made one. */
AmdPspStatus amd_psp_pek_cert_import(AmdPspState *s, AmdPspGuest *g, void *buf)
{
    PspCmdTwoCerts *cmd = buf;
    AmdPspCert pek, oca;
    AmdPspEcPoint pek_pub, oca_pub;

    if (s->id.owned) {
        return PSP_ALREADY_OWNED;
    }
    if (le32_to_cpu(cmd->first_len) != PSP_CERT_LEN ||
        le32_to_cpu(cmd->second_len) != PSP_CERT_LEN) {
        return PSP_INVALID_LEN;
    }
    if (!amd_mee_read(amd_psp_addr(s, cmd->first_addr), 0, &pek,
                      sizeof(pek)) ||
        !amd_mee_read(amd_psp_addr(s, cmd->second_addr), 0, &oca,
                      sizeof(oca))) {
        return PSP_INVALID_ADDRESS;
    }
    if (!amd_psp_cert_is(&pek, USAGE_PEK, ALGO_ECDSA_SHA256) ||
        !amd_psp_cert_is(&oca, USAGE_OCA, ALGO_ECDSA_SHA256) ||
        !amd_psp_cert_pub(&pek, &pek_pub) ||
        !amd_psp_cert_pub(&oca, &oca_pub) ||
        memcmp(&pek_pub, &s->id.pek.pub, sizeof(pek_pub))) {
        return PSP_INVALID_CERTIFICATE;
    }
    if (!amd_psp_cert_verify(&oca, USAGE_OCA, &oca_pub) ||
        !amd_psp_cert_verify(&pek, USAGE_OCA, &oca_pub)) {
        return PSP_BAD_SIGNATURE;
    }
    amd_psp_cert_sign(&pek, 1, USAGE_CEK, &s->cek);
    s->id.pek_cert = pek;
    s->id.oca_cert = oca;
    s->id.owned = true;
    memset(&s->id.oca.d, 0, sizeof(s->id.oca.d));
    psp_new_pdh(s);
    psp_nv_store(s);
    return PSP_SUCCESS;
}
