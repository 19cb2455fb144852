/*
 * Reads YAML by libyaml's events. libyaml knows nothing of our limits, so each is
 * checked as the events come: it never holds more than a line's look-ahead of what we
 * have not seen.
 */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "common/doc_tree.h"
#include "common/utf8.h"

#define CORE_TAG "tag:yaml.org,2002:"

/* A place in the text by character, as libyaml counts, and by byte, as we do. */
struct place {
	size_t chars;
	size_t bytes;
	size_t line; /* from 0 */
	size_t line_start;
};

struct yaml_reader {
	struct doc_tree *tree;
	struct str text; /* of the tree, from `base` on */
	struct doc_place base;
	yaml_parser_t parser;
	struct map anchors; /* of the present document: name -> struct doc_anchor */
	/* ASCII with ordinary line ends: libyaml's lines and columns are ours. */
	bool simple_marks;
	struct place place; /* where the last mark was, when they are not */
};

/* ---- places ---- */

/* Moves to the character that `chars` counts; marks mostly come in order. */
static void
seek(struct place *p, struct str text, size_t chars)
{
	while (p->chars < chars && p->bytes < text.len) {
		size_t width = utf8_width(text, p->bytes);

		if (text.ptr[p->bytes] == '\n') {
			p->line++;
			p->line_start = p->bytes + 1;
		}
		p->bytes += width != 0 ? width : 1;
		p->chars++;
	}
	while (p->chars > chars) {
		do
			p->bytes--;
		while (((unsigned char)text.ptr[p->bytes] & 0xc0) == 0x80);
		p->chars--;
		if (text.ptr[p->bytes] == '\n') {
			const char *before = memrchr(text.ptr, '\n', p->bytes);

			p->line--;
			p->line_start =
			    before != NULL ? (size_t)(before - text.ptr) + 1 : 0;
		}
	}
}

static struct loc
mark_loc(struct yaml_reader *r, const yaml_mark_t *mark)
{
	struct loc loc = {.source = r->tree->source};

	if (r->simple_marks) {
		loc.line = r->base.line + (uint32_t)mark->line;
		loc.col = (uint32_t)mark->column + 1;
		return loc;
	}
	seek(&r->place, r->text, mark->index);
	loc.line = r->base.line + (uint32_t)r->place.line;
	loc.col = (uint32_t)(r->place.bytes - r->place.line_start) + 1;
	return loc;
}

/* The byte of the reader's text that a mark is at. */
static size_t
mark_byte(const struct yaml_reader *r, const yaml_mark_t *mark)
{
	struct place place = r->place;

	if (r->simple_marks)
		return mark->index;
	seek(&place, r->text, mark->index);
	return place.bytes;
}

/* The place of an event, with its end if that is on the same line. */
static struct loc
event_loc(struct yaml_reader *r, const yaml_event_t *event)
{
	struct loc loc = mark_loc(r, &event->start_mark);
	struct place end = r->place;

	if (event->end_mark.line != event->start_mark.line)
		return loc;
	if (r->simple_marks) {
		loc.end_col = (uint32_t)event->end_mark.column + 1;
	} else {
		seek(&end, r->text, event->end_mark.index);
		if (end.line == r->place.line)
			loc.end_col = (uint32_t)(end.bytes - end.line_start) + 1;
	}
	if (loc.end_col <= loc.col)
		loc.end_col = 0;
	return loc;
}

/* ---- syntax errors ---- */

/* libyaml says what it was doing (context) and what it found (problem). Said again for
 * people who do not know its grammar. */
struct sentence {
	const char *problem;
	const char *context; /* NULL: any */
	const char *msg;
	const char *note; /* for the other place, or NULL */
	bool at_context;  /* the error is where the context began */
};

