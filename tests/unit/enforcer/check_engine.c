/*
 * The engine without other roles: what it waits for, what it does not, and whom it keeps
 * waiting.
 */
#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/limits.h"
#include "enforcer/control/control.h"
#include "enforcer/engine/engine_state.h"
#include "policy-lang/compile/compile_state.h"
#include "policy-lang/table/table_walk.h"
#include "tests/unit/enforcer/sealed.h"

#define WAIT_MS 60000 /* longer than the test */

#define WORKLOAD(name, node, address)                                                  \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"                         \
	"metadata: {name: " name ", namespace: /acme}\n"                               \
	"spec: {node: " node ", ips: [\"" address "\"]}\n"

#define NAMED                                                                          \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"                      \
	"metadata: {name: named, namespace: /acme}\n"                                  \
	"spec: {workloads: {matchLabels: {late: very}}, "                              \
	"allow: {egress: [{ports: [metrics]}]}}\n"

#define LATE                                                                           \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"                         \
	"metadata: {name: second, namespace: /acme, labels: {late: very}}\n"           \
	"spec: {node: n1, ips: [\"fd00::2\"]}\n"

static struct settings_source source = {STR("/a"), STR(""), false};
static struct engine *engine;
static size_t answers;
static bool in_force;

static void
on_answer(struct engine *e, uint64_t arg, const struct engine_attach_result *result)
{
	(void)e;
	(void)arg;
	answers++;
	in_force = result->missing == NULL;
}

/* What the first file says is in the kernel. */
static void
put_in_force(const char *text)
{
	int fd = seal("/a/first.yaml", text);

	program_free(engine->apply.current);
	engine->apply.current = program_make(&engine->settings, &fd, 1, NULL);
	(void)close(fd);
	ck_assert(engine->apply.current->ok);
	engine->apply.current->number = 1;
}

/* An engine whose first program is in the kernel, with no kernel role to change it. */
static void
setup(void)
{
	answers = 0;
	engine = xcalloc(1, sizeof(*engine));
	engine->settings = (struct engine_settings){.node = STR("n1"),
	    .flow_group = 100,
	    .sources = &source,
	    .source_count = 1};
	ck_assert_int_eq(uv_loop_init(&engine->loop), 0);
	engine_load_init(engine);
	engine_apply_init(engine);
	engine_audit_init(engine);
	engine_gone_init(engine);
	put_in_force(WORKLOAD("first", "n1", "10.1.0.1") NAMED);
	engine->apply.suspect = false;
	engine->apply.table_known = true;
}

static void
teardown(void)
{
	engine->stopping = true;
	engine_attach_fini(engine);
	engine_audit_fini(engine);
	engine_gone_fini(engine);
	engine_apply_disconnected(engine);
	(void)uv_run(&engine->loop, UV_RUN_DEFAULT); /* a run of the loader */
	engine_load_fini(engine);
	engine_edits_fini(engine);
	engine_apply_fini(engine);
	(void)uv_run(&engine->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&engine->loop), 0);
	free(engine);
}

static void
wait_for(const char *address)
{
	struct ip_addr addr;
	const struct engine_attach_to to = {.addrs = &addr, .addr_count = 1};

	ck_assert(ip_parse(str_from(address), &addr));
	ck_assert(engine_attach(engine, STR("c/eth0"), &to, WAIT_MS, on_answer, 0));
}

static void
edit(const char *name, const char *text)
{
	const struct queued_edit queued = {
	    .bundle_fd = seal(name, text), .arena = arena_new_sized(1024)};

	engine_source_edited(engine, &queued);
}

/* ---- who waits for policy ---- */

START_TEST(what_is_in_force_is_told_at_once)
{
	wait_for("10.1.0.1");
	ck_assert_uint_eq(answers, 1);
	ck_assert(in_force);
}
END_TEST

START_TEST(edit_that_came_before_is_waited_for)
{
	edit("/a/second.yaml", WORKLOAD("second", "n2", "10.1.0.2"));
	wait_for("10.1.0.1");
	ck_assert_uint_eq(answers, 0);
}
END_TEST

