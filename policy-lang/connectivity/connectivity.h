/*
 * Connectivity: every allowed connection of a model, as exact sets. Ports are cut at
 * the bounds that rules name, the outside at the bounds of the networks that they name.
 */
#ifndef POLICY_LANG_CONNECTIVITY_H
#define POLICY_LANG_CONNECTIVITY_H

#include "policy-lang/connectivity/connectivity_set.h"
#include "policy-lang/evaluate/evaluate.h"

enum conn_end_kind {
	CONN_END_EXTERNAL,
	CONN_END_WORKLOAD,
	CONN_END_NODE
};

/*
 * One end. Pods of one owner are one end: the first of them by name stands for it.
 * hostNetwork pods are ends under their own names, judged as the node that they are.
 * An external range takes in whatever has no name here; addresses of known workloads and
 * nodes in it are judged as these, not as the range.
 */
struct conn_end {
	enum conn_end_kind kind;
	const struct workload *workload;
	const struct node *node;
	struct ip_addr first, last; /* CONN_END_EXTERNAL */
	struct str display; /* "ns/name[Kind]", "a-b[External]", "node/NAME[Node]" */
};

struct connection {
	const struct conn_end *src, *dst;
	const struct conn_set *set; /* never empty */
};

/* Sorted by source, then destination: external ranges in numeric order first. */
struct connectivity {
	struct connection *items;
	size_t count;
};

struct connectivity_options {
	unsigned family; /* 4 or 6; 0: both. The outside of IPv6 counts among both only
			    if a policy names an IPv6 network or a workload has
			    an IPv6 address. */
	bool nodes;      /* nodes as ends, too */
	bool outside6;   /* the outside of IPv6 counts, whatever the model says of it */
};

/* Finds all connections of the model; the result lives in the arena. No connection of an
 * end to itself, of a node to a node, or of the outside to itself. */
void connectivity_find(struct arena *arena, const struct model *m,
    const struct connectivity_options *options, struct connectivity *out);

enum connectivity_format {
	CONNECTIVITY_TXT,
	CONNECTIVITY_JSON,
	CONNECTIVITY_CSV,
	CONNECTIVITY_MD,
	CONNECTIVITY_DOT,
};

/* The same line by line: the head, every line (`first`: nothing goes between), the tail. */
void connectivity_print_head(struct buf *out, enum connectivity_format format);
void connectivity_print_line(struct buf *out, enum connectivity_format format,
    bool first, struct str src, struct str dst, const struct conn_set *set);
void connectivity_print_tail(struct buf *out, enum connectivity_format format);
void connectivity_print(struct buf *out, const struct connectivity *connectivity,
    enum connectivity_format format);

#endif
