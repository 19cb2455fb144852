/*
 * Listings and differences against the evaluator: pairs of random models, the second
 * often the first with a document less, or with other words in it. For every pair of
 * ends, and addresses of the outside, what is listed must be what the walk says, port by
 * port; groups expanded by their names must be the sets that they stand for; and a
 * difference must be exactly what tells the second listing from the first. Options:
 * --cases N --seed S. What fails is printed with its seed.
 */
#include <roaring/roaring.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "policy-lang/connectivity_exposure.h"
#include "policy-lang/connectivity_group.h"
#include "policy-lang/diff_print.h"
#include "policy-lang/load.h"
#include "tests/property/cluster.h"

#define CASES_DEFAULT DICE_CASES(150)
#define PROBES        12 /* services that a pair is asked about */
#define ADDRESSES     40 /* of the outside, in a case */

struct probe {
	uint8_t proto;
	uint16_t port;
};

/* One of the two models, as listed: all of it, whatever a difference looks at. */
struct half {
	const struct model *model;
	struct conn_pool pool;
	struct conn_world *world;
	struct conn_relation *relation;
	const struct conn_set **pairs; /* by source * parties + destination */
	struct connection *outside;
	size_t outside_count, outside_cap;
};

struct trial {
	uint64_t seed;
	struct dice dice;
	struct arena *arena;
	struct cluster_texts texts[2];
	struct model *models[2];
	struct half halves[2];
	struct diff *diff;
	unsigned long asked, allowed, changed, grouped, exposed, exposed_to_some;
};

static bool fail(const struct trial *t, const char *fmt, ...) PRINTF_LIKE(2, 3);

static bool
fail(const struct trial *t, const char *fmt, ...)
{
	va_list ap;

	(void)fprintf(stderr, "seed %llu: ", (unsigned long long)t->seed);
	va_start(ap, fmt);
	(void)vfprintf(stderr, fmt, ap);
	va_end(ap);
	for (unsigned i = 0; i < 2; i++) {
		const struct cluster_texts *texts = &t->texts[i];

		(void)fprintf(
		    stderr, "\n#### %s\n%s", i == 0 ? "old" : "new", texts->tree.data);
		for (unsigned c = 0; c < texts->clusters; c++)
			(void)fprintf(stderr, "#### cluster %s\n%s", cluster_names[c],
			    texts->kube[c].data);
	}
	return false;
}

/* ---- a case ---- */

static bool
load(struct trial *t, unsigned which)
{
	static const struct {
		struct str name, path;
	} clusters[CLUSTER_MAX] = {
	    {{"east", 4}, {"east.yaml", 9}}, {{"west", 4}, {"west.yaml", 9}}};
	const struct cluster_texts *texts = &t->texts[which];
	struct model_options options = {
	    .default_deny = t->seed % 5 == 0,
	    .clusters = (const void *)clusters,
	    .cluster_count = texts->clusters,
	};
	struct source *sources =
	    ARENA_ARRAY(t->arena, 1 + texts->clusters, struct source);
	struct bundle *bundle = ARENA_NEW(t->arena, struct bundle);
	struct diag_list diags;

	sources[0] = (struct source){STR("tree.yaml"), buf_str(&texts->tree)};
	for (unsigned c = 0; c < texts->clusters; c++)
		sources[1 + c] =
		    (struct source){clusters[c].path, buf_str(&texts->kube[c])};
	*bundle = (struct bundle){sources, 1 + texts->clusters};
	diag_list_init(&diags, t->arena);
	return model_load(t->arena, bundle, &options, &diags, &t->models[which]);
}

/* ---- listings ---- */

static uint32_t
party_of(const struct conn_relation *r, const struct conn_end *end)
{
	for (uint32_t i = 0; i < r->world->party_count; i++) {
		if (r->world->parties[i].end == end)
			return i;
	}
	return UINT32_MAX;
}

