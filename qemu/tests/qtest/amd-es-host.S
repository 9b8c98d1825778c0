/*
 * World switch test: what runs on the CPU
 *
 * The CPU comes here by way of snp_rom (amd-snp-host.S).  es_loop calls one
 * routine at a time for the test, by the mailbox at 0x8000, whose offsets are
 * those in amd-es-host-test.c.  The routines of an SEV-ES host find all but RAX
 * and RSP changed after VMRUN.  es_guest is a guest without paging; EDI is 1 in
 * an SEV-ES guest, which reports by the GHCB MSR, and 0 in another, by EAX.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#include "amd-host-call.S.inc"

    .section .note.GNU-stack, "", @progbits
    .section .rodata
    .globl es_loop, es_loop_end, es_stubs, es_guest, es_guest_end

    .macro send_self how
    movl $0xfee00310, %esi
    movl $0, (%rsi)
    movl $0xfee00300, %esi
    movl $\how, (%rsi)
    .endm

/* ---- the host, at 0x10000 */

    .code64
    call_loop es_loop

entry h_wrmsr
    movq %rcx, %rdx
    xchgq %rax, %rcx
    shrq $32, %rdx
    wrmsr
    ret

entry h_rdmsr
    movq %rax, %rcx
    rdmsr
    shlq $32, %rdx
    orq %rdx, %rax
    ret

entry h_cpuid
    cpuid
    movq %rax, 0x8100
    movq %rbx, 0x8108
    movq %rcx, 0x8110
    movq %rdx, 0x8118
    ret

entry h_load
    movq (%rax), %rax
    ret

entry h_store
    movq %rcx, (%rax)
    ret

entry h_psmash
    .byte 0xf3, 0x0f, 0x01, 0xff
    ret

/* RCX to R15 as #VMEXIT has left them, by their numbers, XMM0, MXCSR, CR2 */
entry h_vmrun_state
    clgi
    vmrun %rax
    movq %rcx, 0x8148
    movq %rdx, 0x8150
    movq %rbx, 0x8158
    movq %rbp, 0x8168
    movq %rsi, 0x8170
    movq %rdi, 0x8178
    movq %r8, 0x8180
    movq %r15, 0x81b8
    movdqu %xmm0, 0x81c0
    stmxcsr 0x81d0
    movq %cr2, %rax
    movq %rax, 0x81d8
    stgi
    ret

entry h_vmrun
    clgi
    xorl %edi, %edi
    xorl %ebx, %ebx
    vmrun %rax
    stgi
    ret

/* An NMI is pending when the guest begins to run. */
entry h_vmrun_nmi
    clgi
    send_self 0x4400
    xorl %edi, %edi
    xorl %ebx, %ebx
    vmrun %rax
    stgi
    nop
    ret

/* Likewise an SMI */
entry h_vmrun_smi
    clgi
    send_self 0x4200
    xorl %edi, %edi
    xorl %ebx, %ebx
    vmrun %rax
    stgi
    nop
    ret

/* From the NMI handler: see there. */
entry h_nmi
    movq %rax, 0x8068
    send_self 0x4400
    nop
    nop
    ret

/* INIT, with the flag at 0x8078 to say how far it got */
entry h_init
    clgi
    send_self 0x4500
    pause
    pause
    jmp init_held

entry h_init_guest
    clgi
    send_self 0x4500
    xorl %edi, %edi
    xorl %ebx, %ebx
    vmrun %rax
init_held:
    movq $1, 0x8078
    movq $0, 0x8000
    movq $1, 0x8020
    stgi
    nop
    movq $2, 0x8078
0:  jmp 0b

/* In the guest, which does not hear of it; the CPU comes back here. */
entry h_init_lost
    cmpq $0, 0x8078
    jne 1f
    movq $1, 0x8078
    clgi
    send_self 0x4500
    xorl %edi, %edi
    xorl %ebx, %ebx
    vmrun %rax
1:  ret

