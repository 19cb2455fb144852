/*
 * Models made by hand, for tests of what reads a model: no loader in between. Names and
 * texts are literals; everything else is in the arena of the model.
 */
#ifndef TESTS_HAND_MODEL_H
#define TESTS_HAND_MODEL_H

#include <stdarg.h>
#include <string.h>

#include "policy-lang/evaluate/evaluate.h"

#define HAND_MAX 32

struct hand {
	struct arena *arena;
	struct model m;
	struct ns *namespaces[HAND_MAX];
	struct workload *workloads[HAND_MAX];
	struct node *nodes[HAND_MAX];
	struct policy *policies[HAND_MAX];
	struct kube_ns *kubes[HAND_MAX];
};

static inline void
hand_init(struct hand *h)
{
	memset(h, 0, sizeof(*h));
	h->arena = arena_new();
	h->m.arena = h->arena;
	h->m.namespaces = h->namespaces;
	h->m.workloads = h->workloads;
	h->m.nodes = h->nodes;
	h->m.policies = h->policies;
	h->m.kube_namespaces = h->kubes;
}

static inline void
hand_fini(struct hand *h)
{
	address_map_fini(&h->m.by_address);
	map_fini(&h->m.node_by_address);
	map_fini(&h->m.ns_by_path);
	map_fini(&h->m.kube_by_name);
	arena_free(h->arena);
}

/* The namespace of that path, made with all above it. */
static inline struct ns *
hand_ns(struct hand *h, const char *path)
{
	struct ns *ns = map_get(&h->m.ns_by_path, str_from(path));
	size_t cut = strlen(path);

	if (ns != NULL)
		return ns;
	ns = ARENA_NEW(h->arena, struct ns);
	ns->path = str_from(arena_strdup(h->arena, path));
	ns->policies = ARENA_ARRAY(h->arena, HAND_MAX, struct policy *);
	ns->access = ARENA_ARRAY(h->arena, HAND_MAX, struct access_policy *);
	ns->quotas = ARENA_ARRAY(h->arena, HAND_MAX, struct quota *);
	(void)map_set(&h->m.ns_by_path, ns->path, ns);
	if (cut > 1) {
		while (path[cut - 1] != '/')
			cut--;
		ns->parent =
		    hand_ns(h, arena_strndup(h->arena, path, cut > 1 ? cut - 1 : 1));
		ns->depth = ns->parent->depth + 1;
	} else {
		h->m.root = ns;
	}
	ns->index = (uint32_t)h->m.ns_count;
	h->namespaces[h->m.ns_count++] = ns;
	return ns;
}

static inline struct kube_ns *
hand_kube(struct hand *h, const char *name, const char *path)
{
	struct kube_ns *kube = ARENA_NEW(h->arena, struct kube_ns);

	kube->name = str_from(name);
	kube->ns = hand_ns(h, path);
	h->kubes[h->m.kube_count++] = kube; /* callers add them sorted */
	return kube;
}

static inline struct ip_addr
hand_addr(const char *text)
{
	struct ip_addr addr = {0};

	if (!ip_parse(str_from(text), &addr))
		base_die(text);
	return addr;
}

static inline struct ip_prefix
hand_prefix(const char *text)
{
	struct ip_prefix prefix = {0};

	if (!ip_prefix_parse(str_from(text), &prefix, NULL))
		base_die(text);
	return prefix;
}

static inline void
hand_map_addr(struct hand *h, struct map *map, const struct ip_addr *addr, void *value)
{
	char *key = arena_alloc(h->arena, 17);

	key[0] = (char)addr->family;
	memcpy(key + 1, addr->bytes, ip_bytes(addr->family));
	(void)map_set(map, (struct str){key, 1 + ip_bytes(addr->family)}, value);
}

/* "k=v,k=v", sorted by key. */
static inline struct label_set
hand_labels(struct hand *h, const char *text)
{
	struct str rest = str_from(text);
	struct label *items = ARENA_ARRAY(h->arena, 8, struct label);
	size_t count = 0;

	while (rest.len > 0) {
		struct str value = str_split(&rest, ',');
		struct str key = str_split(&value, '=');

		items[count++] = (struct label){key, value};
	}
	return (struct label_set){items, count};
}

/* What a workload made here has in common with nobody. */
static inline struct workload_shape *
hand_shape(const struct workload *w)
{
	return (struct workload_shape *)(uintptr_t)w->shape;
}

/* It runs on the node. */
static inline void
hand_run_on(struct hand *h, struct workload *w, const char *node)
{
	struct workload_where *where = ARENA_NEW(h->arena, struct workload_where);

	*where = *w->where;
	where->node = str_from(node);
	w->where = where;
}

/* A native workload with up to four addresses, separated by spaces. */
static inline struct workload *
hand_workload(struct hand *h, const char *path, const char *name, const char *labels,
    const char *addrs)
{
	struct workload *w = ARENA_NEW(h->arena, struct workload);
	struct workload_shape *shape = ARENA_NEW(h->arena, struct workload_shape);
	struct ip_addr *ips = ARENA_ARRAY(h->arena, 4, struct ip_addr);
	struct str rest = str_from(addrs);

	w->name = str_from(name);
	w->ns = hand_ns(h, path);
	w->shape = shape;
	w->where = ARENA_NEW(h->arena, struct workload_where);
	shape->labels = hand_labels(h, labels);
	shape->display = str_from(arena_printf(
	    h->arena, "%s/%s[Workload]", w->ns->depth > 0 ? path : "", name));
	shape->owner_at =
	    (uint32_t)(shape->display.len - strlen(name) - strlen("[Workload]"));
	shape->owner_len = (uint32_t)strlen(name);
	w->ips = ips;
	while (rest.len > 0) {
		struct str text = str_split(&rest, ' ');

		ips[w->ip_count] =
		    hand_addr(arena_strndup(h->arena, text.ptr, text.len));
		address_map_set(&h->m.by_address, w, w->ip_count++);
	}
	w->index = (uint32_t)h->m.workload_count;
	h->workloads[h->m.workload_count++] = w;
	return w;
}

