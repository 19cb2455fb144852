/*
 * Connections by curl (common/curl/curl_setup.h) of whoever has a certificate and, as the roles of the
 * gate, no key to it: the key role signs.
 */
#ifndef AUTHN_TLS_CURL_H
#define AUTHN_TLS_CURL_H

#include "common/curl/curl_setup.h"

/* As curl_setup; with a certificate and without a key, that is elsewhere (key_thread.h). Borrows
 * `identity` for as long as the handle is used. */
MUST_CHECK CURLcode tls_curl_setup(CURL *curl, const struct curl_identity *identity);

#endif
