/*
 * From bundles to a program, and from a program and a packet to a record.
 */
#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "enforcer/audit/audit_event.h"
#include "enforcer/control/control_record.h"
#include "enforcer/engine/program.h"
#include "enforcer/flows/flow_view.h"

#define NODE(name, ns, ip)                                                             \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"                         \
	"metadata: {name: " name ", namespace: " ns ", labels: {app: " name "}}\n"     \
	"spec: {node: n1, ips: [" ip "]}\n---\n"
#define WORLD                                                                          \
	NODE("web", "/acme/shop", "10.1.0.1")                                          \
	NODE("db", "/acme/shop", "10.1.0.2")                                           \
	"apiVersion: v1\nkind: Node\nmetadata: {name: n1}\n"                           \
	"status: {addresses: [{type: InternalIP, address: 192.168.0.1}]}\n---\n"
#define POLICY                                                                         \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"                           \
	"metadata: {name: db, namespace: /acme}\n"                                     \
	"spec:\n  mandatory:\n    egress:\n"                                           \
	"      - {name: no-test, action: deny, to: [{cidr: 203.0.113.0/24}]}\n"        \
	"  default:\n    ingress:\n      - {action: deny, ports: [80/tcp]}\n"

static struct settings_source sources[] = {
    {STR("/a"), STR(""), false}, {STR("/b"), STR(""), false}};
static struct ip_prefix networks[] = {{{IP_V4, {10, 1}}, 16}};
static struct engine_settings settings;
static struct arena *arena;
static struct program *program;
static struct table_content content;

static void
setup(void)
{
	settings = (struct engine_settings){
	    .node = STR("n1"),
	    .flow_group = 100,
	    .boot_closed = true,
	    .sources = sources,
	    .source_count = 2,
	    .workload_networks = networks,
	    .workload_network_count = 1,
	};
	arena = arena_new();
	program = NULL;
}

static void
teardown(void)
{
	program_free(program);
	arena_free(arena);
}

static int
seal_text(const char *name, struct str text)
{
	struct source source = {str_from(name), text};
	const struct bundle bundle = {&source, text.len != 0};
	struct err err = ERR_INIT;
	int fd;

	ck_assert_int_eq(bundle_seal(&bundle, &fd, &err), 0);
	return fd;
}

static int
seal(const char *name, const char *text)
{
	return seal_text(name, str_from(text));
}

static void
make(const char *first, const char *second)
{
	const int fds[] = {seal("/a/x.yaml", first), seal("/b/y.yaml", second)};

	program = program_make(&settings, fds, 2, NULL);
	if (program->ok)
		program_content(program, arena, MIDSTREAM_RESET, &content);
	close(fds[0]);
	close(fds[1]);
}

/* ---- programs ---- */

START_TEST(program_is_made_of_all_sources)
{
	make(WORLD, POLICY);
	ck_assert(program->ok);
	ck_assert_uint_eq(program->local_workloads, 2);
	ck_assert_uint_eq(program->model->policy_count, 1);
	ck_assert_uint_eq(content.settings.log_group, 100);
	ck_assert_uint_eq(content.element_count[SET_LOCAL4_IN], 2);
	ck_assert_uint_eq(content.element_count[SET_GATE4], 1);
	ck_assert_ptr_nonnull(program_rule(program, NUMBER_GATE));
	ck_assert_ptr_null(program_rule(program, 4095));
}
END_TEST

START_TEST(node_that_nothing_speaks_of_is_not_known)
{
	static const struct {
		const char *node, *first;
		bool known;
	} rows[] = {
	    {"n1", WORLD, true}, {"n2", WORLD, false},
	    {"n2", "", true}, /* nor is anybody else */
	    {"n1", NODE("db", "/acme/shop", "10.1.0.2"), true}, /* by its workload */
	};

	settings.node = str_from(rows[_i].node);
	make(rows[_i].first, POLICY);
	ck_assert(program->ok);
	ck_assert(program_knows_node(program) == rows[_i].known);
}
END_TEST

