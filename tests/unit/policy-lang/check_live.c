/* Rules whose numbers are in each other's way: only their own policies take a whole load. */
#include <check.h>

#include "policy-lang/live.h"

#define POLICY(name, port)                                                             \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: " name    \
	", namespace: /a }\nspec: { allow: { ingress: [ { ports: [" port "] } ] } }\n"
/* Found by trying: the first rule of both has the same number by its name. */
#define ONE   "p21181"
#define OTHER "p36532"

static struct arena *arena;
static struct diag_list diags;

static void
setup(void)
{
	arena = arena_new();
	diag_list_init(&diags, arena);
}

static void
teardown(void)
{
	arena_free(arena);
}

static struct live *
load(const char *a, const char *b, const char *c)
{
	struct bundle *bundle = ARENA_NEW(arena, struct bundle);
	const char *const texts[] = {a, b, c};

	bundle->sources = ARENA_ARRAY(arena, ARRAY_LEN(texts), struct source);
	for (size_t i = 0; i < ARRAY_LEN(texts) && texts[i] != NULL; i++)
		bundle->sources[bundle->count++] = (struct source){
		    str_from(arena_printf(arena, "%zu", i)), str_from(texts[i])};
	return live_load(arena, bundle, NULL, NULL, &diags);
}

static uint32_t
number(const struct live *live, size_t policy)
{
	return live_model(live)->policies[policy]->allow[DIR_INGRESS].rules[0].number;
}

/* Reads and commits; what came of it. */
static enum live_answer
edit(struct live *live, const char *name, const char *text)
{
	struct live_edit *e = live_edit_new(live);
	struct compile_change *changes;
	size_t count;
	const struct str none = {NULL, 0};
	enum live_answer answer =
	    live_read(e, str_from(name), text != NULL ? str_from(text) : none, &diags);

	if (answer == LIVE_READ && !live_commit(e, arena, &diags, &changes, &count))
		answer = LIVE_BEYOND;
	live_edit_free(e);
	live_sweep(live);
	return answer;
}

START_TEST(others_are_edited_when_two_numbers_collide)
{
	struct live *live = load(
	    POLICY(ONE, "1/tcp"), POLICY(OTHER, "1/tcp"), POLICY("third", "1/tcp"));

	ck_assert_ptr_nonnull(live);
	ck_assert_uint_eq(number(live, 1), number(live, 0) + 1);
	ck_assert_int_eq(edit(live, "2", POLICY("third", "2/tcp")), LIVE_READ);
	ck_assert_int_eq(edit(live, "3", POLICY("fourth", "2/tcp")), LIVE_READ);
	ck_assert_int_eq(edit(live, "2", NULL), LIVE_READ);
	live_free(live);
}
END_TEST

START_TEST(those_that_collide_take_a_whole_load)
{
	struct live *live = load(POLICY(ONE, "1/tcp"), POLICY(OTHER, "1/tcp"), NULL);

	ck_assert_ptr_nonnull(live);
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_BEYOND);
	ck_assert_int_eq(edit(live, "0", POLICY(ONE, "2/tcp")), LIVE_BEYOND);
	ck_assert_int_eq(edit(live, "1", POLICY(OTHER, "2/tcp")), LIVE_BEYOND);
	live_free(live);
}
END_TEST

START_TEST(what_comes_to_collide_takes_a_whole_load)
{
	struct live *live = load(POLICY(ONE, "1/tcp"), NULL, NULL);
	uint32_t before;

	ck_assert_ptr_nonnull(live);
	before = number(live, 0);
	ck_assert_int_eq(edit(live, "1", POLICY(OTHER, "1/tcp")), LIVE_BEYOND);
	ck_assert_uint_eq(live_model(live)->policy_count, 1);
	/* One by one they have the same. */
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_READ);
	ck_assert_int_eq(edit(live, "1", POLICY(OTHER, "1/tcp")), LIVE_READ);
	ck_assert_uint_eq(number(live, 0), before);
	live_free(live);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("live");
	TCase *tcase = tcase_create("collisions");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, others_are_edited_when_two_numbers_collide);
	tcase_add_test(tcase, those_that_collide_take_a_whole_load);
	tcase_add_test(tcase, what_comes_to_collide_takes_a_whole_load);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
