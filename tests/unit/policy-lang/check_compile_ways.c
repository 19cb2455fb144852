#include "compile_fixture.h"

#define NODE(name, v4, v6)                                                             \
	"---\napiVersion: v1\nkind: Node\nmetadata: {name: " name                      \
	", labels: {exit: " name "}}\n"                                                \
	"status: {addresses: [{type: InternalIP, address: " v4                         \
	"}, {type: InternalIP, address: '" v6 "'}]}\n"
#define WORKLOAD(name, node, v4, v6)                                                   \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"                    \
	"metadata: {name: " name ", namespace: /a}\nspec: {node: " node ", ips: [" v4  \
	", '" v6 "']}\n"
#define WORLD                                                                          \
	NODE("n1", "192.0.2.1", "fd0b::1")                                             \
	NODE("n2", "192.0.2.2", "fd0b::2")                                             \
	NODE("n3", "192.0.2.3", "fd0b::3")                                             \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Namespace\n"                   \
	"metadata: {name: /a}\n" WORKLOAD("w1", "n1", "10.1.0.1", "fd00::1")           \
	    WORKLOAD("w2", "n2", "10.1.0.2", "fd00::2")
#define EGRESS(rules)                                                                  \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"                       \
	"metadata: {name: r, namespace: /a}\nspec:\n  default:\n    egress: [" rules   \
	"]\n"

static struct compiled *
compiled_on(const char *node, const char *rules, uint32_t ways)
{
	static const struct route_tables tables[] = {
	    {100, 199, {"/a", 2}}, {200, 200, {"/b", 2}}};
	const struct compile_options options = {.node = str_from(node),
	    .settings = {.log_group = 5, .steer_mask = 0x00ff0000},
	    .way_count = ways,
	    .route_tables = tables,
	    .route_table_count = ARRAY_LEN(tables)};

	return compile_options_of(NULL, &options, rules);
}

/* ---- what one rule is made of ---- */

static const struct {
	const char *node, *rule;
	const char *way; /* its comment, behind the number; NULL: none */
	unsigned warnings;
} rows[] = {
    {"n1", "{action: route, nextHop: [192.0.2.9, 'fd0b::9']}",
	"next hop 192.0.2.9, fd0b::9", 0},
    {"n1", "{action: route, nextHop: [192.0.2.9]}", "next hop 192.0.2.9", 1},
    {"n1", "{action: route, table: 100}", "table 100", 0},
    {"n1", "{action: route, table: 200}", NULL, 2},
    {"n1", "{action: route, table: 300}", NULL, 2},
    {"n1", "{action: route, gateway: [n3, n2]}", "gateway n3, n2", 0},
    {"n1", "{action: route, gateway: [n1, n2]}", NULL, 0},
    {"n1", "{action: route, gateway: [n3, n1, n2]}", "gateway n3", 0},
    {"n1", "{action: route, gateway: {matchLabels: {exit: n2}}}", "gateway n2", 0},
    {"n1", "{action: route, gateway: [nowhere]}", NULL, 3}, /* and the loader's */
    {"n1", "{action: route, gateway: [n2], nextHop: [192.0.2.9, 'fd0b::9']}",
	"gateway n2", 0},
    /* n2's own workload leaves there, and so does w1. */
    {"n2", "{action: route, gateway: [n2], nextHop: [192.0.2.9, 'fd0b::9']}",
	"next hop 192.0.2.9, fd0b::9", 0},
    {"n1", "{action: direct}", NULL, 0},
};

