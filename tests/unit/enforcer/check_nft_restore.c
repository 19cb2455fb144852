/*
 * A table made again over one that is there, whatever others have made of it: in place, with
 * what was used of limits, and anew only where that cannot be.
 */
#include "nft_fixture.h"

/* ---- limits ---- */

/* "[...]": the rules of a chain as they were made, each with its handle. */
static char *
handles_of(const char *chain)
{
	char command[128];

	(void)snprintf(command, sizeof(command),
	    "nft -a list chain inet ringfence %s | grep handle", chain); /* fits */
	return output_of(command);
}

START_TEST(restore_keeps_what_was_used_of_limits)
{
	struct table_content content = make_content();
	struct op_batch batch = make_batch(&content);
	char *before[2], *after[2];

	(void)apply(&batch);
	before[0] = handles_of("rule_5012");
	before[1] = handles_of("rule_5014");
	chains[6].limit.count++; /* 5014 */
	(void)apply(&batch);
	after[0] = handles_of("rule_5012");
	after[1] = handles_of("rule_5014");
	chains[6].limit.count--;
	ck_assert_str_eq(before[0], after[0]);
	ck_assert_str_ne(before[1], after[1]);
	for (size_t i = 0; i < ARRAY_LEN(before); i++) {
		free(before[i]);
		free(after[i]);
	}
}
END_TEST

/* One that others changed is not taken for ours. */
START_TEST(restore_does_not_keep_a_limit_that_others_changed)
{
	struct table_content content = make_content();
	struct op_batch batch = make_batch(&content);
	struct nft_observed seen, again;

	(void)apply(&batch);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	free(
	    output_of("nft flush chain inet ringfence rule_5012 && "
		      "nft add rule inet ringfence rule_5012 limit rate over "
		      "501/second burst 1000 packets goto rule_5000 && "
		      "nft add rule inet ringfence rule_5012 counter goto rule_5015 && "
		      "echo done"));
	(void)apply(&batch);
	ck_assert_int_eq(nft_observe(nft, arena, &again, &err), 0);
	ck_assert_uint_eq(again.rule_chain_count, ARRAY_LEN(chains));
	free(output_of(
	    "nft list chain inet ringfence rule_5012 | grep 'over 500/second'"));
}
END_TEST

/* ---- tables that others changed ---- */

/* What may be wrong with a table that is there, and all the same becomes ours in place. */
static const char *const wrongs[] = {
    "nft list tables",
    "nft add chain inet ringfence forward2 "
    "'{ type filter hook forward priority 7; policy drop; }'",
    "nft 'add set inet ringfence theirs { type ipv4_addr; }; "
    "add chain inet ringfence foreign; add chain inet ringfence further; "
    "add rule inet ringfence foreign ip saddr @theirs jump further; "
    "add map inet ringfence their_map { type ipv4_addr : verdict; "
    "elements = { 10.0.0.1 : goto foreign } }; "
    "insert rule inet ringfence forward ip saddr vmap @their_map; "
    "insert rule inet ringfence forward tcp dport { 1, 2 } accept'",
    "nft 'add map inet ringfence peer4_in_net_b { type ipv4_addr : classid; "
    "flags interval; }; add set inet ringfence gate6_b { type ipv6_addr; "
    "flags interval; }'",
    "nft 'flush table inet ringfence; delete map inet ringfence peer4_in_net; "
    "delete map inet ringfence peer6_in; delete set inet ringfence gate4'",
    "nft add table inet ringfence '{ flags dormant; }'",
    "nft add chain inet ringfence forward '{ policy drop; }'",
};

/* A table that is made anew has another handle. */
#define HANDLE "nft -a -t list table inet ringfence | head -1"

static void
check_output(const char *command, const char *wanted)
{
	char *said = output_of(command);

	ck_assert_str_eq(said, wanted);
	free(said);
}

/* In the table that is there: another program, chains kept and gone, counters going on;
 * where there is none, it is made. */
START_TEST(table_becomes_another_in_place)
{
	const struct table_content content = make_content();
	struct op_batch whole = make_batch(&content);
	struct table_content other = content;
	struct op_batch again;
	struct nft_observed before, seen;
	char command[1024], *handle;

	(void)apply(&whole); /* nothing is there */
	ck_assert_int_eq(nft_observe(nft, arena, &before, &err), 0);
	handle = output_of(HANDLE);
	(void)snprintf(command, sizeof(command), "%s && echo done", wrongs[_i]);
	free(output_of(command));
	other.rule_chain_count--; /* rule_6000 goes, and what refers to it */
	other.element_count[SET_RULES]--;
	other.element_count[SET_PEER4_IN_NET] = 1;
	again = make_batch(&other);
	(void)apply(&again);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_uint_eq(seen.rule_chain_count, ARRAY_LEN(chains) - 1);
	ck_assert_uint_eq(seen.element_count[SET_PEER4_IN_NET], 1);
	ck_assert_uint_eq(seen.element_count[SET_CELL4_IN_RANGE], ARRAY_LEN(range4));
	(void)apply(&whole);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	for (size_t s = 0; s < SET_COUNT; s++)
		ck_assert_uint_eq(seen.element_count[s], content.element_count[s]);
	ck_assert_mem_eq(seen.rules_digest, before.rules_digest, 32);
	check_output(HANDLE, handle);
	free(handle);
	check_output("nft -t list table inet ringfence | "
		     "grep -c -E 'forward2|foreign|further|theirs|their_map' "
		     "|| echo none",
	    "0\nnone\n");
}
END_TEST

