/*
 * AMD Platform Security Processor: every command's success, wrong platform
 * and guest states, and bad fields
 *
 * Two tables: one row per command with a buffer that succeeds, from which the
 * generic tests derive what must fail; and one row per field that can be wrong.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "amd-psp-util.h"

/* Platform states and guest stages in which a command succeeds */
#define P_U BIT(0)
#define P_I BIT(1)
#define P_W BIT(2)
#define P_ALL (P_U | P_I | P_W)
#define G(stage) BIT(stage)
#define G_ACTIVE (G(S_ACTIVE) | G(S_LSECRET) | G(S_RUNNING) | G(S_SUPDATE) | \
                  G(S_SENT) | G(S_RACTIVE))
#define G_INACTIVE (G(S_LUPDATE) | G(S_RUPDATE))
#define G_ANY (G_ACTIVE | G_INACTIVE)

#define F_ES BIT(0)                     /* needs an ES guest */

typedef struct Row {
    const char *name;
    unsigned cmd;
    unsigned platform;
    unsigned stages;                    /* 0: names no guest */
    unsigned flags;
    void (*prepare)(void);
    Field good[8];
} Row;

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

static const Row rows[] = {
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

static const Row *find_row(unsigned cmd)
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (rows[i].cmd == cmd) {
            return &rows[i];
        }
    }
    g_assert_not_reached();
}

static size_t row_fields(const Row *row)
{
    size_t n = 0;

    while (n < ARRAY_SIZE(row->good) && row->good[n].size) {
        n++;
    }
    return n;
}

static unsigned platform_of(Stage stage)
{
    return stage == S_UNINIT ? P_U : stage == S_INIT ? P_I : P_W;
}

static void expect(const Row *row, const char *what, Stage stage,
                   unsigned got, unsigned want)
{
    if (got != want) {
        g_test_message("%s, %s, stage %d: 0x%x instead of 0x%x", row->name,
                       what, stage, got, want);
        g_test_fail();
    }
}

/* Stage at which the command succeeds, of those that the row allows */
static Stage good_stage(const Row *row)
{
    if (row->stages) {
        return ctz32(row->stages);
    }
    return ctz32(row->platform);
}

static void reach(const Row *row, Stage stage)
{
    psp_reach(stage, row->flags & F_ES ? POLICY_ES : 0);
    if (row->prepare && (row->platform & platform_of(stage))) {
        row->prepare();
    }
}

static unsigned run_good(const Row *row)
{
    return psp_cmd(row->cmd, row->good, row_fields(row));
}

static void test_success(gconstpointer data)
{
    const Row *row = data;

    for (Stage st = S_UNINIT; st < S_COUNT; st++) {
        if (row->stages ? row->stages & G(st) :
                          row->platform & platform_of(st)) {
            reach(row, st);
            expect(row, "success", st, run_good(row), OK);
        }
    }
}

static void test_platform_state(gconstpointer data)
{
    const Row *row = data;

    for (Stage st = S_UNINIT; st <= S_LUPDATE; st++) {
        if (!(row->platform & platform_of(st))) {
            reach(row, st);
            expect(row, "platform state", st, run_good(row),
                   INVALID_PLATFORM_STATE);
        }
    }
}

static void test_guest_state(gconstpointer data)
{
    const Row *row = data;

    for (Stage st = S_LUPDATE; st < S_COUNT; st++) {
        unsigned got;

        if (row->stages & G(st)) {
            continue;
        }
        reach(row, st);
        got = run_good(row);
        if (row->cmd == CMD_ACTIVATE || row->cmd == CMD_DECOMMISSION) {
            expect(row, "active guest", st, got, ACTIVE);
        } else if ((st == S_LUPDATE && (row->stages & G(S_ACTIVE))) ||
                   (st == S_RUPDATE && (row->stages & G(S_RACTIVE)))) {
            expect(row, "inactive guest", st, got, INACTIVE);
        } else {
            expect(row, "guest state", st, got, INVALID_GUEST_STATE);
        }
    }
}

static void test_handle(gconstpointer data)
{
    static const uint64_t bad[] = { 0, 0xffffffff, 0x12345678 };
    const Row *row = data;

    reach(row, good_stage(row));
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        psp.handle = bad[i];
        expect(row, "unknown handle", good_stage(row), run_good(row),
               INVALID_GUEST);
    }
}

