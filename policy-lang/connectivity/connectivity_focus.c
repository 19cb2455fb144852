#include "policy-lang/connectivity/connectivity_focus.h"

#include <roaring/roaring.h>
#include <stdlib.h>

#include "policy-lang/evaluate/query.h"
#include "policy-lang/model/nearest.h"

#define MARK_FOCUS 1u
#define MARK_PEER  2u

void
conn_focus_init(struct conn_focus *focus, struct conn_world *world)
{
	*focus = (struct conn_focus){.world = world};
	focus->marks =
	    ARENA_ARRAY(world->arena, (size_t)world->party_count + 1, uint8_t);
	world->marks = focus->marks;
}

void
conn_focus_fini(struct conn_focus *focus)
{
	resolver_free(focus->resolver);
	free(focus->outside);
}

/* ---- who is in focus ---- */

static void
mark(struct conn_focus *focus, uint32_t party, bool peer)
{
	focus->marks[party] |= peer ? MARK_PEER : MARK_FOCUS;
}

/* The party that an end of the model is; UINT32_MAX: none. */
static uint32_t
party_of(const struct conn_world *world, const struct endpoint *end)
{
	for (uint32_t i = 0; i < world->party_count; i++) {
		const struct conn_end *own = world->parties[i].end;

		if (end->workload != NULL && own->workload != NULL &&
		    str_eq(own->display, end->workload->shape->display))
			return i;
		if (end->workload == NULL && end->node != NULL &&
		    own->node == end->node)
			return i;
	}
	return UINT32_MAX;
}

static void
add_outside(struct conn_focus *focus, const struct ip_addr *addr)
{
	focus->outside = xreallocarray(
	    focus->outside, focus->outside_count + 1, sizeof(*focus->outside));
	focus->outside[focus->outside_count++] = *addr;
}

bool
conn_focus_add(struct conn_focus *focus, struct str name, bool peer, struct buf *why)
{
	struct endpoint end;
	uint32_t party;

	if (focus->resolver == NULL)
		focus->resolver =
		    resolver_new(focus->world->arena, focus->world->model);
	if (!resolver_find(focus->resolver, name, &end, why))
		return false;
	if (end.kind == ENDPOINT_ADDRESS && !peer) {
		buf_printf(why,
		    "\"%.*s\" is nobody's address here; an address of the outside can "
		    "be a peer (--focus-peer)",
		    STR_ARG(name));
		return false;
	}
	*(peer ? &focus->some_peer : &focus->some) = true;
	if (end.kind == ENDPOINT_ADDRESS) {
		add_outside(focus, &end.addr);
		return true;
	}
	party = party_of(focus->world, &end);
	if (party == UINT32_MAX) {
		buf_printf(why, "\"%.*s\" is a node; nodes are listed with --nodes",
		    STR_ARG(name));
		return false;
	}
	mark(focus, party, peer);
	return true;
}

static void
suggest_namespace(const struct model *m, struct str name, struct buf *why)
{
	struct nearest n = nearest_to(name);

	for (size_t i = 0; i < m->ns_count; i++)
		nearest_consider(&n, m->namespaces[i]->path);
	for (size_t i = 0; i < m->kube_count; i++)
		nearest_consider(&n, m->kube_namespaces[i]->name);
	if (n.best.ptr != NULL)
		buf_printf(why, "; did you mean \"%.*s\"?", STR_ARG(n.best));
}

bool
conn_focus_add_namespace(struct conn_focus *focus, struct str name, struct buf *why)
{
	const struct model *m = focus->world->model;
	const struct ns *ns = NULL;
	const struct kube_ns *kube = NULL;
	struct str rest = name, cluster;

	if (str_starts(name, STR("/"))) {
		ns = model_ns(m, name);
	} else {
		cluster = str_split(&rest, '/');
		kube = rest.ptr != NULL ? model_kube_ns(m, cluster, rest)
					: model_kube_ns(m, (struct str){0}, name);
	}
	if (ns == NULL && kube == NULL) {
		buf_printf(why, "no namespace \"%.*s\"", STR_ARG(name));
		suggest_namespace(m, name, why);
		return false;
	}
	focus->some = true;
	for (uint32_t i = 0; i < focus->world->party_count; i++) {
		const struct workload *w = focus->world->parties[i].end->workload;

		if (w != NULL && (ns != NULL ? ns_within(w->ns, ns) : w->kube == kube))
			mark(focus, i, false);
	}
	return true;
}

bool
conn_focus_port(struct conn_focus *focus, struct str service, struct buf *why)
{
	struct conn_pool *pool = focus->world->pool;
	const struct conn_set *point;
	uint8_t proto;
	uint16_t port;

	if (!query_read_service(service, &proto, &port, why))
		return false;
	point = conn_set_point(pool, proto, port);
	/* Who asks about ICMP wants to read of it. */
	if (point->rest != 0)
		conn_pool_widen(pool);
	focus->ports =
	    focus->ports == NULL ? point : conn_set_join(pool, focus->ports, point);
	return true;
}

bool
conn_focus_has(const struct conn_focus *focus, uint32_t party)
{
	return (focus->marks[party] & MARK_FOCUS) != 0;
}

/* ---- cutting ---- */

