/*
 * Routes judged a second time: no walk but one flat, sorted list, and read from the
 * specification as data, not from YAML.
 */
#ifndef TESTS_PROPERTY_ROUTE_FLAT_H
#define TESTS_PROPERTY_ROUTE_FLAT_H

#include "tests/property/route_spec.h"

/* Workload `w` and, by kind, an outside address, a published one or another workload. */
struct route_ask {
	enum route_kind kind;
	int w, other, probe;
};

/* Appends "r1-2 taken w0": the rule, what becomes of the connection, and by whom. */
void route_flat_say(const struct spec *s, const struct route_ask *ask, struct buf *out);
/* "r1-2 taken w0:443*1/2 w3:443*1/2" for a published address; ask->w counts for nothing. */
void route_flat_say_published(
    const struct spec *s, const struct route_ask *ask, struct buf *out);

#endif
