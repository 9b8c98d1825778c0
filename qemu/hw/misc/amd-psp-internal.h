/*
 * AMD Platform Security Processor: what the device's files share
 *
 *   amd-psp.c          PCI function, registers, mailbox, physical memory
 *   amd-psp-cmd.c      command table and dispatch; platform, guest and ASID
 *   amd-psp-identity.c keys and certificates of the platform
 *   amd-psp-root.c     AMD's keys above them; other platforms' certificates
 *   amd-psp-cert.c     formats of certificates
 *   amd-psp-launch.c   LAUNCH_*, ATTESTATION_REPORT, DBG_*
 *   amd-psp-transport.c SEND_*, RECEIVE_*
 *   amd-psp-session.c  transport keys, and packets under them
 *   amd-psp-crypto.c   primitives; amd-psp-rsa.c
 *   amd-psp-snp*.c     SEV-SNP; amd-psp-snp.h says which is which
 *
 * Everything runs under the BQL, inside the write to CmdResp, except
 * amd_psp_wbinvd().
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_AMD_PSP_INTERNAL_H
#define HW_MISC_AMD_PSP_INTERNAL_H

#include "crypto/hash.h"
#include "exec/hwaddr.h"
#include "hw/i386/amd-mee.h"
#include "hw/misc/amd-psp.h"
#include "hw/pci/pci_device.h"
#include "hw/registerfields.h"
#include "amd-psp-cert.h"

OBJECT_DECLARE_SIMPLE_TYPE(AmdPspState, AMD_PSP)

#define PSP_API_MAJOR 1
#define PSP_API_MINOR 55
#define PSP_API_BUILD 21

#define PSP_MAX_GUESTS 1024
#define PSP_MAX_ASID 1006               /* the firmware's own limit */
#define PSP_MAX_TRANSPORT 0x5000
#define PSP_BLOCK 16                    /* granularity of encryption */

/* SEV API, Status Codes */
typedef enum AmdPspStatus {
    PSP_SUCCESS                 = 0x00,
    PSP_INVALID_PLATFORM_STATE  = 0x01,
    PSP_INVALID_GUEST_STATE     = 0x02,
    PSP_INVALID_CONFIG          = 0x03,
    PSP_INVALID_LEN             = 0x04,
    PSP_ALREADY_OWNED           = 0x05,
    PSP_INVALID_CERTIFICATE     = 0x06,
    PSP_POLICY_FAILURE          = 0x07,
    PSP_INACTIVE                = 0x08,
    PSP_INVALID_ADDRESS         = 0x09,
    PSP_BAD_SIGNATURE           = 0x0A,
    PSP_BAD_MEASUREMENT         = 0x0B,
    PSP_ASID_OWNED              = 0x0C,
    PSP_INVALID_ASID            = 0x0D,
    PSP_WBINVD_REQUIRED         = 0x0E,
    PSP_DFFLUSH_REQUIRED        = 0x0F,
    PSP_INVALID_GUEST           = 0x10,
    PSP_INVALID_COMMAND         = 0x11,
    PSP_ACTIVE                  = 0x12,
    PSP_HWERROR_PLATFORM        = 0x13,
    PSP_UNSUPPORTED             = 0x15,
    PSP_INVALID_PARAM           = 0x16,
    PSP_RESOURCE_LIMIT          = 0x17,
    PSP_SECURE_DATA_INVALID     = 0x18,
    PSP_INVALID_PAGE_SIZE       = 0x19,
    PSP_INVALID_PAGE_STATE      = 0x1A,
    PSP_INVALID_PAGE_OWNER      = 0x1C,
    PSP_AEAD_OFLOW              = 0x1D,
    PSP_RMP_INIT_REQUIRED       = 0x20,
    PSP_INVALID_KEY             = 0x27,
} AmdPspStatus;

typedef enum AmdPspPlatformState {
    PSP_P_UNINIT,
    PSP_P_INIT,
    PSP_P_WORKING,
} AmdPspPlatformState;

/* Values as in GUEST_STATUS; those after RUNNING are from memory */
typedef enum AmdPspGuestState {
    PSP_G_INVALID,
    PSP_G_LUPDATE,
    PSP_G_LSECRET,
    PSP_G_RUNNING,
    PSP_G_SUPDATE,
    PSP_G_RUPDATE,
    PSP_G_SENT,
} AmdPspGuestState;

/*
 * CLEAN -ACTIVATE-> ALLOCATED -guest runs-> IN_USE; DEACTIVATE takes
 * ALLOCATED back to CLEAN, but IN_USE to DIRTY, because caches may hold lines
 * tagged with the ASID; WBINVD on every core and DF_FLUSH clean them.
 */
typedef enum AmdPspAsidState {
    PSP_A_CLEAN,
    PSP_A_ALLOCATED,
    PSP_A_IN_USE,
    PSP_A_DIRTY,
} AmdPspAsidState;

