/*
 * The netlink encoder against the real kernel, each test in a network namespace of its
 * own: what it writes is what nft(8) makes of the printed program, what it reads back is
 * what it wrote, and refusals say where.
 */
#include <check.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "enforcer/nft_socket.h"
#include "enforcer/plan.h"

#define LISTING "nft list table inet ringfence"

static struct arena *arena;
static struct nft *nft;
static struct err err;

/* Runs in check's forked child: the namespace ends with it. */
static void
setup(void)
{
	int fd;

	if (unshare(CLONE_NEWNET) != 0)
		ck_assert_int_eq(unshare(CLONE_NEWUSER | CLONE_NEWNET), 0);
	arena = arena_new();
	err = ERR_INIT;
	ck_assert_msg(nft_socket(&fd, &err) == 0, "%s", err.msg);
	nft = nft_new(fd);
}

static void
teardown(void)
{
	nft_close(nft);
	arena_free(arena);
}

static struct table_rule_chain chains[] = {
    {.number = NUMBER_MIDSTREAM,
	.action = ACTION_DENY,
	.reset = true,
	.comment = "in the middle"},
    {.number = 5000,
	.action = ACTION_DENY,
	.log = true,
	.comment = "Policy x a.yaml:3"},
    /* Limits: of each form and kind, and such as go on to a chain that comes later. */
    {.number = 5010,
	.action = ACTION_ALLOW,
	.comment = "each its part",
	.limit = {.form = LIMIT_OWN,
	    .kind = NETLIM_RATE,
	    .bucket = {.rate = 5, .unit_s = TABLE_HOUR, .burst = 3},
	    .first = 5011,
	    .next = 5012}},
    {.number = 5011,
	.action = ACTION_ALLOW,
	.comment = "first come",
	.limit = {.form = LIMIT_SHARED,
	    .kind = NETLIM_RATE,
	    .bucket = {.rate = 30, .unit_s = TABLE_MINUTE, .burst = 7},
	    .deny = 5000}},
    {.number = 5012,
	.action = ACTION_ALLOW,
	.comment = "the whole",
	.limit = {.form = LIMIT_SHARED,
	    .kind = NETLIM_RATE,
	    .bucket = {.rate = 500, .unit_s = 1, .burst = 1000},
	    .deny = 5000,
	    .next = 5015}},
    {.number = 5013,
	.action = ACTION_ALLOW,
	.comment = "each its part",
	.limit = {.form = LIMIT_OWN,
	    .kind = NETLIM_COUNT,
	    .count = 3,
	    .first = 5015,
	    .next = 5014}},
    {.number = 5014,
	.action = ACTION_ALLOW,
	.comment = "the whole",
	.limit =
	    {.form = LIMIT_SHARED, .kind = NETLIM_COUNT, .count = 9, .deny = 5000}},
    {.number = 5015,
	.action = ACTION_ALLOW,
	.comment = "nothing",
	.limit =
	    {.form = LIMIT_SHARED, .kind = NETLIM_RATE, .nothing = true, .deny = 5000}},
    {.number = 5016,
	.action = ACTION_ALLOW,
	.comment = "each its part",
	.limit = {.form = LIMIT_OWN,
	    .kind = NETLIM_IN,
	    .bucket = {.rate = 1234567, .unit_s = 1, .burst = 65536, .bytes = true},
	    .first = 5017,
	    .next = 5017}},
    {.number = 5017,
	.action = ACTION_ALLOW,
	.comment = "the whole",
	.limit = {.form = LIMIT_SHARED,
	    .kind = NETLIM_IN,
	    .bucket = {.rate = 9999999, .unit_s = 1, .burst = 1000, .bytes = true},
	    .deny = 5020}},
    {.number = 5020,
	.action = ACTION_DENY,
	.quiet = true,
	.comment = "some of them logged"},
    {.number = 6000, .action = ACTION_ALLOW, .comment = "Policy y b.yaml:4"},
};
static struct table_element rules[] = {
    {.class_id = NUMBER_MIDSTREAM, .value = NUMBER_MIDSTREAM},
    {.class_id = 5000, .value = 5000}, {.class_id = 6000, .value = 6000}};
