#include "common/doc.h"

#include <string.h>

#include "common/doc_tree.h"
#include "common/utf8.h"

/* The place of a byte, found by counting from the start: for the one error that ends
 * everything. */
static struct loc
byte_loc(const struct source *source, struct str text, size_t at)
{
	struct loc loc = {.source = source, .line = 1};
	size_t start = 0;

	for (size_t i = str_find(text, '\n', 0); i < at;
	     i = str_find(text, '\n', i + 1)) {
		loc.line++;
		start = i + 1;
	}
	loc.col = (uint32_t)(at - start) + 1;
	return loc;
}

/* Characters that YAML allows beside printable ASCII, tab and line ends. */
static bool
is_allowed_point(uint32_t point)
{
	return point == 0x85 || (point >= 0xa0 && point != 0xfffe && point != 0xffff);
}

static void
report_byte(struct doc_tree *t, size_t at)
{
	struct loc loc = byte_loc(t->source, t->text, at);
	unsigned char c = (unsigned char)t->text.ptr[at];
	uint32_t point;

	if (str_starts(t->text, STR("\xff\xfe")) ||
	    str_starts(t->text, STR("\xfe\xff")))
		doc_tree_error(
		    t, DOC_CODE_TEXT, loc, "the file is UTF-16: save it as UTF-8");
	else if (c == 0)
		doc_tree_error(t, DOC_CODE_TEXT, loc, "a NUL byte: this is not a text");
	else if (utf8_decode(t->text, at, &point) == 0)
		doc_tree_error(
		    t, DOC_CODE_TEXT, loc, "the byte 0x%02x is not UTF-8", c);
	else if (point == 0xfeff)
		doc_tree_error(
		    t, DOC_CODE_TEXT, loc, "a byte order mark may only begin a file");
	else
		doc_tree_error(t, DOC_CODE_TEXT, loc,
		    "the control character U+%04X is not allowed", point);
}

/* What the readers may rely on. */
struct text_traits {
	bool ascii;
	bool plain_lines; /* they end in LF or CRLF, and in nothing else */
};

/* Characters that YAML takes for line ends, or for nothing. */
static bool
is_odd_space(uint32_t point)
{
	return point == 0x85 || point == 0x2028 || point == 0x2029 || point == 0xfeff;
}

/* From `i` to the first byte that is neither printable ASCII nor an ordinary blank. */
static size_t
skip_ordinary(struct str text, size_t i)
{
	while (text.len - i >= sizeof(doc_bytes)) {
		doc_bytes bytes = doc_bytes_at(text.ptr + i);
		size_t odd = doc_bytes_first(
		    (doc_bytes)(((bytes < 0x20) & (bytes != '\n') & (bytes != '\t')) |
				(bytes >= 0x7f)));

		i += odd;
		if (odd < sizeof(doc_bytes))
			return i;
	}
	for (; i < text.len; i++) {
		char c = text.ptr[i];

		if ((c < 0x20 || c >= 0x7f) && c != '\n' && c != '\t')
			break;
	}
	return i;
}

static void
report_unreadable(struct doc_tree *t)
{
	struct str why = str_slice(t->text, sizeof(SOURCE_NOT_READ) - 1, t->text.len);
	const struct str word = str_split(&why, ':');
	const char *code =
	    str_is(word, SOURCE_CODE_LIMIT) ? SOURCE_CODE_LIMIT : SOURCE_CODE_READ;

	doc_tree_error(t, code, (struct loc){.source = t->source}, "%.*s",
	    STR_ARG(str_slice(why, 1, why.len)));
}

