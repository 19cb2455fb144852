#include "policy-lang/compile_held.h"

#include <stdlib.h>
#include <string.h>

#define SLOTS_FIRST 64

struct ip_addr
held_addr(const struct held *h)
{
	struct ip_addr addr = {.family = (enum ip_family)h->family};

	memcpy(addr.bytes, h->addr, ip_bytes(addr.family));
	return addr;
}

void
held_init(struct held_table *t)
{
	*t = (struct held_table){.spare = NONE};
}

void
held_fini(struct held_table *t)
{
	free(t->items);
	free(t->slots);
	held_init(t);
}

void
held_shrink(struct held_table *t)
{
	uint32_t cap = t->count + t->count / 16 + 1;

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

/* The slot that has the key, or the empty one where it belongs. */
static uint32_t
find_slot(const struct held_table *t, struct str key)
{
	uint32_t mask = t->slot_count - 1;

	for (uint32_t i = (uint32_t)map_hash(key) & mask;; i = (i + 1) & mask) {
		const struct held *h;

		if (t->slots[i] == 0)
			return i;
		h = &t->items[t->slots[i] - 1];
		if (h->family == (uint8_t)key.ptr[0] &&
		    memcmp(h->addr, key.ptr + 1, sizeof(h->addr)) == 0)
			return i;
	}
}

static struct str
key_at(const struct held_table *t, uint32_t place, char key[17])
{
	struct ip_addr addr = held_addr(&t->items[place]);

	return key_of(&addr, key);
}

static void
grow_slots(struct held_table *t)
{
	uint32_t *old = t->slots, old_count = t->slot_count;
	char key[17];

	t->slot_count = old_count != 0 ? old_count * 2 : SLOTS_FIRST;
	t->slots = xcalloc(t->slot_count, sizeof(*t->slots));
	for (uint32_t i = 0; i < old_count; i++) {
		if (old[i] != 0)
			t->slots[find_slot(t, key_at(t, old[i] - 1, key))] = old[i];
	}
	free(old);
}

uint32_t
held_find(const struct held_table *t, const struct ip_addr *addr)
{
	char key[17];
	uint32_t found;

	if (t->used == 0)
		return NONE;
	found = t->slots[find_slot(t, key_of(addr, key))];
	return found != 0 ? found - 1 : NONE;
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
		t->cap = t->cap != 0 ? t->cap + t->cap / 2 : SLOTS_FIRST;
		t->items = xreallocarray(t->items, t->cap, sizeof(*t->items));
	}
	return t->count++;
}

uint32_t
held_add(struct held_table *t, const struct ip_addr *addr)
{
	uint32_t place = take_place(t);
	struct held *h = &t->items[place];
	char key[17];

	/* At most three slots of four in use. */
	if (t->used + 1 > t->slot_count / 4 * 3)
		grow_slots(t);
	t->used++;
	*h = (struct held){.family = (uint8_t)addr->family};
	memcpy(h->addr, addr->bytes, ip_bytes(addr->family));
	t->slots[find_slot(t, key_of(addr, key))] = place + 1;
	return place;
}

/* What follows the gap moves up, unless it would come before where it belongs. */
void
held_remove(struct held_table *t, uint32_t place)
{
	uint32_t mask = t->slot_count - 1, gap;
	char key[17];

	gap = find_slot(t, key_at(t, place, key));
	t->slots[gap] = 0;
	for (uint32_t i = (gap + 1) & mask; t->slots[i] != 0; i = (i + 1) & mask) {
		uint32_t home =
		    (uint32_t)map_hash(key_at(t, t->slots[i] - 1, key)) & mask;

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		t->slots[gap] = t->slots[i];
		t->slots[i] = 0;
		gap = i;
	}
	t->items[place] = (struct held){.node[0] = t->spare};
	t->spare = place;
	t->used--;
}
