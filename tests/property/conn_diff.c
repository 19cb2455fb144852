/*
 * The difference of two listings, and its report, against the listings themselves.
 */
#include <roaring/roaring.h>
#include <string.h>

#include "policy-lang/diff/diff_print.h"
#include "tests/property/conn_trial.h"

static bool
same_set(const struct conn_set *a, const struct conn_set *b)
{
	for (size_t i = 0; a != NULL && b != NULL && i < CONN_PROTO_COUNT; i++) {
		if (a->ports[i].count != b->ports[i].count ||
		    memcmp(a->ports[i].items, b->ports[i].items,
			a->ports[i].count * sizeof(struct port_range)) != 0)
			return false;
	}
	if (a == NULL || b == NULL)
		return a == b;
	return ((a->rest ^ b->rest) & a->possible & b->possible) == 0;
}

static bool
in_set(const struct diff *diff, uint32_t set, uint32_t party)
{
	return roaring_bitmap_contains(
	    diff->joint->sets[set]->bits, diff->joint->atom_of[party]);
}

/* The one line about a pair, or about a party and an address. */
static const struct diff_line *
line_about(const struct trial *t, uint32_t src, uint32_t dst,
    const struct ip_addr *addr, unsigned *out_count)
{
	const struct diff_line *found = NULL;

	*out_count = 0;
	for (size_t i = 0; i < t->diff->line_count; i++) {
		const struct conn_line *line = &t->diff->lines[i].line;

		if ((line->outside != NULL) != (addr != NULL) ||
		    (line->src == CONN_OUTSIDE) != (src == CONN_OUTSIDE) ||
		    (line->dst == CONN_OUTSIDE) != (dst == CONN_OUTSIDE))
			continue;
		if (addr != NULL && (ip_cmp(addr, &line->outside->first) < 0 ||
					ip_cmp(addr, &line->outside->last) > 0))
			continue;
		if ((src != CONN_OUTSIDE && !in_set(t->diff, line->src, src)) ||
		    (dst != CONN_OUTSIDE && !in_set(t->diff, line->dst, dst)))
			continue;
		found = &t->diff->lines[i];
		++*out_count;
	}
	return found;
}

static const struct conn_set *
pair_set(const struct half *h, uint32_t src, uint32_t dst)
{
	if (src == UINT32_MAX || dst == UINT32_MAX)
		return NULL;
	return h->pairs[src * h->relation->world->party_count + dst];
}

static bool
check_line(struct trial *t, const struct diff_line *line, unsigned count,
    const struct conn_set *old, const struct conn_set *new, const char *what)
{
	if (same_set(old, new))
		return count == 0 ||
		       trial_fail(t, "%s: a line about what is the same", what);
	t->changed++;
	if (count != 1)
		return trial_fail(t, "%s: %u lines", what, count);
	if (!same_set(line->old, old) || !same_set(line->new, new))
		return trial_fail(t, "%s: %s -> %s", what,
		    line->old != NULL ? line->old->text : "nothing",
		    line->new != NULL ? line->new->text : "nothing");
	return true;
}

static const struct conn_set *
outside_of(const struct half *h, uint32_t party, const struct ip_addr *addr,
    enum direction dir)
{
	if (party == UINT32_MAX)
		return NULL;
	return half_outside_set(h, h->relation->world->parties[party].end, addr, dir);
}

static bool
check_diff_outside(struct trial *t)
{
	const struct diff *diff = t->diff;

	for (unsigned i = 0; i < ADDRESSES; i++) {
		struct ip_addr addr = trial_roll_address(t);
		uint32_t party = dice_roll(&t->dice, diff->joint->world->party_count);
		const struct diff_party *both = &diff->parties[party];

		for (size_t d = 0; d < DIRECTION_COUNT; d++) {
			bool in = d == DIR_INGRESS;
			unsigned count;
			const struct diff_line *line =
			    line_about(t, in ? CONN_OUTSIDE : party,
				in ? party : CONN_OUTSIDE, &addr, &count);

			if (!check_line(t, line, count,
				outside_of(
				    &t->halves[0], both->old, &addr, (enum direction)d),
				outside_of(
				    &t->halves[1], both->new, &addr, (enum direction)d),
				"outside"))
				return false;
		}
	}
	return true;
}

