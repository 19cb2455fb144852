#include "policy-lang/compile/compile.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "policy-lang/compile/compile_budget.h"
#include "policy-lang/compile/compile_excess.h"
#include "policy-lang/compile/compile_route.h"
#include "policy-lang/model/learnt.h"

void
emit(struct compiler *c, enum table_set_id set, const struct table_element *e)
{
	struct element_list *list = &c->lists[set];

	if (c->failed)
		return;
	if (c->element_count == LIMIT_PROGRAM_ELEMENTS) {
		excess_of_elements(
		    c, SET_COUNT, "elements", LIMIT_PROGRAM_ELEMENTS, e->loc);
		return;
	}
	if (table_set_swaps(set) && list->count == LIMIT_PROGRAM_RANGES) {
		excess_of_elements(c, set, "port ranges", LIMIT_PROGRAM_RANGES, e->loc);
		return;
	}
	c->element_count++;
	if (c->only_counts != NULL && c->only_counts(set)) {
		list->count++;
		return;
	}
	if (list->count == list->cap) {
		list->cap = list->cap == 0 ? 64 : list->cap + list->cap / 2;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->items[list->count++] = *e;
}

void
emit_addresses(struct compiler *c, const struct workload *w, struct loc loc,
    enum table_set_id first)
{
	for (uint32_t i = 0; i < w->ip_count; i++) {
		const struct place place = place_of(c->model, &w->ips[i]);
		struct table_element e = {.loc = loc};

		if (place.workload != w || place.ip != i)
			continue; /* another's, or named before */
		memcpy(e.addr, w->ips[i].bytes, ip_bytes(w->ips[i].family));
		emit(c, (enum table_set_id)(first + place.family), &e);
	}
}

enum table_set_id
set_of(enum table_set_id first, unsigned family, enum direction dir)
{
	unsigned offset = family + (dir == DIR_EGRESS ? 2 : 0);

	return (enum table_set_id)((unsigned)first + offset);
}

/* ---- the gate ---- */

enum table_set_id
gate_set(unsigned family, bool inside)
{
	enum table_set_id first = inside ? SET_KNOWN4 : SET_NOBODY4;

	return (enum table_set_id)((unsigned)first + family);
}

bool
compiler_validates(const struct compiler *c)
{
	return c->options->settings.validate_sources &&
	       (c->options->workload_network_count != 0 ||
		   c->options->workload_interface_count != 0);
}

static bool
is_node(const struct point *p)
{
	return p->slot == NONE && !p->outside;
}

static void
emit_gate(struct compiler *c, unsigned family)
{
	const struct universe *u = &c->universe;
	struct addrset nets = {0};

	addrset_add_prefixes(&nets, family_of(family), c->options->workload_networks,
	    c->options->workload_network_count);
	addrset_normalise(&nets);
	for (size_t i = 0; i < nets.count; i++) {
		struct table_element e = {.loc = chains_use(c, NUMBER_GATE)};

		addr_num_bytes(nets.ranges[i].lo, family_of(family), e.addr);
		addr_num_bytes(nets.ranges[i].hi, family_of(family), e.addr_end);
		emit(c, family == 0 ? SET_GATE4 : SET_GATE6, &e);
	}
	for (uint32_t i = u->family_first[family]; i < u->family_first[family + 1];
	     i++) {
		struct table_element e = {0};

		if (!addrset_has(&nets, u->points[i].addr) &&
		    (!compiler_validates(c) || !is_node(&u->points[i])))
			continue;
		addr_num_bytes(u->points[i].addr, family_of(family), e.addr);
		emit(c, gate_set(family, !u->points[i].outside), &e);
	}
	addrset_fini(&nets);
}

static void
emit_interfaces(struct compiler *c, enum table_set_id set, uint32_t number,
    const struct interface_pattern *patterns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct table_element e = {.loc = chains_use(c, number)};

		memcpy(e.addr, patterns[i].first, sizeof(e.addr));
		memcpy(e.addr_end, patterns[i].last, sizeof(e.addr_end));
		emit(c, set, &e);
	}
}

/* ---- the node's own workloads ---- */