static void
keep_pair(void *ctx, const struct conn_end *src, const struct conn_end *dst,
    const struct conn_set *set)
{
	struct half *h = ctx;
	uint32_t count = h->relation->world->party_count;

	if (src->kind == CONN_END_EXTERNAL || dst->kind == CONN_END_EXTERNAL) {
		if (h->outside_count == h->outside_cap) {
			h->outside_cap = h->outside_cap == 0 ? 64 : 2 * h->outside_cap;
			h->outside = xreallocarray(
			    h->outside, h->outside_cap, sizeof(*h->outside));
		}
		h->outside[h->outside_count++] = (struct connection){src, dst, set};
		return;
	}
	h->pairs[party_of(h->relation, src) * count + party_of(h->relation, dst)] = set;
}

static bool
set_has(const struct conn_set *set, const struct probe *s)
{
	static const uint8_t protos[] = {
	    [CONN_SCTP] = PROTO_SCTP, [CONN_TCP] = PROTO_TCP, [CONN_UDP] = PROTO_UDP};

	if (set == NULL)
		return false;
	if (s->proto == PROTO_ICMP)
		return (set->rest & CONN_ICMP) != 0;
	if (s->proto == PROTO_ICMPV6)
		return (set->rest & CONN_ICMPV6) != 0;
	for (size_t p = 0; p < CONN_PROTO_COUNT; p++) {
		const struct conn_ports *ports = &set->ports[p];

		for (size_t i = 0; protos[p] == s->proto && i < ports->count; i++) {
			if (ports->items[i].lo <= s->port &&
			    s->port <= ports->items[i].hi)
				return true;
		}
	}
	return s->proto == 253 && (set->rest & CONN_OTHER) != 0;
}

static struct probe
roll_service(struct dice *dice)
{
	static const uint8_t protos[] = {PROTO_TCP, PROTO_TCP, PROTO_TCP, PROTO_UDP,
	    PROTO_UDP, PROTO_SCTP, PROTO_ICMP, PROTO_ICMPV6, 253};
	static const uint16_t ports[] = {1, 52, 53, 54, 79, 80, 81, 90, 91, 442, 443,
	    444, 5000, 5432, 8000, 8080, 8081, 9000, 9090, 9100, 65535};
	struct probe s = {protos[dice_roll(dice, ARRAY_LEN(protos))], 0};

	if (s.proto == PROTO_TCP || s.proto == PROTO_UDP || s.proto == PROTO_SCTP)
		s.port = dice_roll(dice, 4) == 0
			     ? (uint16_t)(1 + dice_roll(dice, UINT16_MAX))
			     : ports[dice_roll(dice, ARRAY_LEN(ports))];
	return s;
}

static struct endpoint
endpoint_of(const struct half *h, uint32_t party)
{
	const struct conn_end *end = h->relation->world->parties[party].end;

	return end->kind == CONN_END_NODE
		   ? endpoint_of_node(end->node)
		   : endpoint_of_workload(h->model, end->workload);
}

/* Whether a pair is told at all: nodes among themselves are not. */
static bool
is_told(const struct endpoint *src, const struct endpoint *dst,
    const struct conn_end *src_end, const struct conn_end *dst_end)
{
	return src->kind == ENDPOINT_WORKLOAD || dst->kind == ENDPOINT_WORKLOAD ||
	       (src_end->kind != CONN_END_NODE && dst_end->kind != CONN_END_NODE);
}

static bool
check_pair(struct trial *t, const struct half *h, uint32_t src, uint32_t dst)
{
	const struct conn_world *world = h->relation->world;
	struct endpoint a = endpoint_of(h, src), b = endpoint_of(h, dst);
	const struct conn_set *set = h->pairs[src * world->party_count + dst];
	bool told = is_told(&a, &b, world->parties[src].end, world->parties[dst].end);

	for (unsigned i = 0; i < PROBES; i++) {
		struct probe s = roll_service(&t->dice);
		bool comparable;
		bool want = told && evaluate_connection(h->model, &a, &b, s.proto,
					s.port, 0, &comparable);

		t->asked++;
		t->allowed += want;
		if (set_has(set, &s) != want)
			return fail(t,
			    "%.*s => %.*s %u/%u: listed %s, the walk says %s",
			    STR_ARG(world->parties[src].end->display),
			    STR_ARG(world->parties[dst].end->display), s.port, s.proto,
			    set == NULL ? "nothing" : set->text,
			    want ? "allow" : "deny");
	}
	return true;
}

