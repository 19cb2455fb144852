#include "policy-lang/model.h"

#include <stdio.h>
#include <string.h>

/* ---- labels and selectors ---- */

static const struct label *
label_find(struct label_set labels, struct str key)
{
	size_t lo = 0, hi = labels.count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = str_cmp(labels.items[mid].key, key);

		if (order == 0)
			return &labels.items[mid];
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

static bool
requirement_has_value(const struct requirement *r, struct str value)
{
	size_t lo = 0, hi = r->value_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		int order = str_cmp(r->values[mid], value);

		if (order == 0)
			return true;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return false;
}

static bool
requirement_matches(const struct requirement *r, struct label_set labels)
{
	const struct label *label = label_find(labels, r->key);

	switch (r->op) {
	case REQ_IN:
		return label != NULL && requirement_has_value(r, label->value);
	case REQ_NOT_IN: /* an absent key is in no list */
		return label == NULL || !requirement_has_value(r, label->value);
	case REQ_EXISTS:
		return label != NULL;
	case REQ_NOT_EXISTS:
		return label == NULL;
	}
	return false;
}

bool
selector_matches(const struct selector *s, struct label_set labels)
{
	if (s == NULL)
		return true;
	for (size_t i = 0; i < s->count; i++) {
		if (!requirement_matches(&s->reqs[i], labels))
			return false;
	}
	return true;
}

bool
peer_takes_node(const struct peer *peer, const struct node *node)
{
	if (peer->cluster.ptr != NULL && !str_eq(peer->cluster, node->cluster))
		return false;
	if (peer->node_name.ptr != NULL && !str_eq(peer->node_name, node->name))
		return false;
	return selector_matches(peer->node_selector, node->labels);
}

static bool
requirement_equal(const struct requirement *a, const struct requirement *b)
{
	if (a->op != b->op || a->value_count != b->value_count ||
	    !str_eq(a->key, b->key))
		return false;
	for (size_t i = 0; i < a->value_count; i++) {
		if (!str_eq(a->values[i], b->values[i]))
			return false;
	}
	return true;
}

bool
selector_equal(const struct selector *a, const struct selector *b)
{
	size_t a_count = a != NULL ? a->count : 0;
	size_t b_count = b != NULL ? b->count : 0;

	if (a_count != b_count)
		return false;
	for (size_t i = 0; i < a_count; i++) {
		if (!requirement_equal(&a->reqs[i], &b->reqs[i]))
			return false;
	}
	return true;
}

struct str
workload_owner(const struct workload *w)
{
	return str_slice(w->shape->display, w->shape->owner_at,
	    w->shape->owner_at + w->shape->owner_len);
}

struct str
workload_owner_kind(const struct workload *w)
{
	size_t at = (size_t)w->shape->owner_at + w->shape->owner_len + 1;

	return at < w->shape->display.len
		   ? str_slice(w->shape->display, at, w->shape->display.len - 1)
		   : (struct str){0};
}

struct label_set
workload_ns_labels(const struct workload *w)
{
	return w->kube != NULL ? w->kube->labels : w->ns->labels;
}

/* ---- looking things up ---- */

struct str
ns_tenant(const struct ns *ns)
{
	struct str rest = str_slice(ns->path, 1, ns->path.len);

	return ns->depth == 0 ? STR("") : str_split(&rest, '/');
}

bool
rule_has_names(const struct rule *rule)
{
	for (size_t i = 0; !rule->any_peer && i < rule->peer_count; i++) {
		if (rule->peers[i].fqdn_count > 0)
			return true;
	}
	return false;
}

size_t
policy_rules_by_name(const struct policy *policy)
{
	size_t count = 0;

	for (unsigned i = 0; i < 3 * DIRECTION_COUNT; i++) {
		const struct rule_list *list =
		    policy_rules(policy, (enum phase)(i % 3), (enum direction)(i / 3));

		for (size_t j = 0; j < list->count; j++)
			count += rule_has_names(&list->rules[j]);
	}
	return count;
}

bool
ns_within(const struct ns *ns, const struct ns *top)
{
	while (ns != NULL && ns->depth > top->depth)
		ns = ns->parent;
	return ns == top;
}

struct str
model_display_of_kube(struct arena *a, struct str cluster, struct str name)
{
	return STR_CONCAT(
	    a, cluster, cluster.len != 0 ? STR("/") : STR(""), name, STR("/"));
}

struct str
model_display_of_ns(struct arena *a, const struct ns *ns)
{
	return STR_CONCAT(a, ns->path, ns->parent != NULL ? STR("/") : STR(""));
}

size_t
model_first_displayed(const struct model *m, struct str text)
{
	size_t lo = 0, hi = m->workload_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (str_cmp(m->workloads[mid]->shape->display, text) < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

const struct ns *
model_ns(const struct model *m, struct str path)
{
	return map_get(&m->ns_by_path, path);
}

const struct kube_ns *
model_kube_ns(const struct model *m, struct str cluster, struct str name)
{
	size_t lo = 0, hi = m->kube_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		const struct kube_ns *k = m->kube_namespaces[mid];
		int order = str_cmp(k->cluster, cluster);

		if (order == 0)
			order = str_cmp(k->name, name);
		if (order == 0)
			return k;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

struct str
model_address_key(const struct ip_addr *addr, char bytes[MODEL_ADDRESS_KEY_BYTES])
{
	size_t len = ip_bytes(addr->family);

	bytes[0] = (char)addr->family;
	memcpy(bytes + 1, addr->bytes, len);
	return (struct str){bytes, 1 + len};
}

static void *
model_at(const struct map *map, const struct ip_addr *addr)
{
	char bytes[MODEL_ADDRESS_KEY_BYTES];

	return map_get(map, model_address_key(addr, bytes));
}

const struct workload *
model_workload_at(const struct model *m, const struct ip_addr *addr)
{
	return address_map_get(&m->by_address, addr);
}

const struct node *
model_node_at(const struct model *m, const struct ip_addr *addr)
{
	return model_at(&m->node_by_address, addr);
}

struct node *
model_cluster_node(const struct model *m, struct str cluster, struct str name)
{
	size_t lo = 0, hi = m->node_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		struct node *n = m->nodes[mid];
		int order = str_cmp(n->cluster, cluster);

		if (order == 0)
			order = str_cmp(n->name, name);
		if (order == 0)
			return n;
		if (order < 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	return NULL;
}

const struct node *
model_node(const struct model *m, struct str name)
{
	size_t slash = str_find(name, '/', 0);
	const struct node *found;

	if (slash != name.len)
		return model_cluster_node(
		    m, str_slice(name, 0, slash), str_slice(name, slash + 1, name.len));
	found = model_cluster_node(m, (struct str){0}, name);
	for (size_t i = 0; i < m->options.cluster_count; i++) {
		const struct node *n =
		    model_cluster_node(m, m->options.clusters[i].name, name);

		if (n != NULL && found != NULL && n != found)
			return NULL;
		found = n != NULL ? n : found;
	}
	return found;
}

const struct node *
model_node_of(const struct model *m, const struct workload *w)
{
	return w->node.len != 0 ? model_cluster_node(m, w->cluster, w->node) : NULL;
}

/* ---- names ---- */

const char *
direction_name(enum direction d)
{
	return d == DIR_INGRESS ? "ingress" : "egress";
}

const char *
phase_name(enum phase p)
{
	static const char *const names[] = {
	    [PHASE_MANDATORY] = "mandatory",
	    [PHASE_ALLOW] = "allow",
	    [PHASE_DEFAULT] = "default",
	};

	return names[p];
}

const char *
action_name(enum action a)
{
	static const char *const names[] = {
	    [ACTION_ALLOW] = "allow",
	    [ACTION_DENY] = "deny",
	    [ACTION_PASS] = "pass",
	};

	return names[a];
}

const struct rule_list *
policy_rules(const struct policy *p, enum phase phase, enum direction dir)
{
	switch (phase) {
	case PHASE_MANDATORY:
		return &p->mandatory[dir];
	case PHASE_ALLOW:
		return &p->allow[dir];
	case PHASE_DEFAULT:
		break;
	}
	return &p->defaults[dir];
}

const char *
policy_kind_name(enum policy_kind k)
{
	static const char *const names[] = {
	    [POLICY_NATIVE] = "Policy",
	    [POLICY_NETWORK_POLICY] = "NetworkPolicy",
	    [POLICY_ADMIN] = "AdminNetworkPolicy",
	    [POLICY_BASELINE] = "BaselineAdminNetworkPolicy",
	    [POLICY_CLUSTER] = "ClusterNetworkPolicy",
	};

	return names[k];
}

static const struct {
	const char *lower, *upper;
	uint8_t proto;
} proto_names[] = {
    {"tcp", "TCP", PROTO_TCP},
    {"udp", "UDP", PROTO_UDP},
    {"sctp", "SCTP", PROTO_SCTP},
    {"icmp", "ICMP", PROTO_ICMP},
    {"icmpv6", "ICMPV6", PROTO_ICMPV6},
};

const char *
proto_name(uint8_t proto, char *out)
{
	const char *name = NULL;

	if (proto == PROTO_ANY)
		name = "any";
	for (size_t i = 0; i < ARRAY_LEN(proto_names); i++) {
		if (proto_names[i].proto == proto)
			name = proto_names[i].lower;
	}
	if (name != NULL)
		(void)snprintf(out, 8, "%s", name); /* the longest is icmpv6 */
	else
		(void)snprintf(out, 8, "%u", (unsigned)proto);
	return out;
}

bool
proto_has_ports(uint8_t proto)
{
	return proto == PROTO_TCP || proto == PROTO_UDP || proto == PROTO_SCTP;
}

bool
proto_parse(struct str text, uint8_t *out_proto)
{
	for (size_t i = 0; i < ARRAY_LEN(proto_names); i++) {
		if (str_is(text, proto_names[i].lower) ||
		    str_is(text, proto_names[i].upper)) {
			*out_proto = proto_names[i].proto;
			return true;
		}
	}
	return false;
}

const char *
policy_title(struct arena *a, const struct policy *p)
{
	const char *in = p->cluster.len != 0 ? "/" : "";
	const char *slash =
	    p->namespace_text.len != 0 && !str_is(p->namespace_text, "/") ? "/" : "";

	return arena_printf(a, "%s %.*s%s%.*s%s%.*s", policy_kind_name(p->kind),
	    STR_ARG(p->cluster), in, STR_ARG(p->namespace_text), slash,
	    STR_ARG(p->name));
}

const char *
rule_title(struct arena *a, const struct rule *r)
{
	const char *text = arena_printf(
	    a, "%s rule %u", policy_title(a, r->policy), (unsigned)r->index);

	if (r->name.len == 0)
		return text;
	return arena_printf(a, "%s \"%.*s\"", text, STR_ARG(r->name));
}
