/*
 * Between explain*.c, and those that say in other reports who decided: the words and the
 * JSON that all of them share.
 */
#ifndef POLICY_LANG_EXPLAIN_INTERNAL_H
#define POLICY_LANG_EXPLAIN_INTERNAL_H

#include "policy-lang/explain/explain.h"

/* The source's egress comes first, as a connection does. */
extern const enum direction explain_order[DIRECTION_COUNT];

/* The end that a direction judges. */
MUST_CHECK const struct endpoint *explain_self(
    const struct flow *flow, enum direction dir);
/* Where the rule, or what isolates, is written; nowhere if nothing of policy decided. */
MUST_CHECK struct loc explain_verdict_loc(
    const struct verdict *verdict, enum direction dir);
MUST_CHECK bool explain_same_verdict(const struct verdict *a, const struct verdict *b);
MUST_CHECK bool explain_same_decision(
    const struct explain_decision *a, const struct explain_decision *b);

/* ---- policies that are only watched (explain_watched.c) ---- */

/* What they would have of a port, one family of it; nothing where nobody asked. */
void explain_watched_text(struct arena *a, struct buf *out,
    const struct explanations *all, const struct explanation *one);
/* "watched": {"verdict", "egress", "ingress"}, after a comma. */
void explain_watched_json(struct arena *a, struct buf *out,
    const struct explanations *all, const struct explanation *one);

/* ---- words (explain_words.c) ---- */

/* "denied by the mandatory rule "no-metadata" of Policy /guard (world.yaml:39:9)"; `self`
 * is the end that is judged. */
void explain_say_verdict(struct arena *a, struct buf *out,
    const struct verdict *verdict, enum direction dir, const struct endpoint *self);
/* "tcp 80-90", "icmp", "other protocols". */
void explain_say_ports(struct buf *out, uint8_t proto, uint16_t lo, uint16_t hi);
/* "app=web, tier in (a, b), !x"; "" if everything matches. */
void explain_say_selector(struct buf *out, const struct selector *selector);
/* Which workloads a policy is about: "workloads app=web in /acme and below". */
void explain_say_match(struct buf *out, const struct workload_match *match);
/* One peer: workloads, prefixes, nodes or names. */
void explain_say_peer(struct buf *out, const struct peer *peer);
/* "443/tcp, port metrics". */
void explain_say_port_list(
    struct buf *out, const struct port_match *ports, size_t count);
/* Whom a rule takes in and at which ports: "from app=web in /acme, at 443/tcp". */
void explain_say_reach(struct buf *out, const struct rule *rule);

/* ---- JSON (explain_json.c) ---- */

/* "key": "value" */
void explain_json_member(struct buf *out, const char *key, struct str value);
void explain_json_end(struct buf *out, const char *key, const struct endpoint *end);
/* {"title", "kind", "namespace", "policy", "index", "name", "file", "line", "column"} of
 * a rule, or (NULL) of a policy that isolates in a direction; null for neither. */
void explain_json_source(struct arena *a, struct buf *out, const struct policy *policy,
    const struct rule *rule, enum direction dir);
/* "rule", "isolation", "cluster-default", ... */
MUST_CHECK const char *explain_reason_name(enum verdict_reason reason);
/* {"direction", "verdict", "reason", "phase", "level", "rule"} */
void explain_json_verdict(struct arena *a, struct buf *out,
    const struct verdict *verdict, enum direction dir);

#endif
