// SPDX-License-Identifier: GPL-2.0-only
/*
 * NMIs in protected guests: the guests, and how they are set up.
 */
#include <stdlib.h>

#include <linux/bitfield.h>

#include "apic.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_nmi.h"
#include "test_util.h"
#include "ucall_common.h"

#define NMI_VECTOR	2

/*
 * To wait for an NMI without one exit, in TSC ticks: well beyond the time that
 * a busy host may keep the other vCPU from running.
 */
#define PATIENCE	60000000000ull

/*
 * A place in the guest's code, for who reads the emulator's log of exits: a
 * request for a CPUID leaf that nobody else asks for.  The exit between them is
 * that of NMI_COMPLETE.
 */
#define MARK_BEFORE	0x4fff0001ull
#define MARK_AFTER	0x4fff0002ull
#define NR_ROUNDS	131		/* the first one is not marked */

#define NR_EXACT	5000ull

static uint64_t nr_nmis;		/* handlers entered */
uint64_t sev_nmi_done;			/* ... and left */
static uint64_t stage;
static uint64_t trap_page;		/* written by the host, as is this: */
static uint64_t nr_storm = 100000;
static uint64_t sent[SEV_NMI_MAX_VCPUS];	/* by each vCPU of a storm */
static uint64_t seen[SEV_NMI_MAX_VCPUS];	/* ... by the one that takes them */

static void nmi_complete(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_NMI_COMPLETE, 0, 0);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
}

/*
 * Until the counter stands still for too long.  No exit in here: no ucall, no
 * instruction that takes a #VC.
 */
static bool wait_for(uint64_t *counter, uint64_t value)
{
	uint64_t end = rdtsc() + PATIENCE;
	uint64_t now, last = 0;

	while ((now = READ_ONCE(*counter)) < value) {
		if (now != last)
			end = rdtsc() + PATIENCE;
		else if (rdtsc() > end)
			return false;
		last = now;
	}
	return true;
}

static void wait_a_moment(void)
{
	uint64_t end = rdtsc() + PATIENCE / 1000;

	while (rdtsc() < end)
		;
}

static void send_ipi(uint32_t apic_id, uint32_t what)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_wrmsr(APIC_BASE_MSR + (APIC_ICR >> 4),
			      (uint64_t)apic_id << 32 | what);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
}

static void send_nmi(uint32_t apic_id)
{
	send_ipi(apic_id, APIC_DM_NMI | APIC_INT_ASSERT);
}

static void enable_x2apic(void)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_rdmsr(MSR_IA32_APICBASE);
	sev_ghcb_vmgexit(&call);
	call = sev_ghcb_wrmsr(MSR_IA32_APICBASE, (uint32_t)call.rax |
			      MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE);
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
}

/*
 * A second NMI comes while the first is being handled.  It is to be delivered
 * upon NMI_COMPLETE, although the guest does nothing but spin afterwards.
 */
static void nested_handler(struct ex_regs *regs)
{
	if (nr_nmis++) {
		sev_nmi_done++;
		return;
	}

	WRITE_ONCE(stage, 1);
	GUEST_ASSERT(wait_for(&stage, 2));
	GUEST_ASSERT_EQ(nr_nmis, 1);
	nmi_complete();
	GUEST_ASSERT(wait_for(&nr_nmis, 2));
	sev_nmi_done++;
}

static void guest_nested(uint32_t id)
{
	enable_x2apic();
	if (id) {
		GUEST_ASSERT(wait_for(&stage, 1));
		send_nmi(0);
		WRITE_ONCE(stage, 2);
	} else {
		send_nmi(0);
		GUEST_ASSERT(wait_for(&sev_nmi_done, 2));
	}
	GUEST_DONE();
}

void sev_nmi_counting_handler(struct ex_regs *regs)
{
	nr_nmis++;
	nmi_complete();
	sev_nmi_done++;
}

