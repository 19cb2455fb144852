/*
 * Reservations as text, for other gates (budget_share.h) and later processes (budget_journal.h):
 * one JSON object each, by the names of what is counted, so that the reader's plan may be another.
 * {"group":"","resource":"pods","namespace":"a","name":"x","uid":"...","new":true,"version":0,
 *  "amounts":{"pods":1000}}
 */
#ifndef AUTHN_BUDGET_RECORD_H
#define AUTHN_BUDGET_RECORD_H

#include "authn/budget/budget.h"

/* Appends the object. Amounts of nothing are left out. */
void budget_record_put(struct buf *out, const struct budget_plan *plan,
    const struct budget_object *o, bool is_new);

enum budget_record_result {
	BUDGET_RECORD_OK,
	BUDGET_RECORD_OTHER, /* a kind that this plan does not count */
	BUDGET_RECORD_MALFORMED,
};

/* `amounts` has key_count places. *out_object borrows from the record. */
MUST_CHECK enum budget_record_result budget_record_get(const struct budget_plan *plan,
    const json_t *record, uint64_t *amounts, struct budget_object *out_object,
    bool *out_is_new);

#endif
