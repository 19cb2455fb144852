/*
 * Policies that are set aside, because they make the node's program too large: what they govern
 * is closed, and everybody else's policy goes on. It is found out again which those are whenever
 * all is compiled, and only by that: so it is the same whatever was before.
 */
#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "enforcer/engine/program.h"
#include "policy-lang/model/codes.h"

struct program_aside {
	struct policy *policy;
	bool restored; /* only what was compiled before refers to it */
	bool there;    /* the policy is in the model: while they are swept */
	struct policy_aside room;
	struct program_aside *next;
};

static bool
is_tenants(const struct program_aside *asides, struct str tenant)
{
	while (
	    asides != NULL &&
	    (asides->restored || !str_eq(ns_tenant(asides->room.said.level), tenant)))
		asides = asides->next;
	return asides != NULL;
}

/* ---- whose error it is ---- */

struct places {
	struct loc *items;
	size_t count;
};

static int
place_cmp(const void *a, const void *b)
{
	return loc_cmp(*(const struct loc *)a, *(const struct loc *)b);
}

static struct places
places_of(const struct diag *first)
{
	const char *code = diag_code_table[CODE_PROGRAM_TOO_LARGE].code;
	struct places p = {.items = xcalloc(LIMIT_DIAGS, sizeof(*p.items))};

	for (const struct diag *d = first; d != NULL; d = d->next) {
		if (d->severity == DIAG_ERROR && strcmp(d->code, code) == 0 &&
		    d->loc.source != NULL)
			p.items[p.count++] = d->loc;
	}
	if (p.count > 1)
		qsort(p.items, p.count, sizeof(*p.items), place_cmp);
	return p;
}

static bool
is_told(const struct places *p, struct loc loc)
{
	return p->count != 0 &&
	       bsearch(&loc, p->items, p->count, sizeof(loc), place_cmp) != NULL;
}

/* ---- setting aside ---- */

static void
set_aside(struct program *p, struct policy *policy)
{
	struct program_aside *a = xcalloc(1, sizeof(*a));

	a->policy = policy;
	a->next = p->asides;
	p->asides = a;
	policy_set_aside(policy, &a->room);
}

/* Of whom some are set aside, and who has too many all the same: so that it is over soon, into
 * however many policies he divides it. */
static struct map
find_greedy(const struct program *p, const struct model *m, const struct places *told)
{
	struct map greedy = {0};

	for (size_t i = 0; i < m->policy_count; i++) {
		const struct policy *policy = m->policies[i];
		const struct str tenant = ns_tenant(policy->level);

		if (tenant.len != 0 && is_told(told, policy->loc) &&
		    is_tenants(p->asides, tenant))
			(void)map_set(&greedy, tenant, m->policies[i]);
	}
	return greedy;
}

bool
program_set_aside(struct program *p, struct diag_list *diags, const struct diag *first)
{
	const struct model *m = live_model(p->real.live);
	struct places told = places_of(first);
	struct map greedy = find_greedy(p, m, &told);
	bool any = false;

	for (size_t i = 0; i < m->policy_count; i++) {
		struct policy *policy = m->policies[i];
		const struct str tenant = ns_tenant(policy->level);

		if (tenant.len == 0 || policy->said != NULL)
			continue;
		if (!is_told(&told, policy->loc)) {
			if (map_get(&greedy, tenant) == NULL)
				continue;
			diag_say(diags, CODE_PROGRAM_TOO_LARGE, policy->loc,
			    "the program of node %.*s is too large by other policy of "
			    "/%.*s, though some of that is set aside",
			    STR_ARG(p->options.node), STR_ARG(tenant));
		}
		set_aside(p, policy);
		any = true;
	}
	map_fini(&greedy);
	free(told.items);
	return any;
}

bool
program_has_asides(const struct program *p)
{
	const struct program_aside *a = p->asides;

	while (a != NULL && a->restored)
		a = a->next;
	return a != NULL;
}

void
program_restore_asides(struct program *p)
{
	p->asides_due = DUE_NOTHING;
	for (struct program_aside *a = p->asides; a != NULL; a = a->next) {
		if (!a->restored)
			policy_restore(a->policy);
		a->restored = true;
	}
}

static bool
frees(const struct program *p, const struct compile_change *c)
{
	if (c->kind == CHANGE_POLICY)
		return (c->policy_before != NULL &&
			   is_tenants(p->asides, ns_tenant(c->policy_before->level))) ||
		       (c->policy_after != NULL &&
			   is_tenants(p->asides, ns_tenant(c->policy_after->level)));
	return c->kind == CHANGE_WORKLOAD &&
	       program_counts_local(p, c->workload_before) &&
	       is_tenants(p->asides, ns_tenant(c->workload_before->ns));
}

static bool
any_frees(const struct program *p, const struct compile_change *changes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		if (frees(p, &changes[i]))
			return true;
	}
	return false;
}

static void
hold(struct program *p, const struct compile_change *c, struct diag_list *diags)
{
	struct policy *policy = (struct policy *)(uintptr_t)c->policy_after;

	if (policy == NULL || policy->said != NULL ||
	    !is_tenants(p->asides, ns_tenant(policy->level)))
		return;
	diag_say(diags, CODE_PROGRAM_TOO_LARGE, policy->loc,
	    "the program of node %.*s was too large by policy of /%.*s: this waits "
	    "until it "
	    "is compiled anew",
	    STR_ARG(p->options.node), STR_ARG(ns_tenant(policy->level)));
	set_aside(p, policy);
}

bool
program_see_changes(struct program *p, const struct compile_change *changes,
    size_t count, struct diag_list *diags)
{
	bool own;

	if (!program_has_asides(p) || count == 0)
		return false;
	own = any_frees(p, changes, count);
	if (own && !p->asides_wait)
		return true;
	if (own || p->asides_due == DUE_NOTHING)
		p->asides_due = own ? DUE_OWN : DUE_OTHERS;
	for (size_t i = 0; i < count; i++) {
		if (changes[i].kind == CHANGE_POLICY)
			hold(p, &changes[i], diags);
	}
	return false;
}

/* Of many in a large model each is looked at once: it is done with every change. */
static void
see_who_is_there(const struct program *p)
{
	const struct model *m = live_model(p->real.live);

	for (struct program_aside *a = p->asides; a != NULL; a = a->next)
		a->there = false;
	for (size_t i = 0; i < m->policy_count; i++) {
		void *said = (void *)(uintptr_t)m->policies[i]->said;

		if (said != NULL)
			CONTAINER_OF(said, struct program_aside, room.said)->there =
			    true;
	}
}

static void
sweep(struct program *p, bool all)
{
	struct program_aside **at = &p->asides;

	if (!all && p->asides != NULL)
		see_who_is_there(p);
	while (*at != NULL) {
		struct program_aside *a = *at;

		if (!all && !a->restored && a->there) {
			at = &a->next;
			continue;
		}
		*at = a->next;
		free(a);
	}
}

void
program_sweep_asides(struct program *p)
{
	sweep(p, false);
}

void
program_free_asides(struct program *p)
{
	sweep(p, true);
}
