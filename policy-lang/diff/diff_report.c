/*
 * What is told of a difference: lines as rows, each with what decides it, and counts.
 */
#include "policy-lang/diff/diff_print.h"

#include <roaring/roaring.h>
#include <stdlib.h>

struct rows {
	const struct diff *diff;
	struct diff_report *report;
	struct diff_row *items;
	size_t count, cap;
};

static struct str
name_of(const struct diff *diff, const struct diff_line *line, uint32_t party)
{
	return party == CONN_OUTSIDE ? line->line.outside->display
				     : diff->joint->world->parties[party].end->display;
}

static struct diff_row *
add_row(struct rows *rows, const struct diff_line *line, uint32_t src, uint32_t dst)
{
	struct diff_row *row;

	if (rows->count == rows->cap) {
		rows->cap = rows->cap == 0 ? 64 : 2 * rows->cap;
		rows->items =
		    xreallocarray(rows->items, rows->cap, sizeof(*rows->items));
	}
	row = &rows->items[rows->count++];
	*row = (struct diff_row){
	    .line = line,
	    .src = name_of(rows->diff, line, src),
	    .dst = name_of(rows->diff, line, dst),
	    .pairs = 1,
	};
	diff_decide(rows->diff->arena, rows->diff, line, src, dst, true, &row->opened);
	diff_decide(rows->diff->arena, rows->diff, line, src, dst, false, &row->closed);
	return row;
}

/* The parties of a set, rising; the outside is one. The caller frees them. */
static uint32_t *
parties_of(const struct diff *diff, uint32_t set, size_t *out_count)
{
	const struct conn_relation *joint = diff->joint;
	roaring_uint32_iterator_t *it;
	uint32_t *parties;

	*out_count = 0;
	if (set == CONN_OUTSIDE) {
		parties = xcalloc(1, sizeof(*parties));
		parties[(*out_count)++] = CONN_OUTSIDE;
		return parties;
	}
	parties = xcalloc(conn_relation_set_parties(joint, set), sizeof(*parties));
	it = roaring_create_iterator(joint->sets[set]->bits);
	if (it == NULL)
		base_die("out of memory");
	for (; it->has_value; roaring_advance_uint32_iterator(it)) {
		const struct conn_atom *atom = joint->atoms[it->current_value];

		for (uint32_t i = 0; i < atom->party_count; i++)
			parties[(*out_count)++] = atom->parties[i];
	}
	roaring_free_uint32_iterator(it);
	return parties;
}

static void
add_pairs(struct rows *rows, const struct diff_line *line)
{
	size_t src_count, dst_count;
	uint32_t *src = parties_of(rows->diff, line->line.src, &src_count);
	uint32_t *dst = parties_of(rows->diff, line->line.dst, &dst_count);

	for (size_t i = 0; i < src_count; i++) {
		for (size_t j = 0; j < dst_count; j++) {
			if (src[i] != dst[j])
				(void)add_row(rows, line, src[i], dst[j]);
		}
	}
	free(src);
	free(dst);
}

static int
row_cmp(const void *a, const void *b)
{
	const struct diff_row *x = a, *y = b;
	int order = (int)x->line->reach - (int)y->line->reach;

	if (order == 0)
		order = (x->line->opened == NULL) - (y->line->opened == NULL);
	if (order == 0 && x->line->line.outside != NULL)
		order = ip_cmp(
		    &x->line->line.outside->first, &y->line->line.outside->first);
	if (order == 0)
		order = str_cmp(x->src, y->src);
	if (order == 0)
		order = str_cmp(x->dst, y->dst);
	return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

static void
make_groups(struct diff_report *report)
{
	struct conn_relation *joint = report->diff->joint;
	bool *used = ARENA_ARRAY(joint->arena, joint->set_count, bool);

	for (size_t i = 0; i < report->diff->line_count; i++) {
		const struct conn_line *line = &report->diff->lines[i].line;

		if (line->src != CONN_OUTSIDE)
			used[line->src] = true;
		if (line->dst != CONN_OUTSIDE)
			used[line->dst] = true;
	}
	conn_groups_make(joint, used, &report->groups);
}

static void
add_group_row(struct rows *rows, const struct diff_line *line)
{
	uint32_t src, dst;
	struct diff_row *row;

	diff_line_example(rows->diff, line, &src, &dst);
	row = add_row(rows, line, src, dst);
	row->src = conn_groups_src(&rows->report->groups, &line->line);
	row->dst = conn_groups_dst(&rows->report->groups, &line->line);
	row->pairs = diff_line_pairs(rows->diff, line);
}

static void
count_lines(struct diff_report *report, uint64_t *out_pairs)
{
	*out_pairs = 0;
	for (size_t i = 0; i < report->diff->line_count; i++) {
		const struct diff_line *line = &report->diff->lines[i];
		uint64_t pairs = diff_line_pairs(report->diff, line);

		*out_pairs += pairs;
		if (line->opened != NULL)
			report->opened[line->reach] += pairs;
		if (line->closed != NULL)
			report->closed[line->reach] += pairs;
	}
}

static void
list_ends(struct diff_report *report)
{
	const struct diff *diff = report->diff;
	const struct conn_world *world = diff->joint->world;
	struct str *added = ARENA_ARRAY(diff->arena, world->party_count, struct str);
	struct str *removed = ARENA_ARRAY(diff->arena, world->party_count, struct str);

	for (uint32_t i = 0; i < world->party_count; i++) {
		enum diff_presence presence = diff_presence_of(diff, i);

		if (presence == DIFF_NEW)
			added[report->added_count++] = world->parties[i].end->display;
		else if (presence == DIFF_GONE)
			removed[report->removed_count++] =
			    world->parties[i].end->display;
	}
	report->added = added;
	report->removed = removed;
}

void
diff_report_make(const struct diff *diff, uint64_t pairs_max, struct diff_report *out)
{
	struct rows rows = {.diff = diff, .report = out};
	uint64_t pairs;

	*out = (struct diff_report){.diff = diff, .documents = diff->documents};
	list_ends(out);
	count_lines(out, &pairs);
	out->grouped = pairs > pairs_max;
	if (out->grouped)
		make_groups(out);
	for (size_t i = 0; i < diff->line_count; i++) {
		if (out->grouped)
			add_group_row(&rows, &diff->lines[i]);
		else
			add_pairs(&rows, &diff->lines[i]);
	}
	if (rows.count > 1 && !out->grouped)
		qsort(rows.items, rows.count, sizeof(*rows.items), row_cmp);
	out->rows = ARENA_ARRAY(diff->arena, rows.count, struct diff_row);
	out->row_count = rows.count;
	for (size_t i = 0; i < rows.count; i++)
		out->rows[i] = rows.items[i];
	free(rows.items);
}

bool
diff_report_same(const struct diff_report *report)
{
	return report->row_count == 0 && report->added_count == 0 &&
	       report->removed_count == 0 && report->documents.access_count == 0 &&
	       report->documents.quota_count == 0 && report->documents.route_count == 0;
}
