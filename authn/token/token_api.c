#include "authn/token/token_api.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "authn/auth/auth_messages.h"
#include "authn/auth/service_account.h"
#include "common/limits.h"
#include "common/secret.h"

#define LIST_BYTES (LIMIT_MESSAGE_BYTES - 4096)

void
token_api_refuse(struct auth_answer *out, struct arena *arena, int status,
    const char *reason, const char *fmt, ...)
{
	struct buf text = {NULL, 0, 0};
	va_list ap;

	va_start(ap, fmt);
	buf_vprintf(&text, fmt, ap);
	va_end(ap);
	*out = (struct auth_answer){.status = status, .reason = reason};
	out->message = str_dup(arena, buf_str(&text));
	buf_free(&text);
}

struct str
token_api_dump(struct arena *arena, json_t *value)
{
	char *text = json_dumps(value, JSON_COMPACT);
	struct str out;

	if (text == NULL)
		base_die("cannot write JSON");
	out = str_dup(arena, str_from(text));
	secret_wipe(text, strlen(text));
	free(text);
	return out;
}

static json_t *
json_strings(const struct str *items, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++)
		(void)json_array_append_new(
		    list, json_stringn(
			      items[i].ptr, items[i].len)); /* no memory: fatal below */
	return list;
}

json_t *
token_api_time(walltime_t t)
{
	char text[WALLTIME_TEXT_BYTES];

	return t.ns == 0 ? json_null() : json_string(walltime_format_seconds(t, text));
}

json_t *
token_api_text(struct str s)
{
	return json_stringn(s.ptr != NULL ? s.ptr : "", s.len);
}

struct str
token_api_groups(struct arena *arena, const struct str *groups, size_t count)
{
	json_t *list = json_strings(groups, count);
	struct str out = token_api_dump(arena, list);

	json_decref(list);
	return out;
}

static void
fill_record(struct arena *arena, struct token_record *record,
    const struct token_owner *owner, const struct token_request *request,
    uint64_t ttl_s, walltime_t now)
{
	record->owner = owner->user;
	record->uid = owner->uid;
	record->groups = token_api_groups(arena, owner->groups, owner->group_count);
	record->service = owner->service != NULL ? owner->service->id : STR("");
	record->service_path = owner->service != NULL ? owner->service->path : STR("");
	record->scopes = request->scopes;
	record->name = request->name;
	record->created = now;
	record->expires.ns = now.ns + (int64_t)ttl_s * NS_PER_S;
	if (owner->not_after.ns != 0 && record->expires.ns > owner->not_after.ns)
		record->expires = owner->not_after;
}

/* As who its bearer comes. */
static struct str
user_of(struct arena *arena, const struct token_record *record)
{
	return record->service_path.len == 0
		   ? record->owner
		   : STR_CONCAT(
			 arena, STR(SERVICE_ACCOUNT_PREFIX), record->service_path);
}

static void
answer_issued(struct arena *arena, const struct token_record *record, const char *token,
    struct auth_answer *out)
{
	json_t *groups = record->service.len == 0 ? json_loadb(record->groups.ptr,
							record->groups.len, 0, NULL)
						  : json_array();
	json_t *root = json_pack("{s:s, s:s, s:o, s:o, s:o}", "token", token, "id",
	    record->id, "expires", token_api_time(record->expires), "user",
	    token_api_text(user_of(arena, record)), "groups", groups);

	*out = (struct auth_answer){.status = 201, .user = record->owner};
	out->body = token_api_dump(arena, root);
	json_decref(root);
}

static bool
ttl_ok(struct auth_answer *out, struct arena *arena, uint64_t ttl_s, uint64_t max_ttl_s)
{
	if (ttl_s <= max_ttl_s)
		return true;
	token_api_refuse(out, arena, 400, "BadRequest",
	    "a token lives at most %llu hours here",
	    (unsigned long long)(max_ttl_s / 3600));
	return false;
}

