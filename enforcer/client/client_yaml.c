/*
 * Block style. A text is written plain if it cannot be taken for anything else, and
 * otherwise as JSON has it, which YAML reads as well.
 */
#include "enforcer/client/client_yaml.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/utf8.h"

#define INDENT 2

static bool
is_one_of(char c, const char *more)
{
	return isalnum((unsigned char)c) || (c != '\0' && strchr(more, c) != NULL);
}

/* Begins with a letter or a slash, has what means nothing in YAML, and is no word of it
 * (1.1 has more of them, and many still read that). */
static bool
is_plain(struct str s)
{
	static const char *const words[] = {
	    "true", "false", "yes", "no", "on", "off", "null", "y", "n"};

	if (s.len == 0 || !(isalpha((unsigned char)s.ptr[0]) || s.ptr[0] == '/'))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_one_of(s.ptr[i], "/._-() +"))
			return false;
	}
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (s.len == strlen(words[i]) &&
		    strncasecmp(s.ptr, words[i], s.len) == 0)
			return false;
	}
	return s.ptr[s.len - 1] != ' ';
}

/* What JSON may bear as it is, and YAML takes for a line's end, or for no text. */
static bool
is_special(uint32_t point)
{
	return (point >= 0x7f && point <= 0x9f) || point == 0x2028 || point == 0x2029 ||
	       point == 0xfeff || point == 0xfffe || point == 0xffff;
}

static void
add_quoted(struct buf *out, struct str s)
{
	struct buf json = {0};
	size_t width;

	buf_add_json(&json, s); /* well-formed now, whatever it was */
	for (size_t at = 0; at < json.len; at += width) {
		uint32_t point = 0;

		width = utf8_decode(buf_str(&json), at, &point);
		width = width != 0 ? width : 1;
		if (is_special(point))
			buf_printf(out, "\\u%04x", (unsigned)point);
		else
			buf_add(out, json.data + at, width);
	}
	buf_free(&json);
}

static void
add_text(struct buf *out, struct str s)
{
	if (is_plain(s))
		buf_add_str(out, s);
	else
		add_quoted(out, s);
}

static void
add_scalar(struct buf *out, const json_t *value)
{
	char *text;

	if (json_is_string(value)) {
		add_text(out,
		    (struct str){json_string_value(value), json_string_length(value)});
		return;
	}
	text = json_dumps(value, JSON_ENCODE_ANY); /* numbers, words, {} and [] */
	if (text == NULL)
		base_die("out of memory");
	buf_add_cstr(out, text);
	free(text);
}

static bool
is_block(const json_t *value)
{
	return (json_is_object(value) && json_object_size(value) != 0) ||
	       (json_is_array(value) && json_array_size(value) != 0);
}

static void
indent(struct buf *out, unsigned depth)
{
	buf_printf(out, "%*s", (int)(depth * INDENT), "");
}

/* `here`: the line has begun, behind the dash of a list. */
static void
add_value(struct buf *out, const json_t *value, unsigned depth, bool here)
{
	const char *key;
	json_t *member;
	size_t i;

	if (json_is_object(value)) {
		json_object_foreach((json_t *)(uintptr_t)value, key, member)
		{
			indent(out, here ? 0 : depth);
			here = false;
			add_text(out, str_from(key));
			buf_add_cstr(out, is_block(member) ? ":\n" : ": ");
			if (is_block(member)) {
				add_value(out, member, depth + 1, false);
			} else {
				add_scalar(out, member);
				buf_add_char(out, '\n');
			}
		}
		return;
	}
	json_array_foreach(value, i, member)
	{
		indent(out, here ? 0 : depth);
		here = false;
		buf_add_cstr(out, "- ");
		if (is_block(member)) {
			add_value(out, member, depth + 1, true);
		} else {
			add_scalar(out, member);
			buf_add_char(out, '\n');
		}
	}
}

void
client_yaml_add(struct buf *out, const json_t *value)
{
	if (is_block(value)) {
		add_value(out, value, 0, false);
		return;
	}
	add_scalar(out, value);
	buf_add_char(out, '\n');
}
