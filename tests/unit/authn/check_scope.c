/*
 * Scopes of tokens, and what whoami says of them.
 */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "authn/api/api_whoami.h"
#include "authn/proxy/exchange.h"
#include "policy-lang/load/load.h"

static const char policy[] =
    "apiVersion: ringfence.dev/v1alpha1\n"
    "kind: Namespace\n"
    "metadata: { name: /acme/shop }\n"
    "spec: { kubernetes: { namespaces: [shop-prod] } }\n"
    "---\n"
    "apiVersion: ringfence.dev/v1alpha1\n"
    "kind: Namespace\n"
    "metadata: { name: /acme/shopping }\n"
    "spec: { kubernetes: { namespaces: [shopping] } }\n"
    "---\n"
    "apiVersion: ringfence.dev/v1alpha1\n"
    "kind: Access\n"
    "metadata: { name: devs, namespace: /acme/shop }\n"
    "spec:\n"
    "  groups: [devs]\n"
    "  default: [ { action: allow, verbs: [get], resources: [pods] } ]\n"
    "---\n"
    "apiVersion: ringfence.dev/v1alpha1\n"
    "kind: Access\n"
    "metadata: { name: never, namespace: /acme }\n"
    "spec:\n"
    "  groups: [devs]\n"
    "  mandatory: [ { action: deny, verbs: [get], resources: [secrets] } ]\n"
    "---\n"
    "apiVersion: ringfence.dev/v1alpha1\n"
    "kind: Quota\n"
    "metadata: { name: acme, namespace: /acme }\n"
    "spec: { requests: { perSecond: 50 }, perUser: { inFlight: 5 } }\n";

static struct arena *arena;
static struct model *model;

static void
setup(void)
{
	const struct model_options options = {.default_deny = false};
	struct source *source;
	struct bundle bundle;
	struct diag_list diags;

	arena = arena_new();
	source = ARENA_NEW(arena, struct source);
	*source = (struct source){STR("test.yaml"), {policy, sizeof(policy) - 1}};
	bundle = (struct bundle){source, 1};
	diag_list_init(&diags, arena);
	ck_assert(model_load(arena, &bundle, &options, &diags, &model));
}

static void
teardown(void)
{
	arena_free(arena);
}

/* A comma-separated text as a list in the arena. */
static const struct str *
split(const char *text, size_t *out_count)
{
	struct str *list = ARENA_ARRAY(arena, 8, struct str);
	struct str rest = str_from(text);

	*out_count = 0;
	while (rest.len != 0)
		list[(*out_count)++] = str_split(&rest, ',');
	return list;
}

static struct token_scope
scope_of(const char *namespaces, const char *verbs, const char *resources)
{
	struct token_scope s;

	s.namespaces = split(namespaces, &s.namespace_count);
	s.verbs = split(verbs, &s.verb_count);
	s.resources = split(resources, &s.resource_count);
	return s;
}

static const struct {
	const char *namespaces, *verbs, *resources;
	const char *method, *target;
	bool covered;
} cases[] = {
    {"/acme/shop", "", "", "GET", "/api/v1/namespaces/shop-prod/pods", true},
    {"/acme", "", "", "GET", "/api/v1/namespaces/shop-prod/pods", true},
    {"/", "", "", "GET", "/api/v1/namespaces/shop-prod/pods", true},
    {"shop-prod", "", "", "GET", "/api/v1/namespaces/shop-prod/pods", true},
    {"/acme/shop", "", "", "GET", "/api/v1/namespaces/shopping/pods", false},
    {"/acme/shop", "", "", "GET", "/api/v1/namespaces/other/pods", false},
    {"shop", "", "", "GET", "/api/v1/namespaces/shop-prod/pods", false},
    {"/acme/shop", "", "", "GET", "/api/v1/pods", false},
    {"/acme/shop", "", "", "GET", "/api/v1/nodes", false},
    {"/acme/shop", "", "", "GET", "/metrics", false},
    {"", "get,list", "", "GET", "/api/v1/pods", true},
    {"", "get,list", "", "GET", "/api/v1/pods?watch=1", false},
    {"", "get", "", "DELETE", "/api/v1/namespaces/shop-prod/pods/a", false},
    {"", "*", "", "DELETE", "/api/v1/namespaces/shop-prod/pods/a", true},
    {"", "", "pods", "GET", "/api/v1/pods", true},
    {"", "", "pods", "GET", "/api/v1/namespaces/a/pods/b/log", false},
    {"", "", "pods/log", "GET", "/api/v1/namespaces/a/pods/b/log", true},
    {"", "", "deployments.apps", "GET", "/apis/apps/v1/deployments", true},
    {"", "", "deployments", "GET", "/apis/apps/v1/deployments", false},
    {"", "", "pods", "GET", "/metrics", false},
    {"", "", "", "GET", "/metrics", true},
};

