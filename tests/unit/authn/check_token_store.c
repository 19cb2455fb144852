/*
 * The token store, on a real file: what was answered is there after it is opened again.
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
static char directory[] = "/tmp/ringfence-store.XXXXXX";
static struct err err;

static void
open_store(void)
{
	ck_assert_int_eq(token_store_open("tokens.db", &store, &err), 0);
}

static void
setup(void)
{
	err = (struct err)ERR_INIT;
	arena = arena_new();
	memcpy(directory + strlen(directory) - 6, "XXXXXX", 6);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(chdir(directory), 0);
	open_store();
}

static void
teardown(void)
{
	token_store_close(store);
	(void)unlink("tokens.db");
	(void)unlink("tokens.db-wal");
	(void)unlink("tokens.db-shm");
	ck_assert_int_eq(chdir("/"), 0);
	ck_assert_int_eq(rmdir(directory), 0);
	arena_free(arena);
}

static struct token_record
record_of(const char *id, const char *owner, int64_t created, int64_t expires)
{
	struct token_record r = {.owner = str_from(owner),
	    .uid = STR("u-1"),
	    .groups = STR("[\"g\"]"),
	    .scopes = STR("[]"),
	    .name = STR("n'; DROP TABLE token; --"),
	    .created = {created},
	    .expires = {expires}};

	memcpy(r.id, id, TOKEN_ID_LEN);
	memset(r.secret_hash, 7, sizeof(r.secret_hash));
	r.secret_hash[3] = 0;
	return r;
}

static void
add(const char *id, const char *owner, int64_t created, int64_t expires)
{
	struct token_record r = record_of(id, owner, created, expires);

	ck_assert_int_eq(token_store_add(store, &r, &err), 0);
}

static struct token_record
get(const char *id)
{
	struct token_record r;

	ck_assert_int_eq(token_store_get(store, arena, id, &r, &err), 0);
	return r;
}

START_TEST(record_survives_closing)
{
	struct token_record wanted = record_of("aaaaaaaaaa", "alice", 100, 900), got;

	ck_assert_int_eq(token_store_add(store, &wanted, &err), 0);
	ck_assert_int_eq(token_store_add(store, &wanted, &err), ERR_EXISTS);
	token_store_close(store);
	open_store();
	got = get("aaaaaaaaaa");
	ck_assert_str_eq(got.id, "aaaaaaaaaa");
	ck_assert_mem_eq(got.secret_hash, wanted.secret_hash, 32);
	ck_assert(str_eq(got.owner, wanted.owner) && str_eq(got.uid, wanted.uid));
	ck_assert(str_eq(got.groups, wanted.groups) && str_eq(got.name, wanted.name));
	ck_assert(str_eq(got.scopes, wanted.scopes));
	ck_assert_int_eq(got.created.ns, 100);
	ck_assert_int_eq(got.expires.ns, 900);
	ck_assert_int_eq(got.revoked.ns, 0);
	ck_assert_int_eq(got.last_used.ns, 0);
	ck_assert_int_eq(
	    token_store_get(store, arena, "bbbbbbbbbb", &got, &err), ERR_NOT_FOUND);
}
END_TEST

START_TEST(only_the_owner_revokes_and_the_first_time_counts)
{
	add("aaaaaaaaaa", "alice", 100, 900);
	ck_assert_int_eq(token_store_revoke(store, STR("bob"), "aaaaaaaaaa",
			     (walltime_t){200}, STR("bob"), &err),
	    ERR_NOT_FOUND);
	ck_assert_int_eq(token_store_revoke(store, STR("alice"), "zzzzzzzzzz",
			     (walltime_t){200}, STR("alice"), &err),
	    ERR_NOT_FOUND);
	ck_assert_int_eq(get("aaaaaaaaaa").revoked.ns, 0);
	for (int64_t t = 300; t < 500; t += 100)
		ck_assert_int_eq(token_store_revoke(store, STR("alice"), "aaaaaaaaaa",
				     (walltime_t){t}, STR("alice"), &err),
		    0);
	token_store_close(store);
	open_store();
	ck_assert_int_eq(get("aaaaaaaaaa").revoked.ns, 300);
	ck_assert(str_is(get("aaaaaaaaaa").revoked_by, "alice"));
}
END_TEST

START_TEST(list_is_the_owners_newest_first)
{
	struct token_record *records;
	size_t count;

	add("aaaaaaaaaa", "alice", 100, 900);
	add("bbbbbbbbbb", "bob", 100, 900);
	add("cccccccccc", "alice", 300, 900);
	ck_assert_int_eq(
	    token_store_list(store, arena, STR("alice"), &records, &count, &err), 0);
	ck_assert_uint_eq(count, 2);
	ck_assert_str_eq(records[0].id, "cccccccccc");
	ck_assert_str_eq(records[1].id, "aaaaaaaaaa");
	ck_assert_int_eq(
	    token_store_list(store, arena, STR("ALICE"), &records, &count, &err), 0);
	ck_assert_uint_eq(count, 0);
}
END_TEST

START_TEST(use_life_and_purge)
{
	uint64_t live = 0;

	add("aaaaaaaaaa", "alice", 100, 900);
	add("bbbbbbbbbb", "alice", 100, 500);
	add("cccccccccc", "alice", 100, 900);
	ck_assert_int_eq(
	    token_store_used(store, "aaaaaaaaaacccccccccc", 2, (walltime_t){150}, &err),
	    0);
	ck_assert_int_eq(get("aaaaaaaaaa").last_used.ns, 150);
	ck_assert_int_eq(get("bbbbbbbbbb").last_used.ns, 0);
	ck_assert_int_eq(get("cccccccccc").last_used.ns, 150);
	ck_assert_int_eq(token_store_revoke(store, STR("alice"), "cccccccccc",
			     (walltime_t){200}, STR("alice"), &err),
	    0);
	ck_assert_int_eq(token_store_live(store, (walltime_t){499}, &live, &err), 0);
	ck_assert_uint_eq(live, 2);
	ck_assert_int_eq(token_store_live(store, (walltime_t){500}, &live, &err), 0);
	ck_assert_uint_eq(live, 1);
	ck_assert_int_eq(token_store_purge(store, (walltime_t){501}, &err), 0);
	ck_assert_int_eq(get("aaaaaaaaaa").expires.ns, 900);
	ck_assert_int_eq(token_store_get(store, arena, "bbbbbbbbbb",
			     &(struct token_record){.id = ""}, &err),
	    ERR_NOT_FOUND);
}
END_TEST

START_TEST(use_is_not_later_than_now_when_the_clock_goes_back)
{
	struct str ids;

	add("aaaaaaaaaa", "alice", 100, 90000);
	add("bbbbbbbbbb", "alice", 100, 90000);
	ck_assert_int_eq(
	    token_store_used(store, "aaaaaaaaaa", 1, (walltime_t){8000}, &err), 0);
	ck_assert_int_eq(
	    token_store_used(store, "bbbbbbbbbb", 1, (walltime_t){200}, &err), 0);
	ck_assert_int_eq(token_store_clock_back(store, (walltime_t){300}, &err), 0);
	ck_assert_int_eq(get("aaaaaaaaaa").last_used.ns, 300);
	ck_assert_int_eq(get("bbbbbbbbbb").last_used.ns, 200);
	/* It is not idle the later for it. */
	ck_assert_int_eq(token_store_end_idle(store, arena, (walltime_t){1000},
			     (walltime_t){301}, &ids, &err),
	    0);
	ck_assert_uint_eq(ids.len, 2 * TOKEN_ID_LEN);
}
END_TEST

