/*
 * AMD Platform Security Processor: guests that go from one machine to another
 *
 * Three machines run side by side. East and West are of one root, South is of
 * another. All that they exchange passes through this test, which damages,
 * replays, cuts and swaps it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "libqos/fw_cfg.h"
#include "amd-psp-util.h"

#define HDR_LEN 52
#define MAX_LEN 0x5000
#define ROOT_LEN (2 * 832)

#define HDR_AT (IN + 0xa000)
#define PACKET_AT (IN + 0xa080)
#define GUEST_LEN 0x6000                /* at DATA; the VMSAs follow */
#define VMSA(n) (DATA + 0x8000 + (n) * 0x1000)
#define LANDING (DATA + 0x20000)        /* where packets arrive */

enum { EAST, WEST, SOUTH, MACHINES };

static Psp machines[MACHINES];
static int here;

static void at(int machine)
{
    machines[here] = psp;
    here = machine;
    psp = machines[here];
}

typedef struct Certs {
    uint8_t pdh[CERT_LEN];
    uint8_t chain[3][CERT_LEN];
    uint8_t root[ROOT_LEN];
    uint32_t root_len;
} Certs;

typedef struct Session {
    uint8_t pdh[CERT_LEN];              /* the sender's */
    uint8_t raw[SESSION_LEN];
    uint32_t policy;
} Session;

typedef struct Packet {
    uint8_t hdr[HDR_LEN];
    uint8_t data[MAX_LEN];
    uint32_t len;
} Packet;

static void get_certs(int machine, Certs *c)
{
    int was = here;
    QFWCFG *fw_cfg;
    AmdPspEcPoint pdh;

    at(machine);
    fw_cfg = pc_fw_cfg_init(psp.qts);
    psp_get_pdh(&pdh);
    qtest_memread(psp.qts, OUT, c->pdh, CERT_LEN);
    qtest_memread(psp.qts, OUT + 0x1000, c->chain, CHAIN_LEN);
    c->root_len = qfw_cfg_get_file(fw_cfg, "etc/amd-psp/ask-ark.cert",
                                   c->root, sizeof(c->root));
    g_assert_cmpuint(c->root_len, ==, ROOT_LEN);
    pc_fw_cfg_uninit(fw_cfg);
    at(was);
}

static unsigned send_start(const Certs *to, Session *se)
{
    unsigned ret;

    qtest_memwrite(psp.qts, PEER_PDH, to->pdh, CERT_LEN);
    qtest_memwrite(psp.qts, PEER_CHAIN, to->chain, CHAIN_LEN);
    qtest_memwrite(psp.qts, PEER_ROOT, to->root, ROOT_LEN);
    ret = PSP_CMD(CMD_SEND_START, { 0, 4, HANDLE }, { 8, 8, PEER_PDH },
                  { 0x10, 4, CERT_LEN }, { 0x18, 8, PEER_CHAIN },
                  { 0x20, 4, CHAIN_LEN }, { 0x28, 8, PEER_ROOT },
                  { 0x30, 4, to->root_len }, { 0x38, 8, OUT },
                  { 0x40, 4, SESSION_LEN });
    if (ret == OK) {
        AmdPspEcPoint pdh;

        se->policy = psp_out32(4);
        g_assert_cmphex(psp_out32(0x40), ==, SESSION_LEN);
        qtest_memread(psp.qts, OUT, se->raw, SESSION_LEN);
        psp_get_pdh(&pdh);
        qtest_memread(psp.qts, OUT, se->pdh, CERT_LEN);
    }
    return ret;
}

static unsigned receive_start(const Session *se)
{
    unsigned ret;

    qtest_memwrite(psp.qts, IN, se->pdh, CERT_LEN);
    qtest_memwrite(psp.qts, IN_SESSION, se->raw, SESSION_LEN);
    ret = PSP_CMD(CMD_RECEIVE_START, { 4, 4, se->policy }, { 8, 8, IN },
                  { 16, 4, CERT_LEN }, { 24, 8, IN_SESSION },
                  { 32, 4, SESSION_LEN });
    if (ret == OK) {
        psp.handle = psp_out32(0);
    }
    return ret;
}

