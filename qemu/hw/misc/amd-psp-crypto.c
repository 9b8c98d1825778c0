/*
 * AMD Platform Security Processor: cryptographic primitives
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/guest-random.h"
#include "qemu/iov.h"
#include "qapi/error.h"
#include "crypto/cipher.h"
#include "crypto/hash.h"
#include "crypto/hmac.h"
#include "amd-psp-crypto.h"
#include <nettle/bignum.h>
#include <nettle/dsa.h>
#include <nettle/ecc.h>
#include <nettle/ecc-curve.h>
#include <nettle/ecdsa.h>
#include <nettle/memops.h>

/*
 * None of the failures behind error_abort can be provoked by a guest or a
 * host kernel: they would mean that QEMU was built without AES or SHA-256.
 */

void amd_psp_sha256(uint8_t out[PSP_SHA256_LEN], const void *data, size_t len)
{
    size_t out_len = PSP_SHA256_LEN;

    qcrypto_hash_bytes(QCRYPTO_HASH_ALGO_SHA256, data, len, &out, &out_len,
                       &error_abort);
}

void amd_psp_hmac(uint8_t out[PSP_SHA256_LEN], const uint8_t *key,
                  size_t key_len, const struct iovec *iov, size_t niov)
{
    g_autoptr(QCryptoHmac) hmac = qcrypto_hmac_new(QCRYPTO_HASH_ALGO_SHA256,
                                                   key, key_len, &error_abort);
    size_t out_len = PSP_SHA256_LEN;

    qcrypto_hmac_bytesv(hmac, iov, niov, &out, &out_len, &error_abort);
}

bool amd_psp_mac_equal(const uint8_t a[PSP_SHA256_LEN],
                       const uint8_t b[PSP_SHA256_LEN])
{
    return memeql_sec(a, b, PSP_SHA256_LEN);
}

void amd_psp_aes_ctr(const uint8_t key[PSP_AES_LEN],
                     const uint8_t iv[PSP_AES_LEN],
                     const void *in, void *out, size_t len)
{
    g_autoptr(QCryptoCipher) aes =
        qcrypto_cipher_new(QCRYPTO_CIPHER_ALGO_AES_128,
                           QCRYPTO_CIPHER_MODE_CTR, key, PSP_AES_LEN,
                           &error_abort);

    qcrypto_cipher_setiv(aes, iv, PSP_AES_LEN, &error_abort);
    qcrypto_cipher_encrypt(aes, in, out, len, &error_abort);
}

void amd_psp_kdf(uint8_t *out, size_t out_len,
                 const uint8_t *key, size_t key_len, const char *label,
                 const void *context, size_t context_len)
{
    uint32_t bits = cpu_to_le32(out_len * 8);
    uint8_t zero = 0;
    uint8_t block[PSP_SHA256_LEN];

    for (uint32_t i = 1; out_len; i++) {
        uint32_t counter = cpu_to_le32(i);
        struct iovec iov[] = {
            { &counter, sizeof(counter) },
            { (void *)label, strlen(label) },
            { &zero, sizeof(zero) },
            { (void *)context, context_len },
            { &bits, sizeof(bits) },
        };
        size_t n = MIN(out_len, sizeof(block));

        amd_psp_hmac(block, key, key_len, iov, ARRAY_SIZE(iov));
        memcpy(out, block, n);
        out += n;
        out_len -= n;
    }
}

static void psp_nettle_random(void *ctx, size_t len, uint8_t *dst)
{
    qemu_guest_getrandom_nofail(dst, len);
}

static bool psp_point_load(struct ecc_point *p, const AmdPspEcPoint *from)
{
    mpz_t x, y;
    bool ok;

    nettle_mpz_init_set_str_256_u(x, PSP_P384_LEN, from->x);
    nettle_mpz_init_set_str_256_u(y, PSP_P384_LEN, from->y);
    ecc_point_init(p, nettle_get_secp_384r1());
    /* The curve has no point with x = y = 0, so zeroes fail here, too. */
    ok = ecc_point_set(p, x, y);
    mpz_clears(x, y, NULL);
    if (!ok) {
        ecc_point_clear(p);
    }
    return ok;
}

