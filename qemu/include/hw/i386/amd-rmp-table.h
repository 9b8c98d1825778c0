/*
 * AMD reverse map table: entries, checks and transitions
 *
 * The part that knows nothing of the machine around it.  The caller holds the
 * lock for everything that changes the table.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_AMD_RMP_TABLE_H
#define HW_I386_AMD_RMP_TABLE_H

#include "hw/i386/amd-rmp.h"

#define RMP_PAGE_BITS           12
#define RMP_PAGES_PER_2M        512

/* Little endian, as in RAM */
typedef struct RmpRaw {
    uint64_t lo;
    uint64_t hi;
} RmpRaw;

typedef struct RmpTable {
    RmpRaw *raw;
    uint64_t pages;             /* that the table covers */
} RmpTable;

bool rmp_table_get(const RmpTable *t, hwaddr spa, AmdRmpEntry *e);
bool rmp_table_put(RmpTable *t, hwaddr spa, const AmdRmpEntry *e);
void rmp_table_fill(RmpTable *t, hwaddr spa, uint64_t pages,
                    const AmdRmpEntry *e);
bool rmp_table_unsmash(RmpTable *t, hwaddr spa);
bool rmp_table_asid_has_pages(const RmpTable *t, uint32_t asid);
AmdRmpFault rmp_table_check(const RmpTable *t, const AmdRmpAccess *access);
void rmp_table_mark(RmpTable *t, hwaddr spa, int delta);

AmdRmpStatus rmp_table_update(RmpTable *t, hwaddr spa, const AmdRmpState *s);
AmdRmpStatus rmp_table_psmash(RmpTable *t, hwaddr spa);
AmdRmpStatus rmp_table_rmpread(const RmpTable *t, hwaddr spa, AmdRmpState *s);
AmdRmpResult rmp_table_pvalidate(RmpTable *t, const AmdRmpAccess *access,
                                 bool large, bool validate);
AmdRmpResult rmp_table_adjust(RmpTable *t, const AmdRmpAccess *access,
                              bool large, const AmdRmpAdjust *adjust);
AmdRmpResult rmp_table_query(const RmpTable *t, const AmdRmpAccess *access,
                             uint8_t vmpl);

#endif