static struct ip_addr
roll_address(struct trial *t)
{
	static const char *const edges[] = {"10.1.0.0", "10.1.0.200", "10.1.1.0",
	    "10.2.0.1", "192.0.2.0", "192.0.2.127", "192.0.2.128", "192.0.3.0",
	    "198.51.100.7", "0.0.0.0", "255.255.255.255", "2001:db8::1", "fd00:1::99",
	    "fd00:2::1", "::1", "ffff::1", "10.9.0.77", "203.0.113.1"};
	struct ip_addr addr;

	if (!ip_parse(str_from(edges[dice_roll(&t->dice, ARRAY_LEN(edges))]), &addr))
		base_die("address");
	if (dice_roll(&t->dice, 3) == 0)
		addr.bytes[ip_bytes(addr.family) - 1] =
		    (uint8_t)dice_roll(&t->dice, 256);
	return addr;
}

static const struct conn_set *
outside_set(const struct half *h, const struct conn_end *end,
    const struct ip_addr *addr, enum direction dir)
{
	for (size_t i = 0; i < h->outside_count; i++) {
		const struct connection *c = &h->outside[i];
		const struct conn_end *own = dir == DIR_INGRESS ? c->dst : c->src;
		const struct conn_end *range = dir == DIR_INGRESS ? c->src : c->dst;

		if (own == end && range->kind == CONN_END_EXTERNAL &&
		    ip_cmp(addr, &range->first) >= 0 && ip_cmp(addr, &range->last) <= 0)
			return c->set;
	}
	return NULL;
}

static bool
check_outside(struct trial *t, const struct half *h, const struct ip_addr *addr)
{
	const struct conn_world *world = h->relation->world;
	struct endpoint outside = endpoint_of_addr(h->model, *addr);

	if (outside.kind != ENDPOINT_ADDRESS ||
	    (addr->family == IP_V6 && !world->outside6))
		return true;
	for (uint32_t i = 0; i < world->party_count; i++) {
		struct endpoint self = endpoint_of(h, i);

		for (size_t d = 0; d < DIRECTION_COUNT; d++) {
			struct probe s = roll_service(&t->dice);
			bool in = d == DIR_INGRESS, comparable;
			const struct conn_set *set = outside_set(
			    h, world->parties[i].end, addr, (enum direction)d);
			bool want = evaluate_connection(h->model, in ? &outside : &self,
			    in ? &self : &outside, s.proto, s.port, 0, &comparable);

			if (world->parties[i].end->kind == CONN_END_NODE)
				want = false; /* not told */
			t->asked++;
			if (set_has(set, &s) != want)
				return fail(t, "outside %s %.*s %u/%u",
				    in ? "=>" : "<=",
				    STR_ARG(world->parties[i].end->display), s.port,
				    s.proto);
		}
	}
	return true;
}

static bool
check_listing(struct trial *t, unsigned which)
{
	struct half *h = &t->halves[which];
	uint32_t count;

	h->outside_count = 0;
	count = h->relation->world->party_count;
	h->pairs =
	    ARENA_ARRAY(t->arena, (size_t)count * count, const struct conn_set *);
	conn_relation_pairs(h->relation, keep_pair, h);
	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = 0; j < count; j++) {
			if (i != j && !check_pair(t, h, i, j))
				return false;
		}
	}
	for (unsigned i = 0; i < ADDRESSES; i++) {
		struct ip_addr addr = roll_address(t);

		if (!check_outside(t, h, &addr))
			return false;
	}
	return true;
}

/* ---- groups ---- */

/* Marks the parties that a name stands for, knowing names alone. */
static void add_named(
    const struct conn_groups *g, struct str name, uint8_t *parties, uint8_t value);

