/*
 * Rules, peers, ports and verdicts in words, for people who have not learnt the language.
 */
#include "policy-lang/explain/explain_internal.h"

/* Of long lists, so many are told; how many more there are is said. */
#define LISTED_MAX 8

static void
say_more(struct buf *out, size_t count)
{
	if (count > LISTED_MAX)
		buf_printf(out, " and %zu more", count - LISTED_MAX);
}

static size_t
listed(size_t count)
{
	return count < LISTED_MAX ? count : LISTED_MAX;
}

/* ---- selectors ---- */

static void
say_values(struct buf *out, const struct requirement *req)
{
	buf_add_char(out, '(');
	for (size_t i = 0; i < listed(req->value_count); i++)
		buf_printf(out, "%s%.*s", i > 0 ? ", " : "", STR_ARG(req->values[i]));
	say_more(out, req->value_count);
	buf_add_char(out, ')');
}

static void
say_requirement(struct buf *out, const struct requirement *req)
{
	switch (req->op) {
	case REQ_IN:
		buf_add_str(out, req->key);
		if (req->value_count == 1) {
			buf_printf(out, "=%.*s", STR_ARG(req->values[0]));
			return;
		}
		buf_add_cstr(out, " in ");
		say_values(out, req);
		return;
	case REQ_NOT_IN:
		buf_printf(out, "%.*s not in ", STR_ARG(req->key));
		say_values(out, req);
		return;
	case REQ_EXISTS:
		buf_add_str(out, req->key);
		return;
	case REQ_NOT_EXISTS:
		buf_printf(out, "!%.*s", STR_ARG(req->key));
		return;
	}
}

void
explain_say_selector(struct buf *out, const struct selector *selector)
{
	for (size_t i = 0; selector != NULL && i < listed(selector->count); i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		say_requirement(out, &selector->reqs[i]);
	}
	if (selector != NULL)
		say_more(out, selector->count);
}

static bool
selects_some(const struct selector *selector)
{
	return selector != NULL && selector->count > 0;
}

static void
say_nodes(struct buf *out, const struct peer *nodes)
{
	if (nodes->node_name.ptr != NULL) {
		buf_printf(out, "node %.*s", STR_ARG(nodes->node_name));
		return;
	}
	buf_add_cstr(
	    out, selects_some(nodes->node_selector) ? "nodes labelled " : "every node");
	explain_say_selector(out, nodes->node_selector);
}

void
explain_say_match(struct buf *out, const struct workload_match *match)
{
	if (match->nodes != NULL) {
		say_nodes(out, match->nodes);
		return;
	}
	buf_add_cstr(out,
	    selects_some(match->selector) ? "workloads labelled " : "every workload");
	explain_say_selector(out, match->selector);
	if (match->service_account.ptr != NULL)
		buf_printf(
		    out, " with service account %.*s", STR_ARG(match->service_account));
	if (match->kube != NULL)
		buf_printf(out, " in namespace %.*s", STR_ARG(match->kube->name));
	else if (match->subtree != NULL && match->subtree->depth > 0)
		buf_printf(out, " in %.*s and below", STR_ARG(match->subtree->path));
	if (selects_some(match->ns_selector)) {
		buf_add_cstr(out, " in namespaces labelled ");
		explain_say_selector(out, match->ns_selector);
	}
}

/* ---- peers and ports ---- */

static void
say_prefixes(struct buf *out, const struct ip_prefix *prefixes, size_t count)
{
	char text[IP_TEXT_BYTES];

	for (size_t i = 0; i < listed(count); i++)
		buf_printf(out, "%s%s", i > 0 ? ", " : "",
		    ip_prefix_format(&prefixes[i], text));
	say_more(out, count);
}

static void
say_names(struct buf *out, const struct str *names, size_t count)
{
	for (size_t i = 0; i < listed(count); i++)
		buf_printf(out, "%s%.*s", i > 0 ? ", " : "", STR_ARG(names[i]));
	say_more(out, count);
}

void
explain_say_peer(struct buf *out, const struct peer *peer)
{
	switch (peer->kind) {
	case PEER_WORKLOADS:
		explain_say_match(out, &peer->workloads);
		return;
	case PEER_NETWORK:
		say_prefixes(out, peer->prefixes, peer->prefix_count);
		if (peer->except_count > 0) {
			buf_add_cstr(out, " except ");
			say_prefixes(out, peer->excepts, peer->except_count);
		}
		return;
	case PEER_NODES:
		say_nodes(out, peer);
		return;
	case PEER_FQDN:
		say_names(out, peer->fqdns, peer->fqdn_count);
		return;
	}
}

static void
say_peers(struct buf *out, const struct rule *rule)
{
	buf_add_cstr(out, rule->dir == DIR_INGRESS ? "from " : "to ");
	if (rule->any_peer)
		buf_add_cstr(out, "anyone");
	else if (rule->peer_count == 0)
		buf_add_cstr(out, "nobody");
	for (size_t i = 0; !rule->any_peer && i < listed(rule->peer_count); i++) {
		buf_add_cstr(out, i > 0 ? "; or " : "");
		explain_say_peer(out, &rule->peers[i]);
	}
	if (!rule->any_peer)
		say_more(out, rule->peer_count);
}

