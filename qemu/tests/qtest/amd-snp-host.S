/*
 * SEV-SNP host test: what runs on the CPU
 *
 * snp_rom takes the CPU from its reset vector to 64-bit mode, with page tables
 * that the test has put at 0x20000.  snp_loop then executes one instruction at a
 * time for the test, by the mailbox at 0x8000, and says what came of it.
 *
 * SPDX-License-Identifier: GPL-2.0-or-later
 */
#define ROM             0xfffff000
#define REL(label)      ((label) - snp_rom)

    .section .note.GNU-stack, "", @progbits
    .section .rodata
    .globl snp_rom, snp_rom_end, snp_loop, snp_loop_end, snp_stubs

/* ---- at ROM */

    .code16
snp_rom:
    cli
    lgdtl %cs:(0xf000 + REL(gdtr))
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $8, $(ROM + REL(protected))
    .code32
protected:
    movl $16, %eax
    movl %eax, %ds
    movl %eax, %ss
    movl %eax, %es
    movl $0x620, %eax                   /* PAE, OSFXSR, OSXMMEXCPT */
    movl %eax, %cr4
    movl $0x20000, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    movl $0x1100, %eax                  /* LME, SVME */
    xorl %edx, %edx
    wrmsr
    movl $0x80010033, %eax              /* PG, WP, NE, ET, MP, PE */
    movl %eax, %cr0
    ljmpl $24, $0x10000
    .balign 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff
    .quad 0x00cf93000000ffff
    .quad 0x00af9b000000ffff
gdtr:
    .word 31
    .long ROM + REL(gdt)
snp_rom_end:

/* ---- at 0x10000; offsets in the mailbox as in amd-snp-host-util.c */

    .code64
snp_loop:
    movq $0x30000, %rsp
    lidt 0x8080
next:
    pause
    cmpq $0, 0x8000
    je next
    movq %cr3, %rax
    movq %rax, %cr3
    movq $-1, 0x8038
    movq 0x8000, %rbx
    movq 0x8008, %rax
    movq 0x8010, %rcx
    movq 0x8018, %rdx
    pushq $2
    popfq
    leaq table(%rip), %rsi
    movslq (%rsi, %rbx, 4), %rdi
    addq %rsi, %rdi
    jmp *%rdi
table:
    .long 0, wr_msr - table, rd_msr - table, store - table, load - table
    .long rmpupdate - table, psmash - table, rmpread - table
    .long pvalidate - table, vmrun - table, store_back - table
wr_msr:
    movq %rcx, %rdx
    xchgq %rax, %rcx
    shrq $32, %rdx
    wrmsr
    jmp done
rd_msr:
    movq %rax, %rcx
    rdmsr
    shlq $32, %rdx
    orq %rdx, %rax
    jmp done
store:
    movq %rcx, (%rax)
    jmp done
load:
    movq (%rax), %rax
    jmp done
rmpupdate:
    .byte 0xf2, 0x0f, 0x01, 0xfe
    jmp done
psmash:
    .byte 0xf3, 0x0f, 0x01, 0xff
    jmp done
rmpread:
    .byte 0xf2, 0x0f, 0x01, 0xfd
    jmp done
pvalidate:
    .byte 0xf2, 0x0f, 0x01, 0xff
    jmp done
/*
 * The page at rax is touched, the one at rcx, which takes its place in TLBs, and
 * again the former, without a flush between them: only RMPUPDATEs, the first of
 * the page at rdx.
 */
store_back:
    movq %rax, %r8
    movq %rax, (%r8)
    movq %rcx, (%rcx)
    movq %rdx, %rax
    movl $0x28010, %ecx
    .byte 0xf2, 0x0f, 0x01, 0xfe
    movq %rax, (%r8)
    movq %r8, %rax
    movl $0x28000, %ecx
    .byte 0xf2, 0x0f, 0x01, 0xfe
    movq %rax, (%r8)
    jmp done
vmrun:
    clgi
    vmrun %rax
    stgi
done:
    movq %rax, 0x8028
    pushfq
    popq 0x8030
fault:
    movq $0x30000, %rsp
    movq $0, 0x8000
    movq $1, 0x8020
    jmp next

/* 32 of them, 16 bytes each; an error code is there for some vectors only */
    .balign 16
snp_stubs:
    .set vector, 0
    .rept 32
    .balign 16
    .if (vector != 8) && (vector < 10 || vector > 14) && (vector != 17) && (vector != 29)
    pushq $0
    .endif
    pushq $vector
    jmp caught
    .set vector, vector + 1
    .endr
    .balign 16
caught:
    popq 0x8038
    popq 0x8040
    movq %cr2, %rax
    movq %rax, 0x8048
    jmp fault
snp_loop_end:
