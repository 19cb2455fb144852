/*
 * The rules of Routes: what each kind of rule has, and what its fields may say together.
 */
#include "policy-lang/load_internal.h"

#define SOURCES_MAX  256
#define GATEWAYS_MAX 16
#define TABLE_MAX    UINT32_MAX

/* ---- fields ---- */

enum {
	F_NAME,
	F_ACTION,
	F_FROM,
	F_TO,
	F_PORTS,
	F_SOURCE,
	F_GATEWAY,
	F_NEXT_HOP,
	F_TABLE,
	F_ADDRESS,
	F_TARGET,
	F_BALANCE,
	F_THROUGH,
	F_ON_FAILURE,
	F_COUNT
};

#define FIELD(at, field, kinds)   [at] = {field, kinds, false, NULL}
#define ELSEWHERE(at, field, why) [at] = {field, 0, false, why}

#define NOT_EGRESS  "it belongs to an egress rule"
#define NOT_INGRESS "it belongs to an ingress rule"
#define NOT_VIA     "it belongs to a via rule"

static const struct schema_field rule_fields[ROUTE_KIND_COUNT][F_COUNT] = {
    [ROUTE_EGRESS] =
	{
	    FIELD(F_NAME, "name", TYPE_STRING),
	    FIELD(F_ACTION, "action", TYPE_STRING),
	    ELSEWHERE(F_FROM, "from", "a Route says whose traffic in \"workloads\""),
	    FIELD(F_TO, "to", TYPE_LIST),
	    FIELD(F_PORTS, "ports", TYPE_LIST),
	    FIELD(F_SOURCE, "source", TYPE_LIST),
	    FIELD(F_GATEWAY, "gateway", TYPE_LIST | TYPE_MAP),
	    FIELD(F_NEXT_HOP, "nextHop", TYPE_LIST),
	    FIELD(F_TABLE, "table", TYPE_INT),
	    ELSEWHERE(F_ADDRESS, "address", NOT_INGRESS),
	    ELSEWHERE(F_TARGET, "targetPort", NOT_INGRESS),
	    ELSEWHERE(F_BALANCE, "balance", NOT_INGRESS),
	    ELSEWHERE(F_THROUGH, "through", NOT_VIA),
	    ELSEWHERE(F_ON_FAILURE, "onFailure", NOT_VIA),
	},
    [ROUTE_INGRESS] =
	{
	    FIELD(F_NAME, "name", TYPE_STRING),
	    FIELD(F_ACTION, "action", TYPE_STRING),
	    ELSEWHERE(F_FROM, "from", "who may come is for a Policy to say"),
	    FIELD(F_TO, "to", TYPE_LIST),
	    FIELD(F_PORTS, "ports", TYPE_LIST),
	    ELSEWHERE(F_SOURCE, "source", NOT_EGRESS),
	    ELSEWHERE(F_GATEWAY, "gateway", NOT_EGRESS),
	    ELSEWHERE(F_NEXT_HOP, "nextHop", NOT_EGRESS),
	    ELSEWHERE(F_TABLE, "table", NOT_EGRESS),
	    FIELD(F_ADDRESS, "address", TYPE_LIST),
	    FIELD(F_TARGET, "targetPort", TYPE_INT | TYPE_STRING),
	    FIELD(F_BALANCE, "balance", TYPE_STRING),
	    ELSEWHERE(F_THROUGH, "through", NOT_VIA),
	    ELSEWHERE(F_ON_FAILURE, "onFailure", NOT_VIA),
	},
    [ROUTE_VIA] =
	{
	    FIELD(F_NAME, "name", TYPE_STRING),
	    FIELD(F_ACTION, "action", TYPE_STRING),
	    FIELD(F_FROM, "from", TYPE_LIST),
	    FIELD(F_TO, "to", TYPE_LIST),
	    FIELD(F_PORTS, "ports", TYPE_LIST),
	    ELSEWHERE(F_SOURCE, "source", NOT_EGRESS),
	    ELSEWHERE(F_GATEWAY, "gateway", NOT_EGRESS),
	    ELSEWHERE(F_NEXT_HOP, "nextHop", NOT_EGRESS),
	    ELSEWHERE(F_TABLE, "table", NOT_EGRESS),
	    ELSEWHERE(F_ADDRESS, "address", NOT_INGRESS),
	    ELSEWHERE(F_TARGET, "targetPort", NOT_INGRESS),
	    FIELD(F_BALANCE, "balance", TYPE_STRING),
	    FIELD(F_THROUGH, "through", TYPE_MAP),
	    FIELD(F_ON_FAILURE, "onFailure", TYPE_STRING),
	},
};

