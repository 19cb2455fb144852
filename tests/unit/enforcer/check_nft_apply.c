/*
 * Changes of a table that is there, in the real kernel: whole or not at all, and rules never
 * see half of what they need.
 */
#include "nft_fixture.h"

START_TEST(apply_changes_nothing_when_one_operation_is_refused)
{
	const struct table_content content = make_content();
	const struct op_batch batch = make_batch(&content);
	const struct table_element fresh = {.addr = {10, 9, 9, 9}};
	const struct op ops[] = {
	    {.kind = OP_ADD,
		.set = SET_LOCAL4_IN,
		.elements = &fresh,
		.element_count = 1},
	    {.kind = OP_ADD,
		.set = SET_CELL4_IN,
		.elements = cell4,
		.element_count = 2},
	};
	const struct op_batch bad = {
	    .ops = (struct op *)(uintptr_t)ops, .count = ARRAY_LEN(ops)};
	struct nft_refusal refusal;
	struct nft_observed seen;
	uint32_t generation;

	(void)apply(&batch);
	ck_assert_int_eq(
	    nft_apply(nft, &bad, 0, &generation, &refusal, &err), ERR_SYSTEM);
	ck_assert_uint_eq(refusal.op, 1);
	ck_assert_int_eq(refusal.sys, EEXIST);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_uint_eq(seen.element_count[SET_LOCAL4_IN], ARRAY_LEN(local4));
}
END_TEST

START_TEST(apply_returns_stale_when_somebody_changed_the_ruleset)
{
	const struct table_content content = make_content();
	const struct op_batch batch = make_batch(&content);
	const struct table_element fresh = {.addr = {10, 9, 9, 9}};
	struct op op = {.kind = OP_ADD,
	    .set = SET_LOCAL4_IN,
	    .elements = &fresh,
	    .element_count = 1};
	const struct op_batch small = {
	    .settings = content.settings, .ops = &op, .count = 1};
	uint32_t generation = apply(&batch);
	uint32_t next;
	struct nft_refusal refusal;

	ck_assert_int_eq(nft_apply(nft, &small, generation, &next, &refusal, &err), 0);
	ck_assert_uint_eq(next, generation + 1);
	free(output_of("nft add table inet other && echo done"));
	op.kind = OP_DELETE;
	ck_assert_int_eq(
	    nft_apply(nft, &small, next, &generation, &refusal, &err), ERR_STALE);
}
END_TEST

START_TEST(apply_splits_elements_that_exceed_one_message)
{
	const struct table_content content = make_content();
	const struct op_batch batch = make_batch(&content);
	const size_t count = 50000;
	struct table_element *many = ARENA_ARRAY(arena, count, struct table_element);
	struct op op = {.kind = OP_ADD,
	    .set = SET_CELL6_IN,
	    .elements = many,
	    .element_count = count};
	const struct op_batch more = {.ops = &op, .count = 1};
	struct nft_observed seen;

	for (size_t i = 0; i < count; i++)
		many[i] = (struct table_element){.class_id = (uint32_t)i + 1,
		    .addr = {0xfd},
		    .proto = 6,
		    .port_lo = 443,
		    .value = 5000};
	(void)apply(&batch);
	(void)apply(&more);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_uint_eq(seen.element_count[SET_CELL6_IN], count);
	op.kind = OP_DELETE;
	(void)apply(&more);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_uint_eq(seen.element_count[SET_CELL6_IN], 0);
}
END_TEST

/* ---- interval sets ---- */

START_TEST(apply_replaces_interval_sets_whole)
{
	const struct table_content content = make_content();
	const struct op_batch batch = make_batch(&content);
	const struct op ops[] = {
	    {.kind = OP_FLUSH, .set = SET_PEER4_IN_NET},
	    {.kind = OP_ADD,
		.set = SET_PEER4_IN_NET,
		.elements = net4 + 1,
		.element_count = 1},
	    {.kind = OP_FLUSH, .set = SET_CELL4_IN_RANGE},
	    {.kind = OP_ADD,
		.set = SET_CELL4_IN_RANGE,
		.elements = range4 + 2,
		.element_count = 1},
	};
	const struct op_batch edit = {
	    .ops = (struct op *)(uintptr_t)ops, .count = ARRAY_LEN(ops)};
	struct nft_observed seen;

	(void)apply(&batch);
	(void)apply(&edit);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_uint_eq(seen.element_count[SET_PEER4_IN_NET], 1);
	ck_assert(table_element_equal(&seen.elements[SET_PEER4_IN_NET][0], &net4[1]));
	ck_assert_uint_eq(seen.element_count[SET_CELL4_IN_RANGE], 1);
	ck_assert(
	    table_element_equal(&seen.elements[SET_CELL4_IN_RANGE][0], &range4[2]));
}
END_TEST

