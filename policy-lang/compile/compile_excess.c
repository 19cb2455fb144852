#include "policy-lang/compile/compile_excess.h"

#include <stdlib.h>

#include "policy-lang/compile/compile_cutters.h"

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
		x->shares[x->share_count++] = (struct excess_share){
		    .loc = policy != NULL ? policy->loc : loc,
		    .tenant = policy != NULL ? ns_tenant(policy->level) : STR(""),
		};
	}
	x->shares[at].count += count;
}

/* The shares of one tenant follow each other, the greatest first. */
static int
share_cmp(const void *a, const void *b)
{
	const struct excess_share *x = a, *y = b;
	const int order = str_cmp(x->tenant, y->tenant);

	if (order != 0)
		return order;
	if (x->count != y->count)
		return x->count > y->count ? -1 : 1;
	return loc_cmp(x->loc, y->loc);
}

/* What a tenant has; the first is nobody's and that of policy at /. */
struct account {
	const struct excess_share *next;
	uint64_t left;
};

static struct account *
make_accounts(const struct excess *x, size_t *out_count)
{
	struct account *all = xcalloc(x->share_count + 1, sizeof(*all));
	struct str tenant = STR("");
	size_t count = 1;

	for (size_t i = 0; i < x->share_count; i++) {
		const struct excess_share *share = &x->shares[i];

		if (!str_eq(share->tenant, tenant))
			count++;
		tenant = share->tenant;
		if (all[count - 1].next == NULL)
			all[count - 1].next = share;
		all[count - 1].left += share->count;
	}
	*out_count = count;
	return all;
}

/* Tells them of the accounts until there is no more left than `room`, and one at least. */
static void
tell_accounts(struct compiler *c, struct account *all, size_t count, const char *what,
    uint32_t most, uint64_t room)
{
	uint64_t left = 0;

	for (size_t i = 0; i < count; i++)
		left += all[i].left;
	do {
		struct account *greatest = all;

		for (size_t i = 1; i < count; i++) {
			if (all[i].left > greatest->left)
				greatest = &all[i];
		}
		diag_say(c->diags, CODE_PROGRAM_TOO_LARGE, greatest->next->loc,
		    "the program of node %.*s needs more than %u %s, of which this "
		    "document has %llu",
		    STR_ARG(c->options->node), most, what,
		    (unsigned long long)greatest->next->count);
		left -= greatest->next->count;
		greatest->left -= greatest->next->count;
		greatest->next++;
	} while (left > room);
}

void
excess_tell(struct compiler *c, struct excess *x, const char *what, uint32_t most,
    struct loc at)
{
	struct account *all;
	size_t count;

	if (x->share_count > 1)
		qsort(x->shares, x->share_count, sizeof(*x->shares), share_cmp);
	all = make_accounts(x, &count);
	if (x->share_count == 0)
		diag_say(c->diags, CODE_PROGRAM_TOO_LARGE, at,
		    "the program of node %.*s needs more than %u %s",
		    STR_ARG(c->options->node), most, what);
	else if (count == 1 || all[0].left >= most)
		tell_accounts(c, all, 1, what, most, most / 2);
	else
		tell_accounts(
		    c, all + 1, count - 1, what, most, (most - all[0].left) / 2);
	c->failed = true;
	free(all);
	table64_fini(&x->numbers);
	free(x->shares);
	*x = (struct excess){0};
}

/* ---- elements ---- */

/* Of one direction. */
struct classes_by_id {
	struct table64 places; /* the class's number, by its id */
	struct cutters *cutters;
};

static void
index_classes(const struct side *s, struct classes_by_id *out)
{
	const struct classes *classes = s->classes;

	if (classes == NULL || classes->set_first == NULL)
		return; /* no cell was emitted */
	out->cutters = cutters_of_classes(s);
	for (uint32_t i = 0; i < classes->count; i++)
		(void)table64_intern(&out->places, classes->items[i].id, i);
}

/* The direction whose classes a set's elements speak of; DIRECTION_COUNT: none. */
static unsigned
direction_of(enum table_set_id set)
{
	return set >= SET_CELL4_IN && set <= SET_HOST6_OUT_ANY
		   ? ((unsigned)set - SET_CELL4_IN) / FAMILY_COUNT % DIRECTION_COUNT
		   : (unsigned)DIRECTION_COUNT;
}

/* A cell of a class may be there because somebody cut that out; of class 0, because of the rule
 * whose number it bears. */
static void
charge_element(struct excess *x, const struct side *s, struct classes_by_id *ids,
    enum table_set_id set, const struct table_element *e)
{
	const struct policy *policy = chains_policy(s->c, e->value);
	const struct rule *rule = chains_rule(s->c, e->value);
	const uint32_t tenant = cutters_tenant(ids->cutters, policy);
	const uint32_t at = table64_intern(&ids->places, e->class_id, NONE - 1);
	uint32_t who = tenant;

	if (at != NONE - 1)
		who = cutters_blame(ids->cutters, at,
		    ((unsigned)set - SET_CELL4_IN) % FAMILY_COUNT, tenant,
		    rule != NULL && !rule->any_port ? rule->port_count : 1);
	if (who != tenant && who != 0)
		policy = cutters_policy(ids->cutters, &s->classes->items[at], who);
	excess_charge(x, policy, e->loc, 1);
}

void
excess_of_elements(struct compiler *c, enum table_set_id only, const char *what,
    uint32_t most, struct loc at)
{
	struct classes_by_id ids[DIRECTION_COUNT] = {0};
	struct excess x = {0};

	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		index_classes(&c->sides[d], &ids[d]);
	for (unsigned i = 0; i < SET_COUNT; i++) {
		const struct element_list *list = &c->lists[i];
		const enum table_set_id set = (enum table_set_id)i;
		const unsigned d = direction_of(set);

		if (only != SET_COUNT && set != only)
			continue;
		/* What is only counted is in no list. */
		for (size_t j = 0; list->items != NULL && j < list->count; j++) {
			if (d == DIRECTION_COUNT || ids[d].cutters == NULL)
				excess_charge(&x, NULL, list->items[j].loc, 1);
			else
				charge_element(
				    &x, &c->sides[d], &ids[d], set, &list->items[j]);
		}
	}
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		table64_fini(&ids[d].places);
		cutters_free(ids[d].cutters);
	}
	excess_tell(c, &x, what, most, at);
}
