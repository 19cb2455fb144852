#include "common/uuid.h"

void
uuid_format(const uint8_t random[UUID_BYTES], char out_text[UUID_TEXT_BYTES])
{
	static const char hex[] = "0123456789abcdef";
	size_t n = 0;

	for (size_t i = 0; i < UUID_BYTES; i++) {
		uint8_t byte = random[i];

		if (i == 6) /* version 4, variant 1 */
			byte = (uint8_t)((byte & 0x0f) | 0x40);
		if (i == 8)
			byte = (uint8_t)((byte & 0x3f) | 0x80);
		if (i == 4 || i == 6 || i == 8 || i == 10)
			out_text[n++] = '-';
		out_text[n++] = hex[byte >> 4];
		out_text[n++] = hex[byte & 15];
	}
	out_text[n] = '\0';
}
