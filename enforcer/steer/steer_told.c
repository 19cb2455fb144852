/*
 * Which ways there are to be, as the engine tells it: all of it is checked against the
 * configuration before any of it counts.
 */
#include <stdlib.h>
#include <string.h>

#include "enforcer/steer/steer_internal.h"

static bool
read_hop(struct proc_reader *r, struct steer_hop *out)
{
	for (unsigned f = 0; f < STEER_FAMILIES; f++) {
		bool has = proc_get_u8(r) != 0;
		const uint8_t *bytes = proc_get_bytes(r, sizeof(out->addr[f].bytes));

		if (bytes == NULL)
			return false;
		if (!has)
			continue;
		out->addr[f].family = steer_families[f];
		memcpy(out->addr[f].bytes, bytes, ip_bytes(steer_families[f]));
	}
	return true;
}

static bool
read_way(struct steer *s, struct proc_reader *r, struct steer_way *ways)
{
	uint32_t number = proc_get_u32(r);
	uint8_t kind = proc_get_u8(r);
	struct steer_way *way;

	if (!r->ok || kind >= WAY_KIND_COUNT || number == 0 ||
	    number > s->config->way_count || ways[number - 1].used)
		return false;
	way = &ways[number - 1];
	way->used = true;
	way->kind = (enum table_way_kind)kind;
	way->table = proc_get_u32(r);
	way->gateways = proc_get_u8(r) != 0;
	way->hop_count = proc_get_u8(r);
	if (!r->ok || way->hop_count > TABLE_HOPS_MAX ||
	    (way->table != 0) != (way->hop_count == 0) ||
	    (way->table != 0 && !steering_has_table(s->config, way->table)))
		return false;
	for (size_t i = 0; i < way->hop_count; i++) {
		if (!read_hop(r, &way->hops[i]))
			return false;
	}
	return true;
}

/* Gateways that matter for something else than a way. */
static bool
read_watched(struct proc_reader *r, struct ip_addr *out, size_t *out_count)
{
	uint32_t count = proc_get_u32(r);

	if (!r->ok || count > PROBE_TARGETS_MAX)
		return false;
	for (uint32_t i = 0; i < count; i++)
		out[i] = proc_get_ip(r);
	*out_count = count;
	return r->ok;
}

static void
add_watched(struct ip_addr *list, size_t *count, const struct ip_addr *addr)
{
	for (size_t i = 0; i < *count; i++) {
		if (ip_eq(&list[i], addr))
			return;
	}
	if (addr->family != 0 && *count < PROBE_TARGETS_MAX)
		list[(*count)++] = *addr;
}

static void
watch_gateways(struct steer *s, const struct steer_way *ways,
    const struct ip_addr *others, size_t other_count)
{
	struct ip_addr list[PROBE_TARGETS_MAX];
	size_t count = 0;

	for (size_t n = 0; n < TABLE_WAYS_MAX; n++) {
		for (size_t i = 0; ways[n].gateways && i < ways[n].hop_count; i++) {
			for (unsigned f = 0; f < STEER_FAMILIES; f++)
				add_watched(list, &count, &ways[n].hops[i].addr[f]);
		}
	}
	for (size_t i = 0; i < other_count; i++)
		add_watched(list, &count, &others[i]);
	probe_want(s->probe, list, count);
}

bool
steer_told(struct steer *s, const struct proc_msg *msg)
{
	struct steer_way *ways = xcalloc(TABLE_WAYS_MAX, sizeof(*ways));
	struct ip_addr watched[PROBE_TARGETS_MAX];
	size_t watched_count = 0;
	struct proc_reader r;
	bool settled, in_force, ok;
	uint32_t count;

	proc_reader_init(&r, msg);
	settled = proc_get_u8(&r) != 0;
	in_force = proc_get_u8(&r) != 0;
	count = proc_get_u32(&r);
	ok = r.ok && count <= s->config->way_count;
	for (uint32_t i = 0; ok && i < count; i++)
		ok = read_way(s, &r, ways);
	ok = ok && read_watched(&r, watched, &watched_count) && proc_reader_done(&r);
	if (ok) {
		if (settled) {
			watch_gateways(s, ways, watched, watched_count);
			probe_set_in_force(s->probe, in_force);
		}
		memcpy(s->ways, ways, sizeof(s->ways));
		memset(s->closed, 0, sizeof(s->closed));
		s->settled = settled;
		s->told = true;
	}
	free(ways);
	return ok;
}
