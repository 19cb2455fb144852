/*
 * The laws of Routes, over random trees, from YAML text through the loader:
 *   (a) no edit below a namespace changes what mandatory rules at or above it decided;
 *   (b) a default that is added at depth k changes nothing that a mandatory rule, or a
 *       default deeper than k, decided;
 *   (c) removing an empty level that nothing refers to changes nothing;
 *   (d) a second implementation, which knows no walk but one flat, sorted list, and reads
 *       no YAML, answers alike: the rule, what becomes of the connection, and to whom;
 *   (e) splitting a rule's ports and peers over several rules changes nothing.
 * Options: --cases N --seed S (by default another each time).
 */
#include <stdio.h>
#include <stdlib.h>

#include "policy-lang/load.h"
#include "policy-lang/route.h"
#include "tests/property/route_spec.h"

#define CASES_DEFAULT DICE_CASES(300)

static const char *const outside[] = {
    "192.0.2.1", "192.0.2.200", "198.51.100.1", "2001:db8::1"};
/* By network, then address: is the one in the other? */
static const bool in_network[3][4] = {{true, true, false, false},
    {false, true, false, false}, {false, false, false, true}};
static const char *const published[] = {"203.0.113.1", "203.0.113.2", "2001:db8:f::1"};
static const struct {
	uint8_t proto;
	uint16_t port;
} probes[] = {{PROTO_TCP, 443}, {PROTO_TCP, 85}, {PROTO_UDP, 53}};

/* ---- read back ---- */

struct reading {
	struct arena *arena;
	struct buf text;
	struct source source;
	struct model *m;
	const struct workload *w[SPEC_WORKLOADS];
};

static bool
read_spec(struct reading *r, const struct spec *s, const bool *gone, bool split)
{
	struct spec_printing p = {.s = s, .split = split};
	struct bundle bundle = {&r->source, 1};
	struct diag_list diags;
	struct buf told = {0};

	*r = (struct reading){.arena = arena_new()};
	for (int i = 0; gone != NULL && i < SPEC_LEVELS; i++)
		p.gone[i] = gone[i];
	p.out = &r->text;
	spec_print(&p);
	r->source = (struct source){STR("routes.yaml"), buf_str(&r->text)};
	diag_list_init(&diags, r->arena);
	if (!model_load(r->arena, &bundle, NULL, &diags, &r->m)) {
		diag_render_text(&told, &diags);
		(void)fprintf(stderr, "%s\n%s\n", told.data, r->text.data);
		buf_free(&told);
		return false;
	}
	for (size_t i = 0; i < r->m->workload_count; i++)
		r->w[r->m->workloads[i]->name.ptr[1] - '0'] = r->m->workloads[i];
	return true;
}

static void
reading_fini(struct reading *r)
{
	buf_free(&r->text);
	arena_free(r->arena);
}

/* ---- questions ---- */

/* Workload `w` and, by kind, an outside address, a published one or another workload. */
struct ask {
	enum route_kind kind;
	int w, other, probe;
};

static const int others[ROUTE_KIND_COUNT] = {[ROUTE_EGRESS] = ARRAY_LEN(outside),
    [ROUTE_INGRESS] = ARRAY_LEN(published),
    [ROUTE_VIA] = SPEC_WORKLOADS};

static bool
next_ask(struct ask *ask)
{
	if (++ask->probe < (int)ARRAY_LEN(probes))
		return true;
	ask->probe = 0;
	if (++ask->other < others[ask->kind])
		return true;
	ask->other = 0;
	if (++ask->w < SPEC_WORKLOADS)
		return true;
	ask->w = 0;
	ask->kind++;
	return ask->kind < ROUTE_KIND_COUNT;
}

static struct flow
flow_of(const struct reading *r, const struct ask *ask)
{
	struct flow flow = {.src = endpoint_of_workload(r->m, r->w[ask->w]),
	    .proto = probes[ask->probe].proto,
	    .port = probes[ask->probe].port};
	struct ip_addr addr = {0};
	const char *text;

	flow.src.has_addr = true;
	flow.src.addr = r->w[ask->w]->ips[0];
	if (ask->kind == ROUTE_VIA) {
		flow.dst = endpoint_of_workload(r->m, r->w[ask->other]);
		flow.dst.has_addr = true;
		flow.dst.addr = r->w[ask->other]->ips[0];
		return flow;
	}
	text = ask->kind == ROUTE_EGRESS ? outside[ask->other] : published[ask->other];
	if (!ip_parse(str_from(text), &addr))
		abort();
	flow.dst = endpoint_of_addr(r->m, addr);
	return flow;
}

static struct route_found
walk_of(const struct reading *r, const struct ask *ask)
{
	struct flow flow = flow_of(r, ask);

	return route_walk(r->m, r->w[ask->w], ask->kind, &flow, NULL);
}

static struct str
name_of(struct route_found found)
{
	return found.rule != NULL ? found.rule->name : STR("-");
}

/* ---- the second implementation ---- */

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
spec_via(const struct spec *s, const struct rule_spec *r, const struct ask *ask)
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
spec_matches(const struct spec *s, const struct rule_spec *r, const struct ask *ask)
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
flat_answer(const struct spec *s, const struct ask *ask)
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
    const struct spec *s, const struct ask *ask, struct entry e, struct buf *out)
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

