/*
 * Ways of the programs that come and go: what the kernel role is told of them, and what it
 * says has become of them.
 */
#include <stdlib.h>

#include "common/log.h"
#include "enforcer/engine_state.h"

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
	proc_put_u32(body, way->table);
	proc_put_u8(body, way->hop_count != 0 && way->hops[0].node.len != 0);
	proc_put_u8(body, (uint8_t)way->hop_count);
	for (size_t i = 0; i < way->hop_count; i++)
		put_hop(body, &way->hops[i]);
}

static void
tell(struct engine *e, const struct program *p, bool settled)
{
	struct arena *arena = arena_new();
	const struct table_way *ways;
	struct err err = ERR_INIT;
	struct buf body = {0};
	size_t count;

	compile_state_ways(p->real.state, arena, &ways, &count);
	proc_put_u8(&body, settled);
	proc_put_u32(&body, (uint32_t)count);
	for (size_t i = 0; i < count; i++)
		put_way(&body, &ways[i]);
	/* What there never was need not be told to be gone; but an earlier run may have
	 * left something. */
	if ((count != 0 || e->ways.told || settled) && engine_kernel_connected(e) &&
	    link_send(&e->kernel.channel, MSG_WAYS, 0, &body, -1, &err) != 0)
		log_error("kernel-link", "detail=%s", log_quote(str_from(err.msg)));
	e->ways.told |= count != 0;
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

bool
engine_ways_heard(struct engine *e, struct proc_reader *r)
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
	return proc_reader_done(r);
}
