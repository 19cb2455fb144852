/*
 * Partition refinement: each peer set cuts every class into what is in it and what is
 * not. A class is a node of a tree whose path from the root (class 0, in no set) is the
 * rising list of the sets that contain it. Addresses of the model are cut one by one, the
 * rest of the address space as intervals between the ends of the networks named.
 */
#include "policy-lang/compile/compile_internal.h"

#include <stdlib.h>
#include <string.h>

#include "common/limits.h"
#include "policy-lang/compile/compile_cutters.h"
#include "policy-lang/compile/compile_excess.h"
#include "policy-lang/compile/compile_space.h"
#include "policy-lang/compile/table64.h"

#define CLASS_HASH_KEY_0 0x636c617373206964u
#define CLASS_HASH_KEY_1 0x52696e6766656e63u
#define CLASS_ID_ROOT    0xffffffffu /* what nft calls "root" */
#define ENOUGH_OVERLAPS  (4 * (size_t)LIMIT_PROGRAM_OVERLAPS)

/* ---- the tree of classes ---- */

struct atom {
	uint32_t parent;
	uint32_t set;   /* the last of its sets */
	uint32_t depth; /* how many sets */
	uint32_t class; /* its number in struct classes; NONE: no address is in it */
};

struct interval {
	addr_num lo, hi;
	uint32_t node;
};

struct partition {
	struct side *s;
	struct table64 ids; /* of classes -> their number */
	struct atom *nodes; /* 0: class 0 */
	uint32_t node_count, node_cap;
	struct table64 children; /* parent and set -> node */
	uint32_t *node_of;       /* of points */
	uint32_t *stamp;         /* of points: the last set that they were put in */
	uint32_t set;            /* being put in */
	uint32_t last_parent, last_child;
	size_t memberships; /* sets of classes, together */
	struct interval *intervals[FAMILY_COUNT];
	size_t interval_count[FAMILY_COUNT];
};

/* ---- too many ---- */

/* Nodes whose addresses nothing tells apart up to now, each once. */
struct leaves {
	uint32_t *nodes;
	size_t count;
	bool *seen; /* by node */
};

static void
add_leaf(struct leaves *l, uint32_t node)
{
	if (node != 0 && !l->seen[node])
		l->nodes[l->count++] = node;
	l->seen[node] = true;
}

static void
find_leaves(const struct partition *p, struct leaves *out)
{
	out->nodes = xcalloc(p->node_count, sizeof(*out->nodes));
	out->seen = xcalloc(p->node_count, sizeof(*out->seen));
	for (uint32_t i = 0; p->node_of != NULL && i < p->s->c->universe.point_count;
	     i++)
		add_leaf(out, p->node_of[i]);
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		for (size_t i = 0; i < p->interval_count[f]; i++)
			add_leaf(out, p->intervals[f][i].node);
	}
	for (size_t i = 0; i < p->s->classes->count; i++)
		add_leaf(out, p->s->classes->items[i].node);
}

/* The sets that contain it, rising. */
static void
path_of(const struct partition *p, uint32_t node, uint32_t *out)
{
	for (uint32_t i = p->nodes[node].depth; i-- > 0; node = p->nodes[node].parent)
		out[i] = p->nodes[node].set;
}

static void
charge_leaf(const struct partition *p, const struct cutters *cutters, uint32_t leaf,
    const uint32_t *sets, size_t count, struct excess *x)
{
	const uint32_t who = cutters_most(cutters, leaf, 0);

	for (size_t i = 0; i < count; i++) {
		const struct peer_set *set = p->s->sets[sets[i]];

		if (cutters_is_of(cutters, sets[i], who))
			excess_charge(x, set->rule != NULL ? set->rule->policy : NULL,
			    set->loc, 1);
	}
}

/* Peers that overlap at random have as many classes as addresses, each in many of the sets:
 * memory would grow with the product. What is in each is of who cuts most there. */
