/*
 * Names to ends. A name that is not known gets the nearest one that is.
 */
#include "policy-lang/evaluate/query.h"

#include "policy-lang/evaluate/query_internal.h"
#include "policy-lang/load/load_names.h"
#include "policy-lang/model/nearest.h"

#define SUGGESTION_MAX 20 /* each looks at all names */

/* The workloads of one kind that share a name. */
struct candidate {
	struct str kind;
	const struct workload *first;
	bool several; /* of different owners; pods of one owner are one */
	struct candidate *next;
};

struct node_candidate {
	const struct node *node;
	bool several;
};

struct resolver {
	struct arena *arena;
	const struct model *model;
	struct learnt *learnt; /* NULL: the model's is read alone */
	struct map own;   /* "ns/name", "cluster/ns/name", "/path/name" -> candidate */
	struct map owner; /* the same with the owner's name */
	struct map nodes; /* "node/name", "node/cluster/name" -> node_candidate */
	unsigned suggestions;
};

/* ---- the index ---- */

static void
index_add(
    struct resolver *r, struct map *map, const char *key, const struct workload *w)
{
	struct candidate *first = map_get(map, str_from(key));
	struct candidate *new;

	for (struct candidate *c = first; c != NULL; c = c->next) {
		if (!str_eq(c->kind, workload_owner_kind(w)))
			continue;
		c->several |= !str_eq(c->first->shape->display, w->shape->display);
		return;
	}
	new = ARENA_NEW(r->arena, struct candidate);
	new->kind = workload_owner_kind(w);
	new->first = w;
	if (first == NULL) {
		(void)map_set(map, str_from(key), new); /* new */
		return;
	}
	new->next = first->next;
	first->next = new;
}

static void
index_name(
    struct resolver *r, struct map *map, const struct workload *w, struct str name)
{
	const char *slash = w->ns->depth > 0 ? "/" : "";

	index_add(r, map,
	    arena_printf(
		r->arena, "%.*s%s%.*s", STR_ARG(w->ns->path), slash, STR_ARG(name)),
	    w);
	if (w->kube == NULL)
		return;
	index_add(r, map,
	    arena_printf(r->arena, "%.*s/%.*s", STR_ARG(w->kube->name), STR_ARG(name)),
	    w);
	if (w->kube->cluster.len > 0)
		index_add(r, map,
		    arena_printf(r->arena, "%.*s/%.*s/%.*s", STR_ARG(w->kube->cluster),
			STR_ARG(w->kube->name), STR_ARG(name)),
		    w);
}

static void
index_node(struct resolver *r, const char *key, const struct node *node)
{
	struct node_candidate *c = map_get(&r->nodes, str_from(key));

	if (c != NULL) {
		c->several = true;
		return;
	}
	c = ARENA_NEW(r->arena, struct node_candidate);
	c->node = node;
	(void)map_set(&r->nodes, str_from(key), c); /* new */
}

struct resolver *
resolver_new(struct arena *arena, const struct model *m)
{
	struct resolver *r = ARENA_NEW(arena, struct resolver);

	r->arena = arena;
	r->model = m;
	for (size_t i = 0; i < m->workload_count; i++) {
		const struct workload *w = m->workloads[i];

		if (!w->is_template)
			index_name(r, &r->own, w, w->name);
		index_name(r, &r->owner, w, workload_owner(w));
	}
	for (size_t i = 0; i < m->node_count; i++) {
		const struct node *node = m->nodes[i];

		index_node(
		    r, arena_printf(arena, "node/%.*s", STR_ARG(node->name)), node);
		if (node->cluster.len > 0)
			index_node(r,
			    arena_printf(arena, "node/%.*s/%.*s",
				STR_ARG(node->cluster), STR_ARG(node->name)),
			    node);
	}
	return r;
}

void
resolver_learns(struct resolver *resolver, struct learnt *learnt)
{
	resolver->learnt = learnt;
}

