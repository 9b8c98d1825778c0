// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM and the firmware must not take for a SEV-ES vCPU of another host:
 * records, packets, lengths and states that are wrong.
 *
 * An argument is the file with AMD's root certificates, ASK and ARK; on the
 * emulated host there is one.  "long", the other one, is to flip not some bits of
 * packets but all of them.
 */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_machine.h"
#include "sev_transport.h"
#include "test_util.h"

#define PORT	0x50

static void guest_code(uint32_t id)
{
	struct sev_ghcb_call call = sev_ghcb_out(PORT, 4, id);

	for (;;)
		sev_ghcb_vmgexit(&call);
}

/* A guest that has run and can be sent. */
static void launch_and_stop(struct sev_machine *m)
{
	int i;

	sev_machine_launch(m, guest_code, NULL);
	sev_machine_run(m);
	for (i = 0; i < SEV_MACHINE_VCPUS; i++)
		vcpu_finish_exit(m->vcpus[i]);
}

/* Each member of the record that KVM must not believe. */
static const struct bad_record {
	const char *what;
	int offset;
	uint64_t value;
	bool xor;
} bad_records[] = {
#define ROW(member, op, value, xor)					\
	{ #member op #value, offsetof(struct sev_vcpu_record, member), value, xor }
#define BAD(member, value)	ROW(member, " = ", value, false)
#define BADX(member, bits)	ROW(member, " ^ ", bits, true)
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
#undef ROW
#undef BAD
#undef BADX
};

static void test_bad_records(void)
{
	struct sev_vcpu_packet good, bad;
	struct sev_machine a, b;
	uint64_t *member;
	int i;

	launch_and_stop(&a);
	sev_machine_connect(&a, &b);
	vcpu_sev_send(a.vcpus[0], &good);
	for (i = 0; i < ARRAY_SIZE(bad_records); i++) {
		uint32_t fw;
		int r;

		bad = good;
		member = (void *)&bad.record + bad_records[i].offset;
		*member = bad_records[i].xor ? *member ^ bad_records[i].value :
					       bad_records[i].value;
		r = __vcpu_sev_receive(b.vcpus[0], &bad, &fw);
		SEV_EXPECT(r == -EINVAL, "%s: %d", bad_records[i].what, r);
	}
	/* After all that the vCPU is still as it was, and takes the good one. */
	vcpu_sev_receive(b.vcpus[0], &good);
	SEV_EXPECT_CMD(__vcpu_sev_receive(b.vcpus[0], &good, &fw), -EPERM, 0);
	kvm_vm_free(a.vm);
	kvm_vm_free(b.vm);
}

/* A record of random bits is refused, or is one that KVM can live with. */
static void test_random_records(void)
{
	struct sev_vcpu_packet good, bad;
	struct sev_machine a, b;
	int i, byte;

	launch_and_stop(&a);
	sev_machine_connect(&a, &b);
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
			SEV_EXPECT(fw == SEV_RET_BAD_MEASUREMENT, "firmware %u", fw);
			break;
		default:
			SEV_EXPECT(false, "round %d", i);
			return;
		}
	}
	vcpu_sev_receive(b.vcpus[0], &good);
	kvm_vm_free(a.vm);
	kvm_vm_free(b.vm);
}

/*
 * Packets of each kind with one bit flipped.
 */
#define KEY_BEGIN	0x10		/* of a certificate: curve, both coordinates */
#define KEY_END		0xa4

/* Of long ones it is one bit in some, which comes by each bit of a byte. */
static int step = 97;

/* On their way; received by @target. */
static struct sev_machine target;
static struct sev_session session;
static struct sev_page_packet page;
static struct sev_vcpu_packet vmsa;

static int receive_start(uint32_t *fw)
{
	struct sev_session copy = session;

	return vm_sev_receive_start(target.vm, &copy, fw);
}

static int receive_page(uint32_t *fw)
{
	return vm_sev_receive_page(target.vm, &page, fw);
}

