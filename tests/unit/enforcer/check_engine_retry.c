/*
 * The engine and a kernel role that refuses: what it tries again, and when. Nothing here
 * waits for time to pass.
 */
#include <check.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "enforcer/engine/engine_state.h"
#include "enforcer/wire/blob.h"
#include "policy-lang/compile/compile_state.h"
#include "tests/unit/enforcer/sealed.h"

#define LONG_NS UINT64_C(600000000000)

#define WORKLOAD(name, address)                                                        \
	"apiVersion: ringfence.dev/v1alpha1\nkind: Workload\n"                         \
	"metadata: {name: " name ", namespace: /acme}\n"                               \
	"spec: {node: n1, ips: [\"" address "\"]}\n"
#define POLICY                                                                         \
	"---\napiVersion: ringfence.dev/v1alpha1\nkind: Policy\n"                      \
	"metadata: {name: p, namespace: /acme}\n"                                      \
	"spec: {allow: {ingress: [{ports: [80/tcp]}]}}\n"

static struct settings_source source = {STR("/a"), STR(""), false};
static struct engine *engine;
static int other; /* end of the link, which nobody reads */

static void
connect_kernel(void)
{
	int fds[2];

	ck_assert_int_eq(
	    socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds),
	    0);
	other = fds[1];
	engine_kernel_connect(engine, fds[0]);
}

/* An engine with a program, and with a kernel role that has said nothing yet. */
static void
setup(void)
{
	engine = xcalloc(1, sizeof(*engine));
	engine->settings = (struct engine_settings){.node = STR("n1"),
	    .flow_group = 100,
	    .sources = &source,
	    .source_count = 1};
	ck_assert_int_eq(uv_loop_init(&engine->loop), 0);
	engine_load_init(engine);
	engine_apply_init(engine);
	engine_audit_init(engine);
	engine_cut_init(engine);
	engine_gone_init(engine);
	engine_adopt_init(engine);
	engine_kernel_init(engine);
	engine->apply.current = program_make_skeleton(&engine->settings);
	ck_assert(engine->apply.current->ok);
	engine->apply.suspect = false;
	connect_kernel();
}

static void
teardown(void)
{
	engine->stopping = true;
	engine_kernel_fini(engine);
	(void)close(other);
	engine_audit_fini(engine);
	engine_cut_fini(engine);
	engine_gone_fini(engine);
	engine_adopt_fini(engine);
	engine_apply_disconnected(engine);
	(void)uv_run(&engine->loop, UV_RUN_DEFAULT); /* a run of the loader */
	engine_load_fini(engine);
	engine_edits_fini(engine);
	engine_apply_fini(engine);
	(void)uv_run(&engine->loop, UV_RUN_DEFAULT);
	ck_assert_int_eq(uv_loop_close(&engine->loop), 0);
	free(engine);
}

static bool
is_asked(void)
{
	return engine->kernel.questions != NULL;
}

/* The kernel role's answer to what it was asked; takes its body. */
static void
answer(uint32_t type, struct buf *body)
{
	struct kernel_question **at = &engine->kernel.questions, *q;
	struct proc_msg msg = {
	    .type = type, .data = (const uint8_t *)body->data, .len = body->len};

	while (*at != NULL && (*at)->answer_type != type)
		at = &(*at)->next;
	ck_assert_ptr_nonnull(*at);
	q = *at;
	*at = q->next;
	q->answered(engine, &msg, q->arg);
	free(q);
	buf_free(body);
}

static void
answer_applied(int code)
{
	struct buf body = {0};

	proc_put_u32(&body, (uint32_t)code);
	proc_put_u32(&body, 7); /* the generation */
	proc_put_u32(&body, UINT32_MAX);
	proc_put_u32(&body, 0);
	proc_put_u32(&body, 0);
	proc_put_str(&body, STR("as the test has it"));
	answer(MSG_APPLIED, &body);
}

