// SPDX-License-Identifier: GPL-2.0-only
/*
 * Page state changes under load: vCPUs that convert pages to and fro, all at
 * once and next to each other, and miss no page and no data.
 *
 * What is in a page after it was converted is up to the VMM.  If it discards
 * what goes out of use then nothing is left of it; if it does not, then the
 * private and the shared copy of a page live on independently.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <linux/bitfield.h>
#include <linux/kernel.h>
#include <linux/sizes.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "processor.h"
#include "sev_ghcb.h"
#include "sev_snp.h"
#include "sev_subtests.h"
#include "test_util.h"
#include "ucall_common.h"

#define NR_VCPUS	4
#define TIMEOUT_SECONDS	100

#define MEM_SLOT	10
#define MEM_GPA		SZ_4G

/* First single pages, a few of each vCPU in turn; then 2M for each vCPU. */
#define NR_PAGES	256
#define BLOCK		4
#define CHUNK(id)	((1 + (id)) * SZ_2M)
#define MEM_SIZE	CHUNK(NR_VCPUS)

#define WORDS		(PAGE_SIZE / sizeof(uint64_t))

#define ROUNDS		16
#define CHUNK_ROUNDS	1
#define CHUNK_STEP	(WORDS - 1)	/* its pages' first and last words */
#define ZERO_STEP	16		/* to read zeroes makes the write dear */
#define HOLES		50		/* to be seen by each vCPU */
#define HOLE_PAGES	64

static struct sev_snp_mem mem;		/* written by the host */
static bool keep;
static uint64_t view_gva;

/* For the host: of each page what is in it, 0 if it is private. */
struct view {
	uint64_t data[NR_PAGES];
};

/* What the guest knows of a page. */
struct page {
	bool shared;
	uint64_t data[2];	/* last written to it, private and shared */
};

static struct page pages[NR_PAGES];
static struct guest_random_state rngs[NR_VCPUS];
static struct sev_snp_psc psc_lists[NR_VCPUS];
static uint64_t nr_converted[NR_VCPUS];
static uint64_t nr_written[NR_VCPUS];

/*
 * Guest: data.
 */
static uint64_t *page_gva(int nr, bool shared)
{
	return (uint64_t *)((shared ? mem.shared : mem.private) + nr * PAGE_SIZE);
}

static uint64_t new_data(uint32_t id)
{
	return (uint64_t)(id + 1) << 56 | ++nr_written[id] << 16;
}

static void fill(uint64_t *p, uint64_t data, int step)
{
	int i;

	for (i = 0; i < WORDS; i += step)
		WRITE_ONCE(p[i], data + i);
}

static void check_is(uint64_t *p, uint64_t data, int step)
{
	uint64_t value;
	int i;

	for (i = 0; i < WORDS; i += step) {
		value = READ_ONCE(p[i]);
		__GUEST_ASSERT(value == data + i, "0x%lx: 0x%lx instead of 0x%lx",
			       (uint64_t)&p[i], value, data + i);
	}
}

static void check_zero(uint64_t *p, int step)
{
	int i;

	for (i = 0; i < WORDS; i += step)
		__GUEST_ASSERT(!READ_ONCE(p[i]), "0x%lx: 0x%lx instead of 0",
			       (uint64_t)&p[i], p[i]);
}

/* Nothing of what was there; what there is instead is encrypted zeroes. */
static void check_gone(uint64_t *p, const struct page *page)
{
	uint64_t value;
	int i;

	for (i = 0; i < WORDS; i++) {
		value = READ_ONCE(p[i]);
		__GUEST_ASSERT(value != page->data[0] + i && value != page->data[1] + i,
			       "0x%lx: 0x%lx is still there", (uint64_t)&p[i], value);
	}
}

static void check_converted(int nr)
{
	struct page *page = &pages[nr];
	uint64_t *p = page_gva(nr, page->shared);
	uint64_t data = page->data[page->shared];

	if (keep && data)
		check_is(p, data, 1);
	else if (page->shared)
		check_zero(p, 1);
	else if (!keep)
		check_gone(p, page);
}

