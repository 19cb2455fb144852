#include "authn/policy_watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "authn/kind_watch.h"
#include "authn/policy_objects.h"
#include "authn/policy_review.h"
#include "common/clock.h"
#include "common/log.h"
#include "common/map.h"

#define HOLD_MS   1500 /* what may settle */
#define KINDS_MAX 32u
#define MS_NS     UINT64_C(1000000)

/* An object as it was seen last. */
struct held {
	size_t kind;
	uint64_t list; /* the list that it was in, or came after */
	struct arena *arena;
	struct str name, text;
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
	uint64_t lists[KINDS_MAX];
	bool listed[KINDS_MAX];
	uint64_t generation; /* of all that is known */
	struct held_review *asked, **asked_end;
	struct budget_review *answers, **answers_end;
	size_t waiting;
	uint64_t results[4], warnings, held_back; /* by enum admission_result */
	/* The judging thread's: */
	struct amend_base *tree;
	uint64_t tree_generation;
};

static void
lock(const struct policy_watch *w)
{
	struct policy_watch *own = (struct policy_watch *)(uintptr_t)w;

	(void)pthread_mutex_lock(&own->lock); /* cannot fail: it is our own */
}

static void
unlock(const struct policy_watch *w)
{
	struct policy_watch *own = (struct policy_watch *)(uintptr_t)w;

	(void)pthread_mutex_unlock(&own->lock); /* the same */
}

/* ---- what there is ---- */

static void
held_free(struct held *h)
{
	if (h != NULL)
		arena_free(h->arena);
}

/* Under the lock. */
static void
changed(struct policy_watch *w)
{
	w->generation++;
	(void)pthread_cond_signal(&w->bell); /* cannot fail */
}

static bool
on_object(void *arg, size_t kind, const json_t *object, bool gone)
{
	struct policy_watch *w = arg;
	struct arena *arena = arena_new_sized(1024);
	struct policy_resource k;
	struct held *h = ARENA_NEW(arena, struct held), *old;

	policy_resource_get(kind, &k);
	*h = (struct held){.kind = kind,
	    .arena = arena,
	    .name = policy_object_name(arena, &k, object)};
	if (h->name.len == 0) {
		arena_free(arena);
		return false;
	}
	h->text = policy_object_text(arena, &k, object);
	lock(w);
	h->list = w->lists[kind];
	old = map_remove(&w->objects, h->name);
	if (!gone)
		(void)map_set(&w->objects, h->name, h); /* it is new */
	if (gone ? old != NULL : old == NULL || !str_eq(old->text, h->text))
		changed(w);
	unlock(w);
	held_free(old);
	if (gone)
		held_free(h);
	return true;
}

static void
on_list_begin(void *arg, size_t kind)
{
	struct policy_watch *w = arg;

	lock(w);
	w->lists[kind]++;
	unlock(w);
}

/* What was not in the list is no more. */
static void
on_list_end(void *arg, size_t kind)
{
	struct policy_watch *w = arg;

	lock(w);
	for (size_t i = w->objects.len; i-- > 0;) {
		struct held *h = w->objects.entries[i].value;

		if (h->kind != kind || h->list == w->lists[kind])
			continue;
		(void)map_remove(&w->objects, h->name);
		held_free(h);
		changed(w);
	}
	if (!w->listed[kind])
		changed(w);
	w->listed[kind] = true;
	unlock(w);
}

static void
on_heard(void *arg, size_t kind)
{
	(void)arg;
	(void)kind; /* that nothing changed is no news */
}

int
policy_watch_files(struct policy_watch *w, int bundle_fd, struct err *err)
{
	struct arena *arena = arena_new(), *old = arena;
	struct bundle files;
	int rc = bundle_open(arena, bundle_fd, &files, err);

	if (rc == 0) {
		lock(w);
		old = w->files_arena;
		w->files_arena = arena;
		w->files = files;
		changed(w);
		unlock(w);
	}
	arena_free(old);
	return rc;
}

/* Under the lock. */
static bool
is_synced(const struct policy_watch *w)
{
	for (size_t i = 0; i < policy_resource_count(); i++) {
		if (!w->listed[i])
			return false;
	}
	return w->files_arena != NULL;
}

