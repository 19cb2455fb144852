/*
 * When it is found out again which policies are set aside (program_aside.c). That takes compiling
 * everything, twice where there still is too much, and everybody's changes wait meanwhile: so
 * who has too much must not have it done whenever he likes.
 */
#include "enforcer/engine/engine_state.h"

/* Of the time others' changes wait for it at most a tenth, and a hundredth if it is not he who
 * changed what he says. */
#define OWN_TIMES    10
#define OTHERS_TIMES 100

static monotime_t
later(monotime_t now, uint64_t ns, unsigned times)
{
	return (monotime_t){now.ns + ns * times};
}

void
engine_asides_found(struct engine *e, const struct program *p)
{
	struct engine_load *l = &e->load;
	const monotime_t now = monotime_now();
	const uint64_t took = monotime_since(l->began, now);

	l->look_own = l->look_others = (monotime_t){0};
	if (!program_has_asides(p))
		return;
	l->look_own = later(now, took, OWN_TIMES);
	l->look_others = later(now, took, OTHERS_TIMES);
}

bool
engine_asides_wait(const struct engine *e)
{
	return monotime_now().ns < e->load.look_own.ns;
}

bool
engine_asides_are_due(const struct engine *e)
{
	const struct program *p = e->apply.current;

	if (p == NULL || p->asides_due == DUE_NOTHING || e->load.behind)
		return false;
	return monotime_now().ns >= (p->asides_due == DUE_OWN ? e->load.look_own.ns
							      : e->load.look_others.ns);
}
