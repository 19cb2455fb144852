/* Sets of what rules can match, against membership point by point. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "load_fixture.h"

#include "policy-lang/lint/lint_space.h"

/* Three dimensions of nine values; the last stands for all that follow, too. */
#define DIMS   3u
#define VALUES 9u
#define POINTS (VALUES * VALUES * VALUES)
#define SERIES 100u
#ifdef RINGFENCE_SANITIZED /* each takes several times as long */
#define ROUNDS 750u
#else
#define ROUNDS 3000u
#endif

static const uint32_t dim_ids[DIMS] = {DIM_PORT, DIM_PEER_NS, DIM_LABELS + 8};

struct case_state {
	struct arena *arena;
	unsigned seed;
};

static unsigned
draw(struct case_state *s, unsigned below)
{
	s->seed = s->seed * 1103515245u + 12345u;
	return (s->seed >> 16) % below;
}

/* A box, and which of the points are in it. */
struct sample {
	struct space_box box;
	bool in[POINTS];
};

static struct space_set
set_of_mask(struct case_state *s, unsigned mask)
{
	struct addrset set = {0};
	struct addr_range *ranges;
	struct space_set out;

	for (unsigned v = 0; v < VALUES; v++) {
		if ((mask & 1u << v) != 0)
			addrset_add(&set,
			    (struct addr_range){v, v + 1 < VALUES ? v : ~(addr_num)0});
	}
	addrset_normalise(&set);
	ranges = ARENA_ARRAY(s->arena, set.count, struct addr_range);
	for (size_t i = 0; i < set.count; i++)
		ranges[i] = set.ranges[i];
	out = (struct space_set){ranges, (uint32_t)set.count};
	addrset_fini(&set);
	return out;
}

static void
random_sample(struct case_state *s, struct sample *out)
{
	struct space_dim *dims = ARENA_ARRAY(s->arena, DIMS, struct space_dim);
	unsigned masks[DIMS], full = (1u << VALUES) - 1;
	uint32_t count = 0;

	for (unsigned d = 0; d < DIMS; d++) {
		masks[d] = draw(s, 3) == 0 ? full : draw(s, full) + 1;
		if (masks[d] != full)
			dims[count++] =
			    (struct space_dim){dim_ids[d], set_of_mask(s, masks[d])};
	}
	out->box = (struct space_box){dims, count};
	for (unsigned p = 0; p < POINTS; p++)
		out->in[p] = (masks[0] >> p % VALUES & 1) != 0 &&
			     (masks[1] >> p / VALUES % VALUES & 1) != 0 &&
			     (masks[2] >> p / VALUES / VALUES & 1) != 0;
}

static bool
set_has(const struct space_set *set, addr_num v)
{
	for (uint32_t i = 0; i < set->count; i++) {
		if (set->ranges[i].lo <= v && v <= set->ranges[i].hi)
			return true;
	}
	return false;
}

static bool
box_has(const struct space_box *box, unsigned point)
{
	const addr_num values[DIMS] = {
	    point % VALUES, point / VALUES % VALUES, point / VALUES / VALUES};

	for (uint32_t i = 0; i < box->count; i++) {
		for (unsigned d = 0; d < DIMS; d++) {
			if (box->dims[i].id == dim_ids[d] &&
			    !set_has(&box->dims[i].set, values[d]))
				return false;
		}
	}
	return true;
}

static unsigned
boxes_having(const struct space_boxes *boxes, unsigned point)
{
	unsigned count = 0;

	for (size_t i = 0; i < boxes->count; i++)
		count += box_has(&boxes->items[i], point);
	return count;
}

START_TEST(covers_and_meets_agree_with_points)
{
	struct case_state s = {.arena = arena_new(), .seed = 1};
	unsigned covers = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		struct sample a, b;
		bool all = true, any = false;

		random_sample(&s, &a);
		random_sample(&s, &b);
		for (unsigned p = 0; p < POINTS; p++) {
			all = all && (a.in[p] || !b.in[p]);
			any = any || (a.in[p] && b.in[p]);
		}
		ck_assert_int_eq(space_covers(&a.box, &b.box), all);
		ck_assert_int_eq(space_meets(&a.box, &b.box), any);
		covers += all;
	}
	ck_assert_uint_gt(covers, 10); /* the test has something to find */
	arena_free(s.arena);
}
END_TEST

