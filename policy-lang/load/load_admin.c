/*
 * The cluster-wide policies of policy.networking.k8s.io: AdminNetworkPolicy and
 * BaselineAdminNetworkPolicy (v1alpha1), ClusterNetworkPolicy (v1alpha2). All stand
 * at /. Checked as their CRDs' schemas check them; three dialects of one language.
 */
#include "policy-lang/load/load_admin.h"

/* ---- subjects and peers ---- */

enum {
	PODS_NAMESPACES,
	PODS_PODS
};

static const struct schema_field old_pods_fields[] = {
    [PODS_NAMESPACES] = {"namespaceSelector", TYPE_MAP, true, NULL},
    [PODS_PODS] = {"podSelector", TYPE_MAP, false, NULL},
};
static const struct schema_field new_pods_fields[] = {
    [PODS_NAMESPACES] = {"namespaceSelector", TYPE_MAP, false, NULL},
    [PODS_PODS] = {"podSelector", TYPE_MAP, true, NULL},
};

static const struct schema old_pods_schema = SCHEMA("\"pods\"", old_pods_fields);
static const struct schema new_pods_schema = SCHEMA("\"pods\"", new_pods_fields);

static bool
read_pods(const struct admin_context *c, const struct doc_node *node,
    struct workload_match *m)
{
	const struct doc_node *v[ARRAY_LEN(new_pods_fields)];
	struct loader *l = c->rule.l;
	bool ok = schema_read(l->diags,
	    c->dialect->old_pods ? &old_pods_schema : &new_pods_schema, node, v);

	/* The CRD of v1alpha1 wants it, but there are files without; they mean all. */
	if (ok && v[PODS_PODS] == NULL)
		diag_say(l->diags, CODE_ABSENT_SELECTOR, node->loc,
		    "\"pods\" without \"podSelector\" means every pod; an API server "
		    "refuses it");
	if (v[PODS_NAMESPACES] != NULL)
		ok &= load_selector(l, v[PODS_NAMESPACES], API_CRD, &m->ns_selector);
	if (v[PODS_PODS] != NULL)
		ok &= load_selector(l, v[PODS_PODS], API_CRD, &m->selector);
	return ok;
}

enum {
	WHO_NAMESPACES,
	WHO_PODS,
	WHO_NETWORKS,
	WHO_NODES,
	WHO_DOMAINS
};

/* A prefix of this table is a subject, an ingress peer, an egress peer. */
static const struct schema_field who_fields[] = {
    [WHO_NAMESPACES] = {"namespaces", TYPE_MAP, false, NULL},
    [WHO_PODS] = {"pods", TYPE_MAP, false, NULL},
    [WHO_NETWORKS] = {"networks", TYPE_LIST, false, NULL},
    [WHO_NODES] = {"nodes", TYPE_MAP, false, NULL},
    [WHO_DOMAINS] = {"domainNames", TYPE_LIST, false, NULL},
};

bool
admin_read_one(struct loader *l, const struct schema *schema,
    const struct doc_node *node, const struct doc_node **v, size_t *out_which)
{
	bool ok = schema_read(l->diags, schema, node, v);
	size_t set = 0;

	for (size_t i = 0; i < schema->count; i++) {
		if (v[i] == NULL)
			continue;
		*out_which = i;
		set++;
	}
	if (ok && set != 1)
		diag_say(l->diags, set == 0 ? CODE_MISSING_FIELD : CODE_TOO_MANY,
		    node->loc, "%s must have exactly one field set", schema->what);
	return ok && set == 1;
}

static bool
check_size(struct loader *l, const struct doc_node *list, const char *what, size_t min,
    size_t max)
{
	if (list->count >= min && list->count <= max)
		return true;
	diag_say(l->diags, CODE_TOO_MANY, list->loc,
	    "\"%s\" must have from %zu to %zu items, not %u", what, min, max,
	    (unsigned)list->count);
	return false;
}

