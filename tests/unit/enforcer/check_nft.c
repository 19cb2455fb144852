/*
 * The netlink encoder against the real kernel: what it writes is what nft(8) makes of the
 * printed program, and what it reads back is what it wrote.
 */
#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>

#include "nft_fixture.h"

static void
load_text(const struct buf *text)
{
	FILE *f = popen("nft -f -", "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text->data, 1, text->len, f), text->len);
	ck_assert_int_eq(pclose(f), 0);
}

/* Chains are listed in the order in which they were made: compared as a set of blocks. */
static int
compare_blocks(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t
split_blocks(char *listing, char **blocks, size_t max)
{
	size_t count = 0;

	for (char *at = listing; at != NULL && count < max; count++) {
		char *next = strstr(at, "\n\n");

		if (next != NULL) {
			*next = '\0';
			next += 2;
		}
		blocks[count] = at;
		at = next;
	}
	/* The last block has the table's closing brace behind it. */
	blocks[count - 1][strlen(blocks[count - 1]) - 3] = '\0';
	qsort(blocks, count, sizeof(*blocks), compare_blocks);
	return count;
}

/* So many that a set is made with a size. */
static void
add_many(struct table_content *c)
{
	struct table_element *all =
	    ARENA_ARRAY(arena, TABLE_ROOM_FROM, struct table_element);

	for (uint32_t i = 0; i < TABLE_ROOM_FROM; i++)
		all[i] = (struct table_element){
		    .addr = {10, 0, (uint8_t)(i >> 8), (uint8_t)i}, .value = 1 + i % 7};
	c->elements[SET_PEER4_IN] = all;
	c->element_count[SET_PEER4_IN] = TABLE_ROOM_FROM;
}

START_TEST(apply_makes_what_nft_makes_of_the_printed_program)
{
	struct table_content content = make_content();
	struct op_batch batch;
	struct buf text = {NULL, 0, 0};
	char *ours, *printed, *our_blocks[256], *printed_blocks[256];
	const char *listing = LISTING;
	size_t count;

	content.settings.reject = _i == 1;
	if (_i == 2) {
		add_many(&content);
		listing = "nft -t list table inet ringfence"; /* they have no order */
	}
	batch = make_batch(&content);
	batch.ops[0].room = plan_room(arena, &content);
	(void)apply(&batch);
	ours = output_of(listing);
	table_print_nft(&text, &content);
	load_text(&text); /* replaces the table */
	printed = output_of(listing);
	ck_assert_uint_eq(strlen(ours), strlen(printed));
	count = split_blocks(ours, our_blocks, ARRAY_LEN(our_blocks));
	ck_assert_uint_eq(
	    split_blocks(printed, printed_blocks, ARRAY_LEN(printed_blocks)), count);
	ck_assert_uint_gt(count, SET_COUNT);
	ck_assert_int_eq(_i == 2, strstr(text.data, "\t\tsize 24576\n") != NULL);
	for (size_t i = 0; i < count; i++)
		ck_assert_str_eq(our_blocks[i], printed_blocks[i]);
	free(ours);
	free(printed);
	buf_free(&text);
}
END_TEST

START_TEST(listing_loads_again)
{
	const struct table_content content = make_content();
	const struct op_batch batch = make_batch(&content);
	char *before, *after;

	(void)apply(&batch);
	before = output_of(LISTING);
	free(output_of("nft list table inet ringfence > listing.$$ && "
		       "nft delete table inet ringfence && nft -f listing.$$ && "
		       "rm listing.$$ && echo done"));
	after = output_of(LISTING);
	ck_assert_str_eq(before, after);
	free(before);
	free(after);
}
END_TEST

START_TEST(observe_returns_what_was_applied)
{
	const struct table_content content = make_content();
	const struct op_batch batch = make_batch(&content);
	struct nft_observed seen, again;

	(void)apply(&batch);
	ck_assert_msg(nft_observe(nft, arena, &seen, &err) == 0, "%s", err.msg);
	for (size_t s = 0; s < SET_COUNT; s++) {
		ck_assert_msg(seen.element_count[s] == content.element_count[s],
		    "%s: %zu elements, not %zu", table_sets[s].name,
		    seen.element_count[s], content.element_count[s]);
		for (size_t i = 0; i < seen.element_count[s]; i++)
			ck_assert_msg(table_element_equal(&seen.elements[s][i],
					  &content.elements[s][i]),
			    "%s element %zu differs", table_sets[s].name, i);
	}
	ck_assert_uint_eq(seen.rule_chain_count, ARRAY_LEN(chains));
	for (size_t i = 0; i < ARRAY_LEN(chains); i++)
		ck_assert_uint_eq(seen.rule_chains[i], chains[i].number);
	free(output_of("nft add rule inet ringfence forward drop && echo done"));
	ck_assert_int_eq(nft_observe(nft, arena, &again, &err), 0);
	ck_assert_mem_ne(seen.rules_digest, again.rules_digest, 32);
}
END_TEST

START_TEST(observe_rules_tells_the_same_of_rules_and_nothing_of_elements)
{
	const struct table_content content = make_content();
	const struct op_batch batch = make_batch(&content);
	struct nft_observed seen, less;

	ck_assert_int_eq(nft_observe_rules(nft, arena, &less, &err), ERR_NOT_FOUND);
	(void)apply(&batch);
	for (unsigned round = 0; round < 2; round++) {
		ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
		ck_assert_int_eq(nft_observe_rules(nft, arena, &less, &err), 0);
		ck_assert_mem_eq(less.rules_digest, seen.rules_digest, 32);
		ck_assert_uint_eq(less.rule_chain_count, seen.rule_chain_count);
		ck_assert_mem_eq(less.rule_chains, seen.rule_chains,
		    seen.rule_chain_count * sizeof(*seen.rule_chains));
		for (size_t s = 0; s < SET_COUNT; s++)
			ck_assert_uint_eq(less.element_count[s], 0);
		free(
		    output_of("nft add rule inet ringfence forward drop && echo done"));
	}
}
END_TEST

/* A rule whose text is many times what any of ours has. */
static void
add_long_rule(void)
{
	FILE *f = popen("nft -f -", "w"); /* a fixed command of the tests' own */

	ck_assert_ptr_nonnull(f);
	(void)fputs("add rule inet ringfence forward", f);
	for (unsigned i = 0; i < 120; i++)
		(void)fprintf(f, " log prefix \"%0120u\"", i);
	(void)fputs("\n", f);
	ck_assert_int_eq(pclose(f), 0);
}

/* "inner", of Linux 6.2, which libnftnl 1.2.4 does not know: the source address of what is in
 * a VXLAN. */
static void
put_unknown_expr(struct nlmsghdr *header)
{
	enum {
		INNER_NUM = 1,
		INNER_TYPE,
		INNER_FLAGS,
		INNER_HEADER_BYTES,
		INNER_EXPR
	};
	const uint32_t words[][2] = {{INNER_NUM, 0}, {INNER_TYPE, 1}, {INNER_FLAGS, 15},
	    {INNER_HEADER_BYTES, 8}};
	const uint32_t payload[][2] = {{NFTA_PAYLOAD_DREG, NFT_REG_1},
	    {NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER}, {NFTA_PAYLOAD_OFFSET, 12},
	    {NFTA_PAYLOAD_LEN, 4}};
	struct nlattr *list = mnl_attr_nest_start(header, NFTA_RULE_EXPRESSIONS);
	struct nlattr *item = mnl_attr_nest_start(header, NFTA_LIST_ELEM), *data;
	struct nlattr *inner, *inner_data;

	mnl_attr_put_strz(header, NFTA_EXPR_NAME, "inner");
	data = mnl_attr_nest_start(header, NFTA_EXPR_DATA);
	for (size_t i = 0; i < ARRAY_LEN(words); i++)
		mnl_attr_put_u32(header, (uint16_t)words[i][0], htonl(words[i][1]));
	inner = mnl_attr_nest_start(header, INNER_EXPR);
	mnl_attr_put_strz(header, NFTA_EXPR_NAME, "payload");
	inner_data = mnl_attr_nest_start(header, NFTA_EXPR_DATA);
	for (size_t i = 0; i < ARRAY_LEN(payload); i++)
		mnl_attr_put_u32(header, (uint16_t)payload[i][0], htonl(payload[i][1]));
	mnl_attr_nest_end(header, inner_data);
	mnl_attr_nest_end(header, inner);
	mnl_attr_nest_end(header, data);
	mnl_attr_nest_end(header, item);
	mnl_attr_nest_end(header, list);
}

static void
fill_unknown_rule(struct nft_build *b)
{
	struct nlmsghdr *header =
	    nft_build_begin(b, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);

	mnl_attr_put_strz(header, NFTA_RULE_TABLE, TABLE_NAME);
	mnl_attr_put_strz(header, NFTA_RULE_CHAIN, "forward");
	put_unknown_expr(header);
	nft_build_end(b, header);
}

static void
add_unknown_rule(void)
{
	struct nft_refusal refusal;

	ck_assert_msg(
	    nft_run_small(nft, fill_unknown_rule, &refusal, &err) == 0, "%s", err.msg);
}

/* Whatever others put among our rules is seen, can be healed, and hides no counter. */
START_TEST(observe_returns_another_digest_when_a_rule_is_like_none_of_ours)
{
	static void (*const adds[])(void) = {add_long_rule, add_unknown_rule};
	const struct table_content content = make_content();
	const struct op_batch batch = make_batch(&content);
	struct nft_observed before, seen;
	struct nft_counter *counters;
	size_t count;

	(void)apply(&batch);
	ck_assert_int_eq(nft_observe_rules(nft, arena, &before, &err), 0);
	adds[_i]();
	ck_assert_msg(nft_observe_rules(nft, arena, &seen, &err) == 0, "%s", err.msg);
	ck_assert_mem_ne(seen.rules_digest, before.rules_digest, 32);
	ck_assert_uint_eq(seen.rule_chain_count, ARRAY_LEN(chains));
	ck_assert_int_eq(nft_counters(nft, &counters, &count, &err), 0);
	ck_assert_uint_eq(count, ARRAY_LEN(chains));
	free(counters);
	(void)apply(&batch);
	ck_assert_int_eq(nft_observe_rules(nft, arena, &seen, &err), 0);
	ck_assert_mem_eq(seen.rules_digest, before.rules_digest, 32);
}
END_TEST

START_TEST(observe_returns_not_found_when_there_is_no_table)
{
	struct nft_observed seen;

	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), ERR_NOT_FOUND);
}
END_TEST

