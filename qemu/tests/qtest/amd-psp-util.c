/*
 * AMD Platform Security Processor: what the qtests share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qapi/error.h"
#include "crypto/init.h"
#include "qobject/qdict.h"
#include "libqos/pci-pc.h"
#include "amd-psp-util.h"

#define REG_CMDRESP 0x10980
#define REG_CMDBUF_LO 0x109e0
#define REG_CMDBUF_HI 0x109e4

Psp psp;

const uint8_t psp_known_tk[32] = {
    /* TEK */
    0x10, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17,
    0x18, 0x19, 0x1a, 0x1b, 0x1c, 0x1d, 0x1e, 0x1f,
    /* TIK */
    0x60, 0x61, 0x62, 0x63, 0x64, 0x65, 0x66, 0x67,
    0x68, 0x69, 0x6a, 0x6b, 0x6c, 0x6d, 0x6e, 0x6f,
};

static void psp_found(QPCIDevice *dev, int devfn, void *data)
{
    psp.dev = dev;
}

/* No CPU runs: any file of the right size is firmware enough. */
static char *psp_make_bios(void)
{
    g_autofree char *zeroes = g_malloc0(0x10000);
    char *path = NULL;
    int fd = g_file_open_tmp("amd-psp-bios-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_true(g_file_set_contents(path, zeroes, 0x10000, NULL));
    return path;
}

void psp_start(const char *device_args)
{
    g_autofree char *bios = psp_make_bios();

    qcrypto_init(&error_abort);
    psp.qts = qtest_initf("-machine q35 -m 64 -nodefaults -bios %s "
                          "-global apic-common.vapic=off "
                          "-device amd-psp,id=psp%s", bios, device_args);
    unlink(bios);
    psp.bus = qpci_new_pc(psp.qts, NULL);
    psp.dev = NULL;
    qpci_device_foreach(psp.bus, 0x1022, 0x1486, psp_found, NULL);
    g_assert_nonnull(psp.dev);
    qpci_device_enable(psp.dev);
    psp.bar = qpci_iomap(psp.dev, 2, NULL);
}

void psp_stop(void)
{
    g_free(psp.dev);
    qpci_free_pc(psp.bus);
    qtest_quit(psp.qts);
}

uint32_t psp_reg(unsigned off)
{
    return qpci_io_readl(psp.dev, psp.bar, off);
}

void psp_reg_write(unsigned off, uint32_t val)
{
    qpci_io_writel(psp.dev, psp.bar, off, val);
}

unsigned psp_cmd_at(unsigned cmd, uint64_t cmdbuf, bool ioc)
{
    uint32_t resp;

    psp_reg_write(REG_CMDBUF_LO, cmdbuf);
    psp_reg_write(REG_CMDBUF_HI, cmdbuf >> 32);
    psp_reg_write(REG_CMDRESP, cmd << 16 | ioc);
    resp = psp_reg(REG_CMDRESP);
    g_assert_cmphex(resp >> 31, ==, 1);
    return resp & 0xffff;
}

unsigned psp_cmd(unsigned cmd, const Field *fields, size_t n)
{
    qtest_memset(psp.qts, CMDBUF, 0, 0x100);
    for (size_t i = 0; i < n; i++) {
        uint64_t val = cpu_to_le64(fields[i].val == HANDLE ? psp.handle :
                                                             fields[i].val);

        qtest_memwrite(psp.qts, CMDBUF + fields[i].off, &val, fields[i].size);
    }
    return psp_cmd_at(cmd, CMDBUF, false);
}

uint32_t psp_out32(unsigned off)
{
    return qtest_readl(psp.qts, CMDBUF + off);
}

uint8_t psp_out8(unsigned off)
{
    return qtest_readb(psp.qts, CMDBUF + off);
}

void psp_wbinvd(void)
{
    qtest_qmp_assert_success(psp.qts,
        "{ 'execute': 'qom-set', 'arguments': { 'path': "
        "'/machine/peripheral/psp', 'property': 'x-wbinvd', 'value': 0 } }");
}

static void psp_reach_measured(void)
{
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_MEASURE, { 0, 4, HANDLE },
                            { 8, 8, OUT }, { 16, 4, 0x30 }), ==, OK);
    qtest_memread(psp.qts, OUT, psp.measure, sizeof(psp.measure));
    qtest_memread(psp.qts, OUT + 32, psp.mnonce, sizeof(psp.mnonce));
}

void psp_reach(Stage stage, uint32_t policy)
{
    psp.handle = 0;
    g_assert_cmphex(psp_cmd_at(CMD_SHUTDOWN, 0, false), ==, OK);
    if (stage >= S_INIT) {
        g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 1 }, { 8, 8, TMR },
                                { 16, 4, TMR_LEN }), ==, OK);
    }
    if (stage >= S_LUPDATE) {
        g_assert_cmphex(psp_session_start(policy), ==, OK);
        psp.handle = psp_out32(0);
        g_assert_cmphex(psp.handle, !=, 0);
    }
    if (stage >= S_ACTIVE) {
        g_assert_cmphex(PSP_CMD(CMD_ACTIVATE, { 0, 4, HANDLE }, { 4, 4, 5 }),
                        ==, OK);
    }
    if (stage >= S_LSECRET) {
        psp_reach_measured();
    }
    if (stage >= S_RUNNING) {
        g_assert_cmphex(PSP_CMD(CMD_LAUNCH_FINISH, { 0, 4, HANDLE }), ==, OK);
    }
}

