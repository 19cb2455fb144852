/*
 * Workloads of the node that came, went, or are others. Mostly there are more like them here:
 * held to the same rules in the same order, which is a profile. Then no rule, no set of
 * peers and no class is another, and only elements of their own addresses are: what the
 * profile has for each class, at one address more or fewer. It does not matter how large
 * the program is. A profile whose last workload goes is kept, with the classes that its rules
 * tell apart, for the next one that is like it: what takes a pod's place mostly comes a moment
 * after the pod has gone. Who is held to rules that nobody here was held to is for
 * compile_local.c, which keeps no profile without workloads.
 */
#include <stdlib.h>
#include <string.h>

#include "policy-lang/compile/compile_route.h"
#include "policy-lang/compile/compile_state.h"
#include "policy-lang/model/net_limit.h"

/* Addresses that are looked for one by one: a workload may name very many. */
#define TOUCHED_MOST 4096

/* An address of a profile. */
struct own_point {
	enum direction dir;
	struct profile *profile;
	struct point point;
	bool ends; /* it goes, and so do all others of its family */
};

struct own_list {
	struct own_point *items;
	size_t count, cap;
};

struct own {
	struct update *u;
	struct compiler c; /* of those that are touched, alone */
	struct model touched;
	struct own_list gone, come;
};

static void
list_add(struct own_list *list, struct own_point p)
{
	if (list->count == list->cap) {
		list->cap = list->cap == 0 ? 16 : 2 * list->cap;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->items[list->count++] = p;
}

static bool
same_addr(const struct point *a, const struct point *b)
{
	return a->family == b->family && a->addr == b->addr;
}

/* ---- those that were ---- */

static void
find_gone(struct own *o, const struct ip_addr *addr)
{
	const struct point point = {
	    .addr = addr_to_num(addr), .family = (uint8_t)addr->family};

	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		const struct side *side = &o->u->s->c->sides[d];

		for (size_t i = 0; i < side->profile_count; i++) {
			struct profile *p = side->profiles[i];

			for (size_t j = 0; j < p->point_count; j++) {
				if (same_addr(&p->points[j], &point))
					list_add(&o->gone,
					    (struct own_point){.dir = (enum direction)d,
						.profile = p,
						.point = p->points[j]});
			}
		}
	}
}

static void
find_all_gone(struct own *o)
{
	const struct compile_state *s = o->u->s;

	for (size_t i = 0; i < o->u->dirty_count; i++) {
		const struct held *h = &s->held.items[o->u->dirty[i]];
		const struct workload *w = held_owner(h);
		struct ip_addr addr = held_addr(h);

		if (h->exists && w != NULL && compiler_is_local(s->c, w))
			find_gone(o, &addr);
	}
}

/* ---- those that are ---- */

static bool
same_entry(const struct side *a, const struct profile_entry *x, const struct side *b,
    const struct profile_entry *y)
{
	bool same = x->kind == y->kind && x->level == y->level &&
		    x->port_count == y->port_count;

	if (same && x->kind == ENTRY_RULE)
		same =
		    a->rules[x->rule].rule->number == b->rules[y->rule].rule->number &&
		    str_eq(a->rules[x->rule].tenant, b->rules[y->rule].tenant);
	else if (same)
		same = x->number == y->number;
	for (size_t i = 0; i < x->port_count && same; i++)
		same = x->ports[i].column == y->ports[i].column &&
		       x->ports[i].port == y->ports[i].port;
	return same;
}

/* The profile that the same rules make; NULL: nobody else here is held to them. */
static struct profile *
find_profile(const struct side *in, const struct side *of, const struct profile *wanted)
{
	for (size_t i = 0; i < in->profile_count; i++) {
		struct profile *p = in->profiles[i];
		bool same = !p->host && p->count == wanted->count;

		for (size_t j = 0; j < p->count && same; j++)
			same = same_entry(in, &p->entries[j], of, &wanted->entries[j]);
		if (same)
			return p;
	}
	return NULL;
}

static bool
find_all_come(struct own *o)
{
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		const struct side *of = &o->c.sides[d];

		for (size_t i = 0; i < of->profile_count; i++) {
			const struct profile *wanted = of->profiles[i];
			struct profile *p;

			if (wanted->host)
				continue;
			p = find_profile(&o->u->s->c->sides[d], of, wanted);
			if (p == NULL)
				return false;
			for (size_t j = 0; j < wanted->point_count; j++)
				list_add(&o->come,
				    (struct own_point){.dir = (enum direction)d,
					.profile = p,
					.point = wanted->points[j]});
		}
	}
	return true;
}

/* ---- whether that is all ---- */

/* What else follows from who is here is not told one by one. */
static bool
is_simple(const struct update *u)
{
	const size_t *listed = u->s->listed;

	return u->model->route_count == 0 && u->s->c->limit_count == 0 &&
	       !net_limit_any(u->model) && listed[SET_ASKER4] + listed[SET_ASKER6] == 0;
}