START_TEST(tokens_that_can_be_used_are_counted_and_the_stalest_login_is_found)
{
	struct token_record r = record_of("dddddddddd", "alice", 50, 900);
	char id[TOKEN_ID_LEN + 1];
	uint64_t count = 0;

	ck_assert_int_eq(token_store_stale_login(store, STR("alice"), STR("u-1"),
			     (walltime_t){200}, id, &err),
	    ERR_NOT_FOUND);
	add("aaaaaaaaaa", "alice", 60, 900); /* they have a name */
	r.name = STR("");
	ck_assert_int_eq(token_store_add(store, &r, &err), 0);
	memcpy(r.id, "eeeeeeeeee", TOKEN_ID_LEN);
	r.created.ns = 70;
	ck_assert_int_eq(token_store_add(store, &r, &err), 0);
	memcpy(r.id, "ffffffffff", TOKEN_ID_LEN); /* of a service account */
	r.created.ns = 10;
	r.service = STR("0123456789");
	ck_assert_int_eq(token_store_add(store, &r, &err), 0);
	add("bbbbbbbbbb", "bob", 10, 900);
	ck_assert_int_eq(
	    token_store_used(store, "dddddddddd", 1, (walltime_t){150}, &err), 0);
	ck_assert_int_eq(token_store_stale_login(store, STR("alice"), STR("u-1"),
			     (walltime_t){200}, id, &err),
	    0);
	ck_assert_str_eq(id, "eeeeeeeeee");
	ck_assert_int_eq(token_store_owned(store, STR("alice"), STR("u-1"),
			     (walltime_t){200}, &count, &err),
	    0);
	ck_assert_uint_eq(count, 4);
	ck_assert_int_eq(token_store_owned(store, STR("alice"), STR("u-2"),
			     (walltime_t){200}, &count, &err),
	    0);
	ck_assert_uint_eq(count, 0);
	ck_assert_int_eq(token_store_owned(store, STR("alice"), STR("u-1"),
			     (walltime_t){900}, &count, &err),
	    0);
	ck_assert_uint_eq(count, 0);
}
END_TEST

