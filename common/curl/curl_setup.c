#include "common/curl/curl_setup.h"

static CURLcode
set_blob(CURL *curl, CURLoption option, struct str pem)
{
	struct curl_blob blob = {.data = (void *)(uintptr_t)pem.ptr,
	    .len = pem.len,
	    .flags = CURL_BLOB_NOCOPY};

	return pem.len != 0 ? curl_easy_setopt(curl, option, &blob) : CURLE_OK;
}

CURLcode
curl_setup(CURL *curl, const struct curl_identity *identity)
{
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
	    {CURLOPT_SSL_VERIFYPEER, 1},
	    {CURLOPT_SSL_VERIFYHOST, 2},
	    {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
	    {CURLOPT_FOLLOWLOCATION, 0},
	    {CURLOPT_NOSIGNAL, 1},
	    {CURLOPT_TCP_KEEPALIVE, 1},
	};
	const struct {
		CURLoption option;
		struct str pem;
	} blobs[] = {
	    {CURLOPT_CAINFO_BLOB, identity->ca},
	    {CURLOPT_SSLCERT_BLOB, identity->certificate},
	    {CURLOPT_SSLKEY_BLOB, identity->key},
	};
	CURLcode rc = curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "https");

	for (size_t i = 0; i < ARRAY_LEN(numbers) && rc == CURLE_OK; i++)
		rc = curl_easy_setopt(curl, numbers[i].option, numbers[i].value);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(curl, CURLOPT_PROXY, "");
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
	for (size_t i = 0; i < ARRAY_LEN(blobs) && rc == CURLE_OK; i++)
		rc = set_blob(curl, blobs[i].option, blobs[i].pem);
	return rc;
}

void
curl_add_line(struct curl_slist **list, struct buf *line)
{
	struct curl_slist *more;

	buf_add_char(line, '\0');
	more = curl_slist_append(*list, line->data);
	if (more == NULL)
		base_die("out of memory");
	*list = more;
	buf_free(line);
}

void
curl_resolve_line(struct buf *out, struct str host, uint16_t port,
    const struct ip_addr *addresses, size_t count)
{
	char text[IP_TEXT_BYTES];
	struct ip_addr literal;

	if (ip_parse(host, &literal))
		return;
	buf_printf(out, "%.*s:%u:", STR_ARG(host), port);
	for (size_t i = 0; i < count; i++) {
		const bool v6 = addresses[i].family == IP_V6;

		buf_printf(out, "%s%s%s%s", i == 0 ? "" : ",", v6 ? "[" : "",
		    ip_format(&addresses[i], text), v6 ? "]" : "");
	}
}
