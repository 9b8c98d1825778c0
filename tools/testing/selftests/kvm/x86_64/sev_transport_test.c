// SPDX-License-Identifier: GPL-2.0-only
/*
 * Send SEV-ES guests from one VM to another on the same host, and have them go
 * on there: by packets that only the firmware can make and read, and by the
 * records of what KVM knows of each vCPU.
 *
 * The argument is the file with AMD's root certificates, ASK and ARK; on the
 * emulated host there is one.
 */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "apic.h"
#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_machine.h"
#include "sev_transport.h"
#include "test_util.h"

/* The guest tells the host how it fares, and asks it things. */
#define PORT_STAGE	0x50
#define PORT_ASK	0x51
#define STAGE_DONE	0x1000
#define STAGE_FAILED	0x2000		/* and the line below that */

#define ANSWER		0x5eed1e55

/* A breakpoint of userspace's, from when the vCPU was not protected */
#define DR0_BEFORE	0x5eed000

/* Guest memory, private. */
static uint64_t counter[SEV_MACHINE_VCPUS];
static uint64_t nr_nmis;
static uint64_t nr_faults;

/*
 * VMGEXIT with a value of its own in each register that does not go through
 * the GHCB.  Returns whether they all came back; interrupts must be off.
 */
static noinline bool __attribute__((naked)) probe_registers(uint64_t seed)
{
	asm volatile(".irp r, rbx, rbp, r12, r13, r14, r15, rdi\n\t"
		     "push %\\r\n\t"
		     ".endr\n\t"
		     ".set n, 0\n\t"
		     ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
		     ".set n, n + 1\n\t"
		     "lea n(%rdi), %rax\n\t"
		     "movq %rax, %xmm\\i\n\t"
		     ".endr\n\t"
		     ".irp i, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
		     ".set n, n + 1\n\t"
		     "lea n(%rdi), %rax\n\t"
		     "movq %rax, %mm\\i\n\t"
		     ".endr\n\t"
		     ".irp r, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n\t"
		     ".set n, n + 1\n\t"
		     "lea n(%rdi), %\\r\n\t"
		     ".endr\n\t"
		     "rep; vmmcall\n\t"
		     "mov (%rsp), %rax\n\t"
		     "cmp %rax, %rdi\n\t"
		     "jne 1f\n\t"
		     ".set n, 24\n\t"
		     ".irp r, rbx, rcx, rdx, rsi, rbp, r8, r9, r10, r11, r12, r13, r14, r15\n\t"
		     ".set n, n + 1\n\t"
		     "lea n(%rdi), %rax\n\t"
		     "cmp %rax, %\\r\n\t"
		     "jne 1f\n\t"
		     ".endr\n\t"
		     ".set n, 0\n\t"
		     ".irp i, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15\n\t"
		     ".set n, n + 1\n\t"
		     "lea n(%rdi), %rax\n\t"
		     "movq %xmm\\i, %rbx\n\t"
		     "cmp %rax, %rbx\n\t"
		     "jne 1f\n\t"
		     ".endr\n\t"
		     ".irp i, 0, 1, 2, 3, 4, 5, 6, 7\n\t"
		     ".set n, n + 1\n\t"
		     "lea n(%rdi), %rax\n\t"
		     "movq %mm\\i, %rbx\n\t"
		     "cmp %rax, %rbx\n\t"
		     "jne 1f\n\t"
		     ".endr\n\t"
		     "mov $1, %eax\n\t"
		     "jmp 2f\n"
		     "1: xor %eax, %eax\n"
		     "2: emms\n\t"
		     ".irp r, rdi, r15, r14, r13, r12, rbp, rbx\n\t"
		     "pop %\\r\n\t"
		     ".endr\n\t"
		"ret\n\t");
}

static void set_field(struct sev_ghcb_page *page, int offset, uint64_t value)
{
	page->save[offset / 8] = value;
	page->valid_bitmap[offset / 512] |= BIT_ULL(offset / 8 % 64);
}

