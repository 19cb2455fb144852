/*
 * Accounts that hold live tokens are looked at again and again: within
 * `accounts.checkEvery` a disabled, locked, expired, renamed or deleted account, or one whose
 * groups have changed, is noticed, and its tokens mean nothing, or something else, from the next
 * request on. A directory that does not answer changes nothing until `accounts.grace` is over.
 *
 * One batch at a time, on a thread; between two of them the directory rests for as long as
 * the last one took. Only the loop touches the store.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/auth/auth_state.h"
#include "common/log.h"

#define TICK_MIN_MS  100
#define TICK_MAX_MS  5000
#define BATCH_LOGINS 3                         /* a batch may take as long as so many */
#define TOKENS_MAX   (DIRECTORY_BATCH / 4 * 3) /* of them by tokens */
#define GRACE_NS     2000000000ull
#define AGAIN_MAX_NS 5000000000ull /* after a batch without an answer */
#define STEP_NS      5000000000ll  /* of the clock, that is worth minding */

/* A batch on a thread. Owned by the loop, but for the parts that the thread fills. */
struct poll {
	uv_work_t work;
	struct auth_role *role;
	struct arena *arena; /* the thread's while it runs */
	struct directory_account accounts[DIRECTORY_BATCH];
	struct directory_verdict verdicts[DIRECTORY_BATCH];
	bool suspended[DIRECTORY_BATCH]; /* as the store has it */
	size_t count;
	size_t visitors; /* the last so many: by certificate (auth_visitors.c) */
	bool more;       /* accounts may be due than fitted in */
	monotime_t started;
	bool given_up;
	struct err err;
};

static uint64_t
tick_ms(const struct auth_role *role)
{
	uint64_t ms = role->settings.ldap.check_interval_s * 1000 / 8;

	return ms < TICK_MIN_MS ? TICK_MIN_MS : ms > TICK_MAX_MS ? TICK_MAX_MS : ms;
}

static unsigned
time_ms(const struct auth_role *role)
{
	return role->settings.ldap.login_timeout_ms * BATCH_LOGINS;
}

static void on_poll_timer(uv_timer_t *timer);

/* ---- what came of it ---- */

static struct token_verdict
verdict_of(struct arena *arena, const struct directory_account *account,
    const struct directory_verdict *v)
{
	struct token_verdict out = {.owner = account->name,
	    .uid = account->uid,
	    .known = v->result != AUTH_UNAVAILABLE,
	    .suspended = v->result == AUTH_DENIED,
	    .reason = v->problem,
	    .groups = STR("[]")};

	if (v->result == AUTH_ALLOWED)
		out.groups =
		    token_api_groups(arena, v->user.groups, v->user.group_count);
	return out;
}

static void
count_verdicts(const struct poll *job)
{
	struct auth_counters *n = &job->role->counters;

	for (size_t i = 0; i < job->count; i++) {
		const struct directory_verdict *v = &job->verdicts[i];

		if (!v->tried && v->result == AUTH_UNAVAILABLE)
			continue;
		switch (v->result) {
		case AUTH_ALLOWED:
			n->polled_allowed++;
			break;
		case AUTH_DENIED:
			n->polled_denied++;
			break;
		case AUTH_UNAVAILABLE:
			n->polled_unavailable++;
			break;
		}
		if (i < job->count - job->visitors && v->result != AUTH_UNAVAILABLE)
			auth_note_account(job->role, job->accounts[i].name,
			    v->result == AUTH_DENIED,
			    (v->result == AUTH_DENIED) != job->suspended[i],
			    v->problem);
	}
}

/* Those whose turn did not come are still due. */
static size_t
judged(const struct poll *job, struct token_verdict *out)
{
	size_t count = 0;

	for (size_t i = 0; i < job->count - job->visitors; i++) {
		if (job->verdicts[i].tried)
			out[count++] = verdict_of(
			    job->arena, &job->accounts[i], &job->verdicts[i]);
	}
	return count;
}

static void
judge_visitors(const struct poll *job)
{
	for (size_t i = job->count - job->visitors; i < job->count; i++) {
		if (job->verdicts[i].tried)
			auth_visitor_judge(
			    job->role, &job->accounts[i], &job->verdicts[i]);
	}
}

