/*
 * For each profile and class, the walk over port space; from it the fewest elements. A
 * class that a profile's rules do not mention needs none: class 0 holds for it.
 */
#include "policy-lang/compile/compile_walk.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "policy-lang/compile/compile_budget.h"

#define PORT_MAX 65535

/* ---- from segments to cells ---- */

static void
add_cell(struct cell_list *list, struct cell cell)
{
	if (list->count == list->cap) {
		list->cap = list->cap == 0 ? 64 : 2 * list->cap;
		list->items =
		    xreallocarray(list->items, list->cap, sizeof(*list->items));
	}
	list->items[list->count++] = cell;
}

/* The cells of one run of ports: a few are exact, many a range. */
static void
add_run(struct cell_list *list, enum port_column column, uint32_t lo, uint32_t hi,
    uint32_t number)
{
	struct cell cell = {.proto = port_column_proto(column), .number = number};

	if (!port_column_has_ports(column) || hi - lo >= LIMIT_PORTS_EXPANDED) {
		cell.kind = CELL_RANGE;
		cell.lo = (uint16_t)lo;
		cell.hi = (uint16_t)hi;
		add_cell(list, cell);
		return;
	}
	for (cell.kind = CELL_EXACT; lo <= hi; lo++) {
		cell.lo = (uint16_t)lo;
		add_cell(list, cell);
	}
}

/* The cells of the ports where `v` is not what holds without them: `base`, or where that
 * is NULL the number `otherwise`. */
static void
add_column(struct cell_list *list, enum port_column column, const struct port_list *v,
    const struct port_list *base, uint32_t otherwise)
{
	size_t j = 0;

	for (size_t i = 0; i < v->count; i++) {
		const struct port_segment *s = &v->items[i];
		uint32_t at = s->lo, run = s->lo;

		/* [run, at) differs from the base; at the end it is one run. */
		while (at <= s->hi) {
			uint32_t end = s->hi, number = otherwise;

			while (base != NULL && base->items[j].hi < at)
				j++;
			if (base != NULL) {
				number = base->items[j].number;
				if (base->items[j].hi < end)
					end = base->items[j].hi;
			}
			if (number == s->number) {
				if (run < at)
					add_run(list, column, run, at - 1, s->number);
				run = end + 1;
			}
			at = end + 1;
		}
		if (run < at)
			add_run(list, column, run, at - 1, s->number);
	}
}

static uint32_t
number_of_others(const struct verdicts *v)
{
	return v->columns[PORTS_OTHER].items[0].number;
}

/* ICMP is of IPv4 and ICMPv6 of IPv6; in the other family they are any protocol. */
static bool
column_in_family(enum port_column column, unsigned family)
{
	if (column == PORTS_ICMP)
		return family_of(family) == IP_V4;
	if (column == PORTS_ICMPV6)
		return family_of(family) == IP_V6;
	return column != PORTS_OTHER;
}

static void
add_columns(struct cell_list *list, unsigned family, const struct verdicts *v,
    const struct verdicts *base)
{
	list->count = 0;
	for (unsigned i = 0; i < PORT_COLUMNS; i++) {
		if (column_in_family((enum port_column)i, family))
			add_column(list, (enum port_column)i, &v->columns[i],
			    base != NULL ? &base->columns[i] : NULL,
			    number_of_others(v));
	}
}

/* Fills w->cells with class 0's cells. */
static void
encode_everyone(struct walker *w, unsigned family)
{
	add_columns(&w->cells, family, w->everyone, NULL);
	add_cell(&w->cells,
	    (struct cell){.kind = CELL_REST, .number = number_of_others(w->everyone)});
}

/* Fills w->cells with another class's: either where it differs from class 0, or all of
 * it over an element for the rest; whichever is less. */
static void
encode_class(struct walker *w, unsigned family, const struct verdicts *v)
{
	struct cell_list swap;

	add_columns(&w->cells, family, v, NULL);
	add_cell(
	    &w->cells, (struct cell){.kind = CELL_ANY, .number = number_of_others(v)});
	if (number_of_others(v) != number_of_others(w->everyone))
		return;
	add_columns(&w->other, family, v, w->everyone);
	if (w->other.count < w->cells.count) {
		swap = w->cells;
		w->cells = w->other;
		w->other = swap;
	}
}

/* ---- from cells to elements ---- */

/* At every address of the profile; the node's elements have none. */
static void
emit_cell(
    struct walker *w, unsigned family, enum table_set_id set, struct table_element *e)
{
	if (w->profile->host)
		emit(w->s->c, set, e);
	for (size_t i = 0; i < w->profile->point_count; i++) {
		const struct point *p = &w->profile->points[i];

		if (family_index(p->family) != family || p->leaving)
			continue;
		addr_num_bytes(p->addr, p->family, e->addr);
		emit(w->s->c, set, e);
	}
}

