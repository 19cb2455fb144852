/*
 * `trace`: the question to the kernel role, and its answer in terms of policy.
 */
#include <stdlib.h>

#include "enforcer/control/control.h"
#include "enforcer/engine/engine_state.h"
#include "enforcer/kernel/trace.h"
#include "policy-lang/evaluate/query.h"

static const char *const verdict_names[] = {
    [TRACE_CONTINUE] = "continue",
    [TRACE_ACCEPT] = "accept",
    [TRACE_DROP] = "drop",
    [TRACE_JUMP] = "jump",
    [TRACE_GOTO] = "goto",
    [TRACE_RETURN] = "return",
    [TRACE_OTHER] = "other",
};

/* What the constant chains are for; # stands for either family. */
static const struct {
	const char *chain, *meaning;
} meanings[] = {
    {"forward", "between workloads and others"},
    {"first#", "the first packet of a connection: policy, then Routes and limits"},
    {"forward#", "the first packet of a connection"},
    {"forward#_from", "policy governs its source"},
    {"forward#_midstream", "TCP in mid-stream: is either end in the gate?"},
    {"input", "to the node itself"},
    {"output", "from the node itself"},
    {"gate_out", "to an interface of workloads: is it for one of them?"},
    {"midstream", "TCP in mid-stream: does policy govern an end?"},
    {"midstream_in", "TCP in mid-stream: could policy for its sender have ended it?"},
    {"midstream_out", "TCP in mid-stream: could the other end have begun it?"},
    {"input_midstream", "TCP in mid-stream, to the node"},
    {"output_midstream", "TCP in mid-stream, of the node"},
    {"decide", "the rule's verdict"},
    {"asked", "DNS: is it of a workload whose rules have names?"},
    {"egress#", "egress of the source: who is the destination?"},
    {"egress_on#", "egress of the source: who is the destination?"},
    {"egress#_cells", "egress: what holds towards its class"},
    {"egress#_rest", "egress: what holds towards everyone"},
    {"ingress#", "ingress of the destination: who is the source?"},
    {"ingress#_cells", "ingress: what holds for its class"},
    {"ingress#_rest", "ingress: what holds for everyone"},
    {"host_in", "ingress of the node"},
    {"host_in#", "ingress of the node: who is the source?"},
    {"host_in#_cells", "ingress of the node: what holds for its class"},
    {"host_in#_rest", "ingress of the node: what holds for everyone"},
    {"host_midstream_in", "TCP in mid-stream, to the node: does policy judge it?"},
    {"host_midstream_out", "TCP in mid-stream, of the node: does policy judge it?"},
    {"host_out", "egress of the node"},
    {"host_out#", "egress of the node: who is the destination?"},
    {"host_out#_cells", "egress of the node: what holds towards its class"},
    {"host_out#_rest", "egress of the node: what holds towards everyone"},
    {"limit_count", "limits: open connections"},
    {"limit_rate", "limits: new connections"},
    {"limit_out", "limits: bytes of egress"},
    {"limit_in", "limits: bytes of ingress"},
    {"route_judge#", "Routes: may it leave?"},
    {"route#", "Routes: who is the destination?"},
    {"route#_cells", "Routes: what holds towards its class"},
    {"route#_rest", "Routes: what holds towards everyone"},
    {"route_count", "the Route's rule"},
    {"route_out", "Routes: does it leave by one?"},
    {"source#", "Routes: the address that it leaves with"},
    {"route_in", "Routes: is it for what is published?"},
    {"route_local", "Routes: is it for what is published?"},
    {"publish#", "Routes: what is published at this address and port"},
    {"published#", "Routes: one of the ends of what is published"},
    {"ends#", "Routes: the end's address and port"},
    {"stray", "of no connection: would it be translated, or go through something?"},
    {"steer", "ways: does it leave by one?"},
    {"steer#", "ways: which one does it leave by?"},
    {"steer_way", "ways: the mark of the one that it leaves by"},
    {"via_out#", "via: who is the server?"},
    {"via_out#_cells", "via: what holds towards its class"},
    {"via_out#_rest", "via: what holds towards everyone"},
    {"via_back#", "via, of what comes back: who is the server?"},
    {"via_back#_cells", "via, of what comes back: what holds towards its class"},
    {"via_back#_rest", "via, of what comes back: what holds towards everyone"},
    {"via_judge#", "via: may it go through that?"},
    {"via_still", "via: may a connection that is there go on?"},
    {"via_still_out#", "via: may a connection that is there go on?"},
    {"via_still_back#", "via, of what comes back: may the connection go on?"},
    {"via_steer_out#", "via: through what does it go?"},
    {"via_steer_back#", "via, of what comes back: through what does it go?"},
    {"via_send#", "via: the mark of the way there"},
    {"via_past", "via: it has been through"},
    {"via_elsewhere", "via: has it been through?"},
    {"spoof#", "its source is not where it came from: is that a workload's here?"},
    {"spoof_edge#", "its source is not where it came from: is that anyone's?"},
};

/* ---- the question ---- */

/* Of this node: any address that it has, which documents need not say. */
static const struct ip_addr *
addresses(const struct engine *e, const struct endpoint *end, size_t *out_count)
{
	static const struct ip_addr any[] = {{.family = IP_V4}, {.family = IP_V6}};

	if (end->kind != ENDPOINT_NODE || end->node == NULL || end->has_addr ||
	    !str_eq(end->node->name, e->settings.node))
		return endpoint_addrs(end, out_count);
	*out_count = ARRAY_LEN(any);
	return any;
}

