/*
 * An explanation for people. For each end: every level that has something to say, in the
 * order of the walk; the line that decided is marked; what stands after it was not
 * reached; and at the bottom the whole walk in one line.
 */
#include "policy-lang/explain.h"

static const char *
allow_text(bool allow)
{
	return allow ? "allow" : "deny";
}

static const char *
step_title(struct arena *a, const struct step *step)
{
	return step->rule != NULL ? rule_title(a, step->rule)
				  : policy_title(a, step->policy);
}

/* "deny by NetworkPolicy shop/db, which isolates and lets this in nowhere (db.yaml:3:1)" */
static void
print_decision(
    struct arena *a, struct buf *out, const struct step *step, enum direction dir)
{
	const char *place = loc_text(a, explain_step_loc(step, dir));

	if (step->isolation)
		buf_printf(out, "deny: isolated by %s, and no rule allows this (%s)",
		    step_title(a, step), place);
	else if (step->rule->action == ACTION_PASS)
		buf_printf(out, "pass: %s (%s)", step_title(a, step), place);
	else
		buf_printf(out, "%s: %s (%s)", allow_text(step->allow),
		    step_title(a, step), place);
}

static void
print_step(
    struct arena *a, struct buf *out, const struct step *step, enum direction dir)
{
	buf_printf(out, "  %c %-9s %-20.*s ", step->kind == STEP_DECIDED ? '>' : ' ',
	    phase_name(step->phase), STR_ARG(step->level->path));
	switch (step->kind) {
	case STEP_NO_MATCH:
		buf_add_cstr(out, "no rule matches");
		break;
	case STEP_PASS:
	case STEP_DECIDED:
		print_decision(a, out, step, dir);
		break;
	case STEP_UNREACHED:
		buf_add_cstr(out, "not reached; would be ");
		print_decision(a, out, step, dir);
		break;
	}
	buf_add_char(out, '\n');
}

/* "[mandatory /] no match -> [allow /shop] deny" */
static void
print_walkthrough(struct buf *out, const struct walk *walk)
{
	const char *arrow = "";

	buf_add_cstr(out, "    ");
	for (size_t i = 0; i < walk->step_count; i++) {
		const struct step *step = &walk->steps[i];
		const char *what = "no match";

		if (step->kind == STEP_UNREACHED)
			break;
		if (step->kind == STEP_PASS)
			what = "pass";
		else if (step->kind == STEP_DECIDED)
			what = allow_text(step->allow);
		buf_printf(out, "%s[%s %.*s] %s", arrow, phase_name(step->phase),
		    STR_ARG(step->level->path), what);
		arrow = " -> ";
	}
	if (walk->verdict.reason == REASON_CLUSTER_DEFAULT)
		buf_printf(out, "%s[cluster default] %s", arrow,
		    allow_text(walk->verdict.allow));
	buf_add_char(out, '\n');
}

/* Who would have decided, had the level that did been silent. */
static void
print_otherwise(struct arena *a, struct buf *out, const struct explanations *all,
    const struct walk *walk, enum direction dir)
{
	const struct step *step = explain_otherwise(walk);

	buf_printf(out, "    if the %s rules of %.*s were silent: ",
	    walk->verdict.reason == REASON_ISOLATION
		? phase_name(PHASE_ALLOW)
		: phase_name(walk->verdict.rule->phase),
	    STR_ARG(walk->verdict.level->path));
	if (step != NULL)
		print_decision(a, out, step, dir);
	else
		buf_printf(out, "%s: the cluster default",
		    allow_text(!all->model->options.default_deny));
	buf_add_char(out, '\n');
}

static void
print_reason(struct buf *out, const struct walk *walk, const struct endpoint *self)
{
	switch (walk->verdict.reason) {
	case REASON_RULE:
	case REASON_ISOLATION:
		break;
	case REASON_CLUSTER_DEFAULT:
		buf_printf(out, "  > nothing decides: the cluster default is %s\n",
		    allow_text(walk->verdict.allow));
		break;
	case REASON_NO_POLICY:
		buf_printf(out, "  > %s has no policy of its own\n",
		    self->kind == ENDPOINT_NODE ? "a node" : "the outside");
		break;
	case REASON_SELF:
		buf_add_cstr(out, "  > a workload always reaches itself\n");
		break;
	case REASON_OWN_NODE:
		buf_add_cstr(
		    out, "  > a node always reaches the workloads that run on it\n");
		break;
	}
}

static void
print_walk(struct arena *a, struct buf *out, const struct explanations *all,
    const struct explanation *one, enum direction dir)
{
	const struct walk *walk = &one->walks[dir];
	const struct endpoint *self = explain_self(&one->flow, dir);

	buf_printf(out, "\n%s of ", direction_name(dir));
	endpoint_print(out, self);
	buf_printf(out, ": %s\n", allow_text(walk->verdict.allow));
	for (size_t i = 0; i < walk->step_count; i++)
		print_step(a, out, &walk->steps[i], dir);
	print_reason(out, walk, self);
	if (walk->verdict.reason == REASON_RULE ||
	    walk->verdict.reason == REASON_ISOLATION)
		print_otherwise(a, out, all, walk, dir);
	if (walk->step_count > 0)
		print_walkthrough(out, walk);
}

static void
print_end(struct buf *out, const struct endpoint *end)
{
	char text[IP_TEXT_BYTES];

	endpoint_print(out, end);
	if (end->has_addr && end->kind != ENDPOINT_ADDRESS)
		buf_printf(out, " (%s)", ip_format(&end->addr, text));
}

void
explain_print_text(struct arena *a, struct buf *out, const struct explanations *all)
{
	for (size_t i = 0; i < all->count; i++) {
		const struct explanation *one = &all->items[i];

		if (i > 0)
			buf_add_char(out, '\n');
		buf_printf(out, "%s: ", allow_text(one->allow));
		print_end(out, &one->flow.src);
		buf_add_cstr(out, " to ");
		print_end(out, &one->flow.dst);
		buf_printf(out, ", %.*s", STR_ARG(all->query.service_text));
		if (all->count > 1)
			buf_printf(out, ", IPv%u", one->family);
		buf_add_char(out, '\n');
		print_walk(a, out, all, one, DIR_EGRESS);
		print_walk(a, out, all, one, DIR_INGRESS);
	}
	if (all->count > 1)
		buf_printf(out, "\n%s: a connection is allowed if one family is\n",
		    allow_text(all->allow));
}
