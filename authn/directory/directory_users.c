#include "authn/directory/directory_users.h"

#include <string.h>
#include <strings.h>

#include "common/map.h"

#define GROUPS_MAX   1024 /* memberOf values kept; more are refused with the groups */
#define UUID_LEN     36   /* entryUUID, RFC 4530 */
#define UNIQUEID_LEN 35   /* nsUniqueId: 8-8-8-8 */
#define GUID_LEN     32   /* objectGUID, told as hexadecimal digits */

/* ---- reading an entry ---- */

#define FIXED_ATTRS 4

struct user_attributes {
	const char *list[FIXED_ATTRS + 1 + ACCOUNT_ATTRS + 1];
	const char *name, *member_of;
};

static void
user_attributes(
    const struct gate_ldap *l, struct arena *arena, struct user_attributes *out)
{
	size_t n = 0;

	out->name = str_dup(arena, l->user_name_attr).ptr;
	out->member_of =
	    l->group_member_of.len != 0 ? str_dup(arena, l->group_member_of).ptr : NULL;
	out->list[n++] = out->name;
	out->list[n++] = "entryUUID";
	out->list[n++] = "objectGUID";
	out->list[n++] = "nsUniqueId";
	for (size_t i = 0; i < ACCOUNT_ATTRS; i++)
		out->list[n++] = account_attributes[i];
	if (out->member_of != NULL)
		out->list[n++] = out->member_of;
	out->list[n] = NULL;
}

/* Active Directory's objectGUID is binary: told as hexadecimal digits. */
static struct str
entry_uid(struct dir_conn *c, struct arena *arena, struct ldapmsg *entry)
{
	struct str uid = dir_first_value(c, arena, entry, "entryUUID");

	if (uid.len != 0)
		return uid;
	uid = dir_first_value(c, arena, entry, "objectGUID");
	return uid.len != 0 ? dir_hex(arena, uid)
			    : dir_first_value(c, arena, entry, "nsUniqueId");
}

static void
read_entry(struct dir_conn *c, struct arena *arena, const struct user_attributes *attrs,
    struct ldapmsg *entry, struct dir_found *out)
{
	memset(out, 0, sizeof(*out));
	out->user.dn = dir_entry_dn(c, arena, entry);
	out->user.name = dir_first_value(c, arena, entry, attrs->name);
	out->user.uid = entry_uid(c, arena, entry);
	for (size_t i = 0; i < ACCOUNT_ATTRS; i++)
		out->account.v[i] =
		    dir_first_value(c, arena, entry, account_attributes[i]);
	if (attrs->member_of != NULL)
		dir_values(c, arena, entry, attrs->member_of, GROUPS_MAX,
		    &out->user.member_of, &out->user.member_of_count,
		    &out->user.member_of_next);
}

bool
dir_user_name(struct arena *arena, const struct dir_found *found, struct str *out_name)
{
	*out_name = dir_lower(arena, found->user.name);
	return identity_user_ok(*out_name);
}

/* ---- one user ---- */

struct one_reading {
	struct arena *arena;
	const struct user_attributes *attributes;
	struct dir_found *out;
	size_t count;
};

static void
take_one(void *arg, struct dir_conn *c, struct ldapmsg *entry)
{
	struct one_reading *r = arg;

	if (r->count++ == 0)
		read_entry(c, r->arena, r->attributes, entry, r->out);
}

enum auth_result
dir_find_user(struct dir_conn *c, struct arena *arena, struct str base,
    enum dir_scope scope, struct str filter, struct dir_found *out, struct err *err)
{
	struct user_attributes attributes;
	struct one_reading r = {.arena = arena, .attributes = &attributes, .out = out};
	const struct dir_query query = {.base = base,
	    .scope = scope,
	    .filter = filter,
	    .attributes = attributes.list,
	    .limit = 1,
	    .missing_ok = scope == DIR_BASE};
	enum auth_result result;

	user_attributes(dir_config(c), arena, &attributes);
	result = dir_search(c, arena, &query, take_one, &r, err);
	if (result == AUTH_ALLOWED && r.count == 0) {
		(void)err_set(err, ERR_DENIED, "no such user");
		return AUTH_DENIED;
	}
	if (result == AUTH_DENIED)
		(void)err_set(err, ERR_DENIED, "several entries match");
	return result;
}

/* ---- many accounts ---- */

/* The attribute of a stored identifier, by its form. */
static void
add_identity(struct buf *filter, struct arena *arena, const struct gate_ldap *l,
    const struct directory_account *a)
{
	struct str by = STR_CONCAT(arena, STR("("), l->user_name_attr, STR("={})"));
	struct str value = a->uid;

	if (a->uid.len == 0) {
		value = a->name;
	} else if (a->uid.len == UUID_LEN) {
		by = STR("(entryUUID={})");
	} else if (a->uid.len == UNIQUEID_LEN) {
		by = STR("(nsUniqueId={})");
	} else if (a->uid.len == GUID_LEN) {
		dir_add_binary(filter, "objectGUID", a->uid);
		return;
	} else { /* nothing has it: the account is not found */
		by = STR("(entryUUID={})");
	}
	buf_add_str(filter, directory_filter(arena, by, value));
}

struct many_reading {
	struct arena *arena;
	const struct user_attributes *attributes;
	const struct directory_account *accounts;
	size_t count;
	struct dir_found **found;
	bool twice[DIRECTORY_BATCH];
};

