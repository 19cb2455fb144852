#include "common/written.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/limits.h"
#include "common/utf8.h"
#include "common/written_internal.h"

/* A list or map that is still open. Its entries gather on the builder's stack. */
struct open_node {
	struct written_node *node;
	size_t base;
	struct written_node *key; /* that waits for its value */
};

struct builder {
	struct written_reader *r;
	yaml_parser_t parser;
	struct written_entry *stack;
	size_t len, cap;
	struct open_node open[LIMIT_DOC_DEPTH];
	size_t depth;
	/* The place of the last mark, so that long lines are not counted again. */
	size_t mark_line, mark_column, mark_byte;
};

/* ---- places ---- */

size_t
written_line(const struct written_reader *r, size_t at)
{
	size_t lo = 0, hi = r->line_count;

	while (hi - lo > 1) {
		size_t middle = lo + (hi - lo) / 2;

		if (r->lines[middle] <= at)
			lo = middle;
		else
			hi = middle;
	}
	return lo;
}

static struct loc
written_loc(const struct written_reader *r, size_t at)
{
	size_t line = written_line(r, at);

	return (struct loc){
	    .source = r->source,
	    .line = (uint32_t)line + 1,
	    .col = (uint32_t)(at - r->lines[line]) + 1,
	};
}

bool
written_refuse(struct written_reader *r, size_t at, const char *what)
{
	(void)diag_error(r->diags, WRITTEN_CODE, written_loc(r, at),
	    "%s cannot be kept as written: the file is left alone", what);
	return false;
}

/* The byte that a mark, which counts characters, is at. */
static size_t
byte_of(struct builder *b, const yaml_mark_t *mark)
{
	struct written_reader *r = b->r;

	if (mark->line >= r->line_count)
		return r->text.len;
	if (mark->line != b->mark_line || mark->column < b->mark_column) {
		b->mark_line = mark->line;
		b->mark_column = 0;
		b->mark_byte = r->lines[mark->line];
	}
	while (b->mark_column < mark->column && b->mark_byte < r->text.len) {
		size_t width = utf8_width(r->text, b->mark_byte);

		b->mark_byte += width != 0 ? width : 1;
		b->mark_column++;
	}
	return b->mark_byte;
}

/* ---- properties ---- */

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

/* Skips anchor, tag, and what stands around them, from `at`; adds them to *properties if
 * that is not NULL. Returns where the content begins, at most `end`. */
static size_t
written_skip_properties(
    const struct written_reader *r, size_t at, size_t end, struct buf *properties)
{
	size_t content = at;

	while (at < end) {
		char c = r->text.ptr[at];
		size_t from = at;

		if (is_space(c)) {
			at++;
			continue;
		}
		if (c == '#') {
			at = str_find(r->text, '\n', at);
			continue;
		}
		if (c != '&' && c != '!')
			return at;
		while (at < end && !is_space(r->text.ptr[at]) &&
		       strchr(",[]{}", r->text.ptr[at]) == NULL)
			at++;
		content = at;
		if (properties == NULL)
			continue;
		if (properties->len > 0)
			buf_add_char(properties, ' ');
		buf_add_str(properties, str_slice(r->text, from, at));
	}
	return content; /* an empty scalar */
}

/* ---- the tree ---- */

static void
push(struct builder *b, struct written_entry entry)
{
	if (b->len == b->cap) {
		b->cap = b->cap != 0 ? b->cap * 2 : 256;
		b->stack = xreallocarray(b->stack, b->cap, sizeof(*b->stack));
	}
	b->stack[b->len++] = entry;
}

static void
add_leaf(struct written_reader *r, const struct written_node *node)
{
	if (node->raw.len == 0)
		return;
	if (r->leaf_count == r->leaf_cap) {
		r->leaf_cap = r->leaf_cap != 0 ? r->leaf_cap * 2 : 256;
		r->leaves = xreallocarray(r->leaves, r->leaf_cap, sizeof(*r->leaves));
	}
	r->leaves[r->leaf_count++] = node;
}

/* Puts a node where it belongs: as a key, a value, an item, or a document's root. */
static void
place(struct builder *b, struct written_node *node)
{
	struct open_node *open = b->depth > 0 ? &b->open[b->depth - 1] : NULL;
	struct written_entry entry = {.value = node, .start = node->start};

	if (open == NULL) {
		b->r->docs[b->r->doc_count - 1].root = entry;
		return;
	}
	if (open->node->kind == WRITTEN_MAP && open->key == NULL) {
		open->key = node;
		return;
	}
	if (open->key != NULL) {
		entry.key = open->key;
		entry.start = open->key->start;
		open->key = NULL;
	}
	push(b, entry);
}

