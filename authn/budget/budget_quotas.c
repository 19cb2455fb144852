/*
 * One thread that keeps a ResourceQuota in every namespace that a budget is over: every
 * second it lists those that are there, and applies, as a field manager of its own, what differs
 * from what should be, whoever changed it; what no document asks for any more it removes.
 * While it is not known what exists it writes nothing.
 */
#include <stdlib.h>
#include <time.h>

#include "authn/budget/budget_client.h"
#include "authn/budget/budget_state.h"
#include "authn/budget/resource_quota.h"
#include "authn/wire/json_text.h"
#include "common/log.h"
#include "common/map.h"

#define PASS_S     1
#define PAGE_LIMIT 500
#define PAGE_BYTES (64u * 1024 * 1024)
#define CALL_S     30L

#define LIST_PATH "/api/v1/resourcequotas"
#define LIST_QUERY                                                                     \
	"labelSelector=app.kubernetes.io%2Fmanaged-by%3D" RESOURCE_QUOTA_MANAGER
#define APPLY_TYPE  "application/apply-patch+yaml" /* JSON is YAML */
#define APPLY_QUERY "?fieldManager=" RESOURCE_QUOTA_MANAGER "&force=true"

/* What is to be done in one namespace. */
struct change {
	struct change *next;
	struct buf path;
	struct buf object; /* to be applied; empty: to be removed */
};

struct quota_writer {
	struct budget_role *role;
	struct budget_client client;
	struct buf body;
	json_t *pages; /* of the list */
	struct map there;
	bool failing; /* has been told */
};

/* ---- requests ---- */

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct quota_writer *w = arg;

	buf_add(&w->body, data, size * count);
	return w->body.len <= PAGE_BYTES ? size * count : 0;
}

/* `body` NULL: none. 0 unless there was an answer. */
static long
ask(struct quota_writer *w, const char *method, const char *path, const char *query,
    const char *body)
{
	CURL *curl = w->client.curl;
	/* A body makes it a POST, whose name is then another. */
	CURLcode rc = body != NULL ? curl_easy_setopt(curl, CURLOPT_POSTFIELDS, body)
				   : curl_easy_setopt(curl, CURLOPT_HTTPGET, 1L);

	buf_clear(&w->body);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method);
	return rc == CURLE_OK
		   ? budget_client_ask(&w->client, path, query, CALL_S, false)
		   : 0;
}

/* ---- what is there ---- */

static struct str
metadata_text(const json_t *object, const char *key)
{
	return json_text_at(json_object_get(object, "metadata"), key);
}

static void
forget(struct quota_writer *w)
{
	map_fini(&w->there);
	json_decref(w->pages);
	w->pages = json_array();
}

/* Notes a page's; others' under another name are none of ours. */
static bool
take_page(struct quota_writer *w, struct buf *out_more)
{
	json_t *page =
	    json_loadb(w->body.data, w->body.len, JSON_REJECT_DUPLICATES, NULL);
	json_t *items = json_object_get(page, "items"), *item;
	size_t i;

	buf_clear(out_more);
	buf_add_str(out_more, metadata_text(page, "continue"));
	if (!json_is_array(items) || json_array_append_new(w->pages, page) != 0) {
		(void)snprintf(w->client.detail, sizeof(w->client.detail),
		    "no list that can be read");
		json_decref(page);
		return false;
	}
	json_array_foreach(items, i, item)
	{
		if (str_is(metadata_text(item, "name"), RESOURCE_QUOTA_NAME))
			(void)map_set(
			    &w->there, metadata_text(item, "namespace"), item);
	}
	return true;
}

static bool
list(struct quota_writer *w)
{
	struct buf more = {NULL, 0, 0}, query = {NULL, 0, 0};
	bool ok;

	forget(w);
	do {
		char *escaped = curl_easy_escape(
		    w->client.curl, more.len != 0 ? more.data : "", (int)more.len);
		long status;

		buf_clear(&query);
		buf_add_cstr(&query, "?" LIST_QUERY);
		buf_printf(&query, "&limit=%d%s%s", PAGE_LIMIT,
		    more.len != 0 ? "&continue=" : "", escaped);
		buf_add_char(&query, '\0');
		curl_free(escaped);
		status = ask(w, "GET", LIST_PATH, query.data, NULL);
		ok = status == 200 && take_page(w, &more);
		if (status != 0 && status != 200)
			(void)snprintf(w->client.detail, sizeof(w->client.detail),
			    "list: status %ld", status);
	} while (ok && more.len != 0);
	buf_free(&more);
	buf_free(&query);
	return ok;
}

/* ---- what should be ---- */

