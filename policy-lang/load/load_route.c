/*
 * Route documents: how traffic leaves, what is published, what traffic between workloads
 * goes through. Parsed and checked here; whoever enforces routes reads the model.
 *
 *    kind: Route
 *    metadata: { name: web, namespace: /acme/shop }
 *    spec:
 *      priority: 0                                  # lower is first, as in Policy
 *      workloads: { matchLabels: { tier: web } }    # whose traffic; absent: the subtree's
 *      mandatory:                                   # ancestors win; default: nearest wins
 *        egress:                                    # action: route, direct, deny, pass
 *          - { action: route, to: [ { external: bank } ], ports: [ 443/tcp ],
 *              source: [ 203.0.113.7, "2001:db8::7" ],       # an address or a pool
 *              gateway: [ gw-1, gw-2 ] }            # nodes in order; or a label selector
 *          - { action: route, to: [ { cidr: 198.51.100.0/24 } ], nextHop: [ 10.9.0.254 ] }
 *          - { action: deny }                       # nothing leaves by another way
 *      default:
 *        ingress:                                   # action: publish, deny, pass
 *          - { action: publish, address: [ 203.0.113.80 ], ports: [ 443/tcp ],
 *              targetPort: 8443, balance: hash,     # or random
 *              to: [ { workloads: { matchLabels: { app: web } }, weight: 3 } ] }
 *        via:                                       # action: through, direct, deny, pass
 *          - { action: through, to: [ { namespace: /ops/db } ], ports: [ 5432/tcp ],
 *              through: { namespace: /ops/fw, workloads: { matchLabels: { app: fw } } },
 *              onFailure: deny }                    # or direct
 *
 * Peers are written as in Policy: networks and names in egress, workloads elsewhere.
 */
#include "policy-lang/load/load_internal.h"

/* ---- rules ---- */

static bool
read_list(struct loader *l, struct route_policy *route, enum phase phase,
    enum route_kind kind, const struct doc_node *list)
{
	struct route_list *lists =
	    phase == PHASE_MANDATORY ? route->mandatory : route->defaults;
	struct route_list *out = &lists[kind];
	struct rule_context c = {.l = l, .home = route->level, .phase = phase};
	bool ok = true;

	out->rules = ARENA_ARRAY(l->arena, list->count, struct route_rule);
	out->count = list->count;
	for (uint32_t i = 0; i < list->count; i++) {
		out->rules[i] = (struct route_rule){.index = i,
		    .phase = phase,
		    .kind = kind,
		    .loc = list->u.items[i]->loc};
		ok &= load_route_rule(&c, route, list->u.items[i], &out->rules[i]);
	}
	return ok;
}

/* ---- the document ---- */

static const struct schema_field level_fields[] = {
    [ROUTE_EGRESS] = {"egress", TYPE_LIST, false, NULL},
    [ROUTE_INGRESS] = {"ingress", TYPE_LIST, false, NULL},
    [ROUTE_VIA] = {"via", TYPE_LIST, false, NULL},
};
#define LEVEL_VALUE(kind, text)                                                        \
	{                                                                              \
		.about = (text), .each = &(const struct schema_value)                  \
		{                                                                      \
			.types = TYPE_MAP, .map = &load_route_rule_schemas[kind]       \
		}                                                                      \
	}
static const struct schema_value level_values[] = {
    [ROUTE_EGRESS] = LEVEL_VALUE(ROUTE_EGRESS, "How connections to the outside leave."),
    [ROUTE_INGRESS] =
	LEVEL_VALUE(ROUTE_INGRESS, "What is published to the outside, and where."),
    [ROUTE_VIA] = LEVEL_VALUE(ROUTE_VIA,
	"What connections between workloads go through, such as a firewall."),
};
static const struct schema level_schemas[] = {
    SCHEMA_TOLD("\"mandatory\"", level_fields, level_values),
    SCHEMA_TOLD("\"default\"", level_fields, level_values),
};

