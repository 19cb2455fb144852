/*
 * What workloads cannot do without, and what they are cut off from: names (DNS) and the
 * API server. And what policy says nothing about.
 */
#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/lint/lint_classes.h"
#include "policy-lang/lint/lint_reach.h"

/* ---- isolation ---- */

static void
lint_isolation(struct lint *lint)
{
	for (size_t i = 0; i < lint->m->policy_count; i++) {
		const struct policy *p = lint->m->policies[i];

		for (unsigned d = 0; lint_asks(lint, p) && d < DIRECTION_COUNT; d++) {
			if (p->isolates[d] && p->allow[d].count == 0)
				lint_say(lint, CODE_ISOLATES_WHOLLY, p->isolate_loc[d],
				    "%s isolates its workloads in %s and allows "
				    "nothing",
				    lint_policy_name(lint, p),
				    direction_name((enum direction)d));
		}
	}
}

static bool
concerns(const struct policy *p, enum direction dir)
{
	return p->isolates[dir] || p->mandatory[dir].count > 0 ||
	       p->defaults[dir].count > 0;
}

/* The slots that no policy selects in a direction; the caller frees it. */
static roaring_bitmap_t *
unselected(struct lint *lint, enum direction dir)
{
	roaring_bitmap_t *left = roaring_bitmap_copy(world_all(&lint->world));

	if (left == NULL)
		base_die("out of memory");
	for (size_t i = 0; i < lint->m->policy_count; i++) {
		const struct policy *p = lint->m->policies[i];

		if (concerns(p, dir) && !roaring_bitmap_is_empty(left))
			roaring_bitmap_andnot_inplace(
			    left, world_match(&lint->world, &p->subject));
	}
	return left;
}

static void
lint_unselected(struct lint *lint)
{
	for (unsigned d = 0; d < DIRECTION_COUNT && lint->m->policy_count > 0; d++) {
		roaring_bitmap_t *left = unselected(lint, (enum direction)d);
		const struct workload *first = lint_first_of(lint, left);

		if (first != NULL)
			lint_say(lint, CODE_UNSELECTED, first->loc,
			    "no policy selects %" PRIu64
			    " of %u workloads in %s; this is the first of them",
			    roaring_bitmap_get_cardinality(left),
			    lint->world.slot_count, direction_name((enum direction)d));
		roaring_bitmap_free(left);
	}
}

/* ---- who cuts what ---- */

/* A rule that denies, or a policy that isolates in a direction. */
struct culprit {
	const struct rule *rule; /* or NULL: isolation */
	const struct policy *policy;
	enum direction dir;
	uint64_t workloads;
	const struct workload *example;
	bool udp, tcp;
};

struct culprits {
	struct lint *lint;
	struct map by_key; /* pointer and direction -> struct culprit */
};

static struct culprit *
culprit_of(struct culprits *all, const struct verdict *v, enum direction dir)
{
	const void *key = v->rule != NULL ? (const void *)v->rule : v->policy;
	char bytes[sizeof(key) + 1];
	struct str text = {bytes, sizeof(bytes)};
	struct culprit *c;

	memcpy(bytes, &key, sizeof(key));
	bytes[sizeof(key)] = (char)dir;
	c = map_get(&all->by_key, text);
	if (c != NULL)
		return c;
	c = ARENA_NEW(all->lint->arena, struct culprit);
	*c = (struct culprit){.rule = v->rule, .policy = v->policy, .dir = dir};
	(void)map_set(&all->by_key, str_dup(all->lint->arena, text), c);
	return c;
}

static void
say_culprit(
    struct lint *lint, const struct culprit *c, enum diag_code code, const char *what)
{
	struct diag *d = lint_say(lint, code,
	    c->rule != NULL ? c->rule->loc : c->policy->isolate_loc[c->dir],
	    "%s cuts %" PRIu64 " workload%s off from %s",
	    c->rule != NULL ? lint_rule_name(lint, c->rule)
			    : lint_policy_name(lint, c->policy),
	    c->workloads, c->workloads == 1 ? "" : "s", what);

	lint_note(lint, d, c->example->loc, "%.*s is %s",
	    STR_ARG(c->example->shape->display),
	    c->workloads == 1 ? "the one" : "one of them");
}

/* ---- DNS ---- */

#define DNS_ENDS_MAX 8u

struct dns {
	struct lint_classes *classes;
	uint32_t ends[DNS_ENDS_MAX]; /* slots */
	size_t end_count;
	const struct service *service; /* or NULL */
	struct culprits culprits;
};

static bool
is_dns_pod(const struct workload *w)
{
	for (size_t i = 0; i < w->shape->labels.count; i++) {
		if (str_is(w->shape->labels.items[i].key, "k8s-app") &&
		    str_is(w->shape->labels.items[i].value, "kube-dns"))
			return w->kube != NULL;
	}
	return false;
}

static void
add_dns_end(struct dns *dns, uint32_t slot)
{
	for (size_t i = 0; i < dns->end_count; i++) {
		if (dns->ends[i] == slot)
			return;
	}
	if (dns->end_count < DNS_ENDS_MAX)
		dns->ends[dns->end_count++] = slot;
}

