#include "authn/tls/key_role.h"

#include <errno.h>
#include <openssl/crypto.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "authn/tls/key_bundle.h"
#include "authn/wire/messages.h"
#include "authn/wire/monitor_link.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/secret.h"

#define STACK_BYTES    (256u * 1024)
#define SECURE_BYTES   (256 * 1024) /* locked memory for private numbers */
#define SECURE_MIN     32
#define OLD_KEYS_MS    60000 /* well beyond a handshake's time */
#define UNKNOWN_KEY_MS 2000  /* a worker may hear of a new key first */

/* Who signs reads the table under the lock and keeps a reference of his own. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct key_bundle now, before;
	_Atomic uint64_t signatures, refused, busy_us;
} role = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* One who asks, on a thread of his own. */
struct asker {
	struct proc_channel channel;
	enum key_user user;
};

/* ---- keys ---- */

static bool
knows(const struct key_bundle *bundle, const uint8_t *id)
{
	for (size_t i = 0; i < bundle->count; i++) {
		if (memcmp(bundle->entries[i].id, id, KEY_ID_BYTES) == 0)
			return true;
	}
	return false;
}

/* The key that may sign this for him; NULL if there is none. */
static EVP_PKEY *
find_key(enum key_user user, const struct key_request *request)
{
	struct timespec until;
	EVP_PKEY *key = NULL;
	int rc = 0;

	(void)clock_gettime(CLOCK_MONOTONIC, &until); /* cannot fail */
	until.tv_sec += UNKNOWN_KEY_MS / 1000;
	(void)pthread_mutex_lock(&role.lock); /* cannot fail: it is our own */
	while (!knows(&role.now, request->id) && !knows(&role.before, request->id) &&
	       rc == 0)
		rc = pthread_cond_timedwait(&role.changed, &role.lock, &until);
	key = key_bundle_signer(&role.now, user, request);
	if (key == NULL)
		key = key_bundle_signer(&role.before, user, request);
	if (key != NULL)
		(void)EVP_PKEY_up_ref(key); /* cannot fail */
	(void)pthread_mutex_unlock(&role.lock);
	return key;
}

static void
replace_keys(const struct key_bundle *bundle)
{
	(void)pthread_mutex_lock(&role.lock); /* cannot fail: it is our own */
	key_bundle_free(&role.before);
	role.before = role.now;
	role.now = *bundle;
	(void)pthread_cond_broadcast(&role.changed);
	(void)pthread_mutex_unlock(&role.lock);
}

static void
drop_old_keys(void)
{
	(void)pthread_mutex_lock(&role.lock); /* cannot fail: it is our own */
	key_bundle_free(&role.before);
	(void)pthread_mutex_unlock(&role.lock);
}

/* ---- who asks ---- */

static bool
answer(struct asker *asker, const struct proc_msg *question, struct buf *body)
{
	uint8_t signature[KEY_SIGNATURE_BYTES];
	const monotime_t begin = monotime_now();
	struct proc_msg msg = {.type = MSG_KEY_SIGNED, .id = question->id};
	struct key_request request;
	struct err err = ERR_INIT;
	EVP_PKEY *key;
	size_t len = 0;

	if (question->type != MSG_KEY_SIGN || question->fd_count != 0 ||
	    !key_get_request(question, &request))
		return false;
	key = find_key(asker->user, &request);
	if (key == NULL || !key_sign(key, &request, signature, &len))
		len = 0;
	EVP_PKEY_free(key);
	atomic_fetch_add(&role.busy_us, monotime_since(begin, monotime_now()) / 1000);
	atomic_fetch_add(len != 0 ? &role.signatures : &role.refused, 1);
	buf_clear(body);
	proc_put_str(body, (struct str){(const char *)signature, len});
	msg.data = (const uint8_t *)body->data;
	msg.len = body->len;
	return proc_send(&asker->channel, &msg, &err) == 0;
}

static void *
serve(void *arg)
{
	struct asker *asker = arg;
	struct buf body = {NULL, 0, 0};
	struct err err = ERR_INIT;
	struct proc_msg msg;
	bool ok = true;

	while (ok && proc_recv(&asker->channel, &msg, &err) == 1) {
		ok = answer(asker, &msg, &body);
		proc_msg_close_fds(&msg);
	}
	if (!ok)
		log_error("key-link-broken", "detail=%s", log_quote(str_from(err.msg)));
	buf_free(&body);
	proc_channel_close(&asker->channel);
	free(asker);
	return NULL;
}

static void
add_asker(enum key_user user, struct proc_msg *msg)
{
	struct asker *asker = xcalloc(1, sizeof(*asker));
	struct err err = ERR_INIT;
	pthread_attr_t attributes;
	pthread_t thread;

	asker->user = user;
	proc_channel_init(&asker->channel, msg->fds[0]);
	msg->fd_count = 0; /* it is the channel's now */
	if (proc_channel_set_blocking(&asker->channel, true, &err) == 0 &&
	    pthread_attr_init(&attributes) == 0 &&
	    pthread_attr_setstacksize(&attributes, STACK_BYTES) == 0 &&
	    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED) == 0 &&
	    pthread_create(&thread, &attributes, serve, asker) == 0)
		return;
	log_error("key-link", "detail=\"cannot start a thread\"");
	proc_channel_close(&asker->channel); /* it sees that, and asks no more */
	free(asker);
}

