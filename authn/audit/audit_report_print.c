/*
 * A report on paper: HTML in one file, without script, that loads nothing; CSV; JSON. Every
 * value may be a tenant's, and stays text in all three.
 */
#include <openssl/evp.h>
#include <string.h>

#include "authn/audit/audit_report.h"
#include "authn/audit/audit_text.h"
#include "common/audit_base64.h"

/* ---- HTML ---- */

static const char style[] =
    "body{font:14px/1.45 system-ui,sans-serif;max-width:75rem;margin:0 auto;"
    "padding:1rem;color:#111;background:#fff}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin:1.5rem 0 .25rem}"
    "p{margin:.25rem 0}"
    "table{border-collapse:collapse;width:100%;margin:.5rem 0}"
    "th,td{border:1px solid #999;padding:.2rem .4rem;text-align:left;"
    "vertical-align:top;overflow-wrap:anywhere}"
    "thead th{background:#eee}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.1rem 1rem}"
    "dd{margin:0;overflow-wrap:anywhere;white-space:pre-wrap}"
    ".intact,.broken{border-left:.4rem solid;padding-left:.6rem}"
    ".intact{border-color:#080}.broken{border-color:#c00}"
    "a{color:#024}nav ul{columns:3;padding-left:1.2rem}"
    "@media print{body{max-width:none;font-size:10px;padding:0}nav{display:none}"
    "thead{display:table-header-group}tr{break-inside:avoid}"
    "h2{break-after:avoid}}";

static void
add_html(struct buf *out, struct str text)
{
	static const char *const entities[] = {
	    ['&'] = "&amp;",
	    ['<'] = "&lt;",
	    ['>'] = "&gt;",
	    ['"'] = "&quot;",
	    ['\''] = "&#39;",
	};
	struct buf safe = {0};

	audit_text_safe(&safe, text);
	for (size_t i = 0; i < safe.len; i++) {
		unsigned char c = (unsigned char)safe.data[i];

		if (c < ARRAY_LEN(entities) && entities[c] != NULL)
			buf_add_cstr(out, entities[c]);
		else
			buf_add_char(out, (char)c);
	}
	buf_free(&safe);
}

/* The page allows its own style, by its digest, and nothing else. */
static void
add_head(struct buf *out, const struct audit_paper *p)
{
	uint8_t digest[32];

	if (EVP_Digest(style, strlen(style), digest, NULL, EVP_sha256(), NULL) != 1)
		base_die("libcrypto cannot hash");
	buf_add_cstr(out, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
			  "<meta charset=\"utf-8\">\n"
			  "<meta http-equiv=\"Content-Security-Policy\" content=\""
			  "default-src 'none'; style-src 'sha256-");
	audit_base64_encode(out, digest, sizeof(digest));
	buf_add_cstr(out, "'; base-uri 'none'; form-action 'none'\">\n"
			  "<meta name=\"viewport\" content=\"width=device-width, "
			  "initial-scale=1\">\n<title>");
	add_html(out, p->title);
	buf_printf(
	    out, "</title>\n<style>%s</style>\n</head>\n<body>\n<main>\n<h1>", style);
	add_html(out, p->title);
	buf_add_cstr(out, "</h1>\n");
}

static void
add_facts(struct buf *out, const struct audit_fact *facts, size_t count)
{
	buf_add_cstr(out, "<dl>\n");
	for (size_t i = 0; i < count; i++) {
		buf_printf(out, "<dt>%s</dt><dd>", facts[i].name);
		/* A checkpoint has lines. */
		for (struct str rest = facts[i].value; rest.ptr != NULL;) {
			add_html(out, str_split(&rest, '\n'));
			if (rest.ptr != NULL)
				buf_add_char(out, '\n');
		}
		buf_add_cstr(out, "</dd>\n");
	}
	buf_add_cstr(out, "</dl>\n");
}

