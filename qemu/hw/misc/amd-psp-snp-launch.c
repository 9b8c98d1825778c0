/*
 * AMD Platform Security Processor: launch of SEV-SNP guests
 *
 * The host builds the guest's first pages in the clear, gives each to firmware
 * (state PRE_GUEST), and firmware encrypts it, makes it the guest's, and adds it
 * to the launch digest.  What the digest and the ID block say is what a relying
 * party gets to see in attestation reports.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/guest-random.h"
#include "qemu/units.h"
#include "hw/boards.h"
#include "amd-psp-snp-msg.h"

#define START_MA_EN BIT(0)
#define START_IMI_EN BIT(1)

FIELD(UPDATE, LARGE, 0, 1)
FIELD(UPDATE, TYPE, 1, 3)
FIELD(UPDATE, IMI, 4, 1)
FIELD(UPDATE, RESERVED, 5, 27)

/* 8.19 "SNP_LAUNCH_UPDATE", page types */
enum {
    PAGE_NORMAL = 1,
    PAGE_VMSA,
    PAGE_ZERO,
    PAGE_UNMEASURED,
    PAGE_SECRETS,
    PAGE_CPUID,
};

#define FINISH_ID_BLOCK_EN BIT(0)
#define FINISH_AUTH_KEY_EN BIT(1)
#define FINISH_VCEK_DIS BIT(2)

/* 8.19.1 "PAGE_INFO": a link of the chain that is the launch digest */
typedef struct QEMU_PACKED SnpPageInfo {
    uint8_t digest_cur[PSP_SHA384_LEN];
    uint8_t contents[PSP_SHA384_LEN];
    uint16_t length;
    uint8_t page_type;
    uint8_t imi_page;
    uint8_t vmpl3_perms;
    uint8_t vmpl2_perms;
    uint8_t vmpl1_perms;
    uint8_t reserved;
    uint64_t gpa;
} SnpPageInfo;

/* 8.19.3 "Secrets Page" */
typedef struct QEMU_PACKED SnpSecrets {
    uint32_t version;
    uint32_t flags;
    uint32_t fms;
    uint32_t reserved;
    uint8_t gosvw[16];
    uint8_t vmpck[PSP_SNP_VMPCKS][32];
    uint8_t guest_area0[0x60];
    uint8_t vmsa_tweak_bitmap[64];
    uint8_t guest_area1[0x20];
    uint32_t tsc_factor;
    uint8_t reserved2[PSP_SNP_PAGE - 0x164];
} SnpSecrets;

#define SECRETS_VERSION 3

typedef struct QEMU_PACKED SnpCpuidPage {
    uint32_t count;
    uint32_t reserved1;
    uint64_t reserved2;
    AmdPspSnpCpuid rows[PSP_SNP_CPUID_MAX];
} SnpCpuidPage;

/* Chapter 10 "ECDSA P-384 with SHA-384" keys and signatures: little endian */
#define EC_FIELD 72
#define EC_CURVE_P384 2
#define ALGO_P384_SHA384 1

typedef struct QEMU_PACKED SnpEcKey {
    uint32_t curve;
    uint8_t qx[EC_FIELD];
    uint8_t qy[EC_FIELD];
    uint8_t reserved[0x404 - 4 - 2 * EC_FIELD];
} SnpEcKey;

typedef struct QEMU_PACKED SnpEcSig {
    uint8_t r[EC_FIELD];
    uint8_t s[EC_FIELD];
    uint8_t reserved[512 - 2 * EC_FIELD];
} SnpEcSig;

/* 8.20 "SNP_LAUNCH_FINISH" */
typedef struct QEMU_PACKED SnpIdBlock {
    uint8_t ld[PSP_SHA384_LEN];
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t version;
    uint32_t guest_svn;
    uint64_t policy;
} SnpIdBlock;

typedef struct QEMU_PACKED SnpIdAuth {
    uint32_t id_key_algo;
    uint32_t auth_key_algo;
    uint8_t reserved1[0x38];
    SnpEcSig id_block_sig;
    SnpEcKey id_key;
    uint8_t reserved2[0x3C];
    SnpEcSig id_key_sig;
    SnpEcKey author_key;
    uint8_t reserved3[0x1000 - 0xC84];
} SnpIdAuth;

