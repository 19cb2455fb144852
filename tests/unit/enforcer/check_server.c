/*
 * Clients that do not read what they asked for.
 */
#include "enforcer/server.h"

#include <check.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE_BYTES (1024u * 1024)
#define ROUNDS      40u
#define IDLE        3u /* clients that never read: 120 MiB would wait for them */

static struct server_conn *conns[IDLE + 1];
static uint64_t ids[IDLE + 1];
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

START_TEST(what_waits_for_all_clients_is_bounded)
{
	static const struct server_handler handler = {.name = "test",
	    .end = "\n",
	    .question_bytes = 100,
	    .question = on_question};
	static char data[PIECE_BYTES];
	struct str piece = {data, sizeof(data)};
	struct sockaddr_un address = {.sun_family = AF_UNIX}; /* any name */
	socklen_t len = sizeof(address);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), clients[IDLE + 1];
	struct err err = ERR_INIT;
	struct server *s;
	uv_loop_t loop;
	size_t got = 0, there = 0;

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(
	    bind(fd, (const struct sockaddr *)&address, sizeof(address.sun_family)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&address, &len), 0);
	ck_assert_int_eq(server_new(&loop, fd, &handler, NULL, &s, &err), 0);
	for (size_t i = 0; i < IDLE + 1; i++) {
		clients[i] = ask(&address, len);
		while (asked == i)
			(void)uv_run(&loop, UV_RUN_ONCE);
	}
	for (size_t round = 1; round <= ROUNDS; round++) {
		server_each_marked(s, send_piece, &piece);
		read_all(&loop, clients[IDLE], &got, round * PIECE_BYTES);
	}
	for (size_t i = 0; i < IDLE; i++)
		there += server_find(s, ids[i]) != NULL;
	ck_assert_uint_eq(there, IDLE - 2); /* more than 64 MiB twice */
	ck_assert_ptr_nonnull(server_find(s, ids[IDLE]));
	server_free(s);
	(void)uv_run(&loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	for (size_t i = 0; i < IDLE + 1; i++)
		(void)close(clients[i]); /* nothing is awaited */
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("server");
	TCase *tc = tcase_create("server");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_test(tc, what_waits_for_all_clients_is_bounded);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
