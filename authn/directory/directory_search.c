/*
 * Searching: page by page, with ranges of values, and a bound on everything that a server
 * can make grow.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "authn/directory/directory_wire.h"

#define PAGE_ENTRIES 500  /* below every server's own limit */
#define EMPTY_PAGES  16   /* pages without an entry, in one search */
#define VALUE_RANGES 1000 /* of one attribute */

/* A page's request and its state. */
struct paging {
	struct berval cookie;
	bool more;
	unsigned empty;
	size_t entries;
};

/* The cookie of the next page. False: the server broke the rules of RFC 2696. */
static bool
next_page(LDAP *ld, LDAPMessage *message, struct paging *p, int *out_code)
{
	LDAPControl **controls = NULL, *control;
	ber_int_t estimate = 0;
	bool ok = true;

	ber_memfree(p->cookie.bv_val);
	p->cookie = (struct berval){0, NULL};
	if (ldap_parse_result(ld, message, out_code, NULL, NULL, NULL, &controls, 0) !=
	    LDAP_SUCCESS)
		return false;
	control = ldap_control_find(LDAP_CONTROL_PAGEDRESULTS, controls, NULL);
	if (control != NULL)
		ok = ldap_parse_pageresponse_control(
			 ld, control, &estimate, &p->cookie) == LDAP_SUCCESS;
	ldap_controls_free(controls);
	p->more = p->cookie.bv_len != 0;
	return ok;
}

/* One page; the caller frees *out_message. */
static int
search_page(struct dir_conn *c, struct arena *arena, const struct dir_query *q,
    struct paging *p, LDAPMessage **out_message)
{
	LDAP *ld = dir_handle(c);
	struct timeval time = dir_time(c);
	char **attributes = (char **)(uintptr_t)q->attributes;
	LDAPControl *page = NULL;
	/* A server may count on the limit, and one entry more shows that it is passed. */
	const int size_limit = q->limit < PAGE_ENTRIES ? (int)q->limit + 1 : 0;
	int code, parsed = LDAP_SUCCESS;

	if (size_limit == 0) {
		code = ldap_create_page_control(
		    ld, PAGE_ENTRIES, p->more ? &p->cookie : NULL, 0, &page);
		if (code != LDAP_SUCCESS)
			return code;
	}
	code = ldap_search_ext_s(ld, str_dup(arena, q->base).ptr,
	    q->scope == DIR_BASE ? LDAP_SCOPE_BASE : LDAP_SCOPE_SUBTREE,
	    str_dup(arena, q->filter).ptr, attributes, 0,
	    page != NULL ? (LDAPControl *[]){page, NULL} : NULL, NULL, &time,
	    size_limit, out_message);
	ldap_control_free(page);
	p->more = false;
	if (code == LDAP_SUCCESS &&
	    (*out_message == NULL || !next_page(ld, *out_message, p, &parsed) ||
		parsed != LDAP_SUCCESS))
		code = LDAP_DECODING_ERROR;
	return code;
}

static enum auth_result
too_many(struct dir_conn *c, const struct dir_query *q, struct err *err)
{
	(void)err_set(
	    err, ERR_LIMIT, "%s: more than %zu entries match", dir_url(c), q->limit);
	return AUTH_DENIED;
}

/* What a page's code means, of which `seen` entries came so far. */
static enum auth_result
page_result(struct dir_conn *c, const struct dir_query *q, int code, size_t seen,
    struct err *err)
{
	if (code == LDAP_SUCCESS || (code == LDAP_NO_SUCH_OBJECT && q->missing_ok))
		return AUTH_ALLOWED;
	if (code == LDAP_SIZELIMIT_EXCEEDED && seen > q->limit)
		return too_many(c, q, err);
	/* A search that fails, or a list that was cut, says nothing about the user. */
	(void)dir_fail(c, code, "search", err);
	/* A limit or a right of this search is not the server's failure. */
	err->code = code < 0 || code == LDAP_BUSY || code == LDAP_UNAVAILABLE ||
			    code == LDAP_OTHER
			? ERR_UNAVAILABLE
			: ERR_DENIED;
	return AUTH_UNAVAILABLE;
}

static enum auth_result
take_page(struct dir_conn *c, const struct dir_query *q, LDAPMessage *message,
    struct paging *p, dir_entry_fn on_entry, void *arg, struct err *err)
{
	LDAP *ld = dir_handle(c);
	size_t before = p->entries;

