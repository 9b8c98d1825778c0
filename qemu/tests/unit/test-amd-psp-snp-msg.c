/*
 * Unit test of the messages between SNP guests and the AMD secure processor
 *
 * Constants come from another implementation (python-cryptography) or the
 * standards.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "crypto/init.h"
#include "qapi/error.h"
#include "amd-psp-snp-guest.h"

/* A processor with one feature in leaf 1 */
void amd_psp_snp_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    memset(r, 0, 4 * sizeof(r[0]));
    if (leaf == 1) {
        r[2] = 1;
    }
}

static void make_report(uint8_t *page, unsigned vmpck)
{
    uint8_t req[REPORT_REQ_SIZE] = { 1, 2, 3 };

    stl_le_p(req + 0x40, vmpck);
    make(page, REPORT_REQ, vmpck, req, sizeof(req));
}

/* --- primitives */

static void test_vectors(void)
{
    uint8_t key[32], iv[12], aad[20], text[60], out[60], tag[16], digest[48];
    AmdPspGcm gcm = { key, iv, aad, sizeof(aad) };

    amd_psp_sha384(digest, "abc", 3);
    ASSERT_HEX(digest, "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605"
                       "a43ff5bed8086072ba1e7cc2358baeca134c825a7");
    unhex(key, "feffe9928665731c6d6a8f9467308308"
               "feffe9928665731c6d6a8f9467308308");
    unhex(iv, "cafebabefacedbaddecaf888");
    unhex(aad, "feedfacedeadbeeffeedfacedeadbeefabaddad2");
    unhex(text, "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a"
                "721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
    amd_psp_gcm_seal(&gcm, text, out, sizeof(text), tag);
    ASSERT_HEX(out, "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd255"
                    "5d1aa8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f6"
                    "62");
    ASSERT_HEX(tag, "76fc6ece0f4e1768cddf8853bb2d551b");
    g_assert_true(amd_psp_gcm_open(&gcm, out, out, sizeof(out), tag));
    g_assert_cmpmem(out, sizeof(out), text, sizeof(text));
    tag[15] ^= 0x80;
    g_assert_false(amd_psp_gcm_open(&gcm, out, out, sizeof(out), tag));
    g_assert_true(buffer_is_zero(out, sizeof(out)));
}

/* --- the way of a message */

/* A page that another implementation has made */
static void test_foreign_request(void)
{
    uint8_t page[PAGE] = {}, resp[PAGE];

    setup();
    unhex(page, "e084cefea859f312d5ece4214e87ba8b");
    unhex(page + 0x20, "0100000000000000");
    unhex(page + 0x30, "01016000050160000000000000");
    unhex(page + 0x60, "9922ce0f9f144827a2cde302553f8b81e92b4b1241d6a5f944affd46"
                       "c50f696b3084ae27fe79c9184a54d18c4c8fa50877d899737052eabf"
                       "a8a40dd32c4e6e09698e56052fac4eef18d9e0d39e63c6282c361d17"
                       "4f331d4f54d47b39672e0bcb");
    g_assert_cmphex(send_page(page, resp), ==, PSP_SUCCESS);
    check_reply(resp, 2, REPORT_REQ + 1, REPORT_RSP_SIZE, 0);
    open_page(resp, 0, REPORT_RSP_SIZE);
    g_assert_cmphex(ldl_le_p(resp + HDR), ==, PSP_SUCCESS);
    for (int i = 0; i < 64; i++) {
        g_assert_cmphex(resp[HDR + 0x20 + 0x50 + i], ==, i);
    }
}

/* What the firmware says to a request whose byte @at has been changed */
static AmdPspStatus refusal(const uint8_t *page, unsigned at)
{
    if (at < 0x10 || at >= HDR) {
        return PSP_BAD_MEASUREMENT;     /* tag, payload */
    }
    if (at >= 0x20 && at < 0x28) {
        return PSP_AEAD_OFLOW;          /* sequence number */
    }
    if (at == 0x34 && page[at] == CPUID_REQ) {
        return PSP_BAD_MEASUREMENT;     /* a good type, not the one sealed */
    }
    if (at == 0x3c && page[at] < 4) {
        return PSP_BAD_MEASUREMENT;     /* a good key, not the one used */
    }
    return PSP_INVALID_PARAM;
}

static void test_every_bit(void)
{
    uint8_t page[PAGE], resp[PAGE];

    setup();
    make_report(page, 0);
    seal(page, 0, REPORT_REQ_SIZE);
    for (unsigned bit = 0; bit < (HDR + REPORT_REQ_SIZE) * 8; bit++) {
        page[bit / 8] ^= 1 << bit % 8;
        g_assert_cmphex(send_page(page, resp), ==, refusal(page, bit / 8));
        page[bit / 8] ^= 1 << bit % 8;
    }
    page[HDR + REPORT_REQ_SIZE] ^= 1;   /* behind the message: no part of it */
    g_assert_cmphex(send_page(page, resp), ==, PSP_SUCCESS);
}

/* The holder of the key may not send such headers either. */
static void test_header_fields(void)
{
    static const struct {
        unsigned at, len;
        uint64_t value;
    } bad[] = {
        { 0x10, 1, 1 }, { 0x1f, 1, 1 }, { 0x28, 8, 1 },
        { 0x30, 1, 0 }, { 0x30, 1, 2 }, { 0x31, 1, 0 }, { 0x31, 1, 2 },
        { 0x32, 2, 0x40 }, { 0x32, 2, 0x61 }, { 0x35, 1, 0 }, { 0x35, 1, 2 },
        { 0x36, 2, 0 }, { 0x36, 2, 0x5f }, { 0x36, 2, 0x61 },
        { 0x36, 2, 0xfa0 }, { 0x36, 2, 0xfa1 }, { 0x36, 2, 0xffff },
        { 0x38, 4, 1 }, { 0x3c, 1, 4 }, { 0x3c, 1, 0xff },
        { 0x3d, 1, 1 }, { 0x5f, 1, 1 },
    };
    uint8_t page[PAGE], resp[PAGE];

    setup();
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        make_report(page, 0);
        stn_le_p(page + bad[i].at, bad[i].len, bad[i].value);
        seal(page, 0, REPORT_REQ_SIZE);
        /* The tag has room for 32 bytes, and sealing wrote 16. */
        g_assert_cmphex(send_page(page, resp), ==, PSP_INVALID_PARAM);
    }
    make_report(page, 0);
    seal(page, 0, REPORT_REQ_SIZE);
    g_assert_cmphex(send_page(page, resp), ==, PSP_SUCCESS);
}

