#include "common/diag.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"

void
diag_list_init(struct diag_list *list, struct arena *arena)
{
	*list = (struct diag_list){.arena = arena};
}

/* The last byte at or before `at` that begins a character. */
static size_t
character_at(const struct buf *text, size_t at)
{
	while (at > 0 && ((unsigned char)text->data[at] & 0xc0) == 0x80)
		at--;
	return at;
}

const char *
diag_format(struct arena *arena, const char *fmt, va_list ap)
{
	struct buf text = {0};
	const char *copy;

	buf_vprintf(&text, fmt, ap);
	if (text.len > LIMIT_DIAG_TEXT_BYTES) {
		size_t first = character_at(&text, LIMIT_DIAG_TEXT_BYTES / 2);
		size_t last = character_at(&text, text.len - LIMIT_DIAG_TEXT_BYTES / 2);

		copy = arena_printf(arena, "%.*s ... %.*s", (int)first, text.data,
		    (int)(text.len - last), text.data + last);
		buf_free(&text);
		return copy;
	}
	copy = arena_strndup(arena, text.data, text.len);
	buf_free(&text);
	return copy;
}

static unsigned *
count_of(struct diag_list *list, enum diag_severity severity)
{
	unsigned *counts[] = {
	    [DIAG_ERROR] = &list->errors,
	    [DIAG_WARNING] = &list->warnings,
	    [DIAG_NOTE] = &list->notes,
	};

	return counts[severity];
}

bool
diag_wants(const struct diag_list *list, enum diag_severity severity, const char *code,
    struct loc loc)
{
	return list->wants == NULL || list->wants(list->wants_ctx, severity, code, loc);
}

/* Errors are decided by: they have a limit to themselves, however much is warned of before. */
static bool
is_full(const struct diag_list *list, enum diag_severity severity)
{
	const unsigned errors = list->errors - list->dropped_errors;
	const unsigned all =
	    list->errors + list->warnings + list->notes - list->dropped;

	return (severity == DIAG_ERROR ? errors : all - errors) >= LIMIT_DIAGS;
}

static void
leave_out(struct diag_list *list, enum diag_severity severity)
{
	(*count_of(list, severity))++;
	list->dropped++;
	list->dropped_errors += severity == DIAG_ERROR;
}

static void
append(struct diag_list *list, struct diag *d)
{
	(*count_of(list, d->severity))++;
	if (list->first == NULL)
		list->tail = &list->first;
	*list->tail = d;
	list->tail = &d->next;
}

struct diag *
diag_add(struct diag_list *list, enum diag_severity severity, const char *code,
    struct loc loc, const char *fmt, ...)
{
	struct diag *d;
	va_list ap;

	if (!diag_wants(list, severity, code, loc)) {
		list->scratch = (struct diag){.severity = severity, .msg = ""};
		return &list->scratch;
	}
	if (is_full(list, severity)) {
		leave_out(list, severity);
		list->scratch = (struct diag){.severity = severity, .msg = ""};
		return &list->scratch;
	}
	d = ARENA_NEW(list->arena, struct diag);
	d->severity = severity;
	d->code = code;
	d->loc = loc;
	va_start(ap, fmt);
	d->msg = diag_format(list->arena, fmt, ap);
	va_end(ap);
	append(list, d);
	return d;
}

void
diag_hint(struct diag_list *list, struct diag *d, const char *fmt, ...)
{
	va_list ap;

	if (d == &list->scratch)
		return;
	va_start(ap, fmt);
	d->hint = diag_format(list->arena, fmt, ap);
	va_end(ap);
}

void
diag_note(struct diag_list *list, struct diag *d, struct loc loc, const char *fmt, ...)
{
	va_list ap;

	if (d == &list->scratch)
		return;
	va_start(ap, fmt);
	d->note = diag_format(list->arena, fmt, ap);
	va_end(ap);
	d->note_loc = loc;
}

void
diag_figure(struct diag_list *list, struct diag *d, const char *name, uint64_t value)
{
	struct diag_figure **link = &d->figures;
	struct diag_figure *figure;

	if (d == &list->scratch)
		return;
	while (*link != NULL)
		link = &(*link)->next;
	figure = ARENA_NEW(list->arena, struct diag_figure);
	*figure = (struct diag_figure){.name = name, .value = value};
	*link = figure;
}

void
diag_list_rewind(struct diag_list *list, const struct diag_list *mark)
{
	*list = *mark;
	if (list->first != NULL)
		*list->tail = NULL;
}

