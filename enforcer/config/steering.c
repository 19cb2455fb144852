#include "enforcer/config/steering.h"

uint32_t
steering_table(const struct steering *s, uint32_t way)
{
	return s->first_table + way - 1;
}

bool
steering_has_table(const struct steering *s, uint32_t table)
{
	for (size_t i = 0; i < s->table_count; i++) {
		if (table >= s->tables[i].first && table <= s->tables[i].last)
			return true;
	}
	return false;
}

bool
steering_equal(const struct steering *a, const struct steering *b)
{
	bool same = a->mask == b->mask && a->priority == b->priority &&
		    a->first_table == b->first_table && a->way_count == b->way_count &&
		    a->probe_port == b->probe_port && a->table_count == b->table_count;

	for (size_t i = 0; same && i < a->table_count; i++)
		same = a->tables[i].first == b->tables[i].first &&
		       a->tables[i].last == b->tables[i].last &&
		       str_eq(a->tables[i].subtree, b->tables[i].subtree);
	return same;
}

struct steering
steering_copy(struct arena *arena, const struct steering *from)
{
	struct steering copy = *from;

	copy.tables = route_tables_copy(arena, from->tables, from->table_count);
	return copy;
}

void
steering_encode(struct buf *out, const struct steering *s)
{
	proc_put_u32(out, s->mask);
	proc_put_u32(out, s->priority);
	proc_put_u32(out, s->first_table);
	proc_put_u32(out, s->way_count);
	proc_put_u16(out, s->probe_port);
	proc_put_u32(out, (uint32_t)s->table_count);
	for (size_t i = 0; i < s->table_count; i++) {
		proc_put_u32(out, s->tables[i].first);
		proc_put_u32(out, s->tables[i].last);
		proc_put_str(out, s->tables[i].subtree);
	}
}

void
steering_decode(struct arena *arena, struct proc_reader *r, struct steering *out)
{
	struct route_tables *tables;
	uint32_t count;

	out->mask = proc_get_u32(r);
	out->priority = proc_get_u32(r);
	out->first_table = proc_get_u32(r);
	out->way_count = proc_get_u32(r);
	out->probe_port = proc_get_u16(r);
	count = proc_get_u32(r);
	if (!r->ok || count > STEERING_TABLES_MAX ||
	    out->way_count > table_way_room(out->mask)) {
		r->ok = false;
		return;
	}
	tables = ARENA_ARRAY(arena, count, struct route_tables);
	for (uint32_t i = 0; i < count; i++) {
		tables[i].first = proc_get_u32(r);
		tables[i].last = proc_get_u32(r);
		tables[i].subtree = str_dup(arena, proc_get_str(r));
	}
	out->tables = tables;
	out->table_count = count;
}
