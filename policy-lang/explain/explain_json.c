/*
 * An explanation for programs. What a decision is made of is the same wherever one is
 * told: see explain_json_verdict.
 */
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/explain/explain_limits.h"
#include "policy-lang/explain/explain_route.h"

static const char *const reason_names[] = {
    [REASON_RULE] = "rule",
    [REASON_ISOLATION] = "isolation",
    [REASON_CLUSTER_DEFAULT] = "cluster-default",
    [REASON_NO_POLICY] = "no-policy",
    [REASON_SELF] = "self",
    [REASON_OWN_NODE] = "own-node",
    [REASON_FAIL_SAFE] = "fail-safe",
    [REASON_NODE_OPEN] = "node-open",
};

static const char *const result_names[] = {
    [STEP_NO_MATCH] = "no-match",
    [STEP_PASS] = "pass",
    [STEP_DECIDED] = "decided",
    [STEP_UNREACHED] = "unreached",
};

const char *
explain_reason_name(enum verdict_reason reason)
{
	return reason_names[reason];
}

void
explain_json_member(struct buf *out, const char *key, struct str value)
{
	buf_printf(out, "\"%s\": ", key);
	buf_add_json(out, value);
}

static void
add_text(struct buf *out, const char *key, const char *value)
{
	if (value != NULL)
		explain_json_member(out, key, str_from(value));
	else
		buf_printf(out, "\"%s\": null", key);
}

void
explain_json_end(struct buf *out, const char *key, const struct endpoint *end)
{
	struct buf text = {0};

	endpoint_print(&text, end);
	explain_json_member(out, key, buf_str(&text));
	buf_free(&text);
}

static void
add_address(struct buf *out, const char *key, const struct endpoint *end)
{
	char text[IP_TEXT_BYTES];

	add_text(out, key, end->has_addr ? ip_format(&end->addr, text) : NULL);
}

static void
add_verdict(struct buf *out, bool allow)
{
	add_text(out, "verdict", action_name(allow ? ACTION_ALLOW : ACTION_DENY));
}

void
explain_json_source(struct arena *a, struct buf *out, const struct policy *policy,
    const struct rule *rule, enum direction dir)
{
	struct verdict verdict = {.rule = rule, .policy = policy};
	struct loc loc = explain_verdict_loc(&verdict, dir);

	if (policy == NULL) {
		buf_add_cstr(out, "null");
		return;
	}
	buf_add_char(out, '{');
	add_text(
	    out, "title", rule != NULL ? rule_title(a, rule) : policy_title(a, policy));
	buf_add_cstr(out, ", ");
	add_text(out, "kind", policy_kind_name(policy->kind));
	buf_add_cstr(out, ", ");
	explain_json_member(out, "namespace", policy->namespace_text);
	buf_add_cstr(out, ", ");
	explain_json_member(out, "policy", policy->name);
	if (rule != NULL) {
		buf_printf(out, ", \"index\": %u, ", (unsigned)rule->index);
		explain_json_member(out, "name", rule->name);
	}
	buf_add_cstr(out, ", ");
	explain_json_member(
	    out, "file", loc.source != NULL ? loc.source->name : (struct str){0});
	buf_printf(out, ", \"line\": %u, \"column\": %u}", (unsigned)loc.line,
	    (unsigned)loc.col);
}

/* The phase in which a verdict fell; NULL where no policy decided. */
static const char *
verdict_phase(const struct verdict *verdict)
{
	if (verdict->rule != NULL)
		return phase_name(verdict->rule->phase);
	return verdict->policy != NULL ? phase_name(PHASE_ALLOW) : NULL;
}

/* The members of explain_json_verdict, without braces. */
static void
explain_json_verdict_members(
    struct arena *a, struct buf *out, const struct verdict *verdict, enum direction dir)
{
	add_text(out, "direction", direction_name(dir));
	buf_add_cstr(out, ", ");
	add_verdict(out, verdict->allow);
	buf_add_cstr(out, ", ");
	add_text(out, "reason", reason_names[verdict->reason]);
	buf_add_cstr(out, ", ");
	add_text(out, "phase", verdict_phase(verdict));
	buf_add_cstr(out, ", ");
	if (verdict->level != NULL)
		explain_json_member(out, "level", verdict->level->path);
	else
		add_text(out, "level", NULL);
	buf_add_cstr(out, ", \"rule\": ");
	explain_json_source(a, out, verdict->policy, verdict->rule, dir);
}

void
explain_json_verdict(
    struct arena *a, struct buf *out, const struct verdict *verdict, enum direction dir)
{
	buf_add_char(out, '{');
	explain_json_verdict_members(a, out, verdict, dir);
	buf_add_char(out, '}');
}

static void
add_decision(struct arena *a, struct buf *out, const struct explain_decision *decision,
    enum direction dir)
{
	explain_json_verdict_members(a, out, &decision->verdict, dir);
	buf_add_cstr(out, ",\n    \"otherwise\": ");
	if (decision->has_otherwise)
		explain_json_verdict(a, out, &decision->otherwise, dir);
	else
		buf_add_cstr(out, "null");
}

/* ---- intervals ---- */

static void
add_interval(struct buf *out, const struct explain_interval *interval)
{
	char proto[8];

	if (interval->proto == PROTO_ANY)
		add_text(out, "proto", "other");
	else
		add_text(out, "proto", proto_name(interval->proto, proto));
	if (interval->hi > 0)
		buf_printf(out, ", \"from\": %u, \"to\": %u", (unsigned)interval->lo,
		    (unsigned)interval->hi);
	else
		buf_add_cstr(out, ", \"from\": null, \"to\": null");
}

