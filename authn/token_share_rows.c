/*
 * Rows of the token table as JSON, by their id; and, by an '@' and their name, those of the visitor
 * table. Triggers note which changed; that a column is added to the tables changes nothing here. When
 * a token was last used is each replica's own.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/token_share_internal.h"
#include "common/secret.h"

#define BATCH_ROWS  100           /* etcd takes 128 in one transaction */
#define BATCH_BYTES (512u * 1024) /* and 1.5 MiB */

/* What is to be sent, and how often it has changed meanwhile. */
static const char outbox[] =
    "CREATE TABLE IF NOT EXISTS share (key TEXT PRIMARY KEY, value TEXT NOT NULL);"
    "CREATE TABLE IF NOT EXISTS share_pending ("
    " id TEXT PRIMARY KEY, n INTEGER NOT NULL);"
    /* Of an earlier layout. */
    "DROP TRIGGER IF EXISTS share_added; DROP TRIGGER IF EXISTS share_changed;"
    "DROP TRIGGER IF EXISTS share_gone;"
    "CREATE TABLE IF NOT EXISTS share_outbox (id TEXT PRIMARY KEY);"
    "INSERT OR IGNORE INTO share_pending SELECT id, 1 FROM share_outbox;"
    "DROP TABLE share_outbox;"
    "CREATE TRIGGER IF NOT EXISTS pending_added AFTER INSERT ON token BEGIN"
    " INSERT INTO share_pending VALUES (NEW.id, 1)"
    " ON CONFLICT (id) DO UPDATE SET n = n + 1; END;"
    "CREATE TRIGGER IF NOT EXISTS pending_changed AFTER UPDATE ON token"
    " WHEN NEW.last_used IS OLD.last_used BEGIN"
    " INSERT INTO share_pending VALUES (NEW.id, 1)"
    " ON CONFLICT (id) DO UPDATE SET n = n + 1; END;"
    "CREATE TRIGGER IF NOT EXISTS pending_gone AFTER DELETE ON token BEGIN"
    " INSERT INTO share_pending VALUES (OLD.id, 1)"
    " ON CONFLICT (id) DO UPDATE SET n = n + 1; END;"
    "CREATE TRIGGER IF NOT EXISTS visitor_added AFTER INSERT ON visitor BEGIN"
    " INSERT INTO share_pending VALUES ('@' || NEW.name, 1)"
    " ON CONFLICT (id) DO UPDATE SET n = n + 1; END;"
    "CREATE TRIGGER IF NOT EXISTS visitor_changed AFTER UPDATE ON visitor BEGIN"
    " INSERT INTO share_pending VALUES ('@' || NEW.name, 1)"
    " ON CONFLICT (id) DO UPDATE SET n = n + 1; END;"
    "CREATE TRIGGER IF NOT EXISTS visitor_gone AFTER DELETE ON visitor BEGIN"
    " INSERT INTO share_pending VALUES ('@' || OLD.name, 1)"
    " ON CONFLICT (id) DO UPDATE SET n = n + 1; END;";

static int
db_err(const struct token_share *s, struct err *err)
{
	return err_set(err, ERR_SYSTEM, "token store: %s", sqlite3_errmsg(s->db));
}

static int
run_sql(struct token_share *s, const char *sql, struct err *err)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0
								       : db_err(s, err);
}

static sqlite3_stmt *
prepare(struct token_share *s, const char *sql, const char *id)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(s->db, sql, -1, &stmt, NULL) != SQLITE_OK ||
	    (id != NULL &&
		sqlite3_bind_text(stmt, 1, id, -1, SQLITE_TRANSIENT) != SQLITE_OK)) {
		(void)sqlite3_finalize(stmt); /* repeats an old error */
		return NULL;
	}
	return stmt;
}

static int
run_with(struct token_share *s, const char *sql, const char *id, struct err *err)
{
	sqlite3_stmt *stmt = prepare(s, sql, id);
	const int step = stmt != NULL ? sqlite3_step(stmt) : SQLITE_ERROR;

	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return step == SQLITE_DONE || step == SQLITE_ROW ? 0 : db_err(s, err);
}