static void
add_words(
    const struct conn_groups *g, const struct conn_group_set *set, uint8_t *parties)
{
	const struct conn_relation *r = g->relation;

	if (set->base.len > 0)
		add_named(g, set->base, parties, 1);
	for (uint32_t i = 0; set->all && i < r->atom_count; i++) {
		if (g->atom_names[i].ptr != NULL)
			add_named(g, g->atom_names[i], parties, 1);
	}
	for (size_t i = 0; i < set->with_count; i++)
		add_named(g, set->with[i], parties, 1);
	for (size_t i = 0; i < set->without_count; i++)
		add_named(g, set->without[i], parties, 0);
}

static void
add_named(const struct conn_groups *g, struct str name, uint8_t *parties, uint8_t value)
{
	const struct conn_world *world = g->relation->world;

	for (uint32_t i = 0; i < world->party_count; i++) {
		if (str_eq(world->parties[i].end->display, name))
			parties[i] = value;
	}
	for (size_t i = 0; i < g->group_count; i++) {
		for (uint32_t j = 0; str_eq(g->groups[i].name, name) &&
				     j < g->groups[i].atom->party_count;
		     j++)
			parties[g->groups[i].atom->parties[j]] = value;
	}
	for (size_t i = 0; i < g->set_count; i++) {
		uint8_t *own;

		if (!str_eq(g->sets[i].name, name))
			continue;
		own = xcalloc((size_t)world->party_count + 1, 1);
		add_words(g, &g->sets[i], own);
		for (uint32_t j = 0; j < world->party_count; j++) {
			if (own[j] != 0)
				parties[j] = value;
		}
		free(own);
	}
}

static bool
check_groups(struct trial *t, const struct conn_groups *g)
{
	const struct conn_relation *r = g->relation;
	uint32_t count = r->world->party_count;
	uint8_t *named = xcalloc((size_t)count + 1, 1);
	bool ok = true;

	for (uint32_t s = 0; s < r->set_count && ok; s++) {
		if (g->set_names[s].ptr == NULL)
			continue;
		memset(named, 0, count);
		add_named(g, g->set_names[s], named, 1);
		for (uint32_t i = 0; i < count && ok; i++) {
			bool in =
			    r->atom_of[i] != UINT32_MAX &&
			    roaring_bitmap_contains(r->sets[s]->bits, r->atom_of[i]);

			t->grouped++;
			if (in != (named[i] != 0))
				ok = fail(t, "%.*s and %.*s", STR_ARG(g->set_names[s]),
				    STR_ARG(r->world->parties[i].end->display));
		}
	}
	free(named);
	return ok;
}

/* ---- the difference ---- */

static bool
same_set(const struct conn_set *a, const struct conn_set *b)
{
	for (size_t i = 0; a != NULL && b != NULL && i < CONN_PROTO_COUNT; i++) {
		if (a->ports[i].count != b->ports[i].count ||
		    memcmp(a->ports[i].items, b->ports[i].items,
			a->ports[i].count * sizeof(struct port_range)) != 0)
			return false;
	}
	if (a == NULL || b == NULL)
		return a == b;
	return ((a->rest ^ b->rest) & a->possible & b->possible) == 0;
}

static bool
in_set(const struct diff *diff, uint32_t set, uint32_t party)
{
	return roaring_bitmap_contains(
	    diff->joint->sets[set]->bits, diff->joint->atom_of[party]);
}

/* The one line about a pair, or about a party and an address. */
static const struct diff_line *
line_about(const struct trial *t, uint32_t src, uint32_t dst,
    const struct ip_addr *addr, unsigned *out_count)
{
	const struct diff_line *found = NULL;

	*out_count = 0;
	for (size_t i = 0; i < t->diff->line_count; i++) {
		const struct conn_line *line = &t->diff->lines[i].line;

		if ((line->outside != NULL) != (addr != NULL) ||
		    (line->src == CONN_OUTSIDE) != (src == CONN_OUTSIDE) ||
		    (line->dst == CONN_OUTSIDE) != (dst == CONN_OUTSIDE))
			continue;
		if (addr != NULL && (ip_cmp(addr, &line->outside->first) < 0 ||
					ip_cmp(addr, &line->outside->last) > 0))
			continue;
		if ((src != CONN_OUTSIDE && !in_set(t->diff, line->src, src)) ||
		    (dst != CONN_OUTSIDE && !in_set(t->diff, line->dst, dst)))
			continue;
		found = &t->diff->lines[i];
		++*out_count;
	}
	return found;
}