void
diag_list_take(struct diag_list *list, struct diag_list *from)
{
	struct diag *next;

	for (struct diag *d = from->first; d != NULL; d = next) {
		next = d->next;
		d->next = NULL;
		(*count_of(from, d->severity))--;
		if (is_full(list, d->severity))
			leave_out(list, d->severity);
		else
			append(list, d);
	}
	list->errors += from->errors; /* which were left out there */
	list->warnings += from->warnings;
	list->notes += from->notes;
	list->dropped += from->dropped;
	list->dropped_errors += from->dropped_errors;
	diag_list_init(from, from->arena);
}

void
diag_remove(
    struct diag_list *list, bool (*drop)(void *ctx, const struct diag *d), void *ctx)
{
	struct diag **link = &list->first;

	while (*link != NULL) {
		if (drop(ctx, *link)) {
			(*count_of(list, (*link)->severity))--;
			*link = (*link)->next;
		} else {
			link = &(*link)->next;
		}
	}
	list->tail = link;
}

/* ---- order ---- */

struct ranked {
	struct diag *diag;
	size_t source; /* in order of first use; nowhere comes first */
	size_t index;
};

static int
compare_size(size_t a, size_t b)
{
	return (a > b) - (a < b);
}

static int
compare_ranked(const void *pa, const void *pb)
{
	const struct ranked *a = pa, *b = pb;
	int order = compare_size(a->source, b->source);

	if (order == 0)
		order = compare_size(a->diag->loc.line, b->diag->loc.line);
	if (order == 0)
		order = compare_size(a->diag->loc.col, b->diag->loc.col);
	return order != 0 ? order : compare_size(a->index, b->index);
}

static size_t
rank_source(const struct source **sources, size_t *count, const struct source *source)
{
	size_t i;

	if (source == NULL)
		return 0;
	for (i = 0; i < *count && sources[i] != source; i++)
		continue;
	if (i == *count)
		sources[(*count)++] = source;
	return i + 1;
}

void
diag_sort(struct diag_list *list)
{
	const size_t most = 2 * (size_t)LIMIT_DIAGS; /* see is_full */
	const struct source **sources = xcalloc(most, sizeof(struct source *));
	struct ranked *ranked = xcalloc(most, sizeof(*ranked));
	size_t count = 0, source_count = 0;

	for (struct diag *d = list->first; d != NULL; d = d->next) {
		ranked[count] = (struct ranked){
		    d, rank_source(sources, &source_count, d->loc.source), count};
		count++;
	}
	qsort(ranked, count, sizeof(*ranked), compare_ranked);
	list->tail = &list->first;
	for (size_t i = 0; i < count; i++) {
		*list->tail = ranked[i].diag;
		list->tail = &ranked[i].diag->next;
	}
	*list->tail = NULL;
	free(ranked);
	free(sources);
}

int
loc_cmp(struct loc a, struct loc b)
{
	int order;

	if (a.source == NULL || b.source == NULL)
		return (a.source != NULL) - (b.source != NULL);
	order = a.source == b.source ? 0 : str_cmp(a.source->name, b.source->name);
	if (order == 0)
		order = compare_size(a.line, b.line);
	return order != 0 ? order : compare_size(a.col, b.col);
}

/* ---- names ---- */

const char *
diag_severity_name(enum diag_severity severity)
{
	static const char *const names[] = {
	    [DIAG_ERROR] = "error",
	    [DIAG_WARNING] = "warning",
	    [DIAG_NOTE] = "note",
	};

	return names[severity];
}

static void
add_count(struct buf *out, const char **separator, unsigned count, const char *what)
{
	if (count == 0)
		return;
	buf_printf(out, "%s%u %s%s", *separator, count, what, count == 1 ? "" : "s");
	*separator = ", ";
}

void
diag_summary(struct buf *out, const struct diag_list *list)
{
	const char *separator = "";

	add_count(out, &separator, list->errors, "error");
	add_count(out, &separator, list->warnings, "warning");
	add_count(out, &separator, list->notes, "note");
	if (*separator == '\0')
		buf_add_cstr(out, "no errors");
}

const char *
loc_text(struct arena *a, struct loc loc)
{
	if (loc.source == NULL)
		return "?";
	if (loc.line == 0)
		return arena_strndup(a, loc.source->name.ptr, loc.source->name.len);
	if (loc.col == 0)
		return arena_printf(a, "%.*s:%u", STR_ARG(loc.source->name), loc.line);
	return arena_printf(
	    a, "%.*s:%u:%u", STR_ARG(loc.source->name), loc.line, loc.col);
}
