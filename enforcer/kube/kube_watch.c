#include "enforcer/kube/kube_watch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <jansson.h>

#include "common/log.h"
#include "common/secret.h"

#define PAGE_LIMIT      500
#define LIST_SILENT_S   60
#define WATCH_LEAST_S   300 /* a watch lasts so long ... */
#define WATCH_MORE_S    300 /* ... and at most so much longer */
#define BACKOFF_MS      200
#define BACKOFF_MOST_MS 30000
#define ABSENT_MS       2000 /* until a kind that is not served is asked for again */
#define ABSENT_MOST_MS  300000
#define VANISHED_MS     30000 /* a kind that was served is gone for good after that */
#define SHORT_MS        500   /* a watch is */
#define SETTLED_MS      1000  /* one that is open for so long works */
#define LISTED_AFTER    3     /* failures of watches in a row */

/* ---- of one kind ---- */

struct kind_watch {
	struct kube_cluster *cluster;
	size_t kind;
	struct kube_kind_state state;
	uint64_t version;         /* where the watch goes on; nothing up to it is new */
	uint64_t listed;          /* of the first page of the list that is being read */
	bool list_next;           /* not a watch */
	bool consistent;          /* what the server has now, not what it remembers */
	bool unpaged;             /* the pages took longer than the server keeps them */
	bool fresh;               /* over a new connection: the last one failed */
	bool served;              /* was, the last time that we knew */
	bool expired;             /* the watch said so */
	bool heard;               /* this watch said anything */
	monotime_t began, opened; /* this watch; 0: not yet */
	unsigned absences;
	monotime_t absent_since; /* 0: it is not */
	struct kube_decode decode;
	bool decoding;
	uv_timer_t *timer;
};

struct kube_cluster {
	uv_loop_t *loop;
	struct kube_client *client;
	struct kube_store *store;
	unsigned silent_s;
	const struct kube_cluster_handler *handler;
	void *arg;
	uint64_t random;
	struct kind_watch kinds[KUBE_KIND_COUNT];
};

static void begin(struct kind_watch *w);

static uint64_t
draw(struct kube_cluster *c, uint64_t below)
{
	uint64_t z = c->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (z ^ (z >> 31)) % below;
}

static const char *
name_of(const struct kind_watch *w)
{
	return kube_kinds[w->kind].name;
}

static void
tell(struct kind_watch *w)
{
	w->cluster->handler->changed(w->cluster->arg);
}

static void
set_phase(struct kind_watch *w, enum kube_phase phase)
{
	w->state.phase = phase;
	tell(w);
}

/* ---- later ---- */

static void
on_time(uv_timer_t *timer)
{
	begin(timer->data);
}

static uint64_t
doubled(uint64_t ms, unsigned times, uint64_t most)
{
	for (unsigned i = 0; i < times && ms < most; i++)
		ms *= 2;
	return ms < most ? ms : most;
}

/* Half of it at least, so that many who failed together do not come back together. */
static void
begin_after(struct kind_watch *w, uint64_t ms)
{
	ms = ms / 2 + draw(w->cluster, ms / 2 + 1);
	if (uv_timer_start(w->timer, on_time, ms, 0) != 0)
		base_die("cannot start a timer");
}

static void
say_failure(struct kind_watch *w, const char *detail)
{
	(void)snprintf(w->state.detail, sizeof(w->state.detail), "%s", detail);
	if ((w->state.failing & (w->state.failing - 1)) != 0)
		return; /* 1, 2, 4, 8, ... in a row are told */
	log_warn("kube-watch", "kind=%s failures=%u detail=%s", name_of(w),
	    w->state.failing, log_quote(str_from(detail)));
}