static void rewrite(uint32_t id, int nr)
{
	struct page *page = &pages[nr];
	uint64_t data = new_data(id);

	fill(page_gva(nr, page->shared), data, 1);
	page->data[page->shared] = data;
}

/*
 * Guest: pages.
 */
static bool is_mine(uint32_t id, int nr)
{
	return nr / BLOCK % NR_VCPUS == id;
}

static void pvalidate(int nr, bool validate)
{
	int rc = sev_snp_pvalidate((uint64_t)page_gva(nr, false), SEV_SNP_4K, validate);

	__GUEST_ASSERT(!rc, "PVALIDATE of page %d, %d: %d", nr, validate, rc);
}

static uint32_t target_op(const struct page *page)
{
	return page->shared ? SEV_SNP_PSC_PRIVATE : SEV_SNP_PSC_SHARED;
}

static void before_psc(int nr)
{
	if (!pages[nr].shared)
		pvalidate(nr, false);
}

static void after_psc(uint32_t id, int nr)
{
	if (pages[nr].shared)
		pvalidate(nr, true);

	pages[nr].shared = !pages[nr].shared;
	check_converted(nr);
	rewrite(id, nr);
	nr_converted[id]++;
}

static void convert_one(uint32_t id, int nr)
{
	uint32_t error;

	before_psc(nr);
	error = sev_snp_psc_msr(mem.gpa + nr * PAGE_SIZE, target_op(&pages[nr]));
	__GUEST_ASSERT(!error, "page %d: 0x%x", nr, error);
	after_psc(id, nr);
}

/* Those of them that chance picks, in both directions by one list. */
static void convert_some(uint32_t id)
{
	struct sev_snp_psc *psc = &psc_lists[id];
	int nr, i, n = 0;

	for (nr = 0; nr < NR_PAGES; nr++) {
		if (!is_mine(id, nr) || guest_random_u32(&rngs[id]) % 4)
			continue;

		before_psc(nr);
		psc->entries[n++] = (mem.gpa + nr * PAGE_SIZE) |
				    FIELD_PREP(SEV_SNP_PSC_OP, target_op(&pages[nr]));
	}
	if (!n)
		return;

	psc->cur_entry = 0;
	psc->end_entry = n - 1;
	sev_snp_psc_all(psc);

	for (i = 0; i < n; i++) {
		nr = FIELD_GET(SEV_SNP_PSC_GFN, psc->entries[i]) - mem.gpa / PAGE_SIZE;
		after_psc(id, nr);
	}
}

static void check_mine(uint32_t id)
{
	struct page *page;
	int nr;

	for (nr = 0; nr < NR_PAGES; nr++) {
		page = &pages[nr];
		if (is_mine(id, nr))
			check_is(page_gva(nr, page->shared), page->data[page->shared], 1);
	}
}

static void show_host(uint32_t id)
{
	struct view *view = (struct view *)view_gva;
	int nr;

	for (nr = 0; nr < NR_PAGES; nr++) {
		if (is_mine(id, nr))
			view->data[nr] = pages[nr].shared ? pages[nr].data[1] : 0;
	}
	GUEST_SYNC(nr_converted[id]);
}

static void guest_pages(uint32_t id)
{
	int nr, round;

	for (nr = 0; nr < NR_PAGES; nr++) {
		if (is_mine(id, nr)) {
			pvalidate(nr, true);
			rewrite(id, nr);
		}
	}

	for (round = 0; round < ROUNDS; round++) {
		nr = guest_random_u32(&rngs[id]) % NR_PAGES;
		if (is_mine(id, nr))
			convert_one(id, nr);
		else
			convert_some(id);

		if (round % 4 == 0)
			check_mine(id);
	}

	check_mine(id);
	show_host(id);
}

/*
 * Guest: 2M at a time.
 */
static void check_chunk(uint32_t id, bool shared, const uint64_t *data)
{
	uint64_t *p = (uint64_t *)((shared ? mem.shared : mem.private) + CHUNK(id));
	int i;

	for (i = 0; i < SZ_2M / PAGE_SIZE; i++, p += WORDS) {
		if (keep && data[shared])
			check_is(p, data[shared] + i, CHUNK_STEP);
		else if (shared && i % ZERO_STEP == 0)
			check_zero(p, CHUNK_STEP);
		else if (!shared)
			__GUEST_ASSERT(*p != data[0] + i && *p != data[1] + i,
				       "page %d: 0x%lx is still there", i, *p);
	}
}

