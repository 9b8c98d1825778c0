/*
 * AMD Platform Security Processor: the two formats of certificates
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "amd-psp-cert.h"
#include "amd-psp-internal.h"

#define CURVE_P384 2
#define CERT_VERSION 1

typedef struct QEMU_PACKED PspCertSig {
    uint32_t usage;
    uint32_t algo;
    union {
        struct {
            uint8_t r[PSP_COORD_LEN];
            uint8_t s[PSP_COORD_LEN];
            uint8_t reserved[368];
        };
        uint8_t rsa[PSP_RSA_MAX_LEN];   /* little endian, zero padded */
    };
} PspCertSig;

typedef struct QEMU_PACKED PspCertLayout {
    uint32_t version;
    uint8_t api_major;
    uint8_t api_minor;
    uint16_t reserved;
    uint32_t usage;
    uint32_t algo;
    uint32_t curve;
    uint8_t qx[PSP_COORD_LEN];
    uint8_t qy[PSP_COORD_LEN];
    uint8_t reserved2[880];
    PspCertSig sig[2];
} PspCertLayout;

#define CERT_SIGNED_LEN offsetof(PspCertLayout, sig)

QEMU_BUILD_BUG_ON(sizeof(PspCertLayout) != PSP_CERT_LEN);

/* Followed by exponent, modulus and signature, little endian */
typedef struct QEMU_PACKED PspAmdCertHead {
    uint32_t version;
    uint8_t key_id[PSP_AMD_KEY_ID_LEN];
    uint8_t issuer_id[PSP_AMD_KEY_ID_LEN];
    uint32_t usage;
    uint8_t reserved[16];
    uint32_t exponent_bits;
    uint32_t modulus_bits;
} PspAmdCertHead;

QEMU_BUILD_BUG_ON(sizeof(PspAmdCertHead) != PSP_AMD_CERT_LEN(0));

static void psp_reverse(uint8_t *to, const uint8_t *from, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        to[i] = from[len - 1 - i];
    }
}

void amd_psp_coord_store(uint8_t le[PSP_COORD_LEN],
                         const uint8_t be[PSP_P384_LEN])
{
    memset(le, 0, PSP_COORD_LEN);
    psp_reverse(le, be, PSP_P384_LEN);
}

static bool psp_coord_load(uint8_t be[PSP_P384_LEN],
                           const uint8_t le[PSP_COORD_LEN])
{
    psp_reverse(be, le, PSP_P384_LEN);
    return buffer_is_zero(le + PSP_P384_LEN, PSP_COORD_LEN - PSP_P384_LEN);
}

static PspCertLayout *psp_cert(AmdPspCert *cert)
{
    return (PspCertLayout *)cert->raw;
}

static const PspCertLayout *psp_cert_const(const AmdPspCert *cert)
{
    return (const PspCertLayout *)cert->raw;
}

void amd_psp_cert_fill(AmdPspCert *cert, uint32_t usage, uint32_t algo,
                       const AmdPspEcPoint *pub)
{
    PspCertLayout *c = psp_cert(cert);

    *c = (PspCertLayout) {
        .version = cpu_to_le32(CERT_VERSION),
        .api_major = PSP_API_MAJOR,
        .api_minor = PSP_API_MINOR,
        .usage = cpu_to_le32(usage),
        .algo = cpu_to_le32(algo),
        .curve = cpu_to_le32(CURVE_P384),
    };
    amd_psp_coord_store(c->qx, pub->x);
    amd_psp_coord_store(c->qy, pub->y);
    for (int i = 0; i < 2; i++) {
        c->sig[i].usage = cpu_to_le32(USAGE_INVALID);
        c->sig[i].algo = cpu_to_le32(ALGO_INVALID);
    }
}

void amd_psp_cert_sign(AmdPspCert *cert, unsigned n, uint32_t usage,
                       const AmdPspEcKey *key)
{
    PspCertLayout *c = psp_cert(cert);
    uint8_t digest[PSP_SHA256_LEN];
    AmdPspEcSig sig;

    amd_psp_sha256(digest, c, CERT_SIGNED_LEN);
    amd_psp_ecdsa_sign(&sig, key, digest, sizeof(digest));
    c->sig[n] = (PspCertSig) {
        .usage = cpu_to_le32(usage),
        .algo = cpu_to_le32(ALGO_ECDSA_SHA256),
    };
    amd_psp_coord_store(c->sig[n].r, sig.r);
    amd_psp_coord_store(c->sig[n].s, sig.s);
}

