/*
 * AMD Platform Security Processor: commands and platform of SEV-SNP
 *
 * As amd-psp-cmd.c does for the commands of SEV, the table states what is
 * checked before a command's own work, in this order: command buffer, platform
 * state, guest context, guest state.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/cutils.h"
#include "qemu/units.h"
#include "hw/i386/amd-iommu-snp.h"
#include "hw/i386/amd-snp-host.h"
#include "amd-psp-snp-msg.h"

#define INIT_RMP BIT(0)
#define INIT_LIST BIT(1)
#define LIST_MAX 255                    /* in one page, with the header */
#define SHUTDOWN_IOMMU BIT(0)
FIELD(CONFIG, MASK_CHIP_ID, 0, 1)
FIELD(CONFIG, MASK_CHIP_KEY, 1, 1)
FIELD(CONFIG, RESERVED, 2, 30)

/* 8.5 "SNP_PLATFORM_STATUS" */
typedef struct QEMU_PACKED SnpPlatformStatus {
    uint8_t api_major;
    uint8_t api_minor;
    uint8_t state;
    uint8_t is_rmp_init;
    uint32_t build;
    uint32_t flags;
    uint32_t guest_count;
    uint64_t current_tcb;
    uint64_t reported_tcb;
} SnpPlatformStatus;

/* 8.9 "SNP_INIT_EX": ranges that stay the host's for good */
typedef struct QEMU_PACKED SnpRangeList {
    uint32_t count;
    uint32_t reserved;
    struct QEMU_PACKED {
        uint64_t base;
        uint32_t pages;
        uint32_t reserved;
    } range[LIST_MAX];
} SnpRangeList;

QEMU_BUILD_BUG_ON(sizeof(SnpPlatformStatus) != 32);
QEMU_BUILD_BUG_ON(sizeof(SnpRangeList) != 4096 - 8);

static const AmdRmpEntry hypervisor_page = {};
static const AmdRmpEntry hv_fixed_page = { .immutable = true };
static const AmdRmpEntry reclaim_page = { .assigned = true };
static const AmdRmpEntry firmware_page = {
    .assigned = true, .immutable = true,
};
static const AmdRmpEntry iommu_page = {
    .assigned = true, .immutable = true, .gpa = AMD_RMP_GPA_IOMMU,
};

/* ---- pages that firmware lives from */

bool amd_psp_page_reserved(hwaddr pa)
{
    return (pa >= amd_rmp_base() && pa <= amd_rmp_end()) ||
           amd_psp_in_tmr(pa);
}

static void psp_iommu_pages(const AmdRmpEntry *e)
{
    AmdIommuSnpRange r[AMD_IOMMU_SNP_RANGES];

    if (!amd_iommu_snp_ranges(r)) {
        return;
    }
    for (int i = 0; i < AMD_IOMMU_SNP_RANGES; i++) {
        if (r[i].len) {
            amd_psp_pages_set(r[i].base, r[i].len, e);
        }
    }
}

/* ---- platform */

static AmdPspStatus psp_snp_list_load(AmdPspState *s, const SnpCmdInitEx *cmd,
                                      SnpRangeList *list)
{
    hwaddr pa = amd_psp_addr(s, cmd->list_addr);

    if (!QEMU_IS_ALIGNED(pa, PSP_SNP_PAGE) ||
        !amd_mee_read(pa, 0, list, sizeof(*list))) {
        return PSP_INVALID_ADDRESS;
    }
    if (le32_to_cpu(list->count) > LIST_MAX || list->reserved) {
        return PSP_INVALID_PARAM;
    }
    for (unsigned i = 0; i < le32_to_cpu(list->count); i++) {
        if (!QEMU_IS_ALIGNED(amd_psp_addr(s, list->range[i].base),
                             PSP_SNP_PAGE) || list->range[i].reserved) {
            return PSP_INVALID_PARAM;
        }
    }
    return PSP_SUCCESS;
}

/*
 * 8.9.2 "RMP initialization".  Later commands find the platform as it is checked
 * here: SYSCFG does not change any more once SNP is enabled on a CPU.
 */
static AmdPspStatus psp_snp_start(AmdPspState *s, bool init_rmp,
                                  const SnpRangeList *list)
{
    hwaddr base = amd_rmp_base();
    hwaddr end = amd_rmp_end();

    if (!init_rmp && !s->snp.rmp_was_init) {
        return PSP_RMP_INIT_REQUIRED;
    }
    if (!amd_snp_cpus_ready(init_rmp) || !amd_iommu_snp_ready() ||
        !amd_rmp_configure(base, end)) {
        return PSP_INVALID_CONFIG;
    }
    if (init_rmp) {
        amd_rmp_fill(0, UINT64_MAX, &hypervisor_page);
    }
    for (unsigned i = 0; list && i < le32_to_cpu(list->count); i++) {
        amd_psp_pages_set(amd_psp_addr(s, list->range[i].base),
                          (uint64_t)le32_to_cpu(list->range[i].pages) *
                          PSP_SNP_PAGE, &hv_fixed_page);
    }
    amd_psp_pages_set(base, end + 1 - base, &firmware_page);
    psp_iommu_pages(&iommu_page);
    s->snp.init = true;
    s->snp.rmp_was_init = true;
    return PSP_SUCCESS;
}

