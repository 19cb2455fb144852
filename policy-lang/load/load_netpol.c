/*
 * networking.k8s.io/v1 NetworkPolicy: an `allow` block of its Kubernetes namespace.
 * Checked as the API server checks it (pkg/apis/networking/validation), with its
 * readings of null: a null list item is the empty object.
 */
#include "policy-lang/load/load_internal.h"

/* ---- ports ---- */

enum {
	PORT_PROTOCOL,
	PORT_PORT,
	PORT_END
};

static const struct schema_field port_fields[] = {
    [PORT_PROTOCOL] = {"protocol", TYPE_STRING, false, NULL},
    [PORT_PORT] = {"port", TYPE_INT | TYPE_STRING, false, NULL},
    [PORT_END] = {"endPort", TYPE_INT, false, NULL},
};
static const struct schema port_schema = SCHEMA("a port", port_fields);

static const char *const protocol_names[] = {"TCP", "UDP", "SCTP"};

static bool
read_port_number(struct loader *l, const struct doc_node *port,
    const struct doc_node *end, struct port_match *out)
{
	int64_t lo, hi;

	if (!schema_int(l->diags, port, "\"port\"", 1, UINT16_MAX, &lo))
		return false;
	hi = lo;
	if (end != NULL &&
	    !schema_int(l->diags, end, "\"endPort\"", 1, UINT16_MAX, &hi))
		return false;
	if (hi < lo) {
		diag_say(l->diags, CODE_BAD_PORT, end->loc,
		    "\"endPort\" is less than \"port\"");
		return false;
	}
	out->lo = (uint16_t)lo;
	out->hi = (uint16_t)hi;
	return true;
}

static bool
read_port_name(struct loader *l, const struct doc_node *port, struct port_match *out)
{
	uint64_t number;
	struct diag *d;

	if (!name_is_port(port->text)) {
		d = diag_say(l->diags, CODE_BAD_PORT, port->loc,
		    "a port's name must be %s", NAME_PORT_RULE);
		if (str_to_u64(port->text, UINT16_MAX, &number))
			diag_hint(l->diags, d, "for the number, leave out the quotes");
		return false;
	}
	out->kind = PORT_NAMED;
	out->name = load_text(l, port->text);
	return true;
}

static bool
read_port(struct loader *l, const struct doc_node *node, struct port_match *out)
{
	const struct doc_node *v[ARRAY_LEN(port_fields)];
	struct doc_node empty;
	size_t protocol = 0; /* TCP, even of `{}` */
	bool ok;

	node = load_item(API_CORE, node, &empty);
	ok = schema_read(l->diags, &port_schema, node, v);
	*out = (struct port_match){.kind = PORT_NUMBERS, .loc = node->loc};
	if (v[PORT_PROTOCOL] != NULL)
		ok &= schema_enum(l->diags, v[PORT_PROTOCOL], "\"protocol\"",
		    protocol_names, ARRAY_LEN(protocol_names), &protocol);
	if (!proto_parse(str_from(protocol_names[protocol]), &out->proto))
		return false;
	if (v[PORT_PORT] == NULL) {
		out->hi = UINT16_MAX;
		if (v[PORT_END] == NULL)
			return ok;
		diag_say(l->diags, CODE_BAD_PORT, v[PORT_END]->loc,
		    "\"endPort\" needs \"port\" beside it");
		return false;
	}
	if (v[PORT_PORT]->kind == DOC_INT)
		return read_port_number(l, v[PORT_PORT], v[PORT_END], out) && ok;
	if (v[PORT_END] != NULL) {
		diag_say(l->diags, CODE_BAD_PORT, v[PORT_END]->loc,
		    "\"endPort\" needs a \"port\" that is a number");
		ok = false;
	}
	return read_port_name(l, v[PORT_PORT], out) && ok;
}

/* ---- peers ---- */

enum {
	PEER_POD_SELECTOR,
	PEER_NS_SELECTOR,
	PEER_IP_BLOCK
};

static const struct schema_field peer_fields[] = {
    [PEER_POD_SELECTOR] = {"podSelector", TYPE_MAP, false, NULL},
    [PEER_NS_SELECTOR] = {"namespaceSelector", TYPE_MAP, false, NULL},
    [PEER_IP_BLOCK] = {"ipBlock", TYPE_MAP, false, NULL},
};
static const struct schema peer_schema = SCHEMA("a peer", peer_fields);

enum {
	BLOCK_CIDR,
	BLOCK_EXCEPT
};

static const struct schema_field block_fields[] = {
    [BLOCK_CIDR] = {"cidr", TYPE_STRING, true, LOAD_ADVICE_CIDR},
    [BLOCK_EXCEPT] = {"except", TYPE_LIST, false, NULL},
};
static const struct schema block_schema = SCHEMA("an ipBlock", block_fields);

static bool
read_block(const struct rule_context *c, const struct doc_node *node, struct peer *out)
{
	const struct doc_node *v[ARRAY_LEN(block_fields)];
	struct loader *l = c->l;

	if (!schema_read(l->diags, &block_schema, node, v))
		return false;
	out->by_address = !l->m->options.ip_blocks_skip_pods;
	out->cluster = c->cluster;
	return load_block(l, v[BLOCK_CIDR], v[BLOCK_EXCEPT], API_CORE, out);
}