/* Only where there are Routes. */
static void
add_routes(struct arena *a, struct buf *out, const struct model *m,
    const struct route_story *story)
{
	if (m->route_count == 0)
		return;
	buf_add_cstr(out, ",\n  \"routes\": ");
	explain_route_json(a, out, m, story);
}

static void
add_intervals(struct arena *a, struct buf *out, const struct model *m,
    const struct explanation *one)
{
	buf_add_cstr(out, "\"intervals\": [");
	for (size_t i = 0; i < one->interval_count; i++) {
		const struct explain_interval *interval = &one->intervals[i];

		buf_add_cstr(out, i > 0 ? ",\n  {" : "\n  {");
		add_interval(out, interval);
		buf_add_cstr(out, ", ");
		add_verdict(out, interval->allow);
		for (size_t d = 0; d < DIRECTION_COUNT; d++) {
			enum direction dir = explain_order[d];

			buf_printf(out, ",\n   \"%s\": {", direction_name(dir));
			add_decision(a, out, &interval->decisions[dir], dir);
			buf_add_char(out, '}');
		}
		add_routes(a, out, m, interval->story);
		buf_add_char(out, '}');
	}
	buf_add_char(out, ']');
}

/* ---- walks ---- */

static const char *
step_action(const struct step *step)
{
	if (step->rule != NULL)
		return action_name(step->rule->action);
	return step->isolation ? action_name(ACTION_DENY) : NULL;
}

static void
add_step(struct arena *a, struct buf *out, const struct step *step, enum direction dir)
{
	buf_add_char(out, '{');
	explain_json_member(out, "level", step->level->path);
	buf_add_cstr(out, ", ");
	add_text(out, "phase", phase_name(step->phase));
	buf_add_cstr(out, ", ");
	add_text(out, "result", result_names[step->kind]);
	buf_add_cstr(out, ", ");
	add_text(out, "action", step_action(step));
	buf_printf(
	    out, ", \"isolation\": %s, \"rule\": ", step->isolation ? "true" : "false");
	explain_json_source(a, out, step->policy, step->rule, dir);
	buf_add_char(out, '}');
}

static void
add_walk(
    struct arena *a, struct buf *out, const struct explanation *one, enum direction dir)
{
	const struct walk *walk = &one->walks[dir];

	buf_printf(out, "\"%s\": {", direction_name(dir));
	explain_json_end(out, "end", explain_self(&one->flow, dir));
	buf_add_cstr(out, ", ");
	add_decision(a, out, &one->intervals[0].decisions[dir], dir);
	buf_add_cstr(out, ",\n    \"steps\": [");
	for (size_t i = 0; i < walk->step_count; i++) {
		buf_add_cstr(out, i > 0 ? ",\n     " : "\n     ");
		add_step(a, out, &walk->steps[i], dir);
	}
	buf_add_cstr(out, "]}");
}

static void
add_walks(struct arena *a, struct buf *out, const struct explanation *one)
{
	buf_add_cstr(out, "\"interval\": {");
	add_interval(out, &one->intervals[0]);
	buf_add_char(out, '}');
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		buf_add_cstr(out, ",\n  ");
		add_walk(a, out, one, explain_order[d]);
	}
}

static void
add_question(struct buf *out, const struct query *query)
{
	char proto[8];

	explain_json_end(out, "src", &query->src);
	buf_add_cstr(out, ", ");
	explain_json_end(out, "dst", &query->dst);
	buf_add_cstr(out, ", ");
	add_text(out, "proto",
	    query->span == QUERY_EVERYTHING ? NULL : proto_name(query->proto, proto));
	if (query->span == QUERY_SERVICE)
		buf_printf(out, ", \"port\": %u, ", (unsigned)query->port);
	else
		buf_add_cstr(out, ", \"port\": null, ");
}

/* What the node that was asked says beside policy. */
static void
add_here(struct buf *out, const struct explanation *one)
{
	if (one->refused_by != NULL) {
		buf_printf(out, ", \"refused\": {\"number\": %u, ",
		    (unsigned)one->refused_number);
		add_text(out, "by", one->refused_by);
		buf_add_char(out, '}');
	}
	if (one->note != NULL) {
		buf_add_cstr(out, ", ");
		add_text(out, "note", one->note);
	}
}

void
explain_print_json(struct arena *a, struct buf *out, const struct explanations *all)
{
	buf_add_char(out, '{');
	add_question(out, &all->query);
	add_verdict(out, all->allow);
	buf_add_cstr(out, ", \"families\": [");
	for (size_t i = 0; i < all->count; i++) {
		const struct explanation *one = &all->items[i];

		buf_add_cstr(out, i > 0 ? ",\n {" : "\n {");
		if (one->family != 0)
			buf_printf(out, "\"family\": %u, ", one->family);
		else
			buf_add_cstr(out, "\"family\": null, ");
		add_address(out, "srcAddress", &one->flow.src);
		buf_add_cstr(out, ", ");
		add_address(out, "dstAddress", &one->flow.dst);
		buf_add_cstr(out, ", ");
		add_verdict(out, one->allow);
		if (one->closed != NULL) {
			buf_add_cstr(out, ", ");
			add_address(out, "closed", one->closed);
		}
		add_here(out, one);
		buf_add_cstr(out, ",\n  ");
		if (all->query.span == QUERY_SERVICE) {
			add_walks(a, out, one);
			add_routes(a, out, all->model, one->story);
			explain_watched_json(a, out, all, one);
		} else {
			add_intervals(a, out, all->model, one);
		}
		buf_add_char(out, '}');
	}
	buf_add_char(out, ']');
	if (all->allow)
		explain_limits_json(out, &all->items[0].flow);
	if (all->pending)
		buf_add_cstr(out, ",\n \"pending\": true");
	buf_add_cstr(out, "}\n");
}
