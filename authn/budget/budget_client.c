#include "authn/budget/budget_client.h"

#include <string.h>

#include "authn/tls/tls_curl.h"

#define CONNECT_S 5L
#define SILENT_S  90L /* a watch has a bookmark a minute */

static const struct worker_upstream *
server_of(const struct budget_client *c)
{
	return &c->settings->upstreams[c->server % c->settings->upstream_count];
}

/* Names are resolved by the monitor alone. */
static void
add_resolve(struct budget_client *c)
{
	const struct worker_upstream *u = server_of(c);
	struct buf line = {NULL, 0, 0};

	curl_resolve_line(&line, u->host, u->port, u->addresses, u->address_count);
	if (line.len != 0)
		curl_add_line(&c->resolve, &line);
}

static void
add_headers(struct budget_client *c, const char *type)
{
	struct buf accept = {NULL, 0, 0}, who = {NULL, 0, 0}, content = {NULL, 0, 0};

	buf_add_cstr(&accept, "Accept: application/json");
	curl_add_line(&c->headers, &accept);
	buf_printf(&who, "%s: %.*s",
	    c->settings->identity == IDENTITY_IMPERSONATE ? "Impersonate-User"
							  : "X-Remote-User",
	    STR_ARG(c->user));
	curl_add_line(&c->headers, &who);
	if (type == NULL)
		return;
	buf_printf(&content, "Content-Type: %s", type);
	curl_add_line(&c->headers, &content);
}

bool
budget_client_connect(
    struct budget_client *c, const char *type, curl_write_callback write, void *arg)
{
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
	    {CURLOPT_CONNECTTIMEOUT, CONNECT_S},
	    {CURLOPT_LOW_SPEED_LIMIT, 1},
	    {CURLOPT_LOW_SPEED_TIME, SILENT_S},
	};
	CURLcode rc;

	curl_easy_cleanup(c->curl);
	curl_slist_free_all(c->resolve);
	curl_slist_free_all(c->headers);
	c->resolve = c->headers = NULL;
	c->curl = curl_easy_init();
	if (c->curl == NULL)
		return false;
	add_resolve(c);
	add_headers(c, type);
	c->identity = (struct curl_identity){.ca = c->settings->upstream_ca,
	    .certificate = c->settings->upstream_certificate};
	rc = tls_curl_setup(c->curl, &c->identity);
	for (size_t i = 0; i < ARRAY_LEN(numbers) && rc == CURLE_OK; i++)
		rc = curl_easy_setopt(c->curl, numbers[i].option, numbers[i].value);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(c->curl, CURLOPT_RESOLVE, c->resolve);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(c->curl, CURLOPT_HTTPHEADER, c->headers);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(c->curl, CURLOPT_WRITEFUNCTION, write);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(c->curl, CURLOPT_WRITEDATA, arg);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(c->curl, CURLOPT_ERRORBUFFER, c->detail);
	return rc == CURLE_OK;
}

static void
put_url(
    const struct budget_client *c, const char *path, const char *query, struct buf *out)
{
	const struct worker_upstream *u = server_of(c);
	const bool v6 = memchr(u->host.ptr, ':', u->host.len) != NULL;

	buf_printf(out, "https://%s%.*s%s:%u%s%s", v6 ? "[" : "", STR_ARG(u->host),
	    v6 ? "]" : "", u->port, path, query);
	buf_add_char(out, '\0');
}

long
budget_client_ask(struct budget_client *c, const char *path, const char *query,
    long timeout_s, bool partial)
{
	struct buf url = {NULL, 0, 0};
	long status = 0;
	CURLcode rc;

	put_url(c, path, query, &url);
	c->detail[0] = '\0';
	rc = curl_easy_setopt(c->curl, CURLOPT_URL, url.data);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(c->curl, CURLOPT_TIMEOUT, timeout_s);
	if (rc == CURLE_OK)
		rc = curl_easy_perform(c->curl);
	if (rc == CURLE_OK || partial)
		(void)curl_easy_getinfo(c->curl, CURLINFO_RESPONSE_CODE, &status);
	else if (c->detail[0] == '\0')
		(void)snprintf(
		    c->detail, sizeof(c->detail), "%s", curl_easy_strerror(rc));
	buf_free(&url);
	return status;
}
