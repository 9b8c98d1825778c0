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
#include "sev_transport.h"
#include "test_util.h"

#define NR_VCPUS	2

/* The guest tells the host how it fares, and asks it things. */
#define PORT_STAGE	0x50
#define PORT_ASK	0x51
#define STAGE_DONE	0x1000
#define STAGE_FAILED	0x2000		/* and the line below that */

#define ANSWER		0x5eed1e55

/* Guest memory, private. */
static uint64_t counter[NR_VCPUS];
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

#define CHECK(cond)						\
	do {							\
		if (!(cond)) {					\
			tell(STAGE_FAILED + __LINE__);		\
			return;					\
		}						\
	} while (0)

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

/*
 * Host.
 */
static struct sev_certs certs;
static int failures;

#define EXPECT(cond, fmt, ...)						\
	do {								\
		if (!(cond)) {						\
			ksft_print_msg("line %d: %s: " fmt "\n",	\
				       __LINE__, #cond, ##__VA_ARGS__);	\
			failures++;					\
		}							\
	} while (0)

#define EXPECT_CMD(call, want, want_fw)					\
	do {								\
		uint32_t fw = 0;					\
		int r = (call);						\
									\
		EXPECT(r == (want) && fw == (want_fw), "%d, firmware %u", r, fw); \
	} while (0)

struct machine {
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[NR_VCPUS];
	uint32_t stage[NR_VCPUS];
};

static void machine_create(struct machine *m, void *guest)
{
	const struct sev_ghcb_config config = { .init = { .ghcb_version = 2 } };
	int i;

	memset(m, 0, sizeof(*m));
	m->vm = vm_sev_ghcb_create(&config, NR_VCPUS, guest, m->vcpus);
	vm_install_exception_handler(m->vm, NMI_VECTOR, nmi_handler);
	vm_install_exception_handler(m->vm, GP_VECTOR, gp_handler);
	for (i = 0; i < NR_VCPUS; i++)
		vcpu_args_set(m->vcpus[i], 1, i);
}

/* Until the vCPU says something. */
static uint32_t run_to_exit(struct kvm_vcpu *vcpu)
{
	vcpu_run(vcpu);
	TEST_ASSERT_KVM_EXIT_REASON(vcpu, KVM_EXIT_IO);
	return *(uint32_t *)((void *)vcpu->run + vcpu->run->io.data_offset);
}

/* What KVM has still to do for an exit, and no more. */
static void finish_exit(struct kvm_vcpu *vcpu)
{
	vcpu->run->immediate_exit = 1;
	TEST_ASSERT(__vcpu_run(vcpu) == -1 && errno == EINTR, "KVM_RUN: %s",
		    strerror(errno));
	vcpu->run->immediate_exit = 0;
}

static void *run_thread(void *arg)
{
	return (void *)(uintptr_t)run_to_exit(arg);
}

static void run_all(struct machine *m)
{
	pthread_t threads[NR_VCPUS];
	void *stage;
	int i;

	for (i = 0; i < NR_VCPUS; i++)
		pthread_create(&threads[i], NULL, run_thread, m->vcpus[i]);
	for (i = 0; i < NR_VCPUS; i++) {
		pthread_join(threads[i], &stage);
		m->stage[i] = (uintptr_t)stage;
	}
}

static void expect_stage(const struct machine *m, uint32_t stage)
{
	int i;

	for (i = 0; i < NR_VCPUS; i++)
		EXPECT(m->stage[i] == stage, "vCPU %d says %#x", i, m->stage[i]);
}

/* Both are where userspace may leave them, @from ready to go. */
static void connect_machines(struct machine *from, struct machine *to, void *guest)
{
	struct sev_session session;

	machine_create(to, guest);
	sev_export_certs(to->vm, &certs);
	EXPECT_CMD(vm_sev_send_start(from->vm, &certs, &session, &fw), 0, 0);
	EXPECT(vm_sev_state(from->vm) == SEV_GUEST_STATE_SEND_UPDATE, "");
	EXPECT_CMD(vm_sev_receive_start(to->vm, &session, &fw), 0, 0);
	EXPECT(vm_sev_state(to->vm) == SEV_GUEST_STATE_RECEIVE_UPDATE, "");
}

static void move(struct machine *from, struct machine *to)
{
	struct sev_vcpu_packet packet;
	int i;

	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_sev_send(from->vcpus[i], &packet);
		vcpu_sev_receive(to->vcpus[i], &packet);
	}
	vm_sev_transport_memory(from->vm, to->vm);
	EXPECT_CMD(sev_cmd(from->vm, KVM_SEV_SEND_FINISH, NULL, &fw), 0, 0);
	EXPECT(vm_sev_state(from->vm) == SEV_GUEST_STATE_SENT, "");
	EXPECT_CMD(sev_cmd(to->vm, KVM_SEV_RECEIVE_FINISH, NULL, &fw), 0, 0);
	EXPECT(vm_sev_state(to->vm) == SEV_GUEST_STATE_RUNNING, "");
	kvm_vm_free(from->vm);
}

