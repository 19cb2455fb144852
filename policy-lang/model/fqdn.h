/*
 * Domain names in policy. A name takes in itself; `*.example.org` takes in every name with
 * one label or more in front of example.org, and not example.org itself. Letters of either
 * case are the same (RFC 4343), and a dot at the end says nothing. Internationalised names
 * are written as DNS has them (xn--...): no other spelling is a name here.
 */
#ifndef POLICY_LANG_FQDN_H
#define POLICY_LANG_FQDN_H

#include "common/str.h"

#define FQDN_BYTES 254 /* the longest name without its last dot, and a NUL */

/* True if the pattern, as name_is_domain reads it, takes in the name. Anything that is no
 * name is taken in by nothing. */
MUST_CHECK bool fqdn_match(struct str pattern, struct str name);
/* Brings a name or pattern into the one spelling in which equal ones are equal bytes:
 * lower case, no dot at the end. `out` has FQDN_BYTES. Returns out's view; an empty one
 * if it is longer than a name can be. */
struct str fqdn_canonical(struct str name, char *out);

#endif
