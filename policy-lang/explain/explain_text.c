/*
 * An explanation for people. For each end: who decided, in a sentence; who would have
 * otherwise; then every level that has something to say, in the order of the walk (the line
 * that decided is marked, what stands after it was not reached), and the whole walk in
 * one line. Without a port: the same for each part of port space that is decided alike.
 */
#include "common/map.h"
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/explain/explain_limits.h"
#include "policy-lang/explain/explain_route.h"
#include "policy-lang/model/learnt.h"

static const char *
allow_text(bool allow)
{
	return action_name(allow ? ACTION_ALLOW : ACTION_DENY);
}

/* ---- the ends ---- */

static void
print_end(struct buf *out, const struct endpoint *end)
{
	char text[IP_TEXT_BYTES];

	endpoint_print(out, end);
	if (end->has_addr && end->kind != ENDPOINT_ADDRESS)
		buf_printf(out, " (%s)", ip_format(&end->addr, text));
}

/* What a name turned out to be, where that is not what it looks like. */
static void
print_note(struct buf *out, struct str text, const struct endpoint *end)
{
	if (end->kind == ENDPOINT_NODE && end->workload != NULL) {
		buf_printf(out,
		    "note: %.*s uses its node's network (hostNetwork): to every policy "
		    "it is ",
		    STR_ARG(end->workload->shape->display));
		endpoint_print(out, end);
		buf_add_char(out, '\n');
	} else if (end->stand_in) {
		buf_printf(out,
		    "note: no outside address of %.*s is known: it is judged as one "
		    "that the "
		    "source got by this name, in no network that a rule names\n",
		    STR_ARG(text));
	} else if (end->kind == ENDPOINT_ADDRESS && end->name.len == 0) {
		buf_printf(out,
		    "note: no workload and no node is known to have %.*s: it counts as "
		    "the outside\n",
		    STR_ARG(text));
	}
}

static void
print_name(void *ctx, const struct learnt_entry *entry)
{
	struct buf *out = ctx;

	buf_printf(out, " %.*s", STR_ARG(entry->name));
}

static bool
denied_by_name(const struct explanation *one)
{
	const struct rule *rule = one->walks[DIR_EGRESS].verdict.rule;

	return rule != NULL && rule->action == ACTION_DENY && rule_has_names(rule);
}

/* By what names the source knows where it goes, where that may matter. */
static void
print_known(struct buf *out, const struct model *m, const struct explanation *one)
{
	const struct endpoint *src = &one->flow.src, *dst = &one->flow.dst;
	const struct learnt *learnt = m->options.learnt;
	struct buf names = {0};
	struct str tenant;

	if (src->kind != ENDPOINT_WORKLOAD || dst->kind != ENDPOINT_ADDRESS ||
	    dst->stand_in)
		return;
	tenant = ns_tenant(src->workload->ns);
	if (learnt != NULL)
		learnt_names(learnt, tenant, &dst->addr, print_name, &names);
	if (names.len > 0)
		buf_printf(
		    out, "note: /%.*s knows it as%s\n", STR_ARG(tenant), names.data);
	else if (denied_by_name(one))
		buf_printf(out,
		    "note: /%.*s knows it by no name: what is denied by name takes it "
		    "in\n",
		    STR_ARG(tenant));
	buf_free(&names);
}

static void
print_notes(struct buf *out, const struct explanations *all,
    const struct explanation *one, bool published)
{
	const struct query *query = &all->query;
	char closed[IP_TEXT_BYTES];

	if (all->pending)
		buf_add_cstr(out, "note: a change of policy that this tells of is not "
				  "in force yet\n");
	if (one->closed != NULL)
		buf_printf(out,
		    "note: %s is in workloadNetworks, and no workload and no node is "
		    "known to have it: this node lets nothing from or to it, whatever "
		    "policy says\n",
		    ip_format(&one->closed->addr, closed));
	if (one->refused_by != NULL)
		buf_printf(out, "note: this node denies it, by its number %u, %s\n",
		    (unsigned)one->refused_number, one->refused_by);
	if (one->note != NULL)
		buf_printf(out, "note: %s\n", one->note);
	if (one->closed != &one->flow.src)
		print_note(out, query->src_text, &query->src);
	if (published || one->closed == &one->flow.dst)
		return;
	print_note(out, query->dst_text, &query->dst);
	print_known(out, all->model, one);
}

/* ---- one direction ---- */

/* "leaving shop/web[Pod] (egress)" */
static void
print_heading(struct buf *out, const struct endpoint *self, enum direction dir)
{
	buf_add_cstr(out, dir == DIR_EGRESS ? "leaving " : "arriving at ");
	endpoint_print(out, self);
	buf_printf(out, " (%s): ", direction_name(dir));
}