void
resolver_free(struct resolver *resolver)
{
	if (resolver == NULL)
		return;
	map_fini(&resolver->own);
	map_fini(&resolver->owner);
	map_fini(&resolver->nodes);
}

/* ---- looking up ---- */

/* The one workload that is meant. */
static const struct workload *
choose(const struct candidate *first, struct str kind, bool *out_ambiguous)
{
	const struct candidate *c = first;

	while (c != NULL && kind.ptr != NULL && !str_eq(kind, c->kind))
		c = c->next;
	if (c == NULL)
		return NULL;
	if (c->several || (kind.ptr == NULL && c->next != NULL))
		*out_ambiguous = true;
	return c->first;
}

/* Cuts "[Kind]" off; ptr NULL if there is none. */
static struct str
cut_kind(struct str *text)
{
	size_t open = str_find(*text, '[', 0);
	struct str kind = {0};

	if (open < text->len && str_ends(*text, STR("]"))) {
		kind = str_slice(*text, open + 1, text->len - 1);
		*text = str_slice(*text, 0, open);
	}
	return kind;
}

/* The native workload that `name` is in the place of a Kubernetes namespace. */
static const struct workload *
find_placed(struct resolver *r, struct str cluster, struct str ns, struct str name,
    struct str kind, bool *out_ambiguous)
{
	const struct kube_ns *kube = model_kube_ns(r->model, cluster, ns);
	const struct workload *w;
	struct buf key = {0};

	if (kube == NULL)
		return NULL;
	buf_printf(&key, "%.*s%s%.*s", STR_ARG(kube->ns->path),
	    kube->ns->depth > 0 ? "/" : "", STR_ARG(name));
	w = choose(map_get(&r->own, buf_str(&key)), kind, out_ambiguous);
	buf_free(&key);
	return w;
}

/* A native workload may be called by the Kubernetes namespace placed where it is:
 * NAMESPACE/NAME, or CLUSTER/NAMESPACE/NAME. */
static const struct workload *
find_native(struct resolver *r, struct str text, struct str kind, bool *out_ambiguous)
{
	const struct model_options *options = &r->model->options;
	struct str rest = text;
	struct str first = str_split(&rest, '/'), second;
	const struct workload *found;

	if (rest.ptr == NULL)
		return NULL;
	if (str_find(rest, '/', 0) != rest.len) {
		second = str_split(&rest, '/');
		return find_placed(r, first, second, rest, kind, out_ambiguous);
	}
	found = find_placed(r, (struct str){0}, first, rest, kind, out_ambiguous);
	for (size_t i = 0; i < options->cluster_count; i++) {
		const struct workload *w = find_placed(
		    r, options->clusters[i].name, first, rest, kind, out_ambiguous);

		*out_ambiguous |= w != NULL && found != NULL && w != found;
		found = w != NULL ? w : found;
	}
	return found;
}

static const struct workload *
find_workload(struct resolver *r, struct str text, bool *out_ambiguous)
{
	struct str name = text;
	struct str kind = cut_kind(&name);
	const struct workload *w = NULL;

	if (kind.ptr == NULL || str_is(kind, "Pod"))
		w = choose(map_get(&r->own, name), (struct str){0}, out_ambiguous);
	if (w == NULL)
		w = choose(map_get(&r->owner, name), kind, out_ambiguous);
	if (w == NULL)
		w = find_native(r, name, kind, out_ambiguous);
	return w;
}

/* ---- suggestions ---- */

static void
suggest(struct resolver *r, struct str text, struct buf *why)
{
	struct nearest n = nearest_to(text);

	if (r->suggestions++ >= SUGGESTION_MAX)
		return;
	for (size_t i = 0; i < r->owner.len; i++)
		nearest_consider(&n, r->owner.entries[i].key);
	for (size_t i = 0; i < r->own.len; i++)
		nearest_consider(&n, r->own.entries[i].key);
	for (size_t i = 0; i < r->nodes.len; i++) {
		const struct node_candidate *c = r->nodes.entries[i].value;

		if (!c->several)
			nearest_consider(&n, r->nodes.entries[i].key);
	}
	if (n.best.ptr != NULL)
		buf_printf(why, "; did you mean \"%.*s\"?", STR_ARG(n.best));
}

