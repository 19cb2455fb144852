/*
 * The plan, against a kernel made of arrays: whatever two tables there are, the operations
 * turn one into the other, and each is one that nf_tables would take at that moment.
 */
#include "enforcer/engine/plan_cold.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST_ELEMENTS 40
#define MOST_CHAINS   12
#ifdef RINGFENCE_SANITIZED /* each takes several times as long */
#define ROUNDS 100
#else
#define ROUNDS 400
#endif

static struct arena *arena;

static void
setup(void)
{
	arena = arena_new();
}

static void
teardown(void)
{
	arena_free(arena);
}

/* ---- a kernel of arrays ---- */

struct kernel {
	struct table_element elements[SET_COUNT][2 * MOST_ELEMENTS];
	size_t count[SET_COUNT];
	struct table_rule_chain chains[2 * MOST_CHAINS];
	size_t chain_count;
	bool there;
};

static struct kernel *
kernel_new(const struct table_content *content)
{
	struct kernel *k = ARENA_NEW(arena, struct kernel);

	k->there = content != NULL;
	for (size_t s = 0; s < SET_COUNT && content != NULL; s++) {
		k->count[s] = content->element_count[s];
		for (size_t i = 0; i < k->count[s]; i++)
			k->elements[s][i] = content->elements[s][i];
	}
	for (size_t i = 0; content != NULL && i < content->rule_chain_count; i++)
		k->chains[k->chain_count++] = content->rule_chains[i];
	return k;
}

static size_t
find_element(
    const struct kernel *k, enum table_set_id set, const struct table_element *e)
{
	size_t i = 0;

	while (i < k->count[set] && table_element_cmp(&k->elements[set][i], e) != 0)
		i++;
	return i;
}

static size_t
find_chain(const struct kernel *k, uint32_t number)
{
	size_t i = 0;

	while (i < k->chain_count && k->chains[i].number != number)
		i++;
	return i;
}

static void
add(struct kernel *k, const struct op *op)
{
	for (size_t i = 0; i < op->element_count; i++) {
		const struct table_element *e = &op->elements[i];

		ck_assert_uint_eq(find_element(k, op->set, e), k->count[op->set]);
		if (op->set == SET_RULES) /* goto a chain that is there */
			ck_assert_uint_lt(find_chain(k, e->value), k->chain_count);
		k->elements[op->set][k->count[op->set]++] = *e;
	}
}

static void delete (struct kernel *k, const struct op *op)
{
	ck_assert(!table_sets[op->set].interval);
	for (size_t i = 0; i < op->element_count; i++) {
		size_t at = find_element(k, op->set, &op->elements[i]);

		ck_assert_uint_lt(at, k->count[op->set]);
		k->elements[op->set][at] = k->elements[op->set][--k->count[op->set]];
	}
}

static void
change_chain(struct kernel *k, const struct op *op)
{
	size_t at = find_chain(k, op->chain->number);

	if (op->kind == OP_CHAIN_ADD) {
		ck_assert_uint_eq(at, k->chain_count);
		k->chains[k->chain_count++] = *op->chain;
		return;
	}
	ck_assert_uint_lt(at, k->chain_count);
	if (op->kind == OP_CHAIN_REPLACE) {
		k->chains[at] = *op->chain;
		return;
	}
	for (size_t i = 0; i < k->count[SET_RULES]; i++) /* nothing goes there */
		ck_assert_uint_ne(k->elements[SET_RULES][i].value, op->chain->number);
	k->chains[at] = k->chains[--k->chain_count];
}

static void
run(struct kernel *k, const struct op_batch *batch)
{
	for (size_t i = 0; i < batch->count; i++) {
		const struct op *op = &batch->ops[i];

		ck_assert(k->there || op->kind == OP_TABLE);
		switch (op->kind) {
		case OP_TABLE:
			ck_assert_uint_eq(i, 0);
			memset(k, 0, sizeof(*k));
			k->there = true;
			break;
		case OP_RULES:
			ck_assert_uint_eq(i, 0);
			break;
		case OP_ADD:
			add(k, op);
			break;
		case OP_DELETE:
			delete (k, op);
			break;
		case OP_FLUSH:
			k->count[op->set] = 0;
			break;
		case OP_CHAIN_ADD:
		case OP_CHAIN_REPLACE:
		case OP_CHAIN_DELETE:
			change_chain(k, op);
			break;
		}
	}
}

