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
#include "migrate.h"

#define ROUNDS_MAX	16
#define DIRTY_ENOUGH	256		/* pages, to be sent while the guest stands */
#define PAUSE_FIRST	20000		/* microseconds; twice as long each round */
#define PAUSE_MAX	640000
#define TRIES_MAX	10000		/* of a message whose answer comes damaged */

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
	int fd;
	uint32_t number;
	uint32_t digest;
	uint64_t nr_pages;
	bool damaged[SEV_WIRE_NR_KINDS];
	struct sev_wire_message *next;		/* is being filled */
	struct sev_wire_message *in_flight;	/* has no answer yet */
	struct sev_wire_message *spare;
	struct sev_wire_message *answer;
	uint64_t sent;				/* of this round */
	uint64_t lost_gpa;
};

static const struct sev_wire_reply *reply_of(const struct source *s)
{
	static const struct sev_wire_reply nonsense = { .error = -EPROTO };

	return s->answer->head.kind == SEV_WIRE_REPLY &&
	       s->answer->head.len == sizeof(nonsense) ? (void *)s->answer->body : &nonsense;
}

/*
 * The line.
 */
static int reconnect(struct source *s)
{
	if (s->fd >= 0)
		sev_wire_hang_up(s->fd);
	s->fd = sev_wire_connect(s->o->host, s->o->port, s->o->wait);
	return s->fd < 0 ? s->fd : 0;
}

/* Until @m, which may have been @sent, has an answer that is whole. */
static int await_answer(struct source *s, struct sev_wire_message *m, bool sent)
{
	int i, r = 0;

	for (i = 0; i < TRIES_MAX; i++) {
		if (!sent)
			r = sev_wire_send(s->fd, m);
		sent = false;
		if (!r)
			r = sev_wire_receive(s->fd, s->answer);
		if (!r && s->answer->head.number == m->head.number)
			return 0;
		if (r && r != -EBADMSG)
			r = reconnect(s);
		else
			r = 0;
		if (r)
			return r;
	}
	return -EIO;
}

static void seal(struct source *s, uint32_t kind, uint32_t len)
{
	sev_wire_seal(s->next, kind, s->number + 1, s->next->body, len);
}

static void took(struct source *s, const struct sev_wire_message *m)
{
	s->number = m->head.number;
	s->digest = sev_wire_crc(s->digest, &m->head.body_crc, sizeof(m->head.body_crc));
}

/* The answer to what is under way, if anything is: 0, or why it is refused */
static int settle(struct source *s)
{
	struct sev_wire_message *m = s->in_flight;
	int r;

	if (!m)
		return 0;

	s->in_flight = NULL;
	s->spare = m;
	r = await_answer(s, m, true);
	if (r)
		return r;
	if (s->answer->head.kind == SEV_WIRE_REPLY && reply_of(s)->error)
		return reply_of(s)->error;
	took(s, m);
	return 0;
}

/*
 * Damage, on demand: what is refused must leave no trace.
 */
static void require_reply(struct source *s, const char *what, uint32_t bit,
			  const struct sev_migrate_region *region)
{
	const struct sev_wire_reply *reply = reply_of(s);

	if (reply->error == region->error &&
	    (reply->error != -EIO || reply->fw == region->fw || reply->fw == region->other_fw))
		return;

	sev_migrate_die("%s with bit %u flipped (%s): the destination says %s, not %s",
			sev_wire_name(region->kind), bit, what,
			sev_migrate_error(reply->error, reply->fw),
			sev_migrate_error(region->error, region->fw));
}

