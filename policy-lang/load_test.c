/*
 * Test documents: what must hold, to be asked when tests are run.
 */
#include "policy-lang/load_internal.h"

/* ---- ends ---- */

/* A name or an address, as questions have them. Whether there is such an end is a
 * question for when the test is run: then it is the test that fails. */
static bool
read_name_end(struct loader *l, const struct doc_node *node, struct test_end *out)
{
	out->text = load_text(l, node->text);
	if (str_find(node->text, '/', 0) < node->text.len ||
	    str_find(node->text, ':', 0) < node->text.len ||
	    str_find(node->text, '.', 0) < node->text.len)
		return true;
	diag_say(l->diags, CODE_BAD_VALUE, node->loc,
	    "an end is NAMESPACE/NAME, /PATH/NAME, node/NAME or an address, not "
	    "\"%.*s\"",
	    STR_ARG(node->text));
	return false;
}

static bool
read_end(
    const struct rule_context *c, const struct doc_node *node, struct test_end *out)
{
	struct peer *peer;

	out->loc = node->loc;
	if (!schema_type(c->l->diags, node, "an end", TYPE_STRING | TYPE_MAP))
		return false;
	if (node->kind == DOC_STRING)
		return read_name_end(c->l, node, out);
	peer = ARENA_NEW(c->l->arena, struct peer);
	if (!load_native_peer(c, node, peer))
		return false;
	out->selection = peer;
	if (peer->kind == PEER_WORKLOADS)
		return true;
	diag_say(c->l->diags, CODE_BAD_VALUE, node->loc,
	    "a selection of ends is of workloads; write one address or node/NAME as it "
	    "is");
	return false;
}

static bool
read_ends(const struct rule_context *c, const struct doc_node *node,
    const struct test_end **out, size_t *out_count)
{
	bool list = node->kind == DOC_LIST;
	size_t count = list ? node->count : 1;
	struct test_end *ends = ARENA_ARRAY(c->l->arena, count, struct test_end);
	bool ok = true;

	if (count == 0) {
		diag_say(c->l->diags, CODE_TOO_MANY, node->loc,
		    "an expectation needs at least one end on each side");
		return false;
	}
	for (size_t i = 0; i < count; i++)
		ok &= read_end(c, list ? node->u.items[i] : node, &ends[i]);
	*out = ends;
	*out_count = count;
	return ok;
}

/* ---- expectations ---- */

enum {
	EXPECT_NAME,
	EXPECT_FROM,
	EXPECT_TO,
	EXPECT_PORTS,
	EXPECT_VERDICT,
	EXPECT_BY,
	EXPECT_FAMILY,
};

#define TYPE_ENDS (TYPE_STRING | TYPE_MAP | TYPE_LIST)

static const struct schema_field expect_fields[] = {
    [EXPECT_NAME] = {"name", TYPE_STRING, false, NULL},
    [EXPECT_FROM] = {"from", TYPE_ENDS, true, NULL},
    [EXPECT_TO] = {"to", TYPE_ENDS, true, NULL},
    [EXPECT_PORTS] = {"ports", TYPE_LIST, false, NULL},
    [EXPECT_VERDICT] = {"verdict", TYPE_STRING, true, NULL},
    [EXPECT_BY] = {"by", TYPE_STRING, false, NULL},
    [EXPECT_FAMILY] = {"family", TYPE_INT, false, NULL},
    {"action", 0, false, "an expectation has a \"verdict\": allow or deny"},
    {"port", 0, false, "write \"ports\": [443/tcp]"},
};

static const char *const verdict_names[] = {"allow", "deny"};

/* A name has one of these in it. */
static const struct grammar grammar_end = {{{"[/:.]"}}, 0, NULL, NULL};
static const struct schema_value end_value = {
    .types = TYPE_STRING | TYPE_MAP,
    .grammar = &grammar_end,
    .map = &load_selection_schema,
};
#define ENDS_VALUE(text)                                                               \
	{                                                                              \
		.about = (text), .grammar = &grammar_end,                              \
		.map = &load_selection_schema, .each = &end_value, .filled = true      \
	}
static const struct schema_value expect_values[ARRAY_LEN(expect_fields)] = {
    [EXPECT_NAME] = {.about = "What the report calls it."},
    [EXPECT_FROM] =
	ENDS_VALUE("Who connects: an end as `can` takes it, a selection "
		   "of workloads, or a list of these, each of which counts."),
    [EXPECT_TO] = ENDS_VALUE("Whom they connect to, written alike."),
    [EXPECT_PORTS] = {.about = "On which ports, as rules have them; absent: all.",
	.each = &(
	    const struct schema_value){.types = TYPE_STRING, .grammar = &grammar_port}},
    [EXPECT_VERDICT] = {.about = "What must come of it.",
	.names = verdict_names,
	.name_count = ARRAY_LEN(verdict_names)},
    [EXPECT_BY] = {.about = "The policy or rule that must decide it."},
    [EXPECT_FAMILY] = {.about = "In one address family: 4 or 6.",
	.bounded = true,
	.min = IP_V4,
	.max = IP_V6,
	.multiple_of = IP_V6 - IP_V4},
};
static const struct schema expect_schema =
    SCHEMA_TOLD("an expectation", expect_fields, expect_values);

