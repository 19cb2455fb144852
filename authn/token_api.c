#include "authn/token_api.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "authn/auth_messages.h"
#include "common/limits.h"
#include "common/secret.h"

#define NAME_MAX_BYTES 128
#define LIST_BYTES     (LIMIT_MESSAGE_BYTES - 4096)
#define NS_PER_S       1000000000ll
#define OVERLAP_MAX_S  (7u * 86400)

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

static bool
strings_ok(const json_t *list)
{
	size_t i;
	json_t *item;

	if (list == NULL)
		return true;
	if (!json_is_array(list) || json_array_size(list) > SCOPE_MAX_ITEMS)
		return false;
	json_array_foreach(list, i, item)
	{
		if (!json_is_string(item) || json_string_length(item) == 0 ||
		    json_string_length(item) > 512)
			return false;
	}
	return true;
}

/* A scope has at least one of its parts; an empty list would mean "everything". */
static bool
scope_ok(const json_t *scope)
{
	static const char *const parts[] = {"namespaces", "verbs", "resources"};
	size_t given = 0;

	if (!json_is_object(scope))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		const json_t *list = json_object_get(scope, parts[i]);

		if (!strings_ok(list) || (list != NULL && json_array_size(list) == 0))
			return false;
		given += list != NULL;
	}
	return given != 0 && given == json_object_size(scope);
}

static bool
read_scopes(struct arena *arena, const json_t *scopes, struct token_request *out)
{
	char *text;
	size_t i;
	json_t *scope;

	if (!json_is_array(scopes) || json_array_size(scopes) == 0 ||
	    json_array_size(scopes) > IDENTITY_MAX_SCOPES)
		return false;
	json_array_foreach(scopes, i, scope)
	{
		if (!scope_ok(scope))
			return false;
	}
	text = json_dumps(scopes, JSON_COMPACT | JSON_SORT_KEYS);
	if (text == NULL)
		return false;
	out->scopes = str_dup(arena, str_from(text));
	out->has_scopes = true;
	free(text);
	return true;
}

static const char *
read_request(struct arena *arena, const json_t *root, struct token_request *out)
{
	const char *key;
	json_t *value;

	if (!json_is_object(root))
		return "the body is a JSON object";
	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		if (strcmp(key, "name") == 0) {
			if (!json_is_string(value) ||
			    json_string_length(value) > NAME_MAX_BYTES)
				return "\"name\" is a string of at most 128 bytes";
			out->name =
			    str_dup(arena, (struct str){json_string_value(value),
					       json_string_length(value)});
		} else if (strcmp(key, "ttl") == 0) {
			if (!json_is_string(value) ||
			    !duration_parse(
				str_from(json_string_value(value)), &out->ttl_s))
				return "\"ttl\" is a duration such as \"720h\" or "
				       "\"12h30m\"";
		} else if (strcmp(key, "scopes") == 0) {
			if (!read_scopes(arena, value, out))
				return "\"scopes\" is a list of objects with "
				       "\"namespaces\", "
				       "\"verbs\" or \"resources\", each a list of "
				       "strings "
				       "that is not empty";
		} else {
			return "the body has \"name\", \"ttl\" and \"scopes\", nothing "
			       "else";
		}
	}
	return NULL;
}

static const char *
read_rotation(struct arena *arena, const json_t *root, struct token_request *out)
{
	const char *key;
	json_t *value;

	(void)arena; /* nothing is kept */
	if (!json_is_object(root))
		return "the body is a JSON object";
	json_object_foreach((json_t *)(uintptr_t)root, key, value)
	{
		const char *text = json_string_value(value);

		if (strcmp(key, "ttl") == 0) {
			if (text == NULL ||
			    !duration_parse(str_from(text), &out->ttl_s))
				return "\"ttl\" is a duration such as \"720h\" or "
				       "\"12h30m\"";
		} else if (strcmp(key, "overlap") == 0) {
			if (text == NULL ||
			    !duration_parse(str_from(text), &out->overlap_s) ||
			    out->overlap_s > OVERLAP_MAX_S)
				return "\"overlap\" is a duration such as \"1h\", "
				       "168h at most";
		} else {
			return "the body has \"overlap\" and \"ttl\", nothing else";
		}
	}
	return NULL;
}

typedef const char *(*reader_fn)(
    struct arena *arena, const json_t *root, struct token_request *out);

