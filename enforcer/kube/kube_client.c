/*
 * curl's multi interface in a libuv loop: curl says which sockets it waits for and when it
 * wants to be called; what has ended is collected after each call.
 */
#include "enforcer/kube/kube_client.h"

#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>
#include <jansson.h>

#include "common/curl/curl_setup.h"
#include "common/secret.h"

#define CONNECT_S     10L
#define REFUSAL_BYTES 4096 /* of an answer that is no list: what it says of why */
#define RETRY_MOST_S  600
#define FIELD_MANAGER "ringfence-enforcer"
#define USER_AGENT    "ringfence-enforcer/" RINGFENCE_VERSION

/* Requests under way refer to the texts of theirs, whatever came after it. */
struct held_access {
	unsigned holders;
	struct arena *arena;
	struct kube_access a;
};

struct kube_get {
	struct kube_client *client;
	struct held_access *access;
	struct kube_get *next, **link; /* of all */
	CURL *curl;
	struct curl_slist *headers, *resolve;
	const struct kube_get_handler *handler;
	void *arg;
	struct buf refusal;
	bool stopped; /* the handler wants no more */
	uv_timer_t *silence;
	uint64_t silent_ms;
	char error[CURL_ERROR_SIZE];
};

/* A socket of curl's. */
struct watched {
	uv_poll_t poll;
	struct kube_client *client;
	curl_socket_t fd;
};

struct kube_client {
	uv_loop_t *loop;
	CURLM *multi;
	uv_timer_t *timer;
	struct held_access *access; /* NULL: none came yet */
	struct kube_get *gets;
};

static void
free_handle(uv_handle_t *handle)
{
	free(handle);
}

static void
let_go(struct held_access *held)
{
	if (held == NULL || --held->holders != 0)
		return;
	kube_access_wipe(&held->a);
	arena_free(held->arena);
	free(held);
}

/* ---- what has ended ---- */

static void
unlink_get(struct kube_get *g)
{
	*g->link = g->next;
	if (g->next != NULL)
		g->next->link = g->link;
}

static void
free_get(struct kube_get *g)
{
	unlink_get(g);
	if (g->silence != NULL)
		uv_close((uv_handle_t *)g->silence, free_handle);
	(void)curl_multi_remove_handle(g->client->multi, g->curl); /* it may be out */
	curl_easy_cleanup(g->curl);
	curl_slist_free_all(g->headers);
	curl_slist_free_all(g->resolve);
	buf_free(&g->refusal);
	let_go(g->access);
	free(g);
}

/* The server's own words, if it has any. */
static void
say_refusal(const struct kube_get *g, struct kube_result *r)
{
	json_t *status = json_loadb(
	    g->refusal.data != NULL ? g->refusal.data : "", g->refusal.len, 0, NULL);
	const char *message = json_string_value(json_object_get(status, "message"));

	(void)snprintf(r->detail, sizeof(r->detail), "status %ld%s%s", r->status,
	    message != NULL ? ": " : "", message != NULL ? message : "");
	json_decref(status);
}

static void
finish_get(struct kube_get *g, CURLcode code)
{
	const struct kube_get_handler *handler = g->handler;
	void *arg = g->arg;
	struct kube_result r = {.whole = code == CURLE_OK && !g->stopped};
	curl_off_t retry = 0;

	(void)curl_easy_getinfo(g->curl, CURLINFO_RESPONSE_CODE, &r.status);
	(void)curl_easy_getinfo(g->curl, CURLINFO_RETRY_AFTER, &retry);
	r.retry_after_s = retry > RETRY_MOST_S ? RETRY_MOST_S : (unsigned)retry;
	if (r.status != 0 && r.status != 200 && r.status != 201)
		say_refusal(g, &r);
	else if (!r.whole)
		(void)snprintf(r.detail, sizeof(r.detail), "%s",
		    g->error[0] != '\0' ? g->error : curl_easy_strerror(code));
	free_get(g);
	handler->done(arg, &r);
}

