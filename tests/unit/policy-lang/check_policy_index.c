/*
 * The index of a level's policies finds exactly those that looking at all of them finds.
 */
#include <stdlib.h>
#include <time.h>

#include "policy-lang/evaluate/evaluate.h"
#include "policy-lang/evaluate/policy_index.h"
#include "tests/unit/policy-lang/load_fixture.h"

#define POLICIES  40
#define WORKLOADS 30

static const char *const keys[] = {"app", "tier", "zone"};

static unsigned
below(unsigned limit)
{
	return (unsigned)(random() % limit);
}

static void
add_labels(struct buf *out)
{
	buf_add_cstr(out, "labels: {");
	for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
		if (below(4) > 0)
			buf_printf(out, "%s: v%u, ", keys[i], below(4));
	}
	buf_add_cstr(out, "all: \"yes\"}");
}

static void
add_selector(struct buf *out, const char *name)
{
	const char *key = keys[below(ARRAY_LEN(keys))];

	buf_printf(out, "%s: {", name);
	switch (below(4)) {
	case 0:
		buf_printf(out, "matchLabels: {%s: v%u}", key, below(4));
		break;
	case 1:
		buf_printf(out,
		    "matchExpressions: [{key: %s, operator: In, values: [v%u, w]}]",
		    key, below(4));
		break;
	case 2:
		buf_printf(out,
		    "matchExpressions: [{key: %s, operator: NotIn, values: [v%u]}, "
		    "{key: all, operator: Exists}]",
		    key, below(4));
		break;
	default:
		break;
	}
	buf_add_cstr(out, "}");
}

static void
add_world(struct buf *out)
{
	for (unsigned i = 0; i < 4; i++) {
		buf_printf(
		    out, "apiVersion: v1\nkind: Namespace\nmetadata: {name: n%u, ", i);
		add_labels(out);
		buf_add_cstr(out, "}\n---\n");
	}
	for (unsigned i = 0; i < WORKLOADS; i++) {
		buf_printf(out,
		    "apiVersion: v1\nkind: Pod\nmetadata: {name: w%u, namespace: n%u, ",
		    i, below(4));
		add_labels(out);
		buf_add_cstr(out, "}\nspec: {containers: [{name: c}]}\n---\n");
	}
	for (unsigned i = 0; i < POLICIES; i++) {
		buf_printf(out,
		    "apiVersion: policy.networking.k8s.io/v1alpha1\n"
		    "kind: AdminNetworkPolicy\nmetadata: {name: p%u}\n"
		    "spec:\n  priority: %u\n  subject: {pods: {",
		    i, i);
		add_selector(out, "namespaceSelector");
		buf_add_cstr(out, ", ");
		add_selector(out, "podSelector");
		buf_add_cstr(out,
		    "}}\n  ingress: [{action: Deny, from: [{namespaces: {}}]}]"
		    "\n---\n");
	}
}

static void
compare(const struct ns *level, const struct policy_index *index, struct arena *a,
    const struct workload *w)
{
	size_t count, at = 0;
	struct policy **found = policy_index_find(index, a, w, &count);

	for (size_t i = 0; i < level->policy_count; i++) {
		if (!policy_applies(level->policies[i], w))
			continue;
		ck_assert_uint_lt(at, count);
		ck_assert_ptr_eq(found[at], level->policies[i]);
		at++;
	}
	ck_assert_uint_eq(at, count);
}

START_TEST(find_gives_what_looking_at_all_policies_gives)
{
	unsigned seed = (unsigned)time(NULL) + (unsigned)_i;
	struct buf text = {0};
	struct policy_index *index;
	struct loaded *l;

	printf("seed %u\n", seed);
	srandom(seed);
	add_world(&text);
	l = load_ok(text.data);
	ck_assert_uint_eq(l->m->root->policy_count, POLICIES);
	index = policy_index_new(l->m->root);
	for (size_t i = 0; i < l->m->workload_count; i++)
		compare(l->m->root, index, l->arena, l->m->workloads[i]);
	policy_index_free(index);
	loaded_free(l);
	buf_free(&text);
}
END_TEST

START_TEST(an_index_of_a_level_without_policies_finds_none)
{
	struct loaded *l = load_ok("apiVersion: v1\nkind: Pod\nmetadata: {name: w}\n"
				   "spec: {containers: [{name: c}]}\n");
	struct policy_index *index = policy_index_new(l->m->root);
	size_t count = 7;

	ck_assert_ptr_null(
	    policy_index_find(index, l->arena, l->m->workloads[0], &count));
	ck_assert_uint_eq(count, 0);
	policy_index_free(index);
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("policy_index");
	TCase *tc = tcase_create("policy_index");

	tcase_add_loop_test(tc, find_gives_what_looking_at_all_policies_gives, 0, 10);
	tcase_add_test(tc, an_index_of_a_level_without_policies_finds_none);
	suite_add_tcase(suite, tc);
	return run_suite(suite);
}
