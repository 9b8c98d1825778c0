// SPDX-License-Identifier: GPL-2.0
/*
 * VMGEXIT: one row per event.
 *
 * To add an event: a row, and a handler; prep() if what it needs depends on
 * what it is given.  vmgexit_prepare() and all prep()s look at the request
 * alone: they run with interrupts off, and in userland tests.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bitfield.h>
#include <linux/kvm_host.h>
#include <linux/kvm_para.h>
#include <linux/nospec.h>
#include <linux/overflow.h>

#include <asm/fpu/xcr.h>
#include <asm/msr.h>

#include "cpuid.h"
#include "kvm_cache_regs.h"
#include "svm.h"
#include "ghcb.h"
#include "x86.h"

#define RAX_TO_RDX	(BIT(VCPU_REGS_RAX) | BIT(VCPU_REGS_RBX) |	\
			 BIT(VCPU_REGS_RCX) | BIT(VCPU_REGS_RDX))
#define EDX_EAX		(BIT(VCPU_REGS_RAX) | BIT(VCPU_REGS_RDX))
#define ONLY_RAX	BIT(VCPU_REGS_RAX)

/* The emulation has written these, or will have on its way to success. */
static void wrote(struct kvm_vcpu *vcpu, u32 regs)
{
	vcpu->arch.regs_avail |= regs;
	vcpu->arch.regs_dirty |= regs;
}

static u64 require(const struct vmgexit_req *req, u64 fields)
{
	return (req->valid & fields) == fields ? 0 : GHCB_ERR_MISSING_INPUT;
}

/*
 * Instructions.
 */
static u64 prep_cpuid(struct vmgexit_req *req)
{
	/* The answer depends on XCR0, which KVM cannot see. */
	return lower_32_bits(req->rax) == 0xd ? require(req, GHCB_XCR0) : 0;
}

static bool take_xfeatures(struct kvm_vcpu *vcpu, const struct vmgexit_req *req)
{
	u64 xss = req->valid & GHCB_XSS ? req->xss : vcpu->arch.ia32_xss;

	if (kvm_check_xcr(vcpu, XCR_XFEATURE_ENABLED_MASK, req->xcr0) ||
	    (xss & ~kvm_caps.supported_xss))
		return false;

	if (vcpu->arch.xcr0 != req->xcr0 || vcpu->arch.ia32_xss != xss) {
		vcpu->arch.xcr0 = req->xcr0;
		vcpu->arch.ia32_xss = xss;
		kvm_update_cpuid_runtime(vcpu);
	}
	return true;
}

static int do_cpuid(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		    struct vmgexit_reply *reply)
{
	if (lower_32_bits(req->rax) == 0xd && !take_xfeatures(vcpu, req)) {
		vmgexit_malformed(reply, GHCB_ERR_INVALID_INPUT);
		return 1;
	}

	wrote(vcpu, RAX_TO_RDX);
	return kvm_emulate_cpuid(vcpu);
}

static u64 prep_msr(struct vmgexit_req *req)
{
	switch (req->info1) {
	case 0:
		return 0;
	case 1:
		req->out = 0;
		return require(req, GHCB_RAX | GHCB_RDX);
	default:
		return GHCB_ERR_INVALID_INPUT;
	}
}

static int do_msr(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		  struct vmgexit_reply *reply)
{
	if (req->info1)
		return kvm_emulate_wrmsr(vcpu);

	wrote(vcpu, EDX_EAX);
	return kvm_emulate_rdmsr(vcpu);
}

static u64 prep_string_io(struct vmgexit_req *req, unsigned int size)
{
	if (require(req, GHCB_SCRATCH))
		return GHCB_ERR_MISSING_INPUT;

	if (check_mul_overflow(req->info2, (u64)size, &req->data_len) ||
	    req->data_len > INT_MAX)
		return GHCB_ERR_INVALID_INPUT;

	req->data_out = req->info1 & GHCB_IOIO_IN;
	req->data_in = !req->data_out;
	req->out = 0;
	return 0;
}

static u64 prep_ioio(struct vmgexit_req *req)
{
	unsigned int size = FIELD_GET(GHCB_IOIO_SIZE, req->info1);

	if (size != 1 && size != 2 && size != 4)
		return GHCB_ERR_INVALID_INPUT;

	if (req->info1 & GHCB_IOIO_STRING)
		return prep_string_io(req, size);

	if (req->info1 & GHCB_IOIO_IN)
		return 0;

	req->out = 0;
	return require(req, GHCB_RAX);
}

