/*
 * `trace`: the question to the kernel role, and its answer in terms of policy.
 */
#include <stdlib.h>

#include "enforcer/control.h"
#include "enforcer/engine_state.h"
#include "enforcer/trace.h"
#include "policy-lang/query.h"

static const char *const verdict_names[] = {
    [TRACE_CONTINUE] = "continue",
    [TRACE_ACCEPT] = "accept",
    [TRACE_DROP] = "drop",
    [TRACE_JUMP] = "jump",
    [TRACE_GOTO] = "goto",
    [TRACE_RETURN] = "return",
    [TRACE_OTHER] = "other",
};

/* What the constant chains are for. */
static const struct {
	const char *chain, *meaning;
} meanings[] = {
    {"forward", "between workloads and others"},
    {"forward4", "the first packet of a connection"},
    {"forward6", "the first packet of a connection"},
    {"forward4_from", "policy governs its source"},
    {"forward6_from", "policy governs its source"},
    {"input", "to the node itself"},
    {"forward4_midstream", "TCP in mid-stream: is either end in the gate?"},
    {"forward6_midstream", "TCP in mid-stream: is either end in the gate?"},
    {"midstream", "TCP in mid-stream: does policy govern an end?"},
    {"decide", "the rule's verdict"},
    {"egress4", "egress of the source: who is the destination?"},
    {"egress6", "egress of the source: who is the destination?"},
    {"egress_on4", "egress of the source: who is the destination?"},
    {"egress_on6", "egress of the source: who is the destination?"},
    {"egress4_cells", "egress: what holds towards its class"},
    {"egress6_cells", "egress: what holds towards its class"},
    {"egress4_rest", "egress: what holds towards everyone"},
    {"egress6_rest", "egress: what holds towards everyone"},
    {"ingress4", "ingress of the destination: who is the source?"},
    {"ingress6", "ingress of the destination: who is the source?"},
    {"ingress4_cells", "ingress: what holds for its class"},
    {"ingress6_cells", "ingress: what holds for its class"},
    {"ingress4_rest", "ingress: what holds for everyone"},
    {"ingress6_rest", "ingress: what holds for everyone"},
};

/* ---- the question ---- */

static size_t
pair_up(const struct query *q, struct connection *filters)
{
	size_t src_count, dst_count, count = 0;
	const struct ip_addr *src = endpoint_addrs(&q->src, &src_count);
	const struct ip_addr *dst = endpoint_addrs(&q->dst, &dst_count);

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

	if (e->apply.current == NULL || e->apply.current->skeleton) {
		buf_add_cstr(why, "no policy is in force yet");
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
		count = pair_up(&query, filters);
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
		if (str_is(chain, meanings[i].chain))
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
	enum trace_verdict last = TRACE_OTHER;
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