/* Not the first time, when pages are missing that the rest of it will touch. */
static void mark(uint64_t leaf, uint64_t round)
{
	if (round == 1)
		leaf = 0;
	sev_ghcb_msr_call(SEV_GHCB_MSR_CPUID_REQ |
			  FIELD_PREP(SEV_GHCB_MSR_CPUID_FUNC, leaf));
}

/*
 * As nested, many times, and marked: the second NMI comes by the very entry that
 * follows NMI_COMPLETE.
 */
static void no_exit_handler(struct ex_regs *regs)
{
	uint64_t round = nr_nmis++ / 2 + 1;

	if (nr_nmis == 2 * round) {
		mark(MARK_AFTER, round);
		return;
	}

	WRITE_ONCE(stage, round);
	GUEST_ASSERT(wait_for(&sent[1], round));
	mark(MARK_BEFORE, round);
	nmi_complete();
	GUEST_ASSERT(wait_for(&nr_nmis, 2 * round));
	/* The nested one did not say it for itself. */
	nmi_complete();
	WRITE_ONCE(sev_nmi_done, round);
}

static void guest_no_exit(uint32_t id)
{
	uint64_t round;

	enable_x2apic();
	for (round = 1; round <= NR_ROUNDS; round++) {
		if (id) {
			GUEST_ASSERT(wait_for(&stage, round));
			send_nmi(0);
			WRITE_ONCE(sent[1], round);
		} else {
			send_nmi(0);
			GUEST_ASSERT(wait_for(&sev_nmi_done, round));
		}
	}
	GUEST_DONE();
}

/*
 * A storm.  NMI_COMPLETE lets the next NMI into the handler that says it, and
 * nothing bounds how often: a handler that has interrupted another one leaves
 * NMI_COMPLETE to that, as else the stack and the copies of the GHCB would have
 * to be as deep as the storm is long.
 *
 * What was sent before the handler began is seen by it.  An NMI can go with one
 * that is pending already, which arrives later, or be one of its own; so all
 * that was sent is seen in the end, or an NMI was lost.
 */
static void storm_handler(struct ex_regs *regs)
{
	static bool busy, again;
	int i;

	nr_nmis++;
	for (i = 1; i < SEV_NMI_MAX_VCPUS; i++)
		WRITE_ONCE(seen[i], READ_ONCE(sent[i]));

	if (busy) {
		again = true;
		return;
	}

	do {
		WRITE_ONCE(busy, true);
		do {
			WRITE_ONCE(again, false);
			nmi_complete();
		} while (READ_ONCE(again));
		WRITE_ONCE(busy, false);
	} while (READ_ONCE(again));
}

/* One sender that waits each time: what arrives is no less and no more. */
static void exact_handler(struct ex_regs *regs)
{
	storm_handler(regs);
	GUEST_ASSERT(nr_nmis <= READ_ONCE(sent[1]));
}

static void guest_exact(uint32_t id)
{
	uint64_t n;

	enable_x2apic();
	for (n = 1; id && n <= NR_EXACT; n++) {
		WRITE_ONCE(sent[1], n);
		send_nmi(0);
		GUEST_ASSERT(wait_for(&seen[1], n));
		GUEST_ASSERT_EQ(READ_ONCE(nr_nmis), n);
	}
	GUEST_ASSERT(wait_for(&seen[1], NR_EXACT));
	GUEST_DONE();
}

/* Each sender has up to two of its own on the way. */
static void guest_storm(uint32_t id)
{
	uint64_t n, each = nr_storm / (SEV_NMI_MAX_VCPUS - 1);

	enable_x2apic();
	for (n = 1; id && n <= each; n++) {
		WRITE_ONCE(sent[id], n);
		send_nmi(0);
		if (!(n % 2))
			GUEST_ASSERT(wait_for(&seen[id], n));
	}
	for (id = 1; id < SEV_NMI_MAX_VCPUS; id++)
		GUEST_ASSERT(wait_for(&seen[id], each));

	GUEST_ASSERT(nr_nmis <= nr_storm);
	GUEST_ASSERT(nr_nmis >= each / 2);
	GUEST_DONE();
}