/* VM_PAGE_FLUSH with SMAP, as if RFLAGS.AC could excuse anything */
entry h_flush_smap
    movq %cr4, %rbx
    movq %rbx, %rsi
    orq $0x200000, %rsi
    movq %rsi, %cr4
    stac
    movq %rax, %rdx
    shrq $32, %rdx
    movl $0xc001011e, %ecx
    wrmsr
    clac
    movq %rbx, %cr4
    ret

entry h_read_drs
    movq %dr0, %rax
    movq %rax, 0x8100
    movq %dr1, %rax
    movq %rax, 0x8108
    movq %dr2, %rax
    movq %rax, 0x8110
    movq %dr3, %rax
    movq %rax, 0x8118
    movq %dr7, %rax
    ret

/* Debug registers as in the mailbox; RAX, RCX and RDX are left alone. */
entry h_write_drs
    movq 0x8100, %rsi
    movq %rsi, %dr0
    movq 0x8108, %rsi
    movq %rsi, %dr1
    movq 0x8110, %rsi
    movq %rsi, %dr2
    movq 0x8118, %rsi
    movq %rsi, %dr3
    movq 0x8138, %rsi
    movq %rsi, %dr7
    ret

disarm:
    movl $0x400, %esi
    movq %rsi, %dr7
    ret

entry h_watch_store
    call h_write_drs
    movb $1, (%rax)
    nop
    jmp disarm

/* The mask changes while the breakpoint is enabled. */
entry h_watch_remask
    call h_write_drs
    movq %rax, %rbx
    movl %edx, %eax
    xorl %edx, %edx
    wrmsr
    movb $1, (%rbx)
    nop
    jmp disarm

entry h_watch_nmi
    call h_write_drs
    send_self 0x4400
    nop
    nop
    jmp disarm

/*
 * NMIs are counted.  With an address at 0x8068, the handler runs the guest of
 * that VMCB, sends an NMI to itself, and says what the count is then.
 */
nmi:
    incq 0x8050
    cmpq $0, 0x8068
    je 1f
    movq 0x8068, %rax
    movq $0, 0x8068
    call h_vmrun
    send_self 0x4400
    nop
    nop
    movq 0x8050, %rax
    movq %rax, 0x8070
1:  iretq

/* Without the stack, on which there may be a data breakpoint */
debug:
    incq 0x8058
    movq %rax, 0x8120
    movq %dr6, %rax
    orq %rax, 0x8060
    movl $0xffff0ff0, %eax
    movq %rax, %dr6
    movq 0x8120, %rax
    iretq

    .balign 16
es_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    .if vector == 1
    jmp debug
    .elseif vector == 2
    jmp nmi
    .else
    pushq $vector
    jmp caught
    .endif
    .set vector, vector + 1
    .endr
    .balign 16
caught:
    popq 0x8038
    jmp fault
es_loop_end:

/* ---- the guest, at GPA 0x1000; its data at 0x4000 */

#define G(label)        (0x1000 + (label) - es_guest)

    .macro report what
    movl $\what, %eax
    call send
    .endm

    .macro iret_self
    pushfl
    pushl $8
    pushl $G(1f)
    iret
1:
    .endm

    .code32
es_guest:
send:
    testl %edi, %edi
    jz 1f
    pushl %edx
    xorl %edx, %edx
    movl $0xc0010130, %ecx
    wrmsr
    popl %edx
1:  .byte 0xf3, 0x0f, 0x01, 0xd9        /* VMGEXIT; VMMCALL to the others */
    ret

entry g_nmi_handler
    incl 0x4000
    movl %ebx, %eax
    shll $16, %eax
    orl $0x200, %eax
    orl 0x4000, %eax
    call send
    iret

entry g_debug_handler
    movl %dr6, %eax
    andl $0xf, %eax
    orl $0x400, %eax
    movl $0xffff0ff0, %edx
    movl %edx, %dr6
    call send
    iret

/* #VC: the error code is what there was to exit with; in 64-bit mode as well */
entry g_vc_handler
    popl %eax
    call send

entry g_nmi
    report 0x11
    iret_self
    report 0x12

