/*
 * Messages between workers and the auth role. The first byte chooses the decoder; what is
 * decoded and encoded again is the same message.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/auth/auth_messages.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
same(const struct proc_msg *msg, struct buf *again)
{
	if (again->len != msg->len ||
	    (msg->len != 0 && memcmp(again->data, msg->data, msg->len) != 0))
		abort();
}

static void
try_result(const struct proc_msg *msg, struct buf *again)
{
	struct identity *id = NULL;
	enum auth_result result;

	if (!auth_get_result(msg, &result, &id)) {
		if (id != NULL)
			abort();
		return;
	}
	if ((result == AUTH_ALLOWED) != (id != NULL))
		abort();
	auth_put_result(again, result, id);
	same(msg, again);
	identity_unref(id);
}

static void
try_answer(const struct proc_msg *msg, struct buf *again)
{
	struct auth_answer answer;

	if (!auth_get_answer(msg, &answer))
		return;
	if (answer.status < 200 || answer.status > 599)
		abort();
	/* A missing reason is written as an empty one. */
	if (answer.reason == NULL)
		answer.reason = "";
	auth_put_answer(again, &answer);
	same(msg, again);
}

static void
try_held(const struct proc_msg *msg, struct buf *again)
{
	walltime_t learnt;
	struct str id;
	size_t count = 0;

	while (auth_get_held(msg, count, &id, &learnt)) {
		auth_put_held(again, id.ptr, learnt);
		count++;
	}
	if (again->len > msg->len || memcmp(again->data, msg->data, again->len) != 0 ||
	    msg->len - again->len >= AUTH_HELD_BYTES)
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct buf again = {NULL, 0, 0};
	struct auth_question question;
	struct token_parts parts;
	struct str user;
	struct proc_msg msg = {.data = data + 1, .len = size - 1};
	struct arena *arena;

	if (size == 0)
		return 0;
	arena = arena_new();
	if (data[0] == 'h' && size > AUTH_HELD_BYTES)
		try_held(&msg, &again);
	if (data[0] == 'a' && auth_get_account(&msg, &user)) {
		buf_clear(&again);
		auth_put_account(&again, user);
		same(&msg, &again);
		if (!identity_user_ok(user))
			abort();
	}
	buf_clear(&again);
	switch (data[0] % 4) {
	case 0:
		if (auth_get_check(&msg, &parts)) {
			auth_put_check(&again, &parts);
			same(&msg, &again);
		}
		break;
	case 1:
		try_result(&msg, &again);
		break;
	case 2:
		/* Flags are bytes of which more than one value means yes. */
		if (auth_get_question(&msg, arena, &question))
			auth_put_question(&again, &question);
		break;
	default:
		try_answer(&msg, &again);
		break;
	}
	buf_free(&again);
	arena_free(arena);
	return 0;
}