/* What has the name of something of ours and is something else: in the table that is there. */
START_TEST(table_with_other_kinds_becomes_ours_in_place)
{
	static const char *const others[] = {
	    "nft 'delete table inet ringfence; add table inet ringfence; "
	    "add set inet ringfence gate4 { type inet_service; }'",
	    "nft 'flush table inet ringfence; delete chain inet ringfence forward; "
	    "add chain inet ringfence forward "
	    "{ type filter hook forward priority 77; }'"};
	const struct table_content content = make_content();
	const struct op_batch whole = make_batch(&content);
	struct nft_observed seen;
	char command[512], *handle;

	(void)apply(&whole);
	(void)snprintf(command, sizeof(command), "%s && echo done", others[_i]);
	free(output_of(command));
	handle = output_of(HANDLE);
	(void)apply(&whole);
	check_output(HANDLE, handle);
	free(handle);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	for (size_t s = 0; s < SET_COUNT; s++)
		ck_assert_uint_eq(seen.element_count[s], content.element_count[s]);
	ck_assert_uint_eq(seen.rule_chain_count, ARRAY_LEN(chains));
	check_output("nft list chain inet ringfence forward | "
		     "grep -o 'hook forward priority filter - 10; policy accept'",
	    "hook forward priority filter - 10; policy accept\n");
	check_output(
	    "nft list chain inet ringfence forward | grep -c 'first6\\|forward4'",
	    "2\n");
}
END_TEST

/* A table that is there, and has no chains, is none. */
START_TEST(table_without_chains_is_not_there)
{
	struct nft_observed seen;

	free(output_of("nft 'add table inet ringfence; delete table inet ringfence; "
		       "add table inet ringfence' && echo done"));
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), ERR_NOT_FOUND);
}
END_TEST

/* ---- sets with room, and twice ---- */

/* Elements of a set that was made for so many, no more. */
static struct op_batch
known(const struct table_element *elements, size_t count)
{
	struct op_batch batch = {.settings.log_group = 100, .count = 1};

	batch.ops = ARENA_NEW(arena, struct op);
	batch.ops[0] = (struct op){.kind = OP_ADD,
	    .set = SET_KNOWN4,
	    .elements = elements,
	    .element_count = count};
	return batch;
}

START_TEST(set_takes_what_it_has_room_for_and_restore_gives_it_more)
{
	struct table_element more[] = {
	    {.addr = {10, 9, 0, 1}}, {.addr = {10, 9, 0, 2}}, {.addr = {10, 9, 0, 3}}};
	uint32_t room[SET_COUNT] = {[SET_PEER4_IN] = 100};
	struct table_content content = make_content();
	struct op_batch whole = make_batch(&content), batch = known(more, 3);
	struct nft_observed before, seen;
	struct nft_refusal refusal;
	uint32_t now;

	room[SET_KNOWN4] = (uint32_t)content.element_count[SET_KNOWN4] + 2;
	whole.ops[0].room = room;
	(void)apply(&whole);
	ck_assert_int_eq(nft_observe(nft, arena, &before, &err), 0);
	ck_assert_int_eq(nft_apply(nft, &batch, 0, &now, &refusal, &err), ERR_LIMIT);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	ck_assert_uint_eq(
	    seen.element_count[SET_KNOWN4], content.element_count[SET_KNOWN4]);
	batch = known(more, 2);
	(void)apply(&batch);
	content.elements[SET_KNOWN4] = more;
	content.element_count[SET_KNOWN4] = room[SET_KNOWN4] = ARRAY_LEN(more);
	whole = make_batch(&content);
	whole.ops[0] = (struct op){.kind = OP_TABLE, .room = room};
	(void)apply(&whole);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	for (size_t s = 0; s < SET_COUNT; s++)
		ck_assert_uint_eq(seen.element_count[s], content.element_count[s]);
	ck_assert_mem_eq(seen.rules_digest, before.rules_digest, 32);
}
END_TEST

/* As when the process ends in the middle: which copy is the one cannot be told. */
START_TEST(set_that_is_there_twice_is_found)
{
	const struct table_content content = make_content();
	const struct op_batch whole = make_batch(&content);
	const struct op_batch batch = intervals(net4, 1, 1000);
	struct nft_refusal refusal;
	struct nft_observed seen;
	uint32_t now;
	int fd;

	(void)apply(&whole);
	free(output_of("nft 'add map inet ringfence peer4_in_net_b { type ipv4_addr : "
		       "classid; flags interval; }' && echo done"));
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), ERR_STALE);
	nft_close(nft);
	ck_assert_int_eq(nft_socket(&fd, &err), 0);
	nft = nft_new(fd); /* another process, which knows nothing */
	ck_assert_int_eq(nft_apply(nft, &batch, 0, &now, &refusal, &err), ERR_STALE);
	(void)apply(&whole);
	(void)apply_at(&batch, 0);
}
END_TEST

int
main(void)
{
	TCase *tc = tcase_create("nft_restore");

	tcase_add_test(tc, restore_keeps_what_was_used_of_limits);
	tcase_add_test(tc, restore_does_not_keep_a_limit_that_others_changed);
	tcase_add_loop_test(
	    tc, table_becomes_another_in_place, 0, (int)ARRAY_LEN(wrongs));
	tcase_add_loop_test(tc, table_with_other_kinds_becomes_ours_in_place, 0, 2);
	tcase_add_test(tc, table_without_chains_is_not_there);
	tcase_add_test(tc, set_takes_what_it_has_room_for_and_restore_gives_it_more);
	tcase_add_test(tc, set_that_is_there_twice_is_found);
	return run_suite("nft_restore", tc);
}
