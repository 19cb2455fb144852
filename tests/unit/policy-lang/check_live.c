/* Edits of single sources: rules whose numbers are in each other's way, of which only their own
 * policies take a whole load; addresses that several claim; nodes that only pods speak of. And
 * what is told when that is compiled. */
#include "live_fixture.h"

#define POLICY(name, port)                                                             \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: " name    \
	", namespace: /a }\nspec: { allow: { ingress: [ { ports: [" port "] } ] } }\n"
/* Found by trying: the first rule of both has the same number by its name. */
#define ONE   "p21181"
#define OTHER "p36532"

static uint32_t
number(const struct live *live, size_t policy)
{
	return live_model(live)->policies[policy]->allow[DIR_INGRESS].rules[0].number;
}

START_TEST(others_are_edited_when_two_numbers_collide)
{
	struct live *live = load(
	    POLICY(ONE, "1/tcp"), POLICY(OTHER, "1/tcp"), POLICY("third", "1/tcp"));

	ck_assert_ptr_nonnull(live);
	ck_assert_uint_eq(number(live, 1), number(live, 0) + 1);
	ck_assert_int_eq(edit(live, "2", POLICY("third", "2/tcp")), LIVE_READ);
	ck_assert_int_eq(edit(live, "3", POLICY("fourth", "2/tcp")), LIVE_READ);
	ck_assert_int_eq(edit(live, "2", NULL), LIVE_READ);
	live_free(live);
}
END_TEST

START_TEST(those_that_collide_take_a_whole_load)
{
	struct live *live = load(POLICY(ONE, "1/tcp"), POLICY(OTHER, "1/tcp"), NULL);

	ck_assert_ptr_nonnull(live);
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_BEYOND);
	ck_assert_int_eq(edit(live, "0", POLICY(ONE, "2/tcp")), LIVE_BEYOND);
	ck_assert_int_eq(edit(live, "1", POLICY(OTHER, "2/tcp")), LIVE_BEYOND);
	live_free(live);
}
END_TEST

START_TEST(what_comes_to_collide_takes_a_whole_load)
{
	struct live *live = load(POLICY(ONE, "1/tcp"), NULL, NULL);
	uint32_t before;

	ck_assert_ptr_nonnull(live);
	before = number(live, 0);
	ck_assert_int_eq(edit(live, "1", POLICY(OTHER, "1/tcp")), LIVE_BEYOND);
	ck_assert_uint_eq(live_model(live)->policy_count, 1);
	/* One by one they have the same. */
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_READ);
	ck_assert_int_eq(edit(live, "1", POLICY(OTHER, "1/tcp")), LIVE_READ);
	ck_assert_uint_eq(number(live, 0), before);
	live_free(live);
}
END_TEST

/* ---- what means nothing to a node ---- */

START_TEST(nothing_is_told_of_what_means_nothing_to_a_node)
{
	static const char *const kinds[] = {"Quota\nmetadata: { name: q, namespace: /a "
					    "}\nspec: { requests: { perSecond: "
					    "3 } }\n",
	    "Access\nmetadata: { name: q, namespace: /a }\nspec: { groups: [ g ], "
	    "default: "
	    "[ { action: allow, verbs: [ get ], resources: [ pods ] } ] }\n",
	    "Test\nmetadata: { name: q, namespace: /a }\nspec: { expect: [ { from: "
	    "192.0.2.1, to: 192.0.2.2, verdict: allow } ] }\n",
	    "ExternalNetwork\nmetadata: { name: q, namespace: /a }\nspec: { cidrs: [ "
	    "192.0.2.0/24 ] }\n"};
	const char *text = arena_printf(
	    arena, "apiVersion: ringfence.dev/v1alpha1\nkind: %s", kinds[_i]);
	struct live *live =
	    load_kept(PAYS "---\n" CARD("/", "192.0.2.0/24"), POD, NULL);

	for (unsigned i = 0; i < 3; i++) {
		struct live_edit *e = live_edit_new(live);
		const struct str none = {NULL, 0};
		struct compile_change *changes;
		size_t count;

		ck_assert_int_eq(
		    live_read(e, STR("2"), i < 2 ? str_from(text) : none, &diags),
		    LIVE_READ);
		ck_assert(live_commit(e, arena, &diags, &changes, &count));
		ck_assert_uint_eq(count, 0);
		live_edit_free(e);
		live_sweep(live);
	}
	live_free(live);
}
END_TEST

