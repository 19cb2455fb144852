/*
 * Filters an answer of the API server while it streams through: of a list (or a table) only the
 * items that may be seen, of a watch only the events about them. What is not understood
 * to the last byte is not passed on. Never holds more than one item. Pure.
 *
 * A list keeps of its metadata the resourceVersion, and the continue token in sealed form: a token
 * names the object at which the next page begins, and remainingItemCount counts objects,
 * that may be somebody else's.
 */
#ifndef AUTHN_LIST_FILTER_H
#define AUTHN_LIST_FILTER_H

#include "common/json_scan.h"

#define LIST_ITEM_BYTES (8u * 1024 * 1024) /* of one item; API servers stop at 3 MiB */

enum list_filter_mode {
	LIST_FILTER_LIST,  /* one list, table, or Status */
	LIST_FILTER_WATCH, /* events, one behind the other */
};

/* What an item says of itself. Absent is "". */
struct list_item {
	struct str namespace;
	struct str name;
};

struct list_filter_ops {
	/* May it be seen? Asked once for each item, in order. */
	bool (*shows)(void *arg, const struct list_item *item);
	/* Appends the sealed form of a continue token; false: impossible. */
	bool (*seal)(void *arg, struct str token, struct buf *out);
};

/* The metadata that is being read, or was read last. */
struct list_head {
	char namespace[64]; /* NUL-terminated; a DNS label */
	char name[256];
	bool has_metadata;
	bool bad; /* something stands there twice, or is of another kind */
};

/* Where the bytes go. */
enum list_sink {
	LIST_PASS,
	LIST_HOLD, /* until it is known whether they may */
	LIST_DROP,
};

#define LIST_ROLES 8 /* containers beyond that depth have no role */

struct list_filter {
	const struct list_filter_ops *ops;
	void *arg;
	enum list_filter_mode mode;
	struct json_scan scan;
	enum list_sink sink;
	struct buf hold;
	bool failed;
	uint8_t roles[LIST_ROLES]; /* enum role of the open containers */
	uint16_t seen[LIST_ROLES]; /* which members were there */
	const struct list_member
	    *member; /* whose value comes next; NULL: none of ours */
	struct buf resource_version, token; /* of a list's metadata */
	unsigned items, shown;              /* judged so far; written so far */
	bool first;                         /* no item of this list was written */
	/* the item or event */
	struct list_head object, row;
	struct list_head *head; /* which of them is being read */
	bool is_row;            /* a table's row */
	bool hidden;            /* known before its end */
	bool event_bad;
	char kind[64], api_version[64], type[16];
	unsigned rows, rows_shown, rows_plain; /* of an event's table */
};

void list_filter_init(struct list_filter *f, enum list_filter_mode mode,
    const struct list_filter_ops *ops, void *arg);
void list_filter_fini(struct list_filter *f);

/* Takes bytes of the answer and appends what may be seen to *out: of a watch only whole
 * events. False: the answer cannot be filtered, and must end visibly here. */
MUST_CHECK bool list_filter_feed(
    struct list_filter *f, const char *data, size_t len, struct buf *out);
/* True if the answer ended where it should. */
MUST_CHECK bool list_filter_complete(const struct list_filter *f);

#endif
