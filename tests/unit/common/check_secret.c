/*
 * common/secret.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/secret.h"

static char directory[64];
static char path[128];

static void
setup(void)
{
	(void)snprintf(directory, sizeof(directory), "/tmp/check_secret.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/file", directory);
}

static void
teardown(void)
{
	(void)unlink(path);
	(void)rmdir(path);
	(void)rmdir(directory);
}

static void
write_file(const void *data, size_t len, mode_t mode)
{
	int fd;

	(void)unlink(path); /* of the test before, perhaps read-only */
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, data, len), (ssize_t)len);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
}

/* A field such as "VmFlags:" of the mapping that holds `p`, from smaps. */
static void
mapping_field(const void *p, const char *field, char *out, size_t out_size)
{
	FILE *f = fopen("/proc/self/smaps", "re");
	char line[512];
	bool inside = false;

	ck_assert_ptr_nonnull(f);
	out[0] = '\0';
	while (fgets(line, sizeof(line), f) != NULL) {
		unsigned long from, to;

		if (sscanf(line, "%lx-%lx ", &from, &to) == 2)
			inside = (uintptr_t)p >= from && (uintptr_t)p < to;
		else if (inside && strncmp(line, field, strlen(field)) == 0)
			(void)snprintf(out, out_size, "%s", line + strlen(field));
	}
	fclose(f);
}

START_TEST(secret_set_copies_into_locked_undumped_memory)
{
	struct err err = ERR_INIT;
	struct secret s;
	char flags[512];

	ck_assert_int_eq(secret_set(&s, "hunter2", 7, &err), 0);
	ck_assert(str_is(secret_str(&s), "hunter2"));
	mapping_field(s.data, "VmFlags:", flags, sizeof(flags));
	ck_assert_msg(strstr(flags, " dd") != NULL, "may be dumped:%s", flags);
#ifndef RINGFENCE_SANITIZED /* AddressSanitizer turns mlock(2) off */
	ck_assert_msg(strstr(flags, " lo") != NULL, "not locked:%s", flags);
#endif
	secret_free(&s);
	ck_assert_ptr_null(s.data);
	ck_assert_uint_eq(s.len, 0);
	secret_free(&s);
}
END_TEST

START_TEST(secret_set_is_empty_when_there_is_nothing)
{
	struct err err = ERR_INIT;
	struct secret s;

	ck_assert_int_eq(secret_set(&s, "", 0, &err), 0);
	ck_assert_uint_eq(secret_str(&s).len, 0);
	secret_free(&s);
}
END_TEST

START_TEST(secret_free_unmaps)
{
	struct err err = ERR_INIT;
	struct secret s;
	char flags[512];
	const void *where;

	ck_assert_int_eq(secret_set(&s, "hunter2", 7, &err), 0);
	where = s.data;
	secret_free(&s);
	mapping_field(where, "VmFlags:", flags, sizeof(flags));
	ck_assert_str_eq(flags, "");
}
END_TEST

START_TEST(secret_wipe_leaves_zeros)
{
	char data[64], zeros[64] = {0};

	memset(data, 'x', sizeof(data));
	secret_wipe(data, sizeof(data));
	ck_assert_mem_eq(data, zeros, sizeof(data));
	secret_wipe(NULL, 0);
}
END_TEST

struct file_case {
	const char *text;
	mode_t mode;
	bool allow_open;
	int rc;
	const char *secret;
};

static const struct file_case file_cases[] = {
    {"pw", 0600, false, 0, "pw"},
    {"pw\n", 0600, false, 0, "pw"},
    {"pw\n\n", 0400, false, 0, "pw\n"},
    {" pw \r\n", 0600, false, 0, " pw \r"},
    {"pw", 0640, false, ERR_DENIED, NULL},
    {"pw", 0604, false, ERR_DENIED, NULL},
    {"pw", 0620, false, ERR_DENIED, NULL},
    {"pw", 0644, true, 0, "pw"},
    {"", 0600, false, ERR_INVALID, NULL},
    {"\n", 0600, false, ERR_INVALID, NULL},
};

START_TEST(secret_read_file_checks_mode_and_contents)
{
	const struct file_case *c = &file_cases[_i];
	struct err err = ERR_INIT;
	struct secret s;

	write_file(c->text, strlen(c->text), c->mode);
	ck_assert_int_eq(secret_read_file(&s, path, c->allow_open, &err), c->rc);
	if (c->rc == 0)
		ck_assert(str_is(secret_str(&s), c->secret));
	else
		ck_assert_msg(
		    s.data == NULL && strstr(err.msg, path) != NULL, "%s", err.msg);
	secret_free(&s);
}
END_TEST