/* ---- addresses ---- */

#define CLAIMS(name)                                                                   \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\nmetadata: { name: " name  \
	", namespace: /a }\nspec: { ips: [ 10.0.0.1 ] }\n"

static void
check_owner(const struct live *live, const char *name)
{
	struct ip_addr addr;

	ck_assert(ip_parse(STR("10.0.0.1"), &addr));
	ck_assert(str_is(model_workload_at(live_model(live), &addr)->name, name));
}

/* Whoever may write Workloads, first in whatever order. */
START_TEST(no_workload_takes_the_address_of_a_pod)
{
	struct live *live = load_kept(CLAIMS("a"), POD, CLAIMS("z"));

	check_owner(live, "p");
	ck_assert_int_eq(edit(live, "1", NULL), LIVE_READ);
	check_owner(live, "a");
	ck_assert_int_eq(edit(live, "1", POD), LIVE_READ);
	check_owner(live, "p");
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_READ);
	ck_assert_int_eq(edit(live, "0", CLAIMS("b")), LIVE_READ);
	check_owner(live, "p");
	ck_assert_int_eq(edit(live, "1", NULL), LIVE_READ);
	check_owner(live, "b");
	live_free(live);
	/* The other way round, from nothing. */
	live = load_kept(POD, CLAIMS("a"), NULL);
	check_owner(live, "p");
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_READ);
	check_owner(live, "a");
	live_free(live);
}
END_TEST

/* ---- nodes ---- */

#define NODE(ip)                                                                       \
	"apiVersion: v1\nkind: Node\nmetadata: { name: n1 }\nstatus: { addresses: [ "  \
	"{ "                                                                           \
	"type: InternalIP, address: " ip " } ] }\n"
#define ON_NODE(name, ip)                                                              \
	"apiVersion: v1\nkind: Pod\nmetadata: { name: " name                           \
	" }\nspec: { nodeName: n1 }\nstatus: { hostIP: " ip " }\n"

static void
check_node(const struct live *live, const char *ip, const char *other)
{
	const struct model *m = live_model(live);
	const char *const texts[] = {ip, other};
	const struct node *node = model_cluster_node(m, STR(""), STR("n1"));
	size_t count = other != NULL ? 2 : ip != NULL;
	struct ip_addr addr;

	ck_assert_uint_eq(m->node_count, count != 0);
	ck_assert_uint_eq(m->node_by_address.len, count);
	if (count == 0)
		return;
	ck_assert_ptr_nonnull(node);
	ck_assert_uint_eq(node->ip_count, count);
	for (size_t i = 0; i < count; i++) {
		ck_assert(ip_parse(str_from(texts[i]), &addr));
		ck_assert(ip_eq(&addr, &node->ips[i]));
		ck_assert_ptr_eq(model_node_at(m, &addr), node);
	}
}

/* NULL: of no workload, and of the node. */
static void
check_claimed(const struct live *live, const char *name, unsigned warnings)
{
	struct ip_addr addr;
	unsigned warned = 0;

	for (const struct diag *d = diags.first; d != NULL; d = d->next)
		warned += strcmp(d->code, "shared-address") == 0;
	ck_assert_uint_eq(warned, warnings);
	if (name != NULL) {
		check_owner(live, name);
		return;
	}
	ck_assert(ip_parse(STR("10.0.0.1"), &addr));
	ck_assert_ptr_null(model_workload_at(live_model(live), &addr));
	ck_assert_ptr_nonnull(model_node_at(live_model(live), &addr));
}