/* The last value that a sample has in a dimension, or its first; `step` is how far its
 * values are apart among the points. Sets are products: any one of the points will do. */
static unsigned
extreme(const struct sample *of, unsigned step, bool last)
{
	unsigned found = 0;

	for (unsigned p = 0; p < POINTS; p++) {
		unsigned value = p / step % VALUES;
		unsigned at = last ? value : VALUES - 1 - value;

		if (of->in[p] && at > found)
			found = at;
	}
	return last ? found : VALUES - 1 - found;
}

START_TEST(corner_is_a_point_of_its_box)
{
	struct case_state s = {.arena = arena_new(), .seed = 3};
	unsigned inside = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		bool last = i % 2 == 0;
		struct sample a, b;
		struct space_box corner;
		unsigned at = 0;

		random_sample(&s, &a);
		random_sample(&s, &b);
		corner = space_corner(s.arena, &a.box, last);
		for (unsigned step = 1; step < POINTS; step *= VALUES)
			at += step * extreme(&a, step, last);
		ck_assert(a.in[at] && space_has_corner(&a.box, &corner, last));
		ck_assert_int_eq(space_has_corner(&b.box, &corner, last), b.in[at]);
		inside += b.in[at];
	}
	ck_assert(inside > 10 && inside < ROUNDS - 10);
	arena_free(s.arena);
}
END_TEST

/* 0: in neither, 1: open, 2: passed. */
static void
take_points(unsigned *state, const struct sample *by, bool pass)
{
	for (unsigned p = 0; p < POINTS; p++) {
		if (state[p] == 1 && by->in[p])
			state[p] = pass ? 2 : 0;
	}
}

START_TEST(rest_agrees_with_points_after_every_step)
{
	struct case_state s = {.arena = arena_new(), .seed = 2};
	unsigned emptied = 0;

	for (unsigned i = 0; i < SERIES; i++) {
		struct sample whole;
		struct space_rest rest;
		unsigned state[POINTS];

		random_sample(&s, &whole);
		space_rest_init(&rest, s.arena, &whole.box);
		for (unsigned p = 0; p < POINTS; p++)
			state[p] = whole.in[p];
		for (unsigned step = 0; step < 6 && !rest.gave_up; step++) {
			struct sample by;
			bool pass = draw(&s, 4) == 0, touched = false;

			random_sample(&s, &by);
			for (unsigned p = 0; p < POINTS; p++)
				touched = touched || (state[p] == 1 && by.in[p]);
			ck_assert_int_eq(
			    space_rest_take(&rest, &by.box, pass), touched);
			take_points(state, &by, pass);
			if (draw(&s, 5) == 0) {
				space_rest_next_level(&rest);
				for (unsigned p = 0; p < POINTS; p++)
					state[p] = state[p] != 0;
			}
			for (unsigned p = 0; p < POINTS && !rest.gave_up; p++) {
				/* Pieces of one list are disjoint. */
				ck_assert_uint_eq(
				    boxes_having(&rest.open, p), state[p] == 1);
				ck_assert_uint_eq(
				    boxes_having(&rest.passed, p), state[p] == 2);
			}
		}
		emptied += rest.open.count == 0;
		space_rest_fini(&rest);
		arena_reset(s.arena);
	}
	ck_assert_uint_gt(emptied, 5);
	arena_free(s.arena);
}
END_TEST

/* ---- rules ---- */

#define POLICY(rules)                                                                  \
	"{apiVersion: ringfence.dev/v1alpha1, kind: Policy, metadata: {name: p,"       \
	" namespace: /}, spec: {mandatory: {ingress: [" rules "]}}}\n"

