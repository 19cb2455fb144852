/*
 * The wire form of operation batches: what is written is read back, and nothing that the
 * table could not hold gets through.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/wire/ops.h"

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

static uint32_t uses = USE_LIMIT_NEW | USE_VIA;

static int
decode(const struct op *ops, size_t count, struct op_batch *out)
{
	const struct op_batch batch = {
	    .settings = {.log_group = 7,
		.names_group = 8,
		.reject = true,
		.no_nat = true,
		.validate_sources = true,
		.uses = uses},
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
	const uint32_t room[SET_COUNT] = {[SET_PEER6_IN] = 5, [SET_KNOWN4] = 70000};
	const struct op ops[] = {
	    {.kind = OP_TABLE, .room = room},
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
	ck_assert_uint_eq(out.settings.names_group, 8);
	ck_assert(out.settings.reject);
	ck_assert(out.settings.no_nat);
	ck_assert(out.settings.validate_sources);
	ck_assert_uint_eq(out.settings.uses, USE_LIMIT_NEW | USE_VIA);
	for (size_t i = 0; i < ARRAY_LEN(ops); i++)
		ck_assert_int_eq(out.ops[i].kind, ops[i].kind);
	ck_assert_mem_eq(out.ops[0].room, room, sizeof(room));
	ck_assert_uint_eq(out.ops[1].chain->number, 5000);
	ck_assert(out.ops[1].chain->log && out.ops[1].chain->reset);
	ck_assert_str_eq(out.ops[1].chain->comment, "a.yaml:3");
	ck_assert(table_element_equal(&out.ops[2].elements[0], &cell));
	ck_assert_int_eq(out.ops[3].set, SET_GATE4);
}
END_TEST

START_TEST(uses_that_there_are_not_are_refused)
{
	struct op_batch out;

	uses = USE_ALL + 1;
	ck_assert_int_eq(decode(NULL, 0, &out), ERR_INVALID);
	uses = USE_ALL;
	ck_assert_int_eq(decode(NULL, 0, &out), 0);
	uses = USE_LIMIT_NEW | USE_VIA;
}
END_TEST

/* By kind: a bucket of connections, a count, buckets of bytes. */
static const struct table_limit limits[] = {
    {.form = LIMIT_SHARED,
	.kind = NETLIM_RATE,
	.bucket = {.rate = UINT64_C(1) << 33, .unit_s = TABLE_WEEK, .burst = 9},
	.deny = 5,
	.next = 6},
    {.form = LIMIT_OWN, .kind = NETLIM_COUNT, .count = 4, .first = 5, .next = 6},
    {.form = LIMIT_SHARED,
	.kind = NETLIM_IN,
	.bucket = {.rate = 7, .unit_s = 1, .burst = 9, .bytes = true},
	.deny = 5},
    {.form = LIMIT_SHARED, .kind = NETLIM_OUT, .nothing = true, .deny = 5},
};

static int
decode_limit(const struct table_limit *limit, struct op_batch *out)
{
	const struct table_rule_chain chain = {
	    .number = 5000, .action = ACTION_ALLOW, .comment = "", .limit = *limit};
	const struct op op = {.kind = OP_CHAIN_ADD, .chain = &chain};

	return decode(&op, 1, out);
}

START_TEST(decode_returns_a_limit_as_it_was)
{
	struct op_batch out;

	ck_assert_msg(decode_limit(&limits[_i], &out) == 0, "%s", err.msg);
	ck_assert(table_limit_equal(&out.ops[0].chain->limit, &limits[_i]));
}
END_TEST

static void
no_deny(struct table_limit *l)
{
	l->deny = 0;
}

static void
to_first(struct table_limit *l)
{
	l->first = 9;
}

static void
no_rate(struct table_limit *l)
{
	l->bucket.rate = 0;
}

static void
no_burst(struct table_limit *l)
{
	l->bucket.burst = 0;
}

static void
odd_unit(struct table_limit *l)
{
	l->bucket.unit_s = 2;
}

static void
counts(struct table_limit *l)
{
	l->count = 1;
}

static void
no_next(struct table_limit *l)
{
	l->next = 0;
}

static void
no_count(struct table_limit *l)
{
	l->count = 0;
}

static void
bucket(struct table_limit *l)
{
	l->bucket.rate = 1;
}

static void
no_kind(struct table_limit *l)
{
	l->kind = NETLIM_KINDS;
}

