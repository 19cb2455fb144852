/*
 * The token store's inside, shared by token_store.c, token_store_open.c, token_accounts.c, token_visitors.c and
 * token_services.c. Private to them.
 */
#ifndef AUTHN_TOKEN_STORE_INTERNAL_H
#define AUTHN_TOKEN_STORE_INTERNAL_H

#include <sqlite3.h>

#include "authn/token/token_store.h"

enum statement {
	STMT_ADD,
	STMT_GET,
	STMT_LIST,
	STMT_REVOKE,
	STMT_SHORTEN,
	STMT_USED,
	STMT_PURGE,
	STMT_PURGE_ACCOUNTS,
	STMT_LIVE,
	STMT_BEGIN,
	STMT_COMMIT,
	STMT_ROLLBACK,
	STMT_ACCOUNT_ADD,
	STMT_ACCOUNT_GET,
	STMT_ACCOUNT_DUE,
	STMT_ACCOUNT_TRIED,
	STMT_ACCOUNT_JUDGE,
	STMT_ACCOUNT_IDS,
	STMT_ACCOUNT_GROUPS,
	STMT_ACCOUNT_UNCHECKED,
	STMT_ACCOUNT_COUNTS,
	STMT_ACCOUNT_CLOCK,
	STMT_IDLE,
	STMT_VISITOR_GET,
	STMT_VISITOR_PUT,
	STMT_VISITOR_DENY,
	STMT_VISITORS_PURGE,
	STMT_USED_CLOCK,
	STMT_OWNED,
	STMT_LOGIN_STALE,
	STMT_SERVICE_ADD,
	STMT_SERVICE_FIND,
	STMT_SERVICES,
	STMT_SERVICE_TOKENS,
	STMT_SERVICE_REVOKE,
	STMT_SERVICE_REMOVE,
	STMT_SERVICES_PURGE,
	STMT_COUNT
};

struct token_store {
	sqlite3 *db;
	sqlite3_stmt *prepared[STMT_COUNT];
	void (*written)(void *arg);
	void *written_arg;
};

int store_err(struct token_store *s, struct err *err, const char *what);
MUST_CHECK bool store_bind_str(sqlite3_stmt *stmt, int at, struct str value);
MUST_CHECK bool store_bind_time(sqlite3_stmt *stmt, int at, walltime_t t);
/* Tells whoever wants to know it that something was written. */
void store_tell(struct token_store *s);
/* Steps a statement that gives no rows, and makes it ready for the next use. */
MUST_CHECK int store_run(struct token_store *s, enum statement which, struct err *err);
MUST_CHECK int store_begin(struct token_store *s, struct err *err);
/* Commits if `rc`, what came of the writes since store_begin, is 0, and undoes them otherwise.
 * Returns the first error. */
MUST_CHECK int store_end(struct token_store *s, int rc, struct err *err);
/* Every record that a statement gives whose one argument is `of`. */
MUST_CHECK int store_read_records(struct token_store *s, struct arena *arena,
    enum statement which, struct str of, struct token_record **out_records,
    size_t *out_count, struct err *err);
/* Steps a statement to its one row, to be read before it is reset. ERR_NOT_FOUND: there is no such
 * thing (`what`). */
MUST_CHECK int store_step_row(
    struct token_store *s, sqlite3_stmt *stmt, const char *what, struct err *err);
/* Ends a reading statement; `step` is what its last step gave. */
MUST_CHECK int store_read_end(
    struct token_store *s, sqlite3_stmt *stmt, int step, struct err *err);
/* Appends the ids of tokens that a statement's first column gives. */
MUST_CHECK int store_read_ids(
    struct token_store *s, sqlite3_stmt *stmt, struct buf *ids, struct err *err);
MUST_CHECK struct str store_column_str(struct arena *arena, sqlite3_stmt *stmt, int at);

#endif