static void send_machine(struct machine *from, struct machine *to, void *guest)
{
	int i;

	for (i = 0; i < NR_VCPUS; i++)
		finish_exit(from->vcpus[i]);
	connect_machines(from, to, guest);
	move(from, to);
}

static void launch(struct machine *m, void *guest)
{
	machine_create(m, guest);
	vm_sev_launch(m->vm, SEV_POLICY_ES, NULL);
}

/* A guest that has run and can be sent. */
static void launch_and_stop(struct machine *m)
{
	int i;

	launch(m, guest_registers);
	run_all(m);
	for (i = 0; i < NR_VCPUS; i++)
		finish_exit(m->vcpus[i]);
}

static void test_registers(void)
{
	struct machine m[2];
	uint32_t stage;

	launch(&m[0], guest_registers);
	for (stage = 1; stage <= 4; stage++) {
		run_all(&m[(stage - 1) % 2]);
		expect_stage(&m[(stage - 1) % 2], stage);
		send_machine(&m[(stage - 1) % 2], &m[stage % 2], guest_registers);
	}
	run_all(&m[0]);
	expect_stage(&m[0], STAGE_DONE);
	kvm_vm_free(m[0].vm);
}

static void test_pending(void)
{
	struct sev_vcpu_packet packet;
	struct sev_session session;
	struct machine a, b;
	struct kvm_run *run;
	int i;

	launch(&a, guest_pending);
	run_all(&a);
	for (i = 0; i < NR_VCPUS; i++) {
		run = a.vcpus[i]->run;
		EXPECT(run->io.port == PORT_ASK, "port %#x", run->io.port);
		*(uint32_t *)((void *)run + run->io.data_offset) = ANSWER + i;
	}

	/* Not before the answer is where the guest can take it along. */
	sev_export_certs(a.vm, &certs);
	EXPECT_CMD(vm_sev_send_start(a.vm, &certs, &session, &fw), 0, 0);
	EXPECT_CMD(__vcpu_sev_send(a.vcpus[0], &packet, &fw), -EBUSY, 0);
	EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_SEND_CANCEL, NULL, &fw), 0, 0);
	EXPECT(vm_sev_state(a.vm) == SEV_GUEST_STATE_RUNNING, "");

	send_machine(&a, &b, guest_pending);
	run_all(&b);
	expect_stage(&b, STAGE_DONE);
	kvm_vm_free(b.vm);
}

static void test_nmi(void)
{
	struct kvm_vcpu_events events;
	struct machine a, b;

	launch(&a, guest_nmi);
	EXPECT(run_to_exit(a.vcpus[0]) == 0, "");
	vcpu_ioctl(a.vcpus[0], KVM_NMI, NULL);
	run_all(&a);
	expect_stage(&a, 1);
	vcpu_ioctl(a.vcpus[0], KVM_NMI, NULL);

	send_machine(&a, &b, guest_nmi);
	vcpu_events_get(b.vcpus[0], &events);
	EXPECT(events.nmi.masked && events.nmi.pending, "");
	run_all(&b);
	expect_stage(&b, STAGE_DONE);
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
	EXPECT(state.mp_state == KVM_MP_STATE_AP_RESET_HOLD, "%u", state.mp_state);
}

