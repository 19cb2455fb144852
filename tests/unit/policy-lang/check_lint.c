/* Lints of the whole model. */
#include <stdlib.h>

#include "load_fixture.h"

#include "policy-lang/lint/lint.h"

#define NP(name, spec)                                                                 \
	"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"                      \
	" metadata: {name: " name ", namespace: shop}, spec: " spec "}\n---\n"
#define POD(name, rest)                                                                \
	"{apiVersion: v1, kind: Pod, metadata: {name: " name                           \
	", namespace: shop, labels: {app: " name "}}" rest "}\n---\n"
#define NATIVE(kind, name, ns, spec)                                                   \
	"{apiVersion: ringfence.dev/v1alpha1, kind: " kind ", metadata: {name: " name  \
	", namespace: " ns ", labels: {app: " name "}}, spec: " spec "}\n---\n"
#define CNP(name, priority, action)                                                    \
	"{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy,"  \
	" metadata: {name: " name "}, spec: {tier: Admin, priority: " priority         \
	", subject: {namespaces: {}}, ingress: [{action: " action ","                  \
	" from: [{namespaces: {}}]}]}}\n---\n"
#define TIE(name, label, action)                                                       \
	"{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy,"  \
	" metadata: {name: " name                                                      \
	"}, spec: {tier: Admin, priority: 5, subject: {pods: "                         \
	"{namespaceSelector: {}, podSelector: {matchLabels: {" label "}}}}, ingress: " \
	"[{action: " action ", from: [{namespaces: {}}]}]}}\n---\n"
#define NS(path)                                                                       \
	"{apiVersion: ringfence.dev/v1alpha1, kind: Namespace, metadata: {name: " path \
	"}, spec: {owners: [us]}}\n---\n"
#define DNS                                                                            \
	"{apiVersion: v1, kind: Pod, metadata: {name: coredns, namespace: "            \
	"kube-system,"                                                                 \
	" labels: {k8s-app: kube-dns}}, status: {podIP: 10.1.0.53}}\n---\n"

#define WEB_PORTS                                                                      \
	", spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}"

