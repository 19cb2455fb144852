/*
 * Which groups a user is in: by search, by an attribute of the user's entry, or by Active
 * Directory's tokenGroups; nested ones by walking upwards, group by group, with a bound and
 * an end to cycles. What was learnt of a group is kept for the other users of the same round.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/directory/directory_ldap.h"
#include "common/map.h"

#define SEARCH_MAX   2000 /* groups that one search may give */
#define GROUPS_MAX   1024 /* of one user, nested ones included */
#define NESTED_DEPTH 16
#define GROUPS_BYTES (48u * 1024) /* what a request to the API server can carry */
#define SIDS_ASKED   50           /* at once */

#define IN_CHAIN ":1.2.840.113556.1.4.1941:" /* MS-ADTS 3.1.1.3.4.4.3 */

struct found_group {
	struct str dn;
	struct str name;
	/* DNs of the groups that it is in, when they are its own attribute's */
	const struct str *member_of;
	size_t member_of_count, member_of_next;
};

/* Groups that a question gave. */
struct group_list {
	struct found_group *groups;
	size_t count, cap;
};

struct group_memo {
	struct arena *arena;
	struct map parents; /* lower-cased DN of a group -> struct group_list */
	struct map
	    entries; /* lower-cased DN as asked for -> struct group_list of 0 or 1 */
	struct map sids; /* hexadecimal SID -> struct found_group, NULL name: none */
};

struct group_walk {
	struct dir_conn *conn;
	const struct gate_ldap *config;
	struct arena *arena;
	struct group_memo *memo;
	struct found_group *groups;
	size_t count;
	struct map seen; /* lower-cased DNs */
	bool too_many;
};

struct group_memo *
group_memo_new(struct arena *arena)
{
	struct group_memo *memo = ARENA_NEW(arena, struct group_memo);

	memo->arena = arena;
	return memo;
}

void
group_memo_fini(struct group_memo *memo)
{
	map_fini(&memo->parents);
	map_fini(&memo->entries);
	map_fini(&memo->sids);
}

static void
walk_add(struct group_walk *w, const struct found_group *group)
{
	struct str key = dir_lower(w->arena, group->dn);

	if (map_get(&w->seen, key) != NULL)
		return; /* met already: cycles end here */
	if (w->count == GROUPS_MAX) {
		w->too_many = true;
		return;
	}
	w->groups[w->count] = *group;
	(void)map_set(&w->seen, key, &w->groups[w->count++]); /* was absent */
}

static void
walk_add_list(struct group_walk *w, const struct group_list *list)
{
	for (size_t i = 0; i < list->count; i++)
		walk_add(w, &list->groups[i]);
}

/* ---- questions ---- */

struct asking {
	struct group_walk *walk;
	struct group_list *out;
};

static void
take_group(void *arg, struct dir_conn *c, struct ldapmsg *entry)
{
	struct asking *a = arg;
	struct group_walk *w = a->walk;
	struct group_list *list = a->out;
	struct arena *arena = w->memo->arena;
	const struct gate_ldap *l = w->config;
	struct found_group *g;

	if (list->count == list->cap) {
		size_t cap = list->cap == 0 ? 4 : list->cap * 2;
		struct found_group *more = ARENA_ARRAY(arena, cap, struct found_group);

		if (list->count != 0)
			memcpy(more, list->groups, list->count * sizeof(*more));
		list->groups = more;
		list->cap = cap;
	}
	g = &list->groups[list->count++];
	g->dn = dir_entry_dn(c, arena, entry);
	g->name =
	    dir_first_value(c, arena, entry, str_dup(arena, l->group_name_attr).ptr);
	if (l->group_member_of.len != 0 && l->nested == LDAP_NESTED_WALK)
		dir_values(c, arena, entry, str_dup(arena, l->group_member_of).ptr,
		    GROUPS_MAX, &g->member_of, &g->member_of_count, &g->member_of_next);
}

