/*
 * What the tests of the audit log share: a directory that goes away whatever happens (the
 * fixtures are unchecked: they run in the process that outlives the tests), and small
 * tools on files. Each test works in a directory of its own below it.
 */
#ifndef TESTS_UNIT_COMMON_AUDIT_FIXTURE_H
#define TESTS_UNIT_COMMON_AUDIT_FIXTURE_H

#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/audit.h"

#define ORIGIN "gate.example/audit"

static char base[64];
static char dir[128];

static int UNUSED
remove_one(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path);
}

static void UNUSED
remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void UNUSED
setup_base(void)
{
	(void)snprintf(base, sizeof(base), "/tmp/check_audit.XXXXXX");
	if (mkdtemp(base) == NULL)
		abort();
}

static void UNUSED
teardown_base(void)
{
	remove_tree(base);
}

/* Before each test, in a process of its own or not: a name that nobody has used. */
static void UNUSED
setup_dir(void)
{
	static unsigned tests;

	(void)snprintf(dir, sizeof(dir), "%s/%d-%u", base, (int)getpid(), tests++);
}

/* "<directory>/name"; good until the third call from now. */
static const char *UNUSED
in(const char *directory, const char *name)
{
	static char paths[4][512];
	static unsigned next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s", directory, name);
	return path;
}

static struct buf UNUSED
slurp(const char *path)
{
	struct buf b = {0};
	char chunk[4096];
	FILE *f = fopen(path, "re");
	size_t n;

	ck_assert_msg(f != NULL, "%s", path);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) > 0)
		buf_add(&b, chunk, n);
	fclose(f);
	return b;
}

static void UNUSED
spit(const char *path, const void *data, size_t len)
{
	FILE *f = fopen(path, "we");

	ck_assert_msg(f != NULL, "%s", path);
	ck_assert_uint_eq(fwrite(data, 1, len, f), len);
	ck_assert_int_eq(fclose(f), 0);
}

static bool UNUSED
exists(const char *path)
{
	return access(path, F_OK) == 0;
}

static off_t UNUSED
file_size(const char *path)
{
	struct stat st;

	ck_assert_msg(stat(path, &st) == 0, "%s", path);
	return st.st_size;
}

static void UNUSED
copy_file(const char *from, const char *to)
{
	struct buf b = slurp(from);
	struct stat st;

	spit(to, b.data, b.len);
	ck_assert_int_eq(stat(from, &st), 0);
	ck_assert_int_eq(chmod(to, st.st_mode & 07777), 0);
	buf_free(&b);
}

static void UNUSED
copy_dir(const char *from, const char *to)
{
	DIR *d = opendir(from);
	struct dirent *entry;

	ck_assert_ptr_nonnull(d);
	ck_assert_int_eq(mkdir(to, 0700), 0);
	while ((entry = readdir(d)) != NULL)
		if (entry->d_name[0] != '.')
			copy_file(in(from, entry->d_name), in(to, entry->d_name));
	closedir(d);
}

static struct audit_log *UNUSED
must_open(const char *directory, uint64_t segment_bytes, unsigned interval_ms)
{
	struct audit_options options = {.directory = directory,
	    .origin = ORIGIN,
	    .segment_bytes = segment_bytes,
	    .checkpoint_interval_ms = interval_ms};
	struct err err = ERR_INIT;
	struct audit_log *log;

	ck_assert_msg(audit_open(&options, &log, &err) == 0, "%s", err.msg);
	return log;
}

static int UNUSED
try_open(const char *directory, struct err *err)
{
	struct audit_options options = {.directory = directory, .origin = ORIGIN};
	struct audit_log *log = NULL;
	int rc = audit_open(&options, &log, err);

	ck_assert((rc == 0) == (log != NULL));
	audit_close(log);
	return rc;
}

/* Appends {"n":from} ... {"n":to - 1} and syncs. */
static void UNUSED
add_lines(struct audit_log *log, unsigned from, unsigned to)
{
	struct err err = ERR_INIT;

	for (unsigned n = from; n < to; n++) {
		char line[32];

		(void)snprintf(line, sizeof(line), "{\"n\":%u}", n);
		ck_assert_msg(
		    audit_append(log, str_from(line), &err) == 0, "%s", err.msg);
	}
	ck_assert_msg(audit_sync(log, &err) == 0, "%s", err.msg);
}

/* For audit_read: add_lines' lines, in order from 0. */
static bool UNUSED
check_order(void *arg, uint64_t index, struct str line)
{
	unsigned *seen = arg;
	char expected[32];

	ck_assert_uint_eq(index, *seen);
	(void)snprintf(expected, sizeof(expected), "{\"n\":%u}", (*seen)++);
	ck_assert(str_is(line, expected));
	return true;
}

/* A line of `len` bytes. */
static struct buf UNUSED
long_line(size_t len)
{
	struct buf b = {0};

	buf_add_cstr(&b, "{\"a\":\"");
	while (b.len < len - 2)
		buf_add_char(&b, 'x');
	buf_add_cstr(&b, "\"}");
	return b;
}

/* The verdict, with the report and the problem in static memory. */
static enum audit_verdict UNUSED
verify(const char *directory, const char *key, const char *checkpoint,
    struct audit_report *report)
{
	static char problem[1024];
	struct arena *arena = arena_new();
	enum audit_verdict verdict =
	    audit_verify(arena, directory, key, checkpoint, report);

	ck_assert((verdict == AUDIT_INTACT) == (report->problem == NULL));
	if (report->problem != NULL) {
		(void)snprintf(problem, sizeof(problem), "%s", report->problem);
		report->problem = problem;
	}
	arena_free(arena);
	return verdict;
}

static void UNUSED
expect_intact(const char *directory, uint64_t lines, uint64_t covered)
{
	struct audit_report report;

	ck_assert_msg(verify(directory, NULL, NULL, &report) == AUDIT_INTACT, "%s",
	    report.problem);
	ck_assert_uint_eq(report.lines, lines);
	ck_assert_uint_eq(report.covered, covered);
}

#endif