static struct table_element local4[] = {
    {.addr = {10, 1, 0, 1}}, {.addr = {10, 1, 0, 2}}};
static struct table_element local6[] = {{.addr = {0xfd, 0, [15] = 1}}};
static struct table_element peer4[] = {{.addr = {10, 1, 0, 9}, .value = 0x12345678}};
static struct table_element peer6[] = {{.addr = {0xfd, 0, [15] = 9}, .value = 77}};
/* Neighbours that touch, and one that ends with the address space. */
static struct table_element net4[] = {
    {.addr = {10, 0, 0, 0}, .addr_end = {10, 0, 0, 255}, .value = 70},
    {.addr = {10, 0, 1, 0}, .addr_end = {10, 0, 1, 255}, .value = 71},
    {.addr = {203, 0, 113, 0}, .addr_end = {255, 255, 255, 255}, .value = 72},
};
static struct table_element net6[] = {
    {.addr = {0x20, 0x01}, .addr_end = {0x20, 0x01, 0, 0, [15] = 0xff}, .value = 70}};
static struct table_element cell4[] = {
    {.class_id = 0x12345678,
	.addr = {10, 1, 0, 1},
	.proto = 6,
	.port_lo = 80,
	.value = 5000},
    {.class_id = 0x12345678,
	.addr = {10, 1, 0, 1},
	.proto = 17,
	.port_lo = 53,
	.value = 6000},
};
static struct table_element range4[] = {
    {.class_id = 0x12345678,
	.addr = {10, 1, 0, 1},
	.proto = 1,
	.port_lo = 0,
	.port_hi = 65535,
	.value = 6000},
    {.class_id = 0x12345678,
	.addr = {10, 1, 0, 1},
	.proto = 6,
	.port_lo = 1000,
	.port_hi = 2000,
	.value = 6000},
    {.class_id = 0x12345678,
	.addr = {10, 1, 0, 1},
	.proto = 6,
	.port_lo = 2001,
	.port_hi = 3000,
	.value = 5000},
};
static struct table_element range6[] = {{.class_id = 77,
    .addr = {0xfd, 0, [15] = 1},
    .proto = 58,
    .port_lo = 0,
    .port_hi = 65535,
    .value = 6000}};
static struct table_element any6[] = {
    {.class_id = 77, .addr = {0xfd, 0, [15] = 1}, .value = 5000}};
static struct table_element rest4[] = {{.addr = {10, 1, 0, 1}, .value = 5000}};
static struct table_element gate4[] = {
    {.addr = {10, 1, 0, 0}, .addr_end = {10, 1, 255, 255}}};

static struct table_element publish6[] = {{.addr = {0xfd, 0, [15] = 1},
    .proto = 6,
    .port_lo = 8000,
    .port_hi = 8100,
    .value = TABLE_ROUTE_ID(1)}};
static struct table_element pick[] = {
    {.class_id = TABLE_ROUTE_ID(1), .port_lo = 0, .value = TABLE_ROUTE_ID(2)},
    {.class_id = TABLE_ROUTE_ID(1), .port_lo = 2519, .value = TABLE_ROUTE_ID(3)}};
static struct table_element end4[] = {
    {.class_id = TABLE_ROUTE_ID(2), .addr_end = {10, 1, 0, 1}}};
static struct table_element end6_port[] = {
    {.class_id = TABLE_ROUTE_ID(2), .addr_end = {0xfd, 0, [15] = 1}, .port_hi = 8080}};
static struct table_element limit_new[] = {{.proto = 2}};
static struct table_element limit4[] = {{.addr = {10, 1, 0, 1}, .value = 5010}};
static struct table_element limit6[] = {{.addr = {0xfd, 0, [15] = 1}, .value = 5016}};
static struct table_element self6[] = {{.addr = {0xfd, 0, [15] = 1}}};

