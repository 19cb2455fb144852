/*
 * The native Policy.
 */
#include "policy-lang/load/load_internal.h"

/* ---- rules ---- */

enum {
	RULE_NAME,
	RULE_ACTION,
	RULE_PEERS,
	RULE_PORTS
};

static const struct schema_field rule_fields[DIRECTION_COUNT][5] = {
    [DIR_INGRESS] =
	{
	    [RULE_NAME] = {"name", TYPE_STRING, false, NULL},
	    [RULE_ACTION] = {"action", TYPE_STRING, false, NULL},
	    [RULE_PEERS] = {"from", TYPE_LIST, false, NULL},
	    [RULE_PORTS] = {"ports", TYPE_LIST, false, NULL},
	    {"to", 0, false, "an ingress rule has \"from\""},
	},
    [DIR_EGRESS] =
	{
	    [RULE_NAME] = {"name", TYPE_STRING, false, NULL},
	    [RULE_ACTION] = {"action", TYPE_STRING, false, NULL},
	    [RULE_PEERS] = {"to", TYPE_LIST, false, NULL},
	    [RULE_PORTS] = {"ports", TYPE_LIST, false, NULL},
	    {"from", 0, false, "an egress rule has \"to\""},
	},
};
static const char *const action_names[] = {
    [ACTION_ALLOW] = "allow",
    [ACTION_DENY] = "deny",
    [ACTION_PASS] = "pass",
};

/* Rules of allow blocks only allow, and need not say so. */
enum rule_style {
	RULE_ALLOWS,
	RULE_JUDGES
};

#define RULE_VALUES(peers, action_count)                                               \
	{                                                                              \
		[RULE_NAME] = {.about = "What explanations and counters call it.",     \
		    .grammar = &grammar_title},                                        \
		[RULE_ACTION] = {.about = "What becomes of a match: allow, deny, or "  \
					  "pass, which leaves this level.",            \
		    .names = action_names,                                             \
		    .name_count = (action_count)},                                     \
		[RULE_PEERS] = {.about = (peers),                                      \
		    .each = &(const struct schema_value){.types = TYPE_MAP,            \
			.map = &load_peer_schema}},                                    \
		[RULE_PORTS] = {.about =                                               \
				    "443/tcp, 8000-8080/tcp, 53/udp, the name of "     \
				    "a port, tcp, icmp or icmpv6. Absent: all.",       \
		    .each = &(const struct schema_value){                              \
			.types = TYPE_STRING, .grammar = &grammar_port}},              \
	}
#define RULE_FROM "Who connects; any of the peers. Absent or empty: anyone."
#define RULE_TO   "Whom it connects to; any of the peers. Absent or empty: anyone."

static const struct schema_value
    rule_values[][DIRECTION_COUNT][ARRAY_LEN(rule_fields[0])] = {
	[RULE_ALLOWS] =
	    {
		[DIR_INGRESS] = RULE_VALUES(RULE_FROM, ACTION_ALLOW + 1),
		[DIR_EGRESS] = RULE_VALUES(RULE_TO, ACTION_ALLOW + 1),
	    },
	[RULE_JUDGES] =
	    {
		[DIR_INGRESS] = RULE_VALUES(RULE_FROM, ARRAY_LEN(action_names)),
		[DIR_EGRESS] = RULE_VALUES(RULE_TO, ARRAY_LEN(action_names)),
	    },
};
static const struct schema_rule judging_rules[] = {
    {.kind = SCHEMA_SOME, .a = SCHEMA_BIT(RULE_ACTION)},
};
static const struct schema rule_schemas[][DIRECTION_COUNT] = {
    [RULE_ALLOWS] =
	{
	    [DIR_INGRESS] = SCHEMA_TOLD("an ingress rule", rule_fields[DIR_INGRESS],
		rule_values[RULE_ALLOWS][DIR_INGRESS]),
	    [DIR_EGRESS] = SCHEMA_TOLD("an egress rule", rule_fields[DIR_EGRESS],
		rule_values[RULE_ALLOWS][DIR_EGRESS]),
	},
    [RULE_JUDGES] =
	{
	    [DIR_INGRESS] = SCHEMA_RULED("an ingress rule", rule_fields[DIR_INGRESS],
		rule_values[RULE_JUDGES][DIR_INGRESS], judging_rules),
	    [DIR_EGRESS] = SCHEMA_RULED("an egress rule", rule_fields[DIR_EGRESS],
		rule_values[RULE_JUDGES][DIR_EGRESS], judging_rules),
	},
};

