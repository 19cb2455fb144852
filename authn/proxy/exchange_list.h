/*
 * Lists and watches across namespaces: one question to the API server, whose answer is
 * filtered by what Access says of each namespace in turn. Who is allowed everywhere gets
 * the answer as it is; who is allowed nowhere is refused.
 */
#ifndef AUTHN_EXCHANGE_LIST_H
#define AUTHN_EXCHANGE_LIST_H

#include "authn/proxy/exchange.h"

/* Prepares x->list and what the API server is asked; false: answered (406, 400, 410). */
MUST_CHECK bool exchange_list_prepare(struct exchange *x);
/* Sets x->asks_as to what the configuration has for filtered lists, if anything. */
void exchange_list_ask_as(struct exchange *x);
/* Frees x->list; fine without one. */
void exchange_list_free(struct exchange *x);

/* ---- the upstream's answer; x->list is there ---- */

/* The headers for the client, in *out_headers; false: answered otherwise. */
MUST_CHECK bool exchange_list_head(struct exchange *x, int status,
    const struct header_list *headers, struct header_list *out_headers);
/* True once it is known that the answer is a list of what can be filtered. */
MUST_CHECK bool exchange_list_decided(const struct exchange *x);
void exchange_list_data(struct exchange *x, const char *data, size_t len);
/* False: it ended too early, and was cut. */
MUST_CHECK bool exchange_list_ended(struct exchange *x);
/* The client took something: gives back the upstream's window for what is gone. */
void exchange_list_settle(struct exchange *x);

/* Policy was replaced, and the request is still permitted: a watch ends with 410 if other
 * namespaces are seen now, so that its client lists again. */
void exchange_list_policy_changed(struct exchange *x);

#endif
