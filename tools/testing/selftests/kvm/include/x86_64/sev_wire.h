/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How a SEV-ES guest goes from host to host: messages on a socket.
 *
 * The source speaks and the destination answers, one message at a time:
 *
 *   source                             destination's answer
 *   HELLO                              CERTS: PDH, chain, ASK and ARK
 *   CONFIG  policy, memory, CPUID      REPLY
 *   START   PDH, session, policy       REPLY
 *   PAGES   packets of memory          REPLY      any number of these
 *   VCPU    packet, record, the rest   REPLY      one per vCPU
 *   FINISH  counts, digest             REPLY
 *   BYE     instead: no guest comes    REPLY
 *
 * A message that is refused changes nothing (of several pages, those before the
 * one that is refused are in place): its number is still the next one, and the
 * right message takes its place.  One that comes again after it has
 * been accepted, because its answer was lost, gets the same answer.
 *
 * Head and body have checksums: those find damage.  Against a forger on the
 * line they are no help, and the firmware protects of all this the session, the
 * packets and the VMSAs alone; a VMM for use has to put the connection in TLS.
 *
 * All numbers are little endian, as in the hosts that have SEV.
 */
#ifndef SELFTEST_KVM_SEV_WIRE_H
#define SELFTEST_KVM_SEV_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include <linux/bits.h>

#include "kvm_util.h"
#include "sev_transport.h"

#define SEV_WIRE_MAGIC		0x4d564553	/* "SEVM" */
#define SEV_WIRE_VERSION	1

enum sev_wire_kind {
	SEV_WIRE_HELLO = 1,
	SEV_WIRE_CONFIG,
	SEV_WIRE_START,
	SEV_WIRE_PAGES,
	SEV_WIRE_VCPU,
	SEV_WIRE_FINISH,
	SEV_WIRE_BYE,
	SEV_WIRE_CERTS,
	SEV_WIRE_REPLY,
	SEV_WIRE_NR_KINDS,
};

struct sev_wire_head {
	uint32_t magic;
	uint16_t version;
	uint16_t kind;
	uint32_t number;	/* of the message, from 1; an answer has that of its message */
	uint32_t len;		/* of the body */
	uint32_t body_crc;
	uint32_t head_crc;	/* of all before it; last */
};

#define SEV_WIRE_VCPUS		16
#define SEV_WIRE_SLOTS		8
#define SEV_WIRE_CPUID		256
#define SEV_WIRE_PAGES_MAX	32
#define SEV_WIRE_MEMORY_MAX	BIT_ULL(30)

struct sev_wire_hello {
	uint32_t version;
	uint32_t reserved;
};

struct sev_wire_slot {
	uint64_t gpa;
	uint64_t size;
};

/* What the destination makes its VM from */
struct sev_wire_config {
	struct kvm_sev_init init;
	uint32_t nr_vcpus;
	uint32_t nr_slots;
	struct sev_wire_slot slots[SEV_WIRE_SLOTS];
	uint32_t nr_cpuid;
	uint32_t reserved;
	struct kvm_cpuid_entry2 cpuid[SEV_WIRE_CPUID];
};

struct sev_wire_page {
	struct sev_page_packet packet;
	uint32_t shared;	/* as it is, without header */
};

struct sev_wire_pages {
	uint32_t nr;
	uint32_t reserved;
	struct sev_wire_page page[SEV_WIRE_PAGES_MAX];
};

struct sev_wire_vcpu {
	struct sev_vcpu_packet packet;
	uint64_t tsc;
};

/* The guest's counters are what each vCPU has told the source last. */
struct sev_wire_finish {
	uint64_t nr_pages;
	uint64_t count[SEV_WIRE_VCPUS];
	uint32_t reserved;
	uint32_t digest;	/* of all messages and of the above; last */
};

/*
 * 0 or a negative errno; with -EIO, the firmware's status.  -ECANCELED: the
 * destination does not want the guest any more.
 */
struct sev_wire_reply {
	int32_t error;
	uint32_t fw;
	uint32_t page;		/* which of the message's pages it is about */
	uint32_t reserved;
};

#define SEV_WIRE_BODY_MAX	(sizeof(struct sev_wire_pages))

/* A message, ready to be sent */
struct sev_wire_message {
	struct sev_wire_head head;
	uint8_t body[];
};

const char *sev_wire_name(uint32_t kind);
uint32_t sev_wire_crc(uint32_t crc, const void *data, size_t len);
void sev_wire_seal(struct sev_wire_message *m, uint32_t kind, uint32_t number,
		   const void *body, uint32_t len);

/*
 * These return 0 or a negative errno.  A message that is received has room for
 * a body of SEV_WIRE_BODY_MAX; -EBADMSG: its body is damaged; -EPROTO: its head
 * is, so that nobody knows where the next one begins; -EPIPE: there is none.
 */
int sev_wire_write(int fd, const void *data, size_t len);
int sev_wire_send(int fd, const struct sev_wire_message *m);
int sev_wire_receive(int fd, struct sev_wire_message *m);

/* Sockets, or a negative errno; the accepted one and the other after @seconds. */
int sev_wire_listen(const char *port);
int sev_wire_accept(int listener, int seconds);
int sev_wire_connect(const char *host, const char *port, int seconds);

/* Say all that was to be said, and take what is left, so that it gets there. */
void sev_wire_hang_up(int fd);

#endif /* SELFTEST_KVM_SEV_WIRE_H */