static void
fail(struct kind_watch *w, const struct kube_result *r, const char *detail)
{
	uint64_t ms;

	w->state.failures++;
	w->state.failing++;
	/* A connection that broke off is not asked again; one that we left is fine. */
	w->fresh = r->status == 0 || (!r->whole && !w->decode.failed);
	say_failure(w, detail[0] != '\0' ? detail : r->detail);
	ms = doubled(BACKOFF_MS, w->state.failing - 1, BACKOFF_MOST_MS);
	if (ms < r->retry_after_s * UINT64_C(1000))
		ms = r->retry_after_s * UINT64_C(2000); /* the half of it at least */
	begin_after(w, ms);
	set_phase(w, KUBE_WAITING);
	if (r->status == 0 || r->status == 401)
		w->cluster->handler->access_wanted(w->cluster->arg);
}

static void
succeed(struct kind_watch *w)
{
	w->state.failing = 0;
	w->state.detail[0] = '\0';
	w->state.heard = monotime_now();
	w->fresh = false;
}

/* ---- decoding ---- */

static void
stop_decoding(struct kind_watch *w)
{
	if (w->decoding)
		kube_decode_free(&w->decode);
	w->decoding = false;
}

static void
start_decoding(struct kind_watch *w, bool watch, kube_object_fn object)
{
	stop_decoding(w);
	kube_decode_init(&w->decode, &kube_kinds[w->kind], watch, object, w);
	w->decoding = true;
}

static bool
on_data(void *arg, const char *data, size_t len)
{
	struct kind_watch *w = arg;
	const bool ok = kube_decode_feed(&w->decode, data, len);

	if (w->decode.watch)
		tell(w); /* once for all that came together */
	return ok;
}

static const char *
decode_why(const struct kind_watch *w)
{
	return w->decode.failed ? w->decode.why : "";
}

static void
on_opened(void *arg)
{
	struct kind_watch *w = arg;

	w->opened = monotime_now();
	w->state.heard = w->opened;
}

/* ---- lists ---- */

static bool
on_listed(void *arg, const struct kube_object *object)
{
	struct kind_watch *w = arg;

	kube_store_put(w->cluster->store, w->kind, object);
	return true;
}

static void ask_page(struct kind_watch *w, struct str token);

static void
end_list(struct kind_watch *w)
{
	kube_store_list_end(w->cluster->store, w->kind);
	w->version = w->listed;
	w->list_next = w->consistent = w->unpaged = false;
	w->served = w->state.synced = true;
	w->absences = 0;
	w->absent_since.ns = 0;
	w->state.lists++;
	w->state.heard = monotime_now();
	log_info("kube-listed", "kind=%s objects=%zu version=%llu", name_of(w),
	    w->cluster->store->kinds[w->kind].count, (unsigned long long)w->version);
	begin(w);
}

/* Servers that have just started may not know yet what they serve; so what was there is not
 * gone at once. */
static void
on_absent(struct kind_watch *w, const struct kube_result *r)
{
	const monotime_t now = monotime_now();

	if (w->absent_since.ns == 0)
		w->absent_since = now;
	if (w->served &&
	    monotime_since(w->absent_since, now) < VANISHED_MS * UINT64_C(1000000)) {
		fail(w, r, "");
		return;
	}
	if (w->served)
		log_warn("kube-vanished", "kind=%s objects=%zu", name_of(w),
		    w->cluster->store->kinds[w->kind].count);
	kube_store_clear(w->cluster->store, w->kind);
	w->served = false;
	w->version = 0;
	w->state.synced = true;
	succeed(w);
	begin_after(w, doubled(ABSENT_MS, w->absences++, ABSENT_MOST_MS));
	set_phase(w, KUBE_ABSENT);
}

static void
on_page_done(void *arg, const struct kube_result *r)
{
	struct kind_watch *w = arg;
	const bool first = w->listed == 0;
	struct buf token = {0};

	if (r->status == 404) {
		on_absent(w, r);
		return;
	}
	if (r->status != 200 || !r->whole || !kube_decode_complete(&w->decode)) {
		/* What it remembers is not as new as we are, or it no longer does. */
		w->consistent |= r->status == 410 || r->status == 504;
		w->unpaged |= r->status == 410 && !first;
		fail(w, r, decode_why(w));
		return;
	}
	if (first)
		w->listed = w->decode.version;
	if (w->listed == 0) {
		fail(w, r, "a list without a resourceVersion");
	} else if (w->decode.token.len == 0) {
		end_list(w);
	} else {
		buf_add_str(&token, buf_str(&w->decode.token));
		ask_page(w, buf_str(&token));
		buf_free(&token);
	}
}

