/*
 * What an API server says in JSON, in pieces as they come: a page of a list, or the events of
 * a watch. Objects are given one by one, reduced to the fields that kube_kinds names, as the
 * text of a document; never is more held than one of these. Strict: what is no JSON, or
 * is no list or event, ends it. Pure.
 */
#ifndef ENFORCER_KUBE_DECODE_H
#define ENFORCER_KUBE_DECODE_H

#include "common/json_scan.h"
#include "enforcer/kube/kube_text.h"

#define KUBE_TEXT_BYTES    (4u * 1024 * 1024) /* of one object; servers stop at 3 MiB */
#define KUBE_MOST_PATHS    32u
#define KUBE_FILTER_LEVELS 8u
#define KUBE_MOST_CUTS     16u

enum kube_event {
	KUBE_LISTED, /* an item of a list */
	KUBE_ADDED,
	KUBE_MODIFIED,
	KUBE_DELETED,
	KUBE_BOOKMARK, /* nothing but a version */
	KUBE_ERROR,    /* the text is a Status, whole */
};

struct kube_object {
	enum kube_event event;
	struct str namespace, name; /* "": absent */
	uint64_t version;           /* resourceVersion; 0: absent */
	bool finished;              /* a pod that has ended */
	struct str text; /* the document; borrowed, as all of it, for the call */
	const struct kube_cut *cuts; /* of that */
	size_t cut_count;
};

/* False ends the decoding. */
typedef bool (*kube_object_fn)(void *arg, const struct kube_object *object);

/* One container of an object that is kept in part. */
struct kube_level {
	uint32_t paths; /* which of them still lead here */
	unsigned steps; /* taken by them */
	size_t begin;   /* of an item of a list: of the text, where it does */
	bool list, empty;
};

struct kube_decode {
	const struct kube_kind *kind;
	kube_object_fn object;
	void *arg;
	struct json_scan scan;
	bool watch, failed;
	const char *why; /* it failed; a literal */
	/* where we are */
	uint8_t place, key; /* enum place, enum outer_key */
	unsigned seen;      /* outer keys of this document, as bits */
	enum kube_event event;
	/* the object */
	struct buf text;
	struct kube_cut cuts[KUBE_MOST_CUTS];
	unsigned cut_count;
	struct kube_level levels[KUBE_FILTER_LEVELS];
	unsigned level_count;
	uint32_t paths; /* of the key whose value comes next */
	bool whole;     /* they end there: it is copied as it is */
	bool copying, begun;
	uint8_t inner;         /* enum inner: a container that is passed over */
	uint8_t part, capture; /* enum part, enum capture */
	struct buf captured[4];
	unsigned captured_bits;
	/* of the list */
	struct buf token; /* "continue"; empty: this was the last page */
	uint64_t version;
	size_t objects;
};

void kube_decode_init(struct kube_decode *d, const struct kube_kind *kind, bool watch,
    kube_object_fn object, void *arg);
void kube_decode_free(struct kube_decode *d);
/* False: it has failed, here or before; d->why says why ("" if `object` ended it). */
MUST_CHECK bool kube_decode_feed(struct kube_decode *d, const char *data, size_t len);
/* True at the end of a list, with token and version; of a watch, between events. */
MUST_CHECK bool kube_decode_complete(const struct kube_decode *d);

#endif
