/*
 * Recorded flows, one a line: Ringfence's own flow log, Hubble's JSON, and what conntrack
 * lists. A line is read on its own; who its ends are is a question for flow_ends.h.
 */
#ifndef POLICY_LANG_FLOWLOG_H
#define POLICY_LANG_FLOWLOG_H

#include "policy-lang/model/model.h"

enum flowlog_format {
	FLOWLOG_AUTO, /* by its first bytes, line by line */
	FLOWLOG_RINGFENCE,
	FLOWLOG_HUBBLE,
	FLOWLOG_CONNTRACK, /* text or XML, listed or as events */
};

/* What the record says became of it. */
enum flowlog_verdict {
	FLOWLOG_UNSAID,
	FLOWLOG_ALLOW,
	FLOWLOG_DENY,
};

/* One end. A name is NAMESPACE/NAME, /PATH/NAME or node/NAME; `owner` the same of what
 * made the workload. Empty where the record has none. */
struct flowlog_end {
	struct str name;
	struct str owner;
	bool has_addr;
	struct ip_addr addr;
};

struct flowlog_record {
	struct flowlog_end src, dst; /* dst is who was reached: after translation */
	uint8_t proto;
	uint16_t port; /* of the destination; 0 for protocols without ports */
	enum flowlog_verdict verdict;
	uint64_t count;  /* at least 1 */
	struct str time; /* as written; may be empty */
};

enum flowlog_result {
	FLOWLOG_RECORD,
	FLOWLOG_SKIPPED, /* nothing to judge: blank, a reply, a status message */
	FLOWLOG_CROWD,   /* `count` flows that were too many to tell apart: no ends */
	FLOWLOG_BAD,
};

/*
 * Reads one line. Texts live in `scratch` or are borrowed from the line. FLOWLOG_BAD: why
 * is in *out_why (in `scratch`).
 */
MUST_CHECK enum flowlog_result flowlog_read(struct arena *scratch,
    enum flowlog_format format, struct str line, struct flowlog_record *out_record,
    const char **out_why);

/* Between flowlog*.c: one line of conntrack. */
MUST_CHECK enum flowlog_result flowlog_read_conntrack(struct arena *scratch,
    struct str line, struct flowlog_record *out_record, const char **out_why);
MUST_CHECK enum flowlog_result flowlog_read_conntrack_xml(struct arena *scratch,
    struct str line, struct flowlog_record *out_record, const char **out_why);

#endif
