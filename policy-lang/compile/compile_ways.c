/*
 * Ways: by what next hop, nodes or table of the node's something leaves. Each has a number,
 * which packets bear in their marks; rules of the same words share one.
 */
#include "policy-lang/compile/compile_route.h"

#include <stdlib.h>
#include <string.h>

static void
put_name(struct buf *key, struct str name)
{
	key_add_u32(key, (uint32_t)name.len);
	buf_add_str(key, name);
}

/* Where it leads, and nothing else. */
static void
put_identity(struct buf *key, const struct table_way *way)
{
	buf_add_cstr(key, "way");
	if (way->kind != WAY_OUT)
		key_add_u32(key, way->kind);
	key_add_u32(key, way->table);
	for (size_t i = 0; i < way->hop_count; i++) {
		put_name(key, way->hops[i].node);
		for (unsigned f = 0; f < FAMILY_COUNT; f++) {
			const struct ip_addr *addr = &way->hops[i].addr[f];

			key_add_u32(key, addr->family);
			buf_add(key, addr->bytes, ip_bytes(family_of(f)));
		}
	}
}

static void
put_hop(struct buf *text, const struct table_hop *hop)
{
	char addr[IP_TEXT_BYTES];

	if (hop->node.len != 0) {
		buf_add_str(text, hop->node);
		return;
	}
	for (unsigned f = 0; f < FAMILY_COUNT; f++) {
		if (hop->addr[f].family == family_of(f))
			buf_printf(text, "%s%s",
			    f == 1 && hop->addr[0].family == IP_V4 ? ", " : "",
			    ip_format(&hop->addr[f], addr));
	}
}

static const char *
comment_of(struct arena *arena, const struct table_way *way)
{
	bool nodes = way->hop_count != 0 && way->hops[0].node.len != 0;
	struct buf text = {0};
	const char *comment;

	buf_printf(&text, "way %u: ", (unsigned)way->number);
	if (way->table != 0)
		buf_printf(&text, "table %u", (unsigned)way->table);
	else
		buf_add_cstr(&text, way->kind == WAY_VIA        ? "via node "
				    : way->kind == WAY_INSTANCE ? "via "
				    : nodes                     ? "gateway "
								: "next hop ");
	for (size_t i = 0; i < way->hop_count; i++) {
		buf_add_cstr(&text, i != 0 ? ", " : "");
		put_hop(&text, &way->hops[i]);
	}
	if (text.len > TABLE_COMMENT_BYTES)
		text.len = TABLE_COMMENT_BYTES;
	comment = arena_strndup(arena, text.data, text.len);
	buf_free(&text);
	return comment;
}

/* A number that is free: mostly the same whatever other ways there are. 0: none. */
static uint32_t
free_number(const struct compiler *c, struct str identity)
{
	uint32_t room = c->options->way_count;
	uint32_t n =
	    room == 0 ? 0
		      : (uint32_t)(map_siphash(UINT64_C(0x776179), 1, identity) % room);

	for (uint32_t i = 0; i < room; i++, n = (n + 1) % room) {
		if (c->ways[n].number == 0)
			return n + 1;
	}
	return 0;
}

const struct table_way *
ways_find(struct routes *r, const struct table_way *wanted)
{
	struct compiler *c = r->c;
	struct table_way *way;
	struct buf key = {0};

	put_identity(&key, wanted);
	way = map_get(&r->ways, buf_str(&key));
	if (way == NULL) {
		uint32_t number = free_number(c, buf_str(&key));

		if (number != 0) {
			way = &c->ways[number - 1];
			*way = *wanted;
			way->number = number;
			way->comment = comment_of(c->scratch, way);
			(void)map_set(
			    &r->ways, str_dup(r->arena, buf_str(&key)), way); /* new */
			chains_set_way(c, NUMBER_WAY + number, way);
		}
	}
	buf_free(&key);
	return way;
}

/* The first of each family. */
static void
set_addresses(struct table_hop *hop, const struct ip_addr *ips, size_t count)
{
	for (size_t i = count; i > 0; i--)
		hop->addr[family_index(ips[i - 1].family)] = ips[i - 1];
}