static bool
same_node(const struct conn_end *a, const struct conn_end *b)
{
	return a->workload == NULL || b->workload == NULL ||
	       str_eq(a->workload->where->node, b->workload->where->node);
}

/* A node, or what runs on its network: what such send each other is not listed. */
static bool
is_host(const struct conn_end *end)
{
	return end->workload == NULL || end->workload->host_network;
}

/* Whether both models have the end with the same families, of the same kind. */
static bool
is_steady(const struct trial *t, uint32_t party)
{
	const struct diff_party *both;
	const struct conn_party *old, *new;

	if (party == CONN_OUTSIDE)
		return true;
	both = &t->diff->parties[party];
	if (both->old == UINT32_MAX || both->new == UINT32_MAX)
		return false;
	old = &t->diff->old_world->parties[both->old];
	new = &t->diff->new_world->parties[both->new];
	return old->families == new->families &&same_node(old->end, new->end) &&
	       is_host(old->end) == is_host(new->end);
}

/* CONN_OUTSIDE if no end is called that. */
static uint32_t
party_named(const struct diff *diff, struct str name)
{
	const struct conn_world *world = diff->joint->world;

	for (uint32_t i = 0; i < world->party_count; i++) {
		if (str_eq(world->parties[i].end->display, name))
			return i;
	}
	return CONN_OUTSIDE;
}

/* Whether policy must be why the row is there: what decides is told of its pair, or of the
 * first of its groups. */
static bool
has_reason(
    const struct trial *t, const struct diff_report *report, const struct diff_row *row)
{
	uint32_t src = party_named(t->diff, row->src);
	uint32_t dst = party_named(t->diff, row->dst);

	if (report->grouped)
		diff_line_example(t->diff, row->line, &src, &dst);
	return is_steady(t, src) && is_steady(t, dst);
}

/* A line's deciding rules must be of the new model and, for what was opened, allow. */
bool
check_report(struct trial *t)
{
	struct diff_report report;
	struct buf text = {0};

	diff_report_make(t->diff, t->seed % 2 == 0 ? 0 : UINT64_MAX, &report);
	for (size_t i = 0; i < report.row_count; i++) {
		const struct diff_row *row = &report.rows[i];

		for (size_t j = 0; j < row->opened.count; j++) {
			if (!row->opened.items[j].allow)
				return trial_fail(t, "opened by what denies");
		}
		if (!has_reason(t, &report, row))
			continue;
		if (row->line->opened != NULL && row->opened.count == 0)
			return trial_fail(t, "%.*s => %.*s: opened by nothing",
			    STR_ARG(row->src), STR_ARG(row->dst));
		if (row->line->closed != NULL && row->closed.count == 0)
			return trial_fail(t, "%.*s => %.*s: closed by nothing",
			    STR_ARG(row->src), STR_ARG(row->dst));
	}
	if (report.grouped && !check_groups(t, &report.groups))
		return false;
	for (unsigned f = CONNECTIVITY_TXT; f <= CONNECTIVITY_DOT; f++)
		diff_print(&text, &report, (enum connectivity_format)f);
	buf_free(&text);
	return true;
}

bool
check_diff(struct trial *t)
{
	const struct diff *diff = t->diff;
	uint32_t count = diff->joint->world->party_count;

	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = 0; j < count; j++) {
			const struct diff_party *a = &diff->parties[i];
			const struct diff_party *b = &diff->parties[j];
			const struct diff_line *line;
			unsigned lines;

			if (i == j)
				continue;
			line = line_about(t, i, j, NULL, &lines);
			if (!check_line(t, line, lines,
				pair_set(&t->halves[0], a->old, b->old),
				pair_set(&t->halves[1], a->new, b->new), "pair"))
				return false;
		}
	}
	return check_diff_outside(t);
}
