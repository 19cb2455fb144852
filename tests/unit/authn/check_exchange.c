/*
 * The order of things within one exchange.
 */
#include "exchange_fixture.h"

START_TEST(read_is_recorded_once_before_its_end_without_waiting)
{
	struct exchange *x = request("GET", "/api/v1/pods", "Bearer good", true);

	check_story("forward");
	answer(x, 200, "5");
	exchange_up_data(x, "hello", 5);
	ck_assert_uint_eq(take(x), 5); /* nothing is held back */
	ck_assert(!exchange_finished(x));
	exchange_up_end(x);
	check_story("forward respond:200 complete:200 may-end");
	exchange_free(x);
}
END_TEST

START_TEST(change_is_forwarded_once_it_is_on_disk)
{
	struct exchange *x =
	    request("POST", "/api/v1/namespaces/a/pods", "Bearer good", false);

	exchange_request_data(x, "ab", 2);
	check_story("received:0");
	on_disk(true);
	check_story("received:0 disk forward");
	exchange_request_data(x, "cd", 2);
	check_story("received:0 disk forward body");
	exchange_free(x);
	check_story("received:0 disk forward body cancel complete:0");
}
END_TEST

START_TEST(short_answer_to_a_change_waits_for_its_record)
{
	struct exchange *x =
	    request("DELETE", "/api/v1/namespaces/a/pods/b", "Bearer good", true);

	on_disk(true);
	answer(x, 200, "2");
	exchange_up_data(x, "{}", 2);
	exchange_up_end(x);
	check_story("received:0 disk forward complete:200");
	on_disk(true);
	check_story("received:0 disk forward complete:200 disk respond:200");
	ck_assert_uint_eq(take(x), 2);
	ck_assert(exchange_finished(x));
	exchange_free(x);
}
END_TEST

START_TEST(long_answer_to_a_change_keeps_its_last_byte_until_the_record_is_on_disk)
{
	struct exchange *x =
	    request("DELETE", "/api/v1/namespaces/a/pods", "Bearer good", true);

	on_disk(true);
	answer(x, 200, NULL);
	exchange_up_data(x, "0123456789", 10);
	ck_assert_uint_eq(take(x), 9);
	exchange_up_end(x);
	ck_assert_uint_eq(take(x), 0);
	ck_assert(!exchange_finished(x));
	on_disk(true);
	ck_assert_uint_eq(take(x), 1);
	ck_assert(exchange_finished(x));
	exchange_free(x);
}
END_TEST

START_TEST(bodyless_answer_to_a_change_waits_as_a_whole)
{
	struct exchange *x =
	    request("DELETE", "/api/v1/namespaces/a/pods/b", "Bearer good", true);

	on_disk(true);
	answer(x, 204, NULL);
	check_story("received:0 disk forward");
	exchange_up_end(x);
	check_story("received:0 disk forward complete:204");
	on_disk(true);
	check_story("received:0 disk forward complete:204 disk respond:204");
	exchange_free(x);
}
END_TEST

START_TEST(change_that_cannot_be_recorded_is_not_forwarded)
{
	struct exchange *x =
	    request("POST", "/api/v1/namespaces/a/pods", "Bearer good", true);

	on_disk(false);
	check_story("received:0 disk-full complete:503 respond:503");
	ck_assert(str_is(x->message, "the audit log cannot be written"));
	exchange_free(x);
}
END_TEST

START_TEST(nothing_is_forwarded_while_the_log_cannot_be_written)
{
	struct exchange *x;

	audit_writable = false;
	x = request("GET", "/api/v1/pods", "Bearer good", true);
	check_story("complete:503 respond:503");
	exchange_free(x);
	x = request("POST", "/api/v1/namespaces/a/pods", "Bearer good", true);
	check_story("complete:503 respond:503 complete:503 respond:503");
	exchange_free(x);
}
END_TEST

START_TEST(change_whose_end_cannot_be_recorded_does_not_look_done)
{
	struct exchange *x =
	    request("DELETE", "/api/v1/namespaces/a/pods/b", "Bearer good", true);

	on_disk(true);
	answer(x, 200, "2");
	exchange_up_data(x, "{}", 2);
	exchange_up_end(x);
	on_disk(false);
	check_story("received:0 disk forward complete:200 disk-full cut");
	ck_assert(!exchange_finished(x));
	exchange_free(x);
}
END_TEST

START_TEST(denied_change_is_recorded_and_not_forwarded)
{
	struct exchange *x =
	    request("POST", "/api/v1/namespaces/a/secrets", "Bearer good", true);

	check_story("complete:403 respond:403");
	exchange_free(x);
}
END_TEST