START_TEST(interval_sets_are_replaced_and_rules_are_as_before)
{
	const struct table_content content = make_content();
	const struct op_batch whole = make_batch(&content);
	uint32_t generation = apply(&whole), real;
	struct nft_observed before, seen;

	ck_assert_int_eq(nft_observe(nft, arena, &before, &err), 0);
	for (uint16_t round = 0; round < 4; round++) {
		size_t nets = round == 2 ? 0 : 1;
		struct op_batch batch = intervals(net4, nets, (uint16_t)(1000 + round));

		generation = apply_at(&batch, generation);
		ck_assert_int_eq(nft_generation(nft, &real, &err), 0);
		ck_assert_uint_eq(generation, real); /* nobody else was there */
		ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
		ck_assert_uint_eq(seen.element_count[SET_PEER4_IN_NET], nets);
		ck_assert_uint_eq(seen.element_count[SET_CELL4_IN_RANGE], 1);
		ck_assert_uint_eq(
		    seen.elements[SET_CELL4_IN_RANGE][0].port_lo, 1000 + round);
		ck_assert_uint_eq(seen.element_count[SET_PEER6_OUT_NET], 1);
		ck_assert_mem_eq(seen.rules_digest, before.rules_digest, 32);
	}
}
END_TEST

/* The kernel goes through all of a map for each rule that refers to it and is made anew. */
START_TEST(rules_stay_when_what_they_refer_to_is_not_replaced)
{
	const char *const list = "nft -a list chain inet ringfence ingress4 | "
				 "grep -E 'goto .* handle'";
	const char *const others = "nft -a list chain inet ringfence ingress4 | "
				   "grep -E '@peer4_in .* handle'";
	const struct table_content content = make_content();
	const struct op_batch whole = make_batch(&content);
	struct op_batch batch = intervals(net4, 1, 1000);
	char *before, *all, *others_now, *all_now;

	(void)apply(&whole);
	batch.settings = whole.settings;
	before = output_of(others);
	all = output_of(list);
	(void)apply_at(&batch, 0);
	others_now = output_of(others);
	all_now = output_of(list);
	ck_assert_str_eq(others_now, before);
	ck_assert_str_ne(all_now, all);
	free(before);
	free(all);
	free(others_now);
	free(all_now);
}
END_TEST

/* With a rule too many, none is in its place. */
START_TEST(a_chain_is_made_anew_when_it_is_not_as_it_should_be)
{
	const struct table_content content = make_content();
	const struct op_batch whole = make_batch(&content);
	struct op_batch batch = intervals(net4, 1, 1000);
	struct nft_observed before, seen;

	(void)apply(&whole);
	ck_assert_int_eq(nft_observe(nft, arena, &before, &err), 0);
	free(output_of("nft insert rule inet ringfence ingress4 counter && echo done"));
	batch.settings = whole.settings;
	(void)apply_at(&batch, 0);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_mem_eq(seen.rules_digest, before.rules_digest, 32);
}
END_TEST

/* ---- rules that come with what they are for ---- */

/* Without intervals, limits and names: rules for much of what comes are not there. */
static struct table_content
make_little(void)
{
	struct table_content c = make_content();

	for (size_t i = 0; i < SET_COUNT; i++) {
		const uint32_t without =
		    USE_LIMIT_NEW | USE_LIMIT_OUT | USE_LIMIT_IN | USE_NAMES;

		if (table_sets[i].interval || (table_sets[i].use & without) != 0)
			c.element_count[i] = 0;
	}
	c.settings.uses = table_uses(c.element_count);
	return c;
}

