/* SPDX-License-Identifier: GPL-2.0 WITH Linux-syscall-note */
/*
 * What KVM knows of a vCPU whose registers are encrypted.
 *
 * It goes from host to host beside the VMSA, which only the guest and the
 * firmware can read.  KVM decides by it, e.g. how to inject an exception; the
 * guest's own registers are in the VMSA, and nothing in here can change them.
 */
#ifndef _UAPI_LINUX_SEV_VCPU_RECORD_H
#define _UAPI_LINUX_SEV_VCPU_RECORD_H

#include <linux/types.h>

#define SEV_VCPU_RECORD_VERSION		1

/* Flags */
#define SEV_VCPU_FIRST_SIPI		0x00000001 /* has had its first SIPI */

/* How the vCPU asked to be held until a SIPI */
#define SEV_VCPU_HOLD_NONE		0
#define SEV_VCPU_HOLD_NAE_EVENT		1	/* the GHCB has the request */
#define SEV_VCPU_HOLD_MSR_PROTOCOL	2	/* the GHCB MSR has it */

/**
 * struct sev_vcpu_record - KVM's view of a vCPU of a SEV-ES guest
 * @version:		SEV_VCPU_RECORD_VERSION
 * @size:		of the whole record, in bytes
 * @flags:		SEV_VCPU_*
 * @ap_reset_hold:	SEV_VCPU_HOLD_*
 * @sev_features:	as in the VMSA; the other VM must have the same
 * @efer:		as last written; without SVME, which is KVM's own
 * @cr0:		as last written
 * @cr4:		as last written
 * @cr8:		as last written
 * @dr7:		as last written, if SEV_FEATURES lacks DebugSwap
 * @xcr0:		as of the last CPUID request for which it matters
 * @xss:		likewise
 * @ghcb_msr:		address of the GHCB, or a request or answer
 * @ap_jump_table:	address; the same for all vCPUs of a VM
 * @reserved:		zero
 */
struct sev_vcpu_record {
	__u32 version;
	__u32 size;
	__u32 flags;
	__u32 ap_reset_hold;
	__u64 sev_features;
	__u64 efer;
	__u64 cr0;
	__u64 cr4;
	__u64 cr8;
	__u64 dr7;
	__u64 xcr0;
	__u64 xss;
	__u64 ghcb_msr;
	__u64 ap_jump_table;
	__u64 reserved[4];
};

#endif /* _UAPI_LINUX_SEV_VCPU_RECORD_H */