static void
print_without(struct arena *a, struct buf *out, const char *indent,
    const struct explain_decision *decision, enum direction dir,
    const struct endpoint *self)
{
	if (!decision->has_otherwise)
		return;
	buf_printf(out, "%swithout %s: ", indent,
	    decision->verdict.reason == REASON_ISOLATION ? "its allow block" : "it");
	explain_say_verdict(a, out, &decision->otherwise, dir, self);
	buf_add_char(out, '\n');
}

/* Who has the last word here: what somebody who wants another verdict needs to know. */
static void
print_who_can_change(struct buf *out, const struct verdict *verdict, enum direction dir)
{
	if (verdict->allow)
		return;
	if (verdict->reason == REASON_CLUSTER_DEFAULT)
		buf_printf(out,
		    "  to open it: any policy that applies here may allow %s\n",
		    direction_name(dir));
	else if (verdict->reason == REASON_ISOLATION)
		buf_printf(out,
		    "  to open it: add a rule to %s.%s, in this policy or another "
		    "of %.*s that applies here\n",
		    phase_name(PHASE_ALLOW), direction_name(dir),
		    STR_ARG(verdict->level->path));
	else if (verdict->rule->phase == PHASE_MANDATORY)
		buf_printf(out,
		    "  mandatory: nothing below %.*s can change this; ask who writes "
		    "policy there\n",
		    STR_ARG(verdict->level->path));
	else
		buf_printf(out,
		    "  default: a rule of %s or %s nearer to the workload%s "
		    "overrides it\n",
		    phase_name(PHASE_ALLOW), phase_name(PHASE_DEFAULT),
		    verdict->level->depth > 0 ? ", or before it at this level," : "");
}

static const char *
step_title(struct arena *a, const struct step *step)
{
	return step->rule != NULL ? rule_title(a, step->rule)
				  : policy_title(a, step->policy);
}

/* "deny: Policy /guard rule 0 "no-metadata" (world.yaml:39:9)" */
static void
print_step_result(
    struct arena *a, struct buf *out, const struct step *step, enum direction dir)
{
	const struct verdict source = {.rule = step->rule, .policy = step->policy};
	const char *place = loc_text(a, explain_verdict_loc(&source, dir));

	if (step->isolation)
		buf_printf(out, "deny: isolated by %s, and no rule allows this (%s)",
		    step_title(a, step), place);
	else
		buf_printf(out, "%s: %s (%s)", action_name(step->rule->action),
		    step_title(a, step), place);
}

static void
print_step(struct arena *a, struct buf *out, const struct step *step,
    enum direction dir, bool reached)
{
	buf_printf(out, "  %c %-9s %-20.*s ", step->kind == STEP_DECIDED ? '>' : ' ',
	    phase_name(step->phase), STR_ARG(step->level->path));
	switch (step->kind) {
	case STEP_NO_MATCH:
		buf_add_cstr(out,
		    reached ? "no rule matches" : "not reached; no rule would match");
		break;
	case STEP_UNREACHED:
		buf_add_cstr(out, "not reached; would be ");
		print_step_result(a, out, step, dir);
		break;
	case STEP_PASS:
	case STEP_DECIDED:
		print_step_result(a, out, step, dir);
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

		if (step->kind == STEP_PASS)
			what = "pass";
		else if (step->kind == STEP_DECIDED)
			what = allow_text(step->allow);
		buf_printf(out, "%s[%s %.*s] %s", arrow, phase_name(step->phase),
		    STR_ARG(step->level->path), what);
		if (step->kind == STEP_DECIDED)
			break;
		arrow = " -> ";
	}
	if (walk->verdict.reason == REASON_CLUSTER_DEFAULT)
		buf_printf(out, "%s[cluster default] %s", arrow,
		    allow_text(walk->verdict.allow));
	buf_add_char(out, '\n');
}

static void
print_walk(
    struct arena *a, struct buf *out, const struct explanation *one, enum direction dir)
{
	const struct walk *walk = &one->walks[dir];
	const struct explain_decision *decision = &one->intervals[0].decisions[dir];
	const struct endpoint *self = explain_self(&one->flow, dir);
	bool reached = true;

	buf_add_char(out, '\n');
	print_heading(out, self, dir);
	explain_say_verdict(a, out, &walk->verdict, dir, self);
	buf_add_char(out, '\n');
	print_without(a, out, "  ", decision, dir, self);
	print_who_can_change(out, &walk->verdict, dir);
	for (size_t i = 0; i < walk->step_count; i++) {
		print_step(a, out, &walk->steps[i], dir, reached);
		reached &= walk->steps[i].kind != STEP_DECIDED;
	}
	if (walk->step_count > 0)
		print_walkthrough(out, walk);
}

/* ---- both ends must consent ---- */

