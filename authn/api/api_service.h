/*
 * The API of service accounts: POST and DELETE of one, GET of those at and below a node, and the
 * tokens of one. Their paths are parts of the URLs.
 */
#ifndef AUTHN_API_SERVICE_H
#define AUTHN_API_SERVICE_H

#include "authn/proxy/exchange.h"

#define API_SERVICES       "/ringfence/v1/serviceaccounts"
#define API_SERVICE_TOKENS "/ringfence/v1/serviceaccounttokens"

void api_service_list(struct exchange *x);
void api_service_declare(struct exchange *x);
void api_service_remove(struct exchange *x);
void api_service_tokens(struct exchange *x);
void api_service_token(struct exchange *x);
void api_service_revoke(struct exchange *x);

/* The node that a request to this API is about, and the object as the audit log names it: a
 * service account by its path, or a token by its id. False: it is not to this API. */
MUST_CHECK bool api_service_object(struct str path, struct str method,
    struct str *out_node, struct str *out_resource, struct str *out_name);

#endif
