#include "common/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/utf8.h"

#define QUOTE_BUFFERS    8
#define QUOTE_BYTES      500
#define QUOTE_TEXT_BYTES (QUOTE_BYTES * 4 + sizeof("\"...\""))
#define TAIL_BYTES       16384

static struct {
	const char *role;
	enum log_level level;
	enum log_format format;
} setup = {"ringfence", LOG_INFO, LOG_FORMAT_TEXT};

static const char *const level_names[] = {
    [LOG_ERROR] = "error",
    [LOG_WARN] = "warn",
    [LOG_INFO] = "info",
    [LOG_DEBUG] = "debug",
};

void
log_setup(const char *role, enum log_level level, enum log_format format)
{
	setup.role = role;
	setup.level = level;
	setup.format = format;
}

bool
log_enabled(enum log_level level)
{
	return level <= setup.level;
}

/* The width of the character at s[at]; 0 if it is not UTF-8 or is a control character
 * (C0, DEL, C1): what forges lines and what terminals obey. */
static size_t
printable_width(struct str s, size_t at)
{
	uint32_t point;
	size_t width = utf8_decode(s, at, &point);

	return width == 0 || point < 0x20 || (point >= 0x7f && point < 0xa0) ? 0
									     : width;
}

static size_t
put_escape(char *out, unsigned char c)
{
	static const char hex[] = "0123456789abcdef";

	out[0] = '\\';
	out[1] = c == '\n' ? 'n' : c == '\r' ? 'r' : c == '\t' ? 't' : 'x';
	if (out[1] != 'x')
		return 2;
	out[2] = hex[c >> 4];
	out[3] = hex[c & 15];
	return 4;
}

const char *
log_quote(struct str s)
{
	static _Thread_local char buffers[QUOTE_BUFFERS][QUOTE_TEXT_BYTES];
	static _Thread_local unsigned next;
	char *out = buffers[next++ % QUOTE_BUFFERS];
	size_t len = 0;
	size_t at = 0;

	out[len++] = '"';
	while (at < s.len) {
		size_t n = printable_width(s, at);

		if (at + (n != 0 ? n : 1) > QUOTE_BYTES)
			break;
		if (n == 0) {
			len += put_escape(out + len, (unsigned char)s.ptr[at++]);
			continue;
		}
		if (s.ptr[at] == '"' || s.ptr[at] == '\\')
			out[len++] = '\\';
		memcpy(out + len, s.ptr + at, n);
		len += n;
		at += n;
	}
	if (at < s.len) {
		memcpy(out + len, "...", 3);
		len += 3;
	}
	out[len++] = '"';
	out[len] = '\0';
	return out;
}

/* Copies the tail so that it stays on its line whatever a "%s" brought in. */
static void
add_text_tail(struct buf *line, struct str tail)
{
	char escape[4];

	for (size_t at = 0; at < tail.len;) {
		size_t n = printable_width(tail, at);

		if (n != 0)
			buf_add(line, tail.ptr + at, n);
		else
			buf_add(line, escape,
			    put_escape(escape, (unsigned char)tail.ptr[at]));
		at += n != 0 ? n : 1;
	}
}

static int
hex_value(char c)
{
	return c >= '0' && c <= '9'   ? c - '0'
	       : c >= 'a' && c <= 'f' ? c - 'a' + 10
				      : -1;
}

/* Undoes log_quote: appends the text between the quotes at tail[*at] to `out` and
 * moves *at behind the closing quote (or to the end, if there is none). */
static void
unquote(struct buf *out, struct str tail, size_t *at)
{
	size_t i = *at + 1;

	for (; i < tail.len && tail.ptr[i] != '"'; i++) {
		char c = tail.ptr[i];

		if (c != '\\' || i + 1 >= tail.len) {
			buf_add_char(out, c);
			continue;
		}
		c = tail.ptr[++i];
		if (c == 'x' && i + 2 < tail.len && hex_value(tail.ptr[i + 1]) >= 0 &&
		    hex_value(tail.ptr[i + 2]) >= 0) {
			c = (char)(hex_value(tail.ptr[i + 1]) * 16 +
				   hex_value(tail.ptr[i + 2]));
			i += 2;
		} else {
			c = c == 'n' ? '\n' : c == 'r' ? '\r' : c == 't' ? '\t' : c;
		}
		buf_add_char(out, c);
	}
	*at = i < tail.len ? i + 1 : i;
}

/* A number that every JSON reader holds exactly, as JSON spells it. */
static bool
is_json_number(struct str s)
{
	size_t i = s.len > 0 && s.ptr[0] == '-' ? 1 : 0;
	size_t digits = s.len - i;

	if (digits == 0 || digits > 15 || (s.ptr[i] == '0' && digits > 1))
		return false;
	for (; i < s.len; i++)
		if (s.ptr[i] < '0' || s.ptr[i] > '9')
			return false;
	return true;
}