static void
add_summary(struct buf *out, const struct audit_paper *p)
{
	buf_add_cstr(out,
	    "<section id=\"summary\">\n<h2>Records by kind</h2>\n<table>\n"
	    "<thead><tr><th scope=\"col\">Kind</th>"
	    "<th scope=\"col\">Records</th></tr></thead>\n<tbody>\n");
	for (int i = 0; i < AUDIT_KIND_COUNT; i++)
		buf_printf(out, "<tr><th scope=\"row\">%s</th><td>%llu</td></tr>\n",
		    audit_kind_name((enum audit_kind)i),
		    (unsigned long long)p->summary.by_kind[i]);
	buf_printf(out,
	    "<tr><th scope=\"row\">all</th><td>%llu</td></tr>\n</tbody>\n</table>\n"
	    "</section>\n",
	    (unsigned long long)p->summary.records);
}

static void
add_contents(struct buf *out, const struct audit_paper *p)
{
	buf_add_cstr(out, "<nav aria-label=\"Contents\"><ul>\n");
	for (size_t i = 0; i < p->table_count; i++)
		buf_printf(out, "<li><a href=\"#%s\">%s</a> (%llu)</li>\n",
		    p->tables[i].id, p->tables[i].title,
		    (unsigned long long)p->tables[i].records);
	buf_add_cstr(out, "</ul></nav>\n");
}

static void
add_rows(struct buf *out, const struct audit_table *t)
{
	buf_add_cstr(out, "<table>\n<thead><tr>");
	for (size_t c = 0; c < t->column_count; c++)
		buf_printf(out, "<th scope=\"col\">%s</th>", t->heads[c]);
	buf_add_cstr(out, "</tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < t->row_count; i++) {
		buf_add_cstr(out, "<tr>");
		for (size_t c = 0; c < t->column_count; c++) {
			buf_add_cstr(out, "<td><bdi>");
			add_html(out, t->rows[i].cells[c]);
			buf_add_cstr(out, "</bdi></td>");
		}
		buf_add_cstr(out, "</tr>\n");
	}
	buf_add_cstr(out, "</tbody>\n</table>\n");
}

static void
add_table(struct buf *out, const struct audit_table *t)
{
	buf_printf(out, "<section id=\"%s\">\n<h2>%s</h2>\n<p>%s Records: %llu.</p>\n",
	    t->id, t->title, t->about, (unsigned long long)t->records);
	if (t->omitted != 0)
		buf_printf(out,
		    "<p><strong>The table is full: %llu more records are not in it. "
		    "Choose a shorter period or a filter.</strong></p>\n",
		    (unsigned long long)t->omitted);
	if (t->row_count != 0)
		add_rows(out, t);
	else
		buf_add_cstr(out, "<p>None.</p>\n");
	buf_add_cstr(out, "</section>\n");
}

void
audit_paper_html(struct buf *out, const struct audit_paper *p)
{
	add_head(out, p);
	add_facts(out, p->facts, p->fact_count);
	buf_printf(out,
	    "<section id=\"integrity\" class=\"%s\">\n<h2>Integrity of the log</h2>\n",
	    p->intact ? "intact" : "broken");
	add_facts(out, p->integrity, p->integrity_count);
	buf_add_cstr(out, "</section>\n");
	add_summary(out, p);
	add_contents(out, p);
	for (size_t i = 0; i < p->table_count; i++)
		add_table(out, &p->tables[i]);
	buf_add_cstr(out, "</main>\n</body>\n</html>\n");
}

/* ---- CSV ---- */

static void
add_csv_row(struct buf *out, const char *id, const struct str *cells, size_t count)
{
	buf_add_cstr(out, id);
	for (size_t i = 0; i < count; i++) {
		buf_add_char(out, ',');
		audit_csv_cell(out, cells[i]);
	}
	buf_add_char(out, '\n');
}

static void
add_csv_facts(
    struct buf *out, const char *id, const struct audit_fact *facts, size_t count)
{
	buf_printf(out, "#%s,Name,Value\n", id);
	for (size_t i = 0; i < count; i++) {
		struct str cells[] = {str_from(facts[i].name), facts[i].value};

		add_csv_row(out, id, cells, 2);
	}
}

