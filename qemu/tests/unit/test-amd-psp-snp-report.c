/*
 * Unit test of attestation reports, derived keys and the VCEK of the AMD secure
 * processor
 *
 * Constants come from another implementation (python-cryptography).
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "crypto/init.h"
#include "qapi/error.h"
#include "amd-psp-snp-guest.h"

void amd_psp_snp_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
    g_assert_not_reached();
}

/* --- MSG_REPORT_REQ */

static uint32_t ask_report(unsigned vmpck, uint32_t vmpl, uint32_t key_select,
                           uint8_t *resp)
{
    uint8_t req[REPORT_REQ_SIZE];

    fill(req, 64, 0x33);
    stl_le_p(req + 0x40, vmpl);
    stl_le_p(req + 0x44, key_select);
    memset(req + 0x48, 0, 24);
    return ask(REPORT_REQ, vmpck, req, sizeof(req), REPORT_RSP_SIZE, resp);
}

static bool report_signed_by(const uint8_t *report, const AmdPspEcPoint *pub)
{
    uint8_t digest[48];
    AmdPspEcSig sig;

    for (int i = 0; i < 48; i++) {
        sig.r[i] = report[0x2a0 + 47 - i];
        sig.s[i] = report[0x2a0 + 72 + 47 - i];
    }
    g_assert_true(buffer_is_zero(report + 0x2a0 + 48, 24));
    g_assert_true(buffer_is_zero(report + 0x2a0 + 72 + 48, 24 + 368));
    amd_psp_sha384(digest, report, 0x2a0);
    return amd_psp_ecdsa_verify(&sig, pub, digest, sizeof(digest));
}

static void report_wanted(uint8_t *want, uint32_t vmpl)
{
    static const uint8_t version[4] = { 21, 55, 1 };

    memset(want, 0, 0x2a0);
    stl_le_p(want, 2);
    stl_le_p(want + 0x4, guest.guest_svn);
    stq_le_p(want + 0x8, guest.policy);
    memcpy(want + 0x10, guest.family_id, 16);
    memcpy(want + 0x20, guest.image_id, 16);
    stl_le_p(want + 0x30, vmpl);
    stl_le_p(want + 0x34, 1);
    stq_le_p(want + 0x38, TCB);
    stq_le_p(want + 0x40, 1);           /* SMT */
    stl_le_p(want + 0x48, 1);           /* author key; VCEK */
    fill(want + 0x50, 64, 0x33);
    memcpy(want + 0x90, guest.ld, 48);
    memcpy(want + 0xc0, guest.host_data, 32);
    memcpy(want + 0xe0, guest.id_key_digest, 48);
    memcpy(want + 0x110, guest.author_key_digest, 48);
    memcpy(want + 0x140, guest.report_id, 32);
    memcpy(want + 0x160, guest.report_id_ma, 32);
    stq_le_p(want + 0x180, TCB);
    memcpy(want + 0x1a0, psp->snp.chip_id, 64);
    stq_le_p(want + 0x1e0, TCB);
    memcpy(want + 0x1e8, version, 4);
    memcpy(want + 0x1ec, version, 4);
    stq_le_p(want + 0x1f0, guest.launch_tcb);
}

static void test_report(void)
{
    uint8_t resp[PAGE], want[0x2a0];
    uint8_t *rsp = resp + HDR, *report = rsp + 0x20;

    setup();
    g_assert_cmphex(ask_report(0, 2, 0, resp), ==, PSP_SUCCESS);
    g_assert_cmphex(ldl_le_p(rsp + 4), ==, 0x4a0);
    g_assert_true(buffer_is_zero(rsp + 8, 24));
    report_wanted(want, 2);
    g_assert_cmpmem(report, sizeof(want), want, sizeof(want));
    g_assert_true(report_signed_by(report, &psp->snp.vcek.pub));
    for (int i = 0; i < 0x2a0; i++) {
        report[i] ^= 0x10;
        g_assert_false(report_signed_by(report, &psp->snp.vcek.pub));
        report[i] ^= 0x10;
    }
    machine.smp.threads = 1;
    guest.author_key_en = false;
    g_assert_cmphex(ask_report(0, 0, 1, resp), ==, PSP_SUCCESS);
    g_assert_cmphex(ldq_le_p(report + 0x40), ==, 0);
    g_assert_cmphex(ldl_le_p(report + 0x48), ==, 0);
}