static struct written_node *
new_node(struct builder *b, enum written_kind kind, const yaml_event_t *event,
    bool properties)
{
	struct written_node *node = ARENA_NEW(b->r->arena, struct written_node);
	struct buf text = {0};
	struct loc loc;

	node->kind = kind;
	node->start = byte_of(b, &event->start_mark);
	node->end = byte_of(b, &event->end_mark);
	if (properties) {
		size_t end = kind == WRITTEN_SCALAR ? node->end : b->r->text.len;

		node->start = written_skip_properties(b->r, node->start, end, &text);
		node->properties = str_dup(b->r->arena, buf_str(&text));
		b->r->docs[b->r->doc_count - 1].anchors = true;
		buf_free(&text);
	}
	loc = written_loc(b->r, node->start);
	node->line = loc.line;
	node->col = loc.col;
	return node;
}

static enum written_style
style_of(yaml_scalar_style_t style)
{
	if (style == YAML_SINGLE_QUOTED_SCALAR_STYLE)
		return WRITTEN_SINGLE_QUOTED;
	if (style == YAML_DOUBLE_QUOTED_SCALAR_STYLE)
		return WRITTEN_DOUBLE_QUOTED;
	if (style == YAML_LITERAL_SCALAR_STYLE)
		return WRITTEN_LITERAL;
	return style == YAML_FOLDED_SCALAR_STYLE ? WRITTEN_FOLDED : WRITTEN_PLAIN;
}

static void
on_scalar(struct builder *b, const yaml_event_t *event)
{
	const yaml_char_t *value = event->data.scalar.value;
	struct written_node *node = new_node(b, WRITTEN_SCALAR, event,
	    event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL);

	node->style = style_of(event->data.scalar.style);
	node->raw = str_slice(b->r->text, node->start, node->end);
	node->value = str_dup(
	    b->r->arena, (struct str){(const char *)value, event->data.scalar.length});
	add_leaf(b->r, node);
	place(b, node);
}

static void
on_alias(struct builder *b, const yaml_event_t *event)
{
	struct written_node *node = new_node(b, WRITTEN_ALIAS, event, false);

	node->raw = str_slice(b->r->text, node->start, node->end);
	b->r->docs[b->r->doc_count - 1].anchors = true;
	add_leaf(b->r, node);
	place(b, node);
}

static void
on_open(struct builder *b, const yaml_event_t *event, enum written_kind kind,
    bool properties, bool flow)
{
	struct written_node *node = new_node(b, kind, event, properties);

	if (b->depth == LIMIT_DOC_DEPTH)
		base_die("a document that was read is too deep");
	node->flow = flow;
	b->open[b->depth++] = (struct open_node){.node = node, .base = b->len};
}

static void
on_close(struct builder *b, const yaml_event_t *event)
{
	struct open_node open = b->open[--b->depth];
	struct written_node *node = open.node;

	node->count = b->len - open.base;
	node->entries = ARENA_ARRAY(b->r->arena, node->count, struct written_entry);
	for (size_t i = 0; i < node->count; i++)
		node->entries[i] = b->stack[open.base + i];
	b->len = open.base;
	node->end = byte_of(b, &event->end_mark);
	/* A flow map of one pair without braces, in a list, ends with its value. */
	if (node->flow && b->r->text.ptr[node->start] != '{' &&
	    b->r->text.ptr[node->start] != '[')
		node->end = node->entries[0].value->end;
	place(b, node);
}

static void
on_document_start(struct builder *b, const yaml_event_t *event)
{
	struct written_reader *r = b->r;

	if (r->doc_count == r->doc_cap) {
		r->doc_cap = r->doc_cap != 0 ? r->doc_cap * 2 : 16;
		r->docs = xreallocarray(r->docs, r->doc_cap, sizeof(*r->docs));
		r->doc_starts =
		    xreallocarray(r->doc_starts, r->doc_cap, sizeof(*r->doc_starts));
	}
	r->docs[r->doc_count] = (struct written_doc){0};
	/* Behind the "---", if there is one. */
	r->doc_starts[r->doc_count++] =
	    byte_of(b, event->data.document_start.implicit ? &event->start_mark
							   : &event->end_mark);
}

