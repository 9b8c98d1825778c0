/*
 * AMD Platform Security Processor: one row per command, with a buffer that
 * succeeds
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */

#ifndef TESTS_QTEST_AMD_PSP_ROWS_H
#define TESTS_QTEST_AMD_PSP_ROWS_H

#include "amd-psp-util.h"

/* Platform states and guest stages in which a command succeeds */
#define P_U BIT(0)
#define P_I BIT(1)
#define P_W BIT(2)
#define P_ALL (P_U | P_I | P_W)
#define G(stage) BIT(stage)
#define G_ACTIVE (G(S_ACTIVE) | G(S_LSECRET) | G(S_RUNNING) | G(S_SUPDATE) | \
                  G(S_SENT) | G(S_RACTIVE))
#define G_INACTIVE (G(S_LUPDATE) | G(S_RUPDATE))
#define G_ANY (G_ACTIVE | G_INACTIVE)

#define F_ES BIT(0)                     /* needs an ES guest */

typedef struct Row {
    const char *name;
    unsigned cmd;
    unsigned platform;
    unsigned stages;                    /* 0: names no guest */
    unsigned flags;
    void (*prepare)(void);
    Field good[8];
} Row;

extern const Row psp_rows[];
extern const size_t psp_nr_rows;

size_t psp_row_fields(const Row *row);
void psp_expect(const Row *row, const char *what, Stage stage,
                unsigned got, unsigned want);

/* A test named after each row to which it applies */
void psp_add_rows(const char *kind, GTestDataFunc fn,
                  bool (*applies)(const Row *row));

#endif
