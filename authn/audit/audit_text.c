#include "authn/audit/audit_text.h"

#include "common/utf8.h"
#include "policy-lang/connectivity/connectivity_text.h"

static bool
is_unsafe(uint32_t point)
{
	static const uint32_t ranges[][2] = {{0, 0x1f}, {0x7f, 0x9f}, {0xad, 0xad},
	    {0x61c, 0x61c}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2060, 0x206f},
	    {0xfe00, 0xfe0f}, {0xfeff, 0xfeff}, {0xfff0, 0xfffb}, {0xe0000, 0xe0fff}};

	for (size_t i = 0; i < ARRAY_LEN(ranges); i++) {
		if (point >= ranges[i][0] && point <= ranges[i][1])
			return true;
	}
	return false;
}

size_t
audit_text_safe(struct buf *out, struct str text)
{
	size_t count = 0, n;
	uint32_t point;

	for (size_t at = 0; at < text.len; at += n, count++) {
		n = utf8_decode(text, at, &point);
		if (n != 0 && !is_unsafe(point)) {
			buf_add_str(out, str_slice(text, at, at + n));
		} else {
			buf_add_char(out, '?');
			n = n == 0 ? 1 : n;
		}
	}
	return count;
}

void
audit_csv_cell(struct buf *out, struct str text)
{
	struct buf guarded = {0};

	if (text.len == 0 || memchr("=+-@\t\r", text.ptr[0], 6) == NULL) {
		conn_text_csv(out, text);
		return;
	}
	buf_add_char(&guarded, '\'');
	buf_add_str(&guarded, text);
	conn_text_csv(out, buf_str(&guarded));
	buf_free(&guarded);
}
