/*
 * AMD Platform Security Processor: messages between SNP guests and firmware
 *
 * A guest and the firmware share four keys, one per VMPL (VMPCKs), and count
 * the messages under each, so that the host, who carries them, can neither read
 * nor change, repeat or reorder one. A message that is not in order fails the
 * command; a request that is in order is answered, and what is wrong with its
 * content is said by the answer's first word.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "amd-psp-snp-msg.h"
#include "amd-psp-snp-crypto.h"

#define ALGO_AES_256_GCM 1
#define HDR_VERSION 1
#define MSG_VERSION 1

/* SEV-SNP firmware ABI, Message Header */
typedef struct QEMU_PACKED PspMsgHeader {
    uint8_t authtag[32];
    uint64_t seqno;
    uint64_t reserved1;
    uint8_t algo;
    uint8_t hdr_version;
    uint16_t hdr_size;
    uint8_t msg_type;
    uint8_t msg_version;
    uint16_t msg_size;
    uint32_t reserved2;
    uint8_t vmpck;
    uint8_t reserved3[35];
} PspMsgHeader;

#define AAD_START offsetof(PspMsgHeader, algo)
#define AAD_LEN (sizeof(PspMsgHeader) - AAD_START)
#define PAYLOAD_MAX (PSP_SNP_PAGE - sizeof(PspMsgHeader))

QEMU_BUILD_BUG_ON(sizeof(PspMsgHeader) != 0x60);
QEMU_BUILD_BUG_ON(AAD_START != 0x30);

typedef struct QEMU_PACKED PspMsgPage {
    PspMsgHeader hdr;
    uint8_t payload[PAYLOAD_MAX];
} PspMsgPage;

QEMU_BUILD_BUG_ON(sizeof(PspMsgPage) != PSP_SNP_PAGE);

/* A request after decryption, and the reply before encryption, all zero yet */
typedef struct PspMsg {
    AmdPspState *s;
    const AmdPspSnpGuest *g;
    unsigned vmpl;
    const void *req;
    size_t req_size;
    void *reply;
} PspMsg;

/* Returns the reply's STATUS, which is not for the handler to write. */
typedef AmdPspStatus PspMsgHandler(const PspMsg *m);

/* SEV-SNP firmware ABI, MSG_CPUID_REQ and MSG_CPUID_RSP */
typedef struct QEMU_PACKED PspMsgCpuid {
    uint32_t status;                    /* the request's COUNT is here */
    uint32_t count;
    uint64_t reserved;
    AmdPspSnpCpuid rows[PSP_SNP_CPUID_MAX];
} PspMsgCpuid;

#define CPUID_SIZE(count) \
    (offsetof(PspMsgCpuid, rows) + (count) * sizeof(AmdPspSnpCpuid))

/* Rows that the firmware does not agree with come back as it has them. */
static AmdPspStatus psp_msg_cpuid(const PspMsg *m)
{
    const PspMsgCpuid *req = m->req;
    PspMsgCpuid *rsp = m->reply;
    uint32_t count = le32_to_cpu(req->status);

    if (count > PSP_SNP_CPUID_MAX || m->req_size != CPUID_SIZE(count) ||
        req->count || req->reserved) {
        return PSP_INVALID_PARAM;
    }
    rsp->count = cpu_to_le32(count);
    memcpy(rsp->rows, req->rows, count * sizeof(rsp->rows[0]));
    return amd_psp_snp_cpuid_vet(rsp->rows, count) ? PSP_SUCCESS
                                                   : PSP_INVALID_PARAM;
}

/* SEV-SNP firmware ABI, MSG_KEY_RSP */
typedef struct QEMU_PACKED PspMsgKeyRsp {
    uint32_t status;
    uint8_t reserved[28];
    uint8_t key[32];
} PspMsgKeyRsp;

static AmdPspStatus psp_msg_key(const PspMsg *m)
{
    PspMsgKeyRsp *rsp = m->reply;

    return amd_psp_snp_derive_key(m->s, m->g, m->vmpl, m->req, rsp->key);
}

/* SEV-SNP firmware ABI, MSG_REPORT_RSP */
typedef struct QEMU_PACKED PspMsgReportRsp {
    uint32_t status;
    uint32_t size;
    uint8_t reserved[24];
    AmdPspSnpReport report;
} PspMsgReportRsp;

static AmdPspStatus psp_msg_report(const PspMsg *m)
{
    PspMsgReportRsp *rsp = m->reply;
    AmdPspStatus status = amd_psp_snp_report(m->s, m->g, m->vmpl, m->req,
                                             &rsp->report);

    if (status == PSP_SUCCESS) {
        rsp->size = cpu_to_le32(sizeof(rsp->report));
    }
    return status;
}

/*
 * SEV-SNP firmware ABI, Message Type Encodings: requests have odd numbers, a
 * reply has the number after its request's. Without a handler are those that
 * only a migration agent may send, of which there is none, and TSC_INFO, for
 * guests with Secure TSC, which is not offered.
 */
typedef struct PspMsgRow {
    PspMsgHandler *handle;
    uint16_t req_size;                  /* 0: the handler knows */
    uint16_t rsp_size;                  /* 0: as long as the request */
} PspMsgRow;

#define MSG_TYPES 0x13

static const PspMsgRow msg_rows[MSG_TYPES] = {
    [0x01] = { psp_msg_cpuid },
    [0x03] = { psp_msg_key, sizeof(AmdPspSnpKeyReq), sizeof(PspMsgKeyRsp) },
    [0x05] = { psp_msg_report, sizeof(AmdPspSnpReportReq),
               sizeof(PspMsgReportRsp) },
    [0x07] = { NULL },                  /* MSG_EXPORT_REQ */
    [0x09] = { NULL },                  /* MSG_IMPORT_REQ */
    [0x0b] = { NULL },                  /* MSG_ABSORB_REQ */
    [0x0d] = { NULL },                  /* MSG_VMRK_REQ */
    [0x0f] = { NULL },                  /* MSG_ABSORB_NOMA_REQ */
    [0x11] = { NULL },                  /* MSG_TSC_INFO_REQ */
};

