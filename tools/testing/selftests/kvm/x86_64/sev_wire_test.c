// SPDX-License-Identifier: GPL-2.0-only
/*
 * Each bit of each kind of message that brings a SEV-ES guest to another host:
 * flipped, it makes the message refused.  So does each end that comes too soon.
 * Of long bodies it is one bit in a few, which comes by each bit of a byte; all
 * of them if the argument is "long".
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "kselftest.h"
#include "kvm_util.h"
#include "sev_wire.h"
#include "test_util.h"

#define NUMBER	7

static struct sev_wire_message *new_message(void)
{
	return calloc(1, sizeof(struct sev_wire_message) + SEV_WIRE_BODY_MAX);
}

/* What a receiver makes of the first @len bytes of @m, and of nothing after them */
static int pass(const struct sev_wire_message *m, size_t len, struct sev_wire_message *to)
{
	int ends[2], size = 2 * (sizeof(*m) + SEV_WIRE_BODY_MAX), r;

	TEST_ASSERT(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair: %s",
		    strerror(errno));
	/* All of it at once: there is nobody who reads meanwhile. */
	setsockopt(ends[0], SOL_SOCKET, SO_SNDBUFFORCE, &size, sizeof(size));
	TEST_ASSERT(!sev_wire_write(ends[0], m, len), "A socket takes no %lu bytes", len);
	shutdown(ends[0], SHUT_WR);
	r = sev_wire_receive(ends[1], to);
	close(ends[0]);
	close(ends[1]);
	return r;
}

static void make(struct sev_wire_message *m, uint32_t kind, uint32_t len)
{
	uint32_t i;

	for (i = 0; i < len; i++)
		m->body[i] = random();
	sev_wire_seal(m, kind, NUMBER, m->body, len);
}

static bool same(const struct sev_wire_message *a, const struct sev_wire_message *b)
{
	return !memcmp(a, b, sizeof(a->head) + a->head.len);
}

static uint32_t nr_flips;

static bool flip_bits(struct sev_wire_message *m, struct sev_wire_message *to,
		      uint32_t step)
{
	uint32_t bits = 8 * (sizeof(m->head) + m->head.len), bit;
	uint32_t len = sizeof(m->head) + m->head.len;

	nr_flips = 0;
	for (bit = 0; bit < bits; bit += bit < 8 * sizeof(m->head) ? 1 : step) {
		int want = bit < 8 * sizeof(m->head) ? -EPROTO : -EBADMSG, r;

		((uint8_t *)m)[bit / 8] ^= 1 << bit % 8;
		r = pass(m, len, to);
		((uint8_t *)m)[bit / 8] ^= 1 << bit % 8;
		if (r != want) {
			ksft_print_msg("bit %u: %d instead of %d\n", bit, r, want);
			return false;
		}
		nr_flips++;
	}
	return true;
}

static bool cut(struct sev_wire_message *m, struct sev_wire_message *to)
{
	uint32_t len = sizeof(m->head) + m->head.len, n;

	for (n = 0; n < len; n += n < 2 * sizeof(m->head) ? 1 : 61) {
		int r = pass(m, n, to);

		if (r != -EPIPE) {
			ksft_print_msg("%u of %u bytes: %d\n", n, len, r);
			return false;
		}
	}
	return true;
}

/* Checksums that hold, of what is not a message all the same */
static bool strange_heads(struct sev_wire_message *m, struct sev_wire_message *to)
{
	static const struct sev_wire_head strange[] = {
		{ .magic = SEV_WIRE_MAGIC + 1, .version = SEV_WIRE_VERSION },
		{ .magic = SEV_WIRE_MAGIC, .version = SEV_WIRE_VERSION + 1 },
		{ .magic = SEV_WIRE_MAGIC, .version = SEV_WIRE_VERSION,
		  .len = SEV_WIRE_BODY_MAX + 1 },
		{ .magic = SEV_WIRE_MAGIC, .version = SEV_WIRE_VERSION, .len = -1u },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(strange); i++) {
		m->head = strange[i];
		m->head.head_crc = sev_wire_crc(0, &m->head,
						offsetof(struct sev_wire_head, head_crc));
		if (pass(m, sizeof(m->head) + 64, to) != -EPROTO)
			return false;
	}
	return true;
}

static const struct kind {
	uint32_t kind;
	uint32_t len;
	uint32_t step;
} kinds[] = {
	{ SEV_WIRE_HELLO, sizeof(struct sev_wire_hello), 1 },
	{ SEV_WIRE_CONFIG, sizeof(struct sev_wire_config), 13 },
	{ SEV_WIRE_START, sizeof(struct sev_session), 1 },
	{ SEV_WIRE_PAGES, offsetof(struct sev_wire_pages, page[1]), 3 },
	{ SEV_WIRE_VCPU, sizeof(struct sev_wire_vcpu), 3 },
	{ SEV_WIRE_FINISH, sizeof(struct sev_wire_finish), 1 },
	{ SEV_WIRE_BYE, 0, 1 },
	{ SEV_WIRE_CERTS, sizeof(struct sev_certs), 13 },
	{ SEV_WIRE_REPLY, sizeof(struct sev_wire_reply), 1 },
};

kvm_static_assert(ARRAY_SIZE(kinds) == SEV_WIRE_NR_KINDS - 1);

static void test_kind(const struct kind *k, bool all)
{
	struct sev_wire_message *m = new_message(), *to = new_message();

	make(m, k->kind, k->len);
	ksft_test_result(!pass(m, sizeof(m->head) + k->len, to) && same(m, to) &&
			 flip_bits(m, to, all ? 1 : k->step) && cut(m, to) &&
			 !pass(m, sizeof(m->head) + k->len, to) && same(m, to),
			 "%s: %u of %u bits\n", sev_wire_name(k->kind), nr_flips,
			 (uint32_t)(8 * (sizeof(m->head) + k->len)));
	free(m);
	free(to);
}

static void test_heads(void)
{
	struct sev_wire_message *m = new_message(), *to = new_message();

	ksft_test_result(strange_heads(m, to), "strange heads\n");
	free(m);
	free(to);
}

int main(int argc, char *argv[])
{
	bool all = argc > 1 && !strcmp(argv[1], "long");
	int i;

	ksft_print_header();
	ksft_set_plan(ARRAY_SIZE(kinds) + 1);
	srandom(1);
	/* The check value of CRC-32C */
	TEST_ASSERT(sev_wire_crc(0, "123456789", 9) == 0xe3069283, "CRC-32C is wrong");
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		test_kind(&kinds[i], all);
	test_heads();
	ksft_finished();
}
