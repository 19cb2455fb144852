/*
 * routeAddresses: what addresses of Routes the node takes, and where it has them.
 */
#include "enforcer/config/config_internal.h"

#include <string.h>

static void
read_place(struct config_reader *r, const struct doc_node *n, struct address_place *out)
{
	enum {
		NETWORK,
		INTERFACE,
		NAMESPACE,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [NETWORK] = {"network", TYPE_STRING, true, NULL},
	    [INTERFACE] = {"interface", TYPE_STRING, false, NULL},
	    [NAMESPACE] = {"namespace", TYPE_STRING, false, NULL},
	};
	static const struct schema schema = SCHEMA("routeAddresses", fields);
	const struct doc_node *v[COUNT];

	config_fields(r, &schema, n, v);
	if (v[NETWORK] != NULL &&
	    !ip_prefix_parse(v[NETWORK]->text, &out->network, NULL))
		diag_error(r->diags, CONFIG_VALUE, v[NETWORK]->loc,
		    "\"%.*s\" is no network: write it as 203.0.113.0/24",
		    STR_ARG(v[NETWORK]->text));
	out->subtree = v[NAMESPACE] != NULL ? v[NAMESPACE]->text : STR("/");
	if (v[NAMESPACE] != NULL)
		config_subtree(r, v[NAMESPACE]);
	if (v[INTERFACE] == NULL)
		return;
	if (v[INTERFACE]->text.len == 0 ||
	    v[INTERFACE]->text.len >= sizeof(out->interface) ||
	    memchr(v[INTERFACE]->text.ptr, '/', v[INTERFACE]->text.len) != NULL) {
		diag_error(r->diags, CONFIG_VALUE, v[INTERFACE]->loc,
		    "\"%.*s\" is no name of an interface", STR_ARG(v[INTERFACE]->text));
		return;
	}
	memcpy(out->interface, v[INTERFACE]->text.ptr, v[INTERFACE]->text.len);
}

void
config_read_addresses(struct config_reader *r, const struct doc_node *n)
{
	struct address_place *places =
	    ARENA_ARRAY(r->arena, n->count, struct address_place);

	if (n->count > ADDRESS_PLACES_MAX) {
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "at most %d networks are possible", ADDRESS_PLACES_MAX);
		return;
	}
	for (uint32_t i = 0; i < n->count; i++)
		read_place(r, n->u.items[i], &places[i]);
	r->config->address_places = places;
	r->config->address_place_count = n->count;
}
