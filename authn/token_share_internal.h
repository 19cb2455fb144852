/*
 * What the files of token sharing share: rows of the store and their outbox
 * (token_share_rows.c), members and day counts (token_share_quota.c), the ring of keys
 * (token_share_keys.c), threads (token_share.c).
 */
#ifndef AUTHN_TOKEN_SHARE_INTERNAL_H
#define AUTHN_TOKEN_SHARE_INTERNAL_H

#include <pthread.h>
#include <sqlite3.h>

#include "authn/token_share.h"

#define SHARE_ID_LEN 16

struct share_row {
	struct share_row *next;
	json_t *columns;
};

struct token_share {
	const struct token_share_settings *settings;
	sqlite3 *db; /* the loop's thread's */
	struct quota_table *quota;
	char id[SHARE_ID_LEN + 1]; /* of this replica, for good */
	struct token_share_callbacks callbacks;
	struct etcd *writer; /* the loop's: what is written here */
	struct etcd *beater; /* the beating thread's */
	struct etcd *watcher;
	uv_async_t arrived;
	pthread_mutex_t lock;
	pthread_cond_t bell;
	bool rung;              /* under the lock, as all that follows */
	struct share_row *rows; /* that have come, newest first */
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
/* Sends what is in the outbox; what cannot be sent stays. */
MUST_CHECK int share_rows_flush(struct token_share *s, struct err *err);
/* Takes a row over; appends its token's id if it means something else now. */
MUST_CHECK int share_rows_apply(
    struct token_share *s, const json_t *columns, struct buf *ids, struct err *err);

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