/* Without what it lacks, everything else is there. */
START_TEST(limits_that_a_kernel_lacks_are_left_out)
{
	const struct table_content content = make_content();
	const struct op_batch batch = make_batch(&content);
	struct nft_observed seen;
	unsigned lacks;
	char *listing;

	ck_assert_msg(nft_find_lacks(nft, &lacks, &err) == 0, "%s", err.msg);
	ck_assert_uint_eq(lacks, 0);
	nft->lacks = _i == 0 ? OP_LACKS_RATES : OP_LACKS_COUNTS;
	(void)apply(&batch);
	listing = output_of(LISTING);
	ck_assert_int_eq(strstr(listing, "limit rate") == NULL, _i == 0);
	ck_assert_int_eq(strstr(listing, "ct count") == NULL, _i == 1);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_uint_eq(seen.rule_chain_count, ARRAY_LEN(chains));
	free(listing);
}
END_TEST

START_TEST(counters_returns_one_of_each_rule_chain)
{
	const struct table_content content = make_content();
	const struct op_batch batch = make_batch(&content);
	struct nft_counter *counters;
	size_t count;

	(void)apply(&batch);
	ck_assert_int_eq(nft_counters(nft, &counters, &count, &err), 0);
	ck_assert_uint_eq(count, ARRAY_LEN(chains));
	for (size_t i = 0; i < ARRAY_LEN(chains); i++)
		ck_assert_uint_eq(counters[i].number, chains[i].number);
	ck_assert_uint_eq(counters[0].packets, 0);
	free(counters);
}
END_TEST

