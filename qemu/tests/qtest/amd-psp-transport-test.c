/*
 * AMD Platform Security Processor: guests that go from one machine to another
 *
 * All that the machines exchange passes through this test, which damages,
 * replays, cuts and swaps it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-psp-pair.h"

static void test_data(void)
{
    static const struct {
        unsigned off, len;
    } pieces[] = {
        { 0, 0x1000 }, { 0x1000, 16 }, { 0x1010, 0xff0 }, { 0x2000, 0x4000 },
        { 0, 0x5000 },
    };
    g_autofree uint8_t *want = g_malloc(GUEST_LEN);
    g_autofree uint8_t *got = g_malloc(GUEST_LEN);
    g_autofree Packet *p = g_new(Packet, 1);
    Session se;

    pair_connect(POLICY_ES, &se);
    pair_fill(want, GUEST_LEN, 1);
    for (int i = 0; i < ARRAY_SIZE(pieces); i++) {
        pair_at(WEST);
        g_assert_cmphex(pair_send_data(DATA + pieces[i].off, pieces[i].len, p),
                        ==, OK);
        g_assert_cmphex(psp_out32(0x10), ==, HDR_LEN);
        g_assert_true(memcmp(p->data, want + pieces[i].off, 16));
        pair_at(EAST);
        g_assert_cmphex(pair_receive_data(p, LANDING + pieces[i].off), ==, OK);
    }
    pair_peek(LANDING, got, GUEST_LEN);
    g_assert_cmpmem(got, GUEST_LEN, want, GUEST_LEN);
    qtest_memread(psp.qts, LANDING, got, GUEST_LEN);
    for (int i = 0; i < GUEST_LEN; i += 16) {
        g_assert_true(memcmp(got + i, want + i, 16));
    }
    g_assert_cmphex(pair_simple(CMD_RECEIVE_FINISH), ==, OK);
    g_assert_cmpuint(pair_guest_state(), ==, 3);
}

/* A page that has become dirty is sent again. */
static void test_dirty(void)
{
    g_autofree Packet *p = g_new(Packet, 1);
    uint8_t new[32], got[32];
    Session se;

    pair_connect(POLICY_ES, &se);
    pair_fill(new, sizeof(new), 0x44);
    g_assert_cmphex(pair_send_data(DATA, 0x1000, p), ==, OK);
    pair_at(EAST);
    g_assert_cmphex(pair_receive_data(p, LANDING), ==, OK);
    pair_at(WEST);
    pair_poke(DATA, new, sizeof(new));
    g_assert_cmphex(pair_send_data(DATA, 0x1000, p), ==, OK);
    pair_at(EAST);
    g_assert_cmphex(pair_receive_data(p, LANDING), ==, OK);
    pair_peek(LANDING, got, sizeof(got));
    g_assert_cmpmem(got, sizeof(got), new, sizeof(new));
}

/* The checksum's slot is the machine's own, the rest is the guest's. */
static void assert_vmsa(int i)
{
    uint8_t want[0x1000], got[0x1000];
    uint64_t slot;

    pair_fill(want, sizeof(want), 0x80 + i);
    pair_peek(LANDING + i * 0x1000, got, sizeof(got));
    g_assert_cmphex(ldq_le_p(got + 0x380), ==, 0);
    slot = ldq_le_p(got + 0x388);
    g_assert_cmphex(slot, >=, TMR);
    g_assert_cmphex(slot, <, TMR + TMR_LEN);
    memcpy(want + 0x380, got + 0x380, 16);
    g_assert_cmpmem(got, sizeof(got), want, sizeof(want));
}

static void test_vmsa(void)
{
    g_autofree Packet *p = g_new(Packet, 1);
    Session se;

    pair_connect(POLICY_ES, &se);
    for (int i = 0; i < 2; i++) {
        pair_at(WEST);
        g_assert_cmphex(pair_send_vmsa(VMSA(i), p), ==, OK);
        pair_at(EAST);
        g_assert_cmphex(pair_receive_vmsa(p, LANDING + i * 0x1000), ==, OK);
        assert_vmsa(i);
    }
    g_assert_cmphex(pair_simple(CMD_RECEIVE_FINISH), ==, OK);

    /* They are good enough to be sent on, back to where they came from. */
    pair_at(WEST);
    g_assert_cmphex(pair_simple(CMD_SEND_FINISH), ==, OK);
    g_assert_cmpuint(pair_guest_state(), ==, 6);
}

