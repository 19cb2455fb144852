#include "policy-lang/diff/diff_decide.h"

#include <stdlib.h>

#include "policy-lang/connectivity/connectivity_side.h"

/* The steps of one side that decide some of `what`. */
struct marks {
	uint8_t *steps; /* by number - 1; the last is the cluster default */
	bool denies, allows;
};

/* One direction in one world. */
struct question {
	const struct conn_world *world;
	const struct conn_side *side;
	const struct conn_party *self, *peer; /* peer NULL: the outside */
	const struct ip_addr *outside;
};

static void
mark(const struct conn_side *side, struct marks *marks, uint32_t number)
{
	marks->steps[number - 1] = 1;
	if (conn_side_allows(side, number))
		marks->allows = true;
	else
		marks->denies = true;
}

static bool
has_some(const struct conn_ports *ports, uint16_t lo, uint16_t hi)
{
	for (size_t i = 0; i < ports->count; i++) {
		if (ports->items[i].lo <= hi && lo <= ports->items[i].hi)
			return true;
	}
	return false;
}

static void
mark_walk(const struct conn_side *side, const struct portset *walked,
    const struct conn_set *what, unsigned family, struct marks *marks)
{
	for (size_t p = 0; p < CONN_PROTO_COUNT; p++) {
		const struct port_list *list = &walked->columns[conn_port_columns[p]];

		for (size_t i = 0; i < list->count; i++) {
			if (has_some(
				&what->ports[p], list->items[i].lo, list->items[i].hi))
				mark(side, marks, list->items[i].number);
		}
	}
	for (size_t i = 0; i < CONN_REST_COUNT; i++) {
		if ((what->rest & conn_possible(family) & conn_rest_columns[i].bit) !=
		    0)
			mark(side, marks,
			    walked->columns[conn_rest_columns[i].column]
				.items[0]
				.number);
	}
}

static void
mark_peer(const struct question *q, const struct endpoint *peer, unsigned family,
    const struct conn_set *what, struct marks *marks)
{
	uint32_t *on = xcalloc(q->side->step_count + 1, sizeof(*on));
	size_t count = conn_side_match(q->side, peer, on);
	struct portset walked = {0};

	conn_side_walk(q->side, on, count,
	    peer->kind == ENDPOINT_WORKLOAD ? peer->workload : NULL, family, &walked);
	mark_walk(q->side, &walked, what, family, marks);
	portset_fini(&walked);
	free(on);
}

static bool
has_family(const struct conn_party *party, unsigned family)
{
	return (party->families & 1u << conn_family_place(family)) != 0;
}

/* Every pair of addresses of one family. */
static void
mark_all(const struct question *q, const struct conn_set *what, struct marks *marks)
{
	if (q->peer == NULL) {
		struct endpoint outside = {
		    .kind = ENDPOINT_ADDRESS,
		    .has_addr = true,
		    .addr = *q->outside,
		};

		mark_peer(q, &outside, q->outside->family, what, marks);
		return;
	}
	for (uint32_t i = 0; i < q->peer->face_count; i++) {
		const struct conn_face *face =
		    &q->world->faces[q->peer->first_face + i];

		if (face->family != 0 && has_family(q->self, face->family))
			mark_peer(q, &face->end, face->family, what, marks);
		for (unsigned f = 0; face->family == 0 && f < CONN_FAMILIES; f++) {
			unsigned family = conn_family_at(f);

			/* Neither has an address, or this one takes the other's. */
			if (has_family(q->self, family) &&
			    (family == 0 || !has_family(q->self, 0)))
				mark_peer(q, &face->end, family, what, marks);
		}
	}
}

/* False: the direction has no policy there, or an end is not there. */
static bool
ask(const struct conn_world *world, uint32_t self, uint32_t peer,
    const struct ip_addr *outside, enum direction dir, struct question *out)
{
	if (self == UINT32_MAX || (peer == UINT32_MAX && outside == NULL))
		return false;
	*out = (struct question){
	    .world = world,
	    .self = &world->parties[self],
	    .peer = outside == NULL ? &world->parties[peer] : NULL,
	    .outside = outside,
	};
	out->side = out->self->sides[dir];
	return out->side != NULL;
}

static struct marks
answer(const struct question *q, const struct conn_set *what)
{
	struct marks marks = {0};

	marks.steps = xcalloc(q->side->step_count + 1, sizeof(*marks.steps));
	mark_all(q, what, &marks);
	return marks;
}