static unsigned transport(unsigned cmd, uint64_t page, uint32_t len)
{
    return PSP_CMD(cmd, { 0, 4, HANDLE }, { 8, 8, HDR_AT },
                   { 0x10, 4, HDR_LEN }, { 0x18, 8, page },
                   { 0x20, 4, len }, { 0x28, 8, PACKET_AT },
                   { 0x30, 4, len });
}

static unsigned send_packet(unsigned cmd, uint64_t page, uint32_t len,
                            Packet *p)
{
    unsigned ret = transport(cmd, page, len);

    p->len = len;
    qtest_memread(psp.qts, HDR_AT, p->hdr, HDR_LEN);
    qtest_memread(psp.qts, PACKET_AT, p->data, len);
    return ret;
}

static unsigned receive_packet(unsigned cmd, const Packet *p, uint64_t page)
{
    qtest_memwrite(psp.qts, HDR_AT, p->hdr, HDR_LEN);
    qtest_memwrite(psp.qts, PACKET_AT, p->data, p->len);
    return transport(cmd, page, p->len);
}

static unsigned send_data(uint64_t page, uint32_t len, Packet *p)
{
    return send_packet(CMD_SEND_UPDATE_DATA, page, len, p);
}

static unsigned receive_data(const Packet *p, uint64_t page)
{
    return receive_packet(CMD_RECEIVE_UPDATE_DATA, p, page);
}

static unsigned send_vmsa(uint64_t page, Packet *p)
{
    return send_packet(CMD_SEND_UPDATE_VMSA, page, 0x1000, p);
}

static unsigned receive_vmsa(const Packet *p, uint64_t page)
{
    return receive_packet(CMD_RECEIVE_UPDATE_VMSA, p, page);
}

static unsigned activate(uint32_t asid)
{
    return PSP_CMD(CMD_ACTIVATE, { 0, 4, HANDLE }, { 4, 4, asid });
}

static unsigned simple(unsigned cmd)
{
    return PSP_CMD(cmd, { 0, 4, HANDLE });
}

static unsigned guest_state(void)
{
    g_assert_cmphex(simple(CMD_GUEST_STATUS), ==, OK);
    return psp_out8(12);
}

/* What the guest sees */
static void peek(uint64_t page, void *buf, uint32_t len)
{
    g_assert_cmphex(PSP_CMD(CMD_DBG_DECRYPT, { 0, 4, HANDLE }, { 8, 8, page },
                            { 16, 8, OUT }, { 24, 4, len }), ==, OK);
    qtest_memread(psp.qts, OUT, buf, len);
}

static void poke(uint64_t page, const void *buf, uint32_t len)
{
    qtest_memwrite(psp.qts, OUT, buf, len);
    g_assert_cmphex(PSP_CMD(CMD_DBG_ENCRYPT, { 0, 4, HANDLE }, { 8, 8, OUT },
                            { 16, 8, page }, { 24, 4, len }), ==, OK);
}

static void fill(uint8_t *buf, size_t len, unsigned salt)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = i * 11 + (i >> 8) * 3 + salt;
    }
}

/* A guest that runs, with memory at DATA and two VMSAs if it is an ES guest */
static void run_guest(uint32_t policy)
{
    g_autofree uint8_t *mem = g_malloc(GUEST_LEN);

    psp_reach(S_ACTIVE, policy);
    fill(mem, GUEST_LEN, 1);
    qtest_memwrite(psp.qts, DATA, mem, GUEST_LEN);
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_UPDATE_DATA, { 0, 4, HANDLE },
                            { 8, 8, DATA }, { 16, 4, GUEST_LEN }), ==, OK);
    for (int i = 0; i < 2 && (policy & POLICY_ES); i++) {
        fill(mem, 0x1000, 0x80 + i);
        qtest_memwrite(psp.qts, VMSA(i), mem, 0x1000);
        g_assert_cmphex(PSP_CMD(CMD_LAUNCH_UPDATE_VMSA, { 0, 4, HANDLE },
                                { 8, 8, VMSA(i) }, { 16, 4, 0x1000 }), ==,
                        OK);
    }
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_MEASURE, { 0, 4, HANDLE },
                            { 8, 8, OUT }, { 16, 4, 0x30 }), ==, OK);
    g_assert_cmphex(simple(CMD_LAUNCH_FINISH), ==, OK);
}

