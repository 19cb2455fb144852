/*
 * Entries are in a heap by their time, in a map by what they are, and in lists by tenant,
 * and by tenant and address. Addresses are counted, too, whoever knows them.
 */
#include "policy-lang/model/learnt.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/map.h"
#include "policy-lang/model/fqdn.h"

#define IP_KEY_BYTES 17 /* family and bytes */

struct tenant {
	struct str name;
	size_t count;
	struct node *first; /* of its nodes */
	char text[];        /* the name */
};

/* An address that somebody knows, or that is a resolver's. */
struct known {
	struct ip_addr addr;
	size_t uses;
	char key[IP_KEY_BYTES];
};

struct node {
	struct learnt_entry entry;
	struct tenant *tenant;
	struct node *tenant_next, *tenant_prev;
	size_t heap_at;
	struct node *next; /* of the same tenant and address */
	struct str key;    /* of the entry; its first part is that of the address */
	size_t address_key_bytes;
	char text[]; /* the key, then the name */
};

struct learnt {
	size_t per_tenant;
	struct map tenants;    /* name -> struct tenant */
	struct map by_key;     /* tenant, address, name -> struct node */
	struct map by_address; /* tenant, address -> the first struct node */
	struct map addresses;  /* address -> struct known */
	struct ip_addr *resolvers;
	size_t resolver_count;
	bool not_copied;    /* what they say is not read from copies */
	struct node **heap; /* the next to expire is the first */
	size_t count, cap;
};

struct learnt *
learnt_new(size_t per_tenant)
{
	struct learnt *t = xcalloc(1, sizeof(*t));

	t->per_tenant = per_tenant;
	return t;
}

void
learnt_free(struct learnt *t)
{
	if (t == NULL)
		return;
	for (size_t i = 0; i < t->count; i++)
		free(t->heap[i]);
	for (size_t i = 0; i < t->tenants.len; i++)
		free(t->tenants.entries[i].value);
	for (size_t i = 0; i < t->addresses.len; i++)
		free(t->addresses.entries[i].value);
	map_fini(&t->tenants);
	map_fini(&t->by_key);
	map_fini(&t->by_address);
	map_fini(&t->addresses);
	free(t->resolvers);
	free(t->heap);
	free(t);
}

uint32_t
learnt_ttl_s(uint32_t ttl_s)
{
	if (ttl_s < LIMIT_DNS_TTL_FLOOR_S)
		return LIMIT_DNS_TTL_FLOOR_S;
	return ttl_s < LIMIT_DNS_TTL_CAP_S ? ttl_s : LIMIT_DNS_TTL_CAP_S;
}

/* ---- the heap ---- */

static void
heap_put(struct learnt *t, size_t at, struct node *node)
{
	t->heap[at] = node;
	node->heap_at = at;
}

static void
heap_up(struct learnt *t, struct node *node)
{
	size_t at = node->heap_at;

	while (at > 0) {
		struct node *above = t->heap[(at - 1) / 2];

		if (above->entry.until_ms <= node->entry.until_ms)
			break;
		heap_put(t, at, above);
		at = (at - 1) / 2;
	}
	heap_put(t, at, node);
}

static void
heap_down(struct learnt *t, struct node *node)
{
	size_t at = node->heap_at;

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= t->count)
			break;
		if (child + 1 < t->count &&
		    t->heap[child + 1]->entry.until_ms < t->heap[child]->entry.until_ms)
			child++;
		if (t->heap[child]->entry.until_ms >= node->entry.until_ms)
			break;
		heap_put(t, at, t->heap[child]);
		at = child;
	}
	heap_put(t, at, node);
}

static void
heap_add(struct learnt *t, struct node *node)
{
	if (t->count == t->cap) {
		t->cap = t->cap == 0 ? 64 : 2 * t->cap;
		t->heap = xreallocarray(t->heap, t->cap, sizeof(struct node *));
	}
	heap_put(t, t->count++, node);
	heap_up(t, node);
}

static void
heap_remove(struct learnt *t, struct node *node)
{
	struct node *last = t->heap[--t->count];

	if (last == node)
		return;
	heap_put(t, node->heap_at, last);
	heap_up(t, last);
	heap_down(t, last);
}

/* ---- keys ---- */

/* The tenant's name, its length, the address: no two pairs have the same. */
static void
add_address_key(struct buf *key, struct str tenant, const struct ip_addr *addr)
{
	uint64_t len = tenant.len;

	buf_add_str(key, tenant);
	buf_add(key, &len, sizeof(len));
	buf_add_char(key, (char)addr->family);
	buf_add(key, addr->bytes, ip_bytes(addr->family));
}

static struct str
address_key(const struct node *node)
{
	return str_slice(node->key, 0, node->address_key_bytes);
}

/* ---- addresses, whoever knows them ---- */

static struct str
known_key(const struct ip_addr *addr, char bytes[IP_KEY_BYTES])
{
	bytes[0] = (char)addr->family;
	memcpy(bytes + 1, addr->bytes, ip_bytes(addr->family));
	return (struct str){bytes, 1 + ip_bytes(addr->family)};
}

