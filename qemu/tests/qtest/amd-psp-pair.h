/*
 * AMD Platform Security Processor: machines between which guests go
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_QTEST_AMD_PSP_PAIR_H
#define TESTS_QTEST_AMD_PSP_PAIR_H

#include "amd-psp-util.h"

#define HDR_LEN 52
#define MAX_LEN 0x5000
#define ROOT_LEN (2 * 832)

#define HDR_AT (IN + 0xa000)
#define PACKET_AT (IN + 0xa080)
#define GUEST_LEN 0x6000                /* at DATA; the VMSAs follow */
#define VMSA(n) (DATA + 0x8000 + (n) * 0x1000)
#define LANDING (DATA + 0x20000)        /* where packets arrive */

enum { EAST, WEST, SOUTH, MACHINES };

typedef struct Certs {
    uint8_t pdh[CERT_LEN];
    uint8_t chain[3][CERT_LEN];
    uint8_t root[ROOT_LEN];
    uint32_t root_len;
} Certs;

typedef struct Session {
    uint8_t pdh[CERT_LEN];              /* the sender's */
    uint8_t raw[SESSION_LEN];
    uint32_t policy;
} Session;

typedef struct Packet {
    uint8_t hdr[HDR_LEN];
    uint8_t data[MAX_LEN];
    uint32_t len;
} Packet;

/*
 * Three machines run side by side. East and West are of one root, South is of
 * another. What follows works on the machine at which the test is.
 */
void pair_start(void);
void pair_stop(void);
void pair_at(int machine);
void pair_get_certs(int machine, Certs *c);

/* A guest that runs, with memory at DATA and two VMSAs if it is an ES guest */
void pair_run_guest(uint32_t policy);
/* A guest that West starts to send and East to receive; ends at West */
void pair_connect(uint32_t policy, Session *se);
unsigned pair_send_start(const Certs *to, Session *se);
unsigned pair_receive_start(const Session *se);
unsigned pair_send(unsigned cmd, uint64_t page, uint32_t len, Packet *p);
unsigned pair_receive(unsigned cmd, const Packet *p, uint64_t page);
unsigned pair_send_data(uint64_t page, uint32_t len, Packet *p);
unsigned pair_receive_data(const Packet *p, uint64_t page);
unsigned pair_send_vmsa(uint64_t page, Packet *p);
unsigned pair_receive_vmsa(const Packet *p, uint64_t page);

/* Commands with no other field than the guest's handle */
unsigned pair_simple(unsigned cmd);
unsigned pair_activate(uint32_t asid);
unsigned pair_guest_state(void);

/* What the guest sees */
void pair_peek(uint64_t page, void *buf, uint32_t len);
void pair_poke(uint64_t page, const void *buf, uint32_t len);

void pair_fill(uint8_t *buf, size_t len, unsigned salt);

#endif
