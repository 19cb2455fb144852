#include "policy-lang/compile/compile_budget.h"

#include <stdlib.h>

#include "common/limits.h"
#include "policy-lang/compile/compile_cutters.h"
#include "policy-lang/compile/compile_excess.h"

struct account {
	struct str tenant; /* "": policy at /, of who administers all; has no limit */
	uint64_t count;
	bool over;
};

/* What a policy has of its tenant's. */
struct share {
	const struct policy *policy;
	struct account *account;
	uint32_t tenants[DIRECTION_COUNT]; /* as the cutters number him */
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
	struct cutters *cutters[DIRECTION_COUNT];
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
	b->shares[b->share_count++] = (struct share){
	    .policy = policy,
	    .account = account_of(b, policy),
	    .tenants = {cutters_tenant(b->cutters[0], policy),
		cutters_tenant(b->cutters[1], policy)},
	};
	return at;
}

void
budget_begin(struct compiler *c)
{
	struct budget *b;

	if (c->policies != NULL || c->failed)
		return;
	b = c->budget = xcalloc(1, sizeof(*b));
	b->arena = c->scratch;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		b->cutters[d] = cutters_of_classes(&c->sides[d]);
}

static const struct policy *
policy_of_entry(const struct side *s, const struct profile_entry *e)
{
	if (e->kind == ENTRY_RULE)
		return s->rules[e->rule].rule->policy;
	return e->kind == ENTRY_ISOLATE ? chains_policy(s->c, e->number) : NULL;
}

uint32_t
budget_owner(const struct walker *w)
{
	struct budget *b = w->s->c->budget;

	for (size_t i = 0; b != NULL && i < w->profile->count; i++) {
		const struct policy *policy =
		    policy_of_entry(w->s, &w->profile->entries[i]);

		if (policy != NULL && policy->level->depth != 0)
			return share_of(b, policy);
	}
	return b != NULL ? share_of(b, NULL) : 0;
}

static uint32_t
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
	return b->share_of_number[at];
}

/* Because of whom it is there, who has the number's share or another. */
static uint32_t
share_of_cause(const struct walker *w, unsigned family, const struct class_info *class,
    uint32_t number)
{
	const struct side *s = w->s;
	struct budget *b = s->c->budget;
	const struct cutters *cutters = b->cutters[s->dir];
	const uint32_t at = share_of_number(s->c, number);
	uint32_t who;

	if (class == NULL) /* what nothing decides somebody has passed on */
		return b->shares[at].policy == NULL ? w->owner : at;
	who = cutters_blame(cutters, (uint32_t)(class - s->classes->items), family,
	    b->shares[w->owner].tenants[s->dir], w->cells.count);
	return who == 0 || who == b->shares[at].tenants[s->dir]
		   ? at
		   : share_of(b, cutters_policy(cutters, class, who));
}

bool
budget_take(const struct walker *w, unsigned family, const struct class_info *class,
    uint32_t number)
{
	struct budget *b = w->s->c->budget;
	const uint64_t count = w->profile->host ? 1 : w->family_points[family];
	struct share *share;
	struct account *a;
	uint32_t at;

	if (b == NULL)
		return true;
	at = share_of_cause(w, family, class, number); /* may move them */
	share = &b->shares[at];
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
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		cutters_free(b->cutters[d]);
	map_fini(&b->accounts);
	table64_fini(&b->by_policy);
	table64_fini(&b->by_number);
	free(b->share_of_number);
	free(b->shares);
	free(b);
	c->budget = NULL;
}
