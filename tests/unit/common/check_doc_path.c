/* Places as paths of fields. */
#include <check.h>
#include <stdlib.h>

#include "common/doc_path.h"

static const char text[] = "{\"spec\":{\"rules\":[{\"a\":1},{\"from\":[\"x\",{\"c/"
			   "d\":\"y\"}]}],\"last\":null}}";

static const struct {
	const char *at; /* where in the text, found from behind */
	const char *path;
} places[] = {
    {"{\"spec\"", ""},
    {"\"spec\"", "spec"},
    {"{\"rules\"", "spec"},
    {"[{\"a\"", "spec.rules"},
    {"1},", "spec.rules[0].a"},
    {"\"x\"", "spec.rules[1].from[0]"},
    {"{\"c/d\"", "spec.rules[1].from[1]"},
    {"\"y\"", "spec.rules[1].from[1][\"c/d\"]"},
    {"null", "spec.last"},
};

START_TEST(path_is_of_the_field_that_begins_there)
{
	struct arena *arena = arena_new();
	const struct source source = {STR("x.json"), str_from(text)};
	const char *at = strstr(text, places[_i].at);
	const struct loc loc = {&source, 1, (uint32_t)(at - text) + 1, 0};
	struct diag_list diags;
	struct doc_list docs;
	struct str path;

	diag_list_init(&diags, arena);
	ck_assert(doc_read(arena, &source, &diags, &docs));
	path = doc_path_at(arena, docs.docs[0], loc);
	ck_assert_msg(str_is(path, places[_i].path), "%.*s, not %s", STR_ARG(path),
	    places[_i].path);
	arena_free(arena);
}
END_TEST

START_TEST(path_is_of_the_line_in_yaml)
{
	struct arena *arena = arena_new();
	const struct source source = {
	    STR("x.yaml"), STR("a:\n  - b: 1\n    c: 2\n  - d\n")};
	const struct loc loc = {&source, 3, 8, 0}, second = {&source, 4, 5, 0};
	struct diag_list diags;
	struct doc_list docs;

	diag_list_init(&diags, arena);
	ck_assert(doc_read(arena, &source, &diags, &docs));
	ck_assert(str_is(doc_path_at(arena, docs.docs[0], loc), "a[0].c"));
	ck_assert(str_is(doc_path_at(arena, docs.docs[0], second), "a[1]"));
	arena_free(arena);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("doc_path");
	TCase *tc = tcase_create("doc_path");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(
	    tc, path_is_of_the_field_that_begins_there, 0, (int)ARRAY_LEN(places));
	tcase_add_test(tc, path_is_of_the_line_in_yaml);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
