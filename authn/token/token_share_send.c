/*
 * What was written to the store goes to etcd by a thread of its own, one batch at a time, so that
 * the loop never waits; who wrote it waits for the first batch that began later. When one fails
 * all who wait are told so, and what was written stays to be sent.
 */
#include <stdlib.h>

#include "authn/token/token_share_internal.h"
#include "common/log.h"

#define WAITERS_MAX 4096u

static bool
is_connected(struct token_share *s)
{
	bool connected;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	connected = s->connected;
	(void)pthread_mutex_unlock(&s->lock);
	return connected;
}

/* ---- the loop's thread ---- */

/* Tells those who wait for no later batch than `batch`. */
static void
release(struct token_share *s, uint64_t batch, int rc)
{
	while (s->waiters != NULL && s->waiters->after < batch) {
		struct share_waiter *w = s->waiters;

		s->waiters = w->next;
		if (s->waiters == NULL)
			s->waiters_end = &s->waiters;
		s->waiter_count--;
		w->done(w->arg, rc);
		free(w);
	}
}

static void
batch_free(struct share_batch *b)
{
	json_decref(b->rows);
	json_decref(b->request);
	*b = (struct share_batch){.rows = NULL};
}

/* True: a batch is on its way. */
static bool
begin(struct token_share *s)
{
	struct err err = ERR_INIT;

	if (share_rows_collect(s, &s->batch, &err) != 0) {
		log_error("share-send", "detail=%s", log_quote(str_from(err.msg)));
		batch_free(&s->batch);
		release(s, UINT64_MAX, ERR_SYSTEM);
		return false;
	}
	s->batches++;
	if (json_object_size(s->batch.rows) == 0) {
		batch_free(&s->batch);
		release(s, s->batches, 0);
		return false;
	}
	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	s->to_send = s->batch.request;      /* taken by the call */
	s->batch.request = NULL;
	(void)pthread_cond_signal(&s->send_bell); /* cannot fail */
	(void)pthread_mutex_unlock(&s->lock);
	return true;
}

/* What came of the batch; false: nothing yet. */
static bool
take_result(struct token_share *s, int *out_rc)
{
	struct err err = ERR_INIT;
	bool sent;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	sent = s->sent;
	*out_rc = s->send_rc;
	err = s->send_err;
	s->sent = false;
	(void)pthread_mutex_unlock(&s->lock);
	if (sent && *out_rc == 0)
		*out_rc = share_rows_sent(s, &s->batch, &err);
	if (sent && *out_rc != 0)
		log_warn("share-send", "detail=%s", log_quote(str_from(err.msg)));
	return sent;
}

void
share_send(struct token_share *s)
{
	int rc = 0;

	if (s->batch.rows != NULL) {
		if (!take_result(s, &rc))
			return;
		if (rc != 0)
			release(s, UINT64_MAX, rc);
		else if (s->batch.whole)
			release(s, s->batches, 0);
		batch_free(&s->batch);
	}
	/* After a failure it is tried again by the next who writes, or when etcd is back. */
	if (rc != 0)
		return;
	if (is_connected(s))
		(void)begin(s); /* or there is nothing */
	else
		release(s, UINT64_MAX, ERR_UNAVAILABLE);
}

void
token_share_settle(struct token_share *s, void (*done)(void *arg, int rc), void *arg)
{
	struct share_waiter *w;

	/* Nobody waits for what is known not to answer. */
	if (!is_connected(s) || s->waiter_count >= WAITERS_MAX) {
		done(arg, ERR_UNAVAILABLE);
		return;
	}
	w = xcalloc(1, sizeof(*w));
	*w = (struct share_waiter){.after = s->batches, .done = done, .arg = arg};
	*s->waiters_end = w;
	s->waiters_end = &w->next;
	s->waiter_count++;
	(void)uv_async_send(&s->arrived); /* cannot fail */
}

/* ---- the writing thread ---- */

static json_t *
wait_for_request(struct token_share *s)
{
	json_t *request;

	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	while (s->to_send == NULL)
		(void)pthread_cond_wait(&s->send_bell, &s->lock); /* cannot fail */
	request = s->to_send;
	s->to_send = NULL;
	(void)pthread_mutex_unlock(&s->lock);
	return request;
}

void *
share_send_run(void *arg)
{
	struct token_share *s = arg;

	for (;;) {
		json_t *request = wait_for_request(s), *answer = NULL;
		struct err err = ERR_INIT;
		const int rc =
		    etcd_call(s->writer, "/v3/kv/txn", request, &answer, &err);

		json_decref(answer);
		(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
		s->sent = true;
		s->send_rc = rc;
		s->send_err = err;
		(void)pthread_mutex_unlock(&s->lock);
		(void)uv_async_send(&s->arrived); /* cannot fail */
	}
	return NULL;
}
