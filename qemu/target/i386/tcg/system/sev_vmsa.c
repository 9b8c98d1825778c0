/*
 * AMD SEV host emulation: the VMSA, register image of an SEV-ES guest
 *
 * One table says where a register is in the VMSA, how big, and how it gets
 * into the CPU and out of it.  VMRUN runs it over a plain text copy of the
 * guest's VMSA, #VMEXIT runs it backwards, and then once more forwards, over
 * the host save area (which has the same layout from offset 0x400 on), for
 * the registers of swap type B: those that #VMEXIT loads although VMRUN has
 * not saved them.  Type A is classic SVM host state and is left to
 * svm_helper.c; type C is set to reset values.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#include "qemu/osdep.h"
#include "qemu/bswap.h"
#include "qemu/log.h"
#include "exec/address-spaces.h"
#include "exec/cputlb.h"
#include "tcg/helper-tcg.h"
#include "sev_host.h"
#include "hw/i386/amd-mee.h"

#define HSAVE_OFFSET            0x400

/* Offsets that are named in more than one place */
#define VMSA_VMPL               0x0ca
#define VMSA_CPL                0x0cb
#define VMSA_EFER               0x0d0
#define VMSA_CR4                0x148
#define VMSA_CR3                0x150
#define VMSA_CR0                0x158
#define VMSA_DR7                0x160
#define VMSA_DR6                0x168
#define VMSA_RFLAGS             0x170
#define VMSA_RIP                0x178
#define VMSA_G_PAT              0x268
#define VMSA_CRC_SLOT           0x388
#define VMSA_GUEST_EXITINFO1    0x390
#define VMSA_GUEST_EXITINFO2    0x398
#define VMSA_GUEST_EXITINTINFO  0x3a0
#define VMSA_GUEST_NRIP         0x3a8
#define VMSA_SEV_FEATURES       0x3b0
#define VMSA_VINTR_CTRL         0x3b8
#define VMSA_GUEST_EXITCODE     0x3c0
#define VMSA_TLB_ID             0x3d0
#define VMSA_PCPU_ID            0x3d8
#define VMSA_XCR0               0x3e8

typedef struct VmsaField VmsaField;

struct VmsaField {
    uint16_t offset;            /* in the VMSA */
    uint8_t size;               /* in the VMSA */
    uint8_t env_size;           /* of the register in the CPU, if plain */
    bool type_b;
    bool debug_swap;            /* only if SEV_FEATURES.DebugSwap */
    uint32_t env_offset;
    void (*load)(CPUX86State *env, const VmsaField *f, const uint8_t *p);
    void (*save)(CPUX86State *env, const VmsaField *f, uint8_t *p);
};

static void *env_field(CPUX86State *env, const VmsaField *f)
{
    return (char *)env + f->env_offset;
}

/* Registers that are nothing but a number */
static void load_plain(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    uint64_t val = ldn_le_p(p, f->size);

    if (f->env_size == sizeof(uint32_t)) {
        *(uint32_t *)env_field(env, f) = val;
    } else {
        *(uint64_t *)env_field(env, f) = val;
    }
}

static void save_plain(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    uint64_t val = f->env_size == sizeof(uint32_t) ?
                   *(uint32_t *)env_field(env, f) :
                   *(uint64_t *)env_field(env, f);

    stn_le_p(p, f->size, val);
}

/* Segments; bases are made canonical as by VMRUN and VMLOAD */
static target_ulong canonical(CPUX86State *env, uint64_t base)
{
    int shift = 64 - cpu_x86_virtual_addr_width(env);

    return (int64_t)(base << shift) >> shift;
}

static void load_seg(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    SegmentCache *sc = env_field(env, f);
    uint32_t attrib = lduw_le_p(p + 2);
    uint32_t flags = ((attrib & 0xff) << 8) | ((attrib & 0xf00) << 12);
    target_ulong base = canonical(env, ldq_le_p(p + 8));

    if (sc >= env->segs && sc < env->segs + ARRAY_SIZE(env->segs)) {
        cpu_x86_load_seg_cache(env, sc - env->segs, lduw_le_p(p), base,
                               ldl_le_p(p + 4), flags);
        return;
    }
    sc->selector = lduw_le_p(p);
    sc->base = base;
    sc->limit = ldl_le_p(p + 4);
    sc->flags = flags;
}