static const struct sentence sentences[] = {
    {"could not find expected ':'", NULL, "expected \":\" after this key", NULL, true},
    {"mapping values are not allowed in this context", NULL,
	"\":\" cannot stand here: check the indentation, or quote a text that has "
	"\": \" in it",
	NULL, false},
    {"block sequence entries are not allowed in this context", NULL,
	"a list item cannot stand here: check the indentation", NULL, false},
    {"mapping keys are not allowed in this context", NULL,
	"a key cannot stand here: check the indentation", NULL, false},
    {"did not find expected key", NULL,
	"expected the next key of a map: check the indentation and the quotes",
	"the map begins here", false},
    {"did not find expected '-' indicator", NULL,
	"expected \"-\" for the next item of a list: check the indentation",
	"the list begins here", false},
    {"did not find expected ',' or ']'", NULL, "expected \",\" or \"]\"",
	"the list begins here", false},
    {"did not find expected ',' or '}'", NULL, "expected \",\" or \"}\"",
	"the map begins here", false},
    {"did not find expected node content", NULL, "expected a value", NULL, false},
    {"did not find expected <document start>", NULL,
	"the document should end here: check the indentation, or begin another with "
	"\"---\"",
	NULL, false},
    {"found unexpected end of stream", "while scanning a quoted scalar",
	"this quote is never closed", NULL, true},
    {"found unexpected document indicator", "while scanning a quoted scalar",
	"this quote is not closed in its document", "the document ends here", true},
    {"found unknown escape character", NULL,
	"unknown escape in a double-quoted text: a backslash is written \\\\", NULL,
	false},
    {"did not find expected hexdecimal number", NULL,
	"expected hexadecimal digits in this escape", NULL, false},
    {"found invalid Unicode character escape code", NULL,
	"this escape is no Unicode character", NULL, false},
    {"did not find expected alphabetic or numeric character", "while scanning an alias",
	"expected the name of an anchor after \"*\"; a text that begins with \"*\" "
	"needs "
	"quotes",
	NULL, true},
    {"did not find expected alphabetic or numeric character",
	"while scanning an anchor",
	"expected a name after \"&\"; a text that begins with \"&\" needs quotes", NULL,
	true},
    {"found a tab character that violates indentation", NULL,
	"a tab cannot indent YAML: use spaces", NULL, false},
    {"found a tab character where an indentation space is expected", NULL,
	"a tab cannot indent YAML: use spaces", NULL, false},
    {"found an indentation indicator equal to 0", NULL,
	"the indentation of a block text must be 1 to 9", NULL, false},
    {"did not find expected comment or line break", "while scanning a block scalar",
	"a block text begins on the line after this", NULL, false},
    {"found undefined tag handle", NULL, "this tag is not known", NULL, false},
    {"found incompatible YAML document", NULL, "only YAML 1.1 and 1.2 are supported",
	NULL, false},
    {"found unknown directive name", NULL, "this directive is not known", NULL, false},
};

static bool
same(const char *a, const char *b)
{
	return a != NULL && strcmp(a, b) == 0;
}

static const struct sentence *
find_sentence(const yaml_parser_t *parser)
{
	for (size_t i = 0; i < ARRAY_LEN(sentences); i++) {
		const struct sentence *s = &sentences[i];

		if (same(parser->problem, s->problem) &&
		    (s->context == NULL || same(parser->context, s->context)))
			return s;
	}
	return NULL;
}

static void
report_bad_start(struct yaml_reader *r, struct loc loc, size_t at)
{
	struct str text = r->text;
	char c = at < text.len ? text.ptr[at] : '\0';

	if (c == '\t')
		doc_tree_error(r->tree, DOC_CODE_SYNTAX, loc,
		    "a tab cannot indent YAML: use spaces");
	else
		doc_tree_error(r->tree, DOC_CODE_SYNTAX, loc,
		    "a text cannot begin with \"%c\": quote it", c);
}

static void
report_syntax(struct yaml_reader *r, size_t *out_stopped_at)
{
	const yaml_parser_t *parser = &r->parser;
	const struct sentence *s = find_sentence(parser);
	bool has_context = parser->context != NULL;
	struct loc problem = mark_loc(r, &parser->problem_mark);
	struct loc context = mark_loc(r, &parser->context_mark);
	size_t at = mark_byte(r, &parser->problem_mark);
	struct diag *d;

	*out_stopped_at = r->base.at + at;
	if (same(parser->problem, "found character that cannot start any token")) {
		report_bad_start(r, problem, at);
		return;
	}
	if (s == NULL) {
		doc_tree_error(r->tree, DOC_CODE_SYNTAX, problem, "%s%s%s",
		    has_context ? parser->context : "", has_context ? ": " : "",
		    parser->problem != NULL ? parser->problem : "cannot be read");
		return;
	}
	if (!has_context) {
		doc_tree_error(r->tree, DOC_CODE_SYNTAX, problem, "%s", s->msg);
		return;
	}
	d = doc_tree_error(
	    r->tree, DOC_CODE_SYNTAX, s->at_context ? context : problem, "%s", s->msg);
	if (s->note != NULL)
		diag_note(r->tree->diags, d, s->at_context ? problem : context, "%s",
		    s->note);
}

/* ---- events ---- */

static const char *
event_text(const yaml_char_t *text)
{
	return (const char *)text;
}

/* The tag "!" says: a text, a list or a map as it stands. */
static bool
is_plain_tag(const yaml_char_t *tag)
{
	return tag != NULL && strcmp(event_text(tag), "!") == 0;
}

