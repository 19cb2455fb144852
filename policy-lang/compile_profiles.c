/*
 * Local workloads and their rules in the order of the walk. Workloads whose lists are
 * equal share a profile; where ingress rules name ports, what the names mean at the
 * workload is part of the list.
 */
#include "policy-lang/compile_route.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

/* A policy that some local workload is the subject of. */
struct used_policy {
	const struct policy *policy; /* one with names: of some tenant */
	/* Where its lists begin in side->rules: by direction and phase. */
	uint32_t first[DIRECTION_COUNT][3];
};

struct local {
	const struct workload *workload;
	uint32_t slot;
	uint32_t *policies; /* numbers of used policies, root first */
	size_t count, cap;
};

struct builder {
	struct compiler *c;
	struct local host;    /* the node itself; its policies, if it has any */
	struct local *locals; /* by slot */
	uint32_t local_count;
	const struct ns **namespaces; /* of a local or above one; parents first */
	size_t ns_count;
	struct label_index *labels;    /* of locals */
	struct label_index *ns_labels; /* of their namespaces */
	struct used_policy *used;
	size_t used_count, used_cap;
};

/* ---- who is local ---- */

bool
compiler_is_local(const struct compiler *c, const struct workload *w)
{
	struct str node = c->options->node;
	size_t slash = str_find(node, '/', 0);

	if (slash != node.len) {
		if (!str_eq(w->cluster, str_slice(node, 0, slash)))
			return false;
		node = str_slice(node, slash + 1, node.len);
	}
	return node.len != 0 && str_eq(w->node, node);
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
find_locals(struct builder *b)
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
	b->c->locals =
	    ARENA_ARRAY(b->c->scratch, b->local_count, const struct workload *);
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
find_namespaces(struct builder *b)
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
first_local(const struct builder *b, uint32_t slot)
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
	return ((const struct builder *)ctx)->locals[item].workload->shape->labels;
}

static struct label_set
local_ns_labels(const void *ctx, uint32_t item)
{
	return workload_ns_labels(((const struct builder *)ctx)->locals[item].workload);
}

/* Of the locals: NULL is all of them. */
static const roaring_bitmap_t *
selected(struct label_index *index, const struct selector *selector)
{
	return selector != NULL ? label_index_select(index, selector) : NULL;
}

/* Whether a local workload is in the match, its selectors aside. */
static bool
is_in_place(const struct workload_match *match, const struct workload *w)
{
	if (match->nodes != NULL)
		return false;
	if (match->cluster.ptr != NULL && !str_eq(match->cluster, w->cluster))
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
    struct builder *b, const struct policy *policy, struct str tenant, bool first)
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
match_policy(struct builder *b, const struct ns *ns, const struct policy *policy)
{
	const struct universe *u = &b->c->universe;
	const roaring_bitmap_t *by_label =
	    selected(b->labels, policy->subject.selector);
	const roaring_bitmap_t *by_ns =
	    selected(b->ns_labels, policy->subject.ns_selector);
	uint32_t end = u->ns_end[ns->index];
	bool named = policy_rules_by_name(policy) != 0;
	struct str tenant = {0};
	uint32_t number = NONE;

	for (uint32_t i = first_local(b, u->ns_first[ns->index]);
	     i < b->local_count && b->locals[i].slot < end; i++) {
		if (!is_in_place(&policy->subject, b->locals[i].workload) ||
		    (by_label != NULL && !roaring_bitmap_contains(by_label, i)) ||
		    (by_ns != NULL && !roaring_bitmap_contains(by_ns, i)) ||
		    (b->c->takes != NULL &&
			!b->c->takes(policy, b->locals[i].workload)))
			continue;
		if (number == NONE ||
		    (named && !str_eq(tenant, ns_tenant(b->locals[i].workload->ns)))) {
			tenant = ns_tenant(b->locals[i].workload->ns);
			number = use_policy(b, policy, tenant, number == NONE);
		}
		add_policy(&b->locals[i], number);
	}
}

/* Nodes are at the root, where all of their policies stand. */
static void
match_node_policies(struct builder *b)
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
policies_of(const struct builder *b, const struct ns *ns)
{
	return b->c->policies != NULL
		   ? b->c->policies[ns->index]
		   : (struct policy_list){ns->policies, ns->policy_count};
}

