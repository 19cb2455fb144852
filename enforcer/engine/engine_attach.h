/*
 * Workloads that are about to start, and who waits for their policy.
 */
#ifndef ENFORCER_ENGINE_ATTACH_H
#define ENFORCER_ENGINE_ATTACH_H

#include "common/map.h"
#include "policy-lang/model/model.h"

struct engine;

/* Whom an address is for. */
struct engine_attach_to {
	struct str namespace, name; /* of a pod; "": found by its addresses alone */
	const struct ip_addr *addrs;
	size_t addr_count;
};

struct engine_attach_result {
	uint64_t generation;
	const char *missing; /* NULL: it is in force; else what is not */
	const char *address; /* whose; "" */
};

typedef void (*engine_attach_fn)(
    struct engine *e, uint64_t arg, const struct engine_attach_result *result);

struct engine_attach {
	struct map all; /* by container/interface */
	struct waiter *waiters;
	size_t waiter_count;
};

void engine_attach_fini(struct engine *e);
/* Remembers it under the key, and calls `answered` with `arg` when its policy is in force, or
 * when the time is up. False: there are too many. */
MUST_CHECK bool engine_attach(struct engine *e, struct str key,
    const struct engine_attach_to *to, uint64_t wait_ms, engine_attach_fn answered,
    uint64_t arg);
void engine_attach_remove(struct engine *e, struct str key);
/* All but those under these keys are gone. */
void engine_attach_keep(struct engine *e, const struct map *keys);
/* What is remembered, in the arena. */
void engine_attach_copy(const struct engine *e, struct arena *arena,
    const struct announced_pod **out_pods, size_t *out_count);
/* Answers who need not wait any more: after a commit, and a few times a second. */
void engine_attach_tick(struct engine *e);

#endif