static void
emit_cells(struct walker *w, unsigned family, const struct class_info *class)
{
	static const enum table_set_id sets[][4] = {
	    {
		[CELL_EXACT] = SET_CELL4_IN,
		[CELL_RANGE] = SET_CELL4_IN_RANGE,
		[CELL_ANY] = SET_CELL4_IN_ANY,
		[CELL_REST] = SET_CELL4_IN_REST,
	    },
	    {
		/* The rest is what class 0 has for any port. */
		[CELL_EXACT] = SET_HOST4_IN,
		[CELL_RANGE] = SET_HOST4_IN_RANGE,
		[CELL_ANY] = SET_HOST4_IN_ANY,
		[CELL_REST] = SET_HOST4_IN_ANY,
	    },
	};

	for (size_t i = 0; i < w->cells.count; i++) {
		const struct cell *cell = &w->cells.items[i];
		enum table_set_id set =
		    set_of(sets[w->profile->host][cell->kind], family, w->s->dir);
		struct table_element e = {
		    .class_id = class != NULL ? class->id : 0,
		    .proto = cell->proto,
		    .port_lo = cell->lo,
		    .port_hi = cell->hi,
		    .value = cell->number,
		    .loc = chains_use(w->s->c, cell->number),
		};

		if (budget_take(w, family, class, cell->number))
			emit_cell(w, family, set, &e);
	}
}

/* Both families at once: what switches the node's judgement on. */
static void
find_host_families(struct walker *w, bool emits)
{
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		struct table_element e = {
		    .proto = table_nfproto(family_of(f)),
		    .loc = w->profile->loc,
		};

		w->families[f] = true;
		if (emits)
			emit(w->s->c,
			    w->s->dir == DIR_INGRESS ? SET_HOST_IN : SET_HOST_OUT, &e);
	}
}

/* The addresses that are looked up at all; unless `emits`, only their families. */
static void
find_families(struct walker *w, bool emits)
{
	for (size_t i = 0; i < w->profile->point_count; i++) {
		const struct point *p = &w->profile->points[i];
		struct table_element e = {.loc = w->profile->loc};
		unsigned family = family_index(p->family);

		w->families[family] = true;
		w->family_points[family]++;
		if (!emits)
			continue;
		addr_num_bytes(p->addr, p->family, e.addr);
		emit(w->s->c, set_of(SET_LOCAL4_IN, family, w->s->dir), &e);
	}
}

/* ---- one profile ---- */

static int
mention_cmp(const void *a, const void *b)
{
	const struct mention *x = a, *y = b;

	if (x->set != y->set)
		return x->set < y->set ? -1 : 1;
	return (x->entry > y->entry) - (x->entry < y->entry);
}

static void
mention_set(struct walker *w, uint32_t set)
{
	if (w->set_stamp[set] == w->serial)
		return;
	w->set_stamp[set] = w->serial;
	w->sets[w->set_count++] = set;
}

/* Whatever a port's name means somewhere tells peers apart. */
static void
mention_names(struct walker *w, const struct rule *rule)
{
	for (size_t i = 0; i < rule->port_count; i++) {
		const struct port_name *n;

		if (rule->ports[i].kind != PORT_NAMED)
			continue;
		n = peers_port_name(w->s, &rule->ports[i]);
		for (size_t j = 0; n != NULL && j < n->meaning_count; j++)
			mention_set(w, n->meanings[j]);
	}
}

/* Which entries hold for whom. */
static void
index_entries(struct walker *w)
{
	const struct profile *p = w->profile;

	w->mentions = xcalloc(p->count, sizeof(*w->mentions));
	w->always = xcalloc(p->count, sizeof(*w->always));
	w->entries = xcalloc(p->count, sizeof(*w->entries));
	for (uint32_t i = 0; i < p->count; i++) {
		const struct profile_entry *e = &p->entries[i];
		const struct used_rule *used =
		    e->kind == ENTRY_RULE ? &w->s->rules[e->rule] : NULL;

		if (used != NULL && used->peers == PEERS_NOBODY)
			continue;
		if (used != NULL && used->named && w->s->dir == DIR_EGRESS)
			mention_names(w, used->rule);
		if (used == NULL || used->peers == PEERS_EVERYONE) {
			w->always[w->always_count++] = i;
			continue;
		}
		mention_set(w, used->peers);
		w->mentions[w->mention_count++] = (struct mention){used->peers, i};
	}
	if (w->mention_count > 1)
		qsort(w->mentions, w->mention_count, sizeof(*w->mentions), mention_cmp);
}

