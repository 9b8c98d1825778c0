// SPDX-License-Identifier: GPL-2.0-only
/*
 * Records of what KVM knows of a SEV-ES vCPU, each bit of each field flipped and
 * many at random, offered to the KVM of a destination: it refuses them, and the
 * vCPU is as it was, or it takes them, and then knows what they say, no more
 * and no less.  The guest runs on what it has been told, too.
 *
 * The argument is the file with AMD's root certificates, ASK and ARK; on the
 * emulated host there is one.
 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/time.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_machine.h"
#include "sev_transport.h"
#include "test_util.h"

#define PORT		0x50

/* An address without memory, and what the GHCB MSR says after its use */
#define NO_MEMORY	0x7ffff000
#define GHCB_REFUSED	(~0xfffull | SEV_GHCB_MSR_REG_GPA_RESP)

#define NR_BITS		(8 * sizeof(struct sev_vcpu_record))
#define NR_RANDOM	20000
#define MAX_ACCEPTED	1024
#define MAX_RECEIVED	256

/* Of those that are taken: each how many is run for a moment */
#define RUN_EACH	16

static void guest_code(uint32_t id)
{
	struct sev_ghcb_call call = sev_ghcb_out(PORT, 4, id);

	for (;;)
		sev_ghcb_vmgexit(&call);
}

/* What userspace can see of a vCPU that is not protected. */
struct state {
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	struct kvm_fpu fpu;
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_vcpu_events events;
	struct kvm_mp_state mp_state;
	struct kvm_lapic_state lapic;
	uint64_t xss;
};

static void get_state(struct kvm_vcpu *vcpu, struct state *s)
{
	memset(s, 0, sizeof(*s));
	vcpu_regs_get(vcpu, &s->regs);
	vcpu_sregs_get(vcpu, &s->sregs);
	vcpu_fpu_get(vcpu, &s->fpu);
	vcpu_xcrs_get(vcpu, &s->xcrs);
	vcpu_debugregs_get(vcpu, &s->debugregs);
	vcpu_events_get(vcpu, &s->events);
	vcpu_mp_state_get(vcpu, &s->mp_state);
	vcpu_ioctl(vcpu, KVM_GET_LAPIC, &s->lapic);
	s->xss = vcpu_get_msr(vcpu, MSR_IA32_XSS);
}

static int get_record(struct kvm_vcpu *vcpu, struct sev_vcpu_record *rec)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_SEV_CTRL,
		.attr = KVM_VCPU_SEV_RECORD,
		.addr = (uintptr_t)rec,
	};

	rec->size = sizeof(*rec);
	return __vcpu_ioctl(vcpu, KVM_GET_DEVICE_ATTR, &attr) ? -errno : 0;
}

static struct sev_machine source, target;
static struct sev_vcpu_packet good;
static struct state pristine;

static struct sev_vcpu_record accepted[MAX_ACCEPTED];
static int nr_accepted;

static void setup_source(void)
{
	int i;

	sev_machine_launch(&source, guest_code, NULL);
	sev_machine_run(&source);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		vcpu_finish_exit(source.vcpus[i]);
	sev_machine_connect(&source, &target);
	vcpu_sev_send(source.vcpus[0], &good);
	get_state(target.vcpus[0], &pristine);
}

static void expect_pristine(int round)
{
	struct sev_vcpu_record rec = { };
	struct state now;

	get_state(target.vcpus[0], &now);
	SEV_EXPECT(!memcmp(&now, &pristine, sizeof(now)), "round %d", round);
	SEV_EXPECT(get_record(target.vcpus[0], &rec) == -EPERM, "round %d", round);
}

/*
 * With a packet that the firmware refuses, so that KVM's opinion can be had over
 * and over again: whether it has got as far as to ask.
 */
static bool is_accepted(const struct sev_vcpu_record *rec)
{
	struct sev_vcpu_packet packet = good;
	uint32_t fw = 0;
	int r;

	packet.record = *rec;
	packet.hdr[20] ^= 1;
	r = __vcpu_sev_receive(target.vcpus[0], &packet, &fw);
	SEV_EXPECT((r == -EINVAL && !fw) || (r == -EIO && fw == SEV_RET_BAD_MEASUREMENT),
		   "%d, firmware %u", r, fw);
	return r == -EIO;
}

static void try(const struct sev_vcpu_record *rec)
{
	if (is_accepted(rec) && nr_accepted < MAX_ACCEPTED)
		accepted[nr_accepted++] = *rec;
}

static void test_each_bit(void)
{
	struct sev_vcpu_record rec;
	int i;

	for (i = 0; i < NR_BITS && !sev_machine_failures; i++) {
		rec = good.record;
		((uint8_t *)&rec)[i / 8] ^= 1 << i % 8;
		try(&rec);
		expect_pristine(i);
	}
	ksft_print_msg("%d of %d flips are taken\n", nr_accepted, i);
	SEV_EXPECT(nr_accepted > 0 && nr_accepted < NR_BITS / 2, "");
}

static uint64_t random_word(void)
{
	uint64_t word = (uint64_t)random() << 40 ^ (uint64_t)random() << 20 ^ random();

	return random() % 4 ? word & (1ull << random() % 64 | 1ull << random() % 64) : word;
}

