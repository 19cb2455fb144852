/* What one object does to a tree. */
#include <check.h>
#include <stdlib.h>

#include "policy-lang/live/amend.h"

#define HEAD(kind, name)                                                               \
	"apiVersion: ringfence.dev/v1alpha1\nkind: " kind "\nmetadata: { name: " name  \
	", namespace: /acme }\nspec: "
#define CARD      HEAD("ExternalNetwork", "card") "{ cidrs: [203.0.113.0/24] }\n"
#define TO(peer)  "{ allow: { egress: [ { to: [ " peer " ] } ] } }\n"
#define USES_CARD HEAD("Policy", "web") TO("{ external: card }")

static struct arena *arena;

static void
setup(void)
{
	arena = arena_new();
}

static void
teardown(void)
{
	arena_free(arena);
}

/* The texts as "a", "b", ... */
static struct amend_base *
base_of(const char *const *texts, size_t count)
{
	struct source sources[8];
	struct bundle bundle = {sources, count};

	for (size_t i = 0; i < count; i++)
		sources[i] = (struct source){
		    str_from(arena_printf(arena, "%c", (char)('a' + (char)i))),
		    str_from(texts[i])};
	return amend_base_new(&bundle);
}

/* Judges `text` (NULL: gone) under `name`. */
static struct amend_judgement
judge_in(struct amend_base *base, const char *name, const char *text)
{
	struct source object = {str_from(name), {NULL, 0}};
	struct amend_judgement judgement;

	if (text != NULL)
		object.text = str_from(text);
	amend_judge(base, &object, arena, &judgement);
	return judgement;
}

static struct amend_judgement
judge(const char *const *texts, size_t count, const char *name, const char *text)
{
	struct amend_base *base = base_of(texts, count);
	const struct amend_judgement judgement = judge_in(base, name, text);

	amend_base_free(base);
	return judgement;
}

static unsigned
told(const struct amend_judgement *j, const char *code)
{
	unsigned count = 0;

	for (size_t i = 0; i < j->count; i++)
		count += strcmp(j->findings[i].code, code) == 0;
	return count;
}

START_TEST(own_mistake_has_its_field)
{
	const struct amend_judgement j = judge(NULL, 0, "x",
	    "{\"apiVersion\":\"ringfence.dev/"
	    "v1alpha1\",\"kind\":\"Policy\",\"metadata\":{"
	    "\"name\":\"w\",\"namespace\":\"/acme\"},\"spec\":{\"alow\":{}}}");

	ck_assert_uint_eq(j.errors, 1);
	ck_assert(str_is(j.findings[0].field, "spec.alow"));
	ck_assert_str_eq(j.findings[0].code, "unknown-field");
	ck_assert(j.findings[0].object.len == 0);
}
END_TEST

START_TEST(names_are_those_of_the_tree)
{
	const char *const tree[] = {CARD};

	ck_assert_uint_eq(judge(NULL, 0, "x", USES_CARD).errors, 1);
	ck_assert_uint_eq(judge(tree, 1, "x", USES_CARD).errors, 0);
}
END_TEST

START_TEST(what_it_breaks_is_told_of_others)
{
	const char *const tree[] = {CARD, USES_CARD};
	const struct amend_judgement gone = judge(tree, 2, "a", NULL);
	const struct amend_judgement other = judge(tree, 2, "a",
	    HEAD("ExternalNetwork", "cart") "{ cidrs: [203.0.113.0/24] }\n");

	ck_assert_uint_eq(gone.errors, 1);
	ck_assert_uint_eq(other.errors, 1);
	ck_assert(str_is(gone.findings[0].object, "b"));
	ck_assert_str_eq(gone.findings[0].code, "unknown-external");
	ck_assert_uint_eq(judge(tree, 2, "b", NULL).errors, 0);
}
END_TEST

START_TEST(mistakes_that_there_are_are_not_its_own)
{
	const char *const tree[] = {
	    USES_CARD, "kind: [", HEAD("Policy", "x") "{ y: 1 }\n"};
	const char *const good = HEAD("Policy", "z") TO("{ cidr: 10.0.0.0/8 }");

	ck_assert_uint_eq(judge(tree, 3, "z", good).errors, 0);
	/* one of them is mended, the others stay */
	ck_assert_uint_eq(judge(tree, 3, "z", CARD).errors, 0);
	ck_assert_uint_eq(judge(tree, 3, "a", NULL).errors, 0);
	/* another is added to them */
	ck_assert_uint_eq(judge(tree, 3, "z", USES_CARD).errors, 1);
}
END_TEST