START_TEST(what_is_refused_is_tried_again_ever_later)
{
	static const unsigned waits_ms[] = {250, 500, 1000, 2000};

	engine_apply_need_heal(engine, false, "the test");
	engine_apply_step(engine);
	for (size_t i = 0; i < ARRAY_LEN(waits_ms); i++) {
		const uint64_t before = monotime_now().ns;

		answer_applied(ERR_SYSTEM);
		ck_assert_uint_eq(engine->apply.retry_ms, waits_ms[i]);
		ck_assert_uint_ge(engine->apply.commit_after.ns,
		    before + waits_ms[i] * UINT64_C(1000000));
		ck_assert(!is_asked());
		engine->apply.commit_after.ns += LONG_NS;
		engine_apply_step(engine);
		ck_assert(!is_asked());
		engine->apply.commit_after.ns = before; /* it is time */
		engine_apply_step(engine);
		ck_assert(is_asked());
	}
	/* What is new is not kept waiting for what is not. */
	answer_applied(ERR_SYSTEM);
	engine->apply.commit_after.ns += LONG_NS;
	engine_apply_offer(engine, program_make_skeleton(&engine->settings));
	ck_assert(is_asked());
}
END_TEST

/* The program that was sent; the engine remembers it as pending until it is answered. */
static bool
sends(const struct program *p)
{
	return is_asked() && engine->apply.pending == p;
}

START_TEST(refused_program_keeps_nobody_from_restoring_the_one_in_force)
{
	struct program *next = program_make_skeleton(&engine->settings);

	engine_apply_offer(engine, next);
	ck_assert(sends(next));
	answer_applied(ERR_SYSTEM);
	ck_assert(!is_asked());
	engine->apply.commit_after.ns += LONG_NS;
	/* Meanwhile others delete the table. */
	engine_apply_need_heal(engine, true, "the test");
	engine_apply_step(engine);
	ck_assert(sends(engine->apply.current));
	/* The kernel takes neither: by turns, each later than the one before. */
	answer_applied(ERR_SYSTEM);
	ck_assert(!is_asked());
	engine->apply.commit_after.ns = 0; /* it is time */
	engine_apply_step(engine);
	ck_assert(sends(next));
	answer_applied(ERR_SYSTEM);
	ck_assert(sends(engine->apply.current));
	answer_applied(0);
	ck_assert(!engine->apply.heal);
	ck_assert(!is_asked());
	ck_assert_ptr_ne(engine->apply.current, next);
	engine->apply.commit_after.ns = 0;
	engine_apply_step(engine);
	ck_assert_ptr_eq(engine->apply.current, next); /* nothing in it is to be sent */
}
END_TEST

/* What could not be put in force (_i) stays refused. */
START_TEST(refusal_of_what_is_restored_is_over_with_it)
{
	if (_i != 0) {
		engine_apply_offer(engine, program_make_skeleton(&engine->settings));
		answer_applied(ERR_SYSTEM);
	}
	engine_apply_need_heal(engine, true, "the test");
	engine_apply_step(engine);
	if (_i == 0) {
		answer_applied(ERR_SYSTEM);
		engine->apply.commit_after.ns = 0; /* it is time */
		engine_apply_step(engine);
	}
	ck_assert(engine->apply.refusal[0] != '\0');
	ck_assert(sends(engine->apply.current));
	engine->apply.commit_after.ns += LONG_NS;
	answer_applied(0);
	ck_assert((engine->apply.refusal[0] != '\0') == (_i != 0));
}
END_TEST

/* The answer to a look: there is no table, or it could not be read. */
static void
answer_not_observed(int code)
{
	static const uint8_t digest[32];
	const struct buf nothing = {0};
	struct err err = ERR_INIT;
	struct buf body = {0};
	int fd = -1;

	proc_put_u32(&body, (uint32_t)code);
	proc_put_u32(&body, 7); /* the generation */
	buf_add(&body, digest, sizeof(digest));
	ck_assert_int_eq(blob_put(&body, buf_str(&nothing), &fd, &err), 0);
	ck_assert_int_eq(fd, -1);
	proc_put_str(&body, STR("as the test has it"));
	answer(MSG_OBSERVED, &body);
}

/* However soon it is known that it cannot be read. */
START_TEST(table_that_cannot_be_read_is_not_looked_at_all_the_time)
{
	const uint64_t before = monotime_now().ns;

	engine->apply.suspect = true;
	engine_apply_step(engine);
	answer_not_observed(ERR_SYSTEM);
	ck_assert_uint_ge(engine->apply.look_after.ns, before + UINT64_C(400000000));
	ck_assert(!is_asked());
	engine->apply.look_after.ns = before; /* it is time */
	engine_apply_step(engine);
	ck_assert(is_asked());
}
END_TEST

