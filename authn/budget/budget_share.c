#include "authn/budget/budget_share.h"

#include <stdlib.h>
#include <time.h>

#include "authn/budget/budget_record.h"
#include "authn/budget/budget_state.h"
#include "common/log.h"
#include "common/secret.h"

#define POLL_MS    1000
#define TRIES_MAX  50u  /* of one batch; whoever fails has let another one through */
#define BATCH_MAX  256u /* reservations of one are one value in etcd */
#define PAGE       1000
#define MORE_S     10u /* a lease is longer than what it holds must stay */
#define GATE_BYTES 8

struct budget_share {
	struct budget_role *role;
	void (*done)(struct budget_role *role, struct budget_review *review);
	uv_async_t answered;
	pthread_mutex_t lock;
	pthread_cond_t bell;
	/* Under the lock: */
	struct budget_review *asked, **asked_end;
	struct budget_review *answers, **answers_end;
	bool connected;
	uint64_t conflicts, failures, charged;
	/* The thread's: */
	struct etcd *etcd;
	struct buf prefix; /* "PREFIX/budget/" */
	char gate[2 * GATE_BYTES + 1];
	uint64_t next_key;
	int64_t revision; /* all that was put until then is charged */
	int64_t lease;
	monotime_t lease_made;
	monotime_t contact; /* when etcd was last asked, and answered */
	bool watching;      /* what exists */
};

/* ---- the loop's thread ---- */

void
budget_review_free(struct budget_review *review)
{
	if (review == NULL)
		return;
	buf_free(&review->body);
	buf_free(&review->answer);
	free(review);
}

void
budget_share_ask(struct budget_share *s, struct budget_review *review)
{
	review->next = NULL;
	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	*s->asked_end = review;
	s->asked_end = &review->next;
	(void)pthread_cond_signal(&s->bell); /* cannot fail */
	(void)pthread_mutex_unlock(&s->lock);
}

static void
on_answered(uv_async_t *async)
{
	struct budget_share *s = async->data;
	struct budget_review *review, *next;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	review = s->answers;
	s->answers = NULL;
	s->answers_end = &s->answers;
	(void)pthread_mutex_unlock(&s->lock);
	for (; review != NULL; review = next) {
		next = review->next;
		s->done(s->role, review);
	}
}

bool
budget_share_connected(const struct budget_share *s)
{
	struct budget_share *share = (struct budget_share *)(uintptr_t)s;
	bool connected;

	(void)pthread_mutex_lock(&share->lock); /* cannot fail: it is our own */
	connected = share->connected;
	(void)pthread_mutex_unlock(&share->lock);
	return connected;
}

void
budget_share_status(const struct budget_share *s, struct buf *out)
{
	struct budget_share *share = (struct budget_share *)(uintptr_t)s;

	(void)pthread_mutex_lock(&share->lock); /* cannot fail: it is our own */
	buf_printf(out,
	    ",\"budgetsConnected\":%s,\"budgetConflicts\":%llu,"
	    "\"budgetEtcdFailures\":%llu,\"budgetsCharged\":%llu",
	    share->connected ? "true" : "false", (unsigned long long)share->conflicts,
	    (unsigned long long)share->failures, (unsigned long long)share->charged);
	(void)pthread_mutex_unlock(&share->lock);
}

/* ---- what others reserved ---- */

/* How long a value is held that is read now. */
static uint64_t
held_ns(const struct budget_share *s, const json_t *value)
{
	const uint64_t hold_ns = (uint64_t)s->role->own.hold_s * NS_PER_S;
	const json_int_t until = json_integer_value(json_object_get(value, "until"));
	const int64_t now = walltime_now().ns;

	if (s->watching)
		return hold_ns;
	if (until <= now)
		return 0;
	return (uint64_t)(until - now) < hold_ns ? (uint64_t)(until - now) : hold_ns;
}

