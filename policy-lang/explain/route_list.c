#include "policy-lang/explain/route_list.h"

#include "policy-lang/connectivity/connectivity_text.h"
#include "policy-lang/explain/explain_internal.h"
#include "policy-lang/explain/route_words.h"

/* The columns, which are JSON's keys, too. */
enum column {
	COL_LEVEL,
	COL_ROUTE,
	COL_PHASE,
	COL_KIND,
	COL_RULE,
	COL_ACTION,
	COL_WORKLOADS,
	COL_MATCH,
	COL_EFFECT,
	COL_PLACE,
	COL_COUNT
};

static const char *const column_names[COL_COUNT] = {
    [COL_LEVEL] = "level",
    [COL_ROUTE] = "route",
    [COL_PHASE] = "phase",
    [COL_KIND] = "kind",
    [COL_RULE] = "rule",
    [COL_ACTION] = "action",
    [COL_WORKLOADS] = "workloads",
    [COL_MATCH] = "match",
    [COL_EFFECT] = "effect",
    [COL_PLACE] = "place",
};

struct row {
	struct route_found found;
	struct buf columns[COL_COUNT];
};

struct listing {
	struct arena *arena;
	struct buf *out;
	enum connectivity_format format;
	struct row row; /* its texts are used again */
	bool any;
};

/* ---- one row ---- */

static void
fill_row(struct listing *l, struct route_found found)
{
	struct buf *c = l->row.columns;
	const struct route_rule *rule = found.rule;

	for (size_t i = 0; i < COL_COUNT; i++)
		buf_clear(&c[i]);
	l->row.found = found;
	buf_add_str(&c[COL_LEVEL], found.route->level->path);
	buf_add_str(&c[COL_ROUTE], found.route->name);
	buf_add_cstr(&c[COL_PHASE], phase_name(rule->phase));
	buf_add_cstr(&c[COL_KIND], route_kind_name(rule->kind));
	if (rule->name.len > 0)
		buf_add_str(&c[COL_RULE], rule->name);
	else
		buf_printf(&c[COL_RULE], "%u", (unsigned)rule->index);
	buf_add_cstr(&c[COL_ACTION], route_action_name(rule->kind, rule->action));
	explain_say_match(&c[COL_WORKLOADS], &found.route->subject);
	route_say_reach(&c[COL_MATCH], rule);
	route_say_effect(&c[COL_EFFECT], rule);
	buf_add_cstr(&c[COL_PLACE], loc_text(l->arena, rule->loc));
}

/* "/acme/shop/web default egress pay: route to ..., source ... (file:1:2)", and whose. */
static void
print_txt(struct listing *l)
{
	const struct buf *c = l->row.columns;

	buf_printf(l->out, "%s %s %s: %s %s", c[COL_PHASE].data, c[COL_KIND].data,
	    c[COL_RULE].data, c[COL_ACTION].data, c[COL_MATCH].data);
	if (c[COL_EFFECT].len > 0)
		buf_printf(l->out, ": %s", c[COL_EFFECT].data);
	buf_printf(l->out, "\n    for %s, by %s (%s)\n", c[COL_WORKLOADS].data,
	    route_title(l->arena, l->row.found.route), c[COL_PLACE].data);
}

static void
print_json(struct listing *l)
{
	buf_add_cstr(l->out, l->any ? ",\n {" : "\n {");
	for (size_t i = 0; i < COL_PLACE; i++) {
		explain_json_member(
		    l->out, column_names[i], buf_str(&l->row.columns[i]));
		buf_add_cstr(l->out, ", ");
	}
	buf_printf(l->out, "\"index\": %u, ", (unsigned)l->row.found.rule->index);
	explain_json_member(l->out, "file",
	    l->row.found.rule->loc.source != NULL ? l->row.found.rule->loc.source->name
						  : (struct str){0});
	buf_printf(l->out, ", \"line\": %u, \"column\": %u}",
	    (unsigned)l->row.found.rule->loc.line,
	    (unsigned)l->row.found.rule->loc.col);
}

static void
print_csv(struct listing *l)
{
	for (size_t i = 0; i < COL_COUNT; i++) {
		buf_add_cstr(l->out, i > 0 ? "," : "");
		conn_text_csv(l->out, buf_str(&l->row.columns[i]));
	}
	buf_add_char(l->out, '\n');
}

static void
print_md(struct listing *l)
{
	buf_add_char(l->out, '|');
	for (size_t i = 0; i < COL_COUNT; i++) {
		buf_add_char(l->out, ' ');
		conn_text_md(l->out, buf_str(&l->row.columns[i]));
		buf_add_cstr(l->out, " |");
	}
	buf_add_char(l->out, '\n');
}

static void
print_head(struct listing *l)
{
	bool md = l->format == CONNECTIVITY_MD;

	if (l->format == CONNECTIVITY_JSON)
		buf_add_char(l->out, '[');
	if (!md && l->format != CONNECTIVITY_CSV)
		return;
	buf_add_cstr(l->out, md ? "| " : "");
	for (size_t i = 0; i < COL_COUNT; i++)
		buf_printf(l->out, "%s%s",
		    i == 0 ? ""
		    : md   ? " | "
			   : ",",
		    column_names[i]);
	buf_add_cstr(l->out, md ? " |\n|" : "\n");
	for (size_t i = 0; md && i < COL_COUNT; i++)
		buf_add_cstr(l->out, "---|");
	buf_add_cstr(l->out, md ? "\n" : "");
}

/* ---- all rows ---- */

static void
print_rules(
    struct listing *l, const struct route_policy *route, const struct route_list *lists)
{
	static void (*const print[])(struct listing * l) = {
	    [CONNECTIVITY_TXT] = print_txt,
	    [CONNECTIVITY_JSON] = print_json,
	    [CONNECTIVITY_CSV] = print_csv,
	    [CONNECTIVITY_MD] = print_md,
	};

	for (size_t kind = 0; kind < ROUTE_KIND_COUNT; kind++) {
		for (size_t i = 0; i < lists[kind].count; i++) {
			fill_row(l, (struct route_found){route, &lists[kind].rules[i]});
			print[l->format](l);
			l->any = true;
		}
	}
}

void
route_list_print(struct buf *out, const struct model *m, const struct ns *within,
    enum connectivity_format format)
{
	struct listing l = {.arena = arena_new(), .out = out, .format = format};

	print_head(&l);
	for (size_t i = 0; i < m->route_count; i++) {
		const struct route_policy *route = m->routes[i];

		if (within != NULL && !ns_within(route->level, within) &&
		    !ns_within(within, route->level))
			continue;
		print_rules(&l, route, route->mandatory);
		print_rules(&l, route, route->defaults);
		arena_reset(l.arena);
	}
	if (format == CONNECTIVITY_JSON)
		buf_add_cstr(out, l.any ? "\n]\n" : "]\n");
	for (size_t i = 0; i < COL_COUNT; i++)
		buf_free(&l.row.columns[i]);
	arena_free(l.arena);
}