static void
take_many(void *arg, struct dir_conn *c, struct ldapmsg *entry)
{
	struct many_reading *r = arg;
	struct dir_found *f = ARENA_NEW(r->arena, struct dir_found);
	struct str name;
	bool name_ok;

	read_entry(c, r->arena, r->attributes, entry, f);
	name_ok = dir_user_name(r->arena, f, &name);
	for (size_t i = 0; i < r->count; i++) {
		const struct directory_account *a = &r->accounts[i];
		const bool same =
		    a->uid.len != 0
			? a->uid.len == f->user.uid.len &&
			      strncasecmp(a->uid.ptr, f->user.uid.ptr, a->uid.len) == 0
			: name_ok && str_eq(a->name, name);

		if (!same)
			continue;
		r->twice[i] = r->twice[i] || r->found[i] != NULL;
		r->found[i] = f;
	}
}

enum auth_result
dir_find_accounts(struct dir_conn *c, struct arena *arena,
    const struct directory_account *accounts, size_t count,
    struct dir_found **out_found, struct err *err)
{
	const struct gate_ldap *l = dir_config(c);
	struct user_attributes attributes;
	struct many_reading r = {.arena = arena,
	    .attributes = &attributes,
	    .accounts = accounts,
	    .count = count,
	    .found = out_found};
	struct dir_query query = {.base = l->user_base,
	    .scope = DIR_SUBTREE,
	    .attributes = attributes.list,
	    .limit = (size_t)DIRECTORY_BATCH * 4};
	struct buf filter = {NULL, 0, 0};
	enum auth_result result;

	for (size_t i = 0; i < count; i++)
		out_found[i] = NULL;
	user_attributes(l, arena, &attributes);
	/* The filter that logins go through must still match, whatever name was typed. */
	buf_add_cstr(&filter, "(&");
	buf_add_str(&filter, directory_fill(arena, l->user_filter, STR("*")));
	buf_add_cstr(&filter, "(|");
	for (size_t i = 0; i < count; i++)
		add_identity(&filter, arena, l, &accounts[i]);
	buf_add_cstr(&filter, "))");
	query.filter = str_dup(arena, buf_str(&filter));
	buf_free(&filter);
	result = dir_search(c, arena, &query, take_many, &r, err);
	for (size_t i = 0; i < count && result == AUTH_ALLOWED; i++) {
		if (r.twice[i])
			out_found[i] = NULL;
	}
	/* So many cannot be the accounts that were asked for. */
	return result == AUTH_DENIED ? AUTH_UNAVAILABLE : result;
}

/* ---- whether an account may be used ---- */

struct policy_memo {
	struct map policies; /* DN -> struct account_policy */
};

struct policy_memo *
policy_memo_new(struct arena *arena)
{
	return ARENA_NEW(arena, struct policy_memo);
}

void
policy_memo_fini(struct policy_memo *memo)
{
	map_fini(&memo->policies);
}

struct policy_reading {
	struct arena *arena;
	struct account_policy *out;
};

static uint64_t
seconds(struct policy_reading *r, struct dir_conn *c, struct ldapmsg *entry,
    const char *name, bool *ok)
{
	struct str text = dir_first_value(c, r->arena, entry, name);
	uint64_t value = 0;

	if (text.len != 0 && !str_to_u64(text, UINT32_MAX, &value))
		*ok = false;
	return value;
}

static void
take_policy(void *arg, struct dir_conn *c, struct ldapmsg *entry)
{
	struct policy_reading *r = arg;
	bool ok = true;

	r->out->lockout_s = seconds(r, c, entry, "pwdLockoutDuration", &ok);
	r->out->max_age_s = seconds(r, c, entry, "pwdMaxAge", &ok);
	r->out->grace = seconds(r, c, entry, "pwdGraceAuthNLimit", &ok) != 0;
	r->out->known = ok;
}

static enum auth_result
read_policy(struct dir_conn *c, struct arena *arena, struct policy_memo *memo,
    struct str dn, const struct account_policy **out, struct err *err)
{
	static const char *const attributes[] = {
	    "pwdLockoutDuration", "pwdMaxAge", "pwdGraceAuthNLimit", NULL};
	const struct dir_query query = {.base = dn,
	    .filter = STR("(objectClass=*)"),
	    .attributes = attributes,
	    .limit = 1,
	    .missing_ok = true};
	struct account_policy *policy = map_get(&memo->policies, dn);
	struct policy_reading r = {.arena = arena};
	enum auth_result result = AUTH_ALLOWED;

	if (policy == NULL) {
		policy = ARENA_NEW(arena, struct account_policy);
		r.out = policy;
		result = dir_search(c, arena, &query, take_policy, &r, err);
		if (result == AUTH_ALLOWED)
			(void)map_set(
			    &memo->policies, str_dup(arena, dn), policy); /* absent */
	}
	*out = policy;
	return result;
}

enum auth_result
dir_account_state(struct dir_conn *c, struct arena *arena, struct policy_memo *memo,
    const struct dir_found *found, struct err *err)
{
	static const struct account_policy unknown = {.known = false};
	const struct account_policy *policy = &unknown;
	const struct str *v = found->account.v;
	struct str dn = v[ACCOUNT_PPOLICY_DN];
	enum auth_result result = AUTH_ALLOWED;
	const char *problem;

	if (dn.len == 0)
		dn = dir_config(c)->password_policy;
	/* A policy changes nothing for an account that has no state of it. */
	if (dn.len != 0 &&
	    (v[ACCOUNT_PPOLICY_LOCKED].len != 0 || v[ACCOUNT_PPOLICY_CHANGED].len != 0))
		result = read_policy(c, arena, memo, dn, &policy, err);
	if (result != AUTH_ALLOWED)
		return AUTH_UNAVAILABLE;
	problem = account_problem(&found->account, policy, walltime_now());
	if (problem == NULL)
		return AUTH_ALLOWED;
	(void)err_set(err, ERR_DENIED, "%s", problem);
	return AUTH_DENIED;
}
