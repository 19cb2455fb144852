/*
 * Private to the loader: what the three dialects of cluster-wide policy differ in.
 */
#ifndef POLICY_LANG_LOAD_ADMIN_H
#define POLICY_LANG_LOAD_ADMIN_H

#include "policy-lang/load/load_internal.h"

/* Limits of the CRDs. */
#define ADMIN_NETWORKS_MAX    25
#define ADMIN_DOMAINS_MAX     25
#define ADMIN_NAME_CHARACTERS 100
#define ADMIN_CIDR_BYTES      43
#define ADMIN_PRIORITY_MAX    1000

/* The fields of a spec, where a dialect has them. */
enum {
	ADMIN_SUBJECT,
	ADMIN_INGRESS,
	ADMIN_EGRESS,
	ADMIN_PRIORITY,
	ADMIN_TIER,
	ADMIN_SPEC_FIELDS,
};

struct admin_dialect {
	enum policy_kind kind;
	struct schema spec;
	struct schema rules[DIRECTION_COUNT];
	const char *const *actions; /* as enum action orders them */
	size_t action_count;
	size_t items_max;       /* rules of a direction, peers, ports */
	size_t egress_peers;    /* how many kinds of peers an egress rule has */
	bool old_pods;          /* v1alpha1: "pods" must have a namespaceSelector */
	const char *ports_name; /* "ports", "protocols" */
	/* A range that is empty comes back with lo > hi. */
	bool (*read_port)(
	    struct loader *l, const struct doc_node *node, struct port_match *out);
};

struct admin_context {
	struct rule_context rule;
	const struct admin_dialect *dialect;
	bool unnamed_peer; /* the rule has a peer without named ports */
};

/* Reads an object of which exactly one field must be set; *out_which is that field. */
MUST_CHECK bool admin_read_one(struct loader *l, const struct schema *schema,
    const struct doc_node *node, const struct doc_node **v, size_t *out_which);

extern const struct admin_dialect admin_dialect_anp;
extern const struct admin_dialect admin_dialect_banp;
extern const struct admin_dialect admin_dialect_cnp;

#endif
