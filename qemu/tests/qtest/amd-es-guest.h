/*
 * World switch tests: a guest of the test's CPU
 *
 * The CPU calls routines for the test (amd-es-host.S), some of which run a guest:
 * an ordinary one, or an SEV-ES guest that is launched with the secure
 * processor's commands.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_QTEST_AMD_ES_GUEST_H
#define TESTS_QTEST_AMD_ES_GUEST_H

#include "amd-snp-host-util.h"

extern const uint8_t es_loop[], es_loop_end[], es_stubs[];
extern const uint8_t es_guest[], es_guest_end[];
extern const uint8_t h_wrmsr[], h_rdmsr[], h_vmrun[];
extern const uint8_t g_nmi_handler[], g_debug_handler[], g_gp_handler[],
                     g_vc_handler[];

/* In the guest, which runs without paging: all of it is private. */
#define CODE            0x1000
#define GIDT            0x2000
#define GGDT            0x2800
#define GDATA           0x4000

#define INVALID         UINT64_MAX

/* Intercepts, word 3 */
#define NMIS_TO_HOST    (1u << 1)
#define INIT_TO_HOST    (1u << 3)
#define SHUTDOWN        (1u << 31)

extern bool es;                         /* the guest is an SEV-ES guest */

/* ---- the host: routines, without and with a fault that is expected */

uint64_t routine(const uint8_t *label);
uint64_t call(const uint8_t *label, uint64_t a, uint64_t b, uint64_t c);
uint64_t rdmsr(uint32_t msr);
void wrmsr(uint32_t msr, uint64_t val);

/* @cpu: what is added to its model; with 3 GB if the CPU is to have an RMP */
void boot(const char *cpu);
void boot_snp(void);

/* ---- the guest */

void intercepts(uint32_t word_3);

/* In memory, ready to be launched; then launched, if it is an SEV-ES guest */
void place_guest(const uint8_t *entry);
void launch_guest(void);
void launch_vmsa(uint64_t spa);
void start_guest(const char *cpu, const uint8_t *entry);
/*
 * An SNP guest, whose pages software has put into the RMP; @prepare changes what
 * is in memory before it is launched, if not NULL.
 */
void start_snp_guest(const uint8_t *entry, void (*prepare)(void));
void set_entry(uint64_t spa, uint64_t lo, uint64_t perms);

/* Run it; what it exits with */
uint64_t exit_code(const uint8_t *how);
/* The guest says @val next; it can be resumed then. */
void assert_says_when(const uint8_t *how, uint64_t val);
void assert_says(uint64_t val);

#endif
