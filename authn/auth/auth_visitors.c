/*
 * Users who come by certificate. A certificate says who, and the directory says what he is now: an
 * account that is looked for when a worker first asks, and then looked at again with those that
 * have tokens (auth_poll.c). Kept in memory, where a new auth role hears from the workers whom
 * they know; and in the store, for when there is no directory to ask, and nobody remembers. What is
 * there counts from when it was so, and is written again when that is an eighth of the grace ago.
 *
 * Of an account that may not be used it is only remembered for `accounts.checkEvery` that it may
 * not: who asks later is looked for anew, by name, as a certificate knows nothing else.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/auth/auth_state.h"
#include "authn/wire/messages.h"
#include "common/log.h"
#include "common/map.h"

#define VISITORS_MAX 10000u
#define ASKERS_MAX   1024u /* for one visitor who is being looked for */
#define IDLE_NS      UINT64_C(600000000000) /* workers ask each minute for whom they know */
#define CLOCKS_NS    INT64_C(60000000000) /* by which those of replicas may differ */

struct asker {
	struct asker *next;
	uint64_t link;
	uint32_t question;
};

struct visitor {
	char name[IDENTITY_USER_BYTES + 1];
	struct identity *identity; /* NULL: nothing is known, or it may not be used */
	bool suspended;    /* it was good before, and has been put on record as not */
	walltime_t stored; /* what the store has was told then; 0: it has nothing */
	monotime_t checked, tried, asked;
	struct asker *askers; /* who wait while it is looked for */
	size_t asker_count;
};

static bool
has_visited(const struct visitor *v)
{
	return v->checked.ns != 0;
}

static void
forget_answer(struct visitor *v)
{
	identity_unref(v->identity);
	v->identity = NULL;
	v->checked.ns = 0;
}

static void
visitor_free(struct visitor *v)
{
	forget_answer(v);
	free(v);
}

/* ---- answers ---- */

static void
tell_askers(struct auth_role *role, struct visitor *v, enum auth_result result)
{
	struct asker *a;

	while ((a = v->askers) != NULL) {
		v->askers = a->next;
		auth_send_result(role, a->link, a->question, result, v->identity);
		free(a);
	}
	v->asker_count = 0;
}

static bool
add_asker(struct visitor *v, uint64_t link, uint32_t question)
{
	struct asker *a;

	if (v->asker_count >= ASKERS_MAX)
		return false;
	a = xcalloc(1, sizeof(*a));
	*a = (struct asker){.next = v->askers, .link = link, .question = question};
	v->askers = a;
	v->asker_count++;
	return true;
}

/* As tokens have it, for the same groups to be the same. */
static struct identity *
identity_of(const struct token_visitor *known)
{
	const struct token_record record = {.owner = known->name,
	    .uid = known->uid,
	    .groups = known->groups,
	    .scopes = STR("[]"),
	    .expires = {INT64_MAX}};

	return token_api_identity(&record);
}

/* ---- the store ---- */

static void
complain(const struct err *err)
{
	log_error("token-store", "detail=%s", log_quote(str_from(err->msg)));
}

/* What the store has of him; false: nothing. */
static bool
recall(struct auth_role *role, struct visitor *v, struct arena *arena,
    struct token_visitor *out)
{
	struct err err = ERR_INIT;
	const int rc =
	    token_store_visitor(role->store, arena, str_from(v->name), out, &err);

	if (rc != 0 && rc != ERR_NOT_FOUND)
		complain(&err);
	return rc == 0;
}

static void
remember(struct auth_role *role, struct visitor *v)
{
	struct arena *arena = arena_new_sized(1024);
	struct token_visitor known;

	if (recall(role, v, arena, &known)) {
		v->stored = known.checked;
		v->suspended = known.suspended;
	}
	arena_free(arena);
}