/* Whoever takes a set piece by piece has what whoever takes it at once has. */
START_TEST(sets_come_whole_or_by_and_by)
{
	struct table_content rest;
	struct table_element *pieces;
	size_t left_out = 0;

	make(WORLD, POLICY);
	program_rest(program, arena, MIDSTREAM_RESET, &rest);
	for (int i = 0; i < SET_COUNT; i++) {
		enum table_set_id set = (enum table_set_id)i;
		size_t count = content.element_count[set], got = 0, n;
		uint32_t at = 0;

		ck_assert_uint_eq(rest.element_count[set], count);
		if (rest.elements[set] != NULL || count == 0)
			continue;
		left_out++;
		pieces = ARENA_ARRAY(arena, count + 1, struct table_element);
		do {
			n = program_some(program, set, &at, &pieces[got], 1);
			got += n;
		} while (n != 0 && got <= count);
		ck_assert_uint_eq(got, count);
		for (size_t j = 0; j < count; j++) {
			size_t k = 0;

			while (k < count && !table_element_equal(
						&pieces[k], &content.elements[set][j]))
				k++;
			ck_assert_uint_lt(k, count);
		}
	}
	ck_assert_uint_ge(left_out, 1); /* known4 */
}
END_TEST

START_TEST(every_rule_is_found_by_its_number)
{
	make(WORLD, POLICY);
	for (size_t i = 0; i < content.rule_chain_count; i++) {
		const struct table_rule_chain *rule = &content.rule_chains[i];

		ck_assert_uint_eq(
		    program_rule(program, rule->number)->number, rule->number);
	}
}
END_TEST

START_TEST(error_belongs_to_its_source)
{
	const struct diag *d;

	make(WORLD, "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
		    "metadata: {name: x, namespace: /}\nspec: {alow: {}}\n");
	ck_assert(!program->ok);
	for (d = program->diags.first; d != NULL && d->severity != DIAG_ERROR;
	     d = d->next)
		continue;
	ck_assert_ptr_nonnull(d);
	ck_assert_uint_eq(program_source_of(program, d->loc), 1);
	ck_assert_uint_eq(program_source_of(program, (struct loc){0}), 2);
}
END_TEST

/* As `check` says it, which reads files itself. */
START_TEST(unreadable_file_is_told_with_its_code)
{
	const int fds[] = {seal("/a/x.yaml", WORLD),
	    seal_text("/b/y.yaml",
		_i == 0 ? STR("\0unreadable: file-limit: the file is too large")
			: STR("\0unreadable: file-read: cannot be read: not now"))};
	const struct diag *d;

	program = program_make(&settings, fds, 2, NULL);
	close(fds[0]);
	close(fds[1]);
	d = program->diags.first;
	while (d != NULL && d->severity != DIAG_ERROR)
		d = d->next;
	ck_assert(d != NULL && program->diags.errors == 1);
	ck_assert_str_eq(d->code, _i == 0 ? "file-limit" : "file-read");
	ck_assert_str_eq(
	    d->msg, _i == 0 ? "the file is too large" : "cannot be read: not now");
}
END_TEST

START_TEST(empty_sources_are_a_program_that_closes_the_networks)
{
	make("", "");
	ck_assert(program->ok);
	ck_assert_uint_eq(content.element_count[SET_GATE4], 1);
	ck_assert_uint_eq(content.element_count[SET_KNOWN4], 0);
}
END_TEST

START_TEST(bundle_that_is_none_is_refused)
{
	const int fds[] = {seal("/a/x.yaml", WORLD), STDIN_FILENO};

	program = program_make(&settings, fds, 2, NULL);
	if (program->ok)
		program_content(program, arena, MIDSTREAM_RESET, &content);
	close(fds[0]);
	ck_assert(!program->ok);
	ck_assert_uint_eq(program->diags.errors, 1);
}
END_TEST

START_TEST(skeleton_closes_the_networks_and_nothing_else)
{
	program = program_make_skeleton(&settings);
	program_content(program, arena, MIDSTREAM_RESET, &content);
	ck_assert(program->ok && program->skeleton);
	ck_assert_uint_eq(content.element_count[SET_GATE4], 1);
	ck_assert_uint_eq(content.rule_chain_count, 1);
	ck_assert_uint_eq(content.rule_chains[0].number, NUMBER_GATE);
	ck_assert_int_eq(content.rule_chains[0].action, ACTION_DENY);
	for (size_t i = 0; i < SET_COUNT; i++)
		ck_assert(
		    i == SET_GATE4 || i == SET_RULES || content.element_count[i] == 0);
}
END_TEST

