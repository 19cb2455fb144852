/*
 * What no two sources may have: names of objects, and numbers of rules.
 */
#include "policy-lang/live/live_internal.h"

/* ---- names ---- */

void
live_drop_claims(struct live *l, const struct live_file *f)
{
	for (size_t i = 0; i < f->claim_count; i++)
		live_claims_remove(&l->claims, live_claims_of(f)[i]);
}

bool
live_take_claims(struct live *l, const struct live_file *f)
{
	for (size_t i = 0; i < f->claim_count; i++) {
		if (live_claims_add(&l->claims, live_claims_of(f)[i]))
			continue;
		/* Another's: those up to here are given back. */
		while (i-- > 0)
			live_claims_remove(&l->claims, live_claims_of(f)[i]);
		return false;
	}
	return true;
}

static bool
same_claims(const struct live_file *a, const struct live_file *b)
{
	bool same = b != NULL && a->claim_count == b->claim_count;

	for (size_t i = 0; i < a->claim_count && same; i++)
		same = live_claims_of(a)[i] == live_claims_of(b)[i];
	return same;
}

bool
live_frees_names(const struct live_edit *e)
{
	bool frees = false;

	for (size_t i = 0; i < e->count && !frees; i++) {
		const struct live_file *before = e->items[i].before;

		frees = before != NULL && !live_is_of_pods(before) &&
			(live_said(before)->placed_count != 0 ||
			    !same_claims(before, e->items[i].after));
	}
	return frees;
}

/* ---- numbers of rules ---- */

typedef void (*each_number_fn)(struct live *l, uint32_t number);

static void
each_of_policy(const struct policy *policy, each_number_fn each, struct live *l)
{
	const struct policy *p = policy->said != NULL ? policy->said : policy;

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
each_of_rules(const struct route_list *list, each_number_fn each, struct live *l)
{
	for (size_t i = 0; i < list->count; i++) {
		each(l, list->rules[i].number);
		if (list->rules[i].refuse_number != NUMBER_NONE)
			each(l, list->rules[i].refuse_number);
	}
}

static void
each_of_route(const struct route_policy *p, each_number_fn each, struct live *l)
{
	for (unsigned kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
		each_of_rules(&p->mandatory[kind], each, l);
		each_of_rules(&p->defaults[kind], each, l);
	}
}

static void
each_of_quota(const struct quota *q, each_number_fn each, struct live *l)
{
	for (unsigned kind = 0; kind < NETLIM_KINDS; kind++) {
		for (unsigned i = 0; i < NETLIM_CHAINS; i++) {
			if (q->network.number[kind][i] != NUMBER_NONE)
				each(l, q->network.number[kind][i]);
		}
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

/* Of all that a file has in the model. */
static void
each_of_file(struct live *l, const struct live_file *f, each_number_fn each)
{
	const struct live_others *o = live_said(f)->others;

	for (size_t i = 0; i < live_said(f)->policy_count; i++) {
		if (live_in_force(l, live_said(f)->policies[i]))
			each_of_policy(live_said(f)->policies[i], each, l);
	}
	for (size_t i = 0; o != NULL && i < o->count[OTHER_ROUTE]; i++)
		each_of_route(o->items[OTHER_ROUTE][i], each, l);
	for (size_t i = 0; o != NULL && i < o->count[OTHER_QUOTA]; i++)
		each_of_quota(o->items[OTHER_QUOTA][i], each, l);
}

bool
live_in_force(const struct live *l, const struct policy *p)
{
	return !p->audit || l->model->options.audit_enforced;
}

void
live_drop_numbers(struct live *l, const struct live_file *f)
{
	each_of_file(l, f, drop_number);
}

bool
live_take_numbers(struct live *l, const struct live_file *f)
{
	for (size_t i = 0; i < live_said(f)->number_count; i++) {
		if (!live_claims_add(&l->numbers, live_said(f)->numbers[i])) {
			while (i-- > 0)
				live_claims_remove(
				    &l->numbers, live_said(f)->numbers[i]);
			return false;
		}
	}
	return true;
}

void
live_retake_numbers(struct live *l, const struct live_file *f)
{
	each_of_file(l, f, take_number);
}

void
live_index_numbers(struct live *l)
{
	for (size_t i = 0; i < l->base_count; i++)
		each_of_file(l, &l->base[i], take_number);
}
