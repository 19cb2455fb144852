/*
 * The text format in which Prometheus reads metrics (version 0.0.4). Names are whole, as
 * dashboards ask for them, so that a search for one finds where it is told. They and the words
 * of help are ours; only values of labels may be anything.
 */
#ifndef COMMON_PROMETHEUS_H
#define COMMON_PROMETHEUS_H

#include "common/str.h"

/* Appends the help and the type ("counter", "gauge", "histogram") that come before the samples
 * of a metric. */
void prometheus_head(
    struct buf *out, const char *name, const char *type, const char *help);
/* Appends a metric of one sample without labels. */
void prometheus_add(struct buf *out, const char *name, const char *type,
    const char *help, uint64_t value);
/* The same for a gauge in seconds. */
void prometheus_add_seconds(
    struct buf *out, const char *name, const char *help, int64_t ns);
/* Appends a label's value, to stand between quotes: backslash, quote and newline escaped. */
void prometheus_add_value(struct buf *out, struct str value);

#endif