/* Whom a socket is from says the message that brings it. */
static const struct {
	uint32_t type;
	enum key_user user;
} peers[] = {
    {MSG_PEER_WORKER, KEY_USER_WORKER},
    {MSG_PEER_AUTH, KEY_USER_AUTH},
    {MSG_PEER_BUDGET, KEY_USER_BUDGET},
};

/* ---- the monitor ---- */

static int
take_config(struct proc_channel *monitor, const struct proc_msg *msg, struct err *err)
{
	struct key_bundle bundle;
	int rc;

	if (msg->fd_count != 1)
		return err_set(err, ERR_PROTOCOL, "the monitor sent no keys");
	rc = key_bundle_open(msg->fds[0], &bundle, err);
	if (rc != 0) {
		key_bundle_free(&bundle);
		return rc;
	}
	replace_keys(&bundle);
	log_info("keys-in-force", "count=%zu", bundle.count);
	monitor_link_send(monitor, MSG_READY, msg->id, STR(""));
	return 0;
}

static void
answer_status(struct proc_channel *monitor, uint32_t id)
{
	struct buf text = {NULL, 0, 0};
	size_t keys;

	(void)pthread_mutex_lock(&role.lock); /* cannot fail: it is our own */
	keys = role.now.count + role.before.count;
	(void)pthread_mutex_unlock(&role.lock);
	buf_printf(&text,
	    "{\"keys\":%zu,\"signatures\":%llu,\"refused\":%llu,\"busyMicroseconds\":%"
	    "llu}",
	    keys, (unsigned long long)atomic_load(&role.signatures),
	    (unsigned long long)atomic_load(&role.refused),
	    (unsigned long long)atomic_load(&role.busy_us));
	monitor_link_send(monitor, MSG_STATUS, id, buf_str(&text));
	buf_free(&text);
}

static int
on_message(struct proc_channel *monitor, struct proc_msg *msg, struct err *err)
{
	for (size_t i = 0; i < ARRAY_LEN(peers); i++) {
		if (msg->type != peers[i].type)
			continue;
		if (msg->fd_count != 1)
			return err_set(err, ERR_PROTOCOL, "a role without a socket");
		add_asker(peers[i].user, msg);
		return 0;
	}
	switch (msg->type) {
	case MSG_CONFIG:
		return take_config(monitor, msg, err);
	case MSG_STATUS:
		answer_status(monitor, msg->id);
		return 0;
	default: /* MSG_DRAIN, or nothing known */
		return ERR_UNAVAILABLE;
	}
}

/* Returns when there is nothing more to do. */
static void
run(struct proc_channel *monitor)
{
	struct pollfd wait = {.fd = monitor->fd, .events = POLLIN};
	struct err err = ERR_INIT;
	struct proc_msg msg;
	monotime_t replaced = {0};
	int rc = 0;

	while (rc >= 0) {
		const int ready = poll(&wait, 1, replaced.ns != 0 ? OLD_KEYS_MS : -1);

		if (ready < 0 && errno != EINTR)
			break;
		if (replaced.ns != 0 && monotime_since(replaced, monotime_now()) >=
					    OLD_KEYS_MS * UINT64_C(1000000)) {
			drop_old_keys();
			replaced.ns = 0;
		}
		while ((rc = proc_recv(monitor, &msg, &err)) == 1) {
			rc = on_message(monitor, &msg, &err);
			if (msg.type == MSG_CONFIG)
				replaced = monotime_now();
			proc_msg_close_fds(&msg);
			if (rc != 0)
				break;
		}
	}
	if (err.msg[0] != '\0')
		log_info("key-ends", "detail=%s", log_quote(str_from(err.msg)));
}

/* ---- start ---- */

static int
start(struct proc_channel *monitor, struct err *err)
{
	struct proc_sandbox sandbox = {.empty_root = true,
	    .files = PROC_FILES_NONE,
	    .syscalls = proc_syscalls_basic,
	    .max_files = 256};
	pthread_condattr_t attributes;
	struct proc_msg msg;
	struct proc_reader r;
	int rc;

	/* Best effort: without it private numbers could be paged out. */
	(void)CRYPTO_secure_malloc_init(SECURE_BYTES, SECURE_MIN);
	(void)OPENSSL_init_ssl(0, NULL); /* reads its configuration */
	if (pthread_condattr_init(&attributes) != 0 ||
	    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) != 0 ||
	    pthread_cond_init(&role.changed, &attributes) != 0)
		return err_set(err, ERR_SYSTEM, "cannot make a condition");
	rc = monitor_link_config(monitor, &msg, err);
	if (rc != 0)
		return rc;
	proc_reader_init(&r, &msg);
	sandbox.uid = proc_get_u32(&r);
	sandbox.gid = proc_get_u32(&r);
	if (!proc_reader_done(&r))
		rc = err_set(err, ERR_PROTOCOL, "malformed configuration");
	if (rc == 0)
		rc = proc_confine(&sandbox, err);
	if (rc == 0)
		rc = take_config(monitor, &msg, err);
	proc_msg_close_fds(&msg);
	return rc;
}

int
key_role_run(struct proc_channel *monitor, const int *fds, size_t fd_count)
{
	struct err err = ERR_INIT;

	(void)fds;
	(void)fd_count;
	log_setup("key", LOG_INFO, LOG_FORMAT_TEXT);
	if (start(monitor, &err) != 0) {
		log_error("key-start", "detail=%s", log_quote(str_from(err.msg)));
		return 1;
	}
	run(monitor);
	_Exit(0); /* threads wait for workers, to nobody's loss */
}
