/*
 * Domain names in policy: what a pattern takes in.
 */
#include "policy-lang/model/fqdn.h"

#define LABEL_BYTES 63

static char
lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static struct str
without_last_dot(struct str name)
{
	return str_ends(name, STR(".")) ? str_slice(name, 0, name.len - 1) : name;
}

static bool
same_letters(struct str a, struct str b)
{
	if (a.len != b.len)
		return false;
	for (size_t i = 0; i < a.len; i++) {
		if (lower(a.ptr[i]) != lower(b.ptr[i]))
			return false;
	}
	return true;
}

/* Labels that are neither empty nor too long, and no more of them than fit. */
static bool
is_name(struct str name)
{
	if (name.len == 0 || name.len >= FQDN_BYTES)
		return false;
	do {
		struct str label = str_split(&name, '.');

		if (label.len == 0 || label.len > LABEL_BYTES)
			return false;
	} while (name.ptr != NULL);
	return true;
}

bool
fqdn_match(struct str pattern, struct str name)
{
	size_t front;

	pattern = without_last_dot(pattern);
	name = without_last_dot(name);
	if (!is_name(name))
		return false;
	if (!str_starts(pattern, STR("*.")))
		return same_letters(pattern, name);
	pattern = str_slice(pattern, 1, pattern.len); /* ".example.org" */
	if (name.len <= pattern.len)
		return false;
	front = name.len - pattern.len;
	return same_letters(pattern, str_slice(name, front, name.len));
}

struct str
fqdn_canonical(struct str name, char *out)
{
	name = without_last_dot(name);
	if (name.len >= FQDN_BYTES)
		name.len = 0;
	for (size_t i = 0; i < name.len; i++)
		out[i] = lower(name.ptr[i]);
	out[name.len] = '\0';
	return (struct str){out, name.len};
}
