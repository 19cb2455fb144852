#include "authn/token/token.h"

#include <string.h>

#include <openssl/evp.h>

#include "common/secret.h"

static const char alphabet[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			       "abcdefghijklmnopqrstuvwxyz";

#define PREFIX_LEN 3 /* "rf_" */
#define CRC_AT     (TOKEN_LEN - TOKEN_CRC_LEN)
#define SECRET_AT  (PREFIX_LEN + TOKEN_ID_LEN + 1)

/* CRC-32 of ISO 3309, as zlib and GitHub's token format use it. */
static uint32_t
crc32_of(const char *data, size_t len)
{
	uint32_t crc = 0xffffffffu;

	for (size_t i = 0; i < len; i++) {
		crc ^= (uint8_t)data[i];
		for (int bit = 0; bit < 8; bit++)
			crc = (crc >> 1) ^ (0xedb88320u & (0u - (crc & 1)));
	}
	return ~crc;
}

static bool
is_base62(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') ||
	       (c >= 'a' && c <= 'z');
}

void
token_base62(uint64_t value, unsigned digits, char *out)
{
	for (unsigned i = digits; i > 0; i--) {
		out[i - 1] = alphabet[value % 62];
		value /= 62;
	}
}

static void
hash_secret(const char *token, uint8_t out_hash[32])
{
	unsigned len = 32;

	if (EVP_Digest(token + SECRET_AT, TOKEN_SECRET_LEN, out_hash, &len,
		EVP_sha256(), NULL) != 1)
		base_die("no SHA-256");
}

/* Bytes of 248 and more are dropped, so that every digit is equally likely. That 64
 * bytes hold fewer than 40 others does not happen (p < 1e-20) unless the source is broken. */
static void
fill_digits(const uint8_t random[64], size_t *pos, char *out, size_t count)
{
	for (size_t n = 0; n < count; (*pos)++) {
		if (*pos >= 64)
			base_die("the source of randomness is broken");
		if (random[*pos] < 248)
			out[n++] = alphabet[random[*pos] % 62];
	}
}

void
token_make(const uint8_t random[64], char out_token[TOKEN_LEN + 1],
    struct token_parts *out_parts)
{
	size_t pos = 0;

	memcpy(out_token, "rf_", PREFIX_LEN);
	fill_digits(random, &pos, out_token + PREFIX_LEN, TOKEN_ID_LEN);
	out_token[PREFIX_LEN + TOKEN_ID_LEN] = '_';
	fill_digits(random, &pos, out_token + SECRET_AT, TOKEN_SECRET_LEN);
	token_base62(crc32_of(out_token, CRC_AT), TOKEN_CRC_LEN, out_token + CRC_AT);
	out_token[TOKEN_LEN] = '\0';
	memcpy(out_parts->id, out_token + PREFIX_LEN, TOKEN_ID_LEN);
	out_parts->id[TOKEN_ID_LEN] = '\0';
	hash_secret(out_token, out_parts->secret_hash);
}

bool
token_parse(struct str text, struct token_parts *out_parts)
{
	char crc[TOKEN_CRC_LEN];

	if (text.len != TOKEN_LEN || memcmp(text.ptr, "rf_", PREFIX_LEN) != 0 ||
	    text.ptr[PREFIX_LEN + TOKEN_ID_LEN] != '_')
		return false;
	for (size_t i = PREFIX_LEN; i < TOKEN_LEN; i++) {
		if (i != PREFIX_LEN + TOKEN_ID_LEN && !is_base62(text.ptr[i]))
			return false;
	}
	token_base62(crc32_of(text.ptr, CRC_AT), TOKEN_CRC_LEN, crc);
	if (memcmp(crc, text.ptr + CRC_AT, TOKEN_CRC_LEN) != 0)
		return false;
	memcpy(out_parts->id, text.ptr + PREFIX_LEN, TOKEN_ID_LEN);
	out_parts->id[TOKEN_ID_LEN] = '\0';
	hash_secret(text.ptr, out_parts->secret_hash);
	return true;
}