static void
tell_excess(struct partition *p)
{
	struct cutters *cutters = cutters_new(p->s);
	uint32_t *sets = xcalloc(p->s->set_count + 1, sizeof(*sets));
	struct leaves leaves = {0};
	struct excess x = {0};

	find_leaves(p, &leaves);
	for (size_t i = 0; i < leaves.count; i++) {
		path_of(p, leaves.nodes[i], sets);
		cutters_add(cutters, sets, p->nodes[leaves.nodes[i]].depth,
		    (const bool[]){true, true});
	}
	for (uint32_t i = 0; i < leaves.count; i++) {
		path_of(p, leaves.nodes[i], sets);
		charge_leaf(p, cutters, i, sets, p->nodes[leaves.nodes[i]].depth, &x);
	}
	excess_tell(
	    p->s->c, &x, "overlaps of peers", LIMIT_PROGRAM_OVERLAPS, (struct loc){0});
	cutters_free(cutters);
	free(leaves.nodes);
	free(leaves.seen);
	free(sets);
}

/* Says so once. */
static bool
is_full(struct partition *p, size_t more)
{
	const size_t most = LIMIT_PROGRAM_OVERLAPS;

	if (p->s->c->failed || p->node_count + p->memberships + more <= most)
		return p->s->c->failed;
	tell_excess(p);
	return true;
}

/* The node in the set as well; the parent, once there are too many. */
static uint32_t
child_of(struct partition *p, uint32_t parent, uint32_t set)
{
	uint32_t child;

	if (is_full(p, 1))
		return parent;
	child =
	    table64_intern(&p->children, (uint64_t)parent << 32 | set, p->node_count);
	if (child != p->node_count)
		return child;
	if (p->node_count == p->node_cap) {
		p->node_cap *= 2;
		p->nodes = xreallocarray(p->nodes, p->node_cap, sizeof(*p->nodes));
	}
	p->nodes[p->node_count++] = (struct atom){
	    .parent = parent,
	    .set = set,
	    .depth = p->nodes[parent].depth + 1,
	    .class = NONE,
	};
	return child;
}

static void
refine_point(void *ctx, uint32_t point)
{
	struct partition *p = ctx;
	uint32_t parent = p->node_of[point];

	if (p->stamp[point] == p->set)
		return;
	p->stamp[point] = p->set;
	if (parent != p->last_parent) {
		p->last_parent = parent;
		p->last_child = child_of(p, parent, p->set);
	}
	p->node_of[point] = p->last_child;
}

static void
refine_points(struct partition *p)
{
	const struct universe *u = &p->s->c->universe;

	p->node_of = xcalloc(u->point_count, sizeof(*p->node_of));
	p->stamp = xcalloc(u->point_count, sizeof(*p->stamp));
	memset(p->stamp, 0xff, u->point_count * sizeof(*p->stamp));
	for (uint32_t i = 0; i < p->s->set_count && !p->s->c->failed; i++) {
		p->set = i;
		p->last_parent = NONE;
		peers_each_point(u, p->s->sets[i], refine_point, p);
	}
}

/* ---- the rest of the address space ---- */

/* Appends an interval, or lengthens the last one if nothing tells them apart. */
static void
add_interval(struct partition *p, unsigned family, struct interval next)
{
	struct interval *all = p->intervals[family];
	size_t count = p->interval_count[family];

	if (next.node == 0)
		return;
	if (count > 0 && all[count - 1].node == next.node &&
	    all[count - 1].hi + 1 == next.lo)
		all[count - 1].hi = next.hi;
	else
		all[p->interval_count[family]++] = next;
}

/* Each kind of parts becomes a class. Where they are too many that is said of a few times as
 * many: enough to see whose most of them are. */
static bool
are_too_many(struct partition *p, size_t memberships)
{
	return memberships > ENOUGH_OVERLAPS && is_full(p, memberships);
}

static void
cut_space(struct partition *p, unsigned family)
{
	struct space *space = space_new(p->s, family);
	uint32_t *nodes = xcalloc(space_most(space), sizeof(*nodes)); /* of kinds */
	size_t memberships = 0;
	struct space_part part;

	p->intervals[family] = xcalloc(space_most(space), sizeof(**p->intervals));
	while (!are_too_many(p, memberships) && !p->s->c->failed &&
	       space_next(space, &part)) {
		for (size_t i = 0; i < part.count && part.is_new; i++)
			nodes[part.kind] = child_of(p, nodes[part.kind], part.sets[i]);
		if (part.is_new && p->nodes[nodes[part.kind]].class == NONE)
			memberships += part.count;
		add_interval(p, family,
		    (struct interval){
			.lo = part.lo, .hi = part.hi, .node = nodes[part.kind]});
	}
	space_free(space);
	free(nodes);
}

