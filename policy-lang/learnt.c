/*
 * Entries are in a heap by their time, in a map by what they are, and in lists by tenant
 * and address.
 */
#include "policy-lang/learnt.h"

#include <stdlib.h>

#include "common/limits.h"
#include "common/map.h"
#include "policy-lang/fqdn.h"

struct tenant {
	struct str name;
	size_t count;
	char text[]; /* the name */
};

struct node {
	struct learnt_entry entry;
	struct tenant *tenant;
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
	struct node **heap;    /* the next to expire is the first */
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
	map_fini(&t->tenants);
	map_fini(&t->by_key);
	map_fini(&t->by_address);
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
	tenant->count++;
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
forget(struct learnt *t, struct node *node)
{
	heap_remove(t, node);
	unlink_address(t, node);
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

void
learnt_names(const struct learnt *t, struct str tenant, const struct ip_addr *addr,
    learnt_tell_fn *each, void *ctx)
{
	struct buf key = {0};
	const struct node *node;

	add_address_key(&key, tenant, addr);
	node = map_get(&t->by_address, buf_str(&key));
	for (; node != NULL; node = node->next)
		each(ctx, &node->entry);
	buf_free(&key);
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
