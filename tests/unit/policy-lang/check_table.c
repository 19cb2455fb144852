#include "policy-lang/table/table.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* ---- the constant description ---- */

static const struct table_chain *
chain_named(const char *name, size_t before)
{
	for (size_t i = 0; i < before; i++) {
		if (strcmp(table_chains[i].name, name) == 0)
			return &table_chains[i];
	}
	return NULL;
}

START_TEST(chains_are_defined_before_use)
{
	const struct table_chain *chain = &table_chains[_i];

	ck_assert_ptr_null(chain_named(chain->name, (size_t)_i));
	for (size_t i = 0; i < chain->rule_count; i++) {
		const struct table_rule *rule = &chain->rules[i];

		ck_assert_uint_gt(rule->count, 0);
		ck_assert_uint_le(rule->count, TABLE_RULE_STMTS);
		for (size_t j = 0; j < rule->count; j++) {
			const struct table_stmt *s = &rule->stmts[j];

			if (s->kind == STMT_JUMP || s->kind == STMT_GOTO)
				ck_assert_msg(chain_named(s->chain, (size_t)_i) != NULL,
				    "%s refers to %s", chain->name, s->chain);
		}
	}
}
END_TEST

/* What a load gives must be what the set's key has there. */
static void
check_load(enum table_load load, enum table_field field, uint32_t family, size_t at)
{
	enum table_field address = family == 4 ? FIELD_IPV4 : FIELD_IPV6;

	switch (load) {
	case LOAD_PRIORITY:
		ck_assert_int_eq(field, FIELD_CLASSID);
		break;
	case LOAD_IIFNAME:
	case LOAD_OIFNAME:
		ck_assert_int_eq(field, FIELD_IFNAME);
		break;
	case LOAD_NFPROTO:
		ck_assert_int_eq(field, FIELD_NFPROTO);
		break;
	case LOAD_SADDR:
	case LOAD_DADDR:
	case LOAD_CT_SADDR:
	case LOAD_CT_DADDR:
		ck_assert_uint_ne(family, 0);
		ck_assert_int_eq(field, address);
		break;
	case LOAD_L4PROTO:
		ck_assert_int_eq(field, FIELD_PROTO);
		break;
	case LOAD_DPORT:
	case LOAD_SPORT:
		ck_assert_int_eq(field, FIELD_SERVICE);
		break;
	case LOAD_CT_MARK:
		ck_assert_int_eq(field, FIELD_MARK);
		ck_assert_uint_eq(at, 0); /* nft lists no other as it takes it */
		break;
	case LOAD_HASH4:
	case LOAD_HASH6:
		ck_assert_uint_eq(family, load == LOAD_HASH4 ? 4 : 6);
		ck_assert_int_eq(field, FIELD_SLOT);
		break;
	case LOAD_ENDS4:
	case LOAD_ENDS4_BACK:
	case LOAD_ENDS6:
	case LOAD_ENDS6_BACK:
		ck_assert_uint_eq(
		    family, load == LOAD_ENDS4 || load == LOAD_ENDS4_BACK ? 4 : 6);
		ck_assert_int_eq(field, FIELD_SLOT);
		break;
	case LOAD_RANDOM:
		ck_assert_int_eq(field, FIELD_SLOT);
		break;
	case LOAD_NONE:
		ck_assert_int_eq(field, FIELD_NONE);
		break;
	}
}

START_TEST(lookups_load_what_their_set_is_keyed_by)
{
	const struct table_chain *chain = &table_chains[_i];

	for (size_t i = 0; i < chain->rule_count; i++) {
		const struct table_rule *rule = &chain->rules[i];
		uint32_t family = 0;

		for (size_t j = 0; j < rule->count; j++) {
			const struct table_stmt *s = &rule->stmts[j];

			if (s->kind == STMT_FAMILY)
				family = s->value;
			if (s->kind != STMT_LOOKUP && s->kind != STMT_PRIORITY_MAP &&
			    s->kind != STMT_PRIORITY_VMAP && s->kind != STMT_SNAT &&
			    s->kind != STMT_DNAT && s->kind != STMT_VMAP)
				continue;
			if (s->kind == STMT_VMAP)
				ck_assert_int_eq(
				    table_sets[s->set].value, FIELD_VERDICT);
			if (s->kind == STMT_SNAT || s->kind == STMT_DNAT)
				ck_assert(
				    table_value_is_address(table_sets[s->set].value));
			for (size_t k = 0; k < TABLE_KEY_FIELDS; k++)
				check_load(
				    s->load[k], table_sets[s->set].key[k], family, k);
			if (s->kind == STMT_PRIORITY_MAP)
				ck_assert_int_eq(
				    table_sets[s->set].value, FIELD_CLASSID);
		}
	}
}
END_TEST

