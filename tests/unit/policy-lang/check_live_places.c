/* Edits of single sources: Kubernetes namespaces that are placed elsewhere, with what is written
 * in them; and what is refused, which places nothing. */
#include "live_fixture.h"

/* ---- places ---- */

#define PLACE(path, names)                                                             \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\nmetadata: { name: " path \
	" }\nspec: { kubernetes: { namespaces: [" names "] } }\n"
/* Relative to where it is: whose peers are known by their path. */
#define NEIGHBOURS                                                                     \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: pol, "    \
	"namespace: k }\nspec: { allow: { ingress: [ { from: [ { namespace: .. } ] } " \
	"] } "                                                                         \
	"}\n"
#define NETWORK_POLICY                                                                 \
	"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: { name: "    \
	"pol, "                                                                        \
	"namespace: k }\nspec: { podSelector: {} }\n"
#define QUOTA                                                                          \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Quota\nmetadata: { name: q, "       \
	"namespace: k }\nspec: { network: { connections: 3 } }\n"
#define LEAVE                                                                          \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Route\nmetadata: { name: r, "       \
	"namespace: k }\nspec: { default: { egress: [ { action: deny } ] } }\n"

static struct str
path_of_pod(const struct live *live)
{
	ck_assert_uint_eq(live_model(live)->workload_count, 1);
	return live_model(live)->workloads[0]->ns->path;
}

static void
check_policy(const struct live *live, const char *level, const char *peers)
{
	const struct model *m = live_model(live);
	const struct policy *p = m->policies[0];
	const struct ns *ns = model_ns(m, str_from(level));

	ck_assert_uint_eq(m->policy_count, 1);
	ck_assert_ptr_nonnull(ns);
	ck_assert_ptr_eq(p->level, ns);
	ck_assert_uint_eq(ns->policy_count, 1);
	ck_assert_ptr_eq(ns->policies[0], p);
	if (peers != NULL)
		ck_assert(str_is(
		    p->allow[DIR_INGRESS].rules[0].peers[0].workloads.subtree->path,
		    peers));
}

START_TEST(what_is_placed_moves_within_one_source)
{
	struct live *live =
	    load_kept(PLACE("/a", "k") "---\n" PLACE("/b/c", ""), POD, NEIGHBOURS);

	check_policy(live, "/a", "/");
	ck_assert_int_eq(
	    edit(live, "0", PLACE("/a", "") "---\n" PLACE("/b/c", "k")), LIVE_READ);
	ck_assert(str_is(path_of_pod(live), "/b/c"));
	check_policy(live, "/b/c", "/b");
	/* Nobody places it. */
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_READ);
	ck_assert(str_is(path_of_pod(live), "/k"));
	check_policy(live, "/k", "/");
	live_free(live);
}
END_TEST

START_TEST(what_is_placed_moves_between_sources)
{
	struct live *live = load_kept(PLACE("/a", "k"), NETWORK_POLICY, POD);
	struct live_edit *e = live_edit_new(live);
	struct compile_change *changes;
	size_t count, moves = 0;

	/* The policy is another, too, and was read before anything moved. */
	ck_assert_int_eq(
	    live_read(e, STR("1"), STR(NETWORK_POLICY "# another\n"), &diags),
	    LIVE_READ);
	ck_assert_int_eq(
	    live_read(e, STR("3"), STR(PLACE("/b", "k")), &diags), LIVE_READ);
	ck_assert_int_eq(
	    live_read(e, STR("0"), STR(PLACE("/a", "")), &diags), LIVE_READ);
	ck_assert(live_commit(e, arena, &diags, &changes, &count));
	for (size_t i = 0; i < count; i++)
		moves += changes[i].kind == CHANGE_KUBE_PLACE;
	ck_assert_uint_eq(moves, 1);
	live_edit_free(e);
	live_sweep(live);
	ck_assert(str_is(path_of_pod(live), "/b"));
	check_policy(live, "/b", NULL);
	live_free(live);
}
END_TEST

START_TEST(what_two_place_stays_until_both_agree)
{
	struct live *live = load_kept(PLACE("/a", "k"), POD, NULL);

	ck_assert_int_eq(edit(live, "2", PLACE("/b", "k")), LIVE_BEYOND);
	ck_assert(str_is(path_of_pod(live), "/a"));
	/* Of one source that is a mistake at once. */
	ck_assert_int_eq(
	    edit(live, "0", PLACE("/a", "k") "---\n" PLACE("/b", "k")), LIVE_REFUSED);
	ck_assert(str_is(path_of_pod(live), "/a"));
	ck_assert_int_eq(edit(live, "0", NULL), LIVE_READ);
	ck_assert_int_eq(edit(live, "2", PLACE("/b", "k")), LIVE_READ);
	ck_assert(str_is(path_of_pod(live), "/b"));
	live_free(live);
}
END_TEST

