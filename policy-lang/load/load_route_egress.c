/*
 * Egress rules of Routes: where connections leave, and with which address.
 */
#include "policy-lang/load/load_route_internal.h"

#define GATEWAYS_MAX 16

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
		return route_bad_rule(r, list->u.items[1]->loc,
		    "two next hops of one family: only one of them can be taken");
	r->rule->next_hops = hops;
	r->rule->next_hop_count = list->count;
	return true;
}

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

bool
route_read_egress(const struct route_reader *r)
{
	struct route_rule *rule = r->rule;
	int64_t table = 0;
	bool ok = route_read_peers(r, r->v[F_TO], &rule->to, &rule->to_count) &&
		  route_read_ports(r);

	ok &= route_read_prefixes(
	    r, r->v[F_SOURCE], "source", &rule->sources, &rule->source_count);
	ok &= read_gateways(r);
	ok &= read_next_hops(r);
	if (r->v[F_TABLE] != NULL)
		ok &= schema_int(r->c.l->diags, r->v[F_TABLE], "\"table\"", 1,
		    ROUTE_TABLE_MAX, &table);
	rule->table = (uint32_t)table;
	if (r->v[F_TABLE] != NULL && r->v[F_NEXT_HOP] != NULL)
		return route_bad_rule(r, r->v[F_TABLE]->loc,
		    "\"table\" and \"nextHop\" both say where to go; write one");
	if (ok && rule->action == ROUTE_APPLY && r->v[F_SOURCE] == NULL &&
	    r->v[F_GATEWAY] == NULL && r->v[F_NEXT_HOP] == NULL &&
	    r->v[F_TABLE] == NULL)
		return route_missing(
		    r, "the action \"route\" needs source, gateway, nextHop or table");
	return ok;
}
