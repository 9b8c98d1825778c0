/*
 * AMD Platform Security Processor: the launch of SEV-SNP guests
 *
 * What a command did to a page is read off the RMP; what it did to a guest, off
 * the digest in an ID block that firmware accepts.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "hw/misc/amd-psp-snp-crypto.h"
#include "amd-psp-snp-util.h"

static void test_update_checks(void)
{
    guest_started(POLICY);
    rmp(PAGE, GPA, ASID, false, true);
    g_assert_cmphex(update(0, PAGE, false, 0), ==, INVALID_PARAM);
    g_assert_cmphex(update(7, PAGE, false, 0), ==, INVALID_PARAM);
    g_assert_cmphex(update(NORMAL | 8, PAGE, false, 0), ==, INVALID_PARAM);
    g_assert_cmphex(update(NORMAL, PAGE, false, 1), ==, INVALID_PARAM);
    g_assert_cmphex(update(NORMAL, PAGE + 16, false, 0), ==, INVALID_ADDRESS);
    g_assert_cmphex(update(NORMAL, PAGE, true, 0), ==, INVALID_PAGE_SIZE);
    g_assert_cmphex(update(NORMAL, HOST, false, 0), ==, INVALID_PAGE_STATE);
    rmp(GUEST_PAGE(1), GPA + 0x1000, ASID, false, false);
    g_assert_cmphex(update(NORMAL, GUEST_PAGE(1), false, 0), ==,
                    INVALID_PAGE_STATE);
    rmp(GUEST_PAGE(2), GPA + 0x2000, ASID + 1, false, true);
    g_assert_cmphex(update(NORMAL, GUEST_PAGE(2), false, 0), ==,
                    INVALID_PAGE_OWNER);
    rmp(LARGE, 0x200000, ASID, true, true);
    g_assert_cmphex(update(NORMAL, LARGE, false, 0), ==, INVALID_PAGE_SIZE);
    g_assert_cmphex(update(REGISTERS, LARGE, true, 0), ==, INVALID_PAGE_SIZE);
    g_assert_cmphex(update(SECRETS, LARGE, true, 0), ==, INVALID_PAGE_SIZE);
    g_assert_cmphex(update(ZERO, LARGE, true, 0), ==, OK);
    g_assert_cmphex(entry(LARGE), ==,
                    E_GUEST(ASID, 0x200000) | E_VALID | E_2M);
    /* Nothing that was refused has changed the page. */
    g_assert_cmphex(entry(PAGE), ==, E_GUEST(ASID, GPA) | E_IMMUTABLE);
    g_assert_cmphex(update(NORMAL, PAGE, false, 0x01030700), ==, OK);
    g_assert_cmphex(entry(PAGE), ==, E_GUEST(ASID, GPA) | E_VALID);
    g_assert_cmphex(peek(entry_at(PAGE) + 8), ==, 0x0103070f);
    g_assert_cmphex(update(NORMAL, PAGE, false, 0), ==, INVALID_PAGE_STATE);
    g_assert_cmphex(finish(0), ==, OK);
    g_assert_cmphex(update(NORMAL, PAGE, false, 0), ==, INVALID_GUEST_STATE);
    psp_stop();
}

/* ---- the launch digest and the ID block */

#define LEN384 PSP_SHA384_LEN

static const uint64_t idb_policy_off = 0x58;

static void digest_page(uint8_t ld[LEN384], unsigned type, uint64_t gpa,
                        const uint8_t *page, uint32_t perms)
{
    uint8_t info[0x70] = {};

    memcpy(info, ld, LEN384);
    if (page) {
        amd_psp_sha384(info + 0x30, page, 0x1000);
    }
    stw_le_p(info + 0x60, sizeof(info));
    info[0x62] = type;
    info[0x64] = perms >> 24;
    info[0x65] = perms >> 16;
    info[0x66] = perms >> 8;
    stq_le_p(info + 0x68, gpa);
    amd_psp_sha384(ld, info, sizeof(info));
}