static int do_ioio(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		   struct vmgexit_reply *reply)
{
	unsigned int size = FIELD_GET(GHCB_IOIO_SIZE, req->info1);
	u16 port = FIELD_GET(GHCB_IOIO_PORT, req->info1);
	bool in = req->info1 & GHCB_IOIO_IN;

	++vcpu->stat.io_exits;

	if (req->info1 & GHCB_IOIO_STRING)
		return req->data_len ?
		       kvm_sev_es_string_io(vcpu, size, port, req->data,
					    req->info2, in) : 1;

	/* IN merges what it reads into RAX, which is not among its inputs. */
	if (in) {
		kvm_rax_write(vcpu, 0);
		wrote(vcpu, ONLY_RAX);
	}
	return kvm_fast_pio(vcpu, size, port, in);
}

/* Arguments are in RBX, RCX, RDX and RSI, in this order. */
static u64 prep_vmmcall(struct vmgexit_req *req)
{
	if (req->cpl > 3)
		return GHCB_ERR_INVALID_INPUT;

	switch (req->rax) {
	case KVM_HC_SCHED_YIELD:
		return require(req, GHCB_RBX);
	case KVM_HC_KICK_CPU:
	case KVM_HC_CLOCK_PAIRING:
		return require(req, GHCB_RBX | GHCB_RCX);
	case KVM_HC_MAP_GPA_RANGE:
		return require(req, GHCB_RBX | GHCB_RCX | GHCB_RDX);
	case KVM_HC_SEND_IPI:
		return require(req, GHCB_RBX | GHCB_RCX | GHCB_RDX | GHCB_RSI);
	default:
		return 0;
	}
}

static int do_vmmcall(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		      struct vmgexit_reply *reply)
{
	wrote(vcpu, ONLY_RAX);
	return kvm_emulate_hypercall(vcpu);
}

static void write_tsc(struct kvm_vcpu *vcpu)
{
	u64 tsc = kvm_read_l1_tsc(vcpu, rdtsc());

	kvm_rax_write(vcpu, lower_32_bits(tsc));
	kvm_rdx_write(vcpu, upper_32_bits(tsc));
	wrote(vcpu, EDX_EAX);
}

static int do_rdtsc(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		    struct vmgexit_reply *reply)
{
	write_tsc(vcpu);
	return 1;
}

static int do_rdtscp(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		     struct vmgexit_reply *reply)
{
	if (!guest_cpuid_has(vcpu, X86_FEATURE_RDTSCP)) {
		vmgexit_raise(reply, UD_VECTOR, false, 0);
		return 1;
	}

	/* Virtualized by the CPU, TSC_AUX is out of KVM's sight. */
	if (boot_cpu_has(X86_FEATURE_V_TSC_AUX)) {
		vmgexit_malformed(reply, GHCB_ERR_INVALID_EVENT);
		return 1;
	}

	write_tsc(vcpu);
	kvm_rcx_write(vcpu, lower_32_bits(to_svm(vcpu)->tsc_aux));
	wrote(vcpu, BIT(VCPU_REGS_RCX));
	return 1;
}

static int do_rdpmc(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		    struct vmgexit_reply *reply)
{
	wrote(vcpu, EDX_EAX);
	return kvm_emulate_rdpmc(vcpu);
}

/*
 * DR7 is in the VMSA and the CPU swaps it.  KVM keeps what the guest says that
 * it is, for the guest and for userspace to read, and does nothing by it.
 */
static int do_read_dr7(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		       struct vmgexit_reply *reply)
{
	kvm_rax_write(vcpu, vcpu->arch.dr7);
	wrote(vcpu, ONLY_RAX);
	return 1;
}

static int do_write_dr7(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
			struct vmgexit_reply *reply)
{
	if (kvm_dr7_valid(req->rax))
		vcpu->arch.dr7 = (req->rax & DR7_VOLATILE) | DR7_FIXED_1;
	else
		vmgexit_raise(reply, GP_VECTOR, true, 0);
	return 1;
}

static int do_invd(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		   struct vmgexit_reply *reply)
{
	return kvm_emulate_invd(vcpu);
}

static int do_wbinvd(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		     struct vmgexit_reply *reply)
{
	return kvm_emulate_wbinvd(vcpu);
}

