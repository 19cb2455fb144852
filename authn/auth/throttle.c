#include "authn/auth/throttle.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include "common/ip.h"
#include "common/secret.h"

#define SLOTS        8192u /* of each memory; a power of two */
#define FREE_TRIES   5u    /* failures without delay: below usual lockout thresholds */
#define SOURCE_TRIES 20u   /* a source may stand for many people */
#define DELAY_MAX_S  300u
#define FORGET_S     900u /* failures count no longer */
#define WRONG_S      300u /* a wrong pair is remembered so long */

struct failures {
	uint64_t name; /* 0: free */
	uint32_t count;
	uint64_t last_ns;
};

struct wrong {
	uint8_t pair[32];
	uint64_t last_ns; /* 0: free */
};

struct throttle {
	uint8_t key[32];
	uint32_t lock_attempts; /* 0: no limit */
	uint64_t lock_window_s;
	struct failures failures[SLOTS];
	struct wrong wrong[SLOTS];
};

struct throttle *
throttle_new(const uint8_t key[32])
{
	struct throttle *t = xcalloc(1, sizeof(*t));

	memcpy(t->key, key, sizeof(t->key));
	return t;
}

void
throttle_limit(struct throttle *t, uint32_t attempts, uint64_t window_s)
{
	t->lock_attempts = attempts;
	t->lock_window_s = window_s;
}

void
throttle_free(struct throttle *t)
{
	if (t == NULL)
		return;
	secret_wipe(t, sizeof(*t));
	free(t);
}

/* To a directory the case of a name and spaces around it mean nothing (RFC 4518): another
 * spelling must not be another user here, with failures of its own. */
static void
add_folded(struct buf *out, struct str name)
{
	for (size_t i = 0; i < name.len; i++) {
		const char c = name.ptr[i];

		if (c != ' ')
			buf_add_char(out, c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c);
	}
}

/* HMAC over length-prefixed parts, so that no two splits give the same bytes. */
static void
digest(const struct throttle *t, char kind, struct str a, struct str b, uint8_t out[32])
{
	struct buf name = {NULL, 0, 0}, text = {NULL, 0, 0};
	unsigned len = 32;

	add_folded(&name, a);
	buf_reserve(
	    &text, name.len + b.len + 64); /* no copies left behind by growing */
	buf_printf(&text, "%c%zu:", kind, name.len);
	buf_add_str(&text, buf_str(&name));
	buf_add_str(&text, b);
	if (HMAC(EVP_sha256(), t->key, sizeof(t->key), (const uint8_t *)text.data,
		text.len, out, &len) == NULL)
		base_die("no HMAC-SHA-256");
	secret_wipe(text.data, text.len);
	buf_free(&text);
	buf_free(&name);
}

static uint64_t
first_bytes(const uint8_t hash[32])
{
	uint64_t v;

	memcpy(&v, hash, sizeof(v));
	return v != 0 ? v : 1;
}

static uint64_t
name_of(const struct throttle *t, char kind, struct str who)
{
	uint8_t hash[32];

	digest(t, kind, who, (struct str){NULL, 0}, hash);
	return first_bytes(hash);
}

/* The slot of a name: its own, else a free or forgotten one, else the oldest of eight. */
static struct failures *
failures_slot(struct throttle *t, char kind, struct str who, bool make)
{
	const uint64_t name = name_of(t, kind, who);
	struct failures *oldest = NULL;

	for (uint32_t i = 0; i < 8; i++) {
		struct failures *f = &t->failures[(name + i) & (SLOTS - 1)];

		if (f->name == name)
			return f;
		if (oldest == NULL || f->last_ns < oldest->last_ns)
			oldest = f;
	}
	if (!make)
		return NULL;
	*oldest = (struct failures){.name = name};
	return oldest;
}

/* Whoever has an IPv6 address has all of its network. */
static struct str
source_name(struct str source, char out[IP_TEXT_BYTES])
{
	struct ip_addr addr;

	if (!ip_parse(source, &addr) || addr.family != IP_V6)
		return source;
	memset(addr.bytes + 8, 0, 8);
	return str_from(ip_format(&addr, out));
}

