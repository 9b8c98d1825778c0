// SPDX-License-Identifier: GPL-2.0
/*
 * What snp_ap.c finds around itself: a VM of three vCPUs, guest_memfd, the RMP.
 */
#include "vm.h"

char doing[256];

struct page pages[ALL_PAGES];
struct kvm_memory_slot slot = { .flags = KVM_MEM_GUEST_MEMFD };
static struct file file;

bool page_is_there(int page)
{
	return slot.flags == KVM_MEM_GUEST_MEMFD && pages[page].slot &&
	       pages[page].private && pages[page].present && pages[page].assigned;
}

struct kvm_memory_slot *gfn_to_memslot(struct kvm *kvm, gfn_t gfn)
{
	int page = gfn_page(gfn);

	return page != NO_PAGE && pages[page].slot ? &slot : NULL;
}

bool kvm_slot_can_be_private(struct kvm_memory_slot *s)
{
	return s && s->flags & KVM_MEM_GUEST_MEMFD;
}

bool kvm_mem_is_private(struct kvm *kvm, gfn_t gfn)
{
	return pages[gfn_page(gfn)].private;
}

int kvm_gmem_lock_pfn(struct kvm_memory_slot *s, gfn_t gfn, kvm_pfn_t *pfn, struct file **f)
{
	if (!pages[gfn_page(gfn)].present)
		return -ENOENT;

	CHECK(!file.held++);
	*f = &file;
	*pfn = gfn + PFN_OFFSET;
	return 0;
}

void kvm_gmem_unlock_pfn(struct file *f)
{
	CHECK(!--f->held);
}

int snp_lookup_rmpentry(u64 pfn, bool *assigned, int *level)
{
	*assigned = pages[gfn_page(pfn - PFN_OFFSET)].assigned;
	return 0;
}

struct kvm kvm;
struct vcpu_svm vcpus[NR_VCPUS];

struct kvm_vcpu *kvm_get_vcpu_by_id(struct kvm *k, u32 id)
{
	return id < NR_VCPUS ? vcpu(id) : NULL;
}

/* The target leaves the guest, before anything has changed. */
void kvm_make_vcpus_request_mask(struct kvm *k, unsigned int req, unsigned long *mask)
{
	int i;

	for (i = 0; i < NR_VCPUS; i++) {
		if (!(mask[0] & BIT(i)))
			continue;
		vcpu(i)->request = true;
		vcpu(i)->in_guest = false;
		k->nr_kicks++;
	}
}

void kvm_vcpu_reset(struct kvm_vcpu *v, bool init_event)
{
	CHECK(init_event && v->mutex.held);
	sev_snp_init_protected_guest_state(v);
}

void init_vm(void)
{
	int i;

	memset(&kvm, 0, sizeof(kvm));
	memset(vcpus, 0, sizeof(vcpus));
	kvm.sev.context.vmsa_features = FEATURES;
	kvm.sev.ctx = (void *)&kvm.sev.context;
	kvm.arch.pre_fault_allowed = true;
	kvm.nr_vcpus = NR_VCPUS;
	sev_snp_ap_vm_init(&kvm);

	for (i = 0; i < NR_VCPUS; i++) {
		kvm.vcpus[i] = vcpu(i);
		vcpu(i)->kvm = &kvm;
		vcpu(i)->vcpu_id = vcpu(i)->vcpu_idx = i;
		vcpu(i)->arch.apic = &vcpu(i)->lapic;
		vcpu(i)->arch.mp_state = KVM_MP_STATE_UNINITIALIZED;
		vcpus[i].vmcb = &vcpus[i].vmcb01;
		vcpus[i].vmcb->control.vmsa_pa = INVALID_PAGE;
		vcpus[i].sev_es.vmsa = (void *)own_page(i);
		sev_snp_ap_vcpu_init(&vcpus[i]);
	}
	for (i = 0; i < ALL_PAGES; i++)
		pages[i] = (struct page){ true, true, true, true };
}

void check_no_locks(void)
{
	CHECK(!kvm.sev.snp_ap_lock.held && !kvm.mmu_lock.read && !kvm.mmu_lock.write &&
	      !file.held);
}
