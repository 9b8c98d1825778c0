// SPDX-License-Identifier: GPL-2.0-only
/*
 * The source of a migration: send a guest while it runs, then stop it and send
 * the rest.
 *
 * Until the destination has said that it has everything, the guest can go on
 * here, and does if anything goes wrong.  Once FINISH is on its way and nobody
 * knows if it arrived, the guest stays stopped: it must never run twice.
 */
#include <errno.h>
#include <linux/bitmap.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "kvm_util.h"
#include "processor.h"
#include "sev_machine.h"
#include "line.h"
#include "migrate.h"

#define ROUNDS_MAX	16
#define DIRTY_ENOUGH	256		/* pages, to be sent while the guest stands */
#define PAUSE_FIRST	20000		/* microseconds; twice as long each round */
#define PAUSE_MAX	640000

struct slot {
	uint32_t id;
	struct userspace_mem_region *region;
	uint64_t gpa;
	uint64_t pages;
	unsigned long *dirty;
};

struct source {
	const struct sev_migrate_options *o;
	struct kvm_vm *vm;
	struct kvm_vcpu *vcpus[SEV_MIGRATE_VCPUS];
	struct sev_migrate_run run;
	struct slot slots[SEV_WIRE_SLOTS];
	uint32_t nr_slots;
	struct line line;
	uint64_t nr_pages;
	uint64_t sent;			/* pages of this round */
	uint64_t lost_gpa;
};

static void require(const char *what, int r, uint32_t fw)
{
	char text[SEV_MIGRATE_ERROR_LEN];

	if (r)
		sev_migrate_die("%s: %s", what, sev_migrate_error(text, r, fw));
}

/*
 * What is sent.
 */
static void find_slots(struct source *s)
{
	struct userspace_mem_region *region;
	struct slot *slot;
	int ctr;

	hash_for_each(s->vm->regions.slot_hash, ctr, region, slot_node) {
		TEST_ASSERT(s->nr_slots < SEV_WIRE_SLOTS, "Too many slots");
		slot = &s->slots[s->nr_slots++];
		slot->id = region->region.slot;
		slot->region = region;
		slot->gpa = region->region.guest_phys_addr;
		slot->pages = region->region.memory_size / s->vm->page_size;
		slot->dirty = bitmap_zalloc(slot->pages);
	}
}

static int send_hello(struct source *s, struct sev_certs *certs)
{
	struct sev_wire_hello *hello = (void *)s->line.next->body;
	const struct sev_wire_message *answer;
	int r;

	*hello = (struct sev_wire_hello){ .version = SEV_WIRE_VERSION };
	r = line_call(&s->line, SEV_WIRE_HELLO, sizeof(*hello));
	if (r)
		return r;

	answer = s->line.answer;
	if (answer->head.kind != SEV_WIRE_CERTS || answer->head.len != sizeof(*certs))
		return -EPROTO;

	memcpy(certs, answer->body, sizeof(*certs));
	return 0;
}

static int send_config(struct source *s)
{
	struct sev_wire_config *c = (void *)s->line.next->body;
	const struct kvm_cpuid2 *cpuid = s->vcpus[0]->cpuid;
	uint32_t i;

	TEST_ASSERT(cpuid->nent <= SEV_WIRE_CPUID, "Too many entries of CPUID");
	memset(c, 0, sizeof(*c));
	c->init = s->vm->arch.sev_init;
	c->nr_vcpus = SEV_MIGRATE_VCPUS;
	c->nr_slots = s->nr_slots;
	for (i = 0; i < s->nr_slots; i++) {
		c->slots[i].gpa = s->slots[i].gpa;
		c->slots[i].size = s->slots[i].pages * s->vm->page_size;
	}
	c->nr_cpuid = cpuid->nent;
	memcpy(c->cpuid, cpuid->entries, cpuid->nent * sizeof(c->cpuid[0]));
	return line_call(&s->line, SEV_WIRE_CONFIG, sizeof(*c));
}

