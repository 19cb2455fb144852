/*
 * Keeps a store up with a cluster: each kind is listed, then watched from there, for ever.
 * What a watch cannot tell any more is listed again; what fails is tried again, ever more
 * rarely; a kind that is not served is asked for now and then.
 */
#ifndef ENFORCER_KUBE_WATCH_H
#define ENFORCER_KUBE_WATCH_H

#include "common/clock.h"
#include "enforcer/kube/kube_client.h"
#include "enforcer/kube/kube_store.h"

enum kube_phase {
	KUBE_WAITING, /* for access, or for a time after a failure */
	KUBE_LISTING,
	KUBE_WATCHING,
	KUBE_ABSENT, /* the cluster does not serve it */
	KUBE_PHASE_COUNT,
};

struct kube_kind_state {
	enum kube_phase phase;
	bool synced; /* all of it was known once */
	uint64_t lists, watches, events, repeated, failures;
	unsigned failing;               /* failures in a row */
	monotime_t heard;               /* when something came last; 0: never */
	char detail[KUBE_DETAIL_BYTES]; /* of the last failure; "" once it is over */
};

struct kube_cluster;

struct kube_cluster_handler {
	/* The store has changed, or a state has. */
	void (*changed)(void *arg);
	/* The server was not reached, or refused who asked: its address or the token may be
	 * others by now. */
	void (*access_wanted)(void *arg);
};

/* `silent_s`: how long a watch may be without a word. Borrows client and store. */
MUST_CHECK struct kube_cluster *kube_cluster_new(uv_loop_t *loop,
    struct kube_client *client, struct kube_store *store, unsigned silent_s,
    const struct kube_cluster_handler *handler, void *arg);
/* After the client, whose requests refer to it. */
void kube_cluster_free(struct kube_cluster *c);
/* The client has access now, or another: what waits is tried at once. */
void kube_cluster_kick(struct kube_cluster *c);
/* To be called a few times a second: a kind whose watch has been open for a while fails no
 * longer. True if there was one. */
MUST_CHECK bool kube_cluster_settle(struct kube_cluster *c);
/* True once every kind has been listed, or is not served. */
MUST_CHECK bool kube_cluster_synced(const struct kube_cluster *c);
MUST_CHECK const struct kube_kind_state *kube_cluster_state(
    const struct kube_cluster *c, size_t kind);
/* All changes of the kind up to this resourceVersion are in the store; 0: it is not known. */
MUST_CHECK uint64_t kube_cluster_version(const struct kube_cluster *c, size_t kind);

#endif
