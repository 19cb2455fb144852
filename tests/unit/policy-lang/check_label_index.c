#include "policy-lang/model/label_index.h"

#include <check.h>
#include <roaring/roaring.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OBJECTS  300
#define KEYS     4
#define VALUES   3
#define MAX_REQS 3

static const char *const key_texts[KEYS] = {"app", "env", "tier", "unused"};
static const char *const value_texts[VALUES] = {"", "a", "b"};

static uint64_t random_state;

static uint32_t
random_below(uint32_t limit)
{
	random_state = random_state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(random_state >> 33) % limit;
}

struct objects {
	struct label labels[OBJECTS][KEYS];
	size_t counts[OBJECTS];
};

static struct label_set
object_labels(const void *ctx, uint32_t item)
{
	const struct objects *o = ctx;

	return (struct label_set){o->labels[item], o->counts[item]};
}

static void
make_objects(struct objects *o)
{
	memset(o, 0, sizeof(*o));
	for (size_t i = 0; i < OBJECTS; i++) {
		for (size_t k = 0; k < KEYS; k++) {
			if (random_below(3) == 0)
				continue;
			o->labels[i][o->counts[i]++] = (struct label){
			    str_from(key_texts[k]),
			    str_from(value_texts[random_below(VALUES)]),
			};
		}
	}
}

struct made_selector {
	struct selector selector;
	struct requirement reqs[MAX_REQS];
	struct str values[MAX_REQS][VALUES];
};

static void
make_selector(struct made_selector *m)
{
	memset(m, 0, sizeof(*m));
	m->selector.reqs = m->reqs;
	m->selector.count = random_below(MAX_REQS + 1);
	for (size_t i = 0; i < m->selector.count; i++) {
		struct requirement *r = &m->reqs[i];

		r->key = str_from(key_texts[random_below(KEYS)]);
		r->op = (enum requirement_op)random_below(4);
		r->values = m->values[i];
		if (r->op != REQ_IN && r->op != REQ_NOT_IN)
			continue;
		for (size_t v = 0; v < VALUES; v++) { /* sorted, as value_texts is */
			if (random_below(2) == 0)
				m->values[i][r->value_count++] =
				    str_from(value_texts[v]);
		}
	}
}

START_TEST(index_selects_what_selector_matches_matches)
{
	struct made_selector *made = calloc(40, sizeof(*made));
	struct objects *objects = calloc(1, sizeof(*objects));
	struct label_index *index;
	unsigned seed = 77u + (unsigned)_i;

	random_state = seed;
	make_objects(objects);
	index = label_index_new(OBJECTS, object_labels, objects);
	for (size_t i = 0; i < 40; i++) {
		make_selector(&made[i]);
		label_index_want(index, &made[i].selector);
		if (i == 10) /* what is announced later is indexed later */
			label_index_fill(index);
	}
	label_index_fill(index);
	for (size_t i = 0; i < 40; i++) {
		const roaring_bitmap_t *bits =
		    label_index_select(index, &made[i].selector);

		for (uint32_t o = 0; o < OBJECTS; o++)
			ck_assert_msg(selector_matches(&made[i].selector,
					  object_labels(objects, o)) ==
					  roaring_bitmap_contains(bits, o),
			    "seed %u selector %zu object %u", seed, i, o);
	}
	label_index_free(index);
	free(objects);
	free(made);
}
END_TEST

START_TEST(equal_selectors_are_evaluated_once)
{
	struct objects *objects = calloc(1, sizeof(*objects));
	struct made_selector *a = calloc(1, sizeof(*a)), *b = calloc(1, sizeof(*b));
	struct label_index *index;

	make_objects(objects);
	index = label_index_new(OBJECTS, object_labels, objects);
	for (size_t i = 0; i < 2; i++) {
		struct made_selector *m = i == 0 ? a : b;

		m->values[0][0] = STR("a");
		m->reqs[0] = (struct requirement){
		    .key = STR("app"), .values = m->values[0], .value_count = 1};
		m->selector.reqs = m->reqs;
		m->selector.count = 1;
	}
	label_index_want(index, &a->selector);
	label_index_fill(index);
	ck_assert_ptr_eq(label_index_select(index, &a->selector),
	    label_index_select(index, &b->selector));
	ck_assert_uint_eq(label_index_evaluations(index), 1);
	/* No selector and an empty one both match everything. */
	b->selector.count = 0;
	ck_assert_ptr_eq(
	    label_index_select(index, NULL), label_index_select(index, &b->selector));
	ck_assert_uint_eq(
	    roaring_bitmap_get_cardinality(label_index_select(index, NULL)), OBJECTS);
	ck_assert_uint_eq(label_index_evaluations(index), 2);
	label_index_free(index);
	free(objects);
	free(a);
	free(b);
}
END_TEST

/* "ab"+"c" and "a"+"bc" must not look alike. */
START_TEST(selector_keys_differ_when_selectors_do)
{
	struct str ab_c[] = {STR("ab"), STR("c")}, a_bc[] = {STR("a"), STR("bc")};
	struct requirement r1 = {.key = STR("k"), .values = ab_c, .value_count = 2};
	struct requirement r2 = {.key = STR("k"), .values = a_bc, .value_count = 2};
	struct selector s1 = {.reqs = &r1, .count = 1}, s2 = {.reqs = &r2, .count = 1};
	struct buf one = {0}, two = {0};

	selector_add_key(&one, &s1);
	selector_add_key(&two, &s2);
	ck_assert(!str_eq(buf_str(&one), buf_str(&two)));
	buf_clear(&two);
	r2 = r1;
	r2.op = REQ_NOT_IN;
	selector_add_key(&two, &s2);
	ck_assert(!str_eq(buf_str(&one), buf_str(&two)));
	buf_free(&one);
	buf_free(&two);
}
END_TEST

static Suite *
label_index_suite(void)
{
	Suite *suite = suite_create("label_index");
	TCase *tc = tcase_create("label_index");

	tcase_add_loop_test(tc, index_selects_what_selector_matches_matches, 0, 10);
	tcase_add_test(tc, equal_selectors_are_evaluated_once);
	tcase_add_test(tc, selector_keys_differ_when_selectors_do);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(label_index_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