/* Finds what is no text before any grammar is tried, so that the place is exact. */
static bool
check_text(struct doc_tree *t, struct text_traits *out_traits)
{
	struct str text = t->text;
	size_t i = 0;

	*out_traits = (struct text_traits){.ascii = true, .plain_lines = true};
	while (i < text.len) {
		unsigned char c;
		uint32_t point;
		size_t width;

		i = skip_ordinary(text, i);
		if (i == text.len)
			break;
		c = (unsigned char)text.ptr[i];
		if (c == '\r') {
			if (i + 1 == text.len || text.ptr[i + 1] != '\n')
				out_traits->plain_lines = false;
			i++;
			continue;
		}
		width = utf8_decode(text, i, &point);
		if (width == 0 || !is_allowed_point(point) ||
		    (point == 0xfeff && (i == 0 || text.ptr[i - 1] == '\n'))) {
			report_byte(t, i);
			return false;
		}
		out_traits->ascii = false;
		if (is_odd_space(point))
			out_traits->plain_lines = false;
		i += width;
	}
	return true;
}

static bool
looks_like_json(struct str text)
{
	size_t at = 0;

	while (at < text.len && (text.ptr[at] == ' ' || text.ptr[at] == '\t' ||
				    text.ptr[at] == '\r' || text.ptr[at] == '\n'))
		at++;
	return at < text.len && (text.ptr[at] == '{' || text.ptr[at] == '[');
}

/* A failed attempt leaves no trace: the tree is begun anew and the diagnostics go
 * back to `mark`. */
static void
begin_again(struct doc_tree *t, const struct diag_list *mark)
{
	struct doc_tree fresh;

	diag_list_rewind(t->diags, mark);
	doc_tree_init(&fresh, t->arena, t->source, t->diags, t->text);
	doc_tree_fini(t);
	*t = fresh;
}

/*
 * Document by document, by the fast reader where it can. The full reader costs
 * something to set up, so each time it is needed it goes on for longer.
 */
static void
read_yaml(
    struct doc_tree *t, struct text_traits traits, bool full, size_t *out_stopped_at)
{
	struct doc_place place = {.at = 0, .line = 1};
	size_t documents = 1;
	bool go_on = true;

	*out_stopped_at = SIZE_MAX;
	full |= !traits.plain_lines;
	while (go_on && place.at < t->text.len) {
		if (!full && doc_plain_read(t, &place))
			continue;
		go_on = doc_yaml_read(t, traits.ascii && traits.plain_lines,
		    full ? SIZE_MAX : documents, &place, out_stopped_at);
		documents *= 2;
	}
}

/* Whether all of it is JSON, and within the limits, before anything is given away. */
static bool
is_all_json(const struct doc_tree *t)
{
	struct doc_failure failure;
	struct arena *arena = arena_new();
	struct diag_list diags;
	struct doc_tree dry;
	bool is_json;

	diag_list_init(&diags, arena);
	doc_tree_init(&dry, arena, t->source, &diags, t->text);
	dry.dry = true;
	is_json = doc_json_read(&dry, &failure) && !dry.failed;
	doc_tree_fini(&dry);
	arena_free(arena);
	return is_json;
}

/* JSON if it is JSON, otherwise YAML's flow style. When it is neither, the name says
 * which error to show, or that of the reader that got further is. */
static void
read_documents(struct doc_tree *t, struct text_traits traits, bool full)
{
	const struct diag_list mark = *t->diags;
	struct doc_failure failure = {.at = 0};
	size_t stopped_at;

	if (t->is_json) {
		if (!doc_json_read(t, &failure))
			base_die("JSON is none at second sight");
		return;
	}
	if (looks_like_json(t->text)) {
		if (doc_json_read(t, &failure))
			return;
		begin_again(t, &mark);
	}
	read_yaml(t, traits, full, &stopped_at);
	if (failure.msg != NULL && stopped_at != SIZE_MAX &&
	    (str_ends(t->source->name, STR(".json")) || failure.at >= stopped_at)) {
		begin_again(t, &mark);
		doc_tree_error(t, DOC_CODE_SYNTAX, failure.loc, "%s", failure.msg);
	}
}