/* ---- records ---- */

static struct flows_record record;

static struct nflog_packet
packet(uint32_t number, const char *src, const char *dst)
{
	struct nflog_packet p = {.number = number,
	    .proto = 6,
	    .has_ports = true,
	    .src_port = 4000,
	    .dst_port = 80};

	ck_assert(ip_parse(str_from(src), &p.src));
	ck_assert(ip_parse(str_from(dst), &p.dst));
	return p;
}

static const struct table_rule_chain *
rule_of(enum direction dir)
{
	for (size_t i = 0; i < content.rule_chain_count; i++) {
		const struct table_rule_chain *rule = &content.rule_chains[i];

		if (rule->number >= NUMBER_FIRST_RULE && rule->dir == dir)
			return rule;
	}
	ck_abort_msg("no rule");
	return NULL;
}

static json_t *
view(struct nflog_packet p, struct flow_view *out)
{
	struct buf line = {0};
	json_t *root;

	record = (struct flows_record){.packet = p, .count = 3, .time = {1000000000}};
	flow_view_make(out, program, &record);
	flow_view_json(&line, out);
	ck_assert_ptr_null(memchr(line.data, '\n', line.len));
	root = json_loadb(line.data, line.len, 0, NULL);
	ck_assert_msg(root != NULL, "%s", line.data);
	buf_free(&line);
	return root;
}

static const char *
text_at(const json_t *root, const char *key, const char *inner)
{
	const json_t *value = json_object_get(root, key);

	return json_string_value(inner != NULL ? json_object_get(value, inner) : value);
}

START_TEST(record_of_a_rule_names_ends_and_rule)
{
	struct flow_view v;
	json_t *root;

	make(WORLD, POLICY);
	root = view(packet(rule_of(DIR_EGRESS)->number, "10.1.0.1", "203.0.113.9"), &v);
	ck_assert_str_eq(text_at(root, "verdict", NULL), "deny");
	ck_assert_str_eq(text_at(root, "direction", NULL), "egress");
	ck_assert_str_eq(text_at(root, "time", NULL), "1970-01-01T00:00:01.000000Z");
	ck_assert_str_eq(text_at(root, "src", "workload"), "web");
	ck_assert_str_eq(text_at(root, "src", "namespace"), "/acme/shop");
	ck_assert_str_eq(text_at(root, "dst", "address"), "203.0.113.9");
	ck_assert_ptr_null(text_at(root, "dst", "workload"));
	ck_assert_str_eq(text_at(root, "tenant", NULL), "acme");
	ck_assert_str_eq(text_at(root, "policy", "name"), "db");
	ck_assert_str_eq(text_at(root, "policy", "ruleName"), "no-test");
	ck_assert_str_eq(text_at(root, "policy", "file"), "/b/y.yaml");
	ck_assert_int_eq(json_integer_value(
			     json_object_get(json_object_get(root, "policy"), "line")),
	    7);
	ck_assert_str_eq(text_at(root, "reason", NULL), "rule");
	ck_assert_int_eq(json_integer_value(json_object_get(root, "count")), 3);
	json_decref(root);
}
END_TEST

/* Without a document of the node, whose addresses are then nobody's that is known. */
START_TEST(record_of_the_node_itself_names_it)
{
	struct nflog_packet p;
	struct flow_view v;
	json_t *root;

	make(WORLD, POLICY);
	p = packet(rule_of(DIR_EGRESS)->number, "10.1.0.1", "192.0.2.1");
	p.to_node = true;
	root = view(p, &v);
	ck_assert_ptr_null(text_at(root, "src", "node"));
	ck_assert_str_eq(text_at(root, "dst", "node"), "n1");
	json_decref(root);
	p = packet(rule_of(DIR_EGRESS)->number, "192.0.2.1", "203.0.113.9");
	p.from_node = true;
	root = view(p, &v);
	ck_assert_str_eq(text_at(root, "src", "node"), "n1");
	ck_assert_ptr_null(text_at(root, "dst", "node"));
	json_decref(root);
}
END_TEST