static void
print_consent(struct buf *out, const char *indent, bool out_allowed, bool in_allowed)
{
	if (out_allowed && in_allowed)
		return;
	buf_add_cstr(out, indent);
	if (out_allowed)
		buf_add_cstr(out,
		    "both ends must allow a connection: the source lets it "
		    "out, the destination does not let it in\n");
	else if (in_allowed)
		buf_add_cstr(out, "both ends must allow a connection: the destination "
				  "would let it in, the source does not let it out\n");
	else
		buf_add_cstr(out, "both ends must allow a connection: neither does\n");
}

/* Both ends consent, and the way is closed. */
static void
print_closed_way(struct buf *out, const char *indent, bool closed, bool allow,
    bool out_allowed, bool in_allowed)
{
	if (!allow && out_allowed && in_allowed)
		buf_printf(out, "%sboth ends allow it, and %s does not\n", indent,
		    closed ? "the node" : "a Route");
}

/* ---- one port ---- */

static void
print_service(struct arena *a, struct buf *out, const struct explanations *all,
    const struct explanation *one, const char *families)
{
	const struct explain_interval *interval = &one->intervals[0];
	bool published = one->story->has[ROUTE_INGRESS];

	buf_printf(out, "%s: ", allow_text(one->allow));
	print_end(out, &one->flow.src);
	buf_add_cstr(out, " to ");
	print_end(out, published ? &all->query.dst : &one->flow.dst);
	buf_printf(out, ", %.*s%s\n", STR_ARG(all->query.service_text), families);
	print_notes(out, all, one, published);
	explain_route_published(a, out, "", all->model, one->story);
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		print_walk(a, out, one, explain_order[d]);
	buf_add_char(out, '\n');
	if (all->model->route_count > 0)
		explain_route_way(a, out, "", one->story);
	print_consent(out, "", one->walks[DIR_EGRESS].verdict.allow,
	    one->walks[DIR_INGRESS].verdict.allow);
	print_closed_way(out, "", one->closed != NULL || one->refused_by != NULL,
	    one->allow, one->walks[DIR_EGRESS].verdict.allow,
	    one->walks[DIR_INGRESS].verdict.allow);
	explain_watched_text(a, out, all, one);
	if (interval->hi == 0)
		return;
	if (interval->lo == interval->hi)
		buf_add_cstr(out, "the ports beside it are decided otherwise\n");
	else if (interval->lo == 1 && interval->hi == UINT16_MAX)
		buf_add_cstr(out, "the same holds for every port of this protocol\n");
	else
		buf_printf(out, "the same holds for ports %u to %u\n",
		    (unsigned)interval->lo, (unsigned)interval->hi);
}

/* ---- the whole port space ---- */

/* Intervals of one fate, told together. */
struct group {
	const struct explain_interval *first;
	struct buf ports;
};

struct groups {
	struct arena *arena;
	struct map by_fate; /* -> struct group, in the order of their first ports */
};

static void
add_verdict_key(struct buf *key, const struct verdict *v)
{
	const void *parts[] = {v->rule, v->policy, v->level};

	buf_add(key, parts, sizeof(parts));
	buf_printf(key, "%d.%d;", v->allow, (int)v->reason);
}

static void
add_route_key(struct buf *key, const struct route_story *story)
{
	const void *rules[] = {
	    story->egress.by.rule, story->ingress.by.rule, story->via.by.rule};

	buf_add(key, rules, sizeof(rules));
	buf_printf(key, "%d.%d.%zu;", (int)story->egress.outcome,
	    (int)story->via.outcome, story->ingress.target_count);
}

static void
group_add(struct groups *groups, const struct explain_interval *interval)
{
	struct buf key = {0};
	struct group *group;

	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		add_verdict_key(&key, &interval->decisions[d].verdict);
		add_verdict_key(&key, &interval->decisions[d].otherwise);
	}
	add_route_key(&key, interval->story);
	group = map_get(&groups->by_fate, buf_str(&key));
	if (group == NULL) {
		group = ARENA_NEW(groups->arena, struct group);
		group->first = interval;
		(void)map_set(&groups->by_fate, str_dup(groups->arena, buf_str(&key)),
		    group); /* new */
	}
	buf_add_cstr(&group->ports, group->ports.len > 0 ? ", " : "");
	explain_say_ports(&group->ports, interval->proto, interval->lo, interval->hi);
	buf_free(&key);
}

