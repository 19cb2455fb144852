/*
 * Two locks: who holds `turn` has the channel for himself, and waits; the other one is held for a
 * moment, so that the loop can bring a new socket at any time.
 */
#include "authn/tls/key_thread.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "authn/tls/key_remote.h"
#include "authn/wire/messages.h"
#include "common/clock.h"
#include "common/log.h"

#define WAIT_NS UINT64_C(5000000000) /* less than any connection's own limit */

static struct {
	pthread_mutex_t turn;
	struct proc_channel channel; /* whose turn it is */
	uint32_t next_id;
	pthread_mutex_t lock;
	pthread_cond_t brought;
	int next_fd; /* under the lock; -1: none */
} key = {.turn = PTHREAD_MUTEX_INITIALIZER,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .channel = {.fd = -1},
    .next_fd = -1};

/* The newest socket that there is; false: there is none in time. */
static bool
take_socket(monotime_t end)
{
	const struct timespec at = {.tv_sec = (time_t)(end.ns / 1000000000u),
	    .tv_nsec = (long)(end.ns % 1000000000u)};
	int rc = 0, fd;

	(void)pthread_mutex_lock(&key.lock); /* cannot fail: it is our own */
	while (key.channel.fd < 0 && key.next_fd < 0 && rc == 0)
		rc = pthread_cond_timedwait(&key.brought, &key.lock, &at);
	fd = key.next_fd;
	key.next_fd = -1;
	(void)pthread_mutex_unlock(&key.lock);
	if (fd >= 0) {
		proc_channel_close(&key.channel);
		proc_channel_init(&key.channel, fd);
	}
	return key.channel.fd >= 0;
}

/* Waits for something to read. */
static bool
wait_readable(monotime_t end)
{
	struct pollfd wait = {.fd = key.channel.fd, .events = POLLIN};
	int ready = -1;

	do {
		const monotime_t now = monotime_now();

		if (now.ns >= end.ns)
			return false;
		ready = poll(&wait, 1, (int)((end.ns - now.ns) / 1000000) + 1);
	} while (ready == 0 || (ready < 0 && errno == EINTR));
	return ready == 1;
}

/* 1: answered; 0: not in time; negative: the role is lost. */
static int
ask_once(const struct key_request *request, monotime_t end, uint8_t *out_signature,
    size_t *out_len)
{
	struct proc_msg msg = {.type = MSG_KEY_SIGN, .id = ++key.next_id};
	struct buf body = {NULL, 0, 0};
	struct err err = ERR_INIT;
	struct str signature;
	int rc;

	key_put_request(&body, request);
	msg.data = (const uint8_t *)body.data;
	msg.len = body.len;
	rc = proc_send(&key.channel, &msg, &err);
	buf_free(&body);
	if (rc != 0)
		return ERR_UNAVAILABLE;
	if (!wait_readable(end))
		return 0;
	rc = proc_recv(&key.channel, &msg, &err);
	if (rc != 1)
		return ERR_UNAVAILABLE;
	proc_msg_close_fds(&msg);
	if (msg.type != MSG_KEY_SIGNED || msg.id != key.next_id ||
	    !key_get_signature(&msg, &signature))
		return ERR_PROTOCOL;
	memcpy(out_signature, signature.ptr, signature.len);
	*out_len = signature.len;
	return 1;
}

/* A key_sign_fn. */
static bool
sign(void *arg, const struct key_request *request, uint8_t *out_signature,
    size_t *out_len)
{
	monotime_t end = monotime_now();
	int rc = ERR_UNAVAILABLE;

	(void)arg;
	end.ns += WAIT_NS;
	*out_len = 0;
	(void)pthread_mutex_lock(&key.turn); /* cannot fail: it is our own */
	while (rc < 0 && take_socket(end)) {
		rc = ask_once(request, end, out_signature, out_len);
		if (rc != 1) /* an answer that comes late would be taken for the next */
			proc_channel_close(&key.channel);
	}
	(void)pthread_mutex_unlock(&key.turn);
	if (rc != 1)
		log_warn("key-role-silent", "detail=\"a handshake was not signed\"");
	return rc == 1 && *out_len != 0;
}

void
key_thread_start(void)
{
	pthread_condattr_t attributes;

	(void)pthread_condattr_init(&attributes); /* these cannot fail */
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&key.brought, &attributes);
	key_remote_thread_signer(sign, NULL);
}

void
key_thread_connect(int fd)
{
	int old;

	(void)pthread_mutex_lock(&key.lock); /* cannot fail: it is our own */
	old = key.next_fd;
	key.next_fd = fd;
	(void)pthread_cond_signal(&key.brought); /* cannot fail */
	(void)pthread_mutex_unlock(&key.lock);
	if (old >= 0)
		(void)close(old); /* nothing was sent */
}
