/*
 * The ledger of object budgets: who holds how much of what Quota documents limit. What
 * exists is told by whoever watches the API server; what is about to exist is reserved when a
 * request is admitted, before it is answered, so that two requests never share the same room.
 *
 * An object is charged, resource by resource, the most of what it was seen to hold and
 * of what was admitted for it and may still come. A reservation ends when
 *   - a creation is seen (its uid), or seen to be gone again;
 *   - the object is seen in a later version than the one the change was based on: the API server
 *     commits a change against that very version or not at all;
 *   - its time is over, and the watch was heard of since: whatever was committed by then has come.
 * So the sum over all objects is never less than what exists: limits are not overdrawn. Several
 * ledgers of one cluster, each charged with the reservations of all, keep that too.
 *
 * Pure: the caller brings the clock. One thread at a time.
 */
#ifndef AUTHN_BUDGET_H
#define AUTHN_BUDGET_H

#include "authn/budget/budget_plan.h"
#include "common/clock.h"

#define BUDGET_RESERVATIONS_MAX 20000u

struct budget_ledger;

/* An object, or one that is about to be. */
struct budget_object {
	size_t kind;          /* in the plan */
	struct str namespace; /* "": outside of namespaces */
	struct str name;
	struct str uid;   /* "": not known */
	uint64_t version; /* resourceVersion; a change: of the object it is based on */
	const uint64_t *amounts; /* one for each key of the plan, times 1,000 */
};

/* The plan and the model must outlive the ledger, or budget_ledger_replace. */
MUST_CHECK struct budget_ledger *budget_ledger_new(
    const struct model *model, const struct budget_plan *plan, uint64_t hold_ns);
void budget_ledger_free(struct budget_ledger *l);
/* Another policy with an equal plan (budget_plan_equal): everything is charged anew. */
void budget_ledger_replace(
    struct budget_ledger *l, const struct model *model, const struct budget_plan *plan);

/* ---- what exists ---- */

/* A list of everything of one kind: begin, seen for each, end. What was there before and is
 * not in it is gone. Until the first one ends nothing of the kind is admitted. */
void budget_ledger_list_begin(struct budget_ledger *l, size_t kind);
void budget_ledger_list_end(struct budget_ledger *l, size_t kind, monotime_t now);
void budget_ledger_seen(struct budget_ledger *l, const struct budget_object *o);
void budget_ledger_gone(struct budget_ledger *l, const struct budget_object *o);
/* The watch of a kind said something, whatever it was. */
void budget_ledger_heard(struct budget_ledger *l, size_t kind, monotime_t now);
/* Ends what has waited too long; call it once a second or so. */
void budget_ledger_expire(struct budget_ledger *l, monotime_t now);

/* ---- what is asked ---- */

enum budget_verdict {
	BUDGET_FITS,
	BUDGET_FULL,    /* the refusal says which limit */
	BUDGET_UNKNOWN, /* what exists is not known yet */
	BUDGET_CROWDED, /* too many reservations wait */
};

struct budget_refusal {
	const struct quota *quota;
	const struct quota_object *limit;
	budget_sum_t used;     /* before, reservations among it */
	budget_sum_t reserved; /* of that, not seen yet */
	uint64_t requested;    /* on top */
};

/* Admits a creation (`is_new`) or change. Only what grows is judged, at every level from
 * the object's to the root. `dry_run`: nothing is reserved. */
MUST_CHECK enum budget_verdict budget_ledger_admit(struct budget_ledger *l,
    const struct budget_object *o, bool is_new, bool dry_run, monotime_t now,
    struct budget_refusal *out_refusal);

/*
 * Reservations by the order in which they were made: those since a mark can be told to somebody
 * else, and taken back if he cannot be told.
 */
MUST_CHECK uint64_t budget_ledger_mark(const struct budget_ledger *l);
void budget_ledger_since(const struct budget_ledger *l, uint64_t mark,
    void (*tell)(
	void *arg, const struct budget_object *o, bool is_new, monotime_t expires),
    void *arg);
void budget_ledger_undo(struct budget_ledger *l, uint64_t mark);
/* Charges what somebody else has admitted, or an earlier process: whether or not there is room,
 * unless it was seen already. */
void budget_ledger_charge(struct budget_ledger *l, const struct budget_object *o,
    bool is_new, monotime_t expires);
/* What others admitted may have come and gone unheard: nothing is admitted until every kind's
 * watch was heard of after `now`, or has been listed anew. */
void budget_ledger_doubt(struct budget_ledger *l, monotime_t now);

/* Where objects of that namespace are charged. */
MUST_CHECK const struct ns *budget_ledger_level(
    const struct budget_ledger *l, struct str namespace);
/* What is left of a key for objects at the level; false if nothing limits it. */
MUST_CHECK bool budget_ledger_room(const struct budget_ledger *l,
    const struct ns *level, size_t key, budget_sum_t *out_room,
    const struct quota **out_quota);
MUST_CHECK bool budget_ledger_synced(const struct budget_ledger *l);
/* Calls for every object with what it is charged: one amount for each key of the plan. */
void budget_ledger_each(const struct budget_ledger *l,
    void (*tell)(void *arg, struct str namespace, const uint64_t *amounts), void *arg);

/* One limit and its use, for metrics. */
struct budget_line {
	const struct quota *quota;
	const struct quota_object *limit;
	size_t key;
	budget_sum_t used, seen;
};
const struct budget_line *budget_ledger_lines(
    const struct budget_ledger *l, size_t *out_count);
MUST_CHECK size_t budget_ledger_reservations(const struct budget_ledger *l);

#endif
