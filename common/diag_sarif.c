/*
 * Diagnostics as SARIF 2.1.0 (OASIS, sections 3.13 to 3.49).
 */
#include "common/diag_text.h"
#include "common/map.h"

/* {"text": ...} under a key. */
static void
add_message(struct buf *out, bool *first, const char *key, const char *text)
{
	buf_printf(out, "%s\"%s\":{\"text\":", diag_separator(first), key);
	buf_add_json(out, str_from(text));
	buf_add_char(out, '}');
}

/* ---- places ---- */

static bool
is_uri_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~' ||
	       c == '/';
}

/* A file name as a URI reference (RFC 3986): other bytes percent-encoded. */
static void
add_uri(struct buf *out, struct str name)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < name.len; i++) {
		if (is_uri_char(name.ptr[i]))
			buf_add_char(out, name.ptr[i]);
		else
			buf_printf(out, "%%%02X", (unsigned)(unsigned char)name.ptr[i]);
	}
	buf_add_char(out, '"');
}

/* Lines longer than this are not counted through for every place on them. */
#define COUNTED_BYTES 65536

/* A column by code points, as the run says that they are; ours are bytes. */
static uint32_t
point_col(struct diag_lines *lines, struct loc loc, uint32_t col)
{
	struct str line;

	if (!diag_find_line(lines, loc, &line) || line.len > COUNTED_BYTES)
		return col;
	return (uint32_t)diag_count_points(line, 0, col - 1) + 1;
}

static void
add_sarif_region(struct buf *out, struct diag_lines *lines, struct loc loc)
{
	bool first = true;

	if (loc.line == 0)
		return;
	buf_add_cstr(out, ",\"region\":{");
	diag_add_number(out, &first, "startLine", loc.line);
	if (loc.col != 0)
		diag_add_number(
		    out, &first, "startColumn", point_col(lines, loc, loc.col));
	if (loc.col != 0 && loc.end_col > loc.col)
		diag_add_number(
		    out, &first, "endColumn", point_col(lines, loc, loc.end_col));
	buf_add_char(out, '}');
}

/* A location object; `message` may be NULL. */
static void
add_sarif_location(
    struct buf *out, struct diag_lines *lines, struct loc loc, const char *message)
{
	bool first = true;

	buf_add_char(out, '{');
	if (loc.source != NULL) {
		buf_printf(out,
		    "%s\"physicalLocation\":{\"artifactLocation\":{\"uri\":",
		    diag_separator(&first));
		add_uri(out, loc.source->name);
		buf_add_char(out, '}');
		add_sarif_region(out, lines, loc);
		buf_add_char(out, '}');
	}
	if (message != NULL) {
		buf_printf(out, "%s\"message\":{\"text\":", diag_separator(&first));
		buf_add_json(out, str_from(message));
		buf_add_char(out, '}');
	}
	buf_add_char(out, '}');
}

/* ---- results ---- */

struct sarif {
	struct buf *out;
	struct arena *arena;
	struct diag_lines lines;
	diag_describe *describe; /* or NULL */
	struct map rules;        /* code -> its index + 1, as a number */
	struct map seen;         /* fingerprint -> how many had it, as a number */
};

/* The number that stands for a pointer in a map; 0: none. */
static uintptr_t
count_one(struct map *m, struct str key)
{
	uintptr_t count = (uintptr_t)map_get(m, key) + 1;

	(void)map_set(m, key, (void *)count);
	return count;
}

/*
 * The same for the same mistake wherever its line has moved to: made of the code, the
 * file and the line's text; several alike are told apart by their order.
 */
static void
add_fingerprint(struct sarif *s, bool *first, const struct diag *d)
{
	struct buf text = {0};
	struct str line = {0};
	struct str key;

	if (d->loc.source == NULL)
		return;
	if (!diag_find_line(&s->lines, d->loc, &line))
		line = (struct str){0};
	buf_printf(&text, "%s\n%.*s\n", d->code, STR_ARG(d->loc.source->name));
	buf_add_str(&text, str_trim(line));
	key = str_dup(s->arena, buf_str(&text));
	buf_printf(&text, "\n%zu", (size_t)count_one(&s->seen, key));
	/* A fixed key: the hash is a name, not a defence. */
	buf_printf(s->out,
	    "%s\"partialFingerprints\":{\"ringfenceLine/v1\":\"%016llx\"}",
	    diag_separator(first),
	    (unsigned long long)map_siphash(1, 1, buf_str(&text)));
	buf_free(&text);
}

