/*
 * Access decisions: RBAC's matching table by table, the two laws, and what holds of
 * quotas along a path.
 */
#include <check.h>

#include "policy-lang/evaluate/access.h"
#include "tests/unit/policy-lang/hand_model.h"

static struct hand h;

static void
setup(void)
{
	hand_init(&h);
	(void)hand_ns(&h, "/");
}

static void
teardown(void)
{
	hand_fini(&h);
}

static const struct str star[] = {{"*", 1}};
static const struct str devs[] = {{"devs", 4}};
static const struct str ann[] = {{"ann", 3}};

/* A document for the group devs; documents of a level are added in evaluation order. */
static struct access_policy *
document(const char *path, const struct access_rule *mandatory, size_t mandatory_count,
    const struct access_rule *defaults, size_t default_count)
{
	struct access_policy *p = ARENA_NEW(h.arena, struct access_policy);

	*p = (struct access_policy){
	    .name = STR("doc"),
	    .level = hand_ns(&h, path),
	    .groups = devs,
	    .group_count = 1,
	    .mandatory = mandatory,
	    .mandatory_count = mandatory_count,
	    .defaults = defaults,
	    .default_count = default_count,
	};
	p->level->access[p->level->access_count++] = p;
	return p;
}

static bool
decide_as(const char *user, const char *group, const struct access_request *request)
{
	struct str groups[] = {str_from(group)};
	struct access_subject subject = {str_from(user), groups, 1};

	return access_decide(&h.m, &subject, request, (struct str){0}).allow;
}

static bool
get_in(const char *namespace, const char *resource)
{
	struct access_request request = {
	    .is_resource = true,
	    .verb = STR("get"),
	    .resource = str_from(resource),
	    .namespace = str_from(namespace),
	};

	return decide_as("ann", "devs", &request);
}

/* ---- matching ---- */

static const struct {
	const char *entry, *group, *resource, *subresource;
	bool matches;
} resource_cases[] = {
    {"pods", "", "pods", "", true},
    {"pods", "", "pods", "exec", false},
    {"pods", "", "podtemplates", "", false},
    {"pods", "metrics.k8s.io", "pods", "", false},
    {"pods/exec", "", "pods", "exec", true},
    {"pods/exec", "", "pods", "", false},
    {"pods/exec", "", "pods", "attach", false},
    {"deployments.apps", "apps", "deployments", "", true},
    {"deployments.apps", "", "deployments", "", false},
    {"deployments.apps", "apps", "deployments", "scale", false},
    {"deployments", "apps", "deployments", "", false},
    {"deployments.apps/scale", "apps", "deployments", "scale", true},
    {"deployments.apps/scale", "extensions", "deployments", "scale", false},
    {"pods.metrics.k8s.io", "metrics.k8s.io", "pods", "", true},
    {"*", "", "pods", "", true},
    {"*", "apps", "deployments", "scale", true},
    {"*/scale", "apps", "deployments", "scale", true},
    {"*/scale", "", "replicationcontrollers", "scale", true},
    {"*/scale", "apps", "deployments", "", false},
    {"*/scale", "apps", "deployments", "status", false},
    {"*.apps", "apps", "deployments", "", true},
    {"*.apps", "apps", "deployments", "scale", true},
    {"*.apps", "batch", "jobs", "", false},
    {"*.apps/scale", "apps", "deployments", "scale", true},
    {"*.apps/scale", "batch", "jobs", "scale", false},
};

START_TEST(resource_matches_by_the_grammar_of_rbac)
{
	struct str resources[] = {str_from(resource_cases[_i].entry)};
	struct access_rule rule = {.verbs = star,
	    .verb_count = 1,
	    .resources = resources,
	    .resource_count = 1};
	struct access_request request = {
	    .is_resource = true,
	    .verb = STR("get"),
	    .api_group = str_from(resource_cases[_i].group),
	    .resource = str_from(resource_cases[_i].resource),
	    .subresource = str_from(resource_cases[_i].subresource),
	};

	(void)document("/", NULL, 0, &rule, 1);
	ck_assert_int_eq(
	    decide_as("ann", "devs", &request), resource_cases[_i].matches);
}
END_TEST

static const struct {
	const char *entry, *path;
	bool matches;
} url_cases[] = {
    {"/metrics", "/metrics", true},
    {"/metrics", "/metrics/cadvisor", false},
    {"/metrics/*", "/metrics/cadvisor", true},
    {"/metrics/*", "/metrics", false},
    {"/metrics*", "/metrics2", true},
    {"*", "/anything", true},
};

START_TEST(url_matches_exactly_or_by_prefix)
{
	struct str urls[] = {str_from(url_cases[_i].entry)};
	struct access_rule rule = {
	    .verbs = star, .verb_count = 1, .urls = urls, .url_count = 1};
	struct access_request request = {
	    .verb = STR("get"), .path = str_from(url_cases[_i].path)};

	(void)document("/", NULL, 0, &rule, 1);
	ck_assert_int_eq(decide_as("ann", "devs", &request), url_cases[_i].matches);
}
END_TEST

