/*
 * Metrics and health over HTTP: /metrics (Prometheus text), /healthz, /readyz.
 */
#ifndef ENFORCER_METRICS_H
#define ENFORCER_METRICS_H

#include "common/err.h"
#include "common/str.h"

struct engine;
struct metrics;

/* Takes a listening socket. */
MUST_CHECK int metrics_new(
    struct engine *e, int fd, struct metrics **out_metrics, struct err *err);
/* NULL is fine. */
void metrics_free(struct metrics *m);

#endif
