/*
 * Names of ports mean what each destination gives that name. A name that no destination
 * gives matches nothing; one that only some give matches there alone.
 */
#include <roaring/roaring.h>

#include "policy-lang/lint/lint_internal.h"
#include "policy-lang/lint/lint_labels.h"

/* Whose ports the rule's names are: the subject's own, or the peers'. */
static const struct roaring_bitmap_s *
destinations(struct lint *lint, const struct rule *rule)
{
	return rule->dir == DIR_INGRESS
		   ? world_match(&lint->world, &rule->policy->subject)
		   : world_rule_peers(&lint->world, rule);
}

static struct str
nearest_name(struct lint *lint, struct str name)
{
	const struct lint_world *w = &lint->world;
	bool filled = lint->port_names.len > 0;

	for (uint32_t i = 0; !filled && i < w->slot_count; i++) {
		for (size_t j = 0; j < w->slots[i]->shape->port_count; j++)
			(void)map_set(
			    &lint->port_names, w->slots[i]->shape->ports[j].name, lint);
	}
	return vocabulary_nearest(&lint->port_names, name);
}

/* The names that one of those has that the rule speaks of. */
static void
note_names(struct lint *lint, struct diag *d, const struct workload *w)
{
	struct buf names = {0};

	for (size_t i = 0; w != NULL && i < w->shape->port_count; i++) {
		if (w->shape->ports[i].name.len > 0)
			buf_printf(&names, "%s\"%.*s\"", names.len > 0 ? ", " : "",
			    STR_ARG(w->shape->ports[i].name));
	}
	if (names.len > 0)
		lint_note(lint, d, w->loc, "%.*s has ports named %s",
		    STR_ARG(w->shape->display), names.data);
	buf_free(&names);
}

static void
say_unknown(struct lint *lint, const struct rule *rule, const struct port_match *port,
    const struct roaring_bitmap_s *ends)
{
	const struct roaring_bitmap_s *anywhere =
	    world_port_name(&lint->world, port->name, PROTO_ANY);
	const struct workload *other = lint_first_of(lint, anywhere);
	struct str near;
	char proto[8];
	struct diag *d;

	if (other == NULL) {
		d = lint_say(lint, CODE_PORT_NAME_UNKNOWN, port->loc,
		    "no workload has a port named \"%.*s\"", STR_ARG(port->name));
		if (!lint_is_given(lint, d))
			return;
		near = nearest_name(lint, port->name);
		if (near.ptr != NULL)
			lint_hint(lint, d, "did you mean \"%.*s\"?", STR_ARG(near));
		else
			note_names(lint, d, lint_first_of(lint, ends));
		return;
	}
	if (roaring_bitmap_intersect(anywhere, ends)) {
		lint_say(lint, CODE_PORT_NAME_PROTOCOL, port->loc,
		    "no workload that %s speaks of has a %s port named \"%.*s\"; the "
		    "name is one of another protocol",
		    lint_rule_name(lint, rule), proto_name(port->proto, proto),
		    STR_ARG(port->name));
		return;
	}
	d = lint_say(lint, CODE_PORT_NAME_UNKNOWN, port->loc,
	    "no workload that %s speaks of has a port named \"%.*s\"",
	    lint_rule_name(lint, rule), STR_ARG(port->name));
	lint_note(lint, d, other->loc, "%.*s has one", STR_ARG(other->shape->display));
}

static void
say_partial(struct lint *lint, const struct port_match *port,
    const struct roaring_bitmap_s *ends, uint64_t have)
{
	roaring_bitmap_t *without = roaring_bitmap_andnot(
	    ends, world_port_name(&lint->world, port->name, port->proto));
	const struct workload *first = lint_first_of(lint, without);
	struct diag *d = lint_say(lint, CODE_PORT_NAME_PARTIAL, port->loc,
	    "only %" PRIu64 " of %" PRIu64
	    " workloads that the rule speaks of have a port named \"%.*s\"",
	    have, roaring_bitmap_get_cardinality(ends), STR_ARG(port->name));

	lint_note(lint, d, first->loc, "%.*s has none", STR_ARG(first->shape->display));
	roaring_bitmap_free(without);
}

static void
lint_port(struct lint *lint, const struct rule *rule, const struct port_match *port)
{
	const struct roaring_bitmap_s *ends = destinations(lint, rule);
	uint64_t have = roaring_bitmap_and_cardinality(
	    ends, world_port_name(&lint->world, port->name, port->proto));

	if (roaring_bitmap_is_empty(ends) && /* that is said of the selector */
	    lint_first_of(lint, world_port_name(&lint->world, port->name, PROTO_ANY)) !=
		NULL)
		return;
	if (have == 0)
		say_unknown(lint, rule, port, ends);
	else if (have < roaring_bitmap_get_cardinality(ends))
		say_partial(lint, port, ends, have);
}

static void
lint_rule_ports(struct lint *lint, const struct rule *rule)
{
	for (size_t i = 0; i < rule->port_count; i++) {
		if (rule->ports[i].kind == PORT_NAMED)
			lint_port(lint, rule, &rule->ports[i]);
	}
}

void
lint_ports(struct lint *lint)
{
	if (lint->world.slot_count > 0)
		lint_each_rule(lint, lint_rule_ports);
}
