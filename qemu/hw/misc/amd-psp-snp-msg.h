/*
 * AMD Platform Security Processor: messages between SNP guests and firmware
 *
 *   amd-psp-snp-msg.c     header, sequence numbers, encryption; the messages
 *   amd-psp-snp-report.c  attestation reports and derived keys
 *   amd-psp-snp-vcek.c    chip id, versions, the key that signs reports
 *   amd-psp-snp-cpuid.c   which CPUID results a guest may rely on
 *
 * "SEV-SNP firmware ABI" in the comments of these files is AMD's publication
 * 56860, "SEV Secure Nested Paging Firmware ABI". All of it runs under the BQL.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_AMD_PSP_SNP_MSG_H
#define HW_MISC_AMD_PSP_SNP_MSG_H

#include "amd-psp-internal.h"
#include "amd-psp-snp.h"

#define PSP_SNP_VMPLS 4

/*
 * SNP_GUEST_REQUEST for a guest that is running: @req is the host's page, read
 * once, @resp is to be written to the host's page on success and has the reply,
 * whatever that reply says. On failure neither @g nor @resp has changed.
 */
AmdPspStatus amd_psp_snp_message(AmdPspState *s, AmdPspSnpGuest *g,
                                 const uint8_t req[PSP_SNP_PAGE],
                                 uint8_t resp[PSP_SNP_PAGE]);

/* A row of the CPUID page and of MSG_CPUID_REQ; little endian */
typedef struct QEMU_PACKED AmdPspSnpCpuid {
    uint32_t eax_in, ecx_in;
    uint64_t xcr0_in, xss_in;
    uint32_t eax, ebx, ecx, edx;
    uint64_t reserved;
} AmdPspSnpCpuid;

#define PSP_SNP_CPUID_MAX 64

/*
 * May a guest rely on what these rows say? Rows that promise what the
 * platform does not have are put right, and false is returned.
 */
bool amd_psp_snp_cpuid_vet(AmdPspSnpCpuid *rows, unsigned count);
/* CPUID as a core of the platform has it: EAX, EBX, ECX, EDX */
void amd_psp_snp_host_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t r[4]);

/* SEV-SNP firmware ABI, MSG_KEY_REQ */
typedef struct QEMU_PACKED AmdPspSnpKeyReq {
    uint32_t key_select;
    uint32_t reserved;
    uint64_t field_select;
    uint32_t vmpl;
    uint32_t guest_svn;
    uint64_t tcb_version;
} AmdPspSnpKeyReq;

/* SEV-SNP firmware ABI, MSG_REPORT_REQ */
typedef struct QEMU_PACKED AmdPspSnpReportReq {
    uint8_t report_data[64];
    uint32_t vmpl;
    uint32_t key_select;
    uint8_t reserved[24];
} AmdPspSnpReportReq;

/* SEV-SNP firmware ABI, ATTESTATION_REPORT; r and s are little endian */
typedef struct QEMU_PACKED AmdPspSnpReport {
    uint32_t version;
    uint32_t guest_svn;
    uint64_t policy;
    uint8_t family_id[16];
    uint8_t image_id[16];
    uint32_t vmpl;
    uint32_t signature_algo;
    uint64_t current_tcb;
    uint64_t platform_info;
    uint32_t flags;
    uint32_t reserved1;
    uint8_t report_data[64];
    uint8_t measurement[48];
    uint8_t host_data[32];
    uint8_t id_key_digest[48];
    uint8_t author_key_digest[48];
    uint8_t report_id[32];
    uint8_t report_id_ma[32];
    uint64_t reported_tcb;
    uint8_t reserved2[24];
    uint8_t chip_id[64];
    uint64_t committed_tcb;
    uint8_t current_version[4];         /* build, minor, major, reserved */
    uint8_t committed_version[4];
    uint64_t launch_tcb;
    uint8_t reserved3[168];
    uint8_t signature_r[72];
    uint8_t signature_s[72];
    uint8_t reserved4[368];
} AmdPspSnpReport;

QEMU_BUILD_BUG_ON(sizeof(AmdPspSnpCpuid) != 0x30);
QEMU_BUILD_BUG_ON(sizeof(AmdPspSnpKeyReq) != 0x20);
QEMU_BUILD_BUG_ON(sizeof(AmdPspSnpReportReq) != 0x60);
QEMU_BUILD_BUG_ON(offsetof(AmdPspSnpReport, report_data) != 0x50);
QEMU_BUILD_BUG_ON(offsetof(AmdPspSnpReport, chip_id) != 0x1a0);
QEMU_BUILD_BUG_ON(offsetof(AmdPspSnpReport, signature_r) != 0x2a0);
QEMU_BUILD_BUG_ON(sizeof(AmdPspSnpReport) != 0x4a0);

/*
 * Both answer a request that came under the VMPCK of @vmpl, and return what the
 * reply says of it: PSP_SUCCESS, PSP_INVALID_PARAM or PSP_INVALID_KEY.
 */
AmdPspStatus amd_psp_snp_report(AmdPspState *s, const AmdPspSnpGuest *g,
                                unsigned vmpl, const AmdPspSnpReportReq *req,
                                AmdPspSnpReport *report);
AmdPspStatus amd_psp_snp_derive_key(AmdPspState *s, const AmdPspSnpGuest *g,
                                    unsigned vmpl, const AmdPspSnpKeyReq *req,
                                    uint8_t key[32]);

/* Is each component (byte) of TCB version @a at most that of @b? */
bool amd_psp_snp_tcb_le(uint64_t a, uint64_t b);

/* Chip id, TCB versions, VCEK; after amd_psp_chip_init() */
bool amd_psp_snp_chip_init(AmdPspState *s, Error **errp);
/* The VCEK that this chip has, or would have, at a TCB version */
void amd_psp_snp_vcek_derive(const AmdPspState *s, uint64_t tcb,
                             AmdPspEcKey *vcek);
/* To be called when reported_tcb has changed */
void amd_psp_snp_vcek_update(AmdPspState *s);
/* Properties by which the outside learns what AMD knows of a chip */
void amd_psp_snp_vcek_class_init(ObjectClass *klass);

#endif
