/*
 * Hash map from byte strings to pointers; keyed SipHash, so that nobody who
 * chooses keys can choose collisions. Keys are borrowed: they must outlive the
 * map. Iteration is in order of insertion (removal moves the last entry into the
 * gap), so output that must be sorted is sorted by its writer.
 */
#ifndef COMMON_MAP_H
#define COMMON_MAP_H

#include "common/str.h"

struct map_entry {
	struct str key;
	void *value;
};

struct map {
	struct map_entry *entries; /* [0, len): iterate here */
	size_t len;
	size_t cap;
	uint32_t *slots; /* private */
	size_t slot_count;
};

/* {0} is an empty map. Frees what the map owns, not keys or values. */
void map_fini(struct map *m);
/* Moves what the map owns into the arena: from then on it is only read, and needs
 * no map_fini. */
void map_freeze(struct map *m, struct arena *a);
/* The value under `key`, NULL if there is none. */
MUST_CHECK void *map_get(const struct map *m, struct str key);
/* Adds or replaces; returns the former value, NULL if there was none. `value`
 * must not be NULL. */
void *map_set(struct map *m, struct str key, void *value);
/* Removes; returns the former value, NULL if there was none. */
void *map_remove(struct map *m, struct str key);

/*
 * For caches that compare what they find: fast, and not keyed. Whoever makes keys collide
 * only loses the cache's help. The high bits are the good ones.
 */
MUST_CHECK static inline uint64_t
map_cache_hash(struct str key)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15);
	uint64_t word = 0, hash = key.len;
	uint32_t half[2];

	for (size_t i = 0; key.len > i + sizeof(word); i += sizeof(word)) {
		memcpy(&word, key.ptr + i, sizeof(word));
		hash = (hash ^ word) * odd;
		hash ^= hash >> 32;
	}
	/* The end, whether or not some of it has been seen. */
	if (key.len >= sizeof(word)) {
		memcpy(&word, key.ptr + key.len - sizeof(word), sizeof(word));
	} else if (key.len >= sizeof(half[0])) {
		memcpy(&half[0], key.ptr, sizeof(half[0]));
		memcpy(&half[1], key.ptr + key.len - sizeof(half[1]), sizeof(half[1]));
		word = (uint64_t)half[1] << 32 | half[0];
	} else if (key.len != 0) {
		word = (uint64_t)(unsigned char)key.ptr[0] |
		       (uint64_t)(unsigned char)key.ptr[key.len / 2] << 8 |
		       (uint64_t)(unsigned char)key.ptr[key.len - 1] << 16;
	}
	return (hash ^ word) * odd;
}

/* SipHash-2-4 with a key of this process's own. */
MUST_CHECK uint64_t map_hash(struct str key);
/* SipHash-2-4 with a given key (little-endian halves), for fixed vectors. */
MUST_CHECK uint64_t map_siphash(uint64_t key0, uint64_t key1, struct str data);

#endif
