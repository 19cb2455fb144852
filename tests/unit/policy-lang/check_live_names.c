/* Edits of single sources: external networks and who names them, and names of ports. */
#include "live_fixture.h"

/* ---- external networks ---- */

/* Where the only policy's peer is. */
static void
check_card(const struct live *live, const char *cidr)
{
	const struct policy *p = live_model(live)->policies[0];
	const struct peer *peer = &p->allow[DIR_EGRESS].rules[0].peers[0];
	struct ip_prefix prefix;

	ck_assert(ip_prefix_parse(str_from(cidr), &prefix, NULL));
	ck_assert_uint_eq(peer->prefix_count, 1);
	ck_assert(ip_eq(&peer->prefixes[0].addr, &prefix.addr));
}

START_TEST(who_names_an_external_network_follows_it)
{
	struct live *live = load_kept(CARD("/", "192.0.2.0/24"), PAYS, NULL);

	ck_assert_int_eq(edit(live, "0", CARD("/", "198.51.100.0/24")), LIVE_READ);
	check_card(live, "198.51.100.0/24");
	/* A nearer one comes, moves out of the way, and comes again. */
	ck_assert_int_eq(edit(live, "2", CARD("/a", "203.0.113.0/24")), LIVE_READ);
	check_card(live, "203.0.113.0/24");
	ck_assert_int_eq(edit(live, "2", CARD("/c", "203.0.113.0/24")), LIVE_READ);
	check_card(live, "198.51.100.0/24");
	ck_assert_int_eq(edit(live, "2", CARD("/a/b", "203.0.113.0/24")), LIVE_READ);
	check_card(live, "203.0.113.0/24");
	ck_assert_int_eq(edit(live, "2", NULL), LIVE_READ);
	check_card(live, "198.51.100.0/24");
	/* The last that there is. */
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_BEYOND);
	check_card(live, "198.51.100.0/24");
	ck_assert_uint_eq(live_model(live)->external_count, 1);
	live_free(live);
}
END_TEST

/* As a load of all sources says. */
START_TEST(a_name_that_is_near_is_told)
{
	struct live *live = load_kept(CARD("/", "192.0.2.0/24"), NULL, NULL);
	const char *text =
	    "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: pay, "
	    "namespace: /a/b }\nspec: { allow: { egress: [ { to: [ { external: cart } "
	    "] } ] } }\n";
	const struct diag *edited;

	ck_assert_int_eq(edit(live, "1", text), LIVE_REFUSED);
	edited = diags.first;
	while (edited->severity != DIAG_ERROR)
		edited = edited->next;
	ck_assert_ptr_nonnull(edited->hint);
	live_free(live);
	diag_list_init(&diags, arena);
	ck_assert_ptr_null(load(CARD("/", "192.0.2.0/24"), text, NULL));
	while (diags.first->severity != DIAG_ERROR)
		diags.first = diags.first->next;
	ck_assert_str_eq(diags.first->hint, edited->hint);
}
END_TEST

START_TEST(names_and_who_names_them_may_come_in_any_order)
{
	struct live *live = load_kept(PAYS, CARD("/a", "192.0.2.0/24"), NULL);
	struct live_edit *e = live_edit_new(live);
	struct compile_change *changes;
	size_t count;

	ck_assert_int_eq(
	    live_read(e, STR("0"), STR(PAYS "# another\n"), &diags), LIVE_READ);
	ck_assert_int_eq(
	    live_read(e, STR("1"), (struct str){NULL, 0}, &diags), LIVE_READ);
	ck_assert_int_eq(
	    live_read(e, STR("3"), STR(CARD("/", "198.51.100.0/24")), &diags),
	    LIVE_READ);
	ck_assert(live_brings_names(e));
	ck_assert(live_commit(e, arena, &diags, &changes, &count));
	live_edit_free(e);
	live_sweep(live);
	check_card(live, "198.51.100.0/24");
	live_free(live);
}
END_TEST

