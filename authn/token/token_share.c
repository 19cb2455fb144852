/*
 * Three threads: one sends, one beats (members, days, and what has changed since), one watches, and its
 * watch is only a bell: whatever it says, the beating thread reads what there is. So a watch that
 * fails, or is silent, costs time and nothing else.
 */
#include "authn/token/token_share_internal.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/secret.h"

#define BEAT_MS   500
#define ROWS_MAX  1000 /* in one answer; more than one transaction writes */
#define ROWS_TURN 200  /* stored before others' turn */

/* ---- the loop's thread ---- */

/* Puts what has come behind what is there. */
static void
take_rows(struct token_share *s)
{
	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	if (s->rows != NULL) {
		*s->come_end = s->rows;
		s->come_end = s->rows_end;
	}
	s->rows = NULL;
	s->rows_end = &s->rows;
	if (s->contact.ns != 0)
		s->come_contact = s->contact;
	s->contact.ns = 0;
	(void)pthread_mutex_unlock(&s->lock);
}

/* Where those that are stored in one turn end. */
static struct share_row **
turn_end(struct token_share *s)
{
	struct share_row **end = &s->come;

	for (size_t i = 0; *end != NULL && i < ROWS_TURN; i++)
		end = &(*end)->next;
	return end;
}

static void
free_rows(struct share_row *rows)
{
	while (rows != NULL) {
		struct share_row *next = rows->next;

		json_decref(rows->columns);
		free(rows);
		rows = next;
	}
}

/* Stores some of what has come; false: it could not be, and stays. */
static bool
store_rows(struct token_share *s)
{
	struct buf ids = {NULL, 0, 0};
	struct err err = ERR_INIT;
	struct share_row **end = turn_end(s), *rows = s->come, *rest = *end;
	int rc;

	*end = NULL;
	rc = share_rows_apply(s, rows, &ids, &err);
	if (rc != 0) {
		*end = rest;
		if (!s->stuck)
			log_error(
			    "share-rows", "detail=%s", log_quote(str_from(err.msg)));
		s->stuck = true;
		buf_free(&ids);
		return false;
	}
	if (s->stuck)
		log_info("share-rows", "detail=\"stored again\"");
	s->stuck = false;
	s->come = rest;
	if (rest == NULL)
		s->come_end = &s->come;
	free_rows(rows);
	if (ids.len != 0)
		s->callbacks.ended(s->callbacks.arg, buf_str(&ids));
	buf_free(&ids);
	return true;
}

/* What was revoked elsewhere is so here before we say that we know of it: a store that takes
 * nothing closes the gate as etcd's silence does. */
static void
take_over(struct token_share *s)
{
	take_rows(s);
	if (s->come != NULL && !store_rows(s))
		return; /* the next beat is the next attempt */
	if (s->come != NULL)
		(void)uv_async_send(&s->arrived); /* others' turn; cannot fail */
	else if (s->come_contact.ns != 0)
		quota_share_contact(s->quota, s->come_contact);
}

static void
tell_ring(struct token_share *s)
{
	uint8_t ring[LIST_RING_BYTES];
	bool is_new;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	is_new = s->ring_new;
	s->ring_new = false;
	memcpy(ring, s->ring, sizeof(ring));
	(void)pthread_mutex_unlock(&s->lock);
	if (is_new)
		s->callbacks.list_keys(s->callbacks.arg, ring);
	secret_wipe(ring, sizeof(ring));
}

static void
on_arrived(uv_async_t *async)
{
	struct token_share *s = async->data;

	tell_ring(s);
	take_over(s);
	share_send(s);
}

/* Sent in the next turn of the loop: what is written in this one goes together. */
static void
on_written(void *arg)
{
	struct token_share *s = arg;

	(void)uv_async_send(&s->arrived); /* cannot fail */
}

/* ---- the beating thread ---- */

