/*
 * The store's memory of users who come by certificate: what the directory said of them last, for
 * a gate that starts while there is no directory.
 */
#include <string.h>

#include "authn/token/token_store_internal.h"

int
token_store_visitor(struct token_store *s, struct arena *arena, struct str name,
    struct token_visitor *out, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_VISITOR_GET];
	int rc;

	if (!store_bind_str(stmt, 1, name))
		return store_err(s, err, "bind");
	rc = store_step_row(s, stmt, "such user", err);
	if (rc == 0)
		*out = (struct token_visitor){.name = store_column_str(arena, stmt, 0),
		    .uid = store_column_str(arena, stmt, 1),
		    .groups = store_column_str(arena, stmt, 2),
		    .checked = {sqlite3_column_int64(stmt, 3)},
		    .suspended = sqlite3_column_int(stmt, 4) != 0};
	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	return rc;
}

int
token_store_visitor_put(
    struct token_store *s, const struct token_visitor *v, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_VISITOR_PUT];

	if (!store_bind_str(stmt, 1, v->name) || !store_bind_str(stmt, 2, v->uid) ||
	    !store_bind_str(stmt, 3, v->groups) ||
	    !store_bind_time(stmt, 4, v->checked) ||
	    sqlite3_bind_int(stmt, 5, v->suspended) != SQLITE_OK)
		return store_err(s, err, "bind");
	return store_run(s, STMT_VISITOR_PUT, err);
}

int
token_store_visitor_deny(
    struct token_store *s, struct str name, walltime_t now, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_VISITOR_DENY];

	if (!store_bind_str(stmt, 1, name) || !store_bind_time(stmt, 2, now))
		return store_err(s, err, "bind");
	return store_run(s, STMT_VISITOR_DENY, err);
}

int
token_store_visitors_purge(struct token_store *s, walltime_t before, struct err *err)
{
	if (!store_bind_time(s->prepared[STMT_VISITORS_PURGE], 1, before))
		return store_err(s, err, "bind");
	return store_run(s, STMT_VISITORS_PURGE, err);
}