/* Each chain and set on a line, whichever copies there are: those that came later are listed
 * behind. */
#define RULES_AND_SETS                                                                 \
	"nft -t list table inet ringfence | sed '1d; s/_b\\b//g' | tr -d '\\n' | "     \
	"sed 's/}/}\\n/g' | sort | sha256sum"

static void
check_same_table(const char *listed, const struct nft_observed *observed)
{
	char *again = output_of(RULES_AND_SETS);
	struct nft_observed seen;

	ck_assert_str_eq(again, listed);
	free(again);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	for (size_t i = 0; i < SET_COUNT; i++)
		ck_assert_uint_eq(seen.element_count[i], observed->element_count[i]);
}

/* Then they are those of a table made anew; and none is there if anything is refused. */
START_TEST(rules_come_with_the_intervals_that_they_are_for)
{
	const struct table_content content = make_content(), little = make_little();
	const struct op_batch whole = make_batch(&content), first = make_batch(&little);
	const struct op twice = {.kind = OP_ADD,
	    .set = SET_LOCAL4_IN,
	    .elements = local4,
	    .element_count = 1};
	struct nft_observed before, wanted;
	char *listed_before, *listed_wanted;
	struct nft_refusal refusal;
	struct op_batch batch;
	uint32_t generation, real;

	(void)apply(&whole);
	ck_assert_int_eq(nft_observe(nft, arena, &wanted, &err), 0);
	listed_wanted = output_of(RULES_AND_SETS);
	(void)apply(&first);
	ck_assert_int_eq(nft_observe(nft, arena, &before, &err), 0);
	listed_before = output_of(RULES_AND_SETS);
	ck_assert_str_ne(listed_before, listed_wanted);

	plan_make(arena, &little, &content, &batch);
	ck_assert_int_eq(batch.ops[0].kind, OP_RULES);
	batch.ops = memcpy(ARENA_ARRAY(arena, batch.count + 1, struct op), batch.ops,
	    batch.count * sizeof(struct op));
	batch.ops[batch.count++] = twice;
	ck_assert_int_eq(
	    nft_apply(nft, &batch, 0, &generation, &refusal, &err), ERR_SYSTEM);
	ck_assert_int_eq(refusal.sys, EEXIST);
	check_same_table(listed_before, &before);

	batch.count--;
	ck_assert_int_eq(nft_generation(nft, &generation, &err), 0);
	generation = apply_at(&batch, generation);
	ck_assert_int_eq(nft_generation(nft, &real, &err), 0);
	ck_assert_uint_eq(generation, real);
	check_same_table(listed_wanted, &wanted);
	free(listed_before);
	free(listed_wanted);
}
END_TEST

/* The second transaction fails, or the first, because somebody else came first. */
START_TEST(interval_sets_stay_when_something_is_refused)
{
	const struct table_content content = make_content();
	const struct op_batch whole = make_batch(&content);
	struct op_batch batch = intervals(net4, 1, 1000);
	struct op *ops = ARENA_ARRAY(arena, 5, struct op);
	struct nft_refusal refusal;
	struct nft_observed seen;
	uint32_t generation = apply(&whole), now;
	int rc;

	memcpy(ops, batch.ops, batch.count * sizeof(*ops));
	ops[batch.count] = (struct op){.kind = OP_ADD,
	    .set = SET_PEER4_IN,
	    .elements = peer4, /* which is there */
	    .element_count = 1};
	batch.ops = ops;
	batch.count += _i == 0;
	rc = nft_apply(
	    nft, &batch, _i == 0 ? generation : generation - 1, &now, &refusal, &err);
	ck_assert_int_eq(rc, _i == 0 ? ERR_SYSTEM : ERR_STALE);
	ck_assert(_i != 0 || (refusal.op == 4 && refusal.sys == EEXIST));
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_uint_eq(seen.element_count[SET_PEER4_IN_NET], ARRAY_LEN(net4));
	ck_assert_uint_eq(seen.element_count[SET_CELL4_IN_RANGE], ARRAY_LEN(range4));
	/* And it can be done again. */
	batch.count -= _i == 0;
	(void)apply_at(&batch, 0);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_uint_eq(seen.element_count[SET_CELL4_IN_RANGE], 1);
}
END_TEST

