/*
 * AMD Platform Security Processor: registers, interrupts, and what commands
 * leave behind: platform, guest and ASID states, identity
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-psp-util.h"

#define REG_FEATURE 0x109fc
#define REG_INTEN 0x10690
#define REG_INTSTS 0x10694
#define INT_SEV BIT(1)

static unsigned activate(uint32_t asid)
{
    return PSP_CMD(CMD_ACTIVATE, { 0, 4, HANDLE }, { 4, 4, asid });
}

static unsigned deactivate(void)
{
    return PSP_CMD(CMD_DEACTIVATE, { 0, 4, HANDLE });
}

static unsigned decommission(void)
{
    return PSP_CMD(CMD_DECOMMISSION, { 0, 4, HANDLE });
}

static unsigned launch_plain(uint32_t policy)
{
    unsigned ret = PSP_CMD(CMD_LAUNCH_START, { 4, 4, policy });

    psp.handle = psp_out32(0);
    return ret;
}

static unsigned df_flush(void)
{
    return psp_cmd_at(CMD_DF_FLUSH, 0, false);
}

static void assert_platform(unsigned state, unsigned guests)
{
    g_assert_cmphex(psp_cmd_at(CMD_PLATFORM_STATUS, CMDBUF, false), ==, OK);
    g_assert_cmpuint(psp_out8(2), ==, state);
    g_assert_cmpuint(psp_out32(8), ==, guests);
}

static void assert_guest(unsigned state, uint32_t policy, uint32_t asid)
{
    g_assert_cmphex(PSP_CMD(CMD_GUEST_STATUS, { 0, 4, HANDLE }), ==, OK);
    g_assert_cmphex(psp_out32(4), ==, policy);
    g_assert_cmphex(psp_out32(8), ==, asid);
    g_assert_cmpuint(psp_out8(12), ==, state);
}

static void test_registers(void)
{
    g_assert_cmphex(psp_reg(REG_FEATURE), ==, 0x81);
    psp_reg_write(REG_FEATURE, 0);
    g_assert_cmphex(psp_reg(REG_FEATURE), ==, 0x81);
    psp_reg_write(0x10a00, 0x1234);
    g_assert_cmphex(psp_reg(0x10a00), ==, 0);
}

static void test_interrupt(void)
{
    psp_reg_write(REG_INTSTS, 0xffffffff);
    psp_reg_write(REG_INTEN, 0xffffffff);
    qpci_msix_enable(psp.dev);
    g_assert_false(qpci_msix_pending(psp.dev, 0));

    psp_cmd_at(CMD_PLATFORM_STATUS, CMDBUF, false);
    g_assert_cmphex(psp_reg(REG_INTSTS), ==, 0);
    g_assert_false(qpci_msix_pending(psp.dev, 0));

    psp_cmd_at(CMD_PLATFORM_STATUS, CMDBUF, true);
    g_assert_cmphex(psp_reg(REG_INTSTS), ==, INT_SEV);
    g_assert_true(qpci_msix_pending(psp.dev, 0));
    psp_reg_write(REG_INTSTS, INT_SEV);
    g_assert_cmphex(psp_reg(REG_INTSTS), ==, 0);

    /* A command that fails completes, too. */
    psp_cmd_at(0x7ff, CMDBUF, true);
    g_assert_cmphex(psp_reg(REG_INTSTS), ==, INT_SEV);
    qpci_msix_disable(psp.dev);
    psp_reg_write(REG_INTEN, 0);
}

static void test_platform(void)
{
    psp_reach(S_UNINIT, 0);
    assert_platform(0, 0);
    g_assert_cmphex(psp_out32(3) & 0x100, ==, 0);
    psp_reach(S_INIT, 0);
    assert_platform(1, 0);
    g_assert_cmphex(psp_out32(3), ==, 0x100);
    g_assert_cmpuint(psp_out8(0), ==, 1);
    g_assert_cmpuint(psp_out8(1), >=, 51);
    g_assert_cmphex(launch_plain(0), ==, OK);
    assert_platform(2, 1);
    g_assert_cmphex(decommission(), ==, OK);
    assert_platform(1, 0);
}

static void test_guest(void)
{
    psp_reach(S_LUPDATE, POLICY_ES);
    assert_guest(1, POLICY_ES, 0);
    psp_reach(S_ACTIVE, POLICY_ES);
    assert_guest(1, POLICY_ES, 5);
    psp_reach(S_LSECRET, POLICY_NODBG);
    assert_guest(2, POLICY_NODBG, 5);
    psp_reach(S_RUNNING, 0);
    assert_guest(3, 0, 5);
    g_assert_cmphex(deactivate(), ==, OK);
    assert_guest(3, 0, 0);
    g_assert_cmphex(decommission(), ==, OK);
    g_assert_cmphex(decommission(), ==, INVALID_PLATFORM_STATE);
}

