#include "policy-lang/connectivity/connectivity_exposure.h"

#include <stdlib.h>
#include <string.h>

/* One side under work. */
struct exposer {
	struct conn_world *world;
	const struct conn_side *side;
	unsigned families; /* bits by place */
	struct conn_exposure *out;
	struct map pattern_by_key;
	uint32_t **step_patterns; /* by step: those of its peers */
	size_t *step_pattern_counts;
	bool *step_always; /* by step: it speaks of everyone */
	bool all_allow;
	size_t line_cap;
	size_t combined; /* combinations seen */
	uint32_t *on;
	bool *applies; /* by pattern */
};

/* ---- patterns ---- */

/* With one cluster, whoever comes will be of it. */
static bool
has_several_clusters(const struct conn_world *world)
{
	const struct model *m = world->model;

	if (m->options.cluster_count > 1 || world->cluster_faces.len > 1)
		return true;
	/* They are sorted by cluster. */
	return m->kube_count > 0 && !str_eq(m->kube_namespaces[0]->cluster,
					m->kube_namespaces[m->kube_count - 1]->cluster);
}

static bool
is_any_cluster(const struct conn_world *world, const struct workload_match *m)
{
	return m->cluster.ptr == NULL || !has_several_clusters(world);
}

static bool
is_everyone(const struct conn_world *world, const struct workload_match *m)
{
	return is_any_cluster(world, m) &&
	       (m->subtree == NULL || m->subtree->parent == NULL) && m->kube == NULL &&
	       (m->ns_selector == NULL || m->ns_selector->count == 0) &&
	       (m->selector == NULL || m->selector->count == 0) &&
	       m->service_account.ptr == NULL;
}

static uint32_t
pattern_of(struct exposer *x, const struct workload_match *m)
{
	const void *places[2] = {
	    m->subtree != NULL && m->subtree->parent != NULL ? m->subtree : NULL,
	    m->kube};
	struct conn_exposure *out = x->out;
	struct buf key = {0};
	uint32_t *known;

	buf_add(&key, places, sizeof(places));
	if (!is_any_cluster(x->world, m))
		key_add_str(&key, m->cluster);
	selector_add_key(&key, m->ns_selector);
	selector_add_key(&key, m->selector);
	key_add_u32(&key, m->service_account.ptr != NULL);
	key_add_str(&key, m->service_account);
	known = map_get(&x->pattern_by_key, buf_str(&key));
	if (known == NULL) {
		known = ARENA_NEW(x->world->arena, uint32_t);
		*known = (uint32_t)out->pattern_count;
		out->patterns[out->pattern_count++] = m;
		(void)map_set(&x->pattern_by_key,
		    str_dup(x->world->arena, buf_str(&key)), known); /* new */
	}
	buf_free(&key);
	return *known;
}

static void
read_step(struct exposer *x, size_t step)
{
	const struct rule *rule = x->side->steps[step].rule;

	if (rule == NULL || rule->any_peer) {
		x->step_always[step] = true;
		return;
	}
	x->all_allow &= rule->action == ACTION_ALLOW;
	x->step_patterns[step] =
	    ARENA_ARRAY(x->world->arena, rule->peer_count, uint32_t);
	for (size_t i = 0; i < rule->peer_count; i++) {
		const struct workload_match *m = &rule->peers[i].workloads;

		if (rule->peers[i].kind != PEER_WORKLOADS)
			continue;
		if (is_everyone(x->world, m))
			x->step_always[step] = true;
		else
			x->step_patterns[step][x->step_pattern_counts[step]++] =
			    pattern_of(x, m);
	}
}

/* ---- can patterns apply together? ---- */

static bool
has_value(const struct requirement *r, struct str value)
{
	for (size_t i = 0; i < r->value_count; i++) {
		if (str_eq(r->values[i], value))
			return true;
	}
	return false;
}

/* Whether two requirements on one key leave a value, or its absence. Deeper
 * contradictions are not looked for: a line too many is never asked about. */
