/*
 * The store's memory of accounts: who is due, what a verdict changes, and which tokens must
 * be asked about again.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "authn/token/token_store.h"

static struct arena *arena;
static struct token_store *store;
static char directory[] = "/tmp/ringfence-accounts.XXXXXX";
static struct err err;

static void
setup(void)
{
	err = (struct err)ERR_INIT;
	arena = arena_new();
	memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chdir(directory), 0);
	ck_assert_int_eq(token_store_open("t.db", &store, &err), 0);
}

static void
teardown(void)
{
	token_store_close(store);
	(void)unlink("t.db");
	(void)unlink("t.db-wal");
	(void)unlink("t.db-shm");
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(directory), 0);
	arena_free(arena);
}

static void
add(const char *id, const char *owner, const char *uid, int64_t created,
    int64_t expires)
{
	struct token_record r = {.owner = str_from(owner),
	    .uid = str_from(uid),
	    .groups = STR("[\"g\"]"),
	    .scopes = STR("[]"),
	    .created = {created},
	    .expires = {expires}};

	memcpy(r.id, id, TOKEN_ID_LEN);
	ck_assert_int_eq(token_store_add(store, &r, &err), 0);
}

static struct token_record
get(const char *id)
{
	struct token_record r;

	ck_assert_int_eq(token_store_get(store, arena, id, &r, &err), 0);
	return r;
}

/* The due accounts as "owner/uid ...". */
static const char *
due(int64_t now, int64_t before, size_t limit)
{
	struct token_account *all;
	const char *text = "";
	size_t count;

	ck_assert_int_eq(token_store_due(store, arena, (walltime_t){now},
			     (walltime_t){before}, limit, &all, &count, &err),
	    0);
	for (size_t i = 0; i < count; i++)
		text = arena_printf(arena, "%s%s%.*s/%.*s", text, i != 0 ? " " : "",
		    STR_ARG(all[i].owner), STR_ARG(all[i].uid));
	return text;
}

static struct str
judge(const char *owner, bool known, bool suspended, const char *groups, int64_t now)
{
	const struct token_verdict v = {.owner = str_from(owner),
	    .uid = STR("u"),
	    .known = known,
	    .suspended = suspended,
	    .reason = suspended ? STR("why") : STR(""),
	    .groups = str_from(groups)};
	struct str ids;

	ck_assert_int_eq(
	    token_store_judge(store, arena, &v, 1, (walltime_t){now}, &ids, &err), 0);
	return ids;
}

START_TEST(due_are_those_with_live_tokens_that_waited_longest)
{
	add("aaaaaaaaaa", "a", "u", 30, 1000);
	add("bbbbbbbbbb", "b", "u", 10, 1000);
	add("cccccccccc", "c", "u", 20, 50); /* its only token expires */
	add("dddddddddd", "a", "other", 5, 1000);
	ck_assert_str_eq(due(40, 100, 10), "a/other b/u c/u a/u");
	ck_assert_str_eq(due(60, 100, 10), "a/other b/u a/u");
	ck_assert_str_eq(due(60, 100, 2), "a/other b/u");
	ck_assert_str_eq(due(60, 11, 10), "a/other b/u");
	(void)judge("b", true, false, "[\"g\"]", 60);
	ck_assert_str_eq(due(60, 60, 10), "a/other a/u");
	ck_assert_int_eq(token_store_revoke(store, STR("a"), "aaaaaaaaaa",
			     (walltime_t){60}, STR("a"), &err),
	    0);
	ck_assert_str_eq(due(60, 60, 10), "a/other");
}
END_TEST

START_TEST(account_without_an_answer_waits_for_its_turn)
{
	add("aaaaaaaaaa", "a", "u", 10, 1000);
	add("bbbbbbbbbb", "b", "u", 20, 1000);
	ck_assert_uint_eq(judge("a", false, false, "[]", 30).len, 0);
	ck_assert_str_eq(due(30, 100, 10), "b/u a/u");
	ck_assert_int_eq(get("aaaaaaaaaa").checked.ns, 10); /* nobody told anything */
}
END_TEST

