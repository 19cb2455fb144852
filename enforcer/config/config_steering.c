/*
 * steering: what the daemon may use to send what leaves another way.
 */
#include "enforcer/config/config_internal.h"

#include "enforcer/config/steering.h"

#define DEFAULT_PROBE_PORT 9479
/* The kernel's own: main, local, and default before them. */
#define TABLE_DEFAULT 253
#define TABLE_LOCAL   255
#define PRIORITY_MAIN 32766 /* of the kernel's rule for its main table */

static bool
parse_table(struct str text, uint32_t *out)
{
	uint64_t value;

	if (!str_to_u64(text, UINT32_MAX, &value))
		return false;
	*out = (uint32_t)value;
	return true;
}

static void
read_mark(struct config_reader *r, const struct doc_node *n, struct steering *out)
{
	if (!table_mask_parse(n->text, &out->mask))
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "\"%.*s\" is no mask of bits side by side: write it as 0x0ff00000",
		    STR_ARG(n->text));
}

/* "100" or "100-199", none of them the kernel's. */
static bool
read_range(
    struct config_reader *r, const struct doc_node *n, uint32_t *first, uint32_t *last)
{
	size_t dash = str_find(n->text, '-', 0);
	struct str to = n->text;

	if (dash < n->text.len)
		to = str_slice(n->text, dash + 1, n->text.len);
	if (!parse_table(str_slice(n->text, 0, dash), first) ||
	    !parse_table(to, last) || *first == 0 || *last < *first ||
	    (*first <= TABLE_LOCAL && *last >= TABLE_DEFAULT)) {
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "\"%.*s\" are no tables of routes: write them as 100-199, without "
		    "%d to %d, which are the kernel's",
		    STR_ARG(n->text), TABLE_DEFAULT, TABLE_LOCAL);
		return false;
	}
	return true;
}

static void
read_tables(struct config_reader *r, const struct doc_node *n, struct route_tables *out)
{
	enum {
		TABLES,
		NAMESPACE,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [TABLES] = {"tables", TYPE_STRING | TYPE_INT, true, NULL},
	    [NAMESPACE] = {"namespace", TYPE_STRING, false, NULL},
	};
	static const struct schema schema = SCHEMA("routeTables", fields);
	const struct doc_node *v[COUNT];

	config_fields(r, &schema, n, v);
	if (v[TABLES] != NULL)
		(void)read_range(r, v[TABLES], &out->first, &out->last); /* was told */
	out->subtree = v[NAMESPACE] != NULL ? v[NAMESPACE]->text : STR("/");
	if (v[NAMESPACE] != NULL)
		config_subtree(r, v[NAMESPACE]);
}

static void
read_route_tables(
    struct config_reader *r, const struct doc_node *n, struct steering *out)
{
	struct route_tables *tables =
	    ARENA_ARRAY(r->arena, n->count, struct route_tables);
	uint32_t last = out->first_table + out->way_count - 1;

	if (n->count > STEERING_TABLES_MAX) {
		diag_error(r->diags, CONFIG_VALUE, n->loc,
		    "at most %d ranges of tables are possible", STEERING_TABLES_MAX);
		return;
	}
	for (uint32_t i = 0; i < n->count; i++) {
		read_tables(r, n->u.items[i], &tables[i]);
		if (tables[i].first <= last && tables[i].last >= out->first_table)
			diag_error(r->diags, CONFIG_VALUE, n->u.items[i]->loc,
			    "tables %u to %u are the daemon's own",
			    (unsigned)out->first_table, (unsigned)last);
	}
	out->tables = tables;
	out->table_count = n->count;
}

/* As many ways as there are both numbers and tables for. */
static void
read_own_tables(struct config_reader *r, const struct doc_node *n, struct steering *out)
{
	uint32_t room = table_way_room(out->mask), last;

	if (!read_range(r, n, &out->first_table, &last))
		return;
	out->way_count =
	    last - out->first_table < room ? last - out->first_table + 1 : room;
}

void
config_read_steering(struct config_reader *r, const struct doc_node *n)
{
	enum {
		MARK,
		PRIORITY,
		TABLES,
		ROUTE_TABLES,
		PROBE_PORT,
		COUNT
	};
	static const struct schema_field fields[] = {
	    [MARK] = {"mark", TYPE_STRING | TYPE_INT, true, NULL},
	    [PRIORITY] = {"priority", TYPE_INT, true, NULL},
	    [TABLES] = {"tables", TYPE_STRING | TYPE_INT, true, NULL},
	    [ROUTE_TABLES] = {"routeTables", TYPE_LIST, false, NULL},
	    [PROBE_PORT] = {"probePort", TYPE_INT, false, NULL},
	};
	static const struct schema schema = SCHEMA("steering", fields);
	struct steering *s = &r->config->steering;
	const struct doc_node *v[COUNT];
	int64_t number;

	config_fields(r, &schema, n, v);
	s->probe_port = DEFAULT_PROBE_PORT;
	if (v[MARK] != NULL)
		read_mark(r, v[MARK], s);
	if (v[PRIORITY] != NULL && schema_int(r->diags, v[PRIORITY], "priority", 2,
				       PRIORITY_MAIN - 2, &number))
		s->priority = (uint32_t)number;
	if (v[PROBE_PORT] != NULL &&
	    schema_int(r->diags, v[PROBE_PORT], "probePort", 1, UINT16_MAX, &number))
		s->probe_port = (uint16_t)number;
	if (v[TABLES] != NULL)
		read_own_tables(r, v[TABLES], s);
	if (v[ROUTE_TABLES] != NULL)
		read_route_tables(r, v[ROUTE_TABLES], s);
}
