#include "authn/policy/policy_watch.h"

#include <stdlib.h>
#include <string.h>

#include "authn/policy/policy_watch_state.h"
#include "authn/wire/json_text.h"
#include "common/log.h"

#define HOLD_MS 1500 /* what may settle */

void
policy_watch_lock(const struct policy_watch *w)
{
	struct policy_watch *own = (struct policy_watch *)(uintptr_t)w;

	(void)pthread_mutex_lock(&own->lock); /* cannot fail: it is our own */
}

void
policy_watch_unlock(const struct policy_watch *w)
{
	struct policy_watch *own = (struct policy_watch *)(uintptr_t)w;

	(void)pthread_mutex_unlock(&own->lock); /* the same */
}

/* ---- what there is ---- */

static void
held_free(struct held *h)
{
	if (h == NULL)
		return;
	json_decref(h->conditions);
	arena_free(h->arena);
}

/* Under the lock. */
static void
changed(struct policy_watch *w)
{
	w->generation++;
	(void)pthread_cond_signal(&w->bell); /* cannot fail */
}

/* The object of that name is another; the same. */
static void
changed_object(struct policy_watch *w, struct str name)
{
	if (!w->all_new && map_get(&w->news, name) == NULL) {
		struct str *copy = ARENA_NEW(w->news_arena, struct str);

		*copy = str_dup(w->news_arena, name);
		(void)map_set(&w->news, *copy, copy); /* new */
	}
	changed(w);
}

/* What status is told by. A version that is not known yet is the one that brought the generation,
 * unless somebody has written down which did, or it was seen. */
static void
note_status(struct held *h, const struct held *old, const json_t *object)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const json_t *status = json_object_get(object, "status");
	uint64_t written;

	h->namespace = str_dup(h->arena, json_text_at(metadata, "namespace"));
	h->object_name = str_dup(h->arena, json_text_at(metadata, "name"));
	h->generation = json_integer_value(json_object_get(metadata, "generation"));
	if (!admission_version(object, &h->since))
		h->since = UINT64_MAX;
	if (json_integer_value(json_object_get(status, "observedGeneration")) ==
		h->generation &&
	    str_to_u64(json_text_at(status, "sinceVersion"), UINT64_MAX - 1, &written))
		h->since = written;
	else if (old != NULL && old->generation == h->generation)
		h->since = old->since;
	h->conditions = json_deep_copy(json_object_get(status, "conditions"));
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
	policy_watch_lock(w);
	h->list = w->lists[kind];
	old = map_remove(&w->objects, h->name);
	note_status(h, old, object);
	if (!gone)
		(void)map_set(&w->objects, h->name, h); /* it is new */
	if (gone ? old != NULL : old == NULL || !str_eq(old->text, h->text))
		changed_object(w, h->name);
	policy_watch_unlock(w);
	held_free(old);
	if (gone)
		held_free(h);
	return true;
}

static void
on_list_begin(void *arg, size_t kind)
{
	struct policy_watch *w = arg;

	policy_watch_lock(w);
	w->lists[kind]++;
	policy_watch_unlock(w);
}

/* What was not in the list is no more. */
static void
on_list_end(void *arg, size_t kind)
{
	struct policy_watch *w = arg;

	policy_watch_lock(w);
	for (size_t i = w->objects.len; i-- > 0;) {
		struct held *h = w->objects.entries[i].value;

		if (h->kind != kind || h->list == w->lists[kind])
			continue;
		(void)map_remove(&w->objects, h->name);
		changed_object(w, h->name);
		held_free(h);
	}
	if (!w->listed[kind])
		changed(w);
	w->listed[kind] = true;
	policy_watch_unlock(w);
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
		policy_watch_lock(w);
		old = w->files_arena;
		w->files_arena = arena;
		w->files = files;
		w->all_new = true;
		changed(w);
		policy_watch_unlock(w);
	}
	arena_free(old);
	return rc;
}

bool
policy_watch_is_synced(const struct policy_watch *w)
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

	policy_watch_lock(w);
	synced = policy_watch_is_synced(w);
	policy_watch_unlock(w);
	return synced;
}

/* ---- the tree that reviews are judged in ---- */

