#include "policy-lang/compile/compile_space.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile/table64.h"

/* A set begins or has ended at an address. */
struct event {
	addr_num at;
	uint32_t set;
	bool begins;
};

static int
event_cmp(const void *a, const void *b)
{
	const struct event *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->set != y->set)
		return x->set < y->set ? -1 : 1;
	return (int)x->begins - (int)y->begins;
}

static addr_num
last_addr(unsigned family)
{
	return family_of(family) == IP_V4 ? (addr_num)UINT32_MAX : ~(addr_num)0;
}

/* The set's part of the space that no address of the model is in. */
static struct addrset
space_of(const struct peer_set *set, unsigned family, struct addr_range *all)
{
	if (!set->nameless)
		return set->nets[family];
	*all = (struct addr_range){.hi = last_addr(family)};
	return (struct addrset){.ranges = all, .count = 1};
}

static struct event *
make_events(const struct side *s, unsigned family, size_t *out_count)
{
	struct event *events;
	size_t count = 0, ranges = 0;

	for (size_t i = 0; i < s->set_count; i++)
		ranges += s->sets[i]->nets[family].count + 1;
	events = xcalloc(2 * ranges, sizeof(*events));
	for (uint32_t i = 0; i < s->set_count; i++) {
		struct addr_range all;
		const struct addrset space = space_of(s->sets[i], family, &all);
		const struct addrset *nets = &space;

		for (size_t j = 0; j < nets->count; j++) {
			events[count++] = (struct event){nets->ranges[j].lo, i, true};
			if (nets->ranges[j].hi != last_addr(family))
				events[count++] =
				    (struct event){nets->ranges[j].hi + 1, i, false};
		}
	}
	if (count > 1)
		qsort(events, count, sizeof(*events), event_cmp);
	*out_count = count;
	return events;
}

struct space {
	struct event *events;
	size_t event_count, at;
	addr_num last;
	uint32_t *sets; /* that hold at the present address, rising */
	size_t count;
	uint64_t hash; /* of these, under a key of this process: nobody can aim at it */
	struct table64 kinds; /* by hash */
};

struct space *
space_new(const struct side *s, unsigned family)
{
	struct space *space = xcalloc(1, sizeof(*space));

	space->events = make_events(s, family, &space->event_count);
	space->sets = xcalloc(s->set_count + 1, sizeof(*space->sets));
	space->last = last_addr(family);
	return space;
}

void
space_free(struct space *space)
{
	table64_fini(&space->kinds);
	free(space->events);
	free(space->sets);
	free(space);
}

size_t
space_most(const struct space *space)
{
	return space->event_count;
}

static size_t
place_of_set(const struct space *a, uint32_t set)
{
	size_t lo = 0, hi = a->count;

	while (lo < hi) {
		const size_t mid = lo + (hi - lo) / 2;

		if (a->sets[mid] < set)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

static void
change(struct space *a, const struct event *e)
{
	const size_t at = place_of_set(a, e->set);

	a->hash ^= map_hash((struct str){(const char *)&e->set, sizeof(e->set)});
	if (e->begins) {
		memmove(
		    &a->sets[at + 1], &a->sets[at], (a->count - at) * sizeof(*a->sets));
		a->sets[at] = e->set;
		a->count++;
	} else {
		a->count--;
		memmove(
		    &a->sets[at], &a->sets[at + 1], (a->count - at) * sizeof(*a->sets));
	}
}

bool
space_next(struct space *s, struct space_part *out)
{
	const uint32_t kind = (uint32_t)s->kinds.used;

	if (s->at == s->event_count)
		return false;
	out->lo = s->events[s->at].at;
	for (; s->at < s->event_count && s->events[s->at].at == out->lo; s->at++)
		change(s, &s->events[s->at]);
	out->hi = s->at < s->event_count ? s->events[s->at].at - 1 : s->last;
	out->sets = s->sets;
	out->count = s->count;
	out->kind = table64_intern(&s->kinds, s->hash, kind);
	out->is_new = out->kind == kind;
	return true;
}