static AmdPspStatus psp_snp_init(AmdPspState *s, AmdPspSnpGuest *g, void *buf)
{
    if (s->state != PSP_P_UNINIT) {
        return PSP_INVALID_PLATFORM_STATE;
    }
    return psp_snp_start(s, true, NULL);
}

static AmdPspStatus psp_snp_init_ex(AmdPspState *s, AmdPspSnpGuest *g,
                                    void *buf)
{
    SnpCmdInitEx *cmd = buf;
    uint32_t flags = le32_to_cpu(cmd->flags);
    SnpRangeList list = {};
    AmdPspStatus ret;

    if (s->state != PSP_P_UNINIT) {
        return PSP_INVALID_PLATFORM_STATE;
    }
    if (flags & ~(INIT_RMP | INIT_LIST)) {
        return PSP_INVALID_PARAM;
    }
    if (flags & INIT_LIST) {
        ret = psp_snp_list_load(s, cmd, &list);
        if (ret != PSP_SUCCESS) {
            return ret;
        }
    }
    return psp_snp_start(s, flags & INIT_RMP, &list);
}

static bool psp_asids_clean(const AmdPspState *s)
{
    for (unsigned i = 0; i <= PSP_MAX_ASID; i++) {
        if (s->asid_state[i] != PSP_A_CLEAN) {
            return false;
        }
    }
    return true;
}

/*
 * 8.11 "SNP_SHUTDOWN_EX".  The CPUs go on to obey the table: it is only the next
 * reset that ends this.
 */
static AmdPspStatus psp_snp_stop(AmdPspState *s, bool iommu)
{
    if (s->state != PSP_P_UNINIT) {
        return PSP_INVALID_PLATFORM_STATE;
    }
    if (!psp_asids_clean(s)) {
        return PSP_DFFLUSH_REQUIRED;
    }
    if (iommu) {
        psp_iommu_pages(&reclaim_page);
    }
    amd_psp_snp_guests_drop(s);
    amd_rmp_shutdown();
    s->snp.init = false;
    return PSP_SUCCESS;
}

static AmdPspStatus psp_snp_shutdown(AmdPspState *s, AmdPspSnpGuest *g,
                                     void *buf)
{
    return psp_snp_stop(s, false);
}

static AmdPspStatus psp_snp_shutdown_ex(AmdPspState *s, AmdPspSnpGuest *g,
                                        void *buf)
{
    SnpCmdShutdownEx *cmd = buf;
    uint32_t flags = le32_to_cpu(cmd->flags);

    if (le32_to_cpu(cmd->length) != sizeof(*cmd)) {
        return PSP_INVALID_LEN;
    }
    if (flags & ~SHUTDOWN_IOMMU) {
        return PSP_INVALID_PARAM;
    }
    return psp_snp_stop(s, flags & SHUTDOWN_IOMMU);
}

static uint32_t psp_snp_config_flags(const AmdPspState *s)
{
    uint32_t flags = FIELD_DP32(0, CONFIG, MASK_CHIP_ID, s->snp.mask_chip_id);

    return FIELD_DP32(flags, CONFIG, MASK_CHIP_KEY, s->snp.mask_chip_key);
}

static AmdPspStatus psp_snp_platform_status(AmdPspState *s, AmdPspSnpGuest *g,
                                            void *buf)
{
    SnpCmdAddr *cmd = buf;
    hwaddr pa = amd_psp_addr(s, cmd->addr);
    SnpPlatformStatus st = {
        .api_major = PSP_API_MAJOR,
        .api_minor = PSP_API_MINOR,
        .state = s->snp.init,
        .is_rmp_init = s->snp.rmp_was_init,
        .build = cpu_to_le32(PSP_API_BUILD),
        .flags = cpu_to_le32(psp_snp_config_flags(s)),
        .guest_count = cpu_to_le32(g_hash_table_size(s->snp.guests)),
        .current_tcb = cpu_to_le64(s->snp.current_tcb),
        .reported_tcb = cpu_to_le64(s->snp.reported_tcb),
    };
    AmdPspStatus ret = amd_psp_output(pa, sizeof(st));

    if (ret == PSP_SUCCESS) {
        amd_mee_write(pa, 0, &st, sizeof(st));
    }
    return ret;
}