/* The second rule against the first. */
static const struct {
	const char *first, *second;
	bool covers, meets;
} rule_rows[] = {
    {"{action: deny}", "{action: deny, ports: [http]}", true, true},
    {"{action: deny, ports: [tcp]}", "{action: deny, ports: [80/tcp]}", true, true},
    {"{action: deny, ports: [1-65535/tcp]}", "{action: deny, ports: [tcp]}", true,
	true},
    /* A bare name is one of any protocol. */
    {"{action: deny, ports: [tcp]}", "{action: deny, ports: [http]}", false, true},
    {"{action: deny, ports: [tcp, udp, sctp]}", "{action: deny, ports: [http]}", true,
	true},
    {"{action: deny, ports: [80/tcp]}", "{action: deny, ports: [http]}", false, false},
    {"{action: deny, ports: [80/tcp]}", "{action: deny, ports: [80/udp]}", false,
	false},
    {"{action: deny, ports: [icmp]}", "{action: deny, ports: [icmpv6]}", false, false},
    {"{action: deny, from: [{cidr: 0.0.0.0/0}, {cidr: \"::/0\"}]}",
	"{action: deny, from: [{cidr: \"2001:db8::/32\"}]}", true, true},
    {"{action: deny, from: [{cidr: \"::/0\"}]}",
	"{action: deny, from: [{cidr: 10.0.0.0/8}]}", false, false},
    {"{action: deny, from: [{cidr: 10.0.0.0/9}, {cidr: 10.128.0.0/9}]}",
	"{action: deny, from: [{cidr: 10.0.0.0/8}]}", true, true},
    {"{action: deny, from: [{cidr: 10.0.0.0/8, except: [10.1.0.0/16]}]}",
	"{action: deny, from: [{cidr: 10.1.0.0/16}]}", false, false},
    /* A workload may have any address, and every address may be a workload's. */
    {"{action: deny, from: [{cidr: 10.0.0.0/8}]}",
	"{action: deny, from: [{workloads: {}}]}", false, true},
    {"{action: deny, from: [{workloads: {matchLabels: {app: a}}}]}",
	"{action: deny, from: [{workloads: {matchLabels: {app: a, tier: b}}}]}", true,
	true},
    {"{action: deny, from: [{workloads: {matchLabels: {app: a}}}]}",
	"{action: deny, from: [{workloads: {matchLabels: {app: b}}}]}", false, false},
    {"{action: deny, from: [{workloads: {matchExpressions: [{key: app, operator: "
     "NotIn, values: [b]}]}}]}",
	"{action: deny, from: [{workloads: {matchExpressions: [{key: app, operator: "
	"DoesNotExist}]}}]}",
	true, true},
    {"{action: deny, from: [{workloads: {matchExpressions: [{key: app, operator: "
     "Exists}]}}]}",
	"{action: deny, from: [{workloads: {matchExpressions: [{key: app, operator: "
	"NotIn, values: [b]}]}}]}",
	false, true},
    {"{action: deny, from: [{node: {}}]}", "{action: deny, from: [{node: n1}]}", true,
	true},
    {"{action: deny, from: [{node: {}}]}", "{action: deny, from: [{workloads: {}}]}",
	false, false},
};

START_TEST(rule_becomes_the_boxes_that_it_means)
{
	char text[2000];
	struct loaded *l;
	struct space_boxes first = {0}, second = {0};
	struct space s = {0};
	static const uint32_t rank[] = {0}, rank_end[] = {1};
	const struct rule_list *list;
	bool covers, meets = false;

	(void)snprintf(text, sizeof(text), POLICY("%s, %s"), rule_rows[_i].first,
	    rule_rows[_i].second);
	l = load_ok(text);
	s = (struct space){.arena = l->arena, .ns_rank = rank, .ns_rank_end = rank_end};
	list = &find_policy(l, "p")->mandatory[DIR_INGRESS];
	space_rule(&s, &list->rules[0], &first);
	space_rule(&s, &list->rules[1], &second);
	ck_assert_uint_gt(second.count, 0);
	covers = true;
	for (size_t i = 0; i < second.count; i++) {
		struct space_rest rest;

		space_rest_init(&rest, l->arena, &second.items[i]);
		for (size_t j = 0; j < first.count; j++)
			meets |= space_rest_take(&rest, &first.items[j], false);
		covers = covers && rest.open.count == 0;
		space_rest_fini(&rest);
	}
	ck_assert_int_eq(covers, rule_rows[_i].covers);
	ck_assert_int_eq(meets, rule_rows[_i].meets);
	free(first.items);
	free(second.items);
	space_fini(&s);
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("lint_space");
	TCase *tc = tcase_create("lint_space");

	tcase_set_timeout(tc, 60);
	tcase_add_test(tc, covers_and_meets_agree_with_points);
	tcase_add_test(tc, corner_is_a_point_of_its_box);
	tcase_add_test(tc, rest_agrees_with_points_after_every_step);
	tcase_add_loop_test(
	    tc, rule_becomes_the_boxes_that_it_means, 0, (int)ARRAY_LEN(rule_rows));
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