/* To the host and back, with all registers watched. */
static bool stage_intact(uint32_t stage, uint64_t seed)
{
	struct sev_ghcb_call call = sev_ghcb_out(PORT_STAGE, 4, stage);
	struct sev_ghcb_cpu *cpu = sev_ghcb_this_cpu();
	struct sev_ghcb_page *page = cpu->page;

	memset(page->valid_bitmap, 0, sizeof(page->valid_bitmap));
	set_field(page, 0x390, call.exit_code);
	set_field(page, 0x398, call.info1);
	set_field(page, 0x3a0, call.info2);
	set_field(page, 0x1f8, stage);
	page->usage = 0;
	page->version = cpu->version;
	wrmsr(MSR_AMD64_SEV_ES_GHCB, cpu->gpa);
	return probe_registers(seed) && !(uint32_t)page->save[0x398 / 8];
}

static void tell(uint32_t stage)
{
	struct sev_ghcb_call call = sev_ghcb_out(PORT_STAGE, 4, stage);

	sev_ghcb_vmgexit(&call);
}

static void check(bool ok, int line)
{
	while (!ok)
		tell(STAGE_FAILED + line);
}

#define CHECK(cond)	check(cond, __LINE__)

static void guest_registers(uint32_t id)
{
	uint64_t cr0 = get_cr0(), cr4 = get_cr4(), cr8 = 5;
	uint32_t stage;

	asm volatile("mov %0, %%cr8" : : "r" (cr8));
	for (stage = 1; stage <= 4; stage++) {
		counter[id]++;
		CHECK(stage_intact(stage, 0x1234567800000000ull * stage + id));
		CHECK(counter[id] == stage);
		CHECK(get_cr0() == cr0 && get_cr4() == cr4);
		asm volatile("mov %%cr8, %0" : "=r" (cr8));
		CHECK(cr8 == 5);
	}
	tell(STAGE_DONE);
}

/* The host answers before it sends the guest; the guest gets it after that. */
static void guest_pending(uint32_t id)
{
	struct sev_ghcb_call call = sev_ghcb_in(PORT_ASK, 4);

	sev_ghcb_vmgexit(&call);
	CHECK(call.info1 == SEV_GHCB_OK);
	CHECK((uint32_t)call.rax == ANSWER + id);
	tell(STAGE_DONE);
}

static void nmi_handler(struct ex_regs *regs)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_NMI_COMPLETE, 0, 0);

	/* The second comes while the page is in use for the first. */
	if (nr_nmis++)
		return;

	tell(1);
	sev_ghcb_vmgexit(&call);
}

static void guest_nmi(uint32_t id)
{
	uint64_t end = rdtsc() + 60000000000ull;

	if (!id) {
		tell(0);
		while (READ_ONCE(nr_nmis) < 2)
			CHECK(rdtsc() < end);
		CHECK(nr_nmis == 2);
	} else {
		tell(1);
	}
	tell(STAGE_DONE);
}

/* Says whether it was a SIPI that ended it. */
static bool hold(void)
{
	struct sev_ghcb_call call = sev_ghcb_event(SVM_VMGEXIT_AP_HLT_LOOP, 0, 0);

	sev_ghcb_vmgexit(&call);
	return call.info2;
}

static void write_icr(uint32_t icr)
{
	struct sev_ghcb_call call;

	call = sev_ghcb_wrmsr(APIC_BASE_MSR + (APIC_ICR >> 4), 1ull << 32 | icr);
	sev_ghcb_vmgexit(&call);
}

