/*
 * From what was seen to policies, as YAML. Every name is quoted as JSON quotes it, which
 * is YAML, too; times and counts stand in comments.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/flows/recommend_internal.h"

/* What one peer was seen to do; of the outside: everybody who did the same at one port. */
struct rule_seen {
	enum direction dir;
	const char *key; /* for order: the peer, for the outside the port */
	struct seen_end peer;
	struct ip_prefix *prefixes; /* the outside */
	size_t prefix_count, prefix_cap;
	struct str *ports; /* as they are written; unsorted, each once */
	size_t port_count, port_cap;
	uint64_t count;
	struct seen_times times;
};

struct policy_seen {
	struct group *group;
	struct map rules; /* key -> struct rule_seen */
};

struct printer {
	struct recommend *r;
	struct arena *arena;
	struct buf *out;
	struct map policies; /* group -> struct policy_seen */
	bool native;
};

/* ---- words of the two kinds ---- */

static void
add_labels(struct buf *out, const struct group *group)
{
	buf_add_cstr(out, "{matchLabels: {");
	for (size_t i = 0; i < group->label_count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		buf_add_json(out, group->labels[i].key);
		buf_add_cstr(out, ": ");
		buf_add_json(out, group->labels[i].value);
	}
	buf_add_cstr(out, "}}");
}

static void
add_native_group(struct buf *out, const struct group *group)
{
	buf_add_cstr(out, "{namespace: ");
	buf_add_json(out, group->home->path);
	if (group->label_count > 0) {
		buf_add_cstr(out, ", workloads: ");
		add_labels(out, group);
	}
	buf_add_char(out, '}');
}

static void
add_kube_group(struct buf *out, const struct group *subject, const struct group *group)
{
	buf_add_char(out, '{');
	if (group->kube != subject->kube) {
		buf_add_cstr(out, "namespaceSelector: {matchLabels: "
				  "{kubernetes.io/metadata.name: ");
		buf_add_json(out, group->kube->name);
		buf_add_cstr(out, "}}, ");
	}
	buf_add_cstr(out, "podSelector: ");
	if (group->label_count > 0)
		add_labels(out, group);
	else
		buf_add_cstr(out, "{}");
	buf_add_char(out, '}');
}

static void
add_prefix(const struct printer *p, struct buf *out, const struct ip_prefix *prefix)
{
	char text[IP_TEXT_BYTES];

	buf_printf(out, p->native ? "{cidr: \"%s\"}" : "{ipBlock: {cidr: \"%s\"}}",
	    ip_prefix_format(prefix, text));
}

static void
add_addrs(const struct printer *p, struct buf *out, const struct ip_addr *ips,
    size_t count, const char **comma)
{
	for (size_t i = 0; i < count; i++) {
		struct ip_prefix prefix = {
		    .addr = ips[i], .len = (uint8_t)ip_bits(ips[i].family)};

		buf_add_cstr(out, *comma);
		add_prefix(p, out, &prefix);
		*comma = ", ";
	}
}

/* A NetworkPolicy has no word for a node or for what is no pod of its cluster, but for
 * their addresses. */
static void
add_by_address(const struct printer *p, struct buf *out, const struct seen_end *peer)
{
	const char *comma = "";

	if (peer->node != NULL)
		add_addrs(p, out, peer->node->ips, peer->node->ip_count, &comma);
	for (size_t i = 0; peer->group != NULL && i < peer->group->count; i++)
		add_addrs(p, out, peer->group->members[i]->ips,
		    peer->group->members[i]->ip_count, &comma);
}

static bool
selectable(
    const struct printer *p, const struct group *subject, const struct group *group)
{
	return p->native || (group->kube != NULL &&
				str_eq(group->kube->cluster, subject->kube->cluster));
}

/* The peer as list items; "" if there are no words for it. */
static void
add_peer(const struct printer *p, struct buf *out, const struct group *subject,
    const struct seen_end *peer)
{
	if (peer->group != NULL && selectable(p, subject, peer->group)) {
		if (p->native)
			add_native_group(out, peer->group);
		else
			add_kube_group(out, subject, peer->group);
	} else if (peer->node != NULL && p->native) {
		buf_add_cstr(out, "{node: ");
		buf_add_json(out, peer->node->name);
		buf_add_char(out, '}');
	} else {
		add_by_address(p, out, peer);
	}
}

/* A port by the name that the destination gives it, where that means nothing else. False:
 * there are no words for the protocol. */
