/*
 * The kinds of objects of an API server that policy depends on, and of each the fields. What
 * is not named here never leaves the decoder.
 */
#ifndef ENFORCER_KUBE_KINDS_H
#define ENFORCER_KUBE_KINDS_H

#include "common/base.h"

#define KUBE_PATH_STEPS 3

/* Who has the same there, mostly: see kube_text.h. */
enum kube_of {
	KUBE_OF_KIN,    /* objects of one owner */
	KUBE_OF_NODE,   /* those of one node */
	KUBE_OF_ITSELF, /* nobody else */
};

/* "spec", "containers", "ports": the value below, whole. Lists are stepped through. */
struct kube_path {
	const char *steps[KUBE_PATH_STEPS]; /* the last ones may be NULL */
	/* Of the items of a list, all but those are left out of which what is kept has this in
	 * it; NULL: none is. */
	const char *only;
	enum kube_of
	    of; /* of a kind of which none is an object's own nothing is shared */
};

struct kube_kind {
	const char *name; /* in names of objects, status and metrics */
	const char *url;  /* of its list, behind the server's address */
	const char *head; /* what an object's text begins with */
	bool namespaced;
	bool ends;                    /* status.phase says that it is finished */
	const struct kube_path *keep; /* at most 32 */
	size_t keep_count;
};

#define KUBE_KIND_COUNT 12

extern const struct kube_kind kube_kinds[KUBE_KIND_COUNT];

#endif