/* The CRDs make these lists sets. */
static bool
check_set(struct loader *l, const struct doc_node *list)
{
	for (uint32_t i = 1; i < list->count; i++) {
		const struct doc_node *item = list->u.items[i];

		for (uint32_t j = 0; j < i; j++) {
			if (item->kind != DOC_STRING ||
			    list->u.items[j]->kind != DOC_STRING ||
			    !str_eq(item->text, list->u.items[j]->text))
				continue;
			diag_say(l->diags, CODE_DUPLICATE_VALUE, item->loc,
			    "\"%.*s\" is in the list twice", STR_ARG(item->text));
			return false;
		}
	}
	return true;
}

static bool
read_networks(
    const struct admin_context *c, const struct doc_node *list, struct peer *out)
{
	struct loader *l = c->rule.l;
	struct ip_prefix *prefixes;
	bool ok = true;

	out->kind = PEER_NETWORK;
	out->by_address = true;
	if (!check_size(l, list, "networks", 1, ADMIN_NETWORKS_MAX) ||
	    !check_set(l, list))
		return false;
	prefixes = ARENA_ARRAY(l->arena, list->count, struct ip_prefix);
	for (uint32_t i = 0; i < list->count; i++) {
		const struct doc_node *item = list->u.items[i];

		ok &= load_cidr(l, item, false, &prefixes[i], NULL);
		if (item->text.len <= ADMIN_CIDR_BYTES)
			continue;
		diag_say(l->diags, CODE_BAD_CIDR, item->loc,
		    "a network must have at most %d characters", ADMIN_CIDR_BYTES);
		ok = false;
	}
	out->prefixes = prefixes;
	out->prefix_count = list->count;
	return ok;
}

static bool
read_domains(
    const struct admin_context *c, const struct doc_node *list, struct peer *out)
{
	struct loader *l = c->rule.l;

	out->kind = PEER_FQDN;
	return check_size(l, list, "domainNames", 1, ADMIN_DOMAINS_MAX) &&
	       check_set(l, list) &&
	       load_strings(l, list, "a domain name", name_is_domain, NAME_DOMAIN_RULE,
		   &out->fqdns, &out->fqdn_count);
}

static bool
read_peer(const struct admin_context *c, const struct doc_node *node, struct peer *out)
{
	const struct schema schema = {.what = "a peer",
	    .fields = who_fields,
	    .count =
		c->rule.dir == DIR_INGRESS ? WHO_PODS + 1 : c->dialect->egress_peers};
	const struct doc_node *v[ARRAY_LEN(who_fields)];
	struct loader *l = c->rule.l;
	size_t which;

	out->loc = node->loc;
	out->kind = PEER_WORKLOADS;
	out->cluster = out->workloads.cluster = c->rule.cluster;
	if (!admin_read_one(l, &schema, node, v, &which))
		return false;
	switch (which) {
	case WHO_NAMESPACES:
		return load_selector(l, v[which], API_CRD, &out->workloads.ns_selector);
	case WHO_PODS:
		return read_pods(c, v[which], &out->workloads);
	case WHO_NETWORKS:
		return read_networks(c, v[which], out);
	case WHO_NODES:
		out->kind = PEER_NODES;
		return load_selector(l, v[which], API_CRD, &out->node_selector);
	default:
		return read_domains(c, v[which], out);
	}
}

static bool
read_subject(struct admin_context *c, const struct doc_node *node)
{
	const struct schema schema = {
	    .what = "a subject", .fields = who_fields, .count = WHO_PODS + 1};
	const struct doc_node *v[WHO_PODS + 1];
	struct workload_match *m = &c->rule.policy->subject;
	size_t which;

	if (!admin_read_one(c->rule.l, &schema, node, v, &which))
		return false;
	if (which == WHO_PODS)
		return read_pods(c, v[which], m);
	return load_selector(c->rule.l, v[which], API_CRD, &m->ns_selector);
}

/* ---- rules ---- */

enum {
	RULE_NAME,
	RULE_ACTION,
	RULE_PEERS,
	RULE_PORTS
};

