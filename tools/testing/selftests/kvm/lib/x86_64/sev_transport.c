// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV and SEV-ES guests on their way from one VM to another.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include <linux/psp-sev.h>

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_transport.h"

#define EMULATOR_ROOT	\
	"/sys/firmware/qemu_fw_cfg/by_name/etc/amd-psp/ask-ark.cert/raw"

bool sev_read_root(const char *path, struct sev_certs *certs)
{
	FILE *f = fopen(path ?: EMULATOR_ROOT, "r");

	if (!f)
		return false;

	certs->root_len = fread(certs->root, 1, sizeof(certs->root), f);
	fclose(f);
	return certs->root_len;
}

void sev_export_certs(struct kvm_vm *vm, struct sev_certs *certs)
{
	struct sev_user_data_pdh_cert_export export = {
		.pdh_cert_address = (uintptr_t)certs->pdh,
		.pdh_cert_len = sizeof(certs->pdh),
		.cert_chain_address = (uintptr_t)certs->chain,
		.cert_chain_len = sizeof(certs->chain),
	};
	struct sev_issue_cmd cmd = {
		.cmd = SEV_PDH_CERT_EXPORT,
		.data = (uintptr_t)&export,
	};
	int r = ioctl(vm->arch.sev_fd, SEV_ISSUE_CMD, &cmd);

	TEST_ASSERT(!r, "SEV_PDH_CERT_EXPORT: %s, firmware %u", strerror(errno),
		    cmd.error);
}

int sev_cmd(struct kvm_vm *vm, uint32_t id, void *data, uint32_t *fw)
{
	struct kvm_sev_cmd cmd = {
		.id = id,
		.data = (uintptr_t)data,
		.sev_fd = vm->arch.sev_fd,
	};
	int r = ioctl(vm->fd, KVM_MEMORY_ENCRYPT_OP, &cmd) ? -errno : 0;

	if (fw)
		*fw = cmd.error;
	return r;
}

int vm_sev_state(struct kvm_vm *vm)
{
	struct kvm_sev_guest_status status;

	TEST_ASSERT(!sev_cmd(vm, KVM_SEV_GUEST_STATUS, &status, NULL),
		    "KVM_SEV_GUEST_STATUS");
	return status.state;
}

int vm_sev_send_start(struct kvm_vm *vm, const struct sev_certs *to,
		      struct sev_session *session, uint32_t *fw)
{
	struct kvm_sev_send_start start = {
		.pdh_cert_uaddr = (uintptr_t)to->pdh,
		.pdh_cert_len = sizeof(to->pdh),
		.plat_certs_uaddr = (uintptr_t)to->chain,
		.plat_certs_len = sizeof(to->chain),
		.amd_certs_uaddr = (uintptr_t)to->root,
		.amd_certs_len = to->root_len,
		.session_uaddr = (uintptr_t)session->raw,
		.session_len = sizeof(session->raw),
	};
	struct sev_certs own;
	int r;

	r = sev_cmd(vm, KVM_SEV_SEND_START, &start, fw);
	session->policy = start.policy;
	if (!r) {
		sev_export_certs(vm, &own);
		memcpy(session->pdh, own.pdh, sizeof(own.pdh));
	}
	return r;
}

int vm_sev_receive_start(struct kvm_vm *vm, struct sev_session *session,
			 uint32_t *fw)
{
	struct kvm_sev_receive_start start = {
		.policy = session->policy,
		.pdh_uaddr = (uintptr_t)session->pdh,
		.pdh_len = sizeof(session->pdh),
		.session_uaddr = (uintptr_t)session->raw,
		.session_len = sizeof(session->raw),
	};

	return sev_cmd(vm, KVM_SEV_RECEIVE_START, &start, fw);
}

int vm_sev_send_page(struct kvm_vm *vm, uint64_t gpa,
		     struct sev_page_packet *packet, uint32_t *fw)
{
	struct kvm_sev_send_update_data data = {
		.hdr_uaddr = (uintptr_t)packet->hdr,
		.hdr_len = sizeof(packet->hdr),
		.guest_uaddr = (uintptr_t)addr_gpa2hva(vm, gpa),
		.guest_len = sizeof(packet->data),
		.trans_uaddr = (uintptr_t)packet->data,
		.trans_len = sizeof(packet->data),
	};

	packet->gpa = gpa;
	return sev_cmd(vm, KVM_SEV_SEND_UPDATE_DATA, &data, fw);
}

