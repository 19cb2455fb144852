/*
 * For each profile and class, the walk over port space; from it the fewest elements. A
 * class that a profile's rules do not mention needs none: class 0 holds for it.
 */
#include "policy-lang/compile_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"

#define PORT_MAX 65535

/* What every protocol and port comes to; the lists are joined. */
struct verdicts {
	struct port_list columns[PORT_COLUMNS];
};

/* An entry of a profile that speaks of a set. */
struct mention {
	uint32_t set;
	uint32_t entry;
};

enum cell_kind {
	CELL_EXACT,
	CELL_RANGE,
	CELL_ANY,
	CELL_REST
};

struct cell {
	enum cell_kind kind;
	uint8_t proto;
	uint16_t lo, hi;
	uint32_t number;
};

struct cell_list {
	struct cell *items;
	size_t count, cap;
};

/* The work on one profile. */
struct walker {
	struct side *s;
	const struct profile *profile;
	struct mention *mentions; /* by set */
	size_t mention_count;
	uint32_t *always; /* entries that hold for every class */
	size_t always_count;
	uint32_t *sets; /* mentioned, also by what a port's name means; each once */
	size_t set_count, set_cap;
	uint32_t *set_stamp;   /* set -> serial of the last profile that mentions it */
	uint32_t *class_stamp; /* class -> the last profile that it was walked for */
	uint32_t serial;
	uint32_t *entries; /* of the walk under way */
	struct portset ports;
	struct map memo; /* entries and meanings -> struct verdicts */
	struct buf key;
	struct cell_list cells, other;
	const struct verdicts *everyone; /* of class 0 */
	bool families[FAMILY_COUNT];     /* in which the profile has addresses */
};

/* ---- the walk ---- */

static void
apply_numbers(struct walker *w, const struct rule *rule, const struct port_match *m)
{
	enum port_column column = port_column_of(m->proto);

	if (m->proto != PROTO_ANY && column == PORTS_OTHER) {
		diag_say(w->s->c->diags, CODE_UNSUPPORTED_PROTOCOL, m->loc,
		    "protocol %u cannot be enforced", (unsigned)m->proto);
		w->s->c->failed = true;
		return;
	}
	for (unsigned i = 0; i < PORT_COLUMNS; i++) {
		enum port_column c = (enum port_column)i;

		if (m->proto != PROTO_ANY && c != column)
			continue;
		/* A protocol without ports counts as port 0. */
		if (port_column_has_ports(c) || m->lo == 0)
			portset_apply(
			    &w->ports, c, m->lo, m->hi, rule->action, rule->number);
	}
}

/* What the name means at the peers of the class. */
static void
apply_name(struct walker *w, const struct rule *rule, const struct port_match *m,
    const struct class_info *class)
{
	const struct port_name *name = peers_port_name(w->s, m);

	for (size_t i = 0; class != NULL && i < class->set_count; i++) {
		const struct peer_set *set = w->s->sets[class->sets[i]];

		if (set->name == NULL || set->name != name)
			continue;
		for (size_t j = 0; j < set->port_count; j++)
			portset_apply(&w->ports, set->ports[j].column,
			    set->ports[j].port, set->ports[j].port, rule->action,
			    rule->number);
	}
}

static void
apply_fail_safe(struct walker *w, uint32_t number)
{
	const struct fail_safe *safe = &w->s->c->model->options.fail_safe;

	for (size_t i = 0; i < safe->count[w->s->dir]; i++) {
		const struct fail_safe_port *p = &safe->ports[w->s->dir][i];

		portset_apply(&w->ports, port_column_of(p->proto), p->lo, p->hi,
		    ACTION_ALLOW, number);
	}
}

static void
apply_entry(
    struct walker *w, const struct profile_entry *e, const struct class_info *class)
{
	const struct rule *rule;

	if (e->kind == ENTRY_ISOLATE) {
		portset_apply_all(&w->ports, ACTION_DENY, e->number);
		return;
	}
	if (e->kind == ENTRY_FAIL_SAFE) {
		apply_fail_safe(w, e->number);
		return;
	}
	rule = w->s->rules[e->rule].rule;
	if (rule->any_port) {
		portset_apply_all(&w->ports, rule->action, rule->number);
		return;
	}
	for (size_t i = 0; i < rule->port_count; i++) {
		if (rule->ports[i].kind == PORT_NUMBERS)
			apply_numbers(w, rule, &rule->ports[i]);
		else if (w->s->dir == DIR_EGRESS)
			apply_name(w, rule, &rule->ports[i], class);
	}
	for (size_t i = 0; i < e->port_count; i++)
		portset_apply(&w->ports, e->ports[i].column, e->ports[i].port,
		    e->ports[i].port, rule->action, rule->number);
}

/* The number of what nothing decides. */
static uint32_t
number_of_nobody(const struct walker *w)
{
	if (w->profile->host)
		return NUMBER_NODE_ALLOW;
	return w->s->c->model->options.default_deny ? NUMBER_CLUSTER_DENY
						    : NUMBER_CLUSTER_ALLOW;
}