START_TEST(record_of_the_gate_tells_which_end_is_unknown)
{
	struct flow_view v;
	json_t *root;

	make(WORLD, POLICY);
	root = view(packet(NUMBER_GATE, "10.1.9.9", "10.1.0.2"), &v);
	ck_assert_str_eq(text_at(root, "reason", NULL), "not-programmed");
	ck_assert_str_eq(text_at(root, "direction", NULL), "egress");
	ck_assert(json_is_null(json_object_get(root, "policy")));
	json_decref(root);
	root = view(packet(NUMBER_GATE, "10.1.0.2", "10.1.9.9"), &v);
	ck_assert_str_eq(text_at(root, "direction", NULL), "ingress");
	json_decref(root);
}
END_TEST

/* Not the one who is said to have sent it. */
START_TEST(record_of_a_spoofed_address_is_of_the_destination)
{
	static const char *const claimed[] = {"10.1.0.2", "203.0.113.9"};
	struct flow_view v;
	json_t *root;

	make(WORLD, POLICY);
	for (size_t i = 0; i < ARRAY_LEN(claimed); i++) {
		root = view(packet(NUMBER_SPOOFED, claimed[i], "10.1.0.1"), &v);
		ck_assert_str_eq(text_at(root, "reason", NULL), "spoofed");
		ck_assert_str_eq(text_at(root, "verdict", NULL), "deny");
		ck_assert_str_eq(text_at(root, "direction", NULL), "ingress");
		ck_assert_str_eq(text_at(root, "tenant", NULL), "acme");
		ck_assert(json_is_null(json_object_get(root, "policy")));
		json_decref(root);
	}
}
END_TEST

START_TEST(record_of_a_cluster_default_tells_the_end_that_had_no_policy)
{
	struct flow_view v;
	json_t *root;

	settings.default_deny = true;
	make(WORLD, "");
	root = view(packet(NUMBER_CLUSTER_DENY, "10.1.0.1", "198.51.100.1"), &v);
	ck_assert_str_eq(text_at(root, "direction", NULL), "egress");
	ck_assert_str_eq(text_at(root, "reason", NULL), "cluster-default");
	json_decref(root);
	root = view(packet(NUMBER_CLUSTER_DENY, "198.51.100.1", "10.1.0.1"), &v);
	ck_assert_str_eq(text_at(root, "direction", NULL), "ingress");
	json_decref(root);
}
END_TEST

/* No policy decided, but something did; and of the end that it is about. */
START_TEST(record_of_what_routes_refuse_says_why)
{
	static const struct {
		uint32_t number;
		const char *reason;
	} cases[] = {
	    {NUMBER_VIA_TRANSLATED, "via"},
	    {NUMBER_VIA_POSED, "via"},
	    {NUMBER_STRAY, "stray"},
	    {NUMBER_UNREADY, "unpublished"},
	    {NUMBER_UNPUBLISHED, "unpublished"},
	};
	struct flow_view v;
	json_t *root;

	make(WORLD, POLICY);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		root = view(packet(cases[i].number, "10.1.0.1", "203.0.113.9"), &v);
		ck_assert_str_eq(text_at(root, "reason", NULL), cases[i].reason);
		ck_assert_str_eq(text_at(root, "verdict", NULL), "deny");
		ck_assert(json_is_null(json_object_get(root, "policy")));
		json_decref(root);
	}
	root = view(packet(NUMBER_STRAY, "10.1.0.1", "203.0.113.9"), &v);
	ck_assert_str_eq(text_at(root, "direction", NULL), "egress");
	ck_assert_str_eq(text_at(root, "tenant", NULL), "acme");
	json_decref(root);
	root = view(packet(NUMBER_STRAY, "203.0.113.9", "10.1.0.1"), &v);
	ck_assert_str_eq(text_at(root, "direction", NULL), "ingress");
	json_decref(root);
}
END_TEST

