/*
 * common/audit: the writer, and what it leaves on disk.
 */
#include "audit_fixture.h"

#include <sys/wait.h>

#include "common/audit_key.h"
#include "common/audit_note.h"
#include "common/clock.h"
#include "common/limits.h"
#include "common/proc.h"

#define LINE_BYTES 8 /* {"n":0} and a newline */

static mode_t
mode_of(const char *path)
{
	struct stat st;

	ck_assert_msg(stat(path, &st) == 0, "%s", path);
	return st.st_mode & 07777;
}

START_TEST(audit_open_makes_a_new_log)
{
	struct audit_log *log;
	struct audit_key key;
	struct buf b;

	(void)umask(022);
	log = must_open(dir, 0, 0);
	ck_assert_uint_eq(audit_size(log), 0);
	ck_assert_int_eq(mode_of(dir), 0750);
	ck_assert_int_eq(mode_of(in(dir, "key")), 0600);
	ck_assert_int_eq(mode_of(in(dir, "key.pub")), 0644);
	ck_assert_int_eq(mode_of(in(dir, "checkpoint")), 0644);
	ck_assert_int_eq(mode_of(in(dir, "log-0.jsonl")), 0640);
	b = slurp(in(dir, "key.pub"));
	ck_assert_int_eq(audit_key_parse(&key, buf_str(&b), NULL), 0);
	ck_assert_str_eq(key.name, ORIGIN);
	buf_free(&b);
	b = slurp(in(dir, "key"));
	ck_assert(str_starts(buf_str(&b), STR("-----BEGIN PRIVATE KEY-----\n")));
	buf_free(&b);
	b = slurp(in(dir, "checkpoint"));
	ck_assert(str_starts(buf_str(&b),
	    STR(ORIGIN "\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n"
		       "\xe2\x80\x94 " ORIGIN " ")));
	buf_free(&b);
	audit_close(log);
	expect_intact(dir, 0, 0);
}
END_TEST

START_TEST(audit_sync_writes_bare_lines_and_signs_them)
{
	struct audit_log *log = must_open(dir, 0, 0);
	struct err err = ERR_INIT;
	uint8_t root[32], a[32], b[32], expected[32];
	struct buf text;

	ck_assert_int_eq(audit_append(log, STR("{\"a\":\"\xc3\xa9\"}"), &err), 0);
	ck_assert_int_eq(audit_append(log, STR("{}"), &err), 0);
	ck_assert_int_eq(file_size(in(dir, "log-0.jsonl")), 0);
	ck_assert_uint_eq(audit_size(log), 0);
	ck_assert_int_eq(audit_sync(log, &err), 0);
	text = slurp(in(dir, "log-0.jsonl"));
	ck_assert_str_eq(text.data, "{\"a\":\"\xc3\xa9\"}\n{}\n");
	buf_free(&text);
	ck_assert_uint_eq(audit_size(log), 2);
	audit_leaf_hash(STR("{\"a\":\"\xc3\xa9\"}"), a);
	audit_leaf_hash(STR("{}"), b);
	audit_node_hash(a, b, expected);
	audit_root(log, root);
	ck_assert_mem_eq(root, expected, 32);
	expect_intact(dir, 2, 2);
	ck_assert(!exists(in(dir, "checkpoint.tmp")));
	audit_close(log);
}
END_TEST

START_TEST(audit_close_forgets_what_was_not_synced)
{
	struct audit_log *log = must_open(dir, 0, 0);

	add_lines(log, 0, 3);
	ck_assert_int_eq(audit_append(log, STR("{}"), NULL), 0);
	audit_close(log);
	expect_intact(dir, 3, 3);
	audit_close(NULL);
}
END_TEST

struct line {
	struct str text;
	bool ok;
};

static const struct line lines[] = {
    {{"{}", 2}, true},
    {{"{\"a\":[1,{\"b\":\"}]\\\"{\"}]}", 23}, true},
    {{"{\"a\":\"\\\\\"}", 10}, true},
    {{"", 0}, false},
    {{"{", 1}, false},
    {{"}", 1}, false},
    {{"[]", 2}, false},
    {{"\"{}\"", 4}, false},
    {{"{} ", 3}, false},
    {{" {}", 3}, false},
    {{"{}{}", 4}, false},
    {{"{\"a\":1", 6}, false},
    {{"{\"a\":\"x}", 8}, false},
    {{"{\"a\":\"x\\\"}", 10}, false},
    {{"{\"a\":[}]", 8}, false},
    {{"{\"a\":[1}", 8}, false},
    {{"{\n}", 3}, false},
    {{"{\"a\":\"\n\"}", 9}, false},
    {{"{\"a\":\"\\\n\"}", 10}, false},
    {{"{\"a\":\"\0\"}", 9}, false},
    {{"{}\n", 3}, false},
    {{"{\r}", 3}, false},
    {{"{\"\\", 3}, false},
};

START_TEST(audit_append_takes_one_object_on_one_line)
{
	struct audit_log *log = must_open(dir, 0, 0);
	struct err err = ERR_INIT;

	ck_assert_int_eq(
	    audit_append(log, lines[_i].text, &err), lines[_i].ok ? 0 : ERR_INVALID);
	ck_assert_int_eq(audit_sync(log, &err), 0);
	ck_assert_uint_eq(audit_size(log), lines[_i].ok ? 1 : 0);
	audit_close(log);
}
END_TEST

/* Each level of nesting takes an array's bracket; the object is the first. */
START_TEST(audit_append_takes_deep_lines_up_to_a_limit)
{
	struct audit_log *log = must_open(dir, 0, 0);
	struct buf b = {0};

	for (int depth = 1023; depth <= 1024; depth++) {
		buf_clear(&b);
		buf_add_cstr(&b, "{\"a\":");
		for (int i = 0; i < depth; i++)
			buf_add_char(&b, '[');
		for (int i = 0; i < depth; i++)
			buf_add_char(&b, ']');
		buf_add_char(&b, '}');
		ck_assert_int_eq(audit_append(log, buf_str(&b), NULL),
		    depth == 1023 ? 0 : ERR_INVALID);
	}
	buf_free(&b);
	audit_close(log);
}
END_TEST

START_TEST(audit_append_limits_lines_and_what_waits)
{
	struct audit_log *log = must_open(dir, 0, 0);
	struct buf largest = long_line(LIMIT_AUDIT_LINE_BYTES);
	struct buf larger = long_line(LIMIT_AUDIT_LINE_BYTES + 1);
	unsigned waiting = 0;

	ck_assert_int_eq(audit_append(log, buf_str(&larger), NULL), ERR_LIMIT);
	while (audit_append(log, buf_str(&largest), NULL) == 0 && waiting < 100)
		waiting++;
	ck_assert_uint_eq(
	    waiting, LIMIT_AUDIT_PENDING_BYTES / (LIMIT_AUDIT_LINE_BYTES + 1));
	ck_assert_int_eq(audit_append(log, buf_str(&largest), NULL), ERR_LIMIT);
	ck_assert_int_eq(audit_sync(log, NULL), 0);
	ck_assert_int_eq(audit_append(log, buf_str(&largest), NULL), 0);
	audit_close(log);
	expect_intact(dir, waiting, waiting);
	ck_assert_int_eq(try_open(dir, NULL), 0);
	buf_free(&largest);
	buf_free(&larger);
}
END_TEST

START_TEST(audit_open_goes_on_where_it_ended)
{
	struct audit_log *log = must_open(dir, 0, 0);
	struct buf before = {0}, after = {0};
	uint8_t first[32], second[32];

	add_lines(log, 0, 5);
	audit_root(log, first);
	audit_close(log);
	before = slurp(in(dir, "key"));
	log = must_open(dir, 0, 0);
	ck_assert_uint_eq(audit_size(log), 5);
	audit_root(log, second);
	ck_assert_mem_eq(first, second, 32);
	add_lines(log, 5, 8);
	audit_close(log);
	after = slurp(in(dir, "key"));
	ck_assert_str_eq(before.data, after.data);
	expect_intact(dir, 8, 8);
	buf_free(&before);
	buf_free(&after);
}
END_TEST

START_TEST(audit_open_keeps_a_second_writer_out)
{
	struct audit_log *log = must_open(dir, 0, 0);
	struct err err = ERR_INIT;

	ck_assert_int_eq(try_open(dir, &err), ERR_EXISTS);
	ck_assert_ptr_nonnull(strstr(err.msg, "another writer"));
	add_lines(log, 0, 1);
	audit_close(log);
	ck_assert_int_eq(try_open(dir, &err), 0);
}
END_TEST

/* ---- segments ---- */

/* Lines of 7 and 8 bytes, 3 to a segment of 27: so "log-10" comes after "log-9". */
START_TEST(audit_sync_begins_a_segment_when_one_is_full)
{
	struct audit_log *log = must_open(dir, 27, 0);
	unsigned seen = 0;

	for (unsigned n = 0; n < 40; n++)
		add_lines(log, n, n + 1);
	audit_close(log);
	ck_assert(exists(in(dir, "log-13.jsonl")));
	ck_assert(!exists(in(dir, "log-14.jsonl")));
	for (unsigned i = 0; i < 14; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "log-%u.jsonl", i);
		ck_assert_int_le(file_size(in(dir, name)), 27);
	}
	expect_intact(dir, 40, 40);
	ck_assert_int_eq(audit_read(dir, check_order, &seen, NULL), 0);
	ck_assert_uint_eq(seen, 40);
	log = must_open(dir, 27, 0);
	ck_assert_uint_eq(audit_size(log), 40);
	add_lines(log, 40, 41);
	audit_close(log);
	expect_intact(dir, 41, 41);
}
END_TEST

START_TEST(audit_sync_keeps_a_batch_together_when_it_is_larger_than_a_segment)
{
	struct audit_log *log = must_open(dir, 10, 0);

	add_lines(log, 0, 20);
	add_lines(log, 20, 30);
	audit_close(log);
	ck_assert(exists(in(dir, "log-1.jsonl")));
	ck_assert(!exists(in(dir, "log-2.jsonl")));
	expect_intact(dir, 30, 30);
}
END_TEST

START_TEST(audit_sync_fails_when_the_next_segment_is_there_already)
{
	struct audit_log *log = must_open(dir, 27, 0);
	struct err err = ERR_INIT;

	add_lines(log, 0, 3);
	spit(in(dir, "log-1.jsonl"), "{\"forged\":1}\n", 13);
	ck_assert_int_eq(audit_append(log, STR("{\"n\":3}"), &err), 0);
	ck_assert_int_eq(audit_sync(log, &err), ERR_EXISTS);
	ck_assert_uint_eq(audit_size(log), 3);
	ck_assert_int_eq(unlink(in(dir, "log-1.jsonl")), 0);
	add_lines(log, 3, 4);
	audit_close(log);
	expect_intact(dir, 4, 4);
}
END_TEST

/* ---- as a role ---- */