START_TEST(workload_that_only_the_model_has_is_waited_for)
{
	wait_for("fd00::2");
	ck_assert_uint_eq(answers, 0);
	engine->apply.current->number = 10; /* others' programs came meanwhile */
	engine->apply.current->real.state->c->failed = true; /* takes compiling anew */
	edit("/a/second.yaml", LATE);
	ck_assert(engine_edits_take(engine));
	ck_assert(engine->load.running);
	engine_attach_tick(engine);
	ck_assert_uint_eq(answers, 0);
	while (engine->load.running)
		(void)uv_run(&engine->loop, UV_RUN_ONCE);
	ck_assert_ptr_nonnull(engine->apply.recompiled);
	engine_attach_tick(engine);
	ck_assert_uint_eq(answers, 0);
}
END_TEST

/* What explain says of the workload that LATE is. */
static bool
explains(struct buf *out)
{
	const struct str words[] = {
	    STR("/acme/second"), STR("2001:db8::1"), STR("80/tcp")};

	out->len = 0;
	control_answer_explain(engine, words, false, NULL, 0, out);
	return !str_starts(buf_str(out), STR("{\"error\""));
}

static void
ck_status_pending(const char *pending)
{
	struct buf told = {0}, wanted = {0};

	buf_printf(&wanted, "\"pending\":%s,", pending);
	control_answer_status(engine, &told);
	ck_assert_ptr_nonnull(strstr(told.data, wanted.data));
	buf_free(&told);
	buf_free(&wanted);
}

START_TEST(explanation_says_what_is_not_in_force)
{
	struct buf told = {0};

	ck_assert(!explains(&told)); /* nobody knows it */
	ck_status_pending("false");
	edit("/a/second.yaml", LATE);
	ck_status_pending("true");
	ck_assert(engine_edits_take(engine));
	ck_status_pending("true");
	ck_assert(explains(&told));
	ck_assert_ptr_nonnull(strstr(told.data, "\"pending\": true"));
	engine->apply.ahead = false; /* as when the kernel has taken it */
	engine->apply.table_known = true;
	engine->apply.heal = false;
	ck_assert(explains(&told));
	ck_assert_ptr_null(strstr(told.data, "pending"));
	ck_status_pending("false");
	buf_free(&told);
}
END_TEST

/* ---- who is gone ---- */

#define WATCHED                                                                        \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"                      \
	"metadata: {name: watched, namespace: /acme}\n"                                \
	"spec: {enforcement: audit, allow: {egress: []}}\n"

/* Whether what began there ends, in the next list, as a gone workload's does. */
static bool
is_gone(const char *address)
{
	struct connection c = {.proto = 6};
	bool gone;

	ck_assert(ip_parse(str_from(address), &c.judged.src));
	ck_assert(ip_parse(STR("192.0.2.1"), &c.judged.dst));
	engine_gone_list_begins(engine);
	gone = engine_gone_had(engine, &c);
	engine_gone_listed(engine);
	return gone;
}

/* Two workloads, of which one goes; on the side that a policy only watches, that takes
 * compiling anew if it is to. */
static void
let_one_go(bool compiles)
{
	static struct interface_pattern behind;

	ck_assert(interface_pattern_parse(STR("wl-*"), &behind));
	engine->settings.workload_interfaces = &behind;
	engine->settings.workload_interface_count = 1;
	put_in_force(WORKLOAD("first", "n1", "10.1.0.1") "---\n" WORKLOAD(
	    "third", "n1", "10.1.0.3") WATCHED);
	engine->apply.current->shadow.state->c->failed = compiles;
	edit("/a/first.yaml", WORKLOAD("first", "n1", "10.1.0.1") WATCHED);
	ck_assert(engine_edits_take(engine));
	ck_assert(engine->load.running == compiles);
}

START_TEST(who_went_is_gone_whatever_is_compiled)
{
	let_one_go(_i != 0);
	ck_assert(is_gone("10.1.0.3"));
	ck_assert(is_gone("10.1.0.3")); /* until it is in force */
	ck_assert(!is_gone("10.1.0.1"));
	engine->apply.ahead = engine->apply.heal = false;
	engine->apply.table_known = true;
	ck_assert(is_gone("10.1.0.3"));
	ck_assert(!is_gone("10.1.0.3"));
}
END_TEST