FIELD(POLICY, NODBG, 0, 1)
FIELD(POLICY, NOKS, 1, 1)
FIELD(POLICY, ES, 2, 1)
FIELD(POLICY, NOSEND, 3, 1)
FIELD(POLICY, DOMAIN, 4, 1)
FIELD(POLICY, SEV, 5, 1)
FIELD(POLICY, API_MAJOR, 16, 8)
FIELD(POLICY, API_MINOR, 24, 8)

typedef struct AmdPspTransportKeys {
    uint8_t tek[PSP_AES_LEN];
    uint8_t tik[PSP_AES_LEN];
} AmdPspTransportKeys;

typedef struct AmdPspGuest {
    uint32_t handle;
    uint32_t policy;
    uint32_t asid;                      /* 0: not active */
    AmdPspGuestState state;
    uint8_t vek[AMD_MEE_KEY_SIZE];
    AmdPspTransportKeys tk;             /* LAUNCH_* or one SEND_*, RECEIVE_* */
    QCryptoHash *hash;                  /* LUPDATE only */
    uint8_t digest[PSP_SHA256_LEN];     /* from LAUNCH_MEASURE on */
    uint8_t measure[PSP_SHA256_LEN];
    GArray *crc_slots;                  /* of uint64_t */
} AmdPspGuest;

/* What FACTORY_RESET wipes, and what INIT_EX keeps in the host's file */
typedef struct AmdPspIdentity {
    bool valid;
    bool owned;
    AmdPspEcKey oca, pek, pdh;          /* oca.d is unused if owned */
    AmdPspCert oca_cert, pek_cert, pdh_cert;
} AmdPspIdentity;

/* SEV-SNP's part of the platform; what a TCB is: amd-psp-snp-vcek.c */
typedef struct AmdPspSnp {
    bool init;                          /* the platform state INIT */
    bool rmp_was_init;                  /* since reset */
    bool mask_chip_id, mask_chip_key;   /* SNP_CONFIG */
    uint64_t current_tcb, committed_tcb, reported_tcb;
    GHashTable *guests;                 /* context page -> AmdPspSnpGuest */
    uint8_t chip_id[64];
    AmdPspEcKey vcek;                   /* of the reported TCB */
    char *endorsement;                  /* where to write what a KDS knows */
} AmdPspSnp;

/* PEK, OCA, CEK, as PDH_CERT_EXPORT gives and SEND_START takes them */
#define PSP_CHAIN_LEN (3 * PSP_CERT_LEN)

/* What SEND_START is told about the other platform */
typedef struct AmdPspPeer {
    AmdPspCert pdh;
    AmdPspCert pek, oca, cek;
    uint8_t amd[2 * PSP_AMD_CERT_MAX];  /* ASK, ARK */
    size_t amd_len;
} AmdPspPeer;

/* ASK, ARK */
#define PSP_ROOT_CERTS_LEN (2 * PSP_AMD_CERT_LEN(PSP_RSA_LEN))

typedef struct AmdPspRoot {
    bool valid;
    uint8_t certs[PSP_ROOT_CERTS_LEN];
} AmdPspRoot;

struct AmdPspState {
    PCIDevice parent_obj;

    MemoryRegion bar;
    uint32_t cmdresp;
    uint32_t cmdbuf_lo;
    uint32_t cmdbuf_hi;
    uint32_t inten;
    uint32_t intsts;

    AmdPspPlatformState state;
    bool es;
    GHashTable *guests;                 /* handle -> AmdPspGuest */
    uint32_t last_handle;
    uint8_t asid_state[PSP_MAX_ASID + 1];
    hwaddr tmr_addr, tmr_len;           /* 0: none */
    AmdPspSnp snp;

    uint8_t chip_secret[PSP_SHA256_LEN];
    AmdPspEcKey cek;
    AmdPspCert cek_cert;
    AmdPspRoot root;
    AmdPspIdentity id;
    hwaddr nv_addr;                     /* 0: no INIT_EX buffer */

    uint32_t max_asid;
    uint32_t cbitpos;
    char *chip_seed;
    char *root_seed;
};

/* One handler per command; @g is NULL for rows without guest states. */
typedef AmdPspStatus AmdPspHandler(AmdPspState *s, AmdPspGuest *g, void *buf);

/* amd-psp.c */
hwaddr amd_psp_addr(AmdPspState *s, uint64_t le_addr);
bool amd_psp_range_ok(hwaddr pa, uint64_t len);
/* Firmware may write there: RAM, and with SNP pages that the host has given */
AmdPspStatus amd_psp_output(hwaddr pa, uint64_t len);
/* The same of guest memory, in blocks of the cipher */
AmdPspStatus amd_psp_guest_output(hwaddr pa, uint64_t len);
/* Memory that INIT was given for good */
bool amd_psp_in_tmr(hwaddr pa);
bool amd_psp_wbinvd_done(void);
void amd_psp_wbinvd_restart(void);

