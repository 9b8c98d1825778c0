// SPDX-License-Identifier: GPL-2.0-only
/*
 * The same exits over and over, from a SEV-ES guest and from a plain one: so
 * that their rate can be measured here, and their cost in instructions by an
 * emulator that logs world switches.
 *
 * Before the rounds of an event the guest tells the log which one it is: by
 * an exit that asks for CPUID function MARK plus the event's number, with the
 * MSR protocol if it is a SEV-ES guest.  After them it asks for MARK alone.
 */
#include <getopt.h>
#include <time.h>

#include <linux/bitfield.h>
#include <linux/kvm_para.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "test_util.h"
#include "ucall_common.h"

#define MARK			0x4fff0000u

#define PIC_DATA		0x21
#define PORT_OF_NOBODY		0x2f0
#define IOAPIC_GPA		0xfec00000ull

struct event {
	const char *name;
	void (*es)(void);
	void (*plain)(void);
};

/* Written by the host before the launch. */
static struct {
	uint64_t rounds;
	uint64_t ioapic;
	bool es;
	bool rdtsc;
	int only;		/* index of an event, or -1 */
} config;

/*
 * Guest, SEV-ES: straight to the GHCB, so that no #VC counts.
 */
static void request(struct sev_ghcb_call call)
{
	sev_ghcb_vmgexit(&call);
	GUEST_ASSERT_EQ(call.info1, SEV_GHCB_OK);
}

static void es_cpuid(void)
{
	request(sev_ghcb_cpuid(1, 0));
}

static void es_rdmsr(void)
{
	request(sev_ghcb_rdmsr(MSR_IA32_APICBASE));
}

static void es_wrmsr(void)
{
	request(sev_ghcb_wrmsr(MSR_K7_HWCR, 0));
}

static void es_in(void)
{
	request(sev_ghcb_in(PIC_DATA, 1));
}

static void es_out(void)
{
	request(sev_ghcb_out(PIC_DATA, 1, 0xff));
}

static void es_out_user(void)
{
	request(sev_ghcb_out(PORT_OF_NOBODY, 1, 0));
}

static void es_mmio_read(void)
{
	uint32_t version;

	request(sev_ghcb_mmio_read(APIC_DEFAULT_GPA + APIC_LVR, &version, 4));
}

static void es_mmio_write(void)
{
	uint32_t tpr = 0;

	request(sev_ghcb_mmio_write(APIC_DEFAULT_GPA + APIC_TASKPRI, &tpr, 4));
}

static void es_mmio_read_ioapic(void)
{
	uint32_t select;

	request(sev_ghcb_mmio_read(IOAPIC_GPA, &select, 4));
}

static void es_nmi_complete(void)
{
	request(sev_ghcb_event(SVM_VMGEXIT_NMI_COMPLETE, 0, 0));
}

static void es_hv_features(void)
{
	request(sev_ghcb_event(SVM_VMGEXIT_HV_FEATURES, 0, 0));
}

static void es_vmmcall(void)
{
	request(sev_ghcb_vmmcall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0));
}

static void es_rdtsc(void)
{
	request(sev_ghcb_event(SVM_EXIT_RDTSC, 0, 0));
}

static void es_msr_cpuid(void)
{
	sev_ghcb_msr_call(SEV_GHCB_MSR_CPUID_REQ |
			  FIELD_PREP(SEV_GHCB_MSR_CPUID_FUNC, 1));
}

static void es_msr_info(void)
{
	sev_ghcb_msr_call(SEV_GHCB_MSR_INFO_REQ);
}

/*
 * Guest, plain.
 */
static void plain_cpuid(void)
{
	uint32_t eax, ebx, ecx, edx;

	cpuid(1, &eax, &ebx, &ecx, &edx);
}

static void plain_rdmsr(void)
{
	rdmsr(MSR_IA32_APICBASE);
}

static void plain_wrmsr(void)
{
	wrmsr(MSR_K7_HWCR, 0);
}

static void plain_in(void)
{
	uint8_t value;

	asm volatile("inb %w1, %0" : "=a" (value) : "Nd" (PIC_DATA));
}

static void plain_out(void)
{
	asm volatile("outb %0, %w1" : : "a" ((uint8_t)0xff), "Nd" (PIC_DATA));
}

static void plain_out_user(void)
{
	asm volatile("outb %0, %w1" : : "a" ((uint8_t)0), "Nd" (PORT_OF_NOBODY));
}

static void plain_mmio_read(void)
{
	xapic_read_reg(APIC_LVR);
}

static void plain_mmio_write(void)
{
	xapic_write_reg(APIC_TASKPRI, 0);
}

static void plain_mmio_read_ioapic(void)
{
	READ_ONCE(*(uint32_t *)config.ioapic);
}

static void plain_vmmcall(void)
{
	kvm_hypercall(KVM_HC_VAPIC_POLL_IRQ, 0, 0, 0, 0);
}