static bool
read_peer(const struct rule_context *c, const struct doc_node *node, struct peer *out)
{
	const struct doc_node *v[ARRAY_LEN(peer_fields)];
	struct doc_node empty;
	bool ok;

	node = load_item(API_CORE, node, &empty);
	ok = schema_read(c->l->diags, &peer_schema, node, v);
	out->loc = node->loc;
	out->kind = PEER_WORKLOADS;
	if (v[PEER_POD_SELECTOR] != NULL)
		ok &= load_selector(
		    c->l, v[PEER_POD_SELECTOR], API_CORE, &out->workloads.selector);
	if (v[PEER_NS_SELECTOR] != NULL)
		ok &= load_selector(
		    c->l, v[PEER_NS_SELECTOR], API_CORE, &out->workloads.ns_selector);
	if (v[PEER_NS_SELECTOR] != NULL)
		out->workloads.cluster = c->cluster;
	else
		out->workloads.kube = c->policy->subject.kube;
	if (v[PEER_IP_BLOCK] == NULL) {
		if (!ok || v[PEER_POD_SELECTOR] != NULL || v[PEER_NS_SELECTOR] != NULL)
			return ok;
		diag_say(c->l->diags, CODE_EMPTY_PEER, node->loc,
		    "a peer needs podSelector, namespaceSelector or ipBlock");
		return false;
	}
	ok &= read_block(c, v[PEER_IP_BLOCK], out);
	if (v[PEER_POD_SELECTOR] != NULL || v[PEER_NS_SELECTOR] != NULL) {
		diag_say(c->l->diags, CODE_MIXED_PEER, v[PEER_IP_BLOCK]->loc,
		    "ipBlock cannot be combined with a selector in one peer");
		return false;
	}
	return ok;
}

/* ---- rules ---- */

enum {
	RULE_PEERS,
	RULE_PORTS
};

static const struct schema_field rule_fields[DIRECTION_COUNT][3] = {
    [DIR_INGRESS] =
	{
	    [RULE_PEERS] = {"from", TYPE_LIST, false, NULL},
	    [RULE_PORTS] = {"ports", TYPE_LIST, false, NULL},
	    {"to", 0, false, "an ingress rule has \"from\""},
	},
    [DIR_EGRESS] =
	{
	    [RULE_PEERS] = {"to", TYPE_LIST, false, NULL},
	    [RULE_PORTS] = {"ports", TYPE_LIST, false, NULL},
	    {"from", 0, false, "an egress rule has \"to\""},
	},
};
static const struct schema rule_schemas[DIRECTION_COUNT] = {
    [DIR_INGRESS] = SCHEMA("an ingress rule", rule_fields[DIR_INGRESS]),
    [DIR_EGRESS] = SCHEMA("an egress rule", rule_fields[DIR_EGRESS]),
};

static bool
read_rule(const struct rule_context *c, const struct doc_node *node, struct rule *rule)
{
	const struct doc_node *v[ARRAY_LEN(rule_fields[0])];
	struct port_match *ports;
	struct doc_node empty;
	struct peer *peers;
	bool ok;

	node = load_item(API_CORE, node, &empty);
	ok = schema_read(c->l->diags, &rule_schemas[c->dir], node, v);
	rule->action = ACTION_ALLOW;
	rule->any_peer = v[RULE_PEERS] == NULL || v[RULE_PEERS]->count == 0;
	if (!rule->any_peer) {
		rule->peer_count = v[RULE_PEERS]->count;
		peers = ARENA_ARRAY(c->l->arena, rule->peer_count, struct peer);
		for (size_t i = 0; i < rule->peer_count; i++)
			ok &= read_peer(c, v[RULE_PEERS]->u.items[i], &peers[i]);
		rule->peers = peers;
	}
	rule->any_port = v[RULE_PORTS] == NULL || v[RULE_PORTS]->count == 0;
	if (!rule->any_port) {
		rule->port_count = v[RULE_PORTS]->count;
		ports = ARENA_ARRAY(c->l->arena, rule->port_count, struct port_match);
		for (size_t i = 0; i < rule->port_count; i++)
			ok &= read_port(c->l, v[RULE_PORTS]->u.items[i], &ports[i]);
		rule->ports = ports;
	}
	return ok;
}

/* ---- the policy ---- */

enum {
	SPEC_POD_SELECTOR,
	SPEC_INGRESS,
	SPEC_EGRESS,
	SPEC_TYPES
};

static const struct schema_field spec_fields[] = {
    [SPEC_POD_SELECTOR] = {"podSelector", TYPE_MAP, false, NULL},
    [SPEC_INGRESS] = {"ingress", TYPE_LIST, false, NULL},
    [SPEC_EGRESS] = {"egress", TYPE_LIST, false, NULL},
    [SPEC_TYPES] = {"policyTypes", TYPE_LIST, false, NULL},
};
static const struct schema spec_schema = SCHEMA("a NetworkPolicy's spec", spec_fields);

