/*
 * Any bytes as a policy file: nothing crashes, every diagnostic has a place, the
 * answer agrees with the count of errors, and the model is consistent even then.
 */
#include <stdlib.h>

#include "policy-lang/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool holds)
{
	if (!holds)
		abort();
}

static void
check_rules(const struct model *m, const struct policy *p, const struct rule_list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *r = &list->rules[i];

		require(r->policy == p && r->index == i);
		require(r->number >= NUMBER_FIRST_RULE && r->number <= INT32_MAX);
		require(r->phase != PHASE_ALLOW || r->action == ACTION_ALLOW);
		for (size_t j = 0; j < r->port_count; j++)
			require(r->ports[j].lo <= r->ports[j].hi);
		for (size_t j = 0; j < r->peer_count; j++) {
			const struct ns *subtree = r->peers[j].workloads.subtree;

			require(
			    subtree == NULL || model_ns(m, subtree->path) == subtree);
		}
	}
}

static void
check_policy(const struct model *m, const struct policy *p)
{
	require(model_ns(m, p->level->path) == p->level);
	require(p->subject.subtree != NULL && ns_within(p->subject.subtree, p->level));
	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++) {
		check_rules(m, p, &p->mandatory[dir]);
		check_rules(m, p, &p->allow[dir]);
		check_rules(m, p, &p->defaults[dir]);
		require(p->allow[dir].count == 0 || p->isolates[dir]);
		require(!p->isolates[dir] || p->isolate_number[dir] != 0);
	}
}

static void
check_model(const struct model *m)
{
	require(m->ns_count > 0 && m->namespaces[0] == m->root);
	for (size_t i = 0; i < m->ns_count; i++) {
		require(m->namespaces[i]->index == i);
		require((m->namespaces[i]->parent == NULL) == (i == 0));
	}
	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *w = m->workloads[i];

		require(w->index == i && w->ns != NULL);
		require(w->kube == NULL || w->kube->ns == w->ns);
	}
	for (size_t i = 0; i < m->policy_count; i++)
		check_policy(m, m->policies[i]);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct source source = {{"f.yaml", 6}, {(const char *)data, size}};
	struct bundle bundle = {&source, 1};
	struct arena *arena = arena_new();
	struct diag_list diags;
	struct model *m = NULL;
	struct buf text = {0};
	bool ok;

	diag_list_init(&diags, arena);
	ok = model_load(arena, &bundle, NULL, &diags, &m);
	require(ok == (diags.errors == 0) && m != NULL);
	for (const struct diag *d = diags.first; d != NULL; d = d->next)
		require(d->loc.source == &source && d->loc.line > 0);
	check_model(m);
	if (ok)
		model_lint(m, &diags);
	diag_sort(&diags);
	diag_render(&text, &diags, DIAG_TEXT);
	buf_free(&text);
	arena_free(arena);
	return 0;
}
