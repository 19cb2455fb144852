#include "common/json_scan.h"

#include <string.h>

#include "common/utf8.h"

enum number_part {
	NUMBER_MINUS,
	NUMBER_ZERO,
	NUMBER_INT,
	NUMBER_POINT,
	NUMBER_FRACTION,
	NUMBER_E,
	NUMBER_E_SIGN,
	NUMBER_EXPONENT,
};

void
json_scan_init(struct json_scan *j, bool stream)
{
	*j = (struct json_scan){.state = SCAN_AT_VALUE, .stream = stream};
}

void
json_scan_free(struct json_scan *j)
{
	buf_free(&j->text);
}

bool
json_scan_complete(const struct json_scan *j)
{
	return j->depth == 0 &&
	       (j->state == SCAN_AT_END || (j->stream && j->state == SCAN_AT_VALUE));
}

static enum scan_event
bad(struct json_scan *j)
{
	j->state = SCAN_STOPPED;
	return SCAN_BAD;
}

/* ---- containers ---- */

static bool
in_object(const struct json_scan *j)
{
	unsigned at = j->depth - 1;

	return (j->objects[at / 8] >> (at % 8) & 1) != 0;
}

static void
value_done(struct json_scan *j)
{
	if (j->depth != 0)
		j->state = SCAN_BEHIND_VALUE;
	else
		j->state = j->stream ? SCAN_AT_VALUE : SCAN_AT_END;
}

static enum scan_event
open_container(struct json_scan *j, bool object)
{
	uint8_t bit = (uint8_t)(1u << (j->depth % 8));
	uint8_t *byte = &j->objects[j->depth / 8];

	if (j->depth == SCAN_MAX_DEPTH)
		return bad(j);
	*byte = (uint8_t)(object ? *byte | bit : *byte & ~bit);
	j->depth++;
	j->state = object ? SCAN_AT_FIRST_KEY : SCAN_AT_FIRST_ITEM;
	return object ? SCAN_OBJECT_BEGIN : SCAN_ARRAY_BEGIN;
}

static enum scan_event
close_container(struct json_scan *j, bool object)
{
	if (j->depth == 0 || in_object(j) != object)
		return bad(j);
	j->depth--;
	value_done(j);
	return object ? SCAN_OBJECT_END : SCAN_ARRAY_END;
}

/* ---- strings ---- */

static void
keep_text(struct json_scan *j, const char *data, size_t len)
{
	if (!j->keeping || len == 0)
		return;
	if (len > SCAN_TEXT_BYTES - j->text.len) {
		j->text_cut = true;
		return;
	}
	buf_add(&j->text, data, len);
}

static void
keep_point(struct json_scan *j, uint32_t point)
{
	char utf8[4];
	size_t n = utf8_put(point, utf8);

	keep_text(j, utf8, n);
}

/* A surrogate without its other half reads as U+FFFD, as Go's decoder has it. */
static void
end_surrogate(struct json_scan *j)
{
	if (j->high != 0)
		keep_point(j, 0xfffd);
	j->high = 0;
}

static void
begin_string(struct json_scan *j, bool is_key)
{
	j->state = SCAN_IN_STRING;
	j->is_key = is_key;
	j->keeping = j->keep;
	j->text_cut = false;
	j->high = 0;
	if (j->keep)
		buf_clear(&j->text);
}

static enum scan_event
end_string(struct json_scan *j)
{
	if (j->keeping)
		end_surrogate(j);
	if (j->is_key) {
		j->state = SCAN_AT_COLON;
		return SCAN_KEY;
	}
	value_done(j);
	return SCAN_STRING;
}

static bool
is_plain(char c)
{
	return (unsigned char)c >= ' ' && c != '"' && c != '\\';
}

/* True if each of eight bytes is plain. A byte that borrows shows in its highest bit; what a
 * borrow does to the bytes above it can only make a false alarm. */
static bool
all_plain(const char *data)
{
	const uint64_t ones = UINT64_C(0x0101010101010101), high = ones << 7;
	uint64_t word, quote, slash;

	memcpy(&word, data, sizeof(word));
	quote = word ^ (ones * '"');
	slash = word ^ (ones * '\\');
	return ((((word - ones * ' ') & ~word) | ((quote - ones) & ~quote) |
		    ((slash - ones) & ~slash)) &
		   high) == 0;
}

