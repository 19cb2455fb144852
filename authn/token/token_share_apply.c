/*
 * Takes rows of other replicas over (token_share_rows.c says what they are).
 *
 * While replicas are replaced one by one, two versions share. Of a later one's rows, those of a
 * kind that is not known here are left where they are. A column that is not known may narrow
 * what a token is good for: where it says something the token is nobody's here, and so is never
 * written back without it. What an earlier version does not say has the table's default.
 */
#include <string.h>

#include "authn/token/token_share_internal.h"
#include "common/log.h"

/* What may stand in a statement. */
static bool
name_ok(const char *name)
{
	for (const char *c = name; *c != '\0'; c++) {
		if (!(*c >= 'a' && *c <= 'z') && *c != '_')
			return false;
	}
	return name[0] != '\0' && strcmp(name, "last_used") != 0;
}

static bool
has_column(struct token_share *s, const char *table, const char *name)
{
	return strcmp(name, "last_used") == 0 ||
	       (name_ok(name) && sqlite3_table_column_metadata(s->db, NULL, table, name,
				     NULL, NULL, NULL, NULL, NULL) == SQLITE_OK);
}

/* As if the column were not there. */
static bool
says_nothing(const json_t *value)
{
	const json_t *bytes = json_object_get(value, "base64");

	return json_is_null(value) || json_is_false(value) ||
	       (json_is_integer(value) && json_integer_value(value) == 0) ||
	       (json_is_string(value) && json_string_length(value) == 0) ||
	       (json_is_string(bytes) && json_string_length(bytes) == 0);
}

/* Leaves out what is not known here; false if that said something. */
static bool
keep_known(struct token_share *s, const char *table, json_t *columns)
{
	bool all = true;
	const char *name;
	json_t *value;
	void *next;

	json_object_foreach_safe(columns, next, name, value)
	{
		if (has_column(s, table, name))
			continue;
		all = all && says_nothing(value);
		(void)json_object_del(columns, name); /* it is there */
	}
	return all;
}

/* A column of the newcomer stands, but once revoked is revoked for good. */
static void
put_statement(const json_t *columns, struct buf *out)
{
	struct buf names = {NULL, 0, 0}, marks = {NULL, 0, 0}, sets = {NULL, 0, 0};
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)(uintptr_t)columns, name, value)
	{
		if (!name_ok(name))
			continue;
		buf_printf(&names, ",%s", name);
		buf_add_cstr(&marks, ",?");
		if (strncmp(name, "revoked", 7) == 0)
			buf_printf(&sets,
			    ",%s=CASE token.revoked WHEN 0 THEN excluded.%s ELSE "
			    "token.%s END",
			    name, name, name);
		else if (strcmp(name, "id") != 0)
			buf_printf(&sets, ",%s=excluded.%s", name, name);
	}
	buf_printf(out,
	    "INSERT INTO token (last_used%.*s) VALUES (0%.*s) ON CONFLICT (id) DO "
	    "UPDATE SET last_used=token.last_used%.*s",
	    STR_ARG(buf_str(&names)), STR_ARG(buf_str(&marks)),
	    STR_ARG(buf_str(&sets)));
	buf_add_char(out, '\0');
	buf_free(&names);
	buf_free(&marks);
	buf_free(&sets);
}

static bool
bind_value(sqlite3_stmt *stmt, int at, const json_t *value)
{
	struct buf bytes = {NULL, 0, 0};
	int rc;

	if (json_is_integer(value))
		return sqlite3_bind_int64(stmt, at, json_integer_value(value)) ==
		       SQLITE_OK;
	if (json_is_string(value))
		return sqlite3_bind_text(stmt, at, json_string_value(value),
			   (int)json_string_length(value),
			   SQLITE_TRANSIENT) == SQLITE_OK;
	if (!etcd_get_bytes(json_object_get(value, "base64"), &bytes))
		return false;
	rc = sqlite3_bind_blob(stmt, at, bytes.data, (int)bytes.len, SQLITE_TRANSIENT);
	buf_free(&bytes);
	return rc == SQLITE_OK;
}

