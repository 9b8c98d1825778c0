/*
 * AMD Platform Security Processor: measurements, secrets, reports and memory
 *
 * The constants of test_session_vector() come from another implementation
 * (python-cryptography). Where Debian's virt-qemu-sev-validate is installed,
 * it judges the measurement and makes the secret, too.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "amd-psp-util.h"

#define TEK psp_known_tk
#define TIK (psp_known_tk + 16)
#define FW_LEN 0x3000
#define VMSA_LEN 0x1000
#define VMSA (DATA + FW_LEN)            /* one page each for two CPUs */

static void unhex(uint8_t *out, const char *hex)
{
    for (; *hex; hex += 2) {
        *out++ = g_ascii_xdigit_value(hex[0]) << 4 |
                 g_ascii_xdigit_value(hex[1]);
    }
}

#define ASSERT_HEX(mem, hex) do { \
    uint8_t want_[sizeof(hex) / 2]; \
    unhex(want_, hex); \
    g_assert_cmpmem(mem, sizeof(want_), want_, sizeof(want_)); \
} while (0)

static void test_session_vector(void)
{
    uint8_t z[48], master[16], kek[16], kik[16], w[32], mac[32];
    uint8_t nonce[16], iv[16], tk[32];
    AmdPspEcKey owner, platform;

    unhex(owner.d, "4c1029697ee358715d3a14a2add817c4b01651440de808371f78165ac9"
                   "0dc581713a34a3c313be426d15b5c62ca9c115");
    unhex(platform.d, "d294fcce0cc88587843099d85dd805aeef1b09a63b0db1dd3e4dc62"
                      "a343c1db53c7bf2f882764fdab2426967f4769839");
    for (int i = 0; i < 32; i++) {
        nonce[i % 16] = i % 16;
        iv[i % 16] = 16 + i % 16;
        tk[i] = 32 + i;
    }
    g_assert_true(amd_psp_ec_derive_public(&owner));
    g_assert_true(amd_psp_ec_derive_public(&platform));
    ASSERT_HEX(platform.pub.x,
               "a858d66ded1ccb451514a693c4b6e7b521cdc8dfa89a67ad86acae6ca7fbbc"
               "b8830a36491a7fb6a1897a4ca709ab5d7e");
    ASSERT_HEX(platform.pub.y,
               "d0666c8b08fdfe740a2a6bc57f28dc02eb551a8d06eb75c6bd01511c176718"
               "47e215e992c773a005eedb24329c394fc3");
    g_assert_true(amd_psp_ecdh(z, &platform, &owner.pub));
    ASSERT_HEX(z, "e5454852c9914f36b03c2e0947067abd4141cefd0959fcba984b1ae624b1"
                  "eb44b2a070e50e577678e27a6b2bd04ae3e5");
    amd_psp_kdf(master, 16, z, 48, "sev-master-secret", nonce, 16);
    ASSERT_HEX(master, "fbd8e29ffe3bfac50915c5a297bef857");
    amd_psp_kdf(kek, 16, master, 16, "sev-kek", NULL, 0);
    ASSERT_HEX(kek, "d1f504dbbf02a9b1e140403cb7f0a7e6");
    amd_psp_kdf(kik, 16, master, 16, "sev-kik", NULL, 0);
    ASSERT_HEX(kik, "905005bdeb153e7afc65e0d77e08856f");
    amd_psp_aes_ctr(kek, iv, tk, w, 32);
    ASSERT_HEX(w, "508fa933c96dac6976df85571bc908211117ac07ab797be103f7a1346ed"
                  "d2903");
    amd_psp_hmac(mac, kik, 16, &(struct iovec){ w, 32 }, 1);
    ASSERT_HEX(mac, "234bc20ad0f664371d0835fc563d9756694f6e88532eb88a60ed2ca5f3"
                    "5cdab0");
}