static const struct event events[] = {
	{ "CPUID",		es_cpuid,		plain_cpuid },
	{ "RDMSR",		es_rdmsr,		plain_rdmsr },
	{ "WRMSR",		es_wrmsr,		plain_wrmsr },
	{ "IN",			es_in,			plain_in },
	{ "OUT",		es_out,			plain_out },
	{ "OUT-user",		es_out_user,		plain_out_user },
	{ "MMIO-read",		es_mmio_read,		plain_mmio_read },
	{ "MMIO-write",		es_mmio_write,		plain_mmio_write },
	{ "MMIO-read-IOAPIC",	es_mmio_read_ioapic,	plain_mmio_read_ioapic },
	{ "NMI_COMPLETE",	es_nmi_complete,	NULL },
	{ "HV_FEATURES",	es_hv_features,		NULL },
	{ "VMMCALL",		es_vmmcall,		plain_vmmcall },
	{ "RDTSC",		es_rdtsc,		NULL },
	{ "MSR-CPUID",		es_msr_cpuid,		NULL },
	{ "MSR-info",		es_msr_info,		NULL },
};

/* In guest and host: what to do for an event, if anything. */
static void (*exit_of(const struct event *event))(void)
{
	if (event->es == es_rdtsc && !config.rdtsc)
		return NULL;
	if (config.only >= 0 && event != &events[config.only])
		return NULL;
	return config.es ? event->es : event->plain;
}

static void mark(uint32_t function)
{
	uint32_t eax, ebx, ecx, edx;

	if (config.es)
		sev_ghcb_msr_call(SEV_GHCB_MSR_CPUID_REQ |
				  FIELD_PREP(SEV_GHCB_MSR_CPUID_FUNC, function));
	else
		cpuid(function, &eax, &ebx, &ecx, &edx);
}

static void guest_code(void)
{
	void (*exit)(void);
	uint64_t round;
	int i;

	if (config.es)
		wrmsr(MSR_IA32_APICBASE,
		      rdmsr(MSR_IA32_APICBASE) | MSR_IA32_APICBASE_ENABLE);
	else
		xapic_enable();

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		exit = exit_of(&events[i]);

		GUEST_SYNC(i);
		if (exit) {
			mark(MARK + 1 + i);
			for (round = 0; round < config.rounds; round++)
				exit();
			mark(MARK);
		}
		GUEST_SYNC(i);
	}
	GUEST_DONE();
}

/*
 * Host.
 */
static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec + t.tv_nsec / 1000000000.0;
}

static struct kvm_vm *create_vm(bool es, struct kvm_vcpu **vcpu)
{
	const struct sev_ghcb_config ghcb_config = {
		.init = { .ghcb_version = 2 },
	};
	struct kvm_vm *vm;

	if (es) {
		vm = vm_sev_ghcb_create(&ghcb_config, 1, guest_code, vcpu);
	} else {
		vm = vm_create_with_one_vcpu(vcpu, guest_code);
		virt_pg_map(vm, APIC_DEFAULT_GPA, APIC_DEFAULT_GPA);
		config.ioapic = IOAPIC_GPA;
		virt_pg_map(vm, config.ioapic, IOAPIC_GPA);
	}
	config.es = es;
	sync_global_to_guest(vm, config);
	if (es)
		vm_sev_launch(vm, SEV_POLICY_ES, NULL);
	return vm;
}

static void report(bool es, int event, double seconds)
{
	if (!exit_of(&events[event]))
		return;
	ksft_print_msg("rate %s %s %.0f\n", es ? "SEV-ES" : "plain",
		       events[event].name, config.rounds / seconds);
}

static void run(bool es)
{
	double start = 0;
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm = create_vm(es, &vcpu);
	struct ucall uc;
	bool inside = false;

	for (;;) {
		vcpu_run(vcpu);
		TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
		if (vcpu->run->io.port == PORT_OF_NOBODY)
			continue;

		switch (get_ucall(vcpu, &uc)) {
		case UCALL_SYNC:
			if (inside)
				report(es, uc.args[1], now() - start);
			inside = !inside;
			start = now();
			continue;
		case UCALL_DONE:
			kvm_vm_free(vm);
			ksft_test_result_pass("%s guest\n", es ? "SEV-ES" : "plain");
			return;
		case UCALL_ABORT:
			REPORT_GUEST_ASSERT(uc);
		default:
			TEST_FAIL("Unexpected ucall %lu", uc.cmd);
		}
	}
}

static void help(const char *name)
{
	printf("usage: %s [-n rounds] [-e event] [-t]\n"
	       "  -n  how often each exit is done (default 100)\n"
	       "  -e  do this one only, named as in the output\n"
	       "  -t  RDTSC as well, which not every kernel knows\n", name);
	exit(KSFT_FAIL);
}

static int find_event(const char *name)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(events); i++) {
		if (!strcmp(events[i].name, name))
			return i;
	}
	fprintf(stderr, "No event is named '%s'\n", name);
	exit(KSFT_FAIL);
}

int main(int argc, char *argv[])
{
	int opt;

	config.rounds = 100;
	config.only = -1;
	while ((opt = getopt(argc, argv, "n:e:t")) != -1) {
		switch (opt) {
		case 'n':
			config.rounds = atoi_positive("rounds", optarg);
			break;
		case 'e':
			config.only = find_event(optarg);
			break;
		case 't':
			config.rdtsc = true;
			break;
		default:
			help(argv[0]);
		}
	}

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));

	ksft_print_header();
	ksft_set_plan(2);
	run(true);
	run(false);
	ksft_finished();
}
