/*
 * One request and its answer, whatever protocol either side speaks: headers in, who
 * asks, may they, how much, on record, forward, stream both ways, on record again, end.
 * The client's connection owns the exchange; an upstream connection is lent to it. Both
 * sides meet only here, in two queues that flow control keeps short:
 *
 *     client --request--> [req_body] --> upstream
 *     client <-- [res_body] <--response-- upstream
 */
#ifndef AUTHN_EXCHANGE_H
#define AUTHN_EXCHANGE_H

#include "authn/audit/audit_client.h"
#include "authn/audit/audit_policy.h"
#include "authn/auth/auth_client.h"
#include "authn/proxy/iobuf.h"
#include "authn/quota/quota.h"
#include "authn/request/headers.h"
#include "authn/request/requestinfo.h"
#include "authn/request/status.h"
#include "common/secret.h"
#include "policy-lang/evaluate/access.h"

struct exchange;
struct exchange_list;
struct exchange_rules;
struct token_review;
struct upstream_request;
struct worker;

enum exchange_state {
	EXCHANGE_HEAD,     /* its headers are being read */
	EXCHANGE_AUTH,     /* waits for the auth role */
	EXCHANGE_REVIEW,   /* a question about rights: waits for its body */
	EXCHANGE_COLLECT,  /* an endpoint of our own: waits for its body */
	EXCHANGE_ANSWER,   /* waits for the auth role's answer to it */
	EXCHANGE_RECORD,   /* waits until RequestReceived is on disk */
	EXCHANGE_UPSTREAM, /* the upstream has it */
	EXCHANGE_REPLIED,  /* the answer is known to the end, or cut */
};

/* Bounds of what may wait between the sides. */
#define EXCHANGE_BUFFER_HIGH (256u * 1024) /* stop reading */
#define EXCHANGE_BUFFER_LOW  (128u * 1024) /* go on */
#define EXCHANGE_HOLD_BYTES  (64u * 1024)  /* answers that are held back as a whole */
#define EXCHANGE_OWN_BODY    (64u * 1024)  /* body of a request to the gate itself */

/* How the exchange speaks to the client's connection. */
struct exchange_ops {
	/* The head of the answer (status, res_headers, res_length) is ready to go. */
	void (*respond)(struct exchange *x);
	/* More of the body may be taken, or its end has come. */
	void (*more)(struct exchange *x);
	/* So much of the request's body has been taken on. */
	void (*consumed)(struct exchange *x, size_t n);
	/* 100 Continue is due. */
	void (*go_ahead)(struct exchange *x);
	/* Cut the answer where it is: the client must notice. */
	void (*cut)(struct exchange *x);
};

/* What is kept for the record of a request whose bodies are recorded. */
struct exchange_capture {
	enum audit_level level;
	bool decided;                     /* until then nothing is kept */
	bool request_over, response_over; /* longer than AUDIT_BODY_BYTES */
	struct buf request, response;     /* as they went by */
	struct buf shown;                 /* without secrets, for the encoder */
};

struct exchange {
	struct worker *w;
	struct exchange *prev, *next;               /* all of the worker's */
	struct exchange *client_prev, *client_next; /* of one HTTP/2 connection */
	const struct exchange_ops *ops;
	void *client; /* the connection, for ops */
	struct arena *arena;
	struct upstream_request *up;

	/* the request */
	struct str method, target, authority, source;
	struct str up_target; /* what the API server is asked; usually the same */
	struct header_list req_headers;
	struct header_facts facts;
	struct request_info info;
	struct iobuf req_body;
	uint64_t req_bytes; /* of the body, so far */
	size_t unconsumed;  /* HTTP/2: received, and its window not given back */

	/* who and whether */
	struct identity *id;
	const struct identity *asks_as;         /* not NULL: in whose name, upstream */
	struct identity *certificate;           /* the connection's; borrowed */
	void (*identified)(struct exchange *x); /* goes on once `id` is known */
	void (*reviewed)(struct exchange *x);   /* goes on once its body was read */
	auth_ticket_t auth_ticket;
	audit_ticket_t audit_ticket;
	uint64_t recent_ticket; /* recent records were asked for */
	struct quota_ticket quota;
	struct exchange_capture capture;
	struct str decided_by;
	struct str tenant; /* path of the subtree below / that it is charged to */
	struct exchange_list *list;   /* its answer is filtered; else NULL */
	struct exchange_rules *rules; /* its answer is made anew; else NULL */
	uint64_t extent; /* across namespaces: digest of what was allowed */
	const struct token_review *token_review; /* that is being answered */
	struct str user; /* recognised, or claimed, where there is no `id` */
	struct str
	    token_issued; /* id of the token that the answer holds; for the record */
	struct secret password; /* of basic authentication, until it is sent */
	walltime_t received;

