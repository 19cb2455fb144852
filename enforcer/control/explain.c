#include "enforcer/control/explain.h"

#include <string.h>

#include "policy-lang/evaluate/query.h"
#include "policy-lang/evaluate/route.h"

/* ---- the ends ---- */

static bool
is_this(const struct explain_node *node, const struct endpoint *end)
{
	return end->kind == ENDPOINT_NODE && end->node != NULL &&
	       str_eq(end->node->name, node->gate.node);
}

static bool
is_here(const struct explain_node *node, const struct endpoint *end)
{
	return end->kind == ENDPOINT_WORKLOAD &&
	       program_counts_local(node->program, end->workload);
}

/* An address of this node is the node, as for its kernel: in whose table a peer `node` stands for
 * the addresses that the model knows, of which this is none. */
static void
know_own(const struct explain_node *node, const struct model *m, struct endpoint *end)
{
	const struct node *this = model_node(m, node->program->options.node);

	for (size_t i = 0; i < node->own_count; i++) {
		if (end->kind != ENDPOINT_ADDRESS || end->name.len != 0 ||
		    !ip_eq(&end->addr, &node->own[i]))
			continue;
		*end = endpoint_of_node(this != NULL ? this : &node->program->node);
		end->has_addr = true;
		end->unlisted = true;
		end->addr = node->own[i];
	}
}

/* ---- what the node's program makes of it ---- */

/* What goes through something, and has its destination translated here, is refused where it
 * comes by this node again (via_send of table_chains.c). */
static bool
comes_by_again(const struct explain_node *node, const struct route_story *story)
{
	size_t here = 0;

	for (size_t i = 0; i < story->via.through_count; i++)
		here += program_counts_local(node->program, story->via.through[i]);
	return story->has[ROUTE_VIA] && story->via.outcome == ROUTE_TAKEN &&
	       is_here(node, &story->flow.src) &&
	       (is_here(node, &story->flow.dst) || here == story->via.through_count);
}

static const char *
rule_text(const struct program *p, uint32_t number)
{
	const struct table_rule_chain *rule = program_rule(p, number);

	return rule != NULL ? rule->comment : "";
}

static void
ask_table(
    const struct explain_node *node, struct explanations *all, struct explanation *one)
{
	const struct flow *flow = &one->flow;
	const bool from = is_this(node, &flow->src), to = is_this(node, &flow->dst);
	const struct table_packet packet = {
	    .saddr = flow->src.addr,
	    .daddr = flow->dst.addr,
	    .proto = flow->proto,
	    .dport = flow->port,
	    .hook = from ? HOOK_OUTPUT
		    : to ? HOOK_INPUT
			 : HOOK_FORWARD,
	    .translated = one->story->has[ROUTE_INGRESS],
	};
	const bool itself =
	    is_here(node, &flow->src) && flow->src.workload == flow->dst.workload;
	struct table_verdict v;
	uint32_t number;

	if (!flow->src.has_addr || !flow->dst.has_addr || (from && to) || itself ||
	    !(from || to || is_here(node, &flow->src) || is_here(node, &flow->dst)))
		return; /* not of this node, or does not leave whom it is from */
	v = program_walk(node->program, &packet);
	number = v.number_count != 0 ? v.numbers[v.number_count - 1] : NUMBER_NONE;
	if (!v.accept)
		explain_refuse(all, one, number, rule_text(node->program, number));
}

static void
ask_node(
    const struct explain_node *node, struct explanations *all, struct explanation *one)
{
	if (one->flow.src.unlisted || one->flow.dst.unlisted)
		one->note = "an address of the node that peers of policy which name "
			    "nodes do not take in, as of its links alone, or of "
			    "Routes";
	if (one->story == NULL || !one->allow)
		return;
	if (!comes_by_again(node, one->story))
		ask_table(node, all, one);
	else if (one->story->has[ROUTE_INGRESS])
		explain_refuse(all, one, NUMBER_VIA_TRANSLATED,
		    rule_text(node->program, NUMBER_VIA_TRANSLATED));
	else
		one->note =
		    "to an address that this node translates, as a Service's, "
		    "it is denied (number 8): what it goes through would come by "
		    "this node again";
}

/* ---- the question ---- */

static bool
ask_model(const struct explain_node *node, struct arena *arena, const struct model *m,
    const struct str words[3], struct explanations *out, struct buf *why)
{
	struct resolver *resolver = resolver_new(arena, m);
	struct query query;
	bool ok = query_read(resolver, words, &query, why);

	if (ok) {
		know_own(node, m, &query.src);
		know_own(node, m, &query.dst);
	}
	if (ok && !explain_query(arena, m, &query, 0, out)) {
		query_explain_incomparable(&query, 0, why);
		ok = false;
	}
	resolver_free(resolver);
	return ok;
}

bool
explain_question(const struct explain_node *node, const struct str words[3], bool text,
    struct buf *out, struct buf *why)
{
	const struct program *p = node->program;
	struct arena *arena = arena_new();
	struct explanations all, watched;
	bool ok = ask_model(node, arena, p->model, words, &all, why);

	if (ok && program_has_shadow(p) &&
	    ask_model(node, arena, live_model(p->shadow.live), words, &watched, why))
		all.watched = &watched;
	if (ok) {
		all.pending = node->pending;
		explain_close(&all, &node->gate);
		for (size_t i = 0; i < all.count; i++)
			ask_node(node, &all, &all.items[i]);
	}
	if (ok && text)
		explain_print_text(arena, out, &all);
	else if (ok)
		explain_print_json(arena, out, &all);
	arena_free(arena);
	return ok;
}