static struct diff_decision
decision_of(const struct conn_side *side, size_t step)
{
	struct diff_decision d = {
	    .dir = side->dir,
	    .allow = conn_side_allows(side, (uint32_t)step + 1),
	    .node = side->self == NULL,
	};

	/* Fail-safe ports are nobody's rule. */
	if (step >= side->step_count ||
	    (side->steps[step].rule != NULL && side->steps[step].policy == NULL))
		return d;
	d.node = false;
	d.rule = side->steps[step].rule;
	d.policy = side->steps[step].policy;
	if (d.rule != NULL)
		d.loc = d.rule->loc;
	else if (d.policy->isolate_loc[d.dir].source != NULL)
		d.loc = d.policy->isolate_loc[d.dir];
	else
		d.loc = d.policy->loc;
	return d;
}

static void
keep(struct arena *arena, const struct conn_side *side, const struct marks *marks,
    bool allow, struct diff_decisions *out)
{
	struct diff_decision *items =
	    ARENA_ARRAY(arena, out->count + side->step_count + 1, struct diff_decision);

	for (size_t i = 0; i < out->count; i++)
		items[i] = out->items[i];
	out->items = items;
	for (size_t i = 0; i <= side->step_count; i++) {
		if (marks->steps[i] != 0 &&
		    conn_side_allows(side, (uint32_t)i + 1) == allow)
			items[out->count++] = decision_of(side, i);
	}
}

/* A node that policy judged before, and none does now. */
static void
keep_node(struct arena *arena, enum direction dir, struct diff_decisions *out)
{
	struct diff_decision *items =
	    ARENA_ARRAY(arena, out->count + 1, struct diff_decision);

	for (size_t i = 0; i < out->count; i++)
		items[i] = out->items[i];
	items[out->count++] =
	    (struct diff_decision){.dir = dir, .allow = true, .node = true};
	out->items = items;
}

static uint32_t
of_world(const struct diff *diff, uint32_t party, bool new)
{
	if (party == CONN_OUTSIDE)
		return UINT32_MAX;
	return new ? diff->parties[party].new : diff->parties[party].old;
}

/* What was denied before: an end that was not there counts as denied. */
static bool
denied_before(const struct diff *diff, uint32_t self, uint32_t peer,
    const struct ip_addr *outside, enum direction dir, const struct conn_set *what)
{
	struct question q;
	struct marks marks;
	uint32_t old_self = of_world(diff, self, false);
	uint32_t old_peer = of_world(diff, peer, false);

	if (old_self == UINT32_MAX || (outside == NULL && old_peer == UINT32_MAX))
		return true;
	if (!ask(diff->old_world, old_self, old_peer, outside, dir, &q))
		return false;
	marks = answer(&q, what);
	free(marks.steps);
	return marks.denies;
}

static void
decide_direction(struct arena *arena, const struct diff *diff, uint32_t self,
    uint32_t peer, const struct ip_addr *outside, enum direction dir,
    const struct conn_set *what, bool opened, struct diff_decisions *out)
{
	struct question q;
	struct marks marks;

	if (opened && !denied_before(diff, self, peer, outside, dir, what))
		return;
	if (!ask(diff->new_world, of_world(diff, self, true),
		of_world(diff, peer, true), outside, dir, &q)) {
		if (opened && of_world(diff, self, true) != UINT32_MAX &&
		    (outside != NULL || of_world(diff, peer, true) != UINT32_MAX))
			keep_node(arena, dir, out);
		return;
	}
	marks = answer(&q, what);
	keep(arena, q.side, &marks, opened, out);
	free(marks.steps);
}

void
diff_decide(struct arena *arena, const struct diff *diff, const struct diff_line *line,
    uint32_t src, uint32_t dst, bool opened, struct diff_decisions *out)
{
	const struct conn_set *what = opened ? line->opened : line->closed;
	const struct ip_addr *outside =
	    line->line.outside != NULL ? &line->line.outside->first : NULL;

	*out = (struct diff_decisions){0};
	if (what == NULL)
		return;
	if (src != CONN_OUTSIDE)
		decide_direction(
		    arena, diff, src, dst, outside, DIR_EGRESS, what, opened, out);
	if (dst != CONN_OUTSIDE)
		decide_direction(
		    arena, diff, dst, src, outside, DIR_INGRESS, what, opened, out);
}
