/*
 * How much is recorded, and that bodies on record have no secrets in them.
 */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "authn/audit/audit_body.h"
#include "authn/audit/audit_policy.h"

static struct arena *arena;
static struct diag_list diags;

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

#define HEAD "apiVersion: audit.k8s.io/v1\nkind: Policy\nrules:\n"

static const struct audit_policy *
load(const char *text)
{
	struct source *source = ARENA_NEW(arena, struct source);

	*source = (struct source){STR("audit.yaml"), str_from(text)};
	diag_list_init(&diags, arena);
	return audit_policy_load(arena, source, &diags);
}

/* ---- levels ---- */

static const char policy_text[] = HEAD
    "- { level: None, verbs: [get, list, watch], resources: [ { group: '', resources: "
    "[events] } ] }\n"
    "- { level: Metadata, users: [robot] }\n"
    "- { level: RequestResponse, namespaces: [/acme/shop], userGroups: [admins], "
    "verbs: "
    "[create] }\n"
    "- { level: Request, namespaces: [/acme/shop] }\n"
    "- { level: Request, namespaces: [plain] }\n"
    "- { level: RequestResponse, resources: [ { group: apps, resources: "
    "['deployments', '*/scale'], resourceNames: [web] } ] }\n"
    "- { level: Request, nonResourceURLs: ['/logs*'] }\n";

static const struct {
	const char *about, *verb, *group, *resource, *sub, *namespace, *tenant, *name;
	const char *user, *user_group;
	enum audit_level level;
} cases[] = {
    {"read of events", "list", "", "events", "", "x", "/x", "", "a", "g",
	AUDIT_LEVEL_NONE},
    {"a change is on record, whatever the rule", "create", "", "events", "", "x", "/x",
	"", "a", "g", AUDIT_LEVEL_METADATA},
    {"of another group", "list", "events.k8s.io", "events", "", "x", "/x", "", "a", "g",
	AUDIT_LEVEL_METADATA},
    {"first rule first", "create", "", "pods", "", "s", "/acme/shop", "", "robot",
	"admins", AUDIT_LEVEL_METADATA},
    {"subtree and group", "create", "", "pods", "", "s", "/acme/shop/prod", "", "a",
	"admins", AUDIT_LEVEL_RESPONSE},
    {"subtree, another verb", "update", "", "pods", "", "s", "/acme/shop/prod", "", "a",
	"admins", AUDIT_LEVEL_REQUEST},
    {"a name that begins alike", "update", "", "pods", "", "s", "/acme/shopping", "",
	"a", "g", AUDIT_LEVEL_METADATA},
    {"by the name of the namespace", "update", "", "pods", "", "plain", "/plain", "",
	"a", "g", AUDIT_LEVEL_REQUEST},
    {"by resource and name", "get", "apps", "deployments", "", "x", "/x", "web", "a",
	"g", AUDIT_LEVEL_RESPONSE},
    {"of another name", "get", "apps", "deployments", "", "x", "/x", "db", "a", "g",
	AUDIT_LEVEL_METADATA},
    {"a subresource of any", "get", "apps", "replicasets", "scale", "x", "/x", "web",
	"a", "g", AUDIT_LEVEL_RESPONSE},
    {"a subresource is not its resource", "get", "apps", "deployments", "status", "x",
	"/x", "web", "a", "g", AUDIT_LEVEL_METADATA},
    {"reviews are all secret", "create", "authentication.k8s.io", "tokenreviews", "",
	"s", "/acme/shop", "", "a", "admins", AUDIT_LEVEL_METADATA},
    {"tokens are all secret", "create", "", "serviceaccounts", "token", "s",
	"/acme/shop", "", "a", "admins", AUDIT_LEVEL_METADATA},
    {"accounts themselves are not", "create", "", "serviceaccounts", "", "s",
	"/acme/shop", "", "a", "admins", AUDIT_LEVEL_RESPONSE},
    {"a stream has no body", "watch", "", "pods", "", "s", "/acme/shop", "", "a", "g",
	AUDIT_LEVEL_METADATA},
};

START_TEST(level_is_that_of_the_first_rule)
{
	const struct audit_policy *policy = load(policy_text);
	struct str group = str_from(cases[_i].user_group);
	struct request_info info = {.is_resource = true,
	    .verb = str_from(cases[_i].verb),
	    .api_group = str_from(cases[_i].group),
	    .resource = str_from(cases[_i].resource),
	    .subresource = str_from(cases[_i].sub),
	    .namespace = str_from(cases[_i].namespace),
	    .name = str_from(cases[_i].name)};
	const struct audit_policy_question q = {
	    &info, str_from(cases[_i].tenant), str_from(cases[_i].user), &group, 1};

	ck_assert_ptr_nonnull(policy);
	request_info_derive(&info);
	ck_assert_msg(audit_policy_level(policy, &q) == cases[_i].level, "%s: %s",
	    cases[_i].about, audit_level_name(audit_policy_level(policy, &q)));
	ck_assert_int_eq(audit_policy_level(NULL, &q), AUDIT_LEVEL_METADATA);
}
END_TEST

