/*
 * dns: whose answers teach which addresses a name has.
 */
#include "enforcer/config_internal.h"

#include "common/limits.h"

#define DEFAULT_NAMES_GROUP 101

static void
read_resolvers(struct config_reader *r, const struct doc_node *n)
{
	struct ip_addr *all = ARENA_ARRAY(r->arena, n->count, struct ip_addr);

	if (n->count == 0 || n->count > LIMIT_DNS_RESOLVERS) {
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "\"resolvers\" are 1 to %u addresses", LIMIT_DNS_RESOLVERS);
		return;
	}
	for (uint32_t i = 0; i < n->count; i++) {
		const struct doc_node *item = n->u.items[i];

		if (item->kind == DOC_STRING && ip_parse(item->text, &all[i]))
			continue;
		diag_error(r->diags, CONFIG_VALUE, item->loc,
		    "a resolver is the address that workloads ask");
		return;
	}
	r->config->resolvers = all;
	r->config->resolver_count = n->count;
}

void
config_read_dns(struct config_reader *r, const struct doc_node *n)
{
	enum {
		RESOLVERS,
		MODE,
		GROUP,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [RESOLVERS] = {"resolvers", TYPE_LIST, true, NULL},
	    [MODE] = {"mode", TYPE_STRING, false, NULL},
	    [GROUP] = {"group", TYPE_INT, false, NULL},
	};
	static const struct schema schema = SCHEMA("dns", fields);
	static const char *const modes[] = {"observe"};
	const struct doc_node *v[COUNT];
	int64_t group = DEFAULT_NAMES_GROUP;
	size_t mode;

	config_fields(r, &schema, n, v);
	if (v[RESOLVERS] != NULL)
		read_resolvers(r, v[RESOLVERS]);
	if (v[MODE] != NULL &&
	    !schema_enum(r->diags, v[MODE], "mode", modes, ARRAY_LEN(modes), &mode))
		return;
	if (v[GROUP] != NULL &&
	    !schema_int(r->diags, v[GROUP], "group", 1, 65535, &group))
		return;
	if (group == r->config->flow_group)
		diag_error(r->diags, CONFIG_VALUE,
		    v[GROUP] != NULL ? v[GROUP]->loc : n->loc,
		    "group %u is that of flows: DNS has one of its own",
		    (unsigned)group);
	r->config->names_group = (uint16_t)group;
}