static void test_report_vmpl(void)
{
    uint8_t resp[PAGE];

    setup();
    for (unsigned vmpck = 0; vmpck < 4; vmpck++) {
        for (uint32_t vmpl = 0; vmpl < 6; vmpl++) {
            bool ok = vmpl >= vmpck && vmpl < 4;

            g_assert_cmphex(ask_report(vmpck, vmpl, 0, resp), ==,
                            ok ? PSP_SUCCESS : PSP_INVALID_PARAM);
            if (!ok) {
                assert_empty_reply(resp, REPORT_RSP_SIZE);
            }
        }
    }
    g_assert_cmphex(ask_report(0, UINT32_MAX, 0, resp), ==, PSP_INVALID_PARAM);
}

static void test_report_key_select(void)
{
    static const struct {
        uint32_t select;
        AmdPspStatus enabled, disabled;
    } rows[] = {
        { 0, PSP_SUCCESS, PSP_INVALID_KEY },
        { 1, PSP_SUCCESS, PSP_INVALID_KEY },
        { 2, PSP_INVALID_KEY, PSP_INVALID_KEY },
        { 3, PSP_INVALID_PARAM, PSP_INVALID_PARAM },
        { 4, PSP_INVALID_PARAM, PSP_INVALID_PARAM },
        { 1u << 31, PSP_INVALID_PARAM, PSP_INVALID_PARAM },
    };
    uint8_t resp[PAGE], req[REPORT_REQ_SIZE] = {};

    setup();
    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        guest.vcek_dis = false;
        g_assert_cmphex(ask_report(0, 0, rows[i].select, resp), ==,
                        rows[i].enabled);
        guest.vcek_dis = true;
        g_assert_cmphex(ask_report(0, 0, rows[i].select, resp), ==,
                        rows[i].disabled);
        assert_empty_reply(resp, REPORT_RSP_SIZE);
    }
    guest.vcek_dis = false;
    for (int at = 0x48; at < REPORT_REQ_SIZE; at++) {
        req[at] = 1;
        g_assert_cmphex(ask(REPORT_REQ, 0, req, sizeof(req), REPORT_RSP_SIZE,
                            resp), ==, PSP_INVALID_PARAM);
        req[at] = 0;
    }
}

/* SNP_CONFIG: a report that does not say which chip, or is not signed */
static void test_report_masks(void)
{
    uint8_t resp[PAGE], *report = resp + HDR + 0x20;

    setup();
    psp->snp.mask_chip_id = true;
    g_assert_cmphex(ask_report(0, 0, 0, resp), ==, PSP_SUCCESS);
    g_assert_true(buffer_is_zero(report + 0x1a0, 64));
    g_assert_true(report_signed_by(report, &psp->snp.vcek.pub));
    psp->snp.mask_chip_id = false;
    psp->snp.mask_chip_key = true;
    g_assert_cmphex(ask_report(0, 0, 0, resp), ==, PSP_SUCCESS);
    g_assert_cmpmem(report + 0x1a0, 64, psp->snp.chip_id, 64);
    g_assert_cmphex(ldl_le_p(report + 0x48), ==, 1 | 2 | 7 << 2);
    g_assert_true(buffer_is_zero(report + 0x2a0, 512));
}

/* --- MSG_KEY_REQ */

typedef struct KeyReq {
    uint32_t select, vmpl, svn;
    uint64_t fields, tcb;
} KeyReq;

