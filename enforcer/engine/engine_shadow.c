/*
 * Dry run: what policies with `enforcement: audit` would deny. They are in a program of
 * their own, with all others, which is never put in force; the connections that conntrack
 * lists every few seconds are judged by it as well. Connections stay known for longer than
 * that when they have ended, so that none is missed, and packets pay nothing for it.
 */
#include <stdlib.h>
#include <string.h>

#include "enforcer/engine/engine_state.h"
#include "policy-lang/table/table_walk.h"

#define LIST_MS   5000
#define SEEN_MOST 1000000 /* connections told of that may still be there */

/* ---- connections told of already ---- */

struct told {
	uint32_t id;
	uint16_t src_port, dst_port;
};

static struct str
told_text(const struct told *t)
{
	return (struct str){(const char *)t, sizeof(*t)};
}

/* True the first time. What is there once more is kept for the next list. */
static bool
is_new(struct engine_shadow *s, const struct connection *c)
{
	const struct told key = {c->id, c->src_port, c->dst_port};
	bool known = map_get(&s->before.told, told_text(&key)) != NULL ||
		     map_get(&s->now.told, told_text(&key)) != NULL;
	struct told *t;

	if (s->now.told.len >= SEEN_MOST)
		return !known;
	t = ARENA_NEW(s->now.arena, struct told);
	*t = key;
	(void)map_set(&s->now.told, told_text(t), t); /* there, or new */
	return !known;
}

void
engine_shadow_listed(struct engine *e)
{
	struct engine_shadow *s = &e->shadow;
	struct shadow_seen swap = s->before;

	map_fini(&swap.told);
	swap.told = (struct map){0};
	arena_reset(swap.arena);
	s->before = s->now;
	s->now = swap;
}

/* ---- counts ---- */

static void
count_rule(struct engine_shadow *s, uint32_t number)
{
	for (size_t i = 0; i < s->count_len; i++) {
		if (s->counts[i].number == number) {
			s->counts[i].connections++;
			return;
		}
	}
	s->counts = xreallocarray(s->counts, s->count_len + 1, sizeof(*s->counts));
	s->counts[s->count_len++] = (struct shadow_count){number, 1};
}

/* ---- judging ---- */

void
engine_shadow_judge(struct engine *e, const struct connection *c)
{
	const struct program *p = e->apply.current;
	const struct table_packet first = engine_cut_first_packet(c);
	struct nflog_packet packet;
	struct table_verdict v;

	if (!program_has_shadow(p))
		return;
	v = program_shadow_walk(p, &first);
	if (v.accept || v.number_count == 0 || !is_new(&e->shadow, c))
		return;
	packet = engine_cut_record(c, v.numbers[v.number_count - 1]);
	packet.audit = true;
	e->shadow.denied++;
	count_rule(&e->shadow, packet.number);
	engine_flows_add(e, &packet);
}

/* ---- life ---- */

bool
engine_shadow_wanted(const struct engine *e)
{
	return e->apply.current != NULL && program_has_shadow(e->apply.current);
}

static void
on_timer(uv_timer_t *timer)
{
	struct engine *e = timer->data;

	if (engine_shadow_wanted(e))
		engine_cut_want(e, true);
}

void
engine_shadow_init(struct engine *e)
{
	e->shadow.before.arena = arena_new();
	e->shadow.now.arena = arena_new();
	e->shadow.timer.data = e;
	if (uv_timer_init(&e->loop, &e->shadow.timer) != 0 ||
	    uv_timer_start(&e->shadow.timer, on_timer, LIST_MS, LIST_MS) != 0)
		base_die("cannot start a timer");
}

void
engine_shadow_fini(struct engine *e)
{
	struct engine_shadow *s = &e->shadow;

	uv_close((uv_handle_t *)&s->timer, NULL);
	map_fini(&s->before.told);
	map_fini(&s->now.told);
	arena_free(s->before.arena);
	arena_free(s->now.arena);
	free(s->counts);
}
