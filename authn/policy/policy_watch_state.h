/*
 * What the parts of the policy watch share.
 */
#ifndef AUTHN_POLICY_WATCH_STATE_H
#define AUTHN_POLICY_WATCH_STATE_H

#include <pthread.h>

#include "authn/policy/kind_watch.h"
#include "authn/policy/policy_objects.h"
#include "authn/policy/policy_review.h"
#include "authn/policy/policy_watch.h"
#include "authn/policy/status_fold.h"
#include "common/clock.h"
#include "common/map.h"

#define POLICY_WATCH_KINDS 32u

/* An object as it was seen last. */
struct held {
	size_t kind;
	uint64_t list; /* the list that it was in, or came after */
	struct arena *arena;
	struct str name, text;
	/* For whoever writes status: */
	struct str namespace, object_name;
	int64_t generation;
	uint64_t since;     /* the version that brought this generation */
	json_t *conditions; /* NULL: none */
};

/* What `check` has against a document. */
struct held_problem {
	struct str code, words;
};

struct held_review {
	struct held_review *next;
	struct budget_review *review;
	monotime_t until;    /* 0: not judged yet */
	uint64_t generation; /* of the tree that it was judged in */
};

struct policy_watch {
	uv_async_t answered;
	void (*done)(void *arg, struct budget_review *review);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t bell;
	/* Under the lock: */
	struct arena *files_arena;
	struct bundle files;
	struct map objects; /* struct held by name */
	uint64_t lists[POLICY_WATCH_KINDS];
	bool listed[POLICY_WATCH_KINDS];
	uint64_t generation; /* of all that is known */
	/* Names of objects that are others than the tree has; they are keys and values. Or everything is,
	 * and none is named. */
	struct map news;
	struct arena *news_arena;
	bool all_new;
	struct held_review *asked, **asked_end;
	struct budget_review *answers, **answers_end;
	size_t waiting;
	struct arena *problems_arena; /* NULL: they are not known, or not wanted */
	struct map problems;          /* struct held_problem by name */
	struct status_nodes *nodes;   /* what they report; NULL: nobody wants to know */
	bool nodes_listed;
	uint64_t status_writes, status_failures;
	bool status_leads;
	uint64_t results[4], warnings, held_back; /* by enum admission_result */
	/* The judging thread's: */
	struct amend_base *tree;
	uint64_t tree_generation;
	monotime_t tree_made;
};

void policy_watch_lock(const struct policy_watch *w);
void policy_watch_unlock(const struct policy_watch *w);
/* Every kind has been listed; under the lock. */
MUST_CHECK bool policy_watch_is_synced(const struct policy_watch *w);

#endif
