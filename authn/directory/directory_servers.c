#include "authn/directory/directory_servers.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "authn/directory/directory_srv.h"
#include "common/log.h"

#define REST_MIN_NS    1000000000ull /* a server that failed is left alone so long ... */
#define REST_MAX_NS    60000000000ull /* ... doubling up to this */
#define IDLE_MAX       8              /* connections that wait, of one pool */
#define IDLE_NS        60000000000ull /* servers end idle ones themselves, sooner or later */
#define KNOWN_MAX      64             /* distinct servers in the life of the role */
#define TTL_MIN_S      30u
#define TTL_MAX_S      3600u
#define LOOKUP_AGAIN_S 10u /* after one that failed */

struct idle {
	struct dir_conn *conn;
	uint64_t since_ns;
};

struct dir_server {
	char *url;
	unsigned failures;
	uint64_t rest_until_ns;
	struct idle idle[DIR_POOLS][IDLE_MAX];
	size_t idle_count[DIR_POOLS];
};

/* One line of the configuration: a server, or a domain that has some. */
struct listing {
	struct str url;
	bool by_dns;
	struct dir_server *servers[SRV_TARGETS_MAX];
	size_t count;
	uint64_t due_ns; /* of the next look-up */
	bool looking;    /* some thread is */
};

struct dir_servers {
	const struct gate_ldap *ldap;
	const char *ca_path;
	pthread_mutex_t lock; /* of everything below */
	struct listing *sources;
	size_t source_count;
	struct dir_server *known[KNOWN_MAX];
	size_t known_count;
};

static void
lock(struct dir_servers *s)
{
	(void)pthread_mutex_lock(&s->lock); /* a plain one: cannot fail */
}

static void
unlock(struct dir_servers *s)
{
	(void)pthread_mutex_unlock(&s->lock); /* ours */
}

/* The server of that URL; a new one unless there are too many. */
static struct dir_server *
server_of(struct dir_servers *s, const char *url)
{
	for (size_t i = 0; i < s->known_count; i++) {
		if (strcmp(s->known[i]->url, url) == 0)
			return s->known[i];
	}
	if (s->known_count == KNOWN_MAX)
		return NULL;
	s->known[s->known_count] = xcalloc(1, sizeof(struct dir_server));
	s->known[s->known_count]->url = xstrdup(url);
	return s->known[s->known_count++];
}

static void
add_server(struct dir_servers *s, struct listing *source, const char *url)
{
	struct dir_server *server = server_of(s, url);

	if (server != NULL && source->count < SRV_TARGETS_MAX)
		source->servers[source->count++] = server;
}

struct dir_servers *
dir_servers_new(const struct gate_ldap *ldap, const char *ca_path)
{
	struct dir_servers *s = xcalloc(1, sizeof(*s));

	s->ldap = ldap;
	s->ca_path = ca_path;
	if (pthread_mutex_init(&s->lock, NULL) != 0)
		base_die("cannot make a lock");
	s->sources = xcalloc(ldap->server_count, sizeof(*s->sources));
	s->source_count = ldap->server_count;
	for (size_t i = 0; i < ldap->server_count; i++) {
		struct listing *source = &s->sources[i];
		struct arena *arena = arena_new_sized(1024);

		source->url = ldap->servers[i];
		source->by_dns = gate_ldap_by_dns(source->url);
		if (!source->by_dns)
			add_server(s, source,
			    arena_strndup(arena, source->url.ptr, source->url.len));
		arena_free(arena);
	}
	return s;
}

void
dir_servers_free(struct dir_servers *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->known_count; i++) {
		dir_server_flush(s, s->known[i]);
		free(s->known[i]->url);
		free(s->known[i]);
	}
	(void)pthread_mutex_destroy(&s->lock); /* nobody holds it any more */
	free(s->sources);
	free(s);
}

/* ---- by DNS ---- */

/* Takes an answer over. LDAPS has no name of its own in DNS: its port is 636 (as Active
 * Directory has it) where the record has the one of LDAP. */
static void
take_answer(struct dir_servers *s, struct listing *source, const struct srv_answer *a)
{
	const bool tls = str_starts(source->url, STR("ldaps"));
	char url[300];

	source->count = 0;
	for (size_t i = 0; i < a->count; i++) {
		unsigned port = a->targets[i].port;

		if (tls && port == 389)
			port = 636;
		(void)snprintf(url, sizeof(url), "%s://%s:%u", tls ? "ldaps" : "ldap",
		    a->targets[i].host, port); /* fits */
		add_server(s, source, url);
	}
}

/* Called with the lock, which is let go meanwhile: DNS may take its time. */
static void
look_up(struct dir_servers *s, struct listing *source, struct err *err)
{
	struct str domain = gate_ldap_domain(source->url);
	struct srv_answer answer;
	uint32_t ttl_s = LOOKUP_AGAIN_S;
	int rc;

	source->looking = true;
	unlock(s);
	rc = srv_lookup(domain, &answer, err);
	lock(s);
	source->looking = false;
	if (rc == 0) {
		ttl_s = answer.ttl_s < TTL_MIN_S   ? TTL_MIN_S
			: answer.ttl_s > TTL_MAX_S ? TTL_MAX_S
						   : answer.ttl_s;
		take_answer(s, source, &answer);
	} else { /* what was known goes on */
		log_warn("directory-lookup", "domain=%.*s detail=%s", STR_ARG(domain),
		    log_quote(str_from(err->msg)));
	}
	source->due_ns = monotime_now().ns + ttl_s * NS_PER_S;
}