START_TEST(what_others_do_elsewhere_changes_no_table_of_a_program_under_way)
{
	struct engine_apply *a = &engine->apply;

	a->phase = APPLY_SENT; /* nothing begins */
	engine->kernel.owned = a->ahead = _i == 0;
	engine_apply_foreign(engine, a->generation + 1);
	ck_assert(a->glance == (_i == 0) && a->suspect == (_i != 0));
	a->phase = APPLY_IDLE;
	a->glance = a->suspect = false;
	a->verify = true; /* once current is what the kernel has */
	engine_apply_step(engine);
	ck_assert(is_asked() == (_i != 0));
}
END_TEST

/* ---- edits ---- */

/* What the kernel has, with one workload and its policy. */
static void
put_in_force(void)
{
	int fd = seal("/a/first.yaml", WORKLOAD("first", "10.1.0.1") POLICY);

	program_free(engine->apply.current);
	engine->apply.current = program_make(&engine->settings, &fd, 1, NULL);
	(void)close(fd);
	ck_assert(engine->apply.current->ok);
	engine->apply.table_known = true;
	engine->apply.generation = 7;    /* as all answers have it */
	engine->apply.ready_told = true; /* there is no parent */
	engine->cut.running = true;      /* nobody asks for connections */
}

/* Another one comes; `compiles`: which takes compiling anew. */
static void
edit(bool compiles)
{
	const struct queued_edit queued = {
	    .bundle_fd = seal("/a/second.yaml", WORKLOAD("second", "10.1.0.2")),
	    .arena = arena_new_sized(1024)};

	engine->apply.current->real.state->c->failed = compiles;
	engine_source_edited(engine, &queued);
}

static struct table_content
content_now(struct arena *arena)
{
	struct table_content content;

	program_content(
	    engine->apply.current, arena, engine->apply.midstream, &content);
	return content;
}

/* Whether the table is made anew, with the content. */
static bool
makes(struct arena *arena, const struct table_content *content)
{
	struct table_content to = *content;
	struct buf sent = {0}, expected = {0};
	struct plan_stages stages;
	bool same;

	if (!is_asked() || engine->apply.phase != APPLY_SENT)
		return false;
	to.settings = engine->apply.current->options.settings;
	plan_at_once(arena, NULL, &to, &stages);
	op_encode(&expected, &stages.batches[0]);
	op_encode(&sent, &engine->apply.stages.batches[0]);
	same = str_eq(buf_str(&sent), buf_str(&expected));
	buf_free(&sent);
	buf_free(&expected);
	return same;
}

/* The kernel has what it should, as it was made last. */
static void
answer_observed(struct arena *arena, const struct table_content *content)
{
	struct op_batch batch = {.ops = ARENA_ARRAY(arena,
				     SET_COUNT + content->rule_chain_count, struct op)};
	static const uint8_t digest[32];
	struct err err = ERR_INIT;
	struct buf body = {0}, data = {0};
	int fd = -1;

	for (size_t set = 0; set < SET_COUNT; set++) {
		if (content->element_count[set] != 0)
			batch.ops[batch.count++] = (struct op){.kind = OP_ADD,
			    .set = (enum table_set_id)set,
			    .elements = content->elements[set],
			    .element_count = content->element_count[set]};
	}
	for (size_t i = 0; i < content->rule_chain_count; i++)
		batch.ops[batch.count++] = (struct op){
		    .kind = OP_CHAIN_DELETE, .chain = &content->rule_chains[i]};
	op_encode(&data, &batch);
	proc_put_u32(&body, 0);
	proc_put_u32(&body, 7); /* the generation */
	buf_add(&body, digest, sizeof(digest));
	ck_assert_int_eq(blob_put(&body, buf_str(&data), &fd, &err), 0);
	ck_assert_int_eq(fd, -1); /* it is short */
	buf_free(&data);
	proc_put_str(&body, STR(""));
	answer(MSG_OBSERVED, &body);
}