static void
print_group(struct arena *a, struct buf *out, const struct explanations *all,
    const struct group *group, bool closed)
{
	const struct explain_interval *interval = group->first;

	buf_printf(out, "\n%s: %.*s\n", allow_text(interval->allow),
	    STR_ARG(buf_str(&group->ports)));
	explain_route_published(a, out, "  ", all->model, interval->story);
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		enum direction dir = explain_order[d];
		const struct endpoint *self = explain_self(&interval->story->flow, dir);

		buf_printf(out, "  %s: ", direction_name(dir));
		explain_say_verdict(
		    a, out, &interval->decisions[dir].verdict, dir, self);
		buf_add_char(out, '\n');
		print_without(a, out, "    ", &interval->decisions[dir], dir, self);
	}
	if (all->model->route_count > 0)
		explain_route_way(a, out, "  ", interval->story);
	print_consent(out, "  ", interval->decisions[DIR_EGRESS].verdict.allow,
	    interval->decisions[DIR_INGRESS].verdict.allow);
	print_closed_way(out, "  ", closed, interval->allow,
	    interval->decisions[DIR_EGRESS].verdict.allow,
	    interval->decisions[DIR_INGRESS].verdict.allow);
}

static void
print_space(struct arena *a, struct buf *out, const struct explanations *all,
    const struct explanation *one, const char *families)
{
	struct groups groups = {.arena = a};

	print_end(out, &one->flow.src);
	buf_add_cstr(out, " to ");
	print_end(out, &one->flow.dst);
	buf_printf(out, ", %s%.*s%s\n",
	    all->query.span == QUERY_EVERYTHING ? "every protocol and port"
						: "every port of ",
	    STR_ARG(all->query.service_text), families);
	print_notes(out, all, one, false);
	for (size_t i = 0; i < one->interval_count; i++)
		group_add(&groups, &one->intervals[i]);
	for (size_t i = 0; i < groups.by_fate.len; i++) {
		struct group *group = groups.by_fate.entries[i].value;

		print_group(a, out, all, group, one->closed != NULL);
		buf_free(&group->ports);
	}
	map_fini(&groups.by_fate);
}

/* ---- both families ---- */

static bool
same_step(const struct step *x, const struct step *y)
{
	return x->level == y->level && x->phase == y->phase && x->kind == y->kind &&
	       x->rule == y->rule && x->policy == y->policy && x->allow == y->allow;
}

static bool
same_walk(const struct walk *x, const struct walk *y)
{
	if (x->step_count != y->step_count ||
	    !explain_same_verdict(&x->verdict, &y->verdict))
		return false;
	for (size_t i = 0; i < x->step_count; i++) {
		if (!same_step(&x->steps[i], &y->steps[i]))
			return false;
	}
	return true;
}

/* What is told of a Route has addresses of one family. */
static bool
same_routes(const struct route_story *x, const struct route_story *y)
{
	return explain_route_same(x, y) && x->egress.outcome != ROUTE_TAKEN &&
	       x->ingress.by.rule == NULL;
}

/* ICMP aside, which each family has its own of. */
static bool
same_interval(const struct explain_interval *x, const struct explain_interval *y)
{
	bool icmp = x->proto == PROTO_ICMP && y->proto == PROTO_ICMPV6;

	return (x->proto == y->proto || icmp) && x->lo == y->lo && x->hi == y->hi &&
	       x->allow == y->allow && same_routes(x->story, y->story) &&
	       explain_same_decision(&x->decisions[0], &y->decisions[0]) &&
	       explain_same_decision(&x->decisions[1], &y->decisions[1]);
}

/* True if the second family has nothing else to tell than the first. */
static bool
families_agree(const struct explanations *all)
{
	const struct explanation *x = &all->items[0], *y = &all->items[1];

	if (all->count != 2 || x->interval_count != y->interval_count)
		return false;
	for (size_t i = 0; i < x->interval_count; i++) {
		if (!same_interval(&x->intervals[i], &y->intervals[i]))
			return false;
	}
	return all->query.span != QUERY_SERVICE ||
	       (same_walk(&x->walks[0], &y->walks[0]) &&
		   same_walk(&x->walks[1], &y->walks[1]));
}

void
explain_print_text(struct arena *a, struct buf *out, const struct explanations *all)
{
	bool agree = families_agree(all);

	for (size_t i = 0; i < (agree ? 1 : all->count); i++) {
		const struct explanation *one = &all->items[i];
		const char *families = "";

		if (agree)
			families = " (IPv6 likewise)";
		else if (all->count > 1)
			families = one->family == IP_V6 ? ", IPv6" : ", IPv4";
		buf_add_cstr(out, i > 0 ? "\n" : "");
		if (all->query.span == QUERY_SERVICE)
			print_service(a, out, all, one, families);
		else
			print_space(a, out, all, one, families);
	}
	if (all->count > 1 && !agree)
		buf_printf(out, "\n%s: a connection is allowed if one family is\n",
		    allow_text(all->allow));
	if (all->allow)
		explain_limits_text(a, out, &all->items[0].flow);
}
