/* Access and Quota documents; quantities. */
#include "load_fixture.h"
#include "policy-lang/load/load_internal.h"

#define NATIVE "apiVersion: ringfence.dev/v1alpha1\n"
#define ACCESS(spec)                                                                   \
	NATIVE "kind: Access\nmetadata: {name: a, namespace: /}\nspec: " spec "\n"
#define QUOTA(spec)                                                                    \
	NATIVE "kind: Quota\nmetadata: {name: q, namespace: /}\nspec: " spec "\n"

START_TEST(access_is_read_whole)
{
	struct loaded *l = load_ok(
	    ACCESS("{groups: [devs, 'system:authenticated'], users: [ann], priority: 3,"
		   " mandatory: [{action: deny, resources: [secrets], verbs: ['*'],"
		   "  names: [root-token]}],"
		   " default: [{action: allow, verbs: [get, list],"
		   "  resources: [pods, pods/exec, deployments.apps, '*', '*/scale',"
		   "   deployments.apps/scale]},"
		   "  {action: pass, verbs: [get], nonResourceURLs: [/metrics, "
		   "/healthz/*]}]}"));
	const struct access_policy *p = l->m->root->access[0];

	ck_assert_ptr_null(l->diags.first);
	ck_assert_uint_eq(l->m->root->access_count, 1);
	assert_str(p->name, "a");
	ck_assert_ptr_eq(p->level, l->m->root);
	ck_assert_int_eq(p->priority, 3);
	ck_assert_uint_eq(p->group_count, 2);
	ck_assert_uint_eq(p->user_count, 1);
	ck_assert_uint_eq(p->mandatory_count, 1);
	ck_assert_int_eq(p->mandatory[0].action, ACTION_DENY);
	assert_str(p->mandatory[0].verbs[0], "*");
	assert_str(p->mandatory[0].names[0], "root-token");
	ck_assert_uint_eq(p->default_count, 2);
	ck_assert_uint_eq(p->defaults[0].resource_count, 6);
	ck_assert_int_eq(p->defaults[1].action, ACTION_PASS);
	ck_assert_uint_eq(p->defaults[1].index, 1);
	assert_str(p->defaults[1].urls[1], "/healthz/*");
	loaded_free(l);
}
END_TEST

#define RULE(rule) ACCESS("{groups: [g], default: [" rule "]}")

static const struct {
	const char *text;
	const char *code;
} bad_access_rows[] = {
    {ACCESS("{default: []}"), "missing-field"},
    {ACCESS("{groups: g}"), "wrong-type"},
    {ACCESS("{groups: [g], allow: []}"), "unknown-field"},
    {ACCESS("{groups: [g], default: {}}"), "wrong-type"},
    {ACCESS("{groups: ['']}"), "bad-value"},
    {RULE("{verbs: [get], resources: [pods]}"), "missing-field"},
    {RULE("{action: permit, verbs: [get], resources: [pods]}"), "bad-value"},
    {RULE("{action: allow, resources: [pods]}"), "missing-field"},
    {RULE("{action: allow, verbs: [], resources: [pods]}"), "bad-rule"},
    {RULE("{action: allow, verbs: [get]}"), "bad-rule"},
    {RULE("{action: allow, verbs: [Get], resources: [pods]}"), "bad-value"},
    {RULE("{action: allow, verbs: ['get*'], resources: [pods]}"), "bad-value"},
    {RULE("{action: allow, verbs: [get], resources: ['pods/*']}"), "bad-value"},
    {RULE("{action: allow, verbs: [get], resources: [Pods]}"), "bad-value"},
    {RULE("{action: allow, verbs: [get], resources: ['']}"), "bad-value"},
    {RULE("{action: allow, verbs: [get], nonResourceURLs: [metrics]}"), "bad-value"},
    {RULE("{action: allow, verbs: [get], nonResourceURLs: ['/a*b']}"), "bad-value"},
    {RULE("{action: allow, verbs: [get], resources: [pods], nonResourceURLs: [/a]}"),
	"bad-rule"},
    {RULE("{action: allow, verbs: [get], names: [a], nonResourceURLs: [/a]}"),
	"bad-rule"},
    {RULE("{action: allow, verbs: [get], apiGroups: [apps], resources: [pods]}"),
	"unknown-field"},
};

START_TEST(bad_access_is_refused_and_grants_nothing)
{
	struct loaded *l = load(bad_access_rows[_i].text);

	ck_assert_uint_eq(l->m->root->access_count, 0);
	loaded_free(l);
	assert_refused(bad_access_rows[_i].text, bad_access_rows[_i].code, 4);
}
END_TEST

START_TEST(odd_access_is_warned_of)
{
	struct loaded *l =
	    load_ok(RULE("{action: allow, verbs: [gets], resources: [pods]}"));

	ck_assert_str_eq(loaded_find(l, "odd-verb")->hint, "did you mean \"get\"?");
	loaded_free(l);
	assert_warned(NATIVE
	    "kind: Namespace\nmetadata: {name: /a}\n---\n" NATIVE
	    "kind: Access\nmetadata: {name: a, namespace: /a}\n"
	    "spec: {groups: [g], default: [{action: allow, verbs: [get],"
	    " nonResourceURLs: [/metrics]}]}\n",
	    "never-judged", 8);
}
END_TEST

/* ---- quotas ---- */