struct cutter {
	const struct conn_focus *focus;
	struct conn_relation *r;
	roaring_bitmap_t *in, *peers; /* atoms */
	struct conn_line *lines;
	size_t count, cap;
};

/* The atoms of a set that are (or are not) in `among`. */
static uint32_t
cut_set(struct cutter *c, uint32_t set, const roaring_bitmap_t *among, bool in)
{
	const roaring_bitmap_t *bits = c->r->sets[set]->bits;
	roaring_bitmap_t *cut =
	    in ? roaring_bitmap_and(bits, among) : roaring_bitmap_andnot(bits, among);

	if (cut == NULL)
		base_die("out of memory");
	if (roaring_bitmap_is_empty(cut)) {
		roaring_bitmap_free(cut);
		return CONN_OUTSIDE; /* nobody, here */
	}
	return conn_relation_set(c->r, cut);
}

static void
keep(struct cutter *c, const struct conn_line *line, uint32_t src, uint32_t dst,
    const struct conn_set *set)
{
	struct conn_line cut = *line;

	if (line->src != CONN_OUTSIDE && src == CONN_OUTSIDE)
		return;
	if (line->dst != CONN_OUTSIDE && dst == CONN_OUTSIDE)
		return;
	if (line->outside == NULL && src == dst &&
	    conn_relation_set_parties(c->r, src) == 1)
		return;
	cut.src = src;
	cut.dst = dst;
	cut.set = set;
	if (c->count == c->cap) {
		c->cap = c->cap == 0 ? 64 : 2 * c->cap;
		c->lines = xreallocarray(c->lines, c->cap, sizeof(*c->lines));
	}
	c->lines[c->count++] = cut;
}

static bool
outside_wanted(const struct conn_focus *focus, const struct conn_end *range)
{
	if (!focus->some_peer)
		return true;
	for (size_t i = 0; i < focus->outside_count; i++) {
		if (ip_cmp(&focus->outside[i], &range->first) >= 0 &&
		    ip_cmp(&focus->outside[i], &range->last) <= 0)
			return true;
	}
	return false;
}

/* One end is in focus, the other one a peer; a line where both ends may be in focus is
 * told by its sources first, and by those destinations whose sources are not. */
static void
cut_line(struct cutter *c, const struct conn_line *line, const struct conn_set *set)
{
	bool out = !c->focus->not [DIR_EGRESS], in = !c->focus->not [DIR_INGRESS];
	uint32_t src = line->src, dst = line->dst;
	uint32_t others;

	if (line->outside != NULL) {
		uint32_t end = src == CONN_OUTSIDE ? dst : src;

		if (!(src == CONN_OUTSIDE ? in : out) ||
		    !outside_wanted(c->focus, line->outside))
			return;
		end = cut_set(c, end, c->in, true);
		keep(c, line, src == CONN_OUTSIDE ? src : end,
		    dst == CONN_OUTSIDE ? dst : end, set);
		return;
	}
	if (out)
		keep(c, line, cut_set(c, src, c->in, true),
		    cut_set(c, dst, c->peers, true), set);
	if (!in)
		return;
	others = cut_set(c, src, c->peers, true);
	dst = cut_set(c, dst, c->in, true);
	if (others == CONN_OUTSIDE || dst == CONN_OUTSIDE)
		return;
	if (!out) {
		keep(c, line, others, dst, set);
		return;
	}
	/* Sources in focus have been told with the destinations that are peers. */
	keep(c, line, cut_set(c, others, c->in, false), dst, set);
	others = cut_set(c, others, c->in, true);
	if (others != CONN_OUTSIDE)
		keep(c, line, others, cut_set(c, dst, c->peers, false), set);
}

static void
collect_atoms(struct cutter *c)
{
	c->in = roaring_bitmap_create();
	c->peers = roaring_bitmap_create();
	if (c->in == NULL || c->peers == NULL)
		base_die("out of memory");
	for (uint32_t i = 0; i < c->r->atom_count; i++) {
		uint8_t marks = c->focus->marks[c->r->atoms[i]->parties[0]];

		if (!c->focus->some || (marks & MARK_FOCUS) != 0)
			roaring_bitmap_add(c->in, i);
		if (!c->focus->some_peer || (marks & MARK_PEER) != 0)
			roaring_bitmap_add(c->peers, i);
	}
}

static bool
takes_everything(const struct conn_focus *focus)
{
	return !focus->some && !focus->some_peer && focus->ports == NULL &&
	       !focus->not [DIR_EGRESS] && !focus->not [DIR_INGRESS];
}

void
conn_focus_apply(const struct conn_focus *focus, struct conn_relation *relation)
{
	struct cutter c = {.focus = focus, .r = relation};

	if (takes_everything(focus))
		return;
	collect_atoms(&c);
	for (size_t i = 0; i < relation->line_count; i++) {
		const struct conn_line *line = &relation->lines[i];
		const struct conn_set *set = line->set;

		if (focus->ports != NULL)
			set = conn_set_meet(relation->world->pool, set, focus->ports);
		if (set->text != NULL)
			cut_line(&c, line, set);
	}
	free(relation->lines);
	relation->lines = c.lines;
	relation->line_count = c.count;
	relation->line_cap = c.cap;
	conn_relation_sort(relation);
	roaring_bitmap_free(c.in);
	roaring_bitmap_free(c.peers);
}
