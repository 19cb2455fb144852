#include "policy-lang/explain/test_run.h"

#include <string.h>

#include "common/limits.h"
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/explain/test_internal.h"
#include "policy-lang/model/nearest.h"

/* ---- failures ---- */

/* Who refused; whom a connection would have gone to or through is not kept. */
static const struct route_story *
kept_story(struct arena *a, const struct route_story *story)
{
	struct route_story *kept = ARENA_NEW(a, struct route_story);

	if (story == NULL || story->allow)
		return NULL;
	kept->egress = story->egress;
	kept->via = story->via;
	for (size_t kind = 0; kind < ROUTE_KIND_COUNT; kind++)
		kept->has[kind] = story->has[kind] && kind != ROUTE_INGRESS;
	return kept;
}

void
test_fail(struct trial *t, struct str service, const struct explain_interval *found,
    const struct flow *flow, const char *problem)
{
	struct test_result *result = t->result;
	struct test_failure *failure;

	result->failed++;
	if (result->failure_count == TEST_FAILURES_KEPT)
		return;
	failure = &result->failures[result->failure_count++];
	*failure = (struct test_failure){
	    .from = t->from != NULL ? t->from->text : (struct str){0},
	    .to = t->to != NULL ? t->to->text : (struct str){0},
	    .service = str_dup(t->r->arena, service),
	    .problem = arena_strdup(t->r->arena, problem),
	    .has_found = found != NULL,
	};
	if (found != NULL) {
		failure->found = *found;
		failure->found.story = kept_story(t->r->arena, found->story);
		failure->flow = *flow;
	}
}

static const char *
verdict_text(bool allow)
{
	return action_name(allow ? ACTION_ALLOW : ACTION_DENY);
}

/* ---- `by` ---- */

static bool
names_policy(struct arena *a, const struct policy *policy, struct str by)
{
	const char *title;

	if (policy == NULL)
		return false;
	title = policy_title(a, policy);
	return str_eq(policy->name, by) || str_is(by, title) ||
	       str_is(by, title + strlen(policy_kind_name(policy->kind)) + 1);
}

static bool
names_verdict(struct arena *a, const struct verdict *verdict, struct str by)
{
	if (verdict->rule != NULL && (str_eq(verdict->rule->name, by) ||
					 str_is(by, rule_title(a, verdict->rule))))
		return true;
	return names_policy(a, verdict->policy, by) ||
	       str_is(by, explain_reason_name(verdict->reason));
}

static bool
names_route(struct arena *a, struct route_found found, struct str by)
{
	const char *title;

	if (found.rule == NULL)
		return false;
	title = route_title(a, found.route);
	return str_eq(found.rule->name, by) || str_eq(found.route->name, by) ||
	       str_is(by, title) || str_is(by, title + strlen("Route ")) ||
	       str_is(by, route_rule_title(a, found));
}

/* A Route that refuses has decided. */
static bool
refused_by(const struct trial *t, const struct route_story *story)
{
	struct arena *a = t->r->scratch;

	return (story->egress.outcome == ROUTE_REFUSED &&
		   names_route(a, story->egress.by, t->item->by)) ||
	       (story->via.outcome == ROUTE_REFUSED &&
		   names_route(a, story->via.by, t->item->by));
}

/* A denial is decided where it is denied; an allowed connection at both ends. */
static bool
decided_by(const struct trial *t, const struct explain_interval *found)
{
	for (size_t d = 0; d < DIRECTION_COUNT; d++) {
		const struct verdict *verdict = &found->decisions[d].verdict;

		if ((found->allow || !verdict->allow) &&
		    names_verdict(t->r->scratch, verdict, t->item->by))
			return true;
	}
	return !found->allow && refused_by(t, found->story);
}

#define SUGGESTION_MAX 20

/* The rule or policy that was probably meant by a name that is nobody's; "" if none. */
static struct str
nearest_decider(struct runner *r, struct str by)
{
	struct nearest n = nearest_to(by);

	if (r->suggestions++ >= SUGGESTION_MAX)
		return (struct str){0};
	for (size_t i = 0; i < r->model->policy_count; i++) {
		const struct policy *p = r->model->policies[i];

		nearest_consider(&n, p->name);
		for (size_t d = 0; d < DIRECTION_COUNT; d++) {
			const struct rule_list *lists[] = {
			    &p->mandatory[d], &p->allow[d], &p->defaults[d]};

			for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
				for (size_t k = 0; k < lists[l]->count; k++)
					nearest_consider(&n, lists[l]->rules[k].name);
			}
		}
	}
	return str_eq(n.best, by) ? (struct str){0} : n.best;
}