static bool
read_ports(struct loader *l, const struct doc_node *list, struct test_expectation *e)
{
	struct port_match *ports =
	    ARENA_ARRAY(l->arena, list->count, struct port_match);
	bool ok = true;

	for (uint32_t i = 0; i < list->count; i++)
		ok &= load_native_port(l, list->u.items[i], &ports[i]);
	e->ports = ports;
	e->port_count = list->count;
	return ok;
}

static bool
read_family(struct loader *l, const struct doc_node *node, struct test_expectation *e)
{
	if (node->u.integer == IP_V4 || node->u.integer == IP_V6) {
		e->family = (unsigned)node->u.integer;
		return true;
	}
	diag_say(l->diags, CODE_BAD_VALUE, node->loc, "\"family\" must be 4 or 6");
	return false;
}

static bool
read_expectation(const struct rule_context *c, const struct doc_node *node,
    struct test_expectation *e)
{
	const struct doc_node *v[ARRAY_LEN(expect_fields)];
	bool ok = schema_read(c->l->diags, &expect_schema, node, v);
	size_t verdict = 0;

	e->loc = node->loc;
	if (v[EXPECT_NAME] != NULL)
		e->name = load_text(c->l, v[EXPECT_NAME]->text);
	if (v[EXPECT_BY] != NULL)
		e->by = load_text(c->l, v[EXPECT_BY]->text);
	if (v[EXPECT_FROM] != NULL)
		ok &= read_ends(c, v[EXPECT_FROM], &e->from, &e->from_count);
	if (v[EXPECT_TO] != NULL)
		ok &= read_ends(c, v[EXPECT_TO], &e->to, &e->to_count);
	if (v[EXPECT_PORTS] != NULL)
		ok &= read_ports(c->l, v[EXPECT_PORTS], e);
	if (v[EXPECT_FAMILY] != NULL)
		ok &= read_family(c->l, v[EXPECT_FAMILY], e);
	if (v[EXPECT_VERDICT] != NULL)
		ok &= schema_enum(c->l->diags, v[EXPECT_VERDICT], "\"verdict\"",
		    verdict_names, ARRAY_LEN(verdict_names), &verdict);
	e->allow = verdict == 0;
	return ok;
}

/* ---- the document ---- */

static const struct schema_field spec_fields[] = {
    {"expect", TYPE_LIST, true, NULL},
    {"expectations", 0, false, "write \"expect\""},
    {"tests", 0, false, "write \"expect\""},
};
static const struct schema_value spec_values[ARRAY_LEN(spec_fields)] = {
    {.about = "What is expected, each judged on its own.",
	.each = &(const struct schema_value){.types = TYPE_MAP, .map = &expect_schema}},
};
const struct schema load_test_schema =
    SCHEMA_TOLD("a Test's spec", spec_fields, spec_values);

static bool
read_spec(
    const struct rule_context *c, const struct doc_node *spec, struct test_document *t)
{
	const struct doc_node *v[ARRAY_LEN(spec_fields)];
	bool ok = schema_read(c->l->diags, &load_test_schema, spec, v);

	if (v[0] == NULL)
		return false;
	t->items = ARENA_ARRAY(c->l->arena, v[0]->count, struct test_expectation);
	t->count = v[0]->count;
	for (size_t i = 0; i < t->count; i++)
		ok &= read_expectation(c, v[0]->u.items[i], &t->items[i]);
	return ok;
}

void
load_test(struct loader *l, const struct load_object *o)
{
	struct test_document *t = ARENA_NEW(l->arena, struct test_document);
	struct rule_context c = {.l = l};
	const struct doc_node *spec;
	struct meta meta;
	bool ok = load_top(l, o, &spec);

	ok &= load_meta(l, o, META_PLACED, false, &meta);
	c.home = load_home(l, o, &meta);
	if (!ok || c.home == NULL || !load_claim_native(l, o, &meta))
		return;
	t->name = meta.name;
	t->ns = c.home;
	t->loc = meta.loc;
	if (spec == NULL)
		diag_say(l->diags, CODE_MISSING_FIELD, meta.loc, "Test needs \"spec\"");
	else if (read_spec(&c, spec, t))
		ptr_vec_push(&l->tests, t);
}
