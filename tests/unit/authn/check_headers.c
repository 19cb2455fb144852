/*
 * What reaches the API server is what is allowed, and who asks; what reaches the client
 * is everything but one connection's own affairs.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "authn/request/headers.h"

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

/* "name: value" lines, ended by NULL. */
static struct header_list
list_of(const char *const *lines)
{
	struct header_list list = {NULL, 0, 0, 0};

	for (; *lines != NULL; lines++) {
		struct str value = str_from(*lines), name = str_split(&value, ':');

		header_list_add(arena, &list, name, str_trim(value));
	}
	return list;
}

/* All of a list as "name: value\n" lines. */
static const char *
text_of(const struct header_list *list)
{
	struct buf text = {NULL, 0, 0};
	const char *copy;

	for (size_t i = 0; i < list->count; i++)
		buf_printf(&text, "%.*s: %.*s\n", STR_ARG(list->items[i].name),
		    STR_ARG(list->items[i].value));
	copy = arena_strndup(arena, text.data != NULL ? text.data : "", text.len);
	buf_free(&text);
	return copy;
}

static const struct str groups[] = {
    {"devs", 4}, {"system:authenticated", 20}, {"system:masters", 14}};

static const struct identity alice = {
    .user = {"alice", 5},
    .uid = {"42", 2},
    .groups = groups,
    .group_count = ARRAY_LEN(groups),
    .token_id = {"0123456789", 10},
};

static const char *
to_upstream(const char *const *lines, enum gate_identity_mode mode, const char *target)
{
	const struct header_identity identity = {.mode = mode,
	    .id = &alice,
	    .audit_id = STR("id"),
	    .source = STR("192.0.2.1")};
	struct header_list request = list_of(lines), out = {NULL, 0, 0, 0};
	struct header_facts facts;
	struct request_info info;

	ck_assert_int_eq(headers_read_request(arena, &request, &facts), HEADERS_OK);
	ck_assert_int_eq(
	    request_classify(arena, STR("GET"), str_from(target), &info), REQUEST_OK);
	headers_to_upstream(arena, &request, &facts, &info, &identity, &out);
	return text_of(&out);
}

#define FRONT_PROXY                                                                    \
	"audit-id: id\nx-forwarded-for: 192.0.2.1\nx-remote-user: alice\n"             \
	"x-remote-group: devs\nx-remote-group: system:authenticated\n"                 \
	"x-remote-uid: 42\nx-remote-extra-ringfence.dev%2Ftoken: 0123456789\n"

START_TEST(upstream_gets_only_what_is_allowed)
{
	const char *const lines[] = {"host: x", "accept: a", "authorization: Bearer t",
	    "x-remote-user: root", "x-remote-group: system:masters", "cookie: c",
	    "connection: close", "te: trailers", "x-anything: y",
	    "kubectl-command: get", "audit-id: mine", "content-length: 3",
	    "user-agent: ua", "referer: r", NULL};

	ck_assert_str_eq(to_upstream(lines, IDENTITY_FRONT_PROXY, "/api/v1/pods"),
	    "accept: a\nkubectl-command: get\nuser-agent: ua\n" FRONT_PROXY);
}
END_TEST

START_TEST(application_behind_a_proxy_gets_cookies_and_the_like)
{
	const char *const lines[] = {
	    "cookie: c", "referer: r", "authorization: Bearer t", "x-other: y", NULL};

	ck_assert_str_eq(to_upstream(lines, IDENTITY_FRONT_PROXY,
			     "/api/v1/namespaces/a/services/b/proxy/"),
	    "cookie: c\nreferer: r\n" FRONT_PROXY);
}
END_TEST

START_TEST(impersonation_names_the_user_and_leaves_out_what_the_server_adds)
{
	const char *const lines[] = {"accept: a", NULL};

	ck_assert_str_eq(to_upstream(lines, IDENTITY_IMPERSONATE, "/api/v1/pods"),
	    "accept: a\naudit-id: id\nx-forwarded-for: 192.0.2.1\n"
	    "impersonate-user: alice\nimpersonate-group: devs\nimpersonate-uid: 42\n");
}
END_TEST

START_TEST(client_gets_all_but_hop_by_hop_headers)
{
	const char *const lines[] = {"content-type: t", "connection: close, x-hop",
	    "x-hop: 1", "keep-alive: 5", "transfer-encoding: chunked", "upgrade: x",
	    "alt-svc: h3", "trailer: a", "proxy-authenticate: b", "etag: e",
	    "content-length: 3", NULL};
	struct header_list response = list_of(lines), out = {NULL, 0, 0, 0};

	headers_to_client(arena, &response, &out);
	ck_assert_str_eq(
	    text_of(&out), "content-type: t\netag: e\ncontent-length: 3\n");
}
END_TEST

