/*
 * Whom matches, peers and names of ports take in, each asked once.
 */
#include "policy-lang/lint/lint_world.h"

#include <roaring/roaring.h>
#include <stdlib.h>
#include <string.h>

/* ---- bitmaps ---- */

static roaring_bitmap_t *
sure(roaring_bitmap_t *bits)
{
	if (bits == NULL)
		base_die("out of memory");
	return bits;
}

static roaring_bitmap_t *
range_bits(uint32_t lo, uint32_t hi)
{
	/* An empty range gives NULL. */
	return sure(
	    lo < hi ? roaring_bitmap_from_range(lo, hi, 1) : roaring_bitmap_create());
}

/* Keeps `bits` under the key, which is emptied; returns it. */
static const roaring_bitmap_t *
remember(struct lint_world *w, struct buf *key, roaring_bitmap_t *bits)
{
	(void)roaring_bitmap_run_optimize(bits);
	(void)map_set(&w->memos, str_dup(w->arena, buf_str(key)), bits);
	buf_free(key);
	return bits;
}

/* What is remembered under the key, which is then emptied. */
static const roaring_bitmap_t *
recall(struct lint_world *w, struct buf *key)
{
	const roaring_bitmap_t *bits = map_get(&w->memos, buf_str(key));

	if (bits != NULL)
		buf_free(key);
	return bits;
}

/* Adds a slot to what is remembered under the key, which is emptied. */
static void
add_slot(struct lint_world *w, struct buf *key, uint32_t slot)
{
	roaring_bitmap_t *bits = map_get(&w->memos, buf_str(key));

	if (bits == NULL) {
		bits = range_bits(0, 0);
		(void)map_set(&w->memos, str_dup(w->arena, buf_str(key)), bits);
	}
	buf_free(key);
	roaring_bitmap_add(bits, slot);
}

const struct roaring_bitmap_s *
world_all(struct lint_world *w)
{
	static const struct workload_match everyone = {0};

	return world_match(w, &everyone);
}

/* The slots whose own namespace the selector matches. */
static const roaring_bitmap_t *
slots_by_ns(struct lint_world *w, const struct selector *selector)
{
	struct buf key = {0};
	const roaring_bitmap_t *scopes, *known;
	roaring_uint32_iterator_t *it;
	roaring_bitmap_t *bits;

	buf_add_char(&key, 's');
	selector_add_key(&key, selector);
	known = recall(w, &key);
	if (known != NULL)
		return known;
	scopes = label_index_select(w->scope_labels, selector);
	bits = range_bits(0, 0);
	it = roaring_create_iterator(scopes);
	for (; it != NULL && it->has_value; roaring_advance_uint32_iterator(it)) {
		const struct lint_scope *s = &w->scopes[it->current_value];

		if (s->first < s->end)
			roaring_bitmap_add_range(bits, s->first, s->end);
	}
	roaring_free_uint32_iterator(it);
	return remember(w, &key, bits);
}

static void
account_key(struct buf *key, struct str account)
{
	buf_add_char(key, 'a');
	key_add_str(key, account);
}

static void
cluster_key(struct buf *key, struct str cluster)
{
	buf_add_char(key, 'c');
	key_add_str(key, cluster);
}

/* What is remembered under the key; nothing: the empty set. */
static const roaring_bitmap_t *
group_of(struct lint_world *w, struct buf *key)
{
	const roaring_bitmap_t *known = recall(w, key);

	return known != NULL ? known : remember(w, key, range_bits(0, 0));
}

/* Groups all slots by service account and by cluster, once. */
static void
group_slots(struct lint_world *w)
{
	struct buf key = {0};

	buf_add_cstr(&key, "A");
	if (recall(w, &key) != NULL)
		return;
	(void)remember(w, &key, range_bits(0, 0));
	for (uint32_t i = 0; i < w->slot_count; i++) {
		account_key(&key, w->slots[i]->shape->service_account);
		add_slot(w, &key, i);
		cluster_key(&key, w->slots[i]->where->cluster);
		add_slot(w, &key, i);
	}
}

