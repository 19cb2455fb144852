/*
 * ringfence-audit: its commands, and what they share. Each returns the exit status.
 */
#ifndef AUTHN_AUDIT_TOOL_H
#define AUTHN_AUDIT_TOOL_H

#include <stdio.h>

#include "authn/audit/audit_query.h"

#define AUDIT_EXIT_CANNOT_TELL 2

enum audit_output {
	AUDIT_OUTPUT_TEXT,
	AUDIT_OUTPUT_JSON,
	AUDIT_OUTPUT_CSV,
	AUDIT_OUTPUT_HTML,
	AUDIT_OUTPUT_COUNT
};

#define AUDIT_MAX_CHECKPOINTS 16 /* on one command line */

struct audit_tool {
	const char *directory;
	const char *target; /* of copy */
	struct arena *arena;
	struct audit_query query;
	enum audit_output output;
	const char *key;
	const char *checkpoints[AUDIT_MAX_CHECKPOINTS];
	size_t checkpoint_count;
	const char *against; /* a copy of the log, or of its checkpoints */
	const char *proofs;  /* directory to write proofs to */
	const char *ca;      /* of a copy's peer */
	const char *tls_certificate, *tls_key; /* ours towards it, by syslog */
	const char *etcd_certificate, *etcd_key, *etcd_user, *etcd_password;
	uint64_t limit; /* records printed; 0: all */
	bool no_index;
	const char *state; /* of copy: remembers how far it came */
	bool once;         /* copy: ends when everything is copied */
	uint64_t keep;     /* checkpoints in etcd; 0: all */
};

/* What --key, --checkpoint and --against name; that which lies in etcd is fetched. */
struct audit_evidence;
MUST_CHECK int audit_tool_evidence(
    const struct audit_tool *t, struct audit_evidence *out_evidence, struct err *err);

int audit_tool_verify(struct audit_tool *t);
int audit_tool_show(struct audit_tool *t);
int audit_tool_search(struct audit_tool *t);
int audit_tool_export(struct audit_tool *t);
int audit_tool_check(struct audit_tool *t);
int audit_tool_report(struct audit_tool *t);
int audit_tool_copy(struct audit_tool *t);

/* "ringfence-audit: ..." to standard error. */
void audit_tool_complain(void *arg, const char *what);
/* ... and AUDIT_EXIT_CANNOT_TELL. */
MUST_CHECK int audit_tool_fail(const char *what);
/* Flushes standard output: 0, or as audit_tool_fail. */
MUST_CHECK int audit_tool_flush(void);

/* Appends a line of CSV. */
void audit_csv_record(struct buf *out, const struct audit_record *record);

#endif