/* An action that is not understood counts as deny. */
static bool
read_action(const struct rule_context *c, const struct doc_node *action,
    const struct doc_node *rule_node, bool fields_ok, struct rule *rule)
{
	size_t index = ACTION_ALLOW;

	if (c->phase == PHASE_ALLOW) {
		rule->action = ACTION_ALLOW;
		if (action == NULL || str_is(action->text, "allow"))
			return true;
		diag_say(c->l->diags, CODE_ALLOW_ACTION, action->loc,
		    "a rule of an allow block only allows");
		return false;
	}
	rule->action = ACTION_DENY;
	if (action == NULL) {
		if (fields_ok) /* else it may be what is misspelt */
			diag_say(c->l->diags, CODE_MISSING_FIELD, rule_node->loc,
			    "a rule of %s needs \"action\": allow, deny or pass",
			    phase_name(c->phase));
		return false;
	}
	if (!schema_enum(c->l->diags, action, "\"action\"", action_names,
		ARRAY_LEN(action_names), &index))
		return false;
	rule->action = (enum action)index;
	return true;
}

static bool
read_peers(const struct rule_context *c, const struct doc_node *list, struct rule *rule)
{
	struct peer *peers = ARENA_ARRAY(c->l->arena, list->count, struct peer);
	struct map named = {0};
	bool ok = true;

	rule->peers = peers;
	for (uint32_t i = 0; i < list->count; i++) {
		const struct doc_node *item = list->u.items[i];

		if (!load_named_often(&named, item))
			ok &= load_native_peer(c, item, &peers[rule->peer_count++]);
	}
	map_fini(&named);
	return ok;
}

static bool
read_rule(const struct rule_context *c, const struct doc_node *node, struct rule *rule)
{
	enum rule_style style = c->phase == PHASE_ALLOW ? RULE_ALLOWS : RULE_JUDGES;
	const struct doc_node *v[ARRAY_LEN(rule_fields[0])];
	bool ok = schema_read(c->l->diags, &rule_schemas[style][c->dir], node, v);
	struct port_match *ports;

	if (node->kind != DOC_MAP) {
		rule->action = c->phase == PHASE_ALLOW ? ACTION_ALLOW : ACTION_DENY;
		return false;
	}
	ok &= read_action(c, v[RULE_ACTION], node, ok, rule);
	ok &= load_title(c->l, v[RULE_NAME], LIMIT_NAME_BYTES, &rule->name);
	rule->any_peer = v[RULE_PEERS] == NULL || v[RULE_PEERS]->count == 0;
	if (!rule->any_peer)
		ok &= read_peers(c, v[RULE_PEERS], rule);
	rule->any_port = v[RULE_PORTS] == NULL || v[RULE_PORTS]->count == 0;
	if (!rule->any_port) {
		rule->port_count = v[RULE_PORTS]->count;
		ports = ARENA_ARRAY(c->l->arena, rule->port_count, struct port_match);
		for (size_t i = 0; i < rule->port_count; i++)
			ok &= load_native_port(
			    c->l, v[RULE_PORTS]->u.items[i], &ports[i]);
		rule->ports = ports;
	}
	return ok;
}

/* ---- blocks ---- */

static const struct schema_field block_fields[] = {
    [DIR_INGRESS] = {"ingress", TYPE_LIST, false, NULL},
    [DIR_EGRESS] = {"egress", TYPE_LIST, false, NULL},
};

#define BLOCK_VALUE(text, style, dir)                                                  \
	{                                                                              \
		.about = (text), .each = &(const struct schema_value)                  \
		{                                                                      \
			.types = TYPE_MAP, .map = &rule_schemas[style][dir]            \
		}                                                                      \
	}
