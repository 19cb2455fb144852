/*
 * Tenants opened to each other. A tenant is a namespace directly below /, where documents
 * say that there is a tree.
 */
#include <roaring/roaring.h>

#include "policy-lang/lint/lint_reach.h"

/* How many workloads of each side are tried, and services of a rule. */
#define ENDS_MAX     4u
#define SERVICES_MAX 4u

struct service_tried {
	uint8_t proto;
	uint16_t port;
};

struct opening {
	struct lint *lint;
	struct lint_classes *classes;
	const struct rule *rule;
};

static bool
has_tree(const struct model *m)
{
	for (size_t i = 0; i < m->ns_count; i++) {
		if (m->namespaces[i]->depth > 0 && m->namespaces[i]->loc.source != NULL)
			return true;
	}
	return false;
}

static const struct ns *
tenant_of(const struct ns *ns)
{
	while (ns->depth > 1)
		ns = ns->parent;
	return ns;
}

/* Some services that the rule allows at `dst`. */
static size_t
services_of(const struct rule *rule, const struct workload *dst,
    struct service_tried out[SERVICES_MAX])
{
	size_t count = 0;

	for (size_t i = 0; i < rule->port_count && count < SERVICES_MAX; i++) {
		const struct port_match *p = &rule->ports[i];

		if (p->kind == PORT_NUMBERS)
			out[count++] = (struct service_tried){
			    p->proto != PROTO_ANY ? p->proto : PROTO_TCP,
			    p->lo > 0 ? p->lo : 1};
		for (size_t j = 0; p->kind == PORT_NAMED &&
				   j < dst->shape->port_count && count < SERVICES_MAX;
		     j++) {
			if (str_eq(dst->shape->ports[j].name, p->name))
				out[count++] =
				    (struct service_tried){dst->shape->ports[j].proto,
					dst->shape->ports[j].port};
		}
	}
	for (size_t i = 0;
	     rule->any_port && i < dst->shape->port_count && count < SERVICES_MAX; i++)
		out[count++] = (struct service_tried){
		    dst->shape->ports[i].proto, dst->shape->ports[i].port};
	if (rule->any_port && count < SERVICES_MAX)
		out[count++] = (struct service_tried){PROTO_TCP, 443};
	return count;
}

/* True, and said, if this rule lets `src` in to `dst`. */
static bool
try_pair(struct opening *o, uint32_t src, uint32_t dst)
{
	struct lint *lint = o->lint;
	const struct workload *from = lint->world.slots[src];
	const struct workload *to = lint->world.slots[dst];
	struct endpoint end = {.kind = ENDPOINT_WORKLOAD, .workload = to};
	struct service_tried services[SERVICES_MAX];
	size_t count = services_of(o->rule, to, services);

	for (size_t i = 0; i < count; i++) {
		struct verdict v;
		enum direction dir;
		char proto[8];
		struct diag *d;

		if (!lint_classes_allowed(o->classes, src, &end, services[i].proto,
			services[i].port, &v, &dir) ||
		    v.rule != o->rule)
			continue;
		d = lint_say(lint, CODE_TENANTS_OPENED, o->rule->loc,
		    "%s lets %.*s into %.*s: %.*s may connect to %.*s at %u/%s",
		    lint_rule_name(lint, o->rule), STR_ARG(tenant_of(from->ns)->path),
		    STR_ARG(tenant_of(to->ns)->path), STR_ARG(from->shape->display),
		    STR_ARG(to->shape->display), (unsigned)services[i].port,
		    proto_name(services[i].proto, proto));
		lint_note(lint, d, from->loc, "which nothing here forbids it to do");
		return true;
	}
	return false;
}

/* Tries workloads of other tenants among the peers: the first of each tenant. */
static bool
try_sources(struct opening *o, uint32_t dst)
{
	struct lint_world *w = &o->lint->world;
	const struct ns *own = tenant_of(w->slots[dst]->ns);
	roaring_uint32_iterator_t *it =
	    roaring_create_iterator(world_rule_peers(w, o->rule));
	bool found = false;

	while (it != NULL && it->has_value && !found &&
	       !lint_stops(o->lint, LINT_TENANTS)) {
		const struct ns *tenant = tenant_of(w->slots[it->current_value]->ns);
		uint32_t end = w->ns_end[tenant->index];
		unsigned tried = 0;

		o->lint->work += 16;
		while (tenant != own && tenant->depth == 1 && it->has_value &&
		       it->current_value < end && tried++ < ENDS_MAX && !found) {
			found = try_pair(o, it->current_value, dst);
			roaring_advance_uint32_iterator(it);
		}
		if (tenant->depth == 0)
			roaring_advance_uint32_iterator(it);
		else
			roaring_move_uint32_iterator_equalorlarger(it, end);
	}
	roaring_free_uint32_iterator(it);
	return found;
}

static void
lint_opening(struct opening *o)
{
	struct lint_world *w = &o->lint->world;
	roaring_bitmap_t *ends = roaring_bitmap_and(
	    world_match(w, &o->rule->policy->subject), o->classes->firsts);
	roaring_uint32_iterator_t *it = roaring_create_iterator(ends);
	unsigned tried = 0;

	for (; it != NULL && it->has_value && tried < ENDS_MAX;
	     roaring_advance_uint32_iterator(it)) {
		if (w->slots[it->current_value]->ns->depth == 0)
			continue;
		tried++;
		if (try_sources(o, it->current_value))
			break;
	}
	roaring_free_uint32_iterator(it);
	roaring_bitmap_free(ends);
}

void
lint_tenants(struct lint *lint, struct lint_classes *classes)
{
	struct opening o = {.lint = lint, .classes = classes};

	for (size_t i = 0; has_tree(lint->m) && i < lint->m->policy_count; i++) {
		const struct policy *p = lint->m->policies[i];

		for (unsigned ph = PHASE_MANDATORY;
		     lint_asks(lint, p) && ph <= PHASE_DEFAULT; ph++) {
			const struct rule_list *list =
			    policy_rules(p, (enum phase)ph, DIR_INGRESS);

			for (size_t j = 0; j < list->count; j++) {
				o.rule = &list->rules[j];
				if (o.rule->action == ACTION_ALLOW)
					lint_opening(&o);
			}
		}
	}
}