/* An address that stays in its profile is in neither list. */
static void
leave_out_same(struct own *o)
{
	size_t kept = 0;

	for (size_t i = 0; i < o->gone.count; i++) {
		const struct own_point *was = &o->gone.items[i];
		size_t j = 0;

		while (j < o->come.count &&
		       (o->come.items[j].profile != was->profile ||
			   !same_addr(&o->come.items[j].point, &was->point)))
			j++;
		if (j == o->come.count)
			o->gone.items[kept++] = *was;
		else
			o->come.items[j] = o->come.items[--o->come.count];
	}
	o->gone.count = kept;
}

/* How many addresses of the family the profile has. */
static size_t
count_points(const struct own_point *of)
{
	size_t count = 0;

	for (size_t i = 0; i < of->profile->point_count; i++)
		count += of->profile->points[i].family == of->point.family;
	return count;
}

static size_t
count_listed(const struct own_list *list, const struct own_point *of)
{
	size_t count = 0;

	for (size_t i = 0; i < list->count; i++)
		count += list->items[i].profile == of->profile &&
			 list->items[i].point.family == of->point.family;
	return count;
}

/* With which of those that go a profile has no address of the family any more. */
static void
find_ends(struct own *o)
{
	for (size_t i = 0; i < o->gone.count; i++) {
		struct own_point *p = &o->gone.items[i];

		p->ends = count_points(p) + count_listed(&o->come, p) ==
			  count_listed(&o->gone, p);
	}
}

/* Whether somebody here is governed afterwards. If not, nothing here is judged at all. */
static bool
some_stay(const struct own *o)
{
	size_t points = 0;

	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		const struct side *side = &o->u->s->c->sides[d];

		for (size_t i = 0; i < side->profile_count; i++)
			points += side->profiles[i]->point_count;
	}
	return points + o->come.count > o->gone.count;
}

/* False: it takes more; nothing has changed. */
static bool
find(struct own *o)
{
	if (!is_simple(o->u) || o->u->dirty_count > TOUCHED_MOST)
		return false;
	update_find_locals(o->u, true, o->c.scratch, &o->touched);
	o->touched.options.learnt = NULL; /* nobody's addresses are of no interest */
	compiler_find_profiles(&o->c, &o->touched);
	if (o->c.failed || o->c.lists[SET_ASKER4].count != 0 ||
	    o->c.lists[SET_ASKER6].count != 0)
		return false;
	find_all_gone(o);
	if (!find_all_come(o))
		return false;
	leave_out_same(o);
	find_ends(o);
	return some_stay(o);
}

/* ---- elements ---- */

/* What a profile has for an address. `uses`: of the numbers that this bears it takes or gives
 * them: it is the first of its family, or the last. */
static void
emit_point(struct own *o, struct own_point *p, bool uses, bool came)
{
	struct compiler *c = o->u->s->c;

	c->placing = !uses;
	c->retracting = !came;
	c->element_count = 0; /* what there is in all is counted at the end */
	cells_emit_points(&c->sides[p->dir], p->profile, &p->point, 1);
	c->placing = c->retracting = false;
}

static struct point *
point_of(const struct own_point *of)
{
	struct point *p = of->profile->points;

	while (!same_addr(p, &of->point))
		p++;
	return p;
}

static void
take_point_out(const struct own_point *of)
{
	*point_of(of) = of->profile->points[--of->profile->point_count];
}

static void
put_point_in(const struct own_point *of)
{
	struct profile *p = of->profile;

	if (p->point_count == p->point_cap) {
		p->point_cap = p->point_cap == 0 ? 4 : 2 * p->point_cap;
		p->points = xreallocarray(p->points, p->point_cap, sizeof(*p->points));
	}
	p->points[p->point_count++] = of->point;
}

/* The element of an address in a set of addresses, given as its IPv4 one; false: none. */
static bool
find_listed(const struct compile_state *s, enum table_set_id first,
    const struct ip_addr *addr, struct table_element *out)
{
	struct table_element key = {0};

	memcpy(key.addr, addr->bytes, ip_bytes(addr->family));
	return compile_state_find(
	    s, (enum table_set_id)(first + family_index(addr->family)), &key, out);
}

/* Before anyone else has the addresses that are held. */
static void
tell_own(struct own *o)
{
	struct update *u = o->u;
	struct arena *scratch = u->s->c->scratch;
	struct arena_mark mark = arena_mark(scratch); /* which lasts */
	const struct node *here;

	if (!compiler_lists_own(u->s->c))
		return;
	here = compiler_node(u->s->c);
	for (size_t i = 0; i < u->dirty_count; i++) {
		struct ip_addr addr = held_addr(&u->s->held.items[u->dirty[i]]);
		const struct workload *w = place_of(u->model, &addr).workload;
		const bool has = w != NULL && compiler_is_own(w, here);
		const enum table_set_id set =
		    addr.family == IP_V4 ? SET_OWN4 : SET_OWN6;
		struct table_element e = {0};
		const bool had = find_listed(u->s, SET_OWN4, &addr, &e);

		memcpy(e.addr, addr.bytes, ip_bytes(addr.family));
		if (had != has)
			state_list_add(has ? &u->added[set] : &u->removed[set], &e);
	}
	arena_rewind(scratch, &mark);
}