START_TEST(verdict_names_the_tokens_that_it_changes)
{
	add("aaaaaaaaaa", "a", "u", 10, 1000);
	add("bbbbbbbbbb", "a", "u", 10, 1000);
	add("cccccccccc", "a", "u", 10, 15); /* expired */
	add("dddddddddd", "b", "u", 10, 1000);
	ck_assert_uint_eq(judge("a", true, false, "[\"g\"]", 20).len, 0);
	ck_assert_int_eq(get("aaaaaaaaaa").changed.ns, 0);
	ck_assert_int_eq(get("aaaaaaaaaa").checked.ns, 20);
	ck_assert(str_is(judge("a", true, true, "[]", 21), "aaaaaaaaaabbbbbbbbbb"));
	ck_assert(get("aaaaaaaaaa").suspended && get("bbbbbbbbbb").suspended);
	ck_assert(!get("dddddddddd").suspended);
	ck_assert_int_eq(get("aaaaaaaaaa").changed.ns, 21);
	ck_assert_uint_eq(judge("a", true, true, "[]", 22).len, 0);
	ck_assert(
	    str_is(judge("a", true, false, "[\"g\"]", 23), "aaaaaaaaaabbbbbbbbbb"));
	ck_assert(!get("aaaaaaaaaa").suspended);
	/* A suspension forgets no group. */
	ck_assert(str_is(get("aaaaaaaaaa").groups, "[\"g\"]"));
	ck_assert(str_is(judge("a", true, false, "[]", 24), "aaaaaaaaaabbbbbbbbbb"));
	ck_assert(str_is(get("bbbbbbbbbb").groups, "[]"));
	ck_assert(str_is(get("dddddddddd").groups, "[\"g\"]"));
	ck_assert_int_eq(get("aaaaaaaaaa").changed.ns, 24);
}
END_TEST

