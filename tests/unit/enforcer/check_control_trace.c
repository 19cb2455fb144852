/*
 * What `trace` says of the chains that a packet goes through.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/control/control.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/kernel/trace.h"

static struct engine *engine;

static void
setup(void)
{
	engine = xcalloc(1, sizeof(*engine));
	engine->apply.current = program_make_skeleton(&engine->settings);
	ck_assert(engine->apply.current->ok);
}

static void
teardown(void)
{
	program_free(engine->apply.current);
	free(engine);
}

/* Of a packet that went through it, and was dropped by nobody's rule. */
static void
trace_through(const char *chain, struct buf *out)
{
	struct buf body = {0};
	struct proc_msg msg;

	proc_put_u32(&body, 0);
	proc_put_u32(&body, 1);
	proc_put_str(&body, str_from(chain));
	proc_put_u8(&body, TRACE_DROP);
	proc_put_str(&body, STR(""));
	proc_put_str(&body, STR(""));
	msg = (struct proc_msg){
	    .type = MSG_TRACED, .data = (const uint8_t *)body.data, .len = body.len};
	control_answer_trace(engine, &msg, out);
	buf_free(&body);
}

START_TEST(trace_says_what_each_chain_is_for)
{
	struct buf out = {0};

	for (size_t i = 0; i < table_chain_count; i++) {
		buf_clear(&out);
		trace_through(table_chains[i].name, &out);
		ck_assert_msg(
		    strstr(out.data, "\"meaning\":\"") != NULL, "%s", out.data);
		ck_assert_ptr_null(strstr(strstr(out.data, "meaning") + 1, "meaning"));
	}
	buf_free(&out);
}
END_TEST

START_TEST(trace_says_nothing_of_chains_that_are_not_ours)
{
	static const char *const others[] = {
	    "forwarding", "forward5", "egress", "egress46", "egress4_", "", "rule_1x"};
	struct buf out = {0};

	for (size_t i = 0; i < ARRAY_LEN(others); i++) {
		buf_clear(&out);
		trace_through(others[i], &out);
		ck_assert_msg(strstr(out.data, "meaning") == NULL, "%s", out.data);
	}
	buf_free(&out);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("control_trace");
	TCase *tc = tcase_create("trace");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, trace_says_what_each_chain_is_for);
	tcase_add_test(tc, trace_says_nothing_of_chains_that_are_not_ours);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
