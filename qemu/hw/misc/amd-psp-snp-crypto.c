/*
 * AMD Platform Security Processor: cryptographic primitives of SEV-SNP
 *
 * GCM comes from nettle, because QEMU's crypto layer has no such mode.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qapi/error.h"
#include "crypto/hash.h"
#include "amd-psp-snp-crypto.h"
#include <nettle/gcm.h>
#include <nettle/memops.h>

void amd_psp_sha384(uint8_t out[PSP_SHA384_LEN], const void *data, size_t len)
{
    size_t out_len = PSP_SHA384_LEN;

    qcrypto_hash_bytes(QCRYPTO_HASH_ALGO_SHA384, data, len, &out, &out_len,
                       &error_abort);
}

static void psp_gcm_begin(struct gcm_aes256_ctx *ctx, const AmdPspGcm *gcm)
{
    gcm_aes256_set_key(ctx, gcm->key);
    gcm_aes256_set_iv(ctx, PSP_GCM_IV_LEN, gcm->iv);
    gcm_aes256_update(ctx, gcm->aad_len, gcm->aad);
}

void amd_psp_gcm_seal(const AmdPspGcm *gcm, const void *text, void *cipher,
                      size_t len, uint8_t tag[PSP_GCM_TAG_LEN])
{
    struct gcm_aes256_ctx ctx;

    psp_gcm_begin(&ctx, gcm);
    gcm_aes256_encrypt(&ctx, len, cipher, text);
    gcm_aes256_digest(&ctx, PSP_GCM_TAG_LEN, tag);
}

bool amd_psp_gcm_open(const AmdPspGcm *gcm, const void *cipher, void *text,
                      size_t len, const uint8_t tag[PSP_GCM_TAG_LEN])
{
    struct gcm_aes256_ctx ctx;
    uint8_t right[PSP_GCM_TAG_LEN];

    psp_gcm_begin(&ctx, gcm);
    gcm_aes256_decrypt(&ctx, len, text, cipher);
    gcm_aes256_digest(&ctx, PSP_GCM_TAG_LEN, right);
    if (!memeql_sec(right, tag, PSP_GCM_TAG_LEN)) {
        memset(text, 0, len);
        return false;
    }
    return true;
}