/* The first SIPI starts a vCPU as it was launched, a later one ends a hold. */
static void guest_hold(uint32_t id)
{
	struct sev_ghcb_call call;
	int i;

	if (id) {
		CHECK(!hold());
		tell(1);
		CHECK(hold());
		tell(STAGE_DONE);
		return;
	}

	call = sev_ghcb_rdmsr(MSR_IA32_APICBASE);
	sev_ghcb_vmgexit(&call);
	call = sev_ghcb_wrmsr(MSR_IA32_APICBASE, (uint32_t)call.rax |
			      MSR_IA32_APICBASE_ENABLE | X2APIC_ENABLE);
	sev_ghcb_vmgexit(&call);
	for (i = 0; i < 2; i++) {
		tell(i);
		write_icr(APIC_DM_INIT | APIC_INT_ASSERT);
		write_icr(APIC_DM_STARTUP | 0x10);
	}
	tell(STAGE_DONE);
}

static void gp_handler(struct ex_regs *regs)
{
	/* Zero it is; garbage would be there if no error code had been pushed. */
	if (!regs->error_code)
		nr_faults++;
	regs->rip += 2;
}

/* An exception with an error code, which KVM raises for an instruction. */
static void guest_fault(uint32_t id)
{
	tell(1);
	if (!id) {
		asm volatile("wrmsr" : : "c" (0x12345678), "a" (0), "d" (0));
		CHECK(nr_faults == 1);
	}
	tell(STAGE_DONE);
}

static uint64_t get_dr0(void)
{
	uint64_t dr0;

	asm volatile("mov %%db0, %0" : "=r" (dr0));
	return dr0;
}

/* Without DebugSwap there is no telling what is in DR0, but for one thing. */
static void guest_debug_regs(uint32_t id)
{
	tell(1);
	CHECK(get_dr0() != DR0_BEFORE);
	tell(STAGE_DONE);
}

/*
 * Host.
 */
static void setup(struct kvm_vm *vm)
{
	vm_install_exception_handler(vm, NMI_VECTOR, nmi_handler);
	vm_install_exception_handler(vm, GP_VECTOR, gp_handler);
}

static void test_registers(void)
{
	struct sev_machine m[2];
	uint32_t stage;

	sev_machine_launch(&m[0], guest_registers, setup);
	for (stage = 1; stage <= 4; stage++) {
		sev_machine_run(&m[(stage - 1) % 2]);
		sev_machine_expect(&m[(stage - 1) % 2], stage);
		sev_machine_send(&m[(stage - 1) % 2], &m[stage % 2]);
	}
	sev_machine_run(&m[0]);
	sev_machine_expect(&m[0], STAGE_DONE);
	kvm_vm_free(m[0].vm);
}

static void test_pending(void)
{
	struct sev_vcpu_packet packet;
	struct sev_session session;
	struct sev_machine a, b;
	struct kvm_run *run;
	int i;

	sev_machine_launch(&a, guest_pending, setup);
	sev_machine_run(&a);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++) {
		run = a.vcpus[i]->run;
		SEV_EXPECT(run->io.port == PORT_ASK, "port %#x", run->io.port);
		*(uint32_t *)((void *)run + run->io.data_offset) = ANSWER + i;
	}

	/* Not before the answer is where the guest can take it along. */
	sev_export_certs(a.vm, &sev_machine_certs);
	SEV_EXPECT_CMD(vm_sev_send_start(a.vm, &sev_machine_certs, &session, &fw), 0, 0);
	SEV_EXPECT_CMD(__vcpu_sev_send(a.vcpus[0], &packet, &fw), -EBUSY, 0);
	SEV_EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_SEND_CANCEL, NULL, &fw), 0, 0);
	SEV_EXPECT(vm_sev_state(a.vm) == SEV_GUEST_STATE_RUNNING, "");

	sev_machine_send(&a, &b);
	sev_machine_run(&b);
	sev_machine_expect(&b, STAGE_DONE);
	kvm_vm_free(b.vm);
}

