/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * SEV and SEV-ES guests on their way from one VM to another, on this host or,
 * with what is in these structures sent by whatever means, on another.
 *
 * Functions that return an int return 0 or a negative errno, as seen by a VMM;
 * -EIO with the firmware's status in *@fw.
 */
#ifndef SELFTEST_KVM_SEV_TRANSPORT_H
#define SELFTEST_KVM_SEV_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <linux/bits.h>
#include <linux/sev-vcpu-record.h>

#include "kvm_util.h"
#include "sev.h"

#define SEV_CERT_LEN		0x824
#define SEV_ROOT_LEN_MAX	3200	/* ASK and ARK of 4096 bits */
#define SEV_SESSION_LEN		128
#define SEV_PACKET_HDR_LEN	52

#define SEV_POLICY_NO_SEND	BIT(3)

#define SEV_GUEST_STATE_SEND_UPDATE	4
#define SEV_GUEST_STATE_RECEIVE_UPDATE	5
#define SEV_GUEST_STATE_SENT		6

/* What a host has to be told about the host that it shall send to. */
struct sev_certs {
	uint8_t pdh[SEV_CERT_LEN];
	uint8_t chain[3][SEV_CERT_LEN];
	uint8_t root[SEV_ROOT_LEN_MAX];
	uint32_t root_len;
};

struct sev_session {
	uint8_t pdh[SEV_CERT_LEN];	/* the sender's */
	uint8_t raw[SEV_SESSION_LEN];
	uint32_t policy;
};

struct sev_page_packet {
	uint64_t gpa;
	uint8_t hdr[SEV_PACKET_HDR_LEN];
	uint8_t data[4096];
};

/*
 * A vCPU, with what userspace moves of any guest.  Of MSRs only the address of
 * the APIC, on which the meaning of the others depends.
 */
struct sev_vcpu_packet {
	uint32_t vcpu_id;
	uint8_t hdr[SEV_PACKET_HDR_LEN];
	uint8_t data[4096];
	struct sev_vcpu_record record;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	uint64_t apic_base;
};

/* The file of the root's certificates; NULL: where the emulator has it. */
bool sev_read_root(const char *path, struct sev_certs *certs);
void sev_export_certs(struct kvm_vm *vm, struct sev_certs *certs);

int sev_cmd(struct kvm_vm *vm, uint32_t id, void *data, uint32_t *fw);
int vm_sev_state(struct kvm_vm *vm);

int vm_sev_send_start(struct kvm_vm *vm, const struct sev_certs *to,
		      struct sev_session *session, uint32_t *fw);
int vm_sev_receive_start(struct kvm_vm *vm, struct sev_session *session,
			 uint32_t *fw);

int vm_sev_send_page(struct kvm_vm *vm, uint64_t gpa,
		     struct sev_page_packet *packet, uint32_t *fw);
int vm_sev_receive_page(struct kvm_vm *vm, const struct sev_page_packet *packet,
			uint32_t *fw);

/* The VMSA and the record alone; or with the rest, which has to succeed. */
int __vcpu_sev_send(struct kvm_vcpu *vcpu, struct sev_vcpu_packet *packet,
		    uint32_t *fw);
int __vcpu_sev_receive(struct kvm_vcpu *vcpu,
		       const struct sev_vcpu_packet *packet, uint32_t *fw);
void vcpu_sev_send(struct kvm_vcpu *vcpu, struct sev_vcpu_packet *packet);
void vcpu_sev_receive(struct kvm_vcpu *vcpu, const struct sev_vcpu_packet *packet);

/* All memory of @from to @to, which was made in the same way. */
void vm_sev_transport_memory(struct kvm_vm *from, struct kvm_vm *to);

#endif /* SELFTEST_KVM_SEV_TRANSPORT_H */