static void
flat_say(const struct spec *s, const struct ask *ask, struct buf *out)
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

/* "r1-2 taken w0:443*1/2 w3:443*1/2" for a published address; ask->w counts for nothing. */
static void
flat_say_published(const struct spec *s, const struct ask *ask, struct buf *out)
{
	struct entry first = {SPEC_NONE, SPEC_NONE};
	const struct rule_spec *r;
	int members[2] = {0, 0}, total = 0;
	bool takes[SPEC_WORKLOADS];

	for (int i = 0; i < SPEC_WORKLOADS; i++) {
		struct ask one = {ROUTE_INGRESS, i, ask->other, ask->probe};
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
		struct ask one = {ROUTE_INGRESS, i, ask->other, ask->probe};
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
		int lo = r->ports == 3 ? 80 : 443, port = probes[ask->probe].port;

		if (takes[i])
			buf_printf(out, " w%d:%d*%d/%d", i,
			    r->target != 0 ? r->target + port - lo : port,
			    r->weights[s->app[i]], total * members[s->app[i]]);
	}
}

/* ---- the first, in the same words ---- */

static void
say_outcome(struct buf *out, struct route_found by, enum route_outcome outcome)
{
	static const char *const names[] = {"as-it-is", "taken", "refused"};

	buf_add_str(out, name_of(by));
	buf_printf(out, " %s", names[outcome]);
}

static void
say_published(const struct reading *r, const struct flow *flow, struct buf *out)
{
	struct route_ingress in;
	bool by_number[SPEC_WORKLOADS] = {false};

	route_ingress(r->arena, r->m, flow, &in);
	say_outcome(out, in.by, in.outcome);
	for (size_t i = 0; i < in.target_count; i++)
		by_number[in.targets[i].workload->name.ptr[1] - '0'] = true;
	for (int w = 0; w < SPEC_WORKLOADS; w++) {
		for (size_t i = 0; by_number[w] && i < in.target_count; i++) {
			const struct route_target *t = &in.targets[i];

			if (t->workload != r->w[w])
				continue;
			buf_printf(out, " w%d:%d*%d/%d", w, (int)t->flow.port,
			    (int)t->weight, (int)(in.total_weight * t->among));
		}
	}
}

static void
say(const struct reading *r, const struct ask *ask, struct buf *out)
{
	struct flow flow = flow_of(r, ask);
	struct route_egress egress;
	struct route_via via;

	switch (ask->kind) {
	case ROUTE_EGRESS:
		route_egress(r->arena, r->m, &flow, &egress);
		say_outcome(out, egress.by, egress.outcome);
		return;
	case ROUTE_INGRESS:
		say_published(r, &flow, out);
		return;
	case ROUTE_VIA:
		route_via(r->arena, r->m, &flow, &via);
		say_outcome(out, via.by, via.outcome);
		for (int w = 0; w < SPEC_WORKLOADS; w++) {
			for (size_t i = 0; i < via.through_count; i++) {
				if (via.through[i] == r->w[w])
					buf_printf(out, " w%d", w);
			}
		}
		return;
	}
}

/* ---- laws ---- */

struct trial {
	const struct spec *s;
	struct reading *base;
	struct dice *dice;
	uint64_t seed;
	unsigned long decided;
};

static bool
broken(const struct trial *t, const struct ask *ask, const char *law, struct str is,
    struct str other)
{
	(void)fprintf(stderr,
	    "law (%s), seed %llu: %s w%d %d probe %d: %.*s, but %.*s\n%s\n", law,
	    (unsigned long long)t->seed, route_kind_name(ask->kind), ask->w, ask->other,
	    ask->probe, STR_ARG(is), STR_ARG(other), t->base->text.data);
	return false;
}

static bool
law_flat(struct trial *t)
{
	struct ask ask = {0};
	bool ok = true;

	do {
		struct buf x = {0}, y = {0};

		say(t->base, &ask, &x);
		if (ask.kind == ROUTE_INGRESS)
			flat_say_published(t->s, &ask, &y);
		else
			flat_say(t->s, &ask, &y);
		t->decided += x.data[0] == 'r';
		ok = str_eq(buf_str(&x), buf_str(&y)) ||
		     broken(t, &ask, "d", buf_str(&x), buf_str(&y));
		buf_free(&x);
		buf_free(&y);
	} while (ok && next_ask(&ask));
	return ok;
}

typedef bool keeps_fn(
    const struct trial *t, const struct ask *ask, struct route_found found, int level);

/* Every answer that `keeps` says must stay is the same in another world. */
static bool
same_answers(struct trial *t, const char *law, const struct spec *edited,
    const bool *gone, bool split, keeps_fn *keeps, int level)
{
	struct reading other;
	struct ask ask = {0};
	bool ok = read_spec(&other, edited, gone, split);

	while (ok) {
		struct route_found found = walk_of(t->base, &ask);
		struct str was = name_of(found);
		struct str is = name_of(walk_of(&other, &ask));

		if (keeps == NULL ||
		    (found.rule != NULL && keeps(t, &ask, found, level))) {
			t->decided += found.rule != NULL;
			ok = str_eq(was, is) || broken(t, &ask, law, was, is);
		}
		if (!next_ask(&ask))
			break;
	}
	if (!ok && other.text.data != NULL)
		(void)fprintf(stderr, "edited:\n%s\n", other.text.data);
	reading_fini(&other);
	return ok;
}

