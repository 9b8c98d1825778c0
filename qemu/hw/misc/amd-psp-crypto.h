/*
 * AMD Platform Security Processor: cryptographic primitives
 *
 * Thin wrappers around QEMU's crypto layer and nettle's elliptic curves and
 * RSA, in the shapes that the SEV API uses. No state, no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_AMD_PSP_CRYPTO_H
#define HW_MISC_AMD_PSP_CRYPTO_H

#define PSP_SHA256_LEN 32
#define PSP_AES_LEN 16
#define PSP_P384_LEN 48

/* All integers are big endian, as in SEC 1 and PKCS #1. */
typedef struct AmdPspEcPoint {
    uint8_t x[PSP_P384_LEN];
    uint8_t y[PSP_P384_LEN];
} AmdPspEcPoint;

typedef struct AmdPspEcKey {
    uint8_t d[PSP_P384_LEN];
    AmdPspEcPoint pub;
} AmdPspEcKey;

typedef struct AmdPspEcSig {
    uint8_t r[PSP_P384_LEN];
    uint8_t s[PSP_P384_LEN];
} AmdPspEcSig;

void amd_psp_sha256(uint8_t out[PSP_SHA256_LEN], const void *data, size_t len);

/* HMAC-SHA256 over the concatenation of @iov */
void amd_psp_hmac(uint8_t out[PSP_SHA256_LEN], const uint8_t *key,
                  size_t key_len, const struct iovec *iov, size_t niov);

/* In constant time */
bool amd_psp_mac_equal(const uint8_t a[PSP_SHA256_LEN],
                       const uint8_t b[PSP_SHA256_LEN]);

/* AES-128 in counter mode; @len is a multiple of 16; in place is allowed */
void amd_psp_aes_ctr(const uint8_t key[PSP_AES_LEN],
                     const uint8_t iv[PSP_AES_LEN],
                     const void *in, void *out, size_t len);

/* NIST SP 800-108 KDF in counter mode, HMAC-SHA256, as the SEV API uses it */
void amd_psp_kdf(uint8_t *out, size_t out_len,
                 const uint8_t *key, size_t key_len, const char *label,
                 const void *context, size_t context_len);

void amd_psp_ec_generate(AmdPspEcKey *key);
/* Complete @key from its private part; false if @key->d is out of range */
bool amd_psp_ec_derive_public(AmdPspEcKey *key);
/* False if @peer is not on the curve */
bool amd_psp_ecdh(uint8_t secret[PSP_P384_LEN], const AmdPspEcKey *key,
                  const AmdPspEcPoint *peer);
/* @digest: of SHA-256 or SHA-384 */
bool amd_psp_ecdsa_sign(AmdPspEcSig *sig, const AmdPspEcKey *key,
                        const uint8_t *digest, size_t digest_len);
bool amd_psp_ecdsa_verify(const AmdPspEcSig *sig, const AmdPspEcPoint *pub,
                          const uint8_t *digest, size_t digest_len);

/*
 * RSA, amd-psp-rsa.c. Signatures are RSASSA-PSS, with SHA-256 for keys of
 * 2048 bits and SHA-384 for keys of 4096 bits, the salt as long as the hash.
 * Other lengths of keys are nobody's: nothing verifies under them.
 */
#define PSP_RSA_LEN 256                 /* of the keys that we make */
#define PSP_RSA_MAX_LEN 512

typedef struct AmdPspRsaPub {
    size_t len;                         /* bytes used of n, e, signatures */
    uint8_t n[PSP_RSA_MAX_LEN];
    uint8_t e[PSP_RSA_MAX_LEN];
} AmdPspRsaPub;

typedef struct AmdPspRsaKey {
    AmdPspRsaPub pub;
    uint8_t p[PSP_RSA_LEN / 2];
    uint8_t q[PSP_RSA_LEN / 2];
} AmdPspRsaKey;

/* The same key for the same @secret and @label, always */
void amd_psp_rsa_derive(AmdPspRsaKey *key, const char *label,
                        const uint8_t secret[PSP_SHA256_LEN]);
/* The same signature for the same key and data */
bool amd_psp_rsa_sign(uint8_t sig[PSP_RSA_LEN], const AmdPspRsaKey *key,
                      const void *data, size_t len);
bool amd_psp_rsa_verify(const uint8_t *sig, const AmdPspRsaPub *pub,
                        const void *data, size_t len);

#endif
