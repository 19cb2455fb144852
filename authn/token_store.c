#include "authn/token_store.h"

#include <stdlib.h>
#include <string.h>

#include "authn/token_store_internal.h"

#define LAYOUT_VERSION 3
#define BUSY_MS        2000

#define COLUMNS                                                                        \
	"id, hash, owner, uid, groups, scopes, name, created, expires, last_used, "    \
	"revoked, revoked_by"

/* An account that a token makes use of, at the time ?1. */
#define HAS_LIVE                                                                       \
	"EXISTS (SELECT 1 FROM token WHERE token.owner = account.owner AND "           \
	"token.uid = account.uid AND revoked = 0 AND expires > ?1)"

static const char *const statements[STMT_COUNT] = {
    [STMT_ADD] =
	("INSERT INTO token (" COLUMNS ") VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,0,0,'')"),
    [STMT_GET] = "SELECT " COLUMNS ", checked, suspended, changed FROM token "
		 "LEFT JOIN account USING (owner, uid) WHERE id = ?1",
    [STMT_LIST] = "SELECT " COLUMNS ", checked, suspended, changed FROM token "
		  "LEFT JOIN account USING (owner, uid) "
		  "WHERE owner = ?1 ORDER BY revoked != 0, created DESC, id",
    [STMT_REVOKE] = ("UPDATE token SET revoked_by = CASE revoked WHEN 0 THEN ?4 ELSE "
		     "revoked_by END, revoked = CASE revoked WHEN 0 THEN ?3 ELSE "
		     "revoked END WHERE id = ?1 AND owner = ?2"),
    [STMT_SHORTEN] = ("UPDATE token SET expires = min(expires, ?3) "
		      "WHERE id = ?1 AND owner = ?2"),
    [STMT_USED] = "UPDATE token SET last_used = ?2 WHERE id = ?1",
    [STMT_PURGE] = ("DELETE FROM token WHERE expires < ?1 OR "
		    "(revoked != 0 AND revoked < ?1)"),
    [STMT_PURGE_ACCOUNTS] = ("DELETE FROM account WHERE NOT EXISTS "
			     "(SELECT 1 FROM token WHERE token.owner = account.owner "
			     "AND token.uid = account.uid)"),
    [STMT_LIVE] = "SELECT count(*) FROM token WHERE revoked = 0 AND expires > ?1",
    [STMT_BEGIN] = "BEGIN IMMEDIATE",
    [STMT_COMMIT] = "COMMIT",
    [STMT_ROLLBACK] = "ROLLBACK",
    [STMT_ACCOUNT_ADD] = ("INSERT OR IGNORE INTO account VALUES (?1,?2,?3,?3,0,'',0)"),
    [STMT_ACCOUNT_GET] = "SELECT suspended FROM account WHERE owner = ?1 AND uid = ?2",
    [STMT_ACCOUNT_DUE] =
	("SELECT owner, uid, suspended FROM account WHERE tried < ?2 AND " HAS_LIVE
	 " ORDER BY tried LIMIT ?3"),
    [STMT_ACCOUNT_TRIED] =
	"UPDATE account SET tried = ?3 WHERE owner = ?1 AND uid = ?2",
    [STMT_ACCOUNT_JUDGE] =
	("INSERT INTO account VALUES (?1,?2,?3,?3,?4,?5,?6) ON CONFLICT (owner, uid) "
	 "DO UPDATE SET checked = ?3, tried = ?3, suspended = ?4, reason = ?5, "
	 "changed = max(changed, ?6)"),
    /* Those whose meaning the verdict ?4 (suspended), ?5 (groups) changes. */
    [STMT_ACCOUNT_IDS] =
	("SELECT id FROM token LEFT JOIN account USING (owner, uid) "
	 "WHERE owner = ?1 AND uid = ?2 AND revoked = 0 AND expires > ?3 AND "
	 "(coalesce(suspended, 0) != ?4 OR (?4 = 0 AND groups != ?5))"),
    [STMT_ACCOUNT_GROUPS] = ("UPDATE token SET groups = ?3 WHERE owner = ?1 AND "
			     "uid = ?2 AND groups != ?3"),
    [STMT_ACCOUNT_UNCHECKED] =
	("SELECT id FROM token JOIN account USING (owner, uid) WHERE revoked = 0 AND "
	 "expires > ?1 AND checked >= ?2 AND checked < ?3"),
    [STMT_ACCOUNT_COUNTS] =
	("SELECT count(*), coalesce(sum(suspended), 0), coalesce(min(checked), 0) "
	 "FROM account WHERE " HAS_LIVE),
    [STMT_ACCOUNT_CLOCK] = ("UPDATE account SET tried = 0, checked = min(checked, ?1) "
			    "WHERE tried > ?1 OR checked > ?1"),
    [STMT_IDLE] = ("UPDATE token SET revoked = ?1, revoked_by = 'idle' WHERE id IN "
		   "(SELECT id FROM token WHERE revoked = 0 AND expires > ?1 AND "
		   "max(last_used, created) < ?2 LIMIT 1000) RETURNING id"),
    [STMT_VISITOR_GET] =
	"SELECT name, uid, groups, checked, suspended FROM visitor WHERE name = ?1",
    [STMT_VISITOR_PUT] = "INSERT OR REPLACE INTO visitor VALUES (?1,?2,?3,?4,?5)",
    [STMT_VISITOR_DENY] = ("UPDATE visitor SET suspended = 1, checked = ?2 "
			   "WHERE name = ?1 AND suspended = 0"),
    [STMT_VISITORS_PURGE] = "DELETE FROM visitor WHERE checked < ?1",
};