static const struct {
	size_t limit;
	void (*spoil)(struct table_limit *l);
} bad_limits[] = {
    {0, no_deny},
    {0, to_first},
    {0, no_rate},
    {0, no_burst},
    {0, odd_unit},
    {0, counts},
    {0, no_kind},
    {1, no_next},
    {1, no_count},
    {1, bucket},
    {3, counts},
    {3, bucket},
};

START_TEST(decode_refuses_a_limit_that_no_kernel_has)
{
	struct table_limit limit = limits[bad_limits[_i].limit];
	struct op_batch out;

	bad_limits[_i].spoil(&limit);
	ck_assert_int_eq(decode_limit(&limit, &out), ERR_INVALID);
}
END_TEST

static const struct {
	const char *what;
	enum table_set_id set;
	struct table_element element;
} bad_elements[] = {
    {"one that only the kernel adds", SET_OWN4_RATE, {.addr = {10}}},
    {"range backwards", SET_PEER4_IN_NET,
	{.addr = {10, 0, 0, 2}, .addr_end = {10, 0, 0, 1}, .value = 1}},
    {"port range backwards", SET_CELL4_IN_RANGE,
	{.proto = 6, .port_lo = 2, .port_hi = 1, .value = 1}},
    {"no value in a map", SET_CELL4_IN, {.proto = 6, .port_lo = 1}},
    {"no family there is", SET_HOST_IN, {.proto = 3}},
    {"no slot there is", SET_PICK_RANDOM,
	{.class_id = 1, .port_lo = TABLE_SLOTS, .value = 1}},
    {"an end without an id", SET_END4, {.addr_end = {10}}},
    {"an end without an address", SET_END6, {.class_id = 1}},
    {"an end without its port", SET_END4_PORT, {.class_id = 1, .addr_end = {10}}},
};

START_TEST(decode_refuses_an_element_when_the_set_cannot_hold_it)
{
	ck_assert_msg(decode_element(bad_elements[_i].set, bad_elements[_i].element) ==
			  ERR_INVALID,
	    "accepted: %s", bad_elements[_i].what);
}
END_TEST

/* What a set cannot hold has no place in what is sent. */
START_TEST(decode_returns_no_more_than_the_set_holds)
{
	struct table_element all = {.class_id = 1,
	    .proto = 2, /* IPv4, where it is a family */
	    .port_lo = 1,
	    .port_hi = 1,
	    .value = 1};
	const struct op op = {.kind = OP_ADD,
	    .set = (enum table_set_id)_i,
	    .elements = &all,
	    .element_count = 1};
	const struct table_set *s = &table_sets[_i];
	uint8_t key[TABLE_KEY_BYTES_MAX], end[TABLE_KEY_BYTES_MAX];
	uint8_t same_key[TABLE_KEY_BYTES_MAX], same_end[TABLE_KEY_BYTES_MAX];
	uint8_t value[TABLE_VALUE_BYTES_MAX], same_value[TABLE_VALUE_BYTES_MAX];
	struct op_batch out;
	const struct table_element *e;

	if (table_set_is_kernels(op.set))
		return; /* nobody sends any */
	memset(all.addr, 3, sizeof(all.addr));
	memset(all.addr_end, 3, sizeof(all.addr_end));
	ck_assert_msg(decode(&op, 1, &out) == 0, "%s: %s", s->name, err.msg);
	e = out.ops[0].elements;
	table_element_key(op.set, &all, key, s->interval ? end : NULL);
	table_element_key(op.set, e, same_key, s->interval ? same_end : NULL);
	ck_assert_mem_eq(key, same_key, table_key_bytes(op.set));
	if (s->interval)
		ck_assert_mem_eq(end, same_end, table_key_bytes(op.set));
	if (s->value != FIELD_NONE && s->value != FIELD_VERDICT) {
		table_element_value(op.set, &all, value);
		table_element_value(op.set, e, same_value);
		ck_assert_mem_eq(value, same_value, table_value_bytes(op.set));
	}
	if (table_key_bytes(op.set) == 4 && s->key[0] == FIELD_IPV4)
		ck_assert_uint_eq(e->class_id + e->addr[4] + e->proto + e->port_lo, 0);
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
	const struct op ops[] = {{.kind = OP_FLUSH, .set = SET_GATE4},
	    {.kind = _i == 0 ? OP_TABLE : OP_RULES}};
	struct op_batch out;

	ck_assert_int_eq(decode(ops, 2, &out), ERR_INVALID);
	ck_assert_int_eq(decode(&ops[1], 1, &out), 0);
	ck_assert_int_eq(out.ops[0].kind, ops[1].kind);
}
END_TEST