/* The pods behind a Service named kube-dns, or labelled as it labels them. */
static void
find_dns(struct dns *dns, struct lint *lint)
{
	const struct model *m = lint->m;

	for (size_t i = 0; i < m->service_count; i++) {
		const struct service *s = m->services[i];
		struct workload_match ends = {.kube = s->kube, .selector = s->selector};
		roaring_uint32_iterator_t *it;

		if (!str_is(s->name, "kube-dns") || s->selector == NULL)
			continue;
		dns->service = s;
		it = roaring_create_iterator(world_match(&lint->world, &ends));
		for (; it != NULL && it->has_value && dns->end_count < DNS_ENDS_MAX;
		     roaring_advance_uint32_iterator(it))
			add_dns_end(dns, it->current_value);
		roaring_free_uint32_iterator(it);
	}
	for (uint32_t i = 0; i < lint->world.slot_count; i++) {
		if (is_dns_pod(lint->world.slots[i]))
			add_dns_end(dns, i);
	}
}

/* The port of a pod that port 53 of the Service leads to. */
static uint16_t
dns_port(const struct dns *dns, const struct workload *w, uint8_t proto)
{
	const struct service *s = dns->service;

	for (size_t i = 0; s != NULL && i < s->port_count; i++) {
		if (s->ports[i].port != 53 || s->ports[i].proto != proto)
			continue;
		if (s->ports[i].target != 0)
			return s->ports[i].target;
		for (size_t j = 0; j < w->shape->port_count; j++) {
			if (w->shape->ports[j].proto == proto &&
			    str_eq(w->shape->ports[j].name, s->ports[i].target_name))
				return w->shape->ports[j].port;
		}
	}
	return 53;
}

/* A workload that may connect to nobody needs no names. */
static bool
is_shut(const struct lint_class *k, const struct verdict *v, enum direction dir)
{
	if (dir == DIR_INGRESS || v->reason != REASON_ISOLATION)
		return false;
	for (size_t i = 0; i < k->policy_count; i++) {
		if (k->policies[i]->level == v->level &&
		    k->policies[i]->allow[DIR_EGRESS].count > 0)
			return false;
	}
	return true;
}

static void
ask_dns(struct dns *dns, const struct lint_class *k, uint8_t proto)
{
	const struct lint_world *w = &dns->classes->lint->world;
	struct verdict first = {0};
	enum direction first_dir = DIR_EGRESS;
	struct culprit *c;

	for (size_t i = 0; i < dns->end_count; i++) {
		const struct workload *pod = w->slots[dns->ends[i]];
		struct endpoint end = {.kind = ENDPOINT_WORKLOAD, .workload = pod};
		struct verdict v;
		enum direction dir;

		if (dns->ends[i] == k->first ||
		    lint_classes_allowed(dns->classes, k->first, &end, proto,
			dns_port(dns, pod, proto), &v, &dir))
			return;
		if (i == 0) {
			first = v;
			first_dir = dir;
		}
	}
	if (first.policy == NULL || is_shut(k, &first, first_dir))
		return; /* the cluster's default, which its user chose */
	c = culprit_of(&dns->culprits, &first, first_dir);
	if (c->example == NULL)
		c->example = w->slots[k->first];
	if (proto == PROTO_UDP || !c->udp)
		c->workloads += k->size;
	c->udp |= proto == PROTO_UDP;
	c->tcp |= proto == PROTO_TCP;
}

/* ---- DNS, where its pods are not known ---- */

/* Isolated in egress, allowed something, and DNS is nowhere in it. */
static bool
speaks_of_dns(const struct rule *rule)
{
	if (rule->any_port)
		return true;
	for (size_t i = 0; i < rule->port_count; i++) {
		const struct port_match *p = &rule->ports[i];

		if (p->kind == PORT_NAMED)
			return true; /* may be the name of DNS */
		if ((p->proto == PROTO_UDP || p->proto == PROTO_ANY) && p->lo <= 53 &&
		    p->hi >= 53)
			return true;
	}
	return false;
}

static void
guess_dns(struct dns *dns, const struct lint_class *k)
{
	const struct policy *isolating = NULL;
	size_t rules = 0;
	struct culprit *c;

	for (size_t i = k->policy_count; i-- > 0;) {
		const struct policy *p = k->policies[i];

		if (!p->isolates[DIR_EGRESS] ||
		    (isolating != NULL && p->level != isolating->level))
			continue;
		isolating = p;
		rules += p->allow[DIR_EGRESS].count;
		for (size_t j = 0; j < p->allow[DIR_EGRESS].count; j++) {
			if (speaks_of_dns(&p->allow[DIR_EGRESS].rules[j]))
				return;
		}
	}
	if (rules == 0)
		return;
	c = culprit_of(
	    &dns->culprits, &(struct verdict){.policy = isolating}, DIR_EGRESS);
	if (c->example == NULL)
		c->example = dns->classes->lint->world.slots[k->first];
	c->workloads += k->size;
	c->udp = c->tcp = true;
}

