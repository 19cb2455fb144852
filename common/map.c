#include "common/map.h"

#include <endian.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

/*
 * Open addressing with linear probing. A slot is two words: the entry's index + 1
 * (0: empty) and 32 bits of its hash, so that neither growing nor a probe that misses
 * touches the keys. Removal shifts the following slots back: no tombstones.
 */
#define SLOT_WORDS 2
#define MIN_SLOTS  8

static uint64_t hash_key[2];
static pthread_once_t hash_key_once = PTHREAD_ONCE_INIT;

struct sip {
	uint64_t v0, v1, v2, v3;
};

static inline uint64_t
rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static inline __attribute__((always_inline)) void
sip_round(struct sip *s)
{
	s->v0 += s->v1;
	s->v1 = rotate(s->v1, 13) ^ s->v0;
	s->v0 = rotate(s->v0, 32);
	s->v2 += s->v3;
	s->v3 = rotate(s->v3, 16) ^ s->v2;
	s->v0 += s->v3;
	s->v3 = rotate(s->v3, 21) ^ s->v0;
	s->v2 += s->v1;
	s->v1 = rotate(s->v1, 17) ^ s->v2;
	s->v2 = rotate(s->v2, 32);
}

static inline void
sip_word(struct sip *s, uint64_t word)
{
	s->v3 ^= word;
	sip_round(s);
	sip_round(s);
	s->v0 ^= word;
}

static uint64_t
little_endian(const char *p, size_t len)
{
	uint64_t word = 0;

	memcpy(&word, p, len);
	return le64toh(word);
}

