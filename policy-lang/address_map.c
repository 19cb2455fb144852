#include "policy-lang/address_map.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/model.h"

#define SLOTS_FIRST 16

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
	size_t mask = m->slot_count - 1;

	for (size_t i = hash & mask;; i = (i + 1) & mask) {
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
grow(struct address_map *m)
{
	struct address_map more = {
	    .slot_count = m->slot_count != 0 ? m->slot_count * 2 : SLOTS_FIRST,
	    .len = m->len,
	};

	more.slots = xcalloc(more.slot_count, sizeof(*more.slots));
	for (size_t i = 0; i < m->slot_count; i++) {
		const struct address_entry *e = &m->slots[i];

		if (e->workload != NULL)
			more.slots[find(&more, &e->workload->ips[e->ip], e->hash)] = *e;
	}
	free(m->slots);
	*m = more;
}

void
address_map_set(struct address_map *m, struct workload *w, size_t ip)
{
	uint32_t hash = hash_of(&w->ips[ip]);
	size_t at = m->slot_count != 0 ? find(m, &w->ips[ip], hash) : 0;
	bool new = m->slot_count == 0 || m->slots[at].workload == NULL;

	/* At most three slots of four in use. */
	if (new && m->len + 1 > m->slot_count / 4 * 3) {
		grow(m);
		at = find(m, &w->ips[ip], hash);
	}
	m->len += new;
	m->slots[at] = (struct address_entry){w, (uint32_t)ip, hash};
}

/* What follows the gap moves up, unless it would come before where it belongs. */
void
address_map_remove(struct address_map *m, const struct ip_addr *addr)
{
	size_t mask = m->slot_count - 1, gap;

	if (m->len == 0)
		return;
	gap = find(m, addr, hash_of(addr));
	if (m->slots[gap].workload == NULL)
		return;
	m->len--;
	m->slots[gap].workload = NULL;
	for (size_t i = (gap + 1) & mask; m->slots[i].workload != NULL;
	     i = (i + 1) & mask) {
		size_t home = m->slots[i].hash & mask;

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		m->slots[gap] = m->slots[i];
		m->slots[i].workload = NULL;
		gap = i;
	}
}