START_TEST(verdicts_are_written_all_or_none)
{
	const struct token_verdict two[] = {
	    {.owner = STR("a"), .uid = STR("u"), .known = true, .suspended = true},
	    {.owner = STR("b"), .uid = STR("u"), .known = true, .groups = STR("[]")},
	};
	sqlite3 *other = NULL;
	struct str ids;

	add("aaaaaaaaaa", "a", "u", 10, 1000);
	add("bbbbbbbbbb", "b", "u", 10, 1000);
	/* Writing the second one fails. */
	ck_assert_int_eq(sqlite3_open("t.db", &other), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(other,
			     "CREATE TRIGGER no BEFORE UPDATE OF groups ON token BEGIN "
			     "SELECT RAISE(ABORT, 'no'); END",
			     NULL, NULL, NULL),
	    SQLITE_OK);
	ck_assert_int_ne(
	    token_store_judge(store, arena, two, 2, (walltime_t){20}, &ids, &err), 0);
	ck_assert_uint_eq(ids.len, 0);
	ck_assert(!get("aaaaaaaaaa").suspended);
	ck_assert_int_eq(
	    sqlite3_exec(other, "DROP TRIGGER no", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(other), SQLITE_OK);
	ck_assert_int_eq(
	    token_store_judge(store, arena, two, 2, (walltime_t){20}, &ids, &err), 0);
	ck_assert(str_is(ids, "aaaaaaaaaabbbbbbbbbb"));
}
END_TEST

static struct str
unchecked(int64_t now, int64_t after, int64_t before)
{
	struct str ids;

	ck_assert_int_eq(token_store_unchecked(store, arena, (walltime_t){now},
			     (walltime_t){after}, (walltime_t){before}, &ids, &err),
	    0);
	return ids;
}

START_TEST(unchecked_are_told_once)
{
	add("aaaaaaaaaa", "a", "u", 10, 1000);
	add("bbbbbbbbbb", "b", "u", 20, 1000);
	ck_assert_uint_eq(unchecked(100, 0, 10).len, 0);
	ck_assert(str_is(unchecked(100, 0, 11), "aaaaaaaaaa"));
	ck_assert(str_is(unchecked(100, 11, 50), "bbbbbbbbbb"));
	(void)judge("b", true, false, "[\"g\"]", 60);
	ck_assert_uint_eq(unchecked(100, 11, 50).len, 0);
}
END_TEST

START_TEST(idle_tokens_end)
{
	struct str ids;

	add("aaaaaaaaaa", "a", "u", 10, 1000);
	add("bbbbbbbbbb", "a", "u", 10, 1000);
	ck_assert_int_eq(
	    token_store_used(store, "bbbbbbbbbb", 1, (walltime_t){50}, &err), 0);
	ck_assert_int_eq(token_store_end_idle(store, arena, (walltime_t){60},
			     (walltime_t){40}, &ids, &err),
	    0);
	ck_assert(str_is(ids, "aaaaaaaaaa"));
	ck_assert_int_eq(get("aaaaaaaaaa").revoked.ns, 60);
	ck_assert(str_is(get("aaaaaaaaaa").revoked_by, "idle"));
	ck_assert_int_eq(get("bbbbbbbbbb").revoked.ns, 0);
}
END_TEST

static void
count_call(void *arg)
{
	++*(unsigned *)arg;
}

static size_t
end_idle_bytes(void)
{
	struct str ids;

	ck_assert_int_eq(token_store_end_idle(store, arena, (walltime_t){60},
			     (walltime_t){40}, &ids, &err),
	    0);
	return ids.len;
}

START_TEST(many_idle_tokens_end_at_once)
{
	unsigned written = 0;

	for (unsigned i = 0; i < 1005; i++) {
		char id[16], owner[16];

		(void)snprintf(id, sizeof(id), "idle%06u", i);
		(void)snprintf(owner, sizeof(owner), "owner%u", i % 7);
		add(id, owner, "u", 10, 1000);
	}
	/* One whose id is damaged ends too, but there is nothing to tell of it. */
	ck_assert_int_eq(
	    sqlite3_exec(token_store_database(store),
		"UPDATE token SET id = 'x' WHERE id = 'idle000000'", NULL, NULL, NULL),
	    SQLITE_OK);
	token_store_written(store, count_call, &written);
	ck_assert_uint_eq(end_idle_bytes() + end_idle_bytes(), 1004u * TOKEN_ID_LEN);
	ck_assert_uint_eq(written, 2);
	ck_assert_uint_eq(end_idle_bytes(), 0);
	ck_assert_uint_eq(written, 2);
	ck_assert(str_is(get("idle001004").revoked_by, "idle"));
}
END_TEST

START_TEST(rotation_is_both_or_neither)
{
	struct token_record fresh;

	add("aaaaaaaaaa", "a", "u", 10, 1000);
	add("bbbbbbbbbb", "b", "u", 10, 1000);
	fresh = get("aaaaaaaaaa");
	memcpy(fresh.id, "cccccccccc", TOKEN_ID_LEN);
	/* Another's. */
	ck_assert_int_eq(token_store_rotate(store, "bbbbbbbbbb", &fresh,
			     (walltime_t){0}, (walltime_t){20}, STR("rotated"), &err),
	    ERR_NOT_FOUND);
	ck_assert_int_eq(
	    token_store_get(store, arena, "cccccccccc", &fresh, &err), ERR_NOT_FOUND);
	fresh = get("aaaaaaaaaa");
	memcpy(fresh.id, "cccccccccc", TOKEN_ID_LEN);
	ck_assert_int_eq(token_store_rotate(store, "aaaaaaaaaa", &fresh,
			     (walltime_t){90}, (walltime_t){20}, STR("rotated"), &err),
	    0);
	ck_assert_int_eq(get("aaaaaaaaaa").expires.ns, 90);
	ck_assert_int_eq(get("aaaaaaaaaa").revoked.ns, 0);
	ck_assert_int_eq(get("cccccccccc").expires.ns, 1000);
	memcpy(fresh.id, "dddddddddd", TOKEN_ID_LEN);
	ck_assert_int_eq(token_store_rotate(store, "cccccccccc", &fresh,
			     (walltime_t){0}, (walltime_t){30}, STR("rotated"), &err),
	    0);
	ck_assert_int_eq(get("cccccccccc").revoked.ns, 30);
	/* An overlap never lengthens a life. */
	memcpy(fresh.id, "eeeeeeeeee", TOKEN_ID_LEN);
	ck_assert_int_eq(
	    token_store_rotate(store, "dddddddddd", &fresh, (walltime_t){5000},
		(walltime_t){30}, STR("rotated"), &err),
	    0);
	ck_assert_int_eq(get("dddddddddd").expires.ns, 1000);
}
END_TEST

START_TEST(clock_that_is_set_back_makes_accounts_due_and_no_grace_longer)
{
	add("aaaaaaaaaa", "a", "u", 1000, INT64_MAX);
	add("bbbbbbbbbb", "b", "u", 10, INT64_MAX);
	ck_assert_str_eq(due(20, 15, 10), "b/u");
	ck_assert_int_eq(token_store_clock_back(store, (walltime_t){20}, &err), 0);
	ck_assert_str_eq(due(20, 15, 10), "a/u b/u");
	ck_assert_int_eq(get("aaaaaaaaaa").checked.ns, 20);
	ck_assert_int_eq(get("bbbbbbbbbb").checked.ns, 10);
}
END_TEST

START_TEST(store_of_the_first_layout_is_taken_over)
{
	static const char first[] =
	    "DROP TABLE account; DROP INDEX token_account; PRAGMA user_version = 1;";
	sqlite3 *db = NULL;
	const walltime_t before = walltime_now();

	add("aaaaaaaaaa", "a", "u", 10, INT64_MAX);
	token_store_close(store);
	ck_assert_int_eq(sqlite3_open("t.db", &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_exec(db, first, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	ck_assert_int_eq(token_store_open("t.db", &store, &err), 0);
	ck_assert_str_eq(due(before.ns, 1, 10), "a/u");
	ck_assert_int_ge(get("aaaaaaaaaa").checked.ns, before.ns - 1000000000);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("token_accounts");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, due_are_those_with_live_tokens_that_waited_longest);
	tcase_add_test(tc, account_without_an_answer_waits_for_its_turn);
	tcase_add_test(tc, verdict_names_the_tokens_that_it_changes);
	tcase_add_test(tc, verdicts_are_written_all_or_none);
	tcase_add_test(tc, unchecked_are_told_once);
	tcase_add_test(tc, idle_tokens_end);
	tcase_add_test(tc, many_idle_tokens_end_at_once);
	tcase_add_test(tc, rotation_is_both_or_neither);
	tcase_add_test(
	    tc, clock_that_is_set_back_makes_accounts_due_and_no_grace_longer);
	tcase_add_test(tc, store_of_the_first_layout_is_taken_over);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