void amd_psp_cert_sign_rsa(AmdPspCert *cert, unsigned n, uint32_t usage,
                           const AmdPspRsaKey *key)
{
    PspCertLayout *c = psp_cert(cert);
    uint8_t sig[PSP_RSA_LEN];

    amd_psp_rsa_sign(sig, key, c, CERT_SIGNED_LEN);
    c->sig[n] = (PspCertSig) {
        .usage = cpu_to_le32(usage),
        .algo = cpu_to_le32(ALGO_RSA_SHA256),
    };
    psp_reverse(c->sig[n].rsa, sig, sizeof(sig));
}

bool amd_psp_cert_pub(const AmdPspCert *cert, AmdPspEcPoint *pub)
{
    const PspCertLayout *c = psp_cert_const(cert);

    return le32_to_cpu(c->version) == CERT_VERSION &&
           le32_to_cpu(c->curve) == CURVE_P384 &&
           psp_coord_load(pub->x, c->qx) && psp_coord_load(pub->y, c->qy);
}

bool amd_psp_cert_is(const AmdPspCert *cert, uint32_t usage, uint32_t algo)
{
    const PspCertLayout *c = psp_cert_const(cert);

    return le32_to_cpu(c->usage) == usage && le32_to_cpu(c->algo) == algo;
}

static bool psp_sig_tidy(const PspCertSig *sig)
{
    switch (le32_to_cpu(sig->algo)) {
    case ALGO_INVALID:
        return le32_to_cpu(sig->usage) == USAGE_INVALID &&
               buffer_is_zero(sig->rsa, sizeof(sig->rsa));
    case ALGO_ECDSA_SHA256:
        return buffer_is_zero(sig->reserved, sizeof(sig->reserved));
    case ALGO_RSA_SHA256:
        return buffer_is_zero(sig->rsa + PSP_RSA_LEN,
                              sizeof(sig->rsa) - PSP_RSA_LEN);
    case ALGO_RSA_SHA384:
        return true;
    default:
        return false;
    }
}

bool amd_psp_cert_tidy(const AmdPspCert *cert)
{
    const PspCertLayout *c = psp_cert_const(cert);

    return psp_sig_tidy(&c->sig[0]) && psp_sig_tidy(&c->sig[1]);
}

unsigned amd_psp_cert_api(const AmdPspCert *cert)
{
    const PspCertLayout *c = psp_cert_const(cert);

    return c->api_major << 8 | c->api_minor;
}

bool amd_psp_cert_verify(const AmdPspCert *cert, uint32_t usage,
                         const AmdPspEcPoint *pub)
{
    const PspCertLayout *c = psp_cert_const(cert);
    uint8_t digest[PSP_SHA256_LEN];
    AmdPspEcSig sig;

    amd_psp_sha256(digest, c, CERT_SIGNED_LEN);
    for (int i = 0; i < 2; i++) {
        if (le32_to_cpu(c->sig[i].usage) == usage &&
            le32_to_cpu(c->sig[i].algo) == ALGO_ECDSA_SHA256 &&
            psp_coord_load(sig.r, c->sig[i].r) &&
            psp_coord_load(sig.s, c->sig[i].s) &&
            amd_psp_ecdsa_verify(&sig, pub, digest, sizeof(digest))) {
            return true;
        }
    }
    return false;
}

static uint32_t psp_rsa_algo(const AmdPspRsaPub *pub)
{
    return pub->len == PSP_RSA_LEN ? ALGO_RSA_SHA256 : ALGO_RSA_SHA384;
}

bool amd_psp_cert_verify_rsa(const AmdPspCert *cert, uint32_t usage,
                             const AmdPspRsaPub *pub)
{
    const PspCertLayout *c = psp_cert_const(cert);
    uint8_t sig[PSP_RSA_MAX_LEN];

    for (int i = 0; i < 2; i++) {
        if (le32_to_cpu(c->sig[i].usage) == usage &&
            le32_to_cpu(c->sig[i].algo) == psp_rsa_algo(pub)) {
            psp_reverse(sig, c->sig[i].rsa, pub->len);
            return amd_psp_rsa_verify(sig, pub, c, CERT_SIGNED_LEN);
        }
    }
    return false;
}