static void test_nmi(void)
{
	struct kvm_vcpu_events events;
	struct sev_machine a, b;

	sev_machine_launch(&a, guest_nmi, setup);
	SEV_EXPECT(vcpu_run_to_exit(a.vcpus[0]) == 0, "");
	vcpu_ioctl(a.vcpus[0], KVM_NMI, NULL);
	sev_machine_run(&a);
	sev_machine_expect(&a, 1);
	vcpu_ioctl(a.vcpus[0], KVM_NMI, NULL);

	sev_machine_send(&a, &b);
	vcpu_events_get(b.vcpus[0], &events);
	SEV_EXPECT(events.nmi.masked && events.nmi.pending, "");
	sev_machine_run(&b);
	sev_machine_expect(&b, STAGE_DONE);
	kvm_vm_free(b.vm);
}

static void no_handler(int sig)
{
}

static void *run_until_kicked(void *arg)
{
	struct kvm_vcpu *vcpu = arg;

	TEST_ASSERT(__vcpu_run(vcpu) == -1 && errno == EINTR, "KVM_RUN: %s",
		    strerror(errno));
	vcpu->run->immediate_exit = 0;
	return NULL;
}

static uint64_t read_stat(int fd, const char *name)
{
	struct kvm_stats_desc *descs, *desc;
	struct kvm_stats_header header;
	uint64_t value = 0;
	int i;

	read_stats_header(fd, &header);
	descs = read_stats_descriptors(fd, &header);
	for (i = 0; i < header.num_desc; i++) {
		desc = get_stats_descriptor(descs, i, &header);
		if (!strcmp(desc->name, name))
			read_stat_data(fd, &header, desc, &value, 1);
	}
	free(descs);
	return value;
}

/* Run the vCPU until it waits for a SIPI. */
static void run_to_hold(struct kvm_vcpu *vcpu)
{
	/* Not while it runs: the ioctl would wait for that to end. */
	int stats_fd = vcpu_get_stats_fd(vcpu);
	struct kvm_mp_state state;
	pthread_t thread;

	pthread_create(&thread, NULL, run_until_kicked, vcpu);
	while (!read_stat(stats_fd, "blocking"))
		usleep(1000);
	close(stats_fd);

	vcpu->run->immediate_exit = 1;
	pthread_kill(thread, SIGUSR1);
	pthread_join(thread, NULL);
	vcpu_mp_state_get(vcpu, &state);
	SEV_EXPECT(state.mp_state == KVM_MP_STATE_AP_RESET_HOLD, "%u", state.mp_state);
}

static void test_hold(void)
{
	const uint64_t long_mode = EFER_LMA | EFER_LME;
	struct sev_vcpu_packet packet;
	struct sev_session session;
	struct sev_machine a, b;

	signal(SIGUSR1, no_handler);
	sev_machine_launch(&a, guest_hold, setup);
	SEV_EXPECT(vcpu_run_to_exit(a.vcpus[0]) == 0, "");
	run_to_hold(a.vcpus[1]);
	SEV_EXPECT(vcpu_run_to_exit(a.vcpus[0]) == 1, "");
	SEV_EXPECT(vcpu_run_to_exit(a.vcpus[1]) == 1, "");
	run_to_hold(a.vcpus[1]);

	/* The vCPU has gone through an INIT, which its VMSA does not know. */
	sev_export_certs(a.vm, &sev_machine_certs);
	SEV_EXPECT_CMD(vm_sev_send_start(a.vm, &sev_machine_certs, &session, &fw), 0, 0);
	SEV_EXPECT_CMD(__vcpu_sev_send(a.vcpus[1], &packet, &fw), 0, 0);
	SEV_EXPECT(packet.record.flags == SEV_VCPU_FIRST_SIPI, "%#x", packet.record.flags);
	SEV_EXPECT(packet.record.ap_reset_hold == SEV_VCPU_HOLD_NAE_EVENT, "%u",
		   packet.record.ap_reset_hold);
	SEV_EXPECT((packet.record.efer & long_mode) == long_mode, "%#llx",
		   packet.record.efer);
	SEV_EXPECT(packet.record.cr0 & X86_CR0_PG, "%#llx", packet.record.cr0);
	SEV_EXPECT(packet.record.cr4 & X86_CR4_PAE, "%#llx", packet.record.cr4);
	SEV_EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_SEND_CANCEL, NULL, &fw), 0, 0);

	sev_machine_send(&a, &b);
	SEV_EXPECT(vcpu_run_to_exit(b.vcpus[0]) == STAGE_DONE, "");
	SEV_EXPECT(vcpu_run_to_exit(b.vcpus[1]) == STAGE_DONE, "");
	kvm_vm_free(b.vm);
}