/* False: nobody's turn came, or the last one's account cannot be judged. */
static bool
is_answered(const struct poll *job)
{
	bool answered = false;

	for (size_t i = 0; i < job->count; i++) {
		if (job->verdicts[i].tried)
			answered = job->verdicts[i].result != AUTH_UNAVAILABLE;
	}
	return answered;
}

static void
write_down(struct auth_role *role, struct arena *arena,
    const struct token_verdict *verdicts, size_t count)
{
	struct err err = ERR_INIT;
	struct str ids;

	if (token_store_judge(
		role->store, arena, verdicts, count, walltime_now(), &ids, &err) != 0)
		log_error("token-store", "detail=%s", log_quote(str_from(err.msg)));
	auth_forget(role, ids);
}

void
auth_poll_seen(struct auth_role *role, const struct directory_user *user)
{
	struct arena *arena = arena_new();
	const struct directory_account account = {.name = user->name, .uid = user->uid};
	const struct directory_verdict v = {.result = AUTH_ALLOWED, .user = *user};
	const struct token_verdict verdict = verdict_of(arena, &account, &v);
	const struct token_account account_key = {
	    .owner = user->name, .uid = user->uid};

	auth_note_account(role, user->name, false,
	    token_store_suspended(role->store, &account_key), STR("a login"));
	write_down(role, arena, &verdict, 1);
	arena_free(arena);
}

static void
poll_finish(struct poll *job)
{
	struct token_verdict verdicts[DIRECTORY_BATCH];
	struct auth_role *role = job->role;
	const monotime_t now = monotime_now();
	uint64_t pause_ns = monotime_since(job->started, now);
	size_t count = judged(job, verdicts);

	count_verdicts(job);
	if (count != 0)
		write_down(role, job->arena, verdicts, count);
	judge_visitors(job);
	if (!is_answered(job)) {
		role->counters.polled_unavailable += count == 0;
		log_warn("accounts-unchecked", "count=%zu detail=%s", job->count,
		    log_quote(str_from(job->err.msg)));
		pause_ns =
		    role->settings.ldap.check_interval_s * (uint64_t)NS_PER_S / 4;
	}
	if (pause_ns > AGAIN_MAX_NS)
		pause_ns = AGAIN_MAX_NS;
	role->poll_again.ns = now.ns + pause_ns;
	/* There may be more. */
	if (job->more && uv_timer_start(&role->poll_timer, on_poll_timer,
			     pause_ns / 1000000 + 1, tick_ms(role)) != 0)
		base_die("cannot start a timer");
}

/* ---- on the thread ---- */

static void
poll_work(uv_work_t *work)
{
	struct poll *job = work->data;

	directory_check(job->role->directory, job->arena, job->accounts, job->count,
	    time_ms(job->role), job->verdicts, &job->err);
}

static void
poll_done(uv_work_t *work, int status)
{
	struct poll *job = work->data;
	struct auth_role *role = job->role;

	if (job->given_up)
		role->polls_lost--;
	else
		role->poll = NULL;
	if (status == 0 && !job->given_up)
		poll_finish(job);
	arena_free(job->arena);
	free(job);
}

static void
poll_begin(struct auth_role *role, const struct token_account *due, size_t count)
{
	const size_t room = DIRECTORY_BATCH - count;
	struct poll *job = xcalloc(1, sizeof(*job));

	job->role = role;
	job->arena = arena_new();
	job->visitors =
	    auth_visitors_due(role, job->arena, job->accounts + count, room);
	job->count = count + job->visitors;
	job->more = count == TOKENS_MAX || job->visitors == room;
	job->started = monotime_now();
	job->work.data = job;
	for (size_t i = 0; i < count; i++) {
		job->accounts[i].name = str_dup(job->arena, due[i].owner);
		job->accounts[i].uid = str_dup(job->arena, due[i].uid);
		job->suspended[i] = due[i].suspended;
	}
	if (job->count == 0 ||
	    uv_queue_work(&role->loop, &job->work, poll_work, poll_done) != 0) {
		arena_free(job->arena);
		free(job);
		return;
	}
	role->poll = job;
}

/* ---- when ---- */

/* Accounts whose grace has ended since the last time: their tokens are asked about again, and
 * the answer is that nobody knows. */
