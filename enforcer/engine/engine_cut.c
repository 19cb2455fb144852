/*
 * Connections that policy forbids by now are ended. After a change the kernel role lists
 * what conntrack knows, some at a time, so that commits and packets never wait; each is
 * judged as the table in force would judge its first packet; those that it would not let
 * begin are ended, and no others. The middle of what was ended is reset (table_midstream).
 * A change judges nothing before it is in force: while one is on its way what was listed waits
 * for the answer, and while one waits, or is refused, what was before it judges.
 */
#include <string.h>

#include "common/log.h"
#include "common/sorted.h"
#include "enforcer/config/subtree.h"
#include "enforcer/engine/engine_state.h"
#include "policy-lang/model/fail_safe.h"
#include "policy-lang/table/table_walk.h"

#define CUT_SHARE   10          /* listing takes at most a tenth of the time ... */
#define CUT_MOST_NS 3000000000u /* ... but never waits longer than this */
#define RETRY_MS    1000
/* A list is some milliseconds of a processor's, however few connections there are. In a large
 * cluster workloads come and go all the time; so often is enough for that. */
#define SELDOM_NS 1000000000u

bool
engine_cut_never(const struct engine *e)
{
	const struct established *s = &e->settings.established;
	bool keep = s->keep;

	for (size_t i = 0; i < s->exception_count; i++)
		keep = keep && s->exceptions[i].keep;
	return keep;
}

/* ---- judging ---- */

static bool
is_kept(const struct engine *e, const struct workload *w)
{
	const struct established *s = &e->settings.established;
	bool keep = s->keep;
	size_t nearest = 0;

	for (size_t i = 0; i < s->exception_count && w != NULL; i++) {
		const struct established_exception *x = &s->exceptions[i];

		if (x->path.len <= nearest || !subtree_has(x->path, w->ns->path))
			continue;
		nearest = x->path.len;
		keep = x->keep;
	}
	return keep;
}

struct nflog_packet
engine_cut_record(const struct connection *c, uint32_t number)
{
	return (struct nflog_packet){
	    .number = number,
	    .src = c->judged.src,
	    .dst = c->judged.dst,
	    .proto = c->judged.proto,
	    .has_ports = connection_has_ports(c->judged.proto),
	    .src_port = c->judged.src_port,
	    .dst_port = c->judged.dst_port,
	    .to_node = c->to_node,
	    .from_node = c->from_node,
	};
}

enum table_hook
engine_cut_hook(bool from_node, bool to_node)
{
	if (from_node)
		return HOOK_OUTPUT;
	return to_node ? HOOK_INPUT : HOOK_FORWARD;
}

struct table_packet
engine_cut_first_packet(const struct connection *c)
{
	return (struct table_packet){
	    .saddr = c->judged.src,
	    .daddr = c->judged.dst,
	    .proto = c->judged.proto,
	    .dport = c->judged.dst_port,
	    .hook = engine_cut_hook(c->from_node, c->to_node),
	    .translated = !ip_eq(&c->dst, &c->judged.dst),
	};
}

static void
forget_former(struct engine_former *f)
{
	arena_free(f->arena);
	*f = (struct engine_former){.arena = NULL};
}

/* Which of two the kernel has shows with its next answer. */
static bool
is_undecided(const struct engine_apply *a)
{
	const bool on_its_way = (a->phase == APPLY_AUDIT || a->phase == APPLY_SENT) &&
				a->pending == a->current && !a->restoring;

	return a->ahead && (on_its_way || a->again || a->former_lost);
}

static void
look_up_former(struct engine *e)
{
	const struct engine_apply *a = &e->apply;
	struct engine_former *f = &e->cut.former;

	if (!a->ahead) {
		forget_former(f);
		return;
	}
	if (f->arena != NULL && f->committed.ns == a->committed.ns)
		return;
	forget_former(f);
	f->arena = arena_new();
	f->content = engine_apply_desired(e, f->arena);
	f->committed = a->committed;
}

static bool
find_former(const void *arg, enum table_set_id set, const struct table_element *key,
    struct table_element *out)
{
	const struct table_element *found = table_find(arg, set, key);

	if (found != NULL)
		*out = *found;
	return found != NULL;
}

bool
engine_cut_former_has(const struct engine *e, const struct ip_addr *addr)
{
	const struct engine_former *f = &e->cut.former;
	struct table_element key = {0};

	memcpy(key.addr, addr->bytes, ip_bytes(addr->family));
	return f->arena != NULL &&
	       table_find(&f->content, addr->family == IP_V4 ? SET_OWN4 : SET_OWN6,
		   &key) != NULL;
}

static struct table_verdict
walk(const struct engine *e, const struct table_packet *first)
{
	const struct engine_former *f = &e->cut.former;
	const struct table_view former = {
	    .find = find_former,
	    .arg = &f->content,
	    .rule_chains = f->content.rule_chains,
	    .rule_chain_count = f->content.rule_chain_count,
	};

	return f->arena != NULL ? table_walk_view(&former, first)
				: program_walk(e->apply.current, first);
}

