#include "authn/audit/audit_copy_etcd.h"

#include <curl/curl.h>
#include <stdlib.h>
#include <string.h>

#include "authn/audit/audit_tool.h"
#include "authn/config/config.h"
#include "common/audit_note.h"
#include "common/secret.h"

#define TIMEOUT_MS     5000
#define MEMBERS_MAX    16u
#define DEFAULT_PREFIX "/ringfence/audit/"
#define PAGE           1000
#define NOTES_BYTES    (64u * 1024 * 1024)

struct etcd_sink {
	struct audit_sink sink;
	struct etcd *etcd;
	const struct audit_key *key;
	struct buf prefix;    /* of this log's notes */
	uint64_t keep, added; /* added: since old ones were last taken away */
};

static struct etcd_sink *
of(struct audit_sink *s)
{
	return CONTAINER_OF(s, struct etcd_sink, sink);
}

/* ---- where ---- */

static int
take_file(const struct audit_tool *t, const char *path, bool is_public,
    struct str *out_text, struct err *err)
{
	struct secret text = {0};
	int rc = 0;

	*out_text = STR("");
	if (path != NULL)
		rc = secret_read_file(&text, path, is_public, err);
	if (rc == 0 && path != NULL)
		*out_text = str_dup(t->arena, secret_str(&text));
	secret_free(&text);
	return rc;
}

static int
take_members(const struct audit_tool *t, struct str hosts, struct etcd_options *out,
    struct err *err)
{
	struct str *all = ARENA_ARRAY(t->arena, MEMBERS_MAX, struct str);

	while (hosts.len != 0 && out->endpoint_count < MEMBERS_MAX) {
		const struct str member = str_split(&hosts, ',');
		struct str host;
		uint16_t port;

		all[out->endpoint_count] =
		    str_from(arena_printf(t->arena, "https://%.*s", STR_ARG(member)));
		if (!gate_etcd_endpoint(all[out->endpoint_count++], &host, &port))
			return err_set(err, ERR_INVALID,
			    "write etcd://HOST:PORT,HOST:PORT/PREFIX/");
	}
	out->endpoints = all;
	return out->endpoint_count != 0 && hosts.len == 0
		   ? 0
		   : err_set(
			 err, ERR_INVALID, "etcd:// and 1 to %u members", MEMBERS_MAX);
}

int
audit_etcd_parse(const struct audit_tool *t, struct str target, struct audit_etcd *out,
    struct err *err)
{
	const struct str scheme = STR("etcd://");
	struct str hosts;
	size_t slash;
	int rc;

	if (!str_starts(target, scheme))
		return 0;
	target = str_slice(target, scheme.len, target.len);
	slash = str_find(target, '/', 0);
	hosts = str_slice(target, 0, slash);
	*out = (struct audit_etcd){.etcd = {.timeout_ms = TIMEOUT_MS},
	    .prefix = str_slice(target, slash, target.len),
	    .keep = t->keep};
	if (out->prefix.len <= 1)
		out->prefix = STR(DEFAULT_PREFIX);
	if (out->prefix.ptr[out->prefix.len - 1] != '/')
		return err_set(
		    err, ERR_INVALID, "etcd://: the prefix ends with a slash");
	if (t->ca == NULL || (t->etcd_certificate == NULL) != (t->etcd_key == NULL) ||
	    (t->etcd_user == NULL) != (t->etcd_password == NULL))
		return err_set(err, ERR_INVALID,
		    "etcd:// takes --ca; --etcd-certificate and --etcd-key, and "
		    "--etcd-user and --etcd-password, go together");
	rc = take_members(t, hosts, &out->etcd, err);
	if (rc == 0)
		rc = take_file(t, t->ca, true, &out->etcd.identity.ca, err);
	if (rc == 0)
		rc = take_file(
		    t, t->etcd_certificate, true, &out->etcd.identity.certificate, err);
	if (rc == 0)
		rc = take_file(t, t->etcd_key, false, &out->etcd.identity.key, err);
	if (rc == 0)
		rc = take_file(t, t->etcd_password, false, &out->etcd.password, err);
	if (t->etcd_user != NULL)
		out->etcd.user = str_from(t->etcd_user);
	if (rc == 0 && curl_global_init(CURL_GLOBAL_DEFAULT) != 0)
		rc = err_set(err, ERR_SYSTEM, "cannot use curl");
	return rc == 0 ? 1 : rc;
}