START_TEST(what_cannot_be_read_again_takes_a_whole_load)
{
	struct live *live = load(PLACE("/a", "k"), NETWORK_POLICY, POD);

	ck_assert_ptr_nonnull(live); /* no text is kept */
	ck_assert_int_eq(edit(live, "0", PLACE("/b", "k")), LIVE_BEYOND);
	check_policy(live, "/a", NULL);
	ck_assert(str_is(path_of_pod(live), "/a"));
	live_free(live);
}
END_TEST

START_TEST(what_is_written_in_it_moves_along)
{
	struct live *live = load_kept(PLACE("/a", "k"), QUOTA "---\n" LEAVE, POD);
	const struct model *m = live_model(live);

	ck_assert_int_eq(edit(live, "0", PLACE("/b", "k")), LIVE_READ);
	ck_assert(str_is(path_of_pod(live), "/b"));
	ck_assert_uint_eq(m->quota_count, 1);
	ck_assert(str_is(m->quotas[0]->level->path, "/b"));
	ck_assert_ptr_eq(m->quotas[0]->level->quotas[0], m->quotas[0]);
	ck_assert_uint_eq(m->route_count, 1);
	ck_assert(str_is(m->routes[0]->level->path, "/b"));
	ck_assert_uint_eq(model_ns(m, STR("/a"))->quota_count, 0);
	ck_assert_uint_eq(model_ns(m, STR("/a"))->route_count, 0);
	live_free(live);
}
END_TEST

/* ---- what is refused ---- */

#define PLACES(where, more)                                                            \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\nmetadata: { "            \
	"name: " where " }\nspec: { kubernetes: { namespaces: [ k ] } }\n" more
#define WRONG                                                                          \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: w, " \
	"namespace: /a }\nspec: { alow: {} }\n"
#define IN_IT                                                                          \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: i, "      \
	"namespace: k }\nspec: { allow: { ingress: [] } }\n"

/* Nor what takes its place at once: it places nothing, and what is in the namespace goes by
 * its name. */
START_TEST(what_is_refused_places_nothing)
{
	static const struct {
		const char *first, *then;
		const char *place;
	} edits[] = {
	    {PLACES("/c", WRONG), NULL, "/k"},
	    {PLACES("/c", ""), "", "/k"},
	    {PLACES("/c", ""), PLACES("/d", ""), "/d"},
	    {PLACES("/c", ""), PLACES("/d", WRONG), "/c"},
	    {PLACES("/c", ""), NULL, "/c"},
	};
	struct live *live =
	    load_kept(PAYS "---\n" CARD("/", "192.0.2.0/24"), NULL, NULL);
	struct live_edit *e = live_edit_new(live);
	const char *const texts[] = {edits[_i].first, edits[_i].then};
	const struct policy *in_it = NULL;
	struct compile_change *changes;
	enum live_answer answer = LIVE_READ;
	struct ip_addr addr;
	size_t count;

	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct str text = {NULL, 0};

		if (texts[i] == NULL)
			continue;
		if (texts[i][0] != '\0')
			text = str_from(texts[i]);
		answer = live_read(e, STR("5"), text, &diags);
		ck_assert_int_ne(answer, LIVE_BEYOND);
		if (i == 0) {
			ck_assert_int_eq(
			    live_read(e, STR("6"), STR(POD), &diags), LIVE_READ);
			ck_assert_int_eq(
			    live_read(e, STR("7"), STR(IN_IT), &diags), LIVE_READ);
		}
	}
	ck_assert(live_commit(e, arena, &diags, &changes, &count));
	live_edit_free(e);
	live_sweep(live);
	ck_assert(ip_parse(STR("10.0.0.1"), &addr));
	ck_assert(str_is(
	    model_workload_at(live_model(live), &addr)->ns->path, edits[_i].place));
	for (size_t i = 0; i < live_model(live)->policy_count; i++) {
		if (str_is(live_model(live)->policies[i]->name, "i"))
			in_it = live_model(live)->policies[i];
	}
	ck_assert_ptr_nonnull(in_it);
	ck_assert(str_is(in_it->level->path, edits[_i].place));
	live_free(live);
}
END_TEST

int
main(void)
{
	TCase *tcase = tcase_create("edits");

	tcase_add_test(tcase, what_is_placed_moves_within_one_source);
	tcase_add_test(tcase, what_is_placed_moves_between_sources);
	tcase_add_test(tcase, what_two_place_stays_until_both_agree);
	tcase_add_test(tcase, what_cannot_be_read_again_takes_a_whole_load);
	tcase_add_test(tcase, what_is_written_in_it_moves_along);
	tcase_add_loop_test(tcase, what_is_refused_places_nothing, 0, 5);
	return run_live_tests("live-places", tcase);
}