static void
write_down(struct auth_role *role, struct visitor *v, const struct token_visitor *known)
{
	const walltime_t now = walltime_now();
	struct err err = ERR_INIT;
	int rc;

	if (known == NULL)
		rc =
		    token_store_visitor_deny(role->store, str_from(v->name), now, &err);
	else
		rc = token_store_visitor_put(role->store, known, &err);
	if (rc != 0)
		complain(&err);
	else
		v->stored = now;
}

/* Nobody can be asked: what he was when somebody could, for as long as that counts. */
static void
fall_back(struct auth_role *role, struct visitor *v)
{
	const walltime_t now = walltime_now();
	const monotime_t clock = monotime_now();
	const int64_t grace_ns =
	    (int64_t)(role->settings.ldap.check_grace_s * NS_PER_S);
	struct arena *arena = arena_new_sized(1024);
	struct token_visitor known;
	int64_t age_ns;

	if (recall(role, v, arena, &known) && !known.suspended) {
		age_ns = now.ns - known.checked.ns;
		/* A clock that is ahead gives nobody more time. */
		if (age_ns > -CLOCKS_NS && age_ns < grace_ns)
			v->identity = identity_of(&known);
		if (v->identity != NULL)
			v->checked.ns = age_ns < 0 ? clock.ns
					: (uint64_t)age_ns < clock.ns
					    ? clock.ns - (uint64_t)age_ns
					    : 1;
	}
	arena_free(arena);
	if (v->identity != NULL)
		log_info(
		    "certificate-recalled", "user=%s", log_quote(str_from(v->name)));
}

static void
note(struct auth_role *role, struct visitor *v, bool suspended, bool changed,
    struct str problem)
{
	struct buf reason = {NULL, 0, 0};

	buf_add_cstr(&reason, "certificate");
	if (suspended)
		buf_printf(&reason, ": %.*s", STR_ARG(problem));
	auth_note_account(
	    role, str_from(v->name), suspended, changed, buf_str(&reason));
	buf_free(&reason);
	v->suspended = suspended;
}

/* Whether what the store has is so old that it says too little. */
static bool
is_due(const struct auth_role *role, const struct visitor *v, walltime_t now)
{
	return now.ns - v->stored.ns >
	       (int64_t)(role->settings.ldap.check_grace_s * NS_PER_S / 8);
}

/* What the directory says now. Workers forget what is not so any more. */
static void
judge(struct auth_role *role, struct visitor *v, enum auth_result result,
    const struct directory_user *user, struct str problem)
{
	struct arena *arena;
	struct token_visitor now = {.checked = walltime_now()};
	struct identity *id = NULL;
	bool known, same;

	v->tried = monotime_now();
	if (result == AUTH_UNAVAILABLE)
		return;
	arena = arena_new_sized(1024);
	if (result == AUTH_ALLOWED && str_is(user->name, v->name)) {
		now.name = user->name;
		now.uid = user->uid;
		now.groups = token_api_groups(arena, user->groups, user->group_count);
		id = identity_of(&now);
	} else if (result == AUTH_ALLOWED)
		problem = STR("the directory has the account under another name");
	known = v->identity != NULL;
	same = known && id != NULL && identity_same(id, v->identity);
	if (known && !same)
		auth_forget_account(role, str_from(v->name));
	if (!same || is_due(role, v, now.checked))
		write_down(role, v, id != NULL ? &now : NULL);
	if (id != NULL || known)
		note(role, v, id == NULL, id == NULL || v->suspended, problem);
	else if (!has_visited(v))
		log_info("certificate-refused", "user=%s reason=%s",
		    log_quote(str_from(v->name)), log_quote(problem));
	forget_answer(v);
	v->identity = id;
	v->checked = v->tried;
	arena_free(arena);
}

/* ---- questions ---- */

/* Whether what is known is good for an answer. */
static bool
is_fresh(const struct auth_role *role, const struct visitor *v, monotime_t now)
{
	const uint64_t keep_s = v->identity != NULL
				    ? role->settings.ldap.check_grace_s
				    : role->settings.ldap.check_interval_s;

	return has_visited(v) && monotime_since(v->checked, now) < keep_s * NS_PER_S;
}

