#include "policy-lang/explain/explain_route.h"

#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/explain/route_words.h"

/* Of long lists, so many are told in words. */
#define LISTED_MAX 16

static const char *const outcome_names[] = {[ROUTE_AS_IT_IS] = "as-it-is",
    [ROUTE_TAKEN] = "taken",
    [ROUTE_REFUSED] = "refused"};
static const char *const reason_names[] = {
    [ROUTE_REASON_RULE] = "rule",
    [ROUTE_REASON_NONE] = "no-route",
    [ROUTE_REASON_NO_FAMILY] = "no-family",
    [ROUTE_REASON_NO_NODE] = "no-node",
    [ROUTE_REASON_NO_TARGET] = "no-target",
    [ROUTE_REASON_INSIDE] = "inside",
};

bool
explain_route_same(const struct route_story *x, const struct route_story *y)
{
	return x->egress.by.rule == y->egress.by.rule &&
	       x->egress.outcome == y->egress.outcome &&
	       x->ingress.by.rule == y->ingress.by.rule &&
	       x->ingress.target_count == y->ingress.target_count &&
	       x->via.by.rule == y->via.by.rule && x->via.outcome == y->via.outcome;
}

/* ---- in words: published ---- */

static unsigned long long
common_divisor(unsigned long long a, unsigned long long b)
{
	while (b != 0) {
		unsigned long long rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* "1/4"; "0" */
static void
say_share(
    struct buf *out, const struct route_ingress *in, const struct route_target *target)
{
	unsigned long long whole = in->total_weight * target->among;
	unsigned long long divisor = common_divisor(whole, target->weight);

	if (target->weight == 0)
		buf_add_char(out, '0');
	else if (target->weight == whole)
		buf_add_cstr(out, "all");
	else
		buf_printf(out, "%llu/%llu", target->weight / divisor, whole / divisor);
}

/* By policy, and by what it would be sent through on its way. */
static bool
target_allowed(
    struct arena *a, const struct model *m, const struct route_target *target)
{
	struct route_story story;

	route_tell(a, m, NULL, &target->flow, &story);
	return story.allow;
}

static void
say_target(struct arena *a, struct buf *out, const char *indent, const struct model *m,
    const struct route_ingress *in, const struct route_target *target)
{
	bool allow = target_allowed(a, m, target);
	char text[IP_TEXT_BYTES];

	buf_printf(out, "%s  %-5s %.*s", indent,
	    action_name(allow ? ACTION_ALLOW : ACTION_DENY),
	    STR_ARG(target->workload->shape->display));
	if (target->flow.dst.has_addr)
		buf_printf(out, " (%s)", ip_format(&target->flow.dst.addr, text));
	buf_add_cstr(out, " at ");
	explain_say_ports(
	    out, target->flow.proto, target->flow.port, target->flow.port);
	buf_add_cstr(out, ", ");
	say_share(out, in, target);
	buf_add_cstr(out, " of new connections\n");
}

void
explain_route_published(struct arena *a, struct buf *out, const char *indent,
    const struct model *m, const struct route_story *story)
{
	const struct route_ingress *in = &story->ingress;

	if (in->by.rule == NULL)
		return;
	buf_printf(out, "%spublished by ", indent);
	route_say_found(a, out, in->by);
	if (in->target_count == 0) {
		buf_add_cstr(out, ", and no workload is there to take it\n");
	} else {
		buf_printf(out,
		    ": policy is asked of the workloads that it leads to, %s\n",
		    in->by.rule->balance == BALANCE_HASH ? "by the client's address"
							 : "at random");
	}
	for (size_t i = 0; i < in->target_count && i < LISTED_MAX; i++)
		say_target(a, out, indent, m, in, &in->targets[i]);
	if (in->target_count > LISTED_MAX)
		buf_printf(
		    out, "%s  and %zu more\n", indent, in->target_count - LISTED_MAX);
	if (in->target_count > 0 && in->total_weight == 0)
		buf_printf(
		    out, "%s  every weight is 0: none takes new connections\n", indent);
	if (in->second.rule == NULL)
		return;
	buf_printf(out, "%s  not reached: ", indent);
	route_say_found(a, out, in->second);
	buf_add_cstr(out, " publishes the same\n");
}

/* ---- in words: the way ---- */

static void
say_otherwise(struct arena *a, struct buf *out, const char *indent,
    struct route_found by, struct route_found otherwise)
{
	if (by.rule == NULL)
		return;
	buf_printf(out, "%s  without it: ", indent);
	if (otherwise.rule == NULL) {
		buf_add_cstr(out, "as without a Route\n");
		return;
	}
	buf_printf(
	    out, "%s by ", route_action_name(by.rule->kind, otherwise.rule->action));
	route_say_found(a, out, otherwise);
	buf_add_char(out, '\n');
}

/* "sent by", "denied by ... (it has no source ...)" */
static void
say_decision(struct arena *a, struct buf *out, struct route_found by,
    enum route_outcome outcome, enum route_reason reason)
{
	static const char *const why[] = {
	    [ROUTE_REASON_RULE] = "",
	    [ROUTE_REASON_NONE] = "",
	    [ROUTE_REASON_NO_FAMILY] =
		", which has no source or next hop of this family",
	    [ROUTE_REASON_NO_NODE] = ", and no known node is a gateway of it",
	    [ROUTE_REASON_NO_TARGET] = ", and no workload is there to go through",
	    [ROUTE_REASON_INSIDE] = "",
	};

	if (by.rule == NULL) {
		buf_add_cstr(out, "no Route decides: it goes as without one\n");
		return;
	}
	buf_printf(out, "%s by ",
	    outcome == ROUTE_REFUSED ? "denied"
	    : outcome == ROUTE_TAKEN ? "sent"
				     : "direct");
	route_say_found(a, out, by);
	buf_printf(out, "%s\n", why[reason]);
}

static void
say_egress(struct buf *out, const char *indent, const struct route_egress *e)
{
	char text[IP_TEXT_BYTES];

	if (e->outcome != ROUTE_TAKEN)
		return;
	for (size_t i = 0; i < e->source_count; i++)
		buf_printf(out, "%s%s%s", i > 0 ? ", " : indent,
		    i > 0 ? "" : "  source: ", route_prefix_text(&e->sources[i], text));
	buf_add_cstr(out, e->source_count > 0 ? "\n" : "");
	for (size_t i = 0; i < e->gateway_count && i < LISTED_MAX; i++)
		buf_printf(out, "%s%s%.*s", i > 0 ? ", else " : indent,
		    i > 0 ? "" : "  gateway: ", STR_ARG(e->gateways[i]->name));
	if (e->gateway_count > LISTED_MAX)
		buf_printf(out, " and %zu more", e->gateway_count - LISTED_MAX);
	buf_add_cstr(out, e->gateway_count > 0 ? "\n" : "");
	if (e->next_hop != NULL)
		buf_printf(
		    out, "%s  next hop: %s\n", indent, ip_format(e->next_hop, text));
	if (e->table != 0)
		buf_printf(out, "%s  table: %u\n", indent, (unsigned)e->table);
}

static void
say_via(struct buf *out, const char *indent, const struct route_via *v)
{
	for (size_t i = 0; i < v->through_count && i < LISTED_MAX; i++)
		buf_printf(out, "%s%s%.*s", i > 0 ? ", " : indent,
		    i > 0 ? "" : "  through: ", STR_ARG(v->through[i]->shape->display));
	if (v->through_count > LISTED_MAX)
		buf_printf(out, " and %zu more", v->through_count - LISTED_MAX);
	buf_add_cstr(out, v->through_count > 0 ? "\n" : "");
}

void
explain_route_way(struct arena *a, struct buf *out, const char *indent,
    const struct route_story *story)
{
	const struct route_egress *e = &story->egress;
	const struct route_via *v = &story->via;

	if (story->has[ROUTE_EGRESS] && e->reason != ROUTE_REASON_INSIDE) {
		buf_printf(out, "%sroute (egress): ", indent);
		say_decision(a, out, e->by, e->outcome, e->reason);
		say_egress(out, indent, e);
		say_otherwise(a, out, indent, e->by, e->otherwise);
	}
	if (!story->has[ROUTE_VIA] || v->by.rule == NULL)
		return;
	buf_printf(out, "%sroute (via): ", indent);
	say_decision(a, out, v->by, v->outcome, v->reason);
	say_via(out, indent, v);
	say_otherwise(a, out, indent, v->by, v->otherwise);
}

/* ---- JSON ---- */

static void
add_text(struct buf *out, const char *key, const char *text)
{
	explain_json_member(out, key, str_from(text));
}

void
explain_route_rule_json(struct arena *a, struct buf *out, struct route_found found)
{
	const struct route_rule *rule = found.rule;

	if (rule == NULL) {
		buf_add_cstr(out, "null");
		return;
	}
	buf_add_char(out, '{');
	add_text(out, "title", route_rule_title(a, found));
	buf_add_cstr(out, ", ");
	explain_json_member(out, "namespace", found.route->level->path);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "route", found.route->name);
	buf_add_cstr(out, ", ");
	add_text(out, "phase", phase_name(rule->phase));
	buf_add_cstr(out, ", ");
	add_text(out, "kind", route_kind_name(rule->kind));
	buf_printf(out, ", \"index\": %u, ", (unsigned)rule->index);
	explain_json_member(out, "name", rule->name);
	buf_add_cstr(out, ", ");
	add_text(out, "action", route_action_name(rule->kind, rule->action));
	buf_add_cstr(out, ", ");
	explain_json_member(out, "file",
	    rule->loc.source != NULL ? rule->loc.source->name : (struct str){0});
	buf_printf(out, ", \"line\": %u, \"column\": %u}", (unsigned)rule->loc.line,
	    (unsigned)rule->loc.col);
}

static void
add_decision(struct arena *a, struct buf *out, struct route_found by,
    enum route_outcome outcome, enum route_reason reason)
{
	add_text(out, "outcome", outcome_names[outcome]);
	buf_add_cstr(out, ", ");
	add_text(out, "reason", reason_names[reason]);
	buf_add_cstr(out, ", \"rule\": ");
	explain_route_rule_json(a, out, by);
}

static void
add_egress(struct arena *a, struct buf *out, const struct route_egress *e)
{
	char text[IP_TEXT_BYTES];

	buf_add_char(out, '{');
	add_decision(a, out, e->by, e->outcome, e->reason);
	buf_add_cstr(out, ", \"otherwise\": ");
	explain_route_rule_json(a, out, e->otherwise);
	buf_add_cstr(out, ", \"sources\": [");
	for (size_t i = 0; i < e->source_count; i++)
		buf_printf(out, "%s\"%s\"", i > 0 ? ", " : "",
		    route_prefix_text(&e->sources[i], text));
	buf_add_cstr(out, "], \"gateways\": [");
	for (size_t i = 0; i < e->gateway_count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		buf_add_json(out, e->gateways[i]->name);
	}
	buf_add_cstr(out, "], \"nextHop\": ");
	if (e->next_hop != NULL)
		buf_printf(out, "\"%s\"", ip_format(e->next_hop, text));
	else
		buf_add_cstr(out, "null");
	if (e->table != 0)
		buf_printf(out, ", \"table\": %u}", (unsigned)e->table);
	else
		buf_add_cstr(out, ", \"table\": null}");
}

static void
add_target(struct arena *a, struct buf *out, const struct model *m,
    const struct route_ingress *in, const struct route_target *target)
{
	bool allow = target_allowed(a, m, target);
	char text[IP_TEXT_BYTES];

	buf_add_char(out, '{');
	explain_json_member(out, "workload", target->workload->shape->display);
	if (target->flow.dst.has_addr)
		buf_printf(out, ", \"address\": \"%s\"",
		    ip_format(&target->flow.dst.addr, text));
	else
		buf_add_cstr(out, ", \"address\": null");
	buf_printf(out, ", \"port\": %u, \"weight\": %u, \"share\": \"",
	    (unsigned)target->flow.port, (unsigned)target->weight);
	say_share(out, in, target);
	buf_add_cstr(out, "\", ");
	add_text(out, "verdict", action_name(allow ? ACTION_ALLOW : ACTION_DENY));
	buf_add_char(out, '}');
}

static void
add_ingress(struct arena *a, struct buf *out, const struct model *m,
    const struct route_ingress *in)
{
	buf_add_char(out, '{');
	add_decision(a, out, in->by, in->outcome, in->reason);
	buf_add_cstr(out, ", \"notReached\": ");
	explain_route_rule_json(a, out, in->second);
	buf_add_cstr(out, ", ");
	add_text(
	    out, "balance", in->by.rule->balance == BALANCE_HASH ? "hash" : "random");
	buf_add_cstr(out, ", \"targets\": [");
	for (size_t i = 0; i < in->target_count; i++) {
		buf_add_cstr(out, i > 0 ? ",\n    " : "\n    ");
		add_target(a, out, m, in, &in->targets[i]);
	}
	buf_add_cstr(out, "]}");
}

static void
add_via(struct arena *a, struct buf *out, const struct route_via *v)
{
	buf_add_char(out, '{');
	add_decision(a, out, v->by, v->outcome, v->reason);
	buf_add_cstr(out, ", \"otherwise\": ");
	explain_route_rule_json(a, out, v->otherwise);
	buf_add_cstr(out, ", \"through\": [");
	for (size_t i = 0; i < v->through_count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		buf_add_json(out, v->through[i]->shape->display);
	}
	buf_add_cstr(out, "]}");
}

void
explain_route_json(struct arena *a, struct buf *out, const struct model *m,
    const struct route_story *story)
{
	buf_add_cstr(out, "{\"egress\": ");
	if (story->has[ROUTE_EGRESS])
		add_egress(a, out, &story->egress);
	else
		buf_add_cstr(out, "null");
	buf_add_cstr(out, ",\n   \"ingress\": ");
	if (story->has[ROUTE_INGRESS])
		add_ingress(a, out, m, &story->ingress);
	else
		buf_add_cstr(out, "null");
	buf_add_cstr(out, ",\n   \"via\": ");
	if (story->has[ROUTE_VIA])
		add_via(a, out, &story->via);
	else
		buf_add_cstr(out, "null");
	buf_add_char(out, '}');
}

/* ---- what applies to a workload ---- */

typedef void (*route_teller)(
    struct arena *a, struct buf *out, struct route_found found, size_t number);

static size_t
tell_level(struct arena *a, struct buf *out, const struct workload *w,
    const struct ns *level, enum phase phase, enum route_kind kind, size_t number,
    route_teller tell)
{
	for (size_t i = 0; i < level->route_count; i++) {
		const struct route_policy *route = level->routes[i];
		const struct route_list *list = phase == PHASE_MANDATORY
						    ? &route->mandatory[kind]
						    : &route->defaults[kind];

		if (!workload_match_takes(&route->subject, w))
			continue;
		for (size_t j = 0; j < list->count; j++)
			tell(a, out, (struct route_found){route, &list->rules[j]},
			    number++);
	}
	return number;
}

/* Every rule in the order of the walk; returns how many there are. */
static size_t
tell_walk(struct arena *a, struct buf *out, const struct workload *w,
    enum route_kind kind, route_teller tell)
{
	size_t number = 0;

	for (uint32_t depth = 0; depth <= w->ns->depth; depth++) {
		const struct ns *level = w->ns;

		while (level->depth > depth)
			level = level->parent;
		number =
		    tell_level(a, out, w, level, PHASE_MANDATORY, kind, number, tell);
	}
	for (const struct ns *s = w->ns; s != NULL; s = s->parent)
		number = tell_level(a, out, w, s, PHASE_DEFAULT, kind, number, tell);
	return number;
}

static void
tell_text(struct arena *a, struct buf *out, struct route_found found, size_t number)
{
	static const char *const headings[] = {
	    [ROUTE_EGRESS] = "routes, how it leaves, in the order in which they are "
			     "asked:",
	    [ROUTE_INGRESS] = "routes, where it is published, in the order in which "
			      "they are asked:",
	    [ROUTE_VIA] = "routes, what it goes through, in the order in which they "
			  "are asked:",
	};
	const struct route_rule *rule = found.rule;
	size_t before;

	if (number == 0)
		buf_printf(out, "\n%s\n", headings[rule->kind]);
	buf_printf(
	    out, "  %zu. %s ", number + 1, route_action_name(rule->kind, rule->action));
	route_say_reach(out, rule);
	before = out->len;
	buf_add_cstr(out, ": ");
	route_say_effect(out, rule);
	if (out->len == before + 2)
		out->len = before;
	buf_add_cstr(out, "\n     by ");
	route_say_found(a, out, found);
	buf_add_char(out, '\n');
}

void
explain_route_workload_text(struct arena *a, struct buf *out, const struct workload *w)
{
	for (unsigned kind = 0; kind < ROUTE_KIND_COUNT; kind++)
		(void)tell_walk(a, out, w, (enum route_kind)kind, tell_text);
}

static void
tell_json(struct arena *a, struct buf *out, struct route_found found, size_t number)
{
	struct buf words = {0};

	buf_add_cstr(out, number > 0 ? ",\n   {" : "\n   {");
	route_say_reach(&words, found.rule);
	explain_json_member(out, "reach", buf_str(&words));
	buf_clear(&words);
	route_say_effect(&words, found.rule);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "effect", buf_str(&words));
	buf_add_cstr(out, ", \"rule\": ");
	explain_route_rule_json(a, out, found);
	buf_add_char(out, '}');
	buf_free(&words);
}

void
explain_route_workload_json(struct arena *a, struct buf *out, const struct workload *w)
{
	buf_add_char(out, '{');
	for (unsigned kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
		buf_printf(out, "%s\"%s\": [", kind > 0 ? ",\n  " : "",
		    route_kind_name((enum route_kind)kind));
		(void)tell_walk(a, out, w, (enum route_kind)kind, tell_json);
		buf_add_char(out, ']');
	}
	buf_add_char(out, '}');
}