/* What of the documents is news to the tree; under the lock, for which it is copied. */
static struct bundle
take_news(struct policy_watch *w, struct arena *arena)
{
	const size_t count = w->all_new ? w->files.count + w->objects.len : w->news.len;
	struct bundle news = {.sources = ARENA_ARRAY(arena, count + 1, struct source)};

	for (size_t i = 0; w->all_new && i < w->files.count; i++)
		news.sources[news.count++] =
		    (struct source){str_dup(arena, w->files.sources[i].name),
			str_dup(arena, w->files.sources[i].text)};
	for (size_t i = 0; i < (w->all_new ? w->objects.len : w->news.len); i++) {
		const struct str name =
		    w->all_new ? w->objects.entries[i].key : w->news.entries[i].key;
		const struct held *h = map_get(&w->objects, name);
		struct source *source = &news.sources[news.count++];

		source->name = str_dup(arena, name);
		if (h != NULL)
			source->text = str_dup(arena, h->text);
	}
	map_fini(&w->news);
	w->news = (struct map){0};
	arena_reset(w->news_arena);
	w->all_new = false;
	w->tree_generation = w->generation;
	return news;
}

struct problems {
	struct arena *arena;
	struct map by_name;
};

static void
add_problem(void *arg, struct str source, struct str field, const char *code,
    struct str message)
{
	struct problems *p = arg;
	struct held_problem *problem;

	if (map_get(&p->by_name, source) != NULL)
		return; /* the first is enough */
	problem = ARENA_NEW(p->arena, struct held_problem);
	*problem = (struct held_problem){.code = str_from(code),
	    .words = str_from(arena_printf(p->arena, "%.*s%s%.*s [%s]", STR_ARG(field),
		field.len != 0 ? ": " : "", STR_ARG(message), code))};
	(void)map_set(&p->by_name, str_dup(p->arena, source), problem); /* new */
}

static void
publish_problems(struct policy_watch *w)
{
	struct problems p = {.arena = arena_new()};
	struct problems old;

	amend_base_each_mistake(w->tree, add_problem, &p);
	policy_watch_lock(w);
	old = (struct problems){w->problems_arena, w->problems};
	w->problems_arena = p.arena;
	w->problems = p.by_name;
	policy_watch_unlock(w);
	map_fini(&old.by_name);
	arena_free(old.arena);
}

/* Brings it up to what is known; NULL until all is. The news are taken under the lock, and
 * read by the judging thread alone. */
static struct amend_base *
current_tree(struct policy_watch *w)
{
	struct arena *arena;
	struct bundle news;
	bool synced, anew;

	policy_watch_lock(w);
	synced = policy_watch_is_synced(w);
	if (!synced || (w->tree != NULL && w->tree_generation == w->generation)) {
		policy_watch_unlock(w);
		return synced ? w->tree : NULL;
	}
	arena = arena_new();
	anew = w->all_new;
	news = take_news(w, arena);
	policy_watch_unlock(w);
	if (anew) {
		amend_base_free(w->tree);
		w->tree = amend_base_new(&news);
	} else {
		for (size_t i = 0; i < news.count; i++)
			amend_base_put(w->tree, &news.sources[i]);
	}
	w->tree_made = monotime_now();
	arena_free(arena);
	if (w->nodes != NULL) /* else nobody wants to know */
		publish_problems(w);
	return w->tree;
}

/* ---- reviews ---- */

void
policy_watch_ask(struct policy_watch *w, struct budget_review *review)
{
	struct held_review *h = xcalloc(1, sizeof(*h));

	h->review = review;
	policy_watch_lock(w);
	*w->asked_end = h;
	w->asked_end = &h->next;
	w->waiting++;
	(void)pthread_cond_signal(&w->bell); /* cannot fail */
	policy_watch_unlock(w);
}

