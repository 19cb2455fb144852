#include "authn/proxy/http1_parse.h"

#include <string.h>

#define SIZE_DIGITS   12 /* 2^48 bytes are enough for one chunk */
#define TRAILER_LIMIT (16u * 1024)

static enum http1_chunk_state
size_byte(struct http1_chunks *c, char byte)
{
	int digit = str_hex_digit(byte);

	if (digit >= 0 && ++c->digits <= SIZE_DIGITS) {
		c->left = c->left * 16 + (unsigned)digit;
		return CHUNK_SIZE;
	}
	return byte == '\r' && c->state == CHUNK_SIZE && c->digits <= SIZE_DIGITS
		   ? CHUNK_SIZE_LF
		   : CHUNK_BAD;
}

static bool
is_token_byte(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') ||
	       (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* Trailers are dropped, but they must look like header lines. */
static enum http1_chunk_state
trailer_byte(struct http1_chunks *c, char byte)
{
	bool start = c->state == CHUNK_TRAILER_START;

	if (++c->trailer_bytes > TRAILER_LIMIT)
		return CHUNK_BAD;
	if (start && byte == '\r')
		return CHUNK_END_LF;
	if (start || c->state == CHUNK_TRAILER_NAME) {
		if (is_token_byte(byte))
			return CHUNK_TRAILER_NAME;
		return byte == ':' && !start ? CHUNK_TRAILER : CHUNK_BAD;
	}
	if (byte == '\r')
		return CHUNK_TRAILER_LF;
	return ((unsigned char)byte < ' ' && byte != '\t') || byte == 0x7f
		   ? CHUNK_BAD
		   : CHUNK_TRAILER;
}

static enum http1_chunk_state
framing_byte(struct http1_chunks *c, char byte)
{
	switch (c->state) {
	case CHUNK_SIZE_FIRST:
	case CHUNK_SIZE:
		return size_byte(c, byte);
	case CHUNK_SIZE_LF:
		if (byte != '\n')
			return CHUNK_BAD;
		return c->left == 0 ? CHUNK_TRAILER_START : CHUNK_DATA;
	case CHUNK_DATA_CR:
		return byte == '\r' ? CHUNK_DATA_LF : CHUNK_BAD;
	case CHUNK_DATA_LF:
		c->digits = 0;
		return byte == '\n' ? CHUNK_SIZE_FIRST : CHUNK_BAD;
	case CHUNK_TRAILER_START:
	case CHUNK_TRAILER_NAME:
	case CHUNK_TRAILER:
		return trailer_byte(c, byte);
	case CHUNK_TRAILER_LF:
		return byte == '\n' ? CHUNK_TRAILER_START : CHUNK_BAD;
	case CHUNK_END_LF:
		return byte == '\n' ? CHUNK_DONE : CHUNK_BAD;
	case CHUNK_DATA:
	case CHUNK_DONE:
	case CHUNK_BAD:
		break;
	}
	return c->state;
}

struct str
http1_chunks_next(struct http1_chunks *c, struct str *data)
{
	while (data->len != 0 && c->state != CHUNK_DONE && c->state != CHUNK_BAD) {
		if (c->state == CHUNK_DATA) {
			size_t n = c->left < data->len ? (size_t)c->left : data->len;
			struct str piece = str_slice(*data, 0, n);

			*data = str_slice(*data, n, data->len);
			c->left -= n;
			if (c->left == 0)
				c->state = CHUNK_DATA_CR;
			return piece;
		}
		c->state = framing_byte(c, data->ptr[0]);
		*data = str_slice(*data, 1, data->len);
	}
	return STR("");
}