static bool
read_peers(struct admin_context *c, const struct doc_node *list, struct rule *rule)
{
	const char *what = c->rule.dir == DIR_INGRESS ? "from" : "to";
	struct peer *peers;
	bool ok = check_size(c->rule.l, list, what, 1, c->dialect->items_max);

	rule->peer_count = list->count;
	peers = ARENA_ARRAY(c->rule.l->arena, list->count, struct peer);
	for (size_t i = 0; i < list->count; i++) {
		ok &= read_peer(c, list->u.items[i], &peers[i]);
		c->unnamed_peer |= peers[i].kind != PEER_WORKLOADS;
	}
	rule->peers = peers;
	return ok;
}

static bool
read_ports(struct admin_context *c, const struct doc_node *list, struct rule *rule)
{
	struct port_match *ports;
	bool ok = check_size(
	    c->rule.l, list, c->dialect->ports_name, 1, c->dialect->items_max);

	rule->any_port = false;
	ports = ARENA_ARRAY(c->rule.l->arena, list->count, struct port_match);
	for (size_t i = 0; i < list->count; i++) {
		struct port_match *p = &ports[rule->port_count];
		const struct doc_node *item = list->u.items[i];

		*p = (struct port_match){.kind = PORT_NUMBERS, .loc = item->loc};
		if (!c->dialect->read_port(c->rule.l, item, p))
			ok = false;
		else if (p->kind == PORT_NAMED || p->lo <= p->hi)
			rule->port_count++;
		if (p->kind == PORT_NAMED && c->unnamed_peer) {
			diag_say(c->rule.l->diags, CODE_NAMED_PORT_PEER, item->loc,
			    "networks, nodes and domain names have no named ports");
			ok = false;
		}
	}
	rule->ports = ports;
	return ok;
}

/* Schemas count characters; a text is UTF-8 once it has been read. */
static size_t
characters(struct str text)
{
	size_t count = 0;

	for (size_t i = 0; i < text.len; i++)
		count += ((unsigned char)text.ptr[i] & 0xc0) != 0x80;
	return count;
}

static bool
read_rule(struct admin_context *c, const struct doc_node *node, struct rule *rule)
{
	const struct doc_node *v[RULE_PORTS + 1];
	struct loader *l = c->rule.l;
	size_t action = ACTION_DENY;
	bool ok = schema_read(l->diags, &c->dialect->rules[c->rule.dir], node, v);

	if (v[RULE_ACTION] != NULL)
		ok &= schema_enum(l->diags, v[RULE_ACTION], "\"action\"",
		    c->dialect->actions, c->dialect->action_count, &action);
	rule->action = (enum action)action;
	if (v[RULE_NAME] != NULL) {
		rule->name = load_text(l, v[RULE_NAME]->text);
		if (characters(rule->name) > ADMIN_NAME_CHARACTERS) {
			diag_say(l->diags, CODE_BAD_NAME, v[RULE_NAME]->loc,
			    "a rule's name must have at most %d characters",
			    ADMIN_NAME_CHARACTERS);
			ok = false;
		}
	}
	c->unnamed_peer = false;
	if (v[RULE_PEERS] != NULL)
		ok &= read_peers(c, v[RULE_PEERS], rule);
	rule->any_port = true;
	if (v[RULE_PORTS] != NULL)
		ok &= read_ports(c, v[RULE_PORTS], rule);
	return ok;
}

static void
read_rules(struct admin_context *c, const struct doc_node *list)
{
	struct policy *p = c->rule.policy;
	struct rule_list *lists =
	    c->rule.phase == PHASE_MANDATORY ? p->mandatory : p->defaults;
	struct rule_list *rules = &lists[c->rule.dir];

	if (!check_size(
		c->rule.l, list, direction_name(c->rule.dir), 0, c->dialect->items_max))
		c->rule.subject_ok = false;
	rule_list_init(&c->rule, rules, list);
	for (size_t i = 0; i < rules->count; i++) {
		struct rule *rule = &rules->rules[i];
		bool ok = read_rule(c, list->u.items[i], rule);

		if (!ok || (!c->rule.subject_ok && rule->action == ACTION_ALLOW))
			rule_fail_closed(rule);
	}
}

