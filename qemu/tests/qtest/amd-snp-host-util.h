/*
 * SEV-SNP host tests: a CPU that executes single instructions for the test
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_QTEST_AMD_SNP_HOST_UTIL_H
#define TESTS_QTEST_AMD_SNP_HOST_UTIL_H

#include "amd-psp-util.h"

/* Physical memory */
#define MAILBOX         0x8000
#define IDTR            0x8080
#define IDT             0x9000
#define LOOP            0x10000
#define PML4            0x20000
#define PDPT            0x21000
#define PD              0x22000         /* four of them */
#define STATE           0x28000         /* operand of RMPUPDATE */
#define STATE2          0x28010         /* ... of the first of two */
#define HSAVE           0x40000
#define NPML4           0x50000
#define NPDPT           0x51000
#define NPD             0x52000
#define NPT             0x53000
#define IOPM            0x70000
#define MSRPM           0x74000
/* Pages that get an owner are in 2M pages of their own. */
#define PT              0x3000000       /* for AREA_4K */
#define VMCB            0x3200000
#define VMSA            0x3400000
#define AREA_4K         0x4000000       /* mapped by 4K pages */
#define AREA_2M         0x4200000       /* by a 2M page, as all the rest */
#define GUEST           0x6000000       /* GPA 0, nested 4K pages */
#define GUEST_2M        0x6200000       /* GPA 2M, a nested 2M page */

#define ASID            5

enum { WRMSR = 1, RDMSR, STORE, LOAD, RMPUPDATE, PSMASH, RMPREAD, PVALIDATE,
       VMRUN, STORE_BACK };

enum { UD = 6, GP = 13, PF = 14 };

#define MSR_SYSCFG      0xc0010010
#define MSR_TOP_MEM     0xc001001a
#define MSR_HSAVE_PA    0xc0010117
#define MSR_RMP_BASE    0xc0010132
#define SNP_EN          (3ULL << 24)
#define NO_FAULT        UINT64_MAX

typedef struct Outcome {
    uint64_t rax, flags, vector, error, cr2;
} Outcome;

uint64_t peek(uint64_t addr);
void poke(uint64_t addr, uint64_t val);

/* One instruction, and what came of it; or only begin with it */
Outcome run(uint64_t op, uint64_t a, uint64_t b, uint64_t c);
void begin(uint64_t op, uint64_t a, uint64_t b, uint64_t c);
void assert_runs(uint64_t op, uint64_t a, uint64_t b);
void assert_fault(uint64_t vector, uint64_t op, uint64_t a, uint64_t b);

/*
 * A machine with these options, whose CPU executes @loop at LOOP; the stubs for
 * exceptions are at offset @stubs
 */
void start_with(const char *machine, const uint8_t *loop, size_t len,
                uint64_t stubs);
/* A machine whose CPU has sev-snp-host=on and what @cpu adds; with its RMP on */
void start(const char *cpu);
void start_snp(const char *cpu);
void enable_snp(void);

/* Where the RMP has the entry of the page at @spa */
uint64_t entry_at(uint64_t spa);

#define E_ASSIGNED      1ULL
#define E_2M            2ULL
#define E_IMMUTABLE     4ULL
#define E_GUEST(asid, gpa) (E_ASSIGNED | (uint64_t)(asid) << 51 | (gpa))
#define E_VMSA          (1ULL << 61)
#define E_VALID         (1ULL << 62)
#define ALL_PERMS       0x0f

/* The operand of RMPUPDATE, at @addr */
void rmp_state(uint64_t addr, uint64_t gpa, uint32_t asid, bool assigned,
               bool large, bool immutable);
Outcome rmpupdate(uint64_t spa, uint64_t gpa, uint32_t asid, bool assigned,
                  bool large, bool immutable);

extern uint64_t rmp_base;

/*
 * Guests.  @save: VMSA, or the save area of the VMCB: they begin alike.  Flat, in
 * 32-bit mode, without paging and descriptor tables; then with these, by GPAs
 */
void vmcb_field(unsigned off, uint64_t val);
void flat_32bit_state(uint64_t save, uint64_t rip);
void descriptor_tables(uint64_t save, uint64_t gdt, uint64_t idt);
/* LAUNCH_UPDATE_DATA of a page */
void encrypt(uint64_t spa);

#endif
