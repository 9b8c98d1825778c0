/*
 * AMD Platform Security Processor: openssl judges the certificates
 *
 * Each signature from the ARK down to the PDH goes to the openssl program, as
 * a public key and a signature in the forms that it reads. The test itself
 * computes nothing.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "libqos/fw_cfg.h"
#include "amd-psp-util.h"

#define RSA_LEN 256
#define AMD_CERT_LEN (64 + 3 * RSA_LEN)
#define AMD_SIGNED_LEN (AMD_CERT_LEN - RSA_LEN)
#define SIGNED_LEN 0x414
#define SIG_LEN 520
#define COORD_LEN 48

typedef struct Chain {
    uint8_t pdh[CERT_LEN], pek[CERT_LEN], oca[CERT_LEN], cek[CERT_LEN];
    uint8_t ask[AMD_CERT_LEN], ark[AMD_CERT_LEN];
} Chain;

static void get_chain(Chain *c)
{
    QFWCFG *fw_cfg = pc_fw_cfg_init(psp.qts);
    uint8_t root[2 * AMD_CERT_LEN];
    AmdPspEcPoint pdh;

    psp_reach(S_INIT, 0);
    psp_get_pdh(&pdh);
    qtest_memread(psp.qts, OUT, c->pdh, CERT_LEN);
    qtest_memread(psp.qts, OUT + 0x1000, c->pek, CHAIN_LEN);
    g_assert_cmpuint(qfw_cfg_get_file(fw_cfg, "etc/amd-psp/ask-ark.cert", root,
                                      sizeof(root)), ==, sizeof(root));
    memcpy(c->ask, root, AMD_CERT_LEN);
    memcpy(c->ark, root + AMD_CERT_LEN, AMD_CERT_LEN);
    pc_fw_cfg_uninit(fw_cfg);
}

/* DER (ITU-T X.690): tag, length below 0x10000, content */
static void der(GByteArray *out, uint8_t tag, const GByteArray *content)
{
    uint8_t head[4] = { tag };
    size_t n = 2;

    if (content->len < 0x80) {
        head[1] = content->len;
    } else {
        head[1] = 0x82;
        stw_be_p(head + 2, content->len);
        n = 4;
    }
    g_byte_array_append(out, head, n);
    g_byte_array_append(out, content->data, content->len);
}

/* An INTEGER, from @len bytes that are little endian */
static void der_integer(GByteArray *out, const uint8_t *le, size_t len)
{
    g_autoptr(GByteArray) be = g_byte_array_new();
    static const uint8_t zero;

    while (len > 1 && !le[len - 1]) {
        len--;
    }
    if (le[len - 1] & 0x80) {
        g_byte_array_append(be, &zero, 1);
    }
    while (len) {
        g_byte_array_append(be, &le[--len], 1);
    }
    der(out, 0x02, be);
}

/* SubjectPublicKeyInfo of @algorithm (its DER) and @key, a BIT STRING */
static GByteArray *spki(const uint8_t *algorithm, size_t algorithm_len,
                        const GByteArray *key)
{
    g_autoptr(GByteArray) info = g_byte_array_new();
    g_autoptr(GByteArray) bits = g_byte_array_new();
    static const uint8_t unused;
    GByteArray *out = g_byte_array_new();

    g_byte_array_append(info, algorithm, algorithm_len);
    g_byte_array_append(bits, &unused, 1);
    g_byte_array_append(bits, key->data, key->len);
    der(info, 0x03, bits);
    der(out, 0x30, info);
    return out;
}

static GByteArray *ec_key(const uint8_t *cert)
{
    /* id-ecPublicKey, secp384r1 */
    static const uint8_t algorithm[] = {
        0x30, 0x10, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01,
        0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22,
    };
    g_autoptr(GByteArray) point = g_byte_array_new();
    static const uint8_t uncompressed = 0x04;

    g_byte_array_append(point, &uncompressed, 1);
    for (int off = 0x14; off <= 0x14 + 72; off += 72) {
        for (int i = COORD_LEN; i; i--) {
            g_byte_array_append(point, cert + off + i - 1, 1);
        }
    }
    return spki(algorithm, sizeof(algorithm), point);
}