static void test_bad_points(void)
{
    AmdPspEcKey key;
    AmdPspEcPoint p = {};
    uint8_t z[48];

    amd_psp_ec_generate(&key);
    g_assert_false(amd_psp_ecdh(z, &key, &p));
    p = key.pub;
    p.y[47] ^= 1;
    g_assert_false(amd_psp_ecdh(z, &key, &p));
    memset(&p, 0xff, sizeof(p));
    g_assert_false(amd_psp_ecdh(z, &key, &p));
    memset(key.d, 0, sizeof(key.d));
    g_assert_false(amd_psp_ec_derive_public(&key));
    memset(key.d, 0xff, sizeof(key.d));
    g_assert_false(amd_psp_ec_derive_public(&key));
}

static void fill(uint8_t *buf, size_t len, uint8_t salt)
{
    for (size_t i = 0; i < len; i++) {
        buf[i] = (i * 7 + (i >> 8)) ^ salt;
    }
}

typedef struct Launch {
    uint8_t fw[FW_LEN];
    uint8_t vmsa[2][VMSA_LEN];
} Launch;

static void launch_vmsa(uint8_t *vmsa, uint64_t addr, uint8_t salt)
{
    fill(vmsa, VMSA_LEN, salt);
    memset(vmsa + 0x380, 0, 16);
    qtest_memwrite(psp.qts, addr, vmsa, VMSA_LEN);
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_UPDATE_VMSA, { 0, 4, HANDLE },
                            { 8, 8, addr }, { 16, 4, VMSA_LEN }), ==, OK);
}

/* An ES guest whose memory is known, up to LSECRET */
static void launch(Launch *l)
{
    fill(l->fw, FW_LEN, 0x5a);
    psp_reach(S_ACTIVE, POLICY_ES);
    qtest_memwrite(psp.qts, DATA, l->fw, FW_LEN);
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_UPDATE_DATA, { 0, 4, HANDLE },
                            { 8, 8, DATA }, { 16, 4, FW_LEN }), ==, OK);
    for (int i = 0; i < 2; i++) {
        launch_vmsa(l->vmsa[i], VMSA + i * VMSA_LEN, 0xa5 + i);
    }
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_MEASURE, { 0, 4, HANDLE },
                            { 8, 8, OUT }, { 16, 4, 0x100 }), ==, OK);
    g_assert_cmphex(psp_out32(16), ==, 0x30);
    qtest_memread(psp.qts, OUT, psp.measure, 32);
    qtest_memread(psp.qts, OUT + 32, psp.mnonce, 16);
}

static void launch_digest(const Launch *l, uint8_t digest[32])
{
    amd_psp_sha256(digest, l, sizeof(*l));
}

static void platform_version(uint8_t ver[3])
{
    g_assert_cmphex(psp_cmd_at(CMD_PLATFORM_STATUS, CMDBUF, false), ==, OK);
    ver[0] = psp_out8(0);
    ver[1] = psp_out8(1);
    ver[2] = psp_out8(7);
}

static void test_measurement(void)
{
    g_autofree Launch *l = g_new(Launch, 1);
    uint8_t digest[32], mac[32], head[8] = { 4 };
    struct iovec iov[] = {
        { head, 8 }, { digest, 32 }, { psp.mnonce, 16 },
    };

    launch(l);
    launch_digest(l, digest);
    platform_version(head + 1);
    stl_le_p(head + 4, POLICY_ES);
    amd_psp_hmac(mac, TIK, 16, iov, 3);
    g_assert_cmpmem(mac, 32, psp.measure, 32);
}

static unsigned dbg(unsigned cmd, uint64_t src, uint64_t dst, uint32_t len)
{
    return PSP_CMD(cmd, { 0, 4, HANDLE }, { 8, 8, src }, { 16, 8, dst },
                   { 24, 4, len });
}

