#include "authn/policy/status_writer.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "authn/budget/budget_client.h"
#include "authn/policy/policy_watch_state.h"
#include "authn/wire/json_text.h"
#include "common/log.h"
#include "common/secret.h"
#include "policy-lang/load/load_kinds.h"

#define PASS_S       1
#define CALL_S       30L
#define WRITES_MAX   50u /* in a pass */
#define LEASE_S      15u
#define RENEW_S      5u
#define ANSWER_BYTES (4u * 1024 * 1024)
#define LEASE_NAME   "ringfence-status"
#define LEASE_API    "/apis/coordination.k8s.io/v1/namespaces/"
#define APPLY_QUERY  "?fieldManager=ringfence-status&force=true"

/* One document's new status. */
struct change {
	struct change *next;
	struct buf path, object;
};

struct status_writer {
	struct policy_watch *watch;
	struct status_writer_settings own;
	struct budget_client applies, leases; /* bodies of two types */
	struct buf body;
	char identity[33];
	size_t next; /* of the objects, to begin with */
	/* of the Lease */
	char version[32]; /* as seen last */
	monotime_t seen;  /* when that was new */
	monotime_t renewed;
	bool leads, failing;
};

/* ---- requests ---- */

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct status_writer *w = arg;

	buf_add(&w->body, data, size * count);
	return w->body.len <= ANSWER_BYTES ? size * count : 0;
}

/* `body` NULL: none. 0 unless there was an answer. */
static long
ask(struct status_writer *w, struct budget_client *client, const char *method,
    const char *path, const char *query, const char *body)
{
	CURLcode rc;

	buf_clear(&w->body);
	rc = body != NULL ? curl_easy_setopt(client->curl, CURLOPT_POSTFIELDS, body)
			  : curl_easy_setopt(client->curl, CURLOPT_HTTPGET, 1L);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(client->curl, CURLOPT_CUSTOMREQUEST, method);
	return rc == CURLE_OK ? budget_client_ask(client, path, query, CALL_S, false)
			      : 0;
}

static bool
fail(struct budget_client *client, const char *what, long status)
{
	if (status != 0)
		(void)snprintf(client->detail, sizeof(client->detail), "%s: status %ld",
		    what, status);
	return false;
}

/* ---- the Lease ---- */

static bool
is_mine(const struct status_writer *w, const json_t *lease)
{
	const struct str holder =
	    json_text_at(json_object_get(lease, "spec"), "holderIdentity");

	return holder.len == 0 || str_is(holder, w->identity);
}

/* Takes it, or renews it: whoever was faster has changed its version. `lease` NULL: there is none. */
static bool
hold_lease(struct status_writer *w, const json_t *lease)
{
	const json_int_t before = json_integer_value(
	    json_object_get(json_object_get(lease, "spec"), "leaseTransitions"));
	const bool taken = lease != NULL && !is_mine(w, lease);
	char now[WALLTIME_TEXT_BYTES];
	struct buf path = {0}, object = {0};
	long status;

	buf_printf(&path, LEASE_API "%.*s/leases%s", STR_ARG(w->own.lease_namespace),
	    lease != NULL ? "/" LEASE_NAME : "");
	buf_add_char(&path, '\0');
	buf_printf(&object,
	    "{\"apiVersion\":\"coordination.k8s.io/"
	    "v1\",\"kind\":\"Lease\",\"metadata\":{"
	    "\"name\":\"" LEASE_NAME "\",\"namespace\":\"%.*s\"%s%s%s},\"spec\":{"
	    "\"holderIdentity\":\"%s\",\"leaseDurationSeconds\":%u,\"renewTime\":\"%"
	    "s\","
	    "\"leaseTransitions\":%lld}}",
	    STR_ARG(w->own.lease_namespace),
	    lease != NULL ? ",\"resourceVersion\":\"" : "",
	    lease != NULL ? w->version : "", lease != NULL ? "\"" : "", w->identity,
	    LEASE_S, walltime_format(walltime_now(), now), (long long)(before + taken));
	buf_add_char(&object, '\0');
	status = ask(
	    w, &w->leases, lease != NULL ? "PUT" : "POST", path.data, "", object.data);
	buf_free(&path);
	buf_free(&object);
	if (status == 200 || status == 201) {
		w->renewed = monotime_now();
		return true;
	}
	return status == 409 ? false : fail(&w->leases, "lease", status);
}

/* The version tells whether its holder lives, by our clock alone. */
static bool
may_take(struct status_writer *w, const json_t *lease)
{
	const struct str version =
	    json_text_at(json_object_get(lease, "metadata"), "resourceVersion");
	const monotime_t now = monotime_now();

	if (version.len == 0 || version.len >= sizeof(w->version))
		return false;
	if (!str_is(version, w->version)) {
		(void)snprintf(w->version, sizeof(w->version), "%.*s",
		    STR_ARG(version)); /* fits */
		w->seen = now;
	}
	return is_mine(w, lease) || monotime_since(w->seen, now) >= LEASE_S * NS_PER_S;
}

