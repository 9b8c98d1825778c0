// SPDX-License-Identifier: GPL-2.0-only
/*
 * A SEV-ES guest that notices if any of its memory is lost, stale or torn.
 *
 * Each vCPU rewrites its pages one after the other.  A page is a function of
 * its number and its version, in all of its words; which version each page has,
 * and the sum of all that was written, the vCPU keeps elsewhere.  So a page
 * that is of an earlier time than the rest is found, as is half a page.
 */
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "migrate.h"

#define WORK_SLOT	1
#define WORK_GPA	BIT_ULL(32)
#define WORK_GVA	0xc0000000ull

#define PAGE_WORDS	(4096 / 8)

/* A step that visits all of a power of two of pages, in no simple order */
#define STRIDE		2741

/* Valid in the guest's copy of the binary only. */
static uint32_t nr_own;			/* pages of each vCPU */
static uint32_t *versions;		/* of all pages */

struct watch {
	uint32_t id;
	uint32_t next;
	uint64_t count;			/* pages rewritten */
	uint64_t sum;			/* over what is in the pages now */
	uint64_t tsc;
};

uint64_t sev_migrate_work_gpa(void)
{
	return WORK_GPA;
}

uint32_t sev_migrate_nr_pages(const struct sev_migrate_options *o)
{
	return o->megabytes * 256;
}

/*
 * Guest.
 */
static uint64_t *page_of(uint32_t page)
{
	return (uint64_t *)(WORK_GVA + page * 4096ull);
}

static uint64_t first_word(uint32_t page, uint32_t version)
{
	return (uint64_t)version << 32 | page;
}

static uint64_t next_word(uint64_t word)
{
	return word * 0x5851f42d4c957f2dull + 0x14057b7ef767814full;
}

/* The sum of what is written */
static uint64_t write_page(uint32_t page, uint32_t version)
{
	uint64_t word = first_word(page, version), sum = 0;
	uint64_t *p = page_of(page);
	int i;

	for (i = 0; i < PAGE_WORDS; i++) {
		WRITE_ONCE(p[i], word);
		sum += word;
		word = next_word(word);
	}
	return sum;
}

static uint32_t read_page(uint32_t page, uint64_t *sum)
{
	uint64_t *p = page_of(page);
	uint64_t word = READ_ONCE(p[0]), version = word >> 32;
	int i;

	*sum = 0;
	if ((uint32_t)word != page)
		return SEV_MIGRATE_TORN;

	for (i = 0; i < PAGE_WORDS; i++) {
		if (READ_ONCE(p[i]) != word)
			return SEV_MIGRATE_TORN;
		*sum += word;
		word = next_word(word);
	}
	return version == versions[page] ? SEV_MIGRATE_GOOD : SEV_MIGRATE_STALE;
}

static void tell(uint16_t port, uint32_t value)
{
	struct sev_ghcb_call call = sev_ghcb_out(port, 4, value);

	sev_ghcb_vmgexit(&call);
}

static uint32_t ask(uint16_t port)
{
	struct sev_ghcb_call call = sev_ghcb_in(port, 4);

	sev_ghcb_vmgexit(&call);
	return call.rax;
}

static void require(uint32_t result)
{
	while (result != SEV_MIGRATE_GOOD)
		tell(SEV_MIGRATE_PORT_RESULT, result);
}

static void fill(struct watch *w)
{
	uint32_t i, page;

	for (i = 0; i < nr_own; i++) {
		page = i * SEV_MIGRATE_VCPUS + w->id;
		versions[page] = 1;
		w->sum += write_page(page, 1);
	}
}

static void rewrite_next(struct watch *w)
{
	uint32_t page = (w->next & (nr_own - 1)) * SEV_MIGRATE_VCPUS + w->id;
	uint64_t sum;

	w->next += STRIDE;
	require(read_page(page, &sum));
	w->sum += write_page(page, ++versions[page]) - sum;
	w->count++;
}

static void look_at_clock(struct watch *w)
{
	uint64_t now = rdtsc();

	require(now > w->tsc ? SEV_MIGRATE_GOOD : SEV_MIGRATE_CLOCK);
	w->tsc = now;
}

/* All pages, against their versions, the sum and the counter */
static void look_at_all(const struct watch *w)
{
	uint64_t all = 0, rewritten = 0, sum;
	uint32_t i, page;

	for (i = 0; i < nr_own; i++) {
		page = i * SEV_MIGRATE_VCPUS + w->id;
		require(read_page(page, &sum));
		all += sum;
		rewritten += versions[page] - 1;
	}
	require(all == w->sum && rewritten == w->count ?
		SEV_MIGRATE_GOOD : SEV_MIGRATE_SUM);
	tell(SEV_MIGRATE_PORT_RESULT, SEV_MIGRATE_GOOD);
}

static void guest_code(uint32_t id)
{
	struct watch w = { .id = id };

	fill(&w);
	for (;;) {
		rewrite_next(&w);
		if (w.count % SEV_MIGRATE_STEP)
			continue;

		look_at_clock(&w);
		tell(SEV_MIGRATE_PORT_COUNT, w.count);
		if (ask(SEV_MIGRATE_PORT_ORDER) == SEV_MIGRATE_CHECK)
			look_at_all(&w);
	}
}

/*
 * Host.
 */
struct kvm_vm *sev_migrate_create_guest(const struct sev_migrate_options *o,
					struct kvm_vcpu *vcpus[])
{
	const struct sev_ghcb_config config = { .init = { .ghcb_version = 2 } };
	uint32_t i, pages = sev_migrate_nr_pages(o), all;
	struct kvm_vm *vm;

	vm = vm_sev_ghcb_create(&config, SEV_MIGRATE_VCPUS, guest_code, vcpus);
	all = pages + DIV_ROUND_UP(pages * sizeof(*versions), vm->page_size);
	vm_userspace_mem_region_add(vm, VM_MEM_SRC_ANONYMOUS, WORK_GPA, WORK_SLOT,
				    all, 0);
	vm_phy_pages_alloc(vm, all, WORK_GPA, WORK_SLOT);
	virt_map(vm, WORK_GVA, WORK_GPA, all);

	nr_own = pages / SEV_MIGRATE_VCPUS;
	versions = (uint32_t *)(WORK_GVA + (uint64_t)pages * vm->page_size);
	sync_global_to_guest(vm, nr_own);
	sync_global_to_guest(vm, versions);
	for (i = 0; i < SEV_MIGRATE_VCPUS; i++)
		vcpu_args_set(vcpus[i], 1, i);
	return vm;
}
