/*
 * What there is to tell of ways and gateways: in status and as metrics.
 */
#ifndef ENFORCER_WAY_REPORT_H
#define ENFORCER_WAY_REPORT_H

#include "common/str.h"

struct engine;

/* Members of a JSON object, the first with a comma before it; nothing if nothing is steered
 * on the node. */
void way_report_status(const struct engine *e, struct buf *out);
/* Lines of Prometheus' text format. */
void way_report_metrics(const struct engine *e, struct buf *out);

#endif
