/*
 * `diff` as text: for a person, for a pull request, for machines.
 */
#ifndef POLICY_LANG_DIFF_PRINT_H
#define POLICY_LANG_DIFF_PRINT_H

#include "policy-lang/connectivity/connectivity_group.h"
#include "policy-lang/diff/diff_decide.h"
#include "policy-lang/diff/diff_policy.h"

#define DIFF_REACHES 4

/* A line as it is told: of two ends, or of two groups. */
struct diff_row {
	const struct diff_line *line;
	struct str src, dst;
	uint64_t pairs; /* that it stands for */
	/* Of the pair, or of the first pair of groups. */
	struct diff_decisions opened, closed;
};

struct diff_report {
	const struct diff *diff;
	struct diff_documents documents;
	struct conn_groups groups; /* if `grouped` */
	bool grouped;
	struct diff_row *rows;
	size_t row_count;
	uint64_t opened[DIFF_REACHES], closed[DIFF_REACHES]; /* pairs */
	const struct str *added, *removed; /* displays of ends that are new, or gone */
	size_t added_count, removed_count;
};

/* Told pair by pair if there are at most `pairs_max` pairs, else in groups. In the arena
 * of the diff, which is borrowed. */
void diff_report_make(
    const struct diff *diff, uint64_t pairs_max, struct diff_report *out);
/* True if nothing differs but, perhaps, the words of policies. */
MUST_CHECK bool diff_report_same(const struct diff_report *report);

void diff_print(
    struct buf *out, const struct diff_report *report, enum connectivity_format format);

#endif