static void save_seg(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    const SegmentCache *sc = env_field(env, f);

    stw_le_p(p, sc->selector);
    stw_le_p(p + 2, ((sc->flags >> 8) & 0xff) | ((sc->flags >> 12) & 0xf00));
    stl_le_p(p + 4, sc->limit);
    stq_le_p(p + 8, sc->base);
}

/* Control registers and RFLAGS, which have copies elsewhere in the CPU */
static void load_cr0(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    cpu_x86_update_cr0(env, ldq_le_p(p));
}

static void load_cr3(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    cpu_x86_update_cr3(env, ldq_le_p(p));
}

static void load_cr4(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    cpu_x86_update_cr4(env, ldq_le_p(p));
}

static void load_efer(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    cpu_load_efer(env, ldq_le_p(p));
}

static void load_rflags(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    env->eflags = 0;
    cpu_load_eflags(env, ldq_le_p(p),
                    ~(CC_O | CC_S | CC_Z | CC_A | CC_P | CC_C | DF_MASK));
}

static void save_rflags(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    stq_le_p(p, cpu_compute_eflags(env));
}

static void load_dr7(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    cpu_x86_update_dr7(env, ldq_le_p(p));
}

/* CPL follows from SS.DPL when the segments are loaded */
static void load_nothing(CPUX86State *env, const VmsaField *f,
                         const uint8_t *p)
{
}

static void save_cpl(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    stb_p(p, env->hflags & HF_CPL_MASK);
}

/*
 * XCR0[0] cannot be 0 on a CPU that runs.  A host save area into which
 * software has not written XCR0 is seen as 0, and leaves it alone.
 */
static void load_xcr0(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    uint64_t val = ldq_le_p(p);

    if (val & XSTATE_FP_MASK) {
        env->xcr0 = val;
        cpu_sync_bndcs_hflags(env);
        cpu_sync_avx_hflag(env);
    }
}

static void save_xcr0(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    stq_le_p(p, env->xcr0);
}

/* x87: status word, abridged tag word and registers are in FXSAVE order */
static void load_fcw(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    cpu_set_fpuc(env, lduw_le_p(p));
}

static void save_fcw(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    stw_le_p(p, env->fpuc);
}

static void set_fsw(CPUX86State *env, uint16_t fsw)
{
    env->fpstt = (fsw >> 11) & 7;
    env->fpus = fsw & ~0x3800;
}

static void load_fsw(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    set_fsw(env, lduw_le_p(p));
}

static void save_fsw(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    stw_le_p(p, (env->fpus & ~0x3800) | (env->fpstt & 7) << 11);
}

static void load_ftw(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    for (int i = 0; i < 8; i++) {
        env->fptags[i] = !((lduw_le_p(p) >> i) & 1);
    }
}

static void save_ftw(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    uint16_t valid = 0;

    for (int i = 0; i < 8; i++) {
        valid |= !env->fptags[i] << i;
    }
    stw_le_p(p, valid);
}

/* Eight mantissas, then eight times sign and exponent, from ST(0) on */
static void load_x87(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    for (int i = 0; i < 8; i++) {
        floatx80 *st = &env->fpregs[(env->fpstt + i) & 7].d;

        st->low = ldq_le_p(p + 8 * i);
        st->high = lduw_le_p(p + 64 + 2 * i);
    }
}

static void save_x87(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    for (int i = 0; i < 8; i++) {
        const floatx80 *st = &env->fpregs[(env->fpstt + i) & 7].d;

        stq_le_p(p + 8 * i, st->low);
        stw_le_p(p + 64 + 2 * i, st->high);
    }
}

static void load_mxcsr(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    cpu_set_mxcsr(env, ldl_le_p(p));
}

static void save_mxcsr(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    update_mxcsr_from_sse_status(env);
    stl_le_p(p, env->mxcsr);
}

