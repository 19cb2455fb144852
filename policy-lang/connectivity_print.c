/*
 * `list` as text: the grammar that static tools of the field use, and the formats that
 * others read.
 */
#include "policy-lang/connectivity.h"

static void
print_txt(struct buf *out, const struct connection *c)
{
	buf_printf(out, "%.*s => %.*s : %s\n", STR_ARG(c->src->display),
	    STR_ARG(c->dst->display), c->set->text);
}

static void
print_json(struct buf *out, const struct connection *c)
{
	buf_add_cstr(out, "{\"src\": ");
	buf_add_json(out, c->src->display);
	buf_add_cstr(out, ", \"dst\": ");
	buf_add_json(out, c->dst->display);
	buf_add_cstr(out, ", \"conn\": ");
	buf_add_json(out, str_from(c->set->text));
	buf_add_char(out, '}');
}

/* RFC 4180. */
static void
add_csv(struct buf *out, struct str field)
{
	bool plain = true;

	for (size_t i = 0; i < field.len; i++) {
		char ch = field.ptr[i];

		if (ch == ',' || ch == '"' || ch == '\n' || ch == '\r')
			plain = false;
	}
	if (plain) {
		buf_add_str(out, field);
		return;
	}
	buf_add_char(out, '"');
	for (size_t i = 0; i < field.len; i++) {
		if (field.ptr[i] == '"')
			buf_add_char(out, '"');
		buf_add_char(out, field.ptr[i]);
	}
	buf_add_char(out, '"');
}

static void
print_csv(struct buf *out, const struct connection *c)
{
	add_csv(out, c->src->display);
	buf_add_char(out, ',');
	add_csv(out, c->dst->display);
	buf_add_char(out, ',');
	add_csv(out, str_from(c->set->text));
	buf_add_char(out, '\n');
}

static void
add_md(struct buf *out, struct str field)
{
	for (size_t i = 0; i < field.len; i++) {
		if (field.ptr[i] == '|' || field.ptr[i] == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, field.ptr[i]);
	}
}

static void
print_md(struct buf *out, const struct connection *c)
{
	buf_add_cstr(out, "| ");
	add_md(out, c->src->display);
	buf_add_cstr(out, " | ");
	add_md(out, c->dst->display);
	buf_add_cstr(out, " | ");
	add_md(out, str_from(c->set->text));
	buf_add_cstr(out, " |\n");
}

static void
add_dot(struct buf *out, struct str text)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < text.len; i++) {
		if (text.ptr[i] == '"' || text.ptr[i] == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, text.ptr[i]);
	}
	buf_add_char(out, '"');
}

static void
print_dot(struct buf *out, const struct connection *c)
{
	buf_add_char(out, '\t');
	add_dot(out, c->src->display);
	buf_add_cstr(out, " -> ");
	add_dot(out, c->dst->display);
	buf_add_cstr(out, " [label=");
	add_dot(out, str_from(c->set->text));
	buf_add_cstr(out, "]\n");
}

static const struct {
	const char *head, *between, *tail;
	void (*print)(struct buf *out, const struct connection *c);
} formats[] = {
    [CONNECTIVITY_TXT] = {"", "", "", print_txt},
    [CONNECTIVITY_JSON] = {"[", ",\n ", "]\n", print_json},
    [CONNECTIVITY_CSV] = {"src,dst,conn\n", "", "", print_csv},
    [CONNECTIVITY_MD] = {"| src | dst | conn |\n|---|---|---|\n", "", "", print_md},
    [CONNECTIVITY_DOT] = {"digraph {\n\tnode [shape=box]\n", "", "}\n", print_dot},
};

void
connectivity_print(struct buf *out, const struct connectivity *connectivity,
    enum connectivity_format format)
{
	buf_add_cstr(out, formats[format].head);
	for (size_t i = 0; i < connectivity->count; i++) {
		if (i > 0)
			buf_add_cstr(out, formats[format].between);
		formats[format].print(out, &connectivity->items[i]);
	}
	buf_add_cstr(out, formats[format].tail);
}