START_TEST(nobody_is_gone_where_no_interface_says_so)
{
	let_one_go(false);
	ck_assert_uint_eq(engine->gone.since.addresses.len, 1);
	engine->settings.workload_interface_count = 0;
	engine_gone_note_program(engine, engine->apply.current); /* it lists its own */
	ck_assert_uint_eq(engine->gone.since.addresses.len, 1);
}
END_TEST

/* ---- what goes on ---- */

START_TEST(edits_that_are_all_refused_begin_nothing)
{
	edit("/a/second.yaml", "kind: [\n");
	ck_assert(!engine_edits_take(engine)); /* so that something else may */
	ck_assert_uint_eq(engine->edits.refused, 1);
	ck_assert_uint_eq(engine->edits.count, 0);
	ck_assert_int_eq(engine->sources[0].state, SOURCE_BAD);
}
END_TEST

/* Two sources that both change all the time would put it off for ever. */
START_TEST(load_that_waits_for_one_source_does_not_ask_again_for_another)
{
	static struct settings_source two[] = {
	    {STR("/a"), STR(""), false}, {STR("/b"), STR(""), false}};

	engine->names.learnt = learnt_new(LIMIT_DNS_LEARNT);
	engine->settings.sources = two;
	engine->settings.source_count = 2;
	engine_source_arrived(
	    engine, 0, seal("/a/first.yaml", WORKLOAD("first", "n1", "10.1.0.1")));
	ck_assert(!engine->load.running);
	edit("/a/second.yaml", WORKLOAD("second", "n1", "10.1.0.2"));
	ck_assert_uint_eq(engine->edits.count, 1);
	engine_source_arrived(
	    engine, 1, seal("/b/third.yaml", WORKLOAD("third", "n1", "10.1.0.3")));
	ck_assert(engine->load.running);
	while (engine->load.running)
		(void)uv_run(&engine->loop, UV_RUN_ONCE);
	ck_assert_uint_eq(engine->load.loads, 1);
	ck_assert_uint_eq(engine->edits.count, 1); /* it is put into what was loaded */
	engine_edits_forget(engine);
	ck_assert(engine->sources[0].spent && !engine->sources[1].spent);
	learnt_free(engine->names.learnt);
}
END_TEST

START_TEST(load_that_could_not_be_started_is_tried_again)
{
	struct rlimit before, none;
	int fd;

	engine->names.learnt = learnt_new(LIMIT_DNS_LEARNT);
	fd = seal("/a/first.yaml", WORKLOAD("first", "n1", "10.1.0.1"));
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_cur = 3, .rlim_max = before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	engine_source_arrived(engine, 0, fd);
	ck_assert(!engine->load.running && engine->load.dirty);
	engine_load_tick(engine);
	ck_assert(!engine->load.running);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	engine_load_tick(engine);
	ck_assert(engine->load.running);
	while (engine->load.running)
		(void)uv_run(&engine->loop, UV_RUN_ONCE);
	ck_assert_uint_eq(engine->load.loads, 1);
	engine_load_tick(engine);
	ck_assert(!engine->load.running);
	learnt_free(engine->names.learnt);
}
END_TEST

/* One end of a link; nobody reads the other. */
static int
half_link(int *out_other)
{
	int fds[2];

	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
	    0);
	*out_other = fds[1];
	return fds[0];
}

START_TEST(record_that_went_to_another_audit_role_is_not_waited_for)
{
	int others[2];

	engine_audit_connect(engine, half_link(&others[0]));
	engine->apply.phase = APPLY_AUDIT;
	engine->apply.pending = engine->apply.current;
	engine_audit_connect(engine, half_link(&others[1]));
	ck_assert_int_eq(engine->apply.phase, APPLY_IDLE);
	ck_assert(engine->apply.heal); /* it is tried again */
	ck_assert_ptr_null(engine->apply.pending);
	(void)close(others[0]);
	(void)close(others[1]);
}
END_TEST