#define ID_BLOCK_VERSION 1

QEMU_BUILD_BUG_ON(sizeof(SnpPageInfo) != 0x70);
QEMU_BUILD_BUG_ON(sizeof(SnpSecrets) != PSP_SNP_PAGE);
QEMU_BUILD_BUG_ON(sizeof(SnpCpuidPage) > PSP_SNP_PAGE);
QEMU_BUILD_BUG_ON(offsetof(SnpSecrets, tsc_factor) != 0x160);
QEMU_BUILD_BUG_ON(sizeof(SnpIdBlock) != 0x60);
QEMU_BUILD_BUG_ON(offsetof(SnpIdAuth, id_key_sig) != 0x680);
QEMU_BUILD_BUG_ON(sizeof(SnpIdAuth) != 0x1000);

/* ---- SNP_LAUNCH_START */

/* 4.3 "Guest Policy"; what this platform does not offer must not be asked for */
static AmdPspStatus psp_snp_policy_check(uint64_t policy)
{
    const uint64_t known = MAKE_64BIT_MASK(0, 22) |
                           R_SNP_POLICY_PAGE_SWAP_DISABLE_MASK;
    unsigned major = FIELD_EX64(policy, SNP_POLICY, ABI_MAJOR);
    unsigned minor = FIELD_EX64(policy, SNP_POLICY, ABI_MINOR);

    if (!FIELD_EX64(policy, SNP_POLICY, MUST_BE_ONE) || (policy & ~known)) {
        return PSP_POLICY_FAILURE;
    }
    if (major > PSP_API_MAJOR ||
        (major == PSP_API_MAJOR && minor > PSP_API_MINOR)) {
        return PSP_POLICY_FAILURE;
    }
    if (!FIELD_EX64(policy, SNP_POLICY, SMT) &&
        current_machine->smp.threads > 1) {
        return PSP_POLICY_FAILURE;
    }
    return PSP_SUCCESS;
}

/*
 * The guest's migration agent is an SNP guest itself, bound to this one by its
 * report's ID.  An initial migration image (IMI) would need SNP_VM_ABSORB, which
 * is a message of such an agent that Linux hosts do not offer.
 */
static AmdPspStatus psp_snp_bind_agent(AmdPspState *s, AmdPspSnpGuest *g,
                                       const SnpCmdLaunchStart *cmd)
{
    uint32_t flags = le32_to_cpu(cmd->flags);
    AmdPspSnpGuest *ma;

    memset(g->report_id_ma, 0xff, sizeof(g->report_id_ma));
    if (flags & ~(START_MA_EN | START_IMI_EN)) {
        return PSP_INVALID_PARAM;
    }
    if (flags & START_IMI_EN) {
        return PSP_UNSUPPORTED;
    }
    if (!(flags & START_MA_EN)) {
        return PSP_SUCCESS;
    }
    if (!FIELD_EX64(le64_to_cpu(cmd->policy), SNP_POLICY, MIGRATE_MA)) {
        return PSP_POLICY_FAILURE;
    }
    ma = amd_psp_snp_find(s, amd_psp_addr(s, cmd->ma_gctx));
    if (!ma || ma == g) {
        return PSP_INVALID_GUEST;
    }
    if (ma->state != PSP_SNP_G_RUNNING) {
        return PSP_INVALID_GUEST_STATE;
    }
    memcpy(g->report_id_ma, ma->report_id, sizeof(g->report_id_ma));
    return PSP_SUCCESS;
}