/* What the table says of its first packet; or its policy for the destination alone. */
static struct table_verdict
judge(const struct engine *e, const struct connection *c, bool at_destination)
{
	struct table_packet first = engine_cut_first_packet(c);

	if (engine_gone_had(e, c))
		return (struct table_verdict){
		    .numbers = {NUMBER_GATE}, .number_count = 1};
	first.at_destination = at_destination;
	return walk(e, &first);
}

/* The end whose policy denies. Numbers are those of what judged it. */
static const struct workload *
find_subject(const struct engine *e, const struct flows_record *record)
{
	const struct engine_former *f = &e->cut.former;
	const struct table_rule_chain *rule =
	    f->arena != NULL
		? u32_find(record->packet.number, f->content.rule_chains,
		      f->content.rule_chain_count, sizeof(*f->content.rule_chains))
		: NULL;
	struct flow_view view;

	flow_view_make(&view, e->apply.current, record);
	if (rule == NULL)
		return view.subject;
	return rule->dir == DIR_EGRESS ? view.src : view.dst;
}

/* Whether it is kept although it is denied, for the sake of the end whose policy does. */
static bool
keeps(const struct engine *e, const struct connection *c, const struct table_verdict *v,
    bool at_destination, struct nflog_packet *out_packet)
{
	struct flows_record record = {.count = 1};

	record.packet = engine_cut_record(
	    c, v->number_count != 0 ? v->numbers[v->number_count - 1] : NUMBER_NONE);
	record.packet.cut = true;
	record.packet.at_destination = at_destination;
	*out_packet = record.packet;
	return is_kept(e, find_subject(e, &record));
}

/* Conntrack has seen it from its middle on, where the node answers at a fail-safe port. */
static bool
is_fail_safe_answer(const struct engine *e, const struct connection *c)
{
	return c->from_node && fail_safe_has(&e->settings.fail_safe, DIR_INGRESS,
				   c->judged.proto, c->judged.src_port);
}

/* Whether the connection is to be ended; *out_packet says by which rule. What one end would
 * keep, the other need not. */
static bool
is_forbidden(
    struct engine *e, const struct connection *c, struct nflog_packet *out_packet)
{
	struct table_verdict v = judge(e, c, false);

	engine_names_see(e, c);
	if (v.accept) {
		engine_shadow_judge(e, c);
		return false;
	}
	if (is_fail_safe_answer(e, c))
		return false;
	if (!keeps(e, c, &v, false, out_packet))
		return true;
	v = judge(e, c, true);
	if (!v.accept && !keeps(e, c, &v, true, out_packet))
		return true;
	e->cut.kept++;
	return false;
}

/* ---- steps ---- */

static void ask_list(struct engine *e);
static void step(struct engine *e);

static void
on_timer(uv_timer_t *timer)
{
	step(timer->data);
}

static void
step_after(struct engine *e, uint64_t ms)
{
	if (uv_timer_start(&e->cut.timer, on_timer, ms, 0) != 0)
		base_die("cannot start a timer");
}

/* The list is at its end, or as far as it goes. */
static void
finish(struct engine *e, bool whole)
{
	struct engine_cut *c = &e->cut;
	monotime_t now = monotime_now();
	uint64_t took_ns = monotime_since(c->began, now);
	uint64_t rest_ns = took_ns * (CUT_SHARE - 1);

	forget_former(&c->former);
	c->running = false;
	c->last_us = took_ns / 1000;
	c->not_before.ns = now.ns + (rest_ns < CUT_MOST_NS ? rest_ns : CUT_MOST_NS);
	c->seldom.ns = c->began.ns + SELDOM_NS;
	if (whole) {
		c->lists++;
		c->failing = false;
		engine_gone_listed(e);
		engine_shadow_listed(e);
		engine_names_listed(e);
		c->last_listed = c->listed;
	} else {
		c->failures++;
		c->wanted = c->soon = true;
		c->not_before.ns = now.ns + RETRY_MS * UINT64_C(1000000);
	}
	step(e);
}

static void
fail(struct engine *e, struct str detail)
{
	if (!e->cut.failing)
		log_error("connections", "detail=%s", log_quote(detail));
	e->cut.failing = true;
	finish(e, false);
}

static void
on_cut(struct engine *e, const struct proc_msg *answer, void *arg)
{
	struct engine_cut *c = &e->cut;
	struct proc_reader r;
	uint32_t count;
	int code;

	(void)arg; /* one question at a time */
	if (answer == NULL) {
		finish(e, false);
		return;
	}
	proc_reader_init(&r, answer);
	code = (int)proc_get_u32(&r);
	count = proc_get_u32(&r);
	for (uint32_t i = 0; i < count && i < c->ending_count; i++) {
		if (proc_get_u8(&r) == 0)
			continue;
		c->cut++;
		engine_flows_add(e, &c->records[i]);
	}
	if (code != 0)
		fail(e, proc_get_str(&r));
	else if (c->done)
		finish(e, true);
	else
		ask_list(e);
}

