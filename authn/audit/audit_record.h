/*
 * One record of an audit log as its readers see it: an audit.k8s.io/v1 Event of the gate or
 * of an enforcer, taken apart, and what kind of event it is. Pure.
 */
#ifndef AUTHN_AUDIT_RECORD_H
#define AUTHN_AUDIT_RECORD_H

#include "common/clock.h"
#include "common/str.h"

/*
 * Each record is of exactly one kind, so that counts by kind add up. A request has its kind
 * in its last record; those before it (RequestReceived, ResponseStarted) are `started`.
 */
enum audit_kind {
	AUDIT_KIND_STARTED,
	AUDIT_KIND_READ,
	AUDIT_KIND_CHANGE,
	AUDIT_KIND_POLICY, /* of what says who may connect to whom */
	AUDIT_KIND_ADMIN,  /* of who may do what, of the tree and the cluster itself */
	AUDIT_KIND_TOKEN,  /* made, rotated or revoked */
	AUDIT_KIND_LOGIN,
	AUDIT_KIND_LOGIN_FAILED,
	AUDIT_KIND_DENIED,  /* 401, 403 */
	AUDIT_KIND_LIMITED, /* 429 */
	AUDIT_KIND_FAILED,  /* 5xx */
	AUDIT_KIND_APPLIED, /* an enforcer put a program in force, or could not */
	AUDIT_KIND_HEALED,  /* ... found its table changed by others, and healed it */
	AUDIT_KIND_FLOW_DENIED,
	AUDIT_KIND_FLOW_ALLOWED,
	AUDIT_KIND_FLOW_WATCHED, /* by a policy that is only watched */
	AUDIT_KIND_GAP,          /* the log could not be written before this record */
	AUDIT_KIND_ACCOUNT,      /* suspended, or restored, with its tokens */
	AUDIT_KIND_COUNT
};

/* Texts that a record may have; "" where it has not. */
enum audit_field {
	AUDIT_FIELD_LEVEL,
	AUDIT_FIELD_ID,
	AUDIT_FIELD_STAGE,
	AUDIT_FIELD_URI,
	AUDIT_FIELD_VERB,
	AUDIT_FIELD_USER,
	AUDIT_FIELD_SOURCE, /* the first of sourceIPs */
	AUDIT_FIELD_AGENT,
	AUDIT_FIELD_RESOURCE,
	AUDIT_FIELD_SUBRESOURCE,
	AUDIT_FIELD_NAMESPACE,
	AUDIT_FIELD_NAME,
	AUDIT_FIELD_GROUP, /* of the API */
	AUDIT_FIELD_CODE,
	AUDIT_FIELD_REASON, /* of the response, or of a flow's verdict */
	AUDIT_FIELD_MESSAGE,
	AUDIT_FIELD_RECEIVED,
	AUDIT_FIELD_TIME,
	AUDIT_FIELD_TENANT, /* path in the tree */
	AUDIT_FIELD_DECIDED_BY,
	AUDIT_FIELD_TOKEN,        /* id of the one that was used */
	AUDIT_FIELD_TOKEN_ISSUED, /* ... that was made */
	AUDIT_FIELD_DIRECTION,
	AUDIT_FIELD_FLOW_SOURCE,
	AUDIT_FIELD_FLOW_DESTINATION,
	AUDIT_FIELD_SERVICE,
	AUDIT_FIELD_DETAIL,
	AUDIT_FIELD_GENERATION,
	AUDIT_FIELD_COUNT_OF, /* connections that one record stands for */
	AUDIT_FIELD_COUNT
};

struct audit_record {
	struct str line;
	uint64_t index; /* in the log, from 0 */
	struct str text[AUDIT_FIELD_COUNT];
	unsigned code; /* 0: none yet */
	bool has_time;
	walltime_t time;
	enum audit_kind kind;
};

/* Reads a line; texts live in the arena, the line is borrowed. False if it is no JSON
 * object. A member of the wrong type counts as absent; of two the last one counts. */
MUST_CHECK bool audit_record_parse(
    struct audit_record *record, struct arena *arena, struct str line, uint64_t index);

/* "read", "login-failed", ... */
const char *audit_kind_name(enum audit_kind kind);
MUST_CHECK bool audit_kind_parse(struct str name, enum audit_kind *out_kind);
/* For tables and CSV: "user", "tokenIssued", ... */
const char *audit_field_name(enum audit_field field);

/* ".../pods/exec.apps" in RBAC's grammar: what was asked for; the path if no resource. */
MUST_CHECK struct str audit_record_target(
    const struct audit_record *record, struct arena *arena);
/* True if `path` is `subtree` or below it; every path is below "/". */
MUST_CHECK bool audit_path_within(struct str path, struct str subtree);

#endif
