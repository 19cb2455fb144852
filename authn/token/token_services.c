/*
 * The store's memory of service accounts: who declared which, and when that was taken back.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/token/token_store_internal.h"

int
token_store_service_add(
    struct token_store *s, const struct token_service *v, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_SERVICE_ADD];

	if (!store_bind_str(stmt, 1, v->id) || !store_bind_str(stmt, 2, v->path) ||
	    !store_bind_time(stmt, 3, v->declared) ||
	    !store_bind_str(stmt, 4, v->declared_by))
		return store_err(s, err, "bind");
	return store_run(s, STMT_SERVICE_ADD, err);
}

static void
read_service(struct arena *arena, sqlite3_stmt *stmt, struct token_service *out)
{
	*out = (struct token_service){.id = store_column_str(arena, stmt, 0),
	    .path = store_column_str(arena, stmt, 1),
	    .declared = {sqlite3_column_int64(stmt, 2)},
	    .declared_by = store_column_str(arena, stmt, 3),
	    .tokens = (uint64_t)sqlite3_column_int64(stmt, 4)};
}

int
token_store_service(struct token_store *s, struct arena *arena, struct str path,
    struct token_service *out, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_SERVICE_FIND];
	int rc;

	if (!store_bind_str(stmt, 1, path))
		return store_err(s, err, "bind");
	rc = store_step_row(s, stmt, "such service account", err);
	if (rc == 0)
		read_service(arena, stmt, out);
	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	return rc;
}

int
token_store_services(struct token_store *s, struct arena *arena, struct str below,
    walltime_t now, struct token_service **out_services, size_t *out_count,
    struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_SERVICES];
	struct token_service *all = NULL;
	size_t count = 0, cap = 0;
	int step;

	if (!store_bind_str(stmt, 1, below) || !store_bind_time(stmt, 2, now))
		return store_err(s, err, "bind");
	while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (count == cap) {
			cap = cap == 0 ? 16 : cap * 2;
			all = xreallocarray(all, cap, sizeof(*all));
		}
		read_service(arena, stmt, &all[count++]);
	}
	*out_services = ARENA_ARRAY(arena, count, struct token_service);
	if (count != 0)
		memcpy(*out_services, all, count * sizeof(*all));
	*out_count = count;
	free(all);
	return store_read_end(s, stmt, step, err);
}

int
token_store_service_tokens(struct token_store *s, struct arena *arena, struct str path,
    struct token_record **out_records, size_t *out_count, struct err *err)
{
	return store_read_records(
	    s, arena, STMT_SERVICE_TOKENS, path, out_records, out_count, err);
}

static bool
bind_end(sqlite3_stmt *stmt, struct str path, walltime_t now, struct str by)
{
	return store_bind_str(stmt, 1, path) && store_bind_time(stmt, 2, now) &&
	       store_bind_str(stmt, 3, by);
}

int
token_store_service_remove(struct token_store *s, struct arena *arena, struct str path,
    walltime_t now, struct str by, struct str *out_ids, struct err *err)
{
	sqlite3_stmt *revoke = s->prepared[STMT_SERVICE_REVOKE];
	struct buf ids = {NULL, 0, 0};
	int rc;

	*out_ids = STR("");
	if (!bind_end(revoke, path, now, by) ||
	    !bind_end(s->prepared[STMT_SERVICE_REMOVE], path, now, by))
		return store_err(s, err, "bind");
	rc = store_begin(s, err);
	if (rc != 0)
		return rc;
	rc = store_read_ids(s, revoke, &ids, err);
	if (rc == 0)
		rc = store_run(s, STMT_SERVICE_REMOVE, err);
	if (rc == 0 && sqlite3_changes(s->db) == 0)
		rc = err_set(err, ERR_NOT_FOUND, "no such service account");
	if (rc == 0)
		*out_ids = str_dup(arena, buf_str(&ids));
	buf_free(&ids);
	return store_end(s, rc, err);
}
