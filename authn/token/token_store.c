#include "authn/token/token_store.h"

#include <stdlib.h>
#include <string.h>

#include "authn/token/token_store_internal.h"

struct sqlite3 *
token_store_database(struct token_store *s)
{
	return s->db;
}

void
token_store_written(struct token_store *s, void (*written)(void *arg), void *arg)
{
	s->written = written;
	s->written_arg = arg;
}

int
store_err(struct token_store *s, struct err *err, const char *what)
{
	return err_set(
	    err, ERR_SYSTEM, "token store: %s: %s", what, sqlite3_errmsg(s->db));
}

bool
store_bind_str(sqlite3_stmt *stmt, int at, struct str value)
{
	return sqlite3_bind_text(stmt, at, value.ptr != NULL ? value.ptr : "",
		   (int)value.len, SQLITE_STATIC) == SQLITE_OK;
}

bool
store_bind_time(sqlite3_stmt *stmt, int at, walltime_t t)
{
	return sqlite3_bind_int64(stmt, at, t.ns) == SQLITE_OK;
}

void
store_tell(struct token_store *s)
{
	if (s->written != NULL)
		s->written(s->written_arg);
}

int
store_run(struct token_store *s, enum statement which, struct err *err)
{
	int step = sqlite3_step(s->prepared[which]);
	int rc = 0;

	if (step == SQLITE_CONSTRAINT)
		rc = err_set(err, ERR_EXISTS, "the token's id is taken");
	else if (step != SQLITE_DONE)
		rc = store_err(s, err, "write");
	(void)sqlite3_reset(s->prepared[which]); /* repeats the error of the step */
	if (rc == 0 && sqlite3_get_autocommit(s->db) != 0)
		store_tell(s);
	return rc;
}

int
store_step_row(
    struct token_store *s, sqlite3_stmt *stmt, const char *what, struct err *err)
{
	switch (sqlite3_step(stmt)) {
	case SQLITE_ROW:
		return 0;
	case SQLITE_DONE:
		return err_set(err, ERR_NOT_FOUND, "no %s", what);
	default:
		return store_err(s, err, "read");
	}
}

int
store_begin(struct token_store *s, struct err *err)
{
	return store_run(s, STMT_BEGIN, err);
}

int
store_end(struct token_store *s, int rc, struct err *err)
{
	struct err ignored = ERR_INIT;

	if (rc == 0)
		rc = store_run(s, STMT_COMMIT, err);
	if (rc != 0) /* the first error is the one to tell */
		(void)!store_run(s, STMT_ROLLBACK, &ignored);
	return rc;
}

/* Tells that the owner's account has been seen, unless that is known already. */
static int
add_account(struct token_store *s, const struct token_record *r, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_ACCOUNT_ADD];

	if (!store_bind_str(stmt, 1, r->owner) || !store_bind_str(stmt, 2, r->uid) ||
	    !store_bind_time(stmt, 3, r->created))
		return store_err(s, err, "bind");
	return store_run(s, STMT_ACCOUNT_ADD, err);
}

int
token_store_add(struct token_store *s, const struct token_record *r, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_ADD];
	int rc = add_account(s, r, err);

	if (rc != 0)
		return rc;
	if (sqlite3_bind_text(stmt, 1, r->id, TOKEN_ID_LEN, SQLITE_STATIC) !=
		SQLITE_OK ||
	    sqlite3_bind_blob(stmt, 2, r->secret_hash, sizeof(r->secret_hash),
		SQLITE_STATIC) != SQLITE_OK ||
	    !store_bind_str(stmt, 3, r->owner) || !store_bind_str(stmt, 4, r->uid) ||
	    !store_bind_str(stmt, 5, r->groups) ||
	    !store_bind_str(stmt, 6, r->scopes) || !store_bind_str(stmt, 7, r->name) ||
	    !store_bind_time(stmt, 8, r->created) ||
	    !store_bind_time(stmt, 9, r->expires) ||
	    !store_bind_str(stmt, 10, r->service))
		return store_err(s, err, "bind");
	return store_run(s, STMT_ADD, err);
}