static bool
add_port(const struct printer *p, struct buf *out, const struct seen_flow *flow,
    const struct group *subject)
{
	char text[8];
	struct str name = {0};
	const struct group *dst = flow->dst.group;
	bool ports = proto_has_ports(flow->proto);

	if (!ports &&
	    (!p->native || (flow->proto != PROTO_ICMP && flow->proto != PROTO_ICMPV6)))
		return false;
	if (ports && dst != NULL && selectable(p, subject, dst))
		name = group_port_name(dst, flow->proto, flow->port);
	if (!ports) {
		buf_add_cstr(out, proto_name(flow->proto, text));
	} else if (p->native) {
		if (name.len > 0)
			buf_printf(out, "%.*s/%s", STR_ARG(name),
			    proto_name(flow->proto, text));
		else
			buf_printf(out, "%u/%s", (unsigned)flow->port,
			    proto_name(flow->proto, text));
	} else {
		buf_printf(out, "{protocol: %s, port: ",
		    flow->proto == PROTO_TCP   ? "TCP"
		    : flow->proto == PROTO_UDP ? "UDP"
					       : "SCTP");
		if (name.len > 0)
			buf_add_json(out, name);
		else
			buf_printf(out, "%u", (unsigned)flow->port);
		buf_add_char(out, '}');
	}
	return true;
}

/* ---- collecting ---- */

static void
keep_port(struct printer *p, struct rule_seen *rule, struct str port)
{
	for (size_t i = 0; i < rule->port_count; i++) {
		if (str_eq(rule->ports[i], port))
			return;
	}
	if (rule->port_count == rule->port_cap) {
		rule->port_cap = rule->port_cap == 0 ? 4 : 2 * rule->port_cap;
		rule->ports =
		    xreallocarray(rule->ports, rule->port_cap, sizeof(*rule->ports));
	}
	rule->ports[rule->port_count++] = str_dup(p->arena, port);
}

static void
keep_prefix(struct rule_seen *rule, const struct ip_prefix *prefix)
{
	if (rule->prefix_count == rule->prefix_cap) {
		rule->prefix_cap = rule->prefix_cap == 0 ? 4 : 2 * rule->prefix_cap;
		rule->prefixes = xreallocarray(
		    rule->prefixes, rule->prefix_cap, sizeof(*rule->prefixes));
	}
	rule->prefixes[rule->prefix_count++] = *prefix;
}

static struct policy_seen *
policy_of(struct printer *p, struct group *group)
{
	struct str key = {(const char *)&group, sizeof(struct group *)};
	struct policy_seen *policy = map_get(&p->policies, key);

	if (policy != NULL)
		return policy;
	policy = ARENA_NEW(p->arena, struct policy_seen);
	policy->group = group;
	(void)map_set(&p->policies, str_dup(p->arena, key), policy); /* new */
	return policy;
}

static bool
is_outside(const struct seen_end *end)
{
	return end->group == NULL && end->node == NULL;
}

static void
add_times(struct seen_times *to, const struct seen_times *from)
{
	/* Of one log, texts of one length are in the order of their times. */
	if (from->first[0] == '\0')
		return;
	if (to->first[0] == '\0') {
		*to = *from;
		return;
	}
	if (str_cmp(str_from(from->first), str_from(to->first)) < 0)
		memcpy(to->first, from->first, sizeof(to->first));
	if (str_cmp(str_from(from->last), str_from(to->last)) > 0)
		memcpy(to->last, from->last, sizeof(to->last));
}

/* Notes a flow at one of its ends. False: there are no words for it. */
static bool
see(struct printer *p, struct group *subject, const struct seen_end *peer,
    enum direction dir, const struct seen_flow *flow)
{
	struct policy_seen *policy;
	struct rule_seen *rule;
	struct buf key = {0}, port = {0};
	bool words = false;

	buf_printf(&key, "%d %d ", dir == DIR_INGRESS ? 0 : 1, is_outside(peer));
	if (!is_outside(peer))
		add_peer(p, &key, subject, peer);
	if (!add_port(p, &port, flow, subject) || (key.len == 4 && !is_outside(peer)))
		goto out;
	if (is_outside(peer))
		buf_add_str(&key, buf_str(&port));
	words = true;
	policy = policy_of(p, subject);
	rule = map_get(&policy->rules, buf_str(&key));
	if (rule == NULL) {
		rule = ARENA_NEW(p->arena, struct rule_seen);
		*rule = (struct rule_seen){.dir = dir, .peer = *peer};
		rule->key = str_dup(p->arena, buf_str(&key)).ptr;
		(void)map_set(&policy->rules, str_from(rule->key), rule); /* new */
	}
	if (is_outside(peer))
		keep_prefix(rule, &peer->prefix);
	keep_port(p, rule, buf_str(&port));
	rule->count += flow->count;
	add_times(&rule->times, &flow->times);
out:
	buf_free(&key);
	buf_free(&port);
	return words;
}

