/*
 * Diagnostics: what is wrong in input, where, and what to write instead. They
 * are collected in a list, never printed by whoever finds them; the finder goes
 * on after each. Text form:
 *
 *     policy.yaml:12:11: error: unknown field "actoin" [unknown-field]
 *        12 |       - { actoin: deny }
 *           |           ^~~~~~ did you mean "action"?
 */
#ifndef COMMON_DIAG_H
#define COMMON_DIAG_H

#include <stdio.h>

#include "common/arena.h"
#include "common/str.h"

/* The text of one input file; it outlives every loc that refers to it. */
struct source {
	struct str name; /* as printed; "-" is standard input */
	/* Or SOURCE_NOT_READ, a code, ": " and why: a reader reports that. */
	struct str text;
};

/* No document begins so. */
#define SOURCE_NOT_READ   "\0unreadable: "
#define SOURCE_CODE_READ  "file-read"
#define SOURCE_CODE_LIMIT "file-limit"

/* A place in a source. Lines and columns count from 1; a column is a byte of the
 * line; end_col is one past the last byte, on the same line (0: unknown).
 * {0} is "nowhere". */
struct loc {
	const struct source *source;
	uint32_t line;
	uint32_t col;
	uint32_t end_col;
};

enum diag_severity {
	DIAG_ERROR,
	DIAG_WARNING,
	DIAG_NOTE
};

/* A number of a message, for machines. */
struct diag_figure {
	const char *name;
	uint64_t value;
	struct diag_figure *next;
};

struct diag {
	enum diag_severity severity;
	const char *code; /* stable, kebab-case: scripts select by it */
	struct loc loc;
	const char *msg;
	const char *hint; /* "did you mean ..." behind the underline, or NULL */
	const char *note; /* text of the second place, or NULL */
	struct loc note_loc;
	struct diag_figure *figures; /* in the order given */
	struct diag *next;
};

struct diag_list {
	struct arena *arena; /* messages live here; borrowed */
	struct diag *first;
	struct diag **tail;
	unsigned errors; /* counted even beyond LIMIT_DIAGS */
	unsigned warnings;
	unsigned notes;
	unsigned dropped;
	unsigned dropped_errors; /* of those */
	/* True of what is to be kept: the rest is neither kept nor counted. NULL: everything. */
	bool (*wants)(
	    void *ctx, enum diag_severity severity, const char *code, struct loc loc);
	void *wants_ctx;
	struct diag scratch; /* private: what diag_add returns for what is not kept */
};

void diag_list_init(struct diag_list *list, struct arena *arena);

MUST_CHECK bool diag_wants(const struct diag_list *list, enum diag_severity severity,
    const char *code, struct loc loc);

/* Appends one; returns it so that a hint or a note can be added. Beyond
 * LIMIT_DIAGS errors, or as many others, it is counted and a scratch record is returned, never
 * NULL; so for what is not wanted.
 * `code` is borrowed for ever (a literal). */
struct diag *diag_add(struct diag_list *list, enum diag_severity severity,
    const char *code, struct loc loc, const char *fmt, ...) PRINTF_LIKE(5, 6);
void diag_hint(struct diag_list *list, struct diag *d, const char *fmt, ...)
    PRINTF_LIKE(3, 4);
void diag_note(struct diag_list *list, struct diag *d, struct loc loc, const char *fmt,
    ...) PRINTF_LIKE(4, 5);

/* `name` is borrowed for ever (a literal). */
void diag_figure(
    struct diag_list *list, struct diag *d, const char *name, uint64_t value);

#define diag_error(list, code, loc, ...)                                               \
	diag_add((list), DIAG_ERROR, (code), (loc), __VA_ARGS__)
#define diag_warn(list, code, loc, ...)                                                \
	diag_add((list), DIAG_WARNING, (code), (loc), __VA_ARGS__)

/*
 * The text of a message, in the arena: for those who collect before they add. Of one beyond
 * LIMIT_DIAG_TEXT_BYTES (it quotes what was written) the middle is left out: "...".
 */
MUST_CHECK const char *diag_format(struct arena *arena, const char *fmt, va_list ap)
    PRINTF_LIKE(2, 0);

/* Takes back everything added since `mark`, a copy of the list made then. */
void diag_list_rewind(struct diag_list *list, const struct diag_list *mark);

/* Appends what is in `from`, of the same arena, as far as there is room; nothing is left there. */
void diag_list_take(struct diag_list *list, struct diag_list *from);

/* Takes those for which `drop` is true off the list and off its counts. */
void diag_remove(
    struct diag_list *list, bool (*drop)(void *ctx, const struct diag *d), void *ctx);

/* Sorts by source (order of first use), line, column; stable. */
void diag_sort(struct diag_list *list);

enum diag_format {
	DIAG_TEXT,
	DIAG_JSON,
	DIAG_SARIF
};

/* Appends the whole list in the format: text with underlined source lines; JSON
 * array of {severity, code, file, line, column, endColumn, message, hint,
 * related: {file,line,column,message}}; SARIF 2.1.0, with fingerprints that stay the same
 * when lines are put before. */
void diag_render(
    struct buf *out, const struct diag_list *list, enum diag_format format);

/* What is known of a code, for those who have never seen it. */
struct diag_rule {
	enum diag_severity severity;
	const char *summary;
	const char *help; /* text that is Markdown, too; or NULL */
};

/* Fills in what is known of a code; false if nothing is. */
typedef bool diag_describe(const char *code, struct diag_rule *out_rule);

struct diag_sarif {
	diag_describe *describe; /* or NULL */
	int exit_code;           /* of the run that the list is the result of */
};

/* SARIF with more in it than the list knows; diag_render(out, list, DIAG_SARIF) is the
 * same without options. */
void diag_render_sarif(
    struct buf *out, const struct diag_list *list, const struct diag_sarif *options);

/* The text form alone; diag_render(out, list, DIAG_TEXT) is the same. */
void diag_render_text(struct buf *out, const struct diag_list *list);
/* Appends text of input as diagnostics show it, on one line: what is hidden in it, or would
 * deceive at a terminal, is replaced. */
void diag_add_plain(struct buf *out, struct str text);
/* "2 errors, 1 warning", without a newline; "no errors" when the list is empty. */
void diag_summary(struct buf *out, const struct diag_list *list);
/* "error", "warning", "note". */
MUST_CHECK const char *diag_severity_name(enum diag_severity severity);

/* "file:line:col" of a place, in the arena; "?" for nowhere. */
MUST_CHECK const char *loc_text(struct arena *a, struct loc loc);
/* Order by source name, line, column. */
MUST_CHECK int loc_cmp(struct loc a, struct loc b);

#endif