bool
policy_watch_synced(const struct policy_watch *w)
{
	bool synced;

	lock(w);
	synced = is_synced(w);
	unlock(w);
	return synced;
}

/* ---- the tree that reviews are judged in ---- */

static int
source_cmp(const void *a, const void *b)
{
	const struct source *x = a, *y = b;

	return str_cmp(x->name, y->name);
}

/* Under the lock; in the arena, which borrows from what is held. */
static struct bundle
all_documents(const struct policy_watch *w, struct arena *arena)
{
	struct bundle all = {.sources = ARENA_ARRAY(arena,
				 w->files.count + w->objects.len + 1, struct source)};

	for (size_t i = 0; i < w->files.count; i++)
		all.sources[all.count++] = w->files.sources[i];
	for (size_t i = 0; i < w->objects.len; i++) {
		const struct held *h = w->objects.entries[i].value;

		all.sources[all.count++] =
		    (struct source){.name = h->name, .text = h->text};
	}
	qsort(all.sources + w->files.count, w->objects.len, sizeof(struct source),
	    source_cmp);
	return all;
}

/* Loads it anew if there is news; NULL until all is known. The documents are taken under the lock,
 * and loaded by the judging thread alone. */
static const struct amend_base *
current_tree(struct policy_watch *w)
{
	struct arena *arena;
	struct bundle all, copy;
	bool synced;

	lock(w);
	synced = is_synced(w);
	if (!synced || (w->tree != NULL && w->tree_generation == w->generation)) {
		unlock(w);
		return synced ? w->tree : NULL;
	}
	arena = arena_new();
	w->tree_generation = w->generation;
	all = all_documents(w, arena);
	copy =
	    (struct bundle){.sources = ARENA_ARRAY(arena, all.count + 1, struct source),
		.count = all.count};
	for (size_t i = 0; i < all.count; i++)
		copy.sources[i] =
		    (struct source){.name = str_dup(arena, all.sources[i].name),
			.text = str_dup(arena, all.sources[i].text)};
	unlock(w);
	amend_base_free(w->tree);
	w->tree = amend_base_new(&copy);
	arena_free(arena);
	return w->tree;
}

/* ---- reviews ---- */

void
policy_watch_ask(struct policy_watch *w, struct budget_review *review)
{
	struct held_review *h = xcalloc(1, sizeof(*h));

	h->review = review;
	lock(w);
	*w->asked_end = h;
	w->asked_end = &h->next;
	w->waiting++;
	(void)pthread_cond_signal(&w->bell); /* cannot fail */
	unlock(w);
}

static void
on_answered(uv_async_t *async)
{
	struct policy_watch *w = async->data;
	struct budget_review *review, *next;

	lock(w);
	review = w->answers;
	w->answers = NULL;
	w->answers_end = &w->answers;
	unlock(w);
	for (; review != NULL; review = next) {
		next = review->next;
		w->done(w->arg, review);
	}
}

/* Under the lock: it is new, there is news since it was judged, or its time is over. */
static bool
is_due(const struct policy_watch *w, const struct held_review *h, monotime_t now)
{
	return h->until.ns == 0 || h->generation != w->generation ||
	       now.ns >= h->until.ns;
}

/* Takes the first that is due; waits for one. */
static struct held_review *
take(struct policy_watch *w)
{
	struct held_review *h, **at;

	lock(w);
	for (;;) {
		const monotime_t now = monotime_now();
		uint64_t until = now.ns + HOLD_MS * MS_NS;
		struct timespec wake;

		for (at = &w->asked; *at != NULL && !is_due(w, *at, now);
		     at = &(*at)->next) {
			if ((*at)->until.ns < until)
				until = (*at)->until.ns;
		}
		if (*at != NULL)
			break;
		wake = (struct timespec){.tv_sec = (time_t)(until / (1000 * MS_NS)),
		    .tv_nsec = (long)(until % (1000 * MS_NS))};
		(void)pthread_cond_timedwait(
		    &w->bell, &w->lock, &wake); /* woken for nothing is fine */
	}
	h = *at;
	*at = h->next;
	if (w->asked_end == &h->next)
		w->asked_end = at;
	h->next = NULL;
	unlock(w);
	return h;
}

