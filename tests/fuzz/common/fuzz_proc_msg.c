/*
 * Messages between processes: any record is a message or refused, the same through a
 * socket as without one, and its body is never read beyond its end.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/limits.h"
#include "common/proc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
require(bool condition)
{
	if (!condition)
		abort();
}

/* The body decides how it is read: each byte that is read names the next type. */
static void
read_body(const struct proc_msg *msg)
{
	struct proc_reader r;
	unsigned sum = 0;

	proc_reader_init(&r, msg);
	while (r.ok && !proc_reader_done(&r)) {
		struct str s;

		switch (proc_get_u8(&r) % 6) {
		case 0:
			sum += (unsigned)proc_get_u16(&r);
			break;
		case 1:
			sum += proc_get_u32(&r);
			break;
		case 2:
			sum += (unsigned)proc_get_u64(&r);
			break;
		case 3:
			s = proc_get_str(&r);
			for (size_t i = 0; i < s.len; i++)
				sum += (unsigned char)s.ptr[i];
			break;
		case 4:
			(void)proc_get_bytes(&r, proc_get_u8(&r));
			break;
		default:
			break;
		}
		require(r.pos <= r.len);
	}
	require(r.ok || proc_get_u64(&r) == 0);
	/* So that the reads above are not optimised away. */
	require(sum != 1 || r.pos <= r.len);
}

static void
through_a_socket(const uint8_t *data, size_t size, bool expected)
{
	struct proc_channel left, right;
	struct proc_msg msg;
	int fds[2];

	require(proc_pair(fds, true, NULL) == 0);
	proc_channel_init(&left, fds[0]);
	proc_channel_init(&right, fds[1]);
	if (send(left.fd, data, size, MSG_NOSIGNAL) == (ssize_t)size) {
		int rc = proc_recv(&right, &msg, NULL);

		if (size == 0)
			require(rc == ERR_UNAVAILABLE);
		else
			require(rc == (expected ? 1 : ERR_PROTOCOL));
		require(msg.fd_count == 0);
	}
	proc_channel_close(&left);
	proc_channel_close(&right);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* At its own end of memory, so that the sanitizer sees a byte too many. */
	uint8_t *copy = malloc(size != 0 ? size : 1);
	struct proc_msg msg = {0};
	bool ok;

	require(copy != NULL);
	if (size != 0)
		memcpy(copy, data, size);
	ok = proc_msg_parse(&msg, copy, size);
	if (ok) {
		require(msg.len <= LIMIT_MESSAGE_BYTES && msg.len + 16 == size);
		read_body(&msg);
	}
	through_a_socket(copy, size, ok);
	/* The body alone, for inputs that have no header. */
	msg = (struct proc_msg){.data = copy, .len = size};
	read_body(&msg);
	free(copy);
	return 0;
}
