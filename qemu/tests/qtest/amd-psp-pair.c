/*
 * AMD Platform Security Processor: machines between which guests go
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "libqos/fw_cfg.h"
#include "amd-psp-pair.h"

static Psp machines[MACHINES];
static int here;

void pair_at(int machine)
{
    machines[here] = psp;
    here = machine;
    psp = machines[here];
}

void pair_get_certs(int machine, Certs *c)
{
    int was = here;
    QFWCFG *fw_cfg;
    AmdPspEcPoint pdh;

    pair_at(machine);
    fw_cfg = pc_fw_cfg_init(psp.qts);
    psp_get_pdh(&pdh);
    qtest_memread(psp.qts, OUT, c->pdh, CERT_LEN);
    qtest_memread(psp.qts, OUT + 0x1000, c->chain, CHAIN_LEN);
    c->root_len = qfw_cfg_get_file(fw_cfg, "etc/amd-psp/ask-ark.cert",
                                   c->root, sizeof(c->root));
    g_assert_cmpuint(c->root_len, ==, ROOT_LEN);
    pc_fw_cfg_uninit(fw_cfg);
    pair_at(was);
}

unsigned pair_send_start(const Certs *to, Session *se)
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

unsigned pair_receive_start(const Session *se)
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

unsigned pair_send(unsigned cmd, uint64_t page, uint32_t len, Packet *p)
{
    unsigned ret = transport(cmd, page, len);

    p->len = len;
    qtest_memread(psp.qts, HDR_AT, p->hdr, HDR_LEN);
    qtest_memread(psp.qts, PACKET_AT, p->data, len);
    return ret;
}

unsigned pair_receive(unsigned cmd, const Packet *p, uint64_t page)
{
    qtest_memwrite(psp.qts, HDR_AT, p->hdr, HDR_LEN);
    qtest_memwrite(psp.qts, PACKET_AT, p->data, p->len);
    return transport(cmd, page, p->len);
}

unsigned pair_send_data(uint64_t page, uint32_t len, Packet *p)
{
    return pair_send(CMD_SEND_UPDATE_DATA, page, len, p);
}

unsigned pair_receive_data(const Packet *p, uint64_t page)
{
    return pair_receive(CMD_RECEIVE_UPDATE_DATA, p, page);
}

unsigned pair_send_vmsa(uint64_t page, Packet *p)
{
    return pair_send(CMD_SEND_UPDATE_VMSA, page, 0x1000, p);
}

unsigned pair_receive_vmsa(const Packet *p, uint64_t page)
{
    return pair_receive(CMD_RECEIVE_UPDATE_VMSA, p, page);
}

unsigned pair_activate(uint32_t asid)
{
    return PSP_CMD(CMD_ACTIVATE, { 0, 4, HANDLE }, { 4, 4, asid });
}

unsigned pair_simple(unsigned cmd)
{
    return PSP_CMD(cmd, { 0, 4, HANDLE });
}

unsigned pair_guest_state(void)
{
    g_assert_cmphex(pair_simple(CMD_GUEST_STATUS), ==, OK);
    return psp_out8(12);
}

void pair_peek(uint64_t page, void *buf, uint32_t len)
{
    g_assert_cmphex(PSP_CMD(CMD_DBG_DECRYPT, { 0, 4, HANDLE }, { 8, 8, page },
                            { 16, 8, OUT }, { 24, 4, len }), ==, OK);
    qtest_memread(psp.qts, OUT, buf, len);
}

void pair_poke(uint64_t page, const void *buf, uint32_t len)
{
    qtest_memwrite(psp.qts, OUT, buf, len);
    g_assert_cmphex(PSP_CMD(CMD_DBG_ENCRYPT, { 0, 4, HANDLE }, { 8, 8, OUT },
                            { 16, 8, page }, { 24, 4, len }), ==, OK);
}

void pair_fill(uint8_t *buf, size_t len, unsigned salt)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = i * 11 + (i >> 8) * 3 + salt;
    }
}

void pair_run_guest(uint32_t policy)
{
    g_autofree uint8_t *mem = g_malloc(GUEST_LEN);

    psp_reach(S_ACTIVE, policy);
    pair_fill(mem, GUEST_LEN, 1);
    qtest_memwrite(psp.qts, DATA, mem, GUEST_LEN);
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_UPDATE_DATA, { 0, 4, HANDLE },
                            { 8, 8, DATA }, { 16, 4, GUEST_LEN }), ==, OK);
    for (int i = 0; i < 2 && (policy & POLICY_ES); i++) {
        pair_fill(mem, 0x1000, 0x80 + i);
        qtest_memwrite(psp.qts, VMSA(i), mem, 0x1000);
        g_assert_cmphex(PSP_CMD(CMD_LAUNCH_UPDATE_VMSA, { 0, 4, HANDLE },
                                { 8, 8, VMSA(i) }, { 16, 4, 0x1000 }), ==,
                        OK);
    }
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_MEASURE, { 0, 4, HANDLE },
                            { 8, 8, OUT }, { 16, 4, 0x30 }), ==, OK);
    g_assert_cmphex(pair_simple(CMD_LAUNCH_FINISH), ==, OK);
}

void pair_connect(uint32_t policy, Session *se)
{
    g_autofree Certs *c = g_new(Certs, 1);

    pair_at(EAST);
    psp_reach(S_INIT, 0);
    pair_get_certs(EAST, c);
    pair_at(WEST);
    pair_run_guest(policy);
    g_assert_cmphex(pair_send_start(c, se), ==, OK);
    pair_at(EAST);
    g_assert_cmphex(pair_receive_start(se), ==, OK);
    g_assert_cmphex(pair_activate(9), ==, OK);
    pair_at(WEST);
}

void pair_start(void)
{
    static const char *const args[] = {
        ",chip-seed=east", ",chip-seed=west",
        ",chip-seed=south,root-seed=south",
    };

    for (int i = 0; i < MACHINES; i++) {
        pair_at(i);
        psp_start(args[i]);
    }
}

void pair_stop(void)
{
    for (int i = 0; i < MACHINES; i++) {
        pair_at(i);
        psp_stop();
    }
}