static const char layout[] =
    "CREATE TABLE IF NOT EXISTS token ("
    " id TEXT PRIMARY KEY, hash BLOB NOT NULL, owner TEXT NOT NULL, uid TEXT NOT NULL,"
    " groups TEXT NOT NULL, scopes TEXT NOT NULL, name TEXT NOT NULL,"
    " created INTEGER NOT NULL, expires INTEGER NOT NULL, last_used INTEGER NOT NULL,"
    " revoked INTEGER NOT NULL, revoked_by TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS token_owner ON token (owner, created);"
    "CREATE INDEX IF NOT EXISTS token_account ON token (owner, uid);"
    "CREATE TABLE IF NOT EXISTS account ("
    " owner TEXT NOT NULL, uid TEXT NOT NULL, checked INTEGER NOT NULL,"
    " tried INTEGER NOT NULL, suspended INTEGER NOT NULL, reason TEXT NOT NULL,"
    " changed INTEGER NOT NULL,"
    " PRIMARY KEY (owner, uid)) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS account_tried ON account (tried);"
    /* Of a store that knew no accounts: they are due at once, and the grace begins. */
    "INSERT OR IGNORE INTO account SELECT DISTINCT owner, uid,"
    " CAST(strftime('%s', 'now') AS INTEGER) * 1000000000, 0, 0, '', 0 FROM token;"
    "CREATE TABLE IF NOT EXISTS visitor ("
    " name TEXT PRIMARY KEY, uid TEXT NOT NULL, groups TEXT NOT NULL,"
    " checked INTEGER NOT NULL, suspended INTEGER NOT NULL) WITHOUT ROWID;"
    "PRAGMA user_version = 3;";

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

static int
check_layout(struct token_store *s, const char *path, struct err *err)
{
	sqlite3_stmt *stmt = NULL;
	int version = -1;

	if (sqlite3_prepare_v2(s->db, "PRAGMA user_version", -1, &stmt, NULL) ==
		SQLITE_OK &&
	    sqlite3_step(stmt) == SQLITE_ROW)
		version = sqlite3_column_int(stmt, 0);
	(void)sqlite3_finalize(stmt); /* repeats the error of the step */
	if (version < 0)
		return store_err(s, err, path);
	if (version > LAYOUT_VERSION)
		return err_set(err, ERR_INVALID,
		    "token store %s has layout %d, which is newer than this program's "
		    "%d",
		    path, version, LAYOUT_VERSION);
	return 0;
}

static int
prepare_all(struct token_store *s, struct err *err)
{
	for (size_t i = 0; i < STMT_COUNT; i++) {
		if (sqlite3_prepare_v3(s->db, statements[i], -1,
			SQLITE_PREPARE_PERSISTENT, &s->prepared[i], NULL) != SQLITE_OK)
			return store_err(s, err, "prepare");
	}
	return 0;
}

/* ---- a file system that leaves relative names alone ----
 * SQLite makes every name absolute, and then needs to pass through directories that
 * may be closed to this user; the working directory is open already. */