/* Handlers may ask again: what they begin is curl's at its next call. */
static void
collect(struct kube_client *c)
{
	const CURLMsg *msg;
	int left;

	while ((msg = curl_multi_info_read(c->multi, &left)) != NULL) {
		struct kube_get *g = NULL;

		if (msg->msg != CURLMSG_DONE)
			continue;
		(void)curl_easy_getinfo(msg->easy_handle, CURLINFO_PRIVATE, &g);
		finish_get(g, msg->data.result);
	}
}

static void
act(struct kube_client *c, curl_socket_t fd, int flags)
{
	int running;

	(void)curl_multi_socket_action(c->multi, fd, flags, &running);
	collect(c);
}

/* ---- curl in the loop ---- */

static void
on_poll(uv_poll_t *poll, int status, int events)
{
	struct watched *w = poll->data;
	int flags = status < 0 ? CURL_CSELECT_ERR : 0;

	flags |= (events & UV_READABLE) != 0 ? CURL_CSELECT_IN : 0;
	flags |= (events & UV_WRITABLE) != 0 ? CURL_CSELECT_OUT : 0;
	act(w->client, w->fd, flags);
}

static void
unwatch(struct kube_client *c, curl_socket_t fd, struct watched *w)
{
	if (w == NULL)
		return;
	(void)uv_poll_stop(&w->poll); /* of an open handle: cannot fail */
	uv_close((uv_handle_t *)&w->poll, free_handle); /* its first member */
	(void)curl_multi_assign(c->multi, fd, NULL);
}

static int
on_socket(CURL *easy, curl_socket_t fd, int what, void *arg, void *socket_arg)
{
	struct kube_client *c = arg;
	struct watched *w = socket_arg;
	int events = 0;

	(void)easy; /* a socket is of many */
	if (what == CURL_POLL_REMOVE) {
		unwatch(c, fd, w);
		return 0;
	}
	if (w == NULL) {
		w = xcalloc(1, sizeof(*w));
		w->client = c;
		w->fd = fd;
		if (uv_poll_init(c->loop, &w->poll, fd) != 0) {
			free(w);
			return -1;
		}
		w->poll.data = w;
		(void)curl_multi_assign(c->multi, fd, w);
	}
	events |= (what & CURL_POLL_IN) != 0 ? UV_READABLE : 0;
	events |= (what & CURL_POLL_OUT) != 0 ? UV_WRITABLE : 0;
	return uv_poll_start(&w->poll, events, on_poll) == 0 ? 0 : -1;
}

static void
on_timer(uv_timer_t *timer)
{
	act(timer->data, CURL_SOCKET_TIMEOUT, 0);
}

static int
on_timeout(CURLM *multi, long ms, void *arg)
{
	struct kube_client *c = arg;

	(void)multi;
	if (ms < 0)
		return uv_timer_stop(c->timer);
	return uv_timer_start(c->timer, on_timer, (uint64_t)ms, 0) == 0 ? 0 : -1;
}

/* ---- a request ---- */

static void
on_silence(uv_timer_t *timer)
{
	struct kube_get *g = timer->data;

	(void)snprintf(g->error, sizeof(g->error), "nothing was heard for %llu s",
	    (unsigned long long)g->silent_ms / 1000);
	finish_get(g, CURLE_OPERATION_TIMEDOUT);
}

/* The line that ends the headers, of whatever came before the answer, too. */
static size_t
on_header(char *data, size_t size, size_t count, void *arg)
{
	struct kube_get *g = arg;
	const size_t len = size * count;
	long status = 0;

	if (len > 2 || len == 0 || data[0] != '\r')
		return len;
	(void)curl_easy_getinfo(g->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status == 200)
		g->handler->opened(g->arg);
	return len;
}

static size_t
on_data(char *data, size_t size, size_t count, void *arg)
{
	struct kube_get *g = arg;
	const size_t len = size * count;
	long status = 0;

	(void)uv_timer_again(g->silence); /* it repeats: cannot fail */
	(void)curl_easy_getinfo(g->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status != 200) {
		if (g->refusal.len + len <= REFUSAL_BYTES)
			buf_add(&g->refusal, data, len);
		return len;
	}
	g->stopped = !g->handler->data(g->arg, data, len);
	return g->stopped ? 0 : len;
}

