/*
 * AMD Platform Security Processor: SEV-SNP, what the device's files share
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef HW_MISC_AMD_PSP_SNP_H
#define HW_MISC_AMD_PSP_SNP_H

#include "exec/hwaddr.h"
#include "hw/i386/amd-mee.h"
#include "amd-psp-crypto.h"

typedef enum AmdPspSnpGuestState {
    PSP_SNP_G_INIT,
    PSP_SNP_G_LAUNCH,
    PSP_SNP_G_RUNNING,
} AmdPspSnpGuestState;

typedef struct AmdPspSnpGuest {
    hwaddr gctx;                        /* context page */
    uint32_t asid;
    AmdPspSnpGuestState state;
    uint64_t policy;
    uint64_t launch_tcb;
    uint8_t gosvw[16];
    uint8_t vek[AMD_MEE_KEY_SIZE];
    uint8_t ld[48];                     /* launch digest */
    uint8_t host_data[32], family_id[16], image_id[16];
    uint32_t guest_svn;
    uint8_t id_key_digest[48], author_key_digest[48];
    bool author_key_en;
    bool vcek_dis;
    uint8_t report_id[32], report_id_ma[32];
    uint8_t vmpck[4][32];
    uint64_t msg_seqno[4];              /* of the last message sent or accepted */
} AmdPspSnpGuest;

typedef struct AmdPspSnp {
    uint64_t current_tcb, committed_tcb, reported_tcb;
    bool mask_chip_id, mask_chip_key;   /* SNP_CONFIG */
    uint8_t chip_id[64];
    AmdPspEcKey vcek;
    char *endorsement;                  /* where to write what a KDS knows */
} AmdPspSnp;

#endif
