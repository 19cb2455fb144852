/*
 * What explain says of this node alone: its own addresses, what it cannot follow, what policies
 * that are only watched would have.
 */
#include "enforcer/control/explain.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKLOAD(name, ns, node, ip)                                                   \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"                         \
	"metadata: {name: " name ", namespace: " ns ", labels: {app: " name "}}\n"     \
	"spec: {node: " node ", ips: [" ip "]}\n---\n"
#define NATIVE(kind, name, ns)                                                         \
	"apiVersion: ringfence.dev/v1alpha1\nkind: " kind "\n"                         \
	"metadata: {name: " name ", namespace: " ns "}\nspec:\n"
#define VIA(name, app)                                                                 \
	"      - {name: " name ", action: through, to: [{workloads: {matchLabels: "    \
	"{app: " app "}}}], through: {namespace: /fw, workloads: {matchLabels: "       \
	"{app: " name "}}}}\n"

#define WORKLOADS                                                                      \
	WORKLOAD("web", "/shop", "n1", "10.1.0.1")                                     \
	WORKLOAD("db", "/shop", "n1", "10.1.0.2")                                      \
	WORKLOAD("far", "/shop", "n2", "10.2.0.1")                                     \
	WORKLOAD("here", "/fw", "n1", "10.1.0.9")                                      \
	WORKLOAD("there", "/fw", "n2", "10.2.0.9")
/* Nothing says which addresses n1 has. */
#define HOST                                                                           \
	NATIVE("Policy", "host", "/")                                                  \
	"  node: n1\n  allow: {ingress: [{ports: [443/tcp]}]}\n---\n" NATIVE(          \
	    "Policy", "web", "/shop") "  workloads: {matchLabels: {app: web}}\n"       \
				      "  mandatory: {egress: [{action: deny, to: "     \
				      "[{node: {}}]}]}\n---\n"
#define SEEN                                                                           \
	NATIVE("Policy", "seen", "/shop")                                              \
	"  enforcement: audit\n  mandatory:\n    egress:\n"                            \
	"      - {name: shut, action: deny, to: [{cidr: 203.0.113.0/24}]}\n---\n"
#define OUT                                                                            \
	NATIVE("Route", "out", "/shop")                                                \
	"  default:\n    egress:\n      - {name: nat, action: route,"                  \
	"         to: [{cidr: 198.51.100.0/24}], source: [192.0.2.1]}\n"               \
	"    ingress:\n      - {name: pub, action: publish, ports: [80/tcp],"          \
	"         to: [{workloads: {matchLabels: {app: far}}}],"                       \
	"         address: [192.0.2.80]}\n---\n"
#define THROUGH                                                                        \
	NATIVE("Route", "through", "/shop")                                            \
	"  default:\n    via:\n" VIA("here", "far") VIA("there", "db")

static const char world[] = WORKLOADS HOST SEEN OUT THROUGH;
static struct arena *arena;
static struct program *program;
static struct settings_source sources[] = {{STR("/a"), STR(""), false}};
static struct ip_prefix networks[] = {{{IP_V4, {10}}, 8}};
static struct route_network everywhere[] = {
    {.network = {{IP_V4, {0}}, 0}, .subtree = STR("/")}};
static struct engine_settings settings;
static json_t *answer;

static void
setup(void)
{
	settings = (struct engine_settings){
	    .node = STR("n1"),
	    .flow_group = 100,
	    .sources = sources,
	    .source_count = 1,
	    .workload_networks = networks,
	    .workload_network_count = 1,
	    .host_protection = true,
	    .steering = {.mask = 0xff00000, .way_count = 255},
	};
	arena = arena_new();
	program = NULL;
	answer = NULL;
}

static void
teardown(void)
{
	json_decref(answer);
	program_free(program);
	arena_free(arena);
}

static void
make(void)
{
	struct source source = {STR("/a/x.yaml"), str_from(world)};
	const struct bundle bundle = {&source, 1};
	struct err err = ERR_INIT;
	int fd;

	ck_assert_int_eq(bundle_seal(&bundle, &fd, &err), 0);
	program = program_make(&settings, &fd, 1, NULL);
	(void)close(fd); /* it was read */
	for (const struct diag *d = program->diags.first; d != NULL; d = d->next)
		ck_assert_msg(d->severity != DIAG_ERROR, "%s", d->msg);
}

/* The family that is asked about, of the answer. */
static const json_t *
ask(const char *src, const char *dst, const char *service)
{
	static const struct ip_addr own[] = {{IP_V4, {192, 168, 0, 1}}};
	const struct explain_node node = {
	    .program = program,
	    .own = own,
	    .own_count = 1,
	    .gate = {settings.node, networks, 1},
	};
	const struct str words[] = {str_from(src), str_from(dst), str_from(service)};
	struct buf out = {0}, why = {0};

	ck_assert_msg(
	    explain_question(&node, words, false, &out, &why), "%s", why.data);
	json_decref(answer);
	answer = json_loadb(out.data, out.len, 0, NULL);
	ck_assert_ptr_nonnull(answer);
	buf_free(&out);
	buf_free(&why);
	return json_array_get(json_object_get(answer, "families"), 0);
}

static const char *
verdict(const json_t *family)
{
	const char *one = json_string_value(json_object_get(family, "verdict"));

	ck_assert_str_eq(one, json_string_value(json_object_get(answer, "verdict")));
	return one;
}

