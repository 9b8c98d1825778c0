/*
 * AMD memory encryption engine: keys, pages, and who sees what
 *
 * TCG reads and writes guest RAM directly, so RAM cannot hold ciphertext while
 * a guest works on it.  Each page of RAM therefore carries the ASID of the key
 * under which its current content is to be seen: its tag, 0 for the content of
 * DRAM itself.  A CPU may hold a page in its TLB only under the page's tag.
 * When one comes with another key, the page is changed over: encrypted under
 * the old tag (which gives DRAM's content), decrypted under the new one.  So a
 * guest runs at full speed on plaintext, and the host that looks at its page
 * finds ciphertext.  The host's own pages have tag 0 and never change.
 *
 * The change-over takes the page away under everybody's feet, so all CPUs have
 * to be stopped and to lose the page from their TLBs.  A helper cannot do
 * that: start_exclusive() waits for all running CPUs, its caller's among them,
 * and a helper that called itself not running could come back to a translation
 * block that has been freed.  It is thus queued as safe work, and the
 * instruction starts again after it.  Two CPUs that use one page under two
 * keys at the same time can take it from each other for a while; on silicon
 * they would corrupt it.
 *
 * Firmware and microcode (amd_mee_read(), amd_mee_write()) and devices (the
 * MemoryEncryptionOps) work on a copy instead and stop nobody.
 *
 * APM vol 2, Secure Encrypted Virtualization.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/lockable.h"
#include "qemu/rcu.h"
#include "qapi/error.h"
#include "exec/exec-all.h"
#include "exec/memory-encryption.h"
#include "exec/ram_addr.h"
#include "hw/boards.h"
#include "hw/core/cpu.h"
#include "hw/i386/amd-mee.h"
#include "hw/i386/amd-rmp.h"
#include "hw/i386/x86.h"
#include "migration/blocker.h"
#include "system/reset.h"
#include "system/tcg.h"
#include "hw/i386/amd-mee-cipher.h"

/* The legacy hole: ROM shadows, VGA, SMRAM.  Never a guest's private memory. */
#define HOLE_START  0xa0000
#define HOLE_END    0x100000

#define CRC_SLOT_SIZE 8

typedef struct AmdMee {
    MemoryRegion *ram;
    uint8_t *base;          /* host address of RAM */
    uint64_t pages;
    X86MachineState *machine;

    /*
     * One per page.  Written with lock held; TLB fills read it without, since
     * it changes to or from a tag that a CPU relies on only in safe work.
     */
    uint16_t *tag;

    QemuMutex lock;         /* tags, ciphers and slots */
    unsigned max_asid;
    MeeCipher **cipher;     /* by ASID; [0] is not used */

    hwaddr crc_base;
    unsigned long crc_slots;
    unsigned long *crc_used;
    uint64_t *crc;
} AmdMee;

bool amd_mee_created;
static AmdMee mee;

/* ---- pages */

/* The number of the page of RAM at @pa; false if that is not ordinary RAM. */
static bool pa_to_page(hwaddr pa, uint64_t *page)
{
    uint64_t below_4g = mee.machine->below_4g_mem_size;
    hwaddr start_4g = mee.machine->above_4g_mem_start;

    if (pa >= HOLE_START && pa < HOLE_END) {
        return false;
    }
    if (pa < below_4g) {
        *page = pa >> MEE_PAGE_BITS;
        return true;
    }
    if (pa < start_4g) {
        return false;
    }
    *page = (pa - start_4g + below_4g) >> MEE_PAGE_BITS;
    return *page < mee.pages;
}

static hwaddr page_to_pa(uint64_t page)
{
    hwaddr offset = page << MEE_PAGE_BITS;
    uint64_t below_4g = mee.machine->below_4g_mem_size;

    if (offset < below_4g) {
        return offset;
    }
    return offset - below_4g + mee.machine->above_4g_mem_start;
}

static uint8_t *page_ptr(uint64_t page)
{
    return mee.base + (page << MEE_PAGE_BITS);
}

/* Tell TCG and dirty logging about new content. */
static void page_changed(uint64_t page, size_t offset, size_t len)
{
    ram_addr_t addr = memory_region_get_ram_addr(mee.ram) +
                      (page << MEE_PAGE_BITS) + offset;

    if (tcg_enabled() &&
        cpu_physical_memory_range_includes_clean(addr, len,
                                                 1 << DIRTY_MEMORY_CODE)) {
        tb_invalidate_phys_range(addr, addr + len - 1);
    }
    memory_region_set_dirty(mee.ram, (page << MEE_PAGE_BITS) + offset, len);
}