/* The policy that speaks for a group: a NetworkPolicy cannot for what is no pod. */
static bool
has_policy(const struct printer *p, const struct group *group)
{
	return group != NULL && (p->native || group->kube != NULL);
}

static void
see_flow(struct printer *p, struct seen_flow *flow)
{
	bool words = true;

	flow->src.group = group_root(flow->src.group);
	flow->dst.group = group_root(flow->dst.group);
	if (has_policy(p, flow->src.group))
		words &= see(p, flow->src.group, &flow->dst, DIR_EGRESS, flow);
	if (has_policy(p, flow->dst.group))
		words &= see(p, flow->dst.group, &flow->src, DIR_INGRESS, flow);
	if (!words)
		p->r->counts.inexpressible += flow->count;
}

/* ---- printing ---- */

static int
compare_strs(const void *a, const void *b)
{
	const struct str *x = a, *y = b;

	return str_cmp(*x, *y);
}

static int
compare_rules(const void *a, const void *b)
{
	const struct rule_seen *const *pa = a, *const *pb = b;

	return strcmp((*pa)->key, (*pb)->key);
}

static int
compare_policies(const void *a, const void *b)
{
	const struct policy_seen *const *pa = a, *const *pb = b;
	const struct group *x = (*pa)->group, *y = (*pb)->group;
	int order = str_cmp(x->home->path, y->home->path);

	if (order == 0 && x->kube != NULL && y->kube != NULL)
		order = str_cmp(x->kube->name, y->kube->name);
	if (order == 0)
		order = str_cmp(x->name, y->name);
	return order != 0 ? order
			  : str_cmp(x->members[0]->shape->display,
				y->members[0]->shape->display);
}

/* The values of a map, sorted; freed by the caller. */
static void *
sorted_values(const struct map *map, int (*compare)(const void *, const void *))
{
	void **values = xcalloc(map->len + 1, sizeof(void *));

	for (size_t i = 0; i < map->len; i++)
		values[i] = map->entries[i].value;
	if (map->len > 1)
		qsort(values, map->len, sizeof(void *), compare);
	return values;
}

static void
print_times(struct buf *out, const struct seen_times *times)
{
	if (times->first[0] == '\0')
		return;
	buf_printf(out, ", first %s", times->first);
	if (strcmp(times->first, times->last) != 0)
		buf_printf(out, ", last %s", times->last);
}

static void
print_ports(const struct printer *p, struct rule_seen *rule)
{
	struct buf *out = p->out;

	if (rule->port_count > 1)
		qsort(
		    rule->ports, rule->port_count, sizeof(*rule->ports), compare_strs);
	buf_printf(out, "%sports: [", p->native ? "        " : "      ");
	for (size_t i = 0; i < rule->port_count; i++)
		buf_printf(out, "%s%.*s", i > 0 ? ", " : "", STR_ARG(rule->ports[i]));
	buf_add_cstr(out, "]\n");
}

static void
print_rule(const struct printer *p, const struct group *subject, struct rule_seen *rule)
{
	const char *indent = p->native ? "      " : "    ";
	struct buf *out = p->out;

	buf_printf(out, "%s# seen %llu time%s", indent, (unsigned long long)rule->count,
	    rule->count == 1 ? "" : "s");
	print_times(out, &rule->times);
	buf_printf(
	    out, "\n%s- %s: [", indent, rule->dir == DIR_INGRESS ? "from" : "to");
	if (!is_outside(&rule->peer))
		add_peer(p, out, subject, &rule->peer);
	rule->prefix_count = prefixes_join(rule->prefixes, rule->prefix_count);
	for (size_t i = 0; i < rule->prefix_count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		add_prefix(p, out, &rule->prefixes[i]);
	}
	buf_add_cstr(out, "]\n");
	print_ports(p, rule);
}

static void
print_direction(const struct printer *p, const struct policy_seen *policy,
    struct rule_seen **rules, enum direction dir)
{
	const char *indent = p->native ? "    " : "  ";
	bool any = false;

	for (size_t i = 0; i < policy->rules.len; i++) {
		if (rules[i]->dir != dir)
			continue;
		if (!any)
			buf_printf(p->out, "%s%s:\n", indent, direction_name(dir));
		any = true;
		print_rule(p, policy->group, rules[i]);
	}
	if (!any)
		buf_printf(p->out, "%s%s: [] # nothing was seen\n", indent,
		    direction_name(dir));
}