/* The edit is in the engine's model by then, and may never be in the kernel. */
START_TEST(refused_edit_keeps_nobody_from_restoring_what_was_in_force)
{
	struct arena *arena = arena_new();
	struct table_content before, after;

	put_in_force();
	before = content_now(arena);
	edit(false);
	after = content_now(arena);
	ck_assert_uint_ne(
	    before.element_count[SET_LOCAL4_IN], after.element_count[SET_LOCAL4_IN]);
	ck_assert(is_asked());
	answer_applied(ERR_SYSTEM);
	ck_assert(makes(arena, &after)); /* it could not be made alone */
	answer_applied(ERR_SYSTEM);
	ck_assert(!is_asked());
	engine->apply.commit_after.ns += LONG_NS;
	/* Others look as if they did; what was in force is there. */
	engine->apply.suspect = true;
	engine_apply_step(engine);
	answer_observed(arena, &before);
	ck_assert(!is_asked());
	/* They delete the table, and there is no room for records. */
	engine->settings.audit_required = true;
	engine_apply_need_heal(engine, true, "the test");
	engine_apply_step(engine);
	ck_assert(makes(arena, &before));
	engine->settings.audit_required = false;
	/* The kernel takes neither: by turns, each pair later than the one before. */
	answer_applied(ERR_SYSTEM);
	ck_assert(!is_asked());
	engine->apply.commit_after.ns = 0; /* it is time */
	engine_apply_step(engine);
	ck_assert(makes(arena, &after));
	answer_applied(ERR_SYSTEM);
	ck_assert(makes(arena, &before));
	engine->apply.commit_after.ns += LONG_NS;
	engine->apply.look_after.ns = 0; /* however long the first look took */
	answer_applied(0);
	ck_assert_uint_eq(engine->apply.heals, 1);
	answer_observed(arena, &before); /* by which its rules are known from then on */
	ck_assert(engine->apply.digest_known);
	ck_assert(!is_asked() && !engine_apply_is_in_force(engine));
	engine->apply.commit_after.ns = 0;
	engine_apply_step(engine);
	ck_assert(makes(arena, &after));
	answer_applied(0);
	ck_assert(!engine->apply.heal && !engine->apply.ahead);
	arena_free(arena);
}
END_TEST

/* It is lost while a program that is to mend it waits for its record. */
START_TEST(program_without_a_record_keeps_nobody_from_restoring_what_was_in_force)
{
	int fd = seal("/a/first.yaml", WORKLOAD("first", "10.1.0.1") POLICY);
	struct arena *arena = arena_new();
	struct table_content before;

	put_in_force();
	before = content_now(arena);
	edit(false);
	answer_applied(ERR_SYSTEM);
	answer_applied(ERR_SYSTEM); /* all of it */
	engine->settings.audit_required = true;
	engine_apply_need_heal(engine, true, "the test");
	engine->audit.writable = true; /* as far as is known */
	engine_apply_offer(engine, program_make(&engine->settings, &fd, 1, NULL));
	(void)close(fd);
	ck_assert(!is_asked());
	engine->audit.writable = false;
	engine_apply_step(engine);
	ck_assert(makes(arena, &before));
	arena_free(arena);
}
END_TEST

/* What mends it would wait for what is never in force; a refused program (_i) likewise. */
START_TEST(edit_after_what_the_kernel_refuses_takes_a_load)
{
	const struct queued_edit mends = {
	    .bundle_fd = seal("/a/third.yaml", WORKLOAD("third", "10.1.0.3")),
	    .arena = arena_new_sized(1024)};

	put_in_force();
	engine->sources[0].bundle_fd = -1;
	engine->sources[0].wanted = true; /* it does not come */
	if (_i == 0)
		edit(false);
	else
		engine_apply_offer(engine, program_make_skeleton(&engine->settings));
	answer_applied(ERR_SYSTEM);
	answer_applied(ERR_SYSTEM); /* all of it */
	ck_assert(!is_asked() && !engine->load.dirty);
	engine_source_edited(engine, &mends);
	ck_assert(engine->load.dirty && engine->edits.count == 0);
}
END_TEST

/* Whether the kernel role has been told which ways are in force, since this was asked last. */
static bool
hears_ways(void)
{
	struct proc_channel ch;
	struct proc_msg msg;
	struct err err = ERR_INIT;
	bool heard = false;

	proc_channel_init(&ch, dup(other));
	while (proc_recv(&ch, &msg, &err) == 1) {
		heard |= msg.type == MSG_WAYS && msg.len != 0 && msg.data[0] != 0;
		proc_msg_close_fds(&msg);
	}
	proc_channel_close(&ch);
	return heard;
}

