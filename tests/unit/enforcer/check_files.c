/*
 * What the parent does with paths that are not as they should be.
 */
#include <check.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "enforcer/parent/files.h"

static const char template[] = "/tmp/check_files-XXXXXX";
static char directory[sizeof(template)];
static char path[sizeof(directory) + 32];
static struct files_identity file;
static struct err err;

static void
setup(void)
{
	memcpy(directory, template, sizeof(template));
	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/enforcer.sock", directory); /* fits */
	file = (struct files_identity){0};
	err = ERR_INIT;
}

static void
teardown(void)
{
	(void)unlink(path); /* some tests leave one */
	ck_assert_int_eq(rmdir(directory), 0);
}

static const struct enforcer_config config = {.control_socket = path};

static int
listen_control(int *out_fd)
{
	return files_listen_control(&config, &file, out_fd, &err);
}

START_TEST(listen_control_leaves_a_file_that_is_no_socket)
{
	char text[16] = "";
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "precious", 8), 8);
	ck_assert_int_eq(listen_control(&(int){-1}), ERR_EXISTS);
	ck_assert_ptr_nonnull(strstr(err.msg, path));
	(void)close(fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, text, sizeof(text)), 8);
	ck_assert_str_eq(text, "precious");
	(void)close(fd);
}
END_TEST

START_TEST(listen_control_takes_the_place_of_a_socket_that_nobody_answers_at)
{
	int fd = -1;
	struct stat st;

	ck_assert_msg(listen_control(&fd) == 0, "%s", err.msg);
	(void)close(fd); /* as a daemon that was killed: the name stays */
	ck_assert_msg(listen_control(&fd) == 0, "%s", err.msg);
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_uint_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(listen_control(&(int){-1}), ERR_EXISTS);
	ck_assert_ptr_nonnull(strstr(err.msg, "another enforcer"));
	(void)close(fd);
}
END_TEST

START_TEST(control_is_false_when_another_has_taken_its_place)
{
	int fd = -1, other = -1;
	struct files_identity first;

	ck_assert_msg(listen_control(&fd) == 0, "%s", err.msg);
	first = file;
	ck_assert(files_control_is(&config, &first));
	ck_assert_int_eq(unlink(path), 0);
	ck_assert(!files_control_is(&config, &first));
	ck_assert_msg(listen_control(&other) == 0, "%s", err.msg);
	ck_assert(!files_control_is(&config, &first));
	ck_assert(files_control_is(&config, &file));
	(void)close(fd);
	(void)close(other);
}
END_TEST

START_TEST(control_is_false_after_a_socket_that_could_not_be_given_to_its_group)
{
	const struct enforcer_config nobodys = {
	    .control_socket = path, .control_group = STR("no such group")};
	int fd = -1;
	struct files_identity mine = {0};

	ck_assert_int_eq(
	    files_listen_control(&nobodys, &mine, &fd, &err), ERR_NOT_FOUND);
	ck_assert(!files_control_is(&nobodys, &mine));
	ck_assert_msg(
	    files_listen_control(&config, &mine, &fd, &err) == 0, "%s", err.msg);
	ck_assert(files_control_is(&config, &mine));
	(void)close(fd);
}
END_TEST

/* Whoever looks after the socket does not wait for a directory server. */
START_TEST(group_of_control_is_looked_up_once)
{
	const struct group *mine = getgrgid(getgid());
	struct enforcer_config c = {.control_socket = path};
	int fd = -1, other = -1;

	ck_assert_ptr_nonnull(mine);
	c.control_group = str_from(mine->gr_name);
	ck_assert_msg(files_listen_control(&c, &file, &fd, &err) == 0, "%s", err.msg);
	ck_assert_int_eq(unlink(path), 0);
	c.control_group = STR("no such group"); /* as if the server were not there */
	ck_assert_msg(
	    files_listen_control(&c, &file, &other, &err) == 0, "%s", err.msg);
	ck_assert(files_control_is(&c, &file));
	(void)close(fd);
	(void)close(other);
}
END_TEST

static void
make_link(const char *target)
{
	(void)unlink(path);
	ck_assert_int_eq(symlink(target, path), 0);
}

