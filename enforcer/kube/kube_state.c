#include "enforcer/kube/kube_state.h"

#include "enforcer/kube/kube_watch.h"

static const char *const phase_names[KUBE_PHASE_COUNT] = {
    [KUBE_WAITING] = "waiting",
    [KUBE_LISTING] = "listing",
    [KUBE_WATCHING] = "watching",
    [KUBE_ABSENT] = "absent",
};

const char *
kube_phase_name(uint8_t phase)
{
	return phase_names[phase];
}

void
kube_state_encode(struct buf *out, const struct kube_state *state)
{
	proc_put_str(out, state->why);
	proc_put_u64(out, state->reports);
	proc_put_u64(out, state->report_failures);
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		const struct kube_state_kind *k = &state->kinds[i];
		const uint64_t numbers[] = {k->objects, k->bytes, k->lists, k->watches,
		    k->events, k->repeated, k->failures, k->silent_ms};

		proc_put_u8(out, k->phase);
		proc_put_u8(out, k->synced);
		for (size_t j = 0; j < ARRAY_LEN(numbers); j++)
			proc_put_u64(out, numbers[j]);
		proc_put_str(out, k->detail);
	}
}

bool
kube_state_decode(struct arena *arena, struct proc_reader *r, struct kube_state *out)
{
	out->why = str_dup(arena, proc_get_str(r));
	out->reports = proc_get_u64(r);
	out->report_failures = proc_get_u64(r);
	for (size_t i = 0; i < KUBE_KIND_COUNT; i++) {
		struct kube_state_kind *k = &out->kinds[i];
		uint64_t *const numbers[] = {&k->objects, &k->bytes, &k->lists,
		    &k->watches, &k->events, &k->repeated, &k->failures, &k->silent_ms};

		k->phase = proc_get_u8(r);
		k->synced = proc_get_u8(r) != 0;
		for (size_t j = 0; j < ARRAY_LEN(numbers); j++)
			*numbers[j] = proc_get_u64(r);
		k->detail = str_dup(arena, proc_get_str(r));
		if (k->phase >= KUBE_PHASE_COUNT)
			return false;
	}
	return proc_reader_done(r);
}
