#include "authn/wire/etcd.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>

#include "authn/tls/tls_curl.h"
#include "common/secret.h"

#define ANSWER_BYTES (64u * 1024 * 1024)
#define SILENT_S     20L /* of a watch; etcd then has it anew */

struct etcd {
	const struct etcd_options *options;
	size_t current; /* endpoint */
	CURL *curl;
	struct curl_slist *resolve;
	struct buf body;
	struct buf token; /* "Authorization: ..." with its NUL; empty: none yet */
	bool (*rung)(void *arg);
	void *arg;
	char detail[CURL_ERROR_SIZE];
};

/* ---- bytes ---- */

json_t *
etcd_bytes(struct str bytes)
{
	unsigned char *text = xmalloc(bytes.len / 3 * 4 + 8);
	json_t *value;
	int len = 0;

	if (bytes.len != 0)
		len = EVP_EncodeBlock(
		    text, (const unsigned char *)bytes.ptr, (int)bytes.len);
	value = json_stringn((const char *)text, (size_t)len);
	free(text);
	if (value == NULL)
		base_die("out of memory");
	return value;
}

void
etcd_set(json_t *object, const char *key, json_t *value)
{
	if (json_object_set_new(object, key, value) != 0)
		base_die("out of memory");
}

json_t *
etcd_key(struct str key)
{
	json_t *request = json_object();

	etcd_set(request, "key", etcd_bytes(key));
	return request;
}

json_t *
etcd_prefix(struct str prefix)
{
	struct buf end = {NULL, 0, 0};
	json_t *request = json_object();

	buf_add_str(&end, prefix);
	end.data[end.len - 1]++; /* prefixes end with '/' */
	if (json_object_set_new(request, "key", etcd_bytes(prefix)) != 0 ||
	    json_object_set_new(request, "range_end", etcd_bytes(buf_str(&end))) != 0)
		base_die("out of memory");
	buf_free(&end);
	return request;
}

bool
etcd_get_bytes(const json_t *value, struct buf *out)
{
	const size_t len = json_string_length(value);
	const char *text = json_string_value(value);
	unsigned char *bytes;
	int n;

	if (value == NULL || len == 0)
		return value == NULL || json_is_string(value);
	if (len % 4 != 0)
		return false;
	bytes = xmalloc(len);
	n = EVP_DecodeBlock(bytes, (const unsigned char *)text, (int)len);
	if (n >= 0) {
		n -= (text[len - 1] == '=') + (text[len - 2] == '=');
		buf_add(out, bytes, (size_t)n);
	}
	free(bytes);
	return n >= 0;
}

int64_t
etcd_get_int(const json_t *value)
{
	uint64_t n = 0;

	if (json_is_integer(value))
		return json_integer_value(value);
	if (!json_is_string(value) ||
	    !str_to_u64(str_from(json_string_value(value)), INT64_MAX, &n))
		return 0;
	return (int64_t)n;
}

/* ---- requests ---- */

static size_t
on_body(char *data, size_t size, size_t count, void *arg)
{
	struct etcd *e = arg;
	const size_t len = size * count;

	if (e->rung !=
	    NULL) /* a watch: each message is a line, and all mean the same */
		return memchr(data, '\n', len) == NULL || e->rung(e->arg) ? len : 0;
	if (e->body.len + len > ANSWER_BYTES)
		return 0;
	buf_add(&e->body, data, len);
	return len;
}

static CURLcode
prepare(struct etcd *e)
{
	CURLcode rc;

	if (e->curl != NULL)
		return CURLE_OK;
	e->curl = curl_easy_init();
	if (e->curl == NULL)
		return CURLE_OUT_OF_MEMORY;
	rc = tls_curl_setup(e->curl, &e->options->identity);
	if (rc == CURLE_OK && e->resolve != NULL)
		rc = curl_easy_setopt(e->curl, CURLOPT_RESOLVE, e->resolve);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(
		    e->curl, CURLOPT_CONNECTTIMEOUT_MS, (long)e->options->timeout_ms);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(e->curl, CURLOPT_ERRORBUFFER, e->detail);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(e->curl, CURLOPT_WRITEFUNCTION, on_body);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(e->curl, CURLOPT_WRITEDATA, e);
	return rc;
}

