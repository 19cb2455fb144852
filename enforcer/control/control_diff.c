/*
 * What the kernel has and what it should have, said in terms of policy: whose traffic, from
 * or to whom, which port, which rule.
 */
#include <string.h>

#include "enforcer/control/control.h"
#include "enforcer/engine/engine_state.h"

#define MAX_DIFFERENCES 1000 /* named; the rest is counted */

struct differences {
	const struct program *program;
	const struct table_content *desired;
	struct buf *out;
	size_t named;
};

static const char *const difference_names[] = {
    [PLAN_MISSING] = "missing",
    [PLAN_EXTRA] = "extra",
    [PLAN_DIFFERENT] = "different",
};

static void
add_member(struct buf *out, const char *key, struct str value)
{
	buf_printf(out, ",\"%s\":", key);
	buf_add_json(out, value);
}

/* ---- what sets are about ---- */

/* Kinds of sets that there are words for, by the first of each; within a kind the order is 4 in,
 * 6 in, 4 out, 6 out, or, where there are two, 4, 6. */
enum set_kind {
	KIND_LOCAL,
	KIND_PEER,
	KIND_CELL,
	KIND_HOST,
	KIND_HOST_SWITCH,
	KIND_SAFE,
	KIND_OWN,
	KIND_INTERFACE,
	KIND_GATE,
	KIND_KNOWN,
	KIND_NOBODY,
	KIND_RULES,
	KIND_OTHER, /* it says itself what it is */
};

static const struct {
	enum table_set_id first;
	enum set_kind kind;
} kinds[] = {
    {SET_LOCAL4_IN, KIND_LOCAL},
    {SET_PEER4_IN, KIND_PEER},
    {SET_CELL4_IN, KIND_CELL},
    {SET_HOST4_IN, KIND_HOST},
    {SET_HOST_IN, KIND_HOST_SWITCH},
    {SET_SAFE_IN, KIND_SAFE},
    {SET_OWN4, KIND_OWN},
    {SET_GATE_IF, KIND_INTERFACE},
    {SET_UPLINK_IF, KIND_OTHER},
    {SET_GATE4, KIND_GATE},
    {SET_KNOWN4, KIND_KNOWN},
    {SET_NOBODY4, KIND_NOBODY},
    {SET_RULES, KIND_RULES},
    {(enum table_set_id)(SET_RULES + 1), KIND_OTHER},
};

static enum set_kind
kind_of(enum table_set_id set)
{
	enum set_kind kind = KIND_LOCAL;

	for (size_t i = 0; i < ARRAY_LEN(kinds) && kinds[i].first <= set; i++)
		kind = kinds[i].kind;
	return kind;
}

/* Of sets that come in fours. */
static enum direction
direction_of(enum table_set_id set)
{
	return set % 4 < 2 ? DIR_INGRESS : DIR_EGRESS;
}

_Static_assert(SET_PEER4_IN % 4 == 0 && SET_CELL4_IN % 4 == 0 && SET_HOST4_IN % 4 == 0,
    "sets that come in fours begin at a four");

static bool
is_ipv6(enum table_set_id set)
{
	return set % 2 == 1;
}

/* ---- words ---- */

static bool
has_key(enum table_set_id set, enum table_field field)
{
	for (size_t i = 0; i < TABLE_KEY_FIELDS; i++) {
		if (table_sets[set].key[i] == field)
			return true;
	}
	return false;
}

static bool
has_address(enum table_set_id set)
{
	return has_key(set, FIELD_IPV4) || has_key(set, FIELD_IPV6);
}

static struct ip_addr
addr_of(enum table_set_id set, const uint8_t *bytes)
{
	struct ip_addr addr = {.family = has_key(set, FIELD_IPV6) ? IP_V6 : IP_V4};

	memcpy(addr.bytes, bytes, ip_bytes(addr.family));
	return addr;
}

/* "/shop/web (10.1.0.2)", "node/n1 (192.168.0.1)", "10.9.0.1", "10.0.0.0 to 10.0.0.255" */
static void
say_address(struct buf *out, const struct differences *d, enum table_set_id set,
    const struct table_element *e)
{
	struct ip_addr addr = addr_of(set, e->addr), last = addr_of(set, e->addr_end);
	const struct model *m = d->program->model;
	const struct workload *w = model_workload_at(m, &addr);
	const struct node *node = model_node_at(m, &addr);
	char text[IP_TEXT_BYTES];

	if (table_set_ranges(&table_sets[set]) && !ip_eq(&addr, &last)) {
		buf_printf(out, "%s to ", ip_format(&addr, text));
		buf_add_cstr(out, ip_format(&last, text));
	} else if (w != NULL && !w->host_network) {
		buf_printf(out, "%.*s%s%.*s (%s)", STR_ARG(w->ns->path),
		    w->ns->depth == 0 ? "" : "/", STR_ARG(w->name),
		    ip_format(&addr, text));
	} else if (node != NULL) {
		buf_printf(
		    out, "node/%.*s (%s)", STR_ARG(node->name), ip_format(&addr, text));
	} else {
		buf_add_cstr(out, ip_format(&addr, text));
	}
}

