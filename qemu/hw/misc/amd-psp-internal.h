/*
 * AMD Platform Security Processor: what the device's files share
 *
 *   amd-psp.c          PCI function, registers, mailbox, physical memory
 *   amd-psp-cmd.c      command table and dispatch; platform, guest and ASID
 *   amd-psp-identity.c keys and certificates of the platform
 *   amd-psp-launch.c   LAUNCH_*, ATTESTATION_REPORT, DBG_*
 *   amd-psp-crypto.c   primitives
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
#include "amd-psp-crypto.h"

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
    PSP_INVALID_MDATA_ENTRY     = 0x1B,
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

/* Values as in GUEST_STATUS */
typedef enum AmdPspGuestState {
    PSP_G_INVALID,
    PSP_G_LUPDATE,
    PSP_G_LSECRET,
    PSP_G_RUNNING,
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
FIELD(POLICY, API_MAJOR, 16, 8)
FIELD(POLICY, API_MINOR, 24, 8)

typedef struct AmdPspGuest {
    uint32_t handle;
    uint32_t policy;
    uint32_t asid;                      /* 0: not active */
    AmdPspGuestState state;
    uint8_t vek[AMD_MEE_KEY_SIZE];
    uint8_t tek[PSP_AES_LEN];
    uint8_t tik[PSP_AES_LEN];
    QCryptoHash *hash;                  /* LUPDATE only */
    uint8_t digest[PSP_SHA256_LEN];     /* from LAUNCH_MEASURE on */
    uint8_t measure[PSP_SHA256_LEN];
    GArray *crc_slots;                  /* of uint64_t */
} AmdPspGuest;

/* SEV API, SEV Certificate Format. 2084 bytes, little endian. */
#define PSP_CERT_LEN 0x824

typedef struct AmdPspCert {
    uint8_t raw[PSP_CERT_LEN];
} AmdPspCert;

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
    AmdPspIdentity id;
    hwaddr nv_addr;                     /* 0: no INIT_EX buffer */

    uint32_t max_asid;
    uint32_t cbitpos;
    char *chip_seed;
};

/* One handler per command; @g is NULL for rows without guest states. */
typedef AmdPspStatus AmdPspHandler(AmdPspState *s, AmdPspGuest *g, void *buf);

/* amd-psp.c */
hwaddr amd_psp_addr(AmdPspState *s, uint64_t le_addr);
bool amd_psp_range_ok(hwaddr pa, uint64_t len);
/* Firmware may write there: RAM, and with SNP pages that the host has given */
AmdPspStatus amd_psp_output(hwaddr pa, uint64_t len);
/* Memory that INIT was given for good */
bool amd_psp_in_tmr(hwaddr pa);
bool amd_psp_wbinvd_done(void);
void amd_psp_wbinvd_restart(void);

/* amd-psp-cmd.c */
AmdPspStatus amd_psp_execute(AmdPspState *s, unsigned id, hwaddr cmdbuf);
AmdPspGuest *amd_psp_guest_find(AmdPspState *s, uint32_t handle);
AmdPspGuest *amd_psp_guest_new(AmdPspState *s);
AmdPspStatus amd_psp_df_flush(AmdPspState *s);
void amd_psp_shutdown(AmdPspState *s);

/* amd-psp-identity.c */
void amd_psp_chip_init(AmdPspState *s);
void amd_psp_identity_ensure(AmdPspState *s);
AmdPspStatus amd_psp_nv_load(AmdPspState *s, hwaddr nv_addr);
bool amd_psp_cert_dh_key(const AmdPspCert *cert, AmdPspEcPoint *pub);
void amd_psp_sign_report(AmdPspState *s, uint8_t *sig_r, uint8_t *sig_s,
                         const void *data, size_t len);
uint32_t amd_psp_pek_usage(void);
uint32_t amd_psp_pek_algo(void);
AmdPspHandler amd_psp_get_id, amd_psp_pek_gen, amd_psp_pek_csr,
              amd_psp_pek_cert_import, amd_psp_pdh_cert_export,
              amd_psp_pdh_gen, amd_psp_factory_reset;

/* amd-psp-launch.c */
AmdPspHandler amd_psp_launch_start, amd_psp_launch_update_data,
              amd_psp_launch_update_vmsa, amd_psp_launch_measure,
              amd_psp_launch_secret, amd_psp_launch_finish,
              amd_psp_attestation_report, amd_psp_dbg_decrypt,
              amd_psp_dbg_encrypt;

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

typedef struct QEMU_PACKED PspCmdLaunchSecret {
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
} PspCmdLaunchSecret;

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

#endif
