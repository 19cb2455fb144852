/*
 * A search of an audit log: filters, all of which must hold, and the records that they let
 * through, in the order of the log, in bounded memory. Lines are passed over by what is
 * written in them, so they must be written as the gate and the enforcer write JSON: without
 * spaces, and with no more escapes than are needed.
 */
#ifndef AUTHN_AUDIT_QUERY_H
#define AUTHN_AUDIT_QUERY_H

#include "authn/audit/audit_record.h"
#include "common/audit_scan.h"
#include "common/ip.h"

enum audit_filter {
	AUDIT_FILTER_SINCE, /* RFC 3339; this instant or later */
	AUDIT_FILTER_UNTIL, /* ... earlier than this instant */
	AUDIT_FILTER_USER,
	AUDIT_FILTER_TENANT, /* a path of the tree: there and below */
	AUDIT_FILTER_VERB,
	AUDIT_FILTER_RESOURCE, /* "pods", "pods/exec", "deployments.apps" */
	AUDIT_FILTER_NAMESPACE,
	AUDIT_FILTER_NAME,
	AUDIT_FILTER_CODE,   /* "403", or "4xx" */
	AUDIT_FILTER_SOURCE, /* an address or a CIDR */
	AUDIT_FILTER_KIND,   /* one, or several separated by commas */
	AUDIT_FILTER_STAGE,
	AUDIT_FILTER_ID,
	AUDIT_FILTER_TOKEN,
	AUDIT_FILTER_TEXT, /* anywhere in the line, as it is written there */
	AUDIT_FILTER_COUNT
};

#define AUDIT_KIND_NEEDLES 16

struct audit_query {
	struct str value[AUDIT_FILTER_COUNT]; /* ptr NULL: not filtered by */
	walltime_t since, until;
	unsigned code_from, code_to; /* inclusive */
	struct ip_prefix source;
	uint32_t kinds; /* bits of enum audit_kind */
	/* What the line of every match contains, and the words of it that an index knows. */
	struct str needles[AUDIT_FILTER_COUNT];
	size_t needle_count;
	/* ... and one of these, if there are any. */
	struct str any_needles[AUDIT_KIND_NEEDLES];
	size_t any_count;
	struct str words[AUDIT_FILTER_COUNT];
	size_t word_count;
	struct arena *arena;
};

void audit_query_init(struct audit_query *q, struct arena *arena);
/* "user", "since", ...; NULL beyond the last. */
const char *audit_filter_name(enum audit_filter filter);
/* Adds a filter. `value` is copied. ERR_INVALID if it is no value for that one. */
MUST_CHECK int audit_query_add(
    struct audit_query *q, enum audit_filter filter, struct str value, struct err *err);

/* Cheap: false if no record of this line can match. */
MUST_CHECK bool audit_query_may(const struct audit_query *q, struct str line);
MUST_CHECK bool audit_query_matches(
    const struct audit_query *q, const struct audit_record *record);

struct audit_search {
	const char *directory;
	bool no_index;
	/* A match, with its texts, for the call; false: enough. */
	bool (*each)(void *arg, const struct audit_record *record);
	/* What was not as it should be: a line that is no JSON, an index that is damaged. */
	void (*complain)(void *arg, const char *what);
	void *arg;
	/* filled in */
	uint64_t matches, unreadable, bytes_read, bytes_passed;
};

MUST_CHECK int audit_query_run(
    const struct audit_query *q, struct audit_search *search, struct err *err);

#endif