void
token_api_unavailable(struct auth_answer *out, struct arena *arena)
{
	token_api_refuse(
	    out, arena, 503, "ServiceUnavailable", "the token store does not answer");
	out->retry_after_s = 5;
}

/* How a record with a fresh token gets into the store: as it is, or in place of another. */
struct placing {
	struct token_store *store;
	const char *replaces; /* the id; NULL: nothing */
	walltime_t until, now;
	struct str why;
};

static int
place(const struct placing *p, const struct token_record *record, struct err *err)
{
	return p->replaces == NULL ? token_store_add(p->store, record, err)
				   : token_store_rotate(p->store, p->replaces, record,
					 p->until, p->now, p->why, err);
}

static void
make_token(const struct placing *p, struct arena *arena, struct token_record *record,
    struct auth_answer *out)
{
	struct token_parts parts;
	struct err err = ERR_INIT;
	uint8_t random[64];
	char token[TOKEN_LEN + 1];
	int rc;

	do { /* ids have 59 bits: a second turn is next to impossible, and harmless */
		secret_random(random, sizeof(random));
		token_make(random, token, &parts);
		memcpy(record->id, parts.id, sizeof(record->id));
		memcpy(record->secret_hash, parts.secret_hash,
		    sizeof(record->secret_hash));
		rc = place(p, record, &err);
	} while (rc == ERR_EXISTS);
	if (rc == 0)
		answer_issued(arena, record, token, out);
	else
		token_api_unavailable(out, arena);
	secret_wipe(random, sizeof(random));
	secret_wipe(token, sizeof(token));
}

/* Who has as many as may be; false, too, if that cannot be told (*out_rc). */
static bool
is_full(struct token_store *store, struct str owner, struct str uid,
    const struct token_terms *terms, int *out_rc)
{
	struct err err = ERR_INIT;
	uint64_t count = 0;

	*out_rc = token_store_owned(store, owner, uid, terms->now, &count, &err);
	return *out_rc == 0 && count >= terms->per_user;
}

static void
refuse_full(struct auth_answer *out, struct arena *arena, const struct token_terms *t)
{
	token_api_refuse(out, arena, 403, "Forbidden",
	    "you have %u tokens that can be used, and more are not allowed here: "
	    "revoke "
	    "what is not needed (ringfence token list, ringfence token revoke ID), or "
	    "wait "
	    "until one expires",
	    t->per_user);
	(*t->refused)++;
}

/* Room for one more: *out_placing replaces a login if need be. False: it was refused. */
static bool
find_room(struct placing *p, const struct token_owner *owner,
    const struct token_terms *terms, struct arena *arena, struct auth_answer *out,
    struct str *out_ended)
{
	struct err err = ERR_INIT;
	char id[TOKEN_ID_LEN + 1];
	int rc;

	*out_ended = STR("");
	if (is_full(p->store, owner->user, owner->uid, terms, &rc)) {
		rc = terms->is_login ? token_store_stale_login(p->store, owner->user,
					   owner->uid, terms->now, id, &err)
				     : ERR_NOT_FOUND;
		if (rc == 0) {
			*out_ended = str_dup(arena, str_from(id));
			p->replaces = out_ended->ptr;
			p->now = terms->now;
			p->why = STR("too many");
		}
	}
	if (rc == ERR_NOT_FOUND)
		refuse_full(out, arena, terms);
	else if (rc != 0)
		token_api_unavailable(out, arena);
	return rc == 0;
}

void
token_api_issue(struct token_store *store, struct arena *arena,
    const struct token_owner *owner, const struct token_request *request,
    const struct token_terms *terms, struct auth_answer *out_answer,
    struct str *out_ended)
{
	const uint64_t ttl_s =
	    request->ttl_s != 0 ? request->ttl_s : terms->default_ttl_s;
	struct placing placing = {.store = store};
	struct token_record record = {.id = ""};