static void
ask(struct kind_watch *w, struct buf *path, unsigned silent_s,
    const struct kube_get_handler *handler)
{
	static const struct kube_result none = {.detail = "cannot ask"};

	if (kube_client_get(
		w->cluster->client, path->data, silent_s, w->fresh, handler, w) == NULL)
		fail(w, &none, "");
	buf_free(path);
}

static void
ask_page(struct kind_watch *w, struct str token)
{
	static const struct kube_get_handler handler = {
	    on_opened, on_data, on_page_done};
	struct buf path = {0};
	char *escaped;

	start_decoding(w, false, on_listed);
	buf_printf(
	    &path, "%s?limit=%d", kube_kinds[w->kind].url, w->unpaged ? 0 : PAGE_LIMIT);
	if (token.len != 0) {
		escaped = curl_easy_escape(NULL, token.ptr, (int)token.len);
		if (escaped == NULL)
			base_die("out of memory");
		buf_printf(&path, "&continue=%s", escaped);
		curl_free(escaped);
	} else if (!w->consistent && w->version == 0) {
		buf_add_cstr(&path, "&resourceVersion=0");
	} else if (!w->consistent) {
		buf_printf(&path,
		    "&resourceVersion=%llu&resourceVersionMatch=NotOlderThan",
		    (unsigned long long)w->version);
	}
	ask(w, &path, LIST_SILENT_S, &handler);
}

static void
list(struct kind_watch *w)
{
	w->listed = 0;
	kube_store_list_begin(w->cluster->store, w->kind);
	set_phase(w, KUBE_LISTING);
	ask_page(w, STR(""));
}

/* ---- watches ---- */

static void watch(struct kind_watch *w);

static void
take_error(struct kind_watch *w, struct str text)
{
	json_t *status = json_loadb(text.ptr, text.len, 0, NULL);
	const json_t *code = json_object_get(status, "code");
	const char *message = json_string_value(json_object_get(status, "message"));

	w->expired = json_integer_value(code) == 410;
	(void)snprintf(w->state.detail, sizeof(w->state.detail), "error %lld: %s",
	    (long long)json_integer_value(code), message != NULL ? message : "");
	json_decref(status);
}

/* The versions of a kind's events only grow: what is not above has been seen. */
static bool
on_event(void *arg, const struct kube_object *object)
{
	struct kind_watch *w = arg;

	if (object->event == KUBE_ERROR) {
		take_error(w, object->text);
		return false;
	}
	if (!w->heard)
		succeed(w);
	w->heard = true;
	w->state.heard = monotime_now();
	if (object->version <= w->version) {
		w->state.repeated += object->event != KUBE_BOOKMARK;
		return true;
	}
	w->version = object->version;
	if (object->event == KUBE_BOOKMARK)
		return true;
	w->state.events++;
	kube_store_put(w->cluster->store, w->kind, object);
	return true;
}

/* One that ended as watches do, or was cut off. Not at once if that is all that they do. */
static void
go_on(struct kind_watch *w)
{
	if (monotime_since(w->began, monotime_now()) >= SHORT_MS * UINT64_C(1000000)) {
		watch(w);
		return;
	}
	begin_after(w, SHORT_MS);
	set_phase(w, KUBE_WAITING);
}