static int do_monitor(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		      struct vmgexit_reply *reply)
{
	return kvm_emulate_monitor(vcpu);
}

static int do_mwait(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
		    struct vmgexit_reply *reply)
{
	return kvm_emulate_mwait(vcpu);
}

/*
 * Events of the protocol's own.
 */
static u64 prep_mmio(struct vmgexit_req *req)
{
	if (req->version >= 2 && req->info2 > sizeof(u64))
		return GHCB_ERR_INVALID_INPUT;

	req->data_len = req->info2;
	return 0;
}

static u64 prep_mmio_read(struct vmgexit_req *req)
{
	req->data_out = true;
	return prep_mmio(req);
}

static u64 prep_mmio_write(struct vmgexit_req *req)
{
	req->data_in = true;
	return prep_mmio(req);
}

static int do_mmio_read(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
			struct vmgexit_reply *reply)
{
	return req->data_len ?
	       kvm_sev_es_mmio_read(vcpu, req->info1, req->data_len, req->data) : 1;
}

static int do_mmio_write(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
			 struct vmgexit_reply *reply)
{
	return req->data_len ?
	       kvm_sev_es_mmio_write(vcpu, req->info1, req->data_len, req->data) : 1;
}

static int do_nmi_complete(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
			   struct vmgexit_reply *reply)
{
	svm_complete_nmi(vcpu);
	return 1;
}

/* Without a SIPI the answer is 0; sev_vmgexit_sipi() makes it 1. */
static int do_ap_reset_hold(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
			    struct vmgexit_reply *reply)
{
	to_svm(vcpu)->sev_es.ap_reset_hold_type = AP_RESET_HOLD_NAE_EVENT;
	return kvm_emulate_ap_reset_hold(vcpu);
}

static int do_ap_jump_table(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
			    struct vmgexit_reply *reply)
{
	struct kvm_sev_info *sev = to_kvm_sev_info(vcpu->kvm);

	switch (req->info1) {
	case 0:
		WRITE_ONCE(sev->ap_jump_table, req->info2);
		break;
	case 1:
		reply->info2 = READ_ONCE(sev->ap_jump_table);
		break;
	default:
		vmgexit_malformed(reply, GHCB_ERR_INVALID_INPUT);
		break;
	}
	return 1;
}

static int do_hv_features(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
			  struct vmgexit_reply *reply)
{
	reply->info2 = GHCB_HV_FT_SUPPORTED;
	return 1;
}

static int do_termination(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
			  struct vmgexit_reply *reply)
{
	pr_info("SEV-ES guest requested termination: reason %#llx info %#llx\n",
		req->info1, req->info2);
	return sev_exit_termination(vcpu);
}

/* The guest met an exit that it cannot handle, and KVM cannot help it. */
static int do_unsupported_event(struct kvm_vcpu *vcpu,
				const struct vmgexit_req *req,
				struct vmgexit_reply *reply)
{
	vcpu_debug_ratelimited(vcpu, "vmgexit: the guest does not know exit %#llx (%#llx)\n",
			       req->info1, req->info2);
	vmgexit_malformed(reply, GHCB_ERR_INVALID_EVENT);
	return 1;
}

static u64 prep_ap_creation(struct vmgexit_req *req)
{
	return lower_32_bits(req->info1) == SVM_VMGEXIT_AP_DESTROY ? 0 :
	       require(req, GHCB_RAX);
}

static int do_ap_creation(struct kvm_vcpu *vcpu, const struct vmgexit_req *req,
			  struct vmgexit_reply *reply)
{
	if (sev_snp_ap_creation(vcpu, req->info1, req->info2, req->rax))
		vmgexit_malformed(reply, GHCB_ERR_INVALID_INPUT);
	return 1;
}

/*
 * The rows.  Codes are those of intercepts, from 0 on, and in two groups those
 * of the protocol's own; a table each, indexed by what is left of the code.
 */
#define OWN_BASE	SVM_VMGEXIT_MMIO_READ
#define HIGH_BASE	SVM_VMGEXIT_HV_FEATURES
#define OWN(code)	((code) - OWN_BASE)
#define HIGH(code)	((code) - HIGH_BASE)