/* How long until another failure could not lock the account, if all that run fail too. */
static uint32_t
lock_delay_s(const struct throttle *t, const struct failures *f, uint32_t running,
    uint64_t now_ns)
{
	const uint64_t since = f != NULL ? (now_ns - f->last_ns) / NS_PER_S : 0;
	const uint32_t count = f != NULL && since < t->lock_window_s ? f->count : 0;

	if (t->lock_attempts == 0 || count + running + 1 < t->lock_attempts)
		return 0;
	if (count + 1 >= t->lock_attempts)
		return (uint32_t)(t->lock_window_s - since);
	return 1; /* until those that run have told */
}

static uint32_t
delay_s(const struct failures *f, uint32_t free_tries, uint64_t now_ns)
{
	uint64_t wait, since;
	uint32_t over;

	if (f == NULL || f->count < free_tries)
		return 0;
	since = (now_ns - f->last_ns) / NS_PER_S;
	if (since >= FORGET_S)
		return 0;
	over = f->count - free_tries;
	wait = over >= 8 ? DELAY_MAX_S : 2ull << over;
	if (wait > DELAY_MAX_S)
		wait = DELAY_MAX_S;
	return since >= wait ? 0 : (uint32_t)(wait - since);
}

static struct wrong *
wrong_slot(struct throttle *t, const uint8_t pair[32])
{
	return &t->wrong[first_bytes(pair) & (SLOTS - 1)];
}

uint64_t
throttle_user(const struct throttle *t, struct str user)
{
	return name_of(t, 'u', user);
}

enum throttle_verdict
throttle_check(struct throttle *t, struct str user, uint32_t running,
    struct str password, struct str source, monotime_t now, uint32_t *out_wait_s)
{
	char text[IP_TEXT_BYTES];
	const struct failures *f = failures_slot(t, 'u', user, false);
	uint32_t by_lock = lock_delay_s(t, f, running, now.ns);
	uint32_t by_user = delay_s(f, FREE_TRIES, now.ns);
	uint32_t by_source =
	    delay_s(failures_slot(t, 's', source_name(source, text), false),
		SOURCE_TRIES, now.ns);
	const struct wrong *w;
	uint8_t pair[32];

	*out_wait_s = by_user > by_source ? by_user : by_source;
	if (by_lock > *out_wait_s)
		*out_wait_s = by_lock;
	if (*out_wait_s != 0)
		return THROTTLE_WAIT;
	digest(t, 'p', user, password, pair);
	w = wrong_slot(t, pair);
	if (w->last_ns != 0 && (now.ns - w->last_ns) / NS_PER_S < WRONG_S &&
	    secret_equal(w->pair, sizeof(w->pair), pair, sizeof(pair)))
		return THROTTLE_KNOWN_WRONG;
	return THROTTLE_GO;
}

static void
count_failure(struct failures *f, uint64_t forget_s, uint64_t now_ns)
{
	if (f->count != 0 && (now_ns - f->last_ns) / NS_PER_S >= forget_s)
		f->count = 0;
	f->count++;
	f->last_ns = now_ns;
}

void
throttle_failed(struct throttle *t, struct str user, struct str password,
    struct str source, monotime_t now)
{
	const uint64_t forget_s =
	    t->lock_window_s > FORGET_S ? t->lock_window_s : FORGET_S;
	char text[IP_TEXT_BYTES];
	uint8_t pair[32];
	struct wrong *w;

	count_failure(failures_slot(t, 'u', user, true), forget_s, now.ns);
	count_failure(
	    failures_slot(t, 's', source_name(source, text), true), FORGET_S, now.ns);
	digest(t, 'p', user, password, pair);
	w = wrong_slot(t, pair);
	memcpy(w->pair, pair, sizeof(w->pair));
	w->last_ns = now.ns != 0 ? now.ns : 1;
}

void
throttle_succeeded(struct throttle *t, struct str user, struct str source)
{
	struct failures *f = failures_slot(t, 'u', user, false);
	char text[IP_TEXT_BYTES];

	if (f != NULL)
		*f = (struct failures){0};
	f = failures_slot(t, 's', source_name(source, text), false);
	if (f != NULL && f->count > 0)
		f->count--;
}
