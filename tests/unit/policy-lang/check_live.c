/* Edits of single sources: rules whose numbers are in each other's way, of which only their own
 * policies take a whole load; Kubernetes namespaces that are placed elsewhere; nodes that only
 * pods speak of. And what is told when that is compiled. */
#include <check.h>
#include <string.h>

#include "policy-lang/live.h"

#define POLICY(name, port)                                                             \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: " name    \
	", namespace: /a }\nspec: { allow: { ingress: [ { ports: [" port "] } ] } }\n"
/* Found by trying: the first rule of both has the same number by its name. */
#define ONE   "p21181"
#define OTHER "p36532"

static struct arena *arena;
static struct diag_list diags;

static void
setup(void)
{
	arena = arena_new();
	diag_list_init(&diags, arena);
}

static void
teardown(void)
{
	arena_free(arena);
}

static struct live *
load(const char *a, const char *b, const char *c)
{
	struct bundle *bundle = ARENA_NEW(arena, struct bundle);
	const char *const texts[] = {a, b, c};

	bundle->sources = ARENA_ARRAY(arena, ARRAY_LEN(texts), struct source);
	for (size_t i = 0; i < ARRAY_LEN(texts) && texts[i] != NULL; i++)
		bundle->sources[bundle->count++] = (struct source){
		    str_from(arena_printf(arena, "%zu", i)), str_from(texts[i])};
	return live_load(arena, bundle, NULL, NULL, &diags);
}

/* The same, with texts kept. */
static struct live *
load_kept(const char *a, const char *b, const char *c)
{
	struct live *live = load(a, b, c);

	ck_assert_ptr_nonnull(live);
	live_keep_texts(live);
	return live;
}

static uint32_t
number(const struct live *live, size_t policy)
{
	return live_model(live)->policies[policy]->allow[DIR_INGRESS].rules[0].number;
}

/* Reads and commits; what came of it. */
static enum live_answer
edit(struct live *live, const char *name, const char *text)
{
	struct live_edit *e = live_edit_new(live);
	struct compile_change *changes;
	size_t count;
	const struct str none = {NULL, 0};
	enum live_answer answer =
	    live_read(e, str_from(name), text != NULL ? str_from(text) : none, &diags);

	if (answer == LIVE_READ && !live_commit(e, arena, &diags, &changes, &count))
		answer = LIVE_BEYOND;
	live_edit_free(e);
	live_sweep(live);
	return answer;
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

/* ---- places ---- */

#define PLACE(path, names)                                                             \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\nmetadata: { name: " path \
	" }\nspec: { kubernetes: { namespaces: [" names "] } }\n"
#define POD                                                                            \
	"apiVersion: v1\nkind: Pod\nmetadata: { name: p, namespace: k }\nstatus: { "   \
	"podIP: 10.0.0.1 }\n"
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

/* ---- external networks ---- */

#define CARD(home, cidr)                                                               \
	"apiVersion: ringfence.dev/v1alpha1\nkind: ExternalNetwork\nmetadata: { "      \
	"name: card, namespace: " home " }\nspec: { cidrs: [" cidr "] }\n"
#define PAYS                                                                           \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\nmetadata: { name: pay, "    \
	"namespace: /a/b }\nspec: { allow: { egress: [ { to: [ { external: card } ] "  \
	"} "                                                                           \
	"] } }\n"

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
#define HERE(label)                                                                    \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\nmetadata: { name: w, "    \
	"namespace: /a, labels: { app: " label                                         \
	" } }\nspec: { node: n1, ips: [ 10.1.0.7 "                                     \
	"] }\n"

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
	Suite *suite = suite_create("live");
	TCase *tcase = tcase_create("edits");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, others_are_edited_when_two_numbers_collide);
	tcase_add_test(tcase, those_that_collide_take_a_whole_load);
	tcase_add_test(tcase, what_comes_to_collide_takes_a_whole_load);
	tcase_add_test(tcase, what_is_placed_moves_within_one_source);
	tcase_add_test(tcase, what_is_placed_moves_between_sources);
	tcase_add_test(tcase, what_two_place_stays_until_both_agree);
	tcase_add_test(tcase, what_cannot_be_read_again_takes_a_whole_load);
	tcase_add_test(tcase, what_is_written_in_it_moves_along);
	tcase_add_test(tcase, who_names_an_external_network_follows_it);
	tcase_add_test(tcase, a_name_that_is_near_is_told);
	tcase_add_test(tcase, names_and_who_names_them_may_come_in_any_order);
	tcase_add_test(tcase, a_name_that_came_and_went_was_never_there);
	tcase_add_test(tcase, a_namespace_that_is_placed_may_bring_names);
	tcase_add_test(tcase, nobody_is_read_again_for_what_he_does_not_name);
	tcase_add_loop_test(tcase, what_gives_less_frees_names, 0, 5);
	tcase_add_loop_test(tcase, what_very_many_name_takes_a_whole_load, 0, 2);
	tcase_add_loop_test(tcase, what_is_refused_places_nothing, 0, 5);
	tcase_add_loop_test(
	    tcase, nothing_is_told_of_what_means_nothing_to_a_node, 0, 4);
	tcase_add_test(tcase, no_workload_takes_the_address_of_a_pod);
	tcase_add_test(tcase, no_workload_takes_the_address_of_a_node);
	tcase_add_test(tcase, nodes_are_what_pods_say_when_no_object_is_about_them);
	tcase_add_test(tcase, names_lead_where_they_do_in_any_order);
	tcase_add_test(tcase, a_route_that_is_not_followed_is_told_once);
	tcase_add_test(tcase, a_name_that_another_cluster_may_have_takes_a_whole_load);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