static void test_onward(void)
{
    g_autofree Certs *c = g_new(Certs, 1);
    g_autofree Packet *p = g_new(Packet, 1);
    Session se;

    pair_connect(POLICY_ES, &se);
    g_assert_cmphex(pair_send_vmsa(VMSA(0), p), ==, OK);
    pair_at(EAST);
    g_assert_cmphex(pair_receive_vmsa(p, LANDING), ==, OK);
    g_assert_cmphex(pair_simple(CMD_RECEIVE_FINISH), ==, OK);
    pair_get_certs(WEST, c);
    g_assert_cmphex(pair_send_start(c, &se), ==, OK);
    g_assert_cmphex(pair_send_vmsa(LANDING, p), ==, OK);
    pair_at(WEST);
    g_assert_cmphex(pair_receive_start(&se), ==, OK);
    g_assert_cmphex(pair_activate(12), ==, OK);
    g_assert_cmphex(pair_receive_vmsa(p, LANDING), ==, OK);
    assert_vmsa(0);
}

/* This test's own cryptography opens what the device sealed. */
static void test_own_peer(void)
{
    g_autofree Packet *p = g_new(Packet, 1);
    g_autofree uint8_t *want = g_malloc(GUEST_LEN);
    uint8_t se[SESSION_LEN], tk[32], first[32];
    AmdPspEcPoint pdh;
    Peer peer;

    pair_at(WEST);
    pair_run_guest(POLICY_ES);
    psp_get_pdh(&pdh);
    psp_make_peer(&peer);
    pair_fill(want, GUEST_LEN, 1);
    for (int i = 0; i < 2; i++) {
        g_assert_cmphex(psp_send_start(), ==, OK);
        qtest_memread(psp.qts, OUT, se, sizeof(se));
        g_assert_true(psp_open_session(&peer.pdh, &pdh, se, POLICY_ES, tk));
        g_assert_false(psp_open_session(&peer.pdh, &pdh, se, 0, tk));
        g_assert_false(psp_open_session(&peer.pek, &pdh, se, POLICY_ES, tk));
        psp_open_session(&peer.pdh, &pdh, se, POLICY_ES, tk);
        g_assert_cmphex(pair_send_data(DATA, 0x2000, p), ==, OK);
        g_assert_cmphex(ldl_le_p(p->hdr), ==, 0);
        g_assert_true(psp_open_packet(PACKET_DATA, tk, p->hdr, p->data,
                                      p->len));
        g_assert_cmpmem(p->data, 0x2000, want, 0x2000);
        g_assert_cmphex(pair_send_vmsa(VMSA(0), p), ==, OK);
        g_assert_true(psp_open_packet(PACKET_VMSA, tk, p->hdr, p->data,
                                      p->len));
        g_assert_cmphex(pair_simple(CMD_SEND_CANCEL), ==, OK);
        g_assert_cmpuint(pair_guest_state(), ==, 3);
        /* Each session has keys of its own, and not those of the launch. */
        g_assert_true(memcmp(tk, i ? first : psp_known_tk, 32));
        memcpy(first, tk, sizeof(first));
    }
}

static void assert_landing(uint8_t salt, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        g_assert_cmphex(qtest_readb(psp.qts, LANDING + i), ==, salt);
    }
}

/* Each bit of header and data; nothing arrives, and nothing is broken. */
static void flip_packet(unsigned cmd, Packet *p, unsigned step)
{
    unsigned bits = 8 * (HDR_LEN + p->len);

    pair_at(EAST);
    qtest_memset(psp.qts, LANDING, 0xc3, p->len);
    for (unsigned bit = 0; bit < bits; bit += bit < 8 * HDR_LEN ? 1 : step) {
        uint8_t *raw = bit < 8 * HDR_LEN ? p->hdr + bit / 8 :
                                           p->data + bit / 8 - HDR_LEN;

        *raw ^= 1 << bit % 8;
        g_assert_cmphex(pair_receive(cmd, p, LANDING), ==,
                        bit ? BAD_MEASUREMENT : UNSUPPORTED);
        *raw ^= 1 << bit % 8;
    }
    assert_landing(0xc3, 64);
    g_assert_cmpuint(pair_guest_state(), ==, 5);
    g_assert_cmphex(pair_receive(cmd, p, LANDING), ==, OK);
}