START_TEST(kernel_role_that_does_not_answer_is_an_illness)
{
	struct engine *e = xcalloc(1, sizeof(*e));
	struct kernel_question applied = {.answer_type = MSG_APPLIED};
	struct kernel_question traced = {.answer_type = MSG_TRACED};
	const monotime_t start = {.ns = 5000000000};
	monotime_t now = start;
	char link;

	ck_assert_str_eq(engine_kernel_ill(e, now), "no kernel role");
	e->kernel.link = (struct link *)(void *)&link; /* never looked into */
	ck_assert_ptr_null(engine_kernel_ill(e, now));
	applied.asked = traced.asked = start;
	traced.next = &applied;
	e->kernel.questions = &traced;
	now.ns = start.ns + 59999 * UINT64_C(1000000);
	ck_assert_ptr_null(engine_kernel_ill(e, now));
	now.ns = start.ns + 60000 * UINT64_C(1000000);
	ck_assert_str_eq(engine_kernel_ill(e, now), "the kernel role does not answer");
	traced.next = NULL; /* answered; a trace waits for its packet */
	ck_assert_ptr_null(engine_kernel_ill(e, now));
	free(e);
}
END_TEST

/* Whatever comes into force meanwhile waits for a look. */
START_TEST(look_at_rules_that_nobody_else_can_change_can_wait)
{
	static const struct {
		bool owned, suspect, looks;
	} cases[] = {{true, false, false}, {true, true, true}, {false, false, true}};
	struct engine_apply *a = &engine->apply;

	engine->kernel.owned = cases[_i].owned;
	a->suspect = cases[_i].suspect;
	a->digest_known = false;
	a->looked.ns = monotime_now().ns + UINT64_C(3600000000000);
	a->look_after.ns = 0; /* of looks that cannot wait */
	engine_apply_look(engine);
	ck_assert_uint_eq(a->looks, cases[_i].looks);
}
END_TEST

/* Behind it nothing new would come into force. */
START_TEST(load_that_does_not_end_is_an_illness)
{
	monotime_t later = monotime_now();

	engine_load_recompile(engine, later);
	ck_assert(engine->load.running); /* until the loop turns */
	ck_assert_uint_gt(engine_load_ns(engine, monotime_now()), 0);
	later.ns += 599 * UINT64_C(1000000000);
	ck_assert_ptr_null(engine_load_ill(engine, later));
	later.ns += 60 * UINT64_C(1000000000);
	ck_assert_str_eq(engine_load_ill(engine, later), "a load does not end");
	engine->stopping = true;
	(void)uv_run(&engine->loop, UV_RUN_DEFAULT);
	ck_assert_ptr_null(engine_load_ill(engine, later));
	ck_assert_uint_eq(engine_load_ns(engine, later), 0);
}
END_TEST

/* ---- what is wrong with sources ---- */

static void
run_load(void)
{
	ck_assert(engine->load.running);
	while (engine->load.running)
		(void)uv_run(&engine->loop, UV_RUN_ONCE);
}

START_TEST(source_that_is_readable_again_says_what_is_wrong_with_it)
{
	engine->names.learnt = learnt_new(1);
	engine_source_arrived(engine, 0, open("/dev/null", O_RDONLY | O_CLOEXEC));
	run_load();
	ck_assert_int_eq(engine->sources[0].state, SOURCE_BAD);
	const unsigned errors = engine->sources[0].error_total;

	engine_source_failed(engine, 0, STR("no route to host"));
	ck_assert_int_eq(engine->sources[0].state, SOURCE_UNREADABLE);
	engine_source_readable(engine, 0);
	run_load();
	ck_assert_int_eq(engine->sources[0].state, SOURCE_BAD);
	ck_assert_uint_eq(engine->sources[0].error_total, errors);
	learnt_free(engine->names.learnt);
}
END_TEST

/* That run would not find again what was wrong. */
START_TEST(source_that_is_readable_again_is_loaded_after_a_compilation)
{
	engine->load.behind = true;
	engine_load_recompile(engine, monotime_now());
	engine_source_failed(engine, 0, STR("no route to host"));
	ck_assert(!engine->load.dirty);
	engine_source_readable(engine, 0);
	ck_assert(engine->load.dirty);
	engine->stopping = true; /* nobody sends it */
	run_load();
}
END_TEST