static bool
parse(struct arena *arena, struct str body, reader_fn reader,
    struct token_request *out_request, struct auth_answer *out_answer)
{
	const char *problem;
	json_error_t error;
	json_t *root;

	*out_request = (struct token_request){.scopes = STR("[]")};
	if (str_trim(body).len == 0)
		return true;
	root = json_loadb(body.ptr, body.len, JSON_REJECT_DUPLICATES, &error);
	problem = root == NULL ? error.text : reader(arena, root, out_request);
	if (problem != NULL)
		token_api_refuse(out_answer, arena, 400, "BadRequest", "%s", problem);
	json_decref(root);
	return problem == NULL;
}

bool
token_api_parse(struct arena *arena, struct str body, struct token_request *out_request,
    struct auth_answer *out_answer)
{
	return parse(arena, body, read_request, out_request, out_answer);
}

bool
token_api_parse_rotation(struct arena *arena, struct str body,
    struct token_request *out_request, struct auth_answer *out_answer)
{
	return parse(arena, body, read_rotation, out_request, out_answer);
}

static struct str
dump(struct arena *arena, json_t *value)
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

static json_t *
json_time(walltime_t t)
{
	char text[WALLTIME_TEXT_BYTES];

	return t.ns == 0 ? json_null() : json_string(walltime_format_seconds(t, text));
}

static json_t *
json_text(struct str s)
{
	return json_stringn(s.ptr != NULL ? s.ptr : "", s.len);
}

struct str
token_api_groups(struct arena *arena, const struct str *groups, size_t count)
{
	json_t *list = json_strings(groups, count);
	struct str out = dump(arena, list);

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
	record->scopes = request->scopes;
	record->name = request->name;
	record->created = now;
	record->expires.ns = now.ns + (int64_t)ttl_s * NS_PER_S;
	if (owner->not_after.ns != 0 && record->expires.ns > owner->not_after.ns)
		record->expires = owner->not_after;
}

static void
answer_issued(struct arena *arena, const struct token_record *record, const char *token,
    const struct token_owner *owner, struct auth_answer *out)
{
	json_t *root =
	    json_pack("{s:s, s:s, s:o, s:o, s:o}", "token", token, "id", record->id,
		"expires", json_time(record->expires), "user", json_text(owner->user),
		"groups", json_strings(owner->groups, owner->group_count));

	*out = (struct auth_answer){.status = 201, .user = owner->user};
	out->body = dump(arena, root);
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

/* How a record with a fresh token gets into the store: as it is, or in place of another. */
struct placing {
	struct token_store *store;
	const struct token_record *replaces; /* NULL: nothing */
	walltime_t until, now;
};

static int
place(const struct placing *p, const struct token_record *record, struct err *err)
{
	return p->replaces == NULL ? token_store_add(p->store, record, err)
				   : token_store_rotate(p->store, p->replaces->id,
					 record, p->until, p->now, err);
}

static void
make_token(const struct placing *p, struct arena *arena, struct token_record *record,
    const struct token_owner *owner, struct auth_answer *out)
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
		answer_issued(arena, record, token, owner, out);
	else {
		token_api_refuse(out, arena, 503, "ServiceUnavailable",
		    "the token could not be stored");
		out->retry_after_s = 5;
	}
	secret_wipe(random, sizeof(random));
	secret_wipe(token, sizeof(token));
}

void
token_api_issue(struct token_store *store, struct arena *arena,
    const struct token_owner *owner, const struct token_request *request,
    uint64_t default_ttl_s, uint64_t max_ttl_s, walltime_t now,
    struct auth_answer *out_answer)
{
	const uint64_t ttl_s = request->ttl_s != 0 ? request->ttl_s : default_ttl_s;
	const struct placing placing = {.store = store};
	struct token_record record = {.id = ""};

	if (!ttl_ok(out_answer, arena, ttl_s, max_ttl_s))
		return;
	fill_record(arena, &record, owner, request, ttl_s, now);
	make_token(&placing, arena, &record, owner, out_answer);
}

void
token_api_rotate(struct token_store *store, struct arena *arena,
    const struct token_record *old, const struct token_request *request,
    walltime_t not_after, uint64_t max_ttl_s, walltime_t now,
    struct auth_answer *out_answer)
{
	struct placing placing = {.store = store, .replaces = old, .now = now};
	struct token_record record = *old;
	struct token_owner owner = {.user = old->owner, .uid = old->uid};
	struct identity *id = token_api_identity(old);