static bool
has_host_profile(const struct side *s)
{
	for (size_t i = 0; i < s->profile_count; i++) {
		if (s->profiles[i]->host)
			return true;
	}
	return false;
}

/* Where policy for the node says what it may reach, where nobody else may be behind an
 * interface, where what one of them begins may go through another, and where no other has its
 * address. */
bool
compiler_lists_own(const struct compiler *c)
{
	return has_host_profile(&c->sides[DIR_EGRESS]) ||
	       c->options->workload_interface_count != 0 || via_is_ruled(c->model) ||
	       compiler_validates(c);
}

bool
compiler_is_own(const struct workload *w, const struct node *here)
{
	return str_eq(w->where->node, here->name) &&
	       str_eq(w->where->cluster, here->cluster);
}

static void
emit_own(struct compiler *c)
{
	const struct universe *u = &c->universe;
	const struct node *here;

	if (!compiler_lists_own(c))
		return;
	here = compiler_node(c);
	for (uint32_t i = 0; i < u->point_count; i++) {
		const struct point *p = &u->points[i];
		const struct workload *w = p->slot != NONE ? u->slots[p->slot] : NULL;
		struct table_element e = {0};

		if (w == NULL || !compiler_is_own(w, here))
			continue;
		addr_num_bytes(p->addr, p->family, e.addr);
		emit(c, p->family == IP_V4 ? SET_OWN4 : SET_OWN6, &e);
	}
}

/* ---- whom answers are believed from ---- */

static void
emit_resolvers(struct compiler *c)
{
	const struct learnt *learnt = c->model->options.learnt;
	const struct ip_addr *all = NULL;
	size_t count = 0;

	if (c->lists[SET_ASKER4].count + c->lists[SET_ASKER6].count == 0)
		return;
	all = learnt_resolvers(learnt, &count); /* who asks has a table */
	if (!learnt_copied(learnt))
		count = 0;
	for (size_t i = 0; i < count; i++) {
		struct table_element e = {0};

		memcpy(e.addr, all[i].bytes, ip_bytes(all[i].family));
		emit(c, all[i].family == IP_V4 ? SET_RESOLVER4 : SET_RESOLVER6, &e);
	}
}

/* ---- the result ---- */

static int
element_cmp(const void *a, const void *b)
{
	return table_element_cmp(a, b);
}

void
element_list_sort(struct element_list *list)
{
	bool sorted = true;

	for (size_t i = 1; i < list->count && sorted; i++)
		sorted = table_element_cmp(&list->items[i - 1], &list->items[i]) < 0;
	if (!sorted)
		qsort(list->items, list->count, sizeof(*list->items), element_cmp);
}

void
element_list_give(struct arena *arena, struct element_list *list,
    struct table_content *out, enum table_set_id set)
{
	struct table_element *copy =
	    ARENA_ARRAY(arena, list->count, struct table_element);

	if (list->count != 0)
		memcpy(copy, list->items, list->count * sizeof(*copy));
	out->elements[set] = copy;
	out->element_count[set] = list->count;
}

static bool
is_host_judged(const struct compiler *c)
{
	return c->lists[SET_HOST_IN].count + c->lists[SET_HOST_OUT].count != 0;
}

/* Where nothing is governed nothing is anybody's middle. */
static void
use_midstream(struct compiler *c)
{
	bool governed = is_host_judged(c);

	for (size_t i = SET_LOCAL4_IN; i <= SET_LOCAL6_OUT; i++)
		governed |= c->lists[i].count != 0;
	if (governed)
		(void)chains_use(c, NUMBER_MIDSTREAM);
}

/* ---- what no policy closes ---- */

static int
port_cmp(const void *a, const void *b)
{
	const struct fail_safe_port *x = a, *y = b;

	return x->proto != y->proto ? x->proto - y->proto : x->lo - y->lo;
}