START_TEST(program_after_a_refused_change_tells_its_ways)
{
	put_in_force();
	edit(false);
	answer_applied(ERR_SYSTEM);
	answer_applied(ERR_SYSTEM); /* all of it */
	(void)hears_ways();
	engine_apply_offer(engine, program_make_skeleton(&engine->settings));
	answer_applied(0);
	ck_assert(hears_ways());
}
END_TEST

/* An answer that was lost: the table may be either, and the newer is what is to be. */
START_TEST(edit_that_may_be_in_force_is_not_undone)
{
	struct arena *arena = arena_new();
	struct kernel_question *q;
	struct table_content after;

	put_in_force();
	edit(false);
	after = content_now(arena);
	q = engine->kernel.questions;
	engine->kernel.questions = NULL;
	q->answered(engine, NULL, q->arg);
	free(q);
	engine_apply_need_heal(engine, true, "the test");
	engine_apply_step(engine);
	ck_assert(makes(arena, &after));
	answer_applied(ERR_SYSTEM);
	ck_assert(!is_asked());
	arena_free(arena);
}
END_TEST

/* The loop goes on while it is compiled; what comes of that goes on from what was restored, even
 * where it was planned for what is another by then (_i). */
START_TEST(table_lost_during_a_compilation_is_what_it_was)
{
	struct arena *arena = arena_new();
	struct table_content before;

	put_in_force();
	before = content_now(arena);
	edit(true);
	ck_assert(engine->load.running && !is_asked());
	engine_apply_need_heal(engine, true, "the test");
	engine_apply_step(engine);
	ck_assert(makes(arena, &before));
	answer_applied(0);
	ck_assert(engine->apply.table_known && !engine->apply.heal);
	while (engine->load.running)
		(void)uv_run(&engine->loop, UV_RUN_ONCE);
	engine->apply.recompiled->uses ^= _i == 0 ? 0 : 1;
	answer_observed(arena, &before);
	ck_assert_int_eq(engine->apply.phase, APPLY_SENT);
	ck_assert(!engine->apply.whole); /* or the kernel would forget what it counts */
	/* Others were there: once it is seen what they left, the same is sent again. */
	answer_applied(ERR_STALE);
	engine->apply.look_after.ns = 0;
	engine_apply_step(engine);
	answer_observed(arena, &before);
	ck_assert_int_eq(engine->apply.phase, APPLY_SENT);
	ck_assert(!engine->apply.whole);
	answer_applied(0);
	ck_assert(!engine->apply.ahead);
	arena_free(arena);
}
END_TEST

/* ---- connections ---- */

/* What the kernel lists: one to each of these ports. */
static void
answer_list(const uint16_t *ports, size_t count)
{
	struct connection list[2] = {{.proto = PROTO_TCP}};
	struct buf body = {0};

	ck_assert(ip_parse(STR("192.0.2.1"), &list[0].judged.src));
	ck_assert(ip_parse(STR("10.1.0.1"), &list[0].judged.dst));
	list[0].src = list[0].judged.src;
	list[0].dst = list[0].judged.dst;
	list[0].judged.proto = list[0].proto;
	for (size_t i = 0; i < count; i++) {
		list[i] = list[0];
		list[i].dst_port = list[i].judged.dst_port = ports[i];
	}
	proc_put_u32(&body, 0);
	proc_put_u8(&body, 0); /* there are more */
	connections_put(&body, list, count);
	proc_put_str(&body, STR(""));
	answer(MSG_CONNECTION_LIST, &body);
}

/* Connections are asked for, and answered once another policy is on its way. */
static void
list_during(const char *policy)
{
	static const uint16_t ports[] = {80, 81};
	struct queued_edit queued = {.arena = arena_new_sized(1024)};
	struct buf text = {0};

	buf_add_cstr(&text, WORKLOAD("first", "10.1.0.1"));
	buf_add_cstr(&text, policy);
	queued.bundle_fd = seal("/a/first.yaml", text.data);
	buf_free(&text);
	put_in_force();
	engine->cut.running = false;
	engine->names.learnt = learnt_new(1);
	engine->names.used_arena = arena_new();
	engine_cut_want(engine, true);
	while (!is_asked())
		(void)uv_run(&engine->loop, UV_RUN_NOWAIT);
	engine_source_edited(engine, &queued);
	ck_assert(engine->apply.changed && engine->apply.phase == APPLY_SENT);
	answer_list(ports, 2);
	ck_assert(engine->cut.held);
}