/* Some fields changed at a time, each in a few bits, with values that make sense. */
static void test_random(void)
{
	uint64_t *words;
	struct sev_vcpu_record rec;
	int i, n, before = nr_accepted;

	words = (uint64_t *)&rec;
	srandom(5);
	for (i = 0; i < NR_RANDOM && !sev_machine_failures; i++) {
		rec = good.record;
		for (n = 1 + random() % 3; n; n--)
			words[random() % (sizeof(rec) / 8)] ^= random_word();
		if (random() % 4)
			memcpy(&rec, &good.record, offsetof(struct sev_vcpu_record, efer));
		if (random() % 4)
			memset(rec.reserved, 0, sizeof(rec.reserved));
		try(&rec);
		if (i % 64 == 0)
			expect_pristine(i);
	}
	expect_pristine(i);
	SEV_EXPECT(nr_accepted > before, "");
}

static void kick(int sig)
{
}

/* The guest may not get far with what it has been told, but KVM has to. */
static void run_for_a_moment(struct sev_machine *m)
{
	const struct itimerval every = { .it_interval.tv_usec = 20000, .it_value.tv_usec = 20000 };
	const struct itimerval never = { };
	int i;

	setitimer(ITIMER_REAL, &every, NULL);
	for (i = 0; i < 8 && !__vcpu_run(m->vcpus[0]); i++)
		;
	setitimer(ITIMER_REAL, &never, NULL);
}

/* With the packet as it was, in a VM of its own */
static void receive(struct sev_machine *from, const struct sev_vcpu_record *rec, bool run)
{
	struct sev_vcpu_packet packet;
	struct sev_vcpu_record now = { };
	struct sev_machine to;

	sev_machine_connect(from, &to);
	vcpu_sev_send(from->vcpus[0], &packet);
	packet.record = *rec;
	SEV_EXPECT_CMD(__vcpu_sev_receive(to.vcpus[0], &packet, &fw), 0, 0);
	SEV_EXPECT(!get_record(to.vcpus[0], &now) && !memcmp(&now, rec, sizeof(now)), "");

	if (run) {
		vm_sev_transport_memory(from->vm, to.vm);
		SEV_EXPECT_CMD(sev_cmd(to.vm, KVM_SEV_RECEIVE_FINISH, NULL, &fw), 0, 0);
		run_for_a_moment(&to);
	}
	SEV_EXPECT_CMD(sev_cmd(from->vm, KVM_SEV_SEND_CANCEL, NULL, &fw), 0, 0);
	kvm_vm_free(to.vm);
}

/* All that one bit makes different, and some of the others. */
static void test_accepted(void)
{
	int i, n = nr_accepted < MAX_RECEIVED ? nr_accepted : MAX_RECEIVED;
	struct sev_machine m;

	signal(SIGALRM, kick);
	sev_machine_launch(&m, guest_code, NULL);
	sev_machine_run(&m);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		vcpu_finish_exit(m.vcpus[i]);
	for (i = 0; i < n && !sev_machine_failures; i++)
		receive(&m, &accepted[i], i % RUN_EACH == 0);
	if (sev_machine_failures)
		ksft_print_msg("record %d\n", i - 1);
	kvm_vm_free(m.vm);
}

/* After all that the vCPU takes the good one. */
static void test_good(void)
{
	struct sev_vcpu_record rec = { };

	vcpu_sev_receive(target.vcpus[0], &good);
	SEV_EXPECT(!get_record(target.vcpus[0], &rec), "");
	SEV_EXPECT(!memcmp(&rec, &good.record, sizeof(rec)), "");
}

/*
 * A vCPU that is held by a VMGEXIT, as its record says, but has no GHCB where
 * that is to be answered: there is no page, or no memory.
 */
static void test_hold_nowhere(void)
{
	static const uint64_t no_page[] = { 0, 7, ~0ull };
	struct kvm_mp_state sipi = { .mp_state = KVM_MP_STATE_SIPI_RECEIVED }, now;
	struct kvm_vcpu *vcpu = target.vcpus[1];
	struct sev_vcpu_packet packet;
	struct sev_vcpu_record rec;
	int i;

	vcpu_sev_send(source.vcpus[1], &packet);
	packet.record.flags = SEV_VCPU_FIRST_SIPI;
	packet.record.ap_reset_hold = SEV_VCPU_HOLD_NAE_EVENT;
	for (i = 0; i < ARRAY_SIZE(no_page); i++) {
		packet.record.ghcb_msr = no_page[i];
		SEV_EXPECT_CMD(__vcpu_sev_receive(vcpu, &packet, &fw), -EINVAL, 0);
	}

	/* The SIPI finds no memory, and what is left is a vCPU without a hold. */
	packet.record.ghcb_msr = NO_MEMORY;
	SEV_EXPECT_CMD(__vcpu_sev_receive(vcpu, &packet, &fw), 0, 0);
	vcpu_mp_state_set(vcpu, &sipi);
	vcpu_mp_state_get(vcpu, &now);
	SEV_EXPECT(now.mp_state == KVM_MP_STATE_RUNNABLE, "%u", now.mp_state);
	SEV_EXPECT(!get_record(vcpu, &rec), "");
	SEV_EXPECT(rec.ghcb_msr == GHCB_REFUSED, "%#llx", rec.ghcb_msr);
	SEV_EXPECT(!rec.ap_reset_hold, "%u", rec.ap_reset_hold);
}

static const struct sev_machine_test subtests[] = {
	{ "each_bit", test_each_bit },
	{ "random", test_random },
	{ "accepted", test_accepted },
	{ "good", test_good },
	{ "hold_nowhere", test_hold_nowhere },
};

int main(int argc, char *argv[])
{
	sev_machine_require(argc > 1 ? argv[1] : NULL);
	setup_source();
	sev_machine_run_tests(subtests, ARRAY_SIZE(subtests));
	kvm_vm_free(source.vm);
	kvm_vm_free(target.vm);
	ksft_finished();
}