static uint32_t ask_key(unsigned vmpck, const KeyReq *k, uint8_t key[32])
{
    uint8_t req[KEY_REQ_SIZE] = {}, resp[PAGE];
    uint32_t status;

    stl_le_p(req, k->select);
    stq_le_p(req + 8, k->fields);
    stl_le_p(req + 0x10, k->vmpl);
    stl_le_p(req + 0x14, k->svn);
    stq_le_p(req + 0x18, k->tcb);
    status = ask(KEY_REQ, vmpck, req, sizeof(req), KEY_RSP_SIZE, resp);
    g_assert_true(buffer_is_zero(resp + HDR + 4, 28));
    memcpy(key, resp + HDR + 0x20, 32);
    if (status != PSP_SUCCESS) {
        assert_empty_reply(resp, KEY_RSP_SIZE);
    }
    return status;
}

static void good_key(const KeyReq *k, uint8_t key[32])
{
    g_assert_cmphex(ask_key(0, k, key), ==, PSP_SUCCESS);
}

#define N_KEYS 64

static void all_keys_differ(uint32_t svn, uint64_t tcb)
{
    uint8_t keys[N_KEYS][32], again[32];

    for (uint64_t fields = 0; fields < N_KEYS; fields++) {
        KeyReq k = { .fields = fields, .svn = svn, .tcb = tcb };

        good_key(&k, keys[fields]);
        for (int i = 0; i < fields; i++) {
            g_assert_true(memcmp(keys[i], keys[fields], 32));
        }
        good_key(&k, again);
        g_assert_cmpmem(again, 32, keys[fields], 32);
    }
}

/* A field that was selected and is zero is not one that was not. */
static void test_key_selections(void)
{
    setup();
    all_keys_differ(3, TCB - 1);
    guest.policy = 0;
    memset(guest.image_id, 0, sizeof(guest.image_id));
    memset(guest.family_id, 0, sizeof(guest.family_id));
    memset(guest.ld, 0, sizeof(guest.ld));
    all_keys_differ(0, 0);
}

/* One thing that keys may depend on, and the field that selects it */
typedef void Change(KeyReq *k);

static void change_policy(KeyReq *k)
{
    guest.policy ^= 1;
}

static void change_image_id(KeyReq *k)
{
    guest.image_id[15] ^= 1;
}

static void change_family_id(KeyReq *k)
{
    guest.family_id[15] ^= 1;
}

static void change_measurement(KeyReq *k)
{
    guest.ld[47] ^= 1;
}

static void change_svn(KeyReq *k)
{
    k->svn ^= 1;
}

static void change_tcb(KeyReq *k)
{
    k->tcb -= 1ull << 56;
}

static void change_vmpl(KeyReq *k)
{
    k->vmpl ^= 1;
}

static void change_chip(KeyReq *k)
{
    psp->chip_secret[31] ^= 1;
}

/* What no selection can mix in */
static void change_others(KeyReq *k)
{
    fill(guest.host_data, 32, 1);
    fill(guest.report_id, 32, 2);
    fill(guest.id_key_digest, 48, 3);
    fill(guest.author_key_digest, 48, 4);
    fill(guest.vek, sizeof(guest.vek), 5);
    guest.launch_tcb ^= 1;
    guest.asid ^= 1;
}

static void test_key_depends(void)
{
    static const struct {
        Change *change;
        uint64_t selected_by;           /* UINT64_MAX: always, 0: never */
    } rows[] = {
        { change_policy, 1 }, { change_image_id, 2 }, { change_family_id, 4 },
        { change_measurement, 8 }, { change_svn, 0x10 }, { change_tcb, 0x20 },
        { change_vmpl, UINT64_MAX }, { change_chip, UINT64_MAX },
        { change_others, 0 },
    };
    uint8_t key[32], other[32];

    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        for (uint64_t fields = 0; fields < N_KEYS; fields++) {
            KeyReq k = { .fields = fields, .vmpl = 2, .svn = 3, .tcb = TCB };

            setup();
            good_key(&k, key);
            rows[i].change(&k);
            good_key(&k, other);
            g_assert_cmpint(!!memcmp(key, other, 32), ==,
                            !!(fields & rows[i].selected_by) ||
                            rows[i].selected_by == UINT64_MAX);
        }
    }
}

