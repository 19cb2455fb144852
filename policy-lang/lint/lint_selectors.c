/*
 * Selectors that match nothing that is known.
 */
#include <roaring/roaring.h>

#include "policy-lang/evaluate/evaluate.h"
#include "policy-lang/lint/lint_internal.h"
#include "policy-lang/lint/lint_labels.h"

/* The labels of workloads, of their namespaces, of nodes: gathered when first needed. */
struct words {
	struct vocabulary workloads, namespaces, nodes;
};

struct asker {
	struct lint *lint;
	struct words words;
};

/* ---- what was probably meant ---- */

static const char *
suggest_workload(struct asker *a, const struct selector *s)
{
	struct vocabulary *v = &a->words.workloads;
	const struct lint_world *w = &a->lint->world;

	for (uint32_t i = 0; !v->filled && i < w->slot_count; i++)
		vocabulary_add(v, a->lint->arena, w->slots[i]->shape->labels);
	v->filled = true;
	return vocabulary_suggest(v, a->lint->arena, s);
}

static const char *
suggest_namespace(struct asker *a, const struct selector *s)
{
	struct vocabulary *v = &a->words.namespaces;
	const struct lint_world *w = &a->lint->world;

	for (uint32_t i = 0; !v->filled && i < w->scope_count; i++) {
		const struct lint_scope *scope = &w->scopes[i];

		vocabulary_add(v, a->lint->arena,
		    scope->kube != NULL ? scope->kube->labels : scope->ns->labels);
	}
	v->filled = true;
	return vocabulary_suggest(v, a->lint->arena, s);
}

static const char *
suggest_node(struct asker *a, const struct selector *s)
{
	struct vocabulary *v = &a->words.nodes;
	const struct model *m = a->lint->m;

	for (size_t i = 0; !v->filled && i < m->node_count; i++)
		vocabulary_add(v, a->lint->arena, m->nodes[i]->labels);
	v->filled = true;
	return vocabulary_suggest(v, a->lint->arena, s);
}

static void
hint_if(struct lint *lint, struct diag *d, const char *text)
{
	if (text != NULL)
		lint_hint(lint, d, "%s", text);
}

/* ---- workloads ---- */

/* A workload on its host's network that the labels would match: no selector does. */
static const struct workload *
on_host(struct lint *lint, const struct workload_match *match)
{
	const struct lint_world *world = &lint->world;

	if (match->selector == NULL || match->selector->count == 0)
		return NULL;
	for (uint32_t i = 0;
	     i < world->on_host_count && !lint_stops(lint, LINT_HOST_NETWORK); i++) {
		const struct workload *w = world->on_hosts[i];

		lint->work++;
		if ((match->kube == NULL || w->kube == match->kube) &&
		    selector_matches(match->selector, w->shape->labels))
			return w;
	}
	return NULL;
}

static struct loc
selector_loc(const struct selector *s, struct loc otherwise)
{
	return s != NULL && s->loc.source != NULL ? s->loc : otherwise;
}

static void
explain_nothing(struct asker *a, struct diag *d, const struct workload_match *match)
{
	const struct workload *host;

	if (!lint_is_given(a->lint, d))
		return;
	host = on_host(a->lint, match);
	if (host != NULL)
		lint_note(a->lint, d, host->loc,
		    "%.*s is on its node's network: to policy it is the node",
		    STR_ARG(host->shape->display));
	hint_if(a->lint, d, suggest_workload(a, match->selector));
}

static void
lint_subject(struct asker *a, const struct policy *p)
{
	const struct selector *s = p->subject.selector;
	struct lint *lint = a->lint;
	struct diag *d;

	if (!roaring_bitmap_is_empty(world_match(&lint->world, &p->subject)))
		return;
	d = lint_say(lint, CODE_SELECTS_NOTHING, selector_loc(s, p->loc),
	    "%s selects no workload", lint_policy_name(lint, p));
	explain_nothing(a, d, &p->subject);
}

/* Namespaces that the selector matches, with workloads or without. */
static bool
some_namespace(struct lint *lint, const struct selector *s)
{
	return !roaring_bitmap_is_empty(
	    label_index_select(lint->world.scope_labels, s));
}

