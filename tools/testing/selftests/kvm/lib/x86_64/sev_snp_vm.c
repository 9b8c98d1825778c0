// SPDX-License-Identifier: GPL-2.0-only
/*
 * SEV-SNP guests, the host's side: creation, launch, and a small VMM.
 *
 * All of slot 0 can be private.  What a VM is made of is laid out in the
 * memory that userspace sees, and copied from there into guest_memfd by the
 * launch; afterwards the two have nothing to do with each other.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include <linux/kvm_para.h>
#include <linux/sizes.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "test_util.h"
#include "ucall_common.h"

#define HYPERVISOR_LEAVES	0x40000000

/* Of which the launch starts out with x87 alone enabled. */
#define XSAVE_LEAF		0xd

/*
 * Creation.
 */
static struct sev_snp_boot *boot_info(struct sev_snp_vm *snp)
{
	return addr_gva2hva(snp->vm, (vm_vaddr_t)&sev_snp_boot);
}

static void add_typed(struct sev_snp_vm *snp, uint64_t gpa, uint8_t type)
{
	TEST_ASSERT(snp->nr_typed < SEV_SNP_MAX_TYPED, "Too many typed pages");
	snp->typed[snp->nr_typed].gpa = gpa;
	snp->typed[snp->nr_typed].type = type;
	snp->nr_typed++;
}

vm_vaddr_t sev_snp_alloc_typed(struct sev_snp_vm *snp, uint8_t type)
{
	vm_vaddr_t gva = vm_vaddr_alloc_page(snp->vm);

	add_typed(snp, addr_gva2gpa(snp->vm, gva), type);
	return gva;
}

/* KVM refuses a VMSA at the start of 2M. */
static vm_vaddr_t alloc_vmsa(struct kvm_vm *vm)
{
	vm_vaddr_t gva;

	do {
		gva = vm_vaddr_alloc_page(vm);
	} while (addr_gva2gpa(vm, gva) % SZ_2M == 0);

	return gva;
}

static void fill_ap(struct sev_snp_vm *snp, uint32_t id)
{
	struct sev_snp_ap *ap = &boot_info(snp)->aps[id];
	struct kvm_sregs sregs;
	struct kvm_regs regs;
	vm_vaddr_t vmsa;

	vcpu_sregs_get(snp->vcpus[id], &sregs);
	vcpu_regs_get(snp->vcpus[id], &regs);
	vmsa = alloc_vmsa(snp->vm);

	ap->cpu = sregs.gs.base;
	ap->stack = regs.rsp;
	ap->vmsa = (void *)vmsa;
	ap->vmsa_gpa = addr_gva2gpa(snp->vm, vmsa);
}

void sev_snp_create(struct sev_snp_vm *snp, const struct sev_snp_config *config,
		    uint32_t nr_vcpus, void *guest_code)
{
	const struct vm_shape shape = {
		.mode = VM_MODE_DEFAULT,
		.type = KVM_X86_SNP_VM,
	};
	struct kvm_vm *vm = ____vm_create(shape);
	int i;

	TEST_ASSERT(nr_vcpus <= SEV_SNP_MAX_VCPUS, "%u vCPUs are too many", nr_vcpus);

	memset(snp, 0, sizeof(*snp));
	snp->vm = vm;
	snp->config = *config;
	snp->nr_vcpus = nr_vcpus;

	vm->arch.sev_init = config->init;
	vm->slot0_flags = KVM_MEM_GUEST_MEMFD;

	/* Three pages per vCPU; page tables for two mappings of all else. */
	vm_populate(vm, nr_vcpus, nr_vcpus * 3 + 16 * PTES_PER_MIN_PAGE +
				  config->mem_pages * 2);
	vm_enable_cap(vm, KVM_CAP_EXIT_HYPERCALL, BIT(KVM_HC_MAP_GPA_RANGE));
	if (config->cap_arg)
		vm_enable_cap(vm, config->cap, config->cap_arg);
	vm_init_sev_ghcb(vm);

	for (i = 0; i < nr_vcpus; i++) {
		snp->vcpus[i] = vm_vcpu_add(vm, i, guest_code);
		vcpu_init_sev_ghcb(snp->vcpus[i]);
		fill_ap(snp, i);
	}

	boot_info(snp)->secrets = (void *)
		sev_snp_alloc_typed(snp, KVM_SEV_SNP_PAGE_TYPE_SECRETS);
	boot_info(snp)->cpuid = (void *)
		sev_snp_alloc_typed(snp, KVM_SEV_SNP_PAGE_TYPE_CPUID);
}