	*out_ended = STR("");
	if (!ttl_ok(out_answer, arena, ttl_s, terms->max_ttl_s) ||
	    !find_room(&placing, owner, terms, arena, out_answer, out_ended))
		return;
	fill_record(arena, &record, owner, request, ttl_s, terms->now);
	make_token(&placing, arena, &record, out_answer);
	if (out_answer->status != 201)
		*out_ended = STR("");
}

void
token_api_rotate(struct token_store *store, struct arena *arena,
    const struct token_record *old, const struct token_request *request,
    walltime_t not_after, const struct token_terms *terms,
    struct auth_answer *out_answer)
{
	const walltime_t now = terms->now;
	struct placing placing = {
	    .store = store, .replaces = old->id, .now = now, .why = STR("rotated")};
	struct token_record record = *old;
	int rc;

	if (!ttl_ok(out_answer, arena, request->ttl_s, terms->max_ttl_s))
		return;
	/* With an overlap there is one more for a while. */
	if (request->overlap_s != 0 &&
	    is_full(store, old->owner, old->uid, terms, &rc)) {
		refuse_full(out_answer, arena, terms);
		return;
	}
	record.created = now;
	if (request->ttl_s != 0)
		record.expires.ns = now.ns + (int64_t)request->ttl_s * NS_PER_S;
	if (record.expires.ns > not_after.ns)
		record.expires = not_after;
	if (request->overlap_s != 0)
		placing.until.ns = now.ns + (int64_t)request->overlap_s * NS_PER_S;
	make_token(&placing, arena, &record, out_answer);
}

/* No memory is fatal in token_api_dump(). */
static json_t *
list_entry(const struct token_record *r)
{
	json_t *scopes = json_loadb(r->scopes.ptr, r->scopes.len, 0, NULL);

	json_t *entry = json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "id",
	    r->id, "name", token_api_text(r->name), "created",
	    token_api_time(r->created), "expires", token_api_time(r->expires),
	    "lastUsed", token_api_time(r->last_used), "scopes",
	    scopes != NULL ? scopes : json_array(), "revoked", r->revoked.ns != 0,
	    "revokedAt", token_api_time(r->revoked));

	if (r->service.len != 0) {
		(void)json_object_set_new(
		    entry, "serviceAccount", token_api_text(r->service_path));
		(void)json_object_set_new(entry, "madeBy", token_api_text(r->owner));
	}
	return entry;
}

/* Those that are good come first, the newest before the others: whoever has more than one answer
 * holds sees the rest when some have ended. */
static struct str
list_body(struct arena *arena, const struct token_record *records, size_t count)
{
	json_t *list = json_array(), *root;
	size_t bytes = 0, i;
	struct str body;

	for (i = 0; i < count; i++) {
		json_t *entry = list_entry(&records[i]);

		bytes += json_dumpb(entry, NULL, 0, JSON_COMPACT) + 1;
		if (bytes > LIST_BYTES) {
			json_decref(entry);
			break;
		}
		(void)json_array_append_new(list, entry); /* as above */
	}
	root = json_pack("{s:o}", "tokens", list);
	if (i < count) /* the same */
		(void)json_object_set_new(
		    root, "omitted", json_integer((json_int_t)(count - i)));
	body = token_api_dump(arena, root);
	json_decref(root);
	return body;
}

/* `rc`: what reading them came to. */
static void
answer_list(struct arena *arena, int rc, const struct token_record *records,
    size_t count, struct auth_answer *out)
{
	if (rc != 0) {
		token_api_unavailable(out, arena);
		return;
	}
	*out = (struct auth_answer){.status = 200};
	out->body = list_body(arena, records, count);
}

void
token_api_list(struct token_store *store, struct arena *arena, struct str owner,
    struct auth_answer *out_answer)
{
	struct token_record *records = NULL;
	struct err err = ERR_INIT;
	size_t count = 0;
	const int rc = token_store_list(store, arena, owner, &records, &count, &err);

	answer_list(arena, rc, records, count, out_answer);
}