START_TEST(quota_is_read_whole)
{
	struct loaded *l = load_ok(
	    QUOTA("{requests: {perSecond: 50, burst: 100, inFlight: 20, watches: 10,"
		  " perDay: 1000000, bodyBytes: 3Mi}, perUser: {perSecond: 0.5},"
		  " objects: {pods: 200, requests.cpu: '64', limits.cpu: 500m,"
		  " requests.memory: 256Gi, count/deployments.apps: 1e3}}"));
	const struct quota *q = l->m->root->quotas[0];

	ck_assert_ptr_null(l->diags.first);
	assert_str(q->name, "q");
	ck_assert_uint_eq(q->requests.per_second_milli, 50000);
	ck_assert_uint_eq(q->requests.burst, 100);
	ck_assert_uint_eq(q->requests.in_flight, 20);
	ck_assert_uint_eq(q->requests.watches, 10);
	ck_assert_uint_eq(q->requests.per_day, 1000000);
	ck_assert_uint_eq(q->requests.body_bytes, 3 * 1024 * 1024);
	ck_assert_uint_eq(q->per_user.per_second_milli, 500);
	ck_assert_uint_eq(q->per_user.burst, QUOTA_UNSET);
	ck_assert_uint_eq(q->per_user.body_bytes, QUOTA_UNSET);
	ck_assert_uint_eq(q->object_count, 5);
	assert_str(q->objects[0].resource, "pods");
	ck_assert_uint_eq(q->objects[0].amount_milli, 200000);
	ck_assert_uint_eq(q->objects[1].amount_milli, 64000);
	ck_assert_uint_eq(q->objects[2].amount_milli, 500);
	ck_assert_uint_eq(
	    q->objects[3].amount_milli, UINT64_C(256) * 1024 * 1024 * 1024 * 1000);
	ck_assert_uint_eq(q->objects[4].amount_milli, 1000000);
	loaded_free(l);
}
END_TEST

static const struct {
	const char *text;
	const char *code;
} bad_quota_rows[] = {
    {QUOTA("{request: {}}"), "unknown-field"},
    {QUOTA("{requests: {perSec: 5}}"), "unknown-field"},
    {QUOTA("{requests: {burst: -1}}"), "bad-value"},
    {QUOTA("{requests: {burst: 1.5}}"), "wrong-type"},
    {QUOTA("{requests: {perSecond: -1}}"), "bad-quantity"},
    {QUOTA("{requests: {perSecond: '5'}}"), "wrong-type"},
    {QUOTA("{requests: {bodyBytes: 3MB}}"), "bad-quantity"},
    {QUOTA("{requests: {bodyBytes: [3]}}"), "wrong-type"},
    {QUOTA("{objects: {pods: many}}"), "bad-quantity"},
    {QUOTA("{objects: {pods: null}}"), "wrong-type"},
    {QUOTA("{objects: {'po ds': 5}}"), "bad-name"},
    {QUOTA("{objects: [pods]}"), "wrong-type"},
};

START_TEST(bad_quota_is_refused)
{
	assert_refused(bad_quota_rows[_i].text, bad_quota_rows[_i].code, 4);
}
END_TEST

static const struct {
	const char *text;
	bool ok;
	uint64_t milli;
} quantity_rows[] = {
    {"0", true, 0},
    {"64", true, 64000},
    {"+64", true, 64000},
    {"007", true, 7000},
    {"1.5", true, 1500},
    {".5", true, 500},
    {"5.", true, 5000},
    {"0.0001", true, 1},
    {"1n", true, 1},
    {"0n", true, 0},
    {"1500u", true, 2},
    {"500m", true, 500},
    {"1k", true, 1000000},
    {"2M", true, UINT64_C(2000000000)},
    {"1Ki", true, 1024000},
    {"1.5Gi", true, UINT64_C(1610612736000)},
    {"1e3", true, 1000000},
    {"1E3", true, 1000000},
    {"1.5e+3", true, 1500000},
    {"1e-3", true, 1},
    {"1e-30", true, 1},
    {"0e999", true, 0},
    {"1Pi", true, UINT64_C(1125899906842624000)},
    {"1E", false, 0}, /* a quintillion, times a thousand */
    {"100Ei", false, 0},
    {"1e30", false, 0},
    {"99999999999999999999999999999999999999999", false, 0},
    {"", false, 0},
    {".", false, 0},
    {"-1", false, 0},
    {"1 Mi", false, 0},
    {"1MI", false, 0},
    {"1K", false, 0},
    {"1kk", false, 0},
    {"1e", false, 0},
    {"1e+", false, 0},
    {"1e3m", false, 0},
    {"0x10", false, 0},
    {"1.2.3", false, 0},
    {"Mi", false, 0},
};

START_TEST(quantities_are_kubernetes_quantities)
{
	uint64_t milli = 77;
	bool ok = quantity_parse(str_from(quantity_rows[_i].text), &milli);

	ck_assert_msg(ok == quantity_rows[_i].ok, "%s", quantity_rows[_i].text);
	if (ok)
		ck_assert_msg(milli == quantity_rows[_i].milli, "%s: %llu",
		    quantity_rows[_i].text, (unsigned long long)milli);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load_access");
	TCase *tc = tcase_create("load_access");

#define LOOP(test, rows) tcase_add_loop_test(tc, test, 0, (int)ARRAY_LEN(rows))
	tcase_add_test(tc, access_is_read_whole);
	LOOP(bad_access_is_refused_and_grants_nothing, bad_access_rows);
	tcase_add_test(tc, odd_access_is_warned_of);
	tcase_add_test(tc, quota_is_read_whole);
	LOOP(bad_quota_is_refused, bad_quota_rows);
	LOOP(quantities_are_kubernetes_quantities, quantity_rows);
	suite_add_tcase(s, tc);
	return run_suite(s);
}