static const char *const type_names[DIRECTION_COUNT] = {"Ingress", "Egress"};

static bool
read_types(struct loader *l, const struct doc_node *list, struct policy *p)
{
	bool ok = true;

	for (uint32_t i = 0; i < list->count; i++) {
		const struct doc_node *item = list->u.items[i];
		size_t dir;

		if (!schema_type(l->diags, item, "a policy type", TYPE_STRING) ||
		    !schema_enum(l->diags, item, "a policy type", type_names,
			DIRECTION_COUNT, &dir)) {
			ok = false;
			continue;
		}
		p->isolates[dir] = true;
		p->isolate_loc[dir] = item->loc;
	}
	if (list->count > DIRECTION_COUNT) {
		diag_say(l->diags, CODE_TOO_MANY, list->loc,
		    "\"policyTypes\" may have at most two entries");
		ok = false;
	}
	return ok;
}

/* Which directions are isolated; absent, it follows from the rules. */
static bool
read_isolation(struct loader *l, const struct doc_node *const *v, struct policy *p)
{
	const struct doc_node *egress = v[SPEC_EGRESS];

	p->isolate_loc[DIR_INGRESS] = p->loc;
	p->isolate_loc[DIR_EGRESS] = p->loc;
	if (v[SPEC_TYPES] != NULL && v[SPEC_TYPES]->count != 0)
		return read_types(l, v[SPEC_TYPES], p);
	p->isolates[DIR_INGRESS] = true;
	if (v[SPEC_INGRESS] != NULL)
		p->isolate_loc[DIR_INGRESS] = v[SPEC_INGRESS]->loc;
	p->isolates[DIR_EGRESS] = egress != NULL && egress->count != 0;
	if (egress != NULL)
		p->isolate_loc[DIR_EGRESS] = egress->loc;
	return true;
}

static void
read_rules(struct rule_context *c, const struct doc_node *list)
{
	struct rule_list *rules = &c->policy->allow[c->dir];

	rule_list_init(c, rules, list);
	for (size_t i = 0; i < rules->count; i++) {
		struct rule *rule = &rules->rules[i];

		if (!read_rule(c, list->u.items[i], rule) || !c->subject_ok)
			rule_fail_closed(rule);
	}
	if (c->policy->isolates[c->dir])
		return;
	/* Rules of a direction that policyTypes leaves out have no effect. */
	if (rules->count > 0)
		diag_hint(c->l->diags,
		    diag_say(c->l->diags, CODE_IGNORED_RULES, list->loc,
			"these rules have no effect: policyTypes leaves %s out",
			type_names[c->dir]),
		    "add %s to policyTypes", type_names[c->dir]);
	*rules = (struct rule_list){0};
}

static bool
read_subject(struct loader *l, const struct doc_node *spec, const struct doc_node *node,
    struct policy *p)
{
	const struct doc_node *written = doc_get(spec, "podSelector");

	if (node != NULL)
		return load_selector(l, node, API_CORE, &p->subject.selector);
	p->subject.selector = load_selector_all(l, p->loc);
	if (written == NULL)
		return true;
	if (written->kind == DOC_NULL)
		diag_hint(l->diags,
		    diag_say(l->diags, CODE_NULL_SELECTOR, written->loc,
			"a null podSelector selects every pod of the namespace"),
		    "write {} if that is meant");
	return written->kind == DOC_NULL;
}

void
load_network_policy(struct loader *l, const struct load_object *o)
{
	const struct doc_node *v[ARRAY_LEN(spec_fields)] = {NULL};
	struct rule_context c = {
	    .l = l, .phase = PHASE_ALLOW, .cluster = load_sight(l, o)};
	const struct kube_ns *kube = NULL;
	const struct doc_node *spec;
	struct meta meta;
	bool ok = load_top(l, o, &spec);

	ok &= load_meta(l, o, META_NAMESPACED, false, &meta);
	if (meta.ns.len != 0 && meta.name.len != 0) {
		kube = &load_kube_ns(l, o->cluster, meta.ns)->kube;
		if (!load_claim(
			l, "NetworkPolicy", o->cluster, meta.ns, meta.name, meta.loc))
			return;
	}
	c.policy = load_policy_new(
	    l, POLICY_NETWORK_POLICY, &meta, kube != NULL ? kube->ns : NULL, meta.loc);
	c.policy->subject.kube = kube;
	c.policy->cluster = load_text(l, o->cluster);
	if (spec != NULL)
		ok &= schema_read(l->diags, &spec_schema, spec, v);
	else
		spec = o->doc;
	c.subject_ok = read_subject(l, spec, v[SPEC_POD_SELECTOR], c.policy);
	c.subject_ok &= read_isolation(l, v, c.policy) && ok;
	if (!c.subject_ok) /* which directions is not certain either */
		c.policy->isolates[DIR_INGRESS] = c.policy->isolates[DIR_EGRESS] = true;
	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++) {
		c.dir = (enum direction)dir;
		if (v[SPEC_INGRESS + dir] != NULL)
			read_rules(&c, v[SPEC_INGRESS + dir]);
	}
}