/* 8.7 "SNP_CONFIG": a TCB of 0 asks for the current one. */
static AmdPspStatus psp_snp_config(AmdPspState *s, AmdPspSnpGuest *g, void *buf)
{
    SnpCmdConfig *cmd = buf;
    uint64_t tcb = le64_to_cpu(cmd->reported_tcb);
    uint32_t flags = le32_to_cpu(cmd->flags);

    if (!amd_psp_snp_tcb_le(tcb, s->snp.current_tcb) ||
        FIELD_EX32(flags, CONFIG, RESERVED) ||
        !buffer_is_zero(cmd->reserved, sizeof(cmd->reserved))) {
        return PSP_INVALID_PARAM;
    }
    s->snp.reported_tcb = tcb ?: s->snp.current_tcb;
    s->snp.mask_chip_id = FIELD_EX32(flags, CONFIG, MASK_CHIP_ID);
    s->snp.mask_chip_key = FIELD_EX32(flags, CONFIG, MASK_CHIP_KEY);
    amd_psp_snp_vcek_update(s);
    return PSP_SUCCESS;
}

/* 8.8 "SNP_COMMIT": from here on firmware cannot be rolled back below this. */
static AmdPspStatus psp_snp_commit(AmdPspState *s, AmdPspSnpGuest *g, void *buf)
{
    SnpCmdCommit *cmd = buf;

    if (le32_to_cpu(cmd->length) != sizeof(*cmd)) {
        return PSP_INVALID_LEN;
    }
    s->snp.committed_tcb = s->snp.current_tcb;
    s->snp.reported_tcb = s->snp.current_tcb;
    amd_psp_snp_vcek_update(s);
    return PSP_SUCCESS;
}

static AmdPspStatus psp_snp_df_flush(AmdPspState *s, AmdPspSnpGuest *g,
                                     void *buf)
{
    return amd_psp_df_flush(s);
}

static AmdPspStatus psp_snp_response_page(hwaddr pa)
{
    AmdPspStatus ret = amd_psp_output(pa, PSP_SNP_PAGE);
    AmdRmpEntry e;

    amd_psp_page_state(pa, &e);
    return ret == PSP_SUCCESS && e.size_2m ? PSP_INVALID_PAGE_SIZE : ret;
}

/*
 * 8.27 "SNP_GUEST_REQUEST".  Linux keeps the request in an ordinary page, which
 * firmware only reads, and gives the response page to firmware for good: it is
 * not given back by writing to it.
 */
static AmdPspStatus psp_snp_guest_request(AmdPspState *s, AmdPspSnpGuest *g,
                                          void *buf)
{
    SnpCmdTwoPages *cmd = buf;
    hwaddr req_pa = amd_psp_addr(s, cmd->first);
    hwaddr resp_pa = amd_psp_addr(s, cmd->second);
    uint8_t req[PSP_SNP_PAGE], resp[PSP_SNP_PAGE];
    AmdPspStatus ret;

    if (!QEMU_IS_ALIGNED(req_pa | resp_pa, PSP_SNP_PAGE) ||
        !amd_mee_read(req_pa, 0, req, sizeof(req))) {
        return PSP_INVALID_ADDRESS;
    }
    ret = psp_snp_response_page(resp_pa);
    if (ret == PSP_SUCCESS) {
        ret = amd_psp_snp_message(s, g, req, resp);
    }
    if (ret == PSP_SUCCESS) {
        amd_mee_write(resp_pa, 0, resp, sizeof(resp));
    }
    return ret;
}

/* ---- dispatch */

/* Platform states; guest states, 0 if the command names no context */
#define U BIT(0)
#define I BIT(1)
#define G_INIT BIT(PSP_SNP_G_INIT)
#define G_LAUNCH BIT(PSP_SNP_G_LAUNCH)
#define G_RUNNING BIT(PSP_SNP_G_RUNNING)
#define G_ANY (G_INIT | G_LAUNCH | G_RUNNING)

typedef struct AmdPspSnpCmd {
    uint16_t id;
    uint16_t len;
    const char *name;
    uint8_t platform;
    uint8_t guest;
    AmdPspSnpHandler *handler;
} AmdPspSnpCmd;

#define LEN(type) sizeof(SnpCmd##type)