/* The model already says what could not be put in force. */
START_TEST(pods_that_come_while_a_change_is_not_in_force_take_a_load)
{
	engine->apply.ahead = true;
	engine_edits_announced(engine);
	ck_assert(!engine_edits_take(engine));
	ck_assert(engine->edits.announced && !engine->load.dirty);
	engine->load.behind = true;
	engine_apply_step(engine);
	ck_assert(!engine->edits.announced && engine->load.dirty);
}
END_TEST

START_TEST(what_cannot_be_compiled_anew_is_loaded_again)
{
	static const char text[] = WORKLOAD("first", "n1",
	    "10.1.0.1") "---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
			"metadata: {name: two, namespace: /acme}\n"
			"spec: {allow: {ingress: [{ports: [1/tcp]}, {ports: "
			"[2/tcp]}]}}\n";
	struct rule *rules;

	engine->names.learnt = learnt_new(1);
	engine->sources[0].bundle_fd = seal("/a/first.yaml", text);
	put_in_force(text);
	rules = live_model(engine->apply.current->real.live)
		    ->policies[0]
		    ->allow[DIR_INGRESS]
		    .rules;
	rules[1].number = rules[0].number; /* no program has both */
	engine_load_recompile(engine, monotime_now());
	run_load();
	ck_assert_uint_eq(engine->load.failures, 1);
	ck_assert_uint_eq(engine->load.loads, 1);
	ck_assert(!engine->load.behind);
	ck_assert_ptr_nonnull(engine->apply.candidate);
	learnt_free(engine->names.learnt);
}
END_TEST

/* The rest is in force; that it is watched no more is told, as by a load. */
START_TEST(program_too_large_to_be_watched_is_told)
{
	static const char text[] = WORKLOAD("first", "n1", "10.1.0.1") WATCHED
	    "---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
	    "metadata: {name: two, namespace: /acme}\n"
	    "spec: {enforcement: audit, allow: {ingress: [{ports: [1/tcp]}, {ports: "
	    "[2/tcp]}]}}\n";
	struct program_recompiled r = {.midstream = MIDSTREAM_RESET};
	const struct model *m;

	put_in_force(text);
	m = live_model(engine->apply.current->shadow.live);
	for (size_t i = 0; i < m->policy_count; i++) {
		if (str_is(m->policies[i]->name, "two")) {
			struct rule *rules = m->policies[i]->allow[DIR_INGRESS].rules;

			rules[1].number = rules[0].number; /* no program has both */
		}
	}
	program_recompile(engine->apply.current, &r);
	ck_assert(r.ok && r.has_shadow && r.shadow == NULL);
	ck_assert(r.told.first != NULL && r.told.first->next == NULL);
	ck_assert_str_eq(r.told.first->code, "not-watched");
	program_recompiled_free(&r);
}
END_TEST

#define FORMER                                                                         \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"                           \
	"metadata: {name: one, namespace: /acme}\n"                                    \
	"spec: {allow: {ingress: [{ports: [1/tcp]}]}}\n"

/* What could not be compiled is in the model, and what it said before is in force. */
START_TEST(what_is_set_aside_says_what_is_in_force)
{
	const struct model *m;

	put_in_force(_i == 0 ? FORMER : WORKLOAD("first", "n1", "10.1.0.1"));
	engine->apply.current->real.state->c->failed = true; /* takes compiling anew */
	edit(_i == 0 ? "/a/first.yaml" : "/a/new.yaml",
	    "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
	    "metadata: {name: two, namespace: /acme}\n"
	    "spec: {allow: {ingress: [{ports: [2/tcp]}]}}\n");
	ck_assert(engine_edits_take(engine));
	run_load();
	engine_commit_drop_recompiled(&engine->apply); /* as if that had failed */
	engine->load.unfit = true;
	engine->names.learnt = learnt_new(1);
	engine_source_arrived(
	    engine, 0, seal(_i == 0 ? "/a/first.yaml" : "/a/new.yaml", "kind: [\n"));
	run_load();
	ck_assert_ptr_nonnull(engine->apply.candidate);
	m = engine->apply.candidate->model;
	ck_assert_uint_eq(m->policy_count, _i == 0 ? 1 : 0);
	ck_assert(_i != 0 || str_is(m->policies[0]->name, "one"));
	learnt_free(engine->names.learnt);
}
END_TEST

/* ---- one document's excess ---- */