/* The match without what it asks of the workloads themselves. */
static struct workload_match
place_of(const struct workload_match *match)
{
	struct workload_match place = *match;

	place.selector = NULL;
	place.service_account = (struct str){0};
	return place;
}

static void
say_empty_peer(struct asker *a, const struct rule *rule, const struct peer *peer)
{
	const struct workload_match *match = &peer->workloads;
	struct workload_match place = place_of(match);
	struct lint *lint = a->lint;
	struct diag *d;

	if (match->ns_selector != NULL && !some_namespace(lint, match->ns_selector)) {
		d = lint_say(lint, CODE_NAMESPACES_MATCH_NOTHING,
		    selector_loc(match->ns_selector, peer->loc),
		    "no namespace has these labels");
		if (lint_is_given(lint, d))
			hint_if(lint, d, suggest_namespace(a, match->ns_selector));
		return;
	}
	if (!roaring_bitmap_is_empty(world_match(&lint->world, &place))) {
		d = lint_say(lint, CODE_PEER_MATCHES_NOTHING,
		    selector_loc(match->selector, peer->loc),
		    "no workload there is what %s asks for",
		    lint_rule_name(lint, rule));
		explain_nothing(a, d, match);
		return;
	}
	/* Where the policy itself has nobody, that has been said. */
	if (!roaring_bitmap_is_empty(world_match(&lint->world, &rule->policy->subject)))
		lint_say(lint, CODE_PEER_UNKNOWN, peer->loc,
		    "no workload is known in the namespace of this peer");
}

static void
lint_peer(struct asker *a, const struct rule *rule, const struct peer *peer)
{
	struct lint *lint = a->lint;
	struct diag *d;

	if (peer->kind == PEER_WORKLOADS && lint->world.slot_count > 0 &&
	    roaring_bitmap_is_empty(world_match(&lint->world, &peer->workloads))) {
		say_empty_peer(a, rule, peer);
	} else if (peer->kind == PEER_NODES && peer->node_selector != NULL &&
		   lint->m->node_count > 0 &&
		   roaring_bitmap_is_empty(label_index_select(
		       lint->world.node_labels, peer->node_selector))) {
		d = lint_say(lint, CODE_NODES_MATCH_NOTHING,
		    selector_loc(peer->node_selector, peer->loc),
		    "no node has these labels");
		if (lint_is_given(lint, d))
			hint_if(lint, d, suggest_node(a, peer->node_selector));
	}
}

static void
lint_node_subject(struct asker *a, const struct policy *p)
{
	const struct peer *nodes = p->subject.nodes;
	struct diag *d;

	for (size_t i = 0; i < a->lint->m->node_count; i++) {
		if (policy_applies_to_node(p, a->lint->m->nodes[i]))
			return;
	}
	/* A name that nobody has is told of where it is read. */
	if (a->lint->m->node_count == 0 || nodes->node_name.ptr != NULL)
		return;
	d = lint_say(a->lint, CODE_SELECTS_NOTHING, nodes->loc, "%s selects no node",
	    lint_policy_name(a->lint, p));
	if (lint_is_given(a->lint, d))
		hint_if(a->lint, d, suggest_node(a, nodes->node_selector));
}

static void
lint_policy(struct asker *a, const struct policy *p)
{
	if (p->subject.nodes != NULL)
		lint_node_subject(a, p);
	else if (a->lint->world.slot_count > 0 || a->lint->m->workload_count > 0)
		lint_subject(a, p);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		for (unsigned ph = PHASE_MANDATORY; ph <= PHASE_DEFAULT; ph++) {
			const struct rule_list *list =
			    policy_rules(p, (enum phase)ph, (enum direction)d);

			for (size_t i = 0; i < list->count; i++) {
				const struct rule *rule = &list->rules[i];

				for (size_t j = 0; j < rule->peer_count; j++)
					lint_peer(a, rule, &rule->peers[j]);
			}
		}
	}
}

void
lint_selectors(struct lint *lint)
{
	struct asker a = {.lint = lint};

	for (size_t i = 0; i < lint->m->policy_count; i++) {
		if (lint_asks(lint, lint->m->policies[i]))
			lint_policy(&a, lint->m->policies[i]);
	}
	vocabulary_fini(&a.words.workloads);
	vocabulary_fini(&a.words.namespaces);
	vocabulary_fini(&a.words.nodes);
}
