#include "authn/proxy/worker.h"

#include <errno.h>
#include <jansson.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "authn/proxy/upstream.h"
#include "authn/proxy/worker_client.h"
#include "authn/proxy/worker_sandbox.h"
#include "authn/proxy/worker_state.h"
#include "authn/wire/messages.h"
#include "authn/wire/monitor_link.h"
#include "common/ip_socket.h"
#include "common/limits.h"
#include "common/log.h"
#include "common/secret.h"

#define ACCEPT_BUDGET 64 /* connections in one turn */

/* ---- listeners ---- */

static void on_listener(uv_poll_t *handle, int status, int events);

/* Out of descriptors: accepting again at once would only spin. */
static void
rest_listener(struct worker_listener *l)
{
	log_warn("out-of-descriptors", "connections=%zu", l->w->client_count);
	(void)uv_poll_stop(&l->poll);
	l->resting = true;
}

static void
wake_listeners(struct worker *w)
{
	for (size_t i = 0; i < w->listener_count; i++) {
		struct worker_listener *l = &w->listeners[i];

		if (l->resting)
			(void)uv_poll_start(&l->poll, UV_READABLE, on_listener);
		l->resting = false;
	}
}

static void
on_listener(uv_poll_t *handle, int status, int events)
{
	struct worker_listener *l = handle->data;

	(void)status;
	(void)events;
	for (int i = 0; i < ACCEPT_BUDGET; i++) {
		union ip_socket sa = {.any = {.sa_family = AF_UNSPEC}};
		socklen_t len = sizeof(sa);
		struct ip_addr peer;
		int fd = accept4(l->fd, &sa.any, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE)
				rest_listener(l);
			return;
		}
		if (!ip_from_socket(&sa.any, &peer, NULL))
			(void)close(fd);
		else
			client_accept(l->w, fd, &peer);
	}
}

static void
open_listeners(struct worker *w)
{
	for (size_t i = 0; i < w->listener_count; i++) {
		struct worker_listener *l = &w->listeners[i];

		l->w = w;
		l->poll.data = l;
		if (uv_poll_init(&w->loop, &l->poll, l->fd) != 0 ||
		    uv_poll_start(&l->poll, UV_READABLE, on_listener) != 0)
			base_die("cannot watch a listener");
	}
}

/* ---- configuration ---- */

/* Certificates that do not verify any more, by other authorities or a longer list of revoked ones,
 * end with their requests. */
static void
recheck_certificates(struct worker *w)
{
	struct exchange *next;

	for (struct client_conn *c = w->clients; c != NULL; c = c->next) {
		if (c->certificate != NULL && !c->certificate->revoked &&
		    !tls_peer_verifies(w->server_tls, c->stream.ssl)) {
			log_info("client-certificate-withdrawn", "source=%s user=%s",
			    c->source, log_quote(c->certificate->user));
			c->certificate->revoked = true;
		}
	}
	for (struct exchange *x = w->exchanges; x != NULL; x = next) {
		next = x->next;
		if (x->id != NULL && x->state == EXCHANGE_UPSTREAM &&
		    exchange_signed_out(x, walltime_now()))
			worker_end_credentials(x);
	}
}

static int
make_contexts(struct worker *w, const struct worker_settings *s, SSL_CTX **out_server,
    SSL_CTX **out_upstream, struct err *err)
{
	const struct tls_server_options server = {
	    .certificate = s->tls_certificate,
	    .client_ca = s->client_ca,
	    .client_crl = s->client_crl,
	    .tickets = &w->tickets,
	};
	const struct tls_client_options upstream = {
	    .ca = s->upstream_ca,
	    .certificate = s->upstream_certificate,
	};

	*out_server = tls_server_new(&server, err);
	if (*out_server == NULL)
		return err_wrap(err, "listener");
	*out_upstream = tls_client_new(&upstream, err);
	if (*out_upstream == NULL) {
		SSL_CTX_free(*out_server);
		return err_wrap(err, "upstream");
	}
	return 0;
}

/* The monitor has read it before: there is no mistake in it to be told. */
static int
read_audit_policy(struct arena *arena, const struct worker_settings *s,
    const struct audit_policy **out, struct err *err)
{
	const struct source source = {STR("audit policy"), s->audit_policy};
	struct arena *scratch = arena_new();
	struct diag_list diags;

	*out = NULL;
	diag_list_init(&diags, scratch);
	if (s->audit_policy.len != 0)
		*out = audit_policy_load(arena, &source, &diags);
	arena_free(scratch);
	if (s->audit_policy.len != 0 && *out == NULL)
		return err_set(err, ERR_INVALID, "the audit policy cannot be read");
	return 0;
}