#define OTHER                                                                          \
	WORKLOAD("second", "n1", "10.1.0.2")                                           \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"                      \
	"metadata: {name: other, namespace: /acme}\n"                                  \
	"spec: {default: {ingress: [{action: deny, ports: [81/tcp]}]}}\n"

#define BIG_WORKLOAD(name)                                                             \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"                         \
	"metadata: {name: " name ", namespace: /big}\nspec: {node: n1, ips: ["

/* 402 addresses of two workloads, and a rule with some wide ranges of ports to
 * deny: 100 of them are more than a set may have. */
static void
add_ranges(struct buf *text, unsigned ranges)
{
	static const char *const heads[] = {BIG_WORKLOAD("w0"), BIG_WORKLOAD("w1")};

	for (unsigned i = 0; i < 402; i++)
		buf_printf(text, "%s10.2.%u.%u%s", i % 201 == 0 ? heads[i / 201] : ", ",
		    i / 201, i % 201, i % 201 == 200 ? "]}\n---\n" : "");
	buf_add_cstr(text, "apiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"
			   "metadata: {name: big, namespace: /big}\n"
			   "spec: {default: {ingress: [{action: deny, ports: [");
	for (unsigned i = 0; i < ranges; i++)
		buf_printf(
		    text, "%s%u-%u/udp", i > 0 ? ", " : "", 1 + 100 * i, 50 + 100 * i);
	buf_add_cstr(text, "]}]}}\n");
}

/* To TCP port 80 of a workload here, as the program says that comes next. */
static bool
is_open(const char *address)
{
	struct table_packet packet = {
	    .proto = PROTO_TCP, .dport = 80, .hook = HOOK_FORWARD};
	const struct program *p = engine->apply.candidate != NULL
				      ? engine->apply.candidate
				      : engine->apply.current;

	ck_assert(ip_parse(STR("10.9.0.1"), &packet.saddr));
	ck_assert(ip_parse(str_from(address), &packet.daddr));
	return program_walk(p, &packet).accept;
}

/* What is on its way into the kernel is there. */
static void
arrive(void)
{
	struct engine_apply *a = &engine->apply;

	if (a->recompiled != NULL)
		program_take(a->current, a->recompiled);
	free(a->recompiled);
	a->recompiled = NULL;
	a->ahead = a->changed = false;
	a->pending = NULL;
	program_sweep(a->current);
}

/* By an edit, or by a load of all there is. */
START_TEST(policy_that_makes_the_program_too_large_is_set_aside)
{
	const struct engine_source *s = &engine->sources[0];
	struct buf big = {0}, small = {0}, told = {0};

	engine->names.learnt = learnt_new(1);
	add_ranges(&big, 100);
	add_ranges(&small, 1);
	if (_i == 0) {
		edit("/a/big.yaml", big.data);
		edit("/a/other.yaml", OTHER);
		ck_assert(engine_edits_take(engine));
	} else {
		buf_add_cstr(&big, "---\n" OTHER);
		engine_source_arrived(engine, 0, seal("/a/big.yaml", big.data));
	}
	run_load();
	ck_assert(!engine->load.behind);
	ck_assert_int_eq(s->state, SOURCE_BAD);
	ck_assert_uint_eq(s->error_total, 1);
	ck_assert_ptr_nonnull(strstr(s->errors[0], "/a/big.yaml:"));
	ck_assert_ptr_nonnull(strstr(s->errors[0], "[program-too-large]"));
	if (_i == 0)
		arrive();
	ck_assert(is_open("10.1.0.2"));
	ck_assert(!is_open("10.2.0.7"));
	ck_assert(!is_open("10.2.1.200"));
	control_answer_status(engine, &told);
	ck_assert_ptr_nonnull(strstr(told.data, "\"closed\":true"));
	ck_assert(engine_asides_wait(engine));
	if (_i == 0) {
		engine->load.look_own.ns = 0; /* enough time has passed */
		edit("/a/big.yaml", small.data);
		ck_assert(engine_edits_take(engine));
		run_load();
		arrive();
		ck_assert_int_eq(s->state, SOURCE_GOOD);
		ck_assert(is_open("10.2.0.7"));
	}
	learnt_free(engine->names.learnt);
	buf_free(&big);
	buf_free(&small);
	buf_free(&told);
}
END_TEST

