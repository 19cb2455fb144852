/*
 * The store's memory of accounts: when the directory was last asked about each, what it
 * said, and which tokens that concerns.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/token/token_store_internal.h"

int
store_read_end(struct token_store *s, sqlite3_stmt *stmt, int step, struct err *err)
{
	int rc = step == SQLITE_DONE ? 0 : store_err(s, err, "read");

	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	return rc;
}

int
store_read_ids(
    struct token_store *s, sqlite3_stmt *stmt, struct buf *ids, struct err *err)
{
	int step;

	while ((step = sqlite3_step(stmt)) == SQLITE_ROW) {
		if (sqlite3_column_bytes(stmt, 0) == TOKEN_ID_LEN)
			buf_add(ids, sqlite3_column_text(stmt, 0), TOKEN_ID_LEN);
	}
	return store_read_end(s, stmt, step, err);
}

int
token_store_due(struct token_store *s, struct arena *arena, walltime_t now,
    walltime_t before, size_t limit, struct token_account **out_accounts,
    size_t *out_count, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_ACCOUNT_DUE];
	struct token_account *all = ARENA_ARRAY(arena, limit, struct token_account);
	size_t count = 0;
	int step;

	*out_accounts = all;
	*out_count = 0;
	if (!store_bind_time(stmt, 1, now) || !store_bind_time(stmt, 2, before) ||
	    sqlite3_bind_int64(stmt, 3, (sqlite3_int64)limit) != SQLITE_OK)
		return store_err(s, err, "bind");
	while ((step = sqlite3_step(stmt)) == SQLITE_ROW && count < limit) {
		all[count].owner = store_column_str(arena, stmt, 0);
		all[count].uid = store_column_str(arena, stmt, 1);
		all[count++].suspended = sqlite3_column_int(stmt, 2) != 0;
	}
	*out_count = count;
	return store_read_end(s, stmt, step, err);
}

bool
token_store_suspended(struct token_store *s, const struct token_account *account)
{
	sqlite3_stmt *stmt = s->prepared[STMT_ACCOUNT_GET];
	const bool suspended = store_bind_str(stmt, 1, account->owner) &&
			       store_bind_str(stmt, 2, account->uid) &&
			       sqlite3_step(stmt) == SQLITE_ROW &&
			       sqlite3_column_int(stmt, 0) != 0;

	(void)sqlite3_reset(stmt); /* repeats the error of the step */
	return suspended;
}

static int
bind_account(struct token_store *s, sqlite3_stmt *stmt, const struct token_verdict *v,
    struct err *err)
{
	return store_bind_str(stmt, 1, v->owner) && store_bind_str(stmt, 2, v->uid)
		   ? 0
		   : store_err(s, err, "bind");
}

/* The tokens that the verdict changes; asked before it is written. */
static int
changed_ids(struct token_store *s, const struct token_verdict *v, walltime_t now,
    struct buf *ids, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_ACCOUNT_IDS];

	if (bind_account(s, stmt, v, err) != 0)
		return err->code;
	if (!store_bind_time(stmt, 3, now) ||
	    sqlite3_bind_int(stmt, 4, v->suspended) != SQLITE_OK ||
	    !store_bind_str(stmt, 5, v->groups))
		return store_err(s, err, "bind");
	return store_read_ids(s, stmt, ids, err);
}

static int
write_verdict(struct token_store *s, const struct token_verdict *v, walltime_t now,
    bool changes, struct err *err)
{
	const walltime_t changed = {changes ? now.ns : 0};
	sqlite3_stmt *judge = s->prepared[STMT_ACCOUNT_JUDGE];
	sqlite3_stmt *groups = s->prepared[STMT_ACCOUNT_GROUPS];
	int rc = bind_account(s, judge, v, err);

	if (rc == 0 && (!store_bind_time(judge, 3, now) ||
			   sqlite3_bind_int(judge, 4, v->suspended) != SQLITE_OK ||
			   !store_bind_str(judge, 5, v->reason) ||
			   !store_bind_time(judge, 6, changed)))
		rc = store_err(s, err, "bind");
	if (rc == 0)
		rc = store_run(s, STMT_ACCOUNT_JUDGE, err);
	if (rc != 0 || v->suspended)
		return rc;
	rc = bind_account(s, groups, v, err);
	if (rc == 0 && !store_bind_str(groups, 3, v->groups))
		rc = store_err(s, err, "bind");
	return rc == 0 ? store_run(s, STMT_ACCOUNT_GROUPS, err) : rc;
}

