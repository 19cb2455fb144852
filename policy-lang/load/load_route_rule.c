/*
 * The rules of Routes: what all kinds have in common, and via. Which fields may stand
 * together is said in words here; load_route_fields.c has the tables.
 */
#include "policy-lang/load/load_route_internal.h"

#define SOURCES_MAX 256

bool
route_bad_rule(const struct route_reader *r, struct loc loc, const char *why)
{
	diag_say(r->c.l->diags, CODE_BAD_RULE, loc, "%s", why);
	return false;
}

bool
route_missing(const struct route_reader *r, const char *why)
{
	diag_say(r->c.l->diags, CODE_MISSING_FIELD, r->node->loc, "%s", why);
	return false;
}

/* ---- peers and ports ---- */

/* Networks and names are outside, workloads inside; each kind of rule has its own. */
bool
route_right_peer(const struct route_reader *r, const struct peer *peer)
{
	bool outside = peer->kind == PEER_NETWORK || peer->kind == PEER_FQDN;

	if (r->rule->kind == ROUTE_EGRESS)
		return outside ||
		       route_bad_rule(r, peer->loc,
			   "an egress route leads to a cidr, an external or an fqdn");
	return peer->kind == PEER_WORKLOADS ||
	       route_bad_rule(
		   r, peer->loc, "traffic between workloads names workloads");
}

bool
route_read_peers(const struct route_reader *r, const struct doc_node *list,
    const struct peer **out, size_t *out_count)
{
	struct peer *peers;
	struct map named = {0};
	size_t count = 0;
	bool ok = true;

	if (list == NULL)
		return true;
	peers = ARENA_ARRAY(r->c.l->arena, list->count, struct peer);
	for (uint32_t i = 0; i < list->count; i++) {
		if (load_named_often(&named, list->u.items[i]))
			continue;
		ok &= load_native_peer(&r->c, list->u.items[i], &peers[count]) &&
		      route_right_peer(r, &peers[count]);
		count++;
	}
	map_fini(&named);
	*out = peers;
	*out_count = count;
	return ok;
}

/* What is published has a number at the outside. */
static bool
is_publishable(const struct route_reader *r, const struct port_match *port)
{
	bool number = port->kind == PORT_NUMBERS && port->lo != 0;

	return number || r->rule->kind != ROUTE_INGRESS ||
	       route_bad_rule(r, port->loc, "a published port is a number or a range");
}

bool
route_read_ports(const struct route_reader *r)
{
	const struct doc_node *list = r->v[F_PORTS];
	struct port_match *ports;
	bool ok = true;

	if (list == NULL)
		return true;
	ports = ARENA_ARRAY(r->c.l->arena, list->count, struct port_match);
	for (uint32_t i = 0; i < list->count; i++)
		ok &= load_native_port(r->c.l, list->u.items[i], &ports[i]) &&
		      is_publishable(r, &ports[i]);
	r->rule->ports = ports;
	r->rule->port_count = list->count;
	return ok;
}

/* ---- addresses ---- */

/* An address stands for itself, a prefix for all that are in it. */
static bool
read_prefix(struct loader *l, const struct doc_node *node, struct ip_prefix *out)
{
	if (node->kind == DOC_STRING && ip_parse(node->text, &out->addr)) {
		out->len = (uint8_t)ip_bits(out->addr.family);
		return true;
	}
	if (node->kind == DOC_STRING &&
	    str_find(node->text, '/', 0) == node->text.len) {
		diag_say(l->diags, CODE_BAD_ADDRESS, node->loc,
		    "\"%.*s\" is neither an address nor a network",
		    STR_ARG(node->text));
		return false;
	}
	return load_cidr(l, node, false, out, NULL);
}