static bool
can_both(const struct requirement *a, const struct requirement *b)
{
	bool needs_a = a->op == REQ_IN || a->op == REQ_EXISTS;
	bool needs_b = b->op == REQ_IN || b->op == REQ_EXISTS;

	if ((a->op == REQ_NOT_EXISTS && needs_b) ||
	    (b->op == REQ_NOT_EXISTS && needs_a))
		return false;
	if (a->op != REQ_IN)
		return b->op != REQ_IN || a->op != REQ_NOT_IN || can_both(b, a);
	for (size_t i = 0; i < a->value_count; i++) {
		bool in = has_value(b, a->values[i]);

		if ((b->op == REQ_IN && in) || (b->op == REQ_NOT_IN && !in) ||
		    b->op == REQ_EXISTS)
			return true;
	}
	return false;
}

static bool
selectors_agree(const struct selector *a, const struct selector *b)
{
	for (size_t i = 0; a != NULL && b != NULL && i < a->count; i++) {
		for (size_t j = 0; j < b->count; j++) {
			if (str_eq(a->reqs[i].key, b->reqs[j].key) &&
			    !can_both(&a->reqs[i], &b->reqs[j]))
				return false;
		}
	}
	return true;
}

/* What is said of a namespace that exists is known. */
static bool
place_agrees(const struct workload_match *a, const struct workload_match *b)
{
	if (a->kube == NULL)
		return true;
	if (b->kube != NULL && b->kube != a->kube)
		return false;
	if (b->subtree != NULL && !ns_within(a->kube->ns, b->subtree))
		return false;
	return b->ns_selector == NULL ||
	       selector_matches(b->ns_selector, a->kube->labels);
}

static bool
patterns_agree(const struct workload_match *a, const struct workload_match *b)
{
	if (!place_agrees(a, b) || !place_agrees(b, a))
		return false;
	if (a->cluster.ptr != NULL && b->cluster.ptr != NULL &&
	    !str_eq(a->cluster, b->cluster))
		return false;
	if (a->subtree != NULL && b->subtree != NULL &&
	    !ns_within(a->subtree, b->subtree) && !ns_within(b->subtree, a->subtree))
		return false;
	if (a->service_account.ptr != NULL && b->service_account.ptr != NULL &&
	    !str_eq(a->service_account, b->service_account))
		return false;
	return selectors_agree(a->selector, b->selector) &&
	       selectors_agree(a->ns_selector, b->ns_selector);
}

/* ---- judging ---- */

static bool
step_holds(const struct exposer *x, size_t step)
{
	for (size_t i = 0; i < x->step_pattern_counts[step]; i++) {
		if (x->applies[x->step_patterns[step][i]])
			return true;
	}
	return x->step_always[step];
}

/* Over whatever family the two will have in common. */
static const struct conn_set *
judge(struct exposer *x, const uint32_t *patterns, size_t count)
{
	const struct conn_set *all = NULL;
	struct portset walked = {0};
	size_t on = 0;

	for (size_t i = 0; i < count; i++)
		x->applies[patterns[i]] = true;
	for (size_t i = 0; i < x->side->step_count; i++) {
		if (step_holds(x, i))
			x->on[on++] = (uint32_t)i;
	}
	for (size_t i = 0; i < count; i++)
		x->applies[patterns[i]] = false;
	for (unsigned f = 0; f < CONN_FAMILIES; f++) {
		const struct conn_set *set;

		if ((x->families & 1u << f) == 0)
			continue;
		conn_side_walk(x->side, x->on, on, NULL, conn_family_at(f), &walked);
		set = conn_side_allowed(x->side, &walked, conn_family_at(f),
		    x->world->arena, x->world->pool);
		all = all == NULL ? set : conn_set_join(x->world->pool, all, set);
	}
	portset_fini(&walked);
	return all != NULL ? all : conn_set_none(x->world->pool, 0);
}

