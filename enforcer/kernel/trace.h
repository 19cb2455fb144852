/*
 * Following one packet through the chains: nf_tables tells every rule that a marked packet
 * meets. A table of its own, which is gone when the packet has come, marks it before it
 * reaches ours. Runs in the kernel role.
 */
#ifndef ENFORCER_TRACE_H
#define ENFORCER_TRACE_H

#include "common/err.h"
#include "enforcer/wire/connection.h"

struct trace;

#define TRACE_FILTERS_MOST 8
#define TRACE_STEPS_MOST   64
#define TRACE_WAIT_MOST_S  300

enum trace_verdict {
	TRACE_CONTINUE,
	TRACE_ACCEPT,
	TRACE_DROP,
	TRACE_JUMP,
	TRACE_GOTO,
	TRACE_RETURN,
	TRACE_OTHER,
};

struct trace_step {
	char chain[64];
	enum trace_verdict verdict;
	char to[64]; /* TRACE_JUMP, TRACE_GOTO */
};

/* Opens its sockets; before confinement. */
MUST_CHECK int trace_open(struct trace **out_trace, struct err *err);
void trace_close(struct trace *t);
/* Readable when there is something for trace_read. */
MUST_CHECK int trace_fd(const struct trace *t);
/* Waits for the first packet that is of one of the filters: their `src`, `dst`, `proto` and,
 * if the protocol has ports, `dst_port`. An end of nothing but a family is the node itself, by
 * any address. ERR_EXISTS while another is waited for. */
MUST_CHECK int trace_begin(
    struct trace *t, const struct connection *filters, size_t count, struct err *err);
MUST_CHECK bool trace_running(const struct trace *t);
/* Takes what has come. True: the packet has left our table. */
MUST_CHECK bool trace_read(struct trace *t);
/* Ends it, and tells the steps in our table, until the next trace_begin. */
const struct trace_step *trace_end(struct trace *t, size_t *out_count);

#endif