/* Under the role's lock: how many reservations of a value are counted here. */
static unsigned
charge_value(struct budget_share *s, struct str text)
{
	struct budget_role *role = s->role;
	json_t *value = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
	const json_t *records = json_object_get(value, "reservations"), *record;
	const uint64_t left_ns = held_ns(s, value);
	const monotime_t until = {monotime_now().ns + left_ns};
	uint64_t amounts[BUDGET_KEYS_MAX];
	struct budget_object o;
	bool is_new, spoilt = !json_is_array(records) ||
			      !json_is_integer(json_object_get(value, "until"));
	unsigned count = 0;
	size_t i;

	json_array_foreach(records, i, record)
	{
		const enum budget_record_result result =
		    budget_record_get(&role->plan, record, amounts, &o, &is_new);

		spoilt = spoilt || result == BUDGET_RECORD_MALFORMED;
		if (result != BUDGET_RECORD_OK || left_ns == 0)
			continue;
		budget_ledger_charge(role->ledger, &o, is_new, until);
		count++;
	}
	if (spoilt)
		log_error(
		    "budget-share", "detail=\"what lies in etcd is no reservation\"");
	json_decref(value);
	return count;
}

/* A page of what was put since; its last revision in *out_last if there may be more. */
static int
read_page(struct budget_share *s, int64_t since, int64_t *out_last, bool *out_more,
    struct err *err)
{
	json_t *request = etcd_prefix(buf_str(&s->prefix)), *answer = NULL, *kvs, *kv;
	struct buf value = {NULL, 0, 0};
	unsigned charged = 0;
	size_t i;
	int rc;

	etcd_set(request, "min_mod_revision", json_integer(since + 1));
	etcd_set(request, "limit", json_integer(PAGE));
	etcd_set(request, "sort_order", json_string("ASCEND"));
	etcd_set(request, "sort_target", json_string("MOD"));
	rc = etcd_call(s->etcd, "/v3/kv/range", request, &answer, err);
	if (rc != 0)
		return rc;
	kvs = json_object_get(answer, "kvs");
	*out_more = json_array_size(kvs) == PAGE;
	*out_last = etcd_get_int(
	    json_object_get(json_object_get(answer, "header"), "revision"));
	(void)pthread_mutex_lock(&s->role->lock); /* cannot fail: it is our own */
	json_array_foreach(kvs, i, kv)
	{
		buf_clear(&value);
		if (!etcd_get_bytes(json_object_get(kv, "value"), &value))
			buf_clear(&value); /* is told of */
		charged += charge_value(s, buf_str(&value));
		if (*out_more)
			*out_last = etcd_get_int(json_object_get(kv, "mod_revision"));
	}
	(void)pthread_mutex_unlock(&s->role->lock);
	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	s->charged += charged;
	(void)pthread_mutex_unlock(&s->lock);
	json_decref(answer);
	buf_free(&value);
	return 0;
}

static int
read_news(struct budget_share *s, struct err *err)
{
	const monotime_t begin = monotime_now();
	bool more = true;
	int rc = 0;

	while (rc == 0 && more) {
		int64_t last = 0;

		rc = read_page(s, s->revision, &last, &more, err);
		if (rc == 0 && last <= s->revision && more)
			rc = err_set(err, ERR_PROTOCOL, "etcd: revisions do not grow");
		if (rc == 0)
			s->revision = last;
	}
	if (rc != 0)
		return rc;
	/* What was put and has expired meanwhile was not read. */
	if (s->contact.ns != 0 && monotime_since(s->contact, begin) >=
				      (uint64_t)s->role->own.hold_s * NS_PER_S) {
		(void)pthread_mutex_lock(&s->role->lock); /* cannot fail: our own */
		budget_ledger_doubt(s->role->ledger, monotime_now());
		(void)pthread_mutex_unlock(&s->role->lock);
	}
	s->contact = begin;
	return 0;
}

/* ---- what is reserved here ---- */

/* One for all that is reserved within holdSeconds; it ends by itself. */
static int
renew_lease(struct budget_share *s, struct err *err)
{
	const uint64_t hold_s = s->role->own.hold_s;
	const monotime_t now = monotime_now();
	json_t *request, *answer = NULL;
	int rc;

	if (s->lease != 0 && monotime_since(s->lease_made, now) < hold_s * NS_PER_S)
		return 0;
	request = json_object();
	etcd_set(request, "TTL", json_integer((json_int_t)(2 * hold_s + MORE_S)));
	rc = etcd_call(s->etcd, "/v3/lease/grant", request, &answer, err);
	s->lease = rc == 0 ? etcd_get_int(json_object_get(answer, "ID")) : 0;
	s->lease_made = now;
	json_decref(answer);
	if (rc == 0 && s->lease == 0)
		rc = err_set(err, ERR_PROTOCOL, "etcd: no lease");
	return rc;
}

