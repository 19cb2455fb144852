/*
 * The token store's tables and statements, and how its file is opened.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/token/token_store_internal.h"

#define LAYOUT_VERSION 4
#define BUSY_MS        2000

#define COLUMNS                                                                        \
	"id, hash, owner, uid, groups, scopes, name, created, expires, last_used, "    \
	"revoked, revoked_by, token.service"
/* ... with what is known of the account and, for one of a service account, of that. */
#define SELECT_RECORD                                                                  \
	"SELECT " COLUMNS ", checked, suspended, changed, path, removed FROM token "   \
	"LEFT JOIN account USING (owner, uid) "                                        \
	"LEFT JOIN service_account ON service_account.service = token.service "

/* An account that a token makes use of, at the time ?1. */
#define HAS_LIVE                                                                       \
	"EXISTS (SELECT 1 FROM token WHERE token.owner = account.owner AND "           \
	"token.uid = account.uid AND revoked = 0 AND expires > ?1)"

static const char *const statements[STMT_COUNT] = {
    [STMT_ADD] =
	("INSERT INTO token (id, hash, owner, uid, groups, scopes, name, created, "
	 "expires, last_used, revoked, revoked_by, service) "
	 "VALUES (?1,?2,?3,?4,?5,?6,?7,?8,?9,0,0,'',?10)"),
    [STMT_GET] = SELECT_RECORD "WHERE id = ?1",
    [STMT_LIST] =
	(SELECT_RECORD "WHERE owner = ?1 ORDER BY revoked != 0, created DESC, id"),
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
    [STMT_USED_CLOCK] = "UPDATE token SET last_used = ?1 WHERE last_used > ?1",
    [STMT_OWNED] = ("SELECT count(*) FROM token WHERE owner = ?1 AND uid = ?2 AND "
		    "revoked = 0 AND expires > ?3"),
    [STMT_LOGIN_STALE] =
	("SELECT id FROM token WHERE owner = ?1 AND uid = ?2 AND revoked = 0 AND "
	 "expires > ?3 AND name = '' AND scopes = '[]' AND service = '' "
	 "ORDER BY max(last_used, created), id LIMIT 1"),
    [STMT_SERVICE_ADD] = "INSERT INTO service_account VALUES (?1,?2,?3,?4,0,'')",
    [STMT_SERVICE_FIND] = ("SELECT service, path, declared, declared_by, 0 FROM "
			   "service_account WHERE path = ?1 AND removed = 0 "
			   "ORDER BY declared, service LIMIT 1"),
    /* Those right under ?1, which ends in a slash, and further below. */
    [STMT_SERVICES] =
	("SELECT service, path, declared, declared_by, (SELECT count(*) FROM token "
	 "WHERE token.service = service_account.service AND revoked = 0 AND "
	 "expires > ?2) FROM service_account WHERE removed = 0 AND "
	 "substr(path, 1, length(?1)) = ?1 ORDER BY path, service"),
    [STMT_SERVICE_TOKENS] =
	(SELECT_RECORD "WHERE token.service IN (SELECT service FROM service_account "
		       "WHERE path = ?1 AND removed = 0) "
		       "ORDER BY revoked != 0, created DESC, id"),
    [STMT_SERVICE_REVOKE] =
	("UPDATE token SET revoked = ?2, revoked_by = ?3 WHERE revoked = 0 AND "
	 "service IN (SELECT service FROM service_account WHERE path = ?1 AND "
	 "removed = 0) RETURNING id"),
    [STMT_SERVICE_REMOVE] = ("UPDATE service_account SET removed = ?2, "
			     "removed_by = ?3 WHERE path = ?1 AND removed = 0"),
    [STMT_SERVICES_PURGE] =
	"DELETE FROM service_account WHERE removed != 0 AND removed < ?1",
};

static const char layout[] =
    "CREATE TABLE IF NOT EXISTS token ("
    " id TEXT PRIMARY KEY, hash BLOB NOT NULL, owner TEXT NOT NULL, uid TEXT NOT NULL,"
    " groups TEXT NOT NULL, scopes TEXT NOT NULL, name TEXT NOT NULL,"
    " created INTEGER NOT NULL, expires INTEGER NOT NULL, last_used INTEGER NOT NULL,"
    " revoked INTEGER NOT NULL, revoked_by TEXT NOT NULL,"
    " service TEXT NOT NULL DEFAULT '') WITHOUT ROWID;"
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
    /* One that was removed stays for a while, so that other replicas hear of it. */
    "CREATE TABLE IF NOT EXISTS service_account ("
    " service TEXT PRIMARY KEY, path TEXT NOT NULL, declared INTEGER NOT NULL,"
    " declared_by TEXT NOT NULL, removed INTEGER NOT NULL,"
    " removed_by TEXT NOT NULL) WITHOUT ROWID;"
    "CREATE INDEX IF NOT EXISTS service_path ON service_account (path);";

/* Once every column is there. */
static const char layout_end[] =
    "CREATE INDEX IF NOT EXISTS token_service ON token (service);"
    "PRAGMA user_version = 4;";

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

/* Makes the tables, and adds what a store of an earlier layout lacks. */
static int
make_layout(struct token_store *s, const char *path, struct err *err)
{
	bool ok = sqlite3_exec(s->db, layout, NULL, NULL, NULL) == SQLITE_OK;

	if (ok && sqlite3_table_column_metadata(s->db, NULL, "token", "service", NULL,
		      NULL, NULL, NULL, NULL) != SQLITE_OK)
		ok = sqlite3_exec(s->db,
			 "ALTER TABLE token ADD COLUMN service TEXT NOT NULL DEFAULT "
			 "''",
			 NULL, NULL, NULL) == SQLITE_OK;
	ok = ok && sqlite3_exec(s->db, layout_end, NULL, NULL, NULL) == SQLITE_OK;
	return ok ? 0 : store_err(s, err, path);
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
	rc = make_layout(s, path, err);
	if (rc == 0)
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