/* What makes a rule do something: only beside the first action. */
static const unsigned effect_fields[] = {F_SOURCE, F_GATEWAY, F_NEXT_HOP, F_TABLE,
    F_TARGET, F_BALANCE, F_THROUGH, F_ON_FAILURE};

static const struct {
	const char *names[4];
	enum route_action actions[4];
	size_t count;
} kind_actions[ROUTE_KIND_COUNT] = {
    [ROUTE_EGRESS] = {{"route", "direct", "deny", "pass"},
	{ROUTE_APPLY, ROUTE_DIRECT, ROUTE_DENY, ROUTE_PASS}, 4},
    [ROUTE_INGRESS] = {{"publish", "deny", "pass"},
	{ROUTE_APPLY, ROUTE_DENY, ROUTE_PASS}, 3},
    [ROUTE_VIA] = {{"through", "direct", "deny", "pass"},
	{ROUTE_APPLY, ROUTE_DIRECT, ROUTE_DENY, ROUTE_PASS}, 4},
};

static const char *const balance_names[] = {
    [BALANCE_RANDOM] = "random", [BALANCE_HASH] = "hash"};
static const char *const failure_names[] = {"deny", "direct"};

/* ---- what editors are told of them ---- */

#define ACTION_VALUE(kind, actions)                                                    \
	{                                                                              \
		.about = (actions), .names = kind_actions[kind].names,                 \
		.name_count = (kind) == ROUTE_INGRESS ? 3 : 4                          \
	}
#define EACH(kinds, ...)                                                               \
	.each = &(const struct schema_value)                                           \
	{                                                                              \
		.types = (kinds), __VA_ARGS__                                          \
	}
#define PORTS_VALUE                                                                    \
	{                                                                              \
		.about = "On which ports, as in a Policy; absent: all.",               \
		EACH(TYPE_STRING, .grammar = &grammar_port)                            \
	}
#define NAME_VALUE                                                                     \
	{                                                                              \
		.about = "What explanations call it."                                  \
	}
#define BALANCE_VALUE                                                                  \
	{                                                                              \
		.about = "How connections are spread over several: hash, by their "    \
			 "addresses, or random.",                                      \
		.names = balance_names, .name_count = ARRAY_LEN(balance_names)         \
	}

static const struct grammar grammar_address = {
    {{"^[0-9A-Fa-f.:]+(/[0-9]{1,3})?$"}}, 0, NULL};
static const struct schema_value address_value = {
    .types = TYPE_STRING, .grammar = &grammar_address};

