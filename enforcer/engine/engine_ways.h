/*
 * Ways that packets leave by, and addresses that routes need: what the kernel role is told,
 * and what has become of them.
 */
#ifndef ENFORCER_ENGINE_WAYS_H
#define ENFORCER_ENGINE_WAYS_H

#include "enforcer/engine/program.h"
#include "enforcer/steer/steer.h"
#include "enforcer/wire/ops.h"

struct engine;

struct way_outcome {
	enum steer_state state;
	uint8_t hop;
};

struct gateway_state {
	struct ip_addr addr;
	bool up;
};

struct engine_ways {
	bool told;                                        /* some ways, at some time */
	struct way_outcome now[TABLE_WAYS_MAX][2];        /* by number, and family */
	struct gateway_state gateways[PROBE_TARGETS_MAX]; /* that are asked */
	size_t gateway_count;
	uint64_t changes; /* of what they are */
};

/* ---- engine_ways.c ---- */

/* Tells the kernel role by what ways the next program's packets leave; to be called before
 * that is sent. */
void engine_ways_prepare(struct engine *e, const struct program *next);
/* The same of the program in force: others may go. */
void engine_ways_settle(struct engine *e);
/* What has become of them; false: malformed. */
MUST_CHECK bool engine_ways_heard(struct engine *e, struct proc_reader *r);
/* The node that has a gateway's address; "". */
MUST_CHECK struct str engine_ways_node(
    const struct engine *e, const struct ip_addr *addr);
/* Whether the node is to have a source address now: not while a gateway that comes before
 * it is up. *out_shared becomes true if others may have it at other times. */
MUST_CHECK bool engine_ways_have(const struct engine *e,
    const struct table_content *content, const struct ip_addr *source,
    bool *out_shared);

/* ---- engine_routes.c ---- */

/* Tells the kernel role which addresses routes in force need, if there is a program. */
void engine_routes_tell(struct engine *e);
/* True if an operation changes which they are. */
MUST_CHECK bool engine_routes_move(const struct op *op);

#endif
