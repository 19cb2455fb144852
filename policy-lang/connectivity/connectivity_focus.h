/*
 * Part of a relation: the lines that somebody is interested in, cut to that.
 */
#ifndef POLICY_LANG_CONNECTIVITY_FOCUS_H
#define POLICY_LANG_CONNECTIVITY_FOCUS_H

#include "policy-lang/connectivity/connectivity_relation.h"

/* {0} and conn_focus_init: everything is of interest. */
struct conn_focus {
	struct conn_world *world;
	struct resolver *resolver;
	uint8_t *marks; /* by party */
	bool some, some_peer;
	/* External addresses among the peers. */
	struct ip_addr *outside;
	size_t outside_count;
	bool not [DIRECTION_COUNT];   /* directions of those in focus to leave out */
	const struct conn_set *ports; /* NULL: all */
};

/* Before conn_relation_new: it makes the world tell apart what the focus does. Borrows the
 * world, lives in its arena. */
void conn_focus_init(struct conn_focus *focus, struct conn_world *world);
void conn_focus_fini(struct conn_focus *focus);

/* Adds an end: a name as `can` takes it. An address that is nobody's is a peer only.
 * False: why is appended. */
MUST_CHECK bool conn_focus_add(
    struct conn_focus *focus, struct str name, bool peer, struct buf *why);
/* Adds everything at or below a path, or in a Kubernetes namespace. */
MUST_CHECK bool conn_focus_add_namespace(
    struct conn_focus *focus, struct str name, struct buf *why);
/* Keeps connections with that "443/tcp" only, cut to it. */
MUST_CHECK bool conn_focus_port(
    struct conn_focus *focus, struct str service, struct buf *why);

/* True if a party was added, and not as a peer. */
MUST_CHECK bool conn_focus_has(const struct conn_focus *focus, uint32_t party);
/* Cuts the relation's lines. */
void conn_focus_apply(const struct conn_focus *focus, struct conn_relation *relation);

#endif
