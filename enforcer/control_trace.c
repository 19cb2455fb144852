/*
 * `trace`: the question to the kernel role, and its answer in terms of policy.
 */
#include <stdlib.h>
#include <string.h>

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

/* What the constant chains are for, without the digit of their family. */
static const struct {
	const char *chain, *meaning;
} meanings[] = {
    {"decide", "the rule's verdict"},
    {"midstream", "TCP in mid-stream: does policy govern an end?"},
    {"asked", "DNS: who asks whom?"},
    {"egress", "egress of the source: who is the destination?"},
    {"egress_cells", "egress: what holds towards its class"},
    {"egress_rest", "egress: what holds towards everyone"},
    {"ingress", "ingress of the destination: who is the source?"},
    {"ingress_cells", "ingress: what holds for its class"},
    {"ingress_rest", "ingress: what holds for everyone"},
    {"host_in", "policy for the node: who is the source?"},
    {"host_in_cells", "policy for the node: what holds for its class"},
    {"host_in_rest", "policy for the node: what holds for everyone"},
    {"host_out", "policy for the node: who is the destination?"},
    {"host_out_cells", "policy for the node: what holds towards its class"},
    {"host_out_rest", "policy for the node: what holds towards everyone"},
    {"route", "routes: where does it go?"},
    {"route_cells", "routes: what holds towards its class"},
    {"route_rest", "routes: what holds towards everyone"},
    {"route_judge", "routes: may it leave?"},
    {"route_count", "the route's counter"},
    {"route_in", "translation of published addresses"},
    {"route_local", "translation of published addresses, for the node"},
    {"route_out", "translation of source addresses"},
    {"publish", "is it published?"},
    {"published", "routes: which of the workloads?"},
    {"ends", "the address of the workload"},
    {"source", "with which address does it leave?"},
    {"stray", "of no connection: may it go untranslated?"},
    {"limit_count", "limits of open connections"},
    {"limit_rate", "limits of connections per second"},
    {"limit_out", "limits of bytes, of the source"},
    {"limit_in", "limits of bytes, of the destination"},
    {"steer", "routes: does it leave another way?"},
    {"steer_way", "the mark of the way"},
    {"via_out", "via: what does the connection go through?"},
    {"via_out_cells", "via: what holds towards its class"},
    {"via_out_rest", "via: what holds towards everyone"},
    {"via_back", "via, coming back: what does the connection go through?"},
    {"via_back_cells", "via, coming back: what holds for its class"},
    {"via_back_rest", "via, coming back: what holds for everyone"},
    {"via_judge", "via: may it go on?"},
    {"via_still", "via: does the connection still go through it?"},
    {"via_still_out", "via: still, from the client?"},
    {"via_still_back", "via: still, coming back?"},
    {"via_send", "via: the mark of the way"},
    {"via_steer_out", "via: does it go through something?"},
    {"via_steer_back", "via, coming back: does it go through something?"},
    {"via_past", "via: it has been through"},
    {"via_elsewhere", "via: does it come back from what it went through?"},
    {"gate_out", "is there such a workload behind the interface?"},
    {"forward", "between workloads and others"},
    {"input", "to the node itself"},
    {"output", "from the node itself"},
};

const char *
control_chain_meaning(struct str chain)
{
	static const char first_packet[] = "the first packet of a connection";
	char name[64];
	size_t len = 0;

	if (str_is(chain, "forward4") || str_is(chain, "forward6"))
		return first_packet;
	for (size_t i = 0; i < chain.len && len + 1 < sizeof(name); i++) {
		if (chain.ptr[i] != '4' && chain.ptr[i] != '6')
			name[len++] = chain.ptr[i];
	}
	name[len] = '\0';
	for (size_t i = 0; i < ARRAY_LEN(meanings); i++) {
		if (strcmp(name, meanings[i].chain) == 0)
			return meanings[i].meaning;
	}
	return NULL;
}

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
	if (control_chain_meaning(chain) != NULL)
		add_member(out, "meaning", str_from(control_chain_meaning(chain)));
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