static const struct {
	enum table_set_id id;
	const char *name;
	size_t key_bytes;
	bool swaps;
} set_rows[] = {
    {SET_LOCAL4_IN, "local4_in", 4, false},
    {SET_LOCAL6_OUT, "local6_out", 16, false},
    {SET_PEER4_IN, "peer4_in", 4, false},
    {SET_PEER6_OUT, "peer6_out", 16, false},
    {SET_PEER4_OUT_NET, "peer4_out_net", 4, false},
    {SET_PEER6_IN_NET, "peer6_in_net", 16, false},
    {SET_CELL4_IN, "cell4_in", 16, false},
    {SET_CELL6_OUT, "cell6_out", 28, false},
    {SET_CELL4_OUT_RANGE, "cell4_out_range", 16, true},
    {SET_CELL6_IN_RANGE, "cell6_in_range", 28, true},
    {SET_CELL6_IN_ANY, "cell6_in_any", 20, false},
    {SET_CELL4_OUT_ANY, "cell4_out_any", 8, false},
    {SET_CELL4_IN_REST, "cell4_in_rest", 4, false},
    {SET_CELL6_OUT_REST, "cell6_out_rest", 16, false},
    {SET_HOST4_IN, "host4_in", 12, false},
    {SET_HOST6_OUT, "host6_out", 12, false},
    {SET_HOST6_IN_RANGE, "host6_in_range", 12, true},
    {SET_HOST4_OUT_ANY, "host4_out_any", 4, false},
    {SET_HOST_IN, "host_in", 1, false},
    {SET_HOST_OUT, "host_out", 1, false},
    {SET_SAFE_IN, "safe_in", 8, true},
    {SET_SAFE_OUT, "safe_out", 8, true},
    {SET_OWN6, "own6", 16, false},
    {SET_GATE_IF, "gate_if", 16, false},
    {SET_UPLINK_IF, "uplink_if", 16, false},
    {SET_GATE4, "gate4", 4, false},
    {SET_KNOWN6, "known6", 16, false},
    {SET_RULES, "rules", 4, false},
    {SET_ROUTE_LOCAL4_OUT, "route_local4", 4, false},
    {SET_ROUTE_LOCAL6_OUT, "route_local6", 16, false},
    {SET_INSIDE6, "inside6", 16, false},
    {SET_ROUTE_PEER6_OUT, "route_peer6", 16, false},
    {SET_ROUTE_PEER4_OUT_NET, "route_net4", 4, false},
    {SET_ROUTE_CELL4_OUT, "route_cell4", 16, false},
    {SET_ROUTE_CELL6_OUT_RANGE, "route_cell6_range", 28, true},
    {SET_ROUTE_CELL6_OUT_ANY, "route_cell6_any", 20, false},
    {SET_ROUTE_CELL6_OUT_REST, "route_cell6_rest", 16, false},
    {SET_PUBLISH4, "publish4", 12, false},
    {SET_PUBLISH6_RANGE, "publish6_range", 24, true},
    {SET_PICK_HASH, "pick_hash", 8, false},
    {SET_PICK_RANDOM_FINE, "pick_random_fine", 8, false},
    {SET_END4, "end4", 4, false},
    {SET_END6_PORT, "end6_port", 4, false},
    {SET_SELF6, "self6", 32, false},
    {SET_ASKER4, "asker4", 4, false},
    {SET_RESOLVER6, "resolver6", 16, false},
    {SET_TAKEN4, "taken4", 4, false},
    {SET_TAKEN6, "taken6", 16, false},
    {SET_ROUTES, "routes", 4, false},
};

START_TEST(sets_are_where_their_ids_say)
{
	ck_assert_str_eq(table_sets[set_rows[_i].id].name, set_rows[_i].name);
	ck_assert_uint_eq(table_key_bytes(set_rows[_i].id), set_rows[_i].key_bytes);
	ck_assert_int_eq(table_set_swaps(set_rows[_i].id), set_rows[_i].swaps);
}
END_TEST