static void test_flip_packet(void)
{
    g_autofree Packet *p = g_new(Packet, 1);
    Session se;

    pair_connect(POLICY_ES, &se);
    g_assert_cmphex(pair_send_data(DATA, 128, p), ==, OK);
    flip_packet(CMD_RECEIVE_UPDATE_DATA, p, 1);
    pair_at(WEST);
    g_assert_cmphex(pair_send_vmsa(VMSA(1), p), ==, OK);
    flip_packet(CMD_RECEIVE_UPDATE_VMSA, p, 37);
}

static void test_flip_session(void)
{
    Session se;

    pair_connect(POLICY_ES, &se);
    pair_at(EAST);
    for (unsigned bit = 0; bit < 8 * SESSION_LEN; bit++) {
        se.raw[bit / 8] ^= 1 << bit % 8;
        g_assert_cmphex(pair_receive_start(&se), ==, BAD_MEASUREMENT);
        se.raw[bit / 8] ^= 1 << bit % 8;
    }
    /* A session for a stricter policy is none for a laxer one, or reverse. */
    for (unsigned bit = 0; bit < 6; bit++) {
        se.policy ^= 1 << bit;
        g_assert_cmphex(pair_receive_start(&se), ==, BAD_MEASUREMENT);
        se.policy ^= 1 << bit;
    }
    g_assert_cmphex(pair_receive_start(&se), ==, OK);
}

/* A packet is of one session, a session of two keys. */
static void test_replay(void)
{
    g_autofree Certs *c = g_new(Certs, 1);
    g_autofree Packet *old = g_new(Packet, 1);
    g_autofree Packet *new = g_new(Packet, 1);
    Session first, second;

    pair_connect(POLICY_ES, &first);
    g_assert_cmphex(pair_send_data(DATA, 0x1000, old), ==, OK);
    g_assert_cmphex(pair_simple(CMD_SEND_CANCEL), ==, OK);
    pair_get_certs(EAST, c);
    g_assert_cmphex(pair_send_start(c, &second), ==, OK);
    g_assert_cmphex(pair_send_data(DATA, 0x1000, new), ==, OK);

    pair_at(EAST);
    g_assert_cmphex(pair_receive_data(new, LANDING), ==, BAD_MEASUREMENT);
    g_assert_cmphex(pair_receive_data(old, LANDING), ==, OK);
    /* Within its session, where and how often is the host's business. */
    g_assert_cmphex(pair_receive_data(old, LANDING + 0x1000), ==, OK);
    g_assert_cmphex(pair_simple(CMD_RECEIVE_FINISH), ==, OK);
    g_assert_cmphex(pair_receive_data(old, LANDING), ==, INVALID_GUEST_STATE);
    g_assert_cmphex(pair_receive_start(&second), ==, OK);
    g_assert_cmphex(pair_activate(10), ==, OK);
    g_assert_cmphex(pair_receive_data(old, LANDING), ==, BAD_MEASUREMENT);
    g_assert_cmphex(pair_receive_data(new, LANDING), ==, OK);

    /* Not with another sender's key, not at another machine, not later. */
    memcpy(second.pdh, c->pdh, CERT_LEN);
    g_assert_cmphex(pair_receive_start(&second), ==, BAD_MEASUREMENT);
    pair_at(SOUTH);
    psp_reach(S_INIT, 0);
    g_assert_cmphex(pair_receive_start(&first), ==, BAD_MEASUREMENT);
    pair_at(EAST);
    g_assert_cmphex(psp_cmd_at(CMD_PDH_GEN, 0, false), ==, OK);
    g_assert_cmphex(pair_receive_start(&first), ==, BAD_MEASUREMENT);
}

