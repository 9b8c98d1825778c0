// SPDX-License-Identifier: GPL-2.0-only
/*
 * What KVM does by itself for KVM_SEV_SEND_UPDATE_DATA: it looks at the lengths
 * of the buffers, and gets the page out of the caches.
 *
 * "flush" is for a host whose kernel does not rely on coherency across encryption
 * domains, e.g. for the want of it or by clearcpuid=618; it watches KVM's writes
 * to an MSR by a tracepoint.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_subtests.h"
#include "sev_transport.h"
#include "test_util.h"

#define LEN_MAX		0x4000
#define TRACEFS		"/sys/kernel/tracing"
#define PAGE_FLUSHES	"msr == 0xc001011e && failed == 0"

static uint64_t page[512] __aligned(4096);
static uint64_t page_gpa;

static void guest_code(void)
{
}

static struct kvm_vm *launch(void)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;

	vm = vm_sev_create_with_one_vcpu(KVM_X86_SEV_VM, guest_code, &vcpu);
	/* Once it is launched nobody can walk its page tables. */
	page_gpa = addr_gva2gpa(vm, (vm_vaddr_t)page);
	vm_sev_launch(vm, 0, NULL);
	return vm;
}

/*
 * Nothing has been started, which is the firmware's to say: if it is asked.
 */
static bool send(struct kvm_vm *vm, uint32_t hdr_len, uint32_t trans_len, bool want_asked)
{
	static uint8_t buf[LEN_MAX];
	struct kvm_sev_send_update_data data = {
		.hdr_uaddr = (uintptr_t)buf,
		.hdr_len = hdr_len,
		.guest_uaddr = (uintptr_t)addr_gpa2hva(vm, page_gpa),
		.guest_len = 4096,
		.trans_uaddr = (uintptr_t)buf,
		.trans_len = trans_len,
	};
	uint32_t fw;
	int r = sev_cmd(vm, KVM_SEV_SEND_UPDATE_DATA, &data, &fw);
	bool asked = r == -EIO && fw == SEV_RET_INVALID_GUEST_STATE;
	bool refused = r == -EINVAL && !fw;

	if (want_asked ? asked : refused)
		return true;

	ksft_print_msg("header %#x, packet %#x: %d, firmware %u\n", hdr_len, trans_len, r, fw);
	return false;
}

static bool test_lengths(const struct sev_subtest *t)
{
	static const uint32_t too_long[] = { LEN_MAX + 1, 0x800000, -1u };
	struct kvm_vm *vm = launch();
	bool good;
	int i;

	good = send(vm, LEN_MAX, LEN_MAX, true);
	for (i = 0; i < ARRAY_SIZE(too_long); i++) {
		good &= send(vm, too_long[i], 4096, false);
		good &= send(vm, SEV_PACKET_HDR_LEN, too_long[i], false);
	}
	kvm_vm_free(vm);
	return good;
}

static int open_tracepoint(const char *path)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_TRACEPOINT,
		.size = sizeof(attr),
	};
	FILE *f = fopen(path, "r");
	int n;

	if (!f) {
		mount("tracefs", TRACEFS, "tracefs", 0, NULL);
		f = fopen(path, "r");
	}
	if (!f)
		return -1;

	n = fscanf(f, "%llu", &attr.config);
	fclose(f);
	return n == 1 ? syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0) : -1;
}

static uint64_t read_count(int fd)
{
	uint64_t count;

	TEST_ASSERT_EQ(read(fd, &count, sizeof(count)), sizeof(count));
	return count;
}

static int tracepoint;

static bool test_flush(const struct sev_subtest *t)
{
	struct sev_page_packet packet;
	struct sev_session session;
	struct sev_certs certs;
	struct kvm_vm *vm;
	uint64_t before;
	uint32_t fw;

	TEST_ASSERT(sev_read_root(NULL, &certs), "No certificates of AMD's root");
	vm = launch();
	sev_export_certs(vm, &certs);
	TEST_ASSERT_EQ(vm_sev_send_start(vm, &certs, &session, &fw), 0);

	before = read_count(tracepoint);
	TEST_ASSERT_EQ(vm_sev_send_page(vm, page_gpa, &packet, &fw), 0);
	kvm_vm_free(vm);
	return read_count(tracepoint) == before + 1;
}

static const struct sev_subtest subtests[] = {
	{ "lengths", test_lengths },
	{ "flush", test_flush, .takes_long = true },
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE(kvm_cpu_has(X86_FEATURE_SEV));

	if (argc > 1 && !strcmp(argv[1], "flush")) {
		tracepoint = open_tracepoint(TRACEFS "/events/msr/write_msr/id");
		__TEST_REQUIRE(tracepoint >= 0, "No tracepoint msr:write_msr");
		TEST_ASSERT(!ioctl(tracepoint, PERF_EVENT_IOC_SET_FILTER, PAGE_FLUSHES),
			    "Filter: %s", strerror(errno));
	}
	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