/* What is said of small worlds, all of it. Each code has more in tests/golden/check. */
static const struct {
	const char *text;
	const char *codes; /* in order of place */
} rows[] = {
    {NP("p", "{podSelector: {matchLabels: {app: web}}, egress: [{}], ingress: [{}]}")
	    POD("web", ""),
	""},
    {NP("p", "{podSelector: {matchLabels: {app: wbe}}, ingress: [{}]}"), ""},
    /* A pod of another namespace, and one on the host's network, are none of its. */
    {NP("p", "{ingress: [{}]}") "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n",
	"selects-nothing unselected-workloads unselected-workloads"},
    {NP("p", "{ingress: [{}]}") POD("web", ", spec: {hostNetwork: true}"),
	"selects-nothing"},
    {NATIVE("Policy", "p", "/a", "{default: {ingress: [{action: deny}]}}")
	    NATIVE("Workload", "w", "/a/b", "{}") NS("/a") NS("/a/b"),
	"unselected-workloads"},
    {NATIVE("Policy", "p", "/a/b", "{default: {ingress: [{action: deny}]}}")
	    NATIVE("Workload", "w", "/a", "{}") NS("/a") NS("/a/b"),
	"selects-nothing unselected-workloads unselected-workloads"},
    {NP("p", "{ingress: [{ports: [{port: http}]}], egress: [{}]}")
	    POD("web", WEB_PORTS),
	""},
    {NP("p", "{ingress: [{ports: [{port: htpt}]}], egress: [{}]}")
	    POD("web", WEB_PORTS),
	"port-name-unknown"},
    {CNP("a", "5", "Deny") CNP("b", "6", "Deny"), "shadowed-rule"},
    {CNP("a", "5", "Deny") CNP("b", "5", "Accept"), "priority-conflict shadowed-rule"},
    /* Two clusters' policies have nothing to do with each other; the same of one are. */
    {NP("a", "{ingress: [{}]}") NP("b", "{ingress: [{}]}"), "redundant-rule"},
    /* Both halves of a rule are decided before it, each by another. */
    {NATIVE("Policy", "p", "/",
	 "{default: {ingress: [{action: deny, ports: [tcp]}, {action: allow, ports: "
	 "[udp]}, {action: deny, ports: [1-100/tcp, 53/udp]}]}}"),
	"shadowed-rule"},
    {NATIVE("Policy", "p", "/",
	 "{default: {ingress: [{action: deny, ports: [tcp]}, {action: deny, ports: "
	 "[1-100/tcp, 53/udp]}]}}"),
	""},
    /* What passes at / is decided at /a; what does not pass is not. */
    {NATIVE("Policy", "p", "/",
	 "{mandatory: {ingress: [{action: pass, ports: [22/tcp]}, {action: deny}]}}")
	    NS("/a") NATIVE("Policy", "q", "/a",
		"{mandatory: {ingress: [{action: allow, ports: [22/tcp]}, {action: "
		"allow, ports: [23/tcp]}]}}"),
	"unreachable-rule"},
    /* A name may be any number, so a rule for one number may pass it. */
    {NATIVE("Policy", "p", "/",
	 "{mandatory: {ingress: [{action: pass, ports: [22/tcp]}, {action: deny}]}}")
	    NS("/a") NATIVE("Policy", "q", "/a",
		"{mandatory: {ingress: [{action: allow, ports: [ssh]}]}}"),
	""},
    /* A nearer allow block isolates everybody that the default is for. */
    {NS("/a") NATIVE("Policy", "p", "/a",
	 "{allow: {ingress: [{ports: [22/tcp]}]}, default: {ingress: [{action: "
	 "deny}]}}"),
	"unreachable-rule"},
    {NS("/a") NATIVE("Policy", "p", "/a",
	 "{workloads: {matchLabels: {app: a}}, allow: {ingress: [{ports: [22/tcp]}]}}")
	    NATIVE("Policy", "q", "/a", "{default: {ingress: [{action: deny}]}}"),
	""},
    /* Policies that tie, on subjects that no workload is both of: nothing to say of
     * the two; without workloads, it may come. */
    {TIE("a", "app: web", "Deny") TIE("b", "tier: db", "Accept"), "priority-conflict"},
    {TIE("a", "app: web", "Deny") TIE("b", "tier: db", "Accept") POD("web", ""),
	"same-priority selects-nothing unselected-workloads"},
    /* DNS pods are known: rules are judged against them. */
    {DNS NP("p", "{ingress: [{}], egress: [{to: [{podSelector: {}}]}]}") POD("web", ""),
	"cuts-dns unselected-workloads unselected-workloads"},
    {DNS NP("p", "{ingress: [{}], egress: [{ports: [{port: 53}]}]}") POD("web", ""),
	"cuts-dns unselected-workloads unselected-workloads"},
    {DNS NP("p", "{ingress: [{}], egress: [{ports: [{port: 53}, {port: 53, protocol: "
		 "UDP}]}]}") POD("web", ""),
	"unselected-workloads unselected-workloads"},
    /* Shut off on purpose. */
    {DNS NP("p", "{ingress: [{}], policyTypes: [Ingress, Egress]}") POD("web", ""),
	"isolates-wholly unselected-workloads unselected-workloads"},
};

static int
text_cmp(const void *a, const void *b)
{
	const char *const *x = a, *const *y = b;

	return strcmp(*x, *y);
}

/* The codes of a list, sorted, with spaces between them. */
static const char *
codes_of(struct loaded *l)
{
	const char *codes[64];
	struct buf text = {0};
	const char *copy;
	size_t count = 0;

	for (const struct diag *d = l->diags.first; d != NULL; d = d->next) {
		ck_assert_uint_lt(count, ARRAY_LEN(codes));
		if (strcmp(d->code, "no-owner") != 0)
			codes[count++] = d->code;
	}
	if (count > 1)
		qsort(codes, count, sizeof(*codes), text_cmp);
	for (size_t i = 0; i < count; i++)
		buf_printf(&text, "%s%s", i > 0 ? " " : "", codes[i]);
	copy = arena_strdup(l->arena, text.data != NULL ? text.data : "");
	buf_free(&text);
	return copy;
}

START_TEST(lint_says_what_is_probably_not_meant)
{
	struct loaded *l = load_ok(rows[_i].text);

	ck_assert_ptr_null(l->diags.first);
	model_lint(l->m, &l->diags);
	ck_assert_msg(strcmp(codes_of(l), rows[_i].codes) == 0, "%s, not %s:\n%s",
	    codes_of(l), rows[_i].codes, loaded_text(l));
	loaded_free(l);
}
END_TEST

/* ---- limits ---- */