/* Low or high halves of YMM0-15; env_size is the first quadword of a half */
static void load_xmm(CPUX86State *env, const VmsaField *f, const uint8_t *p)
{
    for (int i = 0; i < 16; i++) {
        env->xmm_regs[i].ZMM_Q(f->env_size) = ldq_le_p(p + 16 * i);
        env->xmm_regs[i].ZMM_Q(f->env_size + 1) = ldq_le_p(p + 16 * i + 8);
    }
}

static void save_xmm(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    for (int i = 0; i < 16; i++) {
        stq_le_p(p + 16 * i, env->xmm_regs[i].ZMM_Q(f->env_size));
        stq_le_p(p + 16 * i + 8, env->xmm_regs[i].ZMM_Q(f->env_size + 1));
    }
}

/*
 * The guest's NMI mask, unless NMIs are virtualized: then it is in the VMCB,
 * and the VMSA's bit keeps its value.
 */
static void load_nmi_mask(CPUX86State *env, const VmsaField *f,
                          const uint8_t *p)
{
    if (!FIELD_EX32(env->int_ctl, INT_CTL, NMI_ENABLE)) {
        env->int_ctl |= ldl_le_p(p) & R_INT_CTL_NMI_MASK_MASK;
    }
}

static void save_nmi_mask(CPUX86State *env, const VmsaField *f, uint8_t *p)
{
    if (!FIELD_EX32(env->int_ctl, INT_CTL, NMI_ENABLE)) {
        stl_le_p(p, (ldl_le_p(p) & ~R_INT_CTL_NMI_MASK_MASK) |
                    (env->int_ctl & R_INT_CTL_NMI_MASK_MASK));
    }
}

#define AT(member) .env_offset = offsetof(CPUX86State, member), \
                   .env_size = sizeof(((CPUX86State *)0)->member)
#define PLAIN(off, sz, member, ...) { \
    .offset = off, .size = sz, AT(member), \
    .load = load_plain, .save = save_plain, ## __VA_ARGS__ }
#define SEG(off, member, ...) { \
    .offset = off, .size = 16, .env_offset = offsetof(CPUX86State, member), \
    .load = load_seg, .save = save_seg, ## __VA_ARGS__ }
/* A register that needs more than a copy to be loaded */
#define LOAD(off, sz, member, how, ...) { \
    .offset = off, .size = sz, AT(member), \
    .load = load_##how, .save = save_plain, ## __VA_ARGS__ }
#define BOTH(off, how, ...) { \
    .offset = off, .load = load_##how, .save = save_##how, ## __VA_ARGS__ }
#define TYPE_B .type_b = true

/*
 * In the order of loading: modes, then flags, then what depends on them; DR7
 * arms the breakpoints that the other debug registers describe.
 * TSC_AUX (0x2ec) is left out, V_TSC_AUX is not advertised.  Shadow stacks
 * do not exist in TCG.  From memory: DR6 and PAT count as type A, as classic
 * SVM has DR6, and so does the last branch record; CR2 is type C.
 */
