#include "policy-lang/lint/lint_space_set.h"

#include <stdlib.h>
#include <string.h>

#include "policy-lang/model/portset.h"

/* Of texts, 0 says that there is none. */
#define ABSENT 0

void
space_fini(struct space *s)
{
	map_fini(&s->keys);
	map_fini(&s->values);
	map_fini(&s->sets);
	map_fini(&s->lists);
}

static void
count_work(struct space *s, size_t ranges)
{
	if (s->work != NULL)
		*s->work += ranges;
}

/* Rules that name the same long list have one copy of it. */
static struct space_set
keep_set(struct space *s, const struct addrset *set)
{
	const struct str bytes = {
	    (const char *)set->ranges, set->count * sizeof(*set->ranges)};
	const struct addr_range *known = map_get(&s->sets, bytes);
	struct space_set kept;

	if (known != NULL)
		return (struct space_set){known, (uint32_t)set->count};
	kept = space_set_keep(s->arena, set);
	(void)map_set(&s->sets, (struct str){(const char *)kept.ranges, bytes.len},
	    (void *)(uintptr_t)kept.ranges); /* new */
	return kept;
}

static uint32_t
number_of(struct map *texts, struct str text)
{
	void *known = map_get(texts, text);
	uintptr_t number = (uintptr_t)known;

	if (known == NULL) {
		number = texts->len + 1;
		/* A number, not an address: nothing is ever behind it. */
		(void)map_set(texts, text, (void *)number);
	}
	return (uint32_t)number;
}

/* Values are not next to each other, whichever came first: of two there is no range. */
static uint32_t
value_number(struct space *s, struct str text)
{
	return 2 * number_of(&s->values, text);
}

/* ---- making boxes ---- */

struct maker {
	struct space *s;
	struct space_dim *dims; /* by id */
	uint32_t count, cap;
	bool empty; /* no point is left */
};

static void
constrain(struct maker *k, uint32_t id, struct space_set set)
{
	uint32_t at = k->count;

	while (at > 0 && k->dims[at - 1].id > id)
		at--;
	if (at > 0 && k->dims[at - 1].id == id) {
		struct space_dim *d = &k->dims[at - 1];

		d->set = space_set_meet(k->s->arena, d->set, set);
		k->empty = k->empty || d->set.count == 0;
		return;
	}
	if (k->count == k->cap) {
		k->cap = k->cap == 0 ? 8 : 2 * k->cap;
		k->dims = xreallocarray(k->dims, k->cap, sizeof(*k->dims));
	}
	memmove(&k->dims[at + 1], &k->dims[at], (k->count - at) * sizeof(*k->dims));
	k->dims[at] = (struct space_dim){id, set};
	k->count++;
	k->empty = k->empty || set.count == 0;
}

static void
constrain_range(struct maker *k, uint32_t id, addr_num lo, addr_num hi)
{
	constrain(k, id, space_set_range(k->s->arena, lo, hi));
}

static void
constrain_text(struct maker *k, uint32_t id, struct str text)
{
	uint32_t number = value_number(k->s, text);

	constrain_range(k, id, number, number);
}

static void
add_texts(struct space *s, struct addrset *set, const struct str *texts, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		uint32_t number = value_number(s, texts[i]);

		addrset_add(set, (struct addr_range){number, number});
	}
}

/* Takes the set. */
static struct space_set
keep_texts(struct space *s, struct addrset *set)
{
	struct space_set kept;

	addrset_normalise(set);
	kept = keep_set(s, set);
	addrset_fini(set);
	return kept;
}

static struct space_set
texts_set(struct space *s, const struct str *texts, size_t count)
{
	struct addrset set = {0};

	add_texts(s, &set, texts, count);
	return keep_texts(s, &set);
}

/* `count` is one, unless they are of one key and say what it must not be. */
static void
constrain_requirement(
    struct maker *k, const struct requirement *r, size_t count, enum space_labels whose)
{
	struct space *s = k->s;
	uint32_t id = DIM_LABELS + 8 * number_of(&s->keys, r->key) + whose;
	struct space_set set = {0};
	struct addrset texts = {0};

