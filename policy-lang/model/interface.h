/*
 * Names of network interfaces, and patterns of them: "eth1", "cali*".
 */
#ifndef POLICY_LANG_INTERFACE_H
#define POLICY_LANG_INTERFACE_H

#include "common/str.h"

#define INTERFACE_NAME_BYTES 16 /* IFNAMSIZ, its NUL included */

/* The names from the first to the last, as bytes; the rest of a name is zero. */
struct interface_pattern {
	uint8_t first[INTERFACE_NAME_BYTES], last[INTERFACE_NAME_BYTES];
};

/* A name, or the beginning of one and '*'. False: it is none that an interface could have,
 * or one that every interface has. */
MUST_CHECK bool interface_pattern_parse(
    struct str text, struct interface_pattern *out_pattern);
/* Sorts, and drops what others take in. Returns how many are left. */
MUST_CHECK size_t interface_patterns_normalise(
    struct interface_pattern *patterns, size_t count);
/* True if the name (NUL-terminated) is in it. */
MUST_CHECK bool interface_pattern_has(
    const struct interface_pattern *pattern, const char *name);

#endif
