/*
 * Groups in every format. In text and Markdown what is told of a group stands before the
 * lines; JSON has members of an object, CSV records of several kinds.
 */
#include "policy-lang/connectivity/connectivity_group.h"
#include "policy-lang/connectivity/connectivity_text.h"

static struct str
member(const struct conn_groups *g, const struct conn_group *group, uint32_t i)
{
	return g->relation->world->parties[group->atom->parties[i]].end->display;
}

static void
add_labels(struct buf *out, struct label_set labels)
{
	for (size_t i = 0; i < labels.count; i++)
		buf_printf(out, "%s%.*s=%.*s", i > 0 ? "," : "",
		    STR_ARG(labels.items[i].key), STR_ARG(labels.items[i].value));
}

/* "base", "with" and "without" in words; `between` stands before each name. */
static void
add_words(struct buf *out, const struct conn_group_set *set)
{
	const char *with = set->base.len > 0 || set->all ? " with" : "";
	const char *without = set->all ? " but" : " without";

	if (set->base.len > 0)
		buf_add_str(out, set->base);
	else if (set->all)
		buf_add_cstr(out, "everybody");
	for (size_t i = 0; i < set->with_count; i++) {
		if (i == 0)
			buf_add_cstr(out, with);
		if (i > 0 || with[0] != '\0')
			buf_add_char(out, ' ');
		buf_add_str(out, set->with[i]);
	}
	for (size_t i = 0; i < set->without_count; i++) {
		buf_add_cstr(out, i == 0 ? without : "");
		buf_add_char(out, ' ');
		buf_add_str(out, set->without[i]);
	}
}

/* ---- txt ---- */

static void
groups_txt(struct buf *out, const struct conn_groups *g)
{
	for (size_t i = 0; i < g->group_count; i++) {
		const struct conn_group *group = &g->groups[i];

		buf_printf(out, "%.*s: %u in %.*s", STR_ARG(group->name),
		    (unsigned)group->atom->party_count, STR_ARG(group->place));
		if (group->labels.count > 0)
			buf_add_cstr(out, " with ");
		add_labels(out, group->labels);
		buf_add_char(out, '\n');
		for (uint32_t j = 0; j < group->atom->party_count; j++) {
			buf_add(out, "    ", 4);
			buf_add_str(out, member(g, group, j));
			buf_add_char(out, '\n');
		}
	}
	for (size_t i = 0; i < g->set_count; i++) {
		const struct conn_group_set *set = &g->sets[i];

		buf_printf(out, "%.*s: %zu in %.*s: ", STR_ARG(set->name), set->parties,
		    STR_ARG(set->place));
		add_words(out, set);
		buf_add_char(out, '\n');
	}
	if (g->group_count + g->set_count > 0)
		buf_add_char(out, '\n');
}

/* ---- json ---- */

static void
group_json(struct buf *out, const struct conn_groups *g, const struct conn_group *group)
{
	buf_add_cstr(out, "{\"name\": ");
	buf_add_json(out, group->name);
	buf_add_cstr(out, ", \"namespace\": ");
	buf_add_json(out, group->place);
	buf_add_cstr(out, ", \"labels\": {");
	for (size_t i = 0; i < group->labels.count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		buf_add_json(out, group->labels.items[i].key);
		buf_add_cstr(out, ": ");
		buf_add_json(out, group->labels.items[i].value);
	}
	buf_add_cstr(out, "}, \"members\": [");
	for (uint32_t i = 0; i < group->atom->party_count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		buf_add_json(out, member(g, group, i));
	}
	buf_add_cstr(out, "]}");
}

static void
names_json(struct buf *out, const char *key, const struct str *names, size_t count)
{
	buf_printf(out, ", \"%s\": [", key);
	for (size_t i = 0; i < count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		buf_add_json(out, names[i]);
	}
	buf_add_char(out, ']');
}

