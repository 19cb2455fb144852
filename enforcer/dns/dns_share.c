/*
 * The limit of a tenant is what is free, and that of a client is what is left of that
 * (Choudhury and Hahne's dynamic threshold, twice): it needs no number of tenants or clients,
 * and shrinks as more of them ask.
 */
#include "enforcer/dns/dns_share.h"

#include <stdlib.h>
#include <string.h>

#include "common/map.h"

#define CLIENTS_MOST 4096 /* then they are told of anew */
#define CLIENT_BYTES 17
#define SECOND_NS    UINT64_C(1000000000)
/* What we were told is asked for again after so long. */
#define KNOWN_NS    (10 * SECOND_NS)
#define STRANGER_NS SECOND_NS

/* Of time: a query costs SECOND_NS / rate. */
struct bucket {
	uint64_t tokens_ns;
	monotime_t filled; /* 0: never */
};

struct tenant {
	size_t taken[SHARE_COUNT];
	struct bucket bucket;
	struct str name; /* of the text */
	char text[];
};

struct dns_client {
	struct tenant *tenant;
	size_t taken[SHARE_COUNT];
	struct bucket bucket;
	monotime_t asked; /* when last; 0: never */
	struct str key;   /* of the bytes */
	char bytes[CLIENT_BYTES];
};

struct dns_share {
	struct map clients; /* by address */
	struct map tenants; /* by name; the strangers' is "" */
	size_t most[SHARE_COUNT], taken[SHARE_COUNT];
	uint32_t rate;
};

struct dns_share *
dns_share_new(const size_t most[SHARE_COUNT], uint32_t rate)
{
	struct dns_share *s = xcalloc(1, sizeof(*s));

	memcpy(s->most, most, sizeof(s->most));
	s->rate = rate;
	return s;
}

void
dns_share_free(struct dns_share *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < s->clients.len; i++)
		free(s->clients.entries[i].value);
	for (size_t i = 0; i < s->tenants.len; i++)
		free(s->tenants.entries[i].value);
	map_fini(&s->clients);
	map_fini(&s->tenants);
	free(s);
}

/* ---- who it is ---- */

static bool
has_any(const size_t taken[SHARE_COUNT])
{
	for (size_t i = 0; i < SHARE_COUNT; i++) {
		if (taken[i] != 0)
			return true;
	}
	return false;
}

/* All that have nothing; whoever has something is of a tenant that has. How much a tenant has
 * asked within a second is not forgotten, however many addresses it has. */
static void
forget(struct dns_share *s, monotime_t now)
{
	for (size_t i = s->clients.len; i-- > 0;) {
		struct dns_client *c = s->clients.entries[i].value;

		if (has_any(c->taken))
			continue;
		(void)map_remove(&s->clients, c->key); /* was there */
		free(c);
	}
	for (size_t i = s->tenants.len; i-- > 0;) {
		struct tenant *t = s->tenants.entries[i].value;

		if (has_any(t->taken) ||
		    monotime_since(t->bucket.filled, now) < SECOND_NS)
			continue;
		(void)map_remove(&s->tenants, t->name); /* was there */
		free(t);
	}
}

static struct tenant *
tenant_of(struct dns_share *s, struct str name)
{
	struct tenant *t = map_get(&s->tenants, name);

	if (t != NULL)
		return t;
	t = xcalloc(1, sizeof(*t) + name.len + 1);
	if (name.len != 0)
		memcpy(t->text, name.ptr, name.len);
	t->name = (struct str){t->text, name.len};
	(void)map_set(&s->tenants, t->name, t); /* new */
	return t;
}

static struct str
key_of(const struct ip_addr *addr, char key[CLIENT_BYTES])
{
	key[0] = (char)addr->family;
	memcpy(key + 1, addr->bytes, ip_bytes(addr->family));
	return (struct str){key, 1 + ip_bytes(addr->family)};
}

static struct dns_client *
client_of(struct dns_share *s, const struct ip_addr *addr, monotime_t now)
{
	char bytes[CLIENT_BYTES];
	struct str key = key_of(addr, bytes);
	struct dns_client *c = map_get(&s->clients, key);

	if (c != NULL)
		return c;
	if (s->clients.len >= CLIENTS_MOST)
		forget(s, now);
	c = xcalloc(1, sizeof(*c));
	memcpy(c->bytes, key.ptr, key.len);
	c->key = (struct str){c->bytes, key.len};
	c->tenant = tenant_of(s, STR(""));
	(void)map_set(&s->clients, c->key, c); /* new */
	return c;
}

struct dns_client *
dns_share_client(
    struct dns_share *s, const struct ip_addr *addr, monotime_t now, bool *out_ask)
{
	struct dns_client *c = client_of(s, addr, now);
	const uint64_t patience = c->tenant->name.len != 0 ? KNOWN_NS : STRANGER_NS;

	*out_ask = c->asked.ns == 0 || monotime_since(c->asked, now) >= patience;
	if (*out_ask)
		c->asked = now;
	return c;
}

void
dns_share_tell(
    struct dns_share *s, const struct ip_addr *addr, struct str name, monotime_t now)
{
	struct dns_client *c = client_of(s, addr, now);
	struct tenant *t = tenant_of(s, name);

	for (size_t i = 0; i < SHARE_COUNT; i++) {
		c->tenant->taken[i] -= c->taken[i];
		t->taken[i] += c->taken[i];
	}
	c->tenant = t;
	c->asked = now;
}

/* ---- how much ---- */

static void
fill(struct bucket *b, monotime_t now)
{
	if (b->filled.ns == 0)
		b->tokens_ns = SECOND_NS;
	else
		b->tokens_ns += monotime_since(b->filled, now);
	b->filled = now;
	if (b->tokens_ns > SECOND_NS)
		b->tokens_ns = SECOND_NS;
}

/* What is refused costs neither anything. */
static bool
take_tokens(const struct dns_share *s, struct dns_client *c, monotime_t now)
{
	const uint64_t price = SECOND_NS / s->rate;
	struct bucket *all = &c->tenant->bucket, *own = &c->bucket;

	fill(all, now);
	fill(own, now);
	if (all->tokens_ns < price || own->tokens_ns < 2 * price)
		return false;
	all->tokens_ns -= price;
	own->tokens_ns -= 2 * price;
	return true;
}

bool
dns_share_take(
    struct dns_share *s, struct dns_client *c, enum dns_share_what what, monotime_t now)
{
	const size_t room = s->most[what] - s->taken[what];

	if (c->tenant->taken[what] >= room ||
	    c->taken[what] >= room - c->tenant->taken[what] ||
	    (what == SHARE_QUERIES && !take_tokens(s, c, now)))
		return false;
	c->taken[what]++;
	c->tenant->taken[what]++;
	s->taken[what]++;
	return true;
}

void
dns_share_give(struct dns_share *s, struct dns_client *c, enum dns_share_what what)
{
	c->taken[what]--;
	c->tenant->taken[what]--;
	s->taken[what]--;
}

size_t
dns_share_taken(const struct dns_share *s, enum dns_share_what what)
{
	return s->taken[what];
}