/* All or nothing: on failure what was in force stays. */
static int
apply_settings(struct worker *w, int fd, struct err *err)
{
	struct arena *arena = arena_new();
	struct worker_settings s;
	SSL_CTX *server = NULL, *upstream = NULL;
	const struct audit_policy *audit_policy = NULL;
	int rc = worker_settings_open(arena, fd, &s, err);

	if (rc == 0)
		rc = read_audit_policy(arena, &s, &audit_policy, err);
	if (rc == 0)
		rc = make_contexts(w, &s, &server, &upstream, err);
	if (rc != 0) {
		arena_free(arena);
		return rc;
	}
	SSL_CTX_free(w->server_tls);
	SSL_CTX_free(w->upstream_tls);
	w->server_tls = server;
	w->upstream_tls = upstream;
	if (!s.shares_lists)
		list_keys_derive(s.list_seed, sizeof(s.list_seed), &w->list_keys);
	else if (w->list_keys.count != LIST_RING_KEYS)
		w->list_keys.count = 0; /* until the ring comes */
	w->settings = s;
	w->audit_policy = audit_policy;
	if (w->upstreams != NULL)
		upstream_pool_renew(w->upstreams);
	arena_free(w->settings_arena); /* only now: the pool's servers copied theirs */
	recheck_certificates(w);
	w->settings_arena = arena;
	return 0;
}

static bool
apply_policy(struct worker *w, int fd, struct buf *problem)
{
	struct worker_policy *policy = worker_policy_load(fd, problem);

	if (policy == NULL)
		return false;
	/* Nothing keeps pointers into the old one between two turns of the loop. */
	worker_policy_free(w->policy);
	w->policy = policy;
	worker_recheck_streams(w, true);
	return true;
}

/* ---- messages from the monitor ---- */

static void
answer(struct worker *w, uint32_t type, uint32_t id, const struct buf *body)
{
	const struct str text = str_slice(buf_str(body), 0, LIMIT_MESSAGE_BYTES);

	monitor_link_send(w->monitor.channel, type, id, text);
}

static void
on_config(struct worker *w, const struct proc_msg *msg)
{
	struct buf text = {NULL, 0, 0};
	struct err err = ERR_INIT;
	bool ok = msg->fd_count > 0;

	/* Policy first: if it is bad nothing of the reload takes effect. */
	if (ok && msg->fd_count > 1)
		ok = apply_policy(w, msg->fds[1], &text);
	if (ok && apply_settings(w, msg->fds[0], &err) != 0) {
		buf_printf(&text, "%s\n", err.msg);
		ok = false;
	}
	if (ok)
		log_info("in-force", "worker=%u", w->settings.index);
	answer(w, ok ? MSG_READY : MSG_RELOAD_FAILED, msg->id, &text);
	buf_free(&text);
}

static void
on_policy(struct worker *w, const struct proc_msg *msg)
{
	struct buf text = {NULL, 0, 0};
	bool ok = msg->fd_count > 0 && apply_policy(w, msg->fds[0], &text);

	answer(w, ok ? MSG_READY : MSG_RELOAD_FAILED, msg->id, &text);
	buf_free(&text);
}

static int
take_fd(const struct proc_msg *msg, size_t i)
{
	return i < msg->fd_count ? dup(msg->fds[i]) : -1;
}

static void
on_peer(struct worker *w, const struct proc_msg *msg)
{
	struct err err = ERR_INIT;
	int fd = take_fd(msg, 0), rc;

	if (fd < 0)
		return;
	rc = msg->type == MSG_PEER_AUTH    ? auth_client_reconnect(w->auth, fd, &err)
	     : msg->type == MSG_PEER_AUDIT ? audit_client_reconnect(w->audit, fd, &err)
					   : key_client_reconnect(w->keys, fd, &err);
	if (rc != 0)
		log_error("reconnect", "detail=%s", log_quote(str_from(err.msg)));
}

static void
on_ticket_key(struct worker *w, const struct proc_msg *msg)
{
	if (msg->len == TLS_TICKET_KEY_BYTES)
		tls_tickets_add(&w->tickets, msg->data);
	secret_wipe((void *)(uintptr_t)msg->data, msg->len);
}

static void
on_status(struct worker *w, const struct proc_msg *msg)
{
	struct buf text = {NULL, 0, 0};

	worker_status_json(w, &text);
	answer(w, MSG_STATUS, msg->id, &text);
	buf_free(&text);
}

