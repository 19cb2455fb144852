/*
 * JSON in pieces: a scanner that is fed bytes as they come and tells where values begin and
 * end, as strict as RFC 8259, so that nobody behind it reads the same bytes in another
 * way. It builds no tree and copies only the strings that its user wants to see. Pure.
 */
#ifndef COMMON_JSON_SCAN_H
#define COMMON_JSON_SCAN_H

#include "common/str.h"

#define SCAN_MAX_DEPTH  512u
#define SCAN_TEXT_BYTES (16u * 1024) /* of a string that is kept */

enum scan_event {
	SCAN_MORE, /* the input is used up */
	SCAN_BAD,  /* not JSON, or nested too deep; every further call says so too */
	SCAN_OBJECT_BEGIN,
	SCAN_OBJECT_END,
	SCAN_ARRAY_BEGIN,
	SCAN_ARRAY_END,
	SCAN_KEY,
	SCAN_STRING,
	SCAN_NULL,
	SCAN_SCALAR, /* a number, true, false */
};

enum scan_state {
	SCAN_AT_VALUE,
	SCAN_AT_FIRST_ITEM, /* behind [ */
	SCAN_AT_FIRST_KEY,  /* behind { */
	SCAN_AT_KEY,        /* behind a comma in an object */
	SCAN_AT_COLON,
	SCAN_BEHIND_VALUE, /* in an array or object */
	SCAN_IN_STRING,
	SCAN_IN_ESCAPE,
	SCAN_IN_UNICODE, /* the four digits behind \u */
	SCAN_IN_WORD,    /* true, false, null */
	SCAN_IN_NUMBER,
	SCAN_AT_END, /* behind the one value */
	SCAN_STOPPED,
};

struct json_scan {
	enum scan_state state;
	unsigned depth; /* open containers */
	unsigned quiet; /* not 0: nothing is told until fewer containers are open */
	bool stream;    /* several values may follow each other */
	bool keep;    /* the next strings' text is wanted; may change between events */
	bool keeping; /* ... of the string being read */
	bool is_key;
	bool text_cut;    /* it was longer than SCAN_TEXT_BYTES */
	struct buf text;  /* of the last SCAN_KEY or SCAN_STRING, decoded, if kept */
	const char *word; /* what must still come of true, false, null */
	char word_first;
	uint8_t number; /* enum number_part */
	uint8_t digits; /* of \u, so far */
	uint16_t unit;  /* its value */
	uint16_t high;  /* a high surrogate that waits for its low one; 0: none */
	uint8_t objects[SCAN_MAX_DEPTH / 8]; /* which containers are objects */
};

/* The top-level value must be an object. `stream`: one behind the other, as watches have
 * them. */
void json_scan_init(struct json_scan *j, bool stream);
void json_scan_free(struct json_scan *j);

/* Goes on from data[*pos] to the next event and sets *pos behind its last byte. The bracket
 * of a BEGIN or END is data[*pos - 1]. */
MUST_CHECK enum scan_event json_scan_next(
    struct json_scan *j, const char *data, size_t len, size_t *pos);

/* True between values: nothing is open (and, unless a stream, the one value has come). */
MUST_CHECK bool json_scan_complete(const struct json_scan *j);

#endif
