#include "policy-lang/diff/diff_print.h"

#include "policy-lang/connectivity/connectivity_text.h"

#define MD_OPENINGS 10 /* lines of the first table of a pull request's summary */

static const char *const reach_texts[DIFF_REACHES] = {
    [DIFF_FROM_OUTSIDE] = "from outside",
    [DIFF_TO_OUTSIDE] = "to outside",
    [DIFF_CROSS_TENANT] = "across tenants",
    [DIFF_WITHIN] = "within a tenant",
};

static const char *const reach_keys[DIFF_REACHES] = {
    [DIFF_FROM_OUTSIDE] = "fromOutside",
    [DIFF_TO_OUTSIDE] = "toOutside",
    [DIFF_CROSS_TENANT] = "acrossTenants",
    [DIFF_WITHIN] = "withinTenant",
};

static const char *const kind_texts[] = {
    [DIFF_ADDED] = "added",
    [DIFF_REMOVED] = "removed",
    [DIFF_CHANGED] = "changed",
};

static const char kind_signs[] = {
    [DIFF_ADDED] = '+', [DIFF_REMOVED] = '-', [DIFF_CHANGED] = '~'};

static const char change_signs[] = {
    [DIFF_DOC_ADDED] = '+', [DIFF_DOC_REMOVED] = '-', [DIFF_DOC_CHANGED] = '~'};

static const char *const change_texts[] = {
    [DIFF_DOC_ADDED] = "added",
    [DIFF_DOC_REMOVED] = "removed",
    [DIFF_DOC_CHANGED] = "changed",
};

/* ---- pieces ---- */

static struct str
set_text(const struct conn_set *set)
{
	return set != NULL && set->text != NULL ? str_from(set->text)
						: STR("No Connections");
}

static void
add_loc(struct buf *out, struct loc loc)
{
	if (loc.source != NULL)
		buf_printf(
		    out, "%.*s:%u", STR_ARG(loc.source->name), (unsigned)loc.line);
}

static const char *
decision_title(const struct diff *diff, const struct diff_decision *d)
{
	if (d->rule != NULL)
		return rule_title(diff->arena, d->rule);
	if (d->policy != NULL)
		return policy_title(diff->arena, d->policy);
	return d->node ? "no policy for the node" : "the cluster default";
}

/* "ingress allowed by NetworkPolicy shop/db rule 0 (db.yaml:12)" */
static void
add_decision(struct buf *out, const struct diff *diff, const struct diff_decision *d)
{
	buf_printf(out, "%s %s by %s", direction_name(d->dir),
	    d->allow ? "allowed" : "denied", decision_title(diff, d));
	if (d->rule == NULL && d->policy != NULL)
		buf_add_cstr(out, ", which isolates");
	if (d->loc.source != NULL) {
		buf_add_cstr(out, " (");
		add_loc(out, d->loc);
		buf_add_char(out, ')');
	}
}

static void
add_decisions(struct buf *out, const struct diff *diff, const struct diff_row *row,
    const char *between)
{
	const struct diff_decisions *lists[] = {&row->opened, &row->closed};
	bool any = false;

	for (size_t l = 0; l < ARRAY_LEN(lists); l++) {
		for (size_t i = 0; i < lists[l]->count; i++) {
			buf_add_cstr(out, any ? between : "");
			any = true;
			add_decision(out, diff, &lists[l]->items[i]);
		}
	}
}

/* What is new or gone of a row's ends; empty if nothing is. */
static const char *
presence_text(const struct diff_row *row)
{
	static const char *const texts[3][3] = {
	    [DIFF_BOTH] = {"", "the destination is new", "the destination is gone"},
	    [DIFF_NEW] = {"the source is new", "both are new",
		"the source is new, the destination gone"},
	    [DIFF_GONE] = {"the source is gone",
		"the source is gone, the destination new", "both are gone"},
	};

	bool nothing = row->opened.count + row->closed.count == 0;

	if (nothing && row->line->src == DIFF_BOTH && row->line->dst == DIFF_BOTH)
		return "an end has other addresses, or is on another network";
	return texts[row->line->src][row->line->dst];
}