bool
route_read_prefixes(const struct route_reader *r, const struct doc_node *list,
    const char *what, const struct ip_prefix **out, size_t *out_count)
{
	struct loader *l = r->c.l;
	struct ip_prefix *prefixes;
	bool ok = true;

	if (list == NULL)
		return true;
	if (list->count == 0 || list->count > SOURCES_MAX) {
		diag_say(l->diags, CODE_TOO_MANY, list->loc,
		    "\"%s\" must have from 1 to %d addresses", what, SOURCES_MAX);
		return false;
	}
	prefixes = ARENA_ARRAY(l->arena, list->count, struct ip_prefix);
	for (uint32_t i = 0; i < list->count; i++)
		ok &= read_prefix(l, list->u.items[i], &prefixes[i]);
	*out = prefixes;
	*out_count = list->count;
	return ok;
}

/* ---- balance ---- */

bool
route_read_balance(const struct route_reader *r)
{
	size_t balance = r->rule->kind == ROUTE_VIA ? BALANCE_HASH : BALANCE_RANDOM;
	bool ok = r->v[F_BALANCE] == NULL ||
		  schema_enum(r->c.l->diags, r->v[F_BALANCE], "\"balance\"",
		      load_route_balances, ROUTE_BALANCE_COUNT, &balance);

	r->rule->balance = (enum route_balance)balance;
	return ok;
}

/* ---- via ---- */

static bool
read_via(const struct route_reader *r)
{
	struct route_rule *rule = r->rule;
	struct peer through = {0};
	size_t failure = 0;
	bool ok = route_read_peers(r, r->v[F_FROM], &rule->from, &rule->from_count) &&
		  route_read_ports(r);

	ok &= route_read_peers(r, r->v[F_TO], &rule->to, &rule->to_count);
	ok &= route_read_balance(r);
	if (r->v[F_THROUGH] != NULL) {
		ok &= load_native_peer(&r->c, r->v[F_THROUGH], &through) &&
		      route_right_peer(r, &through);
		rule->through = through.workloads;
	} else if (ok && rule->action == ROUTE_APPLY) {
		return route_missing(r, "the action \"through\" needs \"through\"");
	}
	if (r->v[F_ON_FAILURE] != NULL)
		ok &= schema_enum(r->c.l->diags, r->v[F_ON_FAILURE], "\"onFailure\"",
		    load_route_failures, ROUTE_FAILURE_COUNT, &failure);
	rule->direct_on_failure = failure != 0;
	return ok;
}

/* ---- rules ---- */

static bool (*const kind_readers[ROUTE_KIND_COUNT])(const struct route_reader *r) = {
    [ROUTE_EGRESS] = route_read_egress,
    [ROUTE_INGRESS] = route_read_ingress,
    [ROUTE_VIA] = read_via,
};

static bool
read_action(struct route_reader *r)
{
	enum route_kind kind = r->rule->kind;
	size_t action = 0;

	if (r->v[F_ACTION] == NULL)
		return route_missing(r, "a rule of a Route needs \"action\"");
	if (!schema_enum(r->c.l->diags, r->v[F_ACTION], "\"action\"",
		load_route_actions[kind].names, load_route_actions[kind].count,
		&action))
		return false;
	r->rule->action = load_route_actions[kind].actions[action];
	for (size_t i = 0; i < ROUTE_EFFECT_COUNT; i++) {
		const struct doc_node *node = r->v[load_route_effects[i]];

		if (node != NULL && r->rule->action != ROUTE_APPLY)
			return route_bad_rule(r, node->loc,
			    "only a rule that routes, publishes or sends through "
			    "something has this");
	}
	return true;
}

bool
load_route_rule(const struct rule_context *c, struct route_policy *route,
    const struct doc_node *node, struct route_rule *rule)
{
	struct route_reader reader = {
	    .c = *c, .route = route, .node = node, .rule = rule};
	struct route_reader *r = &reader;

	if (!schema_read(r->c.l->diags, &load_route_rule_schemas[r->rule->kind],
		r->node, r->v) ||
	    !read_action(r) ||
	    !load_title(r->c.l, r->v[F_NAME], LIMIT_NAME_BYTES, &r->rule->name))
		return false;
	r->rule->target_name = STR("");
	return kind_readers[r->rule->kind](r);
}
