/*
 * AMD reverse map table: the machine's
 *
 * Puts the table into RAM, as an SNP BIOS does, serializes its changes, and takes
 * a page that has changed hands away from the CPUs: from their TLBs only, and only
 * that page, without stopping them.  So there are two deliberate limits.  An access
 * of another CPU whose TLB lookup came before the change counts as one that came
 * before it, even if it ends after it.  And of the pages that a 2M mapping of
 * the host's has in the TLB only the page that changed is taken away: others which
 * silicon would refuse from then on are refused when they are next translated.
 *
 * A fill that was checked before a change, and entered after it, is found by the
 * generation: whoever changes the table counts it up before looking into the TLBs.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "cpu.h"
#include "exec/cputlb.h"
#include "exec/memory.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/i386/amd-rmp.h"
#include "hw/i386/amd-rmp-table.h"
#include "hw/i386/x86.h"
#include "e820_memory_layout.h"
#include "system/reset.h"
#include "system/tcg.h"

#define RMP_ALIGN (2 * MiB)

typedef struct AmdRmp {
    X86MachineState *machine;
    hwaddr base, end;           /* reserved; first and last byte */

    QemuMutex lock;             /* changes of the table and of what follows */
    RmpTable table;             /* no pages: no CPU has enabled SNP */
    hwaddr used_base, used_end; /* where it is */
    bool active;                /* between SNP_INIT and SNP_SHUTDOWN */
    unsigned generation;
} AmdRmp;

static AmdRmp rmp;

/* ---- where it is */

/* The RAM at @spa; NULL if not all @len bytes of it are in one piece of RAM. */
static void *ram_ptr(hwaddr spa, hwaddr len)
{
    uint64_t below_4g = rmp.machine->below_4g_mem_size;
    hwaddr start_4g = rmp.machine->above_4g_mem_start;
    uint8_t *base = memory_region_get_ram_ptr(MACHINE(rmp.machine)->ram);

    if (spa < below_4g && len <= below_4g - spa) {
        return base + spa;
    }
    if (spa >= start_4g && spa - start_4g < rmp.machine->above_4g_mem_size &&
        len <= rmp.machine->above_4g_mem_size - (spa - start_4g)) {
        return base + below_4g + (spa - start_4g);
    }
    return NULL;
}

void amd_rmp_add_e820(void)
{
    if (rmp.machine) {
        e820_add_entry(rmp.base, rmp.end + 1 - rmp.base, E820_RESERVED);
    }
}

static void amd_rmp_reset(void *opaque)
{
    QEMU_LOCK_GUARD(&rmp.lock);
    rmp.active = false;
    rmp.table.pages = 0;
}

bool amd_rmp_create(Error **errp)
{
    X86MachineState *machine = X86_MACHINE(qdev_get_machine());
    hwaddr top = machine->above_4g_mem_start + machine->above_4g_mem_size;
    hwaddr size = AMD_RMP_BOOKKEEPING +
                  (top >> RMP_PAGE_BITS) * sizeof(RmpRaw);

    if (rmp.machine) {
        return true;
    }
    size = ROUND_UP(size, RMP_ALIGN);
    if (machine->above_4g_mem_size < 2 * size) {
        error_setg(errp, "sev-snp-host=on needs memory above 4 GiB for the "
                   "reverse map table: -m 3G or more");
        return false;
    }
    rmp.machine = machine;
    rmp.base = ROUND_DOWN(top - size, RMP_ALIGN);
    rmp.end = rmp.base + size - 1;
    qemu_mutex_init(&rmp.lock);
    qemu_register_reset(amd_rmp_reset, NULL);
    return true;
}

bool amd_rmp_created(void)
{
    return rmp.machine;
}

void amd_rmp_reserved(hwaddr *base, hwaddr *end)
{
    *base = rmp.base;
    *end = rmp.end;
}

/* ---- life cycle */

/* What the MSRs must hold is in 15.36.4 "Initializing the RMP". */
bool amd_rmp_enable(hwaddr base, hwaddr end)
{
    hwaddr len = end + 1 - base;
    uint8_t *raw;

    if (!rmp.machine || !base || end <= base ||
        !QEMU_IS_ALIGNED(base | (end + 1), 8 * KiB) ||
        len <= AMD_RMP_BOOKKEEPING) {
        return false;
    }
    raw = ram_ptr(base, len);
    if (!raw) {
        return false;
    }
    QEMU_LOCK_GUARD(&rmp.lock);
    if (!rmp.table.pages) {
        rmp.table.raw = (RmpRaw *)(raw + AMD_RMP_BOOKKEEPING);
        rmp.used_base = base;
        rmp.used_end = end;
        qatomic_store_release(&rmp.table.pages,
                              (len - AMD_RMP_BOOKKEEPING) / sizeof(RmpRaw));
    }
    return rmp.used_base == base && rmp.used_end == end;
}