static GByteArray *rsa_key(const uint8_t *cert)
{
    /* rsaEncryption, NULL */
    static const uint8_t algorithm[] = {
        0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01,
        0x01, 0x01, 0x05, 0x00,
    };
    g_autoptr(GByteArray) numbers = g_byte_array_new();
    g_autoptr(GByteArray) key = g_byte_array_new();

    der_integer(numbers, cert + 64 + RSA_LEN, RSA_LEN);
    der_integer(numbers, cert + 64, RSA_LEN);
    der(key, 0x30, numbers);
    return spki(algorithm, sizeof(algorithm), key);
}

static GByteArray *ec_signature(const uint8_t *raw)
{
    g_autoptr(GByteArray) numbers = g_byte_array_new();
    GByteArray *out = g_byte_array_new();

    der_integer(numbers, raw + 8, COORD_LEN);
    der_integer(numbers, raw + 8 + 72, COORD_LEN);
    der(out, 0x30, numbers);
    return out;
}

static GByteArray *rsa_signature(const uint8_t *le)
{
    GByteArray *out = g_byte_array_new();

    for (int i = RSA_LEN; i; i--) {
        g_byte_array_append(out, le + i - 1, 1);
    }
    return out;
}

static char *dir;

static void save(const char *name, const void *data, size_t len)
{
    g_autofree char *path = g_build_filename(dir, name, NULL);

    g_assert_true(g_file_set_contents(path, data, len, NULL));
}

/* Does @key, as openssl sees it, verify @sig over @data? Frees both. */
static bool openssl(GByteArray *key, GByteArray *sig, const uint8_t *data,
                    size_t len, const char *options)
{
    g_autofree char *cmd = NULL, *out = NULL, *err = NULL;
    int status;

    save("key", key->data, key->len);
    save("sig", sig->data, sig->len);
    save("data", data, len);
    cmd = g_strdup_printf("openssl dgst -sha256 -keyform DER -verify %s/key "
                          "-signature %s/sig %s %s/data", dir, dir, options,
                          dir);
    g_assert_true(g_spawn_command_line_sync(cmd, &out, &err, &status, NULL));
    g_byte_array_unref(key);
    g_byte_array_unref(sig);
    /* An error other than a bad signature would make tests of refusal blind. */
    g_assert_true(g_str_has_prefix(out, "Verified OK") == !status);
    g_assert_true(!status || g_str_has_prefix(out, "Verification failure") ||
                  g_str_has_prefix(out, "Verification Failure"));
    return !status;
}

static bool signed_ec(const uint8_t *cert, int n, const uint8_t *issuer)
{
    return openssl(ec_key(issuer), ec_signature(cert + SIGNED_LEN +
                                                n * SIG_LEN),
                   cert, SIGNED_LEN, "");
}

#define PSS "-sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:32 " \
            "-sigopt rsa_mgf1_md:sha256"

static bool signed_rsa(const uint8_t *cert, const uint8_t *issuer)
{
    return openssl(rsa_key(issuer), rsa_signature(cert + SIGNED_LEN + 8),
                   cert, SIGNED_LEN, PSS);
}

static bool signed_amd(const uint8_t *cert, const uint8_t *issuer)
{
    return openssl(rsa_key(issuer), rsa_signature(cert + AMD_SIGNED_LEN),
                   cert, AMD_SIGNED_LEN, PSS);
}

/* As many links of the chain, from the top, as hold */
static int links(const Chain *c)
{
    int n = 0;

    n += n == 0 && signed_amd(c->ark, c->ark);
    n += n == 1 && signed_amd(c->ask, c->ark);
    n += n == 2 && signed_rsa(c->cek, c->ask);
    n += n == 3 && signed_ec(c->pek, 1, c->cek);
    n += n == 4 && signed_ec(c->oca, 0, c->oca);
    n += n == 5 && signed_ec(c->pek, 0, c->oca);
    n += n == 6 && signed_ec(c->pdh, 0, c->pek);
    return n;
}

