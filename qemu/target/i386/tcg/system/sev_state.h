/*
 * AMD SEV host emulation: the state it adds to a CPU
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef I386_TCG_SEV_STATE_H
#define I386_TCG_SEV_STATE_H

/* MSRs that INIT leaves alone */
typedef struct SevHostMsrs {
    uint64_t syscfg;
    uint64_t hwcr;
    uint64_t top_mem;
    uint64_t top_mem2;
    uint64_t tseg_base;
    uint64_t tseg_mask;
    uint64_t dr_mask[4];
    uint64_t rmp_base;
    uint64_t rmp_end;
} SevHostMsrs;

typedef enum SevGuestMode {
    SEV_GUEST_NONE,             /* host, or a guest without memory encryption */
    SEV_GUEST_PLAIN,            /* SEV: memory encrypted, registers not */
    SEV_GUEST_ES_ENTRY,         /* VMRUN of an SEV-ES guest: checks first */
    SEV_GUEST_ES,               /* running from a VMSA */
} SevGuestMode;

/* The guest that VMRUN entered; SEV_GUEST_NONE outside */
typedef struct SevGuest {
    SevGuestMode mode;
    uint32_t asid;
    uint64_t status;            /* image of the SEV_STATUS MSR */
    uint64_t features;          /* SEV_FEATURES of the VMSA */
    uint64_t ghcb;              /* image of the GHCB MSR */
    uint64_t vmsa_pa;
    uint64_t vmcb_pa;           /* marked in use, if SNP is on; else 0 */
    bool vmsa_in_use;
    uint8_t vmpl;
} SevGuest;

#endif
