#include "enforcer/control/way_report.h"

#include "common/prometheus.h"
#include "enforcer/engine/engine_state.h"

static const char *const states[STEER_STATE_COUNT] = {
    [STEER_UNUSED] = "unused",
    [STEER_GOES] = "goes",
    [STEER_DOWN] = "down",
    [STEER_NOT_ON_LINK] = "not-on-link",
    [STEER_REFUSED] = "refused",
    [STEER_SHARED] = "interface-shared",
};

/* "by": the next hop that is used. */
static void
add_outcome(struct buf *out, const struct engine *e, const struct table_way *way,
    unsigned family)
{
	const struct way_outcome *now = &e->ways.now[way->number - 1][family];
	char text[IP_TEXT_BYTES];

	buf_printf(out, ",\"ipv%u\":{\"state\":\"%s\"", family == 0 ? 4u : 6u,
	    states[now->state]);
	if (now->state == STEER_GOES && now->hop < way->hop_count) {
		const struct table_hop *hop = &way->hops[now->hop];

		buf_printf(out, ",\"by\":\"%s\"", ip_format(&hop->addr[family], text));
		if (hop->node.len != 0) {
			buf_add_cstr(out, ",\"gateway\":");
			buf_add_json(out, hop->node);
		}
	}
	buf_add_char(out, '}');
}

static void
add_ways(const struct engine *e, const struct table_content *content, struct buf *out)
{
	buf_add_cstr(out, ",\"ways\":[");
	for (size_t i = 0; i < content->way_count; i++) {
		const struct table_way *way = &content->ways[i];

		buf_printf(out, "%s{\"number\":%u,\"way\":", i != 0 ? "," : "",
		    (unsigned)way->number);
		buf_add_json(out, str_from(way->comment));
		for (unsigned f = 0; f < 2; f++)
			add_outcome(out, e, way, f);
		buf_add_char(out, '}');
	}
	buf_add_char(out, ']');
}

void
way_report_status(const struct engine *e, struct buf *out)
{
	struct arena *arena;
	struct table_content content;
	char text[IP_TEXT_BYTES];

	if (e->settings.steering.mask == 0 || e->apply.current == NULL)
		return;
	arena = arena_new();
	compile_state_ways(e->apply.current->real.state, arena, &content);
	add_ways(e, &content, out);
	arena_free(arena);
	buf_add_cstr(out, ",\"gateways\":[");
	for (size_t i = 0; i < e->ways.gateway_count; i++) {
		const struct gateway_state *g = &e->ways.gateways[i];

		buf_printf(out, "%s{\"node\":", i != 0 ? "," : "");
		buf_add_json(out, engine_ways_node(e, &g->addr));
		buf_printf(out, ",\"address\":\"%s\",\"up\":%s}",
		    ip_format(&g->addr, text), g->up ? "true" : "false");
	}
	buf_printf(
	    out, "],\"gatewayChanges\":%llu", (unsigned long long)e->ways.changes);
}

/* Ways that lead nowhere, each family for itself. */
static size_t
count_lost(const struct engine *e, size_t *out_all)
{
	struct arena *arena = arena_new();
	struct table_content content;
	size_t lost = 0;

	compile_state_ways(e->apply.current->real.state, arena, &content);
	for (size_t i = 0; i < content.way_count; i++) {
		for (unsigned f = 0; f < 2; f++) {
			enum steer_state state =
			    e->ways.now[content.ways[i].number - 1][f].state;

			lost += state != STEER_UNUSED && state != STEER_GOES;
		}
	}
	*out_all = content.way_count;
	arena_free(arena);
	return lost;
}

void
way_report_metrics(const struct engine *e, struct buf *out)
{
	char text[IP_TEXT_BYTES];
	size_t all, lost;

	if (e->settings.steering.mask == 0 || e->apply.current == NULL)
		return;
	lost = count_lost(e, &all);
	prometheus_add(out, "ringfence_ways", "gauge",
	    "Ways that routes in force send something by.", all);
	prometheus_add(out, "ringfence_ways_lost", "gauge",
	    "Ways that lead nowhere now, IPv4 and IPv6 each counted: what is sent by "
	    "them is lost.",
	    lost);
	prometheus_head(out, "ringfence_gateway_up", "gauge",
	    "1 if the gateway answers, and policy is in force there.");
	for (size_t i = 0; i < e->ways.gateway_count; i++) {
		const struct gateway_state *g = &e->ways.gateways[i];

		/* Names of nodes are names of DNS: nothing to escape. */
		buf_printf(out,
		    "ringfence_gateway_up{node=\"%.*s\",address=\"%s\"} %d\n",
		    STR_ARG(engine_ways_node(e, &g->addr)), ip_format(&g->addr, text),
		    g->up ? 1 : 0);
	}
	prometheus_add(out, "ringfence_gateway_changes_total", "counter",
	    "Times that a gateway went down or came up again.", e->ways.changes);
}