static void test_truncate(void)
{
    g_autofree Packet *p = g_new(Packet, 1);
    Session se;

    pair_connect(POLICY_ES, &se);
    g_assert_cmphex(pair_send_data(DATA, 0x200, p), ==, OK);
    pair_at(EAST);
    for (p->len = 0; p->len < 0x220; p->len += 4) {
        unsigned want = !p->len || p->len % 16 ? INVALID_LEN :
                        p->len == 0x200 ? OK : BAD_MEASUREMENT;

        g_assert_cmphex(pair_receive_data(p, LANDING), ==, want);
    }
}

/* Parts of good packets, put together or used in the wrong way */
static void test_reorder(void)
{
    g_autofree Packet *a = g_new(Packet, 1);
    g_autofree Packet *b = g_new(Packet, 1);
    g_autofree Packet *vmsa = g_new(Packet, 1);
    uint8_t hdr[HDR_LEN];
    Session se;

    pair_connect(POLICY_ES, &se);
    g_assert_cmphex(pair_send_data(DATA, 0x1000, a), ==, OK);
    g_assert_cmphex(pair_send_data(DATA + 0x1000, 0x1000, b), ==, OK);
    g_assert_cmphex(pair_send_vmsa(VMSA(0), vmsa), ==, OK);
    pair_at(EAST);
    memcpy(hdr, a->hdr, HDR_LEN);
    memcpy(a->hdr, b->hdr, HDR_LEN);
    g_assert_cmphex(pair_receive_data(a, LANDING), ==, BAD_MEASUREMENT);
    memcpy(a->hdr, hdr, HDR_LEN);
    g_assert_cmphex(pair_receive_data(vmsa, LANDING), ==, BAD_MEASUREMENT);
    g_assert_cmphex(pair_receive_vmsa(a, LANDING), ==, BAD_MEASUREMENT);
    memcpy(hdr, a->data, 16);
    memcpy(a->data, a->data + 16, 16);
    memcpy(a->data + 16, hdr, 16);
    g_assert_cmphex(pair_receive_data(a, LANDING), ==, BAD_MEASUREMENT);
    /* Whole packets may come in any order: the last goes first. */
    g_assert_cmphex(pair_receive_data(b, LANDING + 0x1000), ==, OK);
}

/* What is not a VMSA as the CPU left it is not sent as one. */
static void test_vmsa_integrity(void)
{
    g_autofree Packet *p = g_new(Packet, 1);
    uint8_t plain[0x1000];
    Session se;

    pair_connect(POLICY_ES, &se);
    pair_peek(VMSA(0), plain, sizeof(plain));
    plain[0x158] ^= 1;
    pair_poke(VMSA(0), plain, sizeof(plain));
    g_assert_cmphex(pair_send_vmsa(VMSA(0), p), ==, INVALID_PARAM);
    plain[0x158] ^= 1;
    stq_le_p(plain + 0x388, ABSENT);
    pair_poke(VMSA(0), plain, sizeof(plain));
    g_assert_cmphex(pair_send_vmsa(VMSA(0), p), ==, INVALID_PARAM);
    /* The ciphertext, moved: another address is another tweak. */
    qtest_memread(psp.qts, VMSA(1), plain, sizeof(plain));
    qtest_memwrite(psp.qts, DATA, plain, sizeof(plain));
    g_assert_cmphex(pair_send_vmsa(DATA, p), ==, INVALID_PARAM);
    g_assert_cmphex(pair_send_vmsa(VMSA(1), p), ==, OK);
}

/* Sealed by somebody who has the keys, but too short to be a VMSA */
static void test_short_vmsa(void)
{
    uint8_t plain[0xff0] = {};

    pair_at(EAST);
    psp_reach(S_RACTIVE, POLICY_ES);
    psp_make_packet(PACKET_VMSA, plain, sizeof(plain), 0);
    g_assert_cmphex(PSP_CMD(CMD_RECEIVE_UPDATE_VMSA, { 0, 4, HANDLE },
                            { 8, 8, IN }, { 0x10, 4, HDR_LEN },
                            { 0x18, 8, LANDING }, { 0x20, 4, sizeof(plain) },
                            { 0x28, 8, IN_PACKET },
                            { 0x30, 4, sizeof(plain) }), ==, INVALID_LEN);
}