struct table_hop *
ways_hops(struct routes *r, const struct node *const *nodes, size_t count)
{
	struct table_hop *hops = ARENA_ARRAY(r->c->scratch, count, struct table_hop);

	for (size_t i = 0; i < count; i++) {
		hops[i].node = str_dup(r->c->scratch, nodes[i]->name);
		set_addresses(&hops[i], nodes[i]->ips, nodes[i]->ip_count);
	}
	return hops;
}

struct table_hop *
ways_hop_of(struct routes *r, const struct workload *w)
{
	struct table_hop *hop = ARENA_NEW(r->c->scratch, struct table_hop);

	set_addresses(hop, w->ips, w->ip_count);
	return hop;
}

void
ways_stand_by(struct routes *r, const struct route_rule *rule,
    const struct node *const *before, size_t count)
{
	struct compiler *c = r->c;
	const struct table_hop *hops = ways_hops(r, before, count);

	for (size_t i = 0; i < rule->source_count; i++) {
		if (c->standby_count == c->standby_cap) {
			c->standby_cap = c->standby_cap == 0 ? 16 : 2 * c->standby_cap;
			c->standbys = xreallocarray(
			    c->standbys, c->standby_cap, sizeof(*c->standbys));
		}
		c->standbys[c->standby_count++] =
		    (struct table_standby){rule->sources[i], hops, count,
			rule->gateway_count != 0 || rule->gateway_selector != NULL};
	}
}

uint32_t
ways_end(struct routes *r, const struct table_way *way)
{
	struct buf key = {0};
	uint32_t *id;

	buf_add_cstr(&key, "via");
	key_add_u32(&key, way->number);
	id = map_get(&r->ends, buf_str(&key));
	if (id == NULL) {
		id = ARENA_NEW(r->arena, uint32_t);
		*id = routes_new_id(r, buf_str(&key));
		(void)map_set(&r->ends, str_dup(r->arena, buf_str(&key)), id); /* new */
		ways_lead(r, *id, way);
		if (way->kind == WAY_INSTANCE)
			emit(r->c, SET_VIA_HERE,
			    &(struct table_element){.class_id = *id, .loc = way->loc});
	}
	buf_free(&key);
	return *id;
}

void
ways_lead(struct routes *r, uint32_t id, const struct table_way *way)
{
	struct table_element e = {.class_id = id, .value = NUMBER_WAY + way->number};

	e.loc = chains_use(r->c, e.value);
	emit(r->c, SET_WAYS, &e);
}

void
ways_name(struct compiler *c)
{
	c->ways = ARENA_ARRAY(c->scratch, c->options->way_count, struct table_way);
	for (uint32_t i = 0; i < c->options->way_count; i++)
		chains_add(c, &(struct verdict_number){.number = NUMBER_WAY + i + 1});
}

static struct table_hop *
copy_hops(struct arena *arena, const struct table_hop *hops, size_t count)
{
	struct table_hop *copy = ARENA_ARRAY(arena, count, struct table_hop);

	for (size_t i = 0; i < count; i++) {
		copy[i] = hops[i];
		copy[i].node = str_dup(arena, hops[i].node);
	}
	return copy;
}

static struct table_way
copy_way(struct arena *arena, const struct table_way *way)
{
	struct table_way copy = *way;

	copy.hops = copy_hops(arena, way->hops, way->hop_count);
	copy.comment = arena_strdup(arena, way->comment);
	return copy;
}

void
ways_give(const struct compiler *c, struct arena *arena, struct table_content *out)
{
	uint32_t room = c->ways == NULL ? 0 : c->options->way_count;
	struct table_way *ways = ARENA_ARRAY(arena, room, struct table_way);
	struct table_standby *standbys =
	    ARENA_ARRAY(arena, c->standby_count, struct table_standby);
	size_t count = 0;

	for (uint32_t i = 0; i < room; i++) {
		if (c->ways[i].number != 0)
			ways[count++] = copy_way(arena, &c->ways[i]);
	}
	for (size_t i = 0; i < c->standby_count; i++) {
		standbys[i] = c->standbys[i];
		standbys[i].before =
		    copy_hops(arena, standbys[i].before, standbys[i].before_count);
	}
	out->standbys = standbys;
	out->standby_count = c->standby_count;
	out->ways = ways;
	out->way_count = count;
}