static void put_number(uint64_t addr, const uint8_t be[PSP_P384_LEN])
{
    uint8_t le[PSP_P384_LEN];

    for (int i = 0; i < PSP_P384_LEN; i++) {
        le[i] = be[PSP_P384_LEN - 1 - i];
    }
    qtest_memwrite(psp.qts, addr, le, sizeof(le));
}

static void put_key(uint64_t addr, const AmdPspEcKey *key)
{
    qtest_writel(psp.qts, addr, 2);
    put_number(addr + 4, key->pub.x);
    put_number(addr + 4 + 72, key->pub.y);
}

static void put_signature(uint64_t addr, const AmdPspEcKey *key, uint64_t data,
                          size_t len)
{
    g_autofree uint8_t *buf = g_malloc(len);
    uint8_t digest[LEN384];
    AmdPspEcSig sig;

    qtest_memread(psp.qts, data, buf, len);
    amd_psp_sha384(digest, buf, len);
    g_assert_true(amd_psp_ecdsa_sign(&sig, key, digest, sizeof(digest)));
    put_number(addr, sig.r);
    put_number(addr + 72, sig.s);
}

/* ID block at IN, its authentication at IN + 0x1000 */
static void make_id_block(const uint8_t ld[LEN384], uint64_t policy)
{
    const uint64_t auth = IN + 0x1000;
    AmdPspEcKey id, author;

    amd_psp_ec_generate(&id);
    amd_psp_ec_generate(&author);
    qtest_memset(psp.qts, IN, 0, 0x2000);
    qtest_memwrite(psp.qts, IN, ld, LEN384);
    qtest_memset(psp.qts, IN + 0x30, 0xfa, 16);
    qtest_writel(psp.qts, IN + 0x50, 1);
    poke(IN + idb_policy_off, policy);
    qtest_writel(psp.qts, auth, 1);
    qtest_writel(psp.qts, auth + 4, 1);
    put_signature(auth + 0x40, &id, IN, 0x60);
    put_key(auth + 0x240, &id);
    put_signature(auth + 0x680, &author, auth + 0x240, 0x404);
    put_key(auth + 0x880, &author);
}

#define ID_BLOCK 1
#define AUTHOR 2

static void test_digest(void)
{
    uint8_t ld[LEN384] = {};
    uint8_t page[0x1000], back[0x1000];
    static const unsigned types[] = { NORMAL, ZERO, UNMEASURED, SECRETS };

    guest_started(POLICY | POLICY_DEBUG);
    for (int i = 0; i < ARRAY_SIZE(types); i++) {
        memset(page, 0x11 * (i + 1), sizeof(page));
        qtest_memwrite(psp.qts, GUEST_PAGE(i), page, sizeof(page));
        rmp(GUEST_PAGE(i), GPA + i * 0x1000, ASID, false, true);
        g_assert_cmphex(update(types[i], GUEST_PAGE(i), false, 0x0f0d0500), ==,
                        OK);
        digest_page(ld, types[i], GPA + i * 0x1000,
                    types[i] == NORMAL ? page : NULL, 0x0f0d0500);
    }
    memset(page, 0, sizeof(page));
    stq_le_p(page + 0x3b0, 1);
    qtest_memwrite(psp.qts, GUEST_PAGE(4), page, sizeof(page));
    rmp(GUEST_PAGE(4), 0xfffffffff000, ASID, false, true);
    g_assert_cmphex(update(REGISTERS, GUEST_PAGE(4), false, 0), ==, OK);
    g_assert_cmphex(entry(GUEST_PAGE(4)), ==,
                    E_GUEST(ASID, 0xfffffffff000) | E_VALID | E_VMSA);
    digest_page(ld, REGISTERS, 0xfffffffff000, page, 0);

    /* The host sees ciphertext, and with the guest's leave the text. */
    qtest_memread(psp.qts, PAGE, back, sizeof(back));
    memset(page, 0x11, sizeof(page));
    g_assert_cmpint(memcmp(back, page, 16), !=, 0);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, PAGE },
                            { 16, 8, FW }), ==, OK);
    qtest_memread(psp.qts, FW, back, sizeof(back));
    g_assert_cmpmem(back, sizeof(back), page, sizeof(page));

    make_id_block(ld, POLICY | POLICY_DEBUG);
    qtest_writeb(psp.qts, IN, qtest_readb(psp.qts, IN) ^ 1);
    g_assert_cmphex(finish(ID_BLOCK), ==, BAD_SIGNATURE);
    ld[0] ^= 1;
    make_id_block(ld, POLICY | POLICY_DEBUG);
    g_assert_cmphex(finish(ID_BLOCK), ==, BAD_MEASUREMENT);
    ld[0] ^= 1;
    make_id_block(ld, POLICY);
    g_assert_cmphex(finish(ID_BLOCK), ==, POLICY_FAILURE);
    make_id_block(ld, POLICY | POLICY_DEBUG);
    qtest_writeb(psp.qts, IN + 0x1000 + 0x680,
                 qtest_readb(psp.qts, IN + 0x1000 + 0x680) ^ 1);
    g_assert_cmphex(finish(ID_BLOCK | AUTHOR), ==, BAD_SIGNATURE);
    qtest_writel(psp.qts, IN + 0x1000, 2);
    g_assert_cmphex(finish(ID_BLOCK), ==, INVALID_PARAM);
    make_id_block(ld, POLICY | POLICY_DEBUG);
    g_assert_cmphex(finish(AUTHOR), ==, INVALID_PARAM);
    g_assert_cmphex(finish(8), ==, INVALID_PARAM);
    g_assert_cmphex(finish(ID_BLOCK | AUTHOR), ==, OK);
    g_assert_cmphex(finish(0), ==, INVALID_GUEST_STATE);
    psp_stop();
}