static int flush_pages(struct source *s)
{
	struct sev_wire_pages *p = (void *)s->line.next->body;
	uint32_t nr = p->nr;
	int r;

	if (!nr)
		return 0;

	r = line_post(&s->line, SEV_WIRE_PAGES, offsetof(struct sev_wire_pages, page[nr]));
	((struct sev_wire_pages *)s->line.next->body)->nr = 0;
	s->nr_pages += nr;
	s->sent += nr;
	return r;
}

static bool is_private(const struct source *s, const struct slot *slot, uint64_t gpa)
{
	return sparsebit_is_set(slot->region->protected_phy_pages, gpa >> s->vm->page_shift);
}

static bool is_zero(const uint64_t *page)
{
	int i;

	for (i = 0; i < 512; i++)
		if (page[i])
			return false;
	return true;
}

/* Packets have no address: two of them can be swapped, and only the guest sees it. */
static uint64_t address_on_the_line(const struct source *s, uint64_t gpa)
{
	uint64_t offset = gpa - sev_migrate_work_gpa();

	if (s->o->expect == SEV_MIGRATE_EXPECT_SWAP && offset < 2 * s->vm->page_size)
		return gpa ^ s->vm->page_size;
	return gpa;
}

static int send_page(struct source *s, uint64_t gpa, bool shared)
{
	struct sev_wire_pages *p = (void *)s->line.next->body;
	struct sev_wire_page *page = &p->page[p->nr];
	uint32_t fw = 0;
	int r = 0;

	if (gpa == s->lost_gpa)
		return 0;

	page->shared = shared;
	page->packet.gpa = gpa;
	if (shared)
		memcpy(page->packet.data, addr_gpa2hva(s->vm, gpa), s->vm->page_size);
	else
		r = vm_sev_send_page(s->vm, gpa, &page->packet, &fw);
	require("KVM_SEV_SEND_UPDATE_DATA", r, fw);
	page->packet.gpa = address_on_the_line(s, gpa);

	p->nr++;
	/* A message that is to be damaged is short, for all of it to be tried. */
	if (p->nr == SEV_WIRE_PAGES_MAX ||
	    (sev_migrate_damages(s->o, SEV_WIRE_PAGES) && !s->line.damaged[SEV_WIRE_PAGES]))
		return flush_pages(s);
	return 0;
}

/* Private pages that slot->dirty names */
static int send_dirty(struct source *s, uint64_t all, int round)
{
	uint64_t i;
	struct slot *slot;
	int r;

	for (slot = s->slots; slot < &s->slots[s->nr_slots]; slot++) {
		for (i = 0; i < slot->pages; i++) {
			uint64_t gpa = slot->gpa + i * s->vm->page_size;

			if (!test_bit(i, slot->dirty) || !is_private(s, slot, gpa))
				continue;
			r = send_page(s, gpa, false);
			if (r)
				return r;
			sev_migrate_progress("round %d: %lu of %lu pages",
					     round, s->sent, all);
		}
	}
	return flush_pages(s) ?: line_settle(&s->line);
}

static int send_shared(struct source *s)
{
	struct slot *slot;
	uint64_t i;
	int r;

	for (slot = s->slots; slot < &s->slots[s->nr_slots]; slot++) {
		for (i = 0; i < slot->pages; i++) {
			uint64_t gpa = slot->gpa + i * s->vm->page_size;

			if (is_private(s, slot, gpa) ||
			    is_zero(addr_gpa2hva(s->vm, gpa)))
				continue;
			r = send_page(s, gpa, true);
			if (r)
				return r;
		}
	}
	return flush_pages(s) ?: line_settle(&s->line);
}

static void log_dirty(struct source *s)
{
	uint32_t i;

	for (i = 0; i < s->nr_slots; i++) {
		vm_mem_region_set_flags(s->vm, s->slots[i].id, KVM_MEM_LOG_DIRTY_PAGES);
		memset(s->slots[i].dirty, 0xff, BITS_TO_LONGS(s->slots[i].pages) * sizeof(long));
	}
}

