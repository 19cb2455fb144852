#include "tests/property/route_flat.h"

#include <stdlib.h>

/* By network, then address: is the one in the other? */
static const bool in_network[3][4] = {{true, true, false, false},
    {false, true, false, false}, {false, false, false, true}};

struct entry {
	int route, rule;
};

static const struct spec *sorting;

static int
entry_rank(const struct entry *e)
{
	const struct route_spec *r = &sorting->routes[e->route];
	bool mandatory = r->rules[e->rule].phase == PHASE_MANDATORY;
	int d = spec_depth(sorting, r->level);

	return mandatory ? d : 100 - d;
}

static int
entry_cmp(const void *x, const void *y)
{
	const struct entry *a = x, *b = y;
	const struct route_spec *p = &sorting->routes[a->route];
	const struct route_spec *q = &sorting->routes[b->route];

	if (entry_rank(a) != entry_rank(b))
		return entry_rank(a) - entry_rank(b);
	if (p->priority != q->priority)
		return p->priority - q->priority;
	return a->route != b->route ? a->route - b->route : a->rule - b->rule;
}

static bool
takes_probe(const struct rule_spec *r, int probe)
{
	return spec_port_sets[r->ports].takes[0][probe] ||
	       spec_port_sets[r->ports].takes[1][probe];
}

static bool
spec_via(const struct spec *s, const struct rule_spec *r, const struct route_ask *ask)
{
	int ends[2] = {ask->w, ask->other};
	bool any = r->to[0] == SPEC_NONE && r->to[1] == SPEC_NONE, to = false;

	for (int i = 0; i < 2; i++) {
		to |= r->to[i] != SPEC_NONE &&
		      spec_within(s, s->at[ask->other], r->to[i]);
		if (r->action == ROUTE_APPLY && s->app[ends[i]] == r->through % 2 &&
		    spec_within(s, s->at[ends[i]], r->through / 2))
			return false;
	}
	return (any || to) &&
	       (r->from == SPEC_NONE || spec_within(s, s->at[ask->w], r->from));
}

static bool
spec_matches(
    const struct spec *s, const struct rule_spec *r, const struct route_ask *ask)
{
	bool any = r->to[0] == SPEC_NONE && r->to[1] == SPEC_NONE;

	if (r->kind != ask->kind || !takes_probe(r, ask->probe))
		return false;
	if (r->kind == ROUTE_VIA)
		return spec_via(s, r, ask);
	if (r->kind == ROUTE_INGRESS)
		return r->addresses == SPEC_NONE ||
		       spec_address_sets[r->addresses].has[ask->other];
	return any || (r->to[0] != SPEC_NONE && in_network[r->to[0]][ask->other]) ||
	       (r->to[1] != SPEC_NONE && in_network[r->to[1]][ask->other]);
}

/* One flat list, sorted; `pass` strikes out what is left of its level. */
static struct entry
flat_answer(const struct spec *s, const struct route_ask *ask)
{
	struct entry list[SPEC_ROUTES * SPEC_RULES];
	size_t count = 0;

	for (int i = 0; i < s->route_count; i++) {
		const struct route_spec *r = &s->routes[i];

		if (!spec_within(s, s->at[ask->w], r->level) ||
		    (r->app != SPEC_NONE && r->app != s->app[ask->w]))
			continue;
		for (int j = 0; j < r->rule_count; j++) {
			if (spec_matches(s, &r->rules[j], ask))
				list[count++] = (struct entry){i, j};
		}
	}
	sorting = s;
	if (count > 0)
		qsort(list, count, sizeof(list[0]), entry_cmp);
	for (size_t i = 0; i < count;) {
		int rank = entry_rank(&list[i]);

		if (s->routes[list[i].route].rules[list[i].rule].action != ROUTE_PASS)
			return list[i];
		while (i < count && entry_rank(&list[i]) == rank)
			i++;
	}
	return (struct entry){SPEC_NONE, SPEC_NONE};
}