/*
 * Change @buf, the content of @page as seen under key @from, to what is seen
 * under key @to.
 */
static void change_view(uint64_t page, uint8_t *buf, uint32_t from, uint32_t to)
{
    hwaddr pa = page_to_pa(page);

    if (from == to) {
        return;
    }
    if (from) {
        mee_cipher_encrypt(mee.cipher[from], pa, buf);
    }
    if (to) {
        mee_cipher_decrypt(mee.cipher[to], pa, buf);
    }
}

static void retag(uint64_t page, uint32_t asid)
{
    change_view(page, page_ptr(page), mee.tag[page], asid);
    qatomic_set(&mee.tag[page], asid);
    page_changed(page, 0, MEE_PAGE_SIZE);
}

/* ---- the CPUs' way */

typedef struct {
    uint64_t page;
    uint32_t asid;
} Retag;

/* All CPUs are stopped. */
static void retag_work(CPUState *cpu, run_on_cpu_data data)
{
    g_autofree Retag *r = data.host_ptr;
    CPUState *c;

    WITH_QEMU_LOCK_GUARD(&mee.lock) {
        /* Another CPU may have asked for it first, or the key be gone. */
        if (mee.tag[r->page] == r->asid ||
            (r->asid && !mee.cipher[r->asid])) {
            return;
        }
        retag(r->page, r->asid);
    }
    CPU_FOREACH(c) {
        tlb_flush_host_range(c, (uintptr_t)page_ptr(r->page), MEE_PAGE_SIZE);
    }
}

bool amd_mee_tlb_fill(CPUState *cs, hwaddr pa, uint32_t asid)
{
    uint64_t page;
    Retag *r;

    if (!pa_to_page(pa, &page) ||
        likely(qatomic_read(&mee.tag[page]) == asid)) {
        return true;
    }
    if (asid && !amd_mee_has_key(asid)) {
        /* VMRUN takes an ASID without a key; the guest sees DRAM as it is. */
        asid = 0;
        if (qatomic_read(&mee.tag[page]) == 0) {
            return true;
        }
    }
    r = g_new(Retag, 1);
    r->page = page;
    r->asid = asid;
    async_safe_run_on_cpu(cs, retag_work, RUN_ON_CPU_HOST_PTR(r));
    return false;
}

/* ---- the way of firmware and microcode */

static void page_read(uint64_t page, size_t offset, uint32_t asid,
                      void *buf, size_t len)
{
    uint8_t copy[MEE_PAGE_SIZE];

    if (mee.tag[page] == asid) {
        memcpy(buf, page_ptr(page) + offset, len);
        return;
    }
    memcpy(copy, page_ptr(page), sizeof(copy));
    change_view(page, copy, mee.tag[page], asid);
    memcpy(buf, copy + offset, len);
}

static void page_write(uint64_t page, size_t offset, uint32_t asid,
                       const void *buf, size_t len)
{
    uint32_t tag = mee.tag[page];
    uint8_t copy[MEE_PAGE_SIZE];

    if (tag == asid) {
        memcpy(page_ptr(page) + offset, buf, len);
        page_changed(page, offset, len);
        return;
    }
    if (len < sizeof(copy)) {
        memcpy(copy, page_ptr(page), sizeof(copy));
        change_view(page, copy, tag, asid);
    }
    memcpy(copy + offset, buf, len);
    change_view(page, copy, asid, tag);
    memcpy(page_ptr(page), copy, sizeof(copy));
    page_changed(page, 0, sizeof(copy));
}

static bool accessible(hwaddr pa, uint32_t asid, size_t len)
{
    uint64_t page;
    hwaddr last = pa + len - 1;

    if (asid > mee.max_asid || (asid && !mee.cipher[asid]) ||
        !len || last < pa) {
        return false;
    }
    for (hwaddr p = pa & ~(hwaddr)(MEE_PAGE_SIZE - 1); p <= last;
         p += MEE_PAGE_SIZE) {
        if (!pa_to_page(p, &page)) {
            return false;
        }
    }
    return true;
}

bool amd_mee_covers(hwaddr pa, size_t len)
{
    QEMU_LOCK_GUARD(&mee.lock);
    return accessible(pa, 0, len);
}

bool amd_mee_read(hwaddr pa, uint32_t asid, void *buf, size_t len)
{
    uint8_t *to = buf;

    QEMU_LOCK_GUARD(&mee.lock);
    if (!accessible(pa, asid, len)) {
        return false;
    }
    while (len) {
        size_t offset = pa & (MEE_PAGE_SIZE - 1);
        size_t n = MIN(len, MEE_PAGE_SIZE - offset);
        uint64_t page = 0;

        pa_to_page(pa, &page);
        page_read(page, offset, asid, to, n);
        pa += n;
        to += n;
        len -= n;
    }
    return true;
}