START_TEST(lint_counts_what_it_does_not_show)
{
	struct buf text = {0};
	struct loaded *l;

	for (unsigned i = 0; i < LINT_PER_CODE + 7; i++)
		buf_printf(&text, NP("p%u", "{ingress: []}"), i);
	l = load_ok(text.data);
	model_lint(l->m, &l->diags);
	ck_assert_uint_eq(loaded_count(l, "isolates-wholly"), LINT_PER_CODE);
	ck_assert_str_eq(loaded_find(l, "lint-limit")->msg,
	    "7 more of [isolates-wholly] are not shown");
	loaded_free(l);
	buf_free(&text);
}
END_TEST

/* Rules of one list that nothing tells apart before their ports: the work of comparing
 * all with all has an end, and the end is said. */
START_TEST(lint_gives_up_and_says_so)
{
	struct buf text = {0};
	struct loaded *l;

	buf_add_cstr(&text,
	    "{apiVersion: ringfence.dev/v1alpha1, kind: Policy, metadata: "
	    "{name: p, namespace: /}, spec: {mandatory: {ingress: [");
	for (unsigned i = 0; i < 8000; i++)
		buf_printf(&text, "%s{action: deny, ports: [%u-%u/tcp]}",
		    i > 0 ? "," : "", 4 * i + 1, 4 * i + 3);
	buf_add_cstr(&text, "]}}}");
	l = load_ok(text.data);
	model_lint(l->m, &l->diags);
	ck_assert_ptr_nonnull(strstr(loaded_find(l, "lint-limit")->msg,
	    "rules were not compared with all others"));
	loaded_free(l);
	buf_free(&text);
}
END_TEST

/* True if a note about what was left out has the words. */
static bool
is_left_out(struct loaded *l, const char *words)
{
	for (const struct diag *d = l->diags.first; d != NULL; d = d->next) {
		if (strcmp(d->code, "lint-limit") == 0 && strstr(d->msg, words) != NULL)
			return true;
	}
	return false;
}

/* Policies that tie are told apart by what tells most of them apart: each of these has a
 * label of its own, but for one pair. */
START_TEST(ties_are_compared_where_they_can_meet)
{
	struct buf text = {0};
	struct loaded *l;

	for (unsigned i = 0; i < 6000; i++)
		buf_printf(&text, TIE("t%04u", "app: w%u", "%s"), i, i == 5001 ? 14 : i,
		    i % 2 == 0 ? "Deny" : "Accept");
	l = load_ok(text.data);
	model_lint(l->m, &l->diags);
	ck_assert_uint_eq(loaded_count(l, "priority-conflict"), 1);
	ck_assert_ptr_nonnull(
	    strstr(loaded_find(l, "priority-conflict")->msg, "\"t5001\""));
	ck_assert(!is_left_out(l, "were not compared"));
	loaded_free(l);
	buf_free(&text);
}
END_TEST

/* Of policy i the opponents before it are (i + 1) / 2: four are said of each, so that the
 * tenth is the first with more. */
START_TEST(ties_are_said_of_a_policy_a_few_times)
{
	struct buf text = {0};
	struct loaded *l;

	for (unsigned i = 0; i < 20; i++)
		buf_printf(
		    &text, CNP("t%02u", "5", "%s"), i, i % 2 == 0 ? "Deny" : "Accept");
	l = load_ok(text.data);
	model_lint(l->m, &l->diags);
	ck_assert_uint_eq(loaded_count(l, "priority-conflict"),
	    1 + 1 + 2 + 2 + 3 + 3 + 4 + 4 + 11 * 4);
	ck_assert(is_left_out(l, "11 policies decide differently from more"));
	loaded_free(l);
	buf_free(&text);
}
END_TEST