static const struct schema_value rule_values[ROUTE_KIND_COUNT][F_COUNT] = {
    [ROUTE_EGRESS] =
	{
	    [F_NAME] = NAME_VALUE,
	    [F_ACTION] = ACTION_VALUE(
		ROUTE_EGRESS, "route it; direct, as without a Route; deny; or pass."),
	    [F_TO] = {.about = "Where to: cidr, external or fqdn, as in a Policy.",
		EACH(TYPE_MAP, .map = &load_peer_schema)},
	    [F_PORTS] = PORTS_VALUE,
	    [F_SOURCE] = {.about = "The source address that it leaves with, or a pool.",
		.each = &address_value,
		.filled = true},
	    [F_GATEWAY] = {.about = "Nodes that it leaves by, in order of preference; "
				    "or a label selector over nodes.",
		.map = &load_selector_schema,
		.filled = true,
		EACH(TYPE_STRING, .grammar = &grammar_subdomain)},
	    [F_NEXT_HOP] = {.about = "The address that it is sent to, one of a family.",
		.filled = true,
		EACH(TYPE_STRING, .grammar = &grammar_ip)},
	    [F_TABLE] = {.about = "A routing table of the node.",
		.bounded = true,
		.min = 1,
		.max = TABLE_MAX},
	},
    [ROUTE_INGRESS] =
	{
	    [F_NAME] = NAME_VALUE,
	    [F_ACTION] = ACTION_VALUE(ROUTE_INGRESS, "publish; deny; or pass."),
	    [F_TO] = {.about =
			  "The workloads that it is published for, as in a Policy, "
			  "each with a weight.",
		EACH(TYPE_MAP, .map = &load_backend_schema)},
	    [F_PORTS] = PORTS_VALUE,
	    [F_ADDRESS] =
		{.about = "The addresses that are published.",
		    .each = &address_value,
		    .filled = true},
	    [F_TARGET] =
		{.about = "The port of the workloads; absent: the same.",
		    .grammar = &grammar_port_name,
		    .bounded = true,
		    .min = 1,
		    .max = UINT16_MAX},
	    [F_BALANCE] = BALANCE_VALUE,
	},
    [ROUTE_VIA] =
	{
	    [F_NAME] = NAME_VALUE,
	    [F_ACTION] =
		ACTION_VALUE(ROUTE_VIA,
		    "send it through; direct, as without a Route; deny; or pass."),
	    [F_FROM] =
		{.about = "Whose connections: workloads, as in a Policy.",
		    EACH(TYPE_MAP, .map = &load_selection_schema)},
	    [F_TO] =
		{.about = "To which workloads.",
		    EACH(TYPE_MAP, .map = &load_selection_schema)},
	    [F_PORTS] = PORTS_VALUE,
	    [F_BALANCE] = BALANCE_VALUE,
	    [F_THROUGH] =
		{.about = "The workloads that it goes through.",
		    .map = &load_selection_schema},
	    [F_ON_FAILURE] =
		{.about = "What becomes of it when none of them is there.",
		    .names = failure_names,
		    .name_count = ARRAY_LEN(failure_names)},
	},
};
static const struct schema_rule rule_rules[] = {
    {.kind = SCHEMA_SOME, .a = SCHEMA_BIT(F_ACTION)},
};
const struct schema load_route_rule_schemas[ROUTE_KIND_COUNT] = {
    [ROUTE_EGRESS] = SCHEMA_RULED("an egress route", rule_fields[ROUTE_EGRESS],
	rule_values[ROUTE_EGRESS], rule_rules),
    [ROUTE_INGRESS] = SCHEMA_RULED("an ingress route", rule_fields[ROUTE_INGRESS],
	rule_values[ROUTE_INGRESS], rule_rules),
    [ROUTE_VIA] = SCHEMA_RULED(
	"a via route", rule_fields[ROUTE_VIA], rule_values[ROUTE_VIA], rule_rules),
};

/* One rule being read. */
struct route_reader {
	struct rule_context c;
	struct route_policy *route;
	const struct doc_node *node;
	const struct doc_node *v[F_COUNT];
	struct route_rule *rule;
};

static bool
bad_rule(const struct route_reader *r, struct loc loc, const char *why)
{
	diag_say(r->c.l->diags, CODE_BAD_RULE, loc, "%s", why);
	return false;
}

static bool
missing(const struct route_reader *r, const char *why)
{
	diag_say(r->c.l->diags, CODE_MISSING_FIELD, r->node->loc, "%s", why);
	return false;
}

/* ---- peers and ports ---- */

/* Networks and names are outside, workloads inside; each kind of rule has its own. */
static bool
is_right_peer(const struct route_reader *r, const struct peer *peer)
{
	bool outside = peer->kind == PEER_NETWORK || peer->kind == PEER_FQDN;

	if (r->rule->kind == ROUTE_EGRESS)
		return outside ||
		       bad_rule(r, peer->loc,
			   "an egress route leads to a cidr, an external or an fqdn");
	return peer->kind == PEER_WORKLOADS ||
	       bad_rule(r, peer->loc, "traffic between workloads names workloads");
}

