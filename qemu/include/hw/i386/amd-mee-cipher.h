/*
 * AMD memory encryption engine: the cipher of one key
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_AMD_MEE_CIPHER_H
#define HW_I386_AMD_MEE_CIPHER_H

#include "exec/hwaddr.h"
#include "hw/i386/amd-mee.h"

#define MEE_PAGE_BITS 12
#define MEE_PAGE_SIZE (1u << MEE_PAGE_BITS)

typedef struct MeeCipher MeeCipher;

MeeCipher *mee_cipher_new(const uint8_t key[AMD_MEE_KEY_SIZE]);
void mee_cipher_free(MeeCipher *c);

/*
 * Transform the whole page at system physical address @pa in place.  Blocks of
 * 16 bytes do not depend on each other: a change of one changes one.  Not to be
 * called for one cipher by two threads at once.
 */
void mee_cipher_encrypt(MeeCipher *c, hwaddr pa, uint8_t *page);
void mee_cipher_decrypt(MeeCipher *c, hwaddr pa, uint8_t *page);

uint64_t mee_crc64(const uint8_t *buf, size_t len);

#endif