/* ---- notes ---- */

#define SIZE_DIGITS 20

static bool
read_size(struct str digits, uint64_t *out)
{
	if (digits.len != SIZE_DIGITS)
		return false;
	while (digits.len > 1 && digits.ptr[0] == '0')
		digits = str_slice(digits, 1, digits.len);
	return str_to_u64(digits, UINT64_MAX, out);
}

/* The newest; its size is in its name. *out_lines 0: there is none. */
static int
newest(struct etcd_sink *s, uint64_t *out_lines, struct err *err)
{
	json_t *request = etcd_prefix(buf_str(&s->prefix)), *answer = NULL, *kv;
	struct buf key = {NULL, 0, 0};
	int rc;

	*out_lines = 0;
	etcd_set(request, "limit", json_integer(1));
	etcd_set(request, "sort_order", json_string("DESCEND"));
	etcd_set(request, "sort_target", json_string("KEY"));
	etcd_set(request, "keys_only", json_true());
	rc = etcd_call(s->etcd, "/v3/kv/range", request, &answer, err);
	kv = json_array_get(json_object_get(answer, "kvs"), 0);
	if (kv != NULL &&
	    (!etcd_get_bytes(json_object_get(kv, "key"), &key) ||
		!read_size(
		    str_slice(buf_str(&key), s->prefix.len, key.len), out_lines)))
		rc = err_set(err, ERR_INVALID, "etcd: %.*s is no checkpoint",
		    (int)key.len, key.data != NULL ? key.data : "");
	json_decref(answer);
	buf_free(&key);
	return rc;
}

static int
etcd_open(struct audit_sink *sink, uint64_t *out_lines, struct err *err)
{
	return newest(of(sink), out_lines, err);
}

/* True if what lies there is the same note. */
static int
is_same(struct etcd_sink *s, struct str key, struct str note, bool *out_same,
    struct err *err)
{
	struct buf value = {NULL, 0, 0};
	json_t *answer = NULL;
	int rc = etcd_call(s->etcd, "/v3/kv/range", etcd_key(key), &answer, err);

	*out_same = rc == 0 &&
		    etcd_get_bytes(
			json_object_get(
			    json_array_get(json_object_get(answer, "kvs"), 0), "value"),
			&value) &&
		    str_eq(buf_str(&value), note);
	json_decref(answer);
	buf_free(&value);
	return rc;
}

/* Takes all but the newest away, now and then. */
static int
prune(struct etcd_sink *s, struct err *err)
{
	json_t *request, *answer = NULL, *last;
	struct buf key = {NULL, 0, 0};
	int rc;

	if (s->keep == 0 || (s->added++ != 0 && s->added <= s->keep / 10))
		return 0;
	s->added = 1;
	request = etcd_prefix(buf_str(&s->prefix));
	etcd_set(request, "limit", json_integer((json_int_t)s->keep));
	etcd_set(request, "sort_order", json_string("DESCEND"));
	etcd_set(request, "sort_target", json_string("KEY"));
	etcd_set(request, "keys_only", json_true());
	rc = etcd_call(s->etcd, "/v3/kv/range", request, &answer, err);
	last = json_array_get(json_object_get(answer, "kvs"), s->keep - 1);
	if (last != NULL && !etcd_get_bytes(json_object_get(last, "key"), &key))
		rc = err_set(err, ERR_INVALID, "etcd: a damaged answer");
	json_decref(answer);
	answer = NULL;
	if (rc == 0 && last != NULL) {
		request = etcd_key(buf_str(&s->prefix));
		etcd_set(request, "range_end", etcd_bytes(buf_str(&key)));
		rc = etcd_call(s->etcd, "/v3/kv/deleterange", request, &answer, err);
	}
	json_decref(answer);
	buf_free(&key);
	return rc;
}