/* A guest that West starts to send and East to receive; ends at West */
static void pair(uint32_t policy, Session *se)
{
    g_autofree Certs *c = g_new(Certs, 1);

    at(EAST);
    psp_reach(S_INIT, 0);
    get_certs(EAST, c);
    at(WEST);
    run_guest(policy);
    g_assert_cmphex(send_start(c, se), ==, OK);
    at(EAST);
    g_assert_cmphex(receive_start(se), ==, OK);
    g_assert_cmphex(activate(9), ==, OK);
    at(WEST);
}

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

    pair(POLICY_ES, &se);
    fill(want, GUEST_LEN, 1);
    for (int i = 0; i < ARRAY_SIZE(pieces); i++) {
        at(WEST);
        g_assert_cmphex(send_data(DATA + pieces[i].off, pieces[i].len, p), ==,
                        OK);
        g_assert_cmphex(psp_out32(0x10), ==, HDR_LEN);
        g_assert_true(memcmp(p->data, want + pieces[i].off, 16));
        at(EAST);
        g_assert_cmphex(receive_data(p, LANDING + pieces[i].off), ==, OK);
    }
    peek(LANDING, got, GUEST_LEN);
    g_assert_cmpmem(got, GUEST_LEN, want, GUEST_LEN);
    qtest_memread(psp.qts, LANDING, got, GUEST_LEN);
    for (int i = 0; i < GUEST_LEN; i += 16) {
        g_assert_true(memcmp(got + i, want + i, 16));
    }
    g_assert_cmphex(simple(CMD_RECEIVE_FINISH), ==, OK);
    g_assert_cmpuint(guest_state(), ==, 3);
}

/* A page that has become dirty is sent again. */
static void test_dirty(void)
{
    g_autofree Packet *p = g_new(Packet, 1);
    uint8_t new[32], got[32];
    Session se;

    pair(POLICY_ES, &se);
    fill(new, sizeof(new), 0x44);
    g_assert_cmphex(send_data(DATA, 0x1000, p), ==, OK);
    at(EAST);
    g_assert_cmphex(receive_data(p, LANDING), ==, OK);
    at(WEST);
    poke(DATA, new, sizeof(new));
    g_assert_cmphex(send_data(DATA, 0x1000, p), ==, OK);
    at(EAST);
    g_assert_cmphex(receive_data(p, LANDING), ==, OK);
    peek(LANDING, got, sizeof(got));
    g_assert_cmpmem(got, sizeof(got), new, sizeof(new));
}

/* The checksum's slot is the machine's own, the rest is the guest's. */
static void assert_vmsa(int i)
{
    uint8_t want[0x1000], got[0x1000];
    uint64_t slot;

    fill(want, sizeof(want), 0x80 + i);
    peek(LANDING + i * 0x1000, got, sizeof(got));
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

    pair(POLICY_ES, &se);
    for (int i = 0; i < 2; i++) {
        at(WEST);
        g_assert_cmphex(send_vmsa(VMSA(i), p), ==, OK);
        at(EAST);
        g_assert_cmphex(receive_vmsa(p, LANDING + i * 0x1000), ==, OK);
        assert_vmsa(i);
    }
    g_assert_cmphex(simple(CMD_RECEIVE_FINISH), ==, OK);

    /* They are good enough to be sent on, back to where they came from. */
    at(WEST);
    g_assert_cmphex(simple(CMD_SEND_FINISH), ==, OK);
    g_assert_cmpuint(guest_state(), ==, 6);
}

