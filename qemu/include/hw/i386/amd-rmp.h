/*
 * AMD reverse map table (RMP) of SEV-SNP
 *
 * One entry for each page of the system's memory says whom the page belongs to,
 * at which guest physical address its owner may use it, and what each VMPL may do
 * there.  The table lies in RAM, in the layout of Zen 3 and 4, where software
 * looks at it; whoever changes an entry does so through these functions.
 *
 * Lock: one, inside, around every change.  Lookups take none.
 *
 * QEMU interface:
 *  + bool property "sev-snp-host" of an x86 CPU with sev-host=on
 *  + memory for the table is taken from the top of RAM above 4 GiB, and is a
 *    reserved range of the e820 map, as by an SNP BIOS
 *
 * APM vol 2, 15.36 Secure Nested Paging; SEV-SNP firmware ABI, page states.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_AMD_RMP_H
#define HW_I386_AMD_RMP_H

#include "exec/hwaddr.h"

#define AMD_RMP_VMPLS           4

/* What a VMPL may do with a page; permission bytes of the entry */
#define AMD_RMP_PERM_READ       0x01
#define AMD_RMP_PERM_WRITE      0x02
#define AMD_RMP_PERM_EXEC_USER  0x04
#define AMD_RMP_PERM_EXEC_SUPER 0x08
#define AMD_RMP_PERM_ALL        0x0f

/* The firmware counts assigned pages in front of the table */
#define AMD_RMP_BOOKKEEPING     0x4000

/*
 * Firmware pages are tagged in [50:48] of the GPA, which is that of no guest:
 * state METADATA has the page number of its guest's context, FIRMWARE_IOMMU
 * is this one value.
 */
#define AMD_RMP_TAG_METADATA    (1ULL << 48)
#define AMD_RMP_GPA_IOMMU       ((2ULL << 48) | (1ULL << 12))

/*
 * An entry as it applies to one 4K page.  Of a page inside a 2M page these are
 * the 2M page's properties, and the GPA of the page itself.
 */
typedef struct AmdRmpEntry {
    uint64_t gpa;               /* [50:12]; firmware keeps its tags here, too */
    uint32_t asid;              /* 0 for the firmware's own pages */
    bool assigned;
    bool validated;
    bool immutable;
    bool vmsa;
    bool size_2m;
    bool lock;                  /* firmware is at work on the page */
    uint8_t in_use;             /* CPUs that run from the page (read only) */
    uint8_t perms[AMD_RMP_VMPLS];
} AmdRmpEntry;

/* Result codes of the RMP instructions, as they appear in EAX */
typedef enum AmdRmpStatus {
    AMD_RMP_SUCCESS = 0,
    AMD_RMP_FAIL_INPUT = 1,
    AMD_RMP_FAIL_PERMISSION = 2,
    AMD_RMP_FAIL_INUSE = 3,
    AMD_RMP_FAIL_OVERLAP = 4,
    AMD_RMP_FAIL_SIZEMISMATCH = 6,
} AmdRmpStatus;

/* Why an access is refused, in order of priority */
typedef enum AmdRmpFault {
    AMD_RMP_OK,
    AMD_RMP_FAULT_COVERED,      /* no entry, but only a guest's page would do */
    AMD_RMP_FAULT_OWNER,        /* the page is somebody else's */
    AMD_RMP_FAULT_REVERSE_MAP,  /* the guest has it at another address */
    AMD_RMP_FAULT_IMMUTABLE,
    AMD_RMP_FAULT_VMSA,         /* VMRUN of a page that is not a VMSA */
    AMD_RMP_FAULT_SIZE,
    AMD_RMP_FAULT_VALIDATED,
    AMD_RMP_FAULT_VMPL,
    AMD_RMP_FAULT_IN_USE,       /* VMRUN of a VMSA that another CPU runs */
} AmdRmpFault;

/* Who accesses a page, and how; each is a row of the table of checks */
typedef enum AmdRmpKind {
    AMD_RMP_HOST_STORE,
    AMD_RMP_HOST_WALK,          /* of host page tables, nested ones included */
    AMD_RMP_SHARED_STORE,       /* guest: C-bit clear, or not an SNP guest */
    AMD_RMP_SHARED_WALK,        /* page tables of a guest that is not SNP */
    AMD_RMP_DMA_STORE,
    AMD_RMP_IOMMU_STORE,        /* by the IOMMU itself: logs, completion wait */
    AMD_RMP_VMCB,
    AMD_RMP_AVIC,               /* backing page */
    AMD_RMP_HSAVE,              /* host save area */
    AMD_RMP_ES_VMSA,            /* VMSA of a guest that is not SNP */
    AMD_RMP_SNP_VMSA,
    AMD_RMP_GUEST_LOAD,         /* C-bit set, here and below */
    AMD_RMP_GUEST_STORE,
    AMD_RMP_GUEST_FETCH_USER,
    AMD_RMP_GUEST_FETCH_SUPER,
    AMD_RMP_GUEST_WALK,         /* reading a table */
    AMD_RMP_GUEST_WALK_STORE,   /* accessed and dirty bits */
    AMD_RMP_GUEST_PVALIDATE,
    AMD_RMP_GUEST_RMPADJUST,    /* and RMPQUERY */
    AMD_RMP_KINDS
} AmdRmpKind;