START_TEST(set_comments_fit)
{
	size_t len = strlen(table_sets[_i].comment);

	ck_assert_uint_le(len, TABLE_COMMENT_BYTES);
	for (size_t i = 0; i < len; i++) {
		ck_assert_int_ge(table_sets[_i].comment[i], ' ');
		ck_assert_int_ne(table_sets[_i].comment[i], '"');
	}
}
END_TEST

/* ---- elements ---- */

static const struct table_element cell = {
    .class_id = 0x12345678,
    .addr = {10, 1, 2, 3},
    .proto = 6,
    .port_lo = 0x1f90,
    .port_hi = 0x2000,
    .value = 9,
};

/* The bytes are what nft 1.0.6 sends for the same elements (little-endian host). */
START_TEST(key_is_what_the_kernel_compares)
{
	static const uint8_t exact[] = {
	    0x78, 0x56, 0x34, 0x12, 10, 1, 2, 3, 6, 0, 0, 0, 0x1f, 0x90, 0, 0};
	static const uint8_t range_lo[] = {
	    0x12, 0x34, 0x56, 0x78, 10, 1, 2, 3, 6, 0, 0, 0, 0x1f, 0x90, 0, 0};
	static const uint8_t range_hi[] = {
	    0x12, 0x34, 0x56, 0x78, 10, 1, 2, 3, 6, 0, 0, 0, 0x20, 0, 0, 0};
	uint8_t key[TABLE_KEY_BYTES_MAX], end[TABLE_KEY_BYTES_MAX];

	table_element_key(SET_CELL4_IN, &cell, key, NULL);
	ck_assert_mem_eq(key, exact, sizeof(exact));
	table_element_key(SET_CELL4_IN_RANGE, &cell, key, end);
	ck_assert_mem_eq(key, range_lo, sizeof(range_lo));
	ck_assert_mem_eq(end, range_hi, sizeof(range_hi));
}
END_TEST

START_TEST(key_end_is_the_last_address_of_a_network)
{
	static const struct table_element net = {
	    .addr = {0xfd, 0, 0, 1},
	    .addr_end = {0xfd, 0, 0, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
		0xff, 0xff, 0xff, 0xff},
	};
	uint8_t key[TABLE_KEY_BYTES_MAX], end[TABLE_KEY_BYTES_MAX];

	table_element_key(SET_PEER6_IN_NET, &net, key, end);
	ck_assert_mem_eq(key, net.addr, 16);
	ck_assert_mem_eq(end, net.addr_end, 16);
}
END_TEST

START_TEST(elements_are_ordered_by_class_address_protocol_port)
{
	struct table_element more[4] = {cell, cell, cell, cell};

	ck_assert_int_eq(table_element_cmp(&cell, &cell), 0);
	more[0].class_id++;
	more[1].addr[3]++;
	more[2].proto++;
	more[3].port_lo++;
	for (size_t i = 0; i < 4; i++) {
		ck_assert_int_lt(table_element_cmp(&cell, &more[i]), 0);
		ck_assert_int_gt(table_element_cmp(&more[i], &cell), 0);
		if (i > 0)
			ck_assert_int_gt(table_element_cmp(&more[i - 1], &more[i]), 0);
	}
}
END_TEST

START_TEST(elements_differ_by_value_and_end_but_not_by_place)
{
	struct table_element other = cell;

	other.loc.line = 7;
	ck_assert(table_element_equal(&cell, &other));
	other.value++;
	ck_assert(!table_element_equal(&cell, &other));
	other = cell;
	other.port_hi++;
	ck_assert(!table_element_equal(&cell, &other));
	other = cell;
	other.addr_end[15]++;
	ck_assert(!table_element_equal(&cell, &other));
}
END_TEST

/* ---- rule chains ---- */

/* The kinds of a rule's statements, -1 at the end. */
static void
ck_assert_stmts(const struct table_rule *rule, const int *kinds)
{
	size_t i = 0;

	for (; kinds[i] >= 0; i++) {
		ck_assert_uint_lt(i, rule->count);
		ck_assert_int_eq(rule->stmts[i].kind, kinds[i]);
	}
	ck_assert_uint_eq(i, rule->count);
}