#define CONTENT(set, list) [set] = {(list), ARRAY_LEN(list)}
static const struct {
	struct table_element *elements;
	size_t count;
} contents[SET_COUNT] = {
    CONTENT(SET_RULES, rules),
    CONTENT(SET_LOCAL4_IN, local4),
    CONTENT(SET_LOCAL6_OUT, local6),
    CONTENT(SET_PEER4_IN, peer4),
    CONTENT(SET_PEER6_OUT, peer6),
    CONTENT(SET_PEER4_IN_NET, net4),
    CONTENT(SET_PEER6_OUT_NET, net6),
    CONTENT(SET_CELL4_IN, cell4),
    CONTENT(SET_CELL4_IN_RANGE, range4),
    CONTENT(SET_CELL6_OUT_RANGE, range6),
    CONTENT(SET_CELL6_OUT_ANY, any6),
    CONTENT(SET_CELL4_IN_REST, rest4),
    CONTENT(SET_GATE4, gate4),
    CONTENT(SET_KNOWN4, local4),
    CONTENT(SET_PUBLISH6_RANGE, publish6),
    CONTENT(SET_PICK_HASH_FINE, pick),
    CONTENT(SET_END4, end4),
    CONTENT(SET_END6_PORT, end6_port),
    CONTENT(SET_SELF6, self6),
    CONTENT(SET_LIMIT_NEW, limit_new),
    CONTENT(SET_LIMIT4_RATE, limit4),
    CONTENT(SET_LIMIT6_IN, limit6),
    CONTENT(SET_ASKER4, local4),
    CONTENT(SET_RESOLVER6, local6),
};

static struct table_content
make_content(void)
{
	struct table_content c = {.settings = {.log_group = 100, .names_group = 101},
	    .rule_chains = chains,
	    .rule_chain_count = ARRAY_LEN(chains)};

	for (size_t i = 0; i < SET_COUNT; i++) {
		c.elements[i] = contents[i].elements;
		c.element_count[i] = contents[i].count;
	}
	return c;
}

/* The batch that makes the whole table from nothing. */
static struct op_batch
make_batch(const struct table_content *c)
{
	struct op_batch batch = {.settings = c->settings};

	batch.ops = ARENA_ARRAY(arena, 1 + c->rule_chain_count + SET_COUNT, struct op);
	batch.ops[batch.count++].kind = OP_TABLE;
	for (size_t i = 0; i < c->rule_chain_count; i++)
		batch.ops[batch.count++] =
		    (struct op){.kind = OP_CHAIN_ADD, .chain = &c->rule_chains[i]};
	for (size_t i = 0; i < SET_COUNT; i++) {
		if (c->element_count[i] != 0)
			batch.ops[batch.count++] = (struct op){.kind = OP_ADD,
			    .set = (enum table_set_id)i,
			    .elements = c->elements[i],
			    .element_count = c->element_count[i]};
	}
	return batch;
}

static uint32_t
apply(const struct op_batch *batch)
{
	struct nft_refusal refusal;
	uint32_t generation = 0;
	int rc = nft_apply(nft, batch, 0, &generation, &refusal, &err);

	ck_assert_msg(rc == 0, "operation %zu: %s", refusal.op, err.msg);
	return generation;
}

static char *
output_of(const char *command)
{
	FILE *f = popen(command, "r"); /* a fixed command of this file's own */
	struct buf out = {NULL, 0, 0};
	char chunk[4096];
	size_t n;

	ck_assert_ptr_nonnull(f);
	while ((n = fread(chunk, 1, sizeof(chunk), f)) != 0)
		buf_add(&out, chunk, n);
	ck_assert_msg(pclose(f) == 0, "%s failed", command);
	ck_assert_uint_ne(out.len, 0);
	return out.data;
}

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

START_TEST(observe_returns_not_found_when_there_is_no_table)
{
	struct nft_observed seen;

	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), ERR_NOT_FOUND);
}
END_TEST

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

/* ---- interval sets ---- */

static uint32_t
apply_at(const struct op_batch *batch, uint32_t generation)
{
	struct nft_refusal refusal;
	uint32_t now = 0;
	int rc = nft_apply(nft, batch, generation, &now, &refusal, &err);

	ck_assert_msg(rc == 0, "operation %zu: %s", refusal.op, err.msg);
	return now;
}