entry g_shadow
    incl %ebx
    incl %ebx
    report 0x13

entry g_iret
    iret_self
    report 0x14

entry g_debug
    movl $5, 0x4010
    movl %dr3, %eax
    call send
    movl $0x4444, %eax
    movl %eax, %dr2
    movl $0xc0011019, %ecx              /* mask of DR1 */
    rdmsr
    call send
    movl %dr2, %eax
    call send

entry g_no_swap
    movl %dr0, %eax
    call send
    movl $0x7777, %eax
    movl %eax, %dr0
    report 0x15

entry g_pat
    movl $0x277, %ecx
    rdmsr
    call send
    movl $0x277, %ecx
    movl $0x06060606, %eax
    movl %eax, %edx
    wrmsr
    report 0x16

/* Until the host changes what is at 0x4010 */
entry g_busy
    movl $0x600df00d, 0x4000
1:  cmpl $0, 0x4010
    je 1b
    report 0x17
    movl 0x4000, %eax
    call send

entry g_status
    movl $0xc0010131, %ecx
    rdmsr
    call send

entry g_vmsave
    movl $0x5000, %eax
    .byte 0x0f, 0x01, 0xdb
    report 0x18

/*
 * A guest that is told what to do by the GHCB MSR, as VMRUN loads it: EAX, then
 * 4 bits for the operation, 4 for ECX, and EDX.  It answers with EAX, the lower
 * flags, a bit of ECX, and EDX.
 */
    .macro op name
    .long G(\name)
    .endm

entry g_serve
    xorl %eax, %eax
    xorl %edx, %edx
answer:
    movl $0xc0010130, %ecx
    wrmsr
    .byte 0xf3, 0x0f, 0x01, 0xd9
    rdmsr
    movl %edx, %ebx
    andl $0xf, %ebx
    movl %edx, %ecx
    shrl $4, %ecx
    andl $0xf, %ecx
    shrl $8, %edx
    jmp *G(ops)(, %ebx, 4)
    .balign 4
ops:
    op do_load
    op do_store
    op do_call
    op do_pvalidate
    op do_rmpadjust
    op do_rmpquery
    op do_cpuid
    op do_in
    op do_cr0
    op do_clts
    op do_efer
    op do_set_xmm
    op do_get_xmm
do_load:
    movl (%eax), %eax
    jmp done
do_store:
    movl %edx, (%eax)
    jmp done
do_call:
    call *%eax
    jmp done
do_pvalidate:
    .byte 0xf2, 0x0f, 0x01, 0xff
    jmp done
do_rmpadjust:
    .byte 0xf3, 0x0f, 0x01, 0xfe
    jmp done
do_rmpquery:
    .byte 0xf3, 0x0f, 0x01, 0xfd
    jmp done
do_cpuid:
    cpuid
    jmp done
do_in:
    inb %dx, %al
    jmp done
do_cr0:
    movl %eax, %cr0
    jmp done
do_clts:
    clts
    movl %cr0, %eax
    jmp done
do_efer:
    movl $0xc0000080, %ecx
    xorl %edx, %edx
    wrmsr
    rdmsr
    jmp done
do_set_xmm:
    movd %eax, %xmm0
    jmp done
do_get_xmm:
    movd %xmm0, %eax
done:
    pushfl
    popl %esi
    andl $0xff, %esi
    andl $1, %ecx
    shll $8, %ecx
    shll $9, %edx
    orl %ecx, %edx
    orl %esi, %edx
    jmp answer

/* PVALIDATE, at any privilege level; only then is there a VMGEXIT. */
entry g_pvalidate
    movl $0x4000, %eax
    xorl %ecx, %ecx
    movl $1, %edx
    .byte 0xf2, 0x0f, 0x01, 0xff
    .byte 0xf3, 0x0f, 0x01, 0xd9

entry g_gp_handler
    movl $0x6d, %eax
    call send

entry g_shutdown
    lidt G(no_idt)
    int3
no_idt:
    .word 0
    .long 0
es_guest_end:
