/*
 * common/proc: messages, and telling the service manager.
 */
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/proc.h"

/* ---- messages ---- */

static struct proc_channel left, right;

static void
open_channels(bool non_blocking)
{
	struct err err = ERR_INIT;
	int fds[2];

	ck_assert_int_eq(proc_pair(fds, non_blocking, &err), 0);
	proc_channel_init(&left, fds[0]);
	proc_channel_init(&right, fds[1]);
}

static void
close_channels(void)
{
	proc_channel_close(&left);
	proc_channel_close(&right);
}

static unsigned
count_fds(void)
{
	unsigned count = 0;

	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			count++;
	return count;
}

START_TEST(proc_recv_returns_what_was_sent)
{
	struct err err = ERR_INIT;
	struct proc_msg in = {.type = 7, .id = 0xdeadbeef};
	struct proc_msg out;
	struct buf body = {0};

	open_channels(true);
	buf_add(&body, "hello\0there", 11);
	in.data = (const uint8_t *)body.data;
	in.len = body.len;
	ck_assert_int_eq(proc_send(&left, &in, &err), 0);
	ck_assert_int_eq(proc_recv(&right, &out, &err), 1);
	ck_assert_uint_eq(out.type, 7);
	ck_assert_uint_eq(out.id, 0xdeadbeef);
	ck_assert_uint_eq(out.len, 11);
	ck_assert_mem_eq(out.data, "hello\0there", 11);
	ck_assert_uint_eq(out.fd_count, 0);
	ck_assert_int_eq(proc_recv(&right, &out, &err), 0);
	buf_free(&body);
	close_channels();
}
END_TEST

START_TEST(proc_send_takes_an_empty_body)
{
	struct err err = ERR_INIT;
	struct proc_msg in = {.type = 1};
	struct proc_msg out;

	open_channels(true);
	ck_assert_int_eq(proc_send(&left, &in, &err), 0);
	ck_assert_int_eq(proc_recv(&right, &out, &err), 1);
	ck_assert_uint_eq(out.type, 1);
	ck_assert_uint_eq(out.len, 0);
	close_channels();
}
END_TEST

START_TEST(proc_send_takes_the_largest_message_and_no_larger)
{
	static uint8_t data[LIMIT_MESSAGE_BYTES + 1];
	struct err err = ERR_INIT;
	struct proc_msg in = {.type = 1, .data = data, .len = LIMIT_MESSAGE_BYTES};
	struct proc_msg out;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7);
	open_channels(true);
	ck_assert_int_eq(proc_send(&left, &in, &err), 0);
	ck_assert_int_eq(proc_recv(&right, &out, &err), 1);
	ck_assert_uint_eq(out.len, LIMIT_MESSAGE_BYTES);
	ck_assert_mem_eq(out.data, data, LIMIT_MESSAGE_BYTES);
	in.len++;
	ck_assert_int_eq(proc_send(&left, &in, &err), ERR_LIMIT);
	in.len = 1;
	in.fd_count = PROC_MAX_FDS + 1;
	ck_assert_int_eq(proc_send(&left, &in, &err), ERR_LIMIT);
	ck_assert_int_eq(proc_recv(&right, &out, &err), 0);
	close_channels();
}
END_TEST

START_TEST(proc_send_passes_descriptors_close_on_exec)
{
	struct err err = ERR_INIT;
	struct proc_msg in = {.type = 1, .fd_count = PROC_MAX_FDS};
	struct proc_msg out;
	unsigned before;
	int fd;

	open_channels(true);
	before = count_fds();
	fd = memfd_create("x", 0);
	ck_assert_int_eq(write(fd, "abcd", 4), 4);
	for (size_t i = 0; i < PROC_MAX_FDS; i++)
		in.fds[i] = fd;
	ck_assert_int_eq(proc_send(&left, &in, &err), 0);
	ck_assert_int_eq(proc_recv(&right, &out, &err), 1);
	ck_assert_uint_eq(out.fd_count, PROC_MAX_FDS);
	for (size_t i = 0; i < PROC_MAX_FDS; i++) {
		char text[4];

		ck_assert_int_eq(fcntl(out.fds[i], F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(pread(out.fds[i], text, 4, 0), 4);
		ck_assert_mem_eq(text, "abcd", 4);
	}
	proc_msg_close_fds(&out);
	ck_assert_uint_eq(out.fd_count, 0);
	close(fd);
	ck_assert_uint_eq(count_fds(), before);
	close_channels();
}
END_TEST

START_TEST(proc_recv_fails_when_peer_is_gone)
{
	struct err err = ERR_INIT;
	struct proc_msg in = {.type = 1};
	struct proc_msg out;

	open_channels(true);
	ck_assert_int_eq(proc_send(&left, &in, &err), 0);
	proc_channel_close(&left);
	ck_assert_int_eq(
	    proc_recv(&right, &out, &err), 1); /* what was sent still comes */
	ck_assert_int_eq(proc_recv(&right, &out, &err), ERR_UNAVAILABLE);
	ck_assert_int_eq(proc_send(&right, &in, &err), ERR_UNAVAILABLE);
	ck_assert_int_ne(err.sys, EAGAIN);
	close_channels();
}
END_TEST

START_TEST(proc_send_says_full_when_nobody_reads)
{
	static uint8_t data[LIMIT_MESSAGE_BYTES];
	struct err err = ERR_INIT;
	struct proc_msg in = {.type = 1, .data = data, .len = sizeof(data)};
	struct proc_msg out;
	unsigned sent = 0, received = 0;
	int rc;

	open_channels(true);
	while ((rc = proc_send(&left, &in, &err)) == 0 && sent < 1000)
		sent++;
	ck_assert_int_eq(rc, ERR_UNAVAILABLE);
	ck_assert_int_eq(err.sys, EAGAIN);
	ck_assert_uint_ge(sent, 1);
	while (proc_recv(&right, &out, &err) == 1)
		received++;
	ck_assert_uint_eq(received, sent);
	ck_assert_int_eq(proc_send(&left, &in, &err), 0);
	close_channels();
}
END_TEST

START_TEST(proc_channel_set_blocking_changes_this_end_only)
{
	struct err err = ERR_INIT;

	open_channels(true);
	ck_assert_int_eq(proc_channel_set_blocking(&left, true, &err), 0);
	ck_assert_int_eq(fcntl(left.fd, F_GETFL) & O_NONBLOCK, 0);
	ck_assert_int_eq(fcntl(right.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	ck_assert_int_eq(proc_channel_set_blocking(&left, false, &err), 0);
	ck_assert_int_eq(fcntl(left.fd, F_GETFL) & O_NONBLOCK, O_NONBLOCK);
	close_channels();
}
END_TEST

/* Little-endian: magic "RFM1", type, id, length. */
#define GOOD_HEADER 'R', 'F', 'M', '1', 2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0

struct record {
	const char *what;
	uint8_t bytes[24];
	size_t len;
	bool ok;
};

static const struct record records[] = {
    {"good", {GOOD_HEADER, 'x', 'y'}, 18, true},
    {"too short a body", {GOOD_HEADER, 'x'}, 17, false},
    {"too long a body", {GOOD_HEADER, 'x', 'y', 'z'}, 19, false},
    {"half a header", {GOOD_HEADER}, 15, false},
    {"one byte", {'R'}, 1, false},
    {"another magic", {'R', 'F', 'M', '2', 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0}, 16,
	false},
    {"a huge length",
	{'R', 'F', 'M', '1', 2, 0, 0, 0, 3, 0, 0, 0, 0xff, 0xff, 0xff, 0xff}, 16,
	false},
};

/* Sends raw bytes with a descriptor to a channel: a peer that breaks the protocol. */
static void
send_raw(int fd, const void *data, size_t len, int passed, unsigned copies)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} control = {0};
	char *copy = malloc(len + 1);
	struct iovec iov = {copy, len};
	struct msghdr mh = {.msg_iov = &iov, .msg_iovlen = 1};

	ck_assert_ptr_nonnull(copy);
	memcpy(copy, data, len);
	if (copies > 0) {
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(copies * sizeof(int));
		for (unsigned i = 0; i < copies; i++)
			memcpy(CMSG_DATA(&control.header) + i * sizeof(int), &passed,
			    sizeof(int));
		mh.msg_control = &control;
		mh.msg_controllen = CMSG_SPACE(copies * sizeof(int));
	}
	ck_assert_int_eq(sendmsg(fd, &mh, MSG_NOSIGNAL), (ssize_t)len);
	free(copy);
}

START_TEST(proc_recv_refuses_malformed_and_closes_its_descriptors)
{
	const struct record *r = &records[_i];
	struct err err = ERR_INIT;
	struct proc_msg out;
	unsigned before;

	open_channels(true);
	before = count_fds();
	send_raw(left.fd, r->bytes, r->len, STDIN_FILENO, 2);
	ck_assert_msg(
	    proc_recv(&right, &out, &err) == (r->ok ? 1 : ERR_PROTOCOL), "%s", r->what);
	if (r->ok) {
		ck_assert_uint_eq(out.type, 2);
		ck_assert_uint_eq(out.id, 3);
		ck_assert_mem_eq(out.data, "xy", 2);
		ck_assert_uint_eq(out.fd_count, 2);
		proc_msg_close_fds(&out);
	}
	ck_assert_uint_eq(out.fd_count, 0);
	ck_assert_uint_eq(count_fds(), before);
	close_channels();
}
END_TEST

START_TEST(proc_recv_refuses_too_many_descriptors_and_closes_them)
{
	struct err err = ERR_INIT;
	struct proc_msg out;
	unsigned before;

	open_channels(true);
	before = count_fds();
	send_raw(
	    left.fd, records[0].bytes, records[0].len, STDIN_FILENO, PROC_MAX_FDS + 3);
	ck_assert_int_eq(proc_recv(&right, &out, &err), ERR_PROTOCOL);
	ck_assert_uint_eq(out.fd_count, 0);
	ck_assert_uint_eq(count_fds(), before);
	close_channels();
}
END_TEST

START_TEST(proc_recv_refuses_a_record_that_is_too_long)
{
	static uint8_t data[LIMIT_MESSAGE_BYTES + 17] = {'R', 'F', 'M', '1'};
	struct err err = ERR_INIT;
	struct proc_msg out;

	open_channels(true);
	/* The length that the receiver would see, if it looked at the header alone. */
	data[12] = (uint8_t)LIMIT_MESSAGE_BYTES;
	data[13] = (uint8_t)(LIMIT_MESSAGE_BYTES >> 8);
	data[14] = (uint8_t)(LIMIT_MESSAGE_BYTES >> 16);
	send_raw(left.fd, data, sizeof(data), -1, 0);
	ck_assert_int_eq(proc_recv(&right, &out, &err), ERR_PROTOCOL);
	close_channels();
}
END_TEST

START_TEST(proc_recv_takes_an_empty_record_for_the_end)
{
	struct err err = ERR_INIT;
	struct proc_msg out;
	unsigned before;

	open_channels(true);
	before = count_fds();
	send_raw(left.fd, "", 0, STDIN_FILENO, 1);
	ck_assert_int_eq(proc_recv(&right, &out, &err), ERR_UNAVAILABLE);
	ck_assert_uint_eq(count_fds(), before);
	close_channels();
}
END_TEST

START_TEST(proc_reader_reads_little_endian_and_stops_at_the_end)
{
	struct buf b = {0};
	struct proc_msg msg = {0};
	struct proc_reader r;

	proc_put_u8(&b, 0x01);
	proc_put_u16(&b, 0x0203);
	proc_put_u32(&b, 0x04050607);
	proc_put_u64(&b, 0x08090a0b0c0d0e0f);
	proc_put_str(&b, STR("text"));
	proc_put_str(&b, STR(""));
	ck_assert_uint_eq(b.len, 1 + 2 + 4 + 8 + 8 + 4);
	ck_assert_mem_eq(b.data,
	    "\x01\x03\x02\x07\x06\x05\x04\x0f\x0e\x0d\x0c\x0b\x0a\x09\x08\x04\0\0\0text"
	    "\0\0\0\0",
	    b.len);
	msg.data = (const uint8_t *)b.data;
	msg.len = b.len;
	proc_reader_init(&r, &msg);
	ck_assert_uint_eq(proc_get_u8(&r), 0x01);
	ck_assert_uint_eq(proc_get_u16(&r), 0x0203);
	ck_assert_uint_eq(proc_get_u32(&r), 0x04050607);
	ck_assert_uint_eq(proc_get_u64(&r), 0x08090a0b0c0d0e0f);
	ck_assert(!proc_reader_done(&r));
	ck_assert(str_is(proc_get_str(&r), "text"));
	ck_assert(str_is(proc_get_str(&r), ""));
	ck_assert(proc_reader_done(&r));
	ck_assert_uint_eq(proc_get_u8(&r), 0);
	ck_assert(!r.ok);
	ck_assert(!proc_reader_done(&r));
	buf_free(&b);
}
END_TEST

START_TEST(proc_reader_stays_failed_when_something_is_cut)
{
	static const uint8_t cut[] = {5, 0, 0, 0, 'a', 'b', 'c', 'd'};
	struct proc_msg msg = {.data = cut, .len = sizeof(cut)};
	struct proc_reader r;

	proc_reader_init(&r, &msg);
	ck_assert_uint_eq(proc_get_str(&r).len, 0); /* says 5, has 4 */
	ck_assert(!r.ok);
	ck_assert_uint_eq(proc_get_u8(&r), 0);
	ck_assert_ptr_null(proc_get_bytes(&r, 1));
	msg.len = 3;
	proc_reader_init(&r, &msg);
	ck_assert_uint_eq(proc_get_u32(&r), 0);
	ck_assert(!r.ok);
	msg = (struct proc_msg){0};
	proc_reader_init(&r, &msg);
	ck_assert(proc_reader_done(&r));
	ck_assert_ptr_nonnull(proc_get_bytes(&r, 0));
	ck_assert_ptr_null(proc_get_bytes(&r, SIZE_MAX));
}
END_TEST

/* ---- service manager ---- */

static int
notify_socket(const char *name, size_t len)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	memcpy(address.sun_path, name, len);
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&address,
			     (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)),
	    0);
	return fd;
}

static void
expect_notification(int fd, const char *expected)
{
	char text[64];
	ssize_t n = recv(fd, text, sizeof(text) - 1, MSG_DONTWAIT);

	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	ck_assert_str_eq(text, expected);
	close(fd);
}

START_TEST(proc_notify_sends_to_path_and_abstract_sockets)
{
	char directory[] = "/tmp/check_proc.XXXXXX";
	char path[64], abstract[64];
	int fd;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/notify", directory);
	fd = notify_socket(path, strlen(path) + 1);
	setenv("NOTIFY_SOCKET", path, 1);
	proc_notify("READY=1");
	(void)unlink(path);
	(void)rmdir(directory);
	expect_notification(fd, "READY=1");

	(void)snprintf(abstract, sizeof(abstract), "@check_proc.%d", (int)getpid());
	setenv("NOTIFY_SOCKET", abstract, 1);
	abstract[0] = '\0';
	fd = notify_socket(abstract, 1 + strlen(abstract + 1));
	proc_notify("STOPPING=1");
	expect_notification(fd, "STOPPING=1");
}
END_TEST

START_TEST(proc_notify_does_nothing_without_a_socket)
{
	unsigned before = count_fds();

	unsetenv("NOTIFY_SOCKET");
	proc_notify("READY=1");
	setenv("NOTIFY_SOCKET", "/nonexistent/notify", 1);
	proc_notify("READY=1");
	setenv("NOTIFY_SOCKET", "relative", 1);
	proc_notify("READY=1");
	ck_assert_uint_eq(count_fds(), before);
}
END_TEST