/* amd-psp-snp-page.c: of a command buffer that firmware has written to */
void amd_psp_pages_give_back(hwaddr pa, uint64_t bytes);

/* amd-psp-cmd.c */
AmdPspStatus amd_psp_execute(AmdPspState *s, unsigned id, hwaddr cmdbuf);
AmdPspGuest *amd_psp_guest_find(AmdPspState *s, uint32_t handle);
AmdPspGuest *amd_psp_guest_new(AmdPspState *s);
/* May ACTIVATE hand @asid out? */
AmdPspStatus amd_psp_asid_free(const AmdPspState *s, uint32_t asid);
AmdPspStatus amd_psp_df_flush(AmdPspState *s);
void amd_psp_shutdown(AmdPspState *s);

/* amd-psp-identity.c */
void amd_psp_chip_init(AmdPspState *s);
void amd_psp_identity_ensure(AmdPspState *s);
AmdPspStatus amd_psp_nv_load(AmdPspState *s, hwaddr nv_addr);
void amd_psp_sign_report(AmdPspState *s, uint8_t *sig_r, uint8_t *sig_s,
                         const void *data, size_t len);
uint32_t amd_psp_pek_usage(void);
uint32_t amd_psp_pek_algo(void);
AmdPspHandler amd_psp_get_id, amd_psp_pek_gen, amd_psp_pek_csr,
              amd_psp_pek_cert_import, amd_psp_pdh_cert_export,
              amd_psp_pdh_gen, amd_psp_factory_reset;

/* amd-psp-root.c */
void amd_psp_root_ensure(AmdPspState *s);
/* May a guest of @policy go to @p? If so, @pdh is the key to agree with. */
AmdPspStatus amd_psp_peer_check(AmdPspState *s, const AmdPspPeer *p,
                                uint32_t policy, AmdPspEcPoint *pdh);

/* amd-psp-launch.c */
#define PSP_VMSA_LEN 4096
/* Give @vmsa a checksum slot of the guest's; false if there is none left */
bool amd_psp_vmsa_seal(AmdPspGuest *g, uint8_t *vmsa);
/* Is it a VMSA as the CPU or amd_psp_vmsa_seal() left it? */
bool amd_psp_vmsa_sealed(const uint8_t *vmsa, size_t len);
AmdPspHandler amd_psp_launch_start, amd_psp_launch_update_data,
              amd_psp_launch_update_vmsa, amd_psp_launch_measure,
              amd_psp_launch_secret, amd_psp_launch_finish,
              amd_psp_attestation_report, amd_psp_dbg_decrypt,
              amd_psp_dbg_encrypt;

/* amd-psp-transport.c */
AmdPspHandler amd_psp_send_start, amd_psp_send_update_data,
              amd_psp_send_update_vmsa, amd_psp_send_finish,
              amd_psp_send_cancel, amd_psp_receive_start,
              amd_psp_receive_update_data, amd_psp_receive_update_vmsa,
              amd_psp_receive_finish;

/*
 * Command buffers, as the firmware reads them. All fields little endian;
 * a guest's handle always comes first.
 */
typedef struct QEMU_PACKED PspCmdInit {
    uint32_t flags;
    uint32_t reserved;
    uint64_t tmr_addr;
    uint32_t tmr_len;
} PspCmdInit;

typedef struct QEMU_PACKED PspCmdInitEx {
    uint32_t length;
    uint32_t flags;
    uint64_t tmr_addr;
    uint32_t tmr_len;
    uint32_t reserved;
    uint64_t nv_addr;
    uint32_t nv_len;
} PspCmdInitEx;

typedef struct QEMU_PACKED PspCmdPlatformStatus {
    uint8_t api_major;
    uint8_t api_minor;
    uint8_t state;
    uint8_t owner;
    uint8_t config;
    uint8_t reserved[2];
    uint8_t build;
    uint32_t guest_count;
} PspCmdPlatformStatus;

/* PEK_CSR, GET_ID, DOWNLOAD_FIRMWARE */
typedef struct QEMU_PACKED PspCmdBlob {
    uint64_t addr;
    uint32_t len;
} PspCmdBlob;

/* PEK_CERT_IMPORT (PEK, OCA) and PDH_CERT_EXPORT (PDH, chain) */
typedef struct QEMU_PACKED PspCmdTwoCerts {
    uint64_t first_addr;
    uint32_t first_len;
    uint32_t reserved;
    uint64_t second_addr;
    uint32_t second_len;
} PspCmdTwoCerts;

/* DEACTIVATE, DECOMMISSION, LAUNCH_FINISH */
typedef struct QEMU_PACKED PspCmdHandle {
    uint32_t handle;
} PspCmdHandle;

