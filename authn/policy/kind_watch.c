#include "authn/policy/kind_watch.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "authn/budget/budget_client.h"
#include "common/log.h"

#define PAGE_LIMIT     500
#define PAGE_BYTES     (256u * 1024 * 1024)
#define EVENT_BYTES    (16u * 1024 * 1024)
#define LIST_S         60L
#define WATCH_S        290L /* as asked of the server; ours is a little longer */
#define BACKOFF_MAX_MS 10000u
#define ABSENT_S       3 /* between looks for a kind that is not served */

struct kind_watch {
	struct kind_watch_target target;
	const struct kind_watch_handler *handler;
	void *arg;
	size_t kind;
	struct budget_client client;
	char *base;         /* "/apis/apps/v1/deployments" */
	char version[32];   /* where the watch goes on */
	struct buf body;    /* a page, or the event being received */
	bool watching, bad; /* bad: list again */
	bool absent;        /* the server said that there is no such kind */
};

/* ---- requests ---- */

/* GET; 0 unless there was an answer. */
static long
get(struct kind_watch *w, const char *path, const char *query, long timeout_s)
{
	buf_clear(&w->body);
	/* What a watch told counts, however it ended. */
	return budget_client_ask(&w->client, path, query, timeout_s, w->watching);
}

/* ---- what objects say ---- */

static bool
note_version(struct kind_watch *w, const json_t *object)
{
	const char *text = json_string_value(
	    json_object_get(json_object_get(object, "metadata"), "resourceVersion"));

	if (text == NULL || strlen(text) >= sizeof(w->version) ||
	    strspn(text, "0123456789") != strlen(text))
		return false;
	(void)snprintf(w->version, sizeof(w->version), "%s", text); /* fits */
	return true;
}

/* One event; false if everything must be listed again. */
static bool
take_event(struct kind_watch *w, struct str line)
{
	json_t *event = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *object = json_object_get(event, "object");
	const struct str type =
	    str_from(json_string_value(json_object_get(event, "type")));
	const bool gone = str_is(type, "DELETED");
	bool ok = false;

	if (str_is(type, "BOOKMARK"))
		ok = true;
	else if (gone || str_is(type, "ADDED") || str_is(type, "MODIFIED"))
		ok = w->handler->object(w->arg, w->kind, object, gone);
	ok = ok && note_version(w, object);
	if (ok)
		w->handler->heard(w->arg, w->kind);
	json_decref(event);
	return ok;
}

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct kind_watch *w = arg;
	struct str rest = {data, size * count};
	long status = 0;

	if (w->watching)
		(void)curl_easy_getinfo(
		    w->client.curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200) { /* a page, or a refusal */
		buf_add(&w->body, data, rest.len);
		return w->body.len <= PAGE_BYTES ? rest.len : 0;
	}
	while (rest.len != 0) {
		const size_t end = str_find(rest, '\n', 0);

		buf_add_str(&w->body, str_slice(rest, 0, end));
		if (end == rest.len)
			break;
		rest = str_slice(rest, end + 1, rest.len);
		w->bad = w->body.len != 0 && !take_event(w, buf_str(&w->body));
		buf_clear(&w->body);
		if (w->bad)
			return 0; /* ends the transfer */
	}
	w->bad = w->body.len > EVENT_BYTES;
	return w->bad ? 0 : size * count;
}

/* ---- listing ---- */