/* Two owners of one name in a place get a number. */
static void
print_name(const struct printer *p, const struct policy_seen *const *all, size_t i)
{
	const struct group *group = all[i]->group;
	size_t same = 1;

	for (size_t j = i; j > 0; j--) {
		const struct group *other = all[j - 1]->group;

		if (other->home != group->home || other->kube != group->kube ||
		    !str_eq(other->name, group->name))
			break;
		same++;
	}
	buf_printf(p->out, "metadata: {name: \"seen-%.*s", STR_ARG(group->name));
	if (same > 1)
		buf_printf(p->out, "-%zu", same);
	buf_add_cstr(p->out, "\", namespace: ");
	buf_add_json(
	    p->out, group->kube != NULL ? group->kube->name : group->home->path);
	buf_add_cstr(p->out, "}\n");
}

static void
print_subject(const struct printer *p, const struct group *group)
{
	buf_printf(p->out, "spec:\n  %s: ", p->native ? "workloads" : "podSelector");
	if (group->label_count > 0)
		add_labels(p->out, group);
	else
		buf_add_cstr(p->out, "{} # no label tells its workloads from others");
	buf_add_cstr(p->out,
	    p->native ? "\n  allow:\n" : "\n  policyTypes: [Ingress, Egress]\n");
}

static void
print_policy(const struct printer *p, const struct policy_seen *const *all, size_t i)
{
	struct rule_seen **rules = sorted_values(&all[i]->rules, compare_rules);

	buf_add_cstr(p->out, p->native ? "---\napiVersion: ringfence.dev/v1alpha1\n"
					 "kind: Policy\n"
				       : "---\napiVersion: networking.k8s.io/v1\n"
					 "kind: NetworkPolicy\n");
	print_name(p, all, i);
	print_subject(p, all[i]->group);
	print_direction(p, all[i], rules, DIR_INGRESS);
	print_direction(p, all[i], rules, DIR_EGRESS);
	free(rules);
}

static void
print_head(const struct printer *p)
{
	const struct recommend *r = p->r;
	const struct recommend_counts *c = &r->counts;

	buf_printf(p->out, "# Least privilege from %llu flows",
	    (unsigned long long)(c->seen - c->denied - c->unknown - c->beyond -
				 c->inexpressible));
	print_times(p->out, &r->times);
	buf_printf(p->out,
	    ".\n# Left out: %llu that were denied, %llu with an end that is not known, "
	    "%llu that\n# this kind of policy has no words for, %llu beyond the "
	    "limit.\n",
	    (unsigned long long)c->denied, (unsigned long long)c->unknown,
	    (unsigned long long)c->inexpressible, (unsigned long long)c->beyond);
	if (r->options.widen4 == 32 && r->options.widen6 == 128)
		buf_add_cstr(p->out,
		    "# The outside is written as exactly the addresses "
		    "that were seen.\n");
	else
		buf_printf(p->out,
		    "# Addresses of the outside are widened to /%u (IPv4) and /%u "
		    "(IPv6), or as far as\n# they hold no known workload and no "
		    "node.\n",
		    r->options.widen4, r->options.widen6);
	if (c->unseen_owners > 0)
		buf_printf(p->out,
		    "# %zu owners of workloads were never seen: nothing here is about "
		    "them.\n",
		    c->unseen_owners);
}

static void
printer_fini(struct printer *p)
{
	for (size_t i = 0; i < p->policies.len; i++) {
		struct policy_seen *policy = p->policies.entries[i].value;

		for (size_t j = 0; j < policy->rules.len; j++) {
			struct rule_seen *rule = policy->rules.entries[j].value;

			free(rule->prefixes);
			free(rule->ports);
		}
		map_fini(&policy->rules);
	}
	map_fini(&p->policies);
}

void
recommend_print(
    struct recommend *r, struct buf *out, struct recommend_counts *out_counts)
{
	struct printer p = {
	    .r = r,
	    .arena = r->arena,
	    .out = out,
	    .native = r->options.kind == RECOMMEND_POLICY,
	};
	const struct policy_seen **all;

	for (size_t i = 0; i < r->flows.len; i++) {
		struct seen_flow *flow = r->flows.entries[i].value;

		if (flow->src.group != NULL)
			flow->src.group->seen = true;
		if (flow->dst.group != NULL)
			flow->dst.group->seen = true;
	}
	groups_make(r->groups);
	for (size_t i = 0; i < r->flows.len; i++)
		see_flow(&p, r->flows.entries[i].value);
	r->counts.policies = p.policies.len;
	r->counts.unseen_owners = groups_unseen(r->groups);
	print_head(&p);
	all = sorted_values(&p.policies, compare_policies);
	for (size_t i = 0; i < p.policies.len; i++)
		print_policy(&p, (const struct policy_seen *const *)all, i);
	free((void *)all);
	printer_fini(&p);
	*out_counts = r->counts;
}