START_TEST(exec_streams_without_delay_and_ends_once_recorded)
{
	struct exchange *x = exchange_new(w, &ops, NULL, STR("192.0.2.1"), NULL);
	struct header_list headers = {NULL, 0, 0, 0};

	x->method = STR("GET");
	x->target = STR("/api/v1/namespaces/a/pods/b/exec");
	header_list_add(x->arena, &x->req_headers, STR("host"), STR("h"));
	header_list_add(x->arena, &x->req_headers, STR("authorization"),
	    str_dup(x->arena, STR("Bearer good")));
	header_list_add(x->arena, &x->req_headers, STR("upgrade"), STR("websocket"));
	x->req_ended = true;
	exchange_start(x, true);
	ck_assert(x->upgrade);
	on_disk(true);
	exchange_up_head(x, 101, &headers);
	check_story("received:0 disk forward started:101 respond:101");
	exchange_up_data(x, "k", 1);
	ck_assert_uint_eq(take(x), 1); /* a keystroke is not held back */
	exchange_up_end(x);
	ck_assert(!exchange_finished(x));
	on_disk(true);
	ck_assert(exchange_finished(x));
	exchange_free(x);
}
END_TEST

START_TEST(client_that_leaves_while_asked_who_it_is_cancels_the_question)
{
	struct exchange *x = request("GET", "/api/v1/pods", "Bearer later", true);

	check_story("");
	exchange_free(x);
	check_story("auth-cancelled");
}
END_TEST

START_TEST(late_answer_of_the_auth_role_goes_on)
{
	struct exchange *x = request("GET", "/api/v1/pods", "Bearer later", true);

	token_done(token_arg, AUTH_ALLOWED, alice);
	check_story("forward");
	exchange_free(x);
	check_story("forward cancel complete:0");
}
END_TEST

static const struct {
	const char *authorization, *story;
} credentials[] = {
    {"Bearer bad", "complete:401 respond:401"},
    {"Bearer down", "complete:503 respond:503"},
    {"Basic YWxpY2U6eA==", "complete:401 respond:401"},
};

START_TEST(answer_without_identity_is_401_or_503)
{
	struct exchange *x =
	    request("GET", "/api/v1/pods", credentials[_i].authorization, true);

	check_story(credentials[_i].story);
	exchange_free(x);
}
END_TEST

/* The certificate claims a group that opens nothing; the directory has the one that does. */
static const struct {
	bool accounts;
	enum auth_result state;
	const char *story;
} certificates[] = {
    {true, AUTH_ALLOWED, "forward"},
    {true, AUTH_DENIED, "complete:401 respond:401"},
    {true, AUTH_UNAVAILABLE, "complete:503 respond:503"},
    {false, AUTH_ALLOWED, "complete:403 respond:403"},
};

START_TEST(certificate_is_as_good_as_its_account)
{
	static const struct str groups[] = {
	    {"others", 6}, {"system:authenticated", 20}};
	struct identity certificate = {.refs = 2,
	    .user = STR("alice"),
	    .groups = groups,
	    .group_count = 2,
	    .expires = {INT64_MAX}};
	struct exchange *x;

	w->settings.certificate_accounts = certificates[_i].accounts;
	account_state = certificates[_i].state;
	x = exchange_new(w, &ops, NULL, STR("192.0.2.1"), &certificate);
	x->method = STR("GET");
	x->target = STR("/api/v1/pods");
	header_list_add(x->arena, &x->req_headers, STR("host"), STR("h"));
	x->req_ended = true;
	exchange_start(x, false);
	check_story(certificates[_i].story);
	if (x->id != NULL && account_state == AUTH_ALLOWED) {
		ck_assert(!exchange_signed_out(x, x->received));
		certificate.expires =
		    x->received; /* it ends while the account goes on */
		ck_assert(exchange_signed_out(x, x->received));
	}
	exchange_free(x);
}
END_TEST

START_TEST(login_is_recorded_before_the_auth_role_is_asked)
{
	/* alice:pass:word */
	struct exchange *x =
	    request("POST", "/ringfence/v1/login", "Basic YWxpY2U6cGFzczp3b3Jk", false);

	exchange_request_data(x, "{}", 2);
	exchange_request_end(x);
	check_story("received:0");
	on_disk(true);
	check_story("received:0 disk issue complete:201");
	on_disk(true);
	check_story("received:0 disk issue complete:201 disk respond:201");
	ck_assert_uint_eq(take(x), 13);
	exchange_free(x);
}
END_TEST

START_TEST(body_that_does_not_come_is_not_waited_for)
{
	static const char *const targets[] = {"/ringfence/v1/tokens",
	    "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"};

	for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
		struct exchange *x = request("POST", targets[i], "Bearer good", false);
		uint64_t later = x->progress_ms;

		w->settings.limits.header_ms = 1000;
		exchange_request_data(x, "{", 1);
		later += 900;
		exchange_tick(x, later);
		check_story("");
		later += 200;
		exchange_tick(x, later);
		check_story("complete:408 respond:408");
		ck_assert(x->must_close);
		exchange_free(x);
		buf_clear(&story);
	}
}
END_TEST

