/*
 * What a kube role tells the engine of itself, for whoever asks the daemon how it is.
 */
#ifndef ENFORCER_KUBE_STATE_H
#define ENFORCER_KUBE_STATE_H

#include "common/proc.h"
#include "enforcer/kube/kube_kinds.h"

/* Of one kind, in the order of kube_kinds. */
struct kube_state_kind {
	uint8_t phase; /* enum kube_phase */
	bool synced;
	uint64_t objects, bytes; /* of the texts that are kept */
	uint64_t lists, watches, events, repeated, failures;
	uint64_t silent_ms; /* since anything was heard; UINT64_MAX: never was */
	struct str detail;  /* of the last failure; "": it goes well */
};

struct kube_state {
	struct str why; /* the source is not kept up; "": it is */
	/* NodeReports that the server took, and others. */
	uint64_t reports, report_failures;
	struct kube_state_kind kinds[KUBE_KIND_COUNT];
};

/* "waiting", "listing", "watching", "absent". */
MUST_CHECK const char *kube_phase_name(uint8_t phase);

void kube_state_encode(struct buf *out, const struct kube_state *state);
/* Copies into the arena; false: malformed. */
MUST_CHECK bool kube_state_decode(
    struct arena *arena, struct proc_reader *r, struct kube_state *out);

#endif