static void
add_header(struct curl_slist **list, const char *text)
{
	struct buf line = {NULL, 0, 0};

	buf_add_cstr(&line, text);
	curl_add_line(list, &line);
}

/* One request to the current member; its HTTP status, or 0 without an answer. */
static long
post(struct etcd *e, const char *path, const char *body, long timeout_ms)
{
	const struct str endpoint = e->options->endpoints[e->current];
	struct curl_slist *headers = NULL;
	struct buf url = {NULL, 0, 0};
	CURLcode rc = prepare(e);
	long status = 0;

	buf_printf(&url, "%.*s%s", STR_ARG(endpoint), path);
	buf_add_char(&url, '\0');
	buf_clear(&e->body);
	e->detail[0] = '\0';
	add_header(&headers, "Content-Type: application/json");
	add_header(&headers, "Expect:");
	/* A member that is cut off from the others must say so rather than be silent. */
	add_header(&headers, "Grpc-Metadata-hasleader: true");
	if (e->token.len != 0)
		add_header(&headers, e->token.data);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(e->curl, CURLOPT_URL, url.data);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(e->curl, CURLOPT_HTTPHEADER, headers);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(e->curl, CURLOPT_POSTFIELDS, body);
	if (rc == CURLE_OK)
		rc = curl_easy_setopt(e->curl, CURLOPT_TIMEOUT_MS, timeout_ms);
	if (rc == CURLE_OK)
		rc = curl_easy_perform(e->curl);
	if (rc == CURLE_OK)
		(void)curl_easy_getinfo(e->curl, CURLINFO_RESPONSE_CODE, &status);
	else if (e->detail[0] == '\0')
		(void)snprintf(
		    e->detail, sizeof(e->detail), "%s", curl_easy_strerror(rc));
	curl_slist_free_all(headers);
	buf_free(&url);
	return status;
}

/* Signs in at the current member; the password is in this process anyway. */
static bool
authenticate(struct etcd *e)
{
	const struct etcd_options *o = e->options;
	json_t *request = json_pack("{s:s%,s:s%}", "name", o->user.ptr, o->user.len,
	    "password", o->password.ptr, o->password.len);
	char *body = request != NULL ? json_dumps(request, JSON_COMPACT) : NULL;
	json_t *answer = NULL;
	const char *token;

	if (body == NULL)
		base_die("out of memory");
	buf_clear(&e->token);
	if (post(e, "/v3/auth/authenticate", body, (long)o->timeout_ms) == 200)
		answer = json_loadb(e->body.data, e->body.len, 0, NULL);
	token = json_string_value(json_object_get(answer, "token"));
	if (token != NULL) {
		buf_printf(&e->token, "Authorization: %s", token);
		buf_add_char(&e->token, '\0');
	}
	secret_wipe(body, strlen(body));
	free(body);
	json_decref(request);
	json_decref(answer);
	return token != NULL;
}

/* What is asked of one member, with a sign-in if it is due. */
static long
ask(struct etcd *e, const char *path, const char *body, long timeout_ms)
{
	const bool signs_in = e->options->user.len != 0;
	long status;

	if (signs_in && e->token.len == 0 && !authenticate(e))
		return 0;
	status = post(e, path, body, timeout_ms);
	if (status != 401 || !signs_in)
		return status;
	return authenticate(e) ? post(e, path, body, timeout_ms) : 0;
}

struct etcd *
etcd_new(const struct etcd_options *options)
{
	struct etcd *e = xcalloc(1, sizeof(*e));

	e->options = options;
	for (size_t i = 0; i < options->endpoint_count && options->resolve; i++) {
		struct buf line = {NULL, 0, 0};

		buf_add_str(&line, options->resolve[i]);
		if (line.len != 0)
			curl_add_line(&e->resolve, &line);
	}
	return e;
}

