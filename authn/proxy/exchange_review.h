/*
 * Self reviews on their way: the gate's no is its own answer; its yes is only half of one, so
 * the API server is asked too.
 */
#ifndef AUTHN_EXCHANGE_REVIEW_H
#define AUTHN_EXCHANGE_REVIEW_H

#include "authn/proxy/exchange.h"

/* Reads the body first; ends at `ask_upstream` or with an answer. False: no self review
 * whose body matters. */
MUST_CHECK bool exchange_review_begin(
    struct exchange *x, void (*ask_upstream)(struct exchange *x));
/* The body is there. */
void exchange_review_complete(struct exchange *x);

/* ---- the API server's answer to a rules review; x->rules is there ---- */

void exchange_rules_head(struct exchange *x, int status);
void exchange_rules_data(struct exchange *x, const char *data, size_t len);
void exchange_rules_ended(struct exchange *x);
/* Fine without one. */
void exchange_rules_free(struct exchange *x);

#endif
