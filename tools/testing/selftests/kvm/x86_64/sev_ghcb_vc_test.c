// SPDX-License-Identifier: GPL-2.0-only
/*
 * Instructions of a SEV-ES guest that exit, by way of its #VC handler; ucalls
 * that carry more than one number; and HLT, which exits by itself.
 */
#include <linux/kernel.h>
#include <linux/kvm_para.h>

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_ghcb_smoke.h"
#include "test_util.h"
#include "ucall_common.h"

#define MSR_MTRR_FIX64K		0x250
#define MSR_BAD			0xdeadbeef

#define TEST_VECTOR		0x40

static uint64_t nr_irqs;

static void guest_vc_msr(const struct sev_smoke *t)
{
	const uint64_t value = 0x0404040404040404;
	uint64_t saved, got;

	EXPECT_VC(SVM_EXIT_MSR, saved = rdmsr(MSR_MTRR_FIX64K));
	EXPECT_VC(SVM_EXIT_MSR, wrmsr(MSR_MTRR_FIX64K, value));
	EXPECT_VC(SVM_EXIT_MSR, got = rdmsr(MSR_MTRR_FIX64K));
	GUEST_ASSERT_EQ(got, value);
	wrmsr(MSR_MTRR_FIX64K, saved);
}

static void guest_vc_msr_gp(const struct sev_smoke *t)
{
	uint64_t value;
	uint8_t vector;

	EXPECT_VC(SVM_EXIT_MSR, vector = rdmsr_safe(MSR_BAD, &value));
	GUEST_ASSERT_EQ(vector, GP_VECTOR);
	EXPECT_VC(SVM_EXIT_MSR, vector = wrmsr_safe(MSR_BAD, 0));
	GUEST_ASSERT_EQ(vector, GP_VECTOR);
}

static void guest_vc_ioio(const struct sev_smoke *t)
{
	uint64_t rax;

	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("outb %b0, %w1" : : "a" (0x5a), "d" (DEV_PORT(1, 1))));
	rax = -1ull;
	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("inb %w1, %b0" : "+a" (rax) : "d" (DEV_PORT(1, 1))));
	GUEST_ASSERT_EQ(rax, ~0x5aull);

	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("outw %w0, %w1" : : "a" (0x1234), "d" (DEV_PORT(2, 1))));
	rax = -1ull;
	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("inw %w1, %w0" : "+a" (rax) : "d" (DEV_PORT(2, 1))));
	GUEST_ASSERT_EQ(rax, ~0x1234ull);

	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("outl %k0, %w1" : : "a" (0x12345678), "d" (DEV_PORT(4, 1))));
	rax = -1ull;
	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("inl %w1, %k0" : "+a" (rax) : "d" (DEV_PORT(4, 1))));
	GUEST_ASSERT_EQ(rax, (uint32_t)~0x12345678);
}

static void guest_vc_string_io(const struct sev_smoke *t)
{
	static uint16_t out[100], in[100];
	const void *src = out;
	void *dst = in;
	uint64_t count;
	int i;

	for (i = 0; i < ARRAY_SIZE(out); i++)
		out[i] = 0x1000 + i;

	count = ARRAY_SIZE(out);
	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("rep outsw" : "+S" (src), "+c" (count)
			       : "d" (DEV_PORT(2, 100)) : "memory"));
	GUEST_ASSERT_EQ(count, 0);
	GUEST_ASSERT_EQ(src, (void *)out + sizeof(out));

	count = ARRAY_SIZE(in);
	EXPECT_VC(SVM_EXIT_IOIO,
		  asm volatile("rep insw" : "+D" (dst), "+c" (count)
			       : "d" (DEV_PORT(2, 100)) : "memory"));
	GUEST_ASSERT_EQ(count, 0);
	GUEST_ASSERT_EQ(dst, (void *)in + sizeof(in));

	sev_smoke_complement((void *)in, (void *)out, sizeof(in));
}

static void guest_vc_wbinvd(const struct sev_smoke *t)
{
	EXPECT_VC(SVM_EXIT_WBINVD, asm volatile("wbinvd" : : : "memory"));
}

static void guest_vc_vmmcall(const struct sev_smoke *t)
{
	uint64_t ret;

	EXPECT_VC(SVM_EXIT_VMMCALL,
		  ret = kvm_hypercall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0));
	GUEST_ASSERT_EQ(ret, 0);
}

static void guest_irq_handler(struct ex_regs *regs)
{
	__atomic_fetch_add(&nr_irqs, 1, __ATOMIC_SEQ_CST);
	x2apic_write_reg(APIC_EOI, 0);
}

/* The APIC's timer ends it. */
static void guest_hlt(const struct sev_smoke *t)
{
	uint64_t nr = READ_ONCE(nr_irqs);

	x2apic_enable();
	x2apic_write_reg(APIC_TDCR, 0xb);
	x2apic_write_reg(APIC_LVTT, APIC_LVT_TIMER_ONESHOT | TEST_VECTOR);
	x2apic_write_reg(APIC_TMICT, 1000000);

	while (READ_ONCE(nr_irqs) == nr)
		asm volatile("sti; hlt; cli" : : : "memory");
	GUEST_ASSERT_EQ(READ_ONCE(nr_irqs), nr + 1);
}

static const struct sev_smoke subtests[] = {
	{ "ucall", sev_smoke_ucall },
	{ "#VC: cpuid", sev_smoke_vc_cpuid },
	{ "#VC: rdmsr and wrmsr", guest_vc_msr },
	{ "#VC: rdmsr and wrmsr raise #GP", guest_vc_msr_gp },
	{ "#VC: in and out", guest_vc_ioio },
	{ "#VC: ins and outs", guest_vc_string_io },
	{ "#VC: mmio", sev_smoke_vc_mmio },
	{ "#VC: wbinvd", guest_vc_wbinvd },
	{ "#VC: vmmcall", guest_vc_vmmcall },
	{ "hlt until timer interrupt", guest_hlt },
};

static void prepare(struct kvm_vm *vm)
{
	vm_install_exception_handler(vm, TEST_VECTOR, guest_irq_handler);
}

int main(void)
{
	static const struct sev_smoke_program program = {
		.tests = subtests,
		.nr_tests = ARRAY_SIZE(subtests),
		.prepare = prepare,
	};

	return sev_smoke_main(&program);
}