struct str
store_column_str(struct arena *arena, sqlite3_stmt *stmt, int at)
{
	const unsigned char *text = sqlite3_column_text(stmt, at);
	int len = sqlite3_column_bytes(stmt, at);

	return str_dup(arena, (struct str){(const char *)text, (size_t)len});
}

static bool
read_row(struct arena *arena, sqlite3_stmt *stmt, struct token_record *out)
{
	struct str id = store_column_str(arena, stmt, 0);

	memset(out, 0, sizeof(*out));
	if (id.len != TOKEN_ID_LEN ||
	    sqlite3_column_bytes(stmt, 1) != (int)sizeof(out->secret_hash))
		return false;
	memcpy(out->id, id.ptr, TOKEN_ID_LEN + 1);
	memcpy(
	    out->secret_hash, sqlite3_column_blob(stmt, 1), sizeof(out->secret_hash));
	out->owner = store_column_str(arena, stmt, 2);
	out->uid = store_column_str(arena, stmt, 3);
	out->groups = store_column_str(arena, stmt, 4);
	out->scopes = store_column_str(arena, stmt, 5);
	out->name = store_column_str(arena, stmt, 6);
	out->created.ns = sqlite3_column_int64(stmt, 7);
	out->expires.ns = sqlite3_column_int64(stmt, 8);
	out->last_used.ns = sqlite3_column_int64(stmt, 9);
	out->revoked.ns = sqlite3_column_int64(stmt, 10);
	out->revoked_by = store_column_str(arena, stmt, 11);
	out->service = store_column_str(arena, stmt, 12);
	out->checked.ns = sqlite3_column_int64(stmt, 13);
	out->suspended = sqlite3_column_int(stmt, 14) != 0;
	out->changed.ns = sqlite3_column_int64(stmt, 15);
	out->service_path = store_column_str(arena, stmt, 16);
	/* Also if nobody has told of it here (yet). */
	out->service_gone =
	    out->service.len != 0 &&
	    (out->service_path.len == 0 || sqlite3_column_int64(stmt, 17) != 0);
	return true;
}

int
token_store_get(struct token_store *s, struct arena *arena, const char *id,
    struct token_record *out_record, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_GET];
	int rc;

	if (sqlite3_bind_text(stmt, 1, id, TOKEN_ID_LEN, SQLITE_STATIC) != SQLITE_OK)
		return store_err(s, err, "bind");
	rc = store_step_row(s, stmt, "such token", err);
	if (rc == 0 && !read_row(arena, stmt, out_record))
		rc = err_set(err, ERR_INVALID, "token store: a damaged record");
	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	return rc;
}

int
store_read_records(struct token_store *s, struct arena *arena, enum statement which,
    struct str of, struct token_record **out_records, size_t *out_count,
    struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[which];
	struct token_record *records = NULL;
	size_t count = 0, cap = 0;
	int step, rc = 0;

	if (!store_bind_str(stmt, 1, of))
		return store_err(s, err, "bind");
	while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (count == cap) {
			cap = cap == 0 ? 16 : cap * 2;
			records = xreallocarray(records, cap, sizeof(*records));
		}
		if (read_row(arena, stmt, &records[count]))
			count++;
	}
	if (step != SQLITE_DONE)
		rc = store_err(s, err, "read");
	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	*out_records = ARENA_ARRAY(arena, count, struct token_record);
	if (count != 0)
		memcpy(*out_records, records, count * sizeof(*records));
	*out_count = count;
	free(records);
	return rc;
}

int
token_store_list(struct token_store *s, struct arena *arena, struct str owner,
    struct token_record **out_records, size_t *out_count, struct err *err)
{
	return store_read_records(
	    s, arena, STMT_LIST, owner, out_records, out_count, err);
}

int
token_store_revoke(struct token_store *s, struct str owner, const char *id,
    walltime_t now, struct str by, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_REVOKE];
	int rc;

	if (sqlite3_bind_text(stmt, 1, id, TOKEN_ID_LEN, SQLITE_STATIC) != SQLITE_OK ||
	    !store_bind_str(stmt, 2, owner) || !store_bind_time(stmt, 3, now) ||
	    !store_bind_str(stmt, 4, by))
		return store_err(s, err, "bind");
	rc = store_run(s, STMT_REVOKE, err);
	if (rc == 0 && sqlite3_changes(s->db) == 0)
		rc = err_set(err, ERR_NOT_FOUND, "no such token");
	return rc;
}

