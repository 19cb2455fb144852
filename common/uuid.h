/*
 * UUIDs of version 4 (RFC 4122): ids of audit events.
 */
#ifndef COMMON_UUID_H
#define COMMON_UUID_H

#include "common/base.h"

#define UUID_BYTES      16
#define UUID_TEXT_BYTES 37 /* with its NUL */

/* Random bytes as text; the six bits that say which kind it is are put in. */
void uuid_format(const uint8_t random[UUID_BYTES], char out_text[UUID_TEXT_BYTES]);

#endif