static void
on_answered(uv_async_t *async)
{
	struct policy_watch *w = async->data;
	struct budget_review *review, *next;

	policy_watch_lock(w);
	review = w->answers;
	w->answers = NULL;
	w->answers_end = &w->answers;
	policy_watch_unlock(w);
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

/* Status tells of the tree as it is, whether or not anybody asks; under the lock. */
static bool
is_behind(const struct policy_watch *w, monotime_t now)
{
	return w->nodes != NULL && policy_watch_is_synced(w) &&
	       w->tree_generation != w->generation &&
	       monotime_since(w->tree_made, now) >= HOLD_MS * NS_PER_MS;
}

/* Takes the first that is due; waits for one. NULL: there is none, but news. */
static struct held_review *
take(struct policy_watch *w)
{
	struct held_review *h, **at;

	policy_watch_lock(w);
	for (;;) {
		const monotime_t now = monotime_now();
		uint64_t until = now.ns + HOLD_MS * NS_PER_MS;
		struct timespec wake;

		for (at = &w->asked; *at != NULL && !is_due(w, *at, now);
		     at = &(*at)->next) {
			if ((*at)->until.ns < until)
				until = (*at)->until.ns;
		}
		if (*at != NULL)
			break;
		if (is_behind(w, now)) {
			policy_watch_unlock(w);
			return NULL;
		}
		wake = (struct timespec){.tv_sec = (time_t)(until / (1000 * NS_PER_MS)),
		    .tv_nsec = (long)(until % (1000 * NS_PER_MS))};
		(void)pthread_cond_timedwait(
		    &w->bell, &w->lock, &wake); /* woken for nothing is fine */
	}
	h = *at;
	*at = h->next;
	if (w->asked_end == &h->next)
		w->asked_end = at;
	h->next = NULL;
	policy_watch_unlock(w);
	return h;
}

static void
hold(struct policy_watch *w, struct held_review *h)
{
	buf_clear(&h->review->answer);
	if (h->until.ns == 0)
		h->until.ns = monotime_now().ns + HOLD_MS * NS_PER_MS;
	h->generation = w->tree_generation;
	policy_watch_lock(w);
	w->held_back++;
	*w->asked_end = h;
	w->asked_end = &h->next;
	policy_watch_unlock(w);
}

static void
give_back(struct policy_watch *w, struct held_review *h, unsigned warnings)
{
	struct budget_review *review = h->review;

	free(h);
	review->next = NULL;
	policy_watch_lock(w);
	w->waiting--;
	w->results[review->result]++;
	w->warnings += warnings;
	*w->answers_end = review;
	w->answers_end = &review->next;
	policy_watch_unlock(w);
	(void)uv_async_send(&w->answered); /* cannot fail */
}

static void *
run(void *arg)
{
	struct policy_watch *w = arg;

	for (;;) {
		struct held_review *h = take(w);
		struct amend_base *tree = current_tree(w);
		struct policy_reviewed reviewed;

		if (h == NULL)
			continue;
		policy_review(
		    tree, buf_str(&h->review->body), &h->review->answer, &reviewed);
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

	if (policy_resource_count() > POLICY_WATCH_KINDS)
		base_die("too many kinds");
	*w = (struct policy_watch){
	    .done = done, .arg = arg, .all_new = true, .news_arena = arena_new()};
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
	policy_watch_lock(w);
	buf_printf(out,
	    ",\"policyAllowed\":%llu,\"policyDenied\":%llu,\"policyUnknown\":%llu,"
	    "\"policyMalformed\":%llu,\"policyWarnings\":%llu,\"policyHeld\":%llu,"
	    "\"policyObjects\":%zu,\"policyWaiting\":%zu,\"policyKnown\":%s",
	    (unsigned long long)w->results[ADMISSION_ALLOWED],
	    (unsigned long long)w->results[ADMISSION_DENIED],
	    (unsigned long long)w->results[ADMISSION_UNKNOWN],
	    (unsigned long long)w->results[ADMISSION_MALFORMED],
	    (unsigned long long)w->warnings, (unsigned long long)w->held_back,
	    w->objects.len, w->waiting, policy_watch_is_synced(w) ? "true" : "false");
	if (w->nodes != NULL)
		buf_printf(out,
		    ",\"statusLeads\":%s,\"statusWrites\":%llu,\"statusFailures\":%llu,"
		    "\"statusNodes\":%zu",
		    w->status_leads ? "true" : "false",
		    (unsigned long long)w->status_writes,
		    (unsigned long long)w->status_failures,
		    status_nodes_count(w->nodes));
	policy_watch_unlock(w);
}
