/*
 * hostProtection: whether policy for the node itself is in force, and the ports that stay
 * open whatever it says.
 */
#include "enforcer/config/config_internal.h"
#include "policy-lang/model/fail_safe.h"

/* Who mends a node comes by this. */
#define SSH 22

static void
read_ports(struct config_reader *r, const struct doc_node *list, enum direction dir)
{
	struct fail_safe *safe = &r->config->fail_safe;
	struct fail_safe_port *ports;

	if (list->count > FAIL_SAFE_MOST) {
		diag_error(r->diags, CONFIG_VALUE, list->loc,
		    "at most %d fail-safe ports are possible", FAIL_SAFE_MOST);
		return;
	}
	ports = ARENA_ARRAY(r->arena, list->count, struct fail_safe_port);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct doc_node *n = list->u.items[i];

		if (!schema_type(r->diags, n, "a fail-safe port", TYPE_STRING))
			continue;
		if (!fail_safe_parse(n->text, &ports[i]))
			diag_error(r->diags, CONFIG_VALUE, n->loc,
			    "\"%.*s\" is no port: write it as 22/tcp or 2379-2380/tcp",
			    STR_ARG(n->text));
	}
	safe->ports[dir] = ports;
	safe->count[dir] = list->count;
}

static void
read_fail_safe(struct config_reader *r, const struct doc_node *n)
{
	static const struct schema_field fields[] = {
	    [DIR_INGRESS] = {"ingress", TYPE_LIST, false, NULL},
	    [DIR_EGRESS] = {"egress", TYPE_LIST, false, NULL},
	};
	static const struct schema schema = SCHEMA("failSafe", fields);
	const struct doc_node *v[ARRAY_LEN(fields)];

	config_fields(r, &schema, n, v);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		if (v[d] != NULL)
			read_ports(r, v[d], (enum direction)d);
	}
	if (v[DIR_INGRESS] != NULL &&
	    !fail_safe_has(&r->config->fail_safe, DIR_INGRESS, PROTO_TCP, SSH))
		diag_warn(r->diags, CONFIG_VALUE, v[DIR_INGRESS]->loc,
		    "22/tcp is not among the fail-safe ports: a mistake in policy can "
		    "lock out who comes by SSH");
}

/* true, false, or an object that says more. */
void
config_read_host(struct config_reader *r, const struct doc_node *n)
{
	enum {
		ENFORCE,
		FAIL_SAFE,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [ENFORCE] = {"enforce", TYPE_BOOL, true, NULL},
	    [FAIL_SAFE] = {"failSafe", TYPE_MAP, false, NULL},
	};
	static const struct schema schema = SCHEMA("hostProtection", fields);
	const struct doc_node *v[COUNT];

	if (n->kind == DOC_BOOL) {
		r->config->host_protection = n->u.boolean;
		return;
	}
	config_fields(r, &schema, n, v);
	r->config->host_protection = v[ENFORCE] != NULL && v[ENFORCE]->u.boolean;
	if (v[FAIL_SAFE] != NULL)
		read_fail_safe(r, v[FAIL_SAFE]);
}