	/* the answer */
	const char *reason; /* for the record: of our own refusals */
	struct str message;
	struct header_list res_headers;
	int64_t res_length; /* of the body; -1: not known */
	struct iobuf res_body;
	/* Of the loop's clock: when it began; then, when the client took something, or when what
	 * it has not taken began to wait. */
	uint64_t progress_ms;
	int status;

	enum exchange_state state;
	enum request_problem problem; /* why it could not be classified */
	int32_t stream_id;            /* HTTP/2 */
	char audit_id[37];

	bool classified;
	bool on_record;   /* was understood as HTTP; from here on it is recorded */
	bool forwarded;   /* the upstream may have seen it */
	bool malformed;   /* HTTP/2: some header was forbidden */
	bool secure_body; /* holds passwords or tokens: wipe */
	bool upgrade;     /* asks for SPDY or WebSocket, and may have it */
	bool req_ended;
	bool has_quota;
	bool res_head;     /* the head is known */
	bool res_sent;     /* ... and was handed to the client's connection */
	bool res_ended;    /* no more body comes */
	bool res_complete; /* ... and the record allows the end */
	bool switched;     /* 101: raw bytes from here */
	bool half_ended;   /* ... and the server has sent its last */
	bool end_recorded;
	bool deferred;   /* HTTP/2: the session waits for more of the answer */
	bool must_close; /* the connection ends after this answer */
};

/* A new exchange in state HEAD. `ops->...` get it back; `source` is the client's address
 * (borrowed from the connection), `certificate` its identity by certificate or NULL. */
MUST_CHECK struct exchange *exchange_new(struct worker *w,
    const struct exchange_ops *ops, void *client, struct str source,
    struct identity *certificate);
/* The connection is done with it, with the answer sent or not: what runs is cancelled,
 * what is due is recorded, everything is freed. */
void exchange_free(struct exchange *x);

/* ---- called by the client's connection ---- */

/* method, target and req_headers are there, and req_ended is set if no body follows.
 * `wants_upgrade`: in HTTP/1.1's way. */
void exchange_start(struct exchange *x, bool wants_upgrade);
/* The head was bad: answers with that status. */
void exchange_refuse(struct exchange *x, int code, const char *message);
void exchange_request_data(struct exchange *x, const char *data, size_t len);
void exchange_request_end(struct exchange *x);
/* Of the answer's body, that the client has not taken. */
void exchange_append(struct exchange *x, const char *data, size_t len);
/* Once a second: ends what the client is too slow for. `now_ms`: of the loop's clock. */
void exchange_tick(struct exchange *x, uint64_t now_ms);
/* How much of the body may be taken now. */
MUST_CHECK size_t exchange_available(const struct exchange *x);
/* ... and its first piece; empty: nothing at the moment. */
MUST_CHECK struct str exchange_peek(const struct exchange *x);
void exchange_drain(struct exchange *x, size_t n);
/* True if the answer ends with the next `n` bytes. */
MUST_CHECK bool exchange_ends_after(const struct exchange *x, size_t n);
/* True when everything has been taken and the answer may end. */
MUST_CHECK bool exchange_finished(const struct exchange *x);

/* ---- called by the upstream ---- */

/* The upstream took so much off the front of req_body. */
void exchange_request_drain(struct exchange *x, size_t n);

/* A final head came (or 101 after an upgrade). `headers` live in the exchange's arena. */
void exchange_up_head(
    struct exchange *x, int status, const struct header_list *headers);
void exchange_up_data(struct exchange *x, const char *data, size_t len);
void exchange_up_end(struct exchange *x);
/* After a 101: the server sends no more, but still listens. */
void exchange_up_half_end(struct exchange *x);

