/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The source's end of the line: messages go out one by one, and the answer to
 * each is waited for before the next but one is made.
 */
#ifndef SELFTEST_KVM_SEV_MIGRATE_LINE_H
#define SELFTEST_KVM_SEV_MIGRATE_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "migrate.h"
#include "sev_wire.h"

struct line {
	const struct sev_migrate_options *o;
	int fd;
	uint32_t number;			/* of the last message that was taken */
	uint32_t digest;			/* of all of them */
	bool damaged[SEV_WIRE_NR_KINDS];	/* these have been tried */
	struct sev_wire_message *next;		/* to be filled */
	struct sev_wire_message *in_flight;	/* has no answer yet */
	struct sev_wire_message *spare;
	struct sev_wire_message *answer;
};

void line_init(struct line *l, const struct sev_migrate_options *o);
int line_connect(struct line *l);
const struct sev_wire_reply *line_reply(const struct line *l);

/*
 * Send what is in @l->next.  These return 0, why the destination refuses a
 * message, which may be the one before, or why there is no line any more.
 */
int line_post(struct line *l, uint32_t kind, uint32_t len);
int line_settle(struct line *l);
int line_call(struct line *l, uint32_t kind, uint32_t len);

/* What is the last to be said, to whoever still listens */
void line_bye(struct line *l);

/* All kinds of messages that were to be damaged have been. */
void line_require_damage(const struct line *l);

#endif /* SELFTEST_KVM_SEV_MIGRATE_LINE_H */
