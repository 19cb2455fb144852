/*
 * What a list that is to be filtered asks, and its continue tokens.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "authn/access/list_request.h"

static const struct list_keys keys = {.count = 1, .keys = {{1, 2, 3}}};
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

static const struct {
	const char *accept[3];
	const char *want; /* NULL: nothing is left */
} accepts[] = {
    {{NULL}, "application/json"},
    {{"*/*"}, "application/json"},
    {{"application/json"}, "application/json"},
    {{"APPLICATION/JSON"}, "application/json"},
    {{"application/*;q=0.5"}, "application/json;q=0.5"},
    {{"application/json;as=Table;v=v1;g=meta.k8s.io,application/json"},
	"application/json;as=Table;v=v1;g=meta.k8s.io,application/json"},
    {{"application/vnd.kubernetes.protobuf,application/json"}, "application/json"},
    {{"application/vnd.kubernetes.protobuf", "application/json;q=0.1"},
	"application/json;q=0.1"},
    {{"application/json;stream=watch"}, "application/json;stream=watch"},
    {{"application/yaml"}, NULL},
    {{"application/cbor, text/html"}, NULL},
    {{"application/jsonx"}, NULL},
    {{"application/json-patch+json"}, NULL},
    {{""}, NULL},
};

START_TEST(accept_keeps_the_forms_of_json)
{
	struct header_list list = {NULL, 0, 0, 0};
	struct str got;

	for (size_t i = 0; i < 3 && accepts[_i].accept[i] != NULL; i++)
		header_list_add(
		    arena, &list, STR("accept"), str_from(accepts[_i].accept[i]));
	got = list_request_accept(arena, &list);
	if (accepts[_i].want == NULL)
		ck_assert_ptr_null(got.ptr);
	else
		ck_assert_msg(str_is(got, accepts[_i].want), "%.*s", STR_ARG(got));
}
END_TEST

START_TEST(headers_ask_for_nothing_else)
{
	static const char *const names[] = {"accept-encoding", "accept",
	    "if-none-match", "range", "user-agent", "if-modified-since"};
	struct header_list list = {NULL, 0, 0, 0};

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		header_list_add(arena, &list, str_from(names[i]), STR("x"));
	list_request_headers(arena, &list, STR("application/json"));
	ck_assert_uint_eq(list.count, 2);
	ck_assert(str_is(list.items[0].name, "user-agent"));
	ck_assert(str_is(list.items[1].name, "accept"));
	ck_assert(str_is(list.items[1].value, "application/json"));
}
END_TEST

static struct str
sealed(const char *token, const char *bound_to)
{
	struct buf out = {NULL, 0, 0};
	struct str copy;

	ck_assert(list_token_seal(&keys, str_from(bound_to), str_from(token), &out));
	copy = str_dup(arena, buf_str(&out));
	buf_free(&out);
	return copy;
}

START_TEST(target_has_its_token_opened)
{
	struct str token = sealed("a b/\"", "alice /api/v1/pods");
	const char *target = arena_printf(arena,
	    "/api/v1/pods?limit=5&c%%6fntinue=%.*s&includeObject=None"
	    "&&watch=0&includeObject=Object",
	    STR_ARG(token));
	struct str got;

	ck_assert_int_eq(list_request_target(arena, str_from(target), &keys,
			     STR("alice /api/v1/pods"), &got),
	    LIST_TOKEN_OK);
	ck_assert_msg(str_is(got, "/api/v1/pods?limit=5&continue=a%20b%2F%22&watch=0"
				  "&includeObject=Object"),
	    "%.*s", STR_ARG(got));
	ck_assert_int_eq(list_request_target(arena, str_from(target), &keys,
			     STR("bob /api/v1/pods"), &got),
	    LIST_TOKEN_UNKNOWN);
	ck_assert_int_eq(
	    list_request_target(arena, STR("/api/v1/pods?continue=eyJ2Ijoi"), &keys,
		STR("alice /api/v1/pods"), &got),
	    LIST_TOKEN_MALFORMED);
	ck_assert_int_eq(list_request_target(arena, STR("/api/v1/pods?continue="),
			     &keys, STR("alice /api/v1/pods"), &got),
	    LIST_TOKEN_OK);
	ck_assert(str_is(got, "/api/v1/pods"));
}
END_TEST