#define VFS_NAME "ringfence"

static int
keep_name(sqlite3_vfs *vfs, const char *name, int size, char *out)
{
	const size_t len = strlen(name);

	(void)vfs;
	if (size <= 0 || len >= (size_t)size)
		return SQLITE_CANTOPEN;
	memcpy(out, name, len + 1);
	return SQLITE_OK;
}

static bool
register_vfs(void)
{
	static sqlite3_vfs vfs;
	const sqlite3_vfs *system = sqlite3_vfs_find(NULL);

	if (sqlite3_vfs_find(VFS_NAME) != NULL)
		return true;
	if (system == NULL)
		return false;
	vfs = *system;
	vfs.pNext = NULL;
	vfs.zName = VFS_NAME;
	vfs.xFullPathname = keep_name;
	return sqlite3_vfs_register(&vfs, 0) == SQLITE_OK;
}

int
token_store_open(const char *path, struct token_store **out_store, struct err *err)
{
	struct token_store *s = xcalloc(1, sizeof(*s));
	int rc;

	*out_store = NULL;
	if (!register_vfs()) {
		free(s);
		return err_set(err, ERR_SYSTEM, "token store: no file system");
	}
	if (sqlite3_open_v2(path, &s->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
		VFS_NAME) != SQLITE_OK) {
		rc = store_err(s, err, path);
		goto out;
	}
	if (sqlite3_busy_timeout(s->db, BUSY_MS) != SQLITE_OK ||
	    sqlite3_exec(s->db,
		"PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
		"PRAGMA temp_store = MEMORY; PRAGMA trusted_schema = OFF",
		NULL, NULL, NULL) != SQLITE_OK) {
		rc = store_err(s, err, path);
		goto out;
	}
	rc = check_layout(s, path, err);
	if (rc != 0)
		goto out;
	if (sqlite3_exec(s->db, layout, NULL, NULL, NULL) != SQLITE_OK) {
		rc = store_err(s, err, path);
		goto out;
	}
	rc = prepare_all(s, err);
out:
	if (rc == 0)
		*out_store = s;
	else
		token_store_close(s);
	return rc;
}

void
token_store_close(struct token_store *s)
{
	if (s == NULL)
		return;
	for (size_t i = 0; i < STMT_COUNT; i++)
		(void)sqlite3_finalize(s->prepared[i]); /* repeats an old error */
	(void)sqlite3_close(s->db);                     /* nothing is open any more */
	free(s);
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
	    !store_bind_time(stmt, 9, r->expires))
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
	out->checked.ns = sqlite3_column_int64(stmt, 12);
	out->suspended = sqlite3_column_int(stmt, 13) != 0;
	out->changed.ns = sqlite3_column_int64(stmt, 14);
	return true;
}

int
token_store_get(struct token_store *s, struct arena *arena, const char *id,
    struct token_record *out_record, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_GET];
	int rc = 0;

	if (sqlite3_bind_text(stmt, 1, id, TOKEN_ID_LEN, SQLITE_STATIC) != SQLITE_OK)
		return store_err(s, err, "bind");
	switch (sqlite3_step(stmt)) {
	case SQLITE_ROW:
		if (!read_row(arena, stmt, out_record))
			rc = err_set(err, ERR_INVALID, "token store: a damaged record");
		break;
	case SQLITE_DONE:
		rc = err_set(err, ERR_NOT_FOUND, "no such token");
		break;
	default:
		rc = store_err(s, err, "read");
		break;
	}
	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	return rc;
}

int
token_store_list(struct token_store *s, struct arena *arena, struct str owner,
    struct token_record **out_records, size_t *out_count, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_LIST];
	struct token_record *records = NULL;
	size_t count = 0, cap = 0;
	int step, rc = 0;

	if (!store_bind_str(stmt, 1, owner))
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
    const struct token_record *fresh, walltime_t until, walltime_t now, struct err *err)
{
	int rc = store_begin(s, err);

	if (rc != 0)
		return rc;
	rc = token_store_add(s, fresh, err);
	if (rc == 0)
		rc = until.ns != 0 ? shorten(s, id, fresh->owner, until, err)
				   : token_store_revoke(
					 s, fresh->owner, id, now, STR("rotated"), err);
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
	return rc == 0 ? store_run(s, STMT_PURGE_ACCOUNTS, err) : rc;
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