static void
add_headers(struct kube_get *g)
{
	const struct kube_access *a = &g->access->a;
	struct buf accept = {0}, bearer = {0};

	buf_add_cstr(&accept, "Accept: application/json");
	curl_add_line(&g->headers, &accept);
	if (a->token.len == 0)
		return;
	buf_printf(&bearer, "Authorization: Bearer %.*s", STR_ARG(a->token));
	curl_add_line(&g->headers, &bearer);
}

/* The name that the certificate must have. */
static struct str
url_host(const struct kube_access *a)
{
	return a->server_name.len != 0 ? a->server_name : a->host;
}

/* Nobody here asks for names: the parent did. */
static void
add_resolve(struct kube_get *g)
{
	const struct kube_access *a = &g->access->a;
	char text[IP_TEXT_BYTES];
	struct buf line = {0};
	struct ip_addr literal;

	if (a->address_count == 0 || ip_parse(url_host(a), &literal))
		return;
	buf_printf(&line, "%.*s:%u:", STR_ARG(url_host(a)), a->port);
	for (size_t i = 0; i < a->address_count; i++) {
		const bool v6 = a->addresses[i].family == IP_V6;

		buf_printf(&line, "%s%s%s%s", i == 0 ? "" : ",", v6 ? "[" : "",
		    ip_format(&a->addresses[i], text), v6 ? "]" : "");
	}
	curl_add_line(&g->resolve, &line);
}

static CURLcode
set_url(struct kube_get *g, const char *path)
{
	const struct kube_access *a = &g->access->a;
	const struct str host = url_host(a);
	const bool v6 = str_find(host, ':', 0) != host.len;
	struct buf url = {0};
	CURLcode rc;

	buf_printf(&url, "https://%s%.*s%s:%u%.*s%s", v6 ? "[" : "", STR_ARG(host),
	    v6 ? "]" : "", a->port, STR_ARG(a->prefix), path);
	rc = curl_easy_setopt(g->curl, CURLOPT_URL, url.data);
	buf_free(&url);
	return rc;
}

static CURLcode
set_options(struct kube_get *g, bool fresh)
{
	const struct kube_access *a = &g->access->a;
	const struct curl_identity identity = {a->ca, a->certificate, a->key};
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
	    {CURLOPT_CONNECTTIMEOUT, CONNECT_S},
	    {CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_2TLS},
	    {CURLOPT_PIPEWAIT, !fresh},
	    {CURLOPT_FRESH_CONNECT, fresh},
	    {CURLOPT_TCP_KEEPIDLE, 30L},
	    {CURLOPT_TCP_KEEPINTVL, 10L},
	};
	const struct {
		CURLoption option;
		void *value;
	} pointers[] = {
	    {CURLOPT_RESOLVE, g->resolve},
	    {CURLOPT_HTTPHEADER, g->headers},
	    {CURLOPT_WRITEDATA, g},
	    {CURLOPT_HEADERDATA, g},
	    {CURLOPT_PRIVATE, g},
	    {CURLOPT_ERRORBUFFER, g->error},
	};
	CURLcode rc = curl_setup(g->curl, &identity);

	for (size_t i = 0; i < ARRAY_LEN(numbers) && rc == CURLE_OK; i++)
		rc = curl_easy_setopt(g->curl, numbers[i].option, numbers[i].value);
	for (size_t i = 0; i < ARRAY_LEN(pointers) && rc == CURLE_OK; i++)
		rc = curl_easy_setopt(g->curl, pointers[i].option, pointers[i].value);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(g->curl, CURLOPT_WRITEFUNCTION, on_data);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(g->curl, CURLOPT_HEADERFUNCTION, on_header);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(g->curl, CURLOPT_USERAGENT, USER_AGENT);
	return rc;
}

static void
watch_silence(struct kube_get *g, unsigned silent_s)
{
	g->silent_ms = (uint64_t)silent_s * 1000;
	g->silence = xcalloc(1, sizeof(*g->silence));
	g->silence->data = g;
	if (uv_timer_init(g->client->loop, g->silence) != 0 ||
	    uv_timer_start(g->silence, on_silence, g->silent_ms, g->silent_ms) != 0)
		base_die("cannot make a timer");
}

