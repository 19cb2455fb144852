/*
 * Requests lie on the stacks of the handshakes that wait for them, and in one queue in the
 * order in which they came. Whoever ends such a handshake enters it once more before he frees it
 * (stream.c): the request then finds itself unanswered, and leaves.
 */
#include "authn/tls/key_client.h"

#include <openssl/async.h>
#include <stdlib.h>
#include <string.h>

#include "authn/tls/key_remote.h"
#include "authn/wire/messages.h"
#include "authn/wire/peer_poll.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/proc.h"

struct waiting {
	struct waiting *next;
	const struct key_request *request;
	ASYNC_WAIT_CTX *wait; /* of the handshake: whom to tell */
	uint32_t id;
	bool sent, done;
	monotime_t since;
	uint8_t *signature; /* KEY_SIGNATURE_BYTES */
	size_t len;         /* 0: refused */
};

struct key_client {
	uv_loop_t *loop;
	uv_poll_t *poll; /* NULL without a socket */
	struct proc_channel channel;
	struct waiting *first, **tail;
	uint32_t next_id;
	int events; /* what `poll` waits for */
	struct key_client_counts counts;
};

static void on_poll(uv_poll_t *poll, int status, int events);

static void
disconnect(struct key_client *c)
{
	peer_poll_close(&c->poll, &c->channel);
}

static bool
send_one(struct key_client *c, struct waiting *w)
{
	struct buf body = {NULL, 0, 0};
	struct proc_msg msg = {.type = MSG_KEY_SIGN, .id = w->id};
	struct err err = ERR_INIT;

	key_put_request(&body, w->request);
	msg.data = (const uint8_t *)body.data;
	msg.len = body.len;
	w->sent = proc_send(&c->channel, &msg, &err) == 0;
	buf_free(&body);
	return w->sent;
}

/* Sends what is not sent yet, as far as the socket takes it. */
static void
send_waiting(struct key_client *c)
{
	bool full = false;
	int events;

	if (c->poll == NULL)
		return;
	for (struct waiting *w = c->first; w != NULL && !full; w = w->next)
		full = !w->sent && !send_one(c, w);
	events = UV_READABLE | (full ? UV_WRITABLE : 0);
	if (events == c->events)
		return;
	c->events = events;
	if (uv_poll_start(c->poll, events, on_poll) != 0)
		base_die("cannot watch the key role");
}

static void
add(struct key_client *c, struct waiting *w)
{
	c->next_id = c->next_id == UINT32_MAX ? 1 : c->next_id + 1;
	w->id = c->next_id;
	w->since = monotime_now();
	*c->tail = w;
	c->tail = &w->next;
	c->counts.waiting++;
}

/* NULL if it is not there any more. */
static struct waiting *
take(struct key_client *c, uint32_t id)
{
	struct waiting **at = &c->first, *w;

	while (*at != NULL && (*at)->id != id)
		at = &(*at)->next;
	w = *at;
	if (w == NULL)
		return NULL;
	*at = w->next;
	if (c->tail == &w->next)
		c->tail = at;
	c->counts.waiting--;
	return w;
}

static bool
on_signed(struct key_client *c, const struct proc_msg *msg)
{
	struct str signature;
	struct waiting *w;
	ASYNC_callback_fn tell;
	void *arg;

	if (msg->type != MSG_KEY_SIGNED || msg->fd_count != 0 ||
	    !key_get_signature(msg, &signature))
		return false;
	w = take(c, msg->id);
	if (w == NULL)
		return true; /* its connection is gone */
	c->counts.wait_us += monotime_since(w->since, monotime_now()) / 1000;
	if (signature.len != 0)
		c->counts.signatures++;
	else
		c->counts.refused++;
	memcpy(w->signature, signature.ptr, signature.len);
	w->len = signature.len;
	w->done = true;
	/* Enters the handshake again; `w` is gone when that returns. */
	if (ASYNC_WAIT_CTX_get_callback(w->wait, &tell, &arg) == 1 && tell != NULL)
		(void)tell(arg);
	return true;
}

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct key_client *c = poll->data;
	struct err err = ERR_INIT;
	struct proc_msg msg;
	int rc = status < 0 ? ERR_UNAVAILABLE : 1;

	while (rc == 1) {
		rc = proc_recv(&c->channel, &msg, &err);
		if (rc == 1 && !on_signed(c, &msg))
			rc = ERR_PROTOCOL;
		if (rc != 0)
			proc_msg_close_fds(&msg);
	}
	if (rc < 0) {
		log_warn("key-role-lost", "waiting=%zu", c->counts.waiting);
		disconnect(c);
	} else if ((events & UV_WRITABLE) != 0) {
		send_waiting(c);
	}
}

/* A key_sign_fn, on the stack of a handshake. */
static bool
sign(void *arg, const struct key_request *request, uint8_t *out_signature,
    size_t *out_len)
{
	struct key_client *c = arg;
	ASYNC_JOB *job = ASYNC_get_current_job();
	struct waiting w = {.request = request, .signature = out_signature};

	/* Outside of a job there is nobody who could wait. */
	if (job == NULL || c->counts.waiting >= KEY_WAITING_MAX)
		return false;
	w.wait = ASYNC_get_wait_ctx(job);
	add(c, &w);
	send_waiting(c);
	(void)ASYNC_pause_job();
	if (!w.done)
		(void)take(c, w.id); /* entered to be ended */
	*out_len = w.len;
	return w.done && w.len != 0;
}

int
key_client_reconnect(struct key_client *c, int fd, struct err *err)
{
	int rc;

	disconnect(c);
	rc = peer_poll_open(c->loop, &c->channel, fd, "the key role", c, &c->poll, err);
	if (rc != 0)
		return rc;
	c->events = 0;
	for (struct waiting *w = c->first; w != NULL; w = w->next)
		w->sent = false;
	send_waiting(c);
	return 0;
}

struct key_client *
key_client_new(uv_loop_t *loop)
{
	struct key_client *c = xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->channel.fd = -1;
	c->tail = &c->first;
	key_remote_signer(sign, c);
	return c;
}

void
key_client_free(struct key_client *c)
{
	if (c == NULL)
		return;
	key_remote_signer(NULL, NULL);
	disconnect(c);
	free(c);
}

struct key_client_counts
key_client_count(const struct key_client *c)
{
	return c->counts;
}