bool amd_mee_write(hwaddr pa, uint32_t asid, const void *buf, size_t len)
{
    const uint8_t *from = buf;

    QEMU_LOCK_GUARD(&mee.lock);
    if (!accessible(pa, asid, len)) {
        return false;
    }
    while (len) {
        size_t offset = pa & (MEE_PAGE_SIZE - 1);
        size_t n = MIN(len, MEE_PAGE_SIZE - offset);
        uint64_t page = 0;

        pa_to_page(pa, &page);
        page_write(page, offset, asid, from, n);
        pa += n;
        from += n;
        len -= n;
    }
    return true;
}

/* ---- the way of devices */

static bool ptr_to_page(const void *ptr, uint64_t *page)
{
    uintptr_t offset = (uintptr_t)ptr - (uintptr_t)mee.base;

    *page = offset >> MEE_PAGE_BITS;
    return *page < mee.pages;
}

static bool dma_is_encrypted(const void *ptr, size_t len)
{
    uint64_t first, last;

    if (!len || !ptr_to_page(ptr, &first) ||
        !ptr_to_page(ptr + len - 1, &last)) {
        return false;
    }
    for (uint64_t page = first; page <= last; page++) {
        if (qatomic_read(&mee.tag[page])) {
            return true;
        }
    }
    return false;
}

static void dma_read_raw(const void *ptr, void *buf, size_t len)
{
    uint64_t page = 0;

    QEMU_LOCK_GUARD(&mee.lock);
    while (len && ptr_to_page(ptr, &page)) {
        size_t offset = ptr - (void *)page_ptr(page);
        size_t n = MIN(len, MEE_PAGE_SIZE - offset);

        page_read(page, offset, 0, buf, n);
        ptr += n;
        buf += n;
        len -= n;
    }
}

static void dma_write_raw(void *ptr, const void *buf, size_t len)
{
    uint64_t page = 0;

    QEMU_LOCK_GUARD(&mee.lock);
    while (len && ptr_to_page(ptr, &page)) {
        size_t offset = ptr - (void *)page_ptr(page);
        size_t n = MIN(len, MEE_PAGE_SIZE - offset);

        page_write(page, offset, 0, buf, n);
        ptr += n;
        buf += n;
        len -= n;
    }
}

/*
 * Devices may write to the hypervisor's pages only.  The IOMMU, which marks what
 * it writes on its own behalf as secure, may also write to its logs.
 */
static bool dma_may_write(const void *ptr, size_t len, MemTxAttrs attrs)
{
    AmdRmpAccess access = {
        .kind = attrs.secure ? AMD_RMP_IOMMU_STORE : AMD_RMP_DMA_STORE,
    };
    uint64_t first, last;

    if (!len || !ptr_to_page(ptr, &first) ||
        !ptr_to_page(ptr + len - 1, &last)) {
        return true;
    }
    for (uint64_t page = first; page <= last; page++) {
        access.spa = page_to_pa(page);
        if (amd_rmp_check(&access) != AMD_RMP_OK) {
            return false;
        }
    }
    return true;
}

static const MemoryEncryptionOps amd_mee_ops = {
    .may_write = dma_may_write,
    .is_encrypted = dma_is_encrypted,
    .read_raw = dma_read_raw,
    .write_raw = dma_write_raw,
};

/* ---- keys */

/* No CPU may go on to use a page under a key that it is not tagged with. */
static void forget_pages(void)
{
    CPUState *cpu;

    if (!tcg_enabled()) {
        return;
    }
    RCU_READ_LOCK_GUARD();
    CPU_FOREACH(cpu) {
        tlb_flush_host_range(cpu, (uintptr_t)mee.base,
                             mee.pages << MEE_PAGE_BITS);
    }
}

/*
 * Pages tagged with a key that goes become raw.  The TLBs lose them without
 * their CPUs being stopped: what a guest of that ASID does meanwhile on another
 * CPU is as undefined as on silicon, where its key is pulled from under it.
 */
static void drop_key(uint32_t asid)
{
    bool used = false;

    if (!mee.cipher[asid]) {
        return;
    }
    for (uint64_t page = 0; page < mee.pages; page++) {
        if (mee.tag[page] == asid) {
            retag(page, 0);
            used = true;
        }
    }
    if (used) {
        forget_pages();
    }
    mee_cipher_free(mee.cipher[asid]);
    qatomic_set(&mee.cipher[asid], NULL);
}

