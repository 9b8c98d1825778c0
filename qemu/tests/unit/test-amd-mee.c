/*
 * Unit test of the AMD memory encryption engine's cipher
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "crypto/init.h"
#include "qapi/error.h"
#include "hw/i386/amd-mee-cipher.h"

static const uint8_t key_a[AMD_MEE_KEY_SIZE] =
    "the data key   .the tweak key  .";
static const uint8_t key_b[AMD_MEE_KEY_SIZE] =
    "another key    .another tweak  .";

static void fill(uint8_t *page)
{
    for (int i = 0; i < MEE_PAGE_SIZE; i++) {
        page[i] = i * 7 + (i >> 8);
    }
}

static int blocks_that_differ(const uint8_t *a, const uint8_t *b)
{
    int n = 0;

    for (int i = 0; i < MEE_PAGE_SIZE; i += 16) {
        n += !!memcmp(a + i, b + i, 16);
    }
    return n;
}

static void test_round_trip(void)
{
    MeeCipher *c = mee_cipher_new(key_a);
    uint8_t plain[MEE_PAGE_SIZE], page[MEE_PAGE_SIZE];

    fill(plain);
    memcpy(page, plain, sizeof(page));
    mee_cipher_encrypt(c, 0x123456000, page);
    g_assert_cmpint(blocks_that_differ(page, plain), ==, MEE_PAGE_SIZE / 16);
    mee_cipher_decrypt(c, 0x123456000, page);
    g_assert_cmpmem(page, sizeof(page), plain, sizeof(plain));
    mee_cipher_free(c);
}

/* The same content at another address or under another key looks different. */
static void test_tweak_and_key(void)
{
    MeeCipher *a = mee_cipher_new(key_a), *b = mee_cipher_new(key_b);
    uint8_t here[MEE_PAGE_SIZE], there[MEE_PAGE_SIZE], other[MEE_PAGE_SIZE];

    fill(here);
    fill(there);
    fill(other);
    mee_cipher_encrypt(a, 0x1000, here);
    mee_cipher_encrypt(a, 0x2000, there);
    mee_cipher_encrypt(b, 0x1000, other);
    g_assert_cmpint(blocks_that_differ(here, there), ==, MEE_PAGE_SIZE / 16);
    g_assert_cmpint(blocks_that_differ(here, other), ==, MEE_PAGE_SIZE / 16);
    mee_cipher_free(a);
    mee_cipher_free(b);
}

/* A raw write of one byte garbles its block of 16 bytes and no other. */
static void test_raw_write(void)
{
    MeeCipher *c = mee_cipher_new(key_a);
    uint8_t plain[MEE_PAGE_SIZE], page[MEE_PAGE_SIZE];

    fill(plain);
    memcpy(page, plain, sizeof(page));
    mee_cipher_encrypt(c, 0x1000, page);
    page[0x123] ^= 1;
    mee_cipher_decrypt(c, 0x1000, page);
    g_assert_cmpint(blocks_that_differ(page, plain), ==, 1);
    g_assert_cmpint(memcmp(page + 0x120, plain + 0x120, 16), !=, 0);
    mee_cipher_free(c);
}

/* The check value of CRC-64/XZ, which has the same parameters. */
static void test_crc(void)
{
    uint8_t buf[AMD_MEE_VMSA_CRC_BYTES] = { 0 };
    uint64_t crc;

    g_assert_cmphex(mee_crc64((const uint8_t *)"123456789", 9), ==,
                    0x995dc9bbdf1939faull);
    crc = mee_crc64(buf, sizeof(buf));
    for (int i = 0; i < sizeof(buf); i += 61) {
        buf[i] ^= 0x10;
        g_assert_cmphex(mee_crc64(buf, sizeof(buf)), !=, crc);
        buf[i] ^= 0x10;
    }
}

static void test_speed(void)
{
    MeeCipher *c = mee_cipher_new(key_a);
    uint8_t page[MEE_PAGE_SIZE];
    const int rounds = 20000;
    double encrypt, crc;

    fill(page);
    g_test_timer_start();
    for (int i = 0; i < rounds; i++) {
        mee_cipher_encrypt(c, i << MEE_PAGE_BITS, page);
    }
    encrypt = g_test_timer_elapsed();
    g_test_timer_start();
    for (int i = 0; i < rounds; i++) {
        page[0] = mee_crc64(page, AMD_MEE_VMSA_CRC_BYTES);
    }
    crc = g_test_timer_elapsed();
    g_test_message("page: %.2f us, VMSA checksum: %.2f us",
                   encrypt / rounds * 1e6, crc / rounds * 1e6);
    mee_cipher_free(c);
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qcrypto_init(&error_abort);
    g_test_add_func("/amd-mee/round-trip", test_round_trip);
    g_test_add_func("/amd-mee/tweak-and-key", test_tweak_and_key);
    g_test_add_func("/amd-mee/raw-write", test_raw_write);
    g_test_add_func("/amd-mee/crc", test_crc);
    if (g_test_perf()) {
        g_test_add_func("/amd-mee/speed", test_speed);
    }
    return g_test_run();
}
