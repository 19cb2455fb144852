/*
 * What the daemon says of its clusters: in status, and as metrics.
 */
#ifndef ENFORCER_KUBE_REPORT_H
#define ENFORCER_KUBE_REPORT_H

#include "common/clock.h"
#include "common/str.h"
#include "enforcer/kube/kube_state.h"

/* A source that has told something. */
struct kube_report {
	struct str source;
	const struct kube_state *state;
	monotime_t told;
};

/* Appends the JSON array of its kinds. */
void kube_report_status(struct buf *out, const struct kube_report *report);
/* Appends metrics of all of them, in the text format; nothing if there are none. Names of
 * sources need no escape. */
void kube_report_metrics(
    struct buf *out, const struct kube_report *reports, size_t count);

#endif