START_TEST(file_that_cannot_be_read_is_unread_until_it_can_be)
{
	struct arena *arena = arena_new();
	struct files_source source;
	struct files_edit edit;
	const char **names;
	char good[sizeof(path)];
	size_t count;

	(void)snprintf(good, sizeof(good), "%s/good.yaml", directory); /* fits */
	ck_assert_int_eq(symlink("/proc/self/comm", good), 0);
	(void)snprintf(path, sizeof(path), "%s/policy.yaml", directory); /* fits */
	files_source_init(&source);
	make_link("nowhere");
	ck_assert(files_read_source(&source, directory));
	ck_assert_uint_eq(source.why.len, 0);
	names = files_unread(&source, arena, &count);
	ck_assert_uint_eq(count, 1);
	ck_assert_str_eq(names[0], path);
	ck_assert_int_eq(files_read_edit(&source, names, 1, &edit), FILES_SAME);
	ck_assert_uint_eq(source.unread, 1);
	make_link("/dev/null"); /* which is no file */
	ck_assert_int_eq(files_read_edit(&source, names, 1, &edit), FILES_EDITED);
	arena_free(edit.arena);
	ck_assert_uint_eq(source.unread, 1);
	make_link("/proc/self/comm");
	ck_assert_int_eq(files_read_edit(&source, names, 1, &edit), FILES_EDITED);
	arena_free(edit.arena);
	ck_assert_uint_eq(source.unread, 0);
	make_link("nowhere");
	ck_assert_int_eq(files_read_edit(&source, names, 1, &edit), FILES_EDITED);
	arena_free(edit.arena);
	ck_assert_uint_eq(source.unread, 1);
	(void)unlink(path);
	ck_assert_int_eq(files_read_edit(&source, names, 1, &edit), FILES_EDITED);
	arena_free(edit.arena);
	names = files_unread(&source, arena, &count);
	ck_assert_uint_eq(count, 0);
	(void)unlink(good);
	files_source_fini(&source);
	arena_free(arena);
}
END_TEST

static void
make_file(const char *name)
{
	FILE *policy = fopen(name, "w");

	ck_assert(policy != NULL && fclose(policy) == 0);
}

static void
make_policy(void)
{
	make_file(path);
}

/* Whoever removes the last file wants nothing any more. */
START_TEST(directory_that_has_lost_its_last_file_says_nothing)
{
	const char *name = path;
	struct files_source source;
	struct files_edit edit;

	(void)snprintf(path, sizeof(path), "%s/policy.yaml", directory); /* fits */
	files_source_init(&source);
	make_policy();
	ck_assert(files_read_source(&source, directory));
	(void)unlink(path);
	ck_assert_int_eq(files_read_edit(&source, &name, 1, &edit), FILES_WHOLE);
	ck_assert(files_read_source(&source, directory));
	ck_assert_uint_eq(source.why.len, 0);
	files_source_fini(&source);
}
END_TEST

/* As when what was mounted there no longer is. It has come as a whole, or (_i) as an edit. */
START_TEST(directory_in_place_of_another_that_had_files_cannot_be_read)
{
	const char *name = path;
	char away[sizeof(path)];
	struct files_source source;
	struct files_edit edit;

	(void)snprintf(path, sizeof(path), "%s/policy.yaml", directory); /* fits */
	(void)snprintf(away, sizeof(away), "%s.away", directory);        /* fits */
	files_source_init(&source);
	if (_i != 0) {
		ck_assert(files_read_source(&source, directory));
		make_policy();
		ck_assert_int_eq(
		    files_read_edit(&source, &name, 1, &edit), FILES_EDITED);
		arena_free(edit.arena);
	} else {
		make_policy();
		ck_assert(files_read_source(&source, directory));
	}
	ck_assert_int_eq(rename(directory, away), 0);
	ck_assert_int_eq(mkdir(directory, 0700), 0);
	ck_assert(files_read_source(&source, directory));
	ck_assert_uint_ne(source.why.len, 0);
	ck_assert(!files_read_source(&source, directory)); /* no news */
	ck_assert_int_eq(rmdir(directory), 0);
	ck_assert_int_eq(rename(away, directory), 0);
	ck_assert(files_read_source(&source, directory));
	ck_assert_uint_eq(source.why.len, 0);
	files_source_fini(&source);
}
END_TEST