void sev_snp_free(struct sev_snp_vm *snp)
{
	kvm_vm_free(snp->vm);
}

void sev_snp_add_mem(struct sev_snp_vm *snp, uint32_t slot, uint64_t gpa,
		     uint64_t size, struct sev_snp_mem *mem)
{
	struct kvm_vm *vm = snp->vm;
	uint64_t npages = size / PAGE_SIZE, i;

	*mem = (struct sev_snp_mem) {
		.gpa = gpa,
		.size = size,
		.private = SEV_SNP_PRIVATE_BASE + gpa,
		.shared = SEV_SNP_SHARED_BASE + gpa,
	};

	vm_mem_add(vm, VM_MEM_SRC_ANONYMOUS, gpa, slot, npages,
		   KVM_MEM_GUEST_MEMFD, -1, 0);
	virt_map(vm, mem->shared, gpa, npages);
	virt_map(vm, mem->private, gpa, npages);
	for (i = 0; i < npages; i++)
		*vm_get_page_table_entry(vm, mem->private + i * PAGE_SIZE) |= vm->arch.c_bit;

	vm_mem_set_private(vm, gpa, size);
}

/*
 * Launch.
 */
static int snp_ioctl(struct kvm_vm *vm, uint32_t id, void *data, uint32_t *fw_error)
{
	union {
		struct kvm_sev_cmd cmd;
		unsigned long raw;
	} u = { .cmd = {
		.id = id,
		.data = (uint64_t)data,
		.sev_fd = vm->arch.sev_fd,
	} };
	int ret;

	ret = __vm_ioctl(vm, KVM_MEMORY_ENCRYPT_OP, &u.raw);
	if (fw_error)
		*fw_error = u.cmd.error;
	return ret;
}

int __sev_snp_launch_start(struct sev_snp_vm *snp, uint64_t policy)
{
	struct kvm_sev_snp_launch_start start = { .policy = policy };

	return snp_ioctl(snp->vm, KVM_SEV_SNP_LAUNCH_START, &start, NULL);
}

int __sev_snp_launch_update(struct sev_snp_vm *snp, uint64_t gpa, uint64_t size,
			    uint8_t type, uint32_t *fw_error)
{
	struct kvm_sev_snp_launch_update update = {
		.gfn_start = gpa / PAGE_SIZE,
		.uaddr = (uint64_t)addr_gpa2hva(snp->vm, gpa),
		.len = size,
		.type = type,
	};
	int ret;

	/* KVM may stop early, and says in the parameters how far it got. */
	do {
		ret = snp_ioctl(snp->vm, KVM_SEV_SNP_LAUNCH_UPDATE, &update, fw_error);
	} while (!ret && update.len);

	return ret;
}

int __sev_snp_launch_finish(struct sev_snp_vm *snp)
{
	struct kvm_sev_snp_launch_finish finish = { };

	memcpy(finish.host_data, snp->config.host_data, sizeof(finish.host_data));
	return snp_ioctl(snp->vm, KVM_SEV_SNP_LAUNCH_FINISH, &finish, NULL);
}

static void launch_update(struct sev_snp_vm *snp, uint64_t gpa, uint64_t size,
			  uint8_t type)
{
	uint32_t fw_error;
	int ret = __sev_snp_launch_update(snp, gpa, size, type, &fw_error);

	TEST_ASSERT(!ret, "SNP_LAUNCH_UPDATE of 0x%lx, type %u: %s, firmware 0x%x",
		    gpa, type, strerror(errno), fw_error);
}

/* The hypervisor's own leaves are none of the firmware's business. */
static void fill_cpuid(struct kvm_vcpu *vcpu, struct sev_snp_cpuid *table)
{
	const struct kvm_cpuid_entry2 *e;
	struct sev_snp_cpuid_entry *to;
	int i;

	memset(table, 0, sizeof(*table));
	vcpu_ioctl(vcpu, KVM_GET_CPUID2, vcpu->cpuid);

	for (i = 0; i < vcpu->cpuid->nent; i++) {
		e = &vcpu->cpuid->entries[i];
		if ((e->function & 0xf0000000) == HYPERVISOR_LEAVES)
			continue;

		TEST_ASSERT(table->count < SEV_SNP_CPUID_MAX, "Too many CPUID entries");
		to = &table->entries[table->count++];
		to->function = e->function;
		to->index = e->index;
		to->eax = e->eax;
		to->ebx = e->ebx;
		to->ecx = e->ecx;
		to->edx = e->edx;
		if (e->function == XSAVE_LEAF && e->index <= 1)
			to->xcr0 = XFEATURE_MASK_FP;
	}
}

