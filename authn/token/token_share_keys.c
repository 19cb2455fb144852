/*
 * The ring of keys of continue tokens: "PREFIX/keys/lists" holds "rfk1" and the ring. Whoever
 * has seen the same ring for an hour turns it; who is first does, by a transaction. No clock
 * is compared with another's. The new key is the next one for an hour at least, which is as
 * long as a replica may go on without etcd, so that everybody opens what it seals; and what
 * the one before sealed opens for an hour more.
 */
#include <string.h>

#include "authn/token/token_share_internal.h"
#include "common/log.h"
#include "common/secret.h"

#define TURN_NS UINT64_C(3600000000000)

static const char magic[] = "rfk1";

#define MAGIC_LEN (sizeof(magic) - 1)

/* Puts a ring, unless somebody has since `revision` (0: ever). */
static int
put_ring(struct token_share *s, struct str key, const uint8_t ring[LIST_RING_BYTES],
    int64_t revision, struct err *err)
{
	struct buf value = {NULL, 0, 0};
	bool done; /* or somebody else has: the next look tells */
	int rc;

	buf_reserve(&value, MAGIC_LEN + LIST_RING_BYTES); /* no copies left behind */
	buf_add_cstr(&value, magic);
	buf_add(&value, ring, LIST_RING_BYTES);
	rc = etcd_put_unchanged(s->beater, etcd_key(key), revision,
	    &(struct etcd_put){.key = key, .value = buf_str(&value)}, &done, NULL, err);
	secret_wipe(value.data, value.len);
	buf_free(&value);
	return rc;
}

static void
take_ring(struct token_share *s, const uint8_t ring[LIST_RING_BYTES], int64_t revision)
{
	s->ring_revision = revision;
	s->ring_since = monotime_now();
	(void)pthread_mutex_lock(&s->lock); /* cannot fail: it is our own */
	memcpy(s->ring, ring, LIST_RING_BYTES);
	s->ring_new = true;
	(void)pthread_mutex_unlock(&s->lock);
	(void)uv_async_send(&s->arrived); /* cannot fail */
}

/* What lies there: its revision (0: nothing), and the ring, if it is one. */
static int
read_ring(struct token_share *s, struct str key, int64_t *out_revision,
    struct buf *out_value, struct err *err)
{
	json_t *answer = NULL, *kv;
	int rc = etcd_call(s->beater, "/v3/kv/range", etcd_key(key), &answer, err);

	kv = json_array_get(json_object_get(answer, "kvs"), 0);
	*out_revision = etcd_get_int(json_object_get(kv, "mod_revision"));
	if (kv != NULL && !etcd_get_bytes(json_object_get(kv, "value"), out_value))
		buf_clear(out_value);
	json_decref(answer);
	return rc;
}

static bool
is_ring(const struct buf *value)
{
	return value->len == MAGIC_LEN + LIST_RING_BYTES &&
	       memcmp(value->data, magic, MAGIC_LEN) == 0;
}

/* One look at what there is. */
static int
look(struct token_share *s, struct str key, struct err *err)
{
	struct buf value = {NULL, 0, 0};
	uint8_t ring[LIST_RING_BYTES];
	int64_t revision;
	bool turns = false;
	int rc = read_ring(s, key, &revision, &value, err);

	secret_random(ring, sizeof(ring));
	if (rc == 0 && is_ring(&value)) {
		const uint8_t *there = (const uint8_t *)value.data + MAGIC_LEN;

		if (revision != s->ring_revision)
			take_ring(s, there, revision);
		turns = monotime_since(s->ring_since, monotime_now()) >= TURN_NS;
		/* The next one seals, the one that did still opens. */
		memcpy(ring + LIST_TOKEN_KEY_BYTES, there,
		    LIST_RING_BYTES - LIST_TOKEN_KEY_BYTES);
	} else if (rc == 0) {
		turns = true;
		if (revision != 0)
			log_error(
			    "share-keys", "detail=\"no ring of keys: made anew\"");
	}
	if (turns)
		rc = put_ring(s, key, ring, revision, err);
	secret_wipe(ring, sizeof(ring));
	if (value.data != NULL)
		secret_wipe(value.data, value.len);
	buf_free(&value);
	return rc;
}

int
share_ring(struct token_share *s, struct err *err)
{
	struct buf key = {NULL, 0, 0};
	int rc;

	share_key(s, "keys", "lists", &key);
	rc = look(s, buf_str(&key), err);
	if (rc == 0 && s->ring_revision == 0) /* it was made just now */
		rc = look(s, buf_str(&key), err);
	if (rc == 0 && s->ring_revision == 0)
		rc = err_set(err, ERR_UNAVAILABLE, "the ring of keys does not stay");
	buf_free(&key);
	return rc;
}
