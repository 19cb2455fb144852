#include "authn/tls/tls_curl.h"

#include "authn/tls/tls.h"
#include "common/log.h"

/* CURLOPT_SSL_CTX_FUNCTION. */
static CURLcode
show_certificate(CURL *curl, void *context, void *arg)
{
	const struct curl_identity *identity = arg;
	struct err err = ERR_INIT;

	(void)curl;
	if (tls_use_remote(context, identity->certificate, &err) == 0)
		return CURLE_OK;
	log_error("client-certificate", "detail=%s", log_quote(str_from(err.msg)));
	return CURLE_SSL_CERTPROBLEM;
}

CURLcode
tls_curl_setup(CURL *curl, const struct curl_identity *identity)
{
	const struct curl_identity nobody = {.ca = identity->ca};
	const bool remote = identity->certificate.len != 0 && identity->key.len == 0;
	CURLcode rc = curl_setup(curl, remote ? &nobody : identity);

	if (rc == CURLE_OK && remote)
		rc = curl_easy_setopt(curl, CURLOPT_SSL_CTX_FUNCTION, show_certificate);
	if (rc == CURLE_OK && remote)
		rc = curl_easy_setopt(
		    curl, CURLOPT_SSL_CTX_DATA, (void *)(uintptr_t)identity);
	return rc;
}