static void
on_drain(struct worker *w, const struct proc_msg *msg)
{
	struct exchange *next;

	(void)msg;
	if (w->draining)
		return;
	log_info("draining", "connections=%zu in-flight=%zu", w->client_count,
	    w->exchange_count);
	w->draining = true;
	w->drain_end.ns =
	    monotime_now().ns + (uint64_t)w->settings.limits.drain_ms * 1000000;
	/* Watches never end by themselves; their clients ask somebody else. */
	for (struct exchange *x = w->exchanges; x != NULL; x = next) {
		next = x->next;
		if (x->state == EXCHANGE_UPSTREAM && str_is(x->info.verb, "watch"))
			exchange_end_stream(x, "the server is shutting down");
	}
	client_drain_all(w);
}

static const struct {
	uint32_t type;
	void (*handle)(struct worker *w, const struct proc_msg *msg);
} handlers[] = {
    {MSG_CONFIG, on_config},
    {MSG_POLICY, on_policy},
    {MSG_PEER_AUTH, on_peer},
    {MSG_PEER_AUDIT, on_peer},
    {MSG_PEER_KEY, on_peer},
    {MSG_TICKET_KEY, on_ticket_key},
    {MSG_STATUS, on_status},
    {MSG_DRAIN, on_drain},
};

static bool
on_monitor(void *arg, struct proc_msg *msg)
{
	struct worker *w = arg;
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(handlers); i++) {
		if (handlers[i].type == msg->type) {
			known = true;
			handlers[i].handle(w, msg);
		}
	}
	return known;
}

/* Without the monitor there is no gate. */
static void
on_monitor_lost(void *arg, const struct err *err)
{
	struct worker *w = arg;

	log_error("monitor-lost", "detail=%s", log_quote(str_from(err->msg)));
	w->exit_status = 1;
	uv_stop(&w->loop);
}

/* ---- once a second ---- */

static void
on_second(void *arg)
{
	struct worker *w = arg;
	struct exchange *next;

	worker_recheck_streams(w, false);
	for (struct exchange *x = w->exchanges; x != NULL; x = next) {
		next = x->next;
		exchange_tick(x, uv_now(&w->loop));
	}
	for (struct client_conn *c = w->clients; c != NULL; c = c->next)
		client_tick(c);
	upstream_tick(w->upstreams);
	wake_listeners(w);
	if (w->draining &&
	    (w->client_count == 0 || monotime_now().ns >= w->drain_end.ns)) {
		log_info("drained", "in-flight=%zu", w->exchange_count);
		uv_stop(&w->loop);
	}
}

/* The record of an answer's end leaves before the end does. */
static void
before_flush(void *arg)
{
	struct worker *w = arg;

	if (w->audit != NULL)
		audit_client_flush(w->audit);
}

static void
on_revoked(void *arg, struct identity *id)
{
	struct worker *w = arg;
	struct exchange *next;

	for (struct exchange *x = w->exchanges; x != NULL; x = next) {
		next = x->next;
		if (x->id == id && x->state == EXCHANGE_UPSTREAM)
			worker_end_credentials(x);
	}
}

static void
on_list_keys(void *arg, const uint8_t *ring)
{
	struct worker *w = arg;

	list_keys_ring(ring, &w->list_keys);
}

/* ---- life ---- */

/* The first message is the configuration; nothing else is done before it. */
static int
first_config(struct worker *w, uint32_t *out_id, struct buf *problem, struct err *err)
{
	struct proc_msg msg;
	int rc;

	do {
		struct pollfd pfd = {.fd = w->monitor.channel->fd, .events = POLLIN};

		(void)poll(&pfd, 1, -1); /* the socket may be non-blocking */
		rc = proc_recv(w->monitor.channel, &msg, err);
	} while (rc == 0);
	if (rc < 0)
		return rc;
	if (msg.type != MSG_CONFIG || msg.fd_count < 2)
		return err_set(err, ERR_PROTOCOL, "expected the configuration");
	rc = apply_settings(w, msg.fds[0], err);
	if (rc == 0) {
		w->policy = worker_policy_load(msg.fds[1], problem);
		if (w->policy == NULL)
			rc = err_set(err, ERR_INVALID, "%.*s", (int)problem->len,
			    problem->data != NULL ? problem->data : "policy");
	}
	proc_msg_close_fds(&msg);
	*out_id = msg.id;
	return rc;
}