static bool
read_peers(const struct route_reader *r, const struct doc_node *list,
    const struct peer **out, size_t *out_count)
{
	struct peer *peers;
	bool ok = true;

	if (list == NULL)
		return true;
	peers = ARENA_ARRAY(r->c.l->arena, list->count, struct peer);
	for (uint32_t i = 0; i < list->count; i++)
		ok &= load_native_peer(&r->c, list->u.items[i], &peers[i]) &&
		      is_right_peer(r, &peers[i]);
	*out = peers;
	*out_count = list->count;
	return ok;
}

/* What is published has a number at the outside. */
static bool
is_publishable(const struct route_reader *r, const struct port_match *port)
{
	bool number = port->kind == PORT_NUMBERS && port->lo != 0;

	return number || r->rule->kind != ROUTE_INGRESS ||
	       bad_rule(r, port->loc, "a published port is a number or a range");
}

static bool
read_ports(const struct route_reader *r)
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

static bool
read_prefixes(const struct route_reader *r, const struct doc_node *list,
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

static bool
read_next_hops(const struct route_reader *r)
{
	const struct doc_node *list = r->v[F_NEXT_HOP];
	struct loader *l = r->c.l;
	struct ip_addr *hops;

	if (list == NULL)
		return true;
	if (list->count == 0 || list->count > 2) {
		diag_say(l->diags, CODE_TOO_MANY, list->loc,
		    "\"nextHop\" has one address, or one of each family");
		return false;
	}
	hops = ARENA_ARRAY(l->arena, list->count, struct ip_addr);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct doc_node *item = list->u.items[i];

		if (!schema_type(l->diags, item, "an address", TYPE_STRING))
			return false;
		if (!ip_parse(item->text, &hops[i])) {
			diag_say(l->diags, CODE_BAD_ADDRESS, item->loc,
			    "\"%.*s\" is not an IP address", STR_ARG(item->text));
			return false;
		}
	}
	if (list->count == 2 && hops[0].family == hops[1].family)
		return bad_rule(r, list->u.items[1]->loc,
		    "two next hops of one family: only one of them can be taken");
	r->rule->next_hops = hops;
	r->rule->next_hop_count = list->count;
	return true;
}

/* ---- egress ---- */

static bool
read_gateways(const struct route_reader *r)
{
	const struct doc_node *node = r->v[F_GATEWAY];
	struct loader *l = r->c.l;
	struct str *names;
	bool ok = true;

	if (node == NULL)
		return true;
	if (node->kind == DOC_MAP)
		return load_selector(l, node, API_NATIVE, &r->rule->gateway_selector);
	if (node->count == 0 || node->count > GATEWAYS_MAX) {
		diag_say(l->diags, CODE_TOO_MANY, node->loc,
		    "\"gateway\" must have from 1 to %d nodes", GATEWAYS_MAX);
		return false;
	}
	names = ARENA_ARRAY(l->arena, node->count, struct str);
	for (uint32_t i = 0; i < node->count; i++)
		ok &=
		    schema_type(l->diags, node->u.items[i], "a gateway", TYPE_STRING) &&
		    load_node_name(l, node->u.items[i], (struct str){0}, &names[i]);
	r->rule->gateways = names;
	r->rule->gateway_count = node->count;
	return ok;
}

static bool
read_egress(const struct route_reader *r)
{
	struct route_rule *rule = r->rule;
	int64_t table = 0;
	bool ok =
	    read_peers(r, r->v[F_TO], &rule->to, &rule->to_count) && read_ports(r);

	ok &= read_prefixes(
	    r, r->v[F_SOURCE], "source", &rule->sources, &rule->source_count);
	ok &= read_gateways(r);
	ok &= read_next_hops(r);
	if (r->v[F_TABLE] != NULL)
		ok &= schema_int(
		    r->c.l->diags, r->v[F_TABLE], "\"table\"", 1, TABLE_MAX, &table);
	rule->table = (uint32_t)table;
	if (r->v[F_TABLE] != NULL && r->v[F_NEXT_HOP] != NULL)
		return bad_rule(r, r->v[F_TABLE]->loc,
		    "\"table\" and \"nextHop\" both say where to go; write one");
	if (ok && rule->action == ROUTE_APPLY && r->v[F_SOURCE] == NULL &&
	    r->v[F_GATEWAY] == NULL && r->v[F_NEXT_HOP] == NULL &&
	    r->v[F_TABLE] == NULL)
		return missing(
		    r, "the action \"route\" needs source, gateway, nextHop or table");
	return ok;
}