/* The part of a tag behind the core prefix; NULL for no tag. Other tags are reported
 * and count as none. */
static const char *
core_tag(struct yaml_reader *r, const yaml_char_t *tag, struct loc loc)
{
	const char *text = event_text(tag);

	if (text == NULL || is_plain_tag(tag))
		return NULL;
	if (strncmp(text, CORE_TAG, strlen(CORE_TAG)) == 0)
		return text + strlen(CORE_TAG);
	doc_tree_error(r->tree, DOC_CODE_TAG, loc, "the tag %s is not supported", text);
	return NULL;
}

/* Makes the name known, for what follows; NULL if there is no name. */
static struct doc_anchor *
add_anchor(struct yaml_reader *r, const yaml_char_t *name)
{
	struct doc_anchor *anchor;
	struct str key;

	if (name == NULL)
		return NULL;
	r->tree->anchors++;
	anchor = ARENA_NEW(r->tree->arena, struct doc_anchor);
	key = str_dup(r->tree->arena, str_from(event_text(name)));
	(void)map_set(&r->anchors, key, anchor); /* a later one takes the name over */
	return anchor;
}

static bool
on_scalar(struct yaml_reader *r, const yaml_event_t *event)
{
	struct doc_tree *t = r->tree;
	struct str value = {
	    event_text(event->data.scalar.value), event->data.scalar.length};
	yaml_scalar_style_t style = event->data.scalar.style;
	bool plain = style == YAML_PLAIN_SCALAR_STYLE;
	const yaml_char_t *tag = event->data.scalar.tag;
	struct doc_anchor *anchor = add_anchor(r, event->data.scalar.anchor);
	struct doc_node *node = doc_tree_node(t, DOC_STRING, event_loc(r, event));

	if (is_plain_tag(tag))
		plain = false;
	if (plain && tag == NULL && str_eq(value, STR("<<")))
		node->text = (struct str){doc_merge_text, 2};
	else
		node->text = doc_tree_text(t, value);
	/* Only an escape can make one: the text itself has been checked. */
	if (style == YAML_DOUBLE_QUOTED_SCALAR_STYLE &&
	    str_find(value, '\0', 0) != value.len) {
		doc_tree_error(t, DOC_CODE_TEXT, node->loc,
		    "a NUL character in a text is not allowed");
		node->text = STR("");
	}
	doc_scalar_resolve(t, node, core_tag(r, tag, node->loc), !plain);
	if (anchor != NULL)
		*anchor = (struct doc_anchor){.node = node, .nodes = 1};
	return doc_tree_add(t, node);
}

static bool
open_collection(struct yaml_reader *r, const yaml_event_t *event, enum doc_kind kind,
    const yaml_char_t *anchor, const yaml_char_t *tag)
{
	struct loc loc = event_loc(r, event);
	const char *core = core_tag(r, tag, loc);
	const char *fitting = kind == DOC_LIST ? "seq" : "map";

	loc.end_col = 0;
	if (core != NULL && strcmp(core, fitting) != 0)
		doc_tree_error(r->tree, DOC_CODE_TAG, loc,
		    "the tag !!%s does not fit %s", core, doc_kind_name(kind));
	return doc_tree_open(r->tree, kind, loc, add_anchor(r, anchor));
}

static bool
on_sequence_start(struct yaml_reader *r, const yaml_event_t *event)
{
	return open_collection(r, event, DOC_LIST, event->data.sequence_start.anchor,
	    event->data.sequence_start.tag);
}

static bool
on_mapping_start(struct yaml_reader *r, const yaml_event_t *event)
{
	return open_collection(r, event, DOC_MAP, event->data.mapping_start.anchor,
	    event->data.mapping_start.tag);
}

static bool
on_collection_end(struct yaml_reader *r, const yaml_event_t *event UNUSED)
{
	doc_tree_close(r->tree);
	return true;
}

static bool
on_alias(struct yaml_reader *r, const yaml_event_t *event)
{
	const char *name = event_text(event->data.alias.anchor);
	const struct doc_anchor *anchor = map_get(&r->anchors, str_from(name));
	struct loc loc = event_loc(r, event);
	struct doc_node *node;

	if (anchor != NULL && anchor->node != NULL)
		return doc_tree_add_alias(r->tree, anchor, loc);
	if (anchor == NULL)
		doc_tree_error(r->tree, DOC_CODE_ALIAS, loc,
		    "no anchor \"&%s\" before this alias; a text that begins with "
		    "\"*\" "
		    "needs quotes",
		    name);
	else
		doc_tree_error(r->tree, DOC_CODE_ALIAS, loc,
		    "the anchor \"&%s\" would contain itself", name);
	node = doc_tree_node(r->tree, DOC_NULL, loc);
	node->text = STR("");
	return doc_tree_add(r->tree, node);
}