struct telling {
	const struct budget_plan *plan;
	struct buf text;
};

static void
tell(void *arg, const struct budget_object *o, bool is_new, monotime_t expires)
{
	struct telling *t = arg;

	if (t->text.len == 0) /* all of a batch end at about the same time */
		buf_printf(&t->text, "{\"until\":%lld,\"reservations\":[",
		    (long long)(walltime_now().ns +
				(int64_t)monotime_since(monotime_now(), expires)));
	else
		buf_add_char(&t->text, ',');
	budget_record_put(&t->text, t->plan, o, is_new);
}

/* Judges all; appends what was reserved for them, which begins at *out_mark. */
static void
judge(struct budget_share *s, struct budget_review *batch, struct buf *out_text,
    uint64_t *out_mark)
{
	struct budget_role *role = s->role;
	struct telling t = {.plan = &role->plan};

	(void)pthread_mutex_lock(&role->lock); /* cannot fail: it is our own */
	*out_mark = budget_ledger_mark(role->ledger);
	for (struct budget_review *r = batch; r != NULL; r = r->next) {
		buf_clear(&r->answer);
		r->result = admission_review(role->ledger, &role->plan,
		    buf_str(&r->body), monotime_now(), &r->answer);
	}
	budget_ledger_since(role->ledger, *out_mark, tell, &t);
	(void)pthread_mutex_unlock(&role->lock);
	if (t.text.len != 0)
		buf_add_cstr(&t.text, "]}");
	*out_text = t.text;
}

static void
undo(struct budget_share *s, uint64_t mark)
{
	(void)pthread_mutex_lock(&s->role->lock); /* cannot fail: it is our own */
	budget_ledger_undo(s->role->ledger, mark);
	(void)pthread_mutex_unlock(&s->role->lock);
}

static int
put(struct budget_share *s, struct str text, bool *out_done, struct err *err)
{
	struct buf key = {NULL, 0, 0};
	struct etcd_put what;
	int64_t revision = 0;
	int rc = renew_lease(s, err);

	*out_done = false;
	if (rc != 0)
		return rc;
	buf_printf(&key, "%.*s%s/%llu", STR_ARG(buf_str(&s->prefix)), s->gate,
	    (unsigned long long)s->next_key++);
	what = (struct etcd_put){buf_str(&key), text, s->lease};
	rc = etcd_put_unchanged(s->etcd, etcd_prefix(buf_str(&s->prefix)), s->revision,
	    &what, out_done, &revision, err);
	if (*out_done)
		s->revision = revision; /* our own is charged already */
	if (rc == ERR_INVALID)
		s->lease = 0; /* it may be that which etcd does not know any more */
	buf_free(&key);
	return rc;
}