typedef struct AmdRmpAccess {
    AmdRmpKind kind;
    hwaddr spa;
    bool large;                 /* the mapping is one of 2M or more */
    /* the guest's, for accesses to its private pages */
    uint64_t gpa;
    uint32_t asid;
    uint8_t vmpl;
} AmdRmpAccess;

/* Operand of RMPUPDATE, result of RMPREAD */
typedef struct QEMU_PACKED AmdRmpState {
    uint64_t gpa;
    uint8_t assigned;
    uint8_t pagesize;           /* 0: 4K, 1: 2M */
    uint8_t immutable;
    uint8_t reserved;
    uint32_t asid;
} AmdRmpState;

/* What PVALIDATE, RMPADJUST and RMPQUERY come to */
typedef struct AmdRmpResult {
    AmdRmpFault fault;          /* if not AMD_RMP_OK, nothing else is valid */
    AmdRmpStatus status;
    bool unchanged;             /* the entry said so already (PVALIDATE: CF) */
    uint8_t perms;              /* RMPQUERY */
    bool vmsa;
    bool size_2m;
} AmdRmpResult;

/* RMPADJUST: RDX */
typedef struct AmdRmpAdjust {
    uint8_t vmpl;               /* whose permissions */
    uint8_t perms;
    bool vmsa;
} AmdRmpAdjust;

/* ---- the machine's table */

/*
 * Give the machine a table of which the CPUs, created with sev-snp-host=on, are
 * told at reset.  All but the first call change nothing.
 */
bool amd_rmp_create(Error **errp);

bool amd_rmp_created(void);

/* To be called after the entries of RAM, which it takes a part from */
void amd_rmp_add_e820(void);

/* Where an SNP BIOS has put it: first and last byte; 0, 0 on other machines */
void amd_rmp_reserved(hwaddr *base, hwaddr *end);

/* SYSCFG.SNPEn was set on a CPU: from here on the table is obeyed by it. */
bool amd_rmp_enable(hwaddr base, hwaddr end);

/*
 * SNP_INIT: the firmware takes the table over.  False if no CPU has enabled
 * SNP, or with a table other than this, or if the table is not fit for use.
 */
bool amd_rmp_configure(hwaddr base, hwaddr end);
void amd_rmp_shutdown(void);
/* The firmware is between SNP_INIT and SNP_SHUTDOWN */
bool amd_rmp_active(void);

/* RMP_BASE and RMP_END of CPU 0 */
uint64_t amd_rmp_base(void);
uint64_t amd_rmp_end(void);

/* ---- entries, for the firmware */

/* False if the page is not covered by the table. */
bool amd_rmp_read(hwaddr spa, AmdRmpEntry *e);

/*
 * Set the entry of a 4K page, or of a whole 2M page.  In-use marks stay.  False
 * if not covered or not aligned, or if a 4K page is part of a 2M one.  All CPUs
 * lose what they remember of the page.
 */
bool amd_rmp_write(hwaddr spa, const AmdRmpEntry *e);

/* The same if the entry is still @old; false if it has changed meanwhile. */
bool amd_rmp_replace(hwaddr spa, const AmdRmpEntry *old, const AmdRmpEntry *e);

/*
 * The same for up to @pages 4K pages from @spa, whose entry does not depend on
 * the address, at once; what the table does not cover is left out.
 */
void amd_rmp_fill(hwaddr spa, uint64_t pages, const AmdRmpEntry *e);

/* 512 like 4K entries with consecutive GPAs become one of 2M; false if not so */
bool amd_rmp_unsmash(hwaddr spa);

/* Does any assigned page belong to @asid? */
bool amd_rmp_asid_has_pages(uint32_t asid);

/* ---- checks */

/*
 * The check of every access.  Counts changes of the table: a TLB fill that has
 * been checked before a change and entered after it has to be made again.
 */
AmdRmpFault amd_rmp_check(const AmdRmpAccess *access);
unsigned amd_rmp_generation(void);

/*
 * VMRUN marks its pages for as long as the guest runs: RMPUPDATE and PSMASH
 * refuse to touch them.
 */
AmdRmpFault amd_rmp_claim(const AmdRmpAccess *access);  /* check, and mark */
AmdRmpFault amd_rmp_share(const AmdRmpAccess *access);  /* by others, too */
void amd_rmp_clear_in_use(hwaddr spa);

/* ---- instructions */

AmdRmpStatus amd_rmpupdate(hwaddr spa, const AmdRmpState *state);
AmdRmpStatus amd_psmash(hwaddr spa);
AmdRmpStatus amd_rmpread(hwaddr spa, AmdRmpState *state);
/* @access: of kind AMD_RMP_GUEST_PVALIDATE or AMD_RMP_GUEST_RMPADJUST */
AmdRmpResult amd_pvalidate(const AmdRmpAccess *access, bool large,
                           bool validate);
AmdRmpResult amd_rmpadjust(const AmdRmpAccess *access, bool large,
                           const AmdRmpAdjust *adjust);
AmdRmpResult amd_rmpquery(const AmdRmpAccess *access, uint8_t vmpl);

#endif