static const struct conn_set *
pair_set(const struct half *h, uint32_t src, uint32_t dst)
{
	if (src == UINT32_MAX || dst == UINT32_MAX)
		return NULL;
	return h->pairs[src * h->relation->world->party_count + dst];
}

static bool
check_line(struct trial *t, const struct diff_line *line, unsigned count,
    const struct conn_set *old, const struct conn_set *new, const char *what)
{
	if (same_set(old, new))
		return count == 0 || fail(t, "%s: a line about what is the same", what);
	t->changed++;
	if (count != 1)
		return fail(t, "%s: %u lines", what, count);
	if (!same_set(line->old, old) || !same_set(line->new, new))
		return fail(t, "%s: %s -> %s", what,
		    line->old != NULL ? line->old->text : "nothing",
		    line->new != NULL ? line->new->text : "nothing");
	return true;
}

static const struct conn_set *
outside_of(const struct half *h, uint32_t party, const struct ip_addr *addr,
    enum direction dir)
{
	if (party == UINT32_MAX)
		return NULL;
	return outside_set(h, h->relation->world->parties[party].end, addr, dir);
}

static bool
check_diff_outside(struct trial *t)
{
	const struct diff *diff = t->diff;

	for (unsigned i = 0; i < ADDRESSES; i++) {
		struct ip_addr addr = roll_address(t);
		uint32_t party = dice_roll(&t->dice, diff->joint->world->party_count);
		const struct diff_party *both = &diff->parties[party];

		for (size_t d = 0; d < DIRECTION_COUNT; d++) {
			bool in = d == DIR_INGRESS;
			unsigned count;
			const struct diff_line *line =
			    line_about(t, in ? CONN_OUTSIDE : party,
				in ? party : CONN_OUTSIDE, &addr, &count);

			if (!check_line(t, line, count,
				outside_of(
				    &t->halves[0], both->old, &addr, (enum direction)d),
				outside_of(
				    &t->halves[1], both->new, &addr, (enum direction)d),
				"outside"))
				return false;
		}
	}
	return true;
}

static bool
same_node(const struct conn_end *a, const struct conn_end *b)
{
	return a->workload == NULL || b->workload == NULL ||
	       str_eq(a->workload->node, b->workload->node);
}

/* A node, or what runs on its network: what such send each other is not listed. */
static bool
is_host(const struct conn_end *end)
{
	return end->workload == NULL || end->workload->host_network;
}

/* Whether both models have the end with the same families, of the same kind. */
static bool
is_steady(const struct trial *t, uint32_t party)
{
	const struct diff_party *both;
	const struct conn_party *old, *new;

	if (party == CONN_OUTSIDE)
		return true;
	both = &t->diff->parties[party];
	if (both->old == UINT32_MAX || both->new == UINT32_MAX)
		return false;
	old = &t->diff->old_world->parties[both->old];
	new = &t->diff->new_world->parties[both->new];
	return old->families == new->families &&same_node(old->end, new->end) &&
	       is_host(old->end) == is_host(new->end);
}

/* CONN_OUTSIDE if no end is called that. */
static uint32_t
party_named(const struct diff *diff, struct str name)
{
	const struct conn_world *world = diff->joint->world;

	for (uint32_t i = 0; i < world->party_count; i++) {
		if (str_eq(world->parties[i].end->display, name))
			return i;
	}
	return CONN_OUTSIDE;
}

/* Whether policy must be why the row is there: what decides is told of its pair, or of the
 * first of its groups. */
static bool
has_reason(
    const struct trial *t, const struct diff_report *report, const struct diff_row *row)
{
	uint32_t src = party_named(t->diff, row->src);
	uint32_t dst = party_named(t->diff, row->dst);

	if (report->grouped)
		diff_line_example(t->diff, row->line, &src, &dst);
	return is_steady(t, src) && is_steady(t, dst);
}