static bool
decided_above(
    const struct trial *t, const struct ask *ask, struct route_found found, int level)
{
	return found.rule->phase == PHASE_MANDATORY &&
	       (int)found.route->level->depth <= spec_depth(t->s, level) &&
	       spec_within(t->s, t->s->at[ask->w], level);
}

static bool
law_mandatory(struct trial *t)
{
	struct spec edited = *t->s;
	int level = (int)dice_roll(t->dice, SPEC_LEVELS);

	for (int i = 0; i < edited.route_count; i++) {
		struct route_spec *r = &edited.routes[i];

		if (r->level != level && spec_within(&edited, r->level, level))
			spec_roll_route(t->dice, r, r->level);
	}
	/* And one more, somewhere below, where there is a below. */
	for (int below = level + 1;
	     below < SPEC_LEVELS && edited.route_count < SPEC_ROUTES; below++) {
		if (spec_within(&edited, below, level))
			spec_roll_route(
			    t->dice, &edited.routes[edited.route_count++], below);
	}
	return same_answers(t, "a", &edited, NULL, false, decided_above, level);
}

static bool
decided_nearer(const struct trial *t, const struct ask *ask UNUSED,
    struct route_found found, int level)
{
	return found.rule->phase == PHASE_MANDATORY ||
	       (int)found.route->level->depth > spec_depth(t->s, level);
}

static bool
law_default(struct trial *t)
{
	struct spec edited = *t->s;
	int level = (int)dice_roll(t->dice, SPEC_LEVELS);
	struct route_spec *r = &edited.routes[edited.route_count];

	if (edited.route_count == SPEC_ROUTES)
		return true;
	edited.route_count++;
	spec_roll_route(t->dice, r, level);
	for (int i = 0; i < r->rule_count; i++)
		r->rules[i].phase = PHASE_DEFAULT;
	return same_answers(t, "b", &edited, NULL, false, decided_nearer, level);
}

static bool
law_empty_level(struct trial *t)
{
	bool gone[SPEC_LEVELS];

	for (int i = 0; i < SPEC_LEVELS; i++)
		gone[i] = i != 0;
	for (int i = 0; i < SPEC_WORKLOADS; i++)
		gone[t->s->at[i]] = false;
	for (int i = 0; i < t->s->route_count; i++) {
		const struct route_spec *r = &t->s->routes[i];

		gone[r->level] = false;
		for (int j = 0; j < r->rule_count; j++) {
			const struct rule_spec *rule = &r->rules[j];

			if (rule->kind != ROUTE_VIA)
				continue;
			gone[rule->through / 2] = false;
			if (rule->from != SPEC_NONE)
				gone[rule->from] = false;
			for (int k = 0; k < 2; k++) {
				if (rule->to[k] != SPEC_NONE)
					gone[rule->to[k]] = false;
			}
		}
	}
	return same_answers(t, "c", t->s, gone, false, NULL, 0);
}

static bool
law_split(struct trial *t)
{
	return same_answers(t, "e", t->s, NULL, true, NULL, 0);
}

static const struct {
	const char *name;
	bool (*holds)(struct trial *t);
} laws[] = {{"a", law_mandatory}, {"b", law_default}, {"c", law_empty_level},
    {"d", law_flat}, {"e", law_split}};

int
main(int argc, char **argv)
{
	uint64_t cases = CASES_DEFAULT, seed = dice_random_seed();
	const struct run_option options[] = {{"--cases", &cases}, {"--seed", &seed}};
	unsigned long decided[ARRAY_LEN(laws)] = {0};
	bool ok = true;

	if (!run_options_read(argc, argv, options, ARRAY_LEN(options)))
		return 2;
	for (uint64_t i = 0; i < cases && ok; i++) {
		struct reading base;
		struct dice dice;
		struct spec s;

		dice_init(&dice, seed + i);
		spec_roll(&dice, &s);
		ok = read_spec(&base, &s, NULL, false);
		for (size_t j = 0; j < ARRAY_LEN(laws) && ok; j++) {
			struct trial t = {&s, &base, &dice, seed + i, 0};

			ok = laws[j].holds(&t);
			decided[j] += t.decided;
		}
		reading_fini(&base);
	}
	(void)printf("%llu cases from seed %llu: %s;", (unsigned long long)cases,
	    (unsigned long long)seed, ok ? "held" : "BROKEN");
	for (size_t j = 0; j < ARRAY_LEN(laws); j++) {
		(void)printf(" (%s) %lu", laws[j].name, decided[j]);
		/* A law that nothing was asked of has not been tested. */
		ok = ok && decided[j] > 0;
	}
	(void)printf(" answers\n");
	return ok ? 0 : 1;
}