START_TEST(rule_chain_follows_action_and_settings)
{
	struct table_rule_chain chain = {.number = 4711, .comment = "why"};
	struct table_settings settings = {.log_group = 100};
	struct table_rule rules[TABLE_RULE_CHAIN_RULES];

	chain.action = ACTION_ALLOW;
	ck_assert_uint_eq(table_rule_chain_rules(&chain, &settings, rules), 1);
	ck_assert_stmts(&rules[0], (int[]){STMT_COUNTER, STMT_RETURN, -1});
	ck_assert_str_eq(rules[0].comment, "why");
	chain.log = true;
	ck_assert_uint_eq(table_rule_chain_rules(&chain, &settings, rules), 1);
	ck_assert_stmts(&rules[0], (int[]){STMT_COUNTER, STMT_LOG, STMT_RETURN, -1});
	ck_assert_uint_eq(rules[0].stmts[1].value, 4711);
	chain.log = false;
	chain.action = ACTION_DENY;
	ck_assert_uint_eq(table_rule_chain_rules(&chain, &settings, rules), 1);
	ck_assert_stmts(&rules[0], (int[]){STMT_COUNTER, STMT_LOG, STMT_DROP, -1});
	settings.reject = true;
	ck_assert_uint_eq(table_rule_chain_rules(&chain, &settings, rules), 3);
	ck_assert_stmts(&rules[0], (int[]){STMT_COUNTER, STMT_LOG, -1});
	ck_assert_stmts(&rules[1], (int[]){STMT_L4PROTO, STMT_REJECT_RESET, -1});
	ck_assert_uint_eq(rules[1].stmts[0].value, 6);
	ck_assert_stmts(&rules[2], (int[]){STMT_REJECT_ADMIN, -1});
}
END_TEST

/* ---- printing ---- */

static struct table_element local_element = {.addr = {10, 1, 0, 7}};
static struct table_element peer_element = {.addr = {10, 2, 0, 1}, .value = 0xabc0012};
static struct table_element net_elements[] = {
    {.addr = {10, 0, 0, 0}, .addr_end = {10, 0, 0, 255}, .value = 0xabc0013},
    {.addr = {10, 0, 1, 0}, .addr_end = {10, 0, 1, 0}, .value = 0xabc0012},
};
static struct table_element range_elements[] = {
    {.addr = {10, 1, 0, 7}, .proto = 17, .port_lo = 53, .port_hi = 53, .value = 4096},
    {.class_id = 0xabc0012,
	.addr = {10, 1, 0, 7},
	.proto = 1,
	.port_hi = 65535,
	.value = 2},
};
static struct table_element rule_element = {.class_id = 4096, .value = 4096};
static struct source source = {.name = {"web.yaml", 8}};
static struct table_rule_chain rule_chain = {
    .number = 4096,
    .action = ACTION_DENY,
    .comment = "NetworkPolicy shop/web ingress rule 0 web.yaml:12",
    .loc = {.source = &source, .line = 12},
    .policy_kind = "NetworkPolicy",
    .policy = {"web", 3},
    .namespace_path = {"shop", 4},
};

static void
fill(struct table_content *content)
{
	memset(content, 0, sizeof(*content));
	content->settings = (struct table_settings){.log_group = 100, .uses = USE_ALL};
	content->elements[SET_LOCAL4_IN] = &local_element;
	content->element_count[SET_LOCAL4_IN] = 1;
	content->elements[SET_PEER4_IN] = &peer_element;
	content->element_count[SET_PEER4_IN] = 1;
	content->elements[SET_PEER4_IN_NET] = net_elements;
	content->element_count[SET_PEER4_IN_NET] = 2;
	content->elements[SET_CELL4_IN_RANGE] = range_elements;
	content->element_count[SET_CELL4_IN_RANGE] = 2;
	content->elements[SET_RULES] = &rule_element;
	content->element_count[SET_RULES] = 1;
	content->rule_chains = &rule_chain;
	content->rule_chain_count = 1;
}