	if (id == NULL || !ttl_ok(out_answer, arena, request->ttl_s, max_ttl_s)) {
		if (id == NULL)
			token_api_refuse(out_answer, arena, 404, "NotFound",
			    "you have no such token");
		identity_unref(id);
		return;
	}
	owner.groups = token_api_stored_groups(arena, id, &owner.group_count);
	record.created = now;
	if (request->ttl_s != 0)
		record.expires.ns = now.ns + (int64_t)request->ttl_s * NS_PER_S;
	if (record.expires.ns > not_after.ns)
		record.expires = not_after;
	if (request->overlap_s != 0)
		placing.until.ns = now.ns + (int64_t)request->overlap_s * NS_PER_S;
	make_token(&placing, arena, &record, &owner, out_answer);
	identity_unref(id);
}

/* No memory is fatal in dump(). */
static json_t *
list_entry(const struct token_record *r)
{
	json_t *scopes = json_loadb(r->scopes.ptr, r->scopes.len, 0, NULL);

	return json_pack("{s:s, s:o, s:o, s:o, s:o, s:o, s:b, s:o}", "id", r->id,
	    "name", json_text(r->name), "created", json_time(r->created), "expires",
	    json_time(r->expires), "lastUsed", json_time(r->last_used), "scopes",
	    scopes != NULL ? scopes : json_array(), "revoked", r->revoked.ns != 0,
	    "revokedAt", json_time(r->revoked));
}

/* Those that are good come first, the newest before the others: whoever has more than one answer
 * holds sees the rest when some have ended. */
void
token_api_list(struct token_store *store, struct arena *arena, struct str owner,
    struct auth_answer *out_answer)
{
	struct token_record *records = NULL;
	struct err err = ERR_INIT;
	json_t *list, *root;
	size_t count = 0, bytes = 0, i;

	if (token_store_list(store, arena, owner, &records, &count, &err) != 0) {
		token_api_refuse(out_answer, arena, 503, "ServiceUnavailable",
		    "the token store does not answer");
		out_answer->retry_after_s = 5;
		return;
	}
	list = json_array();
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
	*out_answer = (struct auth_answer){.status = 200, .user = owner};
	out_answer->body = dump(arena, root);
	json_decref(root);
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

static bool
read_groups(struct identity *id, const json_t *groups)
{
	const struct str *stored;
	struct str *all;
	size_t count;

	if (!json_is_array(groups) || !read_strings(id->arena, groups, &stored, &count))
		return false;
	all = ARENA_ARRAY(id->arena, count + 1, struct str);
	if (count != 0)
		memcpy(all, stored, count * sizeof(*all));
	all[count] = STR("system:authenticated");
	qsort(all, count + 1, sizeof(*all), compare_str);
	id->groups = all;
	id->group_count = count + 1;
	return true;
}

struct identity *
token_api_identity(const struct token_record *record)
{
	struct arena *arena = arena_new();
	struct identity *id = ARENA_NEW(arena, struct identity);
	json_t *groups = json_loadb(record->groups.ptr, record->groups.len, 0, NULL);
	json_t *scopes = json_loadb(record->scopes.ptr, record->scopes.len, 0, NULL);

	id->arena = arena;
	id->refs = 1;
	id->user = str_dup(arena, record->owner);
	id->uid = str_dup(arena, record->uid);
	id->token_id = str_dup(arena, str_from(record->id));
	id->expires = record->expires;
	if (!read_groups(id, groups) || !json_is_array(scopes) ||
	    !read_identity_scopes(id, scopes)) {
		identity_unref(id);
		id = NULL;
	}
	json_decref(groups);
	json_decref(scopes);
	return id;
}

const struct str *
token_api_stored_groups(
    struct arena *arena, const struct identity *id, size_t *out_count)
{
	struct str *groups = ARENA_ARRAY(arena, id->group_count, struct str);
	size_t count = 0;

	for (size_t i = 0; i < id->group_count; i++) {
		if (!str_starts(id->groups[i], STR("system:")))
			groups[count++] = str_dup(arena, id->groups[i]);
	}
	*out_count = count;
	return groups;
}
