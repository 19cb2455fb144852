/*
 * flows: where records of denied connections go.
 */
#include "enforcer/config/config_internal.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

/* "192.0.2.1:4739", "[2001:db8::1]:4739". */
bool
config_address_port(struct str text, struct ip_addr *out_addr, uint16_t *out_port)
{
	struct str host;

	return config_host_port(text, &host, out_port) && *out_port != 0 &&
	       ip_parse(host, out_addr);
}

/* true, false, or the socket of another that speaks as the journal does. */
static void
read_journal(struct config_reader *r, const struct doc_node *n)
{
	struct enforcer_config *c = r->config;

	if (n->kind == DOC_BOOL) {
		c->journal_socket = n->u.boolean ? JOURNAL_SOCKET : NULL;
		return;
	}
	c->journal_socket = config_socket(r, n);
}

static void
read_ipfix(struct config_reader *r, const struct doc_node *n)
{
	enum {
		COLLECTOR,
		PROTOCOL,
		DOMAIN,
		ENTERPRISE,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [COLLECTOR] = {"collector", TYPE_STRING, true, NULL},
	    [PROTOCOL] = {"protocol", TYPE_STRING, false, NULL},
	    [DOMAIN] = {"domain", TYPE_INT, false, NULL},
	    [ENTERPRISE] = {"enterprise", TYPE_INT, false, NULL},
	};
	static const struct schema schema = SCHEMA("ipfix", fields);
	struct enforcer_config *c = r->config;
	const struct doc_node *v[COUNT];
	int64_t number;

	config_fields(r, &schema, n, v);
	if (v[COLLECTOR] == NULL)
		return;
	c->has_ipfix =
	    config_address_port(v[COLLECTOR]->text, &c->ipfix_addr, &c->ipfix_port);
	if (!c->has_ipfix)
		diag_error(r->diags, CONFIG_VALUE, v[COLLECTOR]->loc,
		    "\"collector\" is ADDRESS:PORT, with an IPv6 address in brackets");
	c->ipfix_tcp = config_choice(r, v[PROTOCOL], "protocol", "udp", "tcp", false);
	if (v[DOMAIN] != NULL &&
	    schema_int(r->diags, v[DOMAIN], "domain", 0, UINT32_MAX, &number))
		c->ipfix_domain = (uint32_t)number;
	if (v[ENTERPRISE] != NULL &&
	    schema_int(r->diags, v[ENTERPRISE], "enterprise", 1, UINT32_MAX, &number))
		c->ipfix_enterprise = (uint32_t)number;
}

/* Parts of the tree, each once. */
static void
read_allowed(struct config_reader *r, const struct doc_node *list)
{
	struct str *paths = ARENA_ARRAY(r->arena, ALLOWED_MOST, struct str);
	struct allowed *allowed = &r->config->allowed;

	if (list->count > ALLOWED_MOST) {
		diag_error(r->diags, CONFIG_VALUE, list->loc,
		    "at most %d namespaces are possible", ALLOWED_MOST);
		return;
	}
	*allowed = (struct allowed){.paths = paths};
	for (uint32_t i = 0; i < list->count; i++) {
		const struct doc_node *n = list->u.items[i];

		if (!schema_type(r->diags, n, "a namespace", TYPE_STRING))
			continue;
		config_subtree(r, n);
		for (size_t j = 0; j < allowed->count; j++) {
			if (str_eq(paths[j], n->text))
				diag_error(r->diags, CONFIG_VALUE, n->loc,
				    "the namespace %.*s is named twice",
				    STR_ARG(n->text));
		}
		paths[allowed->count++] = n->text;
	}
}

void
config_read_flows(struct config_reader *r, const struct doc_node *n)
{
	enum {
		FILE_NAME,
		GROUP,
		JOURNAL,
		IPFIX,
		ALLOWED,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [FILE_NAME] = {"file", TYPE_STRING, false, NULL},
	    [GROUP] = {"group", TYPE_INT, false, NULL},
	    [JOURNAL] = {"journal", TYPE_BOOL | TYPE_STRING, false, NULL},
	    [IPFIX] = {"ipfix", TYPE_MAP, false, NULL},
	    [ALLOWED] = {"allowed", TYPE_LIST, false, NULL},
	};
	static const struct schema schema = SCHEMA("flows", fields);
	const struct doc_node *v[COUNT];
	int64_t group;

	config_fields(r, &schema, n, v);
	if (v[FILE_NAME] != NULL)
		r->config->flow_file = config_path(r, v[FILE_NAME]);
	if (v[GROUP] != NULL &&
	    schema_int(r->diags, v[GROUP], "group", 1, 65535, &group))
		r->config->flow_group = (uint16_t)group;
	if (v[JOURNAL] != NULL)
		read_journal(r, v[JOURNAL]);
	if (v[IPFIX] != NULL)
		read_ipfix(r, v[IPFIX]);
	if (v[ALLOWED] != NULL)
		read_allowed(r, v[ALLOWED]);
}