static struct verdicts *
walk(struct walker *w, size_t count, const struct class_info *class)
{
	struct arena *scratch = w->s->c->scratch;
	struct verdicts *v = ARENA_NEW(scratch, struct verdicts);
	uint32_t level = 0;

	portset_reset(&w->ports);
	for (size_t i = 0; i < count && !portset_decided(&w->ports); i++) {
		const struct profile_entry *e = &w->profile->entries[w->entries[i]];

		if (e->level != level)
			portset_next_level(&w->ports);
		level = e->level;
		apply_entry(w, e, class);
	}
	portset_next_level(&w->ports);
	portset_apply_all(&w->ports, ACTION_DENY, number_of_nobody(w));
	portset_join(&w->ports);
	for (size_t i = 0; i < PORT_COLUMNS; i++) {
		const struct port_list *from = &w->ports.columns[i];

		v->columns[i].items =
		    ARENA_ARRAY(scratch, from->count, struct port_segment);
		v->columns[i].count = from->count;
		memcpy(v->columns[i].items, from->items,
		    from->count * sizeof(*from->items));
	}
	return v;
}

static int
u32_cmp(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The first mention of a set at or after it. */
static size_t
find_mention(const struct walker *w, uint32_t set)
{
	size_t lo = 0, hi = w->mention_count;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (w->mentions[mid].set < set)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/* Gathers the entries that hold for the class (NULL: class 0), in order. */
static size_t
gather_entries(struct walker *w, const struct class_info *class)
{
	size_t count = w->always_count;

	if (count != 0)
		memcpy(w->entries, w->always, count * sizeof(*w->entries));
	for (size_t i = 0; class != NULL && i < class->set_count; i++) {
		uint32_t set = class->sets[i];

		for (size_t j = find_mention(w, set);
		     j < w->mention_count && w->mentions[j].set == set; j++)
			w->entries[count++] = w->mentions[j].entry;
	}
	if (count > w->always_count)
		qsort(w->entries, count, sizeof(*w->entries), u32_cmp);
	return count;
}

/* Many classes are the same to one profile: they are walked once. */
static const struct verdicts *
verdicts_of(struct walker *w, const struct class_info *class)
{
	size_t count = gather_entries(w, class);
	struct verdicts *v;

	buf_clear(&w->key);
	buf_add(&w->key, w->entries, count * sizeof(*w->entries));
	key_add_u32(&w->key, NONE);
	for (size_t i = 0; class != NULL && i < class->set_count; i++) {
		uint32_t set = class->sets[i];

		if (w->s->sets[set]->name != NULL && w->set_stamp[set] == w->serial)
			key_add_u32(&w->key, set);
	}
	v = map_get(&w->memo, buf_str(&w->key));
	if (v == NULL) {
		struct str key = str_dup(w->s->c->scratch, buf_str(&w->key));

		v = walk(w, count, class);
		(void)map_set(&w->memo, key, v);
	}
	return v;
}

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

		if (family_index(p->family) != family)
			continue;
		addr_num_bytes(p->addr, p->family, e->addr);
		emit(w->s->c, set, e);
	}
}

static void
emit_cells(struct walker *w, unsigned family, uint32_t class_id)
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
		    .class_id = class_id,
		    .proto = cell->proto,
		    .port_lo = cell->lo,
		    .port_hi = cell->hi,
		    .value = cell->number,
		    .loc = chains_use(w->s->c, cell->number),
		};

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
	const struct verdicts *v = verdicts_of(w, class);

	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		if (!w->families[f] || !families[f] || w->s->c->failed)
			continue;
		encode_class(w, f, v);
		emit_cells(w, f, class->id);
	}
}

static void
begin_profile(struct walker *w, const struct profile *profile, bool emits)
{
	w->profile = profile;
	w->serial++;
	w->mention_count = w->always_count = w->set_count = 0;
	memset(w->families, 0, sizeof(w->families));
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
walk_profile(struct walker *w, const struct profile *profile)
{
	const struct classes *classes = w->s->classes;

	begin_profile(w, profile, true);
	w->everyone = verdicts_of(w, NULL);
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		if (!w->families[f])
			continue;
		encode_everyone(w, f);
		emit_cells(w, f, 0);
	}
	for (size_t i = 0; i < w->set_count; i++) {
		uint32_t set = w->sets[i];

		for (uint32_t j = classes->set_first[set];
		     j < classes->set_first[set + 1] && !w->s->c->failed; j++) {
			uint32_t number = classes->set_classes[j];
			const struct class_info *class = &classes->items[number];
			const bool families[FAMILY_COUNT] = {
			    class->uses[0] != 0, class->uses[1] != 0};

			if (w->class_stamp[number] == w->serial)
				continue;
			w->class_stamp[number] = w->serial;
			emit_class(w, class, families);
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
			w.everyone = verdicts_of(&w, NULL);
			emit_class(&w, class, families);
		}
		end_profile(&w);
	}
	walker_fini(&w);
	arena_rewind(s->c->scratch, &mark);
}
