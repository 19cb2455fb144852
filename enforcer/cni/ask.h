/*
 * Questions to the daemon, with a time limit for all of them together.
 */
#ifndef ENFORCER_CNI_ASK_H
#define ENFORCER_CNI_ASK_H

#include "common/clock.h"
#include "enforcer/cni/request.h"

/* Until this. */
struct cni_patience {
	monotime_t deadline;
};

MUST_CHECK struct cni_patience cni_patience_of(uint64_t ms);
/* What is left, in milliseconds. */
MUST_CHECK uint64_t cni_patience_left(const struct cni_patience *p);

/* Asks one question (without its newline). The answer is JSON; NULL: there is none, and
 * `why` (CNI_TEXT_BYTES) says so. */
MUST_CHECK json_t *cni_ask(const char *socket, const struct cni_patience *patience,
    struct str question, char *why);

#endif