/* Firmware that does not approve says in the page what it would accept. */
static void launch_cpuid(struct sev_snp_vm *snp, uint64_t gpa)
{
	uint8_t type = KVM_SEV_SNP_PAGE_TYPE_CPUID;
	uint32_t fw_error;

	fill_cpuid(snp->vcpus[0], addr_gpa2hva(snp->vm, gpa));

	if (!__sev_snp_launch_update(snp, gpa, PAGE_SIZE, type, &fw_error))
		return;

	TEST_ASSERT(fw_error == SEV_RET_INVALID_PARAM,
		    "SNP_LAUNCH_UPDATE of the CPUID page: firmware 0x%x", fw_error);
	launch_update(snp, gpa, PAGE_SIZE, type);
}

static void launch_typed(struct sev_snp_vm *snp)
{
	uint64_t gpa;
	int i;

	for (i = 0; i < snp->nr_typed; i++) {
		gpa = snp->typed[i].gpa;

		vm_mem_set_private(snp->vm, gpa, PAGE_SIZE);
		if (snp->typed[i].type == KVM_SEV_SNP_PAGE_TYPE_CPUID)
			launch_cpuid(snp, gpa);
		else
			launch_update(snp, gpa, PAGE_SIZE, snp->typed[i].type);
	}
}

static void launch_slot0(struct sev_snp_vm *snp)
{
	struct userspace_mem_region *region = memslot2region(snp->vm, 0);
	uint64_t gpa, size;
	sparsebit_idx_t i, j;
	int n;

	for (n = 0; n < snp->nr_typed; n++)
		sparsebit_clear(region->protected_phy_pages,
				snp->typed[n].gpa / PAGE_SIZE);

	/* Slot 0 has pages left that are neither: this does come to an end. */
	sparsebit_for_each_set_range(region->protected_phy_pages, i, j) {
		gpa = i * PAGE_SIZE;
		size = (j - i + 1) * PAGE_SIZE;

		vm_mem_set_private(snp->vm, gpa, size);
		launch_update(snp, gpa, size, KVM_SEV_SNP_PAGE_TYPE_NORMAL);
	}
}

void sev_snp_launch(struct sev_snp_vm *snp)
{
	int ret;

	ret = __sev_snp_launch_start(snp, snp->config.policy);
	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_SEV_SNP_LAUNCH_START, ret));

	launch_slot0(snp);
	launch_typed(snp);

	ret = __sev_snp_launch_finish(snp);
	TEST_ASSERT(!ret, KVM_IOCTL_ERROR(KVM_SEV_SNP_LAUNCH_FINISH, ret));

	snp->vm->arch.is_pt_protected = true;
}

/*
 * The VMM.
 */
static bool has_memory(struct kvm_vm *vm, uint64_t gpa, uint64_t size)
{
	struct userspace_mem_region *region;
	int ctr;

	hash_for_each(vm->regions.slot_hash, ctr, region, slot_node) {
		uint64_t start = region->region.guest_phys_addr;
		uint64_t end = start + region->region.memory_size;

		if (gpa >= start && gpa < end && size <= end - gpa)
			return true;
	}
	return false;
}

static void convert(struct sev_snp_runner *r, uint64_t gpa, uint64_t size,
		    bool private)
{
	struct kvm_vm *vm = r->vcpu->vm;

	if (private)
		vm_mem_set_private(vm, gpa, size);
	else
		vm_mem_set_shared(vm, gpa, size);

	if (r->discard == SEV_SNP_KEEP)
		return;

	/* What was shared is gone, what was private even more so. */
	if (private)
		madvise(addr_gpa2hva(vm, gpa), size, MADV_DONTNEED);
	else
		vm_guest_mem_punch_hole(vm, gpa, size);
}

static void handle_hypercall(struct sev_snp_runner *r)
{
	struct kvm_run *run = r->vcpu->run;
	uint64_t gpa = run->hypercall.args[0];
	uint64_t size = run->hypercall.args[1] * PAGE_SIZE;
	bool private = run->hypercall.args[2] & KVM_MAP_GPA_RANGE_ENCRYPTED;

	if (run->hypercall.nr != KVM_HC_MAP_GPA_RANGE) {
		sev_snp_fail(r, "hypercall %llu", run->hypercall.nr);
		return;
	}

	if (!has_memory(r->vcpu->vm, gpa, size)) {
		run->hypercall.ret = EINVAL;
		return;
	}

	convert(r, gpa, size, private);
	r->nr_conversions++;
	r->nr_converted += size / PAGE_SIZE;
	run->hypercall.ret = 0;
}

