/*
 * Items that are given one by one. Whether a document's items are is known from its
 * outermost keys, which may stand behind them; so those are found beforehand, by a look
 * at the text that is much shorter than reading it: lines that begin at the left edge in
 * YAML, what stands in one pair of braces in JSON. Where that look is not sure, nothing
 * is given one by one; where it was wrong, the document's end shows it, and that is an
 * error.
 */
#include <string.h>

#include "common/doc_tree.h"

/* A walk over the outermost keys. */
struct look {
	const struct doc_tree *tree;
	struct str text;
	size_t at, line_start;
	uint32_t line;
	struct doc_head *head;
};

static bool
is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '.' || c == '/' || c == '-' || c == '_';
}

/* The word that begins here. */
static struct str
word_at(const struct look *k, size_t at)
{
	size_t end = at;

	while (end < k->text.len && is_word(k->text.ptr[end]))
		end++;
	return str_slice(k->text, at, end);
}

/* Whether the two keys are known and ask for items. */
static bool
asks_for_items(const struct look *k)
{
	const struct doc_stream *s = k->tree->stream;

	for (size_t i = 0; i < DOC_HEAD_KEYS; i++) {
		if (k->head->values[i].text.len == 0)
			return false;
	}
	return s->has_items(s->ctx, k->head);
}

/* The value of a key of the head, or of another key. False: a key is there twice. */
static bool
take_value(struct look *k, struct str key, struct str value, size_t at)
{
	for (size_t i = 0; i < DOC_HEAD_KEYS; i++) {
		struct doc_node *node = &k->head->values[i];

		if (!str_is(key, k->tree->stream->head_keys[i]))
			continue;
		if (node->text.len != 0 || value.len == 0)
			return false;
		node->kind = DOC_STRING;
		node->text = value;
		node->loc = (struct loc){.source = k->tree->source,
		    .line = k->line,
		    .col = (uint32_t)(at - k->line_start) + 1,
		    .end_col = (uint32_t)(at - k->line_start + value.len) + 1};
	}
	return true;
}

/* ---- YAML ---- */

/* Nothing but a comment on the rest of the line. */
static bool
ends_line(const struct look *k, size_t at)
{
	bool blank = false;

	for (; at < k->text.len && k->text.ptr[at] == ' '; at++)
		blank = true;
	return at >= k->text.len || k->text.ptr[at] == '\n' ||
	       k->text.ptr[at] == '\r' || (blank && k->text.ptr[at] == '#');
}

static bool
is_marker(const struct look *k, const char *marker)
{
	return str_starts(str_slice(k->text, k->at, k->text.len), str_from(marker)) &&
	       ends_line(k, k->at + strlen(marker));
}

static bool
is_key_of_head(const struct look *k, struct str key)
{
	for (size_t i = 0; i < DOC_HEAD_KEYS; i++) {
		if (str_is(key, k->tree->stream->head_keys[i]))
			return true;
	}
	return false;
}

/* A line that begins with neither blank nor comment. False: not sure of it. */
static bool
look_at_line(struct look *k)
{
	struct str key = word_at(k, k->at), value = {0};
	size_t at = k->at + key.len;

	if (k->text.ptr[k->at] == '-' &&
	    (k->text.len == k->at + 1 || strchr(" \r\n", k->text.ptr[k->at + 1])))
		return true; /* an item */
	if (key.len == 0 || at >= k->text.len || k->text.ptr[at] != ':')
		return false;
	if (!is_key_of_head(k, key))
		return true;
	for (at++; at < k->text.len && k->text.ptr[at] == ' ';)
		at++;
	value = word_at(k, at);
	return ends_line(k, at + value.len) && take_value(k, key, value, at);
}

static bool
look_at_yaml(struct look *k)
{
	bool first = true, asked = false;

	for (; k->at < k->text.len; k->line++, first = false) {
		char c = k->text.ptr[k->at];
		bool marker = is_marker(k, "---");

		k->line_start = k->at;
		if ((marker && !first) || is_marker(k, "..."))
			break;
		if (c != ' ' && c != '#' && c != '\n' && c != '\r' && !marker &&
		    !look_at_line(k))
			return false;
		if (!asked && k->head->values[0].text.len != 0 &&
		    k->head->values[DOC_HEAD_KEYS - 1].text.len != 0) {
			if (!asks_for_items(k))
				return false; /* most documents end here */
			asked = true;
		}
		k->at = str_find(k->text, '\n', k->at);
		k->at += k->at < k->text.len;
	}
	return asked;
}

/* ---- JSON, whose grammar has been checked ---- */

