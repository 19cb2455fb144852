/*
 * Logins: each on one of libuv's threads, because the directory blocks; the loop alone
 * touches the store and the throttle. A login that outlives its time is answered as
 * unavailable and its thread given up; with too many threads lost the role ends, and the monitor
 * starts another.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/auth/auth_state.h"
#include "common/log.h"

#define LOGINS_MAX        128 /* running and waiting; more are refused */
#define LOST_MAX          (LOGIN_THREADS / 2)
#define WATCHDOG_GRACE_NS 2000000000ull /* beyond the login's own time */

/* One login on a thread. Owned by the loop, but for the parts that the thread fills. */
struct login {
	uv_work_t work;
	struct login *next;
	struct auth_role *role;
	uint64_t asker;
	uint32_t question;
	struct arena *arena; /* the thread's while it runs */
	struct str user, source, body;
	struct auth_question about; /* service accounts: `service` and `owners` */
	uint64_t throttle_user;
	bool is_login;
	bool find; /* for auth_visitors.c: without a password */
	struct secret password;
	monotime_t started;
	bool given_up;
	enum auth_result result;
	struct directory_user found;
	struct err err;
};

static void
login_free(struct login *job)
{
	secret_free(&job->password);
	arena_free(job->arena);
	free(job);
}

static void
login_work(uv_work_t *work)
{
	struct login *job = work->data;
	const struct auth_role *role = job->role;

	if (job->find) {
		job->result = directory_find(role->directory, job->arena, job->user,
		    role->settings.ldap.login_timeout_ms, &job->found, &job->err);
		return;
	}
	job->result = directory_login(role->directory, job->arena, job->user,
	    secret_str(&job->password), role->settings.ldap.login_timeout_ms,
	    &job->found, &job->err);
}

static void
answer_denied(struct auth_role *role, uint64_t asker, uint32_t question)
{
	const struct auth_answer answer = {.status = 401,
	    .reason = "Unauthorized",
	    .message = STR("wrong user name or password, or an account that may not "
			   "log in")};

	auth_send_answer(role, asker, question, &answer);
}

/* False: *answer says why not. */
static bool
login_service(struct login *job, struct token_service *out, struct auth_answer *answer)
{
	return auth_service_owner(job->arena, &job->about, job->found.name,
		   job->found.groups, job->found.group_count, answer) &&
	       auth_service_find(job->role, job->arena, &job->about, out, answer);
}

static void
login_issue(struct login *job)
{
	struct auth_role *role = job->role;
	const struct token_terms terms = auth_terms(role, job->is_login);
	struct token_owner owner = {.user = job->found.name,
	    .uid = job->found.uid,
	    .groups = job->found.groups,
	    .group_count = job->found.group_count};
	struct token_service service;
	struct token_request request;
	struct auth_answer answer;
	struct str ended = STR("");
	bool ok = true;

	if (job->about.service.len != 0) {
		ok = login_service(job, &service, &answer);
		owner.service = &service;
	}
	if (ok && token_api_parse(job->arena, job->body, &request, &answer))
		token_api_issue(
		    role->store, job->arena, &owner, &request, &terms, &answer, &ended);
	answer.user = job->found.name;
	auth_answer_written(
	    role, job->asker, job->question, job->arena, &answer, ended);
	job->arena = NULL; /* taken */
}

static void
login_finish(struct login *job)
{
	struct auth_role *role = job->role;

	switch (job->result) {
	case AUTH_ALLOWED:
		role->counters.allowed++;
		throttle_succeeded(role->throttle, job->user, job->source);
		auth_poll_seen(role, &job->found);
		login_issue(job);
		break;
	case AUTH_DENIED:
		role->counters.denied++;
		throttle_failed(role->throttle, job->user, secret_str(&job->password),
		    job->source, monotime_now());
		log_info("login-denied", "user=%s source=%s detail=%s",
		    log_quote(job->user), log_quote(job->source),
		    log_quote(str_from(job->err.msg)));
		answer_denied(role, job->asker, job->question);
		break;
	case AUTH_UNAVAILABLE:
		role->counters.unavailable++;
		log_warn("directory-unavailable", "detail=%s",
		    log_quote(str_from(job->err.msg)));
		auth_answer_unavailable(role, job->asker, job->question);
		break;
	}
}

static void
find_finish(struct login *job)
{
	if (job->result == AUTH_UNAVAILABLE)
		log_warn("directory-unavailable", "detail=%s",
		    log_quote(str_from(job->err.msg)));
	auth_visitor_found(
	    job->role, job->user, job->result, &job->found, str_from(job->err.msg));
}

static void
login_done(uv_work_t *work, int status)
{
	struct login *job = work->data;
	struct login **at = &job->role->logins;

	while (*at != job)
		at = &(*at)->next;
	*at = job->next;
	job->role->login_count--;
	if (status == 0 && !job->given_up && job->find)
		find_finish(job);
	else if (status == 0 && !job->given_up)
		login_finish(job);
	login_free(job);
}

