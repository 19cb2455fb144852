/*
 * What all nodes say (NodeReports), and the gate's own judgement, folded into the conditions of one
 * document: Accepted, and InForce with "n of m nodes". Pure.
 */
#ifndef AUTHN_STATUS_FOLD_H
#define AUTHN_STATUS_FOLD_H

#include <jansson.h>

#include "common/arena.h"
#include "common/clock.h"
#include "common/map.h"
#include "common/str.h"

#define STATUS_RESOURCES_MAX 16

struct status_nodes; /* reports, by the nodes' names */

MUST_CHECK struct status_nodes *status_nodes_new(void);
void status_nodes_free(struct status_nodes *nodes);
/* A NodeReport as it is, heard at `now`; false: it cannot be read (it counts as a node that has nothing in
 * force). One that says what it said before renews nothing. */
bool status_nodes_put(struct status_nodes *nodes, const json_t *report, monotime_t now);
void status_nodes_remove(struct status_nodes *nodes, struct str name);
MUST_CHECK size_t status_nodes_count(const struct status_nodes *nodes);
/* Between these two all are put; then those that were not are gone. */
void status_nodes_list_begin(struct status_nodes *nodes);
void status_nodes_list_end(struct status_nodes *nodes);

/* All reports that are valid at a time, in an order that answers quickly. */
struct status_view {
	size_t nodes;
	struct {
		struct str resource; /* "policies.ringfence.dev" */
		uint64_t *versions;  /* of each node that has said one, ascending */
		size_t count;
	} resources[STATUS_RESOURCES_MAX];
	size_t resource_count;
	struct map refused; /* "RESOURCE NAMESPACE/NAME" -> struct status_refusal */
};

struct status_refusal {
	const uint64_t *versions; /* of the nodes that refuse it, of its resource */
	size_t count, cap;
	struct str node, message; /* of the first, by name */
};

/* In the arena, and borrowing from the nodes; the map is to be ended with status_view_fini. */
void status_view_make(struct status_view *view, const struct status_nodes *nodes,
    monotime_t now, struct arena *arena);
void status_view_fini(struct status_view *view);

struct status_document {
	struct str resource, namespace, name;
	bool on_nodes;       /* nodes hold it in force */
	int64_t generation;  /* of metadata */
	uint64_t since;      /* the version that brought this generation */
	struct str code;     /* of what `check` has against it; "": nothing */
	struct str problem;  /* in words */
	const json_t *known; /* conditions as they are; NULL: none */
};

/* The conditions as they should be, a new array; NULL if these are what is known. */
MUST_CHECK json_t *status_fold(const struct status_view *view,
    const struct status_document *document, walltime_t now);

#endif
