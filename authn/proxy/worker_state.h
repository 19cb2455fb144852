/*
 * What all parts of one worker share. One thread, one event loop; nothing here is seen
 * by another worker but the quota table.
 */
#ifndef AUTHN_WORKER_STATE_H
#define AUTHN_WORKER_STATE_H

#include <uv.h>

#include "authn/access/list_token.h"
#include "authn/proxy/exchange.h"
#include "authn/proxy/stream.h"
#include "authn/proxy/worker_settings.h"
#include "authn/tls/key_client.h"
#include "authn/tls/tls.h"
#include "authn/wire/monitor_link.h"
#include "common/map.h"
#include "common/proc.h"

#define WORKER_MAX_LISTENERS 16
#define WORKER_SPARE_ARENAS  256

struct client_conn;
struct upstream_pool;

/* One loaded policy. */
struct worker_policy {
	struct arena *arena;
	struct model *model;
	struct access_levels levels;
	struct map
	    decisions; /* pointer to a struct access_rule -> struct str, as recorded */
};

/* Counters for MSG_STATUS; never decreasing but for `connections`. */
struct worker_stats {
	uint64_t connections_total, handshakes_failed, connections_refused;
	uint64_t requests, by_class[6]; /* answers by hundreds: [4] is 4xx */
	uint64_t denied, quota_refused, unauthenticated, unavailable, malformed;
	uint64_t upstream_connections, upstream_failures;
	uint64_t crowded;       /* requests that found too many waiting */
	uint64_t streams_ended; /* by revocation, expiry, lost permission */
};

struct worker_listener {
	uv_poll_t poll;
	int fd;
	struct worker *w;
	bool resting;
};

struct worker {
	uv_loop_t loop;
	struct stream_hub hub;
	struct monitor_link monitor;
	struct arena *settings_arena;
	struct worker_settings settings;
	SSL_CTX *server_tls, *upstream_tls;
	struct worker_listener listeners[WORKER_MAX_LISTENERS];
	size_t listener_count;
	struct iobuf_pool bufs;
	struct auth_client *auth;
	struct audit_client *audit;
	struct key_client *keys;
	struct tls_tickets tickets;
	struct quota_table *quota;
	struct worker_policy *policy;
	const struct audit_policy *audit_policy; /* in settings_arena; NULL: Metadata */
	struct list_keys list_keys;              /* of continue tokens */
	struct upstream_pool *upstreams;
	struct exchange *exchanges;
	size_t exchange_count;
	struct client_conn *clients;
	size_t client_count;
	struct arena *scratch; /* for one function at a time, which resets it */
	struct arena *spare_arenas[WORKER_SPARE_ARENAS];
	size_t spare_count;
	uint8_t random[1024]; /* for audit ids; used up from the front */
	size_t random_left;
	time_t date_second;
	char date[32]; /* of the Date header */
	struct worker_stats stats;
	bool draining;
	monotime_t drain_end;
	int exit_status;
};

/* An arena for one exchange, recycled. */
MUST_CHECK struct arena *worker_arena_get(struct worker *w);
void worker_arena_put(struct worker *w, struct arena *arena);
/* A random UUID (version 4). */
void worker_uuid(struct worker *w, char out[37]);
/* The value of the Date header, now. */
MUST_CHECK struct str worker_date(struct worker *w);
/* Reads a bundle into a new policy; on error NULL, and the diagnostics as text. */
MUST_CHECK struct worker_policy *worker_policy_load(
    int bundle_fd, struct buf *out_problem);
void worker_policy_free(struct worker_policy *policy);
/* "Access /acme/devs rule 0 policy.yaml:3:7"; lives as long as the policy. */
MUST_CHECK struct str worker_policy_decision(
    const struct worker_policy *policy, const struct access_rule *rule);
/* Checks every open stream against identity, expiry and policy; ends what must end. */
void worker_recheck_streams(struct worker *w, bool policy_changed);
/* What runs upstream with credentials that are not good any more: it ends, or is refused if
 * nothing of it has been seen. */
void worker_end_credentials(struct exchange *x);
/* The answer to MSG_STATUS. */
void worker_status_json(const struct worker *w, struct buf *out);

#endif