enum upstream_failure {
	UPSTREAM_NOT_SENT, /* nothing of the request has left: it may be tried elsewhere */
	UPSTREAM_CROWDED, /* nothing has left, and too many others want to */
	UPSTREAM_BROKEN,  /* something has, and no complete answer came */
};
void exchange_up_failed(
    struct exchange *x, enum upstream_failure failure, const char *what);

/* ---- within the exchange's own files ---- */

/* From a complete head on: what is it, and who asks? */
void exchange_authenticate(struct exchange *x);
/* True if whoever asked (x->id) may not go on: revoked, or expired. */
MUST_CHECK bool exchange_signed_out(const struct exchange *x, walltime_t now);
/* Finds out who asks, by bearer token or client certificate, and goes on at `next` with
 * `id` set; answers 401 or 503 otherwise. */
void exchange_identify(struct exchange *x, void (*next)(struct exchange *x));
/* The scheme's credentials of Authorization, ptr NULL if it is another scheme. */
MUST_CHECK struct str exchange_credentials(
    const struct exchange *x, const char *scheme);
void exchange_reply_unauthorized(struct exchange *x);
/* Who asks is known: may they, how much; then forward. */
void exchange_admit(struct exchange *x);
/* Is the identity still good, and the request still permitted? For open streams. */
MUST_CHECK bool exchange_still_permitted(struct exchange *x);
/* What that request of the same user comes to (rights.h). */
MUST_CHECK struct access_verdict exchange_judge(const struct exchange *x,
    const struct request_info *info, struct access_request *out_question,
    struct access_extent *out_extent);
/* Across namespaces: where the request is allowed now. */
MUST_CHECK struct access_extent exchange_extent(const struct exchange *x);
/* May objects in that namespace be seen ("": outside of namespaces)? */
MUST_CHECK bool exchange_sees(const struct exchange *x, struct str namespace);
/* Ends an open stream: a watch as if it were over, anything else visibly cut. */
void exchange_end_stream(struct exchange *x, const char *why);
/* True if the token of the identity covers the request. `level`: where it is judged. */
MUST_CHECK bool exchange_in_scope(const struct identity *id,
    const struct access_request *request, const struct ns *level);

/* The same for a list across namespaces: whether some scope covers its verb and resource,
 * and whether one does so in every namespace. */
void exchange_scope_extent(const struct identity *id,
    const struct access_request *request, bool *out_somewhere, bool *out_everywhere);

/* Passes the head of an answer on, if it may go. */
void exchange_send_head(struct exchange *x);
/* Nothing of the upstream's answer has left: this is the answer instead. */
void exchange_answer_instead(struct exchange *x, const struct status *status);
/* Answers with a Status. */
void exchange_reply_status(struct exchange *x, const struct status *status);
/* Answers with a body of ours; `body` is copied. */
void exchange_reply(
    struct exchange *x, int code, const char *content_type, struct str body);
void exchange_reply_error(struct exchange *x, int code, const char *message);
/* 503 with Retry-After. */
void exchange_reply_unavailable(struct exchange *x, const char *message);
/* Adds a header to an answer of ours, before exchange_reply. */
void exchange_reply_header(struct exchange *x, const char *name, struct str value);

/* Decides how much is recorded, before anything is forwarded. */
void exchange_capture_begin(struct exchange *x);
/* Bytes of a body that pass by. */
void exchange_capture_request(struct exchange *x, struct str data);
void exchange_capture_response(struct exchange *x, struct str data);
/* True if the policy wants no record of it, as far as is known now. */
MUST_CHECK bool exchange_capture_silent(const struct exchange *x);
/* Gives the last record its bodies; they are good until the next call. */
void exchange_capture_show(struct exchange *x, struct audit_event *event);
void exchange_capture_free(struct exchange *x);
/* Where in the tree the request's namespace is; in the arena, or static. */
MUST_CHECK struct str exchange_tenant(struct exchange *x);

/* True if the answer must not end before its record is on disk. */
MUST_CHECK bool exchange_must_record(const struct exchange *x);
void exchange_record_received(struct exchange *x, audit_done_fn done);
/* Long-running ones have a record of their start. */
void exchange_record_started(struct exchange *x);
/* The last record; allows the answer to end, now or when it is on disk. */
void exchange_record_complete(struct exchange *x);

#endif