static void
match_policies(struct builder *b)
{
	for (size_t i = 0; i < b->ns_count; i++) {
		const struct policy_list list = policies_of(b, b->namespaces[i]);

		for (size_t j = 0; j < list.count; j++) {
			const struct policy *p = list.items[j];

			label_index_want(b->labels, p->subject.selector);
			label_index_want(b->ns_labels, p->subject.ns_selector);
		}
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

/* ---- one workload's list ---- */

/* A list under construction. */
struct list {
	struct builder *b;
	struct side *side;
	const struct local *local;
	struct profile_entry *entries;
	size_t count, cap;
	struct buf key;
	uint32_t level;
	bool passed; /* a rule of this level may have passed something on */
	bool final;  /* nothing behind this can be reached */
};

static struct profile_entry *
list_add(struct list *l, enum entry_kind kind, uint32_t what)
{
	struct profile_entry *e;

	if (l->count == l->cap) {
		l->cap = l->cap == 0 ? 16 : 2 * l->cap;
		l->entries = xreallocarray(l->entries, l->cap, sizeof(*l->entries));
	}
	e = &l->entries[l->count++];
	*e = (struct profile_entry){.kind = kind, .level = l->level};
	key_add_u32(&l->key, (uint32_t)kind);
	key_add_u32(&l->key, l->level);
	key_add_u32(&l->key, what);
	return e;
}

static void
next_level(struct list *l)
{
	l->level++;
	l->passed = false;
}

/* What an ingress rule's port names mean at the workload. */
static void
resolve_ports(struct list *l, const struct rule *rule, struct profile_entry *e)
{
	const struct workload *w = l->local->workload;
	struct resolved_port *ports = ARENA_ARRAY(l->b->c->scratch,
	    rule->port_count * w->shape->port_count, struct resolved_port);

	for (size_t i = 0; i < rule->port_count; i++) {
		const struct port_match *match = &rule->ports[i];

		for (size_t j = 0;
		     match->kind == PORT_NAMED && j < w->shape->port_count; j++) {
			const struct named_port *np = &w->shape->ports[j];
			enum port_column column = port_column_of(np->proto);

			if (!str_eq(np->name, match->name) || column == PORTS_OTHER ||
			    (match->proto != PROTO_ANY && match->proto != np->proto))
				continue;
			ports[e->port_count++] =
			    (struct resolved_port){column, np->port};
			key_add_u32(&l->key, (uint32_t)column << 16 | np->port);
		}
	}
	e->ports = ports;
	key_add_u32(&l->key, NONE);
}

static void
list_rules(struct list *l, const struct used_policy *used, enum phase phase)
{
	uint32_t first = used->first[l->side->dir][phase];
	size_t count = policy_rules(used->policy, phase, l->side->dir)->count;

	for (uint32_t i = first; i < first + count && !l->final; i++) {
		struct used_rule *rule = &l->side->rules[i];
		struct profile_entry *e = list_add(l, ENTRY_RULE, i);

		e->rule = i;
		rule->reached = true;
		if (rule->named && l->side->dir == DIR_INGRESS &&
		    l->local->workload != NULL)
			resolve_ports(l, rule->rule, e);
		if (rule->rule->action == ACTION_PASS)
			l->passed = true;
		else if (rule->rule->any_peer && rule->rule->any_port && !l->passed)
			l->final = true;
	}
}

/* The allow blocks of one level: the union of all that isolate, then the deny. */
static void
list_allow(struct list *l, const uint32_t *policies, size_t count)
{
	enum direction d = l->side->dir;
	const struct policy *isolating = NULL;

	for (size_t i = 0; i < count && !l->final; i++) {
		const struct used_policy *used = &l->b->used[policies[i]];

		if (!used->policy->isolates[d])
			continue;
		if (isolating == NULL)
			isolating = used->policy;
		list_rules(l, used, PHASE_ALLOW);
	}
	if (isolating == NULL || l->final)
		return;
	list_add(l, ENTRY_ISOLATE, isolating->isolate_number[d])->number =
	    isolating->isolate_number[d];
	l->final = true;
}

/* The walk: mandatory from the root down, allow and default from the leaf up. */
static void
list_walk(struct list *l)
{
	const struct local *local = l->local;
	const struct used_policy *used = l->b->used;
	size_t end = local->count;

	for (size_t i = 0; i < local->count && !l->final; i++) {
		const struct used_policy *p = &used[local->policies[i]];

		if (i > 0 &&
		    p->policy->level != used[local->policies[i - 1]].policy->level)
			next_level(l);
		list_rules(l, p, PHASE_MANDATORY);
	}
	while (end > 0 && !l->final) {
		const struct ns *level = used[local->policies[end - 1]].policy->level;
		size_t first = end - 1;

		while (first > 0 &&
		       used[local->policies[first - 1]].policy->level == level)
			first--;
		next_level(l);
		list_allow(l, local->policies + first, end - first);
		next_level(l);
		for (size_t i = first; i < end && !l->final; i++)
			list_rules(l, &used[local->policies[i]], PHASE_DEFAULT);
		end = first;
	}
}

/* ---- profiles ---- */

static struct loc
list_loc(const struct list *l)
{
	const struct profile_entry *e = l->entries;

	if (l->count == 0)
		return (struct loc){0};
	if (e->kind == ENTRY_RULE)
		return l->side->rules[e->rule].rule->loc;
	return chains_loc(l->b->c, e->number);
}

static struct profile *
profile_of(struct list *l)
{
	struct side *s = l->side;
	struct arena *scratch = l->b->c->scratch;
	struct profile *p = map_get(&s->profile_by_key, buf_str(&l->key));

	if (p != NULL)
		return p;
	p = ARENA_NEW(scratch, struct profile);
	p->entries = ARENA_ARRAY(scratch, l->count, struct profile_entry);
	if (l->count != 0)
		memcpy(p->entries, l->entries, l->count * sizeof(*p->entries));
	p->count = l->count;
	p->loc = list_loc(l);
	if (s->profile_count == s->profile_cap) {
		s->profile_cap = s->profile_cap == 0 ? 16 : 2 * s->profile_cap;
		s->profiles = xreallocarray(
		    s->profiles, s->profile_cap, sizeof(struct profile *));
	}
	s->profiles[s->profile_count++] = p;
	(void)map_set(&s->profile_by_key, str_dup(scratch, buf_str(&l->key)), p);
	return p;
}

static void
add_to_profile(const struct universe *u, struct profile *p, uint32_t slot)
{
	for (uint32_t i = u->slot_points_first[slot];
	     i < u->slot_points_first[slot + 1]; i++) {
		if (p->point_count == p->point_cap) {
			p->point_cap = p->point_cap == 0 ? 4 : 2 * p->point_cap;
			p->points =
			    xreallocarray(p->points, p->point_cap, sizeof(*p->points));
		}
		p->points[p->point_count++] = u->points[u->slot_points[i]];
	}
}

static void
begin_list(struct list *l, const struct local *local)
{
	l->local = local;
	l->count = 0;
	l->level = 0;
	l->passed = l->final = false;
	buf_clear(&l->key);
}

/* Before all policy comes what none of it can close; in a direction that no policy speaks
 * of the node is not judged at all. */
static void
build_host_profile(struct list *l, const struct local *host)
{
	size_t safe;

	begin_list(l, host);
	list_add(l, ENTRY_FAIL_SAFE, NUMBER_FAIL_SAFE)->number = NUMBER_FAIL_SAFE;
	next_level(l);
	safe = l->count;
	list_walk(l);
	if (l->count == safe)
		return;
	profile_of(l)->host = true;
}

static void
build_profiles(struct builder *b, struct side *s)
{
	struct list l = {.b = b, .side = s};

	for (uint32_t i = 0; i < b->local_count; i++) {
		begin_list(&l, &b->locals[i]);
		list_walk(&l);
		/* Whom no rule governs is not looked up at all. */
		if (l.count != 0 || b->c->model->options.default_deny)
			add_to_profile(
			    &b->c->universe, profile_of(&l), b->locals[i].slot);
	}
	build_host_profile(&l, &b->host);
	free(l.entries);
	buf_free(&l.key);
}

/* ---- whose DNS answers teach something ---- */

static bool
asks_for_names(const struct builder *b, const struct local *local)
{
	for (size_t i = 0; i < local->count; i++) {
		if (policy_rules_by_name(b->used[local->policies[i]].policy) != 0)
			return true;
	}
	return false;
}

static void
emit_asker(struct compiler *c, const struct workload *w)
{
	for (size_t i = 0; i < w->ip_count; i++) {
		struct table_element e = {.loc = w->loc};

		if (model_workload_at(c->model, &w->ips[i]) != w)
			continue;
		memcpy(e.addr, w->ips[i].bytes, ip_bytes(w->ips[i].family));
		emit(c, w->ips[i].family == IP_V4 ? SET_ASKER4 : SET_ASKER6, &e);
	}
}

static void
emit_askers(const struct builder *b)
{
	if (b->c->model->options.learnt == NULL)
		return;
	for (uint32_t i = 0; i < b->local_count; i++) {
		if (asks_for_names(b, &b->locals[i]))
			emit_asker(b->c, b->locals[i].workload);
	}
}

void
profiles_build(struct compiler *c)
{
	struct builder b = {.c = c};

	find_locals(&b);
	find_namespaces(&b);
	b.labels = label_index_new(b.local_count, local_labels, &b);
	b.ns_labels = label_index_new(b.local_count, local_ns_labels, &b);
	match_policies(&b);
	routes_name(c);
	chains_seal(c);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		build_profiles(&b, &c->sides[d]);
	emit_askers(&b);
	for (uint32_t i = 0; i < b.local_count; i++)
		free(b.locals[i].policies);
	free(b.host.policies);
	free(b.used);
	label_index_free(b.labels);
	label_index_free(b.ns_labels);
}

void
profiles_fini(struct side *s)
{
	for (size_t i = 0; i < s->profile_count; i++)
		free(s->profiles[i]->points);
	free(s->profiles);
	map_fini(&s->profile_by_key);
	free(s->rules);
}