static int
judge_one(struct token_store *s, const struct token_verdict *v, walltime_t now,
    struct buf *ids, struct err *err)
{
	sqlite3_stmt *tried = s->prepared[STMT_ACCOUNT_TRIED];
	int rc;

	if (v->known) {
		const size_t before = ids->len;

		rc = changed_ids(s, v, now, ids, err);
		return rc == 0 ? write_verdict(s, v, now, ids->len != before, err) : rc;
	}
	rc = bind_account(s, tried, v, err);
	if (rc == 0 && !store_bind_time(tried, 3, now))
		rc = store_err(s, err, "bind");
	return rc == 0 ? store_run(s, STMT_ACCOUNT_TRIED, err) : rc;
}

int
token_store_judge(struct token_store *s, struct arena *arena,
    const struct token_verdict *verdicts, size_t count, walltime_t now,
    struct str *out_ids, struct err *err)
{
	struct buf ids = {NULL, 0, 0};
	int rc = store_begin(s, err);

	*out_ids = STR("");
	if (rc != 0)
		return rc;
	for (size_t i = 0; i < count && rc == 0; i++)
		rc = judge_one(s, &verdicts[i], now, &ids, err);
	/* Whether it stands is not sure when writing it fails: whoever is told asks again. */
	if (rc == 0)
		*out_ids = str_dup(arena, buf_str(&ids));
	buf_free(&ids);
	return store_end(s, rc, err);
}

int
token_store_unchecked(struct token_store *s, struct arena *arena, walltime_t now,
    walltime_t after, walltime_t before, struct str *out_ids, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_ACCOUNT_UNCHECKED];
	struct buf ids = {NULL, 0, 0};
	int rc;

	*out_ids = STR("");
	if (!store_bind_time(stmt, 1, now) || !store_bind_time(stmt, 2, after) ||
	    !store_bind_time(stmt, 3, before))
		return store_err(s, err, "bind");
	rc = store_read_ids(s, stmt, &ids, err);
	if (rc == 0)
		*out_ids = str_dup(arena, buf_str(&ids));
	buf_free(&ids);
	return rc;
}

int
token_store_clock_back(struct token_store *s, walltime_t now, struct err *err)
{
	int rc;

	if (!store_bind_time(s->prepared[STMT_ACCOUNT_CLOCK], 1, now) ||
	    !store_bind_time(s->prepared[STMT_USED_CLOCK], 1, now))
		return store_err(s, err, "bind");
	rc = store_run(s, STMT_ACCOUNT_CLOCK, err);
	return rc == 0 ? store_run(s, STMT_USED_CLOCK, err) : rc;
}

int
token_store_end_idle(struct token_store *s, struct arena *arena, walltime_t now,
    walltime_t before, struct str *out_ids, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_IDLE];
	struct buf ids = {NULL, 0, 0};
	int rc;

	*out_ids = STR("");
	if (!store_bind_time(stmt, 1, now) || !store_bind_time(stmt, 2, before))
		return store_err(s, err, "bind");
	rc = store_read_ids(s, stmt, &ids, err);
	if (rc == 0 && ids.len != 0) {
		*out_ids = str_dup(arena, buf_str(&ids));
		store_tell(s);
	}
	buf_free(&ids);
	return rc;
}

int
token_store_counts(
    struct token_store *s, walltime_t now, struct token_counts *out, struct err *err)
{
	sqlite3_stmt *stmt = s->prepared[STMT_ACCOUNT_COUNTS];
	int step;

	*out = (struct token_counts){0};
	if (!store_bind_time(stmt, 1, now))
		return store_err(s, err, "bind");
	step = sqlite3_step(stmt);
	if (step == SQLITE_ROW) {
		out->accounts = (uint64_t)sqlite3_column_int64(stmt, 0);
		out->suspended = (uint64_t)sqlite3_column_int64(stmt, 1);
		out->oldest.ns = sqlite3_column_int64(stmt, 2);
		step = SQLITE_DONE;
	}
	return store_read_end(s, stmt, step, err);
}