/* The host sees ciphertext; DBG_DECRYPT the plaintext. */
static void test_memory(void)
{
    g_autofree Launch *l = g_new(Launch, 1);
    uint8_t raw[FW_LEN], plain[FW_LEN];

    launch(l);
    qtest_memread(psp.qts, DATA, raw, FW_LEN);
    for (int i = 0; i < FW_LEN; i += 16) {
        g_assert_true(memcmp(raw + i, l->fw + i, 16));
    }
    g_assert_cmphex(dbg(CMD_DBG_DECRYPT, DATA, OUT, FW_LEN), ==, OK);
    qtest_memread(psp.qts, OUT, plain, FW_LEN);
    g_assert_cmpmem(plain, FW_LEN, l->fw, FW_LEN);

    /* DBG_ENCRYPT of a part touches nothing else. */
    qtest_memset(psp.qts, OUT, 0xee, 32);
    g_assert_cmphex(dbg(CMD_DBG_ENCRYPT, OUT, DATA + 0x1010, 32), ==, OK);
    memset(l->fw + 0x1010, 0xee, 32);
    g_assert_cmphex(dbg(CMD_DBG_DECRYPT, DATA, OUT, FW_LEN), ==, OK);
    qtest_memread(psp.qts, OUT, plain, FW_LEN);
    g_assert_cmpmem(plain, FW_LEN, l->fw, FW_LEN);
}

/* What the host writes into a guest's page, the guest does not see as such. */
static void test_host_write(void)
{
    g_autofree Launch *l = g_new(Launch, 1);
    uint8_t plain[32];

    launch(l);
    qtest_memset(psp.qts, DATA, 0x33, 32);
    g_assert_cmphex(dbg(CMD_DBG_DECRYPT, DATA, OUT, 32), ==, OK);
    qtest_memread(psp.qts, OUT, plain, 32);
    g_assert_cmphex(plain[0] << 24 | plain[1] << 16 | plain[2] << 8 | plain[3],
                    !=, 0x33333333);
    qtest_memread(psp.qts, DATA, plain, 32);
    g_assert_cmphex(plain[0], ==, 0x33);
}

/* Two guests never have the same key, unless they share it. */
static void test_guest_keys(void)
{
    g_autofree Launch *l = g_new(Launch, 1);
    uint8_t first[32], second[32];
    uint32_t a;

    launch(l);
    qtest_memread(psp.qts, DATA, first, 32);
    a = psp.handle;
    for (int share = 0; share < 2; share++) {
        psp_make_session(POLICY_ES, psp_known_tk);
        g_assert_cmphex(PSP_CMD(CMD_LAUNCH_START, { 0, 4, share ? a : 0 },
                                { 4, 4, POLICY_ES }), ==, OK);
        psp.handle = psp_out32(0);
        g_assert_cmphex(PSP_CMD(CMD_ACTIVATE, { 0, 4, HANDLE },
                                { 4, 4, 8 + share }), ==, OK);
        qtest_memwrite(psp.qts, DATA, l->fw, 32);
        g_assert_cmphex(PSP_CMD(CMD_LAUNCH_UPDATE_DATA, { 0, 4, HANDLE },
                                { 8, 8, DATA }, { 16, 4, 32 }), ==, OK);
        qtest_memread(psp.qts, DATA, second, 32);
        g_assert_cmpint(!memcmp(first, second, 32), ==, share);
    }
}

/* The slot pointer is firmware's, not part of the measured page. */
static void test_vmsa(void)
{
    g_autofree Launch *l = g_new(Launch, 1);
    uint8_t page[VMSA_LEN];
    uint64_t slot;

    launch(l);
    g_assert_cmphex(dbg(CMD_DBG_DECRYPT, VMSA, OUT, VMSA_LEN), ==, OK);
    qtest_memread(psp.qts, OUT, page, VMSA_LEN);
    g_assert_cmphex(ldq_le_p(page + 0x380), ==, 0);
    slot = ldq_le_p(page + 0x388);
    g_assert_cmphex(slot, >=, TMR);
    g_assert_cmphex(slot, <, TMR + TMR_LEN);
    memset(page + 0x380, 0, 16);
    g_assert_cmpmem(page, VMSA_LEN, l->vmsa[0], VMSA_LEN);
}

