// SPDX-License-Identifier: GPL-2.0
/*
 * What KVM knows of a vCPU whose registers are encrypted, for userspace to read:
 * the record, as an attribute of the vCPU, whatever the type of the VM and
 * whether or not it is about to be sent.
 *
 * Called with vcpu->mutex held and the vCPU loaded.
 */
#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/kvm_host.h>
#include <linux/uaccess.h>

#include "svm.h"
#include "vmsa.h"

/* The caller says how much room there is where the record says how long it is. */
static int get_record(struct kvm_vcpu *vcpu, struct sev_vcpu_record __user *urec)
{
	struct sev_vcpu_record rec;
	u32 size;

	if (!vcpu->arch.guest_state_protected)
		return -EPERM;

	if (get_user(size, &urec->size))
		return -EFAULT;

	if (size < sizeof(rec)) {
		size = sizeof(rec);
		return put_user(size, &urec->size) ?: -E2BIG;
	}

	sev_vcpu_record_get(vcpu, &rec);
	return copy_to_user(urec, &rec, sizeof(rec)) ? -EFAULT : 0;
}

int sev_vcpu_device_attr(struct kvm_vcpu *vcpu, unsigned int ioctl,
			 const struct kvm_device_attr *attr)
{
	lockdep_assert_held(&vcpu->mutex);

	if (!sev_es_guest(vcpu->kvm) || attr->group != KVM_VCPU_SEV_CTRL ||
	    attr->attr != KVM_VCPU_SEV_RECORD)
		return -ENXIO;

	if (ioctl == KVM_HAS_DEVICE_ATTR)
		return 0;

	/* It can be read, and received along with a VMSA, but not set. */
	if (ioctl == KVM_SET_DEVICE_ATTR)
		return -EPERM;

	return get_record(vcpu, u64_to_user_ptr(attr->addr));
}