static const roaring_bitmap_t *
slots_by_account(struct lint_world *w, struct str account)
{
	struct buf key = {0};

	group_slots(w);
	account_key(&key, account);
	return group_of(w, &key);
}

static const roaring_bitmap_t *
slots_by_cluster(struct lint_world *w, struct str cluster)
{
	struct buf key = {0};

	group_slots(w);
	cluster_key(&key, cluster);
	return group_of(w, &key);
}

static void
match_key(struct buf *key, const struct lint_world *w, const struct workload_match *m)
{
	buf_add_char(key, m->nodes != NULL ? 'n' : 'm');
	buf_add_char(key, m->cluster.ptr != NULL ? '+' : '-');
	if (m->cluster.ptr != NULL)
		cluster_key(key, m->cluster);
	key_add_u32(key, m->subtree != NULL ? m->subtree->index : LINT_NONE);
	key_add_u32(key, m->kube != NULL ? (uint32_t)world_kube_index(w->model, m->kube)
					 : LINT_NONE);
	selector_add_key(key, m->ns_selector);
	selector_add_key(key, m->selector);
	if (m->service_account.ptr != NULL)
		account_key(key, m->service_account);
}

/* The slots of the subtree and Kubernetes namespace that a match is limited to. */
static roaring_bitmap_t *
slots_of_place(const struct lint_world *w, const struct workload_match *m)
{
	uint32_t lo = 0, hi = w->slot_count;

	if (m->subtree != NULL) {
		lo = w->ns_first[m->subtree->index];
		hi = w->ns_end[m->subtree->index];
	}
	if (m->kube != NULL) {
		const struct lint_scope *s =
		    &w->scopes[w->kube_scope[world_kube_index(w->model, m->kube)]];

		if (s->first < lo || s->end > hi)
			return range_bits(0, 0);
		lo = s->first;
		hi = s->end;
	}
	return range_bits(lo, hi);
}

const struct roaring_bitmap_s *
world_match(struct lint_world *w, const struct workload_match *m)
{
	struct buf key = {0};
	const roaring_bitmap_t *known;
	roaring_bitmap_t *bits;

	match_key(&key, w, m);
	known = recall(w, &key);
	if (known != NULL)
		return known;
	bits = m->nodes == NULL ? slots_of_place(w, m) : range_bits(0, 0);
	if (m->selector != NULL && m->selector->count > 0)
		roaring_bitmap_and_inplace(
		    bits, label_index_select(w->labels, m->selector));
	if (m->ns_selector != NULL && m->ns_selector->count > 0)
		roaring_bitmap_and_inplace(bits, slots_by_ns(w, m->ns_selector));
	if (m->service_account.ptr != NULL)
		roaring_bitmap_and_inplace(
		    bits, slots_by_account(w, m->service_account));
	if (m->cluster.ptr != NULL)
		roaring_bitmap_and_inplace(bits, slots_by_cluster(w, m->cluster));
	return remember(w, &key, bits);
}

/* ---- peers ---- */

static void
network_key(struct buf *key, const struct peer *peer)
{
	struct space_list list;
	struct str known = space_list_key(&list, peer);

	if (known.len != 0) {
		buf_add_char(key, 'l');
		buf_add_str(key, known);
		return;
	}
	buf_add_char(key, 'n');
	for (size_t i = 0; i < peer->prefix_count + peer->except_count; i++) {
		bool except = i >= peer->prefix_count;
		const struct ip_prefix *p = except
						? &peer->excepts[i - peer->prefix_count]
						: &peer->prefixes[i];

		buf_add_char(key, except ? '-' : '+');
		buf_add_char(key, (char)p->len);
		buf_add_char(key, (char)p->addr.family);
		buf_add(key, p->addr.bytes, sizeof(p->addr.bytes));
	}
}