	switch (r->op) {
	case REQ_EXISTS:
		set = space_set_range(s->arena, ABSENT + 1, NUM_MAX);
		break;
	case REQ_NOT_EXISTS:
		set = space_set_range(s->arena, ABSENT, ABSENT);
		break;
	case REQ_IN:
		set = texts_set(s, r->values, r->value_count);
		break;
	case REQ_NOT_IN: /* an absent key is in no list */
		for (size_t i = 0; i < count; i++)
			add_texts(s, &texts, r[i].values, r[i].value_count);
		set = space_set_rest(s->arena, keep_texts(s, &texts), NUM_MAX);
		break;
	}
	constrain(k, id, set);
}

/* How many requirements of one key, from the first on, say what it must not be: they are
 * neighbours, and one set. */
static size_t
alike(const struct requirement *reqs, size_t count)
{
	size_t end = 1;

	while (end < count && reqs[0].op == REQ_NOT_IN && reqs[end].op == REQ_NOT_IN &&
	       str_eq(reqs[end].key, reqs[0].key))
		end++;
	return end;
}

static void
constrain_selector(
    struct maker *k, const struct selector *selector, enum space_labels whose)
{
	const size_t count = selector != NULL ? selector->count : 0;

	for (size_t i = 0, some; i < count; i += some) {
		some = alike(&selector->reqs[i], count - i);
		constrain_requirement(k, &selector->reqs[i], some, whose);
	}
}

static void
constrain_subtree(struct maker *k, uint32_t id, const struct ns *top)
{
	constrain_range(k, id, k->s->ns_rank[top->index],
	    (addr_num)k->s->ns_rank_end[top->index] - 1);
}

#define METADATA_NAME STR("kubernetes.io/metadata.name")

/* A Kubernetes namespace has one place in the tree, and a label that says its name. */
static void
constrain_kube(struct maker *k, bool peer, const struct kube_ns *kube)
{
	enum space_labels whose = peer ? LABELS_PEER_NS : LABELS_SUBJECT_NS;
	uint32_t rank = k->s->ns_rank[kube->ns->index];
	uint32_t label = DIM_LABELS + 8 * number_of(&k->s->keys, METADATA_NAME) + whose;
	/* Its own bytes tell it from every other, in whatever cluster. */
	struct str self = {(const char *)kube, sizeof(*kube)};

	constrain_range(k, peer ? DIM_PEER_NS : DIM_SUBJECT_NS, rank, rank);
	constrain_text(k, peer ? DIM_PEER_KUBE : DIM_SUBJECT_KUBE, self);
	constrain_text(k, peer ? DIM_PEER_CLUSTER : DIM_SUBJECT_CLUSTER, kube->cluster);
	constrain_text(k, label, kube->name);
}

static void
constrain_subject(struct maker *k, const struct workload_match *m)
{
	if (m->cluster.ptr != NULL)
		constrain_text(k, DIM_SUBJECT_CLUSTER, m->cluster);
	if (m->subtree != NULL && m->subtree->parent != NULL)
		constrain_subtree(k, DIM_SUBJECT_NS, m->subtree);
	if (m->kube != NULL)
		constrain_kube(k, false, m->kube);
	constrain_selector(k, m->ns_selector, LABELS_SUBJECT_NS);
	constrain_selector(k, m->selector, LABELS_SUBJECT);
	if (m->service_account.ptr != NULL)
		constrain_text(k, DIM_SUBJECT_ACCOUNT, m->service_account);
}

enum peer_class {
	CLASS_WORKLOAD,
	CLASS_NODE,
	CLASS_ADDRESS
};

static void
constrain_workloads(struct maker *k, const struct workload_match *m)
{
	constrain_range(k, DIM_PEER_KIND, CLASS_WORKLOAD, CLASS_WORKLOAD);
	if (m->cluster.ptr != NULL)
		constrain_text(k, DIM_PEER_CLUSTER, m->cluster);
	if (m->subtree != NULL && m->subtree->parent != NULL)
		constrain_subtree(k, DIM_PEER_NS, m->subtree);
	if (m->kube != NULL)
		constrain_kube(k, true, m->kube);
	constrain_selector(k, m->ns_selector, LABELS_PEER_NS);
	constrain_selector(k, m->selector, LABELS_PEER);
	if (m->service_account.ptr != NULL)
		constrain_text(k, DIM_PEER_ACCOUNT, m->service_account);
}