static void
check_same(const struct kernel *k, const struct table_content *content)
{
	for (size_t s = 0; s < SET_COUNT; s++) {
		ck_assert_uint_eq(k->count[s], content->element_count[s]);
		for (size_t i = 0; i < content->element_count[s]; i++) {
			const struct table_element *e = &content->elements[s][i];
			size_t at = find_element(k, (enum table_set_id)s, e);

			ck_assert_uint_lt(at, k->count[s]);
			ck_assert(table_element_equal(&k->elements[s][at], e));
		}
	}
	ck_assert_uint_eq(k->chain_count, content->rule_chain_count);
	for (size_t i = 0; i < content->rule_chain_count; i++) {
		const struct table_rule_chain *chain = &content->rule_chains[i];
		size_t at = find_chain(k, chain->number);

		ck_assert_uint_lt(at, k->chain_count);
		ck_assert_int_eq(k->chains[at].action, chain->action);
		ck_assert_int_eq(k->chains[at].log, chain->log);
		ck_assert_str_eq(k->chains[at].comment, chain->comment);
	}
}

/* ---- random tables ---- */

static unsigned
pick(unsigned below)
{
	return (unsigned)rand() % below; /* NOLINT: repeatable, that is the point */
}

static void
random_chains(struct table_content *c)
{
	static const char *const comments[] = {"a.yaml:1", "a.yaml:2"};

	c->rule_chains = ARENA_ARRAY(arena, MOST_CHAINS, struct table_rule_chain);
	c->elements[SET_RULES] = ARENA_ARRAY(arena, MOST_CHAINS, struct table_element);
	for (uint32_t n = 0; n < MOST_CHAINS; n++) {
		size_t at = c->rule_chain_count;

		if (pick(2) == 0)
			continue;
		c->rule_chains[at] = (struct table_rule_chain){.number = 4096 + n,
		    .action = pick(4) == 0 ? ACTION_ALLOW : ACTION_DENY,
		    .log = pick(4) == 0,
		    .comment = comments[pick(4) == 0]};
		c->elements[SET_RULES][at] =
		    (struct table_element){.class_id = 4096 + n, .value = 4096 + n};
		c->element_count[SET_RULES] = ++c->rule_chain_count;
	}
}

/* Sorted and without duplicates, because the counter only grows. */
static void
random_set(struct table_content *c, enum table_set_id set)
{
	size_t count = 0;

	c->elements[set] = ARENA_ARRAY(arena, MOST_ELEMENTS, struct table_element);
	for (unsigned n = 0; n < MOST_ELEMENTS && pick(8) != 0; n++) {
		struct table_element e = {.addr = {10, 0, 0, (uint8_t)n}};

		if (pick(2) == 0)
			continue;
		if (table_sets[set].interval && table_sets[set].key[1] == FIELD_NONE) {
			memcpy(e.addr_end, e.addr, sizeof(e.addr));
			e.addr_end[15] = (uint8_t)pick(2);
		}
		if (table_sets[set].value != FIELD_NONE)
			e.value = 1 + pick(3);
		c->elements[set][count++] = e;
	}
	c->element_count[set] = count;
}

static struct table_content *
random_content(void)
{
	struct table_content *c = ARENA_NEW(arena, struct table_content);

	c->settings = (struct table_settings){.log_group = 100,
	    .reject = pick(8) == 0,
	    .uses = pick(8) == 0 ? USE_LIMIT_NEW : 0};
	random_chains(c);
	for (int s = 0; s < SET_COUNT; s++) {
		if (s != SET_RULES && pick(2) == 0)
			random_set(c, (enum table_set_id)s);
	}
	return c;
}

static bool
first_of(const struct op_batch *batch, enum op_kind kind)
{
	return batch->count != 0 && batch->ops[0].kind == kind;
}

START_TEST(plan_turns_any_table_into_any_other)
{
	unsigned seed = (unsigned)_i + 1;
	struct op_batch batch;

	srand(seed);
	for (unsigned round = 0; round < ROUNDS; round++) {
		struct table_content *from = pick(10) == 0 ? NULL : random_content();
		struct table_content *to = random_content();
		struct kernel *k = kernel_new(from);

		plan_make(arena, from, to, &batch);
		run(k, &batch);
		check_same(k, to);
		ck_assert_uint_eq(batch.settings.reject, to->settings.reject);
		ck_assert_uint_eq(batch.settings.uses, to->settings.uses);
		/* Fewer rules come with a table of their own, more do not. */
		if (from != NULL && from->settings.reject == to->settings.reject)
			ck_assert_uint_eq(first_of(&batch, OP_TABLE),
			    from->settings.uses > to->settings.uses);
		ck_assert_uint_eq(first_of(&batch, OP_RULES),
		    from != NULL && from->settings.reject == to->settings.reject &&
			from->settings.uses < to->settings.uses);
		arena_reset(arena);
	}
}
END_TEST