/* Whether it is the row that cannot be stored (ERR_INVALID), or nothing can. */
static int
row_err(struct token_share *s, struct err *err)
{
	switch (sqlite3_errcode(s->db) & 0xff) {
	case SQLITE_OK: /* a value of a form that is none */
	case SQLITE_ERROR:
	case SQLITE_CONSTRAINT:
	case SQLITE_MISMATCH:
	case SQLITE_TOOBIG:
		return err_set(err, ERR_INVALID, "what lies in etcd is no token: %s",
		    sqlite3_errmsg(s->db));
	default:
		return share_db_err(s, err);
	}
}

static int
write_row(struct token_share *s, const json_t *columns, struct err *err)
{
	struct buf sql = {NULL, 0, 0};
	sqlite3_stmt *stmt;
	const char *name;
	json_t *value;
	bool ok;
	int at = 0, rc = 0;

	put_statement(columns, &sql);
	stmt = share_db_prepare(s, sql.data, NULL);
	buf_free(&sql);
	ok = stmt != NULL;
	json_object_foreach((json_t *)(uintptr_t)columns, name, value)
	{
		if (name_ok(name))
			ok = ok && bind_value(stmt, ++at, value);
	}
	ok = ok && sqlite3_step(stmt) == SQLITE_DONE;
	if (!ok)
		rc = row_err(s, err);
	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return rc;
}

/* Accounts are looked at by each replica. */
static int
note_account(struct token_share *s, const char *id, struct err *err)
{
	return share_db_run_with(s,
	    "INSERT OR IGNORE INTO account SELECT owner, uid, created, 0, 0, '', 0 "
	    "FROM token WHERE id = ?1",
	    id, err);
}

/* What a row must say, and nothing else need it; the first is its key. */
struct shared_column {
	const char *name;
	json_type type;
};

static const struct shared_column visitor_columns[] = {
    {"name", JSON_STRING},
    {"uid", JSON_STRING},
    {"groups", JSON_STRING},
    {"checked", JSON_INTEGER},
    {"suspended", JSON_INTEGER},
};

static const struct shared_column service_columns[] = {
    {"service", JSON_STRING},
    {"path", JSON_STRING},
    {"declared", JSON_INTEGER},
    {"declared_by", JSON_STRING},
    {"removed", JSON_INTEGER},
    {"removed_by", JSON_STRING},
};

static bool
says_all(const json_t *columns, const struct shared_column *all, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const json_t *value = json_object_get(columns, all[i].name);

		if (value == NULL || json_typeof(value) != all[i].type)
			return false;
	}
	return true;
}

static bool
is_visitor(const json_t *columns)
{
	return json_object_get(columns, "id") == NULL &&
	       says_all(columns, visitor_columns, ARRAY_LEN(visitor_columns));
}

/* Runs a statement that takes them in their order. */
static int
put_columns(struct token_share *s, const char *sql, const json_t *columns,
    const struct shared_column *all, size_t count, struct err *err)
{
	const char *key = json_string_value(json_object_get(columns, all[0].name));
	sqlite3_stmt *stmt = share_db_prepare(s, sql, key);
	bool ok = stmt != NULL;
	int rc = 0;

	for (size_t i = 1; i < count; i++)
		ok = ok && bind_value(
			       stmt, (int)i + 1, json_object_get(columns, all[i].name));
	if (!ok || sqlite3_step(stmt) != SQLITE_DONE)
		rc = row_err(s, err);
	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return rc;
}

static int
put_visitor(struct token_share *s, const json_t *columns, struct err *err)
{
	static const char put[] =
	    "INSERT INTO visitor VALUES (?1,?2,?3,?4,?5) ON CONFLICT (name) DO UPDATE "
	    "SET uid=excluded.uid, groups=excluded.groups, checked=excluded.checked, "
	    "suspended=excluded.suspended WHERE excluded.checked > visitor.checked";

	return put_columns(
	    s, put, columns, visitor_columns, ARRAY_LEN(visitor_columns), err);
}