/* Judged, and what was reserved is in etcd; or why not. */
static int
decide(struct budget_share *s, struct budget_review *batch, struct err *err)
{
	for (unsigned i = 0; i < TRIES_MAX; i++) {
		struct buf text = {NULL, 0, 0};
		bool done = true;
		uint64_t mark;
		int rc = 0;

		judge(s, batch, &text, &mark);
		if (text.len != 0)
			rc = put(s, buf_str(&text), &done, err);
		buf_free(&text);
		if (rc == 0 && done)
			return 0;
		undo(s, mark);
		if (rc == 0)
			rc = read_news(s, err);
		if (rc != 0)
			return rc;
		(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
		s->conflicts++;
		(void)pthread_mutex_unlock(&s->lock);
	}
	return err_set(err, ERR_UNAVAILABLE, "others were always first");
}

/* ---- the thread ---- */

static void
note(struct budget_share *s, int rc, const struct err *err)
{
	bool was;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	was = s->connected;
	s->connected = rc == 0;
	if (rc != 0 && (was || s->failures == 0))
		log_warn("budget-share", "detail=%s", log_quote(str_from(err->msg)));
	s->failures += rc != 0;
	(void)pthread_mutex_unlock(&s->lock);
	if (!was && rc == 0)
		log_info("budget-share", "connected=true gate=%s", s->gate);
}

/* At most BATCH_MAX of what is asked; waits for it, but not for long. */
static struct budget_review *
take(struct budget_share *s)
{
	const uint64_t until = monotime_now().ns + POLL_MS * UINT64_C(1000000);
	const struct timespec at = {
	    .tv_sec = (time_t)(until / NS_PER_S), .tv_nsec = (long)(until % NS_PER_S)};
	struct budget_review *batch, **end = &batch;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	while (
	    s->asked == NULL && pthread_cond_timedwait(&s->bell, &s->lock, &at) == 0) {
		/* woken for nothing */
	}
	batch = s->asked;
	for (unsigned n = 0; n < BATCH_MAX && *end != NULL; n++)
		end = &(*end)->next;
	s->asked = *end;
	*end = NULL;
	if (s->asked == NULL)
		s->asked_end = &s->asked;
	(void)pthread_mutex_unlock(&s->lock);
	return batch;
}

static void
give_back(struct budget_share *s, struct budget_review *batch)
{
	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	*s->answers_end = batch;
	while (*s->answers_end != NULL)
		s->answers_end = &(*s->answers_end)->next;
	(void)pthread_mutex_unlock(&s->lock);
	(void)uv_async_send(&s->answered); /* cannot fail */
}

static void
answer(struct budget_share *s, struct budget_review *batch)
{
	struct err err = ERR_INIT;
	/* Nobody waits for what is known not to answer. */
	int rc = budget_share_connected(s) ? decide(s, batch, &err) : ERR_UNAVAILABLE;

	for (struct budget_review *r = batch; r != NULL && rc != 0; r = r->next) {
		buf_clear(&r->answer);
		r->result = admission_unknown(buf_str(&r->body),
		    "what the other gates have admitted is not known; try again",
		    &r->answer);
	}
	if (err.msg[0] != '\0')
		note(s, rc, &err);
	give_back(s, batch);
}

static void
look(struct budget_share *s)
{
	struct err err = ERR_INIT;
	int rc = read_news(s, &err);

	/* From here on what was reserved is charged or, for it is listed later, seen. */
	if (rc == 0 && !s->watching) {
		rc = budget_watch_start(s->role, &err);
		s->watching = rc == 0;
		if (rc != 0)
			base_die("cannot watch what budgets count");
	}
	note(s, rc, &err);
}

static void *
run(void *arg)
{
	struct budget_share *s = arg;

	look(s);
	for (;;) {
		struct budget_review *batch = take(s);

		if (batch != NULL)
			answer(s, batch);
		if (monotime_since(s->contact, monotime_now()) >=
		    POLL_MS * UINT64_C(1000000))
			look(s);
	}
	return NULL;
}

int
budget_share_start(struct budget_role *role,
    void (*done)(struct budget_role *role, struct budget_review *review),
    struct budget_share **out_share, struct err *err)
{
	struct budget_share *s = xcalloc(1, sizeof(*s));
	pthread_condattr_t attributes;
	uint8_t random[GATE_BYTES];
	pthread_t thread;

	s->role = role;
	s->done = done;
	s->asked_end = &s->asked;
	s->answers_end = &s->answers;
	s->etcd = etcd_new(&role->own.share.etcd);
	buf_printf(&s->prefix, "%.*sbudget/", STR_ARG(role->own.share.prefix));
	secret_random(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(s->gate + 2 * i, 3, "%02x", random[i]); /* fits */
	s->answered.data = s;
	(void)pthread_mutex_init(&s->lock, NULL); /* these cannot fail */
	(void)pthread_condattr_init(&attributes);
	(void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	(void)pthread_cond_init(&s->bell, &attributes);
	*out_share = s;
	if (uv_async_init(&role->loop, &s->answered, on_answered) != 0 ||
	    pthread_create(&thread, NULL, run, s) != 0)
		return err_set(err, ERR_SYSTEM, "cannot start a thread");
	(void)pthread_detach(thread); /* it never ends */
	return 0;
}