/* Another network map, and other ranges of ports; peer4_in_net becomes empty once. */
static struct op_batch
intervals(const struct table_element *net, size_t nets, uint16_t port)
{
	struct op_batch batch = {.settings = {.log_group = 100}};
	struct table_element *range = ARENA_ARRAY(arena, 1, struct table_element);

	*range = range4[1];
	range->port_lo = port;
	batch.ops = ARENA_ARRAY(arena, 4, struct op);
	batch.ops[batch.count++] =
	    (struct op){.kind = OP_FLUSH, .set = SET_PEER4_IN_NET};
	if (nets != 0)
		batch.ops[batch.count++] = (struct op){.kind = OP_ADD,
		    .set = SET_PEER4_IN_NET,
		    .elements = net,
		    .element_count = nets};
	batch.ops[batch.count++] =
	    (struct op){.kind = OP_FLUSH, .set = SET_CELL4_IN_RANGE};
	batch.ops[batch.count++] = (struct op){.kind = OP_ADD,
	    .set = SET_CELL4_IN_RANGE,
	    .elements = range,
	    .element_count = 1};
	return batch;
}

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

/* What has the name of something of ours and is something else cannot become ours. */
START_TEST(table_that_cannot_become_ours_is_made_anew)
{
	static const char *const others[] = {
	    "nft 'delete table inet ringfence; add table inet ringfence; "
	    "add set inet ringfence gate4 { type inet_service; }' && echo done",
	    "nft 'flush table inet ringfence; delete chain inet ringfence forward; "
	    "add chain inet ringfence forward "
	    "{ type filter hook forward priority 77; }' && echo done"};
	const struct table_content content = make_content();
	const struct op_batch whole = make_batch(&content);
	struct nft_observed before, seen;

	(void)apply(&whole);
	ck_assert_int_eq(nft_observe(nft, arena, &before, &err), 0);
	free(output_of(others[_i]));
	(void)apply(&whole);
	ck_assert_int_eq(nft_observe(nft, arena, &seen, &err), 0);
	for (size_t s = 0; s < SET_COUNT; s++)
		ck_assert_uint_eq(seen.element_count[s], content.element_count[s]);
	ck_assert_mem_eq(seen.rules_digest, before.rules_digest, 32);
}
END_TEST

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

int
main(void)
{
	Suite *suite = suite_create("nft");
	TCase *tc = tcase_create("nft");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tc, 60);
	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_loop_test(
	    tc, apply_makes_what_nft_makes_of_the_printed_program, 0, 3);
	tcase_add_test(tc, listing_loads_again);
	tcase_add_test(tc, observe_returns_what_was_applied);
	tcase_add_test(
	    tc, observe_rules_tells_the_same_of_rules_and_nothing_of_elements);
	tcase_add_loop_test(tc, limits_that_a_kernel_lacks_are_left_out, 0, 2);
	tcase_add_test(tc, restore_keeps_what_was_used_of_limits);
	tcase_add_test(tc, restore_does_not_keep_a_limit_that_others_changed);
	tcase_add_test(tc, observe_returns_not_found_when_there_is_no_table);
	tcase_add_test(tc, apply_changes_nothing_when_one_operation_is_refused);
	tcase_add_test(tc, apply_returns_stale_when_somebody_changed_the_ruleset);
	tcase_add_test(tc, apply_splits_elements_that_exceed_one_message);
	tcase_add_test(tc, apply_replaces_interval_sets_whole);
	tcase_add_test(tc, delete_table_returns_zero_with_and_without_a_table);
	tcase_add_test(tc, interval_sets_are_replaced_and_rules_are_as_before);
	tcase_add_loop_test(tc, interval_sets_stay_when_something_is_refused, 0, 2);
	tcase_add_test(tc, chains_are_there_before_anything_leads_to_them);
	tcase_add_test(tc, chains_go_again_when_what_leads_to_them_is_refused);
	tcase_add_loop_test(
	    tc, table_becomes_another_in_place, 0, (int)ARRAY_LEN(wrongs));
	tcase_add_loop_test(tc, table_that_cannot_become_ours_is_made_anew, 0, 2);
	tcase_add_test(tc, set_takes_what_it_has_room_for_and_restore_gives_it_more);
	tcase_add_test(tc, set_that_is_there_twice_is_found);
	tcase_add_test(tc, counters_returns_one_of_each_rule_chain);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