#define BIG_OBJECT(kind, more)                                                         \
	"---\n{apiVersion: ringfence.dev/v1alpha1, kind: " kind                        \
	", metadata: {name: o%u, namespace: /big" more

/* 40,000 ranges, 20 of each, are of 2,000 policies, of which half are told, as many as a list
 * keeps; the others still have too many. */
START_TEST(policies_that_make_the_program_too_large_are_set_aside_however_many)
{
	struct buf text = {0};

	engine->names.learnt = learnt_new(1);
	for (unsigned i = 0; i < 3010; i++) {
		buf_printf(&text,
		    BIG_OBJECT("Workload", ", labels: {a: a%u}}, spec: {node: n1, ips: "
					   "[10.2.%u.%u]}}\n"),
		    i, i, i / 250, i % 250);
		buf_printf(&text,
		    BIG_OBJECT("Policy",
			"}, spec: {workloads: {matchLabels: {a: a%u}}, "
			"default: {ingress: [{action: deny, ports: ["),
		    i, i);
		for (unsigned j = 1; j <= 20; j++)
			buf_printf(&text, "%u00-%u50/udp, ", j, j);
		buf_add_cstr(&text, "]}]}}}\n");
	}
	buf_add_cstr(&text, "---\n" OTHER);
	engine_source_arrived(engine, 0, seal("/a/big.yaml", text.data));
	run_load();
	ck_assert(!engine->load.behind);
	ck_assert_int_eq(engine->sources[0].state, SOURCE_BAD);
	ck_assert(is_open("10.1.0.2"));
	ck_assert(!is_open("10.2.0.7"));
	learnt_free(engine->names.learnt);
	buf_free(&text);
}
END_TEST

#define ALLOWING(name, namespace, port)                                                \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"                      \
	"metadata: {name: " name                                                       \
	", namespace: " namespace "}\n"                                                \
				  "spec: {allow: {ingress: [{ports: [" port            \
				  "/tcp]}]}}\n"

/* Says that the program is too large by some policy, and sets that aside. */
static bool
sets_aside(const char *name, const char *and_name)
{
	struct program *p = engine->apply.current;
	const struct model *m = live_model(p->real.live);
	struct diag_list diags;

	diag_list_init(&diags, p->arena);
	for (size_t i = 0; i < m->policy_count; i++) {
		if (str_is(m->policies[i]->name, name) ||
		    str_is(m->policies[i]->name, and_name))
			diag_say(&diags, CODE_PROGRAM_TOO_LARGE, m->policies[i]->loc,
			    "too large");
	}
	return program_set_aside(p, &diags, diags.first);
}

/* Their names, in order. */
static const char *
aside(void)
{
	const struct model *m = live_model(engine->apply.current->real.live);
	const char *names = "";

	for (size_t i = 0; i < m->policy_count; i++) {
		if (m->policies[i]->said != NULL)
			names = arena_printf(engine->apply.current->arena, "%s %.*s",
			    names, STR_ARG(m->policies[i]->name));
	}
	return names;
}

START_TEST(tenant_who_has_too_much_again_is_set_aside_whole)
{
	put_in_force(ALLOWING("a1", "/a", "1") ALLOWING("a2", "/a", "2") ALLOWING(
	    "a3", "/a/deep", "3") ALLOWING("b", "/b", "4") ALLOWING("top", "/", "5"));
	ck_assert(!sets_aside("top", ""));
	ck_assert_str_eq(aside(), "");
	ck_assert(sets_aside("top", "a1"));
	ck_assert_str_eq(aside(), " a1");
	ck_assert(sets_aside("b", "top"));
	ck_assert_str_eq(aside(), " a1 b");
	ck_assert(sets_aside("a1", ""));
	ck_assert_str_eq(aside(), " a1 a2 a3 b");
	ck_assert(!sets_aside("a1", "top"));
	program_restore_asides(engine->apply.current);
	ck_assert(sets_aside("a2", ""));
	ck_assert_str_eq(aside(), " a2");
}
END_TEST

