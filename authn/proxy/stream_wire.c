/*
 * Between OpenSSL and the socket. Records that OpenSSL makes in one turn are gathered in
 * a buffer that all streams of a hub share, and leave with one system call; what the socket does
 * not take waits with its stream. OpenSSL never hears that a socket is full.
 */
#include <errno.h>
#include <openssl/bio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "authn/proxy/stream_internal.h"

#define WIRE_SEND_AT (64 * 1024)

static void
add_pending(struct stream *s, const char *data, size_t len)
{
	if (s->pending_cap - s->pending_len < len) {
		size_t cap = s->pending_len + len;

		cap = cap < STREAM_RECORD_BYTES ? STREAM_RECORD_BYTES : cap;
		s->pending = xreallocarray(s->pending, cap, 1);
		s->pending_cap = cap;
	}
	memcpy(s->pending + s->pending_len, data, len);
	s->pending_len += len;
}

void
stream_drop_pending(struct stream *s)
{
	free(s->pending);
	s->pending = NULL;
	s->pending_len = s->pending_pos = s->pending_cap = 0;
}

/* Gives bytes to the socket; returns how many it took. A failure marks the stream. */
static size_t
send_bytes(struct stream *s, const char *data, size_t len)
{
	size_t done = 0;

	while (done < len && !s->broken) {
		ssize_t n = send(s->fd, data + done, len - done, MSG_NOSIGNAL);

		if (n >= 0)
			done += (size_t)n;
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
			break;
		else if (errno != EINTR)
			s->broken = true;
	}
	s->bytes_out += done;
	return done;
}

void
stream_send_pending(struct stream *s)
{
	s->pending_pos +=
	    send_bytes(s, s->pending + s->pending_pos, s->pending_len - s->pending_pos);
	if (s->pending_pos == s->pending_len || s->broken)
		stream_drop_pending(s);
}

void
stream_send_wire(struct stream *s)
{
	struct stream_hub *hub = s->hub;
	size_t len = hub->wire_len, done;

	if (hub->wire_owner != s)
		return;
	hub->wire_owner = NULL;
	hub->wire_len = 0;
	done = send_bytes(s, hub->wire, len);
	if (done < len && !s->broken)
		add_pending(s, hub->wire + done, len - done);
}

static void
put_wire(struct stream *s, const char *data, size_t len)
{
	struct stream_hub *hub = s->hub;

	if (s->pending_len != s->pending_pos) { /* the order of bytes must hold */
		add_pending(s, data, len);
		return;
	}
	if (hub->wire_owner != NULL && hub->wire_owner != s)
		stream_send_wire(hub->wire_owner);
	hub->wire_owner = s;
	/* OpenSSL writes records one by one, so this only fills up a little further. */
	if (len > STREAM_WIRE_BYTES - hub->wire_len) {
		stream_send_wire(s);
		if (s->pending_len != s->pending_pos || len > STREAM_WIRE_BYTES) {
			add_pending(s, data, len);
			return;
		}
		hub->wire_owner = s;
	}
	memcpy(hub->wire + hub->wire_len, data, len);
	hub->wire_len += len;
	if (hub->wire_len >= WIRE_SEND_AT)
		stream_send_wire(s);
}

/* ---- the BIO ---- */

static int
bio_write(BIO *bio, const char *data, int len)
{
	struct stream *s = BIO_get_data(bio);

	if (len <= 0 || s->broken)
		return -1;
	put_wire(s, data, (size_t)len);
	return len;
}

static int
bio_read(BIO *bio, char *out, int len)
{
	struct stream *s = BIO_get_data(bio);
	ssize_t n = recv(s->fd, out, (size_t)len, 0);

	BIO_clear_retry_flags(bio);
	if (n == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	else if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR))
		BIO_set_retry_read(bio);
	return (int)n;
}

static long
bio_ctrl(BIO *bio, int command, long number, void *arg)
{
	(void)number;
	(void)arg;
	if (command == BIO_CTRL_EOF)
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	return command == BIO_CTRL_FLUSH ? 1 : 0;
}

BIO *
stream_bio_new(struct stream *s)
{
	static BIO_METHOD *method;
	BIO *bio;

	if (method == NULL) {
		method =
		    BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
		if (method == NULL || BIO_meth_set_write(method, bio_write) != 1 ||
		    BIO_meth_set_read(method, bio_read) != 1 ||
		    BIO_meth_set_ctrl(method, bio_ctrl) != 1)
			base_die("cannot make a BIO");
	}
	bio = BIO_new(method);
	if (bio == NULL)
		base_die("cannot make a BIO");
	BIO_set_data(bio, s);
	BIO_set_init(bio, 1);
	return bio;
}