void
token_api_list_service(struct token_store *store, struct arena *arena, struct str path,
    struct auth_answer *out_answer)
{
	struct token_record *records = NULL;
	struct err err = ERR_INIT;
	size_t count = 0;
	const int rc =
	    token_store_service_tokens(store, arena, path, &records, &count, &err);

	answer_list(arena, rc, records, count, out_answer);
}

static bool
read_strings(struct arena *arena, const json_t *list, const struct str **out_items,
    size_t *out_count)
{
	struct str *items;
	size_t count = json_array_size(list);

	items = ARENA_ARRAY(arena, count, struct str);
	for (size_t i = 0; i < count; i++) {
		const json_t *item = json_array_get(list, i);

		if (!json_is_string(item))
			return false;
		items[i] = str_dup(arena,
		    (struct str){json_string_value(item), json_string_length(item)});
	}
	*out_items = items;
	*out_count = count;
	return true;
}

static bool
read_identity_scopes(struct identity *id, const json_t *scopes)
{
	size_t count = json_array_size(scopes);
	struct token_scope *all = ARENA_ARRAY(id->arena, count, struct token_scope);

	for (size_t i = 0; i < count; i++) {
		const json_t *s = json_array_get(scopes, i);

		if (!read_strings(id->arena, json_object_get(s, "namespaces"),
			&all[i].namespaces, &all[i].namespace_count) ||
		    !read_strings(id->arena, json_object_get(s, "verbs"), &all[i].verbs,
			&all[i].verb_count) ||
		    !read_strings(id->arena, json_object_get(s, "resources"),
			&all[i].resources, &all[i].resource_count))
			return false;
	}
	id->scopes = all;
	id->scope_count = count;
	return true;
}

static int
compare_str(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

/* Sorted, with the one that everybody is in. */
static void
take_groups(struct identity *id, const struct str *stored, size_t count)
{
	struct str *all = ARENA_ARRAY(id->arena, count + 1, struct str);

	if (count != 0)
		memcpy(all, stored, count * sizeof(*all));
	all[count] = STR("system:authenticated");
	qsort(all, count + 1, sizeof(*all), compare_str);
	id->groups = all;
	id->group_count = count + 1;
}

bool
token_api_owner_groups(struct arena *arena, const struct token_record *record,
    const struct str **out_groups, size_t *out_count)
{
	json_t *groups = json_loadb(record->groups.ptr, record->groups.len, 0, NULL);
	const bool ok =
	    json_is_array(groups) && read_strings(arena, groups, out_groups, out_count);

	json_decref(groups);
	return ok;
}

/* Whom it lets in: its owner, or the service account that he made it for. */
static bool
read_who(struct identity *id, const struct token_record *record)
{
	const struct str *groups;
	size_t count;

	if (!token_api_owner_groups(id->arena, record, &groups, &count))
		return false;
	id->user = str_dup(id->arena, user_of(id->arena, record));
	if (record->service.len == 0) {
		id->uid = str_dup(id->arena, record->uid);
		take_groups(id, groups, count);
		return true;
	}
	id->uid = str_dup(id->arena, record->service);
	id->maker = str_dup(id->arena, record->owner);
	id->maker_groups = groups;
	id->maker_group_count = count;
	take_groups(id, NULL, 0);
	return record->service_path.len != 0;
}

struct identity *
token_api_identity(const struct token_record *record)
{
	struct arena *arena = arena_new();
	struct identity *id = ARENA_NEW(arena, struct identity);
	json_t *scopes = json_loadb(record->scopes.ptr, record->scopes.len, 0, NULL);

	id->arena = arena;
	id->refs = 1;
	id->token_id = str_dup(arena, str_from(record->id));
	id->expires = record->expires;
	if (!read_who(id, record) || !json_is_array(scopes) ||
	    !read_identity_scopes(id, scopes)) {
		identity_unref(id);
		id = NULL;
	}
	json_decref(scopes);
	return id;
}
