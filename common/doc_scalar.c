/*
 * What a scalar is: the rules of the YAML reader behind Kubernetes (go-yaml v2, then
 * JSON), which are YAML 1.1's with changes. Timestamps are strings, base 60 is
 * not known, and a number with an integral value is an integer however it is written.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "common/doc_tree.h"

struct word {
	const char *text;
	enum doc_kind kind;
	bool boolean;
	double real;
};

static const struct word words[] = {
    {"y", DOC_BOOL, .boolean = true},
    {"Y", DOC_BOOL, .boolean = true},
    {"yes", DOC_BOOL, .boolean = true},
    {"Yes", DOC_BOOL, .boolean = true},
    {"YES", DOC_BOOL, .boolean = true},
    {"true", DOC_BOOL, .boolean = true},
    {"True", DOC_BOOL, .boolean = true},
    {"TRUE", DOC_BOOL, .boolean = true},
    {"on", DOC_BOOL, .boolean = true},
    {"On", DOC_BOOL, .boolean = true},
    {"ON", DOC_BOOL, .boolean = true},
    {"n", DOC_BOOL, .boolean = false},
    {"N", DOC_BOOL, .boolean = false},
    {"no", DOC_BOOL, .boolean = false},
    {"No", DOC_BOOL, .boolean = false},
    {"NO", DOC_BOOL, .boolean = false},
    {"false", DOC_BOOL, .boolean = false},
    {"False", DOC_BOOL, .boolean = false},
    {"FALSE", DOC_BOOL, .boolean = false},
    {"off", DOC_BOOL, .boolean = false},
    {"Off", DOC_BOOL, .boolean = false},
    {"OFF", DOC_BOOL, .boolean = false},
    {"", DOC_NULL, .boolean = false},
    {"~", DOC_NULL, .boolean = false},
    {"null", DOC_NULL, .boolean = false},
    {"Null", DOC_NULL, .boolean = false},
    {"NULL", DOC_NULL, .boolean = false},
    {".nan", DOC_FLOAT, .real = (double)NAN},
    {".NaN", DOC_FLOAT, .real = (double)NAN},
    {".NAN", DOC_FLOAT, .real = (double)NAN},
    {".inf", DOC_FLOAT, .real = (double)INFINITY},
    {".Inf", DOC_FLOAT, .real = (double)INFINITY},
    {".INF", DOC_FLOAT, .real = (double)INFINITY},
    {"+.inf", DOC_FLOAT, .real = (double)INFINITY},
    {"+.Inf", DOC_FLOAT, .real = (double)INFINITY},
    {"+.INF", DOC_FLOAT, .real = (double)INFINITY},
    {"-.inf", DOC_FLOAT, .real = -(double)INFINITY},
    {"-.Inf", DOC_FLOAT, .real = -(double)INFINITY},
    {"-.INF", DOC_FLOAT, .real = -(double)INFINITY},
};

#define LONGEST_WORD 5

/* Few keys and names that begin like a word end like one. */
static bool
may_be_word(struct str text)
{
	switch (text.len != 0 ? text.ptr[text.len - 1] : '\0') {
	case '\0':
	case 'y':
	case 'Y':
	case 's':
	case 'S':
	case 'e':
	case 'E':
	case 'n':
	case 'N':
	case 'o':
	case 'O':
	case 'f':
	case 'F':
	case 'l':
	case 'L':
	case '~':
		return true;
	default:
		return false;
	}
}

static bool
resolve_word(struct doc_node *node)
{
	if (node->text.len > LONGEST_WORD || !may_be_word(node->text))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		const struct word *word = &words[i];

		if (node->text.len != 0 && node->text.ptr[0] != word->text[0])
			continue;
		if (!str_is(node->text, word->text))
			continue;
		node->kind = word->kind;
		if (word->kind == DOC_BOOL)
			node->u.boolean = word->boolean;
		else if (word->kind == DOC_FLOAT)
			node->u.real = word->real;
		return true;
	}
	return false;
}

static bool
is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* The base that the prefix of unsigned digits names; *skip: bytes of the prefix. */
static unsigned
number_base(struct str digits, size_t *skip)
{
	static const struct {
		char letter;
		unsigned base;
	} bases[] = {{'x', 16}, {'X', 16}, {'o', 8}, {'O', 8}, {'b', 2}, {'B', 2}};

	*skip = 0;
	if (digits.len < 2 || digits.ptr[0] != '0')
		return 10;
	for (size_t i = 0; i < ARRAY_LEN(bases); i++) {
		if (digits.ptr[1] == bases[i].letter) {
			*skip = 2;
			return bases[i].base;
		}
	}
	*skip = 1;
	return 8;
}

