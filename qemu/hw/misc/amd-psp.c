/*
 * AMD Platform Security Processor: PCI function, registers and mailbox
 *
 * A command runs to completion inside the write to CmdResp. The processor
 * addresses system physical memory, not the PCI DMA address space: an IOMMU
 * does not apply to it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bitmap.h"
#include "qemu/log.h"
#include "qemu/module.h"
#include "qemu/units.h"
#include "qapi/error.h"
#include "qapi/visitor.h"
#include "exec/address-spaces.h"
#include "exec/memory.h"
#include "hw/core/cpu.h"
#include "hw/nvram/fw_cfg.h"
#include "hw/pci/msi.h"
#include "hw/pci/msix.h"
#include "hw/qdev-properties.h"
#include "migration/vmstate.h"
#include "amd-psp-snp-msg.h"

#define PSP_PCI_DEVICE_ID 0x1486        /* as in Rome and Milan */
#define PSP_BAR 2
#define PSP_BAR_SIZE (1 * MiB)
#define PSP_MSIX_BAR 5
#define PSP_MSIX_VECTORS 2              /* PSP, CCP */

REG32(CMDRESP, 0x10980)
    FIELD(CMDRESP, IOC, 0, 1)
    FIELD(CMDRESP, STATUS, 0, 16)
    FIELD(CMDRESP, CMD, 16, 11)
    FIELD(CMDRESP, RESP, 31, 1)
REG32(CMDBUF_LO, 0x109e0)
REG32(CMDBUF_HI, 0x109e4)
REG32(BOOTLOADER, 0x109ec)
REG32(FEATURE, 0x109fc)
    FIELD(FEATURE, SEV, 0, 1)
    FIELD(FEATURE, SECURITY_REPORTING, 7, 1)
REG32(INTEN, 0x10690)
REG32(INTSTS, 0x10694)
    FIELD(INTSTS, SEV_COMPLETE, 1, 1)

/* Which CPUs have executed WBINVD since the last DF_FLUSH */
#define PSP_MAX_CPUS 4096
static unsigned long wbinvd_map[BITS_TO_LONGS(PSP_MAX_CPUS)];
static AmdPspState *the_psp;

void amd_psp_wbinvd(unsigned cpu_index)
{
    if (cpu_index < PSP_MAX_CPUS && !test_bit(cpu_index, wbinvd_map)) {
        set_bit_atomic(cpu_index, wbinvd_map);
    }
}

bool amd_psp_wbinvd_done(void)
{
    CPUState *cs;

    CPU_FOREACH(cs) {
        if (cs->cpu_index < PSP_MAX_CPUS &&
            !test_bit(cs->cpu_index, wbinvd_map)) {
            return false;
        }
    }
    return true;
}

void amd_psp_wbinvd_restart(void)
{
    bitmap_test_and_clear_atomic(wbinvd_map, 0, PSP_MAX_CPUS);
}

hwaddr amd_psp_addr(AmdPspState *s, uint64_t le_addr)
{
    return le64_to_cpu(le_addr) & ~BIT_ULL(s->cbitpos);
}

/*
 * Is all of the range writable RAM behind the engine? Then no later access to
 * it can fail.
 */
bool amd_psp_range_ok(hwaddr pa, uint64_t len)
{
    RCU_READ_LOCK_GUARD();

    if (!amd_mee_covers(pa, len)) {
        return false;
    }
    while (len) {
        hwaddr xlat, n = len;
        MemoryRegion *mr = address_space_translate(&address_space_memory, pa,
                                                   &xlat, &n, true,
                                                   MEMTXATTRS_UNSPECIFIED);

        if (!n || !memory_region_is_ram(mr) || memory_region_is_ram_device(mr)
            || mr->readonly || mr->rom_device) {
            return false;
        }
        pa += n;
        len -= n;
    }
    return true;
}

AmdPspStatus amd_psp_output(hwaddr pa, uint64_t len)
{
    AmdPspStatus ret;

    if (!amd_psp_range_ok(pa, len)) {
        return PSP_INVALID_ADDRESS;
    }
    for (hwaddr p = QEMU_ALIGN_DOWN(pa, PSP_SNP_PAGE); p < pa + len;
         p += PSP_SNP_PAGE) {
        ret = amd_psp_page_writable(p);
        if (ret != PSP_SUCCESS) {
            return ret;
        }
    }
    return PSP_SUCCESS;
}

AmdPspStatus amd_psp_guest_output(hwaddr pa, uint64_t len)
{
    return QEMU_IS_ALIGNED(pa, PSP_BLOCK) ? amd_psp_output(pa, len) :
                                            PSP_INVALID_ADDRESS;
}

