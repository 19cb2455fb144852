/*
 * Requests of the budget role to the API servers, each in the name of a user. One thread at a
 * time for each client.
 */
#ifndef AUTHN_BUDGET_CLIENT_H
#define AUTHN_BUDGET_CLIENT_H

#include <curl/curl.h>

#include "authn/proxy/worker_settings.h"
#include "common/curl/curl_setup.h"

struct budget_client {
	const struct worker_settings *settings;
	struct str user;
	size_t server; /* asked now, modulo their number */
	struct curl_identity identity;
	CURL *curl;
	struct curl_slist *headers, *resolve;
	char detail[CURL_ERROR_SIZE]; /* of the last failure */
};

/* Everything that is the same for all requests to one server; anew after a failure. `type` is that
 * of bodies, NULL without. What comes is written by `write` to `arg`. */
MUST_CHECK bool budget_client_connect(
    struct budget_client *c, const char *type, curl_write_callback write, void *arg);
/* Asks for "path?query", by whatever method the handle is set to. The HTTP status, or 0 without an
 * answer, which `detail` explains; `partial`: one that was cut off counts. */
MUST_CHECK long budget_client_ask(struct budget_client *c, const char *path,
    const char *query, long timeout_s, bool partial);

#endif
