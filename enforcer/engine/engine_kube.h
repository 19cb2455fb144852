/*
 * Clusters that are sources: each is read by a role of its own.
 */
#ifndef ENFORCER_ENGINE_KUBE_H
#define ENFORCER_ENGINE_KUBE_H

#include "common/clock.h"
#include "enforcer/kube/kube_report.h"
#include "enforcer/wire/link.h"
#include "enforcer/wire/messages.h"

struct engine;

/* The role that is a source. */
struct engine_kube {
	struct engine *engine;
	size_t index;
	struct proc_channel channel; /* fd -1: none */
	struct link *link;
	bool unread;         /* the last edit that it sent waits in the queue */
	uint64_t bundles;    /* that came; */
	uint64_t in_force;   /* of these, when all was so last */
	uint64_t told_hash;  /* of what it was told of that */
	struct arena *arena; /* of state; NULL: it has told nothing yet */
	struct kube_state state;
	monotime_t told;
};

void engine_kube_init(struct engine *e);
void engine_kube_fini(struct engine *e);
/* Which source is which may be another by now: the parent sends the links anew. */
void engine_kube_forget(struct engine *e);
/* Takes the socket to a new role. */
void engine_kube_connect(struct engine *e, size_t index, int fd);
/* Asks for all of a source. False: there is nobody who could be asked; who comes sends it. */
MUST_CHECK bool engine_kube_want(struct engine *e, size_t index);
/* What it told last. False: nothing yet, or it is no cluster. */
MUST_CHECK bool engine_kube_report(
    const struct engine *e, size_t index, struct kube_report *out);
/* Tells those of whom nothing waits in the queue any more. */
void engine_kube_taken(struct engine *e);
/* A few times a second: tells them what is in force of what they sent. */
void engine_kube_tick(struct engine *e);

#endif
