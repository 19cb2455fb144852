/*
 * Directories that are watched, with as many files as a source may have.
 */
#include <check.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "common/limits.h"
#include "enforcer/parent/sources.h"

/* A look at so many files costs the sanitizers many times as much, and the next waits for
 * many times that. */
#ifdef RINGFENCE_SANITIZED
static const bool sanitized = true;
#else
static const bool sanitized = false;
#endif

static char directory[64], target[64];
static uv_loop_t loop;
static unsigned told, told_whole;
static size_t last_count;
static char last[4096];

static void
on_changed(void *arg, size_t index, const struct sources_change *change)
{
	(void)arg;
	ck_assert_uint_eq(index, 0);
	told++;
	told_whole += change->whole;
	last_count = change->count;
	last[0] = '\0';
	if (change->count == 1)
		(void)snprintf(last, sizeof(last), "%s", change->names[0]);
}

static void
setup(void)
{
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
	int fd;

	(void)snprintf(directory, sizeof(directory), "%s/check-sources-XXXXXX", base);
	(void)snprintf(target, sizeof(target), "%s/check-target-XXXXXX", base);
	fd = mkstemp(target);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_eq(uv_loop_init(&loop), 0);
}

static void
teardown(void)
{
	DIR *dir = opendir(directory);
	const struct dirent *entry;

	(void)uv_run(&loop, UV_RUN_DEFAULT); /* closing handles */
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	while ((entry = readdir(dir)) != NULL)
		(void)unlinkat(dirfd(dir), entry->d_name, 0);
	(void)closedir(dir);
	(void)rmdir(directory);
	(void)unlink(target);
}

/* Where a link leads only a look sees, and it is the only thing that has changed. */
START_TEST(look_at_the_most_files_tells_what_has_changed_alone)
{
	const char *const directories[] = {directory};
	struct sources *sources;
	char name[sizeof(directory) + 32];
	int fd, at = open(directory, O_DIRECTORY | O_RDONLY | O_CLOEXEC);

	(void)snprintf(name, sizeof(name), "%s/link.yaml", directory);
	ck_assert_int_eq(symlink(target, name), 0);
	for (unsigned i = 1; i < LIMIT_BUNDLE_FILES; i++) {
		char file[32];

		(void)snprintf(file, sizeof(file), "%u.yaml", i);
		fd = openat(at, file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		ck_assert_int_ge(fd, 0);
		(void)close(fd);
	}
	(void)close(at);
	sources_new(&loop, directories, 1, on_changed, NULL, &sources);
	ck_assert_uint_eq(told_whole, 1); /* at the start */
	ck_assert_int_eq(truncate(target, 1), 0);
	while (told == 1) /* looks are far apart, by what they cost */
		(void)uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(told_whole, 1);
	ck_assert_str_eq(last, name);
	sources_free(sources);
}
END_TEST

static void
touch(const char *name)
{
	char path[sizeof(directory) + 32];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s", directory, name);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	(void)close(fd);
}

/* What could not be read is told of, though nothing happened to it. */
START_TEST(file_that_could_not_be_read_is_told_of_again)
{
	const char *const directories[] = {directory};
	struct sources *sources;
	char name[sizeof(directory) + 32];
	const char *const unread = name;

	(void)snprintf(name, sizeof(name), "%s/unread.yaml", directory);
	touch("unread.yaml");
	told = told_whole = 0;
	sources_new(&loop, directories, 1, on_changed, NULL, &sources);
	ck_assert_uint_eq(told_whole, 1);
	sources_again(sources, 0, &unread, 1);
	touch("other.yaml"); /* sooner than the next look */
	while (told == 1)
		(void)uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(last_count, 2);
	sources_again(sources, 0, NULL, 0);
	touch("third.yaml");
	while (told == 2)
		(void)uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(told_whole, 2);
	sources_free(sources);
}
END_TEST

static unsigned
most_events(void)
{
	FILE *file = fopen("/proc/sys/fs/inotify/max_queued_events", "r");
	char text[32] = "";

	ck_assert(file != NULL && fgets(text, sizeof(text), file) != NULL);
	(void)fclose(file);
	return (unsigned)strtoul(text, NULL, 10);
}

/* Of what the kernel has no room for it tells nothing but that. */
START_TEST(directory_is_told_of_as_a_whole_when_events_were_lost)
{
	const char *const directories[] = {directory};
	const unsigned most = most_events();
	struct sources *sources;
	char name[sizeof(directory) + 32];
	int fds[2];

	if (most > 100000)
		return; /* it would take long */
	for (unsigned i = 0; i < 2; i++) {
		(void)snprintf(name, sizeof(name), "%s/.%u", directory, i);
		fds[i] = open(name, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
		ck_assert_int_ge(fds[i], 0);
	}
	told = told_whole = 0;
	sources_new(&loop, directories, 1, on_changed, NULL, &sources);
	for (unsigned i = 0; i <= most; i++) /* two alike in a row were one */
		ck_assert_int_eq(futimens(fds[i % 2], NULL), 0);
	touch("lost.yaml");
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	told = 0;
	touch("after.yaml"); /* which alone is told otherwise */
	while (told == 0)
		(void)uv_run(&loop, UV_RUN_ONCE);
	ck_assert_uint_eq(told_whole, 2);
	sources_free(sources);
	(void)close(fds[0]);
	(void)close(fds[1]);
}
END_TEST

/* As when others have taken all that there are. */
START_TEST(without_inotify_changes_are_seen_by_looking)
{
	const char *const directories[] = {directory};
	struct rlimit before, none;
	struct sources *sources;

	told = told_whole = 0;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	sources_new(&loop, directories, 1, on_changed, NULL, &sources);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_uint_eq(told, 1);
	touch("new.yaml");
	while (told == 1)
		(void)uv_run(&loop, UV_RUN_ONCE);
	sources_free(sources);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("sources");
	TCase *tc = tcase_create("sources");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	if (!sanitized)
		tcase_add_test(tc, look_at_the_most_files_tells_what_has_changed_alone);
	tcase_add_test(tc, file_that_could_not_be_read_is_told_of_again);
	tcase_add_test(tc, directory_is_told_of_as_a_whole_when_events_were_lost);
	tcase_add_test(tc, without_inotify_changes_are_seen_by_looking);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