static const struct {
	const char *text, *message;
} mistakes[] = {
    {HEAD "- { level: None }\n", "level None is for reads"},
    {HEAD "- { level: None, verbs: [get, create] }\n", "level None is for reads"},
    {HEAD "- { level: None, verbs: ['*'] }\n", "level None is for reads"},
    {HEAD "- { level: Everything }\n", "level"},
    {HEAD "- { verbs: [get] }\n", "level"},
    {HEAD "- { level: Request, omitStages: [RequestReceived] }\n", "cannot be omitted"},
    {HEAD "- { level: Request, namespaces: [/acme/] }\n", "no path"},
    {HEAD "- { level: Request, namespace: /acme }\n", "namespace"},
    {HEAD "- { level: Request, resources: [ { resourceNames: [a] } ] }\n",
	"need \"resources\""},
    {"apiVersion: v1\nkind: Policy\nrules: []\n", "audit.k8s.io/v1"},
    {HEAD "- { level: Metadata }\n---\n" HEAD "- { level: Metadata }\n",
	"one document"},
    {"", "one document"},
};

START_TEST(mistakes_are_told)
{
	struct buf text = {0};

	ck_assert_ptr_null(load(mistakes[_i].text));
	diag_render(&text, &diags, DIAG_TEXT);
	ck_assert_msg(
	    text.data != NULL && strstr(text.data, mistakes[_i].message) != NULL,
	    "%s: %s", mistakes[_i].message, text.data);
	buf_free(&text);
}
END_TEST

/* ---- bodies ---- */

#define R "\"REDACTED\""

static const struct {
	const char *resource, *body, *shown;
} bodies[] = {
    {"pods", "{ \"a\" : [ 1 , -2.5e3 , true, null, \"x\\\"y\" ],\n \"b\":{} }",
	"{\"a\":[1,-2.5e3,true,null,\"x\\\"y\"],\"b\":{}}"},
    {"secrets",
	"{\"kind\":\"Secret\",\"data\":{\"p\":\"c2VjcmV0\"},\"type\":\"Opaque\"}",
	"{\"kind\":\"Secret\",\"data\":" R ",\"type\":\"Opaque\"}"},
    {"secrets",
	"{\"items\":[{\"data\":{\"p\":\"x\"}},{\"stringData\":{\"q\":[1,{}]}}]}",
	"{\"items\":[{\"data\":" R "},{\"stringData\":" R "}]}"},
    {"secrets", "{\"d\\u0061ta\":{\"p\":\"x\"}}", "{\"d\\u0061ta\":" R "}"},
    {"configmaps", "{\"binaryData\":{\"p\":\"x\"},\"data\":null}",
	"{\"binaryData\":" R ",\"data\":" R "}"},
    {"widgets", "{\"data\":{\"p\":1}}", "{\"data\":{\"p\":1}}"},
    {"widgets", "{\"spec\":{\"password\":\"x\",\"token\":\"y\",\"tokens\":\"z\"}}",
	"{\"spec\":{\"password\":" R ",\"token\":" R ",\"tokens\":\"z\"}}"},
    {"widgets", "{\"token\":{\"a\":\"b\"},\"token\":7}",
	"{\"token\":{\"a\":\"b\"},\"token\":7}"},
    {"pods",
	"{\"metadata\":{\"managedFields\":[{\"x\":1}],\"name\":\"a\"},"
	"\"managedFields\":3}",
	"{\"metadata\":{\"name\":\"a\"}}"},
    {"pods", "{\"managedFields\":[],\"a\":1}", "{\"a\":1}"},
    {"pods",
	"{\"annotations\":{\"kubectl.kubernetes.io/"
	"last-applied-configuration\":\"{}\"}}",
	"{\"annotations\":{\"kubectl.kubernetes.io/last-applied-configuration\":" R
	"}}"},
    {"pods",
	"{\"env\":[{\"name\":\"P\",\"value\":\"x\"},{\"valueFrom\":{\"value\":\"k\"}}],"
	"\"value\":\"kept\"}",
	"{\"env\":[{\"name\":\"P\",\"value\":" R "},{\"valueFrom\":{\"value\":" R "}}],"
	"\"value\":\"kept\"}"},
    {"pods", "[{\"op\":\"add\",\"value\":\"x\"}]", NULL},
    {"pods", "a: 1", NULL},
    {"pods", "{\"a\":1}{}", NULL},
    {"pods", "{\"a\":\"\xff\"}", NULL},
    {"pods", "{\"a\":", NULL},
    {"pods", "", NULL},
};

START_TEST(bodies_are_shown_without_secrets)
{
	const struct request_info info = {
	    .is_resource = true, .resource = str_from(bodies[_i].resource)};
	struct buf out = {0};
	const char *why;

	buf_add_cstr(&out, "before ");
	why = audit_body_redact(&out, str_from(bodies[_i].body), &info);
	if (bodies[_i].shown == NULL) {
		ck_assert_ptr_nonnull(why);
		ck_assert_uint_eq(out.len, 7);
	} else {
		ck_assert_msg(why == NULL, "%s", why);
		ck_assert_str_eq(out.data + 7, bodies[_i].shown);
	}
	buf_free(&out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("audit_policy");
	TCase *tc = tcase_create("audit_policy");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, level_is_that_of_the_first_rule, 0, (int)ARRAY_LEN(cases));
	tcase_add_loop_test(tc, mistakes_are_told, 0, (int)ARRAY_LEN(mistakes));
	tcase_add_loop_test(
	    tc, bodies_are_shown_without_secrets, 0, (int)ARRAY_LEN(bodies));
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
