/*
 * Native Workloads and ExternalNetworks.
 */
#include "policy-lang/load/load_internal.h"

/* ---- Workload ---- */

enum {
	WL_NODE,
	WL_IPS,
	WL_PORTS,
	WL_ACCOUNT,
	WL_CLUSTER
};

static const struct schema_field workload_fields[] = {
    [WL_NODE] = {"node", TYPE_STRING, false, NULL},
    [WL_IPS] = {"ips", TYPE_LIST, false, NULL},
    [WL_PORTS] = {"ports", TYPE_LIST, false, NULL},
    [WL_ACCOUNT] = {"serviceAccount", TYPE_STRING, false, NULL},
    [WL_CLUSTER] = {"cluster", TYPE_STRING, false, NULL},
};

enum {
	WPORT_NAME,
	WPORT_PORT,
	WPORT_PROTOCOL
};

static const struct schema_field wport_fields[] = {
    [WPORT_NAME] = {"name", TYPE_STRING, true, NULL},
    [WPORT_PORT] = {"port", TYPE_INT, true, NULL},
    [WPORT_PROTOCOL] = {"protocol", TYPE_STRING, false, NULL},
};
static const char *const wport_protocols[] = {
    "tcp", "udp", "sctp", "TCP", "UDP", "SCTP"};
static const struct schema_value wport_values[] = {
    [WPORT_NAME] = {.about = "What policies may call it.",
	.grammar = &grammar_port_name},
    [WPORT_PORT] = {.about = "Its number.",
	.bounded = true,
	.min = 1,
	.max = UINT16_MAX},
    [WPORT_PROTOCOL] = {.about = "tcp when absent.",
	.names = wport_protocols,
	.name_count = ARRAY_LEN(wport_protocols)},
};
static const struct schema wport_schema =
    SCHEMA_TOLD("a port", wport_fields, wport_values);

static const struct schema_value workload_values[] = {
    [WL_NODE] = {.about = "The node that it runs on.", .grammar = &grammar_subdomain},
    [WL_IPS] = {.about = "Its addresses, of both families.",
	.most = LIMIT_ADDRESSES,
	.each =
	    &(const struct schema_value){.types = TYPE_STRING, .grammar = &grammar_ip}},
    [WL_PORTS] = {.about = "Its ports that have names.",
	.each = &(const struct schema_value){.types = TYPE_MAP, .map = &wport_schema}},
    [WL_ACCOUNT] = {.about = "The service account that it runs as."},
    [WL_CLUSTER] = {.about = "Which cluster's node it runs on, where there are "
			     "several."},
};
const struct schema load_workload_schema =
    SCHEMA_TOLD("a Workload's spec", workload_fields, workload_values);

static bool
read_wport(struct loader *l, const struct doc_node *node, struct named_port *out)
{
	const struct doc_node *v[ARRAY_LEN(wport_fields)];
	int64_t port;

	if (!schema_read(l->diags, &wport_schema, node, v) ||
	    !schema_int(l->diags, v[WPORT_PORT], "\"port\"", 1, UINT16_MAX, &port))
		return false;
	out->proto = PROTO_TCP;
	if (v[WPORT_PROTOCOL] != NULL &&
	    (!proto_parse(v[WPORT_PROTOCOL]->text, &out->proto) ||
		out->proto == PROTO_ICMP || out->proto == PROTO_ICMPV6)) {
		diag_say(l->diags, CODE_BAD_PORT, v[WPORT_PROTOCOL]->loc,
		    "\"protocol\" must be tcp, udp or sctp");
		return false;
	}
	if (!name_is_port(v[WPORT_NAME]->text)) {
		diag_say(l->diags, CODE_BAD_PORT, v[WPORT_NAME]->loc,
		    "a port's name must be %s", NAME_PORT_RULE);
		return false;
	}
	out->name = load_text(l, v[WPORT_NAME]->text);
	out->port = (uint16_t)port;
	return true;
}

static void
read_wports(struct loader *l, const struct doc_node *list, struct workload_shape *shape)
{
	struct arena_mark mark = arena_mark(l->scratch);
	struct named_port *ports =
	    ARENA_ARRAY(l->scratch, list->count, struct named_port);

	for (uint32_t i = 0; i < list->count; i++)
		shape->port_count +=
		    read_wport(l, list->u.items[i], &ports[shape->port_count]);
	shape->ports = load_named_ports(l, ports, shape->port_count);
	arena_rewind(l->scratch, &mark);
}