/* Again and again, as the AP may not be where it is to be yet. */
static void send_until(uint64_t value, bool nmi)
{
	uint64_t end = rdtsc() + PATIENCE;

	while (READ_ONCE(stage) < value) {
		GUEST_ASSERT(rdtsc() < end);
		if (nmi) {
			send_nmi(1);
		} else {
			send_ipi(1, APIC_DM_INIT | APIC_INT_ASSERT);
			send_ipi(1, APIC_DM_STARTUP | APIC_INT_ASSERT | 8);
		}
		wait_a_moment();
	}
}

static bool hold(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_AP_HLT_LOOP, 0, 0);

	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
	return call.info2;
}

/*
 * An AP that waits for a SIPI takes an NMI, is told that there was no SIPI, and
 * waits again, until there is one.
 */
static void guest_parked(uint32_t id)
{
	if (id) {
		WRITE_ONCE(stage, 1);
		while (hold())
			;		/* a SIPI that was sent once more */
		GUEST_ASSERT(nr_nmis);
		WRITE_ONCE(stage, 2);
		while (!hold())
			;
		WRITE_ONCE(stage, 3);
		GUEST_DONE();
	}

	enable_x2apic();
	send_until(1, false);
	send_until(2, true);
	GUEST_ASSERT_EQ(READ_ONCE(stage), 2);
	send_until(3, false);
	GUEST_DONE();
}

static void guest_sti_shadow(uint32_t id)
{
	asm volatile("cli\n\t"
		     "sti\n\t"
		     "movb $1, (%0)" : : "r" (trap_page) : "memory");
	GUEST_ASSERT(wait_for(&sev_nmi_done, 1));
	GUEST_DONE();
}

static void guest_mov_ss_shadow(uint32_t id)
{
	asm volatile("sti\n\t"
		     "nop\n\t"
		     "mov %%ss, %%eax\n\t"
		     "mov %%eax, %%ss\n\t"
		     "movb $1, (%0)" : : "r" (trap_page) : "rax", "memory");
	GUEST_ASSERT(wait_for(&sev_nmi_done, 1));
	GUEST_DONE();
}

/* Interrupts are off: the next exit has to do, of whatever kind it is. */
static void guest_shadow_without_if(uint32_t id)
{
	asm volatile("cli\n\t"
		     "mov %%ss, %%eax\n\t"
		     "mov %%eax, %%ss\n\t"
		     "movb $1, (%0)" : : "r" (trap_page) : "rax", "memory");
	sev_ghcb_msr_call(SEV_GHCB_MSR_HV_FT_REQ);
	GUEST_ASSERT(wait_for(&sev_nmi_done, 1));
	GUEST_DONE();
}

/* NMI_COMPLETE out of the blue changes nothing. */
static void guest_no_nmi(uint32_t id)
{
	nmi_complete();
	enable_x2apic();
	send_nmi(0);
	GUEST_ASSERT(wait_for(&sev_nmi_done, 1));
	nmi_complete();
	send_nmi(0);
	GUEST_ASSERT(wait_for(&sev_nmi_done, 2));
	GUEST_DONE();
}

/* Registers that compilers use everywhere, and that no handler may change. */
static void registers_handler(struct ex_regs *regs)
{
	asm volatile("pxor %%xmm0, %%xmm0\n\t"
		     "pxor %%xmm15, %%xmm15"
		     : : : "xmm0", "xmm15");
	sev_nmi_counting_handler(regs);
}

static void guest_registers(uint32_t id)
{
	const uint64_t value = 0x5eed5eed5eed5eedull;
	uint64_t xmm0, xmm15;

	asm volatile("movq %2, %%xmm0\n\t"
		     "movq %2, %%xmm15\n\t"
		     "int $2\n\t"
		     "movq %%xmm0, %0\n\t"
		     "movq %%xmm15, %1"
		     : "=&r" (xmm0), "=&r" (xmm15)
		     : "r" (value)
		     : "xmm0", "xmm15", "memory");
	GUEST_ASSERT_EQ(xmm0, value);
	GUEST_ASSERT_EQ(xmm15, value);
	GUEST_DONE();
}