static void test_chain(void)
{
    Chain c;

    get_chain(&c);
    g_assert_cmpint(links(&c), ==, 7);
    c.pdh[0x14] ^= 1;
    g_assert_cmpint(links(&c), ==, 6);
    c.oca[5] ^= 1;
    g_assert_cmpint(links(&c), ==, 4);
    c.pek[4] ^= 1;
    g_assert_cmpint(links(&c), ==, 3);
    c.cek[SIGNED_LEN + 8] ^= 1;
    g_assert_cmpint(links(&c), ==, 2);
    c.ask[0x10] ^= 1;
    g_assert_cmpint(links(&c), ==, 1);
    c.ark[AMD_SIGNED_LEN] ^= 1;
    g_assert_cmpint(links(&c), ==, 0);
}

static void assert_amd_cert(const uint8_t *cert, uint32_t usage,
                            const uint8_t *issuer)
{
    g_assert_cmphex(ldl_le_p(cert), ==, 1);
    g_assert_cmpmem(cert + 20, 16, issuer + 4, 16);
    g_assert_cmphex(ldl_le_p(cert + 36), ==, usage);
    g_assert_cmpuint(ldl_le_p(cert + 56), ==, 8 * RSA_LEN);
    g_assert_cmpuint(ldl_le_p(cert + 60), ==, 8 * RSA_LEN);
}

static void test_formats(void)
{
    Chain c;

    get_chain(&c);
    assert_amd_cert(c.ark, 0, c.ark);
    assert_amd_cert(c.ask, 0x13, c.ark);
    g_assert_true(memcmp(c.ask + 4, c.ark + 4, 16));
    g_assert_cmphex(ldl_le_p(c.cek + 8), ==, USAGE_CEK);
    g_assert_cmphex(ldl_le_p(c.cek + SIGNED_LEN), ==, 0x13);
    g_assert_cmphex(ldl_le_p(c.cek + SIGNED_LEN + 4), ==, 1);
}

/*
 * Seeds decide: the same root and chip come back; another root leaves the chip
 * its key, under another signature, and links of two roots do not join.
 */
static void test_seeds(void)
{
    Chain a, b;

    get_chain(&a);
    psp_stop();
    psp_start("");
    get_chain(&b);
    g_assert_cmpmem(a.cek, CERT_LEN, b.cek, CERT_LEN);
    g_assert_cmpmem(a.ask, 2 * AMD_CERT_LEN, b.ask, 2 * AMD_CERT_LEN);
    psp_stop();
    psp_start(",root-seed=other");
    get_chain(&b);
    g_assert_cmpint(links(&b), ==, 7);
    g_assert_cmpmem(a.cek, SIGNED_LEN, b.cek, SIGNED_LEN);
    g_assert_true(memcmp(a.ark, b.ark, AMD_CERT_LEN));
    memcpy(b.ark, a.ark, AMD_CERT_LEN);
    g_assert_cmpint(links(&b), ==, 1);
    memcpy(b.ask, a.ask, AMD_CERT_LEN);
    g_assert_cmpint(links(&b), ==, 2);
    psp_stop();
    psp_start(",chip-seed=other");
    get_chain(&b);
    g_assert_cmpint(links(&b), ==, 7);
    g_assert_cmpmem(a.ark, AMD_CERT_LEN, b.ark, AMD_CERT_LEN);
    g_assert_true(memcmp(a.cek, b.cek, SIGNED_LEN));
}

static void forget(void)
{
    static const char *const files[] = { "key", "sig", "data" };

    for (int i = 0; i < ARRAY_SIZE(files); i++) {
        g_autofree char *path = g_build_filename(dir, files[i], NULL);

        unlink(path);
    }
    rmdir(dir);
    g_free(dir);
}

int main(int argc, char **argv)
{
    int ret;

    g_test_init(&argc, &argv, NULL);
    qtest_add_func("amd-psp/certificates/formats", test_formats);
    qtest_add_func("amd-psp/certificates/chain", test_chain);
    qtest_add_func("amd-psp/certificates/seeds", test_seeds);

    dir = g_dir_make_tmp("amd-psp-XXXXXX", NULL);
    psp_start("");
    ret = g_test_run();
    psp_stop();
    forget();
    return ret;
}
