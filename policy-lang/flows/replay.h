/*
 * Recorded flows judged by a candidate policy: what would become of them. Flows that are
 * alike (ends, port, what was, what would be, who decides) are one row. Memory is bounded:
 * beyond LIMIT_REPLAY_ROWS kinds the rest is judged and counted, not told apart.
 */
#ifndef POLICY_LANG_REPLAY_H
#define POLICY_LANG_REPLAY_H

#include "policy-lang/explain/explain.h"
#include "policy-lang/flows/flowlog.h"

enum replay_change {
	REPLAY_CLOSED, /* was allowed, would be denied */
	REPLAY_OPENED,
	REPLAY_SAME,
	REPLAY_UNSAID, /* nobody knows what became of it */
	REPLAY_CHANGE_COUNT,
};

struct replay_row {
	struct str src, dst; /* as endpoint_print has them */
	uint8_t proto;
	uint16_t port;
	enum replay_change change;
	enum flowlog_verdict was;
	bool allow;         /* by the candidate */
	enum direction dir; /* where `decider` judged */
	struct verdict decider;
	struct flow flow; /* the first of them */
	uint64_t count;
	unsigned long line; /* where the first of them is recorded */
};

struct replay_report {
	struct replay_row **rows; /* changes first, then by count, then by name */
	size_t count;
	uint64_t flows[REPLAY_CHANGE_COUNT];  /* counts of the records added up */
	uint64_t beyond[REPLAY_CHANGE_COUNT]; /* of them, in no row: too many kinds */
	uint64_t unknown;                     /* flows with an end that is not known */
	struct str unknown_example;           /* "shop/gone, line 3" */
	uint64_t incomparable; /* flows in a family that their ends have not got */
};

struct replay;

/* Borrows both models. `baseline` NULL: what the records say is what was. */
MUST_CHECK struct replay *replay_new(
    struct arena *arena, const struct model *candidate, const struct model *baseline);
void replay_free(struct replay *replay);
/* Judges one record; it may be forgotten afterwards. */
void replay_add(
    struct replay *replay, const struct flowlog_record *record, unsigned long line);
/* What has been added; lives in the arena. */
void replay_finish(struct replay *replay, struct replay_report *out_report);

enum replay_format {
	REPLAY_TXT,
	REPLAY_JSON,
	REPLAY_MD,
	REPLAY_CSV,
};

/* `changed_only`: rows that stay as they are are left out, and counted all the same. */
void replay_print(struct arena *a, struct buf *out, const struct replay_report *report,
    enum replay_format format, bool changed_only);

#endif
