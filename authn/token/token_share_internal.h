/*
 * What the files of token sharing share: rows of the store and their outbox
 * (token_share_rows.c), rows that come (token_share_apply.c), members and day counts (token_share_quota.c), the ring of keys
 * (token_share_keys.c), what is sent (token_share_send.c), threads (token_share.c).
 */
#ifndef AUTHN_TOKEN_SHARE_INTERNAL_H
#define AUTHN_TOKEN_SHARE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "authn/token/token_share.h"

#define SHARE_ID_LEN 16

struct share_row {
	struct share_row *next;
	json_t *columns;
};

/* Rows on their way to etcd. */
struct share_batch {
	json_t *rows;    /* id: how often it had changed */
	json_t *request; /* a transaction */
	bool whole;      /* nothing else was to be sent */
};

/* Who waits until all that was written before is in etcd. */
struct share_waiter {
	struct share_waiter *next;
	uint64_t after; /* the batch must be a later one */
	void (*done)(void *arg, int rc);
	void *arg;
};

struct token_share {
	const struct token_share_settings *settings;
	sqlite3 *db; /* the loop's thread's */
	struct quota_table *quota;
	char id[SHARE_ID_LEN + 1]; /* of this replica, for good */
	struct token_share_callbacks callbacks;
	/* the loop's: what is written here */
	struct share_batch batch; /* on its way; rows NULL: none is */
	uint64_t batches;
	uint64_t foreign; /* rows of other versions, not taken over */
	/* what was written elsewhere, oldest first, and when all of it was asked for */
	struct share_row *come, **come_end;
	monotime_t come_contact;
	bool stuck; /* it cannot be stored, which was said */
	struct share_waiter *waiters, **waiters_end;
	size_t waiter_count;
	struct etcd *writer; /* the writing thread's */
	struct etcd *beater; /* the beating thread's */
	struct etcd *watcher;
	uv_async_t arrived;
	pthread_mutex_t lock;
	pthread_cond_t bell, send_bell;
	bool rung;                          /* under the lock, as all that follows */
	struct share_row *rows, **rows_end; /* that have come, oldest first */
	monotime_t contact; /* when it was asked whether there are more; 0: as before */
	json_t *to_send;    /* a transaction, for the writing thread */
	bool sent;          /* this came of it: */
	int send_rc;
	struct err send_err;
	unsigned replicas;
	bool connected;
	uint64_t beats, failures;
	uint8_t ring[LIST_RING_BYTES]; /* of continue tokens */
	bool ring_new;                 /* the loop has not told of it */
	/* the beating thread's */
	int64_t revision; /* of the tokens that have come */
	int64_t lease;
	bool joined; /* the others know of us */
	bool days_read;
	int64_t ring_revision; /* 0: none has come */
	monotime_t ring_since; /* it has been that one */
};

/* ---- token_share_rows.c ---- */

/* Makes the outbox, and the replica's id. */
MUST_CHECK int share_rows_open(struct token_share *s, struct err *err);
/* What is to be sent; free rows and request. */
MUST_CHECK int share_rows_collect(
    struct token_share *s, struct share_batch *out_batch, struct err *err);
/* It is in etcd, and need not be sent again. */
MUST_CHECK int share_rows_sent(
    struct token_share *s, const struct share_batch *batch, struct err *err);
/* The row as an object; NULL if there is none (any more). */
json_t *share_row_read(struct token_share *s, const char *id);

/* SQL over the store; `id` is the first argument, if it is not NULL. */
int share_db_err(const struct token_share *s, struct err *err);
MUST_CHECK int share_db_run(struct token_share *s, const char *sql, struct err *err);
MUST_CHECK int share_db_run_with(
    struct token_share *s, const char *sql, const char *id, struct err *err);
MUST_CHECK sqlite3_stmt *share_db_prepare(
    struct token_share *s, const char *sql, const char *id);

/* ---- token_share_apply.c ---- */

/* Takes rows over, all of them or none; appends the ids of tokens that mean something else now.
 * Columns that are not known here are taken out. */
MUST_CHECK int share_rows_apply(struct token_share *s, const struct share_row *rows,
    struct buf *ids, struct err *err);

/* ---- token_share_send.c ---- */

/* Of the loop: takes what came of the last batch, and begins the next if there is one. */
void share_send(struct token_share *s);
/* The writing thread: arg is the share. */
void *share_send_run(void *arg);

/* ---- token_share_quota.c ---- */

/* Says that we are there, and finds out who is. */
MUST_CHECK int share_members(struct token_share *s, struct err *err);
/* Asks for more of the day's counts, as they run out. */
MUST_CHECK int share_days(struct token_share *s, struct err *err);

/* ---- token_share_keys.c ---- */

/* Reads the ring of keys; makes it, or turns it, when it is time. */
MUST_CHECK int share_ring(struct token_share *s, struct err *err);

/* "PREFIX/part/": what lies there in etcd. */
void share_key(
    const struct token_share *s, const char *part, const char *name, struct buf *out);

#endif
