/*
 * The lines of a difference: how far each reaches, what it opens and closes, their order;
 * and what is asked about one.
 */
#include "policy-lang/diff/diff.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/diff/diff_internal.h"

/* The first level below the root: who a tenant is. */
static const struct ns *
tenant_of(const struct conn_end *end)
{
	const struct ns *ns = end->workload != NULL ? end->workload->ns : NULL;

	while (ns != NULL && ns->depth > 1)
		ns = ns->parent;
	return ns;
}

/* False if the set's parties are not all of one tenant, that of *tenant unless it is the
 * first that is asked about. */
static bool
same_tenant(const struct diff *diff, uint32_t set, bool *any, const struct ns **tenant)
{
	const struct conn_relation *joint = diff->joint;
	roaring_uint32_iterator_t *it = roaring_create_iterator(joint->sets[set]->bits);
	bool same = true;

	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value && same; roaring_advance_uint32_iterator(it)) {
		const struct conn_atom *atom = joint->atoms[it->current_value];

		for (uint32_t i = 0; i < atom->party_count && same; i++) {
			const struct ns *own =
			    tenant_of(joint->world->parties[atom->parties[i]].end);

			same = !*any || own == *tenant;
			*any = true;
			*tenant = own;
		}
	}
	roaring_free_uint32_iterator(it);
	return same;
}

static enum diff_reach
reach_of(const struct diff *diff, const struct diff_line *line)
{
	const struct ns *tenant = NULL;
	bool any = false;

	if (line->line.src == CONN_OUTSIDE)
		return DIFF_FROM_OUTSIDE;
	if (line->line.dst == CONN_OUTSIDE)
		return DIFF_TO_OUTSIDE;
	return same_tenant(diff, line->line.src, &any, &tenant) &&
		       same_tenant(diff, line->line.dst, &any, &tenant)
		   ? DIFF_WITHIN
		   : DIFF_CROSS_TENANT;
}

static const struct conn_set *
difference(struct diff *diff, const struct conn_set *a, const struct conn_set *b)
{
	const struct conn_set *set = a;

	if (a != NULL && b != NULL)
		set = conn_set_minus(&diff->pool, a, b);
	return diff_listed(set);
}

void
diff_line_complete(struct diff *diff, struct diff_line *line)
{
	line->opened = difference(diff, line->new, line->old);
	line->closed = difference(diff, line->old, line->new);
	if (line->old == NULL)
		line->kind = DIFF_ADDED;
	else
		line->kind = line->new == NULL ? DIFF_REMOVED : DIFF_CHANGED;
	line->line.set = line->opened != NULL ? line->opened : line->closed;
	line->reach = reach_of(diff, line);
}

static int
ends_cmp(const struct conn_line *x, const struct conn_line *y)
{
	int order = 0;

	if (x->outside != NULL && y->outside != NULL) {
		order = ip_cmp(&x->outside->first, &y->outside->first);
		if (order == 0)
			order = ip_cmp(&x->outside->last, &y->outside->last);
	}
	if (order == 0)
		order = (x->src > y->src) - (x->src < y->src);
	return order != 0 ? order : (x->dst > y->dst) - (x->dst < y->dst);
}

static int
text_cmp(const struct conn_set *a, const struct conn_set *b)
{
	return strcmp(a != NULL && a->text != NULL ? a->text : "",
	    b != NULL && b->text != NULL ? b->text : "");
}

static int
line_cmp(const void *a, const void *b)
{
	const struct diff_line *x = a, *y = b;
	int order = (int)x->reach - (int)y->reach;

	if (order == 0)
		order = (x->opened == NULL) - (y->opened == NULL);
	if (order == 0)
		order = (int)x->kind - (int)y->kind;
	if (order == 0)
		order = ends_cmp(&x->line, &y->line);
	if (order == 0)
		order = text_cmp(x->old, y->old);
	return order != 0 ? order : text_cmp(x->new, y->new);
}

/* If a listing's grammar cannot tell what has changed, it must say more. */
static void
widen_if_needed(struct diff *diff)
{
	for (size_t i = 0; i < diff->line_count; i++) {
		const struct diff_line *line = &diff->lines[i];

		if (text_cmp(line->old, line->new) == 0)
			conn_pool_widen(&diff->pool);
	}
}

/* Numbers of sets follow their first atoms. */
static void
number_sets(struct diff *diff)
{
	uint32_t *number = conn_relation_number(diff->joint);

	for (size_t i = 0; i < diff->line_count; i++) {
		struct conn_line *line = &diff->lines[i].line;

		if (line->src != CONN_OUTSIDE)
			line->src = number[line->src];
		if (line->dst != CONN_OUTSIDE)
			line->dst = number[line->dst];
	}
	free(number);
}

void
diff_lines_order(struct diff *diff)
{
	number_sets(diff);
	widen_if_needed(diff);
	if (diff->line_count > 1)
		qsort(diff->lines, diff->line_count, sizeof(*diff->lines), line_cmp);
}

/* ---- asking about lines ---- */

uint64_t
diff_line_pairs(const struct diff *diff, const struct diff_line *line)
{
	return conn_relation_line_pairs(diff->joint, &line->line);
}

static uint32_t
nth_party(const struct diff *diff, uint32_t set, uint32_t n)
{
	const struct conn_relation *joint = diff->joint;
	roaring_uint32_iterator_t *it = roaring_create_iterator(joint->sets[set]->bits);
	uint32_t party = UINT32_MAX;

	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value && party == UINT32_MAX;
	     roaring_advance_uint32_iterator(it)) {
		const struct conn_atom *atom = joint->atoms[it->current_value];

		if (n < atom->party_count)
			party = atom->parties[n];
		else
			n -= atom->party_count;
	}
	roaring_free_uint32_iterator(it);
	return party;
}

void
diff_line_example(const struct diff *diff, const struct diff_line *line,
    uint32_t *out_src, uint32_t *out_dst)
{
	*out_src = *out_dst = CONN_OUTSIDE;
	if (line->line.src != CONN_OUTSIDE)
		*out_src = nth_party(diff, line->line.src, 0);
	if (line->line.dst != CONN_OUTSIDE)
		*out_dst = nth_party(diff, line->line.dst, 0);
	/* Nobody connects to itself. */
	if (*out_src != *out_dst || *out_src == CONN_OUTSIDE)
		return;
	*out_dst = nth_party(diff, line->line.dst, 1);
	if (*out_dst == UINT32_MAX) {
		*out_dst = *out_src;
		*out_src = nth_party(diff, line->line.src, 1);
	}
}
