/*
 * Comments: everything between scalars that begins with #. Each goes down the tree to
 * its owner, and what it passes on the way tells which that is.
 */
#include <string.h>

#include "common/written_internal.h"

struct comment {
	size_t at; /* of its # */
	struct str text;
	uint32_t col;
	bool own_line; /* nothing stands before it on its line */
	bool blank_before;
};

struct attacher {
	struct written_reader *r;
	size_t doc; /* that the last comment was in */
	/* A comment never belongs further inside than one right before it. */
	size_t max_depth;
};

static bool
is_block(const struct written_node *node)
{
	return node != NULL && !node->flow && node->count > 0 &&
	       (node->kind == WRITTEN_LIST || node->kind == WRITTEN_MAP);
}

static bool
is_blank_line(const struct written_reader *r, size_t line)
{
	size_t at = r->lines[line];
	size_t end = line + 1 < r->line_count ? r->lines[line + 1] : r->text.len;

	while (at < end && strchr(" \t\n", r->text.ptr[at]) != NULL)
		at++;
	return at == end;
}

static bool
blank_before(const struct written_reader *r, size_t at)
{
	size_t line = written_line(r, at);

	return line > 0 && is_blank_line(r, line - 1);
}

/* ---- giving ---- */

static void
add(struct attacher *a, struct written_comments *list, const struct comment *c)
{
	struct written_comment *item = ARENA_NEW(a->r->arena, struct written_comment);

	item->text = c->text;
	item->blank_before = c->blank_before;
	if (list->last != NULL)
		list->last->next = item;
	else
		list->first = item;
	list->last = item;
}

/* Behind an entry there is room for one; another goes above it. */
static void
add_line(struct attacher *a, struct written_entry *e, const struct comment *c)
{
	struct comment above = *c;

	above.blank_before = false;
	if (e->line.len == 0)
		e->line = c->text;
	else
		add(a, &e->head, &above);
}

/* The last entry that begins before `at`; count if none does. */
static size_t
entry_before(const struct written_node *node, size_t at)
{
	size_t lo = 0, hi = node->count;

	while (lo < hi) {
		size_t middle = lo + (hi - lo) / 2;

		if (node->entries[middle].start < at)
			lo = middle + 1;
		else
			hi = middle;
	}
	return lo == 0 ? node->count : lo - 1;
}

/* Behind something on its line. */
static void
give_line(struct attacher *a, struct written_entry *e, const struct comment *c)
{
	for (;;) {
		struct written_node *value = e->value;
		size_t i;

		if (value == NULL || value->start > c->at || value->count == 0 ||
		    (value->flow && c->at > value->end))
			break;
		i = entry_before(value, c->at);
		if (i == value->count)
			break; /* behind an opening bracket */
		e = &value->entries[i];
	}
	/* "- # text" over a block: there is no line of the item's own. */
	if (e->key == NULL && is_block(e->value) && e->value->start > c->at)
		add(a, &e->head, c);
	else
		add_line(a, e, c);
}

/* On a line of its own, behind an entry's beginning: inside, if more of its value
 * follows, or it is not written left of what is there. A list may stand right below
 * its key, no further in: then what is as far left is the map's. */
static bool
goes_inside(const struct attacher *a, const struct written_entry *e,
    const struct comment *c, size_t depth, uint32_t outer_col)
{
	const struct written_node *value = e->value;

	if (value->flow)
		return value->start < c->at && c->at < value->end;
	if (!is_block(value))
		return false;
	if (c->at < value->end)
		return true;
	return depth < a->max_depth && c->col >= value->col && c->col > outer_col;
}

/* The first entry within a block value that begins after the comment takes it; items
 * of lists take what is above their first line. */
static void
give_own(struct attacher *a, struct written_doc *doc, const struct comment *c)
{
	struct written_entry *e = &doc->root;
	size_t depth = 0;

	for (;;) {
		struct written_node *value = e->value;
		size_t i;

		if (value == NULL || c->at < e->start) {
			add(a, &e->head, c);
			break;
		}
		if (e == &doc->root && !goes_inside(a, e, c, depth, 0) &&
		    !is_block(value)) {
			add(a, value->start > c->at ? &e->head : &doc->foot, c);
			break;
		}
		depth++;
		i = entry_before(value, c->at);
		if (i == value->count) {
			struct written_entry *first = &value->entries[0];

			add(a,
			    value->count == 0 || (e->key == NULL && !value->flow)
				? &e->head
				: &first->head,
			    c);
			break;
		}
		if (goes_inside(a, &value->entries[i], c, depth, value->col)) {
			e = &value->entries[i];
			continue;
		}
		if (value->entries[i].value->start > c->at &&
		    !is_block(value->entries[i].value))
			add(a, &value->entries[i].head, c);
		else if (i + 1 < value->count)
			add(a, &value->entries[i + 1].head, c);
		else
			add(a, &value->foot, c);
		break;
	}
	a->max_depth = depth;
}

static void
give(struct attacher *a, const struct comment *c)
{
	struct written_reader *r = a->r;

	while (a->doc + 1 < r->doc_count && r->doc_starts[a->doc + 1] <= c->at)
		a->doc++;
	if (r->doc_count == 0)
		add(a, &a->r->loose, c);
	else if (c->own_line)
		give_own(a, &r->docs[a->doc], c);
	else
		give_line(a, &r->docs[a->doc].root, c);
}