/* Takes a page; its `continue` (may be empty) in *out_more, or false. */
static bool
take_page(struct kind_watch *w, struct buf *out_more)
{
	json_t *page =
	    json_loadb(w->body.data, w->body.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *items = json_object_get(page, "items");
	const char *more = json_string_value(
	    json_object_get(json_object_get(page, "metadata"), "continue"));
	const json_t *object;
	bool ok = json_is_array(items) && note_version(w, page);
	size_t i;

	json_array_foreach(items, i, object)
	{
		ok = ok && w->handler->object(w->arg, w->kind, object, false);
	}
	if (!ok)
		(void)snprintf(w->client.detail, sizeof(w->client.detail),
		    "no list that can be read");
	buf_clear(out_more);
	buf_add_cstr(out_more, more != NULL ? more : "");
	json_decref(page);
	return ok;
}

static bool
list(struct kind_watch *w)
{
	struct buf more = {NULL, 0, 0}, query = {NULL, 0, 0};
	bool ok;

	w->handler->list_begin(w->arg, w->kind);
	w->watching = false;
	do {
		char *escaped = curl_easy_escape(
		    w->client.curl, more.len != 0 ? more.data : "", (int)more.len);
		long status;

		buf_clear(&query);
		buf_printf(&query, "?limit=%d", PAGE_LIMIT);
		if (more.len != 0)
			buf_printf(&query, "&continue=%s", escaped);
		buf_add_char(&query, '\0');
		curl_free(escaped);
		status = get(w, w->base, query.data, LIST_S);
		w->absent = status == 404;
		ok = status == 200 && take_page(w, &more);
		if (status != 0 && status != 200)
			(void)snprintf(w->client.detail, sizeof(w->client.detail),
			    "status %ld", status);
	} while (ok && more.len != 0);
	if (ok || (w->absent && w->target.may_be_absent))
		w->handler->list_end(w->arg, w->kind);
	buf_free(&more);
	buf_free(&query);
	return ok;
}

/* Watches until it ends; false if everything must be listed again. */
static bool
watch(struct kind_watch *w)
{
	char query[160];
	long status;

	(void)snprintf(query, sizeof(query),
	    "?watch=1&allowWatchBookmarks=true&timeoutSeconds=%ld&resourceVersion=%s",
	    WATCH_S, w->version); /* fits */
	w->watching = true;
	w->bad = false;
	status = get(w, w->base, query, WATCH_S + 20);
	w->watching = false;
	if (w->bad || status != 200)
		(void)snprintf(w->client.detail, sizeof(w->client.detail),
		    "watch ended, status %ld", status);
	return !w->bad && status == 200;
}

/* ---- where objects of the kind are ---- */

/* "/api/v1/pods"; where none is named the group's preferred version is asked for. */
static bool
find_base(struct kind_watch *w)
{
	const struct kind_watch_target *kind = &w->target;
	struct buf path = {NULL, 0, 0}, base = {NULL, 0, 0};
	const char *version = kind->version != NULL ? kind->version : "v1";
	json_t *group = NULL;

	buf_printf(&path, "/apis/%.*s", STR_ARG(kind->group));
	buf_add_char(&path, '\0');
	if (kind->group.len != 0 && kind->version == NULL) {
		w->watching = false;
		version = NULL;
		if (get(w, path.data, "", LIST_S) == 200)
			group = json_loadb(w->body.data, w->body.len, 0, NULL);
		version = json_string_value(json_object_get(
		    json_object_get(group, "preferredVersion"), "version"));
	}
	if (version == NULL && w->client.detail[0] == '\0')
		(void)snprintf(
		    w->client.detail, sizeof(w->client.detail), "no such API group");
	if (version != NULL) {
		buf_printf(&base, "%s/%s/%.*s",
		    kind->group.len != 0 ? path.data : "/api", version,
		    STR_ARG(kind->resource));
		buf_add_char(&base, '\0');
		w->base = base.data; /* for good */
	}
	json_decref(group);
	buf_free(&path);
	return version != NULL;
}

static void
rest_ms(unsigned ms)
{
	const struct timespec time = {ms / 1000, (long)(ms % 1000) * 1000000};

	(void)nanosleep(&time, NULL); /* cut short is fine */
}

static void
rest(unsigned failures)
{
	unsigned ms = 50;

	for (unsigned i = 1; i < failures && ms < BACKOFF_MAX_MS; i++)
		ms *= 2;
	rest_ms(ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS);
}

static void *
run(void *arg)
{
	struct kind_watch *w = arg;
	unsigned failures = 0;
	bool listed = false, connected = false;

	for (;;) {
		bool ok =
		    connected || budget_client_connect(&w->client, NULL, on_body, w);

		connected = ok;
		ok = ok && (w->base != NULL || find_base(w));
		ok = ok && (listed || list(w));
		listed = ok && watch(w);
		if (listed) {
			failures = 0;
			continue;
		}
		if (w->absent && w->target.may_be_absent) {
			w->absent = false;
			failures = 0;
			rest_ms(ABSENT_S * 1000);
			continue;
		}
		failures = ok ? 1 : failures + 1;
		if (!ok) {
			log_warn("kind-watch", "resource=%s failures=%u detail=%s",
			    log_quote(w->target.resource), failures,
			    log_quote(str_from(w->client.detail)));
			w->client.server++;
			connected = false;
		}
		rest(failures);
	}
	return NULL;
}

int
kind_watch_start(const struct worker_settings *settings,
    const struct kind_watch_target *target, size_t kind,
    const struct kind_watch_handler *handler, void *arg, struct err *err)
{
	struct kind_watch *w = xcalloc(1, sizeof(*w));
	pthread_t thread;

	w->target = *target;
	w->handler = handler;
	w->arg = arg;
	w->kind = kind;
	w->client =
	    (struct budget_client){.settings = settings, .user = settings->lists_as};
	if (pthread_create(&thread, NULL, run, w) != 0) {
		free(w);
		return err_set(err, ERR_SYSTEM, "cannot start a thread");
	}
	(void)pthread_detach(thread); /* it never ends */
	return 0;
}