/* A policy of that name has come, by an edit; whether all is to be compiled for it. */
static bool
sees(const char *name, unsigned errors)
{
	struct program *p = engine->apply.current;
	const struct model *m = live_model(p->real.live);
	struct compile_change change = {.kind = CHANGE_POLICY};
	struct diag_list diags;
	bool anew;

	diag_list_init(&diags, p->arena);
	for (size_t i = 0; i < m->policy_count; i++) {
		if (str_is(m->policies[i]->name, name))
			change.policy_after = m->policies[i];
	}
	anew = program_see_changes(p, &change, 1, &diags);
	ck_assert_uint_eq(diags.errors, errors);
	return anew;
}

/* So that he cannot have everybody wait for that as often as he likes. */
START_TEST(policy_of_who_has_too_much_waits_its_time)
{
	struct program *p;

	put_in_force(ALLOWING("a1", "/a", "1") ALLOWING("a2", "/a", "2")
		ALLOWING("b", "/b", "4"));
	p = engine->apply.current;
	engine->load.began = monotime_now();
	ck_assert(!sees("a2", 0));
	ck_assert(sets_aside("a1", ""));
	ck_assert(sees("a2", 0));
	ck_assert(!sees("b", 0));
	ck_assert_int_eq(p->asides_due, DUE_OTHERS);
	p->asides_wait = true;
	ck_assert(!sees("b", 0));
	ck_assert(!sees("a2", 1));
	ck_assert(!sees("b", 0));
	ck_assert_int_eq(p->asides_due, DUE_OWN);
	ck_assert_str_eq(aside(), " a1 a2");
	engine->load.look_own.ns = UINT64_MAX;
	ck_assert(!engine_asides_are_due(engine));
	engine->load.look_own.ns = 0;
	ck_assert(engine_asides_are_due(engine));
	p->asides_due = DUE_OTHERS;
	engine->load.look_others.ns = UINT64_MAX;
	ck_assert(!engine_asides_are_due(engine));
	engine->load.began = monotime_now();
	program_restore_asides(p);
	engine_asides_found(engine, p);
	ck_assert_uint_eq(engine->load.look_others.ns, 0);
	ck_assert(!engine_asides_are_due(engine));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("engine");
	TCase *tc = tcase_create("engine");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_in_force_is_told_at_once);
	tcase_add_test(tc, edit_that_came_before_is_waited_for);
	tcase_add_test(tc, workload_that_only_the_model_has_is_waited_for);
	tcase_add_test(tc, explanation_says_what_is_not_in_force);
	tcase_add_loop_test(tc, who_went_is_gone_whatever_is_compiled, 0, 2);
	tcase_add_test(tc, nobody_is_gone_where_no_interface_says_so);
	tcase_add_test(tc, edits_that_are_all_refused_begin_nothing);
	tcase_add_test(
	    tc, load_that_waits_for_one_source_does_not_ask_again_for_another);
	tcase_add_test(tc, load_that_could_not_be_started_is_tried_again);
	tcase_add_test(tc, record_that_went_to_another_audit_role_is_not_waited_for);
	tcase_add_test(tc, kernel_role_that_does_not_answer_is_an_illness);
	tcase_add_loop_test(
	    tc, look_at_rules_that_nobody_else_can_change_can_wait, 0, 3);
	tcase_add_test(tc, load_that_does_not_end_is_an_illness);
	tcase_add_test(tc, source_that_is_readable_again_says_what_is_wrong_with_it);
	tcase_add_test(tc, source_that_is_readable_again_is_loaded_after_a_compilation);
	tcase_add_test(tc, pods_that_come_while_a_change_is_not_in_force_take_a_load);
	tcase_add_test(tc, what_cannot_be_compiled_anew_is_loaded_again);
	tcase_add_test(tc, program_too_large_to_be_watched_is_told);
	tcase_add_loop_test(
	    tc, policy_that_makes_the_program_too_large_is_set_aside, 0, 2);
	tcase_add_test(
	    tc, policies_that_make_the_program_too_large_are_set_aside_however_many);
	tcase_add_loop_test(tc, what_is_set_aside_says_what_is_in_force, 0, 2);
	tcase_add_test(tc, tenant_who_has_too_much_again_is_set_aside_whole);
	tcase_add_test(tc, policy_of_who_has_too_much_waits_its_time);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
