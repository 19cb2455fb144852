/*
 * What the kernel does with a packet that belongs to no connection yet, without a kernel:
 * it goes through the constant chains, statement by statement, over the elements of a
 * program. What a table would say of a connection that exists already is asked here.
 */
#ifndef POLICY_LANG_TABLE_WALK_H
#define POLICY_LANG_TABLE_WALK_H

#include "policy-lang/table/table.h"

struct table_packet {
	struct ip_addr saddr, daddr;
	uint8_t proto;
	uint16_t dport; /* what stands there in the transport header, port or not */
	enum table_hook hook;
	const char *iif, *oif; /* NULL: not known */
	bool midstream;        /* TCP that opens no connection */
	bool translated;       /* its destination was another before */
	bool at_destination;   /* what governs its source has let it pass */
	bool from_elsewhere;   /* it came by an interface that does not lead back */
	const char *iif_kind;  /* of that; NULL: of none that has a name */
};

#define TABLE_VERDICT_NUMBERS 4

struct table_verdict {
	bool accept;
	/* Of the rule chains that were gone to, in order; when it is not accepted, the
	 * last is the one that denies. */
	uint32_t numbers[TABLE_VERDICT_NUMBERS];
	size_t number_count;
	uint32_t priority; /* when the packet left */
};

/* The element whose key this is, or that it is in: in an interval set of one field the
 * address ranges, in a concatenated one the port. NULL if there is none. */
MUST_CHECK const struct table_element *table_find(const struct table_content *content,
    enum table_set_id id, const struct table_element *key);

/* A table that need not lie in memory as one. */
struct table_view {
	/* As table_find; false if there is none. */
	bool (*find)(const void *arg, enum table_set_id id,
	    const struct table_element *key, struct table_element *out);
	const void *arg;
	const struct table_rule_chain *rule_chains; /* sorted by number */
	size_t rule_chain_count;
	/* Of whose rules those are there; NULL: all are. */
	const struct table_settings *settings;
};

MUST_CHECK struct table_verdict table_walk_view(
    const struct table_view *view, const struct table_packet *packet);

/* The content must be one that a kernel would take: sorted, every verdict with its chain. */
MUST_CHECK struct table_verdict table_walk(
    const struct table_content *content, const struct table_packet *packet);

#endif
