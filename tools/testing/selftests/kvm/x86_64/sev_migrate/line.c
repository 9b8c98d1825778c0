// SPDX-License-Identifier: GPL-2.0-only
/*
 * The source's end of the line, and what can be done to it.
 *
 * A message that is damaged or refused leaves no trace at the destination, so
 * any number of such can go before the one that is meant.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "line.h"

#define TRIES_MAX	10000	/* of a message whose answer comes damaged */

static struct sev_wire_message *new_message(void)
{
	return calloc(1, sizeof(struct sev_wire_message) + SEV_WIRE_BODY_MAX);
}

void line_init(struct line *l, const struct sev_migrate_options *o)
{
	*l = (struct line) {
		.o = o,
		.fd = -1,
		.next = new_message(),
		.spare = new_message(),
		.answer = new_message(),
	};
}

const struct sev_wire_reply *line_reply(const struct line *l)
{
	static const struct sev_wire_reply nonsense = { .error = -EPROTO };

	return l->answer->head.kind == SEV_WIRE_REPLY &&
	       l->answer->head.len == sizeof(nonsense) ? (void *)l->answer->body : &nonsense;
}

int line_connect(struct line *l)
{
	if (l->fd >= 0)
		sev_wire_hang_up(l->fd);
	l->fd = sev_wire_connect(l->o->host, l->o->port, l->o->wait);
	return l->fd < 0 ? l->fd : 0;
}

/* Until @m, which may have been @sent, has an answer that is whole. */
static int await_answer(struct line *l, struct sev_wire_message *m, bool sent)
{
	int i, r;

	for (i = 0; i < TRIES_MAX; i++) {
		r = sent ? 0 : sev_wire_send(l->fd, m);
		sent = false;
		if (!r)
			r = sev_wire_receive(l->fd, l->answer);
		if (!r && l->answer->head.number == m->head.number)
			return 0;
		/* After a damaged head nobody knows where the next one begins. */
		if (r && r != -EBADMSG && line_connect(l))
			return l->fd;
	}
	return -EIO;
}

static void seal(struct line *l, uint32_t kind, uint32_t len)
{
	sev_wire_seal(l->next, kind, l->number + 1, l->next->body, len);
}

int line_settle(struct line *l)
{
	struct sev_wire_message *m = l->in_flight;
	int r;

	if (!m)
		return 0;

	l->in_flight = NULL;
	l->spare = m;
	r = await_answer(l, m, true);
	if (r)
		return r;
	if (l->answer->head.kind == SEV_WIRE_REPLY && line_reply(l)->error)
		return line_reply(l)->error;

	l->number = m->head.number;
	l->digest = sev_wire_crc(l->digest, &m->head.body_crc, sizeof(m->head.body_crc));
	return 0;
}

/*
 * Damage, on demand.
 */
static void require_reply(struct line *l, const char *what, uint32_t bit,
			  const struct sev_migrate_region *region)
{
	const struct sev_wire_reply *reply = line_reply(l);
	char is[SEV_MIGRATE_ERROR_LEN], ought[SEV_MIGRATE_ERROR_LEN];

	if (reply->error == region->error &&
	    (reply->error != -EIO || reply->fw == region->fw || reply->fw == region->other_fw))
		return;

	sev_migrate_die("%s with bit %u flipped (%s): the destination says %s, not %s",
			sev_wire_name(region->kind), bit, what,
			sev_migrate_error(is, reply->error, reply->fw),
			sev_migrate_error(ought, region->error, region->fw));
}

/* One bit on the line; as many as the good message has, whatever its head says */
static int send_flipped(struct line *l, uint32_t bit)
{
	uint32_t len = sizeof(l->next->head) + l->next->head.len;
	int r;

	sev_migrate_flip(l->next, bit);
	r = sev_wire_write(l->fd, l->next, len) ?: sev_wire_receive(l->fd, l->answer);
	sev_migrate_flip(l->next, bit);
	return r;
}