static uint64_t
sum(const uint64_t counts[DIFF_REACHES])
{
	uint64_t total = 0;

	for (size_t i = 0; i < DIFF_REACHES; i++)
		total += counts[i];
	return total;
}

/* ---- txt ---- */

static void
txt_counts(struct buf *out, const char *what, const uint64_t counts[DIFF_REACHES])
{
	const char *between = " (";

	buf_printf(out, "%s: %llu", what, (unsigned long long)sum(counts));
	for (size_t i = 0; i < DIFF_REACHES; i++) {
		if (counts[i] == 0)
			continue;
		buf_printf(out, "%s%llu %s", between, (unsigned long long)counts[i],
		    reach_texts[i]);
		between = ", ";
	}
	buf_add_cstr(out, sum(counts) > 0 ? ")\n" : "\n");
}

static void
txt_row(struct buf *out, const struct diff_report *r, const struct diff_row *row)
{
	const struct diff_line *line = row->line;
	const char *presence = presence_text(row);

	buf_printf(out, "%c %.*s => %.*s : ", kind_signs[line->kind], STR_ARG(row->src),
	    STR_ARG(row->dst));
	if (line->kind != DIFF_ADDED)
		buf_add_str(out, set_text(line->old));
	if (line->kind == DIFF_CHANGED)
		buf_add_cstr(out, " -> ");
	if (line->kind != DIFF_REMOVED)
		buf_add_str(out, set_text(line->new));
	buf_add_char(out, '\n');
	if (presence[0] != '\0')
		buf_printf(out, "      %s\n", presence);
	if (row->opened.count + row->closed.count > 0) {
		buf_add_cstr(out, "      ");
		add_decisions(out, r->diff, row, "\n      ");
		buf_add_char(out, '\n');
	}
}

static void
txt_sentences(
    struct buf *out, const char *title, const struct diff_sentence *s, size_t count)
{
	if (count > 0)
		buf_printf(out, "\n%s:\n", title);
	for (size_t i = 0; i < count; i++) {
		buf_printf(out, "%c %s (", change_signs[s[i].change], s[i].text);
		add_loc(out, s[i].loc);
		buf_add_cstr(out, ")\n");
	}
}

static void
txt_names(struct buf *out, char sign, const struct str *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		buf_printf(out, "%c %.*s\n", sign, STR_ARG(names[i]));
}

static void
print_txt(struct buf *out, const struct diff_report *r)
{
	if (diff_report_same(r))
		buf_add_cstr(out, "nothing differs\n");
	else {
		txt_counts(out, "connections opened", r->opened);
		txt_counts(out, "connections closed", r->closed);
	}
	if (r->documents.policy_count > 0)
		buf_add_cstr(out, "\npolicies:\n");
	for (size_t i = 0; i < r->documents.policy_count; i++) {
		const struct diff_document *d = &r->documents.policies[i];

		buf_printf(out, "%c %s (", change_signs[d->change], d->title);
		add_loc(out, d->loc);
		buf_add_cstr(out, ")\n");
	}
	if (r->added_count + r->removed_count > 0)
		buf_add_cstr(out, "\nworkloads:\n");
	txt_names(out, '+', r->added, r->added_count);
	txt_names(out, '-', r->removed, r->removed_count);
	if (r->row_count > 0)
		buf_add_cstr(out, "\nconnections:\n");
	if (r->grouped)
		conn_groups_print(out, &r->groups, CONNECTIVITY_TXT);
	for (size_t i = 0; i < r->row_count; i++)
		txt_row(out, r, &r->rows[i]);
	txt_sentences(out, "access", r->documents.access, r->documents.access_count);
	txt_sentences(out, "quotas", r->documents.quotas, r->documents.quota_count);
	txt_sentences(out, "routes", r->documents.routes, r->documents.route_count);
}

/* ---- json ---- */

static void
json_loc(struct buf *out, struct loc loc)
{
	if (loc.source == NULL)
		return;
	buf_add_cstr(out, ", \"file\": ");
	buf_add_json(out, loc.source->name);
	buf_printf(out, ", \"line\": %u, \"column\": %u", (unsigned)loc.line,
	    (unsigned)loc.col);
}