#define PUBLISHES(name)                                                                \
	HEAD("Route", name)                                                            \
	"{ default: { ingress: [ { action: publish, address: [203.0.113.80], ports: "  \
	"[443/tcp], to: [ { workloads: {} } ] } ] } }\n"

/* What is wrong with Routes shows in a check only where everything loads. */
START_TEST(who_mends_a_mistake_is_not_to_blame_for_what_shows_then)
{
	const char *const tree[] = {
	    HEAD("Policy", "x") "{ y: 1 }\n", PUBLISHES("one"), PUBLISHES("two")};
	const char *const good = HEAD("Policy", "x") TO("{ cidr: 10.0.0.0/8 }");

	ck_assert_uint_eq(judge(tree, 3, "a", good).errors, 0);
	ck_assert_uint_eq(judge(tree, 2, "c", PUBLISHES("two")).errors, 0);
	ck_assert_uint_eq(judge(tree + 1, 1, "c", PUBLISHES("two")).errors, 1);
}
END_TEST

/* Nor is it where nothing would load without what is mended. */
START_TEST(who_mends_what_others_need_is_not_to_blame_either)
{
	const char *const tree[] = {HEAD("ExternalNetwork", "card") "{ cidr: [] }\n",
	    USES_CARD, PUBLISHES("one"), PUBLISHES("two")};
	const struct amend_judgement j = judge(tree, 4, "a", CARD);

	ck_assert_uint_eq(j.errors, 0);
	ck_assert_uint_eq(judge(tree, 3, "d", PUBLISHES("two")).errors, 0);
}
END_TEST

#define PLACE(path)                                                                    \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Namespace\nmetadata: { name: " path \
	" }\nspec: { owners: [admins] }\n"

/* A namespace need not be declared: that nothing is at it any more is a warning of whoever names it. */
START_TEST(what_refers_to_what_goes_is_warned_of)
{
	const char *tree[] = {PLACE("/acme"), PLACE("/acme/cards"),
	    HEAD("Policy", "web") TO("{ namespace: /acme/cards }"),
	    HEAD("Policy", "typo") TO("{ namespace: /acme/crads }"),
	    HEAD("Policy", "x") "{ y: 1 }\n"};
	struct amend_base *base = base_of(tree, 4);
	struct amend_judgement j = judge_in(base, "b", NULL);

	ck_assert_uint_eq(j.errors, 0);
	ck_assert_uint_eq(j.count, 1);
	ck_assert_uint_eq(told(&j, "unknown-namespace"), 1);
	ck_assert(str_is(j.findings[0].object, "c"));
	/* Moved is gone, too. */
	j = judge_in(base, "b", PLACE("/acme/other"));
	ck_assert_uint_eq(told(&j, "unknown-namespace"), 1);
	j = judge_in(base, "b", PLACE("/acme/cards"));
	ck_assert_uint_eq(j.count, 0);
	j = judge_in(base, "c", NULL);
	ck_assert_uint_eq(j.count, 0);
	/* Once it is gone it is no news. */
	amend_base_put(base, &(struct source){.name = STR("b")});
	j = judge_in(base, "b", NULL);
	ck_assert_uint_eq(j.count, 0);
	/* Nor is it then what another takes away. */
	j = judge_in(base, "a", NULL);
	ck_assert_uint_eq(told(&j, "unknown-namespace"), j.count);
	for (size_t i = 0; i < j.count; i++)
		ck_assert_ptr_eq(strstr(j.findings[i].message.ptr, "cards"), NULL);
	amend_base_free(base);
	/* What is wrong of others is not known of a tree with mistakes. */
	j = judge(tree, 5, "b", NULL);
	ck_assert_uint_eq(j.count, 0);
}
END_TEST

