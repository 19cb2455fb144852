#include "policy-lang/compile/compile_excess.h"

#include <stdlib.h>

void
excess_charge(
    struct excess *x, const struct policy *policy, struct loc loc, uint64_t count)
{
	const void *who = policy != NULL ? (const void *)policy : loc.source;
	uint32_t at;

	if (who == NULL)
		return;
	at = table64_intern(
	    &x->numbers, (uint64_t)(uintptr_t)who, (uint32_t)x->share_count);
	if (at == x->share_count) {
		if (x->share_count == x->cap) {
			x->cap = x->cap == 0 ? 16 : 2 * x->cap;
			x->shares =
			    xreallocarray(x->shares, x->cap, sizeof(*x->shares));
		}
		x->shares[x->share_count++] =
		    (struct excess_share){.loc = policy != NULL ? policy->loc : loc};
	}
	x->shares[at].count += count;
}

static int
share_cmp(const void *a, const void *b)
{
	const struct excess_share *x = a, *y = b;

	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return loc_cmp(x->loc, y->loc);
}

void
excess_tell(struct compiler *c, struct excess *x, const char *what, uint32_t most,
    struct loc at)
{
	uint64_t left = 0;

	for (size_t i = 0; i < x->share_count; i++)
		left += x->shares[i].count;
	if (x->share_count > 1)
		qsort(x->shares, x->share_count, sizeof(*x->shares), share_cmp);
	if (x->share_count == 0)
		diag_say(c->diags, CODE_PROGRAM_TOO_LARGE, at,
		    "the program of node %.*s needs more than %u %s",
		    STR_ARG(c->options->node), most, what);
	for (size_t i = 0; i < x->share_count && (i == 0 || left > most / 2); i++) {
		const struct excess_share *share = &x->shares[i];

		diag_say(c->diags, CODE_PROGRAM_TOO_LARGE, share->loc,
		    "the program of node %.*s needs more than %u %s, of which this "
		    "document has %llu",
		    STR_ARG(c->options->node), most, what,
		    (unsigned long long)share->count);
		left -= share->count;
	}
	c->failed = true;
	table64_fini(&x->numbers);
	free(x->shares);
	*x = (struct excess){0};
}

/* ---- elements ---- */

/* Of one direction: who cut each class out, by the class's number. */
struct cutters {
	struct table64 classes;
	const struct peer_set **sets;
};

const struct peer_set *
excess_cutter(const struct side *s, const struct class_info *class)
{
	const uint32_t *first = s->classes->set_first;
	uint32_t best = class->sets[0];

	for (size_t i = 1; i < class->set_count; i++) {
		const uint32_t set = class->sets[i];

		if (first[set + 1] - first[set] < first[best + 1] - first[best])
			best = set;
	}
	return s->sets[best];
}

static void
find_cutters(const struct side *s, struct cutters *out)
{
	const struct classes *classes = s->classes;

	if (classes == NULL || classes->set_first == NULL)
		return; /* no cell was emitted */
	out->sets = xcalloc(classes->count + 1, sizeof(*out->sets));
	for (uint32_t i = 0; i < classes->indexed; i++) {
		out->sets[i] = excess_cutter(s, &classes->items[i]);
		(void)table64_intern(&out->classes, classes->items[i].id, i);
	}
}

/* The direction whose classes a set's elements speak of; DIRECTION_COUNT: none. */
static unsigned
direction_of(enum table_set_id set)
{
	return set >= SET_CELL4_IN && set <= SET_HOST6_OUT_ANY
		   ? ((unsigned)set - SET_CELL4_IN) / FAMILY_COUNT % DIRECTION_COUNT
		   : (unsigned)DIRECTION_COUNT;
}

/* A cell of a class is there because somebody cut that out; of class 0, because of the rule
 * whose number it bears. */
static void
charge_element(struct excess *x, struct compiler *c, struct cutters *cutters,
    unsigned dir, const struct table_element *e)
{
	const struct peer_set *set;
	uint32_t at;

	if (dir == DIRECTION_COUNT || cutters[dir].sets == NULL) {
		excess_charge(x, NULL, e->loc, 1);
		return;
	}
	at = table64_intern(&cutters[dir].classes, e->class_id, UINT32_MAX - 1);
	if (at == UINT32_MAX - 1) {
		excess_charge(x, chains_policy(c, e->value), e->loc, 1);
		return;
	}
	set = cutters[dir].sets[at];
	excess_charge(x, set->rule != NULL ? set->rule->policy : NULL, set->loc, 1);
}

void
excess_of_elements(struct compiler *c, bool (*kind)(enum table_set_id set),
    const char *what, uint32_t most, struct loc at)
{
	struct cutters cutters[DIRECTION_COUNT] = {0};
	struct excess x = {0};

	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		find_cutters(&c->sides[d], &cutters[d]);
	for (unsigned i = 0; i < SET_COUNT; i++) {
		const struct element_list *list = &c->lists[i];
		const unsigned dir = direction_of((enum table_set_id)i);

		if (kind != NULL && !kind((enum table_set_id)i))
			continue;
		/* What is only counted is in no list. */
		for (size_t j = 0; list->items != NULL && j < list->count; j++)
			charge_element(&x, c, cutters, dir, &list->items[j]);
	}
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		table64_fini(&cutters[d].classes);
		free(cutters[d].sets);
	}
	excess_tell(c, &x, what, most, at);
}