static struct change *
change_new(struct quota_writer *w, struct str namespace)
{
	struct change *a = xcalloc(1, sizeof(*a));
	char *escaped =
	    curl_easy_escape(w->client.curl, namespace.ptr, (int)namespace.len);

	buf_printf(&a->path,
	    "/api/v1/namespaces/%s/resourcequotas/" RESOURCE_QUOTA_NAME,
	    escaped != NULL ? escaped : "");
	buf_add_char(&a->path, '\0');
	curl_free(escaped);
	return a;
}

/* What differs; what is left in `there` afterwards should not be. */
static struct change *
compare(struct quota_writer *w, const struct resource_quota *wanted, size_t count)
{
	struct change *first = NULL, **end = &first;

	for (size_t i = 0; i < count; i++) {
		const json_t *object = map_remove(&w->there, wanted[i].namespace);

		if (object != NULL && resource_quota_is(&wanted[i], object))
			continue;
		*end = change_new(w, wanted[i].namespace);
		resource_quota_json(&(*end)->object, &wanted[i]);
		buf_add_char(&(*end)->object, '\0');
		end = &(*end)->next;
	}
	for (size_t i = 0; i < w->there.len; i++) {
		*end = change_new(w, w->there.entries[i].key);
		end = &(*end)->next;
	}
	return first;
}

/* NULL, too, while it is not known what exists. */
static struct change *
decide(struct quota_writer *w)
{
	struct budget_role *role = w->role;
	struct arena *arena = arena_new();
	const struct resource_quota *wanted;
	struct change *changes = NULL;
	size_t count;

	(void)pthread_mutex_lock(&role->lock); /* cannot fail: it is our own */
	if (budget_ledger_synced(role->ledger)) {
		wanted = resource_quotas_make(
		    arena, role->policy->model, &role->plan, role->ledger, &count);
		changes = compare(w, wanted, count);
	}
	(void)pthread_mutex_unlock(&role->lock);
	arena_free(arena);
	return changes;
}

/* ---- the thread ---- */

static bool
act(struct quota_writer *w, const struct change *a)
{
	const bool applies = a->object.len != 0;
	const long status = ask(w, applies ? "PATCH" : "DELETE", a->path.data,
	    applies ? APPLY_QUERY : "", applies ? a->object.data : NULL);
	const bool done = status == 200 || status == 201 || status == 202;

	(void)pthread_mutex_lock(&w->role->lock); /* cannot fail: it is our own */
	w->role->quotas_applied += done && applies;
	w->role->quotas_removed += done && !applies;
	(void)pthread_mutex_unlock(&w->role->lock);
	/* A namespace that is not there (yet, or any more) needs none. */
	if (done || status == 404)
		return true;
	if (status != 0)
		(void)snprintf(w->client.detail, sizeof(w->client.detail),
		    "%s: status %ld", a->path.data, status);
	return false;
}

static bool
pass(struct quota_writer *w)
{
	struct change *a, *next;
	bool ok = list(w);

	a = ok ? decide(w) : NULL;
	for (; a != NULL; a = next) {
		next = a->next;
		ok = act(w, a) && ok;
		buf_free(&a->path);
		buf_free(&a->object);
		free(a);
	}
	return ok;
}

static void
note(struct quota_writer *w, bool ok)
{
	if (!ok && !w->failing)
		log_warn("resource-quotas", "detail=%s",
		    log_quote(str_from(w->client.detail)));
	if (ok && w->failing)
		log_info("resource-quotas", "written=true");
	w->failing = !ok;
	(void)pthread_mutex_lock(&w->role->lock); /* cannot fail: it is our own */
	w->role->quota_failures += !ok;
	(void)pthread_mutex_unlock(&w->role->lock);
}

static void *
run(void *arg)
{
	const struct timespec pause = {PASS_S, 0};
	struct quota_writer *w = arg;
	bool connected = false;

	for (;;) {
		bool ok = connected ||
			  budget_client_connect(&w->client, APPLY_TYPE, on_body, w);

		ok = ok && pass(w);
		note(w, ok);
		connected = ok;
		w->client.server += !ok;
		(void)nanosleep(&pause, NULL); /* cut short is fine */
	}
	return NULL;
}

int
budget_quotas_start(struct budget_role *role, struct err *err)
{
	struct quota_writer *w = xcalloc(1, sizeof(*w));
	pthread_t thread;

	w->role = role;
	w->client = (struct budget_client){
	    .settings = &role->settings, .user = role->own.writes_as};
	if (pthread_create(&thread, NULL, run, w) != 0)
		return err_set(err, ERR_SYSTEM, "cannot start a thread");
	(void)pthread_detach(thread); /* it never ends */
	return 0;
}
