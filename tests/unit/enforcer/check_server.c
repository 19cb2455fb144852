/*
 * Clients that do not read what they asked for, and more of them than there is room for.
 */
#include "enforcer/control/server.h"

#include <check.h>
#include <errno.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE_BYTES (1024u * 1024)
#define ROUNDS      40u
#define IDLE        3u /* clients that never read: 120 MiB would wait for them */

#define ROOM   256u /* connections that it keeps */
#define OTHERS 224u /* of these of others than root */

static struct server_conn *conns[ROOM + 2];
static uint64_t ids[ROOM + 2];
static size_t asked;

static void
on_question(void *arg, struct server_conn *conn, struct str question)
{
	(void)arg;
	(void)question;
	ids[asked] = server_conn_id(conn);
	conns[asked++] = conn;
	server_conn_mark(conn, true);
}

static int
ask(const struct sockaddr_un *address, socklen_t len)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(connect(fd, (const struct sockaddr *)address, len), 0);
	ck_assert_int_eq(write(fd, "q\n", 2), 2);
	return fd;
}

static void
send_piece(struct server_conn *conn, void *arg)
{
	server_send(conn, *(const struct str *)arg);
}

/* Reads what comes until there have been as many bytes. */
static void
read_all(uv_loop_t *loop, int fd, size_t *got, size_t wanted)
{
	static char chunk[PIECE_BYTES];

	while (*got < wanted) {
		ssize_t n = read(fd, chunk, sizeof(chunk));

		ck_assert(n != 0); /* it is not cut off */
		if (n > 0)
			*got += (size_t)n;
		(void)uv_run(loop, UV_RUN_NOWAIT);
	}
}

static const struct server_handler handler = {
    .name = "test", .end = "\n", .question_bytes = 100, .question = on_question};
static struct sockaddr_un address;
static socklen_t address_len;
static int come_fds[ROOM + 4];
static size_t come_count;
static struct server *server;
static uv_loop_t loop;

static void
setup(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct err err = ERR_INIT;

	address = (struct sockaddr_un){.sun_family = AF_UNIX}; /* any name */
	address_len = sizeof(address);
	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(
	    bind(fd, (const struct sockaddr *)&address, sizeof(address.sun_family)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &address_len), 0);
	ck_assert_int_eq(server_new(&loop, fd, &handler, NULL, &server, &err), 0);
	asked = 0;
	come_count = 0;
}

static void
teardown(void)
{
	server_free(server);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	for (size_t i = 0; i < come_count; i++)
		(void)close(come_fds[i]); /* nothing is awaited */
}

START_TEST(what_waits_for_all_clients_is_bounded)
{
	static char data[PIECE_BYTES];
	struct str piece = {data, sizeof(data)};
	size_t got = 0, there = 0;
	int clients[IDLE + 1];

	for (size_t i = 0; i < IDLE + 1; i++) {
		clients[i] = ask(&address, address_len);
		while (asked == i)
			(void)uv_run(&loop, UV_RUN_ONCE);
	}
	for (size_t round = 1; round <= ROUNDS; round++) {
		server_each_marked(server, send_piece, &piece);
		read_all(&loop, clients[IDLE], &got, round * PIECE_BYTES);
	}
	for (size_t i = 0; i < IDLE; i++)
		there += server_find(server, ids[i]) != NULL;
	ck_assert_uint_eq(there, IDLE - 2); /* more than 64 MiB twice */
	ck_assert_ptr_nonnull(server_find(server, ids[IDLE]));
	for (size_t i = 0; i < IDLE + 1; i++)
		(void)close(clients[i]); /* nothing is awaited */
}
END_TEST

/* ---- more than there is room for ---- */

/* Connects as that user, and is accepted. */
static int
come(uid_t uid, bool asks)
{
	const size_t before = asked;
	int fd;

	ck_assert_int_eq(seteuid(uid), 0);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	ck_assert_int_eq(
	    connect(fd, (const struct sockaddr *)&address, address_len), 0);
	ck_assert_int_eq(seteuid(0), 0);
	if (asks)
		ck_assert_int_eq(write(fd, "q\n", 2), 2);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	for (unsigned i = 0; i < 10 && asks && asked == before; i++)
		(void)uv_run(&loop, UV_RUN_NOWAIT);
	come_fds[come_count++] = fd;
	return fd;
}

static bool
is_there(int fd)
{
	char byte;

	return read(fd, &byte, 1) < 0 && errno == EAGAIN;
}

START_TEST(who_asks_nothing_makes_room)
{
	int idle[ROOM], fd;

	if (geteuid() != 0)
		return; /* who has less room */
	for (size_t i = 0; i < ROOM; i++)
		idle[i] = come(0, false);
	ck_assert(is_there(idle[0]) && is_there(idle[ROOM - 1]));
	fd = come(0, true);
	ck_assert_uint_eq(asked, 1);
	ck_assert(is_there(fd) && !is_there(idle[0]) && is_there(idle[1]));
	fd = come(0, true);
	ck_assert_uint_eq(asked, 2);
	ck_assert(!is_there(idle[1]) && is_there(idle[2]));
}
END_TEST

/* Who has asked, and waits for what comes, is not sent away; who came last is. */
START_TEST(others_leave_room_for_root)
{
	int fds[ROOM], fd;

	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < OTHERS; i++)
		fds[i] = come(65534, true);
	ck_assert_uint_eq(asked, OTHERS);
	fd = come(65534, true);
	ck_assert_uint_eq(asked, OTHERS);
	ck_assert(!is_there(fd) && is_there(fds[0]) && is_there(fds[OTHERS - 1]));
	for (size_t i = OTHERS; i < ROOM; i++)
		fds[i] = come(0, true);
	ck_assert_uint_eq(asked, ROOM);
	ck_assert(is_there(fds[ROOM - 1]));
	fd = come(0, true);
	ck_assert_uint_eq(asked, ROOM);
	/* One who says no more may be gone. */
	ck_assert_int_eq(shutdown(fds[7], SHUT_WR), 0);
	(void)uv_run(&loop, UV_RUN_NOWAIT);
	fd = come(0, true);
	ck_assert_uint_eq(asked, ROOM + 1);
	ck_assert(is_there(fd) && !is_there(fds[7]));
}
END_TEST

/* Nobody reads; root is furthest behind, and all together leave more than there is room for. */
START_TEST(others_leave_root_what_it_has_not_read)
{
	static const size_t pieces[] = {15, 13, 13, 13, 13};
	static char data[PIECE_BYTES];
	size_t there = 0;

	if (geteuid() != 0)
		return;
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
		(void)come(i == 0 ? 0 : 65534, true);
	ck_assert_uint_eq(asked, ARRAY_LEN(pieces));
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++) {
		for (size_t n = 0; n < pieces[i]; n++)
			server_send(conns[i], (struct str){data, sizeof(data)});
	}
	for (size_t i = 0; i < ARRAY_LEN(pieces); i++)
		there += server_find(server, ids[i]) != NULL;
	ck_assert_ptr_nonnull(server_find(server, ids[0]));
	ck_assert_uint_eq(there, ARRAY_LEN(pieces) - 1);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("server");
	TCase *tc = tcase_create("server");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_waits_for_all_clients_is_bounded);
	tcase_add_test(tc, who_asks_nothing_makes_room);
	tcase_add_test(tc, others_leave_room_for_root);
	tcase_add_test(tc, others_leave_root_what_it_has_not_read);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
