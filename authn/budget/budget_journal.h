/*
 * Reservations on disk, so that the next process knows what this one admitted. Two files, which
 * the monitor opens: lines are appended to one; when it has grown, what still waits is written
 * to the other, and only then is the first emptied. So whenever a process ends, both together have
 * everything; what is in both is charged once, for an object is charged the most that is
 * said of it. Not synced: the death of processes loses nothing, that of the machine
 * what it had admitted in the last seconds and its API server survived.
 */
#ifndef AUTHN_BUDGET_JOURNAL_H
#define AUTHN_BUDGET_JOURNAL_H

#include "authn/budget/budget.h"
#include "common/err.h"

#define BUDGET_JOURNAL_FILES 2

struct budget_journal {
	int fds[BUDGET_JOURNAL_FILES]; /* for reading and appending */
	unsigned active;
	size_t bytes; /* in the active one */
	bool torn;    /* its last line may not have ended */
};

/* Charges what was reserved and may still come, by the wall clock, and for `hold_ns` at
 * most. Takes the descriptors, for good. */
MUST_CHECK int budget_journal_open(struct budget_journal *j,
    const int fds[BUDGET_JOURNAL_FILES], struct budget_ledger *ledger,
    const struct budget_plan *plan, uint64_t hold_ns, struct err *err);
/* Writes the reservations since a mark. */
MUST_CHECK int budget_journal_note(struct budget_journal *j,
    const struct budget_ledger *ledger, const struct budget_plan *plan, uint64_t mark,
    struct err *err);

#endif