static void test_cmdbuf(gconstpointer data)
{
    static const uint64_t bad[] = {
        ABSENT, 0xffffffffffffffffULL, 0xfee00000, 64 * 1024 * 1024 - 1,
    };
    const Row *row = data;

    reach(row, good_stage(row));
    for (unsigned i = 0; i < ARRAY_SIZE(bad); i++) {
        expect(row, "command buffer", good_stage(row),
               psp_cmd_at(row->cmd, bad[i], false), INVALID_ADDRESS);
    }
}

/* The good buffer with one or two fields replaced */
typedef struct BadField {
    unsigned cmd;
    const char *what;
    Stage stage;
    uint32_t policy;
    unsigned status;
    Field field[2];
} BadField;

#define BAD(cmd, what, st, status, ...) \
    { CMD_##cmd, what, st, 0, status, { __VA_ARGS__ } }

static const BadField bad_fields[] = {
    BAD(INIT, "short TMR", S_UNINIT, INVALID_LEN, { 16, 4, 0xff000 }),
    BAD(INIT, "long TMR", S_UNINIT, INVALID_LEN, { 16, 4, 0x200000 }),
    BAD(INIT, "unaligned TMR", S_UNINIT, INVALID_ADDRESS, { 8, 8, TMR + 4096 }),
    BAD(INIT, "absent TMR", S_UNINIT, INVALID_ADDRESS, { 8, 8, ABSENT }),
    BAD(INIT, "no ES, no TMR", S_UNINIT, OK, { 0, 4, 0 }, { 8, 8, ABSENT }),
    BAD(INIT, "C-bit in the address", S_UNINIT, OK, { 8, 8, TMR | CBIT }),
    BAD(INIT_EX, "length", S_UNINIT, INVALID_LEN, { 0, 4, 0x20 }),
    BAD(INIT_EX, "short NV", S_UNINIT, INVALID_LEN, { 32, 4, 0x7000 }),
    BAD(INIT_EX, "unaligned NV", S_UNINIT, INVALID_ADDRESS, { 24, 8, NV + 16 }),
    BAD(INIT_EX, "absent NV", S_UNINIT, INVALID_ADDRESS, { 24, 8, ABSENT }),
    BAD(INIT_EX, "NV in TMR", S_UNINIT, INVALID_ADDRESS, { 24, 8, TMR }),
    BAD(INIT_EX, "short TMR", S_UNINIT, INVALID_LEN, { 16, 4, 0x1000 }),
    BAD(INIT_EX, "unaligned TMR", S_UNINIT, INVALID_ADDRESS,
        { 8, 8, TMR + 16 }),
    BAD(PEK_CSR, "short", S_INIT, INVALID_LEN, { 8, 4, CERT_LEN - 1 }),
    BAD(PEK_CSR, "absent", S_INIT, INVALID_ADDRESS, { 0, 8, ABSENT }),
    BAD(PDH_CERT_EXPORT, "short PDH", S_INIT, INVALID_LEN, { 8, 4, 0 }),
    BAD(PDH_CERT_EXPORT, "short chain", S_INIT, INVALID_LEN,
        { 24, 4, CERT_LEN }),
    BAD(PDH_CERT_EXPORT, "absent PDH", S_INIT, INVALID_ADDRESS,
        { 0, 8, ABSENT }),
    BAD(PDH_CERT_EXPORT, "absent chain", S_INIT, INVALID_ADDRESS,
        { 16, 8, ABSENT }),
    BAD(GET_ID, "short", S_UNINIT, INVALID_LEN, { 8, 4, 63 }),
    BAD(GET_ID, "absent", S_UNINIT, INVALID_ADDRESS, { 0, 8, ABSENT }),
    BAD(ACTIVATE, "ASID 0", S_LUPDATE, INVALID_ASID, { 4, 4, 0 }),
    BAD(ACTIVATE, "highest ASID", S_LUPDATE, OK, { 4, 4, 509 }),
    BAD(ACTIVATE, "ASID too high", S_LUPDATE, INVALID_ASID, { 4, 4, 510 }),
    BAD(ACTIVATE, "ASID far too high", S_LUPDATE, INVALID_ASID,
        { 4, 4, 0xffffffff }),
    BAD(LAUNCH_START, "short session", S_INIT, INVALID_LEN, { 32, 4, 127 }),
    BAD(LAUNCH_START, "long session", S_INIT, INVALID_LEN, { 32, 4, 129 }),
    BAD(LAUNCH_START, "short certificate", S_INIT, INVALID_LEN,
        { 16, 4, CERT_LEN - 1 }),
    BAD(LAUNCH_START, "absent certificate", S_INIT, INVALID_ADDRESS,
        { 8, 8, ABSENT }),
    BAD(LAUNCH_START, "absent session", S_INIT, INVALID_ADDRESS,
        { 24, 8, ABSENT }),
    BAD(LAUNCH_START, "not a certificate", S_INIT, INVALID_CERTIFICATE,
        { 8, 8, DATA }),
    BAD(LAUNCH_START, "not the session", S_INIT, BAD_MEASUREMENT,
        { 24, 8, DATA }),
    BAD(LAUNCH_START, "not the session's policy", S_INIT, BAD_MEASUREMENT,
        { 4, 4, POLICY_NODBG }),
    BAD(LAUNCH_START, "no session", S_INIT, OK, { 8, 8, 0 }, { 32, 4, 0 }),
    BAD(LAUNCH_START, "newer API minor", S_INIT, POLICY_FAILURE,
        { 4, 4, 0xff010000 }),
    BAD(LAUNCH_START, "newer API major", S_INIT, POLICY_FAILURE,
        { 4, 4, 0x00020000 }),
    BAD(LAUNCH_START, "unknown key share", S_LUPDATE, INVALID_GUEST,
        { 0, 4, 0x7777 }),
    BAD(LAUNCH_START, "key share", S_LUPDATE, OK, { 0, 4, HANDLE }),
    BAD(LAUNCH_START, "key share with NOKS", S_LUPDATE, POLICY_FAILURE,
        { 0, 4, HANDLE }, { 4, 4, POLICY_NOKS }),
    BAD(LAUNCH_UPDATE_DATA, "no length", S_ACTIVE, INVALID_LEN, { 16, 4, 0 }),
    BAD(LAUNCH_UPDATE_DATA, "odd length", S_ACTIVE, INVALID_LEN, { 16, 4, 24 }),
    BAD(LAUNCH_UPDATE_DATA, "unaligned", S_ACTIVE, INVALID_ADDRESS,
        { 8, 8, DATA + 8 }),
    BAD(LAUNCH_UPDATE_DATA, "absent", S_ACTIVE, INVALID_ADDRESS,
        { 8, 8, ABSENT }),
    BAD(LAUNCH_UPDATE_DATA, "beyond RAM", S_ACTIVE, INVALID_ADDRESS,
        { 16, 4, 0xfffffff0 }),
    BAD(LAUNCH_UPDATE_DATA, "wraps", S_ACTIVE, INVALID_ADDRESS,
        { 8, 8, 0xfffffffffffffff0 }),
    BAD(LAUNCH_UPDATE_DATA, "C-bit in the address", S_ACTIVE, OK,
        { 8, 8, DATA | CBIT }),
    BAD(LAUNCH_UPDATE_VMSA, "short", S_ACTIVE, INVALID_LEN, { 16, 4, 0xff0 }),
    BAD(LAUNCH_UPDATE_VMSA, "long", S_ACTIVE, INVALID_LEN, { 16, 4, 0x2000 }),
    BAD(LAUNCH_UPDATE_VMSA, "unaligned", S_ACTIVE, INVALID_ADDRESS,
        { 8, 8, DATA + 8 }),
    BAD(LAUNCH_UPDATE_VMSA, "absent", S_ACTIVE, INVALID_ADDRESS,
        { 8, 8, ABSENT }),
    BAD(LAUNCH_MEASURE, "short", S_ACTIVE, INVALID_LEN, { 16, 4, 0x2f }),
    BAD(LAUNCH_MEASURE, "absent", S_ACTIVE, INVALID_ADDRESS, { 8, 8, ABSENT }),
    BAD(LAUNCH_SECRET, "short header", S_LSECRET, INVALID_LEN, { 16, 4, 51 }),
    BAD(LAUNCH_SECRET, "no length", S_LSECRET, INVALID_LEN,
        { 32, 4, 0 }, { 48, 4, 0 }),
    BAD(LAUNCH_SECRET, "lengths differ", S_LSECRET, INVALID_LEN,
        { 48, 4, 48 }),
    BAD(LAUNCH_SECRET, "odd length", S_LSECRET, INVALID_LEN,
        { 32, 4, 24 }, { 48, 4, 24 }),
    BAD(LAUNCH_SECRET, "too long", S_LSECRET, INVALID_LEN,
        { 32, 4, 0x5010 }, { 48, 4, 0x5010 }),
    BAD(LAUNCH_SECRET, "other length than sent", S_LSECRET, BAD_MEASUREMENT,
        { 32, 4, 16 }, { 48, 4, 16 }),
    BAD(LAUNCH_SECRET, "absent header", S_LSECRET, INVALID_ADDRESS,
        { 8, 8, ABSENT }),
    BAD(LAUNCH_SECRET, "absent guest page", S_LSECRET, INVALID_ADDRESS,
        { 24, 8, ABSENT }),
    BAD(LAUNCH_SECRET, "unaligned guest page", S_LSECRET, INVALID_ADDRESS,
        { 24, 8, DATA + 1 }),
    BAD(LAUNCH_SECRET, "absent packet", S_LSECRET, INVALID_ADDRESS,
        { 40, 8, ABSENT }),
    BAD(LAUNCH_SECRET, "not the packet", S_LSECRET, BAD_MEASUREMENT,
        { 40, 8, DATA }),
    BAD(ATTESTATION_REPORT, "short", S_LSECRET, INVALID_LEN, { 32, 4, 0xcf }),
    BAD(ATTESTATION_REPORT, "absent", S_LSECRET, INVALID_ADDRESS,
        { 8, 8, ABSENT }),
    BAD(SEND_START, "length query", S_RUNNING, INVALID_LEN, { 64, 4, 0 }),
    BAD(SEND_START, "short session", S_RUNNING, INVALID_LEN, { 64, 4, 127 }),
    BAD(SEND_START, "long session", S_RUNNING, OK, { 64, 4, 0x1000 }),
    BAD(SEND_START, "short PDH", S_RUNNING, INVALID_LEN,
        { 16, 4, CERT_LEN - 1 }),
    BAD(SEND_START, "long chain", S_RUNNING, INVALID_LEN,
        { 32, 4, CHAIN_LEN + 1 }),
    BAD(SEND_START, "long root", S_RUNNING, INVALID_LEN,
        { 40, 8, DATA }, { 48, 4, 0x1000 }),
    BAD(SEND_START, "absent PDH", S_RUNNING, INVALID_ADDRESS,
        { 8, 8, ABSENT }),
    BAD(SEND_START, "absent chain", S_RUNNING, INVALID_ADDRESS,
        { 24, 8, ABSENT }),
    BAD(SEND_START, "absent root", S_RUNNING, INVALID_ADDRESS,
        { 40, 8, ABSENT }, { 48, 4, 0x680 }),
    BAD(SEND_START, "absent session", S_RUNNING, INVALID_ADDRESS,
        { 56, 8, ABSENT }),
    BAD(SEND_START, "not a PDH", S_RUNNING, INVALID_CERTIFICATE,
        { 8, 8, DATA }),
    BAD(SEND_START, "not a chain", S_RUNNING, INVALID_CERTIFICATE,
        { 24, 8, DATA }),
    BAD(SEND_START, "not a root", S_RUNNING, INVALID_CERTIFICATE,
        { 40, 8, DATA }, { 48, 4, 0x680 }),
    BAD(SEND_UPDATE_DATA, "length query", S_SUPDATE, INVALID_LEN,
        { 16, 4, 0 }, { 48, 4, 0 }),
    BAD(SEND_UPDATE_DATA, "short header", S_SUPDATE, INVALID_LEN,
        { 16, 4, 51 }),
    BAD(SEND_UPDATE_DATA, "the header's length before the guest", S_SUPDATE,
        INVALID_LEN, { 16, 4, 0 }, { 0, 4, 0x7777 }),
    BAD(SEND_UPDATE_DATA, "long header", S_SUPDATE, OK, { 16, 4, 0x1000 }),
    BAD(SEND_UPDATE_DATA, "no length", S_SUPDATE, INVALID_LEN, { 32, 4, 0 }),
    BAD(SEND_UPDATE_DATA, "odd length", S_SUPDATE, INVALID_LEN, { 32, 4, 24 }),
    BAD(SEND_UPDATE_DATA, "too long", S_SUPDATE, INVALID_LEN,
        { 32, 4, 0x5010 }, { 48, 4, 0x5010 }),
    BAD(SEND_UPDATE_DATA, "no room", S_SUPDATE, INVALID_LEN,
        { 48, 4, 0xff0 }),
    BAD(SEND_UPDATE_DATA, "much room", S_SUPDATE, OK, { 48, 4, 0xffffffff }),
    BAD(SEND_UPDATE_DATA, "unaligned", S_SUPDATE, INVALID_ADDRESS,
        { 24, 8, DATA + 8 }),
    BAD(SEND_UPDATE_DATA, "C-bit in the address", S_SUPDATE, OK,
        { 24, 8, DATA | CBIT }),
    BAD(SEND_UPDATE_DATA, "absent page", S_SUPDATE, INVALID_ADDRESS,
        { 24, 8, ABSENT }),
    BAD(SEND_UPDATE_DATA, "absent header", S_SUPDATE, INVALID_ADDRESS,
        { 8, 8, ABSENT }),
    BAD(SEND_UPDATE_DATA, "absent packet", S_SUPDATE, INVALID_ADDRESS,
        { 40, 8, ABSENT }),
    BAD(SEND_UPDATE_VMSA, "length query", S_SUPDATE, INVALID_LEN,
        { 16, 4, 0 }, { 48, 4, 0 }),
    BAD(SEND_UPDATE_VMSA, "short", S_SUPDATE, INVALID_PARAM,
        { 32, 4, 0xff0 }),
    BAD(SEND_UPDATE_VMSA, "longer than a page", S_SUPDATE, OK,
        { 32, 4, 0x1010 }, { 48, 4, 0x1010 }),
    BAD(SEND_UPDATE_VMSA, "not a VMSA", S_SUPDATE, INVALID_PARAM,
        { 24, 8, DATA }),
    BAD(SEND_UPDATE_VMSA, "no room", S_SUPDATE, INVALID_LEN, { 48, 4, 0xff0 }),
    BAD(SEND_UPDATE_VMSA, "unaligned", S_SUPDATE, INVALID_ADDRESS,
        { 24, 8, VMSA_PAGE + 8 }),
    BAD(RECEIVE_START, "short session", S_INIT, INVALID_LEN, { 32, 4, 127 }),
    BAD(RECEIVE_START, "no session", S_INIT, INVALID_LEN, { 32, 4, 0 }),
    BAD(RECEIVE_START, "short certificate", S_INIT, INVALID_LEN,
        { 16, 4, CERT_LEN - 1 }),
    BAD(RECEIVE_START, "no certificate", S_INIT, INVALID_CERTIFICATE,
        { 8, 8, 0 }),
    BAD(RECEIVE_START, "absent certificate", S_INIT, INVALID_ADDRESS,
        { 8, 8, ABSENT }),
    BAD(RECEIVE_START, "absent session", S_INIT, INVALID_ADDRESS,
        { 24, 8, ABSENT }),
    BAD(RECEIVE_START, "not the session", S_INIT, BAD_MEASUREMENT,
        { 24, 8, DATA }),
    BAD(RECEIVE_START, "not the session's policy", S_INIT, BAD_MEASUREMENT,
        { 4, 4, POLICY_NODBG }),
    BAD(RECEIVE_START, "newer API minor", S_INIT, POLICY_FAILURE,
        { 4, 4, 0xff010000 }),
    BAD(RECEIVE_START, "unknown key share", S_LUPDATE, INVALID_GUEST,
        { 0, 4, 0x7777 }),
    BAD(RECEIVE_START, "key share", S_LUPDATE, OK, { 0, 4, HANDLE }),
    BAD(RECEIVE_UPDATE_DATA, "short header", S_RACTIVE, INVALID_LEN,
        { 16, 4, 51 }),
    BAD(RECEIVE_UPDATE_DATA, "no length", S_RACTIVE, INVALID_LEN,
        { 32, 4, 0 }, { 48, 4, 0 }),
    BAD(RECEIVE_UPDATE_DATA, "lengths differ", S_RACTIVE, INVALID_LEN,
        { 48, 4, 48 }),
    BAD(RECEIVE_UPDATE_DATA, "odd length", S_RACTIVE, INVALID_LEN,
        { 32, 4, 24 }, { 48, 4, 24 }),
    BAD(RECEIVE_UPDATE_DATA, "too long", S_RACTIVE, INVALID_LEN,
        { 32, 4, 0x5010 }, { 48, 4, 0x5010 }),
    BAD(RECEIVE_UPDATE_DATA, "truncated", S_RACTIVE, BAD_MEASUREMENT,
        { 32, 4, 16 }, { 48, 4, 16 }),
    BAD(RECEIVE_UPDATE_DATA, "longer than sent", S_RACTIVE, BAD_MEASUREMENT,
        { 32, 4, 48 }, { 48, 4, 48 }),
    BAD(RECEIVE_UPDATE_DATA, "unaligned", S_RACTIVE, INVALID_ADDRESS,
        { 24, 8, DATA + 8 }),
    BAD(RECEIVE_UPDATE_DATA, "absent page", S_RACTIVE, INVALID_ADDRESS,
        { 24, 8, ABSENT }),
    BAD(RECEIVE_UPDATE_DATA, "absent header", S_RACTIVE, INVALID_ADDRESS,
        { 8, 8, ABSENT }),
    BAD(RECEIVE_UPDATE_DATA, "absent packet", S_RACTIVE, INVALID_ADDRESS,
        { 40, 8, ABSENT }),
    BAD(RECEIVE_UPDATE_DATA, "not the packet", S_RACTIVE, BAD_MEASUREMENT,
        { 40, 8, DATA }),
    BAD(RECEIVE_UPDATE_VMSA, "truncated", S_RACTIVE, BAD_MEASUREMENT,
        { 32, 4, 0xff0 }, { 48, 4, 0xff0 }),
    BAD(RECEIVE_UPDATE_VMSA, "lengths differ", S_RACTIVE, INVALID_LEN,
        { 48, 4, 0x1010 }),
    BAD(RECEIVE_UPDATE_VMSA, "unaligned", S_RACTIVE, INVALID_ADDRESS,
        { 24, 8, VMSA_PAGE + 8 }),
    BAD(DBG_DECRYPT, "no length", S_RUNNING, INVALID_LEN, { 24, 4, 0 }),
    BAD(DBG_DECRYPT, "odd length", S_RUNNING, INVALID_LEN, { 24, 4, 8 }),
    BAD(DBG_DECRYPT, "unaligned source", S_RUNNING, INVALID_ADDRESS,
        { 8, 8, DATA + 4 }),
    BAD(DBG_DECRYPT, "unaligned target", S_RUNNING, INVALID_ADDRESS,
        { 16, 8, OUT + 4 }),
    BAD(DBG_DECRYPT, "absent source", S_RUNNING, INVALID_ADDRESS,
        { 8, 8, ABSENT }),
    BAD(DBG_DECRYPT, "absent target", S_RUNNING, INVALID_ADDRESS,
        { 16, 8, ABSENT }),
    BAD(DBG_ENCRYPT, "odd length", S_RUNNING, INVALID_LEN, { 24, 4, 8 }),
    BAD(DBG_ENCRYPT, "unaligned target", S_RUNNING, INVALID_ADDRESS,
        { 16, 8, DATA + 4 }),
    BAD(DBG_ENCRYPT, "absent source", S_RUNNING, INVALID_ADDRESS,
        { 8, 8, ABSENT }),
    { CMD_SEND_START, "NOSEND", S_RUNNING, POLICY_NOSEND, POLICY_FAILURE },
    { CMD_SEND_START, "other domain", S_RUNNING, POLICY_DOMAIN,
      POLICY_FAILURE },
    { CMD_SEND_START, "no root", S_RUNNING, POLICY_SEV, INVALID_CERTIFICATE },
    { CMD_DBG_DECRYPT, "policy", S_RUNNING, POLICY_NODBG, POLICY_FAILURE },
    { CMD_DBG_ENCRYPT, "policy", S_RUNNING, POLICY_NODBG, POLICY_FAILURE },
};

static void run_bad_field(const Row *row, const BadField *bad)
{
    Field f[ARRAY_SIZE(row->good) + ARRAY_SIZE(bad->field)];
    size_t n = row_fields(row);
    uint32_t policy = bad->policy | (row->flags & F_ES ? POLICY_ES : 0);

    psp_reach(bad->stage, policy);
    qtest_memset(psp.qts, DATA, 0, 0x1000);
    if (row->prepare) {
        row->prepare();
    }
    /* Fields are written in order, so that later ones replace earlier ones. */
    memcpy(f, row->good, sizeof(row->good));
    for (size_t i = 0; i < ARRAY_SIZE(bad->field) && bad->field[i].size; i++) {
        f[n++] = bad->field[i];
    }
    expect(row, bad->what, bad->stage, psp_cmd(row->cmd, f, n), bad->status);
}

static void test_bad_fields(gconstpointer data)
{
    const Row *row = data;

    for (unsigned i = 0; i < ARRAY_SIZE(bad_fields); i++) {
        if (bad_fields[i].cmd == row->cmd) {
            run_bad_field(row, &bad_fields[i]);
        }
    }
}

/* A 32-bit command field has 11 bits of command: whatever has no row fails. */
static void test_unknown(void)
{
    /* SEV-SNP's are amd-psp-snp-test's. */
    static const uint8_t snp[] = {
        0x81, 0x82, 0x83, 0x84, 0x85, 0x86, 0x90, 0x91, 0x92, 0x93, 0x94, 0xa0,
        0xa1, 0xa2, 0xb0, 0xb1, 0xc7, 0xc8, 0xc9, 0xcb,
    };

    psp_reach(S_RUNNING, 0);
    for (unsigned cmd = 0; cmd < 0x800; cmd++) {
        bool known = cmd == CMD_PEK_CERT_IMPORT || cmd == CMD_DOWNLOAD_FIRMWARE;

        for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
            known |= rows[i].cmd == cmd;
        }
        known |= cmd <= UINT8_MAX && memchr(snp, cmd, sizeof(snp));
        if (!known) {
            g_assert_cmphex(psp_cmd_at(cmd, CMDBUF, false), ==,
                            INVALID_COMMAND);
        }
    }
}