static const char *const nft_texts[] = {
    "table inet ringfence\ndelete table inet ringfence\ntable inet ringfence {\n",
    "\tset local4_in {\n\t\ttype ipv4_addr\n"
    "\t\tcomment \"addresses here that policy governs, ingress\"\n"
    "\t\telements = { 10.1.0.7 }\n\t}\n",
    "\tmap peer4_in {\n\t\ttype ipv4_addr : classid\n"
    "\t\tcomment \"peer to class, ingress\"\n"
    "\t\telements = { 10.2.0.1 : abc:12 }\n\t}\n",
    "\t\telements = { 10.0.0.0-10.0.0.255 : abc:13,\n"
    "\t\t\t     10.0.1.0 : abc:12 }\n",
    "\t\ttype classid . ipv4_addr . inet_proto . inet_service : classid\n"
    "\t\tflags interval\n",
    "\t\telements = { none . 10.1.0.7 . 17 . 53 : 0:1000,\n"
    "\t\t\t     abc:12 . 10.1.0.7 . 1 . 0-65535 : 0:2 }\n",
    "\t\telements = { 0:1000 : goto rule_4096 }\n",
    "\tchain rule_4096 {\n\t\tcounter log prefix \"4096\" group 100 drop comment "
    "\"NetworkPolicy shop/web ingress rule 0 web.yaml:12\"\n\t}\n",
    "\tchain ingress4 {\n"
    "\t\tmeta nfproto ipv4 meta priority set ip saddr map @peer4_in "
    "goto ingress4_cells\n"
    "\t\tmeta nfproto ipv4 ip saddr != @known4 ip saddr @gate4 "
    "meta priority set 0:3 goto decide\n"
    "\t\tmeta nfproto ipv4 meta priority set ip saddr map @peer4_in_net "
    "goto ingress4_cells\n"
    "\t\tmeta priority set none goto ingress4_rest\n\t}\n",
    "\t\tmeta nfproto ipv6 meta priority set meta priority . ip6 saddr . "
    "meta l4proto . th dport map @cell6_out_range goto decide\n",
    "\tchain forward {\n\t\ttype filter hook forward priority -10; policy accept;\n"
    "\t\tmeta l4proto 17 ct original proto-dst 53 jump asked\n"
    "\t\tmeta nfproto @limit_out jump limit_out\n"
    "\t\tmeta nfproto @limit_in jump limit_in\n"
    "\t\tct state established,related jump via_still\n"
    "\t\tct state established,related accept\n"
    "\t\tmeta nfproto ipv6 goto first6\n\t\tjump forward4\n"
    "\t\tmeta nfproto ipv4 ip saddr @route_local4 jump route_judge4\n"
    "\t\tmeta nfproto ipv4 ip saddr @via_local4 jump via_judge4\n"
    "\t\tmeta priority set none\n"
    "\t\tmeta nfproto @limit_new ct status ! confirmed jump limit_count\n"
    "\t\tmeta nfproto @limit_new ct status ! confirmed jump limit_rate\n\t}\n",
    "\tchain first6 {\n\t\tjump forward6\n"
    "\t\tmeta nfproto ipv6 ip6 saddr @route_local6 jump route_judge6\n"
    "\t\tmeta nfproto ipv6 ip6 saddr @via_local6 jump via_judge6\n"
    "\t\tmeta priority set none\n"
    "\t\tmeta nfproto @limit_new ct status ! confirmed jump limit_count\n"
    "\t\tmeta nfproto @limit_new ct status ! confirmed jump limit_rate\n\t}\n",
    "\tchain forward6 {\n\t\ticmpv6 type 133-137 ip6 hoplimit 255 accept\n"
    "\t\tmeta nfproto ipv6 ip6 saddr @nobody6 meta priority set 0:3 goto decide\n"
    "\t\tmeta nfproto ipv6 ip6 daddr @nobody6 meta priority set 0:3 goto decide\n",
    "\tchain egress_on6 {\n"
    "\t\tmeta nfproto ipv6 meta priority set ip6 daddr map @peer6_out "
    "goto egress6_cells\n"
    "\t\tmeta nfproto ipv6 ip6 daddr != @known6 ip6 daddr @gate6 "
    "meta priority set 0:3 goto decide\n",
    "\t\tct status dnat meta nfproto ipv6 ip6 saddr . ip6 daddr @itself6 "
    "meta priority set none accept\n",
    "\t\tmeta nfproto ipv6 ip6 saddr @local6_out goto forward6_from\n"
    "\t\tmeta nfproto ipv6 ip6 daddr @local6_in goto ingress6\n"
    "\t\tmeta nfproto ipv6 ip6 saddr != @known6 ip6 saddr @gate6 "
    "meta priority set 0:3 goto decide\n"
    "\t\tmeta nfproto ipv6 ip6 daddr != @known6 ip6 daddr @gate6 "
    "meta priority set 0:3 goto decide\n\t}\n",
    /* Of the node a family pays for its own rules, and of mid-stream nothing else. */
    "\tchain input_midstream {\n\t\tjump midstream_in\n\t\tjump "
    "host_midstream_in\n\t}\n",
    "\tchain output_midstream {\n\t\tjump midstream_out\n"
    "\t\tjump host_midstream_out\n\t\tmeta priority set none\n\t}\n",
    "\tchain host_in {\n\t\tmeta nfproto ipv4 goto host_in4\n"
    "\t\tmeta nfproto ipv6 goto host_in6\n\t}\n",
    "\tchain host_in4_cells {\n\t\tmeta priority set meta priority . meta l4proto . "
    "th dport map @host4_in goto decide\n",
    "\tchain host_out4 {\n\t\tmeta nfproto ipv4 icmp type 3 return\n"
    "\t\tmeta nfproto ipv4 icmp type 11-12 return\n"
    "\t\tmeta nfproto ipv4 ip daddr @own4 return\n"
    "\t\tmeta nfproto ipv4 meta priority set ip daddr map @peer4_out "
    "goto host_out4_cells\n",
    "\tset part6_rate {\n\t\ttype ipv6_addr\n\t\tsize 65536\n"
    "\t\tflags dynamic,timeout\n\t\ttimeout 60s\n",
    "\tset part4_count {\n\t\ttype ipv4_addr\n\t\tsize 65536\n"
    "\t\tflags dynamic\n\t\tcomment",
    "\tchain asked {\n"
    "\t\tmeta nfproto ipv4 ct original ip saddr @asker4 "
    "ct original ip daddr @resolver4 log prefix \"0\" group 0\n",
    "\ttype nat hook prerouting priority -105; policy accept;\n",
    "\t\tmeta nfproto ipv6 meta priority set meta priority . jhash ip6 saddr mod 60 "
    "seed 0x72660001 map @pick_hash\n",
    "\tmap pick_random_fine {\n\t\ttypeof meta priority . numgen random mod 2520 : "
    "meta priority\n",
    "\t\tmeta nfproto ipv4 meta l4proto 132 dnat ip to meta priority map @end4_port\n",
    "\t\tmeta nfproto ipv4 ip saddr @route_local4 goto source4\n"
    "\t\tmeta nfproto ipv6 ip6 saddr @route_local6 goto source6\n\t}\n}\n",
};

