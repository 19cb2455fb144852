#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enforcer/kernel/nflog_reader.h"

#define RECEIVE_BYTES (128 * 1024) /* the kernel sends at most 64 KiB at a time */
#define READ_BATCH    16           /* datagrams at a time */

/* The kernel numbers what it logs. */
static void
on_packet(void *arg, const struct nflog_packet *packet)
{
	struct nflog_reader *r = arg;

	if (packet->has_seq) {
		if (r->has_seq)
			r->lost += packet->seq - r->next_seq;
		r->has_seq = true;
		r->next_seq = packet->seq + 1;
	}
	r->each(r->arg, packet);
}

static void
on_readable(uv_poll_t *poll, int status, int events)
{
	static _Alignas(8) uint8_t data[RECEIVE_BYTES];
	struct nflog_reader *r = poll->data;

	(void)status; /* an error shows in recv */
	(void)events; /* only readability is watched */
	for (unsigned i = 0; i < READ_BATCH; i++) {
		ssize_t n = recv(r->fd, data, sizeof(data), MSG_DONTWAIT);

		if (n <= 0)
			break; /* nothing now, or an overrun, which the numbers show */
		r->malformed += nflog_read(data, (size_t)n, on_packet, r);
	}
	r->after(r->arg);
}

static void
on_poll_closed(uv_handle_t *handle)
{
	free(handle);
}

void
nflog_reader_close(struct nflog_reader *r)
{
	if (r->poll != NULL) {
		(void)uv_poll_stop(r->poll); /* of an open handle: cannot fail */
		uv_close((uv_handle_t *)r->poll, on_poll_closed);
		r->poll = NULL;
	}
	if (r->fd >= 0)
		(void)close(r->fd); /* only read from */
	r->fd = -1;
	r->has_seq = false;
}

bool
nflog_reader_take(struct nflog_reader *r, uv_loop_t *loop, int fd)
{
	nflog_reader_close(r);
	r->fd = fd;
	if (fd < 0)
		return true;
	r->poll = xcalloc(1, sizeof(*r->poll));
	r->poll->data = r;
	if (uv_poll_init(loop, r->poll, fd) != 0) {
		free(r->poll);
		r->poll = NULL;
	} else if (uv_poll_start(r->poll, UV_READABLE, on_readable) == 0) {
		return true;
	}
	nflog_reader_close(r);
	return false;
}