static bool
knows_name(const struct conn_exposure_line *line, struct str name)
{
	for (size_t i = 0; i < line->name_count; i++) {
		if (str_eq(line->names[i], name))
			return true;
	}
	return false;
}

/* ---- lines ---- */

static bool
is_among(uint32_t pattern, const uint32_t *patterns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (patterns[i] == pattern)
			return true;
	}
	return false;
}

static bool
is_within(const struct conn_exposure_line *line, const uint32_t *patterns, size_t count)
{
	for (size_t i = 0; i < line->count; i++) {
		if (!is_among(line->patterns[i], patterns, count))
			return false;
	}
	return true;
}

const struct conn_set *
conn_exposure_value(struct conn_pool *pool, const struct conn_exposure *exposure,
    const uint32_t *patterns, size_t count)
{
	const struct conn_set *all = NULL;

	for (size_t i = 0; i < exposure->line_count; i++) {
		const struct conn_exposure_line *line = &exposure->lines[i];
		bool most_specific = is_within(line, patterns, count);

		for (size_t j = 0; most_specific && j < exposure->line_count; j++) {
			const struct conn_exposure_line *other = &exposure->lines[j];

			if (other->count > line->count &&
			    is_within(other, patterns, count) &&
			    is_within(line, other->patterns, other->count))
				most_specific = false;
		}
		if (most_specific)
			all = all == NULL ? line->set
					  : conn_set_join(pool, all, line->set);
	}
	return all;
}

/* Names of ports mean nothing yet at a workload that is not there: they are told. */
static void
add_names(struct exposer *x, struct conn_exposure_line *line)
{
	size_t most = 0;
	struct str *names;

	if (x->side->dir == DIR_INGRESS) /* they are the workload's own */
		return;

	for (size_t i = 0; i < line->count; i++)
		x->applies[line->patterns[i]] = true;
	for (size_t i = 0; i < x->side->step_count; i++)
		most += x->side->steps[i].rule != NULL
			    ? x->side->steps[i].rule->port_count
			    : 0;
	names = ARENA_ARRAY(x->world->arena, most, struct str);
	line->names = names;
	for (size_t i = 0; i < x->side->step_count; i++) {
		const struct rule *rule = x->side->steps[i].rule;

		if (rule == NULL || rule->action != ACTION_ALLOW || !step_holds(x, i))
			continue;
		for (size_t j = 0; j < rule->port_count; j++) {
			if (rule->ports[j].kind == PORT_NAMED &&
			    !knows_name(line, rule->ports[j].name))
				names[line->name_count++] = rule->ports[j].name;
		}
	}
	for (size_t i = 0; i < line->count; i++)
		x->applies[line->patterns[i]] = false;
}

/* True if the lines that apply speak of all the names. */
static bool
names_known(const struct conn_exposure *exposure, const struct conn_exposure_line *line)
{
	for (size_t i = 0; i < line->name_count; i++) {
		bool known = false;

		for (size_t j = 0; j < exposure->line_count && !known; j++)
			known = is_within(
				    &exposure->lines[j], line->patterns, line->count) &&
				knows_name(&exposure->lines[j], line->names[i]);
		if (!known)
			return false;
	}
	return true;
}

static void
add_line(struct exposer *x, const uint32_t *patterns, size_t count)
{
	struct conn_exposure *out = x->out;
	struct conn_exposure_line line = {
	    .count = count,
	    .set = judge(x, patterns, count),
	};

	for (size_t i = 0; i < count; i++)
		line.patterns[i] = patterns[i];
	add_names(x, &line);
	/* What the lines before say already needs no line. */
	if (out->line_count > 0 && names_known(out, &line) &&
	    conn_exposure_value(x->world->pool, out, patterns, count) == line.set)
		return;
	if (out->line_count == x->line_cap) {
		struct conn_exposure_line *lines;

		x->line_cap = x->line_cap == 0 ? 8 : 2 * x->line_cap;
		lines = ARENA_ARRAY(
		    x->world->arena, x->line_cap, struct conn_exposure_line);
		for (size_t i = 0; i < out->line_count; i++)
			lines[i] = out->lines[i];
		out->lines = lines;
	}
	out->lines[out->line_count++] = line;
}

