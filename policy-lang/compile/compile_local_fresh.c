/*
 * Sets of peers that no rule spoke of before: which of them take an address that was held
 * already. There are very many of those and few kinds of workloads, so a set is asked once
 * of each kind, and of kinds in a namespace only if it may take any there; one that has
 * networks in which there are any is asked of each address. (A pod that was edited is a kind
 * of its own.)
 */
#include <stdlib.h>

#include "policy-lang/compile/compile_state.h"

#define KIND_SLOTS 4096 /* a power of two; a kind that finds its place taken takes it */
#define WORD_BITS  64

/* Workloads that every set takes, or none of them; if places do not matter. */
struct kind {
	const struct workload_shape *shape; /* NULL: whatever they are */
	const struct ns *ns;                /* NULL: the place is free */
	const struct kube_ns *kube;
	struct str cluster;
};

/* What was found out of kinds: of each `words`, a bit for each set. */
struct answers {
	struct kind *kinds;
	uint64_t *bits;
	size_t words;
};

struct fresh {
	const struct side *side;
	const uint32_t *sets;
	size_t count;
	uint32_t *where; /* of these, those that may ask where a workload is */
	size_t where_count;
	struct answers takes;
	struct answers there; /* whether it may take any in a namespace */
};

/* ---- answers ---- */

static void
answers_init(struct answers *a, size_t words)
{
	a->words = words;
	a->kinds = xcalloc(KIND_SLOTS, sizeof(*a->kinds));
	a->bits = xcalloc(KIND_SLOTS * words, sizeof(*a->bits));
}

static void
answers_fini(struct answers *a)
{
	free(a->kinds);
	free(a->bits);
}

static size_t
slot_of(const struct kind *k)
{
	const uint64_t mixed =
	    ((uintptr_t)k->shape ^ (uintptr_t)k->kube << 1 ^ (uintptr_t)k->ns << 2) *
	    UINT64_C(0x9e3779b97f4a7c15);

	return mixed >> 32 & (KIND_SLOTS - 1);
}

static bool
same_kind(const struct kind *a, const struct kind *b)
{
	return a->shape == b->shape && a->ns == b->ns && a->kube == b->kube &&
	       a->cluster.ptr == b->cluster.ptr && a->cluster.len == b->cluster.len;
}

/* The bits of a kind; *out_known: else they are zero, to be filled in. */
static uint64_t *
answers_of(struct answers *a, const struct kind *kind, bool *out_known)
{
	const size_t slot = slot_of(kind);
	uint64_t *bits = &a->bits[slot * a->words];

	*out_known = same_kind(&a->kinds[slot], kind);
	if (*out_known)
		return bits;
	a->kinds[slot] = *kind;
	for (size_t i = 0; i < a->words; i++)
		bits[i] = 0;
	return bits;
}

static bool
has_bit(const uint64_t *bits, size_t i)
{
	return (bits[i / WORD_BITS] >> (i % WORD_BITS) & 1) != 0;
}

static void
set_bit(uint64_t *bits, size_t i)
{
	bits[i / WORD_BITS] |= UINT64_C(1) << (i % WORD_BITS);
}

/* ---- sets ---- */

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
	answers_init(&f->takes, (count + WORD_BITS - 1) / WORD_BITS);
	answers_init(&f->there, f->takes.words);
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
	answers_fini(&f->takes);
	answers_fini(&f->there);
	free(f->where);
	free(f);
}

/* A bit for each set that may take workloads of where this one is. */
static const uint64_t *
there_of(struct fresh *f, const struct workload *w)
{
	const struct kind kind = {NULL, w->ns, w->kube, w->where->cluster};
	bool known;
	uint64_t *there = answers_of(&f->there, &kind, &known);

	for (size_t i = 0; !known && i < f->count; i++) {
		if (place_set_is_there(f->side->sets[f->sets[i]], w))
			set_bit(there, i);
	}
	return there;
}

