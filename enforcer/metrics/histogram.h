/*
 * How long things took, as Prometheus counts it.
 */
#ifndef ENFORCER_HISTOGRAM_H
#define ENFORCER_HISTOGRAM_H

#include "common/str.h"

#define HISTOGRAM_BUCKETS 14

struct histogram {
	uint64_t counts[HISTOGRAM_BUCKETS]; /* each its own, not those below */
	uint64_t count, sum_us;
};

void histogram_add(struct histogram *h, uint64_t took_us);
/* Appends it under a full name, with its HELP and TYPE. */
void histogram_write(
    struct buf *out, const char *name, const char *help, const struct histogram *h);

#endif
