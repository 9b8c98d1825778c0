/*
 * AMD Platform Security Processor: one row per field of a command that can be
 * wrong
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "amd-psp-rows.h"

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
    size_t n = psp_row_fields(row);
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
    psp_expect(row, bad->what, bad->stage, psp_cmd(row->cmd, f, n),
               bad->status);
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
    psp_add_rows("bad-fields", test_bad_fields, has_bad_fields);

    psp_start("");
    ret = g_test_run();
    psp_stop();
    return ret;
}