static void
read_ips(struct loader *l, const struct doc_node *list, struct workload *w)
{
	struct ip_addr *ips;

	if (load_too_many_addresses(l, list))
		return;
	ips = ARENA_ARRAY(l->arena, list->count, struct ip_addr);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct doc_node *item = list->u.items[i];

		if (!schema_type(l->diags, item, "an address", TYPE_STRING))
			continue;
		if (ip_parse(item->text, &ips[w->ip_count]))
			w->ip_count++;
		else
			diag_say(l->diags, CODE_BAD_ADDRESS, item->loc,
			    "\"%.*s\" is not an IP address", STR_ARG(item->text));
	}
	w->ips = ips;
}

/* The only cluster that has a node of the name; false (reported) if several have. */
static bool
cluster_of_node(struct loader *l, const struct doc_node *name, struct str *out)
{
	const struct model_options *options = &l->m->options;
	struct str found = {0};
	struct diag *d;

	for (size_t i = 0; i < options->cluster_count; i++) {
		struct str cluster = options->clusters[i].name;

		if (!load_node_known(l, cluster, name->text) || str_eq(cluster, found))
			continue;
		if (found.ptr == NULL) {
			found = cluster;
			continue;
		}
		d = diag_say(l->diags, CODE_WHICH_CLUSTER, name->loc,
		    "the clusters %.*s and %.*s both have a node \"%.*s\"",
		    STR_ARG(found), STR_ARG(cluster), STR_ARG(name->text));
		diag_hint(l->diags, d, "write \"cluster\" beside it");
		return false;
	}
	if (found.ptr != NULL)
		*out = found;
	return true;
}

/* See struct workload for the order of what counts. */
static bool
read_cluster(struct loader *l, const struct load_object *o, const struct meta *meta,
    const struct doc_node *const *v, struct str *out)
{
	*out = meta->cluster.len != 0 ? meta->cluster : o->cluster;
	if (v[WL_CLUSTER] != NULL)
		*out = load_cluster(l, v[WL_CLUSTER]->loc, v[WL_CLUSTER]->text);
	if (out->len != 0 || v[WL_NODE] == NULL)
		return true;
	return cluster_of_node(l, v[WL_NODE], out);
}

static bool
read_workload_spec(struct loader *l, const struct load_object *o,
    const struct meta *meta, const struct doc_node *spec, struct workload *w,
    struct workload_shape *shape)
{
	const struct doc_node *v[ARRAY_LEN(workload_fields)];
	struct str cluster, node = STR("");

	if (!schema_read(l->diags, &load_workload_schema, spec, v) ||
	    !read_cluster(l, o, meta, v, &cluster))
		return false;
	if (v[WL_NODE] != NULL) {
		if (!name_is_subdomain(v[WL_NODE]->text)) {
			diag_say(l->diags, CODE_BAD_NAME, v[WL_NODE]->loc,
			    "a node's name must be %s", NAME_SUBDOMAIN_RULE);
			return false;
		}
		node = load_node_draft(l, cluster, v[WL_NODE]->text)->node.name;
	}
	w->where = load_where(l, cluster, node, NULL);
	if (v[WL_ACCOUNT] != NULL)
		shape->service_account = load_text(l, v[WL_ACCOUNT]->text);
	if (v[WL_IPS] != NULL)
		read_ips(l, v[WL_IPS], w);
	if (v[WL_PORTS] != NULL)
		read_wports(l, v[WL_PORTS], shape);
	return true;
}