/* ---- policies ---- */

static bool
read_place(struct admin_context *c, const struct doc_node *const *v)
{
	static const char *const tiers[] = {"Admin", "Baseline"};
	struct policy *p = c->rule.policy;
	int64_t priority = 0;
	size_t tier = 0;
	bool ok = true;

	c->rule.phase = PHASE_MANDATORY;
	if (v[ADMIN_PRIORITY] != NULL)
		ok &= schema_int(c->rule.l->diags, v[ADMIN_PRIORITY], "\"priority\"", 0,
		    ADMIN_PRIORITY_MAX, &priority);
	p->priority = (int32_t)priority;
	if (p->kind == POLICY_BASELINE) {
		c->rule.phase = PHASE_DEFAULT;
		p->priority = INT32_MAX; /* behind every other default at / */
	}
	if (v[ADMIN_TIER] != NULL) {
		ok &= schema_enum(c->rule.l->diags, v[ADMIN_TIER], "\"tier\"", tiers,
		    ARRAY_LEN(tiers), &tier);
		c->rule.phase = tier == 0 ? PHASE_MANDATORY : PHASE_DEFAULT;
	}
	return ok;
}

static void
read_policy(struct admin_context *c, const struct doc_node *spec, bool ok)
{
	const struct doc_node *v[ADMIN_SPEC_FIELDS] = {NULL};
	struct loader *l = c->rule.l;

	ok &= schema_read(l->diags, &c->dialect->spec, spec, v);
	if (v[ADMIN_SUBJECT] != NULL)
		ok &= read_subject(c, v[ADMIN_SUBJECT]);
	ok &= read_place(c, v);
	c->rule.subject_ok = ok;
	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++) {
		c->rule.dir = (enum direction)dir;
		if (v[ADMIN_INGRESS + dir] != NULL)
			read_rules(c, v[ADMIN_INGRESS + dir]);
	}
}

static void
load_dialect(
    struct loader *l, const struct load_object *o, const struct admin_dialect *dialect)
{
	struct admin_context c = {
	    .dialect = dialect, .rule = {.l = l, .cluster = load_sight(l, o)}};
	const struct doc_node *spec;
	struct meta meta;
	bool ok = load_top(l, o, &spec);

	ok &= load_meta(l, o, META_CLUSTER, false, &meta);
	if (meta.name.len != 0 && !load_claim(l, o->kind->kind, o->cluster,
				      (struct str){0}, meta.name, meta.loc))
		return;
	if (dialect->kind == POLICY_BASELINE && meta.name.len != 0 &&
	    !str_is(meta.name, "default")) {
		diag_say(l->diags, CODE_BAD_NAME, meta.loc,
		    "the only BaselineAdminNetworkPolicy is named \"default\"");
		ok = false;
	}
	if (spec == NULL) {
		if (doc_value(o->doc, "spec") == NULL)
			diag_say(l->diags, CODE_MISSING_FIELD, meta.loc,
			    "%s needs \"spec\"", o->kind->kind);
		return;
	}
	c.rule.policy = load_policy_new(l, dialect->kind, &meta, l->m->root, meta.loc);
	c.rule.home = l->m->root;
	c.rule.policy->cluster = load_text(l, o->cluster);
	c.rule.policy->subject.cluster = c.rule.cluster;
	read_policy(&c, spec, ok);
}

void
load_admin_policy(struct loader *l, const struct load_object *o)
{
	load_dialect(l, o, &admin_dialect_anp);
}

void
load_baseline_policy(struct loader *l, const struct load_object *o)
{
	load_dialect(l, o, &admin_dialect_banp);
}

void
load_cluster_policy(struct loader *l, const struct load_object *o)
{
	load_dialect(l, o, &admin_dialect_cnp);
}
