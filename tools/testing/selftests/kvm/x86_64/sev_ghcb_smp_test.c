// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV-ES guests of two vCPUs: requests at the same time, interrupts, APs that
 * wait for a SIPI.  And guests that terminate.
 */
#include <linux/bitfield.h>
#include <linux/kernel.h>

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_ghcb_smoke.h"
#include "test_util.h"
#include "ucall_common.h"

#define TEST_VECTOR		0x40

static uint64_t nr_irqs;
static uint64_t ap_started;
static uint64_t ap_waiting;
static uint64_t ap_released;

static void delay_ms(int ms)
{
	const int us_per_ms = 1000;

	while (ms--)
		udelay(us_per_ms);
}

static void guest_irq_handler(struct ex_regs *regs)
{
	__atomic_fetch_add(&nr_irqs, 1, __ATOMIC_SEQ_CST);
	x2apic_write_reg(APIC_EOI, 0);
}

static void halt_until_irq(uint64_t nr)
{
	while (READ_ONCE(nr_irqs) == nr)
		asm volatile("sti; hlt; cli" : : : "memory");
}

/*
 * Guest: two vCPUs.
 */
static void guest_both_busy(void)
{
	struct sev_smoke none = {};
	int i;

	for (i = 0; i < 20; i++) {
		sev_smoke_cpuid(&none);
		sev_smoke_ioio(&none);
		sev_smoke_string_io(&none);
		sev_smoke_mmio(&none);
		sev_smoke_vc_cpuid(&none);
		sev_smoke_vc_mmio(&none);
		sev_smoke_ucall(&none);
		/* One vCPU's mistake must not be seen as the other's. */
		sev_smoke_invalid_event(&none);
	}

	GUEST_DONE();
}

static void send_ipi(uint32_t command)
{
	x2apic_write_reg(APIC_ICR, 1ull << 32 | command);
}

static void guest_ipi(void)
{
	uint64_t nr = 0;

	x2apic_enable();

	if (sev_ghcb_this_cpu()->vcpu_id == 1) {
		WRITE_ONCE(ap_waiting, 1);
		halt_until_irq(nr);
		WRITE_ONCE(ap_released, 1);
		GUEST_DONE();
	}

	while (!READ_ONCE(ap_waiting))
		cpu_relax();

	/* Pending before the HLT or not: it must end. */
	delay_ms(1);
	send_ipi(APIC_INT_ASSERT | APIC_DM_FIXED | TEST_VECTOR);

	while (!READ_ONCE(ap_released))
		cpu_relax();

	GUEST_ASSERT_EQ(READ_ONCE(nr_irqs), 1);
	GUEST_DONE();
}

static void send_init_sipi(void)
{
	send_ipi(APIC_INT_ASSERT | APIC_DM_INIT);
	send_ipi(APIC_INT_ASSERT | APIC_DM_STARTUP | 8);
}

static void hold_ap_nae(void)
{
	struct sev_ghcb_call call;

	do {
		call = sev_ghcb_event(SVM_VMGEXIT_AP_HLT_LOOP, 0, 0);
		sev_smoke_ok(&call);
	} while (!call.info2);
}

static void hold_ap_msr(void)
{
	uint64_t response;

	do {
		response = sev_ghcb_msr_call(SEV_GHCB_MSR_AP_HOLD_REQ);
		GUEST_ASSERT_EQ(FIELD_GET(SEV_GHCB_MSR_CODE, response),
				SEV_GHCB_MSR_AP_HOLD_RESP);
	} while (!FIELD_GET(SEV_GHCB_MSR_DATA, response));
}

/* The first SIPI starts the AP with its VMSA, the second ends the hold. */
static void guest_ap_hold(void (*hold)(void))
{
	if (sev_ghcb_this_cpu()->vcpu_id == 1) {
		WRITE_ONCE(ap_started, 1);
		hold();
		WRITE_ONCE(ap_released, 1);
		GUEST_DONE();
	}

	/* Only once: a second one might find the AP in the hold already. */
	x2apic_enable();
	send_init_sipi();
	while (!READ_ONCE(ap_started))
		cpu_relax();
	delay_ms(10);
	GUEST_ASSERT(!READ_ONCE(ap_released));

	/* Again and again, as the AP may not be in the hold yet. */
	while (!READ_ONCE(ap_released)) {
		send_init_sipi();
		delay_ms(1);
	}
	GUEST_DONE();
}

static void guest_ap_hold_nae(void)
{
	guest_ap_hold(hold_ap_nae);
}

static void guest_ap_hold_msr(void)
{
	guest_ap_hold(hold_ap_msr);
}

/*
 * Guest: the end.
 */
#define TERM_SET	5
#define TERM_CODE	0x77

static void guest_term_msr(void)
{
	sev_ghcb_terminate(TERM_SET, TERM_CODE);
}

static void guest_term_nae(void)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_event(SVM_VMGEXIT_TERM_REQUEST,
			      SVM_VMGEXIT_TERM_REASON(TERM_SET, TERM_CODE), 0);
	sev_ghcb_vmgexit(&call);
	GUEST_FAIL("Still alive");
}

static const struct sev_smoke_vm vms[] = {
	{ "2 vcpus: both use their ghcb", guest_both_busy, 2 },
	{ "2 vcpus: hlt until ipi", guest_ipi, 2 },
	{ "2 vcpus: ap reset hold", guest_ap_hold_nae, 2, true },
	{ "2 vcpus: msr protocol: ap reset hold", guest_ap_hold_msr, 2, true },
	{ "msr protocol: termination", guest_term_msr, 1, .terminates = true,
	  .term_data = SEV_GHCB_MSR_TERM_REQ | TERM_SET << 12 | TERM_CODE << 16 },
	{ "termination", guest_term_nae, 1, .terminates = true },
};

static void prepare(struct kvm_vm *vm)
{
	vm_install_exception_handler(vm, TEST_VECTOR, guest_irq_handler);
}

int main(void)
{
	static const struct sev_smoke_program program = {
		.vms = vms,
		.nr_vms = ARRAY_SIZE(vms),
		.prepare = prepare,
	};

	return sev_smoke_main(&program);
}