static const struct vmgexit_event intercepts[] = {
	[SVM_EXIT_READ_DR7] = {
		.name = "DR7 read", .out = GHCB_RAX, .handle = do_read_dr7,
	},
	[SVM_EXIT_WRITE_DR7] = {
		.name = "DR7 write", .in = GHCB_RAX, .handle = do_write_dr7,
	},
	[SVM_EXIT_RDTSC] = {
		.name = "RDTSC", .out = GHCB_RAX | GHCB_RDX, .handle = do_rdtsc,
	},
	[SVM_EXIT_RDPMC] = {
		.name = "RDPMC", .in = GHCB_RCX, .out = GHCB_RAX | GHCB_RDX,
		.handle = do_rdpmc,
	},
	[SVM_EXIT_CPUID] = {
		.name = "CPUID", .in = GHCB_RAX | GHCB_RCX,
		.out = GHCB_RAX | GHCB_RBX | GHCB_RCX | GHCB_RDX,
		.prep = prep_cpuid, .handle = do_cpuid,
	},
	[SVM_EXIT_INVD] = {
		.name = "INVD", .handle = do_invd,
	},
	[SVM_EXIT_IOIO] = {
		.name = "IOIO", .out = GHCB_RAX, .flags = VMGEXIT_DATA,
		.prep = prep_ioio, .handle = do_ioio,
	},
	[SVM_EXIT_MSR] = {
		.name = "MSR", .in = GHCB_RCX, .out = GHCB_RAX | GHCB_RDX,
		.prep = prep_msr, .handle = do_msr,
	},
	[SVM_EXIT_VMMCALL] = {
		.name = "VMMCALL", .in = GHCB_RAX | GHCB_CPL, .out = GHCB_RAX,
		.prep = prep_vmmcall, .handle = do_vmmcall,
	},
	[SVM_EXIT_RDTSCP] = {
		.name = "RDTSCP", .out = GHCB_RAX | GHCB_RCX | GHCB_RDX,
		.handle = do_rdtscp,
	},
	[SVM_EXIT_WBINVD] = {
		.name = "WBINVD", .handle = do_wbinvd,
	},
	[SVM_EXIT_MONITOR] = {
		.name = "MONITOR", .in = GHCB_RAX | GHCB_RCX | GHCB_RDX,
		.handle = do_monitor,
	},
	[SVM_EXIT_MWAIT] = {
		.name = "MWAIT", .in = GHCB_RAX | GHCB_RCX, .handle = do_mwait,
	},
};

static const struct vmgexit_event own_events[] = {
	[OWN(SVM_VMGEXIT_MMIO_READ)] = {
		.name = "MMIO read", .in = GHCB_SCRATCH, .flags = VMGEXIT_DATA,
		.prep = prep_mmio_read, .handle = do_mmio_read,
	},
	[OWN(SVM_VMGEXIT_MMIO_WRITE)] = {
		.name = "MMIO write", .in = GHCB_SCRATCH, .flags = VMGEXIT_DATA,
		.prep = prep_mmio_write, .handle = do_mmio_write,
	},
	[OWN(SVM_VMGEXIT_NMI_COMPLETE)] = {
		.name = "NMI complete", .handle = do_nmi_complete,
	},
	[OWN(SVM_VMGEXIT_AP_HLT_LOOP)] = {
		.name = "AP reset hold", .handle = do_ap_reset_hold,
	},
	[OWN(SVM_VMGEXIT_AP_JUMP_TABLE)] = {
		.name = "AP jump table", .handle = do_ap_jump_table,
	},
	[OWN(SVM_VMGEXIT_PSC)] = {
		.name = "page state change", .in = GHCB_SCRATCH,
		.flags = VMGEXIT_SNP | VMGEXIT_DATA,
		.prep = vmgexit_prep_psc, .handle = vmgexit_psc,
	},
	[OWN(SVM_VMGEXIT_GUEST_REQUEST)] = {
		.name = "guest request", .flags = VMGEXIT_SNP,
		.prep = vmgexit_prep_guest_req, .handle = vmgexit_guest_req,
	},
	[OWN(SVM_VMGEXIT_EXT_GUEST_REQUEST)] = {
		.name = "extended guest request", .flags = VMGEXIT_SNP,
		.prep = vmgexit_prep_guest_req, .handle = vmgexit_ext_guest_req,
	},
	[OWN(SVM_VMGEXIT_AP_CREATION)] = {
		.name = "AP creation", .flags = VMGEXIT_SNP,
		.prep = prep_ap_creation, .handle = do_ap_creation,
	},
};