static void
flat_effect(
    const struct spec *s, const struct route_ask *ask, struct entry e, struct buf *out)
{
	const struct rule_spec *r = &s->routes[e.route].rules[e.rule];
	bool there = false;

	if (r->action != ROUTE_APPLY) {
		buf_add_cstr(out, r->action == ROUTE_DENY ? " refused" : " as-it-is");
		return;
	}
	if (r->kind == ROUTE_EGRESS) {
		buf_add_cstr(out, spec_effects[r->effect].refuses[ask->other == 3]
				      ? " refused"
				      : " taken");
		return;
	}
	/* The first address of every workload is IPv4: so are these flows. */
	for (int i = 0; i < SPEC_WORKLOADS; i++)
		there |= s->app[i] == r->through % 2 &&
			 spec_within(s, s->at[i], r->through / 2);
	buf_add_cstr(out, there ? " taken" : r->direct ? " as-it-is" : " refused");
	for (int i = 0; i < SPEC_WORKLOADS; i++) {
		if (s->app[i] == r->through % 2 &&
		    spec_within(s, s->at[i], r->through / 2))
			buf_printf(out, " w%d", i);
	}
}

void
route_flat_say(const struct spec *s, const struct route_ask *ask, struct buf *out)
{
	struct entry e = flat_answer(s, ask);

	if (ask->kind == ROUTE_VIA && ask->w == ask->other)
		e.route = SPEC_NONE; /* to itself */
	if (e.route == SPEC_NONE) {
		buf_add_cstr(out, "- as-it-is");
		return;
	}
	buf_printf(out, "r%d-%d", e.route, e.rule);
	flat_effect(s, ask, e, out);
}

/* Is claim `a` before `b`? Paths are compared as texts, as the model sorts them. */
static bool
claim_before(const struct spec *s, struct entry a, struct entry b)
{
	struct spec_printing p = {.s = s};
	struct buf x = {0}, y = {0};
	int paths;

	sorting = s;
	if (entry_rank(&a) != entry_rank(&b))
		return entry_rank(&a) < entry_rank(&b);
	spec_print_path(&x, &p, s->routes[a.route].level);
	spec_print_path(&y, &p, s->routes[b.route].level);
	paths = str_cmp(buf_str(&x), buf_str(&y));
	buf_free(&x);
	buf_free(&y);
	return paths != 0 ? paths < 0 : entry_cmp(&a, &b) < 0;
}

void
route_flat_say_published(
    const struct spec *s, const struct route_ask *ask, struct buf *out)
{
	struct entry first = {SPEC_NONE, SPEC_NONE};
	const struct rule_spec *r;
	int members[2] = {0, 0}, total = 0;
	bool takes[SPEC_WORKLOADS];

	for (int i = 0; i < SPEC_WORKLOADS; i++) {
		struct route_ask one = {ROUTE_INGRESS, i, ask->other, ask->probe};
		struct entry e = flat_answer(s, &one);

		if (e.route != SPEC_NONE &&
		    s->routes[e.route].rules[e.rule].action == ROUTE_APPLY &&
		    (first.route == SPEC_NONE || claim_before(s, e, first)))
			first = e;
	}
	if (first.route == SPEC_NONE) {
		buf_add_cstr(out, "- as-it-is");
		return;
	}
	r = &s->routes[first.route].rules[first.rule];
	for (int i = 0; i < SPEC_WORKLOADS; i++) {
		struct route_ask one = {ROUTE_INGRESS, i, ask->other, ask->probe};
		struct entry e = flat_answer(s, &one);

		takes[i] = e.route == first.route && e.rule == first.rule &&
			   r->weights[s->app[i]] != SPEC_NONE &&
			   (ask->other < 2 || i % 2 == 0);
		if (takes[i] && members[s->app[i]]++ == 0)
			total += r->weights[s->app[i]];
	}
	buf_printf(
	    out, "r%d-%d %s", first.route, first.rule, total > 0 ? "taken" : "refused");
	for (int i = 0; i < SPEC_WORKLOADS; i++) {
		int lo = r->ports == 3 ? 80 : 443, port = spec_probes[ask->probe].port;

		if (takes[i])
			buf_printf(out, " w%d:%d*%d/%d", i,
			    r->target != 0 ? r->target + port - lo : port,
			    r->weights[s->app[i]], total * members[s->app[i]]);
	}
}