/* Counts the combinations of `size` patterns that begin with those chosen, up to more
 * than EXPOSURE_JUDGED; or adds their lines. */
static void
combine(struct exposer *x, uint32_t *chosen, size_t count, size_t size, bool add)
{
	uint32_t from = count > 0 ? chosen[count - 1] + 1 : 0;

	if (count == size) {
		if (add)
			add_line(x, chosen, count);
		x->combined++;
		return;
	}
	for (uint32_t i = from;
	     i < x->out->pattern_count && (add || x->combined <= EXPOSURE_JUDGED);
	     i++) {
		bool agree = true;

		for (size_t j = 0; j < count && agree; j++)
			agree = patterns_agree(
			    x->out->patterns[chosen[j]], x->out->patterns[i]);
		if (!agree)
			continue;
		chosen[count] = i;
		combine(x, chosen, count + 1, size, add);
	}
}

/* How many combinations of so many patterns there are. */
static size_t
count_combinations(struct exposer *x, size_t size)
{
	uint32_t chosen[EXPOSURE_COMBINED + 1];

	x->combined = 0;
	combine(x, chosen, 0, size, false);
	return x->combined;
}

/*
 * By rising size, until there are none: most patterns ask for different values of the
 * same label, and few of them ever apply together.
 */
static void
find_lines(struct exposer *x)
{
	uint32_t chosen[EXPOSURE_COMBINED];
	size_t left = EXPOSURE_JUDGED;

	/* Where all rules allow, what several patterns allow just adds up. */
	x->out->exact = x->all_allow;
	for (size_t size = 0; size < 2; size++)
		combine(x, chosen, 0, size, true);
	for (size_t size = 2; !x->out->exact; size++) {
		size_t there = count_combinations(x, size);

		x->out->exact = there == 0;
		if (there == 0 || there > left || size > EXPOSURE_COMBINED)
			return;
		left -= there;
		combine(x, chosen, 0, size, true);
	}
}

static const struct conn_exposure *
expose(struct conn_world *world, const struct conn_side *side, unsigned families)
{
	struct exposer x = {.world = world, .side = side, .families = families};
	size_t steps = side->step_count, peers = 0;

	for (size_t i = 0; i < steps; i++)
		peers +=
		    side->steps[i].rule != NULL ? side->steps[i].rule->peer_count : 0;
	x.out = ARENA_NEW(world->arena, struct conn_exposure);
	x.out->patterns =
	    ARENA_ARRAY(world->arena, peers, const struct workload_match *);
	x.step_patterns = ARENA_ARRAY(world->arena, steps, uint32_t *);
	x.step_pattern_counts = ARENA_ARRAY(world->arena, steps, size_t);
	x.step_always = ARENA_ARRAY(world->arena, steps, bool);
	x.on = ARENA_ARRAY(world->arena, steps, uint32_t);
	x.all_allow = true;
	for (size_t i = 0; i < steps; i++)
		read_step(&x, i);
	x.applies = ARENA_ARRAY(world->arena, x.out->pattern_count, bool);
	find_lines(&x);
	map_fini(&x.pattern_by_key);
	return x.out;
}

const struct conn_exposure *
conn_exposure_of(
    struct conn_world *world, const struct conn_party *party, enum direction dir)
{
	struct conn_side *side = party->sides[dir];
	const struct conn_exposure **known;
	unsigned families = party->families;

	if (side == NULL)
		return NULL;
	/* An end without address may be of either family, as the other will be. */
	known = &side->exposures[families % (1u << CONN_FAMILIES)];
	if (*known == NULL)
		*known = expose(world, side, families);
	return *known;
}
