/*
 * TLB test: what runs on the CPU
 *
 * The CPU comes here by way of snp_rom (amd-snp-host.S).  tlb_loop calls one
 * routine at a time for the test (amd-host-call.S.inc), and flushes nothing of its own
 * accord.  Guests have their operands in ECX and EDX.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "amd-host-call.S.inc"

    .section .note.GNU-stack, "", @progbits
    .section .rodata
    .globl tlb_loop, tlb_loop_end, tlb_stubs, tlb_guest, tlb_guest_end

    .code64
    call_loop tlb_loop

entry t_wrmsr
    movq %rcx, %rdx
    xchgq %rax, %rcx
    shrq $32, %rdx
    wrmsr
    ret

entry t_rdmsr
    movq %rax, %rcx
    rdmsr
    shlq $32, %rdx
    orq %rdx, %rax
    ret

entry t_vmrun
    clgi
    vmrun %rax
    stgi
    ret

entry t_load
    movl (%rax), %eax
    ret

entry t_invlpg
    invlpg (%rax)
    ret

entry t_invlpga
    .byte 0x0f, 0x01, 0xdf
    ret

entry t_load_cr3
    movq %cr3, %rax
    movq %rax, %cr3
    ret

/* At RAX is "movl $..., %eax; ret" */
entry t_patch_call
    movl %ecx, 1(%rax)
    call *%rax
    ret

    .balign 16
tlb_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    pushq $vector
    jmp caught
    .set vector, vector + 1
    .endr
    .balign 16
caught:
    popq 0x8038
    jmp fault
tlb_loop_end:

/* ---- the guest, at 0x1000 */

    .code32
tlb_guest:
say:
    .byte 0x0f, 0x01, 0xd9              /* VMMCALL */

entry g_invlpg
    invlpg (%edx)
    jmp say

entry g_load_cr3
    movl %cr3, %eax
    movl %eax, %cr3
    jmp say

entry g_load
    movl (%edx), %eax
    jmp say

entry g_store
    movl %ecx, (%edx)
    jmp say

entry g_patch_call
    movl %ecx, 1(%edx)
    call *%edx
    jmp say

/* Of SNP guests, which report by the GHCB MSR.  X is 1 GB, its PTE at 0x7000. */
entry g_snp
    call 1f
    movl $0x11067, 0x7000
entry g_snp_load
    call 1f
    jmp g_snp_load
1:  movl 0x40000000, %eax
    xorl %edx, %edx
    movl $0xc0010130, %ecx
    wrmsr
    .byte 0xf3, 0x0f, 0x01, 0xd9        /* VMGEXIT */
    ret
tlb_guest_end:
