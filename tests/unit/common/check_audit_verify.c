/*
 * common/audit: what a reviewer finds out, and what not.
 */
#include "audit_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include "common/audit_key.h"
#include "common/audit_note.h"
#include "common/limits.h"

#define COUNT 10 /* lines of the log below, 4 to a segment: 4, 4, 2 */

static void
make_log(void)
{
	struct audit_log *log = must_open(dir, 32, 0);

	for (unsigned n = 0; n < COUNT; n++)
		add_lines(log, n, n + 1);
	audit_close(log);
	ck_assert(exists(in(dir, "log-2.jsonl")));
	ck_assert(!exists(in(dir, "log-3.jsonl")));
	expect_intact(dir, COUNT, COUNT);
}

/* ---- tampering ---- */

static void
rewrite(const char *name, const char *text)
{
	spit(in(dir, name), text, strlen(text));
}

static void
edit_line(void)
{
	rewrite("log-0.jsonl", "{\"n\":0}\n{\"n\":9}\n{\"n\":2}\n{\"n\":3}\n");
}

static void
delete_line(void)
{
	rewrite("log-0.jsonl", "{\"n\":0}\n{\"n\":2}\n{\"n\":3}\n");
}

static void
delete_first_line(void)
{
	rewrite("log-0.jsonl", "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
}

static void
insert_line(void)
{
	rewrite(
	    "log-0.jsonl", "{\"n\":0}\n{\"x\":0}\n{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
}

static void
insert_empty_line(void)
{
	rewrite("log-0.jsonl", "{\"n\":0}\n\n{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
}

static void
double_line(void)
{
	rewrite(
	    "log-0.jsonl", "{\"n\":0}\n{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
}

static void
swap_lines(void)
{
	rewrite("log-0.jsonl", "{\"n\":0}\n{\"n\":2}\n{\"n\":1}\n{\"n\":3}\n");
}

static void
join_lines(void)
{
	rewrite("log-0.jsonl", "{\"n\":0}{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n");
}

static void
tear_middle_segment(void)
{
	ck_assert_int_eq(truncate(in(dir, "log-1.jsonl"), 31), 0);
}

static void
swap_segments(void)
{
	ck_assert_int_eq(rename(in(dir, "log-0.jsonl"), in(dir, "x")), 0);
	ck_assert_int_eq(rename(in(dir, "log-1.jsonl"), in(dir, "log-0.jsonl")), 0);
	ck_assert_int_eq(rename(in(dir, "x"), in(dir, "log-1.jsonl")), 0);
}

static void
delete_first_segment(void)
{
	ck_assert_int_eq(unlink(in(dir, "log-0.jsonl")), 0);
}

static void
delete_middle_segment(void)
{
	ck_assert_int_eq(unlink(in(dir, "log-1.jsonl")), 0);
}

static void
delete_last_segment(void)
{
	ck_assert_int_eq(unlink(in(dir, "log-2.jsonl")), 0);
}

static void
delete_all_segments(void)
{
	delete_first_segment();
	delete_middle_segment();
	delete_last_segment();
}

static void
cut_last_line(void)
{
	ck_assert_int_eq(truncate(in(dir, "log-2.jsonl"), 8), 0);
}

static void
cut_last_newline(void)
{
	ck_assert_int_eq(truncate(in(dir, "log-2.jsonl"), 15), 0);
}

static void
lower_checkpoint(void)
{
	struct buf b = slurp(in(dir, "checkpoint"));

	ck_assert_mem_eq(b.data + strlen(ORIGIN) + 1, "10\n", 3);
	b.data[strlen(ORIGIN) + 2] = '1';
	spit(in(dir, "checkpoint"), b.data, b.len);
	buf_free(&b);
}

static void
empty_checkpoint(void)
{
	rewrite("checkpoint", "");
}

static void
empty_key(void)
{
	rewrite("key.pub", "");
}

static void
delete_checkpoint(void)
{
	ck_assert_int_eq(unlink(in(dir, "checkpoint")), 0);
}

static void
delete_key(void)
{
	ck_assert_int_eq(unlink(in(dir, "key.pub")), 0);
}

/* Everything signed anew by somebody else, but for the public key. */
static void
sign_with_another_key(void)
{
	struct audit_key key;
	struct audit_signer signer;
	struct audit_log *log;
	struct buf public_key = slurp(in(dir, "key.pub"));

	remove_tree(dir);
	log = must_open(dir, 0, 0);
	add_lines(log, 0, COUNT);
	audit_close(log);
	ck_assert_int_eq(audit_key_open(in(dir, "key"), &signer, NULL), 0);
	ck_assert_int_eq(audit_key_parse(&key, buf_str(&public_key), NULL), 0);
	ck_assert_mem_ne(key.public_key, signer.public_key, 32);
	audit_key_close(&signer);
	spit(in(dir, "key.pub"), public_key.data, public_key.len);
	buf_free(&public_key);
}

static void
segment_is_a_fifo(void)
{
	delete_middle_segment();
	ck_assert_int_eq(mkfifo(in(dir, "log-1.jsonl"), 0600), 0);
}

static void
add_strangers(void)
{
	rewrite("log-00.jsonl", "x\n");
	rewrite("log-.jsonl", "x\n");
	rewrite("log-1.jsonl.bak", "x\n");
	rewrite("notes.txt", "x\n");
}

static void
add_unsigned_line(void)
{
	rewrite("log-3.jsonl", "{\"n\":10}\n");
}

static void
add_torn_line(void)
{
	rewrite("log-3.jsonl", "{\"n\":10");
}

static void
change_nothing(void)
{
}

struct tampering {
	const char *what;
	void (*tamper)(void);
	enum audit_verdict verdict;
	const char *problem;
};

static const struct tampering tamperings[] = {
    {"nothing", change_nothing, AUDIT_INTACT, NULL},
    {"edit a line", edit_line, AUDIT_BROKEN, "first 10 lines are not those"},
    {"delete a line", delete_line, AUDIT_BROKEN, "cut off"},
    {"delete the first line", delete_first_line, AUDIT_BROKEN, "cut off"},
    {"insert a line", insert_line, AUDIT_BROKEN, "not those"},
    {"insert an empty line", insert_empty_line, AUDIT_BROKEN, "not those"},
    {"double a line", double_line, AUDIT_BROKEN, "not those"},
    {"swap lines", swap_lines, AUDIT_BROKEN, "not those"},
    {"join lines", join_lines, AUDIT_BROKEN, "cut off"},
    {"tear a middle segment", tear_middle_segment, AUDIT_BROKEN, "within a line"},
    {"swap segments", swap_segments, AUDIT_BROKEN, "not those"},
    {"delete the first segment", delete_first_segment, AUDIT_BROKEN,
	"log-0.jsonl is missing"},
    {"delete a segment", delete_middle_segment, AUDIT_BROKEN, "log-1.jsonl is missing"},
    {"delete the last segment", delete_last_segment, AUDIT_BROKEN,
	"10 lines were signed and 8"},
    {"delete all segments", delete_all_segments, AUDIT_BROKEN,
	"10 lines were signed and 0"},
    {"cut the last line", cut_last_line, AUDIT_BROKEN, "10 lines were signed and 9"},
    {"cut the last newline", cut_last_newline, AUDIT_BROKEN,
	"10 lines were signed and 9"},
    {"change the checkpoint", lower_checkpoint, AUDIT_BROKEN, "does not fit"},
    {"empty the checkpoint", empty_checkpoint, AUDIT_BROKEN, "not a signed note"},
    {"sign with another key", sign_with_another_key, AUDIT_BROKEN,
	"not signed by the key"},
    {"a segment that is a FIFO", segment_is_a_fifo, AUDIT_BROKEN, "not a regular file"},
    {"empty the key", empty_key, AUDIT_CANNOT_TELL, "cannot read the key"},
    {"delete the key", delete_key, AUDIT_CANNOT_TELL, "cannot read the key"},
    {"delete the checkpoint", delete_checkpoint, AUDIT_CANNOT_TELL, "no checkpoint"},
    {"files of others", add_strangers, AUDIT_INTACT, NULL},
    {"an unsigned line at the end", add_unsigned_line, AUDIT_INTACT, NULL},
    {"a torn line at the end", add_torn_line, AUDIT_INTACT, NULL},
};

START_TEST(audit_verify_judges_tampering)
{
	const struct tampering *t = &tamperings[_i];
	struct audit_report report;
	enum audit_verdict verdict;

	make_log();
	t->tamper();
	verdict = verify(dir, NULL, NULL, &report);
	ck_assert_msg(
	    verdict == t->verdict, "%s: %d %s", t->what, (int)verdict, report.problem);
	if (t->problem != NULL)
		ck_assert_msg(strstr(report.problem, t->problem) != NULL, "%s: %s",
		    t->what, report.problem);
}
END_TEST

START_TEST(audit_verify_counts_what_is_there_and_what_is_signed)
{
	make_log();
	add_unsigned_line();
	expect_intact(dir, COUNT + 1, COUNT);
	add_torn_line();
	expect_intact(dir, COUNT, COUNT);
}
END_TEST

START_TEST(audit_verify_finds_every_changed_byte)
{
	make_log();
	for (unsigned segment = 0; segment < 3; segment++) {
		struct audit_report report;
		char path[160];
		struct buf b;

		(void)snprintf(path, sizeof(path), "%s/log-%u.jsonl", dir, segment);
		b = slurp(path);
		for (size_t i = 0; i < b.len; i++) {
			b.data[i] ^= 1;
			spit(path, b.data, b.len);
			ck_assert_msg(verify(dir, NULL, NULL, &report) == AUDIT_BROKEN,
			    "segment %u byte %zu", segment, i);
			b.data[i] ^= 1;
		}
		spit(path, b.data, b.len);
		buf_free(&b);
	}
	expect_intact(dir, COUNT, COUNT);
}
END_TEST

/* ---- checkpoints and keys kept elsewhere ---- */

struct elsewhere {
	char key[160];
	char old[160]; /* checkpoint after 5 lines */
	char new[160]; /* after 10 */
};

static struct elsewhere
keep_elsewhere(void)
{
	struct audit_log *log = must_open(dir, 32, 0);
	struct elsewhere e;

	(void)snprintf(e.key, sizeof(e.key), "%s.key", dir);
	(void)snprintf(e.old, sizeof(e.old), "%s.old", dir);
	(void)snprintf(e.new, sizeof(e.new), "%s.new", dir);
	add_lines(log, 0, 5);
	copy_file(in(dir, "checkpoint"), e.old);
	add_lines(log, 5, 10);
	copy_file(in(dir, "checkpoint"), e.new);
	copy_file(in(dir, "key.pub"), e.key);
	audit_close(log);
	return e;
}

START_TEST(audit_verify_accepts_an_older_checkpoint)
{
	struct elsewhere e = keep_elsewhere();
	struct audit_report report;

	ck_assert_int_eq(verify(dir, e.key, e.old, &report), AUDIT_INTACT);
	ck_assert_uint_eq(report.lines, 10);
	ck_assert_uint_eq(report.covered, 10);
	delete_checkpoint();
	ck_assert_int_eq(verify(dir, e.key, e.old, &report), AUDIT_INTACT);
	ck_assert_uint_eq(report.covered, 5);
	delete_key();
	ck_assert_int_eq(verify(dir, e.key, e.new, &report), AUDIT_INTACT);
	ck_assert_uint_eq(report.covered, 10);
}
END_TEST

START_TEST(audit_verify_finds_a_cut_tail_only_with_a_checkpoint_from_elsewhere)
{
	struct elsewhere e = keep_elsewhere();
	struct audit_report report;

	/* As somebody would who has the directory: back to the fifth line. */
	copy_file(e.old, in(dir, "checkpoint"));
	rewrite(
	    "log-0.jsonl", "{\"n\":0}\n{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n");
	ck_assert_int_eq(unlink(in(dir, "log-1.jsonl")), 0);
	expect_intact(dir, 5, 5);
	ck_assert_int_eq(verify(dir, e.key, e.old, &report), AUDIT_INTACT);
	ck_assert_int_eq(verify(dir, e.key, e.new, &report), AUDIT_BROKEN);
	ck_assert_ptr_nonnull(strstr(report.problem, "10 lines were signed and 5"));
}
END_TEST

START_TEST(audit_verify_finds_a_forged_log_only_with_what_is_elsewhere)
{
	struct elsewhere e = keep_elsewhere();
	struct audit_report report;
	struct audit_log *log;

	remove_tree(dir);
	log = must_open(dir, 0, 0);
	add_lines(log, 1, 20);
	audit_close(log);
	expect_intact(dir, 19, 19);
	ck_assert_int_eq(verify(dir, e.key, NULL, &report), AUDIT_BROKEN);
	ck_assert_int_eq(verify(dir, e.key, e.new, &report), AUDIT_BROKEN);
	ck_assert_int_eq(verify(dir, NULL, e.new, &report), AUDIT_BROKEN);
}
END_TEST

START_TEST(audit_verify_finds_a_change_before_an_older_checkpoint)
{
	struct elsewhere e = keep_elsewhere();
	struct audit_report report;

	delete_checkpoint();
	edit_line();
	ck_assert_int_eq(verify(dir, e.key, e.old, &report), AUDIT_BROKEN);
	ck_assert_ptr_nonnull(strstr(report.problem, "first 5 lines"));
	ck_assert_ptr_nonnull(strstr(report.problem, e.old));
}
END_TEST

START_TEST(audit_verify_cannot_tell_when_something_is_missing)
{
	struct audit_report report;

	ck_assert_int_eq(verify(dir, NULL, NULL, &report), AUDIT_CANNOT_TELL);
	make_log();
	ck_assert_int_eq(
	    verify(dir, in(dir, "nothing"), NULL, &report), AUDIT_CANNOT_TELL);
	ck_assert_int_eq(
	    verify(dir, NULL, in(dir, "nothing"), &report), AUDIT_CANNOT_TELL);
	ck_assert_int_eq(
	    verify(in(dir, "key"), NULL, NULL, &report), AUDIT_CANNOT_TELL);
}
END_TEST

START_TEST(audit_verify_follows_links_to_what_is_elsewhere)
{
	struct elsewhere e = keep_elsewhere();
	struct audit_report report;
	char link[170];

	(void)snprintf(link, sizeof(link), "%s.link", e.key);
	ck_assert_int_eq(symlink(e.key, link), 0);
	ck_assert_int_eq(verify(dir, link, NULL, &report), AUDIT_INTACT);
}
END_TEST

/* ---- beside a writer ---- */

START_TEST(audit_verify_is_right_while_the_writer_writes)
{
	struct audit_report report;
	uint64_t last = 0;
	pid_t pid;

	make_log();
	pid = fork();
	if (pid == 0) {
		struct audit_log *log = must_open(dir, 64, 0);

		for (unsigned n = COUNT; n < 100000; n += 2)
			add_lines(log, n, n + 2);
		_exit(0);
	}
	for (int i = 0; i < 60; i++) {
		ck_assert_msg(verify(dir, NULL, NULL, &report) == AUDIT_INTACT, "%s",
		    report.problem);
		ck_assert_uint_ge(report.lines, report.covered);
		ck_assert_uint_ge(report.covered, last);
		last = report.covered;
	}
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
}
END_TEST

/* ---- reading ---- */

static bool
stop_at_three(void *arg, uint64_t index, struct str line)
{
	unsigned *seen = arg;

	(void)line;
	(*seen)++;
	return index < 2;
}

START_TEST(audit_read_gives_lines_in_order_until_told_to_stop)
{
	unsigned seen = 0;

	make_log();
	add_torn_line();
	ck_assert_int_eq(audit_read(dir, check_order, &seen, NULL), 0);
	ck_assert_uint_eq(seen, COUNT);
	seen = 0;
	ck_assert_int_eq(audit_read(dir, stop_at_three, &seen, NULL), 0);
	ck_assert_uint_eq(seen, 3);
}
END_TEST

struct lengths {
	size_t len[4];
	unsigned count;
};

static bool
note_length(void *arg, uint64_t index, struct str line)
{
	struct lengths *l = arg;

	ck_assert_uint_lt(index, 4);
	l->len[index] = line.len;
	l->count++;
	return true;
}

START_TEST(audit_read_takes_lines_of_1_MiB_and_no_longer)
{
	struct lengths seen = {.count = 0};
	struct err err = ERR_INIT;
	struct buf b = {0};
	struct buf line = long_line(LIMIT_AUDIT_LINE_BYTES);

	ck_assert_int_eq(mkdir(dir, 0700), 0);
	buf_add_cstr(&b, "{}\n");
	buf_add_str(&b, buf_str(&line));
	buf_add_cstr(&b, "\n{}\n");
	buf_add_str(&b, buf_str(&line));
	buf_add_cstr(&b, "x\n"); /* one byte more */
	spit(in(dir, "log-0.jsonl"), b.data, b.len);
	ck_assert_int_eq(audit_read(dir, note_length, &seen, &err), ERR_LIMIT);
	ck_assert_ptr_nonnull(strstr(err.msg, "line 4"));
	ck_assert_uint_eq(seen.count, 3);
	ck_assert_uint_eq(seen.len[0], 2);
	ck_assert_uint_eq(seen.len[1], LIMIT_AUDIT_LINE_BYTES);
	ck_assert_uint_eq(seen.len[2], 2);
	buf_free(&b);
	buf_free(&line);
}
END_TEST

START_TEST(audit_read_fails_when_a_segment_is_missing_or_torn)
{
	struct err err = ERR_INIT;
	unsigned seen = 0;

	make_log();
	tear_middle_segment();
	ck_assert_int_eq(audit_read(dir, check_order, &seen, &err), ERR_INVALID);
	ck_assert_uint_eq(seen, 7);
	delete_middle_segment();
	ck_assert_int_eq(audit_read(dir, check_order, &seen, &err), ERR_INVALID);
	remove_tree(dir);
	ck_assert_int_eq(audit_read(dir, check_order, &seen, &err), ERR_SYSTEM);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("audit_verify");
	TCase *tc = tcase_create("audit_verify");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_unchecked_fixture(tc, setup_base, teardown_base);
	tcase_add_checked_fixture(tc, setup_dir, NULL);
	tcase_add_loop_test(
	    tc, audit_verify_judges_tampering, 0, ARRAY_LEN(tamperings));
	tcase_add_test(tc, audit_verify_counts_what_is_there_and_what_is_signed);
	tcase_add_test(tc, audit_verify_finds_every_changed_byte);
	tcase_add_test(tc, audit_verify_accepts_an_older_checkpoint);
	tcase_add_test(
	    tc, audit_verify_finds_a_cut_tail_only_with_a_checkpoint_from_elsewhere);
	tcase_add_test(tc, audit_verify_finds_a_forged_log_only_with_what_is_elsewhere);
	tcase_add_test(tc, audit_verify_finds_a_change_before_an_older_checkpoint);
	tcase_add_test(tc, audit_verify_cannot_tell_when_something_is_missing);
	tcase_add_test(tc, audit_verify_follows_links_to_what_is_elsewhere);
	tcase_add_test(tc, audit_verify_is_right_while_the_writer_writes);
	tcase_add_test(tc, audit_read_gives_lines_in_order_until_told_to_stop);
	tcase_add_test(tc, audit_read_takes_lines_of_1_MiB_and_no_longer);
	tcase_add_test(tc, audit_read_fails_when_a_segment_is_missing_or_torn);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