static void
on_watch_done(void *arg, const struct kube_result *r)
{
	struct kind_watch *w = arg;
	const bool malformed = w->decode.failed && w->decode.why[0] != '\0';
	const bool again = r->status == 200 && w->heard && !w->decode.failed;
	const char *detail = malformed ? w->decode.why
			     : r->status == 200 && w->state.detail[0] != '\0'
				 ? w->state.detail
				 : r->detail;
	char copy[KUBE_DETAIL_BYTES];

	(void)snprintf(copy, sizeof(copy), "%s",
	    detail[0] != '\0' ? detail : "the watch ended without a word");
	w->list_next = w->expired || malformed || r->status == 410 || r->status == 404;
	if (again) {
		w->fresh = !r->whole;
		go_on(w);
		return;
	}
	if (w->state.failing + 1 >= LISTED_AFTER)
		w->list_next = w->consistent = true;
	fail(w, r, copy);
}

static void
watch(struct kind_watch *w)
{
	static const struct kube_get_handler handler = {
	    on_opened, on_data, on_watch_done};
	struct buf path = {0};

	w->heard = w->expired = false;
	w->began = monotime_now();
	w->opened.ns = 0;
	w->state.watches++;
	start_decoding(w, true, on_event);
	buf_printf(&path,
	    "%s?watch=1&allowWatchBookmarks=true&timeoutSeconds=%u&resourceVersion="
	    "%llu",
	    kube_kinds[w->kind].url,
	    (unsigned)(WATCH_LEAST_S + draw(w->cluster, WATCH_MORE_S)),
	    (unsigned long long)w->version);
	set_phase(w, KUBE_WATCHING);
	ask(w, &path, w->cluster->silent_s, &handler);
}

static void
begin(struct kind_watch *w)
{
	if (w->list_next)
		list(w);
	else
		watch(w);
}

/* ---- of all ---- */

struct kube_cluster *
kube_cluster_new(uv_loop_t *loop, struct kube_client *client, struct kube_store *store,
    unsigned silent_s, const struct kube_cluster_handler *handler, void *arg)
{
	struct kube_cluster *c = xcalloc(1, sizeof(*c));

	*c = (struct kube_cluster){.loop = loop,
	    .client = client,
	    .store = store,
	    .silent_s = silent_s,
	    .handler = handler,
	    .arg = arg};
	secret_random(&c->random, sizeof(c->random));
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		struct kind_watch *w = &c->kinds[i];

		w->cluster = c;
		w->kind = i;
		w->list_next = true;
		w->timer = xcalloc(1, sizeof(*w->timer));
		w->timer->data = w;
		if (uv_timer_init(loop, w->timer) != 0)
			base_die("cannot make a timer");
	}
	return c;
}

static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

void
kube_cluster_free(struct kube_cluster *c)
{
	if (c == NULL)
		return;
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		stop_decoding(&c->kinds[i]);
		uv_close((uv_handle_t *)c->kinds[i].timer, free_handle);
	}
	free(c);
}

void
kube_cluster_kick(struct kube_cluster *c)
{
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		struct kind_watch *w = &c->kinds[i];

		if (w->state.phase != KUBE_WAITING && w->state.phase != KUBE_ABSENT)
			continue;
		(void)uv_timer_stop(w->timer); /* cannot fail */
		begin(w);
	}
}

bool
kube_cluster_settle(struct kube_cluster *c)
{
	const monotime_t now = monotime_now();
	bool some = false;

	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		struct kind_watch *w = &c->kinds[i];

		if (w->state.failing == 0 || w->state.phase != KUBE_WATCHING ||
		    w->opened.ns == 0 ||
		    monotime_since(w->opened, now) < SETTLED_MS * UINT64_C(1000000))
			continue;
		succeed(w);
		some = true;
	}
	return some;
}

bool
kube_cluster_synced(const struct kube_cluster *c)
{
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		if (!c->kinds[i].state.synced)
			return false;
	}
	return true;
}

const struct kube_kind_state *
kube_cluster_state(const struct kube_cluster *c, size_t kind)
{
	return &c->kinds[kind].state;
}

uint64_t
kube_cluster_version(const struct kube_cluster *c, size_t kind)
{
	return c->kinds[kind].state.synced ? c->kinds[kind].version : 0;
}
