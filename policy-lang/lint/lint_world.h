/*
 * Between lint*.c only: the workloads, nodes and addresses that the model knows, so that
 * what a selector or a network takes in is a bitmap. A slot is a workload that is not on
 * its host's network; slots are numbered so that a subtree, and a Kubernetes namespace, is
 * a range.
 */
#ifndef POLICY_LANG_LINT_WORLD_H
#define POLICY_LANG_LINT_WORLD_H

#include "policy-lang/lint/lint_space.h"
#include "policy-lang/model/label_index.h"

/* The native workloads of a tree node, or those of a Kubernetes namespace. */
struct lint_scope {
	const struct ns *ns;
	const struct kube_ns *kube; /* NULL: native */
	uint32_t first, end;        /* slots */
};

/* An address, as space_address numbers it. */
struct lint_point {
	addr_num addr;
	uint32_t slot;                  /* LINT_NONE: not a workload's */
	const struct workload *on_host; /* on its node's network */
	const struct node *node;
};

#define LINT_NONE UINT32_MAX

struct lint_world {
	const struct model *model;
	struct arena *arena;
	uint32_t *ns_rank, *ns_rank_end; /* see struct space */
	struct lint_scope *scopes;
	uint32_t scope_count;
	uint32_t *native_scope, *kube_scope; /* by index in the model */
	uint32_t *ns_first, *ns_end; /* slots of a subtree, by namespace index */
	const struct workload **slots;
	uint32_t slot_count;
	uint32_t *slot_of; /* by workload index; LINT_NONE: on its host's network */
	const struct workload **on_hosts; /* those, in the model's order */
	uint32_t on_host_count;
	struct lint_point *points; /* by address */
	size_t point_count;
	struct label_index *labels, *scope_labels, *node_labels;
	struct map memos; /* private: bitmaps by what they are of */
	bool dual_stack;  /* some workload or node has addresses of both families */
};

/* In the arena, which is borrowed like the model. With `only` (or NULL) nobody will ask about
 * policies of other sources, unless there are workloads. */
void world_init(struct lint_world *w, struct arena *arena, const struct model *m,
    const struct source *only);
void world_fini(struct lint_world *w);
/* Announces the selectors of Routes, while labels are indexed (lint_routes.c). */
void world_want_routes(struct lint_world *w);

/* The slots that a match takes in; owned by the world. */
MUST_CHECK const struct roaring_bitmap_s *world_match(
    struct lint_world *w, const struct workload_match *match);
/* The same for one peer (nodes: none), and for all peers of a rule. */
MUST_CHECK const struct roaring_bitmap_s *world_peer(
    struct lint_world *w, const struct peer *peer);
MUST_CHECK const struct roaring_bitmap_s *world_rule_peers(
    struct lint_world *w, const struct rule *rule);
/* Every slot. */
MUST_CHECK const struct roaring_bitmap_s *world_all(struct lint_world *w);
/* The slots with a port of this name, in a protocol or (PROTO_ANY) in any. */
MUST_CHECK const struct roaring_bitmap_s *world_port_name(
    struct lint_world *w, struct str name, uint8_t proto);

/* The place of a Kubernetes namespace in the model's list. */
MUST_CHECK size_t world_kube_index(const struct model *m, const struct kube_ns *kube);
/* The first point at or after an address. */
MUST_CHECK size_t world_find(const struct lint_world *w, addr_num addr);

#endif