/* Who is in a class: one of them, for all. */
static void
say_class(
    struct buf *out, const struct differences *d, enum table_set_id set, uint32_t class)
{
	const struct table_content *c = d->desired;
	unsigned offset =
	    (is_ipv6(set) ? 1u : 0u) + (direction_of(set) == DIR_EGRESS ? 2u : 0u);
	const enum table_set_id peers[] = {(enum table_set_id)(SET_PEER4_IN + offset),
	    (enum table_set_id)(SET_PEER4_IN_NET + offset)};

	if (class == 0) {
		buf_add_cstr(out, "everyone else");
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		for (size_t j = 0; j < c->element_count[peers[i]]; j++) {
			if (c->elements[peers[i]][j].value != class)
				continue;
			say_address(out, d, peers[i], &c->elements[peers[i]][j]);
			buf_add_cstr(out, " and whoever is as it is to policy");
			return;
		}
	}
	buf_add_cstr(out, "nobody that policy speaks of");
}

static void
say_ports(struct buf *out, const struct table_element *e)
{
	char proto[8];

	if (e->proto == 0)
		return;
	buf_printf(out, ", %s", proto_name(e->proto, proto));
	if (e->port_lo == 0 && (e->port_hi == 0 || e->port_hi == UINT16_MAX))
		return;
	buf_printf(out, " %u", (unsigned)e->port_lo);
	if (e->port_hi > e->port_lo)
		buf_printf(out, "-%u", (unsigned)e->port_hi);
}

/* ": Policy /shop/web ingress allow rule 0 web.yaml:12" */
static void
say_rule(struct buf *out, const struct differences *d, uint32_t number)
{
	const struct table_rule_chain *rule = program_rule(d->program, number);

	buf_printf(out, ": %s", rule != NULL ? rule->comment : "no rule in force");
}

static void
say_cell(struct buf *out, const struct differences *d, enum table_set_id set,
    const struct table_element *e, bool host)
{
	enum direction dir = direction_of(set);

	buf_printf(out, "%s of ", direction_name(dir));
	if (host)
		buf_printf(out, "the node%s", is_ipv6(set) ? " (IPv6)" : "");
	else
		say_address(out, d, set, e);
	buf_add_cstr(out, dir == DIR_INGRESS ? " from " : " to ");
	say_class(out, d, set, e->class_id);
	say_ports(out, e);
	say_rule(out, d, e->value);
}

/* "published address, port to what it leads to: 203.0.113.1, tcp 443" */
static void
say_other(struct buf *out, const struct differences *d, enum table_set_id set,
    const struct table_element *e)
{
	buf_printf(out, "%s: ", table_sets[set].comment);
	if (has_address(set))
		say_address(out, d, set, e);
	else if (has_key(set, FIELD_NFPROTO))
		buf_printf(out, "IPv%d", e->proto == table_nfproto(IP_V4) ? 4 : 6);
	else
		buf_printf(out, "number %u", (unsigned)e->class_id);
	if (has_key(set, FIELD_PROTO))
		say_ports(out, e);
	if (table_sets[set].value == FIELD_VERDICT)
		say_rule(out, d, e->value);
}

static void
say_element(struct buf *out, const struct differences *d, enum table_set_id set,
    const struct table_element *e)
{
	switch (kind_of(set)) {
	case KIND_LOCAL:
		buf_printf(
		    out, "policy judges the %s of ", direction_name(direction_of(set)));
		say_address(out, d, set, e);
		break;
	case KIND_PEER:
		say_address(out, d, set, e);
		buf_printf(
		    out, ", as rules of %s know it", direction_name(direction_of(set)));
		break;
	case KIND_CELL:
		say_cell(out, d, set, e, false);
		break;
	case KIND_HOST:
		say_cell(out, d, set, e, true);
		break;
	case KIND_HOST_SWITCH:
		buf_printf(out, "policy judges the %s of the node",
		    direction_name(set == SET_HOST_IN ? DIR_INGRESS : DIR_EGRESS));
		break;
	case KIND_SAFE:
		buf_add_cstr(out, set == SET_SAFE_IN ? "no policy closes at the node"
						     : "no policy closes to the node");
		say_ports(out, e);
		break;
	case KIND_OWN:
		say_address(out, d, set, e);
		buf_add_cstr(out, " is a workload of this node");
		break;
	case KIND_INTERFACE:
		buf_printf(out, "interface %.*s is workloads'",
		    (int)strnlen((const char *)e->addr, sizeof(e->addr)),
		    (const char *)e->addr);
		break;
	case KIND_GATE:
		say_address(out, d, set, e);
		buf_add_cstr(out, " is workloads'");
		break;
	case KIND_KNOWN:
		say_address(out, d, set, e);
		buf_add_cstr(out, " may pass");
		break;
	case KIND_NOBODY:
		say_address(out, d, set, e);
		buf_add_cstr(out, " may not pass: it is nobody's");
		break;
	case KIND_RULES:
		buf_printf(out, "rule %u", (unsigned)e->class_id);
		say_rule(out, d, e->value);
		break;
	case KIND_OTHER:
		say_other(out, d, set, e);
		break;
	}
}

