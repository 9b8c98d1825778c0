/*
 * Memory encryption: what device accesses to RAM have to know of it
 *
 * RAM may hold the plaintext view of an encrypted page while a guest works on
 * it.  Devices must not see that view: a memory encryption engine registers
 * these functions, and the physical memory code asks them about each buffer.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#ifndef EXEC_MEMORY_ENCRYPTION_H
#define EXEC_MEMORY_ENCRYPTION_H

#include "exec/memattrs.h"

typedef struct MemoryEncryptionOps {
    /* Is any byte of RAM at host address @ptr not in its raw form? */
    bool (*is_encrypted)(const void *ptr, size_t len);
    /* Copy between @buf and the raw form of RAM at host address @ptr. */
    void (*read_raw)(const void *ptr, void *buf, size_t len);
    void (*write_raw)(void *ptr, const void *buf, size_t len);
    /* May a device write to all of RAM at host address @ptr? */
    bool (*may_write)(const void *ptr, size_t len, MemTxAttrs attrs);
} MemoryEncryptionOps;

/* NULL on machines without an engine; set once, before any CPU runs. */
extern const MemoryEncryptionOps *memory_encryption_ops;

static inline bool memory_is_encrypted(const void *ptr, size_t len)
{
    return unlikely(memory_encryption_ops) &&
           memory_encryption_ops->is_encrypted(ptr, len);
}

static inline bool memory_may_write(const void *ptr, size_t len,
                                    MemTxAttrs attrs)
{
    return likely(!memory_encryption_ops) ||
           memory_encryption_ops->may_write(ptr, len, attrs);
}

#endif
