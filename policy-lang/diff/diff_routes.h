/*
 * Routes as a comparison sees them: every rule as a sentence, and a key that tells apart
 * what sentences shorten.
 */
#ifndef POLICY_LANG_DIFF_ROUTES_H
#define POLICY_LANG_DIFF_ROUTES_H

#include "policy-lang/evaluate/route.h"

struct diff_route_line {
	const char *title; /* "Route /acme/shop/web default egress rule 0" */
	struct buf words;  /* what it says */
	struct buf key;    /* equal if and only if it means the same */
	struct loc loc;
};

typedef void diff_route_fn(void *ctx, const struct diff_route_line *line);

/* Tells of each Route what it is about, then each of its rules. What a line refers to is
 * in the arena or is the callee's for the call. */
void diff_routes_each(
    struct arena *arena, const struct model *m, diff_route_fn *tell, void *ctx);

#endif