/* Who was read while it was there does not keep it. */
START_TEST(a_name_that_came_and_went_was_never_there)
{
	struct live *live = load_kept(CARD("/", "192.0.2.0/24"), POD, NULL);
	struct live_edit *e = live_edit_new(live);
	struct compile_change *changes;
	size_t count;

	ck_assert_int_eq(
	    live_read(e, STR("2"), STR(CARD("/a", "203.0.113.0/24")), &diags),
	    LIVE_READ);
	ck_assert_int_eq(live_read(e, STR("3"), STR(PAYS), &diags), LIVE_READ);
	ck_assert_int_eq(
	    live_read(e, STR("2"), (struct str){NULL, 0}, &diags), LIVE_READ);
	ck_assert(live_commit(e, arena, &diags, &changes, &count));
	live_edit_free(e);
	live_sweep(live);
	check_card(live, "192.0.2.0/24");
	live_free(live);
}
END_TEST

/* Whoever is written there, and was refused, finds other names above it now. */
START_TEST(a_namespace_that_is_placed_may_bring_names)
{
	static const char placed[] =
	    "apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\nmetadata: { name: /a "
	    "}\nspec: { kubernetes: { namespaces: [ k ] } }\n";
	struct live *live = load_kept(CARD("/a", "192.0.2.0/24"), POD, NULL);
	struct live_edit *e = live_edit_new(live);

	ck_assert_int_eq(live_read(e, STR("2"), STR(POD "# it\n"), &diags), LIVE_READ);
	ck_assert(!live_brings_names(e));
	ck_assert_int_eq(live_read(e, STR("3"), str_from(placed), &diags), LIVE_READ);
	ck_assert(live_brings_names(e));
	live_edit_free(e);
	live_free(live);
}
END_TEST

/* Whoever waits for an edit waits for all that is read again. */
START_TEST(what_very_many_name_takes_a_whole_load)
{
	static const unsigned counts[] = {4000, 4200};
	struct bundle *bundle = ARENA_NEW(arena, struct bundle);
	struct live *live;

	bundle->sources = ARENA_ARRAY(arena, counts[_i] + 1, struct source);
	bundle->sources[0] = (struct source){STR("0"), STR(CARD("/", "192.0.2.0/24"))};
	for (bundle->count = 1; bundle->count <= counts[_i]; bundle->count++) {
		const char *name = arena_printf(arena, "%zu", bundle->count);

		bundle->sources[bundle->count] = (struct source){str_from(name),
		    str_from(arena_printf(arena,
			"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { "
			"name: pay%s, namespace: /a }\nspec: { allow: { egress: [ { "
			"to: "
			"[ { external: card } ] } ] } }\n",
			name))};
	}
	live = live_load(arena, bundle, NULL, NULL, &diags);
	ck_assert_ptr_nonnull(live);
	live_keep_texts(live);
	ck_assert_int_eq(edit(live, "0", CARD("/", "198.51.100.0/24")),
	    _i == 0 ? LIVE_READ : LIVE_BEYOND);
	check_card(live, _i == 0 ? "198.51.100.0/24" : "192.0.2.0/24");
	live_free(live);
}
END_TEST

START_TEST(nobody_is_read_again_for_what_he_does_not_name)
{
	struct live *live = load(CARD("/", "192.0.2.0/24"), PAYS, NULL);

	/* No text is kept: who names it cannot be read again. */
	ck_assert_int_eq(edit(live, "0", CARD("/", "198.51.100.0/24")), LIVE_BEYOND);
	ck_assert_int_eq(edit(live, "2", CARD("/c", "198.51.100.0/24")), LIVE_READ);
	ck_assert_int_eq(
	    edit(live, "0", CARD("/", "192.0.2.0/24") "# it\n"), LIVE_READ);
	check_card(live, "192.0.2.0/24");
	live_free(live);
}
END_TEST

START_TEST(what_gives_less_frees_names)
{
	static const struct {
		const char *name, *text;
		bool frees;
	} edits[] = {
	    {"0", NULL, true},
	    {"0", CARD("/", "198.51.100.0/24"), false},
	    {"0", CARD("/c", "192.0.2.0/24"), true},
	    {"1", NULL, false}, /* pods come and go, and nobody gives one twice */
	    {"2", PAYS, false},
	};
	struct live *live = load_kept(CARD("/", "192.0.2.0/24"), POD, NULL);
	struct live_edit *e = live_edit_new(live);
	struct str text = {NULL, 0};

	if (edits[_i].text != NULL)
		text = str_from(edits[_i].text);
	ck_assert_int_eq(
	    live_read(e, str_from(edits[_i].name), text, &diags), LIVE_READ);
	ck_assert(live_frees_names(e) == edits[_i].frees);
	live_edit_free(e);
	live_free(live);
}
END_TEST

