/*
 * Services whose selector or whose target port leads nowhere.
 */
#include <roaring/roaring.h>

#include "policy-lang/lint/lint_internal.h"
#include "policy-lang/lint/lint_labels.h"

static const struct roaring_bitmap_s *
ends_of(struct lint *lint, const struct service *s)
{
	struct workload_match ends = {.kube = s->kube, .selector = s->selector};

	return world_match(&lint->world, &ends);
}

/* A Service selects pods on their node's network too. */
static bool
has_host_ends(struct lint *lint, const struct service *s)
{
	const struct lint_world *world = &lint->world;

	for (uint32_t i = 0; i < world->on_host_count; i++) {
		const struct workload *w = world->on_hosts[i];

		lint->work++;
		if (lint_stops(lint, LINT_HOST_NETWORK))
			return true;
		if (w->kube == s->kube &&
		    selector_matches(s->selector, w->shape->labels))
			return true;
	}
	return false;
}

static void
say_no_ends(struct lint *lint, const struct service *s)
{
	struct workload_match place = {.kube = s->kube};
	const struct roaring_bitmap_s *there = world_match(&lint->world, &place);
	struct vocabulary words = {0};
	roaring_uint32_iterator_t *it;
	struct diag *d;
	const char *text;

	if (has_host_ends(lint, s))
		return;
	d = lint_say(lint, CODE_SERVICE_SELECTS_NOTHING,
	    s->selector->loc.source != NULL ? s->selector->loc : s->loc,
	    "the Service \"%.*s\" selects no pod", STR_ARG(s->name));
	if (!lint_is_given(lint, d))
		return;
	it = roaring_create_iterator(there);
	for (; it != NULL && it->has_value; roaring_advance_uint32_iterator(it))
		vocabulary_add(&words, lint->arena,
		    lint->world.slots[it->current_value]->shape->labels);
	roaring_free_uint32_iterator(it);
	text = vocabulary_suggest(&words, lint->arena, s->selector);
	if (text != NULL)
		lint_hint(lint, d, "%s", text);
	vocabulary_fini(&words);
}

static void
lint_service_port(
    struct lint *lint, const struct service *s, const struct service_port *port)
{
	const struct roaring_bitmap_s *ends = ends_of(lint, s);
	const struct workload *first = lint_first_of(lint, ends);
	struct diag *d;

	if (port->target != 0 || port->target_name.len == 0 || first == NULL ||
	    roaring_bitmap_intersect(
		ends, world_port_name(&lint->world, port->target_name, port->proto)))
		return;
	d = lint_say(lint, CODE_SERVICE_PORT_UNKNOWN, port->loc,
	    "no pod of the Service \"%.*s\" has a port named \"%.*s\"",
	    STR_ARG(s->name), STR_ARG(port->target_name));
	lint_note(
	    lint, d, first->loc, "%.*s is one of them", STR_ARG(first->shape->display));
}

void
lint_services(struct lint *lint)
{
	for (size_t i = 0; i < lint->m->service_count; i++) {
		const struct service *s = lint->m->services[i];

		if (s->selector == NULL || lint->world.slot_count == 0)
			continue;
		if (roaring_bitmap_is_empty(ends_of(lint, s)))
			say_no_ends(lint, s);
		for (size_t j = 0; j < s->port_count; j++)
			lint_service_port(lint, s, &s->ports[j]);
	}
}