/* 8.18 "SNP_LAUNCH_START" */
AmdPspStatus amd_psp_snp_launch_start(AmdPspState *s, AmdPspSnpGuest *g,
                                      void *buf)
{
    SnpCmdLaunchStart *cmd = buf;
    uint64_t policy = le64_to_cpu(cmd->policy);
    AmdPspStatus ret = psp_snp_policy_check(policy);

    if (ret == PSP_SUCCESS) {
        ret = psp_snp_bind_agent(s, g, cmd);
    }
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    g->policy = policy;
    g->launch_tcb = s->snp.current_tcb;
    memcpy(g->gosvw, cmd->gosvw, sizeof(g->gosvw));
    qemu_guest_getrandom_nofail(g->vek, sizeof(g->vek));
    qemu_guest_getrandom_nofail(g->vmpck, sizeof(g->vmpck));
    qemu_guest_getrandom_nofail(g->report_id, sizeof(g->report_id));
    g->state = PSP_SNP_G_LAUNCH;
    return PSP_SUCCESS;
}

/* ---- SNP_LAUNCH_UPDATE */

static void psp_snp_fill_secrets(AmdPspSnpGuest *g, uint8_t *page)
{
    SnpSecrets secrets = { .version = cpu_to_le32(SECRETS_VERSION) };
    uint32_t cpuid[4];

    amd_psp_snp_host_cpuid(1, 0, cpuid);
    secrets.fms = cpu_to_le32(cpuid[0]);
    memcpy(secrets.gosvw, g->gosvw, sizeof(g->gosvw));
    memcpy(secrets.vmpck, g->vmpck, sizeof(g->vmpck));
    memcpy(page, &secrets, sizeof(secrets));
}

/* 8.19.2 "CPUID Page" */
static bool psp_snp_cpuid_ok(SnpCpuidPage *page)
{
    uint32_t count = le32_to_cpu(page->count);

    return count <= PSP_SNP_CPUID_MAX && !page->reserved1 &&
           !page->reserved2 && amd_psp_snp_cpuid_vet(page->rows, count);
}

/*
 * What the page will hold.  A CPUID page that claims too much is left in the
 * clear, corrected, for the host to look at.
 */
static AmdPspStatus psp_snp_prepare(AmdPspSnpGuest *g, unsigned type, hwaddr pa,
                                    uint8_t *page)
{
    switch (type) {
    case PAGE_ZERO:
        memset(page, 0, PSP_SNP_PAGE);
        break;
    case PAGE_SECRETS:
        psp_snp_fill_secrets(g, page);
        break;
    case PAGE_CPUID:
        if (!psp_snp_cpuid_ok((SnpCpuidPage *)page)) {
            amd_mee_write(pa, 0, page, PSP_SNP_PAGE);
            return PSP_INVALID_PARAM;
        }
        break;
    }
    return PSP_SUCCESS;
}

static void psp_snp_measure(AmdPspSnpGuest *g, const SnpCmdLaunchUpdate *cmd,
                            uint64_t gpa, const uint8_t *page)
{
    uint32_t info = le32_to_cpu(cmd->info);
    unsigned type = FIELD_EX32(info, UPDATE, TYPE);
    SnpPageInfo link = {
        .length = cpu_to_le16(sizeof(link)),
        .page_type = type,
        .imi_page = FIELD_EX32(info, UPDATE, IMI),
        .vmpl1_perms = cmd->vmpl_perms[0],
        .vmpl2_perms = cmd->vmpl_perms[1],
        .vmpl3_perms = cmd->vmpl_perms[2],
        .gpa = cpu_to_le64(gpa),
    };

    memcpy(link.digest_cur, g->ld, sizeof(g->ld));
    if (type == PAGE_NORMAL || type == PAGE_VMSA) {
        amd_psp_sha384(link.contents, page, PSP_SNP_PAGE);
    }
    amd_psp_sha384(g->ld, &link, sizeof(link));
}