static const VmsaField vmsa_fields[] = {
    LOAD(VMSA_CR0, 8, cr[0], cr0),
    LOAD(VMSA_CR4, 8, cr[4], cr4),
    LOAD(VMSA_CR3, 8, cr[3], cr3),
    LOAD(VMSA_EFER, 8, efer, efer),
    BOTH(VMSA_RFLAGS, rflags),
    SEG(0x000, segs[R_ES]),
    SEG(0x010, segs[R_CS]),
    SEG(0x020, segs[R_SS]),
    SEG(0x030, segs[R_DS]),
    SEG(0x040, segs[R_FS], TYPE_B),
    SEG(0x050, segs[R_GS], TYPE_B),
    SEG(0x060, gdt),
    SEG(0x070, ldt, TYPE_B),
    SEG(0x080, idt),
    SEG(0x090, tr, TYPE_B),
    { .offset = VMSA_CPL, .load = load_nothing, .save = save_cpl },
    PLAIN(0x140, 8, xss, TYPE_B),
    PLAIN(0x180, 8, dr[0], TYPE_B, .debug_swap = true),
    PLAIN(0x188, 8, dr[1], TYPE_B, .debug_swap = true),
    PLAIN(0x190, 8, dr[2], TYPE_B, .debug_swap = true),
    PLAIN(0x198, 8, dr[3], TYPE_B, .debug_swap = true),
    PLAIN(0x1a0, 8, sev_msrs.dr_mask[0], TYPE_B, .debug_swap = true),
    PLAIN(0x1a8, 8, sev_msrs.dr_mask[1], TYPE_B, .debug_swap = true),
    PLAIN(0x1b0, 8, sev_msrs.dr_mask[2], TYPE_B, .debug_swap = true),
    PLAIN(0x1b8, 8, sev_msrs.dr_mask[3], TYPE_B, .debug_swap = true),
    LOAD(VMSA_DR7, 8, dr[7], dr7),
    PLAIN(VMSA_DR6, 8, dr[6]),
    PLAIN(VMSA_RIP, 8, eip),
    PLAIN(0x1d8, 8, regs[R_ESP]),
    PLAIN(0x1f8, 8, regs[R_EAX]),
    PLAIN(0x200, 8, star, TYPE_B),
    PLAIN(0x208, 8, lstar, TYPE_B),
    PLAIN(0x210, 8, cstar, TYPE_B),
    PLAIN(0x218, 8, fmask, TYPE_B),
    PLAIN(0x220, 8, kernelgsbase, TYPE_B),
    PLAIN(0x228, 8, sysenter_cs, TYPE_B),
    PLAIN(0x230, 8, sysenter_esp, TYPE_B),
    PLAIN(0x238, 8, sysenter_eip, TYPE_B),
    PLAIN(0x240, 8, cr[2]),
    PLAIN(VMSA_G_PAT, 8, pat),
    PLAIN(0x270, 8, lbr.dbgctl),
    PLAIN(0x278, 8, lbr.br_from),
    PLAIN(0x280, 8, lbr.br_to),
    PLAIN(0x288, 8, lbr.excp_from),
    PLAIN(0x290, 8, lbr.excp_to),
    PLAIN(0x2e8, 4, pkru, TYPE_B),
    PLAIN(0x308, 8, regs[R_ECX], TYPE_B),
    PLAIN(0x310, 8, regs[R_EDX], TYPE_B),
    PLAIN(0x318, 8, regs[R_EBX], TYPE_B),
    PLAIN(0x328, 8, regs[R_EBP], TYPE_B),
    PLAIN(0x330, 8, regs[R_ESI], TYPE_B),
    PLAIN(0x338, 8, regs[R_EDI], TYPE_B),
    PLAIN(0x340, 8, regs[8], TYPE_B),
    PLAIN(0x348, 8, regs[9], TYPE_B),
    PLAIN(0x350, 8, regs[10], TYPE_B),
    PLAIN(0x358, 8, regs[11], TYPE_B),
    PLAIN(0x360, 8, regs[12], TYPE_B),
    PLAIN(0x368, 8, regs[13], TYPE_B),
    PLAIN(0x370, 8, regs[14], TYPE_B),
    PLAIN(0x378, 8, regs[15], TYPE_B),
    BOTH(VMSA_VINTR_CTRL, nmi_mask),
    BOTH(VMSA_XCR0, xcr0, TYPE_B),
    PLAIN(0x400, 8, fpdp),
    BOTH(0x408, mxcsr),
    BOTH(0x40e, fsw),
    BOTH(0x40c, ftw),
    BOTH(0x410, fcw),
    PLAIN(0x418, 8, fpip),
    BOTH(0x420, x87),
    BOTH(0x470, xmm, .env_size = 0),
    BOTH(0x570, xmm, .env_size = 2),
};

static bool field_swapped(CPUX86State *env, const VmsaField *f)
{
    return !f->debug_swap ||
           FIELD_EX64(env->sev.features, SEV_FEATURES, DEBUG_SWAP);
}

/* The copy, in plain text; valid between VMRUN's checks and #VMEXIT */
static uint8_t *vmsa_copy(CPUX86State *env)
{
    return env_archcpu(env)->sev_vmsa;
}