/* Be it an object or what pods say. */
START_TEST(no_workload_takes_the_address_of_a_node)
{
	struct live *live = load_kept(CLAIMS("a"), NODE("10.0.0.1"), NULL);

	check_claimed(live, NULL, 1);
	ck_assert_int_eq(edit(live, "1", NODE("10.0.0.2")), LIVE_READ);
	check_claimed(live, "a", 1);
	ck_assert_int_eq(edit(live, "1", NODE("10.0.0.1")), LIVE_READ);
	check_claimed(live, NULL, 2);
	/* A pod may have it, and leaves it to the node. */
	ck_assert_int_eq(edit(live, "2", POD), LIVE_READ);
	check_claimed(live, "p", 2);
	ck_assert_int_eq(edit(live, "0", CLAIMS("a") "# again\n"), LIVE_READ);
	check_claimed(live, "p", 3);
	ck_assert_int_eq(edit(live, "2", NULL), LIVE_READ);
	check_claimed(live, NULL, 3);
	ck_assert_int_eq(edit(live, "3", CLAIMS("b")), LIVE_READ);
	check_claimed(live, NULL, 4);
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_READ);
	ck_assert_int_eq(edit(live, "1", NULL), LIVE_READ);
	check_claimed(live, "b", 4);
	ck_assert_int_eq(edit(live, "1", ON_NODE("x", "10.0.0.1")), LIVE_READ);
	check_claimed(live, NULL, 5);
	ck_assert_int_eq(edit(live, "1", ON_NODE("x", "10.0.0.2")), LIVE_READ);
	check_claimed(live, "b", 5);
	live_free(live);
}
END_TEST

START_TEST(nodes_are_what_pods_say_when_no_object_is_about_them)
{
	struct live *live = load_kept(
	    NODE("10.9.0.1"), ON_NODE("a", "10.9.0.3"), ON_NODE("b", "10.9.0.2"));

	check_node(live, "10.9.0.1", NULL);
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_READ);
	check_node(live, "10.9.0.2", "10.9.0.3");
	ck_assert_int_eq(edit(live, "3", ON_NODE("c", "10.9.0.2")), LIVE_READ);
	check_node(live, "10.9.0.2", "10.9.0.3");
	ck_assert_int_eq(edit(live, "2", NULL), LIVE_READ);
	check_node(live, "10.9.0.2", "10.9.0.3");
	ck_assert_int_eq(edit(live, "3", NULL), LIVE_READ);
	check_node(live, "10.9.0.3", NULL);
	ck_assert_int_eq(edit(live, "0", NODE("10.9.0.1")), LIVE_READ);
	check_node(live, "10.9.0.1", NULL);
	ck_assert_int_eq(edit(live, "1", NULL), LIVE_READ);
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_READ);
	check_node(live, NULL, NULL);
	ck_assert_int_eq(edit(live, "1", ON_NODE("a", "10.9.0.3")), LIVE_READ);
	check_node(live, "10.9.0.3", NULL);
	live_free(live);
}
END_TEST

START_TEST(a_name_that_another_cluster_may_have_takes_a_whole_load)
{
	static const struct {
		struct str name, path;
	} clusters[] = {{{"east", 4}, {"east", 4}}, {{"west", 4}, {"west", 4}}};
	const struct model_options options = {
	    .clusters = (const void *)clusters, .cluster_count = ARRAY_LEN(clusters)};
	struct source sources[] = {
	    {STR("east/node"), STR(NODE("10.9.0.1"))},
	    {STR("native"), STR("apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"
				"metadata: { name: w, namespace: /a }\n"
				"spec: { node: n1 }\n")},
	    {STR("east/pod"), STR(ON_NODE("a", "10.9.0.3"))},
	};
	const struct bundle bundle = {sources, ARRAY_LEN(sources)};
	struct live *live = live_load(arena, &bundle, &options, NULL, &diags);

	ck_assert_ptr_nonnull(live);
	ck_assert_int_eq(edit(live, "west/node", NODE("10.9.1.1")), LIVE_BEYOND);
	ck_assert_int_eq(edit(live, "west/pod", ON_NODE("b", "10.9.1.1")), LIVE_BEYOND);
	ck_assert_int_eq(edit(live, "east/node", NULL), LIVE_BEYOND);
	ck_assert_int_eq(edit(live, "east/pod", NULL), LIVE_READ);
	ck_assert_int_eq(edit(live, "native", NULL), LIVE_READ);
	ck_assert_int_eq(edit(live, "west/node", NODE("10.9.1.1")), LIVE_READ);
	live_free(live);
}
END_TEST

