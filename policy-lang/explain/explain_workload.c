/*
 * What applies to one workload: its policies in the order of its walk.
 */
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/explain/explain_limits.h"
#include "policy-lang/explain/explain_route.h"

/* One stop of the walk: a level and a phase in which something applies. */
struct stop {
	const struct ns *level;
	enum phase phase;
	bool reached; /* nothing before it is final for everything */
	bool isolates;
};

struct listing {
	struct arena *arena;
	struct buf *out;
	const struct model *model;
	const struct workload *w;
	enum direction dir;
	/* For each form: a stop begins, a policy at it. */
	void (*stop)(struct listing *l, const struct stop *stop);
	void (*policy)(
	    struct listing *l, const struct stop *stop, const struct policy *policy);
	void (*stop_end)(struct listing *l);
	unsigned stops, policies;
	bool isolated;
};

static bool
has_say(const struct listing *l, const struct policy *p, enum phase phase)
{
	bool says = phase == PHASE_ALLOW ? p->isolates[l->dir]
					 : policy_rules(p, phase, l->dir)->count > 0;

	return says && policy_applies(p, l->w);
}

static void
visit(struct listing *l, const struct ns *level, enum phase phase)
{
	struct stop stop = {
	    .level = level,
	    .phase = phase,
	    .reached = !l->isolated,
	    .isolates = phase == PHASE_ALLOW,
	};

	l->policies = 0;
	for (size_t i = 0; i < level->policy_count; i++) {
		if (!has_say(l, level->policies[i], phase))
			continue;
		if (l->policies == 0)
			l->stop(l, &stop);
		l->policy(l, &stop, level->policies[i]);
		l->policies++;
	}
	if (l->policies == 0)
		return;
	l->stop_end(l);
	l->stops++;
	l->isolated |= stop.isolates;
}

static const struct ns *
level_at(const struct ns *leaf, uint32_t depth)
{
	while (leaf->depth > depth)
		leaf = leaf->parent;
	return leaf;
}

/* mandatory from the root down, then allow and default from the leaf up. */
static void
visit_all(struct listing *l, enum direction dir)
{
	const struct ns *leaf = l->w->ns;

	l->dir = dir;
	l->isolated = false;
	l->stops = 0;
	for (uint32_t depth = 0; depth <= leaf->depth; depth++)
		visit(l, level_at(leaf, depth), PHASE_MANDATORY);
	for (const struct ns *s = leaf; s != NULL; s = s->parent) {
		visit(l, s, PHASE_ALLOW);
		visit(l, s, PHASE_DEFAULT);
	}
}

/* ---- text ---- */

static const char *const phase_laws[] = {
    [PHASE_MANDATORY] =
	"the first rule that matches decides; nothing below can change it",
    [PHASE_ALLOW] = "isolates: whatever no rule here allows is denied",
    [PHASE_DEFAULT] = "the first rule that matches decides",
};

static void
text_stop(struct listing *l, const struct stop *stop)
{
	buf_printf(l->out, "  %u. %s, written at %.*s: %s%s\n", l->stops + 1,
	    phase_name(stop->phase), STR_ARG(stop->level->path),
	    phase_laws[stop->phase],
	    stop->reached ? "" : " (never reached: isolated before)");
}

static void
text_policy(struct listing *l, const struct stop *stop, const struct policy *policy)
{
	const struct rule_list *rules = policy_rules(policy, stop->phase, l->dir);

	buf_printf(l->out, "     %s (%s)\n", policy_title(l->arena, policy),
	    loc_text(l->arena, policy->loc));
	if (rules->count == 0)
		buf_add_cstr(l->out, "       allows nothing\n");
	for (size_t i = 0; i < rules->count; i++) {
		const struct rule *rule = &rules->rules[i];

		buf_printf(l->out, "       %s ", action_name(rule->action));
		explain_say_reach(l->out, rule);
		if (rule->name.len > 0)
			buf_printf(l->out, "  \"%.*s\"", STR_ARG(rule->name));
		buf_printf(l->out, "  (line %u)\n", (unsigned)rule->loc.line);
	}
}

static void
text_stop_end(struct listing *l UNUSED)
{
}

static void
text_direction(struct listing *l, enum direction dir)
{
	buf_printf(l->out, "\n%s\n",
	    dir == DIR_INGRESS
		? "ingress, who may connect to it, in the order in which it is judged:"
		: "egress, where it may connect to, in the order in which it is "
		  "judged:");
	visit_all(l, dir);
	buf_printf(l->out, "  %u. the cluster default: %s%s\n", l->stops + 1,
	    action_name(l->model->options.default_deny ? ACTION_DENY : ACTION_ALLOW),
	    l->isolated ? " (never reached: isolated before)" : "");
	buf_printf(l->out, "  so it is %s in this direction\n",
	    l->isolated ? "isolated: what is not allowed is denied" : "not isolated");
}

static void
text_labels(struct buf *out, const struct workload *w)
{
	for (size_t i = 0; i < w->shape->labels.count; i++)
		buf_printf(out, "%s%.*s=%.*s",
		    i > 0 ? ", " : "  labels: ", STR_ARG(w->shape->labels.items[i].key),
		    STR_ARG(w->shape->labels.items[i].value));
	if (w->shape->labels.count > 0)
		buf_add_char(out, '\n');
}