static struct visitor *
find_or_add(struct auth_role *role, struct str name)
{
	struct visitor *v = map_get(&role->visitors, name);

	if (v != NULL || role->visitors.len >= VISITORS_MAX)
		return v;
	v = xcalloc(1, sizeof(*v));
	memcpy(v->name, name.ptr, name.len); /* of a valid length: auth_get_account */
	(void)map_set(&role->visitors, str_from(v->name), v); /* nothing is there */
	remember(role, v);
	return v;
}

bool
auth_visitor_ask(struct worker_link *link, const struct proc_msg *msg)
{
	const monotime_t now = monotime_now();
	struct auth_role *role = link->role;
	struct visitor *v;
	struct str name;

	if (!auth_get_account(msg, &name))
		return false;
	role->counters.visitors++;
	v = role->directory != NULL ? find_or_add(role, name) : NULL;
	if (v != NULL)
		v->asked = now;
	if (v != NULL && is_fresh(role, v, now)) {
		auth_send_result(role, link->serial, msg->id,
		    v->identity != NULL ? AUTH_ALLOWED : AUTH_DENIED, v->identity);
		return true;
	}
	if (v == NULL || !add_asker(v, link->serial, msg->id)) {
		auth_send_result(role, link->serial, msg->id, AUTH_UNAVAILABLE, NULL);
		return true;
	}
	if (v->asker_count == 1 && !auth_login_find(role, name))
		tell_askers(role, v, AUTH_UNAVAILABLE);
	return true;
}

void
auth_visitor_found(struct auth_role *role, struct str name, enum auth_result result,
    const struct directory_user *user, struct str problem)
{
	struct visitor *v = map_get(&role->visitors, name);

	if (v == NULL)
		return;
	judge(role, v, result, user, problem);
	if (result == AUTH_UNAVAILABLE && v->identity == NULL)
		fall_back(role, v);
	tell_askers(role, v,
	    v->identity != NULL          ? AUTH_ALLOWED
	    : result == AUTH_UNAVAILABLE ? AUTH_UNAVAILABLE
					 : AUTH_DENIED);
}

/* ---- looking again ---- */

size_t
auth_visitors_due(struct auth_role *role, struct arena *arena,
    struct directory_account *out_accounts, size_t room)
{
	/* Three quarters, as for those with tokens. */
	const uint64_t age_ns = role->settings.ldap.check_interval_s * NS_PER_S / 4 * 3;
	const monotime_t now = monotime_now();
	size_t count = 0;

	for (size_t i = 0; i < role->visitors.len && count < room; i++) {
		struct visitor *v = role->visitors.entries[i].value;

		if (v->identity == NULL || monotime_since(v->tried, now) < age_ns)
			continue;
		out_accounts[count++] = (struct directory_account){
		    .name = str_dup(arena, str_from(v->name)),
		    .uid = str_dup(arena, v->identity->uid)};
	}
	return count;
}

void
auth_visitor_judge(struct auth_role *role, const struct directory_account *account,
    const struct directory_verdict *verdict)
{
	struct visitor *v = map_get(&role->visitors, account->name);

	/* It may have been found anew meanwhile. */
	if (v != NULL && v->identity != NULL && str_eq(v->identity->uid, account->uid))
		judge(role, v, verdict->result, &verdict->user, verdict->problem);
}

void
auth_visitors_tick(struct auth_role *role)
{
	const monotime_t now = monotime_now();

	for (size_t i = role->visitors.len; i > 0; i--) {
		struct visitor *v = role->visitors.entries[i - 1].value;

		if (v->askers != NULL)
			continue;
		/* Nobody knows any more whether the account is what it was. */
		if (v->identity != NULL && !is_fresh(role, v, now)) {
			auth_forget_account(role, str_from(v->name));
			forget_answer(v);
		}
		if (monotime_since(v->asked, now) > IDLE_NS) {
			(void)map_remove(&role->visitors, str_from(v->name)); /* v */
			visitor_free(v);
		}
	}
}
