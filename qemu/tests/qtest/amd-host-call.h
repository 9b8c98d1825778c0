/*
 * World switch and TLB tests: how their CPU is called
 *
 * For the assembler.  The mailbox at 0x8000 is that of amd-snp-host-util.h: the
 * address of a routine, then what it gets in RAX, RCX and RDX; at 0x20, 1 when it
 * is over; at 0x28, RAX; at 0x38, the vector if there was an exception.  With that
 * one on the stack, its stub jumps to "fault".
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
    .macro entry name
    .globl \name
\name:
    .endm

    .macro call_loop name
\name:
    movq $0x30000, %rsp
    lidt 0x8080
next:
    pause
    cmpq $0, 0x8000
    je next
    movq $-1, 0x8038
    movq 0x8000, %rbx
    movq 0x8008, %rax
    movq 0x8010, %rcx
    movq 0x8018, %rdx
    call *%rbx
    movq %rax, 0x8028
fault:
    movq $0x30000, %rsp
    movq $0, 0x8000
    movq $1, 0x8020
    jmp next
    .endm