/* An interval set takes none that overlap. */
static void
emit_safe(struct compiler *c, enum direction dir, enum table_set_id set)
{
	const struct fail_safe *safe = &c->model->options.fail_safe;
	struct fail_safe_port *ports =
	    ARENA_ARRAY(c->scratch, safe->count[dir], struct fail_safe_port);
	size_t count = safe->count[dir];

	for (size_t i = 0; i < count; i++)
		ports[i] = safe->ports[dir][i];
	if (count > 1)
		qsort(ports, count, sizeof(*ports), port_cmp);
	for (size_t i = 0; i < count; i++) {
		struct table_element e = {.proto = ports[i].proto,
		    .port_lo = ports[i].lo,
		    .port_hi = ports[i].hi};

		for (; i + 1 < count && ports[i + 1].proto == e.proto &&
		       ports[i + 1].lo <= e.port_hi;
		     i++) {
			if (ports[i + 1].hi > e.port_hi)
				e.port_hi = ports[i + 1].hi;
		}
		emit(c, set, &e);
	}
}

void
compiler_find_profiles(struct compiler *c, const struct model *workloads)
{
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		c->sides[d].c = c;
		c->sides[d].dir = (enum direction)d;
	}
	universe_init(&c->universe, workloads, workloads == c->model);
	profiles_build(c);
}

void
compiler_gather(struct compiler *c, const struct model *workloads)
{
	compiler_find_profiles(c, workloads);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++)
		peers_announce(&c->sides[d]);
	label_index_fill(c->universe.labels);
	label_index_fill(c->universe.scope_labels);
	for (unsigned d = 0; d < DIRECTION_COUNT && !c->failed; d++)
		peers_collect(&c->sides[d]);
}

void
compiler_emit(struct compiler *c)
{
	budget_begin(c);
	for (unsigned d = 0; d < DIRECTION_COUNT && !c->failed; d++)
		cells_build(&c->sides[d]);
	budget_end(c);
	for (unsigned f = 0; f < FAMILY_COUNT; f++)
		emit_gate(c, f);
	emit_interfaces(c, SET_GATE_IF, NUMBER_GATE, c->options->workload_interfaces,
	    c->options->workload_interface_count);
	emit_own(c);
	if (compiler_validates(c)) {
		(void)chains_use(c, NUMBER_SPOOFED);
		emit_interfaces(c, SET_UPLINK_IF, NUMBER_SPOOFED, c->options->uplinks,
		    c->options->uplink_count);
	}
	use_midstream(c);
	if (is_host_judged(c)) {
		emit_safe(c, DIR_INGRESS, SET_SAFE_IN);
		emit_safe(c, DIR_EGRESS, SET_SAFE_OUT);
	}
	routes_build(c);
	emit_resolvers(c);
	limits_build(c);
}

void
compiler_run(struct compiler *c)
{
	compiler_gather(c, c->routed != NULL ? c->routed : c->model);
	for (unsigned d = 0; d < DIRECTION_COUNT && !c->failed; d++)
		classes_build(&c->sides[d]);
	compiler_emit(c);
}

void
compiler_fini(struct compiler *c)
{
	leave_free(c->leave);
	via_free(c->via);
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		classes_fini(&c->sides[d]);
		peers_fini(&c->sides[d]);
		profiles_fini(&c->sides[d]);
	}
	for (size_t i = 0; i < SET_COUNT; i++)
		free(c->lists[i].items);
	universe_fini(&c->universe);
	free(c->numbers);
	free(c->standbys);
	free(c->locals);
	arena_free(c->scratch);
}

bool
compile_node(struct arena *arena, const struct model *model,
    const struct compile_options *options, struct diag_list *diags,
    struct table_content *out_content)
{
	struct compiler c = {
	    .arena = arena,
	    .scratch = arena_new(),
	    .model = model,
	    .options = options,
	    .diags = diags,
	};
	bool ok;

	memset(out_content, 0, sizeof(*out_content));
	out_content->settings = options->settings;
	compiler_run(&c);
	for (size_t i = 0; i < SET_COUNT; i++) {
		element_list_sort(&c.lists[i]);
		element_list_give(
		    arena, &c.lists[i], out_content, (enum table_set_id)i);
	}
	out_content->settings.uses = table_uses(out_content->element_count);
	chains_build(&c, arena, out_content);
	ways_give(&c, arena, out_content);
	ok = !c.failed;
	compiler_fini(&c);
	return ok;
}
