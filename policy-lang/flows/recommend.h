/*
 * Least-privilege policy from recorded flows: what was seen is allowed, at the level of
 * owners (whatever made the pods), and nothing else is. Flows that were denied are no
 * reason to allow anything.
 */
#ifndef POLICY_LANG_RECOMMEND_H
#define POLICY_LANG_RECOMMEND_H

#include "policy-lang/flows/flowlog.h"

enum recommend_kind {
	RECOMMEND_POLICY,         /* native; says everything */
	RECOMMEND_NETWORK_POLICY, /* for pods; TCP, UDP and SCTP alone */
};

struct recommend_options {
	enum recommend_kind kind;
	/* Addresses of the outside are widened to prefixes of this length, or as far as
	 * they hold no known workload and no node; 32 and 128: not at all. */
	uint8_t widen4, widen6;
};

struct recommend_counts {
	uint64_t seen;          /* flows */
	uint64_t denied;        /* of them: when they were recorded */
	uint64_t unknown;       /* an end is not known here */
	uint64_t inexpressible; /* the kind has no words for them */
	uint64_t beyond;        /* more kinds than LIMIT_RECOMMEND_KINDS */
	size_t policies;
	size_t unseen_owners; /* that no flow names: no policy is written for them */
};

struct recommend;

/* Borrows the model. */
MUST_CHECK struct recommend *recommend_new(struct arena *arena, const struct model *m,
    const struct recommend_options *options);
void recommend_free(struct recommend *r);
/* Takes one record in; it may be forgotten afterwards. */
void recommend_add(struct recommend *r, const struct flowlog_record *record);
/* Appends the policies, as YAML, and says how much they rest on. */
void recommend_print(
    struct recommend *r, struct buf *out, struct recommend_counts *out_counts);

#endif
