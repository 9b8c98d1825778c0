/*
 * AMD Platform Security Processor: attestation reports and derived keys
 *
 * Both speak of a guest as it was launched, and of the chip. A request for
 * either names a VMPL that the guest's own may speak for.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "hw/boards.h"
#include "amd-psp-snp-msg.h"
#include "amd-psp-snp-crypto.h"

#define REPORT_VERSION 2
#define ALGO_ECDSA_P384_SHA384 1

FIELD(PLATFORM_INFO, SMT_EN, 0, 1)

FIELD(REPORT_FLAGS, AUTHOR_KEY_EN, 0, 1)
FIELD(REPORT_FLAGS, MASK_CHIP_KEY, 1, 1)
FIELD(REPORT_FLAGS, SIGNING_KEY, 2, 3)
#define SIGNING_KEY_VCEK 0
#define SIGNING_KEY_NONE 7

/* MSG_REPORT_REQ has the key alone, MSG_KEY_REQ a bit below it. */
FIELD(KEY_SELECT, ROOT, 0, 1)
FIELD(KEY_SELECT, KEY, 1, 2)
#define KEY_VLEK_ELSE_VCEK 0
#define KEY_VCEK 1
#define KEY_VLEK 2
#define ROOT_VMRK 1

FIELD(FIELD_SELECT, POLICY, 0, 1)
FIELD(FIELD_SELECT, IMAGE_ID, 1, 1)
FIELD(FIELD_SELECT, FAMILY_ID, 2, 1)
FIELD(FIELD_SELECT, MEASUREMENT, 3, 1)
FIELD(FIELD_SELECT, GUEST_SVN, 4, 1)
FIELD(FIELD_SELECT, TCB_VERSION, 5, 1)
#define FIELD_SELECT_ALL 0x3f

/* A VMPL may speak for itself and for those below it, which it rules anyway. */
static bool psp_vmpl_ok(unsigned vmpl, uint32_t le_wanted)
{
    uint32_t wanted = le32_to_cpu(le_wanted);

    return wanted >= vmpl && wanted < PSP_SNP_VMPLS;
}

/* No host can load a VLEK here: the VCEK is all there is. */
static AmdPspStatus psp_chip_key_ok(const AmdPspSnpGuest *g, uint32_t key)
{
    switch (key) {
    case KEY_VLEK_ELSE_VCEK:
    case KEY_VCEK:
        return g->vcek_dis ? PSP_INVALID_KEY : PSP_SUCCESS;
    case KEY_VLEK:
        return PSP_INVALID_KEY;
    default:
        return PSP_INVALID_PARAM;
    }
}

static void psp_report_guest(AmdPspSnpReport *r, const AmdPspSnpGuest *g)
{
    r->guest_svn = cpu_to_le32(g->guest_svn);
    r->policy = cpu_to_le64(g->policy);
    memcpy(r->family_id, g->family_id, sizeof(r->family_id));
    memcpy(r->image_id, g->image_id, sizeof(r->image_id));
    memcpy(r->measurement, g->ld, sizeof(r->measurement));
    memcpy(r->host_data, g->host_data, sizeof(r->host_data));
    memcpy(r->id_key_digest, g->id_key_digest, sizeof(r->id_key_digest));
    memcpy(r->author_key_digest, g->author_key_digest,
           sizeof(r->author_key_digest));
    memcpy(r->report_id, g->report_id, sizeof(r->report_id));
    memcpy(r->report_id_ma, g->report_id_ma, sizeof(r->report_id_ma));
    r->launch_tcb = cpu_to_le64(g->launch_tcb);
}

static void psp_report_platform(AmdPspSnpReport *r, AmdPspState *s)
{
    static const uint8_t version[4] = {
        PSP_API_BUILD, PSP_API_MINOR, PSP_API_MAJOR,
    };
    uint64_t info = FIELD_DP64(0, PLATFORM_INFO, SMT_EN,
                               current_machine->smp.threads > 1);

    r->platform_info = cpu_to_le64(info);
    r->current_tcb = cpu_to_le64(s->snp.current_tcb);
    r->reported_tcb = cpu_to_le64(s->snp.reported_tcb);
    r->committed_tcb = cpu_to_le64(s->snp.committed_tcb);
    memcpy(r->current_version, version, sizeof(version));
    memcpy(r->committed_version, version, sizeof(version));
    if (!s->snp.mask_chip_id) {
        memcpy(r->chip_id, s->snp.chip_id, sizeof(r->chip_id));
    }
}

static void psp_report_flags(AmdPspSnpReport *r, AmdPspState *s,
                             const AmdPspSnpGuest *g)
{
    bool mask = s->snp.mask_chip_key;
    uint32_t flags = 0;

    flags = FIELD_DP32(flags, REPORT_FLAGS, AUTHOR_KEY_EN, g->author_key_en);
    flags = FIELD_DP32(flags, REPORT_FLAGS, MASK_CHIP_KEY, mask);
    flags = FIELD_DP32(flags, REPORT_FLAGS, SIGNING_KEY,
                       mask ? SIGNING_KEY_NONE : SIGNING_KEY_VCEK);
    r->flags = cpu_to_le32(flags);
}

static void psp_report_sign(AmdPspSnpReport *r, const AmdPspEcKey *key)
{
    uint8_t digest[PSP_SHA384_LEN];
    AmdPspEcSig sig;

    amd_psp_sha384(digest, r, offsetof(AmdPspSnpReport, signature_r));
    amd_psp_ecdsa_sign(&sig, key, digest, sizeof(digest));
    for (int i = 0; i < PSP_P384_LEN; i++) {
        r->signature_r[i] = sig.r[PSP_P384_LEN - 1 - i];
        r->signature_s[i] = sig.s[PSP_P384_LEN - 1 - i];
    }
}