START_TEST(nft_text_has)
{
	struct table_content content;
	struct buf out = {0};

	fill(&content);
	table_print_nft(&out, &content);
	ck_assert_msg(strstr(out.data, nft_texts[_i]) != NULL, "no %s\nin %s",
	    nft_texts[_i], out.data);
	buf_free(&out);
}
END_TEST

/* ---- what nothing uses ---- */

/* All that a packet meets on a node whose policy is for ingress of workloads alone. */
static const char bare_chains[] =
    "\tchain forward4 {\n"
    "\t\tct status dnat meta nfproto ipv4 ip saddr . ip daddr @itself4 "
    "meta priority set none accept\n"
    "\t\ttcp flags & (fin | syn | rst | ack) != syn ct state new "
    "jump forward4_midstream\n"
    "\t\tmeta nfproto ipv4 ip daddr @local4_in goto ingress4\n\t}\n"
    "\n\tchain forward6_from {\n\t\tjump egress_on6\n\t}\n"
    "\n\tchain forward6_midstream {\n\t\tgoto midstream\n\t}\n"
    "\n\tchain forward6 {\n\t\ticmpv6 type 133-137 ip6 hoplimit 255 accept\n"
    "\t\tct status dnat meta nfproto ipv6 ip6 saddr . ip6 daddr @itself6 "
    "meta priority set none accept\n"
    "\t\ttcp flags & (fin | syn | rst | ack) != syn ct state new "
    "jump forward6_midstream\n\t}\n"
    "\n\tchain first6 {\n\t\tjump forward6\n\t\tmeta priority set none\n\t}\n"
    "\n\tchain input {\n\t\ttype filter hook input priority -10; policy accept;\n"
    "\t\tct state established,related accept\n\t\tiif \"lo\" accept\n"
    "\t\ticmpv6 type 133-137 ip6 hoplimit 255 accept\n"
    "\t\tmeta priority set none\n\t}\n"
    "\n\tchain output {\n\t\ttype filter hook output priority -10; policy accept;\n"
    "\t\tct state established,related accept\n\t\toif \"lo\" accept\n"
    "\t\ticmpv6 type 133-137 ip6 hoplimit 255 accept\n\t}\n"
    "\n\tchain forward {\n\t\ttype filter hook forward priority -10; policy accept;\n"
    "\t\tct state established,related accept\n"
    "\t\tmeta nfproto ipv6 goto first6\n\t\tjump forward4\n"
    "\t\tmeta priority set none\n\t}\n}\n";