static void
queue_row(struct token_share *s, const json_t *kv)
{
	struct buf value = {NULL, 0, 0};
	struct share_row *row = xcalloc(1, sizeof(*row));

	if (etcd_get_bytes(json_object_get(kv, "value"), &value))
		row->columns =
		    json_loadb(value.data, value.len, JSON_REJECT_DUPLICATES, NULL);
	buf_free(&value);
	if (!json_is_object(row->columns)) {
		log_error("share-row", "detail=\"what lies in etcd is no token\"");
		json_decref(row->columns);
		free(row);
		return;
	}
	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	*s->rows_end = row;
	s->rows_end = &row->next;
	(void)pthread_mutex_unlock(&s->lock);
}

/* What was written since; true if there may be more. */
static int
read_rows(struct token_share *s, bool *out_more, struct err *err)
{
	struct buf prefix = {NULL, 0, 0};
	json_t *request, *answer = NULL, *kvs, *kv;
	size_t i;
	int rc;

	share_key(s, "tokens", "", &prefix);
	request = etcd_prefix(buf_str(&prefix));
	if (json_object_set_new(
		request, "min_mod_revision", json_integer(s->revision + 1)) != 0 ||
	    json_object_set_new(request, "limit", json_integer(ROWS_MAX)) != 0 ||
	    json_object_set_new(request, "sort_order", json_string("ASCEND")) != 0 ||
	    json_object_set_new(request, "sort_target", json_string("MOD")) != 0)
		base_die("out of memory");
	rc = etcd_call(s->beater, "/v3/kv/range", request, &answer, err);
	kvs = json_object_get(answer, "kvs");
	json_array_foreach(kvs, i, kv)
	{
		const int64_t revision =
		    etcd_get_int(json_object_get(kv, "mod_revision"));

		queue_row(s, kv);
		s->revision = revision > s->revision ? revision : s->revision;
	}
	*out_more = json_array_size(kvs) == ROWS_MAX;
	/* One transaction's rows share a revision, and the end may be among them. */
	if (*out_more)
		s->revision--;
	json_decref(answer);
	buf_free(&prefix);
	return rc;
}

static int
read_all_rows(struct token_share *s, struct err *err)
{
	const int64_t before = s->revision;
	bool more = true;
	int rc = 0;

	while (rc == 0 && more)
		rc = read_rows(s, &more, err);
	if (s->revision != before)
		(void)uv_async_send(&s->arrived); /* cannot fail */
	return rc;
}

static void
note(struct token_share *s, int rc, monotime_t begin, const struct err *err)
{
	bool was;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	was = s->connected;
	s->connected = rc == 0;
	s->beats += rc == 0;
	was = was || (s->beats == 0 && s->failures == 0 && rc != 0);
	s->failures += rc != 0;
	/* From when it was asked: then etcd knew of us. */
	if (rc == 0 && s->joined)
		s->contact = begin;
	(void)pthread_mutex_unlock(&s->lock);
	if (was && rc != 0)
		log_warn("share-cut-off", "detail=%s", log_quote(str_from(err->msg)));
	if (!was && rc == 0)
		log_info("share-connected", "replica=%s", s->id);
	if (rc == 0) /* to send what could not be sent; cannot fail */
		(void)uv_async_send(&s->arrived);
}

static void
beat(struct token_share *s)
{
	const monotime_t begin = monotime_now();
	struct err err = ERR_INIT;
	int rc = share_members(s, &err);

	if (rc == 0)
		rc = read_all_rows(s, &err);
	if (rc == 0)
		rc = share_days(s, &err);
	if (rc == 0)
		rc = share_ring(s, &err);
	note(s, rc, begin, &err);
}

/* Waits for the bell, or for the next beat; true: it rang. */
static bool
wait_for_bell(struct token_share *s, monotime_t until)
{
	struct timespec at = {.tv_sec = (time_t)(until.ns / 1000000000u),
	    .tv_nsec = (long)(until.ns % 1000000000u)};
	bool rung;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	while (!s->rung && pthread_cond_timedwait(&s->bell, &s->lock, &at) == 0) {
		/* woken for nothing */
	}
	rung = s->rung;
	s->rung = false;
	(void)pthread_mutex_unlock(&s->lock);
	return rung;
}

