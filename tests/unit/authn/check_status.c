/*
 * Status bodies, byte for byte as a kube-apiserver 1.32 wrote them.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "authn/request/status.h"

#define FAILURE                                                                        \
	"{\"kind\":\"Status\",\"apiVersion\":\"v1\",\"metadata\":{},"                  \
	"\"status\":\"Failure\",\"message\":"

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

static const char *
encode(const struct status *s)
{
	struct buf body = {NULL, 0, 0};
	const char *copy;

	status_encode(&body, s);
	copy = arena_strndup(arena, body.data, body.len);
	buf_free(&body);
	return copy;
}

static const struct {
	const char *method, *target, *body;
} forbidden[] = {
    {"GET", "/api/v1/namespaces/shop-prod/pods",
	FAILURE
	"\"pods is forbidden: User \\\"alice\\\" cannot list resource \\\"pods\\\" "
	"in API group \\\"\\\" in the namespace \\\"shop-prod\\\"\",\"reason\":"
	"\"Forbidden\",\"details\":{\"kind\":\"pods\"},\"code\":403}\n"},
    {"GET", "/api/v1/nodes",
	FAILURE "\"nodes is forbidden: User \\\"alice\\\" cannot list resource "
		"\\\"nodes\\\" in API group \\\"\\\" at the cluster scope\",\"reason\":"
		"\"Forbidden\",\"details\":{\"kind\":\"nodes\"},\"code\":403}\n"},
    {"GET", "/api/v1/namespaces/shop-prod/pods/web-0/log",
	FAILURE
	"\"pods \\\"web-0\\\" is forbidden: User \\\"alice\\\" cannot get resource "
	"\\\"pods/log\\\" in API group \\\"\\\" in the namespace "
	"\\\"shop-prod\\\"\",\"reason\":\"Forbidden\",\"details\":{\"name\":"
	"\"web-0\",\"kind\":\"pods\"},\"code\":403}\n"},
    {"GET", "/metrics",
	FAILURE "\"forbidden: User \\\"alice\\\" cannot get path \\\"/metrics\\\"\","
		"\"reason\":\"Forbidden\",\"details\":{},\"code\":403}\n"},
    {"DELETE", "/apis/apps/v1/namespaces/a/deployments/b",
	FAILURE "\"deployments.apps \\\"b\\\" is forbidden: User \\\"alice\\\" cannot "
		"delete resource \\\"deployments\\\" in API group \\\"apps\\\" in the "
		"namespace \\\"a\\\"\",\"reason\":\"Forbidden\",\"details\":{\"name\":"
		"\"b\",\"group\":\"apps\",\"kind\":\"deployments\"},\"code\":403}\n"},
};

START_TEST(forbidden_is_worded_as_by_the_server)
{
	struct request_info info;
	struct status s;

	ck_assert_int_eq(request_classify(arena, str_from(forbidden[_i].method),
			     str_from(forbidden[_i].target), &info),
	    REQUEST_OK);
	s = status_forbidden(arena, STR("alice"), &info);
	ck_assert_str_eq(encode(&s), forbidden[_i].body);
}
END_TEST

START_TEST(impersonation_is_refused_as_by_the_server)
{
	struct status s = status_impersonation(arena, STR("alice"), STR("admin"));

	ck_assert_str_eq(encode(&s),
	    FAILURE "\"users \\\"admin\\\" is forbidden: User \\\"alice\\\" cannot "
		    "impersonate resource \\\"users\\\" in API group \\\"\\\" at the "
		    "cluster scope\",\"reason\":\"Forbidden\",\"details\":{\"name\":"
		    "\"admin\",\"kind\":\"users\"},\"code\":403}\n");
}
END_TEST

START_TEST(unauthorized_has_no_details)
{
	struct status s = {.code = 401, .message = STR("Unauthorized")};

	ck_assert_str_eq(encode(&s),
	    FAILURE "\"Unauthorized\",\"reason\":\"Unauthorized\",\"code\":401}\n");
}
END_TEST

START_TEST(method_not_allowed_has_empty_details)
{
	struct status s = {
	    .code = 405,
	    .message = STR("the server does not allow this method on the requested "
			   "resource"),
	    .has_details = true,
	};

	ck_assert_str_eq(encode(&s), FAILURE
	    "\"the server does not allow this method on the requested resource\","
	    "\"reason\":\"MethodNotAllowed\",\"details\":{},\"code\":405}\n");
}
END_TEST

START_TEST(too_many_requests_says_when_to_come_back)
{
	struct status s = {.code = 429, .message = STR("slow"), .retry_after_s = 3};

	ck_assert_str_eq(encode(&s),
	    FAILURE "\"slow\",\"reason\":\"TooManyRequests\",\"details\":"
		    "{\"retryAfterSeconds\":3},\"code\":429}\n");
}
END_TEST

START_TEST(markup_and_quotes_in_a_path_are_harmless)
{
	struct request_info info = {
	    .is_resource = false, .verb = STR("get"), .path = STR("/<script>\"&\\\n")};
	struct status s = status_forbidden(arena, STR("a"), &info);

	ck_assert(str_is(s.message, "forbidden: User \"a\" cannot get path "
				    "\"/&lt;script&gt;\\\"&amp;\\\\\\x0a\""));
}
END_TEST

START_TEST(codes_have_reason_and_phrase)
{
	ck_assert_str_eq(status_reason(413), "RequestEntityTooLarge");
	ck_assert_str_eq(status_reason(503), "ServiceUnavailable");
	ck_assert_str_eq(status_reason(200), "");
	ck_assert_str_eq(status_reason(299), "");
	ck_assert_str_eq(status_phrase(413), "Request Entity Too Large");
	ck_assert_str_eq(status_phrase(299), "Unknown");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("status");
	TCase *tc = tcase_create("status");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, forbidden_is_worded_as_by_the_server, 0, (int)ARRAY_LEN(forbidden));
	tcase_add_test(tc, impersonation_is_refused_as_by_the_server);
	tcase_add_test(tc, unauthorized_has_no_details);
	tcase_add_test(tc, method_not_allowed_has_empty_details);
	tcase_add_test(tc, too_many_requests_says_when_to_come_back);
	tcase_add_test(tc, markup_and_quotes_in_a_path_are_harmless);
	tcase_add_test(tc, codes_have_reason_and_phrase);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