START_TEST(rule_has_the_way_that_its_node_needs)
{
	char text[4096];
	struct compiled *c;

	(void)snprintf(text, sizeof(text),
	    WORLD "---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
		  "metadata: {name: r, namespace: /a}\nspec:\n  default:\n"
		  "    egress: [%s]\n",
	    rows[_i].rule);
	c = compiled_on(rows[_i].node, text, 9);
	ck_assert_uint_eq(c->l->diags.warnings, rows[_i].warnings);
	ck_assert_uint_eq(c->content.way_count, rows[_i].way != NULL);
	if (rows[_i].way != NULL) {
		const struct table_way *way = &c->content.ways[0];
		const struct table_rule_chain *chain =
		    chain_of(c, NUMBER_WAY + way->number);

		ck_assert_ptr_nonnull(strstr(way->comment, rows[_i].way));
		ck_assert_str_eq(strchr(way->comment, ':') + 2, rows[_i].way);
		ck_assert_uint_eq(chain->mark, way->number << 16);
		ck_assert_uint_ge(c->content.element_count[SET_WAYS], 1);
		ck_assert_uint_ge(c->content.element_count[SET_STEER4], 1);
	} else {
		ck_assert_uint_eq(c->content.element_count[SET_WAYS], 0);
		ck_assert_uint_eq(c->content.element_count[SET_STEER4], 0);
	}
	loaded_free(c->l);
}
END_TEST

START_TEST(gateway_takes_whom_policy_sends_there_and_nobody_else)
{
	struct compiled *c =
	    compiled_on("n3", WORLD EGRESS("{action: route, gateway: [n3, n2]}"), 9);

	ck_assert_uint_eq(c->content.element_count[SET_ROUTE_LOCAL4_OUT], 2);
	ck_assert_uint_eq(c->content.element_count[SET_LOCAL4_OUT], 0);
	ck_assert_uint_eq(c->content.way_count, 0);
	for (size_t i = 0; i < c->content.element_count[SET_ROUTES]; i++)
		ck_assert_int_eq(
		    chain_of(c, c->content.elements[SET_ROUTES][i].value)->action,
		    ACTION_ALLOW);
	loaded_free(c->l);
	c = compiled_on("n3", WORLD EGRESS("{action: route, gateway: [n2]}"), 9);
	ck_assert_uint_eq(c->content.element_count[SET_ROUTE_LOCAL4_OUT], 0);
	loaded_free(c->l);
	/* Of two rules one leads here; what the other is for is not to come here. */
	c = compiled_on("n3",
	    WORLD EGRESS("{action: route, ports: [80/tcp], gateway: [n2]}, "
			 "{action: route, gateway: [n3]}"),
	    9);
	ck_assert_uint_eq(c->content.element_count[SET_ROUTE_LOCAL4_OUT], 2);
	ck_assert_uint_eq(c->l->diags.warnings, 0);
	for (size_t i = 0; i < c->content.element_count[SET_ROUTE_CELL4_OUT]; i++) {
		uint32_t id = c->content.elements[SET_ROUTE_CELL4_OUT][i].value;

		for (size_t j = 0; j < c->content.element_count[SET_ROUTES]; j++) {
			const struct table_element *e =
			    &c->content.elements[SET_ROUTES][j];

			if (e->class_id == id)
				ck_assert_int_eq(
				    chain_of(c, e->value)->action, ACTION_DENY);
		}
	}
	ck_assert_uint_eq(c->content.element_count[SET_ROUTE_CELL4_OUT], 2);
	loaded_free(c->l);
}
END_TEST

START_TEST(later_gateway_stands_by_with_the_address)
{
	const char *text =
	    WORLD EGRESS("{action: route, gateway: [n2, n3], source: [198.51.100.7]}");
	struct compiled *c = compiled_on("n3", text, 9);

	ck_assert_uint_eq(c->content.standby_count, 1);
	ck_assert_uint_eq(c->content.standbys[0].before_count, 1);
	ck_assert(str_is(c->content.standbys[0].before[0].node, "n2"));
	ck_assert(c->content.standbys[0].shared);
	loaded_free(c->l);
	c = compiled_on("n2", text, 9);
	ck_assert_uint_ge(c->content.standby_count, 1);
	for (size_t i = 0; i < c->content.standby_count; i++)
		ck_assert_uint_eq(c->content.standbys[i].before_count, 0);
	loaded_free(c->l);
	c = compiled_on("n1", text, 9);
	ck_assert_uint_eq(c->content.standby_count, 0);
	loaded_free(c->l);
}
END_TEST