/* Those that are governed, which reach themselves. */
static void
tell_itself(struct own *o)
{
	struct update *u = o->u;

	for (size_t i = 0; i < u->dirty_count; i++) {
		struct ip_addr addr = held_addr(&u->s->held.items[u->dirty[i]]);
		struct table_element e;

		if (find_listed(u->s, SET_ITSELF4, &addr, &e))
			state_list_add(
			    &u->removed[SET_ITSELF4 + family_index(addr.family)], &e);
	}
	for (unsigned set = SET_ITSELF4; set <= SET_ITSELF6; set++) {
		for (size_t i = 0; i < o->c.lists[set].count; i++)
			state_list_add(&u->added[set], &o->c.lists[set].items[i]);
	}
}

/* What is taken away and put there again. */
static void
cancel(struct element_list *removed, struct element_list *added)
{
	size_t i = 0, j = 0, gone = 0, come = 0;

	element_list_sort(removed);
	element_list_sort(added);
	while (i < removed->count || j < added->count) {
		int order = i == removed->count ? 1
			    : j == added->count ? -1
						: table_element_cmp(&removed->items[i],
						      &added->items[j]);

		if (order == 0 &&
		    table_element_equal(&removed->items[i], &added->items[j]) &&
		    memcmp(&removed->items[i].loc, &added->items[j].loc,
			sizeof(struct loc)) == 0) {
			i++;
			j++;
			continue;
		}
		if (order <= 0)
			removed->items[gone++] = removed->items[i++];
		if (order >= 0)
			added->items[come++] = added->items[j++];
	}
	removed->count = gone;
	added->count = come;
}

/* ---- all of it ---- */

static void
keep_locals(struct own *o)
{
	struct compiler *c = o->u->s->c;
	struct model all;

	update_find_locals(o->u, false, o->c.scratch, &all);
	free(c->locals);
	c->locals = xcalloc(all.workload_count + 1, sizeof(*c->locals));
	c->local_count = all.workload_count;
	for (size_t i = 0; i < all.workload_count; i++)
		c->locals[i] = all.workloads[i];
}

/* Their elements go. The last of a profile that others take the place of stays there for what
 * the profile has a use for until they have come. */
static void
take_leave(struct own *o)
{
	for (size_t i = 0; i < o->gone.count; i++) {
		struct own_point *p = &o->gone.items[i];

		if (p->ends)
			take_point_out(p);
		emit_point(o, p, p->ends && count_points(p) == 0, false);
	}
	for (size_t i = 0; i < o->gone.count; i++) {
		if (!o->gone.items[i].ends)
			point_of(&o->gone.items[i])->leaving = true;
	}
}

static void
take_in(struct own *o)
{
	for (size_t i = 0; i < o->come.count; i++) {
		struct own_point *p = &o->come.items[i];

		emit_point(o, p, count_points(p) == 0, true);
		put_point_in(p);
	}
	for (size_t i = 0; i < o->gone.count; i++) {
		if (!o->gone.items[i].ends)
			take_point_out(&o->gone.items[i]);
	}
}

/* First those that are no more leave, at classes as they were; then classes change, at those
 * that stay; then those that are new come. */
static void
take(struct own *o)
{
	struct update *u = o->u;

	keep_locals(o); /* which looks at what is held */
	tell_own(o);
	tell_itself(o);
	take_leave(o);
	update_take_emitted(u, u->removed);
	update_addresses(u);
	take_in(o);
	update_take_emitted(u, u->added);
	for (unsigned i = 0; i < SET_COUNT; i++)
		cancel(&u->removed[i], &u->added[i]);
	update_numbers(u);
}

bool
update_own(struct update *u)
{
	struct own o = {.u = u};
	struct diag_list quiet;
	bool found;

	o.c = (struct compiler){
	    .scratch = arena_new(),
	    .model = u->model,
	    .options = &u->s->options,
	    .diags = &quiet,
	};
	diag_list_init(&quiet, o.c.scratch);
	found = find(&o);
	if (found)
		take(&o);
	free(o.gone.items);
	free(o.come.items);
	compiler_fini(&o.c);
	return found;
}

bool
compile_state_keeps(const struct compile_state *s)
{
	for (unsigned d = 0; d < DIRECTION_COUNT; d++) {
		const struct side *side = &s->c->sides[d];

		for (size_t i = 0; i < side->profile_count; i++) {
			if (!side->profiles[i]->host &&
			    side->profiles[i]->point_count == 0)
				return true;
		}
	}
	return false;
}