/* Whether all that policy says is there, but for who is known. */
static bool
is_complete(const struct kernel *k, const struct table_content *to)
{
	for (size_t s = 0; s < SET_COUNT; s++) {
		if (s != SET_KNOWN4 && s != SET_KNOWN6 &&
		    k->count[s] != to->element_count[s])
			return false;
	}
	return true;
}

static bool
is_large(const struct op_batch *batch, size_t chunk)
{
	ck_assert_uint_gt(batch->count, 0);
	return batch->count > 1 || batch->ops[0].element_count > chunk;
}

/* Bit by bit it becomes the same. Nobody is governed before all else is there, and nobody is
 * known before everybody is governed who is to be. */
START_TEST(cold_plan_makes_any_table_and_opens_at_last)
{
	struct plan_stages stages;

	srand(11);
	for (unsigned round = 0; round < 100; round++) {
		struct table_content *to = random_content();
		struct kernel *k = kernel_new(NULL);
		size_t chunk = 1 + pick(7), large = 0;

		plan_cold(arena, to, chunk, &stages);
		for (size_t i = 0; i < stages.count; i++) {
			bool complete = is_complete(k, to);

			ck_assert(complete || k->count[SET_KNOWN4] == 0);
			ck_assert(complete || k->count[SET_KNOWN6] == 0);
			ck_assert(complete || k->count[SET_LOCAL4_IN] == 0);
			ck_assert(complete || k->count[SET_LOCAL6_OUT] == 0);
			if (i > 0)
				ck_assert_uint_eq(
				    k->count[SET_GATE4], to->element_count[SET_GATE4]);
			large += i > 0 && is_large(&stages.batches[i], chunk);
			run(k, &stages.batches[i]);
		}
		ck_assert_uint_le(large, 1); /* who is governed */
		check_same(k, to);
		arena_reset(arena);
	}
}
END_TEST

START_TEST(plan_is_empty_when_tables_are_equal)
{
	struct op_batch batch;

	srand(7);
	for (unsigned round = 0; round < 50; round++) {
		struct table_content *c = random_content();

		plan_make(arena, c, c, &batch);
		ck_assert_uint_eq(batch.count, 0);
	}
}
END_TEST

START_TEST(plan_makes_the_table_anew_when_nothing_is_known)
{
	struct table_content *c = random_content();
	struct op_batch batch;

	plan_make(arena, NULL, c, &batch);
	ck_assert_int_eq(batch.ops[0].kind, OP_TABLE);
	for (size_t i = 1; i < batch.count; i++)
		ck_assert(
		    batch.ops[i].kind == OP_ADD || batch.ops[i].kind == OP_CHAIN_ADD);
}
END_TEST

/* What a set of one element becomes when it changes. */
static size_t
ops_of_change(enum table_set_id set, struct op_batch *batch)
{
	static struct table_element before[] = {
	    {.addr = {10, 0, 0, 1}, .addr_end = {10, 0, 0, 9}, .value = 1},
	    {.addr = {10, 0, 1, 1}, .addr_end = {10, 0, 1, 9}, .value = 1}};
	static struct table_element after[] = {
	    {.addr = {10, 0, 0, 1}, .addr_end = {10, 0, 0, 9}, .value = 2},
	    {.addr = {10, 0, 1, 1}, .addr_end = {10, 0, 1, 9}, .value = 1}};
	struct table_content from = {.settings.log_group = 1};
	struct table_content to = {.settings.log_group = 1};

	from.elements[set] = before;
	to.elements[set] = after;
	from.element_count[set] = to.element_count[set] = 2;
	plan_make(arena, &from, &to, batch);
	return batch->count;
}

START_TEST(one_changed_value_is_one_element_of_a_map)
{
	struct op_batch batch;

	ck_assert_uint_eq(ops_of_change(SET_PEER4_IN, &batch), 2);
	ck_assert_int_eq(batch.ops[0].kind, OP_DELETE);
	ck_assert_uint_eq(batch.ops[0].element_count, 1);
	ck_assert_int_eq(batch.ops[1].kind, OP_ADD);
	ck_assert_uint_eq(batch.ops[1].element_count, 1);
	ck_assert_uint_eq(batch.ops[1].elements[0].value, 2);
}
END_TEST