/* ---- names of ports ---- */

#define PEER(name, app, ip)                                                            \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Workload\nmetadata: { "        \
	"name: " name ", namespace: /a, labels: { app: " app                           \
	" } }\nspec: { ips: [ " ip " ], ports: [ { name: http, port: 80 } ] }\n"
#define PEERS                                                                          \
	PEER("p1", "one", "10.1.0.1")                                                  \
	PEER("p2", "two", "10.1.0.2") PEER("p3", "three", "10.1.0.3")
#define TO_HTTP(priority, first, second)                                               \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: pol, "    \
	"namespace: /a }\nspec: { priority: " priority ", default: { egress: [ { "     \
	"action: deny, to: [ { workloads: { matchLabels: { app: " first                \
	" } } } ], ports: [ http ] }, { action: deny, to: [ { workloads: { "           \
	"matchLabels: { app: " second " } } } ], ports: [ http ] } ] } }\n"

/* Whether the change took compiling anew; what there is then is as if it had. */
static bool
took_anew(struct live *live, struct compile_state **state,
    const struct compile_options *options, const char *text)
{
	struct live_edit *e = live_edit_new(live);
	struct compile_change *changes;
	struct compile_delta delta;
	struct table_content now, whole;
	struct buf one = {0}, two = {0};
	size_t count;

	ck_assert_int_eq(live_read(e, STR("2"), str_from(text), &diags), LIVE_READ);
	ck_assert(live_commit(e, arena, &diags, &changes, &count));
	compile_state_advance(
	    *state, arena, live_model(live), changes, count, &diags, &delta);
	live_settle(live);
	if (delta.anew) {
		compile_state_free(*state);
		*state = compile_state_new(live_model(live), options, &diags);
		ck_assert_ptr_nonnull(*state);
	}
	compile_state_content(*state, arena, &now);
	ck_assert(compile_node(arena, live_model(live), options, &diags, &whole));
	table_print_json(&one, &now);
	table_print_json(&two, &whole);
	ck_assert(str_eq(buf_str(&one), buf_str(&two)));
	buf_free(&one);
	buf_free(&two);
	live_edit_free(e);
	live_sweep(live);
	return delta.anew;
}

START_TEST(names_lead_where_they_do_in_any_order)
{
	const struct compile_options options = {.node = STR("n1")};
	struct live *live = load_kept(PEERS, HERE("here"), TO_HTTP("1", "one", "two"));
	struct compile_state *state =
	    compile_state_new(live_model(live), &options, &diags);

	ck_assert_ptr_nonnull(state);
	/* The same peers in another order, then others, fewer and more. */
	ck_assert(!took_anew(live, &state, &options, TO_HTTP("2", "two", "one")));
	ck_assert(!took_anew(live, &state, &options, TO_HTTP("2", "two", "three")));
	ck_assert(!took_anew(live, &state, &options, TO_HTTP("2", "two", "two")));
	ck_assert(!took_anew(live, &state, &options, TO_HTTP("2", "one", "two")));
	compile_state_free(state);
	live_free(live);
}
END_TEST

int
main(void)
{
	TCase *tcase = tcase_create("edits");

	tcase_add_test(tcase, who_names_an_external_network_follows_it);
	tcase_add_test(tcase, a_name_that_is_near_is_told);
	tcase_add_test(tcase, names_and_who_names_them_may_come_in_any_order);
	tcase_add_test(tcase, a_name_that_came_and_went_was_never_there);
	tcase_add_test(tcase, a_namespace_that_is_placed_may_bring_names);
	tcase_add_loop_test(tcase, what_very_many_name_takes_a_whole_load, 0, 2);
	tcase_add_test(tcase, nobody_is_read_again_for_what_he_does_not_name);
	tcase_add_loop_test(tcase, what_gives_less_frees_names, 0, 5);
	tcase_add_test(tcase, names_lead_where_they_do_in_any_order);
	return run_live_tests("live-names", tcase);
}