static void
declare(const char *id, const char *path)
{
	const struct token_service v = {.id = str_from(id),
	    .path = str_from(path),
	    .declared = {100},
	    .declared_by = STR("alice")};

	ck_assert_int_eq(token_store_service_add(store, &v, &err), 0);
}

START_TEST(token_of_a_service_account_lives_as_long_as_its_declaration)
{
	struct token_record r = record_of("aaaaaaaaaa", "alice", 100, 900), *records;
	struct token_service found, *all;
	struct str ids;
	size_t count;

	/* Of one that nobody has told of it means nothing. */
	r.service = STR("service001");
	ck_assert_int_eq(token_store_add(store, &r, &err), 0);
	ck_assert(get("aaaaaaaaaa").service_gone);
	declare("service001", "/acme/shop/deploy");
	declare("service002", "/acme/shopping");
	declare("service003", "/acme");
	ck_assert(!get("aaaaaaaaaa").service_gone);
	ck_assert(str_is(get("aaaaaaaaaa").service_path, "/acme/shop/deploy"));
	ck_assert_int_eq(token_store_services(store, arena, STR("/acme/shop/"),
			     (walltime_t){200}, &all, &count, &err),
	    0);
	ck_assert_uint_eq(count, 1);
	ck_assert(str_is(all[0].path, "/acme/shop/deploy") && all[0].tokens == 1);
	ck_assert_int_eq(token_store_services(store, arena, STR("/acme/"),
			     (walltime_t){900}, &all, &count, &err),
	    0);
	ck_assert(count == 2 && all[0].tokens == 0);
	ck_assert_int_eq(
	    token_store_service_remove(store, arena, STR("/acme/shop/deploy"),
		(walltime_t){300}, STR("bob"), &ids, &err),
	    0);
	ck_assert(str_is(ids, "aaaaaaaaaa"));
	ck_assert(get("aaaaaaaaaa").service_gone);
	ck_assert(str_is(get("aaaaaaaaaa").revoked_by, "bob"));
	ck_assert_int_eq(
	    token_store_service_remove(store, arena, STR("/acme/shop/deploy"),
		(walltime_t){300}, STR("bob"), &ids, &err),
	    ERR_NOT_FOUND);
	/* Another of the same path is not it. */
	declare("service004", "/acme/shop/deploy");
	ck_assert(get("aaaaaaaaaa").service_gone);
	ck_assert_int_eq(
	    token_store_service(store, arena, STR("/acme/shop/deploy"), &found, &err),
	    0);
	ck_assert(str_is(found.id, "service004"));
	ck_assert_int_eq(token_store_service_tokens(store, arena,
			     STR("/acme/shop/deploy"), &records, &count, &err),
	    0);
	ck_assert_uint_eq(count, 0);
	/* What was removed is forgotten, and its tokens stay nobody's. */
	ck_assert_int_eq(token_store_purge(store, (walltime_t){300}, &err), 0);
	ck_assert(get("aaaaaaaaaa").service_path.len != 0);
}
END_TEST

