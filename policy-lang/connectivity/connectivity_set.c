/*
 * Algebra of sets of connections, and their text. The text's grammar is that of the
 * static tools of the field, which know TCP, UDP and SCTP alone: to them all of these
 * three is "All Connections". The other protocols are spelt out only in a pool that
 * is `wide`.
 */
#include "policy-lang/connectivity/connectivity_set.h"

#include <string.h>

#include "policy-lang/model/label_index.h"
#include "policy-lang/model/model.h"

#define PORT_MAX 65535

static const struct port_range every_port = {1, PORT_MAX};

static const char *const proto_texts[CONN_PROTO_COUNT] = {
    [CONN_SCTP] = "SCTP",
    [CONN_TCP] = "TCP",
    [CONN_UDP] = "UDP",
};

static const struct {
	enum conn_rest bit;
	const char *text;
} rest_texts[] = {
    {CONN_ICMP, "ICMP"},
    {CONN_ICMPV6, "ICMPv6"},
    {CONN_OTHER, "OTHER"},
};

void
conn_pool_init(struct conn_pool *pool, struct arena *arena, bool wide)
{
	*pool = (struct conn_pool){.arena = arena, .wide = wide};
}

void
conn_pool_fini(struct conn_pool *pool)
{
	map_fini(&pool->sets);
	map_fini(&pool->meets);
}

/* ---- text ---- */

static bool
ports_full(const struct conn_ports *ports)
{
	return ports->count == 1 && ports->items[0].lo <= 1 &&
	       ports->items[0].hi == PORT_MAX;
}

static bool
is_all(const struct conn_pool *pool, const struct conn_set *set)
{
	for (size_t i = 0; i < CONN_PROTO_COUNT; i++) {
		if (!ports_full(&set->ports[i]))
			return false;
	}
	return !pool->wide || set->rest == set->possible;
}

static void
add_item(struct buf *text, const char *item)
{
	if (text->len > 0)
		buf_add_char(text, ',');
	buf_add_cstr(text, item);
}

static void
add_ports(struct buf *text, const char *proto, const struct conn_ports *ports)
{
	for (size_t i = 0; i < ports->count; i++) {
		const struct port_range *r = &ports->items[i];

		add_item(text, i == 0 ? proto : "");
		if (i == 0)
			buf_add_char(text, ' ');
		buf_printf(text, "%u", (unsigned)r->lo);
		if (r->hi > r->lo)
			buf_printf(text, "-%u", (unsigned)r->hi);
	}
}

/* Protocols in alphabetical order, what has no ports included. */
static const char *
set_text(const struct conn_pool *pool, const struct conn_set *set)
{
	struct buf text = {0};
	const char *copy = NULL;

	if (is_all(pool, set))
		return "All Connections";
	if (pool->wide) {
		for (size_t i = 0; i < ARRAY_LEN(rest_texts); i++) {
			if ((set->rest & rest_texts[i].bit) != 0)
				add_item(&text, rest_texts[i].text);
		}
	}
	for (size_t i = 0; i < CONN_PROTO_COUNT; i++)
		add_ports(&text, proto_texts[i], &set->ports[i]);
	if (text.len > 0)
		copy = arena_strndup(pool->arena, text.data, text.len);
	buf_free(&text);
	return copy;
}

/* ---- interning ---- */

static void
set_key(struct buf *key, const struct conn_set *set)
{
	key_add_u32(key, set->rest);
	key_add_u32(key, set->possible);
	for (size_t i = 0; i < CONN_PROTO_COUNT; i++) {
		key_add_u32(key, (uint32_t)set->ports[i].count);
		buf_add(key, set->ports[i].items,
		    set->ports[i].count * sizeof(struct port_range));
	}
}