/* A bit for each set that takes it, wherever it is. */
static const uint64_t *
takes_of(struct fresh *f, const struct workload *w)
{
	const struct kind kind = {w->shape, w->ns, w->kube, w->where->cluster};
	bool known;
	uint64_t *takes = answers_of(&f->takes, &kind, &known);
	const uint64_t *there = known ? NULL : there_of(f, w);

	for (size_t i = 0; !known && i < f->count; i++) {
		if (has_bit(there, i) &&
		    place_set_takes_workload(f->side->sets[f->sets[i]], w))
			set_bit(takes, i);
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

	for (size_t word = 0; word < f->takes.words; word++) {
		for (uint64_t rest = takes[word]; rest != 0; rest &= rest - 1)
			out[count++] =
			    f->sets[word * WORD_BITS + (size_t)__builtin_ctzll(rest)];
	}
	return count;
}

/* ---- whom they take ---- */

bool
fresh_asks_where(const struct peer_set *set, const struct held_table *held)
{
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		if (held_may_be_in(held, f, &set->pods[f]) ||
		    (set->home.ptr != NULL && held_may_be_in(held, f, &set->nets[f])))
			return true;
	}
	return false;
}

bool
fresh_is_found(const struct fresh *f, const struct held_table *held)
{
	for (size_t i = 0; i < f->where_count; i++) {
		if (fresh_asks_where(f->side->sets[f->sets[f->where[i]]], held))
			return false;
	}
	return true;
}

bool
fresh_takes_others(const struct fresh *f)
{
	for (size_t i = 0; i < f->count; i++) {
		const struct rule *rule = f->side->sets[f->sets[i]]->rule;

		for (size_t j = 0; j < rule->peer_count; j++) {
			if (rule->peers[j].kind != PEER_WORKLOADS)
				return true;
		}
	}
	return false;
}

/* What fresh_find is at. */
struct search {
	struct fresh *f;
	const struct model *m;
	const struct held_table *held;
	void (*each)(void *ctx, uint32_t held);
	void *ctx;
};

static bool
may_be_at(const struct fresh *f, const struct ns *ns, const struct kube_ns *kube)
{
	bool may = false;

	for (size_t i = 0; i < f->count && !may; i++)
		may = place_set_may_be_at(f->side->sets[f->sets[i]], ns, kube);
	return may;
}

static void
find_addresses(const struct search *s, const struct workload *w)
{
	const uint64_t *takes = takes_of(s->f, w);
	uint64_t any = 0;

	for (size_t i = 0; i < s->f->takes.words; i++)
		any |= takes[i];
	for (size_t i = 0; i < w->ip_count && any != 0; i++) {
		uint32_t place = NONE;

		if (model_workload_at(s->m, &w->ips[i]) == w)
			place = held_find(s->held, &w->ips[i]);
		if (place != NONE)
			s->each(s->ctx, place);
	}
}

static void
find_in_kube(const struct search *s, struct str prefix, const struct kube_ns *kube)
{
	for (size_t i = model_first_displayed(s->m, prefix);
	     i < s->m->workload_count &&
	     str_starts(s->m->workloads[i]->shape->display, prefix);
	     i++) {
		if (place_same_kube(s->m->workloads[i]->kube, kube))
			find_addresses(s, s->m->workloads[i]);
	}
}

/* They are displayed by paths; others are not. */
static void
find_native(const struct search *s)
{
	const size_t end = model_first_displayed(s->m, STR("0")); /* behind '/' */
	const struct ns *last = NULL;
	bool may = false;

	for (size_t i = model_first_displayed(s->m, STR("/")); i < end; i++) {
		const struct workload *w = s->m->workloads[i];

		if (w->kube != NULL)
			continue;
		if (w->ns != last)
			may = may_be_at(s->f, w->ns, NULL);
		last = w->ns;
		if (may)
			find_addresses(s, w);
	}
}

void
fresh_find(struct fresh *f, const struct model *m, const struct held_table *held,
    struct arena *arena, void (*each)(void *ctx, uint32_t held), void *ctx)
{
	const struct search s = {f, m, held, each, ctx};

	for (size_t i = 0; i < m->kube_count; i++) {
		const struct kube_ns *kube = m->kube_namespaces[i];

		if (may_be_at(f, kube->ns, kube))
			find_in_kube(&s,
			    model_display_of_kube(arena, kube->cluster, kube->name),
			    kube);
	}
	find_native(&s);
}
