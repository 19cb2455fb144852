/*
 * TCP that was there before anybody tracked it. On a node's very first program conntrack
 * may never have seen the connections that go through it; their packets are held back
 * for a while, and those of connections that policy allows, in whichever direction they
 * were made, are made known to conntrack. Their next packet, sent again, is established.
 */
#include <string.h>

#include "common/log.h"
#include "enforcer/engine/engine_state.h"
#include "policy-lang/table/table_walk.h"

#define CLIENT_PORT 32768 /* where Linux takes them from unless told otherwise */
#define NEVER_MOST  65536 /* connections cut while others are adopted */

enum table_midstream
engine_adopt_midstream(const struct engine *e)
{
	const struct engine_adopt *a = &e->adopt;

	if (engine_cut_never(e))
		return MIDSTREAM_JUDGE;
	if (a->open || (a->fresh && e->settings.established.adopt_seconds != 0))
		return MIDSTREAM_HOLD;
	return MIDSTREAM_RESET;
}

static void
on_end(uv_timer_t *timer)
{
	struct engine *e = timer->data;

	e->adopt.open = false;
	map_fini(&e->adopt.never);
	e->adopt.never = (struct map){0};
	arena_reset(e->adopt.arena);
	log_info("adoption-ends", "adopted=%llu", (unsigned long long)e->adopt.adopted);
	engine_apply_step(e);
}

void
engine_adopt_committed(struct engine *e)
{
	struct engine_adopt *a = &e->adopt;

	if (!a->fresh)
		return;
	a->fresh = false;
	if (engine_adopt_midstream(e) != MIDSTREAM_RESET ||
	    e->settings.established.adopt_seconds == 0)
		return;
	a->open = true;
	if (uv_timer_start(&a->timer, on_end,
		e->settings.established.adopt_seconds * UINT64_C(1000), 0) != 0)
		base_die("cannot start a timer");
}

/* ---- what was cut ---- */

/* The ends of a connection, the same from either side. */
struct ends {
	uint8_t bytes[2 * (16 + 2)];
};

static struct ends
ends_of(const struct ip_addr *src, uint16_t src_port, const struct ip_addr *dst,
    uint16_t dst_port)
{
	int order = ip_cmp(src, dst);
	bool swap = order > 0 || (order == 0 && src_port > dst_port);
	struct ends ends;
	uint8_t *b = ends.bytes;

	memcpy(b, swap ? dst->bytes : src->bytes, 16);
	memcpy(b + 16, swap ? src->bytes : dst->bytes, 16);
	memcpy(b + 32, swap ? &dst_port : &src_port, 2);
	memcpy(b + 34, swap ? &src_port : &dst_port, 2);
	return ends;
}

static struct str
ends_text(const struct ends *ends)
{
	return (struct str){(const char *)ends->bytes, sizeof(ends->bytes)};
}

void
engine_adopt_never(struct engine *e, const struct connection *c)
{
	struct engine_adopt *a = &e->adopt;
	struct ends *ends;

	if (!a->open || a->never.len >= NEVER_MOST)
		return;
	ends = ARENA_NEW(a->arena, struct ends);
	*ends = ends_of(
	    &c->judged.src, c->judged.src_port, &c->judged.dst, c->judged.dst_port);
	(void)map_set(&a->never, ends_text(ends), ends); /* there, or new */
}

static bool
was_cut(const struct engine_adopt *a, const struct nflog_packet *p)
{
	struct ends ends = ends_of(&p->src, p->src_port, &p->dst, p->dst_port);

	/* With so many nobody knows. */
	return a->never.len >= NEVER_MOST ||
	       map_get(&a->never, ends_text(&ends)) != NULL;
}

/* ---- judging ---- */

static bool
allowed(const struct engine *e, const struct nflog_packet *p, bool backwards)
{
	const struct table_packet packet = {
	    .saddr = backwards ? p->dst : p->src,
	    .daddr = backwards ? p->src : p->dst,
	    .proto = p->proto,
	    .dport = backwards ? p->src_port : p->dst_port,
	    .hook = backwards ? engine_cut_hook(p->to_node, p->from_node)
			      : engine_cut_hook(p->from_node, p->to_node),
	};

	return program_walk(e->apply.current, &packet).accept;
}

/* ---- asking ---- */

static void ask(struct engine *e);

static void
on_adopted(struct engine *e, const struct proc_msg *answer, void *arg)
{
	struct proc_reader r = {.ok = false};
	struct str detail;
	uint32_t count;
	int code = ERR_UNAVAILABLE;

	(void)arg; /* one question at a time */
	e->adopt.asked = false;
	if (answer == NULL) /* their packets come again */
		return;
	proc_reader_init(&r, answer);
	code = (int)proc_get_u32(&r);
	count = proc_get_u32(&r);
	for (uint32_t i = 0; i < count && r.ok; i++)
		e->adopt.adopted += proc_get_u8(&r);
	detail = proc_get_str(&r);
	if (code != 0)
		log_error("adoption", "detail=%s", log_quote(detail));
	ask(e);
}

static void
ask(struct engine *e)
{
	struct engine_adopt *a = &e->adopt;
	struct err err = ERR_INIT;
	struct buf body = {0};

	if (a->asked || a->count == 0)
		return;
	connections_put(&body, a->waiting, a->count);
	a->count = 0;
	if (engine_kernel_ask(e, MSG_ADOPT, &body, -1, on_adopted, NULL, &err) == 0)
		a->asked = true;
	else
		log_error("kernel-link", "detail=%s", log_quote(str_from(err.msg)));
	buf_free(&body);
}

bool
engine_adopt_packet(struct engine *e, const struct nflog_packet *p)
{
	struct engine_adopt *a = &e->adopt;
	bool forwards, backwards;

	if (!a->open || !p->has_ports || was_cut(a, p))
		return false;
	/* Where one port alone is a client's, it is clear who began. */
	forwards = p->src_port >= CLIENT_PORT || p->dst_port < CLIENT_PORT;
	backwards = p->dst_port >= CLIENT_PORT || p->src_port < CLIENT_PORT;
	forwards = forwards && allowed(e, p, false);
	backwards = backwards && allowed(e, p, true);
	if (!forwards && !backwards)
		return false;
	/* If both may be: services have the lower ports. */
	if (forwards && backwards)
		backwards = p->src_port < p->dst_port;
	if (a->count < ENGINE_ADOPT_MOST) /* or it comes again */
		a->waiting[a->count++] = (struct connection){
		    .proto = p->proto,
		    .src = backwards ? p->dst : p->src,
		    .dst = backwards ? p->src : p->dst,
		    .src_port = backwards ? p->dst_port : p->src_port,
		    .dst_port = backwards ? p->src_port : p->dst_port,
		    .judged = {.src = p->src, .dst = p->dst},
		};
	ask(e);
	return true;
}

void
engine_adopt_init(struct engine *e)
{
	e->adopt.timer.data = e;
	e->adopt.arena = arena_new();
	if (uv_timer_init(&e->loop, &e->adopt.timer) != 0)
		base_die("cannot make a timer");
}

void
engine_adopt_fini(struct engine *e)
{
	uv_close((uv_handle_t *)&e->adopt.timer, NULL);
	map_fini(&e->adopt.never);
	arena_free(e->adopt.arena);
}