/* The guest has accessed a page in the other way than it is. */
static void handle_memory_fault(struct sev_snp_runner *r)
{
	struct kvm_run *run = r->vcpu->run;
	uint64_t gpa = run->memory_fault.gpa;
	uint64_t size = run->memory_fault.size;
	bool private = run->memory_fault.flags & KVM_MEMORY_EXIT_FLAG_PRIVATE;

	if (!has_memory(r->vcpu->vm, gpa, size)) {
		sev_snp_fail(r, "memory fault at 0x%lx", gpa);
		return;
	}

	convert(r, gpa, size, private);
	r->nr_faults++;
}

static void handle_ucall(struct sev_snp_runner *r)
{
	struct ucall uc;

	switch (get_ucall(r->vcpu, &uc)) {
	case UCALL_SYNC:
		if (r->sync)
			r->sync(r, &uc);
		else
			sev_snp_fail(r, "unexpected sync %lu", uc.args[0]);
		return;
	case UCALL_PRINTF:
		ksft_print_msg("guest: %s\n", uc.buffer);
		return;
	case UCALL_DONE:
		r->done = true;
		return;
	case UCALL_ABORT:
		sev_snp_fail(r, "%s:%lu: %s %s", (const char *)uc.args[GUEST_FILE],
			     uc.args[GUEST_LINE],
			     (const char *)uc.args[GUEST_ERROR_STRING], uc.buffer);
		return;
	default:
		sev_snp_fail(r, "unexpected exit %s",
			     exit_reason_str(r->vcpu->run->exit_reason));
	}
}

static void handle_exit(struct sev_snp_runner *r)
{
	struct kvm_run *run = r->vcpu->run;

	switch (run->exit_reason) {
	case KVM_EXIT_HYPERCALL:
		handle_hypercall(r);
		return;
	case KVM_EXIT_SYSTEM_EVENT:
		r->terminated = run->system_event.type == KVM_SYSTEM_EVENT_SEV_TERM &&
				run->system_event.ndata == 1;
		r->term_data = run->system_event.data[0];
		if (!r->terminated)
			sev_snp_fail(r, "system event %u", run->system_event.type);
		return;
	case KVM_EXIT_IO:
		handle_ucall(r);
		return;
	default:
		sev_snp_fail(r, "unexpected exit %s", exit_reason_str(run->exit_reason));
	}
}

bool sev_snp_run_once(struct sev_snp_runner *r)
{
	struct kvm_run *run = r->vcpu->run;

	if (!__vcpu_run(r->vcpu))
		handle_exit(r);
	else if (errno == EFAULT && run->exit_reason == KVM_EXIT_MEMORY_FAULT)
		handle_memory_fault(r);
	else if (errno != EINTR && errno != EAGAIN)
		sev_snp_fail(r, "KVM_RUN: %s", strerror(errno));

	return !r->done && !r->terminated && !r->error[0];
}

static void *run_thread(void *arg)
{
	while (sev_snp_run_once(arg))
		;
	return NULL;
}

/* All that it has to do is to end KVM_RUN. */
static void ignore_signal(int signal)
{
}

static void join(struct sev_snp_runner *r, const struct timespec *deadline)
{
	if (!pthread_timedjoin_np(r->thread, NULL, deadline))
		return;

	sev_snp_fail(r, "still runs");
	r->vcpu->run->immediate_exit = 1;
	pthread_kill(r->thread, SIGUSR1);
	pthread_join(r->thread, NULL);
}

bool sev_snp_run(struct sev_snp_runner *runners, int nr, unsigned int seconds)
{
	struct timespec deadline;
	bool ok = true;
	int i;

	signal(SIGUSR1, ignore_signal);
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += seconds;

	for (i = 0; i < nr; i++)
		pthread_create(&runners[i].thread, NULL, run_thread, &runners[i]);

	/* What the others wait for may never come once one has failed. */
	for (i = 0; i < nr; i++) {
		join(&runners[i], &deadline);
		if (runners[i].error[0])
			clock_gettime(CLOCK_REALTIME, &deadline);
	}

	for (i = 0; i < nr; i++) {
		if (runners[i].terminated && !runners[i].error[0])
			sev_snp_fail(&runners[i], "terminated with 0x%lx",
				     runners[i].term_data);
		if (runners[i].error[0])
			ksft_print_msg("vCPU %u: %s\n", runners[i].vcpu->id,
				       runners[i].error);
		ok &= runners[i].done && !runners[i].error[0];
	}
	return ok;
}
