#include "common/audit_base64.h"

#include <openssl/evp.h>
#include <string.h>

#define BASE64_MAX    128
#define BASE64_LEN(n) (((n) + 2) / 3 * 4)

void
audit_base64_encode(struct buf *out, const uint8_t *data, size_t len)
{
	unsigned char text[BASE64_MAX + 1];

	/* Every caller's length is a constant of at most BASE64_MAX / 4 * 3. */
	buf_add(out, text, (size_t)EVP_EncodeBlock(text, data, (int)len));
}

/* libcrypto's decoder forgives spaces and loose bits; so what does not encode back to the
 * same text is refused. */
bool
audit_base64_decode(struct str text, uint8_t *out, size_t len)
{
	unsigned char raw[BASE64_MAX], again[BASE64_MAX + 1];

	if (text.len != BASE64_LEN(len) || text.len > BASE64_MAX ||
	    EVP_DecodeBlock(raw, (const unsigned char *)text.ptr, (int)text.len) < 0)
		return false;
	(void)EVP_EncodeBlock(again, raw, (int)len);
	if (memcmp(again, text.ptr, text.len) != 0)
		return false;
	memcpy(out, raw, len);
	return true;
}
