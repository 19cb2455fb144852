#include "policy-lang/compile/table64.h"

#include <stdlib.h>
#include <string.h>

#define NONE UINT32_MAX

static size_t
table64_slot(const struct table64 *t, uint64_t key)
{
	size_t i = (size_t)((key * 0x9e3779b97f4a7c15u) >> 20) & (t->slots - 1);

	while (t->values[i] != NONE && t->keys[i] != key)
		i = (i + 1) & (t->slots - 1);
	return i;
}

static void
table64_grow(struct table64 *t)
{
	struct table64 old = *t;

	t->slots = old.slots == 0 ? 256 : 2 * old.slots;
	t->keys = xcalloc(t->slots, sizeof(*t->keys));
	t->values = xcalloc(t->slots, sizeof(*t->values));
	memset(t->values, 0xff, t->slots * sizeof(*t->values));
	for (size_t i = 0; i < old.slots; i++) {
		size_t slot;

		if (old.values[i] == NONE)
			continue;
		slot = table64_slot(t, old.keys[i]);
		t->keys[slot] = old.keys[i];
		t->values[slot] = old.values[i];
	}
	free(old.keys);
	free(old.values);
}

uint32_t
table64_intern(struct table64 *t, uint64_t key, uint32_t value)
{
	size_t slot;

	if (2 * (t->used + 1) > t->slots)
		table64_grow(t);
	slot = table64_slot(t, key);
	if (t->values[slot] != NONE)
		return t->values[slot];
	t->keys[slot] = key;
	t->values[slot] = value;
	t->used++;
	return value;
}

void
table64_fini(struct table64 *t)
{
	free(t->keys);
	free(t->values);
}

void
table64_copy(struct table64 *to, const struct table64 *from)
{
	*to = *from;
	if (from->slots == 0)
		return;
	to->keys = xcalloc(from->slots, sizeof(*to->keys));
	to->values = xcalloc(from->slots, sizeof(*to->values));
	memcpy(to->keys, from->keys, from->slots * sizeof(*to->keys));
	memcpy(to->values, from->values, from->slots * sizeof(*to->values));
}