bool amd_psp_in_tmr(hwaddr pa)
{
    return the_psp && pa - the_psp->tmr_addr < the_psp->tmr_len;
}

static void psp_raise(AmdPspState *s)
{
    PCIDevice *pci = PCI_DEVICE(s);

    s->intsts = FIELD_DP32(s->intsts, INTSTS, SEV_COMPLETE, 1);
    if (!(s->inten & s->intsts)) {
        return;
    }
    if (msix_enabled(pci)) {
        msix_notify(pci, 0);
    } else if (msi_enabled(pci)) {
        msi_notify(pci, 0);
    }
}

static void psp_doorbell(AmdPspState *s, uint32_t val)
{
    hwaddr cmdbuf = deposit64(s->cmdbuf_lo, 32, 32, s->cmdbuf_hi) &
                    ~BIT_ULL(s->cbitpos);
    AmdPspStatus status;

    /* A write with the response bit set is the driver clearing it. */
    if (FIELD_EX32(val, CMDRESP, RESP)) {
        s->cmdresp = val;
        return;
    }
    status = amd_psp_execute(s, FIELD_EX32(val, CMDRESP, CMD), cmdbuf);
    s->cmdresp = FIELD_DP32(val, CMDRESP, STATUS, status);
    s->cmdresp = FIELD_DP32(s->cmdresp, CMDRESP, RESP, 1);
    if (FIELD_EX32(val, CMDRESP, IOC)) {
        psp_raise(s);
    }
}

static uint64_t psp_read(void *opaque, hwaddr addr, unsigned size)
{
    AmdPspState *s = opaque;

    switch (addr) {
    case A_CMDRESP:
        return s->cmdresp;
    case A_CMDBUF_LO:
        return s->cmdbuf_lo;
    case A_CMDBUF_HI:
        return s->cmdbuf_hi;
    case A_BOOTLOADER:
        return PSP_API_MAJOR << 24 | PSP_API_MINOR << 16 | PSP_API_BUILD;
    case A_FEATURE:
        return R_FEATURE_SEV_MASK | R_FEATURE_SECURITY_REPORTING_MASK;
    case A_INTEN:
        return s->inten;
    case A_INTSTS:
        return s->intsts;
    default:
        /* The CCP's registers, too: it offers no queues. */
        qemu_log_mask(LOG_UNIMP, "amd-psp: read of 0x%" HWADDR_PRIx "\n",
                      addr);
        return 0;
    }
}

static void psp_write(void *opaque, hwaddr addr, uint64_t val, unsigned size)
{
    AmdPspState *s = opaque;

    switch (addr) {
    case A_CMDRESP:
        psp_doorbell(s, val);
        break;
    case A_CMDBUF_LO:
        s->cmdbuf_lo = val;
        break;
    case A_CMDBUF_HI:
        s->cmdbuf_hi = val;
        break;
    case A_INTEN:
        s->inten = val;
        break;
    case A_INTSTS:
        s->intsts &= ~val;
        break;
    default:
        qemu_log_mask(LOG_UNIMP, "amd-psp: write of 0x%" HWADDR_PRIx "\n",
                      addr);
        break;
    }
}

static const MemoryRegionOps psp_ops = {
    .read = psp_read,
    .write = psp_write,
    .endianness = DEVICE_LITTLE_ENDIAN,
    .valid = { .min_access_size = 4, .max_access_size = 4 },
    .impl = { .min_access_size = 4, .max_access_size = 4 },
};

static void psp_reset(DeviceState *dev)
{
    AmdPspState *s = AMD_PSP(dev);

    amd_psp_snp_reset(s);
    amd_psp_shutdown(s);
    amd_psp_wbinvd_restart();
    s->cmdresp = FIELD_DP32(0, CMDRESP, RESP, 1);
    s->cmdbuf_lo = s->cmdbuf_hi = s->inten = s->intsts = 0;
}

static bool psp_init_interrupts(PCIDevice *pci, Error **errp)
{
    int ret;

    if (msi_init(pci, 0, 1, true, false, errp)) {
        return false;
    }
    ret = msix_init_exclusive_bar(pci, PSP_MSIX_VECTORS, PSP_MSIX_BAR, errp);
    if (ret) {
        msi_uninit(pci);
        return false;
    }
    for (int i = 0; i < PSP_MSIX_VECTORS; i++) {
        msix_vector_use(pci, i);
    }
    return true;
}