static AmdPspStatus psp_snp_update_check(const AmdPspSnpGuest *g,
                                         const SnpCmdLaunchUpdate *cmd,
                                         hwaddr pa, AmdRmpEntry *e)
{
    uint32_t info = le32_to_cpu(cmd->info);
    unsigned type = FIELD_EX32(info, UPDATE, TYPE);
    bool large = FIELD_EX32(info, UPDATE, LARGE);
    bool special = type == PAGE_VMSA || type >= PAGE_SECRETS;

    if (FIELD_EX32(info, UPDATE, RESERVED) || cmd->reserved1 ||
        cmd->reserved2 || cmd->reserved3 || type < PAGE_NORMAL ||
        type > PAGE_CPUID || FIELD_EX32(info, UPDATE, IMI)) {
        return PSP_INVALID_PARAM;
    }
    if (!g->asid) {
        return PSP_INACTIVE;
    }
    if (!QEMU_IS_ALIGNED(pa, large ? PSP_SNP_LARGE_PAGE : PSP_SNP_PAGE)) {
        return PSP_INVALID_ADDRESS;
    }
    if (amd_psp_page_state(pa, e) != PSP_PAGE_PRE_GUEST) {
        return PSP_INVALID_PAGE_STATE;
    }
    if (e->size_2m != large || (large && special)) {
        return PSP_INVALID_PAGE_SIZE;
    }
    return e->asid == g->asid ? PSP_SUCCESS : PSP_INVALID_PAGE_OWNER;
}

static AmdPspStatus psp_snp_update_4k(AmdPspSnpGuest *g,
                                      const SnpCmdLaunchUpdate *cmd,
                                      hwaddr pa, uint64_t gpa)
{
    unsigned type = FIELD_EX32(le32_to_cpu(cmd->info), UPDATE, TYPE);
    uint8_t page[PSP_SNP_PAGE];
    AmdPspStatus ret;

    if (!amd_mee_read(pa, 0, page, sizeof(page))) {
        return PSP_INVALID_ADDRESS;
    }
    ret = psp_snp_prepare(g, type, pa, page);
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    psp_snp_measure(g, cmd, gpa, page);
    amd_mee_write(pa, g->asid, page, sizeof(page));
    return PSP_SUCCESS;
}

/* 8.19: the page becomes GUEST_VALID, with all that VMPL 0 may do with it. */
AmdPspStatus amd_psp_snp_launch_update(AmdPspState *s, AmdPspSnpGuest *g,
                                       void *buf)
{
    SnpCmdLaunchUpdate *cmd = buf;
    hwaddr pa = amd_psp_addr(s, cmd->addr);
    AmdRmpEntry old, e;
    AmdPspStatus ret = psp_snp_update_check(g, cmd, pa, &old);
    hwaddr len = old.size_2m ? PSP_SNP_LARGE_PAGE : PSP_SNP_PAGE;

    for (hwaddr off = 0; ret == PSP_SUCCESS && off < len; off += PSP_SNP_PAGE) {
        ret = psp_snp_update_4k(g, cmd, pa + off, old.gpa + off);
    }
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    e = old;
    e.immutable = false;
    e.validated = true;
    e.vmsa = FIELD_EX32(le32_to_cpu(cmd->info), UPDATE, TYPE) == PAGE_VMSA;
    e.perms[0] = AMD_RMP_PERM_ALL;
    memcpy(e.perms + 1, cmd->vmpl_perms, sizeof(cmd->vmpl_perms));
    return amd_rmp_replace(pa, &old, &e) ? PSP_SUCCESS : PSP_INVALID_PAGE_STATE;
}

/* ---- SNP_LAUNCH_FINISH */

/* Little endian, padded; false if the number has more than 384 bits */
static bool psp_snp_number(uint8_t out[PSP_P384_LEN], const uint8_t *le)
{
    for (int i = 0; i < PSP_P384_LEN; i++) {
        out[i] = le[PSP_P384_LEN - 1 - i];
    }
    return buffer_is_zero(le + PSP_P384_LEN, EC_FIELD - PSP_P384_LEN);
}

static bool psp_snp_signed_by(const SnpEcKey *key, const SnpEcSig *sig,
                              const void *data, size_t len)
{
    uint8_t digest[PSP_SHA384_LEN];
    AmdPspEcPoint pub;
    AmdPspEcSig rs;

    if (le32_to_cpu(key->curve) != EC_CURVE_P384 ||
        !psp_snp_number(pub.x, key->qx) || !psp_snp_number(pub.y, key->qy) ||
        !psp_snp_number(rs.r, sig->r) || !psp_snp_number(rs.s, sig->s)) {
        return false;
    }
    amd_psp_sha384(digest, data, len);
    return amd_psp_ecdsa_verify(&rs, &pub, digest, sizeof(digest));
}