/* *out_ok: the API server answers. */
static bool
lead(struct status_writer *w, bool *out_ok)
{
	const monotime_t now = monotime_now();
	struct buf path = {0};
	json_t *lease = NULL;
	bool held = false;
	long status;

	*out_ok = true;
	if (w->leads && monotime_since(w->renewed, now) < RENEW_S * NS_PER_S)
		return true;
	buf_printf(&path, LEASE_API "%.*s/leases/" LEASE_NAME,
	    STR_ARG(w->own.lease_namespace));
	buf_add_char(&path, '\0');
	status = ask(w, &w->leases, "GET", path.data, "", NULL);
	buf_free(&path);
	if (status == 200)
		lease = json_loadb(w->body.data, w->body.len, 0, NULL);
	if (status == 404 || (lease != NULL && may_take(w, lease)))
		held = hold_lease(w, lease);
	else if (lease == NULL)
		*out_ok = fail(&w->leases, "lease", status);
	json_decref(lease);
	/* Without an answer it holds on for as long as nobody else may take it. */
	return held || (w->leads && !*out_ok &&
			   monotime_since(w->renewed, now) < 2 * RENEW_S * NS_PER_S);
}

/* ---- what should be ---- */

static void
add_change(struct change ***end, const struct held *h,
    const struct policy_resource *kind, const json_t *conditions)
{
	struct change *c = xcalloc(1, sizeof(*c));
	char *text = json_dumps(conditions, JSON_COMPACT);

	if (text == NULL)
		base_die("out of memory");
	/* Names of objects need no escape. */
	buf_printf(&c->path,
	    "/apis/" NATIVE_GROUP "/" NATIVE_VERSION "/%s%.*s%s%.*s/%.*s/status",
	    kind->namespaced ? "namespaces/" : "", STR_ARG(h->namespace),
	    kind->namespaced ? "/" : "", STR_ARG(kind->resource),
	    STR_ARG(h->object_name));
	buf_add_char(&c->path, '\0');
	buf_printf(&c->object,
	    "{\"apiVersion\":\"" NATIVE_GROUP "/" NATIVE_VERSION
	    "\",\"kind\":\"%s\",\"metadata\":{\"name\":",
	    kind->kind);
	buf_add_json(&c->object, h->object_name);
	if (kind->namespaced) {
		buf_add_cstr(&c->object, ",\"namespace\":");
		buf_add_json(&c->object, h->namespace);
	}
	buf_printf(&c->object,
	    "},\"status\":{\"observedGeneration\":%lld,\"sinceVersion\":\"%llu\","
	    "\"conditions\":%s}}",
	    (long long)h->generation, (unsigned long long)h->since, text);
	buf_add_char(&c->object, '\0');
	free(text);
	**end = c;
	*end = &c->next;
}

/* Under the lock. True if there was something to change. */
static bool
judge_one(struct status_writer *w, const struct status_view *view, const struct held *h,
    struct arena *arena, struct change ***end)
{
	const struct held_problem *problem = map_get(&w->watch->problems, h->name);
	struct policy_resource kind;
	struct status_document d;
	json_t *conditions;

	policy_resource_get(h->kind, &kind);
	if (!str_is(kind.group, NATIVE_GROUP) || h->generation == 0)
		return false;
	d = (struct status_document){
	    .resource = str_from(arena_printf(
		arena, "%.*s.%.*s", STR_ARG(kind.resource), STR_ARG(kind.group))),
	    .namespace = h->namespace,
	    .name = h->object_name,
	    .on_nodes = native_kind_find(str_from(kind.kind))->on_nodes,
	    .generation = h->generation,
	    .since = h->since,
	    .code = problem != NULL ? problem->code : STR(""),
	    .problem = problem != NULL ? problem->words : STR(""),
	    .known = h->conditions,
	};
	conditions = status_fold(view, &d, walltime_now());
	if (conditions == NULL)
		return false;
	add_change(end, h, &kind, conditions);
	json_decref(conditions);
	return true;
}

/* At most WRITES_MAX, each pass where the last one ended. */
static struct change *
decide(struct status_writer *w)
{
	struct policy_watch *watch = w->watch;
	struct change *first = NULL, **end = &first;
	struct arena *arena = arena_new();
	struct status_view view;
	size_t changes = 0;

	policy_watch_lock(watch);
	if (policy_watch_is_synced(watch) && watch->problems_arena != NULL &&
	    watch->nodes_listed) {
		const size_t count = watch->objects.len;

		status_view_make(&view, watch->nodes, monotime_now(), arena);
		for (size_t i = 0; i < count && changes < WRITES_MAX; i++) {
			w->next = (w->next + 1) % count;
			changes += judge_one(w, &view,
			    watch->objects.entries[w->next].value, arena, &end);
		}
		status_view_fini(&view);
	}
	policy_watch_unlock(watch);
	arena_free(arena);
	return first;
}