static void
use_address(struct learnt *t, const struct ip_addr *addr)
{
	char bytes[IP_KEY_BYTES];
	struct known *known = map_get(&t->addresses, known_key(addr, bytes));

	if (known == NULL) {
		known = xcalloc(1, sizeof(*known));
		known->addr = *addr;
		(void)map_set(
		    &t->addresses, known_key(addr, known->key), known); /* new */
	}
	known->uses++;
}

static void
disuse_address(struct learnt *t, const struct ip_addr *addr)
{
	char bytes[IP_KEY_BYTES];
	struct str key = known_key(addr, bytes);
	struct known *known = map_get(&t->addresses, key);

	if (--known->uses > 0)
		return;
	(void)map_remove(&t->addresses, key); /* was there */
	free(known);
}

bool
learnt_has(const struct learnt *t, const struct ip_addr *addr)
{
	char bytes[IP_KEY_BYTES];

	return t != NULL && map_get(&t->addresses, known_key(addr, bytes)) != NULL;
}

void
learnt_each_address(const struct learnt *t,
    void (*each)(void *ctx, const struct ip_addr *addr), void *ctx)
{
	for (size_t i = 0; t != NULL && i < t->addresses.len; i++)
		each(ctx, &((const struct known *)t->addresses.entries[i].value)->addr);
}

void
learnt_set_resolvers(struct learnt *t, const struct ip_addr *resolvers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		use_address(t, &resolvers[i]);
	for (size_t i = 0; i < t->resolver_count; i++)
		disuse_address(t, &t->resolvers[i]);
	free(t->resolvers);
	t->resolvers = xcalloc(count, sizeof(*t->resolvers));
	for (size_t i = 0; i < count; i++)
		t->resolvers[i] = resolvers[i];
	t->resolver_count = count;
}

void
learnt_set_copied(struct learnt *t, bool copied)
{
	t->not_copied = !copied;
}

bool
learnt_copied(const struct learnt *t)
{
	return !t->not_copied;
}

const struct ip_addr *
learnt_resolvers(const struct learnt *t, size_t *out_count)
{
	*out_count = t->resolver_count;
	return t->resolvers;
}

/* ---- learning ---- */

static struct tenant *
tenant_of(struct learnt *t, struct str name)
{
	struct tenant *tenant = map_get(&t->tenants, name);

	if (tenant != NULL)
		return tenant;
	tenant = xcalloc(1, sizeof(*tenant) + name.len + 1);
	if (name.len > 0)
		memcpy(tenant->text, name.ptr, name.len);
	tenant->name = (struct str){tenant->text, name.len};
	(void)map_set(&t->tenants, tenant->name, tenant); /* new */
	return tenant;
}

static void
forget_tenant(struct learnt *t, struct tenant *tenant)
{
	if (tenant->count > 0)
		return;
	(void)map_remove(&t->tenants, tenant->name); /* was there */
	free(tenant);
}

static void
insert(struct learnt *t, struct tenant *tenant, struct str key, size_t address_bytes,
    const struct learnt_entry *entry)
{
	struct node *node = xcalloc(1, sizeof(*node) + key.len + entry->name.len + 1);

	memcpy(node->text, key.ptr, key.len);
	memcpy(node->text + key.len, entry->name.ptr, entry->name.len);
	node->key = (struct str){node->text, key.len};
	node->address_key_bytes = address_bytes;
	node->entry = *entry;
	node->entry.name = (struct str){node->text + key.len, entry->name.len};
	node->entry.tenant = tenant->name;
	node->tenant = tenant;
	node->tenant_next = tenant->first;
	if (tenant->first != NULL)
		tenant->first->tenant_prev = node;
	tenant->first = node;
	tenant->count++;
	use_address(t, &entry->addr);
	(void)map_set(&t->by_key, node->key, node); /* new */
	node->next = map_get(&t->by_address, address_key(node));
	/* The map keeps the key that it has: it must be that of the first node. */
	if (node->next != NULL)
		(void)map_remove(&t->by_address, address_key(node));
	(void)map_set(&t->by_address, address_key(node), node); /* as removed */
	heap_add(t, node);
}

