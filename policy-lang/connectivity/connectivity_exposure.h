/*
 * Exposure: what a workload's own policies let it exchange with a workload that does not
 * exist yet. Whom rules speak of by labels and namespaces is a pattern; a line says what
 * holds for a future workload to which certain patterns apply. Of the lines that apply the
 * most specific ones hold; where several do, their connections add up. The other end's
 * policies, and networks that would take it in by its address, are not looked at.
 */
#ifndef POLICY_LANG_CONNECTIVITY_EXPOSURE_H
#define POLICY_LANG_CONNECTIVITY_EXPOSURE_H

#include "policy-lang/connectivity/connectivity_world.h"

/* Patterns that can apply to one workload together are combined, up to so many of them,
 * and as long as there are no more combinations than that. */
#define EXPOSURE_COMBINED 8
#define EXPOSURE_JUDGED   2000

struct conn_exposure_line {
	uint32_t patterns[EXPOSURE_COMBINED]; /* all apply; rising */
	size_t
	    count; /* 0: the entire cluster, that is, whoever no other line is about */
	const struct conn_set *set;
	/* Egress: names of ports that rules allow there, whatever they will mean. */
	const struct str *names;
	size_t name_count;
};

struct conn_exposure {
	const struct workload_match **patterns; /* distinct */
	size_t pattern_count;
	struct conn_exposure_line *lines; /* fewer patterns first; the first has none */
	size_t line_count;
	bool exact; /* no combination of patterns was left out that could matter */
};

/* Of a party in one direction; NULL for ends without policy. Kept by side: parties of one
 * side and the same families share it. In the world's arena. */
MUST_CHECK const struct conn_exposure *conn_exposure_of(
    struct conn_world *world, const struct conn_party *party, enum direction dir);

/* What the lines say of a future workload to which exactly these patterns apply. */
MUST_CHECK const struct conn_set *conn_exposure_value(struct conn_pool *pool,
    const struct conn_exposure *exposure, const uint32_t *patterns, size_t count);

/* All lines of all parties for which `want` (by party; NULL: all) is true, as text or
 * JSON. */
void conn_exposure_print(struct buf *out, struct conn_world *world, const bool *want,
    enum connectivity_format format);

#endif