/* VMSAs of a guest without ES, and ES without a TMR */
static void test_es_unsupported(void)
{
    psp_reach(S_ACTIVE, 0);
    g_assert_cmphex(run_good(find_row(CMD_LAUNCH_UPDATE_VMSA)), ==,
                    UNSUPPORTED);
    psp_reach(S_SUPDATE, 0);
    g_assert_cmphex(run_good(find_row(CMD_SEND_UPDATE_VMSA)), ==, UNSUPPORTED);
    psp_reach(S_RACTIVE, 0);
    g_assert_cmphex(run_good(find_row(CMD_RECEIVE_UPDATE_VMSA)), ==,
                    UNSUPPORTED);

    psp_reach(S_UNINIT, 0);
    g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 0 }), ==, OK);
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_START, { 4, 4, POLICY_ES }), ==,
                    UNSUPPORTED);
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_START, { 4, 4, 0 }), ==, OK);
}

static void test_download_firmware(void)
{
    psp_reach(S_UNINIT, 0);
    g_assert_cmphex(PSP_CMD(CMD_DOWNLOAD_FIRMWARE, { 0, 8, DATA },
                            { 8, 4, 0x1000 }), ==, BAD_SIGNATURE);
    g_assert_cmphex(PSP_CMD(CMD_DOWNLOAD_FIRMWARE, { 0, 8, DATA },
                            { 8, 4, 0 }), ==, INVALID_LEN);
    g_assert_cmphex(PSP_CMD(CMD_DOWNLOAD_FIRMWARE, { 0, 8, DATA + 16 },
                            { 8, 4, 0x1000 }), ==, INVALID_ADDRESS);
    g_assert_cmphex(PSP_CMD(CMD_DOWNLOAD_FIRMWARE, { 0, 8, ABSENT },
                            { 8, 4, 0x1000 }), ==, INVALID_ADDRESS);
    psp_reach(S_INIT, 0);
    g_assert_cmphex(PSP_CMD(CMD_DOWNLOAD_FIRMWARE, { 0, 8, DATA },
                            { 8, 4, 0x1000 }), ==, INVALID_PLATFORM_STATE);
}

