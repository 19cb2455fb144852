/*
 * Ingress rules of Routes: which address and port is published, for which workloads.
 */
#include "policy-lang/load/load_route_internal.h"

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
	    !route_right_peer(r, &peer))
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
		return route_bad_rule(r, node->loc,
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
		return route_bad_rule(
		    r, node->loc, "a range cannot lead to a port's name");
	rule->target_name = load_text(l, node->text);
	return true;
}

bool
route_read_ingress(const struct route_reader *r)
{
	struct route_rule *rule = r->rule;
	bool ok = route_read_ports(r);

	ok &= route_read_prefixes(
	    r, r->v[F_ADDRESS], "address", &rule->addresses, &rule->address_count);
	ok &= read_backends(r);
	ok &= route_read_balance(r);
	ok = ok && read_target(r);
	if (rule->action != ROUTE_APPLY) {
		return r->v[F_TO] == NULL ? ok
					  : route_bad_rule(r, r->v[F_TO]->loc,
						"only \"publish\" has targets");
	}
	if (ok && (rule->address_count == 0 || rule->port_count == 0 ||
		      rule->backend_count == 0))
		return route_missing(
		    r, "the action \"publish\" needs address, ports and to");
	/* Where one could not be read they are not in their places, and it is an error already. */
	for (size_t i = 0; ok && i < rule->address_count; i++) {
		const struct ip_prefix *p = &rule->addresses[i];

		if (p->len != ip_bits(p->addr.family))
			return route_bad_rule(r, r->v[F_ADDRESS]->u.items[i]->loc,
			    "what is published has an address, not a network");
	}
	return ok;
}
