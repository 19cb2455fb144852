/*
 * UTF-8, strictly: no overlong forms, no surrogates, nothing above U+10FFFF.
 */
#ifndef COMMON_UTF8_H
#define COMMON_UTF8_H

#include "common/str.h"

#define UTF8_REPLACEMENT     "\xef\xbf\xbd" /* U+FFFD */
#define UTF8_BYTE_ORDER_MARK "\xef\xbb\xbf"

/* Bytes of the well-formed character that starts at s[at]: 1-4; 0 if none does. */
MUST_CHECK size_t utf8_width(struct str s, size_t at);
/* As utf8_width, and the code point. */
MUST_CHECK size_t utf8_decode(struct str s, size_t at, uint32_t *out_point);
/* True of controls, and of what changes the direction of text: shown, they would deceive. */
MUST_CHECK bool utf8_is_hidden(uint32_t point);
/* Index of the first byte that is not part of a well-formed character; s.len if
 * there is none. */
MUST_CHECK size_t utf8_check(struct str s);
/* Writes a code point (at most U+10FFFF, no surrogate); returns its 1-4 bytes. */
MUST_CHECK size_t utf8_put(uint32_t point, char out[4]);

#endif