void amd_mee_install_key(uint32_t asid, const uint8_t key[AMD_MEE_KEY_SIZE])
{
    g_assert(asid && asid <= mee.max_asid);
    QEMU_LOCK_GUARD(&mee.lock);
    drop_key(asid);
    qatomic_set(&mee.cipher[asid], mee_cipher_new(key));
}

void amd_mee_remove_key(uint32_t asid)
{
    g_assert(asid && asid <= mee.max_asid);
    QEMU_LOCK_GUARD(&mee.lock);
    drop_key(asid);
}

bool amd_mee_has_key(uint32_t asid)
{
    return asid && asid <= mee.max_asid && qatomic_read(&mee.cipher[asid]);
}

/* ---- checksums of VMSAs */

static bool crc_slot(hwaddr slot, unsigned long *n)
{
    if (slot < mee.crc_base || slot % CRC_SLOT_SIZE) {
        return false;
    }
    *n = (slot - mee.crc_base) / CRC_SLOT_SIZE;
    return *n < mee.crc_slots && test_bit(*n, mee.crc_used);
}

static void crc_pool_free(void)
{
    g_clear_pointer(&mee.crc_used, g_free);
    g_clear_pointer(&mee.crc, g_free);
    mee.crc_slots = 0;
}

void amd_mee_crc_pool(hwaddr base, hwaddr len)
{
    QEMU_LOCK_GUARD(&mee.lock);
    crc_pool_free();
    mee.crc_base = base;
    mee.crc_slots = len / CRC_SLOT_SIZE;
    mee.crc_used = bitmap_new(mee.crc_slots);
    mee.crc = g_new0(uint64_t, mee.crc_slots);
}

bool amd_mee_crc_alloc(hwaddr *slot)
{
    unsigned long n;

    QEMU_LOCK_GUARD(&mee.lock);
    if (!mee.crc_slots) {
        return false;
    }
    n = find_first_zero_bit(mee.crc_used, mee.crc_slots);
    if (n >= mee.crc_slots) {
        return false;
    }
    set_bit(n, mee.crc_used);
    *slot = mee.crc_base + n * CRC_SLOT_SIZE;
    return true;
}

void amd_mee_crc_free(hwaddr slot)
{
    unsigned long n;

    QEMU_LOCK_GUARD(&mee.lock);
    if (crc_slot(slot, &n)) {
        clear_bit(n, mee.crc_used);
    }
}

bool amd_mee_crc_check(hwaddr slot, uint64_t crc)
{
    unsigned long n;

    QEMU_LOCK_GUARD(&mee.lock);
    return crc_slot(slot, &n) && mee.crc[n] == crc;
}

void amd_mee_crc_store(hwaddr slot, uint64_t crc)
{
    unsigned long n;

    QEMU_LOCK_GUARD(&mee.lock);
    if (crc_slot(slot, &n)) {
        mee.crc[n] = crc;
    }
}

uint64_t amd_mee_vmsa_crc(const void *vmsa)
{
    return mee_crc64(vmsa, AMD_MEE_VMSA_CRC_BYTES);
}

/* ---- life cycle */

/* A reset of the machine takes the keys away; DRAM keeps its content. */
static void amd_mee_reset(void *opaque)
{
    QEMU_LOCK_GUARD(&mee.lock);
    for (uint32_t asid = 1; asid <= mee.max_asid; asid++) {
        drop_key(asid);
    }
    crc_pool_free();
}

unsigned amd_mee_max_asid(void)
{
    return mee.max_asid;
}

void amd_mee_create(unsigned max_asid)
{
    static Error *blocker;

    if (amd_mee_created) {
        return;
    }
    mee.machine = X86_MACHINE(qdev_get_machine());
    mee.ram = MACHINE(mee.machine)->ram;
    mee.base = memory_region_get_ram_ptr(mee.ram);
    mee.pages = memory_region_size(mee.ram) >> MEE_PAGE_BITS;
    mee.tag = g_new0(uint16_t, mee.pages);
    mee.max_asid = max_asid;
    mee.cipher = g_new0(MeeCipher *, max_asid + 1);
    qemu_mutex_init(&mee.lock);

    error_setg(&blocker, "AMD memory encryption does not support migration");
    migrate_add_blocker(&blocker, &error_abort);
    qemu_register_reset(amd_mee_reset, NULL);
    memory_encryption_ops = &amd_mee_ops;
    amd_mee_created = true;
}
