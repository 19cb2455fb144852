/*
 * Which workloads are compiled for, and which policies each of them is the subject of:
 * root first, and within a level in order. What it takes grows with how many are selected,
 * not with how many there are for each policy.
 */
#include "policy-lang/compile/compile_subjects.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

/* ---- who is local ---- */

bool
compile_is_of_node(const struct workload *w, struct str node)
{
	size_t slash = str_find(node, '/', 0);

	if (slash != node.len) {
		if (!str_eq(w->where->cluster, str_slice(node, 0, slash)))
			return false;
		node = str_slice(node, slash + 1, node.len);
	}
	return node.len != 0 && str_eq(w->where->node, node);
}

bool
compiler_is_local(const struct compiler *c, const struct workload *w)
{
	return compile_is_of_node(w, c->options->node);
}

const struct node *
compiler_node(struct compiler *c)
{
	const struct node *known = model_node(c->model, c->options->node);
	struct node *made;

	if (known != NULL)
		return known;
	made = ARENA_NEW(c->scratch, struct node);
	made->name = c->options->node;
	made->cluster = STR("");
	return made;
}

static bool
is_compiled_for(const struct compiler *c, const struct workload *w)
{
	return compiler_is_local(c, w) || (c->serves != NULL && c->serves(c, w));
}

static void
find_locals(struct subjects *b)
{
	const struct universe *u = &b->c->universe;
	uint32_t *slots = NULL, cap = 0;

	for (uint32_t i = 0; i < u->slot_count; i++) {
		if (!is_compiled_for(b->c, u->slots[i]))
			continue;
		if (b->local_count == cap) {
			cap = cap == 0 ? 64 : 2 * cap;
			slots = xreallocarray(slots, cap, sizeof(*slots));
		}
		slots[b->local_count++] = i;
	}
	b->locals = ARENA_ARRAY(b->c->scratch, b->local_count, struct local);
	b->c->locals = xcalloc(b->local_count + 1, sizeof(*b->c->locals));
	for (uint32_t i = 0; i < b->local_count; i++) {
		const struct workload *w = u->slots[slots[i]];

		b->locals[i] = (struct local){.workload = w, .slot = slots[i]};
		b->c->locals[i] = w;
	}
	free(slots);
	b->c->local_count = b->local_count;
}

