#include "policy-lang/explain/test_route.h"

/* ---- what it is instead ---- */

static void
say_addresses(struct buf *out, const struct ip_prefix *list, size_t count)
{
	char text[IP_TEXT_BYTES];

	for (size_t i = 0; i < count; i++) {
		buf_printf(
		    out, "%s%s", i > 0 ? ", " : "", ip_format(&list[i].addr, text));
		if (list[i].len != ip_bits(list[i].addr.family))
			buf_printf(out, "/%u", (unsigned)list[i].len);
	}
	buf_add_cstr(out, count == 0 ? "its own address" : "");
}

static void
say_nodes(struct buf *out, const struct route_egress *e)
{
	for (size_t i = 0; i < e->gateway_count; i++)
		buf_printf(
		    out, "%s%.*s", i > 0 ? ", " : "", STR_ARG(e->gateways[i]->name));
	buf_add_cstr(out, e->gateway_count == 0 ? "its own node" : "");
}

/* ---- is it as expected? ---- */

static bool
covered(const struct ip_prefix *wanted, size_t count, const struct ip_prefix *one)
{
	for (size_t i = 0; i < count; i++) {
		if (wanted[i].len <= one->len && ip_in_prefix(&one->addr, &wanted[i]))
			return true;
	}
	return false;
}

static bool
sources_hold(const struct test_route *want, const struct route_egress *e)
{
	bool ok = e->source_count > 0;

	for (size_t i = 0; i < e->source_count; i++)
		ok = ok && covered(want->sources, want->source_count, &e->sources[i]);
	return ok;
}

static bool
gateways_hold(const struct test_route *want, const struct route_egress *e)
{
	bool ok = e->gateway_count == want->gateway_count;

	for (size_t i = 0; ok && i < e->gateway_count; i++)
		ok = str_eq(e->gateways[i]->name, want->gateways[i]);
	return ok;
}

static bool
hop_holds(const struct test_route *want, const struct route_egress *e)
{
	struct ip_prefix hop;

	if (e->next_hop == NULL)
		return false;
	hop = (struct ip_prefix){*e->next_hop, (uint8_t)ip_bits(e->next_hop->family)};
	return covered(want->next_hops, want->next_hop_count, &hop);
}

static bool
egress_holds(
    const struct test_route *want, const struct route_egress *e, struct buf *problem)
{
	if (want->source_count > 0 && !sources_hold(want, e)) {
		buf_add_cstr(problem, "it leaves with ");
		say_addresses(problem, e->sources, e->source_count);
		return false;
	}
	if (want->gateway_count > 0 && !gateways_hold(want, e)) {
		buf_add_cstr(problem, "it leaves by ");
		say_nodes(problem, e);
		return false;
	}
	if (want->next_hop_count > 0 && !hop_holds(want, e)) {
		char text[IP_TEXT_BYTES];

		buf_printf(problem, "its next hop is %s",
		    e->next_hop != NULL ? ip_format(e->next_hop, text)
					: "the node's choice");
		return false;
	}
	return true;
}

static bool
is_among(const struct test_named *named, const struct workload *w)
{
	for (size_t i = 0; i < named->count; i++) {
		if (named->items[i] == w)
			return true;
	}
	return false;
}

static bool
says_other(struct buf *problem, const char *what, const struct workload *w)
{
	buf_printf(problem, "it %s %.*s", what, STR_ARG(w->shape->display));
	return false;
}

static bool
through_holds(const struct test_named *named, const struct route_story *story,
    struct buf *problem)
{
	const struct route_via *v = &story->via;

	if (!story->has[ROUTE_VIA] || v->outcome != ROUTE_TAKEN) {
		buf_add_cstr(problem, "it goes through nothing");
		return false;
	}
	for (size_t i = 0; i < v->through_count; i++) {
		if (!is_among(named, v->through[i]))
			return says_other(problem, "may go through", v->through[i]);
	}
	return true;
}

/* Those of no weight get nothing. */
static bool
leads_hold(const struct test_named *named, const struct route_story *story,
    struct buf *problem)
{
	const struct route_ingress *in = &story->ingress;

	if (!story->has[ROUTE_INGRESS]) {
		buf_add_cstr(problem, "nobody publishes it");
		return false;
	}
	for (size_t i = 0; i < in->target_count; i++) {
		if (in->targets[i].weight > 0 &&
		    !is_among(named, in->targets[i].workload))
			return says_other(
			    problem, "may lead to", in->targets[i].workload);
	}
	return true;
}

static bool
is_direct(const struct route_story *story, struct buf *problem)
{
	if (story->has[ROUTE_EGRESS] && story->egress.outcome == ROUTE_TAKEN)
		buf_add_cstr(problem, "a Route says how it leaves");
	else if (story->has[ROUTE_INGRESS])
		buf_add_cstr(problem, "it is published");
	else if (story->has[ROUTE_VIA] && story->via.outcome == ROUTE_TAKEN)
		buf_add_cstr(problem, "it goes through something");
	else
		return true;
	return false;
}

bool
test_route_holds(const struct test_route *want, const struct test_named *leads_to,
    const struct test_named *through, const struct route_story *story,
    struct buf *problem)
{
	static const struct route_egress none = {0};
	bool leaves = story->has[ROUTE_EGRESS] && story->egress.outcome == ROUTE_TAKEN;

	if (want->direct)
		return is_direct(story, problem);
	if (!egress_holds(want, leaves ? &story->egress : &none, problem))
		return false;
	if (want->leads_to_count > 0 && !leads_hold(leads_to, story, problem))
		return false;
	return want->through_count == 0 || through_holds(through, story, problem);
}