/* Newer firmware can make the keys of older firmware, not the reverse. */
static void test_key_tcb_update(void)
{
    KeyReq old_tcb = { .fields = 0x20, .tcb = TCB - 1 };
    KeyReq any_tcb = { .fields = 0 }, new_tcb = { .fields = 0x20, .tcb = TCB };
    uint8_t before[2][32], after[2][32], key[32];

    setup();
    psp->snp.committed_tcb = TCB - 1;
    psp->snp.reported_tcb = TCB - 1;
    amd_psp_snp_vcek_update(psp);
    good_key(&old_tcb, before[0]);
    good_key(&any_tcb, before[1]);
    g_assert_cmphex(ask_key(0, &new_tcb, key), ==, PSP_INVALID_PARAM);
    psp->snp.committed_tcb = TCB;
    psp->snp.reported_tcb = TCB;
    amd_psp_snp_vcek_update(psp);
    good_key(&old_tcb, after[0]);
    good_key(&any_tcb, after[1]);
    g_assert_cmphex(ask_key(0, &new_tcb, key), ==, PSP_SUCCESS);
    g_assert_cmpmem(before[0], 32, after[0], 32);
    g_assert_true(memcmp(before[1], after[1], 32));
}

static void test_key_refused(void)
{
    static const struct {
        KeyReq k;
        unsigned vmpck;
        AmdPspStatus status;
    } rows[] = {
        { { .select = 1 }, 0, PSP_INVALID_KEY },            /* VMRK */
        { { .select = 2 }, 0, PSP_SUCCESS },                /* VCEK */
        { { .select = 4 }, 0, PSP_INVALID_KEY },            /* VLEK */
        { { .select = 6 }, 0, PSP_INVALID_PARAM },
        { { .select = 8 }, 0, PSP_INVALID_PARAM },
        { { .fields = 0x40 }, 0, PSP_INVALID_PARAM },
        { { .fields = 1ull << 63 }, 0, PSP_INVALID_PARAM },
        { { .vmpl = 4 }, 0, PSP_INVALID_PARAM },
        { { .vmpl = 1 }, 1, PSP_SUCCESS },
        { { .vmpl = 1 }, 2, PSP_INVALID_PARAM },
        { { .svn = 7 }, 0, PSP_SUCCESS },
        { { .svn = 8 }, 0, PSP_INVALID_PARAM },
        { { .tcb = TCB }, 0, PSP_SUCCESS },
        { { .tcb = TCB + 1 }, 0, PSP_INVALID_PARAM },
        /* Less as a number, but with a component that is newer */
        { { .tcb = 0xff }, 0, PSP_INVALID_PARAM },
    };
    uint8_t key[32], req[KEY_REQ_SIZE] = { [4] = 1 }, resp[PAGE];
    KeyReq plain = {};

    setup();
    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        g_assert_cmphex(ask_key(rows[i].vmpck, &rows[i].k, key), ==,
                        rows[i].status);
    }
    g_assert_cmphex(ask(KEY_REQ, 0, req, sizeof(req), KEY_RSP_SIZE, resp), ==,
                    PSP_INVALID_PARAM);
    guest.vcek_dis = true;
    g_assert_cmphex(ask_key(0, &plain, key), ==, PSP_INVALID_KEY);
    guest.vcek_dis = false;
    psp->snp.mask_chip_key = true;
    g_assert_cmphex(ask_key(0, &plain, key), ==, PSP_INVALID_KEY);
}

/* --- the VCEK */