static void psp_select_root(void *opaque)
{
    amd_psp_root_ensure(opaque);
}

/* Where a host finds ASK and ARK, for want of AMD's web site */
static void psp_publish_root(AmdPspState *s)
{
    FWCfgState *fw_cfg = fw_cfg_find();

    if (fw_cfg) {
        fw_cfg_add_file_callback(fw_cfg, "etc/amd-psp/ask-ark.cert",
                                 psp_select_root, NULL, s, s->root.certs,
                                 sizeof(s->root.certs), true);
    }
}

static void psp_realize(PCIDevice *pci, Error **errp)
{
    AmdPspState *s = AMD_PSP(pci);

    if (the_psp) {
        error_setg(errp, "only one amd-psp device is supported");
        return;
    }
    if (!s->max_asid || s->max_asid > PSP_MAX_ASID) {
        error_setg(errp, "max-asid must be between 1 and %d", PSP_MAX_ASID);
        return;
    }
    if (s->cbitpos < 32 || s->cbitpos > 63) {
        error_setg(errp, "cbitpos must be between 32 and 63");
        return;
    }
    amd_psp_chip_init(s);
    if (!amd_psp_snp_chip_init(s, errp) || !psp_init_interrupts(pci, errp)) {
        return;
    }
    amd_mee_create(s->max_asid);
    memory_region_init_io(&s->bar, OBJECT(s), &psp_ops, s, "amd-psp",
                          PSP_BAR_SIZE);
    pci_register_bar(pci, PSP_BAR, PCI_BASE_ADDRESS_SPACE_MEMORY, &s->bar);
    s->guests = g_hash_table_new(NULL, NULL);
    amd_psp_snp_guests_drop(s);
    psp_publish_root(s);
    the_psp = s;
}

static void psp_exit(PCIDevice *pci)
{
    AmdPspState *s = AMD_PSP(pci);

    amd_psp_snp_reset(s);
    amd_psp_shutdown(s);
    g_clear_pointer(&s->snp.guests, g_hash_table_destroy);
    g_clear_pointer(&s->guests, g_hash_table_destroy);
    msix_uninit_exclusive_bar(pci);
    msi_uninit(pci);
    the_psp = NULL;
}

static void psp_set_wbinvd(Object *obj, Visitor *v, const char *name,
                           void *opaque, Error **errp)
{
    uint32_t cpu;

    if (visit_type_uint32(v, name, &cpu, errp)) {
        amd_psp_wbinvd(cpu);
    }
}

static const VMStateDescription psp_vmstate = {
    .name = TYPE_AMD_PSP,
    .unmigratable = 1,                  /* its secrets must not leave it */
};

static const Property psp_properties[] = {
    DEFINE_PROP_UINT32("max-asid", AmdPspState, max_asid, 509),
    DEFINE_PROP_UINT32("cbitpos", AmdPspState, cbitpos, 51),
    DEFINE_PROP_STRING("chip-seed", AmdPspState, chip_seed),
    DEFINE_PROP_STRING("root-seed", AmdPspState, root_seed),
};

static void psp_class_init(ObjectClass *klass, void *data)
{
    DeviceClass *dc = DEVICE_CLASS(klass);
    PCIDeviceClass *pc = PCI_DEVICE_CLASS(klass);

    pc->realize = psp_realize;
    pc->exit = psp_exit;
    pc->vendor_id = PCI_VENDOR_ID_AMD;
    pc->device_id = PSP_PCI_DEVICE_ID;
    pc->class_id = PCI_CLASS_CRYPT_OTHER;
    dc->desc = "AMD Platform Security Processor (SEV firmware)";
    dc->vmsd = &psp_vmstate;
    dc->hotpluggable = false;
    device_class_set_legacy_reset(dc, psp_reset);
    device_class_set_props(dc, psp_properties);
    set_bit(DEVICE_CATEGORY_MISC, dc->categories);
    amd_psp_snp_vcek_class_init(klass);
    object_class_property_add(klass, "x-wbinvd", "uint32", NULL,
                              psp_set_wbinvd, NULL, NULL);
}

static const TypeInfo psp_type = {
    .name = TYPE_AMD_PSP,
    .parent = TYPE_PCI_DEVICE,
    .instance_size = sizeof(AmdPspState),
    .class_init = psp_class_init,
    .interfaces = (InterfaceInfo[]) {
        { INTERFACE_CONVENTIONAL_PCI_DEVICE },
        { }
    },
};

static void psp_register(void)
{
    type_register_static(&psp_type);
}

type_init(psp_register)