static void fill_chunk(uint32_t id, bool shared, uint64_t *data)
{
	uint64_t *p = (uint64_t *)((shared ? mem.shared : mem.private) + CHUNK(id));
	int i;

	data[shared] = new_data(id);
	for (i = 0; i < SZ_2M / PAGE_SIZE; i++)
		fill(p + i * WORDS, data[shared] + i, CHUNK_STEP);
}

static void guest_2m(uint32_t id)
{
	uint64_t data[2] = { };
	int round;

	sev_snp_validate(&mem, CHUNK(id), SZ_2M, true);
	fill_chunk(id, false, data);

	for (round = 0; round < CHUNK_ROUNDS; round++) {
		sev_snp_make_shared(&mem, CHUNK(id), SZ_2M);
		check_chunk(id, true, data);
		fill_chunk(id, true, data);

		sev_snp_make_private(&mem, CHUNK(id), SZ_2M);
		check_chunk(id, false, data);
		fill_chunk(id, false, data);
	}
	nr_converted[id] = CHUNK_ROUNDS * 2 * SZ_2M / PAGE_SIZE;
	GUEST_SYNC(nr_converted[id]);
}

/*
 * Guest: pages that the host takes away at any time.
 */
static uint64_t nr_missed[NR_VCPUS];

static bool validate_again(struct ex_regs *regs, uint64_t gva)
{
	nr_missed[sev_ghcb_this_cpu()->vcpu_id]++;

	/* If that page were validated already then it would be an old one. */
	return !sev_snp_pvalidate(gva & PAGE_MASK, SEV_SNP_4K, true);
}

static uint64_t load(const uint64_t *p)
{
	uint64_t value;

	asm volatile("mov %1, %0" : "=r" (value) : "m" (*p) : "memory");
	return value;
}

static void store(uint64_t *p, uint64_t value)
{
	asm volatile("mov %1, %0" : "=m" (*p) : "r" (value) : "memory");
}

/* Either there is what was written, or a #VC says that it is lost. */
static void guest_holes(uint32_t id)
{
	uint64_t last[HOLE_PAGES] = { }, data, before, value;
	uint64_t *missed = &nr_missed[id];
	int nr;

	WRITE_ONCE(sev_ghcb_not_validated, validate_again);

	for (nr = id; *missed < HOLES; nr = (nr + NR_VCPUS) % HOLE_PAGES) {
		before = *missed;
		value = load(page_gva(nr, false));
		__GUEST_ASSERT(*missed != before || value == last[nr],
			       "page %d: 0x%lx instead of 0x%lx", nr, value, last[nr]);

		data = new_data(id);
		store(page_gva(nr, false), data);
		last[nr] = data;
	}
	GUEST_SYNC(0);
}

/*
 * Host.
 */
static void sync_count(struct sev_snp_runner *r, struct ucall *uc)
{
	if (r->nr_converted != uc->args[1])
		sev_snp_fail(r, "%lu pages converted instead of %lu",
			     r->nr_converted, uc->args[1]);
	if (r->nr_faults)
		sev_snp_fail(r, "%lu pages were in the other state", r->nr_faults);
}

/* The host has the shared pages' data, and only zeroes of the others. */
static void sync_view(struct sev_snp_runner *r, struct ucall *uc)
{
	struct kvm_vm *vm = r->vcpu->vm;
	struct view *view = addr_gpa2hva(vm, view_gva);
	uint64_t *p, wanted;
	int nr, i;

	sync_count(r, uc);

	for (nr = 0; nr < NR_PAGES; nr++) {
		if (!is_mine(r->vcpu->id, nr) || (keep && !view->data[nr]))
			continue;

		p = addr_gpa2hva(vm, MEM_GPA + nr * PAGE_SIZE);
		for (i = 0; i < WORDS; i++) {
			wanted = view->data[nr] ? view->data[nr] + i : 0;
			if (p[i] != wanted)
				sev_snp_fail(r, "page %d: the host sees 0x%lx, not 0x%lx",
					     nr, p[i], wanted);
		}
	}
}