static void test_hold(void)
{
	const uint64_t long_mode = EFER_LMA | EFER_LME;
	struct sev_vcpu_packet packet;
	struct sev_session session;
	struct machine a, b;

	signal(SIGUSR1, no_handler);
	launch(&a, guest_hold);
	EXPECT(run_to_exit(a.vcpus[0]) == 0, "");
	run_to_hold(a.vcpus[1]);
	EXPECT(run_to_exit(a.vcpus[0]) == 1, "");
	EXPECT(run_to_exit(a.vcpus[1]) == 1, "");
	run_to_hold(a.vcpus[1]);

	/* The vCPU has gone through an INIT, which its VMSA does not know. */
	sev_export_certs(a.vm, &certs);
	EXPECT_CMD(vm_sev_send_start(a.vm, &certs, &session, &fw), 0, 0);
	EXPECT_CMD(__vcpu_sev_send(a.vcpus[1], &packet, &fw), 0, 0);
	EXPECT(packet.record.flags == SEV_VCPU_FIRST_SIPI, "%#x", packet.record.flags);
	EXPECT(packet.record.ap_reset_hold == SEV_VCPU_HOLD_NAE_EVENT, "%u",
	       packet.record.ap_reset_hold);
	EXPECT((packet.record.efer & long_mode) == long_mode, "%#llx",
	       packet.record.efer);
	EXPECT(packet.record.cr0 & X86_CR0_PG, "%#llx", packet.record.cr0);
	EXPECT(packet.record.cr4 & X86_CR4_PAE, "%#llx", packet.record.cr4);
	EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_SEND_CANCEL, NULL, &fw), 0, 0);

	send_machine(&a, &b, guest_hold);
	EXPECT(run_to_exit(b.vcpus[0]) == STAGE_DONE, "");
	EXPECT(run_to_exit(b.vcpus[1]) == STAGE_DONE, "");
	kvm_vm_free(b.vm);
}

static void test_fault(void)
{
	struct machine a, b;

	launch(&a, guest_fault);
	run_all(&a);
	expect_stage(&a, 1);
	send_machine(&a, &b, guest_fault);
	run_all(&b);
	expect_stage(&b, STAGE_DONE);
	kvm_vm_free(b.vm);
}

/* KVM's view on the destination is that of the source. */
static void test_record(void)
{
	struct sev_vcpu_packet first[NR_VCPUS], second[NR_VCPUS];
	struct sev_session session;
	struct machine a, b;
	int i;

	launch_and_stop(&a);
	connect_machines(&a, &b, guest_registers);
	for (i = 0; i < NR_VCPUS; i++)
		vcpu_sev_send(a.vcpus[i], &first[i]);
	EXPECT(first[0].record.efer & EFER_LMA, "EFER %#llx", first[0].record.efer);
	EXPECT(first[0].record.cr0 & X86_CR0_PE, "CR0 %#llx", first[0].record.cr0);
	EXPECT(first[0].record.cr8 == 5, "CR8 %#llx", first[0].record.cr8);
	EXPECT(first[0].record.ghcb_msr, "no GHCB");
	EXPECT(first[0].record.ghcb_msr != first[1].record.ghcb_msr, "same GHCB");
	move(&a, &b);

	sev_export_certs(b.vm, &certs);
	EXPECT_CMD(vm_sev_send_start(b.vm, &certs, &session, &fw), 0, 0);
	for (i = 0; i < NR_VCPUS; i++) {
		vcpu_sev_send(b.vcpus[i], &second[i]);
		EXPECT(!memcmp(&first[i].record, &second[i].record,
			       sizeof(first[i].record)), "vCPU %d", i);
	}
	kvm_vm_free(b.vm);
}

/* Each member of the record that KVM must not believe. */
static const struct bad_record {
	const char *what;
	int offset;
	uint64_t value;
	bool xor;
} bad_records[] = {
#define MEMBER(member)		offsetof(struct sev_vcpu_record, member)
#define BAD(member, value)	{ #member " = " #value, MEMBER(member), value, false }
#define BADX(member, bits)	{ #member " ^ " #bits, MEMBER(member), bits, true }
	BADX(version, 2), BADX(version, 1ull << 39), BADX(flags, 2), BADX(flags, 1u << 31),
	BADX(flags, 3ull << 32),
	BADX(sev_features, 1), BADX(sev_features, 1ull << 63),
	BADX(efer, EFER_LMA), BADX(efer, EFER_LME), BADX(efer, EFER_SVME),
	BADX(efer, 1ull << 40),
	BADX(cr0, X86_CR0_PE), BADX(cr0, X86_CR0_PG), BADX(cr0, X86_CR0_NW),
	BADX(cr0, 1ull << 32),
	BADX(cr4, X86_CR4_PAE), BADX(cr4, 1ull << 31), BADX(cr4, 1ull << 63),
	BAD(cr8, 16), BAD(cr8, ~0ull),
	BADX(dr7, 1ull << 32), BADX(dr7, 1 << 10), BADX(dr7, 1 << 14),
	BAD(xcr0, 0), BAD(xcr0, 4), BAD(xcr0, 1ull << 63),
	BAD(xss, 1ull << 63), BAD(xss, 1),
	BAD(ghcb_msr, 1ull << 63),
	BADX(reserved[0], 1), BADX(reserved[3], 1ull << 63),
#undef BAD
#undef BADX
};

