#include "policy-lang/connectivity/connectivity_text.h"

void
conn_text_csv(struct buf *out, struct str field)
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

void
conn_text_md(struct buf *out, struct str field)
{
	for (size_t i = 0; i < field.len; i++) {
		if (field.ptr[i] == '|' || field.ptr[i] == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, field.ptr[i]);
	}
}

void
conn_text_dot(struct buf *out, struct str field)
{
	buf_add_char(out, '"');
	for (size_t i = 0; i < field.len; i++) {
		if (field.ptr[i] == '"' || field.ptr[i] == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, field.ptr[i]);
	}
	buf_add_char(out, '"');
}