static int receive_vmsa(uint32_t *fw)
{
	return __vcpu_sev_receive(target.vcpus[0], &vmsa, fw);
}

/* With a packet that the firmware refuses, for KVM's opinion of the record */
static int receive_record(uint32_t *fw)
{
	int r;

	vmsa.hdr[20] ^= 1;
	r = receive_vmsa(fw);
	vmsa.hdr[20] ^= 1;
	return r;
}

static const struct flips {
	const char *what;
	void *data;
	int len;
	int (*receive)(uint32_t *fw);
	uint32_t first, others, or;	/* what the firmware says of the bits */
} all_flips[] = {
	{ "session", session.raw, sizeof(session.raw), receive_start,
	  SEV_RET_BAD_MEASUREMENT, SEV_RET_BAD_MEASUREMENT },
	/* Or it wants a later firmware than this one. */
	{ "policy", &session.policy, sizeof(session.policy), receive_start,
	  SEV_RET_BAD_MEASUREMENT, SEV_RET_BAD_MEASUREMENT, SEV_RET_POLICY_FAILURE },
	{ "PDH's key", session.pdh + KEY_BEGIN, KEY_END - KEY_BEGIN, receive_start,
	  SEV_RET_INVALID_CERTIFICATE, SEV_RET_INVALID_CERTIFICATE },
	/* Of a header the first bit says that the packet is compressed. */
	{ "page's header", page.hdr, sizeof(page.hdr), receive_page,
	  SEV_RET_UNSUPPORTED, SEV_RET_BAD_MEASUREMENT },
	{ "page", page.data, sizeof(page.data), receive_page,
	  SEV_RET_BAD_MEASUREMENT, SEV_RET_BAD_MEASUREMENT },
	{ "VMSA's header", vmsa.hdr, sizeof(vmsa.hdr), receive_vmsa,
	  SEV_RET_UNSUPPORTED, SEV_RET_BAD_MEASUREMENT },
	{ "VMSA", vmsa.data, sizeof(vmsa.data), receive_vmsa,
	  SEV_RET_BAD_MEASUREMENT, SEV_RET_BAD_MEASUREMENT },
	{ "record", &vmsa.record, sizeof(vmsa.record), receive_record,
	  SEV_RET_BAD_MEASUREMENT, SEV_RET_BAD_MEASUREMENT },
};

static bool fw_refuses(const struct flips *f, int bit, int r, uint32_t fw)
{
	return r == -EIO && (fw == (bit ? f->others : f->first) || (f->or && fw == f->or));
}

static void flip(const struct flips *f)
{
	int bit, nr = 0, nr_kvm = 0, by = f->len > 1024 ? step : 1;
	uint8_t *bytes = f->data;
	uint32_t fw;

	for (bit = 0; bit < 8 * f->len; bit += by, nr++) {
		int r;

		bytes[bit / 8] ^= 1 << bit % 8;
		r = f->receive(&fw);
		bytes[bit / 8] ^= 1 << bit % 8;
		if (f->receive == receive_record && r == -EINVAL && !fw) {
			nr_kvm++;
			continue;
		}
		SEV_EXPECT(fw_refuses(f, bit, r, fw), "%s, bit %d: %d, firmware %u",
			   f->what, bit, r, fw);
	}
	ksft_print_msg("%s: %d of %d bits\n", f->what, nr, 8 * f->len);
	if (f->receive == receive_record) {
		ksft_print_msg("%d of them KVM refuses\n", nr_kvm);
		SEV_EXPECT(nr_kvm > nr / 2, "");
	}
}

static void flip_all(int (*receive)(uint32_t *fw))
{
	int i;

	for (i = 0; i < ARRAY_SIZE(all_flips); i++) {
		if (all_flips[i].receive == receive)
			flip(&all_flips[i]);
	}
}

static uint64_t private_page[512] __aligned(4096);