START_TEST(secret_of_somebody_else_is_refused)
{
	struct err err = ERR_INIT;
	struct secret s;

	if (geteuid() != 0)
		return;
	write_file("pw", 2, 0600);
	ck_assert_int_eq(chown(path, 65532, 0), 0);
	ck_assert_int_eq(secret_read_file(&s, path, false, &err), ERR_DENIED);
	ck_assert_msg(strstr(err.msg, "65532") != NULL, "%s", err.msg);
	ck_assert_int_eq(secret_read_file(&s, path, true, &err), 0);
	secret_free(&s);
}
END_TEST

/* Makes the name a link to the one and the other file in turn, for ever. */
static NORETURN void
turn_link(const char *one, const char *other)
{
	char fresh[256];

	(void)snprintf(fresh, sizeof(fresh), "%s.link", path); /* fits */
	for (;;) {
		if (symlink(one, fresh) != 0 || rename(fresh, path) != 0 ||
		    symlink(other, fresh) != 0 || rename(fresh, path) != 0)
			_exit(1);
	}
}

/* What is judged is the file that is read, whatever its name means a moment later. */
START_TEST(secret_read_file_judges_what_it_reads)
{
	char good[256], open_to_all[256], rest[256];
	unsigned taken = 0, refused = 0;
	struct err err = ERR_INIT;
	struct secret s;
	pid_t pid;

	write_file("good", 4, 0600);
	(void)snprintf(good, sizeof(good), "%s.good", path);
	ck_assert_int_eq(rename(path, good), 0);
	write_file("evil", 4, 0644);
	(void)snprintf(open_to_all, sizeof(open_to_all), "%s.open", path);
	ck_assert_int_eq(rename(path, open_to_all), 0);
	ck_assert_int_eq(symlink(good, path), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0)
		turn_link(good, open_to_all);
	for (unsigned i = 0; i < 1000000 && (i < 2000 || taken == 0 || refused == 0);
	     i++) {
		const int rc = secret_read_file(&s, path, false, &err);

		ck_assert(rc == 0 || rc == ERR_DENIED);
		ck_assert(rc != 0 || str_is(secret_str(&s), "good"));
		taken += rc == 0;
		refused += rc != 0;
		secret_free(&s);
	}
	ck_assert_int_eq(kill(pid, SIGKILL), 0);
	ck_assert_int_eq(waitpid(pid, NULL, 0), pid);
	ck_assert(taken != 0 && refused != 0);
	(void)snprintf(rest, sizeof(rest), "%s.link", path);
	(void)unlink(rest); /* perhaps it was there */
	ck_assert_int_eq(unlink(good), 0);
	ck_assert_int_eq(unlink(open_to_all), 0);
}
END_TEST

#define KUBELET_GROUP 65532

