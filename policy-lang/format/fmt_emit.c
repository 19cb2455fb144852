/*
 * Writes the tree. Block style, but for what was written in brackets, has no comment in
 * it, and fits in its line.
 */
#include "policy-lang/format/fmt_internal.h"

struct emitter {
	struct buf *out;
	bool no_blank; /* the text above must not be followed by an empty line */
};

static void emit_block(struct emitter *e, const struct written_node *node,
    unsigned indent, bool first_inline);

/* ---- in brackets ---- */

static bool add_flow(struct buf *out, const struct written_node *node, size_t room);

static bool
add_flow_entry(struct buf *out, const struct written_entry *e, size_t room)
{
	if (e->head.first != NULL || e->line.len != 0)
		return false;
	if (e->key != NULL) {
		if (!fmt_scalar(out, e->key))
			return false;
		buf_add_cstr(out, ": ");
	}
	if (!add_flow(out, e->value, room))
		return false;
	/* "{ a: }": one space is enough. */
	if (out->data[out->len - 1] == ' ')
		out->len--;
	return true;
}

/* False if it cannot be, or is longer than `room`; what was added is then of no use. */
static bool
add_flow(struct buf *out, const struct written_node *node, size_t room)
{
	size_t from = out->len;
	bool map = node->kind == WRITTEN_MAP;

	if (node->kind == WRITTEN_SCALAR || node->kind == WRITTEN_ALIAS)
		return fmt_scalar(out, node) && out->len - from <= room;
	if (node->foot.first != NULL || (!node->flow && node->count > 0))
		return false;
	if (node->properties.len > 0)
		buf_printf(out, "%.*s ", STR_ARG(node->properties));
	buf_add_cstr(out, map && node->count > 0 ? "{ " : map ? "{" : "[");
	for (size_t i = 0; i < node->count; i++) {
		if (i > 0)
			buf_add_cstr(out, ", ");
		if (out->len - from > room ||
		    !add_flow_entry(out, &node->entries[i], room))
			return false;
	}
	buf_add_cstr(out, map && node->count > 0 ? " }" : map ? "}" : "]");
	return out->len - from <= room;
}

/* ---- blocks ---- */

static void
emit_comments(
    struct emitter *e, const struct written_comments *list, unsigned indent, bool first)
{
	for (const struct written_comment *c = list->first; c != NULL; c = c->next) {
		if (c->blank_before && !first && !e->no_blank)
			buf_add_char(e->out, '\n');
		buf_printf(e->out, "%*s%.*s\n", (int)indent, "", STR_ARG(c->text));
		first = e->no_blank = false;
	}
}

/* What stands above an entry, and the indentation of its first line. */
static void
emit_above(
    struct emitter *e, const struct written_entry *entry, unsigned indent, bool first)
{
	emit_comments(e, &entry->head, indent, first);
	first = first && entry->head.first == NULL;
	if (entry->blank_before && !first && !e->no_blank)
		buf_add_char(e->out, '\n');
	buf_printf(e->out, "%*s", (int)indent, "");
}

static void
end_line(struct emitter *e, struct str comment)
{
	if (comment.len > 0)
		buf_printf(e->out, " %.*s", STR_ARG(comment));
	buf_add_char(e->out, '\n');
	e->no_blank = false;
}

/* The value on the line that has been begun, if it fits there. */
static bool
emit_inline(struct emitter *e, const struct written_entry *entry, size_t line_start,
    unsigned indent)
{
	const struct written_node *value = entry->value;
	size_t from = e->out->len, used = from - line_start;
	bool scalar = value->kind == WRITTEN_SCALAR || value->kind == WRITTEN_ALIAS;

	if (scalar && fmt_scalar(e->out, value))
		;
	else if (scalar && fmt_block_text(e->out, value, indent, entry->line)) {
		e->no_blank = fmt_keeps_lines(value);
		return true;
	} else if (scalar) {
		fmt_scalar_quoted(e->out, value);
	} else if (!add_flow(e->out, value,
		       value->count == 0  ? SIZE_MAX
		       : used < FMT_WIDTH ? FMT_WIDTH - used
					  : 0)) {
		e->out->len = from;
		return false;
	}
	if (e->out->len == from && e->out->data[from - 1] == ' ')
		e->out->len--; /* an empty value */
	end_line(e, entry->line);
	return true;
}