/* Of all types, only three requests are answered. */
static void test_types(void)
{
    uint8_t page[PAGE], resp[PAGE], payload[PAGE - HDR] = {};

    setup();
    for (int type = 0; type < 256; type++) {
        size_t size = type == CPUID_REQ ? 0x10 : type == KEY_REQ ? KEY_REQ_SIZE
                                                : REPORT_REQ_SIZE;
        bool known = type == CPUID_REQ || type == KEY_REQ || type == REPORT_REQ;

        make(page, type, 0, payload, size);
        seal(page, 0, size);
        g_assert_cmphex(send_page(page, resp), ==,
                        known ? PSP_SUCCESS : PSP_INVALID_PARAM);
    }
}

static void test_sizes(void)
{
    static const struct {
        uint8_t type;
        uint16_t size;
    } bad[] = {
        { CPUID_REQ, 0 }, { CPUID_REQ, 0xf }, { KEY_REQ, 0 }, { KEY_REQ, 0x1f },
        { KEY_REQ, 0x21 }, { KEY_REQ, 0x28 }, { REPORT_REQ, 0x50 },
    };
    uint8_t page[PAGE], resp[PAGE], payload[0x60] = {};

    setup();
    for (int i = 0; i < ARRAY_SIZE(bad); i++) {
        make(page, bad[i].type, 0, payload, bad[i].size);
        seal(page, 0, bad[i].size);
        g_assert_cmphex(send_page(page, resp), ==, PSP_INVALID_PARAM);
    }
}

static AmdPspStatus send_numbered(unsigned vmpck, uint64_t seqno)
{
    uint8_t page[PAGE], resp[PAGE];

    make_report(page, vmpck);
    stq_le_p(page + 0x20, seqno);
    seal(page, vmpck, REPORT_REQ_SIZE);
    return send_page(page, resp);
}

static void test_sequence(void)
{
    setup();
    g_assert_cmphex(send_numbered(0, 0), ==, PSP_AEAD_OFLOW);
    g_assert_cmphex(send_numbered(0, 2), ==, PSP_AEAD_OFLOW);
    g_assert_cmphex(send_numbered(0, 1), ==, PSP_SUCCESS);
    g_assert_cmphex(send_numbered(0, 1), ==, PSP_AEAD_OFLOW);
    g_assert_cmphex(send_numbered(0, 2), ==, PSP_AEAD_OFLOW);
    g_assert_cmphex(send_numbered(0, 4), ==, PSP_AEAD_OFLOW);
    g_assert_cmphex(send_numbered(0, 5), ==, PSP_AEAD_OFLOW);
    g_assert_cmphex(send_numbered(0, 3), ==, PSP_SUCCESS);
    /* Each VMPCK has a count of its own. */
    g_assert_cmphex(send_numbered(3, 5), ==, PSP_AEAD_OFLOW);
    g_assert_cmphex(send_numbered(3, 1), ==, PSP_SUCCESS);
    g_assert_cmphex(send_numbered(0, 5), ==, PSP_SUCCESS);
    g_assert_cmpuint(guest.msg_seqno[0], ==, 6);
    g_assert_cmpuint(guest.msg_seqno[1], ==, 0);
    g_assert_cmpuint(guest.msg_seqno[3], ==, 2);
}