static void *
beat_on(void *arg)
{
	struct token_share *s = arg;
	struct err err = ERR_INIT;

	for (;;) {
		monotime_t next = monotime_now();

		next.ns += BEAT_MS * UINT64_C(1000000);
		beat(s);
		while (wait_for_bell(s, next)) {
			if (read_all_rows(s, &err) != 0)
				break; /* the next beat says so */
		}
	}
	return NULL;
}

/* ---- the watching thread ---- */

static bool
on_bell(void *arg)
{
	struct token_share *s = arg;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	s->rung = true;
	(void)pthread_cond_signal(&s->bell); /* cannot fail */
	(void)pthread_mutex_unlock(&s->lock);
	return true;
}

static void *
watch_on(void *arg)
{
	const struct timespec rest = {0, 200000000};
	struct token_share *s = arg;
	struct buf prefix = {NULL, 0, 0};

	share_key(s, "tokens", "", &prefix);
	for (;;) {
		etcd_watch(s->watcher, buf_str(&prefix), 0, on_bell, s);
		(void)nanosleep(&rest, NULL); /* cut short is fine */
	}
	return NULL;
}

/* ---- start ---- */

static int
start_threads(struct token_share *s, struct err *err)
{
	void *(*const runs[])(void *) = {beat_on, watch_on, share_send_run};
	pthread_condattr_t attributes;
	pthread_t thread;

	(void)pthread_mutex_init(&s->lock, NULL); /* these cannot fail */
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->bell, &attributes);
	(void)pthread_cond_init(&s->send_bell, NULL);
	for (size_t i = 0; i < ARRAY_LEN(runs); i++) {
		if (pthread_create(&thread, NULL, runs[i], s) != 0)
			return err_set(err, ERR_SYSTEM, "cannot start a thread");
		(void)pthread_detach(thread); /* it never ends */
	}
	return 0;
}

int
token_share_start(uv_loop_t *loop, const struct token_share_settings *settings,
    struct token_store *store, struct quota_table *quota,
    const struct token_share_callbacks *callbacks, struct token_share **out_share,
    struct err *err)
{
	struct token_share *s = xcalloc(1, sizeof(*s));
	int rc;

	s->settings = settings;
	s->db = token_store_database(store);
	s->quota = quota;
	s->callbacks = *callbacks;
	s->replicas = 1;
	s->waiters_end = &s->waiters;
	s->come_end = &s->come;
	s->rows_end = &s->rows;
	s->arrived.data = s;
	s->writer = etcd_new(&settings->etcd);
	s->beater = etcd_new(&settings->etcd);
	s->watcher = etcd_new(&settings->etcd);
	/* Closed until the others know of us. */
	quota_share(quota, 1, (uint64_t)settings->keep_ms * 1000000u);
	rc = share_rows_open(s, err);
	if (rc == 0 && uv_async_init(loop, &s->arrived, on_arrived) != 0)
		rc = err_set(err, ERR_SYSTEM, "event loop");
	if (rc == 0)
		rc = start_threads(s, err);
	if (rc == 0)
		token_store_written(store, on_written, s);
	*out_share = s;
	return rc;
}

void
token_share_status(const struct token_share *s, struct buf *out)
{
	struct token_share *share = (struct token_share *)(uintptr_t)s;

	(void)pthread_mutex_lock(&share->lock); /* cannot fail: it is our own */
	buf_printf(out,
	    ",\"replica\":\"%s\",\"replicas\":%u,\"etcdConnected\":%s,\"etcdFailures\":"
	    "%llu,\"rowsForeign\":%llu",
	    s->id, s->replicas, s->connected ? "true" : "false",
	    (unsigned long long)s->failures, (unsigned long long)s->foreign);
	(void)pthread_mutex_unlock(&share->lock);
}