	for (LDAPMessage *e = message != NULL ? ldap_first_entry(ld, message) : NULL;
	     e != NULL; e = ldap_next_entry(ld, e)) {
		if (++p->entries > q->limit)
			return too_many(c, q, err);
		on_entry(arg, c, e);
	}
	/* An Active Directory may well send some, but not for ever. */
	if (p->more && p->entries == before && ++p->empty > EMPTY_PAGES) {
		(void)err_set(
		    err, ERR_UNAVAILABLE, "%s: search: pages without end", dir_url(c));
		return AUTH_UNAVAILABLE;
	}
	return AUTH_ALLOWED;
}

enum auth_result
dir_search(struct dir_conn *c, struct arena *arena, const struct dir_query *q,
    dir_entry_fn on_entry, void *arg, struct err *err)
{
	struct paging p = {.more = false};
	enum auth_result result;

	do {
		LDAPMessage *message = NULL;
		int code = search_page(c, arena, q, &p, &message);
		size_t seen = p.entries + (message != NULL ? (size_t)ldap_count_entries(
								 dir_handle(c), message)
							   : 0);

		result = page_result(c, q, code, seen, err);
		if (result == AUTH_ALLOWED)
			result = take_page(c, q, message, &p, on_entry, arg, err);
		(void)ldap_msgfree(message); /* its type is of no interest */
		if (result == AUTH_ALLOWED && p.more && dir_late(c))
			result = dir_fail(c, LDAP_TIMEOUT, "search", err);
	} while (result == AUTH_ALLOWED && p.more);
	ber_memfree(p.cookie.bv_val);
	return result;
}

/* ---- values ---- */

struct str
dir_first_value(
    struct dir_conn *c, struct arena *arena, LDAPMessage *entry, const char *name)
{
	struct berval **values = ldap_get_values_len(dir_handle(c), entry, name);
	struct str out = {NULL, 0};

	if (values != NULL && values[0] != NULL)
		out =
		    str_dup(arena, (struct str){values[0]->bv_val, values[0]->bv_len});
	ldap_value_free_len(values);
	return out;
}

struct str
dir_entry_dn(struct dir_conn *c, struct arena *arena, LDAPMessage *entry)
{
	char *dn = ldap_get_dn(dir_handle(c), entry);
	struct str out = {NULL, 0};

	if (dn != NULL)
		out = str_dup(arena, str_from(dn));
	ldap_memfree(dn);
	return out;
}

struct str
dir_lower(struct arena *arena, struct str s)
{
	char *out = arena_strndup(arena, s.ptr, s.len);

	for (size_t i = 0; i < s.len; i++) {
		if (out[i] >= 'A' && out[i] <= 'Z')
			out[i] = (char)(out[i] | 0x20);
	}
	return (struct str){out, s.len};
}

struct str
dir_hex(struct arena *arena, struct str bytes)
{
	static const char digit[] = "0123456789abcdef";
	char *out = arena_alloc(arena, bytes.len * 2 + 1);

	for (size_t i = 0; i < bytes.len; i++) {
		unsigned char c = (unsigned char)bytes.ptr[i];

		out[2 * i] = digit[c >> 4];
		out[2 * i + 1] = digit[c & 15];
	}
	out[bytes.len * 2] = '\0';
	return (struct str){out, bytes.len * 2};
}

void
dir_add_binary(struct buf *filter, const char *attribute, struct str hex)
{
	buf_printf(filter, "(%s=", attribute);
	for (size_t i = 0; i + 1 < hex.len; i += 2)
		buf_printf(filter, "\\%.2s", hex.ptr + i);
	buf_add_char(filter, ')');
}

bool
dir_parse_range(struct str attribute, struct str name, size_t low, size_t *out_next)
{
	const struct str mark = STR(";range=");
	struct str rest;
	size_t dash;
	uint64_t from, to;

	if (attribute.len < name.len + mark.len ||
	    strncasecmp(attribute.ptr, name.ptr, name.len) != 0)
		return false;
	rest = str_slice(attribute, name.len, attribute.len);
	if (strncasecmp(rest.ptr, mark.ptr, mark.len) != 0)
		return false;
	rest = str_slice(rest, mark.len, rest.len);
	dash = str_find(rest, '-', 0);
	if (!str_to_u64(str_slice(rest, 0, dash), UINT32_MAX, &from) || from != low)
		return false;
	rest = str_slice(rest, dash + 1, rest.len);
	*out_next = 0;
	if (str_is(rest, "*"))
		return true;
	if (!str_to_u64(rest, UINT32_MAX, &to) || to < from)
		return false;
	*out_next = (size_t)to + 1;
	return true;
}

