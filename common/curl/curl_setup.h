/*
 * What every connection that a role makes with curl has in common: TLS that names its peer, the
 * authorities that were configured and no others, no redirect, no proxy, no file, no
 * signal.
 */
#ifndef COMMON_CURL_SETUP_H
#define COMMON_CURL_SETUP_H

#include <curl/curl.h>

#include "common/ip.h"
#include "common/str.h"

struct curl_identity {
	struct str ca, certificate, key; /* PEM, borrowed; the last two may be "" */
};

MUST_CHECK CURLcode curl_setup(CURL *curl, const struct curl_identity *identity);
/* "HOST:PORT:ADDRESS,..." of CURLOPT_RESOLVE, for roles that resolve no names; nothing for an
 * address, which needs none. */
void curl_resolve_line(struct buf *out, struct str host, uint16_t port,
    const struct ip_addr *addresses, size_t count);
/* Appends a line, which it takes; ends the process for want of memory. */
void curl_add_line(struct curl_slist **list, struct buf *line);

#endif