START_TEST(visitor_is_what_was_told_last)
{
	struct token_visitor v = {.name = STR("alice"),
	    .uid = STR("u-1"),
	    .groups = STR("[\"g\"]"),
	    .checked = {100}};
	struct token_visitor got;

	ck_assert_int_eq(
	    token_store_visitor(store, arena, v.name, &got, &err), ERR_NOT_FOUND);
	/* Of who is not known nothing is remembered. */
	ck_assert_int_eq(
	    token_store_visitor_deny(store, v.name, (walltime_t){110}, &err), 0);
	ck_assert_int_eq(
	    token_store_visitor(store, arena, v.name, &got, &err), ERR_NOT_FOUND);
	ck_assert_int_eq(token_store_visitor_put(store, &v, &err), 0);
	v.groups = STR("[]");
	v.checked.ns = 120;
	ck_assert_int_eq(token_store_visitor_put(store, &v, &err), 0);
	token_store_close(store);
	open_store();
	ck_assert_int_eq(token_store_visitor(store, arena, v.name, &got, &err), 0);
	ck_assert(str_is(got.name, "alice") && str_is(got.uid, "u-1") &&
		  str_is(got.groups, "[]") && got.checked.ns == 120 && !got.suspended);
	ck_assert_int_eq(
	    token_store_visitor_deny(store, v.name, (walltime_t){130}, &err), 0);
	ck_assert_int_eq(token_store_visitor(store, arena, v.name, &got, &err), 0);
	ck_assert(got.suspended && got.checked.ns == 130);
	ck_assert_int_eq(token_store_visitors_purge(store, (walltime_t){130}, &err), 0);
	ck_assert_int_eq(token_store_visitor(store, arena, v.name, &got, &err), 0);
	ck_assert_int_eq(token_store_visitors_purge(store, (walltime_t){131}, &err), 0);
	ck_assert_int_eq(
	    token_store_visitor(store, arena, v.name, &got, &err), ERR_NOT_FOUND);
}
END_TEST

START_TEST(newer_layout_and_garbage_are_refused)
{
	struct token_store *other = NULL;
	sqlite3 *db;
	FILE *f;

	token_store_close(store);
	ck_assert_int_eq(sqlite3_open("tokens.db", &db), SQLITE_OK);
	ck_assert_int_eq(
	    sqlite3_exec(db, "PRAGMA user_version = 99", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(sqlite3_close(db), SQLITE_OK);
	ck_assert_int_eq(token_store_open("tokens.db", &other, &err), ERR_INVALID);
	ck_assert_ptr_null(other);
	ck_assert_int_eq(unlink("tokens.db"), 0);
	(void)unlink("tokens.db-wal");
	(void)unlink("tokens.db-shm");
	f = fopen("tokens.db", "w");
	for (int i = 0; i < 5000; i++)
		fputs("garbage ", f);
	ck_assert_int_eq(fclose(f), 0);
	ck_assert_int_ne(token_store_open("tokens.db", &other, &err), 0);
	ck_assert_int_eq(unlink("tokens.db"), 0);
	open_store();
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("token_store");
	TCase *tc = tcase_create("token_store");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, record_survives_closing);
	tcase_add_test(tc, only_the_owner_revokes_and_the_first_time_counts);
	tcase_add_test(tc, list_is_the_owners_newest_first);
	tcase_add_test(tc, use_life_and_purge);
	tcase_add_test(tc, use_is_not_later_than_now_when_the_clock_goes_back);
	tcase_add_test(
	    tc, tokens_that_can_be_used_are_counted_and_the_stalest_login_is_found);
	tcase_add_test(tc, token_of_a_service_account_lives_as_long_as_its_declaration);
	tcase_add_test(tc, visitor_is_what_was_told_last);
	tcase_add_test(tc, newer_layout_and_garbage_are_refused);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