static struct access_request
question(const char *method, const char *target)
{
	struct request_info info;

	ck_assert_int_eq(
	    request_classify(arena, str_from(method), str_from(target), &info),
	    REQUEST_OK);
	return (struct access_request){
	    .is_resource = info.is_resource,
	    .verb = info.verb,
	    .api_group = info.api_group,
	    .resource = info.resource,
	    .subresource = info.subresource,
	    .name = info.name,
	    .namespace = info.namespace,
	    .path = info.path,
	};
}

START_TEST(scope_covers_a_request_when_all_its_parts_match)
{
	struct access_request q = question(cases[_i].method, cases[_i].target);
	const struct access_subject nobody = {.user = STR("x")};
	struct access_verdict v = access_decide(model, &nobody, &q, STR(""));
	struct token_scope scope =
	    scope_of(cases[_i].namespaces, cases[_i].verbs, cases[_i].resources);
	const struct identity id = {.scopes = &scope, .scope_count = 1};

	ck_assert_msg(exchange_in_scope(&id, &q, v.level) == cases[_i].covered, "%s",
	    cases[_i].target);
}
END_TEST

START_TEST(one_scope_must_match_as_a_whole)
{
	const struct token_scope scopes[] = {
	    scope_of("", "get", "pods"), scope_of("", "list", "services")};
	const struct identity id = {.scopes = scopes, .scope_count = 2};
	struct access_request pods = question("GET", "/api/v1/pods");
	struct access_request services = question("GET", "/api/v1/services");

	ck_assert(!exchange_in_scope(&id, &pods, model->root)); /* a list of pods */
	ck_assert(exchange_in_scope(&id, &services, model->root));
}
END_TEST

START_TEST(token_without_scopes_is_as_wide_as_its_owner)
{
	const struct identity id = {.scope_count = 0};
	struct access_request q = question("DELETE", "/api/v1/nodes/a");

	ck_assert(exchange_in_scope(&id, &q, model->root));
}
END_TEST

START_TEST(whoami_names_where_something_is_allowed)
{
	struct token_scope scope = scope_of("/acme", "", "");
	struct identity id = {
	    .user = STR("al\"ice"),
	    .uid = STR("7"),
	    .token_id = STR("0123456789"),
	    .expires = {INT64_C(1767225600000000000)},
	    .scopes = &scope,
	    .scope_count = 1,
	};
	struct buf out = {NULL, 0, 0};
	json_t *got, *want;

	id.groups = split("devs,system:authenticated", &id.group_count);
	api_whoami_json(&out, &id, model);
	got = json_loads(out.data, 0, NULL);
	want = json_loads(
	    "{\"user\":\"al\\\"ice\",\"uid\":\"7\",\"groups\":[\"devs\",\"system:"
	    "authenticated\"],\"namespaces\":[\"/acme/shop\"],\"token\":{\"id\":"
	    "\"0123456789\",\"expires\":\"2026-01-01T00:00:00Z\",\"scopes\":[{"
	    "\"namespaces\":[\"/acme\"],\"verbs\":[],\"resources\":[]}]},\"quota\":{"
	    "\"/acme/shop\":{\"requests\":{\"perSecond\":50,\"burst\":100},"
	    "\"perUser\":{\"inFlight\":5}}}}",
	    0, NULL);
	ck_assert_ptr_nonnull(got);
	ck_assert_ptr_nonnull(want);
	ck_assert_msg(json_equal(got, want), "%s", out.data);
	json_decref(got);
	json_decref(want);
	buf_free(&out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("scope");
	TCase *tc = tcase_create("scope");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(tc, scope_covers_a_request_when_all_its_parts_match, 0,
	    (int)ARRAY_LEN(cases));
	tcase_add_test(tc, one_scope_must_match_as_a_whole);
	tcase_add_test(tc, token_without_scopes_is_as_wide_as_its_owner);
	tcase_add_test(tc, whoami_names_where_something_is_allowed);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