START_TEST(delete_table_returns_zero_with_and_without_a_table)
{
	const struct table_content content = make_content();
	const struct op_batch batch = make_batch(&content);
	struct nft_observed seen;

	(void)apply(&batch);
	ck_assert_int_eq(nft_delete_table(nft, &err), 0);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), ERR_NOT_FOUND);
	ck_assert_int_eq(nft_delete_table(nft, &err), 0);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("nft");

	tcase_add_loop_test(
	    tc, apply_makes_what_nft_makes_of_the_printed_program, 0, 3);
	tcase_add_test(tc, listing_loads_again);
	tcase_add_test(tc, observe_returns_what_was_applied);
	tcase_add_test(
	    tc, observe_rules_tells_the_same_of_rules_and_nothing_of_elements);
	tcase_add_loop_test(
	    tc, observe_returns_another_digest_when_a_rule_is_like_none_of_ours, 0, 2);
	tcase_add_test(tc, observe_returns_not_found_when_there_is_no_table);
	tcase_add_loop_test(tc, limits_that_a_kernel_lacks_are_left_out, 0, 2);
	tcase_add_test(tc, counters_returns_one_of_each_rule_chain);
	tcase_add_test(tc, delete_table_returns_zero_with_and_without_a_table);
	return run_suite("nft", tc);
}
