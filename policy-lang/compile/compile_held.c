#include "policy-lang/compile/compile_held.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 64

struct ip_addr
held_addr(const struct held *h)
{
	return h->owned ? h->of.owner->ips[h->ip] : *h->of.addr;
}

const struct workload *
held_owner(const struct held *h)
{
	return h->owned ? h->of.owner : NULL;
}

const struct held *
held_ahead(const struct held_table *t, uint32_t at, uint32_t ahead)
{
	const struct held *h = t->count - at > ahead ? &t->items[at + ahead] : NULL;

	return h != NULL && h->owned ? h : NULL;
}

static void
keep_addr(struct held *h, const struct ip_addr *addr)
{
	h->of.addr = xmalloc(sizeof(*addr));
	*h->of.addr = *addr;
	h->owned = false;
}

void
held_own(struct held *h, const struct workload *owner, uint32_t ip)
{
	struct ip_addr addr = held_addr(h);

	if (!h->owned && owner == NULL)
		return;
	if (!h->owned)
		free(h->of.addr);
	if (owner == NULL) {
		keep_addr(h, &addr);
		return;
	}
	h->owned = true;
	h->of.owner = owner;
	h->ip = ip;
}

void
held_init(struct held_table *t)
{
	*t = (struct held_table){.spare = NONE};
}

void
held_fini(struct held_table *t)
{
	for (uint32_t i = 0; i < t->count; i++) {
		if (t->items[i].used && !t->items[i].owned)
			free(t->items[i].of.addr);
	}
	free(t->items);
	free(t->slots);
	held_init(t);
}

/* A few more can come before what is large must move. */
static uint32_t
with_room(uint32_t count)
{
	return count + count / 16 + 1;
}

void
held_shrink(struct held_table *t)
{
	uint32_t cap = with_room(t->count);

	if (t->count == 0 || cap >= t->cap)
		return;
	t->items = xreallocarray(t->items, cap, sizeof(*t->items));
	t->cap = cap;
}

/* The bytes behind a shorter address are zero. */
static struct str
key_of(const struct ip_addr *addr, char key[17])
{
	memset(key, 0, 17);
	key[0] = (char)addr->family;
	memcpy(key + 1, addr->bytes, ip_bytes(addr->family));
	return (struct str){key, 17};
}

static uint32_t
home_of(const struct held_table *t, const struct ip_addr *addr)
{
	char key[17];

	return (uint32_t)map_hash(key_of(addr, key)) & (t->slot_count - 1);
}

/* The empty slot where an address belongs that is in none. */
static uint32_t
free_slot(const struct held_table *t, const struct ip_addr *addr)
{
	uint32_t mask = t->slot_count - 1, i = home_of(t, addr);

	while (t->slots[i] != 0)
		i = (i + 1) & mask;
	return i;
}

/* The slot that has the address, or the empty one where it belongs. */
static uint32_t
find_slot(const struct held_table *t, const struct ip_addr *addr)
{
	uint32_t mask = t->slot_count - 1, i = home_of(t, addr);

	for (; t->slots[i] != 0; i = (i + 1) & mask) {
		struct ip_addr there = held_addr(&t->items[t->slots[i] - 1]);

		if (ip_eq(&there, addr))
			break;
	}
	return i;
}

static struct ip_addr
addr_at(const struct held_table *t, uint32_t slot)
{
	return held_addr(&t->items[t->slots[slot] - 1]);
}

static void
grow_slots(struct held_table *t)
{
	uint32_t *old = t->slots, old_count = t->slot_count;

	t->slot_count = old_count != 0 ? old_count * 2 : SLOTS_FIRST;
	t->slots = xcalloc(t->slot_count, sizeof(*t->slots));
	for (uint32_t i = 0; i < old_count; i++) {
		struct ip_addr addr;

		if (old[i] == 0)
			continue;
		addr = held_addr(&t->items[old[i] - 1]);
		t->slots[free_slot(t, &addr)] = old[i];
	}
	free(old);
}

uint32_t
held_find(const struct held_table *t, const struct ip_addr *addr)
{
	uint32_t found;

	if (t->used == 0)
		return NONE;
	found = t->slots[find_slot(t, addr)];
	return found != 0 ? found - 1 : NONE;
}

bool
held_may_be_in(const struct held_table *t, unsigned family, const struct addrset *set)
{
	const unsigned shift = family_of(family) == IP_V4 ? 24 : 120;

	for (size_t i = 0; i < set->count; i++) {
		/* All of the space of IPv6 stands for that of IPv4, too. */
		const addr_num last = set->ranges[i].hi >> shift;

		for (unsigned b = (unsigned)(set->ranges[i].lo >> shift);
		     b <= last && b < ARRAY_LEN(t->leading[family]); b++) {
			if (t->leading[family][b] != 0)
				return true;
		}
	}
	return false;
}

static uint32_t
take_place(struct held_table *t)
{
	uint32_t place = t->spare;

	if (place != NONE) {
		t->spare = t->items[place].node[0];
		return place;
	}
	if (t->count == t->cap) {
		t->cap = t->cap < SLOTS_FIRST ? SLOTS_FIRST : t->cap + t->cap / 2;
		t->items = xreallocarray(t->items, t->cap, sizeof(*t->items));
	}
	return t->count++;
}

/* At most three slots of four in use. */
static bool
is_full(const struct held_table *t)
{
	return t->used + 1 > t->slot_count / 4 * 3;
}

void
held_reserve(struct held_table *t, uint32_t count)
{
	t->cap = with_room(t->count + count);
	t->items = xreallocarray(t->items, t->cap, sizeof(*t->items));
	t->slot_count = t->slot_count != 0 ? t->slot_count : SLOTS_FIRST;
	while (t->used + count > t->slot_count / 4 * 3)
		t->slot_count *= 2;
	free(t->slots);
	t->slots = xcalloc(t->slot_count, sizeof(*t->slots));
}

static uint32_t
hold(struct held_table *t, struct held held, const struct ip_addr *addr)
{
	uint32_t place = take_place(t);

	if (is_full(t))
		grow_slots(t);
	t->used++;
	held.family = (uint8_t)family_index(addr->family);
	t->leading[held.family][addr->bytes[0]]++;
	t->items[place] = held;
	t->slots[free_slot(t, addr)] = place + 1;
	return place;
}

uint32_t
held_add(struct held_table *t, const struct ip_addr *addr)
{
	struct held held = {.used = true};

	keep_addr(&held, addr);
	return hold(t, held, addr);
}

uint32_t
held_add_owned(struct held_table *t, const struct workload *owner, uint32_t ip,
    const struct ip_addr *addr)
{
	struct held held = {.used = true, .owned = true, .of.owner = owner, .ip = ip};

	return hold(t, held, addr);
}

/* What follows the gap moves up, unless it would come before where it belongs. */
void
held_remove(struct held_table *t, uint32_t place)
{
	struct held *h = &t->items[place];
	struct ip_addr addr = held_addr(h);
	uint32_t mask = t->slot_count - 1, gap = find_slot(t, &addr);

	t->slots[gap] = 0;
	for (uint32_t i = (gap + 1) & mask; t->slots[i] != 0; i = (i + 1) & mask) {
		struct ip_addr other = addr_at(t, i);
		uint32_t home = home_of(t, &other);

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		t->slots[gap] = t->slots[i];
		t->slots[i] = 0;
		gap = i;
	}
	t->leading[h->family][addr.bytes[0]]--;
	if (!h->owned)
		free(h->of.addr);
	*h = (struct held){.node[0] = t->spare};
	t->spare = place;
	t->used--;
}
