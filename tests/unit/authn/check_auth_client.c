/*
 * A worker's side of the auth role: however many tokens are in use, the role is told of each.
 */
#include <check.h>
#include <stdlib.h>

#include <uv.h>

#include "authn/auth/auth_client.h"
#include "authn/auth/auth_messages.h"
#include "authn/wire/messages.h"
#include "common/map.h"

#define TOKENS 7000u /* more than one message takes */

static uv_loop_t loop;
static struct auth_client *client;
static struct proc_channel role;
static struct err err = ERR_INIT;

static void
setup(void)
{
	const struct auth_callbacks callbacks = {.revoked = NULL};
	int fds[2];

	ck_assert_int_eq(uv_loop_init(&loop), 0);
	ck_assert_int_eq(proc_pair(fds, false, &err), 0);
	proc_channel_init(&role, fds[1]);
	ck_assert_int_eq(auth_client_new(&loop, fds[0], &callbacks, &client, &err), 0);
}

static void
on_token(void *arg, enum auth_result result, struct identity *id)
{
	ck_assert_int_eq(result, AUTH_ALLOWED);
	ck_assert_ptr_nonnull(id);
	++*(unsigned *)arg;
}

/* The worker asks about a token, and is told that it is good. */
static void
use_token(unsigned number, unsigned *answered)
{
	const struct identity id = {.user = STR("alice")};
	char token[TOKEN_LEN + 1];
	uint8_t random[64] = {0};
	struct token_parts parts;
	struct buf body = {NULL, 0, 0};
	struct proc_msg msg;

	for (unsigned i = 0, rest = number; i < TOKEN_ID_LEN; i++, rest /= 62)
		random[i] = (uint8_t)(rest % 62); /* a digit of the id each */
	token_make(random, token, &parts);
	ck_assert_uint_ne(
	    auth_client_token(client, str_from(token), on_token, answered), 0);
	ck_assert_int_eq(proc_recv(&role, &msg, &err), 1);
	ck_assert_uint_eq(msg.type, MSG_TOKEN_CHECK);
	auth_put_result(&body, AUTH_ALLOWED, &id);
	msg = (struct proc_msg){.type = MSG_TOKEN_RESULT,
	    .id = msg.id,
	    .data = (const uint8_t *)body.data,
	    .len = body.len};
	ck_assert_int_eq(proc_send(&role, &msg, &err), 0);
	(void)uv_run(&loop, UV_RUN_ONCE); /* there is always more to watch for */
	buf_free(&body);
}

START_TEST(every_token_in_use_is_told)
{
	struct arena *arena = arena_new();
	struct map told = {0};
	struct proc_msg msg;
	unsigned answered = 0;

	for (unsigned i = 0; i < TOKENS; i++)
		use_token(i, &answered);
	ck_assert_uint_eq(answered, TOKENS);
	auth_client_free(client);
	ck_assert_int_eq(uv_run(&loop, UV_RUN_DEFAULT), 0);
	ck_assert_int_eq(uv_loop_close(&loop), 0);
	while (proc_recv(&role, &msg, &err) == 1) {
		const char *ids = (const char *)msg.data;

		ck_assert_uint_eq(msg.type, MSG_TOKENS_USED);
		ck_assert_uint_eq(msg.len % TOKEN_ID_LEN, 0);
		for (size_t at = 0; at < msg.len; at += TOKEN_ID_LEN)
			ck_assert_ptr_null(map_set(&told,
			    str_dup(arena, (struct str){ids + at, TOKEN_ID_LEN}),
			    arena));
	}
	ck_assert_uint_eq(told.len, TOKENS);
	map_fini(&told);
	arena_free(arena);
	proc_channel_close(&role);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("auth_client");
	TCase *tc = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tc, 120);
	tcase_add_checked_fixture(tc, setup, NULL);
	tcase_add_test(tc, every_token_in_use_is_told);
	suite_add_tcase(suite, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