/* Of what is not mounted any more some files are asked for, before all else shows. */
START_TEST(edit_in_place_of_another_directory_is_read_as_a_whole)
{
	const char *name = path;
	char away[sizeof(path)], other[sizeof(path) + 16];
	struct files_source source;
	struct files_edit edit;

	(void)snprintf(path, sizeof(path), "%s/policy.yaml", directory);  /* fits */
	(void)snprintf(other, sizeof(other), "%s/other.yaml", directory); /* fits */
	(void)snprintf(away, sizeof(away), "%s.away", directory);         /* fits */
	files_source_init(&source);
	make_policy();
	make_file(other);
	ck_assert(files_read_source(&source, directory));
	ck_assert_int_eq(rename(directory, away), 0);
	ck_assert_int_eq(mkdir(directory, 0700), 0);
	ck_assert_int_eq(files_read_edit(&source, &name, 1, &edit), FILES_WHOLE);
	ck_assert_int_eq(rmdir(directory), 0);
	ck_assert_int_eq(rename(away, directory), 0);
	(void)unlink(path);
	ck_assert_int_eq(files_read_edit(&source, &name, 1, &edit), FILES_EDITED);
	ck_assert_uint_eq(edit.gone_count, 1);
	arena_free(edit.arena);
	(void)unlink(other);
	files_source_fini(&source);
}
END_TEST

static void
mount_at(const char *from, const char *to)
{
	ck_assert_int_eq(mount(from, to, NULL, MS_BIND, NULL), 0);
}

/* The directory is the same all the time; one below it is not. */
START_TEST(files_of_what_was_mounted_below_are_not_gone)
{
	char below[sizeof(path)], from[sizeof(path)], mine[sizeof(path) + 16];
	const char *name = mine;
	struct files_source source, next;
	struct files_edit edit;

	ck_assert(
	    unshare(CLONE_NEWNS) == 0 || unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0);
	ck_assert_int_eq(mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL), 0);
	(void)snprintf(path, sizeof(path), "%s/policy.yaml", directory); /* these fit */
	(void)snprintf(below, sizeof(below), "%s/below", directory);
	(void)snprintf(from, sizeof(from), "%s.from", directory);
	(void)snprintf(mine, sizeof(mine), "%s/mine.yaml", below);
	ck_assert(mkdir(below, 0700) == 0 && mkdir(from, 0700) == 0);
	make_policy();
	mount_at(from, below);
	make_file(mine);
	files_source_init(&source);
	ck_assert(files_read_source(&source, directory));
	ck_assert_int_eq(umount2(below, 0), 0);
	ck_assert_int_eq(files_read_edit(&source, &name, 1, &edit), FILES_WHOLE);
	ck_assert(files_read_source(&source, directory));
	ck_assert_uint_ne(source.why.len, 0);
	ck_assert_ptr_nonnull(strstr(source.why.data, "/below: error"));
	ck_assert_int_eq(rmdir(below), 0); /* nor is it meant so */
	ck_assert(!files_read_source(&source, directory));
	ck_assert_int_eq(mkdir(below, 0700), 0);
	files_source_init(&next); /* as after SIGHUP */
	files_source_follow(&next, &source);
	files_source_fini(&source);
	ck_assert(files_read_source(&next, directory));
	ck_assert_uint_ne(next.why.len, 0);
	mount_at(from, below);
	ck_assert(files_read_source(&next, directory));
	ck_assert_uint_eq(next.why.len, 0);
	(void)unlink(mine); /* whoever does so while it is mounted means it */
	ck_assert_int_eq(files_read_edit(&next, &name, 1, &edit), FILES_WHOLE);
	ck_assert(files_read_source(&next, directory));
	ck_assert_int_eq(umount2(below, 0), 0);
	ck_assert(!files_read_source(&next, directory));
	ck_assert_uint_eq(next.why.len, 0);
	files_source_fini(&next);
	ck_assert(rmdir(below) == 0 && rmdir(from) == 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("files");
	TCase *tc = tcase_create("control");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, listen_control_leaves_a_file_that_is_no_socket);
	tcase_add_test(
	    tc, listen_control_takes_the_place_of_a_socket_that_nobody_answers_at);
	tcase_add_test(tc, control_is_false_when_another_has_taken_its_place);
	tcase_add_test(
	    tc, control_is_false_after_a_socket_that_could_not_be_given_to_its_group);
	tcase_add_test(tc, group_of_control_is_looked_up_once);
	tcase_add_test(tc, file_that_cannot_be_read_is_unread_until_it_can_be);
	tcase_add_test(tc, directory_that_has_lost_its_last_file_says_nothing);
	tcase_add_loop_test(
	    tc, directory_in_place_of_another_that_had_files_cannot_be_read, 0, 2);
	tcase_add_test(tc, edit_in_place_of_another_directory_is_read_as_a_whole);
	tcase_add_test(tc, files_of_what_was_mounted_below_are_not_gone);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
