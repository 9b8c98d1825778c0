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
    QCryptoCipher *data;
    QCryptoCipher *tweak;
};

/* The mode is done here, as a page at a time is what a cipher is fast with. */
static QCryptoCipher *new_aes(const uint8_t *key)
{
    return qcrypto_cipher_new(QCRYPTO_CIPHER_ALGO_AES_128,
                              QCRYPTO_CIPHER_MODE_ECB, key,
                              AMD_MEE_KEY_SIZE / 2, &error_abort);
}

MeeCipher *mee_cipher_new(const uint8_t key[AMD_MEE_KEY_SIZE])
{
    MeeCipher *c = g_new0(MeeCipher, 1);

    c->data = new_aes(key);
    c->tweak = new_aes(key + AMD_MEE_KEY_SIZE / 2);
    return c;
}

void mee_cipher_free(MeeCipher *c)
{
    if (c) {
        qcrypto_cipher_free(c->data);
        qcrypto_cipher_free(c->tweak);
        g_free(c);
    }
}

#define PAGE_WORDS (MEE_PAGE_SIZE / sizeof(uint64_t))

/* For each block, the one before times x in GF(2^128) */
static void make_tweaks(MeeCipher *c, hwaddr pa, uint64_t *tweaks)
{
    uint64_t unit[2] = { cpu_to_le64(pa >> MEE_PAGE_BITS) };
    uint64_t low, high;

    qcrypto_cipher_encrypt(c->tweak, unit, unit, sizeof(unit), &error_abort);
    low = le64_to_cpu(unit[0]);
    high = le64_to_cpu(unit[1]);
    for (int i = 0; i < PAGE_WORDS; i += 2) {
        uint64_t carry = high >> 63;

        tweaks[i] = cpu_to_le64(low);
        tweaks[i + 1] = cpu_to_le64(high);
        high = high << 1 | low >> 63;
        low = low << 1 ^ carry * 0x87;
    }
}

static void add_tweaks(uint8_t *page, const uint64_t *tweaks)
{
    for (int i = 0; i < PAGE_WORDS; i++) {
        stq_he_p(page + 8 * i, ldq_he_p(page + 8 * i) ^ tweaks[i]);
    }
}

void mee_cipher_encrypt(MeeCipher *c, hwaddr pa, uint8_t *page)
{
    uint64_t tweaks[PAGE_WORDS];

    make_tweaks(c, pa, tweaks);
    add_tweaks(page, tweaks);
    qcrypto_cipher_encrypt(c->data, page, page, MEE_PAGE_SIZE, &error_abort);
    add_tweaks(page, tweaks);
}

void mee_cipher_decrypt(MeeCipher *c, hwaddr pa, uint8_t *page)
{
    uint64_t tweaks[PAGE_WORDS];

    make_tweaks(c, pa, tweaks);
    add_tweaks(page, tweaks);
    qcrypto_cipher_decrypt(c->data, page, page, MEE_PAGE_SIZE, &error_abort);
    add_tweaks(page, tweaks);
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
