/*
 * What no two sources may have: names of objects, and numbers of rules.
 */
#include "policy-lang/live_internal.h"

/* ---- names ---- */

void
live_drop_claims(struct live *l, const struct live_file *f)
{
	for (size_t i = 0; i < f->claim_count; i++)
		live_claims_remove(&l->claims, f->claims[i]);
}

bool
live_take_claims(struct live *l, const struct live_file *f)
{
	for (size_t i = 0; i < f->claim_count; i++) {
		if (live_claims_add(&l->claims, f->claims[i]))
			continue;
		/* Another's: those up to here are given back. */
		while (i-- > 0)
			live_claims_remove(&l->claims, f->claims[i]);
		return false;
	}
	return true;
}

/* ---- numbers of rules ---- */

static void
each_number(const struct policy *p, void (*each)(struct live *l, uint32_t number),
    struct live *l)
{
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		const struct rule_list *lists[] = {
		    &p->mandatory[d], &p->allow[d], &p->defaults[d]};

		for (size_t i = 0; i < ARRAY_LEN(lists); i++) {
			for (size_t j = 0; j < lists[i]->count; j++)
				each(l, lists[i]->rules[j].number);
		}
		if (p->isolates[d])
			each(l, p->isolate_number[d]);
	}
}

static void
take_number(struct live *l, uint32_t number)
{
	if (!live_claims_add(&l->numbers, number))
		return; /* one that has been taken stays so */
}

static void
drop_number(struct live *l, uint32_t number)
{
	live_claims_remove(&l->numbers, number);
}

/* Of Routes, which no edit changes. */
static void
take_route_numbers(struct live *l, const struct route_list lists[ROUTE_KIND_COUNT])
{
	for (unsigned kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
		for (size_t i = 0; i < lists[kind].count; i++) {
			take_number(l, lists[kind].rules[i].number);
			if (lists[kind].rules[i].refuse_number != NUMBER_NONE)
				take_number(l, lists[kind].rules[i].refuse_number);
		}
	}
}

/* Of Quotas, the same. */
static void
take_quota_numbers(struct live *l, const struct ns *ns)
{
	for (size_t i = 0; i < ns->quota_count; i++) {
		const struct quota_network *q = &ns->quotas[i]->network;

		for (size_t j = 0; j < NETLIM_KINDS * NETLIM_CHAINS; j++) {
			if (q->number[j / NETLIM_CHAINS][j % NETLIM_CHAINS] !=
			    NUMBER_NONE)
				take_number(
				    l, q->number[j / NETLIM_CHAINS][j % NETLIM_CHAINS]);
		}
	}
}

bool
live_in_force(const struct live *l, const struct policy *p)
{
	return !p->audit || l->model->options.audit_enforced;
}

void
live_drop_numbers(struct live *l, const struct live_file *f)
{
	for (size_t i = 0; i < f->policy_count; i++) {
		if (live_in_force(l, f->policies[i]))
			each_number(f->policies[i], drop_number, l);
	}
}

bool
live_take_numbers(struct live *l, const struct live_file *f)
{
	for (size_t i = 0; i < f->number_count; i++) {
		if (!live_claims_add(&l->numbers, f->numbers[i])) {
			while (i-- > 0)
				live_claims_remove(&l->numbers, f->numbers[i]);
			return false;
		}
	}
	return true;
}

void
live_retake_numbers(struct live *l, const struct live_file *f)
{
	for (size_t i = 0; i < f->policy_count; i++) {
		if (live_in_force(l, f->policies[i]))
			each_number(f->policies[i], take_number, l);
	}
}

void
live_index_numbers(struct live *l)
{
	const struct model *m = l->model;

	for (size_t i = 0; i < m->policy_count; i++)
		each_number(m->policies[i], take_number, l);
	for (size_t i = 0; i < m->route_count; i++) {
		take_route_numbers(l, m->routes[i]->mandatory);
		take_route_numbers(l, m->routes[i]->defaults);
	}
	for (size_t i = 0; i < m->ns_count; i++)
		take_quota_numbers(l, m->namespaces[i]);
}
