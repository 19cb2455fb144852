/*
 * The wire form of operation batches: what is written is read back, and nothing that the
 * table could not hold gets through.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/ops.h"

static struct arena *arena;
static struct buf bytes;
static struct err err;

static void
setup(void)
{
	arena = arena_new();
	memset(&bytes, 0, sizeof(bytes));
	err = ERR_INIT;
}

static void
teardown(void)
{
	buf_free(&bytes);
	arena_free(arena);
}

static int
decode(const struct op *ops, size_t count, struct op_batch *out)
{
	const struct op_batch batch = {
	    .settings = {.log_group = 7, .reject = true},
	    .ops = (struct op *)(uintptr_t)ops,
	    .count = count,
	};

	buf_clear(&bytes);
	op_encode(&bytes, &batch);
	return op_decode(arena, (const uint8_t *)bytes.data, bytes.len, out, &err);
}

static int
decode_element(enum table_set_id set, struct table_element element)
{
	const struct op op = {
	    .kind = OP_ADD, .set = set, .elements = &element, .element_count = 1};
	struct op_batch out;

	return decode(&op, 1, &out);
}

START_TEST(decode_returns_the_batch_when_it_is_well_formed)
{
	const struct table_rule_chain chain = {.number = 5000,
	    .action = ACTION_DENY,
	    .log = true,
	    .reset = true,
	    .comment = "a.yaml:3"};
	const struct table_element cell = {.class_id = 9,
	    .addr = {10, 1, 0, 1},
	    .proto = 6,
	    .port_lo = 80,
	    .value = 5000};
	const struct op ops[] = {
	    {.kind = OP_TABLE},
	    {.kind = OP_CHAIN_ADD, .chain = &chain},
	    {.kind = OP_ADD,
		.set = SET_CELL4_IN,
		.elements = &cell,
		.element_count = 1},
	    {.kind = OP_FLUSH, .set = SET_GATE4},
	    {.kind = OP_DELETE,
		.set = SET_CELL4_IN,
		.elements = &cell,
		.element_count = 1},
	    {.kind = OP_CHAIN_REPLACE, .chain = &chain},
	    {.kind = OP_CHAIN_DELETE, .chain = &chain},
	};
	struct op_batch out;

	ck_assert_int_eq(decode(ops, ARRAY_LEN(ops), &out), 0);
	ck_assert_uint_eq(out.count, ARRAY_LEN(ops));
	ck_assert_uint_eq(out.settings.log_group, 7);
	ck_assert(out.settings.reject);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		ck_assert_int_eq(out.ops[i].kind, ops[i].kind);
	ck_assert_uint_eq(out.ops[1].chain->number, 5000);
	ck_assert(out.ops[1].chain->log && out.ops[1].chain->reset);
	ck_assert_str_eq(out.ops[1].chain->comment, "a.yaml:3");
	ck_assert(table_element_equal(&out.ops[2].elements[0], &cell));
	ck_assert_int_eq(out.ops[3].set, SET_GATE4);
}
END_TEST

static const struct {
	const char *what;
	enum table_set_id set;
	struct table_element element;
} bad_elements[] = {
    {"class in a set without", SET_LOCAL4_IN, {.class_id = 1, .addr = {10}}},
    {"IPv6 bytes in an IPv4 set", SET_LOCAL4_IN, {.addr = {10, 0, 0, 1, 1}}},
    {"an end where nothing ranges", SET_LOCAL4_IN, {.addr_end = {10}}},
    {"range backwards", SET_PEER4_IN_NET,
	{.addr = {10, 0, 0, 2}, .addr_end = {10, 0, 0, 1}, .value = 1}},
    {"protocol in a set without", SET_CELL4_IN_ANY, {.proto = 6, .value = 1}},
    {"port in a set without", SET_CELL4_IN_ANY, {.port_lo = 6, .value = 1}},
    {"port range in an exact set", SET_CELL4_IN,
	{.proto = 6, .port_lo = 1, .port_hi = 2, .value = 1}},
    {"port range backwards", SET_CELL4_IN_RANGE,
	{.proto = 6, .port_lo = 2, .port_hi = 1, .value = 1}},
    {"value in a set", SET_KNOWN4, {.addr = {10}, .value = 1}},
    {"no value in a map", SET_CELL4_IN, {.proto = 6, .port_lo = 1}},
};

START_TEST(decode_refuses_an_element_when_the_set_cannot_hold_it)
{
	ck_assert_msg(decode_element(bad_elements[_i].set, bad_elements[_i].element) ==
			  ERR_INVALID,
	    "accepted: %s", bad_elements[_i].what);
}
END_TEST

START_TEST(decode_returns_zero_when_a_peer_is_of_class_0)
{
	ck_assert_int_eq(
	    decode_element(SET_PEER4_IN, (struct table_element){.addr = {10, 1, 0, 1}}),
	    0);
	ck_assert_int_eq(
	    decode_element(SET_PEER6_OUT, (struct table_element){.addr = {0xfd}}), 0);
}
END_TEST

START_TEST(decode_refuses_marks_outside_the_mask)
{
	struct table_rule_chain chain = {
	    .number = 257, .action = ACTION_ALLOW, .mark = 0x00200000, .comment = ""};
	struct op op = {.kind = OP_CHAIN_ADD, .chain = &chain};
	struct op_batch out,
	    batch = {.settings = {.steer_mask = 0x0ff00000}, .ops = &op, .count = 1};

	for (int i = 0; i < 3; i++) {
		chain.mark = i == 1 ? 0x10200000 : 0x00200000;
		chain.action = i == 2 ? ACTION_DENY : ACTION_ALLOW;
		buf_clear(&bytes);
		op_encode(&bytes, &batch);
		ck_assert_int_eq(op_decode(arena, (const uint8_t *)bytes.data,
				     bytes.len, &out, &err),
		    i == 0 ? 0 : ERR_INVALID);
		if (i == 0)
			ck_assert_uint_eq(out.ops[0].chain->mark, 0x00200000);
	}
	ck_assert_int_eq(decode(&op, 1, &out), ERR_INVALID); /* without a mask */
}
END_TEST