static void
add_result(struct sarif *s, const struct diag *d)
{
	struct buf *out = s->out;
	bool first = true;
	size_t index = (uintptr_t)map_get(&s->rules, str_from(d->code)) - 1;

	buf_add_char(out, '{');
	diag_add_string(out, &first, "ruleId", str_from(d->code));
	diag_add_number(out, &first, "ruleIndex", (uint32_t)index);
	diag_add_string(
	    out, &first, "level", str_from(diag_severity_name(d->severity)));
	add_message(out, &first, "message",
	    d->hint == NULL ? d->msg
			    : arena_printf(s->arena, "%s; %s", d->msg, d->hint));
	if (d->loc.source != NULL) {
		buf_add_cstr(out, ",\"locations\":[");
		add_sarif_location(out, &s->lines, d->loc, NULL);
		buf_add_char(out, ']');
	}
	if (d->note != NULL) {
		buf_add_cstr(out, ",\"relatedLocations\":[");
		add_sarif_location(out, &s->lines, d->note_loc, d->note);
		buf_add_char(out, ']');
	}
	if (d->figures != NULL) {
		buf_add_cstr(out, ",\"properties\":");
		diag_add_figures(out, d);
	}
	add_fingerprint(s, &first, d);
	buf_add_char(out, '}');
}

/* ---- rules ---- */

static void
add_rule(struct sarif *s, const char *code)
{
	struct diag_rule rule = {0};
	struct buf *out = s->out;
	bool first = true;

	buf_add_char(out, '{');
	diag_add_string(out, &first, "id", str_from(code));
	if (s->describe != NULL && s->describe(code, &rule)) {
		add_message(out, &first, "shortDescription", rule.summary);
		buf_printf(out, ",\"defaultConfiguration\":{\"level\":\"%s\"}",
		    diag_severity_name(rule.severity));
		if (rule.help != NULL) {
			buf_add_cstr(out, ",\"help\":{\"text\":");
			buf_add_json(out, str_from(rule.help));
			buf_add_cstr(out, ",\"markdown\":");
			buf_add_json(out, str_from(rule.help));
			buf_add_char(out, '}');
		}
	}
	buf_add_char(out, '}');
}

#define TOO_MANY "too-many-diagnostics"

/* Every code that some result has, in order of first use. */
static void
add_rules(struct sarif *s, const struct diag_list *list)
{
	for (const struct diag *d = list->first; d != NULL; d = d->next) {
		if (map_get(&s->rules, str_from(d->code)) != NULL)
			continue;
		(void)map_set(&s->rules, str_from(d->code),
		    (void *)(uintptr_t)(s->rules.len + 1));
	}
	if (list->dropped != 0)
		(void)map_set(
		    &s->rules, STR(TOO_MANY), (void *)(uintptr_t)(s->rules.len + 1));
	for (size_t i = 0; i < s->rules.len; i++) {
		buf_add_cstr(s->out, i > 0 ? ",\n  " : "\n  ");
		add_rule(s, s->rules.entries[i].key.ptr);
	}
}

void
diag_render_sarif(
    struct buf *out, const struct diag_list *list, const struct diag_sarif *options)
{
	struct sarif s = {.out = out, .arena = arena_new()};
	bool first = true;

	if (options != NULL)
		s.describe = options->describe;
	buf_add_cstr(out,
	    "{\"$schema\":\"https://json.schemastore.org/sarif-2.1.0.json\","
	    "\"version\":\"2.1.0\",\"runs\":[{\"tool\":{\"driver\":{"
	    "\"name\":\"ringfence\",\"version\":\"" RINGFENCE_VERSION "\","
	    "\"semanticVersion\":\"" RINGFENCE_VERSION "\",\"rules\":[");
	add_rules(&s, list);
	buf_add_cstr(out, "]}},\"columnKind\":\"unicodeCodePoints\",");
	if (options != NULL)
		buf_printf(out,
		    "\"invocations\":[{\"executionSuccessful\":true,"
		    "\"exitCode\":%d}],",
		    options->exit_code);
	buf_add_cstr(out, "\"results\":[");
	for (const struct diag *d = list->first; d != NULL; d = d->next) {
		buf_printf(out, "%s\n  ", diag_separator(&first));
		add_result(&s, d);
	}
	if (list->dropped != 0) {
		struct diag more = {
		    .severity = DIAG_NOTE,
		    .code = TOO_MANY,
		    .msg = arena_printf(s.arena, "%u more not shown", list->dropped),
		};

		buf_printf(out, "%s\n  ", diag_separator(&first));
		add_result(&s, &more);
	}
	buf_add_cstr(out, first ? "]}]}\n" : "\n]}]}\n");
	diag_lines_fini(&s.lines);
	map_fini(&s.rules);
	map_fini(&s.seen);
	arena_free(s.arena);
}