static const struct schema_value judging_values[] = {
    [DIR_INGRESS] =
	BLOCK_VALUE("Rules for what reaches the workloads.", RULE_JUDGES, DIR_INGRESS),
    [DIR_EGRESS] = BLOCK_VALUE("Rules for what they reach.", RULE_JUDGES, DIR_EGRESS),
};
static const struct schema_value allowing_values[] = {
    [DIR_INGRESS] = BLOCK_VALUE("What may reach the workloads. Given, even as an empty "
				"list, it isolates them: the rest is denied.",
	RULE_ALLOWS, DIR_INGRESS),
    [DIR_EGRESS] = BLOCK_VALUE("What they may reach. Given, even as an empty list, it "
			       "isolates them: the rest is denied.",
	RULE_ALLOWS, DIR_EGRESS),
};
static const struct schema block_schemas[] = {
    [PHASE_MANDATORY] = SCHEMA_TOLD("\"mandatory\"", block_fields, judging_values),
    [PHASE_ALLOW] = SCHEMA_TOLD("\"allow\"", block_fields, allowing_values),
    [PHASE_DEFAULT] = SCHEMA_TOLD("\"default\"", block_fields, judging_values),
};

static struct rule_list *
block_lists(struct policy *p, enum phase phase)
{
	switch (phase) {
	case PHASE_MANDATORY:
		return p->mandatory;
	case PHASE_ALLOW:
		return p->allow;
	case PHASE_DEFAULT:
		break;
	}
	return p->defaults;
}

static void
read_rules(struct rule_context *c, const struct doc_node *list, struct rule_list *rules)
{
	rule_list_init(c, rules, list);
	for (size_t i = 0; i < rules->count; i++) {
		struct rule *rule = &rules->rules[i];
		bool ok = read_rule(c, list->u.items[i], rule);

		if (!ok || (!c->subject_ok && rule->action == ACTION_ALLOW))
			rule_fail_closed(rule);
	}
}

static void
read_block(struct rule_context *c, const struct doc_node *node)
{
	const struct doc_node *v[ARRAY_LEN(block_fields)];
	struct policy *p = c->policy;
	bool ok = schema_read(c->l->diags, &block_schemas[c->phase], node, v);

	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++) {
		c->dir = (enum direction)dir;
		if (c->phase == PHASE_ALLOW && (v[dir] != NULL || !ok)) {
			p->isolates[dir] = true;
			p->isolate_loc[dir] = v[dir] != NULL ? v[dir]->loc : node->loc;
		}
		if (v[dir] != NULL)
			read_rules(c, v[dir], &block_lists(p, c->phase)[dir]);
	}
}

/* ---- the policy ---- */

enum {
	SPEC_NODE,
	SPEC_WORKLOADS,
	SPEC_PRIORITY,
	SPEC_ENFORCEMENT,
	SPEC_MANDATORY,
	SPEC_ALLOW,
	SPEC_DEFAULT
};

static const struct schema_field spec_fields[] = {
    [SPEC_NODE] = {"node", TYPE_STRING | TYPE_MAP, false, NULL},
    [SPEC_WORKLOADS] = {"workloads", TYPE_MAP, false, NULL},
    [SPEC_PRIORITY] = {"priority", TYPE_INT, false, NULL},
    [SPEC_ENFORCEMENT] = {"enforcement", TYPE_STRING, false, NULL},
    [SPEC_MANDATORY] = {"mandatory", TYPE_MAP, false, NULL},
    [SPEC_ALLOW] = {"allow", TYPE_MAP, false, NULL},
    [SPEC_DEFAULT] = {"default", TYPE_MAP, false, NULL},
    {"ingress", 0, false, "write it in \"mandatory\", \"allow\" or \"default\""},
    {"egress", 0, false, "write it in \"mandatory\", \"allow\" or \"default\""},
    {"podSelector", 0, false, "native policies say \"workloads\""},
};
static const struct schema_value spec_values[ARRAY_LEN(spec_fields)] = {
    [SPEC_NODE] = {.about = "The nodes that the policy is about, instead of workloads: "
			    "a name, or a label selector over nodes. Only at /.",
	.map = &load_selector_schema,
	.grammar = &grammar_subdomain},
    [SPEC_WORKLOADS] = {.about =
			    "The workloads that the policy is about. Absent: every "
			    "one at or below the namespace.",
	.map = &load_selector_schema},
    [SPEC_PRIORITY] = {.about = "Smaller numbers come first; 0 when absent.",
	.bounded = true,
	.min = -INT32_MAX,
	.max = INT32_MAX - 1},
    [SPEC_ENFORCEMENT] = {.about = "\"enforce\", as when absent, or \"audit\": the "
				   "policy denies and allows nothing; the node tells "
				   "which connections it would have denied.",
	.names = load_enforcements,
	.name_count = ENFORCEMENT_COUNT},
    [SPEC_MANDATORY] = {.about = "Ordered rules that nothing below can change: the "
				 "namespace nearest to the root wins.",
	.map = &block_schemas[PHASE_MANDATORY]},
    [SPEC_ALLOW] = {.about = "What is allowed; it isolates the workloads in the "
			     "directions given.",
	.map = &block_schemas[PHASE_ALLOW]},
    [SPEC_DEFAULT] = {.about =
			  "Ordered rules for what nothing else decides: the nearest "
			  "namespace wins.",
	.map = &block_schemas[PHASE_DEFAULT]},
};
static const struct schema_rule spec_rules[] = {
    {.kind = SCHEMA_APART, .a = SCHEMA_BIT(SPEC_NODE), .b = SCHEMA_BIT(SPEC_WORKLOADS)},
};
const struct schema load_policy_schema =
    SCHEMA_RULED("a Policy's spec", spec_fields, spec_values, spec_rules);