/* ---- addresses ---- */

#define MAPPED_FIRST ((addr_num)0xffff << 32)
#define MAPPED_LAST  (MAPPED_FIRST | UINT32_MAX)

addr_num
space_address(const struct ip_addr *addr)
{
	addr_num num = addr_to_num(addr);

	return addr->family == IP_V4 ? num | MAPPED_FIRST : num;
}

/* Adds prefixes of both families to a set of such numbers. */
static void
space_add_prefixes(struct addrset *set, const struct ip_prefix *prefixes, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		struct addr_range r = prefix_to_range(&prefixes[i]);

		if (prefixes[i].addr.family == IP_V4) {
			addrset_add(set, (struct addr_range){
					     r.lo | MAPPED_FIRST, r.hi | MAPPED_FIRST});
			continue;
		}
		/* No IPv6 address lies where IPv4 has been put. */
		if (r.lo < MAPPED_FIRST)
			addrset_add(
			    set, (struct addr_range){r.lo,
				     r.hi < MAPPED_FIRST ? r.hi : MAPPED_FIRST - 1});
		if (r.hi > MAPPED_LAST)
			addrset_add(set,
			    (struct addr_range){
				r.lo > MAPPED_LAST ? r.lo : MAPPED_LAST + 1, r.hi});
	}
}

void
space_add_network(struct addrset *set, const struct peer *peer)
{
	struct addrset in = {0}, out = {0};

	space_add_prefixes(&in, peer->prefixes, peer->prefix_count);
	space_add_prefixes(&out, peer->excepts, peer->except_count);
	addrset_normalise(&in);
	addrset_normalise(&out);
	addrset_subtract(&in, &out);
	addrset_add_set(set, &in);
	addrset_fini(&in);
	addrset_fini(&out);
}

/* Shorter ones are gone through faster than they are found again. */
#define LONG_LIST 16

struct str
space_list_key(struct space_list *out, const struct peer *peer)
{
	*out = (struct space_list){{(uintptr_t)peer->prefixes, peer->prefix_count,
	    (uintptr_t)peer->excepts, peer->except_count}};
	return peer->prefix_count + peer->except_count > LONG_LIST
		   ? (struct str){(const char *)out->where, sizeof(out->where)}
		   : (struct str){0};
}

/* The set of a long list, which is made once; *out_new: it has yet to be. */
static struct space_set *
set_of_list(struct space *s, struct str key, bool *out_new)
{
	struct space_set *set = map_get(&s->lists, key);

	*out_new = set == NULL;
	if (set == NULL) {
		set = ARENA_NEW(s->arena, struct space_set);
		(void)map_set(&s->lists, str_dup(s->arena, key), set); /* new */
	}
	return set;
}

static struct space_set *
network_of(struct space *s, const struct peer *peer, struct str key)
{
	struct addrset addresses = {0};
	bool new;
	struct space_set *set = set_of_list(s, key, &new);

	if (new) {
		space_add_network(&addresses, peer);
		*set = keep_set(s, &addresses);
		addrset_fini(&addresses);
	}
	return set;
}

struct space_set
space_network(struct space *s, const struct peer *peer)
{
	struct space_list list;
	struct str key = space_list_key(&list, peer);
	struct addrset set = {0};
	struct space_set kept;

	if (key.len != 0)
		return *network_of(s, peer, key);
	space_add_network(&set, peer);
	kept = space_set_keep(s->arena, &set);
	addrset_fini(&set);
	return kept;
}

static void
constrain_network(struct maker *k, struct space_set addresses, bool by_address)
{
	constrain_range(k, DIM_PEER_ADDRESSED, 1, 1);
	constrain(k, DIM_PEER_ADDRESS, addresses);
	if (!by_address) /* never a workload, but see add_networks */
		constrain_range(k, DIM_PEER_KIND, CLASS_NODE, CLASS_ADDRESS);
}

/* ---- ports ---- */

static void
add_column(struct addrset *set, enum port_column column, uint16_t lo, uint16_t hi)
{
	addr_num base = (addr_num)column << 16;
	bool whole = !port_column_has_ports(column) || (lo <= 1 && hi == UINT16_MAX);

	if (!whole) {
		addrset_add(set, (struct addr_range){base + lo, base + hi});
		return;
	}
	addrset_add(set, (struct addr_range){base, base + UINT16_MAX});
	base = NAMES_FIRST + column * NAMES_COUNT;
	if (port_column_has_ports(column))
		addrset_add(set, (struct addr_range){base, base + NAMES_COUNT - 1});
}