START_TEST(rule_for_resources_matches_no_url_and_the_other_way)
{
	struct access_rule rules[] = {
	    {.verbs = star, .verb_count = 1, .resources = star, .resource_count = 1}};
	struct access_request url = {.verb = STR("get"), .path = STR("/metrics")};

	(void)document("/", NULL, 0, rules, 1);
	ck_assert(get_in("", "nodes"));
	ck_assert(!decide_as("ann", "devs", &url));
	rules[0] = (struct access_rule){
	    .verbs = star, .verb_count = 1, .urls = star, .url_count = 1};
	ck_assert(!get_in("", "nodes"));
	ck_assert(decide_as("ann", "devs", &url));
}
END_TEST

START_TEST(names_limit_a_rule_to_these_objects)
{
	static const struct str names[] = {{"web", 3}};
	struct access_rule rule = {
	    .verbs = star,
	    .verb_count = 1,
	    .resources = star,
	    .resource_count = 1,
	    .names = names,
	    .name_count = 1,
	};
	struct access_request request = {
	    .is_resource = true, .verb = STR("get"), .resource = STR("pods")};

	(void)document("/", NULL, 0, &rule, 1);
	ck_assert(!decide_as("ann", "devs", &request)); /* a list names nothing */
	request.name = STR("db");
	ck_assert(!decide_as("ann", "devs", &request));
	request.name = STR("web");
	ck_assert(decide_as("ann", "devs", &request));
}
END_TEST

START_TEST(verb_must_be_named_or_star)
{
	static const struct str verbs[] = {{"get", 3}, {"list", 4}};
	struct access_rule rule = {
	    .verbs = verbs, .verb_count = 2, .resources = star, .resource_count = 1};
	struct access_request request = {
	    .is_resource = true, .verb = STR("list"), .resource = STR("pods")};

	(void)document("/", NULL, 0, &rule, 1);
	ck_assert(decide_as("ann", "devs", &request));
	request.verb = STR("delete");
	ck_assert(!decide_as("ann", "devs", &request));
	rule.verb_count = 0;
	request.verb = STR("get");
	ck_assert(!decide_as("ann", "devs", &request));
}
END_TEST

START_TEST(document_holds_for_its_users_and_groups_alone)
{
	struct access_rule rule = {
	    .verbs = star, .verb_count = 1, .resources = star, .resource_count = 1};
	struct access_request request = {
	    .is_resource = true, .verb = STR("get"), .resource = STR("pods")};
	struct access_policy *p = document("/", NULL, 0, &rule, 1);

	ck_assert(decide_as("bob", "devs", &request));
	ck_assert(!decide_as("bob", "ops", &request));
	ck_assert(!decide_as("devs", "ops", &request)); /* a user is no group */
	p->users = ann;
	p->user_count = 1;
	ck_assert(decide_as("ann", "ops", &request));
	p->group_count = 0;
	ck_assert(!decide_as("bob", "devs", &request));
	p->user_count = 0;
	ck_assert(!decide_as("ann", "devs", &request)); /* nobody is named: nobody */
}
END_TEST

/* ---- the walk ---- */

#define ANY(act)                                                                       \
	{                                                                              \
		.action = (act), .verbs = star, .verb_count = 1, .resources = star,    \
		.resource_count = 1                                                    \
	}

static const struct access_rule allow_any[] = {ANY(ACTION_ALLOW)};
static const struct access_rule deny_any[] = {ANY(ACTION_DENY)};
static const struct access_rule pass_any[] = {ANY(ACTION_PASS)};

START_TEST(nothing_matches_means_deny)
{
	(void)hand_kube(&h, "shop", "/acme/shop");
	ck_assert(!get_in("shop", "pods"));
}
END_TEST

START_TEST(mandatory_of_the_ancestor_wins)
{
	(void)hand_kube(&h, "shop", "/acme/shop");
	(void)document("/acme/shop", allow_any, 1, allow_any, 1);
	ck_assert(get_in("shop", "pods"));
	(void)document("/acme", deny_any, 1, NULL, 0);
	ck_assert(!get_in("shop", "pods"));
}
END_TEST

START_TEST(default_of_the_nearest_wins)
{
	(void)hand_kube(&h, "shop", "/acme/shop");
	(void)document("/acme", NULL, 0, allow_any, 1);
	ck_assert(get_in("shop", "pods"));
	(void)document("/acme/shop", NULL, 0, deny_any, 1);
	ck_assert(!get_in("shop", "pods"));
}
END_TEST

START_TEST(pass_leaves_the_level_and_goes_on)
{
	(void)hand_kube(&h, "shop", "/acme/shop");
	(void)document("/acme", pass_any, 1, NULL, 0);
	(void)document("/acme", deny_any, 1, NULL, 0);
	(void)document("/acme/shop", NULL, 0, allow_any, 1);
	ck_assert(get_in("shop", "pods"));
}
END_TEST