/* Bytes of a string that stand for themselves. */
static size_t
plain_bytes(const char *data, size_t len)
{
	size_t n = 0;

	while (len - n >= 8 && all_plain(data + n))
		n += 8;
	while (n < len && is_plain(data[n]))
		n++;
	return n;
}

static enum scan_event
in_string(struct json_scan *j, const char *data, size_t len, size_t *pos)
{
	size_t n = plain_bytes(data + *pos, len - *pos);

	if (n != 0 && j->keeping) {
		end_surrogate(j);
		keep_text(j, data + *pos, n);
	}
	*pos += n;
	if (*pos == len)
		return SCAN_MORE;
	switch (data[(*pos)++]) {
	case '"':
		return end_string(j);
	case '\\':
		j->state = SCAN_IN_ESCAPE;
		return SCAN_MORE;
	default: /* a control character */
		return bad(j);
	}
}

static enum scan_event
in_escape(struct json_scan *j, char c)
{
	static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
	const char *at = memchr(letters, c, sizeof(letters) - 1);

	if (c == 'u') {
		j->state = SCAN_IN_UNICODE;
		j->digits = 0;
		j->unit = 0;
		return SCAN_MORE;
	}
	if (at == NULL)
		return bad(j);
	if (j->keeping) {
		end_surrogate(j);
		keep_text(j, &meanings[at - letters], 1);
	}
	j->state = SCAN_IN_STRING;
	return SCAN_MORE;
}

static void
end_unit(struct json_scan *j)
{
	bool low = j->unit >= 0xdc00 && j->unit <= 0xdfff;

	if (low && j->high != 0) {
		keep_point(j, 0x10000u + ((uint32_t)(j->high - 0xd800) << 10) +
				  (uint32_t)(j->unit - 0xdc00));
		j->high = 0;
		return;
	}
	end_surrogate(j);
	if (j->unit >= 0xd800 && j->unit <= 0xdbff)
		j->high = j->unit;
	else
		keep_point(j, low ? 0xfffd : j->unit);
}

static enum scan_event
in_unicode(struct json_scan *j, char c)
{
	int value = str_hex_digit(c);

	if (value < 0)
		return bad(j);
	j->unit = (uint16_t)(j->unit << 4 | value);
	if (++j->digits == 4) {
		if (j->keeping)
			end_unit(j);
		j->state = SCAN_IN_STRING;
	}
	return SCAN_MORE;
}

/* ---- words and numbers ---- */

static enum scan_event
begin_word(struct json_scan *j, const char *word)
{
	j->state = SCAN_IN_WORD;
	j->word_first = word[0];
	j->word = word + 1;
	return SCAN_MORE;
}

static enum scan_event
in_word(struct json_scan *j, char c)
{
	if (c != *j->word)
		return bad(j);
	if (*++j->word != '\0')
		return SCAN_MORE;
	value_done(j);
	return j->word_first == 'n' ? SCAN_NULL : SCAN_SCALAR;
}

static enum scan_event
begin_number(struct json_scan *j, char c)
{
	j->state = SCAN_IN_NUMBER;
	j->number = c == '-' ? NUMBER_MINUS : c == '0' ? NUMBER_ZERO : NUMBER_INT;
	return SCAN_MORE;
}

enum number_class {
	CLASS_ZERO,
	CLASS_DIGIT,
	CLASS_POINT,
	CLASS_E,
	CLASS_SIGN,
	CLASS_OTHER,
};

static enum number_class
number_class(char c)
{
	if (c == '0')
		return CLASS_ZERO;
	if (c >= '1' && c <= '9')
		return CLASS_DIGIT;
	if (c == '.')
		return CLASS_POINT;
	if (c == 'e' || c == 'E')
		return CLASS_E;
	return c == '+' || c == '-' ? CLASS_SIGN : CLASS_OTHER;
}

#define NO  0xff /* cannot come here */
#define END 0xfe /* the number has ended before this byte */