static void test_secrets(void)
{
    guest_started(POLICY | POLICY_DEBUG);
    rmp(PAGE, GPA, ASID, false, true);
    g_assert_cmphex(update(SECRETS, PAGE, false, 0), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, PAGE },
                            { 16, 8, FW }), ==, OK);
    g_assert_cmphex(peek(FW), ==, 3);
    g_assert_cmphex(peek(FW + 8), ==, MILAN);           /* and no flags */
    for (int i = 0; i < 4; i++) {
        g_assert_cmphex(peek(FW + 0x20 + i * 32), !=, 0);
    }
    g_assert_cmphex(peek(FW + 0xa0), ==, 0);
    psp_stop();
}

static void put_cpuid(unsigned n, uint32_t leaf, uint32_t subleaf,
                      const uint32_t reg[4])
{
    uint64_t at = PAGE + 16 + n * 48;

    qtest_memset(psp.qts, at, 0, 48);
    qtest_writel(psp.qts, at, leaf);
    qtest_writel(psp.qts, at + 4, subleaf);
    poke(at + 8, leaf == 0xd ? 1 : 0);
    for (int i = 0; i < 4; i++) {
        qtest_writel(psp.qts, at + 24 + 4 * i, reg[i]);
    }
    qtest_writel(psp.qts, PAGE, n + 1);
}

