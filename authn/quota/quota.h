/*
 * Quotas at run time: token buckets (GCRA: one 64-bit time per bucket) and in-flight
 * counts in memory that all workers share, so that a limit holds for the gate and not
 * for each worker. Pure but for the memory: the caller brings the clock. A request is charged to its
 * user and to every ancestor of its namespace that has a Quota; it passes when all have
 * room (minimum along the path); nothing is charged when one has not.
 */
#ifndef AUTHN_QUOTA_H
#define AUTHN_QUOTA_H

#include "common/clock.h"
#include "common/err.h"
#include "policy-lang/model/model.h"

struct quota_table; /* in shared memory */

#define QUOTA_MAX_WORKERS 64
#define QUOTA_MAX_CHARGES                                                              \
	96 /* levels times (account, namespace, user in it, token), plus watches */

MUST_CHECK size_t quota_table_bytes(void);
/* Formats zeroed shared memory; the parent calls it once. */
void quota_table_init(void *memory);
/*
 * What was counted of the UTC day `today`, as bytes, and back into a table that was just
 * formatted; false if they are damaged. Bytes of another day are good, and nothing.
 */
void quota_days_encode(const struct quota_table *t, walltime_t today, struct buf *out);
MUST_CHECK bool quota_days_decode(
    struct quota_table *t, struct str bytes, monotime_t now, walltime_t today);
/* Forgets what a dead worker held in flight; the parent calls it before it restarts one. */
void quota_table_worker_reset(struct quota_table *t, unsigned worker);

enum quota_kind {
	QUOTA_RATE,
	QUOTA_IN_FLIGHT,
	QUOTA_WATCHES,
	QUOTA_PER_DAY,
	QUOTA_BODY,
	QUOTA_ACCOUNT, /* no limit: what a Quota document has seen */
	QUOTA_CUT_OFF  /* no limit: see quota_share */
};

/* Whom a limit is for. */
enum quota_for {
	QUOTA_FOR_ALL,
	QUOTA_FOR_USER,
	QUOTA_FOR_TOKEN
};

/* What one admitted request holds until quota_release. */
struct quota_ticket {
	uint32_t slots[QUOTA_MAX_CHARGES];
	uint8_t kinds[QUOTA_MAX_CHARGES]; /* enum quota_kind: in flight or watches */
	size_t count;
	uint64_t body_bytes; /* limit for the request's body; QUOTA_UNSET: none */
};

struct quota_refusal {
	enum quota_kind kind;
	enum quota_for whom;
	const struct quota *quota; /* the document whose limit is reached */
	uint64_t limit;            /* QUOTA_RATE: requests per 1,000 seconds */
	uint32_t retry_after_s;    /* at least 1 */
};

/* Admits or refuses one request. `level` is the namespace it is charged at (the root for
 * requests without one). Returns true and fills the ticket, or false and the refusal. */
struct quota_request {
	const struct ns *level;
	struct str user, token; /* token: its id, "" without one */
	bool is_watch;
};
MUST_CHECK bool quota_admit(struct quota_table *t, unsigned worker,
    const struct quota_request *request, monotime_t now, walltime_t today,
    struct quota_ticket *out_ticket, struct quota_refusal *out_refusal);
void quota_release(struct quota_table *t, unsigned worker, struct quota_ticket *ticket);

/*
 * Several replicas: each has an equal part of every rate, and of what may be in flight; parts are
 * rounded up, so that together they exceed a limit by less than one for each replica. Of a
 * day's count each replica may use what it was granted (quota_day_grant), and of a count that
 * nothing was granted of yet a part of 1/16, so that together they exceed it by at most
 * one such part, or one request, for each of the others.
 * A table whose last contact (of whoever shares it out) is longer ago than `keep_ns`
 * admits nothing: what others do, and revoke, is not known.
 */
void quota_share(struct quota_table *t, uint32_t replicas, uint64_t keep_ns);
void quota_share_contact(struct quota_table *t, monotime_t now);
MUST_CHECK bool quota_share_cut_off(const struct quota_table *t, monotime_t now);

struct quota_day {
	uint64_t name; /* of the bucket, the same in every replica */
	uint64_t used, granted, limit;
};
/* Those that count today, at most `max`; returns how many. */
MUST_CHECK size_t quota_days(const struct quota_table *t, walltime_t today,
    struct quota_day *out_days, size_t max);
/* `granted` is never lowered. `used`: at least so many are used, if that is more than known. */
void quota_day_grant(struct quota_table *t, const struct quota_day *day, monotime_t now,
    walltime_t today);

/* What all requests of a Quota document's subtree come to, for metrics. */
struct quota_use {
	uint64_t admitted, refused;  /* by this very document; since the gate's start */
	uint64_t in_flight, watches; /* as far as they are limited */
	uint64_t today;              /* the same */
};
void quota_use(const struct quota_table *t, const struct quota *q, walltime_t today,
    struct quota_use *out_use);

#endif