/* ---- one verdict ---- */

/* Whether what is allowed goes as is expected of Routes. */
static void
judge_way(
    struct trial *t, const struct explain_interval *found, const struct flow *flow)
{
	struct buf service = {0}, problem = {0};

	if (t->item->route == NULL || test_route_holds(t->item->route, &t->leads_to,
					  &t->through, found->story, &problem))
		return;
	explain_say_ports(&service, found->proto, found->lo, found->hi);
	test_fail(t, buf_str(&service), found, flow, problem.data);
	buf_free(&service);
	buf_free(&problem);
}

/* Judges what was found against what is expected. */
static void
judge_found(
    struct trial *t, const struct explain_interval *found, const struct flow *flow)
{
	const struct test_expectation *item = t->item;
	struct buf service = {0}, problem = {0};
	struct str meant;

	if (found->allow == item->allow &&
	    (item->by.len == 0 || decided_by(t, found))) {
		judge_way(t, found, flow);
		return;
	}
	explain_say_ports(&service, found->proto, found->lo, found->hi);
	buf_printf(&problem, "expected %s", verdict_text(item->allow));
	if (item->by.len > 0)
		buf_printf(&problem, " by \"%.*s\"", STR_ARG(item->by));
	buf_printf(&problem, ", found %s", verdict_text(found->allow));
	if (found->allow == item->allow) {
		buf_add_cstr(&problem, " by another");
		meant = nearest_decider(t->r, item->by);
		if (meant.len > 0)
			buf_printf(
			    &problem, "; did you mean \"%.*s\"?", STR_ARG(meant));
	}
	test_fail(t, buf_str(&service), found, flow, problem.data);
	buf_free(&service);
	buf_free(&problem);
}

static bool
goes_with_both(const struct trial *t)
{
	return t->from->selected || t->to->selected;
}

static void
not_comparable(struct trial *t, struct str service)
{
	if (goes_with_both(t))
		return; /* of many ends some are of one family only */
	t->result->checks++;
	test_fail(t, service, NULL, NULL,
	    "the two ends have no pair of addresses to ask about");
}

/* One port, or a protocol without ports. */
static void
try_service(struct trial *t, uint8_t proto, uint16_t port)
{
	struct explain_interval found = {.proto = proto, .lo = port, .hi = port};
	struct route_story story;
	struct buf service = {0};

	if (!route_connection(t->r->scratch, t->r->model, t->r->judge, &t->from->end,
		&t->to->end, proto, port, t->item->family, &story)) {
		explain_say_ports(&service, proto, port, port);
		not_comparable(t, buf_str(&service));
		buf_free(&service);
		return;
	}
	t->result->checks++;
	if (story.allow == t->item->allow && t->item->by.len == 0 &&
	    t->item->route == NULL)
		return;
	found.allow = story.allow;
	found.story = &story;
	for (size_t d = 0; d < DIRECTION_COUNT; d++)
		explain_decide(
		    t->r->model, &story.flow, (enum direction)d, &found.decisions[d]);
	judge_found(t, &found, &story.flow);
}

/* ---- many ports ---- */

/* The interval of a family that a port is in; NULL if the family has not the protocol. */
static const struct explain_interval *
interval_at(const struct explanation *one, uint8_t proto, uint32_t port)
{
	for (size_t i = 0; i < one->interval_count; i++) {
		const struct explain_interval *x = &one->intervals[i];

		if (x->proto == proto && x->lo <= port && port <= x->hi)
			return x;
	}
	return NULL;
}

/* What holds from `port` on: allowed if one family is. False: nobody has the protocol. */
static bool
union_at(const struct explanations *all, uint8_t proto, uint32_t port,
    struct explain_interval *out_found, struct flow *out_flow)
{
	bool any = false;
	uint16_t hi = UINT16_MAX;

	for (size_t i = 0; i < all->count; i++) {
		const struct explain_interval *x =
		    interval_at(&all->items[i], proto, port);

		if (x == NULL)
			continue;
		hi = x->hi < hi ? x->hi : hi;
		if (any && (out_found->allow || !x->allow))
			continue;
		*out_found = *x;
		*out_flow = x->story->flow;
		any = true;
	}
	out_found->lo = (uint16_t)port;
	out_found->hi = hi;
	return any;
}