/* On the line: the checksums find it; the head's, before its length is believed */
static void damage_line(struct source *s)
{
	const struct sev_migrate_region all = {
		.kind = s->next->head.kind,
		.error = -EBADMSG,
	};
	uint32_t bit, nr = 0, head = 8 * sizeof(s->next->head);
	int r;

	for (bit = 0; bit < sev_migrate_nr_bits(s->next);
	     bit = sev_migrate_next_bit(s->next, bit), nr++) {
		uint32_t len = s->next->head.len;
		struct sev_wire_message *m = s->next;

		sev_migrate_flip(m, bit);
		/* As much as the good one has, whatever its head says. */
		r = sev_wire_write(s->fd, m, sizeof(m->head) + len) ?:
		    sev_wire_receive(s->fd, s->answer);
		sev_migrate_flip(m, bit);
		if (r)
			sev_migrate_die("%s with bit %u flipped on the line: no answer: %s",
					sev_wire_name(all.kind), bit, strerror(-r));
		require_reply(s, "on the line", bit, &all);
		if (bit < head && reconnect(s))
			sev_migrate_die("no connection after a damaged head");
	}
	sev_migrate_say("%s: %u flipped bits on the line refused",
			sev_wire_name(all.kind), nr);
}

/* Behind the checksums: as a host would do it that means harm */
static void damage_region(struct source *s, const struct sev_migrate_region *region)
{
	uint32_t bit, nr = 0, len = s->next->head.len;
	int r;

	for (bit = region->first; bit <= region->last; bit += region->step, nr++) {
		sev_migrate_flip(s->next->body, bit);
		seal(s, region->kind, len);
		r = await_answer(s, s->next, false);
		if (r)
			sev_migrate_die("%s with bit %u flipped (%s): no answer: %s",
					sev_wire_name(region->kind), bit, region->name,
					strerror(-r));
		require_reply(s, region->name, bit, region);
		sev_migrate_flip(s->next->body, bit);
	}
	seal(s, region->kind, len);
	sev_migrate_say("%s: %u flipped bits of %s refused: %s",
			sev_wire_name(region->kind), nr, region->name,
			sev_migrate_error(region->error, region->fw));
}

static void damage(struct source *s)
{
	const struct sev_migrate_region *region;
	uint32_t kind = s->next->head.kind;

	if (!sev_migrate_damages(s->o, kind) || s->damaged[kind])
		return;

	s->damaged[kind] = true;
	damage_line(s);
	for (region = sev_migrate_regions; region->name; region++)
		if (region->kind == kind)
			damage_region(s, region);
}