static const struct {
	const char *what;
	uint32_t room[SET_COUNT];
} bad_rooms[] = {
    {"of a set of intervals", {[SET_GATE4] = 10}},
    {"too much", {[SET_KNOWN4] = OP_MAX_ROOM + 1}},
    {"too much in all", {[SET_KNOWN4] = OP_MAX_ROOM, [SET_KNOWN6] = 1}},
};

START_TEST(decode_refuses_a_table_when_it_cannot_have_the_room)
{
	const struct op op = {.kind = OP_TABLE, .room = bad_rooms[_i].room};
	struct op_batch out;

	ck_assert_msg(
	    decode(&op, 1, &out) == ERR_INVALID, "accepted: %s", bad_rooms[_i].what);
}
END_TEST

static const struct table_rule_chain bad_chains[] = {
    {.number = 0, .action = ACTION_DENY, .comment = ""},
    {.number = 5, .action = ACTION_PASS, .comment = ""},
    {.number = 5, .action = ACTION_DENY, .comment = "a \"quote\""},
    {.number = 5, .action = ACTION_DENY, .comment = "a\nnew line"},
    {.number = 5, .action = ACTION_DENY, .comment = "a \x7f"},
    {.number = 5, .action = ACTION_DENY, .comment = "caf\xc3\xa9"},
    {.number = 5,
	.action = ACTION_DENY,
	.comment = "0123456789012345678901234567890123456789012345678901234567890123"
		   "0123456789012345678901234567890123456789012345678901234567890123"},
};

START_TEST(decode_refuses_a_chain_when_it_cannot_be_said)
{
	const struct op op = {.kind = OP_CHAIN_ADD, .chain = &bad_chains[_i]};
	struct op_batch out;

	ck_assert_int_eq(decode(&op, 1, &out), ERR_INVALID);
}
END_TEST

/* Before memory is taken for it. */
START_TEST(decode_refuses_a_batch_that_is_too_large)
{
	const struct table_element local = {.addr = {10, 1, 0, 1}};
	const struct op op = {.kind = OP_ADD,
	    .set = SET_LOCAL4_IN,
	    .elements = &local,
	    .element_count = 1};
	const uint32_t count = OP_MAX_ELEMENTS + 1;
	const size_t each = ip_bytes(IP_V4);
	struct op_batch out;
	uint8_t *data;
	size_t head;

	ck_assert_int_eq(decode(&op, 1, &out), 0);
	ck_assert_int_eq(op_decode(arena, (const uint8_t *)bytes.data,
			     (size_t)OP_MAX_BATCH_BYTES + 1, &out, &err),
	    ERR_LIMIT);
	head = bytes.len - each;
	data = calloc(head + count * each, 1);
	ck_assert_ptr_nonnull(data);
	memcpy(data, bytes.data, head);
	memcpy(data + head - sizeof(count), &count, sizeof(count));
	ck_assert_int_eq(
	    op_decode(arena, data, head + count * each, &out, &err), ERR_LIMIT);
	free(data);
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
	tcase_add_test(tc, uses_that_there_are_not_are_refused);
	tcase_add_test(tc, decode_returns_the_batch_when_it_is_well_formed);
	tcase_add_loop_test(tc, decode_returns_a_limit_as_it_was, 0, ARRAY_LEN(limits));
	tcase_add_loop_test(
	    tc, decode_refuses_a_limit_that_no_kernel_has, 0, ARRAY_LEN(bad_limits));
	tcase_add_loop_test(tc, decode_refuses_an_element_when_the_set_cannot_hold_it,
	    0, ARRAY_LEN(bad_elements));
	tcase_add_loop_test(
	    tc, decode_returns_no_more_than_the_set_holds, 0, SET_COUNT);
	tcase_add_test(tc, decode_returns_zero_when_a_peer_is_of_class_0);
	tcase_add_test(tc, decode_refuses_deleting_from_interval_sets);
	tcase_add_test(tc, decode_refuses_marks_outside_the_mask);
	tcase_add_loop_test(tc, decode_refuses_a_table_that_comes_late, 0, 2);
	tcase_add_loop_test(tc, decode_refuses_a_table_when_it_cannot_have_the_room, 0,
	    ARRAY_LEN(bad_rooms));
	tcase_add_loop_test(tc, decode_refuses_a_chain_when_it_cannot_be_said, 0,
	    ARRAY_LEN(bad_chains));
	tcase_add_test(tc, decode_refuses_a_batch_that_is_too_large);
	tcase_add_test(tc, decode_fails_when_cut_anywhere);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