typedef struct QEMU_PACKED PspCmdActivate {
    uint32_t handle;
    uint32_t asid;
} PspCmdActivate;

typedef struct QEMU_PACKED PspCmdGuestStatus {
    uint32_t handle;
    uint32_t policy;
    uint32_t asid;
    uint8_t state;
} PspCmdGuestStatus;

/* LAUNCH_START, RECEIVE_START */
typedef struct QEMU_PACKED PspCmdLaunchStart {
    uint32_t handle;
    uint32_t policy;
    uint64_t dh_addr;
    uint32_t dh_len;
    uint32_t reserved;
    uint64_t session_addr;
    uint32_t session_len;
} PspCmdLaunchStart;

/* LAUNCH_UPDATE_DATA, LAUNCH_UPDATE_VMSA, LAUNCH_MEASURE */
typedef struct QEMU_PACKED PspCmdLaunchData {
    uint32_t handle;
    uint32_t reserved;
    uint64_t addr;
    uint32_t len;
} PspCmdLaunchData;

/* LAUNCH_SECRET, SEND_UPDATE_*, RECEIVE_UPDATE_* */
typedef struct QEMU_PACKED PspCmdPacket {
    uint32_t handle;
    uint32_t reserved1;
    uint64_t hdr_addr;
    uint32_t hdr_len;
    uint32_t reserved2;
    uint64_t guest_addr;
    uint32_t guest_len;
    uint32_t reserved3;
    uint64_t trans_addr;
    uint32_t trans_len;
} PspCmdPacket;

typedef struct QEMU_PACKED PspCmdSendStart {
    uint32_t handle;
    uint32_t policy;
    uint64_t pdh_addr;
    uint32_t pdh_len;
    uint32_t reserved1;
    uint64_t plat_addr;
    uint32_t plat_len;
    uint32_t reserved2;
    uint64_t amd_addr;
    uint32_t amd_len;
    uint32_t reserved3;
    uint64_t session_addr;
    uint32_t session_len;
} PspCmdSendStart;

typedef struct QEMU_PACKED PspCmdAttestation {
    uint32_t handle;
    uint32_t reserved;
    uint64_t addr;
    uint8_t nonce[16];
    uint32_t len;
} PspCmdAttestation;

typedef struct QEMU_PACKED PspCmdDbg {
    uint32_t handle;
    uint32_t reserved;
    uint64_t src;
    uint64_t dst;
    uint32_t len;
} PspCmdDbg;

/* SEV API, Launch Session */
typedef struct QEMU_PACKED PspSession {
    uint8_t nonce[16];
    uint8_t wrap_tk[sizeof(AmdPspTransportKeys)];
    uint8_t wrap_iv[PSP_AES_LEN];
    uint8_t wrap_mac[PSP_SHA256_LEN];
    uint8_t policy_mac[PSP_SHA256_LEN];
} PspSession;

/* SEV API, Packet Header */
typedef struct QEMU_PACKED PspPacketHeader {
    uint32_t flags;
    uint8_t iv[PSP_AES_LEN];
    uint8_t mac[PSP_SHA256_LEN];
} PspPacketHeader;

QEMU_BUILD_BUG_ON(sizeof(PspSession) != 128);
QEMU_BUILD_BUG_ON(sizeof(PspPacketHeader) != 52);

/* First byte of a packet's MAC: what the packet is */
#define PSP_PACKET_SECRET 0x01
#define PSP_PACKET_DATA 0x02
#define PSP_PACKET_VMSA 0x03

/* amd-psp-session.c */
/* LAUNCH_START, RECEIVE_START: a new guest, with the session's keys if any */
AmdPspStatus amd_psp_guest_start(AmdPspState *s, PspCmdLaunchStart *cmd,
                                 bool session, AmdPspGuest **guest);
/* False if @peer is not on the curve */
bool amd_psp_session_wrap(AmdPspState *s, PspSession *se,
                          const AmdPspEcPoint *peer, const AmdPspGuest *g);
/* In place, both */
void amd_psp_packet_seal(const AmdPspGuest *g, uint8_t context,
                         PspPacketHeader *hdr, void *data, uint32_t len);
AmdPspStatus amd_psp_packet_open(const AmdPspGuest *g, uint8_t context,
                                 const PspPacketHeader *hdr, void *data,
                                 uint32_t len);

/* amd-psp-transport.c: the checks of packets */
/* SEND_UPDATE_*: room for the header, which comes before all other checks */
AmdPspStatus amd_psp_packet_query(void *buf);
/* Check, read and open; the caller frees @data, whatever is returned. */
AmdPspStatus amd_psp_packet_load(AmdPspState *s, const AmdPspGuest *g,
                                 const PspCmdPacket *cmd, uint8_t context,
                                 uint8_t **data);

#endif