/* A line's deciding rules must be of the new model and, for what was opened, allow. */
static bool
check_report(struct trial *t)
{
	struct diff_report report;
	struct buf text = {0};

	diff_report_make(t->diff, t->seed % 2 == 0 ? 0 : UINT64_MAX, &report);
	for (size_t i = 0; i < report.row_count; i++) {
		const struct diff_row *row = &report.rows[i];

		for (size_t j = 0; j < row->opened.count; j++) {
			if (!row->opened.items[j].allow)
				return fail(t, "opened by what denies");
		}
		if (!has_reason(t, &report, row))
			continue;
		if (row->line->opened != NULL && row->opened.count == 0)
			return fail(t, "%.*s => %.*s: opened by nothing",
			    STR_ARG(row->src), STR_ARG(row->dst));
		if (row->line->closed != NULL && row->closed.count == 0)
			return fail(t, "%.*s => %.*s: closed by nothing",
			    STR_ARG(row->src), STR_ARG(row->dst));
	}
	if (report.grouped && !check_groups(t, &report.groups))
		return false;
	for (unsigned f = CONNECTIVITY_TXT; f <= CONNECTIVITY_DOT; f++)
		diff_print(&text, &report, (enum connectivity_format)f);
	buf_free(&text);
	return true;
}

static bool
check_diff(struct trial *t)
{
	const struct diff *diff = t->diff;
	uint32_t count = diff->joint->world->party_count;

	for (uint32_t i = 0; i < count; i++) {
		for (uint32_t j = 0; j < count; j++) {
			const struct diff_party *a = &diff->parties[i];
			const struct diff_party *b = &diff->parties[j];
			const struct diff_line *line;
			unsigned lines;

			if (i == j)
				continue;
			line = line_about(t, i, j, NULL, &lines);
			if (!check_line(t, line, lines,
				pair_set(&t->halves[0], a->old, b->old),
				pair_set(&t->halves[1], a->new, b->new), "pair"))
				return false;
		}
	}
	return check_diff_outside(t);
}

/* ---- exposure ---- */

#define FUTURES 12 /* workloads that might come, in a case */

struct future {
	struct workload workload;
	struct workload_shape shape; /* its */
	struct ns ns;
	struct kube_ns kube;
	struct label labels[3], ns_labels[2];
};

/* A label that some pattern speaks of. */
static bool
roll_label(struct trial *t, const struct selector *s, struct label *out)
{
	const struct requirement *r;

	if (s == NULL || s->count == 0)
		return false;
	r = &s->reqs[dice_roll(&t->dice, (unsigned)s->count)];
	out->key = r->key;
	out->value = r->value_count > 0 && dice_roll(&t->dice, 4) != 0
			 ? r->values[dice_roll(&t->dice, (unsigned)r->value_count)]
			 : STR("other");
	return true;
}

static void
add_label(struct label *labels, size_t *count, size_t most, struct label label)
{
	for (size_t i = 0; i < *count; i++) {
		if (str_eq(labels[i].key, label.key))
			return;
	}
	if (*count == most)
		return;
	labels[(*count)++] = label;
	for (size_t i = *count - 1;
	     i > 0 && str_cmp(labels[i - 1].key, labels[i].key) > 0; i--) {
		struct label swap = labels[i];

		labels[i] = labels[i - 1];
		labels[i - 1] = swap;
	}
}

/* Somewhere that patterns speak of, or somewhere else; labelled as they have it. */
static void
roll_future(struct trial *t, const struct model *m, const struct conn_exposure *e,
    struct future *f)
{
	size_t labels = 0, ns_labels = 0;

