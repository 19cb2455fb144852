/*
 * What `explain` found out about two ends, and its two forms.
 */
#ifndef POLICY_LANG_EXPLAIN_H
#define POLICY_LANG_EXPLAIN_H

#include "policy-lang/evaluate/query.h"
#include "policy-lang/evaluate/route.h"

/* Who decided in one direction, and who would have if that one rule (or, for isolation,
 * that one allow block) were not written. */
struct explain_decision {
	struct verdict verdict;
	bool has_otherwise; /* a rule or isolation decided */
	struct verdict otherwise;
};

/* Ports that the same rules decide, in both directions. */
struct explain_interval {
	uint8_t proto;   /* PROTO_ANY: whatever has no name of its own */
	uint16_t lo, hi; /* 1..65535; both 0 for protocols without ports */
	bool allow;
	/* Of a published port: at the workload that it leads to. */
	struct explain_decision decisions[DIRECTION_COUNT];
	const struct route_story *story; /* what Routes do with its first port */
};

/* One family's answer. */
struct explanation {
	unsigned family; /* 4 or 6; 0: no end has an address */
	bool allow;      /* QUERY_SERVICE; else: some interval is */
	/* The pair of addresses that is allowed, or the first. QUERY_SERVICE: with the real
	 * destination of a published address. */
	struct flow flow;
	struct walk walks[DIRECTION_COUNT]; /* QUERY_SERVICE */
	const struct route_story *story;    /* the same */
	/* By protocol, then port, without gaps. QUERY_SERVICE: the one that the port is in. */
	struct explain_interval *intervals;
	size_t interval_count;
	/* NULL; the end, of `flow`, that the node lets nothing from or to: explain_close. */
	const struct endpoint *closed;
	/* From who knows the program of a node: explain_refuse. */
	const char *refused_by; /* NULL */
	uint32_t refused_number;
	const char *note; /* NULL; what else holds on that node */
};

struct explanations {
	struct query query;
	const struct model *model;
	bool allow; /* some family is */
	struct explanation items[2];
	size_t count;
	/* NULL; the same question to the model in which policies that are only watched are
	 * enforced (model_options.audit_enforced). */
	const struct explanations *watched;
	bool
	    pending; /* false; true by who knows that not all of model is enforced yet */
};

/* Explains a question in one family, or (0) in each in which its ends have addresses.
 * False: no pair of addresses can be asked about. */
MUST_CHECK bool explain_query(struct arena *a, const struct model *m,
    const struct query *query, unsigned family, struct explanations *out_all);
/* For the node of that name, which knows the networks whose addresses are workloads': nothing but what
 * it sends itself passes from or to one there that belongs to no workload and no node of the
 * model. */
struct explain_gate {
	struct str node;
	const struct ip_prefix *networks;
	size_t network_count;
};
void explain_close(struct explanations *all, const struct explain_gate *gate);
/* The node denies it, by the rule of that number and comment, although policy and Routes as
 * they are written do not. Borrows `by`. */
void explain_refuse(
    struct explanations *all, struct explanation *one, uint32_t number, const char *by);
/* Who decides a flow in one direction, and who would otherwise. */
void explain_decide(const struct model *m, const struct flow *flow, enum direction dir,
    struct explain_decision *out_decision);

void explain_print_text(
    struct arena *a, struct buf *out, const struct explanations *all);
void explain_print_json(
    struct arena *a, struct buf *out, const struct explanations *all);

/*
 * One workload: every policy whose subject it is, in the order of its walk, and where it
 * is isolated. `end` may be a node or an address, too: these have no policy of their own.
 */
void explain_workload_text(struct arena *a, struct buf *out, const struct model *m,
    const struct endpoint *end);
void explain_workload_json(struct arena *a, struct buf *out, const struct model *m,
    const struct endpoint *end);

#endif
