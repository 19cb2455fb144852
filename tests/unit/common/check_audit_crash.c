/*
 * common/audit: how the writer starts again after a crash, and goes on after a failure.
 */
#include "audit_fixture.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "common/audit_key.h"

/* ---- starting again after a crash ---- */

/* Three lines that are signed and three that are not, as a killed writer leaves them. */
static void
make_crashed(uint64_t segment_bytes)
{
	struct audit_log *log = must_open(dir, segment_bytes, 0);
	int status;
	pid_t pid;

	add_lines(log, 0, 3);
	audit_close(log);
	pid = fork();
	if (pid == 0) {
		log = must_open(dir, segment_bytes, 3600 * 1000);
		add_lines(log, 3, 6);
		_exit(0); /* no audit_close */
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	expect_intact(dir, 6, 3);
}

#define LINE_BYTES 8 /* {"n":0} and a newline */

START_TEST(audit_open_recovers_when_cut_at_any_byte)
{
	make_crashed(0);
	for (off_t at = 0; at <= 6 * LINE_BYTES; at++) {
		uint64_t whole = (uint64_t)at / LINE_BYTES;
		char copy[160];
		struct err err = ERR_INIT;
		struct buf before, after;
		int rc;

		(void)snprintf(copy, sizeof(copy), "%s.%d", dir, (int)at);
		copy_dir(dir, copy);
		ck_assert_int_eq(truncate(in(copy, "log-0.jsonl"), at), 0);
		before = slurp(in(copy, "log-0.jsonl"));
		rc = try_open(copy, &err);
		after = slurp(in(copy, "log-0.jsonl"));
		if (whole < 3) {
			ck_assert_msg(rc == ERR_INVALID, "byte %d: %d", (int)at, rc);
			ck_assert(str_eq(buf_str(&before), buf_str(&after)));
		} else {
			ck_assert_msg(rc == 0, "byte %d: %s", (int)at, err.msg);
			ck_assert_uint_eq(after.len, whole * LINE_BYTES);
			expect_intact(copy, whole, whole);
		}
		buf_free(&before);
		buf_free(&after);
		remove_tree(copy);
	}
}
END_TEST

/* The fourth to sixth line are in log-1 and log-2, of which the last may be cut. */
START_TEST(audit_open_recovers_when_the_last_segment_is_cut)
{
	make_crashed(LINE_BYTES * 2);
	ck_assert(exists(in(dir, "log-1.jsonl")));
	ck_assert(!exists(in(dir, "log-2.jsonl")));
	ck_assert_int_eq(truncate(in(dir, "log-1.jsonl"), 5), 0);
	ck_assert_int_eq(try_open(dir, NULL), 0);
	ck_assert_int_eq(file_size(in(dir, "log-1.jsonl")), 0);
	expect_intact(dir, 3, 3);
}
END_TEST

static const struct str tails[] = {
    {"{\"n\":", 5}, {"\0\0\0\0\0\0\0\0", 8}, {"\0\0\n\0\0\n", 6}, {"garbage\n", 8},
    {"\n", 1},
    {"garbage\n{\"n\":7}\n", 16}, /* never synced: nothing behind garbage was */
};

START_TEST(audit_open_cuts_what_is_no_line_behind_the_signed_ones)
{
	struct audit_log *log = must_open(dir, 0, 0);
	struct buf b;

	add_lines(log, 0, 3);
	audit_close(log);
	b = slurp(in(dir, "log-0.jsonl"));
	buf_add_str(&b, tails[_i]);
	spit(in(dir, "log-0.jsonl"), b.data, b.len);
	buf_free(&b);
	log = must_open(dir, 0, 0);
	ck_assert_int_eq(file_size(in(dir, "log-0.jsonl")), 3 * LINE_BYTES);
	add_lines(log, 3, 4);
	audit_close(log);
	expect_intact(dir, 4, 4);
}
END_TEST

START_TEST(audit_open_cuts_an_endless_tail)
{
	struct audit_log *log = must_open(dir, 0, 0);

	add_lines(log, 0, 3);
	audit_close(log);
	ck_assert_int_eq(truncate(in(dir, "log-0.jsonl"), 5000000), 0); /* zeros */
	expect_intact(dir, 3, 3);
	ck_assert_int_eq(try_open(dir, NULL), 0);
	ck_assert_int_eq(file_size(in(dir, "log-0.jsonl")), 3 * LINE_BYTES);
}
END_TEST

struct breakage {
	const char *what;
	const char *remove; /* a file that is gone */
	const char *file;   /* whose byte is changed */
	off_t at;
	int rc;
	const char *message;
};

static const struct breakage breakages[] = {
    {"nothing", NULL, NULL, 0, 0, NULL},
    {"a signed line", NULL, "log-0.jsonl", 5, ERR_INVALID,
	"not those that were signed"},
    {"a newline", NULL, "log-0.jsonl", 7, ERR_INVALID, NULL},
    {"the size", NULL, "checkpoint", 19, ERR_INVALID, "does not fit"},
    {"the signature", NULL, "checkpoint", 120, ERR_INVALID, "checkpoint"},
    {"the public key", NULL, "key.pub", 40, ERR_INVALID, "key.pub"},
    {"no checkpoint", "checkpoint", NULL, 0, ERR_INVALID, "checkpoint that signs them"},
    {"no key", "key", NULL, 0, ERR_NOT_FOUND, "there is no key"},
    {"no segment", "log-0.jsonl", NULL, 0, ERR_INVALID, "log-0.jsonl is missing"},
    {"no last segment", "log-2.jsonl", NULL, 0, ERR_INVALID, "are gone"},
    {"no middle segment", "log-1.jsonl", NULL, 0, ERR_INVALID,
	"log-1.jsonl is missing"},
    {"no public key", "key.pub", NULL, 0, 0, NULL},
};

static void
flip_byte(const char *path, off_t at)
{
	struct buf b = slurp(path);

	ck_assert_int_lt(at, (off_t)b.len);
	b.data[at] ^= 1;
	spit(path, b.data, b.len);
	buf_free(&b);
}

START_TEST(audit_open_refuses_when_what_was_signed_is_not_there)
{
	const struct breakage *b = &breakages[_i];
	struct audit_log *log = must_open(dir, 2 * LINE_BYTES, 0);
	struct err err = ERR_INIT;
	int rc;

	for (unsigned n = 0; n < 6; n++)
		add_lines(log, n, n + 1);
	audit_close(log);
	if (b->remove != NULL)
		ck_assert_int_eq(unlink(in(dir, b->remove)), 0);
	if (b->file != NULL)
		flip_byte(in(dir, b->file), b->at);
	rc = try_open(dir, &err);
	ck_assert_msg(rc == b->rc, "%s: %d %s", b->what, rc, err.msg);
	if (b->message != NULL)
		ck_assert_msg(
		    strstr(err.msg, b->message) != NULL, "%s: %s", b->what, err.msg);
	if (rc == 0)
		expect_intact(dir, 6, 6);
}
END_TEST

START_TEST(audit_open_refuses_another_key_or_origin)
{
	struct audit_options options = {.directory = dir, .origin = ORIGIN};
	struct audit_log *log = must_open(dir, 0, 0);
	struct err err = ERR_INIT;

	add_lines(log, 0, 1);
	audit_close(log);
	options.origin = "other.example/audit";
	ck_assert_int_eq(audit_open(&options, &log, &err), ERR_INVALID);
	options.origin = "not a name";
	ck_assert_int_eq(audit_open(&options, &log, &err), ERR_INVALID);
	options.origin = ORIGIN;
	options.key_path = in(base, "another");
	ck_assert_int_eq(
	    audit_open(&options, &log, &err), ERR_NOT_FOUND); /* not made anew */
	ck_assert_int_eq(audit_key_create(options.key_path, &err), 0);
	ck_assert_int_eq(audit_open(&options, &log, &err), ERR_INVALID);
	ck_assert_ptr_nonnull(strstr(err.msg, "another key"));
	ck_assert_int_eq(audit_key_create(options.key_path, &err), ERR_EXISTS);
	ck_assert_int_eq(chmod(in(dir, "key"), 0640), 0);
	ck_assert_int_eq(try_open(dir, &err), ERR_DENIED);
	spit(in(dir, "key"), "no key\n", 7);
	ck_assert_int_eq(chmod(in(dir, "key"), 0600), 0);
	ck_assert_int_eq(try_open(dir, &err), ERR_INVALID);
	ck_assert_int_eq(unlink(options.key_path), 0);
}
END_TEST

/* ---- a disk that is full ---- */

static int
append_filled(struct audit_log *log, size_t len, struct err *err)
{
	struct buf b = long_line(len);
	int rc = audit_append(log, buf_str(&b), err);

	buf_free(&b);
	return rc;
}

/* RLIMIT_FSIZE stands for the disk: it needs no privilege. */
START_TEST(audit_sync_cuts_back_and_recovers_when_the_file_cannot_grow)
{
	struct audit_log *log = must_open(dir, 0, 0);
	struct rlimit limit = {8192, RLIM_INFINITY};
	struct err err = ERR_INIT;
	uint8_t before[32], after[32];

	(void)signal(SIGXFSZ, SIG_IGN);
	add_lines(log, 0, 3);
	audit_root(log, before);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (int round = 0; round < 3; round++) {
		ck_assert_int_eq(audit_append(log, STR("{\"lost\":1}"), &err), 0);
		ck_assert_int_eq(append_filled(log, 9000, &err), 0);
		ck_assert_int_eq(audit_sync(log, &err), ERR_SYSTEM);
		ck_assert_int_eq(err.sys, EFBIG);
		ck_assert_uint_eq(audit_size(log), 3);
		ck_assert_int_eq(file_size(in(dir, "log-0.jsonl")), 3 * LINE_BYTES);
		audit_root(log, after);
		ck_assert_mem_eq(before, after, 32);
		expect_intact(dir, 3, 3);
	}
	add_lines(log, 3, 4); /* what fits still goes in */
	limit.rlim_cur = RLIM_INFINITY;
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_int_eq(append_filled(log, 9000, &err), 0);
	ck_assert_int_eq(audit_sync(log, &err), 0);
	audit_close(log);
	expect_intact(dir, 5, 5);
	ck_assert_int_eq(try_open(dir, &err), 0);
}
END_TEST

/* Writes until the file system is full; how much is left is less than a page. */
static void
fill_disk(const char *path)
{
	static const char page[4096];
	int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	while (write(fd, page, sizeof(page)) > 0)
		;
	ck_assert_int_eq(errno, ENOSPC);
	close(fd);
}

/* A tmpfs of its own in a mount namespace of its own: it ends with this process. */
START_TEST(audit_sync_cuts_back_and_recovers_when_the_disk_is_full)
{
	struct err err = ERR_INIT;
	struct audit_log *log;
	char mounted[160];

	if (geteuid() != 0 || unshare(CLONE_NEWNS) != 0) {
		printf("not root: a full disk is not tested\n");
		return;
	}
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	ck_assert_int_eq(mkdir(dir, 0700), 0);
	ck_assert_int_eq(mount("tmpfs", dir, "tmpfs", 0, "size=256k"), 0);
	(void)snprintf(mounted, sizeof(mounted), "%s/audit", dir);
	log = must_open(mounted, 0, 0);
	add_lines(log, 0, 3);
	for (int round = 0; round < 3; round++) {
		fill_disk(in(dir, "filler"));
		/* This one fits into the last page of the segment; its checkpoint has no
		 * room. */
		ck_assert_int_eq(audit_append(log, STR("{\"lost\":1}"), &err), 0);
		ck_assert_int_eq(audit_sync(log, &err), ERR_SYSTEM);
		ck_assert_int_eq(err.sys, ENOSPC);
		ck_assert_uint_eq(audit_size(log), 3 + (unsigned)round);
		expect_intact(mounted, 3 + (unsigned)round, 3 + (unsigned)round);
		/* This one has no room itself. */
		ck_assert_int_eq(append_filled(log, 20000, &err), 0);
		ck_assert_int_eq(audit_sync(log, &err), ERR_SYSTEM);
		ck_assert_int_eq(err.sys, ENOSPC);
		expect_intact(mounted, 3 + (unsigned)round, 3 + (unsigned)round);
		ck_assert_int_eq(unlink(in(dir, "filler")), 0);
		add_lines(log, 3 + (unsigned)round, 4 + (unsigned)round);
	}
	audit_close(log);
	expect_intact(mounted, 6, 6);
	ck_assert_int_eq(try_open(mounted, &err), 0);
}
END_TEST

/* ---- kill -9 ---- */

/* Says after each sync how many lines are safe. */
static void
write_until_killed(unsigned from, int out)
{
	struct audit_log *log = must_open(dir, 200, from % 2 == 0 ? 0 : 5);

	for (unsigned n = from;; n += 3) {
		unsigned safe = n + 3;

		add_lines(log, n, safe);
		if (write(out, &safe, sizeof(safe)) != sizeof(safe))
			_exit(1);
	}
}

START_TEST(audit_open_has_every_acknowledged_line_when_the_writer_was_killed)
{
	unsigned size = 0;

	for (unsigned round = 0; round < 30; round++) {
		struct audit_report report;
		unsigned safe = 0;
		struct audit_log *log;
		int fds[2];
		pid_t pid;

		ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
		pid = fork();
		if (pid == 0) {
			close(fds[0]);
			write_until_killed(size, fds[1]);
		}
		close(fds[1]);
		for (unsigned acks = 0; acks <= round % 5; acks++)
			ck_assert_int_eq(
			    read(fds[0], &safe, sizeof(safe)), sizeof(safe));
		ck_assert_int_eq(kill(pid, SIGKILL), 0);
		ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
		while (read(fds[0], &safe, sizeof(safe)) == sizeof(safe))
			; /* acknowledged before it died */
		close(fds[0]);
		ck_assert_msg(verify(dir, NULL, NULL, &report) == AUDIT_INTACT, "%s",
		    report.problem);
		ck_assert_uint_ge(report.lines, safe);
		log = must_open(dir, 200, 0);
		ck_assert_uint_ge(audit_size(log), safe);
		size = (unsigned)audit_size(log);
		audit_close(log);
		expect_intact(dir, size, size);
	}
	unsigned seen = 0;
	ck_assert_int_eq(audit_read(dir, check_order, &seen, NULL), 0);
	ck_assert_uint_eq(seen, size);
}
END_TEST

static TCase *
failure_case(void)
{
	TCase *tc = tcase_create("failure");

	tcase_add_test(tc, audit_open_recovers_when_cut_at_any_byte);
	tcase_add_test(tc, audit_open_recovers_when_the_last_segment_is_cut);
	tcase_add_loop_test(tc, audit_open_cuts_what_is_no_line_behind_the_signed_ones,
	    0, ARRAY_LEN(tails));
	tcase_add_test(tc, audit_open_cuts_an_endless_tail);
	tcase_add_loop_test(tc, audit_open_refuses_when_what_was_signed_is_not_there, 0,
	    ARRAY_LEN(breakages));
	tcase_add_test(tc, audit_open_refuses_another_key_or_origin);
	tcase_add_test(tc, audit_sync_cuts_back_and_recovers_when_the_file_cannot_grow);
	tcase_add_test(tc, audit_sync_cuts_back_and_recovers_when_the_disk_is_full);
	tcase_add_test(
	    tc, audit_open_has_every_acknowledged_line_when_the_writer_was_killed);
	return tc;
}

int
main(void)
{
	Suite *suite = suite_create("audit_crash");
	TCase *tc = failure_case();
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
