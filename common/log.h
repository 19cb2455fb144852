/*
 * The operational log: one line an event on standard error, as text
 * ("2026-01-02T03:04:05.678Z info engine: program-applied generation=7 ...") or JSON
 * lines. Values are escaped; secrets have no place here. The audit log is another
 * thing: audit.h.
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

#include "common/str.h"

enum log_level {
	LOG_ERROR,
	LOG_WARN,
	LOG_INFO,
	LOG_DEBUG
};

enum log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON
};

/* Who speaks, for every line of this process. `role` is borrowed for ever. */
void log_setup(const char *role, enum log_level level, enum log_format format);
MUST_CHECK bool log_enabled(enum log_level level);

/*
 * Writes one line with one write(2). `event` is kebab-case. `fmt` makes the
 * key=value tail, a space between pairs; quote text values with log_quote or "%s" of
 * something known to be plain. Control characters never reach the terminal, whatever a
 * "%s" brings in.
 *
 * As JSON, quoted values are strings, plain integers of at most 15 digits numbers, true
 * and false booleans, everything else strings. Words that are no pair are gathered in
 * "detail"; a key that is the line's own (time, level, role, event, detail) gets a "_" in
 * front. A tail beyond 16 KiB is cut and ends in cut=true. A line that cannot be written
 * is lost, without an error; errno stays as it was. Any thread.
 */
void log_write(enum log_level level, const char *event, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

#define log_error(...) log_write(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

/* s in double quotes with controls escaped, in one of eight rotating buffers of this
 * thread (cut at 500 bytes, marked with "..."). */
MUST_CHECK const char *log_quote(struct str s);

#endif
