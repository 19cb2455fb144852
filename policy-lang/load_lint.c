/*
 * Lints: what is legal and probably not meant. Each asks one cheap question of
 * the whole model.
 */
#include "policy-lang/codes.h"
#include "policy-lang/load.h"

/* Selectors are tried on workloads one by one, and most match soon; this many trials
 * are allowed in all, so that a lint is never what takes the time. */
#define TRIALS_MAX 20000000u

struct lint {
	const struct model *m;
	struct diag_list *diags;
	struct map port_names; /* of all workloads */
	const struct workload *
	    *by_kube; /* workloads of Kubernetes namespaces, grouped */
	size_t
	    *first; /* by kube namespace: where its group begins; one more at the end */
	size_t trials;
};

static bool
tries_left(struct lint *lint)
{
	return lint->trials++ < TRIALS_MAX;
}

static bool
subject_matches(const struct workload_match *s, const struct workload *w)
{
	if (w->host_network)
		return false;
	if (s->cluster.ptr != NULL && !str_eq(s->cluster, w->cluster))
		return false;
	if (s->subtree != NULL && !ns_within(w->ns, s->subtree))
		return false;
	if (s->kube != NULL && w->kube != s->kube)
		return false;
	return selector_matches(s->ns_selector, workload_ns_labels(w)) &&
	       selector_matches(s->selector, w->labels);
}

static size_t
kube_index(const struct model *m, const struct kube_ns *kube)
{
	size_t lo = 0, hi = m->kube_count;

	while (hi - lo > 1) {
		size_t mid = lo + (hi - lo) / 2;
		const struct kube_ns *k = m->kube_namespaces[mid];
		int order = str_cmp(k->cluster, kube->cluster);

		if (order == 0)
			order = str_cmp(k->name, kube->name);
		if (order <= 0)
			lo = mid;
		else
			hi = mid;
	}
	return lo;
}

/* Sorts the workloads of Kubernetes namespaces by namespace (counting sort). */
static void
group_by_kube(struct lint *lint, struct arena *scratch)
{
	const struct model *m = lint->m;
	size_t *next = ARENA_ARRAY(scratch, m->kube_count + 1, size_t);

	lint->first = ARENA_ARRAY(scratch, m->kube_count + 2, size_t);
	lint->by_kube =
	    ARENA_ARRAY(scratch, m->workload_count, const struct workload *);
	for (size_t i = 0; i < m->workload_count; i++) {
		if (m->workloads[i]->kube != NULL)
			lint->first[kube_index(m, m->workloads[i]->kube) + 1]++;
	}
	for (size_t i = 0; i < m->kube_count; i++) {
		lint->first[i + 1] += lint->first[i];
		next[i] = lint->first[i];
	}
	for (size_t i = 0; i < m->workload_count; i++) {
		if (m->workloads[i]->kube != NULL)
			lint->by_kube[next[kube_index(m, m->workloads[i]->kube)]++] =
			    m->workloads[i];
	}
}

/* True if the policy selects somebody, or if finding out would take too long. */
static bool
selects_any(struct lint *lint, const struct policy *p)
{
	const struct model *m = lint->m;
	size_t i = 0, end = m->workload_count;
	const struct workload *const *workloads =
	    (const struct workload *const *)m->workloads;

	if (p->subject.kube != NULL) {
		size_t at = kube_index(m, p->subject.kube);

		i = lint->first[at];
		end = lint->first[at + 1];
		workloads = lint->by_kube;
	}
	for (; i < end; i++) {
		if (!tries_left(lint) || subject_matches(&p->subject, workloads[i]))
			return true;
	}
	return false;
}

static void
lint_subject(struct lint *lint, const struct policy *p)
{
	const struct selector *s = p->subject.selector;

	if (lint->m->workload_count == 0 || selects_any(lint, p))
		return;
	diag_say(lint->diags, CODE_SELECTS_NOTHING,
	    s != NULL && s->loc.source != NULL ? s->loc : p->loc,
	    "%s \"%.*s\" selects no workload", policy_kind_name(p->kind),
	    STR_ARG(p->name));
}

static void
lint_isolation(struct lint *lint, const struct policy *p, enum direction dir)
{
	if (p->isolates[dir] && p->allow[dir].count == 0)
		diag_say(lint->diags, CODE_ISOLATES_WHOLLY, p->isolate_loc[dir],
		    "%s \"%.*s\" isolates its workloads in %s and allows nothing",
		    policy_kind_name(p->kind), STR_ARG(p->name), direction_name(dir));
}

static void
lint_ports(struct lint *lint, const struct rule_list *rules)
{
	if (lint->m->workload_count == 0)
		return;
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *r = &rules->rules[i];

		for (size_t j = 0; j < r->port_count; j++) {
			const struct port_match *port = &r->ports[j];

			if (port->kind != PORT_NAMED ||
			    map_get(&lint->port_names, port->name) != NULL)
				continue;
			diag_say(lint->diags, CODE_PORT_NAME_UNKNOWN, port->loc,
			    "no workload has a port named \"%.*s\"",
			    STR_ARG(port->name));
		}
	}
}

static void
collect_port_names(struct lint *lint)
{
	for (size_t i = 0; i < lint->m->workload_count; i++) {
		struct workload *w = lint->m->workloads[i];

		for (size_t j = 0; j < w->port_count; j++)
			map_set(&lint->port_names, w->ports[j].name, w);
	}
}

static bool
has_priority(const struct policy *p)
{
	return p->kind == POLICY_ADMIN || p->kind == POLICY_CLUSTER;
}

/* Whether two policies have rules in one phase: the order between them matters. */
static bool
same_phase(const struct policy *a, const struct policy *b)
{
	for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++) {
		if ((a->mandatory[dir].count != 0 && b->mandatory[dir].count != 0) ||
		    (a->defaults[dir].count != 0 && b->defaults[dir].count != 0))
			return true;
	}
	return false;
}

static void
lint_priority(struct lint *lint, const struct policy *a, const struct policy *b)
{
	struct diag *d;

	if (!has_priority(a) || !has_priority(b) || a->priority != b->priority ||
	    !str_eq(a->cluster, b->cluster) || !same_phase(a, b))
		return;
	d = diag_say(lint->diags, CODE_SAME_PRIORITY, b->loc,
	    "\"%.*s\" has the same priority as \"%.*s\", which is first by its name",
	    STR_ARG(b->name), STR_ARG(a->name));
	diag_note(lint->diags, d, a->loc, "\"%.*s\" is here", STR_ARG(a->name));
}

void
model_lint(const struct model *model, struct diag_list *diags)
{
	struct lint lint = {.m = model, .diags = diags};
	struct arena *scratch = arena_new();

	collect_port_names(&lint);
	group_by_kube(&lint, scratch);
	for (size_t i = 0; i < model->policy_count; i++) {
		const struct policy *p = model->policies[i];

		lint_subject(&lint, p);
		for (unsigned dir = 0; dir < DIRECTION_COUNT; dir++) {
			lint_isolation(&lint, p, (enum direction)dir);
			lint_ports(&lint, &p->mandatory[dir]);
			lint_ports(&lint, &p->allow[dir]);
			lint_ports(&lint, &p->defaults[dir]);
		}
		if (i > 0)
			lint_priority(&lint, model->policies[i - 1], p);
	}
	map_fini(&lint.port_names);
	arena_free(scratch);
}