static uint64_t pcpu_id(CPUX86State *env)
{
    return env_cpu(env)->cpu_index + 1;
}

uint64_t sev_vmsa_features(CPUX86State *env)
{
    return ldq_le_p(vmsa_copy(env) + VMSA_SEV_FEATURES);
}

uint64_t sev_vmsa_rflags(CPUX86State *env)
{
    return ldq_le_p(vmsa_copy(env) + VMSA_RFLAGS);
}

/* Not elsewhere since; of SNP guests only, others do not keep track of it. */
bool sev_vmsa_ran_here(CPUX86State *env)
{
    return !sev_snp_guest(env) ||
           ldq_le_p(vmsa_copy(env) + VMSA_PCPU_ID) == pcpu_id(env);
}

uint8_t sev_vmsa_vmpl(CPUX86State *env)
{
    return ldub_p(vmsa_copy(env) + VMSA_VMPL);
}

bool sev_vmsa_fetch(CPUX86State *env, hwaddr pa, uint32_t asid)
{
    return !(pa & ~TARGET_PAGE_MASK) &&
           amd_mee_read(pa, asid, vmsa_copy(env), TARGET_PAGE_SIZE);
}

/*
 * A VMSA is only as good as its checksum, which the CPU and the secure
 * processor keep where software cannot reach it (SEV-ES, "Guest State
 * Integrity"; not for SEV-SNP guests, whose VMSA the RMP protects).
 */
bool sev_vmsa_intact(CPUX86State *env)
{
    const uint8_t *vmsa = vmsa_copy(env);

    return amd_mee_crc_check(ldq_le_p(vmsa + VMSA_CRC_SLOT),
                             amd_mee_vmsa_crc(vmsa));
}

/* Attributes of a segment, as they are in the VMSA */
#define VMSA_CS_ATTRIB          0x012
#define ATTRIB_L                0x200
#define ATTRIB_D                0x400

static bool cs_valid_in_long_mode(const uint8_t *vmsa)
{
    uint16_t both = ATTRIB_L | ATTRIB_D;

    return (lduw_le_p(vmsa + VMSA_CS_ATTRIB) & both) != both;
}

/* That EFER.SVME has to be set in a VMSA, too, is from memory. */
static bool efer_valid(const uint8_t *vmsa, uint64_t cr0, uint64_t cr4)
{
    uint64_t efer = ldq_le_p(vmsa + VMSA_EFER);

    if (!(efer & MSR_EFER_SVME) || (efer & MSR_EFER_RESERVED)) {
        return false;
    }
    return !(efer & MSR_EFER_LME) || !(cr0 & CR0_PG_MASK) ||
           ((cr4 & CR4_PAE_MASK) && (cr0 & CR0_PE_MASK) &&
            cs_valid_in_long_mode(vmsa));
}

/* "Canonicalization and Consistency Checks" on the state to be loaded */
bool sev_vmsa_valid(CPUX86State *env)
{
    const uint8_t *vmsa = vmsa_copy(env);
    uint64_t cr0 = ldq_le_p(vmsa + VMSA_CR0);
    uint64_t cr3 = ldq_le_p(vmsa + VMSA_CR3);
    uint64_t cr4 = ldq_le_p(vmsa + VMSA_CR4);
    uint64_t efer = ldq_le_p(vmsa + VMSA_EFER);

    if ((cr0 & SVM_CR0_RESERVED_MASK) ||
        ((cr0 & CR0_NW_MASK) && !(cr0 & CR0_CD_MASK)) ||
        (cr4 & cr4_reserved_bits(env)) ||
        !svm_pat_valid(ldq_le_p(vmsa + VMSA_G_PAT)) ||
        !efer_valid(vmsa, cr0, cr4)) {
        return false;
    }
    if ((efer & MSR_EFER_LMA) &&
        (cr3 & (~0ULL << env_archcpu(env)->phys_bits) & ~SEV_CBIT)) {
        return false;
    }
    return !((ldq_le_p(vmsa + VMSA_DR6) | ldq_le_p(vmsa + VMSA_DR7)) &
             DR_RESERVED_MASK);
}