/* The name under which an entry has a range of the attribute, in the arena; NULL: it has
 * none. *out_next: where the next one begins, 0 after the last. */
static const char *
range_name(struct dir_conn *c, struct arena *arena, LDAPMessage *entry,
    const char *name, size_t low, size_t *out_next)
{
	LDAP *ld = dir_handle(c);
	BerElement *ber = NULL;
	const char *found = NULL;

	for (char *a = ldap_first_attribute(ld, entry, &ber); a != NULL;
	     a = ldap_next_attribute(ld, entry, ber)) {
		if (found == NULL &&
		    dir_parse_range(str_from(a), str_from(name), low, out_next))
			found = arena_strdup(arena, a);
		ldap_memfree(a);
	}
	ber_free(ber, 0);
	return found;
}

/* Appends an attribute's values, limit + 1 of them at most. */
static void
append_values(struct dir_conn *c, struct arena *arena, LDAPMessage *entry,
    const char *name, size_t limit, const struct str **values, size_t *count)
{
	struct berval **got = ldap_get_values_len(dir_handle(c), entry, name);
	size_t more = got != NULL ? (size_t)ldap_count_values_len(got) : 0;
	struct str *all;

	if (more > limit + 1 - *count)
		more = limit + 1 - *count;
	all = ARENA_ARRAY(arena, *count + more, struct str);
	if (*count != 0)
		memcpy(all, *values, *count * sizeof(*all));
	for (size_t i = 0; i < more; i++)
		all[*count + i] =
		    str_dup(arena, (struct str){got[i]->bv_val, got[i]->bv_len});
	*values = all;
	*count += more;
	ldap_value_free_len(got);
}

void
dir_values(struct dir_conn *c, struct arena *arena, LDAPMessage *entry,
    const char *name, size_t limit, const struct str **out_values, size_t *out_count,
    size_t *out_next)
{
	const char *range = range_name(c, arena, entry, name, 0, out_next);

	*out_values = NULL;
	*out_count = 0;
	if (range == NULL)
		*out_next = 0;
	append_values(c, arena, entry, range != NULL ? range : name, limit, out_values,
	    out_count);
}

struct range_reading {
	struct arena *arena;
	const char *name;
	size_t limit, low, next;
	const struct str **values;
	size_t *count;
	bool found;
};

static void
take_range(void *arg, struct dir_conn *c, LDAPMessage *entry)
{
	struct range_reading *r = arg;
	const char *range = range_name(c, r->arena, entry, r->name, r->low, &r->next);

	r->found = range != NULL;
	if (range != NULL)
		append_values(c, r->arena, entry, range, r->limit, r->values, r->count);
}

enum auth_result
dir_more_values(struct dir_conn *c, struct arena *arena, struct str dn,
    const char *name, size_t limit, size_t next, const struct str **values,
    size_t *count, struct err *err)
{
	struct range_reading r = {.arena = arena,
	    .name = name,
	    .limit = limit,
	    .next = next,
	    .values = values,
	    .count = count};
	enum auth_result result = AUTH_ALLOWED;
	unsigned ranges = 0;

	while (r.next != 0 && result == AUTH_ALLOWED) {
		const char *const attributes[] = {
		    arena_printf(arena, "%s;range=%zu-*", name, r.next), NULL};
		const struct dir_query query = {.base = dn,
		    .filter = STR("(objectClass=*)"),
		    .attributes = attributes,
		    .limit = 1};

		r.low = r.next;
		r.next = 0;
		r.found = false;
		result = dir_search(c, arena, &query, take_range, &r, err);
		if (result == AUTH_ALLOWED && *count > limit) {
			(void)err_set(err, ERR_LIMIT, "%s: %s has more than %zu values",
			    dir_url(c), name, limit);
			return AUTH_DENIED;
		}
		if (result == AUTH_ALLOWED && (!r.found || ++ranges > VALUE_RANGES)) {
			(void)err_set(err, ERR_UNAVAILABLE,
			    "%s: %s: the rest of its values cannot be read", dir_url(c),
			    name);
			return AUTH_UNAVAILABLE;
		}
	}
	return result;
}