static int
ns_depth_cmp(const void *a, const void *b)
{
	const struct ns *x = *(const struct ns *const *)a;
	const struct ns *y = *(const struct ns *const *)b;

	if (x->depth != y->depth)
		return x->depth < y->depth ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

static void
find_namespaces(struct subjects *b)
{
	const struct model *m = b->c->model;
	bool *seen = ARENA_ARRAY(b->c->scratch, m->ns_count, bool);

	b->namespaces = ARENA_ARRAY(b->c->scratch, m->ns_count, const struct ns *);
	for (uint32_t i = 0; i < b->local_count; i++) {
		const struct ns *ns = b->locals[i].workload->ns;

		for (; ns != NULL && !seen[ns->index]; ns = ns->parent) {
			seen[ns->index] = true;
			b->namespaces[b->ns_count++] = ns;
		}
	}
	if (b->ns_count > 1)
		qsort(b->namespaces, b->ns_count, sizeof(const struct ns *),
		    ns_depth_cmp);
}

/* The locals in a subtree are a range, as its slots are. */
static uint32_t
first_local(const struct subjects *b, uint32_t slot)
{
	uint32_t lo = 0, hi = b->local_count;

	while (lo < hi) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (b->locals[mid].slot < slot)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* ---- whose subject they are ---- */

static struct label_set
local_labels(const void *ctx, uint32_t item)
{
	return ((const struct subjects *)ctx)->locals[item].workload->shape->labels;
}

static struct label_set
local_ns_labels(const void *ctx, uint32_t item)
{
	return workload_ns_labels(
	    ((const struct subjects *)ctx)->locals[item].workload);
}

/* Of the locals: NULL is all of them. */
static const roaring_bitmap_t *
selected(struct label_index *index, const struct selector *selector)
{
	return selector != NULL ? label_index_select(index, selector) : NULL;
}

static roaring_bitmap_t *
bitmap_new(void)
{
	roaring_bitmap_t *bits = roaring_bitmap_create();

	if (bits == NULL)
		base_die("out of memory");
	return bits;
}

/* Adds the locals that may be in the match: those of its subtree (NULL: all) and labels. */
static void
add_candidates(struct subjects *b, const struct workload_match *match,
    const struct ns *subtree, roaring_bitmap_t *out)
{
	const struct universe *u = &b->c->universe;
	const roaring_bitmap_t *labels = selected(b->labels, match->selector);
	uint32_t first = 0, end = b->local_count;
	roaring_uint32_iterator_t it;

	if (subtree != NULL) {
		first = first_local(b, u->ns_first[subtree->index]);
		end = first_local(b, u->ns_end[subtree->index]);
	}
	if (labels == NULL) {
		roaring_bitmap_add_range(out, first, end);
		return;
	}
	roaring_init_iterator(labels, &it);
	(void)roaring_move_uint32_iterator_equalorlarger(&it, first);
	for (; it.has_value && it.current_value < end;
	     roaring_advance_uint32_iterator(&it))
		roaring_bitmap_add(out, it.current_value);
}

/* The locals that a policy of the level may be for. */
static roaring_bitmap_t *
candidates(struct subjects *b, const struct ns *level, const struct policy *policy)
{
	roaring_bitmap_t *all = bitmap_new(), *some;
	size_t count = 0;
	const struct peer *from =
	    b->c->begins != NULL ? b->c->begins(policy, &count) : NULL;

	add_candidates(b, &policy->subject, level, all);
	if (count == 0)
		return all;
	some = bitmap_new();
	for (size_t i = 0; i < count; i++)
		add_candidates(b, &from[i].workloads, from[i].workloads.subtree, some);
	roaring_bitmap_and_inplace(all, some);
	roaring_bitmap_free(some);
	return all;
}

/* Whether a local workload is in the match, its selectors aside. */
static bool
is_in_place(const struct workload_match *match, const struct workload *w)
{
	if (match->nodes != NULL)
		return false;
	if (match->cluster.ptr != NULL && !str_eq(match->cluster, w->where->cluster))
		return false;
	if (match->kube != NULL && match->kube != w->kube)
		return false;
	if (match->subtree != NULL && !ns_within(w->ns, match->subtree))
		return false;
	return match->service_account.ptr == NULL ||
	       str_eq(match->service_account, w->shape->service_account);
}

static bool
names_port(const struct rule *rule)
{
	for (size_t i = 0; !rule->any_port && i < rule->port_count; i++) {
		if (rule->ports[i].kind == PORT_NAMED)
			return true;
	}
	return false;
}

/* `first`: for the first tenant; the numbers are the same for all. */
static void
use_rules(struct side *s, const struct rule_list *list, struct str tenant, bool first)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct rule *rule = &list->rules[i];

		if (s->rule_count == s->rule_cap) {
			s->rule_cap = s->rule_cap == 0 ? 64 : 2 * s->rule_cap;
			s->rules =
			    xreallocarray(s->rules, s->rule_cap, sizeof(*s->rules));
		}
		s->rules[s->rule_count++] = (struct used_rule){.rule = rule,
		    .tenant = tenant,
		    .peers = PEERS_NOBODY,
		    .named = names_port(rule)};
		if (first)
			chains_add(s->c, &(struct verdict_number){
					     .number = rule->number,
					     .rule = rule,
					     .policy = rule->policy,
					     .dir = s->dir,
					 });
	}
}

static uint32_t
use_policy(
    struct subjects *b, const struct policy *policy, struct str tenant, bool first)
{
	struct used_policy *used;

	if (b->used_count == b->used_cap) {
		b->used_cap = b->used_cap == 0 ? 64 : 2 * b->used_cap;
		b->used = xreallocarray(b->used, b->used_cap, sizeof(*b->used));
	}
	used = &b->used[b->used_count];
	used->policy = policy;
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		struct side *s = &b->c->sides[d];

		for (unsigned phase = PHASE_MANDATORY; phase <= PHASE_DEFAULT;
		     phase++) {
			used->first[d][phase] = (uint32_t)s->rule_count;
			use_rules(s,
			    policy_rules(policy, (enum phase)phase, (enum direction)d),
			    tenant, first);
		}
		if (policy->isolates[d] && first)
			chains_add(b->c, &(struct verdict_number){
					     .number = policy->isolate_number[d],
					     .policy = policy,
					     .dir = (enum direction)d,
					 });
	}
	return (uint32_t)b->used_count++;
}

