/*
 * Test documents: what must hold, to be asked when tests are run.
 */
#include "common/limits.h"
#include "policy-lang/load/load_internal.h"
#include "policy-lang/model/fqdn.h"

/* ---- ends ---- */

/* A name or an address, as questions have them. Whether there is such an end is a
 * question for when the test is run: then it is the test that fails. */
static bool
read_name_end(
    struct loader *l, const struct doc_node *node, bool source, struct test_end *out)
{
	struct ip_addr addr;

	out->text = load_text(l, node->text);
	if (str_find(node->text, '/', 0) < node->text.len ||
	    str_find(node->text, ':', 0) < node->text.len ||
	    ip_parse(node->text, &addr) || (!source && name_is_one_domain(node->text)))
		return true;
	if (name_is_one_domain(node->text))
		diag_say(l->diags, CODE_BAD_VALUE, node->loc,
		    "a domain name is whom one connects to, not who connects");
	else
		diag_say(l->diags, CODE_BAD_VALUE, node->loc,
		    "an end is NAMESPACE/NAME, /PATH/NAME, node/NAME, an address%s, "
		    "not \"%.*s\"",
		    source ? "" : " or a domain name", STR_ARG(node->text));
	return false;
}

static bool
read_end(const struct rule_context *c, const struct doc_node *node, bool source,
    struct test_end *out)
{
	struct peer *peer;