static void test_bad_records(void)
{
	struct sev_vcpu_packet good, bad;
	struct machine a, b;
	uint64_t *member;
	int i;

	launch_and_stop(&a);
	connect_machines(&a, &b, guest_registers);
	vcpu_sev_send(a.vcpus[0], &good);
	for (i = 0; i < ARRAY_SIZE(bad_records); i++) {
		uint32_t fw;
		int r;

		bad = good;
		member = (void *)&bad.record + bad_records[i].offset;
		*member = bad_records[i].xor ? *member ^ bad_records[i].value :
					       bad_records[i].value;
		r = __vcpu_sev_receive(b.vcpus[0], &bad, &fw);
		EXPECT(r == -EINVAL, "%s: %d", bad_records[i].what, r);
	}
	/* After all that the vCPU is still as it was, and takes the good one. */
	vcpu_sev_receive(b.vcpus[0], &good);
	EXPECT_CMD(__vcpu_sev_receive(b.vcpus[0], &good, &fw), -EPERM, 0);
	kvm_vm_free(a.vm);
	kvm_vm_free(b.vm);
}

/* A record of random bits is refused, or is one that KVM can live with. */
static void test_random_records(void)
{
	struct sev_vcpu_packet good, bad;
	struct machine a, b;
	int i, byte;

	launch_and_stop(&a);
	connect_machines(&a, &b, guest_registers);
	vcpu_sev_send(a.vcpus[0], &good);
	srandom(20);
	for (i = 0; i < 20000; i++) {
		uint32_t fw;

		/* With a bad packet, so that it is the check alone that is tried. */
		bad = good;
		bad.hdr[20] ^= 1;
		byte = random() % sizeof(bad.record);
		((uint8_t *)&bad.record)[byte] ^= random();
		if (i & 1)
			((uint8_t *)&bad.record)[random() % sizeof(bad.record)] = random();
		switch (__vcpu_sev_receive(b.vcpus[0], &bad, &fw)) {
		case -EINVAL:
			break;
		case -EIO:
			EXPECT(fw == SEV_RET_BAD_MEASUREMENT, "firmware %u", fw);
			break;
		default:
			EXPECT(false, "round %d", i);
			return;
		}
	}
	vcpu_sev_receive(b.vcpus[0], &good);
	kvm_vm_free(a.vm);
	kvm_vm_free(b.vm);
}

static void test_bad_packets(void)
{
	struct sev_vcpu_packet good, bad;
	struct machine a, b;
	int i;

	launch_and_stop(&a);
	connect_machines(&a, &b, guest_registers);
	vcpu_sev_send(a.vcpus[0], &good);
	for (i = 0; i < 8 * SEV_PACKET_HDR_LEN; i++) {
		bad = good;
		bad.hdr[i / 8] ^= 1 << i % 8;
		EXPECT_CMD(__vcpu_sev_receive(b.vcpus[0], &bad, &fw), -EIO,
			   i ? SEV_RET_BAD_MEASUREMENT : SEV_RET_UNSUPPORTED);
	}
	for (i = 0; i < 8 * sizeof(bad.data); i += 97) {
		bad = good;
		bad.data[i / 8] ^= 1 << i % 8;
		EXPECT_CMD(__vcpu_sev_receive(b.vcpus[0], &bad, &fw), -EIO,
			   SEV_RET_BAD_MEASUREMENT);
	}
	vcpu_sev_receive(b.vcpus[0], &good);
	kvm_vm_free(a.vm);
	kvm_vm_free(b.vm);
}

static void test_lengths(void)
{
	struct kvm_sev_vmsa_packet params = { };
	uint8_t buf[2 * 4096];
	struct machine a, b;

	launch_and_stop(&a);
	connect_machines(&a, &b, guest_registers);

	EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_SEND_UPDATE_VMSA, &params, &fw), 0, 0);
	EXPECT(params.hdr_len == SEV_PACKET_HDR_LEN, "%u", params.hdr_len);
	EXPECT(params.trans_len == 4096, "%u", params.trans_len);
	EXPECT(params.record_len == sizeof(struct sev_vcpu_record), "%u", params.record_len);

	params.hdr_uaddr = (uintptr_t)buf;
	params.trans_uaddr = (uintptr_t)buf;
	params.record_uaddr = (uintptr_t)buf;