/* The number by which the node denies; 0: it does not. */
static json_int_t
refused(const json_t *family)
{
	return json_integer_value(
	    json_object_get(json_object_get(family, "refused"), "number"));
}

START_TEST(own_address_is_the_node)
{
	static const struct ip_addr own = {IP_V4, {192, 168, 0, 1}};
	const json_t *family;

	make();
	ck_assert_str_eq(verdict(ask("203.0.113.1", "192.168.0.1", "80/tcp")), "deny");
	ck_assert_str_eq(json_string_value(json_object_get(answer, "dst")), "node/n1");
	ck_assert_str_eq(
	    verdict(ask("203.0.113.1", "192.168.0.1", "443/tcp")), "allow");
	ck_assert_str_eq(verdict(ask("203.0.113.1", "192.168.0.2", "80/tcp")), "allow");
	ck_assert_str_eq(verdict(ask("203.0.113.1", "node/n1", "80/tcp")), "deny");
	/* Who is closed to others is not to it. */
	ck_assert_str_eq(verdict(ask("192.168.0.1", "10.9.9.9", "80/tcp")), "allow");
	ck_assert_str_eq(verdict(ask("192.168.0.2", "10.9.9.9", "80/tcp")), "deny");
	/* To the kernel a peer `node` is the addresses that the program knows. */
	family = ask("/shop/web", "192.168.0.1", "443/tcp");
	ck_assert_str_eq(verdict(family), "allow");
	ck_assert_ptr_nonnull(json_object_get(family, "note"));
	program_free(program);
	settings.own = &own;
	settings.own_count = 1;
	make();
	family = ask("/shop/web", "192.168.0.1", "443/tcp");
	ck_assert_str_eq(verdict(family), "deny");
	ck_assert_ptr_null(json_object_get(family, "note"));
}
END_TEST

START_TEST(what_the_node_cannot_follow_is_denied)
{
	const json_t *family;

	make();
	family = ask("/shop/web", "198.51.100.1", "80/tcp");
	ck_assert_str_eq(verdict(family), "deny");
	ck_assert_ptr_nonnull(strstr(json_string_value(json_object_get(
					 json_object_get(family, "refused"), "by")),
	    "Route /shop/out egress default rule 0, cannot be followed (nat) "
	    "/a/x.yaml:"));
	/* Another node may. */
	ck_assert_str_eq(verdict(ask("/shop/far", "198.51.100.1", "80/tcp")), "allow");
	ck_assert_str_eq(verdict(ask("/shop/web", "198.51.101.1", "80/tcp")), "allow");
	program_free(program);
	settings.route_networks = everywhere;
	settings.route_network_count = 1;
	make();
	family = ask("/shop/web", "198.51.100.1", "80/tcp");
	ck_assert_str_eq(verdict(family), "allow");
	ck_assert_int_eq(refused(family), 0);
}
END_TEST

START_TEST(what_is_translated_and_comes_again_is_told)
{
	const json_t *family;

	settings.route_networks = everywhere;
	settings.route_network_count = 1;
	make();
	/* Published, and what it goes through is here. */
	family = ask("/shop/web", "192.0.2.80", "80/tcp");
	ck_assert_str_eq(verdict(family), "deny");
	ck_assert_int_eq(refused(family), NUMBER_VIA_TRANSLATED);
	/* By its own address it passes; by a Service's it would not. */
	family = ask("/shop/web", "/shop/far", "80/tcp");
	ck_assert_str_eq(verdict(family), "allow");
	ck_assert_ptr_nonnull(
	    strstr(json_string_value(json_object_get(family, "note")), "(number 8)"));
	/* Both ends are here, and it is not. */
	family = ask("/shop/web", "/shop/db", "80/tcp");
	ck_assert_str_eq(verdict(family), "allow");
	ck_assert_ptr_nonnull(json_object_get(family, "note"));
	/* Of another node's client that node decides. */
	family = ask("/shop/far", "/shop/db", "80/tcp");
	ck_assert_ptr_null(json_object_get(family, "note"));
}
END_TEST

START_TEST(watched_policies_are_told_of)
{
	const json_t *family, *watched;
	const char *name;

	make();
	family = ask("/shop/web", "203.0.113.1", "80/tcp");
	ck_assert_str_eq(verdict(family), "allow");
	watched = json_object_get(family, "watched");
	ck_assert_str_eq(
	    json_string_value(json_object_get(watched, "verdict")), "deny");
	name = json_string_value(json_object_get(
	    json_object_get(json_object_get(watched, "egress"), "rule"), "name"));
	ck_assert_str_eq(name, "shut");
	family = ask("/shop/web", "203.0.114.1", "80/tcp");
	watched = json_object_get(family, "watched");
	ck_assert_str_eq(
	    json_string_value(json_object_get(watched, "verdict")), "allow");
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("explain");
	TCase *tc = tcase_create("explain");
	SRunner *runner = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, own_address_is_the_node);
	tcase_add_test(tc, what_the_node_cannot_follow_is_denied);
	tcase_add_test(tc, what_is_translated_and_comes_again_is_told);
	tcase_add_test(tc, watched_policies_are_told_of);
	suite_add_tcase(s, tc);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? 0 : 1;
}