uint64_t
map_siphash(uint64_t key0, uint64_t key1, struct str data)
{
	struct sip s = {
	    .v0 = key0 ^ UINT64_C(0x736f6d6570736575),
	    .v1 = key1 ^ UINT64_C(0x646f72616e646f6d),
	    .v2 = key0 ^ UINT64_C(0x6c7967656e657261),
	    .v3 = key1 ^ UINT64_C(0x7465646279746573),
	};
	size_t i = 0;

	for (; data.len - i >= 8; i += 8)
		sip_word(&s, little_endian(data.ptr + i, 8));
	sip_word(
	    &s, (uint64_t)(data.len & 0xff) << 56 |
		    (i < data.len ? little_endian(data.ptr + i, data.len - i) : 0));
	s.v2 ^= 0xff;
	for (int round = 0; round < 4; round++)
		sip_round(&s);
	return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

/*
 * The kernel gives every process 16 random bytes at execve. They serve here (through
 * the hash, as libc uses them too) because they need no system call, which a sandbox
 * might forbid by the time of the first map.
 */
static void
hash_key_init(void)
{
	const char *random =
	    (const char *)getauxval(AT_RANDOM); /* NOLINT(performance-no-int-to-ptr) */
	uint64_t key0, key1;

	if (random == NULL)
		base_die("the kernel gave no randomness");
	key0 = little_endian(random, 8);
	key1 = little_endian(random + 8, 8);
	hash_key[0] = map_siphash(key0, key1, STR("map key 0"));
	hash_key[1] = map_siphash(key0, key1, STR("map key 1"));
}

uint64_t
map_hash(struct str key)
{
	if (pthread_once(&hash_key_once, hash_key_init) != 0)
		base_die("pthread_once failed");
	return map_siphash(hash_key[0], hash_key[1], key);
}

void
map_fini(struct map *m)
{
	free(m->entries);
	free(m->slots);
	*m = (struct map){0};
}

void
map_freeze(struct map *m, struct arena *a)
{
	struct map frozen = {.len = m->len, .cap = m->len, .slot_count = m->slot_count};

	if (m->len != 0) {
		frozen.entries = ARENA_ARRAY(a, m->len, struct map_entry);
		memcpy(frozen.entries, m->entries, m->len * sizeof(*m->entries));
		frozen.slots = ARENA_ARRAY(a, m->slot_count * SLOT_WORDS, uint32_t);
		memcpy(frozen.slots, m->slots,
		    m->slot_count * SLOT_WORDS * sizeof(*m->slots));
	}
	map_fini(m);
	*m = frozen;
}

static uint32_t
hash32(struct str key)
{
	return (uint32_t)map_hash(key);
}

/* The slot that holds `key`, or the empty one where it belongs. */
static size_t
find_slot(const struct map *m, struct str key, uint32_t hash)
{
	size_t mask = m->slot_count - 1;
	size_t i = hash & mask;

	for (;; i = (i + 1) & mask) {
		const uint32_t *slot = m->slots + i * SLOT_WORDS;

		if (slot[0] == 0)
			return i;
		if (slot[1] == hash && str_eq(m->entries[slot[0] - 1].key, key))
			return i;
	}
}

void *
map_get(const struct map *m, struct str key)
{
	uint32_t index;

	if (m->len == 0)
		return NULL;
	index = m->slots[find_slot(m, key, hash32(key)) * SLOT_WORDS];
	return index != 0 ? m->entries[index - 1].value : NULL;
}

static void
grow_slots(struct map *m)
{
	size_t count = m->slot_count != 0 ? m->slot_count * 2 : MIN_SLOTS;
	uint32_t *slots = xcalloc(count, SLOT_WORDS * sizeof(*slots));

	for (size_t i = 0; i < m->slot_count; i++) {
		const uint32_t *old = m->slots + i * SLOT_WORDS;
		size_t at = old[1] & (count - 1);

		if (old[0] == 0)
			continue;
		while (slots[at * SLOT_WORDS] != 0)
			at = (at + 1) & (count - 1);
		memcpy(slots + at * SLOT_WORDS, old, SLOT_WORDS * sizeof(*slots));
	}
	free(m->slots);
	m->slots = slots;
	m->slot_count = count;
}

void *
map_set(struct map *m, struct str key, void *value)
{
	uint32_t hash = hash32(key);
	uint32_t *slot;

	/* At most three slots of four in use. */
	if (m->len + 1 > m->slot_count / 4 * 3)
		grow_slots(m);
	slot = m->slots + find_slot(m, key, hash) * SLOT_WORDS;
	if (slot[0] != 0) {
		struct map_entry *entry = &m->entries[slot[0] - 1];
		void *former = entry->value;

		entry->value = value;
		return former;
	}
	if (m->len == m->cap) {
		if (m->len >= UINT32_MAX / 2)
			base_die("map too large");
		m->cap = m->cap != 0 ? m->cap * 2 : MIN_SLOTS;
		m->entries = xreallocarray(m->entries, m->cap, sizeof(*m->entries));
	}
	m->entries[m->len++] = (struct map_entry){key, value};
	slot[0] = (uint32_t)m->len;
	slot[1] = hash;
	return NULL;
}

/* Empties slot `hole`, moving back what probed past it. */
static void
close_gap(struct map *m, size_t hole)
{
	size_t mask = m->slot_count - 1;

	for (size_t i = (hole + 1) & mask; m->slots[i * SLOT_WORDS] != 0;
	     i = (i + 1) & mask) {
		size_t home = m->slots[i * SLOT_WORDS + 1] & mask;

		/* It may move if its home is not between the hole and itself. */
		if (((i - home) & mask) < ((i - hole) & mask))
			continue;
		memcpy(m->slots + hole * SLOT_WORDS, m->slots + i * SLOT_WORDS,
		    SLOT_WORDS * sizeof(*m->slots));
		hole = i;
	}
	m->slots[hole * SLOT_WORDS] = 0;
}

void *
map_remove(struct map *m, struct str key)
{
	size_t at, last_at;
	uint32_t index;
	void *former;

	if (m->len == 0)
		return NULL;
	at = find_slot(m, key, hash32(key));
	index = m->slots[at * SLOT_WORDS];
	if (index == 0)
		return NULL;
	former = m->entries[index - 1].value;
	if (index != m->len) {
		struct str last = m->entries[m->len - 1].key;

		last_at = find_slot(m, last, hash32(last));
		m->slots[last_at * SLOT_WORDS] = index;
		m->entries[index - 1] = m->entries[m->len - 1];
	}
	close_gap(m, at);
	m->len--;
	return former;
}
