/*
 * The files of a live model by the names of their sources. Of a cluster that is watched each
 * object is a file: a place has no more of it than a pointer and half of the name's hash,
 * keyed as a map's, by which it is passed over or moved without looking at the file.
 */
#include <stdlib.h>

#include "policy-lang/live/live_internal.h"

#define SLOTS_FIRST 64

static uint32_t
hash_of(struct str name)
{
	return (uint32_t)map_hash(name);
}

/* The slot that has the name, or the empty one where it belongs. */
static size_t
find(const struct live_files *t, struct str name, uint32_t hash)
{
	size_t mask = t->slot_count - 1, i = hash & mask;

	while (t->items[i] != NULL &&
	       (t->hashes[i] != hash || !str_eq(t->items[i]->source->name, name)))
		i = (i + 1) & mask;
	return i;
}

static void
resize(struct live_files *t, size_t slot_count)
{
	const size_t mask = slot_count - 1;
	struct live_files more = {
	    .items = xcalloc(slot_count, sizeof(*more.items)),
	    .hashes = xcalloc(slot_count, sizeof(*more.hashes)),
	    .slot_count = slot_count,
	    .used = t->used,
	};

	for (size_t i = 0; i < t->slot_count; i++) {
		size_t at = t->hashes[i] & mask;

		if (t->items[i] == NULL)
			continue;
		while (more.items[at] != NULL)
			at = (at + 1) & mask;
		more.items[at] = t->items[i];
		more.hashes[at] = t->hashes[i];
	}
	live_files_fini(t);
	*t = more;
}

/* At most three slots of four in use. */
void
live_files_reserve(struct live_files *t, size_t count)
{
	size_t slot_count = t->slot_count != 0 ? t->slot_count : SLOTS_FIRST;

	while (count > slot_count / 4 * 3)
		slot_count *= 2;
	if (slot_count != t->slot_count)
		resize(t, slot_count);
}

struct live_file *
live_files_get(const struct live_files *t, struct str name)
{
	return t->used != 0 ? t->items[find(t, name, hash_of(name))] : NULL;
}

struct live_file *
live_files_put(struct live_files *t, struct live_file *f)
{
	const uint32_t hash = hash_of(f->source->name);
	struct live_file *former;
	size_t at;

	live_files_reserve(t, t->used + 1);
	at = find(t, f->source->name, hash);
	former = t->items[at];
	t->items[at] = f;
	t->hashes[at] = hash;
	t->used += former == NULL;
	return former;
}

/* What follows the gap moves up, unless it would come before where it belongs. */
void
live_files_remove(struct live_files *t, struct str name)
{
	const size_t mask = t->slot_count - 1;
	size_t gap = t->used != 0 ? find(t, name, hash_of(name)) : 0;

	if (t->used == 0 || t->items[gap] == NULL)
		return;
	t->used--;
	for (size_t i = (gap + 1) & mask; t->items[i] != NULL; i = (i + 1) & mask) {
		if (((i - t->hashes[i]) & mask) < ((i - gap) & mask))
			continue;
		t->items[gap] = t->items[i];
		t->hashes[gap] = t->hashes[i];
		gap = i;
	}
	t->items[gap] = NULL;
}

void
live_files_fini(struct live_files *t)
{
	free(t->items);
	free(t->hashes);
	*t = (struct live_files){0};
}