START_TEST(proc_ready_fd_writes_one_line_and_closes)
{
	char text[16];
	int fds[2];

	ck_assert_int_eq(pipe2(fds, O_CLOEXEC), 0);
	proc_ready_fd(fds[1]);
	ck_assert_int_eq(read(fds[0], text, sizeof(text)), 6);
	ck_assert_mem_eq(text, "READY\n", 6);
	ck_assert_int_eq(read(fds[0], text, sizeof(text)), 0);
	close(fds[0]);
	proc_ready_fd(-1);
}
END_TEST

static TCase *
messages_case(void)
{
	TCase *tc = tcase_create("messages");

	tcase_add_test(tc, proc_recv_returns_what_was_sent);
	tcase_add_test(tc, proc_send_takes_an_empty_body);
	tcase_add_test(tc, proc_send_takes_the_largest_message_and_no_larger);
	tcase_add_test(tc, proc_send_passes_descriptors_close_on_exec);
	tcase_add_test(tc, proc_recv_fails_when_peer_is_gone);
	tcase_add_test(tc, proc_send_says_full_when_nobody_reads);
	tcase_add_test(tc, proc_channel_set_blocking_changes_this_end_only);
	tcase_add_loop_test(tc, proc_recv_refuses_malformed_and_closes_its_descriptors,
	    0, ARRAY_LEN(records));
	tcase_add_test(tc, proc_recv_refuses_too_many_descriptors_and_closes_them);
	tcase_add_test(tc, proc_recv_refuses_a_record_that_is_too_long);
	tcase_add_test(tc, proc_recv_takes_an_empty_record_for_the_end);
	tcase_add_test(tc, proc_reader_reads_little_endian_and_stops_at_the_end);
	tcase_add_test(tc, proc_reader_stays_failed_when_something_is_cut);
	return tc;
}

static TCase *
manager_case(void)
{
	TCase *tc = tcase_create("manager");

	tcase_add_test(tc, proc_notify_sends_to_path_and_abstract_sockets);
	tcase_add_test(tc, proc_notify_does_nothing_without_a_socket);
	tcase_add_test(tc, proc_ready_fd_writes_one_line_and_closes);
	return tc;
}

int
main(void)
{
	Suite *suite = suite_create("proc");
	SRunner *runner;
	int failed;

	suite_add_tcase(suite, messages_case());
	suite_add_tcase(suite, manager_case());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