static size_t
pair_up(const struct engine *e, const struct query *q, struct connection *filters)
{
	size_t src_count, dst_count, count = 0;
	const struct ip_addr *src = addresses(e, &q->src, &src_count);
	const struct ip_addr *dst = addresses(e, &q->dst, &dst_count);

	for (size_t i = 0; i < src_count; i++) {
		for (size_t j = 0; j < dst_count && count < TRACE_FILTERS_MOST; j++) {
			if (src[i].family != dst[j].family)
				continue;
			filters[count++] = (struct connection){
			    .src = src[i],
			    .dst = dst[j],
			    .proto = q->proto,
			    .dst_port = q->port,
			    .judged = {.src = src[i], .dst = dst[j]},
			};
		}
	}
	return count;
}

bool
control_trace_question(
    struct engine *e, const struct str words[4], struct buf *out, struct buf *why)
{
	struct connection filters[TRACE_FILTERS_MOST];
	struct arena *arena;
	struct resolver *resolver;
	struct query query;
	uint64_t seconds;
	size_t count = 0;
	bool ok;

	if (control_no_policy(e) != NULL) {
		buf_add_cstr(why, control_no_policy(e));
		return false;
	}
	if (!str_to_u64(words[3], TRACE_WAIT_MOST_S, &seconds) || seconds == 0) {
		buf_printf(
		    why, "the time to wait is 1 to %d seconds", TRACE_WAIT_MOST_S);
		return false;
	}
	arena = arena_new();
	resolver = resolver_new(arena, e->apply.current->model);
	ok = query_read(resolver, words, &query, why);
	if (ok)
		count = pair_up(e, &query, filters);
	if (ok && count == 0) {
		buf_add_cstr(why, "the ends have no addresses of one family");
		ok = false;
	}
	if (ok) {
		proc_put_u32(out, (uint32_t)seconds * 1000);
		connections_put(out, filters, count);
	}
	resolver_free(resolver);
	arena_free(arena);
	return ok;
}

/* ---- the answer ---- */

static void
add_member(struct buf *out, const char *key, struct str value)
{
	buf_printf(out, ",\"%s\":", key);
	buf_add_json(out, value);
}

static bool
is_like(struct str chain, const char *pattern)
{
	size_t i = 0;

	for (; i < chain.len && pattern[i] != '\0'; i++) {
		const bool family = chain.ptr[i] == '4' || chain.ptr[i] == '6';

		if (pattern[i] == '#' ? !family : chain.ptr[i] != pattern[i])
			return false;
	}
	return i == chain.len && pattern[i] == '\0';
}

/* What a step means: the rule that a rule chain is, or what the chain is for. */
static void
add_meaning(struct engine *e, struct buf *out, struct str chain)
{
	const struct table_rule_chain *rule = NULL;
	uint64_t number;

	if (str_starts(chain, STR("rule_")) &&
	    str_to_u64(str_slice(chain, 5, chain.len), UINT32_MAX, &number))
		rule = program_rule(e->apply.current, (uint32_t)number);
	if (rule != NULL) {
		add_member(out, "rule", str_from(rule->comment));
		add_member(out, "action", str_from(action_name(rule->action)));
		return;
	}
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		if (is_like(chain, meanings[i].chain))
			add_member(out, "meaning", str_from(meanings[i].meaning));
	}
}

static enum trace_verdict
add_step(struct engine *e, struct buf *out, struct proc_reader *r)
{
	struct str chain = proc_get_str(r);
	uint8_t verdict = proc_get_u8(r);
	struct str to = proc_get_str(r);

	if (!r->ok || verdict > TRACE_OTHER)
		return TRACE_OTHER;
	buf_add_cstr(out, "{\"chain\":");
	buf_add_json(out, chain);
	add_member(out, "verdict", str_from(verdict_names[verdict]));
	if (to.len != 0)
		add_member(out, "to", to);
	add_meaning(e, out, chain);
	buf_add_char(out, '}');
	return (enum trace_verdict)verdict;
}

void
control_answer_trace(struct engine *e, const struct proc_msg *answer, struct buf *out)
{
	enum trace_verdict last = TRACE_ACCEPT; /* nothing of ours met it */
	struct proc_reader r = {.ok = false};
	struct buf steps = {0};
	uint32_t count = 0;
	int code = ERR_UNAVAILABLE;
	struct str detail = STR("the kernel role has ended; try again");

	if (answer != NULL) {
		proc_reader_init(&r, answer);
		code = (int)proc_get_u32(&r);
		count = proc_get_u32(&r);
	}
	for (uint32_t i = 0; i < count && r.ok && e->apply.current != NULL; i++) {
		buf_add_cstr(&steps, i != 0 ? ",\n" : "\n");
		last = add_step(e, &steps, &r);
	}
	if (answer != NULL)
		detail = proc_get_str(&r);
	if (code != 0) {
		control_answer_error(out, detail);
	} else {
		buf_printf(out, "{\"verdict\":\"%s\",\"steps\":[",
		    last == TRACE_OTHER ? "reject" : verdict_names[last]);
		buf_add_str(out, buf_str(&steps));
		buf_add_cstr(out, "]}\n");
	}
	buf_free(&steps);
}