/* ---- numbers ---- */

struct candidate {
	uint64_t hash;
	uint32_t class;
};

static int
u64_cmp(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static int
candidate_cmp(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	if (x->hash != y->hash)
		return x->hash < y->hash ? -1 : 1;
	return (x->class > y->class) - (x->class < y->class);
}

/* Of what its sets say, in no order that depends on other sets. */
static uint64_t
class_hash(const struct side *s, const struct class_info *class, uint64_t *scratch)
{
	for (size_t i = 0; i < class->set_count; i++)
		scratch[i] = s->sets[class->sets[i]]->hash;
	qsort(scratch, class->set_count, sizeof(*scratch), u64_cmp);
	return map_siphash(CLASS_HASH_KEY_0, CLASS_HASH_KEY_1,
	    (struct str){(const char *)scratch, class->set_count * sizeof(*scratch)});
}

/* A class's number is a hash of what it is, so that it stays when others come or go. */
static void
number_classes(struct side *s)
{
	struct classes *classes = s->classes;
	struct candidate *all = xcalloc(classes->count, sizeof(*all));
	uint64_t *scratch = xcalloc(s->set_count, sizeof(*scratch));
	struct table64 *taken = &s->partition->ids;

	for (uint32_t i = 0; i < classes->count; i++) {
		all[i].class = i;
		all[i].hash = class_hash(s, &classes->items[i], scratch);
		classes->items[i].hash = all[i].hash;
	}
	if (classes->count > 1)
		qsort(all, classes->count, sizeof(*all), candidate_cmp);
	for (size_t i = 0; i < classes->count; i++) {
		uint32_t id = (uint32_t)all[i].hash;

		while (id == 0 || id == CLASS_ID_ROOT ||
		       table64_intern(taken, id, all[i].class) != all[i].class) {
			classes->collided = true;
			id++;
		}
		classes->items[all[i].class].id = id;
	}
	free(scratch);
	free(all);
}

/* ---- from nodes to classes ---- */

/* The place of one of its rules: of the least of their sets by hash, because how sets are
 * numbered depends on what came first. Sets of what port names mean have no rule's. */
static struct loc
class_loc(const struct side *s, const struct class_info *class)
{
	const struct peer_set *best = s->sets[class->sets[0]];

	for (size_t i = 1; i < class->set_count; i++) {
		const struct peer_set *set = s->sets[class->sets[i]];
		const bool named = set->name != NULL, best_named = best->name != NULL;

		if (named != best_named ? best_named : set->hash < best->hash)
			best = set;
	}
	return best->loc;
}

/* The class of a node, made if it has none. */
static struct class_info *
class_of_node(struct partition *p, uint32_t node)
{
	struct classes *classes = p->s->classes;
	struct class_info *class;

	if (p->nodes[node].class != NONE)
		return &classes->items[p->nodes[node].class];
	if (classes->count == classes->cap) {
		classes->cap = classes->cap == 0 ? 64 : 2 * classes->cap;
		classes->items = xreallocarray(
		    classes->items, classes->cap, sizeof(*classes->items));
	}
	(void)is_full(p, p->nodes[node].depth); /* the caller needs one yet */
	p->memberships += p->nodes[node].depth;
	p->nodes[node].class = (uint32_t)classes->count;
	class = &classes->items[classes->count++];
	*class = (struct class_info){.node = node, .set_count = p->nodes[node].depth};
	class->sets = ARENA_ARRAY(p->s->c->scratch, class->set_count, uint32_t);
	for (size_t i = class->set_count; i-- > 0; node = p->nodes[node].parent)
		class->sets[i] = p->nodes[node].set;
	class->loc = class_loc(p->s, class);
	return class;
}

static void
use_node(struct partition *p, uint32_t node, unsigned family, uint32_t count)
{
	if (node != 0)
		class_of_node(p, node)->uses[family] += count;
}

/* set -> the classes that it contains. */
static void
index_classes(struct side *s)
{
	struct classes *classes = s->classes;
	uint32_t *first = ARENA_ARRAY(s->c->scratch, s->set_count + 2, uint32_t);
	size_t total = 0;

	for (size_t i = 0; i < classes->count; i++) {
		total += classes->items[i].set_count;
		for (size_t j = 0; j < classes->items[i].set_count; j++)
			first[classes->items[i].sets[j] + 2]++;
	}
	for (size_t i = 2; i < s->set_count + 2; i++)
		first[i] += first[i - 1];
	classes->set_classes = ARENA_ARRAY(s->c->scratch, total, uint32_t);
	for (uint32_t i = 0; i < classes->count; i++) {
		const struct class_info *class = &classes->items[i];

		for (size_t j = 0; j < class->set_count; j++)
			classes->set_classes[first[class->sets[j] + 1]++] = i;
	}
	classes->set_first = first;
	classes->indexed = classes->count;
}

/* ---- elements ---- */

struct table_element
classes_element(const struct side *s, uint32_t node)
{
	const struct class_info *class;

	if (node == 0) /* in no set, though networks around it are */
		return (struct table_element){0};
	class = &s->classes->items[s->partition->nodes[node].class];
	return (struct table_element){.value = class->id, .loc = class->loc};
}

static void
emit_intervals(struct partition *p, unsigned family)
{
	for (size_t i = 0; i < p->interval_count[family] && !p->s->c->failed; i++) {
		const struct interval *in = &p->intervals[family][i];
		struct table_element e = classes_element(p->s, in->node);

		addr_num_bytes(in->lo, family_of(family), e.addr);
		addr_num_bytes(in->hi, family_of(family), e.addr_end);
		emit(p->s->c, set_of(SET_PEER4_IN_NET, family, p->s->dir), &e);
	}
}

/* An address is listed where the intervals would say something else of it. */
static void
emit_points(struct partition *p, unsigned family)
{
	const struct universe *u = &p->s->c->universe;
	size_t in = 0;

	for (uint32_t i = u->family_first[family]; i < u->family_first[family + 1];
	     i++) {
		const struct interval *intervals = p->intervals[family];
		addr_num addr = u->points[i].addr;
		struct table_element e;
		uint32_t around = 0;

		while (in < p->interval_count[family] && intervals[in].hi < addr)
			in++;
		if (in < p->interval_count[family] && intervals[in].lo <= addr)
			around = intervals[in].node;
		if (p->node_of[i] == around)
			continue;
		e = classes_element(p->s, p->node_of[i]);
		addr_num_bytes(addr, family_of(family), e.addr);
		emit(p->s->c, set_of(SET_PEER4_IN, family, p->s->dir), &e);
	}
}

void
classes_begin(struct side *s)
{
	struct partition *p = xcalloc(1, sizeof(*p));

	*p = (struct partition){.s = s, .node_cap = 64, .node_count = 1};
	s->partition = p;
	s->classes = ARENA_NEW(s->c->scratch, struct classes);
	p->nodes = xcalloc(p->node_cap, sizeof(*p->nodes));
	p->nodes[0] = (struct atom){.set = NONE, .class = NONE};
}

void
classes_use(struct side *s, uint32_t node, unsigned family, uint32_t count)
{
	use_node(s->partition, node, family, count);
}

void
classes_end(struct side *s)
{
	struct partition *p = s->partition;

	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		cut_space(p, f);
		for (size_t i = 0; i < p->interval_count[f] && !s->c->failed; i++)
			use_node(p, p->intervals[f][i].node, f, 1);
	}
	number_classes(s);
	index_classes(s);
	for (unsigned f = 0; f < FAMILY_COUNT; f++)
		emit_intervals(p, f);
}