static void
json_counts(struct buf *out, const char *key, const uint64_t counts[DIFF_REACHES])
{
	buf_printf(
	    out, "\"%s\": {\"total\": %llu", key, (unsigned long long)sum(counts));
	for (size_t i = 0; i < DIFF_REACHES; i++)
		buf_printf(out, ", \"%s\": %llu", reach_keys[i],
		    (unsigned long long)counts[i]);
	buf_add_char(out, '}');
}

static void
json_decisions(
    struct buf *out, const struct diff *diff, const struct diff_decisions *list)
{
	for (size_t i = 0; i < list->count; i++) {
		const struct diff_decision *d = &list->items[i];

		buf_printf(out,
		    "%s{\"direction\": \"%s\", \"verdict\": \"%s\", \"by\": ",
		    i > 0 ? ", " : "", direction_name(d->dir),
		    d->allow ? "allow" : "deny");
		buf_add_json(out, str_from(decision_title(diff, d)));
		json_loc(out, d->loc);
		buf_add_char(out, '}');
	}
}

static void
json_set(struct buf *out, const char *key, const struct conn_set *set)
{
	buf_printf(out, ", \"%s\": ", key);
	if (set != NULL)
		buf_add_json(out, set_text(set));
	else
		buf_add_cstr(out, "null");
}

static void
json_row(struct buf *out, const struct diff_report *r, const struct diff_row *row)
{
	static const char *const presences[] = {
	    [DIFF_BOTH] = "both", [DIFF_NEW] = "new", [DIFF_GONE] = "gone"};
	const struct diff_line *line = row->line;

	buf_printf(out, "{\"change\": \"%s\", \"src\": ", kind_texts[line->kind]);
	buf_add_json(out, row->src);
	buf_add_cstr(out, ", \"dst\": ");
	buf_add_json(out, row->dst);
	json_set(out, "old", line->old);
	json_set(out, "new", line->new);
	json_set(out, "opened", line->opened);
	json_set(out, "closed", line->closed);
	buf_printf(out,
	    ", \"reach\": \"%s\", \"pairs\": %llu, \"srcIs\": \"%s\", \"dstIs\": "
	    "\"%s\", "
	    "\"openedBy\": [",
	    reach_keys[line->reach], (unsigned long long)row->pairs,
	    presences[line->src], presences[line->dst]);
	json_decisions(out, r->diff, &row->opened);
	buf_add_cstr(out, "], \"closedBy\": [");
	json_decisions(out, r->diff, &row->closed);
	buf_add_cstr(out, "]}");
}

static void
json_names(struct buf *out, const char *key, const struct str *names, size_t count)
{
	buf_printf(out, "\"%s\": [", key);
	for (size_t i = 0; i < count; i++) {
		buf_add_cstr(out, i > 0 ? ", " : "");
		buf_add_json(out, names[i]);
	}
	buf_add_char(out, ']');
}

static void
json_told(struct buf *out, size_t i, enum diff_change change, const char *key,
    const char *text, struct loc loc)
{
	buf_printf(out, "%s{\"change\": \"%s\", \"%s\": ", i > 0 ? ",\n " : "",
	    change_texts[change], key);
	buf_add_json(out, str_from(text));
	json_loc(out, loc);
	buf_add_char(out, '}');
}

static void
json_sentences(
    struct buf *out, const char *key, const struct diff_sentence *s, size_t count)
{
	buf_printf(out, ",\n\"%s\": [", key);
	for (size_t i = 0; i < count; i++)
		json_told(out, i, s[i].change, "text", s[i].text, s[i].loc);
	buf_add_char(out, ']');
}