static void test_fault(void)
{
	struct sev_machine a, b;

	sev_machine_launch(&a, guest_fault, setup);
	sev_machine_run(&a);
	sev_machine_expect(&a, 1);
	sev_machine_send(&a, &b);
	sev_machine_run(&b);
	sev_machine_expect(&b, STAGE_DONE);
	kvm_vm_free(b.vm);
}

/* Breakpoints that userspace has set before are no longer loaded by KVM. */
static void test_debug_regs(void)
{
	struct kvm_debugregs regs = {
		.db[0] = DR0_BEFORE,
		.dr6 = 0xffff0ff0,
		.dr7 = 0x402,
	};
	struct sev_machine a, b;
	int i;

	sev_machine_launch(&a, guest_debug_regs, setup);
	sev_machine_run(&a);
	sev_machine_expect(&a, 1);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		vcpu_finish_exit(a.vcpus[i]);
	sev_machine_connect(&a, &b);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		vcpu_debugregs_set(b.vcpus[i], &regs);
	sev_machine_move(&a, &b);
	sev_machine_run(&b);
	sev_machine_expect(&b, STAGE_DONE);
	kvm_vm_free(b.vm);
}

/* KVM's view on the destination is that of the source. */
static void test_record(void)
{
	struct sev_vcpu_packet first[SEV_MACHINE_VCPUS], second[SEV_MACHINE_VCPUS];
	struct sev_session session;
	struct sev_machine a, b;
	int i;

	sev_machine_launch(&a, guest_registers, setup);
	sev_machine_run(&a);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		vcpu_finish_exit(a.vcpus[i]);
	sev_machine_connect(&a, &b);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		vcpu_sev_send(a.vcpus[i], &first[i]);
	SEV_EXPECT(first[0].record.efer & EFER_LMA, "EFER %#llx", first[0].record.efer);
	SEV_EXPECT(first[0].record.cr0 & X86_CR0_PE, "CR0 %#llx", first[0].record.cr0);
	SEV_EXPECT(first[0].record.cr8 == 5, "CR8 %#llx", first[0].record.cr8);
	SEV_EXPECT(first[0].record.ghcb_msr, "no GHCB");
	SEV_EXPECT(first[0].record.ghcb_msr != first[1].record.ghcb_msr, "same GHCB");
	sev_machine_move(&a, &b);

	sev_export_certs(b.vm, &sev_machine_certs);
	SEV_EXPECT_CMD(vm_sev_send_start(b.vm, &sev_machine_certs, &session, &fw), 0, 0);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++) {
		vcpu_sev_send(b.vcpus[i], &second[i]);
		SEV_EXPECT(!memcmp(&first[i].record, &second[i].record,
				   sizeof(first[i].record)), "vCPU %d", i);
	}
	kvm_vm_free(b.vm);
}

static const struct sev_machine_test subtests[] = {
	{ "registers", test_registers },
	{ "pending", test_pending },
	{ "nmi", test_nmi },
	{ "hold", test_hold },
	{ "fault", test_fault },
	{ "debug_regs", test_debug_regs },
	{ "record", test_record },
};

int main(int argc, char *argv[])
{
	sev_machine_require(argc > 1 ? argv[1] : NULL);
	sev_machine_run_tests(subtests, ARRAY_SIZE(subtests));
	ksft_finished();
}