START_TEST(token_opens_for_its_owner_alone)
{
	static const struct list_keys other = {.count = 1, .keys = {{1, 2, 4}}};
	const struct str bound = STR("alice /api/v1/pods");
	struct str token = sealed("globex-prod/db-0", bound.ptr), again, got;

	ck_assert_int_eq(
	    list_token_open(arena, &keys, bound, token, &got), LIST_TOKEN_OK);
	ck_assert(str_is(got, "globex-prod/db-0"));
	ck_assert_int_eq(
	    list_token_open(arena, &other, bound, token, &got), LIST_TOKEN_UNKNOWN);
	again = sealed("globex-prod/db-0", bound.ptr);
	ck_assert(!str_eq(token, again)); /* equal places must not look equal */
	/* Every changed character, and every shorter text. */
	for (size_t i = 0; i < token.len; i++) {
		char *copy = arena_strndup(arena, token.ptr, token.len);

		ck_assert_int_ne(
		    list_token_open(arena, &keys, bound, str_slice(token, 0, i), &got),
		    LIST_TOKEN_OK);
		copy[i] = copy[i] == 'A' ? 'B' : 'A';
		ck_assert_int_ne(list_token_open(arena, &keys, bound,
				     (struct str){copy, token.len}, &got),
		    LIST_TOKEN_OK);
	}
}
END_TEST

/* As token_share_keys.c turns it: another key comes in front, the last one goes. */
static struct list_keys
ring_of(uint8_t next, uint8_t seals, uint8_t before)
{
	uint8_t ring[LIST_RING_BYTES] = {0};
	struct list_keys made;

	ring[0] = next;
	ring[LIST_TOKEN_KEY_BYTES] = seals;
	ring[2 * LIST_TOKEN_KEY_BYTES] = before;
	list_keys_ring(ring, &made);
	return made;
}

START_TEST(token_opens_wherever_the_ring_has_its_key)
{
	const struct list_keys rings[] = {
	    ring_of(3, 2, 1), ring_of(4, 3, 2), ring_of(5, 4, 3), ring_of(6, 5, 4)};
	static const struct list_keys none = {.count = 0};
	const struct str bound = STR("alice /api/v1/pods");
	struct buf out = {NULL, 0, 0};
	struct str got;

	/* Sealed by one that has turned; one that has not can open it. */
	ck_assert(list_token_seal(&rings[1], bound, STR("a/b"), &out));
	for (size_t i = 0; i < ARRAY_LEN(rings); i++)
		ck_assert_int_eq(
		    list_token_open(arena, &rings[i], bound, buf_str(&out), &got),
		    i < 3 ? LIST_TOKEN_OK : LIST_TOKEN_UNKNOWN);
	ck_assert_int_eq(list_token_open(arena, &none, bound, buf_str(&out), &got),
	    LIST_TOKEN_UNKNOWN);
	buf_clear(&out);
	ck_assert(!list_token_seal(&none, bound, STR("a/b"), &out));
	buf_free(&out);
}
END_TEST

static const struct {
	const char *type, *encoding;
	bool json;
} answers[] = {
    {"application/json", NULL, true},
    {"application/json; charset=utf-8", NULL, true},
    {"Application/JSON;stream=watch", "identity", true},
    {"application/json", "gzip", false},
    {"application/jsonx", NULL, false},
    {"application/vnd.kubernetes.protobuf", NULL, false},
    {NULL, NULL, false},
};

START_TEST(answer_is_json_only_when_it_says_so)
{
	struct header_list list = {NULL, 0, 0, 0};

	if (answers[_i].type != NULL)
		header_list_add(
		    arena, &list, STR("content-type"), str_from(answers[_i].type));
	if (answers[_i].encoding != NULL)
		header_list_add(arena, &list, STR("content-encoding"),
		    str_from(answers[_i].encoding));
	ck_assert(list_answer_is_json(&list) == answers[_i].json);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("list_request");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, accept_keeps_the_forms_of_json, 0, ARRAY_LEN(accepts));
	tcase_add_test(tc, headers_ask_for_nothing_else);
	tcase_add_test(tc, target_has_its_token_opened);
	tcase_add_test(tc, token_opens_for_its_owner_alone);
	tcase_add_test(tc, token_opens_wherever_the_ring_has_its_key);
	tcase_add_loop_test(
	    tc, answer_is_json_only_when_it_says_so, 0, ARRAY_LEN(answers));
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