/*
 * Random commands with random fields, valid ones often enough to get anywhere:
 * the device always answers, and still works afterwards.
 */
#define RANDOM_COMMANDS 20000

static uint64_t random_value(void)
{
    static const uint64_t values[] = {
        0, 1, 2, 4, 15, 16, 32, 52, 64, 128, 0xd0, 0x30, CERT_LEN,
        3 * CERT_LEN, 0x1000, 0x5000, 0x5010, 0xfffffff0, 0xffffffff, TMR, NV,
        OUT, IN, IN_SESSION, DATA, DATA + 1, DATA | CBIT, TMR_LEN, NV_LEN,
        ABSENT, 0x3ffffff, 0x3fffff0, 0xfee00000, ~0ULL, ~0ULL << 4,
    };

    return values[g_test_rand_int_range(0, ARRAY_SIZE(values))];
}

static void random_command(void)
{
    const Row *row = &rows[g_test_rand_int_range(0, ARRAY_SIZE(rows))];
    size_t n = row_fields(row);
    Field f[ARRAY_SIZE(row->good)];

    memcpy(f, row->good, sizeof(f));
    if (row->cmd == CMD_SHUTDOWN && g_test_rand_int_range(0, 8)) {
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (!g_test_rand_int_range(0, 6)) {
            f[i].val = random_value();
        }
    }
    psp_cmd(row->cmd, f, n);
    if ((row->cmd == CMD_LAUNCH_START || row->cmd == CMD_RECEIVE_START) &&
        g_test_rand_bit()) {
        psp.handle = psp_out32(0);
    }
}

