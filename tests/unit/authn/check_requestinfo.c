/*
 * Classification must equal kube-apiserver's, or the request must be refused. The first table is
 * written from the server's documented forms; the second test reads recorded answers of a
 * real server where they are at hand.
 */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authn/request/requestinfo.h"
#include "authn/request/requestquery.h"

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
text(struct str s)
{
	return arena_strndup(arena, s.ptr != NULL ? s.ptr : "", s.len);
}

struct resource_case {
	const char *method, *target;
	const char *verb, *group, *version, *namespace, *resource, *subresource, *name;
};

static const struct resource_case resources[] = {
    {"GET", "/api/v1/namespaces/a/pods", "list", "", "v1", "a", "pods", "", ""},
    {"GET", "/api/v1/namespaces/a/pods/b", "get", "", "v1", "a", "pods", "", "b"},
    {"HEAD", "/api/v1/namespaces/a/pods/b", "get", "", "v1", "a", "pods", "", "b"},
    {"HEAD", "/api/v1/namespaces/a/pods", "list", "", "v1", "a", "pods", "", ""},
    {"POST", "/api/v1/namespaces/a/pods", "create", "", "v1", "a", "pods", "", ""},
    {"PUT", "/api/v1/namespaces/a/pods/b", "update", "", "v1", "a", "pods", "", "b"},
    {"PATCH", "/api/v1/namespaces/a/pods/b", "patch", "", "v1", "a", "pods", "", "b"},
    {"DELETE", "/api/v1/namespaces/a/pods/b", "delete", "", "v1", "a", "pods", "", "b"},
    {"DELETE", "/api/v1/namespaces/a/pods", "deletecollection", "", "v1", "a", "pods",
	"", ""},
    {"GET", "/api/v1/pods", "list", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/nodes/n1", "get", "", "v1", "", "nodes", "", "n1"},
    {"GET", "/api/v1/namespaces", "list", "", "v1", "", "namespaces", "", ""},
    {"GET", "/api/v1/namespaces/a", "get", "", "v1", "a", "namespaces", "", "a"},
    {"PUT", "/api/v1/namespaces/a/finalize", "update", "", "v1", "a", "namespaces",
	"finalize", "a"},
    {"PUT", "/api/v1/namespaces/a/status", "update", "", "v1", "a", "namespaces",
	"status", "a"},
    {"GET", "/api/v1/namespaces/a/pods/b/status", "get", "", "v1", "a", "pods",
	"status", "b"},
    {"GET", "/apis/apps/v1/namespaces/a/deployments/b/scale", "get", "apps", "v1", "a",
	"deployments", "scale", "b"},
    {"GET", "/apis/batch/v1/jobs", "list", "batch", "v1", "", "jobs", "", ""},
    {"GET", "/api/v1/watch/pods", "watch", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/watch/namespaces/a/pods/b", "watch", "", "v1", "a", "pods", "",
	"b"},
    {"POST", "/api/v1/watch/namespaces/a/pods", "watch", "", "v1", "a", "pods", "", ""},
    {"GET", "/api/v1/proxy/namespaces/a/pods/b/c", "proxy", "", "v1", "a", "pods", "",
	"b"},
    {"GET", "/api/v1/pods?watch=true", "watch", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods?watch", "watch", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods?watch=FALSE", "list", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods?watch=no", "watch", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods?%77atch=1", "watch", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/pods?watch=0&watch=1", "list", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/namespaces/a/pods/b?watch=1", "get", "", "v1", "a", "pods", "",
	"b"},
    {"GET", "/api/v1/pods?watch=1&fieldSelector=metadata.name%3Db", "watch", "", "v1",
	"", "pods", "", "b"},
    {"GET", "/api/v1/pods?fieldSelector=a%3Dx%5C,y,metadata.name%3D%3Db", "list", "",
	"v1", "", "pods", "", "b"},
    {"GET",
	"/api/v1/pods?fieldSelector=metadata.name%3Db&fieldSelector=metadata.name%3Dc",
	"list", "", "v1", "", "pods", "", "b"},
    {"GET", "/api/v1/pods?fieldSelector=metadata.name%3Da%2Fb", "list", "", "v1", "",
	"pods", "", ""},
    {"GET", "/api/v1/pods?fieldSelector=metadata.namespace%3Db", "list", "", "v1", "",
	"pods", "", ""},
    {"GET",
	"/api/v1/"
	"pods?labelSelector=x+in+(a,b),!y&limit=5&fieldSelector=metadata.name%3Db",
	"list", "", "v1", "", "pods", "", "b"},
    {"DELETE", "/api/v1/pods?fieldSelector=metadata.name%3Db", "deletecollection", "",
	"v1", "", "pods", "", ""},
    {"GET", "/%61pi/v1/p%6fds", "list", "", "v1", "", "pods", "", ""},
    {"GET", "/api/v1/namespaces/a/services/s%3A80/proxy", "get", "", "v1", "a",
	"services", "proxy", "s:80"},
    {"GET", "/api/v1/namespaces/a/pods/b/proxy/../../x//y%2f;z", "get", "", "v1", "a",
	"pods", "proxy", "b"},
    {"GET", "/api/v1/nodes/n/proxy/%2e%2e?a;b", "get", "", "v1", "", "nodes", "proxy",
	"n"},
    {"get", "/api/v1/namespaces/a/pods/b", "", "", "v1", "a", "pods", "", "b"},
    {"OPTIONS", "/api/v1/pods", "", "", "v1", "", "pods", "", ""},
};

START_TEST(request_is_classified_as_by_the_server)
{
	const struct resource_case *c = &resources[_i];
	struct request_info info;
	enum request_problem problem =
	    request_classify(arena, str_from(c->method), str_from(c->target), &info);

	ck_assert_msg(
	    problem == REQUEST_OK, "%s: %s", c->target, request_problem_text(problem));
	ck_assert(info.is_resource);
	ck_assert_str_eq(text(info.verb), c->verb);
	ck_assert_str_eq(text(info.api_group), c->group);
	ck_assert_str_eq(text(info.api_version), c->version);
	ck_assert_str_eq(text(info.namespace), c->namespace);
	ck_assert_str_eq(text(info.resource), c->resource);
	ck_assert_str_eq(text(info.subresource), c->subresource);
	ck_assert_str_eq(text(info.name), c->name);
}
END_TEST

static const struct {
	const char *method, *target, *verb, *path;
	bool discovery;
} others[] = {
    {"GET", "/", "get", "/", false},
    {"GET", "/api", "get", "/api", true},
    {"GET", "/api/v1", "get", "/api/v1", true},
    {"GET", "/api/v1/", "get", "/api/v1/", true},
    {"GET", "/apis/apps/v1", "get", "/apis/apps/v1", true},
    {"GET", "/apis/apps/v1?timeout=32s", "get", "/apis/apps/v1", true},
    {"POST", "/apis/apps/v1", "post", "/apis/apps/v1", false},
    {"GET", "/openapi/v3", "get", "/openapi/v3", true},
    {"GET", "/version", "get", "/version", true},
    {"GET", "/versions", "get", "/versions", false},
    {"GET", "/apisx/a", "get", "/apisx/a", false},
    {"GET", "/metrics", "get", "/metrics", false},
    {"GET", "/Api/v1/pods", "get", "/Api/v1/pods", false},
    {"HEAD", "/healthz", "head", "/healthz", true},
    {"GET", "/%6detrics", "get", "/metrics", false},
};

START_TEST(request_outside_the_api_keeps_path_and_method)
{
	struct request_info info;

	ck_assert_int_eq(request_classify(arena, str_from(others[_i].method),
			     str_from(others[_i].target), &info),
	    REQUEST_OK);
	ck_assert(!info.is_resource);
	ck_assert_str_eq(text(info.verb), others[_i].verb);
	ck_assert_str_eq(text(info.path), others[_i].path);
	ck_assert_int_eq(info.is_discovery, others[_i].discovery);
}
END_TEST

static const struct {
	const char *target;
	enum request_problem problem;
} refused[] = {
    {"", REQUEST_BAD_TARGET},
    {"*", REQUEST_BAD_TARGET},
    {"https://other/api/v1/pods", REQUEST_BAD_TARGET},
    {"api/v1/pods", REQUEST_BAD_TARGET},
    {"/api/v1/pods\x01", REQUEST_BAD_TARGET},
    {"/api/v1/pods\xc3\xa9", REQUEST_BAD_TARGET},
    {"/api/v1/po ds", REQUEST_BAD_TARGET},
    {"/api/v1/pods%", REQUEST_BAD_TARGET},
    {"/api/v1/pods%2", REQUEST_BAD_TARGET},
    {"/api/v1/pods%zz", REQUEST_BAD_TARGET},
    {"/api/v1/watch", REQUEST_BAD_TARGET},
    {"/api/v1/proxy/", REQUEST_BAD_TARGET},
    {"//api/v1/pods", REQUEST_AMBIGUOUS},
    {"/api//v1/pods", REQUEST_AMBIGUOUS},
    {"/api/v1/namespaces//pods", REQUEST_AMBIGUOUS},
    {"/api/v1/pods//", REQUEST_AMBIGUOUS},
    {"/api/v1/./pods", REQUEST_AMBIGUOUS},
    {"/api/v1/namespaces/a/../b/pods", REQUEST_AMBIGUOUS},
    {"/api/v1/namespaces/%2e%2E/pods", REQUEST_AMBIGUOUS},
    {"/api/v1/namespaces/a%2fpods", REQUEST_AMBIGUOUS},
    {"/api/v1/namespaces/a%5Cpods", REQUEST_AMBIGUOUS},
    {"/api/v1/namespaces/a/pods/b%00", REQUEST_AMBIGUOUS},
    {"/api/v1/namespaces/a/pods;x=y", REQUEST_AMBIGUOUS},
    {"/api/v1/namespaces/a/pods%3bx", REQUEST_AMBIGUOUS},
    {"/api/v1/namespaces/a/pods/b%252f", REQUEST_AMBIGUOUS},
    {"/api/v1/pods#x", REQUEST_AMBIGUOUS},
    {"/api/v1/pods%3fwatch=1", REQUEST_AMBIGUOUS},
    {"/api/v1/pods/%ff", REQUEST_AMBIGUOUS},
    {"/healthz/../api/v1/pods", REQUEST_AMBIGUOUS},
    {"/api/v1/proxy/namespaces/a/pods/b/../c", REQUEST_AMBIGUOUS},
    {"/api/v1/namespaces/a%2f/pods/b/proxy/x", REQUEST_AMBIGUOUS},
    {"/api/v1/namespaces/a/pods/b/proxy/%zz", REQUEST_BAD_TARGET},
    {"/api/v1/pods?a;watch=1", REQUEST_BAD_QUERY},
    {"/api/v1/pods?watch=%", REQUEST_BAD_QUERY},
    {"/api/v1/pods?fieldSelector=metadata.name", REQUEST_BAD_QUERY},
    {"/api/v1/pods?fieldSelector=metadata.name%3Da%5Cb", REQUEST_BAD_QUERY},
    {"/api/v1/pods?fieldSelector=metadata.name%3Da&limit=x", REQUEST_BAD_QUERY},
    {"/api/v1/pods?fieldSelector=metadata.name%3Da&timeoutSeconds=", REQUEST_BAD_QUERY},
    {"/api/v1/pods?fieldSelector=metadata.name%3Da&labelSelector=%3D",
	REQUEST_BAD_QUERY},
};

START_TEST(request_is_refused_when_it_could_be_read_in_two_ways)
{
	struct request_info info;

	ck_assert_msg(request_classify(arena, STR("GET"), str_from(refused[_i].target),
			  &info) == refused[_i].problem,
	    "%s", refused[_i].target);
}
END_TEST

static const struct {
	const char *method, *target;
	bool mutation, upgrade, long_running;
} kinds[] = {
    {"GET", "/api/v1/pods", false, false, false},
    {"GET", "/api/v1/pods?watch=1", false, false, true},
    {"GET", "/api/v1/namespaces/a/pods/b/exec?command=ls", true, true, true},
    {"POST", "/api/v1/namespaces/a/pods/b/attach", true, true, true},
    {"GET", "/api/v1/namespaces/a/pods/b/portforward", true, true, true},
    {"GET", "/api/v1/namespaces/a/services/b/proxy/", true, true, true},
    {"GET", "/api/v1/namespaces/a/pods/b/log", false, false, false},
    {"GET", "/api/v1/namespaces/a/pods/b/log?follow=true", false, false, true},
    {"GET", "/api/v1/namespaces/a/pods/b/log?follow=false", false, false, false},
    {"GET", "/api/v1/proxy/nodes/n", true, false, true},
    {"POST", "/api/v1/namespaces/a/pods", true, false, false},
    {"FOO", "/api/v1/namespaces/a/pods/b", true, false, false},
    {"POST", "/metrics", true, false, false},
    {"GET", "/exec", false, false, false},
};

START_TEST(request_counts_as_change_unless_it_only_reads)
{
	struct request_info info;

	ck_assert_int_eq(request_classify(arena, str_from(kinds[_i].method),
			     str_from(kinds[_i].target), &info),
	    REQUEST_OK);
	ck_assert_int_eq(info.is_mutation, kinds[_i].mutation);
	ck_assert_int_eq(info.is_upgrade_subresource, kinds[_i].upgrade);
	ck_assert_int_eq(info.is_long_running, kinds[_i].long_running);
}
END_TEST

static const struct {
	const char *text;
	bool ok;
} selectors[] = {
    {"", true},
    {"a", true},
    {"!a", true},
    {"a=b", true},
    {"a == b", true},
    {"a!=b,c=d", true},
    {"a=", true},
    {"a=,b", true},
    {"example.com/a in (b, c)", true},
    {"a notin (b)", true},
    {"a in (,)", true},
    {"a>1,b<2", true},
    {"a<-2", false}, /* no label value begins with a dash */
    {"in in (in)", true},
    {"a in ()", false},
    {"a in b", false},
    {"a,", false},
    {",a", false},
    {"a b", false},
    {"=b", false},
    {"!a=b", false},
    {"a===b", false},
    {"a>b", false},
    {"a=b/c", false},
    {"Example.com/a", false},
    {"a/b/c", false},
    {"-a", false},
    {"a in (b", false},
    {"a=b)", false},
};

START_TEST(label_selector_is_accepted_when_the_server_accepts_it)
{
	ck_assert_msg(
	    label_selector_ok(str_from(selectors[_i].text)) == selectors[_i].ok, "%s",
	    selectors[_i].text);
}
END_TEST

static const char *
member(const json_t *object, const char *key)
{
	const char *value = json_string_value(json_object_get(object, key));

	return value != NULL ? value : "";
}

static void
compare_row(const json_t *row, size_t *refusals)
{
	const json_t *object = json_object_get(row, "object");
	const char *path = member(row, "path");
	struct request_info info;

	if (request_classify(arena, str_from(member(row, "method")), str_from(path),
		&info) != REQUEST_OK) {
		(*refusals)++;
		return;
	}
	ck_assert_msg(
	    str_is(info.verb, member(row, "verb")), "%s: %s", path, text(info.verb));
	ck_assert_msg(info.is_resource == json_is_object(object), "%s", path);
	if (!info.is_resource)
		return;
	ck_assert_msg(str_is(info.api_group, member(object, "apiGroup")), "%s", path);
	ck_assert_msg(
	    str_is(info.api_version, member(object, "apiVersion")), "%s", path);
	ck_assert_msg(str_is(info.namespace, member(object, "namespace")), "%s", path);
	ck_assert_msg(str_is(info.resource, member(object, "resource")), "%s", path);
	ck_assert_msg(
	    str_is(info.subresource, member(object, "subresource")), "%s", path);
	ck_assert_msg(str_is(info.name, member(object, "name")), "%s", path);
}

START_TEST(request_agrees_with_recorded_rows_or_is_refused)
{
	const char *directory = getenv("RINGFENCE_RECORDED");
	char path[4096];
	json_t *rows, *row;
	size_t i, refusals = 0;

	/* TEST_DATA_DIR is TREE/tests/unit/authn/data and need not exist. */
	if (directory != NULL)
		(void)snprintf(
		    path, sizeof(path), "%s/request-classification.json", directory);
	else
		(void)snprintf(path, sizeof(path),
		    "%.*s/../../../../shared/recorded/request-classification.json",
		    (int)strlen(TEST_DATA_DIR) - 5, TEST_DATA_DIR);
	rows = json_load_file(path, JSON_ALLOW_NUL, NULL);
	if (rows == NULL) {
		printf("no recorded rows at %s: skipped\n", path);
		return;
	}
	json_array_foreach(rows, i, row) compare_row(row, &refusals);
	ck_assert_uint_gt(json_array_size(rows), 50);
	/* Refusing everything would pass too: only the odd rows may be refused. */
	ck_assert_uint_lt(refusals * 4, json_array_size(rows));
	json_decref(rows);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("requestinfo");
	TCase *tc = tcase_create("requestinfo");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, request_is_classified_as_by_the_server, 0, (int)ARRAY_LEN(resources));
	tcase_add_loop_test(tc, request_outside_the_api_keeps_path_and_method, 0,
	    (int)ARRAY_LEN(others));
	tcase_add_loop_test(tc, request_is_refused_when_it_could_be_read_in_two_ways, 0,
	    (int)ARRAY_LEN(refused));
	tcase_add_loop_test(tc, request_counts_as_change_unless_it_only_reads, 0,
	    (int)ARRAY_LEN(kinds));
	tcase_add_loop_test(tc, label_selector_is_accepted_when_the_server_accepts_it,
	    0, (int)ARRAY_LEN(selectors));
	tcase_add_test(tc, request_agrees_with_recorded_rows_or_is_refused);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