AmdPspStatus amd_psp_snp_report(AmdPspState *s, const AmdPspSnpGuest *g,
                                unsigned vmpl, const AmdPspSnpReportReq *req,
                                AmdPspSnpReport *report)
{
    AmdPspStatus status;

    if (!psp_vmpl_ok(vmpl, req->vmpl) ||
        !buffer_is_zero(req->reserved, sizeof(req->reserved))) {
        return PSP_INVALID_PARAM;
    }
    status = psp_chip_key_ok(g, le32_to_cpu(req->key_select));
    if (status != PSP_SUCCESS) {
        return status;
    }
    *report = (AmdPspSnpReport) {
        .version = cpu_to_le32(REPORT_VERSION),
        .vmpl = req->vmpl,
        .signature_algo = cpu_to_le32(ALGO_ECDSA_P384_SHA384),
    };
    memcpy(report->report_data, req->report_data, sizeof(req->report_data));
    psp_report_guest(report, g);
    psp_report_platform(report, s);
    psp_report_flags(report, s, g);
    if (!s->snp.mask_chip_key) {
        psp_report_sign(report, &s->snp.vcek);
    }
    return PSP_SUCCESS;
}

/*
 * What is mixed into a key, beside the root key. The ABI leaves the function to
 * the firmware, so this layout and the KDF (NIST SP 800-108, HMAC-SHA256, as
 * elsewhere in SEV) are ours. A field that was not selected is zero, and the
 * mask of those that were is part of it: no two selections can meet.
 */
typedef struct QEMU_PACKED PspKeyContext {
    uint64_t field_select;
    uint32_t vmpl;
    uint32_t guest_svn;
    uint64_t policy;
    uint64_t tcb_version;
    uint8_t image_id[16];
    uint8_t family_id[16];
    uint8_t measurement[48];
} PspKeyContext;

static void psp_key_context(PspKeyContext *c, const AmdPspSnpGuest *g,
                            const AmdPspSnpKeyReq *req)
{
    uint64_t select = le64_to_cpu(req->field_select);

    *c = (PspKeyContext) {
        .field_select = req->field_select,
        .vmpl = req->vmpl,
    };
    if (FIELD_EX64(select, FIELD_SELECT, POLICY)) {
        c->policy = cpu_to_le64(g->policy);
    }
    if (FIELD_EX64(select, FIELD_SELECT, IMAGE_ID)) {
        memcpy(c->image_id, g->image_id, sizeof(c->image_id));
    }
    if (FIELD_EX64(select, FIELD_SELECT, FAMILY_ID)) {
        memcpy(c->family_id, g->family_id, sizeof(c->family_id));
    }
    if (FIELD_EX64(select, FIELD_SELECT, MEASUREMENT)) {
        memcpy(c->measurement, g->ld, sizeof(c->measurement));
    }
    if (FIELD_EX64(select, FIELD_SELECT, GUEST_SVN)) {
        c->guest_svn = req->guest_svn;
    }
    if (FIELD_EX64(select, FIELD_SELECT, TCB_VERSION)) {
        c->tcb_version = req->tcb_version;
    }
}

/*
 * The versions in a request may be older than those of now, so that a guest can
 * have the keys of its past, but never newer: then it would not have to be
 * updated to have the keys of its future. From memory, not from a manual: the
 * bounds are the ID block's SVN and the committed TCB; of the root keys, a VMRK
 * comes from a migration agent, which no guest has here, and a masked or
 * disabled VCEK is no more a root than it is a signer.
 */
static AmdPspStatus psp_key_req_check(AmdPspState *s, const AmdPspSnpGuest *g,
                                      unsigned vmpl, const AmdPspSnpKeyReq *req)
{
    uint32_t select = le32_to_cpu(req->key_select);

    if (select & ~(R_KEY_SELECT_ROOT_MASK | R_KEY_SELECT_KEY_MASK) ||
        req->reserved || le64_to_cpu(req->field_select) & ~FIELD_SELECT_ALL ||
        !psp_vmpl_ok(vmpl, req->vmpl) ||
        le32_to_cpu(req->guest_svn) > g->guest_svn ||
        !amd_psp_snp_tcb_le(le64_to_cpu(req->tcb_version),
                            s->snp.committed_tcb)) {
        return PSP_INVALID_PARAM;
    }
    if (FIELD_EX32(select, KEY_SELECT, ROOT) == ROOT_VMRK ||
        s->snp.mask_chip_key) {
        return PSP_INVALID_KEY;
    }
    return psp_chip_key_ok(g, FIELD_EX32(select, KEY_SELECT, KEY));
}

/* The root key is the VCEK of the version selected: a past key, a past VCEK. */
AmdPspStatus amd_psp_snp_derive_key(AmdPspState *s, const AmdPspSnpGuest *g,
                                    unsigned vmpl, const AmdPspSnpKeyReq *req,
                                    uint8_t key[32])
{
    AmdPspStatus status = psp_key_req_check(s, g, vmpl, req);
    uint64_t tcb = s->snp.reported_tcb;
    PspKeyContext context;
    AmdPspEcKey root;

    if (status != PSP_SUCCESS) {
        return status;
    }
    if (FIELD_EX64(le64_to_cpu(req->field_select), FIELD_SELECT, TCB_VERSION)) {
        tcb = le64_to_cpu(req->tcb_version);
    }
    amd_psp_snp_vcek_derive(s, tcb, &root);
    psp_key_context(&context, g, req);
    amd_psp_kdf(key, 32, root.d, sizeof(root.d), "snp-guest-key", &context,
                sizeof(context));
    return PSP_SUCCESS;
}
