/* SPDX-License-Identifier: GPL-2.0 */
/* Events, and what becomes of the vCPU that they are about. */
#ifndef SNP_AP_MODEL_H
#define SNP_AP_MODEL_H

#include "vm.h"

enum event { CREATE, CREATE_ON_INIT, DESTROY, INIT, UPDATE, GONE, PRE_RUN, NR_EVENTS };
extern const char *const event_names[];

/* The others are KVM's, or userspace's. */
static inline bool is_request(enum event event)
{
	return event <= DESTROY;
}

struct model {
	int state, change;
	int page, next;
};

/* A vCPU that has found its INIT allowed, but has not reset itself yet. */
extern int taking_init;

/* Each state a vCPU can be in, made out of nothing. */
void set_state(int i, const struct model *m);

/* Do it, and look at everything. */
void step(int from, int target, enum event event, int page);

#endif
