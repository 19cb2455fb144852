/*
 * What a Test expects of Routes: how a connection leaves, where it leads, what it goes
 * through.
 */
#include "policy-lang/load/load_route_internal.h"

enum {
	WAY_DIRECT,
	WAY_SOURCE,
	WAY_GATEWAY,
	WAY_NEXT_HOP,
	WAY_LEADS_TO,
	WAY_THROUGH,
	WAY_COUNT
};

static const struct schema_field way_fields[WAY_COUNT] = {
    [WAY_DIRECT] = {"direct", TYPE_BOOL, false, NULL},
    [WAY_SOURCE] = {"source", TYPE_LIST, false, NULL},
    [WAY_GATEWAY] = {"gateway", TYPE_LIST, false, NULL},
    [WAY_NEXT_HOP] = {"nextHop", TYPE_LIST, false, NULL},
    [WAY_LEADS_TO] = {"leadsTo", LOAD_ENDS_TYPES, false, NULL},
    [WAY_THROUGH] = {"through", LOAD_ENDS_TYPES, false, NULL},
};
#define LIST_OF(text, kind)                                                            \
	{                                                                              \
		.about = (text), .filled = true, .each = &(const struct schema_value)  \
		{                                                                      \
			.types = TYPE_STRING, .grammar = &grammar_##kind               \
		}                                                                      \
	}
static const struct schema_value end_value = {
    .types = TYPE_STRING | TYPE_MAP,
    .grammar = &grammar_source,
    .map = &load_selection_schema,
};
#define ENDS_VALUE(text)                                                               \
	{                                                                              \
		.about = (text), .grammar = &grammar_source,                           \
		.map = &load_selection_schema, .each = &end_value, .filled = true      \
	}
static const struct schema_value way_values[WAY_COUNT] = {
    [WAY_DIRECT] = {.about = "true: as if there were no Route, and nothing else."},
    [WAY_SOURCE] = LIST_OF("It leaves with one of these addresses.", address),
    [WAY_GATEWAY] = LIST_OF("It leaves by these nodes, in this order.", subdomain),
    [WAY_NEXT_HOP] = LIST_OF("It is sent to one of these addresses.", ip),
    [WAY_LEADS_TO] = ENDS_VALUE("A published address leads to some of these, and "
				"to nobody else."),
    [WAY_THROUGH] = ENDS_VALUE("It goes through one of these."),
};
const struct schema load_test_route_schema =
    SCHEMA_TOLD("an expectation's route", way_fields, way_values);

static bool
read_gateways(
    const struct rule_context *c, const struct doc_node *list, struct test_route *out)
{
	struct str *names = ARENA_ARRAY(c->l->arena, list->count, struct str);
	bool ok = true;

	if (list->count == 0) { /* any way would do */
		diag_say(c->l->diags, CODE_TOO_MANY, list->loc,
		    "\"gateway\" must have at least one node");
		return false;
	}
	for (uint32_t i = 0; i < list->count; i++) {
		ok &=
		    schema_type(
			c->l->diags, list->u.items[i], "a gateway", TYPE_STRING) &&
		    load_node_name(c->l, list->u.items[i], (struct str){0}, &names[i]);
	}
	out->gateways = names;
	out->gateway_count = list->count;
	return ok;
}

static bool
says(const struct rule_context *c, struct loc loc, const char *why)
{
	diag_say(c->l->diags, CODE_BAD_VALUE, loc, "%s", why);
	return false;
}

bool
load_test_route(const struct rule_context *c, const struct doc_node *node, bool allow,
    const struct test_route **out)
{
	struct test_route *route = ARENA_NEW(c->l->arena, struct test_route);
	const struct route_reader reader = {.c = *c};
	const struct doc_node *v[WAY_COUNT];
	bool ok = schema_read(c->l->diags, &load_test_route_schema, node, v);
	size_t said = 0;

	*out = route;
	for (size_t i = 0; i < WAY_COUNT; i++)
		said += v[i] != NULL;
	ok &= route_read_prefixes(&reader, v[WAY_SOURCE], "source", &route->sources,
		  &route->source_count) &&
	      route_read_prefixes(&reader, v[WAY_NEXT_HOP], "nextHop",
		  &route->next_hops, &route->next_hop_count);
	if (v[WAY_GATEWAY] != NULL)
		ok &= read_gateways(c, v[WAY_GATEWAY], route);
	if (v[WAY_LEADS_TO] != NULL)
		ok &= load_test_ends(
		    c, v[WAY_LEADS_TO], true, &route->leads_to, &route->leads_to_count);
	if (v[WAY_THROUGH] != NULL)
		ok &= load_test_ends(
		    c, v[WAY_THROUGH], true, &route->through, &route->through_count);
	if (v[WAY_DIRECT] != NULL)
		route->direct = v[WAY_DIRECT]->u.boolean;
	if (ok && said == 0)
		return says(c, node->loc, "an expectation's \"route\" says something");
	if (ok && v[WAY_DIRECT] != NULL && (!route->direct || said > 1))
		return says(c, node->loc,
		    "\"direct\" is true, and stands alone: what goes otherwise is told "
		    "by how");
	if (ok && !allow)
		return says(c, node->loc,
		    "what is denied goes nowhere: \"by\" names the Route that denies");
	return ok;
}