static void
print_json(struct buf *out, const struct diff_report *r)
{
	if (r->grouped)
		conn_groups_print(out, &r->groups, CONNECTIVITY_JSON);
	else
		buf_add_cstr(out, "{");
	buf_printf(out, "\"same\": %s,\n", diff_report_same(r) ? "true" : "false");
	json_counts(out, "opened", r->opened);
	buf_add_cstr(out, ",\n");
	json_counts(out, "closed", r->closed);
	buf_add_cstr(out, ",\n\"workloads\": {");
	json_names(out, "added", r->added, r->added_count);
	buf_add_cstr(out, ", ");
	json_names(out, "removed", r->removed, r->removed_count);
	buf_add_cstr(out, "},\n\"policies\": [");
	for (size_t i = 0; i < r->documents.policy_count; i++) {
		const struct diff_document *d = &r->documents.policies[i];

		json_told(out, i, d->change, "policy", d->title, d->loc);
	}
	buf_add_cstr(out, "],\n\"connections\": [");
	for (size_t i = 0; i < r->row_count; i++) {
		buf_add_cstr(out, i > 0 ? ",\n " : "");
		json_row(out, r, &r->rows[i]);
	}
	buf_add_char(out, ']');
	json_sentences(out, "access", r->documents.access, r->documents.access_count);
	json_sentences(out, "quotas", r->documents.quotas, r->documents.quota_count);
	json_sentences(out, "routes", r->documents.routes, r->documents.route_count);
	buf_add_cstr(out, "}\n");
}

/* ---- csv ---- */

static void
print_csv(struct buf *out, const struct diff_report *r)
{
	buf_add_cstr(out, "change,src,dst,old,new,note,decided\n");
	if (r->grouped)
		conn_groups_print_csv(out, &r->groups, ",,,,");
	for (size_t i = 0; i < r->row_count; i++) {
		const struct diff_row *row = &r->rows[i];
		struct buf decided = {0};
		struct str fields[] = {row->src, row->dst, set_text(row->line->old),
		    set_text(row->line->new), str_from(presence_text(row)),
		    (struct str){0}};

		add_decisions(&decided, r->diff, row, "; ");
		fields[5] = buf_str(&decided);
		buf_add_cstr(out, kind_texts[row->line->kind]);
		for (size_t j = 0; j < ARRAY_LEN(fields); j++) {
			buf_add_char(out, ',');
			conn_text_csv(out, fields[j]);
		}
		buf_add_char(out, '\n');
		buf_free(&decided);
	}
}

/* ---- md ---- */

static void
md_row(struct buf *out, const struct diff_report *r, const struct diff_row *row)
{
	struct buf decided = {0};
	const char *presence = presence_text(row);

	buf_printf(out, "| %s | ", kind_texts[row->line->kind]);
	conn_text_md(out, row->src);
	buf_add_cstr(out, " | ");
	conn_text_md(out, row->dst);
	buf_add_cstr(out, " | ");
	conn_text_md(out, set_text(row->line->old));
	buf_add_cstr(out, " | ");
	conn_text_md(out, set_text(row->line->new));
	buf_add_cstr(out, " | ");
	add_decisions(&decided, r->diff, row, "; ");
	if (presence[0] != '\0')
		buf_printf(out, "%s%s", presence, decided.len > 0 ? "; " : "");
	conn_text_md(out, buf_str(&decided));
	buf_add_cstr(out, " |\n");
	buf_free(&decided);
}

static void
md_head(struct buf *out)
{
	buf_add_cstr(out, "| change | from | to | before | after | decided by |\n"
			  "|---|---|---|---|---|---|\n");
}

static void
md_openings(struct buf *out, const struct diff_report *r)
{
	size_t told = 0, all = 0;

	for (size_t i = 0; i < r->row_count; i++)
		all += r->rows[i].line->opened != NULL;
	if (all == 0)
		return;
	buf_add_cstr(out, "\n**What it opens**, the most far-reaching first");
	if (all > MD_OPENINGS)
		buf_printf(out, " (%d of %zu)", MD_OPENINGS, all);
	buf_add_cstr(out, ":\n\n");
	md_head(out);
	for (size_t i = 0; i < r->row_count && told < MD_OPENINGS; i++) {
		if (r->rows[i].line->opened == NULL)
			continue;
		md_row(out, r, &r->rows[i]);
		told++;
	}
}

static void
md_begin(struct buf *out, const char *what, size_t count)
{
	buf_printf(out, "\n<details><summary>%s (%zu)</summary>\n\n", what, count);
}

static void
md_told(struct buf *out, enum diff_change change, const char *text, struct loc loc)
{
	buf_printf(out, "- %s: ", change_texts[change]);
	conn_text_md(out, str_from(text));
	buf_add_cstr(out, " (");
	add_loc(out, loc);
	buf_add_cstr(out, ")\n");
}