static unsigned secret(uint64_t where, uint32_t len)
{
    return PSP_CMD(CMD_LAUNCH_SECRET, { 0, 4, HANDLE }, { 8, 8, IN },
                   { 16, 4, 52 }, { 24, 8, where }, { 32, 4, len },
                   { 40, 8, IN_PACKET }, { 48, 4, len });
}

static void test_secret(void)
{
    g_autofree Launch *l = g_new(Launch, 1);
    uint8_t plain[0x5000], seen[0x5000];

    launch(l);
    fill(plain, sizeof(plain), 0x11);
    psp_make_packet(PACKET_SECRET, plain, 64, 0);
    g_assert_cmphex(secret(DATA + 0x40, 64), ==, OK);
    g_assert_cmphex(dbg(CMD_DBG_DECRYPT, DATA + 0x40, OUT, 64), ==, OK);
    qtest_memread(psp.qts, OUT, seen, 64);
    g_assert_cmpmem(seen, 64, plain, 64);

    psp_make_packet(PACKET_SECRET, plain, 64, 1);
    g_assert_cmphex(secret(DATA, 64), ==, UNSUPPORTED);
    psp_make_packet(PACKET_SECRET, plain, sizeof(plain), 0);
    g_assert_cmphex(secret(DATA + 0x8000, sizeof(plain)), ==, OK);

    /* Any bit of header or data that changes is noticed. */
    for (int i = 1; i < 52; i += 3) {
        psp_make_packet(PACKET_SECRET, plain, 64, 0);
        qtest_writeb(psp.qts, IN + i, qtest_readb(psp.qts, IN + i) ^ 0x10);
        g_assert_cmphex(secret(DATA, 64), ==, BAD_MEASUREMENT);
    }
    psp_make_packet(PACKET_SECRET, plain, 64, 0);
    qtest_writeb(psp.qts, IN_PACKET, qtest_readb(psp.qts, IN_PACKET) ^ 1);
    g_assert_cmphex(secret(DATA, 64), ==, BAD_MEASUREMENT);

    /* A secret for this launch is none for the next. */
    psp_make_packet(PACKET_SECRET, plain, 64, 0);
    qtest_memread(psp.qts, IN, seen, 52);
    launch(l);
    psp_make_packet(PACKET_SECRET, plain, 64, 0);
    qtest_memwrite(psp.qts, IN, seen, 52);
    g_assert_cmphex(secret(DATA, 64), ==, BAD_MEASUREMENT);
}

static void test_session_tampered(void)
{
    psp_reach(S_INIT, 0);
    for (int i = 0; i < SESSION_LEN; i += 5) {
        unsigned got;

        psp_make_session(POLICY_ES, psp_known_tk);
        qtest_writeb(psp.qts, IN_SESSION + i,
                     qtest_readb(psp.qts, IN_SESSION + i) ^ 0x40);
        got = PSP_CMD(CMD_LAUNCH_START, { 4, 4, POLICY_ES }, { 8, 8, IN },
                      { 16, 4, CERT_LEN }, { 24, 8, IN_SESSION },
                      { 32, 4, SESSION_LEN });
        g_assert_cmphex(got, ==, BAD_MEASUREMENT);
    }
    /* A point off the curve */
    psp_make_session(0, psp_known_tk);
    qtest_writeb(psp.qts, IN + 0x14, qtest_readb(psp.qts, IN + 0x14) ^ 1);
    g_assert_cmphex(PSP_CMD(CMD_LAUNCH_START, { 8, 8, IN },
                            { 16, 4, CERT_LEN }, { 24, 8, IN_SESSION },
                            { 32, 4, SESSION_LEN }), ==, INVALID_CERTIFICATE);
}