enum magnitude {
	MAGNITUDE_OK,
	MAGNITUDE_SYNTAX,
	MAGNITUDE_RANGE
};

static enum magnitude
parse_magnitude(struct str digits, uint64_t *out_value)
{
	enum magnitude result = MAGNITUDE_OK;
	uint64_t value = 0;
	size_t skip;
	unsigned base = number_base(digits, &skip);

	if (digits.len == skip)
		return MAGNITUDE_SYNTAX;
	for (size_t i = skip; i < digits.len; i++) {
		unsigned digit = (unsigned)str_hex_digit(digits.ptr[i]);

		if (digit >= base) /* so is -1 */
			return MAGNITUDE_SYNTAX;
		/* A division is asked for only where it may matter. */
		if (value >= UINT64_MAX / 16 && value > (UINT64_MAX - digit) / base)
			result = MAGNITUDE_RANGE;
		else
			value = value * base + digit;
	}
	*out_value = value;
	return result;
}

/* An integer; one that only an unsigned 64-bit number holds becomes a float. */
static bool
parse_integer(struct str text, struct doc_node *node)
{
	bool sign = text.ptr[0] == '-' || text.ptr[0] == '+';
	bool negative = text.ptr[0] == '-';
	uint64_t value;

	if (parse_magnitude(str_slice(text, sign ? 1 : 0, text.len), &value) !=
	    MAGNITUDE_OK)
		return false;
	if (value <= (uint64_t)INT64_MAX) {
		node->kind = DOC_INT;
		node->u.integer = negative ? -(int64_t)value : (int64_t)value;
		return true;
	}
	if (negative && value == (uint64_t)INT64_MAX + 1) {
		node->kind = DOC_INT;
		node->u.integer = INT64_MIN;
		return true;
	}
	if (sign)
		return false;
	node->kind = DOC_FLOAT;
	node->u.real = (double)value;
	return true;
}

static size_t
skip_digits(struct str text, size_t at)
{
	while (at < text.len && is_digit(text.ptr[at]))
		at++;
	return at;
}

/* [-+]? ( .digits | digits [ . [digits] ] ) [ [eE] [-+]? digits ] */
static bool
is_float(struct str text)
{
	size_t at = 0, digits;

	if (at < text.len && (text.ptr[at] == '-' || text.ptr[at] == '+'))
		at++;
	digits = skip_digits(text, at) - at;
	at += digits;
	if (at < text.len && text.ptr[at] == '.') {
		size_t fraction = skip_digits(text, at + 1) - (at + 1);

		at += 1 + fraction;
		digits += fraction;
	}
	if (digits == 0)
		return false;
	if (at < text.len && (text.ptr[at] == 'e' || text.ptr[at] == 'E')) {
		at++;
		if (at < text.len && (text.ptr[at] == '-' || text.ptr[at] == '+'))
			at++;
		if (skip_digits(text, at) == at)
			return false;
		at = skip_digits(text, at);
	}
	return at == text.len;
}

/* `text` is followed by a NUL and has passed is_float, so that strtod reads all of it;
 * programs of this project stay in the C locale. Too large for a double: no number. */
static bool
parse_float(struct str text, struct doc_node *node)
{
	double real;

	if (!is_float(text))
		return false;
	real = strtod(text.ptr, NULL);
	if (isinf(real))
		return false;
	node->kind = DOC_FLOAT;
	node->u.real = real;
	return true;
}

/* Copies the text without underscores. False if one stands elsewhere than between
 * two digits and `strict` asks for that. */
static bool
drop_underscores(struct doc_tree *t, struct str text, bool strict, struct str *out)
{
	char *copy;
	size_t len = 0;

	*out = text;
	if (str_find(text, '_', 0) == text.len)
		return true;
	copy = arena_strndup(t->arena, text.ptr, text.len);
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] != '_')
			copy[len++] = text.ptr[i];
		else if (strict &&
			 (i == 0 || i + 1 == text.len || !is_digit(text.ptr[i - 1]) ||
			     !is_digit(text.ptr[i + 1])))
			return false;
	}
	copy[len] = '\0';
	*out = (struct str){copy, len};
	return true;
}

