/*
 * Requests to one API server, many at a time, in the event loop. One connection carries
 * them all where the server speaks HTTP/2.
 */
#ifndef ENFORCER_KUBE_CLIENT_H
#define ENFORCER_KUBE_CLIENT_H

#include <uv.h>

#include "enforcer/kube/kube_access.h"

struct kube_client;
struct kube_get;

#define KUBE_DETAIL_BYTES 256

struct kube_result {
	long status;                    /* of HTTP; 0: there was no answer */
	bool whole;                     /* the answer ended where it should */
	unsigned retry_after_s;         /* as the server asks; 0: it does not */
	char detail[KUBE_DETAIL_BYTES]; /* why not; "" */
};

struct kube_get_handler {
	/* The answer begins, with status 200. */
	void (*opened)(void *arg);
	/* Bytes of an answer with status 200. False: no more of them. */
	bool (*data)(void *arg, const char *data, size_t len);
	/* The last that is heard of it; it is freed afterwards. */
	void (*done)(void *arg, const struct kube_result *result);
};

MUST_CHECK int kube_client_new(
    uv_loop_t *loop, struct kube_client **out_client, struct err *err);
/* Ends all requests without a word. */
void kube_client_free(struct kube_client *client);
/* From now on; requests under way go on as they are. Copies it. */
void kube_client_set_access(
    struct kube_client *client, const struct kube_access *access);
MUST_CHECK bool kube_client_has_access(const struct kube_client *client);

/* Asks, once there is access; `path` begins behind the server's prefix. A request ends when nothing has come for
 * `silent_s` seconds. `fresh`: not over a connection that is there already. NULL: out of
 * everything. Handlers may not free the client. */
MUST_CHECK struct kube_get *kube_client_get(struct kube_client *client,
    const char *path, unsigned silent_s, bool fresh,
    const struct kube_get_handler *handler, void *arg);

/* Applies the object at `path` as a field manager of its own (server-side apply), whoever else has a
 * say in its fields. Copies the object. `done` is told; the answer is not read. */
MUST_CHECK struct kube_get *kube_client_apply(struct kube_client *client,
    const char *path, struct str object, unsigned silent_s,
    const struct kube_get_handler *handler, void *arg);

#endif