static const struct vmgexit_event high_events[] = {
	[HIGH(SVM_VMGEXIT_HV_FEATURES)] = {
		.name = "hypervisor features", .handle = do_hv_features,
	},
	[HIGH(SVM_VMGEXIT_TERM_REQUEST)] = {
		.name = "termination", .handle = do_termination,
	},
	[HIGH(SVM_VMGEXIT_UNSUPPORTED_EVENT)] = {
		.name = "unsupported event", .handle = do_unsupported_event,
	},
};

static const struct vmgexit_event *row(const struct vmgexit_event *table,
				       u64 index, unsigned int size)
{
	const struct vmgexit_event *event;

	event = &table[array_index_nospec(index, size)];
	return event->handle ? event : NULL;
}

static const struct vmgexit_event *find_event(u64 code)
{
	if (code < ARRAY_SIZE(intercepts))
		return row(intercepts, code, ARRAY_SIZE(intercepts));
	if (OWN(code) < ARRAY_SIZE(own_events))
		return row(own_events, OWN(code), ARRAY_SIZE(own_events));
	if (HIGH(code) < ARRAY_SIZE(high_events))
		return row(high_events, HIGH(code), ARRAY_SIZE(high_events));
	return NULL;
}

static u64 check_scratch(const struct vmgexit_req *req)
{
	u64 begin = req->scratch, end, offset;

	if (!begin || check_add_overflow(begin, req->data_len, &end))
		return GHCB_ERR_INVALID_SCRATCH_AREA;

	/* What begins in the page has to be in its shared buffer altogether. */
	if ((begin & PAGE_MASK) == req->gpa) {
		offset = begin - req->gpa;
		return offset < GHCB_SHARED_BUF_OFFSET ||
		       offset + req->data_len >
		       GHCB_SHARED_BUF_OFFSET + GHCB_SHARED_BUF_SIZE ?
		       GHCB_ERR_INVALID_SCRATCH_AREA : 0;
	}

	return req->version >= 2 || req->data_len > GHCB_SCRATCH_LIMIT ?
	       GHCB_ERR_INVALID_SCRATCH_AREA : 0;
}

/**
 * vmgexit_prepare - check a request, find its row
 * @req:	what the page held; its @event, @out, @data_len and @data_out
 *		are set here
 * @snp:	if the VM is an SNP one
 *
 * Returns 0, or the GHCB_ERR_* that is the answer to the guest.
 */
u64 vmgexit_prepare(struct vmgexit_req *req, bool snp)
{
	const struct vmgexit_event *event;
	u64 error;

	req->event = NULL;
	req->data_len = 0;
	req->data_in = false;
	req->data_out = false;

	if (req->usage)
		return GHCB_ERR_INVALID_USAGE;
	if (require(req, GHCB_EXIT))
		return GHCB_ERR_MISSING_INPUT;

	event = find_event(req->exit_code);
	if (!event || (event->flags & VMGEXIT_SNP && !snp))
		return GHCB_ERR_INVALID_EVENT;

	req->event = event;
	req->out = event->out;
	if (require(req, event->in))
		return GHCB_ERR_MISSING_INPUT;

	error = event->prep ? event->prep(req) : 0;
	if (!error && req->data_len)
		error = check_scratch(req);
	return error;
}

static bool row_is_sound(const struct vmgexit_event *event)
{
	/* No row at all: the code is not an event. */
	if (!event->name && !event->handle)
		return true;

	return event->name && event->handle &&
	       !(event->in & ~(GHCB_FIELDS_LO | GHCB_FIELDS_HI)) &&
	       !(event->out & ~(GHCB_RAX | GHCB_RBX | GHCB_RCX | GHCB_RDX)) &&
	       (event->prep || !(event->flags & VMGEXIT_DATA));
}

static bool rows_are_sound(const struct vmgexit_event *table, unsigned int size)
{
	while (size--) {
		if (!row_is_sound(&table[size])) {
			pr_err("VMGEXIT event %u (%s) is incomplete\n", size,
			       table[size].name ?: "no name");
			return false;
		}
	}
	return true;
}

/* When the module is loaded: a row that lacks a part is a bug in KVM. */
int vmgexit_check_events(void)
{
	return rows_are_sound(intercepts, ARRAY_SIZE(intercepts)) &&
	       rows_are_sound(own_events, ARRAY_SIZE(own_events)) &&
	       rows_are_sound(high_events, ARRAY_SIZE(high_events)) ? 0 : -EINVAL;
}