void
load_native_workload(struct loader *l, const struct load_object *o)
{
	struct workload *w = ARENA_NEW(l->arena, struct workload);
	struct workload_shape shape = {.service_account = STR("")};
	const struct doc_node *spec;
	struct str home;
	struct meta meta;
	bool ok = load_top(l, o, &spec);

	ok &= load_meta(l, o, META_PLACED, false, &meta);
	if (!ok)
		return;
	w->ns = load_home(l, o, &meta);
	if (w->ns == NULL || !load_claim_native(l, o, &meta))
		return;
	w->name = meta.name;
	w->where = load_where(
	    l, meta.cluster.len != 0 ? meta.cluster : o->cluster, STR(""), NULL);
	w->loc = meta.loc;
	shape.labels = meta.labels;
	home = model_display_of_ns(l->scratch, w->ns);
	shape.owner_at = (uint32_t)home.len;
	shape.owner_len = (uint32_t)w->name.len;
	shape.display =
	    load_text(l, STR_CONCAT(l->scratch, home, w->name, STR("[Workload]")));
	if (spec != NULL && !read_workload_spec(l, o, &meta, spec, w, &shape))
		return;
	w->shape = load_shape(l, &shape);
	ptr_vec_push(&l->workloads, w);
}

/* ---- ExternalNetwork ---- */

enum {
	EXT_CIDRS,
	EXT_FQDNS
};

static const struct schema_field external_fields[] = {
    [EXT_CIDRS] = {"cidrs", TYPE_LIST, false, NULL},
    [EXT_FQDNS] = {"fqdns", TYPE_LIST, false, NULL},
};
static const struct schema_value external_values[] = {
    [EXT_CIDRS] = {.about = "Address prefixes.",
	.each = &(
	    const struct schema_value){.types = TYPE_STRING, .grammar = &grammar_cidr}},
    [EXT_FQDNS] = {.about = "Domain names; *. in front stands for any labels.",
	.each = &(const struct schema_value){.types = TYPE_STRING,
	    .grammar = &grammar_domain}},
};
const struct schema load_external_schema =
    SCHEMA_TOLD("an ExternalNetwork's spec", external_fields, external_values);

/* What is right of it counts, so that policies that refer to it find it. */
static void
read_external_spec(
    struct loader *l, const struct doc_node *spec, struct external_network *e)
{
	const struct doc_node *v[ARRAY_LEN(external_fields)];
	struct ip_prefix *prefixes;
	bool ok = schema_read(l->diags, &load_external_schema, spec, v);

	if (v[EXT_CIDRS] != NULL) {
		prefixes = ARENA_ARRAY(l->arena, v[EXT_CIDRS]->count, struct ip_prefix);
		e->prefixes = prefixes;
		for (uint32_t i = 0; i < v[EXT_CIDRS]->count; i++) {
			if (load_cidr(l, v[EXT_CIDRS]->u.items[i], false,
				&prefixes[e->prefix_count], NULL))
				e->prefix_count++;
			else
				ok = false;
		}
	}
	if (v[EXT_FQDNS] != NULL)
		ok &= load_strings(l, v[EXT_FQDNS], "an fqdn", name_is_domain,
		    NAME_DOMAIN_RULE, &e->fqdns, &e->fqdn_count);
	if (ok && e->prefix_count == 0 && e->fqdn_count == 0)
		diag_say(l->diags, CODE_EMPTY_EXTERNAL, spec->loc,
		    "the ExternalNetwork \"%.*s\" has neither cidrs nor fqdns",
		    STR_ARG(e->name));
}

void
load_external(struct loader *l, const struct load_object *o)
{
	struct external_network *e = ARENA_NEW(l->arena, struct external_network);
	const struct doc_node *spec;
	struct meta meta;
	const char *key;
	bool ok = load_top(l, o, &spec);

	ok &= load_meta(l, o, META_PLACED, false, &meta);
	e->ns = load_home(l, o, &meta);
	if (!ok || e->ns == NULL ||
	    !load_claim(l, "ExternalNetwork", (struct str){0}, e->ns->path, meta.name,
		meta.loc))
		return;
	e->name = meta.name;
	e->loc = meta.loc;
	if (spec == NULL)
		diag_say(l->diags, CODE_MISSING_FIELD, meta.loc,
		    "ExternalNetwork needs \"spec\"");
	else
		read_external_spec(l, spec, e);
	key = arena_printf(
	    l->scratch, "%.*s\n%.*s", STR_ARG(e->ns->path), STR_ARG(e->name));
	map_set(&l->externals, str_from(key), e);
	ptr_vec_push(&l->others[OTHER_EXTERNAL], e);
}
