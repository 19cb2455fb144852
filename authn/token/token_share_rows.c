/*
 * Rows of the token table as JSON, by their id; by an '@' and their name, those of the visitor
 * table; and by a '+' and their id, those of the service_account table. Triggers note which changed; that a column is added to the tables changes nothing here. When
 * a token was last used is each replica's own.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/token/token_share_internal.h"
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
    " ON CONFLICT (id) DO UPDATE SET n = n + 1; END;"
    "CREATE TRIGGER IF NOT EXISTS service_added AFTER INSERT ON service_account BEGIN"
    " INSERT INTO share_pending VALUES ('+' || NEW.service, 1)"
    " ON CONFLICT (id) DO UPDATE SET n = n + 1; END;"
    "CREATE TRIGGER IF NOT EXISTS service_changed AFTER UPDATE ON service_account BEGIN"
    " INSERT INTO share_pending VALUES ('+' || NEW.service, 1)"
    " ON CONFLICT (id) DO UPDATE SET n = n + 1; END;"
    "CREATE TRIGGER IF NOT EXISTS service_gone AFTER DELETE ON service_account BEGIN"
    " INSERT INTO share_pending VALUES ('+' || OLD.service, 1)"
    " ON CONFLICT (id) DO UPDATE SET n = n + 1; END;";

int
share_db_err(const struct token_share *s, struct err *err)
{
	return err_set(err, ERR_SYSTEM, "token store: %s", sqlite3_errmsg(s->db));
}

int
share_db_run(struct token_share *s, const char *sql, struct err *err)
{
	return sqlite3_exec(s->db, sql, NULL, NULL, NULL) == SQLITE_OK
		   ? 0
		   : share_db_err(s, err);
}

sqlite3_stmt *
share_db_prepare(struct token_share *s, const char *sql, const char *id)
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

int
share_db_run_with(
    struct token_share *s, const char *sql, const char *id, struct err *err)
{
	sqlite3_stmt *stmt = share_db_prepare(s, sql, id);
	const int step = stmt != NULL ? sqlite3_step(stmt) : SQLITE_ERROR;

	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return step == SQLITE_DONE || step == SQLITE_ROW ? 0 : share_db_err(s, err);
}

int
share_rows_open(struct token_share *s, struct err *err)
{
	uint8_t random[SHARE_ID_LEN / 2];
	sqlite3_stmt *stmt;
	int rc = share_db_run(s, outbox, err);

	if (rc != 0)
		return rc;
	secret_random(random, sizeof(random));
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(s->id + 2 * i, 3, "%02x", random[i]); /* fits */
	rc = share_db_run_with(
	    s, "INSERT OR IGNORE INTO share VALUES ('id', ?1)", s->id, err);
	if (rc != 0)
		return rc;
	stmt = share_db_prepare(s, "SELECT value FROM share WHERE key = 'id'", NULL);
	if (stmt == NULL || sqlite3_step(stmt) != SQLITE_ROW ||
	    sqlite3_column_bytes(stmt, 0) != SHARE_ID_LEN)
		rc = share_db_err(s, err);
	else
		memcpy(s->id, sqlite3_column_text(stmt, 0), SHARE_ID_LEN);
	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return rc;
}

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

json_t *
share_row_read(struct token_share *s, const char *id)
{
	sqlite3_stmt *stmt;
	json_t *row = NULL;

	if (id[0] == '@')
		stmt = share_db_prepare(
		    s, "SELECT * FROM visitor WHERE name = ?1", id + 1);
	else if (id[0] == '+')
		stmt = share_db_prepare(
		    s, "SELECT * FROM service_account WHERE service = ?1", id + 1);
	else
		stmt = share_db_prepare(s, "SELECT * FROM token WHERE id = ?1", id);

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
	json_t *row = share_row_read(s, id), *what, *operation = json_object();
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
	    share_db_prepare(s, "SELECT id, n FROM share_pending ORDER BY id", NULL);
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
		rc = share_db_err(s, err);
	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	return rc;
}

int
share_rows_sent(struct token_share *s, const struct share_batch *batch, struct err *err)
{
	int rc = share_db_run(s, "BEGIN IMMEDIATE", err);
	const char *id;
	json_t *n;

	if (rc != 0)
		return rc;
	json_object_foreach(batch->rows, id, n)
	{
		sqlite3_stmt *stmt = share_db_prepare(
		    s, "DELETE FROM share_pending WHERE id = ?1 AND n = ?2", id);

		/* One that has changed since is sent again. */
		if (stmt == NULL ||
		    sqlite3_bind_int64(stmt, 2, json_integer_value(n)) != SQLITE_OK ||
		    sqlite3_step(stmt) != SQLITE_DONE)
			rc = share_db_err(s, err);
		(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	}
	if (rc == 0)
		return share_db_run(s, "COMMIT", err);
	(void)sqlite3_exec(
	    s->db, "ROLLBACK", NULL, NULL, NULL); /* the first error counts */
	return rc;
}
