/*
 * A collector that gets a stream, and says something itself.
 */
#include <check.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enforcer/engine/engine_state.h"

#define SAID_BYTES (64 * 1024)

static struct engine *engine;
static struct proc_channel parent;
static int collector, parent_end;

static void
setup(void)
{
	int pair[2];
	struct err err = ERR_INIT;

	engine = xcalloc(1, sizeof(*engine));
	ck_assert_int_eq(proc_pair(pair, true, &err), 0);
	proc_channel_init(&parent, pair[0]);
	parent_end = pair[1];
	engine->parent = &parent;
	engine_export_init(engine);
	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	collector = pair[1];
	engine_export_socket(
	    engine, EXPORT_IPFIX, EXPORT_CONFIGURED | EXPORT_STREAM, 7, 0, pair[0]);
}

static void
teardown(void)
{
	engine_export_fini(engine);
	proc_channel_close(&parent);
	(void)close(parent_end);
	(void)close(collector);
	free(engine);
}

static int
unread(int fd)
{
	int bytes = -1;

	ck_assert_int_eq(ioctl(fd, FIONREAD, &bytes), 0);
	return bytes;
}

static void
say(size_t bytes)
{
	char *text = xcalloc(1, bytes);

	ck_assert_int_eq(send(collector, text, bytes, MSG_DONTWAIT), (ssize_t)bytes);
	free(text);
}

/* However much it says, others have their turn; and it gets what it is to get. */
START_TEST(collector_that_talks_holds_nobody_up)
{
	const struct engine_export *x = &engine->exports[EXPORT_IPFIX];
	int left;

	say(SAID_BYTES);
	engine_export_send(engine);
	left = unread(x->fd);
	ck_assert_int_gt(left, SAID_BYTES / 2);
	ck_assert_int_gt(unread(collector), 0); /* the templates */
	ck_assert(!x->failing);
	engine_export_send(engine);
	ck_assert_int_lt(unread(x->fd), left);
}
END_TEST

START_TEST(collector_that_ends_is_asked_for_again)
{
	const struct engine_export *x = &engine->exports[EXPORT_IPFIX];
	char message[64];

	ck_assert_int_eq(shutdown(collector, SHUT_RDWR), 0);
	engine_export_send(engine);
	ck_assert_int_eq(x->fd, -1);
	ck_assert(x->failing);
	ck_assert_int_gt(recv(parent_end, message, sizeof(message), MSG_DONTWAIT), 0);
}
END_TEST

/* They do not wait for the tick until there is no room for more. */
START_TEST(records_go_while_others_come)
{
	const struct flows_record record = {
	    .packet = {.proto = IPPROTO_UDP}, .count = 1};
	const struct flow_view view = {.record = &record};
	struct engine_export *x = &engine->exports[EXPORT_IPFIX];

	for (unsigned i = 0; i < 100; i++)
		engine_export_flow(engine, &view);
	ck_assert_uint_ge(x->sent, 50);
	ck_assert_uint_eq(x->lost, 0);
	ck_assert_int_gt(unread(collector), 0);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("export");
	TCase *tc = tcase_create("stream");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, collector_that_talks_holds_nobody_up);
	tcase_add_test(tc, collector_that_ends_is_asked_for_again);
	tcase_add_test(tc, records_go_while_others_come);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