static void test_report(void)
{
    g_autofree Launch *l = g_new(Launch, 1);
    uint8_t report[0xd0], pek[CERT_LEN], digest[32];
    AmdPspEcPoint pub;
    AmdPspEcSig sig;

    launch(l);
    psp_get_pdh(&pub);
    qtest_memread(psp.qts, OUT + 0x1000, pek, CERT_LEN);
    psp_cert_point(pek, &pub);
    g_assert_cmphex(PSP_CMD(CMD_ATTESTATION_REPORT, { 0, 4, HANDLE },
                            { 8, 8, OUT }, { 16, 8, 0x0123456789abcdef },
                            { 24, 8, 0xfedcba9876543210 },
                            { 32, 4, 0xd0 }), ==, OK);
    qtest_memread(psp.qts, OUT, report, sizeof(report));
    g_assert_cmphex(ldq_le_p(report), ==, 0x0123456789abcdef);
    g_assert_cmphex(ldq_le_p(report + 8), ==, 0xfedcba9876543210);
    launch_digest(l, digest);
    g_assert_cmpmem(report + 0x10, 32, digest, 32);
    g_assert_cmphex(ldl_le_p(report + 0x30), ==, POLICY_ES);
    g_assert_cmphex(ldl_le_p(report + 0x34), ==, 0x1002);
    g_assert_cmphex(ldl_le_p(report + 0x38), ==, 2);
    for (int i = 0; i < 48; i++) {
        sig.r[i] = report[0x40 + 47 - i];
        sig.s[i] = report[0x88 + 47 - i];
    }
    amd_psp_sha256(digest, report, 0x34);
    g_assert_true(amd_psp_ecdsa_verify(&sig, &pub, digest, sizeof(digest)));
    digest[0] ^= 1;
    g_assert_false(amd_psp_ecdsa_verify(&sig, &pub, digest, sizeof(digest)));
}

#define SECRET_GUID "736869e5-84f0-4973-92ec-06879ce3da0b"

typedef struct Owner {
    char *tool;
    char *dir;
} Owner;

static char *owner_path(const Owner *o, const char *name)
{
    return g_build_filename(o->dir, name, NULL);
}

static void owner_save(const Owner *o, const char *name, const void *data,
                       size_t len)
{
    g_autofree char *path = owner_path(o, name);

    g_assert_true(g_file_set_contents(path, data, len, NULL));
}

static int owner_run(const Owner *o, const char *args)
{
    g_autofree char *cmd = g_strdup_printf("%s %s", o->tool, args);
    g_autofree char *out = NULL, *err = NULL;
    int status;

    g_assert_true(g_spawn_command_line_sync(cmd, &out, &err, &status, NULL));
    return status;
}

/* Exit status of the guest owner's tool, who believes in launch @l */
static int owner_validate(const Owner *o, const Launch *l)
{
    uint8_t both[48], ver[3];
    g_autofree char *m = NULL, *args = NULL;
    const char *d = o->dir;

    owner_save(o, "fw", l->fw, FW_LEN);
    owner_save(o, "vmsa0", l->vmsa[0], VMSA_LEN);
    owner_save(o, "vmsa1", l->vmsa[1], VMSA_LEN);
    owner_save(o, "tik", TIK, 16);
    owner_save(o, "tek", TEK, 16);
    owner_save(o, "secret", "sesame", 6);
    memcpy(both, psp.measure, 32);
    memcpy(both + 32, psp.mnonce, 16);
    m = g_base64_encode(both, sizeof(both));
    platform_version(ver);
    args = g_strdup_printf("--measurement %s --api-major %d --api-minor %d "
                           "--build-id %d --policy %d --firmware %s/fw "
                           "--num-cpus 2 --vmsa-cpu0 %s/vmsa0 "
                           "--vmsa-cpu1 %s/vmsa1 --tik %s/tik --tek %s/tek "
                           "--inject-secret %s:%s/secret "
                           "--secret-header %s/header "
                           "--secret-payload %s/payload",
                           m, ver[0], ver[1], ver[2], POLICY_ES, d, d, d, d, d,
                           SECRET_GUID, d, d, d);
    return owner_run(o, args);
}