/* The checksums find it; that of the head, before its length is believed. */
static void damage_line(struct line *l)
{
	const struct sev_migrate_region all = {
		.kind = l->next->head.kind,
		.error = -EBADMSG,
	};
	uint32_t bit, nr = 0;
	int r;

	for (bit = 0; bit < sev_migrate_nr_bits(l->next);
	     bit = sev_migrate_next_bit(l->next, bit), nr++) {
		r = send_flipped(l, bit);
		if (r)
			sev_migrate_die("%s with bit %u flipped on the line: no answer: %s",
					sev_wire_name(all.kind), bit, strerror(-r));
		require_reply(l, "on the line", bit, &all);
		if (bit < 8 * sizeof(l->next->head) && line_connect(l))
			sev_migrate_die("no connection after a damaged head");
	}
	sev_migrate_say("%s: %u flipped bits on the line refused",
			sev_wire_name(all.kind), nr);
}

/* What is in @l->next, as it is */
static void require_refused(struct line *l, uint32_t bit,
			    const struct sev_migrate_region *region)
{
	int r = await_answer(l, l->next, false);

	if (r)
		sev_migrate_die("%s with bit %u flipped (%s): no answer: %s",
				sev_wire_name(region->kind), bit, region->name, strerror(-r));
	require_reply(l, region->name, bit, region);
}

/* Behind the checksums: as a host would do it that means harm */
static void damage_region(struct line *l, const struct sev_migrate_region *region)
{
	uint32_t bit, nr = 0, len = l->next->head.len;
	char why[SEV_MIGRATE_ERROR_LEN];

	for (bit = region->first; bit <= region->last; bit += region->step, nr++) {
		sev_migrate_flip(l->next->body, bit);
		seal(l, region->kind, len);
		require_refused(l, bit, region);
		sev_migrate_flip(l->next->body, bit);
	}
	sev_migrate_say("%s: %u flipped bits of %s refused: %s",
			sev_wire_name(region->kind), nr, region->name,
			sev_migrate_error(why, region->error, region->fw));
}

/* Whole messages, but out of turn: another kind, or one that was or will be */
static void damage_order(struct line *l, uint32_t kind, uint32_t len)
{
	struct sev_migrate_region region = { .name = "out of turn" };
	uint32_t nr = 0;
	int ahead;

	for (region.kind = SEV_WIRE_HELLO; region.kind < SEV_WIRE_BYE; region.kind++) {
		/* More pages, or another vCPU, can always come after the first. */
		if (region.kind == kind || (l->number > 3 && region.kind + 1 == kind))
			continue;
		region.error = -EPERM;
		seal(l, region.kind, len);
		require_refused(l, 0, &region);
		nr++;
	}

	region.kind = kind;
	region.error = -EPROTO;
	for (ahead = -2; ahead <= 2; ahead++) {
		/* The message that was last gets its answer again. */
		if (!ahead || ahead == 1)
			continue;
		sev_wire_seal(l->next, kind, l->number + ahead, l->next->body, len);
		require_refused(l, 0, &region);
		nr++;
	}
	sev_migrate_say("%s: %u messages out of turn refused", sev_wire_name(kind), nr);
}

static void damage(struct line *l, uint32_t kind, uint32_t len)
{
	const struct sev_migrate_region *region;

	if (!sev_migrate_damages(l->o, kind) || l->damaged[kind])
		return;

	l->damaged[kind] = true;
	damage_line(l);
	damage_order(l, kind, len);
	for (region = sev_migrate_regions; region->name; region++)
		if (region->kind == kind)
			damage_region(l, region);
	seal(l, kind, len);
}

void line_require_damage(const struct line *l)
{
	uint32_t kind;

	for (kind = SEV_WIRE_HELLO; kind < SEV_WIRE_REPLY; kind++)
		if (kind != SEV_WIRE_BYE && sev_migrate_damages(l->o, kind) &&
		    !l->damaged[kind])
			sev_migrate_die("no bit of %s was flipped", sev_wire_name(kind));
}

int line_post(struct line *l, uint32_t kind, uint32_t len)
{
	int r = line_settle(l);

	if (r)
		return r;

	seal(l, kind, len);
	damage(l, kind, len);
	r = sev_wire_send(l->fd, l->next);
	l->in_flight = l->next;
	l->next = l->spare;
	/* That the line is gone is found when there is no answer. */
	return r == -EPIPE || r == -ECONNRESET ? 0 : r;
}

int line_call(struct line *l, uint32_t kind, uint32_t len)
{
	return line_post(l, kind, len) ?: line_settle(l);
}

void line_bye(struct line *l)
{
	if (l->fd < 0)
		return;

	seal(l, SEV_WIRE_BYE, 0);
	if (!sev_wire_send(l->fd, l->next))
		sev_wire_receive(l->fd, l->answer);
}