static void
lint_dns(struct lint *lint, struct lint_classes *classes)
{
	struct dns dns = {.classes = classes, .culprits = {.lint = lint}};

	find_dns(&dns, lint);
	for (size_t i = 0; i < classes->count && !lint_stops(lint, LINT_DNS); i++) {
		const struct lint_class *k = &classes->items[i];

		if (lint->world.slots[k->first]->kube == NULL)
			continue; /* hosts have names from elsewhere */
		if (dns.end_count == 0) {
			guess_dns(&dns, k);
			continue;
		}
		ask_dns(&dns, k, PROTO_UDP);
		ask_dns(&dns, k, PROTO_TCP);
	}
	for (size_t i = 0; i < dns.culprits.by_key.len; i++) {
		const struct culprit *c = dns.culprits.by_key.entries[i].value;

		say_culprit(lint, c, CODE_CUTS_DNS,
		    !c->udp   ? "DNS (53/tcp)"
		    : !c->tcp ? "DNS (53/udp)"
			      : "DNS (53/udp and 53/tcp)");
	}
	map_fini(&dns.culprits.by_key);
}

/* ---- the API server ---- */

static bool
has_label(struct label_set labels, const char *key, const char *value)
{
	for (size_t i = 0; i < labels.count; i++) {
		if (str_is(labels.items[i].key, key))
			return value == NULL || str_is(labels.items[i].value, value);
	}
	return false;
}

/* The port behind Service default/kubernetes; 6443 when it does not say. */
static uint16_t
api_port(const struct model *m)
{
	for (size_t i = 0; i < m->service_count; i++) {
		const struct service *s = m->services[i];

		if (str_is(s->name, "kubernetes") && str_is(s->kube->name, "default") &&
		    s->port_count > 0 && s->ports[0].target != 0)
			return s->ports[0].target;
	}
	return 6443;
}

/* The addresses that it is known to answer at: those of its own pods, which are on their
 * nodes' network, or of control-plane nodes. */
static size_t
api_ends(const struct model *m, struct endpoint *out, size_t max)
{
	size_t count = 0;

	for (size_t i = 0; i < m->workload_count && count < max; i++) {
		const struct workload *w = m->workloads[i];

		if (w->host_network && w->ip_count > 0 &&
		    has_label(w->shape->labels, "component", "kube-apiserver"))
			out[count++] = endpoint_of_addr(m, w->ips[0]);
	}
	for (size_t i = 0; i < m->node_count && count < max; i++) {
		const struct node *node = m->nodes[i];

		if (node->ip_count > 0 &&
		    has_label(
			node->labels, "node-role.kubernetes.io/control-plane", NULL))
			out[count++] = endpoint_of_addr(m, node->ips[0]);
	}
	return count;
}

/* Most pods never ask the API server; one that has an account of its own does. */
static bool
needs_api(const struct workload *w)
{
	return w->kube != NULL && w->shape->service_account.len > 0 &&
	       !str_is(w->shape->service_account, "default");
}

static void
lint_api(struct lint *lint, struct lint_classes *classes)
{
	struct culprits culprits = {.lint = lint};
	struct endpoint ends[8];
	size_t end_count = api_ends(lint->m, ends, ARRAY_LEN(ends));
	uint16_t port = api_port(lint->m);

	for (size_t i = 0;
	     end_count > 0 && i < classes->count && !lint_stops(lint, LINT_API); i++) {
		const struct lint_class *k = &classes->items[i];
		const struct workload *w = lint->world.slots[k->first];
		struct verdict v, first = {0};
		enum direction dir;
		bool cut = w->kube != NULL;
		struct culprit *c;

		for (size_t j = 0; j < end_count && cut; j++) {
			cut = !lint_classes_allowed(
			    classes, k->first, &ends[j], PROTO_TCP, port, &v, &dir);
			if (j == 0)
				first = v;
		}
		if (!cut || first.policy == NULL ||
		    (first.reason == REASON_ISOLATION && !needs_api(w)))
			continue;
		c = culprit_of(&culprits, &first, DIR_EGRESS);
		c->workloads += k->size;
		if (c->example == NULL)
			c->example = w;
	}
	for (size_t i = 0; i < culprits.by_key.len; i++)
		say_culprit(lint, culprits.by_key.entries[i].value,
		    CODE_CUTS_API_SERVER, "the API server");
	map_fini(&culprits.by_key);
}

void
lint_reach(struct lint *lint)
{
	struct lint_classes classes;

	if (lint->world.slot_count > 0 && lint->m->policy_count > 0) {
		if (lint_classes_init(&classes, lint)) {
			lint_dns(lint, &classes);
			lint_api(lint, &classes);
			lint_tenants(lint, &classes);
			lint_defaults(lint, &classes);
			lint_classes_fini(&classes);
		} else {
			diag_say(lint->diags, CODE_LINT_LIMIT, (struct loc){0},
			    "policies select too many workloads to ask what they cut "
			    "off, which tenants they open, and whom they are silent "
			    "about");
		}
	}
	lint_isolation(lint);
	lint_unselected(lint);
}