static inline struct node *
hand_node(struct hand *h, const char *name, const char *addr)
{
	struct node *node = ARENA_NEW(h->arena, struct node);
	struct ip_addr *ips = ARENA_ARRAY(h->arena, 1, struct ip_addr);

	ips[0] = hand_addr(addr);
	node->name = str_from(name);
	node->ips = ips;
	node->ip_count = 1;
	node->index = (uint32_t)h->m.node_count;
	hand_map_addr(h, &h->m.node_by_address, &ips[0], node);
	h->nodes[h->m.node_count++] = node;
	return node;
}

/* A selector of one requirement, key=value. */
static inline const struct selector *
hand_selector(struct hand *h, const char *key, const char *value)
{
	struct selector *s = ARENA_NEW(h->arena, struct selector);
	struct requirement *r = ARENA_NEW(h->arena, struct requirement);
	struct str *values = ARENA_NEW(h->arena, struct str);

	*values = str_from(value);
	*r = (struct requirement){str_from(key), REQ_IN, values, 1};
	*s = (struct selector){.reqs = r, .count = 1};
	return s;
}

/* A native policy on everything at or below its level; policies of one level are added in
 * evaluation order. */
static inline struct policy *
hand_policy(struct hand *h, const char *path, const char *name)
{
	struct policy *p = ARENA_NEW(h->arena, struct policy);

	p->name = str_from(name);
	p->level = hand_ns(h, path);
	p->namespace_text = p->level->path;
	p->subject.subtree = p->level;
	p->level->policies[p->level->policy_count++] = p;
	h->policies[h->m.policy_count++] = p;
	return p;
}

/* Adds a rule for everyone and everything to the phase's list. */
static inline struct rule *
hand_rule(struct hand *h, struct policy *p, enum phase phase, enum direction dir,
    enum action action)
{
	struct rule_list *lists[] = {
	    &p->mandatory[dir], &p->allow[dir], &p->defaults[dir]};
	struct rule_list *list = lists[phase];
	struct rule *rule;

	if (list->rules == NULL)
		list->rules = ARENA_ARRAY(h->arena, HAND_MAX, struct rule);
	rule = &list->rules[list->count];
	*rule = (struct rule){
	    .index = (uint32_t)list->count,
	    .phase = phase,
	    .dir = dir,
	    .action = action,
	    .any_peer = true,
	    .any_port = true,
	    .policy = p,
	};
	list->count++;
	if (phase == PHASE_ALLOW)
		p->isolates[dir] = true;
	return rule;
}

static inline struct peer *
hand_peer(struct hand *h, struct rule *rule, enum peer_kind kind)
{
	struct peer *peer = ARENA_NEW(h->arena, struct peer);

	peer->kind = kind;
	rule->any_peer = false;
	rule->peers = peer;
	rule->peer_count = 1;
	return peer;
}

static inline void
hand_peer_net(struct hand *h, struct rule *rule, const char *prefix, bool by_address)
{
	struct peer *peer = hand_peer(h, rule, PEER_NETWORK);
	struct ip_prefix *p = ARENA_NEW(h->arena, struct ip_prefix);

	*p = hand_prefix(prefix);
	peer->prefixes = p;
	peer->prefix_count = 1;
	peer->by_address = by_address;
}

static inline void
hand_ports(struct hand *h, struct rule *rule, uint8_t proto, uint16_t lo, uint16_t hi)
{
	struct port_match *ports = ARENA_ARRAY(h->arena, 8, struct port_match);

	for (size_t i = 0; i < rule->port_count; i++)
		ports[i] = rule->ports[i];
	ports[rule->port_count] = (struct port_match){
	    .kind = PORT_NUMBERS, .proto = proto, .lo = lo, .hi = hi};
	rule->any_port = false;
	rule->ports = ports;
	rule->port_count++;
}

static inline void
hand_port_name(struct hand *h, struct rule *rule, uint8_t proto, const char *name)
{
	struct port_match *port = ARENA_NEW(h->arena, struct port_match);

	*port = (struct port_match){
	    .kind = PORT_NAMED, .proto = proto, .name = str_from(name)};
	rule->any_port = false;
	rule->ports = port;
	rule->port_count = 1;
}

/* The flow between two workloads by their first addresses, if they have one. */
static inline struct flow
hand_flow(const struct workload *src, const struct workload *dst, uint8_t proto,
    uint16_t port)
{
	struct flow flow = {
	    .src = {.kind = ENDPOINT_WORKLOAD, .workload = src},
	    .dst = {.kind = ENDPOINT_WORKLOAD, .workload = dst},
	    .proto = proto,
	    .port = port,
	};

	if (src->ip_count > 0) {
		flow.src.has_addr = true;
		flow.src.addr = src->ips[0];
	}
	if (dst->ip_count > 0) {
		flow.dst.has_addr = true;
		flow.dst.addr = dst->ips[0];
	}
	return flow;
}

#endif
