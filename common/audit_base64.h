/*
 * Base64 of hashes, keys and signatures: short, of known length, in one spelling only.
 */
#ifndef COMMON_AUDIT_BASE64_H
#define COMMON_AUDIT_BASE64_H

#include "common/str.h"

/* Appends the text of at most 96 bytes. */
void audit_base64_encode(struct buf *out, const uint8_t *data, size_t len);
/* Decodes exactly `len` bytes, at most 96; false for anything but their one text. */
MUST_CHECK bool audit_base64_decode(struct str text, uint8_t *out, size_t len);

#endif
