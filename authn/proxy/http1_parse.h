/*
 * The head of an HTTP/1 request, read strictly: whatever another parser might read in
 * another way is refused. Method, target and header lines are ours; the framing that
 * follows from them is read by llhttp as well, and both must agree. Pure.
 */
#ifndef AUTHN_HTTP1_PARSE_H
#define AUTHN_HTTP1_PARSE_H

#include "authn/request/headers.h"
#include "common/arena.h"

enum http1_problem {
	HTTP1_OK,
	HTTP1_BAD_LINE,    /* 400: request line */
	HTTP1_BAD_TARGET,  /* 400: absolute, authority and asterisk form */
	HTTP1_BAD_HEADER,  /* 400: syntax of a header line */
	HTTP1_BAD_FRAMING, /* 400: Content-Length, Transfer-Encoding */
	HTTP1_BAD_HOST,    /* 400 */
	HTTP1_BAD_METHOD,  /* 405 */
	HTTP1_VERSION,     /* 505 */
	HTTP1_TOO_LARGE,   /* 431 */
	HTTP1_DISAGREE,    /* 400: llhttp reads it otherwise */
};

struct http1_request {
	struct str method;
	struct str target;
	struct header_list headers; /* names lower-cased in place */
	bool minor_1;               /* HTTP/1.1 rather than 1.0 */
	bool chunked;
	bool keep_alive;
	bool wants_upgrade;     /* Connection: Upgrade beside an Upgrade header */
	int64_t content_length; /* -1: none given */
};

/* Length of a complete head at the start of the bytes; 0: more is needed; -1: what is
 * there can no longer become one. Scans from `from`, where an earlier call stopped. */
MUST_CHECK long http1_head_length(const char *data, size_t len, size_t from);

/* Reads a complete head. `head` is changed (names become lower case), and must live as
 * long as *out_request. */
MUST_CHECK enum http1_problem http1_parse_head(
    struct arena *arena, char *head, size_t len, struct http1_request *out_request);
MUST_CHECK int http1_problem_code(enum http1_problem problem);
MUST_CHECK const char *http1_problem_text(enum http1_problem problem);

/* Chunked bodies of requests. {0} is the start of one. */
enum http1_chunk_state {
	CHUNK_SIZE_FIRST,
	CHUNK_SIZE,
	CHUNK_SIZE_LF,
	CHUNK_DATA,
	CHUNK_DATA_CR,
	CHUNK_DATA_LF,
	CHUNK_TRAILER_START, /* at the start of a trailer line */
	CHUNK_TRAILER_NAME,
	CHUNK_TRAILER,
	CHUNK_TRAILER_LF,
	CHUNK_END_LF,
	CHUNK_DONE,
	CHUNK_BAD,
};

struct http1_chunks {
	enum http1_chunk_state state;
	uint64_t left;          /* of the present chunk */
	unsigned digits;        /* of its size */
	uint32_t trailer_bytes; /* dropped so far; limited */
};

/*
 * Takes framing and data off the front of *data (advancing it) and returns the next piece of body;
 * an empty piece when *data is used up, the body has ended (CHUNK_DONE; the rest of
 * *data is the next request's) or is malformed (CHUNK_BAD). Extensions are refused,
 * trailers are dropped.
 */
MUST_CHECK struct str http1_chunks_next(struct http1_chunks *c, struct str *data);

#endif
