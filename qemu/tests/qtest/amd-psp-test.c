/*
 * AMD Platform Security Processor: every command's success, wrong platform
 * and guest states, and random buffers
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "amd-psp-rows.h"

static const Row *find_row(unsigned cmd)
{
    for (unsigned i = 0; i < psp_nr_rows; i++) {
        if (psp_rows[i].cmd == cmd) {
            return &psp_rows[i];
        }
    }
    g_assert_not_reached();
}

static unsigned platform_of(Stage stage)
{
    return stage == S_UNINIT ? P_U : stage == S_INIT ? P_I : P_W;
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
    return psp_cmd(row->cmd, row->good, psp_row_fields(row));
}

static void test_success(gconstpointer data)
{
    const Row *row = data;

    for (Stage st = S_UNINIT; st < S_COUNT; st++) {
        if (row->stages ? row->stages & G(st) :
                          row->platform & platform_of(st)) {
            reach(row, st);
            psp_expect(row, "success", st, run_good(row), OK);
        }
    }
}

static void test_platform_state(gconstpointer data)
{
    const Row *row = data;

    for (Stage st = S_UNINIT; st <= S_LUPDATE; st++) {
        if (!(row->platform & platform_of(st))) {
            reach(row, st);
            psp_expect(row, "platform state", st, run_good(row),
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
            psp_expect(row, "active guest", st, got, ACTIVE);
        } else if ((st == S_LUPDATE && (row->stages & G(S_ACTIVE))) ||
                   (st == S_RUPDATE && (row->stages & G(S_RACTIVE)))) {
            psp_expect(row, "inactive guest", st, got, INACTIVE);
        } else {
            psp_expect(row, "guest state", st, got, INVALID_GUEST_STATE);
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
        psp_expect(row, "unknown handle", good_stage(row), run_good(row),
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
        psp_expect(row, "command buffer", good_stage(row),
                   psp_cmd_at(row->cmd, bad[i], false), INVALID_ADDRESS);
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

        for (unsigned i = 0; i < psp_nr_rows; i++) {
            known |= psp_rows[i].cmd == cmd;
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
    const Row *row = &psp_rows[g_test_rand_int_range(0, psp_nr_rows)];
    size_t n = psp_row_fields(row);
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
    return psp_row_fields(row) || row->cmd == CMD_PLATFORM_STATUS;
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    g_test_set_nonfatal_assertions();
    psp_add_rows("success", test_success, always);
    psp_add_rows("platform-state", test_platform_state, has_platform);
    psp_add_rows("guest-state", test_guest_state, has_guest_states);
    psp_add_rows("handle", test_handle, has_guest);
    psp_add_rows("command-buffer", test_cmdbuf, has_buffer);
    qtest_add_func("amd-psp/unknown-commands", test_unknown);
    qtest_add_func("amd-psp/es-unsupported", test_es_unsupported);
    qtest_add_func("amd-psp/random", test_random);
    qtest_add_func("amd-psp/DOWNLOAD_FIRMWARE", test_download_firmware);

    psp_start("");
    ret = g_test_run();
    psp_stop();
    return ret;
}
