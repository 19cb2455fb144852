/*
 * The limit of a tenant is what is free (Choudhury and Hahne's dynamic threshold): it needs
 * no number of tenants, and shrinks as more of them ask.
 */
#include "enforcer/dns_share.h"

#include <stdlib.h>
#include <string.h>

#include "common/map.h"

#define CLIENTS_MOST 4096 /* then they are told of anew */
#define CLIENT_BYTES 17
#define SECOND_NS    UINT64_C(1000000000)
/* What we were told is asked for again after so long. */
#define KNOWN_NS    (10 * SECOND_NS)
#define STRANGER_NS SECOND_NS

struct dns_tenant {
	size_t taken[SHARE_COUNT];
	uint64_t tokens_ns; /* of time: a query costs SECOND_NS / rate */
	monotime_t filled;
	struct str name; /* of the text */
	char text[];
};

struct client {
	struct dns_tenant *tenant;
	monotime_t asked; /* when last; 0: never */
	char key[CLIENT_BYTES];
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

static void
forget_clients(struct dns_share *s)
{
	for (size_t i = 0; i < s->clients.len; i++)
		free(s->clients.entries[i].value);
	map_fini(&s->clients);
	s->clients = (struct map){0};
}

void
dns_share_free(struct dns_share *s)
{
	if (s == NULL)
		return;
	forget_clients(s);
	for (size_t i = 0; i < s->tenants.len; i++)
		free(s->tenants.entries[i].value);
	map_fini(&s->tenants);
	free(s);
}

/* ---- who it is ---- */

static bool
has_any(const struct dns_tenant *t)
{
	for (size_t i = 0; i < SHARE_COUNT; i++) {
		if (t->taken[i] != 0)
			return true;
	}
	return false;
}

/* No client refers to any tenant. */
static void
forget_tenants(struct dns_share *s)
{
	for (size_t i = s->tenants.len; i-- > 0;) {
		struct dns_tenant *t = s->tenants.entries[i].value;

		if (has_any(t))
			continue;
		(void)map_remove(&s->tenants, t->name); /* was there */
		free(t);
	}
}

static struct dns_tenant *
tenant_of(struct dns_share *s, struct str name)
{
	struct dns_tenant *t = map_get(&s->tenants, name);

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

static struct client *
client_of(struct dns_share *s, const struct ip_addr *addr)
{
	char bytes[CLIENT_BYTES];
	struct str key = key_of(addr, bytes);
	struct client *c = map_get(&s->clients, key);

	if (c != NULL)
		return c;
	if (s->clients.len >= CLIENTS_MOST) {
		forget_clients(s);
		forget_tenants(s);
	}
	c = xcalloc(1, sizeof(*c));
	memcpy(c->key, key.ptr, key.len);
	c->tenant = tenant_of(s, STR(""));
	(void)map_set(&s->clients, (struct str){c->key, key.len}, c); /* new */
	return c;
}

struct dns_tenant *
dns_share_tenant(
    struct dns_share *s, const struct ip_addr *addr, monotime_t now, bool *out_ask)
{
	struct client *c = client_of(s, addr);
	const uint64_t patience = c->tenant->name.len != 0 ? KNOWN_NS : STRANGER_NS;

	*out_ask = c->asked.ns == 0 || monotime_since(c->asked, now) >= patience;
	if (*out_ask)
		c->asked = now;
	return c->tenant;
}

void
dns_share_tell(
    struct dns_share *s, const struct ip_addr *addr, struct str tenant, monotime_t now)
{
	struct client *c = client_of(s, addr);

	c->tenant = tenant_of(s, tenant);
	c->asked = now;
}

/* ---- how much ---- */

static bool
take_token(const struct dns_share *s, struct dns_tenant *t, monotime_t now)
{
	const uint64_t price = SECOND_NS / s->rate;

	if (t->filled.ns == 0)
		t->tokens_ns = SECOND_NS;
	else
		t->tokens_ns += monotime_since(t->filled, now);
	t->filled = now;
	if (t->tokens_ns > SECOND_NS)
		t->tokens_ns = SECOND_NS;
	if (t->tokens_ns < price)
		return false;
	t->tokens_ns -= price;
	return true;
}

bool
dns_share_take(
    struct dns_share *s, struct dns_tenant *t, enum dns_share_what what, monotime_t now)
{
	if (t->taken[what] >= s->most[what] - s->taken[what] ||
	    (what == SHARE_QUERIES && !take_token(s, t, now)))
		return false;
	t->taken[what]++;
	s->taken[what]++;
	return true;
}

void
dns_share_give(struct dns_share *s, struct dns_tenant *t, enum dns_share_what what)
{
	t->taken[what]--;
	s->taken[what]--;
}

size_t
dns_share_taken(const struct dns_share *s, enum dns_share_what what)
{
	return s->taken[what];
}