/* Every port of a range: the first that is not as expected is told. */
static void
try_range(struct trial *t, const struct explanations *all, uint8_t proto, uint16_t lo,
    uint16_t hi)
{
	uint64_t failed = t->result->failed;
	struct explain_interval found;
	struct flow flow;

	for (uint32_t port = lo; port <= hi && t->result->failed == failed;
	     port = found.hi + 1u) {
		if (!union_at(all, proto, port, &found, &flow))
			return;
		if (found.hi > hi)
			found.hi = hi;
		judge_found(t, &found, &flow);
	}
}

static const struct {
	uint8_t proto;
	bool ports;
} every_proto[] = {
    {PROTO_TCP, true},
    {PROTO_UDP, true},
    {PROTO_SCTP, true},
    {PROTO_ICMP, false},
    {PROTO_ICMPV6, false},
    {PROTO_ANY, false},
};

static void
try_everything(struct trial *t, const struct explanations *all)
{
	uint64_t failed = t->result->failed;

	for (size_t i = 0; i < ARRAY_LEN(every_proto); i++) {
		bool ports = every_proto[i].ports;

		if (t->result->failed == failed)
			try_range(t, all, every_proto[i].proto, ports ? 1 : 0,
			    ports ? UINT16_MAX : 0);
	}
}

static void
try_span(struct trial *t, const struct port_match *match)
{
	struct query query = {
	    .src = t->from->end,
	    .dst = t->to->end,
	    .span = match == NULL ? QUERY_EVERYTHING : QUERY_PROTOCOL,
	    .proto = match == NULL ? 0 : match->proto,
	};
	struct explanations all;

	if (!explain_query(t->r->scratch, t->r->model, &query, t->item->family, &all)) {
		not_comparable(t, STR(""));
		return;
	}
	t->result->checks++;
	if (match == NULL)
		try_everything(t, &all);
	else
		try_range(
		    t, &all, match->proto, match->lo > 0 ? match->lo : 1, match->hi);
}

/* A port's name means what the destination gives it. */
static void
try_name(struct trial *t, const struct port_match *match)
{
	const struct workload *w = t->to->end.workload;
	bool any = false;
	struct buf problem = {0};

	for (size_t i = 0; w != NULL && i < w->shape->port_count; i++) {
		const struct named_port *port = &w->shape->ports[i];

		if (!str_eq(port->name, match->name) ||
		    (match->proto != PROTO_ANY && match->proto != port->proto))
			continue;
		try_service(t, port->proto, port->port);
		any = true;
	}
	if (any || t->to->selected)
		return;
	t->result->checks++;
	buf_printf(&problem, "the destination gives no port the name \"%.*s\"",
	    STR_ARG(match->name));
	test_fail(t, match->name, NULL, NULL, problem.data);
	buf_free(&problem);
}

static void
try_port(struct trial *t, const struct port_match *match)
{
	if (match->kind == PORT_NAMED)
		try_name(t, match);
	else if (!proto_has_ports(match->proto))
		try_service(t, match->proto, 0);
	else if (match->lo == match->hi)
		try_service(t, match->proto, match->lo);
	else
		try_span(t, match);
}

static void
try_found(struct trial *t)
{
	bool itself = t->from->end.workload != NULL &&
		      t->from->end.workload == t->to->end.workload;

	if (itself && goes_with_both(t))
		return; /* nothing can forbid it: a selection does not mean it */
	if (t->item->port_count == 0)
		try_span(t, NULL);
	for (size_t i = 0; i < t->item->port_count; i++)
		try_port(t, &t->item->ports[i]);
}

static void
try_pair(struct trial *t)
{
	const struct found_end *to = t->to;
	struct found_end found = {0};

	test_names_teach(t->r, t->result->document, &t->from->end);
	if (!to->is_domain) {
		try_found(t);
	} else if (test_find_domain(t, to, &found)) {
		t->to = &found;
		try_found(t);
		t->to = to;
	}
	arena_reset(t->r->scratch);
}

/* ---- expectations ---- */