bool amd_rmp_configure(hwaddr base, hwaddr end)
{
    if (!rmp.machine) {
        return false;
    }
    QEMU_LOCK_GUARD(&rmp.lock);
    if (!rmp.table.pages || base != rmp.used_base || end != rmp.used_end) {
        return false;
    }
    rmp.active = true;
    return true;
}

void amd_rmp_shutdown(void)
{
    rmp.active = false;
}

bool amd_rmp_active(void)
{
    return qatomic_read(&rmp.active);
}

uint64_t amd_rmp_base(void)
{
    return first_cpu ? cpu_env(first_cpu)->sev_msrs.rmp_base : 0;
}

uint64_t amd_rmp_end(void)
{
    return first_cpu ? cpu_env(first_cpu)->sev_msrs.rmp_end : 0;
}

/* ---- changes */

/* Pages that are no RAM are never in a TLB as such. */
static void forget(hwaddr spa, bool large)
{
    hwaddr len = large ? RMP_PAGES_PER_2M << RMP_PAGE_BITS : 1 << RMP_PAGE_BITS;
    void *host = ram_ptr(QEMU_ALIGN_DOWN(spa, len), len);
    CPUState *cpu;

    qatomic_inc(&rmp.generation);
    if (!host || !tcg_enabled()) {
        return;
    }
    RCU_READ_LOCK_GUARD();
    CPU_FOREACH(cpu) {
        tlb_flush_host_range(cpu, (uintptr_t)host, len);
    }
}

/* A CPU's own flush is for its own thread only: this is not tlb_flush(). */
static void forget_all(void)
{
    CPUState *cpu;

    qatomic_inc(&rmp.generation);
    if (!tcg_enabled()) {
        return;
    }
    RCU_READ_LOCK_GUARD();
    CPU_FOREACH(cpu) {
        tlb_flush_host_range(cpu, 0, UINTPTR_MAX);
    }
}

unsigned amd_rmp_generation(void)
{
    return qatomic_load_acquire(&rmp.generation);
}

bool amd_rmp_read(hwaddr spa, AmdRmpEntry *e)
{
    if (!rmp.machine) {
        return false;
    }
    QEMU_LOCK_GUARD(&rmp.lock);
    return rmp_table_get(&rmp.table, spa, e);
}

bool amd_rmp_write(hwaddr spa, const AmdRmpEntry *e)
{
    if (!rmp.machine) {
        return false;
    }
    QEMU_LOCK_GUARD(&rmp.lock);
    if (!rmp_table_put(&rmp.table, spa, e)) {
        return false;
    }
    forget(spa, e->size_2m);
    return true;
}

static bool same_entry(const AmdRmpEntry *a, const AmdRmpEntry *b)
{
    return a->gpa == b->gpa && a->asid == b->asid &&
           a->assigned == b->assigned && a->validated == b->validated &&
           a->immutable == b->immutable && a->vmsa == b->vmsa &&
           a->size_2m == b->size_2m && a->lock == b->lock &&
           !memcmp(a->perms, b->perms, sizeof(a->perms));
}

bool amd_rmp_replace(hwaddr spa, const AmdRmpEntry *old, const AmdRmpEntry *e)
{
    AmdRmpEntry now;

    if (!rmp.machine) {
        return false;
    }
    QEMU_LOCK_GUARD(&rmp.lock);
    if (!rmp_table_get(&rmp.table, spa, &now) || !same_entry(&now, old) ||
        !rmp_table_put(&rmp.table, spa, e)) {
        return false;
    }
    forget(spa, e->size_2m);
    return true;
}

void amd_rmp_fill(hwaddr spa, uint64_t pages, const AmdRmpEntry *e)
{
    if (!rmp.machine) {
        return;
    }
    QEMU_LOCK_GUARD(&rmp.lock);
    rmp_table_fill(&rmp.table, spa, pages, e);
    if (pages == 1) {
        forget(spa, false);
    } else {
        forget_all();
    }
}

