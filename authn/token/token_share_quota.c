/*
 * Who shares, and how much each may have.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/token/token_share_internal.h"
#include "common/proc.h"

#define MORE_MS     3000 /* a lease is longer than a replica goes on by */
#define DAYS_MAX    16384u
#define DAY_NS      (86400 * NS_PER_S)
#define MEMBERS_MAX 1000u

void
share_key(
    const struct token_share *s, const char *part, const char *name, struct buf *out)
{
	buf_printf(out, "%.*s%s/%s", STR_ARG(s->settings->prefix), part, name);
}

/* ---- members ---- */

static json_t *
object_of(const char *key, json_t *value)
{
	json_t *object = json_object();

	if (json_object_set_new(object, key, value) != 0)
		base_die("out of memory");
	return object;
}

static int
renew_lease(struct token_share *s, struct err *err)
{
	const json_int_t ttl_s = (s->settings->keep_ms + MORE_MS + 999) / 1000;
	json_t *answer = NULL, *request;
	int rc;

	if (s->lease != 0) {
		rc = etcd_call(s->beater, "/v3/lease/keepalive",
		    object_of("ID", json_integer(s->lease)), &answer, err);
		if (rc == 0 && etcd_get_int(json_object_get(
				   json_object_get(answer, "result"), "TTL")) > 0) {
			json_decref(answer);
			return 0;
		}
		json_decref(answer);
		s->lease = 0; /* it is over */
		s->joined = false;
		if (rc != 0)
			return rc;
	}
	request = object_of("TTL", json_integer(ttl_s));
	rc = etcd_call(s->beater, "/v3/lease/grant", request, &answer, err);
	if (rc == 0)
		s->lease = etcd_get_int(json_object_get(answer, "ID"));
	json_decref(answer);
	return rc;
}

/* Puts "so many do I reckon with", as long as the lease lives. */
static int
say(struct token_share *s, unsigned replicas, struct err *err)
{
	struct buf key = {NULL, 0, 0};
	json_t *request, *answer = NULL;
	char text[16];
	int rc;

	share_key(s, "replicas", s->id, &key);
	(void)snprintf(text, sizeof(text), "%u", replicas); /* fits */
	request = etcd_key(buf_str(&key));
	etcd_set(request, "value", etcd_bytes(str_from(text)));
	etcd_set(request, "lease", json_integer(s->lease));
	rc = etcd_call(s->beater, "/v3/kv/put", request, &answer, err);
	json_decref(answer);
	buf_free(&key);
	return rc;
}

static int
range(struct token_share *s, const char *part, json_t **out_answer, struct err *err)
{
	struct buf prefix = {NULL, 0, 0};
	int rc;

	share_key(s, part, "", &prefix);
	rc = etcd_call(
	    s->beater, "/v3/kv/range", etcd_prefix(buf_str(&prefix)), out_answer, err);
	buf_free(&prefix);
	return rc;
}

/* How many there are, and whether all others reckon with that many. */
static unsigned
count_members(struct token_share *s, const json_t *answer, bool *out_agreed)
{
	struct buf own = {NULL, 0, 0}, key = {NULL, 0, 0}, value = {NULL, 0, 0};
	const json_t *kvs = json_object_get(answer, "kvs"), *kv;
	const unsigned count = (unsigned)json_array_size(kvs);
	uint64_t said;
	size_t i;

	share_key(s, "replicas", s->id, &own);
	*out_agreed = true;
	json_array_foreach(kvs, i, kv)
	{
		buf_clear(&key);
		buf_clear(&value);
		if (!etcd_get_bytes(json_object_get(kv, "key"), &key) ||
		    !etcd_get_bytes(json_object_get(kv, "value"), &value) ||
		    !str_to_u64(buf_str(&value), MEMBERS_MAX, &said))
			said = 0;
		if (said < count && !str_eq(buf_str(&key), buf_str(&own)))
			*out_agreed = false;
	}
	buf_free(&own);
	buf_free(&key);
	buf_free(&value);
	return count > MEMBERS_MAX ? MEMBERS_MAX : count;
}

int
share_members(struct token_share *s, struct err *err)
{
	json_t *answer = NULL;
	unsigned count = 0, before;
	bool agreed = false;
	int rc = renew_lease(s, err);

	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	before = s->replicas;
	(void)pthread_mutex_unlock(&s->lock);
	if (rc == 0 && !s->joined)
		rc = say(s, before, err);
	if (rc == 0)
		rc = range(s, "replicas", &answer, err);
	if (rc != 0)
		return rc;
	count = count_members(s, answer, &agreed);
	json_decref(answer);
	if (count == 0)
		return err_set(err, ERR_UNAVAILABLE, "our own lease is not there");
	/* Less for each is in force before it is said. */
	quota_share(s->quota, count, (uint64_t)s->settings->keep_ms * 1000000u);
	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	s->replicas = count;
	(void)pthread_mutex_unlock(&s->lock);
	if (count != before)
		rc = say(s, count, err);
	if (rc == 0 && agreed)
		s->joined = true;
	return rc;
}

/* ---- days ---- */

static int
by_name(const void *a, const void *b)
{
	const struct quota_day *x = a, *y = b;

	return x->name < y->name ? -1 : x->name > y->name;
}