static void
set_json(struct buf *out, const struct conn_group_set *set)
{
	buf_add_cstr(out, "{\"name\": ");
	buf_add_json(out, set->name);
	buf_add_cstr(out, ", \"namespace\": ");
	buf_add_json(out, set->place);
	buf_add_cstr(out, ", \"base\": ");
	if (set->base.len > 0)
		buf_add_json(out, set->base);
	else
		buf_add_cstr(out, set->all ? "\"*\"" : "null");
	names_json(out, "with", set->with, set->with_count);
	names_json(out, "without", set->without, set->without_count);
	buf_add_char(out, '}');
}

/* The base "*" is everybody: the members of all groups, and the singles. */
static void
groups_json(struct buf *out, const struct conn_groups *g)
{
	const char *between = "";

	buf_add_cstr(out, "{\"groups\": [");
	for (size_t i = 0; i < g->group_count; i++) {
		buf_add_cstr(out, i > 0 ? ",\n " : "");
		group_json(out, g, &g->groups[i]);
	}
	buf_add_cstr(out, "],\n\"singles\": [");
	for (uint32_t i = 0; i < g->relation->atom_count; i++) {
		if (g->relation->atoms[i]->party_count > 1 ||
		    g->atom_names[i].ptr == NULL)
			continue;
		buf_add_cstr(out, between);
		between = ", ";
		buf_add_json(out, g->atom_names[i]);
	}
	buf_add_cstr(out, "],\n\"sets\": [");
	for (size_t i = 0; i < g->set_count; i++) {
		buf_add_cstr(out, i > 0 ? ",\n " : "");
		set_json(out, &g->sets[i]);
	}
	buf_add_cstr(out, "],\n");
}

/* ---- csv ---- */

/* `more` columns are left empty. */
static void
csv_record(struct buf *out, const char *kind, struct str name, struct str value,
    const char *more)
{
	buf_add_cstr(out, kind);
	buf_add_char(out, ',');
	conn_text_csv(out, name);
	buf_add_char(out, ',');
	conn_text_csv(out, value);
	buf_add_cstr(out, more);
	buf_add_char(out, '\n');
}

void
conn_groups_print_csv(
    struct buf *out, const struct conn_groups *groups, const char *more)
{
	const struct conn_groups *g = groups;

	for (size_t i = 0; i < g->group_count; i++) {
		for (uint32_t j = 0; j < g->groups[i].atom->party_count; j++)
			csv_record(out, "member", g->groups[i].name,
			    member(g, &g->groups[i], j), more);
	}
	for (uint32_t i = 0; i < g->relation->atom_count; i++) {
		if (g->relation->atoms[i]->party_count == 1 &&
		    g->atom_names[i].ptr != NULL)
			csv_record(
			    out, "member", g->atom_names[i], g->atom_names[i], more);
	}
	for (size_t i = 0; i < g->set_count; i++) {
		const struct conn_group_set *set = &g->sets[i];

		csv_record(
		    out, "set", set->name, set->all ? STR("*") : set->base, more);
		for (size_t j = 0; j < set->with_count; j++)
			csv_record(out, "with", set->name, set->with[j], more);
		for (size_t j = 0; j < set->without_count; j++)
			csv_record(out, "without", set->name, set->without[j], more);
	}
}

static void
groups_csv(struct buf *out, const struct conn_groups *g)
{
	conn_groups_print_csv(out, g, ",");
}

/* ---- md ---- */

