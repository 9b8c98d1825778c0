/*
 * A BIOS image with a test's code
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "qemu/osdep.h"
#include "x86-rom.h"

#define ROM_SIZE        0x10000
#define RESET_VECTOR    0xfff0

char *x86_rom_create(const uint8_t *code, size_t len)
{
    static const uint8_t jump[] = { 0xe9, 0x0d, 0xf0 };     /* to X86_ROM_IP */
    g_autofree uint8_t *rom = g_malloc0(ROM_SIZE);
    char *path = NULL;
    int fd = g_file_open_tmp("x86-rom-XXXXXX", &path, NULL);

    g_assert_cmpint(fd, >=, 0);
    close(fd);
    g_assert_cmpint(len, <=, RESET_VECTOR - X86_ROM_IP);
    memcpy(rom + X86_ROM_IP, code, len);
    memcpy(rom + RESET_VECTOR, jump, sizeof(jump));
    g_assert_true(g_file_set_contents(path, (char *)rom, ROM_SIZE, NULL));
    return path;
}