static void
ask_cut(struct engine *e)
{
	struct engine_cut *c = &e->cut;
	struct err err = ERR_INIT;
	struct buf body = {0};

	connections_put(&body, c->ending, c->ending_count);
	if (engine_kernel_ask(e, MSG_CUT, &body, -1, on_cut, NULL, &err) != 0)
		fail(e, str_from(err.msg));
	buf_free(&body);
}

static void
judge_found(struct engine *e)
{
	struct engine_cut *c = &e->cut;

	c->ending = ARENA_ARRAY(c->arena, c->found_count, struct connection);
	c->records = ARENA_ARRAY(c->arena, c->found_count, struct nflog_packet);
	c->ending_count = 0;
	c->listed += c->found_count;
	look_up_former(e);
	for (size_t i = 0; i < c->found_count; i++) {
		if (!is_forbidden(e, &c->found[i], &c->records[c->ending_count]))
			continue;
		engine_adopt_never(e, &c->found[i]);
		c->ending[c->ending_count++] = c->found[i];
	}
	if (c->ending_count != 0)
		ask_cut(e);
	else if (c->done)
		finish(e, true);
	else
		ask_list(e);
}

void
engine_cut_decided(struct engine *e)
{
	if (!e->cut.held || is_undecided(&e->apply))
		return;
	e->cut.held = false;
	judge_found(e);
}

void
engine_cut_disconnected(struct engine *e)
{
	if (!e->cut.held)
		return;
	e->cut.held = false;
	finish(e, false); /* the rest of the list is gone with the kernel role */
}

static void
on_list(struct engine *e, const struct proc_msg *answer, void *arg)
{
	struct engine_cut *c = &e->cut;
	struct proc_reader r;
	int code;

	(void)arg; /* one question at a time */
	if (answer == NULL || e->apply.current == NULL) {
		finish(e, false);
		return;
	}
	arena_reset(c->arena);
	proc_reader_init(&r, answer);
	code = (int)proc_get_u32(&r);
	c->done = proc_get_u8(&r) != 0;
	if (!connections_get(c->arena, &r, &c->found, &c->found_count)) {
		fail(e, STR("a malformed list"));
		return;
	}
	if (code != 0) {
		fail(e, proc_get_str(&r));
		return;
	}
	c->held = true;
	engine_cut_decided(e);
}

static void
ask_list(struct engine *e)
{
	struct engine_cut *c = &e->cut;
	struct err err = ERR_INIT;
	struct buf body = {0};

	proc_put_u8(&body, c->began_now);
	c->began_now = false;
	if (engine_kernel_ask(e, MSG_CONNECTIONS, &body, -1, on_list, NULL, &err) != 0)
		fail(e, str_from(err.msg));
	buf_free(&body);
}

/* Whatever a list would find, nothing would come of it. */
static bool
nobody_asks(const struct engine *e)
{
	return engine_cut_never(e) && !engine_shadow_wanted(e) &&
	       !engine_names_want_list(e);
}

static void
step(struct engine *e)
{
	struct engine_cut *c = &e->cut;
	monotime_t now = monotime_now();
	uint64_t from = c->not_before.ns;

	if (!c->soon && from < c->seldom.ns)
		from = c->seldom.ns;
	if (!c->wanted || c->running || e->stopping || e->apply.current == NULL ||
	    e->apply.current->skeleton)
		return;
	if (nobody_asks(e)) {
		c->wanted = c->soon = false;
		return;
	}
	if (!engine_kernel_connected(e)) {
		step_after(e, RETRY_MS);
		return;
	}
	if (now.ns < from) {
		step_after(e, (from - now.ns) / 1000000 + 1);
		return;
	}
	c->wanted = c->soon = false;
	c->running = true;
	c->began = now;
	c->began_now = true;
	c->listed = 0;
	engine_gone_list_begins(e);
	engine_names_list_begins(e);
	ask_list(e);
}

void
engine_cut_want(struct engine *e, bool soon)
{
	e->cut.wanted = true;
	e->cut.soon |= soon;
	step_after(e, 0); /* once what has just come into force is current */
}

void
engine_cut_init(struct engine *e)
{
	e->cut.arena = arena_new();
	e->cut.timer.data = e;
	if (uv_timer_init(&e->loop, &e->cut.timer) != 0)
		base_die("cannot make a timer");
}

void
engine_cut_fini(struct engine *e)
{
	arena_free(e->cut.arena);
	forget_former(&e->cut.former);
	uv_close((uv_handle_t *)&e->cut.timer, NULL);
}