void
etcd_free(struct etcd *e)
{
	if (e == NULL)
		return;
	curl_easy_cleanup(e->curl);
	curl_slist_free_all(e->resolve);
	if (e->token.data != NULL)
		secret_wipe(e->token.data, e->token.len);
	buf_free(&e->token);
	buf_free(&e->body);
	free(e);
}

static void
next_member(struct etcd *e)
{
	e->current = (e->current + 1) % e->options->endpoint_count;
	curl_easy_cleanup(e->curl);
	e->curl = NULL;
	buf_clear(&e->token);
}

int
etcd_call(struct etcd *e, const char *path, json_t *request, json_t **out_answer,
    struct err *err)
{
	char *body = json_dumps(request, JSON_COMPACT);
	long status = 0;
	int rc = 0;

	*out_answer = NULL;
	json_decref(request);
	if (body == NULL)
		base_die("out of memory");
	for (size_t i = 0; i < e->options->endpoint_count; i++) {
		status = ask(e, path, body, (long)e->options->timeout_ms);
		if (status != 0 && status < 500)
			break;
		next_member(e);
	}
	if (status == 200)
		*out_answer = json_loadb(e->body.data, e->body.len, 0, NULL);
	if (status == 0 || status >= 500)
		rc = err_set(err, ERR_UNAVAILABLE, "etcd: %s",
		    e->detail[0] != '\0' ? e->detail : "no member answers");
	else if (*out_answer == NULL)
		rc = err_set(err, ERR_INVALID, "etcd: %s: status %ld: %.*s", path,
		    status, (int)(e->body.len < 200 ? e->body.len : 200),
		    e->body.data != NULL ? e->body.data : "");
	secret_wipe(body, strlen(body));
	free(body);
	return rc;
}

int
etcd_put_unchanged(struct etcd *e, json_t *range, int64_t revision,
    const struct etcd_put *put, bool *out_done, int64_t *out_revision, struct err *err)
{
	json_t *request = json_object(), *answer = NULL;
	json_t *value = etcd_key(put->key), *operation = json_object();
	int rc;

	etcd_set(value, "value", etcd_bytes(put->value));
	if (put->lease != 0)
		etcd_set(value, "lease", json_integer(put->lease));
	etcd_set(operation, "request_put", value);
	etcd_set(range, "target", json_string("MOD"));
	etcd_set(range, "result", json_string("LESS"));
	etcd_set(range, "mod_revision", json_integer(revision + 1));
	etcd_set(request, "compare", json_pack("[o]", range));
	etcd_set(request, "success", json_pack("[o]", operation));
	rc = etcd_call(e, "/v3/kv/txn", request, &answer, err);
	*out_done = rc == 0 && json_is_true(json_object_get(answer, "succeeded"));
	if (out_revision != NULL)
		*out_revision = etcd_get_int(
		    json_object_get(json_object_get(answer, "header"), "revision"));
	json_decref(answer);
	return rc;
}

void
etcd_watch(struct etcd *e, struct str prefix, int64_t revision, bool (*rung)(void *arg),
    void *arg)
{
	json_t *create = etcd_prefix(prefix);
	json_t *request = json_object();
	char *body;

	if (json_object_set_new(create, "start_revision", json_integer(revision)) !=
		0 ||
	    json_object_set_new(create, "progress_notify", json_true()) != 0 ||
	    json_object_set_new(request, "create_request", create) != 0 ||
	    (body = json_dumps(request, JSON_COMPACT)) == NULL)
		base_die("out of memory");
	json_decref(request);
	if (e->options->user.len == 0 || e->token.len != 0 || authenticate(e)) {
		e->rung = rung;
		e->arg = arg;
		(void)post(e, "/v3/watch", body, SILENT_S * 1000);
		e->rung = NULL;
	}
	free(body);
	next_member(e); /* whatever it was: a watch begins elsewhere */
}
