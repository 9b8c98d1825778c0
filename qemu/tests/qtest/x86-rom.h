/*
 * A BIOS image with a test's code
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef TESTS_X86_ROM_H
#define TESTS_X86_ROM_H

#define X86_ROM_IP      0xf000                  /* in real mode, CS as at reset */
#define X86_ROM_BASE    (0xffff0000 + X86_ROM_IP)

/*
 * A file for -bios, whose reset vector goes to @code at X86_ROM_BASE.  Returns
 * its name, which the caller frees, as well as unlinks the file.
 */
char *x86_rom_create(const uint8_t *code, size_t len);

#endif