/* Among ours, which are sorted by name. */
static const struct quota_day *
find(const struct quota_day *own, size_t count, uint64_t name)
{
	const struct quota_day wanted = {.name = name};

	return count == 0 ? NULL
			  : bsearch(&wanted, own, count, sizeof(wanted), by_name);
}

/* What another replica was granted, on top of what others were: a sum for each of ours. */
static void
add_grants(uint64_t *others, uint64_t day, const struct quota_day *own, size_t count,
    struct str bytes)
{
	const struct proc_msg msg = {
	    .data = (const uint8_t *)bytes.ptr, .len = bytes.len};
	struct proc_reader r;

	proc_reader_init(&r, &msg);
	if (proc_get_u64(&r) != day)
		return;
	while (r.ok && r.pos < r.len) {
		const uint64_t name = proc_get_u64(&r), granted = proc_get_u64(&r);
		const struct quota_day *d = r.ok ? find(own, count, name) : NULL;

		if (d != NULL) /* others' buckets that we do not use are no matter */
			others[d - own] += granted;
	}
}

/* What we were granted before we died, or before this process began, counts as used. */
static void
remember(struct token_share *s, struct str bytes, walltime_t today)
{
	const struct proc_msg msg = {
	    .data = (const uint8_t *)bytes.ptr, .len = bytes.len};
	struct proc_reader r;

	proc_reader_init(&r, &msg);
	if (proc_get_u64(&r) != (uint64_t)(today.ns / DAY_NS))
		return;
	while (r.ok && r.pos < r.len) {
		struct quota_day d = {.name = proc_get_u64(&r)};

		d.used = d.granted = proc_get_u64(&r);
		if (r.ok)
			quota_day_grant(s->quota, &d, monotime_now(), today);
	}
}

/* Reads all that is granted; *own is changed to what we may have. */
static bool
read_grants(struct token_share *s, const json_t *answer, walltime_t today,
    struct quota_day *own, size_t count)
{
	const uint64_t day = (uint64_t)(today.ns / DAY_NS);
	uint64_t *others = xcalloc(count + 1, sizeof(*others));
	struct buf key = {NULL, 0, 0}, value = {NULL, 0, 0}, mine = {NULL, 0, 0};
	bool more = false;
	const json_t *kv;
	size_t i;

	share_key(s, "days", s->id, &mine);
	json_array_foreach(json_object_get(answer, "kvs"), i, kv)
	{
		buf_clear(&key);
		buf_clear(&value);
		if (!etcd_get_bytes(json_object_get(kv, "key"), &key) ||
		    !etcd_get_bytes(json_object_get(kv, "value"), &value))
			continue;
		if (!str_eq(buf_str(&key), buf_str(&mine)))
			add_grants(others, day, own, count, buf_str(&value));
		else if (!s->days_read)
			remember(s, buf_str(&value), today);
	}
	for (i = 0; i < count; i++) {
		const uint64_t taken = others[i] + own[i].used;
		const uint64_t left = own[i].limit > taken ? own[i].limit - taken : 0;
		uint64_t granted = own[i].used + left / (2 * s->replicas);

		granted += left != 0 && left < 2 * s->replicas;
		more = more || granted > own[i].granted;
		own[i].granted = granted > own[i].granted ? granted : own[i].granted;
	}
	free(others);
	buf_free(&key);
	buf_free(&value);
	buf_free(&mine);
	return more;
}

/* Puts ours, if nobody has put his since we read; true if it is there now. */
static int
put_grants(struct token_share *s, uint64_t day, const struct quota_day *own,
    size_t count, int64_t revision, bool *out_done, struct err *err)
{
	struct buf prefix = {NULL, 0, 0}, key = {NULL, 0, 0}, value = {NULL, 0, 0};
	struct etcd_put put = {.lease = 0};
	int rc;

	share_key(s, "days", "", &prefix);
	share_key(s, "days", s->id, &key);
	proc_put_u64(&value, day);
	for (size_t i = 0; i < count; i++) {
		proc_put_u64(&value, own[i].name);
		proc_put_u64(&value, own[i].granted);
	}
	put.key = buf_str(&key);
	put.value = buf_str(&value);
	rc = etcd_put_unchanged(s->beater, etcd_prefix(buf_str(&prefix)), revision,
	    &put, out_done, NULL, err);
	buf_free(&prefix);
	buf_free(&key);
	buf_free(&value);
	return rc;
}

int
share_days(struct token_share *s, struct err *err)
{
	struct quota_day *own = xcalloc(DAYS_MAX, sizeof(*own));
	const walltime_t today = walltime_now();
	json_t *answer = NULL;
	bool done = false;
	size_t count;
	int rc = range(s, "days", &answer, err);
	int64_t revision = etcd_get_int(
	    json_object_get(json_object_get(answer, "header"), "revision"));

	if (rc == 0 && !s->days_read) {
		(void)read_grants(s, answer, today, own, 0);
		s->days_read = true;
	}
	count = quota_days(s->quota, today, own, DAYS_MAX);
	if (count != 0)
		qsort(own, count, sizeof(*own), by_name);
	if (rc == 0 && read_grants(s, answer, today, own, count))
		rc = put_grants(
		    s, (uint64_t)(today.ns / DAY_NS), own, count, revision, &done, err);
	for (size_t i = 0; i < count && done; i++) {
		own[i].used = 0; /* is known here */
		quota_day_grant(s->quota, &own[i], monotime_now(), today);
	}
	json_decref(answer);
	free(own);
	return rc;
}
