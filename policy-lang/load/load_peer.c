/*
 * Peers of native rules: whom a rule, a Route or a Test speaks of.
 */
#include "policy-lang/load/load_internal.h"

/* ---- fields ---- */

enum {
	PEER_F_NAMESPACE,
	PEER_F_NAMESPACES,
	PEER_F_WORKLOADS,
	PEER_F_ACCOUNT,
	PEER_F_CIDR,
	PEER_F_EXCEPT,
	PEER_F_EXTERNAL,
	PEER_F_FQDN,
	PEER_F_NODE,
	PEER_F_CLUSTER,
};

/* Of peers, and of what a Route publishes. */
#define PEER_FIELDS                                                                    \
	[PEER_F_WORKLOADS] = {"workloads", TYPE_MAP, false, NULL},                     \
	[PEER_F_NAMESPACE] = {"namespace", TYPE_STRING, false, NULL},                  \
	[PEER_F_NAMESPACES] = {"namespaces", TYPE_MAP, false, NULL},                   \
	[PEER_F_ACCOUNT] = {"serviceAccount", TYPE_STRING, false, NULL},               \
	[PEER_F_CIDR] = {"cidr", TYPE_STRING, false, LOAD_ADVICE_CIDR},                \
	[PEER_F_EXCEPT] = {"except", TYPE_LIST, false, NULL},                          \
	[PEER_F_EXTERNAL] = {"external", TYPE_STRING, false, NULL},                    \
	[PEER_F_FQDN] = {"fqdn", TYPE_STRING, false, NULL},                            \
	[PEER_F_NODE] = {"node", TYPE_STRING | TYPE_MAP, false, NULL},                 \
	[PEER_F_CLUSTER] = {"cluster", TYPE_STRING, false, NULL}
static const struct schema_field peer_fields[] = {
    PEER_FIELDS,
    {"podSelector", 0, false, "native policies say \"workloads\""},
    {"namespaceSelector", 0, false, "native policies say \"namespaces\""},
    {"ipBlock", 0, false, "native policies say \"cidr\" and \"except\""},
};

/* Fields of one family may stand together, and all of them must hold. */
enum peer_family {
	FAMILY_WORKLOADS,
	FAMILY_CIDR,
	FAMILY_EXTERNAL,
	FAMILY_FQDN,
	FAMILY_NODE
};

/* The families that each field is of, as bits. */
static const uint8_t peer_families[] = {
    [PEER_F_WORKLOADS] = 1u << FAMILY_WORKLOADS,
    [PEER_F_NAMESPACE] = 1u << FAMILY_WORKLOADS,
    [PEER_F_NAMESPACES] = 1u << FAMILY_WORKLOADS,
    [PEER_F_ACCOUNT] = 1u << FAMILY_WORKLOADS,
    [PEER_F_CIDR] = 1u << FAMILY_CIDR,
    [PEER_F_EXCEPT] = 1u << FAMILY_CIDR,
    [PEER_F_EXTERNAL] = 1u << FAMILY_EXTERNAL,
    [PEER_F_FQDN] = 1u << FAMILY_FQDN,
    [PEER_F_NODE] = 1u << FAMILY_NODE,
    [PEER_F_CLUSTER] = 1u << FAMILY_WORKLOADS | 1u << FAMILY_NODE,
};

#define PEER_VALUES                                                                    \
	[PEER_F_WORKLOADS] =                                                           \
	    {.about = "Workloads by label: of the policy's own namespace "             \
		      "and below, unless namespace or namespaces is beside it.",       \
		.map = &load_selector_schema},                                         \
	[PEER_F_NAMESPACE] =                                                           \
	    {.about = "The workloads of a subtree: an absolute path, or one "          \
		      "relative to the policy's own: . or .. or ../x.",                \
		.grammar = &grammar_relative},                                         \
	[PEER_F_NAMESPACES] =                                                          \
	    {.about = "The workloads of every namespace with these labels.",           \
		.map = &load_selector_schema},                                         \
	[PEER_F_ACCOUNT] = {.about =                                                   \
				"Workloads by the service account that they run as.",  \
	    .grammar = &grammar_subdomain},                                            \
	[PEER_F_CIDR] = {.about = "Addresses by prefix.", .grammar = &grammar_cidr},   \
	[PEER_F_EXCEPT] = {.about = "Smaller prefixes cut out of cidr.",               \
	    .each = &(const struct schema_value){.types = TYPE_STRING,                 \
		.grammar = &grammar_cidr}},                                            \
	[PEER_F_EXTERNAL] =                                                            \
	    {.about = "An ExternalNetwork by name, of the policy's namespace "         \
		      "or the nearest above it."},                                     \
	[PEER_F_FQDN] = {.about = "A domain name.", .grammar = &grammar_domain},       \
	[PEER_F_NODE] = {.about = "Nodes: a name, or a label selector over nodes.",    \
	    .map = &load_selector_schema,                                              \
	    .grammar = &grammar_subdomain},                                            \
	[PEER_F_CLUSTER] = {.about = "Only workloads, or the node, of this cluster."}
