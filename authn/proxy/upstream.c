#include "authn/proxy/upstream.h"

#include <stdlib.h>
#include <string.h>

#include "authn/proxy/upstream_internal.h"
#include "common/log.h"

#define WAIT_MAX       1024u /* requests that may wait at one server */
#define WAIT_NS        (10 * NS_PER_S)
#define BACKOFF_MAX_NS (5 * NS_PER_S)

/* ---- servers ---- */

static struct upstream_server *
server_new(struct upstream_pool *pool, const struct worker_upstream *where)
{
	struct arena *arena = arena_new_sized(1024);
	struct upstream_server *s = xcalloc(1, sizeof(*s));
	struct ip_addr *addresses =
	    ARENA_ARRAY(arena, where->address_count, struct ip_addr);
	bool v6 = memchr(where->host.ptr, ':', where->host.len) != NULL;

	memcpy(addresses, where->addresses, where->address_count * sizeof(*addresses));
	s->pool = pool;
	s->w = pool->w;
	s->arena = arena;
	s->where = *where;
	s->where.host = str_dup(arena, where->host);
	s->where.addresses = addresses;
	s->authority = str_from(arena_printf(arena, "%s%.*s%s:%u", v6 ? "[" : "",
	    STR_ARG(where->host), v6 ? "]" : "", where->port));
	s->tls = pool->w->upstream_tls;
	(void)SSL_CTX_up_ref(s->tls);
	return s;
}

/* Frees a server that nobody needs: out of the pool, without connections. */
void
upstream_server_release(struct upstream_server *s)
{
	if (s->pool != NULL || s->conns != NULL || s->probe.active)
		return;
	SSL_SESSION_free(s->session);
	SSL_CTX_free(s->tls);
	fair_fini(&s->turns);
	buf_free(&s->probe.head);
	arena_free(s->arena);
	free(s);
}

void
upstream_server_failed(struct upstream_server *s, const char *why)
{
	uint64_t delay = (uint64_t)NS_PER_S << (s->failures < 3 ? s->failures : 3);

	if (delay > BACKOFF_MAX_NS)
		delay = BACKOFF_MAX_NS;
	if (s->failures == 0)
		log_warn("upstream-failed", "server=%s reason=%s",
		    log_quote(s->authority), log_quote(str_from(why)));
	s->failures++;
	s->next_address++;
	s->w->stats.upstream_failures++;
	s->retry_at.ns = monotime_now().ns + delay;
}

/* ---- the queue: in order of arrival, but tenants and users take turns (fair.h) ---- */

static void
waiting_add(struct upstream_server *s, struct upstream_request *r)
{
	r->prev = s->waiting_last;
	r->next = NULL;
	if (s->waiting_last != NULL)
		s->waiting_last->next = r;
	else
		s->waiting = r;
	s->waiting_last = r;
	s->waiting_count++;
	fair_wait(&s->turns, &r->turn);
}

/* ---- upstream.c ---- */
static void
upstream_waiting_remove(struct upstream_request *r)
{
	struct upstream_server *s = r->server;

	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		s->waiting = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	else
		s->waiting_last = r->prev;
	r->prev = r->next = NULL;
	s->waiting_count--;
	fair_leave(&s->turns, &r->turn);
}

/* Watches and upgrades live for hours and hold nobody up: they take no turn. */
static bool
takes_turn(const struct exchange *x)
{
	return !x->upgrade && !str_is(x->info.verb, "watch");
}

void
upstream_request_runs(struct upstream_request *r)
{
	if (takes_turn(r->x))
		fair_run(&r->server->turns, &r->turn);
}

/* May another one run, or are as many under way as the server shall have? */
static bool
has_place(const struct upstream_server *s)
{
	const unsigned limit = s->w->settings.limits.upstream_in_flight;

	return limit == 0 || s->turns.running < limit;
}

static struct upstream_conn *
conn_with_room(const struct upstream_server *s)
{
	for (struct upstream_conn *c = s->conns; c != NULL; c = c->next) {
		if (upstream_conn_has_room(c))
			return c;
	}
	return NULL;
}

/* Opens connections for what waits: one at a time while it is not known whether they
 * can be shared. */
static void
open_more(struct upstream_server *s)
{
	unsigned limit = s->w->settings.limits.upstream_connections;
	unsigned want = s->speaks_h1 ? s->waiting_count : (s->waiting_count != 0);

	if (s->pool == NULL)
		return;
	while (s->opening_count < want && s->conn_count < limit) {
		if (!upstream_conn_open(s, NULL))
			return;
	}
}