/* Documents that may have to be taken back cannot be given away as they come. */
static void
deliver(struct doc_tree *t, struct text_traits traits, bool full,
    const struct doc_stream *stream)
{
	bool json = looks_like_json(t->text);

	t->is_json = stream != NULL && json && is_all_json(t);
	if (stream != NULL && (t->is_json || !json)) {
		t->each = stream->each;
		t->each_ctx = stream->ctx;
		t->stream = stream->has_items != NULL ? stream : NULL;
		doc_tree_mark(t);
	}
	read_documents(t, traits, full);
	for (size_t i = 0; i < t->doc_count && stream != NULL; i++)
		(void)stream->each(stream->ctx, t->docs[i]); /* all are kept */
}

/* `stream` is NULL: they are gathered in *out_docs. */
static bool
read_source(struct arena *arena, const struct source *source, struct diag_list *diags,
    const struct doc_stream *stream, struct doc_list *out_docs, bool full)
{
	struct str text = source->text;
	struct text_traits traits;
	struct doc_tree t;
	bool ok;

	if (str_starts(text, STR(UTF8_BYTE_ORDER_MARK)))
		text = str_slice(text, strlen(UTF8_BYTE_ORDER_MARK), text.len);
	doc_tree_init(&t, arena, source, diags, text);
	if (str_starts(source->text, STR(SOURCE_NOT_READ)))
		report_unreadable(&t);
	else if (text.len > LIMIT_FILE_BYTES)
		doc_tree_error(&t, DOC_CODE_LIMIT, (struct loc){.source = source},
		    "the file is larger than %u MiB", LIMIT_FILE_BYTES / 1024 / 1024);
	else if (check_text(&t, &traits))
		deliver(&t, traits, full, stream);
	out_docs->docs = ARENA_ARRAY(arena, t.doc_count, struct doc_node *);
	out_docs->count = t.doc_count;
	for (size_t i = 0; i < t.doc_count; i++)
		out_docs->docs[i] = t.docs[i];
	ok = !t.failed;
	doc_tree_fini(&t);
	return ok;
}

bool
doc_read(struct arena *arena, const struct source *source, struct diag_list *diags,
    struct doc_list *out_docs)
{
	return read_source(arena, source, diags, NULL, out_docs, false);
}

bool
doc_read_each(struct arena *arena, const struct source *source, struct diag_list *diags,
    doc_each *each, void *ctx)
{
	const struct doc_stream stream = {.each = each, .ctx = ctx};

	return doc_read_stream(arena, source, diags, &stream);
}

bool
doc_read_stream(struct arena *arena, const struct source *source,
    struct diag_list *diags, const struct doc_stream *stream)
{
	struct doc_list kept;

	return read_source(arena, source, diags, stream, &kept, false);
}

bool
doc_read_full(struct arena *arena, const struct source *source, struct diag_list *diags,
    struct doc_list *out_docs)
{
	return read_source(arena, source, diags, NULL, out_docs, true);
}

const struct doc_node *
doc_get(const struct doc_node *map, const char *key)
{
	size_t len = strlen(key);

	if (map == NULL || map->kind != DOC_MAP)
		return NULL;
	for (uint32_t i = 0; i < map->count; i++) {
		struct str text = map->u.entries[i].key->text;

		if (text.len == len && memcmp(text.ptr, key, len) == 0)
			return map->u.entries[i].value;
	}
	return NULL;
}

const struct doc_node *
doc_value(const struct doc_node *map, const char *key)
{
	const struct doc_node *value = doc_get(map, key);

	return value != NULL && value->kind != DOC_NULL ? value : NULL;
}

const char *
doc_kind_name(enum doc_kind kind)
{
	static const char *const names[] = {
	    [DOC_NULL] = "null",
	    [DOC_BOOL] = "a boolean",
	    [DOC_INT] = "an integer",
	    [DOC_FLOAT] = "a number with a fraction",
	    [DOC_STRING] = "a string",
	    [DOC_LIST] = "a list",
	    [DOC_MAP] = "a map",
	};

	return names[kind];
}