/* ---- circuit breakers ---- */

bool
dir_server_may_try(struct dir_servers *s, struct dir_server *server)
{
	const uint64_t now_ns = monotime_now().ns;
	bool may;

	lock(s);
	may = server->failures == 0 || server->rest_until_ns <= now_ns;
	if (may && server->failures != 0) /* until this trial has told */
		server->rest_until_ns = now_ns + s->ldap->timeout_ms * 1000000ull;
	unlock(s);
	return may;
}

size_t
dir_servers_list(
    struct dir_servers *s, struct dir_server *out[SERVERS_TRIED_MAX], struct err *err)
{
	size_t count = 0;

	lock(s);
	for (size_t i = 0; i < s->source_count; i++) {
		struct listing *source = &s->sources[i];

		if (source->by_dns && !source->looking &&
		    source->due_ns <= monotime_now().ns)
			look_up(s, source, err);
		for (size_t k = 0; k < source->count && count < SERVERS_TRIED_MAX; k++)
			out[count++] = source->servers[k];
	}
	unlock(s);
	return count;
}

void
dir_server_result(struct dir_servers *s, struct dir_server *server, bool failed)
{
	uint64_t rest_ns = REST_MIN_NS;

	lock(s);
	if (!failed) {
		server->failures = 0;
		server->rest_until_ns = 0;
	} else {
		for (unsigned n = 0; n < server->failures && rest_ns < REST_MAX_NS; n++)
			rest_ns *= 2;
		server->failures++;
		server->rest_until_ns =
		    monotime_now().ns + (rest_ns < REST_MAX_NS ? rest_ns : REST_MAX_NS);
	}
	unlock(s);
	if (failed)
		dir_server_flush(s, server);
}

/* ---- connections that wait ---- */

/* The one that waited least; those that waited too long end. */
static struct dir_conn *
take_idle(struct dir_servers *s, struct dir_server *server, enum dir_pool pool)
{
	const uint64_t now_ns = monotime_now().ns;
	struct dir_conn *conn = NULL;

	while (conn == NULL) {
		struct idle last = {NULL, 0};

		lock(s);
		if (server->idle_count[pool] != 0)
			last = server->idle[pool][--server->idle_count[pool]];
		unlock(s);
		if (last.conn == NULL)
			break;
		if (now_ns < last.since_ns + IDLE_NS && dir_idle_ok(last.conn))
			conn = last.conn;
		else
			dir_close(last.conn);
	}
	return conn;
}

enum auth_result
dir_server_take(struct dir_servers *s, struct dir_server *server, enum dir_pool pool,
    uint64_t deadline_ns, struct dir_conn **out_conn, bool *out_reused, struct err *err)
{
	const struct dir_target target = {
	    .ldap = s->ldap, .url = server->url, .ca_path = s->ca_path};

	*out_conn = take_idle(s, server, pool);
	*out_reused = *out_conn != NULL;
	if (*out_conn == NULL)
		return dir_connect(&target, deadline_ns, out_conn, err);
	dir_set_deadline(*out_conn, deadline_ns);
	return AUTH_ALLOWED;
}

void
dir_server_give(struct dir_servers *s, struct dir_server *server, enum dir_pool pool,
    struct dir_conn *conn)
{
	bool kept = false;

	lock(s);
	if (server->idle_count[pool] < IDLE_MAX) {
		server->idle[pool][server->idle_count[pool]++] =
		    (struct idle){conn, monotime_now().ns};
		kept = true;
	}
	unlock(s);
	if (!kept)
		dir_close(conn);
}

void
dir_server_flush(struct dir_servers *s, struct dir_server *server)
{
	struct dir_conn *out[DIR_POOLS * IDLE_MAX];
	size_t count = 0;

	lock(s);
	for (size_t p = 0; p < DIR_POOLS; p++) {
		for (size_t i = 0; i < server->idle_count[p]; i++)
			out[count++] = server->idle[p][i].conn;
		server->idle_count[p] = 0;
	}
	unlock(s);
	for (size_t i = 0; i < count; i++)
		dir_close(out[i]);
}

void
dir_servers_status(struct dir_servers *s, struct buf *out, size_t *out_resting)
{
	const uint64_t now_ns = monotime_now().ns;
	const char *comma = "";

	*out_resting = 0;
	buf_add_char(out, '[');
	lock(s);
	for (size_t i = 0; i < s->source_count; i++) {
		for (size_t k = 0; k < s->sources[i].count; k++) {
			const struct dir_server *v = s->sources[i].servers[k];
			const bool resting =
			    v->failures != 0 && v->rest_until_ns > now_ns;

			*out_resting += resting;
			buf_printf(out, "%s{\"url\":", comma);
			buf_add_json(out, str_from(v->url));
			buf_printf(out, ",\"failures\":%u,\"resting\":%s}", v->failures,
			    resting ? "true" : "false");
			comma = ",";
		}
	}
	unlock(s);
	buf_add_char(out, ']');
}