int vm_sev_receive_page(struct kvm_vm *vm, const struct sev_page_packet *packet,
			uint32_t *fw)
{
	struct kvm_sev_receive_update_data data = {
		.hdr_uaddr = (uintptr_t)packet->hdr,
		.hdr_len = sizeof(packet->hdr),
		.guest_uaddr = (uintptr_t)addr_gpa2hva(vm, packet->gpa),
		.guest_len = sizeof(packet->data),
		.trans_uaddr = (uintptr_t)packet->data,
		.trans_len = sizeof(packet->data),
	};

	return sev_cmd(vm, KVM_SEV_RECEIVE_UPDATE_DATA, &data, fw);
}

static int vcpu_sev_cmd(struct kvm_vcpu *vcpu, uint32_t id,
			const struct sev_vcpu_packet *packet, uint32_t *fw)
{
	struct kvm_sev_vmsa_packet params = {
		.vcpu_id = vcpu->id,
		.hdr_uaddr = (uintptr_t)packet->hdr,
		.hdr_len = sizeof(packet->hdr),
		.trans_uaddr = (uintptr_t)packet->data,
		.trans_len = sizeof(packet->data),
		.record_uaddr = (uintptr_t)&packet->record,
		.record_len = sizeof(packet->record),
	};

	return sev_cmd(vcpu->vm, id, &params, fw);
}

int __vcpu_sev_send(struct kvm_vcpu *vcpu, struct sev_vcpu_packet *packet,
		    uint32_t *fw)
{
	packet->vcpu_id = vcpu->id;
	return vcpu_sev_cmd(vcpu, KVM_SEV_SEND_UPDATE_VMSA, packet, fw);
}

int __vcpu_sev_receive(struct kvm_vcpu *vcpu,
		       const struct sev_vcpu_packet *packet, uint32_t *fw)
{
	return vcpu_sev_cmd(vcpu, KVM_SEV_RECEIVE_UPDATE_VMSA, packet, fw);
}

void vcpu_sev_send(struct kvm_vcpu *vcpu, struct sev_vcpu_packet *packet)
{
	uint32_t fw;
	int r = __vcpu_sev_send(vcpu, packet, &fw);

	TEST_ASSERT(!r, "KVM_SEV_SEND_UPDATE_VMSA: %s, firmware %u",
		    strerror(-r), fw);
	packet->apic_base = vcpu_get_msr(vcpu, MSR_IA32_APICBASE);
	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &packet->lapic);
	vcpu_events_get(vcpu, &packet->events);
	vcpu_mp_state_get(vcpu, &packet->mp_state);
}

void vcpu_sev_receive(struct kvm_vcpu *vcpu, const struct sev_vcpu_packet *packet)
{
	struct sev_vcpu_packet p = *packet;
	uint32_t fw;
	int r = __vcpu_sev_receive(vcpu, packet, &fw);

	TEST_ASSERT(!r, "KVM_SEV_RECEIVE_UPDATE_VMSA: %s, firmware %u",
		    strerror(-r), fw);
	vcpu_set_msr(vcpu, MSR_IA32_APICBASE, p.apic_base);
	vcpu_ioctl(vcpu, KVM_SET_LAPIC, &p.lapic);
	vcpu_events_set(vcpu, &p.events);
	vcpu_mp_state_set(vcpu, &p.mp_state);
}

static void transport_page(struct kvm_vm *from, struct kvm_vm *to, uint64_t gpa)
{
	struct sev_page_packet packet;
	uint32_t fw;
	int r;

	r = vm_sev_send_page(from, gpa, &packet, &fw);
	TEST_ASSERT(!r, "Sending the page at %#lx: %s, firmware %u", gpa,
		    strerror(-r), fw);
	r = vm_sev_receive_page(to, &packet, &fw);
	TEST_ASSERT(!r, "Receiving the page at %#lx: %s, firmware %u", gpa,
		    strerror(-r), fw);
}

static void transport_region(struct kvm_vm *from, struct kvm_vm *to,
			     struct userspace_mem_region *region)
{
	uint64_t gpa = region->region.guest_phys_addr;
	uint64_t end = gpa + region->region.memory_size;

	for (; gpa < end; gpa += from->page_size) {
		if (sparsebit_is_set(region->protected_phy_pages, gpa >> from->page_shift))
			transport_page(from, to, gpa);
		else
			memcpy(addr_gpa2hva(to, gpa), addr_gpa2hva(from, gpa),
			       from->page_size);
	}
}

void vm_sev_transport_memory(struct kvm_vm *from, struct kvm_vm *to)
{
	struct userspace_mem_region *region;
	int ctr;

	hash_for_each(to->regions.slot_hash, ctr, region, slot_node)
		sev_register_encrypted_memory(to, region);

	hash_for_each(from->regions.slot_hash, ctr, region, slot_node)
		transport_region(from, to, region);
}