static void
add_port(struct space *s, struct addrset *set, const struct port_match *port)
{
	for (unsigned c = 0; c < PORT_COLUMNS; c++) {
		enum port_column column = (enum port_column)c;
		addr_num at;

		if (port->proto != PROTO_ANY && port_column_of(port->proto) != column)
			continue;
		if (port->kind == PORT_NUMBERS) {
			add_column(set, column, port->lo, port->hi);
		} else if (port_column_has_ports(column)) {
			at = NAMES_FIRST + c * NAMES_COUNT +
			     number_of(&s->values, port->name);
			addrset_add(set, (struct addr_range){at, at});
		}
	}
}

static void
constrain_ports(struct maker *k, const struct port_match *ports, size_t count)
{
	struct addrset set = {0};

	for (size_t i = 0; i < count; i++)
		add_port(k->s, &set, &ports[i]);
	addrset_normalise(&set);
	constrain(k, DIM_PORT, keep_set(k->s, &set));
	addrset_fini(&set);
}

/* ---- whole boxes ---- */

static struct space_box
finish(struct maker *k)
{
	struct space_box box = {.count = k->count};
	struct space_dim *dims = ARENA_ARRAY(k->s->arena, k->count, struct space_dim);

	if (k->count > 0)
		memcpy(dims, k->dims, k->count * sizeof(*dims));
	box.dims = dims;
	return box;
}

void
space_boxes_add(struct space_boxes *boxes, struct space_box box)
{
	if (boxes->count == boxes->cap) {
		boxes->cap = boxes->cap == 0 ? 4 : 2 * boxes->cap;
		boxes->items =
		    xreallocarray(boxes->items, boxes->cap, sizeof(*boxes->items));
	}
	boxes->items[boxes->count++] = box;
}

static void
finish_into(struct maker *k, struct space_boxes *out)
{
	if (!k->empty)
		space_boxes_add(out, finish(k));
	free(k->dims);
}

void
space_subject(
    struct space *s, const struct workload_match *subject, struct space_boxes *out)
{
	struct maker k = {.s = s};

	constrain_subject(&k, subject);
	finish_into(&k, out);
}

struct space_box
space_port(struct space *s, const struct port_match *port)
{
	struct maker k = {.s = s};
	struct space_box box;

	constrain_ports(&k, port, 1);
	box = finish(&k);
	free(k.dims);
	return box;
}

/* A copy of what has been asked for so far. */
static struct maker
fork_maker(const struct maker *from)
{
	struct maker k = *from;

	k.cap = from->count + 8;
	k.dims = xreallocarray(NULL, k.cap, sizeof(*k.dims));
	if (from->count > 0)
		memcpy(k.dims, from->dims, from->count * sizeof(*k.dims));
	return k;
}

/* The set of a list of names; of a long one it is made once. */
static struct space_set
names_set(struct space *s, const struct peer *peer)
{
	struct space_list list = {{(uintptr_t)peer->fqdns, peer->fqdn_count}};
	struct str key = {(const char *)list.where, sizeof(list.where)};
	struct space_set *set;
	bool new;

	if (peer->fqdn_count <= LONG_LIST)
		return texts_set(s, peer->fqdns, peer->fqdn_count);
	set = set_of_list(s, key, &new);
	if (new)
		*set = texts_set(s, peer->fqdns, peer->fqdn_count);
	return *set;
}

static void
add_names(const struct maker *base, const struct peer *peer, struct space_boxes *out)
{
	struct maker k;

	if (peer->fqdn_count == 0)
		return;
	k = fork_maker(base);
	constrain(&k, DIM_PEER_NAME, names_set(k.s, peer));
	constrain_range(&k, DIM_PEER_ADDRESSED, 1, 1);
	finish_into(&k, out);
}

