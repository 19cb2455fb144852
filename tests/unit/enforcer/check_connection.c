/*
 * Connections between processes: what is written is read back, and what is malformed is
 * refused.
 */
#include "enforcer/wire/connection.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct arena *arena;
static struct buf bytes;

static void
setup(void)
{
	arena = arena_new();
	memset(&bytes, 0, sizeof(bytes));
}

static void
teardown(void)
{
	buf_free(&bytes);
	arena_free(arena);
}

static struct ip_addr
address(const char *text)
{
	struct ip_addr addr;

	ck_assert(ip_parse(str_from(text), &addr));
	return addr;
}

static struct connection
sample(bool v6)
{
	return (struct connection){
	    .id = 0xfedcba98,
	    .zone = 7,
	    .zone_one_way = v6,
	    .to_node = !v6,
	    .from_node = v6,
	    .proto = 6,
	    .src = address(v6 ? "fd00::1" : "10.1.0.1"),
	    .dst = address(v6 ? "2001:db8::10" : "192.0.2.10"),
	    .src_port = 40000,
	    .dst_port = 80,
	    .judged = {17, address(v6 ? "fd00::3" : "10.1.0.3"),
		address(v6 ? "fd00::2" : "10.1.0.2"), 40001, 8080},
	};
}

static struct proc_reader
reader(size_t len)
{
	return (struct proc_reader){
	    .data = (const uint8_t *)bytes.data, .len = len, .ok = true};
}

START_TEST(connections_are_read_as_written)
{
	const struct connection list[] = {sample(false), sample(true)};
	struct connection *out;
	struct proc_reader r;
	size_t count;

	connections_put(&bytes, list, 2);
	r = reader(bytes.len);
	ck_assert(connections_get(arena, &r, &out, &count) && proc_reader_done(&r));
	ck_assert_uint_eq(count, 2);
	for (size_t i = 0; i < 2; i++) {
		const struct connection *a = &list[i], *b = &out[i];

		ck_assert_uint_eq(a->id, b->id);
		ck_assert_uint_eq(a->zone, b->zone);
		ck_assert(a->zone_one_way == b->zone_one_way);
		ck_assert(a->to_node == b->to_node);
		ck_assert(a->from_node == b->from_node);
		ck_assert_uint_eq(a->proto, b->proto);
		ck_assert(ip_eq(&a->src, &b->src) && ip_eq(&a->dst, &b->dst));
		ck_assert_uint_eq(a->src_port, b->src_port);
		ck_assert_uint_eq(a->dst_port, b->dst_port);
		ck_assert_uint_eq(a->judged.proto, b->judged.proto);
		ck_assert(ip_eq(&a->judged.src, &b->judged.src));
		ck_assert(ip_eq(&a->judged.dst, &b->judged.dst));
		ck_assert_uint_eq(a->judged.src_port, b->judged.src_port);
		ck_assert_uint_eq(a->judged.dst_port, b->judged.dst_port);
	}
}
END_TEST

START_TEST(every_cut_off_list_is_refused)
{
	const struct connection list[] = {sample(false), sample(true)};
	struct connection *out;
	size_t count;

	connections_put(&bytes, list, 2);
	for (size_t len = 0; len < bytes.len; len++) {
		struct proc_reader r = reader(len);

		ck_assert(!connections_get(arena, &r, &out, &count));
	}
}
END_TEST

START_TEST(too_many_are_refused)
{
	struct connection *out;
	struct proc_reader r;
	size_t count;

	proc_put_u32(&bytes, CONNECTIONS_MOST + 1);
	for (unsigned i = 0; i <= CONNECTIONS_MOST; i++) {
		struct connection c = sample(false);

		connection_put(&bytes, &c);
	}
	r = reader(bytes.len);
	ck_assert(!connections_get(arena, &r, &out, &count));
}
END_TEST

/* Offset 9 is the family, 11 the source, 15 what an IPv4 address has no use for. */
START_TEST(malformed_connection_is_refused)
{
	static const struct {
		size_t at;
		char value;
	} cases[] = {{9, 0}, {9, 5}, {15, 1}, {42, 1}};
	struct connection c = sample(false);
	struct connection out;
	struct proc_reader r;

	connection_put(&bytes, &c);
	r = reader(bytes.len);
	connection_get(&r, &out);
	ck_assert(r.ok);
	bytes.data[cases[_i].at] = cases[_i].value;
	r = reader(bytes.len);
	connection_get(&r, &out);
	ck_assert(!r.ok);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("connection");
	TCase *tc = tcase_create("connection");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, connections_are_read_as_written);
	tcase_add_test(tc, every_cut_off_list_is_refused);
	tcase_add_test(tc, too_many_are_refused);
	tcase_add_loop_test(tc, malformed_connection_is_refused, 0, 4);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