/* ---- new chains ---- */

/* A chain, and an element that leads to it; then (`refused`) one that is there. */
static struct op_batch
leads_to_a_new_chain(bool refused)
{
	static const struct table_rule_chain fresh = {
	    .number = 777, .action = ACTION_DENY, .log = true, .comment = "fresh"};
	static const struct table_element leads = {.class_id = 777, .value = 777};
	struct op_batch batch = {.settings = {.log_group = 100, .names_group = 101}};

	batch.ops = ARENA_ARRAY(arena, 3, struct op);
	batch.ops[batch.count++] = (struct op){.kind = OP_CHAIN_ADD, .chain = &fresh};
	batch.ops[batch.count++] = (struct op){
	    .kind = OP_ADD, .set = SET_RULES, .elements = &leads, .element_count = 1};
	batch.ops[batch.count] = (struct op){.kind = OP_ADD,
	    .set = SET_PEER4_IN,
	    .elements = peer4, /* which is there */
	    .element_count = 1};
	batch.count += refused;
	return batch;
}

/* In between a packet that came earlier finds a chain that has its rules already. */
START_TEST(chains_are_there_before_anything_leads_to_them)
{
	const struct table_content content = make_content();
	const struct op_batch whole = make_batch(&content);
	const struct op_batch batch = leads_to_a_new_chain(false);
	uint32_t generation = apply(&whole), real;
	struct nft_observed seen;

	ck_assert_uint_eq(apply_at(&batch, generation), generation + 2);
	ck_assert_int_eq(nft_generation(nft, &real, &err), 0);
	ck_assert_uint_eq(real, generation + 2);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_uint_eq(
	    seen.element_count[SET_RULES], content.element_count[SET_RULES] + 1);
	free(output_of(
	    "nft list chain inet ringfence rule_777 | grep -c fresh | grep -x 1"));
}
END_TEST

START_TEST(chains_go_again_when_what_leads_to_them_is_refused)
{
	const struct table_content content = make_content();
	const struct op_batch whole = make_batch(&content);
	const struct op_batch bad = leads_to_a_new_chain(true);
	const struct op_batch good = leads_to_a_new_chain(false);
	const uint32_t generation = apply(&whole);
	struct nft_refusal refusal;
	struct nft_observed before, seen;
	uint32_t now;

	ck_assert_int_eq(nft_observe(nft, arena, &before, &err), 0);
	ck_assert_int_eq(
	    nft_apply(nft, &bad, generation, &now, &refusal, &err), ERR_SYSTEM);
	ck_assert_uint_eq(refusal.op, 2);
	ck_assert_int_eq(refusal.sys, EEXIST);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_mem_eq(seen.rules_digest, before.rules_digest, 32);
	ck_assert_uint_eq(
	    seen.element_count[SET_RULES], before.element_count[SET_RULES]);
	(void)apply_at(&good, 0);
	free(output_of(
	    "nft list chain inet ringfence rule_777 | grep -c fresh | grep -x 1"));
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("nft_apply");

	tcase_add_test(tc, apply_changes_nothing_when_one_operation_is_refused);
	tcase_add_test(tc, apply_returns_stale_when_somebody_changed_the_ruleset);
	tcase_add_test(tc, apply_splits_elements_that_exceed_one_message);
	tcase_add_test(tc, apply_replaces_interval_sets_whole);
	tcase_add_test(tc, interval_sets_are_replaced_and_rules_are_as_before);
	tcase_add_test(tc, rules_stay_when_what_they_refer_to_is_not_replaced);
	tcase_add_test(tc, a_chain_is_made_anew_when_it_is_not_as_it_should_be);
	tcase_add_test(tc, rules_come_with_the_intervals_that_they_are_for);
	tcase_add_loop_test(tc, interval_sets_stay_when_something_is_refused, 0, 2);
	tcase_add_test(tc, chains_are_there_before_anything_leads_to_them);
	tcase_add_test(tc, chains_go_again_when_what_leads_to_them_is_refused);
	return run_suite("nft_apply", tc);
}