static const struct schema_value peer_values[ARRAY_LEN(peer_fields)] = {PEER_VALUES};
static const struct schema_rule peer_rules[] = {
    {.kind = SCHEMA_ONE_FAMILY,
	.families = peer_families,
	.family_count = ARRAY_LEN(peer_families)},
    {.kind = SCHEMA_NEEDS,
	.a = SCHEMA_BIT(PEER_F_EXCEPT),
	.b = SCHEMA_BIT(PEER_F_CIDR)},
};
/* Where only workloads can be meant. */
static const struct schema_rule selection_rules[] = {
    {.kind = SCHEMA_ONE_FAMILY,
	.families = peer_families,
	.family_count = ARRAY_LEN(peer_families)},
    {.kind = SCHEMA_NONE,
	.a = SCHEMA_BIT(PEER_F_CIDR) | SCHEMA_BIT(PEER_F_EXCEPT) |
	     SCHEMA_BIT(PEER_F_EXTERNAL) | SCHEMA_BIT(PEER_F_FQDN) |
	     SCHEMA_BIT(PEER_F_NODE)},
};
const struct schema load_peer_schema =
    SCHEMA_RULED("a peer", peer_fields, peer_values, peer_rules);
const struct schema load_selection_schema =
    SCHEMA_RULED("a peer", peer_fields, peer_values, selection_rules);

enum {
	PEER_F_WEIGHT = PEER_F_CLUSTER + 1
};

static const struct schema_field backend_fields[] = {
    PEER_FIELDS,
    [PEER_F_WEIGHT] = {"weight", TYPE_INT, false, NULL},
};
static const struct schema_value backend_values[] = {
    PEER_VALUES,
    [PEER_F_WEIGHT] = {.about = "Its share of the connections; 1 when absent.",
	.bounded = true,
	.min = 0,
	.max = ROUTE_WEIGHT_MAX},
};
const struct schema load_backend_schema =
    SCHEMA_RULED("a target", backend_fields, backend_values, selection_rules);

/* ---- reading ---- */

static bool
read_workloads_peer(
    const struct rule_context *c, const struct doc_node *const *v, struct peer *out)
{
	struct workload_match *m = &out->workloads;
	struct loader *l = c->l;
	bool ok = true;

	out->kind = PEER_WORKLOADS;
	if (v[PEER_F_CLUSTER] != NULL)
		m->cluster =
		    load_cluster(l, v[PEER_F_CLUSTER]->loc, v[PEER_F_CLUSTER]->text);
	if (v[PEER_F_WORKLOADS] != NULL)
		ok &= load_selector(l, v[PEER_F_WORKLOADS], API_NATIVE, &m->selector);
	if (v[PEER_F_NAMESPACES] != NULL)
		ok &=
		    load_selector(l, v[PEER_F_NAMESPACES], API_NATIVE, &m->ns_selector);
	if (v[PEER_F_NAMESPACE] != NULL) {
		m->subtree = load_relative(l, v[PEER_F_NAMESPACE], c->home);
		ok &= m->subtree != NULL;
	} else if (v[PEER_F_NAMESPACES] == NULL) {
		m->subtree = c->home;
	}
	if (v[PEER_F_ACCOUNT] == NULL)
		return ok;
	m->service_account = load_text(l, v[PEER_F_ACCOUNT]->text);
	if (name_is_subdomain(m->service_account))
		return ok;
	diag_say(l->diags, CODE_BAD_NAME, v[PEER_F_ACCOUNT]->loc,
	    "a service account's name must be %s", NAME_SUBDOMAIN_RULE);
	return false;
}

static bool
read_cidr_peer(
    const struct rule_context *c, const struct doc_node *const *v, struct peer *out)
{
	out->by_address = true;
	if (v[PEER_F_CIDR] != NULL)
		return load_block(
		    c->l, v[PEER_F_CIDR], v[PEER_F_EXCEPT], API_NATIVE, out);
	diag_say(c->l->diags, CODE_MISSING_FIELD, v[PEER_F_EXCEPT]->loc,
	    "\"except\" needs a \"cidr\" to cut out of");
	return false;
}

