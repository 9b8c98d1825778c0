/*
 * Tests of the AMD reverse map table: states of a page, and the whole table
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_AMD_RMP_STATES_H
#define TESTS_AMD_RMP_STATES_H

#include "hw/i386/amd-rmp-table.h"

#define PAGE            4096ULL
#define SIZE_2M         (512 * PAGE)
#define PAGES           (3 * 512 + 100)         /* the last 2M page is partial */
#define HEAD            512
#define ASID            7
#define OTHER_ASID      8
#define GPA_2M          0x40000000ULL
#define R               AMD_RMP_PERM_READ
#define RW              (AMD_RMP_PERM_READ | AMD_RMP_PERM_WRITE)

/* As the firmware calls them */
typedef enum State {
    HYPERVISOR, HV_FIXED, FIRMWARE, FIRMWARE_IOMMU, RECLAIM, CONTEXT, METADATA,
    PRE_GUEST, GUEST_INVALID, GUEST_VALID, VMSA, VMCB_IN_USE, VMSA_IN_USE,
    LOCKED, OTHER_GUEST, INVALID_2M, VALID_2M, PRE_GUEST_2M, STATES
} State;

typedef struct StateRow {
    const char *name;
    AmdRmpEntry e;              /* gpa: 1 stands for the guest's */
} StateRow;

extern const StateRow states[STATES];
extern RmpRaw raw[PAGES];
extern RmpTable t;
extern AmdRmpEntry expected[PAGES];

hwaddr spa_of(unsigned page);
uint64_t gpa_of(unsigned page);
AmdRmpEntry state_entry(State s, unsigned page);

/* An empty table but for @page, and nothing else expected of it */
void set_up(State s, unsigned page);
void assert_table(void);

/* What an access or an instruction comes to, as a letter */
char outcome(AmdRmpFault fault, AmdRmpStatus status, bool unchanged);
AmdRmpAccess guest_access(AmdRmpKind kind, unsigned page);

#endif