/* After all that the VM is still as it was, and takes the good ones. */
static void test_bad_packets(void)
{
	struct userspace_mem_region *region;
	struct sev_machine a;
	uint64_t gpa;
	uint32_t fw;

	sev_machine_create(&a, guest_code, NULL);
	sev_machine_create(&target, guest_code, NULL);
	gpa = addr_gva2gpa(a.vm, (vm_vaddr_t)private_page);
	vm_sev_launch(a.vm, SEV_POLICY_ES, NULL);
	region = memslot2region(target.vm, 0);
	sev_register_encrypted_memory(target.vm, region);

	sev_export_certs(target.vm, &sev_machine_certs);
	SEV_EXPECT_CMD(vm_sev_send_start(a.vm, &sev_machine_certs, &session, &fw), 0, 0);
	flip_all(receive_start);
	SEV_EXPECT(!receive_start(&fw), "firmware %u", fw);

	SEV_EXPECT_CMD(vm_sev_send_page(a.vm, gpa, &page, &fw), 0, 0);
	flip_all(receive_page);
	SEV_EXPECT(!receive_page(&fw), "firmware %u", fw);

	vcpu_sev_send(a.vcpus[0], &vmsa);
	flip_all(receive_vmsa);
	flip_all(receive_record);
	SEV_EXPECT(!receive_vmsa(&fw), "firmware %u", fw);
	kvm_vm_free(a.vm);
	kvm_vm_free(target.vm);
}

static void test_lengths(void)
{
	struct kvm_sev_vmsa_packet params = { };
	uint8_t buf[2 * 4096];
	struct sev_machine a, b;

	launch_and_stop(&a);
	sev_machine_connect(&a, &b);

	SEV_EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_SEND_UPDATE_VMSA, &params, &fw), 0, 0);
	SEV_EXPECT(params.hdr_len == SEV_PACKET_HDR_LEN, "%u", params.hdr_len);
	SEV_EXPECT(params.trans_len == 4096, "%u", params.trans_len);
	SEV_EXPECT(params.record_len == sizeof(struct sev_vcpu_record), "%u", params.record_len);

	params.hdr_uaddr = (uintptr_t)buf;
	params.trans_uaddr = (uintptr_t)buf;
	params.record_uaddr = (uintptr_t)buf;
#define WITH(vm, cmd, member, value, want, want_fw)			\
	do {								\
		struct kvm_sev_vmsa_packet p = params;			\
									\
		p.member = (value);					\
		SEV_EXPECT_CMD(sev_cmd(vm, cmd, &p, &fw), want, want_fw);	\
	} while (0)
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, hdr_len, 4097, -EINVAL, 0);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, hdr_len, 51, -EIO, SEV_RET_INVALID_LEN);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, trans_len, 4095, -EINVAL, 0);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, trans_len, 0x4001, -EINVAL, 0);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, record_len, 127, -EINVAL, 0);
	WITH(a.vm, KVM_SEV_SEND_UPDATE_VMSA, vcpu_id, SEV_MACHINE_VCPUS, -EINVAL, 0);
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

/* A later KVM's record, longer than this one's */
struct long_record {
	struct sev_vcpu_record record;
	uint64_t more;
};

static void test_long_records(void)
{
	struct sev_vcpu_packet packet;
	struct long_record rec = { };
	struct kvm_sev_vmsa_packet params = {
		.hdr_uaddr = (uintptr_t)packet.hdr,
		.hdr_len = sizeof(packet.hdr),
		.trans_uaddr = (uintptr_t)packet.data,
		.trans_len = sizeof(packet.data),
		.record_uaddr = (uintptr_t)&rec,
		.record_len = sizeof(rec),
	};
	struct sev_machine a, b;

	launch_and_stop(&a);
	sev_machine_connect(&a, &b);
	vcpu_sev_send(a.vcpus[0], &packet);
	rec.record = packet.record;
	SEV_EXPECT_CMD(sev_cmd(b.vm, KVM_SEV_RECEIVE_UPDATE_VMSA, &params, &fw), -EINVAL, 0);
	rec.record.size = sizeof(rec);
	rec.more = 1;
	SEV_EXPECT_CMD(sev_cmd(b.vm, KVM_SEV_RECEIVE_UPDATE_VMSA, &params, &fw), -E2BIG, 0);
	rec.more = 0;
	SEV_EXPECT_CMD(sev_cmd(b.vm, KVM_SEV_RECEIVE_UPDATE_VMSA, &params, &fw), 0, 0);
	kvm_vm_free(a.vm);
	kvm_vm_free(b.vm);
}