	*f = (struct future){0};
	f->workload.name = STR("future");
	f->workload.index = UINT32_MAX;
	f->workload.shape = &f->shape;
	f->shape.service_account = STR("default");
	for (unsigned i = 0; i < 3 && e->pattern_count > 0; i++) {
		const struct workload_match *match =
		    e->patterns[dice_roll(&t->dice, (unsigned)e->pattern_count)];
		struct label label;

		if (roll_label(t, match->selector, &label))
			add_label(f->labels, &labels, 3, label);
		if (roll_label(t, match->ns_selector, &label))
			add_label(f->ns_labels, &ns_labels, 2, label);
		if (match->service_account.ptr != NULL)
			f->shape.service_account = match->service_account;
	}
	f->shape.labels = (struct label_set){f->labels, labels};
	f->workload.cluster = m->workloads[0]->cluster;
	if (dice_roll(&t->dice, 2) == 0 && m->kube_count > 0) {
		f->workload.kube =
		    m->kube_namespaces[dice_roll(&t->dice, (unsigned)m->kube_count)];
		f->workload.ns = f->workload.kube->ns;
		f->workload.cluster = f->workload.kube->cluster;
		return;
	}
	f->ns = (struct ns){
	    .path = STR("/future"),
	    .parent = m->namespaces[dice_roll(&t->dice, (unsigned)m->ns_count)],
	    .labels = {f->ns_labels, ns_labels},
	};
	f->ns.depth = f->ns.parent->depth + 1;
	f->workload.ns = &f->ns;
	if (dice_roll(&t->dice, 2) == 0) {
		f->kube = (struct kube_ns){
		    .name = STR("future"), .labels = f->ns.labels, .ns = &f->ns};
		f->workload.kube = &f->kube;
	}
}

static bool
pattern_applies(const struct workload_match *match, const struct endpoint *end)
{
	struct peer peer = {.kind = PEER_WORKLOADS, .workloads = *match};
	struct rule rule = {.peers = &peer, .peer_count = 1};

	return rule_matches_peer(&rule, end, &(struct knower){0});
}

/* One direction, at the party, over whatever family they will share. */
static bool
walk_says(const struct half *h, const struct conn_party *party,
    const struct endpoint *future, enum direction dir, const struct probe *s)
{
	for (uint32_t i = 0; i < party->face_count; i++) {
		const struct endpoint *self =
		    &h->relation->world->faces[party->first_face + i].end;
		struct flow flow = {
		    .src = dir == DIR_EGRESS ? *self : *future,
		    .dst = dir == DIR_EGRESS ? *future : *self,
		    .proto = s->proto,
		    .port = s->port,
		};

		if (self->has_addr && self->addr.family == IP_V6 &&
		    s->proto == PROTO_ICMP)
			continue;
		if (self->has_addr && self->addr.family == IP_V4 &&
		    s->proto == PROTO_ICMPV6)
			continue;
		if (evaluate_direction(h->model, &flow, dir).allow)
			return true;
	}
	return false;
}

static bool
check_future(struct trial *t, struct half *h, const struct conn_party *party,
    const struct conn_exposure *e, enum direction dir)
{
	uint32_t *patterns = ARENA_ARRAY(t->arena, e->pattern_count, uint32_t);
	struct future f;
	struct endpoint end = {.kind = ENDPOINT_WORKLOAD, .workload = &f.workload};
	const struct conn_set *set;
	size_t count = 0;

	roll_future(t, h->model, e, &f);
	for (uint32_t i = 0; i < e->pattern_count; i++) {
		if (pattern_applies(e->patterns[i], &end))
			patterns[count++] = i;
	}
	if (count > 1 && !e->exact)
		return true;
	set = conn_exposure_value(&h->pool, e, patterns, count);
	t->exposed_to_some += count > 0;
	for (unsigned i = 0; i < PROBES; i++) {
		struct probe s = roll_service(&t->dice);

		t->exposed++;
		if (set_has(set, &s) != walk_says(h, party, &end, dir, &s))
			return fail(t,
			    "%.*s, %s, a future workload, %zu patterns, %u/%u: %s",
			    STR_ARG(party->end->display), direction_name(dir), count,
			    s.port, s.proto, set->text != NULL ? set->text : "nothing");
	}
	return true;
}

static bool
check_exposure(struct trial *t, struct half *h)
{
	struct conn_world *world = h->relation->world;

	for (unsigned i = 0; i < FUTURES; i++) {
		const struct conn_party *party =
		    &world->parties[dice_roll(&t->dice, world->party_count)];

		for (size_t d = 0; d < DIRECTION_COUNT; d++) {
			const struct conn_exposure *e =
			    conn_exposure_of(world, party, (enum direction)d);

			if (e != NULL &&
			    !check_future(t, h, party, e, (enum direction)d))
				return false;
		}
	}
	return true;
}