/* One box, except for networks: these are collected by their callers. */
static void
add_peer(const struct maker *base, const struct peer *peer, struct space_boxes *out)
{
	struct maker k;

	add_names(base, peer, out);
	if (peer->kind != PEER_WORKLOADS && peer->kind != PEER_NODES)
		return;
	k = fork_maker(base);
	if (peer->kind == PEER_WORKLOADS) {
		constrain_workloads(&k, &peer->workloads);
	} else {
		constrain_range(&k, DIM_PEER_KIND, CLASS_NODE, CLASS_NODE);
		if (peer->cluster.ptr != NULL)
			constrain_text(&k, DIM_PEER_CLUSTER, peer->cluster);
		if (peer->node_name.ptr != NULL)
			constrain_text(&k, DIM_PEER_NODE, peer->node_name);
		constrain_selector(&k, peer->node_selector, LABELS_NODE);
	}
	finish_into(&k, out);
}

static void
add_set(struct addrset *set, const struct space_set *more)
{
	for (uint32_t i = 0; more != NULL && i < more->count; i++)
		addrset_add(set, more->ranges[i]);
}

/* The workloads of other clusters: outside addresses to policies of one. */
static void
add_other_clusters(const struct maker *base, struct space_set addresses,
    struct str cluster, struct space_boxes *out)
{
	struct maker k = fork_maker(base);
	struct space_set own = texts_set(k.s, &cluster, 1);

	constrain_network(&k, addresses, true);
	constrain_range(&k, DIM_PEER_KIND, CLASS_WORKLOAD, CLASS_WORKLOAD);
	constrain(&k, DIM_PEER_CLUSTER, space_set_rest(k.s->arena, own, NUM_MAX));
	finish_into(&k, out);
}

/* The addresses of those among the peers that match workloads, or of those that do not. */
static struct space_set
networks_of(struct space *s, const struct peer *peers, size_t count, bool by_address)
{
	const struct space_set *one = NULL; /* a long list, and nothing else so far */
	struct addrset set = {0};
	struct space_set kept;

	for (size_t i = 0; i < count; i++) {
		const struct peer *peer = &peers[i];
		struct space_list list;
		struct str key = space_list_key(&list, peer);
		const struct space_set *known;

		if (peer->kind != PEER_NETWORK || peer->by_address != by_address)
			continue;
		known = key.len != 0 ? network_of(s, peer, key) : NULL;
		if (known != NULL &&
		    (known == one || (one == NULL && set.count == 0))) {
			one = known;
			continue;
		}
		add_set(&set, one);
		add_set(&set, known);
		one = NULL;
		if (known == NULL)
			space_add_network(&set, peer);
	}
	if (one != NULL && set.count == 0)
		return *one;
	add_set(&set, one);
	count_work(s, set.count);
	addrset_normalise(&set);
	kept = keep_set(s, &set);
	addrset_fini(&set);
	return kept;
}

/* The networks among the peers that match workloads, or those that do not. */
static void
add_networks(const struct maker *base, const struct peer *peers, size_t count,
    bool by_address, struct space_boxes *out)
{
	struct space_set set = networks_of(base->s, peers, count, by_address);
	struct maker k;

	if (set.count == 0)
		return;
	k = fork_maker(base);
	constrain_network(&k, set, by_address);
	finish_into(&k, out);
	if (!by_address && peers[0].cluster.ptr != NULL)
		add_other_clusters(base, set, peers[0].cluster, out);
}

static void
add_peers(const struct maker *base, const struct peer *peers, size_t count,
    struct space_boxes *out)
{
	for (size_t i = 0; i < count; i++)
		add_peer(base, &peers[i], out);
	add_networks(base, peers, count, true, out);
	add_networks(base, peers, count, false, out);
}

void
space_peer(struct space *s, const struct peer *peer, struct space_boxes *out)
{
	struct maker base = {.s = s};

	add_peers(&base, peer, 1, out);
}

void
space_rule(struct space *s, const struct rule *rule, struct space_boxes *out)
{
	struct maker base = {.s = s};

	if (rule->any_port || rule->port_count > 0) {
		constrain_subject(&base, &rule->policy->subject);
		if (!rule->any_port)
			constrain_ports(&base, rule->ports, rule->port_count);
		if (base.empty)
			free(base.dims);
		else if (rule->any_peer)
			finish_into(&base, out);
		else {
			add_peers(&base, rule->peers, rule->peer_count, out);
			free(base.dims);
		}
	}
}
