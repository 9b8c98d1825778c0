/*
 * AMD Platform Security Processor: RSA, as in the certificates of AMD's roots
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/guest-random.h"
#include "qapi/error.h"
#include "crypto/hash.h"
#include "amd-psp-crypto.h"
#include <nettle/bignum.h>
#include <nettle/rsa.h>

#define EXPONENT 65537
#define SHA384_LEN 48

static void psp_rsa_random(void *ctx, size_t len, uint8_t *dst)
{
    qemu_guest_getrandom_nofail(dst, len);
}

static void psp_digest(QCryptoHashAlgo algo, uint8_t *out, size_t out_len,
                       const void *data, size_t len)
{
    qcrypto_hash_bytes(algo, data, len, &out, &out_len, &error_abort);
}

/*
 * A prime for candidate number @n. With both of the highest bits set, the
 * product of two such primes has all of its bits.
 */
static void psp_prime(mpz_t prime, const char *label, uint32_t n,
                      const uint8_t secret[PSP_SHA256_LEN])
{
    uint8_t start[PSP_RSA_LEN / 2];
    uint32_t le_n = cpu_to_le32(n);

    amd_psp_kdf(start, sizeof(start), secret, PSP_SHA256_LEN, label, &le_n,
                sizeof(le_n));
    start[0] |= 0xc0;
    nettle_mpz_set_str_256_u(prime, sizeof(start), start);
    mpz_nextprime(prime, prime);
}

static bool psp_rsa_prepare(struct rsa_public_key *pub,
                            struct rsa_private_key *priv,
                            const AmdPspRsaKey *key)
{
    mpz_t m;
    bool ok;

    mpz_init(m);
    rsa_public_key_init(pub);
    rsa_private_key_init(priv);
    nettle_mpz_set_str_256_u(priv->p, sizeof(key->p), key->p);
    nettle_mpz_set_str_256_u(priv->q, sizeof(key->q), key->q);
    mpz_set_ui(pub->e, EXPONENT);
    mpz_mul(pub->n, priv->p, priv->q);
    mpz_sub_ui(m, priv->p, 1);
    ok = mpz_invert(priv->a, pub->e, m);
    mpz_sub_ui(m, priv->q, 1);
    ok = ok && mpz_invert(priv->b, pub->e, m) &&
         mpz_invert(priv->c, priv->q, priv->p) &&
         rsa_public_key_prepare(pub) && rsa_private_key_prepare(priv) &&
         pub->size == PSP_RSA_LEN;
    mpz_clear(m);
    return ok;
}

static void psp_rsa_clear(struct rsa_public_key *pub,
                          struct rsa_private_key *priv)
{
    rsa_public_key_clear(pub);
    rsa_private_key_clear(priv);
}

void amd_psp_rsa_derive(AmdPspRsaKey *key, const char *label,
                        const uint8_t secret[PSP_SHA256_LEN])
{
    struct rsa_public_key pub;
    struct rsa_private_key priv;
    uint32_t n = 0;
    mpz_t prime;
    bool ok;

    memset(key, 0, sizeof(*key));
    key->pub.len = PSP_RSA_LEN;
    mpz_init(prime);
    /* One candidate in some 30000 has no inverse of the exponent. */
    do {
        psp_prime(prime, label, n++, secret);
        nettle_mpz_get_str_256(sizeof(key->p), key->p, prime);
        psp_prime(prime, label, n++, secret);
        nettle_mpz_get_str_256(sizeof(key->q), key->q, prime);
        ok = psp_rsa_prepare(&pub, &priv, key);
        if (ok) {
            nettle_mpz_get_str_256(PSP_RSA_LEN, key->pub.n, pub.n);
            nettle_mpz_get_str_256(PSP_RSA_LEN, key->pub.e, pub.e);
        }
        psp_rsa_clear(&pub, &priv);
    } while (!ok);
    mpz_clear(prime);
}

/* The salt derives from key and data: certificates stay the same. */
bool amd_psp_rsa_sign(uint8_t sig[PSP_RSA_LEN], const AmdPspRsaKey *key,
                      const void *data, size_t len)
{
    uint8_t digest[PSP_SHA256_LEN], salt[PSP_SHA256_LEN];
    struct rsa_public_key pub;
    struct rsa_private_key priv;
    mpz_t s;
    bool ok;

    amd_psp_sha256(digest, data, len);
    amd_psp_hmac(salt, key->p, sizeof(key->p),
                 &(struct iovec){ digest, sizeof(digest) }, 1);
    ok = psp_rsa_prepare(&pub, &priv, key);
    if (ok) {
        mpz_init(s);
        ok = rsa_pss_sha256_sign_digest_tr(&pub, &priv, NULL, psp_rsa_random,
                                           sizeof(salt), salt, digest, s);
        nettle_mpz_get_str_256(PSP_RSA_LEN, sig, s);
        mpz_clear(s);
    }
    psp_rsa_clear(&pub, &priv);
    return ok;
}

static bool psp_rsa_check(const struct rsa_public_key *pub, const mpz_t sig,
                          const void *data, size_t len)
{
    uint8_t digest[SHA384_LEN];

    if (pub->size == PSP_RSA_LEN) {
        psp_digest(QCRYPTO_HASH_ALGO_SHA256, digest, PSP_SHA256_LEN, data,
                   len);
        return rsa_pss_sha256_verify_digest(pub, PSP_SHA256_LEN, digest, sig);
    }
    if (pub->size == PSP_RSA_MAX_LEN) {
        psp_digest(QCRYPTO_HASH_ALGO_SHA384, digest, SHA384_LEN, data, len);
        return rsa_pss_sha384_verify_digest(pub, SHA384_LEN, digest, sig);
    }
    return false;
}

/* The key is a stranger's: an even modulus, for one, would divide by zero. */
bool amd_psp_rsa_verify(const uint8_t *sig, const AmdPspRsaPub *key,
                        const void *data, size_t len)
{
    struct rsa_public_key pub;
    mpz_t s;
    bool ok;

    rsa_public_key_init(&pub);
    mpz_init(s);
    nettle_mpz_set_str_256_u(pub.n, key->len, key->n);
    nettle_mpz_set_str_256_u(pub.e, key->len, key->e);
    nettle_mpz_set_str_256_u(s, key->len, sig);
    ok = mpz_odd_p(pub.n) && mpz_odd_p(pub.e) && mpz_cmp_ui(pub.e, 3) >= 0 &&
         rsa_public_key_prepare(&pub) && pub.size == key->len &&
         psp_rsa_check(&pub, s, data, len);
    mpz_clear(s);
    rsa_public_key_clear(&pub);
    return ok;
}