/* The last number is the last reply's. */
static void test_sequence_end(void)
{
    setup();
    guest.msg_seqno[2] = UINT64_MAX - 2;
    g_assert_cmphex(send_numbered(2, UINT64_MAX - 1), ==, PSP_SUCCESS);
    g_assert_cmphex(send_numbered(2, 0), ==, PSP_AEAD_OFLOW);
    guest.msg_seqno[2] = UINT64_MAX - 1;
    g_assert_cmphex(send_numbered(2, UINT64_MAX), ==, PSP_AEAD_OFLOW);
}

/* A recorded request, played back unchanged when it was answered */
static void test_replay(void)
{
    uint8_t page[PAGE], first[PAGE], second[PAGE];

    setup();
    make_report(page, 1);
    seal(page, 1, REPORT_REQ_SIZE);
    g_assert_cmphex(send_page(page, first), ==, PSP_SUCCESS);
    g_assert_cmphex(send_page(page, second), ==, PSP_AEAD_OFLOW);
    /* Nor is a reply a request. */
    g_assert_cmphex(send_page(first, second), ==, PSP_INVALID_PARAM);
}

static void test_wrong_key(void)
{
    uint8_t page[PAGE], resp[PAGE];

    setup();
    for (int right = 0; right < 4; right++) {
        for (int used = 0; used < 4; used++) {
            make_report(page, right);
            seal(page, used, REPORT_REQ_SIZE);
            g_assert_cmphex(send_page(page, resp), ==,
                            used == right ? PSP_SUCCESS : PSP_BAD_MEASUREMENT);
        }
    }
}

/* --- MSG_CPUID_REQ */

static uint32_t ask_cpuid(uint32_t count, unsigned rows, uint32_t ecx,
                          uint8_t *resp)
{
    uint8_t req[0x10 + 65 * 0x30] = {};
    size_t size = 0x10 + rows * 0x30;

    stl_le_p(req, count);
    for (unsigned i = 0; i < rows; i++) {
        stl_le_p(req + 0x10 + i * 0x30, 1);
        stl_le_p(req + 0x10 + i * 0x30 + 0x20, ecx);
    }
    return ask(CPUID_REQ, 0, req, size, size, resp);
}

static void test_cpuid(void)
{
    uint8_t resp[PAGE], *rsp = resp + HDR, empty[0x10] = {};

    setup();
    g_assert_cmphex(ask_cpuid(0, 0, 1, resp), ==, PSP_SUCCESS);
    g_assert_cmphex(ask_cpuid(64, 64, 1, resp), ==, PSP_SUCCESS);
    g_assert_cmpuint(ldl_le_p(rsp + 4), ==, 64);
    g_assert_cmphex(ldl_le_p(rsp + 0x10 + 63 * 0x30 + 0x20), ==, 1);
    /* A feature too many: the reply has it right. */
    g_assert_cmphex(ask_cpuid(2, 2, 3, resp), ==, PSP_INVALID_PARAM);
    g_assert_cmpuint(ldl_le_p(rsp + 4), ==, 2);
    g_assert_cmphex(ldl_le_p(rsp + 0x10 + 0x20), ==, 1);
    g_assert_cmphex(ldl_le_p(rsp + 0x10 + 0x30 + 0x20), ==, 1);
    /* A count that is not the message's */
    g_assert_cmphex(ask_cpuid(1, 2, 1, resp), ==, PSP_INVALID_PARAM);
    assert_empty_reply(resp, 0x10 + 2 * 0x30);
    g_assert_cmphex(ask_cpuid(3, 2, 1, resp), ==, PSP_INVALID_PARAM);
    g_assert_cmphex(ask_cpuid(65, 65, 1, resp), ==, PSP_INVALID_PARAM);
    g_assert_cmphex(ask_cpuid(UINT32_MAX, 1, 1, resp), ==, PSP_INVALID_PARAM);
    for (int at = 4; at < 0x10; at++) {
        empty[at] = 1;
        g_assert_cmphex(ask(CPUID_REQ, 0, empty, 0x10, 0x10, resp), ==,
                        PSP_INVALID_PARAM);
        empty[at] = 0;
    }
}

int main(int argc, char **argv)
{
    g_assert_cmpint(qcrypto_init(&error_abort), ==, 0);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/amd-psp-snp/vectors", test_vectors);
    g_test_add_func("/amd-psp-snp/msg/foreign-request", test_foreign_request);
    g_test_add_func("/amd-psp-snp/msg/every-bit", test_every_bit);
    g_test_add_func("/amd-psp-snp/msg/header-fields", test_header_fields);
    g_test_add_func("/amd-psp-snp/msg/types", test_types);
    g_test_add_func("/amd-psp-snp/msg/sizes", test_sizes);
    g_test_add_func("/amd-psp-snp/msg/sequence", test_sequence);
    g_test_add_func("/amd-psp-snp/msg/sequence-end", test_sequence_end);
    g_test_add_func("/amd-psp-snp/msg/replay", test_replay);
    g_test_add_func("/amd-psp-snp/msg/wrong-key", test_wrong_key);
    g_test_add_func("/amd-psp-snp/msg/cpuid", test_cpuid);
    return g_test_run();
}