/* Rules without number leave no work for what is asked after them, and that is said. */
START_TEST(lint_says_what_it_did_not_ask)
{
	struct buf text = {0};
	struct loaded *l;

	for (unsigned p = 0; p < 3; p++) {
		buf_printf(&text,
		    "{apiVersion: ringfence.dev/v1alpha1, kind: Policy, metadata: "
		    "{name: p%u, namespace: /}, spec: {mandatory: {ingress: [",
		    p);
		for (unsigned i = 0; i < 8000; i++)
			buf_printf(&text, "%s{action: %s, ports: [%u-%u/tcp]}",
			    i > 0 ? "," : "", p == 1 ? "allow" : "deny",
			    8 * i + 2 * p + 1, 8 * i + 2 * p + 2);
		buf_add_cstr(&text, "]}}}\n---\n");
	}
	buf_add_cstr(&text, POD("web", ""));
	buf_add_cstr(&text, POD("host", ", spec: {hostNetwork: true}"));
	buf_add_cstr(&text,
	    NP("np", "{podSelector: {matchLabels: {app: host}}, ingress: [{from: "
		     "[{ipBlock: {cidr: 10.96.0.0/12}}]}]}"));
	buf_add_cstr(&text,
	    "{apiVersion: v1, kind: Service, metadata: {name: s, namespace: shop}, "
	    "spec: {clusterIP: 10.96.0.9, selector: {app: web}, ports: [{port: 80}]}}");
	l = load_ok(text.data);
	model_lint(l->m, &l->diags);
	ck_assert(is_left_out(l, "rules were not compared with all others"));
	ck_assert(is_left_out(l, "not all networks were compared with the addresses"));
	ck_assert(is_left_out(l, "not all selectors were compared with workloads on"));
	ck_assert(!is_left_out(l, "DNS"));
	loaded_free(l);
	buf_free(&text);
}
END_TEST

/* ---- comments ---- */

#define CLOSED                                                                         \
	"apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\n"                      \
	"metadata: {name: p, namespace: shop}\nspec:\n"

static const struct {
	const char *text;
	const char *codes;
} ignore_rows[] = {
    {CLOSED "  ingress: []\n", "isolates-wholly"},
    {CLOSED "  ingress: []  # ringfence:ignore isolates-wholly on purpose\n", ""},
    {CLOSED "  # ringfence:ignore isolates-wholly on purpose\n  ingress: []\n", ""},
    {CLOSED "  # ringfence:ignore isolates-wholly on purpose\n\n  # and more\n"
	    "  ingress: []\n",
	""},
    {CLOSED "  # ringfence:ignore redundant-rule,isolates-wholly on purpose\n"
	    "  ingress: []\n",
	"unused-ignore"},
    {CLOSED "  ingress: []\n  # ringfence:ignore isolates-wholly too late\n",
	"isolates-wholly unused-ignore"},
    {CLOSED "  ingress: []  # ringfence:ignore isolates-wholly\n",
	"bad-ignore isolates-wholly"},
    {CLOSED "  ingress: []  # ringfence:ignore\n", "bad-ignore isolates-wholly"},
    {CLOSED "  ingress: []  # ringfence:ignore isolates-woly on purpose\n",
	"bad-ignore isolates-wholly"},
    /* Not a comment: part of a text. */
    {CLOSED "  ingress: []\n---\n{apiVersion: v1, kind: ConfigMap, metadata: {name: "
	    "a}, data: {a: \"x#ringfence:ignore skipped-kind because\"}}\n",
	"isolates-wholly skipped-kind"},
    /* Errors stay, and the comment is called useless. */
    {CLOSED "  ingres: []  # ringfence:ignore unknown-field on purpose\n",
	"bad-ignore unknown-field"},
};

START_TEST(comment_silences_its_code_at_its_line)
{
	struct loaded *l = load(ignore_rows[_i].text);

	if (l->ok)
		model_lint(l->m, &l->diags);
	lint_ignore(&l->bundle, l->ok, &l->diags);
	ck_assert_msg(strcmp(codes_of(l), ignore_rows[_i].codes) == 0,
	    "%s, not %s:\n%s\n%s", codes_of(l), ignore_rows[_i].codes,
	    ignore_rows[_i].text, loaded_text(l));
	ck_assert_int_eq(l->ok, l->diags.errors == 0);
	ck_assert_uint_eq(l->diags.warnings + l->diags.notes + l->diags.errors > 0,
	    ignore_rows[_i].codes[0] != '\0');
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("lint");
	TCase *tc = tcase_create("lint");

	tcase_set_timeout(tc, 60);
	tcase_add_loop_test(
	    tc, lint_says_what_is_probably_not_meant, 0, (int)ARRAY_LEN(rows));
	tcase_add_test(tc, lint_counts_what_it_does_not_show);
	tcase_add_test(tc, lint_gives_up_and_says_so);
	tcase_add_test(tc, ties_are_compared_where_they_can_meet);
	tcase_add_test(tc, ties_are_said_of_a_policy_a_few_times);
	tcase_add_test(tc, lint_says_what_it_did_not_ask);
	tcase_add_loop_test(
	    tc, comment_silences_its_code_at_its_line, 0, (int)ARRAY_LEN(ignore_rows));
	suite_add_tcase(s, tc);
	return run_suite(s);
}