/* The subject of a policy for nodes. They are nobody's but who owns the root. */
static bool
read_node_subject(const struct rule_context *c, const struct doc_node *node,
    const struct doc_node *workloads)
{
	struct peer *nodes = ARENA_NEW(c->l->arena, struct peer);

	*nodes = (struct peer){.kind = PEER_NODES, .loc = node->loc};
	c->policy->subject.nodes = nodes;
	if (c->home->parent != NULL) {
		diag_say(c->l->diags, CODE_NODE_SUBJECT, node->loc,
		    "a policy for nodes stands at /, not at %.*s",
		    STR_ARG(c->home->path));
		return false;
	}
	if (workloads != NULL) {
		diag_say(c->l->diags, CODE_NODE_SUBJECT, workloads->loc,
		    "a policy is for nodes or for workloads, not for both");
		return false;
	}
	if (node->kind == DOC_MAP)
		return load_selector(c->l, node, API_NATIVE, &nodes->node_selector);
	return load_node_name(c->l, node, nodes->cluster, &nodes->node_name);
}

void
load_native_policy(struct loader *l, const struct load_object *o)
{
	const struct doc_node *v[ARRAY_LEN(spec_fields)];
	struct rule_context c = {.l = l};
	const struct doc_node *spec;
	struct meta meta;
	int64_t priority = 0;
	bool ok = load_top(l, o, &spec);

	ok &= load_meta(l, o, META_PLACED, false, &meta);
	c.home = load_home(l, o, &meta);
	if (c.home == NULL)
		ok = false;
	else if (!load_claim_native(l, o, &meta))
		return;
	if (spec == NULL) {
		if (doc_value(o->doc, "spec") == NULL)
			diag_say(l->diags, CODE_MISSING_FIELD, meta.loc,
			    "Policy needs \"spec\"");
		return;
	}
	c.policy = load_policy_new(l, POLICY_NATIVE, &meta, c.home, meta.loc);
	if (c.home == NULL)
		c.home = l->m->root; /* so that the rest can be checked */
	ok &= schema_read(l->diags, &load_policy_schema, spec, v);
	if (v[SPEC_NODE] != NULL)
		ok &= read_node_subject(&c, v[SPEC_NODE], v[SPEC_WORKLOADS]);
	else if (v[SPEC_WORKLOADS] != NULL)
		ok &= load_selector(
		    l, v[SPEC_WORKLOADS], API_NATIVE, &c.policy->subject.selector);
	if (v[SPEC_PRIORITY] != NULL)
		ok &= schema_int(l->diags, v[SPEC_PRIORITY], "\"priority\"", -INT32_MAX,
		    INT32_MAX - 1, &priority);
	c.policy->priority = (int32_t)priority;
	if (v[SPEC_ENFORCEMENT] != NULL)
		load_enforcement(l, v[SPEC_ENFORCEMENT], c.policy);
	c.subject_ok = ok;
	for (unsigned phase = 0; phase < ARRAY_LEN(block_schemas); phase++) {
		c.phase = (enum phase)phase;
		if (v[SPEC_MANDATORY + phase] != NULL)
			read_block(&c, v[SPEC_MANDATORY + phase]);
	}
}