static const AmdPspSnpCmd psp_snp_cmds[] = {
    { 0x81, 0, "SNP_INIT", U, 0, psp_snp_init },
    { 0x82, 0, "SNP_SHUTDOWN", U | I, 0, psp_snp_shutdown },
    { 0x83, LEN(Addr), "SNP_PLATFORM_STATUS", U | I, 0,
      psp_snp_platform_status },
    { 0x84, 0, "SNP_DF_FLUSH", I, 0, psp_snp_df_flush },
    { 0x85, LEN(InitEx), "SNP_INIT_EX", U, 0, psp_snp_init_ex },
    { 0x86, LEN(ShutdownEx), "SNP_SHUTDOWN_EX", U | I, 0,
      psp_snp_shutdown_ex },
    { 0x90, LEN(Addr), "SNP_DECOMMISSION", I, G_ANY,
      amd_psp_snp_decommission },
    { 0x91, LEN(Activate), "SNP_ACTIVATE", I, G_LAUNCH | G_RUNNING,
      amd_psp_snp_activate },
    { 0x92, LEN(GuestStatus), "SNP_GUEST_STATUS", I, G_ANY,
      amd_psp_snp_guest_status },
    { 0x93, LEN(Addr), "SNP_GCTX_CREATE", I, 0, amd_psp_snp_gctx_create },
    { 0x94, LEN(TwoPages), "SNP_GUEST_REQUEST", I, G_RUNNING,
      psp_snp_guest_request },
    { 0xA0, LEN(LaunchStart), "SNP_LAUNCH_START", I, G_INIT,
      amd_psp_snp_launch_start },
    { 0xA1, LEN(LaunchUpdate), "SNP_LAUNCH_UPDATE", I, G_LAUNCH,
      amd_psp_snp_launch_update },
    { 0xA2, LEN(LaunchFinish), "SNP_LAUNCH_FINISH", I, G_LAUNCH,
      amd_psp_snp_launch_finish },
    { 0xB0, LEN(TwoPages), "SNP_DBG_DECRYPT", I, G_LAUNCH | G_RUNNING,
      amd_psp_snp_dbg_decrypt },
    { 0xB1, LEN(TwoPages), "SNP_DBG_ENCRYPT", I, G_LAUNCH | G_RUNNING,
      amd_psp_snp_dbg_encrypt },
    { 0xC7, LEN(Addr), "SNP_PAGE_RECLAIM", I, 0, amd_psp_snp_page_reclaim },
    { 0xC8, LEN(Addr), "SNP_PAGE_UNSMASH", I, 0, amd_psp_snp_page_unsmash },
    { 0xC9, LEN(Config), "SNP_CONFIG", U | I, 0, psp_snp_config },
    { 0xCB, LEN(Commit), "SNP_COMMIT", U | I, 0, psp_snp_commit },
};

#define SNP_CMDBUF_MAX 64

/* The context must be in the state CONTEXT, and then is one that we know. */
static AmdPspStatus psp_snp_cmd_guest(AmdPspState *s, const AmdPspSnpCmd *cmd,
                                      uint64_t le_gctx, AmdPspSnpGuest **g)
{
    hwaddr gctx = amd_psp_addr(s, le_gctx);

    if (!QEMU_IS_ALIGNED(gctx, PSP_SNP_PAGE)) {
        return PSP_INVALID_ADDRESS;
    }
    *g = amd_psp_snp_find(s, gctx);
    if (!*g) {
        return PSP_INVALID_GUEST;
    }
    return cmd->guest & BIT((*g)->state) ? PSP_SUCCESS :
                                           PSP_INVALID_GUEST_STATE;
}

static AmdPspStatus psp_snp_cmd_run(AmdPspState *s, const AmdPspSnpCmd *cmd,
                                    hwaddr cmdbuf)
{
    uint8_t buf[SNP_CMDBUF_MAX] = {};
    AmdPspSnpGuest *g = NULL;
    AmdPspStatus ret;

    if (cmd->len && !amd_mee_read(cmdbuf, 0, buf, cmd->len)) {
        return PSP_INVALID_ADDRESS;
    }
    if (!(cmd->platform & (s->snp.init ? I : U))) {
        return PSP_INVALID_PLATFORM_STATE;
    }
    if (cmd->guest) {
        ret = psp_snp_cmd_guest(s, cmd, ldq_le_p(buf), &g);
        if (ret != PSP_SUCCESS) {
            return ret;
        }
    }
    return cmd->handler(s, g, buf);
}

bool amd_psp_snp_execute(AmdPspState *s, unsigned id, hwaddr cmdbuf,
                         const char **name, AmdPspStatus *status)
{
    for (unsigned i = 0; i < ARRAY_SIZE(psp_snp_cmds); i++) {
        if (psp_snp_cmds[i].id == id) {
            *name = psp_snp_cmds[i].name;
            *status = psp_snp_cmd_run(s, &psp_snp_cmds[i], cmdbuf);
            return true;
        }
    }
    return false;
}

void amd_psp_snp_reset(AmdPspState *s)
{
    amd_psp_snp_guests_drop(s);
    s->snp.init = false;
    s->snp.rmp_was_init = false;
    s->snp.mask_chip_id = s->snp.mask_chip_key = false;
    s->snp.reported_tcb = s->snp.current_tcb;
    amd_psp_snp_vcek_update(s);
}