/* The rule allows, and the node does not do what it asks for. */
START_TEST(record_of_a_route_that_is_not_followed_says_so)
{
	uint32_t number = NUMBER_NONE;
	struct flow_view v;
	json_t *root;

	make(WORLD, "apiVersion: ringfence.dev/v1alpha1\nkind: Route\n"
		    "metadata: {name: out, namespace: /acme}\nspec: {default: {egress: "
		    "[{action: "
		    "route, to: [{cidr: 203.0.113.0/24}], source: [192.0.2.1]}]}}\n");
	for (size_t i = 0; i < program->real.chain_count; i++) {
		if (program->real.chains[i].policy.len != 0)
			number = program->real.chains[i].number;
	}
	root = view(packet(number, "10.1.0.1", "203.0.113.9"), &v);
	ck_assert_str_eq(text_at(root, "reason", NULL), "not-followed");
	ck_assert_str_eq(text_at(root, "verdict", NULL), "deny");
	ck_assert_str_eq(text_at(root, "direction", NULL), "egress");
	ck_assert_str_eq(text_at(root, "policy", "name"), "out");
	json_decref(root);
}
END_TEST

START_TEST(record_of_a_rule_that_is_gone_says_so)
{
	struct flow_view v;
	json_t *root;

	make(WORLD, POLICY);
	root = view(packet(77777, "192.168.0.1", "10.1.0.2"), &v);
	ck_assert_str_eq(text_at(root, "reason", NULL), "unknown");
	ck_assert_str_eq(text_at(root, "src", "node"), "n1");
	json_decref(root);
}
END_TEST

START_TEST(audit_event_of_a_flow_is_an_event)
{
	static const uint8_t id[16] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
	    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
	struct buf line = {0};
	struct flow_view v;
	json_t *root, *notes;

	make(WORLD, POLICY);
	json_decref(
	    view(packet(rule_of(DIR_INGRESS)->number, "198.51.100.1", "10.1.0.2"), &v));
	audit_event_flow(&line, id, STR("n1"), &v);
	root = json_loadb(line.data, line.len, 0, NULL);
	ck_assert_msg(root != NULL, "%s", line.data);
	notes = json_object_get(root, "annotations");
	ck_assert_str_eq(
	    text_at(root, "auditID", NULL), "ffffffff-ffff-4fff-bfff-ffffffffffff");
	ck_assert_str_eq(text_at(root, "user", "username"), "ringfence:node:n1");
	ck_assert_str_eq(text_at(root, "objectRef", "name"), "db");
	ck_assert_str_eq(text_at(notes, "ringfence.dev/source", NULL), "198.51.100.1");
	ck_assert_str_eq(
	    text_at(notes, "ringfence.dev/destination", NULL), "/acme/shop/db");
	ck_assert_str_eq(text_at(notes, "ringfence.dev/service", NULL), "80/tcp");
	ck_assert_str_eq(text_at(notes, "ringfence.dev/count", NULL), "3");
	json_decref(root);
	buf_free(&line);
}
END_TEST

START_TEST(audit_event_of_a_change_is_an_event)
{
	static const uint8_t id[16] = {0};
	struct audit_change change = {.verb = "heal",
	    .stage = "ResponseComplete",
	    .node = STR("n\"1"),
	    .detail = STR("a\nb"),
	    .number = 4};
	struct buf line = {0};
	json_t *root;

	audit_event_change(&line, id, &change);
	ck_assert_ptr_null(memchr(line.data, '\n', line.len));
	root = json_loadb(line.data, line.len, 0, NULL);
	ck_assert_msg(root != NULL, "%s", line.data);
	ck_assert_str_eq(text_at(root, "verb", NULL), "heal");
	ck_assert_str_eq(
	    text_at(root, "auditID", NULL), "00000000-0000-4000-8000-000000000000");
	ck_assert_str_eq(text_at(root, "annotations", "ringfence.dev/detail"), "a\nb");
	ck_assert_int_eq(json_integer_value(json_object_get(
			     json_object_get(root, "responseStatus"), "code")),
	    200);
	json_decref(root);
	buf_free(&line);
}
END_TEST