static int
shorten(struct token_store *s, const char *id, struct str owner, walltime_t until,
    struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_SHORTEN];
	int rc;

	if (sqlite3_bind_text(stmt, 1, id, TOKEN_ID_LEN, SQLITE_STATIC) != SQLITE_OK ||
	    !store_bind_str(stmt, 2, owner) || !store_bind_time(stmt, 3, until))
		return store_err(s, err, "bind");
	rc = store_run(s, STMT_SHORTEN, err);
	if (rc == 0 && sqlite3_changes(s->db) == 0)
		rc = err_set(err, ERR_NOT_FOUND, "no such token");
	return rc;
}

int
token_store_rotate(struct token_store *s, const char *id,
    const struct token_record *fresh, walltime_t until, walltime_t now, struct str why,
    struct err *err)
{
	int rc = store_begin(s, err);

	if (rc != 0)
		return rc;
	rc = token_store_add(s, fresh, err);
	if (rc == 0)
		rc = until.ns != 0
			 ? shorten(s, id, fresh->owner, until, err)
			 : token_store_revoke(s, fresh->owner, id, now, why, err);
	return store_end(s, rc, err);
}

int
token_store_used(struct token_store *s, const char *ids, size_t count, walltime_t now,
    struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_USED];
	int rc = store_begin(s, err);

	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count && rc == 0; i++) {
		if (sqlite3_bind_text(stmt, 1, ids + i * TOKEN_ID_LEN, TOKEN_ID_LEN,
			SQLITE_STATIC) != SQLITE_OK ||
		    !store_bind_time(stmt, 2, now))
			rc = store_err(s, err, "bind");
		else
			rc = store_run(s, STMT_USED, err);
	}
	return store_end(s, rc, err);
}

int
token_store_purge(struct token_store *s, walltime_t before, struct err *err)
{
	int rc;

	if (!store_bind_time(s->prepared[STMT_PURGE], 1, before))
		return store_err(s, err, "bind");
	rc = store_run(s, STMT_PURGE, err);
	if (rc == 0)
		rc = store_run(s, STMT_PURGE_ACCOUNTS, err);
	if (rc == 0 && !store_bind_time(s->prepared[STMT_SERVICES_PURGE], 1, before))
		rc = store_err(s, err, "bind");
	return rc == 0 ? store_run(s, STMT_SERVICES_PURGE, err) : rc;
}

int
token_store_owned(struct token_store *s, struct str owner, struct str uid,
    walltime_t now, uint64_t *out_count, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_OWNED];
	int rc = 0;

	if (!store_bind_str(stmt, 1, owner) || !store_bind_str(stmt, 2, uid) ||
	    !store_bind_time(stmt, 3, now))
		return store_err(s, err, "bind");
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*out_count = (uint64_t)sqlite3_column_int64(stmt, 0);
	else
		rc = store_err(s, err, "read");
	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	return rc;
}

int
token_store_stale_login(struct token_store *s, struct str owner, struct str uid,
    walltime_t now, char out_id[TOKEN_ID_LEN + 1], struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_LOGIN_STALE];
	int rc;

	if (!store_bind_str(stmt, 1, owner) || !store_bind_str(stmt, 2, uid) ||
	    !store_bind_time(stmt, 3, now))
		return store_err(s, err, "bind");
	rc = store_step_row(s, stmt, "login's token", err);
	if (rc == 0) {
		memcpy(out_id, sqlite3_column_text(stmt, 0), TOKEN_ID_LEN);
		out_id[TOKEN_ID_LEN] = '\0';
	}
	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	return rc;
}

int
token_store_live(
    struct token_store *s, walltime_t now, uint64_t *out_count, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_LIVE];
	int rc = 0;

	if (!store_bind_time(stmt, 1, now))
		return store_err(s, err, "bind");
	if (sqlite3_step(stmt) == SQLITE_ROW)
		*out_count = (uint64_t)sqlite3_column_int64(stmt, 0);
	else
		rc = store_err(s, err, "read");
	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	return rc;
}