/* ---- the answer ---- */

static bool
begin(struct differences *d, enum plan_difference what)
{
	if (d->named >= MAX_DIFFERENCES)
		return false;
	buf_printf(d->out, "%s{\"what\":\"%s\"", d->named++ != 0 ? ",\n" : "\n",
	    difference_names[what]);
	return true;
}

/* For machines, beside what it means; nothing if no address is in the set's key. */
static void
add_address(struct differences *d, enum table_set_id set, const struct table_element *e)
{
	struct ip_addr addr = addr_of(set, e->addr);
	char text[IP_TEXT_BYTES];

	if (has_address(set))
		add_member(d->out, "address", str_from(ip_format(&addr, text)));
}

static void
on_element(void *arg, enum plan_difference what, enum table_set_id set,
    const struct table_element *element)
{
	struct differences *d = arg;
	struct buf meaning = {0};

	if (!begin(d, what))
		return;
	say_element(&meaning, d, set, element);
	add_member(d->out, "meaning", buf_str(&meaning));
	add_member(d->out, "set", str_from(table_sets[set].name));
	add_address(d, set, element);
	if (element->loc.source != NULL) {
		add_member(d->out, "file", element->loc.source->name);
		buf_printf(d->out, ",\"line\":%u", (unsigned)element->loc.line);
	}
	buf_add_char(d->out, '}');
	buf_free(&meaning);
}

static void
on_chain(void *arg, enum plan_difference what, uint32_t number)
{
	struct differences *d = arg;
	struct buf meaning = {0}, chain = {0};

	if (!begin(d, what))
		return;
	buf_printf(&meaning, "rule %u", (unsigned)number);
	say_rule(&meaning, d, number);
	buf_printf(&chain, "rule_%u", (unsigned)number);
	add_member(d->out, "meaning", buf_str(&meaning));
	add_member(d->out, "chain", buf_str(&chain));
	buf_add_char(d->out, '}');
	buf_free(&meaning);
	buf_free(&chain);
}

static void
answer(struct engine *e, struct arena *arena, const struct kernel_observation *o,
    struct buf *out)
{
	const struct table_content desired = engine_apply_desired(e, arena);
	struct buf list = {0};
	struct differences d = {
	    .program = e->apply.current, .desired = &desired, .out = &list};
	const struct plan_visitor visitor = {on_element, on_chain, &d};
	size_t count = plan_compare(&o->table, &desired, &visitor);
	bool same = e->apply.digest_known &&
		    memcmp(e->apply.digest, o->digest, sizeof(o->digest)) == 0;

	buf_printf(out, "{\"count\":%zu,\"rules\":\"%s\",\"differences\":[", count,
	    !e->apply.digest_known ? "unknown"
	    : same                 ? "same"
				   : "different");
	buf_add_str(out, buf_str(&list));
	buf_add_cstr(out, "]}\n");
	buf_free(&list);
}

void
control_answer_diff(struct engine *e, const struct proc_msg *msg, struct buf *out)
{
	struct arena *arena = arena_new();
	struct kernel_observation o = {.code = ERR_UNAVAILABLE};
	struct err err = ERR_INIT;

	if (msg == NULL || e->apply.current == NULL ||
	    kernel_observation_read(arena, msg, &o, &err) != 0)
		o.code = ERR_UNAVAILABLE;
	if (o.code == 0)
		answer(e, arena, &o, out);
	else if (o.code == ERR_NOT_FOUND)
		buf_add_cstr(out,
		    "{\"count\":1,\"rules\":\"different\",\"differences\":["
		    "\n{\"what\":\"missing\",\"meaning\":\"the whole table "
		    "is gone\"}]}\n");
	else
		control_answer_error(out, o.detail != NULL && o.detail[0] != '\0'
					      ? str_from(o.detail)
					      : STR("the table cannot be read now"));
	arena_free(arena);
}
