#include "policy-lang/diff/diff_routes.h"

#include "policy-lang/diff/diff_internal.h"
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/explain/route_words.h"
#include "policy-lang/model/label_index.h"
#include "policy-lang/model/peer_key.h"

/* ---- keys ---- */

static void
add_peers(struct arena *arena, struct buf *key, const struct peer *peers, size_t count)
{
	const struct rule rule = {.peers = peers, .peer_count = count};

	key_add_u32(key, (uint32_t)count);
	key_add_str(key, peer_key_of_rule(arena, &rule));
}

static void
add_addr(struct buf *key, const struct ip_addr *addr, uint8_t len)
{
	key_add_u32(key, (uint32_t)addr->family << 8 | len);
	buf_add(key, addr->bytes, ip_bytes(addr->family));
}

static void
add_prefixes(struct buf *key, const struct ip_prefix *prefixes, size_t count)
{
	key_add_u32(key, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		add_addr(key, &prefixes[i].addr, prefixes[i].len);
}

static void
add_way(struct buf *key, const struct route_rule *rule)
{
	add_prefixes(key, rule->sources, rule->source_count);
	key_add_u32(key, (uint32_t)rule->gateway_count);
	for (size_t i = 0; i < rule->gateway_count; i++)
		key_add_str(key, rule->gateways[i]);
	key_add_u32(key, rule->gateway_selector != NULL);
	if (rule->gateway_selector != NULL)
		selector_add_key(key, rule->gateway_selector);
	key_add_u32(key, (uint32_t)rule->next_hop_count);
	for (size_t i = 0; i < rule->next_hop_count; i++)
		add_addr(key, &rule->next_hops[i], 0);
	key_add_u32(key, rule->table);
}

static void
add_backends(struct buf *key, const struct route_rule *rule)
{
	add_prefixes(key, rule->addresses, rule->address_count);
	key_add_u32(key, (uint32_t)rule->backend_count);
	for (size_t i = 0; i < rule->backend_count; i++) {
		diff_add_match(key, &rule->backends[i].workloads);
		key_add_u32(key, rule->backends[i].weight);
	}
	key_add_u32(key, rule->target_port);
	key_add_str(key, rule->target_name);
}

static void
add_rule(struct arena *arena, struct buf *key, const struct route_rule *rule)
{
	key_add_str(key, rule->name);
	key_add_u32(key, (uint32_t)rule->action);
	add_peers(arena, key, rule->from, rule->from_count);
	add_peers(arena, key, rule->to, rule->to_count);
	diff_add_ports(key, rule->ports, rule->port_count);
	add_way(key, rule);
	add_backends(key, rule);
	key_add_u32(key, (uint32_t)rule->balance << 1 | rule->direct_on_failure);
	diff_add_match(key, &rule->through);
}

/* ---- sentences ---- */

struct telling {
	struct arena *arena;
	diff_route_fn *tell;
	void *ctx;
	struct diff_route_line line;
};

static void
tell_rule(
    struct telling *t, const struct route_policy *r, const struct route_rule *rule)
{
	struct buf *words = &t->line.words;
	size_t before;

	buf_clear(words);
	buf_clear(&t->line.key);
	t->line.title = arena_printf(t->arena, "%s %s %s rule %u",
	    route_title(t->arena, r), phase_name(rule->phase),
	    route_kind_name(rule->kind), (unsigned)rule->index);
	t->line.loc = rule->loc;
	if (rule->name.len > 0)
		buf_printf(words, "\"%.*s\": ", STR_ARG(rule->name));
	buf_printf(words, "%s ", route_action_name(rule->kind, rule->action));
	route_say_reach(words, rule);
	before = words->len;
	buf_add_cstr(words, ", ");
	route_say_effect(words, rule);
	if (words->len == before + 2)
		words->len = before;
	add_rule(t->arena, &t->line.key, rule);
	t->tell(t->ctx, &t->line);
}

static void
tell_route(struct telling *t, const struct route_policy *r)
{
	buf_clear(&t->line.words);
	buf_clear(&t->line.key);
	t->line.title = route_title(t->arena, r);
	t->line.loc = r->loc;
	explain_say_match(&t->line.words, &r->subject);
	if (r->priority != 0)
		buf_printf(&t->line.words, ", priority %d", (int)r->priority);
	key_add_u32(&t->line.key, (uint32_t)r->priority);
	diff_add_match(&t->line.key, &r->subject);
	t->tell(t->ctx, &t->line);
	for (size_t kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
		const struct route_list *lists[] = {
		    &r->mandatory[kind], &r->defaults[kind]};

		for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
			for (size_t i = 0; i < lists[l]->count; i++)
				tell_rule(t, r, &lists[l]->rules[i]);
		}
	}
}

void
diff_routes_each(
    struct arena *arena, const struct model *m, diff_route_fn *tell, void *ctx)
{
	struct telling t = {.arena = arena, .tell = tell, .ctx = ctx};

	for (size_t i = 0; i < m->route_count; i++)
		tell_route(&t, m->routes[i]);
	buf_free(&t.line.words);
	buf_free(&t.line.key);
}
