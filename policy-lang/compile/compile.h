/*
 * The compiler: model -> the table of one node. Selectors are evaluated once over an
 * index of labels (roaring bitmaps); workloads with equal rule lists share a profile;
 * peers that no local rule tells apart share a class; for each profile and class the walk
 * over port space gives cells. Shares nothing with the evaluator but the model.
 */
#ifndef POLICY_LANG_COMPILE_H
#define POLICY_LANG_COMPILE_H

#include "policy-lang/model/interface.h"
#include "policy-lang/table/table.h"

/* Addresses that Routes may publish, or put on as sources. Of several networks that have an
 * address the longest prefixes say whose it is. */
struct route_network {
	struct ip_prefix network;
	struct str subtree; /* "/acme": for Routes at it or below; "/": for all */
	/* The node has its addresses for Routes alone; of several that have one the first
	 * says. */
	bool taken;
};

/* In the arena. */
MUST_CHECK struct route_network *route_networks_copy(
    struct arena *arena, const struct route_network *networks, size_t count);

/* Tables of routes that Routes may name. */
struct route_tables {
	uint32_t first, last;
	struct str subtree; /* for Routes at it or below; "/": for all */
};

/* In the arena. */
MUST_CHECK struct route_tables *route_tables_copy(
    struct arena *arena, const struct route_tables *tables, size_t count);

struct compile_options {
	/* The node whose workloads are local: "name", or "cluster/name" where several
	 * clusters have one of that name. */
	struct str node;
	struct table_settings settings;
	/* Addresses that are workloads', for the gate: traffic from or to one of them
	 * that is not programmed is dropped. None: no gate. */
	const struct ip_prefix *workload_networks;
	size_t workload_network_count;
	/* Addresses of Routes that this node translates, published ones and sources. */
	bool has_route_networks; /* else all of them, for everybody */
	const struct route_network *route_networks;
	size_t route_network_count;
	/* How many ways out can be told apart, at most table_way_room of the settings'
	 * mask; 0: what would have to go another way is denied. */
	uint32_t way_count;
	const struct route_tables *route_tables;
	size_t route_table_count;
	/* Interfaces behind which there are workloads of this node and nothing else: what
	 * comes from there, or goes there, with another address is dropped as well.
	 * Normalised. */
	const struct interface_pattern *workload_interfaces;
	size_t workload_interface_count;
	/* Interfaces by which others than workloads of this node come: if sources are
	 * validated, whoever is not one of those may come by them. Normalised. */
	const struct interface_pattern *uplinks;
	size_t uplink_count;
};

/* Whether a workload is of the node: its name, or "cluster/name". */
MUST_CHECK bool compile_is_of_node(const struct workload *w, struct str node);
/*
 * Compiles into the arena; borrows names and texts from the model. Deterministic: equal
 * inputs give equal bytes. Limits that a node's program exceeds are errors in `diags`
 * (then false is returned and *out_content is not to be used).
 */
MUST_CHECK bool compile_node(struct arena *arena, const struct model *model,
    const struct compile_options *options, struct diag_list *diags,
    struct table_content *out_content);

#endif