/*
 * What an instruction raises: the host does not have the pages yet that it takes
 * to get to the handler.
 */
static void guest_software_int(uint32_t id)
{
	asm volatile("int $2" : : : "memory");
	GUEST_ASSERT_EQ(READ_ONCE(sev_nmi_done), 1);
	GUEST_DONE();
}

static void breakpoint_handler(struct ex_regs *regs)
{
	sev_nmi_done++;
}

static void guest_int3(uint32_t id)
{
	asm volatile("int3" : : : "memory");
	GUEST_ASSERT_EQ(READ_ONCE(sev_nmi_done), 1);
	GUEST_DONE();
}

/*
 * The guests, and their hosts.
 */
const struct sev_nmi_guest sev_nmi_storm = { guest_storm, storm_handler, 3 };

static const struct {
	const char *name;
	struct sev_nmi_guest guest;
} guests[] = {
	{ "nested", { guest_nested, nested_handler, 2 } },
	{ "registers", { guest_registers, registers_handler, 1 } },
	{ "software_int", { guest_software_int, sev_nmi_counting_handler, 1 } },
	{ "int3", { guest_int3, breakpoint_handler, 1, .vector = BP_VECTOR } },
	{ "no_nmi", { guest_no_nmi, sev_nmi_counting_handler, 1 } },
	{ "sti_shadow", {
		guest_sti_shadow, sev_nmi_counting_handler, 1, .needs_trap = true,
	} },
	{ "mov_ss_shadow", {
		guest_mov_ss_shadow, sev_nmi_counting_handler, 1, .needs_trap = true,
	} },
	{ "shadow_without_if", {
		guest_shadow_without_if, sev_nmi_counting_handler, 1, .needs_trap = true,
	} },
	{ "no_exit", { guest_no_exit, no_exit_handler, 2 } },
	{ "exact", { guest_exact, exact_handler, 2 } },
	{ "parked", { guest_parked, storm_handler, 2, .ap_waits_for_sipi = true } },
};

int sev_nmi_main(int argc, char *argv[],
		 bool (*run)(const struct sev_subtest *t),
		 const struct sev_subtest *own, int nr_own)
{
	struct sev_subtest *tests = calloc(ARRAY_SIZE(guests) + nr_own, sizeof(*tests));
	int nr;

	TEST_ASSERT(tests, "no memory");
	for (nr = 0; nr < ARRAY_SIZE(guests); nr++) {
		tests[nr].name = guests[nr].name;
		tests[nr].run = run;
		tests[nr].data = &guests[nr].guest;
	}
	while (nr_own--)
		tests[nr++] = *own++;
	return sev_subtests_main(argc, argv, tests, nr);
}

void vm_sev_nmi_prepare(struct kvm_vm *vm, struct kvm_vcpu *vcpus[],
			const struct sev_nmi_guest *guest)
{
	struct kvm_mp_state uninitialized = { KVM_MP_STATE_UNINITIALIZED };
	int i;

	vm_install_exception_handler(vm, guest->vector ?: NMI_VECTOR, guest->handler);
	for (i = 0; i < guest->nr_vcpus; i++)
		vcpu_args_set(vcpus[i], 1, i);
	if (guest->ap_waits_for_sipi)
		vcpu_mp_state_set(vcpus[1], &uninitialized);
}

void vm_sev_nmi_set_trap_page(struct kvm_vm *vm, uint64_t gva)
{
	trap_page = gva;
	sync_global_to_guest(vm, trap_page);
}

void vm_sev_nmi_set_storm(struct kvm_vm *vm, uint64_t nr)
{
	nr_storm = nr;
	sync_global_to_guest(vm, nr_storm);
}