static void test_shutdown_ends_guests(void)
{
    psp_reach(S_RUNNING, 0);
    g_assert_cmphex(psp_cmd_at(CMD_SHUTDOWN, 0, false), ==, OK);
    assert_platform(0, 0);
    psp_reach(S_ACTIVE, 0);             /* the same ASID is free again */
}

/* Never ran: DEACTIVATE leaves the ASID clean. Ran: dirty until DF_FLUSH. */
static void test_asid(void)
{
    psp_reach(S_ACTIVE, 0);
    g_assert_cmphex(deactivate(), ==, OK);
    g_assert_cmphex(activate(5), ==, OK);
    g_assert_cmphex(activate(6), ==, ACTIVE);

    psp_reach(S_RUNNING, 0);
    g_assert_cmphex(deactivate(), ==, OK);
    g_assert_cmphex(activate(5), ==, DFFLUSH_REQUIRED);
    psp_wbinvd();
    g_assert_cmphex(df_flush(), ==, OK);
    g_assert_cmphex(activate(5), ==, OK);
    /* A guest that already ran takes the ASID into use at once. */
    g_assert_cmphex(deactivate(), ==, OK);
    g_assert_cmphex(activate(5), ==, DFFLUSH_REQUIRED);
    g_assert_cmphex(activate(6), ==, OK);
}

static void test_asid_owned(void)
{
    psp_reach(S_ACTIVE, 0);
    g_assert_cmphex(launch_plain(0), ==, OK);
    g_assert_cmphex(activate(5), ==, ASID_OWNED);
    g_assert_cmphex(activate(6), ==, OK);
}

static void test_wbinvd(void)
{
    psp_wbinvd();
    g_assert_cmphex(df_flush(), ==, OK);
    g_assert_cmphex(df_flush(), ==, WBINVD_REQUIRED);
    psp_wbinvd();
    g_assert_cmphex(df_flush(), ==, OK);
}

static void test_guest_limit(void)
{
    psp_reach(S_INIT, 0);
    for (int i = 0; i < 1024; i++) {
        g_assert_cmphex(launch_plain(0), ==, OK);
    }
    g_assert_cmphex(launch_plain(0), ==, RESOURCE_LIMIT);
    psp_reach(S_UNINIT, 0);
}

static void assert_len(unsigned cmd, unsigned off, uint32_t len)
{
    g_assert_cmphex(PSP_CMD(cmd, { 0, 4, HANDLE }), ==, INVALID_LEN);
    g_assert_cmphex(psp_out32(off), ==, len);
}

static void test_length_queries(void)
{
    psp_reach(S_ACTIVE, 0);
    assert_len(CMD_LAUNCH_MEASURE, 16, 0x30);
    psp_reach(S_RUNNING, 0);
    assert_len(CMD_ATTESTATION_REPORT, 32, 0xd0);
    assert_len(CMD_GET_ID, 8, 64);
    assert_len(CMD_PEK_CSR, 8, CERT_LEN);
    assert_len(CMD_PDH_CERT_EXPORT, 8, CERT_LEN);
    g_assert_cmphex(psp_out32(24), ==, 3 * CERT_LEN);
}

typedef struct Chain {
    uint8_t pdh[CERT_LEN], pek[CERT_LEN], oca[CERT_LEN], cek[CERT_LEN];
} Chain;

static void get_chain(Chain *c)
{
    AmdPspEcPoint pdh;

    psp_get_pdh(&pdh);
    qtest_memread(psp.qts, OUT, c->pdh, CERT_LEN);
    qtest_memread(psp.qts, OUT + 0x1000, c->pek, 3 * CERT_LEN);
}

static void test_chain(void)
{
    Chain a, b;

    psp_reach(S_INIT, 0);
    get_chain(&a);
    g_assert_true(psp_cert_signed_by(a.pdh, 0, USAGE_PEK, a.pek));
    g_assert_true(psp_cert_signed_by(a.pek, 0, USAGE_OCA, a.oca));
    g_assert_true(psp_cert_signed_by(a.pek, 1, USAGE_CEK, a.cek));
    g_assert_true(psp_cert_signed_by(a.oca, 0, USAGE_OCA, a.oca));
    a.pdh[0x20] ^= 1;
    g_assert_false(psp_cert_signed_by(a.pdh, 0, USAGE_PEK, a.pek));
    a.pdh[0x20] ^= 1;

    /* The identity survives SHUTDOWN, not PDH_GEN, PEK_GEN, FACTORY_RESET. */
    psp_reach(S_INIT, 0);
    get_chain(&b);
    g_assert_cmpmem(&a, sizeof(a), &b, sizeof(b));
    g_assert_cmphex(psp_cmd_at(CMD_PDH_GEN, 0, false), ==, OK);
    get_chain(&b);
    g_assert_true(memcmp(a.pdh, b.pdh, CERT_LEN));
    g_assert_cmpmem(a.pek, 3 * CERT_LEN, b.pek, 3 * CERT_LEN);
    g_assert_cmphex(psp_cmd_at(CMD_PEK_GEN, 0, false), ==, OK);
    get_chain(&a);
    g_assert_true(memcmp(a.pek, b.pek, CERT_LEN));
    psp_reach(S_UNINIT, 0);
    g_assert_cmphex(psp_cmd_at(CMD_FACTORY_RESET, 0, false), ==, OK);
    psp_reach(S_INIT, 0);
    get_chain(&b);
    g_assert_true(memcmp(a.oca, b.oca, CERT_LEN));
    g_assert_cmpmem(a.cek, CERT_LEN, b.cek, CERT_LEN);
}