START_TEST(one_changed_value_replaces_an_interval_map_whole)
{
	struct op_batch batch;

	ck_assert_uint_eq(ops_of_change(SET_PEER4_IN_NET, &batch), 2);
	ck_assert_int_eq(batch.ops[0].kind, OP_FLUSH);
	ck_assert_int_eq(batch.ops[1].kind, OP_ADD);
	ck_assert_uint_eq(batch.ops[1].element_count, 2);
}
END_TEST

START_TEST(places_travel_with_what_is_added)
{
	static const struct source source = {STR("p.yaml"), STR("")};
	static struct table_element element = {.class_id = 9, .value = 9};
	static struct table_rule_chain chain = {.number = 9, .comment = "x"};
	struct table_content from = {.settings.log_group = 1};
	struct table_content to = {.settings.log_group = 1};
	struct op_batch batch;

	element.loc = (struct loc){.source = &source, .line = 4, .col = 2};
	chain.loc = (struct loc){.source = &source, .line = 5, .col = 2};
	to.elements[SET_RULES] = &element;
	to.rule_chains = &chain;
	to.element_count[SET_RULES] = to.rule_chain_count = 1;
	plan_make(arena, &from, &to, &batch);
	ck_assert_uint_eq(batch.count, 2);
	ck_assert_uint_eq(batch.ops[0].chain->loc.line, 5);
	ck_assert_uint_eq(batch.ops[1].elements[0].loc.line, 4);
	ck_assert_uint_eq(plan_place(&batch, 0, 0).line, 5);
	ck_assert_uint_eq(plan_place(&batch, 1, 0).line, 4);
	ck_assert_ptr_null(plan_place(&batch, 1, 1).source);
	ck_assert_ptr_null(plan_place(&batch, 2, 0).source);
}
END_TEST

/* ---- comparing ---- */

struct seen {
	char text[512];
};

static void
see_element(void *arg, enum plan_difference what, enum table_set_id set,
    const struct table_element *element)
{
	struct seen *s = arg;
	size_t len = strlen(s->text);

	(void)snprintf(s->text + len, sizeof(s->text) - len, "%d:%s:%u:%u ", (int)what,
	    table_sets[set].name, element->addr[3], (unsigned)element->value);
}

static void
see_chain(void *arg, enum plan_difference what, uint32_t number)
{
	struct seen *s = arg;
	size_t len = strlen(s->text);

	(void)snprintf(s->text + len, sizeof(s->text) - len, "%d:rule_%u ", (int)what,
	    (unsigned)number);
}

START_TEST(compare_names_every_difference)
{
	static struct table_element desired[] = {{.addr = {10, 0, 0, 1}, .value = 1},
	    {.addr = {10, 0, 0, 2}, .value = 2}, {.addr = {10, 0, 0, 3}, .value = 3}};
	static struct table_element found[] = {{.addr = {10, 0, 0, 2}, .value = 9},
	    {.addr = {10, 0, 0, 3}, .value = 3}, {.addr = {10, 0, 0, 4}, .value = 4}};
	static struct table_rule_chain chains[] = {{.number = 5}, {.number = 7}};
	static const uint32_t numbers[] = {5, 6};
	struct table_content content = {.rule_chains = chains, .rule_chain_count = 2};
	struct plan_observed observed = {.chains = numbers, .chain_count = 2};
	struct seen seen = {""};
	const struct plan_visitor visitor = {see_element, see_chain, &seen};

	content.elements[SET_PEER4_IN] = desired;
	content.element_count[SET_PEER4_IN] = 3;
	observed.elements[SET_PEER4_IN] = found;
	observed.element_count[SET_PEER4_IN] = 3;
	ck_assert_uint_eq(plan_compare(&observed, &content, &visitor), 5);
	ck_assert_str_eq(seen.text,
	    "0:peer4_in:1:1 2:peer4_in:2:2 1:peer4_in:4:4 1:rule_6 0:rule_7 ");
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("plan");
	TCase *tc = tcase_create("plan");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(tc, plan_turns_any_table_into_any_other, 0, 5);
	tcase_add_test(tc, cold_plan_makes_any_table_and_opens_at_last);
	tcase_add_test(tc, plan_is_empty_when_tables_are_equal);
	tcase_add_test(tc, plan_makes_the_table_anew_when_nothing_is_known);
	tcase_add_test(tc, one_changed_value_is_one_element_of_a_map);
	tcase_add_test(tc, one_changed_value_replaces_an_interval_map_whole);
	tcase_add_test(tc, places_travel_with_what_is_added);
	tcase_add_test(tc, compare_names_every_difference);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