static bool
is_reserved(struct str key)
{
	static const char *const reserved[] = {
	    "time", "level", "role", "event", "detail"};

	for (size_t i = 0; i < ARRAY_LEN(reserved); i++)
		if (str_is(key, reserved[i]))
			return true;
	return false;
}

/* Where the key that begins at `at` ends: at its '='; `at` itself if it is no key. */
static size_t
key_end(struct str tail, size_t at)
{
	size_t end = at;

	while (end < tail.len && tail.ptr[end] != '=' && tail.ptr[end] != ' ' &&
	       tail.ptr[end] != '"')
		end++;
	return end < tail.len && tail.ptr[end] == '=' ? end : at;
}

static void
add_json_pair(struct buf *line, struct str key, struct str value, bool quoted)
{
	buf_add_char(line, ',');
	if (is_reserved(key)) {
		/* {"time": ...} twice would let a value hide the line's own. */
		buf_add_cstr(line, "\"_");
		buf_add_str(line, key);
		buf_add_char(line, '"');
	} else {
		buf_add_json(line, key);
	}
	buf_add_char(line, ':');
	if (!quoted &&
	    (is_json_number(value) || str_is(value, "true") || str_is(value, "false")))
		buf_add_str(line, value);
	else
		buf_add_json(line, value);
}

/* Splits "key=value key=\"a value\" ..." into members. Words that are no pair are
 * gathered in "detail", so that nothing is lost. */
static void
add_json_tail(struct buf *line, struct str tail)
{
	struct buf value = {0};
	struct buf detail = {0};
	size_t at = 0;

	while (at < tail.len) {
		size_t end = key_end(tail, at);
		struct str key = str_slice(tail, at, end);
		bool quoted;

		if (tail.ptr[at] == ' ') {
			at++;
			continue;
		}
		if (key.len != 0)
			at = end + 1;
		buf_clear(&value);
		quoted = at < tail.len && tail.ptr[at] == '"';
		if (quoted) {
			unquote(&value, tail, &at);
		} else {
			end = str_find(tail, ' ', at);
			buf_add_str(&value, str_slice(tail, at, end));
			at = end;
		}
		if (key.len != 0) {
			add_json_pair(line, key, buf_str(&value), quoted);
			continue;
		}
		if (detail.len != 0)
			buf_add_char(&detail, ' ');
		buf_add_str(&detail, buf_str(&value));
	}
	if (detail.len != 0) {
		buf_add_cstr(line, ",\"detail\":");
		buf_add_json(line, buf_str(&detail));
	}
	buf_free(&value);
	buf_free(&detail);
}

/* Whoever reads standard error may be gone or slow: a line is then lost, never
 * waited for by an event loop and never an error of the work at hand. */
static void
write_line(const struct buf *line)
{
	size_t done = 0;

	while (done < line->len) {
		ssize_t n = write(STDERR_FILENO, line->data + done, line->len - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		done += (size_t)n;
	}
}

static void
add_head(struct buf *line, enum log_level level, const char *event)
{
	char time[WALLTIME_TEXT_BYTES];

	/* 23 bytes are the time as far as its milliseconds. */
	walltime_format(walltime_now(), time);
	if (setup.format == LOG_FORMAT_JSON) {
		buf_printf(line,
		    "{\"time\":\"%.23sZ\",\"level\":\"%s\",\"role\":", time,
		    level_names[level]);
		buf_add_json(line, str_from(setup.role));
		buf_add_cstr(line, ",\"event\":");
		buf_add_json(line, str_from(event));
	} else {
		buf_printf(line, "%.23sZ %s %s: %s", time, level_names[level],
		    setup.role, event);
	}
}

void
log_write(enum log_level level, const char *event, const char *fmt, ...)
{
	struct buf tail = {0};
	struct buf line = {0};
	int saved_errno = errno;
	va_list ap;

	if (!log_enabled(level))
		return;
	va_start(ap, fmt);
	buf_vprintf(&tail, fmt, ap);
	va_end(ap);
	if (tail.len > TAIL_BYTES) {
		tail.len = TAIL_BYTES;
		buf_add_cstr(&tail, " cut=true");
	}
	add_head(&line, level, event);
	if (setup.format == LOG_FORMAT_JSON) {
		add_json_tail(&line, buf_str(&tail));
		buf_add_char(&line, '}');
	} else if (tail.len != 0) {
		buf_add_char(&line, ' ');
		add_text_tail(&line, buf_str(&tail));
	}
	buf_add_char(&line, '\n');
	write_line(&line);
	buf_free(&tail);
	buf_free(&line);
	errno = saved_errno;
}
