/*
 * Made-up SNP guests, for the unit tests of the AMD secure processor
 *
 * Requests are put together byte by byte for a guest context that no launch has
 * made. Of a request that was refused, everything that it could have changed is
 * compared with what it was.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_UNIT_AMD_PSP_SNP_GUEST_H
#define TESTS_UNIT_AMD_PSP_SNP_GUEST_H

#include "hw/boards.h"
#include "hw/misc/amd-psp-snp-crypto.h"
#include "hw/misc/amd-psp-snp-msg.h"

#define PAGE 4096
#define HDR 0x60
#define AAD 0x30

/* Message types and sizes */
#define CPUID_REQ 1
#define KEY_REQ 3
#define KEY_REQ_SIZE 0x20
#define KEY_RSP_SIZE 0x40
#define REPORT_REQ 5
#define REPORT_REQ_SIZE 0x60
#define REPORT_RSP_SIZE (0x20 + 0x4a0)

/* The emulator's version */
#define TCB 0x0315000000000102ull

extern MachineState machine;
extern AmdPspState *psp;
extern AmdPspSnpGuest guest;

/* A chip without a seed, a machine with SMT, a guest that runs */
void setup(void);
void fill(void *buf, size_t len, uint8_t salt);
void unhex(uint8_t *out, const char *hex);

#define ASSERT_HEX(mem, hex) do { \
    uint8_t want_[sizeof(hex) / 2]; \
    unhex(want_, hex); \
    g_assert_cmpmem(mem, sizeof(want_), want_, sizeof(want_)); \
} while (0)

/* A request in the clear, with the number that is due */
void make(uint8_t *page, uint8_t type, unsigned vmpck, const void *payload,
          size_t size);
/* Encrypt the payload that lies behind a finished header, and the reverse */
void seal(uint8_t *page, unsigned vmpck, size_t size);
void open_page(uint8_t *page, unsigned vmpck, size_t size);
/* Send a sealed page; if it is refused, nothing else may have happened. */
AmdPspStatus send_page(const uint8_t *page, uint8_t *resp);
/* A reply's header, but for the tag, and that nothing follows its payload */
void check_reply(const uint8_t *resp, uint64_t seqno, uint8_t type,
                 uint16_t size, uint8_t vmpck);
/* Ask and be answered; the answer's STATUS, its payload in @resp + HDR */
uint32_t ask(uint8_t type, unsigned vmpck, const void *payload, size_t size,
             size_t rsp_size, uint8_t *resp);
/* That there is nothing in the answer but its STATUS */
void assert_empty_reply(const uint8_t *resp, size_t size);

#endif