enum learnt_result
learnt_add(struct learnt *t, struct str tenant, struct str name,
    const struct ip_addr *addr, uint32_t ttl_s, uint64_t now_ms)
{
	uint64_t until_ms = now_ms + UINT64_C(1000) * learnt_ttl_s(ttl_s);
	char canonical[FQDN_BYTES];
	struct learnt_entry entry = {.name = fqdn_canonical(name, canonical),
	    .addr = *addr,
	    .until_ms = until_ms};
	enum learnt_result result = LEARNT_RENEWED;
	struct buf key = {0};
	struct node *node;
	size_t address_bytes;

	if (entry.name.len == 0)
		return LEARNT_FULL;
	add_address_key(&key, tenant, addr);
	address_bytes = key.len;
	buf_add_str(&key, entry.name);
	node = map_get(&t->by_key, buf_str(&key));
	if (node != NULL && node->entry.until_ms < until_ms) {
		node->entry.until_ms = until_ms;
		heap_down(t, node);
	} else if (node == NULL) {
		struct tenant *owner = tenant_of(t, tenant);

		result = owner->count < t->per_tenant ? LEARNT_NEW : LEARNT_FULL;
		if (result == LEARNT_NEW)
			insert(t, owner, buf_str(&key), address_bytes, &entry);
		forget_tenant(t, owner);
	}
	buf_free(&key);
	return result;
}

/* ---- forgetting ---- */

static void
unlink_address(struct learnt *t, struct node *node)
{
	struct node *first = map_get(&t->by_address, address_key(node));

	if (first != node) {
		while (first->next != node)
			first = first->next;
		first->next = node->next;
		return;
	}
	(void)map_remove(&t->by_address, address_key(node)); /* was there */
	if (node->next != NULL)
		(void)map_set(&t->by_address, address_key(node->next), node->next);
}

static void
unlink_tenant(struct node *node)
{
	if (node->tenant_prev != NULL)
		node->tenant_prev->tenant_next = node->tenant_next;
	else
		node->tenant->first = node->tenant_next;
	if (node->tenant_next != NULL)
		node->tenant_next->tenant_prev = node->tenant_prev;
}

static void
forget(struct learnt *t, struct node *node)
{
	heap_remove(t, node);
	unlink_address(t, node);
	unlink_tenant(node);
	disuse_address(t, &node->entry.addr);
	(void)map_remove(&t->by_key, node->key); /* was there */
	node->tenant->count--;
	forget_tenant(t, node->tenant);
	free(node);
}

size_t
learnt_expire(struct learnt *t, uint64_t now_ms, learnt_used_fn *used,
    learnt_tell_fn *gone, void *ctx)
{
	size_t count = 0;

	while (t->count > 0 && t->heap[0]->entry.until_ms <= now_ms) {
		struct node *node = t->heap[0];

		if (used != NULL && used(ctx, &node->entry)) {
			node->entry.until_ms =
			    now_ms + UINT64_C(1000) * LIMIT_DNS_TTL_FLOOR_S;
			heap_down(t, node);
			continue;
		}
		if (gone != NULL)
			gone(ctx, &node->entry);
		forget(t, node);
		count++;
	}
	return count;
}

uint64_t
learnt_next_ms(const struct learnt *t)
{
	return t->count > 0 ? t->heap[0]->entry.until_ms : UINT64_MAX;
}

/* ---- asking ---- */

/* The first of the tenant's names of an address; NULL. */
static const struct node *
first_name(const struct learnt *t, struct str tenant, const struct ip_addr *addr)
{
	struct buf key = {0};
	const struct node *node;

	if (!learnt_has(t, addr))
		return NULL;
	add_address_key(&key, tenant, addr);
	node = map_get(&t->by_address, buf_str(&key));
	buf_free(&key);
	return node;
}

void
learnt_names(const struct learnt *t, struct str tenant, const struct ip_addr *addr,
    learnt_tell_fn *each, void *ctx)
{
	for (const struct node *node = first_name(t, tenant, addr); node != NULL;
	     node = node->next)
		each(ctx, &node->entry);
}

bool
learnt_matches(const struct learnt *t, struct str tenant, const struct ip_addr *addr,
    const struct str *patterns, size_t count)
{
	if (count == 0)
		return false;
	for (const struct node *node = first_name(t, tenant, addr); node != NULL;
	     node = node->next) {
		for (size_t i = 0; i < count; i++) {
			if (fqdn_match(patterns[i], node->entry.name))
				return true;
		}
	}
	return false;
}

bool
learnt_explains(const struct learnt *t, struct str tenant, const struct ip_addr *addr)
{
	for (size_t i = 0; t != NULL && i < t->resolver_count; i++) {
		if (ip_eq(&t->resolvers[i], addr))
			return true;
	}
	return first_name(t, tenant, addr) != NULL;
}

void
learnt_each_of(
    const struct learnt *t, struct str tenant, learnt_tell_fn *each, void *ctx)
{
	const struct tenant *of = map_get(&t->tenants, tenant);

	for (const struct node *n = of != NULL ? of->first : NULL; n != NULL;
	     n = n->tenant_next)
		each(ctx, &n->entry);
}

size_t
learnt_count_of(const struct learnt *t, struct str tenant)
{
	const struct tenant *of = map_get(&t->tenants, tenant);

	return of != NULL ? of->count : 0;
}

void
learnt_each(const struct learnt *t, learnt_tell_fn *each, void *ctx)
{
	for (size_t i = 0; i < t->count; i++)
		each(ctx, &t->heap[i]->entry);
}

size_t
learnt_count(const struct learnt *t)
{
	return t->count;
}