/* Takes what has been written to since it was last asked, and counts it. */
static uint64_t fetch_dirty(struct source *s)
{
	uint64_t i, nr = 0;
	struct slot *slot;

	for (slot = s->slots; slot < &s->slots[s->nr_slots]; slot++) {
		kvm_vm_get_dirty_log(s->vm, slot->id, slot->dirty);
		for (i = 0; i < slot->pages; i++)
			nr += test_bit(i, slot->dirty) &&
			      is_private(s, slot, slot->gpa + i * s->vm->page_size);
	}
	return nr;
}

static uint64_t count_private(struct source *s)
{
	uint64_t i, nr = 0;
	struct slot *slot;

	for (slot = s->slots; slot < &s->slots[s->nr_slots]; slot++)
		for (i = 0; i < slot->pages; i++)
			nr += is_private(s, slot, slot->gpa + i * s->vm->page_size);
	return nr;
}

static void require_well(const struct source *s)
{
	uint32_t i;

	for (i = 0; i < s->run.nr; i++)
		if (sev_migrate_done(&s->run.cpus[i]))
			sev_migrate_die("vCPU %u says while it is sent: %s", i,
					sev_migrate_result(s->run.cpus[i].result));
}

/*
 * One page comes to the destination as it was in the first round, and then
 * never again, although the guest rewrites it.
 */
static void lose_a_page(struct source *s)
{
	if (s->o->expect != SEV_MIGRATE_EXPECT_LOSS)
		return;

	s->lost_gpa = sev_migrate_work_gpa();
	sev_migrate_pause(&s->run, 0);
	sev_migrate_await(&s->run, sev_migrate_nr_pages(s->o) / SEV_MIGRATE_VCPUS);
}

/* While the guest runs: all of it, then what it writes to meanwhile */
static int send_live(struct source *s)
{
	uint64_t dirty = count_private(s), resent = 0;
	uint32_t pause = PAUSE_FIRST;
	int round, r;

	log_dirty(s);
	for (round = 0; round < ROUNDS_MAX; round++) {
		sev_migrate_pause(&s->run, pause);
		pause = pause < PAUSE_MAX ? 2 * pause : pause;
		s->sent = 0;
		r = send_dirty(s, dirty, round);
		if (r)
			return r;
		/* Rounds in which the guest does nothing would prove nothing. */
		sev_migrate_await(&s->run, 2 * SEV_MIGRATE_STEP);
		if (!round)
			lose_a_page(s);
		require_well(s);
		sev_migrate_say("round %d: %lu pages sent; the guest has rewritten %lu so far",
				round, s->sent, sev_migrate_count(&s->run));
		resent += round ? s->sent : 0;
		dirty = fetch_dirty(s);
		if (round && dirty <= DIRTY_ENOUGH)
			break;
	}
	if (!resent)
		sev_migrate_die("no page was sent again: the dirty log does not work");
	return 0;
}

/* What live rounds have taken from the log last is still to be sent. */
static void merge_dirty(struct source *s)
{
	struct slot *slot;
	uint64_t i;

	for (slot = s->slots; slot < &s->slots[s->nr_slots]; slot++) {
		unsigned long *old = bitmap_zalloc(slot->pages);

		memcpy(old, slot->dirty, BITS_TO_LONGS(slot->pages) * sizeof(long));
		kvm_vm_get_dirty_log(s->vm, slot->id, slot->dirty);
		for (i = 0; i < BITS_TO_LONGS(slot->pages); i++)
			slot->dirty[i] |= old[i];
		free(old);
	}
}

static int send_vcpu(struct source *s, struct kvm_vcpu *vcpu)
{
	struct sev_wire_vcpu *v = (void *)s->line.next->body;

	memset(v, 0, sizeof(*v));
	vcpu_sev_send(vcpu, &v->packet);
	v->tsc = vcpu_get_msr(vcpu, MSR_IA32_TSC);
	return line_call(&s->line, SEV_WIRE_VCPU, sizeof(*v));
}