static enum auth_result
ask(struct group_walk *w, struct str base, enum dir_scope scope, struct str filter,
    struct group_list *out, struct err *err)
{
	const struct gate_ldap *l = w->config;
	const char *const attributes[] = {str_dup(w->arena, l->group_name_attr).ptr,
	    l->group_member_of.len != 0 && l->nested == LDAP_NESTED_WALK
		? str_dup(w->arena, l->group_member_of).ptr
		: NULL,
	    NULL};
	const struct dir_query query = {.base = base,
	    .scope = scope,
	    .filter = filter,
	    .attributes = attributes,
	    .limit = scope == DIR_BASE ? 1 : SEARCH_MAX,
	    .missing_ok = scope == DIR_BASE}; /* a member of what is gone */
	struct asking a = {w, out};

	return dir_search(w->conn, w->arena, &query, take_group, &a, err);
}

/* The filter for who has a member; Active Directory also looks through nested groups. */
static struct str
member_filter(struct group_walk *w, struct str member)
{
	struct str filter = w->config->group_filter;
	size_t at = 0;

	while (at + 3 <= filter.len && memcmp(filter.ptr + at, "={}", 3) != 0)
		at++;
	if (w->config->nested == LDAP_NESTED_AD && at + 3 <= filter.len &&
	    (at == 0 || filter.ptr[at - 1] != ':'))
		filter = STR_CONCAT(w->arena, str_slice(filter, 0, at), STR(IN_CHAIN),
		    str_slice(filter, at, filter.len));
	return directory_filter(w->arena, filter, member);
}

/* The groups that have the group `dn` as a member. */
static enum auth_result
parents_of(struct group_walk *w, struct str dn, struct err *err)
{
	struct str key = dir_lower(w->memo->arena, dn);
	struct group_list *list = map_get(&w->memo->parents, key);
	enum auth_result result = AUTH_ALLOWED;

	if (list == NULL) {
		list = ARENA_NEW(w->memo->arena, struct group_list);
		result = ask(w, w->config->group_base, DIR_SUBTREE,
		    member_filter(w, dn), list, err);
		if (result == AUTH_ALLOWED)
			(void)map_set(&w->memo->parents, key, list); /* was absent */
	}
	if (result == AUTH_ALLOWED)
		walk_add_list(w, list);
	return result;
}

/* The entry of a group whose DN an attribute gave. */
static enum auth_result
read_group(struct group_walk *w, struct str dn, struct err *err)
{
	struct str key = dir_lower(w->memo->arena, dn);
	struct group_list *list = map_get(&w->memo->entries, key);
	enum auth_result result = AUTH_ALLOWED;

	if (list == NULL) {
		list = ARENA_NEW(w->memo->arena, struct group_list);
		result = ask(w, dn, DIR_BASE, STR("(objectClass=*)"), list, err);
		if (result == AUTH_ALLOWED && list->count == 1 &&
		    list->groups[0].member_of_next != 0) {
			struct found_group *g = &list->groups[0];

			result = dir_more_values(w->conn, w->memo->arena, g->dn,
			    str_dup(w->arena, w->config->group_member_of).ptr,
			    GROUPS_MAX, g->member_of_next, &g->member_of,
			    &g->member_of_count, err);
		}
		if (result == AUTH_ALLOWED)
			(void)map_set(&w->memo->entries, key, list); /* was absent */
	}
	if (result == AUTH_ALLOWED)
		walk_add_list(w, list);
	return result;
}

static enum auth_result
read_groups_of(
    struct group_walk *w, const struct str *dns, size_t count, struct err *err)
{
	enum auth_result result = AUTH_ALLOWED;

	if (count > GROUPS_MAX)
		w->too_many = true;
	for (size_t i = 0; i < count && !w->too_many && result == AUTH_ALLOWED; i++)
		result = read_group(w, dns[i], err);
	return result;
}

/* ---- Active Directory's tokenGroups: what the system itself computes ---- */

struct sid_reading {
	struct group_walk *walk;
	const struct str *sids;
	size_t count, next;
	struct group_list found;
	struct str *found_sids; /* of found.groups */
};

