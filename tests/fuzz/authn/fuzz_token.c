/*
 * Tokens: any text is one or is refused; what is one has its form, and no change of a
 * character leaves it one.
 */
#include <stdlib.h>
#include <string.h>

#include "authn/token/token.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct token_parts parts;
	char copy[TOKEN_LEN];

	if (!token_parse((struct str){(const char *)data, size}, &parts))
		return 0;
	if (size != TOKEN_LEN || memcmp(data, "rf_", 3) != 0 ||
	    memcmp(data + 3, parts.id, TOKEN_ID_LEN) != 0 || strlen(parts.id) != 10)
		abort();
	for (size_t i = 0; i < TOKEN_LEN; i++) {
		memcpy(copy, data, TOKEN_LEN);
		copy[i] ^= 1;
		if (token_parse((struct str){copy, TOKEN_LEN}, &parts))
			abort();
	}
	return 0;
}