static const char bare_ingress[] =
    "\tchain ingress4_rest {\n"
    "\t\tmeta nfproto ipv4 meta priority set meta priority . ip daddr . meta l4proto "
    ". th dport map @cell4_in goto decide\n"
    "\t\tmeta nfproto ipv4 meta priority set ip daddr map @cell4_in_rest "
    "goto decide\n"
    "\t\tgoto decide\n\t}\n"
    "\n\tchain ingress4_cells {\n"
    "\t\tmeta nfproto ipv4 meta priority set meta priority . ip daddr . meta l4proto "
    ". th dport map @cell4_in goto decide\n"
    "\t\tmeta priority set none goto ingress4_rest\n\t}\n"
    "\n\tchain ingress4 {\n"
    "\t\tmeta nfproto ipv4 meta priority set ip saddr map @peer4_in "
    "goto ingress4_cells\n"
    "\t\tmeta priority set none goto ingress4_rest\n\t}\n";

START_TEST(rules_of_no_use_are_not_there)
{
	struct table_content content;
	struct buf out = {0};

	fill(&content);
	content.settings.uses = USE_LOCAL4_IN;
	content.settings.steer_mask = 0x0ff00000;
	table_print_nft(&out, &content);
	ck_assert_msg(strstr(out.data, bare_chains) != NULL, "%s", out.data);
	ck_assert_msg(strstr(out.data, bare_ingress) != NULL, "%s", out.data);
	buf_free(&out);
}
END_TEST

/* What limits bytes looks at every packet; what limits connections, at those that open one. */
START_TEST(known_packets_pay_for_limits_of_their_bytes_alone)
{
	static const struct {
		uint32_t uses;
		const char *first;
	} limits[] = {
	    {USE_LIMIT_NEW, "ct state established,related accept\n"},
	    {USE_LIMIT_OUT, "meta nfproto @limit_out jump limit_out\n"
			    "\t\tct state established,related accept\n"},
	    {USE_LIMIT_IN, "meta nfproto @limit_in jump limit_in\n"
			   "\t\tct state established,related accept\n"},
	};
	static const char head[] = "\tchain forward {\n\t\ttype filter hook forward "
				   "priority -10; policy accept;\n\t\t";

	for (size_t i = 0; i < ARRAY_LEN(limits); i++) {
		struct table_content content;
		struct buf out = {0};
		const char *at;

		fill(&content);
		content.settings.uses = limits[i].uses;
		table_print_nft(&out, &content);
		at = strstr(out.data, head);
		ck_assert_ptr_nonnull(at);
		ck_assert_msg(
		    str_starts(str_from(at + strlen(head)), str_from(limits[i].first)),
		    "%s", at);
		buf_free(&out);
	}
}
END_TEST

static size_t
rules_on(const struct table_chain *chain, uint32_t uses)
{
	const struct table_settings settings = {
	    .steer_mask = 0x0ff00000, .validate_sources = true, .uses = uses};
	size_t count = 0;

	for (size_t i = 0; i < chain->rule_count && table_chain_is_on(chain, &settings);
	     i++)
		count += table_rule_is_on(&chain->rules[i], &settings);
	return count;
}

static bool
leads_there(const struct table_rule *rule, const struct table_settings *settings)
{
	for (size_t i = 0; i < rule->count; i++) {
		const struct table_stmt *s = &rule->stmts[i];

		if ((s->kind == STMT_JUMP || s->kind == STMT_GOTO) &&
		    !table_chain_is_on(table_chain_find(s->chain), settings))
			return false;
	}
	return true;
}

static void
check_leads(const struct table_chain *chain, uint32_t uses)
{
	const struct table_settings settings = {.steer_mask = 0x0ff00000, .uses = uses};

	if (!table_chain_is_on(chain, &settings))
		return;
	for (size_t i = 0; i < chain->rule_count; i++) {
		if (table_rule_is_on(&chain->rules[i], &settings) &&
		    !leads_there(&chain->rules[i], &settings))
			ck_abort_msg(
			    "%s, rule %zu, uses %u", chain->name, i, (unsigned)uses);
	}
}

/* The uses that a chain, its rules, and the chains that these lead to hang on. */
static uint32_t
uses_around(const struct table_chain *chain)
{
	uint32_t uses = chain->uses;

	for (size_t i = 0; i < chain->rule_count; i++) {
		for (size_t j = 0; j < chain->rules[i].count; j++) {
			const struct table_stmt *s = &chain->rules[i].stmts[j];

			if (s->kind == STMT_JUMP || s->kind == STMT_GOTO)
				uses |= table_chain_find(s->chain)->uses;
			if (s->kind == STMT_LOOKUP || s->kind == STMT_PRIORITY_MAP)
				uses |= table_sets[s->set].use;
		}
	}
	return uses;
}

