/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * From real mode to long mode, for the vCPUs of a SEV-SNP guest.
 *
 * This is data: a copy of it runs at an address below 1M, in a page, with a CS
 * and then a RIP to go with it.  sev_snp_ap.c fills the end of the copy in.
 */
/* <asm/msr-index.h> is for C alone. */
#define MSR_EFER	0xc0000080
#define MSR_GS_BASE	0xc0000101

#define HERE(label) (label - sev_snp_trampoline)

	.section .rodata
	.globl sev_snp_trampoline, sev_snp_trampoline_64
	.globl sev_snp_trampoline_data, sev_snp_trampoline_end

sev_snp_trampoline:
	.code16
	cli
	mov %cs, %ax
	mov %ax, %ds
	lgdtl HERE(gdt)
	mov HERE(cr4), %eax
	mov %eax, %cr4
	mov HERE(cr3), %eax
	mov %eax, %cr3
	mov $MSR_EFER, %ecx
	rdmsr
	or HERE(efer), %eax
	wrmsr
	mov HERE(cr0), %eax
	mov %eax, %cr0
	ljmpl *HERE(far)

sev_snp_trampoline_64:
	.code64
	lidt idt(%rip)
	mov ds(%rip), %ax
	mov %eax, %ds
	mov %eax, %es
	mov %eax, %ss
	mov %eax, %fs
	mov %eax, %gs
	mov $MSR_GS_BASE, %ecx
	mov cpu(%rip), %eax
	mov cpu + 4(%rip), %edx
	wrmsr
	mov stack(%rip), %rsp
	mov arg(%rip), %rdi
	mov entry(%rip), %rax
	movq $1, taken(%rip)
	jmp *%rax

	/* struct trampoline of sev_snp_ap.c */
sev_snp_trampoline_data:
gdt:	.skip 10
idt:	.skip 10
cr0:	.long 0
cr3:	.long 0
cr4:	.long 0
efer:	.long 0
far:	.long 0
	.word 0
ds:	.word 0
cpu:	.quad 0
stack:	.quad 0
entry:	.quad 0
arg:	.quad 0
taken:	.quad 0
sev_snp_trampoline_end:

	.section .note.GNU-stack, "", %progbits
