#include "policy-lang/compile/compile_budget.h"

#include <stdlib.h>

#include "common/limits.h"
#include "policy-lang/compile/compile_excess.h"

/* Networks are listed by the hundred, ports hardly ever: so many classes weigh as much as one
 * cell of a class. */
#define CUTS_PER_CELL 16

struct account {
	struct str tenant; /* "": policy at /, of who administers all; has no limit */
	uint64_t count;
	size_t cuts[DIRECTION_COUNT]; /* classes that are there because of him */
	bool over;
};

/* What a policy has of its tenant's. */
struct share {
	const struct policy *policy;
	struct account *account;
	uint64_t count;
};

struct budget {
	struct arena *arena; /* the compiler's scratch */
	struct map accounts;
	struct share *shares;
	uint32_t share_count, share_cap;
	struct table64 by_policy; /* -> their place among shares */
	struct table64 by_number; /* -> their place in share_of_number */
	uint32_t *share_of_number;
	uint32_t number_count, number_cap;
	uint32_t nobody;                    /* the share of what is no policy's */
	uint32_t *cutters[DIRECTION_COUNT]; /* class -> the share of who cut it out */
};

static struct account *
account_of(struct budget *b, const struct policy *policy)
{
	const struct str tenant = policy != NULL ? ns_tenant(policy->level) : STR("");
	struct account *a = map_get(&b->accounts, tenant);

	if (a != NULL)
		return a;
	a = ARENA_NEW(b->arena, struct account);
	a->tenant = tenant;
	(void)map_set(&b->accounts, tenant, a);
	return a;
}

static uint32_t
share_of(struct budget *b, const struct policy *policy)
{
	const uint32_t at =
	    table64_intern(&b->by_policy, (uint64_t)(uintptr_t)policy, b->share_count);

	if (at != b->share_count)
		return at;
	if (b->share_count == b->share_cap) {
		b->share_cap = b->share_cap == 0 ? 64 : 2 * b->share_cap;
		b->shares = xreallocarray(b->shares, b->share_cap, sizeof(*b->shares));
	}
	b->shares[b->share_count++] =
	    (struct share){.policy = policy, .account = account_of(b, policy)};
	return at;
}

static void
find_cutters(struct budget *b, const struct side *s)
{
	const struct classes *classes = s->classes;

	b->cutters[s->dir] = ARENA_ARRAY(b->arena, classes->count, uint32_t);
	for (size_t i = 0; i < classes->count; i++) {
		const struct peer_set *set = excess_cutter(s, &classes->items[i]);
		const uint32_t share =
		    share_of(b, set->rule != NULL ? set->rule->policy : NULL);

		b->cutters[s->dir][i] = share;
		b->shares[share].account->cuts[s->dir]++;
	}
}

void
budget_begin(struct compiler *c)
{
	struct budget *b;

	if (c->policies != NULL || c->failed)
		return;
	b = c->budget = xcalloc(1, sizeof(*b));
	b->arena = c->scratch;
	b->nobody = share_of(b, NULL);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		find_cutters(b, &c->sides[d]);
}

static struct share *
share_of_number(struct compiler *c, uint32_t number)
{
	struct budget *b = c->budget;
	uint32_t at = table64_intern(&b->by_number, number, b->number_count);

	if (at == b->number_count) {
		if (b->number_count == b->number_cap) {
			b->number_cap = b->number_cap == 0 ? 64 : 2 * b->number_cap;
			b->share_of_number = xreallocarray(b->share_of_number,
			    b->number_cap, sizeof(*b->share_of_number));
		}
		b->share_of_number[b->number_count++] =
		    share_of(b, chains_policy(c, number));
	}
	return &b->shares[b->share_of_number[at]];
}

bool
budget_take(struct side *s, const struct class_info *class, size_t cells,
    uint32_t number, uint64_t count)
{
	struct budget *b = s->c->budget;
	struct share *share = share_of_number(s->c, number); /* may move them */
	struct share *by = &b->shares[b->nobody];
	struct account *a;

	if (class != NULL)
		by = &b->shares[b->cutters[s->dir][class - s->classes->items]];
	if (by->account->tenant.len != 0 &&
	    (by->account == share->account || share->account->tenant.len == 0 ||
		by->account->cuts[s->dir] >= CUTS_PER_CELL * cells))
		share = by;
	a = share->account;
	share->count += count;
	a->count += count;
	a->over |= a->count > LIMIT_TENANT_ELEMENTS && a->tenant.len != 0;
	return !a->over;
}

static void
tell(struct compiler *c, const struct account *a)
{
	const struct budget *b = c->budget;
	struct excess x = {0};

	for (uint32_t i = 0; i < b->share_count; i++) {
		const struct share *share = &b->shares[i];

		if (share->account == a && share->count != 0)
			excess_charge(
			    &x, share->policy, share->policy->loc, share->count);
	}
	excess_tell(c, &x,
	    arena_printf(b->arena, "elements for /%.*s", STR_ARG(a->tenant)),
	    LIMIT_TENANT_ELEMENTS, (struct loc){0});
}

void
budget_end(struct compiler *c)
{
	struct budget *b = c->budget;
	const bool failed = c->failed; /* which has been told */

	if (b == NULL)
		return;
	for (size_t i = 0; i < b->accounts.len && !failed; i++) {
		const struct account *a = b->accounts.entries[i].value;

		if (a->over)
			tell(c, a);
	}
	map_fini(&b->accounts);
	table64_fini(&b->by_policy);
	table64_fini(&b->by_number);
	free(b->share_of_number);
	free(b->shares);
	free(b);
	c->budget = NULL;
}
