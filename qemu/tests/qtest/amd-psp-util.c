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

static void psp_reach_measured(uint32_t policy)
{
    if (policy & POLICY_ES) {
        qtest_memset(psp.qts, VMSA_PAGE, 0x5a, 0x1000);
        g_assert_cmphex(PSP_CMD(CMD_LAUNCH_UPDATE_VMSA, { 0, 4, HANDLE },
                                { 8, 8, VMSA_PAGE }, { 16, 4, 0x1000 }), ==,
                        OK);
    }
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_MEASURE, { 0, 4, HANDLE },
                            { 8, 8, OUT }, { 16, 4, 0x30 }), ==, OK);
    qtest_memread(psp.qts, OUT, psp.measure, sizeof(psp.measure));
    qtest_memread(psp.qts, OUT + 32, psp.mnonce, sizeof(psp.mnonce));
}

static void psp_reach_sending(void)
{
    Peer peer;

    psp_make_peer(&peer);
    g_assert_cmphex(psp_send_start(), ==, OK);
}

static void psp_reach_guest(bool receive, uint32_t policy)
{
    psp_make_session(policy, psp_known_tk);
    g_assert_cmphex(PSP_CMD(receive ? CMD_RECEIVE_START : CMD_LAUNCH_START,
                            { 4, 4, policy }, { 8, 8, IN },
                            { 16, 4, CERT_LEN }, { 24, 8, IN_SESSION },
                            { 32, 4, SESSION_LEN }), ==, OK);
    psp.handle = psp_out32(0);
    g_assert_cmphex(psp.handle, !=, 0);
}

