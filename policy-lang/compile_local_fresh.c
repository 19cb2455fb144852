/*
 * Sets of peers that no rule spoke of before: which of them take an address that was held
 * already. There are very many of those and few kinds of workloads, so a set is asked once
 * of each kind; only one that has networks is asked of each address.
 */
#include <stdlib.h>

#include "policy-lang/compile_state.h"

#define KIND_SLOTS 4096 /* a power of two; a kind that finds its place taken takes it */
#define WORD_BITS  64

/* Workloads that every set takes, or none of them; if places do not matter. */
struct kind {
	const struct workload_shape *shape; /* NULL: the place is free */
	const struct ns *ns;
	const struct kube_ns *kube;
	struct str cluster;
};

struct fresh {
	const struct side *side;
	const uint32_t *sets;
	size_t count;
	uint32_t *where; /* of these, those that may ask where a workload is */
	size_t where_count;
	struct kind *kinds;
	uint64_t *takes; /* of each kind's place `words`: a bit for each set */
	size_t words;
};

static bool
may_ask_where(const struct peer_set *set)
{
	return set->pods[0].count + set->pods[1].count != 0 ||
	       (set->home.ptr != NULL && set->nets[0].count + set->nets[1].count != 0);
}

struct fresh *
fresh_new(const struct side *side, const uint32_t *sets, size_t count)
{
	struct fresh *f = xcalloc(1, sizeof(*f));

	f->side = side;
	f->sets = sets;
	f->count = count;
	f->words = (count + WORD_BITS - 1) / WORD_BITS;
	f->kinds = xcalloc(KIND_SLOTS, sizeof(*f->kinds));
	f->takes = xcalloc(KIND_SLOTS * f->words, sizeof(*f->takes));
	f->where = xcalloc(count, sizeof(*f->where));
	for (uint32_t i = 0; i < count; i++) {
		if (may_ask_where(side->sets[sets[i]]))
			f->where[f->where_count++] = i;
	}
	return f;
}

void
fresh_free(struct fresh *f)
{
	if (f == NULL)
		return;
	free(f->kinds);
	free(f->takes);
	free(f->where);
	free(f);
}

static size_t
slot_of(const struct workload *w)
{
	const uint64_t mixed =
	    ((uintptr_t)w->shape ^ (uintptr_t)w->kube << 1 ^ (uintptr_t)w->ns << 2) *
	    UINT64_C(0x9e3779b97f4a7c15);

	return mixed >> 32 & (KIND_SLOTS - 1);
}

static bool
has_bit(const uint64_t *bits, size_t i)
{
	return (bits[i / WORD_BITS] >> (i % WORD_BITS) & 1) != 0;
}

/* A bit for each set that takes it, wherever it is. */
static const uint64_t *
takes_of(struct fresh *f, const struct workload *w)
{
	const size_t slot = slot_of(w);
	struct kind *kind = &f->kinds[slot];
	uint64_t *takes = &f->takes[slot * f->words];

	if (kind->shape == w->shape && kind->ns == w->ns && kind->kube == w->kube &&
	    kind->cluster.ptr == w->cluster.ptr && kind->cluster.len == w->cluster.len)
		return takes;
	*kind = (struct kind){w->shape, w->ns, w->kube, w->cluster};
	for (size_t i = 0; i < f->words; i++)
		takes[i] = 0;
	for (size_t i = 0; i < f->count; i++) {
		if (place_set_takes_workload(f->side->sets[f->sets[i]], w))
			takes[i / WORD_BITS] |= UINT64_C(1) << (i % WORD_BITS);
	}
	return takes;
}

/* Those that take it because of where it is, and not for what it is. */
static size_t
add_where(
    const struct fresh *f, const struct held *h, const uint64_t *takes, uint32_t *out)
{
	struct place place = {.family = h->family, .workload = held_owner(h)};
	size_t count = 0;
	bool known = false;

	for (size_t i = 0; i < f->where_count; i++) {
		const uint32_t number = f->sets[f->where[i]];
		const struct peer_set *set = f->side->sets[number];

		if (has_bit(takes, f->where[i]) ||
		    !place_set_asks_where(set, place.workload))
			continue;
		if (!known) { /* memory is not looked into without need */
			struct ip_addr addr = held_addr(h);

			place.addr = addr_to_num(&addr);
			known = true;
		}
		if (place_set_takes_pod_addr(set, &place))
			out[count++] = number;
	}
	return count;
}

size_t
fresh_of(struct fresh *f, const struct held *h, uint32_t *out)
{
	const uint64_t *takes = takes_of(f, held_owner(h));
	size_t count = add_where(f, h, takes, out);

	for (size_t word = 0; word < f->words; word++) {
		for (uint64_t rest = takes[word]; rest != 0; rest &= rest - 1)
			out[count++] =
			    f->sets[word * WORD_BITS + (size_t)__builtin_ctzll(rest)];
	}
	return count;
}