static struct kube_get *
new_get(struct kube_client *c, unsigned silent_s,
    const struct kube_get_handler *handler, void *arg)
{
	struct kube_get *g = xcalloc(1, sizeof(*g));

	g->client = c;
	g->access = c->access;
	g->access->holders++;
	g->handler = handler;
	g->arg = arg;
	g->next = c->gets;
	g->link = &c->gets;
	if (g->next != NULL)
		g->next->link = &g->next;
	c->gets = g;
	watch_silence(g, silent_s);
	g->curl = curl_easy_init();
	if (g->curl == NULL)
		base_die("out of memory");
	add_headers(g);
	add_resolve(g);
	return g;
}

static struct kube_get *
begin(struct kube_get *g, CURLcode rc, const char *path)
{
	if (rc == CURLE_OK && set_url(g, path) == CURLE_OK &&
	    curl_multi_add_handle(g->client->multi, g->curl) == CURLM_OK)
		return g;
	free_get(g);
	return NULL;
}

struct kube_get *
kube_client_get(struct kube_client *c, const char *path, unsigned silent_s, bool fresh,
    const struct kube_get_handler *handler, void *arg)
{
	struct kube_get *g = new_get(c, silent_s, handler, arg);

	return begin(g, set_options(g, fresh), path);
}

struct kube_get *
kube_client_apply(struct kube_client *c, const char *path, struct str object,
    unsigned silent_s, const struct kube_get_handler *handler, void *arg)
{
	struct kube_get *g = new_get(c, silent_s, handler, arg);
	struct buf type = {0}, url = {0};
	CURLcode rc;

	/* JSON is YAML. */
	buf_add_cstr(&type, "Content-Type: application/apply-patch+yaml");
	curl_add_line(&g->headers, &type);
	buf_printf(&url, "%s?fieldManager=" FIELD_MANAGER "&force=true", path);
	rc = set_options(g, false);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(
		    g->curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)object.len);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(g->curl, CURLOPT_COPYPOSTFIELDS, object.ptr);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(g->curl, CURLOPT_CUSTOMREQUEST, "PATCH");
	g = begin(g, rc, url.data);
	buf_free(&url);
	return g;
}

/* ---- life ---- */

int
kube_client_new(uv_loop_t *loop, struct kube_client **out_client, struct err *err)
{
	struct kube_client *c = xcalloc(1, sizeof(*c));

	c->loop = loop;
	c->timer = xcalloc(1, sizeof(*c->timer));
	c->timer->data = c;
	c->multi = curl_multi_init();
	if (c->multi == NULL || uv_timer_init(loop, c->timer) != 0 ||
	    curl_multi_setopt(c->multi, CURLMOPT_SOCKETFUNCTION, on_socket) !=
		CURLM_OK ||
	    curl_multi_setopt(c->multi, CURLMOPT_SOCKETDATA, c) != CURLM_OK ||
	    curl_multi_setopt(c->multi, CURLMOPT_TIMERFUNCTION, on_timeout) !=
		CURLM_OK ||
	    curl_multi_setopt(c->multi, CURLMOPT_TIMERDATA, c) != CURLM_OK)
		return err_set(err, ERR_SYSTEM, "cannot set up connections");
	*out_client = c;
	return 0;
}

void
kube_client_free(struct kube_client *c)
{
	if (c == NULL)
		return;
	while (c->gets != NULL)
		free_get(c->gets);
	(void)curl_multi_cleanup(c->multi); /* nothing is in it */
	uv_close((uv_handle_t *)c->timer, free_handle);
	let_go(c->access);
	free(c);
}

void
kube_client_set_access(struct kube_client *c, const struct kube_access *access)
{
	struct held_access *held = xcalloc(1, sizeof(*held));
	struct proc_reader r = {.ok = true};
	struct buf copy = {0};

	held->holders = 1;
	held->arena = arena_new_sized(4096);
	kube_access_encode(&copy, access);
	r.data = (const uint8_t *)copy.data;
	r.len = copy.len;
	if (!kube_access_decode(held->arena, &r, &held->a))
		base_die("access");
	secret_wipe(copy.data, copy.len);
	buf_free(&copy);
	let_go(c->access);
	c->access = held;
}

bool
kube_client_has_access(const struct kube_client *c)
{
	return c->access != NULL;
}