/* ---- ingress ---- */

enum {
	BACKEND_WEIGHT,
	BACKEND_FIELDS
};

static const struct schema_field backend_fields[] = {
    [BACKEND_WEIGHT] = {"weight", TYPE_INT, false, NULL},
};
static const struct schema backend_schema = SCHEMA_OPEN("a target", backend_fields);

/* The item without "weight": a peer as Policy has it. */
static struct doc_node *
without_weight(struct loader *l, const struct doc_node *node)
{
	struct doc_node *peer = ARENA_NEW(l->scratch, struct doc_node);

	*peer = *node;
	peer->count = 0;
	peer->u.entries = ARENA_ARRAY(l->scratch, node->count, struct doc_entry);
	for (uint32_t i = 0; i < node->count; i++) {
		if (!str_is(node->u.entries[i].key->text, "weight"))
			peer->u.entries[peer->count++] = node->u.entries[i];
	}
	return peer;
}

static bool
read_backend(const struct route_reader *r, const struct doc_node *node,
    struct route_backend *out)
{
	const struct doc_node *v[BACKEND_FIELDS];
	struct loader *l = r->c.l;
	int64_t weight = 1;
	struct peer peer = {0};

	if (!schema_read(l->diags, &backend_schema, node, v) ||
	    (v[BACKEND_WEIGHT] != NULL &&
		!schema_int(l->diags, v[BACKEND_WEIGHT], "\"weight\"", 0,
		    ROUTE_WEIGHT_MAX, &weight)) ||
	    !load_native_peer(&r->c, without_weight(l, node), &peer) ||
	    !is_right_peer(r, &peer))
		return false;
	out->weight = (uint32_t)weight;
	out->workloads = peer.workloads;
	if (peer.workloads.subtree == NULL)
		out->workloads.subtree =
		    r->route->level; /* `namespaces` looks around */
	if (ns_within(out->workloads.subtree, r->route->level))
		return true;
	diag_say(l->diags, CODE_OUTSIDE_SUBTREE, node->loc,
	    "a Route at %.*s publishes workloads at or below it, not at %.*s",
	    STR_ARG(r->route->level->path), STR_ARG(out->workloads.subtree->path));
	return false;
}

static bool
read_backends(const struct route_reader *r)
{
	const struct doc_node *list = r->v[F_TO];
	struct route_backend *backends;
	bool ok = true;

	if (list == NULL)
		return true;
	backends = ARENA_ARRAY(r->c.l->arena, list->count, struct route_backend);
	for (uint32_t i = 0; i < list->count; i++)
		ok &= read_backend(r, list->u.items[i], &backends[i]);
	r->rule->backends = backends;
	r->rule->backend_count = list->count;
	return ok;
}

/* A number is where the first published port goes; the rest of a range follows it. */
static bool
read_target(const struct route_reader *r)
{
	const struct doc_node *node = r->v[F_TARGET];
	struct route_rule *rule = r->rule;
	struct loader *l = r->c.l;
	int64_t port;

	if (node == NULL)
		return true;
	if (rule->port_count != 1)
		return bad_rule(r, node->loc,
		    "\"targetPort\" needs exactly one published port or range");
	if (node->kind == DOC_INT) {
		const struct port_match *p = &rule->ports[0];

		if (!schema_int(l->diags, node, "\"targetPort\"", 1,
			UINT16_MAX - (p->hi - p->lo), &port))
			return false;
		rule->target_port = (uint16_t)port;
		return true;
	}
	if (!name_is_port(node->text)) {
		diag_say(l->diags, CODE_BAD_PORT, node->loc, "a port's name must be %s",
		    NAME_PORT_RULE);
		return false;
	}
	if (rule->ports[0].lo != rule->ports[0].hi)
		return bad_rule(r, node->loc, "a range cannot lead to a port's name");
	rule->target_name = load_text(l, node->text);
	return true;
}

