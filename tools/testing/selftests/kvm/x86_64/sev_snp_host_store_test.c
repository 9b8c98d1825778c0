// SPDX-License-Identifier: GPL-2.0-only
/*
 * Stores of the host's kernel to pages of a SEV-SNP guest.
 *
 * The kernel is made to by way of a second, ordinary VM, whose clock KVM keeps
 * up to date: plain stores to a mapping of the kernel's own, of whatever page
 * userspace has behind that VM's memory.  /dev/mem lets it have any page there,
 * if the kernel has no CONFIG_STRICT_DEVMEM and is booted with "nopat".
 *
 * A shared page takes the clock, and the guest finds it.  A private page takes
 * no store, and a kernel that has made one is at its end: the host OOPSES.  The
 * test does that only if it is told to by the word "private"; whether the oops
 * is the right one is then for the reader of the console to say.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/klog.h>
#include <sys/mman.h>
#include <termios.h>
#include <unistd.h>

#include <asm/kvm_para.h>
#include <asm/pvclock-abi.h>

#include <linux/bitfield.h>
#include <linux/sizes.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_snp.h"
#include "test_util.h"
#include "ucall_common.h"

#define MEM_SLOT	10
#define MEM_GPA		SZ_4G

#define TIMEOUT_SECONDS	60

#define GUEST_PATTERN	0x5a5a000012345678ull

/* Where the table is, and what of an entry matters. */
#define MSR_RMP_BASE		0xc0010132
#define MSR_RMP_END		0xc0010133
#define RMP_BOOKKEEPING		SZ_16K
#define RMP_ASSIGNED		BIT_ULL(0)
#define RMP_GPA			GENMASK_ULL(50, 12)
#define RMP_VALIDATED		BIT_ULL(62)

#define PAGEMAP_PFN		GENMASK_ULL(54, 0)

/* SYSLOG_ACTION_CONSOLE_LEVEL, all of it. */
#define KLOG_CONSOLE_LEVEL	8
#define KLOG_EVERYTHING		8

struct rmp_entry {
	uint64_t lo;
	uint64_t hi;
};

static struct sev_snp_mem mem;		/* written by the host */

/*
 * Guest.
 */
static void guest_private(void)
{
	uint64_t *page = (uint64_t *)mem.private;

	sev_snp_validate(&mem, 0, PAGE_SIZE, true);
	WRITE_ONCE(*page, GUEST_PATTERN);
	GUEST_SYNC(0);
	GUEST_ASSERT_EQ(READ_ONCE(*page), GUEST_PATTERN);
}

static void guest_shared(void)
{
	struct pvclock_vcpu_time_info *clock = (void *)mem.shared;

	sev_snp_validate(&mem, 0, PAGE_SIZE, true);
	sev_snp_make_shared(&mem, 0, PAGE_SIZE);
	WRITE_ONCE(clock->system_time, GUEST_PATTERN);
	GUEST_SYNC(0);
	GUEST_ASSERT(READ_ONCE(clock->version));
	GUEST_ASSERT(!(READ_ONCE(clock->version) & 1));
	GUEST_ASSERT_NE(READ_ONCE(clock->system_time), GUEST_PATTERN);
}

static void guest_code(void (*guest)(void))
{
	guest();
	GUEST_DONE();
}

static void other_guest_code(void)
{
	GUEST_DONE();
}

/*
 * Host: which page, and what the RMP says of it.
 */
static uint64_t read_host_msr(uint32_t msr)
{
	int fd = open_path_or_exit("/dev/cpu/0/msr", O_RDONLY);
	uint64_t value;

	TEST_ASSERT(pread(fd, &value, sizeof(value), msr) == sizeof(value),
		    "MSR 0x%x cannot be read", msr);
	close(fd);
	return value;
}

static const struct rmp_entry *map_rmp(int mem_fd, uint64_t *nr_pages)
{
	uint64_t base = read_host_msr(MSR_RMP_BASE) + RMP_BOOKKEEPING;
	uint64_t size = read_host_msr(MSR_RMP_END) + 1 - base;
	void *rmp;

	rmp = mmap(NULL, size, PROT_READ, MAP_SHARED, mem_fd, base);
	TEST_ASSERT(rmp != MAP_FAILED, "The RMP at 0x%lx cannot be mapped", base);
	*nr_pages = size / sizeof(struct rmp_entry);
	return rmp;
}

static uint64_t find_private(const struct rmp_entry *rmp, uint64_t nr_pages,
			     uint64_t gpa)
{
	const uint64_t wanted = RMP_ASSIGNED | RMP_VALIDATED | gpa;
	uint64_t pfn;

	for (pfn = 0; pfn < nr_pages; pfn++) {
		if ((rmp[pfn].lo & (RMP_ASSIGNED | RMP_VALIDATED | RMP_GPA)) == wanted)
			return pfn;
	}
	TEST_FAIL("No page is assigned to GPA 0x%lx", gpa);
}