static void
take_sids(void *arg, struct dir_conn *c, struct ldapmsg *entry)
{
	struct sid_reading *r = arg;

	dir_values(c, r->walk->arena, entry, "tokenGroups", GROUPS_MAX, &r->sids,
	    &r->count, &r->next);
}

static void
take_sid_group(void *arg, struct dir_conn *c, struct ldapmsg *entry)
{
	struct group_walk *w = arg;
	struct arena *arena = w->memo->arena;
	struct found_group *g = ARENA_NEW(arena, struct found_group);

	g->dn = dir_entry_dn(c, arena, entry);
	g->name = dir_first_value(
	    c, arena, entry, str_dup(arena, w->config->group_name_attr).ptr);
	(void)map_set(&w->memo->sids,
	    dir_hex(arena, dir_first_value(c, arena, entry, "objectSid")), g);
}

/* One search for the names of SIDs that are not known yet. Those without an entry below the
 * base (built-in groups, mostly) are remembered too. */
static enum auth_result
name_sids(struct group_walk *w, const struct str *sids, size_t count, struct err *err)
{
	static const struct found_group none = {.dn = {NULL, 0}};
	const char *const attributes[] = {
	    str_dup(w->arena, w->config->group_name_attr).ptr, "objectSid", NULL};
	struct dir_query query = {.base = w->config->group_base,
	    .scope = DIR_SUBTREE,
	    .attributes = attributes,
	    .limit = SEARCH_MAX};
	struct buf filter = {NULL, 0, 0};
	enum auth_result result;

	buf_add_cstr(&filter, "(|");
	for (size_t i = 0; i < count; i++)
		dir_add_binary(&filter, "objectSid", sids[i]);
	buf_add_char(&filter, ')');
	query.filter = str_dup(w->arena, buf_str(&filter));
	buf_free(&filter);
	result = dir_search(w->conn, w->arena, &query, take_sid_group, w, err);
	for (size_t i = 0; i < count && result == AUTH_ALLOWED; i++) {
		if (map_get(&w->memo->sids, sids[i]) == NULL)
			(void)map_set(&w->memo->sids, str_dup(w->memo->arena, sids[i]),
			    (void *)(uintptr_t)&none);
	}
	return result;
}

static enum auth_result
read_token_groups(struct group_walk *w, const struct dir_user *user, struct err *err)
{
	static const char *const attributes[] = {"tokenGroups", NULL};
	const struct dir_query query = {.base = user->dn,
	    .filter = STR("(objectClass=*)"),
	    .attributes = attributes,
	    .limit = 1};
	struct sid_reading r = {.walk = w};
	struct str unknown[SIDS_ASKED];
	size_t asked = 0;
	enum auth_result result =
	    dir_search(w->conn, w->arena, &query, take_sids, &r, err);

	if (result == AUTH_ALLOWED && r.next != 0)
		result = dir_more_values(w->conn, w->arena, user->dn, "tokenGroups",
		    GROUPS_MAX, r.next, &r.sids, &r.count, err);
	if (r.count > GROUPS_MAX)
		w->too_many = true;
	for (size_t i = 0; i < r.count && !w->too_many && result == AUTH_ALLOWED; i++) {
		struct str sid = dir_hex(w->arena, r.sids[i]);

		if (map_get(&w->memo->sids, sid) == NULL)
			unknown[asked++] = sid;
		if (asked == SIDS_ASKED) {
			result = name_sids(w, unknown, asked, err);
			asked = 0;
		}
	}
	if (result == AUTH_ALLOWED && asked != 0)
		result = name_sids(w, unknown, asked, err);
	for (size_t i = 0; i < r.count && !w->too_many && result == AUTH_ALLOWED; i++) {
		const struct found_group *g =
		    map_get(&w->memo->sids, dir_hex(w->arena, r.sids[i]));

		if (g != NULL && g->dn.len != 0)
			walk_add(w, g);
	}
	return result;
}

/* ---- the whole ---- */

