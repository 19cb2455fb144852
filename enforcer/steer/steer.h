/*
 * Ways (policy-lang/table/table.h) as rules and routes of the kernel: in the kernel role. What
 * bears a way's number is looked up in the way's table; what bears one and found nothing
 * goes nowhere. Ours bear a protocol number, by which they are known again after a restart;
 * nobody else's are ever touched.
 *
 * The order is the engine's, who tells of ways twice: before a program is committed, to have
 * new ones there, and afterwards, when what is not needed may go. Between the two a number
 * that leads elsewhere than before leads nowhere.
 */
#ifndef ENFORCER_STEER_H
#define ENFORCER_STEER_H

#include "common/proc.h"
#include "enforcer/config/steering.h"
#include "enforcer/steer/probe.h"

struct steer;

enum steer_state {
	STEER_UNUSED,      /* no next hop of the family */
	STEER_GOES,        /* by the hop that is told */
	STEER_DOWN,        /* no gateway answers */
	STEER_NOT_ON_LINK, /* no hop that could be used is a neighbour */
	STEER_REFUSED,     /* by the kernel */
	STEER_SHARED,      /* others are behind the interface of what is gone through */
	STEER_STATE_COUNT
};

/* Opens what is needed, before privileges are dropped; borrows the configuration, and who
 * knows which gateways are up, and is told which of them matter. On error it is to be closed
 * all the same. */
MUST_CHECK int steer_open(struct steer **out_steer, const struct steering *config,
    struct probe *probe, struct err *err);
/* NULL is fine. Rules and routes stay, as the table does. */
void steer_close(struct steer *s);
/* Takes a MSG_WAYS. False: malformed, or outside the configuration; nothing has changed. */
MUST_CHECK bool steer_told(struct steer *s, const struct proc_msg *msg);
/* Looks, and puts right. Does nothing before steer_told. ERR_SYSTEM: the kernel refuses
 * something; the rest is done. */
MUST_CHECK int steer_tend(struct steer *s, struct err *err);
/* To be polled for reading: others change routes; then steer_news. -1: never. */
MUST_CHECK int steer_fd(const struct steer *s);
/* Reads what is there; true: steer_tend has something to look at. */
MUST_CHECK bool steer_news(struct steer *s);
/* True if steer_put says something else than when it was last asked. */
MUST_CHECK bool steer_changed(struct steer *s);
/* Appends the body of a MSG_WAY_STATE. */
void steer_put(const struct steer *s, struct buf *out);

#endif