static int
etcd_checkpoint(struct audit_sink *sink, struct str note, struct err *err)
{
	struct etcd_sink *s = of(sink);
	struct buf key = {NULL, 0, 0};
	struct audit_checkpoint checkpoint = {.size = 0};
	bool done = false, same = false;
	struct str text;
	int rc = audit_note_open(note, s->key, &text, err);

	if (rc == 0)
		rc = audit_checkpoint_parse(&checkpoint, text, err);
	buf_printf(&key, "%.*s%0*llu", STR_ARG(buf_str(&s->prefix)), SIZE_DIGITS,
	    (unsigned long long)checkpoint.size);
	if (rc == 0)
		rc = etcd_put_unchanged(s->etcd, etcd_key(buf_str(&key)), 0,
		    &(struct etcd_put){.key = buf_str(&key), .value = note}, &done,
		    NULL, err);
	if (rc == 0 && !done)
		rc = is_same(s, buf_str(&key), note, &same, err);
	if (rc == 0 && !done && !same)
		rc = err_set(err, ERR_INVALID,
		    "etcd has another checkpoint of %llu lines: see verify --against",
		    (unsigned long long)checkpoint.size);
	buf_free(&key);
	return rc == 0 && done ? prune(s, err) : rc;
}

static int
etcd_settle(struct audit_sink *sink, uint64_t lines, struct err *err)
{
	(void)sink; /* each was answered for */
	(void)lines;
	(void)err;
	return 0;
}

static void
etcd_close(struct audit_sink *sink)
{
	(void)sink; /* its client connects anew by itself */
}

static void
etcd_sink_free(struct audit_sink *sink)
{
	struct etcd_sink *s = of(sink);

	etcd_free(s->etcd);
	buf_free(&s->prefix);
	free(s);
}

struct audit_sink *
audit_sink_etcd(const struct audit_etcd *options, const struct audit_key *key)
{
	static const struct audit_sink_ops ops = {
	    .open = etcd_open,
	    .checkpoint = etcd_checkpoint,
	    .settle = etcd_settle,
	    .close = etcd_close,
	    .free = etcd_sink_free,
	};
	struct etcd_sink *s = xcalloc(1, sizeof(*s));

	s->sink.ops = &ops;
	s->etcd = etcd_new(&options->etcd);
	s->key = key;
	s->keep = options->keep;
	buf_printf(&s->prefix, "%.*s%s+%02x%02x%02x%02x/", STR_ARG(options->prefix),
	    key->name, key->id[0], key->id[1], key->id[2], key->id[3]);
	return &s->sink;
}

/* ---- all of them ---- */

/* A page, from `from` on, which becomes where the next one begins, or is emptied. */
static int
fetch_page(struct etcd *etcd, struct str prefix, struct buf *from, struct buf *out,
    struct err *err)
{
	json_t *request = etcd_prefix(prefix), *answer = NULL, *kvs, *kv;
	size_t i;
	int rc;

	if (from->len != 0)
		etcd_set(request, "key", etcd_bytes(buf_str(from)));
	etcd_set(request, "limit", json_integer(PAGE));
	rc = etcd_call(etcd, "/v3/kv/range", request, &answer, err);
	kvs = json_object_get(answer, "kvs");
	buf_clear(from);
	json_array_foreach(kvs, i, kv)
	{
		buf_clear(from);
		if (!etcd_get_bytes(json_object_get(kv, "key"), from) ||
		    !etcd_get_bytes(json_object_get(kv, "value"), out))
			rc = err_set(err, ERR_INVALID, "etcd: a damaged answer");
	}
	if (json_array_size(kvs) < PAGE)
		buf_clear(from);
	else
		buf_add_char(from, '\0'); /* the next key that there can be */
	json_decref(answer);
	return rc;
}

int
audit_etcd_fetch(const struct audit_etcd *options, struct buf *out, struct err *err)
{
	struct etcd *etcd = etcd_new(&options->etcd);
	struct buf from = {NULL, 0, 0};
	int rc;

	do {
		rc = fetch_page(etcd, options->prefix, &from, out, err);
		if (rc == 0 && out->len > NOTES_BYTES)
			rc = err_set(err, ERR_LIMIT,
			    "etcd: too many checkpoints: remove old ones");
	} while (rc == 0 && from.len != 0);
	buf_free(&from);
	etcd_free(etcd);
	return rc;
}