/* Of two who asked the directory the one who did so later knows it. */
static int
apply_visitor(struct token_share *s, const json_t *columns, struct err *err)
{
	const char *name = json_string_value(json_object_get(columns, "name"));
	const int before = sqlite3_total_changes(s->db);
	int rc = put_visitor(s, columns, err);

	/* What was taken over need not be sent. */
	if (rc == 0 && sqlite3_total_changes(s->db) != before)
		rc = share_db_run_with(
		    s, "DELETE FROM share_pending WHERE id = '@' || ?1", name, err);
	return rc;
}

/* Takes a row away here, and nowhere else. `key`: in etcd. */
static int
forget(struct token_share *s, const char *sql, const char *id, const char *key,
    struct err *err)
{
	int rc = share_db_run_with(s, sql, id, err);

	return rc == 0 ? share_db_run_with(
			     s, "DELETE FROM share_pending WHERE id = ?1", key, err)
		       : rc;
}

static int
forget_visitor(struct token_share *s, const char *name, struct err *err)
{
	struct buf key = {NULL, 0, 0};
	int rc;

	buf_printf(&key, "@%s", name);
	buf_add_char(&key, '\0');
	rc = forget(s, "DELETE FROM visitor WHERE name = ?1", name, key.data, err);
	buf_free(&key);
	return rc;
}

static int
forget_token(struct token_share *s, const char *id, struct buf *ids, struct err *err)
{
	json_t *before = share_row_read(s, id);
	int rc = forget(s, "DELETE FROM token WHERE id = ?1", id, id, err);

	if (before != NULL && rc == 0)
		buf_add_cstr(ids, id);
	json_decref(before);
	return rc;
}

static int
apply_token(struct token_share *s, const char *id, const json_t *columns,
    struct buf *ids, struct err *err)
{
	json_t *before = share_row_read(s, id), *after;
	int rc = write_row(s, columns, err);

	if (rc == 0)
		rc = share_db_run_with(
		    s, "DELETE FROM share_pending WHERE id = ?1", id, err);
	after = rc == 0 ? share_row_read(s, id) : NULL;
	if (rc == 0 && before == NULL)
		rc = note_account(s, id, err);
	if (before != NULL && after != NULL && json_equal(before, after) == 0)
		buf_add_cstr(ids, id);
	/* A revocation of ours that it did not know: it has to. */
	if (rc == 0 && after != NULL && json_equal(after, columns) == 0 &&
	    json_integer_value(json_object_get(after, "revoked")) !=
		json_integer_value(json_object_get(columns, "revoked")))
		rc = share_db_run_with(
		    s, "INSERT OR IGNORE INTO share_pending VALUES (?1, 1)", id, err);
	json_decref(before);
	json_decref(after);
	return rc;
}

/* Said once: a replica of a later version may have many. */
static void
note_foreign(struct token_share *s)
{
	if (s->foreign++ == 0)
		log_warn("share-rows-foreign",
		    "detail=\"another version of the gate shares what this one does "
		    "not know: it is left alone\"");
}

/* ---- service accounts ---- */

static bool
is_service(const json_t *columns)
{
	return json_object_get(columns, "id") == NULL &&
	       json_object_get(columns, "name") == NULL &&
	       says_all(columns, service_columns, ARRAY_LEN(service_columns));
}

/* Once removed is removed for good; nothing else of it changes. */
static int
put_service(struct token_share *s, const json_t *columns, struct err *err)
{
	static const char put[] =
	    "INSERT INTO service_account VALUES (?1,?2,?3,?4,?5,?6) "
	    "ON CONFLICT (service) DO UPDATE SET removed=excluded.removed, "
	    "removed_by=excluded.removed_by "
	    "WHERE service_account.removed = 0 AND excluded.removed != 0";

	return put_columns(
	    s, put, columns, service_columns, ARRAY_LEN(service_columns), err);
}

/* Those of it mean something else now, whichever row came first. */
static int
add_service_tokens(
    struct token_share *s, const char *id, struct buf *ids, struct err *err)
{
	sqlite3_stmt *stmt =
	    share_db_prepare(s, "SELECT id FROM token WHERE service = ?1", id);
	int step = SQLITE_ERROR;

