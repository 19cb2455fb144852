#include "policy-lang/load/load_names.h"

#include "common/limits.h"
#include "common/utf8.h"

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

/* The server turns it to lower case first, which only the prefix needs. */
bool
name_is_annotation(struct str s)
{
	char lower[LIMIT_NAME_BYTES + 1 + LABEL_BYTES];

	if (s.len > sizeof(lower))
		return false;
	for (size_t i = 0; i < s.len; i++) {
		bool upper = byte_class(s.ptr[i]) == UPPER;

		lower[i] = upper ? (char)(s.ptr[i] - 'A' + 'a') : s.ptr[i];
	}
	return name_is_qualified((struct str){lower, s.len});
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
name_is_one_domain(struct str s)
{
	bool number = true;

	if (!name_is_domain(s) || str_starts(s, STR("*.")))
		return false;
	if (str_ends(s, STR(".")))
		s = str_slice(s, 0, s.len - 1);
	for (size_t i = s.len; i > 0 && s.ptr[i - 1] != '.'; i--)
		number = number && byte_class(s.ptr[i - 1]) == DIGIT;
	return !number;
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

bool
name_is_shown(struct str s)
{
	uint32_t point;

	for (size_t i = 0, width; i < s.len; i += width) {
		width = utf8_decode(s, i, &point);
		if (width == 0 || utf8_is_hidden(point))
			return false;
	}
	return true;
}

/* ---- the same, as patterns ---- */

#define RE_SHOWN    "^[^\\x00-\\x1f\\x7f-\\x9f]*$"
#define RE_STEP     "[a-z0-9]([-_.a-z0-9]{0,61}[a-z0-9])?"
#define RE_PATH     "/(" RE_STEP "(/" RE_STEP "){0,15})?"
#define RE_DNS_PART "[A-Za-z0-9]([-_A-Za-z0-9]*[A-Za-z0-9])?"
#define RE_DOMAIN   RE_DNS_PART "(\\." RE_DNS_PART ")+\\.?"
#define RE_ANY_CASE "[A-Za-z0-9]([-A-Za-z0-9]*[A-Za-z0-9])?"
#define RE_IANA     "[a-z0-9]+(-[a-z0-9]+)*"
#define RE_NUMBER                                                                      \
	"([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|" \
	"6553[0-5])"
#define RE_PROTOCOL "tcp|udp|sctp|TCP|UDP|SCTP"
#define RE_BYTE     "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
#define RE_V4       RE_BYTE "(\\." RE_BYTE "){3}"
#define RE_V6       "[0-9A-Fa-f:]*:[0-9A-Fa-f:]*(:" RE_V4 ")?"
#define RE_BITS4    "/(3[0-2]|[12]?[0-9])"
#define RE_BITS6    "/(12[0-8]|1[01][0-9]|[1-9]?[0-9])"

const struct grammar grammar_placed = {{{"^([^/]+/)?" RE_LABEL "$"}}, 0, NULL, NULL};
const struct grammar grammar_subdomain = {{{"^" RE_SUBDOMAIN "$"}}, 253, NULL, NULL};
const struct grammar grammar_qualified = {
    {{"^(" RE_SUBDOMAIN "/)?" RE_NAME "$"}}, 317, NULL, NULL};
const struct grammar grammar_annotation = {
    {{"^(" RE_ANY_CASE "(\\." RE_ANY_CASE ")*/)?" RE_NAME "$"}}, 317, NULL, NULL};
const struct grammar grammar_label_value = {{{"^(" RE_NAME ")?$"}}, 63, NULL, NULL};
const struct grammar grammar_port_name = {{{"^" RE_IANA "$", "[a-z]"}}, 15, NULL, NULL};
const struct grammar grammar_domain = {{{"^(\\*\\.)?" RE_DOMAIN "$"}}, 253, NULL, NULL};
const struct grammar grammar_one_domain = {
    {{"^" RE_DOMAIN "$", "[^.0-9][^.]*\\.?$"}}, 253, NULL, NULL};
const struct grammar grammar_source = {{{"[/:]"}, {"^" RE_V4 "$"}}, 0, NULL, NULL};
const struct grammar grammar_destination = {
    {{"[/:]"}, {"^" RE_V4 "$"}, {"^" RE_DOMAIN "$", "[^.0-9][^.]*\\.?$", "^.{1,253}$"}},
    0, NULL, NULL};
const struct grammar grammar_printable = {{{"^[!#-\\[\\]-~]+$"}}, 0, NULL, NULL};
const struct grammar grammar_title = {{{RE_SHOWN}}, LIMIT_NAME_BYTES, NULL, NULL};
const struct grammar grammar_by = {{{RE_SHOWN}}, LIMIT_TITLE_BYTES, NULL, NULL};
const struct grammar grammar_path = {{{"^" RE_PATH "$"}}, LIMIT_PATH_BYTES, NULL, NULL};
const struct grammar grammar_home = {
    {{"^" RE_PATH "$"}, {"^" RE_LABEL "$"}}, LIMIT_PATH_BYTES, NULL, NULL};
const struct grammar grammar_relative = {
    {{"^" RE_PATH "$"}, {"^\\.{1,2}(/(\\.{1,2}|" RE_STEP "))*$"}}, LIMIT_PATH_BYTES,
    NULL, NULL};
const struct grammar grammar_tree_name = {
    {{"^" RE_PATH "$"}, {"^" RE_SUBDOMAIN "$", "^.{1,253}$"}}, LIMIT_PATH_BYTES, NULL,
    NULL};
const struct grammar grammar_ip = {
    {{"^" RE_V4 "$"}, {"^" RE_V6 "$"}}, 45, "isIP(self)", "must be an IP address"};
const struct grammar grammar_cidr = {
    {{"^" RE_V4 RE_BITS4 "$"}, {"^" RE_V6 RE_BITS6 "$"}}, 49, "isCIDR(self)",
    "must be a CIDR"};
const struct grammar grammar_address = {
    {{"^" RE_V4 "(" RE_BITS4 ")?$"}, {"^" RE_V6 "(" RE_BITS6 ")?$"}}, 49,
    "isIP(self) || isCIDR(self)", "must be an IP address or a CIDR"};
const struct grammar grammar_port = {
    {
	{"^(" RE_PROTOCOL "|icmp|icmpv6|ICMP|ICMPV6)$"},
	{"^" RE_NUMBER "(-" RE_NUMBER ")?/(" RE_PROTOCOL ")$"},
	{"^" RE_IANA "$", "[a-z]", "^.{1,15}$"},
	{"^" RE_IANA "/(" RE_PROTOCOL ")$", "[a-z].*/", "^.{1,15}/"},
    },
    20,
    "!self.matches('^[0-9]+-[0-9]+/') || "
    "int(self.split('-')[0]) <= int(self.split('-')[1].split('/')[0])",
    "a range of ports must not end before it begins"};