#define WITH(vm, cmd, member, value, want, want_fw)			\
	do {								\
		struct kvm_sev_vmsa_packet p = params;			\
									\
		p.member = (value);					\
		EXPECT_CMD(sev_cmd(vm, cmd, &p, &fw), want, want_fw);	\
	} while (0)
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, hdr_len, 4097, -EINVAL, 0);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, hdr_len, 51, -EIO, SEV_RET_INVALID_LEN);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, trans_len, 4095, -EINVAL, 0);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, trans_len, 0x4001, -EINVAL, 0);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, record_len, 127, -EINVAL, 0);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, vcpu_id, NR_VCPUS, -EINVAL, 0);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, pad, 1, -EINVAL, 0);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, trans_uaddr, 8, -EFAULT, 0);
	WITH(b.vm, KVM_SEV_SEND_UPDATE_VMSA, vcpu_id, 0, -EPERM, 0);
	WITH(b.vm, KVM_SEV_RECEIVE_UPDATE_VMSA, hdr_len, 0, -EINVAL, 0);
	WITH(b.vm, KVM_SEV_RECEIVE_UPDATE_VMSA, trans_len, 4080, -EINVAL, 0);
	WITH(b.vm, KVM_SEV_RECEIVE_UPDATE_VMSA, record_len, 0, -EINVAL, 0);
	WITH(b.vm, KVM_SEV_RECEIVE_UPDATE_VMSA, record_len, 4097, -EINVAL, 0);
	WITH(b.vm, KVM_SEV_RECEIVE_UPDATE_VMSA, vcpu_id, 7, -EINVAL, 0);
	WITH(b.vm, KVM_SEV_RECEIVE_UPDATE_VMSA, record_uaddr, 8, -EFAULT, 0);
#undef WITH
	kvm_vm_free(a.vm);
	kvm_vm_free(b.vm);
}

static void test_states(void)
{
	struct sev_vcpu_packet packet;
	struct sev_session session;
	struct kvm_vm *plain;
	struct machine a, b;

	launch_and_stop(&a);
	EXPECT_CMD(__vcpu_sev_send(a.vcpus[0], &packet, &fw), -EIO,
		   SEV_RET_INVALID_GUEST_STATE);
	EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_SEND_FINISH, NULL, &fw), -EIO,
		   SEV_RET_INVALID_GUEST_STATE);
	EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_SEND_CANCEL, NULL, &fw), -EIO,
		   SEV_RET_INVALID_GUEST_STATE);
	EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_RECEIVE_FINISH, NULL, &fw), -EIO,
		   SEV_RET_INVALID_GUEST_STATE);
	connect_machines(&a, &b, guest_registers);
	EXPECT_CMD(vm_sev_send_start(a.vm, &certs, &session, &fw), -EIO,
		   SEV_RET_INVALID_GUEST_STATE);
	move(&a, &b);
	kvm_vm_free(b.vm);

	machine_create(&a, guest_registers);
	vm_sev_launch(a.vm, SEV_POLICY_ES | SEV_POLICY_NO_SEND, NULL);
	sev_export_certs(a.vm, &certs);
	EXPECT_CMD(vm_sev_send_start(a.vm, &certs, &session, &fw), -EIO,
		   SEV_RET_POLICY_FAILURE);
	kvm_vm_free(a.vm);

	plain = vm_create_barebones_type(KVM_X86_SEV_VM);
	sev_vm_init(plain);
	EXPECT_CMD(sev_cmd(plain, KVM_SEV_SEND_UPDATE_VMSA, &packet, &fw), -ENOTTY, 0);
	EXPECT_CMD(sev_cmd(plain, KVM_SEV_RECEIVE_UPDATE_VMSA, &packet, &fw), -ENOTTY, 0);
	kvm_vm_free(plain);
}

static const struct subtest {
	const char *name;
	void (*run)(void);
} subtests[] = {
	{ "registers", test_registers },
	{ "pending", test_pending },
	{ "nmi", test_nmi },
	{ "hold", test_hold },
	{ "fault", test_fault },
	{ "record", test_record },
	{ "bad_records", test_bad_records },
	{ "random_records", test_random_records },
	{ "bad_packets", test_bad_packets },
	{ "lengths", test_lengths },
	{ "states", test_states },
};

int main(int argc, char *argv[])
{
	int i;

	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV_ES));
	__TEST_REQUIRE(sev_read_root(argc > 1 ? argv[1] : NULL, &certs),
		       "No certificates of AMD's root");

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(subtests));
	for (i = 0; i < ARRAY_SIZE(subtests); i++) {
		failures = 0;
		subtests[i].run();
		ksft_test_result(!failures, "%s\n", subtests[i].name);
	}
	ksft_finished();
}
