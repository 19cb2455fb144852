#include <stdlib.h>
#include <string.h>

#include <curl/curl.h>

#include "authn/login/login.h"

#define CONNECT_S    10L
#define TOTAL_S      40L /* longer than the gate waits for its directory */
#define ANSWER_BYTES (1024u * 1024)

struct transfer {
	CURL *curl;
	struct curl_slist *headers;
	struct buf body;
};

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct buf *body = arg;

	if (body->len + size * count > ANSWER_BYTES)
		return 0; /* ends the transfer */
	buf_add(body, data, size * count);
	return size * count;
}

static void
add_header(struct transfer *t, const char *name, const char *value)
{
	struct buf line = {NULL, 0, 0};
	struct curl_slist *more;

	buf_printf(&line, "%s: %s", name, value);
	buf_add_char(&line, '\0');
	more = curl_slist_append(t->headers, line.data);
	if (more == NULL)
		base_die("out of memory");
	t->headers = more;
	secret_wipe(line.data, line.len);
	buf_free(&line);
}

static CURLcode
set_password(struct transfer *t, const struct login_request *request)
{
	const struct str password = secret_str(request->password);
	char *text = xmalloc(password.len + 1);
	CURLcode rc;

	memcpy(text, password.ptr, password.len);
	text[password.len] = '\0';
	rc = curl_easy_setopt(t->curl, CURLOPT_PASSWORD, text); /* copied */
	secret_wipe(text, password.len);
	free(text);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->curl, CURLOPT_USERNAME, request->user);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	return rc;
}

static CURLcode
set_request(struct transfer *t, const struct login_options *o,
    const struct login_request *request)
{
	struct buf url = {NULL, 0, 0}, bearer = {NULL, 0, 0};
	CURLcode rc;

	buf_printf(&url, "%s%s", o->server, request->path);
	buf_add_char(&url, '\0');
	rc = curl_easy_setopt(t->curl, CURLOPT_URL, url.data);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->curl, CURLOPT_CUSTOMREQUEST, request->method);
	if (request->token != NULL) {
		buf_printf(&bearer, "Bearer %s", request->token);
		buf_add_char(&bearer, '\0');
		add_header(t, "Authorization", bearer.data);
		secret_wipe(bearer.data, bearer.len);
	}
	if (rc == CURLE_OK && request->user != NULL)
		rc = set_password(t, request);
	if (rc == CURLE_OK && strcmp(request->method, "POST") == 0) {
		add_header(t, "Content-Type", "application/json");
		rc = curl_easy_setopt(t->curl, CURLOPT_POSTFIELDS,
		    request->body != NULL ? request->body : "");
	}
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->curl, CURLOPT_HTTPHEADER, t->headers);
	buf_free(&url);
	buf_free(&bearer);
	return rc;
}

/* No redirects, no proxies' passwords, no ~/.netrc: a password goes to this server, or
 * nowhere. */
static CURLcode
set_connection(struct transfer *t, const struct login_options *o)
{
	struct curl_blob pem = {.flags = CURL_BLOB_COPY};
	CURLcode rc = curl_easy_setopt(t->curl, CURLOPT_PROTOCOLS_STR, "https");
	const struct {
		CURLoption option;
		long value;
	} numbers[] = {
	    {CURLOPT_SSL_VERIFYPEER, 1},
	    {CURLOPT_SSL_VERIFYHOST, 2},
	    {CURLOPT_SSLVERSION, CURL_SSLVERSION_TLSv1_2},
	    {CURLOPT_FOLLOWLOCATION, 0},
	    {CURLOPT_NETRC, CURL_NETRC_IGNORED},
	    {CURLOPT_CONNECTTIMEOUT, CONNECT_S},
	    {CURLOPT_TIMEOUT, TOTAL_S},
	    {CURLOPT_NOSIGNAL, 1},
	};

	for (size_t i = 0; i < ARRAY_LEN(numbers) && rc == CURLE_OK; i++)
		rc = curl_easy_setopt(t->curl, numbers[i].option, numbers[i].value);
	if (rc == CURLE_OK && o->ca != NULL)
		rc = curl_easy_setopt(t->curl, CURLOPT_CAINFO, o->ca);
	if (rc == CURLE_OK && o->ca == NULL && o->ca_data != NULL) {
		pem.data = (void *)(uintptr_t)o->ca_data; /* copied */
		pem.len = strlen(o->ca_data);
		rc = curl_easy_setopt(t->curl, CURLOPT_CAINFO_BLOB, &pem);
	}
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->curl, CURLOPT_WRITEFUNCTION, on_body);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(t->curl, CURLOPT_WRITEDATA, &t->body);
	return rc;
}

static void
read_answer(struct transfer *t, struct login_answer *out)
{
	curl_off_t retry = 0;

	if (curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &out->status) !=
		CURLE_OK ||
	    curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &retry) != CURLE_OK)
		out->status = 0; /* no success */
	out->retry_after_s = (long)retry;
	if (t->body.len != 0)
		out->body =
		    json_loadb(t->body.data, t->body.len, JSON_REJECT_DUPLICATES, NULL);
}

int
login_http(const struct login_options *o, const struct login_request *request,
    struct login_answer *out_answer, struct err *err)
{
	struct transfer t = {.curl = curl_easy_init()};
	char detail[CURL_ERROR_SIZE] = "";
	CURLcode code;
	int rc = 0;

	*out_answer = (struct login_answer){0};
	if (t.curl == NULL)
		return err_set(err, ERR_SYSTEM, "cannot start a request");
	code = curl_easy_setopt(t.curl, CURLOPT_ERRORBUFFER, detail);
	if (code == CURLE_OK)
		code = set_connection(&t, o);
	if (code == CURLE_OK)
		code = set_request(&t, o, request);
	if (code == CURLE_OK)
		code = curl_easy_perform(t.curl);
	if (code != CURLE_OK)
		rc = err_set(err, ERR_UNAVAILABLE, "%s: %s", o->server,
		    detail[0] != '\0' ? detail : curl_easy_strerror(code));
	else
		read_answer(&t, out_answer);
	curl_easy_cleanup(t.curl);
	curl_slist_free_all(t.headers);
	if (t.body.data != NULL)
		secret_wipe(t.body.data, t.body.len); /* a token may be in it */
	buf_free(&t.body);
	return rc;
}

void
login_answer_free(struct login_answer *answer)
{
	json_decref(answer->body);
	answer->body = NULL;
}

int
login_answer_err(const struct login_answer *answer, struct err *err)
{
	const char *message =
	    json_string_value(json_object_get(answer->body, "message"));

	if (message == NULL)
		message = "the answer is not one of a ringfence gate";
	if (answer->retry_after_s > 0)
		return err_set(err, ERR_UNAVAILABLE, "%s (%ld; try again in %ld s)",
		    message, answer->status, answer->retry_after_s);
	return err_set(err, ERR_DENIED, "%s (%ld)", message, answer->status);
}