/* A node or workload of that name. */
static bool
find_name(
    struct resolver *r, struct str text, struct endpoint *out_end, bool *out_ambiguous)
{
	const struct node_candidate *node = map_get(&r->nodes, text);
	const struct workload *w;

	if (node != NULL) {
		*out_ambiguous = node->several;
		*out_end = endpoint_of_node(node->node);
		return !node->several;
	}
	w = find_workload(r, text, out_ambiguous);
	if (w == NULL || *out_ambiguous)
		return false;
	*out_end = endpoint_of_workload(r->model, w);
	return true;
}

bool
resolver_knows(struct resolver *resolver, struct str name, struct endpoint *out_end)
{
	bool ambiguous = false;

	return find_name(resolver, name, out_end, &ambiguous);
}

bool
resolver_find(struct resolver *resolver, struct str text, struct endpoint *out_end,
    struct buf *why)
{
	struct ip_addr addr;
	struct ip_prefix prefix;
	bool ambiguous = false;

	if (ip_parse(text, &addr)) {
		*out_end = endpoint_of_addr(resolver->model, addr);
		return true;
	}
	if (find_name(resolver, text, out_end, &ambiguous))
		return true;
	if (ambiguous)
		buf_printf(why,
		    "\"%.*s\" is several workloads or nodes; write the cluster, the "
		    "tree's path or [Kind] as well",
		    STR_ARG(text));
	else if (ip_prefix_parse(text, &prefix, NULL))
		buf_printf(
		    why, "\"%.*s\" is a network; ask about one address", STR_ARG(text));
	else if (str_find(text, '/', 0) == text.len)
		buf_printf(why,
		    "\"%.*s\" is no address and no name; write NAMESPACE/NAME, "
		    "/PATH/NAME, node/NAME or an address",
		    STR_ARG(text));
	else
		buf_printf(why, "no %s \"%.*s\"",
		    str_starts(text, STR("node/")) ? "node" : "workload",
		    STR_ARG(text));
	if (!ambiguous)
		suggest(resolver, text, why);
	return false;
}

/* ---- questions ---- */

/* proto/47: a number alone would be taken for a port without its protocol. */
static bool
read_proto_number(struct str text, uint8_t *out_proto, struct buf *why)
{
	uint64_t number;

	if (!str_to_u64(text, UINT8_MAX, &number) || number == PROTO_ANY) {
		buf_printf(why, "\"%.*s\" is not a protocol's number (1 to 255)",
		    STR_ARG(text));
		return false;
	}
	*out_proto = (uint8_t)number;
	if (proto_has_ports(*out_proto))
		buf_printf(why,
		    "protocol %.*s has ports; write PORT/PROTO, such as 443/tcp",
		    STR_ARG(text));
	return !proto_has_ports(*out_proto);
}

bool
query_read_service(
    struct str text, uint8_t *out_proto, uint16_t *out_port, struct buf *why)
{
	struct str proto = text;
	struct str port = str_split(&proto, '/');
	uint64_t number;

	*out_port = 0;
	if (proto.ptr == NULL) {
		if (proto_parse(text, out_proto) && !proto_has_ports(*out_proto))
			return true;
		buf_printf(
		    why, "\"%.*s\" is not PORT/PROTO, such as 443/tcp", STR_ARG(text));
		return false;
	}
	if (str_is(port, "proto"))
		return read_proto_number(proto, out_proto, why);
	if (!proto_parse(proto, out_proto)) {
		buf_printf(why,
		    "no protocol \"%.*s\"; there is tcp, udp, sctp, icmp, icmpv6",
		    STR_ARG(proto));
		return false;
	}
	if (!proto_has_ports(*out_proto)) {
		buf_printf(why, "%.*s has no ports; write it alone", STR_ARG(proto));
		return false;
	}
	if (!str_to_u64(port, UINT16_MAX, &number) || number == 0) {
		buf_printf(why, "\"%.*s\" is not a port (1 to 65535)", STR_ARG(port));
		return false;
	}
	*out_port = (uint16_t)number;
	return true;
}