static bool
on_event(struct builder *b, const yaml_event_t *e)
{
	switch (e->type) {
	case YAML_DOCUMENT_START_EVENT:
		on_document_start(b, e);
		if (e->data.document_start.version_directive != NULL)
			return written_refuse(
			    b->r, byte_of(b, &e->start_mark), "a directive");
		break;
	case YAML_SCALAR_EVENT:
		on_scalar(b, e);
		break;
	case YAML_ALIAS_EVENT:
		on_alias(b, e);
		break;
	case YAML_SEQUENCE_START_EVENT:
		on_open(b, e, WRITTEN_LIST,
		    e->data.sequence_start.anchor != NULL ||
			e->data.sequence_start.tag != NULL,
		    e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE);
		break;
	case YAML_MAPPING_START_EVENT:
		on_open(b, e, WRITTEN_MAP,
		    e->data.mapping_start.anchor != NULL ||
			e->data.mapping_start.tag != NULL,
		    e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE);
		break;
	case YAML_SEQUENCE_END_EVENT:
	case YAML_MAPPING_END_EVENT:
		on_close(b, e);
		break;
	case YAML_NO_EVENT:
	case YAML_STREAM_START_EVENT:
	case YAML_STREAM_END_EVENT:
	case YAML_DOCUMENT_END_EVENT:
		break;
	}
	return true;
}

static bool
build(struct written_reader *r)
{
	struct builder *b = ARENA_NEW(r->arena, struct builder);
	yaml_event_type_t type = YAML_NO_EVENT;
	yaml_event_t event;
	bool ok = true;

	b->r = r;
	if (yaml_parser_initialize(&b->parser) == 0)
		base_die("out of memory");
	yaml_parser_set_encoding(&b->parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
	    &b->parser, (const unsigned char *)r->text.ptr, r->text.len);
	while (ok && type != YAML_STREAM_END_EVENT) {
		if (yaml_parser_parse(&b->parser, &event) == 0) {
			/* JSON that YAML does not take. */
			ok = written_refuse(
			    r, byte_of(b, &b->parser.problem_mark), "this JSON");
			break;
		}
		type = event.type;
		ok = on_event(b, &event);
		yaml_event_delete(&event);
	}
	yaml_parser_delete(&b->parser);
	free(b->stack);
	return ok;
}

/* ---- the text ---- */

/* Without a byte order mark, every line ended by LF. */
static struct str
normal_text(struct arena *arena, struct str text)
{
	char *copy;
	size_t len = 0;

	if (str_starts(text, STR(UTF8_BYTE_ORDER_MARK)))
		text = str_slice(text, strlen(UTF8_BYTE_ORDER_MARK), text.len);
	copy = arena_alloc(arena, text.len + 1);
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] != '\r' || i + 1 == text.len || text.ptr[i + 1] != '\n')
			copy[len++] = text.ptr[i];
	}
	return (struct str){copy, len};
}

static void
find_lines(struct written_reader *r)
{
	size_t count = 1;

	for (size_t i = 0; i < r->text.len; i++)
		count += r->text.ptr[i] == '\n';
	r->lines = ARENA_ARRAY(r->arena, count, size_t);
	r->line_count = 1;
	for (size_t i = 0; i < r->text.len; i++) {
		if (r->text.ptr[i] == '\n')
			r->lines[r->line_count++] = i + 1;
	}
}

/* YAML knows line ends that no editor shows. */
static bool
check_lines(struct written_reader *r)
{
	for (size_t i = 0; i < r->text.len; i++) {
		uint32_t point = (unsigned char)r->text.ptr[i];

		if (point >= 0x80 && utf8_decode(r->text, i, &point) == 0)
			continue;
		if (point == '\r' || point == 0x85 || point == 0x2028 ||
		    point == 0x2029)
			return written_refuse(r, i, "this line end");
	}
	return true;
}

static void
keep_documents(struct written_reader *r, struct written *out)
{
	out->docs = ARENA_ARRAY(r->arena, r->doc_count + 1, struct written_doc);
	if (r->loose.first != NULL)
		out->docs[out->count++].root.head = r->loose;
	for (size_t i = 0; i < r->doc_count; i++) {
		struct written_doc *doc = &r->docs[i];
		struct written_node *root = doc->root.value;
		bool empty = root == NULL ||
			     (root->kind == WRITTEN_SCALAR && root->raw.len == 0 &&
				 root->properties.len == 0);

		if (empty) {
			if (doc->root.head.first == NULL && doc->foot.first == NULL &&
			    doc->root.line.len == 0)
				continue;
			doc->root.value = NULL;
		}
		out->docs[out->count++] = *doc;
	}
}

bool
written_read(struct arena *arena, const struct source *source, struct diag_list *diags,
    struct written *out)
{
	struct written_reader r = {.arena = arena, .diags = diags, .source = source};
	bool ok;

	*out = (struct written){0};
	r.text = normal_text(arena, source->text);
	find_lines(&r);
	ok = check_lines(&r) && build(&r) && written_attach(&r);
	if (ok)
		keep_documents(&r, out);
	free(r.leaves);
	free(r.docs);
	free(r.doc_starts);
	return ok;
}
