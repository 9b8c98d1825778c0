/*
 * AMD Platform Security Processor: cryptographic primitives of SEV-SNP
 *
 * What SNP uses beyond amd-psp-crypto.h: SHA-384 for digests and signatures,
 * AES-256-GCM for guest messages. No state, no locks.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_AMD_PSP_SNP_CRYPTO_H
#define HW_MISC_AMD_PSP_SNP_CRYPTO_H

#define PSP_SHA384_LEN 48
#define PSP_GCM_KEY_LEN 32
#define PSP_GCM_IV_LEN 12
#define PSP_GCM_TAG_LEN 16

/* What both ends of a message know beside its text */
typedef struct AmdPspGcm {
    const uint8_t *key;                 /* PSP_GCM_KEY_LEN bytes */
    const uint8_t *iv;                  /* PSP_GCM_IV_LEN bytes; never twice */
    const void *aad;                    /* authenticated, not encrypted */
    size_t aad_len;
} AmdPspGcm;

void amd_psp_sha384(uint8_t out[PSP_SHA384_LEN], const void *data, size_t len);

void amd_psp_gcm_seal(const AmdPspGcm *gcm, const void *text, void *cipher,
                      size_t len, uint8_t tag[PSP_GCM_TAG_LEN]);
/* False, and @text all zero, if @tag is not that of @cipher and the AAD */
bool amd_psp_gcm_open(const AmdPspGcm *gcm, const void *cipher, void *text,
                      size_t len, const uint8_t tag[PSP_GCM_TAG_LEN]);

#endif