/* Logins of the user that the directory may still refuse. */
static uint32_t
running_of(const struct auth_role *role, struct str user)
{
	const uint64_t name = throttle_user(role->throttle, user);
	uint32_t count = 0;

	for (const struct login *job = role->logins; job != NULL; job = job->next)
		count += job->throttle_user == name;
	return count;
}

/* False: answered already. */
static bool
login_admit(struct auth_role *role, struct worker_link *link, uint32_t question,
    const struct auth_question *q)
{
	struct auth_answer answer = {.status = 429, .reason = "TooManyRequests"};

	if (role->directory == NULL || role->login_count >= LOGINS_MAX) {
		role->counters.unavailable++;
		auth_answer_unavailable(role, link->serial, question);
		return false;
	}
	switch (throttle_check(role->throttle, q->user, running_of(role, q->user),
	    q->password, q->source, monotime_now(), &answer.retry_after_s)) {
	case THROTTLE_GO:
		return true;
	case THROTTLE_KNOWN_WRONG:
		role->counters.denied++;
		answer_denied(role, link->serial, question);
		return false;
	case THROTTLE_WAIT:
		break;
	}
	role->counters.throttled++;
	answer.message = STR("too many failed logins; wait before the next");
	auth_send_answer(role, link->serial, question, &answer);
	return false;
}

static const struct str *
dup_list(struct arena *arena, const struct str *list, size_t count)
{
	struct str *out = ARENA_ARRAY(arena, count, struct str);

	for (size_t i = 0; i < count; i++)
		out[i] = str_dup(arena, list[i]);
	return out;
}

void
auth_login_start(struct auth_role *role, struct worker_link *link, uint32_t question,
    const struct auth_question *q)
{
	struct err err = ERR_INIT;
	struct login *job;

	/* An empty password would be an unauthenticated bind, which succeeds (RFC 4513
	 * 5.1.2); a NUL would cut it short. */
	if (q->user.len == 0 || q->password.len == 0 ||
	    memchr(q->password.ptr, '\0', q->password.len) != NULL) {
		answer_denied(role, link->serial, question);
		return;
	}
	if (!login_admit(role, link, question, q))
		return;
	job = xcalloc(1, sizeof(*job));
	job->arena = arena_new();
	job->role = role;
	job->asker = link->serial;
	job->question = question;
	job->user = str_dup(job->arena, q->user);
	job->throttle_user = throttle_user(role->throttle, q->user);
	job->source = str_dup(job->arena, q->source);
	job->body = str_dup(job->arena, q->argument);
	job->about.service = str_dup(job->arena, q->service);
	job->about.owners = dup_list(job->arena, q->owners, q->owner_count);
	job->about.owner_count = q->owner_count;
	job->is_login = q->login;
	job->started = monotime_now();
	job->work.data = job;
	if (secret_set(&job->password, q->password.ptr, q->password.len, &err) != 0 ||
	    uv_queue_work(&role->loop, &job->work, login_work, login_done) != 0) {
		auth_answer_unavailable(role, link->serial, question);
		login_free(job);
		return;
	}
	job->next = role->logins;
	role->logins = job;
	role->login_count++;
}

bool
auth_login_find(struct auth_role *role, struct str user)
{
	struct login *job;

	if (role->login_count >= LOGINS_MAX)
		return false;
	job = xcalloc(1, sizeof(*job));
	job->arena = arena_new();
	job->role = role;
	job->find = true;
	job->user = str_dup(job->arena, user);
	job->started = monotime_now();
	job->work.data = job;
	if (uv_queue_work(&role->loop, &job->work, login_work, login_done) != 0) {
		login_free(job);
		return false;
	}
	job->next = role->logins;
	role->logins = job;
	role->login_count++;
	return true;
}

void
auth_login_watch(struct auth_role *role)
{
	const uint64_t limit_ns =
	    role->settings.ldap.login_timeout_ms * 1000000ull + WATCHDOG_GRACE_NS;
	const monotime_t now = monotime_now();
	size_t lost = 0;

	for (struct login *job = role->logins; job != NULL; job = job->next) {
		if (monotime_since(job->started, now) < limit_ns)
			continue;
		lost++;
		if (!job->given_up && job->find) {
			auth_visitor_found(role, job->user, AUTH_UNAVAILABLE, NULL,
			    STR("the directory hangs"));
		} else if (!job->given_up) {
			role->counters.unavailable++;
			auth_answer_unavailable(role, job->asker, job->question);
		}
		job->given_up = true;
	}
	lost += role->polls_lost;
	role->lost = lost;
	if (lost >= LOST_MAX) {
		log_error("directory-threads-lost", "count=%zu", lost);
		/* They cannot be stopped; the monitor starts a new role. */
		_Exit(1);
	}
}