/* Send what is in s->next, once what went before it has been taken. */
static int post(struct source *s, uint32_t kind, uint32_t len)
{
	int r = settle(s);

	if (r)
		return r;

	seal(s, kind, len);
	damage(s);
	r = sev_wire_send(s->fd, s->next);
	/* A connection that is gone is found when there is no answer. */
	s->in_flight = s->next;
	s->next = s->spare;
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

static int call(struct source *s, uint32_t kind, uint32_t len)
{
	return post(s, kind, len) ?: settle(s);
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
	struct sev_wire_hello *hello = (void *)s->next->body;
	int r;

	*hello = (struct sev_wire_hello){ .version = SEV_WIRE_VERSION };
	r = call(s, SEV_WIRE_HELLO, sizeof(*hello));
	if (r)
		return r;
	if (s->answer->head.kind != SEV_WIRE_CERTS || s->answer->head.len != sizeof(*certs))
		return -EPROTO;

	memcpy(certs, s->answer->body, sizeof(*certs));
	return 0;
}

static int send_config(struct source *s)
{
	struct sev_wire_config *c = (void *)s->next->body;
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
	return call(s, SEV_WIRE_CONFIG, sizeof(*c));
}

static int flush_pages(struct source *s)
{
	struct sev_wire_pages *p = (void *)s->next->body;
	uint32_t nr = p->nr;
	int r;

	if (!nr)
		return 0;

	r = post(s, SEV_WIRE_PAGES, offsetof(struct sev_wire_pages, page[nr]));
	((struct sev_wire_pages *)s->next->body)->nr = 0;
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

static int send_page(struct source *s, uint64_t gpa, bool shared)
{
	struct sev_wire_pages *p = (void *)s->next->body;
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
	TEST_ASSERT(!r, "SEND_UPDATE_DATA: %s", sev_migrate_error(r, fw));

	p->nr++;
	/* A message that is to be damaged is short, for all of it to be tried. */
	if (p->nr == SEV_WIRE_PAGES_MAX ||
	    (sev_migrate_damages(s->o, SEV_WIRE_PAGES) && !s->damaged[SEV_WIRE_PAGES]))
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
	return flush_pages(s) ?: settle(s);
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
	return flush_pages(s) ?: settle(s);
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

static uint64_t total_count(const struct source *s)
{
	uint64_t sum = 0;
	uint32_t i;

	for (i = 0; i < s->run.nr; i++)
		sum += s->run.cpus[i].count;
	return sum;
}

static void set_pause(struct source *s, uint32_t pause)
{
	uint32_t i;

	for (i = 0; i < s->run.nr; i++)
		s->run.cpus[i].pause = pause;
}

static void require_well(const struct source *s)
{
	uint32_t i;

	for (i = 0; i < s->run.nr; i++)
		if (s->run.cpus[i].done)
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
	set_pause(s, 0);
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
		set_pause(s, pause);
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
				round, s->sent, total_count(s));
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
	struct sev_wire_vcpu *v = (void *)s->next->body;

	memset(v, 0, sizeof(*v));
	vcpu_sev_send(vcpu, &v->packet);
	v->tsc = vcpu_get_msr(vcpu, MSR_IA32_TSC);
	return call(s, SEV_WIRE_VCPU, sizeof(*v));
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
	struct sev_wire_finish *f = (void *)s->next->body;
	uint32_t i;

	memset(f, 0, sizeof(*f));
	f->nr_pages = s->nr_pages;
	for (i = 0; i < s->run.nr; i++)
		f->count[i] = s->run.cpus[i].count;
	f->digest = sev_wire_crc(s->digest, f, offsetof(struct sev_wire_finish, digest));
	return call(s, SEV_WIRE_FINISH, sizeof(*f));
}

/*
 * The course of it.
 */
static void damage_certs(struct source *s, const struct sev_certs *good)
{
	const struct sev_migrate_region *region;
	struct sev_certs *bad = malloc(sizeof(*bad));
	struct sev_session session;
	uint32_t bit, nr, fw;
	int r;

	for (region = sev_migrate_regions; region->name; region++) {
		if (region->kind != SEV_WIRE_CERTS)
			continue;
		for (bit = region->first, nr = 0; bit <= region->last; bit += region->step) {
			if (bit / 8 >= offsetof(struct sev_certs, root) + good->root_len)
				break;
			*bad = *good;
			sev_migrate_flip(bad, bit);
			r = vm_sev_send_start(s->vm, bad, &session, &fw);
			if (r != -EIO || (fw != region->fw && fw != region->other_fw))
				sev_migrate_die("certificates with bit %u flipped (%s): the firmware says %s",
						bit, region->name, sev_migrate_error(r, fw));
			nr++;
		}
		s->damaged[SEV_WIRE_CERTS] = nr;
		sev_migrate_say("certs: %u flipped bits of %s refused: %s", nr, region->name,
				sev_migrate_error(region->error, region->fw));
	}
	free(bad);
}

/* The firmware verifies the destination's certificates; then it has its session. */
static int introduce(struct source *s)
{
	struct sev_session *session;
	struct sev_certs certs;
	uint32_t fw = 0;
	int r;

	r = send_hello(s, &certs);
	if (r)
		return r;
	if (sev_migrate_damages(s->o, SEV_WIRE_CERTS))
		damage_certs(s, &certs);

	session = malloc(sizeof(*session));
	r = vm_sev_send_start(s->vm, &certs, session, &fw);
	if (r) {
		free(session);
		sev_migrate_say("the firmware does not send the guest to that host: %s%s",
				sev_migrate_error(r, fw),
				fw == SEV_RET_INVALID_CERTIFICATE || fw == SEV_RET_BAD_SIGNATURE ?
				"; its certificates are not by the root that the guest's policy asks for, or do not hold" : "");
		return -EKEYREJECTED;
	}

	r = send_config(s);
	memcpy(s->next->body, session, sizeof(*session));
	free(session);
	return r ?: call(s, SEV_WIRE_START, sizeof(*session));
}

static void say_refused(const struct source *s, int r)
{
	if (r == -EKEYREJECTED)
		return;
	if (reply_of(s)->error == r)
		sev_migrate_say("the destination refuses message %u: %s", s->number + 1,
				sev_migrate_error(r, reply_of(s)->fw));
	else
		sev_migrate_say("the connection is gone: %s", strerror(-r));
}

/* So that the destination need not wait; if it is not there, all the better. */
static void say_bye(struct source *s, int why)
{
	if (why == -ECANCELED || s->fd < 0)
		return;

	seal(s, SEV_WIRE_BYE, 0);
	damage(s);
	if (!sev_wire_send(s->fd, s->next))
		sev_wire_receive(s->fd, s->answer);
}

/* Nothing has been given away: the guest goes on here. */
static int go_on_here(struct source *s, int why, bool running)
{
	uint32_t result, fw = 0;
	int r = 0;

	say_refused(s, why);
	say_bye(s, why);
	if (vm_sev_state(s->vm) == SEV_GUEST_STATE_SEND_UPDATE)
		r = sev_cmd(s->vm, KVM_SEV_SEND_CANCEL, NULL, &fw);
	if (r)
		sev_migrate_die("KVM_SEV_SEND_CANCEL: %s", sev_migrate_error(r, fw));

	set_pause(s, 0);
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

/* What was to be tried has been. */
static void require_damage(const struct source *s)
{
	static const uint32_t kinds[] = {
		SEV_WIRE_HELLO, SEV_WIRE_CERTS, SEV_WIRE_CONFIG, SEV_WIRE_START,
		SEV_WIRE_PAGES, SEV_WIRE_VCPU, SEV_WIRE_FINISH,
	};
	uint32_t i;

	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		if (sev_migrate_damages(s->o, kinds[i]) && !s->damaged[kinds[i]])
			sev_migrate_die("no bit of %s was flipped", sev_wire_name(kinds[i]));
}

static int hand_over(struct source *s)
{
	uint32_t fw = 0;
	int r = send_finish(s);

	if (r && reply_of(s)->error == r)
		return go_on_here(s, r, false);
	if (r)
		sev_migrate_die("no answer to the last message (%s): the destination may have the guest or not; it stays stopped here",
				strerror(-r));

	r = sev_cmd(s->vm, KVM_SEV_SEND_FINISH, NULL, &fw);
	if (r)
		sev_migrate_die("KVM_SEV_SEND_FINISH: %s", sev_migrate_error(r, fw));
	sev_migrate_say("sent: %lu pages, %u vCPUs", s->nr_pages, s->run.nr);
	require_damage(s);
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

static struct sev_wire_message *new_message(void)
{
	return calloc(1, sizeof(struct sev_wire_message) + SEV_WIRE_BODY_MAX);
}

int sev_migrate_send(const struct sev_migrate_options *o)
{
	struct source s = {
		.o = o,
		.fd = -1,
		.next = new_message(),
		.spare = new_message(),
		.answer = new_message(),
		.lost_gpa = -1ull,
	};
	int r;

	launch(&s);
	if (reconnect(&s))
		sev_migrate_die("no connection to %s port %s: %s; is 'sev_migrate_vmm receive' running there?",
				o->host, o->port, strerror(-s.fd));

	r = introduce(&s);
	memset(s.next->body, 0, sizeof(struct sev_wire_pages));
	memset(s.spare->body, 0, sizeof(struct sev_wire_pages));
	r = r ?: send_live(&s);
	if (r)
		return go_on_here(&s, r, true);

	sev_migrate_stop(&s.run);
	require_well(&s);
	r = send_rest(&s);
	if (r)
		return go_on_here(&s, r, false);

	r = hand_over(&s);
	sev_wire_hang_up(s.fd);
	kvm_vm_free(s.vm);
	return r;
}
