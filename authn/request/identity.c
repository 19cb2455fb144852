#include "authn/request/identity.h"

#define GROUP_MAX_BYTES 256

void
identity_ref(struct identity *id)
{
	id->refs++;
}

void
identity_unref(struct identity *id)
{
	if (id != NULL && --id->refs == 0)
		arena_free(id->arena);
}

static bool
user_byte_ok(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '.' ||
	       c == '_' || c == '@' || c == '-';
}

bool
identity_user_ok(struct str user)
{
	if (user.len == 0 || user.len > IDENTITY_USER_BYTES)
		return false;
	for (size_t i = 0; i < user.len; i++) {
		if (!user_byte_ok(user.ptr[i]))
			return false;
	}
	return true; /* ':' is not in the alphabet, so "system:" cannot occur */
}

bool
identity_group_ok(struct str group)
{
	if (group.len == 0 || group.len > GROUP_MAX_BYTES ||
	    str_starts(group, STR("system:")))
		return false;
	for (size_t i = 0; i < group.len; i++) {
		unsigned char c = (unsigned char)group.ptr[i];

		/* Printable ASCII: the value travels in an HTTP header, and two spellings of
		 * one name must not be two groups. */
		if (c < 0x20 || c > 0x7e)
			return false;
	}
	return group.ptr[0] != ' ' && group.ptr[group.len - 1] != ' ';
}

bool
identity_same(const struct identity *a, const struct identity *b)
{
	bool same = str_eq(a->user, b->user) && str_eq(a->uid, b->uid) &&
		    a->group_count == b->group_count;

	for (size_t i = 0; same && i < a->group_count; i++)
		same = str_eq(a->groups[i], b->groups[i]);
	return same;
}
