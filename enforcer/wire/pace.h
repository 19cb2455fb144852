/*
 * How long to wait: until changes of files are whole, and before a commit is tried again. Pure,
 * so that tests need no time.
 */
#ifndef ENFORCER_PACE_H
#define ENFORCER_PACE_H

#include <stdint.h>

#include "common/base.h"

#define PACE_QUIET_MS  50  /* without an event: what was written is whole */
#define PACE_SETTLE_MS 500 /* however much goes on */

/* After an event: for how long there is to be no other, `waited_ms` after the first of those
 * that nobody was told of yet; 0: now. */
MUST_CHECK uint64_t pace_settle_ms(uint64_t waited_ms);

#define PACE_RETRY_FIRST_MS 250u
#define PACE_RETRY_MOST_MS  30000u

/* Before the next try: twice what it was before the last one, which was `last_ms` (0: there
 * was none), at most PACE_RETRY_MOST_MS. */
MUST_CHECK unsigned pace_retry_ms(unsigned last_ms);

#endif