/* What comes next: [where we are][what comes]. */
static const uint8_t number_next[][CLASS_OTHER + 1] = {
    [NUMBER_MINUS] = {NUMBER_ZERO, NUMBER_INT, NO, NO, NO, NO},
    [NUMBER_ZERO] = {NO, NO, NUMBER_POINT, NUMBER_E, NO, END},
    [NUMBER_INT] = {NUMBER_INT, NUMBER_INT, NUMBER_POINT, NUMBER_E, NO, END},
    [NUMBER_POINT] = {NUMBER_FRACTION, NUMBER_FRACTION, NO, NO, NO, NO},
    [NUMBER_FRACTION] = {NUMBER_FRACTION, NUMBER_FRACTION, NO, NUMBER_E, NO, END},
    [NUMBER_E] = {NUMBER_EXPONENT, NUMBER_EXPONENT, NO, NO, NUMBER_E_SIGN, NO},
    [NUMBER_E_SIGN] = {NUMBER_EXPONENT, NUMBER_EXPONENT, NO, NO, NO, NO},
    [NUMBER_EXPONENT] = {NUMBER_EXPONENT, NUMBER_EXPONENT, NO, NO, NO, END},
};

static enum scan_event
in_number(struct json_scan *j, const char *data, size_t len, size_t *pos)
{
	while (*pos < len) {
		uint8_t next = number_next[j->number][number_class(data[*pos])];

		if (next == NO)
			return bad(j);
		if (next == END) { /* the byte is somebody else's */
			value_done(j);
			return SCAN_SCALAR;
		}
		j->number = next;
		(*pos)++;
	}
	return SCAN_MORE;
}

/* ---- between tokens ---- */

static enum scan_event
at_value(struct json_scan *j, char c)
{
	if (c == '{')
		return open_container(j, true);
	if (j->depth == 0) /* only objects stand alone */
		return bad(j);
	if (c == '[')
		return open_container(j, false);
	if (c == '"') {
		begin_string(j, false);
		return SCAN_MORE;
	}
	if (c == '-' || (c >= '0' && c <= '9'))
		return begin_number(j, c);
	if (c == 't')
		return begin_word(j, "true");
	if (c == 'f')
		return begin_word(j, "false");
	if (c == 'n')
		return begin_word(j, "null");
	return bad(j);
}

static enum scan_event
at_key(struct json_scan *j, char c)
{
	if (c != '"')
		return bad(j);
	begin_string(j, true);
	return SCAN_MORE;
}

static enum scan_event
behind_value(struct json_scan *j, char c)
{
	if (c == ',') {
		j->state = in_object(j) ? SCAN_AT_KEY : SCAN_AT_VALUE;
		return SCAN_MORE;
	}
	if (c != '}' && c != ']')
		return bad(j);
	return close_container(j, c == '}');
}

static enum scan_event
between(struct json_scan *j, char c)
{
	if (c == ' ' || c == '\n' || c == '\t' || c == '\r')
		return SCAN_MORE;
	if (j->state == SCAN_AT_VALUE)
		return at_value(j, c);
	if (j->state == SCAN_AT_FIRST_ITEM)
		return c == ']' ? close_container(j, false) : at_value(j, c);
	if (j->state == SCAN_AT_FIRST_KEY)
		return c == '}' ? close_container(j, true) : at_key(j, c);
	if (j->state == SCAN_AT_KEY)
		return at_key(j, c);
	if (j->state == SCAN_BEHIND_VALUE)
		return behind_value(j, c);
	if (j->state != SCAN_AT_COLON || c != ':')
		return bad(j); /* behind the one value nothing may follow */
	j->state = SCAN_AT_VALUE;
	return SCAN_MORE;
}

/* One token, or as much of it as there is. */
static enum scan_event
step(struct json_scan *j, const char *data, size_t len, size_t *pos)
{
	if (j->state == SCAN_IN_STRING)
		return in_string(j, data, len, pos);
	if (j->state == SCAN_IN_NUMBER)
		return in_number(j, data, len, pos);
	if (j->state == SCAN_IN_ESCAPE)
		return in_escape(j, data[(*pos)++]);
	if (j->state == SCAN_IN_UNICODE)
		return in_unicode(j, data[(*pos)++]);
	if (j->state == SCAN_IN_WORD)
		return in_word(j, data[(*pos)++]);
	return between(j, data[(*pos)++]);
}

enum scan_event
json_scan_next(struct json_scan *j, const char *data, size_t len, size_t *pos)
{
	if (j->state == SCAN_STOPPED)
		return SCAN_BAD;
	while (*pos < len) {
		enum scan_event event = step(j, data, len, pos);

		if (event == SCAN_BAD ||
		    (event != SCAN_MORE && (j->quiet == 0 || j->depth < j->quiet)))
			return event;
	}
	return SCAN_MORE;
}