/* Certificate coordinates are 72 bytes, little endian. */
static void psp_swap(uint8_t *to, const uint8_t *from)
{
    for (int i = 0; i < PSP_P384_LEN; i++) {
        to[i] = from[PSP_P384_LEN - 1 - i];
    }
}

void psp_cert_point(const uint8_t *cert, AmdPspEcPoint *pub)
{
    g_assert_cmphex(ldl_le_p(cert + 0x10), ==, 2);
    psp_swap(pub->x, cert + 0x14);
    psp_swap(pub->y, cert + 0x14 + 72);
}

bool psp_cert_signed_by(const uint8_t *cert, unsigned n, uint32_t usage,
                        const uint8_t *issuer)
{
    const uint8_t *raw = cert + 0x414 + n * 520;
    uint8_t digest[PSP_SHA256_LEN];
    AmdPspEcPoint pub;
    AmdPspEcSig sig;

    if (ldl_le_p(raw) != usage) {
        return false;
    }
    psp_cert_point(issuer, &pub);
    psp_swap(sig.r, raw + 8);
    psp_swap(sig.s, raw + 8 + 72);
    amd_psp_sha256(digest, cert, 0x414);
    return amd_psp_ecdsa_verify(&sig, &pub, digest, sizeof(digest));
}

void psp_get_pdh(AmdPspEcPoint *pub)
{
    uint8_t cert[CERT_LEN];

    g_assert_cmphex(PSP_CMD(CMD_PDH_CERT_EXPORT, { 0, 8, OUT },
                            { 8, 4, CERT_LEN }, { 16, 8, OUT + 0x1000 },
                            { 24, 4, 3 * CERT_LEN }), ==, OK);
    qtest_memread(psp.qts, OUT, cert, sizeof(cert));
    psp_cert_point(cert, pub);
}

void psp_make_session(uint32_t policy, const uint8_t tk[32])
{
    uint8_t cert[CERT_LEN] = {}, se[SESSION_LEN] = {};
    uint8_t z[PSP_P384_LEN], master[16], kek[16], kik[16];
    uint32_t le_policy = cpu_to_le32(policy);
    AmdPspEcKey owner;
    AmdPspEcPoint pdh;

    psp_get_pdh(&pdh);
    amd_psp_ec_generate(&owner);
    stl_le_p(cert, 1);
    stl_le_p(cert + 8, 0x1003);
    stl_le_p(cert + 0xc, 3);
    stl_le_p(cert + 0x10, 2);
    psp_swap(cert + 0x14, owner.pub.x);
    psp_swap(cert + 0x14 + 72, owner.pub.y);
    qtest_memwrite(psp.qts, IN, cert, sizeof(cert));

    memset(se, 0x77, 16);
    memset(se + 48, 0x88, 16);
    g_assert_true(amd_psp_ecdh(z, &owner, &pdh));
    amd_psp_kdf(master, 16, z, sizeof(z), "sev-master-secret", se, 16);
    amd_psp_kdf(kek, 16, master, 16, "sev-kek", NULL, 0);
    amd_psp_kdf(kik, 16, master, 16, "sev-kik", NULL, 0);
    amd_psp_aes_ctr(kek, se + 48, tk, se + 16, 32);
    amd_psp_hmac(se + 64, kik, 16, &(struct iovec){ se + 16, 32 }, 1);
    amd_psp_hmac(se + 96, tk + 16, 16, &(struct iovec){ &le_policy, 4 }, 1);
    qtest_memwrite(psp.qts, IN_SESSION, se, sizeof(se));
}

unsigned psp_session_start(uint32_t policy)
{
    psp_make_session(policy, psp_known_tk);
    return PSP_CMD(CMD_LAUNCH_START, { 4, 4, policy }, { 8, 8, IN },
                   { 16, 4, CERT_LEN }, { 24, 8, IN_SESSION },
                   { 32, 4, SESSION_LEN });
}

void psp_make_secret(const void *plain, size_t len, uint32_t flags)
{
    uint8_t context = 1, hdr[52] = {};
    uint32_t le_len = cpu_to_le32(len);
    g_autofree uint8_t *data = g_malloc(len);
    struct iovec iov[] = {
        { &context, 1 }, { hdr, 4 }, { hdr + 4, 16 }, { &le_len, 4 },
        { &le_len, 4 }, { data, len }, { psp.measure, sizeof(psp.measure) },
    };

    stl_le_p(hdr, flags);
    memset(hdr + 4, 0x99, 16);
    amd_psp_aes_ctr(psp_known_tk, hdr + 4, plain, data, len);
    amd_psp_hmac(hdr + 20, psp_known_tk + 16, 16, iov, ARRAY_SIZE(iov));
    qtest_memwrite(psp.qts, IN, hdr, sizeof(hdr));
    qtest_memwrite(psp.qts, IN_PACKET, data, len);
}