/* In a process of its own, which is not root. */
static int
read_as(gid_t gid, gid_t file_group, mode_t mode)
{
	struct err err = ERR_INIT;
	struct secret s;
	int status;
	pid_t pid;

	write_file("pw", 2, mode);
	ck_assert_int_eq(chown(path, 0, file_group), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		const gid_t more[] = {KUBELET_GROUP};

		if (setgroups(1, more) != 0 || setgid(gid) != 0 || setuid(65532) != 0)
			_exit(1);
		_exit(-secret_read_file(&s, path, false, &err));
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert(WIFEXITED(status));
	return -WEXITSTATUS(status);
}

START_TEST(secret_read_file_takes_what_kubelets_make)
{
	if (geteuid() != 0)
		return;
	ck_assert_int_eq(chmod(directory, 0755), 0);
	ck_assert_int_eq(read_as(KUBELET_GROUP, KUBELET_GROUP, 0440), 0);
	ck_assert_int_eq(read_as(KUBELET_GROUP, KUBELET_GROUP, 0460), ERR_DENIED);
	ck_assert_int_eq(read_as(KUBELET_GROUP, KUBELET_GROUP, 0444), ERR_DENIED);
	/* A group that is not ours alone. */
	ck_assert_int_eq(read_as(100, KUBELET_GROUP, 0440), ERR_DENIED);
	(void)unlink(path); /* it was root's */
}
END_TEST

START_TEST(secret_read_file_takes_64_KiB_and_no_more)
{
	static char data[SECRET_FILE_BYTES + 1];
	struct err err = ERR_INIT;
	struct secret s;

	memset(data, 'k', sizeof(data));
	write_file(data, SECRET_FILE_BYTES, 0600);
	ck_assert_int_eq(secret_read_file(&s, path, false, &err), 0);
	ck_assert_uint_eq(s.len, SECRET_FILE_BYTES);
	ck_assert_mem_eq(s.data, data, SECRET_FILE_BYTES);
	secret_free(&s);
	write_file(data, sizeof(data), 0600);
	ck_assert_int_eq(secret_read_file(&s, path, false, &err), ERR_LIMIT);
	ck_assert_ptr_null(s.data);
	/* One that does not tell its size before it is read. */
	if (access("/proc/kallsyms", R_OK) == 0)
		ck_assert_int_eq(
		    secret_read_file(&s, "/proc/kallsyms", true, &err), ERR_LIMIT);
	ck_assert_ptr_null(s.data);
}
END_TEST

START_TEST(secret_read_file_fails_when_there_is_no_regular_file)
{
	struct err err = ERR_INIT;
	struct secret s;

	(void)unlink(path); /* of the test before */
	ck_assert_int_eq(secret_read_file(&s, path, false, &err), ERR_SYSTEM);
	ck_assert_int_eq(err.sys, ENOENT);
	ck_assert_int_eq(mkfifo(path, 0600), 0); /* must not wait for a writer */
	ck_assert_int_eq(secret_read_file(&s, path, false, &err), ERR_INVALID);
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(secret_read_file(&s, path, false, &err), ERR_INVALID);
	ck_assert_ptr_null(s.data);
}
END_TEST

START_TEST(secret_equal_compares_length_and_bytes)
{
	ck_assert(secret_equal("abc", 3, "abc", 3));
	ck_assert(!secret_equal("abc", 3, "abd", 3));
	ck_assert(!secret_equal("abc", 3, "abcd", 4));
	ck_assert(!secret_equal("a\0c", 3, "a\0d", 3));
	ck_assert(!secret_equal("", 0, "a", 1));
	ck_assert(secret_equal(NULL, 0, NULL, 0));
}
END_TEST

/* 64 equal bytes twice in a row would take 2^512 tries. */
START_TEST(secret_random_fills_everything_and_differs)
{
	uint8_t a[64] = {0}, b[64] = {0}, large[100000] = {0};
	unsigned seen[256] = {0};

	secret_random(a, sizeof(a));
	secret_random(b, sizeof(b));
	ck_assert_mem_ne(a, b, sizeof(a));
	secret_random(large, sizeof(large));
	for (size_t i = 0; i < sizeof(large); i++)
		seen[large[i]]++;
	/* About 390 each; 100 to 800 is beyond 14 standard deviations. */
	for (size_t i = 0; i < 256; i++)
		ck_assert_msg(
		    seen[i] > 100 && seen[i] < 800, "byte %zu: %u times", i, seen[i]);
	secret_random(a, 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("secret");
	TCase *tc = tcase_create("memory");
	TCase *files = tcase_create("files");
	SRunner *runner;
	int failed;

	tcase_add_test(tc, secret_set_copies_into_locked_undumped_memory);
	tcase_add_test(tc, secret_set_is_empty_when_there_is_nothing);
	tcase_add_test(tc, secret_free_unmaps);
	tcase_add_test(tc, secret_wipe_leaves_zeros);
	tcase_add_test(tc, secret_equal_compares_length_and_bytes);
	tcase_add_test(tc, secret_random_fills_everything_and_differs);
	/* Unchecked: the teardown runs even when a test died. */
	tcase_add_unchecked_fixture(files, setup, teardown);
	tcase_add_loop_test(
	    files, secret_read_file_checks_mode_and_contents, 0, ARRAY_LEN(file_cases));
	tcase_add_test(files, secret_read_file_takes_what_kubelets_make);
	tcase_add_test(files, secret_of_somebody_else_is_refused);
	tcase_add_test(files, secret_read_file_judges_what_it_reads);
	tcase_add_test(files, secret_read_file_takes_64_KiB_and_no_more);
	tcase_add_test(files, secret_read_file_fails_when_there_is_no_regular_file);
	suite_add_tcase(suite, tc);
	suite_add_tcase(suite, files);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
