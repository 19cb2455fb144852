/*
 * A worker's side of the audit role. Records are sent at once; the answer says that they
 * are on disk (or cannot be). Mode `required`: nothing is forwarded, and no answer
 * ends, without that; `best-effort`: a record that cannot be written is counted.
 */
#ifndef AUTHN_AUDIT_CLIENT_H
#define AUTHN_AUDIT_CLIENT_H

#include <uv.h>

#include "authn/request/identity.h"
#include "authn/request/requestinfo.h"
#include "common/err.h"

struct audit_client;

enum audit_stage {
	AUDIT_REQUEST_RECEIVED,
	AUDIT_RESPONSE_STARTED,
	AUDIT_RESPONSE_COMPLETE
};

/* One audit.k8s.io/v1 Event. Strings are borrowed during the call. */
struct audit_event {
	enum audit_stage stage;
	const char *level; /* NULL: Metadata */
	/* One JSON object each, on one line and without secrets; "": none. */
	struct str request_object, response_object;
	/* Why there is none, although the level asks for it; NULL: there was no body. As
	 * annotations .../request-object, .../response-object. */
	const char *request_omitted, *response_omitted;
	struct str audit_id; /* a UUID of ours */
	struct str
	    request_uri; /* as received; secrets in it are redacted by the encoder */
	const struct request_info *info; /* NULL: not classified (refused earlier) */
	struct str verb; /* used when info is NULL: the lower-cased method */
	struct str user; /* "" : nobody was recognised */
	struct str uid;
	const struct str *groups;
	size_t group_count;
	struct str token_id;     /* annotation ringfence.dev/token */
	struct str token_maker;  /* of a service account's: who made it */
	struct str token_issued; /* id of a token that was made: .../token-issued */
	struct str tenant;       /* path of the tree that it concerns: .../tenant */
	/* The gate's own object, "tokens" for one; "": see info. */
	struct str own_resource, own_name;
	struct str source; /* the peer's address */
	struct str user_agent;
	int code;           /* of the response; 0 before there is one */
	struct str reason;  /* Status reason, e.g. "Forbidden", "TooManyRequests" */
	struct str message; /* of a refusal by the gate itself */
	struct str
	    decided_by; /* annotation ringfence.dev/decided-by: "Access /acme/shop/developers rule 0 access.yaml:12" */
	walltime_t received;
	walltime_t now;
	bool cut; /* annotation ringfence.dev/cut: parts were left out to fit */
};

/* Appends the event as one JSON line without a newline; redacts secrets (query parameters
 * token=, access_token=; user agents are cut at 1,024 bytes). Pure. */
void audit_event_encode(struct buf *out, const struct audit_event *event);

/* What the gate did by itself, not because somebody asked over the network; as an Event of
 * user ringfence:gate. */
struct audit_own_event {
	const char *
	    verb; /* "configure", "audit-resumed", "suspend-account", "restore-account" */
	struct str account; /* whom the last two are about; "" */
	struct str detail;  /* annotation ringfence.dev/detail; may be "" */
	int code;           /* 200; 500: it failed */
	uint8_t id[16];     /* random */
	walltime_t now;
};
void audit_event_encode_own(struct buf *out, const struct audit_own_event *event);

/* Takes the socket to the audit role. */
MUST_CHECK int audit_client_new(uv_loop_t *loop, int fd, bool required,
    struct audit_client **out_client, struct err *err);
MUST_CHECK int audit_client_reconnect(struct audit_client *c, int fd, struct err *err);
void audit_client_free(struct audit_client *c);
/* False while the log cannot be written in mode `required`: forward nothing, answer 503. */
MUST_CHECK bool audit_client_ready(const struct audit_client *c);

/* `ok`: on disk (best-effort: or given up and counted). */
typedef void (*audit_done_fn)(void *arg, bool ok);
typedef uint64_t audit_ticket_t;
/* Takes one event, which leaves with the next audit_client_flush; `done` (may be NULL:
 * nobody waits) is called once it is on disk. */
audit_ticket_t audit_client_send(struct audit_client *c,
    const struct audit_event *event, audit_done_fn done, void *arg);
/* Sends what was taken. Whoever ends answers calls it before they leave the process. */
void audit_client_flush(struct audit_client *c);
/* Asks for recent records. `done` gets the JSON for the call, or "" if there is no answer; it may
 * be called from within. */
struct audit_recent_question;
typedef void (*audit_recent_fn)(void *arg, struct str json);
uint64_t audit_client_ask(struct audit_client *c,
    const struct audit_recent_question *question, audit_recent_fn done, void *arg);
/* The asker goes away. */
void audit_client_forget(struct audit_client *c, uint64_t ticket);

/* The asker goes away; the record is written all the same. */
void audit_client_cancel(struct audit_client *c, audit_ticket_t ticket);

#endif