static void
text_workload(struct buf *out, const struct workload *w)
{
	char text[IP_TEXT_BYTES];

	buf_printf(
	    out, "%.*s, in %.*s", STR_ARG(w->shape->display), STR_ARG(w->ns->path));
	if (w->where->node.len > 0)
		buf_printf(out, ", on node %.*s", STR_ARG(w->where->node));
	buf_add_char(out, '\n');
	for (size_t i = 0; i < w->ip_count; i++)
		buf_printf(out, "%s%s",
		    i > 0 ? ", " : "  addresses: ", ip_format(&w->ips[i], text));
	if (w->ip_count > 0)
		buf_add_char(out, '\n');
	text_labels(out, w);
}

void
explain_workload_text(
    struct arena *a, struct buf *out, const struct model *m, const struct endpoint *end)
{
	struct listing l = {
	    .arena = a,
	    .out = out,
	    .model = m,
	    .w = end->workload,
	    .stop = text_stop,
	    .policy = text_policy,
	    .stop_end = text_stop_end,
	};

	if (end->kind != ENDPOINT_WORKLOAD) {
		if (end->workload != NULL)
			buf_printf(out,
			    "%.*s uses its node's network (hostNetwork): to every "
			    "policy it is ",
			    STR_ARG(end->workload->shape->display));
		endpoint_print(out, end);
		buf_printf(out,
		    "%s no policy of its own applies to %s: only the other end's is "
		    "asked\n",
		    end->workload != NULL ? ";" : ":",
		    end->kind == ENDPOINT_NODE ? "a node" : "the outside");
		return;
	}
	text_workload(out, end->workload);
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		text_direction(&l, (enum direction)d);
	explain_route_workload_text(a, out, end->workload);
	explain_limits_workload_text(a, out, end->workload);
}

/* ---- JSON ---- */

static void
json_stop(struct listing *l, const struct stop *stop)
{
	buf_add_cstr(l->out, l->stops > 0 ? ",\n   {" : "\n   {");
	explain_json_member(l->out, "phase", str_from(phase_name(stop->phase)));
	buf_add_cstr(l->out, ", ");
	explain_json_member(l->out, "level", stop->level->path);
	buf_printf(l->out, ", \"reached\": %s, \"policies\": [",
	    stop->reached ? "true" : "false");
}

static void
json_policy(struct listing *l, const struct stop *stop, const struct policy *policy)
{
	const struct rule_list *rules = policy_rules(policy, stop->phase, l->dir);
	struct buf words = {0};

	buf_add_cstr(l->out, l->policies > 0 ? ",\n    {" : "\n    {");
	buf_add_cstr(l->out, "\"policy\": ");
	explain_json_source(l->arena, l->out, policy, NULL, l->dir);
	buf_add_cstr(l->out, ", \"rules\": [");
	for (size_t i = 0; i < rules->count; i++) {
		buf_add_cstr(l->out, i > 0 ? ",\n     {" : "\n     {");
		explain_json_member(
		    l->out, "action", str_from(action_name(rules->rules[i].action)));
		buf_clear(&words);
		explain_say_reach(&words, &rules->rules[i]);
		buf_add_cstr(l->out, ", ");
		explain_json_member(l->out, "reach", buf_str(&words));
		buf_add_cstr(l->out, ", \"rule\": ");
		explain_json_source(l->arena, l->out, policy, &rules->rules[i], l->dir);
		buf_add_char(l->out, '}');
	}
	buf_add_cstr(l->out, "]}");
	buf_free(&words);
}

static void
json_stop_end(struct listing *l)
{
	buf_add_cstr(l->out, "]}");
}

void
explain_workload_json(
    struct arena *a, struct buf *out, const struct model *m, const struct endpoint *end)
{
	struct listing l = {
	    .arena = a,
	    .out = out,
	    .model = m,
	    .w = end->workload,
	    .stop = json_stop,
	    .policy = json_policy,
	    .stop_end = json_stop_end,
	};

	buf_add_char(out, '{');
	explain_json_end(out, "workload", end);
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		buf_printf(out, ",\n \"%s\": ", direction_name((enum direction)d));
		if (end->kind != ENDPOINT_WORKLOAD) {
			buf_add_cstr(out, "null");
			continue;
		}
		buf_add_cstr(out, "{\"walk\": [");
		visit_all(&l, (enum direction)d);
		buf_printf(
		    out, "],\n  \"isolated\": %s, ", l.isolated ? "true" : "false");
		explain_json_member(out, "clusterDefault",
		    str_from(action_name(
			m->options.default_deny ? ACTION_DENY : ACTION_ALLOW)));
		buf_add_char(out, '}');
	}
	if (end->kind == ENDPOINT_WORKLOAD && m->route_count > 0) {
		buf_add_cstr(out, ",\n \"routes\": ");
		explain_route_workload_json(a, out, end->workload);
	}
	if (end->kind == ENDPOINT_WORKLOAD)
		explain_limits_workload_json(out, end->workload);
	buf_add_cstr(out, "}\n");
}