/* The tool's base64 file, as memory at @addr; returns the length */
static size_t owner_load(const Owner *o, const char *name, uint64_t addr)
{
    g_autofree char *path = owner_path(o, name);
    g_autofree char *text = NULL;
    g_autofree guchar *data = NULL;
    gsize len;

    g_assert_true(g_file_get_contents(path, &text, NULL, NULL));
    data = g_base64_decode(text, &len);
    qtest_memwrite(psp.qts, addr, data, len);
    return len;
}

static void owner_inject(const Owner *o)
{
    uint8_t table[0x100];
    size_t len;

    g_assert_cmpuint(owner_load(o, "header", IN), ==, 52);
    len = owner_load(o, "payload", IN_PACKET);
    g_assert_cmpuint(len, <=, sizeof(table));
    g_assert_cmphex(secret(DATA, len), ==, OK);
    g_assert_cmphex(dbg(CMD_DBG_DECRYPT, DATA, OUT, len), ==, OK);
    qtest_memread(psp.qts, OUT, table, len);
    g_assert_nonnull(memmem(table, len, "sesame", 6));
}

static void owner_forget(Owner *o)
{
    static const char *const files[] = {
        "fw", "vmsa0", "vmsa1", "tik", "tek", "secret", "header", "payload",
    };

    for (int i = 0; i < ARRAY_SIZE(files); i++) {
        g_autofree char *path = owner_path(o, files[i]);

        unlink(path);
    }
    rmdir(o->dir);
    g_free(o->dir);
    g_free(o->tool);
}

static void test_validate(void)
{
    g_autofree Launch *l = g_new(Launch, 1);
    Owner o = { g_find_program_in_path("virt-qemu-sev-validate") };

    if (!o.tool || owner_run(&o, "--help")) {
        g_test_skip("virt-qemu-sev-validate is not installed");
        g_free(o.tool);
        return;
    }
    o.dir = g_dir_make_tmp("amd-psp-XXXXXX", NULL);
    launch(l);
    g_assert_cmpint(owner_validate(&o, l), ==, 0);
    owner_inject(&o);
    l->fw[100] ^= 1;
    g_assert_cmpint(owner_validate(&o, l), !=, 0);
    l->fw[100] ^= 1;
    l->vmsa[1][8] ^= 1;
    g_assert_cmpint(owner_validate(&o, l), !=, 0);
    l->vmsa[1][8] ^= 1;
    psp.measure[0] ^= 1;
    g_assert_cmpint(owner_validate(&o, l), !=, 0);
    owner_forget(&o);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("amd-psp/crypto/session-vector", test_session_vector);
    qtest_add_func("amd-psp/crypto/bad-points", test_bad_points);
    qtest_add_func("amd-psp/crypto/measurement", test_measurement);
    qtest_add_func("amd-psp/crypto/memory", test_memory);
    qtest_add_func("amd-psp/crypto/host-write", test_host_write);
    qtest_add_func("amd-psp/crypto/guest-keys", test_guest_keys);
    qtest_add_func("amd-psp/crypto/vmsa", test_vmsa);
    qtest_add_func("amd-psp/crypto/secret", test_secret);
    qtest_add_func("amd-psp/crypto/session-tampered", test_session_tampered);
    qtest_add_func("amd-psp/crypto/report", test_report);
    qtest_add_func("amd-psp/crypto/sev-validate", test_validate);

    psp_start("");
    ret = g_test_run();
    psp_stop();
    return ret;
}