static void test_vcek(void)
{
    AmdPspEcKey first, other;

    setup();
    g_assert_cmphex(psp->snp.reported_tcb, ==, TCB);
    ASSERT_HEX(psp->snp.vcek.pub.x,
               "12950bcd7c5e5f816e1f5a19a267b4f3551060e150ae69ba24092d45a3880fc"
               "ea915bc4d7cfdb9ff9a4c29da10bb44ef");
    ASSERT_HEX(psp->snp.vcek.pub.y,
               "13f07cc24434de900be2a68c3c51401140f8c789464850f7338b1470b146968"
               "c763860b635d9877a1423e79fc500b10e");
    ASSERT_HEX(psp->snp.chip_id,
               "aea7655c80be415f950f25fa10e7db9ab6cdc7f3e8028748d47344d6be8891d"
               "6a6c3d41b1dbf6dc9b5bfb10fc2550c654dd1355a7478f81bb461a04ff0e905"
               "7f");
    first = psp->snp.vcek;
    for (int i = 0; i < 64; i++) {
        psp->snp.reported_tcb = TCB ^ 1ull << i;
        amd_psp_snp_vcek_update(psp);
        g_assert_true(memcmp(&first.pub, &psp->snp.vcek.pub, 96));
    }
    psp->snp.reported_tcb = TCB;
    amd_psp_snp_vcek_update(psp);
    g_assert_cmpmem(&first, sizeof(first), &psp->snp.vcek, sizeof(first));
    psp->chip_secret[0] ^= 1;
    amd_psp_snp_vcek_derive(psp, TCB, &other);
    g_assert_true(memcmp(&first.pub, &other.pub, 96));
}

static void test_tcb_order(void)
{
    g_assert_true(amd_psp_snp_tcb_le(TCB, TCB));
    g_assert_true(amd_psp_snp_tcb_le(0, TCB));
    for (int i = 0; i < 64; i += 8) {
        g_assert_false(amd_psp_snp_tcb_le(TCB + (1ull << i), TCB));
        g_assert_true(amd_psp_snp_tcb_le(TCB, TCB + (1ull << i)));
    }
    g_assert_false(amd_psp_snp_tcb_le(0x0010, 0x1000));
}

/* What a key distribution service is told, also after an update */
static void test_endorsement(void)
{
    g_autofree char *name = g_strdup_printf("%s/amd-psp-XXXXXX",
                                            g_get_tmp_dir());
    const char *dir = g_mkdtemp(name);
    g_autofree char *path = g_build_filename(dir, "vcek", NULL);
    g_autofree char *text = NULL, *later = NULL;
    Error *err = NULL;

    setup();
    psp->snp.endorsement = path;
    g_assert_true(amd_psp_snp_chip_init(psp, &error_abort));
    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    g_assert_true(g_str_has_prefix(text, "chip-id aea7655c80be415f"));
    g_assert_nonnull(strstr(text, "\nreported-tcb 0315000000000102\n"
                                  "vcek 0412950bcd7c5e5f81"));
    psp->snp.reported_tcb--;
    amd_psp_snp_vcek_update(psp);
    g_assert_true(g_file_get_contents(path, &later, NULL, NULL));
    g_assert_nonnull(strstr(later, "\nreported-tcb 0315000000000101\nvcek 04"));
    g_assert_null(strstr(later, "vcek 0412950bcd7c5e5f81"));
    unlink(path);
    rmdir(dir);
    g_assert_false(amd_psp_snp_chip_init(psp, &err));
    error_free_or_abort(&err);
    psp->snp.endorsement = NULL;
}

int main(int argc, char **argv)
{
    g_assert_cmpint(qcrypto_init(&error_abort), ==, 0);
    g_test_init(&argc, &argv, NULL);
    g_test_add_func("/amd-psp-snp/report/content", test_report);
    g_test_add_func("/amd-psp-snp/report/vmpl", test_report_vmpl);
    g_test_add_func("/amd-psp-snp/report/key-select", test_report_key_select);
    g_test_add_func("/amd-psp-snp/report/masks", test_report_masks);
    g_test_add_func("/amd-psp-snp/key/selections", test_key_selections);
    g_test_add_func("/amd-psp-snp/key/depends", test_key_depends);
    g_test_add_func("/amd-psp-snp/key/tcb-update", test_key_tcb_update);
    g_test_add_func("/amd-psp-snp/key/refused", test_key_refused);
    g_test_add_func("/amd-psp-snp/vcek", test_vcek);
    g_test_add_func("/amd-psp-snp/tcb-order", test_tcb_order);
    g_test_add_func("/amd-psp-snp/endorsement", test_endorsement);
    return g_test_run();
}