/* ---- finding ---- */

static void
take(struct attacher *a, size_t at, size_t end)
{
	struct written_reader *r = a->r;
	size_t line = written_line(r, at);
	size_t before = r->lines[line];
	struct comment c = {.at = at, .col = (uint32_t)(at - before) + 1};

	while (end > at && strchr(" \t", r->text.ptr[end - 1]) != NULL)
		end--;
	c.text = str_slice(r->text, at, end);
	while (before < at && strchr(" \t", r->text.ptr[before]) != NULL)
		before++;
	c.own_line = before == at;
	c.blank_before = c.own_line && line > 0 && is_blank_line(r, line - 1);
	give(a, &c);
}

/* Structure from `at` to `end`: indicators, spaces, properties, comments. */
static bool
scan_gap(struct attacher *a, size_t at, size_t end)
{
	struct written_reader *r = a->r;

	a->max_depth = SIZE_MAX;
	while (at < end) {
		char c = r->text.ptr[at];
		bool line_start = at == 0 || r->text.ptr[at - 1] == '\n';
		size_t line_end;

		if (c == '#') {
			line_end = str_find(r->text, '\n', at);
			take(a, at, line_end);
			at = line_end;
		} else if (c == '&' || c == '!') {
			while (
			    at < end && strchr(" \t\n,[]{}", r->text.ptr[at]) == NULL)
				at++;
		} else if (c == '?') {
			return written_refuse(r, at, "a key written with \"?\"");
		} else if (c == '%' && line_start) {
			return written_refuse(r, at, "a directive");
		} else {
			if (strchr(" \t\n", c) == NULL)
				a->max_depth = SIZE_MAX;
			at++;
		}
	}
	return true;
}

/* "|-  # text": the comment is on the line of the indicator. */
static void
take_header(struct attacher *a, const struct written_node *node)
{
	size_t end = str_find(a->r->text, '\n', node->start);
	size_t at = str_find(a->r->text, '#', node->start);

	if (at < end && at < node->end)
		take(a, at, end);
}

/* ---- blank lines ---- */

static void
mark_blanks(const struct written_reader *r, struct written_node *node)
{
	for (size_t i = 0; node != NULL && i < node->count; i++) {
		struct written_entry *e = &node->entries[i];

		e->blank_before = blank_before(r, e->start);
		mark_blanks(r, e->value);
	}
}

/* ---- places that events do not tell ---- */

/* The first `indicator` from `at` on that is not in a comment; `end` if there is none. */
static size_t
find_indicator(const struct written_reader *r, char indicator, size_t at, size_t end)
{
	while (at < end && r->text.ptr[at] != indicator)
		at = r->text.ptr[at] == '#' ? str_find(r->text, '\n', at) : at + 1;
	return at < end ? at : end;
}

/* A value that is not there is said to be where the next thing begins, behind comments
 * that may be its own: it is right behind the indicator that announces it. */
static void
place_empty(struct written_node *value, size_t at)
{
	if (value->kind == WRITTEN_SCALAR && value->raw.len == 0 &&
	    value->properties.len == 0)
		value->start = value->end = at;
}

static void
place_entry(const struct written_reader *r, const struct written_node *node,
    struct written_entry *e, size_t from)
{
	size_t colon;

	if (e->key != NULL) {
		colon = e->key->end;
		while (
		    colon < r->text.len && strchr(" \t\n", r->text.ptr[colon]) != NULL)
			colon++;
		place_empty(e->value, colon < r->text.len && r->text.ptr[colon] == ':'
					  ? colon + 1
					  : e->key->end);
	} else if (!node->flow) {
		e->start = find_indicator(r, '-', from, e->start);
		place_empty(e->value, e->start + 1);
	}
}

/* The "-" of an item stands before its value, maybe on a line of its own; and a block ends
 * with its last entry. */
static void
place_entries(const struct written_reader *r, struct written_node *node)
{
	for (size_t i = 0; i < node->count; i++) {
		struct written_entry *e = &node->entries[i];

		place_entry(
		    r, node, e, i > 0 ? node->entries[i - 1].value->end : node->start);
		place_entries(r, e->value);
		if (!node->flow)
			node->end = e->value->end;
	}
}

bool
written_attach(struct written_reader *r)
{
	struct attacher a = {.r = r};
	size_t at = 0;

	for (size_t i = 0; i < r->doc_count; i++) {
		const struct written_node *root = r->docs[i].root.value;

		/* They would have to stand behind a "---", above the comments. */
		if (root->count > 0 && root->properties.len > 0)
			return written_refuse(
			    r, root->start, "an anchor or tag of the whole document");
		place_entries(r, r->docs[i].root.value);
		mark_blanks(r, r->docs[i].root.value);
		r->docs[i].root.blank_before = blank_before(r, root->start);
	}
	for (size_t i = 0; i <= r->leaf_count; i++) {
		const struct written_node *leaf =
		    i < r->leaf_count ? r->leaves[i] : NULL;

		if (!scan_gap(&a, at, leaf != NULL ? leaf->start : r->text.len))
			return false;
		if (leaf == NULL)
			break;
		if (leaf->style == WRITTEN_LITERAL || leaf->style == WRITTEN_FOLDED)
			take_header(&a, leaf);
		at = leaf->end;
	}
	return true;
}
