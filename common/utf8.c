#include "common/utf8.h"

#include <string.h>

size_t
utf8_decode(struct str s, size_t at, uint32_t *out_point)
{
	/* The smallest code point that needs this many bytes. */
	static const uint32_t smallest[5] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned char lead;
	uint32_t point;
	size_t width;

	if (at >= s.len)
		return 0;
	lead = (unsigned char)s.ptr[at];
	if (lead < 0x80) {
		*out_point = lead;
		return 1;
	}
	width = lead < 0xc2   ? 0
		: lead < 0xe0 ? 2
		: lead < 0xf0 ? 3
		: lead < 0xf5 ? 4
			      : 0;
	if (width == 0 || width > s.len - at)
		return 0;
	point = lead & (0x7fu >> width);
	for (size_t i = 1; i < width; i++) {
		unsigned char c = (unsigned char)s.ptr[at + i];

		if ((c & 0xc0) != 0x80)
			return 0;
		point = point << 6 | (c & 0x3fu);
	}
	if (point < smallest[width] || point > 0x10ffff ||
	    (point >= 0xd800 && point <= 0xdfff))
		return 0;
	*out_point = point;
	return width;
}

size_t
utf8_width(struct str s, size_t at)
{
	uint32_t point;

	return utf8_decode(s, at, &point);
}

size_t
utf8_check(struct str s)
{
	size_t i = 0;

	while (i < s.len) {
		uint64_t word;
		size_t width;

		/* Eight ASCII bytes at a time: nearly all input is that. */
		while (s.len - i >= sizeof(word)) {
			memcpy(&word, s.ptr + i, sizeof(word));
			if ((word & UINT64_C(0x8080808080808080)) != 0)
				break;
			i += sizeof(word);
		}
		if (i == s.len)
			break;
		width = utf8_width(s, i);
		if (width == 0)
			break;
		i += width;
	}
	return i;
}

size_t
utf8_put(uint32_t point, char out[4])
{
	if (point < 0x80) {
		out[0] = (char)point;
		return 1;
	}
	if (point < 0x800) {
		out[0] = (char)(0xc0 | point >> 6);
		out[1] = (char)(0x80 | (point & 0x3f));
		return 2;
	}
	if (point < 0x10000) {
		out[0] = (char)(0xe0 | point >> 12);
		out[1] = (char)(0x80 | (point >> 6 & 0x3f));
		out[2] = (char)(0x80 | (point & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | point >> 18);
	out[1] = (char)(0x80 | (point >> 12 & 0x3f));
	out[2] = (char)(0x80 | (point >> 6 & 0x3f));
	out[3] = (char)(0x80 | (point & 0x3f));
	return 4;
}

bool
utf8_is_hidden(uint32_t point)
{
	return point < 0x20 || (point >= 0x7f && point < 0xa0) || point == 0x200e ||
	       point == 0x200f || (point >= 0x2028 && point <= 0x202e) ||
	       (point >= 0x2066 && point <= 0x2069) || point == 0xfeff;
}
