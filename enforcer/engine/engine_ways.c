/*
 * Ways of the programs that come and go: what the kernel role is told of them, and what it
 * says has become of them.
 */
#include <stdlib.h>
#include <string.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"

static void
put_hop(struct buf *body, const struct table_hop *hop)
{
	for (unsigned f = 0; f < ARRAY_LEN(hop->addr); f++) {
		proc_put_u8(body, hop->addr[f].family != 0);
		buf_add(body, hop->addr[f].bytes, sizeof(hop->addr[f].bytes));
	}
}

static void
put_way(struct buf *body, const struct table_way *way)
{
	proc_put_u32(body, way->number);
	proc_put_u8(body, (uint8_t)way->kind);
	proc_put_u32(body, way->table);
	proc_put_u8(body, way->hop_count != 0 && way->hops[0].node.len != 0);
	proc_put_u8(body, (uint8_t)way->hop_count);
	for (size_t i = 0; i < way->hop_count; i++)
		put_hop(body, &way->hops[i]);
}

/* Those before us, where we stand by. */
static void
put_watched(struct buf *body, const struct table_content *content)
{
	struct buf list = {0};
	uint32_t count = 0;

	for (size_t i = 0; i < content->standby_count; i++) {
		const struct table_standby *s = &content->standbys[i];

		for (size_t j = 0; j < 2 * s->before_count; j++) {
			const struct ip_addr *addr = &s->before[j / 2].addr[j % 2];

			if (addr->family == 0 || count == PROBE_TARGETS_MAX)
				continue;
			proc_put_ip(&list, addr);
			count++;
		}
	}
	proc_put_u32(body, count);
	buf_add_str(body, buf_str(&list));
	buf_free(&list);
}

static void
tell(struct engine *e, const struct program *p, bool settled)
{
	struct arena *arena = arena_new();
	struct table_content content;
	struct err err = ERR_INIT;
	struct buf body = {0};

	compile_state_ways(p->real.state, arena, &content);
	proc_put_u8(&body, settled);
	proc_put_u8(&body, !p->skeleton);
	proc_put_u32(&body, (uint32_t)content.way_count);
	for (size_t i = 0; i < content.way_count; i++)
		put_way(&body, &content.ways[i]);
	put_watched(&body, &content);
	/* What there never was need not be told to be gone; but an earlier run may have
	 * left something. */
	if ((content.way_count != 0 || e->ways.told || settled) &&
	    engine_kernel_connected(e) &&
	    link_send(&e->kernel.channel, MSG_WAYS, 0, &body, -1, &err) != 0)
		log_error("kernel-link", "detail=%s", log_quote(str_from(err.msg)));
	e->ways.told |= content.way_count != 0;
	buf_free(&body);
	arena_free(arena);
}

void
engine_ways_prepare(struct engine *e, const struct program *next)
{
	tell(e, next, false);
}

void
engine_ways_settle(struct engine *e)
{
	if (e->apply.current != NULL)
		tell(e, e->apply.current, true);
}

/* ---- what has become of them ---- */

static const struct gateway_state *
find_gateway(const struct engine *e, const struct ip_addr *addr)
{
	for (size_t i = 0; i < e->ways.gateway_count; i++) {
		if (ip_eq(&e->ways.gateways[i].addr, addr))
			return &e->ways.gateways[i];
	}
	return NULL;
}

struct str
engine_ways_node(const struct engine *e, const struct ip_addr *addr)
{
	const struct program *p = e->apply.current;
	const struct node *node = p == NULL ? NULL : model_node_at(p->model, addr);

	return node == NULL ? STR("") : node->name;
}

/* A failover, or its end: told, counted, and on record. */
static void
gateway_changed(struct engine *e, const struct gateway_state *now)
{
	char text[IP_TEXT_BYTES];
	struct str node = engine_ways_node(e, &now->addr);

	(void)ip_format(&now->addr, text);
	e->ways.changes++;
	log_write(now->up ? LOG_INFO : LOG_WARN,
	    now->up ? "gateway-up" : "gateway-down", "node=%s address=%s",
	    log_quote(node), text);
	engine_audit_gateway(e, node, text, now->up);
}

static bool
read_gateways(struct engine *e, struct proc_reader *r)
{
	uint32_t count = proc_get_u32(r);
	struct gateway_state list[PROBE_TARGETS_MAX];

	if (!r->ok || count > PROBE_TARGETS_MAX)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		list[i] = (struct gateway_state){.addr = proc_get_ip(r)};
		list[i].up = proc_get_u8(r) != 0;
	}
	if (!r->ok)
		return false;
	for (uint32_t i = 0; i < count; i++) {
		const struct gateway_state *before = find_gateway(e, &list[i].addr);

		/* One that is new is taken for up. */
		if (list[i].up != (before == NULL || before->up))
			gateway_changed(e, &list[i]);
	}
	memcpy(e->ways.gateways, list, count * sizeof(*list));
	e->ways.gateway_count = count;
	return true;
}

static bool
read_ways(struct engine *e, struct proc_reader *r)
{
	uint32_t count = proc_get_u32(r);

	for (uint32_t i = 0; r->ok && i < count; i++) {
		uint32_t number = proc_get_u32(r);

		if (number == 0 || number > TABLE_WAYS_MAX)
			return false;
		for (unsigned f = 0; f < 2; f++) {
			struct way_outcome *now = &e->ways.now[number - 1][f];
			uint8_t state = proc_get_u8(r);

			if (state >= STEER_STATE_COUNT)
				return false;
			now->state = (enum steer_state)state;
			now->hop = proc_get_u8(r);
		}
	}
	return r->ok;
}

bool
engine_ways_heard(struct engine *e, struct proc_reader *r)
{
	if (!read_ways(e, r) || !read_gateways(e, r) || !proc_reader_done(r))
		return false;
	engine_routes_tell(e);
	return true;
}

/* Whether all gateways before us are down. */
static bool
is_our_turn(const struct engine *e, const struct table_standby *s)
{
	unsigned f = s->sources.addr.family == IP_V4 ? 0 : 1;

	for (size_t i = 0; i < s->before_count; i++) {
		const struct gateway_state *g;

		if (s->before[i].addr[f].family == 0)
			continue; /* nobody sends this family there */
		g = find_gateway(e, &s->before[i].addr[f]);
		if (g == NULL || g->up)
			return false;
	}
	return true;
}

bool
engine_ways_have(const struct engine *e, const struct table_content *content,
    const struct ip_addr *source, bool *out_shared)
{
	bool known = false, ours = false;

	for (size_t i = 0; i < content->standby_count; i++) {
		const struct table_standby *s = &content->standbys[i];

		if (!ip_in_prefix(source, &s->sources))
			continue;
		known = true;
		ours |= is_our_turn(e, s);
		*out_shared |= s->shared;
	}
	return ours || !known;
}