static unsigned init_ex(void)
{
    g_assert_cmphex(psp_cmd_at(CMD_SHUTDOWN, 0, false), ==, OK);
    return PSP_CMD(CMD_INIT_EX, { 0, 4, 0x24 }, { 24, 8, NV },
                   { 32, 4, NV_LEN });
}

static void test_nv(void)
{
    Chain a, b;

    qtest_memset(psp.qts, NV, 0xff, NV_LEN);
    g_assert_cmphex(init_ex(), ==, OK);
    get_chain(&a);
    psp_reach(S_UNINIT, 0);
    g_assert_cmphex(psp_cmd_at(CMD_FACTORY_RESET, 0, false), ==, OK);
    g_assert_cmphex(init_ex(), ==, OK);
    get_chain(&b);
    g_assert_cmpmem(&a, sizeof(a), &b, sizeof(b));

    /* Damage is reported once; the retry starts afresh. */
    qtest_writeb(psp.qts, NV + 0x40, qtest_readb(psp.qts, NV + 0x40) ^ 1);
    g_assert_cmphex(init_ex(), ==, SECURE_DATA_INVALID);
    g_assert_cmphex(init_ex(), ==, OK);
    get_chain(&b);
    g_assert_true(memcmp(a.pek, b.pek, CERT_LEN));
}

/*
 * RAM in the legacy hole is no memory of guests, and out of the engine's sight.
 * A command that is given some fails before it has done anything.
 */
static void test_legacy_hole(void)
{
    const uint64_t pam = 0xd0000;
    QPCIDevice *mch = qpci_device_find(psp.bus, QPCI_DEVFN(0, 0));

    qpci_config_writeb(mch, 0x93, 0x33);                /* PAM3: RAM */
    qtest_writeb(psp.qts, pam, 0x5a);
    g_assert_cmphex(qtest_readb(psp.qts, pam), ==, 0x5a);
    psp_reach(S_ACTIVE, 0);
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_MEASURE, { 0, 4, HANDLE },
                            { 8, 8, pam }, { 16, 4, 0x30 }), ==,
                    INVALID_ADDRESS);
    assert_guest(1, 0, 5);                              /* still LUPDATE */
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_MEASURE, { 0, 4, HANDLE },
                            { 8, 8, OUT }, { 16, 4, 0x30 }), ==, OK);
    qpci_config_writeb(mch, 0x93, 0);
    g_free(mch);
}

static void make_oca(uint8_t *oca, AmdPspEcKey *key)
{
    amd_psp_ec_generate(key);
    psp_cert_make(oca, USAGE_OCA, key);
    psp_cert_sign(oca, 0, USAGE_OCA, key);
}

static unsigned cert_import(uint64_t pek, uint32_t pek_len, uint64_t oca,
                            uint32_t oca_len)
{
    return PSP_CMD(CMD_PEK_CERT_IMPORT, { 0, 8, pek }, { 8, 4, pek_len },
                   { 16, 8, oca }, { 24, 4, oca_len });
}

