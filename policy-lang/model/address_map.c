#include "policy-lang/model/address_map.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/model/model.h"

#define SLOTS_FIRST 16
#define ROOM_SHARE  16 /* beyond what is asked for, so that some may come */

/* Slots are not a power of two, of which near half could be empty: a hash is a share of
 * them. */
static size_t
home_of(const struct address_map *m, uint32_t hash)
{
	return (size_t)((uint64_t)hash * m->slot_count >> 32);
}

static size_t
after(const struct address_map *m, size_t at)
{
	return at + 1 < m->slot_count ? at + 1 : 0;
}

/* How many steps it is from one slot to another. */
static size_t
steps(const struct address_map *m, size_t from, size_t to)
{
	return to >= from ? to - from : to + m->slot_count - from;
}

static uint32_t
hash_of(const struct ip_addr *addr)
{
	char key[1 + sizeof(addr->bytes)];
	size_t bytes = ip_bytes(addr->family);

	key[0] = (char)addr->family;
	memcpy(key + 1, addr->bytes, bytes);
	return (uint32_t)map_hash((struct str){key, 1 + bytes});
}

/* The slot that has the address, or the empty one where it belongs. */
static size_t
find(const struct address_map *m, const struct ip_addr *addr, uint32_t hash)
{
	for (size_t i = home_of(m, hash);; i = after(m, i)) {
		const struct address_entry *e = &m->slots[i];

		if (e->workload == NULL ||
		    (e->hash == hash && ip_eq(&e->workload->ips[e->ip], addr)))
			return i;
	}
}

void
address_map_fini(struct address_map *m)
{
	free(m->slots);
	*m = (struct address_map){0};
}

void
address_map_freeze(struct address_map *m, struct arena *a)
{
	struct address_map frozen = *m;

	if (m->slot_count != 0) {
		frozen.slots = ARENA_ARRAY(a, m->slot_count, struct address_entry);
		memcpy(frozen.slots, m->slots, m->slot_count * sizeof(*m->slots));
	}
	free(m->slots);
	*m = frozen;
}

const struct address_entry *
address_map_find(const struct address_map *m, const struct ip_addr *addr)
{
	const struct address_entry *e;

	if (m->len == 0)
		return NULL;
	e = &m->slots[find(m, addr, hash_of(addr))];
	return e->workload != NULL ? e : NULL;
}

struct workload *
address_map_get(const struct address_map *m, const struct ip_addr *addr)
{
	const struct address_entry *e = address_map_find(m, addr);

	return e != NULL ? e->workload : NULL;
}

static void
grow(struct address_map *m, size_t slot_count)
{
	struct address_map more = {.slot_count = slot_count, .len = m->len};

	more.slots = xcalloc(more.slot_count, sizeof(*more.slots));
	for (size_t i = 0; i < m->slot_count; i++) {
		const struct address_entry *e = &m->slots[i];

		if (e->workload != NULL)
			more.slots[find(&more, &e->workload->ips[e->ip], e->hash)] = *e;
	}
	free(m->slots);
	*m = more;
}

/* At most three slots of four in use. */
static bool
is_full(const struct address_map *m)
{
	return m->len + 1 > m->slot_count - m->slot_count / 4;
}

void
address_map_reserve(struct address_map *m, size_t count)
{
	const size_t most = count + count / ROOM_SHARE;
	const size_t slots = most + most / 3 + SLOTS_FIRST;

	if (slots > m->slot_count)
		grow(m, slots);
}

void
address_map_set(struct address_map *m, struct workload *w, size_t ip)
{
	uint32_t hash = hash_of(&w->ips[ip]);
	size_t at = m->slot_count != 0 ? find(m, &w->ips[ip], hash) : 0;
	bool new = m->slot_count == 0 || m->slots[at].workload == NULL;

	if (new &&is_full(m)) {
		grow(m, m->slot_count + m->slot_count / 4 + SLOTS_FIRST);
		at = find(m, &w->ips[ip], hash);
	}
	m->len += new;
	m->slots[at] = (struct address_entry){w, (uint32_t)ip, hash};
}

/* What follows the gap moves up, unless it would come before where it belongs. */
void
address_map_remove(struct address_map *m, const struct ip_addr *addr)
{
	size_t gap;

	if (m->len == 0)
		return;
	gap = find(m, addr, hash_of(addr));
	if (m->slots[gap].workload == NULL)
		return;
	m->len--;
	m->slots[gap].workload = NULL;
	for (size_t i = after(m, gap); m->slots[i].workload != NULL; i = after(m, i)) {
		size_t home = home_of(m, m->slots[i].hash);

		if (steps(m, home, i) < steps(m, gap, i))
			continue;
		m->slots[gap] = m->slots[i];
		m->slots[i].workload = NULL;
		gap = i;
	}
}