START_TEST(client_that_takes_nothing_for_five_minutes_is_let_go)
{
	struct exchange *watch =
	    request("GET", "/api/v1/pods?watch=1", "Bearer good", true);

	answer(watch, 200, NULL);
	buf_clear(&story);
	/* A watch may be silent for as long as it likes. */
	w->loop.time = 3600000;
	exchange_tick(watch, w->loop.time);
	check_story("");
	exchange_up_data(watch, "event", 5);
	exchange_tick(watch, w->loop.time + 299000);
	ck_assert_uint_eq(take(watch), 5);
	w->loop.time += 299500;
	exchange_up_data(watch, "event", 5);
	buf_clear(&story);
	exchange_tick(watch, w->loop.time + 299000);
	check_story("");
	exchange_tick(watch, w->loop.time + 301000);
	check_story("cancel complete:200");
	/* Nor is it waited for that it takes the end. */
	exchange_tick(watch, w->loop.time + 302000);
	check_story("cancel complete:200 cut");
	w->loop.time = 0;
	exchange_free(watch);
}
END_TEST

START_TEST(revocation_ends_a_watch_as_if_it_were_over_and_cuts_others)
{
	struct exchange *watch =
	    request("GET", "/api/v1/pods?watch=1", "Bearer good", true);
	struct exchange *list = request("GET", "/api/v1/pods", "Bearer good", true);

	answer(watch, 200, NULL);
	answer(list, 200, NULL);
	buf_clear(&story);
	exchange_end_stream(watch, "revoked");
	check_story("cancel complete:200 may-end");
	buf_clear(&story);
	exchange_end_stream(list, "revoked");
	check_story("cancel complete:200 cut");
	exchange_free(watch);
	exchange_free(list);
}
END_TEST

START_TEST(broken_upstream_is_503_or_a_cut_answer)
{
	struct exchange *read = request("GET", "/api/v1/pods", "Bearer good", true);
	struct exchange *half = request("GET", "/api/v1/pods", "Bearer good", true);

	buf_clear(&story);
	exchange_up_failed(read, UPSTREAM_BROKEN, "reset");
	check_story("complete:503 respond:503");
	ck_assert_ptr_nonnull(header_find(&read->res_headers, HEADER_CONTENT_TYPE));
	exchange_tick(read, read->progress_ms); /* its client has the time to take it */
	check_story("complete:503 respond:503");
	answer(half, 200, "10");
	exchange_up_data(half, "01234", 5);
	buf_clear(&story);
	exchange_up_failed(half, UPSTREAM_BROKEN, "reset");
	check_story("complete:200 cut");
	exchange_free(read);
	exchange_free(half);
}
END_TEST

START_TEST(request_with_a_body_is_told_to_go_ahead_when_it_is_admitted)
{
	struct exchange *x = exchange_new(w, &ops, NULL, STR("192.0.2.1"), NULL);

	x->method = STR("POST");
	x->target = STR("/api/v1/namespaces/a/pods");
	header_list_add(x->arena, &x->req_headers, STR("host"), STR("h"));
	header_list_add(x->arena, &x->req_headers, STR("expect"), STR("100-continue"));
	header_list_add(x->arena, &x->req_headers, STR("authorization"),
	    str_dup(x->arena, STR("Bearer good")));
	exchange_start(x, false);
	check_story("received:0");
	on_disk(true);
	check_story("received:0 disk go-ahead forward");
	exchange_free(x);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("exchange");
	TCase *tc = tcase_create("exchange");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, read_is_recorded_once_before_its_end_without_waiting);
	tcase_add_test(tc, change_is_forwarded_once_it_is_on_disk);
	tcase_add_test(tc, short_answer_to_a_change_waits_for_its_record);
	tcase_add_test(tc,
	    long_answer_to_a_change_keeps_its_last_byte_until_the_record_is_on_disk);
	tcase_add_test(tc, bodyless_answer_to_a_change_waits_as_a_whole);
	tcase_add_test(tc, change_that_cannot_be_recorded_is_not_forwarded);
	tcase_add_test(tc, nothing_is_forwarded_while_the_log_cannot_be_written);
	tcase_add_test(tc, change_whose_end_cannot_be_recorded_does_not_look_done);
	tcase_add_test(tc, denied_change_is_recorded_and_not_forwarded);
	tcase_add_test(tc, exec_streams_without_delay_and_ends_once_recorded);
	tcase_add_test(
	    tc, client_that_leaves_while_asked_who_it_is_cancels_the_question);
	tcase_add_test(tc, late_answer_of_the_auth_role_goes_on);
	tcase_add_loop_test(
	    tc, answer_without_identity_is_401_or_503, 0, (int)ARRAY_LEN(credentials));
	tcase_add_loop_test(
	    tc, certificate_is_as_good_as_its_account, 0, (int)ARRAY_LEN(certificates));
	tcase_add_test(tc, login_is_recorded_before_the_auth_role_is_asked);
	tcase_add_test(tc, body_that_does_not_come_is_not_waited_for);
	tcase_add_test(tc, client_that_takes_nothing_for_five_minutes_is_let_go);
	tcase_add_test(tc, revocation_ends_a_watch_as_if_it_were_over_and_cuts_others);
	tcase_add_test(tc, broken_upstream_is_503_or_a_cut_answer);
	tcase_add_test(tc, request_with_a_body_is_told_to_go_ahead_when_it_is_admitted);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
