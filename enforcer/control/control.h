/*
 * The control socket, and the client that talks to it. A question is one line, the answer
 * JSON, ended by the end of the connection:
 *
 *     status | rules | flows [COUNT] | flows-follow [COUNT [mark [ENGINE RECORDS]]] | diff
 *     explain SRC DST PORT/PROTO | explain-text SRC DST PORT/PROTO
 *     trace SRC DST PORT/PROTO SECONDS
 *
 * With `mark` {"mark": {"engine": N, "records": N, "lost": N}} stands before what comes: how
 * many records there were, and logged packets that were lost, since the engine that began
 * then did. Who has such a mark gets what came since instead of the last COUNT.
 *
 * and, by root alone, for workloads that are about to start here:
 *
 *     attach CONTAINER/INTERFACE NAMESPACE NAME ADDRESS[,...] MILLISECONDS
 *     detach CONTAINER/INTERFACE
 *     keep CONTAINER/INTERFACE[,...]      all others are gone
 *
 * attach is answered when policy for the addresses is in force, {"inForce": true,
 * "generation": N}, or when the time is up; namespace and name of a pod, or "-".
 *
 * An answer that is {"error": "..."} says why there is none.
 */
#ifndef ENFORCER_CONTROL_H
#define ENFORCER_CONTROL_H

#include "common/err.h"
#include "common/ip.h"
#include "common/str.h"

struct engine;
struct control;
struct proc_msg;

/* Takes a listening socket. */
MUST_CHECK int control_new(
    struct engine *e, int fd, struct control **out_control, struct err *err);
/* Takes another in its place. */
MUST_CHECK int control_listen(struct control *c, int fd, struct err *err);
/* Closes all connections. NULL is fine. */
void control_free(struct control *c);
/* Passes a line on to those who follow flows. NULL is fine. */
void control_flow(struct control *c, struct str line);

/* ---- what is said (control_answers.c); each appends JSON ---- */

/* What tenants know by name, as learnt_text.h has it, or JSON. */
void control_answer_names(struct engine *e, bool json, struct buf *out);
void control_answer_status(struct engine *e, struct buf *out);
void control_answer_flows(struct engine *e, size_t count, struct buf *out);
void control_answer_mark(const struct engine *e, struct buf *out);
/* Of the kernel role's answers; `answer` may be NULL. */
void control_answer_rules(
    struct engine *e, const struct proc_msg *answer, struct buf *out);
void control_answer_diff(
    struct engine *e, const struct proc_msg *answer, struct buf *out);
/* control_explain.c: `words`: SRC, DST, PORT/PROTO; `own`: addresses of this node. */
void control_answer_explain(struct engine *e, const struct str words[3], bool text,
    const struct ip_addr *own, size_t own_count, struct buf *out);
/* control_trace.c: `words`: SRC, DST, PORT/PROTO, seconds to wait; the body of MSG_TRACE.
 * False: why is appended. And what its answer says. */
MUST_CHECK bool control_trace_question(
    struct engine *e, const struct str words[4], struct buf *out, struct buf *why);
void control_answer_trace(
    struct engine *e, const struct proc_msg *answer, struct buf *out);
/* NULL, or that there is nothing to explain by, for people. */
MUST_CHECK const char *control_no_policy(const struct engine *e);
void control_answer_error(struct buf *out, struct str why);

#endif