static void test_states(void)
{
	struct kvm_guest_debug debug = { .control = KVM_GUESTDBG_ENABLE };
	struct sev_vcpu_packet packet;
	struct sev_session session;
	struct kvm_vm *plain;
	struct sev_machine a, b;

	launch_and_stop(&a);
	SEV_EXPECT_CMD(__vcpu_sev_send(a.vcpus[0], &packet, &fw), -EIO,
		       SEV_RET_INVALID_GUEST_STATE);
	SEV_EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_SEND_FINISH, NULL, &fw), -EIO,
		       SEV_RET_INVALID_GUEST_STATE);
	SEV_EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_SEND_CANCEL, NULL, &fw), -EIO,
		       SEV_RET_INVALID_GUEST_STATE);
	SEV_EXPECT_CMD(sev_cmd(a.vm, KVM_SEV_RECEIVE_FINISH, NULL, &fw), -EIO,
		       SEV_RET_INVALID_GUEST_STATE);
	sev_machine_connect(&a, &b);
	SEV_EXPECT_CMD(vm_sev_send_start(a.vm, &sev_machine_certs, &session, &fw), -EIO,
		       SEV_RET_INVALID_GUEST_STATE);

	/* What userspace debugs is not protected, and stays so. */
	vcpu_sev_send(a.vcpus[0], &packet);
	vcpu_guest_debug_set(b.vcpus[0], &debug);
	SEV_EXPECT_CMD(__vcpu_sev_receive(b.vcpus[0], &packet, &fw), -EINVAL, 0);
	debug.control = 0;
	vcpu_guest_debug_set(b.vcpus[0], &debug);
	sev_machine_move(&a, &b);
	kvm_vm_free(b.vm);

	sev_machine_create(&a, guest_code, NULL);
	vm_sev_launch(a.vm, SEV_POLICY_ES | SEV_POLICY_NO_SEND, NULL);
	sev_export_certs(a.vm, &sev_machine_certs);
	SEV_EXPECT_CMD(vm_sev_send_start(a.vm, &sev_machine_certs, &session, &fw), -EIO,
		       SEV_RET_POLICY_FAILURE);
	kvm_vm_free(a.vm);

	plain = vm_create_barebones_type(KVM_X86_SEV_VM);
	sev_vm_init(plain);
	SEV_EXPECT_CMD(sev_cmd(plain, KVM_SEV_SEND_UPDATE_VMSA, &packet, &fw), -ENOTTY, 0);
	SEV_EXPECT_CMD(sev_cmd(plain, KVM_SEV_RECEIVE_UPDATE_VMSA, &packet, &fw), -ENOTTY, 0);
	kvm_vm_free(plain);
}

static const struct sev_machine_test subtests[] = {
	{ "bad_records", test_bad_records },
	{ "random_records", test_random_records },
	{ "bad_packets", test_bad_packets },
	{ "lengths", test_lengths },
	{ "long_records", test_long_records },
	{ "states", test_states },
};

int main(int argc, char *argv[])
{
	const char *root = NULL;
	int i;

	for (i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "long"))
			step = 1;
		else
			root = argv[i];
	}
	sev_machine_require(root);
	sev_machine_run_tests(subtests, ARRAY_SIZE(subtests));
	ksft_finished();
}
