#include "enforcer/wire/pace.h"

uint64_t
pace_settle_ms(uint64_t waited_ms)
{
	if (waited_ms >= PACE_SETTLE_MS)
		return 0;
	if (waited_ms + PACE_QUIET_MS > PACE_SETTLE_MS)
		return PACE_SETTLE_MS - waited_ms;
	return PACE_QUIET_MS;
}

unsigned
pace_retry_ms(unsigned last_ms)
{
	if (last_ms == 0)
		return PACE_RETRY_FIRST_MS;
	return last_ms >= PACE_RETRY_MOST_MS / 2 ? PACE_RETRY_MOST_MS : last_ms * 2;
}
