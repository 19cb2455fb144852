/*
 * Small things that many parts of a worker need.
 */
#include <openssl/rand.h>
#include <time.h>

#include "authn/proxy/upstream.h"
#include "authn/proxy/worker_state.h"
#include "common/uuid.h"

#define EXCHANGE_ARENA_BYTES 4096
#define STATUS_BYTES         (96u * 1024) /* well within a message */

struct arena *
worker_arena_get(struct worker *w)
{
	if (w->spare_count != 0)
		return w->spare_arenas[--w->spare_count];
	return arena_new_sized(EXCHANGE_ARENA_BYTES);
}

void
worker_arena_put(struct worker *w, struct arena *arena)
{
	if (w->spare_count == WORKER_SPARE_ARENAS) {
		arena_free(arena);
		return;
	}
	arena_reset(arena);
	w->spare_arenas[w->spare_count++] = arena;
}

void
worker_uuid(struct worker *w, char out[37])
{
	uint8_t *bytes;

	if (w->random_left < 16) {
		if (RAND_bytes(w->random, sizeof(w->random)) != 1)
			base_die("no randomness");
		w->random_left = sizeof(w->random);
	}
	bytes = w->random + sizeof(w->random) - w->random_left;
	w->random_left -= 16;
	uuid_format(bytes, out);
}

struct str
worker_date(struct worker *w)
{
	time_t now = time(NULL);
	struct tm tm;

	if (now != w->date_second && gmtime_r(&now, &tm) != NULL) {
		w->date_second = now;
		(void)strftime(
		    w->date, sizeof(w->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
	}
	return str_from(w->date);
}

/* One worker tells for all: the table is theirs together. */
static void
put_quotas(const struct worker *w, struct buf *out)
{
	const struct model *m = w->policy->model;
	const walltime_t now = walltime_now();
	bool first = true;

	buf_add_cstr(out, ",\"quotas\":[");
	for (size_t n = 0; n < m->ns_count && w->settings.index == 0; n++) {
		for (size_t i = 0; i < m->namespaces[n]->quota_count; i++) {
			const struct quota *q = m->namespaces[n]->quotas[i];
			struct quota_use use;

			if (out->len > STATUS_BYTES)
				break; /* a message is bounded */
			quota_use(w->quota, q, now, &use);
			buf_add_cstr(
			    out, first ? "{\"namespace\":" : ",{\"namespace\":");
			buf_add_json(out, q->level->path);
			buf_add_cstr(out, ",\"quota\":");
			buf_add_json(out, q->name);
			buf_printf(out,
			    ",\"admitted\":%llu,\"refused\":%llu,\"inFlight\":%llu,"
			    "\"watches\":%llu,\"today\":%llu}",
			    (unsigned long long)use.admitted,
			    (unsigned long long)use.refused,
			    (unsigned long long)use.in_flight,
			    (unsigned long long)use.watches,
			    (unsigned long long)use.today);
			first = false;
		}
	}
	buf_add_char(out, ']');
}

void
worker_status_json(const struct worker *w, struct buf *out)
{
	const struct worker_stats *s = &w->stats;
	const struct key_client_counts keys = key_client_count(w->keys);
	const struct {
		const char *name;
		uint64_t value;
	} counters[] = {
	    {"connections", w->client_count},
	    {"connectionsTotal", s->connections_total},
	    {"connectionsRefused", s->connections_refused},
	    {"handshakesFailed", s->handshakes_failed},
	    {"inFlight", w->exchange_count},
	    {"requests", s->requests},
	    {"answers2xx", s->by_class[2]},
	    {"answers3xx", s->by_class[3]},
	    {"answers4xx", s->by_class[4]},
	    {"answers5xx", s->by_class[5]},
	    {"denied", s->denied},
	    {"unauthenticated", s->unauthenticated},
	    {"quotaRefused", s->quota_refused},
	    {"unavailable", s->unavailable},
	    {"crowded", s->crowded},
	    {"malformed", s->malformed},
	    {"streamsEnded", s->streams_ended},
	    {"upstreamConnectionsTotal", s->upstream_connections},
	    {"upstreamFailures", s->upstream_failures},
	    {"bufferBytes", w->bufs.bytes},
	    {"keyWaiting", keys.waiting},
	    {"keyWaitMicroseconds", keys.wait_us},
	};

	buf_printf(out, "{\"worker\":%u,\"draining\":%s", w->settings.index,
	    w->draining ? "true" : "false");
	for (size_t i = 0; i < ARRAY_LEN(counters); i++)
		buf_printf(out, ",\"%s\":%llu", counters[i].name,
		    (unsigned long long)counters[i].value);
	buf_add_cstr(out, ",\"upstreams\":");
	upstream_status_json(w->upstreams, out);
	put_quotas(w, out);
	buf_add_char(out, '}');
}