static void
md_sentences(
    struct buf *out, const char *what, const struct diff_sentence *s, size_t count)
{
	if (count == 0)
		return;
	md_begin(out, what, count);
	for (size_t i = 0; i < count; i++)
		md_told(out, s[i].change, s[i].text, s[i].loc);
	buf_add_cstr(out, "\n</details>\n");
}

static void
md_names(struct buf *out, const char *what, const struct str *names, size_t count)
{
	if (count == 0)
		return;
	md_begin(out, what, count);
	for (size_t i = 0; i < count; i++) {
		buf_add_cstr(out, "- ");
		conn_text_md(out, names[i]);
		buf_add_char(out, '\n');
	}
	buf_add_cstr(out, "\n</details>\n");
}

static void
md_policies(struct buf *out, const struct diff_report *r)
{
	if (r->documents.policy_count == 0)
		return;
	md_begin(out, "Policies touched", r->documents.policy_count);
	for (size_t i = 0; i < r->documents.policy_count; i++) {
		const struct diff_document *d = &r->documents.policies[i];

		md_told(out, d->change, d->title, d->loc);
	}
	buf_add_cstr(out, "\n</details>\n");
}

static void
print_md(struct buf *out, const struct diff_report *r)
{
	buf_add_cstr(out, "### Connections that this change opens and closes\n\n");
	if (diff_report_same(r)) {
		buf_add_cstr(out, "None: everything may connect as before.\n");
		md_policies(out, r);
		return;
	}
	buf_add_cstr(out, "| | opened | closed |\n|---|---|---|\n");
	for (size_t i = 0; i < DIFF_REACHES; i++)
		buf_printf(out, "| %s | %llu | %llu |\n", reach_texts[i],
		    (unsigned long long)r->opened[i], (unsigned long long)r->closed[i]);
	md_openings(out, r);
	if (r->row_count > 0) {
		md_begin(out, "Every change", r->row_count);
		if (r->grouped)
			conn_groups_print(out, &r->groups, CONNECTIVITY_MD);
		md_head(out);
		for (size_t i = 0; i < r->row_count; i++)
			md_row(out, r, &r->rows[i]);
		buf_add_cstr(out, "\n</details>\n");
	}
	md_policies(out, r);
	md_names(out, "New workloads", r->added, r->added_count);
	md_names(out, "Workloads that are gone", r->removed, r->removed_count);
	md_sentences(out, "Access", r->documents.access, r->documents.access_count);
	md_sentences(out, "Quotas", r->documents.quotas, r->documents.quota_count);
	md_sentences(out, "Routes", r->documents.routes, r->documents.route_count);
}

/* ---- dot ---- */

static void
print_dot(struct buf *out, const struct diff_report *r)
{
	static const char *const colors[] = {[DIFF_ADDED] = "darkgreen",
	    [DIFF_REMOVED] = "red",
	    [DIFF_CHANGED] = "blue"};

	buf_add_cstr(out, "digraph {\n\tnode [shape=box]\n");
	if (r->grouped)
		conn_groups_print(out, &r->groups, CONNECTIVITY_DOT);
	for (size_t i = 0; i < r->row_count; i++) {
		const struct diff_row *row = &r->rows[i];
		struct buf label = {0};

		buf_add_str(&label, set_text(row->line->old));
		buf_add_cstr(&label, " -> ");
		buf_add_str(&label, set_text(row->line->new));
		buf_add_char(out, '\t');
		conn_text_dot(out, row->src);
		buf_add_cstr(out, " -> ");
		conn_text_dot(out, row->dst);
		buf_add_cstr(out, " [label=");
		conn_text_dot(out, buf_str(&label));
		buf_printf(out, " color=%s]\n", colors[row->line->kind]);
		buf_free(&label);
	}
	buf_add_cstr(out, "}\n");
}

void
diff_print(
    struct buf *out, const struct diff_report *report, enum connectivity_format format)
{
	static void (*const printers[])(
	    struct buf * out, const struct diff_report *report) = {
	    [CONNECTIVITY_TXT] = print_txt,
	    [CONNECTIVITY_JSON] = print_json,
	    [CONNECTIVITY_CSV] = print_csv,
	    [CONNECTIVITY_MD] = print_md,
	    [CONNECTIVITY_DOT] = print_dot,
	};

	printers[format](out, report);
}