static AmdPspStatus psp_snp_id_check(const AmdPspSnpGuest *g, uint32_t flags,
                                     const SnpIdBlock *id,
                                     const SnpIdAuth *auth)
{
    bool author = flags & FINISH_AUTH_KEY_EN;

    if (le32_to_cpu(id->version) != ID_BLOCK_VERSION ||
        le32_to_cpu(auth->id_key_algo) != ALGO_P384_SHA384 ||
        (author && le32_to_cpu(auth->auth_key_algo) != ALGO_P384_SHA384)) {
        return PSP_INVALID_PARAM;
    }
    if (!psp_snp_signed_by(&auth->id_key, &auth->id_block_sig, id,
                           sizeof(*id)) ||
        (author && !psp_snp_signed_by(&auth->author_key, &auth->id_key_sig,
                                      &auth->id_key, sizeof(auth->id_key)))) {
        return PSP_BAD_SIGNATURE;
    }
    if (memcmp(id->ld, g->ld, sizeof(g->ld))) {
        return PSP_BAD_MEASUREMENT;
    }
    return le64_to_cpu(id->policy) == g->policy ? PSP_SUCCESS :
                                                  PSP_POLICY_FAILURE;
}

static AmdPspStatus psp_snp_id_block(AmdPspState *s, AmdPspSnpGuest *g,
                                     const SnpCmdLaunchFinish *cmd)
{
    uint32_t flags = le32_to_cpu(cmd->flags);
    g_autofree SnpIdAuth *auth = g_new(SnpIdAuth, 1);
    SnpIdBlock id;
    AmdPspStatus ret;

    if (!amd_mee_read(amd_psp_addr(s, cmd->id_block_addr), 0, &id,
                      sizeof(id)) ||
        !amd_mee_read(amd_psp_addr(s, cmd->id_auth_addr), 0, auth,
                      sizeof(*auth))) {
        return PSP_INVALID_ADDRESS;
    }
    ret = psp_snp_id_check(g, flags, &id, auth);
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    memcpy(g->family_id, id.family_id, sizeof(g->family_id));
    memcpy(g->image_id, id.image_id, sizeof(g->image_id));
    g->guest_svn = le32_to_cpu(id.guest_svn);
    amd_psp_sha384(g->id_key_digest, &auth->id_key, sizeof(auth->id_key));
    if (flags & FINISH_AUTH_KEY_EN) {
        amd_psp_sha384(g->author_key_digest, &auth->author_key,
                       sizeof(auth->author_key));
    }
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_snp_launch_finish(AmdPspState *s, AmdPspSnpGuest *g,
                                       void *buf)
{
    SnpCmdLaunchFinish *cmd = buf;
    uint32_t flags = le32_to_cpu(cmd->flags);
    AmdPspStatus ret = PSP_SUCCESS;

    if ((flags & ~(FINISH_ID_BLOCK_EN | FINISH_AUTH_KEY_EN | FINISH_VCEK_DIS))
        || cmd->reserved ||
        (flags & (FINISH_ID_BLOCK_EN | FINISH_AUTH_KEY_EN)) ==
         FINISH_AUTH_KEY_EN) {
        return PSP_INVALID_PARAM;
    }
    if (flags & FINISH_ID_BLOCK_EN) {
        ret = psp_snp_id_block(s, g, cmd);
    }
    if (ret != PSP_SUCCESS) {
        return ret;
    }
    g->author_key_en = flags & FINISH_AUTH_KEY_EN;
    g->vcek_dis = flags & FINISH_VCEK_DIS;
    memcpy(g->host_data, cmd->host_data, sizeof(g->host_data));
    g->state = PSP_SNP_G_RUNNING;
    if (g->asid) {
        s->asid_state[g->asid] = PSP_A_IN_USE;
    }
    return PSP_SUCCESS;
}