/* A kernel whose structure lacks the word after the handle gets nowhere. */
static void test_missing_word(void)
{
    Session se;

    pair_connect(POLICY_ES, &se);
    g_assert_cmphex(PSP_CMD(CMD_SEND_UPDATE_VMSA, { 0, 4, HANDLE },
                            { 4, 8, HDR_AT }, { 0xc, 4, HDR_LEN },
                            { 0x14, 8, VMSA(0) }, { 0x1c, 4, 0x1000 },
                            { 0x24, 8, PACKET_AT }, { 0x2c, 4, 0x1000 }), ==,
                    INVALID_LEN);
    g_assert_cmphex(psp_out32(0x10), ==, HDR_LEN);
}

/* A VMSA needs a slot, and the trusted memory has so many. */
static void test_slots(void)
{
    g_autofree Packet *p = g_new(Packet, 1);
    unsigned ret, n = 0;
    Session se;

    pair_connect(POLICY_ES, &se);
    g_assert_cmphex(pair_send_vmsa(VMSA(0), p), ==, OK);
    pair_at(EAST);
    ret = pair_receive_vmsa(p, LANDING);
    while (ret == OK && n++ < TMR_LEN) {
        ret = psp_cmd_at(CMD_RECEIVE_UPDATE_VMSA, CMDBUF, false);
    }
    g_assert_cmphex(ret, ==, RESOURCE_LIMIT);
    /* DECOMMISSION gives them back. */
    g_assert_cmphex(pair_simple(CMD_DEACTIVATE), ==, OK);
    g_assert_cmphex(pair_simple(CMD_DECOMMISSION), ==, OK);
    g_assert_cmphex(pair_receive_start(&se), ==, OK);
    g_assert_cmphex(pair_activate(9), ==, OK);
    g_assert_cmphex(pair_receive_vmsa(p, LANDING), ==, OK);
}

/* An ASID that a sent or a received guest has used is dirty, others clean. */
static void test_asid(void)
{
    Session se;

    pair_connect(POLICY_ES, &se);
    pair_at(EAST);
    g_assert_cmphex(pair_simple(CMD_DEACTIVATE), ==, OK);
    g_assert_cmphex(pair_activate(9), ==, OK);
    g_assert_cmphex(pair_simple(CMD_RECEIVE_FINISH), ==, OK);
    for (int i = 0; i < 2; i++) {
        g_assert_cmphex(pair_simple(CMD_DEACTIVATE), ==, OK);
        g_assert_cmphex(pair_activate(i ? 5 : 9), ==, DFFLUSH_REQUIRED);
        pair_at(WEST);
    }
    psp_wbinvd();
    g_assert_cmphex(psp_cmd_at(CMD_DF_FLUSH, 0, false), ==, OK);
    g_assert_cmphex(pair_activate(5), ==, OK);
    g_assert_cmphex(pair_simple(CMD_DEACTIVATE), ==, OK);
    g_assert_cmphex(pair_activate(5), ==, DFFLUSH_REQUIRED);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    qtest_add_func("amd-psp/transport/data", test_data);
    qtest_add_func("amd-psp/transport/dirty", test_dirty);
    qtest_add_func("amd-psp/transport/vmsa", test_vmsa);
    qtest_add_func("amd-psp/transport/onward", test_onward);
    qtest_add_func("amd-psp/transport/own-peer", test_own_peer);
    qtest_add_func("amd-psp/transport/flip-packet", test_flip_packet);
    qtest_add_func("amd-psp/transport/flip-session", test_flip_session);
    qtest_add_func("amd-psp/transport/replay", test_replay);
    qtest_add_func("amd-psp/transport/truncate", test_truncate);
    qtest_add_func("amd-psp/transport/reorder", test_reorder);
    qtest_add_func("amd-psp/transport/vmsa-integrity", test_vmsa_integrity);
    qtest_add_func("amd-psp/transport/short-vmsa", test_short_vmsa);
    qtest_add_func("amd-psp/transport/missing-word", test_missing_word);
    qtest_add_func("amd-psp/transport/slots", test_slots);
    qtest_add_func("amd-psp/transport/asid", test_asid);

    pair_start();
    ret = g_test_run();
    pair_stop();
    return ret;
}
