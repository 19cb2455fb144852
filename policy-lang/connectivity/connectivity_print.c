/*
 * `list` as text: the grammar that static tools of the field use, and the formats that
 * others read.
 */
#include "policy-lang/connectivity/connectivity.h"
#include "policy-lang/connectivity/connectivity_text.h"

static void
print_txt(struct buf *out, struct str src, struct str dst, struct str conn)
{
	buf_add_str(out, src);
	buf_add(out, " => ", 4);
	buf_add_str(out, dst);
	buf_add(out, " : ", 3);
	buf_add_str(out, conn);
	buf_add_char(out, '\n');
}

static void
print_json(struct buf *out, struct str src, struct str dst, struct str conn)
{
	buf_add_cstr(out, "{\"src\": ");
	buf_add_json(out, src);
	buf_add_cstr(out, ", \"dst\": ");
	buf_add_json(out, dst);
	buf_add_cstr(out, ", \"conn\": ");
	buf_add_json(out, conn);
	buf_add_char(out, '}');
}

static void
print_csv(struct buf *out, struct str src, struct str dst, struct str conn)
{
	conn_text_csv(out, src);
	buf_add_char(out, ',');
	conn_text_csv(out, dst);
	buf_add_char(out, ',');
	conn_text_csv(out, conn);
	buf_add_char(out, '\n');
}

static void
print_md(struct buf *out, struct str src, struct str dst, struct str conn)
{
	buf_add_cstr(out, "| ");
	conn_text_md(out, src);
	buf_add_cstr(out, " | ");
	conn_text_md(out, dst);
	buf_add_cstr(out, " | ");
	conn_text_md(out, conn);
	buf_add_cstr(out, " |\n");
}

static void
print_dot(struct buf *out, struct str src, struct str dst, struct str conn)
{
	buf_add_char(out, '\t');
	conn_text_dot(out, src);
	buf_add_cstr(out, " -> ");
	conn_text_dot(out, dst);
	buf_add_cstr(out, " [label=");
	conn_text_dot(out, conn);
	buf_add_cstr(out, "]\n");
}

static const struct {
	const char *head, *between, *tail;
	void (*print)(struct buf *out, struct str src, struct str dst, struct str conn);
} formats[] = {
    [CONNECTIVITY_TXT] = {"", "", "", print_txt},
    [CONNECTIVITY_JSON] = {"[", ",\n ", "]\n", print_json},
    [CONNECTIVITY_CSV] = {"src,dst,conn\n", "", "", print_csv},
    [CONNECTIVITY_MD] = {"| src | dst | conn |\n|---|---|---|\n", "", "", print_md},
    [CONNECTIVITY_DOT] = {"digraph {\n\tnode [shape=box]\n", "", "}\n", print_dot},
};

void
connectivity_print_line(struct buf *out, enum connectivity_format format, bool first,
    struct str src, struct str dst, const struct conn_set *set)
{
	if (!first)
		buf_add_cstr(out, formats[format].between);
	formats[format].print(out, src, dst, str_from(set->text));
}

void
connectivity_print_head(struct buf *out, enum connectivity_format format)
{
	buf_add_cstr(out, formats[format].head);
}

void
connectivity_print_tail(struct buf *out, enum connectivity_format format)
{
	buf_add_cstr(out, formats[format].tail);
}

void
connectivity_print(struct buf *out, const struct connectivity *connectivity,
    enum connectivity_format format)
{
	connectivity_print_head(out, format);
	for (size_t i = 0; i < connectivity->count; i++) {
		const struct connection *c = &connectivity->items[i];

		connectivity_print_line(
		    out, format, i == 0, c->src->display, c->dst->display, c->set);
	}
	connectivity_print_tail(out, format);
}
