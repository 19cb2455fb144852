/*
 * Names of objects that some source has, as hashes, and numbers of rules, which are hashes of
 * what they are called: a set of numbers that are as good as random, so that each is its own
 * hash.
 */
#include <stdlib.h>

#include "policy-lang/live/live_internal.h"

#define SLOTS_FIRST 64

/* 0 is an empty slot: two names in 2^64 share a number for that. */
static uint64_t
claim_of(uint64_t hash)
{
	return hash != 0 ? hash : 1;
}

static size_t
find(const struct live_claims *c, uint64_t claim)
{
	size_t mask = c->slot_count - 1, i = (size_t)claim & mask;

	while (c->slots[i] != 0 && c->slots[i] != claim)
		i = (i + 1) & mask;
	return i;
}

static void
grow(struct live_claims *c)
{
	struct live_claims more = {
	    .slot_count = c->slot_count != 0 ? c->slot_count * 2 : SLOTS_FIRST,
	    .used = c->used,
	};

	more.slots = xcalloc(more.slot_count, sizeof(*more.slots));
	for (size_t i = 0; i < c->slot_count; i++) {
		if (c->slots[i] != 0)
			more.slots[find(&more, c->slots[i])] = c->slots[i];
	}
	free(c->slots);
	*c = more;
}

bool
live_claims_add(struct live_claims *c, uint64_t hash)
{
	uint64_t claim = claim_of(hash);
	size_t at;

	/* At most three slots of four in use. */
	if (c->used + 1 > c->slot_count / 4 * 3)
		grow(c);
	at = find(c, claim);
	if (c->slots[at] != 0)
		return false;
	c->slots[at] = claim;
	c->used++;
	return true;
}

/* What follows the gap moves up, unless it would come before where it belongs. */
void
live_claims_remove(struct live_claims *c, uint64_t hash)
{
	size_t mask = c->slot_count - 1;
	size_t gap = c->used != 0 ? find(c, claim_of(hash)) : 0;

	if (c->used == 0 || c->slots[gap] == 0)
		return;
	c->slots[gap] = 0;
	c->used--;
	for (size_t i = (gap + 1) & mask; c->slots[i] != 0; i = (i + 1) & mask) {
		size_t home = (size_t)c->slots[i] & mask;

		if (((i - home) & mask) < ((i - gap) & mask))
			continue;
		c->slots[gap] = c->slots[i];
		c->slots[i] = 0;
		gap = i;
	}
}

void
live_claims_fini(struct live_claims *c)
{
	free(c->slots);
	*c = (struct live_claims){0};
}
