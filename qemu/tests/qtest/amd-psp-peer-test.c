/*
 * AMD Platform Security Processor: to whom a guest may go
 *
 * Certificates of the other machine, damaged and swapped, and policies.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "amd-psp-pair.h"

/* @len bytes of @c at @raw: each byte that is damaged makes it refused. */
static void flip_certs(const Certs *c, uint8_t *raw, unsigned len,
                       unsigned step)
{
    Session se;

    for (unsigned i = 0; i < len; i += step) {
        unsigned ret;

        raw[i] ^= 1 << i % 8;
        ret = pair_send_start(c, &se);
        if (ret != INVALID_CERTIFICATE && ret != BAD_SIGNATURE) {
            g_test_message("offset 0x%x: status 0x%x", i, ret);
            g_test_fail();
            return;
        }
        raw[i] ^= 1 << i % 8;
    }
}

static void test_flip_certs(void)
{
    g_autofree Certs *c = g_new(Certs, 1);
    Session se;

    pair_at(EAST);
    psp_reach(S_INIT, 0);
    pair_get_certs(EAST, c);
    pair_at(WEST);
    pair_run_guest(POLICY_ES | POLICY_SEV);
    /* An odd step reaches each bit of a byte; heads and keys in full. */
    flip_certs(c, c->pdh, 0x100, 1);
    flip_certs(c, c->pdh, CERT_LEN, 5);
    for (int i = 0; i < 3; i++) {
        flip_certs(c, c->chain[i], 0x100, 1);
        flip_certs(c, c->chain[i], CERT_LEN, 5);
    }
    flip_certs(c, c->root, ROOT_LEN, 1);
    g_assert_cmpuint(pair_guest_state(), ==, 3);
    g_assert_cmphex(pair_send_start(c, &se), ==, OK);

    /* Where the root does not matter, it must hold all the same. */
    pair_run_guest(0);
    flip_certs(c, c->root, ROOT_LEN, 7);
    c->root_len = ROOT_LEN + 16;
    g_assert_cmphex(pair_send_start(c, &se), ==, INVALID_CERTIFICATE);
}

/* Certificates that are good, but another machine's */
static void test_swap_certs(void)
{
    g_autofree Certs *east = g_new(Certs, 1);
    g_autofree Certs *south = g_new(Certs, 1);
    g_autofree Certs *c = g_new(Certs, 1);
    Session se;

    pair_at(SOUTH);
    psp_reach(S_INIT, 0);
    pair_get_certs(SOUTH, south);
    pair_at(EAST);
    psp_reach(S_INIT, 0);
    pair_get_certs(EAST, east);
    pair_at(WEST);
    pair_run_guest(0);
    *c = *east;
    memcpy(c->pdh, south->pdh, CERT_LEN);
    g_assert_cmphex(pair_send_start(c, &se), ==, BAD_SIGNATURE);
    for (int i = 0; i < 3; i++) {
        *c = *east;
        memcpy(c->chain[i], south->chain[i], CERT_LEN);
        g_assert_cmphex(pair_send_start(c, &se), ==, BAD_SIGNATURE);
    }
    *c = *east;
    memcpy(c->root, south->root, ROOT_LEN);
    g_assert_cmphex(pair_send_start(c, &se), ==, BAD_SIGNATURE);
    /* The ASK of one and the ARK of the other; ARK before ASK; too little */
    memcpy(c->root, east->root, ROOT_LEN / 2);
    g_assert_cmphex(pair_send_start(c, &se), ==, BAD_SIGNATURE);
    memcpy(c->root, east->root + ROOT_LEN / 2, ROOT_LEN / 2);
    memcpy(c->root + ROOT_LEN / 2, east->root, ROOT_LEN / 2);
    g_assert_cmphex(pair_send_start(c, &se), ==, INVALID_CERTIFICATE);
    *c = *east;
    c->root_len = ROOT_LEN / 2;
    g_assert_cmphex(pair_send_start(c, &se), ==, INVALID_CERTIFICATE);
    g_assert_cmphex(pair_send_start(east, &se), ==, OK);
}

/* The guest's policy asks for firmware that is not older than so and so. */
static void test_api(void)
{
    const uint32_t policy = 1 << 16 | 55 << 24;
    Peer peer;

    pair_at(WEST);
    pair_run_guest(policy);
    psp_make_peer(&peer);
    for (int minor = 54; minor <= 55; minor++) {
        peer.pdh_cert[5] = minor;
        psp_cert_sign(peer.pdh_cert, 0, USAGE_PEK, &peer.pek);
        qtest_memwrite(psp.qts, PEER_PDH, peer.pdh_cert, CERT_LEN);
        g_assert_cmphex(psp_send_start(), ==,
                        minor == 55 ? OK : POLICY_FAILURE);
    }
}

static unsigned try_send(uint32_t policy, const Certs *to)
{
    Session se;

    pair_at(WEST);
    pair_run_guest(policy);
    return pair_send_start(to, &se);
}

static void test_policy(void)
{
    g_autofree Certs *east = g_new(Certs, 1);
    g_autofree Certs *south = g_new(Certs, 1);

    pair_at(SOUTH);
    psp_reach(S_INIT, 0);
    pair_get_certs(SOUTH, south);
    pair_at(EAST);
    psp_reach(S_INIT, 0);
    pair_get_certs(EAST, east);
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

    pair_at(machine);
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
    pair_get_certs(EAST, c);
    take_over(WEST, &owner);
    g_assert_cmphex(try_send(POLICY_DOMAIN | POLICY_SEV, c), ==, OK);
    /* Give both back to themselves. */
    pair_at(WEST);
    psp_reach(S_INIT, 0);
    g_assert_cmphex(psp_cmd_at(CMD_PEK_GEN, 0, false), ==, OK);
    pair_at(EAST);
    psp_reach(S_INIT, 0);
    g_assert_cmphex(psp_cmd_at(CMD_PEK_GEN, 0, false), ==, OK);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    qtest_add_func("amd-psp/peer/flip-certificates", test_flip_certs);
    qtest_add_func("amd-psp/peer/swap-certificates", test_swap_certs);
    qtest_add_func("amd-psp/peer/api", test_api);
    qtest_add_func("amd-psp/peer/policy", test_policy);
    qtest_add_func("amd-psp/peer/domain", test_domain);

    pair_start();
    ret = g_test_run();
    pair_stop();
    return ret;
}