static bool
read_balance(const struct route_reader *r)
{
	size_t balance = r->rule->kind == ROUTE_VIA ? BALANCE_HASH : BALANCE_RANDOM;
	bool ok = r->v[F_BALANCE] == NULL ||
		  schema_enum(r->c.l->diags, r->v[F_BALANCE], "\"balance\"",
		      balance_names, ARRAY_LEN(balance_names), &balance);

	r->rule->balance = (enum route_balance)balance;
	return ok;
}

static bool
read_ingress(const struct route_reader *r)
{
	struct route_rule *rule = r->rule;
	bool ok = read_ports(r);

	ok &= read_prefixes(
	    r, r->v[F_ADDRESS], "address", &rule->addresses, &rule->address_count);
	ok &= read_backends(r);
	ok &= read_balance(r);
	ok = ok && read_target(r);
	if (rule->action != ROUTE_APPLY) {
		return r->v[F_TO] == NULL ? ok
					  : bad_rule(r, r->v[F_TO]->loc,
						"only \"publish\" has targets");
	}
	if (ok && (rule->address_count == 0 || rule->port_count == 0 ||
		      rule->backend_count == 0))
		return missing(r, "the action \"publish\" needs address, ports and to");
	for (size_t i = 0; i < rule->address_count; i++) {
		const struct ip_prefix *p = &rule->addresses[i];

		if (p->len != ip_bits(p->addr.family))
			return bad_rule(r, r->v[F_ADDRESS]->u.items[i]->loc,
			    "what is published has an address, not a network");
	}
	return ok;
}

/* ---- via ---- */

static bool
read_via(const struct route_reader *r)
{
	struct route_rule *rule = r->rule;
	struct peer through = {0};
	size_t failure = 0;
	bool ok = read_peers(r, r->v[F_FROM], &rule->from, &rule->from_count) &&
		  read_ports(r);

	ok &= read_peers(r, r->v[F_TO], &rule->to, &rule->to_count);
	ok &= read_balance(r);
	if (r->v[F_THROUGH] != NULL) {
		ok &= load_native_peer(&r->c, r->v[F_THROUGH], &through) &&
		      is_right_peer(r, &through);
		rule->through = through.workloads;
	} else if (ok && rule->action == ROUTE_APPLY) {
		return missing(r, "the action \"through\" needs \"through\"");
	}
	if (r->v[F_ON_FAILURE] != NULL)
		ok &= schema_enum(r->c.l->diags, r->v[F_ON_FAILURE], "\"onFailure\"",
		    failure_names, ARRAY_LEN(failure_names), &failure);
	rule->direct_on_failure = failure != 0;
	return ok;
}

/* ---- rules ---- */

static bool (*const kind_readers[ROUTE_KIND_COUNT])(const struct route_reader *r) = {
    [ROUTE_EGRESS] = read_egress,
    [ROUTE_INGRESS] = read_ingress,
    [ROUTE_VIA] = read_via,
};

static bool
read_action(struct route_reader *r)
{
	enum route_kind kind = r->rule->kind;
	size_t action = 0;

	if (r->v[F_ACTION] == NULL)
		return missing(r, "a rule of a Route needs \"action\"");
	if (!schema_enum(r->c.l->diags, r->v[F_ACTION], "\"action\"",
		kind_actions[kind].names, kind_actions[kind].count, &action))
		return false;
	r->rule->action = kind_actions[kind].actions[action];
	for (size_t i = 0; i < ARRAY_LEN(effect_fields); i++) {
		const struct doc_node *node = r->v[effect_fields[i]];

		if (node != NULL && r->rule->action != ROUTE_APPLY)
			return bad_rule(r, node->loc,
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
	    !read_action(r))
		return false;
	r->rule->name =
	    r->v[F_NAME] != NULL ? load_text(r->c.l, r->v[F_NAME]->text) : STR("");
	r->rule->target_name = STR("");
	return kind_readers[r->rule->kind](r);
}
