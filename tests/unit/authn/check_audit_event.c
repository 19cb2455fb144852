/*
 * Audit events: the fields of audit.k8s.io/v1, one line, and no secret.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "authn/audit/audit_client.h"

static json_t *
encode(const struct audit_event *event)
{
	struct buf out = {NULL, 0, 0};
	json_error_t error;
	json_t *root;

	audit_event_encode(&out, event);
	ck_assert_ptr_null(memchr(out.data, '\n', out.len));
	root = json_loadb(out.data, out.len, JSON_REJECT_DUPLICATES, &error);
	ck_assert_msg(root != NULL, "%s: %.*s", error.text, (int)out.len, out.data);
	buf_free(&out);
	return root;
}

static const char *
text(const json_t *object, const char *name)
{
	const char *t = json_string_value(json_object_get(object, name));

	return t != NULL ? t : "(none)";
}

START_TEST(event_has_the_fields_of_the_api)
{
	const struct str groups[] = {STR("devs"), STR("system:authenticated")};
	const struct request_info info = {.is_resource = true,
	    .verb = STR("create"),
	    .api_group = STR("apps"),
	    .api_version = STR("v1"),
	    .namespace = STR("shop"),
	    .resource = STR("deployments"),
	    .subresource = STR("scale"),
	    .name = STR("web")};
	const struct audit_event event = {.stage = AUDIT_RESPONSE_COMPLETE,
	    .audit_id = STR("id-1"),
	    .request_uri = STR("/apis/apps/v1/namespaces/shop/deployments/web/scale"),
	    .info = &info,
	    .user = STR("alice"),
	    .uid = STR("u-1"),
	    .groups = groups,
	    .group_count = 2,
	    .token_id = STR("0123456789"),
	    .source = STR("10.0.0.9"),
	    .user_agent = STR("kubectl \"quoted\"\x01"),
	    .code = 403,
	    .reason = STR("Forbidden"),
	    .message = STR("no"),
	    .decided_by = STR("Access /a rule 0"),
	    .received = {1700000000123456789},
	    .now = {1700000001000000000}};
	json_t *e = encode(&event);
	const json_t *ref = json_object_get(e, "objectRef");
	const json_t *user = json_object_get(e, "user");
	const json_t *response = json_object_get(e, "responseStatus");
	const json_t *notes = json_object_get(e, "annotations");

	ck_assert_str_eq(text(e, "kind"), "Event");
	ck_assert_str_eq(text(e, "apiVersion"), "audit.k8s.io/v1");
	ck_assert_str_eq(text(e, "level"), "Metadata");
	ck_assert_str_eq(text(e, "auditID"), "id-1");
	ck_assert_str_eq(text(e, "stage"), "ResponseComplete");
	ck_assert_str_eq(text(e, "verb"), "create");
	ck_assert_str_eq(text(user, "username"), "alice");
	ck_assert_str_eq(text(user, "uid"), "u-1");
	ck_assert_uint_eq(json_array_size(json_object_get(user, "groups")), 2);
	ck_assert_str_eq(text(ref, "resource"), "deployments");
	ck_assert_str_eq(text(ref, "namespace"), "shop");
	ck_assert_str_eq(text(ref, "name"), "web");
	ck_assert_str_eq(text(ref, "apiGroup"), "apps");
	ck_assert_str_eq(text(ref, "apiVersion"), "v1");
	ck_assert_str_eq(text(ref, "subresource"), "scale");
	ck_assert_int_eq(json_integer_value(json_object_get(response, "code")), 403);
	ck_assert_str_eq(text(response, "reason"), "Forbidden");
	ck_assert_str_eq(text(e, "userAgent"), "kubectl \"quoted\"\x01");
	ck_assert_str_eq(
	    text(e, "requestReceivedTimestamp"), "2023-11-14T22:13:20.123456Z");
	ck_assert_str_eq(text(e, "stageTimestamp"), "2023-11-14T22:13:21.000000Z");
	ck_assert_str_eq(text(notes, "authorization.k8s.io/decision"), "forbid");
	ck_assert_str_eq(text(notes, "ringfence.dev/token"), "0123456789");
	ck_assert_str_eq(text(notes, "ringfence.dev/cut"), "(none)");
	json_decref(e);
}
END_TEST

static const struct {
	const char *uri, *recorded;
} uris[] = {
    {"/a", "/a"},
    {"/a?", "/a?"},
    {"/a?x=1&y", "/a?x=1&y"},
    {"/a?token=s3", "/a?token=REDACTED"},
    {"/a?x=1&access_token=s3&y=2", "/a?x=1&access_token=REDACTED&y=2"},
    {"/a?Token=s3", "/a?Token=REDACTED"},
    {"/a?%74oken=s3", "/a?%74oken=REDACTED"},
    {"/a?%54OKEN=s3", "/a?%54OKEN=REDACTED"},
    {"/a?token=", "/a?token=REDACTED"},
    {"/a?token=s3=s4&token=s5", "/a?token=REDACTED&token=REDACTED"},
    {"/a?tokens=1&mytoken=2", "/a?tokens=1&mytoken=2"},
};

START_TEST(secrets_in_the_query_are_not_recorded)
{
	const struct audit_event event = {.audit_id = STR("i"),
	    .request_uri = str_from(uris[_i].uri),
	    .verb = STR("get"),
	    .source = STR("::1")};
	json_t *e = encode(&event);

	ck_assert_str_eq(text(e, "requestURI"), uris[_i].recorded);
	ck_assert_str_eq(text(e, "stage"), "RequestReceived");
	ck_assert_ptr_null(json_object_get(e, "responseStatus"));
	ck_assert_ptr_null(json_object_get(e, "objectRef"));
	json_decref(e);
}
END_TEST

START_TEST(user_agent_is_cut_and_cuts_are_marked)
{
	char agent[3000];
	struct audit_event event = {.audit_id = STR("i"),
	    .request_uri = STR("/"),
	    .verb = STR("get"),
	    .source = STR("::1"),
	    .cut = true};
	json_t *e;

	memset(agent, 'a', sizeof(agent));
	event.user_agent = (struct str){agent, sizeof(agent)};
	e = encode(&event);
	ck_assert_uint_eq(strlen(text(e, "userAgent")), 1024);
	ck_assert_str_eq(
	    text(json_object_get(e, "annotations"), "ringfence.dev/cut"), "true");
	json_decref(e);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("audit_event");
	TCase *tc = tcase_create("audit_event");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tc, event_has_the_fields_of_the_api);
	tcase_add_loop_test(
	    tc, secrets_in_the_query_are_not_recorded, 0, (int)ARRAY_LEN(uris));
	tcase_add_test(tc, user_agent_is_cut_and_cuts_are_marked);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