void psp_reach(Stage stage, uint32_t policy)
{
    bool receive = stage >= S_RUPDATE;

    psp.handle = 0;
    g_assert_cmphex(psp_cmd_at(CMD_SHUTDOWN, 0, false), ==, OK);
    if (stage >= S_INIT) {
        g_assert_cmphex(PSP_CMD(CMD_INIT, { 0, 4, 1 }, { 8, 8, TMR },
                                { 16, 4, TMR_LEN }), ==, OK);
    }
    if (stage >= S_LUPDATE) {
        psp_reach_guest(receive, policy);
    }
    if (stage >= S_ACTIVE && stage != S_RUPDATE) {
        g_assert_cmphex(PSP_CMD(CMD_ACTIVATE, { 0, 4, HANDLE }, { 4, 4, 5 }),
                        ==, OK);
    }
    if (stage >= S_LSECRET && !receive) {
        psp_reach_measured(policy);
    }
    if (stage >= S_RUNNING && !receive) {
        g_assert_cmphex(PSP_CMD(CMD_LAUNCH_FINISH, { 0, 4, HANDLE }), ==, OK);
    }
    if (stage >= S_SUPDATE && !receive) {
        psp_reach_sending();
    }
    if (stage == S_SENT) {
        g_assert_cmphex(PSP_CMD(CMD_SEND_FINISH, { 0, 4, HANDLE }), ==, OK);
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

void psp_cert_make(uint8_t *cert, uint32_t usage, const AmdPspEcKey *key)
{
    memset(cert, 0, CERT_LEN);
    stl_le_p(cert, 1);
    cert[4] = 1;
    cert[5] = 55;
    stl_le_p(cert + 8, usage);
    stl_le_p(cert + 0xc, usage == USAGE_PDH ? 3 : 2);
    stl_le_p(cert + 0x10, 2);
    psp_swap(cert + 0x14, key->pub.x);
    psp_swap(cert + 0x14 + 72, key->pub.y);
    stl_le_p(cert + 0x414, 0x1000);
    stl_le_p(cert + 0x414 + 520, 0x1000);
}

void psp_cert_sign(uint8_t *cert, unsigned n, uint32_t usage,
                   const AmdPspEcKey *key)
{
    uint8_t digest[PSP_SHA256_LEN], *raw = cert + 0x414 + n * 520;
    AmdPspEcSig sig;

    amd_psp_sha256(digest, cert, 0x414);
    g_assert_true(amd_psp_ecdsa_sign(&sig, key, digest, sizeof(digest)));
    memset(raw, 0, 520);
    stl_le_p(raw, usage);
    stl_le_p(raw + 4, 2);
    psp_swap(raw + 8, sig.r);
    psp_swap(raw + 8 + 72, sig.s);
}

void psp_make_peer(Peer *p)
{
    amd_psp_ec_generate(&p->oca);
    amd_psp_ec_generate(&p->pek);
    amd_psp_ec_generate(&p->cek);
    amd_psp_ec_generate(&p->pdh);
    psp_cert_make(p->pdh_cert, USAGE_PDH, &p->pdh);
    psp_cert_sign(p->pdh_cert, 0, USAGE_PEK, &p->pek);
    psp_cert_make(p->chain[0], USAGE_PEK, &p->pek);
    psp_cert_sign(p->chain[0], 0, USAGE_OCA, &p->oca);
    psp_cert_sign(p->chain[0], 1, USAGE_CEK, &p->cek);
    psp_cert_make(p->chain[1], USAGE_OCA, &p->oca);
    psp_cert_sign(p->chain[1], 0, USAGE_OCA, &p->oca);
    psp_cert_make(p->chain[2], USAGE_CEK, &p->cek);
    qtest_memwrite(psp.qts, PEER_PDH, p->pdh_cert, sizeof(p->pdh_cert));
    qtest_memwrite(psp.qts, PEER_CHAIN, p->chain, sizeof(p->chain));
}

unsigned psp_send_start(void)
{
    return PSP_CMD(CMD_SEND_START, { 0, 4, HANDLE }, { 8, 8, PEER_PDH },
                   { 0x10, 4, CERT_LEN }, { 0x18, 8, PEER_CHAIN },
                   { 0x20, 4, CHAIN_LEN }, { 0x38, 8, OUT },
                   { 0x40, 4, SESSION_LEN });
}

static void psp_wrap_keys(const AmdPspEcKey *key, const AmdPspEcPoint *peer,
                          const uint8_t nonce[16], uint8_t kek[16],
                          uint8_t kik[16])
{
    uint8_t z[PSP_P384_LEN], master[16];

    g_assert_true(amd_psp_ecdh(z, key, peer));
    amd_psp_kdf(master, 16, z, sizeof(z), "sev-master-secret", nonce, 16);
    amd_psp_kdf(kek, 16, master, 16, "sev-kek", NULL, 0);
    amd_psp_kdf(kik, 16, master, 16, "sev-kik", NULL, 0);
}

bool psp_open_session(const AmdPspEcKey *key, const AmdPspEcPoint *pdh,
                      const uint8_t se[SESSION_LEN], uint32_t policy,
                      uint8_t tk[32])
{
    uint8_t kek[16], kik[16], mac[PSP_SHA256_LEN];
    uint32_t le_policy = cpu_to_le32(policy);

    psp_wrap_keys(key, pdh, se, kek, kik);
    amd_psp_hmac(mac, kik, 16, &(struct iovec){ (void *)(se + 16), 32 }, 1);
    if (memcmp(mac, se + 64, 32)) {
        return false;
    }
    amd_psp_aes_ctr(kek, se + 48, se + 16, tk, 32);
    amd_psp_hmac(mac, tk + 16, 16, &(struct iovec){ &le_policy, 4 }, 1);
    return !memcmp(mac, se + 96, 32);
}

void psp_make_session(uint32_t policy, const uint8_t tk[32])
{
    uint8_t cert[CERT_LEN], se[SESSION_LEN] = {};
    uint8_t kek[16], kik[16];
    uint32_t le_policy = cpu_to_le32(policy);
    AmdPspEcKey owner;
    AmdPspEcPoint pdh;

    psp_get_pdh(&pdh);
    amd_psp_ec_generate(&owner);
    psp_cert_make(cert, USAGE_PDH, &owner);
    qtest_memwrite(psp.qts, IN, cert, sizeof(cert));

    memset(se, 0x77, 16);
    memset(se + 48, 0x88, 16);
    psp_wrap_keys(&owner, &pdh, se, kek, kik);
    amd_psp_aes_ctr(kek, se + 48, tk, se + 16, 32);
    amd_psp_hmac(se + 64, kik, 16, &(struct iovec){ se + 16, 32 }, 1);
    amd_psp_hmac(se + 96, tk + 16, 16, &(struct iovec){ &le_policy, 4 }, 1);
    qtest_memwrite(psp.qts, IN_SESSION, se, sizeof(se));
}

static void psp_packet_mac(uint8_t context, const uint8_t *tik,
                           const uint8_t hdr[52], const void *data,
                           uint32_t len, uint8_t mac[PSP_SHA256_LEN])
{
    uint32_t le_len = cpu_to_le32(len);
    struct iovec iov[] = {
        { &context, 1 }, { (void *)hdr, 20 }, { &le_len, 4 }, { &le_len, 4 },
        { (void *)data, len }, { psp.measure, sizeof(psp.measure) },
    };

    amd_psp_hmac(mac, tik, 16, iov, context == PACKET_SECRET ? 6 : 5);
}

void psp_make_packet(uint8_t context, const void *plain, size_t len,
                     uint32_t flags)
{
    uint8_t hdr[52] = {};
    g_autofree uint8_t *data = g_malloc(len);

    stl_le_p(hdr, flags);
    memset(hdr + 4, 0x99, 16);
    amd_psp_aes_ctr(psp_known_tk, hdr + 4, plain, data, len);
    psp_packet_mac(context, psp_known_tk + 16, hdr, data, len, hdr + 20);
    qtest_memwrite(psp.qts, IN, hdr, sizeof(hdr));
    qtest_memwrite(psp.qts, IN_PACKET, data, len);
}

bool psp_open_packet(uint8_t context, const uint8_t tk[32],
                     const uint8_t hdr[52], uint8_t *data, uint32_t len)
{
    uint8_t mac[PSP_SHA256_LEN];

    psp_packet_mac(context, tk + 16, hdr, data, len, mac);
    amd_psp_aes_ctr(tk, hdr + 4, data, data, len);
    return !memcmp(mac, hdr + 20, sizeof(mac));
}