static void
end_list(void)
{
	map_fini(&engine->names.used);
	arena_free(engine->names.used_arena);
	learnt_free(engine->names.learnt);
}

/* It would let in others, and no longer those that are let in. The kernel takes it, or not (_i),
 * even as a whole. */
START_TEST(change_on_its_way_cuts_nothing_that_is_in_force)
{
	const struct engine_cut *c = &engine->cut;

	list_during("---\napiVersion: ringfence.dev/v1alpha1\n"
		    "kind: Policy\nmetadata: {name: p, namespace: /acme}\n"
		    "spec: {allow: {ingress: [{ports: [81/tcp]}]}}\n");
	answer_applied(_i == 0 ? 0 : ERR_SYSTEM);
	ck_assert(!c->held);
	ck_assert_uint_eq(c->ending_count, 1);
	ck_assert_uint_eq(c->ending[0].judged.dst_port, _i == 0 ? 80 : 81);
	ck_assert(engine->apply.ahead == (_i != 0));
	end_list();
}
END_TEST

/* Nobody knows what is in force; the next kernel role has no rest of the list. */
START_TEST(list_ends_with_the_kernel_role)
{
	list_during("");
	(void)close(other);
	connect_kernel();
	ck_assert(!engine->cut.held && !engine->cut.running && engine->cut.wanted);
	ck_assert_uint_eq(engine->cut.cut, 0);
	end_list();
}
END_TEST

/* The rule by which it is denied is not in the model any more. */
START_TEST(connection_is_kept_for_the_end_that_denied_it)
{
	struct established_exception keep = {.path = STR("/acme"), .keep = true};

	engine->settings.established.exceptions = &keep;
	engine->settings.established.exception_count = 1;
	list_during("");
	answer_applied(ERR_SYSTEM);
	ck_assert(!engine->cut.held);
	ck_assert_uint_eq(engine->cut.ending_count, 0);
	ck_assert_uint_eq(engine->cut.kept, 1);
	end_list();
}
END_TEST

/* ---- nothing is in force ---- */

/* A node that has just started, with networks that are to be closed until policy is known. */
static void
forget_everything(void)
{
	static struct ip_prefix workloads;

	ck_assert(ip_prefix_parse(STR("10.1.0.0/16"), &workloads, NULL));
	program_free(engine->apply.current);
	engine->apply.current = NULL;
	engine->apply.suspect = true;
	engine->settings.boot_closed = true;
	engine->settings.workload_networks = &workloads;
	engine->settings.workload_network_count = 1;
}

/* However soon it is after the last. */
static void
look_finds_nothing(void)
{
	engine->apply.look_after.ns = 0;
	engine_apply_step(engine);
	answer_not_observed(ERR_NOT_FOUND);
}

/* A program, of which there is to be a record (_i) that cannot be written, or which the kernel
 * refuses. */
START_TEST(node_is_closed_until_a_program_is_in_force)
{
	int fd = seal("/a/first.yaml", WORKLOAD("first", "10.1.0.1") POLICY);
	struct program *p = program_make(&engine->settings, &fd, 1, NULL);

	(void)close(fd);
	forget_everything();
	engine->settings.audit_required = _i != 0;
	engine_apply_offer(engine, p);
	answer_not_observed(ERR_NOT_FOUND);
	if (_i == 0) {
		ck_assert(sends(p));
		answer_applied(ERR_SYSTEM);
		look_finds_nothing();
		ck_assert(!is_asked());
		engine->apply.commit_after.ns = 0; /* it is time */
		look_finds_nothing();
	}
	ck_assert(is_asked() && engine->apply.pending->skeleton);
	if (_i != 0) { /* the kernel does not take it: it is tried again, later */
		answer_applied(ERR_SYSTEM);
		look_finds_nothing();
		ck_assert(!is_asked());
		engine->apply.commit_after.ns = 0; /* it is time */
		look_finds_nothing();
		ck_assert(is_asked() && engine->apply.pending->skeleton);
	}
	engine->apply.commit_after.ns = monotime_now().ns + LONG_NS;
	answer_applied(0);
	ck_assert_str_eq(engine_state_name(engine), "closed");
	ck_assert_ptr_eq(engine->apply.candidate, p);
}
END_TEST