static int
connect_roles(struct worker *w, const int *fds, struct err *err)
{
	const struct auth_callbacks callbacks = {
	    .revoked = on_revoked, .list_keys = on_list_keys, .arg = w};
	int rc =
	    auth_client_new(&w->loop, fds[WORKER_FD_AUTH], &callbacks, &w->auth, err);

	if (rc == 0)
		rc = audit_client_new(&w->loop, fds[WORKER_FD_AUDIT],
		    w->settings.audit_required, &w->audit, err);
	w->keys = key_client_new(&w->loop);
	if (rc == 0)
		rc = key_client_reconnect(w->keys, fds[WORKER_FD_KEY], err);
	return rc;
}

static int
start(struct worker *w, const int *fds, size_t fd_count, struct err *err)
{
	void *memory;
	int rc;

	if (fd_count <= WORKER_FD_LISTEN ||
	    fd_count > WORKER_FD_LISTEN + WORKER_MAX_LISTENERS)
		return err_set(err, ERR_INVALID, "%zu descriptors", fd_count);
	memory = mmap(NULL, quota_table_bytes(), PROT_READ | PROT_WRITE, MAP_SHARED,
	    fds[WORKER_FD_QUOTA], 0);
	if (memory == MAP_FAILED)
		return err_sys(err, "quota table");
	w->quota = memory;
	for (size_t i = WORKER_FD_LISTEN; i < fd_count; i++)
		w->listeners[w->listener_count++].fd = fds[i];
	if (uv_loop_init(&w->loop) != 0)
		return err_set(err, ERR_SYSTEM, "event loop");
	stream_hub_init(&w->hub, &w->loop);
	w->hub.second = on_second;
	w->hub.before_flush = before_flush;
	w->hub.arg = w;
	json_object_seed(0); /* opens a file, which the confined may not */
	rc = proc_channel_set_blocking(w->monitor.channel, false, err);
	if (rc == 0)
		rc = connect_roles(w, fds, err);
	if (rc == 0)
		rc = worker_confine(&w->settings, err);
	if (rc != 0)
		return rc;
	w->upstreams = upstream_pool_new(w);
	rc = monitor_link_start(&w->monitor, &w->loop, err);
	if (rc == 0)
		open_listeners(w);
	return rc;
}

static void
close_handle(uv_handle_t *handle, void *arg)
{
	(void)arg;
	if (!uv_is_closing(handle))
		uv_close(handle, NULL);
}

/* Everything goes, in the order in which one thing needs another. */
static void
stop(struct worker *w)
{
	client_close_all(w);
	(void)uv_run(
	    &w->loop, UV_RUN_NOWAIT); /* frees exchanges with their connections */
	upstream_pool_free(w->upstreams);
	(void)uv_run(&w->loop, UV_RUN_NOWAIT);
	auth_client_free(w->auth);
	audit_client_free(w->audit);
	key_client_free(w->keys);
	stream_hub_fini(&w->hub);
	uv_walk(&w->loop, close_handle, NULL);
	(void)uv_run(&w->loop, UV_RUN_DEFAULT);
	(void)uv_loop_close(&w->loop);
	worker_policy_free(w->policy);
	SSL_CTX_free(w->server_tls);
	SSL_CTX_free(w->upstream_tls);
	arena_free(w->settings_arena);
	arena_free(w->scratch);
	while (w->spare_count != 0)
		arena_free(w->spare_arenas[--w->spare_count]);
	iobuf_pool_fini(&w->bufs);
	(void)munmap(w->quota, quota_table_bytes());
}

int
worker_run(struct proc_channel *monitor, const int *fds, size_t fd_count)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	struct buf problem = {NULL, 0, 0};
	struct err err = ERR_INIT;
	uint32_t id = 0;
	int status = 1, rc;

	w->monitor = (struct monitor_link){
	    .channel = monitor, .take = on_monitor, .lost = on_monitor_lost, .arg = w};
	w->scratch = arena_new_sized(16 * 1024);
	/* The monitor alone decides when a worker ends. */
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	rc = first_config(w, &id, &problem, &err);
	if (rc == 0)
		rc = start(w, fds, fd_count, &err);
	if (rc != 0 && problem.len == 0)
		buf_printf(&problem, "%s\n", err.msg);
	/* Ready means confined and listening, not only configured. */
	answer(w, rc == 0 ? MSG_READY : MSG_RELOAD_FAILED, id, &problem);
	buf_free(&problem);
	if (rc != 0) {
		log_error("worker-start", "detail=%s", log_quote(str_from(err.msg)));
		free(w);
		return status;
	}
	(void)uv_run(&w->loop, UV_RUN_DEFAULT);
	status = w->exit_status;
	stop(w);
	free(w);
	return status;
}
