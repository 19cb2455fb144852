/*
 * Answers that tell of a change: where several gates share, they wait until it is in etcd; the
 * loop does not.
 */
#include <stdlib.h>

#include "authn/auth/auth_state.h"
#include "common/secret.h"

struct written {
	struct auth_role *role;
	uint64_t asker;
	uint32_t question;
	struct arena *arena;
	struct auth_answer answer;
	struct str ids; /* to be forgotten by every worker before it is answered */
};

static void
wipe_body(const struct auth_answer *answer)
{
	if (answer->body.len != 0) /* lies in an arena, and may bear a token */
		secret_wipe((void *)(uintptr_t)answer->body.ptr, answer->body.len);
}

static void
finish(struct written *w)
{
	if (w->ids.len != 0) {
		auth_answer_forgotten(
		    w->role, w->asker, w->question, w->arena, &w->answer, w->ids);
	} else {
		auth_send_answer(w->role, w->asker, w->question, &w->answer);
		wipe_body(&w->answer);
		arena_free(w->arena);
	}
	free(w);
}

static void
on_settled(void *arg, int rc)
{
	struct written *w = arg;
	const struct str user = w->answer.user;

	if (rc != 0) {
		wipe_body(&w->answer);
		token_api_refuse(&w->answer, w->arena, 503, "ServiceUnavailable",
		    "the other gates cannot be told; try again");
		w->answer.retry_after_s = 5;
		w->answer.user = user;
	}
	finish(w);
}

void
auth_answer_written(struct auth_role *role, uint64_t asker, uint32_t question,
    struct arena *arena, const struct auth_answer *answer, struct str ids)
{
	struct written *w = xcalloc(1, sizeof(*w));

	*w = (struct written){.role = role,
	    .asker = asker,
	    .question = question,
	    .arena = arena,
	    .answer = *answer,
	    .ids = ids};
	if (role->share == NULL || answer->status >= 400) {
		finish(w);
		return;
	}
	/* No worker of ours goes on with them, whatever the others know. */
	if (ids.len != 0)
		auth_forget(role, ids);
	token_share_settle(role->share, on_settled, w);
}
