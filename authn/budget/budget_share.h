/*
 * Object budgets that several gates keep together, over etcd. A thread judges what the API
 * servers ask, many questions at a time, and answers once what it reserved is in etcd: by a
 * transaction that comes about only if nobody has reserved anything that this gate has not
 * charged. Else it charges that, and judges anew. So every ledger holds the reservations of all,
 * and gates together overdraw no more than one by itself: not at all, as long as their Quota
 * documents are the same.
 *
 * What is in etcd stays for `holdSeconds` at least, also beyond the end of who put it there:
 * "PREFIX/budget/GATE/N" is {"until": nanoseconds of the wall clock, "reservations": [...]} of
 * budget_record.h. Who reads it holds it for `holdSeconds` from then on; only one that
 * starts, and lists what exists afterwards, goes by `until`, so that it is not kept
 * waiting by what is long over. A gate that etcd did not answer for so long
 * may have missed some: it admits nothing until it has heard anew what exists. One that etcd does
 * not answer now admits nothing at all; there is no going on for a while.
 */
#ifndef AUTHN_BUDGET_SHARE_H
#define AUTHN_BUDGET_SHARE_H

#include <uv.h>

#include "authn/policy/admission.h"
#include "authn/wire/etcd.h"

struct budget_role;
struct budget_share;

struct budget_share_settings {
	struct etcd_options etcd; /* endpoint_count 0: there is nobody to share with */
	struct str prefix;        /* ends with '/' */
};

/* One question, and its answer. */
struct budget_review {
	struct budget_review *next;
	uint64_t asker;
	struct buf body, answer; /* of HTTP */
	enum admission_result result;
};

/*
 * Starts the thread; what exists is watched (budget_watch_start) from when it has read what the
 * others reserved. `done` is called on the loop, and frees the review with budget_review_free.
 */
MUST_CHECK int budget_share_start(struct budget_role *role,
    void (*done)(struct budget_role *role, struct budget_review *review),
    struct budget_share **out_share, struct err *err);
/* Takes the review, which is malloc'ed and has its body. */
void budget_share_ask(struct budget_share *s, struct budget_review *review);
void budget_review_free(struct budget_review *review);
/* False: etcd does not answer, and nothing is admitted. */
MUST_CHECK bool budget_share_connected(const struct budget_share *s);
/* Appends members of a JSON object, with a comma before each. */
void budget_share_status(const struct budget_share *s, struct buf *out);

#endif