/* Of any uses, nothing leads to what is not there; of all, everything is. */
START_TEST(what_is_there_leads_to_what_is_there)
{
	const struct table_chain *chain = &table_chains[_i];
	const uint32_t around = uses_around(chain);
	uint32_t uses = 0;

	ck_assert_uint_eq(rules_on(chain, USE_ALL), chain->rule_count);
	do { /* every part of them */
		check_leads(chain, uses);
		uses = (uses - around) & around;
	} while (uses != 0);
}
END_TEST

/* Each use has rules of its own in a chain that packets come to. */
START_TEST(every_use_has_rules)
{
	const uint32_t use = UINT32_C(1) << _i;
	size_t with = 0, without = 0;

	for (size_t c = 0; c < table_chain_count; c++) {
		with += rules_on(&table_chains[c], use);
		without += rules_on(&table_chains[c], 0);
	}
	ck_assert_uint_gt(with, without);
	for (size_t set = 0; set < SET_COUNT; set++) {
		size_t counts[SET_COUNT] = {0};

		counts[set] = 1;
		ck_assert_uint_eq(table_uses(counts), table_sets[set].use);
	}
}
END_TEST

static const char *const json_texts[] = {
    "{\n  \"sets\": {\n    \"local4_in\": [\n      {\"address\": \"10.1.0.7\"}],\n",
    "\"peer4_in\": [\n      {\"address\": \"10.2.0.1\", \"value\": 180092946}],\n",
    "{\"address\": \"10.0.1.0\", \"lastAddress\": \"10.0.1.0\", \"value\": "
    "180092946}],",
    "{\"class\": 180092946, \"address\": \"10.1.0.7\", \"protocol\": 1, \"port\": 0, "
    "\"lastPort\": 65535, \"value\": 2}],",
    "\"rules\": [\n    {\"number\": 4096, \"action\": \"deny\", \"log\": false, "
    "\"direction\": \"ingress\", \"phase\": \"mandatory\", "
    "\"kind\": \"NetworkPolicy\", \"namespace\": \"shop\", \"policy\": \"web\", "
    "\"rule\": \"\", \"index\": 0, \"isolation\": false, "
    "\"comment\": \"NetworkPolicy shop/web ingress rule 0 web.yaml:12\", "
    "\"file\": \"web.yaml\", \"line\": 12}]\n}\n",
};

START_TEST(json_text_has)
{
	struct table_content content;
	struct buf out = {0};

	fill(&content);
	table_print_json(&out, &content);
	ck_assert_msg(strstr(out.data, json_texts[_i]) != NULL, "no %s\nin %s",
	    json_texts[_i], out.data);
	buf_free(&out);
}
END_TEST

static Suite *
table_suite(void)
{
	Suite *suite = suite_create("table");
	TCase *tc = tcase_create("table");

	tcase_add_loop_test(
	    tc, chains_are_defined_before_use, 0, (int)table_chain_count);
	tcase_add_loop_test(
	    tc, lookups_load_what_their_set_is_keyed_by, 0, (int)table_chain_count);
	tcase_add_loop_test(
	    tc, sets_are_where_their_ids_say, 0, (int)ARRAY_LEN(set_rows));
	tcase_add_loop_test(tc, set_comments_fit, 0, SET_COUNT);
	tcase_add_test(tc, key_is_what_the_kernel_compares);
	tcase_add_test(tc, key_end_is_the_last_address_of_a_network);
	tcase_add_test(tc, elements_are_ordered_by_class_address_protocol_port);
	tcase_add_test(tc, elements_differ_by_value_and_end_but_not_by_place);
	tcase_add_test(tc, rule_chain_follows_action_and_settings);
	tcase_add_test(tc, rules_of_no_use_are_not_there);
	tcase_add_test(tc, known_packets_pay_for_limits_of_their_bytes_alone);
	tcase_add_loop_test(
	    tc, what_is_there_leads_to_what_is_there, 0, (int)table_chain_count);
	tcase_add_loop_test(tc, every_use_has_rules, 0, 29);
	tcase_add_loop_test(tc, nft_text_has, 0, (int)ARRAY_LEN(nft_texts));
	tcase_add_loop_test(tc, json_text_has, 0, (int)ARRAY_LEN(json_texts));
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(table_suite());
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
