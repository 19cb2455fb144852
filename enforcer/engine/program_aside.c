/*
 * Policies that are set aside, because they make the node's program too large: what they govern
 * is closed, and everybody else's policy goes on. It is found out again which those are whenever
 * all is compiled, and only by that: so it is the same whatever was before.
 */
#include <stdlib.h>
#include <string.h>

#include "enforcer/engine/program.h"
#include "policy-lang/model/codes.h"

struct program_aside {
	struct policy *policy;
	bool restored; /* only what was compiled before refers to it */
	struct policy_aside room;
	struct program_aside *next;
};

static struct policy *
policy_at(const struct model *m, struct loc loc)
{
	for (size_t i = 0; i < m->policy_count && loc.source != NULL; i++) {
		if (loc_cmp(m->policies[i]->loc, loc) == 0)
			return m->policies[i];
	}
	return NULL;
}

/* Whose error it is; NULL: nobody's who could be set aside. */
static struct policy *
culprit(const struct model *m, const struct diag *d)
{
	const char *code = diag_code_table[CODE_PROGRAM_TOO_LARGE].code;
	struct policy *policy =
	    strcmp(d->code, code) == 0 ? policy_at(m, d->loc) : NULL;

	return policy != NULL && policy->level->depth != 0 ? policy : NULL;
}

bool
program_set_aside(struct program *p, const struct diag_list *diags)
{
	const struct model *m = live_model(p->real.live);
	bool any = false;

	for (const struct diag *d = diags->first; d != NULL; d = d->next) {
		const struct policy *policy =
		    d->severity == DIAG_ERROR ? culprit(m, d) : NULL;

		if (d->severity == DIAG_ERROR && policy == NULL)
			return false;
		any |= policy != NULL && policy->said == NULL;
	}
	for (const struct diag *d = diags->first; d != NULL && any; d = d->next) {
		struct policy *policy =
		    d->severity == DIAG_ERROR ? culprit(m, d) : NULL;
		struct program_aside *a;

		if (policy == NULL || policy->said != NULL)
			continue;
		a = xcalloc(1, sizeof(*a));
		a->policy = policy;
		a->next = p->asides;
		p->asides = a;
		policy_set_aside(policy, &a->room);
	}
	return any;
}

void
program_restore_asides(struct program *p)
{
	for (struct program_aside *a = p->asides; a != NULL; a = a->next) {
		if (!a->restored)
			policy_restore(a->policy);
		a->restored = true;
	}
}

static bool
is_tenants(const struct program *p, const struct ns *ns)
{
	const struct program_aside *a = p->asides;

	while (a != NULL &&
	       (a->restored || !str_eq(ns_tenant(a->room.said.level), ns_tenant(ns))))
		a = a->next;
	return a != NULL;
}

static bool
frees(const struct program *p, const struct compile_change *c)
{
	if (c->kind == CHANGE_POLICY)
		return (c->policy_before != NULL &&
			   is_tenants(p, c->policy_before->level)) ||
		       (c->policy_after != NULL &&
			   is_tenants(p, c->policy_after->level));
	return c->kind == CHANGE_WORKLOAD &&
	       program_counts_local(p, c->workload_before) &&
	       is_tenants(p, c->workload_before->ns);
}

bool
program_frees_asides(
    const struct program *p, const struct compile_change *changes, size_t count)
{
	for (size_t i = 0; p->asides != NULL && i < count; i++) {
		if (frees(p, &changes[i]))
			return true;
	}
	return false;
}

static bool
is_in_model(const struct model *m, const struct policy *policy)
{
	for (size_t i = 0; i < m->policy_count; i++) {
		if (m->policies[i] == policy)
			return true;
	}
	return false;
}

static void
sweep(struct program *p, bool all)
{
	struct program_aside **at = &p->asides;

	while (*at != NULL) {
		struct program_aside *a = *at;

		if (!all && !a->restored &&
		    is_in_model(live_model(p->real.live), a->policy)) {
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