/* audit_syscalls is all that the writer needs, and it needs no path. */
START_TEST(audit_sync_works_when_confined)
{
	pid_t pid = fork();
	int status;

	if (pid == 0) {
		struct proc_sandbox sandbox = {.empty_root = true,
		    .syscalls = proc_syscalls_basic,
		    .more_syscalls = audit_syscalls};
		struct audit_log *log = must_open(dir, 27, 0);
		struct err err = ERR_INIT;

		if (proc_confine(&sandbox, &err) != 0)
			_exit(1);
		for (unsigned n = 0; n < 20; n++)
			add_lines(log, n, n + 1);
		audit_close(log);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	expect_intact(dir, 20, 20);
}
END_TEST

/* ---- the key elsewhere ---- */

struct remote_key {
	struct audit_signer real;
	unsigned calls;
	bool down;
};

static int
sign_remotely(void *arg, struct str text, uint8_t out[64], struct err *err)
{
	struct remote_key *key = arg;

	key->calls++;
	if (key->down)
		return err_set(err, ERR_UNAVAILABLE, "the key is away");
	return key->real.sign(key->real.arg, text, out, err);
}

START_TEST(audit_sync_fails_and_recovers_when_the_signer_is_away)
{
	struct remote_key key = {.calls = 0};
	struct audit_signer signer = {.sign = sign_remotely, .arg = &key};
	struct audit_options options = {
	    .directory = dir, .origin = ORIGIN, .signer = &signer};
	char path[160];
	struct err err = ERR_INIT;
	struct audit_log *log;

	(void)snprintf(path, sizeof(path), "%s.key", dir);
	ck_assert_int_eq(audit_key_create(path, &err), 0);
	ck_assert_int_eq(audit_key_open(path, &key.real, &err), 0);
	memcpy(signer.public_key, key.real.public_key, sizeof(signer.public_key));
	ck_assert_msg(audit_open(&options, &log, &err) == 0, "%s", err.msg);
	ck_assert(!exists(in(dir, "key")));
	add_lines(log, 0, 2);
	key.down = true;
	ck_assert_int_eq(audit_append(log, STR("{\"lost\":1}"), &err), 0);
	ck_assert_int_eq(audit_sync(log, &err), ERR_UNAVAILABLE);
	ck_assert_uint_eq(audit_size(log), 2);
	ck_assert_int_eq(file_size(in(dir, "log-0.jsonl")), 2 * LINE_BYTES);
	expect_intact(dir, 2, 2);
	key.down = false;
	add_lines(log, 2, 3);
	audit_close(log);
	expect_intact(dir, 3, 3);
	ck_assert_uint_eq(key.calls, 4); /* open, two syncs, and the one that failed */
	audit_key_close(&key.real);
}
END_TEST

/* ---- checkpoints at intervals ---- */

START_TEST(audit_sync_signs_later_when_there_is_an_interval)
{
	struct audit_log *log = must_open(dir, 0, 3600 * 1000);

	add_lines(log, 0, 2);
	ck_assert_int_eq(audit_sync(log, NULL), 0);
	expect_intact(dir, 2, 0);
	audit_close(log); /* signs */
	expect_intact(dir, 2, 2);
}
END_TEST

START_TEST(audit_sync_signs_when_the_interval_is_over)
{
	struct audit_log *log = must_open(dir, 0, 20);
	monotime_t start = monotime_now();
	struct audit_report report;

	add_lines(log, 0, 2);
	do {
		ck_assert_int_eq(audit_sync(log, NULL), 0);
		ck_assert_int_eq(verify(dir, NULL, NULL, &report), AUDIT_INTACT);
	} while (report.covered != 2 &&
		 monotime_since(start, monotime_now()) < UINT64_C(20) * 1000000000);
	ck_assert_uint_eq(report.covered, 2);
	audit_close(log);
}
END_TEST

static TCase *
writer_case(void)
{
	TCase *tc = tcase_create("writer");

	tcase_add_test(tc, audit_open_makes_a_new_log);
	tcase_add_test(tc, audit_sync_writes_bare_lines_and_signs_them);
	tcase_add_test(tc, audit_close_forgets_what_was_not_synced);
	tcase_add_loop_test(
	    tc, audit_append_takes_one_object_on_one_line, 0, ARRAY_LEN(lines));
	tcase_add_test(tc, audit_append_takes_deep_lines_up_to_a_limit);
	tcase_add_test(tc, audit_append_limits_lines_and_what_waits);
	tcase_add_test(tc, audit_open_goes_on_where_it_ended);
	tcase_add_test(tc, audit_open_keeps_a_second_writer_out);
	tcase_add_test(tc, audit_sync_begins_a_segment_when_one_is_full);
	tcase_add_test(
	    tc, audit_sync_keeps_a_batch_together_when_it_is_larger_than_a_segment);
	tcase_add_test(tc, audit_sync_fails_when_the_next_segment_is_there_already);
	tcase_add_test(tc, audit_sync_works_when_confined);
	tcase_add_test(tc, audit_sync_fails_and_recovers_when_the_signer_is_away);
	tcase_add_test(tc, audit_sync_signs_later_when_there_is_an_interval);
	tcase_add_test(tc, audit_sync_signs_when_the_interval_is_over);
	return tc;
}

int
main(void)
{
	Suite *suite = suite_create("audit");
	TCase *tc = writer_case();
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_unchecked_fixture(tc, setup_base, teardown_base);
	tcase_add_checked_fixture(tc, setup_dir, NULL);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