static void
say_port_match(struct buf *out, const struct port_match *match)
{
	char proto[8];

	if (match->kind == PORT_NAMED) {
		buf_printf(out, "port %.*s", STR_ARG(match->name));
		if (match->proto != PROTO_ANY)
			buf_printf(out, "/%s", proto_name(match->proto, proto));
		return;
	}
	if (match->lo <= 1 && match->hi == UINT16_MAX)
		buf_add_cstr(out, proto_name(match->proto, proto));
	else if (match->lo == match->hi)
		buf_printf(
		    out, "%u/%s", (unsigned)match->lo, proto_name(match->proto, proto));
	else
		buf_printf(out, "%u-%u/%s", (unsigned)match->lo, (unsigned)match->hi,
		    proto_name(match->proto, proto));
}

void
explain_say_port_list(struct buf *out, const struct port_match *ports, size_t count)
{
	if (count == 0)
		buf_add_cstr(out, "no port");
	for (size_t i = 0; i < listed(count); i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		say_port_match(out, &ports[i]);
	}
	say_more(out, count);
}

void
explain_say_reach(struct buf *out, const struct rule *rule)
{
	say_peers(out, rule);
	if (rule->any_port)
		return;
	buf_add_cstr(out, ", at ");
	explain_say_port_list(out, rule->ports, rule->port_count);
}

void
explain_say_ports(struct buf *out, uint8_t proto, uint16_t lo, uint16_t hi)
{
	char text[8];

	if (proto == PROTO_ANY) {
		buf_add_cstr(out, "other protocols");
		return;
	}
	if (hi == 0 || (lo == 1 && hi == UINT16_MAX))
		buf_add_cstr(out, proto_name(proto, text));
	else if (lo == hi)
		buf_printf(out, "%u/%s", (unsigned)lo, proto_name(proto, text));
	else
		buf_printf(out, "%u-%u/%s", (unsigned)lo, (unsigned)hi,
		    proto_name(proto, text));
}

/* ---- verdicts ---- */

/* "the mandatory rule "no-metadata" of Policy /guard". */
static void
explain_say_rule(struct arena *a, struct buf *out, const struct rule *rule)
{
	const char *phase =
	    rule->phase == PHASE_ALLOW ? "allow" : phase_name(rule->phase);

	if (rule->name.len > 0)
		buf_printf(out, "the %s rule \"%.*s\"", phase, STR_ARG(rule->name));
	else
		buf_printf(out, "%s rule %u", phase, (unsigned)rule->index);
	buf_printf(out, " of %s", policy_title(a, rule->policy));
}

static void
say_no_policy(struct buf *out, const struct endpoint *self)
{
	if (self->kind == ENDPOINT_NODE) {
		buf_add_cstr(out, "no policy is for this node");
		return;
	}
	endpoint_print(out, self);
	buf_add_cstr(out,
	    " is no known workload's or node's address, and the outside has "
	    "no policy of its own");
}

void
explain_say_verdict(struct arena *a, struct buf *out, const struct verdict *verdict,
    enum direction dir, const struct endpoint *self)
{
	buf_add_cstr(out, verdict->allow ? "allowed" : "denied");
	switch (verdict->reason) {
	case REASON_RULE:
		buf_add_cstr(out, " by ");
		explain_say_rule(a, out, verdict->rule);
		break;
	case REASON_ISOLATION:
		buf_printf(out,
		    ", because %s isolates it and none of its allow rules lets this %s",
		    policy_title(a, verdict->policy),
		    dir == DIR_INGRESS ? "in" : "out");
		break;
	case REASON_CLUSTER_DEFAULT:
		buf_printf(out,
		    ", because no policy decides and the cluster default is %s",
		    action_name(verdict->allow ? ACTION_ALLOW : ACTION_DENY));
		return;
	case REASON_NO_POLICY:
		buf_add_cstr(out, ", because ");
		say_no_policy(out, self);
		return;
	case REASON_SELF:
		buf_printf(out, ", because a %s always reaches itself",
		    self->kind == ENDPOINT_NODE ? "node" : "workload");
		return;
	case REASON_FAIL_SAFE:
		buf_add_cstr(out, ", because it is a fail-safe port of nodes, which no "
				  "policy can close");
		return;
	case REASON_NODE_OPEN:
		buf_add_cstr(out, ", because no policy for the node decides, and the "
				  "cluster default is not for nodes");
		return;
	case REASON_OWN_NODE:
		buf_add_cstr(out,
		    ", because a node always reaches the workloads that run on it");
		return;
	}
	buf_printf(out, " (%s)", loc_text(a, explain_verdict_loc(verdict, dir)));
}
