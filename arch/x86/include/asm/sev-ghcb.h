/* SPDX-License-Identifier: GPL-2.0 */
/*
 * The GHCB page and the GHCB MSR as bits and fields, for the side that has to
 * take them apart.  Nothing but the wire format: see asm/sev-common.h for the
 * values that the protocol gives a meaning.
 */
#ifndef _ASM_X86_SEV_GHCB_H
#define _ASM_X86_SEV_GHCB_H

#include <linux/bits.h>
#include <linux/build_bug.h>

#include <asm/sev-common.h>
#include <asm/svm.h>

/*
 * The valid bitmap has a bit for each quadword of the save area, in two words.
 * The fields that the protocol has inputs or outputs in all differ in their
 * bit's place within its word, and so a single word can hold the lot.
 */
#define GHCB_FIELD(field)	BIT_ULL(GHCB_BITMAP_IDX(field) % 64)

#define GHCB_RAX		GHCB_FIELD(rax)
#define GHCB_RBX		GHCB_FIELD(rbx)
#define GHCB_RCX		GHCB_FIELD(rcx)
#define GHCB_RDX		GHCB_FIELD(rdx)
#define GHCB_RSI		GHCB_FIELD(rsi)
#define GHCB_CPL		GHCB_FIELD(cpl)
#define GHCB_XSS		GHCB_FIELD(xss)
#define GHCB_XCR0		GHCB_FIELD(xcr0)
#define GHCB_EXIT_CODE		GHCB_FIELD(sw_exit_code)
#define GHCB_EXIT_INFO_1	GHCB_FIELD(sw_exit_info_1)
#define GHCB_EXIT_INFO_2	GHCB_FIELD(sw_exit_info_2)
#define GHCB_SCRATCH		GHCB_FIELD(sw_scratch)

/* Which of them the first word of the bitmap has, and which the second. */
#define GHCB_FIELDS_LO	(GHCB_CPL | GHCB_XSS | GHCB_RAX)
#define GHCB_FIELDS_HI	(GHCB_RCX | GHCB_RDX | GHCB_RBX | GHCB_RSI |	\
			 GHCB_EXIT_CODE | GHCB_EXIT_INFO_1 |		\
			 GHCB_EXIT_INFO_2 | GHCB_SCRATCH | GHCB_XCR0)

static_assert(!(GHCB_FIELDS_LO & GHCB_FIELDS_HI));
static_assert(GHCB_BITMAP_IDX(cpl) < 64 && GHCB_BITMAP_IDX(xss) < 64 &&
	      GHCB_BITMAP_IDX(rax) < 64);
static_assert(GHCB_BITMAP_IDX(rcx) >= 64 && GHCB_BITMAP_IDX(rdx) >= 64 &&
	      GHCB_BITMAP_IDX(rbx) >= 64 && GHCB_BITMAP_IDX(rsi) >= 64 &&
	      GHCB_BITMAP_IDX(sw_exit_code) >= 64 &&
	      GHCB_BITMAP_IDX(sw_exit_info_1) >= 64 &&
	      GHCB_BITMAP_IDX(sw_exit_info_2) >= 64 &&
	      GHCB_BITMAP_IDX(sw_scratch) >= 64 &&
	      GHCB_BITMAP_IDX(xcr0) >= 64);

/* Every request has these three. */
#define GHCB_EXIT	(GHCB_EXIT_CODE | GHCB_EXIT_INFO_1 | GHCB_EXIT_INFO_2)

/*
 * But for RAX and RSP the registers lie in the page in the order of their
 * numbers in an instruction, from this bit of the second word on.
 */
#define GHCB_GPR_SHIFT	32
#define GHCB_GPRS_HI	(GHCB_RCX | GHCB_RDX | GHCB_RBX | GHCB_RSI)

static_assert(GHCB_RCX >> GHCB_GPR_SHIFT == BIT(1));
static_assert(GHCB_RDX >> GHCB_GPR_SHIFT == BIT(2));
static_assert(GHCB_RBX >> GHCB_GPR_SHIFT == BIT(3));
static_assert(GHCB_RSI >> GHCB_GPR_SHIFT == BIT(6));

/* Lower half of SW_EXITINFO1 in an answer, and what SW_EXITINFO2 has then. */
#define GHCB_RESULT_OK		0	/* the event's result, if it has one */
#define GHCB_RESULT_RAISE	1	/* an exception to raise, as EVENTINJ */
#define GHCB_RESULT_MALFORMED	2	/* GHCB_ERR_* */

#define GHCB_SHARED_BUF_OFFSET	offsetof(struct ghcb, shared_buffer)

static_assert(GHCB_SHARED_BUF_OFFSET == 0x800);

/* Port I/O: SW_EXITINFO1. */
#define GHCB_IOIO_PORT		GENMASK_ULL(31, 16)
#define GHCB_IOIO_SIZE		GENMASK_ULL(6, 4)	/* bytes: 1, 2, 4 */
#define GHCB_IOIO_STRING	BIT_ULL(2)
#define GHCB_IOIO_IN		BIT_ULL(0)

static_assert(GHCB_IOIO_IN == SVM_IOIO_TYPE_MASK);
static_assert(GHCB_IOIO_STRING == SVM_IOIO_STR_MASK);
static_assert(GHCB_IOIO_SIZE == SVM_IOIO_SIZE_MASK);

/* The MSR: a code, and above it data that the code gives a meaning. */
#define GHCB_MSR_DATA			GENMASK_ULL(63, 12)
#define GHCB_MSR_CPUID_FUNCTION		GENMASK_ULL(63, 32)
#define GHCB_MSR_CPUID_REGISTER		GENMASK_ULL(31, 30)
#define GHCB_MSR_CPUID_RESULT		GENMASK_ULL(63, 32)

/* The answer to a GHCB that cannot be registered or even reached. */
#define GHCB_MSR_REG_GPA_REFUSED	(GHCB_MSR_DATA | GHCB_MSR_REG_GPA_RESP)

#endif /* _ASM_X86_SEV_GHCB_H */