static const roaring_bitmap_t *
slots_by_network(struct lint_world *w, const struct peer *peer)
{
	struct addrset set = {0};
	struct buf key = {0};
	const roaring_bitmap_t *known;
	roaring_bitmap_t *bits;

	network_key(&key, peer);
	known = recall(w, &key);
	if (known != NULL)
		return known;
	bits = range_bits(0, 0);
	space_add_network(&set, peer);
	for (size_t i = 0; i < set.count; i++) {
		size_t at = world_find(w, set.ranges[i].lo);

		for (; at < w->point_count && w->points[at].addr <= set.ranges[i].hi;
		     at++) {
			if (w->points[at].slot != LINT_NONE)
				roaring_bitmap_add(bits, w->points[at].slot);
		}
	}
	addrset_fini(&set);
	return remember(w, &key, bits);
}

/* The workloads of other clusters: to the policies of one they are the outside. */
static const roaring_bitmap_t *
slots_outside(struct lint_world *w, const struct peer *peer)
{
	struct buf key = {0};
	const roaring_bitmap_t *known;

	buf_add_char(&key, 'o');
	cluster_key(&key, peer->cluster);
	network_key(&key, peer);
	known = recall(w, &key);
	return known != NULL ? known
			     : remember(w, &key,
				   sure(roaring_bitmap_andnot(slots_by_network(w, peer),
				       slots_by_cluster(w, peer->cluster))));
}

const struct roaring_bitmap_s *
world_peer(struct lint_world *w, const struct peer *peer)
{
	static const struct peer nobody = {.kind = PEER_NETWORK};

	if (peer->kind == PEER_WORKLOADS)
		return world_match(w, &peer->workloads);
	if (peer->kind != PEER_NETWORK)
		return slots_by_network(w, &nobody);
	if (peer->by_address)
		return slots_by_network(w, peer);
	return peer->cluster.ptr != NULL ? slots_outside(w, peer)
					 : slots_by_network(w, &nobody);
}

const struct roaring_bitmap_s *
world_rule_peers(struct lint_world *w, const struct rule *rule)
{
	struct buf key = {0};
	const roaring_bitmap_t *known;
	roaring_bitmap_t *bits;

	if (rule->any_peer)
		return world_all(w);
	if (rule->peer_count == 1)
		return world_peer(w, &rule->peers[0]);
	buf_add_char(&key, 'r');
	buf_add(&key, &rule, sizeof(struct rule *));
	known = recall(w, &key);
	if (known != NULL)
		return known;
	bits = range_bits(0, 0);
	for (size_t i = 0; i < rule->peer_count; i++)
		roaring_bitmap_or_inplace(bits, world_peer(w, &rule->peers[i]));
	return remember(w, &key, bits);
}

/* ---- names of ports ---- */

static void
port_key(struct buf *key, struct str name, uint8_t proto)
{
	buf_add_char(key, 'p');
	buf_add_char(key, (char)proto);
	buf_add_str(key, name);
}

const struct roaring_bitmap_s *
world_port_name(struct lint_world *w, struct str name, uint8_t proto)
{
	struct buf key = {0};
	const roaring_bitmap_t *known;

	buf_add_cstr(&key, "P");
	known = recall(w, &key);
	for (uint32_t i = 0; known == NULL && i < w->slot_count; i++) {
		const struct workload *wl = w->slots[i];
		struct buf own = {0};

		for (size_t j = 0; j < wl->shape->port_count; j++) {
			port_key(
			    &own, wl->shape->ports[j].name, wl->shape->ports[j].proto);
			add_slot(w, &own, i);
			port_key(&own, wl->shape->ports[j].name, PROTO_ANY);
			add_slot(w, &own, i);
		}
	}
	if (known == NULL)
		(void)remember(w, &key, range_bits(0, 0));
	port_key(&key, name, proto);
	return group_of(w, &key);
}