/* Of the model that a single source is read against. */
static const struct external_network *
external_of_model(const struct model *m, const struct ns *ns, struct str name)
{
	size_t lo = 0, hi = m->external_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct external_network *e = m->externals[mid];
		int order = str_cmp(e->ns->path, ns->path);

		if (order == 0)
			order = str_cmp(e->name, name);
		if (order == 0)
			return e;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

/* The same, with what the edit under way makes of it. */
static const struct external_network *
external_of_part(const struct loader *l, const struct ns *ns, struct str name)
{
	const struct load_externals *edit = &l->note->externals;
	const struct external_network *e = external_of_model(l->m, ns, name);

	for (size_t i = 0; i < edit->gone_count && e != NULL; i++) {
		if (edit->gone[i] == e)
			e = NULL;
	}
	for (size_t i = 0; i < edit->come_count && e == NULL; i++) {
		if (edit->come[i]->ns == ns && str_eq(edit->come[i]->name, name))
			e = edit->come[i];
	}
	return e;
}

static void
note_named(struct load_note *n, const struct doc_node *node, struct str name,
    const struct ns *from)
{
	if (n->named_count == n->named_cap) {
		n->named_cap = n->named_cap != 0 ? n->named_cap * 2 : 4;
		n->named = xreallocarray(n->named, n->named_cap, sizeof(*n->named));
	}
	n->named[n->named_count++] = (struct load_named){name, from, node->loc.source};
}

static const struct external_network *
find_external(struct loader *l, const struct ns *from, struct str name)
{
	const struct external_network *e = NULL;

	for (const struct ns *ns = from; ns != NULL && e == NULL; ns = ns->parent) {
		const char *key = arena_printf(
		    l->scratch, "%.*s\n%.*s", STR_ARG(ns->path), STR_ARG(name));

		e = map_get(&l->externals, str_from(key));
		if (e == NULL && l->note != NULL && l->note->part)
			e = external_of_part(l, ns, name);
	}
	return e;
}

static void
consider_external(
    struct nearest *n, const struct external_network *e, const struct ns *from)
{
	if (ns_within(from, e->ns))
		nearest_consider(n, e->name);
}

static void
suggest_external(
    struct loader *l, struct diag *d, const struct ns *from, struct str name)
{
	struct nearest n = nearest_to(name);

	if (!load_may_suggest(l))
		return;
	for (size_t i = 0; i < l->others[OTHER_EXTERNAL].count; i++)
		consider_external(&n, l->others[OTHER_EXTERNAL].items[i], from);
	/* Of a part; of a whole load there are none yet. */
	for (size_t i = 0; i < l->m->external_count; i++)
		consider_external(&n, l->m->externals[i], from);
	load_suggest(l, d, &n);
}

/* What is elsewhere may be another's, or be no more, while who speaks of it stays. */
static void
take_external(struct loader *l, const struct external_network *e, struct peer *out)
{
	struct str *names;

	out->prefix_count = e->prefix_count;
	out->fqdn_count = e->fqdn_count;
	out->prefixes = e->prefixes;
	out->fqdns = e->fqdns;
	if (l->note == NULL || !l->note->part)
		return;
	out->prefixes =
	    load_shared(l, e->prefixes, e->prefix_count * sizeof(*e->prefixes));
	names = ARENA_ARRAY(l->arena, e->fqdn_count, struct str);
	for (size_t i = 0; i < e->fqdn_count; i++)
		names[i] = load_text(l, e->fqdns[i]);
	out->fqdns = names;
}

static bool
read_external_peer(
    const struct rule_context *c, const struct doc_node *const *v, struct peer *out)
{
	const struct doc_node *node = v[PEER_F_EXTERNAL];
	const struct external_network *e = find_external(c->l, c->home, node->text);
	struct diag *d;

	if (e == NULL) {
		d = diag_say(c->l->diags, CODE_UNKNOWN_EXTERNAL, node->loc,
		    "no ExternalNetwork \"%.*s\" at %.*s or above it",
		    STR_ARG(node->text), STR_ARG(c->home->path));
		suggest_external(c->l, d, c->home, node->text);
		return false;
	}
	out->kind =
	    e->prefix_count == 0 && e->fqdn_count != 0 ? PEER_FQDN : PEER_NETWORK;
	out->by_address = true;
	if (c->l->note != NULL)
		note_named(c->l->note, node, load_text(c->l, node->text), c->home);
	take_external(c->l, e, out);
	return true;
}

static bool
read_fqdn_peer(
    const struct rule_context *c, const struct doc_node *const *v, struct peer *out)
{
	struct str *name = ARENA_NEW(c->l->arena, struct str);

	out->kind = PEER_FQDN;
	if (!name_is_domain(v[PEER_F_FQDN]->text)) {
		diag_say(c->l->diags, CODE_BAD_NAME, v[PEER_F_FQDN]->loc,
		    "\"fqdn\" must be %s", NAME_DOMAIN_RULE);
		return false;
	}
	*name = load_text(c->l, v[PEER_F_FQDN]->text);
	out->fqdns = name;
	out->fqdn_count = 1;
	return true;
}

/* Whether a peer's node is known; of `cluster`, ptr NULL: of any. */
static bool
node_is_known(const struct loader *l, struct str cluster, struct str name)
{
	const struct model_options *options = &l->m->options;
	bool known;

	if (cluster.ptr != NULL)
		return load_node_known(l, cluster, name);
	known = load_node_known(l, STR(""), name);
	for (size_t i = 0; !known && i < options->cluster_count; i++)
		known = load_node_known(l, options->clusters[i].name, name);
	return known;
}

/* The nodes of the model that a part is read against; of a whole load it has none yet. */
static size_t
nodes_there(const struct loader *l)
{
	return l->note != NULL && l->note->part ? l->m->node_count : 0;
}

static void
warn_of_node(struct loader *l, const struct doc_node *node)
{
	struct diag *d = diag_say(l->diags, CODE_UNKNOWN_NODE, node->loc,
	    "no node \"%.*s\" is known", STR_ARG(node->text));
	struct nearest n = nearest_to(node->text);

	if (!load_may_suggest(l))
		return;
	for (size_t i = 0; i < l->nodes.len; i++) {
		const struct node_draft *draft = l->nodes.entries[i].value;

		nearest_consider(&n, draft->node.name);
	}
	for (size_t i = 0; i < nodes_there(l); i++)
		nearest_consider(&n, l->m->nodes[i]->name);
	load_suggest(l, d, &n);
}

bool
load_node_name(
    struct loader *l, const struct doc_node *node, struct str cluster, struct str *out)
{
	if (!name_is_subdomain(node->text)) {
		diag_say(l->diags, CODE_BAD_NAME, node->loc, "a node's name must be %s",
		    NAME_SUBDOMAIN_RULE);
		return false;
	}
	*out = load_text(l, node->text);
	/* Where nothing is known of nodes at all, no name is suspicious. */
	if (l->nodes.len + nodes_there(l) != 0 && !node_is_known(l, cluster, *out))
		warn_of_node(l, node);
	return true;
}

static bool
read_node_peer(
    const struct rule_context *c, const struct doc_node *const *v, struct peer *out)
{
	const struct doc_node *node = v[PEER_F_NODE];

	out->kind = PEER_NODES;
	if (v[PEER_F_CLUSTER] != NULL)
		out->cluster =
		    load_cluster(c->l, v[PEER_F_CLUSTER]->loc, v[PEER_F_CLUSTER]->text);
	if (node->kind == DOC_MAP)
		return load_selector(c->l, node, API_NATIVE, &out->node_selector);
	return load_node_name(c->l, node, out->cluster, &out->node_name);
}

typedef bool (*peer_reader)(
    const struct rule_context *c, const struct doc_node *const *v, struct peer *out);

static const peer_reader peer_readers[] = {
    [FAMILY_WORKLOADS] = read_workloads_peer,
    [FAMILY_CIDR] = read_cidr_peer,
    [FAMILY_EXTERNAL] = read_external_peer,
    [FAMILY_FQDN] = read_fqdn_peer,
    [FAMILY_NODE] = read_node_peer,
};

bool
load_named_often(struct map *named, const struct doc_node *peer)
{
	static char once, twice;
	const struct doc_node *name = NULL;
	const void *before;

	if (peer->kind == DOC_MAP && peer->count == 1)
		name = doc_value(peer, peer_fields[PEER_F_EXTERNAL].name);
	if (name == NULL || name->kind != DOC_STRING)
		return false;
	before = map_get(named, name->text);
	(void)map_set(named, name->text, before == NULL ? &once : &twice);
	return before == &twice;
}

bool
load_native_peer(
    const struct rule_context *c, const struct doc_node *node, struct peer *out)
{
	const struct doc_node *v[ARRAY_LEN(peer_fields)];
	bool ok = schema_read(c->l->diags, &load_peer_schema, node, v);
	size_t first = ARRAY_LEN(peer_families);
	unsigned common = UINT8_MAX, family = 0;

	out->loc = node->loc;
	for (size_t i = 0; i < ARRAY_LEN(peer_families); i++) {
		if (v[i] == NULL)
			continue;
		if (first == ARRAY_LEN(peer_families))
			first = i;
		if ((common & peer_families[i]) == 0) {
			diag_say(c->l->diags, CODE_MIXED_PEER, v[i]->loc,
			    "\"%s\" and \"%s\" cannot be combined in one peer",
			    peer_fields[first].name, peer_fields[i].name);
			return false;
		}
		common &= peer_families[i];
	}
	if (first == ARRAY_LEN(peer_families)) {
		if (ok)
			diag_say(c->l->diags, CODE_EMPTY_PEER, node->loc,
			    "the peer names nobody");
		return false;
	}
	while ((common & 1u << family) == 0)
		family++;
	return peer_readers[family](c, v, out) && ok;
}