static bool
on_document_start(struct yaml_reader *r, const yaml_event_t *event)
{
	size_t at = r->base.at + mark_byte(r, &event->start_mark);
	const char *before = memrchr(r->tree->text.ptr, '\n', at);
	size_t line_start =
	    before != NULL ? (size_t)(before - r->tree->text.ptr) + 1 : 0;

	map_fini(&r->anchors);
	doc_tree_begin_document(
	    r->tree, line_start, event_loc(r, event).line, line_start);
	if (event->data.document_start.tag_directives.start !=
	    event->data.document_start.tag_directives.end)
		doc_tree_error(r->tree, DOC_CODE_TAG, event_loc(r, event),
		    "%%TAG directives are not supported");
	return true;
}

static bool
on_document_end(struct yaml_reader *r, const yaml_event_t *event UNUSED)
{
	doc_tree_end_document(r->tree);
	return true;
}

static bool
on_nothing(struct yaml_reader *r UNUSED, const yaml_event_t *event UNUSED)
{
	return true;
}

/* Each returns false when reading must not go on. */
static bool (*const handlers[])(struct yaml_reader *, const yaml_event_t *) = {
    [YAML_NO_EVENT] = on_nothing,
    [YAML_STREAM_START_EVENT] = on_nothing,
    [YAML_STREAM_END_EVENT] = on_nothing,
    [YAML_DOCUMENT_START_EVENT] = on_document_start,
    [YAML_DOCUMENT_END_EVENT] = on_document_end,
    [YAML_ALIAS_EVENT] = on_alias,
    [YAML_SCALAR_EVENT] = on_scalar,
    [YAML_SEQUENCE_START_EVENT] = on_sequence_start,
    [YAML_SEQUENCE_END_EVENT] = on_collection_end,
    [YAML_MAPPING_START_EVENT] = on_mapping_start,
    [YAML_MAPPING_END_EVENT] = on_collection_end,
};

/* Whether a document that has just ended is followed by a "---" that begins a line;
 * *out_place: there. Anything else after a document only this reader understands. */
static bool
find_next(struct yaml_reader *r, const yaml_event_t *event, struct doc_place *out_place)
{
	size_t at = mark_byte(r, &event->end_mark);
	struct str rest = str_slice(r->text, at, r->text.len);

	if (!str_starts(rest, STR("---")) || (at > 0 && r->text.ptr[at - 1] != '\n') ||
	    (rest.len > 3 && strchr(" \t\r\n", rest.ptr[3]) == NULL))
		return false;
	out_place->at = r->base.at + at;
	out_place->line = mark_loc(r, &event->end_mark).line;
	return true;
}

static bool
read_events(struct yaml_reader *r, size_t documents, struct doc_place *place,
    size_t *out_stopped_at)
{
	yaml_event_type_t type = YAML_NO_EVENT;
	yaml_event_t event;
	bool go_on = true, at_next = false;

	while (go_on && !at_next && type != YAML_STREAM_END_EVENT) {
		if (yaml_parser_parse(&r->parser, &event) == 0) {
			if (r->parser.error == YAML_MEMORY_ERROR)
				base_die("out of memory");
			report_syntax(r, out_stopped_at);
			return false;
		}
		type = event.type;
		go_on = handlers[type](r, &event);
		if (type == YAML_DOCUMENT_END_EVENT && documents > 0)
			documents--;
		if (type == YAML_DOCUMENT_END_EVENT && documents == 0)
			at_next = find_next(r, &event, place);
		yaml_event_delete(&event);
	}
	if (type == YAML_STREAM_END_EVENT)
		place->at = r->tree->text.len;
	return go_on;
}

bool
doc_yaml_read(struct doc_tree *t, bool simple_marks, size_t documents,
    struct doc_place *place, size_t *out_stopped_at)
{
	struct yaml_reader r = {
	    .tree = t, .base = *place, .simple_marks = simple_marks};
	bool go_on;

	*out_stopped_at = SIZE_MAX;
	r.text = str_slice(t->text, place->at, t->text.len);
	if (yaml_parser_initialize(&r.parser) == 0)
		base_die("out of memory");
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(
	    &r.parser, (const unsigned char *)r.text.ptr, r.text.len);
	go_on = read_events(&r, documents, place, out_stopped_at);
	yaml_parser_delete(&r.parser);
	map_fini(&r.anchors);
	return go_on;
}