static void
emit_class(
    struct walker *w, const struct class_info *class, const bool families[FAMILY_COUNT])
{
	const struct verdicts *v = walker_verdicts(w, class);

	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		if (!w->families[f] || !families[f] || w->s->c->failed)
			continue;
		encode_class(w, f, v);
		emit_cells(w, f, class);
	}
}

/* In the families in which it has addresses. */
static void
emit_used_class(struct walker *w, const struct class_info *class)
{
	const bool families[FAMILY_COUNT] = {class->uses[0] != 0, class->uses[1] != 0};

	if (families[0] || families[1])
		emit_class(w, class, families);
}

static void
begin_profile(struct walker *w, const struct profile *profile, bool emits)
{
	w->profile = profile;
	w->serial++;
	w->mention_count = w->always_count = w->set_count = 0;
	memset(w->families, 0, sizeof(w->families));
	memset(w->family_points, 0, sizeof(w->family_points));
	w->owner = budget_owner(w);
	index_entries(w);
	if (profile->host)
		find_host_families(w, emits);
	else
		find_families(w, emits);
}

static void
end_profile(struct walker *w)
{
	map_fini(&w->memo);
	free(w->mentions);
	free(w->always);
	free(w->entries);
}

static void
emit_everyone(struct walker *w)
{
	w->everyone = walker_verdicts(w, NULL);
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		if (!w->families[f])
			continue;
		encode_everyone(w, f);
		emit_cells(w, f, NULL);
	}
}

static void
walk_profile(struct walker *w, const struct profile *profile)
{
	const struct classes *classes = w->s->classes;

	begin_profile(w, profile, true);
	emit_everyone(w);
	for (size_t i = 0; i < w->set_count; i++) {
		uint32_t set = w->sets[i];

		for (uint32_t j = classes->set_first[set];
		     j < classes->set_first[set + 1] && !w->s->c->failed; j++) {
			uint32_t number = classes->set_classes[j];

			if (w->class_stamp[number] == w->serial)
				continue;
			w->class_stamp[number] = w->serial;
			emit_used_class(w, &classes->items[number]);
		}
	}
	end_profile(w);
}

static void
walker_init(struct walker *w, struct side *s)
{
	*w = (struct walker){.s = s};
	w->sets = xcalloc(s->set_count, sizeof(*w->sets));
	w->set_stamp = xcalloc(s->set_count, sizeof(*w->set_stamp));
	w->class_stamp = xcalloc(s->classes->count, sizeof(*w->class_stamp));
}

static void
walker_fini(struct walker *w)
{
	free(w->sets);
	free(w->set_stamp);
	free(w->class_stamp);
	free(w->cells.items);
	free(w->other.items);
	buf_free(&w->key);
	portset_fini(&w->ports);
}

void
cells_build(struct side *s)
{
	struct walker w;

	walker_init(&w, s);
	for (size_t i = 0; i < s->profile_count && !s->c->failed; i++)
		walk_profile(&w, s->profiles[i]);
	walker_fini(&w);
}

static bool
mentions_class(const struct walker *w, const struct class_info *class)
{
	for (size_t i = 0; i < class->set_count; i++) {
		if (w->set_stamp[class->sets[i]] == w->serial)
			return true;
	}
	return false;
}

void
cells_emit_class(
    struct side *s, const struct class_info *class, const bool families[FAMILY_COUNT])
{
	struct arena_mark mark = arena_mark(s->c->scratch);
	struct walker w;

	walker_init(&w, s);
	for (size_t i = 0; i < s->profile_count; i++) {
		begin_profile(&w, s->profiles[i], false);
		if (mentions_class(&w, class)) {
			w.everyone = walker_verdicts(&w, NULL);
			emit_class(&w, class, families);
		}
		end_profile(&w);
	}
	walker_fini(&w);
	arena_rewind(s->c->scratch, &mark);
}

/* Classes that came since all were made are in no list of their sets'. */
void
cells_emit_points(
    struct side *s, const struct profile *profile, struct point *points, size_t count)
{
	struct arena_mark mark = arena_mark(s->c->scratch);
	struct profile some = *profile;
	struct walker w;

	some.points = points;
	some.point_count = count;
	walker_init(&w, s);
	begin_profile(&w, &some, true);
	emit_everyone(&w);
	for (size_t i = 0; i < s->classes->count && !s->c->failed; i++) {
		if (mentions_class(&w, &s->classes->items[i]))
			emit_used_class(&w, &s->classes->items[i]);
	}
	end_profile(&w);
	walker_fini(&w);
	arena_rewind(s->c->scratch, &mark);
}
