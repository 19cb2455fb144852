/*
 * A client of etcd v3, by its JSON gateway over HTTPS. Calls block, with a limit of time each; of
 * several members the next is asked when one does not answer. One thread at a time for each
 * client.
 */
#ifndef AUTHN_ETCD_H
#define AUTHN_ETCD_H

#include <jansson.h>

#include "common/arena.h"
#include "common/curl/curl_setup.h"
#include "common/err.h"
#include "common/proc.h"
#include "common/str.h"

struct etcd_options {
	const struct str *endpoints; /* https://HOST:PORT */
	size_t endpoint_count;
	/* PEM; without a key that of the certificate is elsewhere (tls_curl.h). */
	struct curl_identity identity;
	struct str user, password; /* "": none; the gateway knows no certificates */
	uint32_t timeout_ms;       /* of one call to one member */
	/* curl's HOST:PORT:ADDRESS,... of each endpoint, for roles that resolve no names; "": it
	 * resolves. */
	const struct str *resolve; /* NULL, or endpoint_count */
};

/* As bytes, from the monitor to a role. Decoded, keys and passwords stay in the arena: they are
 * needed for as long as there is etcd. */
void etcd_options_encode(struct buf *out, const struct etcd_options *o);
MUST_CHECK bool etcd_options_decode(
    struct arena *arena, struct proc_reader *r, struct etcd_options *out_options);

struct etcd;

/* Borrows the options for good. */
struct etcd *etcd_new(const struct etcd_options *options);
void etcd_free(struct etcd *e);

/*
 * POSTs a request, which it takes, to "/v3/kv/range" and the like. ERR_UNAVAILABLE when no member
 * answers (one that had the request may have done it), ERR_INVALID when etcd refuses it.
 */
MUST_CHECK int etcd_call(struct etcd *e, const char *path, json_t *request,
    json_t **out_answer, struct err *err);

/*
 * Watches everything below a prefix from a revision on (0: from now), and calls `rung` for each
 * message, the first of which says that the watch stands. Returns when it ends, for
 * whatever reason, or when `rung` is false.
 */
void etcd_watch(struct etcd *e, struct str prefix, int64_t revision,
    bool (*rung)(void *arg), void *arg);

/*
 * Puts a key, with a lease unless that is 0, if nothing in `range` (which it takes: etcd_key or
 * etcd_prefix) was put after `revision`. *out_revision (may be NULL) is that of the transaction.
 * Of ERR_UNAVAILABLE it may have come about all the same.
 */
struct etcd_put {
	struct str key, value;
	int64_t lease;
};
MUST_CHECK int etcd_put_unchanged(struct etcd *e, json_t *range, int64_t revision,
    const struct etcd_put *put, bool *out_done, int64_t *out_revision, struct err *err);

/* Sets a member, which it takes. */
void etcd_set(json_t *object, const char *key, json_t *value);
/* {"key": ...} */
json_t *etcd_key(struct str key);
/* JSON strings in base64, as keys and values travel. */
json_t *etcd_bytes(struct str bytes);
/* {"key": ..., "range_end": ...} of everything below a prefix. */
json_t *etcd_prefix(struct str prefix);
/* Appends what the string holds; false if it is none. NULL is the empty string. */
MUST_CHECK bool etcd_get_bytes(const json_t *value, struct buf *out);
/* Numbers of 64 bits travel as strings; 0 for what is none. */
MUST_CHECK int64_t etcd_get_int(const json_t *value);

#endif