static void
emit_map_entry(struct emitter *e, const struct written_entry *entry, unsigned indent,
    size_t line_start)
{
	const struct written_node *value = entry->value;

	if (!fmt_scalar(e->out, entry->key))
		fmt_scalar_quoted(e->out, entry->key);
	if (entry->key->kind == WRITTEN_ALIAS)
		buf_add_char(e->out, ' '); /* else the colon would be of its name */
	buf_add_cstr(e->out, ": ");
	if (emit_inline(e, entry, line_start, indent + FMT_INDENT))
		return;
	if (value->properties.len > 0)
		buf_add_str(e->out, value->properties);
	else
		e->out->len--;
	end_line(e, entry->line);
	emit_block(e, value, indent + FMT_INDENT, false);
}

static void
emit_item(struct emitter *e, const struct written_entry *entry, unsigned indent,
    size_t line_start)
{
	const struct written_node *value = entry->value;

	buf_add_cstr(e->out, "- ");
	if (emit_inline(e, entry, line_start, indent + FMT_INDENT))
		return;
	if (value->properties.len > 0) {
		buf_add_str(e->out, value->properties);
		end_line(e, (struct str){0});
		emit_block(e, value, indent + FMT_INDENT, false);
		return;
	}
	emit_block(e, value, indent + FMT_INDENT, true);
}

/* Comments that must stand above "- ", because what follows it has them in front of its
 * first entry, or behind its bracket. */
static void
emit_item_comments(struct emitter *e, const struct written_entry *entry,
    unsigned indent, size_t line_start)
{
	const struct written_node *value = entry->value;
	struct buf probe = {0};
	bool inlined = value->kind == WRITTEN_SCALAR || value->kind == WRITTEN_ALIAS ||
		       value->count == 0;

	if (!inlined)
		inlined = add_flow(&probe, value, FMT_WIDTH - indent - 2);
	buf_free(&probe);
	if (inlined || value->properties.len > 0)
		return;
	e->out->len = line_start; /* the indentation comes again */
	if (entry->line.len > 0)
		buf_printf(e->out, "%*s%.*s\n", (int)indent, "", STR_ARG(entry->line));
	for (const struct written_node *inner = value; inner->count > 0;) {
		emit_comments(e, &inner->entries[0].head, indent, true);
		if (inner->entries[0].key != NULL)
			break;
		inner = inner->entries[0].value;
	}
	buf_printf(e->out, "%*s", (int)indent, "");
}

/* `first_inline`: its first line has been begun, and its comments are above it. */
static void
emit_block(struct emitter *e, const struct written_node *node, unsigned indent,
    bool first_inline)
{
	for (size_t i = 0; i < node->count; i++) {
		const struct written_entry *entry = &node->entries[i];
		size_t line_start = e->out->len - indent;

		if (i > 0 || !first_inline) {
			emit_above(e, entry, indent, i == 0);
			line_start = e->out->len - indent;
			if (entry->key == NULL)
				emit_item_comments(e, entry, indent, line_start);
			line_start = e->out->len - indent;
		}
		if (entry->key != NULL)
			emit_map_entry(e, entry, indent, line_start);
		else
			emit_item(e, entry, indent, line_start);
	}
	emit_comments(e, &node->foot, indent, false);
}

/* ---- documents ---- */

static void
emit_document(struct emitter *e, const struct written_doc *doc, bool first)
{
	const struct written_node *root = doc->root.value;
	size_t start;

	if (!first)
		buf_add_cstr(e->out, "---\n");
	emit_comments(e, &doc->root.head, 0, true);
	if (doc->root.blank_before && doc->root.head.first != NULL && root != NULL)
		buf_add_char(e->out, '\n');
	start = e->out->len;
	if (root == NULL) {
		if (doc->root.line.len > 0)
			buf_printf(e->out, "%.*s\n", STR_ARG(doc->root.line));
	} else if (!emit_inline(e, &doc->root, start, FMT_INDENT)) {
		if (doc->root.line.len > 0)
			buf_printf(e->out, "%.*s\n", STR_ARG(doc->root.line));
		emit_block(e, root, 0, false);
	}
	emit_comments(e, &doc->foot, 0, false);
}

void
fmt_emit(struct buf *out, const struct written *w)
{
	struct emitter e = {.out = out};
	bool first = true; /* comments above the first "---" are the next document's */

	for (size_t i = 0; i < w->count; i++) {
		emit_document(&e, &w->docs[i], first);
		first = first && w->docs[i].root.value == NULL;
		e.no_blank = false;
	}
}