static void test_random(void)
{
    psp_reach(S_RUNNING, POLICY_ES);
    for (int i = 0; i < RANDOM_COMMANDS; i++) {
        random_command();
    }
    psp_reach(S_RUNNING, POLICY_ES);
}

static void add_rows(const char *kind, GTestDataFunc fn,
                     bool (*applies)(const Row *row))
{
    for (unsigned i = 0; i < ARRAY_SIZE(rows); i++) {
        if (applies(&rows[i])) {
            g_autofree char *path = g_strdup_printf("amd-psp/%s/%s",
                                                    rows[i].name, kind);
            qtest_add_data_func(path, &rows[i], fn);
        }
    }
}

static bool always(const Row *row)
{
    return true;
}

static bool has_platform(const Row *row)
{
    return row->platform != P_ALL;
}

static bool has_guest(const Row *row)
{
    return row->stages;
}

static bool has_guest_states(const Row *row)
{
    return row->stages && row->stages != G_ANY;
}

static bool has_buffer(const Row *row)
{
    return row_fields(row) || row->cmd == CMD_PLATFORM_STATUS;
}

static bool has_bad_fields(const Row *row)
{
    for (unsigned i = 0; i < ARRAY_SIZE(bad_fields); i++) {
        if (bad_fields[i].cmd == row->cmd) {
            return true;
        }
    }
    return false;
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    add_rows("success", test_success, always);
    add_rows("platform-state", test_platform_state, has_platform);
    add_rows("guest-state", test_guest_state, has_guest_states);
    add_rows("handle", test_handle, has_guest);
    add_rows("command-buffer", test_cmdbuf, has_buffer);
    add_rows("bad-fields", test_bad_fields, has_bad_fields);
    qtest_add_func("amd-psp/unknown-commands", test_unknown);
    qtest_add_func("amd-psp/es-unsupported", test_es_unsupported);
    qtest_add_func("amd-psp/random", test_random);
    qtest_add_func("amd-psp/DOWNLOAD_FIRMWARE", test_download_firmware);

    psp_start("");
    ret = g_test_run();
    psp_stop();
    return ret;
}