static void
groups_md(struct buf *out, const struct conn_groups *g)
{
	buf_add_cstr(
	    out, "| group | namespace | labels | members |\n|---|---|---|---|\n");
	for (size_t i = 0; i < g->group_count; i++) {
		const struct conn_group *group = &g->groups[i];
		struct buf labels = {0};

		add_labels(&labels, group->labels);
		buf_printf(out, "| %.*s | ", STR_ARG(group->name));
		conn_text_md(out, group->place);
		buf_add_cstr(out, " | ");
		conn_text_md(out, buf_str(&labels));
		buf_add_cstr(out, " | ");
		for (uint32_t j = 0; j < group->atom->party_count; j++) {
			buf_add_cstr(out, j > 0 ? ", " : "");
			conn_text_md(out, member(g, group, j));
		}
		buf_add_cstr(out, " |\n");
		buf_free(&labels);
	}
	buf_add_cstr(out, "\n| set | namespace | members | is |\n|---|---|---|---|\n");
	for (size_t i = 0; i < g->set_count; i++) {
		const struct conn_group_set *set = &g->sets[i];
		struct buf words = {0};

		add_words(&words, set);
		buf_printf(out, "| %.*s | ", STR_ARG(set->name));
		conn_text_md(out, set->place);
		buf_printf(out, " | %zu | ", set->parties);
		conn_text_md(out, buf_str(&words));
		buf_add_cstr(out, " |\n");
		buf_free(&words);
	}
	buf_add_char(out, '\n');
}

/* ---- dot ---- */

static void
dot_node(struct buf *out, struct str name, size_t count, struct str place,
    struct label_set labels)
{
	struct buf text = {0};

	buf_printf(&text, "%.*s: %zu in %.*s ", STR_ARG(name), count, STR_ARG(place));
	add_labels(&text, labels);
	buf_add_char(out, '\t');
	conn_text_dot(out, name);
	buf_add_cstr(out, " [label=");
	conn_text_dot(out, str_trim(buf_str(&text)));
	buf_add_cstr(out, "]\n");
	buf_free(&text);
}

static void
groups_dot(struct buf *out, const struct conn_groups *g)
{
	struct label_set none = {0};

	for (size_t i = 0; i < g->group_count; i++)
		dot_node(out, g->groups[i].name, g->groups[i].atom->party_count,
		    g->groups[i].place, g->groups[i].labels);
	for (size_t i = 0; i < g->set_count; i++)
		dot_node(
		    out, g->sets[i].name, g->sets[i].parties, g->sets[i].place, none);
}

/* ---- all of it ---- */

void
conn_groups_print(
    struct buf *out, const struct conn_groups *groups, enum connectivity_format format)
{
	static void (*const printers[])(
	    struct buf * out, const struct conn_groups *groups) = {
	    [CONNECTIVITY_TXT] = groups_txt,
	    [CONNECTIVITY_JSON] = groups_json,
	    [CONNECTIVITY_CSV] = groups_csv,
	    [CONNECTIVITY_MD] = groups_md,
	    [CONNECTIVITY_DOT] = groups_dot,
	};

	printers[format](out, groups);
}

void
connectivity_print_groups(
    struct buf *out, const struct conn_groups *groups, enum connectivity_format format)
{
	const struct conn_relation *r = groups->relation;

	/* A graph's head comes before its nodes; CSV has columns of its own here. */
	if (format == CONNECTIVITY_DOT)
		connectivity_print_head(out, format);
	else if (format == CONNECTIVITY_CSV)
		buf_add_cstr(out, "record,name,value,conn\n");
	conn_groups_print(out, groups, format);
	if (format == CONNECTIVITY_JSON)
		buf_add_cstr(out, "\"connections\": ");
	if (format == CONNECTIVITY_JSON || format == CONNECTIVITY_MD)
		connectivity_print_head(out, format);
	for (size_t i = 0; i < r->line_count; i++) {
		const struct conn_line *line = &r->lines[i];

		if (format == CONNECTIVITY_CSV)
			buf_add_cstr(out, "connection,");
		connectivity_print_line(out, format, i == 0,
		    conn_groups_src(groups, line), conn_groups_dst(groups, line),
		    line->set);
	}
	if (format == CONNECTIVITY_JSON)
		buf_add_cstr(out, "]}\n");
	else
		connectivity_print_tail(out, format);
}
