#include "policy-lang/model/peer_key.h"

#include <stdlib.h>

#include "policy-lang/model/label_index.h"

static void
add_flag(struct buf *key, bool flag)
{
	buf_add_char(key, flag ? 1 : 0);
}

/* Nothing where any cluster will do. */
static void
add_cluster_key(struct buf *key, struct str cluster)
{
	if (cluster.ptr == NULL)
		return;
	buf_add_char(key, 'C');
	key_add_str(key, cluster);
}

static void
add_match_key(struct buf *key, const struct workload_match *match)
{
	buf_add_char(key, 'W');
	key_add_str(key, match->subtree != NULL ? match->subtree->path : STR("/"));
	add_flag(key, match->kube != NULL);
	if (match->kube != NULL) {
		key_add_str(key, match->kube->cluster);
		key_add_str(key, match->kube->name);
	}
	add_cluster_key(key, match->cluster);
	selector_add_key(key, match->ns_selector);
	selector_add_key(key, match->selector);
	add_flag(key, match->service_account.ptr != NULL);
	key_add_str(key, match->service_account);
}

static void
add_prefix_keys(struct buf *key, const struct ip_prefix *prefixes, size_t count)
{
	key_add_u32(key, (uint32_t)count);
	for (size_t i = 0; i < count; i++) {
		buf_add_char(key, (char)prefixes[i].addr.family);
		buf_add(key, prefixes[i].addr.bytes, ip_bytes(prefixes[i].addr.family));
		buf_add_char(key, (char)prefixes[i].len);
	}
}

static void
add_name_keys(struct buf *key, const struct peer *peer)
{
	if (peer->fqdn_count == 0)
		return;
	buf_add_char(key, 'F');
	key_add_u32(key, (uint32_t)peer->fqdn_count);
	for (size_t i = 0; i < peer->fqdn_count; i++)
		key_add_str(key, peer->fqdns[i]);
}

/* Appends what the peer says; nothing if it matches no address. */
static void
add_peer_key(struct buf *key, const struct peer *peer)
{
	add_name_keys(key, peer);
	switch (peer->kind) {
	case PEER_WORKLOADS:
		add_match_key(key, &peer->workloads);
		if (peer->but != NULL)
			add_match_key(key, peer->but);
		break;
	case PEER_NETWORK:
		if (peer->prefix_count == 0)
			break;
		buf_add_char(key, 'N');
		add_flag(key, peer->by_address);
		if (!peer->by_address)
			add_cluster_key(key, peer->cluster);
		add_prefix_keys(key, peer->prefixes, peer->prefix_count);
		add_prefix_keys(key, peer->excepts, peer->except_count);
		break;
	case PEER_NODES:
		buf_add_char(key, 'H');
		add_cluster_key(key, peer->cluster);
		add_flag(key, peer->node_name.ptr != NULL);
		key_add_str(key, peer->node_name);
		selector_add_key(key, peer->node_selector);
		break;
	case PEER_FQDN: /* names alone */
		break;
	}
}

static int
str_ptr_cmp(const void *a, const void *b)
{
	return str_cmp(*(const struct str *)a, *(const struct str *)b);
}

struct str
peer_key_of_rule(struct arena *scratch, const struct rule *rule)
{
	struct str *keys = ARENA_ARRAY(scratch, rule->peer_count, struct str);
	struct buf one = {0}, all = {0};
	struct str joined = {0};
	size_t count = 0;

	for (size_t i = 0; i < rule->peer_count; i++) {
		buf_clear(&one);
		add_peer_key(&one, &rule->peers[i]);
		if (one.len != 0)
			keys[count++] = str_dup(scratch, buf_str(&one));
	}
	if (count > 1)
		qsort(keys, count, sizeof(*keys), str_ptr_cmp);
	for (size_t i = 0; i < count; i++) {
		if (i == 0 || !str_eq(keys[i], keys[i - 1]))
			key_add_str(&all, keys[i]);
	}
	/* A deny by name takes in what has none. */
	if (count != 0 && rule->action == ACTION_DENY && rule_has_names(rule))
		buf_add_char(&all, 'D');
	if (count != 0)
		joined = str_dup(scratch, buf_str(&all));
	buf_free(&one);
	buf_free(&all);
	return joined;
}