static uint64_t find_shared(const struct rmp_entry *rmp, uint64_t nr_pages,
			    const struct pvclock_vcpu_time_info *hva)
{
	int fd = open_path_or_exit("/proc/self/pagemap", O_RDONLY);
	off_t offset = (uint64_t)hva / PAGE_SIZE * sizeof(uint64_t);
	uint64_t pfn;

	/* Written by the guest: else this were the kernel's page of zeroes. */
	TEST_ASSERT(hva->system_time == GUEST_PATTERN, "The page is not the guest's");
	TEST_ASSERT(pread(fd, &pfn, sizeof(pfn), offset) == sizeof(pfn),
		    "The page behind %p cannot be found", hva);
	close(fd);

	pfn &= PAGEMAP_PFN;
	TEST_ASSERT(pfn && pfn < nr_pages, "PFN 0x%lx", pfn);
	TEST_ASSERT(!(rmp[pfn].lo & RMP_ASSIGNED), "PFN 0x%lx is assigned", pfn);
	return pfn;
}

/*
 * Host: have the kernel store to it.
 */
static void store_to(int mem_fd, uint64_t pfn)
{
	struct kvm_vcpu *vcpu;
	struct kvm_vm *vm;
	void *page;

	page = mmap(NULL, PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, mem_fd,
		    pfn * PAGE_SIZE);
	__TEST_REQUIRE(page != MAP_FAILED,
		       "/dev/mem maps no RAM: CONFIG_STRICT_DEVMEM, or no \"nopat\"");

	vm = vm_create_with_one_vcpu(&vcpu, other_guest_code);
	vm_set_user_memory_region(vm, MEM_SLOT, 0, MEM_GPA, PAGE_SIZE, page);
	vcpu_set_msr(vcpu, MSR_KVM_SYSTEM_TIME_NEW, MEM_GPA | KVM_MSR_ENABLED);
	vcpu_run(vcpu);
	kvm_vm_free(vm);
	munmap(page, PAGE_SIZE);
}

static void sync_private(struct sev_snp_runner *r, struct ucall *uc)
{
	int mem_fd = open_path_or_exit("/dev/mem", O_RDWR);
	const struct rmp_entry *rmp;
	uint64_t nr_pages, pfn;

	rmp = map_rmp(mem_fd, &nr_pages);
	pfn = find_private(rmp, nr_pages, MEM_GPA);

	/* All that there is to say, while there is someone to say it. */
	ksft_print_msg("the host stores to PFN 0x%lx, RMP entry [0x%016lx - 0x%016lx]\n",
		       pfn, rmp[pfn].lo, rmp[pfn].hi);
	tcdrain(STDOUT_FILENO);
	klogctl(KLOG_CONSOLE_LEVEL, NULL, KLOG_EVERYTHING);

	store_to(mem_fd, pfn);
	sev_snp_fail(r, "the host has stored to a private page");
}

static void sync_shared(struct sev_snp_runner *r, struct ucall *uc)
{
	int mem_fd = open_path_or_exit("/dev/mem", O_RDWR);
	const struct rmp_entry *rmp;
	uint64_t nr_pages;

	rmp = map_rmp(mem_fd, &nr_pages);
	store_to(mem_fd, find_shared(rmp, nr_pages, addr_gpa2hva(r->vcpu->vm, MEM_GPA)));
	close(mem_fd);
}

static bool run(bool private)
{
	struct sev_snp_config config = SEV_SNP_DEFAULT_CONFIG;
	struct sev_snp_runner runner = { };
	struct sev_snp_vm snp;
	bool ok;

	config.mem_pages = 1;
	sev_snp_create(&snp, &config, 1, guest_code);
	sev_snp_add_mem(&snp, MEM_SLOT, MEM_GPA, PAGE_SIZE, &mem);
	sync_global_to_guest(snp.vm, mem);
	vcpu_args_set(snp.vcpus[0], 1, private ? guest_private : guest_shared);
	sev_snp_launch(&snp);

	runner.vcpu = snp.vcpus[0];
	runner.sync = private ? sync_private : sync_shared;
	ok = sev_snp_run(&runner, 1, TIMEOUT_SECONDS);
	sev_snp_free(&snp);
	return ok;
}

int main(int argc, char *argv[])
{
	bool private = argc > 1 && !strcmp(argv[1], "private");

	TEST_REQUIRE_SEV_SNP();
	TEST_REQUIRE(!access("/dev/mem", R_OK | W_OK));
	TEST_REQUIRE(!access("/dev/cpu/0/msr", R_OK));

	setbuf(stdout, NULL);
	ksft_print_header();
	ksft_set_plan(1);
	ksft_test_result(run(private), private ? "private\n" : "shared\n");
	ksft_finished();
}
