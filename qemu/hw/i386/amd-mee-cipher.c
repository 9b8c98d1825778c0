/*
 * AMD memory encryption engine: the cipher of one key, and the VMSA checksum
 *
 * AES-128 in XTS mode, one XTS data unit per page with the page's address as
 * its number.  Silicon uses AES-128 with a tweak made of the address; which
 * one is not documented, and no software can depend on it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "crypto/cipher.h"
#include "hw/i386/amd-mee-cipher.h"

struct MeeCipher {
    QCryptoCipher *xts;
};

MeeCipher *mee_cipher_new(const uint8_t key[AMD_MEE_KEY_SIZE])
{
    MeeCipher *c = g_new0(MeeCipher, 1);

    c->xts = qcrypto_cipher_new(QCRYPTO_CIPHER_ALGO_AES_128,
                                QCRYPTO_CIPHER_MODE_XTS,
                                key, AMD_MEE_KEY_SIZE, &error_abort);
    return c;
}

void mee_cipher_free(MeeCipher *c)
{
    if (c) {
        qcrypto_cipher_free(c->xts);
        g_free(c);
    }
}

static void set_tweak(MeeCipher *c, hwaddr pa)
{
    uint8_t iv[16] = { 0 };

    stq_le_p(iv, pa >> MEE_PAGE_BITS);
    qcrypto_cipher_setiv(c->xts, iv, sizeof(iv), &error_abort);
}

void mee_cipher_encrypt(MeeCipher *c, hwaddr pa, uint8_t *page)
{
    set_tweak(c, pa);
    qcrypto_cipher_encrypt(c->xts, page, page, MEE_PAGE_SIZE, &error_abort);
}

void mee_cipher_decrypt(MeeCipher *c, hwaddr pa, uint8_t *page)
{
    set_tweak(c, pa);
    qcrypto_cipher_decrypt(c->xts, page, page, MEE_PAGE_SIZE, &error_abort);
}

/* CRC-64 with ECMA-182's polynomial, eight bytes a step */
#define CRC64_POLY_REFLECTED 0xc96c5795d7870f42ull

static uint64_t crc64_table[8][256];

static void crc64_init(void)
{
    for (int i = 0; i < 256; i++) {
        uint64_t crc = i;

        for (int bit = 0; bit < 8; bit++) {
            crc = (crc >> 1) ^ (crc & 1 ? CRC64_POLY_REFLECTED : 0);
        }
        crc64_table[0][i] = crc;
    }
    for (int i = 0; i < 256; i++) {
        for (int slice = 1; slice < 8; slice++) {
            uint64_t crc = crc64_table[slice - 1][i];

            crc64_table[slice][i] = crc64_table[0][crc & 0xff] ^ (crc >> 8);
        }
    }
}

uint64_t mee_crc64(const uint8_t *buf, size_t len)
{
    static gsize once;
    uint64_t crc = ~0ull;

    if (g_once_init_enter(&once)) {
        crc64_init();
        g_once_init_leave(&once, 1);
    }
    for (; len >= 8; buf += 8, len -= 8) {
        uint64_t word = crc ^ ldq_le_p(buf);

        crc = 0;
        for (int i = 0; i < 8; i++) {
            crc ^= crc64_table[7 - i][(word >> (8 * i)) & 0xff];
        }
    }
    for (; len; buf++, len--) {
        crc = crc64_table[0][(crc ^ *buf) & 0xff] ^ (crc >> 8);
    }
    return ~crc;
}