bool amd_rmp_unsmash(hwaddr spa)
{
    if (!rmp.machine) {
        return false;
    }
    QEMU_LOCK_GUARD(&rmp.lock);
    if (!rmp_table_unsmash(&rmp.table, spa)) {
        return false;
    }
    forget(spa, true);
    return true;
}

bool amd_rmp_asid_has_pages(uint32_t asid)
{
    if (!rmp.machine) {
        return false;
    }
    QEMU_LOCK_GUARD(&rmp.lock);
    return rmp_table_asid_has_pages(&rmp.table, asid);
}

static AmdRmpFault check_and_mark(const AmdRmpAccess *access, bool exclusive)
{
    AmdRmpFault fault;
    AmdRmpEntry e;

    QEMU_LOCK_GUARD(&rmp.lock);
    fault = rmp_table_check(&rmp.table, access);
    if (fault != AMD_RMP_OK) {
        return fault;
    }
    if (exclusive && rmp_table_get(&rmp.table, access->spa, &e) && e.in_use) {
        return AMD_RMP_FAULT_IN_USE;
    }
    rmp_table_mark(&rmp.table, access->spa, 1);
    return AMD_RMP_OK;
}

/* A page that only one CPU at a time may have: the VMSA */
AmdRmpFault amd_rmp_claim(const AmdRmpAccess *access)
{
    return check_and_mark(access, true);
}

AmdRmpFault amd_rmp_share(const AmdRmpAccess *access)
{
    return check_and_mark(access, false);
}

void amd_rmp_clear_in_use(hwaddr spa)
{
    QEMU_LOCK_GUARD(&rmp.lock);
    rmp_table_mark(&rmp.table, spa, -1);
}

/*
 * A refusal may come of an entry in the middle of a change, which no software
 * should have to hear of: look again when nobody is at it.
 */
AmdRmpFault amd_rmp_check(const AmdRmpAccess *access)
{
    if (rmp_table_check(&rmp.table, access) == AMD_RMP_OK) {
        return AMD_RMP_OK;
    }
    QEMU_LOCK_GUARD(&rmp.lock);
    return rmp_table_check(&rmp.table, access);
}

/* ---- instructions */

AmdRmpStatus amd_rmpupdate(hwaddr spa, const AmdRmpState *state)
{
    AmdRmpStatus status;

    QEMU_LOCK_GUARD(&rmp.lock);
    status = rmp_table_update(&rmp.table, spa, state);
    if (status == AMD_RMP_SUCCESS) {
        forget(spa, state->pagesize);
    }
    return status;
}

AmdRmpStatus amd_psmash(hwaddr spa)
{
    AmdRmpStatus status;

    QEMU_LOCK_GUARD(&rmp.lock);
    status = rmp_table_psmash(&rmp.table, spa);
    if (status == AMD_RMP_SUCCESS) {
        forget(spa, true);
    }
    return status;
}

AmdRmpStatus amd_rmpread(hwaddr spa, AmdRmpState *state)
{
    QEMU_LOCK_GUARD(&rmp.lock);
    return rmp_table_rmpread(&rmp.table, spa, state);
}

/* Nobody can have a page in the TLB that was not validated until now. */
AmdRmpResult amd_pvalidate(const AmdRmpAccess *access, bool large,
                           bool validate)
{
    AmdRmpResult r;

    QEMU_LOCK_GUARD(&rmp.lock);
    r = rmp_table_pvalidate(&rmp.table, access, large, validate);
    if (r.fault == AMD_RMP_OK && r.status == AMD_RMP_SUCCESS && !validate &&
        !r.unchanged) {
        forget(access->spa, large);
    }
    return r;
}

AmdRmpResult amd_rmpadjust(const AmdRmpAccess *access, bool large,
                           const AmdRmpAdjust *adjust)
{
    AmdRmpResult r;

    QEMU_LOCK_GUARD(&rmp.lock);
    r = rmp_table_adjust(&rmp.table, access, large, adjust);
    if (r.fault == AMD_RMP_OK && r.status == AMD_RMP_SUCCESS && !r.unchanged) {
        forget(access->spa, large);
    }
    return r;
}

AmdRmpResult amd_rmpquery(const AmdRmpAccess *access, uint8_t vmpl)
{
    QEMU_LOCK_GUARD(&rmp.lock);
    return rmp_table_query(&rmp.table, access, vmpl);
}