static void
end_grace(struct auth_role *role, struct arena *arena, walltime_t now)
{
	const walltime_t before = {
	    .ns = now.ns - (int64_t)role->settings.ldap.check_grace_s * NS_PER_S};
	struct err err = ERR_INIT;
	struct str ids;

	if (token_store_unchecked(role->store, arena, now, role->unchecked_from, before,
		&ids, &err) != 0) {
		log_error("token-store", "detail=%s", log_quote(str_from(err.msg)));
		return;
	}
	role->unchecked_from = before;
	if (ids.len != 0)
		log_warn("accounts-grace-over", "tokens=%zu", ids.len / TOKEN_ID_LEN);
	auth_forget(role, ids);
}

static void
look(struct auth_role *role, struct arena *arena, walltime_t now)
{
	/* Three quarters, so that with what follows the whole is not passed. */
	const walltime_t before = {
	    .ns = now.ns -
		  (int64_t)role->settings.ldap.check_interval_s * NS_PER_S / 4 * 3};
	struct token_account *due;
	struct err err = ERR_INIT;
	size_t count;

	if (token_store_due(
		role->store, arena, now, before, TOKENS_MAX, &due, &count, &err) != 0)
		log_error("token-store", "detail=%s", log_quote(str_from(err.msg)));
	else
		poll_begin(role, due, count);
}

static void
end_idle(struct auth_role *role, struct arena *arena, walltime_t now)
{
	const walltime_t before = {
	    .ns = now.ns - (int64_t)role->settings.idle_ttl_s * NS_PER_S};
	struct err err = ERR_INIT;
	struct str ids;

	if (token_store_end_idle(role->store, arena, now, before, &ids, &err) != 0)
		log_error("token-store", "detail=%s", log_quote(str_from(err.msg)));
	role->counters.revocations += ids.len / TOKEN_ID_LEN;
	auth_forget(role, ids);
}

/*
 * The store's times are the calendar's, which somebody may set. Set back, accounts would not be due
 * for as long, and the grace of a directory that is away be longer. Set forward, all tokens
 * would have been idle; those in use are seen within a minute.
 */
static void
mind_clock(struct auth_role *role, walltime_t now)
{
	const monotime_t clock = monotime_now();
	const uint64_t passed = monotime_since(role->ticked_clock, clock);
	const bool first = role->ticked_clock.ns == 0;
	const int64_t step = now.ns - role->ticked.ns - (int64_t)passed;
	struct err err = ERR_INIT;

	role->ticked = now;
	role->ticked_clock = clock;
	if (!first && step < STEP_NS && step > -STEP_NS)
		return;
	if (!first)
		log_warn("clock-set", "seconds=%lld", (long long)(step / NS_PER_S));
	if (!first && step > 0)
		role->idle_from.ns =
		    clock.ns + role->settings.idle_ttl_s * (uint64_t)NS_PER_S;
	if ((first || step < 0) && token_store_clock_back(role->store, now, &err) != 0)
		log_error("token-store", "detail=%s", log_quote(str_from(err.msg)));
}

static void
on_poll_timer(uv_timer_t *timer)
{
	struct auth_role *role = timer->data;
	struct arena *arena = arena_new();
	const walltime_t now = walltime_now();

	mind_clock(role, now);
	if (role->settings.idle_ttl_s != 0 && monotime_now().ns >= role->idle_from.ns)
		end_idle(role, arena, now);
	if (role->directory != NULL) {
		end_grace(role, arena, now);
		auth_visitors_tick(role);
		if (role->poll == NULL && monotime_now().ns >= role->poll_again.ns &&
		    role->settings.ldap.bind_dn.len != 0)
			look(role, arena, now);
	}
	arena_free(arena);
}

void
auth_poll_start(struct auth_role *role)
{
	if (uv_timer_init(&role->loop, &role->poll_timer) != 0 ||
	    uv_timer_start(&role->poll_timer, on_poll_timer, 0, tick_ms(role)) != 0)
		base_die("cannot start a timer");
}

void
auth_poll_watch(struct auth_role *role)
{
	struct poll *job = role->poll;

	if (job == NULL || monotime_since(job->started, monotime_now()) <
			       time_ms(role) * 1000000ull + GRACE_NS)
		return;
	log_error("accounts-check-hangs", "count=%zu", job->count);
	job->given_up = true;
	role->polls_lost++;
	role->poll = NULL;
}
