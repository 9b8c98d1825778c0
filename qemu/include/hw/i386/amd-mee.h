/*
 * AMD memory encryption engine (SEV)
 *
 * The engine sits between the caches and DRAM: what a guest stores through a
 * private mapping reaches DRAM encrypted under the key of its ASID, and anybody
 * who reads it without that key sees ciphertext.
 *
 * Addresses are system physical addresses without the C-bit.  A key is named by
 * its ASID; 0 means no key, that is the content of DRAM as it is.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef HW_I386_AMD_MEE_H
#define HW_I386_AMD_MEE_H

#include "exec/hwaddr.h"

/* AES-128-XTS: one key for the data, one for the tweak */
#define AMD_MEE_KEY_SIZE 32

/* Bytes of a VMSA that its CRC covers (legacy SEV-ES) */
#define AMD_MEE_VMSA_CRC_BYTES 0xfc0

/*
 * Create the machine's engine, for keys 1 to @max_asid.  The CPUs and the
 * secure processor each ask for it; all but the first call change nothing.
 */
void amd_mee_create(unsigned max_asid);
unsigned amd_mee_max_asid(void);

extern bool amd_mee_created;

/* Is there an engine?  Machines without one pay for this test only. */
static inline bool amd_mee_active(void)
{
    return amd_mee_created;
}

/*
 * Keys come and go with the ASID's activation by the secure processor.  Once a
 * key is removed, what is encrypted under it is ciphertext to everybody.
 */
void amd_mee_install_key(uint32_t asid, const uint8_t key[AMD_MEE_KEY_SIZE]);
void amd_mee_remove_key(uint32_t asid);
bool amd_mee_has_key(uint32_t asid);

/* Is all of the range memory behind the engine? */
bool amd_mee_covers(hwaddr pa, size_t len);

/*
 * Access @len bytes at @pa as one who holds key @asid.  For the secure
 * processor and the CPU's microcode; other CPUs may run meanwhile.  False if
 * the range is not all RAM, or there is no such key.
 */
bool amd_mee_read(hwaddr pa, uint32_t asid, void *buf, size_t len);
bool amd_mee_write(hwaddr pa, uint32_t asid, const void *buf, size_t len);

/*
 * To be asked by @cs before it enters the page of @pa into its TLB for accesses
 * under key @asid.  True: go on.  False: the change of key has been queued, and
 * the instruction has to be started again (cpu_loop_exit_restore()).
 */
bool amd_mee_tlb_fill(CPUState *cs, hwaddr pa, uint32_t asid);

/*
 * The checksums of SEV-ES VMSAs, kept in the trusted memory region that the
 * host hands to the secure processor.  No x86 core can reach that memory on
 * silicon; here it is the engine's own.  A slot is named by its address.
 */
void amd_mee_crc_pool(hwaddr base, hwaddr len);
bool amd_mee_crc_alloc(hwaddr *slot);
void amd_mee_crc_free(hwaddr slot);
bool amd_mee_crc_check(hwaddr slot, uint64_t crc);
void amd_mee_crc_store(hwaddr slot, uint64_t crc);
uint64_t amd_mee_vmsa_crc(const void *vmsa);

#endif