	out->loc = node->loc;
	if (!schema_type(c->l->diags, node, "an end", TYPE_STRING | TYPE_MAP))
		return false;
	if (node->kind == DOC_STRING)
		return read_name_end(c->l, node, source, out);
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

bool
load_test_ends(const struct rule_context *c, const struct doc_node *node, bool source,
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
		ok &= read_end(c, list ? node->u.items[i] : node, source, &ends[i]);
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
	EXPECT_ROUTE,
};

static const struct schema_field expect_fields[] = {
    [EXPECT_NAME] = {"name", TYPE_STRING, false, NULL},
    [EXPECT_FROM] = {"from", LOAD_ENDS_TYPES, true, NULL},
    [EXPECT_TO] = {"to", LOAD_ENDS_TYPES, true, NULL},
    [EXPECT_PORTS] = {"ports", TYPE_LIST, false, NULL},
    [EXPECT_VERDICT] = {"verdict", TYPE_STRING, true, NULL},
    [EXPECT_BY] = {"by", TYPE_STRING, false, NULL},
    [EXPECT_FAMILY] = {"family", TYPE_INT, false, NULL},
    [EXPECT_ROUTE] = {"route", TYPE_MAP, false, NULL},
    {"action", 0, false, "an expectation has a \"verdict\": allow or deny"},
    {"port", 0, false, "write \"ports\": [443/tcp]"},
};

static const char *const verdict_names[] = {"allow", "deny"};

static const struct schema_value source_value = {
    .types = TYPE_STRING | TYPE_MAP,
    .grammar = &grammar_source,
    .map = &load_selection_schema,
};
static const struct schema_value destination_value = {
    .types = TYPE_STRING | TYPE_MAP,
    .grammar = &grammar_destination,
    .map = &load_selection_schema,
};
#define ENDS_VALUE(text, of_grammar, of_value)                                         \
	{                                                                              \
		.about = (text), .grammar = (of_grammar),                              \
		.map = &load_selection_schema, .each = (of_value), .filled = true      \
	}
static const struct schema_value expect_values[ARRAY_LEN(expect_fields)] = {
    [EXPECT_NAME] = {.about = "What the report calls it.", .grammar = &grammar_title},
    [EXPECT_FROM] =
	ENDS_VALUE("Who connects: an end as `can` takes it, a selection "
		   "of workloads, or a list of these, each of which counts.",
	    &grammar_source, &source_value),
    [EXPECT_TO] = ENDS_VALUE("Whom they connect to, written alike; or a domain name.",
	&grammar_destination, &destination_value),
    [EXPECT_PORTS] = {.about = "On which ports, as rules have them; absent: all.",
	.each = &(
	    const struct schema_value){.types = TYPE_STRING, .grammar = &grammar_port}},
    [EXPECT_VERDICT] = {.about = "What must come of it.",
	.names = verdict_names,
	.name_count = ARRAY_LEN(verdict_names)},
    [EXPECT_BY] = {.about = "The policy or rule that must decide it.",
	.grammar = &grammar_by},
    [EXPECT_FAMILY] = {.about = "In one address family: 4 or 6.",
	.bounded = true,
	.min = IP_V4,
	.max = IP_V6,
	.multiple_of = IP_V6 - IP_V4},
    [EXPECT_ROUTE] = {.about = "What Routes must make of it, of what is allowed.",
	.map = &load_test_route_schema},
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
	ok &= load_title(c->l, v[EXPECT_NAME], LIMIT_NAME_BYTES, &e->name);
	ok &= load_title(c->l, v[EXPECT_BY], LIMIT_TITLE_BYTES, &e->by);
	if (v[EXPECT_FROM] != NULL)
		ok &= load_test_ends(c, v[EXPECT_FROM], true, &e->from, &e->from_count);
	if (v[EXPECT_TO] != NULL)
		ok &= load_test_ends(c, v[EXPECT_TO], false, &e->to, &e->to_count);
	if (v[EXPECT_PORTS] != NULL)
		ok &= read_ports(c->l, v[EXPECT_PORTS], e);
	if (v[EXPECT_FAMILY] != NULL)
		ok &= read_family(c->l, v[EXPECT_FAMILY], e);
	if (v[EXPECT_VERDICT] != NULL)
		ok &= schema_enum(c->l->diags, v[EXPECT_VERDICT], "\"verdict\"",
		    verdict_names, ARRAY_LEN(verdict_names), &verdict);
	e->allow = verdict == 0;
	if (v[EXPECT_ROUTE] != NULL)
		ok &= load_test_route(c, v[EXPECT_ROUTE], e->allow, &e->route);
	return ok;
}

/* ---- names ---- */

enum {
	NAME_NAME,
	NAME_ADDRESSES,
};

static const struct schema_field name_fields[] = {
    [NAME_NAME] = {"name", TYPE_STRING, true, NULL},
    [NAME_ADDRESSES] = {"addresses", TYPE_LIST, true, NULL},
    {"fqdn", 0, false, "write \"name\""},
    {"ips", 0, false, "write \"addresses\""},
};
static const struct schema_value name_values[ARRAY_LEN(name_fields)] = {
    [NAME_NAME] = {.about = "A domain name.", .grammar = &grammar_one_domain},
    [NAME_ADDRESSES] = {.about = "What whoever asks for it is told.",
	.filled = true,
	.each =
	    &(const struct schema_value){.types = TYPE_STRING, .grammar = &grammar_ip}},
};
static const struct schema name_schema =
    SCHEMA_TOLD("a name", name_fields, name_values);

static bool
read_addresses(struct loader *l, const struct doc_node *list, struct test_name *out)
{
	struct ip_addr *addrs = ARENA_ARRAY(l->arena, list->count, struct ip_addr);
	bool ok = true;

	if (list->count == 0) {
		diag_say(l->diags, CODE_TOO_MANY, list->loc,
		    "a name needs at least one address; one without \"names\" has "
		    "one that no rule has");
		return false;
	}
	for (uint32_t i = 0; i < list->count; i++)
		ok &= load_address(l, list->u.items[i], &addrs[i]);
	out->addrs = addrs;
	out->addr_count = list->count;
	return ok;
}

/* Whether the list has it once, however it is spelt. */
static bool
is_new_name(struct loader *l, struct map *seen, const struct doc_node *node)
{
	char *text = arena_alloc(l->scratch, FQDN_BYTES);
	const struct str key = fqdn_canonical(node->text, text);
	const struct doc_node *first = map_get(seen, key);
	struct diag *d;

	if (first == NULL) {
		(void)map_set(seen, key, (void *)(uintptr_t)node); /* new */
		return true;
	}
	d = diag_say(l->diags, CODE_DUPLICATE_VALUE, node->loc,
	    "the name \"%.*s\" is in the list twice", STR_ARG(node->text));
	diag_note(l->diags, d, first->loc, "the first one is here");
	return false;
}

static bool
read_name(struct loader *l, struct map *seen, const struct doc_node *node,
    struct test_name *out)
{
	const struct doc_node *v[ARRAY_LEN(name_fields)];
	bool ok = schema_read(l->diags, &name_schema, node, v);