bool amd_psp_cert_dh_key(const AmdPspCert *cert, AmdPspEcPoint *pub)
{
    return (amd_psp_cert_is(cert, USAGE_PDH, ALGO_ECDH_SHA256) ||
            amd_psp_cert_is(cert, USAGE_PDH, ALGO_ECDH_SHA384)) &&
           amd_psp_cert_pub(cert, pub);
}

/* The name of a key; any function of the key will do. */
static void psp_amd_key_id(uint8_t id[PSP_AMD_KEY_ID_LEN],
                           const AmdPspRsaKey *key)
{
    uint8_t digest[PSP_SHA256_LEN];

    amd_psp_sha256(digest, key->pub.n, key->pub.len);
    memcpy(id, digest, PSP_AMD_KEY_ID_LEN);
}

void amd_psp_amd_cert_make(uint8_t *raw, uint32_t usage,
                           const AmdPspRsaKey *key,
                           const AmdPspRsaKey *issuer)
{
    PspAmdCertHead *head = (PspAmdCertHead *)raw;
    uint8_t *e = raw + sizeof(*head), *n = e + PSP_RSA_LEN;
    uint8_t *sig = n + PSP_RSA_LEN, be[PSP_RSA_LEN];

    *head = (PspAmdCertHead) {
        .version = cpu_to_le32(CERT_VERSION),
        .usage = cpu_to_le32(usage),
        .exponent_bits = cpu_to_le32(8 * PSP_RSA_LEN),
        .modulus_bits = cpu_to_le32(8 * PSP_RSA_LEN),
    };
    psp_amd_key_id(head->key_id, key);
    psp_amd_key_id(head->issuer_id, issuer);
    psp_reverse(e, key->pub.e, PSP_RSA_LEN);
    psp_reverse(n, key->pub.n, PSP_RSA_LEN);
    amd_psp_rsa_sign(be, issuer, raw, sig - raw);
    psp_reverse(sig, be, PSP_RSA_LEN);
}

bool amd_psp_amd_cert_parse(AmdPspAmdCert *cert, const uint8_t *raw,
                            size_t len)
{
    const PspAmdCertHead *head = (const PspAmdCertHead *)raw;
    size_t n;

    if (len < sizeof(*head)) {
        return false;
    }
    n = le32_to_cpu(head->modulus_bits) / 8;
    if (le32_to_cpu(head->version) != CERT_VERSION ||
        head->modulus_bits != head->exponent_bits ||
        le32_to_cpu(head->modulus_bits) % 8 ||
        (n != PSP_RSA_LEN && n != PSP_RSA_MAX_LEN) ||
        len < PSP_AMD_CERT_LEN(n)) {
        return false;
    }
    cert->usage = le32_to_cpu(head->usage);
    memcpy(cert->key_id, head->key_id, sizeof(cert->key_id));
    memcpy(cert->issuer_id, head->issuer_id, sizeof(cert->issuer_id));
    cert->pub.len = n;
    psp_reverse(cert->pub.e, raw + sizeof(*head), n);
    psp_reverse(cert->pub.n, raw + sizeof(*head) + n, n);
    cert->raw = raw;
    cert->len = PSP_AMD_CERT_LEN(n);
    return true;
}

/* Both keys of a root are of one length, or the signature would not fit. */
bool amd_psp_amd_cert_verify(const AmdPspAmdCert *cert,
                             const AmdPspAmdCert *issuer)
{
    size_t n = issuer->pub.len;
    uint8_t sig[PSP_RSA_MAX_LEN];

    if (cert->pub.len != n ||
        memcmp(cert->issuer_id, issuer->key_id, sizeof(cert->issuer_id))) {
        return false;
    }
    psp_reverse(sig, cert->raw + cert->len - n, n);
    return amd_psp_rsa_verify(sig, &issuer->pub, cert->raw, cert->len - n);
}
