/*
 * What travels between the processes: settings and blobs come out as they went in, and
 * nothing that is cut, too large or open to change is taken.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "enforcer/config/settings.h"
#include "enforcer/wire/blob.h"

static struct arena *arena;
static struct err err;

static void
setup(void)
{
	arena = arena_new();
	err = ERR_INIT;
}

static void
teardown(void)
{
	arena_free(arena);
}

/* ---- settings ---- */

static struct buf
sample_settings(void)
{
	static const struct enforcer_source sources[] = {
	    {.directory = "/a", .cluster = STR("east")}, {.directory = "/b"}};
	static struct ip_prefix networks[2] = {
	    {{IP_V4, {10, 1}}, 16}, {{IP_V6, {0xfd}}, 8}};
	static const struct role_settings role = {
	    .uid = 5, .gid = 6, .log_level = LOG_DEBUG, .log_format = LOG_FORMAT_JSON};
	const struct enforcer_config c = {
	    .node = STR("worker-1"),
	    .sources = sources,
	    .source_count = 2,
	    .default_deny = true,
	    .boot_closed = true,
	    .workload_networks = networks,
	    .workload_network_count = 2,
	    .validate_sources = true,
	    .flow_group = 99,
	    .audit_directory = "/x",
	    .audit_required = true,
	};
	struct buf out = {0};

	engine_settings_encode(&out, &role, &c);
	return out;
}

START_TEST(engine_settings_come_out_as_they_went_in)
{
	struct buf body = sample_settings();
	struct proc_reader r = {
	    .data = (const uint8_t *)body.data, .len = body.len, .ok = true};
	struct engine_settings s;

	ck_assert(engine_settings_decode(arena, &r, &s));
	buf_free(&body); /* the decoder has copied */
	ck_assert_uint_eq(s.role.uid, 5);
	ck_assert_uint_eq(s.role.gid, 6);
	ck_assert_int_eq(s.role.log_level, LOG_DEBUG);
	ck_assert(str_is(s.node, "worker-1"));
	ck_assert(s.default_deny && !s.ip_blocks_skip_pods && s.boot_closed);
	ck_assert(!s.reject && s.audit && s.audit_required);
	ck_assert_uint_eq(s.flow_group, 99);
	ck_assert_uint_eq(s.source_count, 2);
	ck_assert(str_is(s.sources[0].directory, "/a"));
	ck_assert(str_is(s.sources[0].cluster, "east"));
	ck_assert(str_is(s.sources[1].cluster, ""));
	ck_assert_uint_eq(s.workload_network_count, 2);
	ck_assert_int_eq(s.workload_networks[1].addr.family, IP_V6);
	ck_assert_uint_eq(s.workload_networks[1].len, 8);
	s.no_fib = false;
	ck_assert(engine_settings_validate(&s));
	s.no_fib = true;
	ck_assert(!engine_settings_validate(&s));
}
END_TEST

START_TEST(engine_settings_cut_anywhere_are_refused)
{
	struct buf body = sample_settings();
	struct engine_settings s;

	for (size_t len = 0; len < body.len; len++) {
		struct proc_reader r = {
		    .data = (const uint8_t *)body.data, .len = len, .ok = true};

		ck_assert(!engine_settings_decode(arena, &r, &s));
	}
	buf_free(&body);
}
END_TEST

/* ---- blobs ---- */

static struct blob blob;

static int
get(const struct buf *body, int fd, size_t limit)
{
	struct proc_msg msg = {.data = (const uint8_t *)body->data,
	    .len = body->len,
	    .fds = {fd},
	    .fd_count = fd >= 0};
	struct proc_reader r;

	proc_reader_init(&r, &msg);
	return blob_get(&r, &msg, limit, &blob, &err);
}

static void
check_round(size_t len, bool apart)
{
	struct buf data = {0}, body = {0};
	int fd;

	for (size_t i = 0; i < len; i++)
		buf_add_char(&data, (char)(i * 31));
	ck_assert_int_eq(blob_put(&body, buf_str(&data), &fd, &err), 0);
	ck_assert_int_eq(fd >= 0, apart);
	ck_assert_int_eq(get(&body, fd, len), 0);
	ck_assert_uint_eq(blob.data.len, len);
	if (len != 0)
		ck_assert_mem_eq(blob.data.ptr, data.data, len);
	blob_free(&blob);
	if (len != 0 && apart) {
		ck_assert_int_eq(get(&body, fd, len - 1), ERR_LIMIT);
		ck_assert_int_eq(get(&body, -1, len), ERR_PROTOCOL);
	}
	if (fd >= 0)
		close(fd);
	buf_free(&data);
	buf_free(&body);
}

START_TEST(blob_comes_out_as_it_went_in)
{
	check_round(0, false);
	check_round(1, false);
	check_round(64 * 1024, false);
	check_round(64 * 1024 + 1, true);
	check_round(5 * 1000 * 1000, true);
}
END_TEST

/* All seals but one: whoever holds the memfd could still change what is read. */
static const int seals[] = {F_SEAL_WRITE, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_SEAL};

START_TEST(blob_that_can_still_change_is_refused)
{
	const int all = F_SEAL_WRITE | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;
	int fd = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	struct buf body = {0};

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, "x", 1), 1);
	ck_assert_int_eq(fcntl(fd, F_ADD_SEALS, all & ~seals[_i]), 0);
	proc_put_u8(&body, 1);
	ck_assert_int_eq(get(&body, fd, 100), ERR_PROTOCOL);
	close(fd);
	buf_free(&body);
}
END_TEST

START_TEST(blob_of_another_kind_is_refused)
{
	int fd = open("/dev/null", O_RDONLY);
	struct buf body = {0};

	proc_put_u8(&body, 1);
	ck_assert_int_eq(get(&body, fd, 100), ERR_PROTOCOL);
	buf_clear(&body);
	proc_put_u8(&body, 2);
	ck_assert_int_eq(get(&body, -1, 100), ERR_PROTOCOL);
	buf_clear(&body);
	proc_put_u8(&body, 0);
	proc_put_u32(&body, 5); /* and four bytes */
	proc_put_u32(&body, 0);
	ck_assert_int_eq(get(&body, -1, 100), ERR_PROTOCOL);
	close(fd);
	buf_free(&body);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("messages");
	TCase *tc = tcase_create("messages");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, engine_settings_come_out_as_they_went_in);
	tcase_add_test(tc, engine_settings_cut_anywhere_are_refused);
	tcase_add_test(tc, blob_comes_out_as_it_went_in);
	tcase_add_loop_test(tc, blob_that_can_still_change_is_refused, 0, 4);
	tcase_add_test(tc, blob_of_another_kind_is_refused);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
