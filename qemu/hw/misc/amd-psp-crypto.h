/*
 * AMD Platform Security Processor: cryptographic primitives
 *
 * Thin wrappers around QEMU's crypto layer and nettle's elliptic curves, in
 * the shapes that the SEV API uses. No state, no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_AMD_PSP_CRYPTO_H
#define HW_MISC_AMD_PSP_CRYPTO_H

#define PSP_SHA256_LEN 32
#define PSP_AES_LEN 16
#define PSP_P384_LEN 48

/* All integers are big endian, as in SEC 1. */
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

#endif