/* ---- all of it ---- */

static void
half_init(struct trial *t, struct half *h, const struct model *m,
    const struct connectivity_options *options)
{
	h->model = m;
	conn_pool_init(&h->pool, t->arena, conn_names_portless(m));
	h->world = conn_world_new(t->arena, m, options, &h->pool);
	h->relation = conn_relation_new(h->world, true);
}

static void
half_fini(struct half *h)
{
	conn_relation_free(h->relation);
	conn_world_free(h->world);
	conn_pool_fini(&h->pool);
}

static bool
check_relation_groups(struct trial *t)
{
	struct conn_groups groups;
	struct buf text = {0};
	bool ok;

	conn_groups_make(t->halves[1].relation, NULL, &groups);
	ok = check_groups(t, &groups);
	for (unsigned f = CONNECTIVITY_TXT; f <= CONNECTIVITY_DOT; f++)
		connectivity_print_groups(&text, &groups, (enum connectivity_format)f);
	buf_free(&text);
	return ok;
}

static bool
run_case(struct trial *t)
{
	struct connectivity_options options = {0};
	bool ok;

	dice_init(&t->dice, t->seed);
	t->arena = arena_new();
	for (unsigned i = 0; i < 2; i++) {
		buf_clear(&t->texts[i].tree);
		for (unsigned c = 0; c < CLUSTER_MAX; c++)
			buf_clear(&t->texts[i].kube[c]);
	}
	cluster_print(&t->texts[0], &t->dice);
	if (dice_roll(&t->dice, 3) == 0)
		cluster_print(&t->texts[1], &t->dice);
	else
		cluster_print_edited(&t->texts[1], &t->dice, &t->texts[0]);
	options.nodes = dice_roll(&t->dice, 2) == 0;
	/* Without a document others may not stand any more: that is no case. */
	ok = load(t, 0);
	if (!ok)
		return fail(t, "the cluster is refused");
	if (load(t, 1)) {
		t->diff = diff_new(t->arena, t->models[0], t->models[1], &options);
		options.outside6 = conn_speaks_of_ipv6(t->models[0]) ||
				   conn_speaks_of_ipv6(t->models[1]);
		for (unsigned i = 0; i < 2; i++)
			half_init(t, &t->halves[i], t->models[i], &options);
		ok = check_listing(t, 0) && check_listing(t, 1) && check_diff(t) &&
		     check_relation_groups(t) && check_report(t) &&
		     check_exposure(t, &t->halves[0]) &&
		     check_exposure(t, &t->halves[1]);
		diff_free(t->diff);
		for (unsigned i = 0; i < 2; i++)
			half_fini(&t->halves[i]);
	}
	arena_free(t->arena);
	return ok;
}

int
main(int argc, char **argv)
{
	uint64_t cases = CASES_DEFAULT, seed = dice_random_seed();
	struct trial t = {0};
	const struct run_option options[] = {{"--cases", &cases}, {"--seed", &seed}};
	bool ok = true;

	if (!run_options_read(argc, argv, options, ARRAY_LEN(options)))
		return 2;
	for (uint64_t i = 0; i < cases && ok; i++) {
		t.seed = seed + i;
		ok = run_case(&t);
	}
	(void)printf("seeds %llu-%llu: %lu questions, %lu allowed, %lu ends changed, "
		     "%lu members named, %lu questions about futures\n",
	    (unsigned long long)seed, (unsigned long long)t.seed, t.asked, t.allowed,
	    t.changed, t.grouped, t.exposed);
	for (size_t i = 0; i < 2; i++) {
		buf_free(&t.texts[i].tree);
		for (size_t c = 0; c < CLUSTER_MAX; c++)
			buf_free(&t.texts[i].kube[c]);
		free(t.halves[i].outside);
	}
	/* A run that hardly asks anything is no test. */
	return ok && t.allowed > t.asked / 20 && t.allowed < t.asked &&
		       t.changed > cases && t.grouped > cases
		   ? 0
		   : 1;
}