/* From a quote to behind its partner; what is between them. */
static struct str
skip_string(struct look *k)
{
	size_t from = ++k->at;

	while (k->text.ptr[k->at] != '"')
		k->at += k->text.ptr[k->at] == '\\' ? 2 : 1;
	return str_slice(k->text, from, k->at++);
}

static bool
look_at_json(struct look *k)
{
	struct str key = {0};
	unsigned depth = 0;
	bool value = false; /* a value follows, in the outermost map */

	do {
		char c = k->text.ptr[k->at];
		size_t at = k->at;

		if (c == '"') {
			struct str text = skip_string(k);

			if (depth != 1)
				continue;
			if (value && word_at(k, at + 1).len != text.len)
				text.len = 0; /* an escape: not a word */
			if (!value)
				key = text;
			else if (!take_value(k, key, text, at))
				return false;
			value = false;
			continue;
		}
		if (c == '\n') {
			k->line++;
			k->line_start = k->at + 1;
		}
		depth += c == '{' || c == '[';
		depth -= c == '}' || c == ']';
		if (depth == 1 && c == ':')
			value = true;
		if (c == ',' || c == '{' || c == '[')
			value = false;
		k->at++;
	} while (depth > 0);
	return asks_for_items(k);
}

/* ---- the tree ---- */

void
doc_tree_begin_document(struct doc_tree *t, size_t at, uint32_t line, size_t line_start)
{
	struct look look = {
	    .tree = t,
	    .text = t->text,
	    .at = at,
	    .line = line,
	    .line_start = line_start,
	    .head = &t->head,
	};

	t->streams = t->in_items = false;
	t->item_count = 0;
	t->items_given = t->items_again;
	t->items_again = 0;
	if (t->each == NULL || t->stream == NULL)
		return;
	t->head = (struct doc_head){0};
	t->document_diags = *t->diags;
	t->streams = t->is_json ? t->text.ptr[at] == '{' && look_at_json(&look)
				: look_at_yaml(&look);
}

bool
doc_tree_at_item(const struct doc_tree *t)
{
	return t->in_items && t->depth == 2;
}

/* What is allocated from here on belongs to the next item. */
static void
begin_item(struct doc_tree *t)
{
	doc_tree_mark(t);
	t->item_diags = *t->diags;
	t->item_anchors = t->anchors;
}

bool
doc_tree_opens_items(const struct doc_tree *t)
{
	const struct doc_frame *list = &t->frames[t->depth - 1];
	struct str name = str_from(t->stream->items_key);

	if (t->depth != 2 || list->node->kind != DOC_LIST || list->anchor != NULL ||
	    t->frames[0].node->kind != DOC_MAP || (t->len - t->frames[0].base) % 2 == 0)
		return false;
	/* The first of the name: another is a mistake, and is not taken. */
	for (size_t i = t->frames[0].base; i < t->len; i += 2) {
		if (str_eq(t->stack[i]->text, name))
			return i == t->len - 1;
	}
	return false;
}

void
doc_tree_begin_items(struct doc_tree *t)
{
	/* What stands before the items has been told by the reader that gave up. */
	if (t->items_given > 0)
		diag_list_rewind(t->diags, &t->document_diags);
	t->in_items = true;
	begin_item(t);
}

void
doc_tree_end_item(struct doc_tree *t, const struct doc_node *item)
{
	bool keep = false;

	if (t->item_count++ < t->items_given) {
		diag_list_rewind(t->diags, &t->item_diags);
	} else {
		keep = t->stream->item(t->stream->ctx, &t->head, item);
		t->items_given++;
	}
	/* What has an anchor may be meant by a later item. */
	if (!keep && t->anchors == t->item_anchors)
		doc_tree_rewind(t);
	begin_item(t);
}

void
doc_tree_forget_document(struct doc_tree *t, const struct diag_list *mark)
{
	diag_list_rewind(t->diags, t->items_given > 0 ? &t->item_diags : mark);
	t->items_again = t->items_given;
	t->depth = 0;
	t->len = 0;
	t->root = NULL;
	t->in_items = false;
}

void
doc_tree_check_head(struct doc_tree *t, const struct doc_node *root)
{
	if (!t->streams)
		return;
	t->streams = t->in_items = false;
	for (size_t i = 0; i < DOC_HEAD_KEYS; i++) {
		const struct doc_node *value = doc_get(root, t->stream->head_keys[i]);
		const struct doc_node *seen = &t->head.values[i];

		if (value == NULL || !str_eq(value->text, seen->text))
			doc_tree_error(t, DOC_CODE_SYNTAX, seen->loc,
			    "this looks like the document's own \"%s\", which it is "
			    "not: indent the text that it stands in",
			    t->stream->head_keys[i]);
	}
}