/* What a page must not claim is corrected, and the page handed back. */
static void test_cpuid(void)
{
    static const uint32_t none[4] = {};
    static const struct {
        uint32_t leaf, subleaf, reg[4];
        unsigned bad, allowed;
    } rows[] = {
        { 0, 0, { 0xff }, 0, 0xd },
        { 1, 0, { 0, 0, 1 << 24 | 1 << 31 }, 2, 1U << 31 },
        { 7, 0, { 0, 1U << 30 }, 1, 0 },
        { 0xd, 0, { 3, 0x241 }, 1, 0x240 },
        { 0xd, 1, { 0, 0x100 }, 1, 0x240 },
        { 0x8000001f, 0, { 1U << 31, 51 }, 0, 0 },
        { 0x8000001f, 0, { 0, 47 }, 1, 51 },
    };

    guest_started(POLICY);
    qtest_memset(psp.qts, PAGE, 0, 0x1000);
    rmp(GUEST_PAGE(1), GPA, ASID, false, true);
    for (int i = 0; i < ARRAY_SIZE(rows); i++) {
        put_cpuid(0, rows[i].leaf, rows[i].subleaf, rows[i].reg);
        rmp(PAGE, GPA, ASID, false, true);
        g_assert_cmphex(update(CPUID, PAGE, false, 0), ==, INVALID_PARAM);
        g_assert_cmphex(entry(PAGE), ==, E_GUEST(ASID, GPA) | E_IMMUTABLE);
        g_assert_cmphex(qtest_readl(psp.qts, PAGE + 16 + 24 + 4 * rows[i].bad),
                        ==, rows[i].allowed);
        g_assert_cmphex(page_reclaim(PAGE), ==, OK);
        give_back(PAGE);
    }
    put_cpuid(0, 0x40000000, 0, none);          /* the hypervisor's own */
    qtest_writel(psp.qts, PAGE, 65);
    rmp(PAGE, GPA, ASID, false, true);
    g_assert_cmphex(update(CPUID, PAGE, false, 0), ==, INVALID_PARAM);
    g_assert_cmphex(page_reclaim(PAGE), ==, OK);
    give_back(PAGE);
    qtest_writel(psp.qts, PAGE, 1);
    rmp(PAGE, GPA, ASID, false, true);
    g_assert_cmphex(update(CPUID, PAGE, false, 0), ==, OK);
    g_assert_cmphex(entry(PAGE), ==, E_GUEST(ASID, GPA) | E_VALID);
    psp_stop();
}

static void test_debug(void)
{
    uint8_t page[0x1000], back[0x1000];

    guest_started(POLICY);
    rmp(PAGE, GPA, ASID, false, true);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, PAGE },
                            { 16, 8, FW }), ==, POLICY_FAILURE);
    psp_stop();

    guest_started(POLICY | POLICY_DEBUG);
    memset(page, 0x77, sizeof(page));
    qtest_memwrite(psp.qts, HOST, page, sizeof(page));
    rmp(PAGE, GPA, ASID, false, true);
    rmp(GUEST_PAGE(1), GPA + 0x1000, ASID + 1, false, true);
    rmp(GUEST_PAGE(2), GPA + 0x2000, ASID, false, false);
    g_assert_cmphex(PSP_CMD(SNP_DBG_ENCRYPT, { 0, 8, CTX }, { 8, 8, HOST },
                            { 16, 8, GUEST_PAGE(1) }), ==, INVALID_PAGE_OWNER);
    g_assert_cmphex(PSP_CMD(SNP_DBG_ENCRYPT, { 0, 8, CTX }, { 8, 8, HOST },
                            { 16, 8, GUEST_PAGE(2) }), ==, INVALID_PAGE_STATE);
    g_assert_cmphex(PSP_CMD(SNP_DBG_ENCRYPT, { 0, 8, CTX }, { 8, 8, HOST },
                            { 16, 8, PAGE }), ==, OK);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, PAGE },
                            { 16, 8, HOST }), ==, INVALID_PAGE_STATE);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, HOST },
                            { 16, 8, FW }), ==, INVALID_PAGE_STATE);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX },
                            { 8, 8, GUEST_PAGE(1) }, { 16, 8, FW }), ==,
                    INVALID_PAGE_OWNER);
    g_assert_cmphex(PSP_CMD(SNP_DBG_DECRYPT, { 0, 8, CTX }, { 8, 8, PAGE },
                            { 16, 8, FW }), ==, OK);
    qtest_memread(psp.qts, FW, back, sizeof(back));
    g_assert_cmpmem(back, sizeof(back), page, sizeof(page));
    psp_stop();
}

int main(int argc, char **argv)
{
    g_test_init(&argc, &argv, NULL);
    qtest_add_func("/amd-psp-snp-launch/update-checks", test_update_checks);
    qtest_add_func("/amd-psp-snp-launch/digest", test_digest);
    qtest_add_func("/amd-psp-snp-launch/secrets", test_secrets);
    qtest_add_func("/amd-psp-snp-launch/cpuid", test_cpuid);
    qtest_add_func("/amd-psp-snp-launch/debug", test_debug);
    return g_test_run();
}