void
upstream_pump(struct upstream_server *s)
{
	struct upstream_conn *c;

	while (s->waiting != NULL && has_place(s) && (c = conn_with_room(s)) != NULL) {
		struct upstream_request *r =
		    CONTAINER_OF(fair_next(&s->turns), struct upstream_request, turn);

		upstream_waiting_remove(r);
		upstream_conn_take(c, r);
	}
	if (s->waiting != NULL && has_place(s))
		open_more(s);
}

/* ---- requests ---- */

static bool
server_usable(const struct upstream_server *s, monotime_t now)
{
	return s->failures == 0 || s->retry_at.ns <= now.ns;
}

/* In turn; one that is not ready only when no other is to be had. */
static struct upstream_server *
choose_server(struct upstream_pool *pool)
{
	struct upstream_server *unready = NULL;
	monotime_t now = monotime_now();

	for (size_t i = 0; i < pool->count; i++) {
		struct upstream_server *s = pool->servers[pool->next % pool->count];

		pool->next++;
		if (server_usable(s, now) && !s->probe.ejected)
			return s;
		if (server_usable(s, now))
			unready = s;
	}
	return unready;
}

static void
give_up(struct upstream_request *r, enum upstream_failure failure, const char *why)
{
	struct exchange *x = r->x;

	r->x = NULL;
	exchange_up_failed(x, failure, why);
}

/* Too many wait: who asks for most has to go, if that is not this one. */
static void
make_room(struct upstream_server *s)
{
	struct upstream_request *r =
	    CONTAINER_OF(fair_excess(&s->turns), struct upstream_request, turn);

	upstream_waiting_remove(r);
	r->server = NULL;
	give_up(r, UPSTREAM_CROWDED, "too many requests wait");
}

static void
assign(struct upstream_request *r, struct upstream_server *s)
{
	struct upstream_conn *c;

	r->server = s;
	r->tries++;
	r->turn.tenant = r->x->tenant;
	r->turn.user = r->x->id->user;
	if (r->x->upgrade) {
		if (!upstream_conn_open(s, r))
			give_up(r, UPSTREAM_NOT_SENT, "no connection can be made");
		return;
	}
	c = s->waiting == NULL && has_place(s) ? conn_with_room(s) : NULL;
	if (c != NULL) {
		upstream_conn_take(c, r);
		return;
	}
	if (r->since.ns == 0)
		r->since = monotime_now();
	waiting_add(s, r);
	upstream_pump(s);
	if (s->waiting_count > WAIT_MAX)
		make_room(s);
}

void
upstream_start(struct upstream_pool *pool, struct exchange *x)
{
	struct upstream_request *r = ARENA_NEW(x->arena, struct upstream_request);
	struct upstream_server *s = choose_server(pool);

	r->x = x;
	x->up = r;
	if (s == NULL)
		give_up(r, UPSTREAM_NOT_SENT, "no server is available");
	else
		assign(r, s);
}

void
upstream_try_elsewhere(struct upstream_request *r)
{
	struct upstream_pool *pool = r->x->w->upstreams;
	struct upstream_server *s =
	    r->tries < pool->count + 1 ? choose_server(pool) : NULL;

	r->conn = NULL;
	if (s == NULL)
		give_up(r, UPSTREAM_NOT_SENT, "no server is available");
	else
		assign(r, s);
}

void
upstream_move_waiting(struct upstream_server *s)
{
	unsigned left = s->waiting_count; /* some may come back */

	for (; left != 0 && s->waiting != NULL; left--) {
		struct upstream_request *r = s->waiting;

		upstream_waiting_remove(r);
		r->tries--; /* nothing failed */
		upstream_try_elsewhere(r);
	}
}

void
upstream_request_detach(struct upstream_request *r)
{
	struct upstream_conn *c = r->conn;

	if (c == NULL)
		return;
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		c->requests = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	r->prev = r->next = NULL;
	r->conn = NULL;
	c->request_count--;
	fair_leave(&c->server->turns, &r->turn);
}