static bool
too_many(struct trial *t, const struct found_ends *from, const struct found_ends *to)
{
	size_t ports = t->item->port_count > 0 ? t->item->port_count : 1;
	struct buf problem = {0};

	if (to->count == 0 || ports == 0 ||
	    from->count <= LIMIT_TEST_CHECKS / to->count / ports)
		return false;
	buf_printf(&problem,
	    "%zu ends to %zu ends at %zu ports are too many to ask about (%u)",
	    from->count, to->count, ports, LIMIT_TEST_CHECKS);
	test_fail(t, STR(""), NULL, NULL, problem.data);
	buf_free(&problem);
	return true;
}

/* The workloads that an expectation of Routes names. */
static struct test_named
find_named(struct trial *t, const struct test_end *ends, size_t count)
{
	struct found_ends found = {0};
	struct test_named named = {0};

	test_find_ends(t, ends, count, &found);
	named.items = ARENA_ARRAY(t->r->arena, found.count, const struct workload *);
	for (size_t i = 0; i < found.count; i++) {
		if (found.items[i].end.workload != NULL)
			named.items[named.count++] = found.items[i].end.workload;
	}
	return named;
}

static void
run_expectation(struct runner *r, struct test_result *result)
{
	struct trial t = {.r = r, .result = result, .item = result->item};
	struct found_ends from = {0}, to = {0};

	test_find_ends(&t, t.item->from, t.item->from_count, &from);
	test_find_ends(&t, t.item->to, t.item->to_count, &to);
	if (t.item->route != NULL) {
		t.leads_to = find_named(
		    &t, t.item->route->leads_to, t.item->route->leads_to_count);
		t.through = find_named(
		    &t, t.item->route->through, t.item->route->through_count);
	}
	if (too_many(&t, &from, &to))
		return;
	for (size_t i = 0; i < from.count; i++) {
		for (size_t j = 0; j < to.count; j++) {
			t.from = &from.items[i];
			t.to = &to.items[j];
			try_pair(&t);
		}
	}
	t.from = t.to = NULL;
	if (result->checks == 0)
		test_fail(&t, STR(""), NULL, NULL,
		    "nothing was asked: no pair of these ends has such a port and an "
		    "address family in common");
}

static const char *
make_title(struct arena *a, const struct test_document *d, size_t index)
{
	const struct test_expectation *item = &d->items[index];
	const char *slash = d->ns->depth > 0 ? "/" : "";

	if (item->name.len > 0)
		return arena_printf(a, "%.*s%s%.*s: %.*s", STR_ARG(d->ns->path), slash,
		    STR_ARG(d->name), STR_ARG(item->name));
	return arena_printf(a, "%.*s%s%.*s: expectation %zu", STR_ARG(d->ns->path),
	    slash, STR_ARG(d->name), index + 1);
}

static bool
contains(struct str text, struct str part)
{
	for (size_t i = 0; i + part.len <= text.len; i++) {
		if (str_eq(str_slice(text, i, i + part.len), part))
			return true;
	}
	return false;
}

static void
run_document(struct runner *r, const struct test_document *d, struct str filter,
    struct test_report *report)
{
	test_names_begin(r);
	for (size_t i = 0; i < d->count; i++) {
		struct test_result *result = &report->results[report->count];

		*result = (struct test_result){
		    .document = d,
		    .item = &d->items[i],
		    .title = make_title(r->arena, d, i),
		};
		if (!contains(str_from(result->title), filter)) {
			report->left_out++;
			continue;
		}
		run_expectation(r, result);
		report->count++;
		report->failed += result->failed > 0;
		report->checks += result->checks;
		report->checks_failed += result->failed;
	}
	test_names_end(r);
}

void
test_run(struct arena *a, const struct model *m, struct str filter,
    struct test_report *out_report)
{
	struct runner r = {.arena = a, .with_names = *m};
	size_t count = 0;

	r.model = &r.with_names;
	r.scratch = arena_new();
	r.resolver = resolver_new(a, r.model);
	r.judge = judge_new(r.model);
	for (size_t i = 0; i < m->test_count; i++)
		count += m->tests[i]->count;
	*out_report = (struct test_report){0};
	out_report->results = ARENA_ARRAY(a, count, struct test_result);
	for (size_t i = 0; i < m->test_count; i++)
		run_document(&r, m->tests[i], filter, out_report);
	judge_free(r.judge);
	resolver_free(r.resolver);
	arena_free(r.scratch);
}