/* What a plain scalar stands for; a string if nothing else. */
static void
resolve_plain(struct doc_tree *t, struct doc_node *node)
{
	/* First bytes of what can be something else than a string. */
	static const bool special[256] = {
	    ['0'] = 1,
	    ['1'] = 1,
	    ['2'] = 1,
	    ['3'] = 1,
	    ['4'] = 1,
	    ['5'] = 1,
	    ['6'] = 1,
	    ['7'] = 1,
	    ['8'] = 1,
	    ['9'] = 1,
	    ['+'] = 1,
	    ['-'] = 1,
	    ['.'] = 1,
	    ['y'] = 1,
	    ['Y'] = 1,
	    ['n'] = 1,
	    ['N'] = 1,
	    ['t'] = 1,
	    ['T'] = 1,
	    ['f'] = 1,
	    ['F'] = 1,
	    ['o'] = 1,
	    ['O'] = 1,
	    ['~'] = 1,
	};
	struct str number;
	char first;

	node->kind = DOC_STRING;
	if (node->text.len != 0 && !special[(unsigned char)node->text.ptr[0]])
		return;
	first = node->text.len != 0 ? node->text.ptr[0] : '\0';
	if (!is_digit(first) && resolve_word(node))
		return;
	if (!is_digit(first) && first != '+' && first != '-' && first != '.')
		return;
	if (!drop_underscores(t, node->text, first == '.', &number))
		return;
	if (first != '.' && parse_integer(number, node))
		return;
	(void)parse_float(number, node); /* otherwise it stays a string */
}

/* JSON has no NaN and no infinity, and writes a float with an integral value as an
 * integer: so does the API server get to see it. */
static void
to_json_number(struct doc_tree *t, struct doc_node *node)
{
	const double exact = 9007199254740992.0; /* 2^53 */
	double real = node->u.real;

	if (!isfinite(real)) {
		doc_tree_error(t, DOC_CODE_NUMBER, node->loc,
		    "%s is not a number that JSON can hold", node->text.ptr);
		node->kind = DOC_STRING;
		return;
	}
	if (real >= -exact && real <= exact && trunc(real) == real) {
		node->kind = DOC_INT;
		node->u.integer = (int64_t)real;
	}
}

static bool
tag_to_kind(const char *tag, enum doc_kind *out_kind)
{
	static const struct {
		const char *tag;
		enum doc_kind kind;
	} tags[] = {
	    {"str", DOC_STRING},
	    {"int", DOC_INT},
	    {"float", DOC_FLOAT},
	    {"bool", DOC_BOOL},
	    {"null", DOC_NULL},
	};

	for (size_t i = 0; i < ARRAY_LEN(tags); i++) {
		if (strcmp(tags[i].tag, tag) == 0) {
			*out_kind = tags[i].kind;
			return true;
		}
	}
	return false;
}

static void
resolve_tagged(struct doc_tree *t, struct doc_node *node, const char *tag)
{
	enum doc_kind wanted;

	if (!tag_to_kind(tag, &wanted)) {
		doc_tree_error(t, DOC_CODE_TAG, node->loc, "the tag !!%s %s", tag,
		    strcmp(tag, "map") == 0 || strcmp(tag, "seq") == 0
			? "does not fit a scalar"
			: "is not supported");
		return;
	}
	if (wanted == DOC_STRING)
		return;
	resolve_plain(t, node);
	if (node->kind == wanted || (wanted == DOC_FLOAT && node->kind == DOC_INT))
		return;
	doc_tree_error(t, DOC_CODE_TAG, node->loc, "the tag !!%s does not fit \"%.*s\"",
	    tag, STR_ARG(node->text));
	node->kind = DOC_STRING;
}

bool
doc_scalar_resolve_plain(struct doc_tree *t, struct doc_node *node)
{
	resolve_plain(t, node);
	if (node->kind == DOC_STRING)
		return true;
	if (node->kind == DOC_FLOAT)
		to_json_number(t, node);
	return false;
}

void
doc_scalar_resolve(
    struct doc_tree *t, struct doc_node *node, const char *tag, bool quoted)
{
	if (tag == NULL && !quoted) {
		(void)doc_scalar_resolve_plain(t, node); /* whatever it is */
		return;
	}
	node->kind = DOC_STRING;
	if (tag != NULL)
		resolve_tagged(t, node, tag);
	if (node->kind == DOC_FLOAT)
		to_json_number(t, node);
}

void
doc_scalar_json_number(struct doc_tree *t, struct doc_node *node, bool integer)
{
	if (integer && parse_integer(node->text, node))
		return;
	node->kind = DOC_FLOAT;
	node->u.real = strtod(node->text.ptr, NULL);
	to_json_number(t, node);
}