START_TEST(audit_event_of_a_question_says_who_asked)
{
	static const uint8_t id[16] = {0};
	struct audit_asked asked = {.node = STR("n1"),
	    .question = STR("trace"),
	    .words = STR("/acme/w\n\"eb\" 10.1.0.2 80/tcp 5"),
	    .uid = 1000,
	    .pid = 42,
	    .passed_over = 7};
	struct buf line = {0};
	json_t *root, *notes;

	audit_event_asked(&line, id, &asked);
	ck_assert_ptr_null(memchr(line.data, '\n', line.len));
	root = json_loadb(line.data, line.len, 0, NULL);
	ck_assert_msg(root != NULL, "%s", line.data);
	notes = json_object_get(root, "annotations");
	ck_assert_str_eq(text_at(root, "verb", NULL), "ask");
	ck_assert_str_eq(
	    text_at(root, "user", "username"), "ringfence:node:n1:uid:1000");
	ck_assert_str_eq(text_at(root, "objectRef", "name"), "trace");
	ck_assert_str_eq(text_at(notes, "ringfence.dev/words", NULL), asked.words.ptr);
	ck_assert_str_eq(text_at(notes, "ringfence.dev/pid", NULL), "42");
	ck_assert_str_eq(text_at(notes, "ringfence.dev/passed-over", NULL), "7");
	json_decref(root);
	line.len = 0;
	asked.uid = UINT32_MAX;
	audit_event_asked(&line, id, &asked);
	root = json_loadb(line.data, line.len, 0, NULL);
	ck_assert_str_eq(
	    text_at(root, "user", "username"), "ringfence:node:n1:unknown");
	json_decref(root);
	buf_free(&line);
}
END_TEST

START_TEST(questions_beyond_a_window_are_counted)
{
	struct control_window w = {0};
	monotime_t now = {.ns = 5};
	uint64_t passed_over = 1;

	for (unsigned i = 0; i < CONTROL_RECORDS_MOST; i++) {
		ck_assert(control_window_takes(&w, now, &passed_over));
		ck_assert_uint_eq(passed_over, 0);
	}
	now.ns += CONTROL_RECORD_MINUTES - 1;
	for (unsigned i = 0; i < 3; i++)
		ck_assert(!control_window_takes(&w, now, &passed_over));
	now.ns++;
	ck_assert(control_window_takes(&w, now, &passed_over));
	ck_assert_uint_eq(passed_over, 3);
	ck_assert(control_window_takes(&w, now, &passed_over));
	ck_assert_uint_eq(passed_over, 0);
}
END_TEST

static Suite *
make_suite(void)
{
	Suite *suite = suite_create("program");
	TCase *tc = tcase_create("program");

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, program_is_made_of_all_sources);
	tcase_add_loop_test(tc, node_that_nothing_speaks_of_is_not_known, 0, 4);
	tcase_add_test(tc, sets_come_whole_or_by_and_by);
	tcase_add_test(tc, every_rule_is_found_by_its_number);
	tcase_add_test(tc, error_belongs_to_its_source);
	tcase_add_loop_test(tc, unreadable_file_is_told_with_its_code, 0, 2);
	tcase_add_test(tc, empty_sources_are_a_program_that_closes_the_networks);
	tcase_add_test(tc, bundle_that_is_none_is_refused);
	tcase_add_test(tc, skeleton_closes_the_networks_and_nothing_else);
	tcase_add_test(tc, record_of_a_rule_names_ends_and_rule);
	tcase_add_test(tc, record_of_the_node_itself_names_it);
	tcase_add_test(tc, record_of_the_gate_tells_which_end_is_unknown);
	tcase_add_test(
	    tc, record_of_a_cluster_default_tells_the_end_that_had_no_policy);
	tcase_add_test(tc, record_of_a_spoofed_address_is_of_the_destination);
	tcase_add_test(tc, record_of_what_routes_refuse_says_why);
	tcase_add_test(tc, record_of_a_route_that_is_not_followed_says_so);
	tcase_add_test(tc, record_of_a_rule_that_is_gone_says_so);
	tcase_add_test(tc, audit_event_of_a_flow_is_an_event);
	tcase_add_test(tc, audit_event_of_a_change_is_an_event);
	tcase_add_test(tc, audit_event_of_a_question_says_who_asked);
	tcase_add_test(tc, questions_beyond_a_window_are_counted);
	suite_add_tcase(suite, tc);
	return suite;
}

int
main(void)
{
	SRunner *runner = srunner_create(make_suite());
	int failed;

	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