START_TEST(what_closes_is_tried_again_whatever_comes_meanwhile)
{
	int fd = seal("/a/first.yaml", WORKLOAD("first", "10.1.0.1") POLICY);

	forget_everything();
	engine->settings.audit_required = true;
	engine_apply_step(engine);
	answer_not_observed(ERR_NOT_FOUND);
	answer_applied(ERR_SYSTEM);
	look_finds_nothing();
	engine_apply_offer(engine, program_make(&engine->settings, &fd, 1, NULL));
	(void)close(fd);
	look_finds_nothing();
	ck_assert(is_asked() && engine->apply.pending->skeleton);
	answer_applied(0);
	ck_assert_str_eq(engine_state_name(engine), "closed");
}
END_TEST

/* Which waits for its time, as the kernel has refused it. */
START_TEST(program_does_not_wait_for_what_closes)
{
	int fd = seal("/a/first.yaml", WORKLOAD("first", "10.1.0.1") POLICY);
	struct program *p = program_make(&engine->settings, &fd, 1, NULL);

	(void)close(fd);
	forget_everything();
	engine_apply_step(engine);
	answer_not_observed(ERR_NOT_FOUND);
	answer_applied(ERR_SYSTEM);
	look_finds_nothing();
	ck_assert(!is_asked());
	engine_apply_offer(engine, p);
	answer_not_observed(ERR_NOT_FOUND);
	ck_assert(sends(p));
}
END_TEST

/* Others change the ruleset all the time while the node starts. */
START_TEST(node_is_closed_once_it_is_known_that_nothing_is)
{
	struct program *p;

	forget_everything();
	engine_apply_step(engine);
	answer_not_observed(ERR_STALE);
	ck_assert(!is_asked());
	if (_i == 0) {
		engine->apply.look_after.ns = 0; /* it is time */
		engine_apply_step(engine);
		answer_not_observed(ERR_NOT_FOUND);
		ck_assert(is_asked() && engine->apply.pending->skeleton);
		return;
	}
	/* What is ready does not wait for a quiet moment. */
	p = program_make_skeleton(&engine->settings);
	engine->apply.look_after.ns = 0;
	engine_apply_offer(engine, p);
	answer_not_observed(ERR_STALE);
	ck_assert(sends(p));
}
END_TEST

int
main(void)
{
	Suite *s = suite_create("engine_retry");
	TCase *tc = tcase_create("engine_retry");
	SRunner *sr = srunner_create(s);
	int failed;

	tcase_add_checked_fixture(tc, setup, teardown);
	tcase_add_test(tc, what_is_refused_is_tried_again_ever_later);
	tcase_add_test(
	    tc, refused_program_keeps_nobody_from_restoring_the_one_in_force);
	tcase_add_loop_test(tc, refusal_of_what_is_restored_is_over_with_it, 0, 2);
	tcase_add_test(tc, table_that_cannot_be_read_is_not_looked_at_all_the_time);
	tcase_add_loop_test(
	    tc, what_others_do_elsewhere_changes_no_table_of_a_program_under_way, 0, 2);
	tcase_add_test(tc, refused_edit_keeps_nobody_from_restoring_what_was_in_force);
	tcase_add_test(
	    tc, program_without_a_record_keeps_nobody_from_restoring_what_was_in_force);
	tcase_add_loop_test(tc, edit_after_what_the_kernel_refuses_takes_a_load, 0, 2);
	tcase_add_test(tc, program_after_a_refused_change_tells_its_ways);
	tcase_add_test(tc, edit_that_may_be_in_force_is_not_undone);
	tcase_add_loop_test(tc, table_lost_during_a_compilation_is_what_it_was, 0, 2);
	tcase_add_loop_test(tc, node_is_closed_until_a_program_is_in_force, 0, 2);
	tcase_add_test(tc, what_closes_is_tried_again_whatever_comes_meanwhile);
	tcase_add_test(tc, program_does_not_wait_for_what_closes);
	tcase_add_loop_test(tc, node_is_closed_once_it_is_known_that_nothing_is, 0, 2);
	tcase_add_loop_test(tc, change_on_its_way_cuts_nothing_that_is_in_force, 0, 2);
	tcase_add_test(tc, list_ends_with_the_kernel_role);
	tcase_add_test(tc, connection_is_kept_for_the_end_that_denied_it);
	suite_add_tcase(s, tc);
	srunner_run_all(sr, CK_ENV);
	failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed == 0 ? 0 : 1;
}