START_TEST(first_document_of_a_level_wins)
{
	(void)hand_kube(&h, "shop", "/acme/shop");
	(void)document("/acme/shop", NULL, 0, deny_any, 1);
	(void)document("/acme/shop", NULL, 0, allow_any, 1);
	ck_assert(!get_in("shop", "pods"));
}
END_TEST

START_TEST(cluster_scope_is_judged_at_the_root)
{
	(void)hand_kube(&h, "shop", "/acme/shop");
	(void)document("/acme/shop", NULL, 0, allow_any, 1);
	ck_assert(get_in("shop", "pods"));
	ck_assert(!get_in("", "pods")); /* all namespaces */
	ck_assert(!get_in("", "nodes"));
	(void)document("/", NULL, 0, allow_any, 1);
	ck_assert(get_in("", "nodes"));
}
END_TEST

START_TEST(namespace_that_nobody_placed_is_below_the_root)
{
	struct access_request request = {
	    .is_resource = true,
	    .verb = STR("get"),
	    .resource = STR("pods"),
	    .namespace = STR("team"),
	};
	struct str groups[] = {STR("devs")};
	struct access_subject subject = {STR("ann"), groups, 1};
	struct access_verdict v;

	(void)document("/team", NULL, 0, allow_any, 1);
	v = access_decide(&h.m, &subject, &request, (struct str){0});
	ck_assert(v.allow);
	ck_assert_ptr_eq(v.level, hand_ns(&h, "/team"));
	ck_assert_ptr_eq(v.rule, allow_any);
	request.namespace = STR("other");
	v = access_decide(&h.m, &subject, &request, (struct str){0});
	ck_assert(!v.allow);
	ck_assert_ptr_null(v.policy);
	ck_assert_ptr_eq(v.level, h.m.root);
}
END_TEST

START_TEST(namespace_with_a_slash_is_no_path_into_the_tree)
{
	(void)document("/acme/shop", NULL, 0, allow_any, 1);
	(void)document("/", NULL, 0, allow_any, 1);
	ck_assert(!get_in("acme/shop", "pods"));
	ck_assert(!get_in("/", "pods"));
}
END_TEST

/* ---- quotas ---- */

#define UNSET_LIMITS                                                                   \
	{                                                                              \
		QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET, QUOTA_UNSET,       \
		    QUOTA_UNSET                                                        \
	}

START_TEST(quota_is_the_minimum_along_the_path)
{
	struct quota top = {.requests = UNSET_LIMITS, .per_user = UNSET_LIMITS};
	struct quota leaf = top;
	struct quota_limits all, user;
	struct ns *shop = hand_ns(&h, "/acme/shop");

	top.requests.per_second_milli = 50000;
	top.requests.burst = 100;
	top.requests.watches = 5;
	leaf.requests.per_second_milli = 10000; /* burst: 2 s worth, 20 */
	leaf.requests.watches = 7;
	leaf.per_user.in_flight = 3;
	shop->parent->quotas[shop->parent->quota_count++] = &top;
	shop->quotas[shop->quota_count++] = &leaf;
	quota_effective(shop, &all, &user);
	ck_assert_uint_eq(all.per_second_milli, 10000);
	ck_assert_uint_eq(all.burst, 20);
	ck_assert_uint_eq(all.watches, 5);
	ck_assert(all.per_day == QUOTA_UNSET);
	ck_assert_uint_eq(user.in_flight, 3);
	ck_assert(user.per_second_milli == QUOTA_UNSET);
	leaf.requests.per_second_milli = 100; /* one in ten seconds */
	quota_effective(shop, &all, &user);
	ck_assert_uint_eq(all.burst, 1);
	quota_effective(h.m.root, &all, &user);
	ck_assert(all.watches == QUOTA_UNSET);
}
END_TEST

int
main(void)
{
	const TTest *const tests[] = {
	    rule_for_resources_matches_no_url_and_the_other_way,
	    names_limit_a_rule_to_these_objects,
	    verb_must_be_named_or_star,
	    document_holds_for_its_users_and_groups_alone,
	    nothing_matches_means_deny,
	    mandatory_of_the_ancestor_wins,
	    default_of_the_nearest_wins,
	    pass_leaves_the_level_and_goes_on,
	    first_document_of_a_level_wins,
	    cluster_scope_is_judged_at_the_root,
	    namespace_that_nobody_placed_is_below_the_root,
	    namespace_with_a_slash_is_no_path_into_the_tree,
	    quota_is_the_minimum_along_the_path,
	};
	Suite *suite = suite_create("access");
	TCase *tcase = tcase_create("access");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_loop_test(tcase, resource_matches_by_the_grammar_of_rbac, 0,
	    (int)ARRAY_LEN(resource_cases));
	tcase_add_loop_test(
	    tcase, url_matches_exactly_or_by_prefix, 0, (int)ARRAY_LEN(url_cases));
	for (size_t i = 0; i < ARRAY_LEN(tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
