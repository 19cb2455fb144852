/*
 * What the rules of Routes are made of: the fields of each kind, and what editors and
 * schemas are told of them.
 */
#include "policy-lang/load/load_route_internal.h"

/* ---- fields ---- */

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
const enum route_field load_route_effects[ROUTE_EFFECT_COUNT] = {F_SOURCE, F_GATEWAY,
    F_NEXT_HOP, F_TABLE, F_TARGET, F_BALANCE, F_THROUGH, F_ON_FAILURE};

const struct route_actions load_route_actions[ROUTE_KIND_COUNT] = {
    [ROUTE_EGRESS] = {{"route", "direct", "deny", "pass"},
	{ROUTE_APPLY, ROUTE_DIRECT, ROUTE_DENY, ROUTE_PASS}, 4},
    [ROUTE_INGRESS] = {{"publish", "deny", "pass"},
	{ROUTE_APPLY, ROUTE_DENY, ROUTE_PASS}, 3},
    [ROUTE_VIA] = {{"through", "direct", "deny", "pass"},
	{ROUTE_APPLY, ROUTE_DIRECT, ROUTE_DENY, ROUTE_PASS}, 4},
};

const char *const load_route_balances[ROUTE_BALANCE_COUNT] = {
    [BALANCE_RANDOM] = "random", [BALANCE_HASH] = "hash"};
const char *const load_route_failures[ROUTE_FAILURE_COUNT] = {"deny", "direct"};

/* ---- what editors are told of them ---- */

#define ACTION_VALUE(kind, actions)                                                    \
	{                                                                              \
		.about = (actions), .names = load_route_actions[kind].names,           \
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
		.about = "What explanations call it.", .grammar = &grammar_title       \
	}
#define BALANCE_VALUE                                                                  \
	{                                                                              \
		.about = "How connections are spread over several: hash, by their "    \
			 "addresses, or random.",                                      \
		.names = load_route_balances, .name_count = ROUTE_BALANCE_COUNT        \
	}

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
		.max = ROUTE_TABLE_MAX},
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
		    .names = load_route_failures,
		    .name_count = ROUTE_FAILURE_COUNT},
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