static void test_onward(void)
{
    g_autofree Certs *c = g_new(Certs, 1);
    g_autofree Packet *p = g_new(Packet, 1);
    Session se;

    pair(POLICY_ES, &se);
    g_assert_cmphex(send_vmsa(VMSA(0), p), ==, OK);
    at(EAST);
    g_assert_cmphex(receive_vmsa(p, LANDING), ==, OK);
    g_assert_cmphex(simple(CMD_RECEIVE_FINISH), ==, OK);
    get_certs(WEST, c);
    g_assert_cmphex(send_start(c, &se), ==, OK);
    g_assert_cmphex(send_vmsa(LANDING, p), ==, OK);
    at(WEST);
    g_assert_cmphex(receive_start(&se), ==, OK);
    g_assert_cmphex(activate(12), ==, OK);
    g_assert_cmphex(receive_vmsa(p, LANDING), ==, OK);
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

    at(WEST);
    run_guest(POLICY_ES);
    psp_get_pdh(&pdh);
    psp_make_peer(&peer);
    fill(want, GUEST_LEN, 1);
    for (int i = 0; i < 2; i++) {
        g_assert_cmphex(psp_send_start(), ==, OK);
        qtest_memread(psp.qts, OUT, se, sizeof(se));
        g_assert_true(psp_open_session(&peer.pdh, &pdh, se, POLICY_ES, tk));
        g_assert_false(psp_open_session(&peer.pdh, &pdh, se, 0, tk));
        g_assert_false(psp_open_session(&peer.pek, &pdh, se, POLICY_ES, tk));
        psp_open_session(&peer.pdh, &pdh, se, POLICY_ES, tk);
        g_assert_cmphex(send_data(DATA, 0x2000, p), ==, OK);
        g_assert_cmphex(ldl_le_p(p->hdr), ==, 0);
        g_assert_true(psp_open_packet(PACKET_DATA, tk, p->hdr, p->data,
                                      p->len));
        g_assert_cmpmem(p->data, 0x2000, want, 0x2000);
        g_assert_cmphex(send_vmsa(VMSA(0), p), ==, OK);
        g_assert_true(psp_open_packet(PACKET_VMSA, tk, p->hdr, p->data,
                                      p->len));
        g_assert_cmphex(simple(CMD_SEND_CANCEL), ==, OK);
        g_assert_cmpuint(guest_state(), ==, 3);
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

    at(EAST);
    qtest_memset(psp.qts, LANDING, 0xc3, p->len);
    for (unsigned bit = 0; bit < bits; bit += bit < 8 * HDR_LEN ? 1 : step) {
        uint8_t *raw = bit < 8 * HDR_LEN ? p->hdr + bit / 8 :
                                           p->data + bit / 8 - HDR_LEN;

        *raw ^= 1 << bit % 8;
        g_assert_cmphex(receive_packet(cmd, p, LANDING), ==,
                        bit ? BAD_MEASUREMENT : UNSUPPORTED);
        *raw ^= 1 << bit % 8;
    }
    assert_landing(0xc3, 64);
    g_assert_cmpuint(guest_state(), ==, 5);
    g_assert_cmphex(receive_packet(cmd, p, LANDING), ==, OK);
}

static void test_flip_packet(void)
{
    g_autofree Packet *p = g_new(Packet, 1);
    Session se;

    pair(POLICY_ES, &se);
    g_assert_cmphex(send_data(DATA, 128, p), ==, OK);
    flip_packet(CMD_RECEIVE_UPDATE_DATA, p, 1);
    at(WEST);
    g_assert_cmphex(send_vmsa(VMSA(1), p), ==, OK);
    flip_packet(CMD_RECEIVE_UPDATE_VMSA, p, 37);
}

static void test_flip_session(void)
{
    Session se;

    pair(POLICY_ES, &se);
    at(EAST);
    for (unsigned bit = 0; bit < 8 * SESSION_LEN; bit++) {
        se.raw[bit / 8] ^= 1 << bit % 8;
        g_assert_cmphex(receive_start(&se), ==, BAD_MEASUREMENT);
        se.raw[bit / 8] ^= 1 << bit % 8;
    }
    /* A session for a stricter policy is none for a laxer one, or reverse. */
    for (unsigned bit = 0; bit < 6; bit++) {
        se.policy ^= 1 << bit;
        g_assert_cmphex(receive_start(&se), ==, BAD_MEASUREMENT);
        se.policy ^= 1 << bit;
    }
    g_assert_cmphex(receive_start(&se), ==, OK);
}

/* @len bytes of @c at @raw: each byte that is damaged makes it refused. */
static void flip_certs(const Certs *c, const uint8_t *raw, unsigned len,
                       unsigned step)
{
    uint8_t *byte = (uint8_t *)raw;
    Session se;

    for (unsigned i = 0; i < len; i += step) {
        unsigned ret;

        byte[i] ^= 1 << i % 8;
        ret = send_start(c, &se);
        if (ret != INVALID_CERTIFICATE && ret != BAD_SIGNATURE) {
            g_test_message("offset 0x%x: status 0x%x", i, ret);
            g_test_fail();
            return;
        }
        byte[i] ^= 1 << i % 8;
    }
}

static void test_flip_certs(void)
{
    g_autofree Certs *c = g_new(Certs, 1);
    Session se;

    at(EAST);
    psp_reach(S_INIT, 0);
    get_certs(EAST, c);
    at(WEST);
    run_guest(POLICY_ES | POLICY_SEV);
    /* An odd step reaches each bit of a byte; heads and keys in full. */
    flip_certs(c, c->pdh, 0x100, 1);
    flip_certs(c, c->pdh, CERT_LEN, 5);
    for (int i = 0; i < 3; i++) {
        flip_certs(c, c->chain[i], 0x100, 1);
        flip_certs(c, c->chain[i], CERT_LEN, 5);
    }
    flip_certs(c, c->root, ROOT_LEN, 1);
    g_assert_cmpuint(guest_state(), ==, 3);
    g_assert_cmphex(send_start(c, &se), ==, OK);
}

/* Certificates that are good, but another machine's */
static void test_swap_certs(void)
{
    g_autofree Certs *east = g_new(Certs, 1);
    g_autofree Certs *south = g_new(Certs, 1);
    g_autofree Certs *c = g_new(Certs, 1);
    Session se;

    at(SOUTH);
    psp_reach(S_INIT, 0);
    get_certs(SOUTH, south);
    at(EAST);
    psp_reach(S_INIT, 0);
    get_certs(EAST, east);
    at(WEST);
    run_guest(0);
    *c = *east;
    memcpy(c->pdh, south->pdh, CERT_LEN);
    g_assert_cmphex(send_start(c, &se), ==, BAD_SIGNATURE);
    for (int i = 0; i < 3; i++) {
        *c = *east;
        memcpy(c->chain[i], south->chain[i], CERT_LEN);
        g_assert_cmphex(send_start(c, &se), ==, BAD_SIGNATURE);
    }
    *c = *east;
    memcpy(c->root, south->root, ROOT_LEN);
    g_assert_cmphex(send_start(c, &se), ==, BAD_SIGNATURE);
    /* The ASK of one and the ARK of the other; ARK before ASK; too little */
    memcpy(c->root, east->root, ROOT_LEN / 2);
    g_assert_cmphex(send_start(c, &se), ==, BAD_SIGNATURE);
    memcpy(c->root, east->root + ROOT_LEN / 2, ROOT_LEN / 2);
    memcpy(c->root + ROOT_LEN / 2, east->root, ROOT_LEN / 2);
    g_assert_cmphex(send_start(c, &se), ==, INVALID_CERTIFICATE);
    *c = *east;
    c->root_len = ROOT_LEN / 2;
    g_assert_cmphex(send_start(c, &se), ==, INVALID_CERTIFICATE);
    g_assert_cmphex(send_start(east, &se), ==, OK);
}

static unsigned try_send(uint32_t policy, const Certs *to)
{
    Session se;

    at(WEST);
    run_guest(policy);
    return send_start(to, &se);
}

static void test_policy(void)
{
    g_autofree Certs *east = g_new(Certs, 1);
    g_autofree Certs *south = g_new(Certs, 1);

    at(SOUTH);
    psp_reach(S_INIT, 0);
    get_certs(SOUTH, south);
    at(EAST);
    psp_reach(S_INIT, 0);
    get_certs(EAST, east);
    g_assert_cmphex(try_send(0, east), ==, OK);
    g_assert_cmphex(try_send(POLICY_NOSEND, east), ==, POLICY_FAILURE);
    g_assert_cmphex(try_send(POLICY_DOMAIN, east), ==, POLICY_FAILURE);
    g_assert_cmphex(try_send(POLICY_SEV, east), ==, OK);
    /* Another root: only for those who do not ask. */
    g_assert_cmphex(try_send(0, south), ==, OK);
    g_assert_cmphex(try_send(POLICY_SEV, south), ==, INVALID_CERTIFICATE);
    south->root_len = east->root_len = 0;
    g_assert_cmphex(try_send(0, south), ==, OK);
    g_assert_cmphex(try_send(POLICY_SEV, east), ==, INVALID_CERTIFICATE);
}

/* A machine's PEK, signed by an owner, and the owner's OCA */
static void take_over(int machine, const AmdPspEcKey *owner)
{
    uint8_t pek[CERT_LEN], oca[CERT_LEN];

    at(machine);
    psp_reach(S_INIT, 0);
    g_assert_cmphex(PSP_CMD(CMD_PEK_CSR, { 0, 8, OUT }, { 8, 4, CERT_LEN }),
                    ==, OK);
    qtest_memread(psp.qts, OUT, pek, CERT_LEN);
    psp_cert_make(oca, USAGE_OCA, owner);
    psp_cert_sign(oca, 0, USAGE_OCA, owner);
    psp_cert_sign(pek, 0, USAGE_OCA, owner);
    qtest_memwrite(psp.qts, IN, pek, CERT_LEN);
    qtest_memwrite(psp.qts, IN + 0x1000, oca, CERT_LEN);
    g_assert_cmphex(PSP_CMD(CMD_PEK_CERT_IMPORT, { 0, 8, IN },
                            { 8, 4, CERT_LEN }, { 16, 8, IN + 0x1000 },
                            { 24, 4, CERT_LEN }), ==, OK);
}

static void test_domain(void)
{
    g_autofree Certs *c = g_new(Certs, 1);
    AmdPspEcKey owner;

    amd_psp_ec_generate(&owner);
    take_over(EAST, &owner);
    get_certs(EAST, c);
    take_over(WEST, &owner);
    g_assert_cmphex(try_send(POLICY_DOMAIN | POLICY_SEV, c), ==, OK);
    /* Give both back to themselves. */
    at(WEST);
    psp_reach(S_INIT, 0);
    g_assert_cmphex(psp_cmd_at(CMD_PEK_GEN, 0, false), ==, OK);
    at(EAST);
    psp_reach(S_INIT, 0);
    g_assert_cmphex(psp_cmd_at(CMD_PEK_GEN, 0, false), ==, OK);
}

/* A packet is of one session, a session of two keys. */
static void test_replay(void)
{
    g_autofree Certs *c = g_new(Certs, 1);
    g_autofree Packet *old = g_new(Packet, 1);
    g_autofree Packet *new = g_new(Packet, 1);
    Session first, second;

    pair(POLICY_ES, &first);
    g_assert_cmphex(send_data(DATA, 0x1000, old), ==, OK);
    g_assert_cmphex(simple(CMD_SEND_CANCEL), ==, OK);
    get_certs(EAST, c);
    g_assert_cmphex(send_start(c, &second), ==, OK);
    g_assert_cmphex(send_data(DATA, 0x1000, new), ==, OK);

    at(EAST);
    g_assert_cmphex(receive_data(new, LANDING), ==, BAD_MEASUREMENT);
    g_assert_cmphex(receive_data(old, LANDING), ==, OK);
    /* Within its session, where and how often is the host's business. */
    g_assert_cmphex(receive_data(old, LANDING + 0x1000), ==, OK);
    g_assert_cmphex(simple(CMD_RECEIVE_FINISH), ==, OK);
    g_assert_cmphex(receive_data(old, LANDING), ==, INVALID_GUEST_STATE);
    g_assert_cmphex(receive_start(&second), ==, OK);
    g_assert_cmphex(activate(10), ==, OK);
    g_assert_cmphex(receive_data(old, LANDING), ==, BAD_MEASUREMENT);
    g_assert_cmphex(receive_data(new, LANDING), ==, OK);

    /* Not with another sender's key, not at another machine, not later. */
    memcpy(second.pdh, c->pdh, CERT_LEN);
    g_assert_cmphex(receive_start(&second), ==, BAD_MEASUREMENT);
    at(SOUTH);
    psp_reach(S_INIT, 0);
    g_assert_cmphex(receive_start(&first), ==, BAD_MEASUREMENT);
    at(EAST);
    g_assert_cmphex(psp_cmd_at(CMD_PDH_GEN, 0, false), ==, OK);
    g_assert_cmphex(receive_start(&first), ==, BAD_MEASUREMENT);
}

static void test_truncate(void)
{
    g_autofree Packet *p = g_new(Packet, 1);
    Session se;

    pair(POLICY_ES, &se);
    g_assert_cmphex(send_data(DATA, 0x200, p), ==, OK);
    at(EAST);
    for (p->len = 0; p->len < 0x220; p->len += 4) {
        unsigned want = !p->len || p->len % 16 ? INVALID_LEN :
                        p->len == 0x200 ? OK : BAD_MEASUREMENT;

        g_assert_cmphex(receive_data(p, LANDING), ==, want);
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

    pair(POLICY_ES, &se);
    g_assert_cmphex(send_data(DATA, 0x1000, a), ==, OK);
    g_assert_cmphex(send_data(DATA + 0x1000, 0x1000, b), ==, OK);
    g_assert_cmphex(send_vmsa(VMSA(0), vmsa), ==, OK);
    at(EAST);
    memcpy(hdr, a->hdr, HDR_LEN);
    memcpy(a->hdr, b->hdr, HDR_LEN);
    g_assert_cmphex(receive_data(a, LANDING), ==, BAD_MEASUREMENT);
    memcpy(a->hdr, hdr, HDR_LEN);
    g_assert_cmphex(receive_data(vmsa, LANDING), ==, BAD_MEASUREMENT);
    g_assert_cmphex(receive_vmsa(a, LANDING), ==, BAD_MEASUREMENT);
    memcpy(hdr, a->data, 16);
    memcpy(a->data, a->data + 16, 16);
    memcpy(a->data + 16, hdr, 16);
    g_assert_cmphex(receive_data(a, LANDING), ==, BAD_MEASUREMENT);
    /* Whole packets may come in any order: the last goes first. */
    g_assert_cmphex(receive_data(b, LANDING + 0x1000), ==, OK);
}

/* What is not a VMSA as the CPU left it is not sent as one. */
static void test_vmsa_integrity(void)
{
    g_autofree Packet *p = g_new(Packet, 1);
    uint8_t plain[0x1000];
    Session se;

    pair(POLICY_ES, &se);
    peek(VMSA(0), plain, sizeof(plain));
    plain[0x158] ^= 1;
    poke(VMSA(0), plain, sizeof(plain));
    g_assert_cmphex(send_vmsa(VMSA(0), p), ==, INVALID_PARAM);
    plain[0x158] ^= 1;
    stq_le_p(plain + 0x388, ABSENT);
    poke(VMSA(0), plain, sizeof(plain));
    g_assert_cmphex(send_vmsa(VMSA(0), p), ==, INVALID_PARAM);
    /* The ciphertext, moved: another address is another tweak. */
    qtest_memread(psp.qts, VMSA(1), plain, sizeof(plain));
    qtest_memwrite(psp.qts, DATA, plain, sizeof(plain));
    g_assert_cmphex(send_vmsa(DATA, p), ==, INVALID_PARAM);
    g_assert_cmphex(send_vmsa(VMSA(1), p), ==, OK);
}

/* A kernel whose structure lacks the word after the handle gets nowhere. */
static void test_missing_word(void)
{
    Session se;

    pair(POLICY_ES, &se);
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

    pair(POLICY_ES, &se);
    g_assert_cmphex(send_vmsa(VMSA(0), p), ==, OK);
    at(EAST);
    ret = receive_vmsa(p, LANDING);
    while (ret == OK && n++ < TMR_LEN) {
        ret = psp_cmd_at(CMD_RECEIVE_UPDATE_VMSA, CMDBUF, false);
    }
    g_assert_cmphex(ret, ==, RESOURCE_LIMIT);
    /* DECOMMISSION gives them back. */
    g_assert_cmphex(simple(CMD_DEACTIVATE), ==, OK);
    g_assert_cmphex(simple(CMD_DECOMMISSION), ==, OK);
    g_assert_cmphex(receive_start(&se), ==, OK);
    g_assert_cmphex(activate(9), ==, OK);
    g_assert_cmphex(receive_vmsa(p, LANDING), ==, OK);
}

/* An ASID that a sent or a received guest has used is dirty, others clean. */
static void test_asid(void)
{
    Session se;

    pair(POLICY_ES, &se);
    at(EAST);
    g_assert_cmphex(simple(CMD_DEACTIVATE), ==, OK);
    g_assert_cmphex(activate(9), ==, OK);
    g_assert_cmphex(simple(CMD_RECEIVE_FINISH), ==, OK);
    for (int i = 0; i < 2; i++) {
        g_assert_cmphex(simple(CMD_DEACTIVATE), ==, OK);
        g_assert_cmphex(activate(i ? 5 : 9), ==, DFFLUSH_REQUIRED);
        at(WEST);
    }
    psp_wbinvd();
    g_assert_cmphex(psp_cmd_at(CMD_DF_FLUSH, 0, false), ==, OK);
    g_assert_cmphex(activate(5), ==, OK);
    g_assert_cmphex(simple(CMD_DEACTIVATE), ==, OK);
    g_assert_cmphex(activate(5), ==, DFFLUSH_REQUIRED);
}

static void start(int machine, const char *args)
{
    at(machine);
    psp_start(args);
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
    qtest_add_func("amd-psp/transport/flip-certificates", test_flip_certs);
    qtest_add_func("amd-psp/transport/swap-certificates", test_swap_certs);
    qtest_add_func("amd-psp/transport/policy", test_policy);
    qtest_add_func("amd-psp/transport/domain", test_domain);
    qtest_add_func("amd-psp/transport/replay", test_replay);
    qtest_add_func("amd-psp/transport/truncate", test_truncate);
    qtest_add_func("amd-psp/transport/reorder", test_reorder);
    qtest_add_func("amd-psp/transport/vmsa-integrity", test_vmsa_integrity);
    qtest_add_func("amd-psp/transport/missing-word", test_missing_word);
    qtest_add_func("amd-psp/transport/slots", test_slots);
    qtest_add_func("amd-psp/transport/asid", test_asid);

    start(EAST, ",chip-seed=east");
    start(WEST, ",chip-seed=west");
    start(SOUTH, ",chip-seed=south,root-seed=south");
    ret = g_test_run();
    for (int i = 0; i < MACHINES; i++) {
        at(i);
        psp_stop();
    }
    return ret;
}
