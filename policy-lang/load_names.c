#include "policy-lang/load_names.h"

#include "common/limits.h"

enum {
	LABEL_BYTES = 63,
	PORT_NAME_BYTES = 15
};

/* Classes of bytes, or'ed; no locale. */
enum {
	LOWER = 1,
	UPPER = 2,
	DIGIT = 4,
	DASH = 8,
	UNDERSCORE = 16,
	DOT = 32,
};

static unsigned
byte_class(char c)
{
	if (c >= 'a' && c <= 'z')
		return LOWER;
	if (c >= 'A' && c <= 'Z')
		return UPPER;
	if (c >= '0' && c <= '9')
		return DIGIT;
	return c == '-' ? DASH : c == '_' ? UNDERSCORE : c == '.' ? DOT : 0;
}

/* Not empty, `ends` at both ends, `ends` or `others` between. */
static bool
matches(struct str s, unsigned ends, unsigned others)
{
	if (s.len == 0 || (byte_class(s.ptr[0]) & ends) == 0 ||
	    (byte_class(s.ptr[s.len - 1]) & ends) == 0)
		return false;
	for (size_t i = 1; i + 1 < s.len; i++) {
		if ((byte_class(s.ptr[i]) & (ends | others)) == 0)
			return false;
	}
	return true;
}

bool
name_is_label(struct str s)
{
	return s.len <= LABEL_BYTES && matches(s, LOWER | DIGIT, DASH);
}

bool
name_is_subdomain(struct str s)
{
	if (s.len == 0 || s.len > LIMIT_NAME_BYTES)
		return false;
	do {
		if (!matches(str_split(&s, '.'), LOWER | DIGIT, DASH))
			return false;
	} while (s.ptr != NULL);
	return true;
}

bool
name_is_qualified(struct str s)
{
	size_t slash = str_find(s, '/', 0);

	if (slash != s.len) {
		if (!name_is_subdomain(str_slice(s, 0, slash)))
			return false;
		s = str_slice(s, slash + 1, s.len);
	}
	return s.len <= LABEL_BYTES &&
	       matches(s, LOWER | UPPER | DIGIT, DASH | UNDERSCORE | DOT);
}

bool
name_is_label_value(struct str s)
{
	return s.len == 0 || (s.len <= LABEL_BYTES && matches(s, LOWER | UPPER | DIGIT,
							  DASH | UNDERSCORE | DOT));
}

bool
name_is_port(struct str s)
{
	bool letter = false;

	if (s.len > PORT_NAME_BYTES || !matches(s, LOWER | DIGIT, DASH))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		letter = letter || byte_class(s.ptr[i]) == LOWER;
		if (i > 0 && s.ptr[i] == '-' && s.ptr[i - 1] == '-')
			return false;
	}
	return letter;
}

bool
name_is_domain(struct str s)
{
	unsigned labels = 0;

	if (s.len > LIMIT_NAME_BYTES)
		return false;
	if (str_starts(s, STR("*.")))
		s = str_slice(s, 2, s.len);
	if (str_ends(s, STR(".")))
		s = str_slice(s, 0, s.len - 1);
	do {
		if (!matches(
			str_split(&s, '.'), LOWER | UPPER | DIGIT, DASH | UNDERSCORE))
			return false;
		labels++;
	} while (s.ptr != NULL);
	return labels >= 2;
}

bool
name_is_path_step(struct str s)
{
	return s.len <= LABEL_BYTES &&
	       matches(s, LOWER | DIGIT, DASH | UNDERSCORE | DOT);
}

bool
name_is_printable(struct str s)
{
	for (size_t i = 0; i < s.len; i++) {
		if (s.ptr[i] <= ' ' || s.ptr[i] > '~' || s.ptr[i] == '"' ||
		    s.ptr[i] == '\\')
			return false;
	}
	return s.len != 0;
}