START_TEST(decode_refuses_deleting_from_interval_sets)
{
	const struct table_element net = {.addr_end = {255, 255, 255, 255}, .value = 1};
	const struct op op = {.kind = OP_DELETE,
	    .set = SET_PEER4_IN_NET,
	    .elements = &net,
	    .element_count = 1};
	struct op_batch out;

	ck_assert_int_eq(decode(&op, 1, &out), ERR_INVALID);
}
END_TEST

START_TEST(decode_refuses_a_table_that_comes_late)
{
	const struct op ops[] = {
	    {.kind = OP_FLUSH, .set = SET_GATE4}, {.kind = OP_TABLE}};
	struct op_batch out;

	ck_assert_int_eq(decode(ops, 2, &out), ERR_INVALID);
}
END_TEST

static const struct table_rule_chain bad_chains[] = {
    {.number = 0, .action = ACTION_DENY, .comment = ""},
    {.number = 5, .action = ACTION_PASS, .comment = ""},
    {.number = 5, .action = ACTION_DENY, .comment = "a \"quote\""},
    {.number = 5, .action = ACTION_DENY, .comment = "a\nnew line"},
};

START_TEST(decode_refuses_a_chain_when_it_cannot_be_said)
{
	const struct op op = {.kind = OP_CHAIN_ADD, .chain = &bad_chains[_i]};
	struct op_batch out;

	ck_assert_int_eq(decode(&op, 1, &out), ERR_INVALID);
}
END_TEST

START_TEST(decode_fails_when_cut_anywhere)
{
	const struct table_element cell = {.class_id = 9, .addr = {10}, .value = 5000};
	const struct op op = {.kind = OP_ADD,
	    .set = SET_CELL4_IN_ANY,
	    .elements = &cell,
	    .element_count = 1};
	struct op_batch out;
	char *copy;

	ck_assert_int_eq(decode(&op, 1, &out), 0);
	for (size_t len = 0; len < bytes.len; len++) {
		copy =
		    malloc(len + 1); /* exactly as long: the sanitizer sees each step */
		ck_assert_ptr_nonnull(copy);
		memcpy(copy, bytes.data, len);
		ck_assert_int_ne(
		    op_decode(arena, (const uint8_t *)copy, len, &out, &err), 0);
		free(copy);
	}
	buf_add_char(&bytes, 'x');
	ck_assert_int_eq(
	    op_decode(arena, (const uint8_t *)bytes.data, bytes.len, &out, &err),
	    ERR_INVALID);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("ops");
	TCase *tc = tcase_create("ops");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, decode_returns_the_batch_when_it_is_well_formed);
	tcase_add_loop_test(tc, decode_refuses_an_element_when_the_set_cannot_hold_it,
	    0, ARRAY_LEN(bad_elements));
	tcase_add_test(tc, decode_returns_zero_when_a_peer_is_of_class_0);
	tcase_add_test(tc, decode_refuses_deleting_from_interval_sets);
	tcase_add_test(tc, decode_refuses_marks_outside_the_mask);
	tcase_add_test(tc, decode_refuses_a_table_that_comes_late);
	tcase_add_loop_test(tc, decode_refuses_a_chain_when_it_cannot_be_said, 0,
	    ARRAY_LEN(bad_chains));
	tcase_add_test(tc, decode_fails_when_cut_anywhere);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
