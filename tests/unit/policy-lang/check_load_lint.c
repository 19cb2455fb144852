/* Lints of the whole model. */
#include "load_fixture.h"

#define NP(name, spec)                                                                 \
	"{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy,"                      \
	" metadata: {name: " name ", namespace: shop}, spec: " spec "}\n---\n"
#define POD(name, rest)                                                                \
	"{apiVersion: v1, kind: Pod, metadata: {name: " name                           \
	", namespace: shop, labels: {app: " name "}}" rest "}\n---\n"
#define NATIVE(kind, name, ns, spec)                                                   \
	"{apiVersion: ringfence.dev/v1alpha1, kind: " kind ", metadata: {name: " name  \
	", namespace: " ns ", labels: {app: " name "}}, spec: " spec "}\n---\n"
#define CNP(name, priority)                                                            \
	"{apiVersion: policy.networking.k8s.io/v1alpha2, kind: ClusterNetworkPolicy,"  \
	" metadata: {name: " name "}, spec: {tier: Admin, priority: " priority         \
	", subject: {namespaces: {}}, ingress: [{action: Deny,"                        \
	" from: [{namespaces: {}}]}]}}\n---\n"

#define WEB_PORTS                                                                      \
	", spec: {containers: [{name: c, ports: [{name: http, containerPort: 80}]}]}"

static const struct {
	const char *text;
	const char *code; /* NULL: nothing is said */
	enum diag_severity severity;
} rows[] = {
    {NP("p", "{podSelector: {matchLabels: {app: web}}, ingress: [{}]}") POD("web", ""),
	NULL, DIAG_NOTE},
    {NP("p", "{podSelector: {matchLabels: {app: wbe}}, ingress: [{}]}") POD("web", ""),
	"selects-nothing", DIAG_WARNING},
    {NP("p", "{podSelector: {matchLabels: {app: wbe}}, ingress: [{}]}"), NULL,
	DIAG_NOTE},
    /* A pod of another namespace, and one on the host's network, are none of its. */
    {NP("p", "{ingress: [{}]}") "{apiVersion: v1, kind: Pod, metadata: {name: a}}\n",
	"selects-nothing", DIAG_WARNING},
    {NP("p", "{ingress: [{}]}") POD("web", ", spec: {hostNetwork: true}"),
	"selects-nothing", DIAG_WARNING},
    {NATIVE("Policy", "p", "/a", "{default: {ingress: [{action: deny}]}}")
	    NATIVE("Workload", "w", "/a/b",
		"{}") "{apiVersion: ringfence.dev/v1alpha1, kind: Namespace,"
		      " metadata: {name: /a/b}}\n",
	NULL, DIAG_NOTE},
    {NATIVE("Policy", "p", "/a/b", "{default: {ingress: [{action: deny}]}}")
	    NATIVE("Workload", "w", "/a",
		"{}") "{apiVersion: ringfence.dev/v1alpha1, kind: Namespace,"
		      " metadata: {name: /a/b}}\n",
	"selects-nothing", DIAG_WARNING},
    {NP("p", "{ingress: []}") POD("web", ""), "isolates-wholly", DIAG_NOTE},
    {NP("p", "{ingress: [{ports: [{port: http}]}]}") POD("web", WEB_PORTS), NULL,
	DIAG_NOTE},
    {NP("p", "{ingress: [{ports: [{port: htpt}]}]}") POD("web", WEB_PORTS),
	"port-name-unknown", DIAG_WARNING},
    {CNP("a", "5") CNP("b", "6"), NULL, DIAG_NOTE},
    {CNP("a", "5") CNP("b", "5"), "same-priority", DIAG_WARNING},
};

START_TEST(lint_says_what_is_probably_not_meant)
{
	struct loaded *l = load_ok(rows[_i].text);
	const struct diag *before = l->diags.first;

	ck_assert_ptr_null(before);
	model_lint(l->m, &l->diags);
	if (rows[_i].code == NULL) {
		ck_assert_msg(l->diags.first == NULL, "%s", loaded_text(l));
	} else {
		ck_assert_int_eq(
		    loaded_find(l, rows[_i].code)->severity, rows[_i].severity);
		ck_assert_msg(l->diags.first->next == NULL, "%s", loaded_text(l));
	}
	loaded_free(l);
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("load_lint");
	TCase *tc = tcase_create("load_lint");

	tcase_add_loop_test(
	    tc, lint_says_what_is_probably_not_meant, 0, (int)ARRAY_LEN(rows));
	suite_add_tcase(s, tc);
	return run_suite(s);
}