/* Tables that are full, and how many records are not in them. */
static void
add_csv_omitted(struct buf *out, const struct audit_paper *p)
{
	buf_add_cstr(out, "#omitted,Table,Records\n");
	for (size_t i = 0; i < p->table_count; i++) {
		if (p->tables[i].omitted != 0)
			buf_printf(out, "omitted,%s,%llu\n", p->tables[i].id,
			    (unsigned long long)p->tables[i].omitted);
	}
}

/* Tables one below the other: each row begins with its table's id, each head with # and
 * the id. */
void
audit_paper_csv(struct buf *out, const struct audit_paper *p)
{
	add_csv_facts(out, "report", p->facts, p->fact_count);
	add_csv_facts(out, "integrity", p->integrity, p->integrity_count);
	buf_add_cstr(out, "#summary,Kind,Records\n");
	for (int i = 0; i < AUDIT_KIND_COUNT; i++)
		buf_printf(out, "summary,%s,%llu\n",
		    audit_kind_name((enum audit_kind)i),
		    (unsigned long long)p->summary.by_kind[i]);
	buf_printf(out, "summary,all,%llu\n", (unsigned long long)p->summary.records);
	add_csv_omitted(out, p);
	for (size_t i = 0; i < p->table_count; i++) {
		const struct audit_table *t = &p->tables[i];

		buf_printf(out, "#%s", t->id);
		for (size_t c = 0; c < t->column_count; c++)
			buf_printf(out, ",%s", t->heads[c]);
		buf_add_char(out, '\n');
		for (size_t n = 0; n < t->row_count; n++)
			add_csv_row(out, t->id, t->rows[n].cells, t->column_count);
	}
}

/* ---- JSON ---- */

static void
add_json_facts(
    struct buf *out, const char *id, const struct audit_fact *facts, size_t count)
{
	buf_printf(out, "\"%s\":{", id);
	for (size_t i = 0; i < count; i++) {
		buf_printf(out, "%s\"%s\":", i != 0 ? "," : "", facts[i].name);
		buf_add_json(out, facts[i].value);
	}
	buf_add_cstr(out, "},\n");
}

static void
add_json_table(struct buf *out, const struct audit_table *t)
{
	buf_printf(out,
	    "{\"id\":\"%s\",\"title\":\"%s\",\"records\":%llu,\"omitted\":%llu,"
	    "\"heads\":[",
	    t->id, t->title, (unsigned long long)t->records,
	    (unsigned long long)t->omitted);
	for (size_t c = 0; c < t->column_count; c++)
		buf_printf(out, "%s\"%s\"", c != 0 ? "," : "", t->heads[c]);
	buf_add_cstr(out, "],\"rows\":[");
	for (size_t i = 0; i < t->row_count; i++) {
		buf_add_cstr(out, i != 0 ? ",\n[" : "\n[");
		for (size_t c = 0; c < t->column_count; c++) {
			if (c != 0)
				buf_add_char(out, ',');
			buf_add_json(out, t->rows[i].cells[c]);
		}
		buf_add_char(out, ']');
	}
	buf_add_cstr(out, "]}");
}

void
audit_paper_json(struct buf *out, const struct audit_paper *p)
{
	buf_add_cstr(out, "{\"title\":");
	buf_add_json(out, p->title);
	buf_printf(out, ",\n\"intact\":%s,\n", p->intact ? "true" : "false");
	add_json_facts(out, "report", p->facts, p->fact_count);
	add_json_facts(out, "integrity", p->integrity, p->integrity_count);
	buf_add_cstr(out, "\"summary\":{");
	for (int i = 0; i < AUDIT_KIND_COUNT; i++)
		buf_printf(out, "\"%s\":%llu,", audit_kind_name((enum audit_kind)i),
		    (unsigned long long)p->summary.by_kind[i]);
	buf_printf(out, "\"all\":%llu},\n\"tables\":[\n",
	    (unsigned long long)p->summary.records);
	for (size_t i = 0; i < p->table_count; i++) {
		if (i != 0)
			buf_add_cstr(out, ",\n");
		add_json_table(out, &p->tables[i]);
	}
	buf_add_cstr(out, "]}\n");
}
