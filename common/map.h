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
/* Gives back most of the room that is not used. */
void map_shrink(struct map *m);
/* The value under `key`, NULL if there is none. */
MUST_CHECK void *map_get(const struct map *m, struct str key);
/* The bytes of an entry's own key, which was borrowed when it was added, for who wants
 * them back; NULL if there is none. */
MUST_CHECK char *map_key(const struct map *m, struct str key);
/* Adds or replaces; returns the former value, NULL if there was none. `value`
 * must not be NULL. */
void *map_set(struct map *m, struct str key, void *value);
/* Removes; returns the former value, NULL if there was none. */
void *map_remove(struct map *m, struct str key);

/* SipHash-2-4 with a key of this process's own. */
MUST_CHECK uint64_t map_hash(struct str key);
/* SipHash-2-4 with a given key (little-endian halves), for fixed vectors. */
MUST_CHECK uint64_t map_siphash(uint64_t key0, uint64_t key1, struct str data);

#endif