START_TEST(every_header_in_the_table_is_found_by_its_name)
{
	static const struct {
		const char *name;
		enum header_id id;
	} some[] = {
	    {"accept", HEADER_ACCEPT},
	    {"authorization", HEADER_AUTHORIZATION},
	    {"content-length", HEADER_CONTENT_LENGTH},
	    {"host", HEADER_HOST},
	    {"transfer-encoding", HEADER_TRANSFER_ENCODING},
	    {"x-stream-protocol-version", HEADER_X_STREAM_PROTOCOL_VERSION},
	    {"x-remote-user", HEADER_OTHER},
	    {"", HEADER_OTHER},
	    {"accep", HEADER_OTHER},
	    {"acceptx", HEADER_OTHER},
	};

	for (size_t i = 0; i < ARRAY_LEN(some); i++)
		ck_assert_msg(header_id(str_from(some[i].name)) == some[i].id, "%s",
		    some[i].name);
}
END_TEST

static const struct {
	const char *lines[4];
	enum header_problem problem;
} refused[] = {
    {{"host: a", "host: a"}, HEADERS_REPEATED},
    {{"authorization: Bearer a", "authorization: Bearer a"}, HEADERS_REPEATED},
    {{"content-length: 1", "content-length: 1"}, HEADERS_REPEATED},
    {{"content-type: a", "content-type: b"}, HEADERS_REPEATED},
    {{"content-length: x"}, HEADERS_LENGTH},
    {{"content-length: 9223372036854775808"}, HEADERS_LENGTH},
    {{"expect: miracles"}, HEADERS_EXPECTATION},
    {{"x_y: z"}, HEADERS_MALFORMED},
    {{"X: upper"}, HEADERS_MALFORMED},
    {{"x y: z"}, HEADERS_MALFORMED},
    {{"x: a\001b"}, HEADERS_MALFORMED},
    {{"sec-websocket-protocol: base64url.bearer.authorization.k8s.io.YQ"},
	HEADERS_REPEATED},
    {{"sec-websocket-protocol: a", "sec-websocket-protocol: b"}, HEADERS_REPEATED},
};

START_TEST(request_is_refused_when_its_headers_are_doubtful)
{
	struct header_list list = list_of(refused[_i].lines);
	struct header_facts facts;

	ck_assert_int_eq(
	    headers_read_request(arena, &list, &facts), refused[_i].problem);
}
END_TEST

START_TEST(list_is_refused_when_it_exceeds_64_kib)
{
	struct header_list list = {NULL, 0, 0, 0};
	struct header_facts facts;

	for (int i = 0; i < 1900; i++)
		header_list_add(arena, &list, STR("ab"), STR(""));
	ck_assert_int_eq(headers_read_request(arena, &list, &facts), HEADERS_OK);
	for (int i = 0; i < 200; i++)
		header_list_add(arena, &list, STR("ab"), STR(""));
	ck_assert_int_eq(headers_read_request(arena, &list, &facts), HEADERS_TOO_LARGE);
}
END_TEST

START_TEST(facts_are_what_the_gate_needs)
{
	const char *const lines[] = {"host: h", "authorization: Bearer t",
	    "content-length: 12", "expect: 100-Continue", "upgrade: websocket",
	    "sec-websocket-protocol: a, base64url.bearer.authorization.k8s.io.dG9r ,b",
	    "impersonate-user: root", NULL};
	struct header_list list = list_of(lines);
	struct header_facts facts;

	ck_assert_int_eq(headers_read_request(arena, &list, &facts), HEADERS_OK);
	ck_assert(str_is(facts.host, "h"));
	ck_assert(str_is(facts.authorization, "Bearer t"));
	ck_assert_int_eq(facts.content_length, 12);
	ck_assert(facts.expect_continue);
	ck_assert(str_is(facts.upgrade, "websocket"));
	ck_assert(str_is(facts.websocket_protocols, "a,b"));
	ck_assert(str_is(facts.websocket_bearer, "dG9r"));
	ck_assert(facts.impersonates);
	ck_assert(str_is(facts.impersonate_user, "root"));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("headers");
	TCase *tc = tcase_create("headers");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, upstream_gets_only_what_is_allowed);
	tcase_add_test(tc, application_behind_a_proxy_gets_cookies_and_the_like);
	tcase_add_test(
	    tc, impersonation_names_the_user_and_leaves_out_what_the_server_adds);
	tcase_add_test(tc, client_gets_all_but_hop_by_hop_headers);
	tcase_add_test(tc, every_header_in_the_table_is_found_by_its_name);
	tcase_add_loop_test(tc, request_is_refused_when_its_headers_are_doubtful, 0,
	    (int)ARRAY_LEN(refused));
	tcase_add_test(tc, list_is_refused_when_it_exceeds_64_kib);
	tcase_add_test(tc, facts_are_what_the_gate_needs);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