/* Upwards, level by level; each group is asked about once. */
static enum auth_result
walk_up(struct group_walk *w, struct err *err)
{
	enum auth_result result = AUTH_ALLOWED;
	size_t done = 0;

	for (unsigned depth = 0; done < w->count && result == AUTH_ALLOWED; depth++) {
		size_t level_end = w->count;

		if (depth == NESTED_DEPTH) {
			(void)err_set(err, ERR_LIMIT,
			    "groups are nested more than %d levels deep", NESTED_DEPTH);
			return AUTH_DENIED;
		}
		for (; done < level_end && result == AUTH_ALLOWED && !w->too_many;
		     done++) {
			const struct found_group *g = &w->groups[done];

			result = w->config->group_member_of.len != 0
				     ? read_groups_of(
					   w, g->member_of, g->member_of_count, err)
				     : parents_of(w, g->dn, err);
		}
		if (w->too_many)
			break;
	}
	return result;
}

static int
compare_str(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Names that may not be asserted are left out: nobody can write a rule about them. */
static void
sorted_names(
    const struct group_walk *w, const struct str **out_groups, size_t *out_count)
{
	struct str *names = ARENA_ARRAY(w->arena, w->count, struct str);
	size_t count = 0, unique = 0;

	for (size_t i = 0; i < w->count; i++) {
		if (identity_group_ok(w->groups[i].name))
			names[count++] = w->groups[i].name;
	}
	if (count != 0)
		qsort(names, count, sizeof(*names), compare_str);
	for (size_t i = 0; i < count; i++) {
		if (unique == 0 || !str_eq(names[unique - 1], names[i]))
			names[unique++] = names[i];
	}
	*out_groups = names;
	*out_count = unique;
}

/* The user's own groups, before any walk. */
static enum auth_result
direct_groups(struct group_walk *w, const struct dir_user *user, struct err *err)
{
	struct group_list list = {NULL, 0, 0};
	const struct str *dns = user->member_of;
	size_t count = user->member_of_count;
	enum auth_result result = AUTH_ALLOWED;

	if (w->config->nested == LDAP_NESTED_TOKEN_GROUPS)
		return read_token_groups(w, user, err);
	if (w->config->group_member_of.len != 0) {
		if (user->member_of_next != 0)
			result = dir_more_values(w->conn, w->arena, user->dn,
			    str_dup(w->arena, w->config->group_member_of).ptr,
			    GROUPS_MAX, user->member_of_next, &dns, &count, err);
		return result == AUTH_ALLOWED ? read_groups_of(w, dns, count, err)
					      : result;
	}
	result = ask(w, w->config->group_base, DIR_SUBTREE,
	    member_filter(w, w->config->group_by_name ? user->name : user->dn), &list,
	    err);
	if (result == AUTH_ALLOWED)
		walk_add_list(w, &list);
	return result;
}

enum auth_result
dir_groups(struct dir_conn *c, struct arena *arena, struct group_memo *memo,
    const struct dir_user *user, const struct str **out_groups, size_t *out_count,
    struct err *err)
{
	struct group_walk w = {
	    .conn = c, .config = dir_config(c), .arena = arena, .memo = memo};
	enum auth_result result;
	size_t bytes = 0;

	w.groups = ARENA_ARRAY(arena, GROUPS_MAX, struct found_group);
	result = direct_groups(&w, user, err);
	if (result == AUTH_ALLOWED && w.config->nested == LDAP_NESTED_WALK)
		result = walk_up(&w, err);
	map_fini(&w.seen);
	if (result != AUTH_ALLOWED)
		return result;
	if (w.too_many) {
		(void)err_set(
		    err, ERR_LIMIT, "the user is in more than %d groups", GROUPS_MAX);
		return AUTH_DENIED;
	}
	sorted_names(&w, out_groups, out_count);
	for (size_t i = 0; i < *out_count; i++)
		bytes += (*out_groups)[i].len;
	if (bytes > GROUPS_BYTES) {
		(void)err_set(err, ERR_LIMIT,
		    "the names of the user's groups have more than %u bytes",
		    GROUPS_BYTES);
		return AUTH_DENIED;
	}
	return AUTH_ALLOWED;
}
