/*
 * An explanation for programs.
 */
#include "policy-lang/explain.h"

static const char *const reason_names[] = {
    [REASON_RULE] = "rule",
    [REASON_ISOLATION] = "isolation",
    [REASON_CLUSTER_DEFAULT] = "cluster-default",
    [REASON_NO_POLICY] = "no-policy",
    [REASON_SELF] = "self",
    [REASON_OWN_NODE] = "own-node",
};

static const char *const result_names[] = {
    [STEP_NO_MATCH] = "no-match",
    [STEP_PASS] = "pass",
    [STEP_DECIDED] = "decided",
    [STEP_UNREACHED] = "unreached",
};

static void
add_member(struct buf *out, const char *key, struct str value)
{
	buf_printf(out, "\"%s\": ", key);
	buf_add_json(out, value);
}

static void
add_end(struct buf *out, const char *key, const struct endpoint *end)
{
	struct buf text = {0};

	endpoint_print(&text, end);
	add_member(out, key, buf_str(&text));
	buf_free(&text);
}

static void
add_address(struct buf *out, const char *key, const struct endpoint *end)
{
	char text[IP_TEXT_BYTES];

	if (end->has_addr)
		add_member(out, key, str_from(ip_format(&end->addr, text)));
	else
		buf_printf(out, "\"%s\": null", key);
}

static void
add_verdict(struct buf *out, bool allow)
{
	add_member(out, "verdict", allow ? STR("allow") : STR("deny"));
}

/* The rule of a step, or the policy that isolates; null where nothing matched. */
static void
add_source(
    struct arena *a, struct buf *out, const struct step *step, enum direction dir)
{
	const struct policy *policy = step->policy;
	struct loc loc = explain_step_loc(step, dir);

	if (policy == NULL) {
		buf_add_cstr(out, "\"rule\": null");
		return;
	}
	buf_add_cstr(out, "\"rule\": {");
	add_member(out, "title",
	    str_from(step->rule != NULL ? rule_title(a, step->rule)
					: policy_title(a, policy)));
	buf_add_cstr(out, ", ");
	add_member(out, "kind", str_from(policy_kind_name(policy->kind)));
	buf_add_cstr(out, ", ");
	add_member(out, "namespace", policy->namespace_text);
	buf_add_cstr(out, ", ");
	add_member(out, "policy", policy->name);
	if (step->rule != NULL) {
		buf_printf(out, ", \"index\": %u, ", (unsigned)step->rule->index);
		add_member(out, "name", step->rule->name);
	}
	buf_add_cstr(out, ", ");
	add_member(
	    out, "file", loc.source != NULL ? loc.source->name : (struct str){0});
	buf_printf(out, ", \"line\": %u, \"column\": %u}", (unsigned)loc.line,
	    (unsigned)loc.col);
}

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
	const char *action = step_action(step);

	buf_add_char(out, '{');
	add_member(out, "level", step->level->path);
	buf_add_cstr(out, ", ");
	add_member(out, "phase", str_from(phase_name(step->phase)));
	buf_add_cstr(out, ", ");
	add_member(out, "result", str_from(result_names[step->kind]));
	buf_add_cstr(out, ", ");
	if (action != NULL)
		add_member(out, "action", str_from(action));
	else
		buf_add_cstr(out, "\"action\": null");
	buf_printf(out, ", \"isolation\": %s, ", step->isolation ? "true" : "false");
	add_source(a, out, step, dir);
	buf_add_char(out, '}');
}

static void
add_otherwise(struct buf *out, const struct explanations *all, const struct walk *walk)
{
	const struct step *step = explain_otherwise(walk);
	bool allow = step != NULL ? step->allow : !all->model->options.default_deny;

	if (walk->verdict.reason != REASON_RULE &&
	    walk->verdict.reason != REASON_ISOLATION) {
		buf_add_cstr(out, "\"otherwise\": null");
		return;
	}
	add_member(out, "otherwise", allow ? STR("allow") : STR("deny"));
}

static void
add_walk(struct arena *a, struct buf *out, const struct explanations *all,
    const struct explanation *one, enum direction dir)
{
	const struct walk *walk = &one->walks[dir];

	buf_printf(out, "\"%s\": {", direction_name(dir));
	add_end(out, "end", explain_self(&one->flow, dir));
	buf_add_cstr(out, ", ");
	add_verdict(out, walk->verdict.allow);
	buf_add_cstr(out, ", ");
	add_member(out, "reason", str_from(reason_names[walk->verdict.reason]));
	buf_add_cstr(out, ", ");
	add_otherwise(out, all, walk);
	buf_add_cstr(out, ", \"steps\": [");
	for (size_t i = 0; i < walk->step_count; i++) {
		buf_add_cstr(out, i > 0 ? ",\n   " : "\n   ");
		add_step(a, out, &walk->steps[i], dir);
	}
	buf_add_cstr(out, "]}");
}

void
explain_print_json(struct arena *a, struct buf *out, const struct explanations *all)
{
	char proto[8];

	buf_add_char(out, '{');
	add_end(out, "src", &all->query.src);
	buf_add_cstr(out, ", ");
	add_end(out, "dst", &all->query.dst);
	buf_add_cstr(out, ", ");
	add_member(out, "proto", str_from(proto_name(all->query.proto, proto)));
	buf_printf(out, ", \"port\": %u, ", (unsigned)all->query.port);
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
		buf_add_cstr(out, ",\n  ");
		add_walk(a, out, all, one, DIR_EGRESS);
		buf_add_cstr(out, ",\n  ");
		add_walk(a, out, all, one, DIR_INGRESS);
		buf_add_char(out, '}');
	}
	buf_add_cstr(out, "]}\n");
}