static void test_cert_import(void)
{
    const uint64_t pek_at = IN, oca_at = IN + 0x1000;
    uint8_t pek[CERT_LEN], oca[CERT_LEN];
    AmdPspEcKey key, other;
    Chain c;

    psp_reach(S_UNINIT, 0);
    g_assert_cmphex(cert_import(pek_at, CERT_LEN, oca_at, CERT_LEN), ==,
                    INVALID_PLATFORM_STATE);
    psp_reach(S_INIT, 0);
    g_assert_cmphex(PSP_CMD(CMD_PEK_CSR, { 0, 8, OUT }, { 8, 4, CERT_LEN }),
                    ==, OK);
    qtest_memread(psp.qts, OUT, pek, CERT_LEN);
    make_oca(oca, &key);
    amd_psp_ec_generate(&other);
    psp_cert_sign(pek, 0, USAGE_OCA, &other);
    qtest_memwrite(psp.qts, pek_at, pek, CERT_LEN);
    qtest_memwrite(psp.qts, oca_at, oca, CERT_LEN);

    g_assert_cmphex(cert_import(pek_at, CERT_LEN - 1, oca_at, CERT_LEN), ==,
                    INVALID_LEN);
    g_assert_cmphex(cert_import(pek_at, CERT_LEN, oca_at, CERT_LEN + 1), ==,
                    INVALID_LEN);
    g_assert_cmphex(cert_import(ABSENT, CERT_LEN, oca_at, CERT_LEN), ==,
                    INVALID_ADDRESS);
    g_assert_cmphex(cert_import(pek_at, CERT_LEN, ABSENT, CERT_LEN), ==,
                    INVALID_ADDRESS);
    g_assert_cmphex(cert_import(oca_at, CERT_LEN, oca_at, CERT_LEN), ==,
                    INVALID_CERTIFICATE);
    g_assert_cmphex(cert_import(pek_at, CERT_LEN, oca_at, CERT_LEN), ==,
                    BAD_SIGNATURE);

    psp_cert_sign(pek, 0, USAGE_OCA, &key);
    qtest_memwrite(psp.qts, pek_at, pek, CERT_LEN);
    g_assert_cmphex(cert_import(pek_at, CERT_LEN, oca_at, CERT_LEN), ==, OK);
    g_assert_cmphex(cert_import(pek_at, CERT_LEN, oca_at, CERT_LEN), ==,
                    ALREADY_OWNED);
    get_chain(&c);
    g_assert_cmpmem(c.oca, CERT_LEN, oca, CERT_LEN);
    g_assert_true(psp_cert_signed_by(c.pek, 0, USAGE_OCA, c.oca));
    g_assert_true(psp_cert_signed_by(c.pek, 1, USAGE_CEK, c.cek));
    g_assert_true(psp_cert_signed_by(c.pdh, 0, USAGE_PEK, c.pek));
    psp_cmd_at(CMD_PLATFORM_STATUS, CMDBUF, false);
    g_assert_cmpuint(psp_out8(3), ==, 1);
    /* PEK_GEN gives the platform back to itself. */
    g_assert_cmphex(psp_cmd_at(CMD_PEK_GEN, 0, false), ==, OK);
    psp_cmd_at(CMD_PLATFORM_STATUS, CMDBUF, false);
    g_assert_cmpuint(psp_out8(3), ==, 0);
}

static void get_id(uint8_t id[64])
{
    g_assert_cmphex(PSP_CMD(CMD_GET_ID, { 0, 8, OUT }, { 8, 4, 128 }), ==, OK);
    g_assert_cmpuint(psp_out32(8), ==, 64);
    qtest_memread(psp.qts, OUT, id, 64);
}

static void test_system_reset(void)
{
    psp_reach(S_RUNNING, 0);
    qtest_system_reset(psp.qts);
    qpci_device_enable(psp.dev);
    psp.bar = qpci_iomap(psp.dev, 2, NULL);
    assert_platform(0, 0);
    psp_reach(S_RUNNING, 0);
}

static void test_chip_seed(void)
{
    uint8_t a[64], b[64];

    get_id(a);
    psp_stop();
    psp_start(",chip-seed=other");
    get_id(b);
    g_assert_true(memcmp(a, b, sizeof(a)));
    psp_stop();
    psp_start("");
    get_id(b);
    g_assert_cmpmem(a, sizeof(a), b, sizeof(b));
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("amd-psp/registers", test_registers);
    qtest_add_func("amd-psp/interrupt", test_interrupt);
    qtest_add_func("amd-psp/platform", test_platform);
    qtest_add_func("amd-psp/guest", test_guest);
    qtest_add_func("amd-psp/shutdown-ends-guests", test_shutdown_ends_guests);
    qtest_add_func("amd-psp/asid", test_asid);
    qtest_add_func("amd-psp/asid-owned", test_asid_owned);
    qtest_add_func("amd-psp/wbinvd", test_wbinvd);
    qtest_add_func("amd-psp/guest-limit", test_guest_limit);
    qtest_add_func("amd-psp/length-queries", test_length_queries);
    qtest_add_func("amd-psp/certificate-chain", test_chain);
    qtest_add_func("amd-psp/nv", test_nv);
    qtest_add_func("amd-psp/legacy-hole", test_legacy_hole);
    qtest_add_func("amd-psp/PEK_CERT_IMPORT", test_cert_import);
    qtest_add_func("amd-psp/system-reset", test_system_reset);
    qtest_add_func("amd-psp/chip-seed", test_chip_seed);

    psp_start("");
    ret = g_test_run();
    psp_stop();
    return ret;
}