/* The guest stands. */
static int send_rest(struct source *s)
{
	uint32_t i;
	int r;

	s->sent = 0;
	merge_dirty(s);
	r = send_dirty(s, DIRTY_ENOUGH, ROUNDS_MAX) ?: send_shared(s);
	if (r)
		return r;

	sev_migrate_say("last round: %lu pages sent, the guest stands", s->sent);
	for (i = 0; i < s->run.nr; i++) {
		r = send_vcpu(s, s->vcpus[i]);
		if (r)
			return r;
	}
	return 0;
}

static int send_finish(struct source *s)
{
	struct sev_wire_finish *f = (void *)s->line.next->body;
	uint32_t i;

	memset(f, 0, sizeof(*f));
	f->nr_pages = s->nr_pages;
	for (i = 0; i < s->run.nr; i++)
		f->count[i] = s->run.cpus[i].count;
	f->digest = sev_wire_crc(s->line.digest, f, offsetof(struct sev_wire_finish, digest));
	return line_call(&s->line, SEV_WIRE_FINISH, sizeof(*f));
}

/*
 * The course of it.
 */
/* Nothing is sent to a host whose certificates have but one bit wrong. */
static uint32_t damage_certs_region(struct source *s, struct sev_certs *certs,
				    const struct sev_migrate_region *region)
{
	uint32_t last = 8 * (offsetof(struct sev_certs, root) + certs->root_len) - 1;
	uint32_t bit, nr = 0, fw;
	struct sev_session session;
	char text[SEV_MIGRATE_ERROR_LEN];
	int r;

	for (bit = region->first; bit <= region->last && bit <= last; bit += region->step) {
		sev_migrate_flip(certs, bit);
		r = vm_sev_send_start(s->vm, certs, &session, &fw);
		sev_migrate_flip(certs, bit);
		if (r != region->error || (fw != region->fw && fw != region->other_fw))
			sev_migrate_die("certs with bit %u flipped (%s): the firmware says %s",
					bit, region->name, sev_migrate_error(text, r, fw));
		nr++;
	}
	sev_migrate_say("certs: %u flipped bits of %s refused: %s", nr, region->name,
			sev_migrate_error(text, region->error, region->fw));
	return nr;
}

static void damage_certs(struct source *s, struct sev_certs *certs)
{
	const struct sev_migrate_region *region;

	if (!sev_migrate_damages(s->o, SEV_WIRE_CERTS))
		return;

	for (region = sev_migrate_regions; region->name; region++)
		if (region->kind == SEV_WIRE_CERTS && damage_certs_region(s, certs, region))
			s->line.damaged[SEV_WIRE_CERTS] = true;
}

static void explain_no_start(int r, uint32_t fw)
{
	char text[SEV_MIGRATE_ERROR_LEN];

	sev_migrate_say("the firmware does not send the guest to that host: %s",
			sev_migrate_error(text, r, fw));
	if (fw == SEV_RET_INVALID_CERTIFICATE || fw == SEV_RET_BAD_SIGNATURE)
		sev_migrate_say("its certificates are wrong, or not by the root that is wanted");
	if (fw == SEV_RET_POLICY_FAILURE)
		sev_migrate_say("the guest's policy forbids it");
}

/* The firmware verifies the destination's certificates; then it has its session. */
static int introduce(struct source *s)
{
	struct sev_session session;
	struct sev_certs certs;
	uint32_t fw = 0;
	int r;

	r = send_hello(s, &certs);
	if (r)
		return r;

	damage_certs(s, &certs);
	r = vm_sev_send_start(s->vm, &certs, &session, &fw);
	if (r) {
		explain_no_start(r, fw);
		return -EKEYREJECTED;
	}

	r = send_config(s);
	if (r)
		return r;

	memcpy(s->line.next->body, &session, sizeof(session));
	return line_call(&s->line, SEV_WIRE_START, sizeof(session));
}