int
share_rows_open(struct token_share *s, struct err *err)
{
	uint8_t random[SHARE_ID_LEN / 2];
	sqlite3_stmt *stmt;
	int rc = run_sql(s, outbox, err);

	if (rc != 0)
		return rc;
	secret_random(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(s->id + 2 * i, 3, "%02x", random[i]); /* fits */
	rc = run_with(s, "INSERT OR IGNORE INTO share VALUES ('id', ?1)", s->id, err);
	if (rc != 0)
		return rc;
	stmt = prepare(s, "SELECT value FROM share WHERE key = 'id'", NULL);
	if (stmt == NULL || sqlite3_step(stmt) != SQLITE_ROW ||
	    sqlite3_column_bytes(stmt, 0) != SHARE_ID_LEN)
		rc = db_err(s, err);
	else
		memcpy(s->id, sqlite3_column_text(stmt, 0), SHARE_ID_LEN);
	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return rc;
}

/* ---- sending ---- */

static json_t *
column_json(sqlite3_stmt *stmt, int at)
{
	const struct str bytes = {
	    sqlite3_column_blob(stmt, at), (size_t)sqlite3_column_bytes(stmt, at)};

	switch (sqlite3_column_type(stmt, at)) {
	case SQLITE_INTEGER:
		return json_integer(sqlite3_column_int64(stmt, at));
	case SQLITE_TEXT:
		return json_stringn(bytes.ptr != NULL ? bytes.ptr : "", bytes.len);
	case SQLITE_BLOB:
		return json_pack("{s:o}", "base64", etcd_bytes(bytes));
	default:
		return json_null();
	}
}

/* The row as an object; NULL if there is none (any more). */
static json_t *
read_row(struct token_share *s, const char *id)
{
	sqlite3_stmt *stmt =
	    id[0] == '@' ? prepare(s, "SELECT * FROM visitor WHERE name = ?1", id + 1)
			 : prepare(s, "SELECT * FROM token WHERE id = ?1", id);
	json_t *row = NULL;

	if (stmt != NULL && sqlite3_step(stmt) == SQLITE_ROW) {
		row = json_object();
		for (int i = 0; i < sqlite3_column_count(stmt); i++) {
			const char *name = sqlite3_column_name(stmt, i);

			if (strcmp(name, "last_used") != 0 &&
			    json_object_set_new(row, name, column_json(stmt, i)) != 0)
				base_die("out of memory");
		}
	}
	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return row;
}

/* One operation of a transaction: puts the row, or takes it away. Its size. */
static size_t
add_operation(struct token_share *s, const char *id, json_t *operations)
{
	json_t *row = read_row(s, id), *what, *operation = json_object();
	char *text = row != NULL ? json_dumps(row, JSON_COMPACT) : NULL;
	const size_t size = text != NULL ? strlen(text) : 0;
	struct buf key = {NULL, 0, 0};

	share_key(s, "tokens", id, &key);
	what = etcd_key(buf_str(&key));
	if (text != NULL)
		etcd_set(what, "value", etcd_bytes(str_from(text)));
	etcd_set(
	    operation, text != NULL ? "request_put" : "request_delete_range", what);
	if (json_array_append_new(operations, operation) != 0)
		base_die("out of memory");
	json_decref(row);
	free(text);
	buf_free(&key);
	return size;
}

int
share_rows_collect(
    struct token_share *s, struct share_batch *out_batch, struct err *err)
{
	sqlite3_stmt *stmt =
	    prepare(s, "SELECT id, n FROM share_pending ORDER BY id", NULL);
	struct share_batch b = {.rows = json_object(), .whole = true};
	json_t *operations = json_array();
	size_t bytes = 0;
	int step = stmt != NULL ? sqlite3_step(stmt) : SQLITE_ERROR, rc = 0;

	for (; step == SQLITE_ROW && b.whole; step = sqlite3_step(stmt)) {
		const char *id = (const char *)sqlite3_column_text(stmt, 0);

		bytes += add_operation(s, id, operations);
		etcd_set(b.rows, id, json_integer(sqlite3_column_int64(stmt, 1)));
		b.whole =
		    bytes < BATCH_BYTES && json_array_size(operations) < BATCH_ROWS;
	}
	b.request = json_object();
	etcd_set(b.request, "success", operations);
	*out_batch = b;
	if (step != SQLITE_ROW && step != SQLITE_DONE)
		rc = db_err(s, err);
	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return rc;
}

int
share_rows_sent(struct token_share *s, const struct share_batch *batch, struct err *err)
{
	int rc = run_sql(s, "BEGIN IMMEDIATE", err);
	const char *id;
	json_t *n;

	if (rc != 0)
		return rc;
	json_object_foreach(batch->rows, id, n)
	{
		sqlite3_stmt *stmt = prepare(
		    s, "DELETE FROM share_pending WHERE id = ?1 AND n = ?2", id);

		/* One that has changed since is sent again. */
		if (stmt == NULL ||
		    sqlite3_bind_int64(stmt, 2, json_integer_value(n)) != SQLITE_OK ||
		    sqlite3_step(stmt) != SQLITE_DONE)
			rc = db_err(s, err);
		(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	}
	if (rc == 0)
		return run_sql(s, "COMMIT", err);
	(void)sqlite3_exec(
	    s->db, "ROLLBACK", NULL, NULL, NULL); /* the first error counts */
	return rc;
}

/* ---- taking over ---- */

static bool
name_ok(const char *name)
{
	for (const char *c = name; *c != '\0'; c++) {
		if (!(*c >= 'a' && *c <= 'z') && *c != '_')
			return false;
	}
	return name[0] != '\0' && strcmp(name, "last_used") != 0;
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

static int
write_row(struct token_share *s, const json_t *columns, struct err *err)
{
	struct buf sql = {NULL, 0, 0};
	sqlite3_stmt *stmt;
	const char *name;
	json_t *value;
	bool ok;
	int at = 0;

	put_statement(columns, &sql);
	stmt = prepare(s, sql.data, NULL);
	buf_free(&sql);
	ok = stmt != NULL;
	json_object_foreach((json_t *)(uintptr_t)columns, name, value)
	{
		if (name_ok(name))
			ok = ok && bind_value(stmt, ++at, value);
	}
	ok = ok && sqlite3_step(stmt) == SQLITE_DONE;
	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return ok ? 0 : db_err(s, err);
}

/* Accounts are looked at by each replica, where the store has such a table. */
static void
note_account(struct token_share *s, const char *id)
{
	struct err ignored = ERR_INIT; /* there may be none */

	(void)run_with(s,
	    "INSERT OR IGNORE INTO account SELECT owner, uid, created, 0, 0, '', 0 "
	    "FROM "
	    "token WHERE id = ?1",
	    id, &ignored);
}

static bool
is_visitor(const json_t *columns)
{
	return json_object_get(columns, "id") == NULL &&
	       json_is_string(json_object_get(columns, "name")) &&
	       json_is_string(json_object_get(columns, "uid")) &&
	       json_is_string(json_object_get(columns, "groups")) &&
	       json_is_integer(json_object_get(columns, "checked")) &&
	       json_is_integer(json_object_get(columns, "suspended"));
}

static bool
put_visitor(struct token_share *s, const char *name, const json_t *columns)
{
	static const char put[] =
	    "INSERT INTO visitor VALUES (?1,?2,?3,?4,?5) ON CONFLICT (name) DO UPDATE "
	    "SET uid=excluded.uid, groups=excluded.groups, checked=excluded.checked, "
	    "suspended=excluded.suspended WHERE excluded.checked > visitor.checked";
	static const char *const others[] = {"uid", "groups", "checked", "suspended"};
	sqlite3_stmt *stmt = prepare(s, put, name);
	bool ok = stmt != NULL;

	for (size_t i = 0; i < ARRAY_LEN(others); i++)
		ok = ok &&
		     bind_value(stmt, (int)i + 2, json_object_get(columns, others[i]));
	ok = ok && sqlite3_step(stmt) == SQLITE_DONE;
	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return ok;
}

/* Of two who asked the directory the one who did so later knows it. */
static int
apply_visitor(struct token_share *s, const json_t *columns, struct err *err)
{
	const char *name = json_string_value(json_object_get(columns, "name"));
	const int before = sqlite3_total_changes(s->db);
	int rc = run_sql(s, "BEGIN IMMEDIATE", err);

	if (rc != 0)
		return rc;
	if (!put_visitor(s, name, columns))
		rc = db_err(s, err);
	/* What was taken over need not be sent. */
	if (rc == 0 && sqlite3_total_changes(s->db) != before)
		rc = run_with(
		    s, "DELETE FROM share_pending WHERE id = '@' || ?1", name, err);
	if (rc == 0)
		return run_sql(s, "COMMIT", err);
	(void)sqlite3_exec(
	    s->db, "ROLLBACK", NULL, NULL, NULL); /* the first error counts */
	return rc;
}

int
share_rows_apply(
    struct token_share *s, const json_t *columns, struct buf *ids, struct err *err)
{
	const char *id = json_string_value(json_object_get(columns, "id"));
	json_t *before, *after;
	int rc;

	if (is_visitor(columns))
		return apply_visitor(s, columns, err);

	if (id == NULL || strlen(id) != TOKEN_ID_LEN)
		return err_set(err, ERR_INVALID, "a row without an id");
	before = read_row(s, id);
	rc = run_sql(s, "BEGIN IMMEDIATE", err);
	if (rc == 0)
		rc = write_row(s, columns, err);
	if (rc == 0)
		rc = run_with(s, "DELETE FROM share_pending WHERE id = ?1", id, err);
	if (rc == 0)
		rc = run_sql(s, "COMMIT", err);
	if (rc != 0)
		(void)sqlite3_exec(
		    s->db, "ROLLBACK", NULL, NULL, NULL); /* the first error counts */
	after = rc == 0 ? read_row(s, id) : NULL;
	if (rc == 0 && before == NULL)
		note_account(s, id);
	if (before != NULL && after != NULL && json_equal(before, after) == 0)
		buf_add_cstr(ids, id);
	/* A revocation of ours that it did not know: it has to. */
	if (after != NULL && json_equal(after, columns) == 0 &&
	    json_integer_value(json_object_get(after, "revoked")) !=
		json_integer_value(json_object_get(columns, "revoked")))
		rc = run_with(
		    s, "INSERT OR IGNORE INTO share_pending VALUES (?1, 1)", id, err);
	json_decref(before);
	json_decref(after);
	return rc;
}
