#include "policy-lang/connectivity/connectivity_exposure.h"

/* ---- patterns in words ---- */

static void
add_requirement(struct buf *out, const struct requirement *r)
{
	const char *between = "";

	if (r->op == REQ_NOT_EXISTS)
		buf_add_char(out, '!');
	buf_add_str(out, r->key);
	if (r->op == REQ_EXISTS || r->op == REQ_NOT_EXISTS)
		return;
	if (r->op == REQ_IN && r->value_count == 1) {
		buf_printf(out, "=%.*s", STR_ARG(r->values[0]));
		return;
	}
	buf_add_cstr(out, r->op == REQ_IN ? " in (" : " not in (");
	for (size_t i = 0; i < r->value_count; i++) {
		buf_printf(out, "%s%.*s", between, STR_ARG(r->values[i]));
		between = ",";
	}
	buf_add_char(out, ')');
}

static void
add_selector(struct buf *out, const char *what, const struct selector *s)
{
	buf_printf(out, "%s with {", what);
	for (size_t i = 0; i < s->count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		add_requirement(out, &s->reqs[i]);
	}
	buf_add_char(out, '}');
}

static void
add_pattern(struct buf *out, const struct workload_match *m)
{
	if (m->selector != NULL && m->selector->count > 0)
		add_selector(out, "pods", m->selector);
	else
		buf_add_cstr(out, "any pod");
	if (m->service_account.ptr != NULL)
		buf_printf(out, " running as %.*s", STR_ARG(m->service_account));
	if (m->cluster.len > 0 && m->kube == NULL)
		buf_printf(out, " of cluster %.*s", STR_ARG(m->cluster));
	if (m->kube != NULL)
		buf_printf(out, " in namespace %.*s%s%.*s", STR_ARG(m->kube->cluster),
		    m->kube->cluster.len > 0 ? "/" : "", STR_ARG(m->kube->name));
	if (m->ns_selector != NULL && m->ns_selector->count > 0)
		add_selector(out, " in namespaces", m->ns_selector);
	if (m->subtree != NULL && m->subtree->parent != NULL && m->kube == NULL)
		buf_printf(out, " at or below %.*s", STR_ARG(m->subtree->path));
}

/* "pods with {app=web} in namespaces with {env=prod}"; "entire-cluster" for no pattern. */
static void
conn_exposure_text(struct buf *out, const struct conn_exposure *exposure,
    const struct conn_exposure_line *line)
{
	if (line->count == 0)
		buf_add_cstr(out, "entire-cluster");
	for (size_t i = 0; i < line->count; i++) {
		buf_add_cstr(out, i > 0 ? " that are also " : "");
		add_pattern(out, exposure->patterns[line->patterns[i]]);
	}
}

/* ---- lines ---- */

static void
add_conn(struct buf *out, const struct conn_exposure_line *line)
{
	bool any = line->set->text != NULL;

	if (any)
		buf_add_cstr(out, line->set->text);
	for (size_t i = 0; i < line->name_count; i++) {
		buf_add_cstr(out, any ? "," : "");
		any = true;
		buf_printf(out, "\"%.*s\"", STR_ARG(line->names[i]));
	}
	if (!any)
		buf_add_cstr(out, "No Connections");
}

/* "entire-cluster" without any connection is what everybody hopes for. */
static bool
is_silent(const struct conn_exposure_line *line)
{
	return line->count == 0 && line->set->text == NULL && line->name_count == 0;
}

static void
line_txt(struct buf *out, struct str self, enum direction dir,
    const struct conn_exposure *exposure, const struct conn_exposure_line *line)
{
	buf_add_str(out, self);
	buf_add_cstr(out, dir == DIR_EGRESS ? " => " : " <= ");
	conn_exposure_text(out, exposure, line);
	buf_add_cstr(out, " : ");
	add_conn(out, line);
	buf_add_char(out, '\n');
}

static void
line_json(struct buf *out, struct str self, enum direction dir,
    const struct conn_exposure *exposure, const struct conn_exposure_line *line)
{
	struct buf text = {0};

	buf_add_cstr(out, "{\"workload\": ");
	buf_add_json(out, self);
	buf_printf(out, ", \"direction\": \"%s\", \"peer\": [", direction_name(dir));
	for (size_t i = 0; i < line->count; i++) {
		buf_clear(&text);
		add_pattern(&text, exposure->patterns[line->patterns[i]]);
		buf_add_cstr(out, i > 0 ? ", " : "");
		buf_add_json(out, buf_str(&text));
	}
	buf_add_cstr(out, "], \"conn\": ");
	buf_add_json(out, line->set->text != NULL ? str_from(line->set->text)
						  : STR("No Connections"));
	buf_add_cstr(out, ", \"portNames\": [");
	for (size_t i = 0; i < line->name_count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		buf_add_json(out, line->names[i]);
	}
	buf_printf(out, "], \"exact\": %s}", exposure->exact ? "true" : "false");
	buf_free(&text);
}

static void
print_direction(struct buf *out, struct conn_world *world, const bool *want,
    enum direction dir, bool json, bool *any)
{
	for (uint32_t i = 0; i < world->party_count; i++) {
		const struct conn_party *party = &world->parties[i];
		const struct conn_exposure *exposure;

		if ((want != NULL && !want[i]) || party->face_count == 0)
			continue;
		exposure = conn_exposure_of(world, party, dir);
		for (size_t j = 0; exposure != NULL && j < exposure->line_count; j++) {
			const struct conn_exposure_line *line = &exposure->lines[j];

			if (is_silent(line))
				continue;
			if (json) {
				buf_add_cstr(out, *any ? ",\n " : "");
				line_json(
				    out, party->end->display, dir, exposure, line);
			} else {
				line_txt(out, party->end->display, dir, exposure, line);
			}
			*any = true;
		}
		if (!json && exposure != NULL && !exposure->exact)
			buf_printf(out,
			    "%.*s: workloads to which several of these apply may "
			    "differ\n",
			    STR_ARG(party->end->display));
	}
}

void
conn_exposure_print(struct buf *out, struct conn_world *world, const bool *want,
    enum connectivity_format format)
{
	bool json = format == CONNECTIVITY_JSON, any = false;

	buf_add_cstr(out, json ? "[" : "Egress exposure:\n");
	print_direction(out, world, want, DIR_EGRESS, json, &any);
	buf_add_cstr(out, json ? "" : "\nIngress exposure:\n");
	print_direction(out, world, want, DIR_INGRESS, json, &any);
	buf_add_cstr(out, json ? "]\n" : "");
}