START_TEST(rules_of_the_same_words_share_a_way)
{
	struct compiled *c = compiled_on("n1",
	    WORLD EGRESS("{action: route, ports: [80/tcp], table: 100}, "
			 "{action: route, ports: [81/tcp], table: 101}, "
			 "{action: route, table: 100}"),
	    9);

	ck_assert_uint_eq(c->content.way_count, 2);
	ck_assert_uint_ne(c->content.ways[0].number, c->content.ways[1].number);
	loaded_free(c->l);
	/* There is one number, and so the second way is denied. */
	c = compiled_on("n1",
	    WORLD EGRESS("{action: route, ports: [80/tcp], table: 100}, "
			 "{action: route, table: 101}"),
	    1);
	ck_assert_uint_eq(c->content.way_count, 1);
	ck_assert_uint_eq(c->content.ways[0].number, 1);
	ck_assert_uint_eq(c->l->diags.warnings, 2);
	loaded_free(c->l);
	c = compiled_on("n1", WORLD EGRESS("{action: route, table: 100}"), 0);
	ck_assert_uint_eq(c->content.way_count, 0);
	ck_assert_uint_eq(c->l->diags.warnings, 2);
	loaded_free(c->l);
}
END_TEST

/* ---- via ---- */

START_TEST(what_is_to_go_through_a_workload_is_warned_of)
{
	struct compiled *c = compiled_on("n1",
	    WORLD "---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
		  "metadata: {name: r, namespace: /a}\nspec:\n  default:\n    via:\n"
		  "      - {action: direct, ports: [80/tcp]}\n"
		  "      - {action: pass, ports: [81/tcp]}\n"
		  "      - {action: deny, ports: [82/tcp]}\n"
		  "      - {action: through, through: {namespace: /a, workloads: "
		  "{matchLabels: {app: fw}}}}\n",
	    9);

	ck_assert_uint_eq(c->l->diags.warnings - c->warned_before, 2);
	loaded_free(c->l);
}
END_TEST

/* Who begins what is to go through another is told from whom it came through. */
START_TEST(workloads_of_the_node_are_known_where_any_go_through_another)
{
	struct compiled *c = compiled_on("n1",
	    WORLD
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
	    "metadata: {name: r, namespace: /a}\nspec:\n  default:\n    via:\n"
	    "      - {action: through, ports: [80/tcp], through: {namespace: /a}}\n",
	    9);

	ck_assert_uint_eq(c->content.element_count[SET_OWN4], 1);
	ck_assert_uint_eq(c->content.element_count[SET_OWN6], 1);
	ck_assert_uint_eq(c->content.elements[SET_OWN4][0].addr[3], 1);
	loaded_free(c->l);
}
END_TEST

/* ---- marks ---- */

START_TEST(way_has_its_own_bits_of_the_mask)
{
	ck_assert_uint_eq(table_way_room(0), 0);
	ck_assert_uint_eq(table_way_room(0x00300000), 3);
	ck_assert_uint_eq(table_way_room(0x0ff00000), 255);
	ck_assert_uint_eq(table_way_room(0xffff0000), TABLE_WAYS_MAX);
	ck_assert_uint_eq(table_way_mark(0x0ff00000, 3), 0x00300000);
	ck_assert_uint_eq(table_way_mark(0x0ff00000, 255), 0x0ff00000);
	ck_assert_uint_eq(table_way_mark(0x00000007, 5), 5);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("compile_ways");
	TCase *tc = tcase_create("all");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(
	    tc, rule_has_the_way_that_its_node_needs, 0, ARRAY_LEN(rows));
	tcase_add_test(tc, gateway_takes_whom_policy_sends_there_and_nobody_else);
	tcase_add_test(tc, later_gateway_stands_by_with_the_address);
	tcase_add_test(tc, rules_of_the_same_words_share_a_way);
	tcase_add_test(tc, what_is_to_go_through_a_workload_is_warned_of);
	tcase_add_test(
	    tc, workloads_of_the_node_are_known_where_any_go_through_another);
	tcase_add_test(tc, way_has_its_own_bits_of_the_mask);
	suite_add_tcase(s, tc);
	runner = srunner_create(s);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