static void psp_point_store(AmdPspEcPoint *to, const struct ecc_point *p)
{
    mpz_t x, y;

    mpz_inits(x, y, NULL);
    ecc_point_get(p, x, y);
    nettle_mpz_get_str_256(PSP_P384_LEN, to->x, x);
    nettle_mpz_get_str_256(PSP_P384_LEN, to->y, y);
    mpz_clears(x, y, NULL);
}

static bool psp_scalar_load(struct ecc_scalar *k, const uint8_t *from)
{
    mpz_t d;
    bool ok;

    nettle_mpz_init_set_str_256_u(d, PSP_P384_LEN, from);
    ecc_scalar_init(k, nettle_get_secp_384r1());
    ok = ecc_scalar_set(k, d);
    mpz_clear(d);
    if (!ok) {
        ecc_scalar_clear(k);
    }
    return ok;
}

bool amd_psp_ec_derive_public(AmdPspEcKey *key)
{
    struct ecc_scalar d;
    struct ecc_point p;

    if (!psp_scalar_load(&d, key->d)) {
        return false;
    }
    ecc_point_init(&p, nettle_get_secp_384r1());
    ecc_point_mul_g(&p, &d);
    psp_point_store(&key->pub, &p);
    ecc_point_clear(&p);
    ecc_scalar_clear(&d);
    return true;
}

void amd_psp_ec_generate(AmdPspEcKey *key)
{
    do {
        qemu_guest_getrandom_nofail(key->d, sizeof(key->d));
    } while (!amd_psp_ec_derive_public(key));
}

bool amd_psp_ecdh(uint8_t secret[PSP_P384_LEN], const AmdPspEcKey *key,
                  const AmdPspEcPoint *peer)
{
    struct ecc_scalar d;
    struct ecc_point p;
    AmdPspEcPoint shared;

    if (!psp_point_load(&p, peer)) {
        return false;
    }
    if (!psp_scalar_load(&d, key->d)) {
        ecc_point_clear(&p);
        return false;
    }
    ecc_point_mul(&p, &d, &p);
    psp_point_store(&shared, &p);
    memcpy(secret, shared.x, PSP_P384_LEN);
    ecc_point_clear(&p);
    ecc_scalar_clear(&d);
    return true;
}

bool amd_psp_ecdsa_sign(AmdPspEcSig *sig, const AmdPspEcKey *key,
                        const uint8_t *digest, size_t digest_len)
{
    struct ecc_scalar d;
    struct dsa_signature rs;

    if (!psp_scalar_load(&d, key->d)) {
        return false;
    }
    dsa_signature_init(&rs);
    ecdsa_sign(&d, NULL, psp_nettle_random, digest_len, digest, &rs);
    nettle_mpz_get_str_256(PSP_P384_LEN, sig->r, rs.r);
    nettle_mpz_get_str_256(PSP_P384_LEN, sig->s, rs.s);
    dsa_signature_clear(&rs);
    ecc_scalar_clear(&d);
    return true;
}

bool amd_psp_ecdsa_verify(const AmdPspEcSig *sig, const AmdPspEcPoint *pub,
                          const uint8_t *digest, size_t digest_len)
{
    struct ecc_point p;
    struct dsa_signature rs;
    bool ok;

    if (!psp_point_load(&p, pub)) {
        return false;
    }
    dsa_signature_init(&rs);
    nettle_mpz_set_str_256_u(rs.r, PSP_P384_LEN, sig->r);
    nettle_mpz_set_str_256_u(rs.s, PSP_P384_LEN, sig->s);
    ok = ecdsa_verify(&p, digest_len, digest, &rs);
    dsa_signature_clear(&rs);
    ecc_point_clear(&p);
    return ok;
}