/* ---- what compiling warns of ---- */

#define ROUTE                                                                          \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Route\nmetadata: { name: r, "       \
	"namespace: /a }\nspec: { default: { egress: [ { action: route, nextHop: [ "   \
	"192.0.2.1 ] } ] } }\n"

static unsigned
not_followed(const struct diag_list *list)
{
	unsigned count = 0;

	for (const struct diag *d = list->first; d != NULL; d = d->next)
		count += strcmp(d->code, "not-followed") == 0;
	return count;
}

/* How often an edit that is taken without compiling anew warns that the Route is not followed. */
static unsigned
warnings_of(struct live *live, struct compile_state *state, const char *text)
{
	struct live_edit *e = live_edit_new(live);
	struct compile_change *changes;
	struct compile_delta delta;
	struct diag_list told;
	size_t change_count;
	const struct str none = {NULL, 0};

	diag_list_init(&told, arena);
	ck_assert_int_eq(
	    live_read(e, STR("1"), text != NULL ? str_from(text) : none, &told),
	    LIVE_READ);
	ck_assert(live_commit(e, arena, &told, &changes, &change_count));
	compile_state_advance(
	    state, arena, live_model(live), changes, change_count, &told, &delta);
	ck_assert(!delta.anew);
	live_edit_free(e);
	live_sweep(live);
	return not_followed(&told);
}

START_TEST(a_route_that_is_not_followed_is_told_once)
{
	const struct compile_options options = {.node = STR("n1")};
	struct live *live = load_kept(ROUTE, NULL, NULL);
	struct compile_state *state =
	    compile_state_new(live_model(live), &options, &diags);

	ck_assert_ptr_nonnull(state);
	ck_assert_uint_eq(not_followed(&diags), 0);
	ck_assert_uint_eq(warnings_of(live, state, HERE("one")), 1);
	ck_assert_uint_eq(warnings_of(live, state, HERE("two")), 0);
	ck_assert_uint_eq(warnings_of(live, state, NULL), 0);
	ck_assert_uint_eq(warnings_of(live, state, HERE("one")), 1);
	compile_state_free(state);
	/* What was told in the beginning is known, too. */
	live_settle(live);
	state = compile_state_new(live_model(live), &options, &diags);
	ck_assert_ptr_nonnull(state);
	ck_assert_uint_eq(not_followed(&diags), 1);
	ck_assert_uint_eq(warnings_of(live, state, HERE("two")), 0);
	compile_state_free(state);
	live_free(live);
}
END_TEST

int
main(void)
{
	TCase *tcase = tcase_create("edits");

	tcase_add_test(tcase, others_are_edited_when_two_numbers_collide);
	tcase_add_test(tcase, those_that_collide_take_a_whole_load);
	tcase_add_test(tcase, what_comes_to_collide_takes_a_whole_load);
	tcase_add_loop_test(
	    tcase, nothing_is_told_of_what_means_nothing_to_a_node, 0, 4);
	tcase_add_test(tcase, no_workload_takes_the_address_of_a_pod);
	tcase_add_test(tcase, no_workload_takes_the_address_of_a_node);
	tcase_add_test(tcase, nodes_are_what_pods_say_when_no_object_is_about_them);
	tcase_add_test(tcase, a_name_that_another_cluster_may_have_takes_a_whole_load);
	tcase_add_test(tcase, a_route_that_is_not_followed_is_told_once);
	return run_live_tests("live", tcase);
}