void
upstream_cancel(struct upstream_request *r)
{
	struct upstream_conn *c = r->conn;

	if (c == NULL) {
		if (r->server != NULL)
			upstream_waiting_remove(r);
	} else if (c->kind == UPSTREAM_H2) {
		upstream_h2_cancel(r);
	} else {
		/* An HTTP/1.1 request can only be ended together with its connection. */
		upstream_request_detach(r);
		r->x = NULL;
		c->going = true;
		upstream_conn_fail(c, "cancelled");
	}
	r->x = NULL;
}

void
upstream_body(struct upstream_request *r)
{
	if (r->conn == NULL)
		return;
	if (r->conn->kind == UPSTREAM_H2)
		upstream_h2_body(r);
	else
		stream_want_flush(&r->conn->stream);
}

void
upstream_consumed(struct upstream_request *r, size_t n)
{
	if (r->conn == NULL)
		return;
	if (r->conn->kind == UPSTREAM_H2)
		upstream_h2_consumed(r, n);
	else if (r->x->res_body.len < EXCHANGE_BUFFER_LOW)
		stream_resume(&r->conn->stream);
}

/* ---- the pool ---- */

static void
add_servers(struct upstream_pool *pool)
{
	const struct worker_settings *settings = &pool->w->settings;

	pool->count = settings->upstream_count;
	pool->servers = xcalloc(pool->count, sizeof(struct upstream_server *));
	for (size_t i = 0; i < pool->count; i++)
		pool->servers[i] = server_new(pool, &settings->upstreams[i]);
	/* Workers begin at different servers. */
	pool->next = settings->index;
}

struct upstream_pool *
upstream_pool_new(struct worker *w)
{
	struct upstream_pool *pool = xcalloc(1, sizeof(*pool));

	pool->w = w;
	add_servers(pool);
	return pool;
}

/* Takes a server out: what runs there may end, what waits goes elsewhere. */
static void
retire(struct upstream_server *s, bool close)
{
	struct upstream_conn *next;

	s->pool = NULL;
	upstream_probe_stop(s);
	for (struct upstream_conn *c = s->conns; c != NULL; c = next) {
		next = c->next;
		c->going = true;
		if (close || (c->request_count == 0 && c->kind != UPSTREAM_OPENING))
			upstream_conn_fail(c, "shutting down");
	}
}

void
upstream_pool_renew(struct upstream_pool *pool)
{
	struct upstream_server **old = pool->servers;
	size_t count = pool->count;

	add_servers(pool);
	for (size_t i = 0; i < count; i++) {
		retire(old[i], false);
		upstream_move_waiting(old[i]);
		upstream_server_release(old[i]);
	}
	free(old);
}

void
upstream_pool_free(struct upstream_pool *pool)
{
	if (pool == NULL)
		return;
	for (size_t i = 0; i < pool->count; i++) {
		retire(pool->servers[i], true);
		upstream_server_release(pool->servers[i]);
	}
	free(pool->servers);
	free(pool);
}

void
upstream_tick(struct upstream_pool *pool)
{
	monotime_t now = monotime_now();

	for (size_t i = 0; i < pool->count; i++) {
		struct upstream_server *s = pool->servers[i];
		struct upstream_conn *next;

		while (s->waiting != NULL &&
		       monotime_since(s->waiting->since, now) > WAIT_NS) {
			struct upstream_request *r = s->waiting;

			upstream_waiting_remove(r);
			r->server = NULL;
			give_up(r, UPSTREAM_CROWDED, "all connections are busy");
		}
		for (struct upstream_conn *c = s->conns; c != NULL; c = next) {
			next = c->next;
			upstream_conn_tick(c, now);
		}
		if (pool->count > 1)
			upstream_probe_tick(s, now);
	}
}

void
upstream_status_json(const struct upstream_pool *pool, struct buf *out)
{
	buf_add_char(out, '[');
	for (size_t i = 0; i < pool->count; i++) {
		const struct upstream_server *s = pool->servers[i];
		unsigned running = 0;

		for (const struct upstream_conn *c = s->conns; c != NULL; c = c->next)
			running += c->request_count;
		buf_add_cstr(out, i == 0 ? "{\"server\":" : ",{\"server\":");
		buf_add_json(out, s->authority);
		buf_printf(out,
		    ",\"connections\":%u,\"running\":%u,\"waiting\":%u,"
		    "\"failures\":%u,\"ready\":%s}",
		    s->conn_count, running, s->waiting_count, s->failures,
		    s->probe.ejected ? "false" : "true");
	}
	buf_add_char(out, ']');
}