/* ---- the thread ---- */

static bool
act(struct status_writer *w, const struct change *c)
{
	const long status =
	    ask(w, &w->applies, "PATCH", c->path.data, APPLY_QUERY, c->object.data);
	const bool done = status == 200;

	policy_watch_lock(w->watch);
	w->watch->status_writes += done;
	policy_watch_unlock(w->watch);
	/* One that has gone meanwhile needs none. */
	return done || status == 404 || fail(&w->applies, c->path.data, status);
}

static bool
pass(struct status_writer *w)
{
	struct change *c, *next;
	bool ok;

	w->leads = lead(w, &ok);
	policy_watch_lock(w->watch);
	w->watch->status_leads = w->leads;
	policy_watch_unlock(w->watch);
	c = w->leads ? decide(w) : NULL;
	for (; c != NULL; c = next) {
		next = c->next;
		ok = ok && act(w, c);
		buf_free(&c->path);
		buf_free(&c->object);
		free(c);
	}
	return ok;
}

static void
note(struct status_writer *w, bool ok)
{
	const char *detail =
	    w->leases.detail[0] != '\0' ? w->leases.detail : w->applies.detail;

	if (!ok && !w->failing)
		log_warn("status-writer", "detail=%s", log_quote(str_from(detail)));
	if (ok && w->failing)
		log_info("status-writer", "written=true");
	w->failing = !ok;
	policy_watch_lock(w->watch);
	w->watch->status_failures += !ok;
	policy_watch_unlock(w->watch);
}

static void *
run(void *arg)
{
	const struct timespec pause = {PASS_S, 0};
	struct status_writer *w = arg;
	bool connected = false;

	for (;;) {
		bool ok =
		    connected || (budget_client_connect(&w->applies,
				      "application/apply-patch+yaml", on_body, w) &&
				     budget_client_connect(
					 &w->leases, "application/json", on_body, w));

		ok = ok && pass(w);
		note(w, ok);
		connected = ok;
		w->applies.server += !ok;
		w->leases.server += !ok;
		(void)nanosleep(&pause, NULL); /* cut short is fine */
	}
	return NULL;
}

/* ---- reports ---- */

static bool
on_report(void *arg, size_t kind, const json_t *report, bool gone)
{
	struct policy_watch *watch = arg;

	(void)kind; /* there is one */
	policy_watch_lock(watch);
	if (gone)
		status_nodes_remove(watch->nodes,
		    json_text_at(json_object_get(report, "metadata"), "name"));
	else
		(void)status_nodes_put(watch->nodes, report,
		    monotime_now()); /* one that says nothing counts for nothing */
	policy_watch_unlock(watch);
	return true;
}

static void
on_list_begin(void *arg, size_t kind)
{
	struct policy_watch *watch = arg;

	(void)kind;
	policy_watch_lock(watch);
	status_nodes_list_begin(watch->nodes);
	policy_watch_unlock(watch);
}

static void
on_list_end(void *arg, size_t kind)
{
	struct policy_watch *watch = arg;

	(void)kind;
	policy_watch_lock(watch);
	status_nodes_list_end(watch->nodes);
	watch->nodes_listed = true;
	policy_watch_unlock(watch);
}

static void
on_heard(void *arg, size_t kind)
{
	(void)arg;
	(void)kind; /* that nothing changed is no news */
}

int
status_writer_start(struct policy_watch *watch, const struct worker_settings *settings,
    const struct status_writer_settings *own, struct err *err)
{
	static const struct kind_watch_handler handler = {
	    on_list_begin, on_report, on_list_end, on_heard};
	const struct kind_watch_target target = {.group = STR(NATIVE_GROUP),
	    .resource = STR("nodereports"),
	    .version = NATIVE_VERSION,
	    .may_be_absent = true};
	struct status_writer *w = xcalloc(1, sizeof(*w));
	uint8_t random[16];
	pthread_t thread;
	int rc;

	w->watch = watch;
	w->own = *own;
	w->applies = w->leases =
	    (struct budget_client){.settings = settings, .user = own->user};
	secret_random(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(w->identity + 2 * i, 3, "%02x", random[i]); /* fits */
	policy_watch_lock(watch);
	watch->nodes = status_nodes_new();
	policy_watch_unlock(watch);
	rc = kind_watch_start(settings, &target, 0, &handler, watch, err);
	if (rc == 0 && pthread_create(&thread, NULL, run, w) != 0)
		rc = err_set(err, ERR_SYSTEM, "cannot start a thread");
	if (rc == 0)
		(void)pthread_detach(thread); /* it never ends */
	return rc;
}
