/*
 * Comments that silence a diagnostic at one place: `# ringfence:ignore CODE reason`.
 */
#include <string.h>

#include "policy-lang/lint/lint.h"
#include "policy-lang/model/codes.h"

#define MARK "ringfence:ignore"

struct ignore {
	struct loc loc; /* of the comment */
	bool used;
};

struct ignores {
	struct diag_list *diags;
	struct map by_key; /* place and code -> struct ignore */
};

/* ---- reading comments ---- */

/* A comment is what a # at the beginning of a line, or behind a space, begins. */
static bool
is_comment(struct str line, size_t hash)
{
	return line.ptr[hash] == '#' &&
	       (hash == 0 || line.ptr[hash - 1] == ' ' || line.ptr[hash - 1] == '\t');
}

/* What follows the mark in a line's comment; ptr NULL: the line has none. */
static struct str
marked(struct str line, size_t *out_hash)
{
	for (size_t i = str_find(line, '#', 0); i < line.len;
	     i = str_find(line, '#', i + 1)) {
		struct str rest = str_trim(str_slice(line, i + 1, line.len));

		if (!is_comment(line, i) || !str_starts(rest, STR(MARK)))
			continue;
		*out_hash = i;
		return str_slice(rest, sizeof(MARK) - 1, rest.len);
	}
	return (struct str){0};
}

static bool
is_blank_or_comment(struct str line)
{
	struct str text = str_trim(line);

	return text.len == 0 || text.ptr[0] == '#';
}

/* Where what is wrong in a comment is. */
static void
say_bad(struct ignores *all, struct loc loc, const char *fmt, struct str what)
{
	struct diag *d = diag_say(
	    all->diags, CODE_BAD_IGNORE, loc, "this comment silences nothing: %s", fmt);

	if (what.len > 0)
		diag_hint(all->diags, d, "\"%.*s\"", STR_ARG(what));
}

static struct str
place_key(struct arena *a, const struct source *source, uint32_t line, const char *code)
{
	return str_from(
	    arena_printf(a, "%p %u %s", (const void *)source, (unsigned)line, code));
}

/* One code of a comment; it is about `line`. */
static void
add_code(struct ignores *all, struct loc loc, uint32_t line, struct str code)
{
	const char *text = arena_strndup(all->diags->arena, code.ptr, code.len);
	const struct diag_code_info *info = diag_code_find(text);
	struct ignore *ignore;

	if (info == NULL) {
		say_bad(all, loc, "there is no such code", code);
		return;
	}
	if (info->severity == DIAG_ERROR) {
		say_bad(all, loc, "errors cannot be silenced", code);
		return;
	}
	ignore = ARENA_NEW(all->diags->arena, struct ignore);
	ignore->loc = loc;
	(void)map_set(&all->by_key,
	    place_key(all->diags->arena, loc.source, line, info->code), ignore);
}

static void
add_comment(struct ignores *all, struct loc loc, uint32_t line, struct str text)
{
	struct str reason = str_trim(text);
	struct str codes = str_split(&reason, ' ');

	if (codes.len == 0) {
		say_bad(all, loc, "it names no code", (struct str){0});
		return;
	}
	if (str_trim(reason).len == 0) {
		say_bad(all, loc, "it gives no reason behind the code", codes);
		return;
	}
	while (codes.ptr != NULL)
		add_code(all, loc, line, str_trim(str_split(&codes, ',')));
}

/* The first line from `rest` on that is not only a comment, counted from `line`. */
static uint32_t
next_line(struct str rest, uint32_t line)
{
	while (rest.ptr != NULL && is_blank_or_comment(str_split(&rest, '\n')))
		line++;
	return line;
}

static void
read_source(struct ignores *all, const struct source *source)
{
	struct str rest = source->text;

	for (uint32_t number = 1; rest.ptr != NULL; number++) {
		struct str line = str_split(&rest, '\n');
		size_t hash = 0;
		struct str text = marked(line, &hash);
		struct loc loc = {
		    .source = source, .line = number, .col = (uint32_t)hash + 1};

		if (text.ptr == NULL)
			continue;
		loc.end_col = (uint32_t)line.len + 1;
		add_comment(all, loc,
		    is_blank_or_comment(line) ? next_line(rest, number + 1) : number,
		    text);
	}
}

/* ---- silencing ---- */

static bool
is_ignored(void *ctx, const struct diag *d)
{
	struct ignores *all = ctx;
	struct ignore *ignore;

	if (d->severity == DIAG_ERROR || d->loc.source == NULL)
		return false;
	ignore = map_get(&all->by_key,
	    place_key(all->diags->arena, d->loc.source, d->loc.line, d->code));
	if (ignore == NULL)
		return false;
	ignore->used = true;
	return true;
}

void
lint_ignore(const struct bundle *bundle, bool complete, struct diag_list *diags)
{
	struct ignores all = {.diags = diags};

	for (size_t i = 0; i < bundle->count; i++) {
		const struct str text = bundle->sources[i].text;

		if (text.len > 0 &&
		    memmem(text.ptr, text.len, MARK, sizeof(MARK) - 1) != NULL)
			read_source(&all, &bundle->sources[i]);
	}
	if (all.by_key.len > 0)
		diag_remove(diags, is_ignored, &all);
	for (size_t i = 0; complete && i < all.by_key.len; i++) {
		const struct ignore *ignore = all.by_key.entries[i].value;

		if (!ignore->used)
			diag_say(diags, CODE_UNUSED_IGNORE, ignore->loc,
			    "this comment silences nothing: no such diagnostic is "
			    "given here");
	}
	map_fini(&all.by_key);
}