void sev_vmsa_load(CPUX86State *env)
{
    const uint8_t *vmsa = vmsa_copy(env);

    for (int i = 0; i < ARRAY_SIZE(vmsa_fields); i++) {
        const VmsaField *f = &vmsa_fields[i];

        if (field_swapped(env, f)) {
            f->load(env, f, vmsa + f->offset);
        }
    }
}

void sev_vmsa_capture(CPUX86State *env)
{
    uint8_t *vmsa = vmsa_copy(env);

    for (int i = 0; i < ARRAY_SIZE(vmsa_fields); i++) {
        const VmsaField *f = &vmsa_fields[i];

        if (field_swapped(env, f)) {
            f->save(env, f, vmsa + f->offset);
        }
    }
}

static uint64_t vmcb_ldq(CPUX86State *env, size_t offset)
{
    return x86_ldq_phys(env_cpu(env), env->vm_vmcb + offset);
}

/* What the guest may know about the exit is what the VMCB says */
static void put_exit_reason(CPUX86State *env, uint8_t *vmsa)
{
    stq_le_p(vmsa + VMSA_GUEST_EXITCODE,
             vmcb_ldq(env, offsetof(struct vmcb, control.exit_code)));
    stq_le_p(vmsa + VMSA_GUEST_EXITINFO1,
             vmcb_ldq(env, offsetof(struct vmcb, control.exit_info_1)));
    stq_le_p(vmsa + VMSA_GUEST_EXITINFO2,
             vmcb_ldq(env, offsetof(struct vmcb, control.exit_info_2)));
    stq_le_p(vmsa + VMSA_GUEST_EXITINTINFO,
             vmcb_ldq(env, offsetof(struct vmcb, control.exit_int_info)));
    memcpy(vmsa + VMSA_GUEST_NRIP, vmsa + VMSA_RIP, 8);
}

void sev_vmsa_store(CPUX86State *env)
{
    uint8_t *vmsa = vmsa_copy(env);
    uint64_t slot = ldq_le_p(vmsa + VMSA_CRC_SLOT);

    put_exit_reason(env, vmsa);
    if (sev_snp_guest(env)) {
        /* Not 0: a guest that zeroes it wants its TLB entries flushed. */
        stq_le_p(vmsa + VMSA_TLB_ID, env->sev.asid);
        stq_le_p(vmsa + VMSA_PCPU_ID, pcpu_id(env));
    }
    if (!amd_mee_write(env->sev.vmsa_pa, env->sev.asid, vmsa,
                       TARGET_PAGE_SIZE)) {
        /* VMRUN has read it, so this is RAM that was unplugged since */
        qemu_log_mask(LOG_GUEST_ERROR, "sev: VMSA at 0x%" PRIx64 " is gone\n",
                      env->sev.vmsa_pa);
    }
    if (!sev_snp_guest(env)) {
        amd_mee_crc_store(slot, amd_mee_vmsa_crc(vmsa));
    }
    memset(vmsa, 0, TARGET_PAGE_SIZE);
}

static void reset_fpu(CPUX86State *env)
{
    set_fsw(env, 0);
    cpu_set_fpuc(env, 0x40);
    cpu_set_mxcsr(env, 0x1f80);
    memset(env->fptags, 0, sizeof(env->fptags));
    memset(env->fpregs, 0, sizeof(env->fpregs));
    memset(env->xmm_regs, 0, sizeof(env->xmm_regs));
    env->fpip = 0;
    env->fpdp = 0;
}

/* #VMEXIT: types B and C; type A has been loaded already */
void sev_hsave_load(CPUX86State *env)
{
    uint8_t hsave[0x400];

    address_space_read(env_cpu(env)->as, env->vm_hsave + HSAVE_OFFSET,
                       MEMTXATTRS_UNSPECIFIED, hsave, sizeof(hsave));
    for (int i = 0; i < ARRAY_SIZE(vmsa_fields); i++) {
        const VmsaField *f = &vmsa_fields[i];

        if (f->type_b && field_swapped(env, f)) {
            f->load(env, f, hsave + f->offset);
        }
    }
    env->cr[2] = 0;
    reset_fpu(env);
}