/* Without a slash, no workload's name is spelt like that. */
bool
resolver_is_domain(struct resolver *r, struct str text)
{
	struct endpoint known;
	struct ip_addr addr;

	return name_is_one_domain(text) && !ip_parse(text, &addr) &&
	       !resolver_knows(r, text, &known);
}

bool
resolver_find_destination(struct resolver *r, const struct endpoint *src,
    struct str text, struct endpoint *out_end, struct buf *why)
{
	if (resolver_is_domain(r, text))
		return query_find_name(
		    r->arena, r->model, r->learnt, src, text, out_end, why);
	return resolver_find(r, text, out_end, why);
}

bool
query_read(struct resolver *resolver, const struct str words[3],
    struct query *out_query, struct buf *why)
{
	*out_query = (struct query){
	    .src_text = words[0],
	    .dst_text = words[1],
	    .service_text = words[2],
	};
	return resolver_find(resolver, words[0], &out_query->src, why) &&
	       resolver_find_destination(
		   resolver, &out_query->src, words[1], &out_query->dst, why) &&
	       query_read_service(words[2], &out_query->proto, &out_query->port, why);
}

bool
query_read_wide(struct resolver *resolver, const struct str *words, size_t count,
    struct query *out_query, struct buf *why)
{
	*out_query = (struct query){.src_text = words[0], .dst_text = words[1]};
	if (!resolver_find(resolver, words[0], &out_query->src, why) ||
	    !resolver_find_destination(
		resolver, &out_query->src, words[1], &out_query->dst, why))
		return false;
	out_query->span = QUERY_EVERYTHING;
	if (count == 2)
		return true;
	out_query->service_text = words[2];
	if (proto_parse(words[2], &out_query->proto) &&
	    proto_has_ports(out_query->proto)) {
		out_query->span = QUERY_PROTOCOL;
		return true;
	}
	out_query->span = QUERY_SERVICE;
	return query_read_service(words[2], &out_query->proto, &out_query->port, why);
}

void
query_explain_incomparable(const struct query *query, unsigned family, struct buf *why)
{
	unsigned asked = family;

	if (query->proto == PROTO_ICMP)
		asked = IP_V4;
	else if (query->proto == PROTO_ICMPV6)
		asked = IP_V6;
	if (family != 0 && asked != family)
		buf_printf(
		    why, "%.*s belongs to IPv%u", STR_ARG(query->service_text), asked);
	else if (asked != 0)
		buf_printf(why, "%.*s and %.*s have no pair of IPv%u addresses",
		    STR_ARG(query->src_text), STR_ARG(query->dst_text), asked);
	else
		buf_printf(why, "%.*s and %.*s have no address family in common",
		    STR_ARG(query->src_text), STR_ARG(query->dst_text));
}

void
endpoint_print(struct buf *out, const struct endpoint *end)
{
	char text[IP_TEXT_BYTES];

	switch (end->kind) {
	case ENDPOINT_WORKLOAD:
		buf_add_str(out, end->workload->shape->display);
		return;
	case ENDPOINT_NODE:
		if (end->node == NULL) {
			buf_add_cstr(out, "a node of unknown name");
			return;
		}
		buf_add_cstr(out, "node/");
		if (end->node->cluster.len > 0)
			buf_printf(out, "%.*s/", STR_ARG(end->node->cluster));
		buf_add_str(out, end->node->name);
		return;
	case ENDPOINT_ADDRESS:
		buf_add_str(out, end->name);
		if (end->name.len > 0 && (end->stand_in || !end->has_addr))
			return;
		buf_printf(out, end->name.len > 0 ? " (%s)" : "%s",
		    ip_format(&end->addr, text));
		return;
	}
}