/* However much is said of others. */
START_TEST(own_warnings_have_their_place)
{
	static const char loose[] = TO("{ cidr: 10.1.2.3/8 }");
	const char *tree[] = {NULL};
	struct buf many = {0};
	struct amend_judgement j;
	const char *own;

	for (unsigned i = 0; i < 1200; i++)
		buf_printf(&many, "%s%s%s", i != 0 ? "---\n" : "",
		    arena_printf(arena, HEAD("Policy", "p%u"), i), loose);
	tree[0] = arena_strndup(arena, many.data, many.len);
	buf_free(&many);
	own = arena_printf(arena, "%s%s---\n%s", HEAD("Policy", "z"), loose, CARD);
	j = judge(tree, 1, "z", own);
	ck_assert_uint_eq(j.errors, 0);
	ck_assert(j.whole);
	ck_assert_uint_eq(told(&j, "loose-cidr"), 1);
}
END_TEST

/* What there would be without an object is no excuse for who takes it away. */
START_TEST(judgements_do_not_depend_on_those_before)
{
	const char *const tree[] = {CARD "---\n" HEAD("Policy", "x") "{ y: 1 }\n",
	    USES_CARD, PUBLISHES("one"), PUBLISHES("two")};
	struct amend_base *base = base_of(tree, 4);
	struct amend_judgement j;

	j = judge_in(base, "a", CARD);
	ck_assert_uint_eq(told(&j, "unknown-external"), 0);
	j = judge_in(base, "a", NULL);
	ck_assert_uint_eq(j.errors, 1);
	ck_assert_uint_eq(told(&j, "unknown-external"), 1);
	ck_assert(str_is(j.findings[0].object, "b"));
	amend_base_free(base);
}
END_TEST

START_TEST(object_takes_the_place_of_what_it_was)
{
	const char *const tree[] = {USES_CARD, CARD};

	ck_assert_uint_eq(judge(tree, 2, "a", USES_CARD).errors, 0);
	ck_assert_uint_eq(judge(tree, 2, "other", USES_CARD).errors, 1); /* twice */
}
END_TEST

START_TEST(warnings_are_its_own_and_not_about_workloads)
{
	static const char shadowed[] =
	    "{ mandatory: { egress: [ { action: deny }, { action: allow } ] } }\n";
	static const char pod[] =
	    "apiVersion: v1\nkind: Pod\nmetadata: { name: p, namespace: acme }\n"
	    "spec: { containers: [] }\nstatus: { podIP: 10.0.0.1 }\n";
	static const char workload[] =
	    HEAD("Workload", "w") "{ node: worker, ips: [10.9.9.9] }\n";
	static const char nobody[] =
	    HEAD("Policy", "web") "{ workloads: { matchLabels: { "
				  "no: one } } }\n";
	const char *tree[3] = {workload, HEAD("Policy", "first"), pod};
	struct amend_judgement j;

	tree[1] = arena_printf(arena, "%s%s", tree[1], shadowed);
	j = judge(
	    tree, 2, "x", arena_printf(arena, "%s%s", HEAD("Policy", "web"), shadowed));
	/* both of its rules, and not the second one of the other policy */
	ck_assert_uint_eq(told(&j, "shadowed-rule"), 2);
	j = judge(tree, 2, "x", nobody);
	ck_assert_uint_eq(told(&j, "selects-nothing"), 0);
	j = judge(tree, 3, "x", nobody);
	ck_assert_uint_eq(told(&j, "selects-nothing"), 1);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("amend");
	TCase *tc = tcase_create("amend");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, own_mistake_has_its_field);
	tcase_add_test(tc, names_are_those_of_the_tree);
	tcase_add_test(tc, what_it_breaks_is_told_of_others);
	tcase_add_test(tc, mistakes_that_there_are_are_not_its_own);
	tcase_add_test(tc, who_mends_a_mistake_is_not_to_blame_for_what_shows_then);
	tcase_add_test(tc, who_mends_what_others_need_is_not_to_blame_either);
	tcase_add_test(tc, what_refers_to_what_goes_is_warned_of);
	tcase_add_test(tc, own_warnings_have_their_place);
	tcase_add_test(tc, judgements_do_not_depend_on_those_before);
	tcase_add_test(tc, object_takes_the_place_of_what_it_was);
	tcase_add_test(tc, warnings_are_its_own_and_not_about_workloads);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
