/*
 * What the kernel refuses, each test in a network namespace of its own: the operation and
 * the element, of however many there are, and nothing where it was none.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/capability.h>

#include "common/proc.h"
#include "enforcer/engine/plan.h"
#include "nft_namespace.h"

#define MANY 5000 /* elements: more than fit into one message */

static struct table_rule_chain deny = {
    .number = 5000, .action = ACTION_DENY, .comment = "Policy x a.yaml:3"};
static struct table_element rule = {.class_id = 5000, .value = 5000};

static uint32_t
make_table(void)
{
	struct table_content content = {.settings = {.log_group = 100},
	    .rule_chains = &deny,
	    .rule_chain_count = 1};
	struct op_batch batch;

	content.elements[SET_RULES] = &rule;
	content.element_count[SET_RULES] = 1;
	plan_make(arena, NULL, &content, &batch);
	/* Room for what comes. */
	for (int set = 0; set < SET_COUNT; set++)
		((uint32_t *)(uintptr_t)batch.ops[0].room)[set] = 2 * MANY;
	return apply(&batch);
}

/* Elements as the set takes them: number `i`, disjoint from all others. */
static struct table_element
nth(enum table_set_id set, uint32_t i)
{
	const uint8_t bytes[] = {
	    10, (uint8_t)(i >> 12), (uint8_t)(i >> 4), (uint8_t)(i << 4)};
	struct table_element e = {.value = table_sets[set].value != FIELD_NONE ? 7 : 0};

	if (set == SET_RULES) {
		e.class_id = 10000 + i;
		e.value = 5000;
		return e;
	}
	memcpy(e.addr, bytes, sizeof(bytes));
	if (set == SET_PEER4_IN_NET) {
		memcpy(e.addr_end, e.addr, sizeof(e.addr));
		e.addr_end[3] |= 7; /* neighbours do not touch: each has its own end */
	} else if (set == SET_CELL4_IN_RANGE) {
		e.class_id = 1;
		e.proto = PROTO_TCP;
		e.port_lo = 100;
		e.port_hi = 200;
	}
	return e;
}

/* Whatever the kernel has against an element, in the middle of others. */
static void
spoil(enum table_set_id set, struct table_element *elements, size_t at)
{
	if (set == SET_RULES)
		elements[at].value = 5999; /* no such chain */
	else
		elements[at] = elements[at > 0 ? at - 1 : 1];
	if (set == SET_PEER4_IN_NET)
		elements[at].addr[3] += 2; /* partly another's */
}

/* A batch that does something else first. */
static struct op_batch
make_batch(const struct op *op)
{
	static const struct table_element local = {.addr = {10, 9, 9, 9}};
	struct op_batch batch = {.settings = {.log_group = 100}, .count = 2};

	batch.ops = ARENA_ARRAY(arena, 2, struct op);
	batch.ops[0] = (struct op){.kind = OP_ADD,
	    .set = SET_LOCAL4_IN,
	    .elements = &local,
	    .element_count = 1};
	batch.ops[1] = *op;
	return batch;
}

static struct nft_refusal
refused(const struct op *op)
{
	const struct op_batch batch = make_batch(op);
	struct nft_refusal refusal;
	uint32_t generation;

	ck_assert_int_eq(
	    nft_apply(nft, &batch, 0, &generation, &refusal, &err), ERR_SYSTEM);
	return refusal;
}

static const enum table_set_id sets[] = {SET_PEER4_IN, SET_LOCAL4_OUT, SET_CELL4_IN,
    SET_RULES, SET_PEER4_IN_NET, SET_CELL4_IN_RANGE};
static const size_t places[] = {0, 1, 777, MANY - 1};