QEMU_BUILD_BUG_ON(sizeof(PspMsgCpuid) > PAYLOAD_MAX);
QEMU_BUILD_BUG_ON(sizeof(PspMsgReportRsp) > PAYLOAD_MAX);

static const PspMsgRow *psp_msg_row(const PspMsgHeader *h)
{
    uint16_t size = le16_to_cpu(h->msg_size);
    const PspMsgRow *row;

    if (h->msg_type >= MSG_TYPES || !msg_rows[h->msg_type].handle) {
        return NULL;
    }
    row = &msg_rows[h->msg_type];
    if (row->req_size ? size != row->req_size : size < CPUID_SIZE(0)) {
        return NULL;
    }
    return row;
}

/*
 * Nothing of the header has been authenticated yet. Which status the firmware
 * has for which field is from memory, and that it looks at the reserved ones,
 * too, is our decision: nobody can have meant anything by them.
 */
static bool psp_msg_header_ok(const PspMsgHeader *h)
{
    return h->algo == ALGO_AES_256_GCM && h->hdr_version == HDR_VERSION &&
           le16_to_cpu(h->hdr_size) == sizeof(*h) &&
           h->msg_version == MSG_VERSION &&
           le16_to_cpu(h->msg_size) <= PAYLOAD_MAX &&
           h->vmpck < PSP_SNP_VMPLS &&
           buffer_is_zero(h->authtag + PSP_GCM_TAG_LEN,
                          sizeof(h->authtag) - PSP_GCM_TAG_LEN) &&
           !h->reserved1 && !h->reserved2 &&
           buffer_is_zero(h->reserved3, sizeof(h->reserved3));
}

/*
 * The number of the next message; there must be one left for the reply, for a
 * number is an initialization vector, and one key takes none twice.
 */
static bool psp_msg_seqno_ok(const AmdPspSnpGuest *g, const PspMsgHeader *h)
{
    uint64_t last = g->msg_seqno[h->vmpck];

    return last <= UINT64_MAX - 2 && le64_to_cpu(h->seqno) == last + 1;
}

static AmdPspGcm psp_msg_gcm(const AmdPspSnpGuest *g, const PspMsgHeader *h,
                             uint8_t iv[PSP_GCM_IV_LEN])
{
    memset(iv, 0, PSP_GCM_IV_LEN);
    memcpy(iv, &h->seqno, sizeof(h->seqno));
    return (AmdPspGcm) {
        .key = g->vmpck[h->vmpck],
        .iv = iv,
        .aad = (const uint8_t *)h + AAD_START,
        .aad_len = AAD_LEN,
    };
}

static bool psp_msg_decrypt(const AmdPspSnpGuest *g, const PspMsgPage *req,
                            void *text)
{
    uint8_t iv[PSP_GCM_IV_LEN];
    AmdPspGcm gcm = psp_msg_gcm(g, &req->hdr, iv);

    return amd_psp_gcm_open(&gcm, req->payload, text,
                            le16_to_cpu(req->hdr.msg_size), req->hdr.authtag);
}

/* The reply to @to, with @text of @size bytes, has the number after it. */
static void psp_msg_encrypt(const AmdPspSnpGuest *g, const PspMsgHeader *to,
                            const void *text, uint16_t size, PspMsgPage *rsp)
{
    uint8_t iv[PSP_GCM_IV_LEN];
    AmdPspGcm gcm;

    memset(rsp, 0, sizeof(*rsp));
    rsp->hdr = (PspMsgHeader) {
        .seqno = cpu_to_le64(le64_to_cpu(to->seqno) + 1),
        .algo = ALGO_AES_256_GCM,
        .hdr_version = HDR_VERSION,
        .hdr_size = cpu_to_le16(sizeof(rsp->hdr)),
        .msg_type = to->msg_type + 1,
        .msg_version = MSG_VERSION,
        .msg_size = cpu_to_le16(size),
        .vmpck = to->vmpck,
    };
    gcm = psp_msg_gcm(g, &rsp->hdr, iv);
    amd_psp_gcm_seal(&gcm, text, rsp->payload, size, rsp->hdr.authtag);
}

AmdPspStatus amd_psp_snp_message(AmdPspState *s, AmdPspSnpGuest *g,
                                 const uint8_t req[PSP_SNP_PAGE],
                                 uint8_t resp[PSP_SNP_PAGE])
{
    const PspMsgPage *page = (const PspMsgPage *)req;
    const PspMsgHeader *h = &page->hdr;
    const PspMsgRow *row;
    uint8_t text[PAYLOAD_MAX], reply[PAYLOAD_MAX] = {};
    uint16_t size = le16_to_cpu(h->msg_size);
    PspMsg m = { s, g, h->vmpck, text, size, reply };

    if (!psp_msg_header_ok(h)) {
        return PSP_INVALID_PARAM;
    }
    row = psp_msg_row(h);
    if (!row) {
        return PSP_INVALID_PARAM;
    }
    if (!psp_msg_seqno_ok(g, h)) {
        return PSP_AEAD_OFLOW;
    }
    if (!psp_msg_decrypt(g, page, text)) {
        return PSP_BAD_MEASUREMENT;
    }
    stl_le_p(reply, row->handle(&m));
    psp_msg_encrypt(g, h, reply, row->rsp_size ?: size, (PspMsgPage *)resp);
    g->msg_seqno[h->vmpck] += 2;
    return PSP_SUCCESS;
}