enum {
	SPEC_WORKLOADS,
	SPEC_PRIORITY,
	SPEC_MANDATORY,
	SPEC_DEFAULT
};

#define IN_A_LEVEL "write it in \"mandatory\" or \"default\""

static const struct schema_field spec_fields[] = {
    [SPEC_WORKLOADS] = {"workloads", TYPE_MAP, false, NULL},
    [SPEC_PRIORITY] = {"priority", TYPE_INT, false, NULL},
    [SPEC_MANDATORY] = {"mandatory", TYPE_MAP, false, NULL},
    [SPEC_DEFAULT] = {"default", TYPE_MAP, false, NULL},
    {"egress", 0, false, IN_A_LEVEL},
    {"ingress", 0, false, IN_A_LEVEL},
    {"via", 0, false, IN_A_LEVEL},
    {"allow", 0, false, "a Route is \"mandatory\" or \"default\""},
};
static const struct schema_value spec_values[ARRAY_LEN(spec_fields)] = {
    [SPEC_WORKLOADS] = {.about = "Whose traffic the Route is about. Absent: every "
				 "workload's at or below the namespace.",
	.map = &load_selector_schema},
    [SPEC_PRIORITY] = {.about = "Smaller numbers come first; 0 when absent.",
	.bounded = true,
	.min = -INT32_MAX,
	.max = INT32_MAX},
    [SPEC_MANDATORY] = {.about = "Ordered rules that nothing below can change.",
	.map = &level_schemas[0]},
    [SPEC_DEFAULT] = {.about = "Ordered rules for what nothing mandatory decides: the "
			       "nearest namespace wins.",
	.map = &level_schemas[1]},
};
const struct schema load_route_schema =
    SCHEMA_TOLD("a Route's spec", spec_fields, spec_values);

static bool
read_spec(struct loader *l, const struct doc_node *spec, struct route_policy *route)
{
	static const enum phase phases[] = {PHASE_MANDATORY, PHASE_DEFAULT};
	const struct doc_node *v[ARRAY_LEN(spec_fields)];
	bool ok = schema_read(l->diags, &load_route_schema, spec, v);
	int64_t priority = 0;

	if (v[SPEC_WORKLOADS] != NULL)
		ok &= load_selector(
		    l, v[SPEC_WORKLOADS], API_NATIVE, &route->subject.selector);
	if (v[SPEC_PRIORITY] != NULL)
		ok &= schema_int(l->diags, v[SPEC_PRIORITY], "\"priority\"", -INT32_MAX,
		    INT32_MAX, &priority);
	route->priority = (int32_t)priority;
	for (size_t i = 0; i < ARRAY_LEN(phases); i++) {
		const struct doc_node *level[ROUTE_KIND_COUNT];

		if (v[SPEC_MANDATORY + i] == NULL)
			continue;
		ok &= schema_read(
		    l->diags, &level_schemas[i], v[SPEC_MANDATORY + i], level);
		for (unsigned kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
			if (level[kind] != NULL)
				ok &= read_list(l, route, phases[i],
				    (enum route_kind)kind, level[kind]);
		}
	}
	return ok;
}

void
load_route(struct loader *l, const struct load_object *o)
{
	struct route_policy *route = ARENA_NEW(l->arena, struct route_policy);
	const struct doc_node *spec;
	struct meta meta;
	bool ok = load_top(l, o, &spec);

	ok &= load_meta(l, o, META_PLACED, false, &meta);
	route->level = load_home(l, o, &meta);
	if (!ok || route->level == NULL || !load_claim_native(l, o, &meta))
		return;
	route->name = meta.name;
	route->namespace_text = meta.ns.ptr != NULL ? meta.ns : STR("");
	route->loc = meta.loc;
	route->subject.subtree = route->level;
	if (spec == NULL)
		diag_say(
		    l->diags, CODE_MISSING_FIELD, meta.loc, "Route needs \"spec\"");
	/* Half a route would send traffic where nobody meant it to go. */
	else if (read_spec(l, spec, route))
		ptr_vec_push(&l->others[OTHER_ROUTE], route);
}