void
classes_build(struct side *s)
{
	const struct universe *u = &s->c->universe;
	struct partition *p;

	classes_begin(s);
	p = s->partition;
	refine_points(p);
	for (uint32_t i = 0; i < u->point_count && !s->c->failed; i++)
		use_node(p, p->node_of[i], family_index(u->points[i].family), 1);
	classes_end(s);
	for (unsigned f = 0; f < FAMILY_COUNT && !s->c->failed; f++)
		emit_points(p, f); /* each that is in a set has a class */
	free(p->stamp);
	p->stamp = NULL;
}

void
classes_fini(struct side *s)
{
	struct partition *p = s->partition;

	if (p == NULL)
		return;
	for (unsigned f = 0; f < FAMILY_COUNT; f++)
		free(p->intervals[f]);
	table64_fini(&p->children);
	table64_fini(&p->ids);
	free(p->nodes);
	free(p->node_of);
	if (s->classes != NULL)
		free(s->classes->items);
	free(p);
	s->partition = NULL;
}

/* ---- the same classes again ---- */

static void *
copy_of(const void *items, size_t count, size_t size)
{
	void *copy = xcalloc(count + 1, size);

	if (count != 0)
		memcpy(copy, items, count * size);
	return copy;
}

void
classes_carry(struct side *s, const struct side *from)
{
	const struct partition *old = from->partition;
	const struct classes *known = from->classes;
	struct partition *p;

	classes_begin(s);
	p = s->partition;
	free(p->nodes);
	p->nodes = copy_of(old->nodes, old->node_count, sizeof(*p->nodes));
	p->node_count = p->node_cap = old->node_count;
	p->memberships = old->memberships;
	table64_copy(&p->children, &old->children);
	table64_copy(&p->ids, &old->ids);
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		p->intervals[f] = copy_of(
		    old->intervals[f], old->interval_count[f], sizeof(**p->intervals));
		p->interval_count[f] = old->interval_count[f];
	}
	s->classes->collided = known->collided;
	s->classes->items = copy_of(known->items, known->count, sizeof(*known->items));
	s->classes->count = s->classes->cap = known->count;
	for (size_t i = 0; i < known->count; i++) {
		struct class_info *class = &s->classes->items[i];

		class->sets = ARENA_ARRAY(s->c->scratch, class->set_count, uint32_t);
		memcpy(class->sets, known->items[i].sets,
		    class->set_count * sizeof(*class->sets));
		class->loc = class_loc(s, class);
	}
}