static void say_refused(const struct source *s, int r)
{
	const struct sev_wire_reply *reply = line_reply(&s->line);
	char text[SEV_MIGRATE_ERROR_LEN];

	if (r == -EKEYREJECTED)
		return;
	if (reply->error == r)
		sev_migrate_say("the destination refuses message %u: %s", s->line.number + 1,
				sev_migrate_error(text, r, reply->fw));
	else
		sev_migrate_say("the connection is gone: %s", strerror(-r));
}

/* Nothing has been given away: the guest goes on here. */
static int go_on_here(struct source *s, int why, bool running)
{
	uint32_t result, fw = 0;
	int r = 0;

	say_refused(s, why);
	/* So that the destination need not wait, unless it is who wants no more. */
	if (why != -ECANCELED)
		line_bye(&s->line);
	if (vm_sev_state(s->vm) == SEV_GUEST_STATE_SEND_UPDATE)
		r = sev_cmd(s->vm, KVM_SEV_SEND_CANCEL, NULL, &fw);
	require("KVM_SEV_SEND_CANCEL", r, fw);

	sev_migrate_pause(&s->run, 0);
	if (!running)
		sev_migrate_start(&s->run);
	sev_migrate_await(&s->run, 2 * SEV_MIGRATE_STEP);
	result = sev_migrate_check(&s->run);
	sev_migrate_say("the guest goes on here: %s", sev_migrate_result(result));
	if (result != SEV_MIGRATE_GOOD)
		return 1;
	if (s->o->expect == SEV_MIGRATE_EXPECT_REFUSED)
		return 0;
	sev_migrate_die("the guest was not sent");
}

static int hand_over(struct source *s)
{
	uint32_t fw = 0;
	int r = send_finish(s);

	if (r && line_reply(&s->line)->error == r)
		return go_on_here(s, r, false);
	if (r)
		sev_migrate_die("no answer to the last message (%s): %s", strerror(-r),
				"the destination may have the guest, so it stays stopped here");

	r = sev_cmd(s->vm, KVM_SEV_SEND_FINISH, NULL, &fw);
	require("KVM_SEV_SEND_FINISH", r, fw);
	sev_migrate_say("sent: %lu pages, %u vCPUs", s->nr_pages, s->run.nr);
	line_require_damage(&s->line);
	if (s->o->expect == SEV_MIGRATE_EXPECT_REFUSED)
		sev_migrate_die("the guest was to be refused");
	return 0;
}

static void launch(struct source *s)
{
	uint32_t i;

	sev_migrate_say("launching a guest with %u MB to watch", s->o->megabytes);
	s->vm = sev_migrate_create_guest(s->o, s->vcpus);
	vm_sev_launch(s->vm, s->o->policy, NULL);
	find_slots(s);
	s->run.nr = SEV_MIGRATE_VCPUS;
	for (i = 0; i < s->run.nr; i++)
		s->run.cpus[i].vcpu = s->vcpus[i];
	sev_migrate_start(&s->run);
	sev_migrate_await(&s->run, SEV_MIGRATE_STEP);
	sev_migrate_say("the guest runs");
}

int sev_migrate_send(const struct sev_migrate_options *o)
{
	struct source s = {
		.o = o,
		.lost_gpa = -1ull,
	};
	int r;

	line_init(&s.line, o);
	launch(&s);
	if (line_connect(&s.line))
		sev_migrate_die("no connection to %s port %s: %s; is %s running there?",
				o->host, o->port, strerror(-s.line.fd),
				"'sev_migrate_vmm receive'");

	r = introduce(&s);
	memset(s.line.next->body, 0, sizeof(struct sev_wire_pages));
	memset(s.line.spare->body, 0, sizeof(struct sev_wire_pages));
	r = r ?: send_live(&s);
	if (r)
		return go_on_here(&s, r, true);

	sev_migrate_stop(&s.run);
	require_well(&s);
	r = send_rest(&s);
	if (r)
		return go_on_here(&s, r, false);

	r = hand_over(&s);
	sev_wire_hang_up(s.line.fd);
	kvm_vm_free(s.vm);
	return r;
}
