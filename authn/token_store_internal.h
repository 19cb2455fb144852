/*
 * The token store's inside, shared by token_store.c, token_accounts.c and token_visitors.c.
 * Private to them.
 */
#ifndef AUTHN_TOKEN_STORE_INTERNAL_H
#define AUTHN_TOKEN_STORE_INTERNAL_H

#include <sqlite3.h>

#include "authn/token_store.h"

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
MUST_CHECK struct str store_column_str(struct arena *arena, sqlite3_stmt *stmt, int at);

#endif
