/* What takes the place of a tenant's document that has mistakes. */
#include "enforcer/kube/kube_closed.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "common/bundle.h"
#include "policy-lang/load/load.h"

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

/* Loads what is taken, which is good; the only policy that it is. */
static const struct policy *
policy_of(const char *source, const char *name)
{
	struct source text = {.name = STR("it")};
	const struct bundle bundle = {&text, 1};
	struct diag_list diags;
	struct model *model;

	ck_assert(kube_closed_text(arena, str_from(source), &text.text));
	diag_list_init(&diags, arena);
	ck_assert(model_load(arena, &bundle, NULL, &diags, &model));
	ck_assert_uint_eq(model->policy_count, 1);
	ck_assert(str_is(model->policies[0]->name, name));
	ck_assert(str_is(model->policies[0]->level->path, "/shop"));
	return model->policies[0];
}

START_TEST(policy_denies_everything_first)
{
	const struct policy *p =
	    policy_of("east/policies.ringfence.dev/shop/web", "web");

	ck_assert_int_eq(p->priority, -INT32_MAX);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		const struct rule_list *rules =
		    policy_rules(p, PHASE_MANDATORY, (enum direction)d);

		ck_assert_uint_eq(rules->count, 1);
		ck_assert_int_eq(rules->rules[0].action, ACTION_DENY);
		ck_assert(str_is(rules->rules[0].name, "document-refused"));
	}
}
END_TEST

START_TEST(network_policy_isolates_and_allows_nothing)
{
	const struct policy *p = policy_of("east/networkpolicies/shop/web", "web");

	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		ck_assert(p->isolates[d]);
		ck_assert_uint_eq(
		    policy_rules(p, PHASE_ALLOW, (enum direction)d)->count, 0);
	}
}
END_TEST

START_TEST(route_lets_nothing_leave)
{
	const struct policy *p =
	    policy_of("east/routes.ringfence.dev/shop/web", ".route.web");
	const struct rule_list *rules = policy_rules(p, PHASE_MANDATORY, DIR_EGRESS);

	ck_assert_uint_eq(rules->count, 1);
	ck_assert_int_eq(rules->rules[0].action, ACTION_DENY);
	ck_assert_uint_eq(policy_rules(p, PHASE_MANDATORY, DIR_INGRESS)->count, 0);
	ck_assert(!p->isolates[DIR_INGRESS]);
}
END_TEST

/* Whoever wrote the Route may write any Policy, too. */
START_TEST(route_is_closed_whatever_else_is_there)
{
	struct source texts[] = {
	    {.name = STR("east/policies.ringfence.dev/shop/route.web"),
		.text = STR("{\"apiVersion\":\"ringfence.dev/v1alpha1\",\"kind\":"
			    "\"Policy\",\"metadata\":{\"name\":\"route.web\","
			    "\"namespace\":\"shop\"},\"spec\":{\"priority\":"
			    "-2147483647,\"mandatory\":{\"egress\":[{\"action\":"
			    "\"allow\"}]}}}")},
	    {.name = STR("east/routes.ringfence.dev/shop/web")},
	};
	const struct bundle bundle = {texts, ARRAY_LEN(texts)};
	struct diag_list diags;
	struct model *model;

	ck_assert(kube_closed_text(arena, texts[1].name, &texts[1].text));
	diag_list_init(&diags, arena);
	ck_assert(model_load(arena, &bundle, NULL, &diags, &model));
	ck_assert_uint_eq(model->policy_count, 2);
	ck_assert(str_is(model->policies[0]->name, ".route.web")); /* the first */
	ck_assert(str_is(model->policies[1]->name, "route.web"));
}
END_TEST

START_TEST(route_with_the_longest_name_is_closed)
{
	char name[253 + 1], source[300], closed[300];

	memset(name, 'a', sizeof(name));
	name[sizeof(name) - 1] = '\0';
	(void)snprintf(
	    source, sizeof(source), "east/routes.ringfence.dev/shop/%s", name);
	(void)snprintf(closed, sizeof(closed), ".route.%s", name);
	ck_assert_ptr_nonnull(policy_of(source, closed));
}
END_TEST

START_TEST(what_policy_refers_to_is_gone)
{
	struct str text = STR("x");

	ck_assert(kube_closed_text(
	    arena, STR("east/externalnetworks.ringfence.dev/shop/card"), &text));
	ck_assert_uint_eq(text.len, 0);
}
END_TEST

START_TEST(what_tenants_do_not_write_is_missed)
{
	static const char *const names[] = {"east/namespaces.ringfence.dev/acme",
	    "east/pods/shop/web",
	    "east/adminnetworkpolicies.policy.networking.k8s.io/x",
	    "east/policies.ringfence.dev/web", "policies.ringfence.dev/shop/web", "",
	    "east/policies.ringfence.dev/shop/we\"b",
	    "east/policies.ringfence.dev/shop/a/b"};
	struct str text;

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		ck_assert(!kube_closed_text(arena, str_from(names[i]), &text));
}
END_TEST

int
main(void)
{
	Suite *suite = suite_create("kube_closed");
	TCase *tc = tcase_create("closed");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, policy_denies_everything_first);
	tcase_add_test(tc, network_policy_isolates_and_allows_nothing);
	tcase_add_test(tc, route_lets_nothing_leave);
	tcase_add_test(tc, route_is_closed_whatever_else_is_there);
	tcase_add_test(tc, route_with_the_longest_name_is_closed);
	tcase_add_test(tc, what_policy_refers_to_is_gone);
	tcase_add_test(tc, what_tenants_do_not_write_is_missed);
	suite_add_tcase(suite, tc);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
