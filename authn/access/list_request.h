/*
 * What a list or watch asks of the API server when its answer is to be filtered: JSON in
 * some form, objects with every row of a table, and continue tokens in the clear. Pure.
 */
#ifndef AUTHN_LIST_REQUEST_H
#define AUTHN_LIST_REQUEST_H

#include "authn/access/list_token.h"
#include "authn/request/headers.h"

/* The parts of Accept that ask for JSON, as one value; ptr NULL if there is none (406). */
MUST_CHECK struct str list_request_accept(
    struct arena *arena, const struct header_list *request);

/* The request's headers, with that Accept and without Accept-Encoding and conditions. */
void list_request_headers(
    struct arena *arena, struct header_list *headers, struct str accept);

/* The target with its continue token opened. `keys` and `bound_to` as list_token_open has
 * them. */
MUST_CHECK enum list_token_result list_request_target(struct arena *arena,
    struct str target, const struct list_keys *keys, struct str bound_to,
    struct str *out_target);

/* True for a Content-Type that is JSON. */
MUST_CHECK bool list_answer_is_json(const struct header_list *response);

#endif