struct kind {
	void (*guest)(uint32_t id);
	void (*sync)(struct sev_snp_runner *r, struct ucall *uc);
	enum sev_snp_discard discard;
	bool holes;
};

static void guest_code(void (*guest)(uint32_t id), uint32_t id)
{
	guest(id);
	GUEST_DONE();
}

static bool stop_punching;

static void *punch(void *arg)
{
	struct kvm_vm *vm = arg;
	unsigned int nr = 0;

	while (!READ_ONCE(stop_punching)) {
		nr = (nr + 7) % HOLE_PAGES;
		vm_guest_mem_punch_hole(vm, MEM_GPA + nr * PAGE_SIZE, PAGE_SIZE);
		usleep(200);
	}
	return NULL;
}

static void prepare(const struct kind *k, struct sev_snp_vm *snp)
{
	struct kvm_vm *vm = snp->vm;
	int i;

	sev_snp_add_mem(snp, MEM_SLOT, MEM_GPA, MEM_SIZE, &mem);
	sync_global_to_guest(vm, mem);

	view_gva = vm_vaddr_alloc_shared(vm, sizeof(struct view), KVM_UTIL_MIN_VADDR,
					 MEM_REGION_TEST_DATA);
	sync_global_to_guest(vm, view_gva);
	view_gva = addr_gva2gpa(vm, view_gva);

	keep = k->discard == SEV_SNP_KEEP;
	sync_global_to_guest(vm, keep);

	for (i = 0; i < NR_VCPUS; i++) {
		rngs[i] = new_guest_random_state(guest_random_seed + i);
		vcpu_args_set(snp->vcpus[i], 2, k->guest, i);
	}
	sync_global_to_guest(vm, rngs);
}

static bool run(const struct sev_subtest *t)
{
	const struct kind *k = t->data;
	struct sev_snp_config config = SEV_SNP_DEFAULT_CONFIG;
	struct sev_snp_runner runners[NR_VCPUS] = { };
	struct sev_snp_vm snp;
	pthread_t puncher;
	bool ok;
	int i;

	config.mem_pages = MEM_SIZE / PAGE_SIZE;
	sev_snp_create(&snp, &config, NR_VCPUS, guest_code);
	prepare(k, &snp);
	sev_snp_launch(&snp);

	for (i = 0; i < NR_VCPUS; i++) {
		runners[i].vcpu = snp.vcpus[i];
		runners[i].sync = k->sync;
		runners[i].discard = k->discard;
	}

	stop_punching = false;
	if (k->holes)
		pthread_create(&puncher, NULL, punch, snp.vm);
	ok = sev_snp_run(runners, NR_VCPUS, TIMEOUT_SECONDS);
	WRITE_ONCE(stop_punching, true);
	if (k->holes)
		pthread_join(puncher, NULL);

	for (i = 0; i < NR_VCPUS; i++)
		ksft_print_msg("vCPU %d: %lu page state changes of %lu pages\n", i,
			       runners[i].nr_conversions, runners[i].nr_converted);
	sev_snp_free(&snp);
	return ok;
}

#define SUBTEST(_name, ...) {						\
	.name = _name,							\
	.run = run,							\
	.data = &(const struct kind){ __VA_ARGS__ },			\
}

static const struct sev_subtest subtests[] = {
	SUBTEST("discard", guest_pages, sync_view),
	SUBTEST("keep", guest_pages, sync_view, SEV_SNP_KEEP),
	SUBTEST("discard_2m", guest_2m, sync_count),
	SUBTEST("keep_2m", guest_2m, sync_count, SEV_SNP_KEEP),
	SUBTEST("holes", guest_holes, sync_count, .holes = true),
};

int main(int argc, char *argv[])
{
	TEST_REQUIRE_SEV_SNP();

	return sev_subtests_main(argc, argv, subtests, ARRAY_SIZE(subtests));
}
