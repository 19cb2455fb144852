/*
 * The last records, for the console: to whom they are shown, and how many are kept.
 */
#include <check.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "authn/audit/audit_recent.h"
#include "common/limits.h"

static struct audit_recent *recent;

static void
setup(void)
{
	recent = audit_recent_new();
}

static void
teardown(void)
{
	audit_recent_free(recent);
}

static void
add(const char *id, const char *user, const char *tenant, int code, size_t padding)
{
	struct buf line = {0};

	buf_printf(&line,
	    "{\"auditID\":\"%s\",\"stage\":\"ResponseComplete\",\"requestURI\":\"/a\","
	    "\"verb\":\"get\",\"user\":{\"username\":\"%s\"},\"responseStatus\":{"
	    "\"code\":%d},"
	    "\"annotations\":{\"authorization.k8s.io/decision\":\"%s\","
	    "\"ringfence.dev/tenant\":\"%s\"},\"pad\":\"%0*d\"}",
	    id, user, code, code == 403 ? "forbid" : "allow", tenant, (int)padding, 0);
	audit_recent_add(recent, buf_str(&line));
	buf_free(&line);
}

/* The ids shown, in order, each followed by a space. */
static const char *
ask(const char *user, const char *subtree, bool refused)
{
	static struct buf ids;
	const struct str path = str_from(subtree);
	const struct audit_recent_question q = {
	    str_from(user), &path, subtree != NULL, refused};
	struct buf out = {0};
	json_t *root, *entry;
	size_t i;

	buf_clear(&ids);
	buf_add_cstr(&ids, "");
	audit_recent_answer(recent, &q, &out);
	ck_assert_uint_le(out.len, LIMIT_MESSAGE_BYTES / 2 + 16);
	root = json_loadb(out.data, out.len, 0, NULL);
	ck_assert_ptr_nonnull(root);
	json_array_foreach(json_object_get(root, "entries"), i, entry) buf_printf(
	    &ids, "%s ", json_string_value(json_object_get(entry, "auditID")));
	json_decref(root);
	buf_free(&out);
	return ids.data != NULL ? ids.data : "";
}

START_TEST(shown_to_the_user_and_to_owners_and_nobody_else)
{
	add("1", "alice", "/acme/shop", 200, 1);
	add("2", "bob", "/acme/shop", 403, 1);
	add("3", "bob", "/acmeish", 200, 1);
	add("4", "bobby", "/acme", 200, 1);
	add("5", "", "/acme", 403, 1);
	audit_recent_settle(recent, true);
	ck_assert_str_eq(ask("alice", NULL, false), "1 ");
	ck_assert_str_eq(ask("bob", NULL, false), "3 2 ");
	ck_assert_str_eq(ask("bob", NULL, true), "2 ");
	ck_assert_str_eq(ask("alice", "/acme", false), "5 4 2 1 ");
	ck_assert_str_eq(ask("alice", "/acme", true), "5 2 ");
	ck_assert_str_eq(ask("alice", "/", false), "5 4 3 2 1 ");
	ck_assert_str_eq(ask("", NULL, false), "");
	ck_assert_str_eq(ask("nobody", "/acme/shop/prod", false), "");
}
END_TEST

START_TEST(shown_once_it_is_on_disk)
{
	add("1", "alice", "/", 200, 1);
	ck_assert_str_eq(ask("alice", NULL, false), "");
	audit_recent_settle(recent, true);
	add("2", "alice", "/", 200, 1);
	ck_assert_str_eq(ask("alice", NULL, false), "1 ");
	audit_recent_settle(recent, false); /* the disk is full: it never was */
	add("3", "alice", "/", 200, 1);
	audit_recent_settle(recent, true);
	ck_assert_str_eq(ask("alice", NULL, false), "3 1 ");
}
END_TEST

START_TEST(kept_within_bounds)
{
	char id[16];

	add("first", "alice", "/", 200, 1);
	for (unsigned i = 0; i < AUDIT_RECENT_LINES + 10; i++) {
		(void)snprintf(id, sizeof(id), "%u", i);
		add(id, "bob", "/", 200, 1);
		audit_recent_settle(recent, true);
	}
	ck_assert_str_eq(ask("alice", NULL, false), "");
	ck_assert(strncmp(ask("bob", NULL, false), "4105 4104 ", 10) == 0);
	add("carol", "carol", "/", 200, 1);
	for (unsigned i = 0; i < 1000; i++)
		add("big", "bob", "/", 200, 12000); /* more than all bytes */
	audit_recent_settle(recent, true);
	ck_assert_str_eq(ask("carol", NULL, false), "");
	add("too long", "dave", "/", 200, AUDIT_RECENT_LINE);
	audit_recent_settle(recent, true);
	ck_assert_str_eq(ask("dave", NULL, false), "");
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("audit_recent");
	TCase *tc = tcase_create("audit_recent");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, shown_to_the_user_and_to_owners_and_nobody_else);
	tcase_add_test(tc, shown_once_it_is_on_disk);
	tcase_add_test(tc, kept_within_bounds);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