void
classes_carried(struct side *s)
{
	index_classes(s);
	for (unsigned f = 0; f < FAMILY_COUNT; f++)
		emit_intervals(s->partition, f);
}

/* ---- afterwards ---- */

void
classes_count(const struct side *s, uint32_t (*out_counts)[FAMILY_COUNT])
{
	const struct partition *p = s->partition;

	memset(out_counts, 0, p->node_count * sizeof(*out_counts));
	for (size_t i = 0; i < s->classes->count; i++) {
		const struct class_info *class = &s->classes->items[i];

		memcpy(out_counts[class->node], class->uses, sizeof(*out_counts));
	}
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		for (size_t i = 0; i < p->interval_count[f]; i++)
			out_counts[p->intervals[f][i].node][f]--;
	}
}

uint32_t
classes_node_count(const struct side *s)
{
	return s->partition->node_count;
}

uint32_t
classes_node(struct side *s, const uint32_t *sets, size_t count)
{
	uint32_t node = 0;

	for (size_t i = 0; i < count; i++)
		node = child_of(s->partition, node, sets[i]);
	return node;
}

void
classes_forget_points(struct side *s)
{
	free(s->partition->node_of);
	s->partition->node_of = NULL;
}

uint32_t
classes_node_of_point(const struct side *s, uint32_t point)
{
	return s->partition->node_of[point];
}

uint32_t
classes_around(const struct side *s, unsigned family, addr_num addr)
{
	const struct interval *all = s->partition->intervals[family];
	size_t lo = 0, hi = s->partition->interval_count[family];

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (all[mid].hi < addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo < s->partition->interval_count[family] && all[lo].lo <= addr
		   ? all[lo].node
		   : 0;
}

struct class_info *
classes_of_node(struct side *s, uint32_t node)
{
	struct partition *p = s->partition;
	bool known = node == 0 || p->nodes[node].class != NONE;
	struct class_info *class;
	uint64_t *scratch;
	uint32_t number;

	if (node == 0)
		return NULL;
	class = class_of_node(p, node);
	if (known)
		return class;
	scratch = xcalloc(class->set_count, sizeof(*scratch));
	class->hash = class_hash(s, class, scratch);
	free(scratch);
	class->id = (uint32_t) class->hash;
	number = p->nodes[node].class;
	if (class->id == 0 || class->id == CLASS_ID_ROOT ||
	    table64_intern(&p->ids, class->id, number) != number)
		s->classes->collided = true;
	return class;
}