static struct conn_ports
copy_ports(struct arena *arena, const struct conn_ports *ports)
{
	struct port_range *items = ARENA_ARRAY(arena, ports->count, struct port_range);

	for (size_t i = 0; i < ports->count; i++)
		items[i] = ports->items[i];
	return (struct conn_ports){items, ports->count};
}

const struct conn_set *
conn_set_intern(struct conn_pool *pool, const struct conn_set *set)
{
	struct buf key = {0};
	struct conn_set *own;

	set_key(&key, set);
	own = map_get(&pool->sets, buf_str(&key));
	if (own == NULL) {
		own = ARENA_NEW(pool->arena, struct conn_set);
		*own = *set;
		for (size_t i = 0; i < CONN_PROTO_COUNT; i++)
			own->ports[i] = copy_ports(pool->arena, &set->ports[i]);
		own->text = set_text(pool, own);
		(void)map_set(
		    &pool->sets, str_dup(pool->arena, buf_str(&key)), own); /* new */
	}
	buf_free(&key);
	return own;
}

static const struct conn_set *
uniform(
    struct conn_pool *pool, struct conn_ports ports, unsigned rest, unsigned possible)
{
	struct conn_set set = {.rest = rest, .possible = possible};

	for (size_t i = 0; i < CONN_PROTO_COUNT; i++)
		set.ports[i] = ports;
	return conn_set_intern(pool, &set);
}

const struct conn_set *
conn_set_none(struct conn_pool *pool, unsigned possible)
{
	return uniform(pool, (struct conn_ports){0}, 0, possible);
}

const struct conn_set *
conn_set_all(struct conn_pool *pool, unsigned possible)
{
	return uniform(pool, (struct conn_ports){&every_port, 1}, possible, possible);
}

/* ---- algebra ---- */

/* The result of two lists has at most as many ranges as both together. */
static struct conn_ports
meet_ports(struct arena *arena, const struct conn_ports *a, const struct conn_ports *b)
{
	struct port_range *out =
	    ARENA_ARRAY(arena, a->count + b->count, struct port_range);
	size_t i = 0, j = 0, count = 0;

	while (i < a->count && j < b->count) {
		const struct port_range *x = &a->items[i];
		const struct port_range *y = &b->items[j];
		uint16_t lo = x->lo > y->lo ? x->lo : y->lo;
		uint16_t hi = x->hi < y->hi ? x->hi : y->hi;

		if (lo <= hi)
			out[count++] = (struct port_range){lo, hi};
		if (x->hi < y->hi)
			i++;
		else
			j++;
	}
	return (struct conn_ports){out, count};
}

static struct conn_ports
join_ports(struct arena *arena, const struct conn_ports *a, const struct conn_ports *b)
{
	struct port_range *out =
	    ARENA_ARRAY(arena, a->count + b->count, struct port_range);
	size_t i = 0, j = 0, count = 0;

	while (i < a->count || j < b->count) {
		bool take_a =
		    j == b->count || (i < a->count && a->items[i].lo <= b->items[j].lo);
		struct port_range r = take_a ? a->items[i++] : b->items[j++];

		if (count > 0 && r.lo <= (uint32_t)out[count - 1].hi + 1) {
			if (r.hi > out[count - 1].hi)
				out[count - 1].hi = r.hi;
		} else {
			out[count++] = r;
		}
	}
	return (struct conn_ports){out, count};
}

/* Pairs repeat far more often than sets: `list` meets the same two for every pair of
 * workloads of two profiles. */
const struct conn_set *
conn_set_meet(
    struct conn_pool *pool, const struct conn_set *a, const struct conn_set *b)
{
	const struct conn_set *pair[2] = {a, b};
	struct str key = {(const char *)pair, sizeof(pair)};
	struct conn_set set = {
	    .rest = a->rest & b->rest,
	    .possible = a->possible & b->possible,
	};
	const struct conn_set **kept;

