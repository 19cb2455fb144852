/*
 * Questions about connections, and the thread that answers them: the two share nothing but
 * queues, which is for ThreadSanitizer to see (preset tsan).
 */
#include <linux/netlink.h>
#include <poll.h>
#include <stdlib.h>

#include "enforcer/kernel/kernel_tracker.h"
#include "enforcer/wire/messages.h"
#include "nft_namespace.h"

#define ROOM   8 /* questions that may wait */
#define ROUNDS 100
#define LINK   42

static struct tracker *tracker;

static void
open_tracker(void)
{
	setup();
	ck_assert_msg(tracker_open(&tracker, &err) == 0, "%s", err.msg);
}

static void
close_tracker(void)
{
	tracker_close(tracker);
	teardown();
}

/* A list from its beginning; or what is no list of connections. */
static bool
ask(uint32_t id)
{
	static const uint8_t first[] = {1}, malformed[] = {0xff, 0xff, 0xff, 0xff};
	const bool list = id % 2 == 0;
	const struct proc_msg msg = {.type = list ? MSG_CONNECTIONS : MSG_CUT,
	    .id = id,
	    .data = list ? first : malformed,
	    .len = list ? sizeof(first) : sizeof(malformed)};

	return tracker_ask(tracker, &msg, LINK);
}

static void
take(uint32_t id)
{
	struct pollfd wait = {.fd = tracker_fd(tracker), .events = POLLIN};
	struct tracker_message m;
	struct proc_reader r;

	while (!tracker_take(tracker, &m))
		ck_assert_int_ge(poll(&wait, 1, -1), 0);
	r = (struct proc_reader){
	    .data = (const uint8_t *)m.body.data, .len = m.body.len, .ok = true};
	ck_assert_uint_eq(m.id, id);
	ck_assert_uint_eq(m.link, LINK);
	ck_assert_uint_eq(m.type, id % 2 == 0 ? MSG_CONNECTION_LIST : MSG_CUT_DONE);
	ck_assert_int_eq((int)proc_get_u32(&r), id % 2 == 0 ? 0 : ERR_PROTOCOL);
	buf_free(&m.body);
}

START_TEST(answers_come_in_the_order_of_the_questions)
{
	uint32_t asked = 0, taken = 0;

	ck_assert_int_eq(tracker_start(tracker, &err), 0);
	for (unsigned round = 0; round < ROUNDS; round++) {
		while (asked - taken < ROOM) /* some of them are under way */
			ck_assert(ask(++asked));
		for (unsigned i = 0; i <= round % ROOM; i++)
			take(++taken);
	}
	while (taken != asked)
		take(++taken);
}
END_TEST

START_TEST(ask_returns_false_when_too_many_wait)
{
	for (uint32_t id = 1; id <= ROOM; id++)
		ck_assert(ask(id));
	ck_assert(!ask(ROOM + 1));
	ck_assert_int_eq(tracker_start(tracker, &err), 0);
	for (uint32_t id = 1; id <= ROOM; id++)
		take(id);
	ck_assert(ask(ROOM + 2));
	take(ROOM + 2);
}
END_TEST

/* However far the thread is with them: what is not taken goes with the tracker. */
START_TEST(close_ends_what_is_under_way)
{
	for (uint32_t id = 1; id <= ROOM; id++)
		ck_assert(ask(id));
	if (_i > 0)
		ck_assert_int_eq(tracker_start(tracker, &err), 0);
	for (uint32_t id = 1; id < (uint32_t)_i; id++)
		take(id);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("tracker");
	TCase *tc = tcase_create("questions");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, open_tracker, close_tracker);
	tcase_add_test(tc, answers_come_in_the_order_of_the_questions);
	tcase_add_test(tc, ask_returns_false_when_too_many_wait);
	tcase_add_loop_test(tc, close_ends_what_is_under_way, 0, ROOM + 1);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