START_TEST(refused_element_is_the_one_that_is_told)
{
	const enum table_set_id set = sets[_i];

	(void)make_table();
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		size_t at = places[i];
		struct table_element *all =
		    ARENA_ARRAY(arena, MANY, struct table_element);
		struct op op = {
		    .kind = OP_ADD, .set = set, .elements = all, .element_count = MANY};
		struct nft_refusal refusal;

		for (uint32_t n = 0; n < MANY; n++)
			all[n] = nth(set, n);
		spoil(set, all, at);
		refusal = refused(&op);
		ck_assert_uint_eq(refusal.op, 1);
		/* Of two that are the same, or overlap, the second is one too many. */
		ck_assert_uint_eq(
		    refusal.element, at == 0 && set != SET_RULES ? 1 : at);
	}
}
END_TEST

START_TEST(element_that_is_not_there_is_told)
{
	struct table_element all[3] = {
	    nth(SET_PEER4_IN, 0), nth(SET_PEER4_IN, 1), nth(SET_PEER4_IN, 2)};
	struct op op = {.kind = OP_ADD, .set = SET_PEER4_IN, .elements = all};
	struct op_batch batch;
	struct nft_refusal refusal;
	uint32_t generation;

	(void)make_table();
	op.element_count = 2;
	batch = make_batch(&op);
	ck_assert_int_eq(nft_apply(nft, &batch, 0, &generation, &refusal, &err), 0);
	op.kind = OP_DELETE;
	op.element_count = 3;
	batch = make_batch(&op);
	batch.ops[0].kind = OP_DELETE;
	ck_assert_int_eq(
	    nft_apply(nft, &batch, 0, &generation, &refusal, &err), ERR_SYSTEM);
	ck_assert_int_eq(refusal.sys, ENOENT);
	ck_assert_uint_eq(refusal.op, 1);
	ck_assert_uint_eq(refusal.element, 2);
}
END_TEST

/* Nobody's line is to blame for it. */
START_TEST(what_is_of_no_operation_is_told_of_none)
{
	static struct table_rule_chain another = {
	    .number = 5001, .action = ACTION_DENY, .comment = "Policy y a.yaml:4"};
	struct op ops[] = {{.kind = OP_CHAIN_ADD, .chain = &another}};
	const struct op_batch batch = {
	    .settings = {.log_group = 100}, .ops = ops, .count = 1};
	struct nft_refusal refusal = {0};
	uint32_t generation = make_table();

	ck_assert_int_eq(
	    nft_apply(nft, &batch, generation - 1, &generation, &refusal, &err),
	    ERR_STALE);
	ck_assert_uint_eq(refusal.op, NFT_NO_OP);
	ck_assert_ptr_null(plan_place(&batch, refusal.op, refusal.element).source);
}
END_TEST

static bool
is_told(int rc)
{
	bool told = rc == ERR_DENIED && strstr(err.msg, "needs CAP_NET_ADMIN") != NULL;

	if (!told)
		(void)fprintf(stderr, "%d: %s\n", rc, err.msg);
	err = ERR_INIT;
	return told;
}

/* The socket was opened by who had it; its messages are sent by who has not: be it the first,
 * which takes room for it, or another. */
START_TEST(want_of_the_capability_is_told_as_such)
{
	const struct op op = {.kind = OP_ADD, .set = SET_LOCAL4_IN};
	const struct op_batch batch = make_batch(&op);
	struct nft_refusal refusal;
	uint32_t now;
	int status;
	pid_t child;

	if (_i == 1)
		(void)make_table();
	child = fork(); /* what is given up is gone for good */
	if (child == 0)
		_exit(proc_give_up(CAP_NET_ADMIN, &err) == 0 &&
			      is_told(nft_claim(nft, &err)) &&
			      is_told(nft_apply(nft, &batch, 0, &now, &refusal, &err))
			  ? 0
			  : 1);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("nft_refusals");

	tcase_add_loop_test(
	    tc, refused_element_is_the_one_that_is_told, 0, (int)ARRAY_LEN(sets));
	tcase_add_test(tc, element_that_is_not_there_is_told);
	tcase_add_test(tc, what_is_of_no_operation_is_told_of_none);
	tcase_add_loop_test(tc, want_of_the_capability_is_told_as_such, 0, 2);
	return run_suite("nft_refusals", tc);
}