	if (a == b)
		return a;
	kept = map_get(&pool->meets, key);
	if (kept != NULL)
		return *kept;
	for (size_t i = 0; i < CONN_PROTO_COUNT; i++)
		set.ports[i] = meet_ports(pool->arena, &a->ports[i], &b->ports[i]);
	kept = ARENA_NEW(pool->arena, const struct conn_set *);
	*kept = conn_set_intern(pool, &set);
	(void)map_set(&pool->meets, str_dup(pool->arena, key), kept); /* new */
	return *kept;
}

const struct conn_set *
conn_set_join(
    struct conn_pool *pool, const struct conn_set *a, const struct conn_set *b)
{
	struct conn_set set = {
	    .rest = a->rest | b->rest,
	    .possible = a->possible | b->possible,
	};

	if (a == b)
		return a;
	for (size_t i = 0; i < CONN_PROTO_COUNT; i++)
		set.ports[i] = join_ports(pool->arena, &a->ports[i], &b->ports[i]);
	return conn_set_intern(pool, &set);
}

/* Both lists are sorted: each cut is looked at by the ranges that it may touch alone. */
static struct conn_ports
minus_ports(struct arena *arena, const struct conn_ports *a, const struct conn_ports *b)
{
	struct port_range *out =
	    ARENA_ARRAY(arena, a->count + b->count, struct port_range);
	size_t count = 0, j = 0;

	for (size_t i = 0; i < a->count; i++) {
		uint32_t lo = a->items[i].lo, hi = a->items[i].hi;

		while (j < b->count && b->items[j].hi < lo)
			j++;
		for (size_t k = j; k < b->count && b->items[k].lo <= hi; k++) {
			if (b->items[k].lo > lo)
				out[count++] = (struct port_range){
				    (uint16_t)lo, (uint16_t)(b->items[k].lo - 1)};
			lo = (uint32_t)b->items[k].hi + 1;
		}
		if (lo <= hi)
			out[count++] = (struct port_range){(uint16_t)lo, (uint16_t)hi};
	}
	return (struct conn_ports){out, count};
}

const struct conn_set *
conn_set_minus(
    struct conn_pool *pool, const struct conn_set *a, const struct conn_set *b)
{
	struct conn_set set = {
	    .rest = a->rest & ~b->rest,
	    .possible = a->possible,
	};

	for (size_t i = 0; i < CONN_PROTO_COUNT; i++)
		set.ports[i] = minus_ports(pool->arena, &a->ports[i], &b->ports[i]);
	return conn_set_intern(pool, &set);
}

bool
conn_set_empty(const struct conn_set *set)
{
	for (size_t i = 0; i < CONN_PROTO_COUNT; i++) {
		if (set->ports[i].count > 0)
			return false;
	}
	return set->rest == 0;
}

const struct conn_set *
conn_set_point(struct conn_pool *pool, uint8_t proto, uint16_t port)
{
	static const uint8_t protos[CONN_PROTO_COUNT] = {
	    [CONN_SCTP] = PROTO_SCTP,
	    [CONN_TCP] = PROTO_TCP,
	    [CONN_UDP] = PROTO_UDP,
	};
	const struct port_range range = {port, port};
	struct conn_set set = {.possible = CONN_ICMP | CONN_ICMPV6 | CONN_OTHER};

	if (proto == PROTO_ICMP)
		set.rest = CONN_ICMP;
	else if (proto == PROTO_ICMPV6)
		set.rest = CONN_ICMPV6;
	for (size_t i = 0; i < CONN_PROTO_COUNT; i++) {
		if (protos[i] == proto)
			set.ports[i] = (struct conn_ports){&range, 1};
	}
	return conn_set_intern(pool, &set);
}

void
conn_pool_widen(struct conn_pool *pool)
{
	if (pool->wide)
		return;
	pool->wide = true;
	for (size_t i = 0; i < pool->sets.len; i++) {
		struct conn_set *set = pool->sets.entries[i].value;

		set->text = set_text(pool, set);
	}
}