static void
hold(struct policy_watch *w, struct held_review *h)
{
	buf_clear(&h->review->answer);
	if (h->until.ns == 0)
		h->until.ns = monotime_now().ns + HOLD_MS * MS_NS;
	h->generation = w->tree_generation;
	lock(w);
	w->held_back++;
	*w->asked_end = h;
	w->asked_end = &h->next;
	unlock(w);
}

static void
give_back(struct policy_watch *w, struct held_review *h, unsigned warnings)
{
	struct budget_review *review = h->review;

	free(h);
	review->next = NULL;
	lock(w);
	w->waiting--;
	w->results[review->result]++;
	w->warnings += warnings;
	*w->answers_end = review;
	w->answers_end = &review->next;
	unlock(w);
	(void)uv_async_send(&w->answered); /* cannot fail */
}

static void *
run(void *arg)
{
	struct policy_watch *w = arg;

	for (;;) {
		struct held_review *h = take(w);
		struct policy_reviewed reviewed;

		policy_review(current_tree(w), buf_str(&h->review->body),
		    &h->review->answer, &reviewed);
		h->review->result = reviewed.result;
		if (reviewed.may_settle &&
		    (h->until.ns == 0 || monotime_now().ns < h->until.ns))
			hold(w, h);
		else
			give_back(w, h, reviewed.warnings);
	}
	return NULL;
}

/* ---- start ---- */

int
policy_watch_start(uv_loop_t *loop, const struct worker_settings *settings,
    void (*done)(void *arg, struct budget_review *review), void *arg,
    struct policy_watch **out_watch, struct err *err)
{
	static const struct kind_watch_handler handler = {
	    on_list_begin, on_object, on_list_end, on_heard};
	struct policy_watch *w = xcalloc(1, sizeof(*w));
	pthread_condattr_t attributes;
	pthread_t thread;
	int rc = 0;

	if (policy_resource_count() > KINDS_MAX)
		base_die("too many kinds");
	*w = (struct policy_watch){.done = done, .arg = arg};
	w->asked_end = &w->asked;
	w->answers_end = &w->answers;
	w->answered.data = w;
	(void)pthread_mutex_init(&w->lock, NULL); /* these cannot fail */
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&w->bell, &attributes);
	*out_watch = w;
	for (size_t i = 0; i < policy_resource_count() && rc == 0; i++) {
		struct policy_resource kind;
		struct kind_watch_target target;

		policy_resource_get(i, &kind);
		target = (struct kind_watch_target){.group = kind.group,
		    .resource = kind.resource,
		    .version = kind.version,
		    .may_be_absent = true};
		rc = kind_watch_start(settings, &target, i, &handler, w, err);
	}
	if (rc == 0 && (uv_async_init(loop, &w->answered, on_answered) != 0 ||
			   pthread_create(&thread, NULL, run, w) != 0))
		rc = err_set(err, ERR_SYSTEM, "cannot start a thread");
	if (rc == 0)
		(void)pthread_detach(thread); /* it never ends */
	return rc;
}

void
policy_watch_status(const struct policy_watch *w, struct buf *out)
{
	lock(w);
	buf_printf(out,
	    ",\"policyAllowed\":%llu,\"policyDenied\":%llu,\"policyUnknown\":%llu,"
	    "\"policyMalformed\":%llu,\"policyWarnings\":%llu,\"policyHeld\":%llu,"
	    "\"policyObjects\":%zu,\"policyWaiting\":%zu,\"policyKnown\":%s",
	    (unsigned long long)w->results[ADMISSION_ALLOWED],
	    (unsigned long long)w->results[ADMISSION_DENIED],
	    (unsigned long long)w->results[ADMISSION_UNKNOWN],
	    (unsigned long long)w->results[ADMISSION_MALFORMED],
	    (unsigned long long)w->warnings, (unsigned long long)w->held_back,
	    w->objects.len, w->waiting, is_synced(w) ? "true" : "false");
	unlock(w);
}