	while (stmt != NULL && (step = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (sqlite3_column_bytes(stmt, 0) == TOKEN_ID_LEN)
			buf_add(ids, sqlite3_column_text(stmt, 0), TOKEN_ID_LEN);
	}
	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return step == SQLITE_DONE ? 0 : share_db_err(s, err);
}

static int
apply_service(struct token_share *s, const char *id, const json_t *columns,
    struct buf *ids, struct err *err)
{
	struct buf key = {NULL, 0, 0};
	json_t *before, *after = NULL;
	int rc;

	buf_printf(&key, "+%s", id);
	buf_add_char(&key, '\0');
	before = share_row_read(s, key.data);
	rc = put_service(s, columns, err);
	if (rc == 0)
		rc = share_db_run_with(
		    s, "DELETE FROM share_pending WHERE id = ?1", key.data, err);
	after = rc == 0 ? share_row_read(s, key.data) : NULL;
	if (rc == 0 && (before == NULL || json_equal(before, after) == 0))
		rc = add_service_tokens(s, id, ids, err);
	/* A removal of ours that it did not know: it has to. */
	if (rc == 0 && json_equal(after, columns) == 0)
		rc = share_db_run_with(s,
		    "INSERT OR IGNORE INTO share_pending VALUES (?1, 1)", key.data,
		    err);
	json_decref(before);
	json_decref(after);
	buf_free(&key);
	return rc;
}

/* ---- */

/* One that says what is not known here is nobody's here. */
static int
take_service(struct token_share *s, json_t *columns, struct buf *ids, struct err *err)
{
	const char *id = json_string_value(json_object_get(columns, "service"));
	struct buf key = {NULL, 0, 0};
	int rc;

	if (keep_known(s, "service_account", columns))
		return apply_service(s, id, columns, ids, err);
	note_foreign(s);
	buf_printf(&key, "+%s", id);
	buf_add_char(&key, '\0');
	rc = forget(
	    s, "DELETE FROM service_account WHERE service = ?1", id, key.data, err);
	buf_free(&key);
	return rc == 0 ? add_service_tokens(s, id, ids, err) : rc;
}

static int
apply(struct token_share *s, json_t *columns, struct buf *ids, struct err *err)
{
	const char *id = json_string_value(json_object_get(columns, "id"));

	if (is_visitor(columns)) {
		if (keep_known(s, "visitor", columns))
			return apply_visitor(s, columns, err);
		note_foreign(s);
		return forget_visitor(
		    s, json_string_value(json_object_get(columns, "name")), err);
	}
	if (is_service(columns))
		return take_service(s, columns, ids, err);
	if (id != NULL && strlen(id) == TOKEN_ID_LEN && keep_known(s, "token", columns))
		return apply_token(s, id, columns, ids, err);
	note_foreign(s);
	return id != NULL && strlen(id) == TOKEN_ID_LEN ? forget_token(s, id, ids, err)
							: 0;
}

/* One row; one that cannot be stored, for its own sake, is left out. */
static int
apply_one(struct token_share *s, json_t *columns, struct buf *ids, struct err *err)
{
	const size_t before = ids->len;
	int rc = share_db_run(s, "SAVEPOINT one", err);

	if (rc == 0)
		rc = apply(s, columns, ids, err);
	if (rc == ERR_INVALID) {
		log_error("share-row", "detail=%s", log_quote(str_from(err->msg)));
		ids->len = before;
		rc = share_db_run(s, "ROLLBACK TO one", err);
	}
	return rc == 0 ? share_db_run(s, "RELEASE one", err) : rc;
}

int
share_rows_apply(struct token_share *s, const struct share_row *rows, struct buf *ids,
    struct err *err)
{
	const size_t before = ids->len;
	int rc = share_db_run(s, "BEGIN IMMEDIATE", err);

	for (; rows != NULL && rc == 0; rows = rows->next)
		rc = apply_one(s, rows->columns, ids, err);
	if (rc == 0)
		rc = share_db_run(s, "COMMIT", err);
	if (rc == 0)
		return 0;
	(void)sqlite3_exec(
	    s->db, "ROLLBACK", NULL, NULL, NULL); /* the first error counts */
	ids->len = before;
	return rc;
}