	if (v[NAME_NAME] != NULL && !name_is_one_domain(v[NAME_NAME]->text)) {
		diag_say(l->diags, CODE_BAD_NAME, v[NAME_NAME]->loc,
		    "\"name\" must be %s", NAME_ONE_DOMAIN_RULE);
		ok = false;
	} else if (v[NAME_NAME] != NULL) {
		out->name = load_text(l, v[NAME_NAME]->text);
		ok &= is_new_name(l, seen, v[NAME_NAME]);
	}
	if (v[NAME_ADDRESSES] != NULL)
		ok &= read_addresses(l, v[NAME_ADDRESSES], out);
	return ok;
}

static bool
read_names(struct loader *l, const struct doc_node *list, struct test_document *t)
{
	struct test_name *names = ARENA_ARRAY(l->arena, list->count, struct test_name);
	struct map seen = {0};
	size_t addresses = 0;
	bool ok = true;

	for (uint32_t i = 0; i < list->count; i++) {
		ok &= read_name(l, &seen, list->u.items[i], &names[i]);
		addresses += names[i].addr_count;
	}
	map_fini(&seen);
	t->names = names;
	t->name_count = list->count;
	if (addresses <= LIMIT_DNS_LEARNT)
		return ok;
	diag_say(l->diags, CODE_TOO_MANY, list->loc,
	    "these names have %zu addresses; a tenant knows at most %u", addresses,
	    LIMIT_DNS_LEARNT);
	return false;
}

/* ---- the document ---- */

enum {
	SPEC_NAMES,
	SPEC_EXPECT,
};

static const struct schema_field spec_fields[] = {
    [SPEC_NAMES] = {"names", TYPE_LIST, false, NULL},
    [SPEC_EXPECT] = {"expect", TYPE_LIST, true, NULL},
    {"expectations", 0, false, "write \"expect\""},
    {"tests", 0, false, "write \"expect\""},
    {"fqdns", 0, false, "write \"names\""},
};
static const struct schema_value spec_values[ARRAY_LEN(spec_fields)] = {
    [SPEC_NAMES] = {.about = "Domain names, with the addresses that everybody who is "
			     "asked about here knows by them.",
	.each = &(const struct schema_value){.types = TYPE_MAP, .map = &name_schema}},
    [SPEC_EXPECT] = {.about = "What is expected, each judged on its own.",
	.each = &(const struct schema_value){.types = TYPE_MAP, .map = &expect_schema}},
};
const struct schema load_test_schema =
    SCHEMA_TOLD("a Test's spec", spec_fields, spec_values);

static bool
read_spec(
    const struct rule_context *c, const struct doc_node *spec, struct test_document *t)
{
	const struct doc_node *v[ARRAY_LEN(spec_fields)];
	const struct doc_node *expect;
	bool ok = schema_read(c->l->diags, &load_test_schema, spec, v);

	expect = v[SPEC_EXPECT];
	if (v[SPEC_NAMES] != NULL)
		ok &= read_names(c->l, v[SPEC_NAMES], t);
	if (expect == NULL)
		return false;
	t->items = ARENA_ARRAY(c->l->arena, expect->count, struct test_expectation);
	t->count = expect->count;
	for (size_t i = 0; i < t->count; i++)
		ok &= read_expectation(c, expect->u.items[i], &t->items[i]);
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
		ptr_vec_push(&l->others[OTHER_TEST], t);
}
