/*
 * Tokens: "rf_" + id (10 base62) + "_" + secret (30 base62, 178 bits) + CRC-32 of all
 * before it (6 base62). The checksum lets scanners and the gate drop what is no token without
 * asking anybody. Only SHA-256 of the secret is ever stored: with 178 random bits a fast
 * hash is right.
 */
#ifndef AUTHN_TOKEN_H
#define AUTHN_TOKEN_H

#include "common/str.h"

#define TOKEN_ID_LEN     10
#define TOKEN_SECRET_LEN 30
#define TOKEN_CRC_LEN    6
#define TOKEN_LEN        (3 + TOKEN_ID_LEN + 1 + TOKEN_SECRET_LEN + TOKEN_CRC_LEN)

struct token_parts {
	char id[TOKEN_ID_LEN + 1];
	uint8_t secret_hash[32];
};

/* Writes a new token (NUL-terminated; the caller wipes it) from `random`, 64 bytes of
 * cryptographic randomness. */
void token_make(const uint8_t random[64], char out_token[TOKEN_LEN + 1],
    struct token_parts *out_parts);
/* False if the text is no well-formed token (length, alphabet, checksum). */
MUST_CHECK bool token_parse(struct str text, struct token_parts *out_parts);
/* 2^64 random bytes mapped to base62 without bias is the maker's affair; exposed for
 * tests: `value` in `digits` base62 digits, most significant first. */
void token_base62(uint64_t value, unsigned digits, char *out);

#endif
