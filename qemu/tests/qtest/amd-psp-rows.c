/*
 * AMD Platform Security Processor: one row per command, with a buffer that
 * succeeds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "amd-psp-rows.h"

static void prepare_session(void)
{
    psp_make_session(0, psp_known_tk);
}

static void prepare_secret(void)
{
    uint8_t plain[32] = "a secret of thirty-two bytes...";

    psp_make_packet(PACKET_SECRET, plain, sizeof(plain), 0);
}

static void prepare_data(void)
{
    uint8_t plain[32] = "thirty-two bytes of guest memory";

    psp_make_packet(PACKET_DATA, plain, sizeof(plain), 0);
}

static void prepare_vmsa(void)
{
    g_autofree uint8_t *plain = g_malloc0(0x1000);

    psp_make_packet(PACKET_VMSA, plain, 0x1000, 0);
}

static void prepare_peer(void)
{
    Peer peer;

    psp_make_peer(&peer);
}

static void prepare_nv(void)
{
    qtest_memset(psp.qts, NV, 0xff, NV_LEN);
}

#define H { 0, 4, HANDLE }

const Row psp_rows[] = {
    { "INIT", CMD_INIT, P_U, .good = {
        { 0, 4, 1 }, { 8, 8, TMR }, { 16, 4, TMR_LEN } } },
    { "INIT_EX", CMD_INIT_EX, P_U, .prepare = prepare_nv, .good = {
        { 0, 4, 0x24 }, { 4, 4, 1 }, { 8, 8, TMR }, { 16, 4, TMR_LEN },
        { 24, 8, NV }, { 32, 4, NV_LEN } } },
    { "SHUTDOWN", CMD_SHUTDOWN, P_ALL },
    { "FACTORY_RESET", CMD_FACTORY_RESET, P_U },
    { "PLATFORM_STATUS", CMD_PLATFORM_STATUS, P_ALL },
    { "PEK_GEN", CMD_PEK_GEN, P_I },
    { "PEK_CSR", CMD_PEK_CSR, P_I | P_W, .good = {
        { 0, 8, OUT }, { 8, 4, CERT_LEN } } },
    { "PDH_CERT_EXPORT", CMD_PDH_CERT_EXPORT, P_I | P_W, .good = {
        { 0, 8, OUT }, { 8, 4, CERT_LEN }, { 16, 8, OUT + 0x1000 },
        { 24, 4, 3 * CERT_LEN } } },
    { "PDH_GEN", CMD_PDH_GEN, P_I | P_W },
    { "DF_FLUSH", CMD_DF_FLUSH, P_ALL, .prepare = psp_wbinvd },
    { "GET_ID", CMD_GET_ID, P_ALL, .good = { { 0, 8, OUT }, { 8, 4, 64 } } },
    { "DECOMMISSION", CMD_DECOMMISSION, P_W, G_INACTIVE, .good = { H } },
    { "ACTIVATE", CMD_ACTIVATE, P_W, G_INACTIVE, .good = {
        H, { 4, 4, 7 } } },
    { "DEACTIVATE", CMD_DEACTIVATE, P_W, G_ACTIVE, .good = { H } },
    { "GUEST_STATUS", CMD_GUEST_STATUS, P_I | P_W, G_ANY, .good = { H } },
    { "LAUNCH_START", CMD_LAUNCH_START, P_I | P_W,
      .prepare = prepare_session, .good = {
        { 8, 8, IN }, { 16, 4, CERT_LEN }, { 24, 8, IN_SESSION },
        { 32, 4, SESSION_LEN } } },
    { "LAUNCH_UPDATE_DATA", CMD_LAUNCH_UPDATE_DATA, P_W, G(S_ACTIVE),
      .good = { H, { 8, 8, DATA }, { 16, 4, 0x2000 } } },
    { "LAUNCH_UPDATE_VMSA", CMD_LAUNCH_UPDATE_VMSA, P_W, G(S_ACTIVE), F_ES,
      .good = { H, { 8, 8, DATA }, { 16, 4, 0x1000 } } },
    { "LAUNCH_MEASURE", CMD_LAUNCH_MEASURE, P_W, G(S_LUPDATE) | G(S_ACTIVE),
      .good = { H, { 8, 8, OUT }, { 16, 4, 0x30 } } },
    { "LAUNCH_SECRET", CMD_LAUNCH_SECRET, P_W, G(S_LSECRET),
      .prepare = prepare_secret, .good = {
        H, { 8, 8, IN }, { 16, 4, 52 }, { 24, 8, DATA }, { 32, 4, 32 },
        { 40, 8, IN_PACKET }, { 48, 4, 32 } } },
    { "LAUNCH_FINISH", CMD_LAUNCH_FINISH, P_W, G(S_LSECRET), .good = { H } },
    { "ATTESTATION_REPORT", CMD_ATTESTATION_REPORT, P_W,
      G(S_LSECRET) | G(S_RUNNING) | G(S_SUPDATE) | G(S_SENT), .good = {
        H, { 8, 8, OUT }, { 16, 8, 0x1234 }, { 32, 4, 0xd0 } } },
    { "SEND_START", CMD_SEND_START, P_W, G(S_RUNNING),
      .prepare = prepare_peer, .good = {
        H, { 8, 8, PEER_PDH }, { 16, 4, CERT_LEN }, { 24, 8, PEER_CHAIN },
        { 32, 4, CHAIN_LEN }, { 56, 8, OUT }, { 64, 4, SESSION_LEN } } },
    { "SEND_UPDATE_DATA", CMD_SEND_UPDATE_DATA, P_W, G(S_SUPDATE), .good = {
        H, { 8, 8, OUT }, { 16, 4, 52 }, { 24, 8, DATA }, { 32, 4, 0x1000 },
        { 40, 8, OUT + 0x1000 }, { 48, 4, 0x1000 } } },
    { "SEND_UPDATE_VMSA", CMD_SEND_UPDATE_VMSA, P_W, G(S_SUPDATE), F_ES,
      .good = { H, { 8, 8, OUT }, { 16, 4, 52 }, { 24, 8, VMSA_PAGE },
        { 32, 4, 0x1000 }, { 40, 8, OUT + 0x1000 }, { 48, 4, 0x1000 } } },
    { "SEND_FINISH", CMD_SEND_FINISH, P_W, G(S_SUPDATE), .good = { H } },
    { "SEND_CANCEL", CMD_SEND_CANCEL, P_W, G(S_SUPDATE), .good = { H } },
    { "RECEIVE_START", CMD_RECEIVE_START, P_I | P_W,
      .prepare = prepare_session, .good = {
        { 8, 8, IN }, { 16, 4, CERT_LEN }, { 24, 8, IN_SESSION },
        { 32, 4, SESSION_LEN } } },
    { "RECEIVE_UPDATE_DATA", CMD_RECEIVE_UPDATE_DATA, P_W, G(S_RACTIVE),
      .prepare = prepare_data, .good = {
        H, { 8, 8, IN }, { 16, 4, 52 }, { 24, 8, DATA }, { 32, 4, 32 },
        { 40, 8, IN_PACKET }, { 48, 4, 32 } } },
    { "RECEIVE_UPDATE_VMSA", CMD_RECEIVE_UPDATE_VMSA, P_W, G(S_RACTIVE), F_ES,
      .prepare = prepare_vmsa, .good = {
        H, { 8, 8, IN }, { 16, 4, 52 }, { 24, 8, VMSA_PAGE },
        { 32, 4, 0x1000 }, { 40, 8, IN_PACKET }, { 48, 4, 0x1000 } } },
    { "RECEIVE_FINISH", CMD_RECEIVE_FINISH, P_W, G(S_RUPDATE) | G(S_RACTIVE),
      .good = { H } },
    { "DBG_DECRYPT", CMD_DBG_DECRYPT, P_W, G_ACTIVE, .good = {
        H, { 8, 8, DATA }, { 16, 8, OUT }, { 24, 4, 32 } } },
    { "DBG_ENCRYPT", CMD_DBG_ENCRYPT, P_W, G_ACTIVE, .good = {
        H, { 8, 8, OUT }, { 16, 8, DATA }, { 24, 4, 32 } } },
};

const size_t psp_nr_rows = ARRAY_SIZE(psp_rows);

size_t psp_row_fields(const Row *row)
{
    size_t n = 0;

    while (n < ARRAY_SIZE(row->good) && row->good[n].size) {
        n++;
    }
    return n;
}

void psp_expect(const Row *row, const char *what, Stage stage,
                unsigned got, unsigned want)
{
    if (got != want) {
        g_test_message("%s, %s, stage %d: 0x%x instead of 0x%x", row->name,
                       what, stage, got, want);
        g_test_fail();
    }
}

void psp_add_rows(const char *kind, GTestDataFunc fn,
                  bool (*applies)(const Row *row))
{
    for (unsigned i = 0; i < psp_nr_rows; i++) {
        if (applies(&psp_rows[i])) {
            g_autofree char *path = g_strdup_printf("amd-psp/%s/%s",
                                                    psp_rows[i].name, kind);
            qtest_add_data_func(path, &psp_rows[i], fn);
        }
    }
}
