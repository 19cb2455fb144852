/*
 * Recognises label selectors as apimachinery's labels.Parse does. Only the verdict
 * matters here: with a selector that the server cannot read, it drops the object's name
 * from its own classification.
 */
#include <string.h>

#include "authn/request/requestquery.h"

enum label_token {
	TOKEN_END,
	TOKEN_WORD, /* keys, values, and the keywords in, notin */
	TOKEN_COMMA,
	TOKEN_OPEN,
	TOKEN_CLOSE,
	TOKEN_NOT,     /* ! */
	TOKEN_EQUAL,   /* =, ==, != */
	TOKEN_COMPARE, /* <, > */
	TOKEN_BAD,
};

struct label_lexer {
	struct str text;
	size_t pos;
	enum label_token token; /* the present one */
	struct str word;
};

static bool
is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static bool
is_special(char c)
{
	return c != '\0' && strchr("=!(),><", c) != NULL;
}

static enum label_token
special_token(struct str op)
{
	static const struct {
		const char *text;
		enum label_token token;
	} table[] = {
	    {",", TOKEN_COMMA},
	    {"(", TOKEN_OPEN},
	    {")", TOKEN_CLOSE},
	    {"!", TOKEN_NOT},
	    {"=", TOKEN_EQUAL},
	    {"==", TOKEN_EQUAL},
	    {"!=", TOKEN_EQUAL},
	    {"<", TOKEN_COMPARE},
	    {">", TOKEN_COMPARE},
	};

	for (size_t i = 0; i < ARRAY_LEN(table); i++) {
		if (str_is(op, table[i].text))
			return table[i].token;
	}
	return TOKEN_BAD;
}

static void
next(struct label_lexer *lx)
{
	size_t start, end;

	while (lx->pos < lx->text.len && is_space(lx->text.ptr[lx->pos]))
		lx->pos++;
	start = end = lx->pos;
	if (start == lx->text.len) {
		lx->token = TOKEN_END;
		return;
	}
	if (is_special(lx->text.ptr[start])) {
		end++;
		if (end < lx->text.len && lx->text.ptr[end] == '=' &&
		    (lx->text.ptr[start] == '=' || lx->text.ptr[start] == '!'))
			end++;
		lx->token = special_token(str_slice(lx->text, start, end));
	} else {
		while (end < lx->text.len && !is_special(lx->text.ptr[end]) &&
		       !is_space(lx->text.ptr[end]))
			end++;
		lx->token = TOKEN_WORD;
	}
	lx->word = str_slice(lx->text, start, end);
	lx->pos = end;
}

static bool
is_alnum(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
	       (c >= 'A' && c <= 'Z');
}

/* ([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9], at most 63 bytes */
static bool
is_name(struct str s)
{
	if (s.len == 0 || s.len > 63 || !is_alnum(s.ptr[0]) ||
	    !is_alnum(s.ptr[s.len - 1]))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		if (!is_alnum(s.ptr[i]) && memchr("-_.", s.ptr[i], 3) == NULL)
			return false;
	}
	return true;
}

static bool
is_value(struct str s)
{
	return s.len == 0 || is_name(s);
}

/* RFC 1123 subdomain: lower-case labels joined by dots. */
static bool
is_subdomain(struct str s)
{
	struct str rest = s;

	if (s.len == 0 || s.len > 253 || s.ptr[s.len - 1] == '.')
		return false;
	while (rest.ptr != NULL) {
		struct str label = str_split(&rest, '.');

		if (label.len == 0 || label.ptr[0] == '-' ||
		    label.ptr[label.len - 1] == '-')
			return false;
		for (size_t i = 0; i < label.len; i++) {
			char c = label.ptr[i];

			if (!is_alnum(c) && c != '-')
				return false;
			if (c >= 'A' && c <= 'Z')
				return false;
		}
	}
	return true;
}

static bool
is_key(struct str s)
{
	size_t slash = str_find(s, '/', 0);

	if (slash == s.len)
		return is_name(s);
	return is_subdomain(str_slice(s, 0, slash)) &&
	       is_name(str_slice(s, slash + 1, s.len));
}

/* ( value, value ) with empty values allowed, but not an empty list */
static bool
parse_set(struct label_lexer *lx)
{
	if (lx->token != TOKEN_OPEN)
		return false;
	next(lx);
	if (lx->token == TOKEN_CLOSE)
		return false;
	for (;;) {
		if (lx->token == TOKEN_WORD) {
			if (!is_value(lx->word))
				return false;
			next(lx);
		}
		if (lx->token != TOKEN_COMMA)
			break;
		next(lx);
	}
	if (lx->token != TOKEN_CLOSE)
		return false;
	next(lx);
	return true;
}

static bool
is_integer(struct str s)
{
	uint64_t n;

	if (s.len > 1 && (s.ptr[0] == '-' || s.ptr[0] == '+'))
		s = str_slice(s, 1, s.len);
	while (s.len > 1 && s.ptr[0] == '0')
		s = str_slice(s, 1, s.len);
	return str_to_u64(s, INT64_MAX, &n);
}

static bool
parse_exact(struct label_lexer *lx, bool number)
{
	if (lx->token == TOKEN_END || lx->token == TOKEN_COMMA)
		return !number; /* the empty value */
	if (lx->token != TOKEN_WORD || !is_value(lx->word) ||
	    (number && !is_integer(lx->word)))
		return false;
	next(lx);
	return true;
}

static bool
parse_requirement(struct label_lexer *lx)
{
	bool negated = lx->token == TOKEN_NOT;
	enum label_token op;

	if (negated)
		next(lx);
	if (lx->token != TOKEN_WORD || !is_key(lx->word))
		return false;
	next(lx);
	if (negated || lx->token == TOKEN_END || lx->token == TOKEN_COMMA)
		return true;
	op = lx->token;
	if (op == TOKEN_WORD) {
		if (!str_is(lx->word, "in") && !str_is(lx->word, "notin"))
			return false;
		next(lx);
		return parse_set(lx);
	}
	if (op != TOKEN_EQUAL && op != TOKEN_COMPARE)
		return false;
	next(lx);
	return parse_exact(lx, op == TOKEN_COMPARE);
}

bool
label_selector_ok(struct str text)
{
	struct label_lexer lx = {.text = text};

	next(&lx);
	if (lx.token == TOKEN_END)
		return true;
	for (;;) {
		if (!parse_requirement(&lx))
			return false;
		if (lx.token == TOKEN_END)
			return true;
		if (lx.token != TOKEN_COMMA)
			return false;
		next(&lx);
	}
}
