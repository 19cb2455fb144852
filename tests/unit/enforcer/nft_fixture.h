/*
 * For tests of the netlink encoder against the real kernel: a program with something in sets
 * of every shape, and what nft(8) says of the table.
 */
#ifndef TESTS_NFT_FIXTURE_H
#define TESTS_NFT_FIXTURE_H

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "enforcer/engine/plan.h"
#include "enforcer/kernel/nft_socket.h"
#include "nft_namespace.h"

#define LISTING "nft list table inet ringfence"

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

static inline struct table_content
make_content(void)
{
	struct table_content c = {.settings = {.log_group = 100, .names_group = 101},
	    .rule_chains = chains,
	    .rule_chain_count = ARRAY_LEN(chains)};

	for (size_t i = 0; i < SET_COUNT; i++) {
		c.elements[i] = contents[i].elements;
		c.element_count[i] = contents[i].count;
	}
	c.settings.uses = table_uses(c.element_count);
	return c;
}

/* The batch that makes the whole table from nothing. */
static inline struct op_batch
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

static inline char *
output_of(const char *command)
{
	FILE *f = popen(command, "r"); /* a fixed command of the tests' own */
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

/* Another network map, and other ranges of ports; peer4_in_net becomes empty once. */
static inline struct op_batch
intervals(const struct table_element *net, size_t nets, uint16_t port)
{
	struct op_batch batch = {.settings = make_content().settings};
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

#endif