static void
add_policy(struct local *local, uint32_t policy)
{
	if (local->count == local->cap) {
		local->cap = local->cap == 0 ? 8 : 2 * local->cap;
		local->policies = xreallocarray(
		    local->policies, local->cap, sizeof(*local->policies));
	}
	local->policies[local->count++] = policy;
}

/* A tenant's workloads are together, as all of a subtree are. */
static void
match_policy(struct subjects *b, const struct ns *ns, const struct policy *policy)
{
	roaring_bitmap_t *may = candidates(b, ns, policy);
	const roaring_bitmap_t *by_ns =
	    selected(b->ns_labels, policy->subject.ns_selector);
	const bool named = policy_rules_by_name(policy) != 0;
	struct str tenant = STR("");
	uint32_t number = NONE;
	roaring_uint32_iterator_t it;

	roaring_init_iterator(may, &it);
	for (; it.has_value; roaring_advance_uint32_iterator(&it)) {
		uint32_t i = it.current_value;

		if (!is_in_place(&policy->subject, b->locals[i].workload) ||
		    (by_ns != NULL && !roaring_bitmap_contains(by_ns, i)) ||
		    (b->c->takes != NULL &&
			!b->c->takes(policy, b->locals[i].workload)))
			continue;
		if (number == NONE ||
		    (named && !str_eq(tenant, ns_tenant(b->locals[i].workload->ns)))) {
			if (named)
				tenant = ns_tenant(b->locals[i].workload->ns);
			number = use_policy(b, policy, tenant, number == NONE);
		}
		add_policy(&b->locals[i], number);
	}
	roaring_bitmap_free(may);
}

/* Nodes are at the root, where all of their policies stand. */
static void
match_node_policies(struct subjects *b)
{
	const struct model *m = b->c->model;
	const struct node *node = compiler_node(b->c);

	if (m->options.nodes_unprotected)
		return;
	for (size_t i = 0; i < m->root->policy_count; i++) {
		const struct policy *policy = m->root->policies[i];

		if (policy->subject.nodes != NULL &&
		    peer_takes_node(policy->subject.nodes, node))
			add_policy(
			    &b->host, use_policy(b, policy, ns_tenant(m->root), true));
	}
}

static struct policy_list
policies_of(const struct subjects *b, const struct ns *ns)
{
	return b->c->policies != NULL
		   ? b->c->policies[ns->index]
		   : (struct policy_list){ns->policies, ns->policy_count};
}

static void
want_labels(struct subjects *b, const struct policy *policy)
{
	size_t count = 0;
	const struct peer *from =
	    b->c->begins != NULL ? b->c->begins(policy, &count) : NULL;

	label_index_want(b->labels, policy->subject.selector);
	label_index_want(b->ns_labels, policy->subject.ns_selector);
	for (size_t i = 0; i < count; i++)
		label_index_want(b->labels, from[i].workloads.selector);
}

static void
match_policies(struct subjects *b)
{
	for (size_t i = 0; i < b->ns_count; i++) {
		const struct policy_list list = policies_of(b, b->namespaces[i]);

		for (size_t j = 0; j < list.count; j++)
			want_labels(b, list.items[j]);
	}
	label_index_fill(b->labels);
	label_index_fill(b->ns_labels);
	for (size_t i = 0; i < b->ns_count; i++) {
		const struct policy_list list = policies_of(b, b->namespaces[i]);

		for (size_t j = 0; j < list.count; j++)
			match_policy(b, b->namespaces[i], list.items[j]);
	}
	match_node_policies(b);
}

void
subjects_find(struct subjects *b, struct compiler *c)
{
	*b = (struct subjects){.c = c};
	find_locals(b);
	find_namespaces(b);
	b->labels = label_index_new(b->local_count, local_labels, b);
	b->ns_labels = label_index_new(b->local_count, local_ns_labels, b);
	match_policies(b);
}

void
subjects_fini(struct subjects *b)
{
	for (uint32_t i = 0; i < b->local_count; i++)
		free(b->locals[i].policies);
	free(b->host.policies);
	free(b->used);
	label_index_free(b->labels);
	label_index_free(b->ns_labels);
}
