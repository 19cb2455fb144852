/*
 * Who asked what over the control socket, on record. What is only counted or is policy can be
 * asked for freely: a monitor does so all the time.
 */
#ifndef ENFORCER_CONTROL_RECORD_H
#define ENFORCER_CONTROL_RECORD_H

#include "common/clock.h"
#include "enforcer/control/control_ask.h"

/* Records of one kind of question by one sort of asker, in a minute. */
#define CONTROL_RECORDS_MOST   60
#define CONTROL_RECORD_MINUTES UINT64_C(60000000000) /* nanoseconds */

/* How many there were lately. Zero is the start. */
struct control_window {
	monotime_t since;
	unsigned count;
	uint64_t passed_over; /* since the last record */
};

/* False: there have been too many, and this one is counted alone. True: *out_passed_over of
 * them were not recorded. */
MUST_CHECK bool control_window_takes(
    struct control_window *w, monotime_t now, uint64_t *out_passed_over);
/* Puts the question on record, as the audit log and the window have room. */
void control_record(struct control_window *w, const struct asked *a);

#endif
